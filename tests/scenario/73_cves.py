# SPDX-License-Identifier: Apache-2.0
"""What broke other poolers, drivers and libpq by its bytes alone (docs/failures.md says which CVE is which): a clear end
for whoever sent it, at once, and everybody else goes on."""
import struct

from fake import Rogue
from pgwire import PROTOCOL_3, PeerClosed, PgError, error_fields, message, query, startup
from runner import limit


def end_of(wire, timeout=5):
    """What is said until the connection ends, which has to be soon."""
    said = wire.wait_closed(timeout).messages
    assert not [m for m in said if m.kind == "Z" or m.kind == "R" and m.body == b"\0\0\0\0"], "it was let in"
    return [error_fields(m.body) for m in said if m.kind == "E"]


def says(p, data, login=None):
    """Sends it as the first words, or in the middle of a SCRAM login; returns the errors."""
    with p.open() as wire:
        if login:
            wire.send(startup(login))
            assert struct.unpack("!I", wire.read().body[:4]) == (10,)
        try:
            wire.send(data)
        except PeerClosed:
            pass
        return end_of(wire, 10)


def sasl(length, body=b"n,,n=,r=abcdef"):
    return message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", length) + body)


@limit(60)
def test_sasl_lengths(ctx):
    """CVE-2026-6664, and Odyssey's: lengths within a SCRAM message that lie."""
    p = ctx.proxy(auth_type="scram-sha-256")
    witness = ctx.keep(p.connect(ctx.db))
    good = {"user": "app", "database": ctx.db}
    long = b"n,,n=,r=" + b"a" * 9000
    for data in [sasl(n) for n in (0, 1, 13, 15, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff)] + \
            [sasl(len(long), long), message("p", b"SCRAM-SHA-256"), message("p", b""), message("p", b"X" * 3000 + b"\0"),
             message("p", b"SCRAM-SHA-256\0\0\0"), b"p" + struct.pack("!I", 0xffffffff), b"p" + struct.pack("!I", 3)]:
        for error in says(p, data, good):
            assert error["C"] in ("08P01", "28P01"), (data[:40], error)
        assert witness.value("SELECT 1") == "1"


def test_second_startup(ctx):
    """CVE-2026-107350: another startup message while a login is under way, for a database that is there and not."""
    p = ctx.proxy(auth_type="scram-sha-256")
    for database in (ctx.db, "no_such_database"):
        other = startup({"user": "console", "database": "pgbouncer"})
        for data in (other, sasl(14) + other, other + sasl(14)):
            for error in says(p, data, {"user": "app", "database": database}):
                assert error["S"] == "FATAL", error
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"


def test_options_without_a_name(ctx):
    """CVE-2026-107349: an empty name in `options`."""
    p = ctx.proxy(ignore_startup_parameters="extra_float_digits", worker_threads=1)
    for options in ("-c=", "-c =", "--=", "-c=x", "--=x", "-c", "--", "-", " ", "\\\\", "-c\\", "-c a= -c=", "-c -c"):
        try:
            p.connect(ctx.db, options=options, timeout=5).close()
        except (PgError, PeerClosed):
            pass
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"


def test_enormous_lengths(ctx):
    """CVE-2026-107348, CVE-2026-6668, CVE-2025-12818: lengths beyond 2^31."""
    p = ctx.proxy(max_packet_size=2147483647, auth_type="md5", worker_threads=1)
    witness = ctx.keep(p.connect(ctx.db))
    for length in (0x7fffffff, 0x80000000, 0x80000001, 0xfffffffb, 0xffffffff):
        assert says(p, struct.pack("!II", length, PROTOCOL_3) + b"user\0")
        for kind in (b"Q", b"P", b"d", b"F"):
            with p.connect(ctx.db) as wire:
                wire.send(kind + struct.pack("!I", length) + b"x" * 100)
                errors = end_of(wire)
                assert errors and errors[-1]["C"] == "08P01", (kind, length, errors)
        assert witness.value("SELECT 1") == "1"


def test_password_before_startup(ctx):
    """CVE-2015-4054."""
    p = ctx.proxy(auth_type="md5")
    says(p, message("p", b"secret\0"))
    says(p, query("SELECT 1"))
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"


def test_long_names(ctx):
    """CVE-2012-4575: names longer than any buffer."""
    p = ctx.proxy()
    for n in (128, 129, 1000, 9900):
        for pair in ({"user": "app", "database": "d" * n}, {"user": "u" * n, "database": ctx.db}):
            if n < 9900 or "app" in pair.values():
                assert says(p, startup(pair)), pair
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"


def test_quotes_in_other_encodings(ctx):
    """CVE-2025-1094: half a character in front of a quote, in what is put into SQL on a client's behalf."""
    ctx.sql("CREATE TABLE victim(i int); GRANT ALL ON victim TO PUBLIC")
    p = ctx.proxy(default_pool_size=1)
    for encoding in ("UTF8", "SJIS", "BIG5", "GBK", "GB18030", "UHC", "LATIN1"):
        for half in (b"\xc0", b"\x95", b"\x81", b"\xff", b"\x95\\", b"\\"):
            evil = half + b"'; DROP TABLE victim; --"
            for name in ("application_name", "search_path"):
                with p.open() as wire:
                    wire.send(startup({"user": "app", "database": ctx.db, "client_encoding": encoding, name: evil}))
                    try:
                        wire.until("ZE")
                        wire.ask(query("SELECT 1"))
                    except (PeerClosed, UnicodeDecodeError):  # told as it was
                        pass
    assert ctx.sql("SELECT count(*) FROM victim") == [("0",)]


# ---- servers

OK = message("R", struct.pack("!I", 0))
KEY = message("K", struct.pack("!II", 7, 8))
READY = message("Z", b"I")
UP = OK + message("S", b"server_version\0" + b"15.0\0") + KEY + READY


def scram_first(nonce=None, salt="QUJDREVGR0hJSktMTU5PUA==", rounds="4096"):
    """AuthenticationSASLContinue; the client's nonce cannot be known here, which ends it at the latest."""
    return message("R", struct.pack("!I", 11) + f"r={nonce},s={salt},i={rounds}".encode())


ASKS_SCRAM = message("R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0")

ROGUES = {
    "CVE-2026-6665, CVE-2019-10164: a long nonce": (ASKS_SCRAM, [scram_first("x" * 5000)]),
    "a longer nonce": (ASKS_SCRAM, [scram_first("x" * 200000)]),
    "a long salt": (ASKS_SCRAM, [scram_first("x", salt="QUJD" * 2000)]),
    "CVE-2026-6669: many iterations": (ASKS_SCRAM, [scram_first("x", rounds="2147483647")]),
    "no iterations": (ASKS_SCRAM, [scram_first("x", rounds="0")]),
    "final before first": (ASKS_SCRAM, [message("R", struct.pack("!I", 12) + b"v=" + b"A" * 9000)]),
    "CVE-2026-6666: an error without a SQLSTATE": (message("E", b"SFATAL\0Mno\0\0"), []),
    "an error without anything": (message("E", b"\0"), []),
    "an error without an end": (message("E", b"SFATAL\0C28P01"), []),
    "no authentication number": (message("R", b"\0"), []),
    "md5 without a salt": (message("R", struct.pack("!I", 5)), []),
    "no mechanism": (message("R", struct.pack("!I", 10)), []),
    "ParameterStatus without an end": (OK + message("S", b"a\0b"), []),
    "BackendKeyData without a key": (OK + message("K", b""), []),
    "a long cancel key": (OK + message("K", b"\0" * 300), []),
    "an enormous length": (b"R" + struct.pack("!I", 0xffffffff), []),
    "a length of 2^31": (OK + b"S" + struct.pack("!I", 0x80000000), []),
    "a length of 0": (OK + b"Z" + struct.pack("!I", 0), []),
    "bytes": (bytes(range(256)) * 4, []),
    "ReadyForQuery before AuthenticationOk": (READY, []),
    "a session without AuthenticationOk": (message("S", b"server_version\0" + b"15.0\0") + KEY + READY, []),
    "ReadyForQuery instead of a proof": (ASKS_SCRAM, [READY]),
    "ReadyForQuery without a status": (OK + KEY + message("Z", b""), []),
    "ReadyForQuery in a transaction": (OK + KEY + message("Z", b"T"), []),
    "AuthenticationOk with more in it": (message("R", b"\0\0\0\0" + b"x" * 70) + KEY + READY, []),
    "an authentication that begins anew": (OK + ASKS_SCRAM + READY, []),
}


def meet(ctx, rogues, ask):
    """A client for each of these {name: Rogue}, all through one proxy; meanwhile its other clients are served."""
    databases = {f"rogue{n}": {"host": "127.0.0.1", "port": rogue.port, "user": "app", "password": "secret"}
                 for n, rogue in enumerate(rogues.values())}
    p = ctx.proxy(databases={ctx.db: ctx.server(), **databases}, query_wait_timeout=4, server_login_retry=1,
                  worker_threads=1, server_connect_timeout=3,
                  server_tls_sslmode="disable")  # else all they say is a bad answer to an SSLRequest
    witness = ctx.keep(p.connect(ctx.db))

    def go(database, name):
        try:
            with p.connect(database, timeout=20) as c:
                ask(c)
        except (PgError, PeerClosed, TimeoutError):
            pass
        return name

    threads = [ctx.thread(go, database, name) for database, name in zip(databases, rogues)]
    while any(thread.is_alive() for thread in threads):
        assert witness.value("SELECT 1") == "1"
    for thread in threads:
        thread.result()
    assert witness.value("SELECT 1") == "1"


@limit(60)
def test_rogue_servers_at_login(ctx):
    def ask(c):
        raise AssertionError("it was believed")
    meet(ctx, {name: ctx.keep(Rogue(*what)) for name, what in ROGUES.items()}, ask)


# Answers to a query of a server that has let us in.
LATE = {
    "CVE-2026-6666: an error without a SQLSTATE": message("E", b"SERROR\0Mno\0\0") + READY,
    "an error without anything": message("E", b"") + READY,
    "a row without columns": message("D", b"") + message("C", b"SELECT 1\0") + READY,
    "a tag without an end": message("C", b"SELECT 1") + READY,
    "an empty tag": message("C", b"") + READY,
    "ReadyForQuery without a status": message("Z", b""),
    "ReadyForQuery of another kind": message("Z", b"?"),
    "an enormous length": b"D" + struct.pack("!I", 0xffffffff),
    "an unknown message": message("?", b"x") + READY,
    "a notification without an end": message("A", b"\0\0\0\1ch") + READY,
    "ParameterStatus without an end": message("S", b"TimeZone") + READY,
    "two ends": READY + READY,
    "ParseComplete of nothing": message("1") + READY,
}


@limit(60)
def test_rogue_servers_in_a_session(ctx):
    def ask(c):
        c.send(query("SELECT 1"))
        c.until("Z", 5)
    meet(ctx, {name: ctx.keep(Rogue(UP, [answer] * 20)) for name, answer in LATE.items()}, ask)
