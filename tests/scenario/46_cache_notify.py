# SPDX-License-Identifier: Apache-2.0
"""invalidation = notify: triggers tell of changes, for servers without wal_level = logical."""
import subprocess
import threading
import time

from reads import Reads, through, wait_seen
from runner import limit, scenario

SETUP = "CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); GRANT ALL ON t TO app"
READ = "SELECT n FROM t WHERE id = 1"
WARM = "CREATE TABLE IF NOT EXISTS warm(id int PRIMARY KEY); GRANT SELECT ON warm TO PUBLIC"


def install(ctx, *arguments, user="postgres", code=0):
    dsn = f"host=127.0.0.1 port={ctx.pg.port} dbname={ctx.db} user={user}"
    done = subprocess.run([ctx.binary, "install-triggers", *[a for a in arguments if a[:2] == "--"], dsn,
                           *[a for a in arguments if a[:2] != "--"]], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{done.returncode}: {done.stdout} {done.stderr}"
    return done.stdout + done.stderr


def reason(p):
    return " ".join(str(row) for row in p.console("SHOW INVALIDATION"))


def past_the_bound(p):
    """Waits as long as a stale answer might be right."""
    told = time.monotonic()
    p.wait(lambda: time.monotonic() - told > 0.25, "the bound")


def notified(ctx, **settings):
    ctx.sql(WARM)
    install(ctx)
    return ctx.cache_proxy(**({"invalidation": "notify"} | settings))


def test_direct_writes(ctx):
    """Seen within max_staleness, typically within a millisecond or two."""
    ctx.sql(SETUP)
    p = notified(ctx)
    d = ctx.direct()
    scenario("32_cache_direct_writes.py").check_bound(
        ctx, p, 0.25, 100, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))


def test_kinds_of_writes(ctx):
    ctx.sql(SETUP + "; CREATE TABLE parent(k int PRIMARY KEY); INSERT INTO parent VALUES (0); GRANT ALL ON parent TO app;"
            "CREATE TABLE child(id int PRIMARY KEY, n int REFERENCES parent ON UPDATE CASCADE);"
            "INSERT INTO child VALUES (1, 0); GRANT ALL ON child TO app;"
            "CREATE TABLE cause(n int);"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = NEW.n WHERE id = 1; RETURN NEW; END $$;"
            "CREATE TRIGGER tr AFTER INSERT ON cause FOR EACH ROW EXECUTE FUNCTION f();"
            "CREATE UNLOGGED TABLE light(id int PRIMARY KEY, n int); INSERT INTO light VALUES (1, 0); GRANT ALL ON light TO app;"
            'CREATE SCHEMA "we.ird"; CREATE TABLE "we.ird"."ta""b:le"(id int PRIMARY KEY, n int); '
            'INSERT INTO "we.ird"."ta""b:le" VALUES (1, 0); GRANT ALL ON SCHEMA "we.ird" TO app; GRANT ALL ON "we.ird"."ta""b:le" TO app')
    p = notified(ctx)
    d = ctx.direct()
    check_bound = scenario("32_cache_direct_writes.py").check_bound
    for sql, read in [
            ("BEGIN; UPDATE t SET n = $n WHERE id = 1; SELECT pg_sleep(0.01); COMMIT", READ),
            ("BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, $n); COMMIT", READ),
            ("UPDATE parent SET k = $n", "SELECT n FROM child WHERE id = 1"),
            ("INSERT INTO cause VALUES ($n)", READ),
            ("SET session_replication_role = replica; UPDATE t SET n = $n WHERE id = 1; RESET session_replication_role", READ),
            ("BEGIN; SAVEPOINT a; UPDATE t SET n = -5; ROLLBACK TO a; UPDATE t SET n = $n WHERE id = 1; COMMIT", READ),
            ("UPDATE light SET n = $n", "SELECT n FROM light WHERE id = 1"),
            ("WITH w AS (UPDATE t SET n = $n WHERE id = 1 RETURNING id) SELECT * FROM w", READ),
            ("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, $n) ON CONFLICT (id) DO UPDATE SET n = excluded.n", READ),
            ("MERGE INTO t USING (SELECT 1 AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = $n", READ),
            ('UPDATE "we.ird"."ta""b:le" SET n = $n', 'SELECT n FROM "we.ird"."ta""b:le" WHERE id = 1')]:
        table = read.split()[3]
        d.query(f"UPDATE {table} SET n = 0" if table != "child" else "UPDATE parent SET k = 0")
        check_bound(ctx, p, 0.25, 3, lambda n, sql=sql: d.query(sql.replace("$n", str(n))), read)


@limit(60)
def test_own_writes(ctx):
    """P3 and P4 hold as with the WAL: the judge of 31_, with readers that fill at every instant."""
    own = scenario("31_cache_own_writes.py")
    ctx.sql(own.SETUP + own.WRITES["simple"][0])
    ctx.sql(WARM)
    install(ctx)
    p = ctx.cache_proxy(invalidation="notify", worker_threads=2, default_pool_size=8)
    writer = ctx.keep(p.connect(ctx.db))
    judges = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    stop, acknowledged = threading.Event(), [0]
    hammers = [ctx.thread(own.hammer, ctx, p, stop, acknowledged) for _ in range(3)]
    write = own.WRITES["simple"][1]
    try:
        before = p.cache()["hits"]
        for n in range(1, 60):
            write(writer, n)
            acknowledged[0] = n
            for judge in judges + [writer]:
                assert judge.value(own.READ) == str(n)
    finally:
        stop.set()
    for h in hammers:
        h.result()
    assert p.cache()["hits"] > before, "nothing was answered from memory"


def test_only_who_tells(ctx):
    """A table without the trigger, or with one that is not complete, is never cached."""
    ctx.sql(SETUP + "; CREATE TABLE silent(id int PRIMARY KEY, n int); INSERT INTO silent VALUES (1, 0); GRANT ALL ON silent TO app;"
            "CREATE TABLE part(id int, n int) PARTITION BY RANGE (id);"
            "CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10); GRANT ALL ON part, part1 TO app")
    ctx.sql(WARM)
    assert "2 tables" in install(ctx, "t", "warm")
    p = ctx.cache_proxy(invalidation="notify")
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(READ))
    ctx.never_hit(p, lambda: c.query("SELECT n FROM silent WHERE id = 1"))

    def silent():
        c.query("SELECT n FROM silent WHERE id = 1")
        return p.cache()["bypass_not_notified"] > 0
    p.wait(silent, "the reason of the bypass")
    assert "no ordinary tables" in install(ctx, "part1", code=1)
    ctx.never_hit(p, lambda: c.query("SELECT n FROM part1 WHERE id = 1"))
    # Switched off, or changed by hand: the entry ends within the bound, and none follows.
    for spoil, mend in (("ALTER TABLE t DISABLE TRIGGER pgweir_notify", "ALTER TABLE t ENABLE ALWAYS TRIGGER pgweir_notify"),
                        ("ALTER TABLE t ENABLE TRIGGER pgweir_notify", "ALTER TABLE t ENABLE ALWAYS TRIGGER pgweir_notify"),
                        ("CREATE OR REPLACE FUNCTION pgweir.notify() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", None)):
        ctx.wait_hit(p, lambda: c.query(READ))
        ctx.sql(spoil)
        past_the_bound(p)
        ctx.never_hit(p, lambda: c.query(READ))
        if mend:
            ctx.sql(mend)
        else:
            install(ctx)


@limit(240)
def test_differential_of_other_keys(ctx):
    """Whole rows, partitions and views, read by any column: triggers tell of tables alone, own writes of keys."""
    keys = scenario("42_cache_other_keys.py")
    keys.differential(ctx, 250, begun=lambda ctx: (ctx.sql(WARM), install(ctx)), rounds=3, invalidation="notify")


@limit(60)
def test_other_keys(ctx):
    """A direct write to one row ends the reads of others by a column as well: nobody says which row it was. An own write ends its own."""
    keys = scenario("42_cache_other_keys.py")
    ctx.sql(keys.COMMENTS)
    p = notified(ctx)
    reads, own, d = Reads(ctx, p), through(ctx, p), ctx.direct()
    one, two = (f"SELECT max(body) FROM comments WHERE article_id = {i}" for i in (1, 2))
    reads.fill(one, two)
    for n, write in enumerate(("UPDATE comments SET body = 'z{}' WHERE article_id = 1", "UPDATE comments SET body = 'z{}' WHERE id = (SELECT min(id) FROM comments WHERE article_id = 1)",
                               "INSERT INTO comments(article_id, body) VALUES (1, 'z{}')", "WITH w AS (UPDATE comments SET body = 'z{}' WHERE article_id = 1 RETURNING 1) SELECT count(*) FROM w")):
        reads.fill(one, two)
        before = p.cache()["invalidated"]
        d.query(write.format(2 * n + 10)).check()
        wait_seen(ctx, reads, one, f"z{2 * n + 10}")
        reads.misses_until_hit(two)
        assert p.cache()["invalidated"] - before >= 2, write
        reads.fill(one, two)
        own(write.format(2 * n + 11))
        reads.dies(one, f"z{2 * n + 11}", write)


def test_by_hand(ctx):
    """NOTIFY pgweir from anywhere ends a table's entries, or all."""
    ctx.sql(SETUP + "; CREATE TABLE u(id int PRIMARY KEY, n int); INSERT INTO u VALUES (1, 0); GRANT ALL ON u TO app")
    p = notified(ctx)
    c = ctx.keep(p.connect(ctx.db))
    d = ctx.direct()
    for payload, ends, stays in (("public.t", "t", "u"), ("PUBLIC.T", "t", "u"), ('"public"."t"', "t", "u"),
                                 ('"public"."T"', None, "t"), ("", "t", None), ("nonsense", "u", None), ("a.b.c", "u", None)):
        for table in ("t", "u"):
            ctx.wait_hit(p, lambda table=table: c.query(f"SELECT n FROM {table} WHERE id = 1"))
        before = p.cache()
        d.query(f"NOTIFY pgweir, '{payload}'" if payload else "NOTIFY pgweir")
        if ends:
            def ended(ends=ends, before=before):
                c.query(f"SELECT n FROM {ends} WHERE id = 1")
                return p.cache()["misses"] > before["misses"]
            p.wait(ended, f"the end of {ends} by {payload!r}", interval=0.002)
        if stays:
            misses = p.cache()["misses"]
            ctx.wait_hit(p, lambda stays=stays: c.query(f"SELECT n FROM {stays} WHERE id = 1"))
            assert p.cache()["misses"] == misses, f"{payload!r} ended {stays}"


def test_auto_falls_back(ctx):
    """Where the control user may not replicate, auto takes the triggers; without them the cache says why it is off."""
    ctx.sql("DROP ROLE IF EXISTS listens", database="postgres")
    ctx.sql(SETUP + "; CREATE ROLE listens LOGIN PASSWORD 'listens-secret'")
    try:
        from proxy import USERS
        p = ctx.proxy(cache="on", invalidation="auto", control_user="listens", cache_size="8M",
                      users=USERS | {"listens": "listens-secret"})
        c = ctx.keep(p.connect(ctx.db))
        c.query(READ)
        p.wait(lambda: "REPLICATION" in reason(p), "the reason")
        ctx.sql(WARM)
        install(ctx)
        p.reload()   # it tries again at once
        ctx.wait_hits(p, timeout=15)
        scenario("32_cache_direct_writes.py").check_bound(
            ctx, p, 0.25, 20, lambda n: ctx.sql(f"UPDATE t SET n = {n} WHERE id = 1"))
        for one in ctx.proxies:
            one.stop()
    finally:
        ctx.sql("DROP ROLE listens", database="postgres")


def test_not_installed(ctx):
    ctx.sql(SETUP)
    from proxy import CACHE_SETTINGS
    p = ctx.proxy(**CACHE_SETTINGS | {"invalidation": "notify"})
    c = ctx.keep(p.connect(ctx.db))
    c.query(READ)
    p.wait(lambda: "install-triggers" in reason(p), "the reason")


def test_connection_lost(ctx):
    """No notification is heard while the connection is away: nothing is served meanwhile, and nothing older afterwards."""
    ctx.sql(SETUP)
    p = notified(ctx)
    c = ctx.keep(p.connect(ctx.db))
    for n in range(1, 6):
        ctx.wait_hit(p, lambda: c.query(READ))
        ctx.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgweir control'"
                f" AND datname = '{ctx.db}'")
        ctx.sql(f"UPDATE t SET n = {n} WHERE id = 1")
        past_the_bound(p)
        assert c.value(READ) == str(n)
    assert ctx.wait_hit(p, lambda: c.value(READ)) == "5"


def test_install(ctx):
    """What the command prints, does, and undoes."""
    ctx.sql(SETUP)
    sql = install(ctx, "--print")
    assert "CREATE TRIGGER pgweir_notify" in sql and '"public"."t"' in sql
    count = "SELECT count(*) FROM pg_trigger WHERE tgname = 'pgweir_notify'"
    assert ctx.sql(count)[0][0] == "0"
    ctx.sql(sql)     # as a user would: through psql, to be looked at first
    assert ctx.sql(count)[0][0] == "1"
    install(ctx)     # twice is once
    assert ctx.sql(count)[0][0] == "1"
    install(ctx, "--remove")
    assert ctx.sql(count)[0][0] == "0"
    assert ctx.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgweir'")[0][0] == "0"
    install(ctx, "--nonsense", code=2)
    assert "does not exist" in install(ctx, "no_such_table", code=1)
