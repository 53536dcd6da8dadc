# SPDX-License-Identifier: Apache-2.0
"""What people say of the cache: rules in the file, hints in the text, a ttl; and what it says of itself."""
import threading
import time

from cluster import free_port
from pgwire import bind, execute, parse, query, sync, unit
from proxy import CACHE_SETTINGS
from relay import Relay

EXPLAIN = "/* pgweir: explain */ "


def tables(ctx):
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, v text, n int); INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 20) i;"
            "CREATE TABLE u(id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'u1');"
            "CREATE SCHEMA audit; CREATE TABLE audit.log(id int PRIMARY KEY, v text); INSERT INTO audit.log VALUES (1, 'l1');"
            "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';"
            "CREATE FUNCTION sum_of_n() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(n) FROM t';"
            "GRANT USAGE ON SCHEMA audit TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA public, audit TO app, other")


def said(reply):
    """What the one NOTICE of ours says; it stands in front of ReadyForQuery."""
    reply.check()
    ours = [n["M"] for n in reply.notices if n["M"].startswith("pgweir: ")]
    assert len(ours) == 1, ours
    kinds = [m.kind for m in reply.messages]
    assert kinds[-1] == "Z" and kinds[-2] == "N", kinds
    return ours[0]


def simple(c, sql):
    return said(c.ask(query(sql)))


def extended(c, sql, params=()):
    return said(c.ask(unit(sql, params)))


def wait_said(p, ask, what):
    """Repeats until the sentence begins with "pgweir: WHAT"; returns it."""
    last = []

    def is_said():
        last[:] = [ask()]
        return last[0].startswith(f"pgweir: {what}")
    try:
        p.wait(is_said, what, 5, interval=0.003)
    except TimeoutError:
        raise AssertionError(f"wanted {what!r}, last said {last[0]!r}") from None
    return last[0]


# ---- explain


def test_explain(ctx):
    """Each sentence in both protocols, at its place, and nothing for those who did not ask."""
    tables(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for n, ask in enumerate((simple, extended)):
        sql = f"{EXPLAIN}SELECT v FROM t WHERE id = {n + 1}"
        wait_said(p, lambda: ask(c, sql), "miss, the server's answer of")
        hit = wait_said(p, lambda: ask(c, sql), "hit, the answer is")
        assert "ms old and holds until a write to public.t" in hit, hit
        ctx.sql(f"UPDATE t SET v = 'w' WHERE id = {n + 1}")
        assert "is stored; it depends on public.t" in wait_said(p, lambda: ask(c, sql), "miss, the server's answer of"), sql
    join = EXPLAIN + "SELECT t.v FROM t JOIN audit.log l USING (id)"
    assert "public.t, audit.log" in wait_said(p, lambda: simple(c, join), "hit")
    for sql, reason in (("SELECT now(), v FROM t", "volatile_function"), ("SELECT twice(n) FROM t", "unknown_function"),
                        ("SELECT 1", "no_relation"), ("SELECT v FROM t FOR UPDATE", "locking"),
                        ("UPDATE t SET v = v WHERE id = 1", "not_select"), ("SELECT relname FROM pg_class LIMIT 1", "catalog_relation"),
                        ("SELECT v FROM t WHERE ctid = '(0,1)'", "unsupported")):
        for ask in (simple, extended):
            assert ask(c, EXPLAIN + sql).startswith(f"pgweir: bypass ({reason}), "), (sql, ask(c, EXPLAIN + sql))
    assert simple(c, EXPLAIN + "SELECT v FROM t; SELECT 1").startswith("pgweir: bypass (multi_statement), several")
    # The hint may stand anywhere a comment may; a string is none, nor a comment within another.
    for sql in ("SELECT v /* pgweir: explain */ FROM t", "SELECT v FROM t /*PGWEIR:explain*/", "SELECT v FROM t -- x\n/* pgweir: explain */;"):
        assert simple(c, sql).startswith("pgweir: "), sql
    for sql in ("SELECT v, '/* pgweir: explain */' FROM t", "SELECT v FROM t -- /* pgweir: explain */", "SELECT v FROM t /* /* pgweir: explain */ */",
                "SELECT v FROM t"):
        assert not c.ask(query(sql)).check().notices, sql
    # client_min_messages is about the server's own.
    c.query("SET client_min_messages = error")
    assert simple(c, EXPLAIN + "SELECT 1").startswith("pgweir: bypass")


def test_explain_in_transaction(ctx):
    tables(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    c.query("INSERT INTO u VALUES (2, 'x')")
    for ask in (simple, extended):
        assert ask(c, EXPLAIN + "SELECT v FROM t WHERE id = 3").startswith("pgweir: bypass (transaction), "), ask
    c.query("ROLLBACK")
    # An error in between, a prepared statement, a pipeline.
    assert c.ask(query(EXPLAIN + "SELECT v / 0 FROM t")).errors
    c.ask(parse(EXPLAIN + "SELECT v FROM t WHERE id = $1", "s") + sync()).check()
    wait_said(p, lambda: said(c.ask(bind("s", (4,)) + execute() + sync())), "hit")
    assert "rows" in simple(c, EXPLAIN + "SELECT v FROM t LIMIT 0 FOR SHARE")
    c.send(query("SELECT 1 FROM pg_sleep(0.01)") + query(EXPLAIN + "SELECT v FROM t WHERE id = 4"))
    both = c.until_ready(2).check()
    assert any("pgweir: " in n["M"] for n in both.notices), both.notices


def test_explain_without_cache(ctx):
    """Where there is no cache, or it is not on, that is said."""
    tables(ctx)
    p = ctx.proxy()
    c = ctx.keep(p.connect(ctx.db))
    for ask in (simple, extended):
        assert ask(c, EXPLAIN + "SELECT v FROM t") == "pgweir: bypass (disabled), the cache is switched off here"
    q = ctx.proxy(**{**CACHE_SETTINGS, "control_user": "other"})
    c = ctx.keep(q.connect(ctx.db))
    sentence = simple(c, EXPLAIN + "SELECT v FROM t")
    assert sentence.startswith("pgweir: bypass (off), nothing is known of the database's writes at the moment: "), sentence


def test_unknown_words(ctx):
    tables(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    before = p.cache()["hint_unknown"]
    assert not c.ask(query("/* pgweir: frobnicate */ SELECT v FROM t")).check().notices
    assert p.cache()["hint_unknown"] == before + 1
    assert "a word in the hint means nothing" in simple(c, "/* pgweir: explain ttl=soon */ SELECT v FROM t")


def test_nocache(ctx):
    tables(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    sql = "SELECT v FROM t WHERE id = 1 /* pgweir: nocache */"
    ctx.never_hit(p, lambda: (c.query(sql), c.run(sql)))
    assert simple(c, sql + EXPLAIN).startswith("pgweir: bypass (hint), ")
    assert p.cache()["bypass_hint"] > 0
    ctx.wait_hit(p, lambda: c.query("SELECT v FROM t WHERE id = 1"))


# ---- rules


def test_rules(ctx):
    """Each condition, the order, and what a table's rule means for a join."""
    tables(ctx)
    p = ctx.cache_proxy(cache_rules={
        "first": "text='select v from t where id = ?' action=cache",
        "by_text": "text='select v from*id = ?' action=exclude",
        "by_table": "table=audit.* action=exclude",
        "by_user": "user=other action=exclude",
        "by_database": f"database={ctx.db}_x action=exclude",
        "asked": "table=u action=hint",
    })
    c, o = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, "other"))
    assert wait_said(p, lambda: simple(c, EXPLAIN + "SELECT v  FROM t\nWHERE id = 5"), "hit").endswith("; rule first")
    wait_said(p, lambda: extended(c, EXPLAIN + "SELECT n FROM t WHERE id = $1", (5,)), "hit")
    for client, sql, rule in ((c, "SELECT v FROM u WHERE id = 1", "by_text"), (c, "SELECT * FROM audit.log", "by_table"),
                              (c, "SELECT t.n FROM t, audit.log", "by_table"), (o, "SELECT n FROM t WHERE id = 5", "by_user")):
        for ask in (simple, extended):
            sentence = wait_said(p, lambda: ask(client, EXPLAIN + sql), "bypass (rule), ")
            assert sentence.endswith(f"; rule {rule}"), sentence
    assert simple(c, EXPLAIN + "SELECT * FROM u").startswith("pgweir: bypass (on_request), ")
    wait_said(p, lambda: simple(c, "/* pgweir: cache explain */ SELECT * FROM u"), "hit")
    # What is excluded stays so, whatever the hint.
    assert simple(c, "/* pgweir: cache explain */ SELECT * FROM audit.log").startswith("pgweir: bypass (rule), ")
    figures = p.cache()
    assert figures["bypass_rule"] >= 8 and figures["bypass_on_request"] >= 1, figures


def test_reload(ctx):
    """The next query is judged by the new rules."""
    tables(ctx)
    p = ctx.cache_proxy(worker_threads=1)
    c = ctx.keep(p.connect(ctx.db))
    sql = EXPLAIN + "SELECT v FROM t WHERE id = 1"
    wait_said(p, lambda: simple(c, sql), "hit")
    p.cache_rules["no_t"] = "table=public.t action=exclude"
    p.reload()
    assert simple(c, sql).startswith("pgweir: bypass (rule)")
    ctx.sql("UPDATE t SET v = 'other' WHERE id = 1")
    assert c.value("SELECT v FROM t WHERE id = 1") == "other"
    del p.cache_rules["no_t"]
    p.reload()
    wait_said(p, lambda: simple(c, sql), "hit")
    assert c.value(sql) == "other"
    # A broken rule changes nothing.
    p.cache_rules["broken"] = "table=public.t actoin=exclude"
    p.reload()
    p.wait_log(r"pgweir.ini:\d+: cache rule broken: unrecognized parameter: actoin \(did you mean action\?\)")
    wait_said(p, lambda: simple(c, sql), "hit")


def test_force(ctx):
    """The user's own functions are cached by the tables of the text; what may never be is not."""
    tables(ctx)
    p = ctx.cache_proxy(cache_rules={"force": "text=*twice(* action=force", "clock": "text='select sum_of_n()' action=force ttl=1h",
                                     "second": "text='select clock_timestamp()' action=force ttl=1s",
                                     "never": "text='select sum_of_n(), ?' action=force", "rest": "user=app action=force"})
    c = ctx.keep(p.connect(ctx.db))
    sql = EXPLAIN + "SELECT twice(n) FROM t WHERE id = 2"
    for ask in (simple, extended):
        wait_said(p, lambda: ask(c, sql), "hit")
    assert c.value(sql) == "4"
    c.query("UPDATE t SET n = 50 WHERE id = 2")
    for _ in range(5):
        assert c.value(sql) == "100"
    wait_said(p, lambda: simple(c, sql), "hit")
    # Without a table only with a ttl.
    wait_said(p, lambda: simple(c, EXPLAIN + "SELECT sum_of_n()"), "hit")
    assert simple(c, EXPLAIN + "SELECT sum_of_n(), 1").startswith("pgweir: bypass (unknown_function)")
    ctx.wait_hit(p, lambda: c.query("SELECT clock_timestamp()"))
    was = c.value("SELECT clock_timestamp()")
    p.wait(lambda: c.value("SELECT clock_timestamp()") != was, "the end of what only a ttl ends")
    wait_said(p, lambda: simple(c, EXPLAIN + "SELECT now(), v FROM t WHERE id = 1"), "hit")
    for never in ("SELECT twice(n) FROM t FOR UPDATE", "INSERT INTO u SELECT twice(50 + (random() * 1e8)::int), 'x'",
                  "WITH x AS (DELETE FROM u RETURNING twice(id)) SELECT * FROM x", "SELECT twice(1), relname FROM pg_class LIMIT 1",
                  "SELECT twice(n), pg_advisory_lock(1) FROM t WHERE id = 1", "SELECT twice(n), set_config('a.b', 'c', false) FROM t",
                  "SELECT twice(n), currval('s') FROM t WHERE false"):
        before = p.cache()["hits"]
        ctx.sql("CREATE SEQUENCE IF NOT EXISTS s; GRANT ALL ON s TO app")
        for _ in range(4):
            c.ask(query(never))
            c.ask(unit(never))
        assert p.cache()["hits"] == before, never
        c.query("SELECT pg_advisory_unlock_all()")


# ---- ttl


def test_ttl_by_hint(ctx):
    """Only who accepts it gets a stale row; within its time; never after a write of its own."""
    tables(ctx)
    p = ctx.cache_proxy()
    c, other = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    stale = "/* pgweir: ttl=60s explain */ SELECT v FROM t WHERE id = 7"
    exact = "SELECT v FROM t WHERE id = 7"
    for ask in (simple, extended):
        ctx.sql("UPDATE t SET v = 'old' WHERE id = 7")
        p.console("CACHE FLUSH")
        wait_said(p, lambda: ask(c, stale), "hit")
        before = p.cache()["ttl_hits"]
        ctx.sql("UPDATE t SET v = 'new' WHERE id = 7")
        sentence = wait_said(p, lambda: ask(c, stale), "hit by ttl")
        assert "may be stale, 60.0 s are accepted" in sentence, sentence
        assert c.ask(query(stale) if ask is simple else unit(stale)).value == "old"
        assert p.cache()["ttl_hits"] >= before + 2
        p.wait(lambda: c.value(exact) == "new" and other.value(exact) == "new", "the new row for who did not accept")
        # A write of its own: never again what is older.
        c.query("UPDATE u SET v = 'mine'")
        assert c.value(stale) == "new"
    # The others who accept it still may; over its time nobody does.
    ctx.sql("UPDATE t SET v = 'newer' WHERE id = 7")
    wait_said(p, lambda: simple(other, stale), "hit by ttl")
    assert other.value("/* pgweir: ttl=1us */ SELECT v FROM t WHERE id = 7") == "newer"
    brief = "/* pgweir: ttl=200ms explain */ SELECT v FROM t WHERE id = 8"
    wait_said(p, lambda: simple(other, brief), "hit, ")
    ctx.sql("UPDATE t SET v = 'late' WHERE id = 8")
    p.wait(lambda: other.value(brief) == "late", "the end of its time", 3)


def test_ttl_limits(ctx):
    """A rule's ttl counts for its queries; cache_hint_max_ttl = 0 leaves hints nothing."""
    tables(ctx)
    p = ctx.cache_proxy(cache_hint_max_ttl=0, cache_rules={"slow": "table=u ttl=1h", "short": "table=log ttl=1us"})
    c = ctx.keep(p.connect(ctx.db))
    u, t = EXPLAIN + "SELECT v FROM u WHERE id = 1", "/* pgweir: ttl=1h explain */ SELECT v FROM t WHERE id = 1"
    log = "/* pgweir: ttl=1h explain */ SELECT v FROM audit.log"
    for sql in (u, t, log):
        wait_said(p, lambda: simple(c, sql), "hit, ")
    ctx.sql("UPDATE u SET v = 'x'; UPDATE t SET v = 'x'; UPDATE audit.log SET v = 'x'")
    assert wait_said(p, lambda: simple(c, u), "hit by ttl").endswith("; rule slow")
    assert c.value(u) == "u1"
    p.wait(lambda: c.value(t) == "x" and c.value(log) == "x", "the new rows")
    # A join with a table that the rule does not name.
    join = EXPLAIN + "SELECT u.v FROM u, t WHERE t.id = 1"
    wait_said(p, lambda: simple(c, join), "hit, ")
    ctx.sql("UPDATE u SET v = 'y'")
    p.wait(lambda: c.value(join) == "y", "the new row")


def test_ttl_and_schema(ctx):
    """DDL and REVOKE end it at once, unless the rule says otherwise."""
    tables(ctx)
    p = ctx.cache_proxy(cache_rules={"on": "table=u ttl=1h", "always": "table=audit.log ttl=1h ttl_without_events=1"})
    c = ctx.keep(p.connect(ctx.db))
    sql, always = EXPLAIN + "SELECT v FROM u", EXPLAIN + "SELECT v FROM audit.log"
    wait_said(p, lambda: simple(c, sql), "hit, ")
    wait_said(p, lambda: simple(c, always), "hit, ")
    with p.connect(ctx.db, "postgres") as dba:
        # From the other role, too: app may be a member of it.
        dba.query("REVOKE SELECT ON u FROM app, other; REVOKE SELECT ON audit.log FROM app, other")
    for _ in range(10):
        reply = c.ask(query(sql))
        assert reply.sqlstate() == "42501", reply.messages
        time.sleep(0.003)
    # The session's profile must be known again; then it is served.
    seen = []

    def served():
        reply = c.ask(query(always))
        seen.append(reply.sqlstate() if reply.errors else said(reply))
        return seen[-1].startswith("pgweir: hit by ttl")
    p.wait(served, "a hit across the REVOKE")
    # Without the stream, too.
    ctx.sql("GRANT SELECT ON audit.log TO app; GRANT SELECT ON u TO app")
    wait_said(p, lambda: simple(c, sql), "hit, ")
    wait_said(p, lambda: simple(c, always), "hit")


# ---- flush


def test_flush(ctx):
    """All of it, or what depends on one table; by admins only."""
    tables(ctx)
    p = ctx.cache_proxy(stats_users="app")
    c = ctx.keep(p.connect(ctx.db))
    t, u = EXPLAIN + "SELECT v FROM t WHERE id = 1", EXPLAIN + "SELECT v FROM u"
    ttl = "/* pgweir: ttl=1h explain */ SELECT v FROM t WHERE id = 2"
    for sql in (t, u, ttl):
        wait_said(p, lambda: simple(c, sql), "hit, ")
    ctx.sql("UPDATE t SET v = 'changed' WHERE id = 2")
    wait_said(p, lambda: simple(c, ttl), "hit by ttl")
    p.console("CACHE FLUSH public.t")
    assert simple(c, u).startswith("pgweir: hit, ")
    assert not simple(c, t).startswith("pgweir: hit")
    assert c.value(ttl) == "changed"
    wait_said(p, lambda: simple(c, t), "hit, ")
    p.console("CACHE FLUSH")
    assert p.cache()["entries"] == 0
    for sql in (t, u, ttl):
        assert not simple(c, sql).startswith("pgweir: hit"), sql
    # Of a view: what it reads.
    ctx.sql("CREATE VIEW seen AS SELECT v FROM u; GRANT SELECT ON seen TO app")
    view = EXPLAIN + "SELECT v FROM seen"
    wait_said(p, lambda: simple(c, view), "hit, ")
    # Again and again, while nothing is written anywhere: what was read before is gone each time.
    for sql, name in (view, "seen"), (t, "t"), (u, "public.u"):
        for _ in range(10):
            wait_said(p, lambda: simple(c, sql), "hit, ")
            p.console(f"CACHE FLUSH {name}")
            assert not simple(c, sql).startswith("pgweir: hit"), sql
    with p.connect("pgbouncer", "console") as admin:
        assert "no followed database knows" in admin.ask(query("CACHE FLUSH public.nothing")).errors[0].text
        assert admin.ask(query("CACHE FLUSH public.t extra")).errors
        assert admin.ask(query("CACHE DRAIN")).errors
        assert not admin.ask(query('CACHE FLUSH "public"."t";')).errors
        assert not admin.ask(query("CACHE FLUSH t")).errors
    with p.connect("pgbouncer", "app") as watcher:
        assert "admin access needed" in watcher.ask(query("CACHE FLUSH")).errors[0].text
        assert watcher.query("SHOW CACHE TABLES").rows is not None


def test_show_tables(ctx):
    tables(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    for i in range(1, 6):
        ctx.wait_hit(p, lambda: c.query(f"SELECT v FROM t WHERE id = {i}"))
    ctx.wait_hit(p, lambda: c.query("SELECT * FROM t, audit.log"))

    def row(schema, table):
        rows = p.console("SHOW CACHE_TABLES")
        found = [r for r in rows if (r["schema"], r["table"]) == (schema, table)]
        assert len(found) == 1 and found[0]["database"].startswith(f"{ctx.db}@"), rows
        return {k: int(v) for k, v in found[0].items() if k not in ("database", "schema", "table")}
    t, log = row("public", "t"), row("audit", "log")
    assert (t["entries"], log["entries"]) == (6, 1), (t, log)
    assert t["hits"] >= 6 and t["bytes"] > log["bytes"] > 0 and t["invalidations"] == 0, (t, log)
    ctx.sql("UPDATE t SET v = 'x' WHERE id = 1")
    p.wait(lambda: row("public", "t")["invalidations"] == 1, "the event")
    assert list(p.console("SHOW CACHE TABLES")[0]) == ["database", "schema", "table", "entries", "bytes", "hits", "invalidations"]


def test_show_queries(ctx):
    """By text without constants: hits, misses, bypasses and the sentence why; only while track_queries is on."""
    tables(ctx)
    p = ctx.cache_proxy(worker_threads=2)
    c = ctx.keep(p.connect(ctx.db))
    assert p.console("SHOW CACHE QUERIES") == p.console("SHOW CACHE_QUERIES") == []
    p.console("SET track_queries = 100")

    def row(part):
        found = [r for r in p.console("SHOW CACHE QUERIES") if part in r["query"]]
        assert len(found) <= 1, found
        return found[0] if found else None

    def hit():
        c.query("SELECT v FROM t WHERE id = 1")
        return row("SELECT v FROM t WHERE id = ?") and int(row("SELECT v FROM t WHERE id = ?")["hits"]) >= 3
    p.wait(hit, "hits")
    before = p.cache()
    one = row("SELECT v FROM t WHERE id = ?")
    assert list(one) == ["database", "hits", "misses", "bypasses", "hit_percent", "hit_bytes", "saved_time", "reason", "meaning", "query"]
    assert one["database"] == ctx.db and int(one["misses"]) >= 1 and int(one["hit_bytes"]) > 0 and int(one["saved_time"]) > 0, one
    for _ in range(3):
        c.query("SELECT now(), v FROM t")
        c.run("SELECT now(), v FROM t")
    never = row("SELECT now(), v")
    assert (never["bypasses"], never["hits"], never["hit_percent"], never["reason"]) == ("6", "0", "0", "volatile_function"), never
    assert never["meaning"] == "calls a function, itself or in a view, that depends on more than the data"
    c.query("BEGIN")
    c.query("UPDATE u SET v = 'x'")
    c.query("SELECT n FROM t WHERE id = 2")
    c.query("COMMIT")
    assert row("SELECT n FROM t")["reason"] == "transaction", row("SELECT n FROM t")
    assert p.cache()["bypass_volatile_function"] == before["bypass_volatile_function"] + 6


# ---- inside of transactions


ISOLATED = ("BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE")


def test_ttl_in_transactions(ctx):
    """As outside while the transaction has only read; not in another isolation, and not after a write."""
    tables(ctx)
    p = ctx.cache_proxy()
    stale = "/* pgweir: ttl=60s explain */ SELECT v FROM t WHERE id = 7"
    exact = "SELECT v FROM t WHERE id = 7"
    for lazy in ("on", "off"):
        p.reload(lazy_begin=lazy)
        c = ctx.keep(p.connect(ctx.db))
        ctx.sql("UPDATE t SET v = 'old' WHERE id = 7")
        p.wait(lambda: ctx.wait_hit(p, lambda: c.value(exact)) == "old", "the event of that")
        p.console("CACHE FLUSH")
        wait_said(p, lambda: simple(c, stale), "hit, ")
        ctx.sql("UPDATE t SET v = 'new' WHERE id = 7")
        c.query("BEGIN")
        wait_said(p, lambda: simple(c, stale), "hit by ttl")
        assert c.value(stale) == "old"
        p.wait(lambda: c.value(exact) == "new", "the new row for a statement that does not accept the old one")
        c.query("COMMIT")
        before = p.cache()["ttl_hits"]
        for begin in ISOLATED:
            c.query(begin)
            for _ in range(4):
                assert c.value(stale) == "new", begin
                time.sleep(0.003)
            c.query("COMMIT")
        c.query("BEGIN")
        c.query("UPDATE u SET v = 'mine'")
        for _ in range(4):
            assert c.value(stale) == "new"
            time.sleep(0.003)
        c.query("ROLLBACK")
        assert p.cache()["ttl_hits"] == before
        # And never what is older than its own last commit, whatever that wrote.
        c.query("BEGIN")
        c.query("UPDATE u SET v = 'mine'")
        c.query("COMMIT")
        c.query("BEGIN")
        assert c.value(stale) == "new"
        c.query("COMMIT")


def test_hints_in_transactions(ctx):
    """What they say of each statement, and that a word in a text does not end the hits of the others."""
    tables(ctx)
    p = ctx.cache_proxy()
    c = ctx.keep(p.connect(ctx.db))
    sql, around = EXPLAIN + "SELECT v FROM t WHERE id = 1", "/* pgweir: nocache explain */ SELECT v FROM t WHERE id = 1"
    wait_said(p, lambda: simple(c, sql), "hit, ")
    wait_said(p, lambda: extended(c, sql), "hit, ")
    c.query("BEGIN")
    assert simple(c, sql).startswith("pgweir: hit, ")
    assert extended(c, sql).startswith("pgweir: hit, ")
    assert simple(c, around).startswith("pgweir: bypass (hint)")
    wait_said(p, lambda: simple(c, sql), "hit, ")
    c.query("UPDATE u SET v = 'x'")
    for ask in (simple, extended, simple, extended):
        assert ask(c, sql).startswith("pgweir: bypass (transaction)"), ask(c, sql)
        time.sleep(0.003)
    c.query("ROLLBACK")
    c.query(ISOLATED[0])
    for _ in range(4):
        assert simple(c, sql).startswith("pgweir: bypass (transaction)")
        time.sleep(0.003)
    assert c.ask(query("SELECT 1/0")).status == "E"
    reply = c.ask(query(sql))
    assert (reply.sqlstate(), reply.rows, reply.status) == ("25P02", [], "E")
    c.query("ROLLBACK")
    wait_said(p, lambda: simple(c, sql), "hit, ")


def test_audit_in_transactions(ctx):
    """Hits of transactions are audited like others, on servers of their own; a write of the same transaction that
    has been committed meanwhile explains a difference."""
    tables(ctx)
    p = ctx.cache_proxy(cache_audit_rate=1, default_pool_size=3)
    c = ctx.keep(p.connect(ctx.db))
    sql = "SELECT v FROM t WHERE id = 1"
    p.wait(lambda: ctx.hits(p, lambda: c.query("SELECT v FROM t WHERE id = 2")), "a hit")
    began = p.cache()["audits"]
    for n in range(200):
        value = c.value(sql)
        c.query("BEGIN")
        assert c.value(sql) == value
        c.query(f"UPDATE t SET v = 'n{n}' WHERE id = 1")
        assert c.value(sql) == f"n{n}"
        c.query("COMMIT" if n % 2 else "ROLLBACK")
        p.wait(lambda: ctx.hits(p, lambda: c.query(sql)), "a hit")
        if n >= 20 and p.cache()["audits"] >= began + 10:
            break
    assert p.cache()["audits"] >= began + 10, p.cache()
    p.wait(lambda: p.pool(ctx.db)["sv_tested"] == "0", "the end of the audits", interval=0.02)
    assert p.cache()["audit_mismatches"] == 0 and "cache audit" not in p.log(), p.cache()


# ---- audit


def audited(p, at_least=1):
    p.wait(lambda: p.cache()["audits"] >= at_least, f"{at_least} audits", interval=0.02)


def test_audit_finds(ctx):
    """A write that nobody told of: with invalidation = proxy, behind the proxy's back."""
    tables(ctx)
    p = ctx.cache_proxy(invalidation="proxy", cache_audit_rate=1, http_listen=f"127.0.0.1:{free_port()}")
    c = ctx.keep(p.connect(ctx.db))
    scripts = {"simple": query("SELECT v FROM t WHERE id = 1"), "extended": unit("SELECT v, n FROM t WHERE id = $1", [2]),
               "binary": unit("SELECT v, n FROM t WHERE id = $1::int4", [b"\0\0\0\3"], binary=True, param_formats=(1,)),
               "undescribed": unit("SELECT n FROM t WHERE id = $1", [4], describe_it=False)}
    for n, (name, script) in enumerate(scripts.items(), 1):
        ctx.wait_hit(p, lambda: c.ask(script).raw)
        before = p.cache()
        c.ask(script).check()
        audited(p, before["audits"] + 1)
        assert p.cache()["audit_mismatches"] == n - 1, (name, p.cache())
        ctx.sql(f"UPDATE t SET v = 'behind your back', n = 99 WHERE id = {n}")
        want = ctx.direct("app").ask(script).raw

        def found():
            c.ask(script).check()
            return p.cache()["audit_mismatches"] == n
        p.wait(found, f"a mismatch of {name}", 5, interval=0.05)
        # The entry has ended.
        p.wait(lambda: c.ask(script).raw == want, "the new row")
    assert p.log().count("cache audit: ") == len(scripts) and "SELECT v FROM t WHERE id = ?" in p.log(), p.log()
    assert "behind your back" not in p.log()
    assert "pgweir_cache_audit_mismatches_total 4" in p.http("/metrics")[1]
    p.reload(cache_audit_rate=0)
    before = p.cache()["audits"]
    for _ in range(20):
        c.query("SELECT v FROM t WHERE id = 1")
    assert p.cache()["audits"] == before


def test_audit_honest(ctx):
    """Concurrent writes of all kinds: audits happen, and none is a mismatch; clients notice nothing."""
    tables(ctx)
    p = ctx.cache_proxy(cache_audit_rate=1, default_pool_size=4)
    stop = threading.Event()

    def write(through):
        with (p.connect(ctx.db) if through else ctx.pg.connect(ctx.db, "app")) as w:
            n = 0
            while not stop.is_set():
                n += 1
                w.query(f"UPDATE t SET v = 'n{n}', n = n + 1 WHERE id = {n % 20 + 1}")
                time.sleep(0.05)

    def read(number):
        with p.connect(ctx.db) as r:
            r.query(f"SET TimeZone = 'Etc/GMT+{number}'")
            while not stop.is_set():
                for i in range(1, 21):
                    assert len(r.query(f"SELECT v, n, now() - now() IS NULL, pg_typeof(id) FROM t WHERE id = {i}").rows) == 1
                    assert r.run("SELECT id FROM t WHERE id = $1", [i]).rows == [(str(i),)]
                    assert len(r.query(f"SELECT * FROM t WHERE id = {i}").rows) == 1
    threads = [ctx.thread(write, True), ctx.thread(write, False)] + [ctx.thread(read, n % 2) for n in range(3)]
    try:
        p.wait(lambda: p.cache()["audits"] >= 100, "100 audits", 20, interval=0.1)
    finally:
        stop.set()
    for t in threads:
        t.result()
    p.wait(lambda: p.pool(ctx.db)["sv_tested"] == "0", "the end of the audits")
    figures = p.cache()
    assert figures["audit_mismatches"] == 0 and "cache audit" not in p.log(), figures
    assert figures["audit_unclear"] < figures["audits"], figures


def test_audit_waits(ctx):
    """A commit that is visible and not yet told explains a difference: the audit waits for its event."""
    tables(ctx)
    p = ctx.cache_proxy(cache_audit_rate=1, max_staleness="20s", default_pool_size=2)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query("SELECT v FROM t WHERE id = 1"))
    audited(p)
    p.wait(lambda: p.pool(ctx.db)["sv_tested"] == "0", "the end of the audits", interval=0.02)
    with ctx.pg.stream_held(ctx.db):
        ctx.sql("UPDATE t SET v = 'visible' WHERE id = 1")
        before = p.cache()
        assert c.value("SELECT v FROM t WHERE id = 1") == "v1" and p.cache()["hits"] == before["hits"] + 1
        audited(p, before["audits"] + 1)
        time.sleep(0.3)  # the janitor has looked at it
        assert p.cache()["audit_mismatches"] == 0 and p.cache()["audit_unclear"] == before["audit_unclear"]
    p.wait(lambda: p.cache()["audit_unclear"] == before["audit_unclear"] + 1, "the event's word", interval=0.02)
    assert p.cache()["audit_mismatches"] == 0 and "cache audit" not in p.log()


def test_audit_order(ctx):
    """The same rows in another order are no mismatch."""
    tables(ctx)
    p = ctx.cache_proxy(invalidation="proxy", cache_audit_rate=1)
    c = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: c.query("SELECT id FROM t WHERE id < 5"))
    ctx.sql("UPDATE t SET v = 'moved' WHERE id = 2; SET enable_indexscan = off; UPDATE t SET v = 'moved' WHERE id = 1")
    before = p.cache()["audits"]
    c.query("SELECT id FROM t WHERE id < 5")
    audited(p, before + 1)
    assert p.cache()["audit_mismatches"] == 0


# ---- prewarm


def test_prewarm(ctx):
    """The first client finds the answers in memory, without a password of anybody's; what fails is logged."""
    tables(ctx)
    p = ctx.proxy(start=False, auth_type="scram-sha-256", worker_threads=1, **CACHE_SETTINGS)
    p.settings["cache_prewarm"] = f"{p.directory}/queries.sql"
    p._put(p.settings["cache_prewarm"], f"""-- before the first
[{ctx.db} app]
SELECT v FROM t WHERE id = 3;
# another
SELECT v
  FROM t WHERE id = 4;
SELECT nonsense;
SELECT v FROM u;

[nowhere app]
SELECT 1;
[{ctx.db} other]
SELECT n FROM t WHERE id = 5;
""")
    p.write()
    p.start()
    p.wait_log(f"cache_prewarm: {ctx.db}/app: 4 queries run, 1 failed")
    p.wait_log("cache_prewarm: nowhere/app: no queries were run")
    p.wait_log(f"cache_prewarm: {ctx.db}/other: 1 queries run, 0 failed")
    assert f'cache_prewarm: {ctx.db}/app: column "nonsense" does not exist' in p.log()
    assert p.cache()["stores"] == 4, p.cache()
    with p.connect(ctx.db) as c:
        before = p.cache()["hits"]
        for sql in ("SELECT v FROM t WHERE id = 3", "SELECT v\n  FROM t WHERE id = 4", "SELECT v FROM u"):
            ctx.wait_hit(p, lambda: c.query(sql))
        assert p.cache()["stores"] == 4 and p.cache()["hits"] > before
    # It leaves nothing behind, and does not hold up an end.
    p.wait(lambda: all(r["application_name"] != "pgweir prewarm" for r in p.console("SHOW CLIENTS")), "its clients' end")


def test_prewarm_waits_for_names(ctx):
    """However long it takes until what the queries name is known."""
    tables(ctx)
    relay = ctx.keep(Relay(ctx.pg.port))
    held = relay.hold_reply('{"t"')
    p = ctx.proxy(start=False, databases={ctx.db: ctx.server(port=relay.port)}, worker_threads=1, **CACHE_SETTINGS)
    p.settings["cache_prewarm"] = f"{p.directory}/queries.sql"
    p._put(p.settings["cache_prewarm"], f"[{ctx.db} app]\nSELECT v FROM t WHERE id = 3;\nSELECT v FROM u;\n")
    p.write()
    p.start()
    held.wait()
    time.sleep(1)  # long enough for all its rounds, if it did not wait
    held.release()
    p.wait_log(f"cache_prewarm: {ctx.db}/app: 2 queries run, 0 failed")
    assert p.cache()["stores"] == 2, p.cache()


def test_prewarm_fails(ctx):
    """A file that is not there; a cache that never comes on, and an end meanwhile."""
    tables(ctx)
    p = ctx.proxy(cache="on", invalidation="wal", control_user="nobody", cache_prewarm="/nowhere/at.all")
    p.wait_log("cache_prewarm: could not load file")
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
    p.stop()
    p._put(f"{p.directory}/queries.sql", f"SELECT 1;\n[pgbouncer console]\n[{ctx.db} app]\nSELECT v FROM t;\nSELECT 2")
    p.settings["cache_prewarm"] = f"{p.directory}/queries.sql"
    p.write()
    p.start()
    for what in (r"queries.sql:1: a query before the first \[DATABASE USER\]", r"queries.sql:2: expected \[DATABASE USER\]",
                 "queries.sql: the last query has no semicolon"):
        p.wait_log(what)
    p.wait(lambda: any(r["application_name"] == "pgweir prewarm" for r in p.console("SHOW CLIENTS")), "its client")
    p.signal(15)
    assert p.wait_end() == 0


def test_invalidation_says_why(ctx):
    """SHOW INVALIDATION has a reason for every state but the good one."""
    def row(p):
        rows = p.console("SHOW INVALIDATION")
        return rows[0] if rows else {"state": "", "reason": ""}

    with ctx.pg.connect(ctx.db) as old:
        old.query("BEGIN")
        old.query("SELECT pg_current_xact_id()")
        p = ctx.proxy(**CACHE_SETTINGS)
        c = ctx.keep(p.connect(ctx.db))
        c.query("SELECT 1")
        p.wait(lambda: "the server waits until all transactions" in row(p)["reason"], "the slot's wait")
        assert row(p)["state"] == "connecting", row(p)
        old.query("COMMIT")
    p.wait(lambda: row(p)["state"] == "following" and row(p)["reason"] == "", "the cache")
    # What cannot be mended by waiting.
    q = ctx.proxy(**{**CACHE_SETTINGS, "control_user": "other"})
    with q.connect(ctx.db) as client:
        client.query("SELECT 1")
        q.wait(lambda: row(q)["state"] == "waiting" and row(q)["reason"] != "", "why not")


def test_advice(ctx):
    """SHOW ADVICE: nothing where nothing is unusual; else what, and what to do."""
    tables(ctx)
    ctx.sql("CREATE TABLE nokey(i int, v text); INSERT INTO nokey VALUES (1, 'x'); GRANT ALL ON nokey TO app")
    p = ctx.cache_proxy(track_queries=100, default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    p.wait(lambda: p.console("SHOW ADVICE") == [], "nothing to say")

    def advice():
        return {r["topic"]: r for r in p.console("SHOW ADVICE")}
    for _ in range(120):
        c.query("SELECT now(), v FROM t WHERE id = 1")
    bypass = advice()["bypasses"]
    assert bypass["figure"] == "120" and "SELECT now(), v FROM t WHERE id = ?" in bypass["subject"], bypass
    assert bypass["advice"].startswith("is not cached: ") and bypass["advice"].endswith("(volatile_function)"), bypass
    ctx.wait_hit(p, lambda: c.query("SELECT v FROM nokey WHERE i = 1"))
    for _ in range(12):
        ctx.sql("UPDATE nokey SET v = v || 'y'")
    p.wait(lambda: "public.nokey" in advice().get("keys", {"subject": ""})["subject"], "advice on a table without a key", interval=0.05)
    assert "t," not in advice()["keys"]["subject"].replace("nokey,", "")
    p.console("SET track_queries = 0")
    p.wait(lambda: "not tracked" in advice()["bypasses"]["subject"], "that nothing is tracked")
