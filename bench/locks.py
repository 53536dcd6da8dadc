# SPDX-License-Identifier: Apache-2.0
"""The serial part of a query: how long the mutexes that workers share are held for it.

Two workers run under locks.c, which counts that; one worker runs as it is, and tells the CPU of a
query. From both a model says what more cores would bring (Amdahl): as if all shared mutexes were
one, and nothing else were shared. What cache lines cost that go from core to core is not in it.
"""
import os

import report
import targets

# one worker, kind of load
CASES = (("pgweir-cache", "hot"), ("pgweir", "select"))
CLIENTS, QUERIES = 64, 1000   # of each client
WORKERS = (2, 4, 8, 16)


def measure(bench):
    rows = []
    built = os.path.dirname(os.path.abspath(bench.options.pgweir))
    library = bench.scratch.copy_program(os.path.join(built, "bench/locks.so"), "locks.so")
    for name, kind in CASES:
        if "counts" not in bench.options.parts or not {name, name + "-2w"} <= set(bench.chosen):
            continue
        keys = ["--keys", str(bench.generator.rows if kind == "select" else 1000)]
        alone = bench.maker.start(name)
        bench.generator.run(alone, "simple", CLIENTS, "--queries", "100", *keys)
        cpu_us = bench.generator.run(alone, "simple", CLIENTS, "--queries", str(QUERIES),
                                     *keys)["cpu_us"]
        bench.scratch.stop(alone.process)
        out = bench.scratch.writable(f"locks-{name}")
        two = bench.maker.start(name + "-2w", wrapper=["/usr/bin/env", f"LD_PRELOAD={library}",
                                                       f"LOCKS_OUT={out}"])
        done = bench.generator.run(two, "simple", CLIENTS, "--queries", str(QUERIES), *keys)
        bench.scratch.stop(two.process)
        rows.append({"target": name, "kind": kind, "cpu_us": cpu_us,
                     **_shared(out, done["reads"])})
    return rows


def _shared(path, queries):
    """Of the mutexes that more than one thread took, for each query."""
    with open(path, encoding="ascii") as file:
        found = [[int(word) for word in line.split()] for line in file]
    shared = [row[1:] for row in found if row[0] > 1]
    return {"taken": sum(row[0] for row in shared) / queries,
            "waited": sum(row[1] for row in shared) / queries,
            "held_ns": sum(row[2] for row in shared) / queries,
            "asleep": sum(row[3] for row in shared) / queries,
            "longest_ns": max((row[2] for row in shared), default=0) / queries}


def speedup(rows, name, workers):
    """What the model says of so many workers, or None."""
    for row in rows:
        if row["target"] == name:
            serial = row["held_ns"] / 1000 / row["cpu_us"]
            return 1 / (serial + (1 - serial) / workers)
    return None


def text(rows):
    table = [[targets.TITLES[row["target"]], f"{row['cpu_us']:.2f}", f"{row['taken']:.2f}",
              f"{row['waited']:.4f}", f"{row['asleep']:.4f}",
              f"{row['held_ns']:.0f}", f"{row['longest_ns']:.0f}"] +
             [f"{speedup(rows, row['target'], n):.2f}" for n in WORKERS] for row in rows]
    return ("## the serial part of a query\nMutexes that threads share, two workers; then the model, a "
            "speedup by workers.\n\n" + report.markdown_table(
                ["target", "CPU us", "taken", "waited for", "asleep", "ns held", "ns of the longest"] +
                [f"{n} workers" for n in WORKERS], table) + "\n")
