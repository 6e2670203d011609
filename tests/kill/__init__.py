"""Kill anywhere: one conversation, and the daemon killed at one system call of
it after the other. What was promised must hold all the same.

  strike.c          kills a program at its n-th system call
  model.py          a model server that answers by the question alone, and breaks off once
  house.py          the daemon: one life after the other, each with its strike or without
  round.py          a conversation over all of them, and what must be true in the end
  web.py, people.py the web chat: who talks there, says again what was not acknowledged, and comes back
  cloud.py          Lanying IM: what is said goes through the outbox
  run               every n
  test_anywhere.py  some of them, and that a broken promise is seen
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from .cloud import Cloud  # noqa: E402
from .web import Web  # noqa: E402

# By their names, those that the program was built for.
ADAPTERS = os.environ.get("WARBLER_ADAPTERS", "webchat lanying").split()
CONVERSATIONS = {kind.name: kind for kind in (Web, Cloud) if kind.adapter in ADAPTERS}
