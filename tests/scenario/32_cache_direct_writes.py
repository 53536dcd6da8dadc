# SPDX-License-Identifier: Apache-2.0
"""Writes that go round the proxy: seen by hits within max_staleness, and by no session backwards."""
import statistics
import threading
import time

from pgwire import query, unit
from runner import limit

SETUP = "CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); GRANT ALL ON t TO app"
READ = "SELECT n FROM t WHERE id = 1"


def check_bound(ctx, p, bound, rounds, write, read=READ):
    """Repeats a direct write, and reads until it is seen. A read that begins later than the bound
    after the write's acknowledgement must see it: that is the promise, without any grace."""
    c, typical = ctx.keep(p.connect(ctx.db)), []
    for n in range(1, rounds + 1):
        ctx.wait_hit(p, lambda: c.query(read))
        write(n)
        acknowledged = time.monotonic()
        while True:
            began = time.monotonic()
            if c.value(read) == str(n):
                typical.append(time.monotonic() - acknowledged)
                break
            assert began - acknowledged <= bound, f"{began - acknowledged:.3f} s after the write, the old row"
    ms = sorted(t * 1000 for t in typical)
    ctx.note(f"seen after {statistics.median(ms):.2f} ms (median), {ms[-1]:.1f} ms (most) of {rounds}")
    return ms


def test_update(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    d = ctx.direct()
    check_bound(ctx, p, 0.25, 100, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))


def test_other_bounds(ctx):
    ctx.sql(SETUP)
    d = ctx.direct()
    for setting, bound in (("50ms", 0.05), ("1s", 1.0)):
        d.query("UPDATE t SET n = 0")
        p = ctx.cache_proxy(max_staleness=setting)
        check_bound(ctx, p, bound, 20, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))


def test_kinds_of_writes(ctx):
    """What the stream shows in its own ways: transactions, TRUNCATE, cascades, COPY, triggers."""
    ctx.sql(SETUP + "; CREATE TABLE keyless(n int); INSERT INTO keyless VALUES (0); GRANT ALL ON keyless TO app;"
            "CREATE TABLE parent(k int PRIMARY KEY); INSERT INTO parent VALUES (0); GRANT ALL ON parent TO app;"
            "CREATE TABLE child(id int PRIMARY KEY, n int REFERENCES parent ON UPDATE CASCADE); INSERT INTO child VALUES (1, 0); GRANT ALL ON child TO app;"
            "CREATE TABLE cause(n int);"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = NEW.n WHERE id = 1; RETURN NEW; END $$;"
            "CREATE TRIGGER tr AFTER INSERT ON cause FOR EACH ROW EXECUTE FUNCTION f();"
            'CREATE SCHEMA "we.ird"; CREATE TABLE "we.ird"."ta""b:le"(id int PRIMARY KEY, n int); '
            'INSERT INTO "we.ird"."ta""b:le" VALUES (1, 0); GRANT ALL ON SCHEMA "we.ird" TO app; GRANT ALL ON "we.ird"."ta""b:le" TO app')
    p = ctx.cache_proxy()
    d = ctx.direct()

    cases = [
        ("BEGIN; UPDATE t SET n = $n WHERE id = 1; SELECT pg_sleep(0.01); COMMIT", READ),
        ("BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, $n); COMMIT", READ),
        ("TRUNCATE keyless; INSERT INTO keyless VALUES ($n)", "SELECT n FROM keyless"),
        ("UPDATE keyless SET n = $n", "SELECT n FROM keyless"),
        ("UPDATE parent SET k = $n", "SELECT n FROM child WHERE id = 1"),
        ("INSERT INTO cause VALUES ($n)", READ),
        ("BEGIN; SAVEPOINT a; UPDATE t SET n = -5; ROLLBACK TO a; UPDATE t SET n = $n WHERE id = 1; COMMIT", READ),
        ("BEGIN; UPDATE t SET n = $n WHERE id = 1; PREPARE TRANSACTION 'd'; COMMIT PREPARED 'd'", READ),
        ('UPDATE "we.ird"."ta""b:le" SET n = $n', 'SELECT n FROM "we.ird"."ta""b:le" WHERE id = 1'),
    ]
    for sql, read in cases:
        # COMMIT PREPARED may not share a message with other statements.
        pieces = sql.split("; ") if "PREPARED" in sql else [sql]

        def run(n, pieces=pieces):
            for piece in pieces:
                d.query(piece.replace("$n", str(n)))
        try:
            check_bound(ctx, p, 0.25, 5, run, read)
        except AssertionError as error:
            raise AssertionError(f"{sql}: {error}") from None
    ctx.notes[:] = []


def test_asynchronous_commit(ctx):
    """Visible before it is flushed: the documented bound is max_staleness + 3 * wal_writer_delay."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    d = ctx.direct()
    d.query("SET synchronous_commit = off")
    check_bound(ctx, p, 0.25 + 0.6, 20, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))


@limit(90)
def test_monotonic_sessions(ctx):
    """With monotonic_reads = all no session sees a row go backwards, while others write directly as fast
    as they can."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(worker_threads=2, monotonic_reads="all")
    stop = threading.Event()

    def write():
        n = 0
        with ctx.pg.connect(ctx.db) as d:
            while not stop.is_set():
                n += 1
                d.query(f"UPDATE t SET n = {n} WHERE id = 1")
                if n % 50 == 0:
                    time.sleep(0.02)
        return n

    def read(i):
        last, seen = 0, 0
        with p.connect(ctx.db) as c:
            while not stop.is_set():
                n = int(c.value(READ) if i % 2 else c.run(READ).value)
                assert n >= last, f"{n} after {last}"
                seen += n != last
                last = n
        return seen

    writer = ctx.thread(write)
    readers = [ctx.thread(read, i) for i in range(6)]
    time.sleep(4)
    stop.set()
    ctx.note(f"{writer.result()} writes, {sum(r.result() for r in readers)} changes seen, {p.cache()['hits']:.0f} hits")


def test_big_transaction(ctx):
    """A transaction with many rows over many tables."""
    tables = 60
    ctx.sql(";".join(f"CREATE TABLE b{i}(id int PRIMARY KEY, n int); INSERT INTO b{i} SELECT g, 0 FROM generate_series(1, 500) g; "
                     f"GRANT ALL ON b{i} TO app" for i in range(tables)))
    p = ctx.cache_proxy()
    d = ctx.direct(timeout=60)
    c = ctx.keep(p.connect(ctx.db))
    for i in range(tables):
        c.query(f"SELECT n FROM b{i} WHERE id = 1")
    check_bound(ctx, p, 0.25, 3,
                lambda n: d.query("BEGIN;" + ";".join(f"UPDATE b{i} SET n = {n}" for i in range(tables)) + ";COMMIT"),
                "SELECT n FROM b17 WHERE id = 1")
    time.sleep(0.3)
    for i in range(tables):
        assert c.value(f"SELECT n FROM b{i} WHERE id = 1") == "3", i


def test_large_rows_in_stream(ctx):
    ctx.sql(SETUP + "; CREATE TABLE wide(id int, v text)")
    p = ctx.cache_proxy()
    d = ctx.direct(timeout=60)
    before = p.rss_bytes()
    check_bound(ctx, p, 0.25, 3, lambda n: d.query(
        f"BEGIN; INSERT INTO wide VALUES ({n}, repeat('x', 20000000)); UPDATE t SET n = {n} WHERE id = 1; COMMIT"))
    grown = (p.rss_bytes() - before) / (1 << 20)
    ctx.note(f"memory grew by {grown:.0f} MB")
    if not ctx.sanitizer:
        assert grown < 150, grown


def test_idle_writes_do_not_end_hits(ctx):
    """Writes to other tables, and none at all: entries live on."""
    ctx.sql(SETUP + "; CREATE TABLE busy(i int)")
    p = ctx.cache_proxy()
    c, d = ctx.keep(p.connect(ctx.db)), ctx.direct()
    ctx.wait_hit(p, lambda: c.query(READ))

    def run():
        for i in range(100):
            d.query("INSERT INTO busy VALUES (1)")
            c.query(READ)
    assert ctx.hits(p, run) > 80
    time.sleep(1)
    assert ctx.hits(p, lambda: [c.query(READ) for _ in range(20)]) >= 15


def test_own_write_and_other_rows(ctx):
    """By default a write that tells of nothing but its own rows holds back no hits on others; one that tells of more
    does: what it reads, a failure, what its transaction read."""
    ctx.sql(SETUP + "; CREATE TABLE others(id int PRIMARY KEY); INSERT INTO others VALUES (1); GRANT ALL ON others TO app")
    p = ctx.cache_proxy(max_staleness="20s", worker_threads=1)
    read, own = "SELECT n FROM t WHERE id = 2 ORDER BY n", "SELECT n FROM t WHERE id = 1 ORDER BY n"
    writes = ("UPDATE t SET n = n + 1 WHERE id = 1", "UPDATE t SET n = n + 1 WHERE id = 1 RETURNING n",
              "DELETE FROM t WHERE id = 1 AND n < 0")
    tell = ("UPDATE t SET n = n + 1 WHERE id = 1 AND EXISTS (SELECT FROM others WHERE others.id = 1)",
            "INSERT INTO t VALUES (1, 1)", "INSERT INTO t VALUES (1, 1) ON CONFLICT DO NOTHING", "BEGIN; UPDATE t SET n = n WHERE id = 1; COMMIT",
            "UPDATE t SET n = n WHERE id = 1; SELECT count(*) FROM others WHERE random() >= 0")
    c = ctx.keep(p.connect(ctx.db))
    sessions = [(sql, ask, ctx.keep(p.connect(ctx.db))) for sql in writes + tell for ask in (query, unit)
                if ask is query or ";" not in sql]
    for asked in (query, unit):
        for sql in (read, own, "SELECT id FROM others"):
            ctx.wait_hit(p, lambda: c.ask(asked(sql)).check())
    with ctx.pg.stream_held(ctx.db):
        before = int(ctx.sql("SELECT n FROM t WHERE id = 1")[0][0])
        for sql, ask, session in sessions:
            before += "n + 1" in sql
            session.ask(ask(sql))
            hits = ctx.hits(p, lambda: session.ask(ask(read)).check())
            assert hits == (1 if sql in writes else 0), (sql, hits)
            assert ctx.hits(p, lambda: session.ask(ask(own)).check()) == 0
            assert session.ask(ask(own)).check().rows == [(str(before),)], sql


def test_cancelled_while_it_waits(ctx):
    """What was noted of a write that never ran is not true of the next statement."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(max_staleness="20s", worker_threads=1, default_pool_size=1)
    read = "SELECT n FROM t WHERE id = 2 ORDER BY n"
    c, holder = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(read))
    with ctx.pg.stream_held(ctx.db):
        holder.query("BEGIN")
        holder.query("SELECT n FROM t WHERE id = 1 FOR UPDATE")
        c.send(query(f"UPDATE t SET n = 7 WHERE id = 1 /* {'x' * 500} */"))
        p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "it to wait")
        c.cancel()
        assert c.until_ready().sqlstate() == "57014"
        holder.query("COMMIT")
        ctx.sql("UPDATE t SET n = 1 WHERE id = 2")
        assert c.value("SELECT n FROM t WHERE id = 2 AND random() >= 0") == "1"
        for _ in range(3):
            assert c.value(read) == "1", "the row went back"


def test_no_step_back(ctx):
    """The stream is held up, the bound is wide: an old entry may be served, but not to a session that
    has read newer rows around the cache, be it in a transaction, by its own write, or (with
    monotonic_reads = all) by a miss, or by a hit of what another one brought."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(max_staleness="5s", monotonic_reads="all", worker_threads=1)
    old = "SELECT n FROM t WHERE id = 1 ORDER BY n"
    warm = ctx.keep(p.connect(ctx.db))
    sessions = [ctx.keep(p.connect(ctx.db)) for _ in range(6)]
    for c in (warm, *sessions):
        ctx.wait_hit(p, lambda: c.query(old))
    new = "SELECT n FROM t WHERE id = 1 LIMIT 1"
    with ctx.pg.stream_held(ctx.db):
        ctx.sql("UPDATE t SET n = 1 WHERE id = 1")
        by_miss, by_hit, by_hit_again, by_transaction, by_uncacheable, by_write = sessions

        def check(name, c):
            for _ in range(3):
                assert c.value(old) == "1", f"the row went back after {name}"

        assert by_miss.value(new) == "1"
        for c in (by_hit, by_hit_again): # the second is a unit that came before, to the byte (repeats.h)
            assert ctx.hits(p, lambda: c.ask(query(new)).check()) == 1
        check("a hit", by_hit)
        check("a hit by a unit that is known", by_hit_again)
        check("a miss", by_miss)
        by_transaction.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert by_transaction.value(old) == "1"
        by_transaction.query("COMMIT")
        check("a transaction", by_transaction)
        assert by_uncacheable.value("SELECT n FROM t WHERE id = 1 AND random() >= 0") == "1"
        check("a query that is not cached", by_uncacheable)
        by_write.query("UPDATE t SET n = n WHERE id = 2")
        check("an own write", by_write)
    p.wait(lambda: warm.value(old) == "1", "the stream to be through")  # it may see the old row until then
    ctx.wait_hit(p, lambda: warm.query(old))
    assert warm.value(old) == "1"
