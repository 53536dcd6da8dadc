# SPDX-License-Identifier: Apache-2.0
"""Startup parameters, and every way not to get in: PgBouncer's or PostgreSQL's words, and a SQLSTATE."""
import re
import socket
import struct

from pgwire import GSS_CODE, PROTOCOL_3, SSL_CODE, PeerClosed, Wire, cstring, message, startup

ONLY = "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"


def says(error, sqlstate, text):
    assert (error.severity, error.sqlstate, error.text) == ("FATAL", sqlstate, text), error
    assert error.fields["V"] == "FATAL", error.fields


def raw(ctx, p, *parts):
    """Sends those bytes on a connection of their own; returns the error that came before its end."""
    c = ctx.keep(p.open())
    c.send(*parts)
    errors = c.wait_closed().errors
    assert len(errors) == 1, errors
    return errors[0]


# ---- who and where to


def test_unknown_database(ctx):
    """Told only to who has proved who it is."""
    p = ctx.proxy()
    says(p.refused("nowhere"), "3D000", "no such database: nowhere")
    for auth_type in ("plain", "md5", "scram-sha-256"):
        p.reload(auth_type=auth_type)
        says(p.refused("nowhere"), "3D000", "no such database: nowhere")
        for user, database in (("app", "nowhere"), ("app", ctx.db), ("stranger", "nowhere"), ("stranger", ctx.db)):
            says(p.refused(database, user, password="wrong"), "28P01",
                 f'password authentication failed for user "{user}"')


def test_unknown_user(ctx):
    p = ctx.proxy()
    says(p.refused(ctx.db, "stranger"), "28000", '"trust" authentication failed')
    p.wait_log("no such user: stranger")


def test_any_needs_a_forced_user(ctx):
    p = ctx.proxy(auth_type="any", databases={ctx.db: ctx.server(), "forced": ctx.server(user="app")})
    says(p.refused(ctx.db, "whoever"), "08P01", "bouncer config error")
    p.wait_log("auth_type=any requires forced user")
    says(p.refused("nowhere", "whoever"), "3D000", "no such database: nowhere")
    with p.connect("forced", "whoever") as c:
        assert c.value("SELECT current_user") == "app"


def test_too_many(ctx):
    p = ctx.proxy(max_client_conn=2)
    ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    says(p.refused(ctx.db), "53300", "no more connections allowed (max_client_conn)")


def test_console_is_not_for_everybody(ctx):
    p = ctx.proxy()
    says(p.refused("pgbouncer", "app"), "08P01", "not allowed")


def test_names(ctx):
    p = ctx.proxy(databases={"app": ctx.server(), ctx.db: ctx.server()})
    says(raw(ctx, p, startup({"database": ctx.db})), "28000",
         "no username supplied")
    says(raw(ctx, p, startup({"user": "", "database": ctx.db})), "28000",
         "no username supplied")
    says(p.refused(ctx.db, "u" * 128), "08P01", "username too long")
    c = ctx.keep(p.open())
    c.send(startup({"user": "app"}))  # the database is named like the user
    c.until("ZE").check()


# ---- packets


def test_bad_packets(ctx):
    p = ctx.proxy()
    layout = "invalid startup packet layout: expected terminator as last byte"
    for body in (b"", b"user", b"user\0", b"user\0app", b"user\0app\0", b"user\0app\0\0x", b"user\0app\0\0\0",
                 b"user\0app\0database\0\0"):
        if body == b"user\0app\0database\0\0":
            body = b"user\0app\0database\0x"
        packet = struct.pack("!II", 8 + len(body), PROTOCOL_3) + body
        says(raw(ctx, p, packet), "08P01", layout)
    for length in (0, 4, 7, 10001, 0x7fffffff, 0xffffffff):
        says(raw(ctx, p, struct.pack("!II", length, PROTOCOL_3)), "08P01", "invalid length of startup packet")
    says(raw(ctx, p, b"GET / HTTP/1.1\r\n\r\n"), "08P01", "invalid length of startup packet")


def test_encryption_requests(ctx):
    p = ctx.proxy()
    for code, name in ((SSL_CODE, "SSL request"), (GSS_CODE, "GSSAPI encryption request")):
        asks = struct.pack("!II", 8, code)
        c = ctx.keep(p.open())
        c.send(asks)  # once: 71_hostile/encryption_requests_once
        assert c.read_bytes(1) == b"N"
        c.send(startup({"user": "app", "database": ctx.db}))
        c.until("ZE").check()
        says(raw(ctx, p, asks + startup({"user": "app", "database": ctx.db})), "08P01",
             f"received unencrypted data after {name}")


def test_instead_of_a_password(ctx):
    p = ctx.proxy()
    for auth_type in ("md5", "plain"):
        p.reload(auth_type=auth_type)
        for wrong, state, text in (
                (message("Q", cstring("SELECT 1")), "08P01", "expected password response, got message type 81"),
                (b"p\0\0\0\1", "08P01", "invalid message length"),
                (b"p\x7f\xff\xff\xff", "08P01", "invalid message length"),
                (message("p", b""), "08P01", "invalid password packet size"),
                (message("p", b"secret"), "08P01", "invalid password packet size"),
                (message("p", b"secret\0more\0"), "08P01", "invalid password packet size"),
                (message("p", b"\0"), "28P01", "empty password returned by client")):
            c = ctx.keep(p.open())
            c.send(startup({"user": "app", "database": ctx.db}))
            assert c.read().kind == "R"
            c.send(wrong)
            error, = c.wait_closed().errors
            says(error, state, text)
    p.reload(auth_type="scram-sha-256")
    for wrong, text in ((message("p", b"SCRAM-SHA-1\0\0\0\0\1n"),
                         "client selected an invalid SASL authentication mechanism"),
                        (message("p", b"SCRAM-SHA-256\0\0\0\0\1n"), "malformed SCRAM message")):
        c = ctx.keep(p.open())
        c.send(startup({"user": "app", "database": ctx.db}))
        assert c.read().kind == "R"
        c.send(wrong)
        error, = c.wait_closed().errors
        says(error, "08P01", text)


def test_probes_are_not_logged(ctx):
    """Who connects and leaves without a word is a health check."""
    p = ctx.proxy(log_disconnections=1)
    seen = p.log().count("closing because")
    for _ in range(5):
        p.open().socket.close()
    c = ctx.keep(p.open())
    c.send(b"\0\0")
    c.socket.close()
    p.wait_log(r"\(nodb\)/\(nouser\)@127.0.0.1:\d+ closing because: client unexpected eof")
    assert p.log().count("closing because") == seen + 1


# ---- parameters


def test_unsupported_parameters(ctx):
    p = ctx.proxy(ignore_startup_parameters="no_such_thing, other")
    says(p.refused(ctx.db, nonsense="1"), "42704", 'unrecognized configuration parameter "nonsense"')
    with p.connect(ctx.db, no_such_thing="1", other="", **{"OTHER": "x"}) as c:
        assert c.value("SELECT 1") == "1"


def test_options(ctx):
    p = ctx.proxy()
    zone = "SHOW TimeZone"
    for options, expected in (("-c TimeZone=Asia/Tokyo", "Asia/Tokyo"), ("-cTimeZone=Asia/Tokyo", "Asia/Tokyo"),
                              ("--TimeZone=Asia/Tokyo", "Asia/Tokyo"), ("  --timezone=UTC ", "UTC"),
                              ("-c application_name=x --TimeZone=Asia/Tokyo", "Asia/Tokyo")):
        with p.connect(ctx.db, options=options) as c:
            assert c.value(zone) == expected, options
    with p.connect(ctx.db, options=r"-c application_name=a\ b\\c") as c:
        assert c.value("SHOW application_name") == r"a b\c"
    says(p.refused(ctx.db, options="-c TimeZone"), "42601", "-c TimeZone requires a value")
    says(p.refused(ctx.db, options="--TimeZone"), "42601", "--TimeZone requires a value")
    says(p.refused(ctx.db, options="-B 100"), "08P01", ONLY)
    says(p.refused(ctx.db, options="whatever"), "08P01", ONLY)
    says(p.refused(ctx.db, options="-c nonsense=1"), "42704", 'unrecognized configuration parameter "nonsense"')
    for ignored in ("nonsense", "options"):
        p.reload(ignore_startup_parameters=ignored)
        with p.connect(ctx.db, options="-c nonsense=1 -c TimeZone=Asia/Tokyo") as c:
            assert c.value(zone) == "Asia/Tokyo"
    with p.connect(ctx.db, options="-B 100") as c:  # "options" is ignored now
        assert c.value("SELECT 1") == "1"


def test_application_name_add_host(ctx):
    p = ctx.proxy(application_name_add_host=1)
    with p.connect(ctx.db, application_name="shop") as c:
        port = c.socket.getsockname()[1]
        assert c.value("SHOW application_name") == f"shop - 127.0.0.1:{port}"
    with p.connect(ctx.db) as c:
        port = c.socket.getsockname()[1]
        assert c.value("SHOW application_name") == f"app - 127.0.0.1:{port}"
        # From then on the client's own word counts.
        c.query("SET application_name = 'plain'")
        assert c.value("SHOW application_name") == "plain"
    with p.connect(ctx.db, unix=True, application_name="shop") as c:
        # PostgreSQL keeps 63 bytes.
        assert re.match(rf"shop - unix\(\d+@{re.escape(socket.gethostname())[:20]}", c.value("SHOW application_name"))


def test_log_lines_have_the_address(ctx):
    p = ctx.proxy(log_connections=1, log_disconnections=1)
    c = p.connect(ctx.db)
    port = c.socket.getsockname()[1]
    c.close()
    who = rf"C-0x[0-9a-f]+: {ctx.db}/app@127.0.0.1:{port}"
    p.wait_log(rf"{who} login attempt: db={ctx.db} user=app tls=no replication=no")
    p.wait_log(rf"{who} closing because: client close request \(age=0s\)")
    p.connect(ctx.db, unix=True).close()
    p.wait_log(rf"{ctx.db}/app@unix\(\d+\):{p.port} closing because: client close request")


def test_shutting_down(ctx):
    """A login that was begun before a shutdown that waits for clients."""
    import signal
    p = ctx.proxy()
    ctx.keep(p.connect(ctx.db))
    late = ctx.keep(Wire(p.address))
    late.send(struct.pack("!II", 8, SSL_CODE))
    assert late.read_bytes(1) == b"N"
    p.signal(signal.SIGTERM)
    p.wait_log("SIGTERM")
    try:
        late.send(startup({"user": "app", "database": ctx.db}))
        says(late.wait_closed().errors[0], "57P03", "the database system is shutting down")
    except PeerClosed as closed:
        says(closed.error, "57P01", "pgweir shutting down")
    p.kill()
