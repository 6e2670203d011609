"""What people may take of a model, seen by them."""
import json
import re
import urllib.error
import urllib.request

from test_cli import chat, warbler

def metric(daemon, name):
    with urllib.request.urlopen(daemon.http + "/metrics") as answer:
        return re.search(rf"^{name} (.*)$", answer.read().decode(), re.M).group(1)


def test_a_persons_limit(make_daemon):
    daemon = make_daemon(more='limits = ( { messages = 2; } );').start()
    done = chat(daemon, "/help\n#echo one\n#echo two\n#echo three\n/status\n")
    lines = done.stdout.splitlines()
    assert "one" in lines and "two" in lines and "three" not in lines, done.stdout
    assert re.search(r"^You have used up today's 2 messages. It goes on tomorrow at 0\d:00.$", done.stdout, re.M)
    assert "- messages left today: 0 of 2\n" in done.stdout
    assert metric(daemon, "warbler_turns_limited_total") == "1"
    assert chat(daemon, "#echo five\n").stdout == "five\n"  # somebody else
    assert "for each person, in a day: 2 messages\n" in warbler("explain", "-c", daemon.config, "web:x").stdout


def test_a_power_cut_and_a_reload(make_daemon):
    def limit(messages):
        return f'limits = ( {{ per = "account"; messages = {messages}; }} );'

    daemon = make_daemon(more=limit(2)).start()
    assert chat(daemon, "#echo one\n#echo two\n").stdout == "one\ntwo\n"
    daemon.kill()
    daemon.start()
    assert "The bot has used up today's 2 messages." in chat(daemon, "#echo three\n").stdout
    daemon.configure(more=limit(3))
    daemon.reload()
    lines = chat(daemon, "#echo four\n#echo five\n").stdout.splitlines()
    assert lines[0] == "four" and "used up today's 3 messages" in lines[1]


def test_over_http(make_daemon):
    daemon = make_daemon(more='limits = ( { per = "account"; period = "hour"; messages = 1; } );').start()

    def post(text):
        body = json.dumps({"message": text}).encode()
        request = urllib.request.Request(daemon.http + "/chat", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            assert e.headers["Retry-After"]
            return e.code, json.load(e)

    assert post("#echo hi")[0] == 200
    status, answer = post("#echo hi")
    assert status == 429 and "The bot has used up this hour's 1 message. It goes on" in json.dumps(answer)


def test_a_cheaper_model_answers(make_daemon):
    daemon = make_daemon(more='limits = ( { per = "all"; messages = 1; degrade_to = "cheap"; } );',
                         models=', { name = "cheap"; api = "practice"; practice = { delay_ms = 0; chunk_ms = 0; }; }').start()
    assert chat(daemon, "#echo one\n#echo two\n#echo three\n").stdout.split() == ["one", "two", "three"]
    daemon.stop()
    rows = json.loads(warbler("usage", "--format", "json", "-c", daemon.config).stdout)["rows"]
    assert [(row["key"], row["answers"]) for row in rows] == [("cheap", 2), ("p", 1)]
