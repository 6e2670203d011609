"""What the release build takes of the machine's memory while people are there.
`make bench` measures the same, and more, through a model on the network."""
import asyncio
import contextlib
import resource

import pytest

IDLE_MB = 16
MANY_MB = 30
MANY = 1000
AT_ONCE = 50  # of the many: this test's own side is slower than the daemon

ACCOUNT = {"account": "max_connections = 0; max_connections_per_address = 0;"}


async def talk(chat):
    await chat.connect()
    answer = await chat.ask("q1", "#echo the answer")
    assert answer["text"] == "the answer"


async def memory_mb(daemon, n):
    """With n web chats open, each after its conversation."""
    chats = [daemon.chat() for _ in range(n)]
    async with contextlib.AsyncExitStack() as stack:
        for chat in chats:
            stack.push_async_callback(chat.close)
        for i in range(0, n, AT_ONCE):
            await asyncio.gather(*map(talk, chats[i:i + AT_ONCE]))
        assert all(chat.connected for chat in chats)
        return daemon.rss_kb() / 1024


@pytest.mark.slow
@pytest.mark.parametrize("n, limit_mb", [(1, IDLE_MB), (MANY, MANY_MB)])
def test_memory(make_daemon, run, n, limit_mb):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    assert run(memory_mb(make_daemon(release=True, **ACCOUNT).start(), n)) <= limit_mb
