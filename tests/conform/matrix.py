"""Matrix: the daemon is a user of a real Synapse, and people talk to it
through matrix-nio, directly; the bot goes through the proxy. One homeserver and
one such client serve all behaviours; each has a bot and rooms of its own."""
import asyncio
import contextlib

import matrix

from .driver import Outbound, Person
from .proxy import DOWN, Proxy

LIMITED = {"per_second": 2, "burst_count": 2}  # messages of a user
REFUSED = b"HTTP/1.1 429"


class MatrixPerson(Person):
    """A room with the bot. All are of one user: what makes a conversation is the room."""

    def __init__(self, driver, name, room):
        self.driver, self.name, self.room = driver, name, room
        self.to_say = asyncio.Queue()
        self.task = asyncio.create_task(self.speak())

    async def speak(self):
        while True:
            await self.driver.client.say(self.room, await self.to_say.get())

    def say(self, text):
        self.to_say.put_nowait(text)

    def heard(self):
        """Only who asked knows whether a text is complete: an edit does not say."""
        due = set(self.driver.said.get(self, ()))
        said = [m["text"] for m in self.driver.client.screen(self.room) if m["sender"] == self.driver.user_id]
        return [(text, not due or text in due or len(text) > 1000) for text in said]

    def check(self):
        if self.task.done():
            self.task.result()

    async def leave(self):
        self.task.cancel()


class Matrix(Outbound):
    name = "matrix"
    slow = True
    silence_seconds = 30   # the long poll's and the grace after it
    links_per_try = 3
    haste = pace = 4       # faster, it would not wait for the end of a long poll that the server keeps in real time
    text_limit = 60000
    repeated = b"PUT "     # messages among them; a long poll would only hold up the rest

    server = None

    def __init__(self, folder, tls=None):
        super().__init__(folder, tls)
        self.client = None
        self.user = self.token = self.refused = None

    # --- the homeserver ---
    @classmethod
    def begin(cls, folder):
        for counterpart in ("synapse", "nio"):
            matrix.fetch(counterpart)
        cls.server = matrix.Synapse(folder).start()
        cls.server.users = 0

    @classmethod
    def end(cls):
        cls.server.stop()

    def server_port(self):
        return self.server.port

    def new_user(self):
        self.server.users += 1
        name = f"bot{self.server.users}"
        return name, self.server.register(name)

    async def open_server(self):
        self.user, self.token = await asyncio.to_thread(self.new_user)
        self.client = await matrix.Person(self.server, "alice").__aenter__()

    async def close_server(self):
        await self.client.__aexit__()
        if self.refused:  # there were limits
            self.server.configure()
            await self.restart_server()

    async def restart_server(self):
        await asyncio.to_thread(self.server.stop)
        await asyncio.to_thread(self.server.start)

    @property
    def user_id(self):
        return f"@{self.user}:{matrix.NAME}"

    def account(self, name, port, more=""):
        scheme, host = ("https", "localhost") if self.tls else ("http", "127.0.0.1")
        login = "" if "access_token" in more or "password" in more else f'access_token = "{self.token}";'
        url = "" if "homeserver" in more else f'homeserver = "{scheme}://{host}:{port}";'
        return (f'{{ name = "{name}"; adapter = "matrix"; {url} {login} invite = {{ allow = ( "@*:{matrix.NAME}" ); }}; '
                f'edit_interval_ms = 250; {more} }}')

    async def join(self, name):
        room = await self.client.room(self.user, direct=True)
        await self.client.joined(room, self.user)
        return MatrixPerson(self, name, room)

    @contextlib.asynccontextmanager
    async def twin(self):
        other = Matrix(self.folder)
        other.account_name, other.bot, other.client = "other", self.bot, self.client
        other.user, other.token = await asyncio.to_thread(self.new_user)
        async with Proxy(self.server_port) as other.proxy:
            self.bot.configure(accounts=", ".join(d.account(d.account_name, d.proxy.port) for d in (self, other)))
            yield other

    # --- what is asked of it ---
    def wrong_settings(self):
        return {
            "password": (f'user = "{self.user}"; password = "not-the-right-one";', "password"),
            "name": ('user = "nobody"; password = "pw-nobody";', "password|user"),
            "token": ('access_token = "syt_Ym90_nonsense_123456";', "token"),
        }

    async def limit_rate(self):
        self.server.configure(rc_message=LIMITED)
        await self.restart_server()
        admin = self.server.tokens.get("root") or await asyncio.to_thread(self.server.register, "root", True)
        await asyncio.to_thread(self.server.call, "POST", f"/_synapse/admin/v1/users/{self.client.id}/override_ratelimit",
                                {"messages_per_second": 0, "burst_count": 0}, admin)
        self.refused = self.proxy.watch(DOWN, REFUSED)
        await self.start()

    def check_rate(self):
        sent = sum(len(self.said[person]) for person in self.people)
        assert 0 < self.refused.count <= 3 * sent, f"{self.refused.count} sends refused for {sent} answers"
