# SPDX-License-Identifier: Apache-2.0
"""The matrix: every kind of session state, set in every way, ended in every way, and then looked for by the same
client on another server and by another client on the same one. Nothing is lost, nothing leaks.

There are two servers. A client sets its state, then a neighbour takes the server that it used (the last one
used is given first): the neighbour must see nothing, and the client, now on the other server, all of it. A
client that is pinned stays where it is, and the neighbour is on the other server. At the end the client
leaves, and both servers are looked at."""
import time
from dataclasses import dataclass, field

from day import is_of_the_day
from pgwire import SLOWNESS, PgError, bind, execute, parse, query, sync
from proxy import CACHE_SETTINGS, CONSOLE_USER
from runner import limit

PID = "SELECT pg_backend_pid()"
FAIL = "SELECT 1/0"


@dataclass
class Kind:
    name: str
    set: list                      # what makes the state
    see: str                       # what shows it: one value, or an SQLSTATE
    mine: str
    fresh: str
    undo: list = field(default_factory=list)   # what ends it by its own words
    transactional: bool = True     # does ROLLBACK undo it?
    local: bool = False            # does it end with the transaction?
    moves: bool = False            # must the client be free to change servers meanwhile?
    discarded: bool = True         # does DISCARD ALL end it?


def setting(name, value, fresh, shown=None, **more):
    see = f"SELECT coalesce(current_setting('{name}', true), '')"
    return Kind(name, [f"SET {name} = {value}"], see, shown if shown is not None else value.strip("'"), fresh,
                [f"RESET {name}"], moves=True, **more)


WORK = "SELECT current_setting('work_mem')"
TENANT = "SELECT coalesce(current_setting('app.tenant', true), '')"

SETTINGS = [
    setting("work_mem", "'7MB'", "4MB"), setting("search_path", "deep, public", '"$user", public'),
    setting("TimeZone", "'Asia/Tokyo'", "UTC"), setting("DateStyle", "'SQL, DMY'", "ISO, MDY"),
    setting("IntervalStyle", "'iso_8601'", "postgres"), setting("application_name", "'mine'", "app"),
    setting("client_encoding", "'LATIN1'", "UTF8"), setting("extra_float_digits", "3", "1"),
    setting("statement_timeout", "'77s'", "0", "77s"), setting("lock_timeout", "'66s'", "0", "66s"),
    setting("idle_in_transaction_session_timeout", "'55s'", "0"),
    setting("default_transaction_isolation", "'serializable'", "read committed"),
    setting("default_transaction_read_only", "on", "off"), setting("enable_seqscan", "off", "on"),
    setting("bytea_output", "'escape'", "hex"), setting("row_security", "off", "on"),
    setting("standard_conforming_strings", "off", "on"), setting("app.tenant", "'seven'", ""),
    setting("plpgsql.variable_conflict", "'use_column'", ("error", "")), setting("synchronous_commit", "off", "on"),
    Kind("SET TIME ZONE", ["SET TIME ZONE 'Europe/Rome'"], "SHOW TimeZone", "Europe/Rome", "UTC",
         ["SET TIME ZONE DEFAULT"], moves=True),
    Kind("SET NAMES", ["SET NAMES 'LATIN1'"], "SHOW client_encoding", "LATIN1", "UTF8", ["SET NAMES DEFAULT"],
         moves=True),
    Kind("SET SCHEMA", ["SET SCHEMA 'deep'"], "SHOW search_path", "deep", '"$user", public',
         ["SET search_path TO DEFAULT"], moves=True),
    Kind("CHARACTERISTICS", ["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
         "SELECT current_setting('default_transaction_isolation')", "repeatable read", "read committed",
         ["RESET default_transaction_isolation"], moves=True),
    Kind("SET ROLE", ["SET ROLE other"], "SELECT current_user", "other", "app", ["RESET ROLE"], moves=True),
    Kind("two values", ["SET work_mem = '6MB'", "SET work_mem = '7MB'"], WORK, "7MB", "4MB", ["RESET ALL"], moves=True),
]

IN_OTHER_WORDS = [
    Kind("set_config", ["SELECT set_config('work_mem', '7MB', false)"], WORK, "7MB", "4MB",
         ["SELECT set_config('work_mem', '4MB', false)"], moves=True),
    Kind("set_config with others", ["SELECT 1, length(set_config('app.tenant', 'seven', false)) FROM generate_series(1, 2)"],
         TENANT, "seven", "", ["RESET app.tenant"]),
    Kind("set_config from a table", ["SELECT set_config(n, v, false) FROM wishes"], WORK, "7MB", "4MB", ["RESET work_mem"]),
    Kind("SET in DO", ["DO $$ BEGIN SET work_mem = '7MB'; END $$"], WORK, "7MB", "4MB", ["RESET work_mem"]),
    Kind("set_config in a function", ["SELECT wish()"], TENANT, "seven", "", ["RESET app.tenant"]),
    Kind("UPDATE pg_settings", ["UPDATE pg_settings SET setting = '7168' WHERE name = 'work_mem'"], WORK, "7MB", "4MB",
         ["RESET work_mem"]),
    Kind("set_config in a trigger", ["INSERT INTO fires VALUES (1)"], WORK, "7MB", "4MB", ["RESET work_mem"]),
    Kind("set_config in a default", ["INSERT INTO defaults DEFAULT VALUES"], WORK, "7MB", "4MB", ["RESET work_mem"]),
    Kind("set_config in a rule", ["UPDATE wishes_view SET v = '7MB' WHERE n = 'work_mem'"], WORK, "7MB", "4MB",
         ["RESET work_mem"]),
    Kind("set_config in a view", ["SELECT * FROM setting_view"], WORK, "7MB", "4MB", ["RESET work_mem"]),
    Kind("SET LOCAL", ["SET LOCAL work_mem = '7MB'"], WORK, "", "4MB", local=True),
    Kind("set_config local", ["SELECT set_config('app.tenant', 'seven', true)"], TENANT, "", "", local=True),
    Kind("SET TRANSACTION", ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"], "SHOW transaction_isolation", "",
         "read committed", local=True),
]

OBJECTS = [
    Kind("temp table", ["CREATE TEMP TABLE tt(i int)"], "SELECT to_regclass('pg_temp.tt') IS NOT NULL", "t", "f",
         ["DROP TABLE tt"]),
    Kind("temp table with rows", ["CREATE TEMP TABLE tt AS SELECT 5 AS i"], "SELECT i FROM tt", "5", "42P01",
         ["DROP TABLE tt"]),
    Kind("SELECT INTO TEMP", ["SELECT 5 AS i INTO TEMP tt"], "SELECT i FROM tt", "5", "42P01", ["DROP TABLE tt"]),
    Kind("temp view", ["CREATE TEMP VIEW tv AS SELECT 5 AS i"], "SELECT i FROM tv", "5", "42P01", ["DROP VIEW tv"]),
    Kind("temp view by its body", ["CREATE TEMP TABLE tt(i int)", "CREATE VIEW tv AS SELECT count(*) FROM tt"],
         "SELECT count FROM tv", "0", "42P01", ["DROP TABLE tt CASCADE"]),
    Kind("temp sequence", ["CREATE TEMP SEQUENCE ts"], "SELECT nextval('ts') > 0", "t", "42P01", ["DROP SEQUENCE ts"]),
    Kind("function in pg_temp", ["CREATE FUNCTION pg_temp.five() RETURNS int LANGUAGE sql AS 'SELECT 5'"],
         "SELECT pg_temp.five()", "5", ("42883", "3F000"), ["DROP FUNCTION pg_temp.five()"]),
    Kind("ON COMMIT DROP", ["CREATE TEMP TABLE tt(i int) ON COMMIT DROP"], "SELECT to_regclass('pg_temp.tt') IS NOT NULL",
         "", "f", local=True),
    Kind("PREPARE", ["PREPARE ps AS SELECT 5"], "EXECUTE ps", "5", "26000", ["DEALLOCATE ps"], transactional=False),
    Kind("WITH HOLD", ["DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT 5"], "FETCH FIRST FROM held", "5", "34000",
         ["CLOSE held"]),
    Kind("plain cursor", ["DECLARE short SCROLL CURSOR FOR SELECT 5"], "FETCH FIRST FROM short", "", "34000", local=True),
    Kind("advisory lock", ["SELECT pg_advisory_lock(77)"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
         "AND pid = pg_backend_pid()", "1", "0", ["SELECT pg_advisory_unlock(77)"], transactional=False),
    Kind("shared advisory lock", ["SELECT pg_try_advisory_lock_shared(78)"], "SELECT count(*) FROM pg_locks WHERE "
         "locktype = 'advisory' AND pid = pg_backend_pid()", "1", "0", ["SELECT pg_advisory_unlock_all()"],
         transactional=False),
    Kind("lock in a function", ["SELECT locks()"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
         "AND pid = pg_backend_pid()", "1", "0", ["SELECT pg_advisory_unlock(79)"], transactional=False),
    Kind("transaction's advisory lock", ["SELECT pg_advisory_xact_lock(77)"], "SELECT count(*) FROM pg_locks WHERE "
         "locktype = 'advisory' AND pid = pg_backend_pid()", "", "0", local=True),
]

SETUP = """DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''UTC''', current_database()); END $$;
CREATE SCHEMA deep; GRANT USAGE ON SCHEMA deep TO PUBLIC; GRANT other TO app;
CREATE TABLE wishes(n text, v text); INSERT INTO wishes VALUES ('work_mem', '7MB'); GRANT SELECT ON wishes TO PUBLIC;
CREATE FUNCTION wish() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'seven', false); END $$;
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('work_mem', '7MB', false); RETURN NEW; END $$;
CREATE TABLE fires(i int); CREATE TRIGGER fire BEFORE INSERT ON fires FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TABLE defaults(v text DEFAULT set_config('work_mem', '7MB', false));
CREATE VIEW wishes_view AS SELECT * FROM wishes;
CREATE RULE rewrite AS ON UPDATE TO wishes_view DO INSTEAD SELECT set_config(old.n, new.v, false);
CREATE VIEW setting_view AS SELECT set_config('work_mem', '7MB', false);
GRANT ALL ON fires, defaults, wishes_view, setting_view TO PUBLIC;
CREATE FUNCTION locks() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(79); END $$;"""

# How it ends: the statements around, and whether the state is still there for the client afterwards
# ("kept": yes; "undone": only what is not transactional).
ENDINGS = {
    "plain": (lambda k: k.set, "kept"),
    "commit": (lambda k: ["BEGIN", *k.set, "COMMIT"], "kept"),
    "rollback": (lambda k: ["BEGIN", *k.set, "ROLLBACK"], "undone"),
    "error": (lambda k: ["BEGIN", *k.set, FAIL, "COMMIT"], "undone"),
    "savepoint": (lambda k: ["BEGIN", "SAVEPOINT a", *k.set, "ROLLBACK TO a", "COMMIT"], "undone"),
    "savepoint kept": (lambda k: ["BEGIN", "SAVEPOINT a", *k.set, "SAVEPOINT b", FAIL, "ROLLBACK TO b", "COMMIT"], "kept"),
    "error in one": (lambda k: [*k.set, FAIL], "undone"),
    "undo": (lambda k: [*k.set, *k.undo], "gone"),
    "discard": (lambda k: [*k.set, "DISCARD ALL"], "gone"),
    "disconnect": (lambda k: k.set, "left"),
    "disconnect in transaction": (lambda k: ["BEGIN", *k.set], "left"),
    "disconnect at once": (lambda k: k.set, "left"),
}


def one_unit(sql):
    return parse(sql) + bind() + execute()


class Simple:
    name = "simple"

    @staticmethod
    def run(c, statements, together):
        for text in ["; ".join(statements)] if together else statements:
            c.ask(query(text))

    @staticmethod
    def say(c, statements):
        c.send(b"".join(query(s) for s in statements))

    @staticmethod
    def ask(c, sql):
        return c.ask(query(sql))


class Extended:
    name = "extended"

    @staticmethod
    def run(c, statements, together):
        if together:
            c.ask(b"".join(one_unit(s) for s in statements) + sync())
        else:
            for text in statements:
                c.ask(one_unit(text) + sync())

    @staticmethod
    def say(c, statements):
        c.send(b"".join(one_unit(s) + sync() for s in statements))

    @staticmethod
    def ask(c, sql):
        return c.ask(one_unit(sql) + sync())


class Pipelined(Extended):
    """All at once, with a Sync behind each."""
    name = "pipelined"

    @staticmethod
    def run(c, statements, together):
        if together:
            Extended.run(c, statements, True)
        else:
            c.ask(b"".join(one_unit(s) + sync() for s in statements), times=len(statements))


class Batched(Extended):
    """All at once, with one Sync at the end."""
    name = "batched"

    @staticmethod
    def run(c, statements, together):
        alone = [s for s in statements if s == "DISCARD ALL"]
        c.ask(b"".join(one_unit(s) for s in statements if s not in alone) + sync())
        for text in alone:
            c.ask(one_unit(text) + sync())
        if c.status == "E":
            # What followed the error was skipped.
            behind = "ROLLBACK TO b" if "SAVEPOINT b" in statements else "ROLLBACK"
            c.ask(query(behind))
            if c.status != "I":
                c.ask(query("COMMIT"))


PROTOCOLS = (Simple, Extended, Pipelined, Batched)


def shown(reply):
    if reply.errors:
        return reply.sqlstate()
    return reply.rows[0][0] if reply.rows else "nothing"


def fits(seen, wanted):
    return seen in wanted if isinstance(wanted, tuple) else seen == wanted


class Matrix:
    def __init__(self, ctx, **settings):
        ctx.sql(SETUP)
        self.ctx = ctx
        self.p = ctx.proxy(default_pool_size=2, worker_threads=1, max_client_conn=100, **settings)
        self.neighbours = [ctx.keep(self.connect()) for _ in range(2)]
        self.console = ctx.keep(self.p.connect("pgbouncer", CONSOLE_USER))
        self.wrong, self.cases, self.moved, self.held = [], 0, set(), {}
        for n in self.neighbours:
            n.query("BEGIN")
        for n in self.neighbours:
            n.query("ROLLBACK")

    def connect(self):
        return self.p.connect(self.ctx.db, application_name="app")

    def look(self, n, kind, where):
        """A neighbour, in a transaction, sees nothing of it."""
        seen = shown(n.ask(query(kind.see)))
        if not fits(seen, kind.fresh):
            self.wrong.append((*where, "a neighbour sees", seen, "instead of", kind.fresh))

    def case(self, kind, protocol, ending):
        statements, outcome = ENDINGS[ending]
        where = (kind.name, protocol.name, ending)
        self.cases += 1
        a = self.connect()
        try:
            pid = a.value(PID)
            if ending == "disconnect at once":
                protocol.say(a, statements(kind))
            else:
                protocol.run(a, statements(kind), ending == "error in one")
            if outcome != "left":
                self.positions(a, kind, protocol, outcome, where, pid)
        except (PgError, TimeoutError) as error:
            self.wrong.append((*where, repr(error)))
        if outcome == "left":
            a.abort()
        else:
            a.close()
        self.afterwards(kind, where)

    def positions(self, a, kind, protocol, outcome, where, pid):
        there = outcome == "kept" or outcome == "undone" and not kind.transactional
        wanted = kind.mine if there and not kind.local else kind.fresh
        if kind.moves and self.is_held(1.0):
            self.held.setdefault(kind.name, []).append(where)
        n = self.neighbours[0]
        n.query("BEGIN")
        seen = shown(protocol.ask(a, kind.see))
        if not fits(seen, wanted):
            self.wrong.append((*where, "the client sees", seen, "instead of", wanted))
        if a.status != "I":
            self.wrong.append((*where, "the client is in a transaction", a.status))
        if n.value(PID) == pid:
            self.moved.add(kind.name)
        self.look(n, kind, where)
        n.query("ROLLBACK")

    def is_held(self, patience):
        """Does the client stay on its server? (What its session has is asked behind its answer.)"""
        until = time.monotonic() + patience * SLOWNESS
        while True:
            pools = self.console.query("SHOW POOLS").dicts
            if all(row["sv_active"] == "0" for row in pools if row["database"] == self.ctx.db):
                return False
            if time.monotonic() >= until:
                return True

    def afterwards(self, kind, where):
        """Both servers, once the client is gone."""
        for n in self.neighbours:
            n.query("BEGIN")
        for n in self.neighbours:
            self.look(n, kind, where + ("afterwards",))
        for n in self.neighbours:
            n.query("ROLLBACK")

    def run(self, kinds):
        started = time.monotonic()
        for kind in kinds:
            for i, protocol in enumerate(PROTOCOLS):
                for j, ending in enumerate(ENDINGS):
                    # Each protocol and each ending, though not each of both together.
                    if self.makes_sense(kind, protocol, ending) and is_of_the_day(i + j, 2):
                        self.case(kind, protocol, ending)
        self.ctx.note(f"{self.cases} cases, {1000 * (time.monotonic() - started) / self.cases:.1f} ms each")
        assert not self.wrong, self.summary()
        self.free(kinds)

    def summary(self):
        """What is wrong, by kind and what was seen, with the first places where."""
        groups = {}
        for kind, protocol, ending, *what in self.wrong:
            groups.setdefault((kind, *what), []).append(f"{protocol}/{ending}")
        lines = [f"{' '.join(map(str, what))}: {len(where)} times ({', '.join(where[:6])})" for what, where in groups.items()]
        return f"{len(self.wrong)} wrong in {self.cases} cases:\n" + "\n".join(lines[:30])

    def free(self, kinds):
        """What has to be followed must not hold its client on a server."""
        held = {k.name: self.held[k.name][:3] for k in kinds if k.moves and k.name in self.held}
        assert not held, f"pinned where they need not be: {held}"
        still = [k.name for k in kinds if k.moves and k.name not in self.moved]
        assert not still, f"never seen on the other server: {still}"

    @staticmethod
    def makes_sense(kind, protocol, ending):
        if ending == "error in one" and protocol is not Simple and protocol is not Extended:
            return False
        if ending == "undo" and not kind.undo:
            return False
        # Cursors and SET LOCAL of a single statement end with it: PostgreSQL refuses or warns.
        if kind.local and ending in ("undo", "discard"):
            return False
        return True


@limit(90)
def test_settings(ctx):
    Matrix(ctx).run(SETTINGS)


@limit(90)
def test_settings_in_other_words(ctx):
    Matrix(ctx).run(IN_OTHER_WORDS)


@limit(90)
def test_objects(ctx):
    Matrix(ctx).run(OBJECTS)


@limit(90)
def test_with_cache(ctx):
    """The same with the cache on: what is looked at may then be answered without a server."""
    Matrix(ctx, **CACHE_SETTINGS).run(SETTINGS[:8] + IN_OTHER_WORDS[:10] + OBJECTS[:3])
