# SPDX-License-Identifier: Apache-2.0
"""Loads by our own generator (load.c), in interleaved rounds, and what one target's figure is of another's.

A ratio is taken round by round, between two runs that were seconds apart; its median, least and
most are what is told. Rounds in which other programs kept the machine busy are left out as long as
three remain.
"""
import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass, replace

import meter
import report
import run
import scratch as place
import targets

HOT_KEYS = 1000
WARM_S = 0.6
HANG_S = 90
ENOUGH_ROUNDS = 3
STORM_CLIENTS = 16
UNIQUE_STEP = 60000  # keys of the table for one run of questions that never come again
STORM_STEP = 25000   # for one storm of them


@dataclass(frozen=True)
class Load:
    """What is asked. `kind`: select (any row), hot (a thousand of them), unique (none twice), or
    storm (hot, with unique ones beside it)."""
    kind: str
    protocol: str
    clients: int
    targets: tuple
    depth: int = 1

    @property
    def title(self):
        words = {"select": "any row", "hot": f"{HOT_KEYS:,} hot rows", "unique": "no row twice",
                 "storm": f"{HOT_KEYS:,} hot rows beside a storm of fills"}
        deep = f", {self.depth} deep" if self.depth > 1 else ""
        many = "1 client" if self.clients == 1 else f"{self.clients:,} clients"
        return f"{words[self.kind]}, {self.protocol}, {many}{deep}"


class Generator:
    """Runs the load generator; owns its copy of the program."""

    def __init__(self, scratch, cluster, program):
        if not os.access(program, os.X_OK):
            raise place.BenchError(f"{program} is missing: run it by `make`")
        self.program = scratch.copy_program(program, "load-under-test")
        self.rows = cluster.scale * 100000
        self.asked = {}  # of each target and protocol: up to which key
        self.seed = 0

    def unique(self, target, protocol, step=UNIQUE_STEP):
        """Options for questions that no earlier run has asked this target, up to `step` of them."""
        first = 1 + self.asked.get((target.name, protocol), 0)
        if first + step > self.rows:
            raise place.BenchError(f"{target.title}: the table has too few rows for questions that never come again")
        self.asked[target.name, protocol] = first - 1 + step
        return ["--order", "sequence", "--first", str(first), "--keys", str(self.rows - first)]

    def command(self, target, protocol, clients, *more):
        self.seed += 1
        told = ["--port", str(target.port), "--host", target.host, "--user", place.SUPERUSER,
                "--database", place.DATABASE, "--clients", str(clients), "--seed", str(self.seed),
                "--protocol", "redis" if target.name == "redis" else protocol]
        if target.name == "bare":
            told += ["--expect", "1"]
        if target.process:
            told += ["--cpu-of", str(target.process.pid)]
        return [self.program, *told, *more]

    def run(self, target, protocol, clients, *more):
        """The generator's own result as a dictionary, or BenchError."""
        command = self.command(target, protocol, clients, *more)
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=HANG_S, check=False)
        except subprocess.TimeoutExpired as late:
            raise place.BenchError(f"{target.title}: no end after {HANG_S} s") from late
        if done.returncode != 0:
            raise place.BenchError(target.died() or done.stderr.strip()[-300:])
        return json.loads(done.stdout)


class Rounds:
    """Runs a plan of loads against targets that are up."""

    def __init__(self, generator, cluster, started, seconds):
        self.generator = generator
        self.started = started
        self.seconds = seconds
        pids = [one.process.pid for one in started.values() if one.process]
        self.strangers = meter.Strangers(cluster.process.pid, pids)

    def _keys(self, load, target):
        if load.kind == "unique":
            return self.generator.unique(target, load.protocol)
        return ["--keys", str(self.generator.rows if load.kind == "select" else HOT_KEYS)]

    def _one(self, load, target):
        timed = ["--seconds", str(self.seconds), "--warm", str(WARM_S), "--depth", str(load.depth)]
        return self.generator.run(target, load.protocol, load.clients, *timed, *self._keys(load, target))

    def _beside_storm(self, load, target):
        """What fills nothing is measured beside those of pgweir: as busy a machine, and a loop that has no part in it."""
        generator = self.generator
        filled = target if target.name != "bare" else self.started["pgweir-cache"]
        storm = subprocess.Popen(
            generator.command(filled, "simple", STORM_CLIENTS, "--seconds", str(HANG_S),
                              *generator.unique(filled, "simple", STORM_STEP)),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            found = self._one(load, target)
            if storm.poll() is not None:
                raise place.BenchError(f"the storm: {storm.stderr.read().strip()}")
        finally:
            storm.kill()
            storm.communicate()
        return found

    def run(self, load, name):
        target = self.started[name]
        self.strangers.begin()
        begin = time.monotonic()
        try:
            found = (self._beside_storm if load.kind == "storm" else self._one)(load, target)
        except place.BenchError as error:
            return {"error": str(error)}
        strange = self.strangers.end() / (time.monotonic() - begin)
        found.update(strangers_cores=strange, tail=found["p99_us"] / found["p50_us"])
        if target.process is None:
            found["cpu_us"] = None
        return found

    def measure(self, plan, rounds):
        """A block for each load: {title, targets: {name: [rounds]}}."""
        blocks = [{"title": load.title, "kind": load.kind, "protocol": load.protocol,
                   "clients": load.clients, "depth": load.depth,
                   "targets": {name: [] for name in load.targets}} for load in plan]
        total, done, begin = rounds * sum(len(load.targets) for load in plan), 0, time.monotonic()
        for number in range(rounds):
            for load, block in zip(plan, blocks):
                shift = number % len(load.targets)
                for name in load.targets[shift:] + load.targets[:shift]:
                    found = self.run(load, name)
                    block["targets"][name].append(found)
                    done += 1
                    left = (time.monotonic() - begin) / done * (total - done)
                    run.say(f"{number + 1}/{rounds} {load.title}: {targets.TITLES[name]}: "
                            f"{_one_line(found)}  [{left:.0f} s left]")
        return blocks


def _one_line(found):
    if "error" in found:
        return f"FAILED: {found['error']}"
    cpu = "" if found["cpu_us"] is None else f", {found['cpu_us']:.2f} us"
    return f"{found['tps']:,.0f} tps{cpu}, p50 {found['p50_us']:,.0f} p99 {found['p99_us']:,.0f} us"


def fit(plan, chosen, prepares):
    """Keeps the chosen targets; a PgBouncer that cannot carry prepared statements in transaction
    mode does it in session mode, for as many clients as that has servers."""
    fitted = []
    for load in plan:
        names = list(load.targets)
        if load.protocol == "prepared" and not prepares and "pgbouncer" in names:
            names[names.index("pgbouncer")] = "pgbouncer-session"
            if load.clients > targets.SESSION_POOL_SIZE:
                names.remove("pgbouncer-session")
        names = tuple(name for name in names if name.replace("-session", "") in chosen)
        if names:
            fitted.append(replace(load, targets=names))
    return fitted


def find(blocks, kind, protocol, clients, depth=1):
    for block in blocks:
        if (block["kind"], block["protocol"], block["clients"],
                block["depth"]) == (kind, protocol, clients, depth):
            return block
    return None


def _good(rounds):
    """Which rounds count, as numbers: the quiet ones, if there are enough of them."""
    good = [n for n, one in enumerate(rounds) if "error" not in one]
    quiet = [n for n in good if rounds[n]["strangers_cores"] <= report.NOISY_CORES]
    return quiet if len(quiet) >= ENOUGH_ROUNDS else good


def spread(block, name, figure):
    """Median, least and most of a figure, or None."""
    rounds = block["targets"].get(name, []) if block else []
    values = [rounds[n][figure] for n in _good(rounds) if rounds[n][figure] is not None]
    return (statistics.median(values), min(values), max(values)) if values else None


def ratio(block, name, other, figure, less=None):
    """Median, least and most of name's figure over other's, round by round; with `less` a third
    target's figure is taken off both first. None where one of them is missing."""
    rounds = block["targets"] if block else {}
    if name not in rounds or other not in rounds or (less and less not in rounds):
        return None
    names = [name, other] + ([less] if less else [])
    common = set.intersection(*(set(_good(rounds[one])) for one in names)) or set.intersection(
        *({n for n, one in enumerate(rounds[x]) if "error" not in one} for x in names))
    values = []
    for n in sorted(common):
        off = rounds[less][n][figure] if less else 0
        below = rounds[other][n][figure] - off
        if below > 0:
            values.append((rounds[name][n][figure] - off) / below)
    return (statistics.median(values), min(values), max(values)) if values else None


def bouncer(block):
    """Which PgBouncer is in a block."""
    return next((name for name in (block or {"targets": {}})["targets"]
                 if name.startswith("pgbouncer")), "pgbouncer")


def errors(blocks):
    return [f"{block['title']}: {targets.TITLES[name]}: {one['error']}"
            for block in blocks for name, rounds in block["targets"].items()
            for one in rounds if "error" in one]


def spread_text(value, digits):
    if value is None:
        return "-"
    return f"{value[0]:,.{digits}f} ({value[1]:,.{digits}f}-{value[2]:,.{digits}f})"


def text(blocks):
    parts = []
    for block in blocks:
        rows = []
        for name, rounds in block["targets"].items():
            busy = sum("error" not in one and one["strangers_cores"] > report.NOISY_CORES
                       for one in rounds)
            rows.append([targets.TITLES[name]] + [
                spread_text(spread(block, name, figure), digits) for figure, digits in
                (("tps", 0), ("cpu_us", 2), ("p50_us", 0), ("p99_us", 0), ("tail", 2))] +
                [f"{busy} of {len(rounds)}"])
        parts.append(f"## {block['title']}\n" + report.markdown_table(
            ["target", "tps", "CPU us", "p50 us", "p99 us", "p99 / p50", "noisy rounds"],
            rows) + "\n")
    parts += [f"(!) {one}\n" for one in errors(blocks)]
    return "\n".join(parts)
