"""The cloud's message subscription: callbacks to somebody's web server."""
import asyncio
import time

import aiohttp

from . import wire

TRIES = 10
PAUSE_SECONDS = 0.3
OPERATIONS = {wire.OP_RECALL: "RECALL", wire.OP_APPEND: "APPEND", wire.OP_REPLACE: "REPLACE"}


class Hook:
    def __init__(self, server):
        self.server = server
        self.url = self.signature = None
        self.receivers = set()      # users whose messages are told
        self.repeat = 0             # share that is told twice
        self.ids = "mixed"          # how ids are written: number, string, mixed
        self.answers = []           # (message id, status, body, seconds)
        self.session = None

    def subscribe(self, url, signature, *users):
        self.url, self.signature, self.receivers = url, signature, {u.uid for u in users}

    def tell(self, user, _conversation, entry):
        if not self.url or user.uid not in self.receivers or entry.meta["ns"] != wire.NS_MESSAGE:
            return
        body = entry.meta["payload"]
        if body.get("type") == wire.OPER:
            if body["operation"]["type"] not in OPERATIONS or entry.meta["from"]["uid"] == user.uid:
                return
        dice = self.server.world.dice
        for _ in range(2 if dice.random() < self.repeat else 1):
            self.server.spawn(self.post(entry.meta["id"], self.form(entry.meta)))

    def id(self, n):
        as_text = self.ids == "string" or self.ids == "mixed" and self.server.world.dice.random() < 0.5
        return str(n) if as_text else n

    def form(self, meta):
        body = meta["payload"]
        operation = body.get("operation", {}).get("type")
        kind = "GROUPCHAT" if body["type"] == wire.GROUPCHAT else "CHAT"
        if body["type"] == wire.OPER:
            kind = OPERATIONS[operation]
        return {"appId": self.server.world.app_id, "msgId": self.id(meta["id"]), "type": kind,
                "ctype": wire.CTYPES[body.get("ctype", 0)], "from": {"uid": self.id(meta["from"]["uid"])},
                "to": {"uid": self.id(meta["to"]["uid"])}, "content": body.get("content", ""), "ext": body.get("ext", ""),
                "config": body.get("config", ""), "attachment": body.get("attachment", ""), "timestamp": meta["timestamp"]}

    async def post(self, mid, form):
        """Until it is taken, a few times."""
        self.session = self.session or aiohttp.ClientSession()
        for _ in range(TRIES):
            begun = time.monotonic()
            try:
                async with self.session.post(self.url, json=form, headers={"signature": self.signature}) as answer:
                    self.answers.append((mid, answer.status, await answer.text(), time.monotonic() - begun))
                    self.server.changed()
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, ConnectionError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)

    async def close(self):
        if self.session:
            await self.session.close()
