"""Servers that others wrote, for tests to talk to: llama-server of Debian with
a scripted model (llama/model.py), and from npm aimock, openai-mock-api and the
official SDK. They are fetched once into build/counterparts by
scripts/counterparts; where that cannot be, the test is skipped with the reason."""
import fcntl
import glob
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FETCHED = ROOT / "build/counterparts"
START_SECONDS = 60
KEY = "sk-test-of-a-counterpart-0123456789"


def fetch(what):
    """The folder of what was fetched. Only one process fetches at a time."""
    FETCHED.mkdir(parents=True, exist_ok=True)
    with open(FETCHED / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (FETCHED / what).is_dir() and os.environ.get("NO_INSTALL", "0") not in ("", "0"):
            pytest.skip(f"{what} is not installed, and NO_INSTALL forbids to fetch it")
        done = subprocess.run([ROOT / "scripts/counterparts", FETCHED, what], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False,
                              env={**os.environ, "PYTHON": sys.executable})
        if done.returncode:
            pytest.skip(done.stdout.strip().splitlines()[-1])
    return FETCHED / what


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A program that serves HTTP on a port of loopback."""

    def __init__(self, folder, name, port=None):
        self.name = name
        self.port = port or free_port()
        self.log = folder / f"{name}.log"
        self.process = None

    def spawn(self, command, env=None, stdin=None):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **(env or {})})
        return self

    def wait_for_port(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        pytest.fail(f"{self.name} did not start:\n{self.text()[-4000:]}")

    def text(self):
        return self.log.read_text(errors="replace")

    def logs(self, words, seconds=START_SECONDS):
        end = time.monotonic() + seconds
        while words not in self.text():
            assert time.monotonic() < end, f"{self.name} never said {words!r}:\n{self.text()[-4000:]}"
            time.sleep(0.02)

    def signal(self, signo):
        self.process.send_signal(signo)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        if self.process:
            self.process.wait()

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def model(self, name="m", more="", key=KEY, base_url=None):
        """Its entry in the configuration's models."""
        api_key = f'api_key = "{key}";' if key else ""
        return (f'{{ name = "{name}"; base_url = "{base_url or self.base_url}"; model = "tiny-scripted"; {api_key} '
                f"connect_timeout = \"5s\"; {more} }}")

    def get(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:
            return json.load(reply)


class Llama(Server):
    def __init__(self, folder, *options, port=None, tls=None, key=KEY):
        """tls: (key file, certificate file). key: "": it asks for none."""
        super().__init__(folder, "llama-server", port)
        self.tree = fetch("llama") / "tree"
        self.model_file = folder / "tiny.gguf"
        subprocess.run([os.environ.get("PYTHON", "/usr/bin/python3"), HERE / "llama/model.py", self.model_file], check=True)
        self.options = ["--host", "127.0.0.1", "--port", str(self.port), "--jinja", "-np", "2", "--no-warmup",
                        "-a", "tiny-scripted", *(["--api-key", key] if key else []), *(options or ("-c", "8192"))]
        self.scheme = "https" if tls else "http"
        if tls:
            self.options += ["--ssl-key-file", str(tls[0]), "--ssl-cert-file", str(tls[1])]

    def start(self, wait=True):
        """It answers 503 while it loads the model; wait: until it is done."""
        lib = glob.glob(str(self.tree / "usr/lib/*-linux-gnu*"))[0]
        loader = glob.glob(f"{lib}/ld-linux-*.so.*")[0]
        # A file, not a folder: the plainest of the backends.
        backend = (glob.glob(f"{lib}/ggml/backends0/libggml-cpu-x64.so") or glob.glob(f"{lib}/ggml/backends0/libggml-cpu*.so"))[0]
        command = [loader, "--library-path", f"{lib}:{lib}/ggml:{lib}/llama", "--argv0", "llama-server",
                   str(self.tree / "usr/bin/llama-server"), "-m", str(self.model_file), *self.options]
        mark = self.log.stat().st_size if self.log.exists() else 0
        self.spawn(command, env={"GGML_BACKEND_PATH": backend})
        self.wait_for_port()
        if wait:
            end = time.monotonic() + START_SECONDS
            while "model loaded" not in self.log.read_bytes()[mark:].decode(errors="replace"):
                assert time.monotonic() < end and self.process.poll() is None, self.text()[-4000:]
                time.sleep(0.02)
        return self

    @property
    def base_url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"


class Aimock(Server):
    """aimock with these fixtures; chaos: rates by name, of all requests."""

    def __init__(self, folder, fixtures, latency_ms=0, **chaos):
        super().__init__(folder, "aimock")
        self.npm = fetch("npm")
        self.fixtures = folder / "fixtures"
        self.fixtures.mkdir(exist_ok=True)
        (self.fixtures / "all.json").write_text(json.dumps({"fixtures": fixtures}))
        self.options = ["-p", str(self.port), "-f", str(self.fixtures), "-c", "7", "--journal-max", "0",
                        "--latency", str(latency_ms)]
        for name, rate in chaos.items():
            self.options += [f"--chaos-{name}", str(rate)]

    def start(self, env=None):
        # Port and fixtures come as options; a key that it does not know is refused.
        self.spawn([self.npm / "node", self.npm / "node_modules/.bin/llmock", *self.options], env={"AIMOCK_API_KEYS": KEY, **(env or {})})
        return self.wait_for_port()

    def journal(self):
        return self.get("/__aimock/journal")


class MockApi(Server):
    """openai-mock-api, which answers the conversations that it is given."""

    def __init__(self, folder, pairs):
        super().__init__(folder, "openai-mock-api")
        self.npm = fetch("npm")
        self.config = folder / "mock.yaml"
        # JSON is YAML.
        self.config.write_text(json.dumps({"apiKey": KEY, "port": self.port, "responses": [
            {"id": f"r{i}", "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}
            for i, (asked, answer) in enumerate(pairs)]}, ensure_ascii=False))

    def start(self):
        self.spawn([self.npm / "node", self.npm / "node_modules/.bin/openai-mock-api", "--config", str(self.config), "--port", str(self.port)])
        return self.wait_for_port()


@pytest.fixture
def counterpart(tmp_path):
    """Makes counterparts that are stopped at the end."""
    made = []

    def make(kind, *args, **more):
        folder = tmp_path / f"{kind.__name__.lower()}{len(made)}"
        folder.mkdir()
        made.append(kind(folder, *args, **more))
        return made[-1]

    yield make
    for server in made:
        server.stop()
