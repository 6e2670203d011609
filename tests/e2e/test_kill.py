"""The promise: the daemon is killed at random moments, again and again, and
every acknowledged message has exactly one finished answer, in order per
conversation, and nothing crosses from one conversation into another."""
import asyncio
import os
import random

import aiohttp
import pytest

VISITORS = 20
KILLS = int(os.environ.get("KILL_ROUNDS", "20"))
MESSAGES = int(os.environ.get("KILL_MESSAGES", 25 * KILLS))
SEED = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
PAUSE_SECONDS = (0.15, 0.6)  # between the daemon being ready and its end
ROOMS = ("red", "blue")      # every fourth visitor talks in one of them
SPEAK_SECONDS = KILLS * 0.5 * VISITORS / MESSAGES  # between two messages of one visitor: they last as long as the killing
TOTAL_SECONDS = 300 + 5 * KILLS


class Visitor:
    def __init__(self, daemon, number, dice):
        self.number = number
        self.dice = dice
        self.room = ROOMS[number // 4 % len(ROOMS)] if number % 4 == 3 else ""
        hello = {"name": f"visitor{number}", "last": 0}
        if self.room:
            hello["room"] = self.room
        self.chat = daemon.chat(**hello)
        self.to_say = []   # ids not yet given away
        self.words = {}    # own id -> the word that must come back

    def plan(self, n):
        for i in range(n):
            own = f"m{i}"
            self.words[own] = f"word-{self.number}-{i}-{self.dice.randrange(10**9)}"
            self.to_say.append(own)

    def text(self, own):
        call = "@bo " if self.room else ""
        return f"{call}#sleep {self.dice.choice((0, 0, 5, 40))} #echo {self.words[own]}"

    async def live(self, daemon_up):
        """As a page does: connect, send again what was not acknowledged, go on."""
        texts = {own: self.text(own) for own in self.words}
        while not self.is_done():
            await daemon_up.wait()
            try:
                await self.chat.connect()
                for own in list(self.chat.unacked):
                    await self.chat.say(own, texts[own])
                while self.to_say:
                    own = self.to_say[0]
                    await self.chat.say(own, texts[own])
                    self.to_say.pop(0)
                    await asyncio.sleep(self.dice.random() * 2 * SPEAK_SECONDS)
                await self.chat.until(self.is_done)
            except (ConnectionError, OSError, aiohttp.ClientError):
                pass
            finally:
                if self.chat.ws is not None and not self.chat.connected:
                    await self.chat.session.close()
                    self.chat.ws = None
            await asyncio.sleep(0.01)

    def is_done(self):
        answered = {f["reply_to"] for f in self.mine()}
        return not self.to_say and not self.chat.unacked and answered >= set(self.words)

    def mine(self):
        seqs = set(self.chat.acks.values())
        return [f for f in self.chat.finals if f["reply_seq"] in seqs]


async def killer(daemon, daemon_up, dice, kills):
    for _ in range(kills):
        await asyncio.sleep(dice.uniform(*PAUSE_SECONDS))
        daemon_up.clear()
        await asyncio.to_thread(daemon.kill)
        await asyncio.to_thread(daemon.start)
        daemon_up.set()


def check(visitor, everyone):
    chat = visitor.chat
    assert not chat.problems, chat.problems
    assert set(chat.acks) == set(visitor.words)
    mine = visitor.mine()
    assert len(mine) == len(visitor.words), "not exactly one answer each"
    for frame in mine:
        assert frame["text"] == visitor.words[frame["reply_to"]] and "notice" not in frame, frame
    order = [f["reply_seq"] for f in mine]
    assert order == sorted(order), "not in order"
    others = {w for v in everyone if v.room != visitor.room or not v.room for w in v.words.values() if v is not visitor}
    for frame in chat.frames:
        assert frame.get("text", "").split(" ")[-1] not in others, f"crossed: {frame}"


async def replay(daemon, visitor):
    """A new connection sees the same finished messages as the old ones did."""
    fresh = daemon.chat(visitor=visitor.chat.visitor, last=0, **({"room": visitor.room} if visitor.room else {}))
    async with fresh:
        await fresh.until(lambda: len(fresh.finals) >= len(visitor.chat.finals))
        seen = {f["id"]: f["text"] for f in visitor.chat.finals}
        assert seen.items() <= {f["id"]: f["text"] for f in fresh.finals}.items()


async def scenario(daemon, dice):
    daemon_up = asyncio.Event()
    daemon_up.set()
    visitors = [Visitor(daemon, n, dice) for n in range(VISITORS)]
    for n, visitor in enumerate(visitors):
        visitor.plan(MESSAGES // VISITORS + (n < MESSAGES % VISITORS))
    lives = [asyncio.create_task(v.live(daemon_up)) for v in visitors]
    await killer(daemon, daemon_up, dice, KILLS)
    await asyncio.gather(*lives)
    for visitor in visitors:
        if visitor.chat.ws is not None:
            await visitor.chat.close()
        check(visitor, visitors)
    for visitor in visitors:
        await replay(daemon, visitor)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [20261121, SEED])
def test_kill(make_daemon, run, seed):
    print(f"seed {seed}")
    daemon = make_daemon().start()
    daemon.configure()  # from now on with the port that it got
    run(scenario(daemon, random.Random(seed)), TOTAL_SECONDS)
