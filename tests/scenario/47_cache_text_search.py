# SPDX-License-Identifier: Apache-2.0
"""Text search from memory: by which configuration a text is read is in the key, and what the configurations say is
watched. Each answer is compared with PostgreSQL's."""
import time

from pgwire import query, unit

SETUP = """
CREATE TABLE docs(id int PRIMARY KEY, body text, cfg regconfig DEFAULT 'english', tsv tsvector GENERATED ALWAYS AS (to_tsvector('english', coalesce(body, ''))) STORED);
INSERT INTO docs(id, body) VALUES (1, 'The quick brown foxes jumped'), (2, 'Jumping over the lazy dogs'), (3, 'die schnellen Hunde springen'), (4, 'a fox and a dog');
CREATE TABLE plain(id int PRIMARY KEY, body text, j jsonb, q tsquery); INSERT INTO plain VALUES (1, 'foxes and dogs', '{"a": "jumping foxes"}', 'fox & dog');
CREATE INDEX ON docs USING gin (tsv); CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine TO app; GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
"""
HITS = ["SELECT id FROM plain WHERE to_tsvector('english', body) @@ to_tsquery('english', 'fox')", "SELECT id FROM plain WHERE to_tsvector(body) @@ plainto_tsquery('dogs')", "SELECT to_tsvector('simple', body) FROM plain",
        "SELECT id, ts_rank(to_tsvector('english'::regconfig, coalesce(body, '')), websearch_to_tsquery('english'::regconfig, 'fox or dog')) FROM plain", "SELECT ts_headline('english', body, phraseto_tsquery('english', 'fox')) FROM plain",
        "SELECT id FROM plain WHERE body @@ 'fox'", "SELECT id FROM plain WHERE to_tsvector('english', body) @@ q", "SELECT to_tsvector('english', j), jsonb_to_tsvector('english', j, '[\"string\"]') FROM plain",
        "SELECT id FROM plain WHERE j @@ '$.a == \"x\"'", "SELECT to_tsvector('pg_catalog.german', body) FROM plain", "SELECT setweight(to_tsvector('english', body), 'A') || to_tsvector('english', 'x') FROM plain"]
GENERATED = ["SELECT id FROM docs WHERE tsv @@ to_tsquery('english', 'fox') ORDER BY id", "SELECT id, ts_rank_cd(tsv, q) FROM docs, plainto_tsquery('english', 'dogs') q WHERE tsv @@ q ORDER BY id"]


def same(client, direct, sql, what=""):
    for script in (query(sql), unit(sql)):
        mine, theirs = client.ask(script), direct.ask(script)
        assert mine.raw == theirs.raw, f"{what}: {sql}: {mine.rows or mine.errors} instead of {theirs.rows or theirs.errors}"


def test_hits(ctx):
    ctx.sql(SETUP + "ALTER TABLE docs DROP COLUMN cfg")
    p = ctx.cache_proxy()
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    for sql in HITS + GENERATED:
        ctx.wait_hit(p, lambda s=sql: same(c, d, s))
    c2, d2 = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    for name in ("german", "simple", "pg_catalog.english"):  # others hit with theirs meanwhile
        for w in (c2, d2):
            w.query(f"SET default_text_search_config = '{name}'")
        for sql in HITS * 2:
            same(c2, d2, sql, name)
            same(c, d, sql)


def test_refused(ctx):
    """What names other things, or comes by a column."""
    ctx.sql(SETUP + "CREATE VIEW v AS SELECT id FROM plain WHERE to_tsvector('english', body) @@ to_tsquery('english', 'fox'); GRANT SELECT ON v TO app")
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for sql in ("SELECT ts_lexize('english_stem', body) FROM plain", "SELECT ts_rewrite(q, 'SELECT q, q FROM plain') FROM plain", "SELECT to_tsvector(body::regconfig, body) FROM plain WHERE id = 0", "SELECT to_tsvector(cfg, body) FROM docs",
                "SELECT id FROM v", "SELECT 'english'::regdictionary FROM plain"):
        ctx.never_hit(p, lambda s=sql: c.ask(query(s)))


CHANGES = ["ALTER TEXT SEARCH CONFIGURATION public.english ALTER MAPPING FOR asciiword WITH simple", "ALTER TEXT SEARCH DICTIONARY public.stem (StopWords = '')", "ALTER TEXT SEARCH CONFIGURATION public.english ALTER MAPPING REPLACE simple WITH public.stem",
           "ALTER TEXT SEARCH CONFIGURATION public.english DROP MAPPING FOR asciiword", "ALTER TEXT SEARCH CONFIGURATION public.english RENAME TO engl", "ALTER TEXT SEARCH CONFIGURATION public.engl SET SCHEMA mine",
           "ALTER TEXT SEARCH CONFIGURATION mine.engl RENAME TO english", "ALTER SCHEMA mine RENAME TO not_mine", "ALTER SCHEMA not_mine RENAME TO mine", "REVOKE USAGE ON SCHEMA mine FROM app", "GRANT USAGE ON SCHEMA mine TO app",
           "DROP TEXT SEARCH CONFIGURATION mine.english", "CREATE TEXT SEARCH CONFIGURATION mine.english (COPY = pg_catalog.simple)",
           "ALTER TEXT SEARCH CONFIGURATION pg_catalog.english ALTER MAPPING FOR asciiword WITH simple", "ALTER TEXT SEARCH CONFIGURATION pg_catalog.english ALTER MAPPING FOR asciiword WITH english_stem"]


def change_all(ctx, through_proxy):
    ctx.sql(SETUP + "CREATE TEXT SEARCH DICTIONARY public.stem (TEMPLATE = snowball, Language = english, StopWords = english); CREATE TEXT SEARCH CONFIGURATION public.english (COPY = pg_catalog.english)")
    p = ctx.cache_proxy(max_staleness="100ms", hidden_code_check=0)
    writer = ctx.keep((p if through_proxy else ctx.pg).connect(ctx.db, "postgres"))
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    for w in (c, d):
        w.query("SET search_path = mine, public, pg_catalog")
    reads = ["SELECT to_tsvector('english', body) FROM plain", "SELECT to_tsvector(body) FROM plain", "SELECT id FROM plain WHERE body @@ 'jumps' OR to_tsvector('pg_catalog.english', body) @@ to_tsquery('pg_catalog.english', 'fox')"]
    for change in CHANGES:
        for sql in reads:
            if not c.ask(query(sql)).errors:
                ctx.wait_hit(p, lambda s=sql: c.query(s))
        writer.query(change)
        if not through_proxy:
            time.sleep(0.11)
        for sql in reads * 2:
            same(c, d, sql, change)


def test_changes_through_proxy(ctx):
    change_all(ctx, True)


def test_changes_directly(ctx):
    change_all(ctx, False)


def test_templates_of_others(ctx):
    """A dictionary's template may be anybody's code: nothing that searches text is cached beside a configuration with one, and the reason is told."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query(HITS[0]))
    ctx.sql("CREATE TEXT SEARCH TEMPLATE other (INIT = dsimple_init, LEXIZE = dsimple_lexize); CREATE TEXT SEARCH DICTIONARY others (TEMPLATE = other);"
            "CREATE TEXT SEARCH CONFIGURATION of_others (COPY = simple); ALTER TEXT SEARCH CONFIGURATION of_others ALTER MAPPING FOR word WITH others")
    time.sleep(0.3)
    before = p.cache()["bypass_text_search"]
    ctx.never_hit(p, lambda: c.query(HITS[0]))
    assert p.cache()["bypass_text_search"] > before
    assert "text_search" in c.ask(query(HITS[0] + " /* pgweir: explain */")).notices[0]["M"]
    ctx.wait_hit(p, lambda: c.query("SELECT id FROM plain"))
