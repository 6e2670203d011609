"""How the Lanying adapter finds its cloud, logs in, and what it does when it
may not."""
import asyncio
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from conftest import binary
from counterparts import free_port
from lanying import wire
from lanying.stage import lanying  # noqa: F401 (a fixture)
from test_lanying_fake import VECTORS

EXAMPLE = pathlib.Path(__file__).parents[2] / "config/examples/lanying.conf"
CHECK_SECONDS = 3  # in which a client that may not log in again would have tried
PING_SECONDS = 60


def provisions(s):
    """What the daemon logged in with, one after the other."""
    return [r.frame["payload"] for r in s.cloud.records if r.sent and r.frame and r.frame.get("command") == wire.PROVISION]


async def is_fine(s, text="fine"):
    assert (await s.ask(s.alice, f"#echo {text}")).text == text


async def ready(s):
    """(status, body) of /readyz."""
    port = re.search(r"ready: open http://[^/]*:(\d+)/", s.daemon.new_log()).group(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(b"GET /readyz HTTP/1.0\r\nHost: x\r\n\r\n")
    answer = (await reader.read(-1)).decode()
    writer.close()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


# --- where ---
def test_discovery(lanying):
    async def scenario(s):
        await s.online()
        await is_fine(s)
        request = next(r for r in s.cloud.rest.requests if r[1] == "/v2/app_dns")
        assert request[2] == {"app_id": s.world.app_id, "source": "sdk"} and request[4]["app_id"] == s.world.app_id
    lanying(scenario)


def test_discovery_of_a_private_cloud(lanying):
    """A full URL is called as it stands."""
    async def scenario(s):
        s.cloud.dns_path = "/private/app_dns"
        s.daemon.configure(reach=f'dns_url = "{s.cloud.url}/private/app_dns";')
        await s.online()
        await is_fine(s)
        assert s.cloud.rest.count("/private/app_dns") >= 1 and not s.cloud.rest.count("/v2/app_dns")
    lanying(scenario)


def test_fixed_addresses(lanying):
    async def scenario(s):
        s.daemon.configure(reach=f'api_endpoint = "{s.cloud.url}"; ws_url = "{s.cloud.ws_url}";')
        await s.online()
        await is_fine(s)
        assert not s.cloud.rest.count("/v2/app_dns")
    lanying(scenario)


def test_user_id(lanying):
    async def scenario(s):
        s.daemon.configure(login=f'user_id = {s.bot.uid}L; password = "{s.bot.password}";')
        await s.online()
        await is_fine(s)
        assert s.cloud.rest.count("/token/id") == 1 and not s.cloud.rest.count("/token/user")
    lanying(scenario)


@pytest.mark.parametrize("refused, used", [("socketio", "raw"), ("raw", "socketio")])
def test_auto(lanying, refused, used):
    """The second transport is tried when the first is refused."""
    async def scenario(s):
        s.cloud.transports.discard(refused)
        await s.online()
        await is_fine(s)
        assert s.cloud.upgrades[-1][0] == used
        if refused == "raw":
            assert [name for name, _ in s.cloud.upgrades] == ["socketio"]
        else:
            assert [name for name, _ in s.cloud.upgrades] == ["socketio", "raw"]
    lanying(scenario, account='transport = "auto";')


@pytest.mark.slow
def test_next_host(lanying):
    """Dead hosts of each kind, in both clusters, before the good ones."""
    async def scenario(s):
        dead, good, closed = free_port(), s.cloud.ports[1], s.cloud.ports[2]
        s.cloud.closed_ports.add(closed)
        s.cloud.clusters = [([dead], [dead]), ([dead, good], [closed, good])]
        await s.online()
        await is_fine(s)
        assert s.cloud.upgrades[-1][1] == good
    lanying(scenario, cloud={"hosts": 3}, seconds=300)


@pytest.mark.slow
def test_host_dies(lanying):
    """The host that served goes away for good: the cluster's other one serves."""
    async def scenario(s):
        first, second = s.cloud.ports[:2]
        s.cloud.clusters = [([second], [first]), ([second], [second])]
        session = await s.online()
        s.cloud.closed_ports.add(first)
        session.cut()
        await s.cloud.login(s.bot, 120, session.number)
        await is_fine(s)
        assert s.cloud.upgrades[-1][1] == second
    lanying(scenario, cloud={"hosts": 2}, seconds=300)


@pytest.mark.slow
@pytest.mark.parametrize("path, trouble", [
    ("/v2/app_dns", {"http": 503}), ("/v2/app_dns", {"cut": True}), ("/v2/app_dns", {"raw": b"[" * 5000}),
    ("/v2/app_dns", {"raw": b'{"code":200,"data":{"dns_list":[]}}'}), ("/v2/app_dns", {"raw": b'{"code":200'}),
    ("/v2/app_dns", {"raw": b'{"code":200,"data":{"dns_list":[{"group_level":0,"clusters":[{"ratel":7,"webim":[{}]}]}]}}'}),
    ("/token/user", {"http": 502}), ("/token/user", {"cut": True}), ("/token/user", {"raw": b"{}"}),
    ("/token/user", {"raw": b'{"code":200,"data":{"user_id":"x","token":7}}'}), ("/token/user", {"raw": b""}),
    ("/group/user_joined", {"http": 500}), ("/group/user_joined", {"code": 402}), ("/group/user_joined", {"raw": b"\xff\xfe"}),
    ("/roster/list", {"http": 500}), ("/group/info/batch", {"raw": b'{"code":200,"data":[{"group_id":{}},7]}'}),
], ids=str)
def test_http_trouble(lanying, path, trouble):
    """Once: it tries again, or goes without."""
    async def scenario(s):
        s.cloud.rest.trouble(path, **trouble)
        await s.online()
        await is_fine(s)
        mid = s.tell(s.alice, "@bot #echo group", to=s.group, mention=[s.bot])
        assert (await s.answer(s.alice, mid, s.group)).text == "group"
    lanying(scenario)


@pytest.mark.slow
def test_expire_in_seconds(lanying):
    async def scenario(s):
        s.cloud.rest.expire_in_ms = False
        await s.online()
        await is_fine(s)
        assert s.cloud.rest.count("/token/user") == 1
    lanying(scenario)


@pytest.mark.slow
def test_clocks_differ(lanying):
    """A token that seems to be over when it comes is used, and not renewed all the time."""
    async def scenario(s):
        s.cloud.rest.clock_seconds = -10**8
        await s.online()
        await is_fine(s)
        await asyncio.sleep(CHECK_SECONDS)
        assert s.cloud.rest.count("/token/user") == 1
    lanying(scenario)


@pytest.mark.slow
def test_token_runs_out(lanying):
    """It is renewed before its time is over, without a refused login."""
    async def scenario(s):
        s.world.token_seconds = 8
        session = await s.online()
        await s.cloud.until(lambda: s.cloud.rest.count("/token/user") > 1)
        s.world.token_seconds = 3600
        await is_fine(s)
        session.cut()
        await s.cloud.login(s.bot, after=session.number)
        await is_fine(s)
        assert all(s.world.holder(p["token"])[0] is s.bot for p in provisions(s)[-1:])
    lanying(scenario)


@pytest.mark.slow
def test_silent_host(lanying):
    """A host that takes connections and answers no login is left for the next one."""
    async def scenario(s):
        s.cloud.clusters = [(s.cloud.ports, s.cloud.ports)]
        s.cloud.silent_ports.add(s.cloud.ports[0])
        await s.online()
        await is_fine(s)
        assert s.cloud.upgrades[-1][1] == s.cloud.ports[1]
    lanying(scenario, cloud={"hosts": 2}, account='transport = "socketio";')


# --- who ---
def test_device_is_kept(lanying):
    async def scenario(s):
        await s.online()
        await s.drop()
        await s.stop()
        await s.online()
        first, *later = provisions(s)
        assert later and all(p["device_guid"] == first["device_guid"] for p in later)
        assert all(p["xid"]["deviceSN"] == next(iter(s.bot.devices)) for p in later), later
        assert first["xid"]["uid"] == s.bot.uid and first["device_guid"].startswith(str(s.bot.uid))
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("code, tokens", [(wire.INVALID_TOKEN, 2), (wire.PUBLIC_KEY_CHANGED, 2), (wire.FAIL, None),
                                          (wire.UNKNOWN, None), (wire.RATE_LIMIT_EXCEEDED, None)])
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_refused_login(lanying, code, tokens, closed):
    """Not for good."""
    async def scenario(s):
        s.cloud.faults.close_refused = closed
        s.cloud.script.logins += [code]
        await s.online()
        await is_fine(s)
        if tokens:
            assert s.cloud.rest.count("/token/user") == tokens
    lanying(scenario)


def test_empty_login(lanying):
    """An answer that says nothing is no login."""
    async def scenario(s):
        s.cloud.script.empty_logins = 1
        await s.online()
        await is_fine(s)
        assert len(provisions(s)) == 2
    lanying(scenario)


def test_guid_conflict(lanying):
    async def scenario(s):
        s.cloud.script.logins += [wire.DEVICE_GUID_CONFLICT]
        await s.online()
        await is_fine(s)
        first, second = provisions(s)
        assert first["device_guid"] != second["device_guid"] and second["xid"].get("deviceSN", 0) == 0
        await s.drop()
        assert provisions(s)[-1]["device_guid"] == second["device_guid"]
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("code", [wire.USER_FROZEN, wire.TOO_MANY_DEVICES, wire.INVALID_LICENSE, wire.LICENSE_LIMIT,
                                  wire.APP_FROZEN])
def test_refused_for_good(lanying, code):
    async def scenario(s):
        s.cloud.script.logins += [code] * 100
        await s.start()
        await s.cloud.until(lambda: provisions(s))
        await asyncio.sleep(CHECK_SECONDS)
        assert len(provisions(s)) == 1, "it tries again what cannot be"
        status, body = await ready(s)
        assert status == 503 and '"ly"' in body, body
        assert re.search(r"\b(error|warn)\b.*\bly\b", s.daemon.new_log(), re.I), s.daemon.new_log()
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [wire.KICK_BY_SAME_DEVICE, wire.KICKED_BY_OTHER_DEVICE, wire.PASSWORD_CHANGED, wire.FROZEN,
                                  wire.REMOVED])
def test_kicked(lanying, kind):
    """It stays down and says so; the operator may start it again."""
    async def scenario(s):
        session = await s.online()
        await is_fine(s)
        session.kick(kind)
        mid = s.tell(s.alice, "#echo after the kick", "after the kick")
        await s.cloud.until(lambda: session.closed)
        await asyncio.sleep(CHECK_SECONDS)
        assert not s.cloud.sessions_of(s.bot) and s.cloud.sessions[-1] is session, "it came back"
        assert (await ready(s))[0] == 503
        assert not s.answers(s.alice, mid)
        await s.stop()
        await s.online()
        assert (await s.answer(s.alice, mid)).text == "after the kick"
    lanying(scenario)


def test_kicked_by_the_vector(lanying):
    """A kick on the connection counts, whatever time it says."""
    async def scenario(s):
        session = await s.online()
        vector = next(v for v in VECTORS if v["name"] == "sync_response_kicked")
        session.send_frame(bytes.fromhex(vector["frame_hex"]))
        await s.cloud.until(lambda: session.closed)
        await asyncio.sleep(CHECK_SECONDS)
        assert s.cloud.sessions[-1] is session, "it came back"
        status, body = await ready(s)
        assert status == 503 and "this very device" in body, body
    lanying(scenario)


@pytest.mark.slow
def test_kicked_long_ago(lanying):
    """That a device was kicked is told in the conversation of notices, too, where the next login finds it: it is over."""
    async def scenario(s):
        session = await s.online()
        session.kick()
        await s.cloud.until(lambda: session.closed)
        await s.stop()
        s.world.notice(s.bot, wire.NS_USER_NOTICE, {"type": wire.KICK_BY_SAME_DEVICE})
        await s.online()
        await is_fine(s)
        assert s.cloud.sessions_of(s.bot)
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [wire.CLUSTER_CHANGED, wire.DNS_UPDATE])
def test_moved(lanying, kind):
    """Another discovery, another token, another login."""
    async def scenario(s):
        session = await s.online()
        await is_fine(s)
        s.cloud.clusters = [(s.cloud.ports[1:], s.cloud.ports[1:])]
        s.world.notice(s.bot, wire.NS_USER_NOTICE, {"type": kind})
        await s.cloud.login(s.bot, after=session.number)
        await s.cloud.until(lambda: s.cloud.upgrades[-1][1] == s.cloud.ports[1])
        await is_fine(s)
        assert s.cloud.rest.count("/token/user") == 2 and s.cloud.rest.count("/v2/app_dns") >= 2
    lanying(scenario, cloud={"hosts": 2})


def test_traffic_limit(lanying):
    async def scenario(s):
        session = await s.online()
        s.world.notice(s.bot, wire.NS_USER_NOTICE, {"type": wire.TRAFFIC_LIMIT_EXCEEDED})
        await s.logs("traffic")
        await is_fine(s)
        assert not session.closed
    lanying(scenario)


@pytest.mark.slow
def test_comes_back(lanying):
    """After a cut: not at once with all its might, and not after minutes."""
    async def scenario(s):
        await s.online()
        s.cloud.transports.clear()
        number = len(s.cloud.upgrades)
        begun = time.monotonic()
        s.cloud.cut()
        await s.cloud.until(lambda: len(s.cloud.upgrades) >= number + 4)
        took = time.monotonic() - begun
        assert took > 1, f"four attempts in {took:.1f} s"
        s.cloud.transports |= {"socketio", "raw"}
        await s.cloud.login(s.bot, 70)
        await is_fine(s)
    lanying(scenario)


def test_example():
    """The configuration that the manual begins with."""
    env = {**os.environ, "OPENAI_API_KEY": "k", "LANYING_APP_ID": "a", "LANYING_USERNAME": "n", "LANYING_PASSWORD": "p"}
    done = subprocess.run([binary(), "check", "-c", EXAMPLE], env=env, capture_output=True, text=True, timeout=PING_SECONDS,
                          check=False)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr


# --- warbler ping ---
async def ping(s):
    def call():
        return subprocess.run([s.daemon.binary, "ping", "-c", s.daemon.config], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PING_SECONDS, check=False)
    done = await asyncio.to_thread(call)
    assert s.bot.password not in done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if re.search(r"\bly\b", line))
    return done.returncode, line


@pytest.mark.parametrize("transport", ["socketio", "raw", "auto"])
def test_ping(lanying, transport):
    """Takes and sends nothing."""
    async def scenario(s):
        mid = s.tell(s.alice, "#echo waiting", "waiting")
        status, line = await ping(s)
        assert status == 0 and "ok" in line, line
        assert not s.answers(s.alice, mid) and not s.alice.view(s.bot).acks
        await s.online()
        assert (await s.answer(s.alice, mid)).text == "waiting"
    lanying(scenario, account=f'transport = "{transport}";')


@pytest.mark.parametrize("wrong, says", [
    ("app", "app"), ("password", "password"), ("name", "name|user"), ("frozen", "frozen"), ("host", "reach|refused|connect"),
    ("banned", "banned"), ("transports", "refuses the WebSocket"), ("html", "JSON|understand|answer"),
])
def test_ping_says_what_is_wrong(lanying, wrong, says):
    async def scenario(s):
        if wrong == "app":
            s.daemon.configure(app_id="nosuchapp")
        elif wrong == "password":
            s.daemon.configure(login='username = "bot"; password = "not-the-right-one";')
        elif wrong == "name":
            s.daemon.configure(login=f'username = "nobody"; password = "{s.bot.password}";')
        elif wrong == "host":
            s.daemon.configure(reach=f'dns_url = "http://127.0.0.1:{free_port()}";')
        elif wrong in ("frozen", "banned"):
            s.world.app_status = wrong
        elif wrong == "transports":
            s.cloud.transports.clear()
        else:
            s.cloud.rest.trouble("/v2/app_dns", times=100, http=200)
        status, line = await ping(s)
        assert status == 1 and "ok" not in line.split() and re.search(says, line, re.I), line
        assert "GET :" not in line and "0:" not in line.split(), line
    lanying(scenario)


@pytest.mark.slow
def test_nothing_secret_is_said(lanying):
    """With everything logged."""
    async def scenario(s):
        s.cloud.rest.trouble("/token/user", raw=json.dumps({"code": 10010, "message": s.bot.password}).encode())
        await s.start()
        await asyncio.sleep(1)
    lanying(scenario, log="debug")
