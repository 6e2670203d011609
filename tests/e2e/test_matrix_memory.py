"""What the bot takes while nothing happens in fifty rooms, and while it catches up
with a room of many events. Of the release build."""
import asyncio
import concurrent.futures
import os
import time

import pytest

from matrix import Person, Synapse, account, quote

pytestmark = pytest.mark.slow

ROOMS = 50
IDLE_SECONDS = 10
IDLE_LIMIT_KB = 16 * 1024
IDLE_LIMIT_CORE = 0.01
EVENTS, GAP = 600, 300
LONG_EVENTS, LONG_GAP = 10000, 2000
ANSWERED = 50 # catch_up's max_messages
GAP_LIMIT_KB = 20 * 1024
WRITERS = 4
BOT = "@bot:localhost"


@pytest.fixture(name="world")
def a_world(make_daemon, tmp_path):
    folder = tmp_path / "synapse"
    folder.mkdir()
    synapse = Synapse(folder)
    synapse.start()
    for user in ("bot", "alice"):
        synapse.register(user)
    daemon = make_daemon(release=True, accounts=", " + account(synapse, synapse.tokens["bot"]), bot="queue_max = 100;",
                         channels='{ match = "mx:*"; bot = "bo"; }')
    yield daemon, synapse
    synapse.stop()


def room_with_bot(synapse, **more):
    room = synapse.as_user("alice", "POST", "/createRoom", {"invite": [BOT], "is_direct": True, **more})["room_id"]
    synapse.as_user("bot", "POST", f"/join/{quote(room)}", {})
    return room


def say_many(synapse, room, first, n):
    """Messages of the words `first` to `first + n - 1`, in order as far as it matters: the last 100 one by one."""
    def say(number):
        return synapse.as_user("alice", "PUT", f"/rooms/{quote(room)}/send/m.room.message/m{number}",
                               {"msgtype": "m.text", "body": f"#echo {number}"})["event_id"]
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(say, range(first, first + n - 100)))
    return [say(number) for number in range(first + n - 100, first + n)]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_idle_in_many_rooms(world):
    daemon, synapse = world
    for n in range(ROOMS):
        room_with_bot(synapse, name=f"Room {n}", topic="Of many")
    daemon.start()
    daemon.logs("mx is online")
    time.sleep(2)  # what the start needed is given back
    begin = cpu_seconds(daemon.process.pid)
    time.sleep(IDLE_SECONDS)
    core = (cpu_seconds(daemon.process.pid) - begin) / IDLE_SECONDS
    print(f"idle in {ROOMS} rooms: {daemon.rss_kb() / 1024:.1f} MB resident, {100 * core:.2f} % of a core")
    assert daemon.rss_kb() <= IDLE_LIMIT_KB
    assert core <= IDLE_LIMIT_CORE


@pytest.mark.parametrize("events, gap", [(EVENTS, GAP), pytest.param(LONG_EVENTS, LONG_GAP, marks=pytest.mark.long)])
def test_large_gap(world, run, events, gap):
    """Caught up within the bounds: the newest messages are answered in order, older ones not."""
    daemon, synapse = world
    room = room_with_bot(synapse)
    say_many(synapse, room, 0, events - gap)
    daemon.start()
    daemon.logs("mx is online")
    daemon.stop()
    last = say_many(synapse, room, events, gap)
    peak = 0
    daemon.start()

    async def scenario():
        nonlocal peak
        async with Person(synapse, "alice") as alice:
            while len(said(synapse, room)) < ANSWERED:
                peak = max(peak, daemon.rss_kb())
                await asyncio.sleep(0.05)
            question = await alice.say(room, "#echo caught up")
            await alice.reply(room, question, "caught up")
    run(scenario(), 120)
    peak = max(peak, daemon.rss_kb())
    print(f"a gap of {gap} events in a room of {events}: {peak / 1024:.1f} MB at most")
    assert peak <= GAP_LIMIT_KB
    answers = said(synapse, room)
    assert [a["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] for a in answers[:-1]] == last[-ANSWERED:]


def said(synapse, room):
    page = synapse.as_user("alice", "GET", f"/rooms/{quote(room)}/messages?dir=b&limit=200")
    return [e for e in page["chunk"] if e["sender"] == BOT and e["type"] == "m.room.message"
            and "m.new_content" not in e["content"]][::-1]
