# SPDX-License-Identifier: Apache-2.0
"""What ORMs write around dates, enums, zones and JSON: it is answered from memory, and as PostgreSQL would have answered it, before and
after writes, in every zone, and with words like 'now' among the texts."""
import random
import re
import time

from pgwire import query, unit

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE t(id int PRIMARY KEY, at timestamptz, ts timestamp, d date, ti time, tis time[], word text, m mood, doc jsonb, q tsvector);
CREATE TABLE names(id int PRIMARY KEY, word text, no date);
INSERT INTO t SELECT i, '2020-01-01 UTC'::timestamptz + i * interval '5 hours', '2020-02-01'::timestamp + i * interval '7 hours', date '2020-01-01' + i, time '10:00' + i * interval '1 hour', '{10:00}',
    (ARRAY['now', 'today', '2020-01-01'])[1 + i % 3], (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood, jsonb_build_array(jsonb_build_object('a', i, 'b', 'now', 'c', jsonb_build_array(i))), 'a b' FROM generate_series(1, 9) i;
INSERT INTO names VALUES (1, 'today', '2020-01-01'), (2, 'now', NULL);
CREATE TABLE named(k name PRIMARY KEY, v int); INSERT INTO named VALUES (repeat('x', 63), 1), ('y', 1);
CREATE VIEW v AS SELECT id, at, ti, word FROM t;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
"""
# What is asked, and with which values.
HITS = [
    ('SELECT id FROM t WHERE m = CAST($1::text AS "public"."mood") ORDER BY id', ["ok"]), ("SELECT id FROM t WHERE m IN (CAST($1::text AS mood), CAST($2::varchar AS public.mood)) ORDER BY id", ["sad", "ok"]),
    ("SELECT id FROM t WHERE m = ANY (ARRAY['ok', 'sad']::mood[]) ORDER BY id", []), ("SELECT id FROM t WHERE m = ANY (ARRAY[$1, $2]::public.mood[]) ORDER BY id", ["ok", "happy"]), ("SELECT ARRAY['ok'::text]::mood[], 'sad'::text::mood FROM t", []),
    ("SELECT date(at), count(*) FROM t GROUP BY date(at) ORDER BY 1", []), ("SELECT date(ts), date(d), date(max(at)) FROM t GROUP BY 1, 2 ORDER BY 1, 2", []), ("SELECT id FROM t WHERE date(at) = '2020-01-02' ORDER BY id", []),
    ("SELECT \"timestamp\"(at), \"time\"(at), timestamptz(ts), pg_catalog.date(at) FROM t ORDER BY id", []), ("SELECT id FROM t WHERE date(at) BETWEEN $1 AND $2 ORDER BY id", ["2020-01-01", "2020-01-02"]), ("SELECT date(v.at) FROM v ORDER BY 1", []),
    ("WITH x AS (SELECT id, at FROM t) SELECT at::date FROM x ORDER BY id", []), ("WITH x AS (SELECT at AS d, word FROM t) SELECT x.d::date, date(d) FROM x ORDER BY 1", []), ("WITH x AS (SELECT * FROM t) SELECT x.at::date FROM x ORDER BY id", []),
    ("WITH x AS (SELECT date_trunc('week', at) AS w, count(*) AS n FROM t GROUP BY 1), y AS (SELECT x.* FROM x) SELECT w::date, n FROM y ORDER BY 1", []), ("SELECT s.day::date FROM (SELECT at AS day FROM t) s ORDER BY 1", []),
    ("SELECT s.day::date, t.id FROM (SELECT date_trunc('day', at) AS day, id FROM t) s JOIN t USING (id) ORDER BY t.id", []), ("SELECT (SELECT max(s.d)::date) FROM (SELECT at AS d, id FROM t) s", []),
    ("SELECT (CASE WHEN id > 3 THEN at ELSE NULL END)::date FROM t ORDER BY id", []), ("SELECT (CASE m WHEN 'ok' THEN NULL ELSE at END)::date FROM t ORDER BY id", []),
    ("SELECT day::date, count(t.id) FROM generate_series($1::timestamp, $2::timestamp, '1 day') AS day LEFT JOIN t ON date(t.ts) = day GROUP BY 1 ORDER BY 1", ["2020-02-01", "2020-02-05"]),
    ("SELECT g.day::date, t.id FROM generate_series(timestamptz '2020-01-01 00:00+00', '2020-01-03 00:00+00', '1 day') AS g(day) LEFT JOIN t ON t.at::date = g.day::date ORDER BY 1, 2", []),
    ("SELECT (at AT TIME ZONE 'Asia/Tokyo')::date, count(*) FROM t GROUP BY 1 ORDER BY 1", []), ("SELECT id, ti, at AT TIME ZONE $1 FROM t ORDER BY id", ["Europe/Berlin"]), ("SELECT DATE_TRUNC('day', at AT TIME ZONE 'UTC') AS day, ti, tis FROM t ORDER BY id", []),
    ("SELECT at AT TIME ZONE 'UTC' FROM v ORDER BY 1", []), ("SELECT *, at AT TIME ZONE 'UTC' AS utc FROM t ORDER BY id", []),
    ("SELECT t.id, r.a, r.b, r.c FROM t, jsonb_to_recordset(t.doc) AS r(a int, b text, c jsonb) ORDER BY 1", []), ("SELECT t.id, r.* FROM t JOIN json_to_recordset($1::json) AS r(id int, w varchar(3)) USING (id) ORDER BY 1", ['[{"id": 1, "w": "new"}, {"id": 2}]']),
    ("SELECT r.a, r.c FROM t, jsonb_to_record(doc -> 0) AS r(a numeric(6, 2), c int[]) ORDER BY 1", []), ("SELECT r.id, t.id FROM t, json_to_record('{\"id\": 7}') AS r(id bigint) ORDER BY 2", []),
    ("SELECT id FROM t WHERE word::name = $1::name ORDER BY id", ["2020-01-01"]), ("SELECT id FROM t WHERE q @@ 'a & b'::tsquery ORDER BY id", []), ("SELECT v FROM named WHERE k = $1::name", ["x" * 70]), ("SELECT v FROM named WHERE k = 'y'::name", []), ("SELECT word::tsvector, 'x:1'::tsvector, $1::tsquery FROM t ORDER BY id", ["a | b"]),
]
# They look much the same, but read a word, or a zone of today.
REFUSED = [
    "SELECT date(word) FROM names", "SELECT date(max(word)) FROM names", "SELECT date('today'), id FROM t", "SELECT timestamptz(word) FROM names", "SELECT date(coalesce(word, '')) FROM names", "SELECT pg_catalog.date(lower(word)) FROM names",
    "WITH x AS (SELECT word AS at FROM names) SELECT at::date FROM x", "WITH x AS (SELECT word AS at FROM names) SELECT date(x.at) FROM x, t", "WITH x AS (SELECT * FROM names) SELECT x.word::date FROM x", "SELECT x.at::date FROM (SELECT lower(word) AS at FROM names) x",
    "WITH a AS (SELECT word AS no FROM names), names AS (SELECT no AS word FROM public.names) SELECT a.no::date FROM a, names", "SELECT (WITH names AS (SELECT no AS word FROM names) SELECT x.d::date FROM names LIMIT 1) FROM (SELECT word AS d FROM names) x",
    "WITH x(at) AS (SELECT word FROM names) SELECT x.at::date FROM x, t", "WITH x AS (SELECT word FROM names UNION ALL SELECT word FROM names) SELECT word::date FROM x", "SELECT (CASE WHEN id > 0 THEN word END)::date FROM names", "SELECT (SELECT word::date FROM names LIMIT 1) FROM (SELECT at AS word FROM t) q",
    "SELECT g.d::date FROM unnest(ARRAY['to' || 'day']) AS g(d), t", "SELECT g.d::date FROM t, lower('TO' || 'DAY') AS g(d)", "SELECT r.b::date FROM t, jsonb_to_recordset(doc) AS r(b text)", "SELECT r.b FROM t, jsonb_to_recordset('[{\"b\": \"now\"}]') AS r(b timestamptz)",
    "SELECT r.b FROM t, jsonb_to_recordset(jsonb_build_array(jsonb_build_object('b', 'n' || 'ow'))) AS r(b timestamptz)", "SELECT r.b FROM t, jsonb_to_record(doc -> 0) AS r(b time)", "SELECT r.word FROM t, jsonb_populate_record(NULL::names, doc -> 0) r", "SELECT r.b FROM t, jsonb_to_record('{}') AS r(b regclass)",
    "SELECT ti AT TIME ZONE 'UTC' FROM t", "SELECT x AT TIME ZONE 'UTC' FROM (SELECT ti AS x FROM t) q", "SELECT tis[1] AT TIME ZONE 'UTC', at AT TIME ZONE 'UTC' FROM t", "WITH q(a, b) AS (SELECT id, ti FROM v) SELECT b AT TIME ZONE 'UTC' FROM q", "SELECT timezone('UTC', ti) FROM v",
    "SELECT ('to' || 'day')::text::date FROM t", "SELECT ARRAY[word]::date[] FROM names", "SELECT word::text::mood FROM t WHERE false", "SELECT (word)::timestamptz FROM names",
]


def test_hits(ctx):
    """Each is a hit, in text and in binary, and says so; the answers are the server's."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    wrong = []
    for sql, values in HITS:
        for script in [unit(sql, values), unit(sql, values, binary=True)] + ([] if values else [query(sql)]):
            try:
                reply, theirs = ctx.wait_hit(p, lambda s=script: c.ask(s), timeout=2), d.ask(script)
                assert not theirs.errors and reply.raw == theirs.raw, f"{reply.rows} instead of {theirs.rows or theirs.errors}"
            except (AssertionError, TimeoutError) as error:
                wrong.append(f"{sql}: {error}; {c.ask(unit('/* pgweir: explain */ ' + sql, values)).raw[-300:]}")
                break
    assert not wrong, "\n".join(wrong)


test_hits.limit = 60


def explained(client, sql):
    """Why it is not cached, once that is known; in any case, it is a statement that PostgreSQL understands."""
    reply = client.ask(query("/* pgweir: explain */ " + sql))
    assert not reply.errors or reply.sqlstate()[:2] == "22", (sql, reply.errors)
    reason = re.search(rb"pgweir: (?:bypass \((\w+)\)|\w+)", reply.raw)
    return None if reason.group(1) == b"catalog_pending" else (reason.group(1) or reason.group(0)).decode()


def test_refused(ctx):
    """None of these is ever a hit."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query("SELECT t.id FROM t, names, v"))
    wrong = []
    for sql in REFUSED:
        try:
            said = p.wait(lambda s=sql: explained(c, s), f"what is said of {sql}", timeout=3)
            assert said in ("cast", "volatile_function"), said
            ctx.never_hit(p, lambda s=sql: (c.ask(query(s)), c.ask(unit(s))), times=3)
        except (AssertionError, TimeoutError) as error:
            wrong.append(f"{sql}: {error}")
    for sql in ("SELECT id FROM t WHERE at > $1::text::timestamptz", "SELECT date($1), id FROM t", "SELECT id FROM t WHERE d = ANY (ARRAY[$1]::date[])"):
        ctx.never_hit(p, lambda s=sql: c.ask(unit(s, ["now"])), times=5)
    assert not wrong, "\n".join(wrong)
    ctx.wait_hit(p, lambda: c.query("SELECT id FROM t"))


def test_changes(ctx):
    """In several zones, with writes through the proxy and around it, of words too."""
    ctx.sql(SETUP)
    bound = 0.06
    p = ctx.cache_proxy(max_staleness=f"{int(bound * 1000)}ms")
    c, w, d = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
    dice = random.Random(65)
    writes = ["UPDATE t SET at = at + interval '{n} hours' WHERE id = {k}", "UPDATE t SET word = 'tomorrow', m = 'happy' WHERE id = {k}", "UPDATE t SET m = 'ok', d = d + {n}, ts = ts - interval '{n} hours' WHERE id = {k}", "DELETE FROM t WHERE id = {k}",
              "INSERT INTO t(id, at, word, m, doc) VALUES ({k}, '2020-01-01 23:30+00', 'now', 'sad', '[{{\"a\": {n}, \"b\": \"today\"}}]') ON CONFLICT (id) DO UPDATE SET doc = excluded.doc, ti = '11:00'", "UPDATE named SET v = v + {n}", "UPDATE named SET v = v + {n} WHERE k = repeat('x', 63)::name", "UPDATE named SET v = v + {k} WHERE k = 'y'", "UPDATE names SET word = 'yesterday', no = '2020-01-{k}'"]
    before, refused = p.cache()["hits"], [(sql, []) for sql in REFUSED if "::date " in sql or "date(" in sql]
    for turn in range(90):
        zone = dice.choice(["UTC", "Asia/Tokyo", "America/New_York"])
        for client in (c, d):
            client.query(f"SET TimeZone = '{zone}'")
        sql = dice.choice(writes).format(n=dice.randint(1, 30), k=dice.randint(1, 9))
        if turn % 3 == 0:
            d.ask(query(sql))
            time.sleep(bound * 1.05)
        else:
            w.ask(query(sql))
        for read, values in dice.sample(HITS, 5) * 2 + dice.sample(refused, 1):
            mine, theirs = c.ask(unit(read, values)), d.ask(unit(read, values))
            assert mine.raw == theirs.raw, f"{read} after {sql}: {mine.rows or mine.errors} instead of {theirs.rows or theirs.errors}"
    assert p.cache()["hits"] > before + 60
