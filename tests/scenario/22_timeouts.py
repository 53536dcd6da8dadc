# SPDX-License-Identifier: Apache-2.0
"""Timeouts measure what they say, from when it began; turns in the queue, shared limits, and
shutdown while clients go on asking."""
import signal
import time

from pgwire import PeerClosed, PgError, query


def one(ctx, **settings):
    return ctx.proxy(default_pool_size=1, worker_threads=1, **settings)


def test_query_timeout_in_session_mode(ctx):
    """Idle time before a statement does not count."""
    c = ctx.keep(one(ctx, pool_mode="session", query_timeout=1).connect(ctx.db))
    c.query("SELECT 1")
    time.sleep(1.3)
    c.query("SELECT pg_sleep(0.4)")


def test_query_timeout_in_transaction(ctx):
    """Each statement has its own time, not all of the transaction together."""
    c = ctx.keep(one(ctx, query_timeout=1).connect(ctx.db))
    c.query("BEGIN")
    for _ in range(5):
        c.query("SELECT pg_sleep(0.3)")
    c.query("COMMIT")


def test_idle_transaction_timeout(ctx):
    """A transaction that is busy, with short pauses, is not idle; one that pauses is."""
    c = ctx.keep(one(ctx, idle_transaction_timeout=1).connect(ctx.db))
    c.query("BEGIN")
    until = time.monotonic() + 1.6
    while time.monotonic() < until:
        c.query("SELECT pg_sleep(0.02)")
        time.sleep(0.04)
    c.query("COMMIT")
    c.query("BEGIN")
    started = time.monotonic()
    c.wait_closed(4)
    assert time.monotonic() - started > 0.8


def test_transaction_timeout_in_session_mode(ctx):
    """Time before BEGIN does not count."""
    c = ctx.keep(one(ctx, pool_mode="session", transaction_timeout=1).connect(ctx.db))
    c.query("SELECT 1")
    time.sleep(1.3)
    for sql in ("BEGIN", "SELECT pg_sleep(0.4)", "COMMIT"):
        c.query(sql)


def test_turn_with_own_settings(ctx):
    """A client whose settings must be made on the server first does not lose its turn by that."""
    p = one(ctx)
    holder = ctx.keep(p.connect(ctx.db))
    a = ctx.keep(p.connect(ctx.db, timezone="America/New_York"))
    b = ctx.keep(p.connect(ctx.db))
    holder.query("BEGIN")
    a.send(query("SELECT clock_timestamp()"))
    time.sleep(0.1)
    b.send(query("SELECT pg_sleep(1)"))
    time.sleep(0.1)
    started = time.monotonic()
    holder.query("COMMIT")
    a.until_ready().check()
    waited = time.monotonic() - started
    assert waited < 0.7, f"{waited:.2f} s: behind who came later"
    b.until_ready().check()


def test_limit_shared_by_users(ctx):
    """max_db_connections is used up by a pool that is idle now: another user's client gets one."""
    p = ctx.proxy(default_pool_size=2, worker_threads=1, max_db_connections=1)
    ctx.keep(p.connect(ctx.db, "app")).query("SELECT 1")
    b = ctx.keep(p.connect(ctx.db, "other", timeout=4))
    assert b.value("SELECT 1") == "1"


def check_interrupt(ctx, size, clients, sleep):
    """SIGINT while clients ask on and on: statements end, and no new ones begin."""
    p = ctx.proxy(default_pool_size=size, worker_threads=1)
    stop, done = [], []

    def run():
        c = p.connect(ctx.db)
        try:
            while not stop:
                c.query(f"SELECT pg_sleep({sleep})")
                done.append(1)
        except (PgError, PeerClosed, OSError):
            pass
        finally:
            c.close()

    threads = [ctx.thread(run) for _ in range(clients)]
    try:
        p.wait(lambda: len(done) >= clients, "statements of all clients")
        p.signal(signal.SIGINT)
        before, started = len(done), time.monotonic()
        p.wait_end(8)
        ctx.note(f"ended in {time.monotonic() - started:.2f} s, {len(done) - before} statements")
    finally:
        stop.append(1)
        for thread in threads:
            thread.result()


def test_interrupt_under_load(ctx):
    check_interrupt(ctx, 4, 12, 0.005)


def test_interrupt_under_long_statements(ctx):
    check_interrupt(ctx, 10, 20, 0.3)
