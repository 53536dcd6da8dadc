# SPDX-License-Identifier: Apache-2.0
"""Extensions whose functions and operators have the names of PostgreSQL's own: what does not use them is answered from
memory as before, what may is judged by what they do."""
import time

from pgwire import bind, describe, execute, parse, query, sync, unit
from relay import Relay

SETUP = """
CREATE TABLE t(id int PRIMARY KEY, name text, v varchar, doc jsonb, n int, a int[], f float8, q tsvector);
INSERT INTO t SELECT i, 'n' || i, 'v' || i, jsonb_build_object('a', i), i, ARRAY[i, 7], i + 0.5, to_tsvector('simple', 'word' || i) FROM generate_series(1, 19) i;
GRANT ALL ON t TO app, other;
"""
HITS = {
    "citext": ["SELECT id FROM t WHERE name LIKE 'n1%' ORDER BY id", "SELECT id FROM t WHERE name ILIKE '%N1' ORDER BY id", "SELECT id FROM t WHERE name ~* 'N2'", "SELECT id FROM t WHERE name !~~ 'n1%' ORDER BY id",
               "SELECT id FROM t WHERE name SIMILAR TO 'n(1|2)' ORDER BY id", "SELECT replace(name, 'N', 'm'), split_part(name, 'n', 2), strpos(v, 'V'), translate(name, 'n', 'm') FROM t ORDER BY id",
               "SELECT regexp_replace(name, 'N', 'm'), regexp_replace(name, 'N', 'm', 'g'), regexp_match(name, 'N'), regexp_split_to_array(v, 'V') FROM t ORDER BY id", "SELECT max(name), min(v) FROM t"],
    "intarray": ["SELECT n + 1, n - 1, n * 2, +n FROM t ORDER BY id", "SELECT id FROM t WHERE a @> ARRAY[3]", "SELECT id FROM t WHERE a && ARRAY[3, 4] ORDER BY id", "SELECT doc - 'a', id FROM t WHERE doc @> '{}' ORDER BY id",
                 "SELECT a + 3, a - 7, a | 4, a & ARRAY[7] FROM t ORDER BY id", "SELECT id FROM t WHERE a @@ '3 | 4' ORDER BY id", "SELECT n & 3, n | 3, n # 1 FROM t ORDER BY id"],
    "ltree": ["SELECT id FROM t WHERE doc ? 'a' ORDER BY id", "SELECT name || 'x' FROM t ORDER BY id", "SELECT id FROM t WHERE doc @> '{\"a\": 3}'"],
    "btree_gist": ["SELECT point(f, 2) <-> point(3, 4) AS far, id FROM t ORDER BY id", "SELECT f <-> 1, n <-> 3 FROM t ORDER BY id"],
    "unaccent": ["SELECT id FROM t WHERE q @@ to_tsquery('simple', 'word3')", "SELECT to_tsvector('english', name) FROM t ORDER BY id"],
    "hstore": ["SELECT doc -> 'a', doc ->> 'a' FROM t ORDER BY id", "SELECT id FROM t WHERE doc ? 'a' ORDER BY id"],
}
# A parameter may be of an extension's type.
TYPED = {
    "citext": ["SELECT replace(name, $1, 'm'), strpos(name, $1), translate(name, $1, 'm') FROM t ORDER BY id", "SELECT id FROM t WHERE name LIKE $1 ORDER BY id", "SELECT id FROM t WHERE name = $1",
               "SELECT regexp_replace(name, $1, 'm', 'g') FROM t ORDER BY id", "SELECT split_part($1, 'a', 1), id FROM t ORDER BY id"],
}


def both_say(ctx, p, c, d, script, what):
    """The reply out of memory, which must be PostgreSQL's."""
    reply, theirs = ctx.wait_hit(p, lambda: c.ask(script)), d.ask(script)
    assert reply.raw == theirs.raw and not theirs.errors, f"{what}: {reply.rows} instead of {theirs.rows} {theirs.errors}"


def test_hits(ctx):
    """One extension after the other, and all of them."""
    ctx.sql(SETUP)
    d = ctx.keep(ctx.pg.connect(ctx.db, "app"))
    for extension, texts in HITS.items():
        ctx.sql(f"CREATE EXTENSION {extension}")
        p = ctx.cache_proxy(hidden_code_check=0)
        c = ctx.keep(p.connect(ctx.db))
        for sql in texts:
            for script in (query(sql), unit(sql, binary=True)):
                both_say(ctx, p, c, d, script, sql)
        p.stop()
    p = ctx.cache_proxy(hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    for texts in HITS.values():
        for sql in texts:
            both_say(ctx, p, c, d, query(sql), sql)


def test_parameters(ctx):
    """Of the extension's own types, declared by the client: another function is meant, and the answer is its."""
    ctx.sql(SETUP + "CREATE EXTENSION citext")
    p = ctx.cache_proxy(hidden_code_check=0)
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    citext = int(ctx.sql("SELECT 'citext'::regtype::oid")[0][0])
    for sql in TYPED["citext"]:
        for value in ("N", "N1", "nA"):
            for oid in (citext, 25):
                for _ in range(6):
                    mine, theirs = (x.ask(parse(sql, types=(oid,)) + bind(params=[value]) + describe() + execute() + sync()) for x in (c, d))
                    assert mine.rows == theirs.rows and mine.errors == theirs.errors, f"{sql} of {value}"


# What makes one of them uncertain: their body or their mark is not what it was, or somebody has made more.
UNCERTAIN = [
    ("SELECT id FROM t WHERE name LIKE 'n1%'", "CREATE FUNCTION mine(text, text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN true; END$$; CREATE OPERATOR ~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = mine)"),
    ("SELECT replace(name, 'n', 'm') FROM t", "CREATE OR REPLACE FUNCTION replace(citext, citext, citext) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$SELECT now()::text$$"),
    ("SELECT strpos(name, 'n') FROM t", "CREATE OR REPLACE FUNCTION strpos(citext, citext) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$SELECT pg_catalog.strpos(lower($1), lower($2))$$"),
    ("SELECT split_part(name, 'n', 1) FROM t", "CREATE FUNCTION caseend(text) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT now()::text'; CREATE OR REPLACE FUNCTION split_part(citext, citext, int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$SELECT CASEEND($1::pg_catalog.text)$$"),
    ("SELECT regexp_match(name, 'n') FROM t", "CREATE OR REPLACE FUNCTION regexp_match(citext, citext) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT AS $$SELECT pg_catalog.regexp_match(E'\\'', caseend(','))$$"),
    ("SELECT translate(name, 'n', 'm') FROM t", "ALTER FUNCTION translate(citext, citext, text) VOLATILE"),
    ("SELECT n + 1 FROM t", "CREATE FUNCTION mine3(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN 1; END$$; CREATE OPERATOR + (LEFTARG = int, RIGHTARG = int, FUNCTION = mine3)"),
    ("SELECT id FROM t WHERE a && ARRAY[3, 4]", "ALTER FUNCTION _int_overlap(int[], int[]) STABLE"),
    ("SELECT regexp_replace(v, 'n', 'm') FROM t", "CREATE FUNCTION mine2(text, text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN $1; END$$; CREATE OPERATOR || (LEFTARG = text, RIGHTARG = text, FUNCTION = mine2)"),
]


def test_uncertain(ctx):
    """Nothing of it is answered from memory any more."""
    ctx.sql(SETUP + "CREATE EXTENSION citext; CREATE EXTENSION intarray")
    p = ctx.cache_proxy(max_staleness="60ms", hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    for sql, change in UNCERTAIN:
        ctx.wait_hit(p, lambda s=sql: c.query(s))
        ctx.sql(change)

        def refused(s=sql):
            before = p.cache()
            c.ask(query(s))
            after = p.cache()
            return after["bypass_operator"] + after["bypass_unknown_function"] > before["bypass_operator"] + before["bypass_unknown_function"]
        p.wait(refused, f"that {sql} is refused after {change}")
        ctx.never_hit(p, lambda s=sql: c.ask(query(s)))


def test_text_search(ctx):
    """A dictionary of an extension's counts where a configuration asks it, also by way of a thesaurus."""
    ctx.sql(SETUP + "CREATE EXTENSION unaccent")
    p = ctx.cache_proxy(max_staleness="60ms", hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    search = "SELECT id FROM t WHERE q @@ to_tsquery('simple', 'word3')"
    for change, back in (
            ("CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple); ALTER TEXT SEARCH CONFIGURATION plain ALTER MAPPING FOR word WITH unaccent, simple", "DROP TEXT SEARCH CONFIGURATION plain"),
            ("CREATE TEXT SEARCH TEMPLATE tpl (INIT = dsimple_init, LEXIZE = dsimple_lexize); CREATE TEXT SEARCH DICTIONARY sub (TEMPLATE = tpl);"
             "CREATE TEXT SEARCH DICTIONARY th (TEMPLATE = thesaurus, DictFile = thesaurus_sample, Dictionary = sub); CREATE TEXT SEARCH CONFIGURATION b (COPY = simple);"
             "ALTER TEXT SEARCH CONFIGURATION b ALTER MAPPING FOR asciiword WITH th", "DROP TEXT SEARCH CONFIGURATION b")):
        ctx.wait_hit(p, lambda: c.query(search))
        ctx.sql(change)

        def refused():
            before = p.cache()["bypass_text_search"]
            c.query(search)
            return p.cache()["bypass_text_search"] > before
        p.wait(refused, "a configuration of somebody's code")
        ctx.never_hit(p, lambda: c.query(search))
        ctx.sql(back)
    ctx.wait_hit(p, lambda: c.query(search))


# ---- What raises a barrier

WRITERS = """
CREATE EXTENSION pg_trgm; CREATE EXTENSION pgcrypto; CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION unaccent; CREATE EXTENSION fuzzystrmatch; CREATE EXTENSION intarray; CREATE EXTENSION hstore; CREATE EXTENSION citext;
CREATE TABLE twin(id int PRIMARY KEY, n int); INSERT INTO twin VALUES (1, 0); CREATE TABLE pt(id int); INSERT INTO pt VALUES (1); GRANT ALL ON twin, pt TO app;
CREATE FUNCTION bump() RETURNS int LANGUAGE sql AS 'UPDATE twin SET n = n + 1 RETURNING n';
"""
OTHER = "SELECT name FROM t WHERE id = 1"
HARMLESS = [
    "SELECT id FROM t WHERE similarity(name, 'n1') > 0.3", "SELECT id FROM t WHERE name % 'n1'", "SELECT id % 2 FROM t", "SELECT id FROM t WHERE name %> 'n1'", "SELECT unaccent(name) FROM t", "SELECT encode(digest(name, 'sha256'), 'hex') FROM t",
    "SELECT uuid_generate_v4()", "SELECT public.gen_random_uuid()", "SELECT gen_random_uuid()", "SELECT soundex(name), metaphone(name, 3) FROM t", "SELECT n + 1, sort(a) FROM t", "SELECT * FROM each('a=>1'::hstore)", "SELECT crypt('a', gen_salt('md5'))",
]
# What is made, by whoever looks at none of it, and what runs it then.
MADE = [
    ("SELECT 1", "SELECT bump()"),
    ("CREATE FUNCTION similarity(int, int) RETURNS int LANGUAGE sql AS 'SELECT bump()'", "SELECT similarity(1, 2)"),
    ("CREATE SCHEMA aside; GRANT USAGE ON SCHEMA aside TO app; CREATE FUNCTION aside.unaccent(text) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN PERFORM bump(); RETURN $1; END'; ALTER FUNCTION aside.unaccent(text) VOLATILE", "SELECT aside.unaccent('x')"),
    ("CREATE FUNCTION gen_random_uuid(int) RETURNS int LANGUAGE sql AS 'SELECT bump()'", "SELECT gen_random_uuid(1)"),
    ("CREATE FUNCTION div2(int, int) RETURNS int LANGUAGE sql AS 'SELECT bump()'; CREATE OPERATOR %> (LEFTARG = int, RIGHTARG = int, FUNCTION = div2)", "SELECT 1 %> 2"),
    ("CREATE FUNCTION div3(text, int) RETURNS int LANGUAGE sql AS 'SELECT bump()'; CREATE OPERATOR % (LEFTARG = text, RIGHTARG = int, FUNCTION = div3)", "SELECT 'x'::text % 2"),
    ("CREATE FUNCTION says(text) RETURNS bool LANGUAGE sql AS 'SELECT bump() > 0'; CREATE DOMAIN metaphone AS text CHECK (says(VALUE))", "SELECT metaphone('x'::text)"),
    ("CREATE EXTENSION tablefunc", "SELECT * FROM crosstab2('SELECT 1::text, 2::text, bump()::text')"),
    ("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moody(m mood); INSERT INTO moody VALUES ('sad'); GRANT ALL ON moody TO app;"
     "CREATE FUNCTION as_text(mood) RETURNS text LANGUAGE sql AS 'SELECT bump()::text'; CREATE CAST (mood AS text) WITH FUNCTION as_text(mood) AS IMPLICIT", "SELECT soundex(m) FROM moody"),
]


BOTH = ({}, {"hidden_code_check": 0})


def behind_relay(ctx, **settings):
    """A proxy that hears of no write while relay.stall("stream") holds, and a reader and a caller of it."""
    relay = Relay(ctx.pg.port)
    p = ctx.cache_proxy(databases={ctx.db: ctx.server(port=relay.port)}, default_pool_size=8, max_staleness="2s", **settings)
    return relay, p, ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))


def test_no_barrier(ctx):
    """Who calls what is known to write nothing costs others none of their hits."""
    ctx.sql(SETUP + WRITERS)
    for settings in BOTH:
        relay, p, c, w = behind_relay(ctx, **settings)
        for sql in HARMLESS:
            def alone(s=sql):
                ctx.wait_hit(p, lambda: c.query(OTHER))
                relay.stall("stream")
                assert w.ask(query(s)).errors == []
                hit = ctx.hits(p, lambda: c.query(OTHER))
                relay.flow("stream")
                return hit
            p.wait(alone, f"that {sql} raises no barrier")
        p.stop()
        relay.close()


def writers(ctx, **settings):
    ctx.sql(SETUP + WRITERS)
    relay, p, c, w = behind_relay(ctx, **settings)
    read = lambda: int(c.value("SELECT n FROM twin WHERE id = 1"))  # noqa: E731
    for _ in range(2):
        for sql in HARMLESS:
            w.query(sql)
    for made in (MADE[:-1], MADE[-1:]): # beside such a cast nothing is believed
        for change, _ in made:
            ctx.sql(change)
        time.sleep(2.2)
        for n in range(3):
            for _, sql in made:
                before = ctx.wait_hit(p, read)
                ctx.wait_hit(p, lambda: c.query(OTHER))
                relay.stall("stream")
                for text in ("BEGIN", sql, "COMMIT") if n == 2 else (sql,):
                    assert w.ask(query(text)).errors == [], text
                assert read() > before, f"{sql} {n}"
                assert ctx.hits(p, lambda: c.query(OTHER)) == 0, f"{sql} {n}"
                relay.flow("stream")
    p.stop()
    relay.close()


def test_writers(ctx):
    """Who may write does raise one, whatever its name: the next read sees the row."""
    writers(ctx)


def test_writers_alone(ctx):
    """Also where nobody asks for code that is not named."""
    writers(ctx, hidden_code_check=0)


def test_made_on_the_way(ctx):
    """By the transaction that calls it, or just before, through the proxy."""
    ctx.sql(SETUP + WRITERS + "GRANT ALL ON SCHEMA public TO app")
    p = ctx.cache_proxy(default_pool_size=8, hidden_code_check=0)
    c, w, v = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    read = lambda: int(c.value("SELECT n FROM twin WHERE id = 1"))  # noqa: E731
    make = "CREATE FUNCTION dmetaphone(int) RETURNS int LANGUAGE sql AS 'SELECT bump()'"
    for turn in range(12):
        w.query("SELECT dmetaphone('x')")
        ctx.wait_hit(p, read)
        before = read()
        if turn % 3 == 0:
            w.ask(query("BEGIN; " + make)).check()
            w.query("SELECT dmetaphone(1)")
            w.query("COMMIT")
        elif turn % 3 == 1:
            w.query(make)
            v.query("SELECT dmetaphone(1)")
        else:
            w.ask(query("BEGIN")).check()
            w.query("SELECT dmetaphone('x')")
            v.query(make)
            w.query("SELECT dmetaphone(1) FROM pt")
            w.query("COMMIT")
        assert read() > before, turn
        w.query("DROP FUNCTION dmetaphone(int)")


# Tables to which writes run more than the text says; and what their rows are.
STORED = """
CREATE TABLE seen(n int); GRANT ALL ON seen TO app;
CREATE FUNCTION noted(text) RETURNS text LANGUAGE sql AS 'UPDATE twin SET n = n + 1; SELECT $1'; CREATE FUNCTION noted(int) RETURNS bool LANGUAGE sql AS 'UPDATE twin SET n = n + 1; SELECT true';
CREATE DOMAIN mail AS text CHECK (VALUE ~ '@'); CREATE DOMAIN work AS mail CHECK (length(VALUE) > 3); CREATE DOMAIN ci AS citext NOT NULL CHECK (VALUE <> 'x'); CREATE DOMAIN few AS int CHECK (VALUE < 999999);
CREATE DOMAIN writes AS int CHECK (noted(VALUE)); CREATE DOMAIN writes2 AS writes; CREATE DOMAIN makes AS text DEFAULT noted('x'); CREATE DOMAIN queries AS text CHECK (length(query_to_xml('SELECT bump()', true, true, '')::text) > 0 OR VALUE = '');
CREATE DOMAIN within AS int CHECK ((VALUE::writes)::int > 0); CREATE DOMAIN several AS writes[]; CREATE DOMAIN later AS text;
CREATE TABLE q1(id uuid DEFAULT uuid_generate_v4(), n int); CREATE TABLE q2(id uuid DEFAULT public.gen_random_uuid(), n int); CREATE TABLE q3(n int, m work DEFAULT 'a@bcd', c ci DEFAULT 'y', f few DEFAULT 3); CREATE TABLE q4(n int, CHECK (similarity(n::text, 'x') < 2));
CREATE TABLE w1(n writes); CREATE TABLE w2(n writes2); CREATE TABLE w3(n int, m makes); CREATE TABLE w4(n int, m text DEFAULT noted('x')); CREATE TABLE w5(n int CHECK (noted(n))); CREATE TABLE w6(n int, m queries DEFAULT 'x'); CREATE TABLE w7(n within);
CREATE TABLE w8(n int, m several DEFAULT '{1}'); CREATE TABLE w9(n int, m later DEFAULT 'x');
CREATE DOMAIN evil AS text CHECK (noted(VALUE) <> ''); CREATE DOMAIN hidden AS text CHECK (CAST('{' || VALUE || '}' AS evil[]) IS NOT NULL); CREATE TYPE pair AS (a evil);
CREATE TABLE w10(n int, m hidden DEFAULT 'x'); CREATE TABLE w11(n int, m text DEFAULT 'x' CHECK (CAST('{' || m || '}' AS evil[]) IS NOT NULL)); CREATE TABLE w12(n int, m pair DEFAULT ROW('x')); GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
"""


def stored(ctx, **settings):
    ctx.sql(SETUP + WRITERS + STORED)
    relay, p, c, w = behind_relay(ctx, **settings)
    read = lambda: int(c.value("SELECT n FROM twin WHERE id = 1"))  # noqa: E731

    def hits_after(table):
        ctx.wait_hit(p, read)
        ctx.wait_hit(p, lambda: c.query(OTHER))
        relay.stall("stream")
        before = read()
        w.query(f"INSERT INTO {table}(n) VALUES (1)")
        hits, after = ctx.hits(p, lambda: c.query(OTHER)), read()
        relay.flow("stream")
        return hits, after - before
    for table in ("q1", "q2", "q3", "q4", "w9"):
        p.wait(lambda t=table: hits_after(t) == (1, 0), f"that a write to {table} raises no barrier")
    for table in ("w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w10", "w11", "w12") * 2:
        hits, more = hits_after(table)
        assert hits == 0 and (more > 0 or table == "w8"), f"{table}: {hits} {more}"
    ctx.sql("ALTER DOMAIN later ADD CHECK (noted(VALUE) <> '')") # the type's own row stays as it is
    time.sleep(2.2)
    assert hits_after("w9")[1] > 0
    relay.close()


def test_stored(ctx):
    """Defaults, checks and domains: of writes to such tables those raise a barrier that may write."""
    stored(ctx)


def test_stored_alone(ctx):
    """Also where nobody asks for code that is not named."""
    stored(ctx, hidden_code_check=0)


# Casts in a statement's own text: those that run a check which writes, and those that run nothing of the kind.
CASTS_THAT_WRITE = ["SELECT 'x'::evil", "SELECT CAST(name AS public.evil) FROM t WHERE id = 1", "SELECT '{x}'::evil[]", "SELECT '(x)'::pair", "SELECT 'x'::hidden", "SELECT (SELECT $$x$$::evil)", "INSERT INTO seen VALUES (length('x'::evil))",
                    "UPDATE t SET n = 1 WHERE id = 2 AND name::evil IS NOT NULL", "PREPARE p AS SELECT $1::text; EXECUTE p('x'::evil); DEALLOCATE p",
                    "SELECT * FROM json_to_record('{\"a\": \"x\"}') AS r(b mail, a evil)", "SELECT * FROM ROWS FROM (json_to_recordset('[{\"a\": \"x\"}]') AS (a evil)) r"]
QUIET_CASTS = ["SELECT 'a@b'::mail", "SELECT 'a=>1'::hstore", "SELECT name::citext FROM t", "SELECT 't'::regclass", "INSERT INTO seen VALUES ('3'::few)", "SELECT 'a@bcd'::public.work", "SELECT id::few FROM t"]


def casts(ctx, **settings):
    ctx.sql(SETUP + WRITERS + STORED)
    relay, p, c, w = behind_relay(ctx, **settings)
    read = lambda: int(c.value("SELECT n FROM twin WHERE id = 1"))  # noqa: E731

    def hits_after(sql):
        before = ctx.wait_hit(p, read)
        ctx.wait_hit(p, lambda: c.query(OTHER))
        relay.stall("stream")
        for text in ("BEGIN", "INSERT INTO seen VALUES (1)", sql, "COMMIT"): # it writes in any case, so a barrier stays
            w.ask(query(text)).check()
        hits, after = ctx.hits(p, lambda: c.query(OTHER)), read()
        relay.flow("stream")
        return hits, after - before
    for sql in QUIET_CASTS:
        p.wait(lambda s=sql: hits_after(s) == (1, 0), f"that {sql} raises no barrier")
    for sql in CASTS_THAT_WRITE * 3:
        hits, more = hits_after(sql)
        assert hits == 0 and more > 0, f"{sql}: {hits} {more}"
    relay.close()
    p.stop()
    if settings:
        made_of_another(ctx)


def made_of_another(ctx):
    """A domain that is made of one that was there, directly: nothing but its own row tells of it."""
    p = ctx.cache_proxy(default_pool_size=8, max_staleness="60ms", hidden_code_check=0)
    c, w = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    read = lambda: int(c.value("SELECT n FROM twin WHERE id = 1"))  # noqa: E731
    ctx.sql("CREATE DOMAIN mine AS text")
    for _ in range(3):
        w.query("SELECT 'x'::mine")
        ctx.wait_hit(p, read)
    ctx.sql("DROP DOMAIN mine; CREATE DOMAIN mine AS evil")
    time.sleep(0.3)
    before = ctx.wait_hit(p, read)
    w.query("SELECT 'x'::mine")
    assert read() > before


def test_casts(ctx):
    """A cast to a domain runs its check: what that writes is seen."""
    casts(ctx)


def test_casts_alone(ctx):
    """Also where nobody asks for code that is not named."""
    casts(ctx, hidden_code_check=0)
