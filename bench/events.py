# SPDX-License-Identifier: Apache-2.0
"""`make bench-events`: what one row event of the stream costs the control thread, from its bytes to the raised slots (goal 11
of bench/README.md): bench/events.c, some rounds of it."""
import argparse
import os
import re
import statistics
import subprocess
import sys

import report
import run
import scratch as place
import verdict

NAME = "events"
LIMIT_NS = 1000  # for an event whose key is that of the replica identity
ROUNDS = 5
EVENTS = 500000


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pgweir", default="build/pgweir", help="beside which the program is")
    parser.add_argument("--pgbouncer", help="of no meaning here")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def measure(options, _):
    """{(source, load): ns for each row event, of each round}"""
    program = os.path.join(os.path.dirname(os.path.abspath(options.pgweir)), "bench/events")
    found = {}
    for _ in range(options.rounds):
        done = subprocess.run([program, str(EVENTS)], stdin=subprocess.DEVNULL, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise place.BenchError(f"{program} ended with {done.returncode}: {done.stderr}")
        for line in done.stdout.splitlines():
            source, load, ns = re.match(r"(\w+)\s+(.+?)\s+(\d+) ns for each row event$", line).groups()
            found.setdefault((source, load), []).append(int(ns))
    return {"machine": None, "rows": [{"source": source, "load": load, "ns": ns} for (source, load), ns in found.items()]}


def verdicts(result):
    """With REPLICA IDENTITY FULL an event tells of all columns, and twice: it is told beside the others."""
    for row in result["rows"]:
        what, ns = f"an event, {row['source']}, {row['load']}: ns", row["ns"]
        middle = (statistics.median(ns), min(ns), max(ns))
        yield verdict.told(11, what, middle, 0) if "FULL" in row["load"] else verdict.at_most(11, what, middle, LIMIT_NS, 0)


def text(result):
    return "# pgweir bench-events\n\n" + report.markdown_table(
        ["events by", "load", "ns for each row event", "least", "most"],
        [[row["source"], row["load"], f"{statistics.median(row['ns']):.0f}", f"{min(row['ns'])}", f"{max(row['ns'])}"]
         for row in result["rows"]]) + "\n"


def finish(options, result):
    verdict.publish(options.out, NAME, result, text(result), verdicts(result))
    return 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
