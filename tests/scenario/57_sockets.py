# SPDX-License-Identifier: Apache-2.0
"""Unix sockets: in the file system and in the abstract namespace, their rights, what is left over; sockets
that systemd passes."""
import grp
import os
import signal
import socket
import stat
import sys

import cluster as pg
from pgwire import Wire


def fails(p):
    """Its start is expected to fail; returns the log."""
    p.expect_failure = True
    p.spawn()
    assert p.wait_end() == 1, p.ended
    return p.log()


def only_unix(ctx, **options):
    return ctx.proxy(start=False, listen_addr="", **options)


def start(p):
    p.spawn()
    p.wait_log("process up")
    return p


def works(ctx, address):
    with Wire(address) as c:
        assert c.login("app", ctx.db).value("SELECT 1") == "1"


def test_abstract_namespace(ctx):
    name = f"@pgweir-test-{os.getpid()}"
    p = only_unix(ctx, unix_socket_dir=name)
    address = f"\0{name[1:]}/.s.PGSQL.{p.port}"
    start(p)
    p.wait_log(f"listening on unix:{name}/.s.PGSQL.{p.port}")
    works(ctx, address)
    assert not [f for f in os.listdir(p.directory) if f.startswith(".s.")]
    # A server may be reached by one, too.
    q = ctx.proxy(databases={ctx.db: {"host": name, "port": p.port}})
    with q.connect(ctx.db) as c:
        assert c.value("SELECT inet_client_addr() IS NOT NULL") == "t"
    # It is somebody's already; and it is gone with its process.
    other = only_unix(ctx, unix_socket_dir=name, listen_port=p.port)
    assert f"unix socket is in use: {name}/.s.PGSQL.{p.port}" in fails(other)
    p.stop()
    start(only_unix(ctx, unix_socket_dir=name, listen_port=p.port))
    works(ctx, address)


def test_rights(ctx):
    p = start(only_unix(ctx))
    assert stat.S_IMODE(os.stat(p.socket_path).st_mode) == 0o777
    gid = pg.USER.pw_gid if pg.USER else os.getgid()
    for group in (grp.getgrgid(gid).gr_name, str(gid)):
        p = start(only_unix(ctx, unix_socket_mode="0710", unix_socket_group=group))
        found = os.stat(p.socket_path)
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o710, gid)


def test_groups_that_cannot_be(ctx):
    p = only_unix(ctx, unix_socket_group="no_such_group")
    assert 'unknown group "no_such_group" (unix_socket_group)' in fails(p)
    assert not os.path.exists(p.socket_path)
    if pg.USER:
        p = only_unix(ctx, unix_socket_group="root")
        assert f'cannot give {p.socket_path} to group "root"' in fails(p)
        assert not os.path.exists(p.socket_path), "what was made is taken away"


def test_left_over(ctx):
    """A socket of a process that died is replaced; one that is served is not; a file that is none stays."""
    p = start(only_unix(ctx))
    p.kill()
    assert stat.S_ISSOCK(os.stat(p.socket_path).st_mode)
    again = start(only_unix(ctx, unix_socket_dir=p.directory, listen_port=p.port))
    works(ctx, p.socket_path)
    third = only_unix(ctx, unix_socket_dir=p.directory, listen_port=p.port)
    assert f"unix socket is in use: {p.directory}/.s.PGSQL.{p.port}" in fails(third)
    works(ctx, p.socket_path)
    again.stop()
    assert not os.path.exists(p.socket_path)
    with open(p.socket_path, "w", encoding="ascii") as f:
        f.write("mine")
    assert "Address already in use" in fails(only_unix(ctx, unix_socket_dir=p.directory, listen_port=p.port))
    with open(p.socket_path, encoding="ascii") as f:
        assert f.read() == "mine"


def test_bad_directories(ctx):
    for name in ("relative", "/" + "x" * 120, "@" + "x" * 120):
        assert f"unix_socket_dir is no usable path: {name}" in fails(only_unix(ctx, unix_socket_dir=name))
    assert "cannot listen on unix:/no/such/place/.s.PGSQL" in fails(only_unix(ctx, unix_socket_dir="/no/such/place"))


def test_who_accepts(ctx):
    """A single worker by itself, else the main thread: a crowd comes in, also those that say nothing at first; nobody
    while all is suspended, nobody without the right password, nobody after the end has begun."""
    for workers in (1, 3):
        p = ctx.proxy(worker_threads=workers, auth_type="md5", max_client_conn=200)
        admin = p.connect("pgbouncer", "console")
        crowd = [Wire(p.address) for _ in range(100)]
        for c in crowd:
            c.login("app", ctx.db, "app-secret").close()
        p.reload(tcp_defer_accept=0, tcp_keepalive=0, tcp_socket_buffer=65536)
        crowd = [Wire(p.address) for _ in range(20)]
        p.wait(lambda: {r["list"]: int(r["items"]) for r in admin.query("SHOW LISTS").dicts}["login_clients"] >= 20,
               "those who say nothing")
        for c in crowd:
            c.login("app", ctx.db, "app-secret").close()
        assert p.refused(ctx.db, password="wrong").sqlstate == "28P01"
        admin.query("SUSPEND")
        late = Wire(p.address, timeout=0.4)
        try:
            late.login("app", ctx.db, "app-secret")
            raise AssertionError("let in while all is suspended")
        except TimeoutError:
            late.close()
        later = Wire(p.address)
        admin.query("RESUME")
        assert later.login("app", ctx.db, "app-secret").value("SELECT 1") == "1"
        p.signal(signal.SIGTERM)
        p.wait_log("got SIGTERM")

        def is_shut():
            try:
                Wire(p.address).close()
                return False
            except ConnectionRefusedError:
                return True
        p.wait(is_shut, "its sockets to be closed")
        assert later.value("SELECT 2") == "2"
        later.close()
        admin.close()
        assert p.wait_end() == 0


WRAPPER = """
import os, sys
fds = [int(n) for n in sys.argv[1].split(",")]
for n, fd in enumerate(fds):
    os.dup2(fd, 3 + n)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_sockets_from_systemd(ctx):
    """They are used as they are, instead of those of the configuration; a unix socket's file stays."""
    p = ctx.proxy(start=False)
    path = f"{p.directory}/passed"
    tcp = socket.create_server(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(path)
    local.listen()
    os.chmod(path, 0o777)
    fds = [os.dup(os.dup(s.fileno())) for s in (tcp, local)]
    fds = [fd if fd > 10 else os.dup2(fd, 50 + fd) for fd in fds]
    for fd in fds:
        os.set_inheritable(fd, True)
    with open(p.logfile, "ab") as log:
        pg.give(p.logfile)
        p.process = pg.spawn([sys.executable, "-c", WRAPPER, ",".join(map(str, fds)), p.binary, p.ini],
                             stdout=log, stderr=log, cwd=p.directory, pass_fds=fds)
    p.wait_log("process up")
    p.wait_log("listening on a TCP socket passed by systemd")
    p.wait_log("listening on a unix socket passed by systemd")
    works(ctx, tcp.getsockname())
    works(ctx, path)
    try:
        Wire(p.address).close()
        raise AssertionError("the configuration's own port is open")
    except ConnectionRefusedError:
        pass
    p.stop()
    assert os.path.exists(path)
    for s in (tcp, local):
        s.close()
    for fd in fds:
        os.close(fd)
