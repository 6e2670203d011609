"""The bot as an application service of a real Synapse."""
import asyncio
import json
import subprocess
import urllib.error
import urllib.request

import pytest

from counterparts import free_port
from hurdle import Hurdle
from matrix import Person, Synapse, account, quote

pytestmark = pytest.mark.slow

AS_TOKEN, HS_TOKEN = "as-token-of-a-test", "hs-token-of-a-test"


def settings(synapse, port=None, url=None, more=""):
    """The daemon's; url: where it finds the homeserver, if not directly."""
    service = (f'mode = "appservice"; user = "bot"; appservice = {{ url = "http://127.0.0.1:{port}"; '
               f'hs_token = "{HS_TOKEN}"; }}; {more}')
    return {"accounts": ", " + account(synapse, AS_TOKEN, service).replace(synapse.url, url or synapse.url), "port": port,
            "channels": '{ match = "mx:*"; bot = "bo"; }', "more": 'log = { level = "debug"; };'}


@pytest.fixture(name="service")
def a_service(make_daemon, tmp_path):
    """A daemon and a homeserver that know each other: (daemon, synapse), neither started."""
    folder = tmp_path / "synapse"
    folder.mkdir()
    synapse = Synapse(folder, app_service_config_files=[str(folder / "as.yaml")])
    port = free_port()
    daemon = make_daemon(**settings(synapse, port))
    daemon.port = port
    for words in (["-c", daemon.config], ["-c", daemon.config, "mx"]):
        done = subprocess.run([daemon.binary, "matrix-registration", *words], capture_output=True, text=True, check=True)
        (folder / "as.yaml").write_text(done.stdout)
    wrong = subprocess.run([daemon.binary, "matrix-registration", "-c", daemon.config, "web"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 1 and not wrong.stdout and "web" in wrong.stderr
    yield daemon, synapse
    synapse.stop()


def push(daemon, name, events, token=HS_TOKEN):
    """A transaction, as a homeserver would send it: the status of its answer."""
    return push_raw(daemon, name, json.dumps({"events": events}).encode(), token)


def push_raw(daemon, name, body, token=HS_TOKEN):
    request = urllib.request.Request(f"{daemon.http}/_matrix/app/v1/transactions/{name}", method="PUT", data=body)
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


@pytest.mark.parametrize("bound", [2, 0])
def test_missed_messages_are_bounded(service, run, bound):
    """As with /sync: of what was missed the newest are answered."""
    daemon, synapse = service
    daemon.configure(**settings(synapse, daemon.port, more=f"catch_up = {{ max_messages = {bound}; }};"),
                     bot="history_messages = 0;")
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            rooms = [await alice.room("bot", direct=True) for _ in range(2)]
            for room in rooms:
                await alice.joined(room)
                await alice.ask(room, "#echo before")
            daemon.stop()
            asked = {room: [await alice.say(room, f"#echo {n}") for n in range(5)] for room in rooms}
            daemon.start()
            for room in rooms:
                question = await alice.say(room, "#echo after")
                await alice.reply(room, question, "after", seconds=100)
                said = [alice.replies(room, event) for event in asked[room]]
                assert [len(replies) for replies in said] == [0] * (5 - bound) + [1] * bound
    run(scenario(), 240)


def test_ping_names_rooms(service, run):
    """Pushed or asked for, the operator hears of rooms in which the bot cannot do its work."""
    daemon, synapse = service
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", name="Vault", direct=True, initial_state=[encryption])
            await alice.joined(room)
            await alice.until(lambda: any("encrypted" in m["text"] for m in alice.screen(room)))
    run(scenario())
    done = subprocess.run([daemon.binary, "ping", "-c", daemon.config], capture_output=True, text=True, check=False)
    assert "account mx: ok" in done.stdout and "cannot be read: Vault" in done.stdout, done


def test_nothing_is_lost_while_the_homeserver_fails(service, run):
    """It pushes a message, and then cannot say of which room it is."""
    daemon, synapse = service
    way = Hurdle(synapse.port)
    daemon.configure(**settings(synapse, daemon.port, f"http://127.0.0.1:{way.port}"))
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            way.set("502")
            requests = way.requests
            question = await alice.say(room, "#echo not lost")
            while way.requests < requests + 3:
                await asyncio.sleep(0.1)
            way.set("pass")
            await alice.reply(room, question, "not lost")
    try:
        run(scenario())
    finally:
        way.stop()


def test_rooms_come_and_go(service, run):
    """What the bot does of its own accord, also right after a start: it follows, leaves, and tells the operator."""
    daemon, synapse = service
    daemon.configure(**settings(synapse, daemon.port, more="leave_empty = true;"))
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "bob") as bob:
            old = synapse.as_user("alice", "POST", "/createRoom", {"preset": "public_chat", "invite": ["@bot:localhost"]})["room_id"]
            await alice.joined(old)
            daemon.stop()
            daemon.start()
            daemon.logs("mx is online")
            new = (await asyncio.to_thread(synapse.as_user, "alice", "POST", f"/rooms/{quote(old)}/upgrade",
                                           {"new_version": "12"}))["replacement_room"]
            await alice.joined(new)
            _, answer = await alice.ask(new, "bot: #echo moved")
            assert answer["text"] == "moved"

            quiet = await bob.room("bot", name="Library")
            await bob.joined(quiet)
            levels = (await bob.do("room_get_state_event", room_id=quiet, event_type="m.room.power_levels"))["content"]
            await bob.do("room_put_state", room_id=quiet, event_type="m.room.power_levels", content={**levels, "events_default": 50})
            await asyncio.to_thread(daemon.logs, "may not speak in: " + quiet)
            await bob.do("room_leave", room_id=quiet)
            await asyncio.to_thread(daemon.logs, "left " + quiet)
    run(scenario())


def test_hostile_events(service, run):
    """What a homeserver would not let through, from one that does: nothing of it does harm."""
    daemon, synapse = service
    synapse.start()
    daemon.start()
    daemon.logs("mx is online")
    deep = "[" * 100000 + "]" * 100000
    big = "字\u202e\x00\x1b[31m " * 80000  # over 1 MB

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "bob") as bob:
            room = await alice.room("bot", "bob", name="Hostile")
            await bob.do("join", room_id=room)
            await alice.joined(room)
            await alice.ask(room, "bot: #echo before")
            text = {"msgtype": "m.text", "body": "bot: #echo by none"}
            contents = [{"msgtype": "m.text", "body": big}, {"msgtype": "m.text", "body": "x", "formatted_body": big},
                        {"msgtype": "m.image", "body": big, "filename": big}, {**text, "body": "bot: " + big},
                        {**text, "m.relates_to": {"rel_type": "m.thread", "event_id": "$" + "x" * 300}},
                        {**text, "m.relates_to": {"rel_type": "m.replace", "event_id": "$none"}, "m.new_content": text}]
            events = [{"type": "m.room.message", "room_id": room, "sender": "@eve:localhost", "event_id": f"$hostile{n}",
                       "origin_server_ts": 2 ** 53, "content": content} for n, content in enumerate(contents)]
            events += [{"type": kind, "state_key": key, "room_id": room, "sender": "@eve:localhost", "event_id": f"${kind}{n}",
                        "content": {"name": big, "topic": big, "displayname": big, "membership": "join"}}
                       for n, (kind, key) in enumerate((("m.room.name", ""), ("m.room.topic", ""), ("m.room.member", "@eve:localhost"),
                                                        ("m.room.member", "@" + "x" * 300)))]
            for n, event in enumerate(events):
                assert await asyncio.to_thread(push, daemon, f"h{n}", [event]) == 200
            for n, body in enumerate((deep, '{"events":' + deep + "}", '{"events":[{"content":' + deep + "}]}")):
                assert await asyncio.to_thread(push_raw, daemon, f"d{n}", body.encode()) in (200, 400)
            question = await alice.say(room, "bot: #echo after")
            await alice.reply(room, question, "after")
    run(scenario())


def test_homeserver_reads_the_registration_later(service):
    """The bot goes on trying, so that it does not matter who is started first."""
    daemon, synapse = service
    synapse.configure()
    synapse.start()
    daemon.start()
    daemon.logs("does the homeserver have the registration file?")
    synapse.stop()
    synapse.configure(app_service_config_files=[str(synapse.folder / "as.yaml")])
    synapse.start()
    daemon.logs("mx is online")


def test_bot_that_the_homeserver_does_not_reach(service):
    daemon, synapse = service
    daemon.configure(**{**settings(synapse, 9), "port": free_port()})
    synapse.start()
    daemon.start()
    daemon.logs("does not reach the bot")
