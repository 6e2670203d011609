"""The conformance suite: the same behaviours asked of every adapter, with a
bad network between it and its platform.

  proxy.py         the network
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the end-to-end tests have: the daemon, chat clients, platforms to play with.
sys.path.insert(0, str(ROOT / "tests/e2e"))
