# SPDX-License-Identifier: Apache-2.0
"""The end of the process with a deadline (shutdown_timeout): clients go when they are outside a
transaction, and nothing they were told is lost. Without it all is as in PgBouncer (13_signals)."""
import signal
import socket
import time

from pgwire import PeerClosed, query

WORDS = "terminating connection due to administrator command"


def draining(ctx, timeout, **settings):
    return ctx.proxy(worker_threads=2, shutdown_timeout=timeout, log_disconnections=1, **settings)


def dismissed(wire):
    error = wire.wait_closed().errors[-1]
    assert (error.severity, error.sqlstate, error.text) == ("FATAL", "57P01", WORDS), error


def listens(p):
    try:
        socket.create_connection(p.address, 1).close()
        return True
    except OSError:
        return False


def check_drain(ctx, p):
    idle, busy, asks = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    idle.query("SELECT 1")
    busy.query("BEGIN")
    asks.query("BEGIN")
    asks.send(query("SELECT pg_sleep(0.5), 'still'"))
    p.signal(signal.SIGTERM)
    dismissed(idle)
    p.wait(lambda: not listens(p), "the listener to close")
    assert busy.value("SELECT 2") == "2"
    assert asks.until_ready().rows[0][1] == "still"
    reply = busy.ask(query("COMMIT"))
    assert reply.tags == ["COMMIT"] and reply.status == "I"
    dismissed(busy)
    assert p.is_running()
    asks.query("ROLLBACK")
    dismissed(asks)
    assert p.wait_end() == 0
    p.wait_log("client connections dropped, exiting")


def test_drain(ctx):
    check_drain(ctx, draining(ctx, 30))


def test_drain_in_session_mode(ctx):
    """A session ends with its transaction, too."""
    check_drain(ctx, draining(ctx, 30, pool_mode="session"))


def test_drain_while_waiting(ctx):
    """Who is in the queue has not begun: it may ask elsewhere."""
    p = draining(ctx, 30, default_pool_size=1)
    holder, waiting = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    holder.query("BEGIN")
    waiting.send(query("SELECT 1"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "it to wait")
    p.signal(signal.SIGTERM)
    dismissed(waiting)
    holder.query("COMMIT")
    dismissed(holder)
    assert p.wait_end() == 0


def test_deadline(ctx):
    """A transaction that does not end is cut off, and rolled back."""
    ctx.sql("CREATE TABLE t(n int); GRANT ALL ON t TO app")
    p = draining(ctx, 0.7)
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    c.query("INSERT INTO t VALUES (1)")
    started = time.monotonic()
    p.signal(signal.SIGTERM)
    assert c.wait_closed().errors[-1].sqlstate == "57P01"
    assert 0.6 < time.monotonic() - started < 3
    assert p.wait_end() == 0
    p.wait_log("shutdown_timeout, closing what is left")
    p.wait(lambda: ctx.sql("SELECT count(*) FROM t")[0][0] == "0" and not ctx.sql(
        "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()"), "the rollback")


def test_deadline_of_an_interrupt(ctx):
    p = draining(ctx, 0.7)
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    p.signal(signal.SIGINT)
    assert c.wait_closed().errors[-1].sqlstate == "57P01"
    assert p.wait_end() == 0


def test_without_it_as_pgbouncer(ctx):
    """SIGTERM waits for the client to leave, transactions or not; RELOAD brings the deadline."""
    p = draining(ctx, 0)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    p.signal(signal.SIGTERM)
    for _ in range(3):
        assert c.value("SELECT 2") == "2"
        time.sleep(0.1)
    c.close()
    assert p.wait_end() == 0
    p.wait_log("client connections dropped, exiting")


def test_answers_arrive(ctx):
    """A large answer that the client is slow to read is not cut short."""
    p = draining(ctx, 30, tcp_socket_buffer=65536)
    c = ctx.keep(p.open(receive_buffer=8192))
    c.login("app", ctx.db, "app-secret")
    c.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
    c.until("T")
    p.signal(signal.SIGTERM)
    time.sleep(0.5)
    got = c.until("Z")
    assert len(got.rows_raw) == 20000
    dismissed(c)
    assert p.wait_end() == 0


def test_drain_under_load(ctx):
    """Nobody loses a commit that was acknowledged, nor gets half an answer."""
    ctx.sql("CREATE TABLE done(id text); GRANT ALL ON done TO app")
    p = draining(ctx, 30, default_pool_size=3)
    acknowledged = []

    def run(n):
        c = p.connect(ctx.db)
        try:
            for i in range(100000):
                c.query("BEGIN")
                c.query(f"INSERT INTO done VALUES ('{n}/{i}')")
                c.query("COMMIT")
                acknowledged.append(f"{n}/{i}")
        except PeerClosed as closed:
            assert closed.error and closed.error.sqlstate == "57P01", closed
        except OSError:
            pass
        finally:
            c.close()

    threads = [ctx.thread(run, n) for n in range(8)]
    p.wait(lambda: len(acknowledged) > 50, "some commits")
    p.signal(signal.SIGTERM)
    for thread in threads:
        thread.result()
    assert p.wait_end() == 0
    there = {row[0] for row in ctx.sql("SELECT id FROM done")}
    assert not set(acknowledged) - there
    assert len(there) - len(acknowledged) == 0, "a commit whose client was not told"
