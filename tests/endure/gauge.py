"""How much a process holds, over time; from Linux's /proc.

Memory is flat if the median of the last fifth of the samples is at most
GROWTH_MAX over the median of the second fifth. The first fifth does not count:
what has a bound (conversations in memory, SQLite's pages) may still be on its
way there."""
import os
import re
import statistics

GROWTH_MAX = 0.02
FIFTHS = 5
SAMPLES_MIN = 10 * FIFTHS


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def medians(samples):
    """Of each fifth."""
    assert len(samples) >= SAMPLES_MIN, f"{len(samples)} samples say nothing"
    size = len(samples) / FIFTHS
    return [statistics.median(samples[int(i * size):int((i + 1) * size)]) for i in range(FIFTHS)]


def growth(samples):
    fifths = medians(samples)
    return fifths[-1] / fifths[1] - 1


def is_flat(samples):
    fifths = medians(samples)
    return fifths[-1] <= fifths[1] * (1 + GROWTH_MAX)
