# SPDX-License-Identifier: Apache-2.0
"""-R: another process takes over from the one that runs, with all that is open. Clients notice nothing."""
import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import certs
import cluster
from pgwire import (PROTOCOL_3, PeerClosed, PgError, bind, close, data_row, describe, execute, parse, query, startup, sync,
                    unit)
from proxy import Proxy
from runner import Skip


def take_over(ctx, p, binary=None, **changes):
    """Starts another process with the same file and -R; returns when it is up and the old one has ended."""
    old = p.process
    p.settings.update(changes)
    before = p.log().count("process up")
    p.binary, p.arguments = binary or ctx.binary, ["-R"]
    p.is_pgweir = "pgbouncer" not in os.path.basename(p.binary)
    p.write()
    p.spawn()
    p.wait(lambda: p.log().count("process up") > before or p.process.poll() is not None, "the new process", 30)
    assert p.process.poll() is None, p.log()[-3000:]
    assert old.wait(10) == 0, old.returncode
    return old


def servers(ctx, user="app"):
    return {r[0] for r in ctx.sql(f"SELECT pid FROM pg_stat_activity WHERE usename = '{user}'")}


def at_rest(ctx, p, idle=1):
    """Waits until no server is busy with questions of the proxy's own; returns those that there are."""
    p.wait(lambda: {r["state"] for r in p.console("SHOW SERVERS")} <= {"idle", "active"} and
           sum(r["state"] == "idle" for r in p.console("SHOW SERVERS")) >= idle, "servers at rest")
    return servers(ctx)


def pid(c):
    return c.value("SELECT pg_backend_pid()")


def test_idle_clients(ctx):
    """They stay, with what they had set, and their servers are used again."""
    p = ctx.proxy(worker_threads=2)
    clients = [ctx.keep(p.connect(ctx.db, application_name=f"number {i}")) for i in range(10)]
    for i, c in enumerate(clients):
        c.query(f"SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET search_path = s{i}, public")
    local = ctx.keep(p.connect(ctx.db, unix=True))
    before = at_rest(ctx, p)
    take_over(ctx, p)
    for i, c in enumerate(clients):
        assert c.value("SELECT current_setting('search_path') || current_setting('TimeZone') || "
                       "current_setting('application_name')") == f"s{i}, publicAsia/Tokyonumber {i}"
        assert c.value("SHOW DateStyle").startswith("German")
    assert local.value("SELECT 1") == "1"
    assert before <= servers(ctx), "servers were lost"
    rows = [r for r in p.console("SHOW CLIENTS") if r["database"] == ctx.db]
    assert len(rows) == 11 and {r["addr"] for r in rows} == {"127.0.0.1", "unix"}
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_open_transactions(ctx):
    """They go on in the session that they have, which then is nobody's secret."""
    p = ctx.proxy(worker_threads=2, default_pool_size=2)
    ctx.sql("CREATE TABLE t(id int)")
    ctx.sql("GRANT ALL ON t TO PUBLIC")
    c, failed = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    c.query("BEGIN; INSERT INTO t VALUES (1); SET LOCAL app.secret = 'mine'; DECLARE cur CURSOR FOR SELECT generate_series(1, 3)")
    c.run("SELECT $1::int", ["7"], name="mine")
    failed.query("BEGIN")
    assert failed.ask(query("SELECT 1/0")).errors
    own = pid(c)
    take_over(ctx, p)
    assert ctx.sql("SELECT count(*) FROM t") == [("0",)], "it was committed, or seen"
    assert pid(c) == own and c.value("SELECT current_setting('app.secret')") == "mine"
    assert c.query("FETCH ALL FROM cur").rows == [("1",), ("2",), ("3",)]
    assert c.ask(bind("mine", ["8"]), execute(), sync()).check().value == "8"
    assert failed.ask(query("SELECT 1")).sqlstate() == "25P02"
    assert failed.query("ROLLBACK").status == "I"
    assert c.query("INSERT INTO t VALUES (2); COMMIT").status == "I"
    assert ctx.sql("SELECT count(*) FROM t") == [("2",)]
    others = [ctx.keep(p.connect(ctx.db)) for _ in range(2)]
    for o in others:
        o.query("BEGIN")
        assert o.query("SELECT name FROM pg_prepared_statements").rows == []
        assert o.value("SELECT coalesce(current_setting('app.secret', true), '')") == ""


def test_queries_at_work(ctx):
    """What is running runs on, and its answer comes to who asked: simple, in a batch, a COPY, and what was
    sent behind it."""
    p = ctx.proxy(worker_threads=2)
    ctx.sql("CREATE TABLE t(id int); GRANT ALL ON t TO PUBLIC")
    lock = ctx.direct()
    lock.query("SELECT pg_advisory_lock(1)")
    waits = "SELECT pg_advisory_xact_lock_shared(1)"
    simple, batch, piped, copy = [ctx.keep(p.connect(ctx.db)) for _ in range(4)]
    batch.run("SELECT $1::text", ["known"], name="known")
    simple.send(query(f"{waits}; SELECT 'simple'"))
    batch.send(parse(waits, "w"), bind("w"), execute(), bind("known", ["batch"]), execute(), sync())
    piped.send(query(waits), query("SELECT 'first'"), query("BEGIN; INSERT INTO t VALUES (9); COMMIT; SELECT 'second'"))
    copy.send(query("COPY t FROM STDIN"))
    copy.until("G")
    copy.send(b"d" + (4 + 2).to_bytes(4, "big") + b"1\n", b"d" + (4 + 2).to_bytes(4, "big") + b"2")
    p.wait(lambda: len(ctx.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'")) == 3, "them to be at work")
    take_over(ctx, p)
    copy.send(b"\n", b"c\0\0\0\4")
    assert copy.until_ready().check().tags == ["COPY 2"]
    lock.query("SELECT pg_advisory_unlock(1)")
    assert simple.until_ready().check().rows[-1] == ("simple",)
    assert batch.until_ready().check().rows[-1] == ("batch",)
    assert [r[0] for r in piped.until_ready(3).check().rows[1:]] == ["first", "second"]
    assert ctx.sql("SELECT id FROM t ORDER BY id") == [("1",), ("2",), ("9",)]
    for c in (simple, batch, piped, copy):
        assert c.value("SELECT 1") == "1"
    assert batch.ask(bind("known", ["again"]), execute(), sync()).check().value == "again"


def test_told(ctx):
    """What a client was told of its statements' columns is known to the heir: it holds servers to it."""
    p = ctx.proxy(worker_threads=1)
    ctx.sql("CREATE TABLE t(k int); INSERT INTO t VALUES (1); GRANT ALL ON t TO PUBLIC")
    named, unnamed, same = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    for c, name in ((named, "s"), (unnamed, ""), (same, "s")):
        c.ask(parse("SELECT * FROM t", name), describe("S", name), sync()).check()
    assert same.ask(bind("s"), execute(), sync()).check().rows == [("1",)]
    take_over(ctx, p)
    assert same.ask(bind("s"), execute(), sync()).check().rows == [("1",)]
    ctx.sql("ALTER TABLE t ADD COLUMN v int")
    for c, name in ((named, "s"), (unnamed, "")):
        assert c.ask(bind(name), execute(), sync()).sqlstate() == "0A000"
    same.ask(close("S", "s"), parse("SELECT * FROM t", "s"), describe("S", "s"), sync()).check()
    assert same.ask(bind("s"), execute(), sync()).check().rows == [("1", None)]


def test_errors_at_work(ctx):
    """After an error names mean what they meant."""
    p = ctx.proxy()
    lock = ctx.direct()
    lock.query("SELECT pg_advisory_lock(1)")
    c = ctx.keep(p.connect(ctx.db))
    c.run("SELECT 'old'", name="s")
    c.send(parse("SELECT 1/length(pg_advisory_xact_lock_shared(1)::text)"), bind(), execute(),
           parse("SELECT 'new'", "other"), bind("other"), execute(), sync())
    p.wait(lambda: ctx.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), "it to be at work")
    take_over(ctx, p)
    lock.query("SELECT pg_advisory_unlock(1)")
    assert c.until_ready().sqlstate() == "22012"
    assert c.ask(bind("other"), execute(), sync()).sqlstate() == "26000"
    assert c.ask(bind("s"), execute(), sync()).check().value == "old"


def test_what_a_session_has(ctx):
    """Settings, names, pins: in transaction and in session mode."""
    for mode in ("transaction", "session"):
        p = ctx.proxy(pool_mode=mode, worker_threads=2)
        c = ctx.keep(p.connect(ctx.db, options="-c app.given=start -c work_mem=7MB"))
        plain = ctx.keep(p.connect(ctx.db))
        c.query("SELECT set_config('app.tenant', 'seven', false); SET statement_timeout = '55s'; PREPARE q(int) AS SELECT $1 * 2")
        c.run("SELECT $1::text", ["x"], name="named")
        temp = ctx.keep(p.connect(ctx.db))
        temp.query("CREATE TEMP TABLE mine AS SELECT 42 AS a; SELECT pg_advisory_lock(77)")
        own = pid(temp)
        take_over(ctx, p)
        assert c.value("SELECT concat_ws(' ', current_setting('app.given'), current_setting('work_mem'), "
                       "current_setting('app.tenant'), current_setting('statement_timeout'))") == "start 7MB seven 55s"
        assert c.value("EXECUTE q(4)") == "8"
        assert c.ask(bind("named", ["y"]), execute(), sync()).check().value == "y"
        if mode == "transaction":
            c.query("RESET app.given; RESET work_mem")
            assert c.value("SELECT current_setting('app.given') || current_setting('work_mem')") == "start7MB"
        assert pid(temp) == own and temp.value("SELECT a FROM mine") == "42"
        assert ctx.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [("1",)]
        assert plain.value("SELECT coalesce(current_setting('app.tenant', true), '')") == ""
        temp.close()
        p.wait(lambda: ctx.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [("0",)], "its lock to go")
        p.stop()


def test_listen(ctx):
    """Not one notification is lost or comes twice, whenever it was sent."""
    p = ctx.proxy(worker_threads=2)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(4)]
    for c in clients:
        c.query("LISTEN news")
    over = threading.Event()

    def tell():
        with ctx.pg.connect(ctx.db) as own:
            n = 0
            while not over.is_set():
                own.query(f"NOTIFY news, '{n}'")
                n += 1
                time.sleep(0.002)
        return n

    teller = ctx.thread(tell)
    for threads in (1, 3):
        take_over(ctx, p, worker_threads=threads)
    over.set()
    sent = teller.result()
    for c in clients:
        heard = []
        while len(heard) < sent:
            m = c.read()
            assert m.kind == "A", m
            heard.append(int(bytes(m.body)[4:].split(b"\0")[1]))
        assert heard == list(range(sent)), "lost, twice or in another order"
    clients[0].query("UNLISTEN news")
    ctx.sql("NOTIFY news, 'last'")
    assert clients[1].read().kind == "A" and clients[0].is_quiet()


def test_listen_on_fewer_workers(ctx):
    """Whose servers meet on one worker hear what they heard, though their channels differ."""
    p = ctx.proxy(worker_threads=2)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(4)]
    for i, c in enumerate(clients):
        c.query(f"LISTEN channel_{i}")
    take_over(ctx, p, worker_threads=1)
    for i, c in enumerate(clients):
        ctx.sql(f"NOTIFY channel_{i}, 'heard'")
        m = c.read()
        assert m.kind == "A" and b"heard" in bytes(m.body), m


def test_waiting(ctx):
    """Who waits for a server waits on."""
    p = ctx.proxy(default_pool_size=1, worker_threads=2)
    first = ctx.keep(p.connect(ctx.db))
    others = [ctx.keep(p.connect(ctx.db)) for _ in range(5)]
    first.query("BEGIN")
    for i, c in enumerate(others):
        c.send(query(f"SELECT {i}"), query(f"SELECT {i} + 10"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "5", "them to wait")
    take_over(ctx, p)
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "5", "them to wait again")
    first.query("COMMIT")
    for i, c in enumerate(others):
        assert [r[0] for r in c.until_ready(2).check().rows] == [str(i), str(i + 10)]
    assert len(servers(ctx)) == 1


def test_cancel(ctx):
    """Keys of before cancel what runs since before, and what came after."""
    p = ctx.proxy(worker_threads=2)
    c, long_one = ctx.keep(p.connect(ctx.db)), ctx.keep(p.open())
    long_one.send(startup({"user": "app", "database": ctx.db}, code=PROTOCOL_3 + 2))
    long_one.until_ready().check()
    assert len(long_one.cancel_key) == 36
    for w in (c, long_one):
        w.send(query("SELECT pg_sleep(60)"))
    p.wait(lambda: len(ctx.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'")) == 2, "them to run")
    take_over(ctx, p)
    for _ in range(2):
        for w in (c, long_one):
            w.cancel()
            assert w.until_ready().sqlstate() == "57014"
        for w in (c, long_one):
            w.send(query("SELECT pg_sleep(60)"))
        p.wait(lambda: len(ctx.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'")) == 2,
               "them to run again")


# ---- nobody is refused


def test_nobody_is_refused(ctx):
    """While one process after the other takes over, clients that come are let in, and those that work go on."""
    p = ctx.proxy(worker_threads=2, default_pool_size=3)
    ctx.sql("CREATE TABLE t(id int); GRANT ALL ON t TO PUBLIC")
    over = threading.Event()
    address, path, db = p.address, p.socket_path, ctx.db

    def come(unix):
        n = 0
        while not over.is_set():
            with p.connect(db, unix=unix) as c:
                assert c.value("SELECT 1") == "1"
            n += 1
        return n

    def work():
        n = 0
        with p.connect(db) as c:
            while not over.is_set():
                c.query("BEGIN")
                c.run("INSERT INTO t SELECT 1 WHERE $1", ["t"], name="")
                c.run("SELECT $1::int", ["1"], name=f"s{n % 5}") if n < 5 else c.ask(bind(f"s{n % 5}", ["1"]), execute(), sync()).check()
                c.query("COMMIT")
                n += 1
        return n

    threads = [ctx.thread(come, u) for u in (False, True, False)] + [ctx.thread(work) for _ in range(4)]
    for workers in (2, 1, 3, 2):
        take_over(ctx, p, worker_threads=workers)
        time.sleep(0.2)  # for more to happen: nothing is waited for
    over.set()
    done = [t.result() for t in threads]
    assert all(done), done
    assert ctx.sql("SELECT count(*) FROM t") == [(str(sum(done[3:])),)]
    ctx.note(f"{sum(done[:3])} logins, {sum(done[3:])} transactions")


def test_half_said(ctx):
    """Who has said half of what it came to say says the rest to the other process."""
    p = ctx.proxy()
    new, half, in_query, asked = [ctx.keep(p.open()) for _ in range(4)]
    hello = startup({"user": "app", "database": ctx.db})
    half.send(hello[:11])
    asked.send((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"))
    assert asked.read_bytes(1) == b"N"
    in_query.send(hello)
    in_query.until_ready().check()
    q = query("SELECT 'all of it'")
    in_query.send(q[:9])
    p.wait(lambda: any(int(r["recv_pos"]) == 11 for r in p.console("SHOW SOCKETS")), "the first half")
    p.wait(lambda: any(int(r["recv_pos"]) == 9 for r in p.console("SHOW SOCKETS")), "the query's half")
    take_over(ctx, p)
    half.send(hello[11:])
    new.send(hello)
    asked.send(hello)
    for c in (half, new, asked):
        c.until_ready().check()
        assert c.value("SELECT 1") == "1"
    in_query.send(q[9:])
    assert in_query.until_ready().check().value == "all of it"


# ---- what is not taken


def test_tls_is_dropped(ctx):
    """As with PgBouncer; its clients are told."""
    cert, key = certs.pair_of_all(ctx.directory)
    p = ctx.proxy(client_tls_sslmode="allow", client_tls_cert_file=cert, client_tls_key_file=key)
    by_tls, plain = ctx.keep(p.connect(ctx.db, tls=certs.blind_context())), ctx.keep(p.connect(ctx.db, tls=None))
    by_tls.query("SELECT 1")
    take_over(ctx, p)
    assert [e.sqlstate for e in by_tls.wait_closed().errors] == ["57P01"]
    assert plain.value("SELECT 1") == "1"


def test_replication_is_dropped(ctx):
    p = ctx.proxy(users=None)
    c = ctx.keep(p.connect(ctx.db, "postgres", replication="database"))
    assert c.query("IDENTIFY_SYSTEM").rows
    take_over(ctx, p)
    assert [e.sqlstate for e in c.wait_closed().errors] == ["57P01"]


def test_another_target(ctx):
    """The file names another server by now: what runs runs to its end where it is, the rest goes there."""
    p = ctx.proxy(default_pool_size=2)
    other = ctx.new_database()
    busy, idle = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    busy.query("BEGIN")
    idle.query("SELECT 1")
    p.databases[ctx.db] = ctx.server(dbname=other)
    take_over(ctx, p)
    assert busy.value("SELECT current_database()") == ctx.db
    assert idle.value("SELECT current_database()") == other
    busy.query("COMMIT")
    p.wait(lambda: busy.value("SELECT current_database()") == other, "another server")
    gone = ctx.keep(p.connect(ctx.db))
    p.databases = {"another": ctx.server()}
    take_over(ctx, p)
    assert [e.sqlstate for e in gone.wait_closed().errors] == ["3D000"]


def test_servers_must_have_tls(ctx):
    """By the new file: a transaction is finished as it was begun, and then the clear connection goes."""
    p = ctx.proxy(server_tls_sslmode="disable")
    busy, idle = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    busy.query("BEGIN")
    idle.query("SELECT 1")
    own = pid(busy)
    take_over(ctx, p, server_tls_sslmode="require")
    p.wait(lambda: servers(ctx) == {own}, "the idle one to go")
    assert pid(busy) == own
    busy.query("COMMIT")
    p.wait(lambda: not servers(ctx), "the other one to go")


# ---- what goes wrong


def console_of(ctx, p):
    """As the user that the process runs as."""
    own = os.geteuid()
    os.seteuid(os.stat(p.directory).st_uid)
    try:
        return ctx.keep(p.connect("pgbouncer", "pgbouncer", unix=True))
    finally:
        os.seteuid(own)


def descriptors(c, command):
    """The rows, and the sockets that came with them."""
    c.send(query(command))
    data, sockets = b"", []
    while not data.endswith(b"Z\0\0\0\5I"):
        got, fds, _, _ = socket.recv_fds(c.socket, 65536, 64)
        assert got, "the console was closed"
        data += got
        sockets += [socket.socket(fileno=fd) for fd in fds]
    rows, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 1:at + 5], "big")
        if data[at:at + 1] == b"D":
            rows.append([v.decode() if v is not None else None for v in data_row(data[at + 5:at + 1 + size])])
        at += 1 + size
    return rows, sockets


def test_who_may(ctx):
    """Descriptors and secrets are for our own uid, by the unix socket, of a suspended process."""
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    for admin in (ctx.keep(p.connect("pgbouncer", "console")), ctx.keep(p.connect("pgbouncer", "console", unix=True)),
                  console_of(ctx, p)):
        assert admin.ask(query("SHOW FDS_STATE")).errors[0].text == "admin access needed"
        assert admin.query("SHOW FDS").dicts[0]["cancel"] == "0"
    admin = ctx.keep(p.connect("pgbouncer", "console", unix=True))
    admin.query("SUSPEND")
    assert admin.ask(query("SHOW FDS_STATE")).errors[0].text == "admin access needed"
    rows, sockets = descriptors(admin, "SHOW FDS")
    assert not sockets and all(r[6] == "0" for r in rows)
    admin.query("RESUME")
    assert c.value("SELECT 1") == "1"


def test_heir_goes(ctx):
    """Whatever the other process has by then: when it goes, this one goes on, though another admin is there."""
    p = ctx.proxy(worker_threads=2)
    c, busy, away = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    watching = ctx.keep(p.connect("pgbouncer", "console"))
    busy.query("BEGIN")
    c.query("SELECT 1")
    for with_rows in (False, True):
        admin = console_of(ctx, p)
        admin.query("SUSPEND")
        assert watching.query("SHOW STATE").rows[2] == ("suspended", "yes")
        rows, sockets = descriptors(admin, "SHOW FDS_STATE") if with_rows else ((), ())
        if with_rows:
            tasks = [r[1] for r in rows]
            assert tasks.count("pooler") == 2 and tasks.count("client") == 3 and "server" in tasks, tasks
            assert len(sockets) == len(rows) - tasks.count("route")
        c.send(query("SELECT 2"))
        admin.socket.close()
        for s in sockets:
            s.close()
        assert c.until_ready().check().value == "2"
        assert busy.value("SELECT 3") == "3"
        with p.connect(ctx.db) as new:
            assert new.value("SELECT 4") == "4"
        with p.connect(ctx.db, unix=True) as new:
            assert new.value("SELECT 5") == "5"
    busy.query("COMMIT")
    p.wait(lambda: p.log().count("admin disappeared when suspended, doing RESUME") == 2, "two resumes in the log")


def test_resumed_behind_it(ctx):
    """Who has the connections cannot end a process that another admin has resumed meanwhile."""
    p = ctx.proxy(worker_threads=2)
    c, other, admin = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("pgbouncer", "console")), console_of(ctx, p)
    admin.query("SUSPEND")
    for s in descriptors(admin, "SHOW FDS_STATE")[1]:
        s.close()
    other.query("RESUME")
    assert admin.ask(query("SHUTDOWN")).errors[0].text == "pooler was resumed"
    assert c.value("SELECT 1") == "1"


def test_overtaken(ctx):
    """Who waits for its SUSPEND hears of another admin's RESUME."""
    p = ctx.proxy(suspend_timeout=1000, worker_threads=2)
    deaf = ctx.keep(p.connect(ctx.db))
    one, two = [ctx.keep(p.connect("pgbouncer", "console")) for _ in range(2)]
    deaf.send(query("SELECT repeat('x', 100000000)"))
    p.wait(lambda: any(int(r["send_avail"]) > 0 for r in p.console("SHOW SOCKETS") if r["database"] == ctx.db), "it to be stuck")
    for _ in range(2):
        one.send(query("SUSPEND"))
        p.wait(lambda: two.query("SHOW STATE").rows[2] == ("suspended", "yes"), "the SUSPEND")
        two.query("RESUME")
        assert one.until_ready().sqlstate() == "57014"
        assert one.query("SHOW STATE").rows[2] == ("suspended", "no")
    assert len(deaf.until_ready().check().value) == 100000000


# ---- commands to the old process meanwhile


@contextlib.contextmanager
def gate(p):
    """A key's file that is not there before it is opened: who reads it waits. Gives its settings, and what opens it."""
    cert, key = certs.pair_of_all(os.path.dirname(p.directory))
    path = f"{p.directory}/gate"
    os.mkfifo(path)
    cluster.give(path)

    def go_on():
        with open(key, "rb") as f, open(path, "wb") as g:
            g.write(f.read())
    try:
        yield dict(client_tls_sslmode="allow", client_tls_cert_file=cert, client_tls_key_file=path), go_on
    finally:
        os.unlink(path)


@contextlib.contextmanager
def heir(ctx, p):
    """Another process with -R, which has all connections and is about to say SHUTDOWN; and what lets it do so."""
    with gate(p) as (settings, go_on):
        other = Proxy(ctx.binary, ctx.directory, p.databases, {**p.settings, **settings}, users=p.users)
        other.arguments = ["-R"]
        other.spawn()
        try:
            other.wait_log("SHOW FDS finished")
            yield other, go_on
        finally:
            other.kill()


def test_resumed_and_suspended_again(ctx):
    """Who has the connections of before must not go on with them: they are in another state by now."""
    p = ctx.proxy(http_listen=None, worker_threads=2)
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("pgbouncer", "console"))
    with heir(ctx, p) as (new, go_on):
        other.query("RESUME")
        c.query("BEGIN")
        other.query("SUSPEND")
        go_on()
        assert new.wait_end(30) == 1 and "the old process goes on" in new.log(), new.log()
    assert other.query("SHOW STATE").rows[2] == ("suspended", "yes")
    other.query("RESUME")
    assert c.query("SELECT 1").status == "T"
    take_over(ctx, p)
    assert c.query("COMMIT").status == "I"


def test_suspended_by_another(ctx):
    """Connections are given to who suspended the process, when that is done; not to who did so before."""
    p = ctx.proxy(worker_threads=2)
    c, other, admin = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("pgbouncer", "console")), console_of(ctx, p)
    admin.query("SUSPEND")
    other.query("RESUME")
    other.query("SUSPEND")
    assert admin.ask(query("SHOW FDS_STATE")).errors[0].text == "admin access needed"
    rows, sockets = descriptors(admin, "SHOW FDS")
    assert rows and not sockets
    admin.close()
    assert other.query("SHOW STATE").rows[2] == ("suspended", "yes")
    other.query("RESUME")
    assert c.value("SELECT 1") == "1"


def test_ended_by_another(ctx):
    """Who has the connections goes on with them, by whatever the old process was ended."""
    for end in ("SHUTDOWN", "SHUTDOWN WAIT_FOR_CLIENTS", signal.SIGTERM, signal.SIGINT):
        p = ctx.proxy(http_listen=None, worker_threads=2)
        c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("pgbouncer", "console"))
        c.query("BEGIN")
        own = pid(c)
        with heir(ctx, p) as (new, go_on):
            p.signal(end) if isinstance(end, signal.Signals) else other.send(query(end))
            assert p.wait_end(30) == 0
            c.send(query("SELECT pg_backend_pid()"))
            go_on()
            new.wait(lambda: "process up" in new.log() or new.process.poll() is not None, "the new process", 30)
            assert c.until_ready().check().value == own and c.query("COMMIT").status == "I", new.log()
            for unix in (False, True):
                with p.connect(ctx.db, unix=unix) as late:
                    assert late.value("SELECT 2") == "2"


def test_resumed_and_ended(ctx):
    """Whose clients were told of its end has left nothing to go on with."""
    p = ctx.proxy(http_listen=None, worker_threads=2)
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("pgbouncer", "console"))
    with heir(ctx, p) as (new, go_on):
        other.query("RESUME")
        assert c.value("SELECT 1") == "1"
        other.send(query("SHUTDOWN"))
        assert p.wait_end(30) == 0
        go_on()
        assert new.wait_end(30) == 1 and "the old process was resumed, and has ended" in new.log(), new.log()
    assert [e.sqlstate for e in c.wait_closed().errors] == ["57P01"]


def test_resumed_while_it_ends(ctx):
    """When SHUTDOWN was said it is too late, though the main thread has other things to do before."""
    p = ctx.proxy(worker_threads=1)
    c, other, admin = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect("pgbouncer", "console")), console_of(ctx, p)
    c.query("BEGIN")
    admin.query("SUSPEND")
    sockets = descriptors(admin, "SHOW FDS_STATE")[1]
    with gate(p) as (settings, go_on):
        p.hup(**settings)  # it waits for the key
        admin.send(query("SHUTDOWN"))
        p.wait(lambda: not unread(admin.socket), "the command to be read")
        assert other.ask(query("RESUME")).errors[0].text == "pooler is shutting down"
        go_on()
        assert p.wait_end(30) == 0
    assert c.is_quiet()
    for s in sockets:
        s.close()


def unread(s):
    """Bytes that the other end of a unix socket has not read."""
    return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]


def test_ending_is_not_suspended(ctx):
    """Nobody could resume it: who is let go on comes to an end."""
    p = ctx.proxy()
    c, admin = ctx.keep(p.connect(ctx.db)), console_of(ctx, p)
    c.query("BEGIN")
    p.signal(signal.SIGTERM)
    p.wait_log("got SIGTERM, shutting down")
    assert admin.ask(query("SUSPEND")).errors[0].text == "pooler is shutting down"
    assert c.query("COMMIT").status == "I"
    c.close()
    assert p.wait_end(30) == 0


def second(ctx, p, **changes):
    """Starts -R and waits for its end; the status and the log."""
    other = Proxy(ctx.binary, ctx.directory, p.databases, {**p.settings, **changes}, users=p.users)
    other.arguments = ["-R"]
    other.spawn()
    return other.wait_end(30), other.log()


def test_refused(ctx):
    """It ends with a word, and the old one goes on."""
    p = ctx.proxy(http_listen=None)
    c = ctx.keep(p.connect(ctx.db))
    admin = ctx.keep(p.connect("pgbouncer", "console"))
    admin.query("PAUSE")
    status, log = second(ctx, p)
    assert status == 1 and "already suspended/paused" in log and "the old process cannot be suspended" in log, log
    admin.query("RESUME")
    # It fails behind that.
    status, log = second(ctx, p, client_tls_sslmode="require", client_tls_cert_file="/nowhere", client_tls_key_file="/nowhere")
    assert status == 1 and "SHOW FDS finished" not in log or "TLS setup failed" in log, log
    assert c.value("SELECT 1") == "1"
    status, log = second(ctx, p, unix_socket_dir=None)
    assert status == 1 and "unix dir not configured" in log or "listen" in log, log
    assert c.value("SELECT 2") == "2" and os.path.exists(p.socket_path)
    with p.connect(ctx.db, unix=True) as new:
        assert new.value("SELECT 3") == "3"


def test_socket_of_another_user(ctx):
    """Who listens there is looked at before the first byte."""
    p = ctx.proxy(start=False, http_listen=None)
    p.write()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(p.socket_path)
        os.chmod(p.socket_path, 0o777)
        own = os.geteuid()
        os.seteuid(os.stat(p.directory).st_uid + 1)
        try:
            listening.listen()
        finally:
            os.seteuid(own)
        status, log = second(ctx, p)
        assert status == 1 and "the old process runs as another user" in log, log
        for _ in range(2):  # whether somebody is there, and then to talk
            c, _ = listening.accept()
            with c:
                assert c.recv(100) == b""


def test_nothing_runs(ctx):
    """Then it starts; also where a socket file was left over."""
    p = ctx.proxy(start=False)
    p.arguments = ["-R"]
    p.start()
    assert "old process not found, try to continue normally" in p.log()
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
    p.kill()
    assert os.path.exists(p.socket_path)
    p.start()
    p.expect_failure = False

    def there():
        try:
            with p.connect(ctx.db, unix=True) as c:
                return c.value("SELECT 1") == "1"
        except ConnectionRefusedError:  # the file is the old one's still
            return False
    p.wait(there, "the unix socket")


def test_pid_file_and_background(ctx):
    """The file is the new one's; the old one takes neither that nor the unix socket with it."""
    p = ctx.proxy(pidfile=f"{ctx.directory}/pid-of-takeover", logfile=f"{ctx.directory}/log-of-takeover")
    read = lambda: open(p.settings["pidfile"], encoding="ascii").read().strip()
    c = ctx.keep(p.connect(ctx.db))
    p.wait(lambda: read() == str(p.process.pid), "the pid file")
    old = p.process
    p.arguments = ["-R", "-d"]
    p.spawn()
    assert p.wait_end(20) == 0 and old.wait(20) == 0
    number = int(p.wait(lambda: os.path.exists(p.settings["pidfile"]) and read() not in ("", str(old.pid)) and read(), "another pid"))
    try:
        assert c.value("SELECT 1") == "1"
        with p.connect(ctx.db, unix=True) as new:
            assert new.value("SELECT 2") == "2"
    finally:
        os.kill(number, signal.SIGQUIT)
        p.wait(lambda: not os.path.exists(p.settings["pidfile"]), "its end")
    assert not os.path.exists(p.socket_path)


def test_one_after_the_other(ctx):
    """Each waits for the one before it, not for who made the sockets: port and pid file are its own."""
    p = ctx.proxy(pidfile=f"{ctx.directory}/pid-of-several", http_listen=f"127.0.0.1:{cluster.free_port()}")
    read = lambda: open(p.settings["pidfile"], encoding="ascii").read().strip()
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(3):
        take_over(ctx, p)
        assert read() == str(p.process.pid)
        assert p.http("/readyz")[0] == 200
        assert c.value("SELECT 1") == "1"
    assert "still there" not in p.log() and "http_listen" not in p.log()


# ---- what the other process says


class Other:
    """One that gives these rows, each with a descriptor: it answers on p's unix socket, and ends with SHUTDOWN."""

    def __init__(self, ctx, p, clients):
        self.process = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.listening = ctx.keep(socket.socket(socket.AF_UNIX))
        self.listening.bind(p.socket_path)
        os.chmod(p.socket_path, 0o777)
        self.listening.listen()
        self.port = ctx.keep(socket.create_server(("127.0.0.1", 0)))
        ours = HEAD.pack(2, 0, 0) + struct.pack(">I", self.process.pid) + bytes(8)
        self.rows = [(self.port, self.row("pooler", ctx.db, ours))]
        self.rows += [(s, self.row("client", ctx.db, state)) for s, state in clients]
        ctx.thread(self.serve)

    @staticmethod
    def row(task, database, state):
        cells = ["7", task, "app", database, "unix", "1", "1", "0"] + ["x"] * 4 + ["", "\\x", "\\x", "\\x" + state.hex()]
        return b"".join([len(cells).to_bytes(2, "big")] + [len(c).to_bytes(4, "big") + c.encode() for c in cells])

    def serve(self):
        say = lambda c, kind, body: c.sendall(kind + (len(body) + 4).to_bytes(4, "big") + body)
        self.listening.accept()[0].close()
        with self.listening.accept()[0] as c:
            c.recv(1000)
            say(c, b"R", bytes(4))
            while True:
                say(c, b"Z", b"I")
                asked = c.recv(1000)
                if b"SHUTDOWN" in asked:
                    break
                for s, body in self.rows if b"FDS_STATE" in asked else ():
                    socket.send_fds(c, [b"D" + (len(body) + 4).to_bytes(4, "big") + body], [s.fileno()])
        self.process.kill()
        self.process.wait()


HEAD = struct.Struct(">BBH")


def test_records_of_another_kind(ctx):
    """Another version's clients are told, and closed; so are those whose record ends early, or is of something else."""
    p = ctx.proxy(start=False)
    pairs = [socket.socketpair() for _ in range(5)]
    states = [HEAD.pack(1, 4, 0) + bytes(2000), HEAD.pack(3, 4, 0), HEAD.pack(2, 4, 65535) + bytes(20), HEAD.pack(2, 5, 0), b"\x02"]
    Other(ctx, p, [(theirs, state) for (_, theirs), state in zip(pairs, states)])
    p.arguments = ["-R"]
    p.spawn()
    p.wait_log("process up")
    for own, theirs in pairs:
        theirs.close()
        own.settimeout(20)
        said = b""
        while got := own.recv(1000):
            said += got
        assert said[:1] == b"E" and b"C57P01" in said, said
        own.close()


# ---- passwords, the cache


def test_pass_through(ctx):
    """The keys of a SCRAM login open new servers in the new process, too."""
    p = ctx.proxy(auth_type="scram-sha-256", databases={ctx.db: {**ctx.server()}}, users={**secrets(ctx), "console": "console-secret"})
    c = ctx.keep(p.connect(ctx.db, "scram", "scram-secret"))
    c.query("SELECT 1")
    take_over(ctx, p)
    ctx.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'scram'")
    p.wait(lambda: not servers(ctx, "scram"), "the servers to go")
    assert c.value("SELECT 2") == "2"


def secrets(ctx):
    """A user of whom only the secret is known."""
    ctx.sql("SET password_encryption = 'scram-sha-256'; "
            "DO $$ BEGIN CREATE ROLE scram LOGIN PASSWORD 'scram-secret'; EXCEPTION WHEN duplicate_object THEN END $$")
    return {"scram": ctx.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'scram'")[0][0]}


def test_cache(ctx):
    """What the old process would have ended ends: a write that was at work, a BEGIN that no server knows of."""
    p = ctx.cache_proxy(worker_threads=2)
    ctx.sql("CREATE TABLE c(id int PRIMARY KEY, v int); INSERT INTO c VALUES (1, 1); GRANT ALL ON c TO PUBLIC")
    reader, writer, begun = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    lock = ctx.direct()
    lock.query("SELECT pg_advisory_lock(1)")
    read = "SELECT v FROM c WHERE id = 1"
    ctx.wait_hit(p, lambda: reader.value(read))
    # It has no transaction id yet that the new process could wait for.
    writer.send(query("SELECT pg_advisory_xact_lock_shared(1); UPDATE c SET v = 2 WHERE id = 1"))
    begun.query("BEGIN")
    ctx.wait_hit(p, lambda: begun.value(read))
    assert any(r["transaction"] == "deferred" for r in p.console("SHOW CLIENTS")), "the BEGIN was not deferred"
    take_over(ctx, p)
    assert any(r["transaction"] == "deferred" for r in p.console("SHOW CLIENTS")), "the BEGIN is lost"
    ctx.wait_hits(p)
    assert ctx.wait_hit(p, lambda: reader.value(read)) == "1"
    lock.query("SELECT pg_advisory_unlock(1)")
    writer.until_ready().check()
    assert [reader.value(read) for _ in range(5)] == ["2"] * 5 and begun.value(read) == "2"
    begun.query("UPDATE c SET v = 3; ROLLBACK")
    assert reader.value(read) == "2"


# ---- PgBouncer


def pgbouncer(ctx, **options):
    binary = os.environ.get("PGBOUNCER", "/usr/sbin/pgbouncer")
    if not os.access(binary, os.X_OK):
        raise Skip("PgBouncer is not installed: make welcome")
    return ctx.proxy(binary=binary, **options)


def test_from_pgbouncer(ctx):
    """A running PgBouncer's clients come over, but for those who are in the middle of something."""
    p = pgbouncer(ctx, pidfile=f"{ctx.directory}/pid-from-pgbouncer", logfile=None)
    clients = [ctx.keep(p.connect(ctx.db, unix=u)) for u in (False, True, False)]
    busy = ctx.keep(p.connect(ctx.db))
    for c in clients:
        c.query("SET DateStyle = 'German, DMY'; SET TimeZone = 'Asia/Tokyo'")
    busy.query("BEGIN")
    take_over(ctx, p)
    for c in clients:
        assert c.value("SHOW TimeZone") == "Asia/Tokyo" and c.value("SHOW DateStyle").startswith("German")
    assert [e.sqlstate for e in busy.wait_closed().errors] == ["57P01"]
    clients[0].send(query("SELECT pg_sleep(60)"))
    p.wait(lambda: ctx.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"), "it to run")
    clients[0].cancel()
    assert clients[0].until_ready().sqlstate() == "57014", "the key of before"
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_to_pgbouncer(ctx):
    """And a PgBouncer takes over from a running pgweir what it can go on with; the others are told."""
    p = ctx.proxy(worker_threads=2, pidfile=f"{ctx.directory}/pid-to-pgbouncer", logfile=None)
    pgbouncer_binary = os.environ.get("PGBOUNCER", "/usr/sbin/pgbouncer")
    if not os.access(pgbouncer_binary, os.X_OK):
        raise Skip("PgBouncer is not installed: make welcome")
    plain, unix, busy, more, named = [ctx.keep(p.connect(ctx.db, unix=u)) for u in (False, True, False, False, False)]
    plain.query("SET TimeZone = 'Asia/Tokyo'")
    more.query("SET work_mem = '7MB'")
    named.run("SELECT 1", name="s")
    at_rest(ctx, p)
    busy.query("BEGIN")
    take_over(ctx, p, pgbouncer_binary)
    assert plain.value("SHOW TimeZone") == "Asia/Tokyo" and unix.value("SELECT 1") == "1"
    for c in (more, named):
        assert [e.sqlstate for e in c.wait_closed().errors] == ["57P01"]
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
