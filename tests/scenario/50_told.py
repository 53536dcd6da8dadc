# SPDX-License-Identifier: Apache-2.0
"""Who was told a statement's columns, or its parameters' types, and does not ask again: is never answered by others.
As in PostgreSQL it gets the rows it was told of, or 0A000; on whichever server, and from memory."""
import struct

from pgwire import bind, close, describe, execute, flush, parse, query, sync, unit
from servers import move, release

TABLE = ("CREATE TABLE t(k int PRIMARY KEY, v int8); GRANT ALL ON t TO PUBLIC;"
         "INSERT INTO t SELECT k, k * 10 FROM generate_series(1, 9) k")
ALL, ONE = "SELECT * FROM t WHERE k = 1", "SELECT k FROM t WHERE v = $1"
BLIND = bind("s") + execute() + sync()
CHANGES = ("ALTER TABLE t ADD COLUMN w int", "ALTER TABLE t ALTER v TYPE float8", "ALTER TABLE t RENAME v TO w",
           "ALTER TABLE t DROP COLUMN v")
BINARY = bind("s", [struct.pack("!q", 10)], param_formats=(1,))


def setup(ctx, cache=False, **settings):
    ctx.sql(TABLE)
    settings = {"default_pool_size": 3, "worker_threads": 1, **settings}
    p = ctx.cache_proxy(**settings) if cache else ctx.proxy(**settings)
    if cache:
        ctx.wait_hits(p)
    return p


def client(ctx, p, sql=ALL, how="S", name="s"):
    """How it is told: by Describe of the statement, or of the portal of its first run."""
    c = ctx.keep(p.connect(ctx.db))
    if how == "S":
        c.ask(parse(sql, name) + describe("S", name) + sync()).check()
    elif how == "P":
        c.ask(parse(sql, name) + sync()).check()
        c.ask(bind(name) + describe() + execute() + sync()).check()
    elif how == "PARSED":
        c.ask(parse(sql, name) + bind(name) + describe() + execute() + sync()).check()
    elif how == "NAMED":
        c.ask(parse(sql, name) + bind(name, portal="p") + describe("P", "p") + execute("p") + sync()).check()
    elif how == "FLUSHED":
        c.send(parse(sql, name) + bind(name) + flush())
        assert c.read().kind + c.read().kind == "12"
        c.ask(describe() + execute() + sync()).check()
    return c


def refused(reply):
    error = reply.errors[0] if reply.errors else None
    assert error, f"rows of other columns than it was told: {reply.rows} {reply.columns}"
    assert (error.sqlstate, error.text) == ("0A000", "cached plan must not change result type"), error
    assert error.fields["R"] == "RevalidateCachedQuery"  # drivers look at this
    assert reply.rows == [] and reply.kinds.endswith("EZ"), reply.kinds


def test_another_server(ctx):
    """The statement is prepared there behind the change."""
    p = setup(ctx)
    for how in ("S", "P", "PARSED", "NAMED", "FLUSHED"):
        for change in CHANGES:
            c = client(ctx, p, how=how)
            assert c.ask(BLIND).check().rows == [("1", "10")]
            ctx.sql(change)
            for _ in range(2):  # also where it was refused already
                holders = move(ctx, p, c)
                refused(c.ask(BLIND))
                assert c.value("SELECT 5") == "5"
                release(holders)
            refused(c.ask(BLIND))
            # Who asks again is told, and knows it from then on.
            told = c.ask(bind("s") + describe() + execute() + sync()).check()
            assert c.ask(BLIND).check().rows == told.rows
            c.close()
            ctx.sql(f"DROP TABLE t; {TABLE}")


def test_described_by_somebody_else(ctx):
    """A Describe has it prepared anew, on the server that others have it on."""
    p = setup(ctx, default_pool_size=1)
    a, b = client(ctx, p), client(ctx, p)
    ctx.sql(CHANGES[0])
    assert len(b.ask(describe("S", "s") + sync()).check().columns) == 3
    refused(a.ask(BLIND))
    assert b.ask(BLIND).check().rows == [("1", "10", None)]
    a.ask(close("S", "s") + parse(ALL, "s") + describe("S", "s") + sync()).check()
    assert a.ask(BLIND).check().rows == [("1", "10", None)]


def test_two_names_of_one_text(ctx):
    """Each was told by itself."""
    p = setup(ctx)
    c = client(ctx, p)
    ctx.sql(CHANGES[0])
    c.ask(parse(ALL, "later") + describe("S", "later") + sync()).check()
    assert c.ask(bind("later") + execute() + sync()).check().rows == [("1", "10", None)]
    refused(c.ask(BLIND))
    assert c.ask(bind("later") + execute() + sync()).check().rows == [("1", "10", None)]


def test_as_before(ctx):
    """What is as it was told runs on every server, in pipelines and transactions."""
    p = setup(ctx)
    c = client(ctx, p)
    for shape in (BLIND, 3 * (bind("s") + execute()) + sync(), bind("s") + execute() + flush() + sync(),
                  bind("s") + execute() + unit("SELECT 7"), query("BEGIN") + BLIND + query("COMMIT")):
        holders = move(ctx, p, c)
        n = shape.count(b"BEGIN") * 2 + 1
        for _ in range(2):
            reply = c.ask(shape, times=n).check()
            assert [row for row in reply.rows if row != ("7",)] == [("1", "10")] * shape.count(bind("s")), reply.rows
        release(holders)
    ctx.sql("ALTER TABLE t ADD COLUMN w int; ALTER TABLE t DROP COLUMN w")
    for _ in range(3):
        holders = move(ctx, p, c)
        assert c.ask(BLIND).check().rows == [("1", "10")]
        release(holders)


def test_what_else_may_go_wrong(ctx):
    """The table is gone there, a transaction has failed, somebody cancels while the server is asked."""
    p = setup(ctx)
    c = client(ctx, p)
    ctx.sql("ALTER TABLE t RENAME TO u")
    holders = move(ctx, p, c)
    assert c.ask(BLIND).sqlstate() == "42P01"
    c.query("BEGIN")
    assert c.ask(BLIND).sqlstate() == "42P01" and c.ask(query("SELECT 1")).sqlstate() == "25P02"
    assert c.ask(BLIND).errors and c.query("ROLLBACK").check().status == "I"
    ctx.sql("ALTER TABLE u RENAME TO t")
    assert c.ask(BLIND).check().rows == [("1", "10")]
    release(holders)
    watcher = ctx.direct()
    with ctx.direct() as locker:
        locker.query("BEGIN; LOCK TABLE t").check()
        other = client(ctx, p, "SELECT 1 AS one, 2 AS two", "S", "x")
        holders = move(ctx, p, c)
        c.send(BLIND)
        p.wait(lambda: watcher.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                     " AND datname = current_database()") == "1", "a server that waits for the lock")
        c.cancel()
        assert c.until_ready().sqlstate() == "57014"
        assert other.ask(bind("x") + execute() + sync()).check().rows == [("1", "2")]
        locker.query("ROLLBACK")
    assert c.ask(BLIND).check().rows == [("1", "10")]
    c.query("BEGIN")
    ctx.sql(CHANGES[0])
    refused(c.ask(BLIND))
    assert c.ask(query("SELECT 1")).sqlstate() == "25P02" and c.query("ROLLBACK").check().status == "I"


def test_who_comes_later(ctx):
    """A client that starts behind the change, told by one server, runs on another that has the statement from before."""
    p = setup(ctx)
    for told in (True, False):
        old = client(ctx, p, how="S" if told else None)
        if not told:
            old.ask(parse(ALL, "s") + sync()).check()
        for _ in range(2):
            holders = move(ctx, p, old)
            assert old.ask(BLIND).check().rows == [("1", "10")]
            release(holders)
        old.close()
        ctx.sql(CHANGES[0])
        new = client(ctx, p)
        for _ in range(4):
            holders = move(ctx, p, new)
            assert new.ask(BLIND).check().rows == [("1", "10", None)]
            release(holders)
        new.close()
        ctx.sql(f"DROP TABLE t; {TABLE}")


def test_told_by_a_plan(ctx):
    """What a portal's columns are told with may be more than what the statement's are: its plan knows the values."""
    ctx.sql("CREATE TABLE n(id int, name varchar(50), p numeric(10,2)); INSERT INTO n VALUES (1, 'a', 2); GRANT ALL ON n TO PUBLIC")
    p = setup(ctx)
    for sql, value in (("SELECT COALESCE($1, name) FROM n", None), ("SELECT CASE WHEN $1::bool THEN p ELSE 0 END FROM n", "t"),
                       ("UPDATE n SET name = name WHERE id = 1 RETURNING COALESCE($1, name)", None),
                       ("SELECT CASE WHEN true THEN name ELSE 'x' END FROM n WHERE $1 = 1", "1")):
        c = client(ctx, p, sql, None)
        c.ask(parse(sql, "s") + sync()).check()
        told = c.ask(bind("s", [value]) + describe() + execute() + sync()).check()
        for _ in range(2):
            holders = move(ctx, p, c)
            assert c.ask(bind("s", [value]) + execute() + sync()).check().rows == told.rows, sql
            release(holders)
        c.close()


def test_asked_in_the_same_pipeline(ctx):
    """Who asks in front of a Bind, by whatever, is told the truth of now, and reads by that."""
    p = setup(ctx, default_pool_size=1)
    run = bind("s") + execute()
    for shape in (describe("S", "s") + run + sync(), bind("s") + describe() + execute() + run + sync(),
                  describe("S", "s") + sync() + run + sync(), query("BEGIN") + unit("SELECT 1")[:-5] + describe("S", "s") + run + sync() + query("COMMIT")):
        c = client(ctx, p)
        ctx.sql(CHANGES[0])
        client(ctx, p).close()  # has it prepared anew
        reply = c.ask(shape, times=shape.count(b"S\0\0\0\4") + shape.count(b"Q\0\0\0")).check()
        assert reply.rows[-1] == ("1", "10", None), (shape, reply.rows)
        assert c.ask(BLIND).check().rows == [("1", "10", None)]
        c.close()
        ctx.sql(f"DROP TABLE t; {TABLE}")


def test_another_portals_columns(ctx):
    """Of another statement, or of a cursor that SQL declared under the portal's name: they tell nothing of this one."""
    p = setup(ctx)
    c = client(ctx, p)
    c.ask(parse("SELECT 1 AS other", "x") + sync()).check()
    c.query("BEGIN")
    c.ask(bind("s", portal="c1") + execute("c1") + close("P", "c1") + sync()).check()
    c.query("DECLARE c1 CURSOR FOR SELECT 1 AS other").check()
    c.ask(describe("P", "c1") + sync()).check()
    c.query("COMMIT")
    holders = move(ctx, p, c)
    assert c.ask(BLIND).check().rows == [("1", "10")]
    release(holders)
    ctx.sql(CHANGES[0])
    holders = move(ctx, p, c)
    refused(c.ask(bind("x", portal="q") + bind("s") + describe("P", "q") + execute() + sync()))
    release(holders)


def test_cursors_are_their_own(ctx):
    """What FETCH gives is its cursor's, whatever the statement was told to give."""
    p = setup(ctx)
    c = client(ctx, p, "FETCH 1 FROM c", None)
    c.query("BEGIN; DECLARE c CURSOR FOR SELECT k FROM t").check()
    c.ask(parse("FETCH 1 FROM c", "s") + describe("S", "s") + sync()).check()
    assert c.ask(BLIND).check().rows == [("1",)]
    c.query("COMMIT")
    holders = move(ctx, p, c)
    c.query("BEGIN; DECLARE c CURSOR FOR SELECT k, v FROM t").check()
    assert c.ask(BLIND).check().rows == [("1", "10")]
    c.query("COMMIT")
    release(holders)


def test_cancelled_while_asked(ctx):
    """The question alone waits for a lock: a cancel ends that, as it would the client's own."""
    p = setup(ctx)
    c, other = client(ctx, p), client(ctx, p, how=None)
    holders = move(ctx, p, c)
    other.ask(parse(ALL, "s") + sync() + BLIND, times=2).check()
    lock, watcher = ctx.direct(), ctx.direct()
    for sends in (BLIND, query("BEGIN") + BLIND):
        lock.query("BEGIN; LOCK TABLE t").check()
        c.send(sends)
        p.wait(lambda: watcher.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                     " AND datname = current_database()") == "1", "a server that waits for the lock")
        c.cancel()
        reply = c.until_ready(sends.count(b"BEGIN") + 1)
        assert reply.sqlstate() == "57014", reply.kinds
        lock.query("ROLLBACK")
    c.query("ROLLBACK")
    assert c.ask(BLIND).check().rows == [("1", "10")]
    release(holders)


def test_unread_answers(ctx):
    """The answer to the question comes while the client does not read: its server stays its own until its batch has ended."""
    p = setup(ctx, default_pool_size=2)
    watcher = ctx.direct()
    for kb in range(60, 420, 40):
        c = ctx.keep(p.connect(ctx.db, unix=True))
        for name, sql in (("big", f"SELECT repeat('x', 1000) FROM generate_series(1, {kb})"), ("s", f"SELECT *, {kb} AS n FROM t WHERE k = 1")):
            c.ask(parse(sql, name) + describe("S", name) + sync()).check()
        holders = move(ctx, p, c)
        c.send(bind("big") + execute() + sync() + BLIND)
        held = ("SELECT count(*) FROM pg_locks JOIN pg_stat_activity a USING (pid) WHERE relation = 't'::regclass"
                " AND a.datname = current_database()")
        reply = c.until_ready(2).check()
        assert len(reply.rows) == kb + 1
        c.send(bind("big") + execute() + sync() + BLIND)
        c.close()
        release(holders)
        p.wait(lambda: watcher.value(held) == "0", "an end of the transaction")


def test_a_write_does_not_run(ctx):
    """Where the answer would mislead, nothing was done."""
    p = setup(ctx)
    c = client(ctx, p, "UPDATE t SET v = v + 1 WHERE k = 1 RETURNING *")
    ctx.sql(CHANGES[0])
    for _ in range(2):
        holders = move(ctx, p, c)
        refused(c.ask(BLIND))
        release(holders)
    assert ctx.direct().value("SELECT v FROM t WHERE k = 1") == "10"


def test_a_failed_pipeline_changes_nothing(ctx):
    """A name means what it meant, and was told what it was."""
    p = setup(ctx)
    c = client(ctx, p)
    reply = c.ask(unit("SELECT 1/0")[:-5] + close("S", "s") + parse("SELECT 1", "s") + sync())
    assert reply.sqlstate() == "22012"
    ctx.sql(CHANGES[0])
    holders = move(ctx, p, c)
    refused(c.ask(BLIND))
    release(holders)


def test_old_types_of_parameters(ctx):
    """A value in binary is of the type that its client was told."""
    p = setup(ctx)
    for sql, rows in ((ONE, [("1",)]), ("INSERT INTO t VALUES (11, $1) RETURNING k", [("11",)]),
                      ("UPDATE t SET v = $1 WHERE k = 2", [])):
        c = client(ctx, p, sql)
        assert c.ask(BINARY + describe() + execute() + sync()).check().rows == rows
        ctx.sql("DELETE FROM t WHERE k = 11; ALTER TABLE t ALTER v TYPE float8")
        for ask in (b"", describe()):
            holders = move(ctx, p, c)
            refused(c.ask(BINARY + ask + execute() + sync()))
            release(holders)
        assert ctx.direct().query("SELECT k FROM t WHERE v NOT IN (10, 20, 30, 40, 50, 60, 70, 80, 90)").rows == []
        # As text it means the same.
        text = c.ask(bind("s", ["10"]) + describe() + execute() + sync()).check()
        assert text.rows == rows
        c.close()
        ctx.sql(f"DROP TABLE t; {TABLE}")


def test_the_unnamed_statement(ctx):
    """Prepared and described, and bound later: also on another server."""
    ctx.sql(TABLE)
    for mode in ("transaction", "session"):
        p = ctx.proxy(pool_mode=mode, default_pool_size=3, worker_threads=1)
        c = ctx.keep(p.connect(ctx.db))
        c.ask(parse(ALL) + describe("S") + sync()).check()
        blind = bind() + execute() + sync()
        assert c.ask(blind).check().rows == c.ask(blind).check().rows == [("1", "10")]
        ctx.sql(CHANGES[0])
        if mode == "transaction":
            holders = [ctx.keep(p.connect(ctx.db))]
            holders[0].query("BEGIN").check()
        refused(c.ask(blind))
        refused(c.ask(blind))
        c.ask(parse(ALL) + describe("S") + sync()).check()
        assert c.ask(blind).check().rows == [("1", "10", None)]
        ctx.sql(f"DROP TABLE t; {TABLE}")


def test_from_memory(ctx):
    """Another's answer is in memory, with the new columns."""
    p = setup(ctx, cache=True)
    for mode in ("transaction", "session"):
        p.reload(databases={ctx.db: f"{ctx.server()} pool_mode={mode}"})
        for how in ("S", "P", "PARSED"):
            for change in CHANGES:
                a, b = client(ctx, p, how=how), client(ctx, p, how=how)
                for c in (a, b):
                    ctx.wait_hit(p, lambda c=c: c.ask(BLIND).check())
                    assert c.ask(BLIND).check().rows == [("1", "10")]
                ctx.sql(change)
                p.wait(lambda: b.ask(BLIND).errors, "the change")
                b.ask(close("S", "s") + parse(ALL, "s") + describe("S", "s") + sync()).check()
                ctx.wait_hit(p, lambda b=b: b.ask(BLIND).check())
                for _ in range(3):
                    refused(a.ask(BLIND))
                for c in (a, b):
                    c.close()
                ctx.sql(f"DROP TABLE t; {TABLE}")


def test_types_from_memory(ctx):
    """The same bytes are another value to who was told another type."""
    p = setup(ctx, cache=True)
    a, b = client(ctx, p, ONE), client(ctx, p, ONE)
    run = BINARY + describe() + execute() + sync()
    for c in (a, b):
        ctx.wait_hit(p, lambda c=c: c.ask(run).check())
        assert c.ask(run).check().rows == [("1",)]
    ctx.sql("ALTER TABLE t ALTER v TYPE float8")
    b.ask(close("S", "s") + parse(ONE, "s") + describe("S", "s") + sync()).check()
    p.wait(lambda: b.ask(run).check().rows == [], "the change")  # the bits of that int8 are no such float8
    ctx.wait_hit(p, lambda: b.ask(run).check())
    refused(a.ask(run))


def test_hits(ctx):
    """Drivers that ask once hit; those who were told the same share their answers."""
    p = setup(ctx, cache=True)
    for mode in ("transaction", "session"):
        p.reload(databases={ctx.db: f"{ctx.server()} pool_mode={mode}"})
        first = client(ctx, p)
        ctx.wait_hit(p, lambda: first.ask(BLIND).check())
        for how in ("S", "P", "PARSED"):
            c = client(ctx, p, how=how)
            before = p.cache()["misses"]
            ctx.wait_hit(p, lambda c=c: c.ask(BLIND).check())
            assert c.ask(BLIND).check().rows == [("1", "10")]
            assert p.cache()["misses"] == before, (mode, how)


def test_hits_of_an_unnamed_statement(ctx):
    p = setup(ctx, cache=True)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse(ALL) + describe("S") + sync()).check()
    blind = bind() + execute() + sync()
    ctx.wait_hit(p, lambda: c.ask(blind).check())
    before = p.cache()
    for _ in range(5):
        assert c.ask(blind).check().rows == [("1", "10")]
    assert p.cache()["hits"] - before["hits"] == 5


def test_told_by_hits(ctx):
    """What an answer from memory told counts as well."""
    p = setup(ctx, cache=True)
    run = bind("s") + describe() + execute() + sync()
    whole = parse(ALL, "s") + run
    a, b = ctx.keep(p.connect(ctx.db)), client(ctx, p, how="P")
    ctx.wait_hit(p, lambda: b.ask(run).check())
    before = p.cache()["hits"]
    assert a.ask(whole).check().rows == [("1", "10")] and p.cache()["hits"] == before + 1
    ctx.wait_hit(p, lambda: a.ask(BLIND).check())
    ctx.sql(CHANGES[0])
    p.wait(lambda: b.ask(BLIND).errors, "the change")
    # Another one, who was told the old columns and asks: it reads the new ones from then on.
    ctx.wait_hit(p, lambda: b.ask(run).check())
    assert b.ask(run).check().rows == b.ask(BLIND).check().rows == [("1", "10", None)]
    ctx.wait_hit(p, lambda: b.ask(BLIND).check())
    refused(a.ask(BLIND))
    assert a.ask(run).check().rows == a.ask(BLIND).check().rows == [("1", "10", None)]


def test_hits_of_what_nobody_described(ctx):
    """A client that describes some of its statements hits with the others, too; unless it cannot be known which it described."""
    p = setup(ctx, cache=True)
    c = client(ctx, p, "SELECT v FROM t WHERE k = 2", "P", "x")
    c.ask(parse(ALL, "s") + sync()).check()
    ctx.wait_hit(p, lambda: c.ask(BLIND).check())
    c.ask(bind("s", portal="p") + bind("x", portal="q") + describe("P", "p") + execute("p") + execute("q") + sync()).check()
    before = p.cache()
    for _ in range(3):
        assert c.ask(BLIND).check().rows == [("1", "10")]
    assert p.cache()["bypass_shape"] - before["bypass_shape"] == 3
    c.ask(describe("S", "s") + sync()).check()
    ctx.wait_hit(p, lambda: c.ask(BLIND).check())
