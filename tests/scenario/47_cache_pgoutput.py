# SPDX-License-Identifier: Apache-2.0
"""publication = NAME: the WAL decoded by pgoutput, for that publication, whose tables alone are cached."""
import time

from pgwire import query, unit
from proxy import CACHE_SETTINGS
from runner import limit, scenario
from window import Window

SETUP = ("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0);"
         "CREATE TABLE silent(id int PRIMARY KEY, n int); INSERT INTO silent VALUES (1, 0); GRANT ALL ON t, silent TO app;"
         "CREATE TABLE warm(id int PRIMARY KEY); GRANT SELECT ON warm TO PUBLIC;")
PUBLISHED = SETUP + "CREATE PUBLICATION pub FOR TABLE t, warm;"
READ = "SELECT n FROM t WHERE id = 1"
SILENT = "SELECT n FROM silent WHERE id = 1"
BOUND = 0.25


class Published:
    """A test's context, where proxies decode a publication of all tables that there are and will be: for what
    other files test. (Such a publication refuses UPDATE and DELETE where there is no replica identity.)"""

    def __init__(self, ctx):
        self.ctx = ctx

    def __getattr__(self, name):
        return getattr(self.ctx, name)

    def cache_proxy(self, **settings):
        if not self.sql("SELECT FROM pg_publication"):
            self.sql("CREATE PUBLICATION everything FOR ALL TABLES")
        return self.ctx.cache_proxy(publication="everything", **settings)


def told(p):
    """State and reason of the only database."""
    row = p.console("SHOW INVALIDATION")[0]
    return row["state"], row["reason"]


def begun(p):
    return int(p.console("SHOW INVALIDATION")[0]["reconnects"])


def check_refused(ctx, p, c, read, why):
    """Never hits, and says why."""
    ctx.never_hit(p, lambda: c.query(read))
    before = p.cache()[f"bypass_{why}"]

    def counted():
        c.query(read)
        return p.cache()[f"bypass_{why}"] > before
    p.wait(counted, f"{why} of {read}")


def never_stale(ctx, c, want, read=READ, rounds=60):
    """From the bound on, and while entries are made anew."""
    written = time.monotonic()
    while time.monotonic() - written <= BOUND:
        c.query(read)
    for _ in range(rounds):
        assert (got := c.value(read)) == want, f"{got}, not {want}, {time.monotonic() - written:.3f} s after the write"


# ---- As test_decoding ---------------------------------------------------------------------------

@limit(90)
def test_direct_writes(ctx):
    ctx.sql(PUBLISHED)
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    direct = scenario("32_cache_direct_writes.py")
    direct.check_bound(ctx, p, BOUND, 100, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))
    assert ctx.sql(f"SELECT plugin, temporary FROM pg_replication_slots WHERE database = '{ctx.db}'") == [("pgoutput", "t")]
    # While nothing is written, or to others only, nothing but hits.
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(READ))
    before = p.cache()
    for n in range(200):
        d.query(f"UPDATE silent SET n = {n}")
        c.query(READ)
    after = p.cache()
    assert after["misses"] == before["misses"] and after["hits"] - before["hits"] >= 190, (before, after)


@limit(60)
def test_kinds_of_writes(ctx):
    ctx.sql(PUBLISHED + "CREATE TABLE parent(k int PRIMARY KEY); INSERT INTO parent VALUES (0); GRANT ALL ON parent TO app;"
            "CREATE TABLE child(id int PRIMARY KEY, n int REFERENCES parent ON UPDATE CASCADE); INSERT INTO child VALUES (1, 0); GRANT ALL ON child TO app;"
            "CREATE TABLE cause(n int);"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = NEW.n WHERE id = 1; RETURN NEW; END $$;"
            "CREATE TRIGGER tr AFTER INSERT ON cause FOR EACH ROW EXECUTE FUNCTION f();"
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE typed(id int PRIMARY KEY, m mood, n int, g int GENERATED ALWAYS AS (n + 1) STORED);"
            "INSERT INTO typed VALUES (1, 'sad', 0); GRANT ALL ON typed TO app;"
            "CREATE TABLE gone(a int, id int PRIMARY KEY, n int); ALTER TABLE gone DROP a; INSERT INTO gone VALUES (1, 0); GRANT ALL ON gone TO app;"
            'CREATE SCHEMA "we.ird"; CREATE TABLE "we.ird"."ta""b:le"("I d" text PRIMARY KEY, n int); '
            'INSERT INTO "we.ird"."ta""b:le" VALUES (\'it\'\'s\', 0); GRANT ALL ON SCHEMA "we.ird" TO app; GRANT ALL ON "we.ird"."ta""b:le" TO app;'
            'ALTER PUBLICATION pub ADD TABLE parent, child, typed, gone, "we.ird"."ta""b:le"')
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    check_bound = scenario("32_cache_direct_writes.py").check_bound
    for sql, read in [
            ("BEGIN; UPDATE t SET n = $n WHERE id = 1; SELECT pg_sleep(0.01); COMMIT", READ),
            ("BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, $n); COMMIT", READ),
            ("TRUNCATE t, silent, child, parent; INSERT INTO t VALUES (1, $n); INSERT INTO silent VALUES (1, 0);"
             "INSERT INTO parent VALUES (0); INSERT INTO child VALUES (1, 0)", READ),
            ("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, $n)", READ),
            ("UPDATE parent SET k = $n", "SELECT n FROM child WHERE id = 1"),
            ("INSERT INTO cause VALUES ($n)", READ),
            ("BEGIN; SAVEPOINT a; UPDATE t SET n = -5; ROLLBACK TO a; UPDATE t SET n = $n WHERE id = 1; COMMIT", READ),
            ("BEGIN; UPDATE t SET n = $n WHERE id = 1; PREPARE TRANSACTION 'd'", READ),
            ("SELECT pg_logical_emit_message(true, 'x', 'y'); UPDATE t SET n = $n WHERE id = 1", READ),
            ("SELECT pg_replication_origin_session_setup('o'); UPDATE t SET n = $n WHERE id = 1; SELECT pg_replication_origin_session_reset()", READ),
            ("UPDATE typed SET n = $n WHERE m = 'sad'", "SELECT n FROM typed WHERE id = 1"),
            ("UPDATE gone SET n = $n", "SELECT n FROM gone WHERE id = 1"),
            ('UPDATE "we.ird"."ta""b:le" SET n = $n', 'SELECT n FROM "we.ird"."ta""b:le" WHERE "I d" = \'it\'\'s\'')]:
        if "origin" in sql:
            d.query("SELECT pg_replication_origin_create('o')")

        def run(n, sql=sql):
            d.query(sql.replace("$n", str(n))).check()
            if "PREPARE" in sql:
                d.query("COMMIT PREPARED 'd'").check()
        try:
            check_bound(ctx, p, BOUND, 4, run, read)
        except AssertionError as error:
            raise AssertionError(f"{sql}: {error}") from None
    ctx.sql("SELECT pg_replication_origin_drop('o')")
    ctx.notes[:] = []


IDENTITIES = { # and which keys tell rows apart
    "REPLICA IDENTITY FULL": ("id",),
    "REPLICA IDENTITY USING INDEX t_code": ("code",),
    "REPLICA IDENTITY USING INDEX t_both": ("id", "code"),
    "REPLICA IDENTITY DEFAULT": ("id",),
}


@limit(120)
def test_rows(ctx):
    """By whatever identity: the rows that were written end, the others live where the identity is the key."""
    rows = scenario("42_cache_rows.py")
    ctx.sql(rows.SETUP + "ALTER TABLE t ADD code int, ADD big text; UPDATE t SET code = id + 1000, big = repeat(md5(id::text), 500);"
            "ALTER TABLE t ALTER code SET NOT NULL; ALTER TABLE t ALTER big SET STORAGE EXTERNAL; UPDATE t SET big = big || 'x';"
            "CREATE UNIQUE INDEX t_code ON t(code); CREATE UNIQUE INDEX t_both ON t(code, id); CREATE TABLE warm(id int PRIMARY KEY);"
            "GRANT ALL ON t, warm TO app; CREATE PUBLICATION pub FOR TABLE t, warm")
    p = ctx.cache_proxy(publication="pub")
    reads, own, direct = rows.Reads(ctx, p), rows.through(ctx, p), rows.directly(ctx)

    def row(i):
        return f"SELECT n FROM t WHERE id = {i}"

    def code(i):
        return f"SELECT n FROM t WHERE code = {1000 + i}"

    n = 0
    reads.fill(row(6))
    for identity, apart in IDENTITIES.items():
        changed = p.console("SHOW INVALIDATION")[0]["schema_changes"]
        direct(f"ALTER TABLE t {identity}")
        p.wait(lambda c=changed: p.console("SHOW INVALIDATION")[0]["schema_changes"] > c, "the change of the schema")
        if apart == ("id",):
            rows.learn(p, reads, own)
        for write, see in ((own, reads.dies), (direct, lambda s, v: rows.wait_seen(ctx, reads, s, v))):
            n += 1
            reads.fill(row(5), row(6), code(5), code(6))
            write(f"UPDATE t SET n = {n} WHERE id = 5") # big is not changed, so it is not told
            see(row(5), str(n))
            see(code(5), str(n))
            if apart == ("id",):
                reads.lives(row(6), identity)
            if apart == ("code",):
                reads.lives(code(6), identity)
            reads.fill(row(5), row(50), code(5))
            write(f"UPDATE t SET id = 50, n = {n + 100} WHERE id = 5")
            see(row(5), None)
            see(row(50), str(n + 100))
            see(code(5), str(n + 100))
            reads.fill(row(5), row(50), code(5), code(50))
            write("UPDATE t SET id = 5, code = 1050 WHERE id = 50")
            see(row(50), None)
            see(code(5), None)
            see(code(50), str(n + 100))
            reads.fill(row(5))
            write("DELETE FROM t WHERE id = 5")
            see(row(5), None)
            write("INSERT INTO t(id, n, code, big) VALUES (5, 0, 1005, repeat('y', 9000))")
            see(row(5), "0")


@limit(240)
def test_differential(ctx):
    """Generated reads and random writes, direct ones too: each answer is PostgreSQL's."""
    scenario("42_cache_rows.py").test_differential(Published(ctx))


@limit(240)
def test_differential_of_other_keys(ctx):
    """The same with whole rows, partitions and views."""
    scenario("42_cache_other_keys.py").test_differential(Published(ctx))


@limit(120)
def test_whole_rows(ctx):
    """Any column of a whole row tells rows apart, and what has become of the identity is in the stream."""
    keys = scenario("42_cache_other_keys.py")
    keys.test_columns(Published(ctx))


@limit(60)
def test_whole_rows_with_wide_columns(ctx):
    scenario("42_cache_other_keys.py").test_unchanged_wide_columns(Published(ctx))


@limit(60)
def test_identity_changes_unseen(ctx):
    """The stream itself says which columns of a row are told, whatever the catalog says yet."""
    scenario("42_cache_other_keys.py").test_identity_changes_unseen(Published(ctx))


@limit(60)
def test_partitions_made_unseen(ctx):
    """An own row goes to a partition that the proxy has not heard of: nothing else in the stream tells of it."""
    ctx.sql(PUBLISHED + TREE + "ALTER PUBLICATION pub ADD TABLE part")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    c = ctx.keep(p.connect(ctx.db))
    for i in range(40, 60):
        made = f"SELECT n FROM part WHERE id = {i}"
        ctx.wait_hit(p, lambda r=made: c.query(r))
        d.query(f"CREATE TABLE more_{i} PARTITION OF part FOR VALUES FROM ({i}) TO ({i + 1})").check()
        c.query(f"INSERT INTO part(n, id) SELECT 7, {i}").check() # any row, as far as is known
        for _ in range(20):
            assert c.value(made) == "7"


@limit(60)
def test_late_visibility(ctx):
    """A commit is in the stream before it can be seen."""
    late = scenario("33_cache_late_visibility.py")
    late.test_direct_write(Published(ctx))


@limit(60)
def test_late_visibility_through_proxy(ctx):
    scenario("33_cache_late_visibility.py").test_several_commits_in_the_window(Published(ctx))


@limit(60)
def test_walsender_killed(ctx):
    scenario("34_cache_stream.py").test_walsender_killed(Published(ctx))


@limit(60)
def test_walsender_stopped(ctx):
    scenario("34_cache_stream.py").test_walsender_stopped(Published(ctx))


@limit(60)
def test_no_step_back(ctx):
    scenario("32_cache_direct_writes.py").test_no_step_back(Published(ctx))


@limit(120)
def test_own_writes(ctx):
    own = scenario("31_cache_own_writes.py")
    own.check(Published(ctx), "simple", rounds=100)


@limit(120)
def test_changes_of_the_schema(ctx):
    """DDL shows as nothing in this stream: the readings see it, within the bound."""
    scenario("37_cache_ddl.py").run_all(Published(ctx), direct=True, parts=3)


@limit(120)
def test_big_transaction(ctx):
    """However many rows a transaction has, it is decoded in a few megabytes."""
    ctx.sql(PUBLISHED + "CREATE TABLE many(id int PRIMARY KEY, n int, v text); ALTER PUBLICATION pub ADD TABLE many; GRANT ALL ON many TO app;"
            "INSERT INTO many SELECT i, 0, repeat('x', 200) FROM generate_series(1, 200000) i")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct(timeout=100)
    c = ctx.keep(p.connect(ctx.db))
    read = "SELECT n FROM many WHERE id = 150000"
    ctx.wait_hit(p, lambda: c.query(read))
    ctx.wait_hit(p, lambda: c.query(READ))
    before = p.rss_bytes()
    transactions = int(p.console("SHOW INVALIDATION")[0]["transactions"])
    d.query("BEGIN; UPDATE many SET n = 1; UPDATE t SET n = 1 WHERE id = 1; COMMIT").check()
    never_stale(ctx, c, "1", read)
    never_stale(ctx, c, "1")
    p.wait(lambda: int(p.console("SHOW INVALIDATION")[0]["transactions"]) > transactions, "the transaction in the stream", timeout=60)
    ctx.wait_hit(p, lambda: c.query(read))
    grown = (p.rss_bytes() - before) / (1 << 20)
    ctx.note(f"200,000 rows of 250 bytes: memory grew by {grown:.1f} MB")
    if not ctx.sanitizer:
        assert grown < 8, grown


@limit(60)
def test_encoding_of_the_role(ctx):
    """pgoutput converts names and values to the client's encoding, which a role may have of its own."""
    ctx.sql(PUBLISHED + 'CREATE TABLE "Größe"("schlüssel" text PRIMARY KEY, n int); INSERT INTO "Größe" VALUES (\'ä\', 0), (\'ö\', 0);'
            'GRANT ALL ON "Größe" TO app; ALTER PUBLICATION pub ADD TABLE "Größe"')
    control = CACHE_SETTINGS["control_user"]
    ctx.sql(f"ALTER ROLE {control} IN DATABASE {ctx.db} SET client_encoding = 'LATIN1'")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    scenario("32_cache_direct_writes.py").check_bound(
        ctx, p, BOUND, 20, lambda n: d.query(f'UPDATE "Größe" SET n = {n} WHERE "schlüssel" = \'ä\''),
        'SELECT n FROM "Größe" WHERE "schlüssel" = \'ä\'')


# ---- What is in it ------------------------------------------------------------------------------

def test_outside(ctx):
    """Other tables go around the cache, and SHOW CACHE QUERIES says why; so does what reads them as well."""
    ctx.sql(PUBLISHED + "CREATE VIEW v AS SELECT t.n FROM t JOIN silent USING (id); GRANT SELECT ON v TO app;"
            "CREATE MATERIALIZED VIEW m AS SELECT n FROM t; GRANT SELECT ON m TO app")
    p = ctx.cache_proxy(publication="pub", track_queries=100)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(READ))
    for read in (SILENT, "SELECT t.n FROM t, silent WHERE t.id = 1", "SELECT n FROM v", "SELECT n FROM m"):
        check_refused(ctx, p, c, read, "not_published")
    row = [r for r in p.console("SHOW CACHE QUERIES") if "FROM silent" in r["query"]][0]
    assert (row["reason"], row["meaning"], row["hits"]) == \
        ("not_published", "reads a table that is not in the configured publication", "0"), row
    # Own writes to it are as right as ever.
    for n in range(20):
        c.query(f"UPDATE silent SET n = {n}")
        assert c.value(SILENT) == str(n)


PARTLY = {
    "some kinds of writes": "CREATE PUBLICATION pub FOR TABLE x, warm WITH (publish = 'insert, update, delete')",
    "inserts": "CREATE PUBLICATION pub FOR TABLE x, warm WITH (publish = 'insert')",
    "no inserts": "CREATE PUBLICATION pub FOR TABLE x, warm WITH (publish = 'update, delete, truncate')",
    "no deletes": "CREATE PUBLICATION pub FOR TABLE x, warm WITH (publish = 'insert, update, truncate')",
    "no updates": "CREATE PUBLICATION pub FOR TABLE x, warm WITH (publish = 'insert, delete, truncate')",
    "row filter": "CREATE PUBLICATION pub FOR TABLE x WHERE (id < 100), warm",
    "columns without the key": "CREATE PUBLICATION pub FOR TABLE x (n), warm",
    "columns without the identity": "ALTER TABLE x REPLICA IDENTITY USING INDEX x_code; CREATE PUBLICATION pub FOR TABLE x (id, n), warm",
    "columns and full": "ALTER TABLE x REPLICA IDENTITY FULL; CREATE PUBLICATION pub FOR TABLE x (id, n), warm",
    "no identity": "ALTER TABLE x DROP CONSTRAINT x_pkey; CREATE PUBLICATION pub FOR TABLE x, warm",
    "identity nothing": "ALTER TABLE x REPLICA IDENTITY NOTHING; CREATE PUBLICATION pub FOR TABLE x, warm",
    "a deferrable key": "ALTER TABLE x DROP CONSTRAINT x_pkey, ADD PRIMARY KEY (id) DEFERRABLE; CREATE PUBLICATION pub FOR TABLE x, warm",
}


@limit(120)
def test_partly(ctx):
    """Tables of whose changes the publication does not tell all."""
    ctx.sql(SETUP)
    make = "CREATE TABLE x(id int PRIMARY KEY, n int, code int NOT NULL); CREATE UNIQUE INDEX x_code ON x(code); " \
           "INSERT INTO x VALUES (1, 0, 1); GRANT ALL ON x TO app; "
    for name, sql in PARTLY.items():
        ctx.sql(make + sql)
        kinds = "publish =" in sql # of the whole publication: nothing can be cached
        p = ctx.proxy(**CACHE_SETTINGS, publication="pub") if kinds else ctx.cache_proxy(publication="pub")
        c = ctx.keep(p.connect(ctx.db))
        try:
            check_refused(ctx, p, c, "SELECT n FROM x WHERE id = 1", "partly_published")
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{name}: {error}") from None
        p.stop()
        ctx.sql("DROP TABLE x; DROP PUBLICATION pub")


def test_columns(ctx):
    """A list of columns with the key: changes of others are told as well, and rows told apart."""
    rows = scenario("42_cache_rows.py")
    ctx.sql(rows.SETUP + SETUP.replace("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0);", "")
            + "CREATE PUBLICATION pub FOR TABLE t (id), warm")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    scenario("32_cache_direct_writes.py").check_bound(
        ctx, p, BOUND, 20, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))
    reads = rows.Reads(ctx, p)
    reads.fill(rows.row(5), rows.row(6))
    d.query("UPDATE t SET n = 77 WHERE id = 5")
    rows.wait_seen(ctx, reads, rows.row(5), "77")
    reads.lives(rows.row(6))


def test_kinds_of_publications(ctx):
    """By schema, of all tables, and with a name that wants quoting, twice."""
    ctx.sql(SETUP)
    name = "it's a \"pub\""
    quoted = name.replace('"', '""')
    for how in ("FOR TABLES IN SCHEMA public", "FOR ALL TABLES", "FOR TABLE silent, TABLES IN SCHEMA public"):
        ctx.sql(f'CREATE PUBLICATION "{quoted}" {how}')
        p, d = ctx.cache_proxy(publication=name), ctx.direct()
        scenario("32_cache_direct_writes.py").check_bound(
            ctx, p, BOUND, 10, lambda n, d=d: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))
        c = ctx.keep(p.connect(ctx.db))
        ctx.wait_hit(p, lambda: c.query(SILENT))
        p.stop()
        ctx.sql(f'DROP PUBLICATION "{quoted}"; UPDATE t SET n = 0')


TREE = ("CREATE TABLE part(id int PRIMARY KEY, n int) PARTITION BY RANGE (id);"
        "CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE part2 PARTITION OF part FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id);"
        "CREATE TABLE part2a PARTITION OF part2 FOR VALUES FROM (10) TO (20);"
        "INSERT INTO part VALUES (1, 0), (11, 0); GRANT ALL ON part, part1, part2, part2a TO app;")


@limit(60)
def test_partitions(ctx):
    ctx.sql(PUBLISHED + TREE + "ALTER PUBLICATION pub ADD TABLE part")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    check_bound = scenario("32_cache_direct_writes.py").check_bound
    for read in ("SELECT n FROM part WHERE id = 11", "SELECT n FROM part2a", "SELECT n FROM part2"):
        for table in ("part", "part2a"):
            d.query("UPDATE part SET n = 0")
            check_bound(ctx, p, BOUND, 4, lambda n, t=table: d.query(f"UPDATE {t} SET n = {n} WHERE id = 11"), read)
    c = ctx.keep(p.connect(ctx.db))
    # A new one is published with its root.
    ctx.sql("CREATE TABLE part2b PARTITION OF part2 FOR VALUES FROM (20) TO (30); INSERT INTO part VALUES (21, 0); GRANT ALL ON part2b TO app")
    d.query("UPDATE part SET n = 0")
    check_bound(ctx, p, BOUND, 4, lambda n: d.query(f"UPDATE part SET n = {n} WHERE id = 21"), "SELECT n FROM part2b")
    check_bound(ctx, p, BOUND, 4, lambda n: d.query(f"UPDATE part SET n = {n} WHERE id = 21"), "SELECT n FROM part WHERE id = 21")
    # Detached it is not, and then nothing but itself is refused.
    ctx.sql("ALTER TABLE part DETACH PARTITION part1")
    never_stale(ctx, c, "4", "SELECT n FROM part WHERE id = 21")
    check_refused(ctx, p, c, "SELECT n FROM part1", "not_published")
    ctx.wait_hit(p, lambda: c.query("SELECT n FROM part WHERE id = 21"))


@limit(60)
def test_truncate(ctx):
    """All rows of each table end, and of those above."""
    ctx.sql(PUBLISHED + TREE + "ALTER PUBLICATION pub ADD TABLE part")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    c = ctx.keep(p.connect(ctx.db))
    in_t = (READ, "SELECT count(*) FROM t")
    in_part = ("SELECT count(*) FROM part", "SELECT n FROM part WHERE id = 11", "SELECT n FROM part2a WHERE id = 11")
    for truncate, reads in (("TRUNCATE t", in_t), ("TRUNCATE t, silent RESTART IDENTITY", in_t), ("TRUNCATE part, t", in_t + in_part),
                            ("TRUNCATE part2a", in_part), ("BEGIN; SAVEPOINT s; TRUNCATE t; RELEASE s; COMMIT", in_t)):
        for read in reads:
            ctx.wait_hit(p, lambda r=read: c.query(r))
        d.query(truncate).check()
        for read in reads:
            gone = d.query(read).rows
            written = time.monotonic()
            while time.monotonic() - written <= BOUND:
                c.query(read)
            assert c.query(read).rows == gone, (truncate, read)
        d.query("INSERT INTO t VALUES (1, 0), (2, 0) ON CONFLICT DO NOTHING;"
                "INSERT INTO part VALUES (1, 0), (11, 0) ON CONFLICT DO NOTHING").check()


def test_one_partition_of_a_tree(ctx):
    """The root is refused where a partition is not published."""
    ctx.sql(PUBLISHED + TREE + "ALTER PUBLICATION pub ADD TABLE part2a")
    p = ctx.cache_proxy(publication="pub")
    c = ctx.keep(p.connect(ctx.db))
    check_refused(ctx, p, c, "SELECT n FROM part WHERE id = 11", "not_published")
    check_refused(ctx, p, c, "SELECT n FROM part1", "not_published")
    ctx.wait_hit(p, lambda: c.query("SELECT n FROM part2a WHERE id = 11"))


def test_by_root(ctx):
    """publish_via_partition_root names the root for its partitions: these are refused, others are not."""
    ctx.sql(SETUP + TREE + "CREATE PUBLICATION pub FOR TABLE part, t, warm WITH (publish_via_partition_root)")
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    c = ctx.keep(p.connect(ctx.db))
    for read in ("SELECT n FROM part WHERE id = 11", "SELECT n FROM part2", "SELECT n FROM part2a"):
        check_refused(ctx, p, c, read, "partly_published")
    d.query("UPDATE part SET n = 5") # told, of a table that nobody reads
    scenario("32_cache_direct_writes.py").check_bound(
        ctx, p, BOUND, 10, lambda n: d.query(f"UPDATE t SET n = {n} WHERE id = 1"))


# ---- When it changes ----------------------------------------------------------------------------

@limit(120)
def test_altered(ctx):
    """Tables come and go: what is taken out ends within the bound, what comes is cached; directly and through
    the proxy."""
    ctx.sql(PUBLISHED)
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    c, own = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "postgres"))
    n, count = 0, "SELECT count(*) FROM t"
    for alter in (d, own):
        for out, back in [
                ("DROP TABLE t", "ADD TABLE t"),
                ("SET TABLE warm", "SET TABLE warm, t"),
                ("SET TABLE warm, t WHERE (id > 0)", "SET TABLE warm, t"),
                ("SET TABLE warm", "ADD TABLES IN SCHEMA public"),
                ("DROP TABLES IN SCHEMA public", "ADD TABLE t")][:1 if alter is own else None]:
            ctx.wait_hit(p, lambda: c.query(READ), timeout=10)
            alter.query(f"ALTER PUBLICATION pub {out}").check()
            n += 1
            d.query(f"UPDATE t SET n = {n} WHERE id = 1").check()
            never_stale(ctx, c, str(n))
            p.wait(lambda: told(p)[0] == "following", "the stream", timeout=10)
            ctx.never_hit(p, lambda: c.query(READ))
            alter.query(f"ALTER PUBLICATION pub {back}").check()
            n += 1
            d.query(f"UPDATE t SET n = {n} WHERE id = 1").check()
            ctx.wait_hit(p, lambda: c.query(READ), timeout=10)
            d.query(f"UPDATE t SET n = {n + 1000} WHERE id = 1").check()
            never_stale(ctx, c, str(n + 1000))
        for out, back in [("SET (publish = 'insert, update')", "SET (publish = 'insert, update, delete, truncate')")]:
            ctx.wait_hit(p, lambda: c.query(count), timeout=10)
            alter.query(f"ALTER PUBLICATION pub {out}").check()
            d.query("TRUNCATE t").check()
            never_stale(ctx, c, "0", count)
            d.query("INSERT INTO t VALUES (1, 0), (2, 0)")
            alter.query(f"ALTER PUBLICATION pub {back}").check()
            ctx.wait_hit(p, lambda: c.query(READ), timeout=10)


@limit(60)
def test_missing(ctx):
    """A publication that is not there is told of, and the cache comes on when it is made."""
    ctx.sql(SETUP)
    p = ctx.proxy(**CACHE_SETTINGS, publication="pub")
    c = ctx.keep(p.connect(ctx.db))
    c.query(READ)
    p.wait(lambda: told(p) == ("waiting", 'publication "pub" does not exist'), "the reason")
    check_refused(ctx, p, c, READ, "off")
    assert not ctx.sql(f"SELECT FROM pg_replication_slots WHERE database = '{ctx.db}'")
    p.wait_log('is off: the publication is missing, or has changed \\(publication "pub" does not exist\\)')
    for renamed in (False, True):
        ctx.sql("ALTER PUBLICATION gone RENAME TO pub" if renamed else "CREATE PUBLICATION pub FOR TABLE t, warm")
        ctx.wait_hit(p, lambda: c.query(READ), timeout=20)
        assert told(p) == ("following", "")
        # Taken away under the stream: the next change is an error there.
        d = ctx.direct()
        d.query("ALTER PUBLICATION pub RENAME TO gone" if not renamed else "DROP PUBLICATION pub").check()
        d.query(f"UPDATE t SET n = {7 + renamed} WHERE id = 1").check()
        never_stale(ctx, c, str(7 + renamed))
        p.wait(lambda: told(p) == ("waiting", 'publication "pub" does not exist'), "the reason")
    ctx.sql("CREATE PUBLICATION pub FOR TABLE t, warm")
    ctx.wait_hit(p, lambda: c.query(READ), timeout=20)


@limit(60)
def test_added_under_writers(ctx):
    """What a transaction wrote before the table was added is never told: no hit before its end."""
    ctx.sql(PUBLISHED)
    p, w = ctx.cache_proxy(publication="pub"), ctx.direct()
    c = ctx.keep(p.connect(ctx.db))
    c.query(SILENT)
    w.query("BEGIN; UPDATE silent SET n = 5").check()
    ctx.sql("ALTER PUBLICATION pub ADD TABLE silent")
    ctx.never_hit(p, lambda: c.query(SILENT), times=100)
    p.wait(lambda: told(p)[0] == "connecting", "another slot, which waits for the writer")
    w.query("COMMIT").check()
    never_stale(ctx, c, "5", SILENT)
    assert ctx.wait_hit(p, lambda: c.value(SILENT), timeout=10) == "5"
    scenario("32_cache_direct_writes.py").check_bound(
        ctx, p, BOUND, 10, lambda n: w.query(f"UPDATE silent SET n = {n}"), SILENT)


def in_the_window(ctx, alter, write="UPDATE t SET n = $n WHERE id = 1", read=READ, more=""):
    """The publication changes by a commit that cannot be seen yet, and then a write that can is not told: one of
    an entry that there was, and one of whatever came to be meanwhile."""
    ctx.sql(PUBLISHED + more)
    p = ctx.cache_proxy(publication="pub")
    c, a, w = ctx.keep(p.connect(ctx.db)), ctx.direct(timeout=30), ctx.direct()
    w.query("SET synchronous_commit = local")
    ctx.wait_hit(p, lambda: c.query(read))
    with Window(ctx) as window:
        a.send(query(alter))
        window.wait_hanging()
        for n in ("5", "6"):
            w.query(write.replace("$n", n)).check()
            never_stale(ctx, c, n, read)
        window.release()
        a.until_ready().check()
        never_stale(ctx, c, "6", read)


@limit(90)
def test_dropped_in_the_window(ctx):
    in_the_window(ctx, "ALTER PUBLICATION pub DROP TABLE t")


@limit(90)
def test_filtered_in_the_window(ctx):
    in_the_window(ctx, "ALTER PUBLICATION pub SET TABLE warm, t WHERE (id > 10)")


@limit(90)
def test_narrowed_in_the_window(ctx):
    in_the_window(ctx, "ALTER PUBLICATION pub SET (publish = 'insert')")


@limit(90)
def test_schema_taken_out_in_the_window(ctx):
    in_the_window(ctx, "ALTER PUBLICATION pub DROP TABLES IN SCHEMA public", more="ALTER PUBLICATION pub SET TABLES IN SCHEMA public")


@limit(90)
def test_detached_in_the_window(ctx):
    """Detaching does not wait for writers, and takes the partition out of a publication of its root."""
    in_the_window(ctx, "ALTER TABLE part DETACH PARTITION part1 CONCURRENTLY", "UPDATE part1 SET n = $n", "SELECT n FROM part1",
                  TREE + "ALTER PUBLICATION pub ADD TABLE part;")


@limit(60)
def test_undecided(ctx):
    """Somebody holds a change of the publication in an open transaction: no hits until it has ended, and
    then as it ended."""
    ctx.sql(PUBLISHED)
    p, d = ctx.cache_proxy(publication="pub"), ctx.direct()
    c = ctx.keep(p.connect(ctx.db))
    for end in ("ROLLBACK", "COMMIT"):
        ctx.wait_hit(p, lambda: c.query(READ), timeout=10)
        d.query("BEGIN; ALTER PUBLICATION pub DROP TABLE t").check()
        p.wait(lambda: told(p)[0] != "following", "the end of the stream")
        ctx.never_hit(p, lambda: c.query(READ))
        d.query(end).check()
        p.wait(lambda: told(p)[0] == "following", "the stream", timeout=10)
    check_refused(ctx, p, c, READ, "not_published")


@limit(60)
def test_reload(ctx):
    """Another publication, none, and one again."""
    ctx.sql(PUBLISHED + "CREATE PUBLICATION second FOR TABLE silent, warm")
    p = ctx.cache_proxy(publication="pub")
    c, d = ctx.keep(p.connect(ctx.db)), ctx.direct()

    def hits(read):
        return ctx.wait_hit(p, lambda: c.query(read), timeout=10)

    def plugin():
        return [r[0] for r in ctx.sql(f"SELECT plugin FROM pg_replication_slots WHERE database = '{ctx.db}'")]

    def shown():
        row = p.console("SHOW INVALIDATION")[0]
        return row["plugin"], row["publication"]
    hits(READ)
    assert shown() == ("pgoutput", "pub")
    p.reload(publication="second")
    hits(SILENT)
    assert shown() == ("pgoutput", "second")
    check_refused(ctx, p, c, READ, "not_published")
    p.reload(publication="")
    hits(READ)
    hits(SILENT)
    assert plugin() == ["test_decoding"] and shown() == ("test_decoding", "")
    begun_before = begun(p)
    p.reload(verbose="1") # no reason to begin anew
    hits(READ)
    assert begun(p) == begun_before
    p.reload(publication="pub")
    p.wait(lambda: plugin() == ["pgoutput"], "the other plugin")
    hits(READ)
    d.query("UPDATE t SET n = 9 WHERE id = 1")
    never_stale(ctx, c, "9")


def test_without_wal(ctx):
    """What does not read the WAL needs no publication."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(publication="pub", invalidation="proxy")
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(READ))
    p.wait_log("publication has no effect: this invalidation does not read the WAL")
    row = p.console("SHOW INVALIDATION")[0]
    assert row["state"] == "following" and row["plugin"] == row["publication"] == row["slot"] == "", row
    assert c.ask(unit(READ)).value == "0"
