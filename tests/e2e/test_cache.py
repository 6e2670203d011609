"""Answers given again: when the model's server is asked, and when it must not be spared."""
import asyncio
import re

import aiohttp

from test_model import GOOD, STREAM_HEAD, Model, chunk, completion, delta, event, failing, good, start, stream, whole

CACHE = 'answer_cache = { ttl = "1h"; };'
OPEN = CACHE + ' names = false; trigger = ("always");'  # for rooms, where who asks is not told
NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0,
           "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}


def counting(*words):
    """The n-th request that begins with the word is answered "word n", as often as anybody may ask."""
    return {word: [stream(f"{word} {n}") for n in range(1, 200)] for word in words}


async def ask(daemon, text, **hello):
    """Asked by somebody new: the finished frame."""
    async with daemon.chat(**hello) as c:
        return await c.ask("1", text)


async def figures(daemon):
    async with aiohttp.ClientSession() as session, session.get(daemon.http + "/metrics") as r:
        page = await r.text()
    return {name: int(value) for name, value in re.findall(r"^warbler_answer_cache_(\w+) (\d+)$", page, re.M)}


# --- given again ---
def test_two_visitors_one_request(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain", "other")) as model:
            await start(daemon, model, bot=CACHE)
            assert (await ask(daemon, "plain"))["text"] == "plain 1"
            async with daemon.chat() as c:
                again = await c.ask("1", "plain")
                bot = [f for f in c.frames if f["type"] in ("message", "edit", "typing")]
                assert again["text"] == "plain 1" and bot == [again] and "notice" not in again  # at once, and whole
                # What is given again is part of the conversation like any other answer.
                await c.ask("2", "other")
            messages = model.requests[1][2]["messages"]
            assert [m["content"] for m in messages[1:]] == ["plain", "plain 1", "other"]
            assert len(model.requests) == 2
            c.last = 0  # it is on disk too
            c.finished.clear()
            await c.connect()
            await c.until(lambda: any(f["text"] == "plain 1" for f in c.finals[2:]))
            await c.close()
            got = await figures(daemon)
            assert got.pop("bytes") > len("plain 1") and got == {"hits_total": 1, "misses_total": 1, "entries": 1}
            assert "answered from the cache" in daemon.log.read_text()
    run(scenario())


def test_after_reset(make_daemon, run):
    """A conversation that was forgotten begins anew."""
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain")) as model:
            await start(daemon, model, bot=CACHE)
            async with daemon.chat() as c:
                await c.ask("1", "plain")
                await c.ask("2", "/reset")
                assert (await c.ask("3", "plain"))["text"] == "plain 1"
            assert len(model.requests) == 1
    run(scenario())


def test_over_http(make_daemon, run):
    daemon = make_daemon()
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    answer = whole(200, completion(GOOD, usage=usage))

    async def post(session, **headers):
        async with session.post(daemon.http + "/chat", json={"message": "plain"}, headers=headers) as r:
            assert r.status == 200
            return await r.text() if headers else await r.json()

    async def scenario():
        async with Model({"plain": [answer]}) as model:
            await start(daemon, model, "stream = false;", bot=CACHE)
            async with aiohttp.ClientSession() as session:
                first = await post(session)
                second = await post(session)
                streamed = await post(session, Accept="text/event-stream")
            assert first["reply"] == second["reply"] == GOOD and first["conversation"] != second["conversation"]
            assert first["finish_reason"] == second["finish_reason"] == "stop" and "notice" not in second
            assert first["usage"]["total_tokens"] == 7 and second["usage"] == NOTHING  # nothing was spent
            assert GOOD in streamed and streamed.rstrip().splitlines()[-1].startswith('data: {"done":true')
            assert len(model.requests) == 1
    run(scenario())


# --- asked anew ---
def test_off_unless_configured(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain")) as model:
            await start(daemon, model)
            assert [(await ask(daemon, "plain"))["text"] for _ in range(2)] == ["plain 1", "plain 2"]
            assert await figures(daemon) == {"hits_total": 0, "misses_total": 0, "entries": 0, "bytes": 0}
    run(scenario())


def test_follow_up(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain", "more")) as model:
            await start(daemon, model, bot=CACHE)
            for n in (1, 2):
                async with daemon.chat() as c:
                    assert (await c.ask("1", "plain"))["text"] == "plain 1"
                    assert (await c.ask("2", "more"))["text"] == f"more {n}"
            assert (await ask(daemon, "more"))["text"] == "more 3"  # nor is it what opens another conversation
            assert (await figures(daemon))["entries"] == 2
    run(scenario())


def test_another_question(make_daemon, run):
    """Exactly the same request, or none."""
    daemon = make_daemon()
    texts = ["plain", "plain ", "Plain", "plain\n", "plain?"]

    async def scenario():
        async with Model({text.strip(): [good] * 9 for text in texts}) as model:
            await start(daemon, model, bot=CACHE)
            for text in texts:
                await ask(daemon, text)
            asked = [body["messages"][-1]["content"] for _, _, body in model.requests]
            assert len(asked) == len(set(asked)) == len(texts)
    run(scenario())


def test_names_are_personal(make_daemon, run):
    """In a room the model is told who asks."""
    daemon = make_daemon()

    async def scenario():
        async with Model({"Alice:": [good] * 2, "Bob:": [good]}) as model:
            await start(daemon, model, bot=CACHE + ' trigger = ("always");')
            for room, name in (("a", "Alice"), ("b", "Alice"), ("c", "Bob")):
                await ask(daemon, "plain", room=room, name=name)
            assert [r[2]["messages"][-1]["content"] for r in model.requests] == [
                "Alice: plain", "Alice: plain", "Bob: plain"]
            assert await figures(daemon) == {"hits_total": 0, "misses_total": 0, "entries": 0, "bytes": 0}
    run(scenario())


def test_rooms_without_names(make_daemon, run):
    """What was said before in a room makes a question another one; alone it is nobody's."""
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain", "talk")) as model:
            await start(daemon, model, bot=CACHE + ' names = false; trigger = ("keyword"); keywords = ("plain");')
            await ask(daemon, "plain", room="a", name="Alice")
            async with daemon.chat(room="b", name="Bob") as c:
                await c.say("1", "talk")
                assert (await c.ask("2", "plain"))["text"] == "talk 1"
            assert (await ask(daemon, "plain", room="c", name="Carol"))["text"] == "plain 1"
            assert len(model.requests) == 2
    run(scenario())


def test_merged_questions(make_daemon, run):
    """Several people's questions answered at once are one request that is not to be repeated."""
    daemon = make_daemon()
    first = [STREAM_HEAD, chunk(event(delta("Wait."))), "shown", *stream("")[1:]]

    async def scenario():
        async with Model({"wait": [first] * 2, **counting("a")}) as model:
            await start(daemon, model, bot=OPEN + ' queue = "merge"; history_messages = 0;')
            for room in ("r1", "r2"):
                model.shown.pop("wait", None)
                model.asked.pop("waitwait", None)
                async with daemon.chat(room=room, name="Alice") as c, daemon.chat(room=room, name="Bob") as d:
                    await c.say("0", f"wait {room}")
                    await c.until(lambda: c.partial)
                    await c.say("1", "a")
                    await c.until(lambda: "1" in c.acks)
                    await d.say("2", "b")
                    await d.until(lambda: "2" in d.acks)
                    model.saw("wait").set()
                    assert (await d.answer_to("2"))["answers"] == ["1", "2"]
            asked = [r[2]["messages"][-1]["content"] for r in model.requests]
            assert len(asked) == 4 and asked[1] == asked[3] and asked[1].endswith("a\nb")
    run(scenario())


def test_retry_replaces(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain")) as model:
            await start(daemon, model, bot=CACHE)
            async with daemon.chat() as c:
                assert (await c.ask("1", "plain"))["text"] == "plain 1"
                assert (await c.ask("2", "/retry"))["text"] == "plain 2"
            async with daemon.chat() as c:
                assert (await c.ask("1", "plain"))["text"] == "plain 2"
                assert (await c.ask("2", "/retry"))["text"] == "plain 3"  # of an answer given again, too
            assert (await ask(daemon, "plain"))["text"] == "plain 3"
            assert len(model.requests) == 3 and (await figures(daemon))["entries"] == 1
    run(scenario())


def test_what_is_not_kept(make_daemon, run):
    """Cut, filtered, stopped, broken, refused, another model's, or too long: the next one is asked anew."""
    daemon = make_daemon()
    cases = {
        "cut": [stream("Half", finish="length"), good],
        "filtered": [stream("Half", finish="content_filter"), good],
        "refused": [failing(400, param="top_k"), good],
        "empty": [stream(), stream(), good],
        "long": [stream("x" * 40000), good],
    }

    async def scenario():
        async with Model(cases) as model:
            await start(daemon, model, "retries = 1;", bot=CACHE)
            for name in cases:
                assert (await ask(daemon, name, lang="en"))["text"] != GOOD
            assert (await figures(daemon))["entries"] == 0
            for _ in range(2):
                for name in cases:
                    assert (await ask(daemon, name, lang="en"))["text"] == GOOD
            assert model.asked == {2 * name: len(parts) for name, parts in cases.items()}
            assert (await figures(daemon))["entries"] == len(cases)
    run(scenario())


def test_stopped(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model({"plain": [[STREAM_HEAD, chunk(event(delta("Half"))), "silence"], good]}) as model:
            await start(daemon, model, bot=CACHE)
            async with daemon.chat() as c:
                await c.say("1", "plain")
                await c.until(lambda: c.partial)
                await c.say("2", "/stop")
                assert (await c.answer_to("1"))["text"].startswith("Half")
            assert (await ask(daemon, "plain"))["text"] == GOOD
    run(scenario())


def test_fallback_is_not_kept(make_daemon, run):
    """What stood in for the model once does not stand in for it when it is well again."""
    daemon = make_daemon()

    async def scenario():
        async with Model({"plain": [failing(404, code="model_not_found"), good]}) as model:
            await start(daemon, model, 'fallback = ("p");', bot=CACHE)
            first = await ask(daemon, "plain")
            assert first["text"] != GOOD and "notice" not in first
            for _ in range(2):
                assert (await ask(daemon, "plain"))["text"] == GOOD
            assert len(model.requests) == 2
    run(scenario())


# --- whose, and for how long ---
def test_two_bots_never_share(make_daemon, run):
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain")) as model:
            daemon.configure(
                models=f', {{ name = "m"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x"; }}',
                bots=f', {{ name = "one"; model = "m"; {OPEN} }}, {{ name = "two"; model = "m"; {OPEN} }}',
                channels='{ match = "web:one*"; bot = "one"; }, { match = "web:two*"; bot = "two"; }')
            await asyncio.to_thread(daemon.start)
            got = [(await ask(daemon, "plain", room=room))["text"] for room in ("one1", "two1", "one2", "two2")]
            assert got == ["plain 1", "plain 2", "plain 1", "plain 2"]
            one, two = (body for _, _, body in model.requests)
            assert one == two  # though the model could not tell them apart
    run(scenario())


def test_another_prompt_or_model(make_daemon, run):
    """One bot, whose rules say other things in other rooms."""
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain")) as model:
            server = f'base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x";'
            daemon.configure(
                models=f', {{ name = "m"; {server} }}, {{ name = "n"; {server} }}',
                bots=f', {{ name = "one"; model = "m"; {OPEN} }}',
                channels="""{ match = "web:brief*"; bot = "one"; system_prompt = "Be brief."; },
                            { match = "web:named*"; bot = "one"; system_prompt = "You are in {channel}."; },
                            { match = "web:other*"; bot = "one"; model = "n"; }, { match = "web:*"; bot = "one"; }""")
            await asyncio.to_thread(daemon.start)
            rooms = ("x1", "brief1", "named1", "named2", "other1", "x2", "brief2", "other2")
            got = [(await ask(daemon, "plain", room=room))["text"][-1] for room in rooms]
            assert got == ["1", "2", "3", "4", "5", "1", "2", "5"]
    run(scenario())


def test_reload(make_daemon, run):
    """The same settings: what is kept stays. Others, of the bot or of its model: it is asked anew."""
    daemon = make_daemon()

    async def scenario():
        async with Model(counting("plain")) as model:
            async def after_reload(settings="", bot=CACHE):
                server = f'base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x";'
                daemon.configure(
                    models=f', {{ name = "m"; {server} {settings} }}',
                    bots=f', {{ name = "mb"; model = "m"; {bot} }}', channels='{ match = "web:*"; bot = "mb"; }')
                if daemon.process is None:
                    await asyncio.to_thread(daemon.start)
                else:
                    await asyncio.to_thread(daemon.reload)
                return (await ask(daemon, "plain"))["text"]

            assert await after_reload() == "plain 1"
            assert await after_reload() == "plain 1"
            assert await after_reload(bot=CACHE + "queue_max = 7;") == "plain 2"
            assert await after_reload("temperature = 0.5;", CACHE + "queue_max = 7;") == "plain 3"
            assert await after_reload(bot="") == "plain 4"
            assert (await figures(daemon))["entries"] == 0
            assert await after_reload() == "plain 5"
            assert await after_reload() == "plain 5"
    run(scenario())


def test_time_to_live(make_daemon, run):
    """Asked over and over, the server hears of it once in each ttl."""
    daemon = make_daemon()
    ttl = 0.4

    async def scenario():
        loop = asyncio.get_running_loop()
        async with Model(counting("plain")) as model:
            await start(daemon, model, bot='answer_cache = { ttl = "400ms"; };')
            answered = {}  # text -> when it was first seen, when last
            while len(answered) < 4:
                begun = loop.time()
                text = (await ask(daemon, "plain"))["text"]
                answered.setdefault(text, [loop.time(), 0])
                answered[text][1] = begun
            assert list(answered) == [f"plain {n}" for n in range(1, 5)] and len(model.requests) == 4
            # None was given out that was older than the ttl, to the daemon's millisecond: it was kept before it was seen.
            assert all(last - first < ttl + 0.001 for first, last in answered.values() if last > first)
    run(scenario())
