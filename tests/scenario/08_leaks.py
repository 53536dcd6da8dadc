# SPDX-License-Identifier: Apache-2.0
"""Transaction mode: a client keeps the state of its session, and no other client sees any of it."""
from pgwire import PgError, parse, query, sync, unit


def two(ctx, size=2, **settings):
    """A client that will leave state behind, and a watcher that looks at every server."""
    p = ctx.proxy(default_pool_size=size, **settings)
    return p, ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))


def everywhere(ctx, p, sql, n=2):
    """The statement's value on n server connections at once, as other clients see it. Fewer answer
    when the rest is pinned."""
    seen = {}
    clients = []
    for _ in range(n):
        c = p.connect(ctx.db, timeout=1)
        clients.append(c)
        try:
            c.query("BEGIN")
            seen[c.value("SELECT pg_backend_pid()")] = c.value(sql)
        except TimeoutError:
            pass
    for c in clients:
        c.abort()
    return list(seen.values())


def test_set(ctx):
    """A setting that is not followed."""
    p, a, b = two(ctx)
    for sql in ("SET work_mem = '5MB'", "SET search_path = pg_catalog", "SET statement_timeout = '1h'"):
        a.query(sql)
    for _ in range(3):
        assert a.value("SHOW work_mem") == "5MB"
        assert b.value("SHOW work_mem") == "4MB"
        assert a.value("SHOW search_path") == "pg_catalog"
        assert b.value("SHOW search_path") == '"$user", public'
    assert all(v == "4MB" for v in everywhere(ctx, p, "SHOW work_mem"))
    a.close()
    values = everywhere(ctx, p, "SHOW work_mem")
    assert values == ["4MB", "4MB"], values


def test_set_extended_and_in_transaction(ctx):
    p, a, b = two(ctx)
    a.run("SET work_mem = '5MB'")
    b.query("BEGIN; SET work_mem = '6MB'; COMMIT")
    assert a.value("SHOW work_mem") == "5MB"
    assert b.value("SHOW work_mem") == "6MB"
    a.close()
    b.close()
    values = everywhere(ctx, p, "SHOW work_mem")
    assert values == ["4MB", "4MB"], values


def test_set_role(ctx):
    ctx.sql("GRANT other TO app")
    p, a, b = two(ctx)
    a.query("SET ROLE other")
    for _ in range(3):
        assert a.value("SELECT current_user") == "other"
        assert b.value("SELECT current_user") == "app"
    a.close()
    assert everywhere(ctx, p, "SELECT current_user") == ["app", "app"]


OWN_TEMP = "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"


def test_temp_table(ctx):
    p, a, b = two(ctx)
    a.query("CREATE TEMP TABLE secret AS SELECT 42 AS answer")
    for _ in range(3):
        assert a.value("SELECT answer FROM secret") == "42"
        assert b.ask(query("SELECT answer FROM secret")).sqlstate() == "42P01"
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1 AS x INTO TEMP other_secret")
    assert c.value("SELECT x FROM other_secret") == "1"
    a.close()
    c.close()
    assert everywhere(ctx, p, OWN_TEMP) == ["0", "0"]


def test_temp_table_hides_a_real_one(ctx):
    ctx.sql("CREATE TABLE t(v text); INSERT INTO t VALUES ('real'); GRANT ALL ON t TO PUBLIC")
    p, a, b = two(ctx)
    a.query("CREATE TEMP TABLE t(v text); INSERT INTO t VALUES ('temp')")
    for _ in range(3):
        assert a.value("SELECT v FROM t") == "temp"
        assert b.value("SELECT v FROM t") == "real"
    a.query("DROP TABLE pg_temp.t")
    assert a.value("SELECT v FROM t") == "real"


def test_advisory_lock(ctx):
    p, a, b = two(ctx)
    a.query("SELECT pg_advisory_lock(7)")
    for _ in range(3):
        assert b.value("SELECT pg_try_advisory_lock(7)") == "f"
    assert a.value("SELECT pg_advisory_unlock(7)") == "t"
    assert b.value("SELECT pg_try_advisory_lock(7)") == "t"
    assert b.value("SELECT pg_advisory_unlock(7)") == "t"
    a.query("SELECT pg_advisory_lock(8)")
    a.close()
    p.wait(lambda: b.value("SELECT pg_try_advisory_lock(8)") == "t", "the lock of a client that left")


def test_listen(ctx):
    p, a, b = two(ctx)
    a.query("LISTEN news")
    b.query("SELECT 1")
    b.query("NOTIFY news, 'hello'")
    m = a.read(5)
    assert m.kind == "A" and b"news\0hello\0" in m.body, m
    # b does not listen: not even when it runs on a's server.
    for _ in range(3):
        ctx.sql("NOTIFY news, 'more'")
        assert "A" not in b.ask(query("SELECT 1")).kinds
    a.query("UNLISTEN *")
    a.close()
    assert set(everywhere(ctx, p, "SELECT count(*) FROM pg_listening_channels()")) == {"0"}


def test_sql_prepare(ctx):
    p, a, b = two(ctx)
    a.query("PREPARE plan AS SELECT 'mine'")
    for _ in range(3):
        assert a.value("EXECUTE plan") == "mine"
        assert b.ask(query("EXECUTE plan")).sqlstate() == "26000"
    b.query("PREPARE plan AS SELECT 'yours'")
    assert a.value("EXECUTE plan") == "mine"
    assert b.value("EXECUTE plan") == "yours"
    a.query("DEALLOCATE plan")
    assert a.ask(query("EXECUTE plan")).sqlstate() == "26000"
    a.close()
    b.close()
    assert everywhere(ctx, p, "SELECT count(*) FROM pg_prepared_statements WHERE from_sql") == ["0", "0"]


def test_cursor_with_hold(ctx):
    p, a, b = two(ctx)
    a.query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 5); COMMIT")
    assert a.value("FETCH c") == "1"
    assert b.ask(query("FETCH c")).sqlstate() == "34000"
    assert a.value("FETCH c") == "2"
    a.close()
    assert everywhere(ctx, p, "SELECT count(*) FROM pg_cursors WHERE is_holdable") == ["0", "0"]


def test_state_left_by_functions(ctx):
    """A function may leave anything; the proxy cannot see into it."""
    ctx.sql("""CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN PERFORM set_config('work_mem', '9MB', false); END $$;
               CREATE FUNCTION temps() RETURNS void LANGUAGE plpgsql AS
               $$ BEGIN CREATE TEMP TABLE hidden(i int); END $$""")
    p, a, b = two(ctx)
    a.query("SELECT sets()")
    a.run("SELECT temps()")
    for _ in range(3):
        assert a.value("SHOW work_mem") == "9MB"
        assert a.value("SELECT count(*) FROM hidden") == "0"
        assert b.value("SHOW work_mem") == "4MB"
        assert b.ask(query("SELECT * FROM hidden")).sqlstate() == "42P01"
    b.query("DO $$ BEGIN PERFORM set_config('work_mem', '8MB', false); END $$")
    assert b.value("SHOW work_mem") == "8MB"
    assert a.value("SHOW work_mem") == "9MB"
    a.close()
    b.close()
    assert everywhere(ctx, p, "SHOW work_mem") == ["4MB", "4MB"]


def test_currval_and_lastval(ctx):
    ctx.sql("CREATE SEQUENCE s; GRANT ALL ON s TO PUBLIC")
    p, a, b = two(ctx)
    assert a.value("SELECT nextval('s')") == "1"
    assert b.value("SELECT nextval('s')") == "2"
    a.query("BEGIN")
    value = a.value("SELECT nextval('s')")
    assert a.value("SELECT currval('s')") == value
    a.query("COMMIT")


def test_custom_setting(ctx):
    """An application's own setting (row security policies read them)."""
    p, a, b = two(ctx)
    a.query("SET app.tenant = '7'")
    for _ in range(3):
        assert a.value("SELECT current_setting('app.tenant', true)") == "7"
        assert b.value("SELECT coalesce(nullif(current_setting('app.tenant', true), ''), 'none')") == "none"
    a.close()
    seen = everywhere(ctx, p, "SELECT coalesce(nullif(current_setting('app.tenant', true), ''), 'none')")
    assert seen == ["none", "none"], seen


def test_multi_statement_hides_set(ctx):
    p, a, b = two(ctx)
    a.query("SELECT 1; SET work_mem = '5MB'; SELECT 2")
    b.query("/* SET */ SELECT 1")
    assert a.value("SHOW work_mem") == "5MB"
    assert b.value("SHOW work_mem") == "4MB"
    a.ask(query("SELECT 1; SET work_mem = '6MB'; SELECT 1/0"))     # one implicit transaction
    assert a.value("SHOW work_mem") == "5MB"


def test_pin_ends(ctx):
    """DISCARD ALL cleans the session, and the server is shared again."""
    p, a, b = two(ctx, size=1)
    a.query("CREATE TEMP TABLE x(i int)")
    b.send(query("SELECT 'b'"))
    assert b.is_quiet(0.2)
    a.query("DISCARD ALL")
    assert b.until_ready().value == "b"


def test_pinned_client_dies(ctx):
    p, a, b = two(ctx, size=1)
    a.query("CREATE TEMP TABLE x(i int); SET work_mem = '5MB'")
    a.abort()
    assert b.value("SHOW work_mem") == "4MB"
    assert b.ask(query("SELECT * FROM x")).sqlstate() == "42P01"


def test_transaction_of_dead_client(ctx):
    ctx.sql("CREATE TABLE t(i int PRIMARY KEY); GRANT ALL ON t TO PUBLIC")
    p, a, b = two(ctx, size=1)
    a.query("BEGIN")
    a.query("INSERT INTO t VALUES (1)")
    a.abort()
    assert b.value("SELECT count(*) FROM t") == "0"
    b.query("INSERT INTO t VALUES (1)")
    # An open transaction of a client that says goodbye.
    b.query("BEGIN; DELETE FROM t")
    b.close()
    c = ctx.keep(p.connect(ctx.db))
    assert c.value("SELECT count(*) FROM t") == "1"
    # In the middle of an extended batch, without its Sync.
    c.send(parse("INSERT INTO t VALUES (5)") + b"B\0\0\0\x0c\0\0\0\0\0\0\0\0" + b"E\0\0\0\x09\0\0\0\0\0" + b"H\0\0\0\4")
    c.until("C")
    c.abort()
    d = ctx.keep(p.connect(ctx.db))
    assert d.value("SELECT count(*) FROM t") == "1"
