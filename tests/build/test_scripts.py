"""The build's own scripts: what they make, find and count."""

import gzip
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def run(script, *args, cwd=None, env=None, python=False):
    command = [sys.executable] * python + [str(SCRIPTS / script), *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def until(found):
    """What it finds, once it finds something."""
    end = time.monotonic() + 30
    while not (it := found()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return it


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


# --- embed, registry ---

def embedded(tmp_path, **files):
    """Compiles what embed prints; returns what a C program finds in the table."""
    for name, data in files.items():
        (tmp_path / name.replace("_", ".")).write_bytes(data)
    made = run("embed", "page.h", "pages", *sorted(tmp_path.iterdir()))
    assert made.returncode == 0, made.stderr
    write(tmp_path / "page.h", "#include <stddef.h>\nstruct form { const char *etag; const unsigned char *data; size_t len; }; "
                               "struct page { const char *name, *type; struct form plain, gzip; }; extern const struct page pages[];\n")
    write(tmp_path / "pages.c", made.stdout)
    write(tmp_path / "main.c", """#include <stdio.h>
#include "page.h"
static void show(const struct form *f)
{
    printf("|%s|", f->etag ? f->etag : "");
    for (size_t i = 0; i < f->len; i++)
        printf("%02x", f->data[i]);
}
int main(void)
{
    for (const struct page *p = pages; p->name; p++) {
        printf("%s|%s", p->name, p->type);
        show(&p->plain);
        show(&p->gzip);
        printf("\\n");
    }
    return 0;
}
""")
    subprocess.run(["cc", "-Wall", "-Werror", "-o", "show", "main.c", "pages.c"], cwd=tmp_path, check=True)
    shown = subprocess.run(["./show"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    return [line.split("|") for line in shown.splitlines()]


def test_embed_keeps_every_byte(tmp_path):
    every = bytes(range(256)) * 5
    script, page = embedded(tmp_path, b_js=every, index_html=b"<p>")
    assert script[:2] == ["b.js", "text/javascript; charset=utf-8"]
    assert bytes.fromhex(script[3]) == every
    packed = bytes.fromhex(script[5])
    assert gzip.decompress(packed) == every and len(packed) < len(every)
    assert packed[3:8] == bytes(5), "no name and no time in it"
    assert page[:2] == ["index.html", "text/html; charset=utf-8"]
    assert bytes.fromhex(page[3]) == b"<p>"
    assert page[4:] == ["", ""], "gzip would make it longer"


def test_embed_tells_versions_apart(tmp_path):
    etags = []
    for i, data in enumerate((b"a {}", b"b {}", b"a {}")):
        (tmp_path / str(i)).mkdir()
        page, = embedded(tmp_path / str(i), a_css=data * 100)
        etags.append((page[2], page[4]))
    first, second, third = etags
    assert first == third
    assert len({*first, *second}) == 4, "of two versions in two forms"
    assert all(etag.startswith('"') and etag.endswith('"') for etag in first)


@pytest.mark.parametrize("name, data", [("page.xyz", b"x"), ("page.html", b"")])
def test_embed_refuses(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert run("embed", "page.h", "pages", tmp_path / name).returncode != 0


def test_registry_ends_with_null():
    table = run("registry", "one", "two").stdout
    assert table.index("&adapter_one,") < table.index("&adapter_two,") < table.index("NULL,")


# --- lint ---

@pytest.mark.parametrize("path, include, allowed", [
    ("plugin/base/a.c", '"plugin/base/b.h"', True),
    ("plugin/base/a.c", '"plugin/net/loop.h"', False),
    ("plugin/base/a.c", '"buf.h"', False),
    ("plugin/net/a.c", "<libwebsockets.h>", True),
    ("plugin/web/a.c", "<libwebsockets.h>", False),
    ("plugin/model/a.c", "<curl/curl.h>", False),
    ("plugin/net/a.c", '"config/config.h"', False),
    ("config/a.c", "<libconfig.h>", True),
    ("config/a.c", '"plugin/net/loop.h"', False),
    ("plugin/store/a.c", "<sqlite3.h>", True),
    ("plugin/chat/a.c", "<sqlite3.h>", False),
    ("plugin/chat/a.c", '"plugin/adapter.h"', True),
    ("plugin/chat/a.c", '"plugin/web/web.h"', False),
    ("plugin/chat/a.c", '"adapters/webchat/pages.h"', False),
    ("plugin/chat/a.c", '"plugin/daemon.h"', False),
    ("plugin/adapter.h", '"config/config.h"', True),
    ("plugin/adapter.h", '"plugin/chat/chat.h"', False),
    ("adapters/one/a.c", '"plugin/adapter.h"', True),
    ("adapters/one/a.c", '"config/schema.h"', True),
    ("adapters/one/a.c", '"config/config.h"', False),
    ("adapters/one/a.c", '"adapters/one/codec.h"', True),
    ("adapters/one/a.c", '"adapters/two/codec.h"', False),
    ("adapters/one/a.c", '"plugin/chat/chat.h"', False),
    ("plugin/daemon.c", '"plugin/chat/chat.h"', True),
    ("plugin/main.c", '"plugin/daemon.h"', True),
])
def test_layers(tmp_path, path, include, allowed):
    write(tmp_path / path, f"#include {include}\n")
    found = run("lint-includes", path, cwd=tmp_path, python=True)
    assert (found.returncode == 0) == allowed, found.stdout
    assert allowed or f"{path}:1: " in found.stdout


@pytest.mark.parametrize("line, clean", [
    ("strcpy(a, b);", False),
    ("x = atoi (s);", False),
    ("return(sprintf(a, b));", False),
    ("my_strcpy(a, b);", True),
    ("ops->sleep(1);", True),
    ("snprintf(a, n, b);", True),
    ("/* no strcpy(a, b) here */", True),
    ("// nor strcpy(a, b)", True),
    ('log_info("strcpy(%s)", a);', True),
    ("/* a comment that\n * goes on: strcpy(a)\n */ strcat(a, b);", False),
    ("/* a comment that\n * goes on: strcpy(a)\n */", True),
    ("/* TODO: later */", False),
    ("usleep(10);", False),
    ("curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);", False),
    ("info.ssl_connection = LCCSCF_USE_SSL | LCCSCF_ALLOW_SELFSIGNED;", False),
    ("info.ssl_connection = LCCSCF_USE_SSL;", True),
])
def test_banned(tmp_path, line, clean):
    write(tmp_path / "a.c", line + "\n")
    found = run("lint-banned", "a.c", cwd=tmp_path)
    assert (found.returncode == 0) == clean, found.stdout


# --- the test runner ---

PASSES = "#!/bin/sh\necho 1..2\necho 'ok 1 - a'\necho 'ok 2 - b'\n"
SKIPS = "#!/bin/sh\necho 1..2\necho 'ok 1 - a'\necho 'not ok 2 # SKIP b'\n"
FAILS = "#!/bin/sh\necho 1..2\necho 'ok 1 - a'\necho 'not ok 2 - b'\nexit 1\n"
CRASHES = "#!/bin/sh\necho 1..3\necho 'ok 1 - a'\nkill -SEGV $$\n"
LEAKS = "#!/bin/sh\necho 1..1\necho 'ok 1 - a'\nexit 23\n"
SILENT = "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("program, closing", [
    (PASSES, "2 passed, 0 failed, 0 skipped"),
    (SKIPS, "1 passed, 0 failed, 1 skipped"),
    (FAILS, "1 passed, 1 failed, 0 skipped"),
    (CRASHES, "1 passed, 2 failed, 0 skipped"),
    (LEAKS, "1 passed, 1 failed, 0 skipped"),
    (SILENT, "0 passed, 1 failed, 0 skipped"),
])
def test_unit_tests_are_counted(tmp_path, program, closing):
    (tmp_path / "build/test/locale/de_DE.UTF-8").mkdir(parents=True)  # not what is tested here, and slow to make
    write(tmp_path / "test_a", program, 0o755)
    done = run("test-run", "--unit", "./test_a", cwd=tmp_path, python=True)
    assert done.stdout.splitlines()[-1] == closing, done.stdout
    assert (done.returncode == 0) == (" 0 failed" in closing)


E2E = """import pytest
def test_good(): pass
def test_bad(): assert {bad} == 0
def test_not_here(): pytest.skip("missing: a browser")
def test_elsewhere(): pytest.skip("only as root")
@pytest.mark.slow
def test_slow(): pass
@pytest.mark.alone
def test_alone(): pass
@pytest.mark.long
def test_long(): assert {bad} == 0
"""


@pytest.mark.parametrize("bad, ci, options, closing", [
    (0, "", [], "4 passed, 0 failed, 2 skipped"),
    (1, "", [], "3 passed, 1 failed, 2 skipped"),
    (0, "", ["--fast"], "3 passed, 0 failed, 2 skipped"),
    (0, "true", [], "4 passed, 1 failed, 1 skipped"),
    (0, "", ["--long"], "1 passed, 0 failed, 0 skipped"),
    (1, "", ["--long"], "0 passed, 1 failed, 0 skipped"),
])
def test_pytest_is_counted(tmp_path, bad, ci, options, closing):
    write(tmp_path / "test_e.py", E2E.format(bad=bad))
    done = run("test-run", "--e2e", "test_e.py", *options, cwd=tmp_path, env={**os.environ, "CI": ci}, python=True)
    assert done.stdout.splitlines()[-1] == closing, done.stdout
    assert (done.returncode == 0) == (" 0 failed" in closing)


def test_fast_runs_every_file(tmp_path):
    for name, test in (("a", "def test_a(): pass\n"), ("b", "def test_b(): assert 0, 'a word on why'\n"),
                       ("slow", "import pytest\n@pytest.mark.slow\ndef test_c(): assert 0\n")):
        write(tmp_path / "e2e" / f"test_{name}.py", test)
    done = run("test-run", "--e2e", "e2e", "--fast", cwd=tmp_path, python=True)
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed, 0 skipped" and done.returncode == 1
    assert "a word on why" in done.stdout
    (tmp_path / "e2e" / "test_a.py").unlink()
    (tmp_path / "e2e" / "test_b.py").unlink()
    assert run("test-run", "--e2e", "e2e", "--fast", cwd=tmp_path, python=True).returncode == 1, "nothing ran"


MEETS = """import pathlib, pytest, time
def meet(mine, other):
    pathlib.Path(mine).touch()
    end = time.monotonic() + 20
    while not pathlib.Path(other).exists():
        assert time.monotonic() < end
        time.sleep(0.01)
def test_beside(): meet("{mine}", "{other}")
@pytest.mark.alone
def test_alone():
    assert not pathlib.Path("alone").exists()
    pathlib.Path("alone").touch()
    time.sleep(0.2)
    pathlib.Path("alone").unlink()
"""


def test_files_run_beside_each_other_and_some_tests_alone(tmp_path):
    write(tmp_path / "e2e/test_a.py", MEETS.format(mine="a", other="b"))
    write(tmp_path / "e2e/test_b.py", MEETS.format(mine="b", other="a"))
    done = run("test-run", "--e2e", "e2e", cwd=tmp_path, python=True)
    assert done.stdout.splitlines()[-1] == "4 passed, 0 failed, 0 skipped", done.stdout


@pytest.mark.slow
def test_interrupted_it_leaves_nothing_running(tmp_path):
    begun = tmp_path / "begun"
    write(tmp_path / "test_a", f"#!/bin/sh\nsleep 1000 &\necho $! > {begun}\nwait\n", 0o755)
    with subprocess.Popen([sys.executable, SCRIPTS / "test-run", "--unit", "./test_a"], cwd=tmp_path, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        child = int(until(lambda: begun.exists() and begun.read_text().strip()))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    until(lambda: not pathlib.Path(f"/proc/{child}").exists() or "Z" in pathlib.Path(f"/proc/{child}/stat").read_text().split(")")[1])


@pytest.mark.parametrize("options", [[], ["--fast"]])
def test_broken_test_file_fails(tmp_path, options):
    write(tmp_path / "test_e.py", "import nothing_of_this_name\n")
    done = run("test-run", "--e2e", "test_e.py", *options, cwd=tmp_path, python=True)
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped" and done.returncode == 1


@pytest.mark.parametrize("option", ["--valgrind", "--fuzz"])
@pytest.mark.parametrize("ci, closing", [("", "2 passed, 0 failed, 1 skipped"), ("true", "2 passed, 1 failed, 0 skipped")])
def test_tools_that_are_not_installed(tmp_path, option, ci, closing):
    write(tmp_path / "test_a", PASSES, 0o755)
    done = run("test-run", "--unit", "./test_a", option, "./test_b", cwd=tmp_path, env={"PATH": "", "CI": ci}, python=True)
    assert done.stdout.splitlines()[-1] == closing, done.stdout
    assert "not installed" in done.stdout
    assert (done.returncode == 0) == (" 0 failed" in closing)


# --- make test, .ci/run ---

UNIT = """#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
extern const int bad;
static void test_a(void **state) { (void)state; assert_int_equal(bad, 0); }
int main(void) { const struct CMUnitTest tests[] = { cmocka_unit_test(test_a) };
    return cmocka_run_group_tests(tests, NULL, NULL); }
"""


def without_make():
    """The environment without what a make around us and CI say."""
    return {k: v for k, v in os.environ.items() if k not in ("CI", "MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "MAKELEVEL")}


def small_project(folder, bad_unit, e2e):
    """The whole build around next to nothing: a main, a unit test with its support, an end-to-end test."""
    shutil.copytree(SCRIPTS, folder / "scripts")
    for name in ("Makefile", "VERSION", "tests/lsan.supp", "tests/conform/hasten.c", "tests/kill/strike.c"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SCRIPTS.parent / name, folder / name)
    write(folder / "plugin/main.c", "int main(void) { return 0; }\n")
    write(folder / "plugin/adapter.h", "#include <stddef.h>\nstruct adapter_ops { int abi; };\n"
                                       "extern const struct adapter_ops *const adapter_registry[];\n")
    write(folder / "tests/unit/test_a.c", UNIT)
    write(folder / "tests/unit/support.c", f"extern const int bad;\nconst int bad = {bad_unit};\n")
    write(folder / "tests/e2e/test_e.py", f"import pytest\ndef test_e(): {e2e}\n")


@pytest.mark.slow
@pytest.mark.parametrize("bad_unit, e2e, ci, closing", [
    (0, "pass", "", "2 passed, 0 failed, 0 skipped"),
    (1, "pass", "", "1 passed, 1 failed, 0 skipped"),
    (0, "pytest.skip('missing: a browser')", "", "1 passed, 0 failed, 1 skipped"),
    (0, "pytest.skip('missing: a browser')", "true", "1 passed, 1 failed, 0 skipped"),
])
def test_make_test_ends_with_the_counts(tmp_path, bad_unit, e2e, ci, closing):
    small_project(tmp_path, bad_unit, e2e)
    done = subprocess.run(["make", "test", "NO_INSTALL=1", "ADAPTERS=", "valgrind_TESTS="], cwd=tmp_path,
                          env={**without_make(), "CI": ci}, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines()[-1:] == [closing], done.stdout + done.stderr
    assert (done.returncode == 0) == (" 0 failed" in closing)


@pytest.mark.parametrize("lint, test", [(0, 0), (1, 0), (0, 1)])
def test_ci_fails_with_either(tmp_path, lint, test):
    write(tmp_path / "bin/make", f'#!/bin/sh\necho "$1"\n[ "$1" = test ] && exit {test}\nexit {lint}\n', 0o755)
    done = subprocess.run(["bash", SCRIPTS.parent / ".ci/run"], env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["lint", "test"], done.stdout + done.stderr
    assert (done.returncode == 0) == (lint == test == 0)


# --- deps ---

@pytest.fixture
def bare(tmp_path):
    """A machine with the basic tools and an apt-get that writes down what it was asked for."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "cat", "cut", "env", "grep", "head", "id", "sed", "sort", "tr"):
        (tools / tool).symlink_to(shutil.which(tool))
    write(tools / "apt-get", f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\n", 0o755)
    write(tools / "sudo", '#!/bin/sh\n"$@"\n', 0o755)
    return {"PATH": str(tools)}


def test_deps_names_what_is_missing(bare, tmp_path):
    found = run("deps", "build", env=bare)
    assert found.returncode == 1
    assert "cc gzip pkg-config libwebsockets libcurl" in found.stderr and "apt-get install gcc gzip libc6-dev" in found.stderr
    assert not (tmp_path / "asked").exists()


def test_deps_installs_after_saying_what(bare, tmp_path):
    found = run("deps", "--install", "build", env=bare)
    assert found.returncode == 1, "this apt-get installs nothing"
    assert found.stdout.startswith("Not here yet, to be installed with apt-get: gcc gzip libc6-dev")
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert update.endswith(" update") and " install gcc gzip libc6-dev " in install


def test_deps_makes_do_without_what_is_optional(bare, tmp_path):
    for tool, answer in (("cc", 0), ("gzip", 0), ("pkg-config", 0), ("python3", 0), ("curl", 0), ("valgrind", 0)):
        write(tmp_path / "bin" / tool, f"#!/bin/sh\nexit {answer}\n", 0o755)
    found = run("deps", "--install", "build", "test", env=bare)
    assert found.returncode == 0, found.stderr
    assert "Not here: clang libfuzzer chromium chromedriver" in found.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert " install chromium chromium-driver clang " in asked[1]
