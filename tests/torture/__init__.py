"""Torture: one allocation after the other is refused, and what follows must be
clean: an error, an abort that says why, or nothing at all.

  starve.c         refuses an allocation; loaded into a program that knows nothing of it
  hunger.py        a program's run with it, and what it came to
  known.py         what libraries do that we cannot mend, by name
  units.py         the unit tests
  talk.py          a conversation with the daemon, and the promise after it
  run              all of it, and the table
  careless.c       a program that does all of it wrong
  careful.c        a program of what must be right, or not be at all
  test_torture.py  some of it, and that a wrong program is seen
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/e2e")]
