"""Lanying IM: the daemon is a user of a cloud, over its HTTP interface and one
long connection, which both go through the proxy. The cloud is the fake one of
the end-to-end tests, made from the protocol's specification."""
import contextlib
import re

from lanying.server import Server
from lanying.view import View, is_finished

from .driver import Outbound, Person
from .proxy import Proxy

PASSWORD = "long-secret-of-the-bot-0123"
SENDS_PER_SECOND = 8


class LanyingPerson(Person):
    def __init__(self, driver, name):
        self.name, self.driver = name, driver
        self.person = driver.cloud.person(name)
        self.seen = (0, [])

    def say(self, text):
        self.person.say(text, self.driver.user)

    def heard(self):
        log = self.person.user.logs.get(self.driver.user.uid, ())
        if len(log) != self.seen[0]:
            view = View(log, self.driver.cloud.record_times)
            self.seen = (len(log), [(message.text, is_finished(message)) for message in view.of(self.driver.user)])
        return self.seen[1]


class Lanying(Outbound):
    name = "lanying"
    silence_seconds = 30  # the cloud's ping interval and timeout
    links_per_try = 2     # HTTP and the long connection
    stall_seconds = 3     # of a ping, the cloud lets 5 s pass
    haste, pace = 10, 30
    text_limit = 4000
    twice_account = 'transport = "raw";'  # of Socket.IO, half of a message would come twice
    repeated = None       # who logs in a second time throws the first one out

    def __init__(self, folder, tls=None):
        super().__init__(folder, tls)
        self.cloud = self.user = None

    def server_port(self):
        return self.cloud.ports[0]

    def account(self, name, port, more=""):
        secure = "s" if self.tls else ""
        host = f"{'localhost' if self.tls else '127.0.0.1'}:{port}"
        login = "" if "password" in more else f'password = "{PASSWORD}";'
        login += "" if "username" in more else f'username = "{self.user.name}";'
        login += "" if "app_id" in more else f'app_id = "{self.cloud.world.app_id}";'
        return (f'{{ name = "{name}"; adapter = "lanying"; stream_interval = 1; {login} {more} '
                f'api_endpoint = "http{secure}://{host}"; ws_url = "ws{secure}://{host}"; }}')

    async def open_server(self):
        self.cloud = await Server().__aenter__()
        self.user = self.cloud.world.add_user("bot", password=PASSWORD, bot=True)

    async def close_server(self):
        await self.cloud.__aexit__()

    async def restart_server(self):
        self.cloud.cut()

    async def join(self, name):
        return LanyingPerson(self, name)

    @contextlib.asynccontextmanager
    async def twin(self):
        other = Lanying(self.folder)
        other.account_name, other.bot, other.cloud = "other", self.bot, self.cloud
        other.user = self.cloud.world.add_user("other", password=PASSWORD, bot=True)
        async with Proxy(self.server_port) as other.proxy:
            self.bot.configure(accounts=", ".join(d.account(d.account_name, d.proxy.port) for d in (self, other)))
            yield other

    def check(self):
        super().check()
        self.cloud.check()

    # --- what is asked of it ---
    def wrong_settings(self):
        return {
            "password": ('password = "not-the-right-one";', "password"),
            "name": ('username = "nobody";', "name|user"),
            "app": ('app_id = "nosuchapp";', "app"),
        }

    async def limit_rate(self):
        self.cloud.faults.rate = SENDS_PER_SECOND
        await self.start()

    def check_rate(self):
        sent = sum(len(self.said[person]) for person in self.people)
        assert 0 < len(self.cloud.refused) <= 3 * sent, f"{len(self.cloud.refused)} sends refused for {sent} answers"
        assert all(re.search("rate limit", reason) for _, reason in self.cloud.refused), self.cloud.refused
