# SPDX-License-Identifier: Apache-2.0
"""The admin console and the HTTP port."""
import re

from cluster import free_port
from pgwire import query
from runner import Skip


def test_who_may(ctx):
    p = ctx.proxy(stats_users="app")
    assert p.console("SHOW VERSION")
    for user in ("app", "other"):
        try:
            with p.connect("pgbouncer", user) as c:
                assert user == "app", "other is neither admin nor stats user"
                assert c.query("SHOW POOLS").columns
                assert c.ask(query("SHUTDOWN")).errors
        except Exception as error:
            assert user == "other", error
    assert p.is_running()
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_show_pools(ctx):
    p = ctx.proxy(default_pool_size=2, hidden_code_check=0)  # a server that is asked is busy: another is opened
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("BEGIN")
    row = p.pool(ctx.db)
    assert row["cl_active"] == "2" or row["cl_active"] == "1", row
    assert row["sv_active"] == "1", row
    a.query("COMMIT")
    p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "1", "the server to be idle")
    columns = list(p.pool(ctx.db))
    assert columns[:4] == ["database", "user", "cl_active", "cl_waiting"], columns
    assert "maxwait" in columns and "pool_mode" in columns
    assert p.pool(ctx.db)["pool_mode"] == "transaction"


def test_unknown_command(ctx):
    p = ctx.proxy()
    with p.connect("pgbouncer", "console") as c:
        for sql in ("SELECT 1", "SHOW NONSENSE", "", "DROP TABLE x"):
            reply = c.ask(query(sql))
            assert reply.messages[-1].kind == "Z", sql
        assert c.query("SHOW VERSION").rows


def test_both_names(ctx):
    p = ctx.proxy()
    if not p.is_pgweir:
        raise Skip("our name is ours")
    with p.connect("pgweir", "console") as c:
        assert c.query("SHOW POOLS").columns[0] == "database"


def test_metrics(ctx):
    if "pgbouncer" in ctx.binary:
        raise Skip("PgBouncer has no HTTP port")
    p = ctx.cache_proxy(http_listen=f"127.0.0.1:{free_port()}")
    ctx.sql("CREATE TABLE t(i int PRIMARY KEY); INSERT INTO t VALUES (1); GRANT SELECT ON t TO PUBLIC")
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(20):
        c.query("SELECT i FROM t WHERE i = 1")
    status, text = p.http("/metrics")
    assert status == 200
    assert text.rstrip().endswith("# EOF"), text[-100:]
    for line in text.splitlines():
        assert line.startswith("#") or re.match(r'^[a-z_]+(\{[^}]*\})? -?[0-9.eE+-]+$', line), line
    assert re.search(r"^pgweir_cache_hits_total(\{[^}]*\})? [1-9]", text, re.M), text
    assert "pgweir_cache_bypass" in text, text
    assert p.http("/healthz")[0] == 200
    assert p.http("/readyz")[0] == 200
    assert p.http("/nothing")[0] == 404
