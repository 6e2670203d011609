"""Coming into rooms of a real Synapse and being silenced there: what was said
before the bot came is none of its business, whatever happened meanwhile."""
import asyncio
import contextlib
import sqlite3

import pytest

from matrix import Person, account, one_synapse, quote  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

CHANNELS = '{ match = "mx:*"; bot = "bo"; }'


@pytest.fixture(name="bot")
def running_bot(make_daemon, synapse):
    token = synapse.tokens.get("bot") or synapse.register("bot")

    def start(more="", channels=CHANNELS, allow='"@*:localhost"', **settings):
        daemon = make_daemon(accounts=", " + account(synapse, token, more, allow=allow), channels=channels,
                             more='log = { level = "debug"; };', **settings)
        daemon.start()
        daemon.logs("mx is online")
        return daemon
    return start


def open_room(synapse, **more):
    """A room of alice's that anybody may join."""
    return synapse.as_user("alice", "POST", "/createRoom", {"preset": "public_chat", **more})["room_id"]


async def again(daemon):
    await asyncio.to_thread(daemon.start)
    daemon.logs("mx is online")


def test_came_just_before_a_crash(bot, synapse, run):
    """The bot joined a room with a history, and died before its stream told so."""
    daemon = bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = open_room(synapse, name="With a past")
            before = [await alice.say(room, f"bot: #echo past {n}") for n in range(3)]
            daemon.stop()
            synapse.as_user("bot", "POST", f"/join/{quote(room)}", {})
            missed = await alice.say(room, "bot: #echo since it came")
            await again(daemon)
            await alice.reply(room, missed, "since it came")
            await alice.ask(room, "bot: #echo now")
            assert [alice.replies(room, event) for event in before] == [[], [], []], alice.picture()
    run(scenario())


def test_lost_position_in_a_room_with_a_past(bot, synapse, run):
    """What is looked through anew begins with the bot's coming, not with its last new name."""
    daemon = bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = open_room(synapse, name="With a past")
            before = [await alice.say(room, f"bot: #echo past {n}") for n in range(3)]
            await alice.do("room_invite", room_id=room, user_id="@bot:localhost")
            await alice.joined(room)
            await alice.ask(room, "bot: #echo first")
            daemon.stop()
            missed = [await alice.say(room, "bot: #echo missed 0")]
            synapse.as_user("bot", "PUT", "/profile/@bot:localhost/displayname", {"displayname": "Robin"})
            missed.append(await alice.say(room, "bot: #echo missed 1"))
            with contextlib.closing(sqlite3.connect(daemon.data / "warbler.db")) as db:
                assert db.execute("UPDATE fact SET value = 'nonsense' WHERE key = 'position'").rowcount == 1
                db.commit()
            await again(daemon)
            for n, event in enumerate(missed):
                await alice.reply(room, event, f"missed {n}")
            await alice.ask(room, "bot: #echo now")
            assert [alice.replies(room, event) for event in before] == [[], [], []], alice.picture()
    try:
        run(scenario())
    finally:
        synapse.as_user("bot", "PUT", "/profile/@bot:localhost/displayname", {"displayname": "bot"})


@pytest.mark.parametrize("question", ["#sleep 3000 #echo not said", "#echo " + " ".join(f"word{n}" for n in range(60))],
                         ids=["before", "while"])
def test_silenced_in_mid_answer(bot, synapse, run, question):
    """Whoever may not speak any more does not go on trying."""
    daemon = bot("edit_interval_ms = 300;", practice="delay_ms = 0; chunk_ms = 100;")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            levels = (await alice.do("room_get_state_event", room_id=room, event_type="m.room.power_levels"))["content"]
            event = await alice.say(room, question)
            if "sleep" in question:
                await alice.until(lambda: any(e == event for _, e, _ in alice.receipts), what="a read receipt")
            else:
                await alice.reply(room, event, lambda t: t.startswith("word0"))
            await alice.do("room_put_state", room_id=room, event_type="m.room.power_levels",
                           content={**levels, "events_default": 50})
            await asyncio.to_thread(daemon.logs, "is not sent")
            await asyncio.sleep(12)
            tries = daemon.new_log().count("is not sent")
            assert tries <= 3, daemon.new_log()
            await alice.do("room_put_state", room_id=room, event_type="m.room.power_levels", content=levels)
            await alice.ask(room, "#echo speaking again")
    run(scenario())


def test_replaced_room_is_followed_uninvited(bot, synapse, run):
    bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            old = open_room(synapse, invite=["@bot:localhost"])
            await alice.joined(old)
            new = (await asyncio.to_thread(synapse.as_user, "alice", "POST", f"/rooms/{quote(old)}/upgrade",
                                           {"new_version": "12"}))["replacement_room"]
            await alice.joined(new)
            _, answer = await alice.ask(new, "bot: #echo moved")
            assert answer["text"] == "moved"
    run(scenario())


def test_rooms_by_their_names(bot, synapse, run):
    """A rule names a room by its alias or name, and the prompt what it is called and about."""
    prompt = 'system_prompt = "You are in {room}, about {topic}.";'
    bot(bot="trigger = ( \"always\" );" + prompt,
        channels='{ match = "mx:#tea:localhost"; bot = "bo"; }, { match = "mx:Coffee*"; bot = "bo"; }')

    async def scenario():
        async with Person(synapse, "alice") as alice:
            for alias, name, topic in (("tea", "Leaves", "water"), (None, "Coffee & cake", "beans")):
                room = await alice.room("bot", name=name, topic=topic, **({"alias": alias} if alias else {}))
                await alice.joined(room)
                _, answer = await alice.ask(room, "#history")
                assert f"You are in {name}, about {topic}." in answer["text"]
            other = await alice.room("bot", name="Cocoa")
            await alice.joined(other)
            ignored = await alice.say(other, "#echo nobody")
            await alice.ask(room, "#echo served")
            assert alice.replies(other, ignored) == []
    run(scenario())


@pytest.mark.parametrize("reactions", ["true", "false"])
def test_reactions_are_optional(bot, synapse, run, reactions):
    bot(f"reactions = {reactions};")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            question, answer = await alice.ask(room, "#echo to stay or not")
            await alice.react(room, answer["id"], "🗑")
            if reactions == "true":
                await alice.until(lambda: not alice.replies(room, question), what="the answer taken back")
            else:
                await alice.ask(room, "#echo after it")
                assert alice.replies(room, question)
    run(scenario())


def test_many_invitations_at_once(bot, synapse, run):
    """More than are accepted at the same time; those that are declined are among them."""
    daemon = bot(allow='"@alice:*"')
    daemon.stop()

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "mallory") as mallory:
            rooms = [await alice.room("bot") for _ in range(10)]
            refused = await mallory.room("bot")
            rooms += [await alice.room("bot") for _ in range(2)]
            await again(daemon)
            for room in rooms:
                await alice.joined(room)
            await mallory.until(lambda: any(e.get("state_key") == "@bot:localhost" and e["content"]["membership"] == "leave"
                                            for e in mallory.events.get(refused, [])))
    run(scenario())
