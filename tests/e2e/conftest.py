"""The real binary, driven from outside: fixtures of all end-to-end tests.

WARBLER_BIN names the binary (sanitized by `make test`), WARBLER_RELEASE_BIN the
release build that memory tests measure."""
import asyncio
import os
import re
import signal
import subprocess
import time

import pytest

import client

START_SECONDS = 30  # of a sanitized daemon on a busy machine, before a test says that it does not start
STOP_SECONDS = 30


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: left out by `make check`")
    config.addinivalue_line("markers", "alone: measures how long something takes; nothing else runs meanwhile")
    config.addinivalue_line("markers", "long: the same at full length, which only `make long` runs")


def binary(name="WARBLER_BIN"):
    path = os.environ.get(name)
    if not path:
        pytest.fail(f"{name} is not set; run the tests with make test or make check")
    return path


def hastened(factor):
    """The environment of a program whose seconds pass so many times faster."""
    if factor == 1:
        return {}
    options = [os.environ.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"]
    return {"LD_PRELOAD": binary("WARBLER_HASTEN"), "HASTEN": str(factor), "ASAN_OPTIONS": ":".join(filter(None, options))}


class Daemon:
    """One `warbler run`, its folder and its configuration."""

    def __init__(self, folder, settings=None, release=False):
        self.folder = folder
        self.binary = binary("WARBLER_RELEASE_BIN" if release else "WARBLER_BIN")
        self.config = folder / "warbler.conf"
        self.data = folder / "data"
        self.log = folder / "log"
        self.process = None
        self.port = 0
        self.configure(**(settings or {}))

    def configure(self, bot="", account="", practice="delay_ms = 0; chunk_ms = 0;", model="", models="", bots="", accounts="", more="",
                  channels=None, port=None, data="data"):
        """Writes the configuration; port None keeps the port of the last start.
        bot, account, practice, model: more settings of the one that is always there; accounts, bots, models: more of them."""
        if channels is None:
            channels = '{ match = "web:*"; bot = "bo"; }'
        for setting in ("messages_per_minute = 0;", "open_rooms = true;", "demo = true;"):
            if setting.split()[0] not in account:
                account += " " + setting
        self.config.write_text(f"""
data_dir = "{data}";
listen = {{ address = "127.0.0.1"; port = {self.port if port is None else port}; }};
models = ( {{ name = "p"; api = "practice"; practice = {{ {practice} }}; {model} }} {models} );
bots = ( {{ name = "bo"; model = "p"; {bot} }} {bots} );
accounts = ( {{ name = "web"; adapter = "webchat"; {account} }} {accounts} );
channels = ( {channels} );
{more}
""")
        self.config.chmod(0o600)

    def spawn(self, env=None):
        self.mark = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.binary, "run", "-c", str(self.config)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**os.environ, **(env or {})})
        return self

    def new_log(self):
        with open(self.log, "rb") as log:
            log.seek(self.mark)
            return log.read().decode(errors="replace")

    def start(self, env=None):
        self.spawn(env)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            found = re.search(r"ready: open http://[^/]*:(\d+)/", self.new_log())
            if found:
                self.port = int(found.group(1))
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        pytest.fail(f"the daemon did not start:\n{self.new_log()}")

    def refused(self, env=None):
        """Starts a daemon that cannot start: (exit status, what it said)."""
        self.spawn(env)
        try:
            status = self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"the daemon started:\n{self.new_log()}")
        self.check_log()
        return status, self.new_log()

    def logs(self, text, seconds=STOP_SECONDS):
        """Waits until the log since the last start has the text."""
        end = time.monotonic() + seconds
        while text not in self.new_log():
            assert time.monotonic() < end, f"{text!r} never came:\n{self.new_log()}"
            time.sleep(0.01)

    def reload(self, text="was read again"):
        """SIGHUP, and what the log says about it."""
        self.mark = self.log.stat().st_size
        self.process.send_signal(signal.SIGHUP)
        self.logs(text)

    def kill(self):
        """Power cut: no chance to say anything."""
        self.process.kill()
        self.process.wait()
        self.check_log()

    def stop(self, status=0):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            got = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"the daemon did not stop:\n{self.new_log()}")
        self.check_log()
        assert got == status, self.new_log()

    def check_log(self):
        log = self.log.read_text(errors="replace")
        for trouble in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "Assertion", "ERROR SUMMARY"):
            assert trouble not in log, log

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))

    @property
    def http(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self):
        return f"ws://127.0.0.1:{self.port}/chat/ws"

    def chat(self, **hello):
        """A chat client, not connected yet."""
        return client.Chat(self.ws, **hello)


@pytest.fixture
def make_daemon(tmp_path):
    made = []

    def make(release=False, **settings):
        folder = tmp_path / f"d{len(made)}"
        folder.mkdir()
        made.append(Daemon(folder, settings, release))
        return made[-1]

    yield make
    for daemon in made:
        daemon.stop()


@pytest.fixture
def daemon(make_daemon):
    return make_daemon().start()


@pytest.fixture
def run():
    """Runs one coroutine to its end, with a limit that only a hang reaches."""

    def run_it(coroutine, seconds=120):
        return asyncio.run(asyncio.wait_for(coroutine, seconds))

    return run_it
