# SPDX-License-Identifier: Apache-2.0
"""SHOW QUERIES: what queries cost, by their text without constants; only while track_queries is on."""
from pgwire import bind, describe, execute, parse, query, sync

COLUMNS = "database calls rows total_time max_time wait_time hits hit_percent query".split()


def queries(p):
    return {r["query"]: r for r in p.console("SHOW QUERIES")}


def row(p, part):
    found = [r for text, r in queries(p).items() if part in text]
    assert len(found) == 1, (part, list(queries(p)))
    return found[0]


def test_simple(ctx):
    p = ctx.proxy(track_queries=100, worker_threads=2)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(2)]
    for n in range(10):
        for c in clients:
            c.query(f"SELECT generate_series(1, {n}), 'secret {n}'")
    clients[0].query("SELECT pg_sleep(1)")
    one = row(p, "generate_series")
    assert list(one) == COLUMNS
    assert (one["database"], one["calls"], one["rows"], one["hits"]) == (ctx.db, "20", "90", "0"), one
    assert "secret" not in one["query"], one
    slow = row(p, "pg_sleep")
    assert 1000000 <= int(slow["total_time"]) < 20000000 and slow["total_time"] == slow["max_time"], slow
    assert list(queries(p))[0] == slow["query"], "the costliest first"
    # Several statements are one call; an error is none; rows of writes count.
    c = clients[0]
    c.query("CREATE TEMP TABLE t(i int); INSERT INTO t SELECT generate_series(1, 3)")
    assert c.ask(query("SELECT nonsense")).errors
    several = row(p, "CREATE TEMP TABLE")
    assert several["calls"] == "1" and several["rows"] == "3", several
    assert not any("nonsense" in text for text in queries(p))


def test_extended(ctx):
    p = ctx.proxy(track_queries=100)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT $1::int + 1", "a") + sync()).check()
    for _ in range(3):
        c.ask(bind("a", (5,)) + describe() + execute() + sync()).check()
    c.run("SELECT 'unnamed'")
    # A pipeline: each has its own time.
    c.ask(parse("SELECT pg_sleep(0.5)") + bind() + execute() + bind("a", (1,)) + execute() + sync()).check()
    assert row(p, "+ ?")["calls"] == "4" and row(p, "+ ?")["rows"] == "4", queries(p)
    assert int(row(p, "+ ?")["max_time"]) < 450000, queries(p)
    assert int(row(p, "pg_sleep")["total_time"]) >= 450000, queries(p)
    assert [r["calls"] for text, r in queries(p).items() if text == "SELECT ?"] == ["1"], queries(p)


def test_wait(ctx):
    p = ctx.proxy(track_queries=100, default_pool_size=1)
    holder, c = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    holder.query("BEGIN")
    c.send(query("SELECT 'waited'::text"))
    p.wait(lambda: int((p.pool(ctx.db) or {}).get("maxwait_us", 0)) > 20000, "a wait")
    holder.query("COMMIT")
    c.until_ready().check()
    waited = row(p, "::text")
    assert int(waited["wait_time"]) > 20000 > int(waited["total_time"]), waited
    c.query("SELECT 'waited'::text")
    assert row(p, "::text")["wait_time"] == waited["wait_time"]
    # Of what is sent together, the first has waited.
    holder.query("BEGIN")
    c.send(query("START TRANSACTION") + query("SELECT 'waited'::text") + query("COMMIT"))
    p.wait(lambda: int((p.pool(ctx.db) or {}).get("maxwait_us", 0)) > 20000, "a wait")
    holder.query("COMMIT")
    c.until_ready(3).check()
    assert int(row(p, "START TRANSACTION")["wait_time"]) > 20000, queries(p)
    assert row(p, "::text")["wait_time"] == waited["wait_time"], queries(p)


def test_hits(ctx):
    p = ctx.cache_proxy(track_queries=100)
    ctx.sql("CREATE TABLE t(i int PRIMARY KEY); INSERT INTO t VALUES (1); GRANT SELECT ON t TO PUBLIC")
    c = ctx.keep(p.connect(ctx.db))

    before = p.cache()["hits"]

    def hit():
        c.query("SELECT i FROM t WHERE i = 1")
        return p.cache()["hits"] >= before + 5

    p.wait(hit, "hits")
    one = row(p, "FROM t")
    assert int(one["hits"]) == p.cache()["hits"] - before, (one, before)
    assert int(one["hit_percent"]) == int(one["hits"]) * 100 // int(one["calls"]), one


def test_bounded(ctx):
    """What was not used for long makes room; what is used stays."""
    p = ctx.proxy(track_queries=10, worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    for n in range(50):
        c.query(f"SELECT 1 AS name{chr(97 + n % 26)}{chr(97 + n // 26)}")
        c.query("SELECT 2 AS often")
    found = queries(p)
    assert len(found) == 10, list(found)
    assert row(p, "often")["calls"] == "50", found


def test_on_and_off(ctx):
    p = ctx.proxy(worker_threads=2)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1 AS before")
    assert queries(p) == {}
    admin = ctx.keep(p.connect("pgbouncer", "console"))
    running = ctx.keep(p.connect(ctx.db))
    for i, size in enumerate((100, 0, 50, 100, 0)):
        # What is under way while the table changes is counted nowhere, or rightly.
        running.send(parse(f"SELECT pg_sleep(0.02) AS era{size}x") + bind() + execute() + sync())
        admin.query(f"SET track_queries = {size}")
        running.until_ready().check()
        p.wait(lambda name="now" + "abcde"[i], on=size > 0: has(p, c, name) == on, "the new table")
    assert queries(p) == {}


def has(p, c, name):
    c.query(f"SELECT 1 AS {name}")
    return any(name in text for text in queries(p))
