"""What a person sees: the log of a conversation, applied as a client applies
it, from the bytes that would go over the wire; and what must hold of a bot's
answers in it."""
import json
from dataclasses import dataclass, field

from . import wire

TOLERANCE_SECONDS = 0.15  # of clocks that are compared


@dataclass
class Stage:
    """One step in a message's life."""
    kind: str     # message, append, replace, recall
    mid: int
    text: str     # of this step
    ai: dict      # its ext.ai
    time: float
    meta: dict


@dataclass
class Seen:
    """A message as it looks now, and how it came to."""
    mid: int
    sender: int
    text: str
    ext: dict
    stages: list = field(default_factory=list)
    gone: bool = False
    edited: int = 0

    @property
    def ai(self):
        return object_of(self.ext.get("ai"))

    @property
    def answers(self):
        """The id of the question, 0 if it says none."""
        return int(self.ai.get("request_msg_id") or 0)


def object_of(value):
    return value if isinstance(value, dict) else {}


def ext_of(body):
    """Whatever people may write there."""
    try:
        return object_of(json.loads(body.get("ext") or "{}"))
    except (ValueError, RecursionError):
        return {}


class View:
    """offline: as somebody sees it who was away meanwhile and did not get what is for present devices only."""

    def __init__(self, log, times, offline=False):
        self.messages = {}   # id -> Seen
        self.acks = []       # ids whose reading somebody confirmed, with who it was
        self.typing = []     # (who, status)
        self.orphans = []    # operations on what is not here
        self.times = times
        for entry in log:
            if not (offline and entry.present is not None):
                self.take(wire.unpack_meta(wire.decode("Meta", wire.encode("Meta", wire.pack_meta(entry.meta), zeros=False))))

    def take(self, meta):
        if meta.get("ns") != wire.NS_MESSAGE:
            return
        body = meta["payload"]
        if body.get("type") == wire.OPER:
            self.operation(meta, body)
        elif "input_status" in ext_of(body):
            self.typing.append((meta["from"]["uid"], ext_of(body)["input_status"]))
        elif body.get("ctype", 0) == wire.TEXT:
            seen = Seen(meta["id"], meta["from"]["uid"], body.get("content", ""), ext_of(body))
            self.messages[seen.mid] = seen
            self.stage(seen, "message", meta, body)

    def stage(self, seen, kind, meta, body):
        seen.stages.append(Stage(kind, meta["id"], body.get("content", ""), object_of(ext_of(body).get("ai")),
                                 self.times.get(meta["id"], 0), meta))

    def operation(self, meta, body):
        kind, mid = body["operation"].get("type", 0), body["operation"].get("mid", 0)
        if kind == wire.OP_READ_ACK:
            self.acks.append((mid, meta["from"]["uid"]))
            return
        seen = self.messages.get(mid)
        if seen is None:
            self.orphans.append(meta)
        elif kind == wire.OP_RECALL:
            seen.gone = True
            self.stage(seen, "recall", meta, body)
        elif kind in (wire.OP_APPEND, wire.OP_REPLACE) and body.get("edit_timestamp", 0) >= seen.edited:
            seen.edited = body.get("edit_timestamp", 0)
            seen.text = (seen.text if kind == wire.OP_APPEND else "") + body.get("content", "")
            for name, value in ext_of(body).items():
                seen.ext[name] = {**object_of(seen.ext.get(name)), **value} if isinstance(value, dict) else value
            self.stage(seen, "append" if kind == wire.OP_APPEND else "replace", meta, body)

    def of(self, sender):
        """Messages of one sender that are still there, in order."""
        return [seen for seen in self.messages.values() if seen.sender == sender.uid and not seen.gone]

    def answers_to(self, mid, bot):
        return [seen for seen in self.of(bot) if seen.answers == mid]


def is_finished(seen):
    return not seen.ai.get("stream") or bool(seen.ai.get("finish"))


def check_stream(seen, interval, whole=True):
    """The stages of an answer are those of section 11. interval: seconds between two of them.
    whole: nothing interrupted it, so what was shown is what the answer begins with, and the complete text comes once."""
    first, *later = seen.stages
    assert first.kind == "message" and first.ai.get("role") == "ai", first
    if not first.ai.get("stream"):
        repeats = [] if whole else [stage for stage in later if (stage.kind, stage.text) == ("replace", first.text)]
        assert later == repeats, f"an answer that is not streamed changes: {later}"
        assert first.ai.get("finish") in (None, True), first
        return
    assert first.ai.get("seq") == 1 and first.ai.get("finish") is False, first
    assert len(first.text) >= 10, f"the first part is short: {first}"
    assert later and later[-1].kind == "replace", f"does not end with a REPLACE: {seen}"
    shown = first.text
    for before, stage in zip(seen.stages, later):
        last = stage is later[-1] or not whole and stage.ai.get("finish") and (stage.kind, stage.text) == ("replace", seen.text)
        assert stage.kind == ("replace" if last else "append") or not whole, stage
        assert stage.ai.get("seq", 0) > before.ai["seq"], (before, stage)
        assert not whole or stage.ai["seq"] == before.ai["seq"] + 1, (before, stage)
        assert bool(stage.ai.get("finish")) == bool(last) and stage.ai.get("stream") is True, stage
        least = min(interval, 1) if last else interval
        assert not whole or stage.time - before.time >= least - TOLERANCE_SECONDS, (before, stage)
        if stage.kind == "append":
            assert stage.text, "an APPEND of nothing"
            shown += stage.text
    assert later[-1].ai.get("role") == "ai", later[-1]
    assert seen.text == later[-1].text
    assert not whole or seen.text.startswith(shown), f"{shown!r} was shown of {seen.text!r}"


def check_exactly_once(view, bot, asked):
    """asked: question id -> its answer. Each has one, final, and there is nothing else of the bot."""
    for mid, text in asked.items():
        answers = view.answers_to(mid, bot)
        assert len(answers) == 1, f"{len(answers)} answers to {mid}: {answers}"
        assert is_finished(answers[0]), answers[0]
        assert text is None or answers[0].text == text, (text, answers[0])
    others = [seen for seen in view.of(bot) if seen.answers not in asked]
    assert not others, f"nobody asked for {others}"
