# SPDX-License-Identifier: Apache-2.0
"""Pools that compete for max_db_connections or max_user_connections: each gets its share, however
busy the others are (PgBouncer issues 103 and 131). And a queue that is hopeless."""
import threading
import time

from pgwire import PgError, PeerClosed, query

BUSY = "SELECT pg_sleep(0.005)"


class Crowd:
    """Clients of one user that ask on and on; each answer counts."""

    def __init__(self, ctx, p, database, user, clients):
        self.answers, self.longest, self.stop = 0, 0.0, False
        self.lock = threading.Lock()
        self.threads = [ctx.thread(self.run, p, database, user) for _ in range(clients)]

    def run(self, p, database, user):
        with p.connect(database, user, timeout=30) as c:
            while not self.stop:
                started = time.monotonic()
                c.query(BUSY)
                took = time.monotonic() - started
                with self.lock:
                    self.answers += 1
                    self.longest = max(self.longest, took)

    def forget(self):
        with self.lock:
            self.answers, self.longest = 0, 0.0

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.result()


def servers(ctx, user):
    return int(ctx.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}' AND datname = '{ctx.db}'")[0][0])


def test_latecomer(ctx):
    """One user's pool has all that the database may have, and is busy. Another user's comes, and soon
    has half of it; then nothing moves any more."""
    p = ctx.proxy(default_pool_size=10, max_db_connections=4, log_disconnections=1)
    first = Crowd(ctx, p, ctx.db, "app", 10)
    p.wait(lambda: servers(ctx, "app") == 4, "the first to have all")
    second = Crowd(ctx, p, ctx.db, "other", 10)
    p.wait(lambda: servers(ctx, "app") == servers(ctx, "other") == 2, "half for each")
    evicted = p.log().count("closing because: evicted")
    first.forget()
    second.forget()
    p.wait(lambda: first.answers > 300 and second.answers > 300, "both to be served", 20)
    assert p.log().count("closing because: evicted") == evicted
    first.end()
    second.end()
    assert 0.4 < first.answers / second.answers < 2.5, (first.answers, second.answers)


def test_beside_one_whose_session_is_looked_at(ctx):
    """Behind each of its statements the server is asked what it left. One that has said the next by then goes to the
    end of the line all the same."""
    ctx.sql("CREATE TABLE t(v int); INSERT INTO t VALUES (0); GRANT ALL ON t TO app; "
            "CREATE FUNCTION quiet() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'")
    p = ctx.proxy(default_pool_size=1)
    direct, lock = ctx.direct(), ctx.keep(ctx.direct("postgres"))
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    direct.query("SELECT pg_advisory_lock(1)")
    lock.query("BEGIN; LOCK TABLE pg_catalog.pg_depend")  # what is temporary is looked up there
    a.send(query("SELECT v, quiet() FROM t, pg_advisory_xact_lock(1)"))
    p.wait(lambda: ctx.sql("SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'"), "the first to have begun")
    b.send(query("UPDATE t SET v = 1"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "the other one to wait")
    direct.query("SELECT pg_advisory_unlock(1)")
    assert a.until_ready().check().rows[0][0] == "0"
    a.send(query("SELECT v, quiet() FROM t"))
    assert a.is_quiet()
    lock.query("ROLLBACK")
    assert a.until_ready().check().rows[0][0] == "1"
    b.until_ready().check()


def test_one_connection_for_many_users(ctx):
    """Turns: everybody's wait is bounded."""
    p = ctx.proxy(max_db_connections=1, query_wait_timeout=20)
    users = ("app", "other", "srv_trust", "srv_plain")
    crowds = [Crowd(ctx, p, ctx.db, user, 3) for user in users]
    p.wait(lambda: all(c.answers > 40 for c in crowds), "all to be served", 25)
    for crowd in crowds:
        crowd.end()
    ctx.note("longest waits " + " ".join(f"{c.longest:.2f}" for c in crowds))
    assert max(c.longest for c in crowds) < 4


def test_rare_client_beside_a_busy_pool(ctx):
    p = ctx.proxy(max_db_connections=2, default_pool_size=10)
    crowd = Crowd(ctx, p, ctx.db, "app", 12)
    p.wait(lambda: crowd.answers > 50, "the busy ones")
    c = ctx.keep(p.connect(ctx.db, "other", timeout=20))
    for _ in range(5):
        started = time.monotonic()
        assert c.value("SELECT 1") == "1"
        assert time.monotonic() - started < 2
    crowd.end()


def test_databases_of_one_user(ctx):
    """The same for max_user_connections."""
    p = ctx.proxy(max_user_connections=2, default_pool_size=10, databases={ctx.db: ctx.server(), "b": ctx.server()})
    first = Crowd(ctx, p, ctx.db, "app", 8)
    p.wait(lambda: first.answers > 50, "the busy ones")
    second = Crowd(ctx, p, "b", "app", 8)
    p.wait(lambda: second.answers > 100, "the latecomers", 15)
    first.end()
    second.end()


def test_idle_one_is_evicted(ctx):
    """At once, and only as many as are needed; also when it belongs to another worker."""
    for workers in (1, 3):
        p = ctx.proxy(worker_threads=workers, default_pool_size=3, max_db_connections=3, log_disconnections=1)
        clients = [ctx.keep(p.connect(ctx.db, "app")) for _ in range(3)]
        for c in clients:
            c.query("BEGIN")
        for c in clients:
            c.query("COMMIT")
        started = time.monotonic()
        assert ctx.keep(p.connect(ctx.db, "other")).value("SELECT 1") == "1"
        assert time.monotonic() - started < 1
        assert p.log().count("closing because: evicted") == 1
        p.stop()


def test_limits_by_line_and_reload(ctx):
    """max_db_connections of the database's line, max_user_connections of the user's."""
    p = ctx.proxy(default_pool_size=9, databases={ctx.db: ctx.server(max_db_connections=2)},
                  user_settings={"other": {"max_user_connections": 1}})
    first, second = Crowd(ctx, p, ctx.db, "app", 6), Crowd(ctx, p, ctx.db, "other", 6)
    p.wait(lambda: first.answers > 50 and second.answers > 50, "both", 20)
    assert servers(ctx, "app") + servers(ctx, "other") <= 2 and servers(ctx, "other") <= 1
    p.databases[ctx.db]["max_db_connections"] = 5
    p.reload()
    p.wait(lambda: servers(ctx, "app") == 4, "the rest to go to the first")
    assert servers(ctx, "other") == 1
    first.end()
    second.end()


# ---- hopeless queues

def refusal(wire, timeout=5):
    wire.send(query("SELECT 1"))
    try:
        wire.until_ready(timeout=timeout)
        return None
    except PeerClosed as closed:
        return closed.error
    except PgError as error:
        return error


def queue_up(ctx, p, n):
    waiting = [ctx.keep(p.connect(ctx.db)) for _ in range(n)]
    for wire in waiting:
        wire.send(query("SELECT pg_sleep(0.2)"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == str(n - 1), "them to wait")
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == str(n - 7), "six to be served")
    return waiting


def test_fail_fast_refuses(ctx):
    p = ctx.proxy(worker_threads=1, default_pool_size=1, query_wait_fail_fast=1, query_wait_timeout=60,
                  databases={ctx.db: ctx.server(user="app", password="app-secret")},
                  user_settings={"other": {"query_wait_timeout": 0.5}})
    hasty, patient = ctx.keep(p.connect(ctx.db, "other")), ctx.keep(p.connect(ctx.db))
    waiting = queue_up(ctx, p, 16)
    started = time.monotonic()
    error = refusal(hasty)
    assert error and error.severity == "FATAL" and error.sqlstate == "53300", error
    assert error.text.startswith("query_wait_timeout would be reached,"), error
    assert time.monotonic() - started < 0.4
    patient.send(query("SELECT 7"))
    for wire in waiting:
        wire.until_ready()
    assert patient.until_ready().value == "7"
    # The queue is empty again: nobody is turned away.
    assert ctx.keep(p.connect(ctx.db, "other")).value("SELECT 8") == "8"


def test_without_fail_fast(ctx):
    """The default: who waits too long is told when it is too long."""
    p = ctx.proxy(worker_threads=1, default_pool_size=1, query_wait_timeout=60,
                  databases={ctx.db: ctx.server(user="app", password="app-secret")},
                  user_settings={"other": {"query_wait_timeout": 0.5}})
    hasty = ctx.keep(p.connect(ctx.db, "other"))
    queue_up(ctx, p, 12)
    started = time.monotonic()
    assert refusal(hasty).text == "query_wait_timeout"
    assert time.monotonic() - started > 0.4
