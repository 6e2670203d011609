"""The daemon with its model and its platforms, and what all who talk with it count together."""
import asyncio
import pathlib
import sqlite3
import tempfile

from conftest import Daemon
from lanying.server import Server

from . import ADAPTERS

APP_ID = "kazbcbeqgmjl"
PASSWORD = "long-secret-of-the-bot-0123"
CLOUD_ACCOUNTS = ("lya", "lyb") if "lanying" in ADAPTERS else ()
PERSON = 1                                                   # enum store_kind
PENDING, ANSWERED, NOTICED, WITHDRAWN = 0, 1, 2, 5           # enum store_outcome
ADDRESSED = 1                                                # STORE_ADDRESSED


class Bot(Daemon):
    """The daemon, with the configuration of the house."""

    def configure(self, text="", **_):
        self.config.write_text(text.replace("PORT", str(self.port)))
        self.config.chmod(0o600)


class House:
    """settings(model's URL, further accounts, …): the daemon's configuration. An async context manager."""

    def __init__(self, folder, model, settings, release=False):
        self.folder = pathlib.Path(folder)
        self.model, self.settings, self.accounts = model, settings, CLOUD_ACCOUNTS
        self.release = release
        self.daemon = self.cloud = None
        self.bots = {}          # account -> who it is in the cloud
        self.cloud_port = None  # a function: by which port the cloud is reached
        self.up = asyncio.Event()
        self.said = self.noticed = self.restarts = self.reloads = 0
        self.silenced = []      # ids of messages that were not answered because somebody wanted none any more
        self.keys = 0
        self.problems = []

    async def __aenter__(self):
        self.daemon = Bot(self.folder, release=self.release)
        self.cloud = await Server().__aenter__()
        for account in self.accounts:
            self.bots[account] = self.cloud.world.add_user(account, password=PASSWORD, bot=True)
        return self

    async def __aexit__(self, *_):
        if self.daemon.process and self.daemon.process.poll() is None:
            self.daemon.process.kill()
            self.daemon.process.wait()
        await self.cloud.__aexit__()

    # --- the daemon ---
    def configure(self, **more):
        port = self.cloud_port() if self.cloud_port else self.cloud.ports[0]
        accounts = "".join(f""",
    {{ name = "{name}"; adapter = "lanying"; app_id = "{APP_ID}"; username = "{name}"; password = "{PASSWORD}"; stream_interval = 1;
      api_endpoint = "http://127.0.0.1:{port}"; ws_url = "ws://127.0.0.1:{port}"; }}""" for name in self.accounts)
        self.daemon.configure(self.settings(f"http://127.0.0.1:{self.model.port}/v1", accounts, **more))

    async def start(self):
        self.configure()
        await asyncio.to_thread(self.daemon.start)
        self.up.set()

    async def restart(self, in_good_order):
        self.up.clear()
        await asyncio.to_thread(self.daemon.stop if in_good_order else self.daemon.kill)
        self.restarts += 1
        await self.start()

    async def reload(self, **more):
        self.configure(**more)
        await asyncio.to_thread(self.daemon.reload)
        self.reloads += 1

    async def stop(self):
        self.up.clear()
        await asyncio.to_thread(self.daemon.stop)

    @property
    def ws(self):
        return self.daemon.ws

    @property
    def http(self):
        return self.daemon.http

    @property
    def store(self):
        return self.folder / "data/warbler.db"

    # --- for those who talk ---
    def next_key(self):
        self.keys += 1
        return f"k{self.keys}-"

    def note(self, problem):
        self.problems.append(problem)

    # --- when it has stopped ---
    def look_at_journal(self):
        """Every message has one outcome, and those that are for the bot and have none to show are those that nobody wanted."""
        if self.query("PRAGMA integrity_check") != [("ok",)]:
            self.note(f"the store is damaged: {self.query('PRAGMA integrity_check')}")
        for name, in self.query(f"SELECT id FROM message WHERE kind = {PERSON} AND outcome = {PENDING}"):
            self.note(f"{name} is undecided")
        asked = f"SELECT id FROM message AS asked WHERE kind = {PERSON} AND flags & {ADDRESSED} AND outcome"
        unanswered = {name for name, in self.query(f"{asked} NOT IN ({ANSWERED}, {NOTICED}, {WITHDRAWN})")}
        for name in unanswered - set(self.silenced):
            self.note(f"{name} has no answer in the journal")
        for name, in self.query(f"{asked} IN ({ANSWERED}, {NOTICED}) AND NOT EXISTS (SELECT 1 FROM message"
                                f" WHERE channel = asked.channel AND seq = asked.answer AND kind <> {PERSON})"):
            self.note(f"the answer to {name} is lost")
        for row in self.query(f"SELECT channel, turn, count(*) FROM message WHERE kind <> {PERSON} GROUP BY channel, turn"
                              " HAVING count(*) > 1"):
            self.note(f"two answers in the journal: {row}")

    def query(self, sql):
        db = sqlite3.connect(self.store)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


def folder(in_memory):
    """in_memory: where commits are fast, if there is such a place."""
    memory = pathlib.Path("/dev/shm")
    return pathlib.Path(tempfile.mkdtemp(prefix="warbler-endure-", dir=memory if in_memory and memory.is_dir() else None))
