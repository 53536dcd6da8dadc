# SPDX-License-Identifier: Apache-2.0
"""The queue and the limits: clients wait in order, and hear why when they cannot."""
import time

from pgwire import PeerClosed, PgError, query


def test_queue_in_order(ctx):
    p = ctx.proxy(default_pool_size=1)
    ctx.sql("CREATE TABLE turn(n serial, who int); GRANT ALL ON turn, turn_n_seq TO PUBLIC")
    holder = ctx.keep(p.connect(ctx.db))
    holder.query("BEGIN")
    waiting = []
    for i in range(20):
        c = ctx.keep(p.connect(ctx.db))
        c.send(query(f"INSERT INTO turn(who) VALUES ({i})"))
        waiting.append(c)
        p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == str(i + 1), f"{i + 1} waiting clients")
    holder.query("COMMIT")
    for c in waiting:
        c.until_ready().check()
    assert [r[0] for r in ctx.sql("SELECT who FROM turn ORDER BY n")] == [str(i) for i in range(20)]


def test_query_wait_timeout(ctx):
    p = ctx.proxy(default_pool_size=1, query_wait_timeout=1)
    holder, waiting = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    holder.query("BEGIN")
    started = time.monotonic()
    waiting.send(query("SELECT 1"))
    reply = waiting.wait_closed()
    assert "query_wait_timeout" in reply.errors[0].text, reply.errors
    assert reply.errors[0].severity == "FATAL"
    assert 0.8 < time.monotonic() - started < 4, time.monotonic() - started
    assert holder.value("SELECT 1") == "1"
    holder.query("COMMIT")


def test_max_client_conn(ctx):
    p = ctx.proxy(max_client_conn=5)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(5)]
    error = p.refused(ctx.db)
    assert error.sqlstate == "53300", error
    assert error.text == "no more connections allowed (max_client_conn)", error
    assert clients[0].value("SELECT 1") == "1"
    clients[4].close()
    p.wait(lambda: try_connect(ctx, p), "room for a client")


def try_connect(ctx, p):
    try:
        with p.connect(ctx.db) as c:
            return c.value("SELECT 1") == "1"
    except (PgError, PeerClosed):
        return False


def test_pool_size_holds(ctx):
    p = ctx.proxy(default_pool_size=3)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(15)]
    for c in clients:
        c.send(query("SELECT pg_backend_pid(), pg_sleep(0.05)"))
    pids = {c.until_ready().check().value for c in clients}
    assert len(pids) <= 3, pids
    pool = p.pool(ctx.db)
    assert int(pool["sv_idle"]) <= 3, pool


def test_pool_size_of_database(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(pool_size=2)}, default_pool_size=9)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(8)]
    for c in clients:
        c.send(query("SELECT pg_backend_pid(), pg_sleep(0.05)"))
    assert len({c.until_ready().check().value for c in clients}) <= 2


def test_max_db_connections(ctx):
    p = ctx.proxy(default_pool_size=5, max_db_connections=2)
    clients = [ctx.keep(p.connect(ctx.db, user)) for user in ("app", "other") * 5]
    for c in clients:
        c.send(query("SELECT pg_backend_pid(), pg_sleep(0.02)"))
    for c in clients:
        c.until_ready().check()
        assert int(ctx.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{ctx.db}' "
                           "AND usename IN ('app', 'other')")[0][0]) <= 2


def test_reserve_pool(ctx):
    p = ctx.proxy(default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("BEGIN")
    started = time.monotonic()
    assert b.value("SELECT 1") == "1"
    assert 0.8 < time.monotonic() - started < 5
    a.query("COMMIT")


def test_min_pool_size(ctx):
    p = ctx.proxy(min_pool_size=3, databases={ctx.db: ctx.server(user="app", password="app-secret")})
    with p.connect(ctx.db) as c:
        c.query("SELECT 1")
        p.wait(lambda: int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND "
                                   f"datname = '{ctx.db}'")[0][0]) >= 3, "three server connections")


def test_login_timeout(ctx):
    p = ctx.proxy(client_login_timeout=1, tcp_defer_accept=0)
    mute = ctx.keep(p.open())
    started = time.monotonic()
    mute.wait_closed()
    assert time.monotonic() - started < 5


def test_idle_timeouts(ctx):
    p = ctx.proxy(client_idle_timeout=1, idle_transaction_timeout=1, default_pool_size=1)
    idle = ctx.keep(p.connect(ctx.db))
    idle.query("SELECT 1")
    reply = idle.wait_closed()
    assert reply.errors and "client_idle_timeout" in reply.errors[0].text, reply.errors
    in_transaction = ctx.keep(p.connect(ctx.db))
    in_transaction.query("BEGIN")
    reply = in_transaction.wait_closed()
    assert reply.errors and "idle" in reply.errors[0].text, reply.errors
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_query_timeout(ctx):
    p = ctx.proxy(query_timeout=1, default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("SELECT pg_sleep(30)"))
    reply = c.wait_closed()
    assert reply.errors and "query timeout" in reply.errors[0].text.replace("_", " "), reply.errors
    with p.connect(ctx.db) as other:
        assert other.value("SELECT 1") == "1"


def test_server_lifetime_and_idle(ctx):
    p = ctx.proxy(server_idle_timeout=1, default_pool_size=3)
    with p.connect(ctx.db) as c:
        pid = c.value("SELECT pg_backend_pid()")
        p.wait(lambda: not ctx.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"), "an idle server to close")
        assert c.value("SELECT pg_backend_pid()") != pid


def test_many_clients(ctx):
    """A thousand clients on five servers, most of them idle."""
    p = ctx.proxy(max_client_conn=1100)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(1000)]
    for i, c in enumerate(clients):
        c.send(query(f"SELECT {i}"))
    for i, c in enumerate(clients):
        assert c.until_ready().check().value == str(i)


test_many_clients.limit = 60
