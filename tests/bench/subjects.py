"""The programs of a benchmark, and what can be read about one while it runs."""

import contextlib
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

WARBLER = os.environ["WARBLER_BIN"]
BIN = os.environ["BENCH_BIN"]
PROCESS_TIMEOUT_S = 120
START_TIMEOUT_S = 20
MAX_CONNECTIONS = 12000
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
BOT_CORES = CORES[:1]               # all threads of the program that is measured
PEER_CORES = CORES[1:] or CORES     # everybody else, this program too

# No limit of the account may be what is measured; the rest is as it comes.
CONFIG = """
data_dir = "data";
listen = {{ address = "127.0.0.1"; port = 0; }};
models = ( {{ name = "m"; base_url = "http://127.0.0.1:{port}/v1"; model = "practice"; }},
           {{ name = "dead"; base_url = "http://127.0.0.1:{dead}/v1"; model = "practice"; fallback = ( "m" ); }} );
bots = ( {{ name = "bo"; model = "{model}"; system_prompt = "You are a helpful assistant."; }} );
accounts = ( {{ name = "web"; adapter = "webchat"; messages_per_minute = 0; max_connections = {connections};
               max_connections_per_address = 0; }} );
channels = ( {{ match = "web:*"; bot = "bo"; }} );
"""


class Invalid(Exception):
    """Something was wrong, missing or double, so that no figure counts."""


@contextlib.contextmanager
def on_cores(cores):
    """What is started in here stays there. On Linux only: elsewhere the figures are of all processors."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, PEER_CORES)


class Process:
    """A program that is killed if it takes longer than any of them may."""

    def __init__(self, name, command, cores=None, env=None):
        self.name = name
        with on_cores(cores or PEER_CORES):
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT, text=True, bufsize=1, env=env)
        self.watchdog = threading.Timer(PROCESS_TIMEOUT_S, self.process.kill)
        self.watchdog.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watchdog.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        self.process.wait()

    def expect(self, pattern):
        """The groups of the first line that matches."""
        said = []
        for line in self.process.stdout:
            found = re.search(pattern, line)
            if found:
                return found.groups()
            said.append(line)
        raise Invalid(f"{self.name}: {''.join(said) or 'ended without a word'}")

    def ask(self, line, pattern):
        self.process.stdin.write(line + "\n")
        return self.expect(pattern)

    def stop(self, how=None):
        """In good order: by a signal, or by the end of its input."""
        if how is None:
            self.process.stdin.close()
        else:
            self.process.send_signal(how)
        rest = self.process.stdout.read()  # to its end
        if self.process.wait() != 0:
            raise Invalid(f"{self.name}: {rest}")

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))

    def cpu_us(self):
        """Of all its threads."""
        total = 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total / 1000


class Peak:
    """The most memory that a process has while it is watched."""

    def __init__(self, process):
        self.process, self.most, self.over = process, 0, threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()

    def watch(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.process.rss_kb())

    def end(self):
        self.over.set()
        self.watcher.join()
        return self.most


class Allocations:
    """Calls and bytes that a program with count.so in it has allocated so far."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(bytes(16))
        self.file.flush()
        self.map = mmap.mmap(self.file.fileno(), 16)
        self.env = dict(os.environ, LD_PRELOAD=os.path.join(BIN, "count.so"), WARBLER_COUNTS=self.file.name)

    def read(self):
        return struct.unpack("QQ", self.map[:])


class SystemCalls:
    """Counts those of a process, by whatever of perf and strace is there and may."""

    def __init__(self, pid):
        self.out = tempfile.NamedTemporaryFile()
        perf = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-o", self.out.name]
        strace = ["strace", "-c", "-f", "-q", "-o", self.out.name]
        self.tool = None
        if shutil.which("perf") and subprocess.run(perf + ["true"], capture_output=True, check=False).returncode == 0:
            self.tool = perf
        elif shutil.which("strace"):
            self.tool = strace
        if self.tool:
            self.process = subprocess.Popen(self.tool + ["-p", str(pid)], stderr=subprocess.DEVNULL)
            time.sleep(0.5)  # until it has attached itself

    def end(self):
        """None: nobody can count them here."""
        if not self.tool:
            return None
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        with open(self.out.name, encoding="ascii") as f:
            text = f.read()
        if self.tool[0] == "perf":
            return int(re.search(r"^(\d+),", text, re.M).group(1))
        return int(re.search(r"^\s*100\.00\s+\S+\s+(?:\d+\s+)?(\d+).*total$", text, re.M).group(1))


# --- who answers ---

def speaker(token_ms):
    model = Process("speaker", [os.path.join(BIN, "speaker"), str(token_ms)])
    return model, int(model.expect(r"^(\d+)$")[0])


def practice_model(chunk_ms, chunk_chars):
    model = Process("practice model", [WARBLER, "practice-model", "--port", "0", "--delay-ms", "0",
                                       "--chunk-ms", str(chunk_ms), "--chunk-chars", str(chunk_chars)])
    return model, int(model.expect(r"http://[^/]*:(\d+)/")[0])


def start_warbler(folder, model_port, env=None, model="m", dead=9):
    conf = os.path.join(folder, "warbler.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(CONFIG.format(port=model_port, model=model, dead=dead, connections=MAX_CONNECTIONS))
    begin = time.monotonic()
    warbler = Process("warbler", [WARBLER, "run", "-c", conf], BOT_CORES, env)
    port = int(warbler.expect(r"ready: open http://[^/]*:(\d+)/")[0])
    warbler.started_ms = 1000 * (time.monotonic() - begin)
    return warbler, port


def start_after_dead(folder, model_port, env=None):
    """Its first model is a port where nobody listens, and which nobody else gets."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    warbler, port = start_warbler(folder, model_port, env, "dead", held.getsockname()[1])
    warbler.held = held
    return warbler, port


def start_floor(_folder, model_port, env=None):
    floor = Process("floor", [os.path.join(BIN, "floor"), str(model_port)], BOT_CORES, env)
    return floor, int(floor.expect(r"^(\d+)$")[0])


def load(kind, port, conversations, visitor=None):
    talk = Process("load", [os.path.join(BIN, "load"), kind, str(port), str(conversations)] + ([visitor] if visitor else []))
    talk.expect("^ready$")
    return talk


# --- a person whose connection is made by hand ---

class Person:
    """Just enough WebSocket for one greeting."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), START_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(b"GET /chat/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        self.read = b""
        self.until(b"\r\n\r\n")

    def say(self, text):
        data = text.encode()
        head = bytes([0x81, 0x80 | len(data)]) if len(data) < 126 else bytes([0x81, 0xfe]) + struct.pack(">H", len(data))
        self.socket.sendall(head + bytes(4) + data)

    def until(self, mark, times=1):
        while self.read.count(mark) < times:
            more = self.socket.recv(1 << 16)
            if not more:
                raise Invalid("the connection of a person was closed")
            self.read += more

    def close(self):
        self.socket.close()
