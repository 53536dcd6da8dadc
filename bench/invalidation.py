# SPDX-License-Identifier: Apache-2.0
"""`make bench-invalidation`: how soon a write that bypasses the proxy ends what the cache has of it, and how many
row events a second are taken in.

Soon: a connection of its own to the server updates a key that is a hit, and its commit is answered; from then on
that key is read through the proxy, one read after the other. `stale` is when the last read was sent that still got
the old row (0: none did); `new` is when the first answer with the new row was there: it has gone through to the
server. What was ended, was ended in between.

Many: one statement changes all rows, and a thousand transactions change a thousand each. From the commit of the
last until the stream has passed it; with the CPU of the thread that takes them in. The server's own decoding is in
it. Then once more through a dam: what the server streams is held back until all of it is there, then let go at once;
`at once` is how many a second are taken in from there to the last of them.
"""
import argparse
import os
import socket
import statistics
import struct
import sys
import time

import dam
import meter
import report
import run
import scratch as place
import targets
import verdict

LIMIT_S = 120
KEYS = 50
SOURCES = {"wal": {"invalidation": "wal"}, "notify": {"invalidation": "notify"}}
BACKLOG_SCALE = 5  # 500,000 rows
PASSED = 5  # column of SHOW INVALIDATION
LOADS = {"one transaction": None, "many transactions": 1000}  # rows of each


class Connection:
    """One statement at a time in the simple protocol; the value in the last row, if there is one."""

    def __init__(self, host, port, database=place.DATABASE):
        self.socket = socket.create_connection((host, port), LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        named = b"user\0%s\0database\0%s\0\0" % (place.SUPERUSER.encode(), database.encode())
        self.socket.sendall(struct.pack("!II", len(named) + 8, 196608) + named)
        self.answer()

    def answer(self):
        data = b""
        while data[-6:-1] != b"Z\0\0\0\5":
            more = self.socket.recv(65536)
            if not more:
                raise place.BenchError(f"a connection was lost: {data!r}")
            data += more
        at, rows = 0, []
        while at < len(data):
            kind, size = data[at:at + 1], struct.unpack_from("!I", data, at + 1)[0]
            if kind == b"E":
                raise place.BenchError(repr(data[at:at + 1 + size]))
            if kind == b"D":
                rows.append(_columns(data[at + 5:at + 1 + size]))
            at += 1 + size
        return rows

    def ask(self, sql):
        self.socket.sendall(b"Q" + struct.pack("!I", len(sql) + 5) + sql.encode() + b"\0")
        return self.answer()


def _columns(body):
    at, columns = 2, []
    for _ in range(struct.unpack_from("!H", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        columns.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return columns


class Place:
    """A proxy with the cache on, and its console."""

    def __init__(self, maker, source, through_dam=False):
        self.maker = maker
        self.dam = dam.Dam("127.0.0.1", maker.cluster.port) if through_dam else None
        self.target = maker.start("pgweir-cache", more={**SOURCES[source], "admin_users": place.SUPERUSER},
                                  server_port=self.dam.port if self.dam else None)
        self.proxy = Connection("127.0.0.1", self.target.port)
        self.direct = Connection("127.0.0.1", maker.cluster.port)
        self.console = Connection("127.0.0.1", self.target.port, "pgbouncer")

    def end(self):
        self.maker.scratch.stop(self.target.process)

    def hits(self):
        return next(int(row[1]) for row in self.console.ask("SHOW CACHE") if row[0] == "hits")

    def wait_following(self):
        """Until a read is answered from memory."""
        deadline = time.monotonic() + LIMIT_S
        before = self.hits()
        while self.hits() == before:
            for _ in range(10):
                self.proxy.ask(read_of(1))
            if time.monotonic() > deadline:
                raise place.BenchError("nothing hits: " + place.log_tail(self.target.process))


def read_of(key):
    return f"SELECT abalance FROM pgbench_accounts WHERE aid = {key}"


def how_soon(where, rounds):
    """[(stale_us, new_us)], and the share of the warm reads that were hits."""
    found = []
    hits = where.hits()
    for n in range(rounds):
        key = 1 + n % KEYS
        read, value = read_of(key), str(n + 1 + KEYS)  # no key, so no balance yet
        for _ in range(3):
            where.proxy.ask(read)
            time.sleep(0.001)
        where.direct.ask(f"UPDATE pgbench_accounts SET abalance = {value} WHERE aid = {key}")
        begin = sent = time.perf_counter()
        stale = 0.0
        while where.proxy.ask(read)[0][0] != value:
            stale = sent - begin
            sent = time.perf_counter()
        found.append((stale * 1e6, (time.perf_counter() - begin) * 1e6))
    return found, (where.hits() - hits) / rounds


def how_many(where, rows):
    """{load: (events, seconds from the last commit, seconds since the first statement, CPU of the thread)}"""
    out = {}
    thread = f"/proc/{where.target.process.pid}/task/{where.target.process.pid}/schedstat"
    for name, step in LOADS.items():
        cpu, begin = _cpu_s(thread), time.monotonic()
        end = _write(where.direct, rows, step or rows)
        last = time.monotonic()
        _wait("the stream", lambda end=end: _position(where) >= end)
        out[name] = {"events": rows, "behind_s": time.monotonic() - last, "whole_s": time.monotonic() - begin,
                     "cpu_s": _cpu_s(thread) - cpu}
    return out


def at_once(where, rows):
    """{load: seconds that all of them take when they come at once}"""
    out = {}
    for name, step in LOADS.items():
        where.dam.close()
        end = _write(where.direct, rows, step or rows)
        _wait("the server's stream", lambda end=end: _lsn(where.direct.ask(
            "SELECT max(sent_lsn) FROM pg_stat_replication")[0][0]) >= end)
        begin = time.monotonic()
        where.dam.open()
        _wait("the stream", lambda end=end: _position(where) >= end)
        out[name] = time.monotonic() - begin
    return out


def _write(connection, rows, step):
    """The position behind it."""
    for first in range(1, rows, step):
        connection.ask("UPDATE pgbench_accounts SET abalance = abalance + 1 "
                       f"WHERE aid BETWEEN {first} AND {first + step - 1}")
    return _lsn(connection.ask("SELECT pg_current_wal_insert_lsn()")[0][0])


def _wait(what, has_come):
    deadline = time.monotonic() + LIMIT_S
    while not has_come():
        time.sleep(0.005)
        if time.monotonic() > deadline:
            raise place.BenchError(f"{what} never came there")


def _cpu_s(path):
    with open(path, encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def _lsn(text):
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _position(where):
    """How far the stream has been taken in."""
    return _lsn(where.console.ask("SHOW INVALIDATION")[0][PASSED])


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--targets", default="wal,notify", help=f"of {','.join(SOURCES)}")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--pgweir", default="build/pgweir", help="the program to measure")
    parser.add_argument("--pgbouncer", help="not used")
    parser.add_argument("--transport", choices=targets.TRANSPORTS, default="tcp")
    parser.add_argument("--out", default="build/bench", help="where the result is written")
    return parser.parse_args()


def measure(options, scratch):
    cluster = place.Cluster(scratch, BACKLOG_SCALE)
    maker = targets.Maker(scratch, cluster, os.path.abspath(options.pgweir))
    maker.needs(["pgweir"])
    cluster.start()
    rows, backlog = [], {}
    for source in options.targets.split(","):
        if source == "notify":
            install_triggers(maker)
        run.say(source)
        where = Place(maker, source)
        where.wait_following()
        found, hits = how_soon(where, options.rounds)
        rows.append({"source": source, "hits": hits, "stale_us": [f[0] for f in found], "new_us": [f[1] for f in found]})
        if source != "notify":
            backlog[source] = how_many(where, BACKLOG_SCALE * 100000)
        where.end()
        if source != "notify":
            where = Place(maker, source, through_dam=True)
            where.wait_following()
            for name, seconds in at_once(where, BACKLOG_SCALE * 100000).items():
                backlog[source][name]["at_once_s"] = seconds
            where.end()
    return {"machine": report.machine(cluster, maker), "rows": rows, "backlog": backlog}


def install_triggers(maker):
    maker.scratch.run([maker.pgweir, "install-triggers", f"host={maker.scratch.path} port={maker.cluster.port} "
                       f"dbname={place.DATABASE} user={place.SUPERUSER}", "public.pgbench_accounts"])


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def verdicts(result):
    """Of the WAL, which is what is followed where it can be (goal 11)."""
    for row in result["rows"]:
        if row["source"] == "wal":
            yield verdict.at_most(11, "commit to invalidated: ms, p50", verdict.one(
                statistics.median(row["stale_us"]) / 1000), 0.2, 3)
            yield verdict.at_most(11, "commit to invalidated: ms, p99", verdict.one(
                percentile(row["stale_us"], 0.99) / 1000), 1, 3)
    for name, b in result["backlog"].get("wal", {}).items():
        yield verdict.at_least(11, f"row events a second, {name}: of the thread's CPU", verdict.one(
            b["events"] / b["cpu_s"]), 200000, 0)
        yield verdict.at_least(11, f"row events a second, {name}: by the clock, all at once", verdict.one(
            b["events"] / b["at_once_s"]), 200000, 0)


def text(result):
    soon = [[r["source"], f"{r['hits']:.1f}"] +
            [f"{v:,.0f}" for v in (statistics.median(r["stale_us"]), percentile(r["stale_us"], 0.99),
                                   statistics.median(r["new_us"]), percentile(r["new_us"], 0.99))]
            for r in result["rows"]]
    many = [[source, name, f"{b['events']:,}", f"{b['events'] / b['whole_s']:,.0f}", f"{b['behind_s'] * 1e3:,.0f}",
             f"{b['cpu_s'] / b['events'] * 1e9:,.0f}", f"{b['events'] / b['cpu_s']:,.0f}",
             f"{b['events'] / b['at_once_s']:,.0f}"]
            for source, loads in result["backlog"].items() for name, b in loads.items()]
    return (f"# pgweir bench-invalidation, {result['machine']['time']}\n\nMicroseconds after the answer to the commit of a "
            f"direct write, {len(result['rows'][0]['new_us']):,} times.\n\n" +
            report.markdown_table(["events by", "hits a round", "stale p50", "stale p99", "new p50", "new p99"], soon) +
            "\n\nRow events.\n\n" +
            report.markdown_table(["events by", "load", "row events", "a second, in all", "ms behind the last commit",
                                   "ns of CPU each", "a second of that CPU", "a second, at once"], many) + "\n")


def finish(options, result):
    verdict.publish(options.out, "invalidation", result, text(result), verdicts(result))
    return 0


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
