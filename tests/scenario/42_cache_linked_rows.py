# SPDX-License-Identifier: Apache-2.0
"""Rows of one table that are fixed by those of another: in joins, subqueries that look around, queries in FROM,
CTEs, IN (SELECT ...). An entry ends with the rows that it may show, and lives on while others are written."""
import random
import re

from pgwire import query, unit
from reads import Reads, directly, through
from runner import limit

SETUP = """
CREATE TABLE a(id int PRIMARY KEY, n int NOT NULL, v int NOT NULL);
CREATE TABLE b(id int PRIMARY KEY, a_id int, n int NOT NULL); ALTER TABLE b REPLICA IDENTITY FULL;
CREATE TABLE c(id bigint PRIMARY KEY, n int NOT NULL);
INSERT INTO a SELECT i, i, 1 FROM generate_series(1, 9) i;
INSERT INTO b SELECT i, i % 10, i FROM generate_series(1, 30) i;
INSERT INTO c SELECT i, i FROM generate_series(1, 9) i;
GRANT ALL ON a, b, c TO app;
"""

# As ORMs write them, and by hand. Each tells of all of its rows.
FORMS = {
    "chain": "SELECT sum(a.n + b.n + c.n) FROM a JOIN c ON c.id = a.id JOIN b ON b.a_id = c.id WHERE a.id = {}",
    "left joins": "SELECT sum(a.n), sum(b.n), sum(c.n) FROM a LEFT OUTER JOIN b ON b.a_id = a.id LEFT OUTER JOIN c ON c.id = a.id WHERE a.id = {}",
    "annotated": "SELECT a.n, (SELECT sum(u0.n) FROM b u0 WHERE u0.a_id = (a.id)) AS s, (SELECT c.n FROM c WHERE c.id = a.id) FROM a WHERE a.id = {}",
    "exists": "SELECT a.n FROM a WHERE a.id = {} AND (EXISTS (SELECT 1 FROM b WHERE b.a_id = a.id AND b.n % 2 = 0) OR NOT EXISTS "
              "(SELECT 1 FROM c WHERE c.id = a.id AND c.n % 2 = 0))",
    "limited": "SELECT anon_1.a_n, sum(b_1.n), sum(c.n) FROM (SELECT a.id AS a_id, a.n AS a_n FROM a WHERE a.id = {} LIMIT 1) AS anon_1 "
               "LEFT OUTER JOIN b AS b_1 ON anon_1.a_id = b_1.a_id LEFT JOIN c ON c.id = anon_1.a_id GROUP BY 1",
    "in": "SELECT sum(b.n), (SELECT sum(n) FROM c WHERE c.id = ANY (SELECT id FROM a WHERE id = {0})), (SELECT n FROM a WHERE id = {0})"
          " FROM b WHERE b.a_id IN (SELECT u0.id FROM a u0 WHERE u0.id IN ({0}))",
    "with": "WITH w AS (SELECT id AS k, n FROM a WHERE id = {}) SELECT sum(w.n), sum(b.n), sum(c.n) FROM w LEFT JOIN b ON b.a_id = w.k "
            "LEFT JOIN c ON w.k = c.id",
    "lateral": "SELECT a.n, x.s, y.n FROM a LEFT JOIN LATERAL (SELECT sum(z.n) AS s FROM (SELECT * FROM b WHERE b.a_id = a.id) AS z) AS x ON true "
               "LEFT JOIN LATERAL (SELECT n FROM c WHERE c.id = a.id LIMIT 1) AS y ON true WHERE a.id = {}",
    "alternatives": "SELECT sum(a.n), sum(b.n), sum(c.n) FROM a JOIN b ON b.a_id = a.id JOIN c ON c.id = b.a_id WHERE a.v = 1 AND (a.id = {0} OR a.id = {0} + 100 - 100 "
                    "AND a.v = 2 AND a.id = -1 OR (a.id = -2 OR a.id = -3))",
}
# Writes of what belongs to 5.
WRITES = ["UPDATE a SET n = n + 1 WHERE id = 5", "UPDATE b SET n = n + 1 WHERE id = 15", "UPDATE c SET n = n + 1 WHERE id = 5",
          "UPDATE b SET n = n + 1 WHERE a_id = 5 AND id = 25", "INSERT INTO b(id, a_id, n) VALUES (100, 5, 7)", "UPDATE b SET a_id = 7 WHERE id = 100",
          "UPDATE b SET a_id = 5 WHERE id = 100", "DELETE FROM b WHERE id = 100", "DELETE FROM c WHERE id = 5", "INSERT INTO c VALUES (5, 5)",
          "UPDATE a SET id = 50 WHERE id = 5", "UPDATE a SET id = 5 WHERE id = 50"]


def rows(result):
    return result.check().rows


def check(ctx, p, writers, forms, writes=WRITES, lives=True):
    reads, d = Reads(ctx, p), ctx.direct("app")
    for write, at_once in writers:
        for name, form in forms.items():
            mine, other = form(5), form(6)
            for statement in writes:
                reads.fill(mine, other)
                write(statement)
                want = rows(d.ask(mine)) if not isinstance(mine, str) else d.query(mine).check().rows
                if at_once:
                    assert rows(reads.ask(mine)) == want, (name, statement)
                else:
                    p.wait(lambda mine=mine, want=want: rows(reads.ask(mine)) == want, f"{name}: {statement}")
                if lives:
                    reads.lives(other, (name, statement))


@limit(240)
def test_forms(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    check(ctx, p, [(through(ctx, p), True), (directly(ctx), False)], {name: sql.format for name, sql in FORMS.items()})


def test_parameters(ctx):
    """Bound, with a cast, also where they stand within."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    check(ctx, p, [(through(ctx, p), True), (directly(ctx), False)],
          {name: lambda k, sql=FORMS[name]: unit(sql.format("$1::int", "$1::int"), [k]) for name in ("chain", "annotated", "limited", "in", "with", "lateral", "alternatives")} |
          {"array": lambda k: unit(FORMS["chain"].replace("a.id = {}", "a.id = ANY($1)"), [f"{{{k},77}}"])})


# What looks alike, and reads other rows: each ends with any row of what it reads as a whole.
WHOLE = [
    "SELECT sum((SELECT sum(n) FROM b WHERE b.a_id = a.id)) FROM a WHERE a.id = {} OR a.v = 1",
    "SELECT (SELECT sum(n) FROM b WHERE b.a_id = a.id OR b.a_id = a.v + 4) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(n) FROM b WHERE NOT b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(n) FROM b WHERE b.a_id <> a.id) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(n) FROM b WHERE b.a_id = a.id - 1) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(b.n) FROM b LEFT JOIN c ON b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT sum((SELECT sum(n) FROM b WHERE b.a_id = a.id)) FROM c LEFT JOIN a ON true WHERE c.id = {} OR a.id = {}",
    "SELECT sum((SELECT sum(n) FROM b WHERE b.a_id = a.id)) FROM a LEFT JOIN c ON a.id = {}",
    "SELECT sum(b.n) FROM b WHERE b.a_id NOT IN (SELECT id FROM a WHERE id = {})",
    "SELECT sum(b.n) FROM b LEFT JOIN a ON b.a_id IN (SELECT id FROM a WHERE id = {})",
    "SELECT sum(b.n) FROM b WHERE b.a_id IN (SELECT id FROM a WHERE id = {} UNION SELECT 5)",
    "SELECT sum(b.n) FROM (SELECT id - 1 AS id FROM a WHERE id = {}) x JOIN b ON b.a_id = x.id",
    "SELECT sum(b.n) FROM (SELECT v + 4 AS id FROM a WHERE id = {}) x JOIN b ON b.a_id = x.id",
    "WITH RECURSIVE w AS (SELECT id FROM a WHERE id = {} UNION SELECT b.a_id - 1 FROM b JOIN w ON b.a_id = w.id WHERE w.id > 5) "
    "SELECT sum(b.n) FROM w JOIN b ON b.a_id = w.id",
    "WITH w(id, n) AS (SELECT v + 4, id FROM a WHERE id = {}) SELECT sum(b.n) FROM w JOIN b ON b.a_id = w.id",
    # What a name means within: the nearest that is in sight, and that is another one.
    "SELECT (SELECT sum(b.n) FROM b, a WHERE b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(b.n) FROM b, (SELECT 5 AS id) a WHERE b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(b.n) FROM b, generate_series(5, 5) a(id) WHERE b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(b.n) FROM b, (VALUES (5)) a(id) WHERE b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT (WITH a AS (SELECT 5 AS id) SELECT sum(b.n) FROM b, a WHERE b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT (SELECT sum(b.n) FROM b, (c JOIN (SELECT 5 AS x) y ON c.id = x) AS a WHERE b.a_id = a.id) FROM a WHERE a.id = {}",
    "SELECT sum(s) FROM a JOIN (SELECT b.a_id, sum(n) AS s FROM b GROUP BY 1) x ON x.a_id <= a.id WHERE a.id = {}",
    # Around it another one of the name is in sight than that beside it.
    "SELECT (SELECT sum(b.n) FROM (c JOIN b ON b.a_id = a.id), a WHERE a.id = {}) FROM a WHERE a.id = 5",
    "SELECT (SELECT sum(x.s) FROM LATERAL (SELECT sum(n) AS s FROM b WHERE b.a_id = a.id) x, a WHERE a.id = {}) FROM a WHERE a.id = 5",
    "SELECT (SELECT sum(x.s) FROM a, (SELECT sum(n) AS s FROM b WHERE b.a_id = a.id) x WHERE a.id = {}) FROM a WHERE a.id = 5",
    "SELECT (SELECT count(*) FROM (c JOIN c d ON c.id = (SELECT b.n - 5 - 10 + d.id FROM b WHERE b.a_id = a.id AND b.id = 15)), a WHERE a.id = {}) FROM a WHERE a.id = 5",
]


def test_what_looks_alike(ctx):
    """Row 5's entry by the value 6: what it shows of 5 is seen. Without a stream, so that nothing else would tell."""
    ctx.sql(SETUP)
    for settings in ({"invalidation": "proxy"}, {}):
        p = ctx.cache_proxy(**settings)
        reads, d, write = Reads(ctx, p), ctx.direct("app"), through(ctx, p)
        for sql in WHOLE:
            sql = sql.format(6, 6)
            for statement in ("UPDATE b SET n = n + 1 WHERE id = 15", "UPDATE b SET n = n - 1 WHERE a_id = 5 AND id = 15"):
                reads.fill(sql)
                before = rows(reads.ask(sql))
                write(statement)
                want = d.ask(query(sql)).check().rows
                assert want != before, f"this shows nothing: {sql}"
                assert rows(reads.ask(sql)) == want, sql
        ctx.sql("UPDATE b SET n = id")


def test_merged_of_a_query(ctx):
    """USING makes one column of b's and a query's, of the type of the query's: two rows of b equal one value."""
    ctx.sql("CREATE TABLE a(k bigint PRIMARY KEY); CREATE TABLE b(k bigint PRIMARY KEY, n int); CREATE TABLE f(k float8);"
            "INSERT INTO a VALUES (1); INSERT INTO b VALUES (9007199254740992, 1), (9007199254740993, 2);"
            "INSERT INTO f VALUES (9007199254740992); GRANT ALL ON a, b, f TO app")
    p = ctx.cache_proxy()
    reads, d = Reads(ctx, p), ctx.direct("app")
    for sql in ("SELECT sum(b.n) FROM a, b JOIN (SELECT k FROM f) q USING (k) JOIN (SELECT 1) r ON k = 9007199254740992",
                "SELECT sum(b.n) FROM a, b JOIN unnest('{9007199254740992}'::float8[]) q(k) USING (k) JOIN (SELECT 1) r ON k = 9007199254740992"):
        for write, at_once in ((through(ctx, p), True), (directly(ctx), False)):
            reads.fill(sql)
            write("UPDATE b SET n = n + 1 WHERE k = 9007199254740993")
            want = rows(d.ask(query(sql)))
            if at_once:
                assert rows(reads.ask(sql)) == want, sql
            else:
                p.wait(lambda sql=sql, want=want: rows(reads.ask(sql)) == want, sql)


# ---- Views of joins --------------------------------------------------------------------------------

VIEWS = """
CREATE VIEW ab AS SELECT a.id AS aid, b.id AS bid, a.n AS an, b.n AS bn, b.a_id AS again FROM a JOIN b ON b.a_id = a.id WHERE a.v = 1;
CREATE VIEW ac AS SELECT a.id AS aid, c.id AS cid, a.n AS an, c.n AS cn FROM a LEFT JOIN c ON c.id = a.n;
CREATE VIEW af AS SELECT a.id AS aid, c.id AS cid, a.n AS an, c.n AS cn FROM a FULL JOIN c ON c.id = a.n;
CREATE VIEW three AS SELECT ab.aid, ab.bid, c.id AS cid, ab.an, ab.bn, c.n AS cn FROM ab RIGHT JOIN c ON c.id = ab.aid;
CREATE VIEW twice AS SELECT a.id AS aid, x.n AS an FROM a JOIN a x ON x.id = a.id - 1;
CREATE VIEW again AS SELECT a.id AS aid, ab.an FROM a JOIN ab ON ab.aid = a.id - 1;
CREATE VIEW over AS SELECT ab.aid, a.n AS an FROM ab JOIN (SELECT * FROM a) a ON a.id = ab.aid - 1;
CREATE VIEW counted AS SELECT a.id AS aid, count(*) OVER () + sum(a.n) OVER () AS an FROM a JOIN c ON c.id = a.id;
CREATE VIEW gathered AS SELECT c.id AS aid, sum(a.n) AS an FROM c, a GROUP BY c.id;
CREATE VIEW cut AS SELECT a.id AS aid, a.n AS an FROM a JOIN c ON c.id = a.id ORDER BY a.n = 6, a.n LIMIT 5;
CREATE VIEW first AS SELECT DISTINCT ON (c.n > 0) a.id AS aid, a.n AS an FROM a JOIN c ON c.id = a.id ORDER BY c.n > 0, abs(a.n - 6), a.id DESC;
CREATE VIEW asked AS SELECT a.id AS aid, (SELECT sum(n) FROM a) AS an FROM a JOIN c ON c.id = a.id;
CREATE VIEW made AS SELECT a.id + c.n - c.n AS aid, (SELECT sum(n) FROM a) AS an FROM a JOIN c ON c.id = a.id;
CREATE VIEW both_ways AS SELECT a.id AS aid, a.n AS an FROM a JOIN c ON c.id = a.id UNION ALL SELECT 6, n FROM a WHERE id = 5;
GRANT SELECT ON ab, ac, af, three, twice, again, over, counted, gathered, cut, first, asked, made, both_ways TO app;
"""
# By a key of one of its tables, and which one that is.
OF_VIEWS = [("SELECT sum(an), sum(bn) FROM ab WHERE aid = {}", "a"), ("SELECT sum(an), sum(bn) FROM ab WHERE bid = {}", "b"),
            ("SELECT sum(an), sum(bn) FROM ab WHERE again = {}", "b by a_id"), ("SELECT an, cn FROM ac WHERE aid = {}", "a"),
            ("SELECT an, cn FROM ac WHERE cid = {}", "c"), ("SELECT an, cn FROM af WHERE aid = {}", "a"), ("SELECT an, cn FROM af WHERE cid = {}", "c"),
            ("SELECT sum(an), sum(bn), sum(cn) FROM three WHERE aid = {}", "a"), ("SELECT sum(an), sum(bn), sum(cn) FROM three WHERE cid = {}", "c"),
            ("SELECT sum(an), sum(bn), sum(cn) FROM three x WHERE x.bid IN ({}, 77)", "b"),
            ("SELECT ab.an, c.n FROM ab JOIN c ON c.id = ab.aid WHERE ab.aid = {} ORDER BY bid", "a"),
            ("SELECT c.n, (SELECT sum(bn) FROM ab WHERE aid = c.id) FROM c WHERE c.id = {}", "c")]
OTHERS = {"a": "UPDATE a SET n = n + 1 WHERE id = 6", "b": "UPDATE b SET n = n + 1 WHERE id = 6", "c": "UPDATE c SET n = n + 1 WHERE id = 6",
          "b by a_id": "UPDATE b SET n = n + 1 WHERE a_id = 6"}


def test_views_of_joins(ctx):
    """Each table's rows by its own key; of the other tables, any row."""
    ctx.sql(SETUP + VIEWS)
    p = ctx.cache_proxy()
    reads, d = Reads(ctx, p), ctx.direct("app")
    reads.fill(*(sql.format(5) for sql, _ in OF_VIEWS))
    for write, at_once in ((through(ctx, p), True), (directly(ctx), False)):
        for sql, table in OF_VIEWS:
            mine = sql.format(5)
            for statement in WRITES + ["UPDATE a SET n = 5 WHERE id = 5", "UPDATE a SET n = 7 WHERE id = 7", "UPDATE b SET n = n + 1 WHERE id = 5", "UPDATE b SET a_id = 5 WHERE id = 5",
                                       "UPDATE b SET a_id = 6 WHERE id = 5", "UPDATE a SET v = 2 WHERE id = 5", "UPDATE a SET v = 1 WHERE id = 5",
                                       "UPDATE a SET n = 5 WHERE id = 6", "UPDATE a SET n = 6 WHERE id = 6"]:
                reads.fill(mine)
                write(statement)
                want = rows(d.ask(query(mine)))
                if at_once:
                    assert rows(reads.ask(mine)) == want, (sql, statement)
                else:
                    p.wait(lambda mine=mine, want=want: rows(reads.ask(mine)) == want, f"{sql}: {statement}")
            reads.fill(mine)
            write(OTHERS[table])
            reads.lives(mine, sql)
            write("UPDATE a SET n = id", "UPDATE b SET n = id, a_id = id % 10", "UPDATE c SET n = id")


def test_views_that_read_more(ctx):
    """The same table twice, or through another view; what is counted, gathered, cut off: any row counts."""
    ctx.sql(SETUP + VIEWS)
    for settings in ({"invalidation": "proxy"}, {}):
        p = ctx.cache_proxy(**settings)
        reads, d, write = Reads(ctx, p), ctx.direct("app"), directly(ctx) if settings == {} else through(ctx, p)
        for view in ("twice", "again", "over", "counted", "gathered", "cut", "first", "asked", "made", "both_ways"):
            sql, changes = f"SELECT an FROM {view} WHERE aid = 6", 0
            for statement in ("UPDATE a SET n = 90 WHERE id = 5", "UPDATE a SET n = 1 WHERE id = 5", "UPDATE a SET n = 5 WHERE id = 5",
                              "UPDATE a SET n = -1 WHERE id = 7 OR id = 6", "UPDATE a SET n = 90 WHERE id = 7", "UPDATE a SET n = 7 WHERE id = 7",
                              "UPDATE a SET n = 6 WHERE id = 6", "UPDATE a SET n = 6 WHERE id = 7 OR id = 5", "UPDATE a SET n = 8 WHERE id = 7 OR id = 5"):
                reads.fill(sql)
                before = rows(reads.ask(sql))
                write(statement)
                want = rows(d.ask(query(sql)))
                changes += want != before
                p.wait(lambda sql=sql, want=want: rows(reads.ask(sql)) == want, f"{sql}: {statement}")
            assert changes > 0, view
            write("UPDATE a SET n = id")


# ---- Any of them ---------------------------------------------------------------------------------

TABLES = 8


class Maker:
    """Statements of these shapes at random, whose names are easily mistaken for each other."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def one(self, *ways):
        return self.dice.choice(ways)

    def perhaps(self, chance):
        return self.dice.random() < chance

    def column(self, places, name):
        return f"{name}.{self.one('id', 'k') if places[name] != 'q' else 'id'}"

    def value(self):
        return self.one("5", "6")

    def link(self, places, outer):
        other = outer if outer and self.perhaps(0.7) else places
        return f"{self.column(places, self.one(*places))} = {self.column(other, self.one(*other))}"

    def fix(self, places):
        column = self.column(places, self.one(*places))
        return self.one(f"{column} = {self.value()}", f"{column} = {self.value()}", f"{column} IN ({self.value()}, 7)",
                        f"({column} = {self.value()} OR {self.one('', 'NOT ')}{column} = 7)")

    def subquery(self, places, outer, depth):
        inner = self.select({**outer, **places}, depth + 1, "{0} AS id")
        column = self.column(places, self.one(*places))
        return self.one(f"EXISTS ({inner})", f"NOT EXISTS ({inner})", f"{column} IN ({inner})", f"{column} = (SELECT max(q.id) FROM ({inner}) q)")

    def conditions(self, places, outer, depth):
        parts = [self.fix(places)] * self.perhaps(0.6) + [self.link(places, outer)] * self.perhaps(0.7)
        if depth < 2 and self.perhaps(0.5 if depth else 0.9):
            parts.append(self.subquery(places, outer, depth))
        return " AND ".join(parts) or "true"

    def item(self, places, outer, depth):
        """An item of FROM, which is added to the places."""
        name = self.one(*({"a", "b", "c", "x"} - set(places)))
        if depth > 1 or self.perhaps(0.7):
            places[name] = f"t{self.dice.randrange(TABLES)}"
            return f"{places[name]} {name}"
        lateral = self.one("LATERAL ", "")
        inner = self.select({**outer, **places} if lateral else outer, depth + 1)
        places[name] = "q"
        return f"{lateral}({inner}) {name}"

    def select(self, outer, depth, shown="{0} AS id, {1}.n AS n"):
        places, items = {}, []
        for _ in range(self.dice.randint(1, 2)):
            items.append(self.item(places, outer, depth))
            if len(items) > 1 and self.perhaps(0.5):
                right, left = items.pop(), items.pop()
                join = self.one("JOIN", "LEFT JOIN", "JOIN", "FULL JOIN")
                items.append(f"({left} {join} {right} ON {self.conditions(places, outer, depth + 1)})")
        name = self.one(*places)
        what = shown.format(self.column(places, name), name)
        if depth == 0:
            what = ", ".join(["count(*)"] + [f"sum({n}.n)" for n in places])
            what += f", sum((SELECT sum(q.n) FROM ({self.select(places, 1)}) q))" if self.perhaps(0.5) else ""
        return f"SELECT {what} FROM {', '.join(items)} WHERE {self.conditions(places, outer, depth)}"


def writes_of(maker, sql):
    """Of all tables in it, in any order."""
    found = []
    for table in set(re.findall(r"\bt\d\b", sql)):
        for key in (5, 6, 7, 8):
            found += [f"UPDATE {table} SET n = n + 1 WHERE id = {key}", f"UPDATE {table} SET n = n + 1 WHERE k = {key}",
                      f"UPDATE {table} SET k = 5 + (k + 1) % 3 WHERE id = {key}"]
    maker.dice.shuffle(found)
    return found


@limit(240)
def test_made_at_random(ctx):
    """What is read from memory is soon what PostgreSQL says, whatever is written round it: what no event ends stays wrong."""
    for i in range(TABLES):
        ctx.sql(f"CREATE TABLE t{i}(id int PRIMARY KEY, k int, n int); ALTER TABLE t{i} REPLICA IDENTITY FULL; GRANT ALL ON t{i} TO app;"
                f"INSERT INTO t{i} SELECT i, 5 + (i + {i}) % 3, i FROM generate_series(5, 9) i")
    p = ctx.cache_proxy()
    reads, d = Reads(ctx, p), ctx.direct("app")
    seed = random.randrange(1 << 30)
    maker, good = Maker(seed), 0
    while good < 60:
        sql = maker.select({}, 0)
        want = d.ask(query(sql))
        if want.sqlstate() or want.rows[0][0] == "0":  # a name that is not in sight; nothing that could be seen
            continue
        seen = 0
        for statement in writes_of(maker, sql):
            d.query("BEGIN")
            d.query(statement)
            shown = d.ask(query(sql))
            d.query("ROLLBACK")
            if shown.sqlstate() or shown.rows == d.query(sql).rows:
                continue
            reads.fill(sql)
            d.query(statement)
            p.wait(lambda sql=sql, shown=shown: reads.ask(sql).rows == shown.rows, f"{shown.rows} of {sql}; {statement}; seed {seed}")
            seen += 1
            if seen == 4:
                break
        good += seen > 0
