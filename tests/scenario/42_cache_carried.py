# SPDX-License-Identifier: Apache-2.0
"""Rows that are fixed by what is said of a query in FROM, of a CTE, or of a column that USING and NATURAL make of two.
An entry ends with the rows that it may show, and lives on while others are written."""
import random
import re

from pgwire import query, unit
from reads import Reads, directly, through
from runner import ROOT, limit

SETUP = """
CREATE TABLE a(id int PRIMARY KEY, n int NOT NULL, v int NOT NULL);
CREATE TABLE b(bid int PRIMARY KEY, a_id int, w int NOT NULL); ALTER TABLE b REPLICA IDENTITY FULL;
CREATE TABLE c(id bigint PRIMARY KEY, m int NOT NULL);
CREATE TABLE d(id int PRIMARY KEY, o int NOT NULL);
INSERT INTO a SELECT i, i, 1 FROM generate_series(1, 9) i;
INSERT INTO b SELECT i, i % 10, i FROM generate_series(1, 30) i;
INSERT INTO c SELECT i, i FROM generate_series(1, 9) i;
INSERT INTO d SELECT i, i FROM generate_series(1, 9) i;
GRANT ALL ON a, b, c, d TO app;
"""

# As ORMs write them, and by hand.
FORMS = {
    "using": "SELECT sum(n), sum(m) FROM a LEFT JOIN c USING (id) WHERE a.id = {}",
    "using, of three": "SELECT sum(n), sum(m), sum(o) FROM a LEFT JOIN c USING (id) LEFT JOIN d USING (id) WHERE id = {}",
    "using, nested": "SELECT sum(n), sum(m), sum(o) FROM a JOIN (c LEFT JOIN d USING (id)) USING (id) WHERE a.id = {}",
    "using, right": "SELECT sum(n), sum(m) FROM c RIGHT JOIN a USING (id) WHERE a.id IN ({}, 77)",
    "using, full": "SELECT sum(n), sum(m), sum(o) FROM a FULL JOIN c USING (id) FULL JOIN d USING (id) WHERE id = {}",
    "using, as": "SELECT sum(n), sum(m) FROM a JOIN c USING (id) AS j WHERE j.id = {}",
    "natural": "SELECT sum(n), sum(m), sum(o) FROM a NATURAL LEFT JOIN c NATURAL LEFT JOIN d WHERE a.id = {}",
    "natural, merged": "SELECT sum(n), sum(m), sum(o) FROM a NATURAL JOIN c NATURAL JOIN d WHERE id = {}",
    "using, a query": "SELECT a.n, q.s FROM a LEFT JOIN (SELECT a_id AS id, sum(w) AS s FROM b GROUP BY a_id) q USING (id) WHERE a.id = {}",
    "anonymous": "SELECT anon_1.id, anon_1.n FROM (SELECT a.id AS id, a.n AS n FROM a WHERE a.v = 1) AS anon_1 WHERE anon_1.id = {}",
    "counted": "SELECT count(*), sum(w) FROM (SELECT DISTINCT b.a_id AS col1, b.w FROM b) subquery WHERE col1 = {}",
    "within": "SELECT x.n, x.s, x.m FROM (SELECT a.*, (SELECT sum(w) FROM b WHERE b.a_id = a.id) AS s, c.m FROM a LEFT JOIN c USING (id)) x WHERE x.id = {}",
    "twice": "SELECT sum(k), sum(w) FROM (SELECT * FROM (SELECT a_id AS k, w FROM b) y) x WHERE x.k = {} OR x.k = {} AND x.w > 3",
    "grouped": "SELECT a.n, s.total FROM a LEFT JOIN (SELECT b.a_id, sum(b.w) AS total FROM b GROUP BY b.a_id HAVING sum(b.w) > 0) AS s ON s.a_id = a.id WHERE a.id = {}",
    "by what depends": "SELECT x.n, x.s FROM (SELECT a.id AS k, a.n, (SELECT 7) AS seven, sum(b.w) AS s FROM a LEFT JOIN b ON b.a_id = a.id GROUP BY a.id) x WHERE x.k = {}",
    "window": "SELECT w, r FROM (SELECT b.w, b.a_id AS k, rank() OVER (PARTITION BY b.a_id ORDER BY b.w) AS r FROM b) x WHERE k = {} ORDER BY 2, 1",
    "named window": "SELECT w, r, s FROM (SELECT w, a_id, rank() OVER (p ORDER BY w) AS r, sum(w) OVER p AS s FROM b WINDOW p AS (PARTITION BY a_id)) x WHERE a_id = {} ORDER BY 2, 1",
    "first of each": "SELECT a.n, x.w FROM a LEFT JOIN (SELECT DISTINCT ON (a_id) * FROM b ORDER BY a_id, w DESC) x ON x.a_id = a.id WHERE a.id = {}",
    "with": "WITH w AS (SELECT a_id, sum(w) AS s FROM b GROUP BY a_id) SELECT a.n, w.s FROM a LEFT JOIN w ON w.a_id = a.id WHERE a.id = {}",
    "with, in a row": "WITH w AS (SELECT * FROM b), y AS NOT MATERIALIZED (SELECT a_id AS k, w FROM w) SELECT sum(w) FROM (SELECT * FROM y WHERE k > 0) z WHERE k = {}",
    "lateral": "SELECT a.n, sum(x.w) FROM a LEFT JOIN LATERAL (SELECT * FROM b WHERE b.w > a.v) x ON x.a_id = a.id WHERE a.id = {} GROUP BY 1",
    "exists": "SELECT a.n, EXISTS (SELECT 1 FROM (SELECT * FROM b) q WHERE q.a_id = a.id AND q.w % 2 = 0) FROM a WHERE a.id = {}",
}
# Writes of what belongs to 5.
WRITES = ["UPDATE a SET n = n + 1 WHERE id = 5", "UPDATE b SET w = w + 1 WHERE bid = 15", "UPDATE c SET m = m + 1 WHERE id = 5", "UPDATE d SET o = o + 1 WHERE id = 5",
          "INSERT INTO b(bid, a_id, w) VALUES (100, 5, 7)", "UPDATE b SET a_id = 7 WHERE bid = 100", "UPDATE b SET a_id = 5 WHERE bid = 100", "DELETE FROM b WHERE bid = 100",
          "DELETE FROM c WHERE id = 5", "INSERT INTO c VALUES (5, 5)", "DELETE FROM d WHERE id = 5", "INSERT INTO d VALUES (5, 5)", "UPDATE a SET id = 50 WHERE id = 5",
          "UPDATE a SET id = 5 WHERE id = 50"]


def rows(result):
    return result.check().rows


def check(ctx, p, writers, forms):
    """Beside each an entry of another row, which lives."""
    reads, d = Reads(ctx, p), ctx.direct("app")
    for write, at_once in writers:
        for name, form in forms.items():
            mine, other = form(5), form(6)
            for statement in WRITES:
                reads.fill(mine, other)
                write(statement)
                want = rows(d.ask(mine)) if not isinstance(mine, str) else d.query(mine).check().rows
                if at_once:
                    assert rows(reads.ask(mine)) == want, (name, statement)
                else:
                    p.wait(lambda mine=mine, want=want: rows(reads.ask(mine)) == want, f"{name}: {statement}")
                reads.lives(other, (name, statement))


@limit(240)
def test_forms(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    check(ctx, p, [(through(ctx, p), True), (directly(ctx), False)], {name: lambda k, sql=sql: sql.format(k, k) for name, sql in FORMS.items()})


def test_parameters(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    names = ("using", "using, full", "anonymous", "grouped", "window", "with")
    check(ctx, p, [(through(ctx, p), True), (directly(ctx), False)],
          {name: lambda k, sql=FORMS[name].replace("= {}", "= $1"): unit(sql, [k]) for name in names} |
          {"array": lambda k: unit(FORMS["anonymous"].replace("= {}", "= ANY($1)"), [f"{{{k},77}}"])})


# What looks alike: the answer for 6 changes with other rows.
WHOLE = [
    "SELECT n FROM (SELECT * FROM a ORDER BY n DESC LIMIT 4) x WHERE id = 6",
    "SELECT n FROM (SELECT * FROM a ORDER BY n DESC OFFSET 3) x WHERE id = 6",
    "SELECT n FROM (SELECT * FROM a ORDER BY n DESC FETCH FIRST 4 ROWS WITH TIES) x WHERE id = 6",
    "SELECT r FROM (SELECT id, rank() OVER (ORDER BY n) AS r FROM a) x WHERE id = 6",
    "SELECT r FROM (SELECT id, 1 + abs(sum(n) OVER ()) AS r FROM a) x WHERE id = 6",
    "SELECT r FROM (SELECT id, sum(n) OVER (PARTITION BY id) AS s, sum(n) OVER w AS r FROM a WINDOW w AS (PARTITION BY v)) x WHERE id = 6",
    "SELECT n FROM (SELECT DISTINCT ON (v) * FROM a ORDER BY v, abs(n - 6), id DESC) x WHERE id = 6",
    "SELECT n FROM (SELECT DISTINCT ON (k) v AS k, id, n FROM a ORDER BY k, abs(n - 6), id DESC) x WHERE id = 6",
    "SELECT id FROM (SELECT DISTINCT ON (id, ntile(2) OVER (ORDER BY n)) id, n, ntile(2) OVER (ORDER BY n) AS h FROM a) x WHERE id = 6 AND h = 1",
    "SELECT s FROM (SELECT v + 5 AS id, sum(n) AS s FROM a GROUP BY v) x WHERE id = 6",
    "SELECT s FROM (SELECT max(id) - 3 AS id, sum(n) AS s FROM a) x WHERE id = 6",
    "SELECT s FROM (SELECT id, grouping(id) AS g, sum(n) AS s FROM a GROUP BY ROLLUP (id)) x WHERE id = 6 OR g = 1 AND s > 0",
    "SELECT count(*) FROM (SELECT 6 AS id FROM a WHERE n > 5) x WHERE id = 6",
    "SELECT sum(n) FROM (SELECT id / id + 5 AS id, n FROM a) x WHERE id = 6",
    "SELECT sum(n) FROM (SELECT v AS id, id AS v, n FROM a) x(k, id) WHERE id = 6 OR k = 1",
    "SELECT sum(n) FROM (SELECT 6 AS id, x.n FROM a x UNION ALL SELECT id, n FROM a) y WHERE id = 6",
    "SELECT count(*) FROM (SELECT id FROM c UNION ALL SELECT n FROM a) x WHERE id = 6",
    "SELECT sum(a_n) FROM (SELECT c.id, a.n AS a_n FROM c, a) x WHERE id = 6",
    "SELECT sum(n) FROM (SELECT c.*, a.n FROM c, a) x WHERE id = 6",
    "SELECT sum(x.n) FROM c LEFT JOIN (SELECT * FROM a) x ON c.id = 6",
    "SELECT count(*), sum(n) FROM (SELECT * FROM a) x LEFT JOIN c ON x.id = 6",
    "SELECT sum(n) FROM (SELECT * FROM a) x WHERE x.id = 6 OR x.v = 1",
    "SELECT sum(n) FROM (SELECT * FROM a) x WHERE NOT x.id = 6",
    "WITH w AS (SELECT * FROM a) SELECT x.n, (SELECT sum(n) FROM w) FROM w x WHERE x.id = 6",
    "WITH w AS (SELECT * FROM a), y AS (SELECT max(n) AS n FROM w) SELECT w.n, y.n FROM w, y WHERE w.id = 6",
    "WITH w AS (SELECT * FROM a ORDER BY n DESC LIMIT 4) SELECT n FROM w WHERE id = 6",
    "WITH w(v, n, id) AS (SELECT id, n, v + 5 FROM a) SELECT sum(n) FROM w WHERE id = 6",
    "WITH RECURSIVE w AS (SELECT id, n FROM a UNION SELECT 6, a.n + w.n FROM a, w WHERE w.id = 6 AND a.id = 5 AND w.n < 20) SELECT sum(n) FROM w WHERE id = 6",
    "SELECT sum(n) FROM a LEFT JOIN d USING (id) WHERE d.id = 6 OR d.id IS NULL OR a.id > 0",
    "SELECT sum(n) FROM a FULL JOIN c USING (id) WHERE c.id = 6 OR a.v = 1",
    "SELECT sum(n) FROM (SELECT id AS k, m AS id FROM c) c JOIN a ON true WHERE c.id = 6",
]
# Of others than 6.
OTHERS = ["UPDATE a SET n = 90 WHERE id = 5", "UPDATE a SET n = 1 WHERE id = 5", "UPDATE a SET n = 5 WHERE id = 5", "UPDATE a SET n = 6 WHERE id = 7", "UPDATE a SET n = -1 WHERE id = 7",
          "UPDATE a SET n = 7 WHERE id = 7", "UPDATE a SET n = 80 WHERE id = 1", "DELETE FROM a WHERE id = 1", "INSERT INTO a VALUES (1, 1, 1)"]


def test_what_looks_alike(ctx):
    """By the value 6: what is shown of others is seen. Also without a stream, so that nothing else would tell."""
    ctx.sql(SETUP)
    for settings in ({"invalidation": "proxy"}, {}):
        p = ctx.cache_proxy(**settings)
        reads, d, write = Reads(ctx, p), ctx.direct("app"), through(ctx, p) if settings else directly(ctx)
        for sql in WHOLE:
            changes = 0
            for statement in OTHERS:
                reads.fill(sql)
                before = rows(reads.ask(sql))
                write(statement)
                want = rows(d.ask(query(sql)))
                changes += want != before
                p.wait(lambda sql=sql, want=want: rows(reads.ask(sql)) == want, f"{sql}: {statement}")
            assert changes > 0, f"this shows nothing: {sql}"


def test_merged_of_other_types(ctx):
    """What joins make of an int8 and a float8 is a float8, which two int8 equal."""
    ctx.sql("CREATE TABLE i(k bigint PRIMARY KEY, n int); CREATE TABLE f(k float8 PRIMARY KEY, x int); CREATE TABLE j(k bigint PRIMARY KEY, y int);"
            "INSERT INTO i VALUES (9007199254740992, 1), (9007199254740993, 2); INSERT INTO j VALUES (9007199254740992, 1), (9007199254740993, 2);"
            "INSERT INTO f VALUES (9007199254740992, 1); GRANT ALL ON i, f, j TO app")
    p = ctx.cache_proxy()
    reads, d = Reads(ctx, p), ctx.direct("app")
    for sql in ("SELECT sum(n), sum(y) FROM i JOIN f USING (k) JOIN j USING (k) WHERE i.k = 9007199254740992", "SELECT sum(n), sum(y) FROM i NATURAL JOIN f NATURAL JOIN j WHERE i.k = 9007199254740992",
                "SELECT sum(n), sum(y) FROM i JOIN f USING (k) JOIN j USING (k) WHERE k = 9007199254740992", "SELECT sum(n) FROM i JOIN f USING (k) AS q WHERE q.k = 9007199254740992",
                "SELECT sum(n) FROM (SELECT * FROM i JOIN f USING (k)) q WHERE q.k = 9007199254740992"):
        for write, at_once in ((through(ctx, p), True), (directly(ctx), False)):
            for table in ("i SET n = n", "j SET y = y"):
                reads.fill(sql)
                write(f"UPDATE {table} + 1 WHERE k = 9007199254740993")
                want = rows(d.ask(query(sql)))
                if at_once:
                    assert rows(reads.ask(sql)) == want, sql
                else:
                    p.wait(lambda sql=sql, want=want: rows(reads.ask(sql)) == want, sql)


def test_columns_come_and_go(ctx):
    """NATURAL joins by what the tables have in common: today, and not when the text was read."""
    ctx.sql("CREATE TABLE a(id int PRIMARY KEY, n int); CREATE TABLE b(k int PRIMARY KEY, w int, bn int); INSERT INTO a SELECT i, i FROM generate_series(1, 9) i;"
            "INSERT INTO b SELECT i, i, i FROM generate_series(1, 9) i; GRANT ALL ON a, b TO app")
    p = ctx.cache_proxy()
    reads, d, write = Reads(ctx, p), ctx.direct("app"), directly(ctx)
    sql = "SELECT sum(n), sum(w) FROM a NATURAL JOIN b WHERE a.id = 5"
    for change in ("SELECT 1", "ALTER TABLE b RENAME k TO id", "ALTER TABLE b RENAME bn TO n", "ALTER TABLE b RENAME id TO k", "ALTER TABLE b RENAME n TO bn", "ALTER TABLE b ADD id int"):
        ctx.sql(change)
        for statement in ("UPDATE b SET w = w + 1 WHERE w = (SELECT max(w) FROM b)", "UPDATE b SET w = w + 1 WHERE bn = 5" if "n TO n" not in change and "id TO k" not in change
                          else "UPDATE b SET w = w + 1 WHERE n = 5", "UPDATE a SET n = n WHERE id = 5"):
            reads.fill(sql)
            write(statement)
            want = rows(d.ask(query(sql)))
            p.wait(lambda want=want: rows(reads.ask(sql)) == want, f"{change}: {statement}")


# ---- Views ---------------------------------------------------------------------------------------

VIEWS = """
CREATE TABLE u(id uuid PRIMARY KEY, k int NOT NULL); CREATE TABLE w(uid uuid, name text, x int NOT NULL); ALTER TABLE w REPLICA IDENTITY FULL;
CREATE TABLE names(name text PRIMARY KEY, y int NOT NULL);
INSERT INTO u SELECT lpad(i::text, 32, '0')::uuid, i FROM generate_series(1, 9) i; INSERT INTO w SELECT lpad(i::text, 32, '0')::uuid, 'n' || i, i FROM generate_series(1, 9) i;
INSERT INTO names SELECT 'n' || i, i FROM generate_series(1, 9) i; ALTER TABLE w ADD PRIMARY KEY (x);
CREATE VIEW joined AS SELECT a.id, a.n, b.w, b.bid FROM a JOIN b ON a.id = b.a_id;
CREATE VIEW by_child AS SELECT b.a_id AS k, a.n, b.w FROM a JOIN b ON a.id = b.a_id AND b.w > 0;
CREATE VIEW comma AS SELECT a.id AS k, b.w, c.m FROM a, b, c WHERE b.a_id = a.id AND a.v = 1 AND a.v > 0 AND c.id = a.id;
CREATE VIEW lefts AS SELECT a.id, a.n, b.w, c.m FROM a LEFT JOIN b ON a.id = b.a_id AND b.w > 0 LEFT JOIN c ON c.id = a.id WHERE a.v > 0;
CREATE VIEW parents AS SELECT b.a_id AS k, b.w, a.n FROM b LEFT JOIN a ON a.id = b.a_id;
CREATE VIEW fulls AS SELECT a.id AS k, a.n, b.w FROM a FULL JOIN b ON a.id = b.a_id;
CREATE VIEW merged AS SELECT id, a.n, c.m FROM a JOIN c USING (id);
CREATE VIEW over AS SELECT j.id AS k, j.n, j.w, d.o FROM joined j LEFT JOIN d ON d.id = j.id;
CREATE VIEW uuids AS SELECT u.id, u.k, w.x, w.name FROM u LEFT JOIN w ON w.uid = u.id;
CREATE VIEW texts AS SELECT w.name, w.x, names.y FROM w JOIN names ON names.name = w.name;
CREATE VIEW either AS SELECT a.id, b.w FROM a JOIN b ON b.a_id = a.id OR b.a_id = a.v + 4;
CREATE VIEW negated AS SELECT a.id, b.w FROM a JOIN b ON NOT b.a_id = a.id;
CREATE VIEW unequal AS SELECT a.id, b.w FROM a JOIN b ON b.a_id < a.id;
CREATE VIEW computed AS SELECT a.id, b.w FROM a JOIN b ON b.a_id = a.id - 1;
CREATE VIEW either_too AS SELECT a.id, b.w FROM a JOIN b ON b.w > 0 AND (b.a_id = a.v + 4 OR a.v > 0 AND b.a_id = a.id);
CREATE VIEW loose AS SELECT a.id, b.w, c.m FROM a CROSS JOIN b LEFT JOIN c ON b.a_id = a.id;
CREATE VIEW loose_too AS SELECT a.id, b.w, c.m FROM c RIGHT JOIN (a CROSS JOIN b) ON b.a_id = a.id AND c.id = 3;
CREATE VIEW twice AS SELECT a.id, x.w FROM a JOIN b ON b.a_id = a.id JOIN b x ON x.bid = b.bid - 1;
CREATE VIEW again AS SELECT a.id, j.w FROM a JOIN b ON b.a_id = a.id JOIN joined j ON j.bid = b.bid - 1;
CREATE VIEW other_column AS SELECT a.n AS id, b.w FROM a JOIN b ON b.a_id = a.id;
CREATE VIEW true_or_not AS SELECT a.id, b.w FROM a JOIN b ON (b.a_id = a.id) IS NOT TRUE;
CREATE VIEW itself AS SELECT b.w AS id, b.bid AS w FROM a RIGHT JOIN b ON b.a_id = b.w;
CREATE VIEW apart AS SELECT c.id, b.w FROM c CROSS JOIN (a JOIN b ON b.a_id = a.id);
CREATE TABLE e(id int PRIMARY KEY, a_id int, w int NOT NULL); ALTER TABLE e REPLICA IDENTITY FULL; INSERT INTO e SELECT i, i, i FROM generate_series(1, 9) i;
CREATE VIEW beside AS SELECT a.id, e.w FROM a JOIN b ON b.a_id = a.id CROSS JOIN e;
CREATE VIEW counted AS SELECT a.id, sum(b.w) OVER () AS w FROM a JOIN b ON b.a_id = a.id;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
"""
OF_VIEWS = {name: f"SELECT {shown} FROM {name} WHERE {key} = {{}}" for name, shown, key in [
    ("joined", "sum(n), sum(w)", "id"), ("by_child", "sum(n), sum(w)", "k"), ("comma", "sum(w), sum(m)", "k"), ("lefts", "sum(n), sum(w), sum(m)", "id"), ("parents", "sum(n), sum(w)", "k"),
    ("fulls", "sum(n), sum(w)", "k"), ("merged", "sum(n), sum(m)", "id"), ("over", "sum(n), sum(w), sum(o)", "k")]}


@limit(240)
def test_views(ctx):
    """What a view's text joins by is said of both."""
    ctx.sql(SETUP + VIEWS)
    p = ctx.cache_proxy()
    check(ctx, p, [(through(ctx, p), True), (directly(ctx), False)],
          {name: lambda k, sql=sql: sql.format(k) for name, sql in OF_VIEWS.items()} |
          {"bound": lambda k: unit(OF_VIEWS["lefts"].format("$1"), [k]),
           "within": lambda k: f"SELECT a.n, x.s FROM a LEFT JOIN (SELECT id, sum(w) AS s FROM joined GROUP BY id) x ON x.id = a.id WHERE a.id = {k}"})


def test_views_of_other_types(ctx):
    ctx.sql(SETUP + VIEWS)
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), directly(ctx)
    uid = "00000000-0000-0000-0000-00000000000"
    cases = [(f"SELECT sum(x) FROM uuids WHERE id = '{uid}{{}}'", "UPDATE w SET x = x + 20 WHERE uid = '{}5'".format(uid)), ("SELECT sum(y) FROM texts WHERE name = 'n{}'", "UPDATE names SET y = 25 WHERE name = 'n5'")]
    for sql, statement in cases:
        reads.fill(sql.format(5), sql.format(6))
        write(statement)
        p.wait(lambda sql=sql: rows(reads.ask(sql.format(5))) == [("25",)] or rows(reads.ask(sql.format(5))) == [["25"]], sql)
        reads.lives(sql.format(6))


def test_the_servers_operators(ctx):
    """Those by which views' columns are the same: of integers, uuids and texts, none else."""
    with open(f"{ROOT}/proxy/control/closure_parts.c", encoding="utf-8") as f:
        listed = re.search(r'SAME_FORM "\(\?:([\d|]+)\)"', f.read()).group(1).split("|")
    types = "('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype, 'uuid'::regtype, 'text'::regtype)"
    found = rows(ctx.direct().query(f"SELECT oid FROM pg_operator WHERE oprname = '=' AND oprleft IN {types} AND oprright IN {types}"))
    assert sorted(listed) == sorted(str(row[0]) for row in found), (listed, found)


def test_views_that_look_alike(ctx):
    """What is said of one column says nothing of the other's table."""
    ctx.sql(SETUP + VIEWS + "UPDATE a SET n = 6 WHERE id = 5")
    others = ["UPDATE b SET w = w + 100 WHERE bid = 15", "UPDATE b SET w = w - 7 WHERE a_id = 5", "UPDATE b SET a_id = 4 WHERE a_id = 5", "UPDATE b SET a_id = 5 WHERE a_id = 4", "UPDATE b SET w = w + 3 WHERE a_id = 7", "UPDATE e SET w = w + 1 WHERE id = 5", "UPDATE b SET w = 6 WHERE bid = 25",
              "UPDATE b SET w = 25 WHERE bid = 25"]
    for settings in ({"invalidation": "proxy"}, {}):
        p = ctx.cache_proxy(**settings)
        reads, d, write = Reads(ctx, p), ctx.direct("app"), through(ctx, p) if settings else directly(ctx)
        for view in ("either", "either_too", "negated", "unequal", "computed", "loose", "loose_too", "twice", "again", "other_column", "true_or_not", "itself", "apart", "beside", "counted"):
            sql, changes = f"SELECT sum(w) FROM {view} WHERE id = 6", 0
            for statement in others:
                reads.fill(sql)
                before = rows(reads.ask(sql))
                write(statement)
                want = rows(d.ask(query(sql)))
                changes += want != before
                p.wait(lambda sql=sql, want=want: rows(reads.ask(sql)) == want, f"{sql}: {statement}")
            assert changes > 0, view


# ---- Any of them ---------------------------------------------------------------------------------

TYPES = ["int", "int", "int", "bigint", "numeric"]


class Maker:
    """Statements of these shapes at random. Each table has id, k and a column of its own; each query in FROM id and k, at least."""

    def __init__(self, seed):
        self.dice, self.names = random.Random(seed), 0
        self.views = {f"v{i}": self.view() for i in range(8)}

    def one(self, *ways):
        return self.dice.choice(ways)

    def perhaps(self, chance):
        return self.dice.random() < chance

    def name(self):
        self.names += 1
        return f"x{self.names}"

    def table(self):
        return f"t{self.dice.randrange(len(TYPES))}" if self.perhaps(0.8) else self.one(*self.views)

    def view(self):
        """Of two or three tables, not the same."""
        x, y, z = self.dice.sample(range(len(TYPES)), 3)
        column = lambda *places: f"{self.one(*places)}.{self.one('id', 'k')}"
        join = lambda: self.one("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
        on = lambda last, *before: self.one(f"{column(*before)} = {column(last)}", f"{column(last)} = {column(*before)}", f"{last}.n > 0 AND {column(last)} = {column(*before)}",
                                            f"{column(*before)} = {column(last)} AND {column(*before)} > 4")
        third = f" {join()} t{z} z ON {self.one(on('z', 'x', 'y'), 'x.k = y.id AND z.n > 0')}" if self.perhaps(0.5) else ""
        where = f" WHERE {column('x')} = {column('y')}" if self.perhaps(0.2) else ""
        return f"SELECT {column('x', 'y')} AS id, {column('x', 'y')} AS k, {self.one('x', 'y')}.n AS n FROM t{x} x {self.one(join() + f' t{y} y ON ' + on('y', 'x'), f'CROSS JOIN t{y} y')}{third}{where}"

    def value(self):
        return self.one("5", "5", "6")

    def condition(self, places):
        place = self.one(*places)
        column = f"{place}.{self.one('id', 'k')}"
        other = f"{self.one(*places)}.{self.one('id', 'k')}"
        unqualified = self.one("id", "k") if self.perhaps(0.3) else column
        return self.one(f"{column} = {self.value()}", f"{unqualified} = {self.value()}", f"{column} IN ({self.value()}, 7)", f"{column} = {other}",
                        f"({column} = {self.value()} OR {column} = 7)", f"{column} >= {self.value()}")

    def conditions(self, places):
        return " AND ".join(self.condition(places) for _ in range(self.dice.choice([0, 1, 1, 2]))) or "true"

    def query(self, depth):
        """With id and k as columns, and n, perhaps in other places."""
        places = []
        source = self.source(places, depth + 1)
        p = self.one(*places)
        i, k = (f"{p}.id", f"{p}.k") if self.perhaps(0.8) else (f"{p}.k", f"{p}.id")
        where = f"WHERE {self.conditions(places)}" if self.perhaps(0.3) else ""
        n = f"{p}.n"
        return self.one(
            f"SELECT {i} AS id, {k} AS k, {n} AS n FROM {source} {where}", f"SELECT DISTINCT {i} AS id, {k} AS k, {n} AS n FROM {source} {where}",
            f"SELECT {p}.* FROM {source} {where}", f"SELECT * FROM {self.table()}", f"SELECT * FROM {source} {where}",
            f"SELECT {i} AS id, {k} AS k, sum({n}) AS n FROM {source} {where} GROUP BY {self.one('1, 2', f'{i}, {k}')}",
            f"SELECT {i} AS id, min({k}) AS k, sum({n}) AS n FROM {source} {where} GROUP BY {i}",
            f"SELECT min({i}) AS id, {k} AS k, sum({n}) AS n FROM {source} {where} GROUP BY {k}",
            f"SELECT {i} AS id, {k} AS k, sum({n}) OVER (PARTITION BY {self.one(i, k, f'{i}, {k}')}) AS n FROM {source} {where}",
            f"SELECT {i} AS id, {k} AS k, sum({n}) OVER w AS n FROM {source} {where} WINDOW w AS (PARTITION BY {self.one(i, k)})",
            f"SELECT {i} AS id, {k} AS k, sum({n}) OVER () AS n FROM {source} {where}",
            f"SELECT DISTINCT ON ({self.one('id', 'k', i, k, 'id, k')}) {i} AS id, {k} AS k, {n} AS n FROM {source} {where}".replace("DISTINCT ON (id, k)", "DISTINCT ON (1, 2)"),
            f"SELECT {i} AS id, {k} AS k, {n} AS n FROM {source} {where} ORDER BY 3, 1, 2 LIMIT 4",
            f"SELECT {i} AS id, {k} AS k, {n} AS n FROM {source} {where} UNION ALL SELECT k, id, n FROM {self.table()}",
            f"SELECT {i} + 0 AS id, {k} AS k, {n} AS n FROM {source} {where}",
            f"SELECT id, k, sum(n) AS n FROM {self.table()} GROUP BY GROUPING SETS ((id), (k), (id, k))")

    def item(self, places, depth):
        name = self.name()
        places.append(name)
        if depth > 2 or self.perhaps(0.6 if depth else 0.2):
            return f"{self.table()} {name}"
        if self.ctes is not None and self.perhaps(0.4):
            self.ctes.append(f"c{name} AS ({self.within(depth)})")
            return f"c{name} {name}"
        if self.ctes and self.perhaps(0.5):
            return f"{self.one(*self.ctes).split()[0]} {name}"
        return f"({self.query(depth)}) {name}"

    def within(self, depth):
        outer, self.ctes = self.ctes, None
        made = self.query(depth)
        self.ctes = outer
        return made

    def source(self, places, depth):
        text = self.item(places, depth)
        for _ in range(self.dice.choice([0, 0, 0, 1, 2]) if depth else self.dice.choice([0, 0, 1, 1, 2])):
            before = list(places)
            right = self.item(places, depth)
            join = self.one("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
            how = self.one("ON", "ON", "USING (id)", "USING (id, k)", "NATURAL")
            if how == "NATURAL":
                text = f"{text} NATURAL {join} {right}"
            elif how == "ON":
                text = f"{text} {join} {right} ON {self.one(*before)}.{self.one('id', 'k')} = {places[-1]}.{self.one('id', 'k')} AND {self.conditions(places)}"
            else:
                text = f"{text} {join} {right} {how}"
        return text

    def statement(self):
        self.names, self.ctes = 0, []
        places = []
        source = self.source(places, 0)
        where = self.conditions(places)
        shown = ", ".join(["count(*)"] + [f"sum({p}.n)" for p in places])
        ctes = f"WITH {', '.join(self.ctes)} " if self.ctes else ""
        return f"{ctes}SELECT {shown} FROM {source} WHERE {where} AND {self.one(*places)}.{self.one('id', 'k')} = {self.value()}"


def writes_of(maker, sql):
    found = []
    for table in sorted(set(re.findall(r"\bt\d\b", " ".join([sql] + [maker.views[v] for v in re.findall(r"\bv\d\b", sql)])))):
        for key in (5, 6, 7, 8):
            found += [f"UPDATE {table} SET n = n + 1 WHERE id = {key}", f"UPDATE {table} SET n = n - 3 WHERE k = {key}", f"UPDATE {table} SET k = 5 + (k::int + 1) % 3 WHERE id = {key}",
                      f"UPDATE {table} SET id = CASE id WHEN {key} THEN -{key} ELSE {key} END WHERE id IN ({key}, -{key})"]
    maker.dice.shuffle(found)
    return found


@limit(300)
def test_made_at_random(ctx):
    """What is read from memory is soon what PostgreSQL says, whatever is written round it: what no event ends stays wrong."""
    for i, kind in enumerate(TYPES):
        ctx.sql(f"CREATE TABLE t{i}(id {kind} PRIMARY KEY, k {kind if i % 2 else 'int'}, n int); ALTER TABLE t{i} REPLICA IDENTITY FULL; GRANT ALL ON t{i} TO app;"
                f"INSERT INTO t{i} SELECT i, 5 + (i + {i}) % 3, {i} + i FROM generate_series(5, 9) i")
    seed = random.randrange(1 << 30)
    maker, good, tried, lived = Maker(seed), 0, 0, 0
    for name, text in maker.views.items():
        ctx.sql(f"CREATE VIEW {name} AS {text}; GRANT SELECT ON {name} TO app")
    p = ctx.cache_proxy()
    reads, d = Reads(ctx, p), ctx.direct("app")
    while good < 60:
        tried += 1
        assert tried < 20000, f"hardly one shows anything, seed {seed}"
        sql = maker.statement()
        want = d.ask(query(sql))
        if want.sqlstate() or want.rows[0][0] == "0":  # an ambiguous name; nothing that could be seen
            continue
        seen = 0
        for statement in writes_of(maker, sql):
            d.query("BEGIN")
            d.query(statement)
            shown = d.ask(query(sql))
            d.query("ROLLBACK")
            if shown.sqlstate() or (shown.rows == d.query(sql).rows and lived > good):
                continue
            changes = shown.rows != d.query(sql).rows
            reads.fill(sql)
            d.query(statement)
            if changes:
                p.wait(lambda sql=sql, shown=shown: reads.ask(sql).rows == shown.rows, f"{shown.rows} of {sql}; {statement}; {maker.views}, seed {seed}")
                seen += 1
            else:
                lived += reads.misses_until_hit(sql) == 0
            if seen == 6:
                break
        good += seen > 0
    ctx.note(f"{tried} statements, entries that lived beside a write: {lived}, seed {seed}")
    assert lived > 0
