"""The whole cloud in one process: world, HTTP interface, long connections, and
the people who talk to the bot."""
import asyncio
import json
import socket
import time
from collections import deque

from aiohttp import web

from . import link, wire
from .hook import Hook
from .rest import Rest
from .view import View
from .world import Refused, World

RECORDS_MAX = 200000
EVENT_SECONDS = 60  # for something that must come


class Person:
    """Somebody with a client of the vendor's, on a device that is always online."""
    DEVICE = 3

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.uid = user.uid

    def say(self, text, to, mention=(), all_of_them=False, ext=None, config=None, device=DEVICE, time_ms=None, **more):
        """Sends to a person or group; the id that the message gets. Members of config that are None are left out."""
        target = to.gid if hasattr(to, "gid") else to.uid
        settings = {"senderNickname": self.user.nick, **(config or {})}
        if target in self.server.world.groups:
            settings = {"mentionAll": all_of_them, "mentionList": [p.uid for p in mention], "mentionedMessage": "",
                        "pushMessage": "", **settings}
        settings = {name: value for name, value in settings.items() if value is not None}
        body = {"type": wire.GROUPCHAT if target in self.server.world.groups else wire.CHAT, "content": text,
                "operation": {"type": 0, "mid": 0}, "config": json.dumps(settings, ensure_ascii=False), **more}
        if ext is not None:
            body["ext"] = ext if isinstance(ext, str) else json.dumps(ext, ensure_ascii=False)
        return self.server.world.post(self.user, device, target, body, time_ms=time_ms)[0]

    def operate(self, kind, mid, to, content="", **more):
        target = to.gid if hasattr(to, "gid") else to.uid
        ctype = wire.TEXT if kind in (wire.OP_APPEND, wire.OP_REPLACE) else wire.COMMAND
        return self.server.world.post(self.user, self.DEVICE, target, {
            "type": wire.OPER, "content": content, "ctype": ctype,
            "operation": {"type": kind, "mid": mid, "xid": {"uid": target}}, **more})[0]

    def recall(self, mid, to):
        return self.operate(wire.OP_RECALL, mid, to)

    def replace(self, mid, to, text):
        return self.operate(wire.OP_REPLACE, mid, to, text)

    def append(self, mid, to, text):
        return self.operate(wire.OP_APPEND, mid, to, text)

    def view(self, of):
        """What this person sees of a conversation."""
        conversation = of.gid if hasattr(of, "gid") else of.uid
        return View(self.user.logs.get(conversation, ()), self.server.record_times)


class Server:
    """An async context manager; its ports are the system's choice."""

    def __init__(self, seed=1, transports=("socketio", "raw"), hosts=1):
        self.world = World(seed=seed)
        self.faults = link.Faults()
        self.script = link.Script()
        self.rest = Rest(self)
        self.hook = Hook(self)
        self.transports = set(transports)
        self.hosts = hosts
        self.ports = []
        self.closed_ports = set()    # where no WebSocket is taken
        self.silent_ports = set()    # where no login is answered
        self.clusters = None         # [(ports of ratel, ports of webim)] instead of all on one
        self.dns_path = "/v2/app_dns"
        self.ping_interval_ms, self.ping_timeout_ms = link.PING_INTERVAL_MS, link.PING_TIMEOUT_MS
        self.connect_delay = 0.01
        self.openings = []           # what the next connections are greeted with, instead of what is right
        self.sessions = []
        self.upgrades = []           # (transport, port) of every attempt
        self.records = deque(maxlen=RECORDS_MAX)
        self.record_times = {}       # message id -> when it came
        self.notices_lost = self.pages_lost = self.sends_lost = self.acks_lost = self.repeats_dropped = 0
        self.heartbeats = []         # when UNREAD was asked
        self.refused = []            # (status, reason) of sends
        self.sent_in_second = {}
        self.event = asyncio.Event()
        self.tasks = set()
        self.runner = None
        self.world.listeners.append(self.tell)
        self.world.listeners.append(self.hook.tell)

    # --- life ---
    async def __aenter__(self):
        application = web.Application(client_max_size=wire.FRAME_BYTES_MAX)
        application.add_routes([web.route("*", "/{path:.*}", self.handle)])
        self.runner = web.AppRunner(application, access_log=None)
        await self.runner.setup()
        for _ in range(self.hosts):
            await self.open_port()
        return self

    async def __aexit__(self, *_):
        for session in self.sessions:
            session.cut()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.hook.close()
        await self.runner.cleanup()

    def spawn(self, coroutine):
        """Runs it beside everything else, until the cloud ends."""
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def open_port(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.ports.append(listener.getsockname()[1])
        await web.SockSite(self.runner, listener).start()
        return self.ports[-1]

    async def handle(self, request):
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await link.accept(self, request)
        return await self.rest.handle(request)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def ws_url(self):
        """Of a host; the path is the transport's."""
        return f"ws://127.0.0.1:{self.ports[0]}"

    def discovery(self):
        def hosts(ports):
            return [{"protocol": "http", "host": f"127.0.0.1:{port}", "ip_list": []} for port in ports]
        clusters = self.clusters or [(self.ports[:1], self.ports[:1])]
        rows = [{"ratel": hosts(ratel), "webim": hosts(webim), "rtc": hosts(ratel[:1])} for ratel, webim in clusters]
        return {"version": 1, "app_status": self.world.app_status,
                "dns_list": [{"group_level": 1, "clusters": []}, {"group_level": 0, "clusters": rows}],
                "dns_server_list": [], "link_server_list": []}

    # --- what happens ---
    def changed(self):
        self.event.set()

    def record(self, session, sent, data, frame=None):
        self.records.append(link.Record(time.monotonic(), session.number, sent, data, frame))
        self.changed()

    def tell(self, user, conversation, entry):
        self.record_times.setdefault(entry.meta["id"], time.monotonic())
        for session in self.sessions_of(user):
            session.tell(conversation, entry)
        self.changed()

    def sessions_of(self, user):
        return [s for s in self.sessions if s.user is user and not s.closed]

    def serials_online(self, user):
        return {Person.DEVICE} | {s.device.sn for s in self.sessions_of(user)}

    def allow_send(self, user):
        if self.faults.rate:
            second = (user.uid, int(time.monotonic()))
            self.sent_in_second[second] = self.sent_in_second.get(second, 0) + 1
            if self.sent_in_second[second] > self.faults.rate:
                raise Refused(wire.RATE_LIMIT_EXCEEDED, "rate limit exceeded")

    def check_sent(self, sender, to, body):
        """What the protocol asks of what a bot sends."""
        def bad(text):
            self.world.complain(f"{sender.name} sends {body}: {text}")
        texts = {name: body.get(name) or "{}" for name in ("ext", "config", "attachment")}
        try:
            parsed = {name: json.loads(text) for name, text in texts.items()}
        except ValueError:
            return bad("no JSON")
        if body.get("type") == wire.OPER:
            kind = body.get("operation", {}).get("type", 0)
            if kind == 0 or kind == wire.OP_READ_ACK and to in self.world.groups:
                bad("an operation of another form")
        if body.get("type") == wire.OPER or not sender.bot:
            return None
        if body.get("type") != (wire.GROUPCHAT if to in self.world.groups else wire.CHAT):
            bad("of the wrong type")
        if "input_status" in parsed["ext"]:
            if body.get("content") or to in self.world.groups or body.get("qos") != wire.AT_MOST_ONCE:
                bad("a typing status of another form")
        elif parsed["ext"].get("ai", {}).get("role") != "ai":
            bad("without ext.ai.role")
        return None

    # --- for tests ---
    def person(self, name, **more):
        return Person(self, self.world.add_user(name, **more))

    async def until(self, condition, seconds=EVENT_SECONDS, what=""):
        """Waits until the condition is true; its value."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            self.event.clear()
            try:
                await asyncio.wait_for(self.event.wait(), end - time.monotonic())
            except asyncio.TimeoutError:
                raise AssertionError(f"{what or condition} never came; last: {list(self.records)[-5:]}; "
                                     f"complaints: {self.world.complaints}") from None
        return found

    async def login(self, user, seconds=EVENT_SECONDS, after=0):
        """Waits for a session of the user, later than that number, whose client knows that it is logged in."""
        return await self.until(lambda: next((s for s in self.sessions_of(user) if s.number > after and s.knows), None), seconds,
                                f"a login of {user.name}")

    def cut(self):
        """All connections, at once."""
        for session in self.sessions:
            if not session.closed:
                session.cut()

    def check(self):
        assert not self.world.complaints, "\n".join(self.world.complaints)
