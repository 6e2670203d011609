"""Small versions of `make isolation` and `make soak`, and that both can fail."""
import asyncio
import contextlib
import itertools
import random
import re
import shutil
import sqlite3

import pytest

from . import ADAPTERS, gauge, isolation, people, soak
from .house import House
from .model import Mixing, Model
from .words import Secrets

needs_webchat = pytest.mark.skipif("webchat" not in ADAPTERS, reason="built without the web chat")
MESSAGES = 2000
MIXED_MESSAGES = 400
SOAK_SECONDS = 8
SEED = random.randrange(10**6)


def isolated(run, folder, messages, **more):
    print(f"seed {SEED}")
    return run(isolation.run(folder, messages, SEED, **more), 300)


@needs_webchat
@pytest.mark.slow
def test_isolation(run, tmp_path):
    outcome = isolated(run, tmp_path, MESSAGES, restarts=2)
    assert not outcome.problems(), f"seed {SEED}: {outcome.problems()}\n{outcome.table()}"


@needs_webchat
@pytest.mark.slow
def test_what_crosses_is_seen_wherever_it_goes(run, tmp_path):
    """A model that mixes conversations up: its answers are seen by people, kept, and given to it again."""
    outcome = isolated(run, tmp_path, MIXED_MESSAGES, restarts=1, model=Mixing)
    for place in ("reply", "request", "store"):
        assert outcome.secrets.seen[place].crossings, outcome.table()
    assert re.search("crossings", outcome.problems()[0])


@needs_webchat
@pytest.mark.slow
def test_soak(run, tmp_path):
    print(f"seed {SEED}")
    outcome = run(soak.run(tmp_path, SOAK_SECONDS, SEED, crowd=15, warm=20, memory=False), 300)
    assert not outcome.problems(), f"seed {SEED}: {outcome.problems()}\n{outcome.table()}"


# --- what people and the journal say ---
@needs_webchat
def test_who_waits_for_ever_is_noted(run, tmp_path, monkeypatch):
    class Silent(Model):
        def fault(self):
            return "silent"

    async def ask():
        async with Silent() as model, House(tmp_path, model, isolation.settings) as house:
            await house.start()
            visitor = people.Visitor(house)
            assert await visitor.ask("Is anybody there?") is None
            await visitor.leave()
            assert len(house.problems) == 1 and "no answer within 1 s" in house.problems[0], house.problems

    monkeypatch.setattr(people, "STUCK_SECONDS", 1)
    run(ask())


def test_a_second_answer_is_noted():
    house = House(".", None, isolation.settings)
    visitor = people.Visitor(house)
    for answer, problems in (("m1", 0), ("m1", 0), ("m2", 1)):  # the same one comes again to who comes back
        visitor.heard({"id": answer, "reply_to": f"{visitor.key}0"})
        visitor.heard({"id": "m3", "reply_to": "somebody-else-s"})
        assert len(house.problems) == problems


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """Of three questions with their answers."""
    folder = tmp_path_factory.mktemp("journal")

    async def talk():
        async with Model() as model, House(folder, model, isolation.settings) as house:
            await house.start()
            visitor = people.Visitor(house)
            for text in ("one", "two", "/status"):
                await visitor.ask(text)
            await visitor.leave()
            await house.stop()

    asyncio.run(asyncio.wait_for(talk(), 60))
    return folder / "data"


BROKEN = {
    "": "",
    "is undecided": "UPDATE message SET outcome = 0 WHERE text = 'two'",
    "has no answer": "UPDATE message SET outcome = 3 WHERE text = 'two'",
    "has no answer in the journal": "UPDATE message SET outcome = 4 WHERE text = 'one'",
    "is lost": "DELETE FROM message WHERE seq = (SELECT answer FROM message WHERE text = 'one')",
    "two answers": "UPDATE message SET turn = (SELECT max(turn) FROM message) WHERE kind = 2",
    "is damaged": "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'message_pending'",
}


@needs_webchat
@pytest.mark.parametrize("said, sql", BROKEN.items())
def test_journal(journal, tmp_path, said, sql):
    house = House(tmp_path, None, isolation.settings)
    shutil.copytree(journal, house.store.parent)
    with contextlib.closing(sqlite3.connect(house.store)) as db:
        db.executescript(sql)
        db.commit()
    house.look_at_journal()
    assert bool(house.problems) == bool(said) and all(said in problem for problem in house.problems[:1]), house.problems


# --- the words ---
@pytest.fixture
def secrets():
    made = Secrets(random.Random(1))
    for _ in range(3):
        made.new()
    made.channels.update({"web:~0": 0, "web:~1": 1})
    return made


def log_of(tmp_path, line):
    (tmp_path / "log").write_text(line + "\n", encoding="utf-8")
    return tmp_path / "log"


LOGGED = [  # a line, its crossings
    ("turn: web:~0 message 4: binding -> asking", 0),
    ("turn: web:~0 message 4: {0} is too long", 0),
    ("turn: web:~0 message 4: {1} is too long", 1),
    ("turn: web:~0 message 4: {0} and {1}", 1),
    ("turn: {0}, whoever that was", 1),
    ("turn: web:~0: {0}, and web:~1: {1}", 1),
    ("turn: web:~2: {0}", 1),
]


@pytest.mark.parametrize("line, crossings", LOGGED)
def test_log(secrets, tmp_path, line, crossings):
    secrets.look_at_log(log_of(tmp_path, line.format(*map(secrets.word, range(3)))))
    assert secrets.seen["log"].crossings == crossings, secrets.shown


def test_replies_and_requests(secrets):
    for text, crossed in (("{0} and {0}", 0), ("nothing", 0), ("{1}", 1), ("{0} {1}", 1), ("zq000000x00000000", 1),
                          ("zq999999x00000000", 1)):
        before = secrets.crossings
        secrets.look("reply", text.format(*map(secrets.word, range(3))), 0)
        assert secrets.crossings - before == crossed, text
        before = secrets.crossings
        secrets.look("request", text.format(*map(secrets.word, range(3))))  # nobody knows whose, so that one conversation is right
        assert secrets.crossings - before == (crossed and text != "{1}"), text
    assert secrets.blind() == ["store", "log"]


CHANNELS = [  # (channel, a word of it) in rows, crossings
    ([("web:~0", 0), ("web:~0", 0)], 0),
    ([("web:~7", 2), ("web:~7", 2)], 0),
    ([("web:~7", 2), ("web:~8", 2)], 1),
    ([("web:~7", 2), ("web:~7", 1)], 1),
    ([("web:~7", 1)], 1),
]


@pytest.mark.parametrize("rows, crossings", CHANNELS)
def test_one_channel_for_each_conversation(secrets, rows, crossings):
    secrets.homes.update({0: "web:~0", 1: "web:~1"})
    for channel, number in rows:
        secrets.look_in_channel("store", secrets.word(number), channel)
    assert secrets.seen["store"].crossings == crossings, secrets.shown


ROWS = ["channel (id, account, name, pins) VALUES (1, 'web', 'web:~0', '{}')", "message (channel, text) VALUES (1, '{}')",
        "ledger (account, channel, raw) VALUES ('web', 'web:~0', '{}')"]


@pytest.mark.parametrize("row, number", itertools.product(ROWS, (0, 1)))
def test_store(secrets, tmp_path, row, number):
    with sqlite3.connect(tmp_path / "db") as db:
        db.executescript("CREATE TABLE channel (id INTEGER, account, name, pins); CREATE TABLE message (channel INTEGER, text);"
                         "CREATE TABLE ledger (account, channel, raw);")
        if "channel (" not in row:
            db.execute("INSERT INTO channel VALUES (1, 'web', 'web:~0', NULL)")
        db.execute(f"INSERT INTO {row.format(secrets.word(number))}")
    secrets.look_at_store(tmp_path / "db")
    assert secrets.seen["store"].crossings == (number != 0) and secrets.seen["store"].words == 1


# --- memory ---
@pytest.mark.parametrize("samples, is_flat", [
    ([1000] * 100, True),
    ([900] * 20 + [1000] * 80, True),                        # the first fifth is the way to the bound
    ([1000] * 80 + [1020] * 20, True),
    ([1000] * 80 + [1021] * 20, False),
    ([1000 + n for n in range(100)], False),                 # a leak
    ([1000 + (500 if n % 7 == 0 else 0) for n in range(100)], True),  # what comes and goes
    ([1000] * 60 + [1100] * 10 + [1000] * 30, True),
])
def test_gauge(samples, is_flat):
    assert gauge.is_flat(samples) == is_flat


def test_gauge_wants_samples():
    with pytest.raises(AssertionError):
        gauge.is_flat([1000] * (gauge.SAMPLES_MIN - 1))
