# SPDX-License-Identifier: Apache-2.0
"""`make bench-hostile`: what is left for ordinary clients while others do their worst before a login.

Each round runs pgbench (select-only, simple protocol) once against every target in every situation: quiet;
with connections held open that never finish their startup packet (a byte each second, opened again when they
are ended); with a flood of connections that say garbage, so many a second; with both. Meanwhile somebody logs
in and asks one query, again and again: how long that takes, and whether it is possible at all.
"""
import argparse
import os
import random
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

import loads
import report
import run
import scratch as place
import targets

SITUATIONS = ("quiet", "held open", "flood", "both")
PROBE_PAUSE_S = 0.02
PROBE_LIMIT_S = 5


# ---- the attackers, each a process of its own


def hold(port, count):
    """Connections that say one byte of a startup packet each second."""
    selector, wanted = selectors.DefaultSelector(), 0
    while True:
        began = time.monotonic()
        while wanted < count:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
            selector.register(s, selectors.EVENT_READ)
            wanted += 1
        for key in list(selector.get_map().values()):
            try:
                key.fileobj.send(b"\0")  # of its length: 0, 0, ... it will never be right
            except OSError:
                pass
        for key, _ in selector.select(max(0, began + 1 - time.monotonic())):
            selector.unregister(key.fileobj)
            key.fileobj.close()
            wanted -= 1
        time.sleep(max(0, began + 1 - time.monotonic()))


def flood(port, rate):
    """So many connections a second with garbage in them."""
    chance, sent, began = random.Random(1), 0, time.monotonic()
    while True:
        ahead = sent / rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
        sent += 1
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.sendall(chance.randbytes(chance.randrange(8, 2000)))
        except OSError:
            pass


class Attack:
    def __init__(self, situation, port, options):
        kinds = {"held open": [("hold", options.held)], "flood": [("flood", options.rate)],
                 "both": [("hold", options.held), ("flood", options.rate)]}.get(situation, [])
        self.processes = [subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), "--attack", kind,
                                            str(port), str(n)], stdin=subprocess.DEVNULL) for kind, n in kinds]
        if kinds:
            time.sleep(1)  # until they are at it; nothing is measured before

    def end(self):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


class Probe(threading.Thread):
    """Logs in and asks, again and again."""
    STARTUP = struct.pack("!I", 196608) + b"user\0%s\0database\0%s\0\0" % (
        place.SUPERUSER.encode(), place.DATABASE.encode())

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.took_ms, self.failed, self.ending = port, [], 0, False
        self.start()

    def _once(self):
        with socket.create_connection(("127.0.0.1", self.port), PROBE_LIMIT_S) as s:
            s.sendall(struct.pack("!I", len(self.STARTUP) + 4) + self.STARTUP)
            for question in (b"Q\0\0\0\rSELECT 1\0", b"X\0\0\0\4"):
                data = b""
                while not data.endswith(b"Z\0\0\0\5I"):
                    more = s.recv(65536)
                    if not more:
                        raise OSError("turned away")
                    data += more
                s.sendall(question)

    def run(self):
        while not self.ending:
            began = time.monotonic()
            try:
                self._once()
                self.took_ms.append((time.monotonic() - began) * 1000)
            except OSError:
                self.failed += 1
            time.sleep(PROBE_PAUSE_S)

    def result(self):
        self.ending = True
        self.join()
        ordered = sorted(self.took_ms)
        share = lambda part: ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
        return {"login_p50_ms": share(0.5), "login_p99_ms": share(0.99), "logins": len(ordered),
                "logins_failed": self.failed}


# ---- the bench


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--targets", default="pgbouncer,pgweir")
    parser.add_argument("--held", type=int, default=2000, help="connections held open")
    parser.add_argument("--rate", type=int, default=1000, help="connections of the flood, a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--transport", choices=("tcp",), default="tcp")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def once(runner, load, target, situation, options):
    attack = Attack(situation, target.port, options)
    probe = Probe(target.port)
    try:
        figures = runner.run(load, target)
    finally:
        heard = probe.result()
        attack.end()
    return {**figures, **heard}


def measure(options, scratch):
    chosen = options.targets.split(",")
    cluster = place.Cluster(scratch, 10)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir), options.pgbouncer, "tcp")
    maker.needs(chosen)
    cluster.start()
    # Those held open fit beside the others; else PgBouncer would let nobody in at all.
    more = {"max_client_conn": options.held + 500, "log_pooler_errors": 0}
    started = {name: maker.start(name, more=more) for name in chosen}
    load = loads.Load("select", "simple", 16, tuple(chosen))
    runner = loads.Runner(scratch, cluster, started.values(), options.seconds)
    rows = {(name, situation): [] for situation in SITUATIONS for name in chosen}
    for turn in range(options.rounds):
        for situation in SITUATIONS:
            for name in chosen[turn % len(chosen):] + chosen[:turn % len(chosen)]:
                found = once(runner, load, started[name], situation, options)
                rows[name, situation].append(found)
                run.say(f"round {turn + 1}, {situation}, {targets.TITLES[name]}: "
                        f"{found.get('error') or format(found['tps'], ',.0f')}")
    return {"machine": report.machine(cluster, maker), "held": options.held, "rate": options.rate,
            "rows": [{"target": name, "situation": situation, "rounds": found}
                     for (name, situation), found in rows.items()]}


def middle(rounds, name, digits):
    values = [r[name] for r in rounds if r.get(name) is not None]
    return f"{statistics.median(values):,.{digits}f}" if values else "-"


def text(result):
    table = [[row["situation"], targets.TITLES[row["target"]], middle(row["rounds"], "tps", 0),
              middle(row["rounds"], "proxy_cpu_us", 1), middle(row["rounds"], "login_p50_ms", 1),
              middle(row["rounds"], "login_p99_ms", 1),
              str(sum(r["logins_failed"] for r in row["rounds"])),
              "; ".join(sorted({r["error"] for r in row["rounds"] if "error" in r}))] for row in result["rows"]]
    facts = result["machine"]
    return (f"# pgweir bench-hostile, {facts['time']}\n\nPgBouncer {facts.get('pgbouncer', 'not run')}; "
            f"{result['held']:,} connections held open, a flood of {result['rate']:,} connections a second. "
            "The attackers use the same cores. Proxy CPU: of everything it did, for each transaction.\n\n" +
            report.markdown_table(["situation", "target", "tps", "proxy CPU (us)", "login p50 (ms)", "login p99 (ms)",
                                   "logins failed", "error"], table) + "\n")


def finish(options, result):
    report.publish(options.out, "hostile", result, text(result))
    return 1 if any("error" in r for row in result["rows"] for r in row["rounds"]
                    if row["target"].startswith("pgweir")) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--attack"]:
        place.raise_file_limit()
        {"hold": hold, "flood": flood}[sys.argv[2]](int(sys.argv[3]), int(sys.argv[4]))
    sys.exit(run.guarded(parse, measure, finish))
