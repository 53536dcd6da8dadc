# SPDX-License-Identifier: Apache-2.0
"""Drivers and ORMs that open a transaction for every read, as they do by default: their reads hit, and their
transactions need no server. tests/drivers/NAME_transactions.* reads and says how often."""
import drivers
from runner import limit

ROUNDS = 100


def figures(ctx, p):
    stats, = (r for r in p.console("SHOW STATS") if r["database"] == ctx.db)
    return p.cache()["hits"], int(stats["total_server_assignment_count"])


def drive(ctx, program, argv=drivers.PYTHON, **settings):
    """Nine of ten reads hit, and hardly a transaction takes a server: each connection's first ones do."""
    ctx.sql("CREATE TABLE rd(id int PRIMARY KEY, v text); GRANT SELECT ON rd TO app;"
            "INSERT INTO rd SELECT i, 'value ' || i FROM generate_series(1, 10) i")
    p = ctx.cache_proxy(auth_type="scram-sha-256", ignore_startup_parameters="extra_float_digits", max_staleness="2s", **settings)
    with p.connect(ctx.db) as c:  # its catalog is read
        ctx.wait_hit(p, lambda: c.query("SELECT id FROM rd WHERE id = 1"))
    hits, servers = figures(ctx, p)
    said = drivers.run(argv, program, p, ctx.db, str(ROUNDS))
    reads = int(said.split()[0])
    now_hits, now_servers = figures(ctx, p)
    hits, servers = now_hits - hits, now_servers - servers
    ctx.note(f"{said}: {hits:.0f} hits, {servers} servers taken")
    assert hits >= 0.9 * reads, (hits, reads, {k: v for k, v in p.cache().items() if k.startswith("bypass") and v})
    if p.settings["pool_mode"] == "transaction":
        assert servers <= 0.1 * reads, (servers, reads)


@limit(90)
def test_psycopg2(ctx):
    drive(ctx, "psycopg2_transactions.py")


@limit(90)
def test_psycopg2_session_mode(ctx):
    drive(ctx, "psycopg2_transactions.py", pool_mode="session")


@limit(90)
def test_psycopg3(ctx):
    drivers.need_module("psycopg")
    drive(ctx, "psycopg3_transactions.py")


@limit(90)
def test_asyncpg(ctx):
    drivers.need_module("asyncpg")
    drive(ctx, "asyncpg_transactions.py")


@limit(90)
def test_django(ctx):
    drivers.need_module("django")
    drive(ctx, "django_transactions.py")


@limit(90)
def test_sqlalchemy(ctx):
    drivers.need_module("sqlalchemy")
    drive(ctx, "sqlalchemy_transactions.py")


@limit(90)
def test_jdbc(ctx):
    drivers.need_jdbc()
    drive(ctx, "JdbcTransactions.java", drivers.JAVA)


@limit(90)
def test_node_postgres(ctx):
    drivers.need_node_postgres()
    drive(ctx, "node_transactions.js", drivers.NODE)
