# SPDX-License-Identifier: Apache-2.0
"""Writers and readers at once, through two proxies and directly, with faults: every read is checked against the
promises P2 to P5 (tests/consistency/). CONSISTENCY_SECONDS says for how long in total;
`make consistency MINUTES=3` is the long run. CONSISTENCY_SEED repeats what the dice said; CONSISTENCY_OFF=words
switches protections off (base/protection.h), to see what chance finds of them: 39_protections does not wait for it."""
import os
import random
import sys
import time

from proxy import CACHE_SETTINGS
from relay import Relay
from runner import ROOT, limit, scenario

sys.path.insert(0, f"{ROOT}/tests/consistency")

import workload              # noqa: E402
from checker import History  # noqa: E402
from faults import Faults    # noqa: E402

SECONDS = float(os.environ.get("CONSISTENCY_SECONDS", "20"))
OFF = os.environ.get("CONSISTENCY_OFF")
BOUND = 0.25
COMPARED = 40 # keys, at the end
SETTINGS = {"worker_threads": 2, "default_pool_size": 15, "max_staleness": "250ms", "monotonic_reads": "all",
            "server_login_retry": 0.2, "query_wait_timeout": 15}


class Two:
    """Two proxies in front of one database, each behind a link of its own."""

    def __init__(self, ctx, **settings):
        self.relays = [ctx.keep(Relay(ctx.pg.port)) for _ in range(2)]
        weak = {"binary": ctx.unprotected, "environment": {"PGWEIR_PROTECTIONS_OFF": OFF}} if OFF else {}
        self.proxies = [ctx.proxy({ctx.db: ctx.server(port=relay.port)},
                                  **{**CACHE_SETTINGS, **SETTINGS, **settings, **weak}) for relay in self.relays]
        self.ways = {"one": lambda: self.proxies[0].connect(ctx.db, timeout=30),
                     "two": lambda: self.proxies[1].connect(ctx.db, timeout=30),
                     "direct": lambda: ctx.pg.connect(ctx.db, "app", timeout=30)}
        for p in self.proxies:
            with p.connect(ctx.db) as c:
                ctx.wait_hit(p, lambda c=c: c.query("SELECT n FROM kv WHERE id = 1"), timeout=15)

    def hits(self):
        return sum(p.cache()["hits"] for p in self.proxies)


def run(ctx, seconds, faults=(), keys=20, readers=6, writers=3, transactions=0.05, ordered=True, prepare=None, **settings):
    """prepare(): of what there is once the tables are."""
    ctx.sql(workload.SETUP)
    if prepare:
        prepare()
    two = Two(ctx, **settings)
    history = History(BOUND)
    history.add(*workload.items_of(range(1, keys + 1)))
    seed = int(os.environ.get("CONSISTENCY_SEED", str(int(time.time()))))
    shared = workload.Run(history, two.ways, range(1, keys + 1), seed, ordered)
    before = two.hits()
    at_work = [ctx.thread(workload.writer, shared, ("one", "one", "two", "direct")) for _ in range(writers)]
    watching = [ctx.thread(workload.reader, shared, "one" if r % 3 else "two", transactions) for r in range(readers)]
    trouble = Faults(ctx, shared, two.proxies, two.relays, faults)
    hits, until = 0, time.monotonic() + seconds
    while time.monotonic() < until and shared.going() and all(t.is_alive() for t in at_work + watching):
        trouble.look()
        time.sleep(0.02)
    shared.stop.set()
    writes = sum(t.result() for t in at_work)
    people = [t.result() for t in watching]
    if history.violations:
        ctx.note(f"seed {seed}, faults {trouble.done}")
    history.check()
    time.sleep(BOUND)
    compared = random.Random(seed).sample(shared.keys, min(COMPARED, keys))
    workload.compare_all([two.ways["one"], two.ways["two"]], two.ways["direct"], compared)
    hits = two.hits() - (before if "proxy_killed" not in trouble.done else 0)
    reads, lost = sum(p.reads for p in people), sum(p.lost for p in people)
    ctx.note(f"{writes} writes, {reads} reads, {hits:.0f} hits, seed {seed}"
             + (f", {lost} connections lost, {trouble.done}" if faults else ""))
    # Slowed down by a sanitizer or in trouble, the writers leave the cache little room.
    assert hits > (10 if faults or ctx.sanitizer else reads * 0.005), "hardly a hit: nothing was shown"


@limit(SECONDS + 60)
def test_calm(ctx):
    run(ctx, SECONDS * 0.15)


@limit(SECONDS + 90)
def test_stream_faults(ctx):
    """Of what tells the cache. No client notices. Misses hold nothing back, so what is old shows at once."""
    run(ctx, SECONDS * 0.25, ordered=False, monotonic_reads="bypassed",
        faults=("stream_killed", "walsender_stopped", "control_killed", "ddl", "reload"))


@limit(SECONDS + 120)
def test_link_and_process_faults(ctx):
    """Of everything: commits whose answer never comes, servers and proxies that come back."""
    run(ctx, SECONDS * 0.4, faults=("proxy_killed", "link_stalled", "postgres_restarted", "link_cut"))


@limit(SECONDS + 60)
def test_session_mode(ctx):
    run(ctx, SECONDS * 0.05, pool_mode="session", default_pool_size=40)


@limit(SECONDS + 60)
def test_tiny_cache(ctx):
    """Eviction all the time."""
    run(ctx, SECONDS * 0.05, cache_size="1M", keys=500)


@limit(SECONDS + 60)
def test_transactions(ctx):
    """Mostly transactions, with a deferred BEGIN. Misses outside of them hold nothing back."""
    run(ctx, SECONDS * 0.05, transactions=0.9, ordered=False, monotonic_reads="bypassed")


@limit(SECONDS + 60)
def test_transactions_on_the_server(ctx):
    run(ctx, SECONDS * 0.05, transactions=0.9, ordered=False, monotonic_reads="bypassed", lazy_begin="off")


def publish(ctx):
    ctx.sql("CREATE PUBLICATION everything FOR ALL TABLES")


@limit(SECONDS + 60)
def test_publication(ctx):
    """pgoutput tells instead of test_decoding."""
    run(ctx, SECONDS * 0.1, prepare=lambda: publish(ctx), publication="everything")


@limit(SECONDS + 90)
def test_publication_and_stream_faults(ctx):
    run(ctx, SECONDS * 0.2, prepare=lambda: publish(ctx), publication="everything", ordered=False, monotonic_reads="bypassed",
        faults=("stream_killed", "walsender_stopped", "control_killed", "ddl", "reload"))


@limit(SECONDS + 60)
def test_notify(ctx):
    """Triggers tell. A commit is told when it is acknowledged, and may be seen a moment before: no order of reads is asked for.
    Each notification ends all entries of its table: with more writers the next one's would hide that one is lost."""
    run(ctx, SECONDS * 0.15, prepare=lambda: scenario("46_cache_notify.py").install(ctx), invalidation="notify", writers=1, keys=10,
        ordered=False, monotonic_reads="bypassed")
