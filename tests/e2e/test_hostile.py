"""Ten thousand hostile frames and requests: the daemon stays up, goes on
answering everybody else, and gives back the memory."""
import asyncio
import contextlib
import json
import os
import random
import re
import time

import aiohttp
import pytest

import raw

ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "10000"))
SEEDS = [20261121, int(os.environ.get("HOSTILE_SEED", random.randrange(10**6)))]
AT_ONCE = 24          # connections
FRAMES_EACH = 20      # on one connection
# Measured on the release build: 1.3 MB over ten thousand, 2.2 MB over sixty thousand.
GROWTH_KB = 6 * 1024
HEAD_BYTES = 16384    # what the server takes of a request's head

STRINGS = ["", "a", "hello", "message", "typing", "\u0000", "\n", "名", "👩‍👩‍👧", "\u202e", "x" * 65, "x" * 20000, "v" + "0" * 32,
           "../../etc/passwd", "%s%n", "'; DROP TABLE messages; --", "@bo", "/help", "#history", "bot", "~x"]
GOOD_FRAMES = [
    {"type": "hello"}, {"type": "hello", "room": "r", "name": "n", "lang": "zh", "last": 0},
    {"type": "message", "id": "1", "text": "#echo x"}, {"type": "message", "id": "2", "text": "@bo hi", "reply_to": "m1a"},
    {"type": "typing"},
]
GOOD_REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
    b'POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{"message":"#echo x"}',
    b'POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n{"message":"#echo x"}\r\n0\r\n\r\n',
    raw.upgrade(1), raw.upgrade(1, headers=("Origin: null", "Sec-WebSocket-Extensions: permessage-deflate")),
    b"GET /assets/chat.js HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n",
]


# --- what is sent ---
def any_value(dice, depth=0):
    kind = dice.randrange(8)
    if kind < 3:
        return dice.choice(STRINGS)
    if kind == 3:
        return dice.choice([0, 1, -1, 2**31, 2**63, 2**64, 1e308, 0.5, True, False, None])
    if kind == 4 and depth < 6:
        return [any_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    if kind == 5 and depth < 6:
        return {dice.choice(STRINGS): any_value(dice, depth + 1) for _ in range(dice.randrange(4))}
    return "".join(chr(dice.choice((dice.randrange(32, 127), dice.randrange(0x4E00, 0x9FFF)))) for _ in range(dice.randrange(40)))


def mutated(dice, data):
    """The same with a few bytes changed, cut out, doubled or put in."""
    data = bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(data) + 1)
        how = dice.randrange(5)
        if how == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif how == 1:
            del data[at:at + dice.randrange(1, 9)]
        elif how == 2:
            data[at:at] = data[at:at + dice.randrange(1, 30)]
        elif how == 3:
            data[at:at] = dice.randbytes(dice.randrange(1, 9))
        else:
            data[at:at] = dice.choice((b"\r\n", b"\0", b"\xff", b"{", b'"', b":", b" ", b"\\u", b"-1", b"99999999999999999999"))
    return bytes(data)


def payload(dice):
    frame = dict(dice.choice(GOOD_FRAMES))
    how = dice.choice((0, 0, 0, 1, 2, 2, 3, 4, 4))
    if how == 0:
        frame[dice.choice(["type", "id", "text", "visitor", "room", "name", "lang", "last", "reply_to"])] = any_value(dice)
    elif how == 1:
        return mutated(dice, json.dumps(frame).encode())
    elif how == 2:
        return json.dumps(any_value(dice), ensure_ascii=False).encode(errors="replace")
    elif how == 3:
        return dice.choice((b"[" * 10000, b'{"a":' * 5000, b"\xff" * 100, b"x" * 70000, b"", b"{}", b"x" * 65536,
                            b'"' + b"\\u0000" * 9000, dice.randbytes(dice.randrange(300))))
    frame.update(id=f"{dice.randrange(1 << 40):x}") if how == 4 and frame["type"] == "message" else None
    return json.dumps(frame, ensure_ascii=False).encode(errors="replace")


def any_frame(dice):
    data = payload(dice)
    how = dice.randrange(40)  # most are whole, because after a broken one the connection is at its end
    if how == 0:
        return mutated(dice, raw.frame(data))
    if how == 1:
        return raw.frame(data, opcode=dice.randrange(16), fin=dice.random() < 0.5, rsv=dice.randrange(8))
    if how == 2:
        return raw.frame(data, masked=False)
    if how == 3:
        middle = dice.randrange(len(data) + 1)
        return raw.frame(data[:middle], fin=False) + raw.frame(data[middle:], opcode=0)
    if how == 4:
        return raw.frame(dice.randbytes(dice.randrange(200)), opcode=dice.choice((8, 9, 10)))
    if how == 5:
        return b"\x81\xff" + dice.choice((b"\x7f" + b"\xff" * 7, b"\0" * 4 + b"\x10\0\0\0", b"\xff" * 8)) + b"mask" + data
    return raw.frame(data)


def any_request(dice):
    request = dice.choice(GOOD_REQUESTS)
    how = dice.randrange(9)
    if how == 0:
        return request[:dice.randrange(len(request))]
    if how == 1:
        return request * dice.randrange(2, 8)  # pipelined
    if how == 2:
        return dice.randbytes(dice.randrange(2000))
    if how == 3:
        return b"GET /" + b"a" * dice.choice((100, 8000, HEAD_BYTES, 200000)) + b" HTTP/1.1\r\n\r\n"
    if how == 4:
        return b"GET / HTTP/1.1\r\n" + b"X-A: " + b"b" * dice.choice((10, HEAD_BYTES, 100000)) + b"\r\n" * dice.randrange(3)
    if how == 5:
        return b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * dice.choice((99, 101, 3000)) + b"\r\n"
    if how == 6:
        size = dice.choice((b"0", b"5", b"-1", b"+5", b"5,5", b"0x5", b"99999999999999999999", b"2000000", b"", b"5\r\nContent-Length: 6"))
        return b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + size + b"\r\n\r\n" + b"{}xxx"
    if how == 7:
        size = dice.choice((b"5", b"-5", b"zz", b"ffffffffffffffffff", b"5;x=y", b"", b"100000", b"0"))
        both = dice.choice((b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: gzip\r\n"))
        return (b"POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + both + b"\r\n" + size +
                b"\r\n{}xxx\r\n" + dice.choice((b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"", b"zz\r\n")))
    return mutated(dice, request)


# --- sending it ---
async def swallow(c):
    """Reads whatever comes, until it ends or nothing more comes; how much it was."""
    size = 0
    with contextlib.suppress(asyncio.TimeoutError, OSError):
        while data := await asyncio.wait_for(c.reader.read(65536), 0.05):
            size += len(data)
    return size


async def hostile_socket(daemon, dice, left):
    """One connection with a number of bad frames, or until it is closed."""
    async with raw.Raw(daemon.port) as c:
        await c.send(raw.upgrade(daemon.port))
        await c.head()
        if dice.random() < 0.9:
            await c.send(raw.frame(dice.choice(GOOD_FRAMES[:2])))
        for _ in range(FRAMES_EACH):
            if c.reader.at_eof():
                break
            left[0] -= 1
            data = any_frame(dice)
            if dice.random() < 0.1:  # in pieces
                middle = dice.randrange(len(data) + 1)
                await c.send(data[:middle])
                await asyncio.sleep(0)
                data = data[middle:]
            await c.send(data)
            if dice.random() < 0.5:
                with contextlib.suppress(asyncio.TimeoutError, OSError):
                    await asyncio.wait_for(c.reader.read(65536), 0.005)
        if dice.random() < 0.5:  # else: gone without a word
            await swallow(c)


async def hostile_request(daemon, dice, left):
    left[0] -= 1
    async with raw.Raw(daemon.port) as c:
        await c.send(any_request(dice))
        if dice.random() < 0.3:
            c.writer.write_eof()
        if dice.random() < 0.5:
            await swallow(c)


async def bystander(daemon, stop):
    """Somebody decent, who is served all the time."""
    slowest = 0
    async with daemon.chat() as c:
        n = 0
        while not stop.is_set():
            begin = time.monotonic()
            assert (await c.ask(str(n), f"#echo {n}"))["text"] == str(n)
            slowest = max(slowest, time.monotonic() - begin)
            n += 1
            await asyncio.sleep(0.05)
    return slowest


async def attack(daemon, dice, rounds):
    async def worker(left):
        while left[0] > 0:
            hostile = hostile_socket if dice.random() < 0.2 else hostile_request
            with contextlib.suppress(OSError):  # it hangs up, as it should; whether it is still there, others say
                await hostile(daemon, dice, left)

    stop = asyncio.Event()
    decent = asyncio.create_task(bystander(daemon, stop))
    left = [rounds]
    await asyncio.gather(*(worker(left) for _ in range(AT_ONCE)))
    stop.set()
    return await decent


async def still_there(daemon):
    async with daemon.chat() as c:
        assert (await c.ask("1", "#echo here"))["text"] == "here"
    async with aiohttp.ClientSession() as session, session.get(daemon.http + "/metrics") as answer:
        print(*(line for line in (await answer.text()).splitlines() if re.match(r"warbler_(messages|http|webchat)", line)), sep="\n")


LIMITS = "max_connections_per_address = 0;"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_hostile(make_daemon, run, seed):
    print(f"seed {seed}")
    daemon = make_daemon(account=LIMITS).start()
    slowest = run(attack(daemon, random.Random(seed), ROUNDS), 500)
    print(f"slowest answer to the bystander: {slowest:.3f} s")
    run(still_there(daemon))
    daemon.stop()


@pytest.mark.slow
def test_memory(make_daemon, run):
    daemon = make_daemon(release=True, account=LIMITS).start()
    dice = random.Random(SEEDS[0])
    run(attack(daemon, dice, 500))  # until every buffer has been there once
    before = daemon.rss_kb()
    run(attack(daemon, dice, ROUNDS), 500)
    run(still_there(daemon))
    growth = daemon.rss_kb() - before
    print(f"{before} kB, growth {growth} kB")
    assert growth < GROWTH_KB


def test_some(make_daemon, run):
    """A small part of it, for every day."""
    seed = SEEDS[1]
    print(f"seed {seed}")
    daemon = make_daemon(account=LIMITS).start()
    run(attack(daemon, random.Random(seed), 300))
    run(still_there(daemon))


# --- slow clients ---
@pytest.mark.slow
def test_slow_requests(make_daemon, run):
    """A head that never ends is cut off, however slowly it drips; others are served meanwhile."""
    daemon = make_daemon().start()

    async def drip():
        async with raw.Raw(daemon.port) as c:
            begin = time.monotonic()
            await c.send(b"GET / HTTP/1.1\r\n")
            ended = asyncio.create_task(c.ended())
            while not ended.done():
                with contextlib.suppress(OSError):
                    await c.send(b"A: b\r\n")
                await asyncio.wait([ended], timeout=1)
            return time.monotonic() - begin

    async def scenario():
        drips = [asyncio.create_task(drip()) for _ in range(50)]
        await still_there(daemon)
        for seconds in await asyncio.gather(*drips):
            assert seconds < 25, "a dripping request was not cut off"
    run(scenario())


@pytest.mark.slow
def test_reader_that_does_not_read(make_daemon, run):
    """Costs no more than its queue, and hurts nobody else in the room."""
    daemon = make_daemon(release=True, practice="delay_ms = 0; chunk_ms = 0; chunk_chars = 50;").start()

    async def scenario():
        idle = [raw.Raw(daemon.port) for _ in range(20)]
        for c in idle:
            await c.__aenter__()
            await c.hello(room="r")
            c.writer.transport.pause_reading()
        async with daemon.chat(room="r") as talker:
            await talker.ask("0", "@bo #echo warm")
            before = daemon.rss_kb()
            for n in range(60):
                assert (await talker.ask(f"m{n}", "@bo #echo " + "x" * 15000))["text"] == "x" * 15000
            growth = daemon.rss_kb() - before
        print(f"growth {growth} kB")
        assert growth < 20 * 3 * 1024
        for c in idle:
            c.writer.transport.abort()
        await still_there(daemon)
    run(scenario())
