"""A network on loopback, as bad as a test wants it.

A Proxy listens on a port and passes on what comes to another one. UP is the
way from who connects to who listens, DOWN the way back. What is asked of the
proxy holds for its present and future connections; what is asked of a Link,
for that one only.

  cut        both ends see the stream end in good order (FIN)
  reset      both ends see it break (RST); bytes under way are lost
  swallow    half-open: nothing arrives any more, and nobody is told
  hold       a stall: bytes wait, none is lost, until pass_on()
  trap       one of these, when exactly so many more bytes have passed
  Way.delay  seconds that each piece is on its way
  Way.rate   bytes per second: a throttle. Who sends more feels it, because
             the proxy reads no faster
  Way.split  every byte alone, as a segment of its own
  Way.twice  every WebSocket message two times (see below)
  repeat     the same request two times (see below)
  door       what becomes of new connections: OPEN, or RESET at once, ENDED at
             once, or DEAF (taken, and that is all)
  Tls        the proxy is the TLS server for who connects. Then there are the
             door HELLO, which ends the handshake after its first message, and
             break_tls, which ends the stream within a record

Duplicates: TCP delivers each byte once, so no network makes a stream repeat
itself. What does come twice is what somebody sent twice: a client, library or
gateway that repeats a request whose answer it has not seen, or a server that
repeats a message. Hence the two forms here: `repeat` sends all that a
connection sent UP so far again, over a new connection of the proxy's own (for
HTTP the same requests, for WebSockets the same session), and `twice` doubles
whole WebSocket messages within the stream.
"""
import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import time

UP, DOWN = "up", "down"
OTHER = {UP: DOWN, DOWN: UP}
OPEN, RESET, ENDED, DEAF, HELLO = "open", "reset", "ended", "deaf", "hello"
PIECE_BYTES = 4096          # read at a time
WAITING_BYTES = 16384       # in a way, before it reads no more
BUFFER_BYTES = 16384        # of the kernel, per socket, so that who sends feels a throttle soon
RECORD_BYTES_MAX = 1 << 20  # of what a link sent up, for repeat()
HANDSHAKE_SECONDS = 30
BACKLOG = 128
RST = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time
HALF_RECORD = b"\x17\x03\x03\x40\x00" + bytes(64)  # TLS (RFC 8446, 5.1): the head of a record of 16 KiB, and little of it


def small_buffers(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)


class Frames:
    """One way of a connection, cut into the frames of a WebSocket (RFC 6455, 5.2) once it has become one."""

    def __init__(self):
        self.rest = b""   # of what is not complete yet
        self.passed = 0   # how much of that is on its way already
        self.state = "head"

    def take(self, data, twice):
        """What to pass on now that data has come."""
        held = self.rest[self.passed:]
        pieces = self.feed(data)
        if not twice or self.state == "plain":
            self.passed = len(self.rest)
            return held + data
        whole = b"".join(piece + piece if is_message else piece for piece, is_message in pieces)
        if pieces and self.passed:
            whole = whole[self.passed:]
            self.passed = 0
        return whole

    def feed(self, data):
        """[(bytes, whether they are a message)] of what is complete."""
        pieces = []
        self.rest += data if self.state != "plain" else b""
        while self.state != "plain" and 0 < (size := self.size()) <= len(self.rest):
            piece, self.rest = self.rest[:size], self.rest[size:]
            pieces.append((piece, self.state == "frames" and piece[0] in (0x81, 0x82)))
            if self.state == "head":
                self.state = "frames" if b"upgrade: websocket" in piece.lower() else "plain"
                if self.state == "plain":
                    self.rest = b""
        return pieces

    def size(self):
        """Of what comes next; 0 if that cannot be told yet."""
        if self.state == "head":
            return self.rest.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in self.rest else 0
        if len(self.rest) < 2:
            return 0
        short, mask = self.rest[1] & 0x7F, 4 if self.rest[1] & 0x80 else 0
        extra = {126: 2, 127: 8}.get(short, 0)
        if len(self.rest) < 2 + extra:
            return 0
        return 2 + extra + mask + (int.from_bytes(self.rest[2:2 + extra], "big") if extra else short)


def requests(data):
    """HTTP requests that have a length or no body (RFC 9112, 6), each with its body; all the rest, once it is no longer HTTP."""
    found = []
    while data:
        head, end, _ = data.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        size = len(head + end) + (int(length.group(1)) if length else 0)
        if not end or b"upgrade: websocket" in head.lower():
            size = len(data)
        found.append(data[:size])
        data = data[size:]
    return found


class Way:
    """What the bytes of one direction go through."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.delay = 0.0
        self.rate = 0
        self.split = False
        self.twice = False


class Watch:
    """Counts what passes one way."""

    def __init__(self, way, words):
        self.way, self.words, self.count = way, words, 0
        self.tails = {}  # by link, what may be the beginning of the next one

    def look(self, link, data):
        data = self.tails.get(link, b"") + data
        self.count += data.count(self.words)
        self.tails[link] = data[-(len(self.words) - 1):] if len(self.words) > 1 else b""


class Trap:
    def __init__(self, way, after, act):
        self.way, self.left, self.act = way, after, act
        self.sprung = asyncio.Event()


class Lane:
    """One way of one link: reads from one end and writes to the other."""

    def __init__(self, link, way):
        self.link, self.way = link, way
        self.weather = link.proxy.ways[way]
        self.reader = link.ends[way][0]
        self.writer = link.ends[OTHER[way]][1]
        self.frames = Frames()
        self.waiting = []  # (when it came, bytes)
        self.size = 0
        self.changed = asyncio.Event()

    async def wait(self):
        self.changed.clear()
        await self.changed.wait()

    async def read(self):
        """Until that end has no more to say; how it ended is the last thing that waits: b"" in good order, else None."""
        end = b""
        try:
            while data := await self.reader.read(PIECE_BYTES):
                if self.link.swallowing:
                    continue
                self.waiting.append((time.monotonic(), data))
                self.size += len(data)
                self.changed.set()
                while self.size > WAITING_BYTES:
                    await self.wait()
        except OSError:
            end = None
        self.link.hangs_up(self.way)
        self.waiting.append((time.monotonic(), end))
        self.changed.set()

    async def write(self):
        try:
            while True:
                while not self.waiting:
                    await self.wait()
                came, data = self.waiting.pop(0)
                self.size -= len(data or b"")
                self.changed.set()
                await asyncio.sleep(max(0, came + self.weather.delay - time.monotonic()))
                await self.link.flowing.wait()
                if self.link.swallowing and data:
                    continue
                if not data:
                    return self.link.ended(self.way, data is None)
                await self.deliver(self.frames.take(data, self.weather.twice))
        except OSError:
            return None  # whoever is at that end is gone; its own lane tells

    async def deliver(self, data):
        if self.weather.rate:
            await asyncio.sleep(len(data) / self.weather.rate)
        step = 1 if self.weather.split else len(data)
        for i in range(0, len(data), step or 1):
            await self.deliver_piece(data[i:i + step])
            await asyncio.sleep(0)  # or the other side would read all bytes of a split piece at once

    async def deliver_piece(self, data):
        """Up to the nearest trap; and on, if that leaves anything of the link."""
        proxy, link = self.link.proxy, self.link
        while (trap := proxy.trap_before(self.way, len(data))) and not link.closed:
            left = trap.left
            await self.pass_on(data[:left])
            data = data[left:]
            proxy.spring(trap, link)
            await link.flowing.wait()
        if not link.closed and not link.swallowing:
            await self.pass_on(data)

    async def pass_on(self, data):
        if not data:
            return
        self.link.proxy.count(self.way, len(data))
        self.link.passed[self.way] += len(data)
        for watch in self.link.proxy.watches:
            if watch.way == self.way:
                watch.look(self.link, data)
        if self.way == UP and len(self.link.sent_up) + len(data) <= RECORD_BYTES_MAX:
            self.link.sent_up += data
        self.writer.write(data)
        await self.writer.drain()
        self.link.proxy.changed()


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, number, client):
        self.proxy, self.number = proxy, number
        self.begun, self.over = time.monotonic(), None
        self.ends = {UP: client, DOWN: None}  # (reader, writer) of who connected, and of who listens
        self.passed = {UP: 0, DOWN: 0}        # bytes
        self.sent_up = bytearray()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.swallowing = False
        self.hung_up = []                     # UP, DOWN: who ended it, in this order, but for the proxy
        self.closed = False                   # nothing passes any more
        self.tasks = []

    @property
    def sound(self):
        return not self.closed and not self.swallowing and self.flowing.is_set()

    # --- what a test may do to it ---
    def cut(self):
        """What was passed on still arrives. What comes yet is dropped, or the system would make a reset of it."""
        if self.close():
            self.swallowing = True
            for _, writer in filter(None, self.ends.values()):
                with contextlib.suppress(OSError):
                    if writer.can_write_eof():
                        writer.write_eof()
                    else:  # TLS
                        writer.close()

    def reset(self):
        if self.close():
            for _, writer in filter(None, self.ends.values()):
                with contextlib.suppress(OSError):  # it may be gone
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                writer.transport.abort()

    def break_tls(self):
        """No close_notify, and half a record as the last thing to arrive at who connected."""
        if self.close():
            for _, writer in filter(None, self.ends.values()):
                if writer.get_extra_info("ssl_object"):
                    with contextlib.suppress(OSError):
                        os.write(writer.get_extra_info("socket").fileno(), HALF_RECORD)
                writer.transport.abort()

    def swallow(self):
        self.swallowing = True

    def hold(self):
        self.flowing.clear()

    def pass_on(self):
        self.flowing.set()

    # --- how it runs ---
    def close(self):
        """False: it is closed."""
        was, self.closed = self.closed, True
        self.over = self.over or time.monotonic()
        self.flowing.set()
        self.proxy.changed()
        return not was

    async def run(self):
        if self.proxy.door != OPEN:
            return await self.turn_away(self.proxy.door)
        try:
            if self.proxy.tls:
                await self.ends[UP][1].start_tls(self.proxy.tls.context, ssl_handshake_timeout=HANDSHAKE_SECONDS)
            self.ends[DOWN] = await self.proxy.reach()
        except OSError:  # also: a client that trusts another
            return self.reset()
        if not self.closed:
            lanes = [Lane(self, way) for way in (UP, DOWN)]
            self.tasks = [asyncio.ensure_future(task) for lane in lanes for task in (lane.read(), lane.write())]
            await asyncio.wait(self.tasks[:1] + self.tasks[2:3])  # both ends have hung up
            await asyncio.wait(self.tasks, timeout=0 if self.closed else None)
        return self.close_ends()

    def close_ends(self):
        self.close()
        for task in self.tasks:
            task.cancel()
        for _, writer in filter(None, self.ends.values()):
            if self.swallowing:
                writer.transport.abort()
            else:
                writer.close()

    async def turn_away(self, door):
        reader, _ = self.ends[UP]
        with contextlib.suppress(OSError):
            if door == HELLO:
                await reader.read(PIECE_BYTES)
            elif door == DEAF:
                while await reader.read(PIECE_BYTES):
                    pass
                self.hung_up.append(UP)
        if door == RESET:
            self.reset()
        else:
            self.close_ends()

    def hangs_up(self, way):
        if not self.closed:
            self.hung_up.append(way)
            self.proxy.changed()

    def ended(self, way, broken):
        """All that this end said has arrived at the other."""
        _, writer = self.ends[OTHER[way]]
        if self.swallowing:
            return
        if broken:
            self.reset()
            return
        with contextlib.suppress(OSError):
            if writer.can_write_eof():
                writer.write_eof()
            else:  # TLS knows no half of a connection
                self.cut()


class Tls:
    """A certificate for 127.0.0.1 and localhost, and `ca`, the file of who vouches for it."""

    def __init__(self, folder):
        self.ca, key = folder / "ca.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", key, "-out", self.ca], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)


class Proxy:
    """An async context manager. target: the port on loopback that it stands for, or a function that tells it."""

    def __init__(self, target, tls=None):
        self.target = target
        self.tls = tls
        self.door = OPEN
        self.ways = {UP: Way(), DOWN: Way()}
        self.links = []      # all there ever were
        self.traps = []
        self.watches = []
        self.server = None
        self.port = 0
        self.event = asyncio.Event()
        self.running = set()

    async def __aenter__(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        small_buffers(sock)  # those of its connections are made like this
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        self.server = await asyncio.start_server(self.come_in, sock=sock, limit=PIECE_BYTES, backlog=BACKLOG)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for link in self.links:
            link.reset()
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        await self.server.wait_closed()

    async def come_in(self, reader, writer):
        link = Link(self, len(self.links), (reader, writer))
        self.links.append(link)
        self.running.add(asyncio.current_task())
        self.changed()
        try:
            await link.run()
        finally:
            link.close_ends()
            self.running.discard(asyncio.current_task())

    async def reach(self):
        sock = socket.socket()
        small_buffers(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            port = self.target() if callable(self.target) else self.target
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return await asyncio.open_connection(sock=sock, limit=PIECE_BYTES)

    # --- all links at once ---
    def live(self):
        return [link for link in self.links if not link.closed]

    def cut(self):
        for link in self.live():
            link.cut()

    def reset(self):
        for link in self.live():
            link.reset()

    def break_tls(self):
        for link in self.live():
            link.break_tls()

    def swallow(self):
        for link in self.live():
            link.swallow()

    def hold(self):
        for link in self.live():
            link.hold()

    def pass_on(self):
        for link in self.live():
            link.pass_on()

    def fine(self):
        """Good weather again, for what is to come."""
        self.door = OPEN
        self.traps.clear()
        for way in self.ways.values():
            way.clear()

    # --- traps ---
    def trap(self, way, after, act):
        """When `after` more bytes have passed that way, over whatever links, and before the next one does: act(link).
        The trap's `sprung` tells when."""
        self.traps.append(Trap(way, after, act))
        return self.traps[-1]

    def trap_before(self, way, size):
        """The first trap that so many bytes would run into."""
        return min((t for t in self.traps if t.way == way and t.left < size), key=lambda t: t.left, default=None)

    def count(self, way, size):
        for trap in self.traps:
            if trap.way == way:
                trap.left = max(0, trap.left - size)

    def spring(self, trap, link):
        if trap in self.traps:  # fine() may have come in between
            self.traps.remove(trap)
            trap.act(link)
            trap.sprung.set()
            self.changed()

    # --- for tests ---
    def watch(self, way, words):
        """Counts how often these bytes pass that way: its `count`."""
        self.watches.append(Watch(way, words))
        return self.watches[-1]

    async def repeat(self, link, words=b""):
        """Sends again what that link sent up, over a connection of the proxy's own; of HTTP requests those whose first
        line has these words, one after the other. The first of what comes back, for each."""
        answers = []
        for request in requests(bytes(link.sent_up)):
            if words in request.partition(b"\r\n")[0]:
                reader, writer = await self.reach()
                try:
                    writer.write(request)
                    await writer.drain()
                    answers.append(await reader.read(PIECE_BYTES))
                finally:
                    writer.transport.abort()
        return answers

    def changed(self):
        self.event.set()

    async def until(self, condition, seconds, what):
        """Waits until the condition is true; its value."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            self.event.clear()
            try:
                await asyncio.wait_for(self.event.wait(), max(0, end - time.monotonic()))
            except asyncio.TimeoutError:
                raise AssertionError(f"{what}: not within {seconds} s") from None
        return found
