# SPDX-License-Identifier: Apache-2.0
"""Real client libraries. Each driver's program is tests/drivers/NAME_*.py (or .js, .java) and gets
host, port, database and user; it ends with status 0 and prints what it did. Those whose library is not
installed are skipped: `make test` and `make drivers` install what they can."""
import subprocess
import threading

import drivers
from runner import limit


class Neighbours:
    """Two clients with short transactions on the same servers, so that they change hands."""

    def __init__(self, ctx, p):
        self.ended = threading.Event()
        self.connections = [ctx.keep(p.connect(ctx.db, timeout=30, application_name=f"next door {n}")) for n in range(2)]
        self.threads = [ctx.thread(self.live, n, c) for n, c in enumerate(self.connections)]

    def live(self, n, c):
        while not self.ended.is_set():
            c.query("BEGIN")
            assert c.run("SELECT $1::text", [f"mine {n}"]).value == f"mine {n}"
            assert c.value("SHOW application_name") == f"next door {n}"
            c.query("COMMIT")
            self.ended.wait(0.001)

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.result()


def drive(ctx, p, program, argv=drivers.PYTHON):
    neighbours = Neighbours(ctx, p) if p.settings["pool_mode"] == "transaction" else None
    ctx.note(drivers.run(argv, program, p, ctx.db))
    if neighbours:
        neighbours.end()


def pooled(ctx, **options):
    return ctx.proxy(auth_type="scram-sha-256", default_pool_size=2, query_wait_timeout=20, **options)


@limit(90)
def test_psycopg2(ctx):
    drive(ctx, ctx.proxy(auth_type="scram-sha-256"), "psycopg2_basics.py")


@limit(90)
def test_psycopg2_session_mode(ctx):
    drive(ctx, ctx.proxy(auth_type="md5", pool_mode="session", default_pool_size=20), "psycopg2_basics.py")


@limit(90)
def test_psycopg2_with_cache(ctx):
    drive(ctx, ctx.cache_proxy(auth_type="scram-sha-256"), "psycopg2_basics.py")


@limit(90)
def test_psycopg3(ctx):
    drivers.need_module("psycopg")
    drive(ctx, pooled(ctx), "psycopg3_basics.py")


@limit(90)
def test_asyncpg(ctx):
    drivers.need_module("asyncpg")
    drive(ctx, pooled(ctx), "asyncpg_basics.py")


@limit(90)
def test_django(ctx):
    drivers.need_module("django")
    drive(ctx, pooled(ctx), "django_basics.py")


@limit(90)
def test_sqlalchemy(ctx):
    drivers.need_module("sqlalchemy")
    drive(ctx, pooled(ctx), "sqlalchemy_basics.py")


@limit(90)
def test_jdbc(ctx):
    drivers.need_jdbc()
    drive(ctx, pooled(ctx, ignore_startup_parameters="extra_float_digits"), "JdbcBasics.java", drivers.JAVA)


@limit(90)
def test_node_postgres(ctx):
    drivers.need_node_postgres()
    drive(ctx, pooled(ctx, ignore_startup_parameters="extra_float_digits"), "node_basics.js", drivers.NODE)


def known_to_the_database(ctx, method):
    """A proxy whose users file does not have `app`: an HBA line and auth_query let it in."""
    p = ctx.proxy(start=False, default_pool_size=2, query_wait_timeout=20, auth_type="hba", auth_user="postgres",
                  ignore_startup_parameters="extra_float_digits", users={n: f"{n}-secret" for n in ("postgres", "console")})
    p.settings["auth_hba_file"] = f"{p.directory}/hba"
    p._put(p.settings["auth_hba_file"], f"host all app 127.0.0.1/32 {method}\nhost all console all md5\n")
    p.users["app"] = "app-secret" # of those who come next door
    text, p.users = p.users, {n: f"{n}-secret" for n in ("postgres", "console")}
    p.write()
    p.users = text
    return p.start()


@limit(120)
def test_users_of_the_database(ctx):
    """By md5 (which is SCRAM, as the secret is), SCRAM, and in the clear; one library each."""
    ran = 0
    for method, program, argv, there in (
            ("scram-sha-256", "psycopg2_basics.py", drivers.PYTHON, True),
            ("md5", "node_basics.js", drivers.NODE, drivers.has_node_postgres()),
            ("scram-sha-256", "JdbcBasics.java", drivers.JAVA, drivers.has_jdbc())):
        if there:
            drive(ctx, known_to_the_database(ctx, method), program, argv)
            ran += 1
    ctx.note(f"{ran} libraries")


@limit(60)
def test_psql(ctx):
    p = ctx.proxy(auth_type="scram-sha-256")
    script = """\\set ON_ERROR_STOP 1
CREATE TABLE t(i int PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i;
\\copy t TO '/dev/null'
BEGIN; UPDATE t SET v = 'x'; ROLLBACK;
SELECT count(*) FROM t WHERE v = 'x' \\gset
\\if :count
  \\quit
\\endif
SELECT 'done' \\g
"""

    done = subprocess.run(["psql", "-X", "-At", "-h", "127.0.0.1", "-p", str(p.port), "-U", "app", ctx.db],
                          input=script, capture_output=True, text=True, timeout=50, check=False, env=drivers.ENVIRONMENT)
    assert done.returncode == 0 and "done" in done.stdout, done.stdout + done.stderr
