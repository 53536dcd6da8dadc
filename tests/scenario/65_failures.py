# SPDX-License-Identifier: Apache-2.0
"""What went wrong in other poolers, as their issue trackers tell it. docs/failures.md says which test
stands for which report; many of them are elsewhere."""
import os
import subprocess

from pgwire import PgError, bind, close, copy_data, copy_done, describe, execute, flush, parse, query, sync, unit
from runner import limit
from servers import PID, move, release

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"PGPASSWORD": "postgres-secret"}
FRESH = ("SELECT current_setting('search_path'), current_setting('statement_timeout'), "
         "current_setting('default_transaction_read_only'), current_setting('TimeZone') <> 'Asia/Tokyo', "
         "coalesce(current_setting('app.tenant', true), '')")
AS_NEW = [('"$user", public', "0", "off", "t", "")]


def one(ctx, **settings):
    return ctx.proxy(default_pool_size=1, worker_threads=1, **settings)


def two(ctx, user="app", **settings):
    """A proxy with two servers, and two clients."""
    p = ctx.proxy(default_pool_size=2, **settings)
    return p, ctx.keep(p.connect(ctx.db, user)), ctx.keep(p.connect(ctx.db, user))


def each_server(p, ctx, a, use):
    """use(a) on one server, and on the other."""
    for _ in range(2):
        use(a)
        holders = move(ctx, p, a)
        use(a)
        release(holders)


def tool(ctx, port, *argv, database=None):
    """One of PostgreSQL's own programs; returns what it printed."""
    done = subprocess.run([f"{ctx.pg.bindir}/{argv[0]}", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres",
                           *argv[1:], *([database] if database else [])],
                          capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    # A dump carries a random word against injected commands.
    return "".join(line for line in done.stdout.splitlines(True) if "restrict " not in line)


# ---- session state lost or seen (3.1)


SCHEMA = """CREATE SCHEMA deep; CREATE TABLE deep.t(id serial PRIMARY KEY, v text DEFAULT 'x', at timestamptz);
INSERT INTO deep.t(v, at) SELECT 'row ' || i, '2020-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 500) i;
CREATE VIEW deep.v AS SELECT * FROM deep.t WHERE id > 10; CREATE TABLE big(b bytea);
INSERT INTO big SELECT decode(repeat('ab', 2000), 'hex') FROM generate_series(1, 50);
SELECT lo_from_bytea(4711, 'large'); CREATE FUNCTION deep.f() RETURNS int LANGUAGE sql AS 'SELECT 1';"""


@limit(60)
def test_pg_dump(ctx):
    """pg_dump calls set_config('search_path', '', false): the next client must not find its tables gone."""
    ctx.sql(SCHEMA)
    p = one(ctx)
    after = ctx.keep(p.connect(ctx.db, "postgres"))
    after.query("SELECT 1")
    wanted = tool(ctx, ctx.pg.port, "pg_dump", database=ctx.db)
    assert "COPY deep.t" in wanted
    for _ in range(2):
        assert tool(ctx, p.port, "pg_dump", database=ctx.db) == wanted
        assert after.query(FRESH).rows == AS_NEW
        assert after.value("SELECT count(*) FROM big") == "50"


@limit(90)
def test_pg_restore(ctx):
    """Dumped in parallel (a snapshot is handed from connection to connection) and restored in parallel."""
    ctx.sql(SCHEMA)
    target = ctx.new_database()
    p = ctx.proxy({ctx.db: ctx.server(), target: {**ctx.server(), "dbname": target}}, default_pool_size=4)
    where = f"{p.directory}/dump"
    tool(ctx, p.port, "pg_dump", "-Fd", "-j2", "-f", where, database=ctx.db)
    tool(ctx, p.port, "pg_restore", "-j3", "-d", target, where)
    wanted, got = (tool(ctx, ctx.pg.port, "pg_dump", database=d) for d in (ctx.db, target))
    assert got == wanted
    with p.connect(target, "postgres") as c:
        assert c.query(FRESH).rows == AS_NEW


def test_postgres_fdw(ctx):
    """A foreign server behind the pool: postgres_fdw sets search_path, TimeZone and more on its session, reads with
    cursors in REPEATABLE READ, and uses savepoints."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 300) i")
    p = one(ctx)
    near = ctx.new_database()
    ctx.sql(f"CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw "
            f"OPTIONS (host '127.0.0.1', port '{p.port}', dbname '{ctx.db}', fetch_size '50');"
            f"CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres', password 'postgres-secret');"
            f"CREATE FOREIGN TABLE t(id int, v text) SERVER far", database=near)
    neighbour = ctx.keep(p.connect(ctx.db, "postgres"))
    with ctx.pg.connect(near) as c:
        for _ in range(3):
            assert c.value("SELECT count(*) FROM t") == "300"
            assert neighbour.query(FRESH).rows == AS_NEW
            c.query("BEGIN")
            c.query("UPDATE t SET v = v || '+' WHERE id < 5")
            c.query("SAVEPOINT a")
            try:
                c.query("INSERT INTO t VALUES (7, 'again')")
                raise AssertionError("no error")
            except PgError as error:
                assert error.sqlstate == "23505"
            c.query("ROLLBACK TO a")
            assert c.value("SELECT v FROM t WHERE id = 3").endswith("+")
            c.query("COMMIT")
    assert neighbour.query(FRESH).rows == AS_NEW
    assert neighbour.value("SELECT v FROM t WHERE id = 3") == "v3+++"


def test_set_config_in_any_place(ctx):
    p, a, b = two(ctx)
    a.query("SELECT set_config('search_path', '', false), 1")
    a.run("SELECT count(*) FROM (SELECT set_config('statement_timeout', $1, false)) s", ["77777"])
    a.query("SELECT 1; SELECT set_config('app.tenant', 'a', false); SELECT 2")

    def look(c):
        assert c.query(FRESH).rows == [("", "77777ms", "off", "t", "a")]
    each_server(p, ctx, a, look)
    for c in (b, ctx.keep(p.connect(ctx.db))):
        assert c.query(FRESH).rows == AS_NEW
    a.close()
    b.query("BEGIN")
    late = ctx.keep(p.connect(ctx.db))
    for c in (b, late):
        assert c.query(FRESH).rows == AS_NEW


def test_timeout_of_another(ctx):
    """A short statement_timeout is its client's; and it is in force for it on every server."""
    p, a, b = two(ctx)
    a.query("SET statement_timeout = '30ms'")

    def cancelled(c):
        try:
            c.query("SELECT pg_sleep(5)")
            raise AssertionError("not cancelled")
        except PgError as error:
            assert error.sqlstate == "57014"
    for _ in range(3):
        cancelled(a)
        b.query("SELECT pg_sleep(0.06)")


def test_read_only_of_another(ctx):
    ctx.sql("CREATE TABLE t(id int); GRANT ALL ON t TO app")
    p, a, b = two(ctx)
    a.query("SET default_transaction_read_only = on")
    for _ in range(3):
        assert a.ask(query("INSERT INTO t VALUES (1)")).sqlstate() == "25006"
        b.query("INSERT INTO t VALUES (2)")
    a.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    a.query("INSERT INTO t VALUES (3)")


def test_tenants(ctx):
    """A schema for each tenant, chosen by search_path, with few servers and many turns."""
    for k in range(6):
        ctx.sql(f"CREATE SCHEMA t{k}; CREATE TABLE t{k}.me(k int); INSERT INTO t{k}.me VALUES ({k}); "
                f"GRANT USAGE ON SCHEMA t{k} TO app; GRANT ALL ON t{k}.me TO app")
    p = ctx.proxy(default_pool_size=6, max_prepared_statements=2)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(6)]
    for k, c in enumerate(clients):
        c.query(f"SET search_path TO t{k}, public")
    for _ in range(10):
        for k, c in enumerate(clients):
            assert c.value("SELECT k FROM me") == str(k)
            assert c.ask(unit("SELECT k FROM me", name="m") + close("S", "m") + sync(), times=2).check().value == str(k)


def test_lock_is_kept(ctx):
    """A session's advisory lock (migrations take one) is its own until it lets go, on whichever server."""
    p, a, b = two(ctx)
    a.query("SELECT pg_advisory_lock(7)")
    for _ in range(4):
        assert b.value("SELECT pg_try_advisory_lock(7)") == "f"
        a.query("SELECT 1")
    assert a.value("SELECT pg_advisory_unlock(7)") == "t"
    assert b.value("SELECT pg_try_advisory_lock(7)") == "t"
    b.close()
    p.wait(lambda: a.value("SELECT pg_try_advisory_lock(7)") == "t", "the lock of a client that left")


def test_prepare_of_a_dead_client(ctx):
    """PREPARE, and the client is gone within the transaction: the name is not there for the next."""
    p = one(ctx)
    for last_words in (b"", query("COMMIT")):
        a = p.connect(ctx.db)
        a.query("BEGIN")
        a.query("PREPARE leak AS SELECT 'secret'")
        a.send(last_words)
        a.abort()
        b = ctx.keep(p.connect(ctx.db))
        assert b.ask(query("EXECUTE leak")).sqlstate() == "26000"
        b.query("PREPARE leak AS SELECT 'mine'")
        assert b.value("EXECUTE leak") == "mine"
        b.close()


def test_role_defaults(ctx):
    """RESET leads to what ALTER ROLE ... SET says, and not to another client's value."""
    name = "defaulted_" + ctx.db[-20:]
    ctx.sql(f"CREATE ROLE {name} LOGIN; ALTER ROLE {name} SET work_mem = '7MB'; ALTER ROLE {name} SET search_path = deep")
    try:
        p = ctx.proxy(default_pool_size=2, users={name: "x", "console": "console-secret"})
        a, b = (ctx.keep(p.connect(ctx.db, name)) for _ in range(2))
        show = "SELECT current_setting('work_mem'), current_setting('search_path')"
        a.query("SET work_mem = '9MB'; SET search_path = other")
        for _ in range(3):
            assert a.query(show).rows == [("9MB", "other")]
            assert b.query(show).rows == [("7MB", "deep")]
        a.query("RESET work_mem")
        assert a.query(show).rows == [("7MB", "other")]
        a.query("RESET ALL")
        for c in (a, b):
            assert c.query(show).rows == [("7MB", "deep")]
        for c in (a, b):
            c.close()
    finally:
        p.stop()
        ctx.sql(f"DROP ROLE {name}")


def test_setting_is_not_requoted(ctx):
    """A value with quotes, commas and backslashes is the same after any number of moves."""
    p, a, b = two(ctx)
    hard = [("search_path", '"a b", "Q""uote", public'), ("app.odd", "it's \\ \"odd\", {x}; --"),
            ("application_name", "o'neil\\")]
    for name, value in hard:
        literal = value.replace("'", "''")
        if name == "search_path":
            a.query(f"SET search_path TO {value}")
        else:
            a.query(f"SET {name} = '{literal}'")
    for _ in range(6):
        for name, value in hard:
            assert a.value(f"SELECT current_setting('{name}')") == value, name
        b.query("BEGIN")
        b.query("SELECT 1")
        b.query("COMMIT")


def test_what_a_reset_leaves(ctx):
    """RESET of an extension's setting, where the extension is not loaded, leaves an empty value on that server. It is
    nobody's: taken for another client's own and set where the extension is, it would be refused, and end that one."""
    ctx.sql("CREATE FUNCTION quiet() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'")
    p, a, b = two(ctx)
    pid = a.value(PID)
    a.query("SET plpgsql.check_asserts = off")
    assert a.value("SHOW plpgsql.check_asserts") == "off"
    a.query("RESET plpgsql.check_asserts")
    holders = [ctx.keep(p.connect(ctx.db)) for _ in range(2)]
    for holder in holders:
        holder.query("BEGIN")
    there, elsewhere = sorted(holders, key=lambda h: h.value(PID) != pid)
    elsewhere.query("DO $$ BEGIN END $$")  # loads it
    there.query("COMMIT")
    assert b.value(PID) == pid
    b.query("SELECT quiet()")
    there.query("BEGIN")
    elsewhere.query("COMMIT")
    assert b.value("SELECT pg_backend_pid() <> " + pid) == "t"
    assert b.value("SHOW plpgsql.check_asserts") == "on"


def test_what_a_reset_leaves_of_ones_own(ctx):
    """The same client's, on a server where the extension is loaded: its default, not an error. What is nobody's but
    invented stays empty, also over another's value and over a role's default."""
    ctx.sql("ALTER ROLE app SET app.tenant = 'of the role'")
    p, a, b = two(ctx)
    a.query("SET plpgsql.check_asserts = off; SET app.tenant = 'x'; SET app.other = 'y'")
    a.query("RESET plpgsql.check_asserts; SET app.tenant = ''; RESET app.other")
    assert a.value("SELECT current_setting('app.tenant') || current_setting('app.other')") == ""
    pid = a.value(PID)
    holders = [ctx.keep(p.connect(ctx.db)) for _ in range(2)]
    for holder in holders:
        holder.query("BEGIN")
    there, elsewhere = sorted(holders, key=lambda h: h.value(PID) != pid)
    elsewhere.query("DO $$ BEGIN END $$")  # loads it
    elsewhere.query("SET app.other = 'theirs'; COMMIT")
    assert a.value("SELECT pg_backend_pid() <> " + pid) == "t"
    assert a.value("SHOW plpgsql.check_asserts") == "on"
    assert a.value("SELECT current_setting('app.tenant') || current_setting('app.other')") == ""
    there.query("COMMIT")
    b.query("BEGIN")
    theirs = "SELECT current_setting('app.tenant') || ', ' || current_setting('app.other')"
    assert elsewhere.value(theirs) == "of the role, theirs"


TRANSCRIPTS = [
    unit("SELECT 1"), unit("SELECT 1/0"), unit("SELECT 1", name="a") + bind("a") + describe() + execute() + sync(),
    parse("SELECT $1::int", "x", (23,)) + describe("S", "x") + sync() + bind("x", ["7"]) + execute() + sync(),
    parse("SELECT 1", "d") + parse("SELECT 2", "d") + sync(), close("S", "d") + close("P", "nope") + sync(),
    bind("none") + describe() + execute() + sync(), describe("S", "none") + sync(), execute("none") + sync(),
    parse("") + bind() + describe() + execute() + sync(), query(""), query(";;"), query("SELECT 1; SELECT 1/0; SELECT 2"),
    query("BEGIN") + unit("SELECT nope") + unit("SELECT 1") + query("ROLLBACK"), sync() + sync(),
    parse("SELECT 1") + bind() + describe() + flush() + execute() + flush() + sync(),
    parse("SELECT generate_series(1, 5)") + bind("", (), "p") + execute("p", 2) + execute("p", 2) + execute("p") + sync(),
    query("PREPARE q(int) AS SELECT $1") + query("EXECUTE q(1)") + bind("q", ["5"]) + describe() + execute() + sync()
    + query("DEALLOCATE q") + query("DEALLOCATE q") + query("EXECUTE q(1)"),
    parse("SELECT 3", "w") + sync() + query("DEALLOCATE w") + bind("w") + execute() + sync() + query("DEALLOCATE ALL"),
    query("SET nonsense = 1") + query("SHOW nonsense"), query("COMMIT"), query("BEGIN; SELECT 1") + query("COMMIT; SELECT 2"),
]


def answered(c, script, times):
    reply = c.ask(script, times=times)
    return [(m.kind, reply_body(m)) for m in reply.messages if m.kind != "S"]


def reply_body(m):
    if m.kind in "EN":
        fields = dict((part[:1], part[1:]) for part in bytes(m.body).split(b"\0") if part)
        return fields.get(b"C"), fields.get(b"M"), fields.get(b"S")
    return m.body


def ready_count(script):
    at, count = 0, 0
    while at < len(script):
        count += chr(script[at]) in "QS"
        at += 1 + int.from_bytes(script[at + 1:at + 5], "big")
    return count


def test_transcripts(ctx):
    """No answer is lost, doubled or moved: message for message as from PostgreSQL, with another client in
    between and few statements on a server."""
    p = ctx.proxy(default_pool_size=2, max_prepared_statements=1)
    direct, a, b = ctx.direct("app"), ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for turn in range(2):
        for n, script in enumerate(TRANSCRIPTS):
            times = ready_count(script)
            want, got = answered(direct, script, times), answered(a, script, times)
            assert got == want, (turn, n, script, got, want)
            b.query("BEGIN")
            b.run("SELECT 1", name=f"b{n}")
            b.query("COMMIT")
        for c in (direct, a, b):
            c.query("DEALLOCATE ALL")


# ---- prepared statements (3.2)


def test_copy_between_prepared(ctx):
    """COPY in the middle of a pipeline of prepared statements that push each other out."""
    ctx.sql("CREATE TABLE t(id int); GRANT ALL ON t TO app")
    p = one(ctx, max_prepared_statements=1)
    a = ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT 'a'", "a") + parse("SELECT 'b'", "b") + parse("COPY t FROM STDIN", "c") + sync()).check()

    def use(name):
        return bind(name) + execute()
    for _ in range(3):
        a.send(use("a") + use("b") + use("a") + sync() + use("c") + flush())
        first = a.until_ready().check()
        assert [r[0] for r in first.rows] == ["a", "b", "a"]
        assert "G" in a.until("GE").kinds
        a.send(copy_data(b"1\n2\n") + copy_done() + sync() + use("b") + sync())
        assert a.until_ready(2).check().rows == [("b",)]
    assert a.value("SELECT count(*) FROM t") == "6"


def test_failed_parse_is_not_kept(ctx):
    """A statement that could not be prepared is tried again, not taken for known."""
    p, a, b = two(ctx)
    text = "SELECT v FROM later"
    for c in (a, b, a):
        assert c.ask(unit(text, name="s")).sqlstate() == "42P01"
    ctx.sql("CREATE TABLE later(v int); INSERT INTO later VALUES (5); GRANT ALL ON later TO app")
    for c in (a, b):
        assert c.ask(unit(text, name="s")).check().value == "5"


def test_closes_and_evictions_in_one_batch(ctx):
    """Close of names whose statements are pushed out meanwhile: every answer in its place, and the server is fit for
    the next client."""
    p = one(ctx, max_prepared_statements=2)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    b.ask(parse("SELECT 'b'", "s") + sync()).check()
    for turn in range(3):
        script, want = b"", ""
        for k in range(6):
            script += parse(f"SELECT 'a{k}'", f"n{k}") + bind(f"n{k}") + execute()
            want += "12DC"
            if k % 2:
                script += close("S", f"n{k - 1}") + close("S", f"n{k}") + close("S", "never")
                want += "333"
        reply = a.ask(script + sync()).check()
        assert reply.kinds.replace("S", "") == want + "Z", reply.kinds
        assert [r[0] for r in reply.rows] == [f"a{k}" for k in range(6)]
        assert b.ask(bind("s") + execute() + sync()).check().value == "b"


# ---- logins (3.5)


def test_forced_user_keeps_its_login(ctx):
    """A client that logs in with SCRAM must not have its keys used for the server login of the user that the database
    forces."""
    forced = ctx.server(user="srv_scram", password="srv_scram-secret")
    p = ctx.proxy({ctx.db: forced, "own": ctx.server()}, auth_type="scram-sha-256", default_pool_size=1)
    for _ in range(2):
        for user in ("app", "other"):
            with p.connect(ctx.db, user) as c:
                assert c.value("SELECT session_user") == "srv_scram"
            with p.connect("own", user) as c:
                assert c.value("SELECT session_user") == user
        pid = None
        with p.connect(ctx.db, "app") as c:
            pid = c.value(PID)
        ctx.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        p.wait(lambda: p.pool(ctx.db, "srv_scram")["sv_idle"] == "0", "the proxy to have seen it")
