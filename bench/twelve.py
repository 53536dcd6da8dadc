# SPDX-License-Identifier: Apache-2.0
"""`make bench-goals`: all goals of bench/README.md, measured one bench after the other, as one table."""
import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time

import report
import verdict

DOCUMENT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                        "docs/performance.md")
BEGIN, END = "<!-- goals -->\n", "<!-- end of goals -->"
HERE = os.path.dirname(os.path.abspath(__file__))
# The bench, the goals it measures, and what it is told: five rounds, as short as they can be.
PARTS = (
    ("passed", (1, 2, 12), ["--rounds", "5", "--seconds", "1.5"]),
    ("hits", (3, 4, 5, 6), ["--rounds", "5", "--seconds", "1.5"]),
    ("memory", (7,), []),
    ("logins", (8,), ["--rounds", "5", "--seconds", "2"]),
    ("bulk", (9,), ["--rounds", "5"]),
    ("kept", (10,), []),
    ("events", (11,), []),
    ("invalidation", (11,), ["--targets", "wal"]),
)
EVICTION_QUESTIONS = "400000"
BEST_SHARE = 0.9   # of the best online policy
ALL = set(range(1, 13))
POLICIES = ("best", "LRU", "S3-FIFO", "W-TinyLFU", "GDSF", "store")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--goals", default="", help="some of 1 to 12, comma separated; the others as the last run found them")
    parser.add_argument("--record", action="store_true", help="put the table into the document")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--out", default="build/bench", help="where the results are written")
    options = parser.parse_args()
    options.goals = {int(n) for n in options.goals.split(",") if n} or ALL
    return options


def run_part(options, name, more):
    """The verdicts of one bench, and its exit code; of an earlier run nothing is taken."""
    result = os.path.join(options.out, f"{name}.json")
    if os.path.exists(result):
        os.unlink(result)
    command = [sys.executable, "-B", os.path.join(HERE, f"{name}.py"), "--pgweir", options.pgweir,
               "--out", options.out, *more]
    if options.pgbouncer:
        command += ["--pgbouncer", options.pgbouncer]
    code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          check=False).returncode
    if not os.path.exists(result):
        return [], None, code or 1
    with open(result, encoding="utf-8") as file:
        found = json.load(file)
    return [verdict.Verdict(**one) for one in found["verdicts"]], found["machine"], code


def eviction(options):
    """From the table of bench-eviction: the store against LRU, and against the best that can be."""
    program = os.path.join(os.path.dirname(options.pgweir), "bench/eviction")
    done = subprocess.run([program, EVICTION_QUESTIONS], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, check=False)
    rows = []
    for line in done.stdout.splitlines():
        figures = re.match(r"(.+?)\s+(\d+%)((?:\s+[\d.]+){6})$", line)
        if figures:
            rows.append((f"{figures[1]} {figures[2]}",
                         dict(zip(POLICIES, map(float, figures[3].split())))))
    if done.returncode != 0 or not rows:
        return [], 1
    below = [name for name, row in rows if row["store"] < row["LRU"]]
    shares = [(row["store"] / max(row[p] for p in POLICIES[1:-1]), name) for name, row in rows
              if max(row[p] for p in POLICIES[1:-1]) > 0]
    far = [name for share, name in shares if share < BEST_SHARE]
    return [verdict.Verdict(10, "hit ratio: rows of bench-eviction below LRU" + _named(below),
                            f"{len(below)} of {len(rows)}", "0", not below),
            verdict.Verdict(10, "hit ratio: rows below 0.9 of the best online policy" + _named(far),
                            f"{len(far)} of {len(shares)}, least {min(shares)[0]:.2f}", "0",
                            not far)], 0


def _named(rows):
    return f" ({', '.join(rows)})" if rows else ""


def record(words):
    """Puts a table where the last one stands in docs/performance.md."""
    with open(DOCUMENT, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    _, _, after = rest.partition(END)
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + words + END + after)


def beside(options):
    """Where only some goals are measured: what the last run of `out` found for the others, and where."""
    path = os.path.join(options.out, "goals.json")
    if options.goals == ALL or not os.path.exists(path):
        return [], None
    with open(path, encoding="utf-8") as file:
        last = json.load(file)
    found = [verdict.Verdict(**one) for one in last["verdicts"]]
    return [one for one in found if one.goal not in options.goals], last["machine"]


def words_of(found, machine, failed, minutes):
    met = [one.met for one in found]
    text = [f"Measured {datetime.date.today().isoformat()}.\n"]
    if machine:
        text.append(f"{machine['cores']} cores ({machine['cpu']}), Linux {machine['kernel']}, "
                    f"PostgreSQL {machine['postgresql']}, PgBouncer "
                    f"{machine.get('pgbouncer', 'not run')}; all on one machine; {minutes:.0f} minutes. "
                    "Medians (min-max) of interleaved rounds.\n")
    text.append(verdict.table(found))
    text.append(f"{met.count(True)} met, {met.count(False)} not met, {met.count(None)} open.\n")
    text += [f"(!) bench/{name}.py ended with {code}: see its own output and {name}.md\n"
             for name, code in failed]
    return "\n".join(text)


def main():
    options = parse()
    options.pgweir = os.path.abspath(options.pgweir)
    begin, failed = time.monotonic(), []
    found, machine = beside(options)
    for name, goals, more in PARTS:
        if not options.goals & set(goals):
            continue
        print(f"== {name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        verdicts, where, code = run_part(options, name, more)
        found += verdicts
        machine = where if where and "pgbouncer" in where else machine or where
        if code:
            failed.append((name, code))
    if 10 in options.goals:
        print(f"== eviction: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        verdicts, code = eviction(options)
        found += verdicts
        if code:
            failed.append(("eviction", code))
    found.sort(key=lambda one: one.goal)
    words = words_of(found, machine, failed, (time.monotonic() - begin) / 60)
    report.publish(options.out, "goals",
                   {"machine": machine, "verdicts": verdict.plain(found)}, words)
    if options.record and not failed:
        record(words)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
