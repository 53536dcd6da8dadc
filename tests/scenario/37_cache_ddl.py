# SPDX-License-Identifier: Apache-2.0
"""DDL and privileges end entries: at once through the proxy, within max_staleness directly."""
import time

from day import of_the_day
from pgwire import query, unit
from proxy import CACHE_SETTINGS

SETUP = """
CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old'); GRANT SELECT ON t TO other;
CREATE TABLE t2(id int PRIMARY KEY, v text); INSERT INTO t2 VALUES (1, 'swapped'); GRANT SELECT ON t2 TO other;
CREATE SCHEMA other AUTHORIZATION other; GRANT ALL ON SCHEMA other TO app;
ALTER TABLE t OWNER TO app; ALTER TABLE t2 OWNER TO app; GRANT ALL ON SCHEMA public TO app;
"""
READ = "SELECT * FROM t WHERE id = 1"

# name: (statements that change, what a reader ("other") has then)
CHANGES = {
    "add column": ("ALTER TABLE t ADD COLUMN n int DEFAULT 7", [("1", "old", "7")]),
    "drop column": ("ALTER TABLE t DROP COLUMN v", [("1",)]),
    "rename column": ("ALTER TABLE t RENAME COLUMN v TO w", [("1", "old")]),
    "change type": ("ALTER TABLE t ALTER COLUMN v TYPE varchar(2) USING substr(v, 1, 2)", [("1", "ol")]),
    "drop table": ("DROP TABLE t", "42P01"),
    "rename table": ("ALTER TABLE t RENAME TO t_old", "42P01"),
    "swap tables": ("BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE t2 RENAME TO t; COMMIT", [("1", "swapped")]),
    "swap after a write": ("BEGIN; UPDATE t2 SET v = 'both'; ALTER TABLE t RENAME TO t_old; ALTER TABLE t2 RENAME TO t; COMMIT",
                           [("1", "both")]),
    "replace table": ("BEGIN; DROP TABLE t; CREATE TABLE t AS SELECT 1 AS id, 'made'::text AS v; GRANT SELECT ON t TO other; COMMIT",
                      [("1", "made")]),
    "shadow": ("BEGIN; CREATE TABLE other.t AS SELECT 1 AS id, 'shadow'::text AS v; GRANT SELECT ON other.t TO other; COMMIT",
               [("1", "shadow")]),
    "to a view": ("BEGIN; ALTER TABLE t RENAME TO base; CREATE VIEW t AS SELECT id, 'view'::text AS v FROM base; GRANT SELECT ON t TO other; COMMIT",
                  [("1", "view")]),
    "set schema": ("ALTER TABLE t SET SCHEMA other; ", [("1", "old")]),
    "revoke": ("REVOKE SELECT ON t FROM other", "42501"),
    "revoke a column": ("BEGIN; REVOKE SELECT ON t FROM other; GRANT SELECT (id) ON t TO other; COMMIT", "42501"),
    "row security": ("BEGIN; CREATE POLICY none ON t FOR SELECT USING (false); ALTER TABLE t ENABLE ROW LEVEL SECURITY; COMMIT", []),
    "rewrite": ("ALTER TABLE t ALTER COLUMN id TYPE bigint", [("1", "old")]),
}


def check(ctx, name, direct):
    ctx.sql(SETUP)
    change, want = CHANGES[name]
    p = ctx.cache_proxy()
    r = ctx.keep(p.connect(ctx.db, "other"))
    ctx.wait_hit(p, lambda: r.query(READ))
    ctx.wait_hit(p, lambda: r.run(READ))
    if direct:
        with ctx.pg.connect(ctx.db, "app") as d:
            for sql in change.split("; "):
                if sql:
                    d.query(sql)
        acknowledged = time.monotonic()
        while time.monotonic() - acknowledged <= 0.25:
            r.ask(query(READ))
    else:
        w = ctx.keep(p.connect(ctx.db, "app"))
        for sql in change.split("; "):
            if sql:
                w.query(sql)
    for _ in range(8):
        for script in (query(READ), unit(READ)):
            reply = r.ask(script)
            if isinstance(want, str):
                assert reply.sqlstate() == want, (name, reply.rows, reply.errors)
            else:
                assert not reply.errors and reply.rows == want, (name, reply.rows, reply.errors)
        time.sleep(0.01)
    # The names of the columns, too, are the new ones.
    if not isinstance(want, str):
        with ctx.pg.connect(ctx.db, "other") as d:
            assert r.ask(unit(READ)).raw == d.ask(unit(READ)).raw
    if name == "row security":
        w = ctx.keep(p.connect(ctx.db, "app"))
        assert w.query(READ).rows == [("1", "old")]


def run_all(ctx, direct, parts=2):
    wrong = []
    for name in of_the_day(CHANGES, parts, direct):
        try:
            check(ctx, name, direct)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
        for p in ctx.proxies:
            p.stop()
        ctx.open_things.clear()
        # The next change begins with a new database under the same name.
        ctx.drop(ctx.db)
        ctx.databases.clear()
    assert not wrong, "\n".join(wrong)


def test_through_proxy(ctx):
    run_all(ctx, direct=False)


def test_direct(ctx):
    run_all(ctx, direct=True)


test_through_proxy.limit = test_direct.limit = 90


def test_role_membership(ctx):
    """A privilege that comes by way of another role, and goes with it."""
    ctx.sql(SETUP + "DROP ROLE IF EXISTS team; CREATE ROLE team; GRANT team TO srv_trust; GRANT SELECT ON t TO team")
    try:
        p = ctx.cache_proxy()
        r = ctx.keep(p.connect(ctx.db, "srv_trust"))
        ctx.wait_hit(p, lambda: r.query(READ))
        ctx.sql("REVOKE team FROM srv_trust")
        acknowledged = time.monotonic()
        while time.monotonic() - acknowledged <= 0.25:
            r.ask(query(READ))
        for _ in range(8):
            assert r.ask(query(READ)).sqlstate() == "42501"
    finally:
        ctx.sql("DROP OWNED BY team; DROP ROLE team")


def test_roles_of_another_database(ctx):
    """Roles are there once for all databases: what is done to them through one counts for the others, at once."""
    ctx.sql("DROP ROLE IF EXISTS team; CREATE ROLE team")
    ctx.sql(SETUP + "GRANT team TO srv_trust; GRANT SELECT ON t TO team; ALTER ROLE other BYPASSRLS;"
            "CREATE TABLE s(id int PRIMARY KEY); INSERT INTO s VALUES (1); GRANT SELECT ON s TO other; CREATE POLICY none ON s USING (false); ALTER TABLE s ENABLE ROW LEVEL SECURITY")
    second = ctx.new_database()
    try:
        p = ctx.cache_proxy(databases={ctx.db: ctx.server(), second: ctx.server(dbname=second)}, max_staleness="10s")
        w = ctx.keep(p.connect(second, "postgres"))
        for user, read, change, back, want in [
                ("srv_trust", READ, "REVOKE team FROM srv_trust", "GRANT team TO srv_trust", "42501"),
                ("srv_trust", READ, "SELECT 1; ALTER ROLE srv_trust NOINHERIT", "ALTER ROLE srv_trust INHERIT", "42501"),
                ("other", "SELECT id FROM s", "ALTER ROLE other NOBYPASSRLS", "ALTER ROLE other BYPASSRLS", None)]:
            r = ctx.keep(p.connect(ctx.db, user))
            for _ in range(3):
                ctx.wait_hit(p, lambda: r.query(read))
                w.query(change)
                for _ in range(5):
                    reply = r.ask(query(read))
                    assert reply.sqlstate() == want and not reply.rows, (change, reply.rows, reply.errors)
                w.query(back)
    finally:
        ctx.sql("ALTER ROLE other NOBYPASSRLS; ALTER ROLE srv_trust INHERIT; DROP OWNED BY team; DROP ROLE team")


def test_prepared_transaction(ctx):
    """What another client's prepared transaction did to privileges counts once it is committed."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(max_staleness="10s")
    r, w, other = ctx.keep(p.connect(ctx.db, "other")), ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for n in range(8):
        ctx.wait_hit(p, lambda: r.query(READ))
        w.query("BEGIN")
        w.query("REVOKE SELECT ON t FROM other")
        w.query(f"PREPARE TRANSACTION '{ctx.db}{n}'")
        ctx.wait_hit(p, lambda: r.query(READ))
        (w if n % 2 else other).query(f"COMMIT PREPARED '{ctx.db}{n}'")
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            assert r.ask(query(READ)).sqlstate() == "42501", n
        w.query("GRANT SELECT ON t TO other")


def test_schema_privilege(ctx):
    """USAGE of the schema is a privilege of the read as well."""
    ctx.sql("CREATE SCHEMA closed; CREATE TABLE closed.t(id int PRIMARY KEY); INSERT INTO closed.t VALUES (1);"
            "GRANT USAGE ON SCHEMA closed TO other; GRANT SELECT ON closed.t TO other")
    p = ctx.cache_proxy()
    r = ctx.keep(p.connect(ctx.db, "other"))
    ctx.wait_hit(p, lambda: r.query("SELECT id FROM closed.t"))
    ctx.sql("REVOKE USAGE ON SCHEMA closed FROM other")
    acknowledged = time.monotonic()
    while time.monotonic() - acknowledged <= 0.25:
        r.ask(query("SELECT id FROM closed.t"))
    for _ in range(8):
        assert r.ask(query("SELECT id FROM closed.t")).sqlstate() == "42501"


def test_function_captures_a_builtin(ctx):
    """A new overload may take the place of an immutable builtin."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v varchar); INSERT INTO t VALUES (1, 'Old'); GRANT SELECT ON t TO PUBLIC")
    p = ctx.cache_proxy()
    r = ctx.keep(p.connect(ctx.db))
    read = "SELECT lower(v) FROM t WHERE id = 1"
    for _ in range(10):
        assert r.value(read) == "old"
        time.sleep(0.005)
    # lower(varchar) is a better match than pg_catalog.lower(text).
    ctx.sql("CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT 'captured' $$")
    assert ctx.sql(read, user="app") == [("captured",)]
    time.sleep(0.3)
    for _ in range(10):
        assert r.value(read) == "captured"
        time.sleep(0.005)


def test_ddl_in_a_loop(ctx):
    """A table is replaced over and over, directly, while it is read."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, '0'); GRANT SELECT ON t TO PUBLIC")
    p = ctx.cache_proxy()
    r = ctx.keep(p.connect(ctx.db))
    for n in range(1, 8):
        ctx.wait_hit(p, lambda: r.query("SELECT v FROM t WHERE id = 1"))
        ctx.sql(f"BEGIN; DROP TABLE t; CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, '{n}'); "
                "GRANT SELECT ON t TO PUBLIC; COMMIT")
        acknowledged = time.monotonic()
        while True:
            began = time.monotonic()
            if r.value("SELECT v FROM t WHERE id = 1") == str(n):
                break
            assert began - acknowledged <= 0.25


# ---- what is not a relation's


RELOADED = {  # setting: (value, read)
    "extra_float_digits": ("-5", "SELECT f FROM s WHERE id = 1"),
    "bytea_output": ("escape", "SELECT b FROM s WHERE id = 1"),
    "timezone": ("America/New_York", "SELECT z FROM s WHERE id = 1"),
    "search_path": ("aside", "SELECT v FROM t WHERE id = 1"),
}


def test_configuration_reloaded(ctx):
    """A default that changes in sessions that are open: what they answer is the server's new answer."""
    ctx.sql(SETUP + "CREATE SCHEMA aside; GRANT USAGE ON SCHEMA aside TO other; CREATE TABLE aside.t AS SELECT 1 AS id, 'there'::text AS v;"
            "GRANT SELECT ON aside.t TO other; CREATE TABLE s(id int PRIMARY KEY, f float8, b bytea, z timestamptz);"
            "INSERT INTO s VALUES (1, 1 / 3.0, '\\x01', '2020-01-01 00:00+00'); GRANT ALL ON s TO PUBLIC")
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db, "other"))
    for setting, (value, read) in RELOADED.items():
        before = ctx.wait_hit(p, lambda sql=read: c.value(sql))
        try:
            ctx.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
            ctx.sql("SELECT pg_reload_conf()")
            p.wait(lambda sql=read, old=before: ctx.sql(sql, user="other")[0][0] != old, f"the server to have read {setting}")
            p.wait(lambda sql=read, old=before: c.value(sql) != old, f"another answer than {before} ({setting})")
            hit = ctx.wait_hit(p, lambda sql=read: c.value(sql))
            assert hit == c.value("/* pgweir: nocache */ " + read), (setting, hit)
        finally:
            ctx.sql(f"ALTER SYSTEM RESET {setting}")
            ctx.sql("SELECT pg_reload_conf()")
        c = ctx.keep(p.connect(ctx.db, "other"))
        p.wait(lambda sql=read, old=before: c.value(sql) == old, f"{before} again ({setting})")


READ_AT = "SELECT at FROM s WHERE id = 1"
SETUP_AT = "CREATE TABLE s(id int PRIMARY KEY, at timestamptz); INSERT INTO s VALUES (1, '2020-01-01 00:00+00'); GRANT ALL ON s TO PUBLIC"


def test_time_zone_reloaded(ctx):
    """A server tells of its new time zone in front of an answer: that is none for those who have the old one."""
    ctx.sql(SETUP_AT)
    p = ctx.cache_proxy(default_pool_size=2, hidden_code_check=0)
    a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    for sql in ("BEGIN; SELECT 1", "COMMIT"):
        for w in (a, b):  # each has one of the servers
            w.query(sql)
    before, zone = ctx.wait_hit(p, lambda: a.value(READ_AT)), a.value("SHOW TimeZone")
    try:
        ctx.pg.configure(timezone="Asia/Tokyo")
        a.query("BEGIN; SELECT 1")
        b.query(READ_AT)  # on the other one, which has not read it yet
        a.query("COMMIT")
        c.query(f"SET TimeZone = '{zone}'")
        assert [c.value(READ_AT) for _ in range(3)] == [before] * 3
        assert ctx.wait_hit(p, lambda: c.value(READ_AT)) == before
    finally:
        ctx.pg.configure(timezone=None)


def test_time_zone_reloaded_in_session_mode(ctx):
    """Who has not set one gets the new one, and is told, whatever the server was asked first."""
    ctx.sql(SETUP_AT)
    p = ctx.cache_proxy(pool_mode="session", hidden_code_check=0)
    a, b, d = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db)), ctx.direct("app")
    zone = a.value("SHOW TimeZone")
    b.query(f"SET TimeZone = '{zone}'")
    before = d.value(READ_AT)
    for w in (a, b):
        assert ctx.wait_hit(p, lambda w=w: w.value(READ_AT)) == before
    try:
        ctx.pg.configure(timezone="Asia/Tokyo")
        after = d.value(READ_AT)
        assert after != before
        for _ in range(3):
            assert [w.value(READ_AT) for w in (a, b)] == [after, before]
        assert a.parameters["TimeZone"] == "Asia/Tokyo"
        for w, want in ((a, after), (b, before)):
            assert ctx.wait_hit(p, lambda w=w: w.value(READ_AT)) == want
    finally:
        ctx.pg.configure(timezone=None)


def test_time_zone_reloaded_before_a_login_in_session_mode(ctx):
    """Who comes gets a server that tells of it only when it is asked for itself, in front of the client's answer."""
    ctx.sql(SETUP_AT)
    p = ctx.cache_proxy(pool_mode="session", hidden_code_check=0, default_pool_size=12)
    a, d = ctx.keep(p.connect(ctx.db)), ctx.direct("app")
    zone, before = a.value("SHOW TimeZone"), d.value(READ_AT)
    others = [ctx.keep(p.connect(ctx.db)) for _ in range(4)]
    for w in others:
        w.query("SELECT 1")
    for w in others:
        w.close()
    p.wait(lambda: int(p.pool(ctx.db)["sv_idle"]) + int(p.pool(ctx.db)["sv_used"]) > 0, "a server that nobody has")
    try:
        ctx.pg.configure(timezone="Asia/Tokyo")
        after = d.value(READ_AT)
        ctx.wait_hit(p, lambda: a.value(READ_AT))  # what sessions look like now is known
        for n in range(4):
            read = f"{READ_AT} AND {n} = {n}"
            comes, old = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
            said = comes.value(read)  # by the time zone that it has been told, whichever that is
            assert said == (after if comes.parameters["TimeZone"] == "Asia/Tokyo" else before)
            old.query(f"SET TimeZone = '{zone}'")
            assert [old.value(read) for _ in range(3)] == [before] * 3
            assert ctx.wait_hit(p, lambda w=old, sql=read: w.value(sql)) == before
    finally:
        ctx.pg.configure(timezone=None)


def test_owner_of_the_database(ctx):
    """He alone is a member of pg_database_owner, and no row of pg_auth_members says so."""
    ctx.sql("CREATE TABLE o(n int); INSERT INTO o VALUES (1); GRANT SELECT ON o TO pg_database_owner;"
            f"ALTER DATABASE {ctx.db} OWNER TO other")
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db, "other"))
    assert ctx.wait_hit(p, lambda: c.value("SELECT n FROM o")) == "1"
    ctx.sql(f"ALTER DATABASE {ctx.db} OWNER TO postgres")
    p.wait(lambda: c.ask(query("SELECT n FROM o")).sqlstate() == "42501", "the refusal")


def test_numbers_that_become_text(ctx):
    """Casts as of old, by which a text beside a number means several operators: none of our own questions fails by them, and reads are
    hits again once they are gone."""
    types = ("int2", "int4", "int8", "oid", "float8", "numeric", "timestamptz")
    ctx.sql("".join(f"CREATE CAST ({of} AS text) WITH INOUT AS IMPLICIT;" for of in types) +
            "CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'); CREATE VIEW w AS SELECT id, v FROM t; GRANT SELECT ON t, w TO app")
    p = ctx.proxy(**CACHE_SETTINGS)
    c = ctx.keep(p.connect(ctx.db))
    read = "SELECT v FROM w WHERE id = 1"
    p.wait_log("cache of .* is on")
    for _ in range(20):
        assert c.value(read) == "a"
        time.sleep(0.05)
    assert "control connection was lost" not in p.log(), p.log()
    ctx.sql("".join(f"DROP CAST ({of} AS text);" for of in types))
    assert ctx.wait_hit(p, lambda: c.value(read)) == "a"
