"""What we make of an answer, beside what the official SDK makes of the same
bytes: every recorded transcript, and live answers of llama-server and aimock."""
import base64
import json
import os
import subprocess
import urllib.request

import pytest

from counterparts import HERE, KEY, ROOT, START_SECONDS, Aimock, Llama, MockApi, counterpart, fetch  # noqa: F401
from test_aimock import FIXTURES

pytestmark = pytest.mark.slow

TRANSCRIPTS = sorted((ROOT / "tests/data/transcripts").glob("*.txt"))
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "w", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "get_time", "parameters": {
        "type": "object", "properties": {"tz": {"type": "string"}}}}}]
# Where we read more than the SDK on purpose.
REASONING = ("<think>", "</think>")


@pytest.fixture(name="oracle", scope="module")
def running_oracle():
    npm = fetch("npm")
    with subprocess.Popen([npm / "node", HERE / "oracle.mjs", npm / "node_modules"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        def ask(body, stream):
            process.stdin.write(json.dumps({"stream": stream, "body": base64.b64encode(body).decode()}) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())
        yield ask
        process.stdin.close()


def ours(body, stream):
    done = subprocess.run([os.environ["WARBLER_MERGE"], "stream" if stream else "whole"], input=body, check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def same(oracle, body, stream):
    theirs, mine = oracle(body, stream), ours(body, stream)
    assert theirs["error"] is None, theirs
    if REASONING[1] in theirs["text"]:
        theirs["text"] = theirs["text"].split(REASONING[1], 1)[1]
    theirs["text"], mine["text"] = theirs["text"].strip(), mine["text"].strip()
    assert mine == theirs
    return mine


def recorded(path):
    """(status, body, was a stream asked for) of each exchange of a transcript."""
    for exchange in path.read_bytes().split(b"### POST ")[1:]:
        request, _, reply = exchange.partition(b"### RESPONSE\n")
        head, _, body = reply.replace(b"\r\n", b"\n").partition(b"\n\n")
        if b"/chat/completions" not in request.split(b"\n", 1)[0] or not head.startswith(b"HTTP/"):
            continue
        yield int(head.split()[1]), body, b'"stream":true' in request.replace(b" ", b"")


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_recorded(oracle, path):
    compared = 0
    for status, body, stream in recorded(path):
        if status != 200:
            continue
        theirs = oracle(body, stream)
        if theirs["error"]:  # what the SDK cannot read, we say to be an error too
            assert ours(body, stream)["error"], theirs
        else:
            same(oracle, body, stream)
        compared += 1
    if not compared:
        refusals = ("err", "503", "ratelimit", "quota", "chaos", "completions", "unmatched", "moderations", "badutf8")
        assert any(word in path.stem for word in refusals), "nothing in it"


def post(server, body):
    request = urllib.request.Request(server.base_url + "/chat/completions", json.dumps(body).encode(), {
        "Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=START_SECONDS) as reply:
        return reply.read()


def compare_live(oracle, server, **request):
    for stream in (False, True):
        more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        got = same(oracle, post(server, {"model": "m", **request, **more}), stream)
        assert got["text"] or got["calls"]


@pytest.mark.alone
def test_live_llama(oracle, counterpart):  # noqa: F811
    llama = counterpart(Llama).start()
    for words in ("hello", "think", "code", "json", "something long", "weather", "weather and time"):
        more = {"tools": TOOLS} if "weather" in words else {}
        compare_live(oracle, llama, messages=[{"role": "user", "content": words}], **more)
    compare_live(oracle, llama, messages=[{"role": "user", "content": "babble"}], max_tokens=60)
    compare_live(oracle, llama, messages=[{"role": "user", "content": "something long"}], stop=["word7"])


def test_live_aimock(oracle, counterpart):  # noqa: F811
    tool = {"match": {"userMessage": "weather"}, "response": {"toolCalls": [
        {"name": "get_weather", "arguments": {"city": "Paris"}}, {"name": "get_time", "arguments": {"tz": "UTC"}}]}}
    aimock = counterpart(Aimock, [tool, *FIXTURES]).start()
    for words in ("hello", "think", "weather"):
        compare_live(oracle, aimock, messages=[{"role": "user", "content": words}])


def test_live_mock_api(oracle, counterpart):  # noqa: F811
    mock = counterpart(MockApi, [("hello", "Hello 你好 👩‍👩‍👧‍👦!")]).start()
    compare_live(oracle, mock, messages=[{"role": "user", "content": "hello"}])
