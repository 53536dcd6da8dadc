# SPDX-License-Identifier: Apache-2.0
"""Protocol 3.2: versions negotiated, protocol options refused, long cancel keys."""
import struct

from fake import FakeServer
from pgwire import CANCEL_CODE, PROTOCOL_3, Wire, query, startup


def version(minor):
    return PROTOCOL_3 + minor


def raw_login(ctx, p, minor, **params):
    """The messages of a login with trust, from a startup message of version 3.minor."""
    c = ctx.keep(p.open())
    c.send(startup({"user": "app", "database": ctx.db, **params}, code=version(minor)))
    return c, c.until("ZE")


def negotiated(reply):
    """(newest version, refused options) of NegotiateProtocolVersion, or None."""
    found = [m for m in reply.messages if m.kind == "v"]
    if not found:
        return None
    assert reply.messages[0] is found[0] and len(found) == 1, reply.kinds
    newest, count = struct.unpack_from("!II", found[0].body)
    names = found[0].body[8:].split(b"\0")
    assert len(names) == count + 1 and names[-1] == b"", names
    return newest, [n.decode() for n in names[:-1]]


def key_of(reply):
    return next(m.body for m in reply.messages if m.kind == "K")


def test_versions(ctx):
    p = ctx.proxy()
    for minor, newest, key_bytes in ((0, None, 8), (1, None, 8), (2, None, 36), (3, 2, 36), (9999, 2, 36)):
        c, reply = raw_login(ctx, p, minor)
        assert reply.status == "I", (minor, reply.errors)
        assert len(key_of(reply)) == key_bytes, (minor, len(key_of(reply)))
        expected = None if newest is None else (version(newest), [])
        assert negotiated(reply) == expected, (minor, negotiated(reply))
        assert c.value("SELECT 1") == "1"


def test_protocol_options(ctx):
    p = ctx.proxy()
    for minor in (0, 2):
        c, reply = raw_login(ctx, p, minor, **{"_pq_.one": "1", "application_name": "x", "_pq_.two": ""})
        assert negotiated(reply) == (version(minor), ["_pq_.one", "_pq_.two"]), negotiated(reply)
        assert c.value("SHOW application_name") == "x"


def test_other_major_versions(ctx):
    p = ctx.proxy()
    for code, text in ((2 << 16, "old V2 protocol not supported"),
                       (4 << 16, "unsupported frontend protocol 4.0: server supports 3.0 to 3.2"),
                       ((1 << 16) + 7, "unsupported frontend protocol 1.7: server supports 3.0 to 3.2")):
        c = ctx.keep(p.open())
        c.send(startup({"user": "app"}, code=code))
        error = c.wait_closed().errors[0]
        assert (error.severity, error.sqlstate, error.text) == ("FATAL", "0A000", text), error


def cancel_with(p, key):
    with Wire(p.address) as other:
        other.send(struct.pack("!II", 8 + len(key), CANCEL_CODE) + key)
        assert other.wait_closed().messages == []


def wait_running(ctx, p, n=1):
    p.wait(lambda: int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                               "AND query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()")[0][0]) == n,
           "the running statement")


def test_long_key_cancels(ctx):
    p = ctx.proxy()
    c, reply = raw_login(ctx, p, 2)
    key = key_of(reply)
    c.send(query("SELECT pg_sleep(20)"))
    wait_running(ctx, p)
    # Nothing but the whole key will do.
    for wrong in (key[:-1], key[:8], key + b"\0", key[:-1] + bytes([key[-1] ^ 1]), key[:4] + b"\0" * 32):
        cancel_with(p, wrong)
    wait_running(ctx, p)
    cancel_with(p, key)
    assert c.until_ready().sqlstate() == "57014"
    assert c.value("SELECT 1") == "1"


def test_impossible_cancel_requests(ctx):
    """Lengths that no key has: nobody is hit, nothing is said, everybody else is served."""
    p = ctx.proxy()
    for body in (b"", b"\0", b"\0" * 4, b"\0" * 261, b"\xff" * 5000):
        cancel_with(p, body)
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_long_keys_differ(ctx):
    p = ctx.proxy()
    keys = {key_of(raw_login(ctx, p, 2)[1]) for _ in range(20)}
    assert len(keys) == 20
    assert len({k[4:] for k in keys}) == 20
    assert all(k[0] < 0x80 for k in keys)


def test_servers_with_long_keys(ctx):
    """A server may give a key of any length up to 256 bytes; it comes back to it whole. We ask for 3.0."""
    for length in (4, 5, 32, 256):
        secret = bytes(range(256))[-length:]
        with FakeServer(secret) as server:
            p = ctx.proxy(databases={"fake": {"host": "127.0.0.1", "port": server.port}})
            c = ctx.keep(p.connect("fake"))
            c.send(query("hold"))
            p.wait(lambda: p.pool("fake")["sv_active"] == "1", "the running statement")
            c.cancel()
            assert c.until_ready().sqlstate() == "57014"
            assert [k[4:] for k in server.cancels] == [secret]
            assert all(code == PROTOCOL_3 for code, _ in server.startups), server.startups


def test_servers_with_impossible_keys(ctx):
    for secret in (b"", b"x" * 257):
        with FakeServer(secret) as server:
            p = ctx.proxy(databases={"fake": {"host": "127.0.0.1", "port": server.port}}, query_wait_timeout=1)
            error = p.refused("fake")
            assert error.sqlstate in ("08P01", "08006"), error
            p.wait_log("bad BackendKeyData")
