# SPDX-License-Identifier: Apache-2.0
"""How many clients may come in: for all, for a database, for a user; and who is told what."""
from pgwire import PgError
from proxy import CONSOLE_USER

DB_FULL = "client connections exceeded (max_db_client_connections)"
USER_FULL = "client connections exceeded (max_user_client_connections)"


def is_full(p, database, user, text):
    error = p.refused(database, user)
    assert (error.severity, error.sqlstate, error.text) == ("FATAL", "08P01", text), error


def refused_text(p, database):
    try:
        p.connect(database).close()
        return None
    except PgError as error:
        return error.text


def test_clients_of_a_database(ctx):
    """All its users together; another database has places of its own."""
    p = ctx.proxy(max_db_client_connections=2, databases={ctx.db: ctx.server(), "more": ctx.server()})
    a = ctx.keep(p.connect(ctx.db, "app"))
    ctx.keep(p.connect(ctx.db, "other"))
    is_full(p, ctx.db, "app", DB_FULL)
    ctx.keep(p.connect("more"))
    a.close()
    p.wait(lambda: refused_text(p, ctx.db) is None, "a place that is free again")


def test_clients_of_one_database_by_its_line(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(max_db_client_connections=1), "more": ctx.server()})
    ctx.keep(p.connect(ctx.db))
    is_full(p, ctx.db, "app", DB_FULL)
    for _ in range(3):
        ctx.keep(p.connect("more"))


def test_clients_of_a_user(ctx):
    """In all databases together."""
    p = ctx.proxy(max_user_client_connections=2, databases={ctx.db: ctx.server(), "same": ctx.server()})
    ctx.keep(p.connect(ctx.db, "app"))
    ctx.keep(p.connect("same", "app"))
    is_full(p, ctx.db, "app", USER_FULL)
    ctx.keep(p.connect(ctx.db, "other"))


def test_clients_of_one_user_by_his_line(ctx):
    p = ctx.proxy(user_settings={"app": {"max_user_client_connections": 1}})
    ctx.keep(p.connect(ctx.db, "app"))
    is_full(p, ctx.db, "app", USER_FULL)
    for _ in range(3):
        ctx.keep(p.connect(ctx.db, "other"))


def test_limits_after_reload(ctx):
    """Who is in stays in; who comes meets the new limit."""
    p = ctx.proxy()
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    p.reload(max_db_client_connections=3)
    p.wait(lambda: refused_text(p, ctx.db) == DB_FULL, "the new limit")
    assert [c.value("SELECT 1") for c in clients] == ["1"] * 3
    p.reload(max_db_client_connections=0, max_user_client_connections=1)
    p.wait(lambda: refused_text(p, ctx.db) == USER_FULL, "the other limit")
    p.reload(max_user_client_connections=0)
    p.wait(lambda: refused_text(p, ctx.db) is None, "no limit")


def test_admin_always_gets_in(ctx):
    """As in PgBouncer the console counts as a database, but never for an admin."""
    p = ctx.proxy(max_db_client_connections=1, max_user_client_connections=1, stats_users="app")
    ctx.keep(p.connect("pgbouncer", CONSOLE_USER))
    ctx.keep(p.connect("pgbouncer", CONSOLE_USER))
    is_full(p, "pgbouncer", "app", DB_FULL)


def test_refused_logins_do_not_count(ctx):
    p = ctx.proxy(auth_type="plain", max_db_client_connections=1, max_user_client_connections=1)
    for _ in range(5):
        assert p.refused(ctx.db, "app", "wrong").sqlstate == "28P01"
    p.wait(lambda: refused_text(p, ctx.db) is None, "a place after refused logins")


def test_max_client_conn(ctx):
    p = ctx.proxy(max_client_conn=2)
    ctx.keep(p.connect(ctx.db))
    ctx.keep(p.connect(ctx.db))
    error = p.refused(ctx.db)
    assert error.text == "no more connections allowed (max_client_conn)", error
    p.reload(max_client_conn=10)
    p.wait(lambda: refused_text(p, ctx.db) is None, "the new limit")


def test_one_pool_for_a_forced_user(ctx):
    """Whoever comes, the servers are one user's, and their number is one pool's."""
    p = ctx.proxy(databases={ctx.db: ctx.server(user="app", password="app-secret", pool_size=1)})
    a, b = ctx.keep(p.connect(ctx.db, "app")), ctx.keep(p.connect(ctx.db, "other"))
    assert a.value("SELECT current_user") == b.value("SELECT current_user") == "app"
    assert a.value("SELECT pg_backend_pid()") == b.value("SELECT pg_backend_pid()")
    pools = [row for row in p.console("SHOW POOLS") if row["database"] == ctx.db]
    assert [row["user"] for row in pools] == ["app"], pools
