# SPDX-License-Identifier: Apache-2.0
"""What each protection of the cache is for. Each story runs twice on the program of which protections can be
switched off (base/protection.h): with all of them the checker finds nothing wrong; without the one that the
story is named after it reports the promise that is broken."""
import re
import subprocess
import sys

from cluster import another
from pgwire import SLOWNESS, query, unit
from runner import ROOT, limit
from window import Window

sys.path.insert(0, f"{ROOT}/tests/consistency")

from scene import SETUP, WARM, Scene, row  # noqa: E402

LONG = 10.0 * SLOWNESS # of max_staleness, where a story is about other promises than P5
# One server, so that whoever writes has one whose session is known: on another, a write raises a barrier.
KNOWN = {"bound": LONG, "default_pool_size": 1}
STORIES = set()


def without(protection, breaks, **settings):
    """The story of one protection, and the promise that it keeps."""
    def mark(story):
        @limit(120)
        def test(ctx):
            play(ctx, story, "none", settings).check()
            for _ in range(10): # nearly always the first: but what is not protected happens when it happens
                seen = dict(play(ctx, story, protection, settings).violations)
                if seen:
                    break
            assert breaks in seen, f"without {protection} {seen or 'nothing'} was seen to break, not {breaks}"
            ctx.note(f"without it {breaks}: {seen[breaks]}")
        STORIES.add(protection)
        return test
    return mark


def play(ctx, story, off, settings):
    scene = Scene(ctx, off, **settings)
    story(scene)
    scene.end()
    return scene.history


# ---- 5.1 One rule for validity


@without("from_before_query", "P5")
def test_from_before_query(s):
    """A reply that is late: its query ran before a write whose event has come meanwhile."""
    c, other, d = s.client(), s.client(), s.direct()
    text = "SELECT n, 'late' FROM kv WHERE id = 1"
    held = s.relay.hold_reply("'late'")
    reply = c.session.read()
    c.wire.send(query(text))
    held.wait()
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    s.ctx.wait_hit(s.proxy, lambda: other.read("1", row(1)))
    held.release()
    reply.saw({"1": int(c.wire.until_ready().check().rows[0][0])})
    s.pass_bound()
    s.let(0.1, lambda: other.read("1", text))


@without("events", "P5")
def test_events(s):
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    s.pass_bound()
    c.read("1", row(1))


# ---- 5.5 Rows, not tables


@without("old_key", "P5")
def test_old_key(s):
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    gone = d.write("1", "UPDATE kv SET id = 1000 + {n} WHERE id = 1")
    s.pass_bound()
    c.read("1", row(1), gone=gone)


@without("all_rows", "P5", setup="INSERT INTO kv SELECT i, 0 FROM generate_series(6, 10000) i;")
def test_all_rows(s):
    """Too many rows to tell each of them."""
    c, d = s.client(), s.direct()
    c.wait_hit(row(9999))
    d.write("1", "UPDATE kv SET n = {n}")
    s.pass_bound()
    c.read("1", row(9999))


@without("held_rows", "P4", **KNOWN)
def test_held_rows(s):
    """A write that does not name the key, and the stream is late."""
    c, w = s.client(), s.client()
    c.wait_hit(row(1))
    s.relay.stall("stream")
    w.write("1", "UPDATE kv SET n = {n} WHERE pad = 'pad 1'")
    c.read("1", row(1))


# ---- 5.2 The trap in stable


@without("visibility_gate", "P5")
def test_visibility_gate(s):
    """A commit that is in the stream and cannot be seen yet: what is read now is the old row."""
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    with Window(s.ctx) as window:
        w = d.session.write("1")
        d.wire.send(query(f"UPDATE kv SET n = {w['1']} WHERE id = 1"))
        window.wait_hanging()
        s.let(0.2, lambda: c.read("1", row(1)))
        window.release()
        d.wire.until_ready().check()
        w.acknowledged()
    s.pass_bound()
    c.read("1", row(1))


@without("horizon", "P5", start=False)
def test_horizon(s):
    """The same, of a commit that no stream tells: the slot becomes consistent behind it. That takes one that
    begins after the transactions were listed for which the slot waits last, and then hangs."""
    d, first, second = s.direct(), s.direct(), s.direct()

    def begin(who):
        who.query("BEGIN")
        return who.query("SELECT pg_current_xact_id()").value

    def wait_waited_for(xid):
        s.proxy.wait(lambda: s.sql(f"SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = '{xid}'"),
                     "the slot to wait for a transaction")
    with Window(s.ctx) as window:
        xid = begin(first)
        s.proxy.start()
        c = s.client(warm=False)
        c.query(row(1))
        wait_waited_for(xid)
        xid = begin(second)
        first.query("ROLLBACK")
        wait_waited_for(xid)
        w = d.session.write("1")
        d.wire.send(query(f"UPDATE kv SET n = {w['1']} WHERE id = 1"))
        window.wait_hanging()
        second.query("ROLLBACK")
        s.let(0.5, lambda: c.read("1", row(1)))
        window.release()
        d.wire.until_ready().check()
        w.acknowledged()
    s.pass_bound()
    s.let(0.2, lambda: c.read("1", row(1)))


@without("own_marks", "P4", **KNOWN)
def test_own_marks(s):
    c, w = s.client(), s.client()
    c.wait_hit(row(1))
    s.relay.stall("stream")
    w.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    c.read("1", row(1))


@without("hold", "P4", **KNOWN)
def test_hold(s):
    """The commit's position is not known yet, and the stream is late."""
    c, w = s.client(), s.client()
    c.wait_hit(row(1))
    s.relay.stall("stream", "control")
    w.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    c.read("1", row(1))


@without("insert_position", "P4", start=False, **KNOWN)
def test_insert_position(s):
    """The commit is answered and visible, and not flushed."""
    s.ctx.pg.configure(wal_writer_delay="10s")
    try:
        # A reload ends all entries, and counts as one for a second.
        s.proxy.wait(lambda: s.sql("SELECT clock_timestamp() > pg_conf_load_time() + interval '1 second'") == [("t",)],
                     "the reload to be over")
        s.proxy.start()
        c, w = s.client(), s.client()
        w.query("SET synchronous_commit = off")
        s.sql("SELECT pg_logical_emit_message(true, 'pgweir', 'all before this is flushed')")
        flushed = s.sql("SELECT pg_current_wal_flush_lsn()")[0][0]
        # What is filled now is as of there, so a write that is taken to be no later ends nothing.
        s.proxy.wait(lambda: s.sql(f"SELECT '{s.proxy.console('SHOW INVALIDATION')[0]['stable']}'::pg_lsn >= '{flushed}'") == [("t",)],
                     "the stream to be through")
        c.wait_hit(row(1))
        w.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
        s.let(0.1, lambda: c.read("1", row(1)))
    finally:
        s.ctx.pg.configure(wal_writer_delay=None)


# ---- 5.3 Where events come from


HIDDEN = """
CREATE TABLE twin(id int PRIMARY KEY, n int); INSERT INTO twin VALUES (1, 0);
CREATE TABLE audit(n int);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE twin SET n = NEW.n; RETURN NEW; END $$;
CREATE TRIGGER noted AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION noted();
CREATE FUNCTION write_twin(v int) RETURNS void LANGUAGE sql AS $$ UPDATE twin SET n = v $$;
CREATE TABLE top(n int PRIMARY KEY); INSERT INTO top VALUES (0);
CREATE TABLE under(id int PRIMARY KEY, n int REFERENCES top ON UPDATE CASCADE); INSERT INTO under VALUES (1, 0);
GRANT ALL ON twin, audit, top, under TO app;
"""
BARRIER = {"setup": HIDDEN, "bound": LONG, "items": ("twin", "under")}


def write_behind(s, item, statement):
    """A write whose text does not name the table that changes, and the stream is late."""
    c, w = s.client(), s.client()
    text = f"SELECT n FROM {item} WHERE id = 1"
    c.wait_hit(text)
    w.query("SELECT count(*) FROM audit, top") # their names are known
    w.wait_hit(WARM)
    s.relay.stall("stream")
    w.write(item, statement)
    c.read(item, text)


@without("barrier", "P4", **BARRIER)
def test_barrier_trigger(s):
    write_behind(s, "twin", "INSERT INTO audit VALUES ({n})")


@without("barrier", "P4", **BARRIER)
def test_barrier_function(s):
    write_behind(s, "twin", "SELECT write_twin({n})")


@without("barrier", "P4", **BARRIER)
def test_barrier_cascade(s):
    write_behind(s, "under", "UPDATE top SET n = {n}")


@without("ddl_flush", "P2", bound=LONG)
def test_ddl_flush(s):
    """In a transaction that also writes rows: then nothing in the stream makes the schema suspect."""
    clients, w = [s.client() for _ in range(20)], s.client("postgres")
    text = "SELECT * FROM kv WHERE id = 1"
    clients[0].wait_hit(text)
    w.query("BEGIN; ALTER TABLE kv DROP COLUMN pad; UPDATE warm SET n = 2; COMMIT")

    def ask():
        c = clients.pop()
        c.session.answered(len(c.query(text).rows[0]), 2, "columns of kv")
    s.let(0.2, lambda: clients and ask())


@without("schema_watch", "P2")
def test_schema_watch(s):
    c = s.client()
    c.wait_hit(row(1))
    s.sql("REVOKE ALL ON kv FROM app")
    s.pass_bound()
    c.session.answered(c.wire.ask(query(row(1))).sqlstate(), "42501", "reading without the right to")


@without("freshness", "P5")
def test_freshness(s):
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    s.relay.stall("stream")
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    s.pass_bound()
    c.read("1", row(1))


@without("instant_of_sending", "P5")
def test_instant_of_sending(s):
    """The reading's answer is slow, and what it says has been overtaken."""
    clients, d = [s.client() for _ in range(10)], s.direct() # one that reads the new row does not read the old one
    clients[0].wait_hit(row(1))
    s.relay.stall("control", directions=["down"])
    s.relay.wait(lambda: s.relay.keeps("control"), "a reading's answer")
    s.relay.stall("stream")
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    s.pass_bound()
    s.relay.flow("control")
    s.let(0.2, lambda: clients and clients.pop().read("1", row(1)))


@without("epoch", "P5")
def test_epoch(s):
    """A write while there is no stream: no stream tells it."""
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    s.relay.refuse("stream")
    s.relay.cut("stream")
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    s.relay.allow("stream")
    c.wait_hit(WARM)
    s.pass_bound()
    c.read("1", row(1))


@without("after_around", "P3", bound=LONG)
def test_after_around(s):
    """A session has read the new row from the server, and the stream has not told it yet."""
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    s.relay.stall("stream")
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    c.read("1", "SELECT n /* pgweir: nocache */ FROM kv WHERE id = 1", around=True)
    c.read("1", row(1))


# ---- 5.4 What is cached


@without("transaction_order", "P3", bound=LONG, monotonic_reads="bypassed")
def test_transaction_order(s):
    """The same by a miss, within a transaction."""
    c, d = s.client(), s.direct()
    c.wait_hit(row(1))
    s.relay.stall("stream")
    d.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    c.query("BEGIN")
    c.session.ordered = True
    c.read("1", "SELECT n, 'for the first time' FROM kv WHERE id = 1")
    c.read("1", row(1))
    c.query("COMMIT")


@without("only_reads", "P3")
def test_only_reads(s):
    c = s.client()
    c.wait_hit(row(1))
    w = c.session.write("1")
    c.query("BEGIN")
    c.query(f"UPDATE kv SET n = {w['1']} WHERE id = 1")
    s.let(0.1, lambda: c.read("1", row(1)))
    c.query("ROLLBACK")
    w.undone()


@without("read_committed", "P2")
def test_read_committed(s):
    """In REPEATABLE READ the row stays what it was, and the cache has the new one."""
    c, other, w = s.client(), s.client(), s.client()
    c.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    c.session.freeze()
    c.read("1", row(1))
    w.write("1", "UPDATE kv SET n = {n} WHERE id = 1")
    s.ctx.wait_hit(s.proxy, lambda: other.read("1", row(1)))
    s.let(0.1, lambda: c.read("1", row(1)))
    c.query("COMMIT")


@without("profile_in_key", "P2")
def test_profile_in_key(s):
    c, other = s.client(), s.client("other")
    c.wait_hit(row(1))
    other.session.answered(other.wire.ask(query(row(1))).sqlstate(), "42501", "reading another role's table")


@without("settings_in_key", "P2", setup="CREATE TABLE clock(id int PRIMARY KEY, at timestamptz);"
                                        "INSERT INTO clock VALUES (1, '2026-01-01 12:00+00'); GRANT ALL ON clock TO app;")
def test_settings_in_key(s):
    c, east = s.client(TimeZone="UTC"), s.client(TimeZone="Asia/Tokyo")
    text = "SELECT at FROM clock WHERE id = 1"
    c.session.answered(c.wait_hit(text), "2026-01-01 12:00:00+00", "noon")
    s.let(0.05, lambda: east.session.answered(east.query(text).value, "2026-01-01 21:00:00+09", "noon"))


@without("datetime_words", "P2")
def test_datetime_words(s):
    """A parameter that is read as the time of reading."""
    c = s.client()
    text = "SELECT n, $1::timestamptz FROM kv WHERE id = 1"

    def ask():
        before = s.sql("SELECT clock_timestamp()")[0][0]
        got = c.wire.ask(unit(text, ["now"])).check().rows[0][1]
        c.session.answered(got >= before, True, f"now() is {got} after {before}")
    s.let(0.1, ask)


@without("unreported", "P5", setup="CREATE UNLOGGED TABLE quick(id int PRIMARY KEY, n int);"
                                   "INSERT INTO quick VALUES (1, 0); GRANT ALL ON quick TO app;", items=("quick",))
def test_unreported(s):
    """The WAL does not tell of unlogged tables."""
    c, d = s.client(), s.direct()
    text = "SELECT n FROM quick WHERE id = 1"
    s.let(0.1, lambda: c.read("quick", text))
    d.write("quick", "UPDATE quick SET n = {n} WHERE id = 1")
    s.pass_bound()
    c.read("quick", text)


@without("same_server", "P5")
def test_same_server(s):
    """A name that leads to another server, and the control connections are where they were."""
    c, first, elsewhere = s.client(), s.client(), s.direct().session
    c.wait_hit(row(1))
    with another(s.ctx, s.db, SETUP) as other:
        s.relay.lead("data", other.port)
        s.proxy.console(f"RECONNECT {s.db}")
        first.query("BEGIN; UPDATE kv SET n = 0 WHERE id = 5; COMMIT")  # who meets it first is not whom it is about
        w = elsewhere.write("1")
        other.sql(f"UPDATE kv SET n = {w['1']} WHERE id = 1", database=s.db)
        w.acknowledged()
        s.pass_bound()
        c.read("1", row(1))


# ---- of the protections themselves


def test_each_has_its_story(ctx):
    with open(f"{ROOT}/base/protection.h", encoding="utf-8") as f:
        words = re.findall(r'^    X\(\w+, "(\w+)"', f.read(), re.M)
    assert set(words) == STORIES, set(words) ^ STORIES


def test_not_in_the_product(ctx):
    """Nobody switches them off by accident: the product does not know how, and the other one does not start."""
    with open(ctx.binary, "rb") as f:
        assert b"PROTECTIONS_OFF" not in f.read()
    for environment in ({}, {"PGWEIR_PROTECTIONS_OFF": "nonsense"}, {"PGWEIR_PROTECTIONS_OFF": ""}):
        done = subprocess.run([ctx.unprotected, "no.ini"], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "no.ini" not in done.stderr, done
