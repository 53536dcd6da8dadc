# SPDX-License-Identifier: Apache-2.0
"""What statements do to the cache is laid to the right tables, at the right time, whatever comes in
one pipeline or in one text; and an entry holds the answer of its own statement."""
import time

from pgwire import bind, execute, parse, query, sync
from proxy import CACHE_SETTINGS

READ = "SELECT n FROM t WHERE id = 1"
READ_B = "SELECT n FROM b.t WHERE id = 1"
USE = bind() + execute() + sync()


def one(ctx, **settings):
    """A cache whose clients share one server."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0);"
            "CREATE TABLE u(id int PRIMARY KEY, n int); INSERT INTO u VALUES (1, 666);"
            "GRANT ALL ON t, u TO app")
    return ctx.cache_proxy(worker_threads=1, **settings)


def test_fill_after_injected_error(ctx):
    """A cancel hits the Parse that the proxy sent itself. The fill that was to follow does not take
    the next client's answer for its own."""
    p = one(ctx, default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for c in (a, b):
        c.query("SELECT n FROM u WHERE id = 1")
        c.query(READ)
    time.sleep(0.2)
    a.ask(parse(READ + " AND 7 = 7") + USE).check()
    a.ask(parse(READ + " AND 8 = 8") + sync()).check()
    b.query("SELECT 1")  # the server loses its unnamed statement
    time.sleep(0.2)
    lock = ctx.direct()
    lock.query("BEGIN")
    lock.query("LOCK TABLE t")
    a.send(USE)
    time.sleep(0.2)
    a.cancel()
    ctx.note(f"cancelled: {a.until_ready().sqlstate()}")
    lock.query("ROLLBACK")
    b.query("SELECT n FROM u WHERE id = 1 AND 9 = 9")
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse(READ + " AND 8 = 8") + sync()).check()
    for _ in range(30):
        r = c.ask(USE)
        assert r.rows == [("0",)], (r.kinds, r.rows)
        time.sleep(0.01)


def test_effects_of_pipelined(ctx):
    """A write that runs on after an earlier answer of its pipeline: that answer does not end its
    effects."""
    p = one(ctx, max_staleness="8s")
    r, w = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: r.value(READ))
    w.send(query("SELECT 1") + query("UPDATE t SET n = 1 WHERE id = 1; SELECT pg_sleep(1)"))
    w.until_ready()
    time.sleep(0.2)
    for _ in range(20):
        assert r.value(READ) == "0"
    with ctx.pg.stream_held(ctx.db):
        w.until_ready().check()
        got = [r.value(READ) for _ in range(3)]
    assert got == ["1"] * 3, got


def check_names(ctx, *statements):
    """After the statements, which write b.t by the name t, no old row of b.t is served."""
    ctx.sql("CREATE SCHEMA b; CREATE TABLE b.t(id int PRIMARY KEY, n int); "
            "INSERT INTO b.t VALUES (1, 0); "
            "GRANT USAGE ON SCHEMA b TO app; GRANT ALL ON b.t TO app")
    p = one(ctx, max_staleness="8s")
    r, w = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: r.value(READ))
    w.query(READ)
    ctx.wait_hit(p, lambda: r.value(READ_B))
    time.sleep(0.2)
    with ctx.pg.stream_held(ctx.db):
        for sql in statements:
            w.query(sql)
        got = [r.value(READ_B) for _ in range(3)]
    assert got == ["1"] * 3, got


WRITE = "UPDATE t SET n = 1 WHERE id = 1"


def test_names_qualified(ctx):
    check_names(ctx, "UPDATE b.t SET n = 1 WHERE id = 1")


def test_names_after_set_local(ctx):
    check_names(ctx, "BEGIN", "SET LOCAL search_path = b", WRITE, "COMMIT")


def test_names_in_one_text(ctx):
    check_names(ctx, f"BEGIN; SET LOCAL search_path = b; {WRITE}; COMMIT")


def test_names_after_one_text(ctx):
    check_names(ctx, "BEGIN; SET LOCAL search_path = b", WRITE, "COMMIT")


def test_names_after_set_in_one_text(ctx):
    check_names(ctx, f"SET search_path = b; {WRITE}")


def test_row_security_by_setting(ctx):
    """A policy that reads a setting of the session: each client gets its own rows."""
    p = one(ctx)
    ctx.sql("CREATE TABLE r(id int PRIMARY KEY, o text); INSERT INTO r VALUES (1, 'a'), (2, 'b'); "
            "GRANT ALL ON r TO app; ALTER TABLE r ENABLE ROW LEVEL SECURITY; "
            "CREATE POLICY x ON r USING (o = current_setting('application_name'))")
    a = ctx.keep(p.connect(ctx.db, application_name="a"))
    b = ctx.keep(p.connect(ctx.db, application_name="b"))
    for _ in range(20):
        assert a.query("SELECT id FROM r").rows == [("1",)]
        assert b.query("SELECT id FROM r").rows == [("2",)]
        time.sleep(0.01)


def test_connect_query(ctx):
    """connect_query names the schema, also after another client's settings were reset."""
    ctx.sql("CREATE SCHEMA b; GRANT USAGE ON SCHEMA b TO app")
    for table, n in (("t", 111), ("b.t", 222)):
        ctx.sql(f"CREATE TABLE {table}(id int PRIMARY KEY, n int); GRANT ALL ON {table} TO app; "
                f"INSERT INTO {table} VALUES (1, {n}), (2, {n})")
    databases = {ctx.db: ctx.server(connect_query="'SET search_path = b, public'")}
    p = ctx.proxy(databases=databases, default_pool_size=1, worker_threads=1, **CACHE_SETTINGS)
    c = ctx.keep(p.connect(ctx.db))
    # Whether such a database is cached at all is not the question here.
    for _ in range(100):
        assert c.value(READ) == "222"
        time.sleep(0.005)
    with p.connect(ctx.db) as d:
        d.query("SET lock_timeout = 5")
    time.sleep(0.1)
    for _ in range(20):
        assert c.value("SELECT n FROM t WHERE id = 2") == "222"
        time.sleep(0.01)


EVERY_MODE = {"invalidation": "proxy"}, {}


def test_code_behind_temporary_ones(ctx):
    """An event trigger runs when a temporary table is made, in each of its ways: what it writes is seen at once."""
    for settings in EVERY_MODE:
        p = one(ctx, **settings)
        ctx.sql("CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS"
                " $$ BEGIN UPDATE public.t SET n = n + 1 WHERE id = 1; END $$;"
                f"CREATE EVENT TRIGGER {ctx.db}_ev ON ddl_command_end EXECUTE FUNCTION ev(); GRANT TEMP ON DATABASE {ctx.db} TO app")
        reader, writer = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        for text in ("CREATE TEMP TABLE a(i int)", "CREATE TEMP TABLE IF NOT EXISTS b(i int)", "CREATE TEMP TABLE c ON COMMIT DROP AS SELECT 1 AS i",
                     "SELECT 1 AS i INTO TEMP d", "CREATE TABLE pg_temp.e(i int)"):
            ctx.wait_hit(p, lambda: reader.value(READ))
            with ctx.pg.stream_held(ctx.db):
                writer.query(text).check()
                assert [(reader.value(READ),)] == ctx.sql(READ), (settings, text)
        p.stop()
        ctx.sql(f"DROP EVENT TRIGGER {ctx.db}_ev; DROP FUNCTION ev; DROP TABLE t, u")


def test_code_behind_analyze(ctx):
    """ANALYZE of whatever there is runs the expressions of indexes."""
    for settings in EVERY_MODE:
        p = one(ctx, **settings)
        ctx.sql("CREATE FUNCTION inc() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS"
                " 'BEGIN UPDATE public.t SET n = n + 1 WHERE id = 1; RETURN 1; END';"
                "CREATE FUNCTION imm(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.inc(); END';"
                "CREATE TABLE mine(a int); INSERT INTO mine VALUES (1), (2); CREATE INDEX ON mine(imm(a)); ALTER TABLE mine OWNER TO app")
        reader, writer = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        for text in ("ANALYZE", "ANALYZE mine", "VACUUM ANALYZE", "VACUUM (ANALYZE) mine"):
            ctx.wait_hit(p, lambda: reader.value(READ))
            with ctx.pg.stream_held(ctx.db):
                writer.query(text).check()
                assert [(reader.value(READ),)] == ctx.sql(READ), (settings, text)
        p.stop()
        ctx.sql("DROP TABLE mine, t, u; DROP FUNCTION inc, imm")
