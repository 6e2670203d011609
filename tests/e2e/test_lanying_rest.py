"""The bot without a long connection: the cloud's callbacks to the daemon, or
the daemon asking the cloud, and answers by HTTP."""
import asyncio
import json
import random

import aiohttp
import pytest

from lanying.stage import lanying  # noqa: F401 (a fixture)
from lanying.view import check_exactly_once, check_stream
from test_lanying import PRESETS, SLOW, STORY, told

SIGNATURE = "signature-of-the-callbacks-77"
PATH = "/lanying/messages"
KILLS, QUESTIONS = 6, 40


async def subscribe(s, path=PATH):
    """Starts the daemon and tells the cloud where it is."""
    await s.start()
    s.cloud.hook.subscribe(f"http://127.0.0.1:{s.daemon.port}{path}", SIGNATURE, s.bot)


@pytest.fixture
def by_callback(lanying):  # noqa: F811
    """Plays a scenario with a daemon in webhook mode, started already."""
    def play(scenario, path=PATH, more="", bot="", **settings):
        async def subscribed(s):
            admin_token = s.world.new_admin_token()
            account = f'mode = "webhook"; callback_signature = "{SIGNATURE}"; admin_token = "{admin_token}"; {more}'
            s.account = account
            s.daemon.configure(account=account, bot=f"context = true; {bot}", **settings)
            await subscribe(s, path)
            await scenario(s)
            log = s.daemon.log.read_text(errors="replace")
            assert admin_token not in log and SIGNATURE not in log
        lanying(subscribed)
    return play


async def call(s, body, signature=SIGNATURE, path=PATH):
    """A callback of our own: (status, body)."""
    headers = {"signature": signature} if signature is not None else {}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{s.daemon.port}{path}", data=data, headers=headers) as answer:
            return answer.status, await answer.text()


def test_callback(by_callback):
    """Journey: single chat with history, group with mention, nothing twice."""
    async def scenario(s):
        s.cloud.hook.repeat = 0.5
        first = s.tell(s.alice, "#echo hello", "hello")
        await s.answer(s.alice, first)
        assert "hello" in (await s.ask(s.alice, "#history")).text
        s.carol.say("My cat is called Minka.", s.group)
        mid = s.tell(s.alice, "@bot #history", to=s.group, mention=[s.bot])
        assert "Minka" in (await s.answer(s.alice, mid, s.group)).text
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
        assert [mid for mid, who in s.alice.view(s.bot).acks if who == s.bot.uid] == list(s.asked[s.alice, s.bot])
        assert all(status == 200 and not body and seconds < 5 for _, status, body, seconds in s.cloud.hook.answers)
        assert not s.cloud.sessions, "a long connection in webhook mode"
        assert all("user_id" not in r[4] for r in s.cloud.rest.requests if r[1] == "/message/send"), "acts as a user"
    by_callback(scenario)


@pytest.mark.slow
def test_callback_while_down(by_callback):
    """What is called back again and again arrives at last; what nobody calls back any more is found in the history."""
    async def scenario(s):
        await s.ask(s.alice, "#echo hello", "hello")
        s.daemon.configure(account=s.account)  # with the port that it got
        await s.stop()
        late = s.tell(s.alice, "#echo again", "again")
        await subscribe(s)
        await s.answer(s.alice, late)
        await s.stop()
        s.cloud.hook.url = None
        lost = s.tell(s.alice, "#echo lost", "lost")
        await subscribe(s)
        await s.answer(s.alice, lost)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    by_callback(scenario)


@pytest.mark.slow
def test_callback_stream(by_callback):
    async def scenario(s):
        seen = await s.ask(s.alice, f"#echo {STORY}", STORY)
        assert len(seen.stages) >= 3
        check_stream(seen, 1)
        appends = [r[3] for r in s.cloud.rest.requests if r[1] == "/message/send" and r[3]["content_type"] == 11]
        assert appends and all(body.get("online_only") is True for body in appends), appends
        replaced = [r[3] for r in s.cloud.rest.requests if r[1] == "/message/send" and r[3]["content_type"] == 12]
        assert len(replaced) == 1 and not replaced[0].get("online_only") and replaced[0]["content"] == STORY
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    by_callback(scenario, practice=SLOW)


@pytest.mark.slow
def test_callback_presets(by_callback):
    async def scenario(s):
        assert "system: rhyme" in await told(s, "/poet #history")
        assert "system: plain" in await told(s, "#history")
        assert "system: translate" in await told(s, "@bot /翻译 #history", s.group)
    by_callback(scenario, bot=PRESETS)


@pytest.mark.slow
@pytest.mark.parametrize("ids", ["number", "string"])
def test_callback_ids(by_callback, ids):
    async def scenario(s):
        s.cloud.hook.ids = ids
        seen = await s.ask(s.alice, "#echo exact", "exact")
        assert seen.text == "exact"
    by_callback(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("signature", [None, "", "wrong", SIGNATURE + "x", SIGNATURE[:-1], SIGNATURE.upper()])
def test_callback_of_somebody_else(by_callback, signature):
    async def scenario(s):
        forged = {"appId": s.world.app_id, "msgId": 5, "type": "CHAT", "ctype": "TEXT", "from": {"uid": s.alice.uid},
                  "to": {"uid": s.bot.uid}, "content": "#echo forged", "ext": "", "config": "", "attachment": ""}
        assert (await call(s, forged, signature))[0] == 403
        await s.ask(s.alice, "#echo true", "true")
        assert [seen.text for seen in s.alice.view(s.bot).of(s.bot)] == ["true"]
        assert "forged" not in (await s.ask(s.alice, "#history")).text
    by_callback(scenario)


def good(s, **more):
    return {"appId": s.world.app_id, "msgId": "71", "type": "CHAT", "ctype": "TEXT", "from": {"uid": s.alice.uid},
            "to": {"uid": str(s.bot.uid)}, "content": "#echo x", "ext": "", "config": "", "attachment": "", **more}


@pytest.mark.slow
def test_bad_callbacks(by_callback):
    """Neither harm nor answers."""
    async def scenario(s):
        bodies = [b"", b"nonsense", b"[]", b"7", b'{"appId":', b"[" * 100000, b"\xff\xfe", b"x" * 5000000]
        bodies += [good(s, **more) for more in (
            {"appId": "another"}, {"msgId": {}}, {"msgId": "x"}, {"msgId": -1}, {"msgId": None}, {"from": 7},
            {"from": {"uid": "x"}}, {"to": {}}, {"to": {"uid": s.carol.uid}}, {"type": "NOSUCH"}, {"ctype": "COMMAND"},
            {"ctype": "NOSUCH"}, {"content": 7}, {"from": {"uid": s.bot.uid}}, {"ext": '{"ai":{"role":"ai"}}'})]
        for body in bodies:
            status, _ = await call(s, body)
            assert status in (200, 400, 413), (status, body)
        await s.ask(s.alice, "#echo fine", "fine")
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        assert not s.carol.view(s.bot).of(s.bot)
    by_callback(scenario)


@pytest.mark.slow
def test_callback_path(by_callback):
    async def scenario(s):
        assert (await call(s, good(s)))[0] == 404
        assert (await s.ask(s.alice, "#echo fine")).text == "fine"
    by_callback(scenario, path="/bot/hook", more='webhook_path = "/bot/hook";')


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [{"http": 503}, {"cut": True}, {"raw": b"{"}, {"delay": 3}, {"code": 20}], ids=str)
def test_send_trouble(by_callback, trouble):
    """Tried again, and the cloud drops what it had taken."""
    async def scenario(s):
        s.cloud.rest.trouble("/message/send", times=2, **trouble)
        await s.ask(s.alice, "#echo one", "one")
        await s.ask(s.alice, "#echo two", "two")
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    by_callback(scenario)


@pytest.mark.slow
def test_callback_kills(by_callback):
    async def scenario(s):
        dice = random.Random(5)
        s.cloud.hook.repeat = 0.2

        async def talk():
            for i in range(QUESTIONS):
                s.tell(dice.choice((s.alice, s.carol)), f"#sleep {dice.choice((0, 200))} #echo word{i}", f"word{i}")
                await asyncio.sleep(dice.uniform(0, 0.4))
        talking = asyncio.create_task(talk())
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.2, 1))
            await s.kill()
            await subscribe(s)
        await talking
        for (person, to), asked in s.asked.items():
            for mid in asked:
                await s.answer(person, mid, to)
            check_exactly_once(person.view(to), s.bot, asked)
    by_callback(scenario)


@pytest.mark.slow
def test_wrong_admin_token(by_callback):
    async def scenario(s):
        s.world.admin_tokens.clear()
        s.alice.say("#echo in vain", s.bot)
        await s.cloud.until(lambda: s.cloud.rest.count("/message/send"))
        await s.logs("token")
    by_callback(scenario)


# --- by asking ---
POLL = 'mode = "poll";'


def test_poll(lanying):  # noqa: F811
    async def scenario(s):
        first = s.tell(s.alice, "#echo while you were away", "while you were away")
        await s.start()
        await s.answer(s.alice, first)
        assert "while you were away" in (await s.ask(s.alice, "#history")).text
        mid = s.tell(s.carol, "@bot #echo group", "group", to=s.group, mention=[s.bot])
        await s.answer(s.carol, mid, s.group)
        await s.stop()
        late = s.tell(s.alice, "#echo later", "later")
        await s.start()
        await s.answer(s.alice, late)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        check_exactly_once(s.carol.view(s.group), s.bot, s.asked[s.carol, s.group])
        assert not s.cloud.sessions and not s.world.admin_tokens
    lanying(scenario, account=POLL)


@pytest.mark.slow
def test_poll_before_groups_are_known(lanying):  # noqa: F811
    """What a group is, its messages say, too."""
    async def scenario(s):
        s.cloud.rest.trouble("/group/user_joined", times=100, delay=15)
        s.carol.say("#echo not for the bot", s.group)
        mid = s.tell(s.alice, "@bot #history", to=s.group, mention=[s.bot])
        await s.start()
        assert "not for the bot" in (await s.answer(s.alice, mid, s.group)).text
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
    lanying(scenario, account=POLL, bot="context = true;")


@pytest.mark.slow
def test_poll_stream(lanying):  # noqa: F811
    async def scenario(s):
        await s.start()
        seen = await s.ask(s.alice, f"#echo {STORY}", STORY)
        check_stream(seen, 1)
    lanying(scenario, account=POLL, practice=SLOW)


@pytest.mark.slow
def test_poll_many(lanying):  # noqa: F811
    """More than a page between two questions of the daemon."""
    async def scenario(s):
        asked = [s.tell(s.alice, f"#echo word{i}", f"word{i}") for i in range(45)]
        await s.start()
        for mid in asked:
            await s.answer(s.alice, mid)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        order = [seen.text for seen in s.alice.view(s.bot).of(s.bot)]
        assert order == [f"word{i}" for i in range(45)]
    lanying(scenario, account=POLL)


@pytest.mark.slow
def test_poll_with_new_tokens(lanying):  # noqa: F811
    async def scenario(s):
        await s.start()
        await s.ask(s.alice, "#echo one", "one")
        s.world.expire_tokens()
        await s.ask(s.alice, "#echo two", "two")
        assert s.cloud.rest.count("/token/user") == 2
    lanying(scenario, account=POLL)


@pytest.mark.slow
def test_user_may_not_send(lanying):  # noqa: F811
    """The cloud may keep sending by HTTP to administrators; then the log says so."""
    async def scenario(s):
        s.cloud.rest.users_may_send = False
        await s.start()
        s.alice.say("#echo in vain", s.bot)
        await s.cloud.until(lambda: s.cloud.rest.count("/message/send"))
        await s.logs("permission")
    lanying(scenario, account=POLL)


