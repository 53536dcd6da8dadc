# SPDX-License-Identifier: Apache-2.0
"""Types of keys beyond numbers and text: whichever way a value is written, as a constant, as text or in
binary, its entry ends with its row's changes and with no other's, through the proxy and round it."""
from pgwire import bind, execute, parse, query, sync, unit
from reads import Reads, changed, directly, through, wait_seen
from runner import limit, scenario

TIMESTAMP = 762525296789000  # 2024-02-29 12:34:56.789

# type: constants, text of parameters, parameters in binary with their types (0: not told), another key; then
# constants and text that are right all the same, as they depend on the table. {mood}: the oid of a type.
KINDS = {
    "whole": (["5", "'05'", "5::int"], ["5", " +5"], [(23, b"\0\0\0\5"), (0, b"\0\0\0\5"), (20, b"\0\0\0\0\0\0\0\5")], "6",
              ["5.0"], []),
    "short": (["'it''s'", "'it''s'::text"], ["it's"], [(25, b"it's"), (0, b"it's")], "'its'", [], []),
    "oid": (["5", "'5'", "5::oid"], ["5", " 5 "], [(26, b"\0\0\0\5"), (0, b"\0\0\0\5"), (20, b"\0\0\0\0\0\0\0\5")], "13",
            ["'05'"], ["05"]),
    "boolean": (["true", "TRUE", "'yes'", "true::boolean"], ["t", "Tru", " on "], [(16, b"\1"), (0, b"\1")], "false", [], []),
    "bytea": (["'ab'", "'ab'::bytea"], ["\\x6162", "ab", "\\141b"], [(17, b"ab"), (0, b"ab")], "'aB'", ["'\\x6162'"],
              ["\\x61 62"]),
    "name": (["'it''s'"], ["it's"], [(19, b"it's"), (25, b"it's"), (0, b"it's")], "'its'",
             [], []),
    '"char"': (["'a'"], ["a"], [(18, b"a"), (0, b"a")], "'A'", ["'ab'"], ["abc"]),
    "macaddr": (["'08:00:2b:01:02:03'", "'08-00-2B-01-02-03'"], ["08:00:2b:01:02:03"],
                [(829, bytes.fromhex("08002b010203")), (0, bytes.fromhex("08002b010203"))], "'08:00:2b:01:02:04'",
                ["'08002b:010203'"], ["8:0:2b:1:2:3"]),
    "time": (["'12:34:56.5'", "'12:34:56.50'::time"], ["12:34:56.500"], [(1083, (45296500000).to_bytes(8, "big"))], "'12:34:56'",
             ["'12:34:56.5 PM'"], ["123456.5"]),
    "timestamp": (["'2024-02-29 12:34:56.789'", "'2024-02-29T12:34:56.789000+02'"], ["2024-02-29 12:34:56.789"],
                  [(1114, TIMESTAMP.to_bytes(8, "big")), (0, TIMESTAMP.to_bytes(8, "big"))], "'2024-02-29 12:34:56'",
                  ["'Feb 29 2024 12:34:56.789'"], ["20240229T123456.789"]),
    "timestamp(3)": (["'2024-02-29 12:34:56.789'"], ["2024-02-29 12:34:56.789"], [(1114, TIMESTAMP.to_bytes(8, "big"))],
                     "'2024-02-29 12:34:56'", [], []),
    "timestamptz": (["'2024-02-29 12:34:56.789+00'", "'2024-02-29 14:34:56.789+02:00'::timestamptz"],
                    ["2024-02-29T07:34:56.789-05"], [(1184, TIMESTAMP.to_bytes(8, "big")), (0, TIMESTAMP.to_bytes(8, "big"))],
                    "'2024-02-29 12:34:56.789+02'", ["'2024-02-29 12:34:56.789'", "'2024-02-29 12:34:56.789Z'"],
                    ["2024-02-29 12:34:56.789 UTC"]),
    "inet": (["'10.1.2.3'", "'10.1.2.3/32'::inet", "'10.1.2.3'::cidr"], ["10.1.2.3", "10.1.2.3/32"],
             [(869, b"\2\x20\0\4\x0a\1\2\3"), (0, b"\2\x20\0\4\x0a\1\2\3"), (650, b"\2\x20\1\4\x0a\1\2\3")],
             "'10.1.2.3/24'", ["'010.1.2.3'"], ["10.1.2.03"]),
    "cidr": (["'2001:db8::/32'", "'2001:0DB8:0::/32'::inet"], ["2001:db8:0:0:0:0:0.0.0.0/32"],
             [(650, bytes.fromhex("03200110" + "20010db8" + "00" * 12)), (0, bytes.fromhex("03200010" + "20010db8" + "00" * 12)),
              (869, bytes.fromhex("03200010" + "20010db8" + "00" * 12))], "'2001:db8::/33'", [], []),
    "macaddr8": (["'08:00:2b:01:02:03'", "'08-00-2B-FF-FE-01-02-03'"], ["08:00:2b:ff:fe:01:02:03"],
                 [(774, bytes.fromhex("08002bfffe010203")), (0, bytes.fromhex("08002bfffe010203"))], "'08:00:2b:ff:fe:01:02:04'",
                 ["'08002bfffe010203'"], ["08002b:010203"]),
    "float8": (["1.5", "'1.50'", "15e-1", "1.5::float8", "1.50::numeric"], ["1.5", " +1.5", "0.15e1"],
               [(701, bytes.fromhex("3ff8000000000000")), (0, bytes.fromhex("3ff8000000000000"))], "2",
               ["1.5::float4", "1.50000000000000000001"], ["0x1.8p0"]),
    "bit(3)": (["'101'", "'101'::varbit"], ["101"], [(1560, b"\0\0\0\3\xa0"), (0, b"\0\0\0\3\xa0")], "'100'",
               ["B'101'", "'b101'"], ["b101"]),
    "varbit": (["'101'", "'101'::varbit"], ["101"], [(1562, b"\0\0\0\3\xa0"), (0, b"\0\0\0\3\xa0")], "'1010'",
               ["B'101'", "'b101'"], ["b101"]),
    "pg_lsn": (["'1/A'", "'01/0a'"], ["1/a"], [(3220, b"\0\0\0\1\0\0\0\x0a"), (0, b"\0\0\0\1\0\0\0\x0a")], "'1/B'", [], []),
    "interval": (["'1 mon'", "'30 days'::interval", "interval '29 days 24:00:00'"], ["1 month", "4 weeks 2 days 0 hours", "720:00:00"],
                 [(1186, bytes(12) + b"\0\0\0\1"), (0, bytes(8) + b"\0\0\0\x1e" + bytes(4))], "'31 days'",
                 ["interval '1' month", "'P1M'"], ["@ 1 month", "-1 month ago"]),
    "interval(3)": (["'1 day'"], ["24:00:00"], [(1186, bytes(8) + b"\0\0\0\1" + bytes(4))], "'23:00:00'", [], []),
    "ratio": (["1.5", "'1.5'"], ["1.50"], [(701, bytes.fromhex("3ff8000000000000")), (0, bytes.fromhex("3ff8000000000000"))], "0.5", [], []),
    "flags": (["'101'"], ["101"], [(1562, b"\0\0\0\3\xa0"), (0, b"\0\0\0\3\xa0")], "'1'", [], []),
    "mood": (["'sad'"], ["sad"], [("{mood}", b"sad"), (0, b"sad")], "'Sad'", [], []),
}
SETUP = """
CREATE DOMAIN whole AS int CHECK (VALUE <> 7);
CREATE DOMAIN shorter AS varchar(10);
CREATE DOMAIN short AS shorter NOT NULL;
CREATE TYPE mood AS ENUM ('Sad', 'sad', 'ok');
CREATE DOMAIN ratio AS float8;
CREATE DOMAIN flags AS varbit;
"""


def set_up(ctx):
    ctx.sql(SETUP)
    for i, (kind, (constants, _, _, other, _, _)) in enumerate(KINDS.items()):
        ctx.sql(f"CREATE TABLE k{i}(k {kind} PRIMARY KEY, n int); GRANT ALL ON k{i} TO app;"
                f"INSERT INTO k{i} VALUES ({constants[0]}, 0), ({other}, 0)")


def in_binary(ctx, text, value):
    oid, data = value
    oid = int(ctx.sql(f"SELECT '{oid[1:-1]}'::regtype::oid")[0][0]) if isinstance(oid, str) else oid
    return parse(text, types=(oid,)) + bind(params=[data], param_formats=(1,)) + execute() + sync()


def check_kind(ctx, table, kind, reads, writers):
    constants, texts, binaries, other, odd_constants, odd_texts = KINDS[kind]

    def all_forms(text, odd):
        """The statement with each value in place of a '?'."""
        forms = [query(text.replace("?", c)) for c in (odd_constants if odd else constants)]
        forms += [unit(text.replace("?", "$1"), [t]) for t in (odd_texts if odd else texts)]
        return forms + [in_binary(ctx, text.replace("?", "$1"), b) for b in ([] if odd else binaries)]

    read, n = f"SELECT n FROM {table} WHERE k = ?", 0
    asks, odd = all_forms(read, False), all_forms(read, True)
    neighbour = read.replace("?", other)
    for write, see, forms in writers:
        updates = [lambda t: all_forms(t, False), lambda t: all_forms(t, True),
                   lambda t: [query(t.replace("?", constants[0]) + " AND n + 0 >= 0")]]
        for make in updates:
            for i in range(min(len(make("?")), forms)):
                n += 1
                reads.fill(*asks, *odd, neighbour)
                write(make(f"UPDATE {table} SET n = {n} WHERE k = ?")[i])
                for ask in asks + odd:
                    see(ask, str(n), (kind, ask))
                reads.lives(neighbour, (kind, i))
        reads.fill(*asks, neighbour)
        write(f"DELETE FROM {table} WHERE k = {constants[0]}")
        for ask in asks:
            see(ask, None, (kind, ask))
        reads.lives(neighbour, kind)
        for i in range(min(len(all_forms("?", False)), forms)):
            n += 1
            reads.fill(*asks, neighbour)
            write(all_forms(f"INSERT INTO {table}(n, k) VALUES ({n}, ?)", False)[i])
            for ask in asks:
                see(ask, str(n), (kind, ask))
            reads.lives(neighbour, (kind, i))
            write(f"DELETE FROM {table} WHERE k = {constants[0]}")
        write(f"INSERT INTO {table}(n, k) VALUES (0, {constants[0]})")
        # By what does not tell which row: the stream does.
        n += 1
        reads.fill(*asks, neighbour)
        write(f"UPDATE {table} SET n = {n} WHERE k <> {other}")
        for ask in asks:
            see(ask, str(n), (kind, ask))
        reads.lives(neighbour, kind)


def check_all(ctx, p, both=True):
    """An event is the same however the writer wrote the value: round the proxy one form is enough."""
    reads = Reads(ctx, p)
    reads.fill(*[f"SELECT n FROM k{i} WHERE n = 1" for i in range(len(KINDS))]) # from now on their schema is watched
    writers = [(directly(ctx), lambda s, v, what: wait_seen(ctx, reads, s, v), 1)]
    if both:
        writers.append((through(ctx, p), reads.dies, 99))
    for i, kind in enumerate(KINDS):
        check_kind(ctx, f"k{i}", kind, reads, writers)


@limit(240)
def test_types(ctx):
    set_up(ctx)
    check_all(ctx, ctx.cache_proxy())


@limit(240)
def test_types_of_a_publication(ctx):
    set_up(ctx)
    check_all(ctx, scenario("47_cache_pgoutput.py").Published(ctx).cache_proxy(), both=False)


def test_settings_of_the_role(ctx):
    """Whatever defaults the database has, the stream prints what is understood: rows are kept apart."""
    ctx.sql("CREATE TABLE at(k timestamptz PRIMARY KEY, n int); CREATE TABLE bytes(k bytea PRIMARY KEY, n int); GRANT ALL ON at, bytes TO app;"
            "INSERT INTO at VALUES ('2024-02-29 12:00+00', 0), ('2024-02-29 13:00+00', 0); INSERT INTO bytes VALUES ('a', 0), ('b', 0);"
            "CREATE TABLE ratio(k float8 PRIMARY KEY, n int); CREATE TABLE span(k interval PRIMARY KEY, n int); GRANT ALL ON ratio, span TO app;"
            "INSERT INTO ratio VALUES (0.123456789012345, 0), (0.5, 0); INSERT INTO span VALUES ('1 mon', 0), ('31 days', 0)")
    for setting in ("datestyle = 'German'", "timezone = 'Asia/Kolkata'", "bytea_output = 'escape'", "extra_float_digits = -3", "intervalstyle = 'iso_8601'"):
        ctx.sql(f"ALTER DATABASE {ctx.db} SET {setting}")
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), directly(ctx)
    for n in range(1, 4):
        for table, key, other in (("at", "'2024-02-29 12:00+00'", "'2024-02-29 14:00+01'"), ("bytes", "'a'", "'b'"),
                                  ("ratio", "0.123456789012345", "0.5"), ("span", "'30 days'", "'31 days'")):
            read = f"SELECT n FROM {table} WHERE k = "
            reads.fill(read + key, read + other)
            write(f"UPDATE {table} SET n = {n} WHERE k = {key}")
            wait_seen(ctx, reads, read + key, str(n))
            reads.lives(read + other)


def test_stored_otherwise(ctx):
    """Without a stream: what a column makes of a value, and what others make of a parameter beside them."""
    ctx.sql("CREATE TABLE net(k cidr PRIMARY KEY, n int); CREATE TABLE span(k interval(0) PRIMARY KEY, n int);"
            "CREATE TABLE num(k numeric PRIMARY KEY, n int); INSERT INTO num VALUES (5, 0), (0, 0);"
            "CREATE TABLE ratio(k float8 PRIMARY KEY, n int); INSERT INTO ratio VALUES (0, 0), (2, 0); GRANT ALL ON net, span, num, ratio TO app")
    p = ctx.cache_proxy(invalidation="proxy")
    reads, write = Reads(ctx, p), through(ctx, p)
    net, span = "SELECT n FROM net WHERE k = '10.1.2.0/24'", "SELECT n FROM span WHERE k = '00:00:02'"
    inet = parse("INSERT INTO net(k, n) VALUES ($1, 2)", types=(869,)) + bind(params=[b"\2\x18\0\4\x0a\1\2\3"], param_formats=(1,)) + execute() + sync()
    for n, make in ((1, "INSERT INTO net(k, n) VALUES ('10.1.2.3/24'::inet, 1)"), (2, inet)):
        reads.fill(net)
        write(make)
        reads.dies(net, str(n))
        write("DELETE FROM net")
    reads.fill(span)
    write("INSERT INTO span(k, n) VALUES ('00:00:01.6', 1)")
    reads.dies(span, "1")
    # Of eight bytes each: an int8 that might be taken for a numeric, a numeric for a float8.
    for table, k, beside, data in (("num", "5", "3000000000", b"\0\0\0\0\0\0\0\5"), ("ratio", "0", "1.5", b"\0\0\0\0\0\0\0\2")):
        text = f"SELECT n FROM {table} WHERE k = ANY (ARRAY[$1, {beside}])"
        read = parse(text) + bind(params=[data], param_formats=(1,)) + execute() + sync()
        reads.fill(read)
        write(f"UPDATE {table} SET n = 1 WHERE k = {k}")
        reads.dies(read, "1", text)


def test_labels_change(ctx):
    """A label is another one's from now on; in what was prepared it is the one of that time."""
    ctx.sql(SETUP + "CREATE TABLE t(k mood PRIMARY KEY, n int); INSERT INTO t VALUES ('sad', 0), ('ok', 100); GRANT ALL ON t TO app")
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), directly(ctx)
    reads.c.ask(parse("SELECT n FROM t WHERE k = 'sad'", "s") + sync()).check()
    prepared = bind("s") + execute() + sync()
    read = "SELECT n FROM t WHERE k = '{}'"
    reads.fill(prepared, read.format("sad"), read.format("ok"))
    write("UPDATE t SET n = 1 WHERE k = 'sad'")
    wait_seen(ctx, reads, prepared, "1")
    changed(ctx, p, lambda: write("BEGIN; ALTER TYPE mood RENAME VALUE 'sad' TO 'glad'; ALTER TYPE mood RENAME VALUE 'ok' TO 'sad'; COMMIT"))
    for n in range(2, 5):
        reads.fill(prepared, read.format("sad"), read.format("glad"))
        write(f"UPDATE t SET n = {n} WHERE k = 'glad'")
        wait_seen(ctx, reads, read.format("glad"), str(n))
        wait_seen(ctx, reads, prepared, str(n)) # it means the row that it has always meant
        assert reads.ask(read.format("sad")).rows[0][0] == "100"


def check_alternatives(ctx, p):
    reads = Reads(ctx, p)
    one, pair = "SELECT sum(n) FROM t WHERE {}", "SELECT sum(n) FROM c WHERE {}"
    mine = [one.format("id = 5 OR id = 6"), one.format("(id = 6 OR 5 = id OR id IN (77, 78)) AND n >= 0"),
            one.format("id = 5 AND n >= 0 OR id = 6 AND n < 0"), one.format("id = 6 OR n >= 0 AND (id = 77 OR (id = 5 OR id = 78))"), pair.format("(a, b) IN ((1, 'x'), (2, 'y'))"),
            pair.format("(b, a) = ('x', 1)"), pair.format("a = 1 AND b = 'x' OR a = 2 AND b = 'y'"),
            unit("SELECT sum(n) FROM c WHERE (a, b) IN (($1, $2), ($3, $4))", [1, "x", 2, "y"])]
    others = [one.format("id = 7 OR id = 8"), one.format("id = 7 OR n >= 0 AND (id = 8 OR id = 9)"), pair.format("(a, b) IN ((1, 'y'), (2, 'x'))"), pair.format("(a, b) = (3, 'x')")]
    n = 0
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for t, c in (("id = 5 OR id = 100", "(a, b) = (1, 'x')"), ("id = 5 AND n >= 0 OR id = 100", "(a, b) IN ((1, 'x'), (9, 'z'))"),
                     ("id + 0 = 5", "a || b = '1x'")):
            n += 1
            reads.fill(*mine, *others)
            write(f"UPDATE t SET n = {n} WHERE {t}", f"UPDATE c SET n = {n} WHERE {c}")
            for read in mine:
                see(read, str(n))
            for read in others:
                reads.lives(read, (t, c))
        reads.fill(*mine, *others)
        write("DELETE FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))", "DELETE FROM t WHERE id = 5 OR id = 6")
        for read in mine:
            see(read, None)
        for read in others:
            reads.lives(read)
        reads.fill(*mine, *others)
        n += 1
        write(f"INSERT INTO c(a, b, n) VALUES (1, 'x', {n}), (2, 'y', 0)", f"INSERT INTO t(id, n) VALUES (5, {n}), (6, 0)")
        for read in mine[:2] + mine[3:]:
            see(read, str(n))
        for read in others:
            reads.lives(read)


ALTERNATIVES = """
CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 9) i;
CREATE TABLE c(a int, b text, n int, PRIMARY KEY (b, a)); INSERT INTO c SELECT a, b, 0 FROM generate_series(1, 3) a, unnest('{x,y}'::text[]) b;
GRANT ALL ON t, c TO app;
"""


def test_alternatives(ctx):
    """OR and rows of values, as a list: of the rows that they name and no others."""
    ctx.sql(ALTERNATIVES)
    check_alternatives(ctx, ctx.cache_proxy())


def test_alternatives_of_a_publication(ctx):
    ctx.sql(ALTERNATIVES)
    check_alternatives(ctx, scenario("47_cache_pgoutput.py").Published(ctx).cache_proxy())


def test_alternatives_without_a_stream(ctx):
    """What is wrong here would be wrong for ever: a write that names its rows ends the reads of these."""
    ctx.sql(ALTERNATIVES)
    p = ctx.cache_proxy(invalidation="proxy")
    reads, write = Reads(ctx, p), through(ctx, p)
    two = "SELECT sum(n) FROM t WHERE id = {} OR id = {}"
    pairs = "SELECT sum(n) FROM c WHERE (a, b) IN (({}, 'x'), ({}, 'y'))"
    for n in range(1, 6):
        reads.fill(two.format(5, 6), two.format(7, 8), pairs.format(1, 2), pairs.format(2, 1))
        write(f"UPDATE t SET n = {n} WHERE id = 6 AND n >= 0 OR id = 60", f"UPDATE c SET n = {n} WHERE (a, b) IN ((2, 'y'), (9, 'x'))")
        reads.dies(two.format(5, 6), str(n))
        reads.dies(pairs.format(1, 2), str(n))


def test_whole_rows(ctx):
    """With REPLICA IDENTITY FULL each column is a key by itself: those of all these types, too."""
    ctx.sql(SETUP + "CREATE TABLE t(id int, made timestamptz, feels mood, body bytea, at whole, host inet, part float8, flags varbit, n int); ALTER TABLE t REPLICA IDENTITY FULL;"
            "INSERT INTO t VALUES (1, '2024-02-29 12:00+00', 'sad', 'a', 5, '::1', 0.1, '101', 0), (2, '2024-02-29 13:00+00', 'ok', 'b', 6, '::2', 0.2, '100', 0); GRANT ALL ON t TO app")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    n = 0
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for column, key, other in (("made", "'2024-02-29 12:00+00'", "'2024-02-29 13:00+00'"), ("feels", "'sad'", "'ok'"),
                                   ("body", "'a'", "'b'"), ("at", "5", "6"), ("host", "'0::1'", "'::2'"),
                                   ("part", "1e-1", "0.2"), ("flags", "'101'", "'100'")):
            n += 1
            read = f"SELECT n FROM t WHERE {column} = "
            reads.fill(read + key, read + other)
            write(f"UPDATE t SET n = {n} WHERE id = 1")
            see(read + key, str(n))
            reads.lives(read + other, column)
