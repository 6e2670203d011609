"""What one message costs in instructions has not grown: tests/bench/guard."""
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from counterparts import ROOT

GUARD = ROOT / "tests/bench/guard"
KIND = "debian-12/x86_64/gcc-12.2"


@pytest.fixture(name="guard")
def imported_guard():
    loader = importlib.machinery.SourceFileLoader("guard", str(GUARD))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("guard", loader))
    loader.exec_module(module)
    return module


def test_last_number_holds(guard, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "RECORD", tmp_path / "instructions")
    guard.RECORD.write_text(f"# number\n{KIND} 2000 the first\nother 7 elsewhere\n{KIND} 1000 a faster parser\nother 8 there, too\n")
    assert guard.recorded(KIND) == 1000 and guard.recorded("other") == 8 and guard.recorded("none") is None
    assert not guard.grew(1050, 1000) and guard.grew(1051, 1000) and not guard.grew(1, 1000)


@pytest.mark.parametrize("reason", ["", " "])
def test_no_number_without_a_reason(reason):
    done = subprocess.run([sys.executable, GUARD, "--write", reason], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "REASON" in done.stderr


@pytest.mark.slow
def test_instructions_per_message(guard):
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    done = subprocess.run([sys.executable, GUARD], capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode == guard.NOTHING_TO_COMPARE:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
