"""The daemon, over all its lives: who is killed is started again."""
import asyncio
import os
import pathlib
import re
import signal
from dataclasses import dataclass, field

from conftest import binary

READY = re.compile(r"ready: open http://127\.0\.0\.1:(\d+)/")
CONFIG = """
data_dir = "data";
listen = {{ address = "127.0.0.1"; port = 0; }};
log = {{ level = "info"; }};
models = ( {{ name = "m"; base_url = "http://127.0.0.1:{port}/v1"; model = "gpt-x"; api_key = "sk-test"; }} );
"""


@dataclass
class Strike:
    """One life's end: at the at-th system call; half: among those that hand over bytes, with half of them handed over.
    Whatever else may befall a life has the same methods."""
    at: int
    half: bool = False

    def command(self, report, options):
        """options: of the program."""
        at = ["-n", str(self.at)] if self.at else []
        return [binary("WARBLER_STRIKE"), *at, *(["-h"] if self.half else []), "-f", "warbler.conf", "-o", str(report),
                binary("WARBLER_RELEASE_BIN"), *options]

    def env(self, report, env):
        """env: what it is without."""
        return env

    def may_end(self, status, report, log):
        return status in (0, -signal.SIGKILL)

    def read(self, report):
        return read_report(report)


def memory_folder(otherwise=None):
    """Where files are in memory: a kill takes nothing from them, and no disk is waited for."""
    shared = pathlib.Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else otherwise


COUNT = Strike(0)  # a life that is only counted


@dataclass
class Report:
    """What strike says of a life."""
    counts: dict = field(default_factory=dict)
    struck: str = ""  # the call's name

    @property
    def calls(self):
        return sum(self.counts.values())


def read_report(path):
    *counts, last = path.read_text(encoding="ascii").splitlines()
    return Report({name: int(n) for name, n in (line.split() for line in counts)}, last.partition("struck ")[2])


class House:
    def __init__(self, folder, strikes, between=None):
        """strikes: of the first lives; later ones have none. between(data folder): called in between two lives."""
        self.folder = folder
        self.data = folder / "data"
        self.strikes = list(strikes)
        self.between = between
        self.reports = []
        self.logs = []      # a text for each life
        self.up = asyncio.Event()
        self.ended = asyncio.Event()  # the life that was
        self.process = self.task = self.env = None
        self.strike = None
        self.port = 0

    def open(self, model_port, settings, env):
        self.env = {**os.environ, **env}
        (self.folder / "warbler.conf").write_text(CONFIG.format(port=model_port) + settings, encoding="ascii")
        (self.folder / "warbler.conf").chmod(0o600)
        self.task = asyncio.create_task(self.live())

    async def close(self):
        if self.task:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def ws(self):
        return f"ws://127.0.0.1:{self.port}/chat/ws"

    @property
    def http(self):
        return f"http://127.0.0.1:{self.port}"

    def command(self, report):
        """And its environment."""
        options = ["run", "-c", "warbler.conf"]
        if self.strike is None:
            return [binary("WARBLER_RELEASE_BIN"), *options], self.env
        return self.strike.command(report, options), self.strike.env(report, self.env)

    async def live(self):
        """One life after the other, until somebody ends one without a strike."""
        while True:
            self.strike = self.strikes.pop(0) if self.strikes else None
            self.ended = asyncio.Event()
            status = await self.one_life()
            self.up.clear()
            self.ended.set()
            fine = self.strike.may_end(status, self.reports[-1], self.logs[-1]) if self.strike else status == 0
            assert fine, f"ended with {status}:\n{self.logs[-1]}"
            if not self.strike:
                return
            if self.between:
                self.between(self.data)

    async def one_life(self):
        report = self.folder / f"report-{len(self.logs)}"
        self.logs.append("")
        command, env = self.command(report)
        self.process = await asyncio.create_subprocess_exec(*command, cwd=self.folder, env=env, stdin=asyncio.subprocess.DEVNULL,
                                                            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
        async for line in self.process.stderr:
            self.logs[-1] += line.decode(errors="replace")
            found = READY.search(self.logs[-1])
            if found and not self.up.is_set():
                self.port = int(found[1])
                self.up.set()
        status = await self.process.wait()
        if self.strike:
            self.reports.append(self.strike.read(report))
        return status

    async def last_life(self):
        """Ends, in good order, lives that have a strike to come, and waits for one that has none."""
        while True:
            await self.up.wait()
            if not self.strike:
                return
            if self.process.returncode is None:
                self.process.terminate()
            await self.ended.wait()

    async def stop(self):
        self.process.terminate()
        await self.task
