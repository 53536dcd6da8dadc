# SPDX-License-Identifier: Apache-2.0
"""Replication connections: a server connection of their own, streams both ways, PostgreSQL's tools."""
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import cluster as pg
from pgwire import PeerClosed, copy_data, copy_done, query
from runner import limit

USER = "postgres"
PASSWORD = {"PGPASSWORD": "postgres-secret"}


def proxy(ctx, **options):
    return ctx.proxy(databases={ctx.db: ctx.server(), "replication": ctx.server(),
                                **options.pop("more", {})}, **options)


def walsenders(ctx):
    return int(ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'")[0][0])


def scratch(ctx):
    directory = tempfile.mkdtemp(prefix="replication-", dir=ctx.directory)
    os.chmod(directory, 0o755)
    pg.give(directory)
    return directory


def tool(ctx, p, name, *arguments):
    return pg.spawn([f"{ctx.pg.bindir}/{name}", "-h", "127.0.0.1", "-p", str(p.port), "-U", USER, *arguments],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ctx.directory,
                    env={**os.environ, **PASSWORD})


def finish(process, timeout=60, status=0):
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == status, (process.returncode, out)
    return out.decode()


def test_commands(ctx):
    """IDENTIFY_SYSTEM, SHOW and slots, on a physical and a logical connection."""
    p = proxy(ctx, default_pool_size=10)
    system = ctx.sql("SELECT system_identifier FROM pg_control_system()")[0][0]
    for value in ("true", "on", "1", "yes", "t", "database"):
        c = ctx.keep(p.connect(ctx.db, USER, replication=value))
        assert c.query("IDENTIFY_SYSTEM").rows[0][0] == system
        assert c.value("SHOW server_version_num").startswith("15")
    slot = c.query("CREATE_REPLICATION_SLOT test_commands TEMPORARY LOGICAL test_decoding").dicts[0]
    assert slot["slot_name"] == "test_commands"
    # A logical one is a session like others, but for the extended protocol.
    assert c.value("SELECT current_database()") == ctx.db
    assert c.value("SELECT 1") == "1"
    assert c.pid and c.parameters["server_version"].startswith("15")


def test_not_asked_for(ctx):
    p = proxy(ctx)
    for value in ("false", "off", "0", "no", "f"):
        with p.connect(ctx.db, USER, replication=value) as c:
            assert c.ask(query("IDENTIFY_SYSTEM")).sqlstate() == "42601"
    for value in ("", "maybe", "o", "2", "Database"):
        error = p.refused(ctx.db, USER, replication=value)
        assert error.sqlstate == "22023", error
        assert error.text == f'invalid value for parameter "replication": "{value}"', error


def test_never_pooled(ctx):
    """Each has its own server, which ends with it, and is never anybody else's."""
    p = proxy(ctx, default_pool_size=4, hidden_code_check=0)
    plain = ctx.keep(p.connect(ctx.db, USER))
    pid = plain.value("SELECT pg_backend_pid()")
    before = walsenders(ctx)
    a = p.connect(ctx.db, USER, replication="database")
    b = p.connect(ctx.db, USER, replication="database")
    assert walsenders(ctx) == before + 2
    pids = {c.value("SELECT pg_backend_pid()") for c in (a, b)}
    assert len(pids) == 2 and pid not in pids
    assert plain.value("SELECT pg_backend_pid()") == pid
    a.query("SET work_mem = '77kB'")
    a.query("BEGIN")
    a.close()
    b.abort()
    p.wait(lambda: walsenders(ctx) == before, "the end of both")
    assert {plain.value("SELECT pg_backend_pid()") for _ in range(10)} == {pid}
    assert plain.value("SHOW work_mem") != "77kB"


def test_startup_parameters_reach_the_server(ctx):
    p = proxy(ctx, application_name_add_host=1)
    c = ctx.keep(p.connect(ctx.db, USER, replication="database", extra_float_digits="1", application_name="mine",
                           options="-c work_mem=123kB -c geqo=off"))
    assert c.value("SHOW work_mem") == "123kB"
    assert c.value("SHOW geqo") == "off"
    assert c.value("SHOW extra_float_digits") == "1"
    assert c.value("SHOW application_name").startswith("mine - 127.0.0.1:")
    error = p.refused(ctx.db, USER, replication="database", no_such_setting="1")
    assert error.sqlstate == "42704" and "no_such_setting" in error.text, error


def test_refused_by_the_server(ctx):
    """The client hears PostgreSQL's own words, and the pool of others goes on."""
    p = proxy(ctx)
    error = p.refused(ctx.db, "app", replication="database")
    assert error.sqlstate == "42501" and "walsender" in error.text, error
    with p.connect(ctx.db, "app") as c:
        assert c.value("SELECT 1") == "1"


def test_counts_in_the_pool(ctx):
    """A pool of two: an idle server makes room for it, a busy one is waited for."""
    p = proxy(ctx, default_pool_size=2, query_wait_timeout=20)
    plain = ctx.keep(p.connect(ctx.db, USER))
    plain.query("SELECT 1")
    a = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    b = p.connect(ctx.db, USER, replication="database")  # in the place of the idle one
    c = p.connect(ctx.db, USER)  # logs in with what is known
    c.send(query("SELECT 7"))
    p.wait(lambda: p.pool(ctx.db, USER)["cl_waiting"] == "1", "a waiting client")
    b.close()
    assert c.until_ready().value == "7"
    c.query("BEGIN")
    late = ctx.thread(lambda: p.connect(ctx.db, USER, timeout=20, replication="database"))
    p.wait(lambda: p.pool(ctx.db, USER)["cl_waiting"] == "1", "the late one")
    c.query("COMMIT")
    with late.result() as d:
        assert d.value("SELECT 1") == "1"
    assert a.value("SELECT 1") == "1"


def test_waits_in_vain(ctx):
    p = proxy(ctx, default_pool_size=1, query_wait_timeout=1)
    a = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    error = p.refused(ctx.db, USER, replication="database")
    assert (error.sqlstate, error.text) == ("08P01", "query_wait_timeout"), error
    a.close()
    with p.connect(ctx.db, USER, replication="database") as b:
        assert b.value("SELECT 1") == "1"


def test_fair_to_queries(ctx):
    """Under a full load of queries it gets its place."""
    p = proxy(ctx, default_pool_size=2)
    stop = []

    def busy():
        with p.connect(ctx.db, USER) as c:
            while not stop:
                c.query("SELECT pg_sleep(0.001)")
    others = [ctx.thread(busy) for _ in range(6)]
    try:
        for _ in range(5):
            with p.connect(ctx.db, USER, timeout=10, replication="database") as c:
                assert c.value("SELECT 1") == "1"
    finally:
        stop.append(True)
        for t in others:
            t.result()


def test_cancel(ctx):
    p = proxy(ctx)
    c = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    c.send(query("SELECT pg_sleep(20)"))
    p.wait(lambda: ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND "
                           "pid <> pg_backend_pid()")[0][0] == "1", "the statement")
    c.cancel()
    assert c.until_ready().sqlstate() == "57014"
    assert c.value("SELECT 1") == "1"


def status_update(lsn):
    return copy_data(b"r" + struct.pack("!QQQQB", lsn, lsn, lsn, int((time.time() - 946684800) * 1e6), 0))


def test_logical_stream_both_ways(ctx):
    """START_REPLICATION: changes come, our feedback moves the slot, CopyDone ends it, the session goes on."""
    p = proxy(ctx)
    ctx.sql("CREATE TABLE t (a int)")
    c = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    c.query("CREATE_REPLICATION_SLOT both_ways TEMPORARY LOGICAL test_decoding")
    c.send(query("START_REPLICATION SLOT both_ways LOGICAL 0/0"))
    assert c.until("WE").kinds == "W"
    expected = 0
    for value in range(50):
        ctx.sql(f"INSERT INTO t VALUES ({value})")
    lsn = 0
    while expected < 50:
        m = c.read()
        assert m.kind == "d", m
        if m.body[:1] != b"w":
            continue
        lsn = struct.unpack_from("!Q", m.body, 9)[0]
        if b"INSERT" in m.body:
            assert b"a[integer]:%d" % expected in m.body, m.body
            expected += 1
    c.send(status_update(lsn))
    p.wait(lambda: ctx.sql("SELECT confirmed_flush_lsn >= '%X/%X' FROM pg_replication_slots WHERE "
                           "slot_name = 'both_ways'" % (lsn >> 32, lsn & 0xffffffff))[0][0] == "t",
           "the slot to move")
    c.send(copy_done())
    assert c.until("Z").status == "I"
    assert c.value("SELECT count(*) FROM t") == "50"


@limit(60)
def test_a_slow_reader(ctx):
    """Much more than any buffer holds, to a client that reads late: nothing is lost, and memory stays."""
    p = proxy(ctx)
    ctx.sql("CREATE TABLE t (a text)")
    c = ctx.keep(p.connect(ctx.db, USER, timeout=30, replication="database"))
    c.query("CREATE_REPLICATION_SLOT slow TEMPORARY LOGICAL test_decoding")
    ctx.sql("INSERT INTO t SELECT repeat('x', 10000) || n FROM generate_series(1, 4000) n")
    before = p.rss_bytes()
    c.send(query("START_REPLICATION SLOT slow LOGICAL 0/0"))
    assert c.until("WE").kinds == "W"
    time.sleep(0.5)  # the stream runs into the full socket
    assert p.rss_bytes() - before < 8 << 20, p.rss_bytes() - before
    got = 0
    while got < 4000:
        m = c.read()
        if m.kind == "d" and b"INSERT" in m.body:
            got += 1
            assert m.body.endswith(b"x%d'" % got), m.body[-20:]


def test_server_ends(ctx):
    """What the server said last arrives, then the connection ends as PostgreSQL's would."""
    p = proxy(ctx)
    c = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    pid = c.value("SELECT pg_backend_pid()")
    ctx.sql(f"SELECT pg_terminate_backend({pid})")
    last = c.wait_closed()
    assert [e.sqlstate for e in last.errors] == ["57P01"], last.errors


def test_console_commands(ctx):
    """KILL ends it; PAUSE keeps new ones waiting."""
    p = proxy(ctx)
    c = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    before = walsenders(ctx)
    p.console(f"KILL {ctx.db}")
    c.wait_closed()
    p.wait(lambda: walsenders(ctx) == before - 1, "its server's end")
    p.console(f"RESUME {ctx.db}")
    p.console("PAUSE")
    late = ctx.thread(lambda: p.connect(ctx.db, USER, replication="database"))
    p.wait(lambda: p.pool(ctx.db, USER)["cl_waiting"] == "1", "a waiting client")
    p.console("RESUME")
    assert ctx.keep(late.result()).value("SELECT 1") == "1"


def test_shutdowns(ctx):
    """SIGINT waits for it, like PgBouncer; SIGQUIT does not."""
    p = proxy(ctx)
    c = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    p.signal(signal.SIGINT)
    p.wait_log("SIGINT")
    assert c.value("SELECT 1") == "1"
    c.close()
    assert p.wait_end(10) == 0
    p = proxy(ctx, shutdown_timeout=1)  # the time that SIGTERM gives them all
    ctx.keep(p.connect(ctx.db, USER, replication="database"))
    p.signal(signal.SIGTERM)
    assert p.wait_end(10) == 0
    p = proxy(ctx)
    c = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    p.signal(signal.SIGQUIT)
    assert p.wait_end(10) == 0
    try:
        c.wait_closed()
    except PeerClosed:
        pass


@limit(120)
def test_pg_basebackup(ctx):
    """It takes two connections, to the database named "replication", and what it wrote is a cluster."""
    p = proxy(ctx)
    directory = scratch(ctx)
    finish(tool(ctx, p, "pg_basebackup", "-D", f"{directory}/data", "-X", "stream", "-c", "fast"), 100)
    check = pg.spawn([f"{ctx.pg.bindir}/pg_verifybackup", f"{directory}/data"], stdout=subprocess.PIPE,
                     stderr=subprocess.STDOUT, cwd=directory, env=dict(os.environ))
    assert "successfully verified" in finish(check)
    shutil.rmtree(directory)


@limit(120)
def test_pg_receivewal(ctx):
    p = proxy(ctx)
    directory = scratch(ctx)
    end = ctx.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0]
    receive = tool(ctx, p, "pg_receivewal", "-D", directory, "--no-loop")
    try:
        p.wait(lambda: any(n.endswith(".partial") for n in os.listdir(directory)), "the first segment", 30)
        ctx.sql("CREATE TABLE t (a int)")
        ctx.sql("SELECT pg_switch_wal()")
        p.wait(lambda: end in os.listdir(directory), f"segment {end}", 30)
    finally:
        receive.send_signal(signal.SIGINT)
    finish(receive)
    with open(f"{directory}/{end}", "rb") as mine, open(f"{ctx.pg.data}/pg_wal/{end}", "rb") as theirs:
        assert mine.read() == theirs.read()
    shutil.rmtree(directory)


@limit(60)
def test_pg_recvlogical(ctx):
    p = proxy(ctx)
    directory = scratch(ctx)
    ctx.sql("CREATE TABLE t (a int)")
    common = ("-d", ctx.db, "--slot", "recvlogical")
    finish(tool(ctx, p, "pg_recvlogical", *common, "--create-slot", "-P", "test_decoding"))
    out = f"{directory}/out"
    receive = tool(ctx, p, "pg_recvlogical", *common, "--start", "--no-loop", "-f", out, "-F", "1")
    try:
        ctx.sql("INSERT INTO t SELECT generate_series(1, 1000)")
        p.wait(lambda: os.path.exists(out) and open(out).read().count("INSERT") == 1000, "all changes", 30)
    finally:
        receive.send_signal(signal.SIGINT)
    finish(receive)
    p.wait(lambda: ctx.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'recvlogical'")[0][0] == "f",
           "the slot to be free")
    finish(tool(ctx, p, "pg_recvlogical", *common, "--drop-slot"))
    shutil.rmtree(directory)


def test_refused_where_the_cache_would_not_learn(ctx):
    """invalidation = proxy: what is written on such a connection would never be seen."""
    p = ctx.cache_proxy(invalidation="proxy")
    error = p.refused(ctx.db, USER, replication="database")
    assert error.sqlstate == "0A000" and "invalidation = proxy" in error.text, error
    with p.connect(ctx.db, USER, replication="true") as c:
        assert c.query("IDENTIFY_SYSTEM").rows


def test_with_the_cache(ctx):
    """A write on it is seen when the stream brings it."""
    ctx.sql("CREATE TABLE t (a int)")
    ctx.sql("INSERT INTO t VALUES (1)")
    ctx.sql(f"GRANT ALL ON t TO {USER}")
    p = ctx.cache_proxy(max_staleness="100ms")
    reader = ctx.keep(p.connect(ctx.db, USER))
    ctx.wait_hit(p, lambda: reader.value("SELECT a FROM t"))
    with p.connect(ctx.db, USER, replication="database") as c:
        c.query("UPDATE t SET a = 2")
    time.sleep(0.15)  # max_staleness is what is promised
    assert reader.value("SELECT a FROM t") == "2"


def test_shown(ctx):
    p = proxy(ctx)
    a = ctx.keep(p.connect(ctx.db, USER, replication="database"))
    ctx.keep(p.connect("replication", USER, replication="true"))
    ctx.keep(p.connect(ctx.db, USER)).query("SELECT 1")
    for what in ("CLIENTS", "SERVERS"):
        shown = {(r["database"], r["replication"]) for r in p.console(f"SHOW {what}") if r["database"] != "pgbouncer"}
        assert shown == {(ctx.db, "logical"), ("replication", "physical"), (ctx.db, "none")}, (what, shown)
    pid = a.value("SELECT pg_backend_pid()")
    server = next(r for r in p.console("SHOW SERVERS") if r["remote_pid"] == pid)
    client = next(r for r in p.console("SHOW CLIENTS") if r["replication"] == "logical")
    assert (server["link"], client["link"]) == (client["ptr"], server["ptr"])
