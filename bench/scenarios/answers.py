# SPDX-License-Identifier: Apache-2.0
"""What users.c wrote down, and whether what was read there was right."""
import bisect
from dataclasses import dataclass

REFUSED = ("53300",)            # never reached the server: too many connections
UNSURE = ("late", "lost")       # given up by the user; the server may have done it or not


@dataclass(frozen=True)
class Answer:
    """One request; times in us of the run's beginning."""
    kind: str
    user: int
    at: int
    sent: int
    done: int
    state: str
    value: str

    @property
    def ok(self):
        return self.state == "ok"

    @property
    def ms(self):
        return (self.done - self.at) / 1000

    def columns(self):
        return self.value.split("|")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            kind, user, at, sent, done, state, value = line.rstrip("\n").split("\t")
            yield Answer(kind, int(user), int(at), int(sent), int(done), state, value)


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


class History:
    """The writes to one thing, by one writer after the other: of each when it was sent and answered,
    and how the thing's count and sum stand behind it. What a reader has seen is judged by it."""

    def __init__(self, count=0, total=0):
        self.counts, self.totals = [count], [total]
        self.sent, self.done = [0], [0]
        self.sure_until = None  # from then on nobody knows what was written

    def note(self, answer, count, total):
        """A write, in the order in which they were sent, that adds to both."""
        if answer.ok:
            self.counts.append(self.counts[-1] + count)
            self.totals.append(self.totals[-1] + total)
            self.sent.append(answer.sent)
            self.done.append(answer.done)
        elif answer.state in UNSURE and self.sure_until is None and answer.sent:
            self.sure_until = answer.sent

    def judge(self, sent, done, count, total, bound_us):
        """right, stale (older than the bound allows), wrong (never was so), or unsure."""
        if self.sure_until is not None and done >= self.sure_until:
            return "unsure"
        at = bisect.bisect_left(self.counts, count)
        if at == len(self.counts) or self.counts[at] != count or self.totals[at] != total:
            return "wrong"
        if self.sent[at] > done:
            return "wrong"  # from the future
        owed = bisect.bisect_right(self.done, sent - bound_us) - 1
        return "stale" if at < owed else "right"


class Verdicts:
    """How many of the answers were right."""

    def __init__(self):
        self.counted = {"right": 0, "stale": 0, "wrong": 0, "unsure": 0, "leaked": 0}
        self.examples = []

    def note(self, verdict, answer):
        self.counted[verdict] += 1
        if verdict in ("stale", "wrong", "leaked") and len(self.examples) < 3:
            self.examples.append(f"{verdict}: {answer}")
