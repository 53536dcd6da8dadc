# SPDX-License-Identifier: Apache-2.0
"""Writers and readers for the consistency run: each works on a connection of its own, tells the history what it
does (checker.py), and lives through faults: a connection that is lost is made anew, and a write in doubt is
settled before its items are written again.

Items, of each i: "kv i", "twin i" (written along with it: by the same transaction, by a trigger, by a
function), "child i" (by a cascade, from "parent i"), and "account a", between which money is moved.
"""
import itertools
import random
import threading
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
CREATE TABLE parent(id int PRIMARY KEY, n int NOT NULL, UNIQUE (id, n));
CREATE TABLE child(id int PRIMARY KEY, n int NOT NULL,
                   FOREIGN KEY (id, n) REFERENCES parent(id, n) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE account(id int PRIMARY KEY, n int NOT NULL, money int NOT NULL);
INSERT INTO kv SELECT i, 0, repeat('p', 20) FROM generate_series(1, 1000) i;
INSERT INTO twin SELECT i, 0 FROM generate_series(1, 1000) i;
INSERT INTO parent SELECT i, 0 FROM generate_series(1, 1000) i;
INSERT INTO child SELECT i, 0 FROM generate_series(1, 1000) i;
INSERT INTO account SELECT i, 0, 1000 FROM generate_series(1, 6) i;
GRANT ALL ON kv, twin, audit, parent, child, account TO app;
"""
ACCOUNTS = range(1, 7)
TOTAL = 6000


def items_of(keys):
    for i in keys:
        yield from (f"kv {i}", f"twin {i}", f"parent {i}", f"child {i}")
    for a in ACCOUNTS:
        yield f"account {a}"


# ---- what is read: a script, and which items its columns are

READS = [
    lambda i: (query(f"SELECT n FROM kv WHERE id = {i}"), ("kv",)),
    lambda i: (unit("SELECT n FROM kv WHERE id = $1", [i]), ("kv",)),
    lambda i: (unit("SELECT n, id FROM kv WHERE id = $1::int", [i], describe_it=False), ("kv",)),
    lambda i: (query(f"SELECT n FROM twin WHERE id = {i}"), ("twin",)),
    lambda i: (parse("SELECT n FROM twin WHERE id = $1") + bind(params=[i]) + execute() + sync(), ("twin",)),
    lambda i: (query(f"SELECT kv.n, twin.n FROM kv JOIN twin USING (id) WHERE kv.id = {i}"), ("kv", "twin")),
    lambda i: (unit("SELECT k.n, (SELECT t.n FROM twin t WHERE t.id = k.id) FROM kv k WHERE k.id = $1", [i]),
               ("kv", "twin")),
    lambda i: (query(f"SELECT n FROM child WHERE id = {i}"), ("child",)),
    lambda i: (unit("SELECT p.n, c.n FROM parent p JOIN child c ON c.id = p.id WHERE p.id = $1", [i]),
               ("parent", "child")),
]
STATEMENTS = [query("SELECT id, n, money FROM account"), unit("SELECT id, n, money FROM account ORDER BY id"),
              query("SELECT a.id, a.n, a.money FROM account a WHERE a.id IN (1, 2, 3, 4, 5, 6)")]


# ---- what is written: items, and how


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
            f"UPDATE twin SET id = {i} WHERE id + {i} = 0; UPDATE kv SET n = {n}, id = -id WHERE id + {i} = 0; COMMIT")


def write_by_key(c, i, n):
    """Each table in a transaction of its own would tear the two apart, so one statement writes both."""
    c.run("WITH k AS (UPDATE kv SET n = $1 WHERE id = $2) UPDATE twin SET n = $3 WHERE id = $4", [n, i, n, i])


def write_upsert(c, i, n):
    c.query(f"WITH k AS (INSERT INTO kv(id, n) VALUES ({i}, {n}) ON CONFLICT (id) DO UPDATE SET n = {n}) "
            f"INSERT INTO twin(id, n) VALUES ('{i:03}', {n}) ON CONFLICT (id) DO UPDATE SET n = {n}")


def write_cascade(c, i, n):
    c.query(f"UPDATE parent SET n = {n} WHERE id = {i}")


def write_cascade_in_steps(c, i, n):
    c.query("BEGIN")
    c.run("UPDATE parent SET n = $1 WHERE id = $2", [n, i])
    c.query("COMMIT")


def write_family_anew(c, i, n):
    """The child goes with its parent, by a cascade, and both come back."""
    c.query(f"BEGIN; DELETE FROM parent WHERE id = {i}; INSERT INTO parent VALUES ({i}, {n});"
            f"INSERT INTO child VALUES ({i}, {n}); COMMIT")


TWINS, FAMILY = ("kv", "twin"), ("parent", "child")
WRITES = [(TWINS, write) for write in (write_update, write_in_steps, write_by_trigger, write_by_function, write_anew,
                                       write_moved, write_by_key, write_upsert)]
WRITES += [(FAMILY, write) for write in (write_cascade, write_cascade_in_steps, write_family_anew)]


class Run:
    """What the threads of one run share. ways: {name: connect}, "direct" among them."""

    def __init__(self, history, ways, keys, seed, ordered=True):
        self.history, self.ways, self.keys, self.seed = history, ways, list(keys), seed
        self.ordered = ordered # sessions never see less than before: monotonic_reads = all
        self.stop = threading.Event()
        self.quiet = threading.Event() # no fault is under way, and who was met by the last one is gone
        self.quiet.set()
        self.locks = {item: threading.Lock() for item in history.items}
        self.numbers = itertools.count()

    def going(self):
        return not self.stop.is_set() and not self.history.violations


class Person:
    """One thread's connection by one way, and its session in the history."""

    def __init__(self, run, way, rng):
        self.run, self.way, self.rng = run, way, rng
        self.wire = self.session = None
        self.reads = self.lost = 0

    def arrive(self):
        """A new connection is a new session. False: the run is over."""
        self.leave()
        while self.run.going():
            try:
                self.wire = self.run.ways[self.way]()
                self.session = self.run.history.session(self.way, self.run.ordered)
                return True
            except (PgError, PeerClosed, OSError):
                time.sleep(0.02) # there is a fault: until it is over
        return False

    def leave(self):
        if self.wire:
            self.wire.close()
        self.wire = None

    def here(self):
        return self.wire is not None or self.arrive()

    def failed(self):
        """Its connection is not to be used any more."""
        self.lost += 1
        self.wire.abort()
        self.wire = None

    # -- reading

    def key(self):
        """A few of them often."""
        keys = self.run.keys
        return keys[min(int(self.rng.expovariate(0.3)), len(keys) - 1)]

    def read(self, i=None, form=None):
        i = self.key() if i is None else i
        script, kinds = (form or self.rng.choice(READS))(i)
        read = self.session.read()
        row, = self.wire.ask(script).check().rows
        read.saw({f"{kind} {i}": int(n) for kind, n in zip(kinds, row)})
        self.reads += 1

    def read_accounts(self):
        read = self.session.read()
        rows = self.wire.ask(self.rng.choice(STATEMENTS)).check().rows
        read.saw({f"account {a}": int(n) for a, n, _ in rows})
        self.session.answered(sum(int(money) for _, _, money in rows), TOTAL, "the money in all accounts")
        self.reads += 1

    def read_sum(self):
        total = int(self.wire.ask(self.rng.choice(SUMS)).check().rows[0][0])
        self.session.answered(total, TOTAL, "the sum of all accounts")
        self.reads += 1

    def read_something(self):
        chance = self.rng.random()
        if chance < 0.1:
            self.read_accounts()
        elif chance < 0.15:
            self.read_sum()
        else:
            self.read()

    # -- transactions

    def transaction(self):
        """Some reads, of which none may see less than those before it; answered from memory or not."""
        ordered, self.session.ordered = self.session.ordered, True
        self.wire.ask(self.rng.choice(BEGINS)).check()
        for _ in range(self.rng.randint(0, 5)):
            if self.rng.random() < 0.1:
                self.wire.ask(self.rng.choice(BETWEEN)).check()
            self.read_something()
        self.wire.query(self.rng.choice(("COMMIT", "ROLLBACK")))
        self.session.ordered = ordered
        if not ordered:
            self.session.seen = {}

    def snapshot(self):
        """One by one in REPEATABLE READ: they are of one snapshot, and so is their sum."""
        self.wire.ask(self.rng.choice(FROZEN)).check()
        self.session.freeze()
        total = 0
        for a in ACCOUNTS:
            read = self.session.read()
            (n, money), = self.wire.query(f"SELECT n, money FROM account WHERE id = {a}").rows
            read.saw({f"account {a}": int(n)})
            total += int(money)
            self.reads += 1
        self.session.answered(total, TOTAL, "the money in all accounts of one snapshot")
        self.read()
        self.wire.query("COMMIT")
        self.session.thaw()

    # -- writing

    def put(self, items, do, settle):
        """One write from its sending to its end, whatever becomes of it. True: it was acknowledged."""
        run = self.run
        locks = [run.locks[item] for item in sorted(items)]
        for lock in locks:
            lock.acquire()
        try:
            w = self.session.write(*items)
            try:
                do(w)
            except (PgError, PeerClosed, OSError, TimeoutError):
                w.doubtful()
                self.failed()
                settle(w)
                return False
            w.acknowledged()
            return True
        finally:
            for lock in locks:
                lock.release()

    def settle(self, w):
        """When nobody is left who could commit it: does the database have it?"""
        item, version = next(iter(w.versions.items()))
        table, i = item.split()
        while True:
            self.run.quiet.wait()
            try:
                with self.run.ways["direct"]() as d:
                    w.resolved(d.query(f"SELECT n FROM {table} WHERE id = {i}").rows == [(str(version),)])
                return
            except (PgError, PeerClosed, OSError):
                time.sleep(0.02)


SUMS = [query("SELECT sum(money) FROM account"), unit("SELECT sum(money) FROM account WHERE money > $1", [-10 ** 6])]
BEGINS = [query("BEGIN"), query("START TRANSACTION READ ONLY"), unit("BEGIN"), unit("BEGIN", describe_it=False),
          query("BEGIN ISOLATION LEVEL READ COMMITTED")]
FROZEN = [query("BEGIN ISOLATION LEVEL REPEATABLE READ"), unit("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"),
          query("BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")]
BETWEEN = [query("SAVEPOINT s"), query("SHOW TimeZone"), query("SELECT 1"), unit("SELECT count(*) FROM audit WHERE id = -1")]
FAULTS = (PgError, PeerClosed, OSError, TimeoutError)


def reader(run, way, transactions=0.05):
    """transactions: which part of what it does is one."""
    rng = random.Random(run.seed + 100 + next(run.numbers))
    person = Person(run, way, rng)
    while run.going() and person.here():
        try:
            chance = rng.random()
            if chance < 0.002:
                person.arrive() # a new session has seen nothing yet
            elif chance < 0.01:
                person.snapshot()
            elif chance < 0.01 + transactions:
                person.transaction()
            else:
                person.read_something()
        except FAULTS:
            person.failed()
    person.leave()
    return person


def move_money(person):
    """Between two accounts: their sum stays, as that of all does."""
    rng = person.rng
    a, b = rng.sample(ACCOUNTS, 2)
    sum_of = rng.randint(1, 50)

    def do(w):
        first = f"UPDATE account SET n = {w[f'account {a}']}, money = money - {sum_of} WHERE id = {a}"
        second = f"UPDATE account SET n = {w[f'account {b}']}, money = money + {sum_of} WHERE id = {b}"
        if rng.random() < 0.5:
            person.wire.query(f"BEGIN; {first}; {second}; COMMIT")
            return
        for sql in ("BEGIN", first, second, "COMMIT"):
            person.wire.query(sql)
    return person.put([f"account {a}", f"account {b}"], do, person.settle)


def write_key(person, i):
    kinds, write = person.rng.choice(WRITES)
    items = [f"{kind} {i}" for kind in kinds]

    def do(w):
        versions = set(w.versions.values())
        assert len(versions) == 1, versions # those of a kind are always written together
        write(person.wire, i, versions.pop())
    return person.put(items, do, person.settle)


def take_back(person, i):
    """A write that is rolled back: the session sees it, nobody else ever does."""
    rng, run, item = person.rng, person.run, f"kv {i}"
    with run.locks[item], run.locks[f"twin {i}"]:
        person.wire.query("BEGIN")
        person.wire.query(f"UPDATE kv SET n = -1 WHERE id = {i}")
        rows = person.wire.ask(READS[rng.randint(0, 2)](i)[0]).check().rows
        person.session.answered(rows[0][0], "-1", f"{item} in the transaction that has just written it")
        person.wire.query("ROLLBACK")


def writer(run, ways, pause=0.01):
    """Writes by one way after the other, and reads there what it wrote (P3)."""
    rng = random.Random(run.seed + next(run.numbers))
    people = [Person(run, way, rng) for way in ways]
    writes = 0
    while run.going():
        person = rng.choice(people)
        if not person.here():
            break
        i = rng.choice(run.keys)
        try:
            if rng.random() < 0.2:
                writes += move_money(person)
                continue
            if not write_key(person, i):
                continue
            writes += 1
            if rng.random() < 0.3:
                person.wire.ask(rng.choice(BEGINS)).check()
                person.read(i)
                person.wire.query("COMMIT")
            else:
                person.read(i)
            if rng.random() < 0.1:
                take_back(person, i)
        except FAULTS:
            person.failed()
        time.sleep(rng.expovariate(1 / pause))
    for person in people:
        person.leave()
    return writes


def compare_all(connects, connect_direct, keys):
    """At the end: these keys in every form, from the cache and from the server, byte for byte."""
    with connect_direct() as d:
        for connect in connects:
            with connect() as c:
                for script in [form(i)[0] for i in keys for form in READS] + STATEMENTS + SUMS:
                    want = d.ask(script).raw
                    for _ in range(2):
                        got = c.ask(script).raw
                        assert got == want, f"{script}: the cache has {got!r}, the database {want!r}"
