"""A cloud that sends what no cloud should: one line in the log, no harm."""
import asyncio
import json
import time

import pytest

import raw
from lanying import wire
from lanying.link import EVENT
from lanying.server import EVENT_SECONDS
from lanying.stage import lanying  # noqa: F401 (a fixture)
from lanying.world import now_ms

pytestmark = pytest.mark.slow
CAP = wire.FRAME_BYTES_MAX


def frame(payload, command=wire.SYNC):
    return wire.varint(0x18) + wire.varint(command) + wire.tagged(4, payload)


def sync(*metas):
    return frame(wire.tagged(1, b"\x08\x01") + b"".join(wire.tagged(2, meta) for meta in metas))


def nested(depth):
    """XIDs in XIDs, as no schema has them."""
    data = b""
    for _ in range(depth):
        data = wire.tagged(1, data)
    return data


BAD_FRAMES = {
    "noise": bytes(range(256)),
    "long-varint": b"\x18" + b"\xff" * 10 + b"\x01",
    "varint-of-65-bits": b"\x18" + b"\xff" * 9 + b"\x7f",
    "cut-varint": b"\x18\x80",
    "group-start": b"\x1b\x1c",
    "group-end": b"\x1c",
    "wire-type-6": b"\x1e",
    "wire-type-7": b"\x1f",
    "field-0": b"\x00\x00",
    "cut-payload": b"\x18\x01\x22\x7f\x08",
    "length-near-2-64": b"\x18\x01\x22" + b"\xff" * 9 + b"\x01",
    "command-as-bytes": b"\x1a\x01\x00",
    "payload-as-number": b"\x18\x01\x20\x07",
    "compressed": b"\x10\x01" + sync(),
    "encrypted": sync() + b"\x28\x01",
    "status-as-number": frame(b"\x08\x01"),
    "deep-notice": frame(nested(5000), wire.NOTICE),
    "deep-meta": sync(nested(5000)),
    "meta-of-noise": sync(bytes(range(255, 0, -1))),
    "body-of-noise": sync(wire.encode("Meta", {"id": 5, "from": {"uid": 9}, "to": {"uid": 8}, "ns": 1, "payload": b"\xff" * 50})),
    "notice-of-noise": sync(wire.encode("Meta", {"id": 6, "from": {"uid": 0}, "ns": 4, "payload": b"\x1f\x1f"})),
    "over-the-cap": sync(b"\x32" + wire.varint(CAP) + bytes(CAP)),
}
# No fault of theirs, or not enough of one for a line in the log.
ODD_FRAMES = {
    "nothing": b"",
    "unknown-command": frame(b"", 77),
    "empty-notice": frame(b"", wire.NOTICE),
    "no-payload": b"\x18\x01",
    "unread-of-nobody": frame(wire.tagged(1, b"\x08\x01") + wire.tagged(2, b""), wire.UNREAD),
    "ack-of-nothing": frame(wire.tagged(1, b"\x08\x01") + b"\x28" + wire.varint(2**63 + 5)),
    "login-again": frame(wire.tagged(1, b"\x08\x01") + wire.tagged(2, b"\x08\x05\x10\x07"), wire.PROVISION),
    "a-thousand-metas": sync(*[b""] * 1000),
    "unread-of-ten-thousand": frame(wire.tagged(1, b"\x08\x01") + b"".join(
        wire.tagged(2, wire.tagged(1, b"\x08" + wire.varint(7 * 10**12 + i)) + b"\x10\x00") for i in range(10000)), wire.UNREAD),
}


def complaints(s, mark):
    """Lines of warnings and errors in the log from there on."""
    with open(s.daemon.log, "rb") as log:
        log.seek(mark)
        lines = log.read().decode(errors="replace").splitlines()
    return [line for line in lines if " warn " in line or " error " in line]


async def survives(s, push, lines):
    session = await s.online()
    assert (await s.ask(s.alice, "#echo before")).text == "before"
    mark, before = s.daemon.log.stat().st_size, s.daemon.rss_kb()
    push(session)
    end = time.monotonic() + EVENT_SECONDS
    while lines and not complaints(s, mark):
        assert time.monotonic() < end, "not a word about it"
        await asyncio.sleep(0.02)
    assert (await s.ask(s.alice, "#echo after")).text == "after"
    said = complaints(s, mark)
    assert not lines or len(said) == 1 or session.closed and 1 <= len(said) <= 2, said
    assert all(len(line) < 2100 for line in said)
    assert s.daemon.process.poll() is None
    return before


def push_frame(data):
    return lambda session: session.send_frame(data)


@pytest.mark.parametrize("transport", ["socketio", "raw"])
@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frame(lanying, transport, name):
    async def scenario(s):
        await survives(s, push_frame(BAD_FRAMES[name]), True)
    lanying(scenario, account=f'transport = "{transport}";')


@pytest.mark.parametrize("name", ODD_FRAMES)
def test_odd_frame(lanying, name):
    async def scenario(s):
        await survives(s, push_frame(ODD_FRAMES[name]), False)
    lanying(scenario)


@pytest.mark.parametrize("messages", [
    ('451-["frame",{"_placeholder":true,"num":0}]', "2"), ("451-", b"\x04"), ("451-[", b"\x04abc"), (EVENT, b""),
    (EVENT, b"\x05abc"), (b"\x04\x18\x02",), (EVENT, EVENT, b"\x04\x18\x02"),
    ("452-" + EVENT[4:], b"\x04\x18\x02", b"\x04\x18\x02"),
    ('451-["other",{"_placeholder":true,"num":0}]', b"\x04\x18\x01"), ('42["frame",{}]',), ("45" + "9" * 400,), ("4",), ("",),
    ("9nonsense",), ("[" * 100000,), ("6",), ("2probe",), ("3",), ("40",), ('0{"pingInterval":-1,"pingTimeout":1e300}',),
    ('44"refused"',), ("41",), ("1",),
], ids=lambda messages: str(messages)[:40])
def test_bad_messages(lanying, messages):
    """Of Engine.IO and Socket.IO."""
    async def scenario(s):
        await survives(s, lambda session: [session.outbox.put_nowait((m,)) for m in messages], False)
    lanying(scenario, account='transport = "socketio";', complaints=True)


@pytest.mark.parametrize("hello", ["0", "0{", "0[]", '0{"pingInterval":"x"}', '0{"sid":7,"pingInterval":0,"pingTimeout":0}',
                                   "40", "nonsense", "0" + "[" * 100000],
                         ids=lambda hello: hello[:30])
def test_bad_opening(lanying, hello):
    """The next attempt finds a better one."""
    async def scenario(s):
        s.cloud.openings.append(hello)
        await s.online()
        assert (await s.ask(s.alice, "#echo fine")).text == "fine"
    lanying(scenario, account='transport = "socketio";', complaints=True)


def message_frame(s, text, mid, more=b""):
    """An eager push of what alice says, with fields that nobody knows, of all wire types."""
    unknown = b"\xa0\x06\x07" + b"\xa9\x06" + bytes(8) + b"\xad\x06" + bytes(4) + b"\xa2\x06\x03abc"
    body = unknown + wire.encode("MessageBody", {"type": wire.CHAT, "content": text}) + unknown
    meta = unknown + wire.encode("Meta", {"id": mid, "from": {"uid": s.alice.uid, "deviceSN": 3}, "to": {"uid": s.bot.uid},
                                          "timestamp": now_ms(), "ns": wire.NS_MESSAGE, "payload": body}) + unknown
    return unknown + frame(unknown + wire.tagged(1, b"\x08\x01") + wire.tagged(2, meta) + wire.tagged(
        4, wire.encode("XID", {"uid": s.alice.uid})) + more) + unknown


@pytest.mark.parametrize("transport", ["socketio", "raw"])
def test_unknown_fields(lanying, transport):
    async def scenario(s):
        session = await s.online()
        mid = s.world.next_mid()
        session.send_frame(message_frame(s, "#echo known", mid))
        assert (await s.answer(s.alice, mid)).text == "known"
    lanying(scenario, account=f'transport = "{transport}";', complaints=True)


@pytest.mark.parametrize("mid", [1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_ids(lanying, mid):
    """Of 64 bits, every one of them."""
    async def scenario(s):
        session = await s.online()
        session.send_frame(message_frame(s, "#echo exact", mid))
        seen = await s.answer(s.alice, mid)
        assert seen.text == "exact" and str(seen.ai["request_msg_id"]) == str(mid)
    lanying(scenario, complaints=True)


def test_fragments(lanying):
    """A frame may come in many pieces; pings may come between them."""
    async def scenario(s):
        session = await s.online()
        mid = s.world.next_mid()
        data = message_frame(s, "#echo " + "piece " * 500, mid)
        pieces = [data[i:i + 7] for i in range(0, len(data), 7)]
        out = b""
        for i, piece in enumerate(pieces):
            out += raw.frame(piece, raw.BINARY if i == 0 else 0, fin=i == len(pieces) - 1, masked=False)
            if i % 50 == 0 and i < len(pieces) - 1:
                out += raw.frame(b"are you there", raw.PING, masked=False)
        session.request.transport.write(out)
        assert (await s.answer(s.alice, mid)).text.startswith("piece piece")
    lanying(scenario, account='transport = "raw";', complaints=True)


@pytest.mark.parametrize("text", [
    "\x00\x01\x02", "a\x00b", "\u202e\u200d" * 100, "\ufeff", "🦜" * 3000, "x" * 200000, " ", "\n" * 5000, "`" * 3000,
    "{" * 3000,
], ids=lambda text: ascii(text)[:20])
def test_odd_text(lanying, text):
    async def scenario(s):
        await s.online()
        s.alice.say(text, s.bot, config={"senderNickname": text[:1000]})
        assert (await s.ask(s.alice, "#echo after")).text == "after"
    lanying(scenario)


@pytest.mark.parametrize("config", [
    "nonsense", "[]", '{"mentionList":' + "[" * 5000, json.dumps({"mentionList": list(range(20000))}), '{"senderNickname":{}}',
    '{"mentionList":[1e400,-1,2.5,18446744073709551616]}',
], ids=lambda text: text[:20])
def test_odd_config(lanying, config):
    async def scenario(s):
        await s.online()
        s.world.post(s.alice.user, 3, s.group.gid, {"type": wire.GROUPCHAT, "content": "no", "config": config})
        mid = s.tell(s.alice, "@bot #echo yes", to=s.group, mention=[s.bot])
        assert (await s.answer(s.alice, mid, s.group)).text == "yes"
    lanying(scenario)
