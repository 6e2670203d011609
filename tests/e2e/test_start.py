"""The beginning and the end: what keeps the daemon from starting and how it says
so, a disk that fills up, signals, and what systemd is told."""
import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import aiohttp
import pytest

CONFIGURATION, START = 1, 2
DISK_KB = 3072


async def ask(daemon, own_id="1", text="#echo fine", **hello):
    async with daemon.chat(**hello) as c:
        answer = await c.ask(own_id, text)
        return c.visitor, answer["text"]


async def ready(daemon):
    async with aiohttp.ClientSession() as session, session.get(daemon.http + "/readyz") as answer:
        return answer.status, await answer.json()


def one_error(status, log, *words):
    """Refused with status 2 and one line that has all the words: what is wrong, and what to do."""
    errors = [line for line in log.splitlines() if " error " in line]
    assert status == START and len(errors) == 1, log
    for word in words:
        assert word in errors[0], errors[0]


@contextlib.contextmanager
def small_disk(folder, kilobytes=DISK_KB):
    """A file system that is soon full."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], capture_output=True,
                          check=False, text=True)
    if done.returncode:
        pytest.skip(f"needs a small tmpfs, which only root can mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    """Not one more block fits."""
    with open(folder / "ballast", "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass


# --- what keeps it from starting ---
def test_port_in_use(make_daemon, run):
    daemon = make_daemon()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        daemon.configure(port=port)
        one_error(*daemon.refused(), f"127.0.0.1 port {port}", "in use", "listen")
    daemon.start()
    assert run(ask(daemon))[1] == "fine"


def test_address_of_another_machine(make_daemon):
    daemon = make_daemon()
    daemon.config.write_text(daemon.config.read_text().replace('"127.0.0.1";', '"192.0.2.1"; public = true;'))
    one_error(*daemon.refused(), "192.0.2.1", "address")


def test_folder_below_a_file(make_daemon):
    daemon = make_daemon(data="file/data")
    (daemon.folder / "file").write_text("")
    one_error(*daemon.refused(), "file/data", "Not a directory")
    assert (daemon.folder / "file").is_file()


def test_folder_above_is_missing(make_daemon):
    one_error(*make_daemon(data="missing/data").refused(), "missing/data", "the directory above it is missing")


def test_read_only_folder(make_daemon, run):
    daemon = make_daemon().start()
    visitor, _ = run(ask(daemon))
    daemon.stop()
    with small_disk(daemon.folder / "disk"):
        shutil.copytree(daemon.data, daemon.folder / "disk" / "data")
        remount = subprocess.run(["mount", "-o", "remount,ro", str(daemon.folder / "disk")], capture_output=True, check=False)
        if remount.returncode:
            pytest.skip("needs a read-only file system")
        daemon.configure(data="disk/data", port=0)
        one_error(*daemon.refused(), "cannot write", "disk/data", "Read-only")
        subprocess.run(["mount", "-o", "remount,rw", str(daemon.folder / "disk")], check=True)
        daemon.start()
        assert run(ask(daemon, "2", visitor=visitor))[0] == visitor
        daemon.stop()


def test_store_of_a_newer_version(make_daemon, run):
    daemon = make_daemon().start()
    visitor, _ = run(ask(daemon))
    daemon.stop()
    with contextlib.closing(sqlite3.connect(daemon.data / "warbler.db")) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = 999")
    one_error(*daemon.refused(), "warbler.db", "newer", "999", "upgrade warbler")
    with contextlib.closing(sqlite3.connect(daemon.data / "warbler.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 999  # left as it was
        db.execute(f"PRAGMA user_version = {version}")
    daemon.start()
    assert run(ask(daemon, "2", visitor=visitor))[0] == visitor


def test_database_of_another_program(make_daemon):
    daemon = make_daemon()
    daemon.data.mkdir()
    with contextlib.closing(sqlite3.connect(daemon.data / "warbler.db")) as db:
        db.execute("CREATE TABLE recipes (title)")
    one_error(*daemon.refused(), "warbler.db", "another program's", "move it away")


@pytest.mark.parametrize("damage", ["head", "all", "text"])
def test_damaged_store(make_daemon, run, damage):
    daemon = make_daemon().start()
    visitor, _ = run(ask(daemon))
    daemon.stop()
    path = daemon.data / "warbler.db"
    good = path.read_bytes()
    bad = {"head": b"\xff" * 100 + good[100:], "all": b"\x5a" * len(good), "text": b"this is no database\n"}[damage]
    path.write_bytes(bad)
    one_error(*daemon.refused(), "warbler.db", "damaged", "backup")
    assert path.read_bytes() == bad
    path.write_bytes(good)
    daemon.start()
    assert run(ask(daemon, "2", visitor=visitor))[0] == visitor


def test_second_daemon(make_daemon, run):
    first = make_daemon().start()
    second = make_daemon()
    second.configure(data=str(first.data))
    one_error(*second.refused(), "in use by another warbler", str(first.process.pid), "data_dir")
    assert run(ask(first))[1] == "fine"
    first.kill()  # a lock left behind keeps nobody out
    second.start()
    assert run(ask(second))[1] == "fine"


def test_no_room_to_start(make_daemon, run):
    daemon = make_daemon()
    with small_disk(daemon.folder / "disk"):
        daemon.configure(data="disk/data")
        fill(daemon.folder / "disk")
        one_error(*daemon.refused(), "disk full", "free some space")
        (daemon.folder / "disk" / "ballast").unlink()
        daemon.start()
        assert run(ask(daemon))[1] == "fine"
        daemon.stop()


def test_configuration_errors(make_daemon):
    daemon = make_daemon()
    daemon.config.write_text("""data_dir = "./data";
listen = { adress = "127.0.0.1"; port = 70000; };
models = ( { name = "p"; api = "practise"; } );
bots = ( { name = "bo"; model = "q"; } );
accounts = ( { name = "web"; adapter = "webchat"; messages_per_minute = "many"; } );
channels = ( { match = "web:*"; bot = "bob"; } );
""")
    status, log = daemon.refused()
    assert status == CONFIGURATION
    for line, word in ((2, "adress"), (2, "70000"), (3, "practise"), (4, '"q"'), (5, "messages_per_minute"), (6, '"bob"')):
        assert re.search(rf"warbler\.conf:{line}: .*{word}", log), (line, word, log)
    assert "address" in log and not daemon.data.exists()


def test_no_configuration(make_daemon):
    daemon = make_daemon()
    daemon.config.unlink()
    status, log = daemon.refused()
    assert status == CONFIGURATION and str(daemon.config) in log and len(log.splitlines()) == 1, log


# --- a disk that fills up ---
async def until_ready(daemon, want, seconds=30):
    end = asyncio.get_running_loop().time() + seconds
    while True:
        status, body = await ready(daemon)
        if status == want:
            return body
        assert asyncio.get_running_loop().time() < end, body
        await asyncio.sleep(0.05)


async def talk_until_full(daemon, acked):
    """Fills the disk with talk; returns the client, connected."""
    c = daemon.chat(room="r")
    await c.connect()
    n = 0
    while not c.errors:
        assert n < 5000, "the disk never filled up"
        await c.say(f"m{n}", f"{n} " + "x" * 8000)
        await c.until(lambda: f"m{n}" in c.acks or c.errors)
        n += 1
    acked.update(c.acks)
    return c


@pytest.mark.slow
def test_disk_full(make_daemon, run):
    daemon = make_daemon()
    acked = {}

    async def scenario(disk):
        c = await talk_until_full(daemon, acked)
        status, body = await ready(daemon)  # at once
        assert status == 503 and body["ready"] is False
        assert "disk full" in body["store"]["reason"] and body["store"]["down_ms"] >= 0
        assert c.errors[0]["code"] == "full" and c.errors[0]["id"] not in c.acks
        async with aiohttp.ClientSession() as session:
            async with session.post(daemon.http + "/chat", json={"message": "#echo x"}) as answer:
                assert answer.status == 503 and answer.headers["Retry-After"]
                assert (await answer.json())["error"]["code"] == "full"
        assert (await ready(daemon))[0] == 503
        (disk / "ballast").unlink()
        again = c.errors[0]["id"]
        await c.say(again, "and on")
        await c.until(lambda: again in c.acks)
        status, body = await ready(daemon)  # at once, too
        assert status == 200 and body["store"]["ok"]
        assert (await c.ask("last", "@bo #echo on"))["text"] == "on"
        daemon.logs("writes again")
        acked.update(c.acks)
        await c.close()

    async def nothing_lost():
        async with daemon.chat(room="r", last=0) as c:
            await c.until(lambda: c.finals)
            assert {f["seq"] for f in c.frames if f["type"] == "message"} >= set(acked.values())

    with small_disk(daemon.folder / "disk") as disk:
        (disk / "ballast").write_bytes(b"\0" * 1024 * 2048)
        daemon.configure(data="disk/data", account="max_message_bytes = 0;")
        daemon.start()
        run(scenario(disk))
        daemon.configure(data="disk/data", account="max_message_bytes = 0;")
        assert daemon.new_log().count("no messages are taken until it writes again") == 1
        daemon.kill()
        daemon.start()
        run(nothing_lost())
        daemon.stop()


@pytest.mark.slow
def test_disk_full_and_nobody_speaks(make_daemon, run):
    """It is ready again by itself, within a beat."""
    daemon = make_daemon()

    async def scenario(disk):
        async with daemon.chat() as c:
            fill(disk)
            while not c.errors:  # what is left of the last block may take a few
                await c.say(str(len(c.said)), "x" * 8000)
                await c.until(lambda: len(c.acks) + len(c.errors) == len(c.said))
        assert (await ready(daemon))[0] == 503
        (disk / "ballast").unlink()
        assert (await until_ready(daemon, 200))["store"]["ok"]

    with small_disk(daemon.folder / "disk") as disk:
        daemon.configure(data="disk/data")
        daemon.start()
        run(scenario(disk))
        daemon.stop()


@pytest.mark.slow
def test_disk_full_while_answering(make_daemon, run):
    """What was accepted before is answered when there is room again."""
    daemon = make_daemon()

    async def scenario(disk):
        async with daemon.chat() as c:
            await c.say("1", "#sleep 500 #echo " + "x" * 10000)
            await c.until(lambda: "1" in c.acks)
            fill(disk)
            body = await until_ready(daemon, 503)
            assert "disk full" in body["store"]["reason"] and not c.finals
            (disk / "ballast").unlink()
            assert (await c.answer_to("1"))["text"] == "x" * 10000
            await until_ready(daemon, 200)

    with small_disk(daemon.folder / "disk") as disk:
        daemon.configure(data="disk/data")
        daemon.start()
        run(scenario(disk))
        daemon.stop()


# --- the end ---
def test_sigterm_waits_for_the_answer(make_daemon, run):
    daemon = make_daemon().start()

    async def scenario():
        c = daemon.chat()
        await c.connect()
        await c.say("1", "#sleep 500 #echo finished")
        await c.until(lambda: "1" in c.acks)
        daemon.process.send_signal(signal.SIGTERM)
        await c.say("2", "too late")
        assert (await c.answer_to("1"))["text"] == "finished"
        await c.lost()
        assert c.closed_with == 1001
        assert "2" not in c.acks and all(e["id"] == "2" and e["code"] == "busy" for e in c.errors)
    run(scenario())
    daemon.stop()
    assert daemon.process.returncode == 0


async def leave_running(daemon, sleep_ms):
    c = daemon.chat()
    await c.connect()
    await c.say("1", f"#sleep {sleep_ms} #echo later")
    await c.until(lambda: "1" in c.acks)
    return c


@pytest.mark.alone
@pytest.mark.parametrize("timeout", ["0", "200ms"])
def test_sigterm_parks_what_takes_longer(make_daemon, run, timeout):
    more = f'shutdown_timeout = "{timeout}";'
    daemon = make_daemon(more=more).start()
    daemon.configure(more=more)

    async def scenario():
        c = await leave_running(daemon, 800)
        begin = time.monotonic()
        await asyncio.to_thread(daemon.stop)
        assert time.monotonic() - begin < 0.7
        await c.lost()
        assert not c.finals
        await asyncio.to_thread(daemon.start)
        await c.connect()
        assert (await c.answer_to("1"))["text"] == "later" and len(c.finals) == 1
        await c.close()
    run(scenario())


@pytest.mark.alone
@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
def test_second_signal_ends_at_once(make_daemon, run, signals):
    daemon = make_daemon().start()
    daemon.configure()

    async def scenario():
        c = await leave_running(daemon, 1000)
        daemon.process.send_signal(signals[0])
        await asyncio.to_thread(daemon.logs, "stopping")
        begin = time.monotonic()
        daemon.process.send_signal(signals[1])
        assert await asyncio.to_thread(daemon.process.wait, 10) == 0
        assert time.monotonic() - begin < 0.9
        await c.lost()
        assert not c.finals
        await asyncio.to_thread(daemon.start)
        await c.connect()
        assert (await c.answer_to("1"))["text"] == "later"
        await c.close()
    run(scenario())


def test_idle_stops_soon(make_daemon, run):
    daemon = make_daemon().start()

    async def scenario():
        async with daemon.chat() as c:
            await c.ask("1", "#echo x")
            daemon.process.send_signal(signal.SIGINT)
            await c.lost()
            assert c.closed_with == 1001
    begin = time.monotonic()
    run(scenario())
    assert daemon.process.wait(10) == 0 and time.monotonic() - begin < 5


# --- systemd ---
class Notified:
    """What the daemon tells the service manager."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(30)
        self.seen = []

    def until(self, line):
        while not any(line in message.split("\n") for message in self.seen):
            self.seen.append(self.socket.recv(4096).decode())
        self.seen.clear()


@pytest.mark.alone
@pytest.mark.parametrize("abstract", [False, True])
def test_notify(make_daemon, abstract):
    daemon = make_daemon()
    name = f"warbler-test-{os.getpid()}"
    notified = Notified("\0" + name if abstract else str(daemon.folder / "n"))
    daemon.start({"NOTIFY_SOCKET": "@" + name if abstract else str(daemon.folder / "n"), "WATCHDOG_USEC": "600000"})
    notified.until("READY=1")
    begin = time.monotonic()
    for _ in range(3):  # about as many as there are in one interval
        notified.until("WATCHDOG=1")
    assert time.monotonic() - begin < 2 * 0.6
    daemon.configure()
    daemon.process.send_signal(signal.SIGHUP)
    notified.until("RELOADING=1")
    notified.until("READY=1")
    daemon.process.send_signal(signal.SIGTERM)
    notified.until("STOPPING=1")
    daemon.stop()


def test_no_watchdog_of_another_process(make_daemon, run):
    daemon = make_daemon()
    notified = Notified(str(daemon.folder / "n"))
    daemon.start({"NOTIFY_SOCKET": str(daemon.folder / "n"), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"})
    notified.until("READY=1")
    assert run(ready(daemon))[0] == 200
