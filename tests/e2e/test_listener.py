"""What the listener does with requests that other servers might read differently, with compressed bombs, and with many
who say nothing. Random nonsense is test_hostile.py's."""
import asyncio
import contextlib
import re
import resource
import zlib

import aiohttp
import pytest

import raw
from test_hostile import GROWTH_KB, LIMITS, still_there
from test_model import Model, completion, whole

# --- one request is one request, whoever stands between ---
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def request(*headers, line=b"POST /chat HTTP/1.1", end=b"\r\n"):
    return end.join((line, b"Host: localhost", *headers, b"", b""))


@pytest.mark.parametrize("head, status", [
    (request(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    (request(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    (request(b"Content-Length: 0", b"Content-Length: 44"), 400),
    (request(b"Content-Length: 5", b"Content-Length: 5"), 400),
    (request(b"Content-Length: 5, 5"), 400),
    (request(b"Content-Length: +5"), 400),
    (request(b"Content-Length: 0x5"), 400),
    (request(b"Content-Length: 18446744073709551621"), 400),
    (request(b"Content-Length : 5"), 400),
    (request(b"Transfer-Encoding : chunked"), 400),
    (request(b"Transfer-Encoding: chunked"), 411),
    (request(b"Transfer-Encoding: xchunked"), 411),
    (request(b"Transfer-Encoding: identity, chunked"), 411),
    (request(b"Transfer-Encoding:\x0bchunked"), 400),
    (request(b"A: b\r\n Content-Length: 5"), 400),
    (request(b"Transfer-Encoding:\r\n chunked"), 400),
    (request(b"A: b\nContent-Length: 5"), 400),
    (request(b"A: b\rContent-Length: 5"), 400),
    (request(b"A: b\0"), 400),
    (request(b"Host: other"), 400),
    (request(b"A: b", end=b"\n") + b"\r\n\r\n", 505),
    (request(line=b"POST  /chat HTTP/1.1"), 400),
    (request(line=b"POST /chat HTTP/1.1\r\n"), 400),
    (request(b"Transfer-Encoding: chunked", line=b"GET /healthz HTTP/1.1"), 411),
    (request(b"Transfer-Encoding: chunked", line=b"GET /healthz HTTP/1.0"), 400),
])
def test_smuggling(daemon, run, head, status):
    """What another server could read as something else is refused, and nothing behind it is read as a request."""
    async def scenario():
        async with raw.Raw(daemon.port) as c:
            await c.send(head + b"0\r\n\r\n" + SMUGGLED)
            c.writer.write_eof()
            came = await c.ended()
        assert came.startswith(f"HTTP/1.1 {status} ".encode()) and came.count(b"HTTP/1.1 ") == 1, came
    run(scenario())


def test_body_is_not_a_request(daemon, run):
    """A body is read to its end and no further."""
    async def scenario():
        async with raw.Raw(daemon.port) as c:
            length = b"Content-Length: %d" % len(SMUGGLED)
            await c.send(request(length, line=b"GET / HTTP/1.1") + SMUGGLED + request(line=b"GET /nosuch HTTP/1.1"))
            c.writer.write_eof()
            came = await c.ended()
        assert re.findall(rb"HTTP/1.1 (\d+) ", came) == [b"200", b"404"], came
    run(scenario())


# --- what an answer tells browsers ---
@pytest.mark.parametrize("path, status", [("/", 200), ("/demo", 200), ("/assets/chat.js", 200), ("/widget.js", 200), ("/healthz", 200),
                                          ("/readyz", 200), ("/metrics", 200), ("/nosuch", 404), ("/chat", 405), ("/chat/ws", 426)])
def test_headers(daemon, run, path, status):
    async def scenario():
        async with raw.Raw(daemon.port) as c:
            await c.send(request(line=f"GET {path} HTTP/1.1".encode()))
            return await c.head()
    got, headers = run(scenario())
    assert got == status and headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] in ("no-store", "no-cache") and "server" not in headers
    policy = headers.get("content-security-policy", "")
    assert "html" not in headers["content-type"] or ("default-src 'none'" in policy and "frame-ancestors 'self'" in policy)
    assert "unsafe" not in policy and "access-control-allow-origin" not in headers


# --- bombs ---
BOMB_BYTES = 128 << 20


def bomb(size):
    """So many zeros, compressed by a thousand."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.flush()])


def test_compressed_frame(daemon, run):
    """Compression was offered and not taken up: a frame that uses it is an error, whatever would come out of it."""
    async def scenario():
        async with raw.Raw(daemon.port) as c:
            headers = await c.opened(["Sec-WebSocket-Extensions: permessage-deflate"])
            assert "sec-websocket-extensions" not in headers
            await c.send(raw.frame({"type": "hello"}))
            assert (await c.json())["type"] == "welcome"
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            await c.send(raw.frame(packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH), rsv=4))
            assert await c.closed() == 1002
    run(scenario())
    run(still_there(daemon))


def test_compressed_request(make_daemon, run):
    """Nothing is unpacked: what is no JSON as it came is none."""
    daemon = make_daemon(release=True).start()
    body = bomb(BOMB_BYTES)
    run(still_there(daemon))
    before = daemon.rss_kb()

    async def scenario():
        async with aiohttp.ClientSession() as session:
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            async with session.post(daemon.http + "/chat", data=body, headers=headers) as answer:
                return answer.status
    assert run(scenario()) == 400
    assert daemon.rss_kb() - before < GROWTH_KB


def test_compressed_answer(make_daemon, run):
    """A bomb in an answer is never unpacked: nobody asked for compression."""
    daemon = make_daemon(release=True)
    packed = bomb(BOMB_BYTES)
    one = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed), packed]

    async def scenario():
        async with Model({"hello": [one], "warm": [whole(200, completion("Warm."))]}) as model:
            daemon.configure(models=f""", {{ name = "m"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "x"; retries = 0;
                             stream = false; }}""", bots=', { name = "mb"; model = "m"; }', channels='{ match = "web:*"; bot = "mb"; }')
            await asyncio.to_thread(daemon.start)
            async with daemon.chat(lang="en") as c:
                assert (await c.ask("1", "warm"))["text"] == "Warm."
                before = daemon.rss_kb()
                assert (await c.ask("2", "hello")).get("notice")
            assert model.requests[-1][1]["accept-encoding"] == "identity"
            assert daemon.rss_kb() - before < GROWTH_KB
    run(scenario())


# --- many who say nothing ---
IDLE = 5000
IDLE_KB_EACH = 4
FEW = 128  # descriptors


@pytest.mark.slow
def test_idle_connections(make_daemon, run):
    """So many at rest cost little, hinder nobody, and are told apart from one too many."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < 2 * IDLE:
        pytest.skip(f"the system allows {most} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    daemon = make_daemon(release=True, account=LIMITS + f"max_connections = {IDLE + 2};").start()

    async def sit(stack):
        c = await stack.enter_async_context(raw.Raw(daemon.port))
        assert (await c.hello())["type"] == "welcome"

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            await still_there(daemon)
            before = daemon.rss_kb()
            for _ in range(IDLE // 50):
                await asyncio.gather(*(sit(stack) for _ in range(50)))
            each = (daemon.rss_kb() - before) / IDLE
            print(f"{each:.2f} kB each")
            assert each < IDLE_KB_EACH
            await still_there(daemon)
            for _ in range(2):
                await sit(stack)
            one_too_many = await stack.enter_async_context(raw.Raw(daemon.port))
            await one_too_many.send(raw.upgrade(daemon.port))
            assert (await one_too_many.head())[0] == 503
            async with aiohttp.ClientSession() as session, session.get(daemon.http + "/healthz") as answer:
                assert answer.status == 200
    run(scenario())


@pytest.mark.slow
def test_more_connections_than_descriptors(make_daemon, run):
    """Who opens connections and says nothing takes every descriptor for as long as a request may take, and no longer."""
    daemon = make_daemon(release=True, account=LIMITS).start()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (FEW, FEW))

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(raw.Raw(daemon.port)) for _ in range(2 * FEW)]
            await still_there(daemon)
            for c in silent:
                assert await c.ended() == b""
    run(scenario())
    assert "no more connections" in daemon.new_log()
