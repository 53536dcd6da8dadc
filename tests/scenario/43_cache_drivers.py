# SPDX-License-Identifier: Apache-2.0
"""Drivers and ORMs that open a transaction for every read, as they do by default: their reads hit, and their
transactions need no server. tests/drivers/NAME_transactions.* reads and says how often."""
import os
import shutil
import subprocess

from runner import ROOT, Skip, limit

JDBC = "/usr/share/java/postgresql.jar"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
    "PGPASSWORD": "app-secret", "NODE_PATH": os.environ.get("NODE_PATH", "/usr/share/nodejs")}
ROUNDS = 100


def figures(ctx, p):
    stats, = (r for r in p.console("SHOW STATS") if r["database"] == ctx.db)
    return p.cache()["hits"], int(stats["total_server_assignment_count"])


def drive(ctx, program, argv=("/usr/bin/python3",), **settings):
    """Nine of ten reads hit, and hardly a transaction takes a server: each connection's first ones do."""
    ctx.sql("CREATE TABLE rd(id int PRIMARY KEY, v text); GRANT SELECT ON rd TO app;"
            "INSERT INTO rd SELECT i, 'value ' || i FROM generate_series(1, 10) i")
    p = ctx.cache_proxy(auth_type="scram-sha-256", ignore_startup_parameters="extra_float_digits", max_staleness="2s", **settings)
    with p.connect(ctx.db) as c:  # its catalog is read
        ctx.wait_hit(p, lambda: c.query("SELECT id FROM rd WHERE id = 1"))
    hits, servers = figures(ctx, p)
    done = subprocess.run([*argv, f"{ROOT}/tests/drivers/{program}", "127.0.0.1", str(p.port), ctx.db, "app", str(ROUNDS)],
                          capture_output=True, text=True, timeout=80, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    said = done.stdout.strip().splitlines()[-1]
    reads = int(said.split()[0])
    now_hits, now_servers = figures(ctx, p)
    hits, servers = now_hits - hits, now_servers - servers
    ctx.note(f"{said}: {hits:.0f} hits, {servers} servers taken")
    assert hits >= 0.9 * reads, (hits, reads, {k: v for k, v in p.cache().items() if k.startswith("bypass") and v})
    if p.settings["pool_mode"] == "transaction":
        assert servers <= 0.1 * reads, (servers, reads)


def module(name):
    if subprocess.run(["/usr/bin/python3", "-c", f"import {name}"], capture_output=True, check=False).returncode:
        raise Skip(f"no {name}: make drivers")


@limit(90)
def test_psycopg2(ctx):
    drive(ctx, "psycopg2_transactions.py")


@limit(90)
def test_psycopg2_session_mode(ctx):
    drive(ctx, "psycopg2_transactions.py", pool_mode="session")


@limit(90)
def test_psycopg3(ctx):
    module("psycopg")
    drive(ctx, "psycopg3_transactions.py")


@limit(90)
def test_asyncpg(ctx):
    module("asyncpg")
    drive(ctx, "asyncpg_transactions.py")


@limit(90)
def test_django(ctx):
    module("django")
    drive(ctx, "django_transactions.py")


@limit(90)
def test_sqlalchemy(ctx):
    module("sqlalchemy")
    drive(ctx, "sqlalchemy_transactions.py")


@limit(90)
def test_jdbc(ctx):
    if not os.path.exists(JDBC) or not shutil.which("javac"):
        raise Skip("no pgjdbc: make drivers")
    drive(ctx, "JdbcTransactions.java", ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JDBC))


@limit(90)
def test_node_postgres(ctx):
    node = shutil.which("node")
    if not node or subprocess.run([node, "-e", "require('pg')"], capture_output=True, check=False, env=ENVIRONMENT).returncode:
        raise Skip("no node-postgres: make drivers")
    drive(ctx, "node_transactions.js", (node,))
