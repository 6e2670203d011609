"""Two hundred questions in ten rooms of a real Synapse, while the bot is killed,
the homeserver restarted and the network cut: each is answered once, in order.
Whoever asks speaks to the server directly, and asks until it has the question."""
import asyncio
import random
import urllib.error

import pytest

from matrix import NAME, Synapse, account, quote

pytestmark = pytest.mark.slow

ROOMS = 10
QUESTIONS = 20 # in each room
KILLS = 20
RESTARTS = 5   # of the homeserver
CUT_SECONDS = 30
PAUSE_SECONDS = 0.5 # before somebody tries again
ALL_SECONDS = 900
SEED = 7


class Proxy:
    """TCP between the bot and its homeserver. While it is cut, nothing passes and
    nobody is told; afterwards what was held comes through, as TCP does it."""

    def __init__(self, port):
        self.to = port
        self.flows = asyncio.Event()
        self.flows.set()
        self.pipes = set()
        self.server = self.url = None

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for pipe in self.pipes:
            pipe.cancel()

    async def connected(self, reader, writer):
        try:
            await self.flows.wait()
            their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        for source, sink in ((reader, their_writer), (their_reader, writer)):
            pipe = asyncio.create_task(self.pump(source, sink))
            self.pipes.add(pipe)
            pipe.add_done_callback(self.pipes.discard)

    async def pump(self, source, sink):
        try:
            while data := await source.read(65536):
                await self.flows.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def cut(self, seconds):
        self.flows.clear()
        await asyncio.sleep(seconds)
        self.flows.set()


async def insist(call, *args):
    """Calls the homeserver until it answers."""
    while True:
        try:
            return await asyncio.to_thread(call, *args)
        except (OSError, urllib.error.URLError):
            await asyncio.sleep(PAUSE_SECONDS)


async def say(synapse, room, text, txn):
    path = f"/rooms/{quote(room)}/send/m.room.message/{txn}"
    return (await insist(synapse.as_user, "ann", "PUT", path, {"msgtype": "m.text", "body": text}))["event_id"]


def answers(events):
    """What the bot said: event of the question -> [(place, newest text)]."""
    said, by_question = {}, {}
    for place, event in enumerate(events):
        content = event["content"]
        relates = content.get("m.relates_to", {})
        if event["type"] != "m.room.message" or event["sender"] != f"@bot:{NAME}":
            continue
        if relates.get("rel_type") == "m.replace":
            said[relates["event_id"]][1] = content["m.new_content"]["body"]
        else:
            said[event["event_id"]] = [place, content["body"]]
            by_question.setdefault(relates.get("m.in_reply_to", {}).get("event_id"), []).append(said[event["event_id"]])
    return by_question


async def ask_all(synapse, room, number):
    """All questions of one room, at a pace at which most fall into some trouble: their events."""
    asked = []
    for n in range(QUESTIONS):
        asked.append(await say(synapse, room, f"#echo {number}.{n}", f"q{number}.{n}"))
        await asyncio.sleep(random.uniform(2, 8))
    return asked


async def kill_often(daemon):
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.1, 5))
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)


async def restart_often(synapse):
    for _ in range(RESTARTS):
        await asyncio.sleep(random.uniform(5, 15))
        await asyncio.to_thread(synapse.stop)
        await asyncio.to_thread(synapse.start)


async def all_answered(synapse, rooms, asked):
    for room, questions in zip(rooms, asked):
        while True:
            said = answers(await insist(synapse.messages, "ann", room))
            if all(question in said for question in questions):
                break
            await asyncio.sleep(PAUSE_SECONDS)


def check(events, early, questions, number):
    said = answers(events)
    assert early not in said, "a question from before the first start was answered"
    for n, question in enumerate(questions):
        assert [text for _, text in said[question]] == [f"{number}.{n}"], f"question {number}.{n}: {said[question]}"
    places = [said[question][0][0] for question in questions]
    assert places == sorted(places), f"room {number} was not answered in order: {places}"
    assert set(said) == set(questions), "the bot said something that nobody asked for"


def test_everything_goes_wrong(tmp_path, make_daemon, run):
    random.seed(SEED)
    synapse = Synapse(tmp_path).start()
    token = synapse.register("bot")
    synapse.register("ann")

    async def scenario():
        async with Proxy(synapse.port) as proxy:
            rooms, early = [], []
            for number in range(ROOMS):
                made = await insist(synapse.as_user, "ann", "POST", "/createRoom", {"invite": [f"@bot:{NAME}"], "is_direct": True})
                rooms.append(made["room_id"])
                await insist(synapse.as_user, "bot", "POST", f"/join/{quote(rooms[-1])}", {})
                early.append(await say(synapse, rooms[-1], "#echo too early", f"early{number}"))
            daemon = make_daemon(accounts=", " + account(proxy, token, "edit_interval_ms = 250;"), bot="queue_max = 1000;",
                                 practice="delay_ms = 200; chunk_ms = 50; chunk_chars = 1;",
                                 channels='{ match = "mx:*"; bot = "bo"; }')
            await asyncio.to_thread(daemon.start)
            await asyncio.to_thread(daemon.logs, "mx is online")
            asking = [asyncio.create_task(ask_all(synapse, room, n)) for n, room in enumerate(rooms)]
            await asyncio.gather(kill_often(daemon), restart_often(synapse))
            await proxy.cut(CUT_SECONDS)
            asked = await asyncio.gather(*asking)
            await all_answered(synapse, rooms, asked)
            for number, room in enumerate(rooms):
                # Whatever is still on its way comes before the answer to this.
                last = await say(synapse, room, f"#echo {number}.{QUESTIONS}", f"last{number}")
                asked[number].append(last)
            await all_answered(synapse, rooms, asked)
            await asyncio.to_thread(daemon.stop)
            for number, room in enumerate(rooms):
                check(await insist(synapse.messages, "ann", room), early[number], asked[number], number)

    try:
        run(scenario(), ALL_SECONDS)
    finally:
        synapse.stop()
