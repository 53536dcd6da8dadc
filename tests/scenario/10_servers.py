# SPDX-License-Identifier: Apache-2.0
"""Servers that are not there, go away, come back."""
import signal
import socket
import time

from cluster import free_port
from pgwire import PeerClosed, PgError, query


def test_unreachable(ctx):
    p = ctx.proxy(databases={"gone": {"host": "127.0.0.1", "port": free_port()}, ctx.db: ctx.server()},
                  query_wait_timeout=3)
    error = p.refused("gone")
    assert error.severity == "FATAL" and error.text, error
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_silent_server(ctx):
    """Something accepts and says nothing: server_connect_timeout."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        p = ctx.proxy(databases={"mute": {"host": "127.0.0.1", "port": mute.getsockname()[1]}},
                      server_connect_timeout=1, query_wait_timeout=4)
        started = time.monotonic()
        error = p.refused("mute")
        assert error.severity == "FATAL", error
        assert time.monotonic() - started < 9


def test_not_a_postgres(ctx):
    """A server that answers with garbage."""
    import threading
    with socket.socket() as fake:
        fake.bind(("127.0.0.1", 0))
        fake.listen(20)

        def answer():
            while True:
                try:
                    s, _ = fake.accept()
                except OSError:
                    return
                s.sendall(b"HTTP/1.1 400 Bad Request\r\nServer: none\r\n\r\n")
                s.close()

        threading.Thread(target=answer, daemon=True).start()
        p = ctx.proxy(databases={"fake": {"host": "127.0.0.1", "port": fake.getsockname()[1]},
                                 ctx.db: ctx.server()}, query_wait_timeout=2)
        assert p.refused("fake").severity == "FATAL"
        with p.connect(ctx.db) as c:
            assert c.value("SELECT 1") == "1"
        fake.shutdown(socket.SHUT_RDWR)


def test_unknown_host(ctx):
    p = ctx.proxy(databases={"lost": {"host": "no.such.host.invalid"}, ctx.db: ctx.server()}, query_wait_timeout=3)
    assert p.refused("lost").severity == "FATAL"
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_backend_terminated_while_idle(ctx):
    """The client notices nothing: its next statement runs on another connection."""
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    pid = c.value("SELECT pg_backend_pid()")
    ctx.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "0", "the proxy to have seen it")
    assert c.value("SELECT pg_backend_pid()") != pid


def test_backend_terminated_in_transaction(ctx):
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    pid = c.value("SELECT pg_backend_pid()")
    ctx.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    try:
        c.send(query("SELECT 1"))
        reply = c.wait_closed()
        errors = reply.errors
    except PeerClosed as closed:
        errors = [closed.error]
    assert errors and errors[0] and errors[0].severity == "FATAL", errors
    with p.connect(ctx.db) as other:
        assert other.value("SELECT 1") == "1"


def test_backend_terminated_in_query(ctx):
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("SELECT pg_sleep(30)"))
    pid = p.wait(lambda: ctx.sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' "
                                 "AND state = 'active'"), "the sleeping backend")[0][0]
    ctx.sql(f"SELECT pg_terminate_backend({pid})")
    reply = c.wait_closed()
    assert reply.errors[0].sqlstate == "57P01", reply.errors
    with p.connect(ctx.db) as other:
        assert other.value("SELECT 1") == "1"


def test_server_restarted(ctx):
    p = ctx.proxy(server_login_retry=0.2, query_wait_timeout=20)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(5)]
    for c in clients:
        c.query("SELECT 1")
    for mode in (signal.SIGINT, signal.SIGQUIT):
        ctx.pg.restart(mode)
        # A login that met the restart is not repeated, and who asks is refused, for server_login_retry.
        p.wait(lambda: serves(ctx, p), "the first login after the restart")
        for c in clients:
            assert c.value("SELECT 7") == "7"


def serves(ctx, p):
    try:
        with p.connect(ctx.db) as c:
            return c.value("SELECT 1") == "1"
    except (PgError, PeerClosed):
        return False


def test_server_down_and_up(ctx):
    """A client that asks while the server is down waits, and gets its answer."""
    p = ctx.proxy(server_login_retry=0.2, query_wait_timeout=20)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    # A login that met the end of the server would have who asks be refused, for server_login_retry.
    p.wait(lambda: p.pool(ctx.db)["sv_login"] == "0", "all logins")
    ctx.pg.stop()
    try:
        c.send(query("SELECT 8"))
        assert c.is_quiet(0.3)
    finally:
        ctx.pg.start()
    assert c.until_ready(timeout=15).check().value == "8"


def test_too_many_connections_on_server(ctx):
    """The server refuses more: clients share what there is."""
    ctx.sql("ALTER ROLE app CONNECTION LIMIT 2")
    try:
        p = ctx.proxy(default_pool_size=10, server_login_retry=0.2)
        clients = []
        for _ in range(2):
            c = ctx.keep(p.connect(ctx.db))
            c.query("SELECT 1")
            clients.append(c)
        for c in clients:
            c.query("BEGIN")
        third = ctx.keep(p.connect(ctx.db))
        third.send(query("SELECT 3"))
        third.is_quiet(0.3)
        for c in clients:
            c.query("COMMIT")
        assert third.until_ready().value == "3"
    except PgError as error:
        # PgBouncer tells the waiting clients what the server said.
        assert error.sqlstate == "53300", error
    finally:
        ctx.sql("ALTER ROLE app CONNECTION LIMIT -1")
