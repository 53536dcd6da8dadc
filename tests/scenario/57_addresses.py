# SPDX-License-Identifier: Apache-2.0
"""Where clients come in, and where servers are: addresses to listen on, how many may knock at once, host
names with several addresses, and names whose addresses change."""
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading

import cluster as pg
from pgwire import Wire
from runner import ROOT, Skip

NAME = "several.test"


def answers(ctx, address):
    try:
        with Wire(address, 5) as c:
            return c.login("app", ctx.db).value("SELECT 1") == "1"
    except OSError:
        return False


def test_listen_addr(ctx):
    """A list, a name, or all there are."""
    p = ctx.proxy(start=False, listen_addr="127.0.0.2, 127.0.0.3")
    p.spawn()
    p.wait_log("process up")
    here = {n: answers(ctx, (f"127.0.0.{n}", p.port)) for n in (1, 2, 3, 4)}
    assert here == {1: False, 2: True, 3: True, 4: False}, here
    p.stop()
    p = ctx.proxy(listen_addr="*")
    assert all(answers(ctx, (f"127.0.0.{n}", p.port)) for n in (1, 9))
    p.stop()
    assert answers(ctx, ctx.proxy(listen_addr="localhost").address)


def knocks(address, family=socket.AF_UNIX, most=64):
    """How many connections to it are made although nobody takes them in."""
    made = []
    try:
        while len(made) < most:
            s = socket.socket(family, socket.SOCK_STREAM)
            made.append(s)
            s.setblocking(False)
            problem = s.connect_ex(address)
            if problem == errno.EAGAIN:
                return len(made) - 1
            if problem == errno.EINPROGRESS and not select.select([], [s], [], 0.2)[1]:
                return len(made) - 1
        return most
    finally:
        for s in made:
            s.close()


def test_listen_backlog(ctx):
    """So many wait to be taken in, and one; whoever comes then is not let into the queue."""
    for backlog in (3, 12):
        p = ctx.proxy(listen_backlog=backlog, tcp_defer_accept=0)
        p.signal(signal.SIGSTOP)
        try:
            assert knocks(p.socket_path) == backlog + 1
            # By TCP the one that saw the port open may still be among them.
            assert knocks(p.address, socket.AF_INET) in (backlog, backlog + 1)
        finally:
            p.signal(signal.SIGCONT)
        p.wait(lambda p=p: answers(ctx, p.address), "the queue to be gone")


# ---- host names

class Detour:
    """The server by another address; knows which of its connections came this way."""

    def __init__(self, address, to):
        self.to, self.ports, self.open = to, set(), []
        self.listener = socket.create_server(address)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(self.to)
            self.ports.add(str(there.getsockname()[1]))
            self.open += [here, there]
            for a, b in ((here, there), (there, here)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for s in (self.listener, *self.open):
            s.close()


class Named:
    """A proxy whose servers are at NAME, which means these addresses."""

    def __init__(self, ctx, *addresses, **settings):
        self.detour = ctx.keep(Detour(("127.0.0.2", ctx.pg.port), ("127.0.0.1", ctx.pg.port)))
        self.p = ctx.proxy(start=False, databases={ctx.db: ctx.server(host=NAME)}, log_disconnections=1, **settings)
        self.hosts = f"{self.p.directory}/hosts"
        self.means(*addresses)
        user = pg.USER
        with open(self.p.logfile, "ab") as log:
            pg.give(self.p.logfile)
            self.p.process = subprocess.Popen(
                [sys.executable, f"{ROOT}/tests/lib/own_hosts.py", self.hosts, str(user.pw_uid if user else os.getuid()),
                 str(user.pw_gid if user else os.getgid()), self.p.binary, self.p.ini],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.p.directory, start_new_session=True)
        self.p.wait(lambda: self.p.process.poll() is not None or "process up" in self.p.log(), "the start")
        if self.p.process.poll() == 77:
            self.p.process = None
            raise Skip(self.p.log().strip())

    def means(self, *addresses):
        with open(self.hosts, "w", encoding="ascii") as f:
            f.writelines(f"{address} {NAME}\n" for address in ("127.0.0.1 localhost", *addresses)[1:])

    def by_detour(self, client):
        return client.value("SELECT inet_client_port()") in self.detour.ports


def test_name_with_several_addresses(ctx):
    """New connections go to one after the other."""
    n = Named(ctx, "127.0.0.1", "127.0.0.2", default_pool_size=6)
    clients = [ctx.keep(n.p.connect(ctx.db)) for _ in range(6)]
    for c in clients:
        c.query("BEGIN")
    ways = [n.by_detour(c) for c in clients]
    assert sorted(ways) == [False] * 3 + [True] * 3, ways  # all six that there can be, in whatever order they are taken
    row = next(r for r in n.p.console("SHOW DNS_HOSTS") if r["hostname"] == NAME)
    assert sorted(row["addrs"].split(",")) == ["127.0.0.1", "127.0.0.2"], row


def test_name_whose_address_changes(ctx):
    """The next connection after dns_max_ttl looks it up anew; servers at an address that is gone are closed when
    they are free."""
    n = Named(ctx, "127.0.0.2", default_pool_size=50, dns_max_ttl=0.3)
    busy, idle = ctx.keep(n.p.connect(ctx.db)), ctx.keep(n.p.connect(ctx.db))
    busy.query("BEGIN")
    idle.query("BEGIN")
    assert n.by_detour(busy) and n.by_detour(idle)
    n.means("127.0.0.1")

    more = []

    def arrives_at_the_new_one():
        more.append(ctx.keep(n.p.connect(ctx.db)))
        more[-1].query("BEGIN")
        return not n.by_detour(more[-1])

    n.p.wait(arrives_at_the_new_one, "a connection to the new address", interval=0.1)
    for c in (idle, *more):
        c.query("COMMIT")
    n.p.wait(lambda: not n.by_detour(idle), "the idle one to be replaced")
    assert n.by_detour(busy)  # its transaction goes on where it was
    busy.query("COMMIT")
    n.p.wait(lambda: not n.by_detour(busy), "the other one")
    n.p.wait_log("S-.* closing because: close_needed")
    assert n.p.console("SHOW DNS_HOSTS")[0]["addrs"] == "127.0.0.1"
