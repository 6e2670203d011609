"""Matrix for tests: a real Synapse, people that speak through matrix-nio, and a
daemon with an account there."""
import asyncio
import contextlib
import hashlib
import hmac
import json
import pathlib
import secrets
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from counterparts import Server, fetch

HERE = pathlib.Path(__file__).resolve().parent
NAME = "localhost"
HEARD_SECONDS = 60  # for an event that must come, on a busy machine
UNLIMITED = {"per_second": 10000, "burst_count": 10000}
LOG_CONFIG = {"version": 1, "formatters": {"f": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
              "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
              "root": {"level": "WARNING", "handlers": ["h"]}, "disable_existing_loggers": False}


class Synapse(Server):
    """A homeserver of its own, with SQLite. more: settings of homeserver.yaml."""

    def __init__(self, folder, **more):
        super().__init__(folder, "synapse")
        self.python = fetch("synapse") / "bin/python"
        self.folder = folder
        self.secret = secrets.token_hex(16)
        self.tokens = {}  # user -> access token
        (folder / "log.yaml").write_text(json.dumps(LOG_CONFIG))
        self.configure(**more)

    def configure(self, **more):
        config = {  # JSON is YAML
            "server_name": NAME,
            "listeners": [{"bind_addresses": ["127.0.0.1"], "port": self.port, "tls": False, "type": "http",
                           "resources": [{"names": ["client"], "compress": False}]}],
            "database": {"name": "sqlite3", "args": {"database": str(self.folder / "homeserver.db")}},
            "log_config": str(self.folder / "log.yaml"),
            "media_store_path": str(self.folder / "media"),
            "signing_key_path": str(self.folder / "signing.key"),
            "pid_file": str(self.folder / "pid"),
            "registration_shared_secret": self.secret,
            "macaroon_secret_key": self.secret,
            "form_secret": self.secret,
            "report_stats": False,
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "url_preview_enabled": False,
            "federation_domain_whitelist": [],
            "presence": {"enabled": False},
            "rc_message": UNLIMITED, "rc_registration": UNLIMITED, "rc_admin_redaction": UNLIMITED,
            "rc_login": {"address": UNLIMITED, "account": UNLIMITED, "failed_attempts": UNLIMITED},
            "rc_joins": {"local": UNLIMITED, "remote": UNLIMITED}, "rc_joins_per_room": UNLIMITED,
            "rc_invites": {"per_room": UNLIMITED, "per_user": UNLIMITED, "per_issuer": UNLIMITED},
            "rc_room_creation": UNLIMITED,
            **more,
        }
        (self.folder / "homeserver.yaml").write_text(json.dumps(config))

    def start(self):
        if not (self.folder / "signing.key").exists():
            self._run("--generate-keys")
        self.spawn([self.python, "-m", "synapse.app.homeserver", "-c", str(self.folder / "homeserver.yaml")])
        return self.wait_for_port()

    def _run(self, *options):
        subprocess.run([self.python, "-m", "synapse.app.homeserver", "-c", str(self.folder / "homeserver.yaml"), *options],
                       check=True, capture_output=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def call(self, method, path, body=None, token=None, ok=True):
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            text = e.read().decode()
            assert not ok, f"{method} {path}: {e.code} {text}"
            return json.loads(text)

    def register(self, user, admin=False):
        """Makes a user, with the password pw-USER; returns an access token."""
        nonce = self.call("GET", "/_synapse/admin/v1/register")["nonce"]
        text = "\0".join((nonce, user, f"pw-{user}", "admin" if admin else "notadmin"))
        mac = hmac.new(self.secret.encode(), text.encode(), hashlib.sha1).hexdigest()
        made = self.call("POST", "/_synapse/admin/v1/register", {
            "nonce": nonce, "username": user, "password": f"pw-{user}", "admin": admin, "mac": mac})
        self.tokens[user] = made["access_token"]
        return made["access_token"]

    def as_user(self, user, method, path, body=None, ok=True):
        """A call in the user's name, for what needs no client that listens."""
        return self.call(method, "/_matrix/client/v3" + path, body, self.tokens[user], ok)

    def messages(self, user, room, limit=1000):
        """All that a room says, oldest first, as the server has it."""
        events, token = [], ""
        while True:
            page = self.as_user(user, "GET", f"/rooms/{quote(room)}/messages?dir=b&limit={limit}{token}")
            events += page["chunk"]
            if "end" not in page:
                return events[::-1]
            token = f"&from={quote(page['end'])}"


def quote(s):
    return urllib.parse.quote(s, safe="")


class Person:
    """Somebody with a client. What they see is in `events`, by room, and what
    their client would show of it in screen()."""

    def __init__(self, synapse, user):
        self.synapse = synapse
        self.user = user
        self.id = f"@{user}:{NAME}"
        self.python = fetch("nio") / "bin/python"
        self.events = {}      # room -> list
        self.typing = {}      # room -> every list of those who type
        self.receipts = []    # (room, event, user)
        self.invites = []
        self.answers = {}
        self.n = 0
        self.changed = asyncio.Event()
        self.process = self.reader = None

    async def __aenter__(self):
        if self.user not in self.synapse.tokens:
            self.synapse.register(self.user)
        self.process = await asyncio.create_subprocess_exec(
            self.python, HERE / "matrix_person.py", self.synapse.url, self.id, f"pw-{self.user}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2 ** 26)
        line = json.loads(await asyncio.wait_for(self.process.stdout.readline(), HEARD_SECONDS))
        while "ready" not in line:
            assert "error" not in line, line
            self._take(line)
            line = json.loads(await asyncio.wait_for(self.process.stdout.readline(), HEARD_SECONDS))
        self.reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_):
        self.process.stdin.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), 10)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self.reader.cancel()

    def _take(self, line):
        room = line.get("room")
        if "n" in line:
            self.answers.pop(line["n"]).set_result(line)
        elif "event" in line:
            self.events.setdefault(room, []).append(line["event"])
        elif "typing" in line:
            self.typing.setdefault(room, []).append(line["typing"])
        elif "receipt" in line:
            self.receipts.append((room, line["receipt"], line["user"]))
        elif "invite" in line:
            self.invites.append((room, line["invite"]))
        self.changed.set()

    async def _read(self):
        while line := await self.process.stdout.readline():
            self._take(json.loads(line))

    async def do(self, what, **args):
        """A method of nio's client."""
        self.n += 1
        answer = self.answers[self.n] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps({"n": self.n, "do": what, "with": args}).encode() + b"\n")
        line = await asyncio.wait_for(answer, HEARD_SECONDS)
        assert "ok" in line, (what, args, line)
        return line["ok"]

    async def until(self, test, seconds=HEARD_SECONDS, what="what was waited for"):
        """Waits until test() is true, looking whenever something came."""
        async def wait():
            while not (found := test()):
                self.changed.clear()
                await self.changed.wait()
            return found
        try:
            return await asyncio.wait_for(wait(), seconds)
        except asyncio.TimeoutError:
            pytest.fail(f"{self.user} never saw {what}:\n{self.picture()}")

    # --- speaking ---
    async def room(self, *invited, name=None, direct=False, **more):
        made = await self.do("room_create", invite=[f"@{u}:{NAME}" for u in invited], name=name, is_direct=direct,
                             initial_state=more.pop("initial_state", []), **more)
        return made["room_id"]

    async def send(self, room, content, kind="m.room.message"):
        return (await self.do("room_send", room_id=room, message_type=kind, content=content))["event_id"]

    async def say(self, room, text, thread=None, reply_to=None, mention=None, **more):
        content = {"msgtype": "m.text", "body": text, **more}
        if thread:
            content["m.relates_to"] = {"rel_type": "m.thread", "event_id": thread, "is_falling_back": True,
                                       "m.in_reply_to": {"event_id": reply_to or thread}}
        elif reply_to:
            content["m.relates_to"] = {"m.in_reply_to": {"event_id": reply_to}}
        if mention:
            content["m.mentions"] = {"user_ids": [f"@{mention}:{NAME}"]}
        return await self.send(room, content)

    async def edit(self, room, event, text):
        new = {"msgtype": "m.text", "body": text}
        return await self.send(room, {**new, "body": "* " + text, "m.new_content": new,
                                      "m.relates_to": {"rel_type": "m.replace", "event_id": event}})

    async def react(self, room, event, key):
        return await self.send(room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": event, "key": key}}, "m.reaction")

    # --- seeing ---
    def screen(self, room):
        """The messages of the room as a client shows them: each with its newest text."""
        shown = {}
        for e in self.events.get(room, []):
            content = e.get("content", {})
            relates = content.get("m.relates_to") or {}
            if e["type"] == "m.room.redaction":
                shown.pop(e.get("redacts") or content.get("redacts"), None)
            elif e["type"] != "m.room.message" or "body" not in content:
                continue
            elif relates.get("rel_type") == "m.replace":
                old = shown.get(relates["event_id"])
                if old and old["sender"] == e["sender"]:
                    old.update(text=content["m.new_content"]["body"], edits=old["edits"] + 1, content=content["m.new_content"])
                    old["texts"].append(old["text"])
            else:
                shown[e["event_id"]] = {
                    "id": e["event_id"], "sender": e["sender"], "text": content["body"], "edits": 0, "content": content,
                    "thread": relates.get("event_id") if relates.get("rel_type") == "m.thread" else None,
                    "reply_to": (relates.get("m.in_reply_to") or {}).get("event_id"), "texts": [content["body"]]}
        return list(shown.values())

    def picture(self):
        """All screens, for the log of a test."""
        lines = []
        for room in self.events:
            lines.append(f"--- {room}, as {self.user} sees it ---")
            for m in self.screen(room):
                place = "  | " if m["thread"] else ""
                edits = f"  ({m['edits']} edits)" if m["edits"] else ""
                shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in m["text"][:200])
                lines.append(f"{place}{m['sender']}: {shown}{edits}")
        return "\n".join(lines)

    def replies(self, room, question, of="bot"):
        return [m for m in self.screen(room) if m["reply_to"] == question and m["sender"] == f"@{of}:{NAME}"]

    async def reply(self, room, question, text, seconds=HEARD_SECONDS, of="bot"):
        """The one answer to a question, once it says this (or what test() accepts)."""
        test = text if callable(text) else lambda t: t == text
        found = await self.until(lambda: [m for m in self.replies(room, question, of) if test(m["text"])], seconds,
                                 f"an answer {text!r}")
        return found[0]

    async def ask(self, room, text, **more):
        question = await self.say(room, text, **more)
        return question, await self.reply(room, question, lambda t: len(t) > 0)

    async def joined(self, room, user="bot"):
        await self.until(lambda: any(e["type"] == "m.room.member" and e.get("state_key") == f"@{user}:{NAME}"
                                     and e["content"].get("membership") == "join" for e in self.events.get(room, [])),
                         what=f"{user} in {room}")


def account(synapse, token, more="", name="mx", allow='"@*:localhost"'):
    """The account in the daemon's configuration."""
    return (f'{{ name = "{name}"; adapter = "matrix"; homeserver = "{synapse.url}"; '
            f'{token and f"""access_token = "{token}"; """}invite = {{ allow = ( {allow} ); }}; {more} }}')


@pytest.fixture(name="synapse", scope="module")
def one_synapse(tmp_path_factory):
    """One homeserver for all tests of a file that do nothing to it."""
    server = Synapse(tmp_path_factory.mktemp("synapse"))
    try:
        yield server.start()
    finally:
        server.stop()
