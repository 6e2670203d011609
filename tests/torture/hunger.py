"""One run of a program in which an allocation is refused, and what it came to."""
import collections
import enum
import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

from .known import KNOWN

OWN, LIBRARIES = "own", "libraries"
OUT_OF_MEMORY = re.compile(r"mem: out of memory: ")
SANITIZER = re.compile(r"ERROR: AddressSanitizer|runtime error: |AddressSanitizer:DEADLYSIGNAL")
LEAK = "ERROR: LeakSanitizer"
TEST_FAILED = re.compile(r"^\[  (FAILED |ERROR  ) \]|Could not run test", re.M)
HANGS = "\nit hangs\n"
WAITS = "\nit waits in vain\n"
NULL_USED = re.compile(r"SEGV on unknown address 0x0{9}|runtime error: .*\bnull pointer\b")
# Of a fault's stack, what is ours: a test's own, or the program's.
OUR_FRAME = re.compile(r"^    #\d+ \S+ in \S+ (tests/unit|plugin|adapters|config)/|^(tests/unit|plugin|adapters|config)/\S+ runtime error: ",
                       re.M)
SANITIZERS = {
    # The runtime comes after what is loaded first, and passes on no signal of ours.
    "ASAN_OPTIONS": "verify_asan_link_order=0:handle_segv=2:handle_sigbus=2:handle_abort=0:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


COUNT_SECONDS = 600  # counting looks at every caller
SECONDS_MIN = 20     # before a run that takes longer than ever hangs
TIMES_LONGER = 10
IDLE_SECONDS = 1     # that show whether there is anything to do


class Verdict(enum.Enum):
    SPARED = "it ended before"     # nothing was refused
    UNHARMED = "unharmed"
    ABORTED = "clean aborts"
    FAILED = "clean errors"
    TEST = "faults of tests"       # which took for granted what they did not get
    WAITS = "waits of tests"       # for what does not come any more, with nothing to do
    KNOWN = "known of libraries"
    BROKEN = "broken"


@dataclass
class Strike:
    """The n-th allocation of one of the two; 0: none, they are counted."""
    who: str
    n: int
    place: str = ""

    def __str__(self):
        return f"{self.who} {self.n}"


COUNT = Strike(OWN, 0)


@dataclass
class Report:
    counts: dict = field(default_factory=dict)
    places: list = field(default_factory=list)  # the first strike at each
    callers: str = ""                           # of what was refused


def read_report(path):
    report = Report()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[0] == "place" and len(words) == 4:
                report.places.append(Strike(words[1], int(words[2]), words[3]))
            elif words[0] in (OWN, LIBRARIES) and len(words) == 2:
                report.counts[words[0]] = int(words[1])
            else:
                report.callers += line
    return report


def environment(strike, report, **more):
    preload = [os.environ["WARBLER_STARVE"], *filter(None, [more.pop("LD_PRELOAD", "")])]
    return {**os.environ, **SANITIZERS, **more, "LD_PRELOAD": ":".join(preload), "STARVE_WHO": strike.who, "STARVE_AT": str(strike.n),
            "STARVE_REPORT": str(report)}


def judge(status, output, report):
    """output: what the program said, of which the sanitizers' words are a part."""
    if not report.callers:
        return Verdict.SPARED if status == 0 else Verdict.BROKEN
    verdict = judge_refused(status, output)
    if verdict == Verdict.BROKEN and any(known.fits(report.callers + output) for known in KNOWN):
        return Verdict.KNOWN
    return verdict


def judge_refused(status, output):
    fault = SANITIZER.search(output)
    failed = TEST_FAILED.search(output)
    if failed and not (fault and fault.start() < failed.start()):
        return Verdict.FAILED  # what comes after it, with what it left behind, means nothing
    if fault:
        ours = OUR_FRAME.search(output)
        return Verdict.TEST if ours and "tests/unit" in ours.groups() and NULL_USED.search(output) else Verdict.BROKEN
    if status == -signal.SIGABRT and OUT_OF_MEMORY.search(output):
        return Verdict.ABORTED
    if output.endswith(WAITS):
        return Verdict.WAITS
    return Verdict.UNHARMED if status == 0 else Verdict.BROKEN


class Trial:
    """What is run again and again, each time with something else refused."""
    name = ""

    def __init__(self):
        self.report = None
        self.seconds = 0.0  # that it takes
        self.strikes = []
        self.verdicts = collections.Counter()
        self.broken = []    # (strike, callers, output)

    def run(self, strike, seconds):
        """(verdict, report, output); who takes longer than that hangs."""
        raise NotImplementedError

    @property
    def struck(self):
        return sum(self.verdicts.values()) - self.verdicts[Verdict.SPARED]

    def count(self):
        begin = time.monotonic()
        verdict, self.report, output = self.run(COUNT, COUNT_SECONDS)
        if verdict != Verdict.SPARED:
            raise RuntimeError(f"{self.name} fails with nothing refused:\n{output}")
        self.seconds = time.monotonic() - begin

    def strike(self, strike):
        verdict, report, output = self.run(strike, max(SECONDS_MIN, TIMES_LONGER * self.seconds))
        self.verdicts[verdict] += 1
        if verdict == Verdict.BROKEN:
            self.broken.append((strike, report.callers, output))


def processor_ticks(pid):
    """That all of its threads have used."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def is_idle(pid):
    before = processor_ticks(pid)
    time.sleep(IDLE_SECONDS)
    return processor_ticks(pid) == before


def run(command, strike, seconds, cwd):
    """(verdict, report, output) of a program's run."""
    with tempfile.NamedTemporaryFile(prefix="starve-") as file:
        process = subprocess.Popen(command, env=environment(strike, file.name), cwd=cwd, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=seconds)
            status = process.returncode
        except BaseException as problem:
            idle = is_idle(process.pid)
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if not isinstance(problem, subprocess.TimeoutExpired):
                raise
            output += (WAITS if idle else HANGS).encode()
            status = -signal.SIGKILL
        output = output.decode(errors="replace")
        report = read_report(file.name)
        return judge(status, output, report), report, output
