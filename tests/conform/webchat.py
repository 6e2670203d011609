"""The web chat: the daemon is the platform, and people are on the other side
of the proxy. Whoever connects is a client of this project: `warbler chat` where
its way of coming back is asked about, else one that checks every frame."""
import asyncio
import os
import pty
import re
import subprocess

import aiohttp

import client
import raw
from conftest import binary, hastened

from .driver import Driver, Pause, Person
from .proxy import DOWN

AGAIN_SECONDS = 0.05  # before a person connects again, or says again what was refused


class Chat(client.Chat):
    """doubled: whatever it sends comes twice to the daemon, which answers twice then."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.doubled = False
        self.refused = []  # ids of messages that were not taken

    def take_ack(self, frame):
        if self.doubled:
            self.frames_awaiting_ack[frame["id"]] = 1
            self.said[frame["id"]] = 2
        super().take_ack(frame)

    def take_error(self, frame):
        if self.doubled and frame["text"] == "hello was said already":
            return
        super().take_error(frame)
        if "id" in frame:
            self.refused.append(frame["id"])


class WebPerson(Person):
    """As the page does: comes back when the connection is lost, and says again what was not acknowledged."""

    def __init__(self, driver, name):
        self.name = name
        self.chat = Chat(f"ws://127.0.0.1:{driver.proxy.port}/chat/ws", name=name, last=0)
        self.ids = []   # of what was said
        self.due = []   # ids that are to be sent now
        self.wake = asyncio.Event()
        self.task = asyncio.create_task(self.live())

    async def live(self):
        while True:
            try:
                await self.chat.connect()
                self.due = list(self.chat.unacked)
                await self.talk()
            except (OSError, aiohttp.ClientError, asyncio.TimeoutError):
                pass
            finally:
                if self.chat.session:
                    await self.chat.session.close()
            await asyncio.sleep(AGAIN_SECONDS)

    async def talk(self):
        while self.chat.connected:
            due, self.due = self.due, []
            for own in due:
                if own in self.chat.unacked:
                    await self.chat.say(own, self.chat.unacked[own]["text"])
            refused, self.chat.refused = self.chat.refused, []
            self.due += refused
            if not self.due:
                self.wake.clear()
            waking = asyncio.ensure_future(self.wake.wait())
            await asyncio.wait([waking, self.chat.reader], timeout=AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()

    def say(self, text):
        own = f"{self.name}-{len(self.ids)}"
        self.ids.append(own)
        self.chat.unacked[own] = {"text": text}
        self.due.append(own)
        self.wake.set()

    def in_order(self, answers):
        """What was refused at first stands where it was taken."""
        return [answer for _, answer in sorted(zip((self.chat.acks[own] for own in self.ids), answers))]

    def heard(self):
        finished = [(frame["text"], True) for frame in self.chat.finals]
        return finished + [(text, False) for key, text in self.chat.partial.items() if key not in self.chat.finished]

    def check(self):
        assert not self.chat.problems, self.chat.problems
        if self.task.done():
            self.task.result()

    async def leave(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def move(self):
        """To another connection."""
        await self.leave()
        self.task = asyncio.create_task(self.live())


class Terminal:
    """`warbler chat` at a pseudo terminal: it never gives up."""

    def __init__(self, url, folder, env):
        self.fd, theirs = pty.openpty()
        kept = {name: value for name, value in os.environ.items() if not re.match("LC_|LANG|XDG_", name)}
        self.process = subprocess.Popen([binary(), "chat", "--url", url], stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True,
                                        env={**kept, **env, "LC_ALL": "C", "NO_COLOR": "1", "XDG_STATE_HOME": str(folder)})
        os.close(theirs)
        os.set_blocking(self.fd, False)
        self.seen = b""

    def read(self):
        try:
            while data := os.read(self.fd, 65536):
                self.seen += data
        except OSError:  # nothing now, or the other end is closed
            pass
        return self.seen.decode(errors="replace")

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        assert "Sanitizer" not in self.read(), self.read()
        os.close(self.fd)


class Webchat(Driver):
    name = "webchat"
    brisk = True
    out = DOWN
    silence_seconds = 75
    first_pause, longest_pause, calm = 0.5, 15, 5
    absent = {
        "TLS: trusts few, and comes back when it breaks off": "the listener speaks no TLS; that is the reverse proxy's",
        "splits what is too long": "a message of the web chat may be of any length",
        "two accounts apart from each other": "a listener has room for one web chat, and says so to a second",
    }

    def __init__(self, folder, tls=None):
        super().__init__(folder, tls)
        self.terminal = None

    def server_port(self):
        return self.bot.port

    def account(self, name, port, more=""):
        limits = "" if "messages_per_minute" in more else "messages_per_minute = 0;"
        return f'{{ name = "{name}"; adapter = "webchat"; max_connections_per_address = 0; {limits} {more} }}'

    async def restart_server(self):
        await self.kill()
        await self.start()

    async def start(self, haste=1):
        await super().start(haste)
        self.configure(**self.settings)  # with the port that it has now, for the next start

    async def stop_all(self):
        if self.terminal:
            self.terminal.close()
            self.terminal = None
        if self.bot.running:
            await self.stop()

    async def close_server(self):
        if self.terminal:
            self.terminal.close()

    async def join(self, name):
        return WebPerson(self, name)

    # --- who connects ---
    async def connect(self, haste=1):
        if not self.bot.running:
            await self.start(haste)
        self.terminal = Terminal(f"ws://127.0.0.1:{self.proxy.port}", self.folder, hastened(haste))

    def times_connected(self):
        return len(re.findall("Connected (?:to|again)", self.terminal.read()))

    def times_lost(self):
        return self.terminal.read().count("Disconnected")

    async def connected(self):
        times = self.times_connected()
        await self.until(lambda: self.times_connected() > times, "warbler chat connects")

    async def come_back(self, person):
        links = len(self.proxy.links)
        await person.move()
        await self.until(lambda: len(self.proxy.links) > links, f"{person.name} comes back")

    def pauses(self, haste):
        links = self.proxy.links
        return [Pause((after.begun - before.over) * haste, 0, (before.over - before.begun) * haste if before.passed[DOWN] else 0)
                for before, after in zip(links, links[1:]) if before.over]

    # --- what is asked of it ---
    async def wrong_credentials(self):
        await self.start()
        for visitor in ("v" + "0" * 32, "v", "c" + "0" * 32, "", "v" * 1000):
            async with raw.Raw(self.proxy.port) as c:
                answer = await c.hello(visitor=visitor)
                assert answer["code"] == "unauthorized" and "visitor is not known" in answer["text"], answer
                assert await c.closed() == 1008
        async with raw.Raw(self.proxy.port) as c:
            answer = await c.hello(room="not-for-you")
            assert answer["code"] == "unauthorized" and "no such room" in answer["text"], answer
            assert await c.closed() == 1008
        self.configure(account='tokens = ("the-right-one-of-the-program");')
        await self.stop()
        await self.start()
        url = f"http://127.0.0.1:{self.proxy.port}/chat"
        async with aiohttp.ClientSession() as session:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic the-right-one-of-the-program"}):
                async with session.post(url, json={"message": "#echo x"}, headers=headers) as answer:
                    body = await answer.json()
                    assert answer.status == 401 and body["error"]["code"] == "unauthorized", body

    async def limit_rate(self):
        self.configure(account="messages_per_minute = 3;")
        await self.start(20)

    def check_rate(self):
        for person in self.people:
            assert any(e["code"] == "rate" for e in person.chat.errors), person.chat.errors

    async def growing(self, person):
        await self.until(lambda: any(not finished for _, finished in person.heard()), "an answer grows")

    def expect_twice(self):
        for person in self.people:
            person.chat.doubled = True
