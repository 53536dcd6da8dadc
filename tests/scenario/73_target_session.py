# SPDX-License-Identifier: Apache-2.0
"""target_session_attrs: of several hosts the ones that are what the line asks for, now and after a promotion."""
import contextlib

import cluster as pg
from pgwire import query


@contextlib.contextmanager
def standby(ctx):
    """A server in hot standby that follows nobody, beside the test's own one: same port, another socket directory."""
    other = pg.Cluster(pg.server_directory(ctx.build, "standby"))
    other.port = ctx.pg.port
    try:
        other.create()
        with open(f"{other.data}/postgresql.conf", "a", encoding="utf-8") as f:
            f.write("listen_addresses = ''\n")
        other.start().make_roles()
        other.sql(f"CREATE DATABASE {ctx.db}")
        other.stop()
        with open(f"{other.data}/standby.signal", "w", encoding="utf-8"):
            pass
        pg.give(f"{other.data}/standby.signal")
        yield other.start()
    finally:
        other.remove()


def line(ctx, *clusters, **options):
    return {ctx.db: ctx.server(host=",".join(c.directory for c in clusters), **options)}


def recovering(ctx, p, connections=2):
    """What the servers of so many clients at once say of themselves."""
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(connections)]
    for c in clients:
        c.query("BEGIN")
    said = {c.value("SELECT pg_is_in_recovery()") for c in clients}
    for c in clients:
        c.close()
    return said


def test_of_two_hosts(ctx):
    with standby(ctx) as other:
        for hosts in ((ctx.pg, other), (other, ctx.pg)):
            for target, said in (("any", {"t", "f"}), ("read-write", {"f"}), ("primary", {"f"}), ("read-only", {"t"}),
                                 ("standby", {"t"})):
                p = ctx.proxy(databases=line(ctx, *hosts, target_session_attrs=target))
                assert recovering(ctx, p) == said, (target, said)
                p.stop()
        # Also where one host is kept to.
        p = ctx.proxy(databases=line(ctx, other, ctx.pg, target_session_attrs="primary", load_balance_hosts="disable"))
        assert recovering(ctx, p, 3) == {"f"}
        assert p.log().count("closing because: server is in hot standby mode") == 1, p.log()


def test_none_does(ctx):
    """As with a server that cannot be reached: clients wait, and the log says why."""
    p = ctx.proxy(databases={ctx.db: ctx.server(target_session_attrs="standby")}, query_wait_timeout=0.5)
    assert "query_wait_timeout" in str(p.refused(ctx.db))
    assert "closing because: server is not in hot standby mode" in p.log()


def test_read_only_by_a_default(ctx):
    ctx.sql(f"ALTER DATABASE {ctx.db} SET default_transaction_read_only = on")
    p = ctx.proxy(databases={ctx.db: ctx.server(target_session_attrs="read-write"),
                             "first": ctx.server(target_session_attrs="primary"),
                             "reads": ctx.server(target_session_attrs="read-only")}, query_wait_timeout=0.5)
    assert "query_wait_timeout" in str(p.refused(ctx.db))
    assert "closing because: session is read-only" in p.log()
    for name in ("first", "reads"):
        assert ctx.keep(p.connect(name)).value("SELECT 1") == "1"


def test_read_only_by_its_client(ctx):
    """What a session sets for itself (JDBC's setReadOnly) says nothing of the server."""
    p = ctx.proxy(databases={ctx.db: ctx.server(target_session_attrs="read-write")}, default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    server = c.value("SELECT pg_backend_pid()")
    c.query("SET default_transaction_read_only = on")
    for _ in range(3):
        assert c.value("SHOW default_transaction_read_only") == "on"
        assert c.value("SELECT pg_backend_pid()") == server
    other = ctx.keep(p.connect(ctx.db))
    assert other.value("SHOW default_transaction_read_only") == "off"
    assert other.value("SELECT pg_backend_pid()") == server


def test_promoted(ctx):
    """Who waits for a primary has it once there is one; what was a standby is not used as one any more."""
    with standby(ctx) as other:
        p = ctx.proxy(databases=line(ctx, other, target_session_attrs="standby")
                      | {"rw": ctx.server(host=other.directory, target_session_attrs="read-write")},
                      server_login_retry=0.1, worker_threads=1, default_pool_size=1)
        reader = ctx.keep(p.connect(ctx.db))
        assert reader.value("SELECT pg_is_in_recovery()") == "t"
        writer = ctx.thread(lambda: ctx.keep(p.connect("rw", timeout=30)))
        p.wait_log("rw/app@.*closing because: session is read-only")
        other.sql("SELECT pg_promote()")
        assert writer.result().value("SELECT pg_is_in_recovery()") == "f"
        assert reader.value("SELECT pg_is_in_recovery()") == "f"  # a server tells of it with an answer
        reader.send(query("SELECT 1"))
        p.wait_log("closing because: server is not in hot standby mode")


def test_a_bad_word(ctx):
    p = ctx.proxy(start=False, databases={ctx.db: ctx.server(target_session_attrs="leader")})
    p.expect_failure = True
    p.spawn()
    assert p.wait_end() == 1
    assert "invalid target_session_attrs: leader" in p.log()
