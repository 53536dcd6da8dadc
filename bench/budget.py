# SPDX-License-Identifier: Apache-2.0
"""`make bench-check`: has a hot path become longer? Instructions and system calls of one query, counted,
against the budget that was recorded in budget.json.

One client asks one thing at a time, always the same keys in the same order: every query goes the
same way, and nothing depends on how busy the machine is. User instructions of the worker's thread
are counted by callgrind, system calls of the process by strace, each in a short and in a long run,
whose difference is divided by the difference of the queries: the start drops out. What comes by the
clock (the janitor's looks, ten times a second) is counted while nobody asks anything, and taken off
for as long as the runs took: on a busy machine that is much.
"""
import argparse
import json
import os
import subprocess
import sys

import count
import duel
import run
import scratch as place
import targets

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "budget.json")
QUERIES = (300, 2300)
LOGINS = (50, 300)
IDLE_S = 5
# name, target, kind of load, protocol
PATHS = (
    ("passed through, simple", "pgweir", "select", "simple"),
    ("passed through, extended", "pgweir", "select", "extended"),
    ("passed through, prepared", "pgweir", "select", "prepared"),
    ("hit, simple", "pgweir-cache", "hot", "simple"),
    ("hit, prepared", "pgweir-cache", "hot", "prepared"),
    ("miss, simple", "pgweir-cache", "unique", "simple"),
    ("miss, prepared", "pgweir-cache", "unique", "prepared"),
    ("login", "pgweir", "login", "login"),
)
TOLERANCE = {"instructions": 0.03, "calls": 0.03}
# Kept in the budget's file, for whoever reads it; another compiler makes other code.
COMPILER = ["cc", "-dumpfullversion"]


class Steady:
    """The generator with the same seed in every run."""

    def __init__(self, generator):
        self.generator = generator
        self.rows = generator.rows
        self.unique = generator.unique

    def run(self, target, protocol, clients, *more):
        self.generator.seed = 0
        return self.generator.run(target, protocol, clients, *more)


def compiler():
    return subprocess.run(COMPILER, capture_output=True, text=True, check=False).stdout.strip()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--record", action="store_true", help="write the budget instead")
    parser.add_argument("--paths", default="", help="those whose name has this in it")
    parser.add_argument("--file", default=FILE, help="the budget, if another")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    return parser.parse_args()


def figures(counter, path, idle):
    """{instructions, calls} of one query on a path. `idle`: what earlier paths found, by target."""
    _, name, kind, protocol = path
    sizes = LOGINS if kind == "login" else QUERIES
    if name not in idle:
        idle[name] = counter.idle(name, kind, protocol, IDLE_S)
    few, many = counter.instructions(name, kind, protocol, 1, sizes)
    longer_s = counter.took[-1] - counter.took[-2]
    # The busiest thread is the worker's; the others answer no query.
    threads = {key: many[key] - few.get(key, 0) for key in many}
    worker = max(threads, key=threads.get)
    own = threads[worker] - idle[name].get(worker, 0) * longer_s
    calls = counter.slope(counter.calls, name, kind, protocol, 1, sizes)
    return {"instructions": round(own / (sizes[1] - sizes[0])),
            "calls": round(count.all_calls({"calls": calls}), 2)}


def measure(options, scratch):
    for program in ("valgrind", "strace"):
        place.require(program, program)
    cluster = place.Cluster(scratch, 1)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir))
    maker.needs(["pgweir"])
    cluster.start()
    counter = count.Counter(scratch, maker, Steady(duel.Generator(scratch, cluster, os.path.join(
        os.path.dirname(os.path.abspath(options.pgweir)), "bench/load"))))
    found, idle = {}, {}
    for path in PATHS:
        if options.paths in path[0]:
            run.say(path[0])
            found[path[0]] = figures(counter, path, idle)
    return found


def judge(found, budget):
    """Lines to show, and the paths that cost more than their budget allows."""
    lines, slower = [], []
    for name, now in found.items():
        for figure, tolerance in TOLERANCE.items():
            was = budget["paths"].get(name, {}).get(figure)
            if was is None:
                slower.append(f"{name}: no {figure} in the budget: make bench-check RECORD=1")
                continue
            change = now[figure] / was - 1
            word = ""
            if change > tolerance:
                word = "SLOWER"
                slower.append(f"{name}: {now[figure]:,g} {figure}, {was:,g} in the budget "
                              f"({change:+.1%}; {tolerance:.0%} are allowed)")
            elif change < -tolerance:
                word = "better: record it"
            lines.append(f"{name:26} {figure:13} {now[figure]:>10,g} {was:>10,g} {change:>+7.1%}  "
                         f"{word}")
    return lines, slower


def finish(options, found):
    if options.record:
        kept = _budget(options.file)["paths"] if options.paths else {}
        with open(options.file, "w", encoding="utf-8") as file:
            json.dump({"compiler": compiler(), "paths": {**kept, **found}}, file, indent=2)
            file.write("\n")
        run.say(f"Recorded: {options.file}")
        return 0
    budget = _budget(options.file)
    if budget["compiler"] != compiler():
        print(f"The budget was recorded with compiler {budget['compiler']}, this is {compiler()}.")
    lines, slower = judge(found, budget)
    print("\n".join([f"{'path':26} {'for one':13} {'now':>10} {'budget':>10}", *lines]))
    for one in slower:
        print(f"(!) {one}")
    return 1 if slower else 0


def _budget(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {"compiler": compiler(), "paths": {}}


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
