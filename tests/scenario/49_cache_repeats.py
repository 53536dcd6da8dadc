# SPDX-License-Identifier: Apache-2.0
"""Units that come again byte by byte are known (repeats.h): what they mean may have changed all the same."""
from pgwire import bind, close, execute, parse, query, sync, unit

READ = "SELECT v FROM t WHERE id = 1"
NAMED = bind("s", [1]) + execute() + sync()


def table(ctx):
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text, n int); GRANT ALL ON t TO app;"
            "INSERT INTO t VALUES (1, 'one', 11), (2, 'two', 22)")
    return ctx.cache_proxy(worker_threads=1)  # what one has learnt of them another has not


def known(ctx, p, ask):
    """Asks until it was answered from the cache a few times; returns the answer."""
    answer = ctx.wait_hit(p, ask)
    for _ in range(3):
        assert ctx.wait_hit(p, ask) == answer
    return answer


def test_a_name_of_another_client(ctx):
    """The same Bind, of a name that means something else to the next client, or to this one later."""
    p = table(ctx)
    one, two = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    one.ask(parse("SELECT v FROM t WHERE id = $1", "s") + sync())
    two.ask(parse("SELECT n FROM t WHERE id = $1", "s") + sync())
    assert known(ctx, p, lambda: one.ask(NAMED).rows) == [("one",)]
    for _ in range(4):
        assert two.ask(NAMED).rows == [("11",)]
        assert one.ask(NAMED).rows == [("one",)]
    assert known(ctx, p, lambda: two.ask(NAMED).rows) == [("11",)]
    one.ask(close("S", "s") + sync())
    assert one.ask(NAMED).sqlstate() == "26000"
    one.ask(parse("SELECT v, n FROM t WHERE id = $1", "s") + sync())
    assert known(ctx, p, lambda: one.ask(NAMED).rows) == [("one", "11")]
    # The unnamed one: a Bind of it, too, means what was parsed last.
    bound = bind("", [1]) + execute() + sync()
    one.ask(parse("SELECT v FROM t WHERE id = $1") + sync())
    assert known(ctx, p, lambda: one.ask(bound).rows) == [("one",)]
    one.ask(parse("SELECT n FROM t WHERE id = $1") + sync())
    assert known(ctx, p, lambda: one.ask(bound).rows) == [("11",)]


def test_settings_and_roles(ctx):
    p = table(ctx)
    ctx.sql("CREATE ROLE onlooker; GRANT onlooker TO app; GRANT USAGE ON SCHEMA public TO onlooker;"
            "ALTER TABLE t ADD at timestamptz DEFAULT '2024-03-01 12:00+00';"
            "CREATE SCHEMA s2; CREATE TABLE s2.t AS SELECT id, 'elsewhere'::text AS v, n, at FROM t;"
            "GRANT USAGE ON SCHEMA s2 TO app; GRANT SELECT ON s2.t TO app")
    c, d = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    when = query("SELECT at FROM t WHERE id = 1")
    utc = known(ctx, p, lambda: c.ask(when).rows)
    assert d.ask(when).rows == utc
    d.query("SET TimeZone = 'Asia/Tokyo'")
    assert d.ask(when).rows != utc and c.ask(when).rows == utc
    tokyo = known(ctx, p, lambda: d.ask(when).rows)
    assert tokyo != utc and c.ask(when).rows == utc
    read = query(READ)
    assert known(ctx, p, lambda: c.ask(read).rows) == [("one",)]
    d.query("SET search_path = s2")
    assert known(ctx, p, lambda: d.ask(read).rows) == [("elsewhere",)]
    assert c.ask(read).rows == [("one",)]
    d.query("RESET search_path; SET ROLE onlooker")
    for _ in range(3):
        assert d.ask(read).sqlstate() == "42501"
        assert c.ask(read).rows == [("one",)]
    d.query("RESET ROLE")
    ctx.sql("DROP OWNED BY onlooker; DROP ROLE onlooker")


def test_another_schema(ctx):
    """Another column, a table in front of it, a right that is gone."""
    p = table(ctx)
    c, admin = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "postgres"))
    whole, read = query("SELECT * FROM t WHERE id = 1"), query(READ)
    assert known(ctx, p, lambda: c.ask(whole).rows) == [("1", "one", "11")]
    admin.query("ALTER TABLE t ADD w text DEFAULT 'new'")
    assert known(ctx, p, lambda: c.ask(whole).rows) == [("1", "one", "11", "new")]
    known(ctx, p, lambda: c.ask(read).rows)
    admin.query("CREATE SCHEMA app AUTHORIZATION app; CREATE TABLE app.t AS SELECT 1 AS id, 'in front'::text AS v;"
                "GRANT SELECT ON app.t TO app")
    assert known(ctx, p, lambda: c.ask(read).rows) == [("in front",)]
    admin.query("DROP SCHEMA app CASCADE")
    assert known(ctx, p, lambda: c.ask(read).rows) == [("one",)]
    admin.query("REVOKE ALL ON t FROM app")
    for _ in range(4):
        assert c.ask(read).sqlstate() == "42501"


def test_writes_transactions_and_pins(ctx):
    p = table(ctx)
    c, d = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    read = query(READ)
    known(ctx, p, lambda: c.ask(read).rows)
    for i in range(20):
        (c, d)[i % 2].query(f"UPDATE t SET v = '{i}' WHERE id = 1")
        assert c.ask(read).rows == d.ask(read).rows == [(str(i),)]
    known(ctx, p, lambda: c.ask(read).rows)
    # Within its transaction a client sees what it wrote, and then what the snapshot shows; with a
    # temporary table its own. The other one hits meanwhile: the cache is as fresh as it need be.
    def differ(mine, theirs):
        for _ in range(3):
            assert known(ctx, p, lambda: d.ask(read).rows) == [(theirs,)]
            assert c.ask(read).rows == [(mine,)]

    c.query("BEGIN; UPDATE t SET v = 'mine' WHERE id = 1")
    differ("mine", "19")
    c.query("ROLLBACK")
    c.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert c.ask(read).rows == [("19",)]
    d.query("UPDATE t SET v = 'later' WHERE id = 1")
    differ("19", "later")
    c.query("COMMIT")
    assert known(ctx, p, lambda: c.ask(read).rows) == [("later",)]
    c.query("CREATE TEMP TABLE t AS SELECT 1 AS id, 'hidden'::text AS v")
    differ("hidden", "later")
    c.query("DROP TABLE pg_temp.t")
    assert known(ctx, p, lambda: c.ask(read).rows) == [("later",)]


def test_another_configuration(ctx):
    p = table(ctx)
    c = ctx.keep(p.connect(ctx.db))
    known(ctx, p, lambda: c.ask(query(READ)).rows)
    p.cache_rules["no_t"] = "table=public.t action=exclude"
    p.reload()
    ctx.never_hit(p, lambda: c.query(READ))
    del p.cache_rules["no_t"]
    p.reload()
    known(ctx, p, lambda: c.ask(query(READ)).rows)


def test_more_than_one_in_a_run(ctx):
    """A unit at the head of a run, and one that comes in two parts."""
    p = table(ctx)
    c = ctx.keep(p.connect(ctx.db))
    one, two = query(READ), query("SELECT v FROM t WHERE id = 2")
    known(ctx, p, lambda: c.ask(one).rows)
    known(ctx, p, lambda: c.ask(two).rows)
    for _ in range(3):
        c.send(one + two + one)
        assert [c.until_ready().rows for _ in range(3)] == [[("one",)], [("two",)], [("one",)]]
