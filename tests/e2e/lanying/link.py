"""The cloud's long connections: one Session each, over Socket.IO or raw."""
import asyncio
import json
import time
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from . import wire
from .world import SYSTEM, Refused, now_ms

PING_INTERVAL_MS, PING_TIMEOUT_MS = 25000, 5000
EVENT = '451-["frame",{"_placeholder":true,"num":0}]'
HEARTBEAT = bytes.fromhex("080010001800")
LOGIN_FIRST = "you must login first"
CLIENT_MID_MAX = 1 << 53
CLOSE_SECONDS = 0.2  # that somebody who was kicked or refused stays connected


@dataclass
class Faults:
    """What goes wrong, by itself and by chance: shares of 1, times in seconds."""
    notice_form: str = "mixed"   # nested, bare, empty (for the system's), mixed
    lose_notice: float = 0
    repeat_notice: float = 0
    delay_notice: float = 0      # at most; makes them come in another order, too
    eager: float = 0             # messages themselves instead of a notice
    repeat_page: float = 0
    delay_answer: float = 0      # at most
    lose_send: float = 0         # never arrives, and the connection is cut
    lose_ack: float = 0          # arrives, but its answer does not, and the connection is cut
    page: int = 20               # messages in an answer to a pull
    count_when: str = "sent"     # what a page was given out for good with: "sent", or "next": the next pull
    history_from_start: bool = True  # history from an id on holds that message, too
    history_page: int = 1000     # messages in a page of history, at most
    history_raw: bool = False    # history holds messages as they were sent, and operations, instead of what became of them
    close_refused: bool = False  # whoever may not log in is thrown out
    echo: bool = False           # a device gets its own messages, too
    zeros: bool = False          # fields that say nothing are there, as zeros
    rollback: int = 0            # so many entries of each conversation are new again after a login
    repeat_has_mid: bool = False     # the answer to a repeated send names the message
    pong: bool = True
    rate: int = 0                # sends per second and user; 0: any number


@dataclass
class Record:
    """One WebSocket message, as it was."""
    time: float
    session: int
    sent: bool   # by the client
    data: object # str, or the bytes of a frame
    frame: dict = None


@dataclass
class Script:
    """Statuses for what comes next, one after the other; None lets one pass."""
    logins: list = field(default_factory=list)
    sends: list = field(default_factory=list)
    unreads: list = field(default_factory=list)
    reason: str = ""     # of refused sends; "": a plain one
    empty_logins: int = 0  # how many of the next logins are answered with nothing
    unanswered: int = 0  # how many of the next sends are taken without a word
    lost_pages: int = 0  # how many of the next pulls are counted and not answered, for the connection is cut


def status(code=wire.OK, reason=""):
    return {"code": code, **({"reason": reason} if reason else {})}


class Session:
    """One connection. What it may do depends on whether it has logged in."""

    def __init__(self, server, ws, request, number):
        self.server, self.world, self.faults, self.dice = server, server.world, server.faults, server.world.dice
        self.ws, self.request, self.number = ws, request, number
        self.user = self.device = None
        self.begun = time.monotonic()
        self.logged_in_at = 0
        self.knows = False      # the client has read that it is logged in, for it asked what is new
        self.frames = 0         # that the client sent
        self.outbox = asyncio.Queue()
        self.given = {}         # conversation -> how far the page goes that was given out last
        self.deaf = False       # takes everything and says nothing any more
        self.closed = False

    # --- the transport's part ---
    async def run(self):
        writer = asyncio.ensure_future(self.write())
        try:
            await self.opened()
            async for message in self.ws:
                if self.deaf:
                    continue
                if message.type == WSMsgType.BINARY:
                    self.binary(message.data)
                elif message.type == WSMsgType.TEXT:
                    self.text(message.data)
        finally:
            self.closed = True
            writer.cancel()
            self.server.changed()

    async def write(self):
        while True:
            for message in await self.outbox.get():
                if self.deaf:
                    continue
                self.server.record(self, False, message)
                try:
                    if isinstance(message, str):
                        await self.ws.send_str(message)
                    else:
                        await self.ws.send_bytes(message)
                except ConnectionError:
                    return

    def frame_text(self, data):
        """The WebSocket messages that carry a frame."""
        raise NotImplementedError

    async def opened(self):
        pass

    def binary(self, data):
        raise NotImplementedError

    def text(self, data):
        self.complain(f"text {data[:80]!r}")

    def complain(self, text):
        self.world.complain(f"connection {self.number}: {text}")

    def send_frame(self, data):
        if not self.closed:
            self.outbox.put_nowait(self.frame_text(data))

    def send(self, command, payload=None):
        self.send_frame(wire.down(command, payload, self.faults.zeros))

    def later(self, seconds, function, *args):
        """Now, or up to so many seconds later."""
        if seconds:
            asyncio.get_running_loop().call_later(self.dice.uniform(0, seconds), function, *args)
        else:
            function(*args)

    def cut(self):
        """As a broken network does it."""
        self.closed = True
        if self.request.transport:
            self.request.transport.abort()

    def close(self):
        """In good order."""
        if not self.closed:
            self.closed = True
            self.server.spawn(self.ws.close())

    # --- frames ---
    def frame(self, data):
        self.frames += 1
        try:
            frame = wire.read_up(data)
        except (wire.Malformed, UnicodeDecodeError) as e:
            self.server.record(self, True, data)
            self.complain(f"{e} in {data.hex()[:200]}")
            return self.send(wire.SYNC, {"status": status(wire.PB_PARSER_ERROR, str(e))})
        self.server.record(self, True, data, frame)
        command = frame.get("command", 0)
        if command == wire.PROVISION:
            return self.provision(frame.get("payload", {}))
        if self.user is None:
            if not self.logged_in_at:
                self.complain("spoke before it logged in")
            mid = frame.get("payload", {}).get("meta", {}).get("id")
            return self.send(command, {"status": status(wire.UNAUTHORIZED, LOGIN_FIRST), **({"client_mid": mid} if mid else {})})
        if command == wire.UNREAD:
            self.knows = True
            if data != HEARTBEAT:
                self.complain(f"an UNREAD frame of other bytes: {data.hex()}")
            return self.later(self.faults.delay_answer, self.unread)
        payload = frame.get("payload", {})
        if "meta" in payload:
            return self.take(payload["meta"])
        if "xid" in payload:
            return self.later(self.faults.delay_answer, self.pull, payload)
        return self.complain("a SYNC frame that wants nothing")

    def provision(self, p):
        if self.request.transport and self.request.transport.get_extra_info("sockname")[1] in self.server.silent_ports:
            return None
        uid, sn = p.get("xid", {}).get("uid", 0), p.get("xid", {}).get("deviceSN", 0)
        for name in ("token", "device_guid", "sdk_vsn", "os_type"):
            if not p.get(name):
                self.complain(f"logged in without {name}")
        scripted = self.server.script.logins.pop(0) if self.server.script.logins else None
        user, _ = self.world.holder(p.get("token", ""))
        try:
            if scripted is not None:
                raise Refused(scripted, f"status {scripted}")
            if user is None or user.uid != uid:
                raise Refused(wire.INVALID_TOKEN, "invalid token")
            if user.frozen:
                raise Refused(wire.USER_FROZEN, "user frozen")
            if self.world.app_status == "frozen":
                raise Refused(wire.APP_FROZEN, "app frozen")
            device = self.world.device(user, sn, p.get("device_guid", ""))
        except Refused as e:
            self.send(wire.PROVISION, {"status": status(e.code, e.reason)})
            if self.faults.close_refused:
                asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.close)
            return self.server.changed()
        if self.server.script.empty_logins:
            self.server.script.empty_logins -= 1
            return self.send(wire.PROVISION)
        for other in self.server.sessions_of(user):
            if other is not self and other.device is device:
                other.kick()
        for conversation, read in device.read.items():
            device.read[conversation] = max(0, read - self.faults.rollback)
        self.user, self.device, self.logged_in_at = user, device, time.monotonic()
        self.send(wire.PROVISION, {"status": status(), "xid": {"uid": uid, "deviceSN": device.sn}})
        return self.server.changed()

    def forget(self):
        """The cloud does not know any more who this is."""
        self.user = None

    def kick(self, kind=wire.KICK_BY_SAME_DEVICE):
        meta = {"id": self.world.next_mid(), "from": {"uid": 0, "deviceSN": 0}, "to": {"uid": self.user.uid},
                "timestamp": now_ms(), "ns": wire.NS_USER_NOTICE, "payload": {"type": kind}}
        self.send(wire.SYNC, {"status": status(), "metas": [meta], "xid": {}})
        self.forget()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.close)

    # --- receiving ---
    def unread(self):
        code = self.server.script.unreads.pop(0) if self.server.script.unreads else None
        if code is not None:
            return self.send(wire.UNREAD, {"status": status(code, "status")})
        if self.user is None:
            return None
        self.server.heartbeats.append(time.monotonic())
        rows = [{"xid": {"uid": conversation}, "n": n,
                 "type": 0 if conversation == SYSTEM else 2 if conversation in self.world.groups else 1}
                for conversation, n in self.world.unread(self.user, self.device)]
        return self.send(wire.UNREAD, {"status": status(), "unread": rows})

    def pull(self, p):
        if self.user is None or self.closed:
            return
        conversation = p["xid"].get("uid", 0)
        if p.get("is_full_sync"):
            self.send_history(conversation, p)
            return
        key = p.get("key", 0)
        if self.faults.count_when == "next" and key:
            self.count(conversation, self.given.get(conversation, (0, 0)), key)
        waiting = self.world.waiting(self.user, self.device, conversation, key)
        if self.faults.echo:
            log = self.user.logs.get(conversation, [])
            waiting = list(enumerate(log, 1))[waiting[0][0] - 1 if waiting else len(log):]
        page = waiting[:self.faults.page]
        more = len(waiting) > len(page)
        if page and (self.faults.count_when == "sent" or not more):
            read = page[-1][0] if more else len(self.user.logs[conversation])
            self.device.read[conversation] = max(read, self.device.read.get(conversation, 0))
        elif page:
            self.given[conversation] = (page[-1][0], page[-1][1].meta["id"])
        if page and self.server.script.lost_pages:
            self.server.script.lost_pages -= 1
            self.server.pages_lost += 1
            self.server.changed()
            self.cut()
            return
        self.send_metas([entry.meta for _, entry in page], conversation, page[-1][1].meta["id"] if more else 0)

    def count(self, conversation, given, key):
        if given[1] == key:
            self.device.read[conversation] = max(given[0], self.device.read.get(conversation, 0))

    def send_metas(self, metas, conversation, next_key=0, **more):
        answer = {"status": status(), "metas": metas, "xid": {"uid": conversation, "deviceSN": 0}, "next_key": next_key,
                  "client_mid": 0, "server_mid": 0, "is_full_sync": False, "prev_mid": 0, "is_eager_sync": False,
                  "edit_timestamp": 0, **more}
        self.send(wire.SYNC, answer)
        if self.dice.random() < self.faults.repeat_page:
            self.send(wire.SYNC, {**answer, "next_key": 0})

    def send_history(self, conversation, p):
        start, number = p.get("key", 0), p.get("full_sync_num", 0)
        if number <= 0:
            self.complain(f"history of {number} messages")
        if self.faults.history_raw:
            log = self.user.logs.get(conversation, [])
            metas = [entry.meta for entry in reversed(log) if entry.present is None and (not start or entry.meta["id"] <= start)]
        else:
            metas = [m.meta for m in self.world.history(self.user, conversation, start)]
        if start and not self.faults.history_from_start:
            metas = [meta for meta in metas if meta["id"] != start]
        self.send_metas(metas[:min(number, self.faults.history_page)], conversation, is_full_sync=True)

    def tell(self, conversation, entry):
        """Something new is in the log."""
        own = entry.meta["from"] == {"uid": self.user.uid, "deviceSN": self.device.sn}
        if own and not self.faults.echo or entry.present is not None and self.device.sn not in entry.present:
            return
        if self.dice.random() < self.faults.eager:
            self.send_metas([entry.meta], conversation, is_eager_sync=True)
            return
        if self.dice.random() < self.faults.lose_notice:
            self.server.notices_lost += 1
            return
        for _ in range(2 if self.dice.random() < self.faults.repeat_notice else 1):
            self.later(self.faults.delay_notice, self.notice, conversation)

    def notice(self, conversation):
        form = self.faults.notice_form
        if form == "mixed":
            form = self.dice.choice(("nested", "bare"))
        xid = {"uid": conversation} if conversation else {}
        if form == "bare" and conversation:
            self.send(wire.NOTICE, xid)
        elif form == "nested":
            self.send(wire.NOTICE, {"xid": xid})
        else:
            self.send(wire.NOTICE)

    # --- sending ---
    def take(self, meta):
        mid, to = meta.get("id", 0), meta.get("to", {}).get("uid", 0)
        if self.dice.random() < self.faults.lose_send:
            self.server.sends_lost += 1
            return self.cut()
        known = self.user.sent.get((self.device.sn, mid))
        script = self.server.script
        code = script.sends.pop(0) if script.sends and known is None else None
        try:
            if code is not None:
                plain = "rate limit exceeded" if code == wire.RATE_LIMIT_EXCEEDED else f"status {code}" if code else ""
                raise Refused(code, script.reason or plain)
            if known is None:
                self.server.allow_send(self.user)
            answer = self.repeat(meta, known) if known else self.post(meta, mid, to)
        except Refused as e:
            self.server.refused.append((e.code, e.reason))
            answer = {"status": status(e.code, e.reason)}
        if self.server.script.unanswered:
            self.server.script.unanswered -= 1
            self.server.acks_lost += 1
            return self.server.changed()
        if self.dice.random() < self.faults.lose_ack:
            self.server.acks_lost += 1
            return self.cut()
        return self.later(self.faults.delay_answer, self.send, wire.SYNC, {
            "xid": {"uid": to}, "client_mid": mid, "server_time": now_ms(), **answer})

    def repeat(self, meta, known):
        """The same client id once more: nothing happens twice."""
        self.server.repeats_dropped += 1
        if known[1] != meta["payload"]:
            self.complain(f"another message under the same id {meta['id']}: {known[1]} and {meta['payload']}")
        return {"status": status(), **({"server_mid": known[0]} if self.faults.repeat_has_mid else {})}

    def post(self, meta, mid, to):
        body = meta["payload"] if isinstance(meta.get("payload"), dict) else {}
        if meta.get("from") != {"uid": self.user.uid, "deviceSN": self.device.sn}:
            self.complain(f"sends from {meta.get('from')} as {self.user.uid} on device {self.device.sn}")
        if not 0 < mid < CLIENT_MID_MAX:
            self.complain(f"client id {mid}")
        if meta.get("ns") != wire.NS_MESSAGE:
            self.complain(f"sends in namespace {meta.get('ns')}")
        self.server.check_sent(self.user, to, body)
        online = self.server.serials_online if body.get("qos") == wire.AT_MOST_ONCE else None
        server_mid, edited = self.world.post(self.user, self.device.sn, to, body, online)
        self.user.sent[self.device.sn, mid] = (server_mid, body)
        return {"status": status(), "server_mid": server_mid, **({"edit_timestamp": edited} if edited else {})}


class RawSession(Session):
    """Transport A: a frame is a binary message."""

    def frame_text(self, data):
        return (data,)

    def binary(self, data):
        self.frame(data)


class SocketIoSession(Session):
    """Transport B: Socket.IO 2 over Engine.IO 3, WebSocket only."""

    def __init__(self, *args):
        super().__init__(*args)
        self.expecting = None
        self.pinged = time.monotonic()

    async def opened(self):
        server = self.server
        hello = {"sid": f"S{self.number:019}", "upgrades": [], "pingInterval": server.ping_interval_ms,
                 "pingTimeout": server.ping_timeout_ms}
        text = "0" + json.dumps(hello, separators=(",", ":"))
        self.outbox.put_nowait((server.openings.pop(0) if server.openings else text,))
        await asyncio.sleep(self.dice.uniform(0, server.connect_delay))
        if self.frames:
            self.complain("spoke before the namespace was connected")
        self.outbox.put_nowait(("40",))
        self.server.spawn(self.watch())

    async def watch(self):
        """The client is to ping; one that does not is taken for dead."""
        while not self.closed:
            await asyncio.sleep(self.server.ping_interval_ms / 1000)
            limit = (self.server.ping_interval_ms + self.server.ping_timeout_ms) / 1000
            if not self.closed and not self.deaf and time.monotonic() - self.pinged > limit:
                self.complain(f"no ping for {time.monotonic() - self.pinged:.1f} s")
                self.cut()

    def frame_text(self, data):
        return (EVENT, b"\x04" + data)

    def text(self, data):
        self.server.record(self, True, data)
        if self.expecting:
            self.complain(f"{data[:80]!r} between a text and its attachment")
        if data == "2":
            self.pinged = time.monotonic()
            if self.faults.pong:
                self.outbox.put_nowait(("3",))
        elif data.startswith("451-"):
            try:
                event = json.loads(data[4:])
            except ValueError:
                event = None
            if event != ["frame", {"_placeholder": True, "num": 0}]:
                self.complain(f"event {data[:80]!r}")
            self.expecting = True
        elif data in ("41", "1"):
            self.close()
        else:
            self.complain(f"text {data[:80]!r}")

    def binary(self, data):
        if not self.expecting or data[:1] != b"\x04":
            self.complain(f"an attachment that nobody expects: {data.hex()[:80]}")
        self.expecting = False
        self.frame(data[1:])


async def accept(server, request):
    """The WebSocket of a transport that this server has."""
    session_of = SocketIoSession if request.path == "/socket.io/" else RawSession if request.path == "/" else None
    name = "socketio" if session_of is SocketIoSession else "raw"
    port = request.transport.get_extra_info("sockname")[1]
    server.upgrades.append((name, port))
    server.changed()
    if session_of is None or name not in server.transports or port in server.closed_ports:
        return web.Response(status=404, text="not here")
    if name == "socketio" and dict(request.query) != {"EIO": "3", "transport": "websocket"}:
        server.world.complain(f"query {request.query_string}")
        return web.Response(status=400, text="unknown transport")
    for header in ("Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"):
        if header in request.headers:
            server.world.complain(f"header {header}: {request.headers[header]}")
    ws = web.WebSocketResponse(max_msg_size=wire.FRAME_BYTES_MAX + 1, compress=False)
    await ws.prepare(request)
    session = session_of(server, ws, request, len(server.sessions) + 1)
    server.sessions.append(session)
    await session.run()
    return ws
