"""The result as a table: a row for each behaviour, a column for each adapter."""
from . import ROOT, driver

PASSED, FAILED, NOT_RUN = "yes", "NO", "not run"
README = ROOT / "README.md"
BEGIN, END = "<!-- conform: as `make conform` prints it -->\n", "<!-- /conform -->\n"


def markdown(behaviours, results):
    """results: {adapter: {behaviour: PASSED or FAILED}}; what is not there was not run, if there is anything to ask."""
    notes = []
    lines = ["| behaviour | " + " | ".join(results) + " |", "|---|" + "---|" * len(results)]
    for name in behaviours:
        cells = [cell(adapter, name, outcomes, notes) for adapter, outcomes in results.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines + [""] + [f"({n}) {note}.  " for n, note in enumerate(notes, 1)]) + "\n"


def cell(adapter, name, outcomes, notes):
    reason = driver(adapter).absent.get(name)
    if not reason:
        return outcomes.get(name, NOT_RUN)
    note = f"{adapter}: {reason}"
    if note not in notes:
        notes.append(note)
    return f"not asked ({notes.index(note) + 1})"


def in_readme():
    return README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]


def write(text):
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before + begin + text + END + rest.partition(END)[2], encoding="utf-8")


def adapters_in_readme():
    return [word.strip() for word in in_readme().partition("\n")[0].split("|")[2:-1]]
