# SPDX-License-Identifier: Apache-2.0
"""What the cache keeps, and the memory it takes."""
from runner import limit

READ = "SELECT v FROM big WHERE id = $1"


def table(ctx, cache_admission="all", **options):
    p = ctx.cache_proxy(cache_admission=cache_admission, **options)
    ctx.sql("CREATE TABLE big(id int PRIMARY KEY, v text); GRANT ALL ON big TO app;"
            "INSERT INTO big SELECT i, repeat('x', 2000) FROM generate_series(1, 3000) i")
    c = ctx.keep(p.connect(ctx.db))
    c.run(READ, [1])
    ctx.wait_hit(p, lambda: c.run(READ, [2]))
    return p, c


def read(c, ids):
    for i in ids:
        assert len(c.run(READ, [i]).value) == 2000


@limit(90)
def test_budget_is_reloaded(ctx):
    p, c = table(ctx, cache_size="16M")
    read(c, range(1, 3001))
    full = p.cache()
    assert full["entries"] > 2900 and full["bytes"] <= full["budget_bytes"] == 16 << 20, full
    has_arena = full["resident_bytes"] > 0  # not under a sanitizer
    if has_arena:
        assert 0 < full["arena_bytes"] <= full["resident_bytes"], full
    p.reload(cache_size="1M")
    small = p.cache()
    assert small["bytes"] <= small["budget_bytes"] == 1 << 20 and 50 < small["entries"] < 600, small
    if has_arena:  # given back to the system
        assert small["resident_bytes"] < full["resident_bytes"] / 2, (small, full)
    read(c, range(1, 501))
    assert p.cache()["bytes"] <= 1 << 20
    p.reload(cache_size="16M")
    read(c, range(1, 3001))
    assert p.cache()["entries"] > 2900, p.cache()


def test_costly_replies_stay(ctx):
    """A thousand cheap rows pass by; what took the server long is still there."""
    p, c = table(ctx, cache_size="1M")
    slow = "SELECT count(*), sum(a.id) FROM big a, big b WHERE a.id % 7 = b.id % 11 AND b.id < 1000"
    want = c.query(slow).check().rows
    read(c, range(1, 1501))
    assert p.cache()["evictions"] > 500, p.cache()
    assert ctx.hits(p, lambda: c.query(slow)) == 1
    assert c.query(slow).rows == want


def test_large_budget(ctx):
    """A store of many shards, made smaller while it runs."""
    p, c = table(ctx, cache_size="8G")
    read(c, range(1, 1001))
    assert p.cache()["entries"] > 990, p.cache()
    assert ctx.hits(p, lambda: read(c, range(1, 1001))) > 990
    p.reload(cache_size="16M")
    read(c, range(1, 1001))
    assert p.cache()["budget_bytes"] == 16 << 20 and p.cache()["bytes"] <= 16 << 20
    assert ctx.hits(p, lambda: read(c, range(1, 1001))) > 800, p.cache()


@limit(90)
def test_what_is_read_again_stays(ctx):
    p, c = table(ctx, cache_size="1M")
    for _ in range(16):  # so often that it counts for more than what a busy machine makes of the time that each took
        read(c, range(1, 51))
    read(c, range(1000, 2500))  # a scan
    assert ctx.hits(p, lambda: read(c, range(1, 51))) >= 45, p.cache()


def test_what_nobody_asks_again_is_not_kept(ctx):
    """Of a form of which nothing comes again; the second time it is. (Now and then one goes around the cache.)"""
    p, c = table(ctx, cache_admission="learnt", worker_threads=1)

    def stores(ids, hint=""):
        before = p.cache()["stores"]
        for i in ids:
            c.run(hint + READ, [i])
        return p.cache()["stores"] - before
    assert stores(range(3, 513)) > 480
    assert stores(range(513, 1000)) < 60
    assert p.cache()["not_kept"] > 400
    assert stores(range(600, 1000)) > 350
    assert ctx.hits(p, lambda: [c.run(READ, [i]) for i in range(600, 1000)]) > 370
    told = [c.run("/* pgweir: explain */ " + READ, [i]).notices[0]["M"] for i in range(1000, 1600)]
    assert "is stored" in " ".join(told[:5]), told[:5]
    assert "is not stored: others like it are hardly ever asked for again; it depends on" in " ".join(told[-5:]), told[-5:]
    # Another form is another matter.
    assert stores(range(1000, 1100), "/* another */ ") > 90
    p.reload(cache_admission="all")
    assert stores(range(2100, 2200)) > 90

