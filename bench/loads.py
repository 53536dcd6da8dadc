# SPDX-License-Identifier: Apache-2.0
"""The loads, as a table, and how one of them is run once against one target.

A run begins with some seconds of warming up: logins, first preparations and first fills are in
them. The figures are taken between the progress lines of the seconds after that.
"""
import glob
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass

import meter
import scratch as place

HERE = os.path.dirname(os.path.abspath(__file__))
HOT_KEYS = 1000
THREADS = 4           # of pgbench, at most
SAMPLING = 0.05       # share of transactions whose latency is written down
WARM_S = 1
FORKS_PER_S = 250     # direct: pgbench's time runs while the server starts a process per client
HANG_S = 60           # a run that takes this much longer than planned is ended
PASSED = ("direct", "pgbouncer", "pgweir")
PROGRESS = re.compile(r"^progress: ([\d.]+) s, ([\d.]+) tps")


@dataclass(frozen=True)
class Load:
    """`kind`: select (the whole table), tpcb, or hot (a thousand rows)."""
    kind: str
    protocol: str
    clients: int
    targets: tuple

    @property
    def title(self):
        words = {"select": "select-only", "tpcb": "TPC-B", "hot": f"{HOT_KEYS:,} hot keys"}
        return f"{words[self.kind]}, {self.protocol}, {self.clients:,} clients"

    def script(self, keys=HOT_KEYS):
        if self.kind == "hot":
            return ["-f", os.path.join(HERE, "hot.sql"), "-D", f"keys={keys}"]
        return ["-b", {"select": "select-only", "tpcb": "tpcb-like"}[self.kind]]


def table(client_counts, quick):
    """The loads of a run. Every target is in some of them; the ones that only cost time are not
    in all (a second worker and an idle cache are looked at under the simple protocol)."""
    middle = 64 if 64 in client_counts else client_counts[len(client_counts) // 2]
    loads = []
    for protocol in ("simple", "extended", "prepared"):
        if quick and protocol == "extended":
            continue
        for clients in client_counts:
            more = ("pgweir-2w", "pgweir-cache") if protocol == "simple" and clients >= middle \
                else ()
            # A thousand server processes take long to start; once (simple) says enough of them.
            few = PASSED if protocol == "simple" or clients < 500 else PASSED[1:]
            loads.append(Load("select", protocol, clients, few + more))
    hot = ("direct", "pgbouncer", "pgweir-cache")
    for clients in client_counts:
        if clients >= middle:
            loads.append(Load("hot", "simple", clients, hot + ("pgweir-cache-2w",)))
    loads.append(Load("hot", "prepared", middle, hot))
    loads.append(Load("tpcb", "simple", middle, PASSED + ("pgweir-cache",)))
    return loads


def fit(loads, chosen, prepares):
    """Keeps the chosen targets. A PgBouncer that cannot carry prepared statements in transaction
    mode is shown in session mode instead, as far as its connections go, and pgweir in both."""
    fitted = []
    for load in loads:
        names = list(load.targets)
        if load.protocol == "prepared" and not prepares and "pgbouncer" in names:
            at = names.index("pgbouncer")
            names[at:at + 1] = ["pgbouncer-session"] if load.clients <= 64 else []
            if load.clients <= 64 and "pgweir" in names:
                names.insert(names.index("pgweir") + 1, "pgweir-session")
        kept = tuple(name for name in names if name.replace("-session", "") in chosen)
        if kept:
            fitted.append(Load(load.kind, load.protocol, load.clients, kept))
    return fitted


class Runner:
    """Runs pgbench and reads the meters."""

    def __init__(self, scratch, cluster, targets, seconds):
        self.pgbench = os.path.join(cluster.bin, "pgbench")
        self.scratch = scratch
        self.cluster = cluster
        self.seconds = seconds
        pids = [target.process.pid for target in targets if target.process]
        self.strangers = meter.Strangers(cluster.process.pid, pids)

    def command(self, load, target, length):
        return [self.pgbench, *target.address(), "-n", "-M", load.protocol, "-c",
                str(load.clients), "-j", str(min(load.clients, THREADS)), *load.script(),
                *length, place.DATABASE]

    def run(self, load, target):
        """One round of one target: a dictionary of figures, or with `error` set."""
        scans = self.cluster.account_scans() if target.cached else 0
        self.strangers.begin()
        server = meter.tree_cpu(self.cluster.process.pid)
        begin = time.monotonic()
        marks, output, code = self._pgbench(load, target)
        took = time.monotonic() - begin
        server = meter.tree_cpu(self.cluster.process.pid) - server
        strange = self.strangers.end() / took
        latencies = self._latencies(marks)
        error = _error(output, code, marks, latencies) or target.died()
        if error:
            return {"error": error}
        transactions = _transactions(output)
        result = _figures(marks, target.process is not None)
        result.update({
            "p50_ms": _percentile(latencies, 0.50),
            "p99_ms": _percentile(latencies, 0.99),
            "server_cpu_us": server / transactions * 1e6,
            "transactions": transactions,
            "strangers_cores": strange,
        })
        if target.cached and load.kind != "tpcb":
            result["server_scans"] = (self.cluster.account_scans() - scans) / transactions
        return result

    def warm_s(self, load, target):
        return WARM_S if target.process else WARM_S + load.clients // FORKS_PER_S

    def _pgbench(self, load, target):
        """Returns the marks (own clock, proxy CPU ns, pgbench's clock, tps) at each
        measured second's begin and end, all output, and the exit code."""
        length = self.warm_s(load, target) + self.seconds
        command = self.command(load, target, [
            "-T", str(length), "-P", "1", "--progress-timestamp", "-l",
            "--sampling-rate", str(SAMPLING), "--log-prefix", self._log_prefix()])
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        watchdog = threading.Timer(length + HANG_S, process.kill)
        watchdog.start()
        marks, output = [], []
        try:
            for line in process.stdout:
                found = PROGRESS.match(line)
                if found:
                    cpu = meter.process_cpu_ns(target.process.pid) if target.process else 0
                    marks.append((time.time(), cpu, float(found[1]), float(found[2])))
                else:
                    output.append(line)
            process.wait()
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
        return marks[-self.seconds - 1:], "".join(output), process.returncode

    def _log_prefix(self):
        return os.path.join(self.scratch.path, "latency")

    def _latencies(self, marks):
        """Sampled latencies in ms within the marks, sorted; the files are removed."""
        first, last = (marks[0][2], marks[-1][2]) if marks else (0, 0)
        found = []
        for path in glob.glob(self._log_prefix() + ".*"):
            with open(path, encoding="ascii") as file:
                for line in file:
                    fields = line.split()
                    if len(fields) < 6 or not fields[2].isdigit():
                        continue
                    if first <= int(fields[4]) + int(fields[5]) / 1e6 <= last:
                        found.append(int(fields[2]) / 1000)
            os.unlink(path)
        return sorted(found)


def _figures(marks, has_proxy):
    """tps and CPU between the first and the last mark. Two clocks: what pgbench counted is
    related to its own, what we read of the proxy to ours; so a late reading does no harm."""
    counted = sum((mark[2] - before[2]) * mark[3] for before, mark in zip(marks, marks[1:]))
    tps = counted / (marks[-1][2] - marks[0][2])
    cpu_ns_per_s = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
    return {"tps": tps, "proxy_cpu_us": cpu_ns_per_s / tps / 1000 if has_proxy else None}


def _percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _transactions(output):
    found = re.search(r"number of transactions actually processed: (\d+)", output)
    return max(1, int(found[1])) if found else 1


def _error(output, code, marks, latencies):
    """Why a round is worth nothing, or None."""
    trouble = re.search(r"^.*(?:error|fatal|aborted).*$", output, re.M | re.I)
    failed = re.search(r"number of failed transactions: ([1-9]\d*)", output)
    if code != 0:
        return trouble[0] if trouble else f"pgbench ended with {code}"
    if failed:
        return f"{failed[1]} failed transactions"
    if len(marks) < 2 or marks[-1][3] == 0 or not latencies:
        return trouble[0] if trouble else "no transactions"
    return None
