# SPDX-License-Identifier: Apache-2.0
"""Hits inside transactions, and BEGIN deferred: what no server has to know of is answered here, and
nothing that a transaction may see or do is other than PostgreSQL's."""
import random
import socket
import threading
import time

from pgwire import PeerClosed, bind, close, copy_data, copy_done, describe, execute, flush, parse, query, sync, unit

READ = "SELECT id, v FROM t WHERE id = "


def table(ctx, rows=100):
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text); GRANT ALL ON t TO app;"
            f"INSERT INTO t SELECT i, 'value ' || i FROM generate_series(1, {rows}) i;"
            "CREATE TABLE log(at timestamptz DEFAULT now(), v text); GRANT ALL ON log TO app")


def warm(ctx, p, c, *ids):
    """These reads hit from now on."""
    for i in ids:
        ctx.wait_hit(p, lambda: c.query(READ + str(i)))
        ctx.wait_hit(p, lambda: c.run(READ + "$1", [i]))


def assignments(ctx, p):
    """How many times a server was given to a client."""
    return sum(int(row["total_server_assignment_count"]) for row in p.console("SHOW STATS")
               if row["database"] == ctx.db)


def serverless(ctx, p, run):
    """run() is answered without a server."""
    before = assignments(ctx, p)
    out = run()
    after = assignments(ctx, p)
    assert after == before, f"{after - before} servers were taken"
    return out


def begin_wire(text="BEGIN", name=""):
    return parse(text, name) + bind(name) + execute()


def test_reads_need_no_server(ctx):
    """A transaction that reads what is cached and ends takes no server: its only server is another's."""
    table(ctx)
    p = ctx.cache_proxy(default_pool_size=1)
    c, holder = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1, 2)
    holder.query("BEGIN")
    holder.query("SELECT 1")

    def transactions():
        for start in ("BEGIN", "begin;", "START TRANSACTION", "BEGIN READ ONLY", "BEGIN WORK",
                      "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", " BEGIN -- x"):
            for stop in ("COMMIT", "END", "ROLLBACK", "ABORT", "commit work;"):
                got = c.ask(query(start))
                assert (got.tags, got.kinds, got.status) == (["START TRANSACTION" if start[0] == "S" else "BEGIN"], "CZ", "T")
                got = c.ask(query(READ + "1"))
                assert (got.rows, got.status) == ([("1", "value 1")], "T")
                got = c.ask(unit(READ + "$1", [2]))
                assert (got.rows, got.status, got.kinds) == ([("2", "value 2")], "T", "12TDCZ")
                got = c.ask(query(stop))
                assert (got.tags, got.status) == (["ROLLBACK" if stop[0] in "RA" else "COMMIT"], "I")
    hits = ctx.hits(p, lambda: serverless(ctx, p, transactions))
    assert hits == 70, hits
    holder.query("COMMIT")
    for start in ("/* x */ START TRANSACTION", "-- start\nBEGIN"):
        c.ask(parse(start, start) + sync()).check()
        for end in ("COMMIT", "ROLLBACK"):
            assert c.ask(bind(start) + execute() + sync()).tags == [start[-5:] if start[0] == "-" else start[-17:]]
            c.ask(query(end)).check()


SCRIPTS = {
    "simple": [query("BEGIN"), query(READ + "1"), query("COMMIT")],
    "extended": [unit("BEGIN"), unit(READ + "$1", [1]), unit("COMMIT")],
    "not described": [unit("BEGIN", describe_it=False), unit(READ + "$1", [1]), unit("COMMIT", describe_it=False)],
    "a limit of rows": [parse("BEGIN") + bind() + execute(max_rows=1) + sync(), unit(READ + "$1", [1]),
                        parse("COMMIT") + bind() + execute(max_rows=1) + sync()],
    "one batch": [begin_wire() + unit(READ + "$1", [1]), unit("ROLLBACK", describe_it=False)],
    "named in a batch": [begin_wire("BEGIN", "b") + unit(READ + "$1", [1]),
                         parse("COMMIT", "c") + bind("c") + execute() + sync(),
                         bind("b") + execute() + unit(READ + "$1", [1]), bind("c") + execute() + sync()],
    "simple behind a batch": [begin_wire() + query(READ + "1"), query("COMMIT")],
    "flush": [begin_wire() + flush() + sync(), query("COMMIT")],
    "named statements": [query("BEGIN"), parse(READ + "$1", "s") + sync(), bind("s", [1]) + execute() + sync(),
                         close("S", "s") + sync(), query("END")],
    "sync only": [query("BEGIN"), sync(), query("ROLLBACK")],
    "empty": [query("BEGIN"), query("COMMIT")],
}


def test_shapes(ctx):
    """Each form of a transaction, byte for byte, when it hits and when nothing is cached."""
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for warmed in (False, True):
        if warmed:
            warm(ctx, p, c, 1)
        for name, script in SCRIPTS.items():
            direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
            want = [direct.ask(part).raw for part in script]
            got = [c.ask(part).raw for part in script]
            assert got == want, (name, got, want)
            if warmed and name != "named statements":
                c = ctx.keep(p.connect(ctx.db))
                got = serverless(ctx, p, lambda: [c.ask(part).raw for part in script])
                assert got == want, (name, got, want)


# What stands behind BEGIN and a hit, with what must come: all compared with PostgreSQL.
COURSES = {
    "write": ["BEGIN", READ + "1", "UPDATE t SET v = 'mine' WHERE id = 1", READ + "1", "ROLLBACK", READ + "1"],
    "insert": ["BEGIN", READ + "1", "INSERT INTO t VALUES (1000, 'n')", READ + "1000", READ + "1", "ROLLBACK"],
    "returning": ["BEGIN", READ + "1", "UPDATE t SET v = 'x' WHERE id = 1 RETURNING v", READ + "1", "ROLLBACK"],
    "cte": ["BEGIN", READ + "1", "WITH u AS (UPDATE t SET v = 'x' WHERE id = 1 RETURNING v) SELECT * FROM u", READ + "1", "ROLLBACK"],
    "error": ["BEGIN", READ + "1", "SELECT 1/0", READ + "1", "SELECT 1", "COMMIT", READ + "1"],
    "syntax error": ["BEGIN", READ + "1", "SELEKT", READ + "1", "ROLLBACK"],
    "error at once": ["BEGIN", "SELECT 1/0", READ + "1", "COMMIT"],
    "begin twice": ["BEGIN", "BEGIN", READ + "1", "COMMIT", "COMMIT"],
    "begin twice later": ["BEGIN", READ + "1", "BEGIN", READ + "1", "COMMIT"],
    "commit without": ["COMMIT", "ROLLBACK", READ + "1"],
    "savepoints": ["BEGIN", READ + "1", "SAVEPOINT a", READ + "1", "UPDATE t SET v = 's' WHERE id = 1", READ + "1",
                   "ROLLBACK TO a", READ + "1", "RELEASE a", READ + "1", "COMMIT", READ + "1"],
    "savepoint of a failed one": ["BEGIN", READ + "1", "SAVEPOINT a", "SELECT 1/0", READ + "1", "ROLLBACK TO a", READ + "1", "COMMIT"],
    "chain": ["BEGIN", READ + "1", "COMMIT AND CHAIN", READ + "1", "ROLLBACK AND CHAIN", "ROLLBACK"],
    "read only": ["BEGIN READ ONLY", READ + "1", "UPDATE t SET v = 'x' WHERE id = 1", READ + "1", "ROLLBACK"],
    "set read only": ["BEGIN", READ + "1", "SET TRANSACTION READ ONLY", "DELETE FROM t", "ROLLBACK"],
    "isolation shown": ["BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", READ + "1", "SHOW transaction_isolation",
                        "SHOW transaction_read_only", READ + "1", "COMMIT", "SHOW transaction_read_only"],
    "isolation set late": ["BEGIN", READ + "1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", READ + "1", "COMMIT"],
    "repeatable read": ["BEGIN ISOLATION LEVEL REPEATABLE READ", READ + "1", READ + "1", "COMMIT"],
    "set local": ["BEGIN", READ + "1", "SET LOCAL TimeZone = 'Asia/Tokyo'", "SHOW TimeZone", READ + "1", "COMMIT", "SHOW TimeZone"],
    "set": ["BEGIN", READ + "1", "SET application_name = 'x'", "ROLLBACK", "SHOW application_name"],
    "local config": ["BEGIN", READ + "1", "SELECT set_config('search_path', 'nowhere', true)", READ + "1", "ROLLBACK", READ + "1"],
    "two phase": ["BEGIN", READ + "1", "INSERT INTO t VALUES (2000, 'x')", "PREPARE TRANSACTION 'x1'", READ + "2000",
                  "COMMIT PREPARED 'x1'", READ + "2000", "DELETE FROM t WHERE id = 2000"],
    "two phase of nothing": ["BEGIN", READ + "1", "PREPARE TRANSACTION 'x2'", "ROLLBACK PREPARED 'x2'"],
    "locks": ["BEGIN", READ + "1", "SELECT v FROM t WHERE id = 1 FOR UPDATE", READ + "1", "COMMIT"],
    "cursor": ["BEGIN", READ + "1", "DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id", "FETCH 2 FROM c", READ + "1", "FETCH 1 FROM c", "COMMIT"],
    "temp": ["BEGIN", READ + "1", "CREATE TEMP TABLE t(id int, v text) ON COMMIT DROP", "SELECT count(*) FROM t", "COMMIT", "SELECT count(*) FROM t"],
    "ddl": ["BEGIN", READ + "1", "ALTER TABLE t ADD COLUMN w int", "SELECT * FROM t WHERE id = 1", "ROLLBACK", "SELECT * FROM t WHERE id = 1"],
    "several statements": ["BEGIN", "SELECT 1; SELECT 2", READ + "1", "COMMIT"],
    "ends in several": ["BEGIN", READ + "1", "SELECT 1; COMMIT", READ + "1"],
    "begins in several": ["BEGIN; SELECT 1", READ + "1", "COMMIT"],
    "call": ["BEGIN", READ + "1", "DO $$ BEGIN UPDATE t SET v = 'do' WHERE id = 1; END $$", READ + "1", "ROLLBACK", READ + "1"],
    "prepare in sql": ["BEGIN", READ + "1", "PREPARE q AS SELECT v FROM t WHERE id = $1", "EXECUTE q(1)", READ + "1", "COMMIT",
                       "BEGIN", "EXECUTE q(1)", "COMMIT", "DEALLOCATE q"],
    "discard": ["BEGIN", READ + "1", "DISCARD ALL", "ROLLBACK"],
    "listen": ["BEGIN", READ + "1", "LISTEN x", "COMMIT", "UNLISTEN *"],
    "vacuum": ["BEGIN", "VACUUM t", "ROLLBACK"],
    "empty query": ["BEGIN", "", READ + "1", "COMMIT"],
}


def ask_simple(c, sql):
    return c.ask(query(sql)).raw


def ask_extended(c, sql):
    return c.ask(unit(sql)).raw


def test_courses(ctx):
    """Transactions of every kind, in both protocols: each answer is PostgreSQL's."""
    table(ctx)
    p = ctx.cache_proxy(max_prepared_statements=50)
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    for ask in (ask_simple, ask_extended):
        for name, course in COURSES.items():
            if ask is ask_extended and any(";" in sql for sql in course):
                continue
            direct = ctx.direct("app")
            want = [ask(direct, sql) for sql in course]
            direct.close()
            c = ctx.keep(p.connect(ctx.db))
            for sql, answer in zip(course, want):
                got = ask(c, sql)
                assert got == answer, (ask.__name__, name, sql, got, answer)
            c.close()


def test_pipelines(ctx):
    """Hits, misses, what is not cached, errors and transactions in one pipeline, at random: the answers are
    PostgreSQL's, byte for byte and in order."""
    table(ctx)
    p = ctx.cache_proxy(worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, *range(1, 6))
    seed = int(time.time())
    rng = random.Random(seed)

    def read(i):
        return rng.choice((query(READ + str(i)), unit(READ + "$1", [i]), unit(READ + "$1", [i], binary=True),
                           unit(READ + "$1", [i], describe_it=False)))

    def piece():
        kind = rng.random()
        if kind < 0.5:
            return read(rng.randint(1, 5)), 1
        if kind < 0.65:
            return read(rng.randint(6, 100)), 1
        if kind < 0.75:
            return rng.choice((query("BEGIN"), unit("BEGIN"), unit("START TRANSACTION READ ONLY", describe_it=False),
                               begin_wire() + unit(READ + "$1", [rng.randint(1, 9)]),
                               query("BEGIN ISOLATION LEVEL REPEATABLE READ"))), 1
        if kind < 0.88:
            return rng.choice((query("COMMIT"), unit("ROLLBACK"), unit("END", describe_it=False))), 1
        if kind < 0.92:
            return rng.choice((query("SELECT 1/0"), query("SELEKT"), unit("SELECT no_such FROM t"))), 1
        if kind < 0.96:
            return unit(READ + "$1", [1])[:-5] + unit(READ + "$1", [2]), 1
        return rng.choice((sync(), query(""), query("SAVEPOINT s"), query("SELECT 1; SELECT 2"), flush() + sync(),
                           query("SET LOCAL extra_float_digits = 1"), close("S", "nobody") + sync())), 1

    direct = ctx.direct("app")
    before = p.cache()["hits"]
    for n in range(120 if ctx.sanitizer else 400):
        pieces = [piece() for _ in range(rng.randint(1, 12))] + [(query("ROLLBACK"), 1)]
        times = sum(t for _, t in pieces)
        script = b"".join(b for b, _ in pieces)
        want = direct.ask(script, times=times).raw
        if n % 4 == 0:  # hits until the first statement that needs a server
            ctx.wait_hit(p, lambda: c.query(READ + "1"))
        if rng.random() < 0.3:  # cut anywhere
            at = rng.randint(1, len(script) - 1)
            c.send(script[:at])
            time.sleep(0.001)
            script = script[at:]
        got = c.ask(script, times=times).raw
        assert got == want, f"seed {seed}, round {n}: {[b for b, _ in pieces]}\n{got}\n{want}"
    hits = p.cache()["hits"] - before
    assert hits > (10 if ctx.sanitizer else 100), hits
    ctx.note(f"seed {seed}, {hits:.0f} hits")


# ---- when it must not hit

NEVER = {
    "REPEATABLE READ": ["BEGIN ISOLATION LEVEL REPEATABLE READ"],
    "SERIALIZABLE": ["START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"],
    "isolation set": ["BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
    "isolation set by name": ["BEGIN", "SET LOCAL transaction_isolation = 'serializable'"],
    "after a write": ["BEGIN", "UPDATE t SET v = v WHERE id = 50"],
    "after a write and a hit": ["BEGIN", READ + "1", "INSERT INTO log DEFAULT VALUES"],
    "after a rollback to before it": ["BEGIN", "SAVEPOINT a", "UPDATE t SET v = v WHERE id = 50", "ROLLBACK TO a"],
    "after a locking read": ["BEGIN", "SELECT v FROM t WHERE id = 50 FOR SHARE"],
    "after a function": ["BEGIN", "SELECT writes()"],
    "after a view": ["BEGIN", "SELECT * FROM seen WHERE id = 50"],
    "after a local setting": ["BEGIN", "SET LOCAL search_path = other, public"],
    "after set_config": ["BEGIN", "SELECT set_config('search_path', 'other, public', true)"],
    "after DO": ["BEGIN", "DO $$ BEGIN PERFORM 1; END $$"],
    "after COPY": ["BEGIN", "COPY (SELECT 1) TO STDOUT"],
    "after a cursor": ["BEGIN", "DECLARE c CURSOR FOR SELECT 1"],
    "after LOCK": ["BEGIN", "LOCK TABLE t IN ACCESS SHARE MODE"],
    "after an advisory lock": ["BEGIN", "SELECT pg_advisory_xact_lock(1)"],
    "after several statements": ["BEGIN", "SELECT 1; SELECT 2"],
    "begun with others": ["BEGIN; SELECT 1"],
    "chained": ["BEGIN ISOLATION LEVEL REPEATABLE READ", "COMMIT AND CHAIN"],
    "session's isolation": ["SET default_transaction_isolation = 'repeatable read'", "BEGIN"],
}


def repeat(times, ask):
    """With a pause in which the cache becomes fresh as of the last one."""
    out = []
    for _ in range(times):
        out.append(ask())
        time.sleep(0.003)
    return out


def test_never(ctx):
    table(ctx)
    ctx.sql("CREATE FUNCTION writes() RETURNS void LANGUAGE sql AS 'INSERT INTO public.log DEFAULT VALUES';"
            "CREATE VIEW seen AS SELECT *, writes() IS NULL AS w FROM t; GRANT SELECT ON seen TO app; CREATE SCHEMA other; GRANT USAGE ON SCHEMA other TO app")
    p = ctx.cache_proxy()
    for lazy in ("on", "off"):
        p.reload(lazy_begin=lazy)
        for name, course in NEVER.items():
            c = ctx.keep(p.connect(ctx.db))
            warm(ctx, p, c, 1)
            for sql in course:
                c.query(sql)
            # For long enough to be as fresh as what it has read: that alone would hold it back for a while.
            hits = ctx.hits(p, lambda: repeat(6, lambda: c.query(READ + "1")))
            assert hits == 0, (name, hits)
            c.query("ROLLBACK")
            c.close()


def by_default(ctx, isolation):
    """Where a session may have its default isolation from: what connects one, for each."""
    setting = f"default_transaction_isolation = '{isolation}'"

    def set_it(p):
        c = p.connect(ctx.db)
        c.query("SET " + setting)
        return c

    ctx.sql(f"ALTER ROLE other IN DATABASE {ctx.db} SET {setting}; GRANT ALL ON t TO other")
    return {"of the role": lambda p: p.connect(ctx.db, "other"), "set": set_it,
            "at the start": lambda p: p.connect(ctx.db, options="-c default_transaction_isolation=" + isolation.replace(" ", "\\ "))}


def test_repeatable_read_by_default(ctx):
    """What is a transaction by itself has a snapshot of its own: it hits. Within one there is one snapshot."""
    table(ctx)
    ways = by_default(ctx, "repeatable read")
    for mode in ("transaction", "session"):
        p = ctx.cache_proxy(pool_mode=mode)
        for name, connect in ways.items():
            ctx.sql("UPDATE t SET v = 'old' WHERE id < 4")
            c, other = ctx.keep(connect(p)), ctx.keep(connect(p))
            warm(ctx, p, c, 1, 2)
            assert c.query("SHOW transaction_isolation").rows == [("repeatable read",)], (mode, name)
            c.query("BEGIN")
            assert in_transaction(ctx) == 1  # nothing is gained by deferring it
            assert c.query(READ + "1").rows == [("1", "old")]
            ctx.sql("UPDATE t SET v = 'new' WHERE id < 4")

            def as_it_began():
                for i in (1, 2, 3):
                    assert c.query(READ + str(i)).rows == c.run(READ + "$1", [i]).rows == [(str(i), "old")], (mode, name)
            assert ctx.hits(p, lambda: repeat(3, as_it_began)) == 0, (mode, name)
            for i in (1, 2, 3):  # and nothing that it was told is anybody else's
                assert ctx.wait_hit(p, lambda: other.query(READ + str(i)).rows) == [(str(i), "new")], (mode, name)
                assert ctx.wait_hit(p, lambda: other.run(READ + "$1", [i]).rows) == [(str(i), "new")], (mode, name)
            assert ctx.hits(p, as_it_began) == 0, (mode, name)
            c.query("COMMIT")
            assert ctx.wait_hit(p, lambda: c.query(READ + "1").rows) == [("1", "new")]
            c.close()
            other.close()
        p.stop()


def test_serializable_by_default(ctx):
    """What such a transaction has read counts for others: the server has to know of it."""
    table(ctx)
    ways = by_default(ctx, "serializable")
    p = ctx.cache_proxy()
    for connect in ways.values():
        c = ctx.keep(connect(p))
        ctx.never_hit(p, lambda: c.query(READ + "1"))
        ctx.never_hit(p, lambda: c.run(READ + "$1", [1]))


def test_begin_behind_a_write(ctx):
    """A BEGIN that is not the first in its transaction does not make one that only reads of it."""
    table(ctx)
    p = ctx.cache_proxy()
    mine = [("1", "mine")]
    write = "UPDATE t SET v = 'mine' WHERE id = 1"
    for lazy in ("on", "off"):
        p.reload(lazy_begin=lazy)
        for name, (course, times) in {
                "in one batch": (begin_wire(write) + begin_wire() + sync(), 1),
                "in one batch, flushed": (begin_wire(write) + flush() + begin_wire() + sync(), 1),
                "in one text": (query(f"{write}; BEGIN"), 1),
                "within": (query(f"BEGIN; {write}") + query("BEGIN"), 2),
                "within, in steps": (query("BEGIN") + query(write) + unit("BEGIN"), 3)}.items():
            c = ctx.keep(p.connect(ctx.db))
            warm(ctx, p, c, 1)
            assert c.ask(course, times=times).status == "T"
            assert repeat(6, lambda: c.query(READ + "1").rows) == [mine] * 6, name
            c.query("ROLLBACK")
            assert c.query(READ + "1").rows == [("1", "value 1")], name


def test_failed_never(ctx):
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    for first in ("SELECT 1/0", "SELEKT"):
        c.query("BEGIN")
        c.query(READ + "1")
        assert c.ask(query(first)).status == "E"
        for script in (query(READ + "1"), unit(READ + "$1", [1])):
            got = c.ask(script)
            assert (got.sqlstate(), got.status) == ("25P02", "E")
        got = c.ask(query("COMMIT"))
        assert (got.tags, got.status) == (["ROLLBACK"], "I")


def test_still_hits(ctx):
    """What only reads does not end the hits of a transaction, even when a server has it."""
    table(ctx)
    p = ctx.cache_proxy()
    for lazy in ("on", "off"):
        p.reload(lazy_begin=lazy)
        c = ctx.keep(p.connect(ctx.db))
        warm(ctx, p, c, 1, 2)
        for sql in ("SAVEPOINT a", "SHOW transaction_isolation", "SELECT 1", READ + "77", "SELECT count(*) FROM t"):
            c.query("BEGIN")
            c.query(sql)
            # After the server was read the cache must be known to be as new; that takes a moment.
            assert ctx.wait_hit(p, lambda: (time.sleep(0.02), c.query(READ + "1").rows)[1]) == [("1", "value 1")], sql
            assert c.ask(query("ROLLBACK")).tags == ["ROLLBACK"]


def test_lazy_begin_off(ctx):
    """BEGIN goes to the server at once; reads hit all the same."""
    table(ctx)
    p = ctx.cache_proxy(lazy_begin="off")
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    before = assignments(ctx, p)
    c.query("BEGIN")
    assert in_transaction(ctx) == 1
    ctx.wait_hit(p, lambda: (time.sleep(0.02), c.query(READ + "1"))[1])
    c.query("COMMIT")
    assert assignments(ctx, p) == before + 1


def in_transaction(ctx):
    return int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' "
                       f"AND datname = '{ctx.db}'")[0][0])


def test_nothing_deferred_without_cache(ctx):
    """As PgBouncer: BEGIN takes a server."""
    table(ctx)
    p = ctx.proxy(cache="off")
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    assert in_transaction(ctx) == 1
    c.query("COMMIT")


def test_not_deferred_while_off(ctx):
    """No stream, no hits: BEGIN takes a server as it would without a cache."""
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    ctx.sql("ALTER ROLE control CONNECTION LIMIT 0")
    try:
        ctx.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'control' AND "
                f"datname = '{ctx.db}'")
        p.wait(lambda: p.console("SHOW INVALIDATION")[0]["state"] != "following", "the cache is off")
        c.query("BEGIN")
        assert in_transaction(ctx) == 1
        c.query("COMMIT")
    finally:
        ctx.sql("ALTER ROLE control CONNECTION LIMIT -1")


# ---- what it sees


def test_sees_commits_of_others(ctx):
    """P4: another client's acknowledged write is seen by the next statement, deferred or not."""
    table(ctx)
    p = ctx.cache_proxy()
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for first in ([], ["SELECT 1"], [READ + "1"], [READ + "1", READ + "70"]):
        for n in range(20):
            warm(ctx, p, b, 1)
            a.query("BEGIN")
            for sql in first:
                a.query(sql)
            b.query(f"UPDATE t SET v = 'n {n}' WHERE id = 1")
            assert a.query(READ + "1").rows == [("1", f"n {n}")], (first, n)
            a.query("COMMIT")


def test_sees_direct_writes_within_the_bound(ctx):
    table(ctx)
    p = ctx.cache_proxy()
    a = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, a, 1)
    a.query("BEGIN")
    assert a.query(READ + "1").rows == [("1", "value 1")]
    ctx.sql("UPDATE t SET v = 'direct' WHERE id = 1")
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        a.query(READ + "1")
    assert a.query(READ + "1").rows == [("1", "direct")]
    a.query("COMMIT")


def test_reads_own_writes(ctx):
    """P3, within the transaction and behind it."""
    table(ctx)
    p = ctx.cache_proxy()
    a = ctx.keep(p.connect(ctx.db))
    for n in range(20):
        warm(ctx, p, a, 1)
        a.query("BEGIN")
        a.query(READ + "1")
        a.query(f"UPDATE t SET v = 'w {n}' WHERE id = 1")
        assert a.query(READ + "1").rows == [("1", f"w {n}")]
        a.query("COMMIT")
        a.query("BEGIN")
        assert a.query(READ + "1").rows == [("1", f"w {n}")]
        a.query("COMMIT")


def test_no_step_back(ctx):
    """The stream is held up, the bound is wide: outside of a transaction an old entry may follow a miss, but
    within one each statement is at least as new as the one before."""
    table(ctx)
    ctx.sql("CREATE TABLE u(id int PRIMARY KEY, n int); GRANT ALL ON u TO app; INSERT INTO u VALUES (1, 0), (2, 0)")
    old, new = "SELECT n FROM u WHERE id = 1", "SELECT n, id FROM u WHERE id = 1"
    for lazy in ("on", "off"):
        ctx.sql("UPDATE u SET n = 0")
        p = ctx.cache_proxy(max_staleness="5s", lazy_begin=lazy)
        a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
        for x in (a, b, c):
            ctx.wait_hit(p, lambda: x.query(old))
        with ctx.pg.stream_held(ctx.db):
            ctx.sql("UPDATE u SET n = 1 WHERE id = 1")
            # A miss, then what would have hit.
            a.query("BEGIN")
            assert a.value(new) == "1"
            for _ in range(3):
                assert a.value(old) == "1", "the row went back after a miss"
            a.query("COMMIT")
            # A hit on what was read just now, by another client.
            b.query("BEGIN")
            assert b.value(new) == "1"
            assert b.value(old) == "1", "the row went back after a hit"
            b.query("COMMIT")
            # What is not cached.
            c.query("BEGIN")
            assert c.value("SELECT n FROM u WHERE id = 1 AND random() >= 0") == "1"
            assert c.value(old) == "1"
            c.query("COMMIT")
        p.stop()


def test_a_miss_holds_back_no_longer_than_its_transaction(ctx):
    """By default misses hold nothing back outside of transactions: nor do those of an earlier one."""
    table(ctx)
    p = ctx.cache_proxy(max_staleness="5s")
    a = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, a, 1)
    ctx.wait_hit(p, lambda: a.query(READ + "1"))
    with ctx.pg.stream_held(ctx.db):
        for stop in ("COMMIT", "ROLLBACK"):
            a.query("BEGIN")
            a.query("SELECT v FROM t WHERE id = 33 -- " + stop)
            a.query(stop)
            assert ctx.hits(p, lambda: a.query(READ + "1")) == 1


def test_fills_within(ctx):
    """A read that a transaction had to ask for is an entry for others, but not one after a write."""
    table(ctx)
    p = ctx.cache_proxy()
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    warm(ctx, p, a, 1)
    warm(ctx, p, b, 1)
    for lazy in ("on", "off"):
        p.reload(lazy_begin=lazy)
        for i, script in enumerate((query(READ + "{}"), None)):
            n = 20 + i + (2 if lazy == "on" else 0)
            ask = (lambda c: c.query(READ + str(n))) if script else (lambda c: c.run(READ + "$1", [n]))
            warm(ctx, p, a, 1)
            warm(ctx, p, b, 1)
            a.query("BEGIN")
            stores = p.cache()["stores"]
            ask(a)
            assert p.cache()["stores"] == stores + 1
            assert ctx.hits(p, lambda: ask(b)) == 1, (lazy, n)
            a.query("COMMIT")
        for first in ("UPDATE t SET v = 'never' WHERE id = {n}", "SET LOCAL TimeZone = 'UTC'",
                      "SELECT v FROM t WHERE id = {n} FOR UPDATE"):
            n += 10
            a.query("BEGIN")
            a.query(first.format(n=n))
            stores = p.cache()["stores"]
            a.query(READ + str(n))
            assert p.cache()["stores"] == stores, first
            a.query("ROLLBACK")
            assert b.query(READ + str(n)).rows == [(str(n), f"value {n}")]


# ---- the time


def test_time(ctx):
    """now() is when the server hears of the transaction. One that asks for it after a hit is known by its first
    statement the next time: then the server hears of it with that one."""
    table(ctx)
    p = ctx.cache_proxy(worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(READ + "1"))
    ctx.wait_hit(p, lambda: c.query("SELECT v FROM t WHERE id = 1"))

    def lag(first, ask):
        """How much later than its first statement the transaction says that it began, in seconds."""
        ctx.wait_hit(p, lambda: c.query(first))
        c.query("BEGIN")
        c.query(first)
        began = float(ctx.sql("SELECT extract(epoch FROM clock_timestamp())")[0][0])
        time.sleep(0.3)
        rows = c.query(ask).rows
        c.query("ROLLBACK")
        return float(rows[0][0]) - began

    other = "SELECT v FROM t WHERE id = 1"
    assert lag(READ + "1", "SELECT extract(epoch FROM clock_timestamp()) FROM t LIMIT 1") > 0.25
    first = lag(READ + "1", "SELECT extract(epoch FROM now())")
    assert first > 0.25, first  # not known yet
    for ask in ("SELECT extract(epoch FROM now())", "SELECT extract(epoch FROM CURRENT_TIMESTAMP)",
                "INSERT INTO log DEFAULT VALUES RETURNING extract(epoch FROM at)",
                "SELECT extract(epoch FROM 'now'::timestamptz)"):
        assert lag(READ + "1", ask) < 0.1, ask
    assert p.cache()["bypass_transaction_time"] >= 4, p.cache()
    # Transactions that begin with another statement are not concerned.
    ctx.wait_hit(p, lambda: c.query(other))
    c.query("BEGIN")
    assert ctx.hits(p, lambda: c.query(other)) == 1
    c.query("COMMIT")
    # A default that is not in the text cannot be known.
    assert lag(other, "INSERT INTO log DEFAULT VALUES RETURNING extract(epoch FROM at)") > 0.25
    # Without a hit in between BEGIN and the server's statement there is nothing to be avoided.
    c.query("BEGIN")
    c.query("SELECT now()")
    c.query("COMMIT")


# ---- cancel, ends, timeouts


def test_cancel_while_deferred(ctx):
    """There is nothing to cancel, and nobody else is hit."""
    table(ctx)
    p = ctx.cache_proxy(default_pool_size=1)
    c, busy = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    c.query("BEGIN")
    busy.send(query("SELECT pg_sleep(0.3)"))
    for _ in range(5):
        c.cancel()
        assert c.query(READ + "1").rows == [("1", "value 1")]
    assert busy.until_ready().sqlstate() is None
    assert c.ask(query("COMMIT")).tags == ["COMMIT"]


def test_cancel_while_waiting(ctx):
    """The first statement that needs a server waits for one, and is cancelled: the transaction has failed."""
    table(ctx)
    p = ctx.cache_proxy(default_pool_size=1)
    c, holder = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    for stop in ("COMMIT", "ROLLBACK", "END"):
        for script in (query("SELECT 1"), unit("SELECT 1")):
            warm(ctx, p, c, 1)
            c.query("BEGIN")
            c.query(READ + "1")
            holder.query("BEGIN")
            holder.query("SELECT 1")
            c.send(script)
            p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "a waiting client")
            c.cancel()
            got = c.until_ready()
            assert (got.sqlstate(), got.status) == ("57014", "E"), got.errors
            assert [row["transaction"] for row in p.console("SHOW CLIENTS")].count("failed") == 1
            for refused in (query(READ + "1"), unit(READ + "$1", [1]), query("SELEKT"), query("BEGIN"),
                            parse("SELECT 1", "s") + describe("S", "s") + sync()):
                got = c.ask(refused)
                assert (got.sqlstate(), got.status, got.kinds) == ("25P02", "E", "EZ"), got.messages
            assert c.ask(sync()).status == "E"
            assert c.ask(flush() + close("S", "nobody") + sync()).kinds == "3Z"
            got = c.ask(query(stop) if script[:1] == b"Q" else unit(stop))
            assert (got.tags, got.status) == (["ROLLBACK"], "I")
            holder.query("COMMIT")
            assert c.query("SELECT 1").status == "I"


class Mangler:
    """Between the proxy and PostgreSQL: while it is armed, the text BEGIN arrives as BEGIX."""

    def __init__(self, ctx, port):
        self.armed = False
        self.mangled = 0
        self.target = ("127.0.0.1", port)
        self.listener = ctx.keep(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            for a, b, changes in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.copy, args=(a, b, changes), daemon=True).start()

    def copy(self, a, b, changes):
        try:
            while data := a.recv(65536):
                if changes and self.armed and b"\0BEGIN\0" in data:
                    self.mangled += 1
                    data = data.replace(b"\0BEGIN\0", b"\0BEGIX\0")
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def test_begin_fails(ctx):
    """A BEGIN that was answered already fails on the server: what was sent behind it does not run, its error is
    the client's answer, and the transaction has failed."""
    table(ctx)
    m = Mangler(ctx, ctx.pg.port)
    for mode in ("transaction", "session"):
        p = ctx.cache_proxy(databases={ctx.db: ctx.server(host="127.0.0.1", port=m.port)}, pool_mode=mode)
        c = ctx.keep(p.connect(ctx.db))
        warm(ctx, p, c, 1)
        scripts = {
            "simple": (query("INSERT INTO t VALUES (5000, 'x')"), 1),
            "extended": (unit("INSERT INTO t VALUES (5000, 'x')"), 1),
            "a batch": (unit("INSERT INTO t VALUES (5000, 'x')")[:-5] + unit("INSERT INTO t VALUES (5001, 'x')"), 1),
            "two queries": (query("INSERT INTO t VALUES (5000, 'x')") + query("INSERT INTO t VALUES (5001, 'y')"), 2),
            "two units": (unit("INSERT INTO t VALUES (5000, 'x')") + unit("INSERT INTO t VALUES (5001, 'y')"), 2),
            "units and a commit": (unit("INSERT INTO t VALUES (5000, 'x')") + query("INSERT INTO t VALUES (5001, 'y')") + query("COMMIT"), 3),
            "a prepared name": (query("EXECUTE q"), 1),
            "a read": (query(READ + "99"), 1),
        }
        for name, (script, times) in scripts.items():
            if name == "a prepared name" and mode == "session":
                continue
            for hit_first in (True, False):
                c = ctx.keep(p.connect(ctx.db))
                if name == "a prepared name":
                    c.query("PREPARE q AS INSERT INTO t VALUES (5000, 'x')")
                    c.query("SELECT pg_sleep(0)")
                warm(ctx, p, c, 1)
                c.query("BEGIN")
                if hit_first:
                    c.query(READ + "1")
                m.armed, m.mangled = True, 0
                try:
                    got = c.ask(script, times=times)
                    first = got.errors[0]
                    assert first.sqlstate == "42601" and "BEGIX" in first.text, (name, got.messages)
                    assert got.status == ("I" if "commit" in name else "E"), (name, got.messages)
                    assert [e.sqlstate for e in got.errors[1:]] == ["25P02"] * (min(times, 2) - 1), (name, got.errors)
                except PeerClosed as closed:
                    # What an EXECUTE needs is made first: there is nothing yet whose answer the error could be.
                    assert name == "a prepared name", (name, closed)
                assert m.mangled == 1, (name, m.mangled)
                m.armed = False
                if name != "a prepared name" and "commit" not in name:
                    assert c.ask(query(READ + "1")).sqlstate() == "25P02"
                    assert c.ask(query("COMMIT")).tags == ["ROLLBACK"]
                    assert c.value("SELECT 1") == "1"
                c.close()
                assert ctx.sql("SELECT count(*) FROM t WHERE id >= 5000")[0][0] == "0", (mode, name)
        # Nothing is left of it: servers are used again.
        c = ctx.keep(p.connect(ctx.db))
        assert [c.value("SELECT 1") for _ in range(10)] == ["1"] * 10
        p.stop()


def test_ends_while_deferred(ctx):
    """A client that leaves takes nothing with it; one whose server cannot be had is told."""
    table(ctx)
    p = ctx.cache_proxy(default_pool_size=1, query_wait_timeout=1)
    holder = ctx.keep(p.connect(ctx.db))
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    for end in ("close", "abort"):
        for _ in range(10):
            c = ctx.keep(p.connect(ctx.db))
            c.query("BEGIN")
            c.query(READ + "1")
            getattr(c, end)()
    p.wait(lambda: len([r for r in p.console("SHOW CLIENTS") if r["database"] == ctx.db]) == 2, "they are gone")
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    c.query(READ + "1")
    holder.query("BEGIN; SELECT 1")
    c.send(query("SELECT 1"))
    error = c.wait_closed(5).errors[-1]
    assert "query_wait_timeout" in error.text, error
    holder.query("COMMIT")
    assert in_transaction(ctx) == 0


def test_timeouts(ctx):
    """A transaction that no server knows of is idle and grows old like any other."""
    table(ctx)
    for setting, name in (("idle_transaction_timeout", "idle transaction timeout"), ("transaction_timeout", "transaction timeout")):
        for mode in ("transaction", "session"):
            p = ctx.cache_proxy(pool_mode=mode, client_idle_timeout=1, **{setting: 2})
            c = ctx.keep(p.connect(ctx.db))
            warm(ctx, p, c, 1)
            c.query("BEGIN")
            began = time.monotonic()
            if setting == "transaction_timeout":
                error = None
                try:
                    while time.monotonic() < began + 10:
                        c.query(READ + "1")
                        time.sleep(0.05)
                except PeerClosed as closed:
                    error = closed.error
            else:
                while time.monotonic() < began + 1.5:
                    c.query(READ + "1")
                    time.sleep(0.05)
                began = time.monotonic()
                error = c.wait_closed(8).errors[-1]
            took = time.monotonic() - began
            assert name in error.text and (setting != "idle_transaction_timeout" or "idle" in error.text), error
            assert 1.8 < took < 5, (name, took)
            p.stop()


# ---- modes, and what is shown


def test_statement_mode(ctx):
    """Transactions are not for that mode, whatever is cached."""
    table(ctx)
    p = ctx.cache_proxy(pool_mode="statement")
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    try:
        c.ask(query("BEGIN"))
        assert False, "BEGIN was taken"
    except PeerClosed as closed:
        assert "transaction blocks not allowed" in closed.error.text


def test_session_mode(ctx):
    """The client has a server, but it is not asked."""
    table(ctx)
    p = ctx.cache_proxy(pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    for _ in range(5):
        warm(ctx, p, c, 1)
        assert ctx.hits(p, lambda: [c.ask(part).check() for part in SCRIPTS["extended"]]) == 1
        c.query("BEGIN")
        assert in_transaction(ctx) == 0
        c.query(READ + "1")
        c.query("UPDATE t SET v = 'mine' WHERE id = 1")
        assert in_transaction(ctx) == 1
        assert c.query(READ + "1").rows == [("1", "mine")]
        c.query("ROLLBACK")
        assert c.query(READ + "1").rows == [("1", "value 1")]
    # A second BEGIN behind one that the server has: the server warns.
    c.query("BEGIN")
    c.query("SELECT 1")
    assert c.ask(query("BEGIN")).notices[0]["C"] == "25001"
    c.query("COMMIT")
    assert in_transaction(ctx) == 0
    # A name that the server must know is not made here.
    assert c.ask(begin_wire("BEGIN", "b") + unit(READ + "$1", [1])).kinds == "12C12TDCZ"
    c.query("COMMIT")
    warm(ctx, p, c, 1)
    c.ask(bind("b") + execute() + sync())
    assert in_transaction(ctx) == 0
    c.query("COMMIT")
    c.query("DEALLOCATE b")


def test_shown(ctx):
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)

    def shown():
        row, = [r for r in p.console("SHOW CLIENTS") if r["database"] == ctx.db]
        return row["transaction"], bool(row["link"])

    def stats():
        row, = [r for r in p.console("SHOW STATS") if r["database"] == ctx.db]
        return int(row["total_query_count"]), int(row["total_xact_count"])

    before = stats()
    assert shown() == ("", False)
    c.query("BEGIN")
    assert shown() == ("deferred", False)
    c.query(READ + "1")
    assert shown() == ("deferred", False)
    c.query("COMMIT")
    after = stats()
    assert (after[0] - before[0], after[1] - before[1]) == (3, 1)
    c.query("BEGIN")
    c.query(READ + "88")
    assert shown() == ("reads", True)
    c.query("SET LOCAL TimeZone = 'UTC'")
    assert shown() == ("open", True)
    c.query("COMMIT")
    assert shown() == ("", False)


def test_notifications_wait(ctx):
    """As in PostgreSQL a client in a transaction is told of nothing before its end."""
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("LISTEN news")
    warm(ctx, p, c, 1)
    c.query("BEGIN")
    c.query(READ + "1")
    ctx.sql("NOTIFY news, 'x'")
    assert c.is_quiet(0.15)
    assert c.ask(query(READ + "1")).kinds == "TDCZ"
    c.send(query("COMMIT"))
    assert c.until("A").kinds == "CZA"


def test_own_listen_waits_for_commit(ctx):
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    c.query("BEGIN")
    c.query("LISTEN news")
    c.query("ROLLBACK")
    ctx.sql("NOTIFY news, 'x'")
    assert c.is_quiet(0.1)


def test_portals(ctx):
    """The unnamed portal of a hit is on no server: what is executed again is an error, never older rows."""
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    warm(ctx, p, c, 1)
    c.query("BEGIN")
    assert c.ask(parse("SELECT id FROM t ORDER BY id") + bind() + execute(max_rows=2) + sync()).kinds == "12DDsZ"
    ctx.wait_hit(p, lambda: (time.sleep(0.02), c.run(READ + "$1", [1]))[1])
    got = c.ask(execute() + sync())
    assert got.rows == [] and got.sqlstate() == "34000", got.messages
    c.query("ROLLBACK")
    # Another Bind, and all is as ever.
    c.query("BEGIN")
    c.ask(parse("SELECT id FROM t ORDER BY id") + bind() + execute(max_rows=2) + sync())
    assert c.ask(execute(max_rows=1) + sync()).rows == [("3",)]
    c.query("ROLLBACK")


UNDER_WAY = {
    "a write": [(parse("UPDATE t SET v = 'mine' WHERE id = 1") + bind() + execute() + flush(), "C")],
    "COPY": [(parse("DELETE FROM t WHERE id = 1") + bind() + execute() + flush(), "C"), (parse("COPY t FROM STDIN") + bind() + execute() + sync(), "G"),
             (copy_data(b"1\tmine\n") + copy_done() + flush(), "C")],
    "SET LOCAL": [(parse("SET LOCAL search_path = elsewhere") + bind() + execute() + flush(), "C")],
}


def begins_under_way(ctx, **settings):
    """BEGIN behind what a batch has run and told of already makes all of that its transaction: neither a hit nor a fill."""
    table(ctx)
    ctx.sql("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.t(id int PRIMARY KEY, v text); INSERT INTO elsewhere.t VALUES (1, 'mine');"
            "GRANT ALL ON SCHEMA elsewhere TO app; GRANT ALL ON elsewhere.t TO app")
    p = ctx.cache_proxy(**settings)
    c, w = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for what, pieces in UNDER_WAY.items():
        for begin in (begin_wire() + sync(), query("BEGIN")):
            warm(ctx, p, w, 1)
            for piece, kind in pieces:
                c.send(piece)
                c.until(kind)
            c.ask(begin).check()
            for i in range(5):
                fresh = f"SELECT v FROM t WHERE id = 1 -- {what} {len(begin)} {i % 2}"
                for text in (fresh, READ + "1"):
                    assert c.query(text).rows[0][-1] == "mine", (what, text)
                    assert w.query(text).rows[0][-1] == "value 1", (what, text)
                time.sleep(0.01)
            c.query("ROLLBACK")


def test_begins_under_way(ctx):
    begins_under_way(ctx)


def test_begins_under_way_in_session_mode(ctx):
    begins_under_way(ctx, pool_mode="session")
