"""Where a behaviour is not asked of an adapter, the reason that the table gives holds."""
import asyncio
import ssl

import pytest

from . import ADAPTERS, driver

LONG_TEXT = 200_000  # code points; the longest answers there are have 256 KiB

pytestmark = pytest.mark.skipif("webchat" not in ADAPTERS, reason="built without the web chat")


@pytest.fixture
def webchat(tmp_path, run):
    def play(scenario):
        async def all_of_it():
            async with driver("webchat")(tmp_path) as d:
                await scenario(d)
        run(all_of_it())
    return play


def test_any_length(webchat):
    async def scenario(d):
        d.configure(practice="delay_ms = 0; chunk_ms = 0; chunk_chars = 1000;")
        await d.start()
        alice = await d.person()
        alice.say(f"#len {LONG_TEXT}")
        await d.until(alice.texts, "the answer")
        text, = alice.texts()
        assert len(text) >= LONG_TEXT
    webchat(scenario)


def test_second_web_chat(webchat):
    async def scenario(d):
        d.bot.configure(accounts=", ".join(d.account(name, 0) for name in ("acc", "other")))
        status, said = await asyncio.to_thread(d.bot.refused)
        assert status == 2 and 'account "other"' in said and "one listener has room for one" in said, (status, said)
    webchat(scenario)


def test_no_tls(webchat):
    async def scenario(d):
        await d.start(20)  # it waits a while for the rest of what is no request
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", d.bot.port, ssl=context)
    webchat(scenario)
