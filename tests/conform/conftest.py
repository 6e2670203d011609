"""Fixtures of the conformance suite, and its table at the end of the run."""
import json
import os

import pytest

from conftest import pytest_configure, run  # noqa: F401 (of the end-to-end tests)

from . import driver, table


@pytest.fixture(scope="session")
def grounds(tmp_path_factory):
    """grounds(adapter): its driver, ready for any number of behaviours."""
    begun = {}

    def prepare(adapter):
        if adapter not in begun:
            driver(adapter).begin(tmp_path_factory.mktemp(adapter))
            begun[adapter] = driver(adapter)
        return begun[adapter]

    yield prepare
    for each in begun.values():
        each.end()


def outcomes(reporter):
    """{adapter: {behaviour: outcome}} of the behaviours that ran."""
    found = {}
    for outcome, word in (("passed", table.PASSED), ("failed", table.FAILED), ("error", table.FAILED)):
        for report in reporter.stats.get(outcome, []):
            adapter, _, name = report.nodeid.partition("test_behaviour[")[2].rstrip("]").partition(": ")
            if name:
                found.setdefault(adapter, {})[name] = word
    return found


def pytest_terminal_summary(terminalreporter):
    found = outcomes(terminalreporter)
    if found and os.environ.get("CONFORM_OUT"):
        with open(os.environ["CONFORM_OUT"], "w", encoding="utf-8") as out:
            json.dump(found, out)
