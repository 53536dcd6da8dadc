# SPDX-License-Identifier: Apache-2.0
"""unsafe_state: what cannot be moved pins, warns, or is refused; SHOW PINS says who and why."""
from pgwire import bind, describe, execute, parse, query, sync, unit

UNSAFE = {
    "temp": "CREATE TEMP TABLE x(i int)",
    "advisory": "SELECT pg_advisory_lock(1)",
    "cursor": "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
}


def test_pin(ctx):
    p = ctx.proxy(default_pool_size=4)
    a = ctx.keep(p.connect(ctx.db, application_name="keeper"))
    assert p.console("SHOW PINS") == []
    for sql in UNSAFE.values():
        a.query(sql)
    rows = p.wait(lambda: p.console("SHOW PINS"), "the pins")
    assert {row["reason"] for row in rows} == set(UNSAFE), rows
    pid = a.value("SELECT pg_backend_pid()")
    for row in rows:
        assert (row["database"], row["user"], row["application_name"]) == (ctx.db, "app", "keeper"), row
        assert row["remote_pid"] == pid and int(row["age"]) < 60, row
    a.query("DROP TABLE x; SELECT pg_advisory_unlock(1)")
    a.query("CLOSE c")
    p.wait(lambda: p.console("SHOW PINS") == [], "the end of the pins")


def test_warn(ctx):
    p = ctx.proxy(default_pool_size=4, unsafe_state="warn")
    a = ctx.keep(p.connect(ctx.db))
    for sql in UNSAFE.values():
        for send in (query, unit):
            reply = a.ask(send(sql))
            notices = [m for m in reply.messages if m.kind == "N" and b"unsafe_state = warn" in m.body]
            assert len(notices) == (1 if send is query else 0), (sql, reply)
            a.query("DISCARD ALL") if send is unit else None
    p.wait_log(r"a temporary object keeps this client's server")
    with p.connect(ctx.db) as b:
        assert b.ask(query("SELECT 1")).kinds == "TDCZ"


def refused(reply):
    assert reply.sqlstate() == "0A000", reply
    assert "unsafe_state = error" in reply.errors[0].text, reply


def test_error(ctx):
    p = ctx.proxy(default_pool_size=1, unsafe_state="error")
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for sql in UNSAFE.values():
        refused(a.ask(query(sql)))
        refused(a.ask(unit(sql)))
        refused(a.ask(parse(sql, "named") + sync()))
        refused(a.ask(parse(sql) + bind() + describe() + execute() + sync()))
        assert b.value("SELECT 1") == "1"
        # In a transaction it fails as any error does.
        a.query("BEGIN")
        assert a.value("SELECT 2") == "2"
        refused(a.ask(query(sql)))
        assert a.ask(query("SELECT 3")).sqlstate() == "25P02"
        a.query("ROLLBACK")
        a.query("BEGIN")
        refused(a.ask(unit(sql)))
        assert a.ask(unit("SELECT 3")).sqlstate() == "25P02"
        a.run("ROLLBACK")
        # In a pipeline what stands before it is kept, what stands behind it in its batch is skipped.
        reply = a.ask(unit("SELECT 4").removesuffix(sync()) + unit(sql) + unit("SELECT 5"), times=2)
        assert reply.kinds == "12TDCEZ12TDCZ", reply
    assert p.console("SHOW PINS") == []
    a.query("SET work_mem = '5MB'")
    assert b.value("SHOW work_mem") == "4MB"
    assert a.value("SHOW work_mem") == "5MB"


def test_session_mode(ctx):
    p = ctx.proxy(pool_mode="session", unsafe_state="error")
    with p.connect(ctx.db) as c:
        for sql in UNSAFE.values():
            c.query(sql)
