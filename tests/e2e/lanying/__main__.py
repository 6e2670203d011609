"""`python3 -m lanying`: a cloud with a bot, two people and a group, which does
what it is told on standard input: one line of Python expression each, over
`cloud`, `alice`, `carol`, `group`, `bot`."""
import asyncio
import sys

from . import server, wire


async def main():
    async with server.Server() as cloud:
        world = cloud.world
        bot = world.add_user("bot", password="secret", bot=True)
        alice, carol = cloud.person("alice"), cloud.person("carol")
        group = world.add_group("birds", alice.user, bot, carol.user)
        print(f'url {cloud.url}\nws {cloud.ws_url}\napp_id {world.app_id}\nbot {bot.uid} name "bot" password "secret"\n'
              f"alice {alice.uid}\ncarol {carol.uid}\ngroup {group.gid}\nadmin token {world.new_admin_token()}", flush=True)
        shown = [0]

        def show(record):
            what = record.data if isinstance(record.data, str) else record.frame or record.data.hex()
            print(f"{'>' if record.sent else '<'} {record.session} {what}", flush=True)

        async def follow():
            while True:
                await cloud.until(lambda: len(cloud.records) > shown[0] or world.complaints, 86400)
                for record in list(cloud.records)[shown[0]:]:
                    show(record)
                shown[0] = len(cloud.records)
                while world.complaints:
                    print("COMPLAINT", world.complaints.pop(0), flush=True)
        following = asyncio.ensure_future(follow())
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        names = {"cloud": cloud, "alice": alice, "carol": carol, "group": group, "bot": bot, "wire": wire, "world": world}
        async for line in lines:
            try:
                print("=", eval(line, names), flush=True)  # pylint: disable=eval-used
            except Exception as e:  # pylint: disable=broad-except
                print("=", repr(e), flush=True)
        following.cancel()


asyncio.run(main())
