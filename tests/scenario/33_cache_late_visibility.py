# SPDX-License-Identifier: Apache-2.0
"""The trap: a commit is in the WAL stream before it is visible. PostgreSQL is made to stop right there
(a synchronous standby that does not exist), so that every read in between is one in the window."""
import time

from pgwire import query, unit
from window import Window

SETUP = "CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1), (2, 1); GRANT ALL ON t TO app"
READ = "SELECT n FROM t WHERE id = 1"


def read_all(clients):
    return [c.value(READ) if i % 2 else c.run(READ).value for i, c in enumerate(clients)]


def check_window(ctx, p, write, bound):
    """write() sends an update of row 1 to n = 2 and returns a function that waits for its answer."""
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(6)]
    ctx.wait_hit(p, lambda: clients[0].query(READ))
    with Window(ctx) as window:
        finish = write()
        window.wait_hanging()
        # For longer than max_staleness, with misses, fills and the clients' own sessions mixed.
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            assert set(read_all(clients)) == {"1"}
            late = p.connect(ctx.db)
            assert late.value(READ) == "1"
            late.close()
        # In the window, the row is still read from the server or the cache: the cache lives.
        assert ctx.sql(READ) == [("1",)]
        window.release()
        finish()
        acknowledged = time.monotonic()
    while time.monotonic() - acknowledged <= bound:
        read_all(clients)
    for _ in range(50):
        seen = read_all(clients)
        assert set(seen) == {"2"}, f"{time.monotonic() - acknowledged:.3f} s after the commit was answered: {seen}"
    # And hits go on with the new row: it is not just a cache that stays off.
    assert ctx.wait_hit(p, lambda: clients[0].value(READ)) == "2"
    assert ctx.wait_hit(p, lambda: clients[1].run(READ).value) == "2"


def test_direct_write(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    d = ctx.direct(timeout=30)

    def write():
        d.send(query("UPDATE t SET n = 2 WHERE id = 1"))
        return lambda: d.until_ready().check()
    check_window(ctx, p, write, 0.25)


def test_write_through_proxy(ctx):
    """Nobody waits for max_staleness then: the acknowledgement is the bound."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(default_pool_size=10)
    w = ctx.keep(p.connect(ctx.db, timeout=30))

    def write():
        w.send(query("UPDATE t SET n = 2 WHERE id = 1"))
        return lambda: w.until_ready().check()
    check_window(ctx, p, write, 0)


def test_several_commits_in_the_window(ctx):
    """Some direct, some through the proxy, on both rows, released together."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(default_pool_size=12)
    w, r, d = ctx.keep(p.connect(ctx.db, timeout=30)), ctx.keep(p.connect(ctx.db)), ctx.direct(timeout=30)

    def write():
        d.send(query("UPDATE t SET n = 2 WHERE id = 1"))
        w.send(unit("UPDATE t SET n = $1 WHERE id = 2", [7]))

        def finish():
            d.until_ready().check()
            w.until_ready().check()
            assert r.value("SELECT n FROM t WHERE id = 2") == "7"
        return finish
    check_window(ctx, p, write, 0.25)


def test_commit_hangs_before_the_proxy_starts(ctx):
    """A transaction that is in the stream's past but still invisible when the cache turns on."""
    ctx.sql(SETUP)
    with Window(ctx) as window:
        d = ctx.direct(timeout=30)
        d.send(query("UPDATE t SET n = 2 WHERE id = 1"))
        from proxy import CACHE_SETTINGS
        p = ctx.proxy(start=False, **CACHE_SETTINGS)
        window.wait_hanging()
        p.start()
        c = ctx.keep(p.connect(ctx.db))
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            assert c.value(READ) == "1"
        window.release()
        d.until_ready().check()
        acknowledged = time.monotonic()
    while time.monotonic() - acknowledged <= 0.25:
        c.value(READ)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        assert c.value(READ) == "2"
    assert ctx.wait_hit(p, lambda: c.value(READ)) == "2"


def test_backend_killed_in_the_window(ctx):
    """The waiting backend is cancelled: the commit stands, and becomes visible without a release."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c, d = ctx.keep(p.connect(ctx.db)), ctx.direct(timeout=30)
    ctx.wait_hit(p, lambda: c.query(READ))
    with Window(ctx) as window:
        pid = d.value("SELECT pg_backend_pid()")
        d.send(query("UPDATE t SET n = 2 WHERE id = 1"))
        window.wait_hanging()
        for _ in range(20):
            assert c.value(READ) == "1"
        ctx.sql(f"SELECT pg_cancel_backend({pid})")
        reply = d.until_ready()
        assert reply.notices and not reply.errors, reply.kinds
        acknowledged = time.monotonic()
        while time.monotonic() - acknowledged <= 0.25:
            c.value(READ)
        for _ in range(50):
            assert c.value(READ) == "2"
