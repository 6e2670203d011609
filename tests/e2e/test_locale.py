"""Numbers, texts and names do not depend on the locale: the same bot, the same
bytes on the wire and the same report where 0,5 is how a half is written, and
where nothing but ASCII is known."""
import decimal
import os
import pathlib
import shutil
import subprocess

import pytest

from counterparts import KEY
from test_cli import chat, until, warbler
from test_model import GOOD, Model, completion, whole

SOURCE = pathlib.Path("/usr/share/i18n/locales/de_DE")
SETTINGS = """temperature = 0.5; top_p = 0.25; presence_penalty = -1.5; logit_bias = "{\\"50256\\": -12.5}";
    extra = "{\\"min_p\\": 0.125}";"""
MORE = """prices = ( { model = "m"; unit = 1000; input = "0.5"; output = "2.25"; } );
    limits = ( { per = "person"; period = "month"; money = "1000.5"; } );"""
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
COST = decimal.Decimal("0.01025")  # (7 * 0.5 + 3 * 2.25) / 1000


@pytest.fixture(scope="session", name="commas")
def comma_locale(tmp_path_factory):
    if not SOURCE.exists() or not shutil.which("localedef"):
        pytest.skip("the sources of a locale with decimal commas are not installed (Debian: locales)")
    folder = tmp_path_factory.mktemp("locale")
    subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], check=True)
    # glibc keeps what it reads of LOCPATH; and the daemon can read this at its end in a folder that it may read.
    shutil.copy(pathlib.Path(__file__).parent.parent / "lsan.supp", folder)
    return str(folder)


@pytest.fixture(params=["de_DE.UTF-8", "C"])
def locale(request):
    if request.param == "C":
        return {"LC_ALL": "C"}
    return {"LC_ALL": request.param, "LOCPATH": request.getfixturevalue("commas"),
            "LSAN_OPTIONS": f"suppressions={request.getfixturevalue('commas')}/lsan.supp:print_suppressions=0"}


def test_the_locale_has_commas(commas):
    env = {"LC_ALL": "de_DE.UTF-8", "LOCPATH": commas}
    assert subprocess.run(["locale", "decimal_point"], env={**os.environ, **env}, capture_output=True, text=True,
                          check=True).stdout == ",\n"


def test_all_of_it(make_daemon, run, locale):
    daemon = make_daemon()

    async def scenario():
        async with Model({"翻译": [whole(200, completion(GOOD, usage=USAGE))]}) as model:
            daemon.configure(
                models=f', {{ name = "m"; base_url = "http://127.0.0.1:{model.port}/v1"; model = "gpt-x"; '
                       f'api_key = "{KEY}"; stream = false; {SETTINGS} }}',
                bots=', { name = "莺"; model = "m"; }', channels='{ match = "web:*"; bot = "莺"; }', more=MORE)
            daemon.start(locale)
            async with daemon.chat(name="张三") as c:
                assert (await c.ask("1", "翻译"))["text"] == GOOD
            return model.requests[0][2]

    body = run(scenario())
    assert (body["temperature"], body["top_p"], body["presence_penalty"], body["min_p"]) == (0.5, 0.25, -1.5, 0.125)
    assert body["logit_bias"] == {"50256": -12.5} and body["messages"][-1]["content"] == "翻译"
    env = {**os.environ, **locale}
    report = ("usage", "--format", "csv", "-c", daemon.config)
    until(lambda: warbler(*report, env=env, encoding="utf-8").stdout.count("\n") == 2)
    row = warbler(*report, env=env, encoding="utf-8").stdout.splitlines()[1]
    assert str(COST) in row, row
    assert str(COST) in warbler("usage", "-c", daemon.config, env=env, encoding="utf-8").stdout
    for command in ("check", "queue", "explain web:lobby"):
        name, *args = command.split()
        done = warbler(name, *args, "-c", daemon.config, env=env, encoding="utf-8")
        assert done.returncode == 0, done.stderr
    daemon.stop()


def test_the_chat_in_a_terminal(make_daemon, locale):
    daemon = make_daemon().start(locale)
    done = chat(daemon, "#echo 一 ½\n", env={**os.environ, **locale}, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "") and "一 ½" in done.stdout
