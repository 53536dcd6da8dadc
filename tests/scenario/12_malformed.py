# SPDX-License-Identifier: Apache-2.0
"""Bad input of every kind: a clear end for its sender, and nobody else notices."""
import os
import random
import struct

from pgwire import (CANCEL_CODE, GSS_CODE, PROTOCOL_3, SSL_CODE, PeerClosed, bind, execute, message, parse, query,
                    startup, sync, unit)
from runner import limit


def raw_message(kind, length, body=b""):
    return kind + struct.pack("!i", length) + body


GOOD = {"user": "app", "database": "DB"}

# Instead of a startup packet. The end must come; an ErrorResponse may come before it.
STARTUPS = {
    "zero length": struct.pack("!I", 0),
    "length 4": struct.pack("!II", 4, PROTOCOL_3),
    "length 7": struct.pack("!I", 7) + b"abc",
    "negative length": struct.pack("!iI", -1, PROTOCOL_3),
    "huge length": struct.pack("!II", 0x7fffffff, PROTOCOL_3),
    "10001 bytes": struct.pack("!II", 10009, PROTOCOL_3) + b"x" * 10001,
    "protocol 2": struct.pack("!II", 296, 2 << 16) + b"\0" * 288,
    "protocol 7": struct.pack("!II", 9, 7 << 16) + b"\0",
    "unknown special": struct.pack("!II", 8, 80877199),
    "no user": startup({"database": "x"}),
    "empty": struct.pack("!II", 9, PROTOCOL_3) + b"\0",
    "no terminator": struct.pack("!II", 8 + 8, PROTOCOL_3) + b"user\0app",
    "name without value": struct.pack("!II", 8 + 5, PROTOCOL_3) + b"user\0",
    "bytes after the end": struct.pack("!II", 8 + 13, PROTOCOL_3) + b"user\0app\0\0abc",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls hello": bytes.fromhex("16030100c8010000c40303") + b"\x07" * 190,
    "short cancel": struct.pack("!III", 12, CANCEL_CODE, 1),
    "long cancel": struct.pack("!IIIII", 20, CANCEL_CODE, 1, 2, 3),
    "query before startup": query("SELECT 1"),
}

# After a login.
PACKETS = {
    "length 0": raw_message(b"Q", 0),
    "length 3": raw_message(b"Q", 3),
    "negative length": raw_message(b"Q", -5),
    "huge length": raw_message(b"Q", 0x7fffffff, b"SELECT"),
    "huge length of a Bind": raw_message(b"B", 0x7ffffff0, b"\0\0"),
    "huge length of a Sync": raw_message(b"S", 0x10000000),
    "unknown type": raw_message(b"?", 4),
    "type zero": raw_message(b"\0", 4),
    "server's message": raw_message(b"Z", 5, b"I"),
    "login message": raw_message(b"p", 8, b"abc\0"),
    "startup again": startup(GOOD),
    "query without end": raw_message(b"Q", 10, b"SELECT"),
    "two strings in a query": raw_message(b"Q", 4 + 14, b"SELECT 1\0junk\0"),
    "empty query body": raw_message(b"Q", 4),
    "parse without end": raw_message(b"P", 8, b"abcd"),
    "parse with missing types": raw_message(b"P", 4 + 2 + 9 + 2, b"s\0SELECT 1\0"[:11] + b"\xff\xff"),
    "parse with too many types": message("P", b"\0SELECT 1\0" + struct.pack("!H", 60000)),
    "bind too short": message("B", b"\0"),
    "bind with lying counts": message("B", b"\0\0" + struct.pack("!HH", 0, 65535)),
    "bind with lying length": message("B", b"\0\0" + struct.pack("!HHi", 0, 1, 0x7fffffff) + b"x"),
    "bind with negative length": message("B", b"\0\0" + struct.pack("!HHi", 0, 1, -7) + struct.pack("!H", 0)),
    "describe of nothing": message("D", b""),
    "describe of what": message("D", b"Xname\0"),
    "describe without end": message("D", b"Sname"),
    "close of what": message("C", b"Xname\0"),
    "close without end": message("C", b"S"),
    "execute too short": message("E", b"\0\0"),
    "execute without end": message("E", b"abc"),
    "sync with a body": message("S", b"body"),
    "flush with a body": message("H", b"b"),
    "copy data out of place": message("d", b"data"),
    "copy done out of place": message("c"),
    "copy fail without end": message("f", b"why"),
    "function call too short": message("F", b"\0"),
    "terminate with a body": message("X", b"bye"),
    "random": random.Random(1).randbytes(3000),
    "zeros": b"\0" * 3000,
    "ones": b"\xff" * 3000,
}


def witness_works(c):
    assert c.value("SELECT 'fine'") == "fine"
    assert c.run("SELECT $1::int", [3]).value == "3"


def settle(wire, timeout=1.0):
    """Reads until the peer closes, or is quiet for a while; returns (closed, messages)."""
    got = []
    try:
        while True:
            got.append(wire.read(timeout))
    except PeerClosed:
        return True, got
    except (TimeoutError, AssertionError):
        return False, got


@limit(60)
def test_startup_packets(ctx):
    p = ctx.proxy(client_login_timeout=2)
    witness = ctx.keep(p.connect(ctx.db))
    left_open = []
    for name, data in STARTUPS.items():
        with p.open() as wire:
            try:
                wire.send(data)
            except PeerClosed:
                continue
            closed, got = settle(wire, 0.3)
            errors = [m for m in got if m.kind == "E"]
            assert not [m for m in got if m.kind == "Z"], f"{name} was let in"
            if not closed:
                left_open.append(name)
            for m in errors:
                assert b"SFATAL" in m.body and b"C08P01" in m.body or b"C0A000" in m.body or b"C28000" in m.body, \
                    (name, m.body)
        witness_works(witness)
    # None of them is a beginning of something good: each ends at once.
    assert not left_open, left_open


@limit(60)
def test_packets(ctx):
    """Whatever comes: either PostgreSQL's ErrorResponse, or FATAL 08P01 and the end."""
    p = ctx.proxy(default_pool_size=3)
    witness = ctx.keep(p.connect(ctx.db))
    for name, data in PACKETS.items():
        with p.connect(ctx.db) as wire:
            try:
                wire.send(data)
                wire.send(sync())
            except PeerClosed:
                witness_works(witness)
                continue
            closed, got = settle(wire, 0.15)
            for m in got:
                if m.kind == "E" and b"SFATAL" in m.body:
                    assert b"C08P01" in m.body, (name, m.body)
                    assert closed, f"{name}: FATAL without an end"
        witness_works(witness)
    # Nothing is left behind: every server is usable and free.
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    for c in clients:
        c.query("BEGIN")
        assert c.value("SELECT 1") == "1"


@limit(60)
def test_packets_inside_transaction(ctx):
    """The same in a transaction: it is rolled back with its client."""
    ctx.sql("CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC")
    p = ctx.proxy(default_pool_size=2)
    for name in ("length 0", "huge length", "unknown type", "parse without end", "bind with lying counts", "random"):
        wire = p.connect(ctx.db)
        wire.query("BEGIN")
        wire.query("INSERT INTO t VALUES (1)")
        try:
            wire.send(PACKETS[name])
            settle(wire, 0.1)
        except PeerClosed:
            pass
        wire.abort()
    c = ctx.keep(p.connect(ctx.db))
    assert c.value("SELECT count(*) FROM t") == "0"
    # All their locks are gone.
    c.query("BEGIN; LOCK TABLE t; COMMIT")


def test_impossible_lengths_end_at_once(ctx):
    p = ctx.proxy()
    for name in ("length 0", "length 3", "negative length", "unknown type", "type zero"):
        with p.connect(ctx.db) as wire:
            wire.send(PACKETS[name])
            closed, got = settle(wire, 2)
            assert closed, name
            errors = [m for m in got if m.kind == "E"]
            assert errors and b"C08P01" in errors[-1].body, (name, got)


def test_encryption_requests(ctx):
    """SSLRequest and GSSENCRequest are answered 'N', and the login goes on in plain text."""
    p = ctx.proxy()
    for codes in ((SSL_CODE,), (GSS_CODE,), (GSS_CODE, SSL_CODE), (SSL_CODE, GSS_CODE)):
        c = ctx.keep(p.open())
        for code in codes:
            c.send(struct.pack("!II", 8, code))
            assert c.read_bytes(1) == b"N", code
        c.login("app", ctx.db)
        assert c.value("SELECT 1") == "1"
    # With more behind it in the same packet: PostgreSQL closes ("received unencrypted data after SSL
    # request"); going on in plain text would do no harm, either. The process must live.
    c = ctx.keep(p.open())
    c.send(struct.pack("!II", 8, SSL_CODE) + startup({"user": "app", "database": ctx.db}))
    try:
        assert c.read_bytes(1) in (b"N", b"E")
    except PeerClosed:
        pass
    with p.connect(ctx.db) as other:
        witness_works(other)


def test_minor_protocol_version(ctx):
    """A version newer than ours: the server negotiates down, and so do we. More in 50_protocol_3_2."""
    p = ctx.proxy()
    c = ctx.keep(p.open())
    c.send(startup({"user": "app", "database": ctx.db}, code=PROTOCOL_3 + 3))
    reply = c.until("ZE")
    assert "v" in reply.kinds or reply.kinds[-1] == "E", reply.kinds


def test_half_messages(ctx):
    """Clients that leave in the middle of a message."""
    p = ctx.proxy(default_pool_size=2)
    whole = startup({"user": "app", "database": ctx.db})
    for at in range(1, len(whole), 7):
        wire = p.open()
        wire.send(whole[:at])
        wire.abort() if at % 2 else wire.socket.close()
    data = unit("SELECT $1::text", ["x" * 50]) + query("SELECT 2")
    for at in range(1, len(data), 5):
        wire = p.connect(ctx.db)
        wire.send(data[:at])
        wire.abort() if at % 2 else wire.socket.close()
    with p.connect(ctx.db) as c:
        witness_works(c)


@limit(60)
def test_mutations(ctx):
    """Valid traffic with flipped bytes; FUZZ_SEED and FUZZ_ROUNDS repeat and extend it."""
    seed = int(os.environ.get("FUZZ_SEED", "20240"))
    rounds = int(os.environ.get("FUZZ_ROUNDS", "150"))
    rng = random.Random(seed)
    p = ctx.proxy(default_pool_size=4, client_login_timeout=2)
    witness = ctx.keep(p.connect(ctx.db))
    samples = [
        startup({"user": "app", "database": ctx.db, "application_name": "x"}) + query("SELECT 1"),
        unit("SELECT $1::int, $2::text", [1, "two"], name="s") + parse("SELECT 1", "t") + bind("t") + execute() + sync(),
        query("BEGIN") + query("SELECT 1") + query("COMMIT"),
        query("COPY (SELECT 1) TO STDOUT") + unit("SHOW TimeZone"),
    ]
    for i in range(rounds):
        data = bytearray(rng.choice(samples))
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        logged_in = rng.random() < 0.8
        wire = p.connect(ctx.db) if logged_in else p.open()
        try:
            wire.send(bytes(data))
            settle(wire, 0.01)
        except PeerClosed:
            pass
        wire.abort()
        if i % 10 == 0:
            witness_works(witness)
    witness_works(witness)
    ctx.note(f"seed {seed}, {rounds} rounds")
