# SPDX-License-Identifier: Apache-2.0
"""Transaction mode: settings follow their client over servers, and reach nobody else."""
from pgwire import query, unit
from servers import move, release

FOLLOWED = {
    "TimeZone": ("Asia/Tokyo", "America/Lima"),
    "DateStyle": ("German, DMY", "SQL, MDY"),
    "client_encoding": ("LATIN1", "WIN1252"),
    "application_name": ("one", "two"),
    "IntervalStyle": ("iso_8601", "sql_standard"),
    "standard_conforming_strings": ("off", "on"),
}


def test_followed(ctx):
    p = ctx.proxy(default_pool_size=8)
    a, b, plain = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    default = {name: plain.value(f"SHOW {name}") for name in FOLLOWED}
    for name, (first, second) in FOLLOWED.items():
        a.query(f"SET {name} = {quoted(name, first)}")
        b.run(f"SET {name} = {quoted(name, second)}")
    for _ in range(3):
        holders = move(ctx, p, a)
        for name, (first, second) in FOLLOWED.items():
            assert a.value(f"SHOW {name}") == first, name
            assert b.value(f"SHOW {name}") == second, name
            assert plain.value(f"SHOW {name}") == default[name], name
        release(holders)
    a.query("RESET TimeZone")
    assert a.value("SHOW TimeZone") == default["TimeZone"]
    assert b.value("SHOW TimeZone") == FOLLOWED["TimeZone"][1]


def quoted(name, value):
    return value if name == "DateStyle" else f"'{value}'"


def test_followed_results(ctx):
    """Not the name of a setting counts but what a client sees."""
    p = ctx.proxy(default_pool_size=1)
    tokyo, utc = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    tokyo.query("SET TimeZone = 'Asia/Tokyo'")
    utc.query("SET TimeZone = 'UTC'")
    sql = "SELECT '2024-01-01 00:00:00+00'::timestamptz"
    for _ in range(3):
        assert tokyo.value(sql) == "2024-01-01 09:00:00+09"
        assert utc.run(sql).value == "2024-01-01 00:00:00+00"
    latin, utf = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    latin.query("SET client_encoding = 'LATIN1'")
    for _ in range(3):
        assert latin.query("SELECT chr(233)").rows_raw == [[b"\xe9"]]
        assert utf.query("SELECT chr(233)").rows_raw == [["é".encode()]]


def test_set_in_transaction(ctx):
    """Rolled back with its transaction; SET LOCAL ends with it."""
    p = ctx.proxy(default_pool_size=8)
    c = ctx.keep(p.connect(ctx.db))
    before = c.value("SHOW TimeZone")
    for end, want in (("ROLLBACK", before), ("COMMIT", "Asia/Tokyo")):
        c.query("BEGIN")
        c.query("SET TimeZone = 'Asia/Tokyo'")
        assert c.value("SHOW TimeZone") == "Asia/Tokyo"
        c.query(end)
        assert c.value("SHOW TimeZone") == want
        holders = move(ctx, p, c)
        assert c.value("SHOW TimeZone") == want
        release(holders)
    c.query("BEGIN; SET LOCAL TimeZone = 'America/Lima'")
    assert c.value("SHOW TimeZone") == "America/Lima"
    c.query("COMMIT")
    assert c.value("SHOW TimeZone") == "Asia/Tokyo"


def test_startup_settings(ctx):
    p = ctx.proxy(default_pool_size=1)
    a = ctx.keep(p.connect(ctx.db, application_name="first", TimeZone="Asia/Tokyo"))
    b = ctx.keep(p.connect(ctx.db, application_name="second"))
    for _ in range(3):
        assert a.value("SHOW application_name") == "first"
        assert b.value("SHOW application_name") == "second"
        assert a.value("SHOW TimeZone") == "Asia/Tokyo"
    assert b.value("SHOW TimeZone") != "Asia/Tokyo"
    a.query("SET TimeZone = 'UTC'")
    assert a.value("SHOW TimeZone") == "UTC"


def test_hostile_values(ctx):
    """A value is data: quotes and backslashes in it do nothing."""
    p = ctx.proxy(default_pool_size=1)
    name = "x'; DROP TABLE t; --\\"
    ctx.sql("CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC; ALTER TABLE t OWNER TO app")
    a = ctx.keep(p.connect(ctx.db, application_name=name))
    b = ctx.keep(p.connect(ctx.db, application_name="b"))
    for _ in range(3):
        assert a.value("SHOW application_name") == name
        assert b.value("SHOW application_name") == "b"
        a.query("SET standard_conforming_strings = off")
        assert a.value("SHOW application_name") == name
    assert b.query("SELECT * FROM t").rows == []


def test_no_extra_answers(ctx):
    """Aligning a server adds nothing to what the client reads."""
    p = ctx.proxy(default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db, TimeZone="Asia/Tokyo")), ctx.keep(p.connect(ctx.db, TimeZone="UTC"))
    for _ in range(5):
        for c in (a, b):
            assert c.ask(query("SELECT 1")).kinds == "TDCZ"
            assert c.ask(unit("SELECT 1")).kinds == "12TDCZ"


def test_bad_set(ctx):
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    before = c.value("SHOW TimeZone")
    assert c.ask(query("SET TimeZone = 'Nowhere/Land'")).sqlstate() == "22023"
    assert c.value("SHOW TimeZone") == before


def test_set_config_function(ctx):
    p = ctx.proxy(default_pool_size=8)
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    default = other.value("SHOW TimeZone")
    c.run("SELECT set_config('TimeZone', 'Asia/Tokyo', false)")
    for _ in range(3):
        assert c.value("SHOW TimeZone") == "Asia/Tokyo"
        assert other.value("SHOW TimeZone") == default
    c.query("SELECT set_config('TimeZone', 'UTC', true)")
    assert c.value("SHOW TimeZone") == "Asia/Tokyo"
