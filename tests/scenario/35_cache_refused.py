# SPDX-License-Identifier: Apache-2.0
"""What may never come from memory, does not: each statement is repeated as a hit would need it."""
import struct

from pgwire import bind, describe, execute, parse, query, sync, unit

SETUP = """
CREATE TABLE t(id int PRIMARY KEY, n int, at timestamptz, d date); INSERT INTO t VALUES (1, 1, now(), current_date);
CREATE UNLOGGED TABLE unlogged(id int PRIMARY KEY); INSERT INTO unlogged VALUES (1);
CREATE VIEW v AS SELECT * FROM t;
CREATE VIEW vnow AS SELECT id, now() AS at FROM t;
CREATE SEQUENCE s;
CREATE TABLE r(id int PRIMARY KEY, who text); INSERT INTO r VALUES (1, 'app'), (2, 'other');
ALTER TABLE r ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON r USING (who = current_user);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN age AS int CHECK (VALUE > 0);
CREATE TABLE ty(id int PRIMARY KEY, m mood, a money, x regclass); INSERT INTO ty VALUES (1, 'ok', 5, 'pg_class');
CREATE FUNCTION lies(int) RETURNS timestamptz LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN clock_timestamp(); END';
CREATE FUNCTION reads() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t';
CREATE FUNCTION eq(int, int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT $1 = $2';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = eq);
CREATE TABLE parent(id int); CREATE TABLE child() INHERITS (parent); INSERT INTO child VALUES (1);
CREATE TABLE names(id int PRIMARY KEY, word text); INSERT INTO names VALUES (1, 'today');
CREATE DOMAIN clock AS time; CREATE DOMAIN day AS date;
CREATE TABLE tm(id int PRIMARY KEY, ti time); INSERT INTO tm VALUES (1, '10:00'); CREATE VIEW vtm AS SELECT id, ti FROM tm;
CREATE TABLE tms(id int PRIMARY KEY, w clock[]); INSERT INTO tms VALUES (1, '{10:00}');
CREATE FUNCTION taxed(int) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT n FROM t WHERE id = 1) + $1; END $$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app, other; GRANT ALL ON s TO app;
"""

NEVER = [
    "SELECT id, pg_partition_root('child') FROM t", "SELECT id, regclasssend('child') FROM t", "SELECT regtypesend('mood'), regnamespacesend('public') FROM t",
    "SELECT now()", "SELECT now(), id FROM t WHERE id = 1", "SELECT current_date, id FROM t", "SELECT id, CURRENT_TIMESTAMP FROM t",
    "SELECT localtime, id FROM t", "SELECT clock_timestamp() FROM t", "SELECT random() FROM t", "SELECT id FROM t WHERE random() >= 0",
    "SELECT gen_random_uuid() FROM t", "SELECT id FROM t WHERE at < now()", "SELECT id FROM t WHERE at <= 'now'",
    "SELECT id FROM t WHERE d = 'today'", "SELECT id FROM t WHERE d < 'tomorrow'::date", "SELECT id FROM t WHERE d > date 'yesterday'",
    "SELECT id FROM t WHERE d > 'YesterDay'", "SELECT id FROM t WHERE at > ' now '", "SELECT (SELECT word FROM names WHERE id = 1)::date = d FROM t",
    "SELECT id FROM t FOR UPDATE", "SELECT id FROM t WHERE id = 1 FOR SHARE", "SELECT id FROM t FOR KEY SHARE",
    "SELECT * FROM (SELECT id FROM t FOR UPDATE) x", "SELECT count(*) FROM pg_class", "SELECT * FROM pg_stat_activity LIMIT 1",
    "SELECT count(*) FROM information_schema.tables", "SELECT count(*) FROM pg_catalog.pg_type, t", "SELECT * FROM vnow",
    "SELECT id FROM unlogged", "SELECT nextval('s')", "SELECT id, nextval('s') FROM t", "SELECT last_value FROM s",
    "SELECT lies(1) FROM t", "SELECT reads()", "SELECT id FROM t WHERE reads() > 0", "SELECT id FROM t WHERE id === 1",
    "SELECT * FROM ty", "SELECT x FROM ty", "SELECT id FROM ty WHERE x = 'pg_class'", "SELECT id FROM ty ORDER BY x",
    "SELECT current_setting('work_mem') FROM t", "SELECT inet_client_port() FROM t",
    "SELECT pg_backend_pid(), id FROM t", "SELECT txid_current() FROM t", "SELECT version() FROM t", "SELECT xmin FROM t", "SELECT ctid FROM t",
    "SELECT tableoid FROM t", "SELECT t.xmax FROM t", "SELECT id FROM t TABLESAMPLE bernoulli(100)", "SELECT to_regclass('t') FROM t",
    "SELECT 't'::regclass FROM t", "SELECT id FROM t WHERE 't'::regclass IS NOT NULL", "SELECT pg_table_size('t') FROM t",
    "SELECT pg_sleep(0) FROM t", "SELECT pg_advisory_xact_lock(1) FROM t", "SELECT query_to_xml('SELECT now()', true, true, '') FROM t",
    "SELECT age(timestamp '2020-01-01') FROM t", "SELECT has_table_privilege('t', 'SELECT') FROM t", "SELECT obj_description(1, 'pg_class') FROM t",
    "EXPLAIN SELECT id FROM t", "SHOW TimeZone", "SELECT id FROM t; SELECT n FROM t", "EXECUTE nothing", "TABLE pg_am", "SELECT 1",
    "SELECT id FROM t WHERE n = (SELECT count(*) FROM unlogged)", "WITH x AS (SELECT * FROM unlogged) SELECT * FROM x",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM vnow)", "SELECT id FROM t UNION SELECT id FROM unlogged",
    "SELECT id FROM t LEFT JOIN LATERAL (SELECT random()) q ON true", "SELECT * FROM generate_series(1, (random() * 9)::int), t",
    "SELECT id FROM t ORDER BY random()", "SELECT id FROM t GROUP BY id HAVING random() >= 0", "SELECT id FROM t LIMIT (random() * 5 + 5)::int",
    "SELECT DISTINCT ON (random()) id FROM t", "SELECT sum(id) OVER (ORDER BY random()) FROM t", "SELECT count(*) FILTER (WHERE random() > 2) FROM t",
    "SELECT CASE WHEN now() > at THEN 1 END FROM t", "SELECT ARRAY[now()] FROM t", "SELECT coalesce(NULL, now()) FROM t",
    "SELECT ROW(now()) FROM t", "SELECT string_agg(now()::text, '') FROM t", "VALUES (now())", "SELECT make_date(2020, 1, 1), now() FROM t",
    "COPY t TO STDOUT",
    # A time has the zone's offset of today.
    "SELECT ti AT TIME ZONE 'America/New_York' FROM tm", "SELECT timezone('UTC', max(ti)) FROM tm", "SELECT timezone(interval '1 hour', ti) FROM tm",
    "SELECT make_time(10, 0, 0) AT TIME ZONE 'UTC' FROM t", "SELECT '10:00'::time AT TIME ZONE 'UTC' FROM t", "SELECT (TIME '10:00') AT TIME ZONE 'UTC' FROM t",
    "SELECT w[1] AT TIME ZONE 'UTC' FROM tms", "SELECT ti AT TIME ZONE 'UTC' FROM vtm", "SELECT at::time AT TIME ZONE 'UTC' FROM t",
    "SELECT time_pl_interval('10:00', '1 hour') AT TIME ZONE 'UTC' FROM t", "SELECT (SELECT ti FROM tm) AT TIME ZONE 'UTC' FROM t",
    "SELECT ti::timetz FROM tm", "SELECT (ti).timetz FROM tm", "SELECT timetz_larger(ti, ti) FROM tm", "SELECT timetz_pl_interval('10:00', '1 hour') FROM t", "SELECT datetimetz_pl(d, '10:00') FROM t",
    "SELECT jsonb_path_exists_tz('[\"10:00:00\", \"10:00:00+02\"]', '$[0].datetime() < $[1].datetime()') FROM t",
    # A text in a row that is read as a date, whatever else has the column's name.
    "SELECT word::date FROM names", "SELECT max(word)::date FROM names", "SELECT coalesce(word, '')::date FROM names", "SELECT (word).date FROM names", "SELECT (word).day FROM names",
    "SELECT d::date FROM (SELECT word AS d FROM names) x", "SELECT x.d::date FROM t, (SELECT word AS d FROM names) x", "SELECT x.d::date FROM t JOIN names AS x(id, d) USING (id)",
    "WITH x AS (SELECT word AS d FROM names) SELECT x.d::date FROM x, t", "SELECT x.d::date FROM t, names, unnest(ARRAY[word]) x(d)",
    "SELECT j.d::date FROM (t JOIN names x(k, w) ON true) AS j(a, b, c, e, f, d)", "SELECT (SELECT d::date) FROM (SELECT word AS d FROM names) x WHERE EXISTS (SELECT d FROM t)",
    "SELECT (SELECT x.d::date FROM t LIMIT 1) FROM (SELECT word AS d FROM names) x", "SELECT d::date FROM (SELECT id, word AS d FROM names) x JOIN (SELECT id FROM t) y USING (id)",
    "SELECT date(word) FROM names", "WITH x AS (SELECT word AS d FROM names) SELECT date(x.d) FROM x", "WITH x AS (SELECT * FROM names) SELECT x.word::date FROM x", "SELECT (CASE WHEN id = 1 THEN word END)::date FROM names",
    "WITH a AS (SELECT word AS d FROM names), names AS (SELECT d AS word FROM t) SELECT a.d::date FROM a, names", "SELECT (WITH names AS (SELECT d AS word FROM t) SELECT x.k::date FROM names LIMIT 1) FROM (SELECT word AS k FROM names) x",
    "SELECT word::text::date FROM names", "SELECT r.b FROM names, json_to_record(json_build_object('b', word)) AS r(b date)", "SELECT x AT TIME ZONE 'UTC' FROM (SELECT ti AS x FROM tm) q",
    # f(x) in other words.
    "SELECT (at).age FROM t", "SELECT (t).at.age FROM t", "SELECT (n).pg_advisory_xact_lock FROM t", "SELECT t.pg_typeof FROM t",
    "SELECT g.age FROM generate_series(timestamp '2024-01-01', '2024-01-02', '1 day') g, t", "SELECT u.date FROM names, unnest(ARRAY[word]) u", "SELECT t.id, x.date FROM t, lower('TODAY') AS x",
    "SELECT g.pg_advisory_xact_lock FROM t, generate_series(7, 7) g", "SELECT (n).taxed FROM t", "SELECT g.taxed FROM t, generate_series(1, 1) g", "SELECT (t).n.taxed FROM t",
]


def test_statements(ctx):
    """None of these is ever a hit, and its answer is the server's kind of answer."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    wrong = []
    for sql in NEVER:
        def ask(sql=sql):
            c.ask(query(sql))
            if not sql.startswith(("COPY", "SELECT id FROM t; ")):
                c.ask(unit(sql))
        try:
            ctx.never_hit(p, ask, times=5)
        except AssertionError as error:
            wrong.append(f"{sql}: {error}")
    assert not wrong, "\n".join(wrong)
    # All that time, the cache was in use.
    with p.connect(ctx.db) as other:
        ctx.wait_hit(p, lambda: other.query("SELECT n FROM t WHERE id = 1"))


def test_parameters_that_are_words(ctx):
    """'now' as a parameter of a date or time type is volatile as well."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for sql, word in (("SELECT id FROM t WHERE at < $1", "now"), ("SELECT id FROM t WHERE d <= $1", "today"),
                      ("SELECT $1::timestamptz, id FROM t", "now"), ("SELECT id FROM t WHERE d < $1::date", "tomorrow"),
                      ("SELECT id, $1::text::timestamptz FROM t", "now"), ("SELECT id FROM t WHERE d > $1", " YESTERDAY ")):
        ctx.never_hit(p, lambda: c.run(sql, [word]), times=6)


def test_words_of_any_form(ctx):
    """A text is sent as binary by some drivers, whether it is cast or not; one of many in an array is short."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    array = struct.pack("!6i", 1, 0, 25, 1, 1, 65) + b"now".ljust(65)
    for sql, value, types, form in (
            ("SELECT $1::timestamptz, id FROM t", b"now", (25,), 1),
            ("WITH x AS (SELECT id FROM names WHERE word = $1) SELECT $1::timestamptz, t.id FROM t LEFT JOIN x ON true", b"now", (), 1),
            ("SELECT ($1::timestamptz[])[1], id FROM t", array, (1009,), 1),
            ("SELECT ($1::timestamptz[])[61], id FROM t", "{" + "2024-01-01," * 60 + "now}", (), 0)):
        ask = parse(sql, types=types) + bind(params=(value,), param_formats=(form,)) + describe() + execute() + sync()
        ctx.never_hit(p, lambda ask=ask: c.ask(ask).check(), times=10)


def test_declared_parameters(ctx):
    """Of a type that takes its zone from today, or that a name is looked up for."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    ctx.sql("CREATE DOMAIN zoned AS timetz; CREATE DOMAIN named AS regclass")
    TIME, TIMETZ, REGCLASS, TIMESTAMP, TEXT = 1083, 1266, 2205, 1114, 25
    ZONED, NAMED = (int(ctx.sql(f"SELECT '{name}'::regtype::oid")[0][0]) for name in ("zoned", "named"))

    def ask(sql, value, *types):
        script = parse(sql, types=types) + bind(params=[value]) + describe() + execute() + sync()
        return c.ask(script).check()
    for sql, value, of in (("SELECT $1 AT TIME ZONE 'America/New_York' FROM t", "10:00", TIME), ("SELECT id FROM tm WHERE ti <= $1", "10:00+00", TIMETZ),
                           ("SELECT id FROM tm WHERE ti <= $1", "10:00+00", ZONED), ("SELECT id FROM t WHERE n <> $1", "t", NAMED),
                           ("SELECT id FROM t WHERE n <> $1", "t", REGCLASS), ("SELECT timezone('UTC', $1) FROM t", "10:00", TIMETZ)):
        ctx.never_hit(p, lambda: ask(sql, value, of), times=6)
    for sql, value, of in (("SELECT $1 AT TIME ZONE 'America/New_York' FROM t", "2020-01-01 10:00", TIMESTAMP), ("SELECT $1 AT TIME ZONE 'UTC' FROM t", "2020-01-01 10:00", 0),
                           ("SELECT at AT TIME ZONE $1 FROM t", "UTC", TEXT), ("SELECT id FROM tm WHERE ti <= $1", "10:00", TIME)):
        ctx.wait_hit(p, lambda: ask(sql, value, of))


def test_row_security(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    a, o = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "other"))
    for _ in range(10):
        assert a.query("SELECT id FROM r").rows == [("1",)]
        assert o.query("SELECT id FROM r").rows == [("2",)]
    # A policy that reads a setting of the session.
    ctx.sql("CREATE TABLE tenants(id int PRIMARY KEY, tenant text); INSERT INTO tenants VALUES (1, 'a'), (2, 'b');"
            "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; GRANT ALL ON tenants TO app;"
            "CREATE POLICY p ON tenants USING (tenant = current_setting('app.tenant', true))")
    x, y = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    x.query("SET app.tenant = 'a'")
    y.query("SET app.tenant = 'b'")
    for _ in range(10):
        assert x.query("SELECT id FROM tenants").rows == [("1",)]
        assert y.query("SELECT id FROM tenants").rows == [("2",)]
        assert a.query("SELECT id FROM tenants").rows == []


def test_temp_table_in_the_way(ctx):
    """A temp table hides the cached one, for its owner alone."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    read = "SELECT n FROM t WHERE id = 1"
    ctx.wait_hit(p, lambda: c.query(read))
    c.query("CREATE TEMP TABLE t AS SELECT 1 AS id, 99 AS n")
    for _ in range(10):
        assert c.value(read) == "99"
        assert other.value(read) == "1"
    c.query("DROP TABLE pg_temp.t")
    assert c.value(read) == "1"


def test_errors_are_not_kept(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for sql in ("SELECT n / 0 FROM t WHERE id = 1", "SELECT nope FROM t", "SELECT id FROM missing"):
        ctx.never_hit(p, lambda: c.ask(query(sql)))
        assert c.ask(query(sql)).errors
    ctx.sql("CREATE TABLE missing(id int PRIMARY KEY); GRANT ALL ON missing TO app")
    assert c.query("SELECT id FROM missing").rows == []


def test_session_with_state(ctx):
    """After a SET that is not followed, a role, or a search_path: nothing of others is served."""
    ctx.sql(SETUP + "CREATE SCHEMA alt; CREATE TABLE alt.t(id int PRIMARY KEY, n int); INSERT INTO alt.t VALUES (1, 1000);"
            "GRANT USAGE ON SCHEMA alt TO app; GRANT SELECT ON alt.t TO app; GRANT other TO app; REVOKE ALL ON t FROM other")
    p = ctx.cache_proxy()
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    read = "SELECT n FROM t WHERE id = 1"
    ctx.wait_hit(p, lambda: other.query(read))
    c.query("SET search_path = alt")
    for _ in range(6):
        assert c.value(read) == "1000"
        assert other.value(read) == "1"
    c.query("RESET search_path")
    for _ in range(6):
        assert c.value(read) == "1"
    c.query("SET ROLE other")
    for _ in range(6):
        assert c.ask(query(read)).sqlstate() == "42501"
    c.query("RESET ROLE")
    assert c.value(read) == "1"
    c.query("SET extra_float_digits = -5; SET bytea_output = 'escape'")
    for _ in range(6):
        assert c.query("SELECT '\\x00ff'::bytea, 0.123456789123::float8 FROM t").rows == [("\\000\\377", "0.1234567891")]
    c.query("BEGIN; SET LOCAL search_path = alt")
    assert c.value(read) == "1000"
    c.query("COMMIT")
    assert c.value(read) == "1"
