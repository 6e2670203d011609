"""A part of `make kill-anywhere`, and that it sees a promise that is broken."""
import asyncio
import contextlib
import os
import pathlib
import sqlite3
import subprocess
import tempfile

import pytest

from . import CONVERSATIONS
from .house import COUNT, Strike, memory_folder, read_report

AT_ONCE = 8
# Numbers from all parts of the conversation; what stands there is another call with each version.
STRIKES = [[Strike(at)] for at in range(40, 2300, 110)] + [[Strike(at, half=True)] for at in range(10, 450, 110)] + \
          [[Strike(900), Strike(at)] for at in range(50, 300, 80)]


@pytest.fixture(scope="module")
def strike_program(tmp_path_factory):
    """Where a tracer is not permitted (some containers), nothing can be struck."""
    if not os.path.exists(os.environ["WARBLER_STRIKE"]):
        pytest.skip("it could not be built: Linux's headers are missing")
    report = tmp_path_factory.mktemp("strike") / "report"
    done = subprocess.run([os.environ["WARBLER_STRIKE"], "-o", report, "true"], capture_output=True, text=True, check=False)
    if "not permitted" in done.stderr:
        pytest.skip(f"no tracer here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return os.environ["WARBLER_STRIKE"]


@pytest.fixture
def folder(tmp_path):
    with tempfile.TemporaryDirectory(prefix="warbler-kill-", dir=memory_folder(tmp_path)) as path:
        yield pathlib.Path(path)


def struck(program, tmp_path, *options):
    report = tmp_path / "report"
    done = subprocess.run([program, *options, "-o", report, "sh", "-c", "echo whole; exec head -c 100 /dev/zero"],
                          capture_output=True, check=False)
    return done.returncode, done.stdout, read_report(report)


def test_strike_counts_every_call(strike_program, tmp_path):
    status, said, report = struck(strike_program, tmp_path)
    assert status == 0 and len(said) == 106 and not report.struck
    assert report.counts["write"] == 2 and report.counts["execve"] >= 2


def test_strike_kills_before_the_call(strike_program, tmp_path):
    _, _, all_of_it = struck(strike_program, tmp_path)
    status, said, report = struck(strike_program, tmp_path, "-n", str(all_of_it.calls))
    assert status == -9 and report.struck == "exit_group" and len(said) == 106
    status, said, report = struck(strike_program, tmp_path, "-n", "1")
    assert status == -9 and report.struck == "execve" and said == b""


def test_strike_kills_in_the_midst(strike_program, tmp_path):
    assert struck(strike_program, tmp_path, "-h", "-n", "1")[:2] == (-9, b"who")
    status, said, report = struck(strike_program, tmp_path, "-h", "-n", "2")
    assert status == -9 and len(said) == 6 + 50 and report.struck == "write"


@pytest.mark.parametrize("conversation", CONVERSATIONS)
def test_killed_anywhere(strike_program, folder, run, conversation):
    async def some():
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(i, strikes):
            async with gate:
                (folder / str(i)).mkdir()
                return await CONVERSATIONS[conversation](folder / str(i), strikes).run()

        return await asyncio.gather(*(one(i, strikes) for i, strikes in enumerate(STRIKES)))

    rounds = run(some())
    names = {report.struck for reports in rounds for report in reports if report.struck}
    assert sum(bool(report.struck) for reports in rounds for report in reports) > len(STRIKES) / 2 and len(names) > 5, names


# What breaks the promise, in SQL; every such change must be noticed.
BROKEN = {
    "web": {
        "a question is lost": "DELETE FROM message WHERE id = 'bob-quiet'",
        "an answer is lost": "DELETE FROM message WHERE kind = 2 AND text LIKE '%ann-1.'",
        "an answer is another one": "UPDATE message SET text = 'I heard you say word-dan-1.' WHERE kind = 2 AND text LIKE '%ann-1.'",
        "a question is asked again": "UPDATE message SET outcome = 0, answer = 0 WHERE id = 'ann-2'",
        "a question was decided otherwise": "UPDATE message SET outcome = 3 WHERE id = 'ann-2'",
        "a number changed": "UPDATE message SET seq = seq + 1000 WHERE id = 'cid-1'",
        "something was said that nobody asked for": "INSERT INTO message SELECT channel, seq + 1000, time_ms, 1, 3, flags, 0, 0, 0,"
            " 'extra', sender, name, reply_to, lang, text, finish, usage, reason, quoted, quoted_name, wish FROM message"
            " WHERE id = 'ann-1'",
        "a reply to a program changed": "UPDATE message SET text = 'I heard you say nothing.' WHERE kind = 2 AND text LIKE '%prog-1.'",
        "the file is damaged": None,
    },
    "cloud": {
        "a question is asked again": "UPDATE message SET outcome = 0, answer = 0 WHERE kind = 1 AND text = 'word-ann-2'",
        "an answer is sent again": "INSERT INTO outbox (channel, turn, answer, part, n_parts, time_ms, txn, text) SELECT channel,"
            " turn, seq, 0, 1, 0, 'another', text FROM message WHERE kind = 2 AND text LIKE '%ann-1.'",
        "an answer is changed": "INSERT INTO outbox (kind, channel, turn, answer, part, n_parts, time_ms, txn, text, platform_id)"
            " SELECT 2, channel, turn, seq, 0, 1, 0, 'another', 'changed', (SELECT platform_id FROM posted WHERE"
            " posted.channel = message.channel AND posted.answer = seq) FROM message WHERE kind = 2 AND text LIKE '%ann-1.'",
        "an answer is taken back": "INSERT INTO outbox (kind, channel, turn, answer, part, n_parts, time_ms, txn, text, platform_id)"
            " SELECT 3, channel, turn, seq, 0, 1, 0, 'another', '', (SELECT platform_id FROM posted WHERE"
            " posted.channel = message.channel AND posted.answer = seq) FROM message WHERE kind = 2 AND text LIKE '%ann-1.'",
    },
}


def damage(data):
    path = data / "warbler.db"
    size = path.stat().st_size
    with open(path, "r+b") as f:
        f.seek(size // 2)
        f.write(b"\xff" * (size // 4))


@pytest.mark.parametrize("conversation, what", [(name, what) for name in CONVERSATIONS for what in BROKEN[name]])
def test_a_broken_promise_is_seen(strike_program, folder, run, conversation, what):
    sql = BROKEN[conversation][what]

    def between(data):
        if not sql:
            damage(data)
            return
        with contextlib.closing(sqlite3.connect(data / "warbler.db")) as db, db:
            assert db.execute(sql).rowcount == 1

    with pytest.raises((AssertionError, OSError)):
        run(CONVERSATIONS[conversation](folder, [COUNT], between).run())
