# SPDX-License-Identifier: Apache-2.0
"""Cancel requests reach the statement that is meant, and no other."""
import struct
import time

from fake import FakeServer
from pgwire import CANCEL_CODE, PeerClosed, Wire, bind, execute, parse, query, sync, unit


def wait_active(ctx, p, pattern, n=1):
    p.wait(lambda: int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
                               f"query LIKE '{pattern}' AND pid <> pg_backend_pid()")[0][0]) == n,
           f"{n} running {pattern}")


def test_cancel(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    for send in (query("SELECT pg_sleep(20)"), unit("SELECT pg_sleep(20)")):
        c.send(send)
        wait_active(ctx, p, "%pg_sleep(20)%")
        c.cancel()
        reply = c.until_ready()
        assert reply.sqlstate() == "57014", reply.errors
        assert c.value("SELECT 1") == "1"


def test_cancel_over_unix_socket(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db, unix=True))
    c.send(query("SELECT pg_sleep(20)"))
    wait_active(ctx, p, "%pg_sleep(20)%")
    c.cancel()
    assert c.until_ready().sqlstate() == "57014"


def test_cancel_of_idle_client(ctx):
    """It has no server: nobody may be hit."""
    p = ctx.proxy(default_pool_size=1)
    idle, busy = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    idle.query("SELECT 1")
    busy.send(query("SELECT pg_sleep(0.4)"))
    wait_active(ctx, p, "%pg_sleep%")
    for _ in range(5):
        idle.cancel()
    assert busy.until_ready().sqlstate() is None


def test_late_cancel(ctx):
    """A cancel that comes when the statement is over must not hit the server's next client."""
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for i in range(30):
        a.send(query("SELECT pg_sleep(0.002)"))
        if i % 3:
            time.sleep(0.001 * (i % 3))
        b.send(query("SELECT pg_sleep(0.01)"))
        a.cancel()
        a.until_ready()
        reply = b.until_ready()
        assert reply.sqlstate() is None, f"round {i}: {reply.errors}"


def test_cancel_of_waiting_client(ctx):
    p = ctx.proxy(default_pool_size=1)
    busy, waiting = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    busy.query("BEGIN")
    waiting.send(query("SELECT 'waiting'"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "a waiting client")
    waiting.cancel()
    # PgBouncer ignores it, PostgreSQL would cancel: either way the client has one clear answer.
    busy.query("COMMIT")
    try:
        reply = waiting.until_ready(timeout=5)
        assert reply.sqlstate() in ("57014", None), reply.errors
        assert waiting.is_quiet()
    except PeerClosed as closed:
        assert closed.error and closed.error.sqlstate in ("57014", "08P01"), closed.error


def test_wrong_key(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("SELECT pg_sleep(0.5)"))
    wait_active(ctx, p, "%pg_sleep%")
    for pid, key in ((c.pid, c.key ^ 1), (c.pid + 1, c.key), (0, 0)):
        with Wire(p.address) as other:
            other.send(struct.pack("!IIII", 16, CANCEL_CODE, pid & 0xffffffff, key))
            other.wait_closed()
    assert c.until_ready().sqlstate() is None


def test_keys_differ(ctx):
    p = ctx.proxy()
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(50)]
    assert len({(c.pid, c.key) for c in clients}) == 50
    assert len({c.key for c in clients}) == 50


def test_many_cancels(ctx):
    """Each client cancels its own statement, all at once."""
    p = ctx.proxy(default_pool_size=20)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(20)]
    for c in clients:
        c.send(query("SELECT pg_sleep(20)"))
    wait_active(ctx, p, "%pg_sleep(20)%", 20)
    for c in clients[::2]:
        c.cancel()
    for c in clients[::2]:
        assert c.until_ready().sqlstate() == "57014"
    wait_active(ctx, p, "%pg_sleep(20)%", 10)
    for c in clients[1::2]:
        assert c.is_quiet(0.01)
        c.cancel()
        assert c.until_ready().sqlstate() == "57014"


def test_cancel_while_settings_are_made(ctx):
    """The server is busy with something of ours, and the client's statement stands behind it: the cancel waits
    for that, and is not lost."""
    with FakeServer() as server:
        p = ctx.proxy(databases={"fake": {"host": "127.0.0.1", "port": server.port}}, default_pool_size=1)
        server.holds = lambda sql: False
        c = ctx.keep(p.connect("fake", TimeZone="Asia/Tokyo"))
        c.query("SELECT 1")
        ctx.keep(p.connect("fake", TimeZone="UTC")).query("SELECT 1")  # takes the server away from its settings
        before = len(server.asked)
        server.holds = lambda sql: True
        c.send(query("SELECT 2"))
        p.wait(lambda: len(server.asked) > before, "our own statement")
        assert "SET TimeZone" in server.asked[before], server.asked
        asker = ctx.thread(c.cancel)
        p.wait(lambda: [r for r in p.console("SHOW CLIENTS") if r["state"] == "active_cancel_req"], "the cancel")
        assert not server.cancels, "our own statement was hit"
        server.release_one()
        reply = c.until_ready()
        asker.result()
        assert reply.sqlstate() == "57014", reply
        assert len(server.cancels) == 1


def test_many_requests_for_one_statement(ctx):
    """However many come, few connections go to the server at a time."""
    with FakeServer(answer_cancels=False) as server:
        p = ctx.proxy(databases={"fake": {"host": "127.0.0.1", "port": server.port}}, cancel_wait_timeout=60)
        c = ctx.keep(p.connect("fake"))
        c.send(query("hold"))
        p.wait(lambda: p.pool("fake")["sv_active"] == "1", "the running statement")
        for _ in range(50):
            other = ctx.keep(Wire(p.address))
            other.send(struct.pack("!II", 16, CANCEL_CODE) + c.cancel_key)
        server.wait_cancels(4)
        p.wait(lambda: len([r for r in p.console("SHOW CLIENTS") if r["state"] == "active_cancel_req"]) == 50,
               "all requests")
        assert len(server.cancels) == 4, len(server.cancels)


def test_behind_what_is_ours(ctx):
    """A statement of ours stands in front in the same batch, and is not answered before the batch is: the client's is cancelled."""
    ctx.sql("CREATE TABLE t(k int); GRANT ALL ON t TO PUBLIC")
    lock, watcher = ctx.direct(), ctx.direct()
    p = ctx.cache_proxy(default_pool_size=1, max_prepared_statements=1, worker_threads=1)
    ctx.wait_hits(p)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT 1", "a") + sync()).check()
    waits = "SELECT * FROM t FOR UPDATE"
    evicts = parse(waits, "b") + bind("b") + execute() + sync()
    for sends, times in ((evicts, 1), (query("BEGIN") + query(waits), 2), (query("BEGIN") + unit(waits), 2), (query("BEGIN") + parse(waits, "d") + bind("d") + execute() + sync(), 2)):
        lock.query("BEGIN; LOCK TABLE t").check()
        c.send(sends)
        p.wait(lambda: watcher.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                     " AND usename = 'app' AND datname = current_database()") == "1", f"{sends} to wait for the lock")
        c.cancel()
        assert c.until_ready(times).sqlstate() == "57014", sends
        lock.query("ROLLBACK")
        c.query("ROLLBACK")
