"""The cloud's HTTP interface: discovery, tokens, roster, groups, and messages
for whoever has no long connection."""
import asyncio
import json
from dataclasses import dataclass

from aiohttp import web

from . import wire
from .world import Refused

(NO_USER, NO_TOKEN, BAD_TOKEN, NO_PERMISSION, BAD_PARAMETER) = 10000, 10003, 10008, 10010, 10002
NO_GROUP, NOT_MEMBER, NO_APP, STALE_TOKEN = 20001, 20002, 40000, 402
DETAILS_MAX, GROUPS_MAX, MEMBERS_MAX = 100, 20, 1000
OPERATIONS = {9: wire.OP_READ_ACK, 10: wire.OP_RECALL, 11: wire.OP_APPEND, 12: wire.OP_REPLACE}


class Failed(Exception):
    """A code in the envelope that is not 200."""

    def __init__(self, code, message=""):
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Trouble:
    """What comes instead of the next answers to a path."""
    path: str
    times: int = 1
    http: int = 0         # a status, with a page that is no JSON
    code: int = 0         # a code in the envelope
    cut: bool = False     # the connection ends
    delay: float = 0      # seconds before the answer, or before the trouble
    raw: bytes = None     # this body, with status 200
    port: int = 0         # only there


class Rest:
    """Requests in, envelopes out. Everything is answered as `world` has it, unless there is trouble."""

    def __init__(self, server):
        self.server = server
        self.world = server.world
        self.requests = []      # (method, path, query, JSON body or None, headers, port)
        self.troubles = []
        self.expire_in_ms = True
        self.clock_seconds = 0  # so far is the cloud's clock ahead, where it says how long a token is good
        self.users_may_send = True
        self.transactions = {}

    def trouble(self, path, **more):
        self.troubles.append(Trouble(path, **more))

    def count(self, path):
        return sum(request[1] == path for request in self.requests)

    def routes(self):
        return [web.route("*", "/{path:.*}", self.handle)]

    async def handle(self, request):
        body = await request.read()
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        try:
            body = json.loads(body) if body else None
        except ValueError:
            self.world.complain(f"{request.path}: the body is no JSON")
        self.requests.append((request.method, request.path, dict(request.query), body, request.headers, port))
        self.server.changed()
        trouble = next((t for t in self.troubles if t.path == request.path and t.times and t.port in (0, port)), None)
        if trouble:
            trouble.times -= 1
            await asyncio.sleep(trouble.delay)
            if trouble.cut:
                request.transport.abort()
                return web.Response()
            if trouble.http:
                return web.Response(status=trouble.http, text="<html>not today</html>", content_type="text/html")
            if trouble.raw is not None:
                return web.Response(body=trouble.raw, content_type="application/json")
            if trouble.code:
                return web.json_response({"code": trouble.code, "data": None, "message": "trouble"})
        return self.answer(request, body)

    def answer(self, request, body):
        known = TABLE.get((request.method, request.path))
        if known is None and request.path == self.server.dns_path:
            known = TABLE["GET", "/v2/app_dns"]
        if known is None:
            self.world.complain(f"{request.method} {request.path}: there is no such call")
            return web.Response(status=404, text="not found")
        handler, who = known
        try:
            more = {}
            data = handler(self, request, body, *self.authorize(request, who))
            if isinstance(data, Envelope):
                data, more = data.data, data.more
            return web.json_response({"code": 200, "data": data, "message": None, **more})
        except Failed as e:
            return web.json_response({"code": e.code, "data": None, "message": e.message})
        except Refused as e:
            return web.json_response({"code": NO_PERMISSION, "data": None, "message": e.reason})
        except (KeyError, TypeError, ValueError) as e:
            self.world.complain(f"{request.path}: {e!r} in {body!r} {dict(request.query)}")
            return web.json_response({"code": BAD_PARAMETER, "data": None, "message": "bad parameter"})

    def authorize(self, request, who):
        """What a handler gets beside the request: nothing, the user, or (user or None, whether it is an admin)."""
        if who is None:
            return ()
        if request.headers.get("app_id") != self.world.app_id:
            if "app_id" not in request.headers:
                self.world.complain(f"{request.path}: no header app_id")
            raise Failed(NO_APP, "no such app_id")
        if who == "app":
            return ()
        token = request.headers.get("access-token")
        if not token:
            self.world.complain(f"{request.path}: no header access-token")
            raise Failed(NO_TOKEN, "no access-token")
        admin = token in self.world.admin_tokens
        if admin:
            user = self.world.users.get(int(request.headers.get("user_id", 0)))
        else:
            user, was_good = self.world.holder(token)
            if user is None:
                raise Failed(STALE_TOKEN if was_good else BAD_TOKEN, "token invalid")
        if who == "either":
            return user, admin
        if user is None:
            raise Failed(NO_PERMISSION, "no user_id")
        return (user,)

    # --- discovery ---
    def dns(self, request, _body):
        if request.query["app_id"] != self.world.app_id:
            raise Failed(NO_APP, "no such app_id")
        return self.server.discovery()

    def health(self, _request, _body):
        return True

    # --- tokens ---
    def login(self, user, password):
        if user is None:
            raise Failed(NO_USER, "user not exist")
        if user.password != password:
            raise Failed(NO_PERMISSION, "password error")
        token = self.world.new_token(user)
        until = self.world.tokens[token][1] + self.clock_seconds
        return {"user_id": user.uid, "token": token, "expire": int(until * 1000) if self.expire_in_ms else int(until),
                "public_key": "", "encrypt_type": 0, "access_key_secret": ""}

    def token_user(self, _request, body):
        return self.login(self.world.named(body["name"]), body["password"])

    def token_id(self, _request, body):
        if not isinstance(body["user_id"], int):
            raise ValueError("user_id is no number")
        return self.login(self.world.users.get(body["user_id"]), body["password"])

    # --- people ---
    def profile(self, _request, _body, user):
        return {"user_id": user.uid, "username": user.name, "nick_name": user.nick, "avatar": "", "description": "",
                "public_info": "", "private_info": ""}

    def roster(self, request, _body, user):
        return self.page(request, sorted(user.friends))

    def details_of(self, user, other):
        return {"user_id": other.uid, "username": other.name, "nick_name": other.nick, "alias": "", "avatar": "",
                "relation": 0 if other.uid in user.friends else 2}

    def details(self, _request, body, user):
        if len(body["list"]) > DETAILS_MAX:
            raise ValueError("too many")
        return [self.details_of(user, self.world.users[int(uid)]) for uid in body["list"] if int(uid) in self.world.users]

    def roster_name(self, request, _body, user):
        other = self.world.named(request.query["username"])
        if other is None:
            raise Failed(NO_USER, "user not exist")
        return self.details_of(user, other)

    def applications(self, _request, _body, user):
        return [{"user_id": uid, "reason": reason, "status": 0, "expired_time": 0} for uid, reason in user.applied.items()]

    def accept(self, request, body, user):
        if body:
            raise ValueError("a body")
        return self.world.accept_friend(user, int(request.query["user_id"]))

    def decline(self, _request, body, user):
        return user.applied.pop(body["user_id"], None) is not None

    def settings(self, _request, _body, _user):
        return {"auth_mode": 1, "group_confirm": True}

    def devices(self, _request, _body, user):
        return [{"device_sn": d.sn, "platform": 6, "user_agent": "", "user_id": user.uid} for d in user.devices.values()]

    def kick(self, _request, body, user):
        return user.devices.pop(body["device_sn"], None) is not None

    # --- groups ---
    def page(self, request, rows):
        """A page of rows; the cursor is where the next one begins."""
        first = int(request.query.get("cursor") or 0)
        last = first + int(request.query.get("limit", MEMBERS_MAX))
        return Envelope(rows[first:last], cursor=str(last) if last < len(rows) else "")

    def user_joined(self, _request, _body, user):
        return [group.gid for group in self.world.groups_of(user.uid)]

    def group(self, gid, user):
        group = self.world.groups.get(int(gid))
        if group is None:
            raise Failed(NO_GROUP, "no such group")
        if user.uid not in group.members:
            raise Failed(NOT_MEMBER, "not a member")
        return group

    def group_info(self, _request, body, user):
        if len(body["group_list"]) > GROUPS_MAX:
            raise ValueError("too many")
        groups = [self.world.groups[int(gid)] for gid in body["group_list"] if int(gid) in self.world.groups]
        return [{"group_id": g.gid, "name": g.name, "owner_id": g.owner, "count": len(g.members), "read_ack": False,
                 "description": "", "avatar": ""} for g in groups]

    @staticmethod
    def member(uid, name):
        return {"user_id": uid, "display_name": name, "join_time": 0, "expired_time": 0}

    def members(self, request, _body, user):
        if int(request.query.get("limit", 0)) > MEMBERS_MAX:
            raise ValueError("limit")
        group = self.group(request.query["group_id"], user)
        return self.page(request, [self.member(uid, name) for uid, name in sorted(group.members.items())])

    def member_names(self, _request, body, user):
        members = self.group(body["group_id"], user).members
        return [self.member(int(uid), members[int(uid)]) for uid in body["user_list"] if int(uid) in members]

    def invitations(self, _request, _body, user):
        return [{"group_id": gid, "inviter_id": by, "invitee_id": user.uid, "status": 0, "reason": "", "expired_time": 0}
                for gid, by in user.invited.items()]

    def handle_invitation(self, _request, body, user):
        if user.invited.get(body["group_id"], 0) not in (body["user_id"], 0):
            raise ValueError("invited by somebody else")
        return self.world.handle_invitation(user, body["group_id"], body["approval"])

    # --- messages ---
    def send(self, _request, body, caller, admin):
        sender = self.world.users.get(body["from_user_id"])
        if sender is None:
            raise Failed(NO_USER, "no such sender")
        if not admin and (not self.users_may_send or sender is not caller):
            raise Failed(NO_PERMISSION, "not for you")
        for name in ("attachment", "config", "ext"):
            if name in body:
                json.loads(body[name])  # of a string; anything else is a TypeError
        if not isinstance(body["content"], str) or not body["targets"] or not all(isinstance(t, int) for t in body["targets"]):
            raise ValueError("content or targets")
        transaction = body.get("transaction_id")
        if transaction and (sender.uid, transaction) in self.transactions:
            self.server.repeats_dropped += 1
            return Envelope(True)
        self.server.allow_send(sender)
        mids = [self.send_to(sender, target, body) for target in body["targets"]]
        if transaction:
            self.transactions[sender.uid, transaction] = mids
        return Envelope(True, **({"msg_ids": mids} if len(mids) == 1 else {}))

    def send_to(self, sender, target, body):
        if (body["type"] == 2) != (target in self.world.groups):
            raise ValueError(f"type {body['type']} for {target}")
        fields = {"type": wire.GROUPCHAT if body["type"] == 2 else wire.CHAT, "content": body["content"],
                  **{name: body[name] for name in ("attachment", "config", "ext") if name in body}}
        if body["content_type"] in OPERATIONS:
            kind = OPERATIONS[body["content_type"]]
            fields.update(type=wire.OPER, operation={"type": kind, "mid": body["related_mid"]},
                          ctype=wire.TEXT if kind in (wire.OP_APPEND, wire.OP_REPLACE) else wire.COMMAND)
        else:
            fields["ctype"] = body["content_type"]
        online = self.server.serials_online if body.get("online_only") else None
        self.server.check_sent(sender, target, fields)
        return self.world.post(sender, 0, target, fields, online)[0]

    def conversation(self, request, _body, user):
        opposite, start = int(request.query["opposite_id"]), int(request.query.get("msg_id_start", 0))
        limit = int(request.query.get("limit", 20))
        rows = self.world.history(user, opposite, start)
        if start and not self.server.faults.history_from_start:
            rows = [m for m in rows if m.mid != start]
        page = rows[:limit]
        return {"messages": [self.message(m) for m in page], "is_last": len(rows) <= limit,
                "next_msg_id": rows[limit].mid if len(rows) > limit else 0}

    @staticmethod
    def message(m):
        def xid(x):
            return {"uid": x["uid"], "device_sn": x.get("deviceSN", 0)}
        return {"msg_id": m.mid, "from_xid": xid(m.meta["from"]), "to_xid": xid(m.meta["to"]),
                "ctype": wire.CTYPES[m.body.get("ctype", 0)], "content": m.body.get("content", ""),
                "ext": m.body.get("ext", ""), "config": m.body.get("config", ""),
                "attachment": m.body.get("attachment", ""), "timestamp": m.meta["timestamp"], "status": 0}

    def unread(self, _request, _body, user):
        def number(conversation):
            return sum(m.mid > user.acked.get(conversation, 0) and m.meta["from"]["uid"] != user.uid
                       for m in self.world.history(user, conversation))
        counted = ((c, number(c)) for c in user.logs)
        return [{"conversation_id": {"uid": c}, "num": n} for c, n in counted if n]

    def ack(self, request, _body, user):
        conversation, mid = int(request.query["conversation_id"]), int(request.query["msg_id"])
        if mid not in self.world.messages:
            raise ValueError("no such message")
        user.acked[conversation] = max(mid, user.acked.get(conversation, 0))
        return True

    def recall(self, _request, body, user):
        self.world.post(user, 0, int(body["conversation_id"]), {
            "type": wire.OPER, "content": "", "ctype": wire.COMMAND,
            "operation": {"type": wire.OP_RECALL, "mid": int(body["msg_id"])}})
        return True

    def online_status(self, _request, _body, user):
        return {"online": bool(self.server.serials_online(user))}


class Envelope:
    """Data with something beside it."""

    def __init__(self, data, **more):
        self.data = data
        self.more = more


TABLE = {
    ("GET", "/"): (Rest.health, None),
    ("GET", "/api/health"): (Rest.health, None),
    ("GET", "/v2/app_dns"): (Rest.dns, None),
    ("GET", "/app/config"): (lambda *_: {}, "app"),
    ("POST", "/token/user"): (Rest.token_user, "app"),
    ("POST", "/token/login"): (Rest.token_user, "app"),
    ("POST", "/token/id"): (Rest.token_id, "app"),
    ("GET", "/user/profile"): (Rest.profile, "user"),
    ("POST", "/user/profile"): (lambda *_: True, "user"),
    ("GET", "/user/settings"): (Rest.settings, "user"),
    ("POST", "/user/settings"): (lambda *_: True, "user"),
    ("GET", "/user/device/list"): (Rest.devices, "user"),
    ("POST", "/user/kick"): (Rest.kick, "user"),
    ("GET", "/user/online_status"): (Rest.online_status, "user"),
    ("GET", "/roster/list"): (Rest.roster, "user"),
    ("POST", "/roster/list"): (Rest.details, "user"),
    ("GET", "/roster/name"): (Rest.roster_name, "user"),
    ("GET", "/roster/apply/list"): (Rest.applications, "user"),
    ("POST", "/roster/accept"): (Rest.accept, "user"),
    ("POST", "/roster/decline"): (Rest.decline, "user"),
    ("GET", "/group/user_joined"): (Rest.user_joined, "user"),
    ("POST", "/group/info/batch"): (Rest.group_info, "user"),
    ("GET", "/group/member_list"): (Rest.members, "user"),
    ("POST", "/group/members/display_name"): (Rest.member_names, "user"),
    ("GET", "/group/invitation_list"): (Rest.invitations, "user"),
    ("POST", "/group/invite/handle"): (Rest.handle_invitation, "user"),
    ("POST", "/message/send"): (Rest.send, "either"),
    ("PUT", "/message/send"): (Rest.send, "either"),
    ("GET", "/message/conversation"): (Rest.conversation, "user"),
    ("GET", "/message/unread"): (Rest.unread, "user"),
    ("GET", "/message/ack"): (Rest.ack, "user"),
    ("POST", "/message/recall"): (Rest.recall, "user"),
}
