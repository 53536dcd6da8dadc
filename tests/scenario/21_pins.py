# SPDX-License-Identifier: Apache-2.0
"""State that the proxy cannot see coming stays with its client: from functions and DO blocks,
pipelined behind a reset, in settings of invented names. And a server that was reset begins anew."""
import time

from pgwire import bind, execute, parse, query, sync


def two(ctx, size=2, user="app", **settings):
    """A client that leaves state behind, and another one."""
    p = ctx.proxy(default_pool_size=size, worker_threads=1, **settings)
    return ctx.keep(p.connect(ctx.db, user)), ctx.keep(p.connect(ctx.db, user, timeout=3))


def test_loud_function_after_quiet(ctx):
    """The answer that the first function left nothing does not speak for the second."""
    ctx.sql("CREATE FUNCTION quiet() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';"
            "CREATE FUNCTION loud() RETURNS int LANGUAGE plpgsql AS $$BEGIN "
            "PERFORM set_config('statement_timeout', '54321', false); RETURN 1; END$$")
    a, b = two(ctx)
    for _ in range(20):
        a.query("SELECT quiet()")
        a.query("SELECT loud()")
        assert b.value("SHOW statement_timeout") == "0"
        assert a.value("SHOW statement_timeout") == "54321ms"
        a.query("RESET statement_timeout")


def test_invented_setting_in_function(ctx):
    """Settings of invented names are in no view: no other client reads them."""
    ctx.sql("CREATE FUNCTION set_tenant(t text) RETURNS void LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM set_config('app.tenant', t, false); END$$")
    for size in (1, 2):
        a, b = two(ctx, size)
        a.query("SELECT set_tenant('alice')")
        time.sleep(0.1)
        try:
            got = b.value("SELECT current_setting('app.tenant', true)")
        except TimeoutError:
            assert size == 1, "b waits although there is a second server"
        else:
            assert got in (None, ""), got
        a.close()
        b.close()


def test_session_authorization_in_do(ctx):
    a, b = two(ctx, user="postgres")
    a.query("DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION app'; END $$")
    time.sleep(0.1)
    for _ in range(3):
        assert b.value("SELECT session_user") == "postgres"
        assert a.value("SELECT session_user") == "app"


def test_set_behind_discard_all(ctx):
    """The end of DISCARD ALL does not undo the pin of what was sent behind it."""
    a, b = two(ctx)
    a.ask(query("DISCARD ALL") + query("SET statement_timeout = 12345"), times=2).check()
    time.sleep(0.05)
    for _ in range(3):
        assert b.value("SHOW statement_timeout") == "0"
        assert a.value("SHOW statement_timeout") == "12345ms"


BEHIND_DISCARD = {
    "SET search_path = aside": "SHOW search_path",
    "SELECT set_config('app.x', '1', false)": "SELECT coalesce(current_setting('app.x', true), '')",
    "CREATE TEMP TABLE own()": "SELECT coalesce(to_regclass('own')::text, '')",
    "SELECT pg_advisory_lock_shared(1)": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
}


def test_behind_discard_all_in_a_batch(ctx):
    """Nor of what was sent behind it before the Sync: it is its client's alone."""
    a, b = two(ctx, 2)
    d = ctx.direct("app")
    for sql, show in BEHIND_DISCARD.items():
        before = d.value(show)
        for w in (a, d):
            w.ask(parse("DISCARD ALL") + bind() + execute() + parse(sql) + bind() + execute() + sync()).check()
        time.sleep(0.05)
        for _ in range(3):
            assert b.value(show) == before, sql
            assert a.value(show) == d.value(show) != before, sql
        for w in (a, d):
            w.query("DISCARD ALL")
            assert w.value(show) == before, sql


def test_given_and_behind_discard_all(ctx):
    """What a client gave at its start counts again, but for what it has set in the same batch."""
    p = ctx.proxy(default_pool_size=1)
    given = {"TimeZone": "America/Lima", "DateStyle": "German, DMY", "search_path": "given", "work_mem": "7MB"}
    a, d = ctx.keep(p.connect(ctx.db, **given)), ctx.direct("app", **given)
    for w in (a, d):
        w.query("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'ISO, MDY'; SET search_path = other; SET work_mem = '9MB'")
        w.ask(b"".join(parse(sql) + bind() + execute() for sql in ("DISCARD ALL", "SET TimeZone = 'Asia/Kolkata'", "SET search_path = behind")) + sync()).check()
    for _ in range(2):
        shown = [[w.value(f"SHOW {name}") for name in given] for w in (a, d)]
        assert shown[0] == shown[1], shown
    for name in ("TimeZone", "DateStyle"):
        assert a.parameters[name] == d.parameters[name], name


def test_temporary_function(ctx):
    """It is its client's alone."""
    a, b = two(ctx)
    a.query("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    for _ in range(3):
        assert b.ask(query("SELECT pg_temp.f()")).errors, "another client's temporary function"
        assert a.value("SELECT pg_temp.f()") == "1"


def test_connect_query_after_reset(ctx):
    """A server that was reset begins as a new one does: with connect_query."""
    databases = {ctx.db: ctx.server(connect_query="'SET statement_timeout = 777'")}
    a, b = two(ctx, 1, databases=databases)
    assert b.value("SHOW statement_timeout") == "777ms"
    a.query("SET lock_timeout = 5")
    a.close()
    time.sleep(0.1)
    assert b.value("SHOW lock_timeout") == "0"
    assert b.value("SHOW statement_timeout") == "777ms"
