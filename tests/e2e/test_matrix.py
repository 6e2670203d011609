"""The bot in rooms of a real Synapse, with people whose client is matrix-nio."""
import asyncio
import contextlib
import sqlite3
import subprocess
import urllib.request

import pytest

from matrix import Person, account, one_synapse, quote  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow


@pytest.fixture(name="bot")
def running_bot(make_daemon, synapse):
    """A daemon whose Matrix account is a user of its own."""
    token = synapse.tokens.get("bot") or synapse.register("bot")

    def start(more="", **settings):
        allow = '"@*:localhost" ); deny = ( "@mallory:*"'
        daemon = make_daemon(accounts=", " + account(synapse, token, more, allow=allow),
                             channels='{ match = "mx:*"; bot = "bo"; }',
                             more='log = { level = "debug"; };', **settings)
        daemon.start()
        daemon.logs("mx is online")
        return daemon
    return start


def test_invited_and_asked(bot, synapse, run):
    bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            _, answer = await alice.ask(room, "#echo hello from Matrix")
            print(alice.picture())
            assert answer["text"] == "hello from Matrix"
    run(scenario())


def in_order(person, room, questions):
    """Each question has one answer, and they stand in the order of the questions."""
    found = []
    for event, text in questions:
        replies = person.replies(room, event)
        assert [r["text"] for r in replies] == [text], (text, replies)
        found.append(replies[0]["id"])
    ids = [m["id"] for m in person.screen(room)]
    assert [ids.index(i) for i in found] == sorted(ids.index(i) for i in found)


def test_nothing_from_before_the_first_start(bot, synapse, run):
    async def scenario():
        async with Person(synapse, "alice") as alice:
            synapse.tokens.get("bot") or synapse.register("bot")
            room = await alice.room("bot", direct=True)
            synapse.as_user("bot", "POST", f"/join/{room}", {})
            old = await alice.say(room, "#echo too early")
            bot()
            _, answer = await alice.ask(room, "#echo in time")
            assert answer["text"] == "in time"
            assert alice.replies(room, old) == []
    run(scenario())


@pytest.mark.parametrize("missed, settings, answered", [(5, "", 5), (5, "catch_up = { max_messages = 2; };", 2),
                                                        (120, "", 50), (3, 'catch_up = { max_age = "0"; };', 0)])
def test_missed_while_away(bot, synapse, run, missed, settings, answered):
    daemon = bot(settings, bot='queue_max = 200; history_messages = 0;')

    async def scenario():
        async with Person(synapse, "alice") as alice:
            rooms = [await alice.room("bot", direct=True) for _ in range(2)]
            for room in rooms:
                await alice.joined(room)
                await alice.ask(room, "#echo before")
            daemon.stop()
            asked = {room: [(await alice.say(room, f"#echo {n}"), str(n)) for n in range(missed)] for room in rooms}
            daemon.start()
            daemon.logs("mx is online")
            for room in rooms:
                for event, text in asked[room][missed - answered:]:
                    await alice.reply(room, event, text)
                await alice.ask(room, "#echo after")
                in_order(alice, room, asked[room][missed - answered:])
                assert all(alice.replies(room, event) == [] for event, _ in asked[room][:missed - answered])
    run(scenario())


def test_position_that_the_server_does_not_know(bot, synapse, run):
    """Each room is looked through; what was answered is not answered again."""
    daemon = bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            answered, _ = await alice.ask(room, "#echo before")
            daemon.stop()
            missed = await alice.say(room, "#echo missed")
            with contextlib.closing(sqlite3.connect(daemon.data / "warbler.db")) as db:
                assert db.execute("UPDATE fact SET value = 'nonsense' WHERE key = 'position'").rowcount == 1
                db.commit()
            daemon.start()
            daemon.logs("mx is online")
            await alice.reply(room, missed, "missed")
            await alice.ask(room, "#echo after")
            in_order(alice, room, [(answered, "before"), (missed, "missed")])
    run(scenario())


def test_history_is_known_after_a_restart(bot, synapse, run):
    daemon = bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            await alice.ask(room, "#echo one")
            daemon.stop()
            daemon.start()
            daemon.logs("mx is online")
            _, answer = await alice.ask(room, "#history")
            assert "user: #echo one" in answer["text"] and "assistant: one" in answer["text"], answer
    run(scenario())


def test_busy_group(bot, synapse, run):
    """In a group the bot answers who means it: by mention, name, link, reply."""
    bot()

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "bob") as bob:
            room = await alice.room("bot", "bob", name="Garden")
            await bob.do("join", room_id=room)
            await alice.joined(room)
            await alice.joined(room, "bob")
            silent = [await bob.say(room, text) for text in ("nobody asked", "robots are nice", "see robot.example.org")]
            asked = [await alice.say(room, "#echo by mention", mention="bot"),
                     await alice.say(room, "bot: #echo by name"),
                     await alice.say(room, "@bot:localhost #echo by id"),
                     await alice.say(room, "bot #echo by pill", format="org.matrix.custom.html",
                                     formatted_body='<a href="https://matrix.to/#/@bot:localhost">bot</a> #echo by pill')]
            answers = [await alice.reply(room, q, lambda t: "by" in t) for q in asked]
            reply = await bob.say(room, "#echo by reply", reply_to=answers[0]["id"])
            answer = await bob.reply(room, reply, "by reply")
            assert answer["content"]["m.mentions"] == {"user_ids": [bob.id]}
            print(alice.picture())
            assert all(bob.replies(room, q) == [] for q in silent)
    run(scenario())


def test_thread_is_a_conversation_of_its_own(bot, synapse, run):
    bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            root, answer = await alice.ask(room, "#echo in the room")
            assert answer["thread"] is None
            inside, answer = await alice.ask(room, "#history", thread=root)
            assert answer["thread"] == root and "in the room" not in answer["text"]
            assert answer["content"]["m.relates_to"]["is_falling_back"] is True
            _, answer = await alice.ask(room, "#history", thread=root, reply_to=inside)
            assert answer["thread"] == root and "assistant" in answer["text"]
            _, answer = await alice.ask(room, "#history")
            assert answer["thread"] is None and answer["text"].count("#history") == 1
    run(scenario())


def test_second_thoughts_after_a_restart(bot, synapse, run):
    """What was said before the restart is still known by its thread."""
    daemon = bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            root, _ = await alice.ask(room, "#echo in the room")
            question, answer = await alice.ask(room, "#echo first", thread=root)
            marked, disliked = await alice.ask(room, "#echo disliked", thread=root)
            daemon.stop()
            daemon.start()
            daemon.logs("mx is online")
            await alice.react(room, disliked["id"], "🗑️")
            await alice.until(lambda: not alice.replies(room, marked))
            later, answer = await alice.ask(room, "#echo tee", thread=root)
            daemon.stop()
            daemon.start()
            daemon.logs("mx is online")
            await alice.edit(room, later, "#echo tea")
            assert (await alice.reply(room, later, "tea"))["id"] == answer["id"]
            assert len(alice.replies(room, question)) == 1
    run(scenario())


def test_encrypted_room_is_told_so_once(bot, synapse, run):
    daemon = bot()
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    message = {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "AwgA", "session_id": "s", "device_id": "d", "sender_key": "k"}

    async def scenario():
        async with Person(synapse, "alice") as alice:
            rooms = [await alice.room("bot", name=name, direct=True, initial_state=[encryption]) for name in ("Secrets", "秘密")]
            for room, words in zip(rooms, ("encrypted", "加密")):
                await alice.joined(room)
                for _ in range(2):
                    await alice.send(room, message, "m.room.encrypted")
                await alice.until(lambda room=room, words=words: any(words in m["text"] for m in alice.screen(room)))
            daemon.stop()
            daemon.start()
            daemon.logs("mx is online")
            ready = await asyncio.to_thread(lambda: urllib.request.urlopen(daemon.http + "/readyz").read().decode())
            assert "cannot be read: " in ready and "Secrets" in ready and "秘密" in ready
            for room in rooms:
                await alice.send(room, message, "m.room.encrypted")
            plain = await alice.room("bot", direct=True)
            await alice.joined(plain)
            await alice.ask(plain, "#echo after them")
            for room in rooms:
                said = [m for m in alice.screen(room) if m["sender"] == "@bot:localhost"]
                assert len(said) == 1 and said[0]["content"]["msgtype"] == "m.notice", said
    run(scenario())


def test_invitations(bot, synapse, run):
    bot('greeting = "Hello, I am the bot.";', )

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "mallory") as mallory:
            room = await alice.room("bot", direct=True)
            await alice.until(lambda: any(m["text"] == "Hello, I am the bot." for m in alice.screen(room)))
            refused = await mallory.room("bot", name="Trap")
            leave = await mallory.until(lambda: [e for e in mallory.events.get(refused, [])
                                                 if e.get("state_key") == "@bot:localhost"
                                                 and e["content"]["membership"] == "leave"])
            assert "operator" in leave[0]["content"]["reason"]
    run(scenario())


def test_who_is_not_listened_to(bot, synapse, run):
    """Notices of other bots are not answered, and a room that is mute is not tried."""
    daemon = bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            notice = await alice.say(room, "#echo from a bot", msgtype="m.notice")
            emote = await alice.say(room, "#echo waves", msgtype="m.emote")
            await alice.ask(room, "#echo heard")
            assert alice.replies(room, notice) == []
            assert alice.replies(room, emote)
            levels = (await alice.do("room_get_state_event", room_id=room, event_type="m.room.power_levels"))["content"]
            await alice.do("room_put_state", room_id=room, event_type="m.room.power_levels",
                           content={**levels, "events_default": 50})
            mute = await alice.say(room, "#echo nothing")
            await alice.do("room_put_state", room_id=room, event_type="m.room.power_levels", content=levels)
            await alice.ask(room, "#echo again")
            assert alice.replies(room, mute) == []
            assert "mute" not in daemon.new_log()
    run(scenario())


def test_replaced_room_is_followed(bot, synapse, run):
    bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            old = await alice.room("bot", direct=True)
            await alice.joined(old)
            new = (await asyncio.to_thread(synapse.as_user, "alice", "POST", f"/rooms/{quote(old)}/upgrade",
                                           {"new_version": "12"}))["replacement_room"]
            await alice.do("room_invite", room_id=new, user_id="@bot:localhost")
            await alice.joined(new)
            _, answer = await alice.ask(new, "#echo moved")
            assert answer["text"] == "moved"
    run(scenario())


def test_empty_room_is_left(bot, synapse, run):
    bot("leave_empty = true;")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            await alice.ask(room, "#echo bye")
            await alice.do("room_leave", room_id=room)
            for _ in range(300):
                if room not in synapse.as_user("bot", "GET", "/joined_rooms")["joined_rooms"]:
                    return
                await asyncio.sleep(0.1)
            pytest.fail("the bot stays alone in the room")
    run(scenario())


def test_answer_grows(make_daemon, synapse, run):
    """One event and replacements of it, the last of which has all the text."""
    token = synapse.tokens.get("bot") or synapse.register("bot")
    daemon = make_daemon(accounts=", " + account(synapse, token, "edit_interval_ms = 300;"),
                         channels='{ match = "mx:*"; bot = "bo"; }', practice="delay_ms = 0; chunk_ms = 60;",
                         more='log = { level = "debug"; };').start()
    daemon.logs("mx is online")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            text = " ".join(f"word{n}" for n in range(60))
            question = await alice.say(room, "#echo " + text)
            answer = await alice.reply(room, question, text)
            print(alice.picture())
            assert answer["edits"] >= 3
            assert all(text.startswith(t) for t in answer["texts"])
            assert any(alice.typing.get(room, [])), "the bot was never seen typing"
            await alice.until(lambda: alice.typing[room][-1] == [])
            assert any(e == question and u == "@bot:localhost" for _, e, u in alice.receipts)
            _, short = await alice.ask(room, "#echo short")
            assert short["edits"] == 0
    run(scenario())


@pytest.mark.parametrize("scope", ["room", "thread", "person"])
def test_what_is_one_conversation(bot, synapse, run, scope):
    bot(f'thread = "{scope}";')

    async def scenario():
        async with Person(synapse, "alice") as alice, Person(synapse, "bob") as bob:
            room = await alice.room("bot", "bob", name="Scopes")
            await bob.do("join", room_id=room)
            await alice.joined(room)
            first, answer = await alice.ask(room, "#echo from alice", mention="bot")
            assert answer["thread"] == (first if scope == "thread" else None)
            inside = await alice.say(room, "#history", thread=first, mention="bot")
            answer = await alice.reply(room, inside, lambda t: "messages" in t)
            assert answer["thread"] == first
            assert "from alice" in answer["text"]
            other = await bob.say(room, "#history", mention="bot")
            answer = await bob.reply(room, other, lambda t: "messages" in t)
            assert ("from alice" in answer["text"]) == (scope == "room")
            long = await bob.say(room, "#len 60000", thread=first, mention="bot")
            parts = await bob.until(lambda: [m for m in bob.screen(room) if m["sender"] == "@bot:localhost"
                                             and m["id"] not in (answer["id"],)][-3:] if len(bob.screen(room)) > 8 else None)
            assert bob.replies(room, long) and all(p["thread"] == first for p in parts), parts
    run(scenario())


def ping(daemon):
    done = subprocess.run([daemon.binary, "ping", "-c", str(daemon.config)], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, [line for line in done.stdout.splitlines() if line.startswith("account mx:")][0]


def test_ping_says_what_is_wrong(bot, synapse, make_daemon, run):
    daemon = bot()
    assert ping(daemon)[0] in (0, 1)  # the web chat's listener has no fixed port
    assert ping(daemon)[1].startswith("account mx: ok")

    async def scenario():
        async with Person(synapse, "alice") as alice:
            encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
            room = await alice.room("bot", name="Vault", direct=True, initial_state=[encryption])
            await alice.joined(room)
    run(scenario())
    assert "cannot be read" in ping(daemon)[1] and "Vault" in ping(daemon)[1]
    cases = [(account(synapse, "wrong"), "the access token is not valid"),
             (account(synapse, "", 'user = "bot"; password = "wrong";'), "user or password is wrong"),
             (account(synapse, "x").replace(synapse.url, synapse.url + "/nowhere"), "is no Matrix homeserver"),
             (account(synapse, "x").replace(synapse.url, daemon.http), "is no Matrix homeserver"),
             (account(synapse, "x").replace(synapse.url, "http://127.0.0.1:9"), "connect"),
             (account(synapse, ""), "needs an access_token")]
    for settings, says in cases:
        other = make_daemon(accounts=", " + settings, channels='{ match = "mx:*"; bot = "bo"; }')
        assert says in ping(other)[1], ping(other)
    before = len(synapse.as_user("bot", "GET", "/devices")["devices"])
    right = make_daemon(accounts=", " + account(synapse, "", 'user = "bot"; password = "pw-bot";'),
                        channels='{ match = "mx:*"; bot = "bo"; }')
    assert ping(right)[1].startswith("account mx: ok")
    assert len(synapse.as_user("bot", "GET", "/devices")["devices"]) == before
