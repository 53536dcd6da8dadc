# SPDX-License-Identifier: Apache-2.0
"""A table changes under a prepared statement (0A000): the client does not notice, unless it was told
the old columns and could take the new rows for them."""
import struct

from pgwire import bind, close, describe, execute, flush, parse, query, sync, unit
from servers import move, release

ONCE = "CREATE TABLE t(a int); INSERT INTO t VALUES (1); GRANT ALL ON t TO PUBLIC"
RUN = bind("s") + describe() + execute() + sync()


def client(ctx, p, prepare="SELECT * FROM t", name="s"):
    c = ctx.keep(p.connect(ctx.db))
    if prepare:
        assert c.ask(parse(prepare, name) + sync()).kinds == "1Z"
    return c


def setup(ctx, **settings):
    ctx.sql(ONCE)
    return ctx.proxy(**{"default_pool_size": 1, "worker_threads": 1, **settings})


def test_not_noticed(ctx):
    """In every shape of a batch; the change is made directly on the server."""
    p = setup(ctx)
    c = client(ctx, p)
    n = 1
    for shape in (bind("s") + describe() + execute() + sync(),
                  bind("s", portal="") + describe() + execute() + flush() + sync(),
                  bind("s") + describe() + execute() + close("P") + sync(),
                  bind("s") + describe() + execute() + close("S", "nope") + sync(),
                  parse("SELECT * FROM t", "t") + bind("t") + describe() + execute() + close("S", "t") + sync(),
                  bind("s") + describe() + execute() + bind("s") + describe() + execute() + sync()):
        assert c.ask(RUN).check().rows
        n += 1
        ctx.sql(f"ALTER TABLE t ADD COLUMN c{n} int")
        reply = c.ask(shape).check()
        assert len(reply.columns) == n, (shape, reply.columns)
        assert reply.rows[0] == ("1",) + (None,) * (n - 1)
        assert reply.kinds.count("Z") == 1 and reply.kinds.count("1") == shape.count(b"SELECT *")


def test_without_describe(ctx):
    """A client that never asked for columns gets the new rows; one that did gets PostgreSQL's error."""
    p = setup(ctx)
    c, told = client(ctx, p), client(ctx, p)
    blind = bind("s") + execute() + sync()
    told.ask(RUN).check()
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    for _ in range(2):
        assert told.ask(blind).sqlstate() == "0A000"
    told.ask(RUN).check()
    assert told.ask(blind).check().rows == [("1", None)]
    ctx.sql("ALTER TABLE t ADD COLUMN c int")
    assert c.ask(blind).check().rows == [("1", None, None)]


def test_old_types_are_not_read_as_new(ctx):
    """A value sent in binary for the type that the client was told is never read as another type."""
    ctx.sql("CREATE TABLE n(v int8); INSERT INTO n VALUES (1); GRANT ALL ON n TO PUBLIC")
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    sql = "INSERT INTO n VALUES ($1) RETURNING v"
    c = client(ctx, p, sql)
    assert c.ask(describe("S", "s") + sync()).messages[0].body[-4:] == struct.pack("!I", 20)
    batch = bind("s", [struct.pack("!q", 5)], param_formats=(1,)) + describe() + execute() + sync()
    assert c.ask(batch).check().value == "5"
    ctx.sql("ALTER TABLE n ALTER v TYPE float8")
    assert c.ask(batch).sqlstate() == "0A000"
    assert ctx.direct().query("SELECT v FROM n ORDER BY v").rows == [("1",), ("5",)]


def test_fresh_metadata(ctx):
    """Whoever asks what a statement is, is told what it is now, also of its parameters."""
    ctx.sql("CREATE TABLE n(k int4, v int4); GRANT ALL ON n TO PUBLIC")
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    sql = "SELECT v FROM n WHERE k = $1"
    a = client(ctx, p, sql)
    assert a.ask(bind("s", ["1"]) + execute() + sync()).check().rows == []
    ctx.sql("ALTER TABLE n ALTER k TYPE int8, ALTER v TYPE text")
    for b, batch in ((client(ctx, p, None), parse(sql, "x") + describe("S", "x") + sync()),
                     (client(ctx, p, sql, "x"), describe("S", "x") + sync()),
                     (client(ctx, p, None), query("BEGIN") + parse(sql, "x") + describe("S", "x") + sync()),
                     (client(ctx, p, None), parse(sql, "x") + describe("S", "x") + flush() + sync())):
        reply = b.ask(batch, times=batch.count(b"BEGIN") + 1).check()
        types = [m for m in reply.messages if m.kind == "t"]
        assert len(types) == 1 and types[0].body[-4:] == struct.pack("!I", 20), reply
        (row,) = [m for m in reply.messages if m.kind == "T"]
        assert struct.pack("!I", 25) in row.body, row.body
        b.close()
    # The one who prepared first, and the unnamed statement.
    assert a.ask(bind("s", ["1"]) + execute() + sync()).check().rows == []
    a.ask(parse("SELECT * FROM n") + sync()).check()
    ctx.sql("ALTER TABLE n ADD w int")
    assert len(a.ask(describe("S", "") + sync()).check().columns) == 3


def test_unnamed(ctx):
    p = setup(ctx)
    c = client(ctx, p, None)
    c.ask(unit("SELECT * FROM t")).check()
    for n in (2, 3):
        ctx.sql(f"ALTER TABLE t ADD COLUMN c{n} int")
        assert len(c.ask(bind() + describe() + execute() + sync()).check().columns) == n


def test_parsed_later_in_transaction(ctx):
    """A client that prepares after the change never sees the error, wherever it is."""
    p = setup(ctx)
    a = client(ctx, p)
    a.ask(RUN).check()
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    b = client(ctx, p, None)
    b.query("BEGIN")
    b.ask(parse("SELECT * FROM t", "mine") + sync()).check()
    assert b.ask(bind("mine") + execute() + sync()).check().rows == [("1", None)]
    b.query("COMMIT")
    assert len(a.ask(RUN).check().columns) == 2


def test_in_transaction(ctx):
    """There the error has ended the transaction: it is passed on, and the next attempt is right."""
    p = setup(ctx)
    c = client(ctx, p)
    c.ask(RUN).check()
    c.query("BEGIN")
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    reply = c.ask(RUN)
    assert reply.sqlstate() == "0A000" and reply.status == "E", reply
    c.query("ROLLBACK")
    assert len(c.ask(RUN).check().columns) == 2


def test_not_the_first_of_its_batch(ctx):
    """What ran before in the same batch would run twice: the error it is."""
    p = setup(ctx)
    ctx.sql("CREATE TABLE log(v int); GRANT ALL ON log TO PUBLIC")
    c = client(ctx, p)
    c.ask(RUN).check()
    write = parse("INSERT INTO log VALUES (1)", "") + bind() + execute()
    for between in (b"", flush()):
        ctx.sql("ALTER TABLE t ADD COLUMN b%d int" % len(between))
        c.send(write + between)
        if between:
            assert [m.kind for m in (c.read(), c.read(), c.read())] == ["1", "2", "C"]
        assert c.ask(RUN).sqlstate() == "0A000"
        assert ctx.direct().value("SELECT count(*) FROM log") == "0"
        assert c.ask(RUN).check()


def test_more_behind_it(ctx):
    """A batch behind which more was sent cannot be put in front of that again."""
    p = setup(ctx)
    c = client(ctx, p)
    c.ask(RUN).check()
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    reply = c.ask(RUN + unit("SELECT 7"), times=2)
    assert reply.sqlstate() == "0A000" and reply.rows == [("7",)], reply
    ctx.sql("ALTER TABLE t ADD COLUMN c int")
    reply = c.ask(unit("SELECT 7") + RUN, times=2)
    assert reply.rows[0] == ("7",) and (reply.sqlstate() if reply.errors else "0A000") == "0A000"
    assert len(c.ask(RUN).check().columns) == 3


def test_long_batches(ctx):
    """Up to 64 kB are kept, whole or in pieces; longer ones get the error once."""
    p = setup(ctx)
    sql = "SELECT t.*, length($1::text) FROM t"
    c = client(ctx, p, sql)
    for size, good in ((60000, True), (63000, True), (65536, False), (1 << 20, False)):
        batch = bind("s", ["x" * size]) + describe() + execute() + sync()
        c.ask(batch).check()
        ctx.sql(f"ALTER TABLE t ADD COLUMN c{size} int")
        for i in range(0, len(batch), 40000):
            c.send(batch[i:i + 40000])
        reply = c.until_ready()
        assert bool(reply.errors) != good, (size, reply.errors)
        assert c.ask(batch).check().rows[0][-1] == str(size)


def test_every_server(ctx):
    """One error speaks for the statement on all servers; each client gets its own rows."""
    p = setup(ctx, default_pool_size=4)
    c = client(ctx, p)
    for _ in range(3):
        holders = move(ctx, p, c)
        c.ask(RUN).check()
        release(holders)
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    assert len(c.ask(RUN).check().columns) == 2
    for _ in range(3):
        holders = move(ctx, p, c)
        c.query("BEGIN")
        assert len(c.ask(RUN).check().columns) == 2  # in a transaction, on another server
        c.query("COMMIT")
        release(holders)


def test_no_sync_yet(ctx):
    """The error comes before the client sent its Sync: the batch is run again, and goes on."""
    p = setup(ctx)
    c = client(ctx, p)
    c.ask(RUN).check()
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    c.send(bind("s") + describe() + flush())
    assert c.read().kind == "2"
    assert struct.unpack("!H", c.read().body[:2])[0] == 2
    assert c.ask(execute() + sync()).check().rows == [("1", None)]
    assert c.value("SELECT 5") == "5"


def test_it_fails_again(ctx):
    """What fails once more is the client's to know; the table is gone, or the error is another one."""
    p = setup(ctx)
    c = client(ctx, p)
    c.ask(RUN).check()
    ctx.sql("DROP TABLE t")
    assert c.ask(RUN).sqlstate() == "42P01"
    ctx.sql("CREATE TABLE t(x text, y text); GRANT ALL ON t TO PUBLIC")
    assert len(c.ask(RUN).check().columns) == 2
    ctx.sql("ALTER TABLE t DROP COLUMN y; ALTER TABLE t RENAME TO u")
    assert c.ask(RUN).sqlstate() == "42P01"
    assert c.value("SELECT 5") == "5"
    ctx.sql("ALTER TABLE u RENAME TO t")
    assert len(c.ask(RUN).check().columns) == 1


def test_disconnect_and_others(ctx):
    """Clients that leave at once, and others on the same server: everybody gets his own."""
    p = setup(ctx)
    clients = [client(ctx, p, f"SELECT *, {i} AS me FROM t") for i in range(6)]
    for n in range(8):
        ctx.sql(f"ALTER TABLE t ADD COLUMN c{n} int")
        leaving = client(ctx, p)
        leaving.send(RUN)
        leaving.abort()
        for c in clients:
            c.send(RUN)
        for i, c in enumerate(clients):
            reply = c.until_ready().check()
            assert reply.rows[0][-1] == str(i) and len(reply.rows[0]) == n + 3, reply.rows


def test_with_cache(ctx):
    """Own DDL and direct DDL, with the cache on."""
    ctx.sql(ONCE)
    p = ctx.cache_proxy(default_pool_size=1)
    ctx.wait_hits(p)
    c = client(ctx, p)
    for n in range(2, 8):
        sql = f"ALTER TABLE t ADD COLUMN c{n} int"
        c.ask(RUN).check()
        ctx.sql(sql)
        p.wait(lambda: len(c.ask(RUN).check().columns) == n, "the new column")


def test_not_what_user_code_raises(ctx):
    """That SQLSTATE from a function is no plan that changed: the statement is not run again."""
    ctx.sql("CREATE SEQUENCE runs; GRANT ALL ON runs TO PUBLIC;"
            "CREATE FUNCTION unsupported() RETURNS int LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM nextval('runs'); RAISE 'not this' USING ERRCODE = '0A000'; END$$")
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    c.query("PREPARE q AS SELECT unsupported()")
    for n in range(1, 4):
        assert c.ask(query("EXECUTE q")).sqlstate() == "0A000"
        assert ctx.sql("SELECT last_value FROM runs")[0][0] == str(n)
