# SPDX-License-Identifier: Apache-2.0
"""Clients that mean no good, before they have logged in: they cost little, and the others go on."""
import random
import socket
import struct

from pgwire import (CANCEL_CODE, GSS_CODE, SSL_CODE, PeerClosed, PgError, cstring, last_error, message, query,
                    startup)


def stranger(ctx, p, address="127.0.0.1"):
    """A connection that has said nothing, from an address of this machine. (With tcp_defer_accept, the default, the
    kernel keeps those to itself.)"""
    return ctx.keep(p.open(source=address))


def half_way(ctx, p, user="app", password="wrong", address="127.0.0.1"):
    """One that has sent its password, and waits for what is said to it."""
    w = stranger(ctx, p, address)
    w.send(startup({"user": user, "database": ctx.db}))
    assert w.read().kind == "R"
    w.send(message("p", cstring(password)))
    return w


def is_open(w):
    try:
        return w.is_quiet(0)
    except PeerClosed:
        return False


def test_encryption_requests_once(ctx):
    """As PostgreSQL: asked for a second time it is no request, but a protocol that nobody knows."""
    p = ctx.proxy()
    for codes in ((SSL_CODE, SSL_CODE), (GSS_CODE, GSS_CODE), (SSL_CODE, GSS_CODE, SSL_CODE),
                  (GSS_CODE, SSL_CODE, GSS_CODE)):
        w = stranger(ctx, p)
        for code in codes[:-1]:
            w.send(struct.pack("!II", 8, code))
            assert w.read_bytes(1) == b"N", codes
        w.send(struct.pack("!II", 8, codes[-1]))
        error = last_error(w)
        assert error.sqlstate == "0A000", error
        assert error.text.startswith(f"unsupported frontend protocol 1234.{codes[-1] & 0xffff}"), error


def test_strangers_do_not_count(ctx):
    """max_client_conn is for clients; who has not logged in takes no place of theirs."""
    p = ctx.proxy(max_client_conn=3, max_login_conn=50, tcp_defer_accept=0)
    silent = [stranger(ctx, p) for _ in range(20)]
    begun = [stranger(ctx, p) for _ in range(20)]
    for w in begun:
        w.send(startup({"user": "app", "database": ctx.db})[:9])
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    assert p.refused(ctx.db).text == "no more connections allowed (max_client_conn)"
    assert all(c.value("SELECT 1") == "1" for c in clients)
    assert all(is_open(w) for w in silent + begun)
    clients[0].close()

    def place():
        try:
            return ctx.keep(p.connect(ctx.db))
        except PgError:
            return None
    p.wait(place, "the place of the one that left")


def test_max_login_conn(ctx):
    """One too many: the oldest of who has most makes room, and not who was there first."""
    p = ctx.proxy(max_login_conn=10, worker_threads=1, tcp_defer_accept=0)
    honest = stranger(ctx, p, "127.0.0.2")
    many = []
    for _ in range(15):
        many.append(stranger(ctx, p))
    p.wait(lambda: sum(not is_open(w) for w in many) == 6, "six that are refused")
    assert all(is_open(w) for w in many[9:])  # the oldest, though neighbours may have changed places
    for w in [w for w in many if not is_open(w)]:
        error = last_error(w)
        assert error.sqlstate == "53300", error
        assert error.text == "too many connections have not logged in (max_login_conn)", error
    p.wait_log("max_login_conn reached: 10 connections have not logged in")
    # Those that log in are not among them: any number of them may come.
    for _ in range(12):
        c = ctx.keep(p.connect(ctx.db))
        assert c.value("SELECT 1") == "1"
    honest.login("app", ctx.db)
    assert honest.value("SELECT 1") == "1"
    p.reload(max_login_conn=100)
    alive = [w for w in many if is_open(w)]
    for _ in range(20):
        stranger(ctx, p)
    p.connect(ctx.db).close()
    assert all(is_open(w) for w in alive)


def test_max_login_conn_per_address(ctx):
    p = ctx.proxy(max_login_conn_per_address=5, worker_threads=1, tcp_defer_accept=0)
    own = [stranger(ctx, p) for _ in range(6)]
    # Those that come at the same time need not be taken in their order.
    own.remove(refused := p.wait(lambda: next((w for w in own if not is_open(w)), None), "one that is refused"))
    error = last_error(refused)
    assert error.sqlstate == "53300" and "max_login_conn_per_address" in error.text, error
    with stranger(ctx, p, "127.0.0.2") as other:
        other.login("app", ctx.db)
        assert other.value("SELECT 1") == "1"
    for w in own[:2]:
        w.login("app", ctx.db)  # logged in they do not count any more
    for w in [own[0], own[1]]:
        assert w.value("SELECT 1") == "1"
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_per_address_behind_a_proxy(ctx):
    """Whom a trusted load balancer announces counts for his own address."""
    p = ctx.proxy(max_login_conn_per_address=2, verbose=1, proxy_protocol="on", proxy_protocol_from="127.0.0.1")

    def announced(address):
        w = stranger(ctx, p)
        w.send(f"PROXY TCP4 {address} 127.0.0.1 1000 6432\r\n".encode())
        return w

    ones = []
    for n in (1, 2):
        ones.append(announced("10.0.0.1"))
        p.wait(lambda: p.log().count("10.0.0.1:1000 announced by") == n, "a stranger's address")
    error = last_error(announced("10.0.0.1"))
    assert "max_login_conn_per_address" in error.text, error
    others = [announced("10.0.0.2") for _ in range(2)]
    for w in ones + others:
        w.login("app", ctx.db)
        assert w.value("SELECT 1") == "1"


def test_memory_of_strangers(ctx):
    """What they say ahead stays in the kernel's buffers."""
    if ctx.sanitizer:
        return
    n = 200
    p = ctx.proxy(auth_type="plain", auth_failure_delay=60, max_login_conn=1000)
    for _ in range(15):
        half_way(ctx, p)
    waiting = [half_way(ctx, p) for _ in range(n)]
    p.connect(ctx.db).close()
    before = p.rss_bytes()
    for w in waiting:
        w.socket.setblocking(False)
        try:
            w.socket.send(query("x" * 60000))
        except BlockingIOError:
            pass
    for _ in range(20):
        p.connect(ctx.db).close()
    grown = p.rss_bytes() - before
    assert grown < n * 20000, f"{grown} bytes for {n} clients"
    assert all(is_open(w) for w in waiting[-20:])


def test_wrong_passwords_are_told_later(ctx):
    """With each one from an address it takes longer; a right one is never held back."""
    for auth_type in ("plain", "md5"):
        p = ctx.proxy(auth_type=auth_type, auth_failure_delay=60)
        if auth_type == "plain":
            assert p.refused(ctx.db, password="wrong").sqlstate == "28P01"  # the first is told at once
            guesses = [half_way(ctx, p) for _ in range(14)]
        else:
            guesses = [half_way(ctx, p, password="md5" + "0" * 32) for _ in range(14)]
        with p.connect(ctx.db) as c:
            assert c.value("SELECT 1") == "1"
        # 0.1 s, 0.2 s ... 60 s: the last ones wait.
        assert all(is_open(w) for w in guesses[-3:])
        # From elsewhere, and somebody else: at once.
        error = last_error(half_way(ctx, p, password="md5" + "1" * 32, address="127.0.0.2"))
        assert error.sqlstate == "28P01", error
        error = last_error(guesses[4])
        assert error.text == 'password authentication failed for user "app"', error
    p = ctx.proxy(auth_type="plain", auth_failure_delay=0)
    for _ in range(30):
        assert p.refused(ctx.db, password="wrong").sqlstate == "28P01"


def test_failure_delay_is_bounded(ctx):
    p = ctx.proxy(auth_type="scram-sha-256", auth_failure_delay="0.2")
    for _ in range(15):
        assert p.refused(ctx.db, password="wrong").sqlstate == "28P01"
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_guessed_cancel_keys(ctx):
    """Wrong ones hit nobody, and after many of them from an address nothing is looked up for it for a while."""
    p = ctx.proxy(log_disconnections=1)
    victim = ctx.keep(p.connect(ctx.db))
    victim.send(query("SELECT pg_sleep(60)"))
    at_work = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'"
    p.wait(lambda: ctx.sql(at_work), "the victim at work")
    chance = random.Random(71)

    def cancel(pid, key, address="127.0.0.1"):
        with p.open(source=address) as w:
            w.send(struct.pack("!IIII", 16, CANCEL_CODE, pid, key))
            w.wait_closed()
    key = struct.unpack("!I", victim.key)[0] if isinstance(victim.key, bytes) else victim.key
    for _ in range(400):
        cancel(victim.pid, chance.choice([k for k in (chance.getrandbits(32), 0, 1) if k != key]))
    p.wait_log("WARNING too many cancel requests with wrong keys from 127.0.0.1")
    p.wait_log("closing because: too many cancel requests with wrong keys")  # ... without a look
    assert victim.is_quiet(0)
    # Elsewhere nobody notices.
    cancel(victim.pid, key, "127.0.0.2")
    reply = victim.until_ready()
    assert reply.sqlstate() == "57014", reply.errors
    # And here it is over soon.
    victim.send(query("SELECT pg_sleep(60)"))

    def cancelled():
        cancel(victim.pid, key)
        return not victim.is_quiet(0.1)
    p.wait(cancelled, "a cancel request that is heard", 30)
    assert victim.until_ready().sqlstate() == "57014"


def garbage(chance):
    kind = chance.randrange(5)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 2000))
    if kind == 1:
        return struct.pack("!II", chance.randrange(8, 10000), 3 << 16) + chance.randbytes(100)
    if kind == 2:
        return struct.pack("!II", 8, SSL_CODE) * chance.randrange(1, 5)
    if kind == 3:
        return startup({"user": "app", "database": "x" * chance.randrange(300)}) + chance.randbytes(50)
    return b""


def test_ordinary_clients_go_on(ctx):
    """Connections that are held open, and a flood of garbage: others log in and work."""
    p = ctx.proxy(auth_type="scram-sha-256", max_client_conn=40, max_login_conn=200, tcp_defer_accept=0, log_pooler_errors=0)
    held = [stranger(ctx, p) for _ in range(300)]
    for w in held[200:]:
        w.send(startup({"user": "app", "database": ctx.db})[:7])
    ending = []

    def flood(seed):
        chance, sent = random.Random(seed), 0
        while not ending:
            with socket.create_connection(p.address, 10) as s:
                try:
                    s.sendall(garbage(chance))
                    if chance.random() < 0.5:
                        s.settimeout(0.2)
                        s.recv(1000)
                except OSError:
                    pass
                sent += 1
        return sent

    floods = [ctx.thread(flood, seed) for seed in range(3)]
    try:
        with p.connect(ctx.db) as steady:
            for _ in range(30):
                assert steady.value("SELECT 1") == "1"
                with p.connect(ctx.db) as c:
                    assert c.value("SELECT 2") == "2"
    finally:
        ending.append(True)
    assert sum(f.result() for f in floods) > 10
