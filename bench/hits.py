# SPDX-License-Identifier: Apache-2.0
"""`make bench-hits`: what a hit costs, beside a loop that answers everything alike, Redis and Pgpool-II; its
latency under full load; and two workers (goals 3 to 6 of bench/README.md)."""
import os
import sys

import count
import duel
import locks
import passed
import report
import run
import verdict

HIT = "pgweir-cache"
FLOORS = ("bare", "redis", HIT)
DEEP = 16
CPU_BARE, CPU_REDIS, CALLS, INSTRUCTIONS = 1.4, 1.0, 2.2, 1500         # goal 3
TPS_BARE, TPS_REDIS, TPS_DIRECT, TPS_BOUNCER, CPU_DEEP = 0.9, 1.0, 3.0, 4.0, 2.5  # goal 4
TPS_PGPOOL = TPS_DIRECT
TAIL = 4                                                              # goal 5
WORKERS = 1.8                                                         # goal 6
CASES = (
    ("hit, simple", HIT, "hot", "simple"),
    ("hit, prepared", HIT, "hot", "prepared"),
    ("GET", "redis", "hot", "simple"),
    ("canned", "bare", "hot", "simple"),
)


def plan():
    loads = [duel.Load("hot", "simple", 64, FLOORS + ("direct", "pgbouncer", "pgpool", "pgweir-cache-2w")),
             # Without direct and Pgpool-II: a thousand server processes take too long to start, each
             # round anew.
             duel.Load("hot", "simple", 1000, FLOORS + ("pgbouncer",))]
    loads += [duel.Load("hot", "prepared", clients, FLOORS) for clients in (64, 1000)]
    loads += [duel.Load("hot", protocol, 64, FLOORS, DEEP) for protocol in ("simple", "prepared")]
    loads += [duel.Load("storm", "simple", clients, (HIT, "bare")) for clients in (64, 1000)]
    loads.append(duel.Load("select", "simple", 64, ("pgweir", "pgweir-2w")))
    return loads


def parse():
    return passed.options_of(
        __doc__, "direct,pgbouncer,pgweir,pgweir-2w,pgweir-cache,pgweir-cache-2w,bare,redis,pgpool")


def measure(options, scratch):
    bench = passed.Bench(options, scratch)
    return {"machine": report.machine(bench.cluster, bench.maker),
            "counts": bench.counts(CASES), "serial": locks.measure(bench),
            "blocks": bench.rounds(plan())}


def costs(blocks):
    for protocol in ("simple", "prepared"):
        block = duel.find(blocks, "hot", protocol, 64)
        yield verdict.at_most(3, f"hit, {protocol}, 64 clients: CPU / bare loop",
                              duel.ratio(block, HIT, "bare", "cpu_us"), CPU_BARE)
        yield verdict.at_most(3, f"hit, {protocol}, 64 clients: CPU / Redis GET",
                              duel.ratio(block, HIT, "redis", "cpu_us"), CPU_REDIS)


def rates(blocks):
    for protocol in ("simple", "prepared"):
        for clients in (64, 1000):
            block = duel.find(blocks, "hot", protocol, clients)
            wanted = [("bare", "bare loop", TPS_BARE), ("redis", "Redis GET", TPS_REDIS)]
            if protocol == "simple":
                wanted.append(("pgbouncer", "PgBouncer", TPS_BOUNCER))
                if clients == 64:
                    wanted += [("direct", "direct", TPS_DIRECT), ("pgpool", "Pgpool-II", TPS_PGPOOL)]
            for other, title, limit in wanted:
                yield verdict.at_least(4, f"hits, {protocol}, {clients:,} clients: tps / {title}",
                                       duel.ratio(block, HIT, other, "tps"), limit)
        block = duel.find(blocks, "hot", protocol, 64, DEEP)
        yield verdict.at_most(4, f"hits, {protocol}, 64 clients, {DEEP} deep: CPU / Redis GET",
                              duel.ratio(block, HIT, "redis", "cpu_us"), CPU_DEEP)


def tails(blocks):
    for kind, protocol, clients, title in (
            ("hot", "simple", 1000, "1,000 clients"), ("hot", "prepared", 1000, "1,000 clients"),
            ("storm", "simple", 64, "64 clients, a storm of fills beside them"),
            ("storm", "simple", 1000, "1,000 clients, a storm of fills beside them")):
        block = duel.find(blocks, kind, protocol, clients)
        yield verdict.at_most(5, f"hit, {protocol}, {title}: p99 / p50", duel.spread(block, HIT, "tail"), TAIL)
        if kind == "storm":
            yield verdict.told(5, f"the bare loop, {title}: p99 / p50", duel.spread(block, "bare", "tail"))


def workers(blocks, serial):
    """Two workers and a generator want three cores at least, with a server's processes more."""
    for kind, one, title, cores in (("hot", HIT, "hits", 3),
                                    ("select", "pgweir", "passed through", 4)):
        block = duel.find(blocks, kind, "simple", 64)
        value = duel.ratio(block, one + "-2w", one, "tps")
        found = verdict.at_least(6, f"{title}, 64 clients: tps, 2 workers / 1", value, WORKERS)
        if os.cpu_count() < cores:
            found = verdict.Verdict(6, found.what + f" (of {os.cpu_count()} cores)",
                                    found.measured, found.wanted, None)
        yield found
        yield verdict.at_least(6, f"{title}: the same by the model from the serial part", verdict.one(
            locks.speedup(serial, one, 2)), WORKERS)


def verdicts(result):
    blocks = result["blocks"]
    found = list(costs(blocks))
    for row in result["counts"]:
        if row["target"] == HIT and "error" not in row:
            found.append(verdict.at_most(3, f"{row['query']}, {count.STRACE_CLIENTS} clients: system "
                                         "calls", verdict.one(count.all_calls(row)), CALLS))
            found.append(verdict.at_most(3, f"{row['query']}: instructions", verdict.one(
                count.all_instructions(row)), INSTRUCTIONS, 0))
    return found + [*rates(blocks), *tails(blocks), *workers(blocks, result["serial"])]


def finish(options, result):
    print(locks.text(result["serial"]))
    return passed.finish_of("hits", "bench-hits", verdicts)(options, result)


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
