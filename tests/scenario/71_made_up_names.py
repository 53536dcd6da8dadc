# SPDX-License-Identifier: Apache-2.0
"""Names that strangers make up for the `*` line of [databases]: they leave nothing behind."""
import socket

from fake import Rogue, error
from proxy import CACHE_SETTINGS
from pgwire import startup

NAMES = 10000
AT_ONCE = 100
# What the allocator may keep of a crowd. A small record for each name would be more.
KEPT_BYTES = 1000000


def ask(p, names):
    """Each in turn, so many at a time; every one is refused."""
    for i in range(0, len(names), AT_ONCE):
        crowd = []
        for name in names[i:i + AT_ONCE]:
            s = socket.create_connection(("127.0.0.1", p.port), 20)
            s.sendall(startup({"user": "app", "database": name}))
            crowd.append(s)
        for s in crowd:
            said = b""
            while chunk := s.recv(1000):
                said += chunk
            assert b"no such database" in said, said
            s.close()


def lists(p):
    return {r["list"]: int(r["items"]) for r in p.console("SHOW LISTS")}


def wait_forgotten(p, before):
    p.wait(lambda: all(lists(p)[what] == before[what] for what in ("databases", "pools", "users")),
           "the made-up names to be forgotten", timeout=20)


def test_memory(ctx):
    server = Rogue(error("3D000", "no such database"))  # it has none
    ctx.keep(server)
    p = ctx.proxy(databases={"*": {"host": "127.0.0.1", "port": server.port}, ctx.db: ctx.server()},
                  server_login_retry=0.2, worker_threads=1, max_client_conn=1000, server_tls_sslmode="disable")
    before = lists(p)
    ask(p, [f"first_{i}" for i in range(2000)])
    wait_forgotten(p, before)
    full = p.rss_bytes()
    ask(p, [f"made_up_{i}" for i in range(NAMES)])
    assert server.greeted >= NAMES, server.greeted
    wait_forgotten(p, before)
    if not ctx.sanitizer:
        p.wait(lambda: p.rss_bytes() - full < KEPT_BYTES, "the memory to be given back")
    assert "dropping database" not in p.log()
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_places_of_followed_databases(ctx):
    """There are 1,024 of them: only who is let in by a server takes one."""
    p = ctx.proxy(databases={"*": {"host": "127.0.0.1", "port": ctx.pg.port}}, **CACHE_SETTINGS)
    for i in range(3):
        assert p.refused(f"made_up_{i}").sqlstate == "3D000"
    assert p.console("SHOW INVALIDATION") == []
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
    followed = [r["database"] for r in p.console("SHOW INVALIDATION")]
    assert followed == [f"{ctx.db}@127.0.0.1:{ctx.pg.port}"], followed
