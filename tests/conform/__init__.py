"""The conformance suite: the same behaviours asked of every adapter, with a
bad network between it and its platform.

  test_conform.py  the behaviours
  table.py         the result, as people read it
  driver.py        what the behaviours need to know of a platform
  webchat.py       the same for each of them
  proxy.py         the network
  hasten.c         time
"""
import importlib
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the end-to-end tests have: the daemon, chat clients, platforms to play with.
sys.path.insert(0, str(ROOT / "tests/e2e"))

# The adapters that the program was built with; each has a module with a class of its name.
ADAPTERS = os.environ.get("WARBLER_ADAPTERS", "webchat").split()


def driver(adapter):
    return getattr(importlib.import_module(f".{adapter}", __name__), adapter.capitalize())
