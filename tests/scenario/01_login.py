# SPDX-License-Identifier: Apache-2.0
"""Who gets in, and what the others hear."""
import proxy as px


def test_trust(ctx):
    p = ctx.proxy()
    with p.connect(ctx.db) as c:
        assert c.auth_codes == [0]
        assert c.value("SELECT current_user") == "app"
        assert c.value("SELECT current_database()") == ctx.db
        assert c.pid and c.key
        assert c.parameters["server_version"].startswith("1")
        assert c.status == "I"


def test_plain(ctx):
    p = ctx.proxy(auth_type="plain")
    with p.connect(ctx.db) as c:
        assert c.auth_codes == [3, 0]
        assert c.value("SELECT 1") == "1"
    check_refusals(ctx, p)


def test_md5(ctx):
    p = ctx.proxy(auth_type="md5")
    with p.connect(ctx.db) as c:
        assert c.auth_codes == [5, 0]
        assert c.value("SELECT 1") == "1"
    check_refusals(ctx, p)


def test_scram(ctx):
    p = ctx.proxy(auth_type="scram-sha-256")
    with p.connect(ctx.db) as c:
        assert c.auth_codes == [10, 11, 12, 0]
        assert c.value("SELECT 1") == "1"
    check_refusals(ctx, p)


def check_refusals(ctx, p):
    error = p.refused(ctx.db, password="wrong")
    assert error.sqlstate == "28P01", error
    assert error.severity == "FATAL", error
    assert "password authentication failed" in error.text or "SASL authentication failed" in error.text, error
    # Someone unknown hears what someone with a wrong password hears.
    stranger = p.refused(ctx.db, user="stranger", password="any")
    assert stranger.sqlstate == "28P01", stranger
    assert stranger.text.replace("stranger", "app") == error.text, (stranger, error)


def test_md5_secret_in_users_file(ctx):
    import hashlib
    secret = "md5" + hashlib.md5(b"app-secretapp").hexdigest()
    p = ctx.proxy(auth_type="md5", users=px.USERS | {"app": secret})
    with p.connect(ctx.db, password="app-secret") as c:
        assert c.auth_codes == [5, 0]
        assert c.value("SELECT 1") == "1"
    assert p.refused(ctx.db, password="x").sqlstate == "28P01"


def test_scram_secret_in_users_file(ctx):
    secret = ctx.pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")[0][0]
    assert secret.startswith("SCRAM-SHA-256$")
    # auth_type md5 offers SCRAM to a user whose secret is one, as PostgreSQL does.
    for auth_type in ("scram-sha-256", "md5"):
        p = ctx.proxy(auth_type=auth_type, users=px.USERS | {"app": secret})
        with p.connect(ctx.db, password="app-secret") as c:
            assert c.auth_codes == [10, 11, 12, 0]
            assert c.value("SELECT 1") == "1"
        assert p.refused(ctx.db, password="x").sqlstate == "28P01"


def test_scram_keys_pass_through(ctx):
    """With only a stored secret, the proxy logs in to the server with the keys of the client's proof."""
    secret = ctx.pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'srv_scram'")[0][0]
    p = ctx.proxy(auth_type="scram-sha-256", users=px.USERS | {"srv_scram": secret})
    with p.connect(ctx.db, user="srv_scram", password="srv_scram-secret") as c:
        assert c.value("SELECT current_user") == "srv_scram"


def test_server_logins(ctx):
    p = ctx.proxy()
    for user in ("srv_trust", "srv_plain", "srv_md5", "srv_scram"):
        with p.connect(ctx.db, user=user) as c:
            assert c.value("SELECT current_user") == user


def test_server_wrong_password(ctx):
    """The client hears the server's own error."""
    p = ctx.proxy(users=px.USERS | {"srv_scram": "wrong", "srv_md5": "wrong", "srv_plain": "wrong"},
                  query_wait_timeout=5)
    for user in ("srv_scram", "srv_md5", "srv_plain"):
        error = p.refused(ctx.db, user=user)
        assert error.sqlstate == "28P01", error
        assert "password authentication failed" in error.text, error


def test_forced_user(ctx):
    p = ctx.proxy(databases={"forced": ctx.server(user="srv_scram", password="srv_scram-secret")})
    with p.connect("forced") as c:
        assert c.value("SELECT current_user") == "srv_scram"


def test_unknown_user(ctx):
    p = ctx.proxy()
    error = p.refused(ctx.db, user="nobody_here")
    assert error.sqlstate in ("28P01", "28000", "08P01"), error


def test_unknown_database(ctx):
    p = ctx.proxy()
    error = p.refused("nowhere")
    assert "no such database: nowhere" in error.text, error
    assert error.sqlstate in ("3D000", "08P01"), error
    # Nobody else notices.
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_database_missing_on_server(ctx):
    p = ctx.proxy(databases={"ghost": ctx.server() | {"dbname": "ghost_db"}}, query_wait_timeout=5)
    error = p.refused("ghost")
    assert error.sqlstate == "3D000", error
    assert "ghost_db" in error.text, error


def test_fallback_database(ctx):
    p = ctx.proxy(databases={"*": {"host": "127.0.0.1", "port": ctx.pg.port}})
    with p.connect(ctx.db) as c:
        assert c.value("SELECT current_database()") == ctx.db


def test_unix_sockets_both_sides(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server() | {"host": ctx.pg.directory}})
    with p.connect(ctx.db, unix=True) as c:
        assert c.value("SELECT inet_client_addr() IS NULL") == "t"


def test_startup_parameters(ctx):
    p = ctx.proxy(ignore_startup_parameters="search_path,extra_float_digits")
    with p.connect(ctx.db, application_name="tester", TimeZone="Asia/Tokyo", DateStyle="German",
                   client_encoding="LATIN1", extra_float_digits="2", search_path="x") as c:
        assert c.value("SHOW application_name") == "tester"
        assert c.value("SHOW TimeZone") == "Asia/Tokyo"
        assert c.value("SHOW DateStyle").startswith("German")
        assert c.value("SHOW client_encoding") == "LATIN1"
        assert c.parameters["application_name"] == "tester"
        assert c.parameters["TimeZone"] == "Asia/Tokyo"
    with p.connect(ctx.db, work_mem="5MB", options="-c lock_timeout=7s") as c:
        assert c.value("SHOW work_mem") == "5MB"
        assert c.value("SHOW lock_timeout") == "7s"


def test_startup_parameters_refused(ctx):
    """PostgreSQL's own words for a setting that is none, and before the client is let in."""
    p = ctx.proxy()
    for _ in range(2):
        error = p.refused(ctx.db, no_such_thing="4MB")
        assert 'unrecognized configuration parameter "no_such_thing"' in error.text, error
        assert error.sqlstate == "42704", error
        error = p.refused(ctx.db, options="-c work_mem=much")
        assert 'invalid value for parameter "work_mem"' in error.text, error
        assert error.sqlstate == "22023", error
