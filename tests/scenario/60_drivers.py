# SPDX-License-Identifier: Apache-2.0
"""Real client libraries. Each driver's program is tests/drivers/NAME_*.py (or .js, .java) and gets
host, port, database and user; it ends with status 0 and prints what it did. Those whose library is not
installed are skipped: `make test` and `make drivers` install what they can."""
import os
import shutil
import subprocess
import threading

from runner import ROOT, Skip, limit

JDBC = "/usr/share/java/postgresql.jar"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {
    "PGPASSWORD": "app-secret", "NODE_PATH": f"/usr/share/nodejs:{ROOT}/build/node/node_modules"}


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


def drive(ctx, p, program, argv=("/usr/bin/python3",)):
    neighbours = Neighbours(ctx, p) if p.settings["pool_mode"] == "transaction" else None
    done = subprocess.run([*argv, f"{ROOT}/tests/drivers/{program}", "127.0.0.1", str(p.port), ctx.db, "app"],
                          capture_output=True, text=True, timeout=80, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    ctx.note(done.stdout.strip().splitlines()[-1])
    if neighbours:
        neighbours.end()


def module(name):
    if subprocess.run(["/usr/bin/python3", "-c", f"import {name}"], capture_output=True, check=False).returncode:
        raise Skip(f"no {name}: make drivers")


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
    module("psycopg")
    drive(ctx, pooled(ctx), "psycopg3_basics.py")


@limit(90)
def test_asyncpg(ctx):
    module("asyncpg")
    drive(ctx, pooled(ctx), "asyncpg_basics.py")


@limit(90)
def test_django(ctx):
    module("django")
    drive(ctx, pooled(ctx), "django_basics.py")


@limit(90)
def test_sqlalchemy(ctx):
    module("sqlalchemy")
    drive(ctx, pooled(ctx), "sqlalchemy_basics.py")


@limit(90)
def test_jdbc(ctx):
    if not os.path.exists(JDBC) or not shutil.which("javac"):
        raise Skip("no pgjdbc: make drivers")
    drive(ctx, pooled(ctx, ignore_startup_parameters="extra_float_digits"), "JdbcBasics.java",
          ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JDBC))


@limit(90)
def test_node_postgres(ctx):
    node = shutil.which("node")
    if not node or subprocess.run([node, "-e", "require('pg')"], capture_output=True, check=False, env=ENVIRONMENT).returncode:
        raise Skip("no node-postgres: make drivers")
    drive(ctx, pooled(ctx, ignore_startup_parameters="extra_float_digits"), "node_basics.js", (node,))


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
            ("scram-sha-256", "psycopg2_basics.py", ("/usr/bin/python3",), True),
            ("md5", "node_basics.js", ("node",), shutil.which("node") and not subprocess.run(
                ["node", "-e", "require('pg')"], capture_output=True, check=False, env=ENVIRONMENT).returncode),
            ("scram-sha-256", "JdbcBasics.java", ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", JDBC),
             os.path.exists(JDBC) and shutil.which("javac"))):
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
                          input=script, capture_output=True, text=True, timeout=50, check=False, env=ENVIRONMENT)
    assert done.returncode == 0 and "done" in done.stdout, done.stdout + done.stderr
