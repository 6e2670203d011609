"""What people do with a bot in Matrix rooms, from the invitation on, as another
client sees it. Its screens are printed, for whoever reads the log."""
import asyncio
import re
import urllib.request

import pytest

from matrix import NAME, Person, account, one_synapse  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

BOT = f"@bot:{NAME}"
GREETING = "Hello! Mention me, and I answer."
SLOW = "delay_ms = 0; chunk_ms = 100; chunk_chars = 20;" # enough for a client to see an answer grow
FAST = "delay_ms = 0; chunk_ms = 0;"
LONG = " ".join(f"word{n}" for n in range(60))


@pytest.fixture(name="bot")
def running_bot(make_daemon, synapse):
    """A daemon whose Matrix account logs in with its password."""
    if "bot" not in synapse.tokens:
        synapse.register("bot")

    def start(practice, trigger='"direct", "mention", "reply"'):
        login = f'user = "bot"; password = "pw-bot"; greeting = "{GREETING}"; edit_interval_ms = 500;'
        daemon = make_daemon(accounts=", " + account(synapse, "", login), practice=practice,
                             bot=f"context = true; trigger = ( {trigger} );", channels='{ match = "mx:*"; bot = "bo"; }')
        daemon.start()
        daemon.logs("mx is online")
        return daemon

    return start


@pytest.fixture(name="story")
def told_story(synapse, run, capsys):
    """Runs a coroutine of people by name, and prints what the first one's screens show at the end."""

    def tell(what, *names, seconds=300):
        async def scenario():
            people = []
            try:
                for name in names:
                    people.append(await Person(synapse, name).__aenter__())
                await what(*people)
            finally:
                with capsys.disabled():
                    print("\n" + (people[0].picture() if people else "nobody came"))
                for person in people:
                    await person.__aexit__(None, None, None)

        run(scenario(), seconds)

    return tell


async def private(person):
    """A private conversation with the bot."""
    room = await person.room("bot", direct=True)
    await person.joined(room)
    return room


async def group(person, other):
    """A room with somebody else and the bot in it."""
    room = await person.room("bot", other.user, name="Tea & more")
    await other.do("join", room_id=room)
    await person.joined(room, other.user)
    await person.joined(room)
    return room


def busy(daemon):
    """Is an answer being made? A client may show all of one that is."""
    with urllib.request.urlopen(daemon.http + "/metrics") as reply:
        return not re.search(r"^warbler_turns_running 0$", reply.read().decode(), re.M)


async def grown(daemon, person, room, **more):
    """A long question and its answer, when nothing more will come."""
    question = await person.say(room, f"#echo {LONG}", **more)
    await person.reply(room, question, LONG)
    while busy(daemon):
        await asyncio.sleep(0.01)
    return question, await person.reply(room, question, LONG)


async def history(person, room, **more):
    """What the bot was given of a conversation: how many messages, and a line for each."""
    def whole(text):
        lines = text.split("\n")
        return lines[0] == f"{len(lines) - 1} messages" and lines[-1].endswith(("#history", "…"))

    return (await person.reply(room, await person.say(room, "#history", **more), whole))["text"]


async def unchanged(person, room, question):
    """What stands there as the answer to this still does when the bot has answered something else."""
    before = person.replies(room, question)
    await person.ask(room, "#echo and now?", mention="bot")
    assert person.replies(room, question) == before, person.picture()


async def alone(daemon, ann):
    """Invitation, greeting, a streamed answer, follow-up, thread, and second thoughts."""
    room = await private(ann)
    await ann.until(lambda: any(m["text"] == GREETING for m in ann.screen(room)), what="a greeting")

    question, answer = await grown(daemon, ann, room)
    assert answer["edits"] > 1, "it did not grow"
    assert all(LONG.startswith(text) for text in answer["texts"])
    assert answer["content"]["msgtype"] == "m.notice"
    assert [BOT] in ann.typing[room]
    await ann.until(lambda: not ann.typing[room][-1], what="the end of typing")
    await ann.until(lambda: (room, question, BOT) in ann.receipts, what="a read receipt")
    told = await history(ann, room)
    assert re.search("user: #echo word0", told) and re.search("assistant: word0", told), told

    inside = await ann.say(room, "#echo **重点：**`a<b>`\n\n1. one\n2. two", thread=question)
    answer = await ann.reply(room, inside, lambda t: t.endswith("two"))
    assert answer["thread"] == question
    assert answer["content"]["formatted_body"] == \
        "<p><strong>重点：</strong><code>a&lt;b&gt;</code></p><ol><li>one</li><li>two</li></ol>"
    assert "重点" not in await history(ann, room)

    question = await ann.say(room, "#echo tee")
    answer = await ann.reply(room, question, "tee")
    await ann.edit(room, question, "#echo tea")
    assert (await ann.reply(room, question, "tea"))["id"] == answer["id"]

    question = await ann.say(room, f"#echo {LONG}")
    await ann.reply(room, question, lambda t: t.startswith("word0"))
    await ann.edit(room, question, "#echo short")
    await ann.reply(room, question, "short")
    await unchanged(ann, room, question)

    question = await ann.say(room, "#sleep 3000 #echo never mind")
    await ann.until(lambda: (room, question, BOT) in ann.receipts, what="a read receipt")
    await ann.do("room_redact", room_id=room, event_id=question)
    later = await ann.say(room, "#sleep 3000 #echo something else")
    await ann.reply(room, later, "something else")
    assert not ann.replies(room, question)
    return room


async def together(daemon, ann, bob):
    """A busy group: mention, reply, and reactions as commands."""
    room = await group(ann, bob)
    unasked = await bob.say(room, "the kettle is cold")
    question = await ann.say(room, "bot: #echo you called?", **{"m.mentions": {"user_ids": [BOT]}})
    answer = await bob.reply(room, question, "you called?")
    assert answer["content"]["m.mentions"] == {"user_ids": [ann.id]} and not answer["thread"]
    again = await bob.say(room, "#echo and to you", reply_to=answer["id"])
    await bob.reply(room, again, "and to you")
    told = await history(ann, room, reply_to=unasked, mention="bot")
    assert re.search("user: ann: .*bob: > the k", told), told
    aside = await bob.say(room, "between us", reply_to=question)
    await unchanged(ann, room, aside)
    assert not bob.replies(room, unasked)

    question = await ann.say(room, "#echo once more", mention="bot")
    answer = await ann.reply(room, question, "once more")
    await bob.react(room, answer["id"], "🔁")  # it was not he who was answered
    await bob.react(room, answer["id"], "🗑️")
    await unchanged(bob, room, question)
    question, answer = await grown(daemon, ann, room, mention="bot")
    await ann.react(room, answer["id"], "🔁")
    await ann.until(lambda: ann.replies(room, question)[0]["text"] != LONG, what="the answer begin again")
    await ann.reply(room, question, LONG)
    await ann.react(room, answer["id"], "🗑️")
    await ann.until(lambda: not ann.replies(room, question), what="the answer taken back")
    return room


def test_journey(bot, story):
    daemon = bot(SLOW)

    async def scenario(ann, bob):
        await alone(daemon, ann)
        await together(daemon, ann, bob)

    story(scenario, "ann", "bob")
    daemon.stop()


def test_hostile_rooms(bot, story):
    """Names, bodies and HTML that no client would write; the bot goes on answering."""
    daemon = bot(FAST, '"always"')
    deep = "x"
    for _ in range(60):
        deep = [deep]
    wide = "字" * 20000

    async def scenario(ann):
        room = await ann.room("bot", name="\u202etea\a\x1b[31m\n" + "房" * 300, topic="\x01" + "x" * 20000)
        await ann.joined(room)
        first, answer = await ann.ask(room, "#echo first")
        for content in ({"body": "#echo \a\x1b[31mred\u202e" + "\u0301" * 2000},
                        {"body": "> " * 20000},
                        {"body": "x", "format": "org.matrix.custom.html", "formatted_body": "<mx-reply>" * 5000},
                        {"body": "x", "m.relates_to": {"rel_type": "m.replace", "event_id": answer["id"]}},
                        {"body": "x", "m.relates_to": {"rel_type": "m.replace", "event_id": answer["id"]},
                         "m.new_content": {"msgtype": "m.text", "body": "not what the bot said"}},
                        {"body": "x", "m.relates_to": {"m.in_reply_to": {"event_id": "!" * 300}}},
                        {"body": "x", "m.mentions": {"user_ids": "@bot:localhost"}},
                        {"body": "\n" * 1000, "msgtype": "m.image", "url": 7, "info": []},
                        {"body": "deep", "x": deep}):
            await ann.send(room, {"msgtype": "m.text", **content})
        await ann.reply(room, first, "first")
        await ann.reply(room, await ann.say(room, "#echo still here"), "still here")
        await ann.say(room, f"#echo {wide}")

        def parts():
            return [m["text"] for m in ann.screen(room) if m["sender"] == BOT and m["text"].startswith("字")]

        await ann.until(lambda: "".join(parts()) == wide, what="all of a long answer")
        assert len(parts()) > 1
        # A message that is not one's own cannot be edited.
        assert not any("not what the bot said" in m["text"] for m in ann.screen(room) if m["sender"] == BOT)

    story(scenario, "ann")
    daemon.stop()
