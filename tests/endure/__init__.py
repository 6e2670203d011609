"""What must hold for long, and for many: `make soak` and `make isolation`.

  run          both, from the command line
  soak.py      mixed traffic with faults, for minutes: nothing grows, nobody waits for ever
  isolation.py secret words in every conversation, looked for in every other one
  house.py     the daemon, its model and its platforms
  people.py    who talks: the web chat, programs, Lanying IM
  model.py     the model server, and what may be wrong with it
  words.py   the words, and where they were seen
  gauge.py     memory and descriptors
  test_*.py    small versions of both, and that they can fail
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

# That the program was built with; without Lanying's, nobody is in the cloud.
ADAPTERS = os.environ.get("WARBLER_ADAPTERS", "webchat lanying").split()
