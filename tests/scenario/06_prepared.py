# SPDX-License-Identifier: Apache-2.0
"""Protocol-level prepared statements in transaction mode: a client's statements are where it is."""
from compare import same
from pgwire import bind, close, describe, execute, parse, query, sync, unit
from servers import move, release


def run(c, name, params=()):
    return c.ask(bind(name, params) + execute() + sync()).check()


def test_on_every_server(ctx):
    p = ctx.proxy(default_pool_size=6)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT $1::int + pg_backend_pid() * 0", "add") + sync()).check()
    for i in range(4):
        holders = move(ctx, p, c)
        assert run(c, "add", [i]).value == str(i)
        assert c.ask(describe("S", "add") + sync()).kinds == "tTZ"
        release(holders)


def test_same_name_different_text(ctx):
    p = ctx.proxy(default_pool_size=2)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(12)]
    for i, c in enumerate(clients):
        c.ask(parse(f"SELECT {i} + $1::int", "s1") + sync()).check()
    for _ in range(5):
        for i, c in enumerate(clients):
            c.send(bind("s1", [100]) + execute() + sync())
        for i, c in enumerate(clients):
            assert c.until_ready().check().value == str(100 + i)


def test_same_text_different_names(ctx):
    p = ctx.proxy(default_pool_size=1)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(5)]
    for i, c in enumerate(clients):
        c.ask(parse("SELECT $1::text", f"name{i}") + parse("SELECT $1::text", "twin") + sync()).check()
    for i, c in enumerate(clients):
        assert run(c, f"name{i}", ["x"]).value == "x"
        assert run(c, "twin", ["y"]).value == "y"
    # Closing one of two names leaves the other.
    c = clients[0]
    assert c.ask(close("S", "twin") + sync()).kinds == "3Z"
    assert run(c, "name0", ["z"]).value == "z"
    assert c.ask(bind("twin", ["y"]) + execute() + sync()).sqlstate() == "26000"
    assert run(clients[1], "twin", ["y"]).value == "y"


def test_same_text_different_types(ctx):
    """The declared parameter types are part of a statement."""
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT $1", "s", types=(23,)) + sync()).check()
    b.ask(parse("SELECT $1", "s", types=(25,)) + sync()).check()
    reply_a, reply_b = a.ask(describe("S", "s") + sync()), b.ask(describe("S", "s") + sync())
    assert reply_a.messages[0].body[-4:] == b"\0\0\0\x17", reply_a.messages[0].body
    assert reply_b.messages[0].body[-4:] == b"\0\0\0\x19", reply_b.messages[0].body
    assert a.ask(bind("s", ["x"]) + execute() + sync()).sqlstate() == "22P02"
    assert run(b, "s", ["x"]).value == "x"


def test_errors_are_postgresqls(ctx):
    """Errors that the proxy has to make itself look like the server's."""
    p = ctx.proxy()
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    scripts = [
        parse("SELECT 1", "s") + sync(),
        parse("SELECT 2", "s") + sync(),                 # 42P05
        parse("SELECT 1", "s") + sync(),                 # the same text again: 42P05, too
        bind("s") + execute() + sync(),
        bind("nope") + execute() + sync(),               # 26000
        describe("S", "nope") + sync(),
        parse("SELEC", "bad") + sync(),                  # not remembered
        bind("bad") + execute() + sync(),
        parse("SELECT 3", "bad") + sync(),
        bind("bad") + execute() + sync(),
        close("S", "s") + bind("s") + execute() + sync(),
        parse("SELECT 4", "s") + bind("s") + execute() + sync(),
        parse("SELECT 1/0", "d") + bind("d") + execute() + sync(),
        bind("d") + execute() + sync(),
        query("BEGIN"), parse("SELECT 1", "in_tx") + sync(), parse("SELECT nope", "e") + sync(),
        parse("SELECT 1", "after") + sync(), query("ROLLBACK"),
        bind("in_tx") + execute() + sync(),              # survives the rollback, as in PostgreSQL
        bind("after") + execute() + sync(),
    ]
    for script in scripts:
        try:
            same(strip(direct), strip(c), script)
        except AssertionError as error:
            raise AssertionError(f"script {scripts.index(script)}: {error}") from None


class strip:
    """Compares errors by severity, SQLSTATE and text: the proxy has no source file and line."""

    def __init__(self, wire):
        self.wire = wire

    def ask(self, *parts, times=1):
        from pgwire import Message, Reply, error_fields
        out = []
        for m in self.wire.ask(*parts, times=times).messages:
            if m.kind == "E":
                f = error_fields(m.body)
                m = Message("E", "|".join(f.get(k, "") for k in "SCM").encode())
            out.append(m)
        return Reply(out)


def test_failed_parse_in_pipeline(ctx):
    """A Parse behind an error never happened."""
    p = ctx.proxy(default_pool_size=1)
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    for script, times in ((parse("SELECT nope") + parse("SELECT 1", "skipped") + sync(), 1),
                          (bind("skipped") + execute() + sync(), 1),
                          (parse("SELECT 2", "skipped") + bind("skipped") + execute() + sync(), 1),
                          (close("S", "skipped") + sync() + bind("skipped") + execute() + sync()
                           + parse("SELECT 3", "skipped") + sync() + bind("skipped") + execute() + sync(), 4),
                          # A Close behind an error never happened either.
                          (bind("nope") + close("S", "skipped") + sync() + bind("skipped") + execute() + sync(), 2)):
        same(strip(direct), strip(c), script, times=times)


def test_unnamed_over_servers(ctx):
    """Parse with Sync, then Bind in the next batch, on another server: drivers do that."""
    p = ctx.proxy(default_pool_size=8)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT $1::int * 2") + describe("S") + sync()).check()
    holders = move_unnamed(ctx, p)
    assert run(c, "", [21]).value == "42"
    release(holders)
    other = ctx.keep(p.connect(ctx.db))
    other.run("SELECT 'other'")
    assert run(c, "", [4]).value == "8"
    assert run(other, "").value == "other"


def move_unnamed(ctx, p):
    """Takes one server connection away (no statement of the client may run for it)."""
    other = ctx.keep(p.connect(ctx.db))
    other.query("BEGIN")
    other.query("SELECT 1")
    return [other]


def test_unnamed_belongs_to_its_client(ctx):
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT 'a'") + sync()).check()
    assert b.ask(bind() + execute() + sync()).sqlstate() == "26000"
    b.ask(parse("SELECT 'b'") + sync()).check()
    assert run(a, "").value == "a"
    assert run(b, "").value == "b"
    # A simple query ends the unnamed statement, as in PostgreSQL.
    a.query("SELECT 1")
    same(strip(ctx_unnamed_gone(ctx)), strip(a), bind() + execute() + sync())


def ctx_unnamed_gone(ctx):
    d = ctx.direct("app")
    d.ask(parse("SELECT 'a'") + sync())
    d.query("SELECT 1")
    return d


def test_deallocate_and_discard(ctx):
    p = ctx.proxy(default_pool_size=2)
    for sql in ("DEALLOCATE ALL", "DISCARD ALL"):
        a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        for c in (a, b):
            c.ask(parse("SELECT 'mine'", "s") + sync()).check()
        a.query(sql)
        assert a.ask(bind("s") + execute() + sync()).sqlstate() == "26000", sql
        assert run(b, "s").value == "mine", sql
        a.ask(parse("SELECT 'again'", "s") + sync()).check()
        assert run(a, "s").value == "again"
        a.run(sql)
        assert a.ask(bind("s") + execute() + sync()).sqlstate() == "26000", sql
        assert run(b, "s").value == "mine", sql


def test_lru(ctx):
    """More statements than max_prepared_statements: they are made again when needed, and the server
    never holds more than allowed."""
    p = ctx.proxy(default_pool_size=1, max_prepared_statements=10)
    c = ctx.keep(p.connect(ctx.db))
    for i in range(50):
        c.ask(parse(f"SELECT {i}, $1::int", f"s{i}") + sync()).check()
    for _ in range(2):
        for i in range(50):
            assert run(c, f"s{i}", [1]).value == str(i)
    held = int(c.value("SELECT count(*) FROM pg_prepared_statement()"))  # (of the view it would be shown its own names)
    assert held <= 10, held
    # One pipeline that uses more than fit.
    c.send(b"".join(bind(f"s{i}", [1]) + execute() for i in range(50)) + sync())
    assert [r[0] for r in c.until_ready().check().rows] == [str(i) for i in range(50)]


def test_turned_off(ctx):
    """max_prepared_statements = 0: statements pass as they are; session mode serves them."""
    p = ctx.proxy(max_prepared_statements=0, pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT 5", "s") + sync()).check()
    assert run(c, "s").value == "5"
    assert ("s",) in c.query("SELECT name FROM pg_prepared_statements").rows


def test_unnamed_behind_a_failed_one(ctx):
    """The error of a Parse takes nothing from the one that was sent behind its Sync."""
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    for bad in (parse("SELEC"), parse("SELECT 1") + bind() + execute() + parse("SELEC"),
                bind("nope") + parse("SELECT 3")):
        c.send(bad + sync() + query("SELECT 1") + parse("SELECT 7"))
        assert c.until_ready(2).errors
        assert c.ask(bind() + execute() + sync()).check().value == "7"
        assert c.ask(bind() + execute() + sync()).check().value == "7"


def test_deallocate_all_in_pipeline(ctx):
    """What is sent behind DEALLOCATE ALL waits for it, also when the end of something earlier comes first."""
    p = ctx.proxy(default_pool_size=1)
    direct, c = ctx.direct("app"), ctx.keep(p.connect(ctx.db))
    for wire in (direct, c):
        wire.query("BEGIN")
    for _ in range(5):
        same(strip(direct), strip(c), query("SAVEPOINT s") + parse("SELECT 5", "d") + sync() + query("DEALLOCATE ALL")
             + bind("d") + execute() + sync() + query("ROLLBACK TO s"), times=5)


def test_many_clients_many_servers(ctx):
    """Forty clients with random statements under the same few names, on four servers."""
    import random
    p = ctx.proxy(default_pool_size=4, max_prepared_statements=20)

    def work(who):
        rng = random.Random(who)
        mine = {}
        with p.connect(ctx.db, timeout=30) as c:
            for step in range(60):
                name = f"s{rng.randrange(4)}"
                action = rng.random()
                if name not in mine:
                    mine[name] = rng.randrange(30)
                    c.ask(parse(f"SELECT {mine[name]}, $1::int", name) + sync()).check()
                elif action < 0.2:
                    c.ask(close("S", name) + sync()).check()
                    del mine[name]
                elif action < 0.25:
                    assert c.ask(parse("SELECT 1", name) + sync()).sqlstate() == "42P05"
                elif action < 0.3:
                    c.query("DEALLOCATE ALL")
                    mine.clear()
                else:
                    value = who * 1000 + step
                    assert run(c, name, [value]).rows == [(str(mine[name]), str(value))]

    for t in [ctx.thread(work, who) for who in range(40)]:
        t.result()


# What is sent before a Parse (and how many answers it has), the text that it reads then, and what that means to others.
MOMENTS = {
    "in one batch": (parse("SET TimeZone = 'Asia/Tokyo'") + bind() + execute(), 0, "SELECT timestamptz '2020-01-01 00:00' = '2020-01-01 00:00+00'"),
    "in a transaction": (query("BEGIN") + query("SET LOCAL array_nulls = off"), 2, "SELECT ('{NULL}'::text[])[1] IS NULL"),
    "operators": (query("BEGIN") + query("SET LOCAL transform_null_equals = on"), 2, "SELECT (1 = NULL) IS NULL"),
    "behind it": (query("SET array_nulls = off"), 1, "SELECT ('{null}'::text[])[1] IS NULL"),
}


def test_settings_of_a_moment(ctx):
    """A statement that one client had prepared under settings that it made for a moment is read anew for others, who share its
    text: constants are read when it is prepared."""
    ctx.sql(f"ALTER DATABASE {ctx.db} SET TimeZone = 'UTC'")
    p = ctx.proxy(default_pool_size=1)
    for moment, (before, answers, sql) in MOMENTS.items():
        a, b = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
        assert a.ask(before + parse(sql, "s") + bind("s") + execute() + sync(), times=answers + 1).check().rows == [("f",)], moment
        if a.status == "T":
            a.query("COMMIT")
        for _ in range(2):
            b.ask(parse(sql, f"s{_}") + sync()).check()
            assert b.ask(bind(f"s{_}") + execute() + sync()).check().value == "t", moment
        a.close()


def test_settings_of_a_moment_pinned(ctx):
    """Nor does the same client, on the server that it keeps, get that again for a statement of another name."""
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("CREATE TEMP TABLE pins()")
    sql = "SELECT ('{NULL}'::text[])[1] IS NULL"
    c.query("BEGIN")
    c.query("SET LOCAL array_nulls = off")
    assert c.ask(parse(sql, "s1") + bind("s1") + execute() + sync()).check().value == "f"
    c.query("COMMIT")
    for name in ("s2", "s3"):
        assert c.ask(parse(sql, name) + bind(name) + execute() + sync()).check().value == "t"


def test_evicted_in_a_failed_batch(ctx):
    """A Close of ours is skipped with the batch that fails; the next one, sent already, prepares that statement again."""
    p = ctx.proxy(max_prepared_statements=1, default_pool_size=1, worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT 1", "a") + sync()).check()
    reply = c.ask(parse("SELECT 1/0") + bind() + execute() + parse("SELECT 2", "b") + sync() +
                  parse("SELECT 1", "c") + bind("c") + execute() + sync(), times=2)
    assert [e.sqlstate for e in reply.errors] == ["22012"] and reply.rows == [("1",)], reply.kinds
