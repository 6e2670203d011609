"""Under hasten.c a program's own seconds pass faster, and the world's do not."""
import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, select, time
own, real = time.monotonic(), time.time()
select.poll().poll(20000)
print(json.dumps([time.monotonic() - own, time.time() - real]))
"""


@pytest.mark.parametrize("factor", [1, 40])
def test_factor(factor):
    wait = PROGRAM if factor > 1 else PROGRAM.replace("20000", "200")
    done = subprocess.run([sys.executable, "-c", wait], check=True, capture_output=True, text=True,
                          env={**os.environ, "LD_PRELOAD": os.environ["WARBLER_HASTEN"], "HASTEN": str(factor)})
    own, real = json.loads(done.stdout)
    assert own >= (20 if factor > 1 else 0.2)
    assert abs(own / factor - real) < 0.1 * real, (own, real)


@pytest.mark.parametrize("factor", ["0", "-3", "many"])
def test_nonsense(factor):
    done = subprocess.run([sys.executable, "-c", "pass"], check=False, capture_output=True,
                          env={**os.environ, "LD_PRELOAD": os.environ["WARBLER_HASTEN"], "HASTEN": factor})
    assert done.returncode != 0
