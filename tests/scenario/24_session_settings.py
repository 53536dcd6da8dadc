# SPDX-License-Identifier: Apache-2.0
"""Transaction mode: settings of every kind follow their client, and nobody else meets them."""
from pgwire import PeerClosed, bind, execute, parse, query, sync, unit
from servers import move, release

OTHERS = {
    "work_mem": ("5MB", "6MB"),
    "search_path": ("pg_catalog, public", '"$user", app'),
    "statement_timeout": ("1h", "2h"),
    "default_transaction_isolation": ("serializable", "repeatable read"),
    "default_text_search_config": ("pg_catalog.simple", "pg_catalog.german"),
    "app.tenant": ("seven", "it's \\ 8"),
}


def shown(c):
    return {name: c.value(f"SELECT current_setting('{name}', true)") for name in OTHERS}


def literal(value):
    return value if value.startswith(("pg_catalog,", '"')) else \
        "E'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def pinned(p):
    return [row["pins"] for row in p.console("SHOW CLIENTS") if row.get("pins")]


def test_followed(ctx):
    p = ctx.proxy(default_pool_size=8)
    a, b, plain = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    default = shown(plain)
    for name, (first, second) in OTHERS.items():
        a.query(f"SET {name} = {literal(first)}")
        b.run(f"SET {name} = {literal(second)}")
    for _ in range(3):
        holders = move(ctx, p, a)
        assert shown(a) == {name: first for name, (first, _) in OTHERS.items()}
        assert shown(b) == {name: second for name, (_, second) in OTHERS.items()}
        other = shown(plain)
        assert other.pop("app.tenant") in (None, "") and other.items() <= default.items()
        release(holders)
    a.query("RESET work_mem")
    assert a.value("SHOW work_mem") == default["work_mem"]
    assert b.value("SHOW work_mem") == "6MB"
    a.query("RESET ALL")
    b.query("DISCARD ALL")
    for c in (a, b):
        other = shown(c)
        assert other.pop("app.tenant") in (None, "") and other.items() <= default.items()


def test_one_server_is_enough(ctx):
    """What can be moved does not pin: many clients of different settings share one server."""
    p = ctx.proxy(default_pool_size=1)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(5)]
    for i, c in enumerate(clients):
        c.query(f"SET search_path = s{i}; SET app.number = '{i}'")
        c.query(f"SELECT set_config('work_mem', '{i + 1}MB', false)")
    for _ in range(3):
        for i, c in enumerate(clients):
            assert c.value("SHOW search_path") == f"s{i}"
            assert c.value("SHOW app.number") == str(i)
            assert c.value("SHOW work_mem") == f"{i + 1}MB"


def test_rolled_back(ctx):
    p = ctx.proxy(default_pool_size=8)
    c = ctx.keep(p.connect(ctx.db))
    for end, want in (("ROLLBACK", "4MB"), ("COMMIT", "9MB")):
        c.query("BEGIN")
        c.query("SET work_mem = '9MB'")
        assert c.value("SHOW work_mem") == "9MB"
        c.query(end)
        holders = move(ctx, p, c)
        assert c.value("SHOW work_mem") == want
        release(holders)
    c.query("BEGIN; SAVEPOINT s; SET work_mem = '7MB'; ROLLBACK TO s; SET LOCAL work_mem = '3MB'")
    assert c.value("SHOW work_mem") == "3MB"
    c.query("COMMIT")
    holders = move(ctx, p, c)
    assert c.value("SHOW work_mem") == "9MB"
    release(holders)


def test_set_config_anywhere(ctx):
    """In a column, a condition, with parameters, and in code that cannot be seen."""
    ctx.sql("CREATE FUNCTION public.careful(m text) RETURNS void LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM set_config('work_mem', m, false); END$$")
    p = ctx.proxy(default_pool_size=8)
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    ways = [
        (lambda: c.query("SELECT 1 WHERE set_config('work_mem', '11MB', false) IS NOT NULL"), "11MB"),
        (lambda: c.query("SELECT public.careful('12MB')"), "12MB"),
        (lambda: c.query("DO $$BEGIN PERFORM set_config('work_mem', '13MB', false); END$$"), "13MB"),
        (lambda: c.ask(parse("SELECT set_config($1, $2, false)"), bind(params=["work_mem", "14MB"]),
                       execute(), sync()), "14MB"),
    ]
    for way, want in ways:
        way()
        holders = move(ctx, p, c)
        assert c.value("SHOW work_mem") == want
        assert other.value("SHOW work_mem") == "4MB"
        release(holders)
    c.ask(parse("SELECT set_config($1, $2, false)"), bind(params=["app.who", "me"]), execute(),
          sync())
    holders = move(ctx, p, c)
    assert c.value("SHOW app.who") == "me"
    assert other.value("SELECT current_setting('app.who', true)") in (None, "")
    release(holders)


def test_role(ctx):
    ctx.sql("GRANT other TO app")
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET ROLE other")
    for _ in range(3):
        assert a.value("SELECT current_user") == "other"
        assert b.value("SELECT current_user") == "app"
    a.query("RESET ROLE")
    assert a.value("SELECT current_user") == "app"


def test_no_role(ctx):
    """Where the user begins with another role, NONE is a setting like any other: its client's."""
    ctx.sql(f"GRANT other TO app; ALTER ROLE app IN DATABASE {ctx.db} SET role = other")
    try:
        p = ctx.proxy(default_pool_size=1)
        a, b = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
        for sql in ("SET ROLE NONE", "SELECT set_config('role', 'none', false)", "SET SESSION AUTHORIZATION app"):
            a.query(sql)
            for _ in range(3):
                assert b.value("SELECT current_user") == "other", sql
                assert a.value("SELECT current_user") == "app", sql
            a.query("RESET ROLE")
            assert [w.value("SELECT current_user") for w in (a, b)] == ["other"] * 2, sql
    finally:
        ctx.sql(f"ALTER ROLE app IN DATABASE {ctx.db} RESET role; REVOKE other FROM app")


def test_role_that_is_lost(ctx):
    """Nothing of a client runs in a session that could not be made its own."""
    ctx.sql("GRANT other TO app; CREATE TABLE seen(who text); GRANT ALL ON seen TO PUBLIC")
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET ROLE other")
    assert b.value("SELECT current_user") == "app"
    ctx.sql("REVOKE other FROM app")
    try:
        a.query("INSERT INTO seen VALUES (current_user)")
        raise AssertionError("ran as somebody else")
    except PeerClosed as closed:
        assert closed.error.sqlstate == "42501", closed.error
    assert b.value("SELECT count(*) FROM seen") == "0"
    assert b.value("SELECT current_user") == "app"


def test_short_timeout_of_another(ctx):
    """A client's tiny statement_timeout ends nobody else's work, nor the way to it."""
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for _ in range(5):
        a.query("SET statement_timeout = '1ms'")
        assert b.value("SHOW statement_timeout") == "0"
        assert b.value("SELECT 1 FROM pg_sleep(0.01)") == "1"


def test_short_timeouts_on_all_servers(ctx):
    """Each server on the way has a time limit that ends the setting of what the client has."""
    p = ctx.proxy(default_pool_size=3, worker_threads=1)
    a, b, *others = (ctx.keep(p.connect(ctx.db)) for _ in range(5))
    for n in range(2): # longer to read than a millisecond
        b.run(f"SET app.long{n} = '{'x' * 400000}'")
    for times in range(2):
        for c in others:
            c.run("BEGIN")
        for c in others:
            c.run("SET statement_timeout = '1ms'")
        for c in others:
            c.run("COMMIT")
        p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "3", "all to be looked at")
        for _ in range(3):
            assert b.value("SELECT length(current_setting('app.long1'))") == "400000", times
        assert a.value("SHOW statement_timeout") == "0"


def test_look_that_is_cancelled(ctx):
    """What a client left in its session is asked again: else it would keep its server until it does something."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    pid = a.value("SELECT pg_backend_pid()")
    locker, watcher = ctx.direct(), ctx.direct()
    locker.query("BEGIN; LOCK TABLE pg_depend") # the question reads it
    a.query("SET work_mem = '5MB'")
    asked = ""
    for n in range(4):
        asked = p.wait(lambda before=asked: watcher.value(
            "SELECT max(query_start::text) FROM pg_stat_activity "
            f"WHERE pid = {pid} AND wait_event_type = 'Lock' AND query_start::text <> '{before}'"), "the question")
        if n < 3:
            ctx.sql(f"SELECT pg_cancel_backend({pid})")
    locker.query("ROLLBACK")
    assert b.value("SHOW work_mem") == "4MB"
    assert a.value("SHOW work_mem") == "5MB"


def test_many_with_timeouts_of_their_own(ctx):
    """Another's time limit makes a client wait for its own settings; who waits keeps the server, else it would go
    from one to the other for ever."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    holder, *others = (ctx.keep(p.connect(ctx.db)) for _ in range(5))
    for n, c in enumerate([holder, *others]):
        c.run(f"SET statement_timeout = '{n + 1}h'")
    holder.run("BEGIN")
    for c in others:
        c.send(query("SHOW statement_timeout"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == str(len(others)), "all to wait")
    holder.run("COMMIT")
    assert [c.until_ready().value for c in others] == ["2h", "3h", "4h", "5h"]


def test_given_at_start(ctx):
    p = ctx.proxy(default_pool_size=1)
    a = ctx.keep(p.connect(ctx.db, search_path="pg_catalog", options="-c work_mem=5MB --lock-timeout=3s"))
    b = ctx.keep(p.connect(ctx.db))
    for _ in range(3):
        assert a.value("SHOW search_path") == "pg_catalog"
        assert a.value("SHOW work_mem") == "5MB"
        assert a.value("SHOW lock_timeout") == "3s"
        assert b.value("SHOW work_mem") == "4MB"
    # RESET goes back to what was given, as with PostgreSQL itself.
    a.query("SET work_mem = '8MB'")
    assert b.value("SHOW work_mem") == "4MB"
    assert a.value("SHOW work_mem") == "8MB"
    for reset in ("RESET work_mem", "RESET ALL", "DISCARD ALL"):
        a.query("SET work_mem = '8MB'")
        a.query(reset)
        assert a.value("SHOW work_mem") == "5MB", reset
        assert b.value("SHOW work_mem") == "4MB"


def test_invented_ones_given_at_start(ctx):
    """RESET goes back to them; what was set to nothing is nothing."""
    p = ctx.proxy(default_pool_size=1)
    a = ctx.keep(p.connect(ctx.db, options="-c app.tenant=a -c app.other=x"))
    b = ctx.keep(p.connect(ctx.db, options="-c app.tenant=b"))
    direct = ctx.direct("app", options="-c app.tenant=a -c app.other=x")
    tenant = "SELECT current_setting('app.tenant'), current_setting('app.other', true)"
    for change in ("SET app.tenant = 'c'", "RESET app.tenant", "SET app.tenant = ''", "SET app.tenant = 'q'", "SET app.tenant TO DEFAULT",
                   "SET app.tenant = 'd'; SET app.other = ''", "RESET ALL", "SET app.tenant = 'e'; SET app.other = 'y'",
                   "DISCARD ALL", "SET app.other = ''", "RESET app.tenant"):
        a.query(change)
        direct.query(change)
        assert b.value("SELECT current_setting('app.tenant')") == "b", change
        assert a.query(tenant).rows == direct.query(tenant).rows, change


def test_session_mode(ctx):
    p = ctx.proxy(pool_mode="session", default_pool_size=1)
    with p.connect(ctx.db, work_mem="5MB") as a:
        assert a.value("SHOW work_mem") == "5MB"
        a.query("SET lock_timeout = '3s'")
    with p.connect(ctx.db) as b:
        assert b.value("SHOW work_mem") == "4MB"
        assert b.value("SHOW lock_timeout") == "0"


def test_connect_query(ctx):
    """What connect_query sets belongs to all, and stays when a client's own is taken off."""
    databases = {ctx.db: ctx.server(connect_query="'SET work_mem = ''7MB'''")}
    p = ctx.proxy(databases, default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    assert a.value("SHOW work_mem") == "7MB"
    for _ in range(2):
        a.query("SET work_mem = '9MB'")
        assert b.value("SHOW work_mem") == "7MB"
        assert a.value("SHOW work_mem") == "9MB"
        a.query("SET lock_timeout = '3s'")
        assert b.value("SHOW lock_timeout") == "0"
        assert b.value("SHOW work_mem") == "7MB"


def test_prepared_by_settings(ctx):
    """A prepared statement means what its client's settings make it mean."""
    ctx.sql("CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s1.t AS SELECT 'one' v;"
            "CREATE TABLE s2.t AS SELECT 'two' v; GRANT ALL ON SCHEMA s1, s2 TO PUBLIC;"
            "GRANT ALL ON ALL TABLES IN SCHEMA s1, s2 TO PUBLIC")
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET search_path = s1")
    b.query("SET search_path = s2")
    for c in (a, b):
        c.ask(parse("SELECT v FROM t", name="p"), sync())
    for _ in range(3):
        for c, want in ((a, "one"), (b, "two")):
            reply = c.ask(bind("p"), execute(), sync())
            assert reply.value == want, reply


def test_pin_ends(ctx):
    """A pin ends with its cause."""
    p = ctx.proxy(default_pool_size=1)
    a = ctx.keep(p.connect(ctx.db))
    for begin, end in (
            ("CREATE TEMP TABLE x(i int)", "DROP TABLE x"),
            ("SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)"),
            ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT", "CLOSE c"),
            ("CREATE TEMP TABLE x(i int)", "DISCARD TEMP"),
    ):
        a.query(begin)
        assert p.pool(ctx.db)["sv_active"] == "1", begin
        a.query(end)
        with p.connect(ctx.db) as b:
            assert b.value("SELECT 1") == "1", end
    a.query("BEGIN; CREATE TEMP TABLE y(i int) ON COMMIT DROP; COMMIT")
    with p.connect(ctx.db) as b:
        assert b.value("SELECT 1") == "1"


def test_reset_of_reported(ctx):
    """The settings that PostgreSQL reports go back to what was given at the start, too; the client hears it."""
    p = ctx.proxy(default_pool_size=1)
    a = ctx.keep(p.connect(ctx.db, DateStyle="German, DMY", TimeZone="Asia/Tokyo", application_name="me"))
    b = ctx.keep(p.connect(ctx.db))
    for reset in ("RESET DateStyle", "SET DateStyle TO DEFAULT", "RESET ALL", "DISCARD ALL"):
        a.query("SET DateStyle = 'SQL, MDY'")
        assert b.value("SHOW DateStyle") == "ISO, MDY"
        assert a.value("SHOW DateStyle") == "SQL, MDY"
        a.query(reset)
        assert a.value("SHOW DateStyle") == "German, DMY", reset
        assert a.parameters["DateStyle"] == "German, DMY", reset
        assert a.value("SHOW TimeZone") == "Asia/Tokyo", reset
        assert a.value("SHOW application_name") == "me", reset
        assert b.value("SHOW DateStyle") == "ISO, MDY"
    a.query("SET TimeZone = 'UTC'")
    a.query("RESET DateStyle")
    assert a.value("SHOW TimeZone") == "UTC"


def test_update_of_pg_settings(ctx):
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("UPDATE pg_settings SET setting = '7168' WHERE name = 'work_mem'")
    for _ in range(2):
        assert b.value("SHOW work_mem") == "4MB"
        assert a.value("SHOW work_mem") == "7MB"


def test_invented_name_in_a_function(ctx):
    """A name that somebody mentioned once is asked for after code that cannot be seen."""
    ctx.sql("CREATE FUNCTION wish(v text) RETURNS void LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM set_config('app.wish', v, false); END$$")
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    b.query("SET app.wish = 'mine'")
    a.query("SELECT wish('yours')")
    for _ in range(3):
        assert b.value("SHOW app.wish") == "mine"
        assert a.value("SHOW app.wish") == "yours"


def test_sequences_of_others(ctx):
    """currval() and lastval() tell nothing of what other clients did."""
    ctx.sql("CREATE SEQUENCE s; GRANT ALL ON s TO PUBLIC; CREATE TABLE t(id serial, v text); GRANT ALL ON t TO PUBLIC;"
            "GRANT ALL ON SEQUENCE t_id_seq TO PUBLIC")
    asks = [lambda c, sql: c.ask(query(sql)), lambda c, sql: c.ask(unit(sql)),
            lambda c, sql: c.ask(parse(sql, "") + bind() + execute() + sync())]
    for ask in asks:
        p = ctx.proxy(default_pool_size=1)  # one that does not know yet who will ask
        a, b = p.connect(ctx.db), p.connect(ctx.db)
        a.query("SELECT nextval('s')")
        for sql in ("SELECT lastval()", "SELECT currval('s')"):
            assert ask(b, sql).sqlstate() == "55000", sql
        # In a transaction it is the session's own.
        b.query("BEGIN")
        b.query("INSERT INTO t(v) VALUES ('x')")
        mine = b.value("SELECT max(id) FROM t")
        assert ask(b, "SELECT lastval()").value == mine
        b.query("COMMIT")
        assert ask(a, "SELECT lastval()").sqlstate() == "55000"
        a.close()
        b.close()
    p = ctx.proxy(default_pool_size=1)
    with p.connect(ctx.db) as c:
        c.ask(parse("SELECT lastval()", "last") + sync())
        with p.connect(ctx.db) as d:
            d.query("SELECT nextval('s')")
        assert c.ask(bind("last") + execute() + sync()).sqlstate() == "55000"


def test_own_value_that_is_the_servers(ctx):
    """A value that a client chose stays its own where a server has the same by itself."""
    p = ctx.proxy(default_pool_size=8)
    c = ctx.keep(p.connect(ctx.db, DateStyle="German, DMY"))
    c.query("SET DateStyle = 'ISO, MDY'")
    holders = move(ctx, p, c)
    for sql in ("SET work_mem = '5MB'", "RESET work_mem", "RESET TimeZone", "SELECT set_config('app.x', 'y', false)"):
        c.query(sql)
        assert c.value("SHOW DateStyle") == "ISO, MDY", sql
    release(holders)
    c.query("RESET DateStyle")
    assert c.value("SHOW DateStyle") == "German, DMY"
