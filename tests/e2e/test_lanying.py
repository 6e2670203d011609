"""The journey of a bot that is a user of the Lanying cloud: what people see of
it, over both WebSocket transports, by callbacks, and by asking."""
import asyncio
import json

import pytest

from lanying import wire
from lanying.stage import lanying  # noqa: F401 (a fixture)
from lanying.view import View, check_exactly_once, check_stream, is_finished
from lanying.world import now_ms

TRANSPORTS = ("socketio", "raw")
both = pytest.mark.parametrize("transport", TRANSPORTS)
HASTE = 5  # of the daemon, where it takes a minute to see something
SLOW = "delay_ms = 0; chunk_ms = 80; chunk_chars = 4;"
STORY = ("The warbler sat on a twig of the old pear tree and sang. 莺在老梨树的枝头上歌唱，歌声清脆。 "
         "Then it flew away over the hedge, across the meadow and home.")


def account(transport, more=""):
    return f'transport = "{transport}"; {more}'


# --- the journey ---
@both
def test_single_chat(lanying, transport):
    """Offline messages are answered once, also over restarts; the conversation is remembered."""
    async def scenario(s):
        first = s.tell(s.alice, "#echo while you were away", "while you were away")
        other = s.tell(s.carol, "#echo me too", "me too")
        await s.online()
        await s.answer(s.alice, first)
        await s.answer(s.carol, other)
        told = await s.ask(s.alice, "#history")
        assert "while you were away" in told.text and "me too" not in told.text
        await s.stop()
        late = s.tell(s.alice, "#echo and again", "and again")
        await s.online()
        await s.answer(s.alice, late)
        assert "and again" in (await s.ask(s.alice, "#history")).text
        view = s.alice.view(s.bot)
        check_exactly_once(view, s.bot, s.asked[s.alice, s.bot])
        check_exactly_once(s.carol.view(s.bot), s.bot, s.asked[s.carol, s.bot])
        assert [mid for mid, who in view.acks if who == s.bot.uid] == list(s.asked[s.alice, s.bot]), "read receipts"
        for seen in view.of(s.bot):
            assert seen.ai["role"] == "ai" and not seen.ai.get("stream")
        assert len(s.bot.devices) == 1, "a restart is no other device"
        assert {name for name, _ in s.cloud.upgrades} == {transport}
    lanying(scenario, account=account(transport))


@both
def test_group(lanying, transport):
    """In a group it listens, and speaks when it is mentioned."""
    async def scenario(s):
        await s.online()
        s.carol.say("My cat is called Minka.", s.group)
        s.alice.say("@all not for the bot alone", s.group, all_of_them=True)
        mid = s.tell(s.alice, "@bot #echo I heard you", "I heard you", to=s.group, mention=[s.bot])
        await s.answer(s.alice, mid, s.group)
        mid = s.tell(s.carol, "@bot\u2005#history", to=s.group, mention=[s.bot])
        heard = (await s.answer(s.carol, mid, s.group)).text
        assert "Minka" in heard and "carol" in heard, heard
        other = await s.ask(s.carol, "#history")
        assert "Minka" not in other.text, "a group's talk came into a private one"
        check_exactly_once(s.carol.view(s.group), s.bot, {**s.asked[s.alice, s.group], **s.asked[s.carol, s.group]})
        answer = s.carol.view(s.group).of(s.bot)[-1]
        assert answer.stages[0].meta["payload"]["type"] == wire.GROUPCHAT
    lanying(scenario, account=account(transport), bot="context = true;")


@both
@pytest.mark.parametrize("in_group", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["single", "group"])
def test_stream(lanying, transport, in_group):
    async def scenario(s):
        await s.online()
        to = s.group if in_group else s.bot
        begun = asyncio.get_running_loop().time()
        mid = s.tell(s.alice, f"@bot #echo {STORY}", STORY, to=to, **({"mention": [s.bot]} if in_group else {}))
        seen = await s.answer(s.alice, mid, to)
        assert len(seen.stages) >= 3, seen.stages
        check_stream(seen, 1)
        assert seen.stages[0].time - begun >= 0.9, "the first part came before its interval"
        assert seen.text == STORY
        assert all(stage.ai.get("stream_interval", 1) == 1 for stage in seen.stages)
        where = s.group.gid if in_group else s.bot.uid
        away = View(s.alice.user.logs[where], s.cloud.record_times, offline=True)
        assert away.answers_to(mid, s.bot)[0].text == STORY, "who was away misses something"
        typing = s.alice.view(s.bot).typing
        assert in_group or typing and typing[0] == (s.bot.uid, "typing"), typing
        check_exactly_once(s.alice.view(to), s.bot, s.asked[s.alice, to])
    lanying(scenario, account=account(transport), practice=SLOW)


@pytest.mark.slow
@both
def test_stream_over_a_cut(lanying, transport):
    """The connection and the token are lost in the middle of an answer."""
    async def scenario(s):
        await s.online()
        tokens = s.cloud.rest.count("/token/user")
        mid = s.tell(s.alice, f"#echo {STORY}", STORY)
        await s.cloud.until(lambda: s.answers(s.alice, mid))
        s.world.expire_tokens()
        await s.drop()
        seen = await s.answer(s.alice, mid)
        check_stream(seen, 1, whole=False)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        assert s.cloud.rest.count("/token/user") == tokens + 1
        assert await s.ask(s.alice, "#echo fine", "fine")
    lanying(scenario, account=account(transport), practice=SLOW)


@pytest.mark.slow
def test_login_is_forgotten(lanying):
    """The cloud asks for a login in the middle of an answer, on a connection that stays."""
    async def scenario(s):
        session = await s.online()
        mid = s.tell(s.alice, f"#echo {STORY}", STORY)
        await s.cloud.until(lambda: s.answers(s.alice, mid))
        session.forget()
        seen = await s.answer(s.alice, mid)
        assert seen.text == STORY
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario, practice=SLOW)


@pytest.mark.slow
def test_login_is_taken_back(lanying):
    """The cloud says so unasked: a new token, and a new login."""
    async def scenario(s):
        session = await s.online()
        session.send(wire.PROVISION, {"status": {"code": wire.INVALID_TOKEN, "reason": "invalid token"}})
        await s.cloud.login(s.bot, after=session.number)
        assert (await s.ask(s.alice, "#echo fine")).text == "fine"
        assert s.cloud.rest.count("/token/user") == 2
    lanying(scenario)


def test_renews_its_token(lanying):
    """A call that says 402 leads to a new token, and to one only."""
    async def scenario(s):
        await s.online()
        await s.ask(s.alice, "#echo hello")
        tokens = s.cloud.rest.count("/token/user")
        s.world.expire_tokens()
        s.world.invite(s.alice.user, s.bot, s.world.add_group("frogs", s.alice.user))
        await s.cloud.until(lambda: len(s.world.groups_of(s.bot.uid)) == 2)
        assert s.cloud.rest.count("/token/user") == tokens + 1
        assert (await s.ask(s.alice, "#echo fine")).text == "fine"
    lanying(scenario, account="auto_accept_invite = true;")


@both
def test_recall(lanying, transport):
    """A question that is taken back is not answered; an answer under way grows no more."""
    async def scenario(s):
        await s.online()
        early = s.alice.say("#sleep 2000 #echo too late", s.bot)
        await s.cloud.until(lambda: early in [mid for mid, _ in s.alice.view(s.bot).acks])
        s.alice.recall(early, s.bot)
        assert (await s.ask(s.alice, "#echo next")).text == "next"
        assert not s.answers(s.alice, early)
        late = s.alice.say(f"#echo {STORY}", s.bot)
        await s.cloud.until(lambda: s.answers(s.alice, late))
        s.alice.recall(late, s.bot)
        assert (await s.ask(s.alice, "#echo last")).text == "last"
        left = s.answers(s.alice, late)
        assert all(is_finished(seen) and seen.text != STORY for seen in left), left
        assert "twig" not in (await s.ask(s.alice, "#history")).text
    lanying(scenario, account=account(transport), practice=SLOW)


def test_recalled_while_away(lanying):
    async def scenario(s):
        mid = s.alice.say("#sleep 300 #echo gone", s.bot)
        s.alice.recall(mid, s.bot)
        await s.online()
        assert (await s.ask(s.alice, "#echo here")).text == "here"
        assert not s.answers(s.alice, mid)
    lanying(scenario)


def test_edited_question(lanying):
    """The new text counts, while the question waits and while it is answered."""
    async def scenario(s):
        await s.online()
        mid = s.alice.say("#sleep 1500 #echo draft", s.bot)
        await s.cloud.until(lambda: mid in [m for m, _ in s.alice.view(s.bot).acks])
        s.alice.replace(mid, s.bot, "#echo final")
        await s.cloud.until(lambda: [seen.text for seen in s.alice.view(s.bot).of(s.bot) if is_finished(seen)] == ["final"])
        assert (await s.ask(s.alice, "#echo next")).text == "next"
        assert [seen.text for seen in s.alice.view(s.bot).of(s.bot)] == ["final", "next"]
    lanying(scenario)


@pytest.mark.parametrize("appended", [False, True], ids=["replace", "append"])
def test_edited_after_the_answer(lanying, appended):
    """While it is fresh, the answer is changed, too: in its own message."""
    async def scenario(s):
        await s.online()
        mid = s.tell(s.alice, "#echo first")
        answer = await s.answer(s.alice, mid)
        if appended:
            s.alice.append(mid, s.bot, " and more")
        else:
            s.alice.replace(mid, s.bot, "#echo second")
        text = "first and more" if appended else "second"
        await s.cloud.until(lambda: [seen.text for seen in s.alice.view(s.bot).of(s.bot)] == [text])
        assert s.alice.view(s.bot).of(s.bot)[0].mid == answer.mid
    lanying(scenario)


def test_what_is_not_for_it(lanying):
    """Machines' talk, other bots, typing, its own messages: nothing of it is answered or remembered."""
    async def scenario(s):
        await s.online()
        robot = s.cloud.person("robot")
        robot.say("#echo robot", s.bot, ext={"ai": {"role": "ai", "ai_generate": False}})
        s.alice.say("", s.bot, ext={"input_status": "typing"}, qos=wire.AT_MOST_ONCE)
        s.alice.say("#echo command", s.bot, ctype=wire.COMMAND, ext={"openclaw": {"type": "probe"}})
        s.alice.say("#echo call", s.bot, ctype=wire.RTC)
        own = s.world.post(s.bot, 4711, s.bot.uid, {"type": wire.CHAT, "content": "#echo self", "ctype": wire.COMMAND,
                                                    "ext": json.dumps({"openclaw": {"type": "online"}})})
        text = s.world.post(s.bot, 4711, s.bot.uid, {"type": wire.CHAT, "content": "#echo self",
                                                     "ext": '{"ai":{"role":"ai"}}'})
        assert own and text
        for person in (s.alice, robot):
            assert (await s.ask(person, "#echo person", "person")).text == "person"
            check_exactly_once(person.view(s.bot), s.bot, s.asked[person, s.bot])
        history = (await s.ask(s.alice, "#history")).text
        assert not any(word in history for word in ("robot", "command", "call", "self")), history
        assert not [seen for seen in View(s.bot.logs[s.bot.uid], {}).messages.values() if seen.answers]
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("ext", ["nonsense", "[]", "7", '{"ai":7}', '{"ai":{"role":7}}', '{"ai":null}', "[" * 3000, "{}"],
                         ids=lambda text: text[:20])
def test_odd_ext(lanying, ext):
    async def scenario(s):
        await s.online()
        assert (await s.ask(s.alice, "#echo fine", ext=ext)).text == "fine"
        config = {"mentionList": [str(s.bot.uid)], "mentionAll": "x"}
        mid = s.tell(s.alice, "@bot #echo fine", to=s.group, config=config, ext=ext)
        assert (await s.answer(s.alice, mid, s.group)).text == "fine"
    lanying(scenario)


def test_mentions(lanying):
    """Who is mentioned stands in config, as numbers or as texts."""
    async def scenario(s):
        await s.online()
        silent = [s.alice.say("@bot one", s.group),
                  s.alice.say("@carol two", s.group, mention=[s.carol]),
                  s.alice.say("@all three", s.group, all_of_them=True),
                  s.alice.say("four", s.group, config={"mentionList": [s.bot.uid + 1, "x", None, {}]}),
                  s.alice.say("five", s.group, config={"mentionList": "no list"})]
        answered = [s.alice.say("@bot #echo 6", s.group, config={"mentionList": [s.carol.uid, str(s.bot.uid)]}),
                    s.alice.say("@bot #echo 7", s.group, config={"mention_list": [s.bot.uid], "mentionList": None}),
                    s.alice.say("@bot @carol\u3000#echo 8", s.group, mention=[s.bot, s.carol])]
        for mid, text in zip(answered, "678"):
            assert (await s.answer(s.alice, mid, s.group)).text == text
        assert not [mid for mid in silent if s.answers(s.alice, mid, s.group)]
    lanying(scenario, bot='trigger = ("direct", "mention");')


def test_mention_of_everybody(lanying):
    """Counts if the account says so."""
    async def scenario(s):
        await s.online()
        mid = s.tell(s.alice, "@all #echo for me, too", "for me, too", to=s.group, all_of_them=True)
        await s.answer(s.alice, mid, s.group)
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
    lanying(scenario, account="mention_all = true;")


@pytest.mark.parametrize("lists, heard", [
    ("users = { deny = ( \"{carol}\" ); };", {"alice", "alice-group"}),
    ("users = { allow = ( \"{carol}\" ); };", {"carol"}),
    ("groups = { deny = ( \"{group}\" ); };", {"alice", "carol"}),
    ("groups = { allow = ( \"77*\" ); }; users = { allow = ( \"*\" ); deny = ( \"{alice}\" ); };", {"carol"}),
], ids=str)
def test_allow_and_deny(lanying, lists, heard):
    """Whom it does not hear, it neither answers nor remembers."""
    async def scenario(s):
        for name, value in (("alice", s.alice.uid), ("carol", s.carol.uid), ("group", s.group.gid)):
            s.lists = getattr(s, "lists", lists).replace("{" + name + "}", str(value))
        s.daemon.configure(account=s.lists)
        await s.online()
        asked = {"alice": (s.alice, s.bot, {}), "carol": (s.carol, s.bot, {}),
                 "alice-group": (s.alice, s.group, {"mention": [s.bot]})}
        mids = {name: s.tell(person, "@bot #echo heard", "heard", to=to, **more) for name, (person, to, more) in asked.items()}
        for name in heard:
            person, to, _ = asked[name]
            assert (await s.answer(person, mids[name], to)).text == "heard"
        await s.drop()
        for name, (person, to, _) in asked.items():
            assert bool(s.answers(person, mids[name], to)) == (name in heard), name
        assert not [mid for mid, who in s.carol.view(s.bot).acks if "carol" not in heard]
    lanying(scenario)


def test_context_of_mentions(lanying):
    """Everybody in a group may have a conversation of their own."""
    async def scenario(s):
        await s.online()
        s.carol.say("My cat is called Minka.", s.group)
        mid = s.tell(s.carol, "@bot #echo My dog is called Rex.", to=s.group, mention=[s.bot])
        await s.answer(s.carol, mid, s.group)
        mid = s.tell(s.alice, "@bot #history", to=s.group, mention=[s.bot])
        heard = (await s.answer(s.alice, mid, s.group)).text
        assert "Minka" not in heard and "Rex" not in heard, heard
        mid = s.tell(s.carol, "@bot #history", to=s.group, mention=[s.bot])
        heard = (await s.answer(s.carol, mid, s.group)).text
        assert "Minka" not in heard and "Rex" in heard, heard
    lanying(scenario, account='group_context = "mention";', bot="context = true;")


@pytest.mark.slow
@both
def test_splitting(lanying, transport):
    """Each part is a message of its own; only the last one is streamed."""
    async def scenario(s):
        await s.online()
        text = " ".join(f"word{i:03}" for i in range(60))
        mid = s.tell(s.alice, f"#echo {text}")
        await s.cloud.until(lambda: "word059" in "".join(seen.text for seen in s.answers(s.alice, mid) if is_finished(seen)))
        parts = s.answers(s.alice, mid)
        assert len(parts) > 2 and all(len(part.text) <= 200 and is_finished(part) for part in parts), parts
        assert " ".join(part.text.strip() for part in parts) == text
        assert all(len(part.stages) == 1 for part in parts[:-1]), parts
        assert (await s.ask(s.alice, "#echo fine")).text == "fine"
    lanying(scenario, account=account(transport, "text_max = 200;"))


def lines(s, person, to):
    """Status lines of the bot, and whether each is gone."""
    return [seen.gone for seen in person.view(to).messages.values() if seen.ai.get("is_debug_msg")]


@pytest.mark.slow
@pytest.mark.parametrize("in_group", [False, True], ids=["single", "group"])
def test_status_line(lanying, in_group):
    """It says that an answer is being made, and goes with it; a kill leaves none behind."""
    async def scenario(s):
        await s.online()
        to = s.group if in_group else s.bot
        more = {"mention": [s.bot]} if in_group else {}
        mid = s.tell(s.alice, "@bot #sleep 1500 #echo first", "first", to=to, **more)
        await s.cloud.until(lambda: lines(s, s.alice, to) == [False])
        assert (await s.answer(s.alice, mid, to)).text == "first"
        await s.cloud.until(lambda: lines(s, s.alice, to) == [True])
        mid = s.tell(s.alice, "@bot #sleep 1500 #echo second", "second", to=to, **more)
        await s.cloud.until(lambda: lines(s, s.alice, to) == [True, False])
        await s.kill()
        await s.online()
        assert (await s.answer(s.alice, mid, to)).text == "second"
        await s.cloud.until(lambda: all(lines(s, s.alice, to)))
        check_exactly_once(s.alice.view(to), s.bot, s.asked[s.alice, to])
    lanying(scenario, account="status_line = true;")


# --- presets, and what a message asks of its answer ---
PRESETS = """system_prompt = "plain"; presets = ( { name = "poet"; system_prompt = "rhyme"; },
    { name = "翻译"; system_prompt = "translate"; } ); """
WISHES = PRESETS + 'wishes = ( "preset", "prompt", "max_tokens", "reset", "silent", "answer" );'


async def told(s, text, to=None, **more):
    """What the model was told, as it says itself."""
    to = to or s.bot
    mid = s.tell(s.alice, text, to=to, **({"mention": [s.bot]} if to is s.group else {}), **more)
    return (await s.answer(s.alice, mid, to)).text


@both
def test_presets(lanying, transport):
    async def scenario(s):
        await s.online()
        assert "system: plain" in await told(s, "#history")
        assert "system: rhyme" in await told(s, "/poet #history")
        assert "system: translate" in await told(s, "@bot /翻译 #history", s.group)
        assert "system: plain" in await told(s, "#history")
        await s.ask(s.alice, "/poet")
        assert "system: rhyme" in await told(s, "#history")
        assert "system: plain" in await told(s, "@bot #history", s.group)
        await s.stop()
        await s.online()
        assert "system: rhyme" in await told(s, "#history")
        await s.ask(s.alice, "/default")
        assert "system: plain" in await told(s, "#history")
        assert "poet" in (await s.ask(s.alice, "/help")).text
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario, account=account(transport), bot=PRESETS)


@pytest.mark.parametrize("key", ["ai", "lanying_connector"])
def test_wishes(lanying, key):
    async def scenario(s):
        def ext(**members):
            return {"ext": {key: members}}
        await s.online()
        assert "system: rhyme" in await told(s, "#history", **ext(preset_name="poet"))
        assert "system: plain" in await told(s, "#history", **ext(preset_name="nosuch"))
        assert "Chinese" in await told(s, "#history", **ext(prompt_ext=[{"role": "system", "content": "In Chinese."}]))
        assert len(await told(s, "#len 400", **ext(max_tokens=5))) < 100
        s.alice.say("remember my cat", s.bot, **ext(ai_generate=False))
        assert "cat" in await told(s, "#history")
        assert "cat" not in await told(s, "#history", **ext(reset_prompt=True))
        assert "cat" not in await told(s, "#history")
        mid = s.tell(s.alice, "#echo called", "called", to=s.group, **ext(ai_generate=True))
        await s.answer(s.alice, mid, s.group)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
    lanying(scenario, bot=WISHES)


def test_wishes_that_are_not_granted(lanying):
    async def scenario(s):
        await s.online()
        wanted = {"preset_name": "poet", "reset_prompt": True, "prompt_ext": [{"role": "system", "content": "In Chinese."}]}
        await s.ask(s.alice, "my cat is called Minka")
        heard = await told(s, "#history", ext={"ai": wanted})
        assert "system: plain" in heard and "Minka" in heard and "Chinese" not in heard
        assert (await s.ask(s.alice, "#echo answered", ext={"ai": {"ai_generate": False}})).text == "answered"
        s.alice.say("#echo not called", s.group, ext={"ai": {"ai_generate": True}})
        mid = s.tell(s.alice, "@bot", to=s.group, mention=[s.bot])
        await s.answer(s.alice, mid, s.group)
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
    lanying(scenario, bot=PRESETS)


@pytest.mark.parametrize("wanted", [
    {"preset_name": 7}, {"preset_name": "x" * 100000}, {"prompt_ext": "text"}, {"prompt_ext": [7, {}, {"content": {}}]},
    {"prompt_ext": [{"role": "system", "content": "x" * 30000}] * 10}, {"max_tokens": "x"}, {"max_tokens": -1},
    {"max_tokens": 1e400}, {"reset_prompt": "x"}, {"ai_generate": 7},
], ids=lambda wanted: str(wanted)[:30])
@pytest.mark.slow
def test_odd_wishes(lanying, wanted):
    async def scenario(s):
        await s.online()
        assert (await s.ask(s.alice, "#echo fine", ext={"ai": wanted})).text == "fine"
    lanying(scenario, bot=WISHES)


# --- friends and groups ---
@pytest.mark.parametrize("accept", [True, False])
def test_invitations(lanying, accept):
    async def scenario(s):
        before = s.cloud.person("before")
        s.world.apply_for_friendship(before.user, s.bot)
        await s.online()
        frogs = s.world.add_group("frogs", s.alice.user)
        s.world.invite(s.alice.user, s.bot, frogs)
        s.world.apply_for_friendship(s.alice.user, s.bot)
        if not accept:
            assert (await s.ask(s.carol, "#echo fine")).text == "fine"
            assert s.bot.uid not in frogs.members and not s.bot.friends
            assert s.cloud.rest.count("/roster/accept") == s.cloud.rest.count("/group/invite/handle") == 0
            return
        await s.cloud.until(lambda: s.bot.uid in frogs.members and s.alice.uid in s.bot.friends)
        await s.cloud.until(lambda: before.uid in s.bot.friends)
        mid = s.tell(s.alice, "@bot #echo thanks", to=frogs, mention=[s.bot])
        assert (await s.answer(s.alice, mid, frogs)).text == "thanks"
    word = "true" if accept else "false"
    lanying(scenario, account=f"auto_accept_friend = {word}; auto_accept_invite = {word};")


@pytest.mark.slow
def test_thrown_out(lanying):
    """What it wanted to say where it may not speak any more is not tried for ever, and hurts nobody."""
    async def scenario(s):
        await s.online()
        s.alice.say("@bot #sleep 700 #echo late", s.group, mention=[s.bot])
        await s.cloud.until(lambda: s.bot.logs[s.group.gid])
        s.world.remove(s.bot, s.group, s.alice.user)
        await s.cloud.until(lambda: s.cloud.refused)
        assert (await s.ask(s.alice, "#echo fine")).text == "fine"
        s.world.join(s.bot, s.group)
        mid = s.tell(s.alice, "@bot #echo back", to=s.group, mention=[s.bot])
        assert (await s.answer(s.alice, mid, s.group)).text == "back"
    lanying(scenario)


def test_names(lanying):
    """Who speaks in a group is known by the message, by the group, or by the roster."""
    async def scenario(s):
        await s.online()
        dora, emil = s.cloud.person("dora", nick="Dora D."), s.cloud.person("emil", nick="Emil E.")
        for person in (dora, emil):
            s.world.join(person.user, s.group)
        s.group.members[dora.uid] = "Dora of the group"
        dora.say("I like tea.", s.group, config={"senderNickname": ""})
        emil.say("I like coffee.", s.group)
        mid = s.tell(s.alice, "@bot #history", to=s.group, mention=[s.bot])
        heard = (await s.answer(s.alice, mid, s.group)).text
        assert "Emil E." in heard and ("Dora of the group" in heard or "Dora D." in heard), heard
    lanying(scenario, bot="context = true;")


# --- trouble on the way ---
@pytest.mark.slow
@both
@pytest.mark.parametrize("faults", [
    {"repeat_notice": 1, "delay_notice": 0.3}, {"repeat_page": 1}, {"eager": 1}, {"eager": 0.5, "repeat_page": 0.5},
    {"zeros": True, "eager": 0.3}, {"page": 1}, {"page": 2, "count_when": "next", "delay_answer": 0.1}, {"echo": True},
    {"notice_form": "bare"}, {"notice_form": "nested"}, {"lose_ack": 0.02}, {"lose_send": 0.02}, {"rate": 2},
    {"repeat_has_mid": True, "lose_ack": 0.02}, {"history_raw": True, "lose_ack": 0.02}, {"history_from_start": False},
], ids=str)
def test_faults(lanying, transport, faults):
    """Each question has one answer, whatever happens on the way."""
    async def scenario(s):
        await s.online()
        vars(s.cloud.faults).update(faults)
        for i in range(6):
            for person in (s.alice, s.carol):
                word = f"{person.user.name} {i}"
                s.tell(person, f"#echo {word}", word)
                s.tell(person, f"@bot #echo g {word}", f"g {word}", to=s.group, mention=[s.bot])
        for (person, to), asked in s.asked.items():
            for mid in asked:
                await s.answer(person, mid, to)
        for person in (s.alice, s.carol):
            check_exactly_once(person.view(s.bot), s.bot, s.asked[person, s.bot])
        check_exactly_once(s.alice.view(s.group), s.bot, {**s.asked[s.alice, s.group], **s.asked[s.carol, s.group]})
    lanying(scenario, account=account(transport), cloud={"seed": 7})


@pytest.mark.slow
@pytest.mark.parametrize("then", ["cut", "kill"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_lost_page(lanying, known, then):
    """The cloud counts messages as delivered that never came: they are found in the history."""
    async def scenario(s):
        await s.online()
        if known:
            await s.ask(s.alice, "#echo hello", "hello")
        s.cloud.script.lost_pages = 1
        mid = s.tell(s.alice, "#echo not lost", "not lost")
        await s.cloud.until(lambda: s.cloud.pages_lost)
        if then == "kill":
            await s.kill()
            await s.online()
        assert (await s.answer(s.alice, mid)).text == "not lost"
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario)


@pytest.mark.slow
def test_lost_page_before_an_answer(lanying):
    """In a new conversation, too, whose position is not on disk yet: what was lost stands before an answer to something else."""
    async def scenario(s):
        await s.online()
        first = s.tell(s.alice, "#sleep 300 #echo first", "first")
        await s.logs(" message 2: binding -> asking")
        s.cloud.script.lost_pages = 1
        lost = s.tell(s.alice, "#echo not lost", "not lost")
        await s.cloud.until(lambda: s.cloud.pages_lost)
        await s.answer(s.alice, first)
        await s.kill()
        await s.online()
        await s.answer(s.alice, lost)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario)


@pytest.mark.slow
def test_short_pages_of_the_past(lanying):
    """A cloud may give less of the history at once than was asked for."""
    async def scenario(s):
        await s.online()
        await s.ask(s.alice, "#echo hello", "hello")
        await s.stop()
        s.cloud.faults.history_page = 5
        s.cloud.script.lost_pages = 1
        asked = [s.tell(s.alice, f"#echo word{i}", f"word{i}") for i in range(12)]
        await s.start()
        for mid in asked:
            await s.answer(s.alice, mid)
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario)


@pytest.mark.slow
def test_group_of_the_past(lanying):
    """A group that is known by a notice only, and whose messages are found in the history, is still a group."""
    async def scenario(s):
        s.cloud.rest.trouble("/group/user_joined", times=100, code=10009)
        await s.online()
        s.cloud.script.lost_pages = 1
        s.carol.say("#echo not for the bot", s.group)
        await s.cloud.until(lambda: s.cloud.pages_lost)
        await s.kill()
        await s.online()
        mid = s.tell(s.alice, "@bot #history", to=s.group, mention=[s.bot])
        assert "not for the bot" in (await s.answer(s.alice, mid, s.group)).text
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
    lanying(scenario, bot="context = true;")


@pytest.mark.slow
def test_read_again(lanying):
    """After a login, what was delivered long ago may come once more."""
    async def scenario(s):
        await s.online()
        s.cloud.faults.rollback = 5
        for i in range(4):
            await s.ask(s.alice, f"#echo {i}", str(i))
            mid = s.tell(s.alice, f"@bot #echo g{i}", f"g{i}", to=s.group, mention=[s.bot])
            await s.answer(s.alice, mid, s.group)
            await s.drop()
        s.bot.devices.clear()  # somebody removed it: the next login makes another one, to which everything is new
        await s.drop()
        await s.ask(s.alice, "#echo done", "done")
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        check_exactly_once(s.alice.view(s.group), s.bot, s.asked[s.alice, s.group])
    lanying(scenario)


@pytest.mark.slow
def test_rate_limit(lanying):
    """Refused for being too fast: sent again under the same id, later each time."""
    async def scenario(s):
        await s.online()
        await s.ask(s.alice, "#echo hello", "hello")
        s.cloud.script.sends += [wire.RATE_LIMIT_EXCEEDED] * 4
        seen = await s.ask(s.alice, "#echo patience", "patience")
        assert seen.text == "patience"
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
        sent = [(r.frame["payload"]["meta"]["id"], r.time) for r in s.cloud.records
                if r.sent and r.frame and r.frame["command"] == wire.SYNC and "meta" in r.frame["payload"]
                and r.frame["payload"]["meta"]["payload"].get("content") == "patience"]
        assert len({mid for mid, _ in sent}) == 1, sent
        pauses = [b - a for (_, a), (_, b) in zip(sent, sent[1:])]
        assert all(pause >= 0.9 for pause in pauses), pauses
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("code, reason", [(wire.WORD_CENSORED, "blocked"), (wire.FAIL, "refused by antispam")])
def test_blocked_words(lanying, code, reason):
    """People get a word instead of the answer that the cloud does not deliver."""
    async def scenario(s):
        await s.online()
        s.cloud.script.reason = reason
        s.cloud.script.sends += [None, code]  # after the read receipt
        seen = await s.ask(s.alice, "#echo bad words")
        assert "审核" in seen.text and seen.ai["result"] == "error", seen
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario)


def test_unknown_failure(lanying):
    """Status 0, which an encoder may leave out, is none of success."""
    async def scenario(s):
        await s.online()
        s.cloud.script.sends += [None, wire.UNKNOWN]
        assert (await s.ask(s.alice, "#echo at last")).text == "at last"
        assert (wire.UNKNOWN, "") in s.cloud.refused
    lanying(scenario)


def test_feedback(lanying):
    async def scenario(s):
        await s.online()
        feedback = {"ticket": [7, "x"]}
        assert (await s.ask(s.alice, "#echo hi", ext={"ai": {"feedback": feedback}})).ai["feedback"] == feedback
        assert "feedback" not in (await s.ask(s.alice, "#echo ho")).ai
    lanying(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("code", [wire.FAIL, wire.INVALID_PARAMETER, wire.USER_BANNED, wire.WORD_CENSORED])
def test_refused_answer(lanying, code):
    """What the cloud does not take is given up, and the next answer is not in its way."""
    async def scenario(s):
        await s.online()
        first = s.tell(s.alice, "#sleep 500 #echo bad words")
        await s.cloud.until(lambda: first in [m for m, _ in s.alice.view(s.bot).acks])
        s.cloud.script.sends += [code]
        assert (await s.ask(s.alice, "#echo good words")).text == "good words"
        assert len(s.answers(s.alice, first)) <= 1
    lanying(scenario)


def test_friends_only(lanying):
    """Where only friends may talk, who was refused asks to be one."""
    async def scenario(s):
        await s.online()
        s.alice.say("#sleep 500 #echo to a stranger", s.bot)
        s.world.friends_only = True
        await s.cloud.until(lambda: "your relation with target does not allow chat" in [reason for _, reason in s.cloud.refused])
        s.world.apply_for_friendship(s.alice.user, s.bot)
        await s.cloud.until(lambda: s.alice.uid in s.bot.friends)
        assert (await s.ask(s.alice, "#echo to a friend")).text == "to a friend"
    lanying(scenario, account="auto_accept_friend = true;")


@pytest.mark.slow
def test_dead_connection(lanying):
    """Nothing comes any more, and nobody says so: the transport's own ping finds it out."""
    async def scenario(s):
        s.cloud.ping_interval_ms, s.cloud.ping_timeout_ms = 500, 500
        session = await s.online()
        session.deaf = True
        await s.cloud.login(s.bot, after=session.number)
        assert (await s.ask(s.alice, "#echo alive")).text == "alive"
    lanying(scenario, account=account("socketio"))


@pytest.mark.slow
@both
def test_heartbeat(lanying, transport):
    """Every 50 s, and it makes good what a lost notice did not tell; a connection that does not answer it is dead."""
    async def scenario(s):
        session = await s.online()
        await s.cloud.until(lambda: s.cloud.heartbeats)
        s.cloud.faults.lose_notice = 1
        mid = s.tell(s.alice, "#echo at last", "at last")
        assert (await s.answer(s.alice, mid, seconds=70)).text == "at last"
        first, second = s.cloud.heartbeats[:2]
        assert 45 < (second - first) * HASTE < 90
        session.deaf = True
        late = s.tell(s.alice, "#echo later", "later")
        s.cloud.faults.lose_notice = 0
        assert (await s.answer(s.alice, late, seconds=100)).text == "later"
        check_exactly_once(s.alice.view(s.bot), s.bot, s.asked[s.alice, s.bot])
    lanying(scenario, account=account(transport), seconds=300, haste=HASTE)


def test_what_is_too_old(lanying):
    """Answered is what is younger than catch_up says; older talk is known, not answered."""
    async def scenario(s):
        old = s.alice.say("My cat is called Minka.", s.bot, time_ms=now_ms() - 3 * 3600 * 1000)
        young = s.tell(s.alice, "#history", time_ms=now_ms() - 1800 * 1000)
        await s.online()
        assert "Minka" in (await s.answer(s.alice, young)).text
        assert not s.answers(s.alice, old)
    lanying(scenario, account='catch_up = { max_age = "1h"; max_messages = 50; };')
