"""A person in Matrix rooms: a client of matrix-nio, which others wrote, driven
through standard input and output, one JSON object a line. It runs in nio's own
virtualenv; tests talk to it through matrix.Person.

in:  {"n": 1, "do": "room_create", "with": {…}}   any method of nio's AsyncClient
out: {"n": 1, "ok": {…}} or {"n": 1, "error": "…"}, and as they come
     {"event": {…}, "room": "!…"} and {"typing": ["@…"], "room": "!…"}"""
import asyncio
import json
import sys

import nio

TIMELINE_EVENTS = 1000
LINE_BYTES_MAX = 2 ** 26


def tell(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def plain(response):
    """What a response says, as far as it is JSON."""
    return {k: v for k, v in vars(response).items() if isinstance(v, (str, int, bool, list, dict, type(None)))
            and not k.startswith("_")}


async def on_event(room, event):
    tell(event=event.source, room=room.room_id)


async def on_typing(room, event):
    if isinstance(event, nio.TypingNoticeEvent):
        tell(typing=event.users, room=room.room_id)
    elif isinstance(event, nio.ReceiptEvent):
        for receipt in event.receipts:
            tell(receipt=receipt.event_id, user=receipt.user_id, room=room.room_id)


async def on_invite(room, event):
    tell(invite=event.source, room=room.room_id)


async def do(client, order):
    n = order["n"]
    try:
        response = await getattr(client, order["do"])(**order.get("with", {}))
        if isinstance(response, nio.ErrorResponse):
            tell(n=n, error=str(response))
        else:
            tell(n=n, ok=plain(response))
    except Exception as e:  # pylint: disable=broad-except # whatever nio finds wrong is the test's to see
        tell(n=n, error=f"{type(e).__name__}: {e}")


async def orders(client):
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running = set()
    while line := await reader.readline():
        task = asyncio.create_task(do(client, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


async def main():
    homeserver, user, password = sys.argv[1:]
    config = nio.AsyncClientConfig(encryption_enabled=False)  # tries for ever
    client = nio.AsyncClient(homeserver, user, config=config)
    response = await client.login(password)
    if isinstance(response, nio.LoginError):
        tell(error=str(response))
        return
    client.add_event_callback(on_event, (nio.Event,))
    client.add_ephemeral_callback(on_typing, (nio.TypingNoticeEvent, nio.ReceiptEvent))
    client.add_event_callback(on_invite, (nio.InviteEvent,))
    sync_filter = {"room": {"timeline": {"limit": TIMELINE_EVENTS}}}
    await client.sync(timeout=0, sync_filter=sync_filter, full_state=True)
    tell(ready=client.user_id)
    sync = asyncio.create_task(client.sync_forever(timeout=10000, sync_filter=sync_filter))
    await orders(client)
    sync.cancel()
    await client.close()


asyncio.run(main())
