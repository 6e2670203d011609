"""The behaviours that every adapter owes, each asked of each.

Every test ends with the driver's own check: the daemon stops in good order,
with exit status 0 and nothing that a sanitizer or leak checker complains of.
"""
import asyncio
import os
import random
import re

import aiohttp
import pytest

from . import ADAPTERS, driver
from .proxy import DEAF, HELLO, OPEN, RESET, UP, Link, Tls

BEHAVIOURS = {}  # name -> function, in the order of the table

LIMIT_SECONDS = 280      # for one behaviour, which only a hang reaches
TRIES = 11               # of who cannot connect
STORM_TRIES = 6          # of who is cut off at once
CUT_AGAIN_SECONDS = 0.03
JITTER = 0.02            # of the longest pause: so far apart are some of a few
ROUNDING = 0.02          # seconds, of a log's and a loop's milliseconds
SLACK_SECONDS = 30       # of a busy machine
CUT_BYTES = range(0, 720, 40)
LATE_BYTES = (0, 20, 150)
STOP_BYTES = (0, 1, 30, 200, 500)
SLOW_BYTES_PER_SECOND = 20000
PEOPLE, QUICK = 20, 1000
RATE_PEOPLE, RATE_EACH, RATE_SECONDS = 6, 5, 120
LONG = " and so on" * 150  # makes a streamed answer of three seconds
STREAM = "delay_ms = 0; chunk_ms = 20; chunk_chars = 10;"
ASKED, ANSWERED = "binding -> asking", "streaming -> storing"  # the bot's log, for each question
LIVES = 16               # connections that come and go


async def maybe(result):
    """Of a function that may be a coroutine's."""
    if result is not None:
        await result


def behaviour(name, long=False):
    """long: `make conform` alone asks it of every adapter; `make test`, of those that take little time."""
    def note(function):
        BEHAVIOURS[name] = function
        function.long = long
        return function
    return note


# --- coming and staying ---
@behaviour("connects")
async def connects(d):
    await d.start()
    alice = await d.person()
    await d.ask(alice)
    await d.ask(alice)
    d.check()


@behaviour("refuses bad credentials, with the right reason")
async def refuses_bad_credentials(d):
    await d.wrong_credentials()


def check_growth(d, pauses, haste):
    """Each is at least what back-off with jitter asks for after so many failures, and none is announced above the longest."""
    failures = 0
    for pause in pauses:
        if pause.lived > 0.8 * d.calm:  # it may begin anew
            failures = 0
        nominal = min(d.first_pause * 2 ** failures, d.longest_pause)
        assert pause.took >= nominal / 2 - ROUNDING * haste, (nominal, pauses)
        assert pause.announced <= d.longest_pause and pause.took >= pause.announced - 0.1 - ROUNDING * haste, pauses
        failures += 1
    assert failures >= len(pauses) / 2, f"connected for too long to tell: {pauses}"


@behaviour("back-off grows with jitter and is bounded", long=True)
async def backs_off(d):
    haste = 40
    await d.connect(haste)
    await d.connected()
    d.proxy.door = RESET
    d.proxy.reset()
    await d.until(lambda: len(d.pauses(haste)) > TRIES, f"{TRIES} tries")
    pauses = d.pauses(haste)
    check_growth(d, pauses, haste)
    assert len(d.proxy.links) <= (len(pauses) + 2) * d.links_per_try, "too many connections for so few tries"
    last = [pause.announced or pause.took for pause in pauses[-5:]]
    assert min(last) <= d.longest_pause, pauses
    assert max(last) - min(last) > JITTER * d.longest_pause, f"no jitter: {pauses}"
    d.proxy.fine()
    await d.connected()


@behaviour("no reconnect storm", long=True)
async def no_storm(d):
    """Who is let in and thrown out at once comes back no faster than who is not let in."""
    haste = 10
    await d.connect(haste)
    for n in range(STORM_TRIES):
        await d.until(lambda n=n: d.times_connected() > n, f"connected for the {n + 1}. time")
        while d.times_lost() <= n:
            d.proxy.cut()  # one may be mended in silence
            await asyncio.sleep(CUT_AGAIN_SECONDS)
    await d.until(lambda: len(d.pauses(haste)) >= STORM_TRIES, "one try more")
    check_growth(d, d.pauses(haste), haste)
    assert len(d.proxy.links) <= 2 * (STORM_TRIES + 1) * d.links_per_try, "too many connections for so few tries"


@behaviour("half-open noticed within its deadline", long=True)
async def half_open(d):
    await d.connect(d.haste)
    await d.connected()
    alice = await d.person()
    await d.ask(alice)
    links = d.proxy.live()
    d.proxy.swallow()
    d.tell(alice)
    await d.until(lambda: any(d.out in link.hung_up for link in links), "the bot's side hangs up",
                  d.silence_seconds / d.haste + SLACK_SECONDS)
    await d.until(lambda: d.times_connected() > 1, "who connects comes back")
    await d.come_back(alice)
    await d.settle()


@behaviour("a stall is sat out")
async def stall(d):
    haste = min(d.haste, 5)
    await d.connect(haste)
    await d.connected()
    alice = await d.person()
    await d.ask(alice)
    held = d.proxy.live()  # who speaks HTTP may open more of them meanwhile
    d.proxy.hold()
    d.tell(alice)
    await asyncio.sleep(d.stall_seconds / haste)
    given_up = [link for link in held if d.out in link.hung_up]
    d.proxy.pass_on()
    await d.settle()
    assert not given_up, "somebody gave up"


# --- nothing lost, nothing twice ---
@behaviour("resumes without gap")
async def no_gap(d):
    await d.start(d.pace)
    people = [await d.person(name) for name in ("alice", "bob", "carol")]
    for person in people:
        await d.ask(person)
    for outage in (d.proxy.reset, d.proxy.cut, d.restart_server):
        asked = d.bot.times(ASKED)
        for person in people:
            d.tell(person, before="#sleep 300 ")
        await d.until(lambda asked=asked: d.bot.times(ASKED) >= asked + len(people), "the model is asked")
        d.proxy.door = RESET
        await maybe(outage())
        for person in people:
            for _ in range(3):
                d.tell(person)
        await d.until(lambda asked=asked: d.bot.times(ANSWERED) >= asked + len(people), "it answers while the connection is gone")
        d.proxy.fine()
        await d.all_answered()
    await d.settle()


@behaviour("resumes without repeat")
async def no_repeat(d):
    await d.start(d.pace)
    people = [await d.person(name) for name in ("alice", "bob")]
    for end in (d.proxy.cut, d.proxy.reset, d.proxy.cut, d.kill, d.stop):
        for person in people:
            await d.ask(person)
        await maybe(end())
        if not d.bot.running:
            await d.start(d.pace)
    await d.settle()


@behaviour("sends exactly once over a cut in mid-send", long=True)
async def cut_in_mid_send(d):
    await d.start(d.pace)
    alice = await d.person()
    await d.ask(alice)
    traps = []
    for n, after in enumerate(CUT_BYTES):
        for way in (d.out, d.into):
            traps.append(d.proxy.trap(way, after, (Link.cut, Link.reset)[n % 2]))
            await d.ask(alice)
    d.proxy.fine()
    await d.settle()
    assert sum(trap.sprung.is_set() for trap in traps) > 0.7 * len(traps), "too few cuts"


@behaviour("late answers of a dead connection ignored", long=True)
async def late_answers(d):
    """What the network held back arrives when everybody has gone on over another connection."""
    await d.start(d.pace)
    alice = await d.person()
    await d.ask(alice)
    for after in LATE_BYTES:
        for way in (d.out, d.into):
            trap = d.proxy.trap(way, after, Link.hold)
            while not trap.sprung.is_set():
                word = d.tell(alice)
                await d.until(lambda trap=trap, word=word: trap.sprung.is_set() or word in alice.texts(), "an answer, or none")
            await d.come_back(alice)
            await d.all_answered()
            d.proxy.pass_on()
            await d.ask(alice)
    await d.settle()


@behaviour("what comes twice counts once")
async def twice(d):
    d.configure(account=d.twice_account)
    await d.start(d.pace)
    alice = await d.person()
    await d.ask(alice)
    d.expect_twice()
    d.proxy.ways[d.into].twice = True
    for _ in range(3):
        d.proxy.cut()
        await d.ask(alice)
        await d.ask(alice)
    d.proxy.fine()
    if d.repeated is not None:
        answers = []
        for link in reversed(d.proxy.links):  # the newest of them that said such a thing
            answers = answers or await d.proxy.repeat(link, d.repeated)
        assert answers and all(answers), answers
    await d.settle()


@behaviour("understands bytes however they come")
async def segments(d):
    for way in d.proxy.ways.values():
        way.split = True
    await d.start()
    alice = await d.person()
    await d.ask(alice)
    await d.ask(alice, more=" 世界 👩‍👩‍👧" * 20)
    d.proxy.fine()
    for way in d.proxy.ways.values():
        way.delay, way.rate = 0.1, SLOW_BYTES_PER_SECOND
    d.proxy.cut()
    await d.ask(alice)
    d.proxy.fine()
    await d.settle()


@behaviour("TLS: trusts few, and comes back when it breaks off", long=True)
async def tls(d):
    d.trusts = False
    await d.start(d.pace)
    await d.until(lambda: re.search("certificate", d.down_because()), "a certificate of nobody's is refused")
    await d.stop()
    d.trusts = True
    await d.start(d.pace)
    alice = await d.person()
    await d.ask(alice)
    for door in (HELLO, DEAF, OPEN):
        links = len(d.proxy.links)
        d.proxy.door = door
        d.proxy.break_tls()
        d.tell(alice)
        await d.until(lambda links=links: len(d.proxy.links) > links, "another handshake")
        if door == DEAF:
            await d.until(lambda: UP in d.proxy.links[-1].hung_up, "nobody waits for a handshake for ever")
        d.proxy.fine()
        await d.all_answered()
    await d.settle()


# --- what is said ---
@behaviour("rate limit respected", long=True)
async def rate(d):
    await d.limit_rate()
    people = [await d.person(f"person{n}") for n in range(RATE_PEOPLE)]
    for person in people:
        for _ in range(RATE_EACH):
            d.tell(person)
    await d.all_answered(RATE_SECONDS)
    d.check_rate()
    d.check()


@behaviour("final text always delivered", long=True)
async def final_text(d):
    d.configure(practice=STREAM)
    await d.start()
    alice, bob = await d.person("alice"), await d.person("bob")
    await d.ask(alice, more=LONG)
    for end in (d.proxy.cut, d.proxy.reset):
        word = d.tell(alice, more=LONG)
        d.tell(bob, more=LONG)
        await d.growing(alice)
        end()
        await d.until(lambda word=word: word in alice.texts(), "the whole text")
    for way in d.proxy.ways.values():
        way.rate = SLOW_BYTES_PER_SECOND
    for person in (alice, bob):
        d.tell(person, more=LONG)
    await d.all_answered()
    d.proxy.fine()
    await d.settle()


@behaviour("splits what is too long")
async def oversize(d):
    await d.start()
    alice = await d.person()
    first = await d.ask(alice)
    alice.say(f"#len {d.text_limit * 5 // 2}")
    whole = squeezed(await practice(d, first, f"#len {d.text_limit * 5 // 2}"))
    await d.until(lambda: squeezed("".join(alice.texts()[1:])) == whole, "all of it")
    parts = alice.texts()[1:]
    assert len(parts) >= 3 and all(len(part) <= d.text_limit for part in parts), [len(part) for part in parts]
    last = d.tell(alice)
    await d.until(lambda: last in alice.texts(), "another answer")
    assert alice.texts() == [first, *parts, last]


def squeezed(text):
    """Without what may get lost where a text is split."""
    return "".join(text.split())


async def practice(d, answered, question):
    """What the practice model says to that, in a conversation that has begun with that answer."""
    messages = [{"role": "assistant", "content": answered}, {"role": "user", "content": question}]
    server = await asyncio.create_subprocess_exec(d.bot.binary, "practice-model", "--port", "0", stdout=asyncio.subprocess.PIPE,
                                                  stderr=asyncio.subprocess.STDOUT)
    try:
        said = await server.stdout.readline()
        url = re.search(rb"http://\S+", said).group().decode().rstrip("/")
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/chat/completions", json={"model": "p", "messages": messages}) as answer:
                return (await answer.json())["choices"][0]["message"]["content"]
    finally:
        server.terminate()
        await server.wait()


# --- going ---
@behaviour("stops while connecting")
async def stop_while_connecting(d):
    for door in (DEAF, RESET):
        d.proxy.door = door
        links = len(d.proxy.links)
        await d.connect()
        await d.until(lambda links=links: len(d.proxy.links) > links, "a connection")
        await d.stop_all()
    d.proxy.fine()
    for after in STOP_BYTES:
        for way in d.proxy.ways:
            trap = d.proxy.trap(way, after, Link.hold)
            await d.connect()
            await d.until(lambda trap=trap: trap.sprung.is_set() or d.times_connected(), "it connects")
            await d.stop_all()
            d.proxy.fine()


@behaviour("stops in mid-send", long=True)
async def stop_in_mid_send(d):
    d.configure(practice=STREAM, more='shutdown_timeout = "200ms";')
    await d.start()
    alice = await d.person()
    await d.ask(alice)
    for faults in (lambda: None, d.proxy.hold, d.proxy.swallow):
        d.tell(alice, more=LONG)
        await d.growing(alice)
        faults()
        await d.stop()
        d.proxy.reset()
        await d.start()
        await d.all_answered()
    await d.settle()


@behaviour("1,000 quick messages", long=True)
async def quick(d):
    await d.start()
    people = [await d.person(f"person{n}") for n in range(PEOPLE)]
    for _ in range(QUICK // PEOPLE):
        for person in people:
            d.tell(person)
    await d.all_answered(LIMIT_SECONDS)
    await d.settle()


@behaviour("two accounts apart from each other")
async def two_accounts(d):
    async with d.twin() as other:
        await d.start(d.pace)
        alice, bob = await d.person("alice"), await other.person("bob")
        for driver, person in ((d, alice), (other, bob)):
            await driver.ask(person)
        other.proxy.door = RESET
        other.proxy.reset()
        await d.until(other.down_because, "one is down")
        other.tell(bob)
        await d.ask(alice)
        assert not d.down_because()
        other.proxy.fine()
        await other.all_answered()
        d.proxy.hold()
        d.tell(alice)
        await other.ask(bob)
        d.proxy.pass_on()
        for driver in (d, other):
            await driver.settle()


@behaviour("everything freed at the end", long=True)
async def freed(d):
    """As many descriptors as before, and then nothing at all: the leak checker looks when the daemon stops."""
    dice = random.Random(7)
    await d.start(d.pace)
    alice = await d.person()
    await d.ask(alice)
    before = d.bot.fds()
    for _ in range(LIVES):
        d.proxy.trap(dice.choice((d.out, d.into)), dice.randrange(300), dice.choice((Link.cut, Link.reset)))
        await d.ask(alice)
    d.proxy.fine()
    await d.settle()
    await d.until(lambda: d.bot.fds() <= before, f"{before} descriptors, as before")


def cases():
    """Those of this run."""
    for adapter in ADAPTERS:
        platform = driver(adapter)
        for name, function in BEHAVIOURS.items():
            if name not in platform.absent and (os.environ.get("CONFORM_ALL") or platform.brisk or not function.long):
                marks = [pytest.mark.slow] if function.long or platform.slow else []
                yield pytest.param(adapter, name, marks=marks, id=f"{adapter}: {name}")


@pytest.mark.parametrize("adapter, name", cases())
def test_behaviour(adapter, name, tmp_path, run, grounds):
    new_driver = grounds(adapter)

    async def play():
        async with new_driver(tmp_path, Tls(tmp_path) if name.startswith("TLS") else None) as d:
            await BEHAVIOURS[name](d)
    run(play(), LIMIT_SECONDS)
