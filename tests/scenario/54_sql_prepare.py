# SPDX-License-Identifier: Apache-2.0
"""SQL's PREPARE, EXECUTE and DEALLOCATE in transaction mode: as with PostgreSQL directly, and no pin."""
import psycopg2

from compare import comparable, same
from pgwire import (Message, PgError, Reply, bind, close, describe, error_fields, execute, flush, parse, query, sync,
                    unit)
from servers import move, release

TABLE = ("CREATE TABLE t(a int, b text); INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 9) i;"
         "GRANT ALL ON t TO PUBLIC")

# A story of one session: every answer is to be PostgreSQL's, positions and details included.
STORY = [
    "PREPARE one AS SELECT 1 AS x", "EXECUTE one", "EXECUTE ONE", 'EXECUTE "one"', 'EXECUTE "ONE"',
    "PREPARE one AS SELECT 2", "EXECUTE one(1)", "EXECUTE nope", "EXECUTE nope(1/0)",
    "  /* a /* b */ c */ prepare -- x\n \"T wo\" (int, pg_catalog.text) AS SELECT $1 + 1, $2 AS \"as\"",
    "EXECUTE \"T wo\"(41, 'x')", "EXECUTE \"T wo\"(1/0, 'x')", "EXECUTE \"T wo\"('no', 'x')",
    "EXECUTE \"T wo\"(1)", "EXECUTE \"T wo\"(nowhere, 'x')",
    "PREPARE q AS SELECT b FROM t WHERE a = $1", "EXECUTE q(3)", "EXECUTE q('3')", "EXECUTE q(3 + 1)",
    "PREPARE bad AS SELECT nope FROM t", "EXECUTE bad", "PREPARE bad AS SELEC", "EXECUTE bad",
    "PREPARE w(int, text) AS INSERT INTO t VALUES ($1, $2) RETURNING a, b", "EXECUTE w(10, 'ten')",
    "BEGIN", "PREPARE intx AS SELECT 'in a transaction'", "EXECUTE intx", "EXECUTE w(11, 'gone')", "ROLLBACK",
    "EXECUTE intx", "SELECT count(*) FROM t", "BEGIN", "DEALLOCATE intx", "ROLLBACK", "EXECUTE intx",
    "BEGIN", "SELECT 1/0", "EXECUTE one", "PREPARE z AS SELECT 1", "DEALLOCATE one", "COMMIT", "EXECUTE z", "EXECUTE one",
    "BEGIN", "SAVEPOINT s", "EXECUTE nope", "ROLLBACK TO s", "EXECUTE one", "COMMIT",
    "DEALLOCATE nope", "DEALLOCATE PREPARE q", "EXECUTE q(1)", "PREPARE q AS SELECT 'again'", "EXECUTE q",
    "EXPLAIN (COSTS OFF) EXECUTE one", 
    "PREPARE m AS SELECT 1; EXECUTE m; DEALLOCATE m", "EXECUTE m", "EXECUTE one; EXECUTE q",
    "DEALLOCATE q; PREPARE q AS SELECT 'third'", "EXECUTE q",
    "SELECT name, from_sql FROM pg_prepared_statements WHERE from_sql AND name IN ('q', 'one') ORDER BY 1",
    "DEALLOCATE ALL", "EXECUTE one", "PREPARE one AS SELECT 'new'", "EXECUTE one", "DISCARD ALL", "EXECUTE one",
    "PREPARE PGWEIR_1 AS SELECT 1", "EXECUTE pgweir_1", 'EXECUTE "PGWEIR_2"', "DEALLOCATE pgweir_1",
    "PREPARE a AS SELECT 5 AS x; PREPARE b AS SELECT 6", "EXECUTE b", "DEALLOCATE a", "DEALLOCATE b", "EXECUTE b",
    "PREPARE \"naïve\" AS SELECT 'naïve'", "EXECUTE \"naïve\"", "DEALLOCATE \"naïve\"", "EXECUTE one",
    "PREPARE one AS SELECT 7 AS x", "CREATE TEMP TABLE made AS EXECUTE one", "SELECT * FROM made", "DISCARD ALL",
]

# What these leave on the server cannot be followed, so the client stays there, until one of those.
OPENS = {"DEALLOCATE q; PREPARE q AS SELECT 'third'", "PREPARE a AS SELECT 5 AS x; PREPARE b AS SELECT 6",
         "PREPARE \"naïve\" AS SELECT 'naïve'", "PREPARE PGWEIR_1 AS SELECT 1", "CREATE TEMP TABLE made AS EXECUTE one"}
ENDS = {"DEALLOCATE ALL", "DEALLOCATE b", "DEALLOCATE \"naïve\"", "DEALLOCATE pgweir_1", "DISCARD ALL"}


def may_be_pinned(i):
    return i > 0 and STORY[i - 1] not in ENDS and (STORY[i - 1] in OPENS or may_be_pinned(i - 1))


def extended(sql):
    return parse(sql) + bind() + describe() + execute() + sync()


def named(sql, memo={}):  # noqa: B006
    name = f"n{len(memo)}"
    memo[sql] = name
    return parse(sql, name) + bind(name) + describe() + execute() + close("S", name) + sync()


def rival_names(rival, i):
    """Somebody else gives the same names another meaning, on the same server."""
    rival.query("DEALLOCATE ALL")
    for name in ("one", "q", "nope", "bad", "w", "intx", "z", "m", '"T wo"', "s"):
        rival.query(f"PREPARE {name} AS SELECT 'the rival''s {i}'")
        rival.query(f"EXECUTE {name}")


def tell(ctx, p, how, between):
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    idle = True
    for i, sql in enumerate(STORY):
        if idle:
            between(c, i)
        try:
            reply = same(direct, c, how(sql))
        except AssertionError as error:
            raise AssertionError(f"{i}: {sql}: {error}") from None
        idle = reply.status == "I"


def fresh(ctx, **settings):
    ctx.sql(TABLE)
    return ctx.proxy(**{"default_pool_size": 1, "worker_threads": 1, **settings})


def both(ctx, how):
    """With a rival for the names on the one server; the table is made anew for each session."""
    p = fresh(ctx)
    state = {"i": 0}

    def between(c, i):
        rival = ctx.keep(p.connect(ctx.db))
        try:
            rival.query("SELECT 1", timeout=0.5)
        except TimeoutError:
            assert may_be_pinned(i), f"pinned before {i}: {STORY[i]}"
            rival.close()
            return
        if i % 3 == 0:
            rival_names(rival, i)
        state["i"] += 1

    tell(ctx, p, how, between)
    assert state["i"] > 50


def test_story_simple(ctx):
    both(ctx, query)


def test_story_extended(ctx):
    both(ctx, lambda sql: query(sql) if ";" in sql else extended(sql))


def test_story_named(ctx):
    both(ctx, lambda sql: query(sql) if ";" in sql else named(sql))


def test_on_every_server(ctx):
    """What was prepared on one server is there on the next; in every way to use it."""
    p = fresh(ctx, default_pool_size=6)
    c = ctx.keep(p.connect(ctx.db))
    c.query("PREPARE q(int) AS SELECT b, $1 * 2 FROM t WHERE a = $1")
    for how in (lambda: c.query("EXECUTE q(3)"), lambda: c.run("EXECUTE q(3)"),
                lambda: c.ask(bind("q", ["3"]) + describe() + execute() + sync()).check(),
                lambda: c.query("BEGIN; EXECUTE q(3); COMMIT"), lambda: c.query("EXPLAIN ANALYZE EXECUTE q(3)"),
                lambda: c.ask(describe("S", "q") + bind("q", ["3"]) + execute() + sync()).check(),
                lambda: [c.query("BEGIN"), c.query("EXECUTE q(3)"), c.query("COMMIT")][1]):
        holders = move(ctx, p, c)
        rows = how().rows
        assert rows == [("row 3", "6")] or "QUERY PLAN" in str(rows) or "Scan" in str(rows), rows
        release(holders)
    holders = move(ctx, p, c)
    assert c.query("DEALLOCATE q").tags == ["DEALLOCATE"]
    release(holders)
    holders = move(ctx, p, c)
    assert c.ask(query("EXECUTE q(3)")).sqlstate() == "26000"
    release(holders)


def test_one_namespace(ctx):
    """Names given by the protocol and in SQL are the same names, in both directions."""
    p = fresh(ctx)
    direct, c, rival = ctx.direct("app"), ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for step in (parse("SELECT $1::int + 1", "p") + sync(), query("EXECUTE p(41)"), extended("EXECUTE p(41)"),
                 query("PREPARE p AS SELECT 1"), query("EXECUTE p(1, 2)"), query("DEALLOCATE p"), query("EXECUTE p(1)"),
                 bind("p", ["1"]) + execute() + sync(), parse("SELECT 'anew'", "p") + sync(), query("EXECUTE p"),
                 extended("DEALLOCATE p"), parse("SELECT 'third'", "p") + bind("p") + execute() + sync(),
                 close("S", "p") + sync(), query("EXECUTE p"), query("DEALLOCATE p"),
                 query("PREPARE s(int) AS SELECT $1"), bind("s", ["7"]) + describe() + execute() + sync(),
                 describe("S", "s") + sync(), parse("SELECT 1", "s") + sync(), close("S", "s") + sync(),
                 query("EXECUTE s(1)"), bind("s", ["1"]) + execute() + sync(), parse("SELECT 's'", "s") + sync(),
                 query("EXECUTE s"), query("DEALLOCATE ALL"), query("EXECUTE s"), describe("S", "s") + sync(),
                 parse("SELECT 5", "E s\"") + sync(), query('EXECUTE "E s"""'), query('DEALLOCATE "E s"""')):
        for name in ("p", "s"):
            rival.ask(query(f"DEALLOCATE {name}") + query(f"PREPARE {name} AS SELECT 'rival'")
                      + query(f"EXECUTE {name}"), times=3)
        same(direct, c, step)
        assert rival.value("EXECUTE p") == rival.value("EXECUTE s") == "rival"


def test_pipelines(ctx):
    """Names that come and go within a pipeline, with errors in the middle."""
    p = fresh(ctx)
    direct, c, rival = ctx.direct("app"), ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))

    def run(sql):
        return parse(sql) + bind() + describe() + execute()

    stories = [
        [run("PREPARE a AS SELECT 'a'") + run("EXECUTE a") + run("DEALLOCATE a") + run("EXECUTE a") + sync()],
        [run("PREPARE a AS SELECT 'a'") + sync(), run("EXECUTE a") + sync(), run("DEALLOCATE a") + sync(),
         run("EXECUTE a") + sync(), run("PREPARE a AS SELECT 'b'") + sync(), query("EXECUTE a")],
        [query("PREPARE b AS SELECT 'b'"), query("EXECUTE b"), query("PREPARE b AS SELECT 1"), query("DEALLOCATE b"),
         query("EXECUTE b")],
        [run("PREPARE c AS SELECT 'c'") + run("SELECT 1/0") + run("DEALLOCATE c") + sync(), query("EXECUTE c"),
         run("SELECT 1/0") + run("PREPARE d AS SELECT 'd'") + sync(), query("EXECUTE d"),
         run("DEALLOCATE c") + run("SELECT 1/0") + sync(), query("EXECUTE c")],
        [parse("SELECT 'e'", "e") + run("EXECUTE e") + run("DEALLOCATE e") + parse("SELECT 'e2'", "e") + run("EXECUTE e")
         + bind("e") + execute() + sync(), run("DEALLOCATE e") + parse("SELECT 'e3'", "e") + sync() + bind("e") + execute()
         + sync()],
        [query("BEGIN"), query("SELECT 1/0"), query("PREPARE f AS SELECT 'f'"), query("EXECUTE a"), query("ROLLBACK"),
         query("EXECUTE f"), query("EXECUTE a")],
        [query("BEGIN"), query("PREPARE f AS SELECT 'f'"), query("ROLLBACK"), query("EXECUTE f")],
        [query("PREPARE g AS SELECT 'g'"), query("DEALLOCATE ALL"), query("EXECUTE g"), query("PREPARE g AS SELECT 'g2'"),
         query("DISCARD ALL"), query("EXECUTE g")],
        [run("PREPARE h AS SELECT 'h'") + flush() + run("EXECUTE h") + flush() + query("EXECUTE h")],
    ]
    for story in stories:
        for name in "abcdefgh":
            rival.ask(query(f"DEALLOCATE {name}") + query(f"PREPARE {name} AS SELECT 'rival', 2")
                      + query(f"EXECUTE {name}"), times=3)
        n = {0: 1, 1: 6, 2: 5, 3: 6, 4: 3, 5: 7, 6: 4, 7: 6, 8: 1}[stories.index(story)]
        same(direct, c, *story, times=n)
    assert rival.value("SELECT 1") == "1"


def test_nothing_of_others(ctx):
    """A client that prepared nothing finds nothing, on the very server; nor does a function of its."""
    p = fresh(ctx)
    ctx.sql("CREATE FUNCTION spy() RETURNS text LANGUAGE plpgsql AS $$DECLARE r text; BEGIN "
            "EXECUTE 'EXECUTE secret' INTO r; RETURN r; EXCEPTION WHEN OTHERS THEN RETURN sqlstate; END$$;"
            "CREATE FUNCTION mine() RETURNS text LANGUAGE plpgsql AS $$BEGIN EXECUTE 'EXECUTE secret'; "
            "RETURN 'there'; EXCEPTION WHEN OTHERS THEN RETURN sqlstate; END$$")
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for _ in range(3):
        a.ask(query("PREPARE secret AS SELECT 'of a'"))
        assert a.value("EXECUTE secret") == "of a"
        for ask in (query("EXECUTE secret"), extended("EXECUTE secret"), query("DEALLOCATE secret"),
                    bind("secret") + execute() + sync(), describe("S", "secret") + sync(),
                    query("EXPLAIN EXECUTE secret"), query("SELECT 1; EXECUTE secret")):
            assert b.ask(ask).sqlstate() == "26000", ask
            assert a.value("EXECUTE secret") == "of a"
        assert b.value("SELECT spy()") == "26000"
        assert a.value("SELECT mine()") == "there"
        assert b.ask(query("PREPARE secret AS SELECT 'of b'")).check().tags == ["PREPARE"]
        assert b.value("EXECUTE secret") == "of b"
        b.query("DEALLOCATE secret")


def test_functions_prepare(ctx):
    """What a function prepares, nobody has seen: the client stays where it is until it is gone."""
    p = fresh(ctx, default_pool_size=5)
    ctx.sql("CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE t; END$$")
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, timeout=3))
    a.query("PREPARE known AS SELECT 'known'")
    a.query("SELECT f('PREPARE hidden AS SELECT ''hidden''')")
    for _ in range(3):
        assert a.value("EXECUTE hidden") == "hidden"
        assert a.value("EXECUTE known") == "known"
        assert b.ask(query("EXECUTE hidden")).sqlstate() == "26000"
    a.query("DEALLOCATE hidden")
    a.query("SELECT f('SELECT 1')")
    holders = move(ctx, p, a)  # it can be moved: the pin has ended
    assert a.value("EXECUTE known") == "known"
    release(holders)
    a.query("SELECT f('DEALLOCATE known')")
    assert a.ask(query("EXECUTE known")).sqlstate() == "26000"


def test_disconnects(ctx):
    """A client that leaves with its statements, idle or in the middle of something."""
    p = fresh(ctx)
    for leave in (b"", query("BEGIN") + query("PREPARE x AS SELECT 'left'"), query("PREPARE y AS SELECT pg_sleep(0.1)")
                  + query("EXECUTE y"), parse("PREPARE z AS SELECT 1") + bind() + execute() + flush(),
                  parse("PREPARE z AS SELECT 1") + bind() + execute(), query("PREPARE z AS SELECT 1; PREPARE w AS SELECT 2")):
        a = p.connect(ctx.db)
        a.query("PREPARE x1 AS SELECT 'left'")
        a.send(leave)
        a.abort()
        b = ctx.keep(p.connect(ctx.db))
        for name in ("x", "x1", "y", "z", "w"):
            assert b.ask(query(f"EXECUTE {name}")).sqlstate() == "26000"
            b.query(f"PREPARE {name} AS SELECT 'mine'")
            assert b.value(f"EXECUTE {name}") == "mine"
        b.close()


def test_many(ctx):
    """Many clients, few servers, the same names: nobody runs another one's statement."""
    p = fresh(ctx, default_pool_size=2, max_prepared_statements=5)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(20)]
    for i, c in enumerate(clients):
        for n in range(8):
            c.query(f"PREPARE s{n} AS SELECT '{i}:{n}'" if i % 2 else f"PREPARE s{n} AS SELECT 'even:{n}'")
    for n in range(16):
        for c in clients:
            c.send(query(f"EXECUTE s{n % 8}"))
        for i, c in enumerate(clients):
            assert c.until_ready().check().value == (f"{i}:{n % 8}" if i % 2 else f"even:{n % 8}")


# All places where the grammar has EXECUTE.
PLACES = {
    "EXECUTE {}": "EXECUTE {}",
    "EXPLAIN": "EXPLAIN (COSTS OFF) EXECUTE {}",
    "ANALYZE": "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE {}",
    "CREATE": "CREATE TABLE made AS EXECUTE {}",
    "NO DATA": "CREATE TABLE IF NOT EXISTS made AS EXECUTE {} WITH NO DATA",
    "EXPLAIN CREATE": "EXPLAIN (COSTS OFF) CREATE TABLE made AS EXECUTE {}",
    "ANALYZE CREATE": "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) CREATE TABLE made AS EXECUTE {}",
    "TEMP": "CREATE TEMP TABLE made AS EXECUTE {}",
    "MULTI": "SELECT 1; EXPLAIN (COSTS OFF) EXECUTE {}",
}


def test_every_place_of_execute(ctx):
    """Wherever EXECUTE stands, on any server, with more names than a server keeps; alone in its text it needs no pin."""
    p = fresh(ctx, default_pool_size=6, max_prepared_statements=3)
    # Which plan EXPLAIN shows depends on how often this very server has executed the statement.
    ctx.sql(f"ALTER DATABASE {ctx.db} SET plan_cache_mode = force_custom_plan")
    ctx.sql("CREATE TABLE made(); GRANT ALL ON SCHEMA public TO PUBLIC; DROP TABLE made")
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    for k in (direct, c):
        for n in range(8):
            k.query(f"PREPARE p{n}(int) AS SELECT b FROM t WHERE a = {n} + $1 ORDER BY b")
    p.wait_log("learnt in")  # before that any statement may run code: it pins those who hold a server
    for place, text in PLACES.items():
        for how in (query,) if ";" in text else (query, extended):
            holders = move(ctx, p, c)
            for name in ("p3(1)", "p7(1 + 1)", "p0(1/0)", "nope(1)"):
                replies = []
                for k in (direct, c):
                    replies.append([comparable(k.ask(how(sql))) for sql in
                                    (text.format(name), "SELECT * FROM made ORDER BY 1", "DROP TABLE IF EXISTS made")])
                assert replies[0] == replies[1], (place, name, replies)
            if place not in ("TEMP", "MULTI"):
                p.wait(lambda: p.console("SHOW PINS") == [], f"no pin of {place}")  # noqa: B023
            c.query("SELECT 1")
            p.wait(lambda: p.console("SHOW PINS") == [], "the end of the pins")
            release(holders)


def test_arguments_of_explain_execute(ctx):
    """They are evaluated: what they leave in the session is seen."""
    ctx.sql("CREATE FUNCTION leave() RETURNS int LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM set_config('app.left', 'something', false); RETURN 1; END$$")
    p = fresh(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("PREPARE q(int) AS SELECT $1")
    a.query("EXPLAIN EXECUTE q(leave())")
    assert b.value("SELECT current_setting('app.left', true)") in (None, "")


def test_pg_prepared_statements(ctx):
    """It has a client's own names, wherever it is, and nobody else's (but for the shared ones)."""
    p = fresh(ctx, default_pool_size=6)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    look = "SELECT name, statement, from_sql FROM pg_prepared_statements WHERE name !~ '^PGWEIR_' ORDER BY 1"
    b.query("PREPARE other AS SELECT 2")
    a.query("PREPARE one AS SELECT 1")
    a.ask(parse("SELECT 3", "three") + sync()).check()
    p.wait_log("learnt in")
    expected = [("one", "PREPARE one AS SELECT 1", "t"), ("three", "SELECT 3", "f")]
    for how in (a.query, a.run, lambda sql: a.query("SELECT count(*) FROM pg_catalog.pg_prepared_statements;" + sql)):
        holders = move(ctx, p, a)
        assert how(look).rows[-2:] == expected
        assert b.query(look).rows == [("other", "PREPARE other AS SELECT 2", "t")]
        assert a.run("SELECT name FROM pg_prepared_statements WHERE name = 'PGWEIR_GIVE'").rows == []
        p.wait(lambda: p.console("SHOW PINS") == [], "no pin")
        release(holders)


def test_settings(ctx):
    """Constants are read by the client's settings."""
    p = fresh(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET DateStyle = 'ISO, DMY'")
    for c in (a, b):
        c.query("PREPARE d AS SELECT extract(month FROM '01/02/2024'::date)")
    for _ in range(3):
        assert (a.value("EXECUTE d"), b.value("EXECUTE d")) == ("2", "1")


def test_table_changes(ctx):
    """0A000 of an EXECUTE is mended as that of a Bind is."""
    p = fresh(ctx, default_pool_size=3)
    c = ctx.keep(p.connect(ctx.db))
    c.query("PREPARE s AS SELECT * FROM t WHERE a = 1")
    for n in range(3):
        assert len(c.query("EXECUTE s").columns) == 2 + n
        ctx.sql(f"ALTER TABLE t ADD COLUMN c{n} int")
        assert len(c.query("EXECUTE s").columns) == 3 + n
    c.query("BEGIN")
    ctx.sql("ALTER TABLE t ADD COLUMN d int")
    assert c.ask(query("EXECUTE s")).sqlstate() == "0A000"
    c.query("ROLLBACK")
    assert len(c.query("EXECUTE s").columns) == 6
    # Its table is gone: the error is the one of the query, as directly.
    ctx.sql("DROP TABLE t")
    holders = move(ctx, p, c)
    assert c.ask(query("EXECUTE s")).sqlstate() == "42P01"
    assert c.ask(query("BEGIN") + query("EXECUTE s"), times=2).sqlstate() == "42P01"
    assert c.query("ROLLBACK").tags == ["ROLLBACK"]
    release(holders)


def test_long_and_many_pin(ctx):
    """Beyond the bounds the client stays on its server: right, if less pooled."""
    p = fresh(ctx, default_pool_size=4)
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, timeout=3))
    c.query("PREPARE long AS SELECT length('" + "x" * 70000 + "')")
    for _ in range(3):
        assert other.ask(query("EXECUTE long")).sqlstate() == "26000"
        assert c.value("EXECUTE long") == "70000"
    c.query("DEALLOCATE long")
    holders = move(ctx, p, c)
    assert c.ask(query("EXECUTE long")).sqlstate() == "26000"
    release(holders)


def test_drivers(ctx):
    """psycopg2 with named statements in SQL, as frameworks use it; no pin, few servers."""
    p = fresh(ctx, default_pool_size=2)
    conns = [psycopg2.connect(host="127.0.0.1", port=p.port, dbname=ctx.db, user="app") for _ in range(6)]
    for k in conns:
        k.autocommit = True
        k.cursor().execute("PREPARE get_row (int) AS SELECT b FROM t WHERE a = $1")
    for n in range(5):
        for k in conns:
            cur = k.cursor()
            cur.execute("EXECUTE get_row (%s)", (n + 1,))
            assert cur.fetchall() == [(f"row {n + 1}",)]
    for k in conns:
        k.cursor().execute("DEALLOCATE get_row")
        k.close()


def test_session_mode_and_off(ctx):
    """In session mode, and with max_prepared_statements = 0, names go through as they are."""
    ctx.sql(TABLE)
    for settings in ({"pool_mode": "session"}, {"max_prepared_statements": 0}):
        p = ctx.proxy(default_pool_size=2, **settings)
        direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
        for sql in STORY:
            if "PGWEIR" not in sql and "pgweir" not in sql:
                same(direct, c, query(sql))
        c.close()
        direct.close()


def test_statement_is_cached_no_more_than_safe(ctx):
    """With the cache on: a Bind of a statement that was prepared in SQL goes to the server."""
    ctx.sql(TABLE)
    p = ctx.cache_proxy()
    ctx.wait_hits(p)
    c = ctx.keep(p.connect(ctx.db))
    c.query("PREPARE s(int) AS SELECT b FROM t WHERE a = $1")
    for i in range(4):
        assert c.ask(bind("s", ["1"]) + execute() + sync()).check().value == f"row {i or 1}"
        assert c.value("EXECUTE s(1)") == f"row {i or 1}"
        w = c.query("BEGIN; PREPARE u AS UPDATE t SET b = 'row " + str(i + 1) + "' WHERE a = 1; COMMIT")
        assert w
        c.query("EXECUTE u")
        assert c.query("SELECT b FROM t WHERE a = 1").value == f"row {i + 1}"  # its own write
        c.query("DEALLOCATE u")


def test_errors_are_raised(ctx):
    p = fresh(ctx)
    c = ctx.keep(p.connect(ctx.db))
    try:
        c.query("EXECUTE nothing")
    except PgError as error:
        assert 'prepared statement "nothing" does not exist' in str(error)
    else:
        raise AssertionError("no error")
    assert c.ask(unit("SELECT 1")).check().value == "1"


class Plain:
    """Replies with errors without the place in PostgreSQL's source: it may be another one's turn to fail."""

    def __init__(self, wire):
        self.wire = wire

    def ask(self, *parts, times=1):
        out = []
        for m in self.wire.ask(*parts, times=times).messages:
            if m.kind == "E":
                f = error_fields(m.body)
                # In a failed transaction the statement that is missing here is refused before its values are.
                wrong = f["C"] in ("25P02", "08P01")
                m = Message("E", b"refused" if wrong else "|".join(f.get(k, "") for k in "SCMDHP").encode())
            out.append(m)
        return Reply(out)


def random_part(rng, who, state):
    """One request of a client, with what it changes of its transaction."""
    name = rng.choice("abcd")
    text = f"SELECT '{who}:{name}:{rng.randrange(3)}', {rng.choice(['1', '2 AS x', '3::int8'])}"
    simple = [f"PREPARE {name} AS {text}", f"PREPARE {name}(int) AS SELECT $1, '{who}'", f"EXECUTE {name}",
              f"EXECUTE {name}({rng.randrange(9)})", f"DEALLOCATE {name}", f"EXECUTE {name}", "SELECT 1", "SELECT 1/0",
              f"EXPLAIN (COSTS OFF) EXECUTE {name}", f"EXECUTE {name}; EXECUTE {name}", "SELECT upper('x')", "DEALLOCATE ALL"]
    if rng.random() < 0.08 and (state["open"] or state["may_open"]):
        state["open"] = not state["open"]
        return query("BEGIN" if state["open"] else rng.choice(["COMMIT", "ROLLBACK"])), 1
    kind = rng.random()
    sql = rng.choice(simple)
    if kind < 0.45:
        return query(sql), 1
    if kind < 0.65:
        return parse(sql) + bind() + describe() + execute() + sync(), 1
    if kind < 0.75:
        return parse(text, name) + sync(), 1
    if kind < 0.85:
        return bind(name) + describe() + execute() + sync(), 1
    if kind < 0.9:
        return close("S", name) + describe("S", name) + sync(), 1
    parts = [random_part(rng, who, {"open": False, "may_open": False}) for _ in range(3)]
    return b"".join(part for part, _ in parts), sum(n for _, n in parts)


def test_at_random(ctx):
    """Each client has a twin that is connected directly: whatever they do, they get the same."""
    import random
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    p = fresh(ctx, default_pool_size=6, max_prepared_statements=7)
    ctx.sql("CREATE FUNCTION upper(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END'")
    pairs = [(ctx.direct("app"), ctx.keep(p.connect(ctx.db)), {"open": False}) for _ in range(8)]
    for step in range(1500):
        who = rng.randrange(len(pairs))
        direct, c, state = pairs[who]
        state["may_open"] = sum(s["open"] for _, _, s in pairs) < 2
        part, n = random_part(rng, who, state)
        try:
            same(Plain(direct), Plain(c), part, times=n)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"seed {seed}, step {step}, client {who}: {part!r}: {error}") from None
