# SPDX-License-Identifier: Apache-2.0
"""Writes through the proxy: from the moment one is acknowledged, every read of every client sees it."""
import threading

from pgwire import bind, copy_data, copy_done, execute, parse, query, sync, unit

SETUP = """
CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); GRANT ALL ON t TO app;
"""
READ = "SELECT n FROM t WHERE id = 1"


def copy_in(c, n):
    c.query("DELETE FROM t WHERE id = 1")
    c.send(query("COPY t FROM STDIN"))
    c.until("G")
    c.send(copy_data(f"1\t{n}\n".encode()) + copy_done())
    c.until_ready().check()


def copy_in_extended(c, n):
    c.query("DELETE FROM t WHERE id = 1")
    c.send(parse("COPY t FROM STDIN") + bind() + execute() + sync())
    c.until("G")
    c.send(copy_data(f"1\t{n}\n".encode()) + copy_done() + sync())
    c.until_ready().check()


def transaction(c, n):
    c.query("BEGIN")
    c.query(f"UPDATE t SET n = {n} WHERE id = 1")
    c.query("COMMIT")


def savepoints(c, n):
    c.query("BEGIN; SAVEPOINT a")
    c.query(f"UPDATE t SET n = {n} WHERE id = 1")
    c.query("RELEASE a; SAVEPOINT b; UPDATE t SET n = -1; ROLLBACK TO b")
    c.run("COMMIT")


def two_phase(c, n):
    c.query("BEGIN")
    c.query(f"UPDATE t SET n = {n} WHERE id = 1")
    c.query(f"PREPARE TRANSACTION 'own{n}'")
    c.query(f"COMMIT PREPARED 'own{n}'")


def prepared(c, n):
    if n == 1:
        c.ask(parse("UPDATE t SET n = $1 WHERE id = 1", "up") + sync()).check()
    c.ask(bind("up", [n]) + execute() + sync()).check()


def sql_prepared(c, n):
    if n == 1:
        c.query("PREPARE up(int) AS UPDATE t SET n = $1 WHERE id = 1")
    c.query(f"EXECUTE up({n})")


def pipeline(c, n):
    c.ask(query("BEGIN") + unit("UPDATE t SET n = $1 WHERE id = 1", [n]) + query("COMMIT"), times=3).check()


def implicit_pipeline(c, n):
    """Several statements before one Sync are one transaction."""
    c.ask(parse("UPDATE t SET n = $1 WHERE id = 1") + bind(params=[n]) + execute()
          + parse("UPDATE t SET n = n WHERE id = 2") + bind() + execute() + sync()).check()


def truncate(c, n):
    c.query(f"BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, {n}), (2, 0); COMMIT")


def asynchronous(c, n):
    c.query(f"BEGIN; SET LOCAL synchronous_commit = off; UPDATE t SET n = {n} WHERE id = 1; COMMIT")


def error_after(c, n):
    """The batch's second transaction fails; the first is committed."""
    c.ask(query(f"BEGIN; UPDATE t SET n = {n} WHERE id = 1; COMMIT; SELECT 1/0"))


def chain(c, n):
    c.query("BEGIN")
    c.query(f"UPDATE t SET n = {n} WHERE id = 1")
    c.query("COMMIT AND CHAIN")
    c.query("ROLLBACK")


# name: (more set-up, the write of n by connection c)
WRITES = {
    "simple": ("", lambda c, n: c.query(f"UPDATE t SET n = {n} WHERE id = 1")),
    "extended": ("", lambda c, n: c.run("UPDATE t SET n = $1 WHERE id = 1", [n])),
    "prepared": ("", prepared),
    "sql_prepared": ("", sql_prepared),
    "transaction": ("", transaction),
    "one_message": ("", lambda c, n: c.query(f"BEGIN; UPDATE t SET n = {n} WHERE id = 1; COMMIT")),
    "multi_statement": ("", lambda c, n: c.query(f"SELECT 1; UPDATE t SET n = {n} WHERE id = 1; SELECT 2")),
    "error_after": ("", error_after),
    "pipeline": ("", pipeline),
    "implicit_pipeline": ("", implicit_pipeline),
    "savepoints": ("", savepoints),
    "chain": ("", chain),
    "two_phase": ("", two_phase),
    "asynchronous": ("", asynchronous),
    "delete_insert": ("", lambda c, n: c.query(f"DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, {n})")),
    "upsert": ("", lambda c, n: c.query(f"INSERT INTO t VALUES (1, {n}) ON CONFLICT (id) DO UPDATE SET n = {n}")),
    "merge": ("", lambda c, n: c.query(f"MERGE INTO t USING (VALUES (1)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = {n}")),
    "with": ("", lambda c, n: c.query(f"WITH u AS (UPDATE t SET n = {n} WHERE id = 1 RETURNING n) SELECT * FROM u")),
    "explain_analyze": ("", lambda c, n: c.query(f"EXPLAIN ANALYZE UPDATE t SET n = {n} WHERE id = 1")),
    "copy": ("", copy_in),
    "copy_extended": ("", copy_in_extended),
    "truncate": ("", truncate),
    "comments": ("", lambda c, n: c.query(f"/* SELECT */ -- x\n uPdAtE /* a */ \"t\" SET n = {n} WHERE id = 1")),
    "qualified": ("", lambda c, n: c.query(f"UPDATE public.t SET n = {n} WHERE id = 1")),
    "do": ("", lambda c, n: c.query(f"DO $$ BEGIN UPDATE t SET n = {n} WHERE id = 1; END $$")),
    "function": ("CREATE FUNCTION set_n(x int) RETURNS void LANGUAGE sql AS 'UPDATE t SET n = x WHERE id = 1';",
                 lambda c, n: c.run("SELECT set_n($1)", [n])),
    "function_in_where": ("CREATE FUNCTION set_n(x int) RETURNS int LANGUAGE sql AS 'UPDATE t SET n = x WHERE id = 1 RETURNING n';",
                          lambda c, n: c.query(f"SELECT id FROM t WHERE id = 2 AND set_n({n}) > 0")),
    "procedure": ("CREATE PROCEDURE set_n(x int) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = x WHERE id = 1; COMMIT; END $$;",
                  lambda c, n: c.query(f"CALL set_n({n})")),
    "trigger": ("CREATE TABLE other(n int); GRANT ALL ON other TO app;"
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN UPDATE t SET n = NEW.n WHERE id = 1; RETURN NEW; END $$;"
                "CREATE TRIGGER tr AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION f();",
                lambda c, n: c.query(f"INSERT INTO other VALUES ({n})")),
    "deferred_trigger": ("CREATE TABLE other(n int); GRANT ALL ON other TO app;"
                         "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
                         "$$ BEGIN UPDATE t SET n = NEW.n WHERE id = 1; RETURN NEW; END $$;"
                         "CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON other DEFERRABLE INITIALLY DEFERRED "
                         "FOR EACH ROW EXECUTE FUNCTION f();",
                         lambda c, n: c.query(f"INSERT INTO other VALUES ({n})")),
    "rule": ("CREATE TABLE other(n int); GRANT ALL ON other TO app;"
             "CREATE RULE r AS ON INSERT TO other DO ALSO UPDATE t SET n = NEW.n WHERE id = 1;",
             lambda c, n: c.query(f"INSERT INTO other VALUES ({n})")),
    "view": ("CREATE VIEW tv AS SELECT * FROM t; GRANT ALL ON tv TO app;",
             lambda c, n: c.query(f"UPDATE tv SET n = {n} WHERE id = 1")),
    "cascade": ("CREATE TABLE parent(k int PRIMARY KEY); INSERT INTO parent VALUES (0); GRANT ALL ON parent TO app;"
                "ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES parent ON UPDATE CASCADE;",
                lambda c, n: c.query(f"UPDATE parent SET k = {n}")),
    "fast_path_call": ("CREATE FUNCTION set_n(x int) RETURNS int LANGUAGE sql AS 'UPDATE t SET n = x WHERE id = 1 RETURNING n';", None),
}


def fast_path_call(ctx):
    import struct
    from pgwire import message
    oid = int(ctx.sql("SELECT oid FROM pg_proc WHERE proname = 'set_n'")[0][0])

    def write(c, n):
        c.ask(message("F", struct.pack("!IHHHII", oid, 1, 1, 1, 4, n) + struct.pack("!H", 1))).check()
    return write


def check(ctx, name, rounds=25, readers=3, **settings):
    more, write = WRITES[name]
    ctx.sql(SETUP + more)
    if write is None:
        write = fast_path_call(ctx)
    p = ctx.cache_proxy(**({"worker_threads": 2, "default_pool_size": 8} | settings))
    writer = ctx.keep(p.connect(ctx.db))
    judges = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    stop, acknowledged = threading.Event(), [0]
    # Others read the same row all the time, so that it is filled at every possible instant.
    hammers = [ctx.thread(hammer, ctx, p, stop, acknowledged) for _ in range(readers)]
    try:
        ctx.wait_hits(p)
        before = p.cache()["hits"]
        for n in range(1, rounds + 1):
            write(writer, n)
            acknowledged[0] = n
            for j, judge in enumerate(judges):
                seen = judge.run(READ).value if j == 1 else judge.value(READ)
                assert seen == str(n), f"{name}: after the acknowledged write of {n}, client {j} sees {seen}"
            assert writer.value(READ) == str(n), f"{name}: the writer does not see its own write of {n}"
    finally:
        stop.set()
    for h in hammers:
        h.result()
    ctx.note(f"{p.cache()['hits'] - before:.0f} hits in between")


def hammer(ctx, p, stop, acknowledged):
    """What is not acknowledged yet may be seen by one read and not by the next: a miss and a hit."""
    with p.connect(ctx.db, timeout=20) as c:
        while not stop.is_set():
            least = acknowledged[0]
            rows = c.query(READ).rows
            if rows:
                assert int(rows[0][0]) >= least, f"a reader saw {rows[0][0]} after {least} was acknowledged"


# One test for each kind of write; the runner finds them by these definitions.
def test_simple(ctx): check(ctx, "simple", rounds=500)
def test_extended(ctx): check(ctx, "extended", rounds=200)
def test_prepared(ctx): check(ctx, "prepared")
def test_sql_prepared(ctx): check(ctx, "sql_prepared")
def test_transaction(ctx): check(ctx, "transaction", rounds=200)
def test_one_message(ctx): check(ctx, "one_message")
def test_multi_statement(ctx): check(ctx, "multi_statement")
def test_error_after(ctx): check(ctx, "error_after")
def test_pipeline(ctx): check(ctx, "pipeline")
def test_implicit_pipeline(ctx): check(ctx, "implicit_pipeline")
def test_savepoints(ctx): check(ctx, "savepoints")
def test_chain(ctx): check(ctx, "chain")
def test_two_phase(ctx): check(ctx, "two_phase")
def test_asynchronous(ctx): check(ctx, "asynchronous", rounds=100)
def test_delete_insert(ctx): check(ctx, "delete_insert")
def test_upsert(ctx): check(ctx, "upsert")
def test_merge(ctx): check(ctx, "merge")
def test_with(ctx): check(ctx, "with")
def test_explain_analyze(ctx): check(ctx, "explain_analyze")
def test_copy(ctx): check(ctx, "copy")
def test_copy_extended(ctx): check(ctx, "copy_extended")
def test_truncate(ctx): check(ctx, "truncate")
def test_comments(ctx): check(ctx, "comments")
def test_qualified(ctx): check(ctx, "qualified")
def test_do(ctx): check(ctx, "do")
def test_function(ctx): check(ctx, "function")
def test_function_in_where(ctx): check(ctx, "function_in_where")
def test_procedure(ctx): check(ctx, "procedure")
def test_trigger(ctx): check(ctx, "trigger")
def test_deferred_trigger(ctx): check(ctx, "deferred_trigger")
def test_rule(ctx): check(ctx, "rule")
def test_view(ctx): check(ctx, "view")
def test_cascade(ctx): check(ctx, "cascade")
def test_fast_path_call(ctx): check(ctx, "fast_path_call")
def test_session_mode(ctx): check(ctx, "simple", pool_mode="session", default_pool_size=12)
def test_invalidation_proxy(ctx): check(ctx, "simple", invalidation="proxy")
def test_one_worker(ctx): check(ctx, "simple", rounds=100, worker_threads=1)


def test_partitions(ctx):
    """A write to the parent or to a leaf ends entries of both."""
    ctx.sql("CREATE TABLE part(id int, n int) PARTITION BY RANGE (id);"
            "CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);"
            "CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (20);"
            "INSERT INTO part VALUES (1, 0), (11, 0); GRANT ALL ON part, part1, part2 TO app")
    p = ctx.cache_proxy()
    w, r = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for n in range(1, 20):
        w.query(f"UPDATE part SET n = {n} WHERE id = 1")
        assert r.value("SELECT n FROM part1 WHERE id = 1") == str(n)
        assert r.value("SELECT n FROM part WHERE id = 1") == str(n)
        w.query(f"UPDATE part2 SET n = {n} WHERE id = 11")
        assert r.value("SELECT n FROM part WHERE id = 11") == str(n)
        assert r.value("SELECT n FROM part2 WHERE id = 11") == str(n)
    w.query("UPDATE part SET id = 12 WHERE id = 1")
    assert r.query("SELECT n FROM part1 WHERE id = 1").rows == []


def test_write_whose_answer_is_lost(ctx):
    """The client dies between its write and the answer: the entry ends all the same."""
    import time
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    r = ctx.keep(p.connect(ctx.db))
    for n in range(1, 15):
        ctx.wait_hit(p, lambda: r.query(READ))
        w = p.connect(ctx.db)
        w.send(query(f"UPDATE t SET n = {n} WHERE id = 1"))
        if n % 2:
            time.sleep(0.001)
        w.abort()
        time.sleep(0.3)     # max_staleness and a little
        assert r.value(READ) == ctx.sql(READ)[0][0]


def test_failed_write(ctx):
    """A write that fails leaves the truth in place."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for sql in ("UPDATE t SET n = 1/0 WHERE id = 1", "INSERT INTO t VALUES (1, 5)", "BEGIN; UPDATE t SET n = 9; SELECT nope"):
        assert c.ask(query(sql)).errors
        if c.status == "E":
            c.query("ROLLBACK")
        for _ in range(5):
            assert c.value(READ) == "0"
    assert ctx.wait_hit(p, lambda: c.value(READ)) == "0"


def test_behind_discard_all(ctx):
    """A write behind DISCARD ALL, in one batch with it, is to what the names mean then."""
    ctx.sql(SETUP + "CREATE SCHEMA aside; GRANT USAGE ON SCHEMA aside TO app; CREATE TABLE aside.t AS SELECT 1 AS id, 7 AS n; GRANT ALL ON aside.t TO app")
    p = ctx.cache_proxy(hidden_code_check=0)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET search_path = aside")
    assert ctx.wait_hit(p, lambda: a.value(READ)) == "7"
    assert ctx.wait_hit(p, lambda: b.value(READ)) == "0"
    a.query("SELECT n FROM t WHERE id = 2")
    with ctx.pg.stream_held(ctx.db):
        a.ask(parse("DISCARD ALL") + bind() + execute() + parse("UPDATE t SET n = 1 WHERE id = 1") + bind() + execute() + sync()).check()
        assert b.value(READ) == "1"


def two_names(ctx, **settings):
    """A database under two names, read through both, and what gives the first to another one."""
    ctx.sql(SETUP)
    other = ctx.new_database()
    ctx.sql(SETUP, database=other)
    p = ctx.cache_proxy(databases={"a": ctx.server(), "b": ctx.server(), ctx.db: ctx.server()}, hidden_code_check=0, **settings)
    a, b = ctx.keep(p.connect("a")), ctx.keep(p.connect("b"))
    for c in (a, b):
        assert ctx.wait_hit(p, lambda c=c: c.value(READ)) == "0"

    def retarget():
        p.databases["a"] = ctx.server(dbname=other)
        p.reload()
        assert ctx.wait_hit(p, lambda: b.value(READ)) == "0"
    return a, b, retarget


def test_name_that_moves_in_a_transaction(ctx):
    """What is written is written where it began, whatever its database's name means since a RELOAD."""
    a, b, retarget = two_names(ctx)
    for sql in ("BEGIN", "UPDATE t SET n = 1 WHERE id = 1"):
        a.query(sql)
    retarget()
    with ctx.pg.stream_held(ctx.db):
        a.query("COMMIT")
        assert b.value(READ) == "1"


def test_name_that_moves_in_session_mode(ctx):
    """A session's server stays where it is."""
    a, b, retarget = two_names(ctx, pool_mode="session")
    retarget()
    with ctx.pg.stream_held(ctx.db):
        for n in range(1, 4):
            a.query(f"UPDATE t SET n = {n} WHERE id = 1")
            assert b.value(READ) == str(n)
