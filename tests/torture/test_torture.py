"""A part of `make torture`, and that it sees what is wrong."""
import asyncio
import concurrent.futures
import os
import pathlib
import signal

import pytest

from .hunger import COUNT, LIBRARIES, OWN, Report, Strike, Verdict, judge, run
from .talk import hold

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 60
HANG_SECONDS = 3
TALKS = 6  # conversations
PROGRAMS = ["test_delta", "test_matrix_parts", "test_store_open"]
STRIKES = 4  # of each

pytestmark = pytest.mark.skipif(not os.path.exists(os.environ.get("WARBLER_STARVE", "")), reason="it is for glibc only")


def careless(way, n, seconds=SECONDS):
    return run([os.environ["WARBLER_CARELESS"], way], Strike(OWN, n), seconds, ROOT)


@pytest.mark.parametrize("way, n", [("unchecked", 1), ("leaks", 1), ("freed-twice", 2), ("without-a-word", 1), ("fails-without-a-word", 1),
                                    ("hangs", 1)])
def test_a_careless_program_is_seen(way, n):
    assert careless(way, 0)[0] == Verdict.SPARED
    verdict, report, output = careless(way, n, HANG_SECONDS)
    assert verdict == Verdict.BROKEN and report.callers.startswith("refused"), output


def test_a_careful_program_is_not():
    verdict, report, output = careless("careful", 1)
    assert verdict == Verdict.ABORTED, output
    assert careless("careful", 2)[0] == Verdict.SPARED


def test_right_or_not_at_all():
    program = [os.environ["WARBLER_CAREFUL"]]
    verdict, report, output = run(program, COUNT, SECONDS, ROOT)
    assert verdict == Verdict.SPARED, output
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda strike: (strike, run(program, strike, SECONDS, ROOT)), report.places))
    for strike, (verdict, refused, output) in found:
        assert verdict in (Verdict.ABORTED, Verdict.UNHARMED, Verdict.KNOWN), f"{strike}\n{refused.callers}{output}"
    assert {strike.who for strike, (verdict, *_) in found if verdict == Verdict.ABORTED} == {OWN, LIBRARIES}


def test_counting():
    verdict, report, _ = careless("freed-twice", 0)
    assert verdict == Verdict.SPARED and report.counts[OWN] == 2
    assert len([place for place in report.places if place.who == OWN]) == 2


REFUSED = Report(callers="refused\n")
OUT_OF_MEMORY = "error mem: out of memory: 8 bytes more were refused\n"
FAULT = "==1==ERROR: AddressSanitizer: SEGV\n    #0 0x1 in f (/lib/libx.so)\n    #1 0x2 in g plugin/net/ws.c:1\n"
FAULT_OF_A_TEST = "tests/unit/test_x.c:1:2: runtime error: load of null pointer\n"


@pytest.mark.parametrize("status, output, verdict", [
    (0, "", Verdict.UNHARMED),
    (-signal.SIGABRT, OUT_OF_MEMORY, Verdict.ABORTED),
    (-signal.SIGABRT, "", Verdict.BROKEN),
    (-signal.SIGSEGV, OUT_OF_MEMORY, Verdict.BROKEN),
    (-signal.SIGSEGV, "", Verdict.BROKEN),
    (1, FAULT, Verdict.BROKEN),
    (1, FAULT_OF_A_TEST, Verdict.TEST),
    (1, "[  FAILED  ] test_x\n", Verdict.FAILED),
    (1, "[  ERROR   ] test_x\n", Verdict.FAILED),
    (1, "[  FAILED  ] test_x\n" + FAULT, Verdict.FAILED),
    (1, FAULT + "[  FAILED  ] test_x\n", Verdict.BROKEN),
    (23, "==1==ERROR: LeakSanitizer: detected memory leaks\n", Verdict.BROKEN),
    (3, "", Verdict.BROKEN),
])
def test_judgement(status, output, verdict):
    assert judge(status, output, REFUSED) == verdict


def test_nothing_refused_is_nothing_proved():
    assert judge(0, "", Report()) == Verdict.SPARED
    assert judge(1, "[  FAILED  ] test_x\n", Report()) == Verdict.BROKEN


def some_of(places, n):
    """From all parts, of libraries: what the program asks for itself ends with an abort."""
    places = [place for place in places if place.who == LIBRARIES]
    return places[::max(1, len(places) // n)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_tests(program):
    program = [ROOT / "build/asan/tests/unit" / program]
    _, report, _ = run(program, COUNT, SECONDS, ROOT)
    for strike in some_of(report.places, STRIKES):
        verdict, refused, output = run(program, strike, SECONDS, ROOT)
        assert verdict != Verdict.BROKEN, f"{strike}\n{refused.callers}{output}"


def test_the_daemon(run):
    async def talks():
        verdict, report, output = await hold(COUNT)
        assert verdict == Verdict.SPARED, output
        strikes = [*some_of(report.places, TALKS), report.places[-1]]
        return zip(strikes, await asyncio.gather(*(hold(strike) for strike in strikes)))

    found = run(talks())
    for strike, (verdict, report, output) in found:
        assert verdict != Verdict.BROKEN, f"{strike}\n{report.callers}{output}"
