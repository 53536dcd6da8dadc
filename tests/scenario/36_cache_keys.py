# SPDX-License-Identifier: Apache-2.0
"""Everything that can change an answer is in its key."""
import time

from pgwire import bind, close, execute, parse, query, sync, unit


def test_settings(ctx):
    """Followed settings that change how a value is written."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, at timestamptz, d date, i interval, v text); GRANT ALL ON t TO app;"
            "INSERT INTO t VALUES (1, '2024-03-01 12:00+00', '2024-03-01', '1 day 2 hours', 'é')")
    p = ctx.cache_proxy()
    changes = [{}, {"TimeZone": "Asia/Tokyo"}, {"TimeZone": "America/Lima"}, {"DateStyle": "German, DMY"}, {"DateStyle": "SQL, MDY"},
               {"IntervalStyle": "iso_8601"}, {"IntervalStyle": "sql_standard"}, {"client_encoding": "LATIN1"},
               {"TimeZone": "Asia/Tokyo", "DateStyle": "German"}]
    read = query("SELECT at, d, i, v FROM t WHERE id = 1")
    sessions = []
    for change in changes:
        c, d = ctx.keep(p.connect(ctx.db)), ctx.direct("app")
        for name, value in change.items():
            for w in (c, d):
                w.query(f"SET {name} = {value}" if name == "DateStyle" else f"SET {name} = '{value}'")
        sessions.append((change, c, d.ask(read).raw))
    assert len({want for _, _, want in sessions}) == len(changes)
    for _ in range(5):
        for change, c, want in sessions:
            assert c.ask(read).raw == want, change
    for change, c, want in sessions:
        assert ctx.wait_hit(p, lambda: c.ask(read).raw) == want, change
    # Settings that come with the startup packet.
    c = ctx.keep(p.connect(ctx.db, TimeZone="Asia/Tokyo"))
    for _ in range(5):
        assert c.ask(read).raw == sessions[1][2]
    # A setting that changes under way.
    for _ in range(3):
        for change, _, want in sessions[:3]:
            c.query(f"SET TimeZone = '{change.get('TimeZone', ctx.sql('SHOW TimeZone')[0][0])}'")
            assert c.ask(read).raw == want


def test_schemas_of_users(ctx):
    """The same text reads different tables by "$user"."""
    ctx.sql("CREATE SCHEMA app AUTHORIZATION app; CREATE SCHEMA other AUTHORIZATION other;"
            "CREATE TABLE app.t(id int PRIMARY KEY, v text); INSERT INTO app.t VALUES (1, 'apps');"
            "CREATE TABLE other.t(id int PRIMARY KEY, v text); INSERT INTO other.t VALUES (1, 'others');"
            "CREATE TABLE public.t(id int PRIMARY KEY, v text); INSERT INTO public.t VALUES (1, 'publics');"
            "GRANT ALL ON app.t TO app; GRANT ALL ON other.t TO other; GRANT SELECT ON public.t TO PUBLIC;"
            "GRANT USAGE ON SCHEMA app, other TO PUBLIC")
    p = ctx.cache_proxy()
    a, o, s = (ctx.keep(p.connect(ctx.db, user)) for user in ("app", "other", "srv_trust"))
    read = "SELECT v FROM t WHERE id = 1"
    for _ in range(6):
        assert a.value(read) == "apps"
        assert o.value(read) == "others"
        assert s.value(read) == "publics"
    for c, want in ((a, "apps"), (o, "others"), (s, "publics")):
        assert ctx.wait_hit(p, lambda: c.value(read)) == want
    # A write through its full name ends the entry of the short one.
    for n in range(5):
        a.query(f"UPDATE app.t SET v = 'a{n}'")
        assert a.value(read) == f"a{n}"
        o.query(f"UPDATE t SET v = 'o{n}'")
        assert o.value(read) == f"o{n}"
        assert a.value(read) == f"a{n}"


def test_search_path_of_role(ctx):
    """A path that the role or database brings along."""
    ctx.sql("CREATE SCHEMA alt; CREATE TABLE alt.t(id int PRIMARY KEY, v text); INSERT INTO alt.t VALUES (1, 'alt');"
            "CREATE TABLE public.t(id int PRIMARY KEY, v text); INSERT INTO public.t VALUES (1, 'public');"
            "GRANT USAGE ON SCHEMA alt TO app, other; GRANT SELECT ON alt.t, public.t TO app, other;"
            f"ALTER ROLE other IN DATABASE {ctx.db} SET search_path = alt, public")
    p = ctx.cache_proxy()
    a, o = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "other"))
    read = "SELECT v FROM t WHERE id = 1"
    for _ in range(8):
        assert a.value(read) == "public"
        assert o.value(read) == "alt"
    for n in range(5):
        ctx.sql(f"UPDATE alt.t SET v = 'alt{n}'")
        time.sleep(0.26)
        assert o.value(read) == f"alt{n}"


def test_formats_and_types(ctx):
    """Result formats, parameter types, formats and values."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text, n numeric); GRANT ALL ON t TO app; INSERT INTO t VALUES (1, '1', 1.50), (2, '2', 2)")
    p = ctx.cache_proxy()
    d = ctx.direct("app")
    sql = "SELECT id, v, n FROM t WHERE id = $1"
    scripts = [unit(sql, [1]), unit(sql, [2]), unit(sql, [1], binary=True), unit(sql, ["1 "]), unit(sql, ["01"]), unit(sql, [None]),
               parse(sql, types=(23,)) + bind(params=[1]) + execute() + sync(),
               parse(sql, types=(20,)) + bind(params=[1]) + execute() + sync(),
               parse(sql, types=(1700,)) + bind(params=["1.0"]) + execute() + sync(),
               parse(sql, types=(20,)) + bind(params=[b"\0\0\0\0\0\0\0\1"], param_formats=(1,)) + execute() + sync(),
               parse(sql) + bind(params=[1], result_formats=(1, 0, 0)) + execute() + sync(),
               parse(sql) + bind(params=[1], result_formats=(0, 0, 1)) + execute() + sync(),
               parse("SELECT $1 FROM t WHERE id = 1", types=(23,)) + bind(params=["7"]) + execute() + sync(),
               parse("SELECT $1 FROM t WHERE id = 1", types=(25,)) + bind(params=["7"], result_formats=(1,)) + execute() + sync(),
               parse("SELECT $1 FROM t WHERE id = 1", types=(23,)) + bind(params=["7"], result_formats=(1,)) + execute() + sync(),
               query("SELECT id, v, n FROM t WHERE id = 1"), unit("SELECT id, v, n FROM t WHERE id = 1"),
               unit("SELECT id, v, n FROM t WHERE id = 1", describe_it=False)]
    want = [d.ask(s).raw for s in scripts]
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(6):
        for s, w in zip(scripts, want):
            assert c.ask(s).raw == w, s


def test_databases(ctx):
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'); GRANT ALL ON t TO app")
    two = ctx.new_database()
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'two'); GRANT ALL ON t TO app", database=two)
    p = ctx.cache_proxy(databases={"a": ctx.server(), "b": ctx.server() | {"dbname": two}, ctx.db: ctx.server()})
    a, b = ctx.keep(p.connect("a")), ctx.keep(p.connect("b"))
    for _ in range(10):
        assert a.value("SELECT v FROM t WHERE id = 1") == "one"
        assert b.value("SELECT v FROM t WHERE id = 1") == "two"


def test_many_users(ctx):
    """Clients of two users ask the same; an entry of one role serves only it."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x'); GRANT SELECT ON t TO app")
    p = ctx.cache_proxy()
    a, o = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "other"))
    read = "SELECT v FROM t WHERE id = 1"
    ctx.wait_hit(p, lambda: a.query(read))
    for script in (query(read), unit(read)):
        for _ in range(5):
            assert a.ask(script).check().value == "x"
            assert o.ask(script).sqlstate() == "42501"


def test_settings_of_every_kind(ctx):
    """What a session set for itself: its search path, how numbers are written, its role. Sessions of the
    same settings share answers, others do not."""
    ctx.sql("CREATE SCHEMA s1; CREATE SCHEMA s2; GRANT other TO app;"
            "CREATE TABLE s1.t(id int PRIMARY KEY, v float8); INSERT INTO s1.t VALUES (1, 1.1);"
            "CREATE TABLE s2.t(id int PRIMARY KEY, v float8); INSERT INTO s2.t VALUES (1, 2.2);"
            "GRANT USAGE ON SCHEMA s1, s2 TO app, other; GRANT SELECT ON s1.t TO app, other; GRANT SELECT ON s2.t TO app")
    p = ctx.cache_proxy()
    read = "SELECT v FROM t WHERE id = 1"
    one, two, wide = (ctx.keep(p.connect(ctx.db, search_path=path)) for path in ("s1", "s2", "s1"))
    wide.query("SET extra_float_digits = -15")
    wants = ((one, "1.1"), (two, "2.2"), (wide, "1"))
    for _ in range(5):
        for c, want in wants:
            assert c.value(read) == want
    for c, want in wants:
        assert ctx.wait_hit(p, lambda: c.value(read)) == want
    # A write through one ends the entries of all that read it.
    ctx.sql("GRANT UPDATE ON s1.t TO app")
    one.query("UPDATE s1.t SET v = 3.3")
    for _ in range(3):
        assert [c.value(read) for c in (one, two, wide)] == ["3.3", "2.2", "3"]
    # A role without the right is refused, though the answer is in memory for another.
    two.query("SET ROLE other")
    for _ in range(3):
        assert two.ask(query(read)).sqlstate() == "42501"
    two.query("RESET ROLE; SET search_path = s1")
    assert two.value(read) == "3.3"


def test_what_a_reset_leads_to(ctx):
    """With its setting reset, a session's server is again what it was: what it reads is what its names mean now."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); CREATE SCHEMA aside; CREATE TABLE aside.t AS SELECT 1 AS id, 7 AS n;"
            "GRANT USAGE ON SCHEMA aside TO app; GRANT ALL ON t, aside.t TO app")
    p = ctx.cache_proxy(default_pool_size=1, hidden_code_check=0)
    a, b = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    read = "SELECT n FROM t"
    for n in range(1, 6):
        a.query("SET search_path = aside")
        ctx.sql(f"CREATE TABLE new{n}()")  # sessions are looked at anew
        assert ctx.wait_hit(p, lambda: a.value(read)) == "7"
        a.query(("RESET search_path", "RESET ALL", "SET search_path = DEFAULT")[n % 3])
        for sql in ("BEGIN", "SELECT n + 1 FROM t", read, "COMMIT"):
            a.query(sql)
        assert ctx.wait_hit(p, lambda: b.value(read)) == str(n - 1)
        ctx.sql(f"UPDATE t SET n = {n}")
        p.wait(lambda want=str(n): b.value(read) == want, "what was written directly")


def test_empty_temporary_schemas(ctx):
    """A server in which somebody had a temporary table, once, fills for all the others."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); GRANT ALL ON t TO app")
    p = ctx.cache_proxy(default_pool_size=2)
    a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    for w in (a, b):
        w.query("BEGIN; SELECT 1")  # each has one of the servers
    for sql in ("CREATE TEMP TABLE own ON COMMIT DROP AS SELECT 1 AS id", "SELECT count(*) FROM own", "COMMIT"):
        a.query(sql)
    b.query("COMMIT")
    with p.connect(ctx.db, "postgres") as w:
        w.query("CREATE TABLE new()")  # sessions are looked at anew
    servers = set()
    for key in range(1, 9):  # by either server after it was seen what the other is
        holds, fills = ((a, b), (b, a))[key % 2]
        holds.query("BEGIN; SELECT 1")
        servers.add(fills.value("SELECT pg_backend_pid()"))
        for w in (fills, c):
            ctx.wait_hit(p, lambda key=key, w=w: w.value(f"SELECT count(*) FROM t WHERE id = {key}"))
        holds.query("COMMIT")
    assert len(servers) == 2
    # One that there is hides what is behind it.
    a.query("CREATE TEMP TABLE t AS SELECT 1 AS id, 4711 AS n")
    for _ in range(5):
        assert a.value("SELECT n FROM t WHERE id = 1") == "4711"
        assert c.value("SELECT n FROM t WHERE id = 1") == "0"
    a.query("DROP TABLE t")
    for _ in range(5):
        assert [w.value("SELECT n FROM t WHERE id = 1") for w in (a, c)] == ["0", "0"]


def by_connect_query(ctx):
    """Two sessions for which connect_query has named a schema, and a read there that hits."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); CREATE SCHEMA aside; CREATE TABLE aside.t AS SELECT 1 AS id, 7 AS n;"
            "GRANT USAGE ON SCHEMA aside TO app; GRANT ALL ON t, aside.t TO app")
    p = ctx.cache_proxy(databases={ctx.db: ctx.server(connect_query="'SET search_path = aside, public'")}, pool_mode="session", hidden_code_check=0)
    a, b = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    for w in (a, b):
        assert ctx.wait_hit(p, lambda w=w: w.value(READ)) == "7"
    return p, a, b


READ = "SELECT n FROM t WHERE id = 1"


def test_what_connect_query_made(ctx):
    """What is left of it after RESET is another session than those that still have it."""
    p, a, b = by_connect_query(ctx)
    b.query("RESET search_path")
    for _ in range(5):
        assert [w.value(READ) for w in (a, b)] == ["7", "0"]
    for n in range(1, 4):
        with p.connect(ctx.db, "postgres") as w:
            w.query(f"CREATE TABLE new{n}()")  # sessions are looked at anew
        assert ctx.wait_hit(p, lambda: b.value(READ)) == str(n - 1)
        with p.connect(ctx.db) as c:
            assert c.value(READ) == "7"
        assert ctx.wait_hit(p, lambda: a.value(READ)) == "7"
        ctx.sql(f"UPDATE t SET n = {n}")
        p.wait(lambda want=str(n): b.value(READ) == want, "what was written directly")


def test_what_discard_took(ctx):
    """The same after DISCARD ALL, and after what is asked of that session later."""
    p, a, b = by_connect_query(ctx)
    for sql in ("DISCARD ALL", "SET work_mem = '1MB'", "RESET work_mem"):
        b.query(sql)
        assert ctx.wait_hit(p, lambda: b.value(READ)) == "0"
        with p.connect(ctx.db) as c:
            assert c.value(READ) == "7", sql
        assert a.value(READ) == "7", sql


AT = "SELECT count(*) FROM s WHERE at = '2020-01-01 00:00'::timestamptz"
ZONE = "SET TimeZone = 'Asia/Tokyo'"


def with_constants(ctx, **settings):
    """Two clients, and PostgreSQL itself, in a zone in which AT finds a row."""
    ctx.sql("CREATE TABLE s(id int PRIMARY KEY, at timestamptz); INSERT INTO s VALUES (1, '2020-01-01 00:00+00'); GRANT ALL ON s TO PUBLIC;"
            f"ALTER DATABASE {ctx.db} SET TimeZone = 'UTC'")
    p = ctx.cache_proxy(hidden_code_check=0, **settings)
    return p, *(ctx.keep(p.connect(ctx.db)) for _ in range(2)), ctx.direct("app")


def test_constants_of_before(ctx):
    """A statement has its constants by the settings under which it was prepared, whatever was set since: the server's own names
    in session mode, and the unnamed one."""
    for settings, name in (({"pool_mode": "session"}, "s"), ({"pool_mode": "session"}, ""), ({"default_pool_size": 1}, "")):
        ctx.sql("DROP TABLE IF EXISTS s")
        p, a, b, d = with_constants(ctx, **settings)
        read = bind(name) + execute() + sync()
        for w in (a, d):
            w.ask(parse(ZONE, "z") + sync()).check()
            w.ask(parse(AT, name) + sync()).check()
            w.ask(bind("z") + execute() + sync()).check()
        b.query(ZONE)
        b.ask(parse(AT, name) + sync()).check()
        for _ in range(4):
            assert a.ask(read).value in (d.ask(read).value, "0" if "default_pool_size" in settings else ""), settings  # prepared elsewhere, anew
            assert b.ask(read).value == "0", settings
            assert ctx.wait_hit(p, lambda b=b, read=read: b.ask(read).value) == "0"


def test_constants_of_a_moment(ctx):
    """The same of settings that were gone when its Parse was answered."""
    moments = ((query("BEGIN") + query(ZONE.replace("SET", "SET LOCAL")) + parse(AT, "s") + sync() + query("COMMIT"), 4),
               (parse(ZONE) + bind() + execute() + parse(AT, "s") + sync() + query("RESET TimeZone"), 2))
    p, a, b, d = with_constants(ctx, pool_mode="session")
    read = bind("s") + execute() + sync()
    b.ask(parse(AT, "s") + sync()).check()
    for moment, answers in moments:
        for w in (a, d):
            w.ask(close("S", "s") + sync()).check()
            w.ask(moment, times=answers).check()
        for _ in range(4):
            assert ctx.wait_hit(p, lambda: b.ask(read).value) == "1"
            assert a.ask(read).value == d.ask(read).value == "0"


def test_name_that_is_gone(ctx):
    """In session mode SQL takes the server's own names away: then there is nothing to be answered, whoever else has it."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); GRANT ALL ON t TO app")
    p = ctx.cache_proxy(pool_mode="session", hidden_code_check=0)
    b = ctx.keep(p.connect(ctx.db))
    read = bind("s") + execute() + sync()
    b.ask(parse(READ, "s") + sync()).check()
    for end in ("DEALLOCATE s", "SELECT 1; DEALLOCATE s", "DEALLOCATE ALL"):
        a = ctx.keep(p.connect(ctx.db))
        a.ask(parse(READ, "s") + sync()).check()
        assert ctx.wait_hit(p, lambda: a.ask(read).value) == "0"
        a.query(end)
        for _ in range(4):
            assert ctx.wait_hit(p, lambda: b.ask(read).value) == "0"
            time.sleep(0.02)  # what is left in the session is known
            assert a.ask(read).sqlstate() == "26000", end


def test_name_that_code_took_away(ctx):
    """The same, where no text says so."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); GRANT ALL ON t TO app")
    p = ctx.cache_proxy(pool_mode="session", hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse(READ, "s") + sync()).check()
    read = bind("s") + execute() + sync()
    ctx.wait_hit(p, lambda: c.ask(read).check())
    c.query("DO $$BEGIN EXECUTE 'DEALLOCATE s'; END$$")
    assert c.ask(read).sqlstate() == "26000"


def test_name_that_its_own_statement_takes_away(ctx):
    """It is there until it has been run."""
    p = ctx.cache_proxy(pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(5):
        for sql in ("DEALLOCATE s", "DEALLOCATE ALL", "DO $$BEGIN EXECUTE 'DEALLOCATE s'; END$$"):
            c.ask(parse(sql, "s") + sync()).check()
            c.ask(bind("s") + execute() + sync())
            assert c.ask(bind("s") + execute() + sync()).sqlstate() == "26000", sql
