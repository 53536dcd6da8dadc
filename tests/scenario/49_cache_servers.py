# SPDX-License-Identifier: Apache-2.0
"""Where connections of one name lead to several servers: nothing is served of one that is not followed."""
from cluster import another
from pgwire import query
from proxy import CACHE_SETTINGS
from relay import Relay
from runner import limit

READ = "SELECT n FROM t WHERE id = 1"
SETUP = ("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, {n}), (2, {n}); GRANT ALL ON t TO PUBLIC;"
         "CREATE TABLE warm(id int PRIMARY KEY); GRANT ALL ON warm TO PUBLIC")


def begin(ctx, **settings):
    ctx.sql(SETUP.format(n=10))
    relay = ctx.keep(Relay(ctx.pg.port))
    return relay, ctx.proxy({ctx.db: ctx.server(port=relay.port)}, **{**CACHE_SETTINGS, **settings})


def state(p):
    row, = p.console("SHOW INVALIDATION")
    return row["state"], row["reason"]


def is_off(p):
    return state(p)[0] != "following" and "leads to another server" in state(p)[1]


@limit(60)
def test_data_elsewhere(ctx):
    """From the first: nothing is kept, nothing is served, and it is said why."""
    relay, p = begin(ctx, start=False)
    with another(ctx, ctx.db, SETUP.format(n=20)) as other:
        relay.lead("data", other.port)
        p.start()
        c = ctx.keep(p.connect(ctx.db))
        assert c.value(READ) == "20"
        p.wait(lambda: is_off(p), "the reason")
        for n in range(21, 40):
            other.sql(f"UPDATE t SET n = {n}", database=ctx.db)
            assert c.value(READ) == str(n)
        assert p.cache()["hits"] == 0
        p.wait_log("connections lead to another server than the one that is followed")


@limit(60)
def test_some_go_elsewhere(ctx):
    """A failover that the control connection has not noticed: what was filled before is not served to anybody once a
    client was led elsewhere, not even before its first answer; when all is one again, hits are back."""
    relay, p = begin(ctx, default_pool_size=4)
    with another(ctx, ctx.db, SETUP.format(n=20)) as other:
        here = ctx.keep(p.connect(ctx.db))
        assert ctx.wait_hit(p, lambda: here.value(READ)) == "10"
        here.query("BEGIN; SELECT 1")  # its server stays
        relay.lead("data", other.port)
        p.console(f"RECONNECT {ctx.db}")  # none is idle any more
        there = ctx.keep(p.connect(ctx.db))
        there.query("BEGIN; UPDATE t SET n = 21; COMMIT")
        hits = p.cache()["hits"]
        assert there.value(READ) == "21"
        p.wait(lambda: is_off(p), "the reason")
        for _ in range(20):
            assert there.value(READ) == "21"
        assert p.cache()["hits"] == hits
        here.query("COMMIT")
        # The control connections go there as well, and the last one to the old server ends.
        relay.lead("control", other.port)
        relay.lead("stream", other.port)
        p.console(f"RECONNECT {ctx.db}")
        relay.cut("control", "stream")
        assert ctx.wait_hit(p, lambda: there.value(READ)) == "21"
        other.sql("UPDATE t SET n = 22", database=ctx.db)
        p.wait(lambda: there.value(READ) == "22", "the new row")
        assert here.value(READ) == "22"


@limit(60)
def test_server_restarted(ctx):
    """The same server, and yet another: sessions of before are gone, and hits come back."""
    relay, p = begin(ctx)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.value(READ))
    ctx.pg.stop()
    ctx.pg.start()
    p.wait(lambda: not c.ask(query("SELECT 1")).errors, "a server")
    ctx.wait_hit(p, lambda: c.value(READ))
    assert "another server" not in p.log()
