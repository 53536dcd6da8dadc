# SPDX-License-Identifier: Apache-2.0
"""What changes the meaning of a query, or its rows, by a way that few think of. After each change every answer through the
proxy is PostgreSQL's, and what can be cached is cached again."""
import time

from pgwire import query, unit
from runner import limit

BOUND = 0.06
SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE t(id int PRIMARY KEY, n int, v varchar, m mood); INSERT INTO t SELECT i, i, 'v' || i, 'ok' FROM generate_series(1, 20) i;
CREATE TABLE c(id int PRIMARY KEY, t int REFERENCES t ON DELETE SET NULL ON UPDATE CASCADE, n int); INSERT INTO c SELECT i, i, i FROM generate_series(1, 20) i;
CREATE TABLE gc(id int PRIMARY KEY, c int REFERENCES c ON DELETE CASCADE, n int); INSERT INTO gc SELECT i, i, i FROM generate_series(1, 20) i;
CREATE TABLE other(id int PRIMARY KEY, n int); INSERT INTO other SELECT i, i FROM generate_series(1, 20) i;
CREATE TABLE p(id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p SELECT i, i FROM generate_series(1, 9) i;
CREATE FUNCTION wrong(varchar, varchar) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE FUNCTION wrong(varchar, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE other SET n = NEW.n WHERE id = NEW.id; RETURN NEW; END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT ALL ON SCHEMA public TO app;
"""


def follow(ctx, reads, *steps):
    """steps: who changes (directly as superuser, as app; through the proxy), what, and how many of the reads are cached afterwards at least."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(max_staleness=f"{int(BOUND * 1000)}ms", default_pool_size=4)
    c, judge = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    who = {"superuser": ctx.direct(), "app": ctx.keep(ctx.pg.connect(ctx.db, "app")), "proxy": ctx.keep(p.connect(ctx.db))}

    def compare(after):
        for sql in reads * 3:
            for script in (query(sql), unit(sql), unit(sql, binary=True)):
                got, want = c.ask(script), judge.ask(script)
                assert got.raw == want.raw, f"{sql} after {after}: {got.rows or got.errors} instead of {want.rows or want.errors}"

    # Each in a session of its own: one that has read around the cache waits until that is as new.
    sessions = [(sql, ctx.keep(p.connect(ctx.db))) for sql in reads]

    def cached():
        before = p.cache()["hits"]
        for sql, session in sessions:
            session.ask(query(sql))
        return p.cache()["hits"] - before
    compare("nothing")
    p.wait(lambda: cached() == len(reads), "hits")
    for name, change, at_least in steps:
        for statement in change.split("; "):
            who[name].ask(query(statement)).check()
        if name != "proxy":
            time.sleep(BOUND * 1.05)
        compare(change)
        p.wait(lambda n=at_least: cached() >= n, f"{at_least} hits after {change}")


@limit(60)
def test_names_captured(ctx):
    """A function or operator that fits better than PostgreSQL's own takes its place, wherever it is in the search path."""
    follow(ctx, ["SELECT length(v) FROM t WHERE id = 1", "SELECT v || v FROM t WHERE id = 1", "SELECT count(*) FROM t WHERE v = 'v1'", "SELECT v LIKE 'v%' FROM t WHERE id = 1", "SELECT nullif(v, 'v1') FROM t WHERE id = 1",
                 "SELECT CASE v WHEN 'v1' THEN 1 END FROM t WHERE id = 1", "SELECT v IN ('v1', 'v2') FROM t WHERE id = 1", "SELECT n + 1 FROM t WHERE id = 1"],
           ("superuser", "CREATE FUNCTION length(varchar) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 77'", 5), ("superuser", "CREATE OR REPLACE FUNCTION length(varchar) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 78'", 5),
           ("superuser", "CREATE OPERATOR = (FUNCTION = wrong, LEFTARG = varchar, RIGHTARG = varchar)", 0), ("superuser", "CREATE OPERATOR ~~ (FUNCTION = wrong, LEFTARG = varchar, RIGHTARG = text)", 0),
           ("superuser", "DROP FUNCTION length(varchar); DROP OPERATOR = (varchar, varchar); DROP OPERATOR ~~ (varchar, text)", 8))


@limit(60)
def test_types(ctx):
    follow(ctx, ["SELECT m FROM t WHERE id = 1", "SELECT m::text FROM t WHERE id = 1", "SELECT id FROM t ORDER BY m, id", "SELECT count(*) FROM t WHERE m::text = 'ok'", "SELECT v FROM t ORDER BY v LIMIT 3"],
           ("superuser", "CREATE FUNCTION told(mood) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'cast'::text$$; CREATE CAST (mood AS text) WITH FUNCTION told(mood)", 0), ("superuser", "DROP CAST (mood AS text)", 5),
           ("superuser", "ALTER TYPE mood ADD VALUE 'so so' BEFORE 'ok'", 5), ("superuser", "BEGIN; ALTER TYPE mood RENAME VALUE 'ok' TO 'okay'; UPDATE other SET n = n + 1; COMMIT", 4),
           ("superuser", "CREATE COLLATION backwards (provider = icu, locale = 'de-u-kn-true'); ALTER TABLE t ALTER v TYPE varchar COLLATE backwards", 4))


@limit(60)
def test_two_phases(ctx):
    """One session prepares, another commits."""
    follow(ctx, ["SELECT n FROM t WHERE id = 1", "SELECT sum(n) FROM t"],
           *[(w, s.format(g=f"{ctx.db}_{i}", n=100 + i), 0 if "BEGIN" in s else 2) for i, (one, two, end) in enumerate(
               (("app", "proxy", "COMMIT"), ("proxy", "app", "COMMIT"), ("proxy", "proxy", "COMMIT"), ("app", "app", "COMMIT"), ("proxy", "app", "ROLLBACK")))
             for w, s in ((one, "BEGIN; UPDATE t SET n = {n} WHERE id = 1; PREPARE TRANSACTION '{g}'"), (two, end + " PREPARED '{g}'"))])


@limit(60)
def test_what_becomes_unlogged(ctx):
    """The stream does not tell of unlogged tables: who reads one is not cached."""
    follow(ctx, ["SELECT n FROM p WHERE id = 1", "SELECT sum(n) FROM p", "SELECT n FROM other WHERE id = 1", "SELECT count(*) FROM other"],
           ("superuser", "CREATE UNLOGGED TABLE pu(id int PRIMARY KEY, n int); INSERT INTO pu VALUES (101, 1); ALTER TABLE p ATTACH PARTITION pu FOR VALUES FROM (100) TO (200)", 2),
           ("superuser", "UPDATE pu SET n = 2", 2), ("proxy", "UPDATE p SET n = 3 WHERE id > 100", 2), ("superuser", "UPDATE p SET n = 4 WHERE id IN (1, 101)", 2), ("superuser", "ALTER TABLE p DETACH PARTITION pu", 4), ("superuser", "UPDATE p SET n = 5 WHERE id = 1", 4),
           ("superuser", "CREATE UNLOGGED TABLE child() INHERITS (other)", 2), ("superuser", "INSERT INTO child VALUES (1, 6)", 2), ("superuser", "UPDATE child SET n = 7", 2), ("superuser", "DROP TABLE child", 4),
           ("superuser", "ALTER TABLE other SET UNLOGGED", 2), ("superuser", "UPDATE other SET n = 8", 2), ("proxy", "UPDATE other SET n = 9", 2), ("superuser", "ALTER TABLE other SET LOGGED", 4), ("superuser", "UPDATE other SET n = 10", 4))


@limit(60)
def test_writes_elsewhere(ctx):
    """Cascades, rules and triggers that came, went, or fire for replicas alone."""
    follow(ctx, ["SELECT n FROM other WHERE id = 1", "SELECT n FROM t WHERE id = 1", "SELECT t FROM c WHERE id = 3", "SELECT count(*) FROM gc", "SELECT count(*) FROM c WHERE t IS NULL"],
           ("superuser", "CREATE RULE also AS ON UPDATE TO t DO ALSO UPDATE other SET n = NEW.n WHERE id = NEW.id", 5), ("proxy", "UPDATE t SET n = 20 WHERE id = 1", 5), ("app", "UPDATE t SET n = 21 WHERE id = 1", 5), ("superuser", "DROP RULE also ON t", 5),
           ("superuser", "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION elsewhere()", 5), ("proxy", "UPDATE t SET n = 22 WHERE id = 1", 5), ("superuser", "ALTER TABLE t ENABLE REPLICA TRIGGER tr", 5), ("proxy", "UPDATE t SET n = 23 WHERE id = 1", 5),
           ("superuser", "SET session_replication_role = replica; UPDATE t SET n = 24 WHERE id = 1; RESET session_replication_role", 5), ("proxy", "DELETE FROM t WHERE id = 3", 5), ("app", "UPDATE t SET id = 104 WHERE id = 4", 5), ("proxy", "DELETE FROM c WHERE id = 5", 5),
           ("superuser", "SET session_replication_role = replica; DELETE FROM c WHERE id = 6; RESET session_replication_role", 5), ("superuser", "TRUNCATE c CASCADE", 5), ("proxy", "INSERT INTO c VALUES (3, NULL, 1)", 5))


@limit(60)
def test_tables_swapped(ctx):
    """In a transaction that writes rows, too, of which the stream does not tell the DDL."""
    follow(ctx, ["SELECT n FROM other WHERE id = 1", "SELECT o FROM other o WHERE id = 1", "SELECT count(*) FROM other"],
           ("superuser", "BEGIN; CREATE TABLE fresh AS SELECT id, n + 100 AS n FROM other; ALTER TABLE other RENAME TO old; ALTER TABLE fresh RENAME TO other; GRANT ALL ON other TO app; COMMIT", 3),
           ("superuser", "UPDATE other SET n = 31", 3), ("superuser", "UPDATE old SET n = 32", 3), ("superuser", "BEGIN; ALTER TABLE other RENAME TO fresh; ALTER TABLE old RENAME TO other; UPDATE c SET n = n + 1; COMMIT", 3), ("proxy", "UPDATE other SET n = 33", 3),
           ("superuser", "ALTER TABLE other RENAME COLUMN n TO nn; ALTER TABLE other RENAME COLUMN id TO n; ALTER TABLE other RENAME COLUMN nn TO id", 2), ("superuser", "UPDATE other SET n = -n", 2))
