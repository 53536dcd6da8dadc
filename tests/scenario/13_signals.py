# SPDX-License-Identifier: Apache-2.0
"""SIGHUP, SIGINT, SIGTERM, SIGQUIT as in PgBouncer; the command line; sd_notify."""
import os
import signal
import socket
import subprocess

from pgwire import PeerClosed, query
from runner import Skip


def pgweir_only(p):
    if not p.is_pgweir:
        raise Skip("PgBouncer 1.18 differs")


def test_reload(ctx):
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    p.databases["added"] = ctx.server()
    p.users["other"] = "new-secret"
    p.reload(default_pool_size=2, max_client_conn=50)
    with p.connect("added") as d:
        assert d.value("SELECT 1") == "1"
    # The bigger pool is in use, and the old client still is.
    c.query("BEGIN")
    with p.connect(ctx.db) as other:
        assert other.value("SELECT 2") == "2"
    c.query("COMMIT")
    assert pool_size(ctx, p) == "2"


def test_reload_removes_database(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(), "extra": ctx.server()})
    with p.connect("extra") as c:
        c.query("SELECT 1")
    del p.databases["extra"]
    p.reload()
    assert "no such database" in p.refused("extra").text


def test_reload_of_bad_file(ctx):
    """A file with an error changes nothing."""
    p = ctx.proxy()
    pgweir_only(p)
    c = ctx.keep(p.connect(ctx.db))
    p.settings["default_pool_size"] = "many"
    p.write()
    p.signal(signal.SIGHUP)
    p.wait_log(r"ERROR|WARNING")
    assert c.value("SELECT 1") == "1"
    assert pool_size(ctx, p) == "5"


def pool_size(ctx, p):
    return next(r["pool_size"] for r in p.console("SHOW DATABASES") if r["name"] == ctx.db)


def test_reload_under_load(ctx):
    p = ctx.proxy(default_pool_size=3)

    def work(i):
        with p.connect(ctx.db) as c:
            for n in range(150):
                assert c.value(f"SELECT {i * 1000 + n}") == str(i * 1000 + n)

    threads = [ctx.thread(work, i) for i in range(8)]
    for size in (2, 4, 1, 5):
        p.reload(default_pool_size=size)
    for t in threads:
        t.result()


def test_signals_at_once(ctx):
    """Signals that come as soon as the port is open are handled like any other."""
    for number in (signal.SIGHUP, signal.SIGQUIT) * 8:
        p = ctx.proxy(start=False)
        pgweir_only(p)
        p.spawn()
        p.wait_port()
        p.signal(number)
        if number == signal.SIGHUP:
            p.wait_log("process up")
            with p.connect(ctx.db) as c:
                assert c.value("SELECT 1") == "1"
        else:
            assert p.wait_end() == 0


def test_quit_is_immediate(ctx):
    p = ctx.proxy()
    pgweir_only(p)
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("SELECT pg_sleep(30)"))
    p.signal(signal.SIGQUIT)
    assert p.wait_end() == 0
    c.wait_closed()
    assert not os.path.exists(p.socket_path)


def test_interrupt_waits_for_servers(ctx):
    """SIGINT: no new clients; who is in a transaction may finish it; the others go."""
    p = ctx.proxy()
    pgweir_only(p)
    idle, busy = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    idle.query("SELECT 1")
    busy.query("BEGIN")
    p.signal(signal.SIGINT)
    p.wait_log("SIGINT")
    busy.query("SELECT 2")
    assert p.is_running()
    assert not can_connect(ctx, p)
    try:
        busy.query("COMMIT")
    except PeerClosed:
        raise AssertionError("the transaction was cut off") from None
    assert p.wait_end() == 0


def test_interrupt_twice(ctx):
    p = ctx.proxy()
    pgweir_only(p)
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    p.signal(signal.SIGINT)
    p.wait_log("SIGINT")
    p.signal(signal.SIGINT)
    assert p.wait_end() == 0


def test_terminate_waits_for_clients(ctx):
    """SIGTERM: no new clients; the process ends when the last one has left."""
    p = ctx.proxy()
    pgweir_only(p)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    p.signal(signal.SIGTERM)
    p.wait_log("SIGTERM")
    assert not can_connect(ctx, p)
    assert c.value("SELECT 2") == "2"
    assert p.is_running()
    c.close()
    assert p.wait_end() == 0


def test_terminate_without_clients(ctx):
    p = ctx.proxy()
    pgweir_only(p)
    with p.connect(ctx.db) as c:
        c.query("SELECT 1")
    p.signal(signal.SIGTERM)
    assert p.wait_end() == 0
    # Its server connections are gone, too.
    p.wait(lambda: not ctx.sql("SELECT 1 FROM pg_stat_activity WHERE usename = 'app'"), "servers to close")


def can_connect(ctx, p):
    try:
        with p.connect(ctx.db, timeout=1):
            return True
    except Exception:
        return False


def test_notify_systemd(ctx):
    """READY=1 when the sockets are open, STOPPING=1 at the end."""
    path = f"{ctx.directory}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        os.chmod(path, 0o777)
        s.settimeout(10)
        try:
            p = ctx.proxy(environment={"NOTIFY_SOCKET": path}, start=False)
            p.spawn()
            while b"READY=1" not in s.recv(1000):
                pass
            # Ready means: connections are accepted now.
            with p.connect(ctx.db) as c:
                assert c.value("SELECT 1") == "1"
            pgweir_only(p)
            p.signal(signal.SIGQUIT)
            while b"STOPPING=1" not in s.recv(1000):
                pass
            assert p.wait_end() == 0
        finally:
            os.unlink(path)


def run(ctx, *arguments):
    import cluster
    process = cluster.spawn([ctx.binary, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output, _ = process.communicate(timeout=20)
    return process.returncode, output


def test_command_line(ctx):
    status, output = run(ctx, "-V")
    assert status == 0 and ("pgweir" in output or "PgBouncer" in output), output
    status, output = run(ctx, "-h")
    assert status == 0 and "-d" in output and "-q" in output, output
    status, output = run(ctx)
    assert status != 0, output
    status, output = run(ctx, "/no/such/file.ini")
    assert status != 0 and "/no/such/file.ini" in output, output


def test_bad_configuration(ctx):
    """File and line of the error, and a status that says so."""
    for setting, value in (("no_such_setting", "1"), ("default_pool_size", "many"), ("pool_mode", "sometimes")):
        p = ctx.proxy(start=False, **{setting: value})
        p.expect_failure = True
        p.spawn()
        assert p.wait_end() != 0
        assert setting in p.log() or value in p.log(), p.log()
        if p.is_pgweir:
            line = [n for n, text in enumerate(open(p.ini, encoding="utf-8"), 1) if text.startswith(setting)][0]
            assert f"pgweir.ini:{line}" in p.log(), p.log()


def test_daemon_and_pidfile(ctx):
    p = ctx.proxy(start=False, arguments=["-d"])
    p.settings["pidfile"] = f"{p.directory}/pid"
    p.settings["logfile"] = f"{p.directory}/daemon.log"
    p.write()
    p.spawn()
    assert p.wait_end() == 0
    p.wait(lambda: os.path.exists(p.settings["pidfile"]) and os.path.getsize(p.settings["pidfile"]), "the pid file")
    with open(p.settings["pidfile"], encoding="ascii") as f:
        pid = int(f.read())
    try:
        p.wait(lambda: can_connect(ctx, p), "the daemon")
        with p.connect(ctx.db) as c:
            assert c.value("SELECT 1") == "1"
        # A second one with the same pid file refuses to start.
        second = ctx.proxy(start=False)
        second.settings["pidfile"] = p.settings["pidfile"]
        second.expect_failure = True
        second.write()
        second.spawn()
        assert second.wait_end() != 0
    finally:
        os.kill(pid, signal.SIGQUIT)
        p.wait(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon to end")
