# SPDX-License-Identifier: Apache-2.0
"""Other keys than a table's own: any column of a table with REPLICA IDENTITY FULL, keys of
partitioned tables, and keys through views."""
import random

from pgwire import bind, execute, parse, query, sync, unit
from reads import Reads, changed, directly, through, wait_seen
from runner import limit

COMMENTS = """
CREATE TABLE comments(id serial PRIMARY KEY, article_id int, author text, flagged boolean DEFAULT false, body text);
ALTER TABLE comments REPLICA IDENTITY FULL;
ALTER TABLE comments ALTER author SET STORAGE EXTERNAL;
INSERT INTO comments(article_id, author, body) SELECT i % 10, 'author ' || i % 5, 'old' FROM generate_series(1, 100) i;
GRANT ALL ON comments, comments_id_seq TO app;
"""


def article(i):
    return f"SELECT count(*) || coalesce(max(body), '') FROM comments WHERE article_id = {i}"


def both(ctx, p, reads):
    """Writes through the proxy, seen at once, and round it, seen soon."""
    return ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v)))


def test_columns(ctx):
    """An entry by article_id ends with the rows of that article and with no others, wherever a row comes
    from or goes to."""
    ctx.sql(COMMENTS)
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    reads.fill(article(1)) # from now on its schema is watched
    for write, see in both(ctx, p, reads):
        for body, statement in (("a", "UPDATE comments SET body = 'a' WHERE article_id = 1"),
                                ("b", "UPDATE comments SET body = 'b' WHERE id IN (1, 11)"),
                                ("c", "UPDATE comments SET body = 'c' WHERE article_id = 1 AND flagged = false"),
                                ("d", "UPDATE comments SET body = 'd' WHERE id % 10 = 1")):
            reads.fill(article(1), article(2))
            write(statement)
            see(article(1), f"10{body}")
            reads.lives(article(2), statement)
        reads.fill(article(1), article(2), article(3))
        write("INSERT INTO comments(article_id, author, body) VALUES (1, 'new', 'z')")
        see(article(1), "11z")
        reads.lives(article(2))
        reads.fill(article(1))
        write("UPDATE comments SET article_id = 3, body = 'z' WHERE author = 'new'") # a row moves
        see(article(1), "10d")
        see(article(3), "11z")
        reads.lives(article(2))
        reads.fill(article(1), article(3))
        write("UPDATE comments SET article_id = NULL WHERE author = 'new'")
        see(article(3), "10old")
        reads.lives(article(1))
        reads.lives(article(2))
        write("DELETE FROM comments WHERE author = 'new'") # of a row that is in no article
        reads.lives(article(2))
        reads.fill(article(1), article(3))
        write("UPDATE comments SET body = 'old' WHERE article_id = 1")
        reads.lives(article(3))
        reads.fill(article(1))
        write("BEGIN; DELETE FROM comments WHERE article_id = 1; INSERT INTO comments(id, article_id, author, body) "
              "SELECT i, 1, 'author 1', 'old' FROM generate_series(1, 91, 10) i; COMMIT")
        reads.lives(article(2))
        reads.fill(article(5000), article(2))
        write("INSERT INTO comments(article_id, body) SELECT 1000 + i, 'z' FROM generate_series(1, 4000) i") # more than are followed
        see(article(5000), "1z")
        write("DELETE FROM comments WHERE article_id >= 1000")
        see(article(5000), "0")
    reads.fill(article(1), article(2))
    changed(ctx, p, lambda: (through(ctx, p)("TRUNCATE comments"), reads.dies(article(1), "0")))


FORMS = {
    "literal": lambda i: query(f"SELECT max(body) FROM comments WHERE article_id = {i}"),
    "text literal": lambda i: query(f"SELECT max(body) FROM comments WHERE article_id = '0{i}'"),
    "text": lambda i: unit("SELECT max(body) FROM comments WHERE article_id = $1", [i]),
    "binary": lambda i: parse("SELECT max(body) FROM comments WHERE $1 = article_id", types=(20,))
    + bind(params=[i.to_bytes(8, "big")], param_formats=(1,)) + execute() + sync(),
    "list": lambda i: query(f"SELECT max(body) FROM comments WHERE article_id IN ({i}, {i + 100})"),
    "flag too": lambda i: query(f"SELECT max(body) FROM comments WHERE flagged = false AND article_id = {i}"),
    "join": lambda i: query("SELECT max(c.body) FROM comments c JOIN comments d ON d.article_id = c.article_id "
                            f"WHERE c.article_id = {i}"),
}


def test_forms(ctx):
    ctx.sql(COMMENTS)
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    n = 0
    for write, see in both(ctx, p, reads):
        for name, form in FORMS.items():
            n += 1
            reads.fill(form(5), form(6))
            write(f"UPDATE comments SET body = 'z{n:03}' WHERE article_id = 5")
            see(form(5), f"z{n:03}")
            reads.lives(form(6), name)


def test_unchanged_wide_columns(ctx):
    """What was stored apart and has not changed is not told of the new row: it is that of the old one. What is too
    long to be a key ends no entry."""
    ctx.sql(COMMENTS + "ALTER TABLE comments ALTER body SET STORAGE EXTERNAL;"
            "UPDATE comments SET author = repeat('x', 200), body = repeat('long ', 1000) WHERE id = 5")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    by_author, other = (f"SELECT sum(article_id) FROM comments WHERE author = '{a}'" for a in ("x" * 200, "author 1"))
    n = 5
    for write, see in both(ctx, p, reads):
        for _ in range(2):
            n += 1
            reads.fill(by_author, other)
            write(f"UPDATE comments SET article_id = {n} WHERE id = 5")
            see(by_author, str(n))
            reads.lives(other)


def test_identity_changes(ctx):
    """FULL comes and goes: never an entry that a row's move would not end."""
    ctx.sql(COMMENTS)
    p = ctx.cache_proxy()
    reads, direct = Reads(ctx, p), directly(ctx)
    reads.fill(article(1), article(2))
    n = 0
    for identity in ("DEFAULT", "FULL", "NOTHING", "FULL", "DEFAULT", "FULL"):
        changed(ctx, p, lambda: direct(f"ALTER TABLE comments REPLICA IDENTITY {identity}"))
        for write, see in both(ctx, p, reads):
            n += 1
            reads.fill(article(1), article(2))
            write("UPDATE comments SET article_id = 2 WHERE id = 1")
            see(article(1), "9old")
            see(article(2), "11old")
            reads.fill(article(1), article(2), article(3))
            write("UPDATE comments SET article_id = 1 WHERE id = 1")
            see(article(1), "10old")
            see(article(2), "10old")
            if identity == "FULL":
                reads.lives(article(3), identity)


def test_identity_changes_unseen(ctx):
    """The identity changes and a row moves at once, before the proxy has looked at the schema again."""
    ctx.sql(COMMENTS)
    p = ctx.cache_proxy()
    reads, own, direct = Reads(ctx, p), through(ctx, p), directly(ctx)
    for turn in range(10):
        reads.fill(article(1), article(2))
        direct(f"ALTER TABLE comments REPLICA IDENTITY {('DEFAULT', 'FULL')[turn % 2]}")
        own(f"UPDATE comments SET article_id = {2 - turn % 2} WHERE id = 1")
        reads.dies(article(1), ("9old", "10old")[turn % 2])
        reads.dies(article(2), ("11old", "10old")[turn % 2])


EVENTS = """
CREATE TABLE events(id bigserial, day int, n int, kind text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_2(n int, extra int, kind text, id bigint NOT NULL, day int NOT NULL);
ALTER TABLE events_2 DROP extra;
ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (day);
CREATE TABLE events_3a PARTITION OF events_3 FOR VALUES FROM (20) TO (30);
INSERT INTO events(id, day, n) SELECT i, i, 0 FROM generate_series(1, 29) i;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
"""


def event(i, of="events", day=None):
    return f"SELECT n FROM {of} WHERE id = {i} AND day = {day or i}"


def test_partitions(ctx):
    """An entry of a partitioned table by its key ends with that row, whichever table it is written through."""
    ctx.sql(EVENTS)
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    reads.fill(event(5))
    n = 0
    for write, see in both(ctx, p, reads):
        for i, leaf in ((5, "events_1"), (15, "events_2"), (25, "events_3a"), (25, "events_3")):
            for table in ("events", leaf):
                for statement in ("UPDATE {} SET n = {} WHERE id = {} AND day = {}", "UPDATE {} SET n = {} WHERE id = {} AND day + 0 = {}",
                                  "INSERT INTO {}(n, id, day) VALUES ({}, {}, {}) ON CONFLICT (day, id) DO UPDATE SET n = EXCLUDED.n"):
                    n += 1
                    reads.fill(event(i), event(i + 1), event(i, leaf))
                    write(statement.format(table, n, i, i))
                    see(event(i), str(n))
                    see(event(i, leaf), str(n))
                    reads.lives(event(i + 1), statement)
        # A row that was not there, and one that moves to another table.
        reads.fill(event(1000, day=5), event(6))
        write("INSERT INTO events(id, day, n) VALUES (1000, 5, 1)")
        see(event(1000, day=5), "1")
        reads.lives(event(6))
        reads.fill(event(1000, day=5), event(1000, day=25))
        write("UPDATE events SET day = 25 WHERE id = 1000")
        see(event(1000, day=5), None)
        see(event(1000, day=25), "1")
        reads.lives(event(6))
        reads.fill(event(1000, day=25))
        write("DELETE FROM events WHERE id = 1000")
        see(event(1000, day=25), None)
        reads.lives(event(6))
    # A key that the server makes.
    own, made = through(ctx, p), "SELECT n FROM events WHERE day = 7 AND id = "
    ctx.sql("SELECT setval('events_id_seq', 5000)")
    for i in range(5001, 5004):
        reads.fill(f"{made}{i}", f"{made}4000")
        own(f"INSERT INTO events(day, n) VALUES (7, {i})")
        reads.dies(f"{made}{i}", str(i))
        reads.lives(f"{made}4000")
    reads.fill(event(5), event(15))
    changed(ctx, p, lambda: (own("TRUNCATE events_1"), reads.dies(event(5), None)))
    reads.dies(event(15), str(ctx.direct().value("SELECT n FROM events WHERE id = 15")))


def test_partitions_come_and_go(ctx):
    ctx.sql(EVENTS + "CREATE TABLE spare(LIKE events_1 INCLUDING ALL); INSERT INTO spare(id, day, n) VALUES (55, 55, 1), (56, 56, 1);"
            "GRANT ALL ON spare TO app")
    p = ctx.cache_proxy()
    reads, own, direct = Reads(ctx, p), through(ctx, p), directly(ctx)
    for table in ("events", "events_1", "events_2", "events_3", "events_3a", "spare"):
        ctx.sql(f"ALTER TABLE {table} OWNER TO app")
    attach = "ALTER TABLE events ATTACH PARTITION spare FOR VALUES FROM (50) TO (60)"
    detach = "ALTER TABLE events DETACH PARTITION spare"
    reads.fill(event(5))
    for ddl in (own, direct):
        for _ in range(2):
            reads.fill(event(55), event(5))
            ddl(attach)
            wait_seen(ctx, reads, event(55), "1")
            reads.fill(event(55), event(5))
            own("UPDATE spare SET n = 2 WHERE id = 55")
            reads.dies(event(55), "2")
            reads.lives(event(5))
            direct("UPDATE events SET n = 3 WHERE id = 55")
            wait_seen(ctx, reads, event(55), "3")
            own("UPDATE events SET n = 1 WHERE id = 55")
            reads.fill(event(55))
            ddl(detach)
            wait_seen(ctx, reads, event(55), None)
    # A row goes to a partition that the proxy has not heard of yet.
    for i in range(60, 70):
        made = f"SELECT n FROM events WHERE day = {i} AND id = {i + 6000}"
        ctx.sql(f"SELECT setval('events_id_seq', {i + 5999})")
        reads.fill(made)
        direct(f"CREATE TABLE more_{i} PARTITION OF events FOR VALUES FROM ({i}) TO ({i + 1})")
        own(f"INSERT INTO events(day, n) VALUES ({i}, 7)")
        reads.dies(made, "7")


def test_partition_identities(ctx):
    """What a partition's events tell decides what of the whole ends: the row, or all of them."""
    ctx.sql(EVENTS + "CREATE UNIQUE INDEX other ON events_1(id); CREATE UNIQUE INDEX third ON events_1(id, n); ALTER TABLE events_1 ALTER n SET NOT NULL")
    p = ctx.cache_proxy()
    reads, direct = Reads(ctx, p), directly(ctx)
    by_kind = "SELECT count(*) FROM events WHERE kind = '{}'"
    reads.fill(event(5))
    n = 0
    for identity in ("NOTHING", "USING INDEX other", "USING INDEX third", "FULL", "DEFAULT"):
        changed(ctx, p, lambda: direct(f"ALTER TABLE events_1 REPLICA IDENTITY {identity}"))
        for write, see in both(ctx, p, reads):
            n += 1
            reads.fill(event(5), event(6), by_kind.format(n))
            write(f"UPDATE events SET n = {n}, kind = '{n}' WHERE id = 5") # nobody names the partition
            see(event(5), str(n))
            see(by_kind.format(n), "1")
            if identity in ("FULL", "DEFAULT"):
                reads.lives(event(6), identity)
            reads.fill(event(5), event(104, day=5))
            write("UPDATE events SET id = 104 WHERE id = 5") # moves of the key
            see(event(5), None)
            see(event(104, day=5), str(n))
            write("UPDATE events SET id = 5 WHERE id = 104")
    # All of them tell everything: any column is a key.
    changed(ctx, p, lambda: direct(*(f"ALTER TABLE {t} REPLICA IDENTITY FULL" for t in ("events_1", "events_2", "events_3a"))))
    for write, see in both(ctx, p, reads):
        reads.fill(by_kind.format("x"), by_kind.format("y"))
        write("UPDATE events SET kind = 'x' WHERE id = 15")
        see(by_kind.format("x"), "1")
        reads.lives(by_kind.format("y"))
        reads.fill(by_kind.format("x"))
        write("UPDATE events_2 SET kind = 'z' WHERE id = 15")
        see(by_kind.format("x"), "0")
        reads.lives(by_kind.format("y"))


VIEWS = """
CREATE TABLE t(id int PRIMARY KEY, n int NOT NULL DEFAULT 0, name text);
INSERT INTO t SELECT i, 0, 'name ' || i FROM generate_series(1, 20) i;
CREATE VIEW v AS SELECT name, n, id AS number, n + 1 AS more FROM t WHERE n >= 0;
CREATE VIEW w("a b", key) AS SELECT more, number FROM v ORDER BY 1;
CREATE VIEW counted AS SELECT id, count(*) OVER () AS n FROM t;
CREATE VIEW grouped AS SELECT n % 7 AS id, count(*) AS n FROM t GROUP BY 1;
CREATE VIEW made AS SELECT id + 0 AS id, n FROM t;
CREATE VIEW cut AS SELECT id, n FROM t ORDER BY n DESC, id LIMIT 1;
CREATE VIEW joined AS SELECT a.id, b.n FROM t a JOIN t b ON b.id = a.id + 1;
CREATE VIEW asked AS SELECT id, (SELECT sum(n) FROM t) AS n FROM t;
CREATE VIEW twice AS SELECT id, n FROM t UNION ALL SELECT 6, n FROM t WHERE id = 5;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
"""


def test_views(ctx):
    """A view of one table's rows has that table's key, by the view's own names; others have none."""
    ctx.sql(VIEWS)
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    of_v, of_w = "SELECT n FROM v WHERE number = {}", 'SELECT "a b" - 1 FROM w WHERE key = {}'
    n = 0
    for write, see in both(ctx, p, reads):
        for read in (of_v, of_w):
            n += 1
            reads.fill(read.format(5), read.format(6))
            write(f"UPDATE t SET n = {n} WHERE id = 5")
            see(read.format(5), str(n))
            reads.lives(read.format(6), read)
            reads.fill(read.format(5), read.format(50))
            write("UPDATE t SET id = 50 WHERE name = 'name 5'")
            see(read.format(5), None)
            see(read.format(50), str(n))
            reads.lives(read.format(6), read)
            write("UPDATE t SET id = 5 WHERE id = 50")
        for view in ("counted", "grouped", "made", "cut", "joined", "asked", "twice"):
            read = f"SELECT n FROM {view} WHERE id = 6"
            reads.fill(read)
            n += 1
            write(f"UPDATE t SET n = {n} WHERE id IN (5, 7)", "INSERT INTO t(id) VALUES (99)")
            got, want = reads, ctx.direct().query(read).rows
            ctx.proxies[0].wait(lambda: got.ask(read).rows == want, view) if see is not reads.dies \
                else got.dies(read, want[0][0] if want else None, view)
            write("DELETE FROM t WHERE id = 99")
    # Its rows end with all of the table.
    reads.fill(of_w.format(6))
    changed(ctx, p, lambda: (through(ctx, p)("TRUNCATE t"), reads.dies(of_w.format(6), None)))


def test_views_are_replaced(ctx):
    ctx.sql(VIEWS + "ALTER TABLE t OWNER TO app; ALTER VIEW v OWNER TO app; ALTER VIEW w OWNER TO app; GRANT ALL ON SCHEMA public TO app")
    p = ctx.cache_proxy()
    reads, own, direct = Reads(ctx, p), through(ctx, p), directly(ctx)
    read = "SELECT n FROM v WHERE number = {}"
    for ddl in (own, direct):
        reads.fill(read.format(5), read.format(6))
        changed(ctx, p, lambda: ddl("DROP VIEW w; CREATE OR REPLACE VIEW v AS SELECT name, n, id + 1 AS number, n + 1 AS more FROM t"))
        reads.fill(read.format(6))
        own("UPDATE t SET n = 8 WHERE id = 5")
        reads.dies(read.format(6), "8")
        changed(ctx, p, lambda: ddl("CREATE OR REPLACE VIEW v AS SELECT name, n, id AS number, n + 1 AS more FROM t;"
                                    "CREATE VIEW w AS SELECT 1"))
        reads.fill(read.format(5), read.format(6))
        own("UPDATE t SET n = 9 WHERE id = 5")
        reads.dies(read.format(5), "9")
        reads.lives(read.format(6))
        own("UPDATE t SET n = 0 WHERE id = 5")


def test_views_of_others(ctx):
    """Of a partitioned table, and by any column of a table with REPLICA IDENTITY FULL."""
    ctx.sql(EVENTS + COMMENTS + "CREATE VIEW e AS SELECT day AS d, id AS i, n FROM events; CREATE VIEW c AS SELECT article_id AS a, body, article_id AS again FROM comments;"
            "GRANT ALL ON e, c TO app")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    of_e = "SELECT n FROM e WHERE d = {0} AND i = {0}"
    of_c = ["SELECT max(body) FROM c WHERE a = {}", "SELECT max(body) FROM c WHERE again = {}"]
    n = 0
    for write, see in both(ctx, p, reads):
        for table in ("events", "events_2"):
            n += 1
            reads.fill(of_e.format(15), of_e.format(16))
            write(f"UPDATE {table} SET n = {n} WHERE id = 15")
            see(of_e.format(15), str(n))
            reads.lives(of_e.format(16))
        for read in of_c:
            n += 1
            reads.fill(read.format(5), read.format(6))
            write(f"UPDATE comments SET body = 'z{n}' WHERE article_id = 5")
            see(read.format(5), f"z{n}")
            reads.lives(read.format(6))


def test_without_stream(ctx):
    """Only the proxy tells of writes: what is left out here is wrong for ever."""
    ctx.sql(COMMENTS + EVENTS)
    p = ctx.cache_proxy(invalidation="proxy")
    reads, own = Reads(ctx, p), through(ctx, p)

    def apart(): # the first writes may do anything, until what is behind the tables is known
        reads.fill(article(2), event(15))
        own("UPDATE comments SET body = body WHERE article_id = 7")
        own(*(f"UPDATE {table} SET n = n WHERE id = 1 AND day = 1" for table in ("events", "events_1", "events_3", "events_3a")))
        return reads.misses_until_hit(article(2)) + reads.misses_until_hit(event(15)) == 0
    p.wait(apart, "a write that ends nothing")
    for n, (statement, key) in enumerate((
            ("UPDATE comments SET body = 'z{}' WHERE article_id = 1", 1), ("UPDATE comments SET body = 'z{}' WHERE id = 1", 1),
            ("UPDATE comments SET body = 'z{}', article_id = 2 WHERE article_id = 1 AND id = 1", 2),
            ("UPDATE comments SET body = 'z{}' WHERE author = 'author 2'", 2),
            ("INSERT INTO comments(id, article_id, body) VALUES (2, 9, 'x') ON CONFLICT (id) DO UPDATE SET body = 'z{}'", 2),
            ("INSERT INTO comments(article_id, body) VALUES (4, 'z{}')", 4),
            ("INSERT INTO comments(article_id, body) SELECT 4, 'z{}'", 4))):
        reads.fill(article(key))
        own(statement.format(n + 100))
        got = reads.ask(article(key)).rows[0][0]
        assert got.endswith(f"z{n + 100}"), f"{statement}: {got}"
    for n, (statement, key) in enumerate((
            ("UPDATE events SET n = {} WHERE id = 5 AND day = 5", 5), ("UPDATE events_1 SET n = {} WHERE id = 5 AND day = 5", 5),
            ("UPDATE events_1 SET n = {} WHERE n < 10000 AND day > 4", 5), ("UPDATE events_3a SET n = {} WHERE id = 25", 25),
            ("INSERT INTO events_3(id, day, n) VALUES (25, 25, {}) ON CONFLICT (day, id) DO UPDATE SET n = EXCLUDED.n", 25))):
        reads.fill(event(key))
        own(statement.format(n + 100))
        reads.dies(event(key), str(n + 100), statement)


# ---- generated ----

def one_read(r):
    i, j, k = r.randint(1, 12), r.randint(0, 4), r.randint(1, 29)
    return r.choice([
        lambda: query(f"SELECT * FROM comments WHERE article_id = {i} ORDER BY id"),
        lambda: unit("SELECT count(*), max(body) FROM comments WHERE article_id = $1", [i]),
        lambda: query(f"SELECT * FROM comments WHERE author = 'author {j}' AND flagged ORDER BY id"),
        lambda: query(f"SELECT count(*) FROM comments WHERE flagged = true AND author IN ('author {j}', 'none')"),
        lambda: query(f"SELECT * FROM comments WHERE id = {k}"),
        lambda: query(f"SELECT body FROM c WHERE a = {i} ORDER BY 1"),
        lambda: query(f"SELECT max(x.body) FROM comments x JOIN c ON c.a = x.article_id WHERE x.article_id = {i}"),
        lambda: query(f"SELECT * FROM events WHERE id = {k} AND day = {k}"),
        lambda: query(f"SELECT * FROM events WHERE day = {k} AND id IN ({k}, {k + 1}) ORDER BY id"),
        lambda: query(f"SELECT * FROM events_1 WHERE id = {k} AND day = {k}"),
        lambda: query(f"SELECT * FROM events_3 WHERE id = {k} AND day = {k}"),
        lambda: query(f"SELECT n FROM e WHERE i = {k} AND d = {k}"),
        lambda: query(f"SELECT count(*) FROM events WHERE kind = 'k{j}'"),
    ])()


def one_write(r):
    i, j, k, n = r.randint(1, 12), r.randint(0, 4), r.randint(1, 29), r.randint(1, 10 ** 6)
    table = "events" if r.random() < 0.5 else "events_1" if k < 10 else "events_2" if k < 20 else "events_3a"
    return r.choice([
        lambda: query(f"UPDATE comments SET body = 'b{n}' WHERE article_id = {i}"),
        lambda: unit("UPDATE comments SET body = $1 WHERE id = $2", [f"b{n}", k]),
        lambda: query(f"UPDATE comments SET article_id = {i} WHERE id = {k}"),
        lambda: query(f"UPDATE comments SET flagged = NOT flagged WHERE author = 'author {j}' AND id > {k}"),
        lambda: query(f"UPDATE comments SET author = 'author {j}' WHERE article_id = {i} AND id % 3 = 0"),
        lambda: query(f"INSERT INTO comments(article_id, author, flagged, body) VALUES ({i}, 'author {j}', true, 'b{n}')"),
        lambda: unit("INSERT INTO comments(article_id, body) VALUES ($1, $2)", [i, f"b{n}"]),
        lambda: query(f"INSERT INTO comments(id, article_id, body) VALUES ({k}, {i}, 'b{n}') ON CONFLICT (id) DO UPDATE SET body = EXCLUDED.body"),
        lambda: query(f"DELETE FROM comments WHERE article_id = {i} AND id > 100"),
        lambda: query(f"DELETE FROM comments WHERE id = {k}"),
        lambda: query(f"UPDATE {table} SET n = {n}, kind = 'k{j}' WHERE id = {k} AND day = {k}"),
        lambda: query(f"UPDATE {table} SET n = {n} WHERE id = {k}"),
        lambda: query(f"UPDATE events SET day = {k} WHERE id = {r.randint(1, 29)} AND day < 30 AND NOT EXISTS (SELECT FROM events x WHERE x.day = {k})"),
        lambda: query(f"DELETE FROM {table} WHERE id = {k} AND day = {k}"),
        lambda: query(f"INSERT INTO {table}(id, day, n) VALUES ({k}, {k}, {n}) ON CONFLICT DO NOTHING"),
        lambda: query(f"INSERT INTO events(day, n, kind) VALUES ({k}, {n}, 'k{j}')"),
    ])()


def differential(ctx, turns, begun=lambda ctx: None, rounds=1, **settings):
    """Random writes, and after each some of many reads: every answer is PostgreSQL's. begun: once the tables are there.
    rounds: how often each read is asked after a write, where a write ends all of a table."""
    ctx.sql(EVENTS + COMMENTS + "CREATE VIEW e AS SELECT day AS d, id AS i, n FROM events; CREATE VIEW c AS SELECT article_id AS a, body FROM comments;"
            "ALTER TABLE events_1 REPLICA IDENTITY FULL; SELECT setval('events_id_seq', 1000); GRANT ALL ON e, c TO app")
    begun(ctx)
    p = ctx.cache_proxy(**settings)
    seed = random.randrange(10 ** 6)
    r = random.Random(seed)
    c, other, direct = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db)), ctx.direct("app")
    pool = [one_read(r) for _ in range(60)]
    before = p.cache()
    for turn in range(turns):
        write = one_write(r)
        (c if r.random() < 0.5 else other).ask(write)
        for read in r.sample(pool, 6) * rounds:
            want, got = direct.ask(read), c.ask(read)
            assert got.raw == want.raw, f"seed {seed}, turn {turn}: {read!r} after {write!r}: {got.rows}, not {want.rows}"
    for turn in range(0 if settings.get("invalidation") == "proxy" else 40):
        write = one_write(r)
        direct.ask(write)
        for read in r.sample(pool, 6):
            want = direct.ask(read).raw
            p.wait(lambda: c.ask(read).raw == want, f"direct turn {turn}: {read!r} after {write!r}, seed {seed}", timeout=2)
    after = p.cache()
    hits = after["hits"] - before["hits"]
    ctx.note(f"seed {seed}: {hits:.0f} hits")
    assert hits > 20


@limit(240)
def test_differential(ctx):
    differential(ctx, 250)


@limit(240)
def test_differential_without_stream(ctx):
    differential(ctx, 250, invalidation="proxy")
