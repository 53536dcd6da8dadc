# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own pgbench through the proxy, without one error."""
import os
import re
import subprocess

from runner import limit

N = int(os.environ.get("PGBENCH_TRANSACTIONS", "40"))


def pgbench(ctx, p, *arguments, timeout=60):
    import cluster
    argv = [f"{ctx.pg.bindir}/pgbench", "-h", "127.0.0.1", "-p", str(p.port), "-U", "app", *arguments, ctx.db]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout * cluster.SLOWNESS, check=False,
                          env={**os.environ, "PGPASSWORD": "app-secret"})
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-2000:]
    assert not re.search(r"error|aborted|FATAL", output, re.I) or "failed transactions: 0 (" in output, output[-2000:]
    return output


def tps(output):
    return re.search(r"tps = ([\d.]+)", output).group(1).split(".")[0]


def prepare(ctx, **settings):
    options = {"default_pool_size": 20, "max_client_conn": 1200, **settings}
    p = ctx.cache_proxy(**options) if settings.get("cache") == "on" else ctx.proxy(**options)
    pgbench(ctx, p, "-i", "-s", "1", "-q")
    return p


def threads(protocol, clients):
    """pgbench prepares synchronously: a thread that waits there for a server connection cannot go on
    with its other clients, who hold them all in their transactions. So with -M prepared and more
    clients than servers, each client of a script with transactions gets a thread of its own."""
    return str(clients) if protocol == "prepared" else "2"


def check_all(ctx, p):
    for protocol in ("simple", "extended", "prepared"):
        reads = pgbench(ctx, p, "-S", "-n", "-M", protocol, "-c", "30", "-j", "2", "-t", str(N))
        writes = pgbench(ctx, p, "-n", "-M", protocol, "-c", "30", "-j", threads(protocol, 30), "-t", str(max(5, N // 4)))
        ctx.note(f"{protocol}: {tps(reads)} reads/s, {tps(writes)} tpc-b/s")
    check_sums(ctx)


def check_sums(ctx):
    """TPC-B's own invariant: every delta is in all four tables."""
    sums = ctx.sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),"
                   "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)")[0]
    assert len(set(sums)) == 1, sums


@limit(90)
def test_pool(ctx):
    check_all(ctx, prepare(ctx))


@limit(90)
def test_session_mode(ctx):
    check_all(ctx, prepare(ctx, pool_mode="session", default_pool_size=40))


@limit(90)
def test_cache(ctx):
    check_all(ctx, prepare(ctx, cache="on"))


def write_with_thousand(ctx, p):
    for protocol in ("simple", "extended", "prepared"):
        out = pgbench(ctx, p, "-n", "-M", protocol, "-c", "1000", "-j", threads(protocol, 1000), "-t", "1", timeout=50)
        ctx.note(f"{protocol}: {tps(out)} tpc-b/s")
    check_sums(ctx)


@limit(120)
def test_thousand_clients(ctx):
    """1,000 clients on 20 server connections."""
    p = prepare(ctx)
    for protocol in ("simple", "prepared"):
        out = pgbench(ctx, p, "-S", "-n", "-M", protocol, "-c", "1000", "-j", "2", "-t", "5", timeout=100)
        ctx.note(f"{protocol}: {tps(out)} reads/s")
    write_with_thousand(ctx, p)
    servers = int(ctx.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{ctx.db}' AND usename = 'app'")[0][0])
    assert servers <= 20, servers


@limit(120)
def test_thousand_clients_with_cache(ctx):
    p = prepare(ctx, cache="on")
    for protocol in ("simple", "prepared"):
        out = pgbench(ctx, p, "-S", "-n", "-M", protocol, "-c", "1000", "-j", "2", "-t", "5", timeout=100)
        ctx.note(f"{protocol}: {tps(out)} reads/s")
    write_with_thousand(ctx, p)
