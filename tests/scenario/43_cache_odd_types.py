# SPDX-License-Identifier: Apache-2.0
"""Tables with columns of types that PostgreSQL does not bring along: what only shows such a column, or leaves it
alone, is answered from memory; what computes with one is not."""
import random
import time

from pgwire import parse, query, sync, unit

SETUP = """
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube;
CREATE TYPE pair AS (a int, b text); CREATE DOMAIN mail AS citext CHECK (VALUE ~ '@'); CREATE TYPE span AS RANGE (subtype = float8);
CREATE TABLE person(id int PRIMARY KEY, name text, email citext, more hstore, path ltree, spot cube, m mail);
CREATE TABLE thing(id int PRIMARY KEY, owner int, email citext, p pair, s span, r regclass, c money);
CREATE TABLE parted(id int PRIMARY KEY, tag citext) PARTITION BY RANGE (id); CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted2 PARTITION OF parted FOR VALUES FROM (10) TO (30);
INSERT INTO person SELECT i, 'n' || i, 'Mail' || i || '@x', hstore('k', i::text), 'a.b', cube(i, i + 0.25), 'a' || i || '@x' FROM generate_series(1, 19) i;
INSERT INTO thing SELECT i, 1 + i % 3, 'MAIL' || i || '@X', (i, 'x')::pair, span(i, i + 1), 'person', i FROM generate_series(1, 19) i;
INSERT INTO parted SELECT i, 'T' || i FROM generate_series(1, 19) i;
CREATE VIEW names AS SELECT id, name FROM person; CREATE VIEW mails AS SELECT id, email FROM person;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app, other; ALTER TABLE person OWNER TO app;
"""
HITS = [
    "SELECT id, name FROM person ORDER BY id", "SELECT name FROM person WHERE id = 3", "SELECT * FROM person WHERE id = 3", "SELECT id, email, more FROM person WHERE id IN (3, 4) ORDER BY name",
    "SELECT p.email AS mail, t.id FROM person p JOIN thing t ON t.owner = p.id WHERE p.id = 1 ORDER BY t.id", "SELECT count(*) FROM person WHERE email IS NOT NULL", "SELECT person FROM person WHERE id = 5",
    "SELECT id FROM thing WHERE EXISTS (SELECT * FROM person WHERE person.id = thing.owner) ORDER BY id", "SELECT id, owner FROM thing WHERE p IS NOT NULL ORDER BY id", "SELECT id, path, spot, m FROM person ORDER BY id DESC LIMIT 3",
    "SELECT tag FROM parted WHERE id = 4", "SELECT id, tag FROM parted ORDER BY id", "SELECT max(id), owner FROM thing GROUP BY owner ORDER BY owner", "SELECT id, name FROM names WHERE id = 2",
    "SELECT min(id), count(*) FROM person WHERE name > 'n2'", "SELECT replace(name, 'n', 'm') FROM person ORDER BY id", "SELECT id, count(*) OVER () AS n, email FROM person ORDER BY id",
]
REFUSED = [
    "SELECT id FROM person WHERE email = 'mail3@X'", "SELECT id FROM person ORDER BY email", "SELECT email FROM person ORDER BY 1", "SELECT email::text FROM person", "SELECT DISTINCT email FROM person", "SELECT lower(email) FROM person",
    "SELECT more -> 'k' FROM person", "SELECT p FROM thing", "SELECT * FROM thing", "SELECT r FROM thing", "SELECT s FROM thing", "SELECT (p).a FROM thing", "SELECT max(email) FROM person",
    "SELECT email FROM person UNION ALL SELECT email FROM thing", "SELECT person.id FROM person JOIN thing USING (email)", "SELECT person.id FROM person NATURAL JOIN thing", "SELECT row_to_json(person) FROM person", "SELECT email FROM mails",
    "SELECT e FROM (SELECT email AS e FROM person) s", "SELECT x FROM person AS q(a, b, x)", "SELECT id FROM person WHERE (id, email) IN (SELECT id, email FROM thing)", "SELECT count(*) FROM parted WHERE tag = 't4'",
    "SELECT email FROM person GROUP BY email", "SELECT m FROM person ORDER BY m", "SELECT spot FROM person WHERE spot @> cube(1)",
]


def test_hits(ctx):
    """As PostgreSQL would have answered it, in text and in binary."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(hidden_code_check=0)
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    for sql in HITS:
        for script in (query(sql), unit(sql), unit(sql, binary=True)):
            reply, theirs = ctx.wait_hit(p, lambda s=script: c.ask(s)), d.ask(script)
            if not theirs.errors:
                assert reply.raw == theirs.raw, f"{sql}: {reply.rows} instead of {theirs.rows}"


# Functions, operators and casts of extensions are refused as such.
REASONS = ["bypass_column_type", "bypass_unknown_function", "bypass_operator", "bypass_cast"]


def test_refused(ctx):
    """For a reason that is said."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(hidden_code_check=0)
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    for sql in REFUSED:
        def counted(s=sql):
            before = p.cache()
            assert c.ask(query(s)).raw == d.ask(query(s)).raw, s
            after = p.cache()
            assert after["hits"] == before["hits"], s
            return any(after[name] > before[name] for name in REASONS)
        p.wait(counted, f"the reason of {sql}")
    assert p.cache()["bypass_column_type"] >= len(REFUSED) - 4


def test_types_that_change(ctx):
    """The binary form of a type, and what its rows may be cast to, both made directly."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(max_staleness="60ms", hidden_code_check=0)
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    read = unit("SELECT email FROM person WHERE id = 1", binary=True)
    assert ctx.wait_hit(p, lambda: c.ask(read)).raw == d.ask(read).raw
    ctx.sql("CREATE FUNCTION other_send(citext) RETURNS bytea LANGUAGE internal VOLATILE AS 'textsend'; ALTER TYPE citext SET (SEND = other_send)")
    before = p.cache()["bypass_column_type"]

    def refused():
        c.ask(read)
        return p.cache()["bypass_column_type"] > before
    p.wait(refused, "a type that is not shown any more")
    ctx.never_hit(p, lambda: c.ask(read))
    ctx.sql("CREATE TABLE rowed(id int); INSERT INTO rowed VALUES (1); GRANT ALL ON rowed TO app; CREATE SEQUENCE calls; GRANT ALL ON calls TO app")
    ctx.wait_hit(p, lambda: c.query("SELECT rowed.id FROM rowed"))
    ctx.sql("CREATE FUNCTION seen(rowed) RETURNS bool LANGUAGE sql VOLATILE AS $$SELECT nextval('calls') > 0$$; CREATE DOMAIN dom AS rowed CHECK (seen(VALUE)); CREATE DOMAIN dom2 AS dom")
    for sql in ("SELECT r.dom FROM rowed r", "SELECT r.dom2 FROM rowed r", "SELECT id FROM rowed r WHERE r.dom IS NOT NULL"):
        def judged(s=sql):
            known = p.cache()["bypass_unknown_function"]
            c.query(s)
            return p.cache()["bypass_unknown_function"] > known
        p.wait(judged, "a field that is a cast")
        ctx.never_hit(p, lambda s=sql: c.query(s))


def test_casts_unseen(ctx):
    """A user's cast from a type of PostgreSQL's to one of an extension's makes something else of a builtin's name."""
    ctx.sql(SETUP + "CREATE TABLE pt(id int, p point); INSERT INTO pt VALUES (1, '(1,2)'); GRANT ALL ON pt TO app;")
    p = ctx.cache_proxy(max_staleness="60ms", hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query("SELECT id FROM pt"))
    ctx.sql("CREATE FUNCTION tell(point) RETURNS citext LANGUAGE plpgsql VOLATILE AS $$BEGIN RETURN clock_timestamp()::text; END$$;"
            "CREATE CAST (point AS citext) WITH FUNCTION tell(point) AS IMPLICIT")

    def refused():
        before = p.cache()["bypass_cast"]
        c.query("SELECT id FROM pt")
        return p.cache()["bypass_cast"] > before
    p.wait(refused, "the cast")
    for sql in ("SELECT max(p) FROM pt", "SELECT p = p FROM pt"):
        ctx.never_hit(p, lambda s=sql: c.query(s))
        assert c.value("SELECT max(p) FROM pt") != c.value("SELECT max(p) FROM pt")
    ctx.sql("DROP CAST (point AS citext); CREATE TYPE mood AS ENUM ('sad'); CREATE CAST (varchar AS mood) WITH INOUT AS IMPLICIT")
    ctx.wait_hit(p, lambda: c.query("SELECT id FROM pt"))


def test_changes(ctx):
    """Of rows and of types, directly and through the proxy."""
    ctx.sql(SETUP)
    bound = 0.06
    p = ctx.cache_proxy(max_staleness=f"{int(bound * 1000)}ms", hidden_code_check=0)
    c, w, d = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    dice = random.Random(43)
    writes = ["UPDATE person SET email = 'M{n}@x' WHERE id = {k}", "UPDATE person SET name = 'n{n}' WHERE id = {k}", "UPDATE person SET more = hstore('k', '{n}'), spot = cube({n}) WHERE id = {k}", "DELETE FROM person WHERE id = {k}",
              "INSERT INTO person(id, name, email) VALUES ({k}, 'new', 'N{n}@x') ON CONFLICT (id) DO UPDATE SET email = excluded.email", "UPDATE person SET email = upper(email) WHERE email = 'm{n}@X' OR id = {k}", "UPDATE thing SET owner = {k} WHERE id = {k}",
              "UPDATE parted SET tag = 'T{n}' WHERE id = {k}", "UPDATE parted SET id = 20 - id WHERE id = {k} AND NOT EXISTS (SELECT FROM parted x WHERE x.id = 20 - {k})"]
    before = p.cache()["hits"]
    for turn in range(120):
        sql = dice.choice(writes).format(n=dice.randint(0, 999), k=dice.randint(1, 19))
        if turn % 3 == 0:
            d.ask(query(sql))
            time.sleep(bound * 1.05)
        else:
            w.ask(query(sql))
        for read in dice.sample(HITS, 3) * 2:
            assert c.ask(query(read)).raw == d.ask(query(read)).raw, f"{read} after {sql}"
    assert p.cache()["hits"] > before + 60
    ctx.sql("DROP VIEW names, mails")
    read = "SELECT id, name FROM person WHERE name = 'N1' ORDER BY name"
    for change in ("ALTER TABLE person ALTER name TYPE citext", "ALTER TABLE person ALTER name TYPE text", "ALTER TABLE person RENAME name TO title; ALTER TABLE person RENAME email TO name",
                   "ALTER TABLE person RENAME name TO email; ALTER TABLE person RENAME title TO name"):
        for through in (w, d):
            if through is d:
                ctx.sql("ALTER TABLE person ADD COLUMN IF NOT EXISTS again int; ALTER TABLE person DROP COLUMN again")
            else:
                for statement in change.split("; "):
                    through.query(statement)
            time.sleep(bound * 1.05)
            for sql in (read, "SELECT id, email FROM person ORDER BY id") * 3:
                assert c.ask(query(sql)).raw == d.ask(query(sql)).raw, f"{sql} after {change}"
    assert c.ask(parse("SELECT id FROM person WHERE email = $1", "p") + sync()).errors == []
