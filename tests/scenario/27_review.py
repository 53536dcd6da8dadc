# SPDX-License-Identifier: Apache-2.0
"""Where something of one client was met by another, or something of its own lost: found by reading."""
import threading

from fake import FakeServer
from pgwire import PeerClosed, bind, execute, message, parse, query, startup, sync
from servers import move, release


def pins(p):
    """Of all clients, but the console's."""
    return "".join(row["pins"] or "" for row in p.console("SHOW CLIENTS") if row["user"] == "app")


def test_greeting_with_anothers_settings(ctx):
    """A client whose settings are tried at its start gets none of those the server has of others."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    default = a.value("SHOW TimeZone")
    a.query("SET TimeZone = 'Asia/Tokyo'; SET application_name = 'of a'; SET IntervalStyle = 'iso_8601'")
    b = ctx.keep(p.connect(ctx.db, options="-c work_mem=5MB", client_encoding="LATIN1"))
    assert b.value("SHOW TimeZone") == b.parameters["TimeZone"] == default
    assert b.value("SHOW application_name") != "of a"
    assert b.value("SHOW IntervalStyle") == "postgres"


def test_half_a_datestyle(ctx):
    """What DateStyle=ISO leaves open is the server's default, not what another client had there."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    default = a.value("SHOW DateStyle")
    a.query("SET DateStyle = 'German, DMY'")
    b = ctx.keep(p.connect(ctx.db, DateStyle="ISO", options="-c work_mem=5MB"))
    assert b.value("SHOW DateStyle") == default
    a.query("SET DateStyle = 'German, DMY'")
    b = ctx.keep(p.connect(ctx.db, DateStyle="ISO"))
    assert b.value("SHOW DateStyle") == default


def test_names_that_are_not_shared(ctx):
    """max_prepared_statements = 0: a client that has prepared keeps its server, whatever it sets."""
    p = ctx.proxy(default_pool_size=8, worker_threads=1, max_prepared_statements=0)
    a = ctx.keep(p.connect(ctx.db))
    b = ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT 'of a'", "s"), sync()).check()
    a.query("SET work_mem = '5MB'")
    b.query("SELECT 1")
    assert a.ask(bind("s"), execute(), sync()).check().value == "of a"
    assert b.ask(bind("s"), execute(), sync()).sqlstate() == "26000"


def test_session_mode_after_unseen_code(ctx):
    """server_reset_query is run even where settings are to be reset for another reason."""
    ctx.sql("CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN 1; END$$")
    p = ctx.cache_proxy(default_pool_size=1, pool_mode="session")
    a = ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT 'of a'", "s"), sync()).check()
    a.query("SELECT public.f()")
    p.wait(lambda: pins(p) == "", "the look")
    a.close()
    b = ctx.keep(p.connect(ctx.db))
    assert b.ask(bind("s"), execute(), sync()).sqlstate() == "26000"


def test_reset_query_that_does_less(ctx):
    """server_reset_query may take settings off: they are put back."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1, server_reset_query="RESET ALL",
                  server_reset_query_always=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("SET work_mem = '5MB'; SET app.x = '1'")
    b = ctx.keep(p.connect(ctx.db))
    for _ in range(3):
        b.query("SELECT 1")
        assert a.value("SHOW work_mem") == "5MB"
        assert a.value("SHOW app.x") == "1"


def test_reset_query_that_does_less_in_session_mode(ctx):
    p = ctx.proxy(default_pool_size=1, server_reset_query="RESET ALL", pool_mode="session")
    for _ in range(3):
        a = ctx.keep(p.connect(ctx.db, options="-c work_mem=5MB"))
        assert a.value("SHOW work_mem") == "5MB"
        a.close()


def test_value_in_another_encoding(ctx):
    """A value is followed as text, not as the bytes of an encoding that its client has left."""
    p = ctx.proxy(default_pool_size=8, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("SET app.who = 'Jos\u00e9'")
    a.query("SELECT 1")  # what was set is known by now
    a.query("SET client_encoding = 'LATIN1'")
    holders = move(ctx, p, a)
    got = a.query("SELECT current_setting('app.who')").rows_raw[0][0]
    assert got == "Jos\u00e9".encode("latin1"), got
    release(holders)


def test_same_bytes_other_text(ctx):
    """Two clients whose values are the same bytes in different encodings have different values."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db, client_encoding="LATIN1"))
    b = ctx.keep(p.connect(ctx.db, client_encoding="UTF8"))
    for _ in range(2):
        a.query(b"SET app.who = '\xc3\xa9'")
        b.query(b"SET app.who = '\xc3\xa9'")
        a.query("SELECT 1")
        assert b.value("SELECT length(current_setting('app.who'))") == "1"
        assert a.value("SELECT length(current_setting('app.who'))") == "2"
        b.query("SELECT 1")
        assert a.value("SELECT length(current_setting('app.who'))") == "2"


def test_backslash_in_a_character(ctx):
    """In SJIS the second byte of a character may be a backslash."""
    p = ctx.proxy(default_pool_size=8, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db, client_encoding="SJIS"))
    a.query(b"SET app.who = '\x95\x5c'")
    holders = move(ctx, p, a)
    got = a.query("SELECT current_setting('app.who')").rows_raw[0][0]
    assert got == b"\x95\x5c", got
    release(holders)


def test_many_names(ctx):
    """Columns with dots in a transaction are not taken for names of settings."""
    p = ctx.proxy(default_pool_size=8, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    columns = ", ".join(f"u.c{i}" for i in range(60))
    values = ", ".join(f"1 c{i}" for i in range(60))
    a.query("BEGIN; SET work_mem = '5MB'")
    a.query(f"SELECT {columns} FROM (SELECT {values}) u").check()
    a.query("SELECT set_config('app.tenant', '7', false)")
    a.query("COMMIT")
    holders = move(ctx, p, a)
    assert a.value("SELECT current_setting('app.tenant', true)") == "7"
    release(holders)


def test_rerun_loses_nothing_before(ctx):
    """A batch is run again only if nothing in it was answered: 0A000 has undone that, too."""
    ctx.sql("CREATE TABLE t(a int); INSERT INTO t VALUES (1); CREATE TABLE log(x int);"
            "GRANT ALL ON t, log TO PUBLIC")
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    c.query("PREPARE ins AS INSERT INTO log VALUES (1)")
    c.ask(parse("SELECT * FROM t", "s"), sync()).check()
    c.ask(bind("s"), execute(), sync()).check()
    ctx.sql("ALTER TABLE t ADD COLUMN b int")
    reply = c.ask(parse("SELECT * FROM t", "s2"), bind("ins"), execute(), bind("s"), execute(), sync())
    assert reply.sqlstate() == "0A000" and c.value("SELECT count(*) FROM log") == "0", reply.kinds


def test_no_word_before_authentication(ctx):
    """Settings that are tried for a client at its start: it hears of them when it is let in."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("SET DateStyle = 'German, DMY'")
    with p.open() as b:
        b.send(startup({"user": "app", "database": ctx.db, "DateStyle": "iso", "work_mem": "5MB"}))
        reply = b.until_ready()
        assert reply.kinds[0] == "R", reply.kinds
        assert b.parameters["DateStyle"] == "ISO, MDY", b.parameters


def test_set_by_execute(ctx):
    p = ctx.proxy(default_pool_size=8, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("PREPARE q(text) AS SELECT set_config('app.tenant', $1, false)")
    a.query("SELECT 1")
    assert a.query("EXECUTE q('7')").value == "7"
    holders = move(ctx, p, a)
    assert a.value("SELECT current_setting('app.tenant', true)") == "7"
    release(holders)


def test_looked_at_once(ctx):
    """A client that goes on before it was looked at is not looked at again for that."""
    ctx.sql(f"ALTER DATABASE {ctx.db} SET log_statement = 'all'")
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    lock = ctx.keep(ctx.direct("postgres"))
    lock.query("BEGIN; LOCK TABLE pg_catalog.pg_depend")  # what is temporary is looked up there
    before = ctx.pg.log().count("SHOW statement_timeout;SET LOCAL")
    a.query("SET work_mem = '5MB'")
    a.send(query("SELECT 1"))
    assert a.is_quiet()
    lock.query("ROLLBACK")
    a.until_ready().check()
    assert b.value("SHOW work_mem") == "4MB"
    assert a.value("SHOW work_mem") == "5MB"
    assert ctx.pg.log().count("SHOW statement_timeout;SET LOCAL") == before + 1


def test_prepared_while_looked_at(ctx):
    """What pins while the server is asked what pins is not overlooked."""
    p = ctx.proxy(default_pool_size=8, worker_threads=1, max_prepared_statements=0)
    a = ctx.keep(p.connect(ctx.db))
    lock = ctx.keep(ctx.direct("postgres"))
    lock.query("BEGIN; LOCK TABLE pg_catalog.pg_depend")
    a.query("SET work_mem = '5MB'")
    a.send(parse("SELECT 'of a'", "s"), sync())
    assert a.is_quiet()
    lock.query("ROLLBACK")
    a.until_ready().check()
    p.wait(lambda: "set" not in pins(p), "the look")
    assert "prepare" in pins(p)
    assert a.ask(bind("s"), execute(), sync()).check().value == "of a"


class Halves(FakeServer):
    """Behind the answer to SELECT 2 comes half a message, and the rest when asked for."""

    def __init__(self, late):
        self.late, self.go = late, threading.Event()
        super().__init__()

    def _answer(self, sql, key):
        out = super()._answer(sql, key)
        if sql == "SELECT 2":
            out += self.late[:12]
            threading.Thread(target=self._rest, args=(self.open[-1],), daemon=True).start()
        return out

    def _rest(self, s):
        self.go.wait()
        s.sendall(self.late[12:])


def test_half_a_message_behind_the_answer(ctx):
    """All of it is its client's, and the next one gets the server then."""
    for late in (message("N", b"SNOTICE\0C00000\0Mfor the first\0\0"),
                 message("A", b"\0\0\0\1channel\0payload\0")):
        with Halves(late) as f:
            p = ctx.proxy({"x": {"host": "127.0.0.1", "port": f.port}}, default_pool_size=1,
                          worker_threads=1)
            a, b = (ctx.keep(p.connect("x")) for _ in range(2))
            a.query("SELECT 2")
            b.send(query("SELECT 1"))
            assert b.is_quiet()
            f.go.set()
            assert a.read().raw == late
            assert b.until_ready().kinds == "TDCZ"
            p.stop()


def with_connect_query(ctx, text, **settings):
    databases = {ctx.db: ctx.server(connect_query="'" + text.replace("'", "''") + "'")}
    return ctx.proxy(databases, default_pool_size=1, worker_threads=1, **settings)


def test_connect_query_is_reset(ctx):
    """What connect_query made of a session, everybody gets, whatever another one has reset."""
    ctx.sql("GRANT other TO app")
    p = with_connect_query(ctx, "SET work_mem = '7MB'; SET ROLE other")
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for reset in ("RESET work_mem", "RESET ALL", "RESET ROLE", "DISCARD ALL", "SET ROLE app", "SET ROLE none",
                  "SET work_mem TO DEFAULT"):
        a.query(reset)
        assert b.value("SHOW work_mem") == "7MB", reset
        assert b.value("SELECT current_user") == "other", reset


def test_connect_query_does_not_undo(ctx):
    """Where it runs again, a client's reported settings are still what the client was told."""
    p = with_connect_query(ctx, "SET timezone = 'Asia/Tokyo'")
    a = ctx.keep(p.connect(ctx.db))
    assert a.value("SHOW timezone") == "Asia/Tokyo"
    a.query("DISCARD ALL")
    zone = ctx.direct("app").value("SHOW timezone")
    assert [a.value("SHOW timezone") for _ in range(3)] == [zone] * 3


def test_connect_query_with_a_name_of_its_own(ctx):
    p = with_connect_query(ctx, "SET app.env = 'prod'")
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    assert b.value("SHOW app.env") == "prod"
    a.query("SET app.env = 'test'")
    assert b.value("SHOW app.env") == "prod"
    assert a.value("SHOW app.env") == "test"
    a.query("RESET app.env")
    assert b.value("SHOW app.env") == "prod"


def test_connect_query_once(ctx):
    """Once for each session that is new, or was made new."""
    ctx.sql("CREATE TABLE log(i int); GRANT ALL ON log TO PUBLIC")
    p = with_connect_query(ctx, "INSERT INTO log VALUES (1)", pool_mode="session")
    for i in range(3):
        with p.connect(ctx.db) as a:
            assert a.value("SELECT 1") == "1"
            assert a.value("SELECT count(*) FROM log") == str(i + 1)


def test_setting_that_fails_elsewhere(ctx):
    """A setting that one server took may fail on another: nothing of its client runs there then."""
    ctx.sql("CREATE TABLE seen(who text); GRANT ALL ON seen TO PUBLIC")
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET auth_delay.foo = '1'")
    # From here on a new session has a module that keeps such names to itself.
    ctx.sql(f"ALTER DATABASE {ctx.db} SET session_preload_libraries = 'auth_delay'")
    p.console(f"RECONNECT {ctx.db}")
    b.query("SET app.tenant = 'b'")
    b.query("SELECT 1")
    try:
        a.query("INSERT INTO seen SELECT current_setting('app.tenant', true)")
        raise AssertionError("it was served")
    except PeerClosed as closed:
        assert closed.error.sqlstate == "42602", closed.error
    assert b.value("SELECT count(*) FROM seen") == "0"


def test_setting_that_a_module_takes_away(ctx):
    """As in a session of its own: a made-up name is removed when a function's first call loads the module that keeps
    such names to itself, with a warning; what stands beside it stays, and nothing else is heard of it."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET plpgsql.foo = '1'; SET plpgsql.extra_errors = 'all'; SET app.tenant = 'a'")
    b.query("DO $$BEGIN PERFORM 1; END$$")  # the only server has it now
    b.query("SET app.tenant = 'b'")
    got = a.query("SELECT current_setting('app.tenant'), current_setting('plpgsql.extra_errors'),"
                  " current_setting('plpgsql.foo', true)")
    assert got.rows == [("a", "all", None)], got.rows
    assert [(n["S"], n["C"], n["M"], n["D"]) for n in got.notices] == [
        ("WARNING", "42602", 'invalid configuration parameter name "plpgsql.foo", removing it',
         '"plpgsql" is now a reserved prefix.')], got.notices
    assert b.value("SHOW app.tenant") == "b"
    got = a.query("SHOW app.tenant")
    assert got.rows == [("a",)] and not got.notices


def test_prepared_in_another_encoding(ctx):
    """What one client prepared in its encoding does not pin another one."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db, client_encoding="LATIN1"))
    b = ctx.keep(p.connect(ctx.db))
    a.query(b"PREPARE q AS SELECT '\xe9'")
    for change in ("SET work_mem = '5MB'", "DO $$BEGIN PERFORM 1; END$$"):
        assert a.query("EXECUTE q").rows_raw == [[b"\xe9"]]
        b.query(change)
        p.wait(lambda: pins(p) == "", "the look")
    assert a.query("EXECUTE q").rows_raw == [[b"\xe9"]]
