# SPDX-License-Identifier: Apache-2.0
"""`make bench`: PostgreSQL direct, PgBouncer and pgweir under the same loads, side by side.

Every round runs each load once against each target, one after the other, so that a slow minute
of the machine meets all of them. See bench/README.md.
"""
import argparse
import os
import signal
import sys
import time

import goals
import loads
import meter
import report
import scratch as place
import targets

FULL = {"rounds": 3, "seconds": 2, "clients": "16,64,1000", "scale": 50}
QUICK = {"rounds": 1, "seconds": 3, "clients": "64", "scale": 10}
FAMILIES = ("direct", "pgbouncer") + tuple(targets.PGWEIR_SETTINGS)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="about a minute and a half")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="measured seconds of a run, after warming up")
    parser.add_argument("--clients", help="comma separated")
    parser.add_argument("--scale", type=int, help="of the pgbench tables")
    parser.add_argument("--targets", default=",".join(FAMILIES), help="some of " +
                        ",".join(FAMILIES))
    parser.add_argument("--loads", default="select,hot,tpcb", help="some of select,hot,tpcb")
    parser.add_argument("--transport", choices=targets.TRANSPORTS, default="tcp")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.clients = numbers(options.clients)
    options.targets = options.targets.split(",")
    if options.rounds < 1 or options.seconds < 1 or options.scale < 1:
        raise place.BenchError("rounds, seconds and scale must be at least 1")
    unknown = set(options.targets) - set(FAMILIES)
    if unknown:
        raise place.BenchError(f"no such target: {', '.join(sorted(unknown))}")
    return options


def numbers(text):
    """'16,64' as a sorted list of ints, without repetition."""
    try:
        found = sorted({int(part) for part in text.replace(" ", ",").split(",") if part})
    except ValueError:
        found = []
    if not found or found[0] < 1 or found[-1] > 1200:
        raise place.BenchError(f"clients: 1 to 1200, comma separated, not '{text}'")
    return found


def say(text):
    print(text, file=sys.stderr, flush=True)


def idle_cpu(started, seconds=2):
    """CPU milliseconds a second of each proxy while it has nothing to do."""
    proxies = {name: one for name, one in started.items() if one.process}
    before = {name: meter.process_cpu_ns(one.process.pid) for name, one in proxies.items()}
    time.sleep(seconds)
    return {name: (meter.process_cpu_ns(one.process.pid) - before[name]) / 1e6 / seconds
            for name, one in proxies.items()}


def measure(options, plan, runner, started):
    """All rounds of all loads: results[load number][target] = list of rounds."""
    results = [{} for _ in plan]
    total = options.rounds * sum(len(load.targets) for load in plan)
    done, begin = 0, time.monotonic()
    for number in range(options.rounds):
        for load, found in zip(plan, results):
            # Each round starts with another target: nobody always runs after the same neighbour.
            shift = number % len(load.targets)
            for name in load.targets[shift:] + load.targets[:shift]:
                one = runner.run(load, started[name])
                found.setdefault(name, []).append(one)
                done += 1
                left = (time.monotonic() - begin) / done * (total - done)
                say(f"{number + 1}/{options.rounds} {load.title}: {targets.TITLES[name]}: "
                    f"{one_line(one)}  [{left:.0f} s left]")
    return results


def one_line(one):
    if "error" in one:
        return f"FAILED: {one['error']}"
    text = f"{one['tps']:,.0f} tps, p99 {one['p99_ms']:.2f} ms"
    if one["proxy_cpu_us"] is not None:
        text += f", {one['proxy_cpu_us']:.1f} us"
    if one["strangers_cores"] > report.NOISY_CORES:
        text += f" (busy: others used {one['strangers_cores']:.2f} cores)"
    return text


def bench(options, scratch):
    cluster = place.Cluster(scratch, options.scale)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir), options.pgbouncer,
                          options.transport)
    maker.needs(options.targets)
    prepares = "pgbouncer" not in options.targets or maker.pgbouncer_prepares()
    plan = [load for load in loads.table(options.clients, options.quick)
            if load.kind in options.loads.split(",")]
    plan = loads.fit(plan, options.targets, prepares)
    if not plan:
        raise place.BenchError("nothing is left to measure with these targets and loads")
    say(f"PostgreSQL: initdb, pgbench tables at scale {options.scale}, prewarm")
    cluster.start()
    names = sorted({name for load in plan for name in load.targets}, key=list(targets.TITLES).index)
    started = {name: maker.start(name) for name in names}
    idle = idle_cpu(started)
    runner = loads.Runner(scratch, cluster, started.values(), options.seconds)
    results = measure(options, plan, runner, started)
    knobs = {name: getattr(options, name) for name in
             ("rounds", "seconds", "clients", "targets", "transport", "quick")}
    return {"machine": report.machine(cluster, maker), "knobs": knobs, "idle_ms_per_s": idle,
            "blocks": [report.summarize(load, found) for load, found in zip(plan, results)]}


def finish(options, result):
    """Prints and writes a result; the exit code says whether every run was without an error."""
    text = "\n".join([report.head_text(result), *map(report.block_text, result["blocks"]),
                      report.idle_text(result["idle_ms_per_s"]), goals.text(result)])
    report.publish(options.out, "result", result, text)
    failed = any(row["errors"] for block in result["blocks"] for row in block["targets"])
    return 1 if failed else 0


def guarded(parse_options, work, end):
    """The frame of a bench program: whatever happens, what it started is stopped and removed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" would ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options = parse_options()
        place.raise_file_limit()
        scratch = place.Scratch()
        try:
            result = work(options, scratch)
        finally:
            scratch.close()
    except place.BenchError as error:
        say(f"bench: {error}")
        return 2
    except KeyboardInterrupt:
        say("bench: interrupted")
        return 130
    return end(options, result)


if __name__ == "__main__":
    sys.exit(guarded(parse, bench, finish))
