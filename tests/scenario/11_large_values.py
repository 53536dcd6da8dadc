# SPDX-License-Identifier: Apache-2.0
"""Values of any size stream: memory stays bounded, a slow reader holds up only its own server."""
import time

from pgwire import bind, execute, parse, query, sync, unit
from runner import limit

MB = 1 << 20


def watch_memory(ctx, p, run):
    """Runs it, and returns how much the proxy's memory grew at most."""
    import threading
    before, peak, done = p.rss_bytes(), [0], threading.Event()

    def look():
        while not done.is_set():
            peak[0] = max(peak[0], p.rss_bytes())
            time.sleep(0.005)

    watcher = ctx.thread(look)
    try:
        run()
    finally:
        done.set()
        watcher.result()
    return peak[0] - before


def check_growth(ctx, grown, allowed):
    ctx.note(f"memory grew by {grown / MB:.1f} MB")
    if not ctx.sanitizer:
        assert grown < allowed, f"{grown / MB:.1f} MB"


@limit(180)
def test_large_result(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")

    def read():
        for send in (query("SELECT repeat('x', 40000000)"), unit("SELECT repeat('x', $1::int)", [40000000])):
            c.send(send)
            reply = c.until_ready(timeout=120).check()
            assert len(reply.rows_raw[0][0]) == 40000000

    check_growth(ctx, watch_memory(ctx, p, read), 20 * MB)


@limit(180)
def test_large_parameter(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    value = b"y" * (64 * MB)

    def write():
        assert c.run("SELECT length($1::text)", [value], timeout=120).value == str(64 * MB)
        assert c.query("SELECT length('" + "z" * (32 * MB) + "')", timeout=120).value == str(32 * MB)

    check_growth(ctx, watch_memory(ctx, p, write), 80 * MB)


@limit(180)
def test_large_copy(ctx):
    from pgwire import copy_data, copy_done
    p = ctx.proxy()
    ctx.sql("CREATE UNLOGGED TABLE big(v text); GRANT ALL ON big TO PUBLIC")
    c = ctx.keep(p.connect(ctx.db))
    line = b"x" * 9999 + b"\n"
    block = copy_data(line * 100)

    def copy():
        c.send(query("COPY big FROM STDIN"))
        c.until("G")
        for _ in range(64):
            c.send(block)
        c.send(copy_done())
        assert c.until_ready(timeout=120).check().tags == ["COPY 6400"]

    check_growth(ctx, watch_memory(ctx, p, copy), 20 * MB)


@limit(180)
def test_slow_reader(ctx):
    """A client that does not read: the proxy stops reading from its server, and the rest goes on."""
    p = ctx.proxy(default_pool_size=2)
    slow = ctx.keep(p.open(receive_buffer=65536))
    slow.login("app", ctx.db)
    other = ctx.keep(p.connect(ctx.db))
    other.query("SELECT 1")

    def run():
        slow.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 80000)"))
        end = time.monotonic() + 1.5
        n = 0
        while time.monotonic() < end:
            assert other.value("SELECT 2") == "2"
            n += 1
        assert n > 20, n

    check_growth(ctx, watch_memory(ctx, p, run), 20 * MB)
    reply = slow.until_ready(timeout=120).check()
    assert len(reply.rows) == 80000


@limit(180)
def test_many_slow_readers(ctx):
    p = ctx.proxy(default_pool_size=20)
    clients = []
    for _ in range(20):
        c = ctx.keep(p.open(receive_buffer=65536))
        c.login("app", ctx.db)
        clients.append(c)

    def run():
        for c in clients:
            c.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 8000)"))
        time.sleep(1)

    check_growth(ctx, watch_memory(ctx, p, run), 30 * MB)
    for c in clients:
        assert len(c.until_ready(timeout=120).check().rows) == 8000


@limit(180)
def test_slow_writer(ctx):
    """A large parameter that arrives in small pieces holds no other client up."""
    p = ctx.proxy(default_pool_size=2)
    slow, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    whole = unit("SELECT length($1::text)", [b"a" * 300000])
    for at in range(0, len(whole), 5000):
        slow.send(whole[at:at + 5000])
        assert other.value("SELECT 1") == "1"
    assert slow.until_ready().check().value == "300000"


def test_wide_rows(ctx):
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    columns = ", ".join(f"{i} AS c{i}" for i in range(1600))
    reply = c.query(f"SELECT {columns}")
    assert reply.rows == [tuple(str(i) for i in range(1600))]
    params = list(range(30000))
    sql = "SELECT 1 WHERE 29999 IN (" + ",".join(f"${i + 1}::int" for i in range(30000)) + ")"
    assert c.ask(parse(sql) + bind(params=params) + execute() + sync(), timeout=25).check().value == "1"
