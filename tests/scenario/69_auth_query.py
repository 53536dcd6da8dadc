# SPDX-License-Identifier: Apache-2.0
"""auth_query: users whom only the database knows."""
import hashlib
import os
import re
import signal
import subprocess
import time

import proxy as px
from pgwire import PeerClosed, PgError, Wire, startup

# Of all users only these two are in the users file.
FEW = {name: px.USERS[name] for name in ("postgres", "console")}
MD5, SCRAM, PLAIN = [5, 0], [10, 11, 12, 0], [3, 0]


def asking(ctx, **settings):
    return ctx.proxy(**{"auth_type": "md5", "auth_user": "postgres", "users": FEW, "log_connections": 1, **settings})


def table(ctx, *rows):
    """A table of logins in the test's database, and the query for it. Rows: name and secret."""
    ctx.sql("CREATE TABLE logins(n int GENERATED ALWAYS AS IDENTITY, name text, secret text)")
    for name, secret in rows:
        secret = "NULL" if secret is None else f"'{secret}'"
        ctx.sql(f"INSERT INTO logins(name, secret) VALUES ('{name}', {secret})")
    return "SELECT name, secret FROM public.logins WHERE name = $1 ORDER BY n"


def gets_in(p, database, user="app", password=None, codes=None, **options):
    with p.connect(database, user, f"{user}-secret" if password is None else password, **options) as c:
        assert c.value("SELECT 1") == "1"
        assert codes is None or c.auth_codes == codes, c.auth_codes
        return c.value("SELECT current_user")


def wrong(p, database, user="app", password="wrong", **options):
    error = p.refused(database, user, password, **options)
    assert (error.severity, error.sqlstate) == ("FATAL", "28P01"), error
    assert error.text == f'password authentication failed for user "{user}"', error


def hears(p, text, database, user="app", sqlstate="08P01", password="app-secret"):
    error = p.refused(database, user, password)
    assert (error.severity, error.sqlstate, error.text) == ("FATAL", sqlstate, text), error


# ---- who gets in

def test_default_query(ctx):
    """Secrets as pg_authid has them: SCRAM ones, whose keys pass through to the server, and md5 ones."""
    for auth_type, scram, md5 in (("md5", SCRAM, MD5), ("scram-sha-256", SCRAM, None), ("plain", PLAIN, PLAIN)):
        p = asking(ctx, auth_type=auth_type)
        assert gets_in(p, ctx.db, codes=scram) == "app"
        assert gets_in(p, ctx.db, "srv_trust") == "srv_trust"
        wrong(p, ctx.db)
        wrong(p, ctx.db, "stranger")
        assert "no such user: stranger" in p.log()
        assert "no such user: app" not in p.log()
        if auth_type != "plain": # which proves no keys
            assert gets_in(p, ctx.db, "srv_scram", codes=scram) == "srv_scram"
        if md5:
            assert gets_in(p, ctx.db, "srv_md5", codes=md5) == "srv_md5"
        for _ in range(8):
            wrong(p, ctx.db)
        # Its connections are used again: there are at most as many as its pool may have.
        assert 1 <= p.log().count("/postgres@127.0.0.1:%d new connection" % ctx.pg.port) <= 5, p.log()
        assert gets_in(p, ctx.db, "postgres") == "postgres" # by the users file


def test_trust(ctx):
    p = asking(ctx, auth_type="trust")
    assert gets_in(p, ctx.db, codes=[0]) == "app"
    hears(p, '"trust" authentication failed', ctx.db, "stranger", "28000")


def test_secrets_of_every_kind(ctx):
    md5 = "md5" + hashlib.md5(b"xm5").hexdigest()
    scram = ctx.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")[0][0]
    question = table(ctx, ("m5", md5), ("clear", "x"), ("sc", scram), ("none", None), ("empty", ""), ("odd", "SCRAM-SHA-256$x"))
    databases = {ctx.db: ctx.server(user="app")}
    for auth_type in ("md5", "scram-sha-256", "plain"):
        p = asking(ctx, auth_type=auth_type, auth_query=question, databases=databases)
        assert gets_in(p, ctx.db, "clear", "x") == "app"
        assert gets_in(p, ctx.db, "sc", "app-secret") == "app"
        if auth_type != "scram-sha-256":
            assert gets_in(p, ctx.db, "m5", "x") == "app"
        for user, password in (("m5", md5), ("sc", scram), ("none", "x"), ("empty", "x"), ("odd", "SCRAM-SHA-256$x"), ("stranger", "x")):
            wrong(p, ctx.db, user, password)
        # Words that are well for who is there, too.
        for user in ("none", "stranger", "clear"):
            error = p.refused(ctx.db, user, "")
            assert "password" in error.text, error


def test_valid_until(ctx):
    """CVE-2025-2291: the default query honours rolvaliduntil."""
    roles = {f"vu_{os.getpid()}_{n}": until for n, until in enumerate(("'2001-01-01'", "'2999-01-01'", "'infinity'"))}
    try:
        for name, until in roles.items():
            ctx.sql(f"CREATE ROLE {name} LOGIN PASSWORD '{name}-secret' VALID UNTIL {until}")
        past, *valid = roles
        p = asking(ctx)
        wrong(p, ctx.db, past, f"{past}-secret")
        for name in valid:
            assert gets_in(p, ctx.db, name) == name
            ctx.sql(f"ALTER ROLE {name} VALID UNTIL '2001-01-01'")
            wrong(p, ctx.db, name, f"{name}-secret")
        ctx.sql(f"ALTER ROLE {valid[0]} NOLOGIN VALID UNTIL 'infinity'")
        wrong(p, ctx.db, valid[0], f"{valid[0]}-secret")
    finally:
        for name in roles:
            ctx.sql(f"DROP ROLE IF EXISTS {name}")


def test_asked_again_at_each_login(ctx):
    question = table(ctx, ("u", "one"))
    p = asking(ctx, auth_query=question, databases={ctx.db: ctx.server(user="app")})
    gets_in(p, ctx.db, "u", "one")
    ctx.sql("UPDATE logins SET secret = 'two'")
    wrong(p, ctx.db, "u", "one")
    gets_in(p, ctx.db, "u", "two")
    ctx.sql("DELETE FROM logins")
    wrong(p, ctx.db, "u", "two")


def test_new_password_reaches_the_server(ctx):
    """The secret that was fetched logs in to the server, too; another one takes its place."""
    name = f"np_{os.getpid()}"
    try:
        ctx.sql(f"SET password_encryption = 'md5'; CREATE ROLE {name} LOGIN PASSWORD 'one'")
        with open(f"{ctx.pg.directory}/data/pg_hba.conf", encoding="ascii") as f:
            hba = f.read()
        with open(f"{ctx.pg.directory}/data/pg_hba.conf", "w", encoding="ascii") as f:
            f.write(f"host all {name} 127.0.0.1/32 md5\n" + hba)
        ctx.sql("SELECT pg_reload_conf()")
        p = asking(ctx, server_lifetime=0)
        assert gets_in(p, ctx.db, name, "one") == name
        ctx.sql(f"SET password_encryption = 'md5'; ALTER ROLE {name} PASSWORD 'two'")
        assert gets_in(p, ctx.db, name, "two") == name
        ctx.sql(f"SET password_encryption = 'scram-sha-256'; ALTER ROLE {name} PASSWORD 'three'")
        assert gets_in(p, ctx.db, name, "three", SCRAM) == name
    finally:
        with open(f"{ctx.pg.directory}/data/pg_hba.conf", "w", encoding="ascii") as f:
            f.write(hba)
        ctx.sql("SELECT pg_reload_conf()")
        ctx.sql(f"DROP ROLE IF EXISTS {name}")


# ---- where, as whom, with which query

def test_of_a_database(ctx):
    """auth_user, auth_query and auth_dbname in a line of [databases]; the settings are for the others."""
    question = table(ctx, ("u", "x"))
    p = ctx.proxy(auth_type="md5", users=FEW, databases={
        ctx.db: ctx.server(),
        "own": ctx.server(user="app", auth_user="postgres", auth_query=f"'{question}'"),
        "elsewhere": ctx.server(dbname="postgres", user="app", auth_user="postgres", auth_query=f"'{question}'", auth_dbname=ctx.db),
        "nowhere": ctx.server(user="app", auth_user="postgres", auth_dbname="not_there"),
        "reserved": ctx.server(user="app", auth_user="postgres", auth_dbname="pgbouncer"),
    })
    assert gets_in(p, "own", "u", "x") == "app"
    assert gets_in(p, "elsewhere", "u", "x") == "app"
    wrong(p, ctx.db, "u", "x") # nobody asks
    for database, why in (("nowhere", 'authentication database "not_there" is not configured.'),
                          ("reserved", 'cannot use the reserved "pgbouncer" database as an auth_dbname')):
        hears(p, "bouncer config error", database, "u")
        assert why in p.log()
    p.console("DISABLE " + ctx.db)
    hears(p, f'authentication database "{ctx.db}" is disabled', "elsewhere", "u")
    p.console("ENABLE " + ctx.db)
    assert gets_in(p, "elsewhere", "u", "x") == "app"


def test_auth_dbname(ctx):
    question = table(ctx, ("u", "x"))
    p = asking(ctx, auth_query=question, auth_dbname=ctx.db,
               databases={ctx.db: ctx.server(), "other_db": ctx.server(dbname="postgres", user="app")})
    assert gets_in(p, "other_db", "u", "x") == "app"
    assert p.pool(ctx.db, "postgres")
    hears(p, f"no such database: not_there", "not_there", "postgres", "3D000", "postgres-secret")
    # Of a database that does not exist nobody is asked, and nothing is told.
    wrong(p, "not_there", "u", "x")
    p = ctx.proxy(start=False, auth_dbname="pgbouncer")
    p.expect_failure = True
    assert p.spawn().wait_end() == 1
    assert "auth_dbname" in p.log()


def test_fallback_database(ctx):
    p = asking(ctx, databases={"*": {"host": "127.0.0.1", "port": ctx.pg.port}})
    assert gets_in(p, ctx.db) == "app"
    error = p.refused("not_there", "stranger", "x")
    assert error.sqlstate == "3D000", error


def test_forced_user(ctx):
    """auth_user asks, whoever the database's own user is; and what it found is not for that one."""
    p = asking(ctx, databases={ctx.db: ctx.server(user="srv_scram", password="srv_scram-secret")})
    assert gets_in(p, ctx.db) == "srv_scram"
    assert gets_in(p, ctx.db, "srv_md5") == "srv_scram"
    assert gets_in(p, ctx.db, "srv_scram") == "srv_scram"
    assert p.pool(ctx.db, "postgres") and p.pool(ctx.db, "srv_scram")
    p.console("RECONNECT")
    assert gets_in(p, ctx.db) == "srv_scram"


def test_another_spelling(ctx):
    """Who the query says it is, it is."""
    question = table(ctx, ("App", "app"), ("Console", "console"))
    question = "SELECT secret, 'x' FROM public.logins WHERE lower(name) = lower($1) UNION ALL SELECT 'other', 'y' WHERE $1 = 'OTHER'"
    p = asking(ctx, auth_query=question, auth_type="plain", auth_dbname=ctx.db, stats_users="OTHER")
    assert gets_in(p, ctx.db, "App", "x") == "app"
    assert gets_in(p, ctx.db, "OTHER", "y") == "other"
    # Not on the console, if that one may not.
    hears(p, "not allowed", "pgbouncer", "OTHER", password="y")


def test_rows_and_columns(ctx):
    question = table(ctx, ("u", "one"), ("u", "two"))
    p = asking(ctx, auth_query=question, databases={ctx.db: ctx.server(user="app")})
    gets_in(p, ctx.db, "u", "two") # the last one counts
    wrong(p, ctx.db, "u", "one")
    for query, why in (
            ("SELECT $1", "expected 2 columns from auth_query, not 1"),
            ("SELECT $1, 'a', 'b'", "expected 2 columns from auth_query, not 3"),
            ("SELECT nonsense, $1", "error response from auth_query"),
            ("SELECT $1, 1/0", "error response from auth_query"),
            ("SELECT $1, $2", "error response from auth_query"),
            ("CREATE TABLE x()", "error response from auth_query"),
            ("SELECT $1, repeat('x', 100000)", "bad packet")):
        p.reload(auth_query=query)
        p.wait(lambda: p.refused(ctx.db, "u", "x").text == why, why)
    # A function that finds nobody has a row, of NULLs.
    p.reload(auth_query="SELECT NULL, 'x' WHERE $1 = 'u'")
    p.wait(lambda: p.refused(ctx.db, "u", "x").sqlstate == "28P01", "nobody")
    wrong(p, ctx.db, "u", "x")
    assert re.search(r'S: error in auth_query: ERROR: column "nonsense" does not exist', p.log())
    # Whatever types they have.
    p.reload(auth_query="SELECT $1::varchar, 7 WHERE $1 <> 'v'")
    p.wait(lambda: says(p, ctx.db, "u", "7") is None, "the number as a password")
    assert gets_in(p, ctx.db, "u", "7") == "app"


def says(p, database, user, password):
    try:
        p.connect(database, user, password).close()
        return None
    except PgError as error:
        return error.text


def test_a_function(ctx):
    """By somebody who may read nothing but what a function tells: the one in docs/operations.md."""
    import runner
    with open(f"{runner.ROOT}/docs/operations.md", encoding="utf-8") as f:
        function = re.search(r"    (CREATE FUNCTION pgweir.user_lookup.*?;)\n    --", f.read(), re.S).group(1)
    ctx.sql("CREATE SCHEMA pgweir; " + function)
    ctx.sql("REVOKE ALL ON FUNCTION pgweir.user_lookup FROM PUBLIC; GRANT USAGE ON SCHEMA pgweir TO other; "
            "GRANT EXECUTE ON FUNCTION pgweir.user_lookup TO other")
    for pool_mode in ("transaction", "session"):
        p = asking(ctx, auth_user="other", users=px.USERS | {"app": "", "srv_md5": ""}, pool_mode=pool_mode,
                   auth_query="SELECT * FROM pgweir.user_lookup($1)", start=False)
        for name in ("app", "srv_md5"):
            del p.users[name]
        p.write()
        p.start()
        for _ in range(3):
            assert gets_in(p, ctx.db) == "app"
            assert gets_in(p, ctx.db, "srv_md5") == "srv_md5"
            wrong(p, ctx.db)
            wrong(p, ctx.db, "stranger")
        # Its connections are used again.
        assert 1 <= p.log().count("/other@127.0.0.1:%d new connection" % ctx.pg.port) <= 5, p.log()


def test_nothing_is_set_for_it(ctx):
    """Its session is as the server makes it, also where clients are given something at their start."""
    ctx.sql("CREATE TABLE seen(name text, value text); CREATE FUNCTION public.look(who text, OUT name text, OUT secret text) LANGUAGE plpgsql AS $$ "
            "BEGIN INSERT INTO public.seen SELECT s.name, s.setting FROM pg_settings s WHERE source IN ('session', 'client'); "
            "name := who; secret := 'x'; END $$")
    p = asking(ctx, auth_query="SELECT * FROM public.look($1)", application_name_add_host=1, auth_type="plain")
    for _ in range(3):
        assert gets_in(p, ctx.db, password="x", application_name="me", DateStyle="German", work_mem="3MB", options="-c lock_timeout=7s") == "app"
    found = {name for name, _ in ctx.sql("SELECT DISTINCT name, value FROM seen")} - {"client_encoding", "DateStyle", "TimeZone"}
    assert not found, ctx.sql("SELECT * FROM seen")
    assert not ctx.sql("SELECT 1 FROM seen WHERE value IN ('German', 'me', '3072', '7000') OR value LIKE 'app - %'")


# ---- no client steers it

def hostile(ctx):
    ctx.sql("CREATE SCHEMA evil; CREATE TABLE evil.pg_authid AS SELECT * FROM pg_catalog.pg_authid; "
            f"UPDATE evil.pg_authid SET rolpassword = 'md5{hashlib.md5(b'evilsrv_md5').hexdigest()}'; "
            "CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '1999-01-01' $$; "
            "GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.pg_authid TO PUBLIC")


def test_startup_parameters_do_not_reach_it(ctx):
    """CVE-2025-12819: search_path and its like in the startup message."""
    hostile(ctx)
    path = "evil, pg_catalog"
    for pool_mode in ("transaction", "session"):
        p = asking(ctx, pool_mode=pool_mode)
        for options in ({"search_path": path}, {"options": "-c search_path=evil,pg_catalog"},
                        {"options": "-c role=app"}, {"role": "app"}, {"options": "-c default_transaction_read_only=on"}):
            for _ in range(2):
                wrong(p, ctx.db, "srv_md5", "evil", **options)
            try:
                gets_in(p, ctx.db, "srv_md5", **options)
            except PgError as error: # of its own session, as it is not app
                assert "role" in error.text, error


def test_clients_of_auth_user_do_not_steer_it(ctx):
    """They share its pool. What they left in a session is gone, or has been set right."""
    hostile(ctx)
    for pool_mode in ("transaction", "session"):
        p = asking(ctx, pool_mode=pool_mode, default_pool_size=1)
        for change in ("SET search_path = evil, pg_catalog", "SELECT set_config('search_path', 'evil, pg_catalog', false)",
                       "DO $$ BEGIN PERFORM set_config('search_path', 'evil, pg_catalog', false); END $$",
                       "SET ROLE app", "SET SESSION AUTHORIZATION app", "SET default_transaction_read_only = on",
                       "SET search_path = pg_temp, pg_catalog; CREATE TEMP TABLE pg_authid AS SELECT * FROM evil.pg_authid"):
            with p.connect(ctx.db, "postgres") as c:
                c.query(change)
                if pool_mode == "transaction" and "TEMP" not in change and "DO" not in change and "set_config" not in change:
                    wrong(p, ctx.db, "srv_md5", "evil")
            wrong(p, ctx.db, "srv_md5", "evil")
            assert gets_in(p, ctx.db, "srv_md5") == "srv_md5", change


def test_what_it_leaves_behind(ctx):
    """Code in the query may change its session: neither the next login nor a client of auth_user meets that."""
    hostile(ctx)
    ctx.sql("""CREATE FUNCTION public.look(who text, OUT name text, OUT secret text) LANGUAGE plpgsql AS $$ BEGIN
        SELECT rolname, rolpassword INTO name, secret FROM pg_authid WHERE rolname = who;
        PERFORM set_config('search_path', 'evil, pg_catalog, public', false);
        PERFORM set_config('application_name', 'left', false); END $$""")
    for pool_mode in ("transaction", "session"):
        p = asking(ctx, auth_query="SELECT * FROM public.look($1)", pool_mode=pool_mode, default_pool_size=1)
        for _ in range(3):
            assert gets_in(p, ctx.db, "srv_md5") == "srv_md5"
            wrong(p, ctx.db, "srv_md5", "evil")
            with p.connect(ctx.db, "postgres") as c:
                assert c.value("SHOW search_path") == '"$user", public'
                assert c.value("SHOW application_name") == ""


def test_names_are_a_parameter(ctx):
    table(ctx, ("u", "x"))
    p = asking(ctx)
    for name in ("x' OR 'a'='a", "'; DROP TABLE logins; --", "$1", "\\", "ä" * 31, "a" * 63, '"'):
        wrong(p, ctx.db, name, "x")
    assert ctx.sql("SELECT count(*) FROM logins")[0][0] == "1"


# ---- waiting

def slow_query(ctx):
    """Waits until somebody gives up an advisory lock, in the query."""
    return "SELECT rolname, rolpassword FROM pg_authid, pg_advisory_xact_lock_shared(77) WHERE rolname = $1"


class Locked:
    def __init__(self, ctx):
        self.c = ctx.direct()
        self.c.query("SELECT pg_advisory_lock(77)")

    def open(self):
        self.c.query("SELECT pg_advisory_unlock(77)")


def waiting_for_lock(ctx):
    return int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()")[0][0])


def begin(ctx, p, user="app"):
    wire = ctx.keep(Wire(p.address, 20))
    wire.send(startup({"user": user, "database": ctx.db}))
    return wire


def test_client_login_timeout(ctx):
    """It goes on while the query runs; and the query ends with the client."""
    p = asking(ctx, auth_query=slow_query(ctx), client_login_timeout=1)
    lock = Locked(ctx)
    hears(p, "client_login_timeout", ctx.db)
    p.wait(lambda: waiting_for_lock(ctx) == 0 or p.pool(ctx.db, "postgres")["sv_active"] == "0", "the end of the query's connection")
    lock.open()
    p.reload(client_login_timeout=60)
    p.wait(lambda: says(p, ctx.db, "app", "app-secret") is None, "a login without the lock")


def test_clients_that_leave(ctx):
    p = asking(ctx, auth_query=slow_query(ctx), default_pool_size=3)
    lock = Locked(ctx)
    wires = [begin(ctx, p) for _ in range(8)]
    p.wait(lambda: waiting_for_lock(ctx) == 3, "three queries that wait")
    for wire in wires[::2]:
        wire.socket.close()
    p.wait(lambda: len([c for c in p.console("SHOW CLIENTS") if c["user"] == "postgres"]) == 4, "that four are gone")
    lock.open()
    for wire in wires[1::2]:
        assert wire.read().kind == "R"
        wire.socket.close()
    assert gets_in(p, ctx.db) == "app"
    p.wait(lambda: len(p.console("SHOW CLIENTS")) == 1, "nobody else")
    assert p.pool(ctx.db, "postgres")["cl_active"] == "0"


def test_clients_that_leave_as_the_answer_comes(ctx):
    """In the same turn of the loop, if it happens so: it lets nobody in, and counts nobody who is not there."""
    for auth_type in ("trust", "md5"):
        p = asking(ctx, auth_query=slow_query(ctx), auth_type=auth_type, default_pool_size=10, worker_threads=1,
                   user_settings={"app": {"max_user_client_connections": 100}})
        for _ in range(5):
            lock = Locked(ctx)
            wires = [begin(ctx, p) for _ in range(10)]
            p.wait(lambda: waiting_for_lock(ctx) == 10, "ten queries that wait")
            lock.open()
            for wire in wires:
                wire.socket.close()
                time.sleep(0.0001)
        p.wait(lambda: len(p.console("SHOW CLIENTS")) == 1, "nobody else")
        users = {row["name"]: row for row in p.console("SHOW USERS")}
        assert users["app"]["current_client_connections"] == "0", users["app"]
        assert gets_in(p, ctx.db) == "app"


def test_what_is_sent_early_waits(ctx):
    p = asking(ctx, auth_query=slow_query(ctx), auth_type="trust")
    from pgwire import query
    lock = Locked(ctx)
    wire = ctx.keep(Wire(p.address, 20))
    wire.send(startup({"user": "app", "database": ctx.db}), query("SELECT 'early'"))
    p.wait(lambda: waiting_for_lock(ctx) == 1, "the query")
    lock.open()
    wire.until("Z")
    assert wire.until("Z").value == "early"


def test_many_at_once(ctx):
    """By a pool of two; and max_client_conn is for clients only."""
    p = asking(ctx, default_pool_size=2, max_client_conn=100, max_db_client_connections=60)

    def log_in():
        for _ in range(5):
            assert gets_in(p, ctx.db) == "app"
            wrong(p, ctx.db)

    threads = [ctx.thread(log_in) for _ in range(20)]
    for thread in threads:
        thread.result()


def test_the_last_place(ctx):
    p = asking(ctx, max_client_conn=1, max_db_client_connections=1, max_user_client_connections=1)
    p.wait(lambda: says(p, ctx.db, "app", "app-secret") is None, "the only place")


def test_paused(ctx):
    """A paused database has no server for the query, so logins wait."""
    p = asking(ctx)
    p.console("PAUSE")
    wire = begin(ctx, p)
    p.wait(lambda: [c for c in p.console("SHOW CLIENTS") if c["user"] == "postgres"], "the client that asks for it")
    p.console("RESUME")
    assert wire.read().kind == "R"


def test_shutdown_meanwhile(ctx):
    for number in (signal.SIGINT, signal.SIGQUIT):
        p = asking(ctx, auth_query=slow_query(ctx))
        lock = Locked(ctx)
        begin(ctx, p)
        p.wait(lambda: waiting_for_lock(ctx) == 1, "the query")
        p.signal(number)
        if number == signal.SIGINT:
            p.wait_log("shutting down|SIGINT")
        lock.open()
        assert p.wait_end() == 0
        lock.c.close()


# ---- what may go wrong

def test_auth_user_cannot_log_in(ctx):
    p = asking(ctx, auth_user="srv_scram", users=FEW | {"srv_scram": "wrong"})
    hears(p, 'password authentication failed for user "srv_scram"', ctx.db, sqlstate="28P01")
    p = asking(ctx, auth_user="app") # who may not read pg_authid
    hears(p, "error response from auth_query", ctx.db, "other")
    assert "permission denied for table pg_authid" in p.log()


def test_server_down(ctx):
    p = asking(ctx, databases={ctx.db: ctx.server(port=1)}, query_wait_timeout=2)
    error = p.refused(ctx.db, "app", "app-secret")
    assert error.severity == "FATAL" and error.sqlstate in ("08006", "08P01"), error


def test_server_that_dies(ctx):
    """The session of the query is ended under it: this login fails, the next one does not."""
    p = asking(ctx, auth_query=slow_query(ctx))
    lock = Locked(ctx)
    wire = begin(ctx, p)
    p.wait(lambda: waiting_for_lock(ctx) == 1, "the query")
    ctx.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()")
    m = wire.read()
    assert m.kind == "E" and b"FATAL" in bytes(m.body), m
    lock.open()
    assert gets_in(p, ctx.db) == "app"


def test_query_timeout(ctx):
    p = asking(ctx, auth_query=slow_query(ctx), query_timeout=1)
    lock = Locked(ctx)
    error = p.refused(ctx.db, "app", "app-secret")
    assert "timeout" in error.text, error
    lock.open()


# ---- limits and settings of such users

def test_limits(ctx):
    p = asking(ctx, databases={ctx.db: ctx.server(), "more": ctx.server()},
               user_settings={"app": {"max_user_client_connections": 2, "pool_mode": "session", "max_user_connections": 1}},
               max_user_client_connections=3)
    full = "client connections exceeded (max_user_client_connections)"
    two = [ctx.keep(p.connect(ctx.db, "app", "app-secret")), ctx.keep(p.connect("more", "app", "app-secret"))]
    hears(p, full, ctx.db)
    # Who has no line has the limit of all.
    three = [ctx.keep(p.connect(ctx.db, "other", "other-secret")) for _ in range(3)]
    hears(p, full, ctx.db, "other", password="other-secret")
    three[0].close()
    p.wait(lambda: says(p, ctx.db, "other", "other-secret") is None, "a place")
    assert p.pool(ctx.db)["pool_mode"] == "session"
    assert two[0].value("SELECT 1") == "1"
    pid = two[0].value("SELECT pg_backend_pid()")
    assert two[0].value("SELECT pg_backend_pid()") == pid


def test_replication(ctx):
    p = asking(ctx)
    name = f"rep_{os.getpid()}"
    try:
        ctx.sql(f"CREATE ROLE {name} LOGIN REPLICATION PASSWORD '{name}-secret'")
        with p.connect(ctx.db, name, f"{name}-secret", replication="database") as c:
            assert c.query("IDENTIFY_SYSTEM").rows
        wrong(p, ctx.db, name, replication="true")
    finally:
        ctx.sql(f"DROP ROLE IF EXISTS {name}")


def test_reload(ctx):
    p = asking(ctx)
    gets_in(p, ctx.db)
    inside = ctx.keep(p.connect(ctx.db, "app", "app-secret"))
    p.reload(auth_user=None)
    p.wait(lambda: says(p, ctx.db, "app", "app-secret") is not None, "that nobody asks")
    wrong(p, ctx.db, "app", "app-secret")
    assert inside.value("SELECT 1") == "1"
    p.console("SET auth_user = 'postgres'")
    p.wait(lambda: says(p, ctx.db, "app", "app-secret") is None, "that somebody asks")


# ---- the console

def test_console(ctx):
    p = asking(ctx, auth_dbname=ctx.db, admin_users="console,srv_md5", stats_users="app")
    with p.connect("pgbouncer", "app", "app-secret") as c:
        assert c.query("SHOW POOLS").rows
        try:
            c.query("RELOAD")
            raise AssertionError("RELOAD was allowed")
        except PgError as error:
            assert "admin access needed" in error.text, error
    with p.connect("pgbouncer", "srv_md5", "srv_md5-secret") as c:
        c.query("RELOAD")
    wrong(p, "pgbouncer", "app")
    hears(p, "not allowed", "pgbouncer", "other")
    hears(p, "not allowed", "pgbouncer", "stranger")
    # The console is no database to ask in.
    p = asking(ctx, stats_users="app")
    hears(p, "bouncer config error", "pgbouncer")
    assert 'cannot use the reserved "pgbouncer" database as an auth_dbname' in p.log()
    assert p.console("SHOW VERSION")


def test_by_hba(ctx):
    p = asking(ctx, start=False)
    p._put(f"{p.directory}/hba", "host all app all scram-sha-256\nhost all srv_md5 all md5\nhost all other all trust\n"
                                 "host all console,postgres all md5\nhost all srv_trust all reject\nlocal all all peer map=m\n")
    p._put(f"{p.directory}/ident", "m /.* app\n")
    p.settings |= {"auth_type": "hba", "auth_hba_file": f"{p.directory}/hba", "auth_ident_file": f"{p.directory}/ident"}
    p.write()
    p.start()
    gets_in(p, ctx.db, codes=SCRAM)
    gets_in(p, ctx.db, codes=[0], unix=True)
    gets_in(p, ctx.db, "srv_md5", codes=MD5)
    gets_in(p, ctx.db, "other", codes=[0])
    wrong(p, ctx.db)
    hears(p, "login rejected", ctx.db, "srv_trust", "28000")
    hears(p, "no authentication method is found", ctx.db, "stranger", "28000")


# ---- secrets stay secret

def test_never_from_memory(ctx):
    """The cache has no secrets, although it could."""
    question = table(ctx, ("other", "one"))
    p = ctx.cache_proxy(auth_type="md5", auth_user="postgres", auth_query=question, users={k: v for k, v in px.USERS.items() if k != "other"})
    with p.connect(ctx.db, "postgres") as c: # as it would be with a session of auth_user's
        ctx.wait_hit(p, lambda: c.run(question, ["other"]))
    hits, entries = p.cache()["hits"], p.cache()["entries"]
    for _ in range(6):
        p.connect(ctx.db, "other", "one").close()
    assert p.cache()["hits"] == hits and p.cache()["entries"] == entries, p.cache()
    ctx.sql("UPDATE logins SET secret = 'two'")
    wrong(p, ctx.db, "other", "one")
    gets_in(p, ctx.db, "other", "two")


def test_no_secret_is_told(ctx):
    """Neither in the log, however much is told there, nor on the console."""
    md5 = "md5" + hashlib.md5(b"hidden-clear-2m5").hexdigest()
    scram = ctx.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'srv_scram'")[0][0]
    question = table(ctx, ("m5", md5), ("clear", "hidden-clear-1"), ("sc", scram))
    databases = {ctx.db: ctx.server(), "forced": ctx.server(user="srv_scram", password="srv_scram-secret")}
    p = ctx.proxy(auth_type="md5", auth_user="postgres", auth_query=question, auth_dbname=ctx.db, users=FEW | {"srv_plain": "srv_plain-secret"},
                  databases=databases, verbose=3, log_connections=1, log_disconnections=1)
    p.console("SET auth_type = 'plain'")
    for auth_type in ("md5", "plain"):
        p.console(f"SET auth_type = '{auth_type}'")
        for user, password in (("m5", "hidden-clear-2"), ("clear", "hidden-clear-1"), ("sc", "srv_scram-secret"), ("srv_plain", "srv_plain-secret")):
            p.refused("not_there", user, password)
            gets_in(p, "forced", user, password)
            wrong(p, "forced", user, "hidden-wrong")
    told = p.log()
    for command in ("USERS", "CONFIG", "DATABASES", "CLIENTS", "SERVERS", "POOLS", "SOCKETS", "ACTIVE_SOCKETS", "STATS", "LISTS", "MEM"):
        told += str(p.console(f"SHOW {command}"))
    secrets = ["hidden-clear", "hidden-wrong", md5, scram, scram.split("$")[2], *(f"{n}-secret" for n in ("postgres", "console", "srv_plain", "srv_scram"))]
    for secret in secrets:
        at = told.find(secret)
        assert at < 0, told[max(0, at - 200):at + 60]


def test_keys_are_not_for_a_forced_user(ctx):
    """A client of the forced user's name, with another password here: its keys do not reach the server."""
    other = ctx.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'other'")[0][0]
    p = ctx.proxy(auth_type="scram-sha-256", users=px.USERS | {"srv_scram": other},
                  databases={ctx.db: ctx.server(user="srv_scram", password="srv_scram-secret"), "bare": ctx.server(user="srv_scram")})
    for _ in range(2):
        with p.connect(ctx.db, "srv_scram", "other-secret") as c:
            assert c.value("SELECT current_user") == "srv_scram"
        with p.connect(ctx.db, "app") as c:
            assert c.value("SELECT current_user") == "srv_scram"
        p.console("RECONNECT")
    # Right ones neither, where no password is given.
    scram = ctx.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'srv_scram'")[0][0]
    p = ctx.proxy(auth_type="scram-sha-256", users=px.USERS | {"srv_scram": scram}, databases={"bare": ctx.server(user="srv_scram")},
                  query_wait_timeout=1)
    p.refused("bare", "srv_scram", "srv_scram-secret")
    assert "server asks for a SCRAM password, and none is known" in p.log()


# ---- real clients

def test_clients(ctx):
    p = asking(ctx, auth_type="scram-sha-256")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    for password, out in (("app-secret", "app\n"), ("wrong", "")):
        done = subprocess.run(["psql", "-X", "-w", "-Atc", "SELECT current_user", "-h", "127.0.0.1", "-p", str(p.port), "-U", "app", ctx.db],
                              capture_output=True, text=True, check=False, env=environment | {"PGPASSWORD": password})
        assert done.stdout == out, done
    assert "password authentication failed" in done.stderr, done
