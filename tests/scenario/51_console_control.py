# SPDX-License-Identifier: Apache-2.0
"""The console's control commands and the signals that do the same: tags, errors and effects as PgBouncer has them."""
import random
import signal
import socket
import struct
import threading
import time

from pgwire import PeerClosed, PgError, bind, execute, message, parse, query, startup, sync


def console(ctx, p, **options):
    return ctx.keep(p.connect("pgbouncer", "console", **options))


def fails(c, command, text, sqlstate="08P01"):
    reply = c.ask(query(command))
    assert [(e.severity, e.sqlstate, e.text) for e in reply.errors] == [("ERROR", sqlstate, text)], \
        (command, reply.errors)


def done(c, command, tag=None):
    reply = c.ask(query(command))
    assert not reply.errors, (command, reply.errors)
    assert reply.tags == [tag or command.split()[0]], (command, reply.tags)


def state(p):
    return {r["key"]: r["value"] for r in p.console("SHOW STATE")}


def server_count(ctx):
    return int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")[0][0])


def is_quiet(c, seconds=0.3):
    """Does nothing come within that time? (What must not happen cannot be waited for.)"""
    return c.is_quiet(seconds)


# ---- PAUSE and RESUME


def test_pause(ctx):
    p = ctx.proxy(worker_threads=2)
    busy, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    busy.query("BEGIN")
    other.query("SELECT 1")
    admin, second = console(ctx, p), console(ctx, p)
    admin.send(query("PAUSE"))
    p.wait(lambda: state(p)["paused"] == "yes", "the pause")
    p.wait(lambda: server_count(ctx) == 1, "idle servers to go")
    # The transaction may end; who comes now waits.
    other.send(query("SELECT 2"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "a waiting client")
    assert busy.value("SELECT 3") == "3"
    fails(second, "PAUSE", "already suspended/paused")
    fails(second, f"PAUSE {ctx.db}", "already suspended/paused")
    fails(second, "SUSPEND", "already suspended/paused")
    fails(second, "KILL", "already suspended/paused")
    assert is_quiet(admin), "PAUSE was answered while a server was in use"
    busy.query("COMMIT")
    assert admin.until_ready().check().tags == ["PAUSE"]
    p.wait(lambda: server_count(ctx) == 0, "the servers' processes to end")
    busy.send(query("SELECT 4"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "2", "two waiting clients")
    assert is_quiet(busy) and server_count(ctx) == 0
    done(second, "RESUME")
    assert other.until_ready().check().value == "2"
    assert busy.until_ready().check().value == "4"
    fails(second, "RESUME", "pooler is not paused/suspended")
    assert state(p) == {"active": "yes", "paused": "no", "suspended": "no"}
    assert p.wait_log("PAUSE command issued") and p.wait_log("RESUME command issued")


def test_pause_idle(ctx):
    """With nothing in use it is over at once; a client that comes meanwhile is greeted afterwards."""
    p = ctx.proxy()
    with p.connect(ctx.db) as c:
        c.query("SELECT 1")
    admin = console(ctx, p)
    done(admin, "PAUSE")
    p.wait(lambda: server_count(ctx) == 0, "the servers' processes to end")
    late = ctx.thread(lambda: p.connect(ctx.db, "other").close())
    early = ctx.keep(p.connect(ctx.db))  # its greeting is known
    early.send(query("SELECT 1"))
    p.wait(lambda: (p.pool(ctx.db, "other") or {}).get("cl_waiting") == "1", "a client of a new pool")
    done(admin, "RESUME")
    late.result()
    assert early.until_ready().check().value == "1"


def test_pause_session_mode(ctx):
    """In session mode a server is released when its client goes."""
    p = ctx.proxy(pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    admin = console(ctx, p)
    admin.send(query("PAUSE"))
    assert is_quiet(admin)
    assert c.value("SELECT 2") == "2"
    c.close()
    assert admin.until_ready().check().tags == ["PAUSE"]


def test_pause_database(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(), "extra": ctx.server()})
    one, two = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("extra"))
    one.query("SELECT 1")
    two.query("BEGIN")
    admin, second = console(ctx, p), console(ctx, p)
    admin.send(query("PAUSE extra"))
    p.wait(lambda: paused(p, "extra") == "1", "the pause")
    assert paused(p, ctx.db) == "0" and state(p)["active"] == "yes"
    assert one.value("SELECT 2") == "2"
    assert is_quiet(admin, 0.2)
    fails(second, "SUSPEND", "cannot suspend with paused databases")
    two.query("COMMIT")
    assert admin.until_ready().check().tags == ["PAUSE"]
    two.send(query("SELECT 3"))
    p.wait(lambda: p.pool("extra")["cl_waiting"] == "1", "a waiting client")
    fails(second, f"RESUME {ctx.db}", f"database {ctx.db} is not paused")
    fails(second, "RESUME", "pooler is not paused/suspended")
    fails(second, "RESUME nobody", "no such database: nobody")
    fails(second, "PAUSE nobody", "no such database: nobody")
    fails(second, "PAUSE pgbouncer", "cannot pause admin db: pgbouncer")
    done(second, "RESUME extra")
    assert two.until_ready().check().value == "3"


def paused(p, database):
    return next(r["paused"] for r in p.console("SHOW DATABASES") if r["name"] == database)


def test_pause_cancelled(ctx):
    """^C ends the pause, as with PgBouncer; and a console that leaves does not."""
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    admin = console(ctx, p)
    for command in ("PAUSE", f"PAUSE {ctx.db}"):
        admin.send(query(command))
        p.wait(lambda: state(p)["paused"] == "yes" or paused(p, ctx.db) == "1", "the pause")
        admin.cancel()
        reply = admin.until_ready()
        assert [e.sqlstate for e in reply.errors] == ["57014"], reply.errors
        assert state(p)["paused"] == "no" and paused(p, ctx.db) == "0"
        with p.connect(ctx.db) as other:
            assert other.value("SELECT 1") == "1"
    admin.send(query("PAUSE"))
    p.wait(lambda: state(p)["paused"] == "yes", "the pause")
    admin.close()
    p.wait(lambda: p.pool("pgbouncer", "pgbouncer")["cl_active"] == "1", "it to be gone")
    assert state(p)["paused"] == "yes"
    c.query("COMMIT")
    p.wait(lambda: server_count(ctx) == 0, "the servers to close")
    done(console(ctx, p), "RESUME")
    assert c.value("SELECT 1") == "1"


def test_pause_in_extended_messages(ctx):
    """It waits there, too, and what was sent behind it is answered afterwards."""
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    admin = console(ctx, p)
    admin.send(parse("PAUSE") + bind() + execute() + sync() + query("SHOW STATE"))
    assert is_quiet_after(admin, "12")
    c.query("COMMIT")
    reply = admin.until_ready(2).check()
    assert reply.tags == ["PAUSE", "SHOW"], reply.tags
    done(admin, "RESUME")


def is_quiet_after(c, kinds):
    for kind in kinds:
        assert c.read().kind == kind
    return is_quiet(c)


def test_pause_by_signal(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    p.signal(signal.SIGUSR1)
    p.wait_log("got SIGUSR1, pausing all activity")
    p.wait(lambda: server_count(ctx) == 0, "the servers to close")
    p.signal(signal.SIGUSR1)
    p.wait_log("got SIGUSR1, but already paused/suspended")
    c.send(query("SELECT 2"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "a waiting client")
    p.signal(signal.SIGUSR2)
    p.wait_log("got SIGUSR2, continuing from PAUSE")
    assert c.until_ready().check().value == "2"
    p.signal(signal.SIGUSR2)
    p.wait_log("got SIGUSR2, but not paused/suspended")


def test_pause_under_load(ctx):
    """Again and again, while many work on several workers: nobody fails, and nothing hangs."""
    p = ctx.proxy(worker_threads=3, default_pool_size=3)
    stop, done_by = [], [0] * 6

    def work(i):
        n = 0
        with p.connect(ctx.db) as c:
            while not stop:
                n = done_by[i] = n + 1
                assert c.value(f"SELECT {i * 100000 + n}") == str(i * 100000 + n)
                if n % 3 == 0:
                    c.query("BEGIN")
                    c.query("SELECT 1")
                    c.query("COMMIT")

    threads = [ctx.thread(work, i) for i in range(6)]
    admin = console(ctx, p)
    for _ in range(10):
        done(admin, "PAUSE")
        p.wait(lambda: server_count(ctx) == 0, "the servers' processes to end")
        done(admin, "RESUME")
        done(admin, "RECONNECT")
        done(admin, "WAIT_CLOSE")
    p.wait(lambda: min(done_by) > 5, "everybody to be served")
    stop.append(True)
    for t in threads:
        t.result()


def test_pause_while_connecting(ctx):
    """A connection that is being opened is given up, and that is no failure: RESUME opens another at once."""
    p = ctx.proxy(server_login_retry=30, databases={"deaf": {"host": "127.0.0.1", "port": deaf(ctx), "dbname": "x"},
                                                     ctx.db: ctx.server()})
    c = p.open()
    ctx.keep(c)
    c.send(startup_of("deaf"))
    p.wait(lambda: (p.pool("deaf") or {}).get("sv_login") == "1", "a server being opened")
    admin = console(ctx, p)
    done(admin, "PAUSE deaf")
    assert p.pool("deaf")["sv_login"] == "0" and p.pool("deaf")["cl_waiting"] == "1"
    done(admin, "RESUME deaf")
    p.wait(lambda: p.pool("deaf")["sv_login"] == "1", "the next attempt")


def deaf(ctx):
    """A port that accepts and says nothing."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(16)
    ctx.keep(s)
    return s.getsockname()[1]


def startup_of(database):
    return startup({"user": "app", "database": database})


# ---- DISABLE, ENABLE


def test_disable(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    admin = console(ctx, p)
    done(admin, f"DISABLE {ctx.db}")
    error = p.refused(ctx.db)
    assert (error.severity, error.sqlstate, error.text) == \
        ("FATAL", "08P01", f"database does not allow connections: {ctx.db}"), error
    assert c.value("SELECT 1") == "1"  # who is in stays
    assert next(r["disabled"] for r in p.console("SHOW DATABASES") if r["name"] == ctx.db) == "1"
    done(admin, f"ENABLE {ctx.db}")
    with p.connect(ctx.db) as d:
        assert d.value("SELECT 2") == "2"
    for command in ("ENABLE", "DISABLE"):
        fails(admin, command, "a database is required")
        fails(admin, f"{command} nobody", "no such database: nobody")
        fails(admin, f"{command} pgbouncer", f"cannot {command.lower()} admin db: pgbouncer")


# ---- RECONNECT, WAIT_CLOSE


def test_reconnect(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(), "extra": ctx.server()})
    idle, busy, extra = (ctx.keep(p.connect(d)) for d in (ctx.db, ctx.db, "extra"))
    busy.query("BEGIN")
    pids = [c.value("SELECT pg_backend_pid()") for c in (busy, idle, extra)]
    admin = console(ctx, p)
    done(admin, f"RECONNECT {ctx.db}")
    rows = {r["remote_pid"]: r for r in p.console("SHOW SERVERS")}
    assert rows[pids[0]]["close_needed"] == "1" and rows[pids[2]]["close_needed"] == "0", rows
    p.wait(lambda: pids[1] not in {r["remote_pid"] for r in p.console("SHOW SERVERS")}, "the idle one to be closed")
    # The transaction goes on where it is; WAIT_CLOSE waits for it.
    assert busy.value("SELECT pg_backend_pid()") == pids[0]
    assert idle.value("SELECT pg_backend_pid()") not in pids
    admin.send(query(f"WAIT_CLOSE {ctx.db}"))
    second = console(ctx, p)
    done(second, "WAIT_CLOSE extra")
    assert is_quiet(admin)
    busy.query("COMMIT")
    assert admin.until_ready().check().tags == ["WAIT_CLOSE"]
    assert busy.value("SELECT pg_backend_pid()") != pids[0]
    assert extra.value("SELECT pg_backend_pid()") == pids[2]
    done(admin, "RECONNECT")
    done(admin, "WAIT_CLOSE")
    assert extra.value("SELECT pg_backend_pid()") != pids[2]
    for command, what in (("RECONNECT", "reconnect"), ("WAIT_CLOSE", "wait in")):
        fails(admin, f"{command} nobody", "no such database: nobody")
        fails(admin, f"{command} pgbouncer", f"cannot {what} admin db: pgbouncer")


def test_wait_close_cancelled(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    admin = console(ctx, p)
    done(admin, "RECONNECT")
    admin.send(query("WAIT_CLOSE"))
    assert is_quiet(admin)
    admin.cancel()
    assert admin.until_ready().errors[0].sqlstate == "57014"
    done(admin, "SHOW STATE", "SHOW")
    c.query("COMMIT")


# ---- KILL, KILL_CLIENT


def test_kill(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(), "extra": ctx.server()}, worker_threads=2)
    idle, busy, running, extra = (ctx.keep(p.connect(d)) for d in (ctx.db, ctx.db, ctx.db, "extra"))
    busy.query("BEGIN")
    running.send(query("SELECT pg_sleep(60)"))
    extra.query("SELECT 1")
    admin = console(ctx, p)
    done(admin, f"KILL {ctx.db}")
    for c in (idle, busy, running):
        error = c.wait_closed().errors[0]
        assert (error.severity, error.sqlstate, error.text) == ("FATAL", "08P01", "database removed"), error
    assert paused(p, ctx.db) == "1" and paused(p, "extra") == "0"
    p.wait(lambda: p.pool(ctx.db)["cl_active"] == "0" and p.pool(ctx.db)["sv_active"] == "0", "all of it to be closed")
    assert extra.value("SELECT 2") == "2"
    done(admin, f"RESUME {ctx.db}")
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 3") == "3"
    done(admin, "KILL")
    extra.wait_closed()
    assert paused(p, "extra") == "1"
    fails(admin, "RESUME", "pooler is not paused/suspended")
    fails(admin, "KILL nobody", "no such database: nobody")
    fails(admin, "KILL pgbouncer", "cannot kill admin db: pgbouncer")


def test_kill_client(ctx):
    p = ctx.proxy(worker_threads=2)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    clients[0].send(query("SELECT pg_sleep(60)"))
    p.wait(lambda: p.pool(ctx.db)["sv_active"] == "1", "the query")
    admin = console(ctx, p)
    row = next(r for r in admin.query("SHOW CLIENTS").dicts if r["state"] == "active")
    done(admin, f"KILL_CLIENT {row['id']}")
    error = clients[0].wait_closed().errors[0]
    assert (error.severity, error.sqlstate, error.text) == ("FATAL", "08P01", "admin forced disconnect"), error
    assert clients[1].value("SELECT 1") == "1" and clients[2].value("SELECT 2") == "2"
    fails(admin, f"KILL_CLIENT {row['id']}", "client not found")
    fails(admin, "KILL_CLIENT", "invalid client pointer supplied")
    fails(admin, "KILL_CLIENT x", "invalid client pointer supplied")
    own = next(r["id"] for r in admin.query("SHOW CLIENTS").dicts if r["database"] == "pgbouncer")
    admin.send(query(f"KILL_CLIENT {own}"))
    assert admin.wait_closed().errors[0].text == "admin forced disconnect"


# ---- SUSPEND


def test_suspend(ctx):
    p = ctx.proxy(worker_threads=2)
    c, busy = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    busy.query("BEGIN")
    admin = console(ctx, p)
    done(admin, "SUSPEND")
    fails(admin, "SUSPEND", "already suspended/paused")
    fails(admin, "PAUSE", "already suspended/paused")
    fails(admin, "SUSPEND now", "invalid command 'SUSPEND now', use SHOW HELP;")
    c.send(query("SELECT 1"))
    busy.send(query("SELECT 2"))
    assert is_quiet(c) and is_quiet(busy, 0.1)
    assert admin.query("SHOW STATE").rows == [("active", "no"), ("paused", "no"), ("suspended", "yes")]
    assert server_count(ctx) >= 1
    done(admin, "RESUME")
    assert c.until_ready().check().value == "1"
    assert busy.until_ready().check().value == "2"
    busy.query("COMMIT")


def test_suspend_without_admin(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    admin = p.connect("pgbouncer", "console")
    done(admin, "SUSPEND")
    c.send(query("SELECT 1"))
    assert is_quiet(c, 0.1)
    admin.close()
    p.wait_log("admin disappeared when suspended, doing RESUME")
    assert c.until_ready().check().value == "1"
    # By signal.
    admin = console(ctx, p)
    done(admin, "SUSPEND")
    p.signal(signal.SIGUSR2)
    p.wait_log("got SIGUSR2, continuing from SUSPEND")
    assert c.value("SELECT 2") == "2"


def test_suspend_timeout(ctx):
    """Who does not take what it was sent is disconnected after suspend_timeout."""
    p = ctx.proxy(suspend_timeout=1)
    deaf_one = ctx.keep(p.connect(ctx.db))
    deaf_one.send(query("SELECT repeat('x', 100000) FROM generate_series(1, 2000)"))
    admin = console(ctx, p)
    p.wait(lambda: any(int(r["send_remain"]) > 0 for r in admin.query("SHOW SOCKETS").dicts), "it to be full")
    started = time.monotonic()
    done(admin, "SUSPEND")
    assert time.monotonic() - started > 0.9
    done(admin, "RESUME")
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


# ---- RELOAD, SET


def test_reload(ctx):
    p = ctx.proxy(default_pool_size=3)
    admin = console(ctx, p)
    p.settings["default_pool_size"] = 4
    p.write()
    done(admin, "RELOAD")
    assert {r["key"]: r["value"] for r in p.console("SHOW CONFIG")}["default_pool_size"] == "4"
    p.settings["default_pool_size"] = "many"
    p.write()
    fails(admin, "RELOAD", "RELOAD failed, see logs for additional details", "F0000")
    assert {r["key"]: r["value"] for r in p.console("SHOW CONFIG")}["default_pool_size"] == "4"
    assert "default_pool_size" in p.log()
    fails(admin, "RELOAD all", "invalid command 'RELOAD all', use SHOW HELP;")


def test_set(ctx):
    p = ctx.proxy(query_wait_timeout=60, default_pool_size=1, worker_threads=2)
    admin = console(ctx, p)

    def value(key):
        return {r["key"]: r["value"] for r in admin.query("SHOW CONFIG").dicts}[key]

    done(admin, "SET query_wait_timeout = 1", "SET query_wait_timeout=1")
    assert value("query_wait_timeout") == "1"
    done(admin, "SET default_pool_size TO '2';", "SET default_pool_size=2")
    # In effect at once: two servers, and the third client hears that its time is over.
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    for c in clients[:2]:
        c.query("BEGIN")
    clients[2].send(query("SELECT 1"))
    assert clients[2].wait_closed().errors[0].text == "query_wait_timeout"
    fails(admin, "SET nonsense = 5", "SET failed")
    fails(admin, "SET default_pool_size = many", "SET failed")
    fails(admin, "SET listen_port = 5000", "SET failed")
    assert value("listen_port") == str(p.port) and value("default_pool_size") == "2"
    # A reload goes back to the file.
    done(admin, "RELOAD")
    assert value("default_pool_size") == "1"


# ---- SHUTDOWN


def test_shutdown(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("SELECT pg_sleep(60)"))
    admin = console(ctx, p)
    fails(admin, "SHUTDOWN SOON", "invalid command 'SHUTDOWN SOON', use SHOW HELP;")
    admin.send(query("SHUTDOWN"))
    assert p.wait_end() == 0
    assert admin.wait_closed().tags == []
    assert "SHUTDOWN command issued" in p.log()


def test_shutdown_waits_for_servers(ctx):
    p = ctx.proxy()
    busy = ctx.keep(p.connect(ctx.db))
    busy.query("BEGIN")
    admin = console(ctx, p)
    done(admin, "SHUTDOWN WAIT_FOR_SERVERS")
    fails(admin, "RESUME", "pooler is shutting down")
    assert admin.query("SHOW POOLS").rows  # it can be watched
    assert busy.value("SELECT 1") == "1"
    busy.query("COMMIT")
    assert p.wait_end() == 0
    assert "SHUTDOWN WAIT_FOR_SERVERS command issued" in p.log()


def test_shutdown_waits_for_clients(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    admin = console(ctx, p)
    done(admin, "SHUTDOWN WAIT_FOR_CLIENTS")
    assert c.value("SELECT 1") == "1"
    p.signal(signal.SIGUSR2)
    p.wait_log("got SIGUSR2 while shutting down, ignoring")
    c.close()
    # The console does not hold it up.
    assert p.wait_end() == 0


def test_shutdown_while_paused(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    admin, second = console(ctx, p), console(ctx, p)
    admin.send(query("PAUSE"))
    p.wait(lambda: state(p)["paused"] == "yes", "the pause")
    second.send(query("SHUTDOWN"))
    assert p.wait_end() == 0
    try:
        admin.wait_closed()
    except (PeerClosed, PgError):
        pass


def test_shutdown_while_suspended(ctx):
    """Nothing could end by itself: it is over at once, as with PgBouncer."""
    for number in (signal.SIGINT, signal.SIGTERM):
        p = ctx.proxy()
        c = ctx.keep(p.connect(ctx.db))
        c.query("BEGIN")
        done(console(ctx, p), "SUSPEND")
        p.signal(number)
        assert p.wait_end() == 0
        assert "suspend was in progress, going down immediately" in p.log()


# ---- what must not happen


def test_broken_messages(ctx):
    """Whatever a console client sends, it is told so or put out, and nobody else notices."""
    p = ctx.proxy(worker_threads=2)
    watcher = console(ctx, p)
    dice = random.Random(7)
    for n in range(150):
        c = p.connect("pgbouncer", "console")
        try:
            for _ in range(3):
                body = bytes(dice.choices((0, 1, 65, 83, 80, 255), k=dice.randrange(0, 14)))
                c.send(message(dice.choice("PBDECSHQFdcfXz"), body))
            c.send(struct.pack("!cI", b"Q", dice.choice((0, 3, 4, 70000, 0xffffffff))))
            c.socket.shutdown(socket.SHUT_WR)
            c.wait_closed()
        except (PeerClosed, OSError):
            pass
        c.close()
        if n % 30 == 0:
            assert watcher.query("SHOW POOLS").rows
    assert watcher.query("SHOW VERSION").rows
    p.wait(lambda: p.pool("pgbouncer", "pgbouncer")["cl_active"] == "2", "the others to be gone")


def test_end_while_asking(ctx):
    """Questions under way are answered or dropped, and the process ends."""
    for number in (signal.SIGQUIT, signal.SIGINT, signal.SIGTERM):
        p = ctx.proxy(worker_threads=3)
        begun = threading.Barrier(5)

        def ask(command, p=p, begun=begun):
            with p.connect("pgbouncer", "console") as c:
                c.ask(query(command))
                begun.wait(20)
                try:
                    while True:
                        c.send(query(command) * 5)
                        c.until_ready(5)
                except (PeerClosed, OSError):
                    pass

        threads = [ctx.thread(ask, command) for command in ("SHOW CLIENTS", "SHOW SERVERS", "RELOAD", "KILL_CLIENT 0")]
        begun.wait(20)
        p.signal(number)
        assert p.wait_end() == 0
        for t in threads:
            t.result()


def test_asker_leaves(ctx):
    """Who does not wait for the answer is not missed."""
    p = ctx.proxy(worker_threads=3)
    for _ in range(60):
        c = p.connect("pgbouncer", "console")
        c.send(query("SHOW CLIENTS") + query("SHOW SOCKETS") + query("RECONNECT") + query("WAIT_CLOSE"))
        c.abort()
    p.wait(lambda: p.pool("pgbouncer", "pgbouncer")["cl_active"] == "1", "them to be gone")
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
