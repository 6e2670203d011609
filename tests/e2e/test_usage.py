"""`warbler usage`: what answers cost, from the answer to the report."""
import csv
import datetime
import decimal
import io
import json
import unicodedata
import urllib.request

import pytest

from test_cli import chat, until, warbler

PRICES = 'prices = ( { model = "p"; unit = 1000; input = "0.5"; output = "2"; } );'


def usage(daemon, *args, **more):
    return warbler("usage", *args, "-c", daemon.config, **more)


def report(daemon, *args):
    done = usage(daemon, "--format", "json", *args)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def cost(row):
    return (decimal.Decimal("0.5") * row["prompt_tokens"] + 2 * row["completion_tokens"]) / 1000


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@pytest.mark.parametrize("args, said", [
    (["--by", "modle"], '--by cannot be "modle"; did you mean "model"?'),
    (["--format", "xml"], '--format cannot be "xml"'),
    (["--since", "yesterday"], "--since must be a day"),
    (["--since", "2026-02-30"], "--since must be a day"),
    (["--until", "7"], "--until must be a day"),
    (["--until", "-1d"], "--until must be a day"),
    (["now"], 'takes no argument: "now"'),
])
def test_mistakes(args, said):
    done = warbler("usage", *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_a_bot_that_never_ran(make_daemon):
    daemon = make_daemon()
    assert usage(daemon).stdout == "No answers in this time.\n"
    assert report(daemon) == {"by": "model", "since_ms": None, "until_ms": None, "rows": [], "totals": []}
    assert usage(daemon, "--format", "csv").stdout.count("\n") == 1
    assert not daemon.data.exists()


def test_reports(make_daemon):
    daemon = make_daemon(more=PRICES, bots=', { name = "free"; model = "便宜,的"; }',
                         models=', { name = "便宜,的"; api = "practice"; practice = { delay_ms = 0; chunk_ms = 0; }; }',
                         channels='{ match = "web:gratis*"; bot = "free"; }, { match = "web:*"; bot = "bo"; }').start()
    assert chat(daemon, "one\ntwo\n").returncode == 0
    assert chat(daemon, "@free three\n", "--room", "gratis").returncode == 0
    until(lambda: sum(row["answers"] for row in report(daemon)["rows"]) == 3)  # beside the running daemon

    cheap, paid = sorted(report(daemon)["rows"], key=lambda row: row["key"] == "p")
    assert (paid["key"], paid["currency"], paid["answers"], paid["estimated"]) == ("p", "USD", 2, 0)
    assert decimal.Decimal(paid["cost"]) == cost(paid) > 0
    assert (cheap["key"], cheap["currency"], cheap["answers"], cheap["cost"]) == ("便宜,的", None, 1, None)
    assert len(report(daemon)["totals"]) == 2

    text = usage(daemon).stdout
    lines = text.split("\n\n")[0].splitlines()
    assert lines[0].split() == ["MODEL", "ANSWERS", "PROMPT", "CACHED", "OUTPUT", "REASONING", "COST"]
    assert len({width(line) for line in lines}) == 1, text  # the last column ends at the same place everywhere
    assert [line.split()[0] for line in lines[1:]] == ["p", "便宜,的", "TOTAL", "TOTAL"]
    assert "~" not in text and "- no price is known" in text and " USD\n" in text

    done = usage(daemon, "--format", "csv", encoding="utf-8")
    read = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert [row["model"] for row in read] == ["p", "便宜,的"] and '"便宜,的"' in done.stdout
    assert decimal.Decimal(read[0]["cost"]) == cost(paid) and read[1]["cost"] == read[1]["currency"] == ""

    today = datetime.date.today()
    assert {row["key"] for row in report(daemon, "--by", "account")["rows"]} == {"web"}
    assert {row["key"] for row in report(daemon, "--by", "day")["rows"]} <= {str(today), str(today - datetime.timedelta(1))}
    assert any(row["key"] == "web:gratis" for row in report(daemon, "--by", "channel")["rows"])
    assert sum(row["answers"] for row in report(daemon, "--by", "person")["rows"]) == 3

    week = str(today - datetime.timedelta(7))
    for args, answers in ((("--since", "1h"), 3), (("--since", week), 3), (("--until", str(today)), 3), (("--until", "1h"), 0),
                          (("--since", str(today + datetime.timedelta(1))), 0), (("--until", week), 0)):
        assert sum(row["answers"] for row in report(daemon, *args)["rows"]) == answers, args

    daemon.stop()
    assert sum(row["answers"] for row in report(daemon)["rows"]) == 3  # and without it


def test_estimates_are_marked(make_daemon):
    daemon = make_daemon(more=PRICES, model="retries = 0;").start()
    chat(daemon, "#fail cut\n")
    until(lambda: report(daemon)["rows"])
    row, = report(daemon)["rows"]
    assert row["estimated"] == row["answers"] == 1 and decimal.Decimal(row["cost"]) == cost(row)
    text = usage(daemon).stdout
    assert f"~{row['completion_tokens']} " in text and "~0." in text
    assert "~ estimated in part: of 1 answer out of 1 the server did not say" in text


def test_metrics(make_daemon):
    daemon = make_daemon(more=PRICES).start()
    chat(daemon, "one\n")
    until(lambda: report(daemon)["rows"])
    row, = report(daemon)["rows"]
    with urllib.request.urlopen(daemon.http + "/metrics") as answer:
        metrics = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    assert decimal.Decimal(metrics['warbler_cost_total{currency="USD"}']) == decimal.Decimal(row["cost"])
    assert metrics["warbler_cached_tokens_total"] == metrics["warbler_reasoning_tokens_total"] == "0"
