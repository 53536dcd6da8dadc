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

GOALS = (
    ("passed through: no more CPU than PgBouncer", ("select", "tpcb"), "pgweir",
     lambda ratio: ratio <= 1.0),
    ("a hit: under half of PgBouncer's CPU", ("hot",), "pgweir-cache",
     lambda ratio: ratio < 0.5),
)


def judge(result):
    """Yields (goal, load, ratio, verdict): 'met', 'missed', 'noisy ...', or why it is open."""
    for goal, kinds, target, holds in GOALS:
        for block in result["blocks"]:
            if block["kind"] not in kinds:
                continue
            row = next((row for row in block["targets"] if row["target"] == target), None)
            if row is None:
                continue
            other = report.reference(block)
            ratio = report.ratio(row, other, "proxy_cpu_us")
            if row["errors"]:
                verdict = "missed: it failed"
            elif ratio is None:
                verdict = "open: no PgBouncer to compare with"
            else:
                verdict = "met" if holds(ratio) else "missed"
                if other["target"] == "pgbouncer-session":
                    verdict += " (against session mode)"
                if row["noisy"] or other["noisy"]:
                    verdict += " (noisy)"
            yield goal, block["load"], ratio, verdict


def all_met(result):
    """True when each goal was judged at least once and none was missed."""
    verdicts = list(judge(result))
    missed = any(verdict.startswith("missed") for _, _, _, verdict in verdicts)
    judged = {goal for goal, _, _, verdict in verdicts if verdict.startswith("met")}
    return not missed and len(judged) == len(GOALS)


def text(result):
    rows = [[goal, load, "-" if ratio is None else f"{ratio:.2f}", verdict]
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
