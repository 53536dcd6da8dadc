# SPDX-License-Identifier: Apache-2.0
"""Code that a statement runs without naming it (triggers, rules, views, defaults, policies ...) leaves something in
the session: its client keeps it, no other client sees it. And where there is none, nothing is asked."""
import re

from day import of_the_day
from pgwire import bind, copy_data, copy_done, execute, parse, query, sync, unit
from proxy import CACHE_SETTINGS
from runner import limit

WORK = "SELECT current_setting('work_mem')"

PID = "SELECT pg_backend_pid()"

FUNCTIONS = """
CREATE FUNCTION leaves() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('work_mem', '7MB', false); RETURN 1; END $$;
CREATE FUNCTION leaves(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('work_mem', '7MB', false); RETURN $1; END $$;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('work_mem', '7MB', false); IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;
"""
ROW = "FOR EACH ROW EXECUTE FUNCTION fires()"

# name: what is there, what is run; both without a word of what it does.
PLACES = {
    "row trigger": (f"CREATE TABLE t(i int); CREATE TRIGGER x BEFORE INSERT ON t {ROW}", "INSERT INTO t VALUES (1)"),
    "statement trigger": ("CREATE TABLE t(i int); CREATE TRIGGER x AFTER UPDATE ON t EXECUTE FUNCTION fires()",
                          "UPDATE t SET i = 2 WHERE false"),
    "deferred trigger": (f"CREATE TABLE t(i int); CREATE CONSTRAINT TRIGGER x AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED {ROW}",
                         "BEGIN; INSERT INTO t VALUES (1); COMMIT"),
    "truncate trigger": ("CREATE TABLE t(i int); CREATE TRIGGER x BEFORE TRUNCATE ON t EXECUTE FUNCTION fires()", "TRUNCATE t"),
    "trigger that writes": ("CREATE TABLE o(i int DEFAULT leaves()); CREATE FUNCTION w() RETURNS trigger LANGUAGE plpgsql AS "
                            "$$ BEGIN INSERT INTO o DEFAULT VALUES; RETURN NEW; END $$;"
                            "CREATE TABLE t(i int); CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION w()",
                            "INSERT INTO t VALUES (1)"),
    "trigger's condition": ("CREATE TABLE t(i int); CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW WHEN (leaves() = 0) "
                            "EXECUTE FUNCTION suppress_redundant_updates_trigger()", "INSERT INTO t VALUES (1)"),
    "trigger of a partition": ("CREATE TABLE t(i int) PARTITION BY LIST (i); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);"
                               f"CREATE TRIGGER x BEFORE INSERT ON t1 {ROW}", "INSERT INTO t VALUES (1)"),
    "trigger of a child": ("CREATE TABLE t(i int); CREATE TABLE c() INHERITS (t); INSERT INTO c VALUES (1);"
                           f"CREATE TRIGGER x BEFORE UPDATE ON c {ROW}", "UPDATE t SET i = 1"),
    "trigger behind a cascade": ("CREATE TABLE t(i int PRIMARY KEY); INSERT INTO t VALUES (1);"
                                 "CREATE TABLE u(i int PRIMARY KEY REFERENCES t ON DELETE CASCADE); INSERT INTO u VALUES (1);"
                                 "CREATE TABLE v(i int REFERENCES u ON DELETE SET NULL); INSERT INTO v VALUES (1);"
                                 f"CREATE TRIGGER x AFTER UPDATE ON v {ROW}", "DELETE FROM t"),
    "trigger of a view": (f"CREATE VIEW t AS SELECT 1 AS i; CREATE TRIGGER x INSTEAD OF INSERT ON t {ROW}", "INSERT INTO t VALUES (1)"),
    "trigger behind a view": (f"CREATE TABLE o(i int); CREATE TRIGGER x BEFORE INSERT ON o {ROW}; CREATE VIEW p AS SELECT * FROM o;"
                              "CREATE VIEW t AS SELECT * FROM p", "INSERT INTO t VALUES (1)"),
    "rule": ("CREATE TABLE t(i int); CREATE RULE x AS ON INSERT TO t DO ALSO SELECT leaves()", "INSERT INTO t VALUES (1)"),
    "rule that writes": (f"CREATE TABLE o(i int); CREATE TRIGGER x BEFORE INSERT ON o {ROW}; CREATE TABLE t(i int);"
                         "CREATE RULE x AS ON INSERT TO t DO ALSO INSERT INTO o VALUES (1)", "INSERT INTO t VALUES (1)"),
    "attribute of a number": ("CREATE TABLE t(i int); INSERT INTO t VALUES (1)", "SELECT (i).leaves FROM t"),
    "attribute of an alias": ("CREATE TABLE t(i int)", "SELECT g.leaves FROM generate_series(1, 1) g"),
    "default": ("CREATE TABLE t(i int DEFAULT leaves())", "INSERT INTO t DEFAULT VALUES"),
    "builtin in a default": ("CREATE TABLE t(i text DEFAULT set_config('work_mem', '7MB', false))", "INSERT INTO t DEFAULT VALUES"),
    "generated column": ("CREATE TABLE t(i int, j int GENERATED ALWAYS AS (leaves(i)) STORED)", "INSERT INTO t VALUES (1)"),
    "check": ("CREATE TABLE t(i int CHECK (leaves(i) > 0))", "INSERT INTO t VALUES (1)"),
    "builtin in a check": ("CREATE TABLE t(i int CHECK (set_config('work_mem', '7MB', false) <> ''))", "INSERT INTO t VALUES (1)"),
    "domain": ("CREATE DOMAIN d AS int CHECK (leaves(VALUE) > 0); CREATE TABLE t(i d)", "INSERT INTO t VALUES (1)"),
    "builtin in a domain": ("CREATE DOMAIN d AS int CHECK (set_config('work_mem', '7MB', false) <> ''); CREATE TABLE t(i d)",
                            "INSERT INTO t VALUES (1)"),
    "default of a domain": ("CREATE DOMAIN d AS int DEFAULT leaves(); CREATE TABLE t(i d)", "INSERT INTO t DEFAULT VALUES"),
    "array of a domain": ("CREATE DOMAIN d AS int CHECK (leaves(VALUE) > 0); CREATE TABLE t(i d[])", "INSERT INTO t VALUES ('{1}')"),
    "row of a domain": ("CREATE DOMAIN d AS int CHECK (leaves(VALUE) > 0); CREATE TYPE r AS (a d); CREATE TABLE t(i r)",
                        "INSERT INTO t VALUES ('(1)')"),
    "cast to a domain": ("CREATE DOMAIN d AS int CHECK (leaves(VALUE) > 0)", "SELECT 1::d"),
    "column of a domain": ("CREATE DOMAIN d AS int CHECK (leaves(VALUE) > 0)", "SELECT * FROM jsonb_to_record('{\"a\": 1}') AS x(a d)"),
    "index": ("CREATE TABLE t(i int); CREATE INDEX ON t(leaves(i))", "INSERT INTO t VALUES (1)"),
    "condition of an index": ("CREATE TABLE t(i int); CREATE INDEX ON t(i) WHERE leaves(i) > 0", "INSERT INTO t VALUES (1)"),
    "partition key": ("CREATE TABLE t(i int) PARTITION BY LIST (leaves(i)); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)",
                      "INSERT INTO t VALUES (1)"),
    "policy": ("CREATE TABLE t(i int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
               "CREATE POLICY p ON t USING (leaves(i) > 0)", "SELECT * FROM t"),
    "builtin in a policy": ("CREATE TABLE t(i int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
                            "CREATE POLICY p ON t USING (set_config('work_mem', '7MB', false) <> '')", "SELECT * FROM t"),
    "view in a policy": ("CREATE TABLE t(i int); INSERT INTO t VALUES (1); CREATE VIEW o AS SELECT leaves() AS i;"
                         "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (i IN (SELECT o.i FROM o))",
                         "SELECT * FROM t"),
    "view": ("CREATE VIEW t AS SELECT leaves()", "SELECT * FROM t"),
    "builtin in a view": ("CREATE VIEW t AS SELECT set_config('work_mem', '7MB', false)", "SELECT * FROM t"),
    "view of a view": ("CREATE VIEW p AS SELECT leaves(); CREATE VIEW o AS SELECT * FROM p; CREATE VIEW t AS SELECT * FROM o",
                       "SELECT * FROM t"),
    "view called pg_": ("CREATE VIEW pg_t AS SELECT leaves()", "SELECT * FROM pg_t"),
    "view beyond ASCII": ("CREATE VIEW \"tän\" AS SELECT leaves()", "SELECT * FROM \"tän\""),
    "view in another schema": ("CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO PUBLIC; CREATE VIEW s.t AS SELECT leaves();"
                               "GRANT SELECT ON s.t TO PUBLIC", "SELECT * FROM s.t"),
    "materialized view": ("CREATE MATERIALIZED VIEW o AS SELECT 1 AS i; CREATE VIEW t AS SELECT i, leaves(i) FROM o", "SELECT * FROM t"),
    "cursor": ("CREATE VIEW t AS SELECT leaves()", "BEGIN; DECLARE c CURSOR FOR SELECT * FROM t; FETCH c; COMMIT"),
    "COPY TO": ("CREATE VIEW t AS SELECT leaves()", "INSERT INTO warm SELECT count(*) FROM t"),
    "in WITH": ("CREATE TABLE t(i int DEFAULT leaves())", "WITH a AS (INSERT INTO t DEFAULT VALUES RETURNING i) SELECT i FROM a"),
    "MERGE": (f"CREATE TABLE t(i int); CREATE TRIGGER x BEFORE INSERT ON t {ROW}",
              "MERGE INTO t USING (VALUES (1)) v(i) ON false WHEN NOT MATCHED THEN INSERT VALUES (1)"),
    "EXPLAIN ANALYZE": (f"CREATE TABLE t(i int); CREATE TRIGGER x BEFORE INSERT ON t {ROW}", "EXPLAIN ANALYZE INSERT INTO t VALUES (1)"),
    "EXPLAIN": ("", "EXPLAIN SELECT leaves(1)"),
    "EXPLAIN of a write": ("CREATE TABLE t(i int)", "EXPLAIN UPDATE t SET i = leaves(1)"),
    "EXPLAIN of a view": ("CREATE VIEW t AS SELECT leaves(1)", "EXPLAIN SELECT * FROM t"),
    "EXPLAIN EXECUTE": ("", "PREPARE planned AS SELECT leaves(1); EXPLAIN EXECUTE planned; DEALLOCATE planned"),
    "bound of a partition": ("CREATE TABLE t(i int) PARTITION BY LIST (i); GRANT ALL ON SCHEMA public TO app; ALTER TABLE t OWNER TO app",
                             "CREATE TABLE made PARTITION OF t FOR VALUES IN (leaves(1)); DROP TABLE made"),
    "captured function": ("CREATE FUNCTION abs(text) RETURNS int LANGUAGE sql AS 'SELECT leaves()'", "SELECT abs('x'::text)"),
    "captured operator": ("CREATE FUNCTION plus(text, text) RETURNS int LANGUAGE sql AS 'SELECT leaves()';"
                          "CREATE OPERATOR + (FUNCTION = plus, LEFTARG = text, RIGHTARG = text)", "SELECT 'a'::text + 'b'::text"),
    "operator in a view": ("CREATE FUNCTION plus(text, text) RETURNS int LANGUAGE sql AS 'SELECT leaves()';"
                           "CREATE OPERATOR |+| (FUNCTION = plus, LEFTARG = text, RIGHTARG = text);"
                           "CREATE VIEW t AS SELECT 'a'::text |+| 'b'::text", "SELECT * FROM t"),
    "cast": ("CREATE TYPE e AS ENUM ('a'); CREATE FUNCTION e(int) RETURNS e LANGUAGE sql AS $$ SELECT leaves(); SELECT 'a'::e $$;"
             "CREATE CAST (int AS e) WITH FUNCTION e(int) AS ASSIGNMENT; CREATE TABLE t(i e)", "INSERT INTO t VALUES (1)"),
    "function as a field": ("CREATE TABLE t(i int); INSERT INTO t VALUES (1); CREATE FUNCTION f(t) RETURNS int LANGUAGE sql AS"
                            " 'SELECT leaves()'", "SELECT t.f FROM t"),
    "event trigger": ("CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM leaves(); END $$;"
                      "CREATE EVENT TRIGGER %I ON ddl_command_end EXECUTE FUNCTION ev()", "CREATE TABLE made(i int)"),
}


def database(ctx, place):
    """One of its own for each place, made anew: what is in one must not hide what is not seen in another."""
    name = ctx.new_database()
    setup = PLACES[place][0].replace("%I", name)
    ctx.sql(f"CREATE TABLE warm(i int); {FUNCTIONS} {setup}; GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC", database=name)
    return name


def run_simple(c, sql):
    c.ask(query(sql)).check()


def run_extended(c, sql):
    for text in sql.split("; "):
        c.ask(unit(text)).check()


def run_pipelined(c, sql):
    texts = ["SELECT 1", *sql.split("; "), "SELECT 2"]
    c.ask(b"".join(parse(t) + bind() + execute() + sync() for t in texts), times=len(texts)).check()


def kept_and_not_seen(a, b, where):
    seen = b.value(WORK)
    assert seen == "4MB", f"{where}: another client sees {seen}"
    seen = a.value(WORK)
    assert seen == "7MB", f"{where}: the client itself sees {seen}"


def every_place(ctx, part, **settings):
    names = {place: database(ctx, place) for place in of_the_day(PLACES, 2, part)}
    p = ctx.proxy(databases={n: ctx.server(dbname=n) for n in names.values()}, default_pool_size=1, worker_threads=1, **settings)
    for place, name in names.items():
        a, b = p.connect(name), p.connect(name)
        b.query("SELECT 1")
        for run in (run_simple, run_extended, run_pipelined):
            run(a, PLACES[place][1])
            kept_and_not_seen(a, b, f"{place}, {run.__name__}")
            a.query("RESET work_mem")
            b.value(WORK)
            if place in ("event trigger", "trigger behind a cascade"):
                break  # once only
        a.close()
        b.close()


@limit(120)
def test_every_place(ctx):
    every_place(ctx, 0)


@limit(120)
def test_every_place_with_cache(ctx):
    every_place(ctx, 1, **CACHE_SETTINGS)


def one_server(ctx, **settings):
    p = ctx.proxy(default_pool_size=1, worker_threads=1, **settings)
    return p, ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))


TRIGGER = (FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC;"
           f"CREATE TRIGGER x BEFORE INSERT ON t {ROW};")


def test_copy(ctx):
    ctx.sql(TRIGGER)
    _, a, b = one_server(ctx)
    a.send(query("COPY t FROM STDIN"))
    a.until("G")
    a.send(copy_data(b"1\n") + copy_done())
    a.until_ready()
    kept_and_not_seen(a, b, "COPY")


def test_other_kinds(ctx):
    """Locks, temporary tables, prepared statements, cursors, channels: they pin, and a setting of an invented name is
    nobody else's."""
    ctx.sql("""CREATE FUNCTION runs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE NEW.what; RETURN NEW; END $$;
        CREATE TABLE t(what text); CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION runs();
        GRANT ALL ON t TO PUBLIC""")
    kinds = {
        "SELECT pg_advisory_lock(5)": ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "1", "0"),
        "CREATE TEMP TABLE tt(i int)": ("SELECT to_regclass('pg_temp.tt') IS NOT NULL", "t", "f"),
        "PREPARE ps AS SELECT 5": ("SELECT count(*) FROM pg_prepared_statements WHERE name = 'ps'", "1", "0"),
        "LISTEN news": ("SELECT count(*) FROM pg_listening_channels()", "1", "0"),
        "SELECT set_config('app.tenant', 'seven', false)": (
            "SELECT coalesce(current_setting('app.tenant', true), '')", "seven", ""),
    }
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    for what, (see, mine, fresh) in kinds.items():
        a, b, c = (p.connect(ctx.db) for _ in range(3))
        a.ask(unit("INSERT INTO t VALUES ($1)", params=(what,))).check()
        b.query("BEGIN")
        assert b.value(see) == fresh, what
        assert a.value(see) == mine, what
        b.query("COMMIT")
        a.close()
        for other in (b, c):
            other.query("BEGIN")
            assert other.value(see) == fresh, f"{what}, afterwards"
        b.close()
        c.close()


def statements(ctx, since):
    """What the server was given, of our own making and of others', from its log."""
    return [line for line in ctx.pg.log()[since:].splitlines() if ctx.db in line and re.search(r"LOG:  (statement|execute)", line)]


def test_nothing_is_asked(ctx):
    """Neither where there is no code, nor of tables without it beside others that have some."""
    ctx.sql("""CREATE TABLE plain(id bigserial PRIMARY KEY, name text DEFAULT 'x' CHECK (length(name) < 50),
        at timestamptz DEFAULT now(), u uuid DEFAULT gen_random_uuid(), "updatedAt" text); CREATE INDEX ON plain(lower(name));
        CREATE VIEW seen AS SELECT id, upper(name), count(*) OVER () FROM plain WHERE at > now() - interval '1 day';
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            -- only computes
            IF TG_OP = 'UPDATE' AND NEW.name IS DISTINCT FROM OLD.name THEN NEW.at := now(); END IF; -- as INSERT
            NEW."updatedAt" := now()::text;
            RETURN NEW;
        END $$;
        CREATE TRIGGER touch BEFORE UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION touch();
        GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC""")
    for beside in ("", TRIGGER):
        ctx.sql(beside)
        ctx.sql(f"ALTER DATABASE {ctx.db} SET log_statement = 'all'")
        p, a, b = one_server(ctx)
        a.query("SELECT 1")
        a.close()
        a = ctx.keep(p.connect(ctx.db))
        a.query("SELECT 1")
        since = len(ctx.pg.log())
        n = 0
        for _ in range(5):
            for c in (a, b):
                for text in ("INSERT INTO plain(name) VALUES ('y')", "UPDATE plain SET name = 'z'", "SELECT * FROM seen",
                             "DELETE FROM plain"):
                    c.query(text)
                    c.ask(unit(text)).check()
                    n += 2
        seen = statements(ctx, since)
        assert len(seen) == n, "\n".join(seen[:12])
        ctx.sql(f"ALTER DATABASE {ctx.db} RESET log_statement")
        p.stop()


def test_another_user_comes(ctx):
    """The first client of another user: what is known of the database stays known, and nobody is looked at."""
    ctx.sql("CREATE TABLE plain(i int); GRANT ALL ON plain TO PUBLIC")
    ctx.sql(f"ALTER DATABASE {ctx.db} SET log_statement = 'all'")
    p, a, b = one_server(ctx)
    a.query("SELECT 1")
    a.close()
    a = ctx.keep(p.connect(ctx.db))
    a.query("INSERT INTO plain VALUES (1)")
    since = len(ctx.pg.log())
    other = ctx.keep(p.connect(ctx.db, user="other"))
    for c in (a, other, b, other):
        c.query("INSERT INTO plain VALUES (2)")
    inserts = [line for line in statements(ctx, since) if "pg_catalog.pg_settings" in line or "INSERT" in line]
    assert len(inserts) == 4, "\n".join(line[:300] for line in inserts)


SETS = "set_config('work_mem', '7MB', false)"
BODIES = [  # of trigger functions that do more than compute, some of them in disguise
    f"PERFORM {SETS};", f"NEW.v := {SETS};", "NEW.v := set_config /* now() */ ('work_mem', '7MB', false);",
    "NEW.v := set_config -- now\n ('work_mem', '7MB', false);", "NEW.v := pg_catalog.\"set_config\"('work_mem', '7MB', false);",
    "SET work_mem = '7MB';", "EXECUTE 'SET work_mem = ''7MB''';", "IF now() IS NOT NULL THEN NEW.v := (SELECT leaves()); END IF;",
    "NEW.v := (TABLE hides);", "NEW.v := 'x' || now() || leaves();", "INSERT INTO hides_too DEFAULT VALUES;", "NEW.v := leaves\t();",
    "NEW.v := '\n-- '; PERFORM leaves(); NEW.v := '\n';", "NEW.v := CASE WHEN leaves() = 1 THEN lower('A') END;",
    "NEW.v := lower(leaves()::text);", "IF TG_OP = 'INSERT' THEN NEW.v := leaves(); END IF;",
    "<<now>> BEGIN NEW.v := leaves(1); END;", "DECLARE x guarded := 1; BEGIN NEW.v := x; END;", "NEW.v := 1::guarded;",
    "NEW.v := CAST(1 AS guarded);", "FOR i IN SELECT leaves() LOOP NEW.v := i; END LOOP;", "NEW.v := $x$a$x$ || leaves();",
    "-- x\r PERFORM leaves();\n", "NEW.v := '--'; PERFORM leaves();", "NEW.v := '--\n'; PERFORM leaves(); NEW.v := '\n--';", "/* -- */ PERFORM leaves();\n",
    "NEW.v := 1::int::guarded;", "NEW.v := now()::text || leaves();", "NEW.\"v\" := leaves();",
    "DECLARE x guarded := 1; BEGIN NEW.v := x;", "DECLARE x int := leaves(); BEGIN NEW.v := x;", "DECLARE x text := ''; y int := (leaves(1)); BEGIN NEW.v := y;", "DECLARE x text := 'a''; BEGIN'; y int := leaves(1); BEGIN NEW.v := y;",
    "DECLARE x int; BEGIN x := 1; DECLARE y guarded := 1; BEGIN NEW.v := y; END;",
]


@limit(60)
def test_functions_that_seem_to_compute(ctx):
    ctx.sql(FUNCTIONS + "CREATE VIEW hides AS SELECT leaves(); CREATE TABLE hides_too(i int DEFAULT leaves());"
            "CREATE DOMAIN guarded AS int CHECK (leaves(VALUE) > 0)")
    for i, body in enumerate(BODIES):
        declares = "DECLARE i int; BEGIN" if body.startswith("FOR") else "" if body.startswith("DECLARE") and body.count("END;") < body.count("BEGIN ") else "BEGIN"
        ctx.sql(f"CREATE TABLE t{i}(v text); CREATE FUNCTION f{i}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$f$ {declares} {body} RETURN NEW; END $f$;"
                f"CREATE TRIGGER x BEFORE INSERT ON t{i} FOR EACH ROW EXECUTE FUNCTION f{i}()")
    ctx.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    _, a, b = one_server(ctx)
    b.query("SELECT 1")
    for i, body in enumerate(BODIES):
        a.query(f"INSERT INTO t{i} VALUES ('x')")
        kept_and_not_seen(a, b, body)
        a.query("RESET work_mem")


def test_computing_with_own_functions(ctx):
    """What only calls lower() does more where somebody has a lower() of his own."""
    ctx.sql(FUNCTIONS + """CREATE TABLE t(v text); GRANT ALL ON t TO PUBLIC;
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := lower(5); RETURN NEW; END $$;
        CREATE FUNCTION lower(int) RETURNS text LANGUAGE sql AS 'SELECT leaves()::text';
        CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()""")
    _, a, b = one_server(ctx)
    b.query("SELECT 1")
    a.query("INSERT INTO t VALUES ('x')")
    kept_and_not_seen(a, b, "lower")


def test_switched_off(ctx):
    """hidden_code_check = 0: nothing is asked, not even once."""
    ctx.sql(TRIGGER)
    ctx.sql(f"ALTER DATABASE {ctx.db} SET log_statement = 'all'")
    since = len(ctx.pg.log())
    _, a, _ = one_server(ctx, hidden_code_check=0)
    a.query("INSERT INTO t VALUES (1)")
    seen = statements(ctx, since)
    assert len(seen) == 1, seen


def test_made_by_another_client(ctx):
    """What a client makes counts for all, from then on; while it is being made, too."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC; ALTER TABLE t OWNER TO app")
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    a.query("INSERT INTO t VALUES (1)")
    c.query("BEGIN")
    c.query(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")
    # a waits for c's lock: it was sent before the trigger is there, and runs behind it.
    a.send(query("INSERT INTO t VALUES (2)"))
    assert a.is_quiet()
    c.query("COMMIT")
    a.until_ready()
    kept_and_not_seen(a, b, "while")
    a.query("RESET work_mem")
    c.close()
    a.query("INSERT INTO t VALUES (3)")
    kept_and_not_seen(a, b, "afterwards")


def test_sent_before_it_was_made(ctx):
    """A statement that was judged before another client's DDL was sent, and runs behind it."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC; ALTER TABLE t OWNER TO app")
    p = ctx.proxy(default_pool_size=2, worker_threads=1)
    a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    a.query("SELECT 1")
    holder = ctx.direct()
    holder.query("SELECT pg_advisory_lock(1)")
    a.send(query("SELECT pg_advisory_xact_lock(1); INSERT INTO t VALUES (1)"))
    p.wait(lambda: holder.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1", "a waits")
    c.query(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")
    holder.query("SELECT pg_advisory_unlock(1)")
    a.until_ready()
    for other in (b, c):
        other.query("BEGIN")
        assert other.value(WORK) == "4MB"
        other.query("COMMIT")
    assert a.value(WORK) == "7MB"


@limit(90)
def test_made_on_the_server(ctx):
    """What is made around the proxy is seen within the interval, used or not."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC")
    p, a, b = one_server(ctx, hidden_code_check=0.4)
    a.query("INSERT INTO t VALUES (1)")
    ctx.sql(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")

    def in_use():
        a.query("INSERT INTO t VALUES (2)")
        leaked = b.value(WORK)
        if leaked != "4MB":
            b.query("RESET work_mem")  # looked at meanwhile, it has taken it for its own (docs/guarantees.md)
        return leaked == "4MB" and a.value(WORK) == "7MB"

    p.wait(in_use, "the trigger to be known", 60)  # 200 times as long as the check took, where that is more
    a.query("RESET work_mem")
    for _ in range(10):
        a.query("INSERT INTO t VALUES (2)")
        kept_and_not_seen(a, b, "in use")
        a.query("RESET work_mem")


def test_made_on_the_server_while_idle(ctx):
    """After a time without use nothing is believed: the first statement is judged by what is there then."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC")
    p, a, b = one_server(ctx, hidden_code_check=0.2)
    a.query("INSERT INTO t VALUES (1)")
    ctx.sql(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")
    ctx.sql("SELECT pg_sleep(0.3)")
    a.query("INSERT INTO t VALUES (2)")
    kept_and_not_seen(a, b, "after idling")


@limit(90)
def test_surprise(ctx):
    """Once code is found that was put there around the proxy, no server from before is used again."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC")
    p = ctx.proxy(default_pool_size=2, worker_threads=1, hidden_code_check=0.4)
    a, c = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("BEGIN")
    c.query("BEGIN")
    before = {x.value(PID) for x in (a, c)}
    ctx.sql(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")
    for x in (a, c):
        x.query("INSERT INTO t VALUES (1)")  # not noticed: judged by what was there a moment ago, perhaps
        x.query("COMMIT")
    p.wait(lambda: a.query("SELECT 1 + 1") and p.log().count("code behind") == 2, "the trigger to be known", 60)
    others = [ctx.keep(p.connect(ctx.db)) for _ in range(2)]
    for x in others:
        x.query("BEGIN")
    assert not before & {x.value(PID) for x in others}
    assert [x.value(WORK) for x in others] == ["4MB", "4MB"]


def test_what_is_found_on_a_server_from_before(ctx):
    """Who is looked at on a server that was used before the code was known: what is found may be anybody's, and
    becomes nobody's."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC; "
            "CREATE FUNCTION quiet() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'")
    p = ctx.proxy(default_pool_size=1, worker_threads=1)
    a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    a.query("INSERT INTO t VALUES (1)")
    p.wait_log("code behind 0 names")
    p.reload(default_pool_size=2)
    ctx.sql(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")
    a.query("INSERT INTO t VALUES (2)")  # not noticed
    b.query("BEGIN")
    assert b.value(WORK) == "7MB"
    c.query("DROP TABLE IF EXISTS nothing")  # is a reason to ask what code there is
    p.wait(lambda: c.query("SELECT 1") and "code behind 1 names" in p.log(), "it to be asked")
    b.query("SELECT quiet(); INSERT INTO t VALUES (3)")
    b.query("COMMIT")
    b.query("COMMIT")
    assert b.value(WORK) == "4MB"
    a.query("INSERT INTO t VALUES (4)")
    kept_and_not_seen(a, b, "afterwards")


def test_dropped_again(ctx):
    """When the code is gone nothing is asked any more."""
    ctx.sql(TRIGGER + "ALTER TABLE t OWNER TO app")
    p, a, b = one_server(ctx)
    a.query("INSERT INTO t VALUES (1)")
    kept_and_not_seen(a, b, "there")
    a.query("RESET work_mem")
    a.query("DROP TRIGGER x ON t")
    p.wait(lambda: a.query("INSERT INTO t VALUES (1)") and p.log().count("code behind") >= 2, "it to be learnt")
    pins = p.console_pins() if hasattr(p, "console_pins") else None
    assert pins is None or pins == 0
    assert b.value(WORK) == "4MB"


def test_reconnect(ctx):
    """RECONNECT may mean another server: what was learnt is not believed."""
    ctx.sql(FUNCTIONS + "CREATE TABLE t(i int); GRANT ALL ON t TO PUBLIC")
    p, a, b = one_server(ctx)
    a.query("INSERT INTO t VALUES (1)")
    ctx.sql(f"CREATE TRIGGER x BEFORE INSERT ON t {ROW}")
    p.console("RECONNECT")
    a.query("INSERT INTO t VALUES (1)")
    kept_and_not_seen(a, b, "after")


def test_cannot_be_asked(ctx):
    """Without the right to look into the catalog every transaction is looked at, and the log says so."""
    ctx.sql(TRIGGER + "REVOKE SELECT ON pg_trigger FROM PUBLIC; REVOKE SELECT ON pg_policy FROM PUBLIC")
    p, a, b = one_server(ctx)
    for _ in range(3):
        a.query("INSERT INTO t VALUES (1)")
        kept_and_not_seen(a, b, "unknown")
        a.query("RESET work_mem")
    assert "cannot be learnt" in p.log()


def test_many_relations(ctx):
    ctx.sql(FUNCTIONS + "DO $$ BEGIN FOR i IN 1..300 LOOP "
            "EXECUTE format('CREATE VIEW v%s AS SELECT leaves() AS i', i); "
            "EXECUTE format('CREATE VIEW w%s AS SELECT 1 AS i', i); END LOOP; END $$; GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    p, a, b = one_server(ctx)
    for i in (1, 77, 150, 299, 300):
        a.query(f"SELECT * FROM v{i}")
        kept_and_not_seen(a, b, f"v{i}")
        a.query("RESET work_mem")
        a.query(f"SELECT * FROM w{i}")


def test_statement_mode(ctx):
    ctx.sql(TRIGGER)
    _, a, b = one_server(ctx, pool_mode="statement")
    a.query("INSERT INTO t VALUES (1)")
    kept_and_not_seen(a, b, "statement mode")


def test_session_mode_with_cache(ctx):
    """There is nobody to leak to, but what is answered from memory has to be what the session means by now."""
    ctx.sql("""CREATE SCHEMA deep; CREATE TABLE deep.x AS SELECT 'deep' AS v; CREATE TABLE x AS SELECT 'public' AS v;
        CREATE VIEW goes_deep AS SELECT set_config('search_path', 'deep, public', false);
        GRANT USAGE ON SCHEMA deep TO PUBLIC; GRANT SELECT ON x, deep.x, goes_deep TO PUBLIC""")
    p = ctx.cache_proxy(pool_mode="session")
    a = ctx.keep(p.connect(ctx.db))
    ctx.wait_hit(p, lambda: a.value("SELECT v FROM x"))
    a.query("SELECT * FROM goes_deep")
    for _ in range(10):
        assert a.value("SELECT v FROM x") == "deep"


def test_view_that_writes_with_cache(ctx):
    """A write behind a view is seen by the next hit, as one behind a function."""
    ctx.sql("""CREATE TABLE x AS SELECT 0 AS v; CREATE FUNCTION bump() RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN UPDATE x SET v = v + 1; RETURN (SELECT v FROM x); END $$; CREATE VIEW bumps AS SELECT bump() AS v;
        GRANT ALL ON x, bumps TO PUBLIC""")
    p = ctx.cache_proxy(worker_threads=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for _ in range(30):
        ctx.wait_hit(p, lambda: b.value("SELECT v FROM x"))
        now = a.value("SELECT v FROM bumps")
        assert b.value("SELECT v FROM x") == now


def test_reads_of_tables_with_code_hit(ctx):
    """Triggers, defaults and rules run for who writes. Who only reads the table is answered from memory, and asks nothing."""
    ctx.sql(FUNCTIONS + f"CREATE TABLE t(id int PRIMARY KEY, n int DEFAULT leaves()); INSERT INTO t VALUES (1, 0);"
            f"CREATE TRIGGER x BEFORE UPDATE ON t {ROW}; GRANT ALL ON t TO app")
    p = ctx.cache_proxy()
    w, r = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    for n in range(1, 10):
        w.query(f"UPDATE t SET n = {n} WHERE id = 1")
        assert r.value("SELECT n FROM t WHERE id = 1") == str(n)
    ctx.wait_hit(p, lambda: r.query("SELECT n FROM t WHERE id = 1"))
    before = p.cache()["bypass_barrier"]
    ctx.wait_hit(p, lambda: r.query("SELECT n FROM t WHERE id = 1"))
    assert p.cache()["bypass_barrier"] == before, "a read raised a barrier"
