# SPDX-License-Identifier: Apache-2.0
"""The goals of bench/README.md as rows of a table: what was measured, what is wanted, met or not."""
from dataclasses import asdict, dataclass, replace

import report


@dataclass(frozen=True)
class Verdict:
    """`met` is None where nothing could be measured, or where this machine cannot tell."""
    goal: int
    what: str
    measured: str
    wanted: str
    met: bool | None


def at_most(goal, what, value, limit, digits=2):
    """`value` is (median, least, most) of a ratio or figure, or None."""
    return _judged(goal, what, value, limit, digits, "at most", lambda one: one <= limit)


def at_least(goal, what, value, limit, digits=2):
    return _judged(goal, what, value, limit, digits, "at least", lambda one: one >= limit)


def told(goal, what, value, digits=2):
    """Nothing is wanted of it: what others are to be compared with."""
    return replace(at_most(goal, what, value, 0, digits), wanted="(told)", met=None)


def _judged(goal, what, value, limit, digits, word, good):
    if value is None:
        return Verdict(goal, what, "-", f"{word} {limit:,g}", None)
    measured = f"{value[0]:,.{digits}f}"
    if value[2] > value[1]:
        measured += f" ({value[1]:,.{digits}f}-{value[2]:,.{digits}f})"
    return Verdict(goal, what, measured, f"{word} {limit:,g}", bool(good(value[0])))


def one(value):
    """A figure that was taken once, in the form that at_most() and at_least() want."""
    return None if value is None else (value, value, value)


def table(verdicts):
    words = {True: "met", False: "not met", None: "open"}
    return report.markdown_table(
        ["what, by goal", "measured", "wanted", ""],
        [[f"{v.goal:2} {v.what}", v.measured, v.wanted, words[v.met]]
         for v in sorted(verdicts, key=lambda v: v.goal)]) + "\n"


def plain(verdicts):
    """For JSON."""
    return [asdict(v) for v in verdicts]


def publish(directory, name, result, text, verdicts):
    """How a bench with goals ends: its tables and theirs, shown and kept (report.publish())."""
    found = list(verdicts)
    result["verdicts"] = plain(found)
    report.publish(directory, name, result, f"{text}\n## goals\n{table(found)}")
