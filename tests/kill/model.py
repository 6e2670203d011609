"""A model server whose answer depends on nothing but the question's word, so
that an answer given twice, or to somebody else, is told from the right one."""
import asyncio
import contextlib
import json
import re
import socket

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HOLD_SECONDS = 0.2    # that a question with "hold" lets the rest of its answer wait, unless somebody hangs up
CHUNK_SECONDS = 0.002
WORD = re.compile(r"word-[a-z0-9-]+")


def answer_to(text):
    """The answer, in pieces; None to what is no question. Unanswered talk may stand before the question."""
    words = WORD.findall(text)
    return ["I heard", " you say ", words[-1], "."] if words else None


def event(text, finish=None):
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    data = b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


class Model:
    def __init__(self):
        self.server = None
        self.port = 0
        self.writers = set()
        self.restarts = 0
        self.problems = []

    async def open(self):
        listener = socket.create_server(("127.0.0.1", self.port))  # at once: retries may be quick
        self.port = listener.getsockname()[1]
        self.server = await asyncio.start_server(self.serve, sock=listener)

    def close(self):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def restart(self):
        self.restarts += 1
        self.close()
        await self.open()

    async def serve(self, reader, writer):
        self.writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(re.search(r"content-length: (\d+)", head, re.I)[1])
                body = json.loads(await reader.readexactly(length))
                await self.answer(reader, writer, body["messages"][-1]["content"])
        self.writers.discard(writer)
        writer.close()

    async def answer(self, reader, writer, text):
        pieces = answer_to(text)
        if not pieces:
            self.problems.append(f"the model was asked {text!r}")
            raise ConnectionError
        writer.write(HEAD + event(pieces[0]))
        if "break" in text and not self.restarts:
            await asyncio.sleep(CHUNK_SECONDS)
            await self.restart()
        if "hold" in text:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(1), HOLD_SECONDS)
                raise ConnectionError("hung up")
        for piece in pieces[1:]:
            await asyncio.sleep(CHUNK_SECONDS)
            writer.write(event(piece))
        writer.write(event(None, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
