# SPDX-License-Identifier: Apache-2.0
"""LISTEN and NOTIFY in transaction mode: one connection listens for all clients of a route, none of
them keeps a server, and everybody hears what PostgreSQL would have told."""
import select
import struct
import time

import psycopg2

from compare import same
from pgwire import PeerClosed, bind, describe, execute, parse, query, sync, unit
from servers import release


def heard(m):
    """Channel and payload of a notification."""
    assert m.kind == "A", m
    channel, payload, _ = m.body[4:].split(b"\0")
    return channel.decode(), payload.decode()


def hear(c, n=1):
    return [heard(c.read(5)) for _ in range(n)]


def listens(ctx):
    """How many backends of the test's database listen to something, as far as their last query tells."""
    return len(ctx.sql(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{ctx.db}' AND query ~ '^LISTEN'"))


def busy(ctx, p, n):
    """n clients that hold a server each: nothing is left of the pool."""
    holders = []
    for _ in range(n):
        c = ctx.keep(p.connect(ctx.db))
        c.query("BEGIN")
        holders.append(c)
    return holders


def test_no_server_is_kept(ctx):
    """Forty clients that listen, one server in the pool, and it is free."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(40)]
    for i, c in enumerate(clients):
        reply = c.query("LISTEN news")
        assert reply.kinds == "CZ" and reply.tags == ["LISTEN"]
        c.query(f'LISTEN "own {i}"')
    assert clients[0].value("SELECT 1") == "1"
    assert len(ctx.sql(f"SELECT 1 FROM pg_stat_activity WHERE datname = '{ctx.db}' AND usename = 'app'")) == 2
    clients[7].query("NOTIFY news, 'a'; NOTIFY \"own 3\", 'b'")
    for i, c in enumerate(clients):
        want = [("news", "a")] + ([("own 3", "b")] if i == 3 else [])
        assert hear(c, len(want)) == want
    ctx.sql("NOTIFY news, 'direct'")
    assert all(hear(c) == [("news", "direct")] for c in clients)
    assert all(c.is_quiet(0.01) for c in clients)


def test_with_no_server_free(ctx):
    """Listening needs no server of the pool."""
    p = ctx.proxy(default_pool_size=1)
    holders = busy(ctx, p, 1)
    c = ctx.keep(p.connect(ctx.db))
    c.query("LISTEN x")
    ctx.sql("NOTIFY x, '1'")
    assert hear(c) == [("x", "1")]
    c.query("UNLISTEN *")
    release(holders)


def test_answers(ctx):
    """The answers are PostgreSQL's, in both protocols."""
    p = ctx.proxy(default_pool_size=2)
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))

    def whole(sql):
        return parse(sql) + bind() + describe() + execute() + sync()

    for part in (query("LISTEN a"), query("listen A;"), query('  LISTEN "a"'), whole("LISTEN b"),
                 parse("LISTEN c") + bind() + execute() + sync(), bind() + execute() + sync(), query("UNLISTEN a"),
                 query("UNLISTEN nope"), query("UNLISTEN *"), whole("UNLISTEN *"), whole("UNLISTEN b"), query("LISTEN"),
                 query("LISTEN a b"), query("UNLISTEN"), query("LISTEN " + "x" * 80), query("LISTEN 'a'"),
                 parse("LISTEN d", "named") + bind("named") + execute() + sync(), query("DISCARD ALL")):
        same(direct, c, part)


def test_only_what_it_listens_to(ctx):
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("LISTEN x")
    a.query("LISTEN x")
    b.query('LISTEN "X ""y"')
    ctx.sql("NOTIFY x, '1'; NOTIFY \"X \"\"y\", '2'; NOTIFY z, '3'")
    assert hear(a) == [("x", "1")] and hear(b) == [('X "y', "2")]
    a.query("UNLISTEN x")
    b.query("LISTEN x")
    ctx.sql("NOTIFY x, '4'")
    assert hear(b) == [("x", "4")]
    b.query("UNLISTEN *")
    ctx.sql("NOTIFY x, '5'; NOTIFY \"X \"\"y\", '6'")
    a.query("LISTEN x")
    b.query("LISTEN x")
    b.query("DISCARD ALL")
    ctx.sql("NOTIFY x, '7'")
    assert hear(a) == [("x", "7")]
    assert a.is_quiet() and b.is_quiet()


def test_none_lost_none_early(ctx):
    """What is sent after the answer is told; what was sent before LISTEN is not."""
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    b, keeper = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    keeper.query("LISTEN x")  # so that the hub listens already
    for i in range(100):
        a = p.connect(ctx.db)
        b.query(f"NOTIFY x, 'early {i}'")
        a.query("LISTEN x")
        b.query(f"NOTIFY x, 'right {i}'")
        assert hear(a) == [("x", f"right {i}")]
        a.close()


def test_not_in_transaction(ctx):
    """A notification waits for the end of the transaction, and for the end of an answer."""
    p = ctx.proxy(default_pool_size=3, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("LISTEN x")
    a.query("BEGIN")
    ctx.sql("NOTIFY x, '1'")
    assert a.ask(query("SELECT 1")).kinds == "TDCZ"
    assert a.is_quiet()
    assert a.ask(query("COMMIT")).kinds == "CZ"
    assert hear(a) == [("x", "1")]
    a.send(parse("SELECT pg_sleep(0.3)") + bind() + execute())
    ctx.sql("NOTIFY x, '2'")
    a.send(sync())
    assert a.until_ready().kinds == "12DCZ"
    assert hear(a) == [("x", "2")]
    a.send(query("SELECT pg_sleep(0.2), repeat('x', 100000) FROM generate_series(1, 3)"))
    for i in range(5):
        ctx.sql(f"NOTIFY x, '{i}'")
    assert a.until_ready().kinds == "TDDDCZ"
    assert hear(a, 5) == [("x", str(i)) for i in range(5)]


def test_own(ctx):
    """Its own notification comes behind the commit's answer; the process is the one that sent it."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("LISTEN x")
    pid = int(a.value("SELECT pg_backend_pid()"))
    assert a.ask(query("NOTIFY x, 'me'")).kinds == "CZ"
    m = a.read(5)
    assert heard(m) == ("x", "me") and struct.unpack("!I", m.body[:4])[0] == pid
    assert a.ask(query("BEGIN") + query("NOTIFY x, 'no'") + query("ROLLBACK"), times=3).kinds == "CZCZCZ"
    a.query("SELECT pg_notify('x', 'yes')")
    assert hear(a) == [("x", "yes")] and a.is_quiet()


def test_in_transaction(ctx):
    """LISTEN in a transaction counts at its commit, and not after a rollback."""
    p = ctx.proxy(default_pool_size=3, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("BEGIN; LISTEN x; ROLLBACK")
    ctx.sql("NOTIFY x, '1'")
    assert a.is_quiet()
    a.query("BEGIN")
    a.query("LISTEN x")
    ctx.sql("NOTIFY x, '2'")
    a.query("COMMIT")
    ctx.sql("NOTIFY x, '3'")
    assert hear(a) == [("x", "3")]
    a.query("LISTEN x")
    a.query("LISTEN y")
    ctx.sql("NOTIFY x, '4'; NOTIFY y, '5'")
    assert hear(a, 2) == [("x", "4"), ("y", "5")]
    a.query("UNLISTEN *")
    ctx.sql("NOTIFY x, '6'; NOTIFY y, '7'")
    assert a.is_quiet()


def test_by_both_ways(ctx):
    """What the hub tells already is not told again by a server that the client made listen."""
    p = ctx.proxy(default_pool_size=3, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    a.query("LISTEN x")
    for part in ("BEGIN", "LISTEN x", "LISTEN z", "COMMIT"):
        a.query(part)
    ctx.sql("NOTIFY x, '1'")
    ctx.sql("NOTIFY z, '2'")
    assert sorted(hear(a, 2)) == [("x", "1"), ("z", "2")]
    a.value("SELECT 1")
    assert a.is_quiet()
    a.query("UNLISTEN x")
    ctx.sql("NOTIFY x, '3'")
    ctx.sql("NOTIFY z, '4'")
    assert hear(a) == [("z", "4")] and a.is_quiet()


def test_unlisten_in_transaction(ctx):
    p = ctx.proxy(default_pool_size=3, worker_threads=1)
    a = ctx.keep(p.connect(ctx.db))
    for sql, told in (("BEGIN; UNLISTEN x; ROLLBACK", True), ("BEGIN; UNLISTEN *; ROLLBACK", True)):
        a.query("LISTEN x")
        for part in sql.split("; "):
            a.query(part)
        ctx.sql("NOTIFY x, '1'")
        assert not told or hear(a) == [("x", "1")]
    for sql in ("BEGIN; UNLISTEN x; COMMIT", "BEGIN; SELECT 1; UNLISTEN *; COMMIT"):
        a.query("LISTEN x")
        for part in sql.split("; "):
            a.query(part)
        ctx.sql("NOTIFY x, '2'")
        assert a.is_quiet(), sql


def test_connection_lost(ctx):
    """Who listened cannot know what was missed, and is told so; others notice nothing."""
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    a, b, other = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    a.query("LISTEN x")
    b.query("LISTEN y")
    assert ctx.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                   f"datname = '{ctx.db}' AND query ~ '^LISTEN' AND usename = 'app'")
    for c in (a, b):
        m = c.read(5)
        assert m.kind == "E" and b"C08006\0" in m.body and b"notifications may be missing" in m.body, m
        c.wait_closed()
    assert other.value("SELECT 1") == "1"
    other.query("LISTEN x")
    ctx.sql("NOTIFY x, 'again'")
    assert hear(other) == [("x", "again")]


def test_cannot_listen(ctx):
    """The connection cannot be made: the LISTEN fails, the client stays."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    c.value("SELECT 1")
    ctx.sql("ALTER ROLE app CONNECTION LIMIT 1")
    try:
        reply = c.ask(query("LISTEN x"))
        assert reply.kinds == "EZ" and reply.sqlstate() == "08006", reply
        assert c.value("SELECT 5") == "5"
    finally:
        ctx.sql("ALTER ROLE app CONNECTION LIMIT -1")
    c.query("LISTEN x")
    ctx.sql("NOTIFY x, 'now'")
    assert hear(c) == [("x", "now")]


def test_slow_client(ctx):
    """A client that does not take its notifications is closed at a bound; memory stays."""
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    slow = ctx.keep(p.connect(ctx.db))
    quick = ctx.keep(p.connect(ctx.db))
    slow.query("LISTEN x")
    quick.query("LISTEN x")
    slow.query("BEGIN")
    for i in range(150):
        ctx.sql("SELECT pg_notify('x', repeat('y', 7900) || '%d')" % i)
        assert hear(quick)[0][1].endswith(str(i))
    try:
        while True:
            m = slow.read(5)
            if m.kind == "E":
                assert b"C54000\0" in m.body, m
    except PeerClosed:
        pass
    assert quick.value("SELECT 1") == "1"


def test_nobody_left(ctx):
    """With the last one the connection is closed; clients that leave at any moment do no harm."""
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    for leave in (lambda c: c.close(), lambda c: c.abort(), lambda c: c.query("UNLISTEN *")):
        c = ctx.keep(p.connect(ctx.db))
        c.query("LISTEN x")
        assert listens(ctx) == 1
        leave(c)
        p.wait(lambda: listens(ctx) == 0, "the connection's end")
    keeper = ctx.keep(p.connect(ctx.db))
    keeper.query("LISTEN keep")
    for _ in range(50):
        c = p.connect(ctx.db)
        c.send(query("LISTEN x") + query("NOTIFY x") + query("SELECT 1"))
        c.abort()
    ctx.sql("NOTIFY keep, 'k'")
    assert hear(keeper) == [("keep", "k")]


def test_pipelined(ctx):
    """What is sent behind a LISTEN waits for it."""
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    reply = c.ask(query("LISTEN x") + query("NOTIFY x, '1'") + query("SELECT 7") + unit("LISTEN y") + unit("SELECT 8"),
                  times=5)
    assert reply.rows == [("7",), ("8",)] and reply.tags[0] == "LISTEN"
    said = [heard(m) for m in reply.messages if m.kind == "A"]
    assert said or hear(c) == [("x", "1")]


def test_many_workers(ctx):
    p = ctx.proxy(default_pool_size=2, worker_threads=4)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(16)]
    for c in clients:
        c.query("LISTEN x")
    for i in range(20):
        clients[i % 16].query(f"NOTIFY x, '{i}'")
        assert all(hear(c) == [("x", str(i))] for c in clients)


def test_session_mode(ctx):
    """There it is PostgreSQL's own affair: the notification comes in front of the answer's end."""
    p = ctx.proxy(default_pool_size=2, pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    c.query("LISTEN x")
    assert listens(ctx) == 1
    assert c.ask(query("NOTIFY x, '1'")).kinds in ("CAZ", "ACZ")


def test_what_was_told_of_is_read(ctx):
    """Who reads because of a notification sees what was written before it, whatever the stream has told."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0); GRANT ALL ON t TO app")
    p = ctx.cache_proxy(worker_threads=1)
    c, writer = ctx.keep(p.connect(ctx.db)), ctx.direct()
    read = "SELECT n FROM t WHERE id = 1"
    c.query("LISTEN x")
    hits = p.cache()["hits"]
    for n in range(1, 150):
        ctx.wait_hit(p, lambda: c.value(read))
        writer.query(f"BEGIN; UPDATE t SET n = {n}; NOTIFY x, '{n}'; COMMIT")
        assert hear(c) == [("x", str(n))]
        assert c.value(read) == str(n)
    assert p.cache()["hits"] >= hits + 149


def test_psycopg2(ctx):
    """The usual loop of an application."""
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    k = psycopg2.connect(host="127.0.0.1", port=p.port, dbname=ctx.db, user="app")
    k.autocommit = True
    k.cursor().execute("LISTEN jobs")
    other = psycopg2.connect(host="127.0.0.1", port=p.port, dbname=ctx.db, user="app")
    with other, other.cursor() as cur:
        cur.execute("NOTIFY jobs, 'one'")
        cur.execute("SELECT pg_notify('jobs', 'two')")
    got = []
    end = time.monotonic() + 5
    while len(got) < 2 and time.monotonic() < end:
        select.select([k], [], [], 1)
        k.poll()
        got += [n.payload for n in k.notifies]
        k.notifies.clear()
    assert got == ["one", "two"]
    k.close()
    other.close()
