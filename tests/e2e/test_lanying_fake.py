"""The fake Lanying cloud itself: its codec against the vectors, of which the
client's come from the vendor's own encoder, and its two transports against a
client of a few lines."""
import asyncio
import json
import pathlib

import aiohttp
import pytest

from lanying import wire
from lanying.link import EVENT, HEARTBEAT
from lanying.server import Server

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[1] / "data/lanying-vectors.json").read_text())["vectors"]
by_name = pytest.mark.parametrize("vector", VECTORS, ids=[v["name"] for v in VECTORS])
both = pytest.mark.parametrize("transport", ["socketio", "raw"])


# --- frames ---
def kinds(vector):
    return wire.UP if vector["direction"] == "C>S" else wire.DOWN


def leaves(value, path=""):
    """(path, plain value) of everything in a message that is no message, in order of the wire."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


def plain(value):
    return int(value) if isinstance(value, str) and value.isdigit() else value


@by_name
def test_vector(vector):
    data = bytes.fromhex(vector["frame_hex"])
    frame = wire.unpack(data, kinds(vector))
    scalars = ("enum/varint", "uint64", "uint32", "bool", "sint32", "string", None)
    expected = [(f["path"], plain(f["value"])) for f in vector["fields"] if f.get("type") in scalars and "value" in f]
    assert [(path, plain(value)) for path, value in leaves(frame)] == expected
    assert wire.pack(frame, kinds(vector)) == data
    assert wire.pack(frame, kinds(vector), zeros=False).hex() == vector["frame_hex_zero_omitted"]
    short = wire.unpack(bytes.fromhex(vector["frame_hex_zero_omitted"]), kinds(vector))
    assert list(leaves(short)) == [(path, value) for path, value in leaves(frame) if value not in (0, "")]
    assert (vector["socketio_text"], vector["socketio_binary_hex"]) == (EVENT, "04" + vector["frame_hex"])


@by_name
def test_cut_vector(vector):
    """A frame that ends anywhere else is malformed or another frame, never an accident."""
    data = bytes.fromhex(vector["frame_hex"])
    for size in range(len(data)):
        try:
            wire.unpack(data[:size], kinds(vector))
        except wire.Malformed:
            pass


@pytest.mark.parametrize("data", [
    "18" + "80" * 10 + "01", "18" + "ff" * 9 + "02", "1d00000000", "1b1c", "2205", "220108", "1800" * 2, "4800", "1001",
    "0a00", "4201ff", "1807", "18ffffffff0f",
])
def test_malformed(data):
    with pytest.raises(wire.Malformed):
        wire.read_up(bytes.fromhex(data))


# --- connections ---
class Client:
    """As little of a client as can log in, pull and send."""

    def __init__(self, cloud, user, transport, guid="g1"):
        self.cloud, self.user, self.transport, self.guid = cloud, user, transport, guid
        self.session = self.ws = None
        self.sn = 0

    async def __aenter__(self):
        self.session = aiohttp.ClientSession(headers={"app_id": self.cloud.world.app_id})
        await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    async def connect(self):
        path = "/" if self.transport == "raw" else "/socket.io/?EIO=3&transport=websocket"
        self.ws = await self.session.ws_connect(self.cloud.ws_url + path)
        if self.transport == "socketio":
            assert (await self.ws.receive_str()).startswith('0{"sid":') and await self.ws.receive_str() == "40"

    async def send(self, frame):
        if self.transport == "socketio":
            await self.ws.send_str(EVENT)
        await self.ws.send_bytes((b"\x04" if self.transport == "socketio" else b"") + frame)

    async def receive(self):
        if self.transport == "socketio":
            assert await self.ws.receive_str() == EVENT
        data = await self.ws.receive_bytes()
        frame = wire.read_down(data[1:] if self.transport == "socketio" else data)
        return frame["command"] if "command" in frame else 0, frame.get("payload", {})

    async def ask(self, command, payload=None):
        await self.send(wire.up({"vsn": 0, "compress_method": 0, "command": command,
                                 **({} if payload is None else {"payload": payload})}))
        return await self.receive()

    async def login(self, token=None):
        async with self.session.post(f"{self.cloud.url}/token/user", json={"name": self.user.name, "password": "secret"}) as got:
            data = (await got.json())["data"]
        _, answer = await self.ask(wire.PROVISION, {
            "xid": {"uid": self.user.uid, "deviceSN": self.sn}, "token": token or data["token"], "os_type": 6,
            "sdk_vsn": "2.0.0", "device_guid": self.guid, "device_info": "Web"})
        self.sn = answer.get("xid", {}).get("deviceSN", self.sn)
        return answer["status"]["code"]

    async def pull(self, conversation, key=None):
        return (await self.ask(wire.SYNC, {"xid": {"uid": conversation}, **({"key": key} if key else {})}))[1]

    async def post(self, to, content, client_mid, **more):
        return (await self.ask(wire.SYNC, {"meta": {
            "id": client_mid, "from": {"uid": self.user.uid, "deviceSN": self.sn}, "to": {"uid": to}, "timestamp": 1,
            "ns": wire.NS_MESSAGE, "payload": {"type": wire.CHAT, "content": content, "ctype": 0,
                                               "ext": '{"ai":{"role":"ai"}}', **more}}}))[1]


@both
def test_fake(run, transport):
    async def scenario():
        async with Server() as cloud:
            cloud.faults.page = 2
            bot = cloud.world.add_user("bot", bot=True)
            alice = cloud.person("alice")
            mids = [alice.say(f"q{i}", bot) for i in range(3)]
            async with Client(cloud, bot, transport) as c:
                assert (await c.ask(wire.UNREAD))[1]["status"]["code"] == wire.UNAUTHORIZED
                assert await c.login("nonsense") == wire.INVALID_TOKEN
                assert await c.login() == wire.OK and c.sn == 7
                await c.send(HEARTBEAT)
                assert (await c.receive())[1]["unread"] == [{"xid": {"uid": alice.uid}, "n": 3, "type": 1}]
                page = await c.pull(alice.uid)
                assert [m["id"] for m in page["metas"]] == mids[:2] and page["next_key"] == mids[1]
                page = await c.pull(alice.uid, page["next_key"])
                assert [m["payload"]["content"] for m in page["metas"]] == ["q2"] and "next_key" not in page
                assert "metas" not in await c.pull(alice.uid)
                mid = alice.say("late", bot)
                command, notice = await c.receive()
                assert command == wire.NOTICE and alice.uid in (notice.get("uid"), notice.get("xid", {}).get("uid"))
                assert [m["id"] for m in (await c.pull(alice.uid))["metas"]] == [mid]
                sent = await c.post(alice.uid, "Half an ", 1000)
                again = await c.post(alice.uid, "Half an ", 1000)
                assert sent["client_mid"] == again["client_mid"] == 1000 and "server_mid" not in again
                more = {"type": wire.OPER, "operation": {"type": wire.OP_APPEND, "mid": sent["server_mid"]}}
                await c.post(alice.uid, "answer", 1001, **more)
                assert [s.text for s in alice.view(bot).of(bot)] == ["Half an answer"]
                cloud.script.sends.append(wire.RATE_LIMIT_EXCEEDED)
                assert (await c.post(alice.uid, "x", 1002))["status"]["code"] == wire.RATE_LIMIT_EXCEEDED
                history = (await c.ask(wire.SYNC, {"xid": {"uid": alice.uid}, "is_full_sync": True, "full_sync_num": 2}))[1]
                assert [m["payload"]["content"] for m in history["metas"]] == ["Half an answer", "late"]
                async with Client(cloud, bot, transport) as other:
                    assert await other.login() == wire.OK and other.sn == 7
                    _, kicked = await c.receive()
                    assert kicked["metas"][0]["payload"] == {"type": wire.KICK_BY_SAME_DEVICE} and kicked["xid"] == {}
                    assert (await c.ws.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
                assert cloud.world.complaints == ["connection 1: spoke before it logged in"]
    run(scenario())


def test_fake_ping(run):
    async def scenario():
        async with Server() as cloud:
            cloud.ping_interval_ms = cloud.ping_timeout_ms = 200
            async with Client(cloud, cloud.world.add_user("bot"), "socketio") as c:
                await c.ws.send_str("2")
                assert await c.ws.receive_str() == "3"
                assert (await asyncio.wait_for(c.ws.receive(), 5)).type != aiohttp.WSMsgType.TEXT
                assert "no ping" in cloud.world.complaints[0]
    run(scenario())
