# SPDX-License-Identifier: Apache-2.0
"""Clients that wait, and clients that are too slow: who is told what, and when. For all, for a
database, for a user, and after a RELOAD."""
import time

from cluster import free_port
from pgwire import query

NOTICE = "No server connection available in postgres backend, client being queued"


def one(ctx, **settings):
    return ctx.proxy(default_pool_size=1, worker_threads=1, log_disconnections=1, **settings)


def last_words(wire):
    return wire.wait_closed().errors[-1].text


def hold(ctx, p, user="app"):
    """The only server is taken."""
    holder = ctx.keep(p.connect(ctx.db, user))
    holder.query("BEGIN")
    return holder


def test_query_wait_notify(ctx):
    """A notice, once for each wait, and then the answer as if nothing had been."""
    p = one(ctx, query_wait_notify=1)
    waiting = ctx.keep(p.connect(ctx.db))
    for _ in range(2):
        holder = hold(ctx, p)
        waiting.send(query("SELECT 5"))
        notice = waiting.until("N")
        assert notice.kinds == "N" and notice.notices[0]["M"] == NOTICE, notice.notices
        assert notice.notices[0]["S"] == "NOTICE" and notice.notices[0]["C"] == "00000", notice.notices
        assert waiting.is_quiet(1.3)
        holder.close()
        reply = waiting.until_ready()
        assert (reply.kinds, reply.value) == ("TDCZ", "5")


def test_query_wait_notify_off(ctx):
    p = one(ctx, query_wait_notify=0)
    waiting = ctx.keep(p.connect(ctx.db))
    holder = hold(ctx, p)
    waiting.send(query("SELECT 5"))
    assert waiting.is_quiet(1.3)
    p.reload(query_wait_notify=1)
    assert waiting.until("N").notices[0]["M"] == NOTICE
    holder.query("COMMIT")


def waits_how_long(ctx, p, user="app", database=None):
    wire = ctx.keep(p.connect(database or ctx.db, user))
    started = time.monotonic()
    wire.send(query("SELECT 1"))
    words = last_words(wire)
    assert words == "query_wait_timeout", words
    return time.monotonic() - started


def test_query_wait_timeout(ctx):
    """The user's own value counts before the database's, that before the setting's; 0 is a value."""
    p = ctx.proxy(worker_threads=1, query_wait_timeout=0.3, default_pool_size=1, max_db_connections=1,
                  databases={ctx.db: ctx.server(user="app", password="app-secret"),
                             "db": ctx.server(user="app", password="app-secret", query_wait_timeout=1)},
                  user_settings={"other": {"query_wait_timeout": 2}, "srv_trust": {"query_wait_timeout": 0}})
    a, b = hold(ctx, p), ctx.keep(p.connect("db"))
    b.query("BEGIN")
    assert 0.2 < waits_how_long(ctx, p) < 0.9
    assert 0.9 < waits_how_long(ctx, p, database="db") < 1.8
    assert 1.9 < waits_how_long(ctx, p, "other", "db") < 3
    patient = ctx.keep(p.connect(ctx.db, "srv_trust"))
    patient.send(query("SELECT 6"))
    assert patient.is_quiet(0.6)
    a.query("COMMIT")
    assert patient.until_ready().value == "6"


def test_query_wait_timeout_after_reload(ctx):
    """It counts for who waits already."""
    p = one(ctx, query_wait_timeout=0)
    waiting = ctx.keep(p.connect(ctx.db))
    hold(ctx, p)
    waiting.send(query("SELECT 1"))
    assert waiting.is_quiet(0.3)
    p.reload(query_wait_timeout=0.2)
    assert last_words(waiting) == "query_wait_timeout"
    p.wait_log("closing because: query_wait_timeout")


def test_query_timeout(ctx):
    """The server ends, and its client with the same words; a user's own value counts first."""
    p = ctx.proxy(worker_threads=1, query_timeout=30, log_disconnections=1, default_pool_size=2,
                  user_settings={"other": {"query_timeout": 1}})
    a, b = ctx.keep(p.connect(ctx.db, "app")), ctx.keep(p.connect(ctx.db, "other"))
    a.send(query("SELECT pg_sleep(2)"))
    b.send(query("SELECT pg_sleep(2)"))
    assert last_words(b) == "query timeout"
    assert a.until_ready().status == "I"
    p.wait_log(r"S-\S+ \S+/other@\S+ closing because: query timeout \(age=\d+s\)")
    p.wait_log(r"C-\S+ \S+/other@\S+ closing because: query timeout \(age=\d+s\)")


def test_query_timeout_while_waiting(ctx):
    """PgBouncer counts the time in the queue, too, and then has another word for it."""
    p = one(ctx, query_timeout=1)
    waiting = ctx.keep(p.connect(ctx.db))
    hold(ctx, p)
    waiting.send(query("SELECT 1"))
    assert last_words(waiting) == "query_timeout"


def test_idle_transaction_timeout(ctx):
    p = ctx.proxy(worker_threads=1, idle_transaction_timeout=30, log_disconnections=1,
                  user_settings={"other": {"idle_transaction_timeout": 1}})
    a, b = hold(ctx, p), hold(ctx, p, "other")
    assert last_words(b) == "idle transaction timeout"
    assert a.value("SELECT 1") == "1"
    p.reload(idle_transaction_timeout=0.3)
    assert last_words(a) == "idle transaction timeout"
    p.wait_log(r"S-\S+ \S+/app@\S+ closing because: idle transaction timeout")


def test_transaction_timeout(ctx):
    """However busy it is."""
    p = ctx.proxy(worker_threads=1, log_disconnections=1, user_settings={"other": {"transaction_timeout": 1}})
    a, b = hold(ctx, p), hold(ctx, p, "other")
    b.send(query("SELECT pg_sleep(3)"))
    assert last_words(b) == "transaction timeout"
    assert a.value("SELECT 1") == "1"
    p.reload(transaction_timeout=0.2)
    assert last_words(a) == "transaction timeout"
    p.wait_log(r"S-\S+ \S+/app@\S+ closing because: transaction timeout")


def test_timeouts_of_a_forced_user(ctx):
    """Timeouts of queries are those of the pool's user, that of idle clients their own user's."""
    p = ctx.proxy(worker_threads=1, databases={ctx.db: ctx.server(user="app", password="app-secret")},
                  user_settings={"app": {"idle_transaction_timeout": 1}, "other": {"client_idle_timeout": 1}})
    assert last_words(hold(ctx, p, "other")) == "idle transaction timeout"
    idle, own = ctx.keep(p.connect(ctx.db, "other")), ctx.keep(p.connect(ctx.db, "app"))
    assert last_words(idle) == "client_idle_timeout"
    assert own.value("SELECT 1") == "1"


def test_client_idle_timeout(ctx):
    p = one(ctx, user_settings={"other": {"client_idle_timeout": 1}})
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "other"))
    assert last_words(b) == "client_idle_timeout"
    assert a.value("SELECT 1") == "1"
    p.reload(client_idle_timeout=0.2)
    assert last_words(a) == "client_idle_timeout"


def test_client_login_timeout(ctx):
    """Of a client that does not log in, and of one that waits for a server that does not come."""
    p = one(ctx, client_login_timeout=0.5, tcp_defer_accept=0, server_login_retry=60,
            databases={"gone": {"host": "127.0.0.1", "port": free_port()}})
    assert last_words(ctx.keep(p.open())) == "client_login_timeout"
    assert p.refused("gone").text == "client_login_timeout (server down)"


def test_login_notify_message(ctx):
    p = one(ctx, login_notify_message="this is a pool")
    wire = ctx.keep(p.open())
    from pgwire import startup
    wire.send(startup({"user": "app", "database": ctx.db}))
    reply = wire.until_ready()
    assert [n["M"] for n in reply.notices] == ["this is a pool"], reply.notices
    assert wire.value("SELECT 1") == "1"
    p.reload(login_notify_message="")

    def silent():
        other = ctx.keep(p.open())
        other.send(startup({"user": "app", "database": ctx.db}))
        return not other.until_ready().notices

    p.wait(silent, "a login without a notice")


def test_pqexec_disallowed(ctx):
    """Only the extended protocol; RELOAD does not change it."""
    p = one(ctx, disable_pqexec=1)
    c = ctx.keep(p.connect(ctx.db))
    assert c.run("SELECT 3").value == "3"
    c.send(query("SELECT 1"))
    assert last_words(c) == "PQexec disallowed"
    p.wait_log('client used "Query" packet type')
    p.reload(disable_pqexec=0)
    p.wait_log("disable_pqexec cannot be changed without a restart")
    d = ctx.keep(p.connect(ctx.db))
    d.send(query("SELECT 1"))
    assert last_words(d) == "PQexec disallowed"


def test_max_packet_size(ctx):
    """Of either side."""
    p = one(ctx, max_packet_size=2000)
    c = ctx.keep(p.connect(ctx.db))
    assert len(c.value("SELECT repeat('x', 1500)")) == 1500
    c.send(query("SELECT '" + "y" * 2000 + "'"))
    assert last_words(c) == "bad packet header: '51000007de'"
    d = ctx.keep(p.connect(ctx.db))
    d.send(query("SELECT repeat('x', 3000)"))
    assert last_words(d) == "bad pkt header"
    p.reload(max_packet_size=10000)
    p.wait(lambda: answers(ctx, p), "the new limit")


def answers(ctx, p):
    wire = ctx.keep(p.connect(ctx.db))
    return wire.ask(query("SELECT repeat('x', 3000)")).rows


def test_reserve_pool_is_logged(ctx):
    p = one(ctx, databases={ctx.db: ctx.server(reserve_pool_size=1)}, reserve_pool_timeout=0.3)
    hold(ctx, p)
    second = ctx.keep(p.connect(ctx.db))
    assert second.value("SELECT 1") == "1"
    p.wait_log("taking connection from reserve_pool")
