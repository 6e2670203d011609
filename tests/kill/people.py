"""Who talk with the daemon, as a page and as a program would: they come back
when a connection is lost, and say again what was not acknowledged."""
import asyncio
import socket
from dataclasses import dataclass

import aiohttp

import client

from .round import SILENT

AGAIN_SECONDS = 0.005


@dataclass
class Due:
    """What a message must come to: one of these outcomes (enum store_outcome), and an answer of this text."""
    outcomes: tuple
    text: str = ""        # "": any
    whole: bool = True    # else the answer may be its beginning only
    in_order: bool = True # commands overtake

    @property
    def answered(self):
        """For sure."""
        return SILENT not in self.outcomes


class Person:
    """In the web chat. Its steps are coroutines that may be begun anew after each loss of the connection."""

    def __init__(self, house, name, room=""):
        self.house, self.name, self.room = house, name, room
        self.chat = client.Chat("", name=name, last=0, **({"room": room} if room else {}))
        self.due = {}    # own id -> what it must come to
        self.steps = []

    # --- what a step can do ---
    def say(self, own, text, due, until="answer"):
        """due: a Due; until: what is waited for before the next step."""
        self.due[own] = due

        async def step():
            if own not in self.chat.acks and own not in self.chat.unacked:
                await self.chat.say(own, text)
            await self.chat.until({"ack": lambda: own in self.chat.acks, "part": lambda: self.begun(own),
                                   "answer": lambda: self.answers(own)}[until])
        self.steps.append(step)

    def await_answers(self):
        async def step():
            await self.chat.until(lambda: not self.missing())
        self.steps.append(step)

    def cut(self):
        async def step():
            self.steps.pop(0)
            connection = self.chat.ws.get_extra_info("socket")
            if connection:  # else somebody was quicker
                connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionError("cut")
        self.steps.append(step)

    # --- what it knows ---
    def answers(self, own):
        """Its finished answers."""
        return [f for f in self.chat.finals if f["reply_seq"] in self.chat.acks.values() and
                (f["reply_to"] == own or own in f.get("answers", ()))]

    def missing(self):
        """Of what was said, what has no answer."""
        return [own for own in self.chat.said if self.due[own].answered and not self.answers(own)]

    def begun(self, own):
        return self.answers(own) or any(f["type"] == "message" and f.get("reply_to") == own for f in self.chat.frames)

    # --- its life ---
    async def live(self):
        while self.steps:
            await self.house.up.wait()
            self.chat.url = self.house.ws
            try:
                await self.chat.connect()
                for own, frame in list(self.chat.unacked.items()):
                    await self.chat.say(own, frame["text"])
                while self.steps:
                    step = self.steps[0]
                    await step()
                    self.steps.remove(step)
            except (OSError, aiohttp.ClientError):
                await asyncio.sleep(AGAIN_SECONDS)
            finally:
                await self.leave()

    async def leave(self):
        if self.chat.session:
            await self.chat.session.close()
        if self.chat.reader:
            await self.chat.reader

    def twin(self):
        """Somebody with the same secret who was never here."""
        return client.Chat("", visitor=self.chat.visitor, last=0, **({"room": self.room} if self.room else {}))


class Caller:
    """A program that asks over HTTP, each thing until it is answered."""

    def __init__(self, house, name):
        self.house, self.name = house, name
        self.replies = {}  # key -> [reply, …]: the same question is put twice
        self.to_ask = []

    def ask(self, key, text):
        self.to_ask += [(key, text), (key, text)]

    async def live(self):
        conversation = {}
        while self.to_ask:
            key, text = self.to_ask[0]
            await self.house.up.wait()
            try:
                async with aiohttp.ClientSession() as session, session.post(
                        self.house.http + "/chat", json={"message": text, "name": self.name, **conversation},
                        headers={"Idempotency-Key": key}) as answer:
                    body = await answer.json()
                    if answer.status == 503:
                        raise ConnectionError("stopping")
                    assert answer.status == 200, body
            except (OSError, aiohttp.ClientError):
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            self.replies.setdefault(key, []).append(body["reply"])
            self.to_ask.pop(0)
