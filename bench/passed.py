# SPDX-License-Identifier: Apache-2.0
"""`make bench-passed`: what a query costs that goes through to the server: CPU, latency, and with the
cache on where no question comes twice (goals 1, 2 and 12 of bench/README.md)."""
import argparse
import os
import sys

import count
import duel
import report
import run
import scratch as place
import targets
import verdict

SCALE = 10
PROTOCOLS = ("simple", "extended", "prepared")
CLIENTS = (1, 64, 1000)
POOLERS = ("pgbouncer", "pgweir")
RELAYED = ("simple", "extended")  # a named statement is on one server alone
CPU, TPS, CALLS, INSTRUCTIONS = 0.75, 1.15, 4.3, 0.5   # goal 1
ADDED_LATENCY = 0.7                                    # goal 2
CACHE_ON = 0.95                                        # goal 12


def plan():
    loads = [duel.Load("select", protocol, clients,
                       (("direct",) if clients == 1 else ()) + POOLERS + (("relay",) if protocol in RELAYED else ()))
             for protocol in PROTOCOLS for clients in CLIENTS]
    loads += [duel.Load("unique", protocol, 64, ("pgweir", "pgweir-cache"))
              for protocol in ("simple", "prepared")]
    return loads


def parse():
    return options_of(__doc__, "direct,pgbouncer,pgweir,pgweir-cache,relay")


def options_of(words, chosen):
    """The options of the benches with interleaved rounds."""
    parser = argparse.ArgumentParser(description=words.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--targets", default=chosen)
    parser.add_argument("--parts", default="counts,blocks", help="some of counts,blocks")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--transport", choices=targets.TRANSPORTS, default="tcp")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


class Bench:
    """A cluster with its targets and the generator, for a plan."""

    def __init__(self, options, scratch, scale=SCALE):
        self.options = options
        self.chosen = options.targets.split(",")
        self.scratch = scratch
        self.cluster = place.Cluster(scratch, scale)
        self.maker = targets.Maker(scratch, self.cluster, os.path.abspath(options.pgweir),
                                   options.pgbouncer, options.transport)
        self.maker.needs(self.chosen)
        self.prepares = "pgbouncer" not in self.chosen or self.maker.pgbouncer_prepares()
        program = os.path.join(os.path.dirname(os.path.abspath(options.pgweir)), "bench/load")
        self.generator = duel.Generator(scratch, self.cluster, program)
        run.say(f"PostgreSQL: initdb, pgbench tables at scale {scale}, prewarm")
        self.cluster.start()

    def rounds(self, loads):
        """Runs a plan with targets of its own, which are stopped again."""
        if "blocks" not in self.options.parts:
            return []
        fitted = duel.fit(loads, self.chosen, self.prepares)
        names = sorted({name for load in fitted for name in load.targets},
                       key=list(targets.TITLES).index)
        started = {name: self.maker.start(name) for name in names}
        for target in started.values():
            if target.cached:  # its stream begins with the first query; then there are hits
                self.generator.run(target, "simple", 8, "--seconds", "1")
        blocks = duel.Rounds(self.generator, self.cluster, started, self.options.seconds).measure(
            fitted, self.options.rounds)
        for target in started.values():
            if target.process:
                self.scratch.stop(target.process)
        return blocks

    def counts(self, cases):
        counter = count.Counter(self.scratch, self.maker, self.generator)
        rows = []
        for case in cases if "counts" in self.options.parts else ():
            if case[1] in self.chosen:
                run.say(f"counted: {case[0]}: {targets.TITLES[case[1]]}")
                rows.append(count.count_case(counter, case, self.prepares))
        return rows


def measure(options, scratch):
    bench = Bench(options, scratch)
    return {"machine": report.machine(bench.cluster, bench.maker),
            "counts": bench.counts([case for case in count.CASES if case[1] in POOLERS]),
            "blocks": bench.rounds(plan())}


def verdicts(result):
    blocks, found = result["blocks"], []
    for protocol in PROTOCOLS:
        for clients in CLIENTS:
            block = duel.find(blocks, "select", protocol, clients)
            other = duel.bouncer(block)
            what = f"passed through, {protocol}, {clients:,} client{'s' if clients > 1 else ''}"
            if other == "pgbouncer-session":
                what += " (PgBouncer in session mode)"
            found.append(verdict.at_most(1, f"{what}: CPU / PgBouncer",
                                         duel.ratio(block, "pgweir", other, "cpu_us"), CPU))
            found.append(verdict.at_least(1, f"{what}: tps / PgBouncer",
                                          duel.ratio(block, "pgweir", other, "tps"), TPS))
            if clients == 1:
                found.append(verdict.at_most(
                    2, f"{what}: added median latency / PgBouncer",
                    duel.ratio(block, "pgweir", other, "p50_us", less="direct"), ADDED_LATENCY))
            if protocol in RELAYED:
                found += floors(block, other, what)
    found += counted(result["counts"])
    for protocol in ("simple", "prepared"):
        block = duel.find(blocks, "unique", protocol, 64)
        found.append(verdict.at_least(12, f"no question twice, {protocol}: tps, cache on / off",
                                      duel.ratio(block, "pgweir-cache", "pgweir", "tps"), CACHE_ON))
    return found


def floors(block, other, what):
    """What is left to a pooler that does nothing but pass on, as the same ratios."""
    yield verdict.told(1, f"{what}: CPU of a bare relay / PgBouncer", duel.ratio(block, "relay", other, "cpu_us"))
    yield verdict.told(1, f"{what}: tps of a bare relay / PgBouncer", duel.ratio(block, "relay", other, "tps"))
    if block["clients"] == 1:
        yield verdict.told(2, f"{what}: added median latency of a bare relay / PgBouncer",
                           duel.ratio(block, "relay", other, "p50_us", less="direct"))


def counted(rows):
    for protocol in PROTOCOLS:
        own, other = (next((row for row in rows if row["query"] == protocol and "error" not in row
                            and row["target"].startswith(name)), None)
                      for name in ("pgweir", "pgbouncer"))
        calls = count.all_calls(own) if own else None
        share = count.all_instructions(own) / count.all_instructions(other) if own and other \
            else None
        yield verdict.at_most(1, f"passed through, {protocol}, {count.STRACE_CLIENTS} clients: "
                              "system calls", verdict.one(calls), CALLS)
        yield verdict.at_most(1, f"passed through, {protocol}: instructions / PgBouncer",
                              verdict.one(share), INSTRUCTIONS)


def finish_of(name, title, verdicts_of):
    """How a bench ends: tables on the screen, in NAME.md and NAME.json; 1 after an error."""
    def finish(options, result):
        words = "\n".join([report.plain_head(title, result["machine"]), duel.text(result["blocks"]),
                           count.table(result["counts"])])
        verdict.publish(options.out, name, result, words, verdicts_of(result))
        failed = duel.errors(result["blocks"]) or any("error" in row for row in result["counts"])
        return 1 if failed else 0
    return finish


finish = finish_of("passed", "bench-passed", verdicts)

if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
