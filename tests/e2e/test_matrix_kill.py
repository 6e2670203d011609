"""The promise of exactly one answer, in Matrix: the bot is killed, the homeserver
restarts and the way between them is cut while people ask."""
import asyncio
import random
import urllib.error

import pytest

from hurdle import Hurdle
from matrix import Synapse, account, quote

pytestmark = pytest.mark.slow

ROOMS = 10
SHORT = {"questions": 50, "kills": 5, "restarts": 1, "cut_after": 5, "cut_seconds": 6}
LONG = {"questions": 200, "kills": 20, "restarts": 5, "cut_after": 20, "cut_seconds": 30}
SETTLE_SECONDS = 180
BOT = "@bot:localhost"


@pytest.fixture(name="world")
def a_world(make_daemon, tmp_path):
    folder = tmp_path / "synapse"
    folder.mkdir()
    synapse = Synapse(folder)
    synapse.start()
    for user in ("bot", "alice"):
        synapse.register(user)
    way = Hurdle(synapse.port)
    daemon = make_daemon(accounts=", " + account(synapse, synapse.tokens["bot"]).replace(str(synapse.port), str(way.port)),
                         channels='{ match = "mx:*"; bot = "bo"; }', bot="queue_max = 1000;",
                         practice="delay_ms = 20; chunk_ms = 20;")
    yield daemon, synapse, way
    way.stop()
    synapse.stop()


def say(synapse, room, text, txn):
    return synapse.as_user("alice", "PUT", f"/rooms/{quote(room)}/send/m.room.message/{txn}",
                           {"msgtype": "m.text", "body": text})["event_id"]


async def say_surely(synapse, room, text, txn):
    """Whatever happens to the homeserver."""
    while True:
        try:
            return await asyncio.to_thread(say, synapse, room, text, txn)
        except (urllib.error.URLError, ConnectionError):
            await asyncio.sleep(0.2)


def judge(synapse, room, asked):
    """(missing, wrong): what is not as it must be in this room."""
    answers, order, wrong = {}, [], []
    for event in synapse.messages("alice", room):
        content, relates = event["content"], event["content"].get("m.relates_to") or {}
        if event["type"] != "m.room.message" or event["sender"] != BOT:
            continue
        if relates.get("rel_type") == "m.replace":
            for a in answers.values():
                if a["id"] == relates["event_id"]:
                    a["text"] = content["m.new_content"]["body"]
            continue
        question = relates.get("m.in_reply_to", {}).get("event_id")
        if question in answers:
            wrong.append(f"answered twice: {content['body']}")
        if question not in asked:
            wrong.append(f"nobody asked for: {content['body']}")
        answers[question] = {"id": event["event_id"], "text": content["body"]}
        order.append(question)
    wrong += [f"{answers[q]['text']!r} instead of {text!r}" for q, text in asked.items()
              if q in answers and answers[q]["text"] != text]
    missing = [text for q, text in asked.items() if q not in answers]
    if not missing and order != list(asked):
        wrong.append("not in order")
    return missing, wrong


@pytest.mark.parametrize("much", [SHORT, pytest.param(LONG, marks=pytest.mark.long)], ids=["short", "long"])
def test_one_answer_whatever_happens(world, run, much):
    daemon, synapse, way = world
    rooms = [synapse.as_user("alice", "POST", "/createRoom", {"invite": [BOT], "is_direct": True})["room_id"] for _ in range(ROOMS)]
    for room in rooms:
        synapse.as_user("bot", "POST", f"/join/{quote(room)}", {})
        say(synapse, room, "#echo from before the first start", "before")
    daemon.start()
    daemon.logs("mx is online")
    asked = {room: {} for room in rooms}
    dice = random.Random(7)

    async def people(done):
        for n in range(much["questions"]):
            room = rooms[n % ROOMS]
            text = f"answer {n} " + "word " * dice.randint(0, 30) + "end"
            asked[room][await say_surely(synapse, room, f"#echo {text}", f"q{n}")] = text
            await asyncio.sleep(0.4)
        done.set()

    async def killer(done):
        for _ in range(much["kills"]):
            await asyncio.sleep(dice.uniform(0.5, 5))
            await asyncio.to_thread(daemon.kill)
            await asyncio.to_thread(daemon.start)
        await done.wait()

    async def restarter():
        for _ in range(much["restarts"]):
            await asyncio.sleep(dice.uniform(4, 12))
            await asyncio.to_thread(synapse.stop)
            await asyncio.to_thread(synapse.start)

    async def cutter():
        await asyncio.sleep(much["cut_after"])
        way.set("cut")
        await asyncio.sleep(much["cut_seconds"])
        way.set("pass")

    async def scenario():
        done = asyncio.Event()
        await asyncio.gather(people(done), killer(done), restarter(), cutter())
        state = {}
        for _ in range(SETTLE_SECONDS):
            state = {room: await asyncio.to_thread(judge, synapse, room, asked[room]) for room in rooms}
            if not any(missing for missing, _ in state.values()):
                break
            await asyncio.sleep(1)
        await asyncio.sleep(3)  # for a second answer, if there were one
        state = {room: await asyncio.to_thread(judge, synapse, room, asked[room]) for room in rooms}
        print(f"{sum(len(a) for a in asked.values())} questions in {ROOMS} rooms: {much['kills']} kills of the bot, {much['restarts']} restarts "
              f"of Synapse, {much['cut_seconds']} s without a way between them; "
              f"{sum(len(m) for m, _ in state.values())} unanswered, {sum(len(w) for _, w in state.values())} wrong")
        assert not any(missing or wrong for missing, wrong in state.values()), state
    run(scenario(), 900)
