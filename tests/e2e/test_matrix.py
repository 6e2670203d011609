"""The bot in rooms of a real Synapse, with people whose client is matrix-nio."""
import pytest

from matrix import Person, account, one_synapse  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow


@pytest.fixture(name="bot")
def running_bot(make_daemon, synapse):
    """A daemon whose Matrix account is a user of its own."""
    token = synapse.tokens.get("bot") or synapse.register("bot")

    def start(more="", **settings):
        daemon = make_daemon(accounts=", " + account(synapse, token, more),
                             channels='{ match = "mx:*"; bot = "bo"; }', **settings)
        daemon.start()
        daemon.logs("mx is online")
        return daemon
    return start


def test_invited_and_asked(bot, synapse, run):
    bot()

    async def scenario():
        async with Person(synapse, "alice") as alice:
            room = await alice.room("bot", direct=True)
            await alice.joined(room)
            _, answer = await alice.ask(room, "#echo hello from Matrix")
            print(alice.picture())
            assert answer["text"] == "hello from Matrix"
    run(scenario())
