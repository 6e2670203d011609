"""What the suite needs to know of a platform: one Driver per adapter.

The driver starts the platform's server, puts the proxy into the network, and
the bot and the people on its two sides. Two kinds of platforms:

  - the daemon connects to a server: the proxy stands between these two. What
    the bot says goes UP. Whoever connects, and comes back, is the daemon.
  - people connect to the daemon (the web chat): the proxy stands between
    people and daemon. What the bot says goes DOWN. Whoever connects is a
    client of this project.

`out` and `into` are the two ways by their meaning: from the bot, to the bot.

Time: the suite waits for events, with limits that only a hang reaches. Where
time itself has to pass (back-off, silence), the program that waits lives
faster than the rest of the world (hasten.c), by a factor that leaves a busy
machine room. Seconds of such a program are called its own seconds here.
"""
import asyncio
import json
import os
import pathlib
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime

from conftest import Daemon, hastened

from .proxy import OTHER, UP, Proxy

SECONDS = 60  # for something that must come
LOOK_SECONDS = 0.02
HASTE_AFTER = 20  # where nothing is to happen any more, but a busy server may still say so
DOWN_FOR_GOOD = re.compile(r"acc is down: (.*); trying again cannot help, mend it and reload$", re.M)
STATE = re.compile(r"^(\S+) debug account: acc: (\w+) -> (\w+)$|trying again in ([\d.]+) s$", re.M)


@dataclass
class Pause:
    """Between two tries to connect, in own seconds of who tries."""
    took: float
    announced: float  # what the program said that it would take; 0: it says nothing
    lived: float      # how long the connection before was up; 0: it never was


class Bot(Daemon):
    """The daemon, with whatever accounts a driver writes."""

    def configure(self, accounts="", practice="delay_ms = 0; chunk_ms = 0;", bot="", more=""):
        self.config.write_text(f"""
data_dir = "data";
listen = {{ address = "127.0.0.1"; port = {self.port}; }};
log = {{ level = "debug"; }};
models = ( {{ name = "p"; api = "practice"; practice = {{ {practice} }}; }} );
bots = ( {{ name = "bo"; model = "p"; trigger = ("direct", "mention", "reply"); {bot} }} );
accounts = ( {accounts} );
channels = ( {{ match = "*"; bot = "bo"; }} );
{more}
""")
        self.config.chmod(0o600)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def times(self, text):
        """How often its log has that, over all its lives."""
        return self.log.read_text(errors="replace").count(text) if self.log.exists() else 0

    def ready(self):
        """(status, text) of /readyz."""
        try:
            with urllib.request.urlopen(f"{self.http}/readyz", timeout=SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()


class Person:
    """Somebody who talks with the bot, in a conversation of their own that nobody else is in."""

    name = ""

    def say(self, text):
        """Whether the platform takes it now or later is not this person's trouble: the client sees to it."""
        raise NotImplementedError

    def heard(self):
        """[(text, whether it is finished)] of what the bot said in this conversation, as it looks now and in its order. A
        message in several parts is one per part."""
        raise NotImplementedError

    def in_order(self, answers):
        """The answers to all that was said, in the order in which the platform has it."""
        return answers

    def check(self):
        """What this person's client has to complain about."""

    async def leave(self):
        """For good."""

    def texts(self):
        """What is finished of it."""
        return [text for text, finished in self.heard() if finished]


class Driver:
    """One platform, one bot. An async context manager; the class attributes are the platform's facts."""
    name = ""
    absent = {}           # behaviour -> why there is nothing to ask here
    brisk = False         # all behaviours together take little time
    slow = False          # even a few take too much for `make check`
    out = UP              # the way of what the bot says
    silence_seconds = 60  # own seconds until the bot's side gives a silent connection up
    first_pause, longest_pause, calm = 1, 60, 10  # own seconds of the back-off of who connects
    links_per_try = 1     # connections that one try may take
    stall_seconds = 10    # that pass, for sure, before anybody gives a silent connection up
    haste = 10            # how much faster the bot may live while it is connected
    pace = 1              # the same where only coming back takes time
    twice_account = ""    # settings of the account where each WebSocket message comes twice
    repeated = b""        # words in the first line of requests that may come twice; None: not over another connection

    account_name = "acc"

    def __init__(self, folder, tls=None):
        self.folder = pathlib.Path(folder)
        self.tls = tls  # the daemon connects with it
        self.trusts = True  # the daemon knows who vouches for it
        self.into = OTHER[self.out]
        self.proxy = None
        self.bot = None
        self.settings = {}
        self.people = []
        self.said = {}  # person -> the answers that are due, in order
        self.words = 0

    # --- what a driver brings ---
    @classmethod
    def begin(cls, folder):
        """Once, before all behaviours: starts what takes long, or skips them."""

    @classmethod
    def end(cls):
        """And after them."""

    def server_port(self):
        """Where the proxy leads to."""
        raise NotImplementedError

    def account(self, name, port, more=""):
        """An entry in `accounts` for the server that is reached at that port; more: settings."""
        raise NotImplementedError

    async def open_server(self):
        """Starts the platform's server and makes the bot known to it."""

    async def close_server(self):
        """And ends it."""

    async def restart_server(self):
        """Everybody loses the connection; what was said stays."""
        raise NotImplementedError

    async def join(self, name):
        """A new Person."""
        raise NotImplementedError

    async def wrong_credentials(self):
        """Tries whatever may be wrong with them, and checks what people read of it."""
        raise NotImplementedError

    async def limit_rate(self):
        """Starts the bot where messages are limited, to a few a second or less."""
        raise NotImplementedError

    def check_rate(self):
        """The limit was reached, and nobody ran against it over and over."""
        raise NotImplementedError

    def expect_twice(self):
        """From now on the bot hears every message twice."""

    # --- who connects: connect() starts it and waits for nothing ---
    async def connect(self, haste=1):
        raise NotImplementedError

    async def connected(self):
        """Waits until it is."""
        raise NotImplementedError

    def times_connected(self):
        """Since connect()."""
        raise NotImplementedError

    def times_lost(self):
        """The connection, that is."""
        raise NotImplementedError

    def pauses(self, haste):
        """Those between its tries that are over by now, if its haste is that, as Pauses."""
        raise NotImplementedError

    async def come_back(self, person):
        """The person's conversation with the bot goes on over another link, while what was held back stays so."""
        raise NotImplementedError

    # --- life ---
    async def __aenter__(self):
        self.bot = Bot(self.folder)
        await self.open_server()
        self.proxy = Proxy(self.server_port, self.tls)
        await self.proxy.__aenter__()
        self.configure()
        return self

    async def __aexit__(self, kind, *_):
        try:
            for person in self.people:
                await person.leave()
            if kind is None:
                await self.stop_all()
        finally:
            if self.bot.running:
                self.bot.process.kill()
                self.bot.process.wait()
            await self.proxy.__aexit__()
            await self.close_server()

    def configure(self, account="", **settings):
        self.settings = {"account": account, **settings}
        self.bot.configure(accounts=self.account(self.account_name, self.proxy.port, account), **settings)

    async def start(self, haste=1):
        trust = {"SSL_CERT_FILE": str(self.tls.ca)} if self.tls and self.trusts else {}
        await asyncio.to_thread(self.bot.start, {**hastened(haste), **trust})

    async def stop(self):
        """In good order; what it says about that, and what the sanitizers say, is checked."""
        await asyncio.to_thread(self.bot.stop)

    async def stop_all(self):
        """Also what connect() started."""
        await self.stop()

    async def kill(self):
        await asyncio.to_thread(self.bot.kill)

    async def until(self, condition, what, seconds=SECONDS):
        """Waits until the condition is true; its value."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            for person in self.people:
                person.check()
            assert time.monotonic() < end, f"{what}: not within {seconds} s\n{self.tail()}"
            await asyncio.sleep(LOOK_SECONDS)
        return found

    def tail(self):
        heard = {person.name: (self.said.get(person), person.heard()) for person in self.people}
        return f"due and heard: {heard}\n" + self.bot.new_log()[-6000:]

    # --- talking ---
    async def person(self, name="alice"):
        person = await self.join(name)
        self.people.append(person)
        self.said[person] = []
        return person

    def tell(self, person, more="", before=""):
        """The person asks; the answer that is due is returned, and noted for check(). more: makes it longer; before: what
        else the practice model is told."""
        self.words += 1
        word = f"word-{self.words}-{os.urandom(4).hex()}{more}"
        self.said[person].append(word)
        person.say(f"{before}#echo {word}")
        return word

    async def ask(self, person, more=""):
        word = self.tell(person, more)
        await self.until(lambda: word in person.texts(), f"the answer to {person.name}")
        return word

    async def growing(self, person):
        """Waits until the person sees the beginning of an answer."""
        await self.until(lambda: any(not finished for _, finished in person.heard()), "an answer grows")

    async def all_answered(self, seconds=SECONDS):
        for person in self.people:
            await self.until(lambda person=person: set(self.said[person]) <= set(person.texts()),
                             f"the answers to {person.name}", seconds)

    def check(self):
        """Every question has exactly one answer, finished, in order, and nobody heard anything else."""
        for person in self.people:
            person.check()
            heard, due = person.heard(), self.said[person]
            assert sorted(text for text, _ in heard) == sorted(due), (person.name, heard, due)
            assert [text for text, _ in heard] == person.in_order(due), (person.name, heard, due)
            assert all(finished for _, finished in heard), (person.name, heard)

    async def settle(self):
        """What would still come comes before the answer to one more question: then everything must be right."""
        await self.all_answered()
        for person in self.people:
            await self.ask(person)
        self.check()


class Outbound(Driver):
    """The daemon connects to the platform."""

    def twin(self):
        """A driver for a second account of the same daemon at the same server: another user of the platform, and another
        way there. An async context manager, too."""
        raise NotImplementedError

    def down_because(self):
        """What the log says last of why the account is down; "" if it is not."""
        said = re.findall(rf" {self.account_name} (is down: .*|is online)$", self.bot.new_log(), re.M)
        return said[-1] if said and said[-1] != "is online" else ""

    async def connect(self, haste=1):
        await self.start(haste)

    async def connected(self):
        await self.until(lambda: self.bot.ready()[0] == 200, "the account comes online")

    def times_connected(self):
        return self.bot.new_log().count(" account: acc: connecting -> online")

    def times_lost(self):
        return self.bot.new_log().count(" account: acc: online -> waiting")

    def pauses(self, haste):
        found, up, down, announced = [], None, None, 0
        for stamp, _, state, said in STATE.findall(self.bot.new_log()):
            now = datetime.fromisoformat(stamp) if stamp else None
            if said:
                announced = float(said)
            elif state == "online":
                up = now
            elif state == "waiting":
                down, lived = now, (now - up).total_seconds() * haste if up else 0
                up = None
            elif state == "connecting" and down:
                found.append(Pause((now - down).total_seconds() * haste, announced, lived))
        return found

    async def come_back(self, person):
        await self.until(lambda: any(link.sound for link in self.proxy.links), "the bot comes back over another connection")

    # --- credentials ---
    def wrong_settings(self):
        """{what is wrong: (settings of the account, a pattern for the reason)}"""
        raise NotImplementedError

    async def wrong_credentials(self):
        """For good: it says why, in the log and in /readyz, and leaves the server alone."""
        for what, (settings, reason) in self.wrong_settings().items():
            self.configure(account=settings)
            await self.start(HASTE_AFTER)
            said = await self.until(lambda: DOWN_FOR_GOOD.search(self.bot.new_log()), f"it gives up with a wrong {what}")
            assert re.search(reason, said.group(1), re.I), said
            links = len(self.proxy.links)
            await asyncio.sleep(2 * self.longest_pause / HASTE_AFTER)
            assert len(self.proxy.links) == links, f"it goes on trying with a wrong {what}"
            status, body = self.bot.ready()
            account, = json.loads(body)["accounts"]
            assert status == 503 and re.search(reason, account["reason"], re.I), body
            await self.stop()
