"""A conversation with the daemon, with an allocation refused in its first life.
It may abort, or say that something failed; then nothing may be lost, and
nothing said twice."""
import asyncio
import os
import pathlib
import re
import shutil
import tempfile
from dataclasses import replace

from kill.house import memory_folder
from kill.people import Person
from kill.round import NOTICED
from kill.web import Web

from .hunger import Report, Strike, Trial, Verdict, environment, judge, read_report

COMPLAINT = re.compile(r" (warn|error) ")
NOT_STARTED = (1, 2, 3)  # the program's own exit statuses
AGAIN_SECONDS = 0.05


class Refusal(Strike):
    """What befalls a life of the daemon, in the terms of kill/house.py."""

    def command(self, report, options):
        return [os.environ["WARBLER_BIN"], *options]

    def env(self, report, env):
        return environment(self, report, **{name: env[name] for name in env if name == "LD_PRELOAD" or name.startswith("HASTEN")})

    def read(self, report):
        return read_report(report)

    def may_end(self, status, report, log):
        self.verdict = judge_life(status, report, log)
        return self.verdict != Verdict.BROKEN


def judge_life(status, report, log):
    """The daemon may refuse to start, and say why."""
    if status in NOT_STARTED and report.callers and " error " in log and "Sanitizer" not in log and "runtime error" not in log:
        return Verdict.FAILED
    found = judge(status, log, report)
    return Verdict.FAILED if found == Verdict.UNHARMED and COMPLAINT.search(log) else found


class Patient(Person):
    """Says again what was refused, as the protocol allows."""

    async def live(self):
        insisting = asyncio.create_task(self.insist())
        try:
            await super().live()
        finally:
            insisting.cancel()

    async def insist(self):
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            if self.chat.errors and self.chat.connected:
                own = self.chat.errors.pop(0).get("id")
                assert own, "an error that is no message's"
                if own in self.chat.unacked:
                    await self.chat.say(own, self.chat.unacked[own]["text"])


class Talk(Web):
    """The web chat's, where what must be answered may be answered by a notice that it could not be."""

    def person(self, name, room=""):
        self.people.append(Patient(self.house, name, room))
        return self.people[-1]

    def script(self):
        super().script()
        self.caller.to_ask.clear()
        for person in self.people:
            person.due = {own: replace(due, outcomes=(*due.outcomes, NOTICED), text="" if NOTICED in due.outcomes else due.text)
                          for own, due in person.due.items()}


async def hold(strike):
    """(verdict, report, what there is to show) of one conversation."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="warbler-torture-", dir=memory_folder()))
    refusal = Refusal(strike.who, strike.n)
    talk = Talk(folder, [refusal])
    try:
        report, = await talk.run()
    except asyncio.CancelledError:
        raise
    except Exception as problem:  # whatever it is, it breaks the promise
        report, = talk.house.reports or [Report()]
        return Verdict.BROKEN, report, f"{problem!r}\n" + "\n--\n".join(talk.house.logs)
    finally:
        shutil.rmtree(folder)
    return refusal.verdict, report, ""


class Conversation(Trial):
    name = "conversation"

    def run(self, strike, seconds):
        return asyncio.run(hold(strike))
