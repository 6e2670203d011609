"""Words that only one conversation knows, and the search for them everywhere else.

Each conversation has one, that no other text has by chance; whatever is said
there has it in it. Places are looked at as they come to light:

  reply    what a person is sent: it may have the words of that person's conversation alone
  request  what a model is sent: words of one conversation; whose it was, the answer tells
  store    a row: words of one conversation; a channel's rows all of the same one, which
           are in no other channel
  log      a line: words of the conversation whose channel it names; if it names none, no words
"""
import contextlib
import re
import sqlite3
from dataclasses import dataclass

WORD = re.compile(r"zq(\d{6})x([0-9a-f]{8})", re.I)
CHANNEL = re.compile(r"\b(?:web|ly[ab]):[^\s\"\\,;()]+")
PLACES = ("reply", "request", "store", "log")
SHOWN_MAX = 20
EXCERPT_CHARS = 300


@dataclass
class Seen:
    """What one kind of place came to."""
    looked: int = 0
    words: int = 0
    crossings: int = 0


class Secrets:
    def __init__(self, dice):
        self.dice = dice
        self.marks = []       # by the number of the conversation
        self.seen = {place: Seen() for place in PLACES}
        self.shown = []       # of the crossings, the first
        self.channels = {}    # channel -> conversation, as far as it is known
        self.homes = {}       # conversation -> channel

    def new(self):
        """The number of another conversation."""
        self.marks.append(f"{self.dice.getrandbits(32):08x}")
        return len(self.marks) - 1

    def word(self, number):
        return f"zq{number:06}x{self.marks[number]}"

    def owners(self, text):
        """The conversations whose words are there; None stands for a word that is nobody's, such as half of two."""
        return {self.owner(*found) for found in WORD.findall(text)} if "zq" in text.lower() else set()

    def owner(self, digits, mark):
        number = int(digits)
        return number if number < len(self.marks) and self.marks[number] == mark.lower() else None

    # --- looking ---
    def look(self, place, text, allowed=None, owners=None):
        """allowed: the conversation that it belongs to; None: whichever, but one."""
        owners = self.owners(text) if owners is None else owners
        seen = self.seen[place]
        seen.looked += 1
        seen.words += len(owners)
        others = owners - {allowed}
        if None in owners or others and (allowed is not None or len(others) > 1):
            self.crossed(place, f"of {allowed}, has {owners}: {text}")
            return None
        return next(iter(owners), allowed)

    def crossed(self, place, what):
        self.seen[place].crossings += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(f"{place}: {what[:EXCERPT_CHARS]}")

    def look_in_channel(self, place, text, channel):
        """channel: its name."""
        number = self.look(place, text, self.channels.get(channel))
        if number is None:
            return
        if self.channels.setdefault(channel, number) != number or self.homes.setdefault(number, channel) != channel:
            self.crossed(place, f"{channel} is {self.channels.get(channel)}, {self.homes.get(number)}: {text}")

    def look_at_log(self, path):
        """When all channels are known."""
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                owners = self.owners(line)
                homes = {self.channels.get(name.rstrip(":")) for name in CHANNEL.findall(line)} if owners else {}
                self.seen["log"].looked += 1
                self.seen["log"].words += len(owners)
                if owners and (len(homes) != 1 or owners != homes):
                    self.crossed("log", f"names {homes}, has {owners}: {line}")

    def look_at_store(self, path):
        """Every text of every row of every table. Call it when the daemon has stopped."""
        with contextlib.closing(sqlite3.connect(path)) as db:
            names = dict(db.execute("SELECT id, name FROM channel"))
            for table, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall():
                rows = db.execute(f"SELECT * FROM {table}")
                columns = [column[0] for column in rows.description]
                for row in rows:
                    self.look_at_row(table, dict(zip(columns, row)), names)

    def look_at_row(self, table, row, names):
        text = " ".join(str(value) for value in row.values() if isinstance(value, (str, bytes)))
        channel = row["id"] if table == "channel" else row.get("channel")
        if channel:
            self.look_in_channel("store", text, names.get(channel, channel))  # the ledger has names
        else:
            self.look("store", text)

    # --- the result ---
    @property
    def crossings(self):
        return sum(seen.crossings for seen in self.seen.values())

    def blind(self):
        """Places where no word was ever seen: nobody has looked."""
        return [place for place, seen in self.seen.items() if not seen.words]

    def table(self):
        lines = [f"{'':<10}{'looked at':>12}{'words seen':>12}{'crossings':>12}"]
        lines += [f"{place:<10}{seen.looked:>12,}{seen.words:>12,}{seen.crossings:>12,}" for place, seen in self.seen.items()]
        return "\n".join(lines + self.shown)
