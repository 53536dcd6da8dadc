# SPDX-License-Identifier: Apache-2.0
"""Simple and extended queries: the answers are PostgreSQL's, to the byte."""
from compare import same
from pgwire import (bind, close, describe, execute, flush, message, parse, query, sync, unit)

SIMPLE = [
    "SELECT 1", "SELECT 'text', NULL, 2.5::numeric, '\\x00ff'::bytea", "SELECT generate_series(1, 300)",
    "", ";", " -- nothing\n", "SELECT 1; SELECT 2", "SELECT 1; SELECT 1/0; SELECT 3", "SELECT nope",
    "SELEC 1", "BEGIN; SELECT 1; COMMIT", "BEGIN; SELECT 1/0", "SELECT 1", "ROLLBACK", "ROLLBACK",
    "CREATE TABLE t(id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO t VALUES (1, 'again')", "UPDATE t SET v = 'c' WHERE id = 2 RETURNING *", "SELECT * FROM t",
    "DELETE FROM t", "BEGIN", "SAVEPOINT s", "INSERT INTO t VALUES (1, NULL)", "ROLLBACK TO s", "COMMIT",
    "DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'careful'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'own' USING ERRCODE = 'P0123', DETAIL = 'd', HINT = 'h'; END $$",
    "SELECT 'ünïcode \U0001f418'", "EXPLAIN (COSTS off) SELECT * FROM t", "SHOW server_version",
    "VALUES (1, 'x'), (2, NULL)", "TABLE t", "DROP TABLE t", "SELECT * FROM t",
]


def test_simple(ctx):
    p = ctx.proxy()
    through = ctx.keep(p.connect(ctx.db))
    # The statements change tables: each side has a database of its own.
    direct = ctx.keep(ctx.pg.connect(ctx.new_database(), "app"))
    for sql in SIMPLE:
        same(direct, through, query(sql))


def test_extended(ctx):
    p = ctx.proxy()
    direct, through = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    scripts = [
        unit("SELECT $1::int + 1", [41]),
        unit("SELECT $1::int + 1", [41], binary=True),
        unit("SELECT $1::text, $2::bytea", ["é", None]),
        unit("SELECT 1", describe_it=False),
        unit("", describe_it=False),
        unit("SELECT 1/$1::int", [0]),
        unit("SELECT nope"),
        unit("SELECT 1; SELECT 2"),
        parse("SELECT $1::int8 AS x", types=(20,)) + describe("S") + sync(),
        parse("SELECT generate_series(1, 10)") + bind() + execute(max_rows=3) + execute(max_rows=3)
        + execute() + sync(),
        parse("SELECT 1") + sync(),
        bind() + execute() + sync(),
        describe("S") + sync(),
        parse("BEGIN") + bind() + execute() + parse("SELECT 2") + bind(portal="p") + execute("p")
        + close("P", "p") + parse("COMMIT") + bind() + execute() + sync(),
        bind("missing") + execute() + sync(),
        execute("missing") + sync(),
        close("S", "missing") + close("P", "missing") + sync(),
        sync(), sync(),
        parse("SELECT $1::int") + bind(params=["abc"]) + execute() + sync(),
        parse("SELECT $1::int") + bind(params=[]) + execute() + sync(),
        bytes(unit("SELECT $1::int4", [b"\0\0\0\x05"], param_formats=(1,), binary=True)),
        unit("SELECT now() IS NULL"), unit("CREATE TEMP TABLE x(i int)"),
        unit("INSERT INTO x VALUES (1) RETURNING i"),
    ]
    for script in scripts:
        same(direct, through, script)


def test_flush(ctx):
    """Flush brings answers without a Sync, and the transaction stays open until the Sync."""
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.send(parse("SELECT 7") + flush())
    assert c.until("1").kinds == "1"
    c.send(bind() + describe() + flush())
    assert c.until("T").kinds == "2T"
    c.send(execute() + flush())
    reply = c.until("C")
    assert reply.kinds == "DC" and reply.value == "7"
    assert c.is_quiet()
    assert c.ask(sync()).kinds == "Z"


def test_split_messages(ctx):
    """A message may arrive in any pieces."""
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    whole = unit("SELECT $1::text || 'x'", ["abc"]) + query("SELECT 2")
    for at in range(0, len(whole)):
        c.send(whole[at:at + 1])
    reply = c.until_ready(2)
    assert reply.rows == [("abcx",), ("2",)], reply.rows
    for size in (3, 4, 5, 6, 7):
        for at in range(0, len(whole), size):
            c.send(whole[at:at + size])
        assert c.until_ready(2).rows == [("abcx",), ("2",)]


def test_function_call(ctx):
    """The old fast-path call: lo_creat and the like use it."""
    import struct
    p = ctx.proxy()
    oid = int(ctx.sql("SELECT oid FROM pg_proc WHERE proname = 'int4pl'")[0][0])
    body = struct.pack("!IHHH", oid, 1, 1, 2) + struct.pack("!II", 4, 40) + struct.pack("!II", 4, 2) + struct.pack("!H", 1)
    same(ctx.direct("app"), ctx.keep(p.connect(ctx.db)), message("F", body))


def test_parameter_status(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    assert {"server_version", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes",
            "standard_conforming_strings", "IntervalStyle"} <= set(c.parameters), c.parameters
    reply = c.ask(query("SET TimeZone = 'Europe/Oslo'"))
    assert "S" in reply.kinds
    assert c.parameters["TimeZone"] == "Europe/Oslo"
    reply = c.ask(query("SET application_name = 'x'"))
    assert c.parameters["application_name"] == "x"


def test_notices(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    reply = c.query("DO $$ BEGIN FOR i IN 1..50 LOOP RAISE NOTICE 'n%', i; END LOOP; END $$")
    assert [n["M"] for n in reply.notices] == [f"n{i}" for i in range(1, 51)]


def test_session_mode(ctx):
    p = ctx.proxy(pool_mode="session", default_pool_size=2)
    c = ctx.keep(p.connect(ctx.db))
    pid = c.value("SELECT pg_backend_pid()")
    c.query("CREATE TEMP TABLE mine(i int); INSERT INTO mine VALUES (5)")
    c.query("SET work_mem = '7MB'")
    other = ctx.keep(p.connect(ctx.db))
    assert other.value("SELECT pg_backend_pid()") != pid
    assert c.value("SELECT i FROM mine") == "5"
    assert c.value("SHOW work_mem") == "7MB"
    assert c.value("SELECT pg_backend_pid()") == pid
    c.close()
    # The next client of that server finds it clean (server_reset_query).
    third = ctx.keep(p.connect(ctx.db))
    assert third.value("SELECT pg_backend_pid()") == pid
    assert third.value("SHOW work_mem") == "4MB"
    assert third.ask(query("SELECT * FROM mine")).sqlstate() == "42P01"


def test_transaction_mode(ctx):
    """Clients share one server connection, statement by statement, but never inside a transaction."""
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    pid = a.value("SELECT pg_backend_pid()")
    assert b.value("SELECT pg_backend_pid()") == pid
    a.query("BEGIN")
    assert a.status == "T"
    b.send(query("SELECT 2"))
    assert b.is_quiet(0.2)
    assert a.ask(query("SELECT 1/0")).status == "E"
    assert b.is_quiet(0.1)
    a.query("ROLLBACK")
    assert b.until_ready().value == "2"


def test_statement_mode(ctx):
    p = ctx.proxy(pool_mode="statement", default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    assert c.value("SELECT 1") == "1"
    c.send(query("BEGIN"))
    reply = c.wait_closed()
    assert reply.errors and "transaction blocks not allowed in statement pooling mode" in reply.errors[0].text, reply.errors
    with p.connect(ctx.db) as again:
        assert again.value("SELECT 2") == "2"


def test_pool_mode_of_database_and_user(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(pool_mode="session")}, default_pool_size=1, query_wait_timeout=1)
    c = ctx.keep(p.connect(ctx.db))
    pid = c.value("SELECT pg_backend_pid()")
    c.query("SET work_mem = '9MB'")
    assert c.value("SHOW work_mem") == "9MB"
    assert c.value("SELECT pg_backend_pid()") == pid
    p2 = ctx.proxy(user_settings={"app": {"pool_mode": "session"}}, default_pool_size=1)
    d = ctx.keep(p2.connect(ctx.db))
    d.query("CREATE TEMP TABLE x(i int)")
    assert d.query("SELECT * FROM x").rows == []
