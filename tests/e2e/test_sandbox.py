"""Least privilege, seen from outside: what the running daemon gave up, that it
does its work all the same, and whom it trusts. What must fail behind the fences
is tried by tests/unit/test_sandbox.c."""
import asyncio
import os
import pathlib
import shutil
import ssl
import stat
import subprocess
import tempfile

import pytest

from test_cli import chat, warbler
from test_model import Model, completion, whole
from test_webchat import http

NOBODY = 65534
SECCOMP_FILTERED = 2  # in /proc/PID/status
FENCED = "files and system calls that the bot does not need are out of its reach"
KEY = "sk-sandbox-0123456789"


def status(daemon):
    """{name: value} of each thread's status."""
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task")
    return [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
            for task in tasks.iterdir()]


def fenced(daemon):
    """Whether this kernel has both; what has one only says so in the log."""
    return FENCED in daemon.log.read_text()


# --- what it gave up ---
def test_every_thread_is_fenced_in(daemon):
    assert chat(daemon, "#echo fine\n").stdout == "fine\n"
    if not fenced(daemon):
        assert "are in reach of whoever takes this process over" in daemon.new_log()
        pytest.skip("this kernel has no Landlock or no seccomp")
    threads = status(daemon)
    assert len(threads) > 1
    assert {(t["Seccomp"], t["NoNewPrivs"]) for t in threads} == {(str(SECCOMP_FILTERED), "1")}


def test_switched_off_it_says_so(make_daemon):
    daemon = make_daemon(more="sandbox = false;").start()
    assert "SWITCHED OFF by sandbox = false" in daemon.new_log() and not fenced(daemon)
    assert {t["Seccomp"] for t in status(daemon)} == {"0"}
    daemon.configure()
    daemon.reload("data_dir, listen and sandbox take effect with the next start only")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_refused_unless_told(make_daemon):
    daemon = make_daemon()
    done = subprocess.run([daemon.binary, "run"], cwd=daemon.folder, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "no need of root" in done.stderr and "--allow-root" in done.stderr
    assert "runs as root" in daemon.start().new_log()


@pytest.fixture
def as_nobody(make_daemon):
    """A daemon that an ordinary user runs, in a folder of their own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="warbler-"))
    daemon = make_daemon()
    daemon.folder, daemon.config, daemon.data, daemon.log = folder, folder / "warbler.conf", folder / "data", folder / "log"
    daemon.configure()
    for path in (folder, daemon.config):
        os.chown(path, NOBODY, NOBODY)

    def spawn(env=None):
        daemon.mark = daemon.log.stat().st_size if daemon.log.exists() else 0
        program = os.open(daemon.binary, os.O_RDONLY)  # the way there may be closed to others
        with open(daemon.log, "ab") as log:
            daemon.process = subprocess.Popen([f"/proc/self/fd/{program}", "run", "-c", str(daemon.config)], user=NOBODY, group=NOBODY,
                                              extra_groups=[], pass_fds=[program], umask=0, stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, env={**os.environ, **(env or {})})
        os.close(program)
        return daemon

    daemon.spawn = spawn
    yield daemon
    daemon.stop()
    shutil.rmtree(folder)


def modes(folder):
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a while")
def test_an_ordinary_user_will_do(as_nobody):
    daemon = as_nobody.start()
    assert chat(daemon, "#echo fine\n").stdout == "fine\n"
    assert modes(daemon.data) == {0o600} and stat.S_IMODE(daemon.data.stat().st_mode) == 0o700
    assert {path.name for path in daemon.data.iterdir()} == {"warbler.db", "warbler.db-wal", "warbler.db-shm", "warbler.lock"}
    daemon.kill()
    daemon.start()
    assert modes(daemon.data) == {0o600}


# --- and does its work all the same ---
def with_key(name):
    return f', {{ name = "k"; base_url = "http://127.0.0.1:9/v1"; model = "x"; api_key = "file:{name}"; }}'


def test_reload_reads_new_files_beside_the_old(make_daemon, tmp_path):
    daemon = make_daemon().start()
    for folder in (daemon.folder, tmp_path):
        (folder / "key").write_text(KEY)
    daemon.configure(models=with_key("key"))
    daemon.reload()
    (daemon.folder / "sub").mkdir()
    (daemon.folder / "sub/key").write_text(KEY)
    daemon.configure(models=with_key("sub/key"))
    daemon.reload()
    daemon.configure(models=with_key(tmp_path / "key"))
    if not fenced(daemon):
        pytest.skip("this kernel has no Landlock or no seccomp")
    daemon.reload("a restart lets it read others")
    assert "the old configuration stays" in daemon.new_log()
    daemon.stop()
    daemon.start()  # now that folder was named at the start
    (tmp_path / "key2").write_text(KEY)
    daemon.configure(models=with_key(tmp_path / "key2"))
    daemon.reload()


def test_tools_beside_a_fenced_daemon(daemon):
    chat(daemon, "#echo one\n")
    daemon.configure()  # with the port that it has
    for command in (["queue"], ["usage"], ["ping"], ["explain", "web:x"]):
        assert warbler(command[0], "-c", daemon.config, *command[1:]).returncode == 0, command


# --- whom it trusts ---
class SecureModel(Model):
    """The same over TLS, with a certificate that nobody vouches for but itself."""

    def __init__(self, folder, **behaviours):
        super().__init__({"hello": [whole(200, completion("Trusted."))], **behaviours})
        self.ca, key = folder / "ca.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.ca],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def answer(self, daemon, host="localhost", settings="", env=None):
        """What a person hears of it: the text, and whether it is an apology."""
        daemon.configure(models=f""", {{ name = "m"; base_url = "https://{host}:{self.port}/v1"; model = "x"; retries = 0; stream = false;
                         api_key = "env:TEST_KEY"; {settings} }}""", bots=', { name = "mb"; model = "m"; }',
                         channels='{ match = "web:*"; bot = "mb"; }')
        await asyncio.to_thread(daemon.start, {"TEST_KEY": KEY, **(env or {})})
        async with daemon.chat(lang="en") as c:
            final = await c.ask("1", "hello")
        await asyncio.to_thread(daemon.stop)
        return final["text"], bool(final.get("notice"))


# What turns verification off in other programs, and in none of ours.
CARELESS = {name: value for value, names in {
    "0": "NODE_TLS_REJECT_UNAUTHORIZED PYTHONHTTPSVERIFY SSL_VERIFY CURL_SSL_VERIFY",
    "1": "GIT_SSL_NO_VERIFY CURL_INSECURE INSECURE SSL_NO_VERIFY", "/": "SSL_CERT_DIR CURL_HOME HOME"}.items() for name in names.split()}


@pytest.mark.parametrize("env", [{}, CARELESS], ids=["plain", "careless"])
def test_unknown_certificate_is_refused(make_daemon, run, tmp_path, env):
    daemon = make_daemon()

    async def scenario():
        async with SecureModel(tmp_path) as model:
            _, apology = await model.answer(daemon, env=env)
            assert apology and not model.requests
    run(scenario())
    assert "certificate" in daemon.log.read_text().lower() and KEY not in daemon.log.read_text()


def test_certificate_of_another_name_is_refused(make_daemon, run, tmp_path):
    async def scenario():
        async with SecureModel(tmp_path) as model:
            _, apology = await model.answer(make_daemon(), host="127.0.0.1", settings=f'ca_file = "{model.ca}";')
            assert apology and not model.requests
    run(scenario())


@pytest.mark.parametrize("way", ["ca_file", "SSL_CERT_FILE"])
def test_certificate_of_ones_own(make_daemon, run, tmp_path, way):
    """Read, with the name looked up, from behind the fences."""
    async def scenario():
        async with SecureModel(tmp_path) as model:
            settings, env = (f'ca_file = "{model.ca}";', {}) if way == "ca_file" else ("", {way: str(model.ca)})
            assert await model.answer(make_daemon(), settings=settings, env=env) == ("Trusted.", False)
    run(scenario())


@pytest.mark.parametrize("setting", ["verify = false;", "insecure = true;", "tls_verify = false;", "ca_file = \"\";"])
def test_no_setting_turns_it_off(make_daemon, run, tmp_path, setting):
    daemon = make_daemon()

    async def scenario():
        async with SecureModel(tmp_path) as model:
            if "ca_file" not in setting:
                daemon.configure(model=setting)
                assert "unknown setting" in warbler("check", "-c", daemon.config).stderr
                return
            assert (await model.answer(daemon, settings=setting))[1] and not model.requests
    run(scenario())


# --- who reaches it ---
def test_the_network_is_let_in_on_purpose_only(make_daemon, run):
    daemon = make_daemon()
    address = daemon.config.read_text()
    daemon.config.write_text(address.replace('"127.0.0.1";', '"0.0.0.0";'))
    code, said = daemon.refused()
    assert code == 1 and "public = true" in said
    daemon.config.write_text(address.replace('"127.0.0.1";', '"0.0.0.0"; public = true;'))
    daemon.start()
    assert run(http(daemon, "GET", "/healthz"))[0] == 200


def test_tokens_let_the_network_in(make_daemon, run):
    daemon = make_daemon(account='demo = false; tokens = ("a-token-of-some-length");')
    daemon.config.write_text(daemon.config.read_text().replace('"127.0.0.1";', '"0.0.0.0";'))
    daemon.start()
    assert run(http(daemon, "GET", "/healthz"))[0] == 200
