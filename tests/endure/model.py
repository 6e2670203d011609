"""A model server that says what it was given to read: all secret words of the
request, and the mark (#…) of the question. So whatever gets into a request of
another conversation also gets into an answer there. Fast, because it answers
a hundred thousand questions beside those who ask them."""
import asyncio
import collections
import json
import re

from .words import WORD

MARK = re.compile(r"#[a-z0-9-]+")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
REQUEST_BYTES_MAX = 16 << 20
SLOW_PIECES = 40           # of an answer that is asked for slowly
SLOW_SECONDS = 0.025       # between two of them
PIECE_SECONDS = 0.002
SILENT_SECONDS = 20        # longer than anybody waits
SLOW = "slowly"            # in a question
FAULTS = ("500", "429", "html", "cut", "closed", "stall", "silent", "slow")


def whole(status, body, more=""):
    return (f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def event(text, finish=None):
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    data = b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


def usage(prompt):
    data = b'data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":9,"total_tokens":%d}}\n\ndata: [DONE]\n\n' % (
        prompt, prompt + 9)
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer_to(text, messages):
    """In pieces. text: of the whole request."""
    words = sorted({found[0] for found in WORD.finditer(text)}) or ["nothing"]
    marks = MARK.findall(messages[-1]["content"])
    return ["I read ", *(word + " " for word in words), marks[-1] if marks else "", "."]


class Connection(asyncio.Protocol):
    def __init__(self, model):
        self.model = model
        self.transport = None
        self.rest = b""
        self.task = None

    def connection_made(self, transport):
        self.transport = transport
        self.model.connections.add(self)

    def connection_lost(self, _):
        self.model.connections.discard(self)
        if self.task:
            self.task.cancel()

    def data_received(self, data):
        self.rest += data
        assert len(self.rest) <= REQUEST_BYTES_MAX
        head, end, body = self.rest.partition(b"\r\n\r\n")
        length = int(LENGTH.search(head)[1]) if end else 0
        if end and len(body) >= length:
            self.rest = body[length:]
            self.serve(body[:length].decode())

    def serve(self, text):
        model = self.model
        request = json.loads(text)
        model.hear(text)
        model.asked_by[request["model"]] += 1
        pieces = model.answer(text, request["messages"])
        fault = model.fault()
        slow = SLOW in request["messages"][-1]["content"]
        if fault or slow:
            self.task = asyncio.ensure_future(self.go_wrong(fault or "slow", pieces, len(text)))
        else:
            self.transport.write(HEAD + b"".join(map(event, pieces)) + event(None, "stop") + usage(len(text) // 4) + END)

    async def go_wrong(self, fault, pieces, size):
        send = self.transport.write
        if fault == "500":
            send(whole(500, '{"error":{"message":"something broke"}}'))
        elif fault == "429":
            send(whole(429, '{"error":{"message":"too many"}}', "Retry-After: 1\r\n"))
        elif fault == "html":
            send(whole(200, "<html>Back soon.</html>"))
        elif fault == "closed":
            self.transport.close()
        elif fault == "cut":
            send(HEAD + event(pieces[0]))
            await asyncio.sleep(PIECE_SECONDS)
            self.transport.abort()
        elif fault in ("silent", "stall"):
            if fault == "stall":
                send(HEAD + event(pieces[0]))
            await asyncio.sleep(SILENT_SECONDS)
            self.transport.abort()
        else:
            await self.slowly(pieces, size)

    async def slowly(self, pieces, size):
        self.transport.write(HEAD)
        for piece in [*pieces[:-1], *["and so on "] * SLOW_PIECES, pieces[-1]]:
            self.transport.write(event(piece))
            await asyncio.sleep(SLOW_SECONDS)
        self.transport.write(event(None, "stop") + usage(size // 4) + END)


class Model:
    """An async context manager. hear: is told the text of each request; dice and share: of the requests, how many go wrong."""

    def __init__(self, hear=lambda text: None, dice=None, share=0):
        self.hear, self.dice, self.share = hear, dice, share
        self.server = None
        self.port = 0
        self.connections = set()
        self.asked = 0
        self.asked_by = collections.Counter()  # by the model's name
        self.faults = dict.fromkeys(FAULTS, 0)

    async def __aenter__(self):
        self.server = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    def fault(self):
        """What is to go wrong now; None: nothing."""
        self.asked += 1
        if not self.share or self.dice.random() >= self.share:
            return None
        fault = self.dice.choice(FAULTS)
        self.faults[fault] += 1
        return fault

    def answer(self, text, messages):
        return answer_to(text, messages)


class Mixing(Model):
    """One that now and then gives what it read in another request: the proof that such a thing is seen."""
    EVERY = 20

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.before = []

    def answer(self, text, messages):
        pieces = answer_to(text, messages)
        words, self.before = self.before, [piece for piece in pieces if WORD.match(piece)] or self.before
        return pieces[:-1] + words + pieces[-1:] if self.asked % self.EVERY == self.EVERY - 1 else pieces
