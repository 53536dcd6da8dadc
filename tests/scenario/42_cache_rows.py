# SPDX-License-Identifier: Apache-2.0
"""Rows, not tables: an entry that reads a row by its key lives on while other rows are written, and
ends when its own one is, whichever way and by whichever value."""
import random

from pgwire import bind, copy_data, copy_done, execute, parse, query, sync, unit
from reads import Reads, changed, directly, schema_changes, through, wait_seen
from runner import limit

SETUP = """
CREATE TABLE t(id int PRIMARY KEY, n int NOT NULL DEFAULT 0, name text);
INSERT INTO t SELECT i, 0, 'name ' || i FROM generate_series(1, 20) i;
GRANT ALL ON t TO app;
"""


def row(i):
    return f"SELECT n FROM t WHERE id = {i}"


def learn(p, reads, write):
    """The first writes may do anything, as far as is known: until what is behind the tables is."""
    def known():
        reads.fill(row(6))
        write("UPDATE t SET n = n WHERE id = 7")
        return reads.misses_until_hit(row(6)) == 0
    p.wait(known, "a write that ends nothing")


def prepared_update(i, n):
    return (parse("UPDATE t SET n = $1 WHERE id = $2", "u", (23, 23)) + sync(),
            bind("u", [n.to_bytes(4, "big"), i.to_bytes(4, "big")], param_formats=(1,)) + execute() + sync())


# Writes of row 5 that tell which row it is: to what its n is set.
KNOWN = {
    "update": lambda n: query(f"UPDATE t SET n = {n} WHERE id = 5"),
    "text literal": lambda n: query(f"UPDATE t SET n = {n} WHERE '05' = t.id"),
    "bound as text": lambda n: unit("UPDATE t SET n = $1 WHERE id = $2", [n, " 5"]),
    "bound in binary": lambda n: unit("UPDATE t SET n = $1 WHERE id = $2::int8",
                                      [n.to_bytes(4, "big"), (5).to_bytes(8, "big")], param_formats=(1, 1)),
    "in a list": lambda n: query(f"UPDATE t SET n = {n} WHERE id IN (5, 77)"),
    "in an array": lambda n: unit("UPDATE t SET n = $1 WHERE id = ANY($2)", [n, "{5}"]),
    "delete and insert": lambda n: query(f"BEGIN; DELETE FROM t WHERE id = 5; INSERT INTO t(id, n, name) VALUES (5, {n}, 'name 5'); COMMIT"),
    "upsert": lambda n: query(f"INSERT INTO t(n, id) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET n = {n}"),
    "with": lambda n: query(f"WITH u AS (UPDATE t SET n = {n} WHERE id = 5 RETURNING 1) SELECT * FROM u"),
    "joined": lambda n: query(f"UPDATE t SET n = {n} FROM (VALUES (1)) v(x) WHERE t.id = 5 AND v.x = 1"),
}
# And others, that do not; what they touched comes by the stream.
UNKNOWN = {
    "by another column": lambda n: query(f"UPDATE t SET n = {n} WHERE name = 'name 5'"),
    "by an expression": lambda n: query(f"UPDATE t SET n = {n} WHERE id + 0 = 5"),
    "by a subquery": lambda n: query(f"UPDATE t SET n = {n} WHERE id = (SELECT 5)"),
    "merge": lambda n: query(f"MERGE INTO t USING (VALUES (5)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = {n}"),
    "insert select": lambda n: query(f"DELETE FROM t WHERE id = 5; INSERT INTO t(id, n, name) SELECT 5, {n}, 'name 5'"),
    "insert without columns": lambda n: query(f"DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, {n}, 'name 5')"),
    "key given anew": lambda n: query(f"UPDATE t SET id = 5, n = {n} WHERE id = 5"),
}


def test_own_writes(ctx):
    """Row 5 is written through the proxy in every form: seen at once, and row 6 stays in memory."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), through(ctx, p)
    n = 0
    for _ in range(2):
        for name, make in {**KNOWN, **UNKNOWN}.items():
            n += 1
            reads.fill(row(5), row(6))
            write(make(n))
            reads.dies(row(5), str(n), name)
            reads.lives(row(6), name)
    prepare, run = prepared_update(5, 1000)
    write(prepare)
    reads.fill(row(5), row(6))
    write(run)
    reads.dies(row(5), "1000")
    reads.lives(row(6))


def test_direct_writes(ctx):
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), directly(ctx)
    for n, (name, make) in enumerate({**KNOWN, **UNKNOWN}.items(), 1):
        reads.fill(row(5), row(6))
        write(make(n))
        wait_seen(ctx, reads, row(5), str(n))
        reads.lives(row(6), name)


FORMS = {
    "literal": lambda i: query(f"SELECT n FROM t WHERE id = {i}"),
    "text literal": lambda i: query(f"SELECT n FROM t WHERE id = '0{i}'"),
    "text": lambda i: unit("SELECT n FROM t WHERE id = $1", [i]),
    "text with blanks": lambda i: unit("SELECT n FROM t WHERE id = $1", [f" +{i} "]),
    "cast": lambda i: unit("SELECT n FROM t WHERE id = $1::bigint", [i]),
    "binary": lambda i: parse("SELECT n FROM t WHERE id = $1", types=(23,))
    + bind(params=[i.to_bytes(4, "big")], param_formats=(1,)) + execute() + sync(),
    "binary int2": lambda i: parse("SELECT n FROM t WHERE $1 = id", types=(21,))
    + bind(params=[i.to_bytes(2, "big")], param_formats=(1,)) + execute() + sync(),
    "list": lambda i: query(f"SELECT n FROM t WHERE id IN ({i}, {i + 100})"),
    "array": lambda i: unit("SELECT n FROM t WHERE id = ANY($1)", [f"{{{i},{i + 100}}}"]),
    "aggregate": lambda i: query(f"SELECT sum(n) FROM t WHERE id = {i} AND name IS NOT NULL"),
    "subquery": lambda i: query(f"SELECT (SELECT n FROM t WHERE id = {i})"),
    "with": lambda i: query(f"WITH w AS (SELECT n FROM t WHERE id = {i}) SELECT * FROM w"),
    "join": lambda i: query(f"SELECT a.n FROM t a JOIN t b ON b.id = a.id WHERE a.id = {i}"),
    "left join": lambda i: query(f"SELECT b.n FROM (VALUES (1)) v(x) LEFT JOIN t b ON b.id = {i}"),
    "union": lambda i: query(f"SELECT n FROM t WHERE id = {i} UNION ALL SELECT n FROM t WHERE id = {i + 100}"),
}


def test_forms_of_reading(ctx):
    """Whatever way the key is written, its entry ends with its row and lives with another one."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    reads, own, direct = Reads(ctx, p), through(ctx, p), directly(ctx)
    for write in (own, direct):
        for n, (name, form) in enumerate(FORMS.items(), 1):
            reads.fill(form(5), form(6))
            write(f"UPDATE t SET n = {n} WHERE id = 5")
            if write is own:
                reads.dies(form(5), str(n), name)
            else:
                wait_seen(ctx, reads, form(5), str(n))
            reads.lives(form(6), name)
        write("UPDATE t SET n = 0")


def test_what_reads_the_table(ctx):
    """Reads that do not fix the key end with any row."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), through(ctx, p)
    whole = ["SELECT sum(n) FROM t", "SELECT sum(n) FROM t WHERE id = 6 OR name = 'name 5'",
             "SELECT sum(n) FROM t WHERE id = 6 OR (id = 7 OR name = 'name 5')", "SELECT sum(n) FROM t WHERE id >= 5", "SELECT sum(n) FROM t WHERE NOT id = 6",
             "SELECT sum(a.n) FROM t a LEFT JOIN t b ON a.id = 6 AND b.id = 6",
             "SELECT sum(n) FROM t WHERE id = 5.0", "SELECT sum(n) FROM (SELECT * FROM t) x WHERE id IN (5, 6)"]
    for n, script in enumerate(whole, 1):
        reads.fill(script)
        write(f"UPDATE t SET n = {n} WHERE id = 5")
        reads.dies(script, str(n))


def test_moves(ctx):
    """A row gets another key: the entries of both keys end, the one that was empty included."""
    ctx.sql(SETUP)
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        reads.fill(row(5), row(6), row(100))
        write("UPDATE t SET id = 100, n = 1 WHERE id = 5")
        see(row(5), None)
        see(row(100), "1")
        reads.lives(row(6))
        reads.fill(row(5), row(100))
        write("UPDATE t SET id = id - 95, n = 2 WHERE name = 'name 5'")
        see(row(100), None)
        see(row(5), "2")
        reads.lives(row(6))
        reads.fill(row(5), row(7))
        write("BEGIN; DELETE FROM t WHERE id = 7; UPDATE t SET id = 7 WHERE id = 5; UPDATE t SET id = 5 WHERE id = 8;"
              "ROLLBACK; BEGIN; UPDATE t SET n = 3 WHERE id = 7; COMMIT")
        see(row(7), "3")
        write("UPDATE t SET n = 0")


def test_insert_and_delete(ctx):
    ctx.sql(SETUP + "CREATE TABLE s(id serial PRIMARY KEY, n int); GRANT ALL ON s, s_id_seq TO app")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    key = 200
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for insert in ("INSERT INTO t(id, n) VALUES ({0}, 1)", "INSERT INTO t VALUES ({0}, 1)",
                       "INSERT INTO t(id, n) VALUES ({0}, 1), ({0} + 1000, 1)",
                       "INSERT INTO t(id, n) VALUES ({0}, 1) ON CONFLICT DO NOTHING"):
            key += 1
            reads.fill(row(key), row(6))
            write(insert.format(key))
            see(row(key), "1")
            reads.lives(row(6))
            reads.fill(row(key))
            write(f"DELETE FROM t WHERE id = {key}")
            see(row(key), None)
            reads.lives(row(6))
    # A key that the server makes: which, only the stream tells.
    own = through(ctx, p)
    serial = "SELECT n FROM s WHERE id = "
    for i in range(1, 6):
        reads.fill(f"{serial}{i}", f"{serial}1000")
        own(f"INSERT INTO s(n) VALUES ({i})")
        reads.dies(f"{serial}{i}", str(i))
        reads.lives(f"{serial}1000")


def test_all_rows(ctx):
    """What touches any row ends every key of the table."""
    ctx.sql(SETUP + "CREATE TABLE other(id int PRIMARY KEY, n int); INSERT INTO other VALUES (6, 0), (7, 0), (8, 0); GRANT ALL ON other TO app")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    others = [f"SELECT n FROM other WHERE id = {i}" for i in (6, 7, 8)]
    c = ctx.keep(p.connect(ctx.db))
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        reads.fill(row(6), *others)
        changed(ctx, p, lambda: (write("TRUNCATE t"), see(row(6), None)))
        reads.fill(row(6), *others)
        write("INSERT INTO t SELECT i, 1, 'name ' || i FROM generate_series(1, 5000) i") # more than keys are followed
        see(row(6), "1")
        reads.one_lives(others)
        reads.fill(row(6))
        write("UPDATE t SET n = 2 WHERE id < 4000")
        see(row(6), "2")
        reads.one_lives(others)
        reads.fill(row(21))
        write("DELETE FROM t WHERE id > 20")
        see(row(21), None)
    reads.fill(row(6), row(777), *others)
    c.send(query("COPY t FROM STDIN"))
    c.until("G")
    c.send(copy_data(b"777\t7\tx\n") + copy_done())
    c.until_ready().check()
    reads.dies(row(777), "7")
    reads.lives(row(6))
    reads.one_lives(others)


IDENTITIES = {  # statement: do rows keep apart?
    "REPLICA IDENTITY FULL": True,
    "REPLICA IDENTITY DEFAULT": True,
    "REPLICA IDENTITY NOTHING": False,
    "REPLICA IDENTITY USING INDEX t_both": False,  # its columns are the key then
    "REPLICA IDENTITY USING INDEX t_code": False,
    "DROP CONSTRAINT t_pkey": False,
}


def test_replica_identities(ctx):
    ctx.sql(SETUP + "ALTER TABLE t ADD code int; UPDATE t SET code = id + 1000; ALTER TABLE t ALTER code SET NOT NULL;"
            "CREATE UNIQUE INDEX t_code ON t(code); CREATE UNIQUE INDEX t_both ON t(code, id)")
    p = ctx.cache_proxy()
    reads, own, direct = Reads(ctx, p), through(ctx, p), directly(ctx)
    reads.fill(row(6)) # from now on the schema of t is watched
    n = 0

    def code(i):
        return f"SELECT n FROM t WHERE code = {1000 + i}"

    for statement, apart in IDENTITIES.items():
        changed(ctx, p, lambda: direct(f"ALTER TABLE t {statement}"))
        for write, see in ((own, reads.dies), (direct, lambda s, v: wait_seen(ctx, reads, s, v))):
            n += 1
            reads.fill(row(5), row(6), code(5), code(6))
            write(f"UPDATE t SET n = {n} WHERE id = 5")
            see(row(5), str(n))
            see(code(5), str(n))
            if apart:
                reads.lives(row(6), statement)
            if "t_code" in statement:
                reads.lives(code(6), statement)
            # Moves of the key: never a row where there is none.
            reads.fill(row(5), row(50), code(5))
            write(f"UPDATE t SET id = 50, n = {n + 100} WHERE id = 5")
            see(row(5), None)
            see(row(50), str(n + 100))
            see(code(5), str(n + 100))
            reads.fill(row(5), row(50), code(5), code(50))
            write("UPDATE t SET id = 5, code = 1050 WHERE id = 50")
            see(row(50), None)
            see(code(5), None)
            see(code(50), str(n + 100))
            write("UPDATE t SET code = 1005 WHERE id = 5")
    # A table without any identity: the server cannot tell which row, and says so.
    assert not reads.ask("SELECT 1 FROM t WHERE id = 4711").rows


def test_schema_changed_meanwhile(ctx):
    """A write waits for a lock while its table gets a trigger: what it does is more than it was taken
    for when it was sent. (Without a stream, so nothing else would tell.)"""
    ctx.sql(SETUP + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN UPDATE t SET n = NEW.n WHERE id = 6; RETURN NEW; END $$")
    p = ctx.cache_proxy(invalidation="proxy")
    reads, c = Reads(ctx, p), ctx.keep(p.connect(ctx.db))
    ddl, holder, watch = ctx.direct(), ctx.direct(), ctx.direct()
    reads.fill(row(5), row(6))
    c.query("UPDATE t SET n = 0 WHERE id = 7")
    before = schema_changes(p)
    ddl.query("BEGIN; CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW WHEN (NEW.id = 5) EXECUTE FUNCTION f()").check()
    holder.query("SELECT pg_advisory_lock(7)")
    c.send(query("UPDATE t SET n = 1 WHERE id = 5 AND (SELECT true FROM pg_advisory_xact_lock(7))"))
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = '{}'"
    p.wait(lambda: watch.value(waits.format("relation")) == "1", "the write waits for the table")
    ddl.query("COMMIT").check()
    p.wait(lambda: watch.value(waits.format("advisory")) == "1", "the write waits once more")
    p.wait(lambda: schema_changes(p) > before, "the new schema")
    reads.fill(row(6))
    holder.query("SELECT pg_advisory_unlock(7)")
    c.until_ready().check()
    reads.dies(row(6), "1")


TYPES = {  # type: (key 5 in some ways to write it, key 6, binary of 5 with its type)
    "smallint": (["5", "'5'", "'005'"], "6", (21, b"\0\5")),
    "bigint": (["5", "'5'"], "6", (20, b"\0\0\0\0\0\0\0\5")),
    "text": (["'a'", "'a'::text", "'a'::varchar"], "'A'", (25, b"a")),
    "varchar(10)": (["'it''s'", "'it''s'::text"], "'its'", (1043, b"it's")),
    "char(6)": (["'ab'", "'ab    '"], "'abc'", (1042, b"ab ")),
    "uuid": (["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'{A0EEBC999C0B4EF8BB6D6BB9BD380A11}'"],
             "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'",
             (2950, bytes.fromhex("a0eebc999c0b4ef8bb6d6bb9bd380a11"))),
    "numeric": (["5", "5.0", "'05.00'"], "5.1", (1700, b"\0\1\0\0\0\0\0\0\0\5")),
    "numeric(8,2)": (["5", "5.00"], "5.01", (1700, b"\0\1\0\0\0\0\0\2\0\5")),
    "date": (["'2024-02-29'", "'2024-02-29'::date"], "'2024-03-01'", (1082, (8825).to_bytes(4, "big"))),
    "boolean": (["'t'", "'true'", "'yes'"], "'f'", (16, b"\1")),
    "text COLLATE \"de-x-icu\"": (["'\u00e9'"], "'e'", (25, "\u00e9".encode())),
    "real": (["5", "5.0", "'5e0'"], "6", (700, bytes.fromhex("40a00000"))),
    "timestamp": (["'2024-02-29'", "'2024-02-29 00:00:00'"], "'2024-03-01'", (1114, (8825 * 86400000000).to_bytes(8, "big"))),
    "interval": (["'1 day'", "'24:00:00'"], "'2 days'", None),
    # Without a safe form: right all the same, as they depend on the table.
    "text COLLATE blind": (["'a'", "'A'"], "'b'", (25, b"A")),
    "text[] COLLATE blind": (["'{a}'", "'{A}'"], "'{b}'", None),
}
TABLE_ONLY = ("text COLLATE blind", "text[] COLLATE blind")


@limit(120)
def test_types(ctx):
    """Each way to write a key is the same key, in text and in binary, for reads and writes."""
    ctx.sql("CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    for i, (kind, (ways, other, _)) in enumerate(TYPES.items()):
        ctx.sql(f"CREATE TABLE k{i}(k {kind} PRIMARY KEY, n int); GRANT ALL ON k{i} TO app;"
                f"INSERT INTO k{i} VALUES ({ways[0]}, 0), ({other}, 0)")
    p = ctx.cache_proxy()
    reads, own, direct = Reads(ctx, p), through(ctx, p), directly(ctx)
    n = 0
    for i, (kind, (ways, other, binary)) in enumerate(TYPES.items()):
        asks = [query(f"SELECT n FROM k{i} WHERE k = {way}") for way in ways]
        if binary:
            asks.append(parse(f"SELECT n FROM k{i} WHERE k = $1", types=(binary[0],))
                        + bind(params=[binary[1]], param_formats=(1,)) + execute() + sync())
        neighbour = f"SELECT n FROM k{i} WHERE k = {other}"
        for write in (own, direct):
            for way in ways:
                n += 1
                reads.fill(*asks, neighbour)
                write(f"UPDATE k{i} SET n = {n} WHERE k = {way}")
                for ask in asks:
                    if write is own:
                        reads.dies(ask, str(n), kind)
                    else:
                        wait_seen(ctx, reads, ask, str(n))
                if kind not in TABLE_ONLY:
                    reads.lives(neighbour, kind)


def test_composite_keys(ctx):
    ctx.sql("CREATE TABLE c(tenant int, code text, n int, PRIMARY KEY (code, tenant)); GRANT ALL ON c TO app;"
            "INSERT INTO c SELECT i, chr(96 + j), 0 FROM generate_series(1, 3) i, generate_series(1, 3) j")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)

    def one(tenant, code):
        return f"SELECT n FROM c WHERE tenant = {tenant} AND code = '{code}'"
    several = "SELECT sum(n) FROM c WHERE tenant IN (1, 2) AND code IN ('a', 'b')"
    half = "SELECT sum(n) FROM c WHERE tenant = 1"
    n = 0
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        n += 1
        reads.fill(one(1, "a"), one(1, "b"), one(2, "a"), several, half)
        write(f"UPDATE c SET n = {n} WHERE code = 'a' AND tenant = 1")
        see(one(1, "a"), str(n))
        see(several, str(n))
        see(half, str(n))
        reads.lives(one(1, "b"))
        reads.lives(one(2, "a"))
        reads.fill(several)
        write(f"UPDATE c SET n = {n} WHERE code = 'c' AND tenant = 3")
        reads.lives(several)
        reads.fill(one(1, "a"), one(9, "a"))
        write("UPDATE c SET tenant = 9 WHERE code = 'a' AND tenant = 1")
        see(one(1, "a"), None)
        see(one(9, "a"), str(n))
        write("UPDATE c SET tenant = 1 WHERE code = 'a' AND tenant = 9")
        write("UPDATE c SET n = 0")


def test_joins(ctx):
    """A join that fixes the key of each table ends with these rows only."""
    ctx.sql("CREATE TABLE customer(id int PRIMARY KEY, n int); CREATE TABLE profile(id bigint PRIMARY KEY, n int);"
            "INSERT INTO customer SELECT i, 0 FROM generate_series(1, 9) i; INSERT INTO profile SELECT i, 0 FROM generate_series(1, 9) i;"
            "GRANT ALL ON customer, profile TO app")
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), through(ctx, p)
    joins = ["SELECT c.n + p.n FROM customer c JOIN profile p ON p.id = c.id WHERE c.id = {0}",
             "SELECT c.n + p.n FROM customer c JOIN profile p USING (id) WHERE id = {0}",
             "SELECT c.n + p.n FROM customer c, profile p WHERE c.id = {0} AND p.id = {0}",
             "SELECT c.n + coalesce(p.n, 0) FROM customer c LEFT JOIN profile p ON p.id = c.id WHERE c.id = {0}"]
    n = 0
    for join in joins:
        for table in ("customer", "profile"):
            n += 1
            reads.fill(join.format(5), join.format(6))
            write(f"UPDATE {table} SET n = {n} WHERE id = 5")
            reads.dies(join.format(5), str(n), join)
            reads.lives(join.format(6), join)
            write(f"UPDATE {table} SET n = 0 WHERE id = 5")
    # The row that was not there.
    missing = joins[3].format(5)
    write("DELETE FROM profile WHERE id = 5")
    reads.fill(missing)
    write("INSERT INTO profile(id, n) VALUES (5, 41)")
    reads.dies(missing, "41")


def test_cascades_and_triggers(ctx):
    """Rows that are changed by others' effects: known by the stream."""
    ctx.sql("CREATE TABLE parent(id int PRIMARY KEY); CREATE TABLE child(id int PRIMARY KEY, p int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);"
            "INSERT INTO parent SELECT generate_series(1, 9); INSERT INTO child SELECT i, i FROM generate_series(1, 9) i;"
            "CREATE TABLE cause(id int PRIMARY KEY, n int); CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 9) i;"
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = NEW.n WHERE id = NEW.id; RETURN NEW; END $$;"
            "CREATE TRIGGER tr AFTER INSERT ON cause FOR EACH ROW EXECUTE FUNCTION f();"
            "GRANT ALL ON parent, child, cause, t TO app")
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), through(ctx, p)
    child = "SELECT p FROM child WHERE id = {}"
    reads.fill(child.format(5), child.format(6))
    write("UPDATE parent SET id = 55 WHERE id = 5")
    reads.dies(child.format(5), "55")
    reads.lives(child.format(6))
    reads.fill(child.format(5))
    write("DELETE FROM parent WHERE id = 55")
    reads.dies(child.format(5), None)
    reads.lives(child.format(6))
    reads.fill(row(5), row(6))
    write("INSERT INTO cause(id, n) VALUES (5, 1)")
    reads.dies(row(5), "1")
    reads.lives(row(6))


def test_wide_rows(ctx):
    """Toasted values, odd names, keys behind long columns."""
    ctx.sql('CREATE TABLE "We ird"(big text, "k:[e]y" int, n int, PRIMARY KEY ("k:[e]y")); GRANT ALL ON "We ird" TO app;'
            'ALTER TABLE "We ird" ALTER big SET STORAGE EXTERNAL;'
            "INSERT INTO \"We ird\" SELECT repeat(' new-tuple: \"k:[e]y\"[integer]:6', 10000), i, 0 FROM generate_series(1, 9) i")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    reads.fill('SELECT n FROM "We ird" WHERE "k:[e]y" = 1') # from now on its schema is watched
    read = 'SELECT n FROM "We ird" WHERE "k:[e]y" = {}'
    n = 0
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for identity in ("FULL", "DEFAULT"):
            changed(ctx, p, lambda: ctx.sql(f'ALTER TABLE "We ird" REPLICA IDENTITY {identity}'))
            for what in ("", ", big = big || 'x'"):
                n += 1
                reads.fill(read.format(5), read.format(6))
                write(f'UPDATE "We ird" SET n = {n}{what} WHERE "k:[e]y" = 5')
                see(read.format(5), str(n))
                reads.lives(read.format(6))


def test_invalidation_proxy(ctx):
    """Without a stream: known keys keep rows apart; unknown ones end all rows of the table. (What is
    wrong here is wrong for ever: with a stream it would be so for a moment only.)"""
    ctx.sql(SETUP + "CREATE TABLE made(a int, id int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY, n int); GRANT ALL ON made TO app;"
            "INSERT INTO made VALUES (4, DEFAULT, 0)")
    p = ctx.cache_proxy(invalidation="proxy")
    reads, write = Reads(ctx, p), through(ctx, p)
    learn(p, reads, write)
    one_statement = {name: make for name, make in KNOWN.items() if name != "delete and insert"}
    for n, (name, make) in enumerate(one_statement.items(), 1):
        reads.fill(row(5), row(6))
        write(make(n))
        reads.dies(row(5), str(n), name)
        reads.lives(row(6), name)
    for n, (name, make) in enumerate(UNKNOWN.items(), 101):
        reads.fill(row(5), row(6))
        write(make(n))
        reads.dies(row(5), str(n), name)
    # A key that others make changes although nobody sets it.
    made = "SELECT n FROM made WHERE id = {}"
    reads.fill(made.format(5), made.format(6))
    write("UPDATE made SET a = 5, n = 1 WHERE id = 5")
    reads.dies(made.format(5), None)
    reads.dies(made.format(6), "1")
    # Unique by something else: another row is written than the one that is named.
    changed(ctx, p, lambda: ctx.sql("CREATE UNIQUE INDEX ON t(name); ALTER TABLE t ALTER n SET DEFAULT 1"))
    for script, key, n in (("INSERT INTO t(id, n, name) VALUES (900, 1, 'name 9') ON CONFLICT (name) DO UPDATE SET n = 901", 9, 901),
                           ("UPDATE t SET n = 902 WHERE id = 9 OR name = 'name 8'", 8, 902),
                           ("WITH d AS (DELETE FROM t WHERE id = 7) UPDATE t SET n = 903 WHERE name = 'name 8'", 8, 903)):
        reads.fill(row(key))
        write(script)
        reads.dies(row(key), str(n), script)


# ---- generated ----

def one_read(r):
    i, j = r.randint(1, 30), r.randint(1, 30)
    code = r.choice(["'a'", "'b'", "'c'"])
    return r.choice([
        lambda: query(f"SELECT * FROM t WHERE id = {i}"),
        lambda: query(f"SELECT * FROM t WHERE id IN ({i}, {j}) ORDER BY id"),
        lambda: unit("SELECT * FROM t WHERE id = $1", [i]),
        lambda: unit("SELECT * FROM t WHERE id = ANY($1) ORDER BY id", [f"{{{i},NULL,{j}}}"]),
        lambda: unit("SELECT * FROM t WHERE id = $1 OR id = $2 ORDER BY id", [i, j]),
        lambda: query(f"SELECT count(*), sum(n) FROM t WHERE id = {i} AND n >= 0"),
        lambda: query(f"SELECT a.n, b.n FROM t a, t b WHERE a.id = {i} AND b.id = {j}"),
        lambda: query(f"SELECT a.n, b.n FROM t a LEFT JOIN t b ON b.id = {j} WHERE a.id = {i}"),
        lambda: query(f"SELECT count(b.n) FROM t a LEFT JOIN t b ON a.id = {i} AND b.id = {j}"),
        lambda: query(f"SELECT a.n, c.n FROM t a JOIN c ON c.tenant = a.id AND c.code = {code} WHERE a.id = {i % 3 + 1}"),
        lambda: query(f"SELECT a.n, c.n FROM t a FULL JOIN c ON c.tenant = a.id AND a.id = {i} WHERE c.code = {code} ORDER BY 1, 2"),
        lambda: query(f"SELECT * FROM c WHERE tenant = {i % 3 + 1} AND code = {code}"),
        lambda: unit("SELECT * FROM c WHERE code = $1 AND tenant = $2", [code[1], i % 3 + 1]),
        lambda: query(f"SELECT * FROM c WHERE tenant IN (1, 2) AND code IN ('a', {code}) ORDER BY 1, 2"),
        lambda: query(f"SELECT n, (SELECT max(n) FROM t WHERE id = {j}) FROM t WHERE id = {i}"),
        lambda: query(f"SELECT n FROM t WHERE id = {i} AND EXISTS (SELECT FROM c WHERE tenant = t.id)"),
        lambda: query(f"SELECT n FROM t WHERE id = {i} UNION ALL SELECT n FROM c WHERE tenant = {i % 3 + 1} AND code = {code}"),
        lambda: query(f"SELECT n FROM t WHERE NOT (id = {i}) ORDER BY id LIMIT 3"),
        lambda: query(f"SELECT n FROM s WHERE k = {r.choice(['5', '5.0', chr(39) + '05.00' + chr(39), '6'])}"),
    ])()


def one_write(r):
    i, j, n = r.randint(1, 30), r.randint(1, 30), r.randint(1, 10 ** 6)
    code = r.choice(["'a'", "'b'", "'c'"])
    return r.choice([
        lambda: query(f"UPDATE t SET n = {n} WHERE id = {i}"),
        lambda: unit("UPDATE t SET n = $1 WHERE id = $2", [n, i]),
        lambda: query(f"UPDATE t SET n = {n} WHERE name = 'name {i}'"),
        lambda: query(f"DELETE FROM t WHERE id = {i}"),
        lambda: query(f"INSERT INTO t(id, n, name) VALUES ({i}, {n}, 'name {i}') ON CONFLICT DO NOTHING"),
        lambda: query(f"INSERT INTO t(id, n, name) VALUES ({i}, {n}, 'x'), ({j}, {n}, 'y') ON CONFLICT DO NOTHING"),
        lambda: unit("INSERT INTO t(n, id) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n", [n, i]),
        lambda: query(f"UPDATE t SET id = {j} WHERE id = {i} AND NOT EXISTS (SELECT FROM t x WHERE x.id = {j})"),
        lambda: query(f"BEGIN; DELETE FROM t WHERE id = {i}; UPDATE t SET id = {i} WHERE id = {j}; COMMIT"),
        lambda: query(f"UPDATE c SET n = {n} WHERE tenant = {i % 3 + 1} AND code = {code}"),
        lambda: query(f"UPDATE c SET n = {n} WHERE code = {code}"),
        lambda: query(f"DELETE FROM c WHERE tenant = {i % 3 + 1} AND code = {code}"),
        lambda: query(f"INSERT INTO c VALUES ({i % 3 + 1}, {code}, {n}) ON CONFLICT DO NOTHING"),
        lambda: query(f"MERGE INTO t USING (VALUES ({i}), ({j})) v(id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET n = {n} "
                      f"WHEN NOT MATCHED THEN INSERT (id, n) VALUES (v.id, {n})" if i != j else "SELECT 1"),
        lambda: query(f"UPDATE s SET n = {n} WHERE k = {r.choice(['5', '5.00', '6'])}"),
        lambda: query(f"TRUNCATE {r.choice(['t', 'c'])}" if r.random() < 0.1 else f"UPDATE t SET n = {n} WHERE id > 25"),
    ])()


def mostly_known(r):
    """A write that raises no barrier (without a stream that ends everything), and mostly one that tells
    which rows it is about (the others end all rows of their table): else there would be no hits."""
    unknown = (b"'name ", b"SET id", b"MERGE", b"id > 25", b"n = EXCLUDED")
    while True:
        write = one_write(r)
        if b"BEGIN;" in write or b"TRUNCATE" in write:
            continue
        if r.random() < 0.05 or not any(u in write for u in unknown):
            return write


def differential(ctx, turns, next_write=one_write, **settings):
    """Random writes by one client or another, and after each some of many generated reads: every answer
    is PostgreSQL's. Returns what the direct part needs, and how to check."""
    ctx.sql(SETUP + "CREATE TABLE c(tenant int, code text, n int, PRIMARY KEY (tenant, code)); GRANT ALL ON c TO app;"
            "INSERT INTO c SELECT i, chr(96 + j), 0 FROM generate_series(1, 3) i, generate_series(1, 3) j;"
            "CREATE TABLE s(k numeric PRIMARY KEY, n int); INSERT INTO s VALUES (5, 0), (6, 0); GRANT ALL ON s TO app")
    p = ctx.cache_proxy(**settings)
    seed = random.randrange(10 ** 6)
    r = random.Random(seed)
    c, other, direct = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db)), ctx.direct("app")
    pool = [one_read(r) for _ in range(60)]
    learn(p, Reads(ctx, p), through(ctx, p))
    before = p.cache()

    def check(reads, turn, write):
        for read in reads:
            want, got = direct.ask(read), c.ask(read)
            assert got.raw == want.raw, f"seed {seed}, turn {turn}: {read!r} after {write!r}: {got.rows}, not {want.rows}"

    for turn in range(turns):
        if r.random() < 0.1:
            pool[r.randrange(len(pool))] = one_read(r)
        write = next_write(r)
        (c if r.random() < 0.5 else other).ask(write)
        check(r.sample(pool, 6), turn, write)
    check(pool, "last", write)

    def end():
        after = p.cache()
        hits, misses = after["hits"] - before["hits"], after["misses"] - before["misses"]
        ctx.note(f"seed {seed}: {hits:.0f} hits, {misses:.0f} misses")
        assert hits > 20
    return p, r, c, direct, pool, end


@limit(240)
def test_differential(ctx):
    p, r, c, direct, pool, end = differential(ctx, 250)
    for turn in range(40):
        write = one_write(r)
        direct.ask(write)
        for read in r.sample(pool, 6):
            want = direct.ask(read).raw
            p.wait(lambda: c.ask(read).raw == want, f"direct turn {turn}: {read!r} after {write!r}", timeout=2)
    end()


@limit(240)
def test_differential_without_stream(ctx):
    """What a write closes is all that tells of it: too little, and an entry is wrong for ever."""
    differential(ctx, 250, mostly_known, invalidation="proxy")[-1]()


@limit(120)
def test_hit_rate(ctx):
    """Reads by key, Zipf, with 5% writes: at least 90% of the hits of the same reads without any."""
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 2000) i; GRANT ALL ON t TO app")
    weights = [1 / (i + 1) for i in range(2000)]
    rates = {}
    for writes in (0.0, 0.05):
        p, r = ctx.cache_proxy(), random.Random(7)
        c, writer = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        keys = r.choices(range(1, 2001), weights, k=6000)
        for key in keys[:2000]:
            c.ask(unit("SELECT n FROM t WHERE id = $1", [key]))
        before = p.cache()
        for key in keys[2000:]:
            if r.random() < writes:
                writer.ask(unit("UPDATE t SET n = n + 1 WHERE id = $1", [r.choices(range(1, 2001), weights)[0]]))
            c.ask(unit("SELECT n FROM t WHERE id = $1", [key]))
        after = p.cache()
        rates[writes] = after["hits"] - before["hits"]
    ctx.note(f"{rates[0.0]:.0f} hits of 4000 without writes, {rates[0.05]:.0f} with 5%: {rates[0.05] / rates[0.0]:.1%}")
    assert rates[0.05] >= 0.9 * rates[0.0]
