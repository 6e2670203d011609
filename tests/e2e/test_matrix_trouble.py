"""The bot and a homeserver that is slow, gone, in a bad mood, or behind a broken
proxy."""
import asyncio
import contextlib
import json
import re
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import hastened
from hurdle import Hurdle
from matrix import Person, Synapse, account

pytestmark = pytest.mark.slow

CHANNELS = '{ match = "mx:*"; bot = "bo"; }'
DEBUG = 'log = { level = "debug"; };'


@pytest.fixture(name="homeserver")
def a_homeserver(tmp_path):
    """Makes and starts one; more: settings of homeserver.yaml."""
    made = []

    def make(**more):
        folder = tmp_path / "synapse"
        folder.mkdir()
        made.append(Synapse(folder, **more))
        made[-1].start()
        made[-1].register("bot")
        return made[-1]

    yield make
    for synapse in made:
        synapse.stop()


@pytest.fixture
def hurdle():
    made = []

    def make(synapse):
        made.append(Hurdle(synapse.port))
        return made[-1]

    yield make
    for h in made:
        h.stop()


def ready(daemon):
    try:
        with urllib.request.urlopen(daemon.http + "/readyz", timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def state(daemon):
    """Of the Matrix account: (online?, why not)."""
    found = [a for a in ready(daemon)[1]["accounts"] if a["name"] == "mx"][0]
    return found["ok"], found.get("reason", "")


async def until(test, seconds=60):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, "it never came to that"
        await asyncio.sleep(0.1)


def behind(hurdle_, synapse):
    """The account's settings, with the hurdle in its way."""
    return ", " + account(synapse, synapse.tokens["bot"]).replace(str(synapse.port), str(hurdle_.port))


@pytest.mark.parametrize("trouble, says, haste", [("html", "no JSON of a homeserver", 1), ("502", "502", 1), ("cut", "", 1),
                                                  ("hang", "no answer within", 4)])
def test_on_the_way(make_daemon, homeserver, hurdle, run, trouble, says, haste):
    """What was said meanwhile is answered when the way is free, once."""
    synapse = homeserver()
    way = hurdle(synapse)
    daemon = make_daemon(accounts=behind(way, synapse), channels=CHANNELS, more=DEBUG).start(hastened(haste))
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            await alice.ask(room, "#echo before")
            way.set(trouble)
            asked = [await alice.say(room, f"#echo {n}") for n in range(3)]
            await until(lambda: not state(daemon)[0])
            assert says in state(daemon)[1], state(daemon)
            way.set("pass")
            for n, event in enumerate(asked):
                await alice.reply(room, event, str(n), seconds=90)
            await alice.ask(room, "#echo after")
            assert state(daemon)[0]
            bot = [m["text"] for m in alice.screen(room) if m["sender"] == "@bot:localhost"]
            assert bot == ["before", "0", "1", "2", "after"]
    run(scenario(), 240)


def test_homeserver_comes_later_and_restarts(make_daemon, homeserver, run):
    synapse = homeserver()
    synapse.stop()
    daemon = make_daemon(accounts=", " + account(synapse, synapse.tokens["bot"]), channels=CHANNELS, more=DEBUG).start()
    daemon.logs("mx is down")
    synapse.start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            await alice.ask(room, "#echo before")
            question = await alice.say(room, "#sleep 1500 #echo across the restart")
            await asyncio.to_thread(synapse.stop)
            await asyncio.to_thread(synapse.start)
            await alice.reply(room, question, "across the restart", seconds=90)
            _, answer = await alice.ask(room, "#echo after")
            assert answer["text"] == "after"
            assert len(alice.replies(room, question)) == 1
    run(scenario(), 240)


def test_password_and_sessions_that_end(make_daemon, homeserver, run):
    """One device for all sessions, whether the server forgets them softly or not."""
    synapse = homeserver(session_lifetime="8s")
    more = 'user = "bot"; password = "pw-bot";'
    daemon = make_daemon(accounts=", " + account(synapse, "", more), channels=CHANNELS, more=DEBUG).start()
    daemon.logs("mx is online")

    def session():
        with contextlib.closing(sqlite3.connect(daemon.data / "warbler.db")) as db:
            return json.loads(db.execute("SELECT value FROM fact WHERE key = 'session'").fetchone()[0])

    first = session()
    daemon.logs("soft logout")
    daemon.logs("mx is online")

    async def again():
        await until(lambda: session()["token"] != first["token"])
        await until(lambda: state(daemon)[0])
    run(again())
    second = session()
    assert second["device"] == first["device"]
    daemon.mark = daemon.log.stat().st_size
    synapse.call("POST", "/_matrix/client/v3/logout", {}, second["token"])
    daemon.logs("logging in again")

    async def third():
        await until(lambda: session()["token"] not in (first["token"], second["token"]))
        await until(lambda: state(daemon)[0])
    run(third())
    assert session()["device"] == first["device"]
    assert second["token"] not in daemon.log.read_text()


def test_token_that_ends(make_daemon, homeserver):
    """Without a password nothing helps, and that is said."""
    synapse = homeserver()
    daemon = make_daemon(accounts=", " + account(synapse, synapse.tokens["bot"]), channels=CHANNELS, more=DEBUG).start()
    daemon.logs("mx is online")
    synapse.call("POST", "/_matrix/client/v3/logout", {}, synapse.tokens["bot"])
    daemon.logs("the access token is not valid")
    assert not state(daemon)[0]


def test_limits_of_the_server(make_daemon, homeserver, run):
    """A server that takes a message a second after the first few: all answers arrive, whole and once."""
    synapse = homeserver(rc_message={"per_second": 1, "burst_count": 3})
    synapse.register("root", admin=True)
    daemon = make_daemon(accounts=", " + account(synapse, synapse.tokens["bot"]), channels=CHANNELS, more=DEBUG,
                         bot="queue_max = 100;").start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            synapse.call("POST", "/_synapse/admin/v1/users/@alice:localhost/override_ratelimit",
                         {"messages_per_second": 0, "burst_count": 0}, synapse.tokens["root"])
            rooms = [await alice.room("bot", direct=True) for _ in range(3)]
            asked = []
            for room in rooms:
                await alice.joined(room)
            for n in range(4):
                asked += [(room, await alice.say(room, f"#echo {n} of {room}"), f"{n} of {room}") for room in rooms]
            for room, event, text in asked:
                await alice.reply(room, event, text)
            for room, event, text in asked:
                assert [m["text"] for m in alice.replies(room, event)] == [text]
    run(scenario(), 240)
    assert "is kept for" not in daemon.log.read_text()  # no dead letters


def test_too_many_logins(make_daemon, homeserver):
    """Who pings again and again hears how long the homeserver is tired of it."""
    synapse = homeserver(rc_login={"address": {"per_second": 0.01, "burst_count": 1}})
    daemon = make_daemon(accounts=", " + account(synapse, "", 'user = "bot"; password = "pw-bot";'), channels=CHANNELS)
    said = [subprocess.run([daemon.binary, "ping", "-c", daemon.config], capture_output=True, text=True, check=False).stdout
            for _ in range(3)]
    assert "account mx: ok" in said[0]
    assert re.search(r"account mx: the homeserver takes no more log-ins for \d+ s", said[2]), said
