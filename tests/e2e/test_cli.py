"""The command line, as a person and a script use it."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import binary

SECONDS = 60  # for a command, before a test says that it hangs
COMMANDS = ("run", "check", "explain", "ping", "chat", "queue", "usage", "matrix-registration", "practice-model")
MANUAL = pathlib.Path(__file__).parents[2] / "config" / "warbler.1"
ERASE = "\r\x1b[K"


def environment(more=None):
    """Nothing of the machine's: English, no colours unless asked for, no home."""
    kept = {k: v for k, v in os.environ.items() if not re.match("LC_|LANG|XDG_|NO_COLOR|TERM|HOME|WARBLER_CONFIG|OPENAI", k)}
    return {**kept, "LC_ALL": "C", "TERM": "xterm", **(more or {})}


def warbler(*args, env=None, **more):
    done = subprocess.run([binary(), *map(str, args)], env=environment(env), capture_output=True, text=True,
                          timeout=SECONDS, **({} if "input" in more or "stdin" in more else {"stdin": subprocess.DEVNULL}),
                          **more)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def chat(daemon, text, *args, **more):
    return warbler("chat", "--url", daemon.ws, *args, input=text, **more)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(done, seconds=SECONDS):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


# --- help, versions, mistakes ---
def test_version_and_help():
    version = warbler("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert re.fullmatch(r"warbler \d+\.\d+\.\d+\n", version.stdout)
    help_ = warbler("--help")
    assert (help_.returncode, help_.stderr) == (0, "")
    assert set(re.findall(r"^  (\S+)  ", help_.stdout, re.M)) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_and_the_manual_agrees(command):
    help_ = warbler(command, "--help")
    assert (help_.returncode, help_.stderr) == (0, "")
    assert help_.stdout.startswith(f"Usage: warbler {command} ")
    assert max(map(len, help_.stdout.splitlines())) <= 83
    manual = MANUAL.read_text(encoding="utf-8").replace("\\-", "-")
    assert f".SS {command}" in manual
    for option in re.findall(r"^  (?:-.,|   ) (--\S+)", help_.stdout, re.M):
        assert re.search(option + r"\b", manual), f"{option} is not in warbler(1)"


def test_no_command_is_a_mistake():
    done = warbler()
    assert done.returncode == 1 and done.stdout == "" and "Usage: warbler COMMAND" in done.stderr


@pytest.mark.parametrize("args, said", [
    (["chek"], 'unknown command "chek"; did you mean "check"?'),
    (["xyzzy"], 'unknown command "xyzzy"\n'),
    (["check", "--confg", "x"], "unknown option --confg; did you mean --config?"),
    (["run", "-c"], "--config needs a value"),
    (["run", "now"], 'takes no argument: "now"'),
    (["check", "--defaults", "--man"], "not both"),
    (["explain"], "which CHANNEL?"),
    (["explain", "a:b", "c:d"], "one CHANNEL at a time"),
    (["queue", "lst"], 'unknown command "lst"; did you mean "list"?'),
    (["queue", "retry"], "retry needs one ID"),
    (["queue", "drop", "x"], "drop needs one ID"),
    (["queue", "list", "1"], "list takes nothing more"),
    (["chat", "--wait", "0"], "--wait must be 1 to 86400 seconds"),
    (["chat", "--url", "localhost"], "is not an address like ws://"),
    (["practice-model", "--port", "70000"], "--port must be 0 to 65535"),
    (["practice-model", "--fail-rate", "2"], "--fail-rate must be 0 to 1"),
    (["practice-model", "--chunk-chars", "0"], "--chunk-chars must be 1 to 10000"),
    (["practice-model", "--seed", "x"], "--seed must be a whole number"),
])
def test_mistakes_are_told_on_standard_error(args, said):
    done = warbler(*args)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr and "Try `warbler " in done.stderr


def test_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([binary(), "check", "--defaults"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3 and "cannot write to standard output" in done.stderr


# --- run, check ---
def test_a_wrong_configuration_and_a_taken_port(make_daemon):
    daemon = make_daemon()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        daemon.configure(port=s.getsockname()[1])
        done = warbler("run", "-c", daemon.config)
        assert done.returncode == 2 and "in use" in done.stderr
    daemon.configure(bot="qeue = 1;")
    done = warbler("run", "-c", daemon.config)
    assert done.returncode == 1 and 'did you mean "queue"' in done.stderr


def test_check(make_daemon):
    config = make_daemon().config
    done = warbler("check", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{config}: ok, 1 model, 1 bot, 1 account, 1 channel rule\n"
    config.write_text(config.read_text().replace('model = "p"', 'model = "q"').replace("port =", "prt ="))
    done = warbler("check", "-c", config)
    assert (done.returncode, done.stdout) == (1, "")
    errors = re.findall(rf"^{re.escape(str(config))}:(\d+): ", done.stderr, re.M)
    assert len(errors) == 2 and errors[0] != errors[1]


def test_where_the_configuration_is_looked_for(make_daemon, tmp_path):
    config = make_daemon().config
    assert warbler("check", env={"WARBLER_CONFIG": str(config)}).stdout.startswith(f"{config}: ok")
    assert warbler("check", cwd=config.parent).stdout.startswith("./warbler.conf: ok")
    nothing = warbler("check", "-c", tmp_path / "none.conf")
    assert nothing.returncode == 1 and "none.conf" in nothing.stderr


def test_the_sample_file_is_right_and_the_manual_is_one(tmp_path):
    sample = warbler("check", "--defaults")
    assert sample.returncode == 0
    config = tmp_path / "warbler.conf"
    config.write_text(sample.stdout)
    done = warbler("check", "-c", config, env={"OPENAI_API_KEY": "k"})
    assert done.returncode == 0, done.stderr
    manual = warbler("check", "--man")
    assert manual.returncode == 0 and "\n.TH WARBLER.CONF 5 " in manual.stdout


# --- explain ---
RULES = '''{ match = "web:vip-*"; bot = "bo"; system_prompt = "In {channel} I am {bot}."; trigger = ( "always" ); },
           { match = "web:quiet"; bot = "none"; }, { match = "web:[!x]*"; bot = "bo"; }'''


def test_explain(make_daemon):
    daemon = make_daemon(channels=RULES, bot='trigger = ( "mention", "prefix" ); prefix = "!ask"; history_messages = 7;')

    def explain(channel):
        return warbler("explain", "-c", daemon.config, channel)

    lobby = explain("web:lobby")
    assert (lobby.returncode, lobby.stderr) == (0, "")
    for part in ('match = "web:[!x]*": the first that matches', 'match = "web:vip-*": does not match',
                 'match = "web:quiet": does not match', "adapter webchat", "max_message_bytes 16384",
                 "p, the built-in practice model (the bot's)", "a message with @bo in it", 'begins with "!ask"',
                 "7 messages, about 3000 tokens", "You are a helpful assistant."):
        assert part in lobby.stdout
    assert "direct " not in lobby.stdout
    vip = explain("web:vip-1/thread")
    assert vip.returncode == 0 and "In vip-1 I am bo." in vip.stdout and "every message" in vip.stdout
    assert "does not match" not in vip.stdout
    quiet = explain("web:quiet")
    assert quiet.returncode == 0 and "none: the rule says that no bot speaks here" in quiet.stdout
    none = explain("web:xx")
    assert none.returncode == 1 and "the bot stays silent here" in none.stdout
    typo = explain("wev:lobby")
    assert typo.returncode == 1 and 'no account "wev"; did you mean "web"?' in typo.stderr
    assert "is not a channel" in explain("lobby").stderr
    assert not daemon.data.exists()  # a look leaves no traces


def test_explain_says_what_keeps_below_a_models_limits(make_daemon):
    daemon = make_daemon()
    daemon.configure(
        models=""", { name = "m"; base_url = "http://127.0.0.1:9/v1"; model = "x"; fallback = ( "p", "q" ); hedge_after = "5s";
                      max_concurrent = 3; requests_per_minute = 60; tokens_per_minute = 90000; },
                    { name = "q"; api = "practice"; }""",
        bots=', { name = "mb"; model = "m"; }', channels='{ match = "web:*"; bot = "mb"; }')
    said = warbler("explain", "-c", daemon.config, "web:lobby").stdout
    for part in ("at most 3 requests to the model run at once", "at most 60 requests to the model in a minute",
                 "at most 90000 tokens of the model in a minute", "others are asked: p, q\n", "after a silence of 5s\n"):
        assert part in said


def test_explain_knows_what_administrators_changed(make_daemon):
    daemon = make_daemon(bot='admins = ( "*" );').start()
    assert chat(daemon, "@bo /prompt Be {bot} the brief.\n@bo /mute\n", "--room", "lobby").returncode == 0
    for _ in range(2):  # beside a running daemon, and without one
        done = warbler("explain", "-c", daemon.config, "web:lobby")
        assert done.returncode == 0
        assert "muted in the channel with /mute" in done.stdout
        assert "set in the channel with /prompt" in done.stdout and "Be bo the brief." in done.stdout
        daemon.stop()


# --- ping ---
def test_ping(make_daemon):
    daemon = make_daemon().start()
    done = warbler("ping", "-c", daemon.config)
    assert done.returncode == 1 and "listen.port is 0" in done.stdout
    daemon.configure()
    done = warbler("ping", "-c", daemon.config)
    assert (done.returncode, done.stdout, done.stderr) == (0, "account web: ok\nmodel p: ok\n", "")
    daemon.stop()
    done = warbler("ping", "-c", daemon.config)
    assert done.returncode == 1
    account, model = done.stdout.splitlines()
    assert account.startswith("account web: no daemon answers at http://127.0.0.1:") and "`warbler run`" in account
    assert model == "model p: ok"


def test_ping_says_why_a_model_cannot_be_reached(make_daemon):
    daemon = make_daemon(port=free_port()).start()
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("models = (", f'''models = (
        {{ name = "gone"; base_url = "http://127.0.0.1:{free_port()}/v1"; model = "m"; }},'''))
    done = warbler("ping", "-c", daemon.config)
    assert done.returncode == 1
    assert re.fullmatch(r"account web: ok\nmodel gone: .*connect.*\nmodel p: ok\n", done.stdout, re.I)


def test_ping_something_else_on_the_port(make_daemon, practice):
    daemon = make_daemon(port=int(practice().split(":")[2].split("/")[0]))
    done = warbler("ping", "-c", daemon.config)
    assert done.returncode == 1 and "is not warbler" in done.stdout


# --- practice-model ---
@pytest.fixture
def practice():
    """Starts a practice model; its base URL. It must end well."""
    running = []

    def start(*args):
        process = subprocess.Popen([binary(), "practice-model", "--port", "0", *args], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=environment())
        running.append(process)
        found = re.fullmatch(r"Practice model: (http://127\.0\.0\.1:\d+/v1)\n", process.stdout.readline())
        assert found, process.stderr.read()
        return found.group(1)

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)
        assert (process.returncode, errors) == (0, "")


def complete(base, text, **more):
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **more}).encode()
    request = urllib.request.Request(base + "/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as reply:
        return reply.read().decode()


def test_practice_model(practice):
    base = practice("--delay-ms", "0", "--chunk-ms", "0", "--chunk-chars", "2", "--length-chars", "12")
    with urllib.request.urlopen(base + "/models", timeout=SECONDS) as reply:
        assert json.load(reply)["object"] == "list"
    whole = json.loads(complete(base, "hello"))["choices"][0]["message"]["content"]
    assert len(whole) == 12
    streamed = complete(base, "#echo abcdef", stream=True)
    assert [json.loads(d)["choices"][0]["delta"].get("content") for d in re.findall(r"^data: (\{.*\})", streamed, re.M)
            if json.loads(d)["choices"]].count("ab") == 1


def test_practice_model_that_always_fails(practice):
    with pytest.raises(urllib.error.HTTPError):
        complete(practice("--fail-rate", "1", "--delay-ms", "0"), "hello")


def test_practice_model_on_a_taken_port(practice):
    done = warbler("practice-model", "--port", practice().split(":")[2].split("/")[0])
    assert done.returncode == 2 and "in use" in done.stderr and done.stdout == ""


# --- chat in a pipe ---
def test_chat_in_a_pipe(daemon):
    done = chat(daemon, "#echo hello\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_chat_answers_line_by_line(daemon):
    done = chat(daemon, "#echo one\n\n   \n#echo 二\n#echo three\nlast line without an end: #echo four")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n二\nthree\nfour\n", "")


def test_chat_with_the_address_of_the_page(daemon):
    assert warbler("chat", "-u", daemon.http + "/", input="#echo x\n").stdout == "x\n"


def test_chat_from_a_file_and_from_nothing(daemon, tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("".join(f"#echo {i}\n" for i in range(30)))
    with open(lines, encoding="ascii") as stdin:
        done = warbler("chat", "--url", daemon.ws, stdin=stdin)
    assert (done.returncode, done.stdout) == (0, "".join(f"{i}\n" for i in range(30)))
    done = warbler("chat", "--url", daemon.ws)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_chat_in_a_pipe_is_one_conversation_and_leaves_no_traces(daemon, tmp_path):
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert chat(daemon, "#echo a\n#history\n", env=state).stdout.startswith("a\n4 messages\n")
    assert chat(daemon, "#history\n", env=state).stdout.startswith("2 messages\n")
    assert not (tmp_path / "state").exists()


def test_chat_shows_notices_as_answers(daemon):
    done = chat(daemon, "/status\n#fail 500\n#echo after\n")
    assert done.returncode == 0
    assert "bot: bo" in done.stdout and "server has a problem" in done.stdout and done.stdout.endswith("\nafter\n")


@pytest.mark.parametrize("language, said", [({}, "Start the bot with `warbler run`"),
                                            ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "请先用 `warbler run` 启动机器人")])
def test_chat_without_a_daemon(language, said):
    done = warbler("chat", "--url", f"ws://127.0.0.1:{free_port()}", input="hello\n", env=language)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr and "--url" in done.stderr


def test_chat_with_an_address_that_cannot_be():
    done = warbler("chat", "--url", "ws://a host/", input="hello\n")
    assert (done.returncode, done.stdout) == (1, "") and "no web chat at ws://a host/" in done.stderr


def test_chat_that_the_server_refuses(make_daemon):
    daemon = make_daemon()
    daemon.config.write_text(daemon.config.read_text().replace("open_rooms = true", "open_rooms = false"))
    daemon.start()
    for args, said in (["--name", "bot"], "name"), (["--room", "nowhere"], "no such room"):
        done = chat(daemon, "hello\n", *args)
        assert (done.returncode, done.stdout) == (1, "") and said in done.stderr


def test_chat_where_no_bot_speaks(make_daemon):
    daemon = make_daemon(channels='{ match = "web:*"; bot = "none"; }').start()
    done = chat(daemon, "hello\n")
    assert (done.returncode, done.stdout) == (1, "") and "No bot speaks here" in done.stderr


def test_chat_in_a_room_waits_for_answers_only_so_long(daemon):
    done = chat(daemon, "to nobody\n@bo #echo hi\n", "--room", "lobby", "--name", "Ann", "--wait", "1")
    assert (done.returncode, done.stdout) == (1, "hi\n")
    assert done.stderr == "warbler chat: no answer to: to nobody\n"


def test_a_slow_answer_is_no_missing_answer(daemon):
    done = chat(daemon, "#sleep 2500 #echo late\n", "--wait", "1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "late\n", "")


@pytest.mark.parametrize("limit", ["max_message_bytes = 100;", "max_frame_bytes = 200;"])
def test_chat_goes_on_after_a_line_that_is_too_long(make_daemon, limit):
    daemon = make_daemon(account=limit).start()
    done = chat(daemon, f"#echo {'x' * 500}\n#echo after\n")
    assert (done.returncode, done.stdout) == (1, "after\n")
    assert done.stderr == "warbler chat: not sent: the message is too long\n"


def test_chat_obeys_the_rate_limit(make_daemon):
    daemon = make_daemon()
    daemon.config.write_text(daemon.config.read_text().replace("messages_per_minute = 0", "messages_per_minute = 30"))
    daemon.start()
    done = chat(daemon, "".join(f"#echo {i}\n" for i in range(32)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "".join(f"{i}\n" for i in range(32)), "")


def test_chat_in_a_pipe_outlives_the_daemon(make_daemon):
    daemon = make_daemon().start()
    process = subprocess.Popen([binary(), "chat", "--url", daemon.ws], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=environment())
    process.stdin.write("#echo before\n#sleep 1000 #echo during\n#echo after\n")
    process.stdin.flush()
    assert process.stdout.readline() == "before\n"
    until(lambda: "waiting" in warbler("queue", "-c", daemon.config).stdout)
    daemon.kill()
    daemon.configure()
    daemon.start()
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err) == (0, "during\nafter\n", "")


def test_chat_whose_reader_goes_away(daemon):
    reader, writer = os.pipe()
    process = subprocess.Popen([binary(), "chat", "--url", daemon.ws], stdin=subprocess.PIPE, stdout=writer,
                               stderr=subprocess.PIPE, text=True, env=environment())
    os.close(writer)
    os.close(reader)
    _, err = process.communicate("#echo 1\n#echo 2\n", timeout=SECONDS)
    assert process.returncode == 3 and err == "warbler: cannot write to standard output\n"


def test_chat_takes_broken_text(daemon):
    done = subprocess.run([binary(), "chat", "--url", daemon.ws], input=b"#echo a\xffb\r\n", capture_output=True,
                          timeout=SECONDS, env=environment(), check=False)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, "a\ufffdb\n", b"")


# --- chat at a terminal ---
class Terminal:
    """`warbler chat` at a pseudo terminal."""

    def __init__(self, url, state, *args, env=None):
        self.fd, theirs = pty.openpty()
        self.process = subprocess.Popen([binary(), "chat", "--url", url, *args], stdin=theirs, stdout=theirs, stderr=theirs,
                                        start_new_session=True,
                                        env=environment({"XDG_STATE_HOME": str(state), "NO_COLOR": "1", **(env or {})}))
        os.close(theirs)
        self.seen = b""
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)
        assert b"Sanitizer" not in self.seen, self.seen.decode()

    @property
    def text(self):
        return self.seen.decode(errors="replace")

    def read(self):
        if select.select([self.fd], [], [], 0.1)[0]:
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:  # the other end is closed
                pass

    def expect(self, text):
        """Waits for the text behind what was expected before; returns what came up to its end."""
        end = time.monotonic() + SECONDS
        while (found := self.seen.find(text.encode(), self.at)) < 0:
            assert time.monotonic() < end, f"{text!r} did not come: {self.text!r}"
            self.read()
        before = self.seen[self.at:found].decode(errors="replace")
        self.at = found + len(text.encode())
        return before + text

    def type(self, text):
        os.write(self.fd, text.encode())

    def leave(self, status=0):
        self.type("\x04")
        while self.process.poll() is None:
            self.read()
        self.read()
        assert self.process.returncode == status, self.text


def test_chat_at_a_terminal(daemon, tmp_path):
    with Terminal(daemon.ws, tmp_path) as t:
        t.expect(f"Connected to {daemon.ws}. Write to bo; /help tells more, Ctrl-D leaves.\r\n{ERASE}> ")
        t.type("#echo hello 世界\n")
        t.expect("bo: ")
        t.expect(f"hello 世界\r\n{ERASE}> ")
        t.leave()
        assert "\x1b[2m" not in t.text


def test_a_growing_answer_is_written_in_place(make_daemon, tmp_path):
    daemon = make_daemon(practice="delay_ms = 300; chunk_ms = 150; chunk_chars = 2;").start()
    with Terminal(daemon.ws, tmp_path) as t:
        t.expect("> ")
        t.type("#echo abcdefgh\n")
        t.expect(f"{ERASE}bo is writing…{ERASE}bo: a")
        read = t.at
        answer = t.expect("h\r\n")
        assert answer == "bcdefgh\r\n"  # each letter once, nothing between
        assert read < t.at
        t.leave()


def test_an_answer_that_breaks_and_is_repeated_goes_on(make_daemon, tmp_path):
    daemon = make_daemon(practice="delay_ms = 0; chunk_ms = 50; chunk_chars = 1;").start()
    with Terminal(daemon.ws, tmp_path) as t:
        t.expect("> ")
        t.type("#fail cut once #echo abcdefghijklmnopqrst\n")
        t.expect("bo: a")
        assert t.expect(f"\r\n{ERASE}> ") == f"bcdefghijklmnopqrst\r\n{ERASE}> "
        t.leave()


def test_colours(daemon, tmp_path):
    with Terminal(daemon.ws, tmp_path, env={"NO_COLOR": ""}) as t:
        t.expect("\x1b[2mConnected to ")
        t.type("#echo x\n")
        t.expect("\x1b[1;36mbo\x1b[0m: x\r\n")
        t.leave()
    with Terminal(daemon.ws, tmp_path, env={"NO_COLOR": "", "TERM": "dumb"}) as t:
        t.expect("Connected to ")
        t.type("#echo y\n")
        t.expect("bo: y\r\n")
        t.leave()
        assert "\x1b" not in t.text


def test_chat_in_chinese(daemon, tmp_path):
    with Terminal(daemon.ws, tmp_path, env={"LC_ALL": "zh_CN.UTF-8"}) as t:
        t.expect("已连接")
        t.type("/help\n")
        t.expect("我是 bo")
        t.leave()


def test_chat_goes_on_with_the_conversation(daemon, tmp_path):
    visitor = tmp_path / "warbler" / "visitor"

    def messages(*args):
        with Terminal(daemon.ws, tmp_path, *args) as t:
            t.expect("> ")
            t.type("#history\n")
            count = re.search(r"(\d+) messages$", t.expect(" messages")).group(1)
            t.expect("> ")
            t.leave()
            return int(count)

    assert messages() == 2
    assert messages() == 4
    assert visitor.stat().st_mode & 0o777 == 0o600
    first = visitor.read_text()
    assert re.fullmatch(re.escape(daemon.ws) + r" v\w+\n", first)
    assert messages("--new") == 2
    assert visitor.read_text() != first
    assert messages() == 4


def test_a_visitor_that_the_server_does_not_know(make_daemon, tmp_path):
    daemon = make_daemon(port=free_port()).start()
    (tmp_path / "warbler").mkdir()
    (tmp_path / "warbler" / "visitor").write_text(f"{daemon.ws} v{'0' * 32}\n")
    with Terminal(daemon.ws, tmp_path) as t:
        t.expect("The server does not know this visitor any more; a new conversation begins.")
        t.type("#echo x\n")
        t.expect("bo: x\r\n")
        t.leave()


def test_chat_waits_for_a_daemon_and_comes_back_to_it(make_daemon, tmp_path):
    daemon = make_daemon(port=free_port())
    url = re.sub(r":0/", f":{re.search(r'port = ([0-9]+)', daemon.config.read_text()).group(1)}/", daemon.ws)
    with Terminal(url, tmp_path) as t:
        t.expect(f"No web chat at {url} yet")
        daemon.start()
        t.expect("Connected to ")
        t.type("#sleep 1000 #echo still there\n")
        until(lambda: "waiting" in warbler("queue", "-c", daemon.config).stdout)
        daemon.kill()
        t.expect("Disconnected (")
        t.type("#echo typed meanwhile\n")
        daemon.start()
        t.expect("Connected again.")
        t.expect("bo: still there\r\n")
        t.expect("bo: typed meanwhile\r\n")
        assert t.text.count("Disconnected") == 1
        t.leave()


def test_people_in_a_room_see_each_other(daemon, tmp_path):
    with Terminal(daemon.ws, tmp_path / "a", "--room", "lobby", "--name", "Ann") as ann, \
            Terminal(daemon.ws, tmp_path / "b", "--room", "lobby", "--name", "Bob") as bob:
        ann.expect("> ")
        bob.expect("> ")
        ann.type("hi all\n")
        bob.expect(f"{ERASE}Ann: hi all\r\n{ERASE}> ")
        bob.type("@bo #echo hello\n")
        ann.expect("Bob: @bo #echo hello\r\n")
        ann.expect("bo: hello\r\n")
        bob.expect("bo: hello\r\n")
        ann.leave()
        bob.leave()


def test_chat_that_is_refused_at_a_terminal(daemon, tmp_path):
    with Terminal(daemon.ws, tmp_path, "--name", "bot") as t:
        t.expect("warbler chat: the server refuses: name")
        until(lambda: t.read() or t.process.poll() is not None)
        assert t.process.returncode == 1


# --- queue ---
def test_queue_of_a_bot_that_never_ran(make_daemon):
    daemon = make_daemon()
    done = warbler("queue", "-c", daemon.config)
    assert (done.returncode, done.stderr) == (0, "") and "Nothing waits and nothing has failed" in done.stdout
    done = warbler("queue", "retry", "3", "-c", daemon.config)
    assert (done.returncode, done.stdout) == (1, "") and "nothing here has the ID 3" in done.stderr
    assert not daemon.data.exists()


def test_queue_with_a_store_that_cannot_be_read(make_daemon):
    daemon = make_daemon()
    daemon.data.mkdir()
    (daemon.data / "warbler.db").write_text("this is no store\n" * 1000)
    done = warbler("queue", "-c", daemon.config)
    assert (done.returncode, done.stdout) == (2, "") and "warbler.db" in done.stderr


def queue(daemon, *args):
    return warbler("queue", *args, "-c", daemon.config)


def rows(daemon):
    """The table's rows as dicts, cut at the columns of its heading."""
    done = queue(daemon)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if not lines[0].startswith("ID"):
        return []
    assert all(line == line.rstrip() for line in lines)
    names = lines[0].split()
    found = []
    for line in lines[1:lines.index("")]:
        found.append(dict(zip(names, re.split(r"  +", line))))
        # Chinese takes two columns each: MESSAGE ends where WHY begins.
        wide = "".join(c * 2 if ord(c) > 0x2E7F else c for c in line)
        assert wide[lines[0].index("MESSAGE") - 1] == " " and wide[lines[0].index("MESSAGE")] != " "
        assert len(wide) <= lines[0].index("WHY") or wide[lines[0].index("WHY") - 2:lines[0].index("WHY")] == "  "
    return found


def test_queue_lists_retries_and_drops(make_daemon):
    """A message that is on hand at every crash ends as a dead letter."""
    daemon = make_daemon(port=free_port(), practice="delay_ms = 60000;").start()
    text = "你好，这条消息每次都让机器人崩溃，很长很长很长很长很长很长很长"
    asking = subprocess.Popen([binary(), "chat", "--url", daemon.ws], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=environment())
    asking.stdin.write(text + "\n")
    asking.stdin.flush()
    until(lambda: rows(daemon))
    waiting = rows(daemon)[0]
    assert waiting["STATE"] == "waiting" and waiting["TRIES"] == "0" and waiting["CHANNEL"].startswith("web:~")
    assert waiting["MESSAGE"][-1] == "…" and text.startswith(waiting["MESSAGE"][:-1])
    tries = 0
    while rows(daemon)[0]["STATE"] == "waiting":
        tries += 1
        assert tries < 20
        daemon.kill()
        daemon.start()
        until(lambda: int(rows(daemon)[0]["TRIES"]) == tries)
        until(lambda: tries < 11 or rows(daemon)[0]["STATE"] == "failed")
    out, err = asking.communicate(timeout=SECONDS)
    assert (asking.returncode, err) == (0, "") and "even after several tries" in out
    listed = queue(daemon).stdout
    assert "1 failed for good, 0 waiting." in listed and "warbler queue retry ID" in listed
    failed = rows(daemon)[0]
    assert failed["WHY"] == (f"unanswered at {tries} starts in a row, so it may be what makes the bot crash: "
                             "look into the log, then retry or drop it")
    ident = failed["ID"]
    assert ident == waiting["ID"] and "WHY" not in waiting

    done = queue(daemon, "retry", ident)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"{ident}: the bot tries again")
    assert rows(daemon)[0]["STATE"] == "waiting"
    daemon.kill()
    done = queue(daemon, "drop", ident)  # without a daemon
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ident}: dropped.\n", "")
    assert rows(daemon) == []
    for verb in "retry", "drop":
        done = queue(daemon, verb, ident)
        assert (done.returncode, done.stdout) == (1, "") and f"nothing here has the ID {ident}" in done.stderr
