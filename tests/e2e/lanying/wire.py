"""XSYNC frames: protobuf by tables. A message is a dict of the fields that are
on the wire, zeros included, so that what was read is written back the same.

A reader that believes nothing: it stands for a server, and what it refuses is
the client's fault."""

FRAME_BYTES_MAX = 4 << 20
VARINT_BYTES_MAX = 10
VARINT, BYTES = 0, 2

UNREAD, SYNC, NOTICE, PROVISION = range(4)
(NS_UNKNOWN, NS_MESSAGE, NS_GROUP_NOTICE, NS_ROSTER_NOTICE, NS_USER_NOTICE, NS_INFO, NS_CONVERSATION, NS_PUSH,
 NS_RTC_SIGNAL) = range(9)
NORMAL, OPER, CHAT, GROUPCHAT = range(4)
TEXT, IMAGE, AUDIO, VIDEO, FILE, LOCATION, COMMAND, FORWARD, RTC = range(9)
CTYPES = ("TEXT", "IMAGE", "AUDIO", "VIDEO", "FILE", "LOCATION", "COMMAND", "FORWARD", "RTC")
(OP_UNKNOWN, OP_READ_ACK, OP_READ_ALL, OP_READ_CANCEL, OP_DELIVER_ACK, OP_RECALL, OP_DELETE, OP_PLAY_ACK, OP_APPEND,
 OP_REPLACE) = range(10)
AT_LEAST_ONCE, AT_MOST_ONCE, EXACTLY_ONCE = range(3)
(UNKNOWN, OK, FAIL, UNKNOWN_COMMAND, PB_PARSER_ERROR, DECRYPT_FAILURE, PUBLIC_KEY_CHANGED, INVALID_TOKEN,
 INVALID_PARAMETER, UNAUTHORIZED, USER_FROZEN, USER_BANNED, WORD_CENSORED, TOO_MANY_DEVICES,
 ENCRYPT_METHOD_UNSUPPORTED, DEVICE_GUID_CONFLICT, CHECK_SUM_FAILURE, INVALID_LICENSE, LICENSE_LIMIT, APP_FROZEN,
 RATE_LIMIT_EXCEEDED) = range(21)
GROUP_CREATED, GROUP_DESTROYED, GROUP_JOINED, GROUP_LEAVED, GROUP_INVITED, GROUP_KICKED = 3, 4, 5, 6, 10, 13
ROSTER_ADDED, ROSTER_APPLIED = 1, 7
(PASSWORD_CHANGED, FROZEN, REMOVED, KICK_BY_SAME_DEVICE, KICKED_BY_OTHER_DEVICE) = range(1, 6)
CLUSTER_CHANGED, DNS_UPDATE, TRAFFIC_LIMIT_EXCEEDED = 11, 12, 13

# Message: field number -> (name, kind). Kinds: uint64, uint32, enum, bool, sint32, string, bytes, or a message;
# "+" before a message: repeated.
SCHEMA = {
    "Frame": {1: ("vsn", "enum"), 2: ("compress_method", "enum"), 3: ("command", "enum"), 4: ("payload", "bytes"),
              5: ("encrypt_method", "enum"), 6: ("encrypt_key", "bytes"), 7: ("check_sum", "uint32"), 8: ("tag", "string")},
    "XID": {1: ("uid", "uint64"), 2: ("deviceSN", "uint32")},
    "Status": {1: ("code", "enum"), 2: ("reason", "string")},
    "Provision": {1: ("status", "Status"), 2: ("xid", "XID"), 5: ("password", "string"), 6: ("token", "string"),
                  7: ("os_type", "enum"), 8: ("sdk_vsn", "string"), 9: ("is_manual_login", "bool"),
                  10: ("device_guid", "string"), 11: ("device_notifier", "string"), 12: ("device_token", "string"),
                  13: ("device_info", "string"), 14: ("last_login_time", "uint64")},
    "UnreadUL": {},
    "UnreadDL": {1: ("status", "Status"), 2: ("unread", "+ConversationUnread")},
    "ConversationUnread": {1: ("xid", "XID"), 2: ("n", "uint32"), 3: ("type", "enum")},
    "Notice": {1: ("xid", "XID")},
    "SyncUL": {1: ("xid", "XID"), 2: ("key", "uint64"), 3: ("meta", "Meta"), 4: ("is_full_sync", "bool"),
               5: ("full_sync_num", "sint32")},
    "SyncDL": {1: ("status", "Status"), 2: ("metas", "+Meta"), 3: ("next_key", "uint64"), 4: ("xid", "XID"),
               5: ("client_mid", "uint64"), 6: ("server_mid", "uint64"), 7: ("server_time", "uint64"),
               8: ("is_full_sync", "bool"), 9: ("prev_mid", "uint64"), 10: ("is_eager_sync", "bool"),
               11: ("edit_timestamp", "uint64")},
    "Meta": {1: ("id", "uint64"), 2: ("from", "XID"), 3: ("to", "XID"), 4: ("timestamp", "uint64"), 5: ("ns", "enum"),
             6: ("payload", "bytes")},
    "MessageBody": {1: ("type", "enum"), 4: ("content", "string"), 5: ("ctype", "enum"), 6: ("operation", "MessageOperation"),
                    7: ("config", "string"), 8: ("attachment", "string"), 9: ("ext", "string"), 10: ("qos", "enum"),
                    11: ("sender_name", "string"), 12: ("is_system", "bool"), 13: ("priority", "uint32"),
                    14: ("status", "enum"), 15: ("edit_timestamp", "uint64")},
    "MessageOperation": {1: ("type", "enum"), 2: ("mid", "uint64"), 3: ("xid", "XID")},
    "GroupNotice": {1: ("type", "enum"), 2: ("gid", "XID"), 3: ("from", "XID"), 4: ("to", "+XID"), 5: ("content", "string")},
    "RosterNotice": {1: ("type", "enum"), 2: ("from", "XID"), 3: ("to", "+XID"), 4: ("content", "string"),
                     5: ("roster_vsn", "string")},
    "UserNotice": {1: ("type", "enum"), 2: ("content", "string")},
}
NUMBERS = {message: {name: (number, kind) for number, (name, kind) in fields.items()} for message, fields in SCHEMA.items()}
UP = {UNREAD: "UnreadUL", SYNC: "SyncUL", PROVISION: "Provision"}
DOWN = {UNREAD: "UnreadDL", SYNC: "SyncDL", NOTICE: "Notice", PROVISION: "Provision"}
PAYLOADS = {NS_MESSAGE: "MessageBody", NS_PUSH: "MessageBody", NS_GROUP_NOTICE: "GroupNotice",
            NS_ROSTER_NOTICE: "RosterNotice", NS_USER_NOTICE: "UserNotice"}
LIMITS = {"uint64": 1 << 64, "uint32": 1 << 32, "enum": 1 << 31, "bool": 2, "sint32": 1 << 32}


class Malformed(ValueError):
    pass


# --- writing ---
def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def tagged(number, data):
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def encode_field(number, kind, value, zeros):
    if kind in SCHEMA:
        return tagged(number, encode(kind, value, zeros))
    if kind in ("string", "bytes"):
        data = value.encode() if kind == "string" else value
        return tagged(number, data) if data or zeros else b""
    n = (value << 1 ^ value >> 31) if kind == "sint32" else int(value)
    assert 0 <= n < LIMITS[kind], (kind, value)
    return varint(number << 3 | VARINT) + varint(n) if n or zeros else b""


def encode(message, fields, zeros=True):
    """The bytes of a message; zeros False: as an encoder that leaves defaults out."""
    out = bytearray()
    for number, name in sorted((NUMBERS[message][name][0], name) for name in fields):
        kind = NUMBERS[message][name][1]
        for value in fields[name] if kind[0] == "+" else (fields[name],):
            out += encode_field(number, kind.lstrip("+"), value, zeros)
    return bytes(out)


# --- reading ---
def read_varint(data, at):
    n = 0
    for i in range(VARINT_BYTES_MAX):
        if at + i >= len(data):
            raise Malformed("a number is cut off")
        n |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            if n >> 64:
                raise Malformed("a number has more than 64 bits")
            return n, at + i + 1
    raise Malformed("a number has more than ten bytes")


def read_value(kind, wire, data, at):
    if wire == VARINT:
        n, at = read_varint(data, at)
        if kind not in LIMITS:
            raise Malformed(f"a number where {kind} belongs")
        if n >= LIMITS[kind]:
            raise Malformed(f"{n} is no {kind}")
        return (n >> 1 ^ -(n & 1) if kind == "sint32" else bool(n) if kind == "bool" else n), at
    if wire != BYTES:
        raise Malformed(f"wire type {wire}")
    size, at = read_varint(data, at)
    if size > len(data) - at:
        raise Malformed("longer than what it is in")
    value = data[at:at + size]
    if kind in SCHEMA:
        value = decode(kind, value)
    elif kind == "string":
        value = value.decode()
    elif kind != "bytes":
        raise Malformed(f"bytes where {kind} belongs")
    return value, at + size


def decode(message, data):
    """The fields of a message. Unknown ones are Malformed: no client has a reason to send them."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag >> 3 not in SCHEMA[message]:
            raise Malformed(f"{message} has no field {tag >> 3}")
        name, kind = SCHEMA[message][tag >> 3]
        try:
            value, at = read_value(kind.lstrip("+"), tag & 7, data, at)
        except (Malformed, UnicodeDecodeError) as e:
            raise Malformed(f"{message}.{name}: {e}") from e
        if kind[0] == "+":
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise Malformed(f"{message}.{name} stands twice")
        else:
            fields[name] = value
    return fields


# --- whole frames: nested payloads are dicts, too ---
def pack_meta(meta, zeros=True):
    kind = PAYLOADS.get(meta.get("ns"))
    return {**meta, "payload": encode(kind, meta["payload"], zeros)} if kind and "payload" in meta else meta


def unpack_meta(meta):
    kind = PAYLOADS.get(meta.get("ns"))
    return {**meta, "payload": decode(kind, meta["payload"])} if kind and "payload" in meta else meta


def map_metas(payload, convert):
    payload = dict(payload)
    if "meta" in payload:
        payload["meta"] = convert(payload["meta"])
    if "metas" in payload:
        payload["metas"] = [convert(meta) for meta in payload["metas"]]
    return payload


def pack(frame, kinds, zeros=True):
    frame = dict(frame)
    if "payload" in frame:
        payload = map_metas(frame["payload"], lambda meta: pack_meta(meta, zeros))
        kind = "XID" if frame.get("command", 0) == NOTICE and "uid" in payload else kinds[frame.get("command", 0)]
        frame["payload"] = encode(kind, payload, zeros)
    return encode("Frame", frame, zeros)


def unpack(data, kinds):
    if len(data) > FRAME_BYTES_MAX:
        raise Malformed("too long")
    frame = decode("Frame", data)
    if frame.get("compress_method") or frame.get("encrypt_method"):
        raise Malformed("compressed or encrypted")
    if frame.get("command", 0) not in kinds:
        raise Malformed(f"command {frame['command']}")
    if "payload" in frame:
        kind = kinds[frame.get("command", 0)]
        if kind == "Notice" and frame["payload"][:1] == b"\x08":
            kind = "XID"
        frame["payload"] = map_metas(decode(kind, frame["payload"]), unpack_meta)
    return frame


def up(frame, zeros=True):
    """From client to server."""
    return pack(frame, UP, zeros)


def down(command, payload=None, zeros=False):
    """From server to client. The vendor's server leaves zeros out, as far as one knows."""
    return pack({"command": command, **({} if payload is None else {"payload": payload})}, DOWN, zeros)


def read_up(data):
    return unpack(data, UP)


def read_down(data):
    return unpack(data, DOWN)
