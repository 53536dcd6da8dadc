# SPDX-License-Identifier: Apache-2.0
"""Extensions whose functions and operators have the names of PostgreSQL's own: what does not use them is answered from
memory as before, what may is judged by what they do."""
from pgwire import bind, describe, execute, parse, query, sync, unit

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
