# SPDX-License-Identifier: Apache-2.0
"""Writers and readers for the consistency run. Each works on a connection of its own until stop is set
and raises AssertionError at the first read that no order of events allows."""
import random
import time

from pgwire import PeerClosed, PgError, bind, execute, parse, query, sync, unit

SETUP = """
CREATE TABLE kv(id int PRIMARY KEY, n int NOT NULL, pad text);
CREATE TABLE twin(id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE audit(id int, n int);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE twin SET n = NEW.n WHERE id = NEW.id; RETURN NEW; END $$;
CREATE TRIGGER noted AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION noted();
CREATE FUNCTION write_both(i int, v int) RETURNS void LANGUAGE sql AS
    $$ UPDATE kv SET n = v WHERE id = i; UPDATE twin SET n = v WHERE id = i; $$;
INSERT INTO kv SELECT i, 0, repeat('p', 20) FROM generate_series(1, 1000) i;
INSERT INTO twin SELECT i, 0 FROM generate_series(1, 1000) i;
GRANT ALL ON kv, twin, audit TO app;
"""

# Every form in which a reader asks for one key: (kind, script, tables).
READS = [
    lambda i: (query(f"SELECT n FROM kv WHERE id = {i}"), "kv"),
    lambda i: (unit("SELECT n FROM kv WHERE id = $1", [i]), "kv"),
    lambda i: (unit("SELECT n, id FROM kv WHERE id = $1::int", [i], describe_it=False), "kv"),
    lambda i: (query(f"SELECT n FROM twin WHERE id = {i}"), "twin"),
    lambda i: (parse("SELECT n FROM twin WHERE id = $1") + bind(params=[i]) + execute() + sync(), "twin"),
    lambda i: (query(f"SELECT kv.n, twin.n FROM kv JOIN twin USING (id) WHERE kv.id = {i}"), "both"),
    lambda i: (unit("SELECT k.n, (SELECT t.n FROM twin t WHERE t.id = k.id) FROM kv k WHERE k.id = $1", [i]), "both"),
]


def write_update(c, i, n):
    c.query(f"BEGIN; UPDATE kv SET n = {n} WHERE id = {i}; UPDATE twin SET n = {n} WHERE id = {i}; COMMIT")


def write_in_steps(c, i, n):
    c.query("BEGIN")
    c.run("UPDATE kv SET n = $1 WHERE id = $2", [n, i])
    c.run("UPDATE twin SET n = $1 WHERE id = $2", [n, i])
    c.query("COMMIT")


def write_by_trigger(c, i, n):
    c.query(f"WITH a AS (UPDATE kv SET n = {n} WHERE id = {i}) INSERT INTO audit VALUES ({i}, {n})")


def write_by_function(c, i, n):
    c.run("SELECT write_both($1, $2)", [i, n])


def write_anew(c, i, n):
    c.query(f"BEGIN; DELETE FROM kv WHERE id = {i}; DELETE FROM twin WHERE id = {i};"
            f"INSERT INTO twin VALUES ({i}, {n}); INSERT INTO kv VALUES ({i}, {n}, 'again'); COMMIT")


def write_moved(c, i, n):
    """Away to another key and back, by conditions that do not name it."""
    c.query(f"BEGIN; UPDATE kv SET id = -id WHERE id = {i}; UPDATE twin SET id = -{i}, n = {n} WHERE id = {i};"
            f"UPDATE twin SET id = {i} WHERE id + {i} = 0; UPDATE kv SET n = {n}, id = -id WHERE id < 0; COMMIT")


def write_by_key(c, i, n):
    """Each table in a transaction of its own would tear the two apart, so one statement writes both."""
    c.run("WITH k AS (UPDATE kv SET n = $1 WHERE id = $2) UPDATE twin SET n = $3 WHERE id = $4", [n, i, n, i])


def write_upsert(c, i, n):
    c.query(f"WITH k AS (INSERT INTO kv(id, n) VALUES ({i}, {n}) ON CONFLICT (id) DO UPDATE SET n = {n}) "
            f"INSERT INTO twin(id, n) VALUES ('{i:03}', {n}) ON CONFLICT (id) DO UPDATE SET n = {n}")


WRITES = [write_update, write_in_steps, write_by_trigger, write_by_function, write_anew, write_moved, write_by_key, write_upsert]


class Reader:
    """What one session has seen, and the checks of each read."""

    def __init__(self, histories, bound):
        self.histories = histories
        self.bound = bound
        self.seen = {}
        self.reads = 0

    def read(self, c, i, form):
        script, table = form(i)
        history = self.histories[i]
        lowest = history.floor(time.monotonic(), self.bound)
        rows = c.ask(script).check().rows
        highest = history.ceiling()
        assert len(rows) == 1, f"key {i}: {rows}"
        n = int(rows[0][0])
        if table == "both":
            assert rows[0][0] == rows[0][1], f"key {i}: two tables of one transaction differ: {rows[0]}"
        assert n <= highest, f"key {i} has {n}, which nobody wrote (highest {highest})"
        assert n >= lowest, f"key {i} has {n}, but {lowest} was acknowledged (by proxy {history.by_proxy})"
        last = self.seen.get(i, 0)
        assert n >= last, f"key {i} went back from {last} to {n} in one session"
        self.seen[i] = n
        self.reads += 1


BEGINS = [query("BEGIN"), query("START TRANSACTION READ ONLY"), unit("BEGIN"), unit("BEGIN", describe_it=False),
          query("BEGIN ISOLATION LEVEL READ COMMITTED")]
BETWEEN = [query("SAVEPOINT s"), query("SHOW TimeZone"), query("SELECT 1"), unit("SELECT count(*) FROM audit WHERE id = -1")]


def transaction(c, r, rng, keys):
    """Some reads, of which none may see less than those before it."""
    c.ask(rng.choice(BEGINS)).check()
    for _ in range(rng.randint(0, 5)):
        if rng.random() < 0.1:
            c.ask(rng.choice(BETWEEN)).check()
        r.read(c, keys[min(int(rng.expovariate(0.3)), len(keys) - 1)], rng.choice(READS))
    c.query(rng.choice(("COMMIT", "ROLLBACK")))


def transactional_reader(connect, histories, bound, stop, seed):
    """Transactions that only read. Nothing is said of one transaction compared with the next."""
    rng = random.Random(seed)
    r = Reader(histories, bound)
    c = connect()
    while not stop.is_set():
        r.seen = {}
        transaction(c, r, rng, list(histories))
    c.close()
    return r.reads


def reader(connect, histories, bound, stop, seed):
    """Reads keys, a few of them often."""
    rng = random.Random(seed)
    r = Reader(histories, bound)
    c = connect()
    keys = list(histories)
    while not stop.is_set():
        if rng.random() < 0.002:
            # A new session has seen nothing yet.
            c.close()
            c, r.seen = connect(), {}
        i = keys[min(int(rng.expovariate(0.3)), len(keys) - 1)]
        if rng.random() < 0.05:
            transaction(c, r, rng, keys)
        else:
            r.read(c, i, rng.choice(READS))
    c.close()
    return r.reads


def writer(connect, connect_direct, histories, keys, bound, stop, seed):
    """The only writer of its keys: through the proxy or directly, and reads its own writes (P3)."""
    rng = random.Random(seed)
    r = Reader({i: histories[i] for i in keys}, bound)
    c, d = connect(), connect_direct()
    writes = 0
    while not stop.is_set():
        i = rng.choice(keys)
        history = histories[i]
        through = rng.random() < 0.6
        w = c if through else d
        n = history.send()
        rng.choice(WRITES)(w, i, n)
        history.acknowledge(time.monotonic(), n, through)
        writes += 1
        if through:
            # Nobody else writes this key: exactly the own version.
            within = rng.random() < 0.3
            if within:
                c.ask(rng.choice(BEGINS)).check()
            r.read(c, i, rng.choice(READS))
            if within:
                c.query("COMMIT")
            assert r.seen[i] == n, f"key {i}: wrote {n}, then read {r.seen[i]}"
        if rng.random() < 0.1:
            c.query("BEGIN")
            c.query(f"UPDATE kv SET n = -1 WHERE id = {i}")
            rows = c.query(f"SELECT n FROM kv WHERE id = {i}").rows
            assert rows == [("-1",)], rows
            c.query("ROLLBACK")
        time.sleep(rng.expovariate(1 / 0.004))
    c.close()
    d.close()
    return writes


def troublemaker(connect_direct, database, proxy, stop, seed, trouble):
    """Kills the stream, changes schemas, reloads: the promises hold through all of it."""
    rng = random.Random(seed)
    done = {}
    while not stop.wait(rng.uniform(0.5, 2.5)):
        kind = rng.choice(trouble)
        done[kind] = done.get(kind, 0) + 1
        try:
            with connect_direct() as d:
                if kind == "stream":
                    d.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' "
                            "AND backend_type = 'walsender'")
                elif kind == "control":
                    d.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' "
                            "AND usename = 'control'")
                elif kind == "servers":
                    d.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' "
                            "AND usename = 'app' AND state = 'idle' AND backend_type = 'client backend' AND client_port <> -1")
                elif kind == "ddl":
                    d.query("ALTER TABLE audit ADD COLUMN IF NOT EXISTS more int; ALTER TABLE audit DROP COLUMN more")
                elif kind == "reload":
                    import signal
                    proxy.signal(signal.SIGHUP)
        except (PgError, PeerClosed):
            pass
    return done


def compare_all(connect, connect_direct, keys):
    """At the end: every key in every form, from the cache and from the server, byte for byte."""
    with connect() as c, connect_direct() as d:
        for i in keys:
            for form in READS:
                script, _ = form(i)
                want = d.ask(script).raw
                for _ in range(2):
                    got = c.ask(script).raw
                    assert got == want, f"key {i}: the cache has {got!r}, the database {want!r}"
