"""Soak: mixed traffic with faults, for as long as one likes. Nothing may grow,
nobody may wait for ever, and every message has one answer.

The same people as in isolation.py, half of them over a bad network, others in
the cloud over another one; the model errs, stalls, breaks off, is slow and limits;
the configuration is read again and again. Before anything is measured, a crowd of
visitors fills what has a bound: conversations in memory, and SQLite's pages.
"""
import asyncio
import collections
import random
import re
import time

from conform.proxy import DOWN, RESET, UP, Proxy

from . import gauge
from .house import House
from .isolation import APP, APP_GROUP, KINDS, Town
from .model import Model
from .people import STUCK_SECONDS, Visitor
from .words import Secrets

CROWD = 40                   # who talk at the same time, beside the cloud's
APP_CROWD = 4
WARM_CONVERSATIONS = 2200    # more than CHANNELS_IDLE_MAX
WARM_CROWD = 60
WARM_MESSAGES = 4            # with their answers more than a history has
WARM_TEXT = "and so on " * 40
FAULT_SHARE = 0.04           # of the model's answers
SAMPLE_SECONDS = 0.5
STEADY_SAMPLES = 4           # of the descriptors, all the same
TROUBLE_SECONDS = (0.3, 1.5) # between two troubles of the network, and as long as one lasts
RELOAD_SECONDS = 5
SHOW_SECONDS = 30
CLOSING_SECONDS = 30         # until connections that are over are gone
THINK_SECONDS = (0.0, 0.6)   # between two sessions
MODELS = "mns"


def settings(model, accounts, manner="friendly"):
    models = ", ".join(f"""{{ name = "{name}"; base_url = "{model}"; model = "{name}"; retries = 2; retry_ceiling = "5s";
        first_byte_timeout = "2s"; idle_timeout = "2s"; fallback = ( {'"n"' if name == "m" else ""} ); }}""" for name in MODELS)
    return f"""
data_dir = "data";
listen = {{ address = "127.0.0.1"; port = PORT; }};
models = ( {models} );
bots = ( {{ name = "bo"; model = "m"; summary_model = "s"; history_messages = 6; trigger = ( "direct", "mention", "reply" );
           context = true; admins = ( "*" ); system_prompt = "You are {{bot}} in {{channel}}, and {manner}.";
           presets = ( {{ name = "poet"; system_prompt = "You rhyme in {{channel}}, and are {manner}."; }} ); }},
         {{ name = "all"; model = "m"; summary_model = "s"; history_messages = 6; queue = "merge"; trigger = ( "always" ); }},
         {{ name = "memo"; model = "m"; history_messages = 6; trigger = ( "always", "direct" ); names = false;
           answer_cache = {{ ttl = "10s"; max_bytes = 65536; }}; }} );
accounts = ( {{ name = "web"; adapter = "webchat"; messages_per_minute = 0; open_rooms = true; demo = true;
               max_connections = 0; max_connections_per_address = 0; }}{accounts} );
channels = ( {{ match = "web:merge*"; bot = "all"; }}, {{ match = "web:memo*"; bot = "memo"; }},
             {{ match = "web:*"; bot = "bo"; }}, {{ match = "lya:*"; bot = "bo"; }}, {{ match = "lyb:*"; bot = "memo"; }} );
"""


class Faulty(Town):
    """Some come over the bad network."""

    def __init__(self, house, secrets, dice, proxy):
        super().__init__(house, secrets, dice)
        self.proxy = proxy

    def way(self):
        return (lambda: f"ws://127.0.0.1:{self.proxy.port}/chat/ws") if self.dice.random() < 0.5 else None

    def kind(self):
        return self.dice.choice(KINDS)

    async def work(self, goes_on):
        while goes_on():
            await super().work(once(goes_on))
            await asyncio.sleep(self.dice.uniform(*THINK_SECONDS))


class InTheCloud(Town):
    def kind(self):
        return self.dice.choice((APP, APP_GROUP))


def once(goes_on):
    """The same, but it ends after the first time."""
    left = [True]
    return lambda: left.pop() if left and goes_on() else False


class Trouble:
    """What becomes of a network."""

    def __init__(self, proxy, dice):
        self.proxy, self.dice = proxy, dice
        self.done = collections.Counter()

    async def one(self):
        kind = self.dice.choice(("cut", "reset", "hold", "swallow", "delay", "rate", "split", "closed"))
        self.done[kind] += 1
        links, ways = self.proxy.live(), self.proxy.ways
        if kind in ("cut", "reset", "hold", "swallow"):
            for link in self.dice.sample(links, (len(links) + 2) // 3):
                getattr(link, kind)()
        elif kind == "delay":
            ways[DOWN].delay = 0.2
        elif kind == "rate":
            ways[DOWN].rate = ways[UP].rate = 20000
        elif kind == "split":
            ways[UP].split = True
        else:
            self.proxy.door = RESET
        await asyncio.sleep(self.dice.uniform(*TROUBLE_SECONDS))
        self.end()

    def end(self):
        self.proxy.fine()
        self.proxy.pass_on()
        self.proxy.links[:] = self.proxy.live()

    async def live(self):
        while True:
            await asyncio.sleep(self.dice.uniform(*TROUBLE_SECONDS))
            await self.one()


class Soak:
    def __init__(self, house, model, cloud, dice, show):
        self.house, self.model, self.dice, self.show = house, model, dice, show
        self.secrets = Secrets(dice)
        self.cloud = cloud     # the way there, a Proxy
        self.samples = []      # kB
        self.descriptors = []  # when all was quiet: before and after
        self.troubles = []
        self.rows = []
        self.warm_messages = 0

    # --- warming up ---
    async def warm(self, conversations):
        left = collections.deque(range(conversations))

        async def work():
            while left:
                left.popleft()
                visitor = Visitor(self.house)
                for _ in range(WARM_MESSAGES):
                    await visitor.ask(WARM_TEXT)
                await visitor.leave()

        await asyncio.gather(*(work() for _ in range(WARM_CROWD)))
        self.warm_messages = self.house.said
        await self.rest()
        self.show(f"warm: {self.warm_messages:,} messages, {gauge.resident_kb(self.pid)} kB, {self.descriptors[0]} descriptors")

    @property
    def pid(self):
        return self.house.daemon.process.pid

    def own_descriptors(self):
        """Without the connections that are kept to the model and to the cloud, of which there may be more or fewer."""
        return gauge.descriptors(self.pid) - len(self.model.connections) - len(self.cloud.live())

    async def rest(self):
        """Nobody is there any more: notes the descriptors when they change no more, and are as few as before if that comes."""
        end = time.monotonic() + CLOSING_SECONDS
        counts = []
        while len(set(counts[-STEADY_SAMPLES:])) != 1 or len(counts) < STEADY_SAMPLES or \
                self.descriptors and counts[-1] > self.descriptors[0] and time.monotonic() < end:
            await asyncio.sleep(SAMPLE_SECONDS)
            counts.append(self.own_descriptors())
        self.descriptors.append(counts[-1])

    # --- the measured while ---
    async def sample(self, goes_on):
        begin = shown = time.monotonic()
        while goes_on():
            self.samples.append(gauge.resident_kb(self.pid))
            await asyncio.sleep(SAMPLE_SECONDS)
            if time.monotonic() - shown > SHOW_SECONDS:
                shown = time.monotonic()
                self.show(f"{shown - begin:.0f} s: {self.house.said:,} messages, {self.samples[-1]} kB, "
                          f"{self.own_descriptors()} descriptors, {len(self.house.problems)} problems")

    async def reload(self, goes_on):
        while goes_on():
            await asyncio.sleep(RELOAD_SECONDS)
            await self.house.reload(manner=self.dice.choice(("friendly", "brief", "stern")))

    async def traffic(self, proxies, seconds, crowd):
        end = time.monotonic() + seconds
        web, cloud = Faulty(self.house, self.secrets, self.dice, proxies[0]), InTheCloud(self.house, self.secrets, self.dice)
        self.troubles = [Trouble(proxy, self.dice) for proxy in proxies]
        living = [asyncio.ensure_future(trouble.live()) for trouble in self.troubles]

        def goes_on():
            return time.monotonic() < end

        self.model.share = FAULT_SHARE
        await asyncio.gather(self.sample(goes_on), self.reload(goes_on), *(web.work(goes_on) for _ in range(crowd)),
                             *(cloud.work(goes_on) for _ in range(APP_CROWD) if self.house.accounts))
        self.model.share = 0
        for task in living:
            task.cancel()
        await asyncio.gather(*living, return_exceptions=True)
        for trouble in self.troubles:
            trouble.end()
            trouble.proxy.reset()
        await self.rest()
        return web, cloud

    # --- the result ---
    def judge(self, towns, memory):
        house = self.house
        house.look_at_journal()
        for town in towns:
            town.look()
        errors = [line for line in house.daemon.log.read_text(errors="replace").splitlines() if re.match(r"\S+ error ", line)]
        if memory:
            growth = gauge.growth(self.samples)
            fifths = " ".join(f"{kb / 1024:.2f}" for kb in gauge.medians(self.samples))
            self.row("resident memory grows", f"{growth:+.2%}", f"at most {gauge.GROWTH_MAX:.0%}", gauge.is_flat(self.samples))
            self.row("its medians, by fifths", f"{fifths} MB")
        before, after = self.descriptors
        self.row("descriptors, nobody there", f"{before}, then {after}", "no more than before", after <= before)
        self.row("messages", f"{house.said - self.warm_messages:,}", "", house.said > self.warm_messages)
        self.row("answered by a notice", f"{house.noticed:,}")
        self.row("not answered, as asked for", f"{len(house.silenced):,}")
        self.row(f"stuck ({STUCK_SECONDS} s), twice, lost, wrong", f"{len(house.problems)}", "0", not house.problems)
        self.row("words of other conversations", f"{self.secrets.crossings}", "0", not self.secrets.crossings)
        self.row("errors in the log", f"{len(errors)}", "0", not errors)
        self.row("read again (SIGHUP)", f"{house.reloads}", "some", house.reloads > 0)
        self.row_of("faults of the model", self.model.faults)
        for trouble, name in zip(self.troubles, ("people", "cloud")):
            self.row_of(f"faults of the network, {name}", trouble.done)
        return Outcome(self.rows, house.problems + self.secrets.shown + errors)

    def row(self, what, value, limit="", good=True):
        self.rows.append((what, value, limit, good))

    def row_of(self, what, counts):
        """There must be some of it."""
        self.row(what, " ".join(f"{name} {n}" for name, n in counts.items() if n), "some", any(counts.values()))


class Outcome:
    SHOWN = 20

    def __init__(self, rows, details):
        self.rows, self.details = rows, details

    def table(self):
        return "\n".join(f"{what:<34}{value:<40} {limit:<22}{'' if good else 'FAILED'}".rstrip()
                         for what, value, limit, good in self.rows)

    def problems(self):
        failed = [f"{what}: {value}" for what, value, _, good in self.rows if not good]
        return failed + self.details[:self.SHOWN] if failed else []


async def run(folder, seconds, seed, crowd=CROWD, warm=WARM_CONVERSATIONS, memory=True, release=False, show=print):
    dice = random.Random(seed)
    async with Model(dice=dice) as model, House(folder, model, settings, release) as house, \
            Proxy(lambda: house.daemon.port) as web, Proxy(lambda: house.cloud.ports[0]) as cloud:
        house.cloud_port = lambda: cloud.port
        soak = Soak(house, model, cloud, dice, show)
        model.hear = lambda text: soak.secrets.look("request", text)
        await house.start()
        await soak.warm(warm)
        towns = await soak.traffic((web, cloud) if house.accounts else (web,), seconds, crowd)
        await house.stop()
        return soak.judge(towns, memory)
