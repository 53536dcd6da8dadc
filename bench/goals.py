# SPDX-License-Identifier: Apache-2.0
"""Are the goals met? Judged by one run's own figures, pgweir against PgBouncer of the same block.

1. Passed through: no more proxy CPU for a query than PgBouncer's.
2. A hit: under half of PgBouncer's.

`python3 bench/goals.py FILE.json` judges a run that was kept; with `--strict` a goal that is
missed, or that nothing was measured for, is an error.
"""
import argparse
import json
import sys

import report

# The sentence, the kinds of load it is about, whose row, the share of PgBouncer's CPU, and whether
# that share itself is still good enough.
GOALS = (
    ("passed through: no more CPU than PgBouncer", ("select", "tpcb"), "pgweir", 1.0, True),
    ("a hit: under half of PgBouncer's CPU", ("hot",), "pgweir-cache", 0.5, False),
)
FEW_SERVER_READS = 0.1  # more than this for each transaction: it was not hits that were measured


def judge(result):
    """Yields (goal, load, ratio, verdict): 'met', 'missed' or 'open', and what to know about it."""
    for goal, kinds, target, limit, inclusive in GOALS:
        for block in result["blocks"]:
            other = report.reference(block)
            like = target
            if other is not None and other["target"] == "pgbouncer-session" and target == "pgweir":
                like = "pgweir-session"  # like with like
            row = next((row for row in block["targets"] if row["target"] == like), None)
            if row is None or block["kind"] not in kinds:
                continue
            ratio = report.ratio(row, other, "proxy_cpu_us")
            if row["errors"]:
                verdict = "missed: it failed"
            elif ratio is None:
                verdict = "open: no PgBouncer to compare with"
            else:
                verdict = "met" if ratio < limit or (inclusive and ratio == limit) else "missed"
                verdict += "".join(f" ({note})" for note in _notes(row, other, limit))
            yield goal, block["load"], ratio, verdict


def _notes(row, other, limit):
    own, theirs = row["proxy_cpu_us"], other["proxy_cpu_us"]
    if own["min"] <= limit * theirs["max"] and own["max"] >= limit * theirs["min"]:
        yield "within the spread of the rounds"
    if other["target"] == "pgbouncer-session":
        yield ("both in session mode" if row["target"] == "pgweir-session"
               else "against session mode")
    if row["noisy"] or other["noisy"]:
        yield "noisy"
    reads = row.get("server_scans", {"median": 0})["median"]
    if limit < 1 and reads > FEW_SERVER_READS:
        yield f"not hits: {reads:.2f} server reads each"


def all_met(result):
    """True when each goal was judged at least once and none was missed."""
    verdicts = list(judge(result))
    missed = any(verdict.startswith("missed") for _, _, _, verdict in verdicts)
    judged = {goal for goal, _, _, verdict in verdicts if verdict.startswith("met")}
    return not missed and len(judged) == len(GOALS)


def text(result):
    rows = [[goal, load, "-" if ratio is None else f"{ratio:.3f}", verdict]
            for goal, load, ratio, verdict in judge(result)]
    if not rows:
        return "## goals\nNothing of pgweir was measured.\n"
    return "## goals\n" + report.markdown_table(
        ["goal", "load", "CPU / PgBouncer", "verdict"], rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file", help="a result.json of bench/run.py")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    with open(options.file, encoding="utf-8") as file:
        result = json.load(file)
    print(text(result), end="")
    return 1 if options.strict and not all_met(result) else 0


if __name__ == "__main__":
    sys.exit(main())
