"""The web chat: WebSocket and HTTP interface of one daemon, as any client sees
them. Most tests share a daemon, in conversations or rooms of their own."""
import asyncio
import json
import pathlib
import re
import subprocess

import aiohttp
import pytest

import raw
from conftest import Daemon

PAGES = pathlib.Path(__file__).resolve().parents[2] / "adapters" / "webchat" / "pages"
STREAM = "delay_ms = 0; chunk_ms = 10; chunk_chars = 4;"
BOTS = """
, { name = "merger"; model = "p"; queue = "merge"; trigger = ("always"); }
, { name = "hasty"; model = "p"; queue = "latest"; trigger = ("always"); }
, { name = "polite"; model = "p"; interrupt = true; trigger = ("always"); }
, { name = "boss"; model = "p"; trigger = ("always"); admins = ("web:*"); commands = ("help=hilfe,aide", "retry="); }
, { name = "deaf"; model = "p"; context = false; names = false; }
, { name = "picky"; model = "p"; trigger = ("prefix", "keyword"); prefix = "!ask "; keywords = ("refunds?", "退款"); }
, { name = "whole"; model = "p"; stream = false; trigger = ("always"); }
, { name = "small"; model = "p"; queue_max = 2; trigger = ("always"); }
"""
CHANNELS = ", ".join(f'{{ match = "web:{name}-*"; bot = "{name}"; }}' for name in
                     ("merger", "hasty", "polite", "boss", "deaf", "picky", "whole", "small"))
CHANNELS += ', { match = "web:nobody-*"; bot = "none"; }, { match = "web:*"; bot = "bo"; }'


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("site"), {
        "practice": STREAM, "bot": 'system_prompt = "Be {bot}.";', "bots": BOTS, "channels": CHANNELS,
        "models": ', { name = "other"; api = "practice"; practice = { delay_ms = 0; chunk_ms = 0; }; }',
    }).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def room(request):
    """A room that no other test is in."""
    return re.sub(r"\W", "-", request.node.name)[:50]


async def http(daemon, method, path, **more):
    """(status, headers, text)."""
    async with aiohttp.ClientSession() as session, session.request(method, daemon.http + path, **more) as answer:
        return answer.status, answer.headers, await answer.text()


async def post(daemon, message=None, headers=None, **more):
    """POST /chat: (status, headers, JSON)."""
    status, got, text = await http(daemon, "POST", "/chat", json={"message": message, **more}, headers=headers)
    assert got["Content-Type"].startswith("application/json")
    return status, got, json.loads(text)


async def metrics(daemon):
    status, headers, text = await http(daemon, "GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return text


def value(text, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))


def error_of(body, code):
    assert set(body) == {"error"} and body["error"]["code"] == code and body["error"]["message"], body


# --- hello ---
def test_welcome(site, run):
    async def scenario():
        async with site.chat() as a, site.chat() as b:
            assert set(a.welcome) == {"type", "visitor", "room", "bot", "last"}
            assert a.welcome["room"] == "" and a.welcome["bot"] == "bo" and a.welcome["last"] == 0
            assert a.visitor.startswith("v") and a.visitor != b.visitor
            assert len(set(a.visitor)) > 8 and len(a.visitor) * 4 >= 128  # hexadecimal or denser
    run(scenario())


@pytest.mark.parametrize("hello", [
    {"name": "n" * 65}, {"name": ""}, {"name": "a\nb"}, {"name": "bot"}, {"name": "You"}, {"name": " bot "},
    {"name": 7}, {"room": ""}, {"room": "r" * 65}, {"room": "a\tb"}, {"room": "~secret"}, {"room": []},
    {"visitor": 1}, {"last": "1"}, {"last": -1}, {"last": 1.5}, {"lang": {}}, {"lang": "e" * 36},
], ids=str)
def test_bad_hello(site, run, hello):
    """Refused, and the connection waits for a better one."""
    async def scenario():
        async with raw.Raw(site.port) as c:
            answer = await c.hello(**hello)
            assert answer["type"] == "error" and answer["code"] == "bad_frame" and answer["text"]
            await c.send(raw.frame({"type": "hello"}))
            assert (await c.json())["type"] == "welcome"
    run(scenario())


@pytest.mark.parametrize("name", ["n", "名" * 64, "robot", "your", "é" * 64, "a b"])
def test_good_names(site, run, name):
    async def scenario():
        async with site.chat(name=name, room=name) as c:
            assert c.welcome["room"] == name
    run(scenario())


@pytest.mark.parametrize("first", [
    b'{"type":"message","id":"a","text":"b"}', b'{"type":"typing"}', b"nonsense", b"[]", b"{}", b'{"type":"x"}', b"",
])
def test_anything_before_hello(site, run, first):
    async def scenario():
        async with raw.Raw(site.port) as c:
            await c.opened()
            await c.send(raw.frame(first))
            assert await c.closed("error") == 1008
        async with raw.Raw(site.port) as c:
            await c.opened()
            await c.send(raw.frame(first, raw.BINARY))
            assert await c.closed("error") == 1008
    run(scenario())


@pytest.mark.slow
def test_no_hello(site, run):
    async def scenario():
        loop = asyncio.get_running_loop()
        async with raw.Raw(site.port) as c:
            await c.opened()
            begin = loop.time()
            assert await c.closed() == 1008
            assert 9 < loop.time() - begin < 15
    run(scenario())


@pytest.mark.parametrize("visitor", ["v" + "0" * 32, "v", "", "c" + "0" * 32, "v" * 1000])
def test_unknown_visitor(site, run, visitor):
    async def scenario():
        async with raw.Raw(site.port) as c:
            answer = await c.hello(visitor=visitor)
            assert answer["code"] == "unauthorized"
            assert await c.closed() == 1008
    run(scenario())


@pytest.mark.parametrize("frame", [
    '{"type":"hello"}', '{"type":"nosuch"}', "{}", "[]", "7", '"x"', "null", "{", "", "{}}", '{"type":7}',
    '{"type":"message"}', '{"type":"message","id":"a"}', '{"type":"message","text":"a"}',
    '{"type":"message","id":7,"text":"a"}', '{"type":"message","id":"a","text":7}',
    '{"type":"message","id":"","text":"a"}', '{"type":"message","id":"a","text":""}',
    '{"type":"message","id":"a","text":"b","reply_to":7}', json.dumps({"type": "message", "id": "i" * 65, "text": "a"}),
    "[" * 5000,
])
def test_bad_frame(site, run, frame):
    async def scenario():
        async with site.chat() as c:
            await c.send(frame)
            await c.until(lambda: c.errors)
            assert c.errors[0]["code"] == "bad_frame", c.errors
            assert (await c.ask("i" * 64, "#echo still here"))["text"] == "still here"
            assert len(c.errors) == 1
    run(scenario())


def test_binary_frame(site, run):
    async def scenario():
        async with site.chat() as c:
            await c.ws.send_bytes(b'{"type":"message","id":"a","text":"b"}')
            await c.until(lambda: c.errors)
            assert c.errors[0]["code"] == "bad_frame"
            assert (await c.ask("a", "#echo fine"))["text"] == "fine"
    run(scenario())


@pytest.mark.parametrize("hello_first", [False, True])
def test_invalid_utf8(site, run, hello_first):
    async def scenario():
        async with raw.Raw(site.port) as c:
            await (c.hello() if hello_first else c.opened())
            await c.send(raw.frame(b'{"type":"message","id":"a","text":"\xff"}'))
            assert await c.closed("error") == 1007
    run(scenario())


def test_frame_too_large(site, run):
    async def scenario():
        async with site.chat() as c:  # 65536 is allowed, the text in it is not
            frame = {"type": "message", "id": "a", "text": ""}
            frame["text"] = "x" * (65536 - len(json.dumps(frame)))
            await c.send(frame)
            await c.until(lambda: c.errors)
            assert c.errors[0]["code"] == "too_long" and c.errors[0]["id"] == "a"
        async with raw.Raw(site.port) as c:
            await c.hello()
            frame["text"] += "x"
            await c.send(raw.frame(json.dumps(frame)))
            assert await c.closed() == 1009
    run(scenario())


def test_text_too_long(site, run):
    async def scenario():
        async with site.chat() as c:
            padding = "é" * ((16384 - len(" #echo ok")) // 2)
            await c.say("long", padding + "xx #echo ok")
            await c.until(lambda: c.errors)
            assert c.errors[0]["code"] == "too_long" and c.errors[0]["id"] == "long"
            assert len((padding + "x #echo ok").encode()) == 16384
            assert (await c.ask("long", padding + "x #echo ok"))["text"] == "ok"  # the same id again
    run(scenario())


def test_upgrade(site, run):
    own = f"http://127.0.0.1:{site.port}"

    async def status(*headers):
        async with raw.Raw(site.port) as c:
            await c.send(raw.upgrade(site.port, headers=headers))
            return await c.head()

    async def scenario():
        got, headers = await status("Sec-WebSocket-Protocol: chat, superchat",
                                    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        assert got == 101 and "sec-websocket-protocol" not in headers and "sec-websocket-extensions" not in headers
        assert (await status("Origin: " + own))[0] == 101
        assert (await status("Origin: http://evil.example"))[0] == 403
        assert (await status("Origin: null"))[0] == 403
        assert (await status("Origin: " + own + ".evil.example"))[0] == 403
        async with raw.Raw(site.port) as c:
            await c.send(raw.upgrade(site.port, path="/nosuch"))
            assert (await c.head())[0] == 404
    run(scenario())


# --- visitors and rooms ---
def test_visitor_and_history_survive_restart(make_daemon, run):
    daemon = make_daemon().start()
    daemon.configure()

    async def before():
        async with daemon.chat() as c:
            await c.ask("a", "#echo one")
            return c.visitor

    async def after(visitor):
        async with daemon.chat(visitor=visitor, last=0) as c:
            await c.until(lambda: c.finals)
            assert [f["text"] for f in c.frames if f["type"] == "message"] == ["#echo one", "one"]
            assert (await c.ask("b", "#history"))["text"].startswith("4 messages\n")  # with the system prompt
            return c.welcome["last"]

    visitor = run(before())
    daemon.stop()
    daemon.start()
    last = run(after(visitor))
    daemon.kill()
    daemon.start()

    async def again():
        async with daemon.chat(visitor=visitor) as c:
            assert c.welcome["last"] > last
    run(again())


def test_new_visitor_survives_kill(make_daemon, run):
    """On disk before welcome."""
    daemon = make_daemon().start()
    daemon.configure()

    async def hello(**more):
        async with daemon.chat(**more) as c:
            return c.visitor

    visitor = run(hello())
    daemon.kill()
    daemon.start()
    assert run(hello(visitor=visitor)) == visitor


def test_closed_rooms(make_daemon, run):
    daemon = make_daemon(account='open_rooms = false; rooms = ("lobby");').start()

    async def scenario():
        async with daemon.chat(room="lobby") as c:
            assert c.welcome["room"] == "lobby"
        for room in ("Lobby", "lobby2", "x"):
            async with raw.Raw(daemon.port) as c:
                assert (await c.hello(room=room))["code"] == "unauthorized"
                assert await c.closed() == 1008
    run(scenario())


def test_room(site, run, room):
    """What one says reaches the others, with the name, and never the connection that sent it."""
    async def scenario():
        async with site.chat(room=room, name="Alice") as alice, site.chat(room=room, name="Bob") as bob, \
                   site.chat(room=room, name="Alice", visitor=alice.visitor) as window:
            await alice.say("1", "hello all")
            for other in (bob, window):
                await other.until(lambda: any(f["type"] == "message" for f in other.frames))
                said = [f for f in other.frames if f["type"] == "message"]
                assert [(f["from"], f["text"], f["done"]) for f in said] == [("Alice", "hello all", True)]
                assert said[0]["seq"] == alice.acks["1"]
            answer = await bob.ask("2", "@bo #echo hi bob")
            assert answer["reply_to"] == "2" and answer["reply_seq"] == bob.acks["2"]
            for other in (alice, window):
                await other.until(lambda: other.finals)
                assert other.finals[0]["text"] == "hi bob" and other.finals[0]["reply_seq"] == bob.acks["2"]
            mine = [f for f in alice.frames if f["type"] == "message" and f["from"] in ("Alice", "you")]
            assert mine == []
    run(scenario())


def test_private_stays_private(site, run):
    async def scenario():
        async with site.chat() as a, site.chat() as b, site.chat(visitor=a.visitor) as window:
            await a.ask("1", "#echo secret")
            await window.until(lambda: window.finals)
            assert window.finals[0]["text"] == "secret"
            await b.ask("1", "#echo other")
            assert not any("secret" in str(f) for f in b.frames)
    run(scenario())


def test_typing(site, run, room):
    async def scenario():
        async with site.chat(room=room, name="Ann") as a, site.chat(room=room) as b:
            await a.send({"type": "typing"})
            await b.until(lambda: any(f["type"] == "typing" for f in b.frames))
            assert b.frames[-1] == {"type": "typing", "from": "Ann", "on": True}
            await a.ask("0", "@bo #echo at once")  # nothing to wait for, nothing to announce
            assert not [f for f in a.frames if f["type"] == "typing"]
            await a.ask("1", "@bo #sleep 500 #echo x")
            kinds = [(f["from"], f["on"]) for f in a.frames if f["type"] == "typing"]
            assert kinds[0] == ("bot", True)
            await a.until(lambda: [f["on"] for f in a.frames if f["type"] == "typing"][-1] is False)
    run(scenario())


# --- triggers and context ---
def test_triggers_and_context(site, run, room):
    async def scenario():
        async with site.chat(room=room, name="Ann") as ann, site.chat(room=room, name="Ben") as ben:
            await ann.say("1", "the sky is green")
            await ann.until(lambda: "1" in ann.acks)
            await ben.say("2", "hello @bonnie")
            await ben.until(lambda: "2" in ben.acks)
            await ben.say("3", "good evening")
            await ben.until(lambda: "3" in ben.acks)
            answer = await ann.ask("4", "@bo #history")
            lines = answer["text"].split("\n")
            assert lines[1] == "1. system: Be bo."
            assert lines[2].startswith("2. user: Ann: the sky is green Ben: hello"), lines
            reply = await ben.ask("5", "#echo replied", reply_to=answer["id"])
            assert reply["text"] == "replied"
            await ben.say("6", "to a person", reply_to="m999999p")
            assert (await ben.ask("7", "@BO: #echo last"))["text"] == "last"
            assert not any(f["reply_to"] in ("1", "2", "3", "6") for f in ben.finals + ann.finals)
    run(scenario())


def test_context_off(site, run):
    async def scenario():
        async with site.chat(room="deaf-1", name="Ann") as c:
            await c.say("1", "nobody listens")
            await c.until(lambda: "1" in c.acks)
            text = (await c.ask("2", "@deaf #history"))["text"]
            assert text.startswith("2 messages") and "nobody" not in text and "Ann" not in text
    run(scenario())


def test_prefix_and_keywords(site, run):
    async def scenario():
        async with site.chat(room="picky-1") as c:
            await c.say("1", "no")
            await c.say("2", "@picky no")
            assert (await c.ask("3", "!ask #echo prefixed"))["text"] == "prefixed"
            assert (await c.ask("4", "我要退款 #echo 好"))["text"] == "好"
            assert (await c.ask("5", "REFUND #echo me"))["text"] == "me"
            assert [f["reply_to"] for f in c.finals] == ["3", "4", "5"] and {"1", "2"} <= set(c.acks)
    run(scenario())


def test_no_bot(site, run):
    async def scenario():
        async with site.chat(room="nobody-1") as c:
            await c.say("1", "@bo /help")
            await c.until(lambda: "1" in c.acks)
            async with site.chat(room="nobody-1", last=0) as other:
                await other.until(lambda: any(f["type"] == "message" for f in other.frames))
                assert not other.finals
    run(scenario())


def test_names_in_rooms_only(site, run, room):
    async def scenario():
        async with site.chat(room=room, name="Zoë") as c:
            assert "user: Zoë: @bo #history" in (await c.ask("1", "@bo #history"))["text"]
        async with site.chat(name="Zoë") as c:
            assert "user: #history" in (await c.ask("1", "#history"))["text"]
    run(scenario())


# --- answers ---
def test_streamed_answer(site, run):
    async def scenario():
        async with site.chat() as c:
            final = await c.ask("1", "#len 160 hello")
            events = [f for f in c.frames if f["type"] in ("message", "edit")]
            assert len(events) > 3 and [f["type"] for f in events] == ["message"] + ["edit"] * (len(events) - 1)
            assert [f["done"] for f in events] == [False] * (len(events) - 1) + [True]
            assert all(final["text"].startswith(f["text"]) for f in events) and len({f["id"] for f in events}) == 1
            assert events[0]["reply_to"] == "1" and "notice" not in final
            assert c.frames.index(events[0]) > next(i for i, f in enumerate(c.frames) if f["type"] == "ack")
    run(scenario())


def test_unstreamed_answer(site, run):
    async def scenario():
        async with site.chat(room="whole-1") as c:
            await c.ask("1", "#len 160 hello")
            events = [f for f in c.frames if f["type"] in ("message", "edit")]
            assert len(events) == 1 and events[0]["done"]
    run(scenario())


def test_restarted_answer_replaces(site, run):
    async def scenario():
        async with site.chat() as c:
            final = await c.ask("1", "#fail cut once #len 120 hello")
            assert len(c.finals) == 1 and "notice" not in final and len(final["text"]) == 120
    run(scenario())


def test_dedupe(site, run):
    async def scenario():
        async with site.chat() as c:
            await c.ask("x", "#echo once")
            await c.say("x", "#echo once")
            await c.say("x", "#echo something else")
            await c.until(lambda: sum(f["type"] == "ack" for f in c.frames) == 3)
            await c.ask("y", "#echo after")
            assert [f["reply_to"] for f in c.finals] == ["x", "y"]
        async with site.chat() as other:  # another visitor's id is another id
            assert (await other.ask("x", "#echo mine"))["text"] == "mine"
    run(scenario())


def test_dedupe_after_kill(make_daemon, run):
    daemon = make_daemon().start()
    daemon.configure()

    async def scenario():
        c = daemon.chat()
        await c.connect()
        await c.ask("done", "#echo done")
        await c.say("open", "#sleep 100 #echo open")
        await c.until(lambda: "open" in c.acks)
        await asyncio.to_thread(daemon.kill)
        await c.lost()
        await asyncio.to_thread(daemon.start)
        await c.connect()
        for own in ("open", "done"):
            await c.say(own, "#echo again")
        await c.until(lambda: not c.unacked)  # the client checks that each has the same seq
        await c.answer_to("open")
        assert (await c.ask("last", "#echo last"))["text"] == "last"
        assert [f["text"] for f in c.finals] == ["done", "open", "last"]
        await c.close()
    run(scenario())


def test_answer_goes_on_after_kill(make_daemon, run):
    daemon = make_daemon(practice="delay_ms = 0; chunk_ms = 20; chunk_chars = 4;").start()
    daemon.configure(practice="delay_ms = 100; chunk_ms = 2; chunk_chars = 8;")

    async def scenario():
        c = daemon.chat()
        await c.connect()
        await c.say("1", "#len 2000 hello")
        await c.until(lambda: any(f["type"] == "edit" for f in c.frames))
        begun = next(f for f in c.frames if f["type"] == "message")
        await asyncio.to_thread(daemon.kill)
        await c.lost()
        await asyncio.to_thread(daemon.start)
        mark = len(c.frames)
        await c.connect()
        final = await c.answer_to("1")
        assert final["id"] == begun["id"] and len(final["text"]) == 2000
        later = [f for f in c.frames[mark:] if f["type"] in ("message", "edit")]
        assert {f["id"] for f in later} == {begun["id"]} and [f["done"] for f in later].count(True) == 1
        await c.close()
    run(scenario())


# --- catching up ---
def test_replay(site, run):
    async def scenario():
        async with site.chat() as c:
            for n in range(3):
                await c.ask(str(n), f"#echo {n}")
            newest = c.last
            marks = [c.acks["1"], c.finals[1]["seq"]]
        async with site.chat(visitor=c.visitor) as none:
            assert none.welcome["last"] == newest
            await none.ask("n", "#echo n")
            assert [f["text"] for f in none.finals] == ["n"]
        async with site.chat(visitor=c.visitor, last=newest) as rest:
            await rest.until(lambda: rest.finals)
            assert [f["text"] for f in rest.frames if f["type"] == "message"] == ["#echo n", "n"]
        async with site.chat(visitor=c.visitor, last=rest.last) as nothing:
            await nothing.ask("z", "#echo z")
            assert [f["text"] for f in nothing.finals] == ["z"]
            assert nothing.frames[0]["last"] == rest.last
        async with site.chat(visitor=c.visitor, last=0) as everything:
            await everything.until(lambda: len(everything.finals) == 5)
            said = [f for f in everything.frames if f["type"] == "message"]
            assert [f["text"] for f in said] == ["#echo 0", "0", "#echo 1", "1", "#echo 2", "2", "#echo n", "n", "#echo z", "z"]
            own = said[0::2]
            assert [(f["from"], f["client_id"]) for f in own] == [("you", i) for i in ("0", "1", "2", "n", "z")]
            assert own[0]["seq"] == c.acks["0"] and all(f["done"] for f in said)
            assert [f["id"] for f in said[1:6:2]] == [f["id"] for f in c.finals[:3]]
        for mark, first in zip(marks, ("1", "#echo 2")):
            async with site.chat(visitor=c.visitor, last=mark) as part:
                await part.until(lambda: any(f.get("text") == "z" for f in part.frames))
                assert next(f["text"] for f in part.frames if f["type"] == "message") == first
    run(scenario())


def test_last_beyond_the_newest(site, run):
    """A client that knows more than the daemon, after a restored backup: nothing is replayed, all goes on."""
    async def scenario():
        async with site.chat(last=10**12) as c:
            answer = await c.ask("1", "#echo 1")
            assert answer["text"] == "1" and c.welcome["last"] < 10**12
    run(scenario())


def test_last_within_a_streamed_answer(site, run):
    async def scenario():
        async with site.chat() as c:
            await c.say("1", "#len 400 hello")
            await c.until(lambda: sum(f["type"] == "edit" for f in c.frames) > 2)
            mark = c.last
            async with site.chat(visitor=c.visitor, last=mark) as running, site.chat(visitor=c.visitor) as fresh:
                for other in (running, fresh):
                    await other.until(lambda: any(f["type"] == "message" for f in other.frames))
                    shown = next(f for f in other.frames if f["type"] == "message")
                    assert not shown["done"] and shown["id"] in c.partial and shown["reply_to"] == "1"
                    assert other.welcome["last"] >= mark and shown["seq"] > mark
                final = await c.answer_to("1")
                for other in (running, fresh):
                    assert (await other.answer_to("1"))["text"] == final["text"]
        async with site.chat(visitor=c.visitor, last=mark) as later:
            await later.until(lambda: later.finals)
            said = [f for f in later.frames if f["type"] == "message"]
            assert [(f["text"], f["done"], f["seq"]) for f in said] == [(final["text"], True, final["seq"])]
            assert later.welcome["last"] == final["seq"]
    run(scenario())


def test_long_replay(site, run, room):
    """More than a page."""
    async def scenario():
        async with site.chat(room=room) as c:
            for n in range(130):
                await c.say(str(n), f"line {n}")
            await c.until(lambda: len(c.acks) == 130)
        async with site.chat(room=room, last=0) as other:
            await other.until(lambda: len(other.frames) == 131)
            assert [f["text"] for f in other.frames[1:]] == [f"line {n}" for n in range(130)]
    run(scenario())


# --- queue policies ---
def test_queue_each(site, run):
    async def scenario():
        async with site.chat() as c:
            for n in range(5):
                await c.say(str(n), f"#sleep {50 - 10 * n} #echo {n}")
            await c.answer_to("4")
            assert [f["text"] for f in c.finals] == list("01234")
            assert not any("answers" in f for f in c.finals)
    run(scenario())


async def pile_up(c):
    await c.say("a", "#sleep 300 #echo a")
    await c.until(lambda: any(f["type"] == "typing" and f["on"] for f in c.frames))
    for own in "bcd":
        await c.say(own, f"#echo {own}")


def test_queue_merge(site, run):
    async def scenario():
        async with site.chat(room="merger-1") as c:
            await pile_up(c)
            final = await c.answer_to("d")
            assert final["reply_to"] == "d" and final["answers"] == ["b", "c", "d"]
            assert final["reply_seq"] == c.acks["d"] and len(c.finals) == 2
        await replayed_merged(site, "merger-1", final)
    run(scenario())


async def replayed_merged(site, room, final):
    """Who comes later sees the answer to several messages as those did who were there."""
    async with site.chat(room=room, last=0) as c:
        await c.until(lambda: len(c.finals) == 2)
        assert "answers" not in c.finals[0]
        for name in ("id", "seq", "text", "reply_to", "reply_seq", "answers"):
            assert c.finals[1][name] == final[name], name


def test_queue_merge_over_a_crash(make_daemon, run):
    daemon = make_daemon(bot='queue = "merge"; trigger = ("always");').start()

    async def scenario():
        async with daemon.chat(room="r") as c:
            await pile_up(c)
            final = await c.answer_to("d")
        daemon.kill()
        daemon.start()
        await replayed_merged(daemon, "r", final)
        async with daemon.chat(room="s") as c:
            await c.say("a", "#sleep 300 #echo a")
            await c.until(lambda: any(f["type"] == "typing" and f["on"] for f in c.frames))
            for own in "bcd":
                await c.say(own, f"#sleep 2000 #echo {own}")
            await c.answer_to("a")
            await c.until(lambda: c.frames[-1]["type"] == "typing" and c.frames[-1]["on"])  # of the three
            daemon.kill()
            await c.lost()
        daemon.start()
        async with daemon.chat(room="s", last=0) as c:
            final = await c.answer_to("d")
            assert final["answers"] == ["b", "c", "d"]
        await replayed_merged(daemon, "s", final)
    run(scenario())


def test_queue_latest(site, run):
    async def scenario():
        async with site.chat(room="hasty-1") as c:
            await pile_up(c)
            assert (await c.answer_to("d"))["text"] == "d"
            assert (await c.ask("e", "#echo e"))["text"] == "e"
            assert [f["reply_to"] for f in c.finals] == ["a", "d", "e"]
    run(scenario())


def test_queue_full(site, run):
    async def scenario():
        async with site.chat(room="small-1") as c:
            await c.say("a", "#sleep 400 #echo a")
            await c.until(lambda: any(f["type"] == "typing" and f["on"] for f in c.frames))
            for own in "bcd":
                await c.say(own, f"#echo {own}")
                await c.until(lambda: own in c.acks or c.errors)
            assert c.errors[0]["code"] == "busy" and c.errors[0]["id"] == "d" and "d" not in c.acks
            await c.answer_to("c")
            assert (await c.ask("d", "#echo d"))["text"] == "d"  # sent again
    run(scenario())


def test_interrupt(site, run):
    async def scenario():
        async with site.chat(room="polite-1") as c, site.chat(room="polite-1") as other:
            await c.say("a", "#sleep 20000 #echo a")
            await c.until(lambda: any(f["type"] == "typing" and f["on"] for f in c.frames))
            await other.say("o", "#echo o")  # somebody else's does not interrupt
            await other.until(lambda: "o" in other.acks)
            assert not c.finals
            assert (await c.ask("b", "#echo b"))["text"] == "b"
            assert [f["reply_to"] for f in c.finals] == ["a", "o", "b"]
            assert c.finals[0]["notice"] and c.finals[0]["text"] == "Stopped."
            await c.say("long", "#len 5000 x")
            await c.until(lambda: any(f.get("reply_to") == "long" for f in c.frames))
            await c.ask("next", "#echo next")
            stopped = await c.answer_to("long")
            assert 0 < len(stopped["text"]) < 5000 and "notice" not in stopped
    run(scenario())


def test_conversations_do_not_wait(site, run):
    async def scenario():
        async with site.chat() as slow, site.chat() as fast:
            await slow.say("1", "#sleep 30000 #echo slow")
            await slow.until(lambda: "1" in slow.acks)
            assert (await fast.ask("1", "#echo fast"))["text"] == "fast"
            assert not slow.finals
            await slow.ask("2", "/stop")
    run(scenario())


# --- commands ---
@pytest.mark.parametrize("lang,stop,stopped,done,nothing", [
    ("en", "/stop", "Stopped.", "I have stopped.", "I was not answering anything."),
    ("zh-CN", "/停止", "已停止。", "好的，已停止回答。", "当前没有正在进行的回答。"),
])
def test_stop(site, run, lang, stop, stopped, done, nothing):
    async def scenario():
        async with site.chat(lang=lang) as c:
            assert (await c.ask("0", stop))["text"] == nothing
            await c.say("1", "#sleep 30000 #echo x")
            await c.say("2", "waits")
            await c.until(lambda: "2" in c.acks)
            result = await c.ask("3", stop)
            assert result["notice"] and result["text"] == done
            assert (await c.answer_to("1"))["text"] == stopped
            assert (await c.ask("4", "#echo on"))["text"] == "on"
            assert not any(f["reply_to"] == "2" for f in c.finals)
            await c.say("5", "#len 5000 x")
            await c.until(lambda: any(f.get("reply_to") == "5" for f in c.frames))
            await c.say("6", stop)
            cut = await c.answer_to("5")
            assert 0 < len(cut["text"]) < 5000
    run(scenario())


def test_retry(site, run):
    async def scenario():
        async with site.chat(lang="en") as c:
            assert (await c.ask("0", "/retry"))["text"] == "There is no question that I could answer again."
            await c.ask("1", "#echo first")
            again = await c.ask("2", "/retry")
            assert again["text"] == "first" and again["reply_to"] == "2" and "notice" not in again
            history = (await c.ask("3", "#history"))["text"]
            assert history.count("assistant: first") == 1, history  # the old answer is replaced
        async with site.chat(lang="zh") as c:
            assert (await c.ask("0", "/重试"))["text"] == "没有可以重新回答的问题。"
    run(scenario())


def test_reset(site, run):
    async def scenario():
        for lang, command, text in (("en", "/reset", "Done. I have forgotten"), ("zh", "/重置", "好的，我已忘记")):
            async with site.chat(lang=lang) as c:
                await c.ask("1", "#echo secret")
                reset = await c.ask("2", command)
                assert reset["notice"] and reset["text"].startswith(text)
                history = (await c.ask("3", "#history"))["text"]
                assert history.startswith("2 messages") and "secret" not in history
    run(scenario())


def test_status_and_help(site, run):
    async def scenario():
        async with site.chat(lang="en") as c:
            await c.ask("1", "#echo x")
            status = await c.ask("2", "/status")
            assert status["notice"] and "model: p" in status["text"] and "bo" in status["text"]
            text = (await c.ask("3", "/help"))["text"]
            for command in ("help", "reset", "stop", "retry", "status"):
                assert f"/{command}" in text
            assert "/model" not in text and "/mute" not in text
            assert "/help" in (await c.ask("4", "@bo /help"))["text"]
            assert "notice" not in await c.ask("5", "/nosuch")  # no command: for the model
            assert (await c.ask("6", "#history"))["text"].count("/status") == 0  # commands are no conversation
        async with site.chat(lang="zh") as c:
            assert "模型：p" in (await c.ask("1", "/状态"))["text"]
            assert "显示此列表" in (await c.ask("2", "/帮助"))["text"]
            assert "显示此列表" in (await c.ask("3", "/help"))["text"]
    run(scenario())


def test_admin_commands_refused(site, run):
    async def scenario():
        async with site.chat(lang="en") as en, site.chat(lang="zh") as zh:
            for command in ("/model other", "/prompt x", "/mute", "/unmute"):
                assert (await en.ask(command, command))["text"] == "Only an administrator of this bot may do that."
                assert (await zh.ask(command, command))["text"] == "只有机器人的管理员可以这样做。"
            assert (await en.ask("x", "#echo heard"))["text"] == "heard"
    run(scenario())


def test_admin_commands(site, run):
    async def scenario():
        async with site.chat(room="boss-1", lang="en") as c:
            assert "\"p\"" in (await c.ask("1", "/model"))["text"]
            assert "no model" in (await c.ask("2", "/model nosuch"))["text"]
            assert "\"other\"" in (await c.ask("3", "/model other"))["text"]
            assert "model: other" in (await c.ask("4", "/status"))["text"]
            assert "own system prompt" in (await c.ask("5", "/prompt Talk like a pirate."))["text"]
            assert "Talk like a pirate." in (await c.ask("6", "/prompt"))["text"]
            assert "1. system: Talk like a pirate." in (await c.ask("7", "#history"))["text"]
            await c.ask("8", "/prompt default")
            assert "helpful assistant" in (await c.ask("9", "#history"))["text"]
            assert (await c.ask("10", "/mute"))["notice"]
            await c.say("11", "unheard")
            await c.say("12", "/status")
            await c.until(lambda: {"11", "12"} <= set(c.acks))
            assert (await c.ask("13", "/unmute"))["notice"]
            assert (await c.ask("14", "#echo heard"))["text"] == "heard"
            assert not any(f["reply_to"] in ("11", "12") for f in c.finals)
            assert "/mute" in (await c.ask("15", "/hilfe"))["text"]
            assert "notice" not in await c.ask("16", "/retry")  # switched off: a message like any other
    run(scenario())


def test_settings_of_a_conversation_survive(make_daemon, run):
    daemon = make_daemon(bot='admins = ("*");').start()
    daemon.configure(bot='admins = ("*");')

    async def before():
        async with daemon.chat(lang="en") as c:
            await c.ask("1", "#echo old")
            await c.ask("2", "/reset")
            await c.ask("3", "/prompt Be brief.")
            await c.ask("4", "/mute")
            return c.visitor

    async def after(visitor):
        async with daemon.chat(visitor=visitor, lang="en") as c:
            await c.say("5", "unheard")
            await c.until(lambda: "5" in c.acks)
            await c.ask("6", "/unmute")
            text = (await c.ask("7", "#history"))["text"]
            assert "1. system: Be brief." in text and "assistant: old" not in text
            assert [f["reply_to"] for f in c.finals] == ["6", "7"]

    visitor = run(before())
    daemon.kill()
    daemon.start()
    run(after(visitor))


# --- limits ---
def test_rate(make_daemon, run):
    daemon = make_daemon(account="messages_per_minute = 3;").start()

    async def scenario():
        async with daemon.chat() as c, daemon.chat() as other:
            for n in range(4):
                await c.say(str(n), f"#echo {n}")
            await c.until(lambda: c.errors)
            assert c.errors[0]["code"] == "rate" and c.errors[0]["id"] == "3"
            await c.until(lambda: len(c.finals) == 3)
            assert (await other.ask("0", "#echo mine"))["text"] == "mine"
        status, _, body = await post(daemon, "#echo 0")
        assert status == 200
        for n in (1, 2):
            assert (await post(daemon, f"#echo {n}", conversation=body["conversation"]))[0] == 200
        status, headers, refused = await post(daemon, "#echo 3", conversation=body["conversation"])
        assert status == 429 and 1 <= int(headers["Retry-After"]) <= 20
        error_of(refused, "rate")
    run(scenario())


def test_connection_limits(make_daemon, run):
    daemon = make_daemon(account="max_connections = 3; max_connections_per_address = 2;").start()

    async def status():
        async with raw.Raw(daemon.port) as c:
            await c.send(raw.upgrade(daemon.port))
            return (await c.head())[0]

    async def scenario():
        async with daemon.chat() as a, daemon.chat():
            assert await status() == 429
            asked = asyncio.create_task(post(daemon, "#sleep 500 #echo third"))
            refused = await post(daemon, "#sleep 500 #echo fourth")
            (code, headers, body), fine = (await asked, refused) if (await asked)[0] == 503 else (refused, await asked)
            assert code == 503 and headers["Retry-After"] and fine[2]["reply"] in ("third", "fourth")
            error_of(body, "busy")
            assert (await a.ask("1", "#echo one"))["text"] == "one"
        async with asyncio.timeout(10):  # their places become free when the daemon sees them gone
            while await status() != 101:
                pass
    run(scenario())


# --- POST /chat ---
def test_post(site, run):
    async def scenario():
        status, _, body = await post(site, "#echo hi", name="Ann")
        assert status == 200 and body["reply"] == "hi" and body["finish_reason"] == "stop" and "notice" not in body
        assert set(body) == {"conversation", "reply", "finish_reason", "usage"}
        assert {"prompt_tokens", "completion_tokens", "total_tokens"} <= set(body["usage"])
        assert body["conversation"].startswith("c") and len(body["conversation"]) >= 33
        _, _, more = await post(site, "#history", conversation=body["conversation"])
        assert more["reply"].startswith("4 messages") and more["conversation"] == body["conversation"]
        _, _, other = await post(site, "#history")
        assert other["reply"].startswith("2 messages") and other["conversation"] != body["conversation"]
    run(scenario())


@pytest.mark.parametrize("body,status,code", [
    (b"", 400, "bad_request"), (b"nonsense", 400, "bad_request"), (b"[]", 400, "bad_request"),
    (b"{}", 400, "bad_request"), (b'{"message":7}', 400, "bad_request"), (b'{"message":""}', 400, "bad_request"),
    (b'{"message":"a","conversation":7}', 400, "bad_request"), (b'{"message":"a","name":"bot"}', 400, "bad_request"),
    (b'{"message":"a","name":""}', 400, "bad_request"),
    (b'{"message":"a","conversation":"nosuch"}', 404, "not_found"),
    (b'{"message":"a","conversation":"c' + b"0" * 32 + b'"}', 404, "not_found"),
    (b'{"message":"' + b"x" * 16385 + b'"}', 413, "too_long"),
], ids=lambda v: str(v)[:40])
def test_post_errors(site, run, body, status, code):
    async def scenario():
        got, headers, text = await http(site, "POST", "/chat", data=body)
        assert got == status and headers["Content-Type"].startswith("application/json"), text
        error_of(json.loads(text), code)
    run(scenario())


def test_http_errors(site, run):
    async def scenario():
        for method, path in (("GET", "/nosuch"), ("GET", "/assets/nosuch"), ("GET", "/nosuch?a=b")):
            status, _, text = await http(site, method, path)
            assert status == 404 and json.loads(text)["error"]["code"], (path, text)
        for method, path in (("GET", "/chat"), ("DELETE", "/chat"), ("POST", "/healthz"), ("PUT", "/")):
            status, _, text = await http(site, method, path)
            assert status == 405 and json.loads(text)["error"]["code"], (path, status, text)
        status, _, text = await http(site, "POST", "/chat", data=b"x" * (1024 * 1024 + 1))
        assert status == 413 and json.loads(text)["error"]["code"]
        status, _, text = await http(site, "POST", "/chat", json={"message": "x"}, headers={"Origin": "http://evil.example"})
        assert status == 403 and json.loads(text)["error"]["code"]
        status, _, text = await http(site, "GET", "/", headers={"Host": "evil.example"})
        assert status == 403
    run(scenario())


def test_tokens(make_daemon, run):
    daemon = make_daemon(account='demo = false; tokens = ("first-token", "second-token");').start()

    async def scenario():
        for headers in (None, {"Authorization": "Bearer wrong"}, {"Authorization": "first-token"},
                        {"Authorization": "Bearer first-token2"}, {"Authorization": "Basic first-token"}):
            status, got, body = await post(daemon, "#echo x", headers)
            assert status == 401 and "Bearer" in got["WWW-Authenticate"]
            error_of(body, "unauthorized")
        for token in ("first-token", "second-token"):
            assert (await post(daemon, "#echo x", {"Authorization": "Bearer " + token}))[2]["reply"] == "x"
    run(scenario())
    assert "first-token" not in daemon.log.read_text()


def test_post_is_off_without_tokens(make_daemon, run):
    daemon = make_daemon(account="demo = false;").start()

    async def scenario():
        status, _, body = await post(daemon, "#echo x")
        assert status == 404
        error_of(body, "not_found")
    run(scenario())


async def events(daemon, message, **headers):
    """POST /chat with server-sent events: (list of events)."""
    status, got, text = await http(daemon, "POST", "/chat", json={"message": message},
                                   headers={"Accept": "text/event-stream", **headers})
    assert status == 200 and got["Content-Type"].startswith("text/event-stream"), text
    lines = [line for line in text.split("\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line[6:]) for line in lines]


def shown(all_events):
    text = ""
    for event in all_events:
        text = event["replace"] if "replace" in event else text + event.get("delta", "")
    return text


def test_sse(site, run):
    async def scenario():
        all_events = await events(site, "#len 120 hello")
        *parts, done = all_events
        assert done["done"] is True and done["finish_reason"] == "stop" and done["usage"]["total_tokens"]
        assert len(parts) > 3 and all(set(p) == {"delta"} for p in parts)
        assert shown(parts) == done["reply"] and len(done["reply"]) == 120 and done["conversation"].startswith("c")
    run(scenario())


def test_sse_replace(site, run):
    async def scenario():
        *parts, done = await events(site, "#fail cut once #len 120 hello")
        assert any("replace" in p for p in parts) and shown(parts) == done["reply"] and len(done["reply"]) == 120
    run(scenario())


def test_idempotency_key(make_daemon, run):
    daemon = make_daemon().start()
    daemon.configure()
    key = {"Idempotency-Key": "k1"}

    async def before():
        first, second = await asyncio.gather(post(daemon, "#sleep 100 #echo one", key), post(daemon, "#sleep 100 #echo one", key))
        third = await post(daemon, "#sleep 100 #echo one", key)
        assert first[2] == second[2] == third[2] and first[2]["reply"] == "one"
        assert (await post(daemon, "#echo two", {"Idempotency-Key": "k" * 500}))[2]["reply"] == "two"
        sse = await events(daemon, "#sleep 100 #echo one", **key)
        assert sse[-1]["reply"] == "one" and sse[-1]["conversation"] == first[2]["conversation"]
        return first[2]

    async def after(known):
        assert (await post(daemon, "#sleep 100 #echo one", key))[2] == known
        history = await post(daemon, "#history", conversation=known["conversation"])
        assert history[2]["reply"].startswith("4 messages")  # it was asked once only

    known = run(before())
    daemon.kill()
    daemon.start()
    run(after(known))


def test_idempotency_key_while_killed(make_daemon, run):
    daemon = make_daemon().start()
    daemon.configure()
    key = {"Idempotency-Key": "k1"}

    async def scenario():
        asked = asyncio.create_task(post(daemon, "#sleep 700 #echo one", key))
        while not value(await metrics(daemon), "warbler_messages_received_total"):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(daemon.kill)
        with pytest.raises(aiohttp.ClientError):
            await asked
        await asyncio.to_thread(daemon.start)
        status, _, body = await post(daemon, "#sleep 700 #echo one", key)
        assert status == 200 and body["reply"] == "one"
        history = await post(daemon, "#history", conversation=body["conversation"])
        assert history[2]["reply"].startswith("4 messages")
    run(scenario())


def test_post_failures(make_daemon, run):
    """What the person can wait out is a status; what not, a notice."""
    daemon = make_daemon(model="retries = 0;").start()

    async def scenario():
        status, headers, body = await post(daemon, "#fail 500", {"Accept-Language": "en"})
        assert status == 503 and int(headers["Retry-After"]) > 0 and body["error"]["message"].startswith("The model's server")
        status, headers, body = await post(daemon, "#fail 429", {"Accept-Language": "zh-CN,zh;q=0.9"})
        assert status == 429 and int(headers["Retry-After"]) > 0 and "提问过多" in body["error"]["message"]
        status, _, body = await post(daemon, "/status")
        assert status == 200 and body["notice"] is True and body["reply"]
        async with daemon.chat(lang="en") as c:
            final = await c.ask("1", "#fail 500")
            assert final["notice"] and final["text"].startswith("The model's server has a problem")
        async with daemon.chat() as c:  # without lang: the language that is written
            assert (await c.ask("1", "你好 #fail 500"))["text"].startswith("模型服务器出现故障")
    run(scenario())


def test_finish_reasons(make_daemon, run):
    daemon = make_daemon(model="max_tokens = 20;").start()

    async def scenario():
        assert (await post(daemon, "#len 2000 hello"))[2]["finish_reason"] == "length"
    run(scenario())


# --- health and metrics ---
def test_health(site, run):
    async def scenario():
        assert (await http(site, "GET", "/healthz"))[0] == 200
        status, headers, text = await http(site, "GET", "/readyz")
        assert status == 200 and json.loads(text)["ready"] is True
    run(scenario())


SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)$')


def check_prometheus(text):
    """Text format 0.0.4: each family has HELP and TYPE once and before its samples, histograms add up."""
    assert text.endswith("\n")
    types, helped, seen, buckets = {}, set(), set(), {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in helped and len(line.split(" ", 3)) == 4, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, line
            name, number = match.group(1), float(match.group(4))
            family = name if name in types else re.sub("_(bucket|sum|count)$", "", name)
            assert family in types and family in helped and (name, match.group(2)) not in seen, line
            seen.add((name, match.group(2)))
            if types[family] == "counter":
                assert name.endswith("_total") and number >= 0, line
            if name.endswith("_bucket"):
                buckets.setdefault(family, []).append((match.group(2), number))
    for family, list_ in buckets.items():
        numbers = [n for _, n in list_]
        assert numbers == sorted(numbers) and '+Inf' in list_[-1][0]
        assert numbers[-1] == value(text, family + "_count") and value(text, family + "_sum") >= 0
    assert types and set(types) == helped


def test_metrics(make_daemon, run):
    daemon = make_daemon().start()

    async def scenario():
        before = await metrics(daemon)
        check_prometheus(before)
        async with daemon.chat() as c:
            await c.ask("1", "#echo one")
            await c.say("1", "#echo one")
            await c.ask("2", "/status")
            await c.say("3", "x" * 20000)
            await c.until(lambda: c.errors)
            after = await metrics(daemon)
            check_prometheus(after)
            assert value(after, "warbler_webchat_connections") == 1
            moved = {name: value(after, name) - value(before, name) for name in re.findall(r"^(\w+) ", after, re.M)}
        want = {"messages_received": 2, "messages_duplicate": 1, "messages_refused": 1, "messages_sent": 2,
                "turns_answered": 1, "model_requests": 1}
        assert {name: moved[f"warbler_{name}_total"] for name in want} == want
        assert moved["warbler_turn_seconds_count"] >= 1 and moved["warbler_first_token_seconds_count"] == 1
        assert moved["warbler_store_commits_total"] > 0 and moved["warbler_completion_tokens_total"] > 0
    run(scenario())


# --- the daemon's life ---
def test_shutdown_closes(make_daemon, run):
    daemon = make_daemon().start()

    async def scenario():
        async with raw.Raw(daemon.port) as c, raw.Raw(daemon.port) as shy:
            await c.hello()
            await shy.opened()  # no hello yet
            stopping = asyncio.create_task(asyncio.to_thread(daemon.stop))
            assert await c.closed() == 1001
            assert await shy.closed() == 1001
            await stopping
    run(scenario())


def test_reload(make_daemon, run):
    daemon = make_daemon(bot='system_prompt = "Old.";').start()

    async def system():
        async with daemon.chat() as c:
            return (await c.ask("1", "#history"))["text"].split("\n")[1]

    async def scenario():
        assert await system() == "1. system: Old."
        async with daemon.chat() as c:  # stays connected over these reloads, and its answer goes on
            await c.say("1", "#sleep 600 #echo survived")
            await c.until(lambda: "1" in c.acks)
            daemon.configure(bot='system_prompt = "New.";')
            await asyncio.to_thread(daemon.reload)
            assert await system() == "1. system: New."
            daemon.configure(bot='system_prompt = "Bad."; systemprompt = "x"; queue = "nosuch";')
            await asyncio.to_thread(daemon.reload, "the old configuration stays")
            daemon.logs("nosuch")
            assert re.search(r"warbler\.conf:\d+.*systemprompt", daemon.new_log())
            assert await system() == "1. system: New."
            daemon.config.write_text("nonsense {{{")
            await asyncio.to_thread(daemon.reload, "the old configuration stays")
            daemon.config.unlink()
            await asyncio.to_thread(daemon.reload, "the old configuration stays")
            assert await system() == "1. system: New."
            assert (await c.answer_to("1"))["text"] == "survived"
            await c.say("long", "#sleep 600 #echo survived again")
            await c.until(lambda: "long" in c.acks)
            daemon.configure(account="messages_per_minute = 1;")  # an account begins anew with new settings
            await asyncio.to_thread(daemon.reload)
            await c.lost()
            assert c.closed_with == 1001
            await asyncio.to_thread(daemon.logs, "web is online")  # 503 until then
            await c.connect()
            assert (await c.answer_to("long"))["text"] == "survived again"
            await c.say("2", "x")
            await c.say("3", "x")
            await c.until(lambda: c.errors)
            assert c.errors[0]["code"] == "rate"
    run(scenario())


def test_info_is_silent_about_messages(make_daemon, run):
    daemon = make_daemon().start()
    daemon.configure()
    before = daemon.new_log()

    async def scenario():
        async with daemon.chat(room="r") as c:
            for n in range(20):
                await c.ask(str(n), f"@bo #echo {n}")
            await c.say("x", "nobody is meant")
            await c.ask("y", "/status")
            await c.say("z", "x" * 20000)
            await c.send("nonsense")
            await c.until(lambda: len(c.errors) == 2)
        await post(daemon, "#echo x")
    run(scenario())
    assert daemon.new_log() == before


def test_secrets_stay_out_of_the_log(make_daemon, run):
    daemon = make_daemon(more='log = { level = "debug"; };').start()

    async def scenario():
        async with daemon.chat() as c:
            await c.ask("1", "#echo x")
            _, _, body = await post(daemon, "#echo x")
            return c.visitor, body["conversation"]
    for secret in run(scenario()):
        assert secret not in daemon.log.read_text()


def test_each_pages(site, run):
    async def scenario():
        for path, kind in (("/", "text/html"), ("/demo", "text/html"), ("/widget.js", "text/javascript"),
                           ("/assets/chat.js", "text/javascript"), ("/assets/chat.css", "text/css")):
            status, headers, text = await http(site, "GET", path)
            assert status == 200 and headers["Content-Type"].startswith(kind) and text
            etag = {"If-None-Match": headers["ETag"]}
            assert (await http(site, "GET", path, headers=etag))[0] == 304
        assert "'unsafe" not in (await http(site, "GET", "/"))[1]["Content-Security-Policy"]
    run(scenario())


def curl(url, *options):
    """(headers, bytes as they came or, with --compressed, as they are meant, number of bytes that came)."""
    done = subprocess.run(["curl", "-sS", "-D", "/dev/stderr", "-w", "%{stderr}%{size_download}", *options, url],
                          capture_output=True, timeout=30, check=True)
    head, _, came = done.stderr.decode().rpartition("\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:]), done.stdout, int(came)


def test_pages_compressed(site):
    came = {"plain": 0, "gzip": 0}
    for file in sorted(PAGES.iterdir()):
        url = f"{site.http}/assets/{file.name}"
        plain, data, size = curl(url)
        came["plain"] += size
        assert data == file.read_bytes() and size == len(data)
        assert "Content-Encoding" not in plain and plain["Vary"] == "Accept-Encoding"
        packed, data, size = curl(url, "--compressed")
        came["gzip"] += size
        assert data == file.read_bytes() and packed["Content-Encoding"] == "gzip"
        assert packed["ETag"] != plain["ETag"] and packed["Content-Type"] == plain["Content-Type"]
        for headers, options in ((plain, []), (packed, ["--compressed"])):
            head, data, _ = curl(url, "--head", *options)
            del head["Date"], headers["Date"]
            assert head == headers, "and so the length of the form that was asked for"
        assert "Content-Encoding" not in curl(url, "-H", "Accept-Encoding: gzip;q=0, *")[0]
    assert came["gzip"] * 5 < came["plain"] * 2, came
