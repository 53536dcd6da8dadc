# SPDX-License-Identifier: Apache-2.0
"""`make bench-bulk`: large results and COPY, both ways, beside direct: seconds, and the most memory that
a proxy took (goal 9 of bench/README.md). Every result is counted in bytes."""
import os
import statistics
import subprocess
import sys
import time

import duel
import passed
import report
import run
import scratch as place
import targets
import verdict

ROWS, ROW_BYTES = 100000, 1000   # 100 MB
LIMIT_S = 120
SHARE_OF_DIRECT = 0.95
PEAK_MB = 64                     # of a proxy that passes 100 MB on: not the result, but its buffers
NAMES = ("direct", "pgbouncer", "pgweir", "pgweir-cache")
CASES = ("result", "copy out", "copy in")


class Bulk:
    """Moves the bytes once, by psql, and times it."""

    def __init__(self, bench):
        self.psql = os.path.join(bench.cluster.bin, "psql")
        # Not by pgbench's tables: a row of its own size, and none twice.
        bench.cluster.sql(f"CREATE TABLE large AS SELECT n, repeat('x', {ROW_BYTES}) AS text "
                          f"FROM generate_series(1, {ROWS}) n")
        bench.cluster.sql("CREATE UNLOGGED TABLE taken (n int, text text)")
        bench.cluster.sql("VACUUM ANALYZE large")
        self.cluster = bench.cluster
        self.input = bench.scratch.file("large.txt", "".join(
            f"{n}\t{'x' * ROW_BYTES}\n" for n in range(1, ROWS + 1)))
        self.bytes = os.path.getsize(self.input)

    def _psql(self, target, sql, stdin=subprocess.DEVNULL):
        command = [self.psql, "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", *target.address(), "-d",
                   place.DATABASE, "-c", sql]
        begin, got = time.monotonic(), 0
        with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            while more := process.stdout.read(1 << 20):
                got += len(more)
                if time.monotonic() - begin > LIMIT_S:
                    process.kill()
            words = process.stderr.read().decode(errors="replace").strip()
        if process.returncode != 0:
            raise place.BenchError(f"{target.title}: {words[-300:]}")
        return time.monotonic() - begin, got

    def move(self, target, case):
        """Seconds of one case through one target, or BenchError when bytes are missing."""
        if case == "copy in":
            self.cluster.sql("TRUNCATE taken")
            with open(self.input, "rb") as file:
                seconds, _ = self._psql(target, "COPY taken FROM STDIN", file)
            got = self.bytes if self.cluster.sql("SELECT count(*), min(length(text)) FROM taken") \
                == f"{ROWS}|{ROW_BYTES}" else 0
        else:
            sql = "SELECT * FROM large" if case == "result" else "COPY large TO STDOUT"
            seconds, got = self._psql(target, sql)
        if got != self.bytes:
            raise place.BenchError(f"{target.title}: {case}: {got} bytes, not {self.bytes}")
        return seconds


def peak_mb(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))


def measure(options, scratch):
    bench = passed.Bench(options, scratch, scale=1)
    names = [name for name in NAMES if name in bench.chosen]
    started = {name: bench.maker.start(name) for name in names}
    bulk = Bulk(bench)
    before = {name: peak_mb(one.process) for name, one in started.items() if one.process}
    rounds = {case: {name: [] for name in names} for case in CASES}
    for number in range(options.rounds):
        for case in CASES:
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                seconds = bulk.move(started[name], case)
                rounds[case][name].append(seconds)
                run.say(f"{number + 1}/{options.rounds} {case}: {targets.TITLES[name]}: "
                        f"{seconds:.3f} s")
    return {"machine": report.machine(bench.cluster, bench.maker), "bytes": bulk.bytes,
            "rounds": rounds, "before_mb": before,
            "peak_mb": {name: peak_mb(started[name].process) for name in before}}


def share(result, case, name):
    """Of direct's rate, round by round: median, least and most; None without both."""
    rounds = result["rounds"][case]
    if name not in rounds or "direct" not in rounds:
        return None
    values = [direct / own for direct, own in zip(rounds["direct"], rounds[name])]
    return statistics.median(values), min(values), max(values)


def verdicts(result):
    for case in CASES:
        for name in ("pgweir", "pgweir-cache"):
            yield verdict.at_least(9, f"100 MB, {case}, {targets.TITLES[name]}: rate / direct",
                                   share(result, case, name), SHARE_OF_DIRECT)
    for name in ("pgweir", "pgweir-cache"):
        yield verdict.at_most(9, f"100 MB, {targets.TITLES[name]}: MB of memory at most",
                              verdict.one(result["peak_mb"].get(name)), PEAK_MB, 1)


def text(result):
    rows = []
    for case, found in result["rounds"].items():
        for name, seconds in found.items():
            rates = [result["bytes"] / 1e6 / one for one in seconds]
            peak = result["peak_mb"].get(name)
            rows.append([case, targets.TITLES[name],
                         duel.spread_text((statistics.median(rates), min(rates), max(rates)), 0),
                         duel.spread_text(share(result, case, name), 2),
                         "" if peak is None else f"{result['before_mb'][name]:.1f}",
                         "" if peak is None else f"{peak:.1f}"])
    return report.markdown_table(["what", "target", "MB/s", "/ direct", "MB before", "MB at most"],
                                 rows) + "\n"


def finish(options, result):
    words = report.plain_head("bench-bulk", result["machine"]) + "\n" + text(result)
    verdict.publish(options.out, "bulk", result, words, verdicts(result))
    return 0


def parse():
    return passed.options_of(__doc__, ",".join(NAMES))


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
