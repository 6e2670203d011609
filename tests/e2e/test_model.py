"""The daemon against a model server that misbehaves as real ones do. What the
person says names a behaviour; each of its requests gets the next part of it."""
import asyncio
import contextlib
import itertools
import json
import re
import urllib.request

import pytest

from test_cli import warbler

KEY = "sk-very-secret-key-0123456789"
PROVIDER = "PROVIDER-TEXT"  # in everything that no person may see
GOOD = "All is well."


# --- answers, as bytes ---
def whole(status, body, kind="application/json", headers=""):
    body = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return [head.encode() + body]


def failing(status, headers="", **error):
    return whole(status, {"error": {"message": PROVIDER + " " + KEY, **error}}, headers=headers)


def delta(text, finish=None, **more):
    choice = {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": finish}
    return json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice], **more}, ensure_ascii=False)


def chunk(data):
    data = data if isinstance(data, bytes) else data.encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CLOSE = "close"      # the connection, now
SILENCE = "silence"  # until the other side closes it
SHOWN = "shown"      # go on when the person has seen the text so far


def event(data):
    return f"data: {data}\n\n".encode()


def stream(*texts, finish="stop", done=True):
    parts = [STREAM_HEAD] + [chunk(event(delta(text))) for text in texts]
    parts.append(chunk(event(delta(None, finish)) + (event("[DONE]") if done else b"")))
    return parts + [b"0\r\n\r\n"]


def completion(text, finish="stop", **more):
    return {"id": "x", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}], **more}


def bytewise(data):
    return [bytes([byte]) for byte in data]


good = stream("All ", "is ", "well.")
begun = [STREAM_HEAD, chunk(event(delta("Half an ")))]
odd_events = (": a comment\r\n\r\ndata:" + delta("All ") + "\r\n\r\nevent: x\ndata: " + delta("is ") +
              "\n\nid: 7\ndata: " + delta("well.") + "\n\ndata: " + delta(None, "stop") + "\r\rdata: [DONE]\n\n")

# name: one answer for each request; more requests than answers are an error.
ANSWERED = {
    "plain": [good],
    "json-to-a-stream": [whole(200, completion(GOOD))],
    "no-done": [stream("All is ", "well.", done=False)],
    "closed-after-stream": [[CLOSE_HEAD, event(delta(GOOD)) + event(delta(None, "stop")), CLOSE]],
    "odd-events": [[CLOSE_HEAD, odd_events.encode(), CLOSE]],
    "500-then-good": [failing(500), good],
    "429-then-good": [failing(429, "Retry-After: 1\r\n", type="requests"), good],
    "429-without-time": [failing(429), good],
    "cut-then-good": [[*begun, SHOWN, CLOSE], good],
    "cut-without-finish": [[CLOSE_HEAD, event(delta("Half an ")), CLOSE], good],
    "cut-head": [[b"HTTP/1.1 200 OK\r\nContent-", CLOSE], good],
    "closed-at-once": [[CLOSE], good],
    "silence-then-good": [[SILENCE], good],
    "idle-then-good": [[*begun, SILENCE], good],
    "html-with-200": [whole(200, f"<html>{PROVIDER}</html>", "text/html"), good],
    "broken-json": [whole(200, '{"choices":[{"mess'), good],
    "broken-chunks": [[STREAM_HEAD, b"zz\r\nnonsense"], good],
    "error-within-stream": [[*begun, chunk(event(json.dumps({"error": {"message": PROVIDER, "code": 500}}))), b"0\r\n\r\n"], good],
    "empty-then-good": [stream(), good],
    "503-html-then-good": [whole(503, f"<h1>{PROVIDER}</h1>", "text/html"), good],
}

# name: (answers, what the notice says in English, and in Chinese)
SERVER = ("The model's server has a problem", "模型服务器出现故障")
REFUSED = {
    "wrong-key": ([failing(401, code="invalid_api_key")], "refused this bot's key", "拒绝了机器人的密钥"),
    "forbidden": ([failing(403)], "refused this bot's key", "拒绝了机器人的密钥"),
    "quota": ([failing(429, code="insufficient_quota")], "used up", "额度已用完"),
    "no-such-model": ([failing(404, code="model_not_found")], "does not exist", "模型不存在"),
    "too-long": ([failing(400, code="context_length_exceeded")], "too long", "对话太长"),
    "bad-parameter": ([failing(400, param="top_k")], "refused the request", "拒绝了请求"),
    "filtered": ([stream("half an answer", finish="content_filter")], "content filter", "安全过滤"),
    "long-wait": ([failing(429, "Retry-After: 7200\r\n")], "too many questions right now. Please wait about 2 hours, then send /retry",
                  "当前提问过多，请等约 2 小时后发送 /retry"),
    "always-500": ([failing(500)] * 3, *SERVER),
    "always-502-html": ([whole(502, f"<html>{PROVIDER}</html>", "text/html")] * 3, *SERVER),
    "always-closed": ([[CLOSE]] * 3, "", ""),
    "always-silent": ([[SILENCE]] * 3, "took too long", "响应超时"),
    "always-empty": ([stream()] * 2, "no answer", "没有给出回答"),
}
BEHAVIOURS = {**ANSWERED, **{name: row[0] for name, row in REFUSED.items()}}


class Model:
    """An OpenAI-compatible server, as far as its script goes."""

    def __init__(self, behaviours=None):
        self.behaviours = {**BEHAVIOURS, **(behaviours or {})}
        self.requests = []   # (request line, headers in lower case, body)
        self.asked = {}      # behaviour and conversation -> requests so far
        self.problems = []
        self.gone = asyncio.Event()  # a client left during SILENCE
        self.shown = {}      # behaviour -> event
        self.models = whole(200, {"object": "list", "data": []})  # what `warbler ping` gets

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        assert not self.problems, self.problems

    def saw(self, name):
        return self.shown.setdefault(name, asyncio.Event())

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            is_first = True
            while await self.one(reader, writer, is_first):
                is_first = False
        writer.close()

    async def one(self, reader, writer, is_first):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (l.split(": ", 1) for l in lines)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"null")
        self.requests.append((line, headers, body))
        if line.startswith("GET "):
            writer.write(self.models[0])
            return True
        words = body["messages"][-1]["content"].split()
        parts = self.behaviours[words[0]]
        if parts[0] == [CLOSE] and not is_first:
            return False  # on a used connection that is a time-out of its own, and curl asks again by itself
        n = self.asked.get(words[0] + words[-1], 0)
        self.asked[words[0] + words[-1]] = n + 1
        if n >= len(parts):
            self.problems.append(f"{words[0]} was asked {n + 1} times")
            return False
        for part in parts[n]:
            if part == CLOSE:
                return False
            if part == SILENCE:
                await reader.read()
                self.gone.set()
                return False
            if part == SHOWN:
                await self.saw(words[0]).wait()
                continue
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        return True


async def start(daemon, model, settings="", bot="", more=None):
    key = "" if "keys = " in settings else 'api_key = "env:TEST_KEY";'
    daemon.configure(
        models=f""", {{ name = "m"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x"; {key}
        first_byte_timeout = "500ms"; idle_timeout = "500ms"; retry_ceiling = "5s"; {settings} }}""",
        bots=f', {{ name = "mb"; model = "m"; {bot} }}', channels='{ match = "web:*"; bot = "mb"; }',
        more='log = { level = "debug"; };')
    await asyncio.to_thread(daemon.start, {"TEST_KEY": KEY, **(more or {})})


def check_secrets(daemon, chats):
    log = daemon.log.read_text()
    assert KEY not in log and KEY[:12] not in log
    for chat in chats:
        assert PROVIDER not in str(chat.frames) and KEY not in str(chat.frames)


# --- the request ---
def test_request(make_daemon, run):
    daemon = make_daemon()
    settings = """temperature = 0.5; top_p = 0.9; frequency_penalty = 0.25; presence_penalty = -0.5; max_tokens = 100;
        max_tokens_field = "max_completion_tokens"; stop = ("END", "完"); seed = 42; system_role = "developer";
        extra = "{\\"top_k\\": 40, \\"big\\": 12345678901234567890, \\"temperature\\": 0.75}"; drop = ("stream_options", "top_p");
        headers = ("X-Team: support", "User-Agent: mine");"""

    async def scenario():
        async with Model() as model:
            await start(daemon, model, settings, 'system_prompt = "You are {bot} in {channel}, {{really}}.";')
            async with daemon.chat() as c:
                assert (await c.ask("1", "plain 一"))["text"] == GOOD
                await c.ask("2", "plain 二")
            (line, headers, body), (_, _, second) = model.requests
        assert line == "POST /v1/chat/completions HTTP/1.1" and headers["authorization"] == "Bearer " + KEY
        assert headers["content-type"] == "application/json" and headers["accept"] == "text/event-stream"
        assert headers["x-team"] == "support" and headers["user-agent"] == "mine"
        assert body == {
            "model": "gpt-x", "stream": True, "temperature": 0.75, "frequency_penalty": 0.25, "presence_penalty": -0.5,
            "max_completion_tokens": 100, "stop": ["END", "完"], "seed": 42, "top_k": 40, "big": 12345678901234567890,
            "messages": [{"role": "developer", "content": "You are mb in private chat, {really}."},
                         {"role": "user", "content": "plain 一"}]}
        assert second["messages"][2:] == [{"role": "assistant", "content": GOOD}, {"role": "user", "content": "plain 二"}]
        check_secrets(daemon, [c])
    run(scenario())


def test_default_request(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model() as model:
            await start(daemon, model)
            async with daemon.chat() as c:
                await c.ask("1", "plain")
            body = model.requests[0][2]
        assert body == {"model": "gpt-x", "stream": True, "stream_options": {"include_usage": True}, "messages": [
            {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "plain"}]}
    run(scenario())


def test_unstreamed_request(make_daemon, run):
    daemon = make_daemon()
    answer = whole(200, completion(GOOD, usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}))

    async def scenario():
        async with Model({"plain": [answer]}) as model:
            await start(daemon, model, "stream = false;")
            async with daemon.chat() as c:
                assert (await c.ask("1", "plain"))["text"] == GOOD
            _, headers, body = model.requests[0]
            assert headers["accept"] == "application/json" and not {"stream", "stream_options"} & set(body)
    run(scenario())


# --- answers and failures, all at once: each is a conversation of its own ---
def test_answered(make_daemon, run):
    daemon = make_daemon()

    async def one(model, name):
        async with daemon.chat() as c:
            await c.say("1", name)
            await c.until(lambda: c.partial or c.finals)
            model.saw(name).set()
            final = await c.answer_to("1")
            assert final["text"] == GOOD and "notice" not in final, (name, final)
            ids = {f["id"] for f in c.frames if f["type"] in ("message", "edit")}
            assert ids == {final["id"]} and len(c.finals) == 1, name
            return c

    async def scenario():
        async with Model() as model:
            await start(daemon, model)
            chats = await asyncio.gather(*(one(model, name) for name in ANSWERED))
            assert model.asked == {2 * name: len(ANSWERED[name]) for name in ANSWERED}
        cut = chats[list(ANSWERED).index("cut-then-good")]
        assert any(f.get("text") == "Half an " for f in cut.frames)  # was shown, and replaced
        check_secrets(daemon, chats)
    run(scenario())


def test_refused(make_daemon, run):
    daemon = make_daemon()

    async def one(name, lang, text):
        async with daemon.chat(lang=lang) as c:
            final = await c.ask("1", f"{name} {lang}")
            assert final.get("notice") is True and text in final["text"], (name, final)
            assert len(c.finals) == 1
            return c

    async def scenario():
        async with Model() as model:
            await start(daemon, model)
            chats = await asyncio.gather(*(one(name, lang, row[i]) for name, row in REFUSED.items()
                                           for i, lang in ((1, "en"), (2, "zh"))))
            want = {name + lang: len(row[0]) for name, row in REFUSED.items() for lang in ("en", "zh")}
            while any(model.asked.get(name, 0) < n for name, n in want.items()):
                await asyncio.sleep(0.01)  # what was given up may not have been read yet; run() ends what never comes
            assert model.asked == want
        for c in chats:
            han = re.search("[\u4e00-\u9fff]", c.finals[0]["text"])
            assert bool(han) == (c.hello["lang"] == "zh"), c.finals[0]
        check_secrets(daemon, chats)
        assert "invalid_api_key" in daemon.log.read_text()  # the reason is for the log
    run(scenario())


def test_no_retries(make_daemon, run):
    """A started answer ends with what came and a note."""
    daemon = make_daemon()

    async def scenario():
        async with Model({"cut": [[*begun, SHOWN, CLOSE]], "idle": [[*begun, SILENCE]], "down": [failing(500)]}) as model:
            await start(daemon, model, "retries = 0;")
            async with daemon.chat(lang="en") as c:
                for name in ("cut", "idle"):
                    await c.say(name, name)
                    await c.until(lambda: any(f.get("text") == "Half an " and f["reply_to"] == name for f in c.frames))
                    model.saw(name).set()
                    final = await c.answer_to(name)
                    assert final["text"].startswith("Half an ") and "/retry" in final["text"]
                assert SERVER[0] in (await c.ask("down", "down"))["text"]
                assert len(c.finals) == 3
    run(scenario())


def test_nobody_listens(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model() as model:
            pass
        await start(daemon, model)
        async with daemon.chat(lang="en") as en, daemon.chat(lang="zh") as zh:
            first, second = await asyncio.gather(en.ask("1", "x"), zh.ask("1", "x"))
            assert "cannot reach the model" in first["text"] and "无法连接模型" in second["text"]
            assert first["notice"] and second["notice"]
    run(scenario())


def test_retry_after_is_waited_for(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"busy": [failing(429, "Retry-After: 1\r\n"), good]}) as model:
            await start(daemon, model)
            async with daemon.chat() as c:
                begin = asyncio.get_running_loop().time()
                assert (await c.ask("1", "busy"))["text"] == GOOD
                assert 1 <= asyncio.get_running_loop().time() - begin < 3
    run(scenario())


def test_bytewise_stream(make_daemon, run):
    """Events and characters cut at every byte."""
    text = "naïve 你好 👩‍👩‍👧 end"
    body = (event(delta(text[:9])) + event(delta(text[9:])) + event(delta(None, "stop")) + event("[DONE]"))

    async def scenario():
        async with Model({"bytes": [[CLOSE_HEAD, *bytewise(body), CLOSE]]}) as model:
            await start(daemon, model)
            async with daemon.chat() as c:
                assert (await c.ask("1", "bytes"))["text"] == text
                assert all(text.startswith(f["text"]) for f in c.frames if f["type"] in ("message", "edit"))
    daemon = make_daemon()
    run(scenario())


def test_endless_answer(make_daemon, run):
    """Ends where the limit is, and is said to be cut."""
    daemon = make_daemon()
    piece = chunk(event(delta("x" * 4000)))

    async def scenario():
        async with Model({"endless": [[STREAM_HEAD, *[piece] * 5000]]}) as model:
            await start(daemon, model)
            async with daemon.chat() as c:
                final = await c.ask("1", "endless")
                assert final["text"].startswith("xxx") and final["text"].endswith("…")
                assert 200_000 < len(final["text"]) <= 256 * 1024 + 8
    run(scenario())


def test_hostile_answers(make_daemon, run):
    """Control characters, half surrogates, deep nesting: an answer or a notice, never anything else."""
    daemon = make_daemon()
    deep = "[" * 20000
    cases = {
        "control": [whole(200, completion("a\x00\x07\x1b[31mb"))],
        "surrogate": [whole(200, '{"choices":[{"message":{"content":"a\\ud800b"},"finish_reason":"stop"}]}')],
        "latin": [whole(200, b'{"choices":[{"message":{"content":"a\xe9b"},"finish_reason":"stop"}]}')],
        "deep": [whole(200, deep)] * 3,
        "numbers": [whole(200, '{"choices":[{"message":{"content":7},"finish_reason":8}],"usage":{"prompt_tokens":1e400}}')] * 3,
        "null": [whole(200, "null")] * 3,
        "long-line": [[CLOSE_HEAD, b"data: " + b"x" * (1 << 20), CLOSE]] * 3,
        "long-head": [[b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"y" * (1 << 20) + b"\r\n\r\n", CLOSE]] * 3,
    }

    async def one(name):
        async with daemon.chat(lang="en") as c:
            final = await c.ask("1", name)
            assert final["done"] and len(c.finals) == 1, name
            assert (final.get("notice") or final["text"].startswith("a")), (name, final)

    async def scenario():
        async with Model(cases) as model:
            await start(daemon, model)
            await asyncio.gather(*map(one, cases))
    run(scenario())


def test_stop_hangs_up(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"long": [[*begun, SILENCE]]}) as model:
            await start(daemon, model)
            async with daemon.chat(lang="en") as c:
                await c.say("1", "long")
                await c.until(lambda: c.partial)
                await c.say("2", "/stop")
                assert (await c.answer_to("1"))["text"].startswith("Half an")
                await asyncio.wait_for(model.gone.wait(), 1)
                assert not any(f["reply_to"] == "1" and f.get("notice") for f in c.finals)
    run(scenario())


def test_redirects_do_not_get_the_key(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model() as elsewhere:
            moved = whole(302, "", headers=f"Location: http://127.0.0.1:{elsewhere.port}/v1/chat/completions\r\n")
            async with Model({"moved": [moved] * 3}) as model:
                await start(daemon, model)
                async with daemon.chat(lang="en") as c:
                    assert (await c.ask("1", "moved"))["notice"]
            assert not elsewhere.requests
    run(scenario())


# --- several ways to an answer ---
async def metrics(daemon):
    def get():
        with urllib.request.urlopen(daemon.http + "/metrics") as answer:
            return answer.read().decode()
    return await asyncio.to_thread(get)


def ledger(daemon):
    """Rows of `warbler usage`, by model."""
    done = warbler("usage", "--format", "json", "-c", daemon.config, env={"TEST_KEY": KEY, "OTHER_KEY": KEY})
    assert done.returncode == 0, done.stderr
    return {row["key"]: row for row in json.loads(done.stdout)["rows"]}


def other(model):
    """Ends the settings of "m" and adds a second model."""
    return f"""fallback = ("other"); }}, {{ name = "other"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-y";
        api_key = "env:OTHER_KEY"; """


def test_first_model_dead(make_daemon, run):
    """Everybody is answered by the second, and the first is soon left alone."""
    daemon = make_daemon()

    async def scenario():
        async with Model({"x": [[CLOSE]] * 100}) as dead, Model({"x": [good] * 100}) as well:
            await start(daemon, dead, "retries = 0; " + other(well), more={"OTHER_KEY": KEY + "-b"})
            async with daemon.chat(lang="en") as c:
                for i in range(12):
                    assert (await c.ask(str(i), "x"))["text"] == GOOD
                assert len(dead.requests) == 5 and len(well.requests) == 12
                assert all(headers["authorization"].endswith("-b") for _, headers, _ in well.requests)
                status = (await c.ask("s", "/status"))["text"]
            assert "keeps failing; other answers instead; tried again in " in status
            assert "last problem: cannot be reached" in status
            page = await metrics(daemon)
            for line in ('warbler_model_breaker{model="m"} 1', 'warbler_model_breaker{model="other"} 0',
                         'warbler_model_fallbacks_total{model="m"} 12', 'warbler_model_attempts_total{model="m"} 5',
                         'warbler_model_failures_total{model="m",class="net"} 5'):
                assert line in page.splitlines()
            assert KEY not in page and KEY not in status
        check_secrets(daemon, [c])
        log = daemon.log.read_text()
        assert len(re.findall("warn .*m does not answer .* asking other instead", log)) == 1
        assert len(re.findall("warn .*model m: its server fails again and again", log)) == 1
    run(scenario())


def test_break_is_replaced_by_another_model(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"x": [[*begun, SHOWN, CLOSE]]}) as breaks, Model({"x": [good]}) as well:
            await start(daemon, breaks, "retries = 0; " + other(well), more={"OTHER_KEY": KEY})
            async with daemon.chat() as c:
                await c.say("1", "x")
                await c.until(lambda: c.partial)
                breaks.saw("x").set()
                final = await c.answer_to("1")
                assert final["text"] == GOOD and len(c.finals) == 1
                assert {f["id"] for f in c.frames if f["type"] in ("message", "edit")} == {final["id"]}
            rows = await asyncio.to_thread(ledger, daemon)
            assert set(rows) == {"m", "other"}  # both have to be paid, each at its own price
            assert rows["m"]["completion_tokens"] > 0 and rows["m"]["estimated"] == 1
    run(scenario())


def test_a_stopped_answer_is_the_one_s_who_gave_it(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"x": [failing(503)]}) as ill, Model({"x": [[*begun, SILENCE]]}) as well:
            await start(daemon, ill, "retries = 0; " + other(well), more={"OTHER_KEY": KEY})
            async with daemon.chat() as c:
                await c.say("1", "x")
                await c.until(lambda: c.partial)
                await c.ask("2", "/stop")
            rows = await asyncio.to_thread(ledger, daemon)
            assert set(rows) == {"other"} and rows["other"]["completion_tokens"] > 0
    run(scenario())


def test_who_waits_in_line_pays_nothing(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model() as model:
            await start(daemon, model, "requests_per_minute = 1;")
            async with daemon.chat() as c:
                await c.ask("1", "plain")
                await c.say("2", "plain")
                asked = itertools.count()
                while "1 waiting" not in (await c.ask(f"s{next(asked)}", "/status"))["text"]:
                    pass  # it is on its way there; run() ends what never comes
                await c.ask("4", "/stop")
            assert len(model.requests) == 1
            rows = await asyncio.to_thread(ledger, daemon)
            assert rows["m"]["answers"] == 1
    run(scenario())


def test_silent_model_gets_a_rival(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"x": [[STREAM_HEAD, SILENCE]]}) as silent, Model({"x": [good]}) as well:
            await start(daemon, silent, 'hedge_after = "100ms"; ' + other(well), more={"OTHER_KEY": KEY})
            async with daemon.chat() as c:
                assert (await c.ask("1", "x"))["text"] == GOOD
                await asyncio.wait_for(silent.gone.wait(), 1)  # it was hung up on
            assert len(silent.requests) == 1 and len(well.requests) == 1
            assert 'warbler_model_hedges_total{model="m"} 1' in (await metrics(daemon)).splitlines()
    run(scenario())


def test_dead_key_is_reported_once(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"x": [failing(401, code="invalid_api_key"), good, good, good]}) as model:
            await start(daemon, model, 'keys = ("env:TEST_KEY", "env:OTHER_KEY");', more={"OTHER_KEY": KEY + "-b"})
            async with daemon.chat(lang="en") as c:
                for i in range(3):
                    assert (await c.ask(str(i), "x"))["text"] == GOOD
                status = (await c.ask("s", "/status"))["text"]
                assert "keys: 2, of which 1 can be used, 1 refused" in status and "last problem: key refused" in status
            async with daemon.chat(lang="zh") as zh:
                assert "密钥：共 2 个，可用 1 个，被拒绝 1 个" in (await zh.ask("s", "/status"))["text"]
            keys = [headers["authorization"].removeprefix("Bearer ") for _, headers, _ in model.requests]
        assert keys == [KEY] + [KEY + "-b"] * 3
        check_secrets(daemon, [c, zh])
        assert len(re.findall("error .*key 1 of 2 is not used any more", daemon.log.read_text())) == 1
    run(scenario())


def test_too_long_is_shortened(make_daemon, run):
    """The oldest turns are left out of the request, and it is asked again."""
    daemon = make_daemon()
    refusal = failing(400, code="exceed_context_size_error", n_prompt_tokens=4000, n_ctx=3000)

    async def scenario():
        async with Model({"x": [good, good, good, good, refusal, good]}) as model:
            await start(daemon, model, bot='system_prompt = "Be brief.";')
            async with daemon.chat() as c:
                for i in range(5):
                    assert (await c.ask(str(i), "x " + f"number {i}. " * 50 + "end"))["text"] == GOOD
            refused, shorter = [body["messages"] for _, _, body in model.requests[-2:]]
            assert len(refused) == 1 + 2 * 4 + 1 and 2 <= len(shorter) < len(refused)
            assert shorter[0] == refused[0] and shorter[1:] == refused[1 - len(shorter):]
            assert shorter[1]["role"] == "user"
    run(scenario())


def test_a_lesson_is_learned_once(make_daemon, run):
    daemon = make_daemon()
    refused = failing(400, param="seed", code="unsupported_parameter", message="Unsupported parameter: 'seed'")

    async def scenario():
        async with Model({"x": [refused, good, good]}) as model:
            for i in range(2):
                await start(daemon, model, "retries = 0; seed = 1;")
                async with daemon.chat() as c:
                    assert (await c.ask(str(i), "x"))["text"] == GOOD
                await asyncio.to_thread(daemon.stop)
            assert ["seed" in body for _, _, body in model.requests] == [True, False, False]
    run(scenario())


@pytest.mark.parametrize("kill", [False, True])
def test_answer_once_over_a_restart(make_daemon, run, kill):
    """Interrupted in the middle: asked again after the start, one answer."""
    daemon = make_daemon()

    async def scenario():
        async with Model({"restart": [[*begun, SILENCE], good]}) as model:
            await start(daemon, model)
            c = daemon.chat()
            await c.connect()
            await c.say("1", "restart")
            await c.until(lambda: c.partial)
            daemon.process.send_signal(9 if kill else 15)
            daemon.process.send_signal(9 if kill else 15)
            await c.lost()
            await asyncio.to_thread(daemon.process.wait)
            await start(daemon, model)
            await c.connect()
            assert (await c.answer_to("1"))["text"] == GOOD and len(c.finals) == 1
            await c.close()
    run(scenario())
