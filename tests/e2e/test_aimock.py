"""The daemon and two mock servers of others: aimock, which can fail in many
ways and keeps a journal of what it was asked, and openai-mock-api."""
import asyncio
import json
import re
import time
import urllib.request

import pytest

from counterparts import KEY, Aimock, MockApi, counterpart, free_port  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

MESSAGES, VISITORS = 500, 20
FAMILY = "Hello from aimock 你好 👩‍👩‍👧‍👦!"  # aimock cuts it inside of characters
FIXTURES = [
    {"match": {"userMessage": "hello"}, "response": {"content": FAMILY}},
    {"match": {"userMessage": "think"}, "response": {"reasoning": "step by step", "content": "4"}},
    {"match": {"userMessage": "ratelimit"}, "response": {
        "error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}, "status": 429}},
    {"match": {"userMessage": "quota"}, "response": {
        "error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"},
        "status": 429}},
    {"match": {"userMessage": "wait", "sequenceIndex": 0}, "response": {
        "error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}, "status": 429, "retryAfter": 2}},
    {"match": {"userMessage": "wait"}, "response": {"content": "Now."}},
    {"match": {"userMessage": "cut"}, "response": {"content": "This stream will be truncated before it ends properly"},
     "truncateAfterChunks": 2},
    {"match": {"userMessage": "m"}, "response": {"content": "An answer."}},
]
NOTICES = re.compile("/retry|another way")  # every notice says what to do


def start(daemon, *models, bot="", log="debug"):
    daemon.configure(models=", " + ", ".join(models), bots=f', {{ name = "mb"; model = "m"; {bot} }}',
                     channels='{ match = "web:*"; bot = "mb"; }', more=f'log = {{ level = "{log}"; }};')
    daemon.start()
    return daemon


@pytest.fixture(name="aimock")
def running_aimock(counterpart):  # noqa: F811
    return counterpart(Aimock, FIXTURES).start()


def test_answers(make_daemon, aimock, run):
    daemon = start(make_daemon(), aimock.model(more='temperature = 0.5; stop = ("END");'))

    async def scenario():
        async with daemon.chat() as c:
            assert (await c.ask("1", "hello"))["text"] == FAMILY
            assert (await c.ask("2", "think"))["text"] == "4"
            assert "step" not in str(c.frames)
    run(scenario())
    sent = [entry["body"] for entry in aimock.journal()]
    assert len(sent) == 2
    allowed = {"model", "messages", "stream", "stream_options", "temperature", "stop"}
    for body in sent:
        assert not {name for name in body if not name.startswith("_")} - allowed, body
        assert KEY not in json.dumps(body)
    assert [m["role"] for m in sent[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert sent[1]["messages"][2]["content"] == FAMILY


@pytest.mark.parametrize("word, requests, says", [("ratelimit", 2, "too many questions"), ("quota", 1, "used up")])
def test_429(make_daemon, aimock, run, word, requests, says):
    """The same status: one is worth asking again, the other is not."""
    daemon = start(make_daemon(), aimock.model(more="retries = 1;"))

    async def scenario():
        async with daemon.chat(lang="en") as c:
            final = await c.ask("1", word)
            assert final["notice"] and says in final["text"]
    run(scenario())
    assert len(aimock.journal()) == requests


def test_retry_after(make_daemon, aimock, run):
    """It is waited for as long as the server says, and not asked sooner."""
    daemon = start(make_daemon(), aimock.model(more='retries = 1; retry_ceiling = "10s";'))

    async def scenario():
        async with daemon.chat() as c:
            assert (await c.ask("1", "wait"))["text"] == "Now."
    run(scenario())
    first, second = sorted(entry["timestamp"] for entry in aimock.journal())
    assert second - first >= 2000


def test_azure(make_daemon, aimock, run):
    """A path of its own, a key header of its own, and streams that begin without a choice."""
    base = f"http://127.0.0.1:{aimock.port}"
    daemon = start(make_daemon(), aimock.model(base_url=base, more='api = "azure"; api_version = "2024-10-21";'))

    async def scenario():
        async with daemon.chat() as c:
            assert (await c.ask("1", "hello"))["text"] == FAMILY
    run(scenario())
    entry, = aimock.journal()
    assert entry["path"].startswith("/openai/deployments/tiny-scripted/chat/completions"), entry["path"]
    headers = {name.lower() for name in entry["headers"]}
    assert "api-key" in headers and "authorization" not in headers


def test_cut_stream(make_daemon, aimock, run):
    daemon = start(make_daemon(), aimock.model(more="retries = 1;"))

    async def scenario():
        async with daemon.chat(lang="en") as c:
            final = await c.ask("1", "cut")
            assert len(c.finals) == 1 and "/retry" in final["text"]
    run(scenario())
    assert len(aimock.journal()) == 2


def test_wrong_key(make_daemon, aimock, run):
    daemon = start(make_daemon(), aimock.model(key="sk-not-the-right-one-99"))

    async def scenario():
        async with daemon.chat(lang="en") as c:
            assert "refused this bot's key" in (await c.ask("1", "hello"))["text"]
    run(scenario())
    assert "sk-not-the-right" not in daemon.log.read_text()


async def storm(daemon, messages=MESSAGES, visitors=VISITORS):
    """Everybody asks one thing after the other. All final frames, by own id, and the longest wait."""
    finals, longest = {}, 0

    async def one(v):
        nonlocal longest
        async with daemon.chat(lang="en") as c:
            for i in range(messages // visitors):
                own = f"m{v}-{i}"
                begun = time.monotonic()
                finals[own] = await c.ask(own, own)
                longest = max(longest, time.monotonic() - begun)
            assert len(c.finals) == messages // visitors, "an answer too many"
            assert [f["reply_to"] for f in c.finals] == [f"m{v}-{i}" for i in range(messages // visitors)]

    await asyncio.gather(*(one(v) for v in range(visitors)))
    return finals, longest


def check(finals, answer="An answer."):
    """How many were answered; the others got a notice that says what to do."""
    answered = [f for f in finals.values() if "notice" not in f and f["text"] == answer]
    for final in finals.values():
        if final not in answered:
            assert NOTICES.search(final["text"]), final
            assert final.get("notice") or final["text"].startswith("An"), final
    return len(answered)


def test_storm(make_daemon, counterpart, run):  # noqa: F811
    """Three requests in ten fail, in every way that aimock has."""
    aimock = counterpart(Aimock, FIXTURES, drop=0.08, malformed=0.08, disconnect=0.08, ratelimit=0.06).start()
    daemon = start(make_daemon(), aimock.model(more='retries = 2; retry_ceiling = "5s";'), log="info")

    async def scenario():
        finals, longest = await storm(daemon)
        assert len(finals) == MESSAGES and longest < 30
        answered = check(finals)
        print(f"{answered} of {MESSAGES} answered, the others got a notice; longest wait {longest:.1f} s")
        assert answered > MESSAGES * 0.9
    run(scenario(), 300)
    daemon.stop()
    assert KEY not in daemon.log.read_text()


def figure(daemon, name, model):
    """One of the figures per model of /metrics."""
    with urllib.request.urlopen(daemon.http + "/metrics") as reply:
        found = re.search(rf'^{name}{{model="{model}"}} (\d+)$', reply.read().decode(), re.M)
    return int(found.group(1)) if found else 0


def test_storm_with_a_second_model(make_daemon, counterpart, run):  # noqa: F811
    """The same, but somebody else can answer: then everybody is answered."""
    bad = counterpart(Aimock, FIXTURES, drop=0.08, malformed=0.08, disconnect=0.08, ratelimit=0.06).start()
    well = counterpart(Aimock, FIXTURES).start()
    daemon = start(make_daemon(), bad.model(more='retries = 1; retry_ceiling = "5s"; fallback = ("well");'),
                   well.model("well"), log="info")

    async def scenario():
        finals, _ = await storm(daemon)
        assert check(finals) == len(finals) == MESSAGES
    run(scenario(), 300)


def test_dead_first_model(make_daemon, counterpart, run):  # noqa: F811
    """Nobody listens at the first model's address: it is soon left alone, and nobody waits for it."""
    well = counterpart(Aimock, FIXTURES).start()
    daemon = start(make_daemon(), well.model(base_url=f"http://127.0.0.1:{free_port()}/v1", more='fallback = ("well");'),
                   well.model("well"), log="info")

    async def scenario():
        finals, _ = await storm(daemon)
        assert check(finals) == len(finals) == MESSAGES
        tried = figure(daemon, "warbler_model_attempts_total", "m")
        assert 5 <= tried <= 3 * VISITORS  # what was under way when it became clear
        assert figure(daemon, "warbler_model_breaker", "m") == 1
        await storm(daemon, messages=VISITORS)
        assert figure(daemon, "warbler_model_attempts_total", "m") <= tried + 1  # a probe, if half a minute is over
    run(scenario(), 300)
    assert len(well.journal()) == MESSAGES + VISITORS


def test_keys(make_daemon, aimock, run):
    """A key that the server refuses is not used again, and the log says which."""
    keys = f'keys = ("sk-refused-key-0000001", "{KEY}");'
    daemon = start(make_daemon(), aimock.model(key="", more=keys), log="info")

    async def scenario():
        async with daemon.chat() as c:
            for i in range(4):
                assert (await c.ask(f"m{i}", "hello"))["text"] == FAMILY
        assert figure(daemon, "warbler_model_attempts_total", "m") == 5
        assert figure(daemon, "warbler_model_keys_dead", "m") == 1
    run(scenario())
    log = daemon.log.read_text()
    assert log.count("key 1 of 2") == 1 and "refused-key" not in log and KEY not in log
    assert len(aimock.journal()) == 4  # which leaves out what it refuses


def test_silent_first_model(make_daemon, counterpart, run):  # noqa: F811
    """A rival is asked after a silence, and who speaks first is heard."""
    slow = counterpart(Aimock, FIXTURES, latency=20000).start()
    well = counterpart(Aimock, FIXTURES).start()
    daemon = start(make_daemon(), slow.model(more='fallback = ("well"); hedge_after = "200ms";'), well.model("well"))

    async def scenario():
        async with daemon.chat() as c:
            final = await c.ask("1", "hello")
            assert final["text"] == FAMILY and len(c.finals) == 1
        assert figure(daemon, "warbler_model_hedges_total", "m") == 1
    run(scenario())


def test_openai_mock_api(make_daemon, counterpart, run):  # noqa: F811
    """Its streams say that they are text/plain, and its errors are of another shape."""
    mock = counterpart(MockApi, [("hello", "Hello 你好 👩‍👩‍👧‍👦!")]).start()
    daemon = start(make_daemon(), mock.model(), mock.model("wrong", key="sk-wrong-key-123456"),
                   mock.model("plain", more="stream = false;"),
                   bot='history_messages = 0; system_prompt = ""; admins = ("web:*");')

    async def scenario():
        async with daemon.chat(lang="en") as c:
            assert (await c.ask("1", "hello"))["text"] == "Hello 你好 👩‍👩‍👧‍👦!"
            final = await c.ask("2", "not in the list")
            assert final["notice"] and "refused the request" in final["text"], final
            await c.ask("3", "/model plain")
            assert (await c.ask("4", "hello"))["text"] == "Hello 你好 👩‍👩‍👧‍👦!"
            await c.ask("5", "/model wrong")
            assert "refused this bot's key" in (await c.ask("6", "hello"))["text"]
    run(scenario())
    assert "sk-wrong-key" not in daemon.log.read_text()
