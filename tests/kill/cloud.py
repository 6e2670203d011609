"""Lanying IM: the daemon is a user of somebody else's cloud, so that its answers
go through the outbox. The cloud is the one of the end-to-end tests."""
import asyncio
import os

from lanying.server import Server
from lanying.view import is_finished

from .model import answer_to
from .round import ANSWERED, SILENT, WITHDRAWN, Round

PASSWORD = "long-secret-of-the-bot-0123"
HASTE = 10  # an answer that grows there takes a second or more, and so does coming back
LOOK_SECONDS = 0.01


class Cloud(Round):
    name, adapter = "cloud", "lanying"
    settings = f"""
bots = ( {{ name = "bo"; model = "m"; trigger = ( "direct", "mention" ); }} );
accounts = ( {{ name = "ly"; adapter = "lanying"; app_id = "kazbcbeqgmjl"; username = "bot"; password = "{PASSWORD}";
               api_endpoint = "http://127.0.0.1:{{port}}"; ws_url = "ws://127.0.0.1:{{port}}"; stream_interval = 1; }} );
channels = ( {{ match = "ly:*"; bot = "bo"; }} );
"""

    def __init__(self, folder, strikes, between=None):
        super().__init__(folder, strikes, between)
        self.env = {"LD_PRELOAD": os.environ["WARBLER_HASTEN"], "HASTEN": str(HASTE)}
        self.cloud = self.bot = self.group = None
        self.asked = {}    # (person, where, id of the question) -> how many answers it may have, and the texts of one
        self.awaited = ""

    async def open(self):
        self.cloud = await Server().__aenter__()
        self.bot = self.cloud.world.add_user("bot", password=PASSWORD, bot=True)
        self.ann, self.bob = self.cloud.person("ann"), self.cloud.person("bob")
        self.group = self.cloud.world.add_group("birds", self.ann.user, self.bob.user, self.bot)
        return self.cloud.ports[0]

    async def close(self):
        if self.cloud:
            await self.cloud.__aexit__()

    # --- what people do ---
    def ask(self, person, text, counts=(1,), to=None, **more):
        to = to or self.bot
        mid = person.say(text, to, **more)
        self.asked[person, to, mid] = (counts, {"".join(answer_to(text))})
        return person, to, mid

    def answers(self, question):
        person, to, mid = question
        return person.view(to).answers_to(mid, self.bot)

    async def until(self, what, condition):
        while not condition():
            self.awaited = what
            await asyncio.sleep(LOOK_SECONDS)

    async def edit(self, question, text):
        """The cloud hands an edit out once, and a look back tells nothing of it: who is killed, or loses the connection,
        before it is on disk never learns of it. So then the answer may stay as it is, too; nothing else may become of it."""
        person, to, mid = question
        logins = len(self.cloud.sessions)
        counts, texts = self.asked[question]
        self.asked[question] = (counts, {*texts, "".join(answer_to(text))})
        person.replace(mid, to, text)
        await self.until(f"another answer to {question}",
                         lambda: len(self.cloud.sessions) > logins or self.answers(question)[0].text not in texts)

    async def answered(self, question):
        await self.until(f"the answer to {question}", lambda: any(map(is_finished, self.answers(question))))

    async def begun(self, question):
        await self.until(f"the beginning of {question}", lambda: self.answers(question))

    async def talk_in_private(self):
        await self.answered(self.ask(self.ann, "word-ann-1"))
        several = [self.ask(self.ann, f"word-ann-{n}") for n in (2, 3)]
        await self.answered(several[-1])
        edited = self.ask(self.ann, "word-ann-4 break")
        await self.answered(edited)
        await self.edit(edited, "word-ann-new")
        withdrawn = self.ask(self.ann, "word-ann-5 hold", counts=(0, 1))
        await self.begun(withdrawn)
        self.ann.recall(withdrawn[-1], self.bot)
        await self.answered(self.ask(self.ann, "word-ann-6"))

    async def talk_in_the_group(self):
        mention = {"to": self.group, "mention": [self.bot]}
        await self.answered(self.ask(self.bob, "@bot word-bob-1", **mention))
        self.ask(self.bob, "nobody is meant word-bob-quiet", counts=(0,), to=self.group)
        self.cloud.cut()
        await self.answered(self.ask(self.bob, "@bot word-bob-2", **mention))

    async def talk(self):
        await asyncio.gather(self.talk_in_private(), self.talk_in_the_group())

    def where(self):
        return self.awaited

    # --- the promise ---
    def is_right(self, question):
        counts, texts = self.asked[question]
        answers = self.answers(question)
        return len(answers) in counts and all(is_finished(answer) and answer.text in texts for answer in answers)

    async def look_again(self):
        await self.until("an empty outbox and no question that waits",
                         lambda: not self.query("SELECT 1 FROM outbox UNION SELECT 1 FROM message WHERE kind = 1 AND outcome = 0"))

    def check_messages(self, asked, given):
        for question in self.asked:
            assert self.is_right(question), f"{question}: {self.asked[question]}, but {self.answers(question)}"
        for person, to in ((self.ann, self.bot), (self.bob, self.group)):
            view = person.view(to)
            mids = [mid for who, where, mid in self.asked if where is to]
            extra = [seen for seen in view.of(self.bot) if seen.answers not in mids]
            assert not extra, f"nobody asked for {extra}"
            order = [mids.index(seen.answers) for seen in view.of(self.bot)]
            assert order == sorted(order), f"not in order: {order}"
        assert all(row["outcome"] in (ANSWERED, SILENT, WITHDRAWN) for row in asked), [dict(row) for row in asked]
        self.cloud.check()
