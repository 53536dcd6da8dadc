# SPDX-License-Identifier: Apache-2.0
"""Fifty clients with mixed protocols on few servers: every answer is its asker's own."""
import os
import random

from pgwire import PgError, bind, close, describe, execute, parse, query, sync, unit
from runner import limit

SECONDS = float(os.environ.get("IDENTITY_SECONDS", "4"))


def check_identity(ctx, cache=False, clients=50, **settings):
    import time
    ctx.sql("CREATE TABLE own(id int PRIMARY KEY, v text); GRANT ALL ON own TO PUBLIC;"
            "INSERT INTO own SELECT i, 'v' || i FROM generate_series(0, 999) i")
    options = {"default_pool_size": 6, "worker_threads": 2, **settings}
    p = ctx.cache_proxy(**options) if cache else ctx.proxy(**options)
    until = time.monotonic() + SECONDS

    def work(who):
        rng = random.Random(who)
        done = 0
        with p.connect(ctx.db, timeout=30, application_name=f"client-{who}") as c:
            while time.monotonic() < until:
                n = rng.randrange(1000000)
                tag = f"{who}-{n}"
                step(c, rng, who, n, tag)
                done += 1
        return done

    done = sum(t.result() for t in [ctx.thread(work, who) for who in range(clients)])
    ctx.note(f"{done} exchanges of {clients} clients")
    assert done > clients * 5


def step(c, rng, who, n, tag):
    kind = rng.randrange(13)
    if kind == 0:
        assert c.value(f"SELECT '{tag}'") == tag
    elif kind == 1:
        assert c.run("SELECT $1::text", [tag]).value == tag
    elif kind == 2:
        name = f"s{rng.randrange(5)}"
        c.ask(close("S", name) + parse(f"SELECT $1::text || '-{who}'", name) + sync()).check()
        assert c.ask(bind(name, [tag]) + execute() + sync()).check().value == f"{tag}-{who}"
    elif kind == 3:
        reply = c.ask(b"".join(unit("SELECT $1::int", [n + i]) for i in range(5)), times=5).check()
        assert [r[0] for r in reply.rows] == [str(n + i) for i in range(5)]
    elif kind == 4:
        c.query("BEGIN")
        pid = c.value("SELECT pg_backend_pid()")
        assert c.run("SELECT pg_backend_pid()").value == pid
        c.query("COMMIT" if n % 2 else "ROLLBACK")
    elif kind == 5:
        assert c.value("SHOW application_name") == f"client-{who}"
    elif kind == 6:
        reply = c.ask(unit("SELECT 1/($1::int * 0)", [n]) + unit("SELECT $1::text", [tag]), times=2)
        assert reply.sqlstate() == "22012" and reply.rows == [(tag,)]
    elif kind == 7:
        i = n % 1000
        assert c.run("SELECT v FROM own WHERE id = $1", [i]).value == f"v{i}"
    elif kind == 8:
        i = n % 1000
        assert c.value(f"SELECT v FROM own WHERE id = {i}") == f"v{i}"
    elif kind == 9:
        c.send(query(f"COPY (SELECT '{tag}' FROM generate_series(1, 20)) TO STDOUT"))
        data = b"".join(m.body for m in c.until_ready().check().messages if m.kind == "d")
        assert data == (tag + "\n").encode() * 20
    elif kind == 10:
        reply = c.ask(query(f"SELECT '{tag}'; SELECT {who}")).check()
        assert reply.rows == [(tag,), (str(who),)]
    elif kind == 11:
        rows = c.run("SELECT $1::text, i FROM generate_series(1, $2::int) i", [tag, 200]).rows
        assert len(rows) == 200 and all(r[0] == tag for r in rows)
    else:
        c.query("BEGIN")
        try:
            c.query("SELECT nope")
        except PgError as error:
            assert error.sqlstate == "42703"
        assert c.status == "E"
        c.query("ROLLBACK")


@limit(60)
def test_transaction_mode(ctx):
    check_identity(ctx)


@limit(60)
def test_few_statements_on_servers(ctx):
    check_identity(ctx, max_prepared_statements=5)


@limit(60)
def test_session_mode(ctx):
    check_identity(ctx, pool_mode="session", default_pool_size=60)


@limit(60)
def test_with_cache(ctx):
    check_identity(ctx, cache=True)


@limit(60)
def test_one_worker(ctx):
    check_identity(ctx, worker_threads=1)
