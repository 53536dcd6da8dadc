# SPDX-License-Identifier: Apache-2.0
"""Cancels that come early, late, repeated and after release never hit another client's query."""
import random
import struct
import threading
import time

from pgwire import CANCEL_CODE, PeerClosed, Wire, query, unit
from runner import limit


class Storm:
    """Targets are cancelled all the time; victims share their servers and must never notice."""

    # Who asks is in the statement, and comes back.
    sql = "SELECT '%s' FROM pg_sleep(%s)"

    def __init__(self, addresses, database, seconds, sql=None):
        self.sql = sql or self.sql
        self.addresses, self.database = addresses, database
        self.ends = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.keys = []
        self.served = self.hit = self.asked = 0
        self.victims, self.wrong = [], []

    def going(self):
        return time.monotonic() < self.ends

    def count(self, **more):
        with self.lock:
            for name, n in more.items():
                setattr(self, name, getattr(self, name) + n)

    def connect(self, dice, minor=0):
        from pgwire import PROTOCOL_3, startup
        c = Wire(dice.choice(self.addresses), 20)
        c.send(startup({"user": "app", "database": self.database}, code=PROTOCOL_3 + minor))
        c.until("ZE").check()
        return c

    def client(self, number, is_target):
        """Every query says who asks, and every answer is checked."""
        dice = random.Random(number)
        c, n = None, 0
        while self.going():
            if c is None:
                c = self.connect(dice, dice.choice((0, 2)))
                if is_target:
                    with self.lock:
                        self.keys = [k for k in self.keys if k[0] != number] + [(number, c.cancel_key)]
            n += 1
            mine = f"{number}-{n}"
            sql = self.sql % (mine, dice.choice((0, 0.001, 0.003, 0.01)))
            reply = c.ask(dice.choice((query, unit))(sql))
            if reply.sqlstate() == "57014":
                self.count(hit=1)
                if not is_target:
                    self.victims.append(mine)
            elif reply.errors or reply.rows != [(mine,)]:
                self.wrong.append((mine, reply.errors, reply.rows))
            self.count(served=1)
            if dice.random() < 0.01:
                c.close()  # its key lives on in the cancellers' hands for a while
                c = None

    def canceller(self, number):
        dice = random.Random(1000 + number)
        old = []
        while self.going():
            with self.lock:
                keys = [k for _, k in self.keys]
            if not keys:
                time.sleep(0.001)
                continue
            key = dice.choice(keys)
            old = (old + [key])[-50:]
            if dice.random() < 0.2:
                key = dice.choice(old)  # of a client that may be gone
            times = dice.choice((1, 1, 1, 4))  # repeated, without waiting for the end of the first
            wires = []
            for _ in range(times):
                w = Wire(dice.choice(self.addresses), 20)
                w.send(struct.pack("!II", 8 + len(key), CANCEL_CODE) + key)
                wires.append(w)
            self.count(asked=times)
            for w in wires:
                if dice.random() < 0.7:
                    try:
                        w.read_bytes(1)
                    except PeerClosed:
                        pass
                w.close()


def run(ctx, addresses, seconds=6, targets=5, victims=10, cancellers=2, sql=None):
    storm = Storm(addresses, ctx.db, seconds, sql)
    threads = [ctx.thread(storm.client, n, n < targets) for n in range(targets + victims)]
    threads += [ctx.thread(storm.canceller, n) for n in range(cancellers)]
    for t in threads:
        t.result(seconds + 40)
    ctx.note(f"{storm.served} statements, {storm.asked} cancels, {storm.hit} hits, {len(storm.victims)} victims")
    assert not storm.victims, storm.victims[:10]
    assert not storm.wrong, storm.wrong[:10]
    assert storm.hit > 20 and storm.asked > 100 and storm.served > 1000, (storm.hit, storm.asked, storm.served)


@limit(120)
def test_one_process(ctx):
    p = ctx.proxy(default_pool_size=3)
    run(ctx, [p.address, p.socket_path])


@limit(120)
def test_settings_aligned_and_sessions_reset(ctx):
    """Statements of our own, between those of clients, must not take a cancel for a client's either."""
    p = ctx.proxy(default_pool_size=3, server_reset_query_always=1)
    run(ctx, [p.address], seconds=4)


@limit(120)
def test_sessions_looked_at(ctx):
    """After a function that may have done anything we ask the session ourselves: a late cancel may hit that."""
    ctx.sql("CREATE FUNCTION who(text, float8) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep($2); RETURN $1; END $$")
    p = ctx.proxy(default_pool_size=3)
    run(ctx, [p.address], seconds=4, sql="SELECT who('%s', %s)")


@limit(120)
def test_two_peers(ctx):
    import cluster as pg
    port = pg.free_port()
    both = [ctx.proxy(start=False, listen_port=port, so_reuseport=1, peer_id=i, default_pool_size=2)
            for i in (1, 2)]
    for p in both:
        p.peers = {i + 1: {"host": other.directory, "port": port} for i, other in enumerate(both)}
        p.write()
        p.start()
    run(ctx, [p.socket_path for p in both])
