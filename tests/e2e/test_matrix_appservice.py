"""The bot as an application service of a real Synapse."""
import asyncio
import json
import subprocess
import urllib.error
import urllib.request

import pytest

from counterparts import free_port
from matrix import Person, Synapse, account, quote

pytestmark = pytest.mark.slow

AS_TOKEN, HS_TOKEN = "as-token-of-a-test", "hs-token-of-a-test"


@pytest.fixture(name="service")
def a_service(make_daemon, tmp_path):
    """A daemon and a homeserver that know each other: (daemon, synapse), neither started."""
    port = free_port()
    folder = tmp_path / "synapse"
    folder.mkdir()
    more = (f'mode = "appservice"; user = "bot"; appservice = {{ url = "http://127.0.0.1:{port}"; '
            f'hs_token = "{HS_TOKEN}"; }};')
    synapse = Synapse(folder, app_service_config_files=[str(folder / "as.yaml")])
    daemon = make_daemon(accounts=", " + account(synapse, AS_TOKEN, more), port=port,
                         channels='{ match = "mx:*"; bot = "bo"; }', more='log = { level = "debug"; };')
    for words in (["-c", daemon.config], ["-c", daemon.config, "mx"]):
        done = subprocess.run([daemon.binary, "matrix-registration", *words], capture_output=True, text=True, check=True)
        (folder / "as.yaml").write_text(done.stdout)
    wrong = subprocess.run([daemon.binary, "matrix-registration", "-c", daemon.config, "web"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and not wrong.stdout and "web" in wrong.stderr
    yield daemon, synapse
    synapse.stop()


def push(daemon, name, events, token=HS_TOKEN):
    """A transaction, as a homeserver would send it: the status of its answer."""
    request = urllib.request.Request(f"{daemon.http}/_matrix/app/v1/transactions/{name}", method="PUT",
                                     data=json.dumps({"events": events}).encode())
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.headers["Content-Length"] and json.load(answer) == {}
            return answer.status
    except urllib.error.HTTPError as e:
        assert "errcode" in json.loads(e.read())
        return e.code


def query(daemon, path, token=HS_TOKEN):
    request = urllib.request.Request(daemon.http + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as e:
        return e.code


def test_answers_what_is_pushed(service, run):
    daemon, synapse = service
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "bob") as bob:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            _, answer = await alice.ask(room, "#echo pushed")
            assert answer["text"] == "pushed"
            await alice.do("room_invite", room_id=room, user_id=bob.id)
            await bob.do("join", room_id=room)
            quiet = await bob.say(room, "this is no private room any more")
            asked = await bob.say(room, "bot: #echo in a group")
            await bob.reply(room, asked, "in a group")
            assert bob.replies(room, quiet) == []
            daemon.stop()
            missed = [await alice.say(room, f"bot: #echo {n}") for n in range(3)]
            daemon.start()
            for n, event in enumerate(missed):
                await alice.reply(room, event, str(n), seconds=100)
            print(alice.picture())
            assert [m["text"] for m in alice.screen(room) if m["sender"] == "@bot:localhost"] == \
                ["pushed", "in a group", "0", "1", "2"]
    run(scenario(), 240)


def test_only_the_homeserver_is_heard(service, run):
    daemon, synapse = service
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")
    assert push(daemon, "x1", [], token=None) == 401
    assert push(daemon, "x1", [], token="wrong") == 403
    assert push(daemon, "x1", [], token=HS_TOKEN[:-1]) == 403
    assert push(daemon, "x1", []) == 200
    assert query(daemon, "/_matrix/app/v1/users/@bot:localhost") == 200
    assert query(daemon, "/_matrix/app/v1/users/" + quote("@bot:localhost")) == 200
    assert query(daemon, "/_matrix/app/v1/users/@other:localhost") == 404
    assert query(daemon, "/_matrix/app/v1/users/@bot:localhost", "wrong") == 403
    assert query(daemon, "/_matrix/app/v1/rooms/" + quote("#garden:localhost")) == 404

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            await alice.ask(room, "#echo before")
            event = await alice.say(room, "#echo once")
            await alice.reply(room, event, "once")
            source = [e for e in alice.events[room] if e["event_id"] == event][0]
            # The same again, under the same name and under another one.
            again = {**source, "room_id": room}
            for name in ("y1", "y1", "y2"):
                assert await asyncio.to_thread(push, daemon, name, [again]) == 200
            for junk in ({}, {"type": 1}, {"room_id": "!x", "type": "m.room.message"}, [], "x", None):
                assert await asyncio.to_thread(push, daemon, f"z{hash(str(junk))}", [junk]) == 200
            await alice.ask(room, "#echo after")
            assert len(alice.replies(room, event)) == 1
    run(scenario())


def test_bot_that_the_homeserver_does_not_reach(service):
    daemon, synapse = service
    daemon.configure(accounts=", " + account(synapse, AS_TOKEN, 'mode = "appservice"; user = "bot"; appservice = {'
                                             f' url = "http://127.0.0.1:9"; hs_token = "{HS_TOKEN}"; }};'),
                     channels='{ match = "mx:*"; bot = "bo"; }', port=free_port())
    synapse.start()
    daemon.start()
    daemon.logs("does not reach the bot")
