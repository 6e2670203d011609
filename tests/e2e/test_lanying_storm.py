"""The promise, over the Lanying cloud: connections are cut, notices get lost
or come twice, the daemon is killed, and every question has exactly one answer.
And what the release build takes of the machine's memory."""
import asyncio
import contextlib
import os
import random

import pytest

from lanying.stage import lanying  # noqa: F401 (a fixture)
from lanying.view import check_exactly_once, check_stream

PEOPLE, GROUPS = 14, 6
MISFORTUNES = ("cut", "cut", "kill", "cut", "kill")  # a round; never many cuts on end, after which it would come back slowly
QUESTIONS = 30  # for each round
ROUNDS, LONG_ROUNDS = 2, 10
SEED = int(os.environ.get("KILL_SEED", random.randrange(10**6)))
PAUSE_SECONDS = (0.2, 1.2)  # between a login and the next misfortune
SHARP_SECONDS = 1.5         # in which the bot should send something
TOTAL_SECONDS = 900
IDLE_MB, MANY_MB, MANY, AT_ONCE = 15, 20, 1000, 50


class Talker:
    """Somebody with one conversation, in private or in a group of their own."""

    def __init__(self, stage, number, dice):
        self.stage, self.number, self.dice = stage, number, dice
        self.person = stage.cloud.person(f"person{number}")
        self.room = stage.world.add_group(f"group{number}", self.person.user, stage.bot) if number >= PEOPLE else None
        self.to = self.room or stage.bot
        self.asked = {}

    def say(self, i):
        text = f"word-{self.number}-{i}-{self.dice.randrange(10**9)}"
        if self.dice.random() < 0.2:
            text += " and" * 150  # long enough to be streamed
        mention = {"mention": [self.stage.bot]} if self.room else {}
        call = "@bot " if self.room else ""
        mid = self.person.say(f"{call}#sleep {self.dice.choice((0, 0, 30, 300))} #echo {text}", self.to, **mention)
        self.asked[mid] = text

    async def talk(self, questions, seconds):
        for i in range(questions):
            await asyncio.sleep(self.dice.uniform(0, 2 * seconds / questions))
            self.say(i)

    def is_answered(self):
        view = self.person.view(self.to)
        return all(any(s.text == text for s in view.answers_to(mid, self.stage.bot)) for mid, text in self.asked.items())


async def misfortune(s, dice, rounds):
    """Cuts and kills, each after a login; half of them when the cloud has taken something and not said so, if
    anything is sent soon."""
    for kind in MISFORTUNES * rounds:
        number, lost = len(s.cloud.sessions), s.cloud.acks_lost
        await asyncio.sleep(dice.uniform(*PAUSE_SECONDS))
        if dice.random() < 0.5:
            s.cloud.script.unanswered = 1
            with contextlib.suppress(AssertionError):
                await s.cloud.until(lambda lost=lost: s.cloud.acks_lost > lost, SHARP_SECONDS)
        if kind == "cut":
            s.cloud.cut()
        else:
            await s.kill()
            await s.start()
        await s.cloud.login(s.bot, 120, number)


@pytest.mark.slow
@pytest.mark.parametrize("transport, seed", [("socketio", 20261121), ("raw", SEED)])
@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(LONG_ROUNDS, marks=pytest.mark.long)])
def test_storm(lanying, transport, seed, rounds):
    print(f"seed {seed}")
    dice = random.Random(seed)
    questions = QUESTIONS * rounds

    async def scenario(s):
        await s.online()
        faults = s.cloud.faults
        faults.lose_notice, faults.repeat_notice, faults.delay_notice, faults.repeat_page = 0.2, 0.2, 0.3, 0.1
        faults.eager, faults.page, faults.delay_answer = 0.1, 5, 0.05
        faults.history_raw = transport == "raw"
        talkers = [Talker(s, n, dice) for n in range(PEOPLE + GROUPS)]
        seconds = rounds * len(MISFORTUNES) * sum(PAUSE_SECONDS) / 2
        talking = [asyncio.create_task(t.talk(questions // len(talkers), seconds)) for t in talkers]
        await misfortune(s, dice, rounds)
        await asyncio.gather(*talking)
        for talker in talkers:
            await s.cloud.until(talker.is_answered, 200, f"the answers of {talker.number}")
        s.cloud.cut()  # what still waits to be said would be said now
        await s.cloud.login(s.bot, 120, len(s.cloud.sessions))
        streamed = 0
        for talker in talkers:
            view = talker.person.view(talker.to)
            check_exactly_once(view, s.bot, talker.asked)
            for seen in view.of(s.bot):
                check_stream(seen, 1, whole=False)
                streamed += bool(seen.ai.get("stream"))
        assert sum(len(t.asked) for t in talkers) == questions and streamed
        print(f"{streamed} streamed answers; {len(s.cloud.sessions)} logins; lost: {s.cloud.notices_lost} notices, {s.cloud.acks_lost} acknowledgements; "
              f"dropped: {s.cloud.repeats_dropped} repeated sends")
    lanying(scenario, account=f'transport = "{transport}";', practice="delay_ms = 0; chunk_ms = 30; chunk_chars = 12;",
            cloud={"seed": seed}, seconds=TOTAL_SECONDS, log="info")


@pytest.mark.slow
@pytest.mark.parametrize("n, limit_mb", [(1, IDLE_MB), (MANY, MANY_MB)])
def test_memory(lanying, n, limit_mb):
    """Idle after that many conversations."""
    async def scenario(s):
        await s.online()
        people = [s.cloud.person(f"person{i}") for i in range(n)]
        for i in range(0, n, AT_ONCE):
            asked = [(person, person.say("#echo the answer", s.bot)) for person in people[i:i + AT_ONCE]]
            for person, mid in asked:
                assert (await s.answer(person, mid)).text == "the answer"
        took = s.daemon.rss_kb() / 1024
        print(f"{took:.1f} MB after {n} conversations")
        assert took <= limit_mb
    lanying(scenario, release=True, log="info", seconds=300)
