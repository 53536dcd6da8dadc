# SPDX-License-Identifier: Apache-2.0
"""What stands for several values, or for one twice, is not taken for one: rows with a star in them, ON CONFLICT (a, a)."""
from pgwire import query
from reads import Reads, directly, through

SETUP = """
CREATE TABLE a(id int PRIMARY KEY, n int NOT NULL); CREATE TABLE d(x int, y int); CREATE TABLE c(x int, y int);
CREATE TABLE h(x int, id int PRIMARY KEY, z text, w int); CREATE TABLE src(x int, y int, z text);
CREATE TABLE u(a int, b int, v text, PRIMARY KEY (a, b)); CREATE UNIQUE INDEX ON u(a);
INSERT INTO a SELECT i, i FROM generate_series(1, 9) i; INSERT INTO d VALUES (1, 5); INSERT INTO c VALUES (7, 7);
INSERT INTO src VALUES (71, 6, 'six'); INSERT INTO u VALUES (1, 1, 'x');
GRANT ALL ON a, c, d, h, src, u TO app;
"""
READS = ["SELECT a.id, a.n FROM a, c, d WHERE (d.*, a.id, a.id) = (1, 5, c.*)", "SELECT a.id, a.n FROM a, c, d WHERE ROW(d.*, a.id, a.id) IN (ROW(1, 5, c.*))",
         "SELECT a.id, a.n FROM a, c, d WHERE ((d).*, a.id, a.id) = (1, 5, (c).*)"]
SHOWN = ["SELECT n FROM a WHERE id = 7", "SELECT * FROM h WHERE id = 6", "SELECT v FROM u WHERE a = 1 AND b = 1"]
WRITES = ["UPDATE a SET n = n + 1 FROM c, d WHERE (d.*, a.id, a.id) = (1, 5, c.*)", "DELETE FROM a USING c, d WHERE (d.*, a.id, a.id) IN ((1, 5, c.*))", "INSERT INTO a VALUES (7, 1)",
          "INSERT INTO h(x, id, z, w) VALUES (((SELECT q FROM src q)).*, 9)", "DELETE FROM h WHERE id = 6", "INSERT INTO h(x, id, w) VALUES ((ROW(1, 6)).*, 9)", "DELETE FROM h WHERE id = 6",
          "INSERT INTO u(a, b) VALUES (1, 2) ON CONFLICT (a, a) DO UPDATE SET v = u.v || 'y'"]


def rows(result):
    return result.check().rows


def test_reads(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    reads, d, write = Reads(ctx, p), ctx.direct("app"), directly(ctx)
    for n, sql in enumerate(READS):
        reads.fill(sql, SHOWN[0])
        write(f"UPDATE a SET n = {n + 20} WHERE id = 7")
        p.wait(lambda n=n: rows(reads.ask(SHOWN[0])) == [(str(n + 20),)], "the row itself")
        assert rows(reads.ask(sql)) == rows(d.ask(query(sql))), sql


def test_writes(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy(invalidation="proxy")
    reads, d, write = Reads(ctx, p), ctx.direct("app"), through(ctx, p)
    for _ in range(2): # at first names are new, and everything waits
        for statement in WRITES:
            reads.fill(*SHOWN, "SELECT 1 FROM a, c, d, h, src, u LIMIT 1")
            write(statement)
            for sql in SHOWN:
                assert rows(reads.ask(sql)) == rows(d.ask(query(sql))), (statement, sql)
