"""The unit tests, and the order in which everything is struck."""
import concurrent.futures
import pathlib

from .hunger import Trial, run

ROOT = pathlib.Path(__file__).resolve().parents[2]


class UnitTest(Trial):
    def __init__(self, path):
        super().__init__()
        self.path = path
        self.name = pathlib.Path(path).name

    def run(self, strike, seconds):
        return run([self.path], strike, seconds, ROOT)


def count_all(trials, jobs):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(Trial.count, trials))


def plan(trials, every, spend):
    """Places that several have are struck in the quickest only. every: of the places left, each every-th, or, if 0, as many
    as take about spend seconds."""
    seen = set()
    for trial in sorted(trials, key=lambda t: t.seconds):
        fresh = [s for s in trial.report.places if s.place not in seen]
        seen.update(s.place for s in fresh)
        step = every or max(1, round(len(fresh) * trial.seconds / spend))
        trial.strikes = fresh[::step]


def strike_all(trials, jobs, tell):
    """tell(trial) is called after each that is through."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for trial in trials:
            list(pool.map(trial.strike, trial.strikes))
            tell(trial)
