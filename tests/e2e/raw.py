"""Bytes on a socket: what no well-behaved client library would send."""
import asyncio
import base64
import json
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = base64.b64encode(b"sixteen bytes ok").decode()
READ_SECONDS = 30


def upgrade(port, path="/chat/ws", headers=()):
    """The head of a good WebSocket request, with more headers."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(payload, opcode=TEXT, fin=True, masked=True, mask=None, rsv=0):
    """One WebSocket frame (RFC 6455, section 5.2)."""
    if not isinstance(payload, (bytes, bytearray)):
        payload = (payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)).encode()
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return head + bytes(payload)
    mask = mask or os.urandom(4)
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


class Raw:
    """One TCP connection to the daemon."""

    def __init__(self, port):
        self.port = port
        self.reader = self.writer = None

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        return self

    async def __aexit__(self, *_):
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self):
        """(status, headers in lower case) of an answer."""
        text = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), READ_SECONDS)).decode("latin-1")
        first, *lines = text.rstrip("\r\n").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        return int(first.split()[1]), headers

    async def opened(self, headers=()):
        """Upgrades to a WebSocket."""
        await self.send(upgrade(self.port, headers=headers))
        status, got = await self.head()
        assert status == 101, (status, got)
        return got

    async def hello(self, **more):
        await self.opened()
        await self.send(frame({"type": "hello", **more}))
        return await self.json()

    async def frame(self):
        """The next frame: (opcode, payload)."""
        async def read():
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size, = struct.unpack("!H", await self.reader.readexactly(2))
            elif size == 127:
                size, = struct.unpack("!Q", await self.reader.readexactly(8))
            assert first & 0xF0 == 0x80 and not second & 0x80, "fragmented, compressed or masked"
            return first & 0x0F, await self.reader.readexactly(size)
        return await asyncio.wait_for(read(), READ_SECONDS)

    async def json(self):
        opcode, payload = await self.frame()
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self, *before):
        """The code that the daemon closes with; frames before it are of the given types only."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0] if payload else None
            assert opcode == TEXT and json.loads(payload)["type"] in before, payload

    async def ended(self):
        """Reads until the other side closes; what came."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), READ_SECONDS)
        except ConnectionError:
            return b""
