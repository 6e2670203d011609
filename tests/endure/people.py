"""Who talk with the bot, as pages, programs and apps do: they come back when a
connection is lost, say again what was not acknowledged, and count the answers."""
import asyncio
import collections
import json

import aiohttp

import client
from lanying.view import View, is_finished

FRAMES_KEPT = 256        # of a connection
PATIENCE_SECONDS = 5     # without a frame, in the midst of a question: then a page tries another connection
QUIET_SECONDS = 1        # after which what was cancelled counts as not answered; the journal must say the same
STUCK_SECONDS = 60       # a question without an answer for that long is lost
AGAIN_SECONDS = 0.02
LOOK_SECONDS = 0.05
CANCELS = ("/stop", "/reset")
GONE = (OSError, aiohttp.ClientError, asyncio.TimeoutError)


async def in_time(house, work, what):
    """What the coroutine comes to; None if it takes too long, which is noted."""
    try:
        async with asyncio.timeout(STUCK_SECONDS):
            return await work
    except asyncio.TimeoutError:
        house.note(f"no answer within {STUCK_SECONDS} s to {what}")
        return None


class Ears(client.Chat):
    """The checks of client.Chat, over conversations of any length, and without keeping them."""

    def __init__(self, url, hear, heard, **hello):
        super().__init__(url, **hello)
        self.hear, self.heard = hear, heard
        self.forget()

    def forget(self):
        """What is only for running answers, and for repeats, which do not come over another connection that says `last`."""
        self.frames, self.finals = [], []
        self.finished, self.partial, self.acks, self.said, self.unacked = {}, {}, {}, {}, {}

    async def read(self):
        async for message in self.ws:
            if message.type != aiohttp.WSMsgType.TEXT:
                break
            self.hear(message.data)
            frame = json.loads(message.data)
            self.frames.append(frame)
            try:
                self.take(frame)
            except AssertionError as problem:
                self.problems.append(f"{problem} in {frame}")
            for kept in (self.frames, self.finals):
                del kept[:max(0, len(kept) - FRAMES_KEPT)]
            self.changed.set()
        self.closed_with = self.ws.close_code
        self.changed.set()

    def finish(self, frame):
        super().finish(frame)
        self.heard(frame)


class Floor:
    """Of one conversation: up to which message somebody has said that the bot need not answer any more (/stop, /reset)."""

    def __init__(self):
        self.cancelled = 0  # seq


class Visitor:
    """Of the web chat, in one conversation. house: a House; floor: shared by all who are in the conversation."""

    def __init__(self, house, hear=lambda text: None, url=None, floor=None, **hello):
        self.house = house
        self.floor = floor or Floor()
        self.url = url or (lambda: house.ws)
        self.chat = Ears("", hear, self.heard, last=0, **hello)
        self.key = house.next_key()  # so that ids are not those of somebody else
        self.due = {}                # own id -> Future of its answer
        self.done = {}               # own id -> id of its answer: a second one would have another
        self.last_answer = None
        self.door = asyncio.Lock()
        self.n = 0

    # --- what is heard ---
    def heard(self, frame):
        for own in {frame["reply_to"], *frame.get("answers", ())}:
            if not own.startswith(self.key):
                continue
            if self.done.setdefault(own, frame["id"]) != frame["id"]:
                self.house.note(f"two answers to {own}: {self.done[own]}, {frame}")
            future = self.due.pop(own, None)
            if future and not future.done():
                self.last_answer = frame["id"]
                future.set_result(frame)

    # --- what is said ---
    async def ask(self, text, mark=False, **more):
        """Says it and returns the answer, over as many connections as it takes; None if somebody wanted none any more, or if it
        never comes, which is noted. mark: the answer has to name it."""
        own = self.say_next()
        answer = self.due[own] = asyncio.get_running_loop().create_future()
        said = f"{text} #{own}" if mark else text
        frame = await in_time(self.house, self.until_answered(own, said, answer, more), f"{own}: {text}")
        self.due.pop(own, None)
        if frame:
            self.look_at(frame, own, text, mark)
        elif answer.done():
            self.house.silenced.append(own)
        return frame

    def say_next(self):
        self.n += 1
        self.house.said += 1
        return f"{self.key}{self.n}"

    def look_at(self, frame, own, text, mark):
        self.house.noticed += bool(frame.get("notice"))
        if text in CANCELS:
            self.floor.cancelled = max(self.floor.cancelled, frame["reply_seq"])
        meant = frame.get("answers", [frame["reply_to"]])
        # What was stopped need not have come to the mark.
        if mark and not frame.get("notice") and "#" in frame["text"] and not any(f"#{one}" in frame["text"] for one in meant):
            self.house.note(f"an answer to something else: {own} {frame}")

    async def until_answered(self, own, text, answer, more):
        while not answer.done():
            try:
                await self.be_there()
                chat = self.chat
                if own not in chat.acks and not chat.frames_awaiting_ack.get(own):
                    await chat.say(own, text, **more)
                await self.wait(own, answer)
            except GONE:
                await asyncio.sleep(AGAIN_SECONDS)
        return answer.result()

    async def wait(self, own, answer):
        """For the answer, or until the connection is gone or seems to be."""
        quiet = 0
        while not answer.done():
            before = self.chat.frames[-1:]
            await asyncio.wait([answer, self.chat.reader], timeout=QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            self.check()
            if self.chat.reader.done():
                raise ConnectionError("lost")
            quiet = quiet + QUIET_SECONDS if before == self.chat.frames[-1:] else 0
            if quiet and not answer.done() and self.chat.acks.get(own, self.floor.cancelled) < self.floor.cancelled:
                answer.set_result(None)
            elif quiet >= PATIENCE_SECONDS:
                await self.hang_up()
                raise ConnectionError("silent")

    async def overhear(self, text):
        """Says something that is not for the bot: only the ack comes."""
        own = self.say_next()
        await in_time(self.house, self.until_acknowledged(own, text), f"{own}: {text}")

    async def until_acknowledged(self, own, text):
        while own not in self.chat.acks:
            try:
                await self.be_there()
                if not self.chat.frames_awaiting_ack.get(own):
                    await self.chat.say(own, text)
                await self.chat.until(lambda: own in self.chat.acks, PATIENCE_SECONDS)
            except GONE:
                await self.hang_up()
                await asyncio.sleep(AGAIN_SECONDS)

    def check(self):
        for problem in self.chat.problems:
            self.house.note(problem)
        self.chat.problems.clear()

    # --- coming and going ---
    async def be_there(self):
        async with self.door:
            if self.chat.ws is not None and self.chat.connected:
                return
            await self.drop()
            await self.house.up.wait()
            self.chat.url = self.url()
            await asyncio.wait_for(self.chat.connect(), PATIENCE_SECONDS)

    async def hang_up(self):
        """As a network does when it breaks: nobody is told."""
        async with self.door:  # not in the midst of connecting
            await self.drop()

    async def drop(self):
        if self.chat.session:
            await self.chat.session.close()
            if self.chat.reader:
                await asyncio.gather(self.chat.reader, return_exceptions=True)
            self.chat.session = self.chat.ws = None

    async def leave(self):
        """In good order; to come back later."""
        if self.chat.ws is not None and self.chat.connected:
            try:
                await asyncio.wait_for(self.chat.ws.close(), PATIENCE_SECONDS)
            except GONE:
                pass
        await self.hang_up()
        self.check()
        self.chat.forget()


class Caller:
    """A program that talks over POST /chat, in one conversation."""

    def __init__(self, house, hear=lambda text: None):
        self.house, self.hear = house, hear
        self.key = house.next_key()
        self.conversation = {}
        self.session = None
        self.n = 0

    async def ask(self, text):
        """Until there is an answer; the key makes repeats harmless."""
        self.n += 1
        self.house.said += 1
        self.session = self.session or aiohttp.ClientSession()
        body = await in_time(self.house, self.until_answered(text, f"{self.key}{self.n}"), f"POST /chat: {text}")
        if body:
            self.hear(body)
            self.conversation = {"conversation": json.loads(body)["conversation"]}

    async def until_answered(self, text, key):
        while True:
            await self.house.up.wait()
            try:
                async with self.session.post(self.house.http + "/chat", json={"message": text, **self.conversation},
                                             headers={"Idempotency-Key": key}) as answer:
                    body = await answer.text()
                if answer.status == 200:
                    return body
                if answer.status not in (429, 503):
                    self.house.note(f"POST /chat: {answer.status} {body}")
            except GONE:
                pass
            await asyncio.sleep(AGAIN_SECONDS)

    async def leave(self):
        if self.session:
            await self.session.close()
            self.session = None


class AppUser:
    """Somebody with Lanying IM's app, in one conversation with a bot: a private one, or a group."""

    def __init__(self, house, person, bot, to=None):
        self.house, self.person, self.bot, self.to = house, person, bot, to or bot
        self.seen = (0, None)
        self.edits = collections.Counter()  # by the id of what was edited

    def view(self):
        log = self.person.user.logs.get(self.to.gid if hasattr(self.to, "gid") else self.to.uid, ())
        if len(log) != self.seen[0]:
            self.seen = (len(log), View(log, self.house.cloud.record_times))
        return self.seen[1]

    def answers(self, mid):
        view = self.view()
        return view.answers_to(mid, self.bot) if view else []

    async def ask(self, text):
        """Says it; its id, when it is answered."""
        mention = {"mention": [self.bot]} if hasattr(self.to, "gid") else {}
        self.house.said += 1
        mid = self.person.say(text, self.to, **mention)
        await in_time(self.house, self.until_answered(mid), f"{mid}: {text}")
        return mid

    async def until_answered(self, mid):
        while not any(map(is_finished, self.answers(mid))):
            await asyncio.sleep(LOOK_SECONDS)

    def edit(self, mid, text):
        """An edit that overtakes a connection's end is lost (ARCHITECTURE.md), so nothing is waited for."""
        self.house.said += 1
        self.edits[mid] += 1
        self.person.replace(mid, self.to, text)

    def check(self):
        """No question has two answers; an edit, whose answer takes the place of the first, may end in a notice beside it."""
        view = self.view()
        counts = collections.Counter(seen.answers for seen in view.of(self.bot)) if view else {}
        for mid, n in counts.items():
            if n > 1 + self.edits[mid]:
                self.house.note(f"{n} answers to {mid}")
