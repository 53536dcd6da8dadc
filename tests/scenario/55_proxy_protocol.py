# SPDX-License-Identifier: Apache-2.0
"""PROXY protocol: a trusted load balancer says whose connection it passes on; nobody else may."""
import struct
import sys

import cluster as pg
from pgwire import CANCEL_CODE, SSL_CODE, PeerClosed, Wire, query, startup

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432\r\n"
V2 = SIGNATURE + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 4711, 5432)
V2_IPV6 = (SIGNATURE + b"\x21\x21\0\x24" + bytes.fromhex("20010db8000000000000000000000007") + bytes(15) + b"\x01"
           + struct.pack("!HH", 4711, 5432))
LOCAL = SIGNATURE + b"\x20\0\0\0"
UNSPECIFIED = SIGNATURE + b"\x21\0\0\0"


def balanced(ctx, **options):
    return ctx.proxy(**{"proxy_protocol": "on", "proxy_protocol_from": "127.0.0.0/8", "log_disconnections": 1,
                        "log_connections": 1, "application_name_add_host": 1} | options)


def enter(ctx, p, header, unix=False, database=None, user="app", password=None):
    c = ctx.keep(Wire(p.socket_path if unix else p.address))
    c.send(header)
    return c.login(user, database or ctx.db, p.users.get(user) if password is None else password,
                   application_name="shop")


def refusal(ctx, p, *parts, unix=False):
    c = ctx.keep(Wire(p.socket_path if unix else p.address))
    try:
        c.send(*parts)
        return c.wait_closed().errors[0]
    except PeerClosed as closed:
        return closed.error


def test_announced_address(ctx):
    """It is the client's, everywhere it is shown."""
    p = balanced(ctx)
    for header, shown, name in ((V1, "192.0.2.7", "192.0.2.7:4711"), (V2, "192.0.2.7", "192.0.2.7:4711"),
                                (V2_IPV6, "2001:db8::7", "[2001:db8::7]:4711")):
        c = enter(ctx, p, header)
        assert c.value("SHOW application_name") == f"shop - {name}"
        row = next(r for r in p.console("SHOW CLIENTS") if r["database"] == ctx.db)
        assert (row["addr"], row["port"]) == (shown, "4711"), row
        p.wait_log(rf"{ctx.db}/app@{name.replace('[', '.').replace(']', '.')} login attempt")
        c.close()
        p.wait(lambda: not [r for r in p.console("SHOW CLIENTS") if r["database"] == ctx.db], "its end")
        p.wait_log(rf"app@.{{0,1}}{shown}.*closing because: client close request")


def test_in_pieces(ctx):
    """Byte by byte, and with the startup message right behind."""
    p = balanced(ctx)
    for header in (V1, V2):
        c = ctx.keep(p.open())
        for byte in header:
            c.send(bytes([byte]))
        c.login("app", ctx.db)
        assert c.value("SHOW application_name") == "app - 192.0.2.7:4711"
        c = ctx.keep(p.open())
        c.send(header + startup({"user": "app", "database": ctx.db}))
        c.until_ready()
        assert c.value("SELECT 1") == "1"
        c = ctx.keep(p.open())
        c.send(header + struct.pack("!II", 8, SSL_CODE))
        assert c.read_bytes(1) == b"N"
        c.login("app", ctx.db)


def test_nothing_announced(ctx):
    """A health check, or a balancer that does not know: the socket's own address counts."""
    p = balanced(ctx)
    for header in (LOCAL, b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x21\0\0\0", b""):
        c = enter(ctx, p, header)
        assert c.value("SHOW application_name") == f"shop - 127.0.0.1:{c.socket.getsockname()[1]}"
    with Wire(p.address) as c:
        c.send(LOCAL)


def test_untrusted(ctx):
    p = balanced(ctx, proxy_protocol_from="192.0.2.0/24, ::1")
    for header in (V1, V2, LOCAL, b"P", b"\r"):
        error = refusal(ctx, p, header)
        assert (error.sqlstate, error.text) == ("08P01", "PROXY protocol header from an untrusted address"), error
    assert enter(ctx, p, b"").value("SELECT 1") == "1"
    p.reload(proxy_protocol_from="127.0.0.1")
    assert enter(ctx, p, V1).value("SHOW application_name") == "shop - 192.0.2.7:4711"


def test_off(ctx):
    p = balanced(ctx, proxy_protocol="off")
    for header in (V1, V2):
        error = refusal(ctx, p, header)
        assert (error.sqlstate, error.text) == ("08P01", "invalid length of startup packet"), error


def test_required(ctx):
    p = balanced(ctx, proxy_protocol="required")
    error = refusal(ctx, p, startup({"user": "app", "database": ctx.db}))
    assert (error.sqlstate, error.text) == ("08P01", "PROXY protocol header is required"), error
    assert enter(ctx, p, V2).value("SELECT 1") == "1"
    # Somebody at the machine itself gets in by the unix socket.
    assert enter(ctx, p, b"", unix=True).value("SELECT 1") == "1"
    error = refusal(ctx, p, V1, unix=True)
    assert error.text == "PROXY protocol header from an untrusted address", error


def test_unix_sockets(ctx):
    """Trusted by name; and who is announced is not who holds the socket, so the console needs its password."""
    p = balanced(ctx, proxy_protocol="required", proxy_protocol_from="unix", auth_type="md5")
    assert enter(ctx, p, V1, unix=True).value("SHOW application_name") == "shop - 192.0.2.7:4711"
    error = refusal(ctx, p, startup({"user": "app", "database": ctx.db}), unix=True)
    assert error.text == "PROXY protocol header is required", error
    # Somebody with the proxy's own uid gets into the console, unless it passes on somebody else.
    console = startup({"user": "pgbouncer", "database": "pgbouncer"})
    for header, kind in ((LOCAL, b"R"), (V1, b"E"), (V2, b"E"), (b"PROXY UNKNOWN\r\n", b"E"), (UNSPECIFIED, b"E")):
        asks = (f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({p.socket_path!r}); "
                f"s.sendall({header + console!r}); print(s.recv(1))")
        assert pg.call([sys.executable, "-c", asks]).strip() == str(kind), header


def test_malformed(ctx):
    p = balanced(ctx)
    for header in (b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n", b"PROXY " + b"x" * 200, b"PRAXY",
                   SIGNATURE + b"\x31\x11\0\x0c", SIGNATURE + b"\x21\x11\0\x04\1\2\3\4",
                   SIGNATURE + b"\x21\x11\xff\xff", b"\r\n\r\n\0\r\nQUIX"):
        error = refusal(ctx, p, header)
        assert (error.sqlstate, error.text) == ("08P01", "invalid PROXY protocol header"), (header, error)
    # One is enough.
    error = refusal(ctx, p, V1, V1)
    assert error.text == "invalid length of startup packet", error
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_bounded_time(ctx):
    p = balanced(ctx, client_login_timeout=1)
    for part in (V1[:20], V2[:20]):
        error = refusal(ctx, p, part)
        assert error.text == "client_login_timeout", error


def test_cancel_requests(ctx):
    p = balanced(ctx, proxy_protocol="required")
    c = enter(ctx, p, V1)
    c.send(query("SELECT pg_sleep(20)"))
    p.wait(lambda: ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND "
                           "pid <> pg_backend_pid()")[0][0] == "1", "the statement")
    with Wire(p.address) as other:
        other.send(V2 + struct.pack("!II", 16, CANCEL_CODE) + c.cancel_key)
        other.wait_closed()
    assert c.until_ready().sqlstate() == "57014"
