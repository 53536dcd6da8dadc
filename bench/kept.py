# SPDX-License-Identifier: Apache-2.0
"""`make bench-kept`: how many hits remain when some of the statements are writes (goal 10 of
bench/README.md). Reads and updates on Zipf keys through the cache, simple protocol; how many reads
were hits is counted by the database: its index scans, less those of the updates. And what an entry
takes beside its key and the reply's bytes."""
import sys
import time

import passed
import report
import run
import scratch as place
import verdict

NAME = "pgweir-cache"
KEYS, EXPONENT = 10000, 1.0
WRITES = (0, 0.001, 0.01, 0.05, 0.20)
CLIENTS, QUERIES = 64, 1000  # of each client
KEPT, KEPT_AT = 0.9, 0.05
COUNTED_S = 30               # the server counts late; it is waited for
MORE = 40000                 # keys, to weigh entries by
OVERHEAD_BYTES = 128
TEXT = "SELECT abalance FROM pgbench_accounts WHERE aid = "
# What a key has beside the text: database, profile, shape, the digest of the settings, and what keeps
# them apart (make_key in proxy/session/cached.c).
KEY_BYTES = 38
# RowDescription, DataRow without the value, CommandComplete.
REPLY_BYTES = 34 + 11 + 14


def scans(bench, target):
    """Index scans of the accounts. A session counts late, at the latest when it ends: so all do."""
    cluster = bench.cluster
    bench.scratch.run([f"{cluster.bin}/psql", "-Xq", *target.address(), "-d", "pgweir", "-c", "RECONNECT"])
    deadline = time.monotonic() + COUNTED_S
    before, same = cluster.account_scans(), 0
    while same < 3:
        if time.monotonic() > deadline:
            raise place.BenchError("the server's counts do not come to rest")
        time.sleep(0.6)
        now = cluster.account_scans()
        same, before = (same + 1 if now == before else 0), now
    return before


def held(bench, target):
    """Entries, and the bytes that the store has for them."""
    shown = bench.scratch.run([f"{bench.cluster.bin}/psql", "-XqAt", *target.address(), "-d", "pgweir",
                               "-c", "SHOW CACHE"])
    values = dict(line.split("|")[:2] for line in shown.splitlines() if line.count("|") > 1)
    return int(values["entries"]), int(values["bytes"])


def overhead(bench, target):
    """Bytes that an entry more takes, beside key and reply. The tables of a store that is nearly empty
    do not count; those that grow with it do."""
    entries, before = held(bench, target)
    first, last = KEYS + 1, KEYS + MORE
    bench.generator.run(target, "simple", 16, "--queries", str(MORE // 16), "--order", "sequence",
                        "--first", str(first), "--keys", str(MORE))
    more, after = held(bench, target)
    if entries < KEYS or more - entries < MORE * 0.9:
        raise place.BenchError(f"{entries} entries, then {more}: not every row was kept")
    own = sum(len(TEXT) + KEY_BYTES + REPLY_BYTES + 2 * len(str(key)) for key in range(first, last + 1))
    return (after - before) / (more - entries) - own / MORE


def filled(bench, keys, **settings):
    """A proxy whose stream has begun, and which has each key."""
    target = bench.maker.start(NAME, more={"admin_users": place.SUPERUSER, **settings})
    bench.generator.run(target, "simple", 8, "--seconds", "1", *keys)
    for _ in range(2):
        bench.generator.run(target, "simple", 1, "--queries", str(KEYS), "--order", "sequence", *keys)
    return target


def measure(options, scratch):
    bench = passed.Bench(options, scratch, scale=1)
    generator, keys = bench.generator, ["--keys", str(KEYS)]
    weighed = filled(bench, keys, cache_admission="all")  # keys that are asked once are kept, too
    beside = overhead(bench, weighed)
    scratch.stop(weighed.process)
    rows, target = [], filled(bench, keys)
    for writes in WRITES:
        before = scans(bench, target)
        found = generator.run(target, "simple", CLIENTS, "--queries", str(QUERIES), "--order", "zipf",
                              "--zipf", str(EXPONENT), "--writes", str(writes), *keys)
        found["server_reads"] = scans(bench, target) - before - found["writes"]
        found["share"] = writes
        found["hits"] = 1 - found["server_reads"] / found["reads"]
        run.say(f"{writes:.1%} writes: {found['hits']:.2%} hits, {found['tps']:,.0f} tps")
        rows.append(found)
    return {"machine": report.machine(bench.cluster, bench.maker), "rows": rows,
            "overhead_bytes": beside}


def verdicts(result):
    yield verdict.at_most(10, "bytes of an entry beside its key and its reply",
                          verdict.one(result["overhead_bytes"]), OVERHEAD_BYTES, 0)
    alone = result["rows"][0]["hits"]
    for row in result["rows"][1:]:
        kept = row["hits"] / alone if alone else 0
        limit = KEPT if row["share"] <= KEPT_AT else None
        what = f"reads on Zipf keys, {row['share']:.1%} writes: hits kept"
        if limit is None:
            yield verdict.told(10, what, verdict.one(kept), 3)
        else:
            yield verdict.at_least(10, what, verdict.one(kept), limit, 3)


def text(result):
    return report.markdown_table(
        ["writes", "reads", "by the server", "hits", "tps", "CPU us"],
        [[f"{row['share']:.1%}", f"{row['reads']:,}", f"{row['server_reads']:,}",
          f"{row['hits']:.2%}", f"{row['tps']:,.0f}", f"{row['cpu_us']:.2f}"]
         for row in result["rows"]]) + "\n"


def finish(options, result):
    words = report.plain_head("bench-kept", result["machine"]) + "\n" + text(result)
    verdict.publish(options.out, "kept", result, words, verdicts(result))
    return 0


def parse():
    return passed.options_of(__doc__, NAME)


if __name__ == "__main__":
    sys.exit(run.guarded(parse, measure, finish))
