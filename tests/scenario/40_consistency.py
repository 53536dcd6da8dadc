# SPDX-License-Identifier: Apache-2.0
"""Writers and readers at once, every read checked against the promises P2 to P5 (tests/consistency/).
CONSISTENCY_SECONDS says for how long in total; `make consistency MINUTES=3` is the long run."""
import os
import sys
import threading
import time

from runner import ROOT, limit

sys.path.insert(0, f"{ROOT}/tests/consistency")

from history import History  # noqa: E402
import workload              # noqa: E402

SECONDS = float(os.environ.get("CONSISTENCY_SECONDS", "20"))
BOUND = 0.25


def run(ctx, seconds, trouble=(), keys=30, readers=8, writers=3, reader=workload.reader, **settings):
    ctx.sql(workload.SETUP)
    p = ctx.cache_proxy(**({"worker_threads": 2, "default_pool_size": 15, "max_staleness": "250ms", "monotonic_reads": "all"}
                           | settings))
    histories = {i: History() for i in range(1, keys + 1)}
    stop = threading.Event()
    seed = int(os.environ.get("CONSISTENCY_SEED", str(int(time.time()))))

    def connect():
        return p.connect(ctx.db, timeout=20)

    def connect_direct():
        # The direct writes are the app's as well, but on the server itself.
        return ctx.pg.connect(ctx.db, "app")

    def connect_super():
        return ctx.pg.connect(ctx.db)

    before = p.cache()["hits"]
    mine = [list(histories)[w::writers] for w in range(writers)]
    threads = [ctx.thread(workload.writer, connect, connect_direct, histories, mine[w], BOUND, stop, seed + w)
               for w in range(writers)]
    threads += [ctx.thread(reader, connect, histories, BOUND, stop, seed + 100 + r) for r in range(readers)]
    if trouble:
        threads.append(ctx.thread(workload.troublemaker, connect_super, ctx.db, p, stop, seed, trouble))
    until = time.monotonic() + seconds
    while time.monotonic() < until and all(t.is_alive() for t in threads):
        time.sleep(0.05)
    stop.set()
    try:
        done = [t.result() for t in threads]
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from None
    writes, reads = sum(done[:writers]), sum(done[writers:writers + readers])
    time.sleep(BOUND)
    workload.compare_all(connect, connect_direct, histories)
    hits = p.cache()["hits"] - before
    ctx.note(f"{writes} writes, {reads} reads, {hits:.0f} hits, seed {seed}" + (f", {done[-1]}" if trouble else ""))
    # Slowed down by a sanitizer or in trouble, the writers leave the cache little room.
    assert hits > (10 if trouble or ctx.sanitizer else reads * 0.005), "hardly a hit: nothing was shown"


@limit(SECONDS + 60)
def test_calm(ctx):
    run(ctx, SECONDS / 2)


@limit(SECONDS + 60)
def test_trouble(ctx):
    """The stream and the control connections are killed, schemas change, the proxy reloads."""
    run(ctx, SECONDS / 4, trouble=("stream", "control", "ddl", "reload"))


@limit(SECONDS + 60)
def test_session_mode(ctx):
    run(ctx, SECONDS / 8, pool_mode="session", default_pool_size=40)


@limit(SECONDS + 60)
def test_tiny_cache(ctx):
    """Eviction all the time."""
    run(ctx, SECONDS / 8, cache_size="1M", keys=1000)


@limit(SECONDS + 60)
def test_transactions(ctx):
    """Readers in transactions, with and without a deferred BEGIN. Misses outside of them hold nothing back."""
    run(ctx, SECONDS / 8, reader=workload.transactional_reader, monotonic_reads="bypassed")
    ctx.sql("DROP TABLE kv, twin, audit; DROP FUNCTION noted, write_both")
    run(ctx, SECONDS / 8, reader=workload.transactional_reader, monotonic_reads="bypassed", lazy_begin="off")


@limit(SECONDS + 60)
def test_transactions_in_trouble(ctx):
    run(ctx, SECONDS / 8, reader=workload.transactional_reader, trouble=("stream", "control", "ddl", "reload"))
