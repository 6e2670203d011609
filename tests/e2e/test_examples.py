"""Configurations that people copy: each is right as it stands."""
import os
import pathlib
import re
import subprocess

import pytest

from conftest import binary

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "config/examples"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.conf")))
def test_example(name, tmp_path):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    secrets = {secret: "x" * 32 for secret in re.findall(r'"env:(\w+)"', text)}
    config = tmp_path / name
    config.write_text(text, encoding="utf-8")
    done = subprocess.run([binary(), "check", "-c", str(config)], env={**os.environ, **secrets}, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
