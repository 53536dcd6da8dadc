# SPDX-License-Identifier: Apache-2.0
"""Where connections of one name lead to several servers: nothing is served of one that is not followed."""
import time

from cluster import another, standby
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


# ---- a standby that takes over

BOUND = 0.25
UNSEEN = "SELECT n FROM t WHERE id = 2"


def seen_in_time(c, n):
    """A direct write that was just acknowledged: the old row at most within the bound."""
    written = time.monotonic()
    while True:
        began = time.monotonic()
        row = int(c.value(READ))
        if row == n:
            return
        assert began - written <= BOUND and row < 1000, f"{began - written:.3f} s after {n} was written, {row}"


class Failover:
    """The name leads to a standby. Of its timeline nothing that the old primary has alone is ever shown; and in the end it
    is followed."""

    def __init__(self, ctx, other):
        self.ctx, self.other, self.n = ctx, other, 20

    def begin(self):
        self.relay, self.p = begin(self.ctx, server_login_retry=0.2, query_wait_timeout=20)
        c = self.client()
        self.replayed(11)
        self.p.wait(lambda: c.value(READ) == "11", "the new row")
        assert self.ctx.wait_hit(self.p, lambda: c.value(READ)) == "11"
        assert self.ctx.wait_hit(self.p, lambda: c.value(UNSEEN)) == "10"

    def client(self):
        return self.ctx.keep(self.p.connect(self.ctx.db))

    def replayed(self, n):
        self.ctx.sql(f"UPDATE t SET n = {n} WHERE id = 1")
        (written,), = self.ctx.sql("SELECT pg_current_wal_insert_lsn()")
        self.p.wait(lambda: self.other.sql(f"SELECT pg_last_wal_replay_lsn() >= '{written}'") == [("t",)], "the standby")

    def lead(self):
        for kind in ("data", "control", "stream"):
            self.relay.lead(kind, self.other.port)
        self.relay.cut("data", "control", "stream")
        self.p.wait(lambda: not self.client().ask(query("SELECT 1")).errors, "a server")

    def promote(self):
        """And a write that no stream tells of: it is not followed yet."""
        self.other.promote()
        self.other.sql("UPDATE t SET n = 77 WHERE id = 2", database=self.ctx.db)

    def write(self):
        """By each of the two: numbers from 1000 on are the old primary's."""
        self.n += 1
        self.ctx.sql(f"UPDATE t SET n = {1000 + self.n} WHERE id = 1")
        self.other.sql(f"UPDATE t SET n = {self.n} WHERE id = 1", database=self.ctx.db)

    def goes_on(self):
        """From the first statement on, until hits are back, and then."""
        c, p = self.client(), self.p

        def hit():
            self.write()
            return self.ctx.hits(p, lambda: seen_in_time(c, self.n) or c.value(READ))
        p.wait(hit, "a hit")
        assert state(p) == ("following", "") and c.value(UNSEEN) == "77"
        for _ in range(20):
            assert self.ctx.wait_hit(p, lambda: c.value(READ)) == str(self.n)
            self.write()
            seen_in_time(c, self.n)
            self.n += 1
            c.query(f"UPDATE t SET n = {self.n} WHERE id = 1")
            assert c.value(READ) == str(self.n)
        assert self.other.sql("SELECT pg_walfile_name(pg_current_wal_lsn()) LIKE '00000002%'") == [("t",)]


@limit(90)
def test_promoted_standby(ctx):
    """And then the name leads to it."""
    ctx.new_database()
    with standby(ctx) as other:
        failover = Failover(ctx, other)
        failover.begin()
        failover.promote()
        failover.write()
        failover.lead()
        failover.goes_on()


@limit(90)
def test_standby_promoted_while_it_is_asked(ctx):
    """The name leads to it before: it replays what the primary writes, and cannot be followed."""
    ctx.new_database()
    with standby(ctx) as other:
        failover = Failover(ctx, other)
        failover.begin()
        failover.lead()
        c = failover.client()
        assert c.value("SELECT pg_is_in_recovery()") == "t" and c.value(READ) == "11"
        for n in range(12, 16):
            failover.replayed(n)
            seen_in_time(c, n)
        failover.p.wait(lambda: state(failover.p) == ("waiting", "it is a standby, or is being restored"), "the reason")
        ctx.never_hit(failover.p, lambda: c.value(READ))
        failover.promote()
        failover.p.reload()  # it is asked again now, not only after the pause of a second
        failover.goes_on()
