# SPDX-License-Identifier: Apache-2.0
"""What is said to a server and what it answers stay in step: answers go to who asked, whole, in
order, whatever fails, is skipped or comes in pieces."""
import random
import struct
import time

from pgwire import (PeerClosed, PgError, bind, copy_data, copy_done, cstring, execute, flush, md5_response,
                    message, parse, query, startup, sync, terminate, unit)
from runner import limit
from servers import move, release

USE = bind() + execute() + sync()


def one(ctx, **settings):
    """A proxy whose clients share one server."""
    return ctx.proxy(default_pool_size=1, worker_threads=1, **settings)


def copy_table(ctx):
    ctx.sql("CREATE TABLE t(id int); GRANT ALL ON t TO app")


def test_many_rows_whole(ctx):
    """Many small rows of changing size: none is torn where the proxy's buffer wraps or moves."""
    c = ctx.keep(one(ctx).connect(ctx.db))
    for _ in range(2):
        rows = c.query("SELECT i, repeat(chr(97 + i % 26), 37 + i % 11) "
                       "FROM generate_series(1, 30000) i").rows
        assert len(rows) == 30000
        for k, (i, v) in enumerate(rows, 1):
            assert i == str(k) and v == chr(97 + k % 26) * (37 + k % 11), (k, i, v)


def test_unnamed_of_another_client(ctx):
    """A Parse that is skipped after an error leaves the server with another client's unnamed
    statement: that one is not used in its place."""
    p = one(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT 'secret of a'") + USE).check()
    r = b.ask(parse("SELEC", "x") + parse("SELECT 'b'") + USE + USE, times=2)
    assert ("secret of a",) not in r.rows, (r.kinds, r.rows)


def test_named_after_skip(ctx):
    """A named statement that the server would have got in a skipped part is still there behind the
    Sync."""
    p = ctx.proxy(default_pool_size=4, worker_threads=1)
    ctx.keep(p.connect(ctx.db))
    b = ctx.keep(p.connect(ctx.db))
    b.ask(parse("SELECT 'mine'", "s") + sync()).check()
    b.ask(bind("s") + execute() + sync()).check()
    holders = move(ctx, p, b)
    use = bind("s") + execute() + sync()
    r = b.ask(parse("SELEC", "x") + use + use, times=2)
    release(holders)
    assert r.kinds.replace("S", "") == "EZ2DCZ", (r.kinds, [str(e) for e in r.errors])
    assert r.rows == [("mine",)], r.rows


def test_function_call_behind_an_error(ctx):
    """It is skipped like all else up to the Sync, and the server is not at rest before that: what we ask would be
    skipped, too, and answers taken for those of others."""
    p = one(ctx)
    c = ctx.keep(p.connect(ctx.db))
    call = message("F", struct.pack("!IHHH", 4, 0, 0, 0))
    for _ in range(3):
        c.send(parse("SELECT 1/0") + bind() + execute() + call)
        assert c.until("E").sqlstate() == "22012"
        c.send(flush())
        assert c.ask(sync()).kinds == "Z"
        assert c.value("SELECT 'mine'") == "mine"


def test_same_text_other_settings(ctx):
    """Constants are read when a statement is prepared: clients with other settings do not share
    it."""
    p = one(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("SET DateStyle = 'ISO, MDY'")
    b.query("SET DateStyle = 'ISO, DMY'")
    script = unit("SELECT '01/02/2020'::date::text", name="s")
    got = a.ask(script).check().value, b.ask(script).check().value
    assert got == ("2020-01-02", "2020-02-01"), got


def test_deallocate_all_in_pipeline(ctx):
    """A statement prepared right behind a DEALLOCATE ALL outlives it."""
    a = ctx.keep(one(ctx).connect(ctx.db))
    use = bind("s") + execute() + sync()
    r = a.ask(query("DEALLOCATE ALL") + parse("SELECT 6", "s") + sync() + use, times=3).check()
    assert r.value == "6", r.rows
    assert a.ask(use).check().value == "6"


def test_deallocate_all_out_of_sight(ctx):
    """DEALLOCATE ALL within a DO block takes other clients' statements from the server: they work
    on, after one error at most."""
    p = one(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    use = bind("s") + execute() + sync()
    b.ask(parse("SELECT 5", "s") + use).check()
    a.query("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
    time.sleep(0.1)
    b.ask(use)
    for _ in range(2):
        assert b.ask(use).check().value == "5"


# ---- COPY


def test_copy_fails_within_a_message(ctx):
    """The server refuses the data while the client is half through a large CopyData: the rest is
    not taken for something else, and the server goes to the next client."""
    copy_table(ctx)
    p = one(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, timeout=3))
    a.send(query("COPY t FROM STDIN"))
    a.until("G")
    data = copy_data(b"1\n" * 50000)
    a.send(copy_data(b"bad\n") + data[:50000])
    assert a.until_ready().errors
    a.send(data[50000:] + copy_done())
    time.sleep(0.1)
    assert b.value("SELECT 1") == "1"
    assert a.value("SELECT 2") == "2"


def as_directly(ctx, script):
    """The script is answered as by PostgreSQL itself, and the next statement as well."""
    want = ctx.direct("app").ask(script).kinds
    c = ctx.keep(one(ctx).connect(ctx.db, timeout=3))
    got = c.ask(script).kinds
    assert got == want, (got, want)
    assert c.value("SELECT 1") == "1"


def test_copy_data_before_the_answer(ctx):
    """A COPY of the extended protocol whose data follow without waiting."""
    copy_table(ctx)
    as_directly(ctx, parse("COPY t FROM STDIN") + USE + copy_data(b"1\n") + copy_done() + sync())


def test_copy_refused_by_trigger(ctx):
    """An error between the answer and the data, in the extended protocol."""
    copy_table(ctx)
    ctx.sql("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'no'; END$$; "
            "CREATE TRIGGER no BEFORE INSERT ON t EXECUTE FUNCTION no()")
    as_directly(ctx, parse("COPY t FROM STDIN") + USE)


def test_query_inside_copy(ctx):
    """A Query where CopyData is due: the error is PostgreSQL's, which ends the connection; the next
    client has a server that knows nothing of it."""
    copy_table(ctx)
    p = one(ctx)
    seen = []
    for c in (ctx.direct("app"), ctx.keep(p.connect(ctx.db, timeout=3))):
        c.send(query("COPY t FROM STDIN"))
        c.until("G")
        c.send(query("SELECT 1"))
        seen.append([e.sqlstate for e in c.wait_closed().errors])
    # The proxy may add its own last word, that the server is gone.
    assert seen[0] and seen[0] == seen[1][:len(seen[0])], seen
    b = ctx.keep(p.connect(ctx.db, timeout=3))
    assert b.value("SELECT 1") == "1"
    assert b.value("SELECT count(*) FROM t") == "0"


# ---- pieces


def test_big_error(ctx):
    """An error message that is larger than any buffer."""
    c = ctx.keep(one(ctx).connect(ctx.db))
    r = c.ask(query("DO $$ BEGIN RAISE EXCEPTION '%', repeat('x', 2000000); END $$"))
    assert r.errors and len(r.errors[0].text) == 2000000 and r.status == "I"
    assert c.value("SELECT 1") == "1"


def in_pieces(wire, data, at):
    wire.send(data[:at])
    time.sleep(0.1)
    wire.send(data[at:])


def test_fragmented_startup(ctx):
    p = one(ctx)
    ctx.keep(p.connect(ctx.db)).query("SELECT 1")
    for at in (2, 6, 20):
        w = ctx.keep(p.open())
        in_pieces(w, startup({"user": "app", "database": ctx.db}), at)
        w.until("ZE").check()
        assert w.value("SELECT 1") == "1"


def test_fragmented_password(ctx):
    p = one(ctx, auth_type="md5")
    ctx.keep(p.connect(ctx.db)).query("SELECT 1")
    for at in (1, 10):
        w = ctx.keep(p.open())
        w.send(startup({"user": "app", "database": ctx.db}))
        m = w.read()
        assert m.kind == "R" and struct.unpack_from("!I", m.body) == (5,), m
        answer = md5_response("app", p.users["app"], m.body[4:8])
        in_pieces(w, message("p", cstring(answer)), at)
        w.until("ZE").check()
        assert w.value("SELECT 1") == "1"


# ---- cancels and disorder


def test_cancel_of_waiting_statement(ctx):
    """A statement that waits for a server is cancelled as one that runs: the connection stays."""
    p = one(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("BEGIN")
    b.send(query("SELECT 1"))
    time.sleep(0.1)
    b.cancel()
    r = b.until("ZE", 3)
    assert r.errors[0].severity == "ERROR" and r.errors[0].sqlstate == "57014", str(r.errors[0])
    b.until("Z", 3)
    a.query("COMMIT")
    assert b.value("SELECT 2") == "2"


def test_cancel_after_a_function(ctx):
    """A cancel that hits the proxy's own question to the server: nobody's answer is lost."""
    ctx.sql("CREATE FUNCTION quiet() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'")
    p = one(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db, timeout=3))
    for _ in range(15):
        # A late cancel may hit the next statement.
        assert a.ask(query("SELECT quiet()")).sqlstate() in (None, "57014")
        a.cancel()
    time.sleep(0.2)
    assert b.value("SELECT 1") == "1"


def storm_step(c, rnd, seed, bad):
    """One of many things that a client does; False when its connection is over."""
    kind, tag, i = rnd.randrange(12), f"{seed}-{rnd.random()}", rnd.randrange(1, 50)
    if kind == 0:
        c.query(f"UPDATE t SET n = n + 1 WHERE id = {i}")
    elif kind == 1:
        c.send(query("SELECT pg_sleep(0.05)"))
        c.cancel()
        c.until_ready()
    elif kind == 2:
        c.send(query("SELECT pg_sleep(0.02)"))
        c.abort()
        return False
    elif kind == 3:
        c.send(query(f"SELECT '{tag}'") + terminate())
        c.socket.close()
        return False
    elif kind == 4:
        for sql in ("BEGIN", f"SELECT n FROM t WHERE id = {i} FOR UPDATE", "COMMIT"):
            c.query(sql)
    elif kind == 5:
        c.query("SET lock_timeout = 3")
    elif kind == 6:
        r = c.ask(unit("SELECT $1::text", [tag], name=f"s{rnd.randrange(10**6)}"))
        # A late cancel of its own may hit it.
        if r.rows != [(tag,)] and r.sqlstate() != "57014":
            bad.append((tag, r.rows, [str(e) for e in r.errors]))
    elif kind == 7:
        tags = [f"{tag}-{k}" for k in range(10)]
        r = c.ask(b"".join(unit("SELECT $1::text", [t]) for t in tags), times=10)
        if [row[0] for row in r.rows] != tags and r.sqlstate() != "57014":
            bad.append((tags, r.rows, [str(e) for e in r.errors]))
    else:
        r = c.query(f"SELECT id, n FROM t WHERE id = {i}")
        if r.rows[0][0] != str(i):
            bad.append((i, r.rows))
    return True


@limit(60)
def test_storm(ctx):
    """Random clients on few servers and a cache, with cancels, deaths and timeouts: every answer is
    its asker's."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); "
            "INSERT INTO t SELECT i, 0 FROM generate_series(1, 50) i; GRANT ALL ON t TO app, other")
    p = ctx.cache_proxy(worker_threads=2, default_pool_size=3, query_wait_timeout=2,
                        server_lifetime=2, min_pool_size=1)
    until, bad, served = time.monotonic() + 7, [], []

    def run(seed):
        rnd = random.Random(seed)
        while time.monotonic() < until:
            try:
                c = p.connect(ctx.db, rnd.choice(["app", "other"]))
            except (PgError, PeerClosed, OSError):
                continue
            try:
                for _ in range(rnd.randrange(1, 30)):
                    if not storm_step(c, rnd, seed, bad):
                        break
                    served.append(seed)
            except (PgError, PeerClosed, OSError):
                pass
            finally:
                c.close()

    for worker in [ctx.thread(run, seed) for seed in range(16)]:
        worker.result()
    assert not bad, bad[:3]
    assert len(served) > 100, f"only {len(served)} steps were served"
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"
    ctx.note(f"{len(served)} steps")
