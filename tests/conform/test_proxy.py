"""The proxy does to bytes what it says, and nothing else."""
import asyncio
import random
import socket
import ssl
import sys

import pytest

from .proxy import DEAF, DOWN, ENDED, HELLO, RESET, UP, Frames, Proxy, Tls
from raw import frame

SECONDS = 20
SOME = bytes(random.Random(7).randbytes(200_000))


class Echo:
    """A server that sends back what it gets."""

    def __init__(self):
        self.got = []    # per connection
        self.ended = []  # how connections ended: "eof" or the name of an exception
        self.pieces = 0
        self.answering = True

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        got = bytearray()
        self.got.append(got)
        try:
            while data := await reader.read(1 << 16):
                got += data
                self.pieces += 1
                if self.answering:
                    writer.write(data)
                    await writer.drain()
            self.ended.append("eof")
        except OSError as e:
            self.ended.append(type(e).__name__)
        writer.close()


class Client:
    def __init__(self, proxy, **tls):
        self.proxy, self.tls = proxy, tls

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.proxy.port, **self.tls)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, size):
        return await asyncio.wait_for(self.reader.readexactly(size), SECONDS)

    async def ends(self):
        """What still comes, and how it ends."""
        got = b""
        try:
            while data := await asyncio.wait_for(self.reader.read(1 << 16), SECONDS):
                got += data
            return got, "eof"
        except ssl.SSLError:
            return got, "tls"
        except OSError as e:
            return got, type(e).__name__


async def eventually(condition):
    end = asyncio.get_running_loop().time() + SECONDS
    while not condition():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.005)


@pytest.fixture
def play(run):
    """play(scenario, …): scenario(echo server, proxy before it)."""

    def play_it(scenario, tls=None):
        async def all_of_it():
            async with Echo() as echo, Proxy(echo.port, tls) as proxy:
                await scenario(echo, proxy)
        run(all_of_it())

    return play_it


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return Tls(tmp_path_factory.mktemp("tls"))


def trusting(tls):
    return {"ssl": ssl.create_default_context(cafile=tls.ca)}


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("conditions", [{}, {"delay": 0.05}, {"rate": 400_000}, {"twice": True}], ids=str)
def test_passes_everything(play, tls, conditions, secure):
    """And the end of the stream after it; these bytes are no WebSocket, so none are doubled."""
    async def scenario(echo, proxy):
        for way in (UP, DOWN):
            vars(proxy.ways[way]).update(conditions)
        async with Client(proxy, **(trusting(tls) if secure else {})) as client:
            sending = asyncio.create_task(client.send(b"x\r\n\r\n" + SOME))
            assert await client.read(len(SOME) + 5) == b"x\r\n\r\n" + SOME
            await sending
            if not secure:
                client.writer.write_eof()
                assert await client.ends() == (b"", "eof")
                await eventually(lambda: echo.ended == ["eof"])
        link, = proxy.links
        assert link.passed == {UP: len(SOME) + 5, DOWN: len(SOME) + 5}
        await eventually(lambda: link.closed)
    play(scenario, tls if secure else None)


def test_split(play):
    async def scenario(echo, proxy):
        proxy.ways[UP].split = True
        async with Client(proxy) as client:
            await client.send(SOME[:500])
            assert await client.read(500) == SOME[:500]
            assert echo.pieces >= 100, echo.pieces  # some may be read together all the same
    play(scenario)


def test_delay(play):
    async def scenario(_, proxy):
        proxy.ways[UP].delay = 0.2
        async with Client(proxy) as client:
            begun = asyncio.get_running_loop().time()
            await client.send(b"1")
            await asyncio.sleep(0.1)
            await client.send(b"2")
            assert await client.read(2) == b"12"
            assert asyncio.get_running_loop().time() - begun >= 0.3
    play(scenario)


def test_throttle_is_felt(play):
    """The proxy keeps little of what the slow side has not taken yet."""
    async def scenario(echo, proxy):
        proxy.ways[UP].rate = 20_000
        async with Client(proxy) as client:
            client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            client.writer.transport.set_write_buffer_limits(0)
            sending = asyncio.create_task(client.send(SOME))
            await eventually(lambda: echo.got and len(echo.got[0]) > 20_000)
            assert not sending.done()
            sending.cancel()
    play(scenario)


def test_cut(play):
    async def scenario(echo, proxy):
        async with Client(proxy) as client:
            await client.send(b"hello")
            assert await client.read(5) == b"hello"
            proxy.cut()
            assert not proxy.live()
            await client.send(b"too late")
            assert await client.ends() == (b"", "eof")
            await eventually(lambda: echo.ended == ["eof"])
            assert echo.got == [b"hello"]
        async with Client(proxy) as client:
            await client.send(b"again")
            assert await client.read(5) == b"again"
    play(scenario)


def test_reset(play):
    async def scenario(echo, proxy):
        async with Client(proxy) as client:
            await client.send(b"hello")
            assert await client.read(5) == b"hello"
            proxy.reset()
            assert await client.ends() == (b"", "ConnectionResetError")
            await eventually(lambda: echo.ended == ["ConnectionResetError"])
    play(scenario)


@pytest.mark.parametrize("how, seen", [("eof", "eof"), ("reset", "ConnectionResetError")])
def test_ends_are_passed_on(play, how, seen):
    async def scenario(echo, proxy):
        async with Client(proxy) as client:
            await client.send(b"hello")
            await client.read(5)
            if how == "eof":
                client.writer.write_eof()
            else:
                client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.writer.transport.abort()
            await eventually(lambda: echo.ended == [seen])
            assert proxy.links[0].hung_up[0] == UP
    play(scenario)


def test_swallow(play):
    """Nobody hears anything any more, not even that the other side has left."""
    async def scenario(echo, proxy):
        async with Client(proxy) as client:
            await client.send(b"hello")
            await client.read(5)
            proxy.swallow()
            await client.send(b"is anybody there?")
            client.writer.write_eof()
            await proxy.until(lambda: proxy.links[0].hung_up == [UP], SECONDS, "the client leaves")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.reader.read(1), 0.1)
            assert echo.got == [b"hello"] and not echo.ended
    play(scenario)


def test_hold(play):
    """What waits arrives, also when who sent it has left or broken off meanwhile."""
    async def scenario(echo, proxy):
        for how in ("eof", "abort"):
            async with Client(proxy) as client:
                await client.send(b"hello")
                await client.read(5)
                link = proxy.links[-1]
                link.hold()
                await client.send(b" and goodbye")
                await asyncio.sleep(0.05)
                assert echo.got[-1] == b"hello"
                if how == "eof":
                    client.writer.write_eof()
                else:
                    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    client.writer.transport.abort()
                await proxy.until(lambda link=link: link.hung_up, SECONDS, "the client leaves")
                link.pass_on()
                await eventually(lambda: echo.got[-1] == b"hello and goodbye")
        assert len(echo.got) == 2
    play(scenario)


@pytest.mark.parametrize("after", [0, 1, 999, 1000, 1001, 5000, 8999, 9000])
@pytest.mark.parametrize("way", [UP, DOWN])
def test_trap(play, way, after):
    """Exactly so many bytes pass; all that there are spring none."""
    async def scenario(echo, proxy):
        trap = proxy.trap(way, after, lambda link: link.cut())
        async with Client(proxy) as client:
            for at in range(0, 9000, 1000):
                await client.send(SOME[at:at + 1000])
                if not trap.sprung.is_set():
                    try:
                        await client.read(1000)
                    except asyncio.IncompleteReadError:
                        break
            assert trap.sprung.is_set() == (after < 9000) == proxy.links[0].closed
            assert proxy.links[0].passed[way] == after
            if way == UP:
                await eventually(lambda: len(echo.got[0]) == after)
    play(scenario)


def test_traps_one_after_the_other(play):
    async def scenario(echo, proxy):
        held = proxy.trap(UP, 3, lambda link: link.hold())
        gone = proxy.trap(UP, 5, lambda link: link.swallow())
        async with Client(proxy) as client:
            await client.send(b"0123456789")
            await asyncio.wait_for(held.sprung.wait(), SECONDS)
            await eventually(lambda: echo.got == [b"012"])
            assert not gone.sprung.is_set()
            proxy.pass_on()
            await asyncio.wait_for(gone.sprung.wait(), SECONDS)
            await eventually(lambda: echo.got == [b"01234"])
            assert not proxy.traps
    play(scenario)


@pytest.mark.parametrize("door, seen", [(RESET, "ConnectionResetError"), (ENDED, "eof")])
def test_doors(play, door, seen):
    async def scenario(echo, proxy):
        proxy.door = door
        async with Client(proxy) as client:
            assert await client.ends() == (b"", seen)
        assert not echo.got and len(proxy.links) == 1
        proxy.fine()
        async with Client(proxy) as client:
            await client.send(b"1")
            assert await client.read(1) == b"1"
    play(scenario)


def test_deaf_door(play):
    async def scenario(echo, proxy):
        proxy.door = DEAF
        async with Client(proxy) as client:
            await client.send(b"1")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.reader.read(1), 0.1)
        await eventually(lambda: proxy.links[0].closed and proxy.links[0].hung_up == [UP])
        assert not echo.got
    play(scenario)


def test_nobody_listens(run):
    async def scenario():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            async with Proxy(unused.getsockname()[1]) as proxy, Client(proxy) as client:
                assert await client.ends() == (b"", "ConnectionResetError")
    run(scenario())


def test_comes_back_on_its_port(run):
    async def scenario():
        async with Echo() as echo:
            proxy = Proxy(lambda: echo.port)
            for _ in range(3):
                async with proxy, Client(proxy) as client:
                    port = proxy.port
                    await client.send(b"1")
                    assert await client.read(1) == b"1"
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", port)
    run(scenario())


@pytest.mark.parametrize("split", [False, True])
def test_watch(play, split):
    async def scenario(_, proxy):
        proxy.ways[DOWN].split = split
        up, down, other = proxy.watch(UP, b"ana"), proxy.watch(DOWN, b"429"), proxy.watch(DOWN, b"banana")
        for _ in range(2):
            async with Client(proxy) as client:
                await client.send(b"429 4429 bana 42")
                assert await client.read(16) == b"429 4429 bana 42"
        assert (up.count, down.count, other.count) == (2, 4, 0)
    play(scenario)


def test_repeat(play):
    get, put = b"GET /1 HTTP/1.1\r\n\r\n", b"PUT /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"

    async def scenario(echo, proxy):
        async with Client(proxy) as client:
            for request in (get, put, get):
                await client.send(request)
                await client.read(len(request))
            assert await proxy.repeat(proxy.links[0]) == [get, put, get]
            assert await proxy.repeat(proxy.links[0], b"PUT ") == [put]
        assert echo.got == [get + put + get, get, put, get, put] and len(proxy.links) == 1
    play(scenario)


def test_repeat_a_websocket(play):
    session = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" + frame("a") + b"\r\n\r\n"

    async def scenario(echo, proxy):
        async with Client(proxy) as client:
            await client.send(session)
            await client.read(len(session))
            assert await proxy.repeat(proxy.links[0]) == [session]
        assert echo.got == [session] * 2
    play(scenario)


HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
MESSAGES = [frame("a"), frame("b" * 200, masked=False), frame(b"c" * 70_000, opcode=2), frame(""), frame("d" * 125)]
PING = frame(b"?", opcode=9)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 4096, 1 << 20])
def test_frames_twice(size):
    """Messages come twice, heads and pings once, however the stream is cut, and switched on or off at any byte."""
    stream = HEAD + PING.join(MESSAGES)
    whole = HEAD + PING.join(m + m for m in MESSAGES)
    frames = Frames()
    assert b"".join(frames.take(stream[i:i + size], True) for i in range(0, len(stream), size)) == whole
    for turn in {0, 1, len(HEAD) - 1, len(HEAD), len(HEAD) + 1, len(HEAD) + len(MESSAGES[0]), len(stream) // 2, len(stream)}:
        on, off = Frames(), Frames()
        later = on.take(stream[:turn], False) + on.take(stream[turn:], True)
        first = off.take(stream[:turn], True) + off.take(stream[turn:], False)
        for result in (later, first):
            once = Frames().feed(result)
            without = [piece for n, (piece, message) in enumerate(once) if not message or n == 0 or once[n - 1][0] != piece]
            assert b"".join(without) == stream, turn


def test_frames_of_http():
    """What did not become a WebSocket is left alone."""
    stream = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\x81\x01a\x00" * 3
    frames = Frames()
    assert b"".join(frames.take(stream[i:i + 5], True) for i in range(0, len(stream), 5)) == stream


# --- TLS ---
def test_handshake_broken_off(play, tls):
    async def scenario(echo, proxy):
        proxy.door = HELLO
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await Client(proxy, **trusting(tls)).__aenter__()
        assert not echo.got
    play(scenario, tls)


def test_foreign_certificate(play, tls):
    async def scenario(echo, proxy):
        with pytest.raises(ssl.SSLCertVerificationError):
            await Client(proxy, ssl=ssl.create_default_context()).__aenter__()
        await eventually(lambda: proxy.links[0].closed)
        assert not echo.got
    play(scenario, tls)


def test_break_tls(play, tls):
    """The client sees a stream that broke off, which no end in good order looks like."""
    context = trusting(tls)["ssl"]
    if sys.version_info >= (3, 13):
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF  # it is the half record that counts

    async def scenario(_, proxy):
        async with Client(proxy, ssl=context) as client:
            await client.send(b"hello")
            assert await client.read(5) == b"hello"
            link, = proxy.links
            sock = link.ends[UP][1].get_extra_info("socket")
            assert sock is not None
            link.break_tls()
            assert link.closed
            got, _ = await client.ends()
            assert got == b""
    play(scenario, tls)


def test_tls_cut(play, tls):
    async def scenario(echo, proxy):
        async with Client(proxy, **trusting(tls)) as client:
            await client.send(b"hello")
            assert await client.read(5) == b"hello"
            proxy.cut()
            assert await client.ends() == (b"", "eof")
            await eventually(lambda: echo.ended == ["eof"])
    play(scenario, tls)
