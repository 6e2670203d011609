"""One run of a conversation, over as many lives as the strikes make of it, and
what must be true in the end whatever the platform is."""
import asyncio
import contextlib
import re
import sqlite3

from .house import House
from .model import Model

ROUND_SECONDS = 60  # that only a hang reaches
ANSWERED, NOTICED, SILENT, WITHDRAWN = 1, 2, 3, 5  # enum store_outcome
PERSON = 1                                          # enum store_kind


class Round:
    """A platform's round says what the daemon's account is, who talks, and what they must have seen in the end."""
    name = adapter = ""
    settings = ""  # bots, accounts and channels; {port}: of what the platform has
    env = {}       # the daemon's, beside what is there

    def __init__(self, folder, strikes, between=None):
        self.house = House(folder, strikes, between)
        self.model = Model()

    async def open(self):
        """Opens the platform, if it is not the daemon itself; returns its port."""
        return 0

    async def close(self):
        """Of the platform."""

    async def talk(self):
        """Everything that people do, until they have what they wait for."""
        raise NotImplementedError

    async def look_again(self):
        """In the last life, after everything: what people see now."""

    def where(self):
        """What is waited for."""
        return ""

    def check_messages(self, asked, given):
        """Rows of the journal: of people, and of the bot."""

    async def run(self):
        try:
            await self.model.open()
            self.house.open(self.model.port, self.settings.replace("{port}", str(await self.open())), self.env)
            await self.unless_it_breaks(self.talk())
            await self.unless_it_breaks(self.house.last_life())
            await self.unless_it_breaks(self.look_again())
            await self.house.stop()
        finally:
            await self.house.close()
            self.model.close()
            await self.close()
        self.check_log()
        self.check_journal()
        return self.house.reports

    async def unless_it_breaks(self, work):
        work = asyncio.ensure_future(work)
        try:
            await asyncio.wait([work, self.house.task], timeout=ROUND_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            assert not self.model.problems, self.model.problems
            assert not self.house.task.done() or self.house.task.exception() is None, self.house.task.exception()
            assert work.done(), f"it hangs: {self.where()}"
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def check_log(self):
        """It starts without complaint."""
        begin, ready, _ = self.house.logs[-1].partition(" is ready: ")
        assert ready and not re.search(r" (warn|error) ", begin), self.house.logs[-1]
        assert " error " not in self.house.logs[-1], self.house.logs[-1]

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(self.house.data / "warbler.db")) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql).fetchall()

    def check_journal(self):
        assert [tuple(row) for row in self.query("PRAGMA integrity_check")] == [("ok",)]
        assert not self.query("SELECT * FROM outbox"), "something waits to be sent"
        rows = self.query("SELECT * FROM message")
        self.check_messages([row for row in rows if row["kind"] == PERSON], [row for row in rows if row["kind"] != PERSON])
