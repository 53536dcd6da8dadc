# SPDX-License-Identifier: Apache-2.0
"""`make bench-count`: what one query costs a proxy, counted instead of timed.

The queries come from the generator (load.c), so many for each client.

User instructions come from callgrind, system calls from strace. Both slow a program down, so the
figures say nothing about speed, but they hardly change from run to run. Each count is made twice,
with few and with many queries, and the difference is divided by the difference of the queries:
start, logins and first preparations drop out.
"""
import argparse
import glob
import os
import re
import signal
import subprocess
import sys
import time

import duel
import report
import run
import scratch as place
import targets

# name, target, load kind, protocol
CASES = (
    ("simple", "pgbouncer", "select", "simple"),
    ("simple", "pgweir", "select", "simple"),
    ("extended", "pgbouncer", "select", "extended"),
    ("extended", "pgweir", "select", "extended"),
    ("prepared", "pgbouncer", "select", "prepared"),
    ("prepared", "pgweir", "select", "prepared"),
    ("hit, simple", "pgweir-cache", "hot", "simple"),
    ("hit, prepared", "pgweir-cache", "hot", "prepared"),
    ("miss, simple", "pgweir-cache", "unique", "simple"),
    ("miss, prepared", "pgweir-cache", "unique", "prepared"),
)
HOT_KEYS = 20      # few, so that the warm-up meets them all
# A proxy under valgrind is some fifty times slower: freshness must not run out meanwhile.
PATIENT = {"max_staleness": 30}
VALGRIND_CLIENTS, VALGRIND_QUERIES = 8, (100, 500)   # queries of each client
FOLLOW_S, SETTLE_S = 60, 0.5
STRACE_CLIENTS, STRACE_QUERIES = 64, (50, 250)


class Counter:
    """Makes the counts."""

    def __init__(self, scratch, maker, generator):
        self.scratch = scratch
        self.maker = maker
        self.generator = generator
        self.serial = 0
        self.took = []  # seconds of each load that was counted by callgrind

    def load(self, target, kind, protocol, clients, queries):
        """Asks `queries` for each client, and looks at every answer."""
        if kind == "unique":
            keys = self.generator.unique(target, protocol, clients * queries)
        else:
            keys = ["--keys", str(HOT_KEYS if kind == "hot" else self.generator.rows)]
        self.generator.run(target, protocol, clients, "--queries", str(queries), *keys)

    def settle(self, target, kind, protocol):
        """Opens the pool, and of a cache waits until it follows and has what will be asked for. Always as
        many queries of a kind, so that they drop out of a slope."""
        self.load(target, kind, protocol, 1, 2 * HOT_KEYS)
        if not target.cached:
            return
        deadline = time.monotonic() + FOLLOW_S
        while self.maker.cluster.sql("SELECT count(*) FROM pg_replication_slots WHERE active") == "0":
            if time.monotonic() > deadline:
                raise place.BenchError(f"{target.title}: follows nothing after {FOLLOW_S} s")
            time.sleep(0.1)
        for _ in range(2):  # what the first do not find, they fill
            time.sleep(SETTLE_S)
            self.load(target, kind, protocol, 1, 5 * HOT_KEYS)

    def slope(self, count, name, kind, protocol, clients, sizes):
        """count() with few and with many queries; a dictionary of what one query adds."""
        few, many = count(name, kind, protocol, clients, sizes)
        queries = clients * (sizes[1] - sizes[0])
        return {key: (many[key] - few.get(key, 0)) / queries for key in many}

    def instructions(self, name, kind, protocol, clients, sizes):
        """User instructions of each thread of a proxy, from its start to its end, for each size."""
        return [self._instructions(name, kind, protocol, clients, size) for size in sizes]

    def _instructions(self, name, kind, protocol, clients, queries, idle_s=0):
        self.serial += 1
        out = os.path.join(self.scratch.path, f"callgrind-{self.serial}")
        target = self.maker.start(name, more=PATIENT if "cache" in name else None, wrapper=[
            place.require("valgrind", "valgrind"), "--quiet", "--tool=callgrind",
            "--separate-threads=yes", f"--callgrind-out-file={out}"])
        self.settle(target, kind, protocol)
        begin = time.monotonic()
        if queries:
            self.load(target, kind, protocol, clients, queries)
        time.sleep(idle_s)
        self.took.append(time.monotonic() - begin)
        self.scratch.stop(target.process, wait_s=60)
        found = {}
        for path in glob.glob(out + "*"):
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    total = re.match(r"totals: (\d+)", line)
                    if total:
                        found[path[len(out):]] = int(total[1])
        if not found:
            raise place.BenchError(f"{target.title}: callgrind left no count:\n"
                                   f"{place.log_tail(target.process)}")
        return found

    def idle(self, name, kind, protocol, seconds):
        """User instructions of each thread in one second in which nobody asks anything."""
        none = self._instructions(name, kind, protocol, 1, 0)
        some = self._instructions(name, kind, protocol, 1, 0, seconds)
        return {key: max(0, some[key] - none.get(key, 0)) / seconds for key in some}

    def calls(self, name, kind, protocol, clients, sizes):
        """System calls of a proxy by name while a load runs, for each size."""
        target = self.maker.start(name, more=PATIENT if "cache" in name else None)
        try:
            self.settle(target, kind, protocol)
            self.load(target, kind, protocol, clients, 2)  # the whole pool
            return [self._calls(target, kind, protocol, clients, size) for size in sizes]
        finally:
            self.scratch.stop(target.process)

    def _calls(self, target, kind, protocol, clients, queries):
        self.serial += 1
        out = os.path.join(self.scratch.path, f"strace-{self.serial}")
        tracer = subprocess.Popen([place.require("strace", "strace"), "-f", "-c", "-o", out, "-p",
                                   str(target.process.pid)], stderr=subprocess.PIPE, text=True)
        try:
            self._attached(tracer, target.process.pid)
            self.load(target, kind, protocol, clients, queries)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=30)
        return _strace_table(out)

    def _attached(self, tracer, pid):
        """Waits until every thread of the proxy is traced."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if tracer.poll() is not None:
                raise place.BenchError(f"strace: {tracer.stderr.read().strip()}")
            states = []
            for path in glob.glob(f"/proc/{pid}/task/*/status"):
                with open(path, encoding="ascii", errors="replace") as file:
                    states.append(re.search(r"TracerPid:\s*(\d+)", file.read())[1] != "0")
            if states and all(states):
                return
            time.sleep(0.02)
        raise place.BenchError("strace did not attach within 10 s")


def _strace_table(path):
    """{call: count, 'call EAGAIN...': errors} out of strace -c's table."""
    found = {}
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            fields = line.split()
            if len(fields) < 5 or not fields[0].replace(".", "").isdigit() \
                    or fields[-1] == "total":
                continue
            found[fields[-1]] = int(fields[3])
            if len(fields) == 6:
                found[fields[-1] + " failed"] = int(fields[4])
    return found


def count_case(counter, case, prepares=True):
    """One row: a dictionary; with `error` where something failed."""
    title, name, kind, protocol = case
    if name == "pgbouncer" and protocol == "prepared" and not prepares:
        name = "pgbouncer-session"
    row = {"query": title, "target": name, "title": targets.TITLES[name]}
    try:
        row["instructions"] = counter.slope(counter.instructions, name, kind, protocol,
                                            VALGRIND_CLIENTS, VALGRIND_QUERIES)
        row["calls"] = counter.slope(counter.calls, name, kind, protocol,
                                     STRACE_CLIENTS, STRACE_QUERIES)
    except place.BenchError as error:
        row["error"] = str(error)
    return row


def _calls_text(calls):
    """The calls that matter, most frequent first."""
    parts = []
    for name, value in sorted(calls.items(), key=lambda one: -one[1]):
        if name.endswith(" failed") or value < 0.01:
            continue
        text = f"{value:.2f} {name}"
        if calls.get(name + " failed", 0) >= 0.01:
            text += f" ({calls[name + ' failed']:.2f} failed)"
        parts.append(text)
    return ", ".join(parts)


def all_calls(row):
    return sum(value for name, value in row["calls"].items() if not name.endswith(" failed"))


def all_instructions(row):
    return sum(row["instructions"].values())


def table(counted):
    rows = []
    for row in counted:
        if "error" in row:
            rows.append([row["query"], row["title"], "failed", "", "",
                         row["error"].splitlines()[0]])
            continue
        rows.append([row["query"], row["title"], f"{max(row['instructions'].values()):,.0f}",
                     f"{all_instructions(row):,.0f}", f"{all_calls(row):.2f}",
                     _calls_text(row["calls"])])
    return (f"For one query: user instructions of the busiest thread and of all threads (callgrind, "
            f"{VALGRIND_CLIENTS} clients), system calls of all threads (strace, {STRACE_CLIENTS} "
            f"clients).\n\n" +
            report.markdown_table(["query", "target", "instructions", "all threads",
                                   "system calls", "which"], rows) + "\n")


def text(result):
    return report.plain_head("bench-count", result["machine"]) + "\n" + table(result["rows"])


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--targets", default="pgbouncer,pgweir,pgweir-cache")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--transport", choices=targets.TRANSPORTS, default="tcp")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def count(options, scratch):
    chosen = options.targets.split(",")
    place.require("valgrind", "valgrind")
    place.require("strace", "strace")
    cluster = place.Cluster(scratch, 1)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir), options.pgbouncer,
                          options.transport)
    maker.needs(chosen)
    prepares = "pgbouncer" not in chosen or maker.pgbouncer_prepares()
    cluster.start()
    counter = Counter(scratch, maker, duel.Generator(scratch, cluster, os.path.join(
        os.path.dirname(os.path.abspath(options.pgweir)), "bench/load")))
    rows = []
    for case in CASES:
        if case[1] in chosen:
            run.say(f"{case[0]}: {targets.TITLES[case[1]]}")
            rows.append(count_case(counter, case, prepares))
    return {"machine": report.machine(cluster, maker), "rows": rows}


def finish(options, result):
    report.publish(options.out, "count", result, text(result))
    return 1 if any("error" in row for row in result["rows"]) else 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, count, finish))
