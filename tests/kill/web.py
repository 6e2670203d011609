"""The web chat, where the daemon itself is the platform."""
import asyncio

from .model import answer_to
from .people import Caller, Due, Person
from .round import ANSWERED, NOTICED, SILENT, Round


def question(text):
    return Due((ANSWERED,), "".join(answer_to(text)))


def stopped(text):
    return Due((ANSWERED, NOTICED), "".join(answer_to(text)), whole=False)


COMMAND = Due((NOTICED,), in_order=False)
OVERHEARD = Due((SILENT,))


def newest_wins(text):
    """What it comes to depends on what came until it was its turn."""
    return Due((ANSWERED, SILENT), "".join(answer_to(text)))


class Web(Round):
    name, adapter = "web", "webchat"
    settings = """
bots = ( { name = "bo"; model = "m"; }, { name = "all"; model = "m"; queue = "merge"; trigger = ( "always" ); },
         { name = "new"; model = "m"; queue = "latest"; trigger = ( "always" ); } );
accounts = ( { name = "web"; adapter = "webchat"; messages_per_minute = 0; open_rooms = true; demo = true; } );
channels = ( { match = "web:merge"; bot = "all"; }, { match = "web:latest"; bot = "new"; }, { match = "web:*"; bot = "bo"; } );
"""

    def __init__(self, folder, strikes, between=None):
        super().__init__(folder, strikes, between)
        self.people = []
        self.caller = Caller(self.house, "prog")
        self.script()

    def person(self, name, room=""):
        self.people.append(Person(self.house, name, room))
        return self.people[-1]

    def script(self):
        ann = self.person("ann")
        ann.say("ann-1", "word-ann-1", question("word-ann-1"))
        ann.say("ann-2", "word-ann-2", question("word-ann-2"), until="ack")
        ann.say("ann-3", "word-ann-3", question("word-ann-3"), until="ack")
        ann.say("ann-status", "/status", COMMAND)
        ann.await_answers()
        ann.say("ann-4", "word-ann-4 break", question("word-ann-4"))
        ann.say("ann-retry", "/retry", question("word-ann-4"), until="ack")
        ann.say("ann-pin", "/pin word-pinned", COMMAND)
        ann.say("ann-pins", "/pin", Due((NOTICED,), "Pinned here:\n\n- word-pinned", in_order=False))
        ann.await_answers()
        ann.say("ann-reset", "/reset", COMMAND, until="ack")
        ann.say("ann-5", "word-ann-5", question("word-ann-5"))
        bob, cid = self.person("bob", "red"), self.person("cid", "red")
        bob.say("bob-1", "@bo word-bob-1", question("word-bob-1"))
        bob.say("bob-quiet", "not for the bot", OVERHEARD, until="ack")
        cid.say("cid-1", "@bo word-cid-1", question("word-cid-1"), until="ack")
        dan = self.person("dan")
        dan.say("dan-1", "word-dan-1 hold", stopped("word-dan-1"), until="part")
        dan.say("dan-stop", "/stop", COMMAND)
        dan.say("dan-2", "word-dan-2 hold", question("word-dan-2"), until="part")
        dan.cut()
        for name, room, due in (("eve", "merge", question), ("fay", "latest", newest_wins)):
            person = self.person(name, room)
            person.say(f"{name}-1", f"word-{name}-1 hold", due(f"word-{name}-1"), until="ack")
            person.say(f"{name}-2", f"word-{name}-2", due(f"word-{name}-2"), until="ack")
            person.say(f"{name}-3", f"word-{name}-3", question(f"word-{name}-3"))
        for person in self.people:
            person.await_answers()
        self.caller.ask("key-1", "word-prog-1")

    async def talk(self):
        await asyncio.gather(*(who.live() for who in [*self.people, self.caller]))

    async def close(self):
        await asyncio.gather(*(person.leave() for person in self.people))

    def where(self):
        return [(p.name, p.missing(), p.chat.frames[-2:]) for p in self.people if p.steps], self.caller.to_ask

    # --- the promise ---
    async def look_again(self):
        for person in self.people:
            await self.come_back(person)

    async def come_back(self, person):
        """Who comes back sees what was missed, and nothing else; who was never here sees the same."""
        seen = {f["id"] for p in self.people if p.room == person.room and (p.room or p is person) for f in p.chat.finals}
        assert seen <= {row["id"] for row in self.query("SELECT id FROM message")}, "seen, and not in the journal"
        fresh = person.twin()
        for chat in (person.chat, fresh):
            chat.url = self.house.ws
            async with chat:
                await chat.until(lambda: seen <= set(chat.finished))
        self.check_view(person, fresh)

    def check_view(self, person, fresh):
        chat = person.chat
        assert not chat.problems and not chat.errors, (chat.problems, chat.errors)
        assert set(chat.acks) == set(person.due), "not every message was acknowledged"
        assert set(chat.partial) <= set(chat.finished), "something is left unfinished"
        for own, due in person.due.items():
            assert len(person.answers(own)) in ([1] if due.answered else [0, 1]), f"{own}: {person.answers(own)}"
        ordered = [f["reply_seq"] for f in chat.finals if not self.overtakes(f)]
        assert ordered == sorted(ordered), "not in order"
        seen, stored = ({(f["id"], f["text"]) for f in finals} for finals in (chat.finals, fresh.finals))
        assert seen == stored, f"{person.name} saw {seen - stored} and not {stored - seen}"

    def overtakes(self, frame):
        return any(not due.in_order for p in self.people for own, due in p.due.items() if own == frame["reply_to"])

    def check_messages(self, asked, given):
        for person in self.people:
            for own, due in person.due.items():
                self.check_row(person, own, due, [row for row in asked if row["id"] == own], given)
        for key, replies in self.caller.replies.items():
            rows = [row for row in asked if row["id"] == key]
            assert len(rows) == 1 and rows[0]["outcome"] == ANSWERED, f"{key} is {len(rows)} times in the journal"
            texts = [row["text"] for row in given if (row["channel"], row["turn"]) == (rows[0]["channel"], rows[0]["seq"])]
            assert texts == ["".join(answer_to(rows[0]["text"]))] and set(replies) == set(texts), (key, texts, replies)
        said = sum(len(person.due) for person in self.people) + len(self.caller.replies)
        assert len(asked) == said, f"{len(asked)} messages in the journal, {said} were sent"
        turns = {(row["channel"], row["turn"]) for row in asked if row["outcome"] != SILENT}
        assert len(given) == len(turns), f"{len(given)} answers to {len(turns)} turns"

    def check_row(self, person, own, due, rows, given):
        assert len(rows) == 1, f"{own} is {len(rows)} times in the journal"
        row, = rows
        assert row["seq"] == person.chat.acks[own] and row["outcome"] in due.outcomes, (own, dict(row))
        answers = [each for each in given if (each["channel"], each["turn"]) == (row["channel"], row["turn"])]
        seen = person.answers(own)
        assert len(answers) == len(seen) == (row["outcome"] != SILENT), f"{own} has {len(answers)} answers in the journal, saw {seen}"
        for answer, frame in zip(answers, seen):
            assert (answer["id"], answer["text"], answer["seq"]) == (frame["id"], frame["text"], row["answer"]), (dict(answer), frame)
            self.check_text(person.due[frame["reply_to"]], row, answer["text"])

    @staticmethod
    def check_text(due, row, text):
        """due: of the newest of those that are answered at once."""
        if due.text and row["outcome"] == due.outcomes[0]:
            assert text == due.text or not due.whole and due.text.startswith(text), (due, dict(row), text)
