"""Isolation: many conversations at once, each with a secret word of its own, and
whoever comes across a word of another one tells.

Private conversations and rooms of the web chat, programs, and people of two
Lanying accounts, with three bots: one that has summaries, pins, presets and its
people's prompts; one that answers what piled up at once; one that remembers
answers. Some of what is said has no word at all, and is the same everywhere, so
that only what belongs to the conversation can tell its answers apart. People
come and go; more conversations than the daemon keeps in memory; from time to
time it is stopped or killed.
"""
import asyncio
import random

from .house import House
from .model import SLOW, Model
from .people import AppUser, Caller, Floor, Visitor
from .words import Secrets

SESSION_STEPS = (3, 12)      # of one speaker, before leaving
CONVERSATION_MESSAGES = 40   # on average, over all sessions
APP_SHARE = 50               # one of so many conversations is in the cloud
SPEAKERS = 3                 # in a room
LOOK_SECONDS = 0.2
COMMON = [f"What about {thing}?" for thing in ("time", "rain", "bread", "the sea", "two and two", "Tuesday")]
COMMANDS = ("/pin {}", "/pin {}", "/pin for {} alone", "/pin", "/reset", "/reset", "/retry", "/retry", "/status", "/help", "/poet",
            "/default", "/prompt Mind {}.", "/prompt", "/prompt default", "/model n", "/model m")
PRIVATE, ROOM, MERGE, MEMO, CALLER, APP, APP_GROUP = "private", "room", "merge", "memo", "caller", "app", "app group"
KINDS = (PRIVATE,) * 8 + (ROOM,) * 5 + (MERGE,) * 2 + (MEMO,) * 3 + (CALLER,)


def settings(model, accounts):
    return f"""
data_dir = "data";
listen = {{ address = "127.0.0.1"; port = PORT; }};
log = {{ level = "debug"; }};
models = ( {{ name = "m"; base_url = "{model}"; model = "large"; send_name = true; }},
           {{ name = "n"; base_url = "{model}"; model = "other"; }},
           {{ name = "s"; base_url = "{model}"; model = "small"; }} );
bots = ( {{ name = "bo"; model = "m"; summary_model = "s"; history_messages = 6; trigger = ( "direct", "mention", "reply" );
           context = true; admins = ( "*" ); system_prompt = "You are {{bot}} in {{channel}}.";
           presets = ( {{ name = "poet"; system_prompt = "You rhyme in {{channel}}."; }} ); }},
         {{ name = "all"; model = "m"; summary_model = "s"; history_messages = 4; queue = "merge"; trigger = ( "always" ); }},
         {{ name = "memo"; model = "m"; trigger = ( "always", "direct" ); names = false; answer_cache = {{ ttl = "1h"; }}; }} );
accounts = ( {{ name = "web"; adapter = "webchat"; messages_per_minute = 0; open_rooms = true; demo = true;
               max_connections = 0; max_connections_per_address = 0; }}{accounts} );
channels = ( {{ match = "web:merge*"; bot = "all"; }}, {{ match = "web:memo*"; bot = "memo"; }},
             {{ match = "web:*"; bot = "bo"; }}, {{ match = "lya:*"; bot = "bo"; }}, {{ match = "lyb:*"; bot = "memo"; }} );
"""


class Conversation:
    """In several sessions."""

    def __init__(self, town, kind, dice):
        self.town, self.kind, self.dice = town, kind, dice
        self.number = town.secrets.new()
        self.word = town.secrets.word(self.number)
        self.left = dice.randint(CONVERSATION_MESSAGES // 2, CONVERSATION_MESSAGES * 3 // 2)
        self.visitors = []

    def hear(self, text):
        self.town.secrets.look("reply", text, self.number)

    async def session(self):
        steps = min(self.left, self.dice.randint(*SESSION_STEPS))
        self.left -= steps
        await self.talk(steps)

    # --- web chat ---
    async def talk(self, steps):
        speakers = self.visitors or self.invite()
        self.visitors = speakers
        share, rest = divmod(steps, len(speakers))
        try:
            await asyncio.gather(*(self.speak(v, share + (i < rest)) for i, v in enumerate(speakers)))
        finally:
            for visitor in speakers:
                await visitor.leave()

    def invite(self):
        house = self.town.house
        if self.kind == PRIVATE:
            return [Visitor(house, self.hear, self.town.way(), name=f"Ann {self.word}")]
        n, floor = 1 if self.kind == MEMO else SPEAKERS, Floor()
        visitors = [Visitor(house, self.hear, self.town.way(), floor, name=f"S{i} {self.word}", room=f"{self.kind}-{self.word}")
                    for i in range(n)]
        acquainted = self.town.some_visitor()
        if acquainted:  # the same person, elsewhere
            visitors[0].chat.visitor = acquainted
        return visitors

    async def speak(self, visitor, steps):
        for _ in range(steps):
            step = self.dice.choices(self.STEPS, self.WEIGHTS)[0]
            await step(self, visitor)

    @property
    def call(self):
        return "@bo " if self.kind == ROOM else ""

    def text(self):
        return f"{self.call}I say {self.word}, and no more."

    async def say(self, visitor):
        await visitor.ask(self.text(), mark=self.kind != MEMO)

    async def say_what_all_say(self, visitor):
        await visitor.ask(self.call + self.dice.choice(COMMON))

    async def say_much(self, visitor):
        await asyncio.gather(*(visitor.ask(self.text()) for _ in range(3)))

    async def quote(self, visitor):
        more = {"reply_to": visitor.last_answer} if visitor.last_answer else {}
        await visitor.ask(self.text(), **more)

    async def gossip(self, visitor):
        if self.kind == ROOM:
            await visitor.overhear(f"Only among us: {self.word}.")
        else:
            await self.say(visitor)

    async def command(self, visitor):
        if self.kind == MEMO:
            await self.afresh(visitor)
            return
        await visitor.ask(self.dice.choice(COMMANDS).format(self.word))

    async def afresh(self, visitor):
        """What all say, in a conversation without a history: the case for the cache."""
        await visitor.ask("/reset")
        await self.say_what_all_say(visitor)

    async def stop(self, visitor):
        asked = asyncio.ensure_future(visitor.ask(f"{self.text()} {SLOW}"))
        await visitor.ask("/stop")
        await asyncio.sleep(self.dice.random() / 10)
        if not asked.done():
            await visitor.ask("/stop")
        await asked

    async def cut(self, visitor):
        """In the midst of an answer."""
        asked = asyncio.ensure_future(visitor.ask(self.text()))
        await asyncio.sleep(self.dice.random() / 50)
        await visitor.hang_up()
        await asked

    async def look_back(self, visitor):
        """From another window, where all that was said comes again."""
        room = {"room": visitor.chat.hello["room"]} if "room" in visitor.chat.hello else {}
        window = Visitor(self.town.house, self.hear, self.town.way(), visitor.floor, visitor=visitor.chat.visitor, **room)
        await window.ask("/status")
        await window.leave()

    STEPS = (say, say_what_all_say, say_much, quote, gossip, command, afresh, stop, cut, look_back)
    WEIGHTS = (44, 10, 8, 8, 6, 12, 5, 1, 3, 2)


class Program(Conversation):
    """Over POST /chat."""

    async def talk(self, steps):
        self.visitors = self.visitors or [Caller(self.town.house, self.hear)]
        caller, = self.visitors
        try:
            for _ in range(steps):
                await caller.ask(self.dice.choice((self.text(), self.text(), COMMON[0], f"/pin {self.word}", "/reset")))
        finally:
            await caller.leave()


class App(Conversation):
    """In the cloud: somebody with one of the two accounts, or a group of people with one."""

    def __init__(self, town, kind, dice):
        super().__init__(town, kind, dice)
        cloud, house = town.house.cloud, town.house
        self.bot = house.bots[dice.choice(house.accounts)]
        people = [town.some_person(self.bot) for _ in range(SPEAKERS if kind == APP_GROUP else 1)]
        self.group = cloud.world.add_group(f"G {self.word}", *(p.user for p in people), self.bot) if kind == APP_GROUP else None
        self.visitors = [AppUser(house, person, self.bot, self.group) for person in people]

    async def talk(self, steps):
        share, rest = divmod(steps, len(self.visitors))
        await asyncio.gather(*(self.speak(v, share + (i < rest)) for i, v in enumerate(self.visitors)))

    async def speak(self, visitor, steps):
        call = f"@{self.bot.name} " if self.group else ""
        for _ in range(steps):
            text = self.dice.choice((self.text(), self.text(), COMMON[0], f"/pin {self.word}", "/pin" if self.group else "/reset"))
            mid = await visitor.ask(call + text)
            if self.dice.random() < 0.2:
                visitor.edit(mid, f"{call}Rather {self.word}.")

    def look(self):
        """At everything that the cloud holds of it."""
        for visitor in self.visitors:
            visitor.check()
            for message in visitor.view().messages.values() if visitor.view() else ():
                for stage in message.stages:
                    self.hear(str(stage))


class Town:
    """All conversations, those at work now and those that rest."""

    def __init__(self, house, secrets, dice):
        self.house, self.secrets, self.dice = house, secrets, dice
        self.resting = []
        self.all = []
        self.persons = []
        self.acquainted = set()

    def way(self):
        """A function: where the web chat is reached; None: at the daemon."""
        return None

    def some_visitor(self):
        """The secret of somebody who has a private conversation; or None."""
        known = [v.chat.visitor for c in self.all[-50:] if c.kind == PRIVATE for v in c.visitors if v.chat.visitor]
        return self.dice.choice(known) if known and self.dice.random() < 0.3 else None

    def some_person(self, bot):
        """Of the cloud: somebody new, or who talks with the other bot already."""
        strangers = [person for person in self.persons[-50:] if (person, bot) not in self.acquainted]
        if not strangers or self.dice.random() < 0.5:
            strangers = [self.house.cloud.person(f"p{len(self.persons)}")]
            self.persons += strangers
        person = self.dice.choice(strangers)
        self.acquainted.add((person, bot))
        return person

    def kind(self):
        if self.house.accounts and self.dice.randrange(APP_SHARE) == 0:
            return self.dice.choice((APP, APP_GROUP))
        return self.dice.choice(KINDS)

    def conversation(self):
        """A new one, or one that goes on."""
        if self.resting and self.dice.random() < 0.7:
            return self.resting.pop(self.dice.randrange(len(self.resting)))
        kind = self.kind()
        made = {CALLER: Program, APP: App, APP_GROUP: App}.get(kind, Conversation)(self, kind, random.Random(self.dice.random()))
        self.all.append(made)
        return made

    async def work(self, goes_on):
        while goes_on():
            conversation = self.conversation()
            await conversation.session()
            if conversation.left > 0:
                self.resting.append(conversation)

    def look(self):
        """When everybody has left and the daemon has stopped."""
        for conversation in self.all:
            if isinstance(conversation, App):
                conversation.look()
        self.secrets.look_at_store(self.house.store)
        self.secrets.look_at_log(self.house.daemon.log)


async def disturb(town, messages, restarts, show):
    house = town.house
    for i in range(restarts):
        while house.said < messages * (i + 1) // (restarts + 1):
            await asyncio.sleep(LOOK_SECONDS)
        await house.restart(in_good_order=i % 2 == 0)
        show(f"{house.said:,} messages, {len(town.all):,} conversations, {town.secrets.crossings} crossings")


class Outcome:
    def __init__(self, town, model):
        self.secrets, self.house, self.conversations = town.secrets, town.house, len(town.all)
        # What the words have to get past, or the search proves nothing of it.
        log = self.house.daemon.log.read_text(errors="replace")
        self.ways = {"summaries": model.asked_by["small"], "answers from the cache": log.count("answered from the cache"),
                     "requests to the other model": model.asked_by["other"], "starts": self.house.restarts + 1}

    def problems(self):
        """What is wrong: of isolation, of what people saw, or of the search itself."""
        found = [f"{self.secrets.crossings} crossings"] if self.secrets.crossings else []
        found += [f"no word was seen in any {place}" for place in self.secrets.blind()]
        found += [f"no {what}" for what, n in self.ways.items() if not n]
        return found + self.house.problems

    def table(self):
        return "\n".join([self.secrets.table(), ", ".join(f"{n:,} {what}" for what, n in self.ways.items())])


async def run(folder, messages, seed, restarts=8, crowd=80, model=Model, release=False, show=print):
    """Returns the Outcome; the words were looked for everywhere."""
    dice = random.Random(seed)
    secrets = Secrets(dice)
    async with model(lambda text: secrets.look("request", text)) as server, House(folder, server, settings, release) as house:
        town = Town(house, secrets, dice)
        await house.start()
        await asyncio.gather(disturb(town, messages, restarts, show),
                             *(town.work(lambda: house.said < messages) for _ in range(crowd)))
        await house.stop()
        house.look_at_journal()
        town.look()
        return Outcome(town, server)
