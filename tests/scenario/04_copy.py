# SPDX-License-Identifier: Apache-2.0
"""COPY in both directions and both protocols."""
from compare import same
from pgwire import bind, copy_data, copy_done, copy_fail, describe, execute, parse, query, sync, unit


def ready(ctx, **settings):
    ctx.sql("CREATE TABLE c(i int, v text); GRANT ALL ON c TO PUBLIC")
    p = ctx.proxy(**settings)
    return p, ctx.keep(p.connect(ctx.db))


def test_out(ctx):
    p, c = ready(ctx)
    ctx.sql("INSERT INTO c SELECT i, repeat('x', i % 100) FROM generate_series(1, 5000) i")
    direct = ctx.direct("app")
    same(direct, c, query("COPY c TO STDOUT"))
    same(direct, c, query("COPY c TO STDOUT (FORMAT binary)"))
    same(direct, c, unit("COPY c TO STDOUT", describe_it=False))
    same(direct, c, query("COPY (SELECT 1/0) TO STDOUT"))
    same(direct, c, query("SELECT 1; COPY c TO STDOUT; SELECT 2"))


def test_in_simple(ctx):
    _, c = ready(ctx)
    c.send(query("COPY c FROM STDIN"))
    assert c.until("GE").kinds == "G"
    for i in range(1000):
        c.send(copy_data(f"{i}\tvalue {i}\n".encode()))
    c.send(copy_done())
    reply = c.until_ready()
    assert reply.tags == ["COPY 1000"] and reply.status == "I", reply.kinds
    assert ctx.sql("SELECT count(*), sum(i) FROM c") == [("1000", "499500")]
    assert c.value("SELECT 1") == "1"


def test_in_fails(ctx):
    _, c = ready(ctx)
    c.send(query("COPY c FROM STDIN"))
    c.until("G")
    c.send(copy_data(b"1\tx\n") + copy_fail("changed my mind"))
    reply = c.until_ready()
    assert reply.sqlstate() == "57014" and "changed my mind" in reply.errors[0].text
    c.send(query("COPY c FROM STDIN"))
    c.until("G")
    # A bad line: the server answers before the client is done, and what follows is swallowed.
    c.send(copy_data(b"nonsense\n") * 500 + copy_done())
    reply = c.until_ready()
    assert reply.sqlstate() == "22P02", reply.errors
    assert c.is_quiet()
    assert c.value("SELECT count(*) FROM c") == "0"


def test_in_extended_as_libpq(ctx):
    """libpq sends Sync right behind Execute, then data, CopyDone and another Sync; the server
    ignores the first Sync, as it is in COPY mode by then."""
    _, c = ready(ctx)
    c.send(parse("COPY c FROM STDIN") + bind() + describe() + execute() + sync())
    got = c.until("GE")
    assert got.kinds == "12nG", got.kinds
    c.send(copy_data(b"1\ta\n2\tb\n"), copy_done(), sync())
    reply = c.until_ready()
    assert reply.tags == ["COPY 2"] and reply.status == "I", reply.kinds
    assert c.is_quiet()
    assert c.value("SELECT count(*) FROM c") == "2"
    # The same without that first Sync.
    c.send(parse("COPY c FROM STDIN") + bind() + execute() + b"H\0\0\0\4")
    c.until("G")
    c.send(copy_data(b"3\tc\n"), copy_done(), sync())
    assert c.until_ready().tags == ["COPY 1"]
    # And an error in the data.
    c.send(parse("COPY c FROM STDIN") + bind() + execute() + sync())
    c.until("G")
    c.send(copy_data(b"bad\n"), copy_done(), sync())
    assert c.until_ready().sqlstate() == "22P02"
    assert c.is_quiet()
    assert c.value("SELECT count(*) FROM c") == "3"


def test_in_whole_in_one_write(ctx):
    _, c = ready(ctx)
    c.send(query("COPY c FROM STDIN") + copy_data(b"1\ta\n") + copy_done() + query("SELECT 'after'"))
    reply = c.until_ready(2)
    assert reply.tags == ["COPY 1", "SELECT 1"] and reply.rows == [("after",)], reply.kinds


def test_in_transaction_and_multi(ctx):
    _, c = ready(ctx)
    c.send(query("BEGIN; COPY c FROM STDIN; SELECT 5"))
    c.until("G")
    c.send(copy_data(b"1\ta\n") + copy_done())
    reply = c.until_ready()
    assert reply.status == "T" and reply.rows == [("5",)], reply.kinds
    c.query("ROLLBACK")
    assert c.value("SELECT count(*) FROM c") == "0"


def test_client_dies_in_copy(ctx):
    p, c = ready(ctx, default_pool_size=1)
    c.send(query("COPY c FROM STDIN"))
    c.until("G")
    c.send(copy_data(b"1\ta\n"))
    c.abort()
    with p.connect(ctx.db) as other:
        assert other.value("SELECT count(*) FROM c") == "0"


def test_client_dies_while_reading(ctx):
    p, c = ready(ctx, default_pool_size=1)
    c.send(query("COPY (SELECT repeat('x', 10000) FROM generate_series(1, 100000)) TO STDOUT"))
    c.read_bytes(100)
    c.abort()
    with p.connect(ctx.db) as other:
        assert other.value("SELECT 1") == "1"


def test_in_behind_what_makes_input_wait(ctx):
    """DEALLOCATE ALL, and BEGIN that is sent late, make the input wait for their answer; the data of a COPY does not."""
    ctx.sql("CREATE TABLE c(id int, t text); GRANT ALL ON c TO app")
    for p in (ctx.proxy(), ctx.cache_proxy()):
        c = ctx.keep(p.connect(ctx.db))
        for begin, end in (("BEGIN", "COMMIT"), (None, None)):
            for text in ("COPY c FROM STDIN", "DEALLOCATE ALL; COPY c FROM STDIN", "COPY c FROM STDIN; DEALLOCATE ALL"):
                if begin:
                    c.query(begin).check()
                c.send(query(text))
                c.until("G")
                c.send(copy_data(b"1\tone\n") + copy_data(b"2\ttwo\n") + copy_done() + query("SELECT count(*) > 1 FROM c"))
                c.until_ready().check()
                assert c.until_ready().check().value == "t", text
                if end:
                    c.query(end).check()
