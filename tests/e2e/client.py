"""A client of the web chat that believes nothing: every frame is checked
against what the protocol promises."""
import asyncio
import json

import aiohttp

EVENT_SECONDS = 30  # for an event that must come


class Chat:
    """One visitor in one conversation. Survives its connections, as a page does:
    it remembers its visitor, the highest seq it has seen, and what was not acknowledged."""

    def __init__(self, url, **hello):
        self.url = url
        self.hello = hello
        self.session = self.ws = None
        self.visitor = hello.get("visitor")
        self.last = hello.get("last")
        self.frames = []        # everything that came, over all connections
        self.welcome = None
        self.finished = {}      # id -> final frame
        self.finals = []        # the same, in order of arrival
        self.partial = {}       # id -> latest text
        self.acks = {}          # own id -> seq
        self.unacked = {}       # own id -> frame
        self.said = {}          # own id -> how often
        self.errors = []
        self.changed = asyncio.Event()
        self.reader = None
        self.connection_seq = 0
        self.frames_awaiting_ack = {}
        self.closed_with = None
        self.problems = []

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.close()

    # --- connections ---
    async def open(self):
        """Connects, without a hello."""
        self.session = aiohttp.ClientSession()
        try:
            self.ws = await self.session.ws_connect(self.url, max_msg_size=0, autoping=True)
        except BaseException:
            await self.session.close()
            raise
        self.connection_seq = 0
        self.frames_awaiting_ack = {}
        self.closed_with = None
        self.reader = asyncio.create_task(self.read())

    async def connect(self, resume=True):
        await self.open()
        hello = {"type": "hello", **self.hello}
        if self.visitor:
            hello["visitor"] = self.visitor
        if resume and self.last is not None:
            hello["last"] = self.last
        before = self.welcome
        await self.send(hello)
        await self.until(lambda: self.welcome is not before)
        if self.last is None:
            self.last = self.welcome["last"]
        return self

    async def close(self):
        if self.ws is not None:
            await self.ws.close()
            await self.reader
            await self.session.close()
            self.ws = None
        assert not self.problems, self.problems

    async def lost(self):
        """Waits until the other side is gone."""
        await asyncio.wait_for(asyncio.shield(self.reader), EVENT_SECONDS)
        await self.session.close()
        self.ws = None

    @property
    def connected(self):
        return self.reader is not None and not self.reader.done()

    # --- sending ---
    async def send(self, frame):
        await self.ws.send_str(frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False))

    async def say(self, own_id, text, **more):
        frame = {"type": "message", "id": own_id, "text": text, **more}
        self.unacked[own_id] = frame
        self.said[own_id] = self.said.get(own_id, 0) + 1
        self.frames_awaiting_ack[own_id] = self.frames_awaiting_ack.get(own_id, 0) + 1
        await self.send(frame)

    async def ask(self, own_id, text, **more):
        """Says it and returns the finished answer."""
        await self.say(own_id, text, **more)
        return await self.answer_to(own_id)

    async def answer_to(self, own_id):
        def find():
            for frame in self.finals:
                if frame.get("reply_to") == own_id or own_id in frame.get("answers", ()):
                    return frame
            return None
        return await self.until(find)

    # --- receiving ---
    async def until(self, condition, seconds=EVENT_SECONDS):
        """Gives up when nothing at all came for that long: much may take longer."""
        while True:
            assert not self.problems, self.problems
            found = condition()
            if found:
                return found
            if self.reader.done():
                raise ConnectionError(f"closed with {self.closed_with} while waiting; last: {self.frames[-3:]}")
            self.changed.clear()
            changed = asyncio.ensure_future(self.changed.wait())
            done, _ = await asyncio.wait([changed, self.reader], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if not done:
                raise TimeoutError(f"nothing came for {seconds} s; last: {self.frames[-3:]}")

    async def read(self):
        async for message in self.ws:
            if message.type != aiohttp.WSMsgType.TEXT:
                break
            frame = json.loads(message.data)
            self.frames.append(frame)
            try:
                self.take(frame)
            except AssertionError as problem:
                self.problems.append(f"{problem} in {frame}")
            self.changed.set()
        self.closed_with = self.ws.close_code
        self.changed.set()

    def rises(self, frame):
        assert frame["seq"] > self.connection_seq, f"seq after {self.connection_seq}"
        self.connection_seq = frame["seq"]
        self.last = max(self.last or 0, frame["seq"])

    def take(self, frame):
        getattr(self, "take_" + frame["type"])(frame)

    def take_welcome(self, frame):
        self.welcome = frame
        assert self.visitor in (None, frame["visitor"]), "another visitor"
        self.visitor = frame["visitor"]

    def take_ack(self, frame):
        own = frame["id"]
        assert self.frames_awaiting_ack.get(own, 0) > 0, "an ack that nobody waits for"
        self.frames_awaiting_ack[own] -= 1
        assert self.acks.get(own, frame["seq"]) == frame["seq"], "another seq for the same message"
        # Said again after a broken connection, it may have been answered in the meantime.
        assert self.said[own] > 1 or not any(f["reply_seq"] == frame["seq"] for f in self.finals), "ack after the answer"
        if own not in self.acks:
            self.acks[own] = frame["seq"]
            self.last = max(self.last or 0, frame["seq"])
        self.unacked.pop(own, None)

    def take_message(self, frame):
        self.rises(frame)
        if not frame["done"]:
            assert frame["from"] == "bot" and frame["reply_to"] and frame["reply_seq"], "no reply_to"
            assert frame["id"] not in self.finished, "a finished message grows again"
            self.partial[frame["id"]] = frame["text"]
            return
        if frame["from"] == "bot":
            assert frame["reply_to"] and frame["reply_seq"] < frame["seq"], "reply_to"
            self.finish(frame)
        elif frame["from"] == "you":
            assert frame["client_id"], "client_id"

    def take_edit(self, frame):
        self.rises(frame)
        assert frame["id"] in self.partial, "an edit of an unknown message"
        assert frame["id"] not in self.finished, "an edit after done"
        self.partial[frame["id"]] = frame["text"]
        if frame["done"]:
            begun = next(f for f in reversed(self.frames) if f["type"] == "message" and f["id"] == frame["id"])
            self.finish({**begun, **frame, "type": "message"})

    def finish(self, frame):
        known = self.finished.get(frame["id"])
        assert known is None or self.hello.get("again"), "finished twice"
        self.finished[frame["id"]] = frame
        self.finals.append(frame)

    def take_typing(self, frame):
        assert isinstance(frame["on"], bool) and frame["from"]

    def take_error(self, frame):
        assert frame["code"] in ("bad_frame", "too_long", "rate", "busy", "full", "unauthorized") and frame["text"]
        self.errors.append(frame)
