# SPDX-License-Identifier: Apache-2.0
"""`make bench-memory`: what a client that does nothing costs a proxy, in bytes of its own memory, by a
Unix socket and by TLS (goal 7 of bench/README.md).

The process's proportional set size (smaps_rollup) with and without the clients, divided by their number:
just logged in, and after each has run one prepared query and is idle again. The kernel's own memory for
the sockets is the same for all and not in it.
"""
import argparse
import os
import resource
import socket
import ssl
import struct
import sys

import report
import run
import scratch as place
import targets
import verdict

LIMIT_S = 60
SSL_REQUEST = struct.pack("!II", 8, 80877103)
PLAIN, TLS = 1.0, 0.7   # of PgBouncer's
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

    def __init__(self, target, tls):
        if tls is None:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(LIMIT_S)
            self.socket.connect(f"{target.host}/.s.PGSQL.{target.port}")
        else:
            self.socket = socket.create_connection(("127.0.0.1", target.port), LIMIT_S)
            self.socket.sendall(SSL_REQUEST)
            if self.socket.recv(1) != b"S":
                raise place.BenchError(f"{target.title}: no TLS")
            self.socket = tls.wrap_socket(self.socket)
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


def certificate(scratch):
    """A key of P-256 and its own certificate: (certificate's path, key's path)."""
    paths = scratch.writable("tls.crt"), scratch.writable("tls.key")
    scratch.run([place.require("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-out", paths[0], "-keyout", paths[1]])
    return paths


def context():
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return tls


def pss_bytes(process):
    with open(f"/proc/{process.pid}/smaps_rollup", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))


def weigh(maker, name, count, prepares, files=None):
    """[bytes for each client just in, after a query]; with the files of a certificate by TLS"""
    more = {"max_client_conn": count + 100}
    if files:
        more.update(client_tls_sslmode="allow", client_tls_cert_file=files[0],
                    client_tls_key_file=files[1])
    target, tls = maker.start(name, more=more), context() if files else None
    query = PREPARED if prepares else message(b"Q", QUERY.encode() + b"\0")
    Client(target, tls).ask(query)
    before = pss_bytes(target.process)
    clients = [Client(target, tls) for _ in range(count)]
    just_in = (pss_bytes(target.process) - before) / count
    for client in clients:
        client.ask(query)
    after = (pss_bytes(target.process) - before) / count
    for client in clients:
        client.socket.close()
    maker.scratch.stop(target.process)
    return just_in, after


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--targets", default="pgbouncer,pgweir,pgweir-cache")
    parser.add_argument("--clients", default="2000,10000", help="comma separated")
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="a PgBouncer other than the installed one")
    parser.add_argument("--transport", choices=("unix",), default="unix")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def measure(options, scratch):
    chosen, counts = options.targets.split(","), [int(n) for n in options.clients.split(",")]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < max(counts) + 200:
        raise place.BenchError(f"{max(counts)} clients need more open files than {hard}")
    cluster = place.Cluster(scratch, 1)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir), options.pgbouncer, options.transport)
    maker.needs(chosen)
    cluster.start()
    files = certificate(scratch)
    rows = []
    for count in counts:
        for tls in (False, True):
            for name in chosen:
                run.say(f"{count:,} clients, {'TLS' if tls else 'plain'}: {targets.TITLES[name]}")
                prepares = "pgbouncer" not in name or maker.pgbouncer_prepares()
                just_in, after = weigh(maker, name, count, prepares, files if tls else None)
                rows.append({"target": name, "clients": count, "tls": tls, "prepared": prepares,
                             "just_in": just_in, "after": after})
    return {"machine": report.machine(cluster, maker), "rows": rows}


def verdicts(result):
    found = {(r["clients"], r["tls"], r["target"]): r for r in result["rows"]}
    for (count, tls, name), row in found.items():
        other = found.get((count, tls, "pgbouncer"))
        if name.startswith("pgweir"):
            share = row["after"] / other["after"] if other and other["after"] > 0 else None
            yield verdict.at_most(
                7, f"bytes of an idle client, {count:,}, {'TLS' if tls else 'plain'}, "
                f"{targets.TITLES[name]}: / PgBouncer", verdict.one(share), TLS if tls else PLAIN)


def text(result):
    rows = [[f"{r['clients']:,}", "TLS" if r["tls"] else "plain", targets.TITLES[r["target"]],
             f"{r['just_in']:,.0f}", f"{r['after']:,.0f}",
             "prepared" if r["prepared"] else "simple"] for r in result["rows"]]
    facts = result["machine"]
    return (f"# pgweir bench-memory, {facts['time']}\n\nPgBouncer {facts.get('pgbouncer', 'not run')}; "
            "clients that are idle; bytes (PSS) for each.\n\n" + report.markdown_table(
                ["clients", "by", "target", "just logged in", "after one query", "which"], rows) + "\n")


def finish(options, result):
    verdict.publish(options.out, "memory", result, text(result), verdicts(result))
    return 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
