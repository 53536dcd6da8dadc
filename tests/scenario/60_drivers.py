# SPDX-License-Identifier: Apache-2.0
"""Real client libraries. Each driver's program is tests/drivers/NAME_*.py and gets host, port,
database and user; it ends with status 0 and prints what it did."""
import os
import subprocess

from runner import ROOT, limit


def drive(ctx, p, program):
    done = subprocess.run(["/usr/bin/python3", f"{ROOT}/tests/drivers/{program}", "127.0.0.1", str(p.port), ctx.db, "app"],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"PGPASSWORD": "app-secret"})
    assert done.returncode == 0, done.stdout + done.stderr
    ctx.note(done.stdout.strip().splitlines()[-1])


@limit(90)
def test_psycopg2(ctx):
    drive(ctx, ctx.proxy(auth_type="scram-sha-256"), "psycopg2_basics.py")


@limit(90)
def test_psycopg2_session_mode(ctx):
    drive(ctx, ctx.proxy(auth_type="md5", pool_mode="session"), "psycopg2_basics.py")


@limit(90)
def test_psycopg2_with_cache(ctx):
    drive(ctx, ctx.cache_proxy(auth_type="scram-sha-256"), "psycopg2_basics.py")


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
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"PGPASSWORD": "app-secret"}
    done = subprocess.run(["psql", "-X", "-At", "-h", "127.0.0.1", "-p", str(p.port), "-U", "app", ctx.db],
                          input=script, capture_output=True, text=True, timeout=50, check=False, env=env)
    assert done.returncode == 0 and "done" in done.stdout, done.stdout + done.stderr
