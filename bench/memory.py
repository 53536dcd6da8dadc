# SPDX-License-Identifier: Apache-2.0
"""`make bench-memory`: what a client that does nothing costs a proxy, in bytes of its own memory.

The process's proportional set size (smaps_rollup) with and without the clients, divided by their number:
just logged in, and after each has run one prepared query and is idle again. The kernel's own memory for
the sockets is the same for all and not in it.
"""
import argparse
import os
import resource
import socket
import struct
import sys

import report
import run
import scratch as place
import targets

LIMIT_S = 60
QUERY = "SELECT 1"


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


STARTUP = struct.pack("!I", 196608) + b"user\0%s\0database\0%s\0application_name\0bench\0\0" % (
    place.SUPERUSER.encode(), place.DATABASE.encode())
PREPARED = (message(b"P", b"s1\0%s\0\0\0" % QUERY.encode()) + message(b"B", b"\0s1\0\0\0\0\0\0\0") +
            message(b"E", b"\0\0\0\0\0") + message(b"S", b""))
UNPREPARED = PREPARED.replace(b"s1\0", b"\0\0\0")  # where a name would not survive


class Client:
    """Says little, and reads no more of the answers than that they are at an end."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT_S)
        self.socket.connect(path)
        self.socket.sendall(struct.pack("!I", len(STARTUP) + 4) + STARTUP)
        self.until_ready()

    def until_ready(self):
        data = b""
        while not data.endswith(b"Z\0\0\0\5I"):
            more = self.socket.recv(65536)
            if not more:
                raise place.BenchError(f"a client was turned away: {data!r}")
            data += more

    def ask(self, data):
        self.socket.sendall(data)
        self.until_ready()


def pss_bytes(process):
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))


def weigh(maker, name, count, prepares):
    """[bytes for each client just in, after a query]"""
    target = maker.start(name, more={"max_client_conn": count + 100})
    path = f"{maker.scratch.path}/.s.PGSQL.{target.port}"
    Client(path).ask(PREPARED if prepares else b"Q" + struct.pack("!I", len(QUERY) + 5) + QUERY.encode() + b"\0")
    before = pss_bytes(target.process)
    clients = [Client(path) for _ in range(count)]
    just_in = (pss_bytes(target.process) - before) / count
    for client in clients:
        client.ask(PREPARED if prepares else b"Q" + struct.pack("!I", len(QUERY) + 5) + QUERY.encode() + b"\0")
    after = (pss_bytes(target.process) - before) / count
    for client in clients:
        client.socket.close()
    maker.scratch.stop(target.process)
    return just_in, after


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--targets", default="pgbouncer,pgweir,pgweir-cache")
    parser.add_argument("--clients", type=int, default=10000)
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--transport", choices=targets.TRANSPORTS, default="unix")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def measure(options, scratch):
    chosen = options.targets.split(",")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < options.clients + 200:
        raise place.BenchError(f"{options.clients} clients need more open files than {hard}")
    cluster = place.Cluster(scratch, 1)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir), options.pgbouncer, options.transport)
    maker.needs(chosen)
    cluster.start()
    rows = []
    for name in chosen:
        run.say(targets.TITLES[name])
        prepares = "pgbouncer" not in name or maker.pgbouncer_prepares()
        just_in, after = weigh(maker, name, options.clients, prepares)
        rows.append({"target": name, "clients": options.clients, "prepared": prepares, "just_in": just_in, "after": after})
    return {"machine": report.machine(cluster, maker), "rows": rows}


def text(result):
    rows = [[targets.TITLES[r["target"]], f"{r['just_in']:,.0f}", f"{r['after']:,.0f}",
             "prepared" if r["prepared"] else "simple"] for r in result["rows"]]
    facts = result["machine"]
    return (f"# pgweir bench-memory, {facts['time']}\n\nPgBouncer {facts.get('pgbouncer', 'not run')}; "
            f"{result['rows'][0]['clients']:,} clients that are idle; bytes (PSS) for each.\n\n" +
            report.markdown_table(["target", "just logged in", "after one query", "which"], rows) + "\n")


def finish(options, result):
    words = text(result)
    print(words)
    base = report.write(options.out, "memory", result, words)
    print(f"Written: {base}.md, {base}.json")
    return 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
