# SPDX-License-Identifier: Apache-2.0
"""`make bench-logins`: logins a second, and what one costs a proxy (goal 8 of bench/README.md).

pgbench with a connection for each transaction (-C), by SCRAM-SHA-256 with a secret in the users file, by md5 and
without a password; the server itself trusts. Every round runs each method once against each target, in a rotating order. pgbench
derives the key of its password anew each time (some 2 ms of a core), so with SCRAM the logins a second are
mostly pgbench's own: compare the proxy's CPU.
"""
import argparse
import base64
import hashlib
import hmac
import os
import re
import statistics
import subprocess
import sys
import time

import meter
import report
import run
import scratch as place
import targets
import verdict

PASSWORD = "bench-secret"
METHODS = ("scram-sha-256", "md5", "trust")
TIMES_BOUNCER = 1.2
ITERATIONS = 4096
SCRIPT = "SELECT 1;\n"


def scram_secret():
    salt = bytes(range(16))
    salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, ITERATIONS)
    def sign(what):
        return hmac.new(salted, what, "sha256").digest()
    stored = hashlib.sha256(sign(b"Client Key")).digest()
    def text(data):
        return base64.b64encode(data).decode()
    return f"SCRAM-SHA-256${ITERATIONS}:{text(salt)}${text(stored)}:{text(sign(b'Server Key'))}"


def secret_for(method):
    if method == "scram-sha-256":
        return scram_secret()
    return "md5" + hashlib.md5((PASSWORD + place.SUPERUSER).encode()).hexdigest()


class Logins:
    def __init__(self, scratch, cluster, seconds, clients):
        self.pgbench = os.path.join(cluster.bin, "pgbench")
        self.script = scratch.file("one.sql", SCRIPT)
        self.seconds, self.clients = seconds, clients

    def run(self, target):
        """One round: {logins_s, proxy_cpu_us} or {error}."""
        command = [self.pgbench, *target.address(), "-n", "-C", "-c", str(self.clients), "-j", "2", "-f", self.script,
                   "-T", str(self.seconds), place.DATABASE]
        cpu, began = meter.process_cpu_ns(target.process.pid), time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              env={**os.environ, "PGPASSWORD": PASSWORD}, timeout=self.seconds + 60)
        took = time.monotonic() - began
        cpu = meter.process_cpu_ns(target.process.pid) - cpu
        count = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
        if done.returncode != 0 or not count or int(count[1]) == 0:
            return {"error": (target.died() or done.stderr.strip().split("\n")[-1])[:200]}
        return {"logins_s": int(count[1]) / took, "proxy_cpu_us": cpu / int(count[1]) / 1000}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--targets", default="pgbouncer,pgweir")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--transport", choices=targets.TRANSPORTS, default="tcp")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def measure(options, scratch):
    chosen = options.targets.split(",")
    cluster = place.Cluster(scratch, 1)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir), options.pgbouncer, options.transport)
    maker.needs(chosen)
    cluster.start()
    started = {}
    for method in METHODS:
        # With a clear path to begin with: whether a target is up is asked without a password.
        users = scratch.file(f"users-{method}.txt", f'"{place.SUPERUSER}" "{secret_for(method)}"\n')
        for name in chosen:
            os.environ["PGPASSWORD"] = PASSWORD
            started[method, name] = maker.start(name, more={"auth_type": method, "auth_file": users})
    logins = Logins(scratch, cluster, options.seconds, options.clients)
    rows = {key: [] for key in started}
    for turn in range(options.rounds):
        for method in METHODS:
            for name in chosen[turn % len(chosen):] + chosen[:turn % len(chosen)]:
                found = logins.run(started[method, name])
                rows[method, name].append(found)
                run.say(f"round {turn + 1}, {method}, {targets.TITLES[name]}: "
                        f"{found.get('error') or format(found['logins_s'], ',.0f')}")
    return {"machine": report.machine(cluster, maker), "clients": options.clients,
            "rows": [{"method": method, "target": name, "rounds": found} for (method, name), found in rows.items()]}


def verdicts(result):
    rounds = {(row["method"], row["target"]): row["rounds"] for row in result["rows"]}
    for method in METHODS:
        pairs = zip(rounds.get((method, "pgweir"), []), rounds.get((method, "pgbouncer"), []))
        values = [own["logins_s"] / other["logins_s"] for own, other in pairs
                  if "error" not in own and "error" not in other]
        yield verdict.at_least(8, f"logins a second, {method}: / PgBouncer", values and (
            statistics.median(values), min(values), max(values)) or None, TIMES_BOUNCER)


def spread(rounds, name, digits):
    values = [r[name] for r in rounds if "error" not in r]
    if not values:
        return "-"
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def text(result):
    table = [[row["method"], targets.TITLES[row["target"]], spread(row["rounds"], "logins_s", 0),
              spread(row["rounds"], "proxy_cpu_us", 0),
              "; ".join(sorted({r["error"] for r in row["rounds"] if "error" in r}))] for row in result["rows"]]
    facts = result["machine"]
    return (f"# pgweir bench-logins, {facts['time']}\n\nPgBouncer {facts.get('pgbouncer', 'not run')}; "
            f"{result['clients']} clients, each with a connection for every query. Medians (min-max).\n\n" +
            report.markdown_table(["method", "target", "logins/s", "proxy CPU (us) for each", "error"], table) + "\n")


def finish(options, result):
    verdict.publish(options.out, "logins", result, text(result), verdicts(result))
    return 1 if any("error" in r for row in result["rows"] for r in row["rounds"]) else 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
