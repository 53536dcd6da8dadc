# SPDX-License-Identifier: Apache-2.0
"""Pipelines: several Syncs in flight, errors in the middle, and many of them at once."""
from compare import same
from pgwire import bind, close, describe, execute, flush, parse, query, sync, unit


def both(ctx, **settings):
    p = ctx.proxy(**settings)
    return p, ctx.direct("app"), ctx.keep(p.connect(ctx.db))


def test_several_syncs(ctx):
    _, direct, through = both(ctx)
    script = b"".join(unit("SELECT $1::int", [i]) for i in range(50))
    reply = same(direct, through, script, times=50)
    assert [r[0] for r in reply.rows] == [str(i) for i in range(50)]


def test_simple_queries_in_flight(ctx):
    _, direct, through = both(ctx)
    same(direct, through, b"".join(query(f"SELECT {i}; SELECT 'b'") for i in range(20)), times=20)


def test_mixed_protocols_in_flight(ctx):
    _, direct, through = both(ctx)
    script = unit("SELECT 1") + query("SELECT 2") + unit("SELECT $1::text", ["3"]) + query("") + sync()
    same(direct, through, script, times=5)


def test_error_in_the_middle(ctx):
    _, direct, through = both(ctx)
    bad = unit("SELECT 1") + parse("SELECT 1/0") + bind() + execute() + unit("SELECT 'skipped'")
    same(direct, through, bad + unit("SELECT 2"), times=3)
    # A Parse that fails: what follows up to the Sync is skipped, named statements too.
    script = (parse("SELEC", "a") + parse("SELECT 5", "b") + bind("b") + execute() + sync()
              + bind("b") + execute() + sync() + unit("SELECT 6"))
    same(direct, through, script, times=3)


def test_error_inside_transaction(ctx):
    _, direct, through = both(ctx)
    script = query("BEGIN") + unit("SELECT nope") + unit("SELECT 1") + query("SELECT 2") + query("ROLLBACK") + unit("SELECT 3")
    same(direct, through, script, times=6)


def test_prepare_use_close_in_one_pipeline(ctx):
    _, direct, through = both(ctx)
    script = (parse("SELECT $1::int * 2", "twice") + describe("S", "twice") + bind("twice", [4]) + execute()
              + bind("twice", [5]) + execute() + close("S", "twice") + sync()
              + bind("twice", [6]) + execute() + sync()
              + parse("SELECT $1::int * 3", "twice") + bind("twice", [7]) + execute() + sync())
    same(direct, through, script, times=3)


def test_flush_only_pipeline(ctx):
    p, _, c = both(ctx)
    c.send(b"".join(parse("SELECT $1::int") + bind(params=[i]) + execute() for i in range(10)) + flush())
    got = []
    for _ in range(10):
        got += c.until("C").messages
    assert "".join(m.kind for m in got) == "12DC" * 10
    assert c.ask(sync()).status == "I"


def test_transaction_over_pipeline(ctx):
    """BEGIN ... COMMIT in one write, with two clients: nothing mixes."""
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    script = query("BEGIN") + unit("SELECT pg_backend_pid()") + query("SELECT txid_current()") + unit("SELECT txid_current()") + query("COMMIT")
    for _ in range(20):
        a.send(script)
        b.send(script)
        for c in (a, b):
            rows = c.until_ready(5).check().rows
            assert rows[1] == rows[2], rows


def test_deep_pipeline(ctx):
    """The client writes much before it reads: no deadlock, in order, bounded."""
    p = ctx.proxy()
    n = 20000
    reader = ctx.keep(p.connect(ctx.db))
    writer = ctx.thread(lambda: reader.socket.sendall(
        b"".join(unit("SELECT $1::int", [i], describe_it=False) for i in range(n))))
    for i in range(n):
        reply = reader.until("Z")
        assert reply.value == str(i)
    writer.result()


def test_every_unit_can_change_servers(ctx):
    """Pipelined units of one client run one after the other, wherever they run."""
    p = ctx.proxy(default_pool_size=3)
    ctx.sql("CREATE TABLE log(n serial, who int, i int); GRANT ALL ON log, log_n_seq TO app")
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(6)]
    for who, c in enumerate(clients):
        c.send(b"".join(unit("INSERT INTO log(who, i) VALUES ($1::int, $2::int)", [who, i]) for i in range(40)))
    for c in clients:
        c.until_ready(40).check()
    for who in range(6):
        assert [r[0] for r in ctx.sql(f"SELECT i FROM log WHERE who = {who} ORDER BY n")] == [str(i) for i in range(40)]
