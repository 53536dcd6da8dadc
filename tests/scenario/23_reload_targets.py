# SPDX-License-Identifier: Apache-2.0
"""A [databases] entry that names another target after a reload; and who may ask for a reload."""
import threading
import time

from pgwire import query
from proxy import CACHE_SETTINGS, USERS

READ = "SELECT n FROM t WHERE id = 1"


def two_databases(ctx):
    return ctx.db, ctx.new_database()


def retarget(p, ctx, database):
    p.databases = {"x": ctx.server(dbname=database)}
    p.reload()


def test_other_database(ctx):
    """A client that stays is on the new target from its next transaction on."""
    first, second = two_databases(ctx)
    p = ctx.proxy(databases={"x": ctx.server(dbname=first)}, default_pool_size=1, worker_threads=1)
    c = ctx.keep(p.connect("x"))
    assert c.value("SELECT current_database()") == first
    retarget(p, ctx, second)
    p.wait(lambda: c.value("SELECT current_database()") == second, "the new target", 3)
    for _ in range(3):
        assert c.value("SELECT current_database()") == second


def test_under_load(ctx):
    """A server that is opened by what a worker knew just before the reload is on the old target."""
    targets = two_databases(ctx)
    p = ctx.proxy(databases={"x": ctx.server(dbname=targets[0])}, default_pool_size=4, worker_threads=2)
    clients = [ctx.keep(p.connect("x")) for _ in range(8)]
    ends, errors = threading.Event(), []

    def ask(c):
        try:
            while not ends.is_set():
                c.value("SELECT current_database()")
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)

    for n in range(1, 41):
        ends.clear()
        threads = [threading.Thread(target=ask, args=(c,)) for c in clients]
        for t in threads:
            t.start()
        retarget(p, ctx, targets[n % 2])
        ends.set()
        for t in threads:
            t.join()
        assert not errors, errors
        assert {c.value("SELECT current_database()") for c in clients} == {targets[n % 2]}, n


def test_other_database_in_transaction(ctx):
    """A transaction ends where it began."""
    first, second = two_databases(ctx)
    p = ctx.proxy(databases={"x": ctx.server(dbname=first)}, default_pool_size=1, worker_threads=1)
    c = ctx.keep(p.connect("x"))
    c.query("BEGIN")
    assert c.value("SELECT current_database()") == first
    retarget(p, ctx, second)
    time.sleep(0.3)
    assert c.value("SELECT current_database()") == first
    c.query("COMMIT")
    p.wait(lambda: c.value("SELECT current_database()") == second, "the new target", 3)


def test_other_database_with_cache(ctx):
    """What is cached of the old target is not served for the new one, and writes there are seen."""
    first, second = two_databases(ctx)
    for n, database in enumerate((first, second)):
        ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); GRANT ALL ON t TO app; "
                f"INSERT INTO t VALUES (1, {n})", database=database)
    p = ctx.proxy(databases={"x": ctx.server(dbname=first)}, default_pool_size=1, worker_threads=1,
                  **CACHE_SETTINGS)
    c = ctx.keep(p.connect("x"))
    assert ctx.wait_hit(p, lambda: c.value(READ), timeout=10) == "0"
    retarget(p, ctx, second)
    p.wait(lambda: c.value("SELECT current_database()") == second, "the new target", 3)
    d = ctx.keep(p.connect("x"))
    until = time.monotonic() + 1
    while time.monotonic() < until:
        assert (c.value(READ), d.value(READ)) == ("1", "1")
        time.sleep(0.01)
    ctx.sql("UPDATE t SET n = 9", database=second)
    time.sleep(0.5)
    assert (c.value(READ), d.value(READ)) == ("9", "9")


def test_who_stays_on_the_old_target(ctx):
    """In session mode a client keeps its server: what it reads there is nobody else's, nor is what others read its own."""
    first, second = two_databases(ctx)
    for n, database in enumerate((first, second)):
        ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); GRANT ALL ON t TO app; "
                f"INSERT INTO t VALUES (1, {n})", database=database)
    p = ctx.proxy(databases={"x": ctx.server(dbname=first)}, pool_mode="session", worker_threads=1, **CACHE_SETTINGS)
    c = ctx.keep(p.connect("x"))
    assert ctx.wait_hit(p, lambda: c.value(READ), timeout=10) == "0"
    retarget(p, ctx, second)
    d = ctx.keep(p.connect("x"))
    p.wait(lambda: d.value("SELECT current_database()") == second, "the new target", 3)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert (c.value(READ), d.value(READ)) == ("0", "1")
        time.sleep(0.01)
    ctx.wait_hit(p, lambda: d.query(READ))
    assert (c.value(READ), d.value(READ)) == ("0", "1")


def test_stats_user_may_not_reload(ctx):
    """Not even one of the console database's own name."""
    p = ctx.proxy(stats_users="pgbouncer", users={**USERS, "pgbouncer": "x"})
    c = ctx.keep(p.connect("pgbouncer", "pgbouncer", "x"))
    assert c.ask(query("RELOAD")).errors, "a stats user may RELOAD"
    assert c.query("SHOW POOLS").columns
