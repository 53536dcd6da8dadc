# SPDX-License-Identifier: Apache-2.0
"""Hits: what comes from memory is byte for byte what PostgreSQL answers."""
from pgwire import bind, close, describe, execute, flush, parse, query, sync, unit

READ = "SELECT id, v, n FROM t WHERE id = "


def table(ctx):
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text, n numeric); GRANT ALL ON t TO app;"
            "INSERT INTO t SELECT i, 'value ' || i, i * 1.5 FROM generate_series(1, 100) i; "
            "INSERT INTO t VALUES (1000, NULL, NULL)")


def test_hit_after_miss(ctx):
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    first = c.ask(query(READ + "1")).raw
    assert ctx.wait_hit(p, lambda: c.ask(query(READ + "1")).raw) == first
    assert ctx.direct("app").ask(query(READ + "1")).raw == first
    # Another client of the same user gets the same entry.
    other = ctx.keep(p.connect(ctx.db))
    assert ctx.wait_hit(p, lambda: other.ask(query(READ + "1")).raw) == first


SHAPES = {
    "simple": (b"", query(READ + "1")),
    "text": (b"", unit(READ + "$1", [2])),
    "binary": (b"", unit(READ + "$1", [3], binary=True)),
    "binary parameter": (b"", unit(READ + "$1::int4", [b"\0\0\0\4"], param_formats=(1,))),
    "no describe": (b"", unit(READ + "$1", [5], describe_it=False)),
    "literal": (b"", unit(READ + "6")),
    "no such row": (b"", unit(READ + "$1", [77777])),
    "nulls": (b"", unit(READ + "$1", [1000])),
    "many rows": (b"", unit("SELECT * FROM t ORDER BY id")),
    "aggregate": (b"", query("SELECT count(*), sum(n), max(v) FROM t WHERE id > 50")),
    "join": (b"", query("SELECT a.v, b.n FROM t a JOIN t b ON b.id = a.id + 1 WHERE a.id < 10 ORDER BY a.id")),
    "with": (b"", query("WITH x AS (SELECT id FROM t WHERE id < 5) SELECT count(*) FROM x")),
    "union": (b"", query("SELECT id FROM t WHERE id = 1 UNION SELECT id FROM t WHERE id = 2 ORDER BY 1")),
    "subquery": (b"", query("SELECT v FROM t WHERE id = (SELECT max(id) FROM t WHERE id < 50)")),
    "named": (parse(READ + "$1", "s") + describe("S", "s") + sync(),
              bind("s", [7]) + execute() + sync()),
    "named, binary, portal described": (parse(READ + "$1", "s", types=(23,)) + sync(),
                                        bind("s", [b"\0\0\0\x08"], param_formats=(1,), result_formats=(1, 0, 1))
                                        + describe() + execute() + sync()),
    "statement described with it": (b"", parse(READ + "9") + describe("S") + bind() + execute() + sync()),
}


def test_shapes(ctx):
    """Each form of asking, on a miss and on a hit, against the server itself."""
    table(ctx)
    p = ctx.cache_proxy()
    never = []
    for name, (before, script) in SHAPES.items():
        direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
        if before:
            assert c.ask(before).raw == direct.ask(before).raw, name
        want = direct.ask(script).raw
        assert c.ask(script).raw == want, name
        try:
            got = ctx.wait_hit(p, lambda: c.ask(script).raw, timeout=1)
            assert got == want, name
        except TimeoutError:
            never.append(name)
        for _ in range(3):
            assert c.ask(script).raw == want, name
    # Not each form must be cacheable, but these must.
    must = {"simple", "text", "binary", "no describe", "literal", "no such row", "named", "nulls", "many rows"}
    assert not must & set(never), never
    if never:
        ctx.note(f"never hit: {', '.join(never)}")


def test_types(ctx):
    """A table with a column of every type that may be cached, in text and binary."""
    columns = {"b": ("bool", "true"), "i2": ("int2", "7"), "i4": ("int4", "-8"), "i8": ("int8", "9999999999"),
               "f4": ("float4", "1.1"), "f8": ("float8", "0.1"), "nu": ("numeric", "123.4500"), "t": ("text", "'é\u20ac'"),
               "vc": ("varchar(20)", "'x y'"), "bc": ("char(5)", "'ab'"), "ba": ("bytea", "'\\x00ff'"),
               "d": ("date", "'2024-02-29'"), "ti": ("time", "'12:34:56.789'"), "ts": ("timestamp", "'2024-01-01 00:00'"),
               "tz": ("timestamptz", "'2024-01-01 00:00+00'"), "iv": ("interval", "'1 year 2 mons 03:04'"),
               "u": ("uuid", "'00000000-0000-0000-0000-000000000001'"), "j": ("json", "'{\"a\": 1}'"),
               "jb": ("jsonb", "'{\"b\": [1,2]}'"), "ar": ("int[]", "'{1,2,3}'"), "ta": ("text[]", "'{a,NULL}'")}
    ctx.sql("CREATE TABLE ty(id int PRIMARY KEY, " + ", ".join(f"{n} {t}" for n, (t, _) in columns.items()) + ");"
            "INSERT INTO ty VALUES (1, " + ", ".join(v for _, v in columns.values()) + "); GRANT ALL ON ty TO app")
    p = ctx.cache_proxy()
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    for script in (query("SELECT * FROM ty WHERE id = 1"), unit("SELECT * FROM ty WHERE id = $1", [1]),
                   unit("SELECT * FROM ty WHERE id = $1", [1], binary=True)):
        want = direct.ask(script).raw
        assert c.ask(script).raw == want
        assert ctx.wait_hit(p, lambda: c.ask(script).raw) == want


def test_hits_need_no_server(ctx):
    """The pool's only server is taken: hits go on, misses wait."""
    table(ctx)
    p = ctx.cache_proxy(default_pool_size=1, databases={ctx.db: ctx.server()})
    c, holder, waiting = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    ctx.wait_hit(p, lambda: c.query(READ + "1"))
    holder.query("BEGIN")
    holder.query("SELECT pg_backend_pid()")
    waiting.send(query(READ + "55"))
    for _ in range(100):
        assert c.value(READ + "1") == "1"
    assert waiting.is_quiet()
    holder.query("COMMIT")
    assert waiting.until_ready().value == "55"


def test_parameters_make_entries(ctx):
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(4):
        for i in range(1, 101):
            assert c.run(READ + "$1", [i]).rows == [(str(i), f"value {i}", f"{i * 1.5:.1f}")]
            assert c.query(READ + str(i)).rows[0][1] == f"value {i}"
    assert p.cache()["hits"] > 50, p.cache()


def test_literals_that_look_alike(ctx):
    """Texts that differ only in a constant share an analysis, never an entry."""
    ctx.sql("CREATE TABLE w(id int PRIMARY KEY, v text); GRANT ALL ON w TO app; INSERT INTO w VALUES (1, 'a'), (2, 'A'), (12, 'b')")
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    cases = {"SELECT id FROM w WHERE v = 'a'": [("1",)], "SELECT id FROM w WHERE v = 'A'": [("2",)],
             "SELECT id FROM w WHERE v = 'b'": [("12",)], "SELECT id FROM w WHERE v = ''": [],
             "SELECT v FROM w WHERE id = 1": [("a",)], "SELECT v FROM w WHERE id = 12": [("b",)],
             "SELECT v FROM w WHERE id = 1 + 1": [("A",)], "SELECT v, 1 FROM w WHERE id = 1": [("a", "1")],
             "SELECT v, 2 FROM w WHERE id = 1": [("a", "2")], "SELECT v, '1' FROM w WHERE id = 1": [("a", "1")],
             "SELECT v FROM w ORDER BY 1 LIMIT 1": None, "SELECT v FROM w ORDER BY id LIMIT 1": [("a",)],
             "SELECT v FROM w ORDER BY id LIMIT 2": [("a",), ("A",)], "SELECT v FROM w ORDER BY id LIMIT 1 OFFSET 2": [("b",)],
             'SELECT v AS "1" FROM w WHERE id = 1': [("a",)], "SELECT v FROM w WHERE id = 1 -- 2": [("a",)],
             "SELECT v FROM w WHERE id = 1 /* 12 */": [("a",)]}
    for _ in range(6):
        for sql, rows in cases.items():
            if rows is not None:
                assert c.query(sql).rows == rows, sql
                assert c.run(sql).rows == rows, sql


def test_portions(ctx):
    """Execute with a row limit is not the whole answer."""
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    script = parse("SELECT id FROM t ORDER BY id") + bind() + execute(max_rows=3) + sync()
    for _ in range(5):
        assert c.ask(script).kinds == "12DDDsZ"
    assert len(c.run("SELECT id FROM t ORDER BY id").rows) == 101
    script = parse("SELECT id FROM t ORDER BY id") + bind() + execute(max_rows=3) + execute() + sync()
    for _ in range(5):
        assert len(c.ask(script).rows) == 101


def test_pipelines(ctx):
    """Hits and misses in one pipeline come in order."""
    table(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(30):
        script = b"".join(unit(READ + "$1", [i]) + query(f"SELECT {i}") for i in (1, 2, 1, 3))
        rows = c.ask(script, times=8).check().rows
        assert [r[0] for r in rows] == ["1", "1", "2", "2", "1", "1", "3", "3"]
        script = parse(READ + "4") + bind() + execute() + parse(READ + "1") + bind() + execute() + sync()
        assert [r[0] for r in c.ask(script).check().rows] == ["4", "1"]
    for _ in range(10):
        c.send(parse(READ + "1") + bind() + execute() + flush())
        assert c.until("C").rows[0][0] == "1"
        c.ask(sync())


def test_statement_reused_after_hit(ctx):
    """A hit answers Parse without a server knowing the statement: it must exist when needed later."""
    table(ctx)
    p = ctx.cache_proxy(default_pool_size=2)
    sql = READ + "$1"
    for i in range(10):
        c = ctx.keep(p.connect(ctx.db))
        reply = c.ask(parse(sql, "s") + bind("s", [1]) + describe() + execute() + sync()).check()
        assert reply.rows[0][0] == "1"
        assert c.ask(bind("s", [1 + i * 7 % 90]) + execute() + sync()).check().rows[0][0] == str(1 + i * 7 % 90)
        c.query("BEGIN")
        assert c.ask(bind("s", [2]) + execute() + sync()).check().rows[0][0] == "2"
        assert c.ask(describe("S", "s") + sync()).kinds == "tTZ"
        c.query("COMMIT")
        assert c.ask(parse(sql, "s") + sync()).sqlstate() == "42P05"
        c.ask(close("S", "s") + sync()).check()
        assert c.ask(bind("s", [1]) + execute() + sync()).sqlstate() == "26000"
        # The unnamed statement after a hit.
        c.run(sql, [1])
        assert c.ask(bind("", [3]) + execute() + sync()).check().rows[0][0] == "3"


def test_in_transactions(ctx):
    """Reads in a transaction see its snapshot and its own writes."""
    table(ctx)
    p = ctx.cache_proxy()
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: b.query(READ + "1"))
    a.query("BEGIN")
    a.query("UPDATE t SET v = 'mine' WHERE id = 1")
    for _ in range(5):
        assert a.query(READ + "1").rows[0][1] == "mine"
        assert b.query(READ + "1").rows[0][1] == "value 1"
    a.query("ROLLBACK")
    for _ in range(5):
        assert a.query(READ + "1").rows[0][1] == "value 1"
    a.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert a.query(READ + "2").rows[0][1] == "value 2"
    b.query("UPDATE t SET v = 'new' WHERE id = 2")
    ctx.wait_hit(p, lambda: b.query(READ + "2"))
    assert b.query(READ + "2").rows[0][1] == "new"
    assert a.query(READ + "2").rows[0][1] == "value 2"
    a.query("COMMIT")
    assert a.query(READ + "2").rows[0][1] == "new"


def test_budget(ctx):
    """Memory stays within cache_size, and what was read often stays in."""
    p = ctx.cache_proxy(cache_size="1M")
    ctx.sql("CREATE TABLE big(id int PRIMARY KEY, v text); GRANT ALL ON big TO app;"
            "INSERT INTO big SELECT i, repeat('x', 2000) FROM generate_series(1, 3000) i")
    c = ctx.keep(p.connect(ctx.db))
    for i in range(1, 3001):
        assert len(c.run("SELECT v FROM big WHERE id = $1", [i]).value) == 2000
    stats = p.cache()
    assert stats["bytes"] <= 1 << 20, stats
    assert stats["entries"] > 50, stats


def test_too_large(ctx):
    p = ctx.cache_proxy(cache_max_entry_size="100k")
    ctx.sql("CREATE TABLE big(id int PRIMARY KEY, v text); GRANT ALL ON big TO app;"
            "INSERT INTO big VALUES (1, repeat('x', 200000)), (2, repeat('y', 50000))")
    c = ctx.keep(p.connect(ctx.db))
    ctx.never_hit(p, lambda: c.query("SELECT v FROM big WHERE id = 1"))
    assert len(ctx.wait_hit(p, lambda: c.value("SELECT v FROM big WHERE id = 2"))) == 50000


def test_large_entries_to_slow_readers(ctx):
    """An entry goes out in pieces while it is replaced underneath."""
    p = ctx.cache_proxy(cache_size="1G", cache_max_entry_size="4M")
    ctx.sql("CREATE TABLE big(id int PRIMARY KEY, v text); GRANT ALL ON big TO app;"
            "INSERT INTO big VALUES (1, repeat('a', 3000000))")
    slow = []
    for _ in range(10):
        c = ctx.keep(p.open(receive_buffer=32768))
        c.login("app", ctx.db)
        slow.append(c)
    fast = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: fast.query("SELECT v FROM big WHERE id = 1"))
    for c in slow:
        c.send(query("SELECT v FROM big WHERE id = 1"))
    fast.query("UPDATE big SET v = repeat('b', 3000000) WHERE id = 1")
    assert fast.value("SELECT v FROM big WHERE id = 1") == "b" * 3000000
    for c in slow:
        value = c.until_ready(timeout=20).value
        assert value in ("a" * 3000000, "b" * 3000000), (len(value), set(value))


def test_session_mode(ctx):
    table(ctx)
    p = ctx.cache_proxy(pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    assert ctx.wait_hit(p, lambda: c.query(READ + "1").rows[0][1]) == "value 1"
    c.query("UPDATE t SET v = 'new' WHERE id = 1")
    assert c.query(READ + "1").rows[0][1] == "new"


def test_texts_of_one_length(ctx):
    """Texts that come one after the other to the same place, as long as each other, are not taken for each other."""
    table(ctx)
    for mode in ("session", "transaction"):
        p = ctx.cache_proxy(pool_mode=mode)
        c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        texts = [t.ljust(48) for t in (READ + "1", "UPDATE t SET n = n + 1 WHERE id = 1", "BEGIN", "COMMIT")]
        read, write, begin, commit = texts
        ctx.wait_hit(p, lambda: c.query(read))
        for n in range(1, 10):
            before = c.query(read).rows[0][2]
            if n % 3 == 0:
                c.query(begin)
                c.query(read)
            c.query(write)
            if n % 3 == 0:
                c.query(commit)
            seen = [x.query(read).rows[0][2] for x in (other, c)]
            assert len(set(seen)) == 1 and seen[0] != before, f"{mode} {n}: {before}, then {seen}"


def test_cache_off(ctx):
    """Off is off: nothing is followed on the server."""
    table(ctx)
    p = ctx.proxy(cache="off")
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(5):
        assert c.query(READ + "1").rows[0][1] == "value 1"
    assert ctx.pg.walsenders(ctx.db) == []
