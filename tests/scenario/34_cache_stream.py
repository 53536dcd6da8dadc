# SPDX-License-Identifier: Apache-2.0
"""The stream late, lost or stalled: hits stop in time, queries go on, nothing is left on the server."""
import signal
import time

from cluster import stopped
from pgwire import query
from proxy import CACHE_SETTINGS, USERS
from relay import Relay
from runner import limit

SETUP = "CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0); GRANT ALL ON t TO app"
READ = "SELECT n FROM t WHERE id = 1"
BOUND = 0.25


def check_after(ctx, c, n, acknowledged):
    """Reads of one client after a direct write: the old row at most within the bound."""
    while True:
        began = time.monotonic()
        if c.value(READ) == str(n):
            return
        assert began - acknowledged <= BOUND, f"{began - acknowledged:.3f} s after the write, the old row"


def control_pids(ctx):
    """Control connections that are not the stream."""
    return [int(r[0]) for r in ctx.sql(
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{ctx.db}' AND usename = 'control' "
        "AND backend_type = 'client backend'")]


def own_slots(ctx):
    return ctx.sql(f"SELECT slot_name FROM pg_replication_slots WHERE database = '{ctx.db}'")


@limit(60)
def test_walsender_killed(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c, d = ctx.keep(p.connect(ctx.db)), ctx.direct()
    back = []
    for n in range(1, 8):
        ctx.wait_hit(p, lambda: c.query(READ), timeout=15)
        old = ctx.pg.walsenders(ctx.db)
        assert len(old) == 1, old
        d.query(f"SELECT pg_terminate_backend({old[0]}, 5000)")
        killed = time.monotonic()
        d.query(f"UPDATE t SET n = {n} WHERE id = 1")
        check_after(ctx, c, n, time.monotonic())
        ctx.wait_hit(p, lambda: c.query(READ), timeout=15)
        back.append(time.monotonic() - killed)
        assert c.value(READ) == str(n)
        assert len(own_slots(ctx)) == 1, own_slots(ctx)
    ctx.note(f"hits again after {sorted(back)[len(back) // 2] * 1000:.0f} ms (median)")


@limit(60)
def test_control_connection_killed(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    c, d = ctx.keep(p.connect(ctx.db)), ctx.direct()
    for n in range(1, 5):
        ctx.wait_hit(p, lambda: c.query(READ), timeout=15)
        for pid in control_pids(ctx):
            d.query(f"SELECT pg_terminate_backend({pid}, 5000)")
        d.query(f"UPDATE t SET n = {n} WHERE id = 1")
        check_after(ctx, c, n, time.monotonic())
    ctx.wait_hit(p, lambda: c.query(READ), timeout=15)


def stop_process(ctx, p, pids):
    """Stops server processes, and checks that hits stop, queries go on, and hits come again."""
    c, d = ctx.keep(p.connect(ctx.db)), ctx.direct()
    ctx.wait_hit(p, lambda: c.query(READ))
    with stopped(pids):
        d.query("UPDATE t SET n = 77 WHERE id = 1")
        acknowledged = time.monotonic()
        check_after(ctx, c, 77, acknowledged)
        time.sleep(max(0, acknowledged + BOUND - time.monotonic()))
        assert ctx.hits(p, lambda: [c.query(READ) for _ in range(30)]) == 0
        for n in range(5):
            d.query(f"UPDATE t SET n = {n} WHERE id = 1")
            assert c.value(READ) == str(n)
        # Through the proxy, too: no write waits for the stream.
        c.query("UPDATE t SET n = 78 WHERE id = 1")
        assert c.value(READ) == "78"
    ctx.wait_hit(p, lambda: c.query(READ), timeout=20)
    assert c.value(READ) == "78"


@limit(60)
def test_walsender_stopped(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    stop_process(ctx, p, ctx.pg.walsenders(ctx.db))


@limit(60)
def test_control_backend_stopped(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    stop_process(ctx, p, control_pids(ctx))


@limit(60)
def test_both_stopped(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    stop_process(ctx, p, ctx.pg.walsenders(ctx.db) + control_pids(ctx))


def test_nothing_left_after_stop(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    assert len(own_slots(ctx)) == 1
    assert ctx.sql(f"SELECT temporary FROM pg_replication_slots WHERE database = '{ctx.db}'") == [("t",)]
    p.stop()
    p.wait(lambda: not own_slots(ctx) and not ctx.pg.walsenders(ctx.db), "the slot to go")
    assert ctx.sql("SELECT count(*) FROM pg_publication") == [("0",)]


def test_nothing_left_after_kill(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    p.kill()
    p.wait(lambda: not own_slots(ctx) and not ctx.pg.walsenders(ctx.db), "the slot to go")


def test_no_wal_retained(ctx):
    """The stream acknowledges what it read, idle or not: the server may recycle its WAL."""
    ctx.sql(SETUP + "; CREATE TABLE noise(v text)")
    p = ctx.cache_proxy()

    def lag():
        # Behind by less than what was just written.
        return int(ctx.sql("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint "
                           f"FROM pg_replication_slots WHERE database = '{ctx.db}'")[0][0])
    for _ in range(5):
        ctx.sql("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
    p.wait(lambda: lag() < 500000, "the slot to follow", 15)


@limit(90)
def test_slot_invalidated(ctx):
    """The server keeps no more WAL for a stream that is too far behind, and takes its slot away: no hit, said so, no row of
    before, and then a slot anew."""
    ctx.sql(SETUP + "; CREATE TABLE noise(v text)")
    ctx.pg.configure(max_slot_wal_keep_size="16MB")
    try:
        relay = ctx.keep(Relay(ctx.pg.port))
        p = ctx.cache_proxy(databases={ctx.db: ctx.server(port=relay.port)})
        c, d = ctx.keep(p.connect(ctx.db)), ctx.direct()
        ctx.wait_hit(p, lambda: c.query(READ))
        (slot,), = own_slots(ctx)
        with ctx.pg.stream_held(ctx.db):
            for _ in range(6):
                ctx.sql("INSERT INTO noise SELECT repeat(md5(i::text), 30) FROM generate_series(1, 20000) i; SELECT pg_switch_wal()")
            d.send(query("CHECKPOINT"))  # which waits until whoever has the slot is gone
            p.wait(lambda: "terminating process" in ctx.pg.log() and slot in ctx.pg.log(), "the end of the slot", 30)
            ctx.sql("UPDATE t SET n = 5 WHERE id = 1")
            written = time.monotonic()
            check_after(ctx, c, 5, written)
            stale = p.cache()["bypass_stale"]
            ctx.never_hit(p, lambda: c.query(READ))
            row, = p.console("SHOW INVALIDATION")
            assert p.cache()["bypass_stale"] > stale and int(row["fresh_age_us"]) > BOUND * 1e6, row
            assert "the stream is late or silent" in row["reason"], row
            relay.refuse("stream")
        p.wait_log("is off: the event stream was lost")
        row, = p.console("SHOW INVALIDATION")
        assert row["state"] != "following" and row["reason"], row
        ctx.sql("UPDATE t SET n = 6 WHERE id = 1")
        check_after(ctx, c, 6, time.monotonic())
        ctx.never_hit(p, lambda: c.query(READ))
        relay.allow("stream")
        d.until_ready()
        for n in range(7, 60):
            ctx.sql(f"UPDATE t SET n = {n} WHERE id = 1")
            check_after(ctx, c, n, time.monotonic())
        ctx.wait_hit(p, lambda: c.query(READ))
        assert c.value(READ) == "59"
        row, = p.console("SHOW INVALIDATION")
        assert (row["state"], row["reason"]) == ("following", "") and (slot,) not in own_slots(ctx) and own_slots(ctx)
    finally:
        ctx.pg.configure(max_slot_wal_keep_size=None)


@limit(90)
def test_server_restarted(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy(server_login_retry=0.2, query_wait_timeout=20)
    c = ctx.keep(p.connect(ctx.db))
    for n, mode in ((1, signal.SIGINT), (2, signal.SIGQUIT)):
        ctx.wait_hit(p, lambda: c.query(READ), timeout=15)
        ctx.pg.stop(mode)
        # While it is down: a hit within the bound at most, no row of the past later.
        ctx.pg.start()
        ctx.sql(f"UPDATE t SET n = {n} WHERE id = 1")
        check_after(ctx, c, n, time.monotonic())
        ctx.wait_hit(p, lambda: c.query(READ), timeout=20)
        assert c.value(READ) == str(n)


def test_server_down_stops_hits(ctx):
    """An unreachable server: freshness cannot be known, so hits stop after max_staleness."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy(server_login_retry=0.2, query_wait_timeout=20)
    c = ctx.keep(p.connect(ctx.db, timeout=20))
    ctx.wait_hit(p, lambda: c.query(READ))
    ctx.pg.stop()
    try:
        time.sleep(BOUND + 0.05)
        c.send(query(READ))
        assert c.is_quiet(0.3), "an answer without a server"
    finally:
        ctx.pg.start()
    assert c.until_ready(timeout=15).check().value == "0"


def test_long_transaction_delays_the_cache_only(ctx):
    """Making a slot waits for running transactions; queries do not."""
    ctx.sql(SETUP)
    d = ctx.direct()
    d.query("BEGIN; UPDATE t SET n = 0 WHERE id = 2")
    p = ctx.proxy(**CACHE_SETTINGS)
    c = ctx.keep(p.connect(ctx.db))
    started = time.monotonic()
    for _ in range(50):
        assert c.value(READ) == "0"
    assert time.monotonic() - started < 3
    d.query("COMMIT")
    ctx.sql("CREATE TABLE warm(id int PRIMARY KEY); GRANT SELECT ON warm TO PUBLIC")
    ctx.wait_hits(p, 15)
    # And a stop while the slot is being made.
    d.query("BEGIN; UPDATE t SET n = 0 WHERE id = 2")
    second = ctx.proxy(**CACHE_SETTINGS)
    with second.connect(ctx.db) as e:
        assert e.value(READ) == "0"
    second.stop()
    d.query("COMMIT")
    p.wait(lambda: len(own_slots(ctx)) == 1, "the second slot to go")


def test_control_user_without_rights(ctx):
    """No cache then, and the log says why; queries are served."""
    ctx.sql(SETUP)
    for user, users in (("other", USERS), ("control", USERS | {"control": "wrong"}), ("nobody", USERS | {"nobody": "x"})):
        p = ctx.proxy(users=users, **CACHE_SETTINGS | {"control_user": user})
        c = ctx.keep(p.connect(ctx.db))
        for _ in range(20):
            assert c.value(READ) == "0"
            time.sleep(0.005)
        assert p.cache()["hits"] == 0
        # "other" may log in without a password (trust); what it lacks is REPLICATION.
        if user == "other":
            p.wait_log("(?i)replication|permission|cache")


def test_many_proxies(ctx):
    """Several proxies on one database need no word with each other."""
    ctx.sql(SETUP)
    proxies = [ctx.cache_proxy() for _ in range(3)]
    clients = [ctx.keep(p.connect(ctx.db)) for p in proxies]
    for n in range(1, 20):
        clients[n % 3].query(f"UPDATE t SET n = {n} WHERE id = 1")
        assert clients[n % 3].value(READ) == str(n)
        acknowledged = time.monotonic()
        for c in clients:
            check_after(ctx, c, n, acknowledged)


def test_several_databases(ctx):
    """Each database has its own stream; their entries do not meet."""
    ctx.sql(SETUP)
    second = ctx.new_database()
    ctx.sql(SETUP + "; UPDATE t SET n = 5", database=second)
    p = ctx.cache_proxy(databases={ctx.db: ctx.server(), "two": ctx.server() | {"dbname": second},
                                   "alias": ctx.server()})
    c, two, alias = (ctx.keep(p.connect(name)) for name in (ctx.db, "two", "alias"))
    for _ in range(20):
        assert c.value(READ) == "0" and two.value(READ) == "5" and alias.value(READ) == "0"
        time.sleep(0.01)
    ctx.wait_hit(p, lambda: two.value(READ))
    # A write through one name of a database is a write to the other name's, too.
    for n in range(1, 10):
        ctx.wait_hit(p, lambda: c.value(READ))
        alias.query(f"UPDATE t SET n = {n} WHERE id = 1")
        assert c.value(READ) == str(n)
    assert two.value(READ) == "5"
