"""The daemon and llama-server: a real model server in C++, with a model whose
answers are known."""
import asyncio
import json
import signal
import subprocess

import pytest

from counterparts import KEY, Llama, counterpart  # noqa: F401 (a fixture)
from test_usage import report

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # each word costs much of a processor

PLAIN = "Hello! I am a tiny scripted model. 你好,世界!\nこんにちは 👩‍👩‍👧‍👦 ünïcödé."
LONG = " ".join(f"word{i}" for i in range(400)) + "."
TIMES = 'first_byte_timeout = "60s"; idle_timeout = "60s";'  # a busy machine is no fault of the server


def start(daemon, *models, bot="", log="debug"):
    """models: entries of the configuration, the first of which the bot asks."""
    daemon.configure(models=", " + ", ".join(models), bots=f', {{ name = "mb"; model = "m"; {bot} }}',
                     channels='{ match = "web:*"; bot = "mb"; }', more=f'log = {{ level = "{log}"; }};')
    daemon.start()
    return daemon


def is_plain(final):
    return final["text"] == PLAIN and "notice" not in final


@pytest.fixture(name="llama")
def running_llama(counterpart):  # noqa: F811
    return counterpart(Llama).start()


def test_answers(make_daemon, llama, run):
    daemon = start(make_daemon(), llama.model(more=TIMES))

    async def scenario():
        async with daemon.chat() as c:
            assert is_plain(await c.ask("1", "hello"))
            code = (await c.ask("2", "some code please"))["text"]
            assert code.startswith("```c\n#include <stdio.h>") and code.rstrip().endswith("```")
            assert (await c.ask("3", "think about it"))["text"].strip() == "The answer is **4**."
            assert (await c.ask("4", "json"))["text"].strip() == '{"lang":"zh","text":"早上好"}'
            assert (await c.ask("5", "something long"))["text"] == LONG
            growing = [f["text"] for f in c.frames if f["type"] == "edit" and not f["done"]]
            assert all(LONG.startswith(text) for text in growing if text.startswith("word"))
            assert "ponder" not in str(c.frames)  # the reasoning
    run(scenario())
    daemon.stop()
    assert "<think>" not in daemon.log.read_text()


def test_unstreamed(make_daemon, llama, run):
    daemon = start(make_daemon(), llama.model(more=TIMES + "stream = false;"))

    async def scenario():
        async with daemon.chat() as c:
            assert is_plain(await c.ask("1", "hello"))
            assert (await c.ask("2", "think"))["text"].strip() == "The answer is **4**."
    run(scenario())


def test_cut_by_length(make_daemon, llama, run):
    daemon = start(make_daemon(), llama.model(more=TIMES + "max_tokens = 7;"))

    async def scenario():
        async with daemon.chat() as c:
            text = (await c.ask("1", "something long"))["text"]
            assert text.endswith("…") and LONG.startswith(text[:-1])
    run(scenario())


@pytest.mark.parametrize("what, lang, says", [
    ("key", "en", "refused this bot's key"), ("key", "zh", "拒绝了机器人的密钥"),
    ("path", "en", "does not exist"), ("parameter", "en", "refused the request"), ("parameter", "zh", "拒绝了请求")])
def test_refusals(make_daemon, llama, run, what, lang, says):
    more, key, url = TIMES, KEY, llama.base_url
    if what == "key":
        key = "sk-another-key-987654321"
    elif what == "path":
        url += "/nowhere"
    else:
        more += 'extra = "{\\"n_predict\\": \\"many\\"}";'
    daemon = start(make_daemon(), llama.model(more=more, key=key, base_url=url))

    async def scenario():
        async with daemon.chat(lang=lang) as c:
            final = await c.ask("1", "hello")
            assert final.get("notice") and says in final["text"], final
    run(scenario())
    daemon.stop()
    assert key not in daemon.log.read_text()


def test_while_loading(make_daemon, counterpart, run):  # noqa: F811
    """Asked before the server is there, then while it loads (503), then it answers."""
    llama = counterpart(Llama)
    daemon = start(make_daemon(), llama.model(more=TIMES + "retries = 10;"))

    async def scenario():
        async with daemon.chat() as c:
            await c.say("1", "hello")
            await asyncio.to_thread(daemon.logs, "attempt 1 failed")
            await asyncio.to_thread(llama.start)
            assert is_plain(await c.answer_to("1"))
            assert len(c.finals) == 1
    run(scenario())


def test_killed_in_the_middle(make_daemon, llama, run):
    """The answer that broke off is asked again and takes its place."""
    daemon = start(make_daemon(), llama.model(more=TIMES + "retries = 10;"))

    async def scenario():
        async with daemon.chat() as c:
            await c.say("1", "babble")
            await c.until(lambda: any(len(text) > 20 for text in c.partial.values()))
            llama.signal(signal.SIGKILL)
            await asyncio.to_thread(llama.process.wait)
            await c.say("2", "hello")
            await asyncio.to_thread(daemon.logs, "attempt 1 failed")
            await asyncio.to_thread(llama.start)
            await c.say("3", "/stop")
            final = await c.answer_to("1")
            assert len([f for f in c.finals if f["reply_to"] == "1"]) == 1 and final["done"]
            assert is_plain(await c.ask("4", "hello"))
    run(scenario())


def test_frozen_in_the_middle(make_daemon, llama, run):
    """Nothing closes the connection: our own deadline notices."""
    daemon = start(make_daemon(), llama.model(more='first_byte_timeout = "20s"; idle_timeout = "2s"; retries = 0;'))

    async def scenario():
        async with daemon.chat(lang="en") as c:
            await c.say("1", "babble")
            await c.until(lambda: any(len(text) > 20 for text in c.partial.values()))
            llama.signal(signal.SIGSTOP)
            final = await c.answer_to("1")
            assert "/retry" in final["text"]
            llama.signal(signal.SIGCONT)
            assert is_plain(await c.ask("2", "hello"))
    run(scenario())


def test_cancel_reaches_the_server(make_daemon, llama, run):
    daemon = start(make_daemon(), llama.model(more=TIMES))

    async def scenario():
        async with daemon.chat() as c:
            await c.say("1", "babble")
            await c.until(lambda: c.partial)
            await c.ask("2", "/stop")
            await asyncio.to_thread(llama.logs, "cancel task")
            assert is_plain(await c.ask("3", "hello"))
    run(scenario())


def test_more_people_than_slots(make_daemon, llama, run):
    daemon = start(make_daemon(), llama.model(more=TIMES))

    async def one(i):
        async with daemon.chat() as c:
            final = await c.ask(f"q{i}", "hello")
            assert is_plain(final) and len(c.finals) == 1

    async def scenario():
        await asyncio.gather(*(one(i) for i in range(20)))
    run(scenario())


def is_babble(text):
    return text.endswith("…") and not PLAIN.startswith(text[:-1])


def test_legacy_completions(make_daemon, llama, run):
    """All of a conversation as one text; the scripted model babbles to texts that its template did not make."""
    models = [llama.model(name, more=f'{TIMES} api = "completions"; max_tokens = 24; {more}')
              for name, more in (("m", ""), ("whole", "stream = false;"))]
    daemon = make_daemon()
    daemon.configure(models=", " + ", ".join(models), bots=', { name = "mb"; model = "m"; }, { name = "wb"; model = "whole"; }',
                     channels='{ match = "web:w"; bot = "wb"; }, { match = "web:x"; bot = "bo"; }, '
                              '{ match = "web:*"; bot = "mb"; }')
    daemon.start()

    async def scenario():
        async with daemon.chat() as c:
            final = await c.ask("1", "hello")
            assert "notice" not in final and is_babble(final["text"])
        async with daemon.chat(room="w") as c:
            final = await c.ask("1", "@wb hello")
            assert "notice" not in final and is_babble(final["text"])
    run(scenario())
    daemon.stop()
    counted = {row["key"]: (row["completion_tokens"], row["estimated"]) for row in report(daemon)["rows"]}
    assert counted == {"m": (24, 0), "whole": (24, 0)}


SCHEMA = {"type": "object", "properties": {"lang": {"type": "string", "enum": ["zh", "en"]}, "text": {"type": "string"}},
          "required": ["lang", "text"], "additionalProperties": False}


@pytest.mark.parametrize("word", ["json", "babble"])
def test_structured_output(make_daemon, llama, run, word):
    """The server makes even babble keep to the form; random strings may not come to their end."""
    form = json.dumps({"type": "json_schema", "json_schema": {"name": "said", "strict": True, "schema": SCHEMA}})
    more = f"{TIMES} max_tokens = 400; retries = 0; response_format = {json.dumps(form)};"
    daemon = start(make_daemon(), llama.model(more=more))

    async def scenario():
        async with daemon.chat(lang="en") as c:
            return await c.ask("1", word)
    final = run(scenario())
    if word == "json":
        assert json.loads(final["text"]) == {"lang": "zh", "text": "早上好"}
    elif "notice" not in final:
        said = json.loads(final["text"])
        assert set(said) == {"lang", "text"} and said["lang"] in ("zh", "en")
    else:
        assert '{"lang"' not in final["text"]  # half a form is of no use to whoever reads it


@pytest.mark.parametrize("how", ["no", "live", "quote"])
def test_reasoning(make_daemon, llama, run, how):
    daemon = start(make_daemon(), llama.model(more=f'{TIMES} show_reasoning = "{how}";'))

    async def scenario():
        async with daemon.chat() as c:
            final = (await c.ask("1", "think about it"))["text"].strip()
            growing = str([f["text"] for f in c.frames if f["type"] in ("message", "edit")])
            assert (await c.ask("2", "/retry"))["text"].strip() == final
        return final, growing
    final, growing = run(scenario())
    assert final.endswith("The answer is **4**.")
    assert final.startswith("> ") == (how == "quote")
    assert ("> " in growing) == (how != "no")


def test_no_key_is_no_header(make_daemon, run, counterpart):  # noqa: F811
    """Servers at home want none."""
    llama = counterpart(Llama, key="").start()
    daemon = start(make_daemon(), llama.model(key="", more=TIMES))

    async def scenario():
        async with daemon.chat() as c:
            assert is_plain(await c.ask("1", "hello"))
    run(scenario())


def test_context_overflow(make_daemon, counterpart, run):  # noqa: F811
    """The server takes less than the bot remembers: older turns are left out, and the answer comes."""
    llama = counterpart(Llama, "-c", "1024").start()  # 512 for each of its two slots
    daemon = start(make_daemon(), llama.model(more=TIMES), bot='history_tokens = 100000;')

    async def scenario():
        async with daemon.chat() as c:
            for i in range(12):
                assert is_plain(await c.ask(f"q{i}", f"hello {i} " + "lazy dogs and brown foxes " * 6)), i
    run(scenario())
    assert "exceeds the available context size" in llama.text() or "instead of" in daemon.log.read_text()


# --- TLS ---
def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def make_ca(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    return folder / f"{name}.pem"


def make_certificate(folder, ca, name, host, expired=False):
    """(key, certificate) for host, signed by the authority."""
    key, request, out = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.pem"
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=server",
            "-keyout", key, "-out", request)
    (folder / "ext").write_text(f"subjectAltName={host}")
    days = "-1" if expired else "2"
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca.with_suffix(".key"), "-CAcreateserial",
            "-days", days, "-extfile", folder / "ext", "-out", out)
    return key, out


@pytest.mark.parametrize("case", ["right", "wrong-ca", "expired", "other-name"])
def test_tls(make_daemon, counterpart, run, tmp_path, case):  # noqa: F811
    ca, other = make_ca(tmp_path, "ca"), make_ca(tmp_path, "other")
    tls = make_certificate(tmp_path, ca, "server", "DNS:elsewhere.example" if case == "other-name" else "IP:127.0.0.1",
                           expired=case == "expired")
    llama = counterpart(Llama, tls=tls).start()
    trusted = other if case == "wrong-ca" else ca
    daemon = start(make_daemon(), llama.model(more=TIMES + f'retries = 0; ca_file = "{trusted}";'))

    async def scenario():
        async with daemon.chat(lang="en") as c:
            final = await c.ask("1", "hello")
            if case == "right":
                assert is_plain(final)
            else:
                assert final.get("notice") and "cannot reach the model" in final["text"], final
    run(scenario())
    if case != "right":
        assert "certificate" in daemon.log.read_text()
