"""The systemd unit: how much it leaves the service, and that it leaves enough."""
import pathlib
import shutil
import subprocess

import pytest

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "config"
EXPOSURE_MAX = 19  # tenths, so that 2.0 is too much
FENCES = ("seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path):
    path = tmp_path / "warbler.service"
    path.write_text((CONFIG / "warbler.service.in").read_text(encoding="utf-8").replace("@BINDIR@", "/usr/bin"), encoding="utf-8")
    return path


def analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, args)], capture_output=True, text=True, timeout=60, check=False)


def test_exposure(unit):
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd before 250 cannot tell")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def calls_of(name):
    """The system calls in a group, whatever groups are in it."""
    if not name.startswith("@"):
        return {name}
    words = [line.strip() for line in analyze("syscall-filter", name).stdout.splitlines()[1:]]
    return set().union(*(calls_of(word) for word in words if word and not word.startswith("#")))


def test_it_may_fence_itself_in(unit):
    """The first line of SystemCallFilter says whether the others add to nothing or take from all; systemd.exec(5)."""
    left = set()
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "SystemCallFilter":
            calls = set().union(*map(calls_of, value.lstrip("~").split()))
            left = left - calls if value.startswith("~") else left | calls
    assert left.issuperset(FENCES) and "mount" not in left and "ptrace" not in left
