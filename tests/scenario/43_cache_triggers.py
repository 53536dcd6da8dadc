# SPDX-License-Identifier: Apache-2.0
"""Triggers that only compute, and writes through views: they cost readers of other tables none of their hits. What may do
more does, and what it wrote is seen at once."""
import itertools
import time

from day import of_the_day
from pgwire import query
from relay import Relay
from runner import limit

BOTH = ({}, {"hidden_code_check": 0})
OTHER = "SELECT name FROM other WHERE id = 1"
TWIN = "SELECT n FROM twin WHERE id = 1"
SETUP = """
CREATE TABLE other(id int PRIMARY KEY, name text); INSERT INTO other VALUES (1, 'x'); CREATE TABLE twin(id int PRIMARY KEY, n int); INSERT INTO twin VALUES (1, 0);
CREATE FUNCTION bump() RETURNS int LANGUAGE sql AS 'UPDATE twin SET n = n + 1 WHERE id = 1 RETURNING n';
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN mail AS text CHECK (VALUE ~ '@');
CREATE DOMAIN evil AS text CHECK (bump() > 0);
GRANT ALL ON SCHEMA public TO app;
"""
COLUMNS = "id int PRIMARY KEY, n int DEFAULT 0, name text DEFAULT 'x', m mood DEFAULT 'ok', mail mail DEFAULT 'a@b', doc jsonb DEFAULT '{}', q tsvector, updated_at timestamptz, \"updatedAt\" timestamptz, a int[]"


def table(name, function, when="", timing="BEFORE INSERT OR UPDATE ON {t} FOR EACH ROW", more=""):
    """A table with a trigger; function: its body, or what it is called."""
    sql = f"CREATE TABLE {name}({COLUMNS}); INSERT INTO {name}(id) VALUES (1); GRANT ALL ON {name} TO app; {more};"
    if "(" not in function.split()[0]:
        sql += f"CREATE FUNCTION {name}_f() RETURNS trigger LANGUAGE plpgsql AS $f$ {function} $f$;"
        function = f"{name}_f()"
    return sql + f"CREATE TRIGGER tr {timing.format(t=name)} {when} EXECUTE FUNCTION {function};"


def body(statements, declare=""):
    return f"{declare} BEGIN {statements} RETURN NEW; END"


COMPUTING = [
    table("c1", body("NEW.updated_at := now();")),
    table("c2", body("NEW.\"updatedAt\" = CURRENT_TIMESTAMP; -- INSERT INTO twin\n")),
    table("c3", body("IF NEW IS DISTINCT FROM OLD THEN NEW.updated_at := clock_timestamp(); END IF;"), timing="BEFORE UPDATE ON {t} FOR EACH ROW"),
    table("c4", body("IF TG_OP = 'UPDATE' AND NEW.n < 0 THEN RAISE EXCEPTION 'no %', NEW.n; ELSIF NEW.n IS NULL THEN NEW.n := OLD.n + x; END IF; NEW.name := lower(trim(NEW.name)) || upper('x');", declare="DECLARE x int := 1; y text := '; PERFORM'; z date;")),
    table("c5", body("NEW.updated_at := now();"), when="WHEN (OLD.* IS DISTINCT FROM NEW.*)", timing="BEFORE UPDATE ON {t} FOR EACH ROW"),
    table("c6", "suppress_redundant_updates_trigger()", timing="BEFORE UPDATE ON {t} FOR EACH ROW"),
    table("c7", "tsvector_update_trigger(q, 'pg_catalog.simple', name)"),
    table("c8", "moddatetime(updated_at)", timing="BEFORE UPDATE ON {t} FOR EACH ROW"),
    table("c9", "BEGIN RAISE DEBUG 'wrote %', TG_TABLE_NAME; RETURN NULL; END", timing="AFTER INSERT OR UPDATE OR DELETE ON {t} FOR EACH ROW"),
    table("c10", body("NEW.m := CASE WHEN NEW.n > 3 THEN 'sad' ELSE 'ok' END; NEW.mail := 'c@d'; NEW.q := setweight(to_tsvector('simple', coalesce(NEW.name, '')), 'A');")),
    table("c11", body("NEW.updated_at := now();"), when="WHEN (pg_trigger_depth() = 0 AND NEW.n >= 0 AND NEW.name <> 'y')"),
    table("c12", "BEGIN RETURN NULL; END", timing="AFTER INSERT OR UPDATE ON {t} FOR EACH STATEMENT"),
    table("c13", body("NEW.n := NEW.n + 1;"), more="ALTER TABLE c13 ADD geo cube"),
    table("c14", body("IF OLD.name IS DISTINCT FROM NEW.name THEN NEW.doc := to_jsonb(OLD.name)::jsonb; END IF; -- it was\n NEW.\"updatedAt\" := now()::timestamptz;"), timing="BEFORE UPDATE ON {t} FOR EACH ROW"),
]
# Writes through views that are rows of one table.
VIEWS = """
CREATE TABLE b(id int PRIMARY KEY, n int DEFAULT 0, name text DEFAULT 'x'); INSERT INTO b(id) VALUES (1); GRANT ALL ON b TO app;
CREATE VIEW v1 AS SELECT * FROM b; CREATE VIEW v2 AS SELECT id, n, upper(name) AS name FROM b WHERE id < 1000000 WITH CHECK OPTION; CREATE VIEW v3 AS SELECT id AS id, n FROM v2 WHERE n IS NOT NULL;
CREATE VIEW v4 WITH (security_barrier) AS SELECT id, n FROM b WHERE name ~ '^x'; CREATE VIEW v5 AS SELECT id, n FROM c1; GRANT ALL ON v1, v2, v3, v4, v5 TO app;
"""
EXTENSIONS = "CREATE EXTENSION moddatetime; CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION intarray; CREATE EXTENSION cube; CREATE EXTENSION btree_gist;"
RANGE = "CREATE TYPE spans AS RANGE (subtype = float8);" # comes with a cast by a function
GRANTS = "GRANT ALL ON ALL TABLES IN SCHEMA public TO app"


def behind_relay(ctx, **settings):
    """A proxy that hears of no write while relay.stall("stream") holds, and a reader and a writer of it."""
    relay = Relay(ctx.pg.port)
    p = ctx.cache_proxy(databases={ctx.db: ctx.server(port=relay.port)}, default_pool_size=8, max_staleness="2s", **settings)
    return relay, p, ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))


def hits_beside(ctx, relay, p, c, w, texts):
    """Whether OTHER is answered from memory while the stream has not told of these writes, and what TWIN became."""
    read = lambda: int(c.value(TWIN))  # noqa: E731
    before = ctx.wait_hit(p, read)
    ctx.wait_hit(p, lambda: c.query(OTHER))
    relay.stall("stream")
    for text in texts:
        w.ask(query(text)).check()
    hits, after = ctx.hits(p, lambda: c.query(OTHER)), read()
    relay.flow("stream")
    return hits, after - before


def check_no_barrier(ctx, names, ids, **settings):
    relay, p, c, w = behind_relay(ctx, **settings)
    for name in names:
        for write in ("INSERT INTO {t}(id, n) VALUES ({i}, 1)", "UPDATE {t} SET n = {i} WHERE id = 1", "DELETE FROM {t} WHERE id = {i}"):
            def beside(write=write, t=name):
                i = next(ids)
                if "DELETE" in write:
                    w.ask(query(f"INSERT INTO {t}(id, n) VALUES ({i}, 1)")).check()
                return hits_beside(ctx, relay, p, c, w, [write.format(t=t, i=i)]) == (1, 0)
            p.wait(beside, f"that a write to {name} raises no barrier: {write}")
    p.stop()
    relay.close()


def test_computing(ctx):
    """Triggers that only compute: others keep their hits."""
    ctx.sql(SETUP + RANGE + EXTENSIONS + "".join(COMPUTING) + GRANTS)
    names = [f"c{i + 1}" for i in range(len(COMPUTING))]
    ids = itertools.count(100)
    for settings in BOTH:
        check_no_barrier(ctx, names, ids, **settings)


def test_views(ctx):
    """Views that PostgreSQL itself writes through."""
    ctx.sql(SETUP + COMPUTING[0] + VIEWS + GRANTS)
    ids = itertools.count(100)
    for settings in BOTH:
        check_no_barrier(ctx, ["v1", "v2", "v3", "v4", "v5"], ids, **settings)


def insert(name, values="(2)"):
    return [f"INSERT INTO {name}(id) VALUES {values}"]


TEXT = "RETURNS text LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN 'x'; END $x$"
MOODS = """CREATE FUNCTION eq(mood, mood) RETURNS bool LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN true; END $x$; CREATE OPERATOR === (LEFTARG = mood, RIGHTARG = mood, FUNCTION = eq);
CREATE FUNCTION cmp(mood, mood) RETURNS int LANGUAGE sql AS 'SELECT bump()'; CREATE OPERATOR CLASS mood_order DEFAULT FOR TYPE mood USING btree AS OPERATOR 3 ===, FUNCTION 1 cmp(mood, mood)"""
# What looks like one of those, and writes: what makes it, by whoever looks at none of it, and what runs it then.
LIKE = {
    "update": (table("l", body("UPDATE twin SET n = n + 1;")), None),
    "only sometimes": (table("l", body("IF NEW.n = 0 THEN NEW.updated_at := now(); ELSE UPDATE twin SET n = n + 1; END IF;")), ["INSERT INTO l(id, n) VALUES (2, 1)"]),
    "execute": (table("l", body("EXECUTE 'UPDATE twin SET n = n + 1';")), None),
    "perform": (table("l", body("PERFORM bump();")), None),
    "call": (table("l", body("NEW.n := bump();")), None),
    "query": (table("l", body("NEW.n := (SELECT bump());")), None),
    "from": (table("l", body("NEW.n := n FROM bump() AS n;")), None),
    "declared": (table("l", body("NULL;", declare="DECLARE x int := bump();")), None),
    "declared of a domain": (table("l", body("NEW.name := x;", declare="DECLARE x evil := 'a';")), None),
    "raised": (table("l", body("RAISE DEBUG '%', bump();")), None),
    "in a condition": (table("l", body("IF bump() > 0 THEN NULL; END IF;")), None),
    "caught": (table("l", body("BEGIN PERFORM bump(); EXCEPTION WHEN division_by_zero THEN NULL; END;")), None),
    "loop": (table("l", body("FOR i IN SELECT bump() LOOP NULL; END LOOP;", declare="DECLARE i int;")), None),
    "behind a comment": (table("l", body("NEW.n := 1; -- nothing\n PERFORM bump();")), None),
    "behind a comment that a CR ends": (table("l", body("NEW.n := 1; -- nothing\r PERFORM bump();")), None),
    "cast": (table("l", body("NEW.name := 'a'::evil;")), None),
    "captured function": (table("l", body("NEW.name := lower(NEW.n);"), more=f"CREATE FUNCTION lower(int) {TEXT}"), None),
    "captured function of no argument": (table("l", body("NEW.name := now();"), more=f"CREATE FUNCTION public.now() {TEXT}"), ["SET search_path = public, pg_catalog", *insert("l"), "RESET search_path"]),
    "captured in another schema": (table("l", body("NEW.name := upper(NEW.name);"), more=f"CREATE SCHEMA aside; GRANT USAGE ON SCHEMA aside TO app; CREATE FUNCTION aside.upper(text) {TEXT}"),
                                   ["SET search_path = aside, pg_catalog, public", *insert("l"), "RESET search_path"]),
    "captured operator": (table("l", body("NEW.name := NEW.name + NEW.n;"), more=f"CREATE FUNCTION plus(text, int) {TEXT}; CREATE OPERATOR + (LEFTARG = text, RIGHTARG = int, FUNCTION = plus)"), None),
    "operator of enums": (table("l", body("NEW.name := NEW.m || NEW.m;"), more=f"CREATE FUNCTION plus(mood, mood) {TEXT}; CREATE OPERATOR || (LEFTARG = mood, RIGHTARG = mood, FUNCTION = plus)"), None),
    "a domain with a function's name": (table("l", body("NEW.name := reverse(NEW.n);"), more="CREATE DOMAIN reverse AS evil"), None),
    "a column of a domain": (table("l", body("NEW.e := 'a';"), more="ALTER TABLE l ADD e evil"), None),
    "when": (table("l", body("NEW.updated_at := now();"), when="WHEN (bump() > 0)"), None),
    "when with an operator": (table("l", body("NEW.updated_at := now();"), when="WHEN (NEW.name <<< NEW.n)", more="CREATE FUNCTION less(text, int) RETURNS bool LANGUAGE sql AS 'SELECT bump() > 0'; CREATE OPERATOR <<< (LEFTARG = text, RIGHTARG = int, FUNCTION = less)"), None),
    "when with PostgreSQL's own": (table("l", body("NEW.updated_at := now();"), when="WHEN (query_to_xml('SELECT bump()', true, true, '') IS NOT NULL)"), None),
    "one of two": (table("l", body("NEW.updated_at := now();"), more="CREATE FUNCTION second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM bump(); RETURN NEW; END $$; CREATE TRIGGER zz AFTER INSERT ON l FOR EACH ROW EXECUTE FUNCTION second()"), None),
    "a default": (table("l", body("NEW.updated_at := now();"), more="ALTER TABLE l ALTER name SET DEFAULT bump()::text"), None),
    "a leaf": ("CREATE TABLE l(id int) PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF l FOR VALUES FROM (0) TO (10); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM bump(); RETURN NEW; END $$;"
               "CREATE TRIGGER tr BEFORE INSERT ON leaf FOR EACH ROW EXECUTE FUNCTION f()", None),
    "a rule": (table("l", body("NEW.updated_at := now();"), more="CREATE RULE r AS ON INSERT TO l DO ALSO UPDATE twin SET n = n + 1"), None),
    "a view with a rule": ("CREATE TABLE t(id int); CREATE VIEW l AS SELECT * FROM t; CREATE RULE r AS ON INSERT TO l DO ALSO UPDATE twin SET n = n + 1", None),
    "a view with a trigger instead": ("CREATE TABLE t(id int); CREATE VIEW l AS SELECT * FROM t; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM bump(); RETURN NEW; END $$;"
                                      "CREATE TRIGGER tr INSTEAD OF INSERT ON l FOR EACH ROW EXECUTE FUNCTION f()", None),
    "a view with a default": ("CREATE TABLE t(id int, n int); CREATE VIEW l AS SELECT * FROM t; ALTER VIEW l ALTER n SET DEFAULT bump()", None),
    "a view with a function": ("CREATE TABLE t(id int); INSERT INTO t VALUES (1); CREATE VIEW l AS SELECT id FROM t WHERE bump() > 0", ["UPDATE l SET id = 2"]),
    "a view that checks": ("CREATE TABLE t(id int); CREATE VIEW l AS SELECT id FROM t WHERE bump() > 0 WITH CHECK OPTION", None),
    "a view of a view with a function": ("CREATE TABLE t(id int); INSERT INTO t VALUES (1); CREATE VIEW inner_l AS SELECT id, bump() FROM t; CREATE VIEW l AS SELECT * FROM inner_l", ["UPDATE l SET id = 2 RETURNING *"]),
    "a view of a view with a rule": ("CREATE TABLE t(id int); CREATE VIEW inner_l AS SELECT id FROM t; CREATE RULE r AS ON INSERT TO inner_l DO ALSO UPDATE twin SET n = n + 1; CREATE VIEW l AS SELECT * FROM inner_l", None),
    "a view of a table with a trigger": (table("t", body("PERFORM bump();")) + "CREATE VIEW l AS SELECT * FROM t", None),
    "a view of a table with policies": ("CREATE TABLE t(id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true) WITH CHECK (bump() > 0); CREATE VIEW l AS SELECT id FROM t; ALTER VIEW l OWNER TO app", None),
    "a view of a table that others hang on": ("CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1); ALTER TABLE twin ADD t int REFERENCES t ON DELETE CASCADE; INSERT INTO twin VALUES (2, 0, 1); CREATE VIEW l AS SELECT id FROM t;"
                                              "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE twin SET n = n + 1 WHERE id = 1; RETURN OLD; END $$; CREATE TRIGGER tr AFTER DELETE ON twin FOR EACH ROW EXECUTE FUNCTION f()", ["DELETE FROM l WHERE id = 1"]),
    "an operator of another's type": (table("l", body("IF (NEW.geo + NEW.geo) IS NULL THEN NULL; END IF;"), more="ALTER TABLE l ADD geo cube DEFAULT cube(1); CREATE FUNCTION plus(cube, cube) RETURNS cube LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN $1; END $x$;"
                                      "CREATE OPERATOR + (LEFTARG = cube, RIGHTARG = cube, FUNCTION = plus)"), None),
    "a cast of a row": (table("l", body("NEW.name := 'x' || NEW;"), more=f"CREATE FUNCTION as_text(l) {TEXT}; CREATE CAST (l AS text) WITH FUNCTION as_text(l) AS ASSIGNMENT"), None),
    "another order of an enum": (table("l", body("IF NEW IS DISTINCT FROM OLD THEN NEW.n := 1; END IF;"), timing="BEFORE UPDATE ON {t} FOR EACH ROW", more=MOODS), ["UPDATE l SET id = 1"]),
    "when with another order": (table("l", body("NEW.n := 1;"), timing="BEFORE UPDATE ON {t} FOR EACH ROW", when="WHEN (OLD.* IS DISTINCT FROM NEW.*)", more=MOODS), ["UPDATE l SET id = 1"]),
    # Types that are compared by somebody's code; a cast that nobody sees.
    "another order": (table("l", body("IF NEW IS DISTINCT FROM OLD THEN NEW.n := 1; END IF;"), timing="BEFORE UPDATE ON {t} FOR EACH ROW",
                            more="ALTER TABLE l ADD j json DEFAULT '1'; CREATE FUNCTION eq(json, json) RETURNS bool LANGUAGE plpgsql AS $x$ BEGIN PERFORM bump(); RETURN true; END $x$; CREATE OPERATOR === (LEFTARG = json, RIGHTARG = json, FUNCTION = eq);"
                            "CREATE OPERATOR CLASS json_ops DEFAULT FOR TYPE json USING hash AS OPERATOR 1 ===; CREATE FUNCTION cmp(json, json) RETURNS int LANGUAGE sql AS 'SELECT bump()'; CREATE OPERATOR CLASS json_order DEFAULT FOR TYPE json USING btree AS OPERATOR 3 ===, FUNCTION 1 cmp(json, json)"),
                      ["UPDATE l SET id = 1"]),
    "a cast unseen": (table("l", body("NEW.name := NEW.m;"), more=f"CREATE FUNCTION as_text(mood) {TEXT}; CREATE CAST (mood AS text) WITH FUNCTION as_text(mood) AS ASSIGNMENT"), None),
}


def look_alikes(ctx, cases, turns=2, **settings):
    for what, (made, texts) in cases.items():
        ctx.sql("DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS aside CASCADE; CREATE SCHEMA public; CREATE EXTENSION cube;" + SETUP + made + ";" + GRANTS)
        relay, p, c, w = behind_relay(ctx, **settings)
        for _ in range(2): # the first time the name is not known yet
            w.ask(query("DELETE FROM l WHERE false"))
            time.sleep(0.1)
        for turn in range(1 if "DELETE" in (texts or [""])[0] else turns):
            hits, more = hits_beside(ctx, relay, p, c, w, [text.replace("(2", f"({turn + 2}") for text in texts or insert("l")])
            assert hits == 0 and more > 0, f"{what}, {turn}: {hits} hits, {more} written"
        p.stop()
        relay.close()


@limit(120)
def test_look_alikes(ctx):
    """What may write raises a barrier, and what it wrote is seen at once."""
    look_alikes(ctx, of_the_day(LIKE, 4))


@limit(120)
def test_look_alikes_alone(ctx):
    """Where nobody asks for code that is not named, as that would hide a fault of this."""
    look_alikes(ctx, of_the_day(LIKE, 2, 1), hidden_code_check=0)


# ---- Which row it is

KEYS = {
    "inserted": ("BEFORE INSERT", "NEW.id := NEW.id + 1000;", "SELECT n FROM k WHERE id = 1005", "INSERT INTO k(id, n) VALUES (5, 7)", "7"),
    "quoted": ("BEFORE INSERT", "NEW.\"id\" := 77;", "SELECT n FROM k WHERE id = 77", "INSERT INTO k(id, n) VALUES (5, 7)", "7"),
    "upserted": ("BEFORE INSERT", "IF NEW.id = 5 THEN NEW.id := 1; END IF;", "SELECT n FROM k WHERE id = 1", "INSERT INTO k(id, n) VALUES (5, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n", "7"),
    "updated": ("BEFORE UPDATE", "NEW.id := OLD.id + 10;", "SELECT n FROM k WHERE id = 12", "UPDATE k SET n = 7 WHERE id = 2", "7"),
    "kept": ("BEFORE UPDATE", "RETURN OLD;", "SELECT n FROM k WHERE id = 2", "UPDATE k SET id = 8 WHERE id = 2", "0"),
    "a column": ("BEFORE INSERT OR UPDATE", "NEW.owner := 'me';", "SELECT n FROM k WHERE owner = 'me'", "INSERT INTO k(id, n, owner) VALUES (5, 7, 'you')", "7"),
    "a column updated": ("BEFORE INSERT OR UPDATE", "NEW.owner := 'me';", "SELECT n FROM k WHERE owner = 'me'", "UPDATE k SET n = 7 WHERE id = 2", "7"),
    "in C": ("BEFORE INSERT", "insert_username(owner)", "SELECT n FROM k WHERE owner = 'app'", "INSERT INTO k(id, n, owner) VALUES (5, 7, 'you')", "7"),
    "through a view": ("AFTER INSERT", "", "SELECT n FROM k WHERE id = 22", "UPDATE kv SET key = 22, n = 7 WHERE key = 2", "7"),
    "inserted through a view": ("AFTER INSERT", "", "SELECT n FROM kv WHERE key = 5", "INSERT INTO kv(key, n) VALUES (5, 7)", "7"),
    "a leaf, by its parent": ("BEFORE INSERT", "NEW.id := NEW.id + 50;", "SELECT n FROM p WHERE id = 55", "INSERT INTO p(id, n) VALUES (5, 7)", "7"),
    "a leaf by name": ("BEFORE INSERT", "NEW.id := NEW.id + 50;", "SELECT n FROM p WHERE id = 55", "INSERT INTO leaf(id, n) VALUES (5, 7)", "7"),
}


def keys(ctx, full, **settings):
    ctx.sql("CREATE EXTENSION insert_username")
    for what, (when, statements, read, write, want) in KEYS.items():
        on, identity = ("leaf", "p") if "leaf" in what else ("k", "k")
        ctx.sql("DROP TABLE IF EXISTS k, p CASCADE; DROP FUNCTION IF EXISTS f CASCADE; CREATE TABLE k(id int PRIMARY KEY, n int, owner text); INSERT INTO k SELECT i, 0, 'none' FROM generate_series(1, 3) i;"
                "CREATE VIEW kv AS SELECT id AS key, n FROM k; CREATE TABLE p(id int PRIMARY KEY, n int) PARTITION BY RANGE (id); CREATE TABLE leaf PARTITION OF p FOR VALUES FROM (0) TO (100); GRANT ALL ON k, kv, p, leaf TO app;"
                + ("" if not full else "ALTER TABLE k REPLICA IDENTITY FULL; ALTER TABLE leaf REPLICA IDENTITY FULL;")
                + (f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statements} RETURN NEW; END $$;" if "(" not in statements else "")
                + f"CREATE TRIGGER tr {when} ON {on} FOR EACH ROW EXECUTE FUNCTION {statements if '(' in statements else 'f()'}")
        relay, p, c, w = behind_relay(ctx, **settings)
        for table in ("k", "kv", "p", "leaf"):
            w.ask(query(f"DELETE FROM {table} WHERE false"))
        time.sleep(0.1)
        ctx.wait_hit(p, lambda: c.query(read))
        ctx.wait_hit(p, lambda: c.query(f"SELECT count(*) FROM {identity}"))
        relay.stall("stream")
        w.ask(query(write)).check()
        got = c.query(read).rows
        relay.flow("stream")
        assert got and got[0][0] == want, f"{what}: {got}"
        p.wait(lambda: c.query(read).rows == got, "still")
        ctx.wait_hit(p, lambda: c.query(read))
        p.stop()
        relay.close()


def test_keys(ctx):
    """A trigger makes the row another one: who has read that one sees it."""
    keys(ctx, False)


def test_keys_of_any_column(ctx): keys(ctx, True)
def test_keys_without_a_stream(ctx): keys(ctx, True, invalidation="proxy")


def test_other_rows(ctx):
    """What leaves the key alone ends no other row's entry."""
    ctx.sql(SETUP + COMPUTING[0] + "INSERT INTO c1(id) VALUES (2);")
    relay, p, c, w = behind_relay(ctx, hidden_code_check=0)
    one, n = "SELECT n FROM c1 WHERE id = 1", [0]

    def beside():
        n[0] += 1
        ctx.wait_hit(p, lambda: c.query(one))
        relay.stall("stream")
        w.query(f"UPDATE c1 SET n = {n[0]} WHERE id = 2")
        hits = ctx.hits(p, lambda: c.query(one))
        relay.flow("stream")
        return hits == 1
    p.wait(beside, "that the other row is answered from memory")
    relay.close()


# ---- What changes on the way

WRITES = "CREATE OR REPLACE FUNCTION c1_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := now(); PERFORM bump(); RETURN NEW; END $$"
AGAIN = "CREATE OR REPLACE FUNCTION c1_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := lower(NEW.name); RETURN NEW; END $$"
CHANGES = [ # and back
    (WRITES, AGAIN),
    (f"CREATE FUNCTION lower(text) {TEXT}; {AGAIN}", "DROP FUNCTION public.lower(text)"), # it is planned anew
    ("CREATE TRIGGER zz AFTER INSERT OR UPDATE ON c1 FOR EACH ROW EXECUTE FUNCTION writes()", "DROP TRIGGER zz ON c1"),
    ("DROP TRIGGER tr ON c1; CREATE TRIGGER tr BEFORE INSERT OR UPDATE ON c1 FOR EACH ROW WHEN (bump() > 0) EXECUTE FUNCTION c1_f()", "DROP TRIGGER tr ON c1; CREATE TRIGGER tr BEFORE INSERT OR UPDATE ON c1 FOR EACH ROW EXECUTE FUNCTION c1_f()"),
    ("CREATE RULE r AS ON UPDATE TO cv DO ALSO UPDATE twin SET n = n + 1", "DROP RULE r ON cv"),
    ("CREATE OR REPLACE VIEW cv AS SELECT id, n, name FROM c1 WHERE bump() > 0", "CREATE OR REPLACE VIEW cv AS SELECT id, n, name FROM c1"),
]


def test_changes(ctx):
    """A function, a trigger or a view is made another one: through the proxy, by the transaction that writes, while it writes, and
    directly on the server."""
    ctx.sql(SETUP + COMPUTING[0] + AGAIN + "; CREATE VIEW cv AS SELECT id, n, name FROM c1; ALTER TABLE c1 OWNER TO app; ALTER VIEW cv OWNER TO app; ALTER FUNCTION c1_f() OWNER TO app;"
            "CREATE FUNCTION writes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM bump(); RETURN NEW; END $$;" + GRANTS)
    for settings in BOTH:
        p = ctx.cache_proxy(default_pool_size=8, max_staleness="60ms", **settings)
        c, w, v = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
        read = lambda: int(c.value(TWIN))  # noqa: E731
        path = "SET search_path = public, pg_catalog"
        for x in (w, v):
            x.query(path)
        for change, back in CHANGES:
            write = "UPDATE cv SET n = n + 1, name = 'X' WHERE id = 1"
            for way in range(4):
                for _ in range(2):
                    w.query(write)
                before = ctx.wait_hit(p, read)
                if way == 0:
                    v.query(change)
                    w.query(write)
                elif way == 1:
                    w.ask(query("BEGIN; " + change)).check()
                    w.query(write)
                    w.query("COMMIT")
                elif way == 2:
                    w.query("BEGIN")
                    w.query("INSERT INTO other VALUES (9) ON CONFLICT DO NOTHING")
                    v.query(change)
                    w.query(write)
                    w.query("COMMIT")
                else:
                    ctx.sql(change)
                    time.sleep(0.3)
                    w.query(write)
                assert read() > before, f"{change}, {way}, {settings}"
                (v.query if way < 3 else ctx.sql)(back)
                time.sleep(0.1)
        p.stop()


def test_type_of_a_functions_name(ctx):
    """Made directly, of a domain that was there: nothing but the type's own row tells of it. f(x) is a cast to it from then on."""
    ctx.sql(SETUP + table("l", body("NEW.name := reverse(NEW.v);"), more="ALTER TABLE l ADD v varchar DEFAULT 'abc'") + GRANTS)
    p = ctx.cache_proxy(default_pool_size=1, max_staleness="60ms", hidden_code_check=0)
    c, w = (ctx.keep(p.connect(ctx.db)) for _ in range(2))
    read = lambda: int(c.value(TWIN))  # noqa: E731
    for _ in range(3):
        w.query("UPDATE l SET n = n + 1 WHERE id = 1")
    ctx.wait_hit(p, read)
    ctx.sql("CREATE DOMAIN reverse AS evil")
    time.sleep(0.3)
    for _ in range(3):
        before = ctx.wait_hit(p, read)
        w.query("DISCARD PLANS")
        w.query("UPDATE l SET n = n + 1 WHERE id = 1")
        assert read() > before
