# SPDX-License-Identifier: Apache-2.0
"""A small story that the checker watches: a database of its own, a proxy behind a link that can be stalled,
and actors whose reads and writes are told to a history."""
import time

from checker import History
from pgwire import SLOWNESS
from proxy import CACHE_SETTINGS
from relay import Relay

SETUP = """
CREATE TABLE kv(id int PRIMARY KEY, n int NOT NULL, pad text);
INSERT INTO kv SELECT i, 0, 'pad ' || i FROM generate_series(1, 5) i;
CREATE TABLE warm(id int PRIMARY KEY, n int); INSERT INTO warm VALUES (1, 1);
GRANT ALL ON kv TO app; GRANT SELECT ON warm TO PUBLIC;
"""
WARM = "SELECT n FROM warm WHERE id = 1"


def row(i):
    return f"SELECT n FROM kv WHERE id = {i}"


class Actor:
    """A connection and its session in the history."""

    def __init__(self, scene, wire, way):
        self.scene, self.wire = scene, wire
        self.session = scene.history.session(way)

    def query(self, sql):
        return self.wire.query(sql).check()

    def read(self, item, sql, around=False, gone=None):
        """Reads one item's version; gone: the version that no row means."""
        read = self.session.read(around)
        rows = self.query(sql).rows
        version = int(rows[0][0]) if rows else gone
        read.saw({item: version})
        return version

    def write(self, item, sql):
        """{n} in the statement is the version."""
        w = self.session.write(item)
        self.query(sql.format(n=w[item]))
        w.acknowledged()
        return w[item]

    def wait_hit(self, sql):
        """Until the answer comes from memory; returns it."""
        return self.scene.ctx.wait_hit(self.scene.proxy, lambda: self.query(sql).value)


class Scene:
    def __init__(self, ctx, off, setup="", start=True, bound=0.25, items=(), **settings):
        """off: what is switched off, or "none"."""
        self.ctx, self.bound = ctx, bound
        self.history = History(bound)
        self.history.add("1", "2", "3", *items)
        self.db = ctx.new_database()
        self.sql(SETUP + setup)
        self.relay = ctx.keep(Relay(ctx.pg.port))
        self.proxy = ctx.proxy(
            {self.db: ctx.server(dbname=self.db, port=self.relay.port)}, start=False, binary=ctx.unprotected,
            environment={"PGWEIR_PROTECTIONS_OFF": off},
            **{**CACHE_SETTINGS, "max_staleness": f"{bound * 1000:.0f}ms", **settings})
        if start:
            self.start()

    def start(self):
        self.proxy.start()
        with self.proxy.connect(self.db) as c: # the names of both tables are known from here on
            for sql in (row(5), WARM):
                self.ctx.wait_hit(self.proxy, lambda sql=sql: c.query(sql), timeout=10)

    def end(self):
        self.proxy.stop()
        self.relay.close()
        self.ctx.open_things.remove(self.relay)

    def sql(self, text):
        return self.ctx.sql(text, database=self.db)

    def client(self, user="app", warm=True, **parameters):
        """One of the proxy's. Its session is known to hit before anything is stalled."""
        actor = Actor(self, self.ctx.keep(self.proxy.connect(self.db, user, timeout=20, **parameters)), "proxy")
        if warm:
            actor.wait_hit(WARM)
        return actor

    def direct(self):
        return Actor(self, self.ctx.keep(self.ctx.pg.connect(self.db, timeout=20)), "direct")

    def pass_bound(self):
        """Until what was acknowledged before this call is older than max_staleness."""
        until = time.monotonic() + self.bound
        while (left := until - time.monotonic()) >= 0:
            time.sleep(left + 0.001)

    def let(self, seconds, act):
        """Repeats it: whatever the machine does meanwhile, some of it falls into the time that counts."""
        until = time.monotonic() + seconds * SLOWNESS
        while time.monotonic() < until and not self.history.violations:
            act()
            time.sleep(0.005)
