"""What the cloud knows: users with their devices and logs, groups, messages.
No network here; whoever is to hear of something new has put itself into
`listeners`."""
import base64
import json
import random
import time
from dataclasses import dataclass, field

from . import wire

SYSTEM = 0  # the conversation of notices
FIRST_UID = 6597450563888
FIRST_GID = 6597450570001
FIRST_MID = 987654321098765432
FIRST_SN = 7
DEVICES_MAX = 10
TOKEN_SECONDS = 7 * 86400


def now_ms():
    return int(time.time() * 1000)


def merged(old, new):
    """JSON objects as texts: the members of the new one over those of the old one."""
    def merge(a, b):
        return {**a, **{k: merge(a[k], v) if isinstance(v, dict) and isinstance(a.get(k), dict) else v for k, v in b.items()}}
    try:
        return json.dumps(merge(json.loads(old or "{}"), json.loads(new)), ensure_ascii=False) if new else old
    except ValueError:
        return new


class Refused(Exception):
    """A status of the protocol instead of an effect."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass
class Entry:
    """One line in the log that a user has of a conversation."""
    meta: dict
    present: set = None  # serial numbers of the devices that were online, if nobody else gets it


@dataclass(eq=False)
class Device:
    sn: int
    guid: str
    read: dict = field(default_factory=dict)  # conversation -> how many entries of its log were given out


@dataclass(eq=False)
class User:
    uid: int
    name: str
    password: str
    nick: str
    bot: bool = False
    frozen: bool = False
    logs: dict = field(default_factory=dict)     # conversation -> [Entry]
    devices: dict = field(default_factory=dict)  # sn -> Device
    acked: dict = field(default_factory=dict)    # conversation -> highest id read, as REST was told
    friends: set = field(default_factory=set)
    applied: dict = field(default_factory=dict)  # who wants to be a friend -> reason
    invited: dict = field(default_factory=dict)  # group -> who invites
    sent: dict = field(default_factory=dict)     # (device, client id) -> (server id, what it was)


@dataclass(eq=False)
class Group:
    gid: int
    name: str
    owner: int
    members: dict  # uid -> display name


@dataclass
class Message:
    """As it is now, for history."""
    mid: int
    meta: dict
    recalled: bool = False
    edited: int = 0

    @property
    def body(self):
        return self.meta["payload"]


class World:
    def __init__(self, app_id="kazbcbeqgmjl", seed=1):
        self.app_id = app_id
        self.app_status = "normal"
        self.dice = random.Random(seed)
        self.users, self.groups, self.messages = {}, {}, {}
        self.tokens = {}        # token -> (uid, good until)
        self.admin_tokens = set()
        self.listeners = []     # called with (user, conversation, entry)
        self.complaints = []    # what a client did that the protocol does not allow
        self.friends_only = False
        self.token_seconds = TOKEN_SECONDS
        self.last_mid = FIRST_MID
        self.last_sn = FIRST_SN - 1

    def complain(self, text):
        self.complaints.append(text)

    # --- who there is ---
    def add_user(self, name, password="secret", nick=None, bot=False):
        user = User(FIRST_UID + len(self.users), name, password, nick or name, bot)
        self.users[user.uid] = user
        return user

    def add_group(self, name, owner, *members):
        group = Group(FIRST_GID + len(self.groups), name, owner.uid, {u.uid: u.nick for u in (owner, *members)})
        self.groups[group.gid] = group
        return group

    def named(self, name):
        return next((u for u in self.users.values() if u.name == name), None)

    def groups_of(self, uid):
        return [g for g in self.groups.values() if uid in g.members]

    # --- tokens ---
    def new_token(self, user):
        """A JSON Web Token by its looks; what it is worth stands in `tokens`."""
        claims = {"app": self.app_id, "sub": str(user.uid), "cluster": 0, "role": 1, "iat": int(time.time())}
        parts = (json.dumps({"alg": "HS512"}).encode(), json.dumps(claims).encode(), self.dice.randbytes(48))
        token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
        self.tokens[token] = (user.uid, time.time() + self.token_seconds)
        return token

    def new_admin_token(self):
        self.admin_tokens.add(f"admin-{self.dice.randrange(10**12):012}")
        return max(self.admin_tokens)

    def expire_tokens(self):
        self.tokens = {token: (uid, 0) for token, (uid, _) in self.tokens.items()}

    def holder(self, token):
        """(user or None, whether the token was good once)."""
        uid, until = self.tokens.get(token, (None, 0))
        return (self.users.get(uid) if until > time.time() else None), uid is not None

    # --- devices ---
    def device(self, user, sn, guid):
        """The device that logs in; made if it is new."""
        if not guid:
            raise Refused(wire.INVALID_PARAMETER, "device_guid is missing")
        for other in self.users.values():
            if other is not user and any(d.guid == guid for d in other.devices.values()):
                raise Refused(wire.DEVICE_GUID_CONFLICT, "device guid conflict")
        known = next((d for d in user.devices.values() if d.guid == guid), None)
        if known:
            return known
        if sn in user.devices:
            raise Refused(wire.DEVICE_GUID_CONFLICT, "device guid conflict")
        if len(user.devices) >= DEVICES_MAX:
            raise Refused(wire.TOO_MANY_DEVICES, "too many devices")
        self.last_sn += 1
        # A new device begins with what nobody of this user has got yet.
        first = {conversation: max((d.read.get(conversation, 0) for d in user.devices.values()), default=0)
                 for conversation in user.logs}
        return user.devices.setdefault(self.last_sn, Device(self.last_sn, guid, first))

    # --- logs ---
    def next_mid(self):
        self.last_mid += self.dice.randrange(1, 4)
        return self.last_mid

    def log(self, user, conversation, meta, present=None):
        entry = Entry(meta, present)
        user.logs.setdefault(conversation, []).append(entry)
        for tell in self.listeners:
            tell(user, conversation, entry)

    @staticmethod
    def waiting(user, device, conversation, key=None):
        """[(how far the log is read with it, Entry)] that the device has not got; key: behind this id instead."""
        log = user.logs.get(conversation, [])
        first = device.read.get(conversation, 0)
        if key:
            first = next((i for i, entry in enumerate(log) if entry.meta["id"] > key), len(log))
        return [(i + 1, entry) for i, entry in enumerate(log[first:], first)
                if entry.meta.get("from") != {"uid": user.uid, "deviceSN": device.sn}
                and (entry.present is None or device.sn in entry.present)]

    def unread(self, user, device):
        """[(conversation, number)]; operations count, or a lost notice of one would never be made good."""
        found = ((c, sum(entry.present is None for _, entry in self.waiting(user, device, c))) for c in user.logs)
        return [(conversation, n) for conversation, n in found if n]

    def history(self, user, conversation, start=0):
        """Messages as they are now, newest first, from the one with id start on."""
        own = [m for m in self.messages.values() if not m.recalled and
               any(e.meta["id"] == m.mid and e.present is None for e in user.logs.get(conversation, ()))]
        return [m for m in sorted(own, key=lambda m: -m.mid) if not start or m.mid <= start]

    # --- talking ---
    def receivers(self, sender, to):
        """[(user, conversation)] that get something sent to a user or group, the sender included."""
        if to in self.groups:
            members = self.groups[to].members
            if sender.uid not in members:
                raise Refused(wire.UNAUTHORIZED, "not a member of this group")
            return [(self.users[uid], to) for uid in members]
        if to not in self.users:
            raise Refused(wire.INVALID_PARAMETER, "no such user")
        if self.friends_only and to != sender.uid and to not in sender.friends:
            raise Refused(wire.FAIL, "your relation with target does not allow chat")
        return [(self.users[to], sender.uid), (sender, to)][:2 if to != sender.uid else 1]

    def post(self, sender, device, to, body, online=None, time_ms=None):
        """Sends. Returns (its id, edit time or None). online: a function from user to the serial numbers of the
        devices that are there, and nobody else gets it. time_ms: when it was, instead of now."""
        receivers = self.receivers(sender, to)
        operation = body.get("operation", {})
        edited = None
        body = dict(body)
        if body.get("type") == wire.OPER:
            edited = self.operate(sender, to, operation, body)
            if edited:
                body["edit_timestamp"] = edited
        meta = {"id": self.next_mid(), "from": {"uid": sender.uid, "deviceSN": device}, "to": {"uid": to},
                "timestamp": time_ms or now_ms(), "ns": wire.NS_MESSAGE, "payload": body}
        if body.get("type") != wire.OPER:
            self.messages[meta["id"]] = Message(meta["id"], {**meta, "payload": dict(body)})
        for user, conversation in receivers:
            self.log(user, conversation, meta, online(user) if online else None)
        return meta["id"], edited

    def operate(self, sender, to, operation, body):
        """What an operation does to the message that it names; the time of an edit."""
        kind, mid = operation.get("type", 0), operation.get("mid", 0)
        target = self.messages.get(mid)
        if kind in (wire.OP_READ_ACK, wire.OP_DELIVER_ACK, wire.OP_APPEND, wire.OP_REPLACE, wire.OP_RECALL) and not target:
            raise Refused(wire.INVALID_PARAMETER, f"no message {mid}")
        if kind in (wire.OP_APPEND, wire.OP_REPLACE, wire.OP_RECALL):
            if target.meta["from"]["uid"] != sender.uid:
                raise Refused(wire.UNAUTHORIZED, "not your message")
            if target.meta["to"]["uid"] != to:
                raise Refused(wire.INVALID_PARAMETER, "not of this conversation")
            if target.recalled:
                raise Refused(wire.INVALID_PARAMETER, "recalled")
        if kind == wire.OP_RECALL:
            target.recalled = True
        if kind not in (wire.OP_APPEND, wire.OP_REPLACE):
            return None
        old = target.body.get("content", "") if kind == wire.OP_APPEND else ""
        target.edited = max(now_ms(), target.edited + 1)
        target.meta["payload"] = {
            **target.body, "content": old + body.get("content", ""), "edit_timestamp": target.edited,
            **{name: merged(target.body.get(name), body[name]) for name in ("config", "ext") if body.get(name)}}
        return target.edited

    def notice(self, user, ns, payload, sender=SYSTEM):
        """Something in the conversation of notices."""
        self.log(user, SYSTEM, {"id": self.next_mid(), "from": {"uid": sender, "deviceSN": 0}, "to": {"uid": user.uid},
                                "timestamp": now_ms(), "ns": ns, "payload": payload})

    def group_notice(self, user, group, kind, sender, to):
        self.notice(user, wire.NS_GROUP_NOTICE, {"type": kind, "gid": {"uid": group.gid}, "from": {"uid": sender.uid},
                                                 "to": [{"uid": u.uid} for u in to]}, sender.uid)

    # --- friends and groups ---
    def apply_for_friendship(self, person, to, reason="hi"):
        to.applied[person.uid] = reason
        self.notice(to, wire.NS_ROSTER_NOTICE, {"type": wire.ROSTER_APPLIED, "from": {"uid": person.uid},
                                                "to": [{"uid": to.uid}], "content": reason}, person.uid)

    def accept_friend(self, user, uid):
        if user.applied.pop(uid, None) is None:
            return False
        user.friends.add(uid)
        self.users[uid].friends.add(user.uid)
        return True

    def invite(self, person, to, group):
        to.invited[group.gid] = person.uid
        self.group_notice(to, group, wire.GROUP_INVITED, person, [to])

    def handle_invitation(self, user, gid, approval):
        inviter = user.invited.pop(gid, None)
        if inviter is None:
            return False
        if approval:
            self.join(user, self.groups[gid])
        return True

    def join(self, user, group):
        group.members[user.uid] = user.nick
        for uid in group.members:
            self.group_notice(self.users[uid], group, wire.GROUP_JOINED, user, [user])

    def remove(self, user, group, by):
        """Throws a member out."""
        members = [self.users[uid] for uid in group.members]
        del group.members[user.uid]
        for member in members:
            self.group_notice(member, group, wire.GROUP_KICKED, by, [user])
