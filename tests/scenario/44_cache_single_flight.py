# SPDX-License-Identifier: Apache-2.0
"""Concurrent misses on one key run once; who waited gets that answer if it is one for him."""
import os
import signal
import time

from pgwire import query, unit
from window import Window

READ = "SELECT count(*), sum(n) FROM f"
# Long enough to be caught at work; then its server process is stopped.
LONG = "SELECT sum(a.n), count(*) FROM f a, f b, f c WHERE a.n + b.n + c.n > 0"


class Gate:
    """A table that nobody can read while the gate is closed: whoever asks is at work on a server."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.locker = ctx.keep(ctx.direct())
        self.closed = False

    def close(self):
        self.locker.query("BEGIN; LOCK TABLE f IN ACCESS EXCLUSIVE MODE")
        self.closed = True
        return self

    def open(self):
        self.locker.query("COMMIT")

    def running(self):
        return int(self.ctx.sql("SELECT count(*) FROM pg_locks WHERE relation = 'f'::regclass AND NOT granted")[0][0])

    def wait_running(self, p, n):
        p.wait(lambda: self.running() == n, f"{n} runs at work")


def table(ctx, **options):
    ctx.sql("CREATE TABLE f(id int PRIMARY KEY, n int); GRANT ALL ON f TO app, other; "
            "INSERT INTO f SELECT i, 1 FROM generate_series(1, 100) i; "
            "CREATE TABLE aside(id int PRIMARY KEY); GRANT ALL ON aside TO app, other; INSERT INTO aside VALUES (1)")
    # The tables are there before the proxy: a schema that changes meanwhile is another epoch, and then a
    # server's settings are asked for first. Patient, for a busy machine.
    p = ctx.cache_proxy(**{"max_staleness": 1, **options})
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.value("SELECT id FROM aside"))
    # The names of the other table are known, too.
    c.query("SELECT n FROM f WHERE id = 1")
    ctx.wait_hit(p, lambda: c.value("SELECT n FROM f WHERE id = 2"))
    return p


def clients(ctx, p, n, **options):
    return [ctx.keep(p.connect(ctx.db, **options)) for _ in range(n)]


def wait_followed(p, n):
    p.wait(lambda: p.cache()["followed"] == n, f"{n} that follow")


def once(ctx, p, n, *scripts):
    """All ask at once, one runs, all get the answer."""
    gate = Gate(ctx).close()
    before = p.cache()
    all_of_them = clients(ctx, p, n)
    for i, c in enumerate(all_of_them):
        c.send(scripts[i % len(scripts)])
    p.wait(lambda: p.cache()["followed"] - before["followed"] == n - 1, "those who follow")
    gate.wait_running(p, 1)
    gate.open()
    for c in all_of_them:
        assert c.until_ready().check().rows == [("100", "100")]
    now = p.cache()
    assert now["misses"] == before["misses"] + 1 and now["stores"] == before["stores"] + 1, (before, now)
    assert now["hits"] - before["hits"] == n - 1, (before, now)
    assert now["followed_vainly"] == before["followed_vainly"], (before, now)


def test_fifty_ask_one_runs(ctx):
    p = table(ctx, default_pool_size=20)
    once(ctx, p, 50, query(READ))


def test_two_workers(ctx):
    p = table(ctx, worker_threads=2, default_pool_size=20)
    once(ctx, p, 50, query(READ))


def test_extended(ctx):
    p = table(ctx, default_pool_size=20)
    once(ctx, p, 20, unit(READ))


def test_server_of_other_settings(ctx):
    """The leader's server was another client's: it is made the leader's first, and then one runs."""
    p = table(ctx, default_pool_size=1)
    for turn, settings in enumerate(({"TimeZone": "Asia/Tokyo"}, {"DateStyle": "German, DMY"}, {"extra_float_digits": "0"},
                                     {"options": "-c work_mem=5MB"}, {"TimeZone": "Asia/Tokyo", "options": "-c work_mem=6MB"})):
        all_of_them = clients(ctx, p, 6, **settings)
        ctx.keep(p.connect(ctx.db)).query("SELECT 1") # who has the server before
        gate = Gate(ctx).close()
        before = p.cache()
        for c in all_of_them:
            c.send(query(f"{READ} WHERE {turn} < n + {turn}"))
        wait_followed(p, before["followed"] + 5)
        gate.wait_running(p, 1)
        gate.open()
        for c in all_of_them:
            assert c.until_ready().check().rows == [("100", "100")]
        now = p.cache()
        assert now["stores"] == before["stores"] + 1 and now["hits"] == before["hits"] + 5, (settings, before, now)


def test_more_than_the_pool(ctx):
    """The leader waits for the only server; nobody who follows stands in its way."""
    p = table(ctx, default_pool_size=1)
    holder = ctx.keep(p.connect(ctx.db))
    holder.query("BEGIN")
    holder.query("SELECT 1")
    all_of_them = clients(ctx, p, 10)
    for c in all_of_them:
        c.send(query(READ))
    wait_followed(p, 9)
    assert p.pool(ctx.db)["cl_waiting"] == "1"
    holder.query("COMMIT")
    for c in all_of_them:
        assert c.until_ready().check().rows == [("100", "100")]
    assert p.cache()["followed_vainly"] == 0


def test_different_questions_do_not_wait(ctx):
    p = table(ctx, default_pool_size=20)
    gate = Gate(ctx).close()
    scripts = [query(READ), query(READ + " WHERE id > 0"), query(READ + " WHERE id > -1"), unit(READ)]
    all_of_them = clients(ctx, p, len(scripts))
    other = ctx.keep(p.connect(ctx.db, user="other")) # the same text, another role
    all_of_them.append(other)
    for c, script in zip(all_of_them, scripts + [query(READ)]):
        c.send(script)
    gate.wait_running(p, 5)
    assert p.cache()["followed"] == 0
    gate.open()
    for c in all_of_them:
        assert c.until_ready().check().rows == [("100", "100")]


def led(ctx, p, gate, n=8):
    """One leads, n - 1 follow."""
    gate.close()
    leader = ctx.keep(p.connect(ctx.db))
    leader.send(query(READ))
    gate.wait_running(p, 1)
    followers = clients(ctx, p, n - 1)
    for c in followers:
        c.send(query(READ))
    wait_followed(p, n - 1)
    return leader, followers


def test_leader_is_cancelled(ctx):
    p = table(ctx, default_pool_size=20)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate)
    leader.cancel()
    assert leader.until_ready().sqlstate() == "57014"
    gate.wait_running(p, 1) # one of the others took over, the rest follow that
    assert all(c.is_quiet(0.01) for c in followers)
    gate.open()
    for c in followers:
        assert c.until_ready().check().rows == [("100", "100")]
    assert p.cache()["followed_vainly"] == 1  # who took over
    assert leader.query(READ).check().rows == [("100", "100")]


def test_leader_leaves(ctx):
    p = table(ctx, default_pool_size=20)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate)
    leader.abort()
    p.wait(lambda: p.cache()["followed_vainly"] >= 1, "somebody who takes over")
    gate.open()
    for c in followers:
        assert c.until_ready().check().rows == [("100", "100")]
    assert p.cache()["followed_vainly"] <= 4


def test_server_of_the_leader_dies(ctx):
    p = table(ctx, default_pool_size=20, worker_threads=2)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate)
    ctx.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'f'::regclass AND NOT granted")
    assert leader.until("ZE").sqlstate() == "57P01"
    p.wait(lambda: p.cache()["followed_vainly"] >= 1, "somebody who takes over")
    gate.open()
    for c in followers:
        assert c.until_ready().check().rows == [("100", "100")]


def test_answer_is_an_error(ctx):
    """Each runs it and gets the error that is his; the key is not waited for again."""
    p = table(ctx, default_pool_size=20)
    sql = "SELECT 1 / (n - n) FROM f"
    gate = Gate(ctx).close()
    all_of_them = clients(ctx, p, 6)
    for c in all_of_them:
        c.send(query(sql))
    wait_followed(p, 5)
    gate.open()
    for c in all_of_them:
        assert c.until_ready().sqlstate() == "22012"
    gate.close()
    for c in all_of_them:
        c.send(query(sql))
    gate.wait_running(p, 6)
    gate.open()
    for c in all_of_them:
        assert c.until_ready().sqlstate() == "22012"
    assert p.cache()["followed"] == 5


def test_answer_is_too_large(ctx):
    p = table(ctx, default_pool_size=20, cache_max_entry_size=1024)
    sql = "SELECT repeat('x', 1000), n FROM f ORDER BY id"
    gate = Gate(ctx).close()
    all_of_them = clients(ctx, p, 6)
    for c in all_of_them:
        c.send(query(sql))
    wait_followed(p, 5)
    gate.open()
    for c in all_of_them:
        assert len(c.until_ready().check().rows) == 100
    assert p.cache()["followed_vainly"] == 5


def stop_a_run(ctx, p, leader):
    """The process that is in the middle of LONG, asked by the leader, stopped."""
    pids = []
    watch = ctx.direct()

    def caught():
        if not leader.is_quiet(0):  # it was over before it was seen
            leader.until_ready()
            p.console("CACHE FLUSH")
            leader.send(query(LONG))
        pids[:] = watch.query(f"SELECT pid FROM pg_stat_activity WHERE datname = '{ctx.db}' AND state = 'active' AND "
                          f"query = $q${LONG}$q$ AND wait_event IS NULL AND clock_timestamp() - query_start > '20 ms'").rows
        return pids
    leader.send(query(LONG))
    p.wait(caught, "the run at work")
    pid = int(pids[0][0])
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_write_after_the_leader_began(ctx):
    """Who asks after a write was acknowledged does not wait for a run that began before it."""
    for workers in (1, 2):
        if workers == 2:
            ctx.sql("DROP TABLE f, aside")
        p = table(ctx, default_pool_size=20, worker_threads=workers)
        leader, writer, early, late = clients(ctx, p, 4)
        pid = stop_a_run(ctx, p, leader)
        try:
            early.send(query(LONG))
            wait_followed(p, 1)
            writer.query("UPDATE f SET n = 2 WHERE id = 1").check()
            # At once, and again when the write has its place.
            assert late.query(LONG).check().rows == [(str(101 * 100 * 100), str(100 ** 3))]
            assert writer.query(LONG).check().rows == [(str(101 * 100 * 100), str(100 ** 3))]
            assert early.is_quiet(0.01)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert leader.until_ready().check().rows == [(str(100 ** 3), str(100 ** 3))]
        # Asked before the write was made: either would be right, and what is known is the new one.
        assert early.until_ready().check().rows == [(str(101 * 100 * 100), str(100 ** 3))]
        for c in (early, late, writer, leader):
            assert c.query(LONG).check().rows == [(str(101 * 100 * 100), str(100 ** 3))]
        p.stop()


def in_the_window(ctx, p, window):
    """A direct write to f is known of, and not known to be visible: no answer that reads f can be kept."""
    c, before = ctx.keep(p.connect(ctx.db)), p.cache()["invalidated"]
    ctx.wait_hit(p, lambda: c.query("SELECT n FROM f WHERE id = 1"))
    ctx.direct(timeout=30).send(query("UPDATE f SET n = 2 WHERE id = 1"))
    window.wait_hanging()
    p.wait(lambda: c.query("SELECT n FROM f WHERE id = 1") and p.cache()["invalidated"] > before, "the event")


def test_in_the_window(ctx):
    """What cannot be kept is handed to those who wait for it, and to nobody later."""
    for workers in (1, 2):
        if workers == 2:
            ctx.sql("DROP TABLE f, aside")
        p = table(ctx, default_pool_size=20, worker_threads=workers, max_staleness=20)
        all_of_them = clients(ctx, p, 6)
        with Window(ctx) as window:
            in_the_window(ctx, p, window)
            for _ in range(2):
                before = p.cache()
                pid = stop_a_run(ctx, p, all_of_them[0])
                try:
                    for c in all_of_them[1:]:
                        c.send(query(LONG))
                    wait_followed(p, before["followed"] + 5)
                finally:
                    os.kill(pid, signal.SIGCONT)
                for c in all_of_them:
                    assert c.until_ready().check().rows == [(str(100 ** 3), str(100 ** 3))]
                now = p.cache()
                assert now["hits"] - before["hits"] == 5 and now["stores"] == before["stores"], (before, now)
                assert now["followed_vainly"] == before["followed_vainly"], (before, now)
            window.release()
        p.wait(lambda: all_of_them[0].query(READ).rows == [("100", "101")], "the new row")
        ctx.wait_hit(p, lambda: all_of_them[0].query(READ))
        assert all_of_them[0].query(READ).rows == [("100", "101")]
        p.stop()


def test_write_in_the_window(ctx):
    """Who asks after an own write was acknowledged is not handed what was asked for before it; nor is one whose session has
    seen something newer."""
    p = table(ctx, default_pool_size=20, max_staleness=60)
    leader, early, late, seer = clients(ctx, p, 4)
    writer = ctx.keep(p.connect(ctx.db, options="-c synchronous_commit=local"))
    old, new = [(str(100 ** 3), str(100 ** 3))], [(str(101 * 100 * 100), str(100 ** 3))]
    with Window(ctx) as window:
        in_the_window(ctx, p, window)
        pid = stop_a_run(ctx, p, leader)
        try:
            followed = p.cache()["followed"]
            early.send(query(LONG))
            wait_followed(p, followed + 1)
            assert seer.value("SELECT n FROM f WHERE id = 1 AND random() >= 0") == "1"  # later than the run began
            seer.send(query(LONG))
            wait_followed(p, followed + 2)
            writer.query("UPDATE f SET n = 2 WHERE id = 2").check()
            assert late.query(LONG).check().rows == new
            assert writer.query(LONG).check().rows == new
            assert early.is_quiet(0.01) and seer.is_quiet(0)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert leader.until_ready().check().rows == old
        assert early.until_ready().check().rows == old  # asked before the write
        assert seer.until_ready().check().rows == new   # asked for itself then
        for c in (early, late, writer, leader):
            assert c.query(LONG).check().rows == new
        window.release()


def test_writes_of_one_place(ctx):
    """A write whose commit is in the WAL and not yet answered when another one's place is taken has the same place: a
    run in between has seen the other one only."""
    p = table(ctx, default_pool_size=20, max_staleness=60)
    leader, early, late, slow = clients(ctx, p, 4)
    local = ctx.keep(p.connect(ctx.db, options="-c synchronous_commit=local"))
    with Window(ctx) as window:
        in_the_window(ctx, p, window)
        slow.send(query("UPDATE f SET n = 2 WHERE id = 3"))
        window.wait_hanging(2)
        local.query("UPDATE f SET n = 2 WHERE id = 2").check()
        for _ in range(20):  # until its place is known
            pid, followed = stop_a_run(ctx, p, leader), p.cache()["followed"]
            early.send(query(LONG))
            try:
                p.wait(lambda: p.cache()["followed"] > followed, "a follower", 0.3)
                break
            except TimeoutError:
                os.kill(pid, signal.SIGCONT)
                for c in (leader, early):
                    c.until_ready().check()
        try:
            window.release()
            slow.until_ready().check()
            for _ in range(3):  # before and after the place of the write is known
                assert late.query(LONG).check().rows == [(str(103 * 100 * 100), str(100 ** 3))]
        finally:
            os.kill(pid, signal.SIGCONT)
        assert early.until_ready().check().rows == [(str(101 * 100 * 100), str(100 ** 3))]


def test_follower_is_cancelled(ctx):
    p = table(ctx, default_pool_size=20)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate)
    followers[0].cancel()
    assert followers[0].until_ready().sqlstate() == "57014"
    assert followers[0].query("SELECT id FROM aside").check().rows == [("1",)]
    followers[1].send(unit("SELECT 1"))  # sent behind, answered behind
    gate.open()
    for c in followers[2:] + [leader]:
        assert c.until_ready().check().rows == [("100", "100")]
    replies = followers[1].until_ready(times=2)
    assert [r[0] for r in replies.rows] == ["100", "1"]


def test_follower_leaves(ctx):
    p = table(ctx, default_pool_size=20)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate)
    for c in followers[:4]:
        c.abort()
    gate.open()
    for c in followers[4:] + [leader]:
        assert c.until_ready().check().rows == [("100", "100")]
    assert int(p.pool(ctx.db)["cl_waiting"]) == 0


def test_patience(ctx):
    """cache_follow_timeout: then each runs its own. query_wait_timeout counts from the beginning."""
    p = table(ctx, default_pool_size=20, cache_follow_timeout=0.3)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate, 4)
    gate.wait_running(p, 4)
    gate.open()
    for c in followers + [leader]:
        assert c.until_ready().check().rows == [("100", "100")]
    p.reload(cache_follow_timeout=0)
    ctx.sql("UPDATE f SET n = 1")
    gate.close()
    for c in followers:
        c.send(query(READ + " WHERE n > 0"))
    gate.wait_running(p, 3)
    gate.open()
    for c in followers:
        assert c.until_ready().check().rows == [("100", "100")]
    assert p.cache()["followed"] == 3


def test_query_wait_timeout(ctx):
    p = table(ctx, default_pool_size=20, query_wait_timeout=1)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate, 3)
    for c in followers:
        reply = c.until("ZE")
        assert reply.sqlstate() == "08P01" and "query_wait_timeout" in reply.errors[0].text, reply.errors
    gate.open()
    assert leader.until_ready().check().rows == [("100", "100")]


def test_waits_are_one_wait(ctx):
    """Behind another client's run, then in the pool's queue: query_wait_timeout counts both."""
    p = table(ctx, default_pool_size=1, query_wait_timeout=1.2, cache_follow_timeout=0.8)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate, 2)
    began = time.monotonic()
    reply = followers[0].until("ZE")
    assert "query_wait_timeout" in reply.errors[0].text, reply.errors
    assert time.monotonic() - began < 1.8
    gate.open()
    assert leader.until_ready().check().rows == [("100", "100")]


def test_sessions_of_their_own(ctx):
    """Session mode: who has a server does not wait for others', and may be waited for."""
    p = table(ctx, default_pool_size=20, pool_mode="session")
    gate = Gate(ctx).close()
    all_of_them = clients(ctx, p, 4)
    for c in all_of_them[:2]:
        c.query("SELECT id FROM aside WHERE id = 0 AND now() IS NOT NULL")
    all_of_them[0].send(query(READ))
    gate.wait_running(p, 1)
    all_of_them[1].send(query(READ))
    gate.wait_running(p, 2)
    for c in all_of_them[2:]:
        c.send(query(READ))
    wait_followed(p, 2)
    gate.open()
    for c in all_of_them:
        assert c.until_ready().check().rows == [("100", "100")]
    assert p.cache()["followed_vainly"] == 0


def test_hits_are_not_idle(ctx):
    """A client that is answered from memory alone is at work."""
    p = table(ctx, client_idle_timeout=1)
    c, idle = clients(ctx, p, 2)
    idle.query("SELECT id FROM aside")
    ended = []

    def asked():
        assert c.query("SELECT id FROM aside").check().rows == [("1",)]
        return not idle.is_quiet(0.05)
    p.wait(asked, "the end of the idle one")
    ended = idle.until("ZE")
    assert "client_idle_timeout" in ended.errors[0].text
    assert c.query("SELECT id FROM aside").check().rows == [("1",)]


def test_followers_at_the_end(ctx):
    """Shutdown, and a database that goes away, find those who wait, too."""
    p = table(ctx, default_pool_size=20)
    gate = Gate(ctx)
    leader, followers = led(ctx, p, gate, 4)
    p.signal(signal.SIGINT)
    for c in followers:
        assert c.until("ZE").sqlstate() == "57P01"
    gate.open()
    assert leader.until_ready().check().rows == [("100", "100")]
    p.wait_end()
