"""A cloud, a few people, and the daemon as a user of that cloud."""
import asyncio

import pytest

from conftest import Daemon, hastened

from .server import EVENT_SECONDS, Server
from .view import is_finished

PASSWORD = "long-secret-of-the-bot-0123"
TRIGGER = 'trigger = ("direct", "mention", "reply");'


class LanyingDaemon(Daemon):
    """Its configuration has one account more."""

    def __init__(self, folder, stage, settings, release=False):
        self.stage = stage
        super().__init__(folder, settings, release)

    def configure(self, account="", bot="", bots="", channels="", practice="delay_ms = 0; chunk_ms = 0;", more="", reach=None,
                  login=None, app_id=None, log="debug"):
        """account: more settings of it; reach, login: instead of discovery at the cloud, instead of name and password."""
        cloud = self.stage.cloud
        reach = f'dns_url = "{cloud.url}";' if reach is None else reach
        login = f'username = "{self.stage.bot.name}"; password = "{PASSWORD}";' if login is None else login
        if "trigger" not in bot:
            bot += TRIGGER
        if "stream_interval" not in account:
            account += "stream_interval = 1;"
        self.config.write_text(f"""
data_dir = "data";
listen = {{ address = "127.0.0.1"; port = {self.port}; }};
log = {{ level = "{log}"; }};
models = ( {{ name = "p"; api = "practice"; practice = {{ {practice} }}; }} );
bots = ( {{ name = "bo"; model = "p"; {bot} }} {bots} );
accounts = ( {{ name = "ly"; adapter = "lanying"; app_id = "{app_id or cloud.world.app_id}"; {reach} {login} {account} }} );
channels = ( {channels} {{ match = "ly:*"; bot = "bo"; }} );
{more}
""")
        self.config.chmod(0o600)


class Stage:
    def __init__(self, folder, cloud, release=False, haste=1, **settings):
        self.cloud, self.world = cloud, cloud.world
        self.haste = haste
        self.bot = self.world.add_user("bot", password=PASSWORD, bot=True)
        self.alice, self.carol = cloud.person("alice"), cloud.person("carol")
        self.group = self.world.add_group("birds", self.alice.user, self.carol.user, self.bot)
        folder.mkdir()
        self.daemon = LanyingDaemon(folder, self, settings, release)
        self.asked = {}  # person and conversation -> {question: its answer}

    # --- the daemon ---
    async def start(self):
        await asyncio.to_thread(self.daemon.start, hastened(self.haste))
        return self

    async def online(self):
        """Starts it and waits until it has logged in."""
        number = len(self.cloud.sessions)
        await self.start()
        return await self.cloud.login(self.bot, after=number)

    async def stop(self):
        await asyncio.to_thread(self.daemon.stop)

    async def kill(self):
        await asyncio.to_thread(self.daemon.kill)

    async def logs(self, text):
        await asyncio.to_thread(self.daemon.logs, text)

    async def drop(self):
        """Cuts the connection and waits for the next one."""
        number = len(self.cloud.sessions)
        self.cloud.cut()
        return await self.cloud.login(self.bot, after=number)

    # --- the people ---
    def tell(self, person, text, expected=None, to=None, **more):
        """Asks without waiting. expected: the answer, as check() will want it; None: any."""
        to = to or self.bot
        mid = person.say(text, to, **more)
        self.asked.setdefault((person, to), {})[mid] = expected
        return mid

    def answers(self, person, mid, to=None):
        return person.view(to or self.bot).answers_to(mid, self.bot)

    async def answer(self, person, mid, to=None, seconds=EVENT_SECONDS):
        """Waits for the finished answer."""
        def found():
            return next(filter(is_finished, self.answers(person, mid, to)), None)
        return await self.cloud.until(found, seconds, f"the answer to {mid}")

    async def ask(self, person, text, expected=None, to=None, **more):
        mid = self.tell(person, text, expected, to, **more)
        return await self.answer(person, mid, to)


@pytest.fixture
def lanying(tmp_path, run):
    """Plays a scenario: lanying(scenario, settings of the daemon, cloud=settings of the cloud). The cloud must have
    had nothing to complain about, unless complaints is true. haste: how much faster the daemon's seconds pass."""

    def play(scenario, cloud=None, seconds=180, complaints=False, release=False, haste=1, **settings):
        async def play_it():
            async with Server(**(cloud or {})) as server:
                stage = Stage(tmp_path / "lanying", server, release, haste, **settings)
                try:
                    await scenario(stage)
                    await stage.stop()
                finally:
                    if stage.daemon.process and stage.daemon.process.poll() is None:
                        stage.daemon.process.kill()
                if not complaints:
                    server.check()
                log = stage.daemon.log.read_text(errors="replace") if stage.daemon.log.exists() else ""
                assert PASSWORD not in log and not any(token in log for token in server.world.tokens)
        run(play_it(), seconds)

    return play
