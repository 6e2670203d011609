"""A key is in the configuration, in memory and on the wire to its server, and
nowhere else: whatever the server echoes, and wherever one looks."""
import asyncio
import subprocess
import urllib.request

import pytest

from test_model import CLOSE, Model, PROVIDER, chunk, delta, event, failing, good, stream, whole, STREAM_HEAD

pytestmark = pytest.mark.slow

KEY = "sk-proj-Zq7_AbC-0123456789-do-not-show-me"
SECRET_PROXY = "hunter2-of-the-proxy"
ECHO = f"{PROVIDER} Incorrect API key provided: {KEY}. Bearer {KEY} https://u:{KEY}@host/?key={KEY} {KEY[:-4]}"
# Every way to fail that can quote what it was sent.
ECHOES = {
    "unauthorized": [whole(401, {"error": {"message": ECHO, "code": "invalid_api_key", "param": KEY, "type": KEY}})],
    "forbidden": [whole(403, f"<html><title>{ECHO}</title></html>", "text/html")],
    "quota": [whole(429, {"error": {"message": ECHO, "code": "insufficient_quota"}})],
    "model": [whole(404, {"error": ECHO})],
    "parameter": [whole(400, {"detail": [{"loc": ["header", KEY], "msg": ECHO, "type": KEY}]})],
    "plain": [whole(422, ECHO, "text/plain")],
    "server": [whole(500, {"status": "failure", "message": ECHO})] * 3,
    "page": [whole(200, f"<html>{ECHO}</html>", "text/html")] * 3,
    "nonsense": [whole(200, ECHO, "text/plain")] * 3,
    "event": [[STREAM_HEAD, chunk(event('{"error":{"message":"%s"}}' % ECHO)), b"0\r\n\r\n"]] * 3,
    "begun": [[STREAM_HEAD, chunk(event(delta("Half an "))), chunk(event('{"error":"%s"}' % ECHO)), b"0\r\n\r\n"]] * 3,
    "header": [whole(500, {"error": ECHO}, headers=f"X-Request-Id: {KEY}\r\nRetry-After: {KEY}\r\n"), good],
    "header-good": [[good[0].replace(b"\r\n\r\n", f"\r\nX-Request-Id: {KEY}\r\n\r\n".encode()), *good[1:]]],
    "cut": [[CLOSE]] * 3,
}


def pieces(secret):
    """The secret, and enough of it to be of use."""
    return [secret, secret[:16], secret[-12:]]


def test_key_is_nowhere(make_daemon, run):
    daemon = make_daemon()

    async def ask(name):
        async with daemon.chat() as c:
            await c.ask("1", name)
            await c.ask("2", "/status")
            return str(c.frames)

    async def scenario():
        async with Model({**ECHOES, "/status": [stream("not asked")]}) as model:
            model.models = ECHOES["unauthorized"][0]
            daemon.configure(
                models=f""", {{ name = "m"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x";
                api_key = "env:TEST_KEY"; first_byte_timeout = "2s"; idle_timeout = "2s"; retry_ceiling = "1s"; }},
                {{ name = "proxied"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x"; api_key = "env:TEST_KEY";
                proxy = "http://me:{SECRET_PROXY}@127.0.0.1:1"; retries = 0; }}""",
                bots=', { name = "mb"; model = "m"; }, { name = "pb"; model = "proxied"; }',
                channels='{ match = "web:lobby"; bot = "pb"; }, { match = "web:*"; bot = "mb"; }',
                more='log = { level = "debug"; };')
            await asyncio.to_thread(daemon.start, {"TEST_KEY": KEY})
            seen = await asyncio.gather(*(ask(name) for name in ECHOES))
            async with daemon.chat(room="lobby", name="A") as c:
                seen.append(str(await c.ask("1", "@pb hello")))
            for path in ("/metrics", "/healthz", "/readyz", "/"):
                with urllib.request.urlopen(daemon.http + path) as reply:
                    seen.append(str(reply.headers) + reply.read().decode())
            for command in (["queue"], ["explain", "web:lobby"], ["check"], ["ping"], ["usage"], ["usage", "--by", "model", "--format", "json"]):
                done = await asyncio.to_thread(subprocess.run, [daemon.binary, command[0], "-c", daemon.config, *command[1:]],
                                               env={"TEST_KEY": KEY}, capture_output=True, text=True, check=False)
                seen.append(done.stdout + done.stderr)
            return seen

    everything = dict(enumerate(run(scenario())))
    for path in [daemon.log, *daemon.data.iterdir()]:  # while it runs, with the journal
        everything[path.name] = path.read_bytes().decode(errors="replace")
    daemon.stop()
    for path in [daemon.log, *daemon.data.iterdir()]:
        everything[path.name + " at the end"] = path.read_bytes().decode(errors="replace")
    assert PROVIDER in everything["log"], "the reason is for the log"
    for where, text in everything.items():
        for secret in pieces(KEY) + pieces(SECRET_PROXY):
            assert secret not in text, (where, text[max(0, text.index(secret) - 200):][:400])
