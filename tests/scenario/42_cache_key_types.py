# SPDX-License-Identifier: Apache-2.0
"""Types of keys beyond numbers and text: whichever way a value is written, as a constant, as text or in
binary, its entry ends with its row's changes and with no other's, through the proxy and round it."""
import struct

from pgwire import bind, execute, parse, query, sync, unit
from reads import Reads, changed, directly, through, wait_seen
from runner import limit, scenario

TIMESTAMP = 762525296789000  # 2024-02-29 12:34:56.789


def array(oid, *elements):
    """Its binary form."""
    values = [struct.pack(">i", -1) if e is None else struct.pack(">i", len(e)) + e for e in elements]
    return struct.pack(">iiIii", 1, None in elements, oid, len(elements), 1) + b"".join(values)


INTEGERS, TEXTS, STRING, BYTES = array(23, b"\0\0\0\1", b"\0\0\0\2"), array(25, b"it's", b"a b", None), array(1043, b"ab"), array(17, b"ab")
WHOLES, DAYS = b"\2\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\5", b"\2\0\0\0\4\0\0\0\0\0\0\0\4\0\0\0\2"
UUIDS, INSTANTS = array(2950, bytes.fromhex("a0eebc999c0b4ef8bb6d6bb9bd380a11")), array(1184, TIMESTAMP.to_bytes(8, "big"))

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
    "float4": (["1.5", "'1.50'", "15e-1", "1.5::float8", "1.50::numeric", "1.5::float4"], ["1.5", " +1.5", "0.15e1"],
               [(700, bytes.fromhex("3fc00000")), (0, bytes.fromhex("3fc00000")), (701, bytes.fromhex("3ff8000000000000"))],
               "2", ["1.50000000000000000001"], ["0x1.8p0"]),
    "int[]": (["'{1,2}'", "ARRAY[1,2]", "ARRAY['1', 2]::int[]", "'{01,2}'::int[]", "'{1,\"2\"}'::int4[]"], ["{1,2}", '{"1",+2}'],
              [(1007, INTEGERS), (0, INTEGERS)], "'{2,1}'", ["ARRAY[1,2+0]", "'{1, 2}'", "'[1:2]={1,2}'"], ["{ 1,2}", "[1:2]={1,2}"]),
    "text[]": (["'{it''s,\"a b\",NULL}'", "'{\"it''s\",\"a b\",null}'::text[]"], ['{it\'s,"a b",NULL}', '{"it\'s",a\\ b,null}'],
               [(1009, TEXTS), (0, TEXTS)], "'{its,\"a b\",NULL}'", ["ARRAY['it''s','a b',NULL]", "'{it''s,a b,NULL}'"], ["{it's,a b,NULL}"]),
    "varchar(9)[]": (["'{ab}'", "'{ab}'::varchar[]", "ARRAY['ab']::varchar[]"], ["{ab}"], [(1015, STRING), (0, STRING)], "'{aB}'", [], []),
    "uuid[]": (["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'", "ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]"], ["{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"],
               [(2951, UUIDS), (0, UUIDS)], "'{}'", [], []),
    "timestamptz[]": (["'{2024-02-29T12:34:56.789+00}'", "'{\"2024-02-29 14:34:56.789+02\"}'::timestamptz[]"], ['{"2024-02-29 12:34:56.789+00"}'],
                      [(1185, INSTANTS), (0, INSTANTS)], "'{2024-02-29T12:34:56.789+02}'", ["'{2024-02-29 12:34:56.789 UTC}'"], []),
    "bytea[]": (["'{ab}'"], ['{"\\\\x6162"}', "{ab}"], [(1001, BYTES)], "'{aB}'", [], []),
    "int4range": (["'[1,5)'", "'(0,4]'::int4range"], ["[1,4]", "(\"0\",5)"], [(3904, WHOLES), (0, WHOLES)], "'[1,5]'", ["int4range(1,5)"], [" [1,5)"]),
    "daterange": (["'[2000-01-01,2000-01-03)'", "'[2000-01-01,2000-01-02]'::daterange"], ["(1999-12-31,2000-01-02]"], [(3912, DAYS), (0, DAYS)],
                  "'[2000-01-01,)'", ["'[20000101,20000103)'"], ["[Jan 1 2000,2000-01-03)"]),
    "numrange": (["'(1.5,)'", "'(1.50,]'::numrange"], ["(\"1.5\",)"], [(3906, b"\x10\0\0\0\x0c\0\2\0\0\0\0\0\1\0\1\x13\x88")], "'[1.5,)'", [], []),
    "tstzrange": (["'[2024-02-29 12:34:56.789+00,)'"], ["[\"2024-02-29 14:34:56.789+02\",)"], [(3910, b"\x12\0\0\0\x08" + TIMESTAMP.to_bytes(8, "big"))],
                  "'empty'", ["'[2024-02-29 12:34:56.789 UTC,)'"], []),
    "points": (["'{1,2}'"], ["{1,2}"], [(1007, INTEGERS), (0, INTEGERS)], "'{2,1}'", [], []),
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
CREATE DOMAIN points AS int[];
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
            "CREATE TABLE ratio(k float8 PRIMARY KEY, n int); CREATE TABLE span(k interval PRIMARY KEY, n int); CREATE TABLE share(k float4 PRIMARY KEY, n int);"
            "GRANT ALL ON ratio, span, share TO app; INSERT INTO share VALUES (0.12345678, 0), (0.5, 0); INSERT INTO ratio VALUES (0.123456789012345, 0), (0.5, 0); INSERT INTO span VALUES ('1 mon', 0), ('31 days', 0)")
    for setting in ("datestyle = 'German'", "timezone = 'Asia/Kolkata'", "bytea_output = 'escape'", "extra_float_digits = -3", "intervalstyle = 'iso_8601'"):
        ctx.sql(f"ALTER DATABASE {ctx.db} SET {setting}")
    p = ctx.cache_proxy()
    reads, write = Reads(ctx, p), directly(ctx)
    for n in range(1, 4):
        for table, key, other in (("at", "'2024-02-29 12:00+00'", "'2024-02-29 14:00+01'"), ("bytes", "'a'", "'b'"),
                                  ("ratio", "0.123456789012345", "0.5"), ("share", "'0.12345678'", "0.5"), ("span", "'30 days'", "'31 days'")):
            read = f"SELECT n FROM {table} WHERE k = "
            reads.fill(read + key, read + other)
            write(f"UPDATE {table} SET n = {n} WHERE k = {key}")
            wait_seen(ctx, reads, read + key, str(n))
            reads.lives(read + other)


def test_stored_otherwise(ctx):
    """Without a stream: what a column makes of a value, and what others make of a parameter beside them."""
    ctx.sql("CREATE TABLE net(k cidr PRIMARY KEY, n int); CREATE TABLE span(k interval(0) PRIMARY KEY, n int);"
            "CREATE TABLE num(k numeric PRIMARY KEY, n int); INSERT INTO num VALUES (5, 0), (0, 0);"
            "CREATE TABLE ratio(k float8 PRIMARY KEY, n int); INSERT INTO ratio VALUES (0, 0), (2, 0);"
            "CREATE TABLE share(k float4 PRIMARY KEY, n int); GRANT ALL ON net, span, num, ratio, share TO app")
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
    # The float8 0.1 equals no float4; it is one in a list, and when it is stored.
    share, of_list, made = "SELECT n FROM share WHERE k = '0.1'", "SELECT n FROM share WHERE k IN (0.1, 7)", "INSERT INTO share(n, k) VALUES (1, {})"
    for make in (made.format("0.1"), made.format("0.1::float8"), made.format("'0.1'"), unit(made.format("$1"), ["0.1"]),
                 parse(made.format("$1"), types=(701,)) + bind(params=[bytes.fromhex("3fb999999999999a")], param_formats=(1,)) + execute() + sync()):
        reads.fill(share, of_list, "SELECT n FROM share WHERE k = 0.1")
        write(make)
        reads.dies(share, "1")
        reads.dies(of_list, "1")
        reads.dies("SELECT n FROM share WHERE k = 0.1", None)
        write("DELETE FROM share")
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
    ctx.sql(SETUP + "CREATE TABLE t(id int, made timestamptz, feels mood, body bytea, at whole, host inet, part float8, flags varbit, tags text[], share float4, days daterange, n int); ALTER TABLE t REPLICA IDENTITY FULL;"
            "INSERT INTO t VALUES (1, '2024-02-29 12:00+00', 'sad', 'a', 5, '::1', 0.1, '101', '{a,NULL}', 0.1, '[2024-02-28,2024-03-01)', 0), (2, '2024-02-29 13:00+00', 'ok', 'b', 6, '::2', 0.2, '100', '{a}', 0.2, 'empty', 0); GRANT ALL ON t TO app")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    n = 0
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for column, key, other in (("made", "'2024-02-29 12:00+00'", "'2024-02-29 13:00+00'"), ("feels", "'sad'", "'ok'"),
                                   ("body", "'a'", "'b'"), ("at", "5", "6"), ("host", "'0::1'", "'::2'"),
                                   ("part", "1e-1", "0.2"), ("flags", "'101'", "'100'"), ("tags", "'{\"a\",null}'", "'{a}'"),
                                   ("share", "'0.1'", "'0.2'"), ("days", "'[2024-02-28,2024-02-29]'", "'(2024-02-28,2024-02-29)'")):
            n += 1
            read = f"SELECT n FROM t WHERE {column} = "
            reads.fill(read + key, read + other)
            write(f"UPDATE t SET n = {n} WHERE id = 1")
            see(read + key, str(n))
            reads.lives(read + other, column)


MOVES = {"float4": ("0.1", "'0.1'", "0.25", "0.3"), "int[]": ("{1,2}", "'{01,2}'", "'{2,1}'", "'{3}'"), "text[]": ('{"a b"}', "'{a\\ b}'", "'{a,b}'", "'{}'"),
         "numeric[]": ("{1.50}", "'{1.5}'", "'{15}'", "'{NULL}'"), "int4range": ("[1,4]", "'[1,5)'", "'empty'", "'[1,4)'")}
SENDS = {"float4": "float4send", "int4range": "range_send"}


def test_moves(ctx):
    """A row that comes to a key by an UPDATE is seen by who has found none there, one that goes is not; in each form."""
    for i, (kind, (_, _, other, beside)) in enumerate(MOVES.items()):
        ctx.sql(f"CREATE TABLE m{i}(k {kind} PRIMARY KEY, n int); GRANT ALL ON m{i} TO app; INSERT INTO m{i} VALUES ({other}, 1), ({beside}, 2)")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for i, (kind, (parameter, constant, other, beside)) in enumerate(MOVES.items()):
            text, read = f"SELECT n FROM m{i} WHERE k = {{}}", f"SELECT n FROM m{i} WHERE k = $1"
            data = bytes.fromhex(ctx.sql(f"SELECT encode({SENDS.get(kind, 'array_send')}({constant}::{kind}), 'hex')")[0][0])
            asks = [text.format(constant), unit(read, [parameter]), parse(read) + bind(params=[data], param_formats=(1,)) + execute() + sync()]
            for value, change in (("1", f"UPDATE m{i} SET k = {constant} WHERE k = {other}"), (None, f"UPDATE m{i} SET k = {other} WHERE k = {constant}"),
                                  ("1", f"UPDATE m{i} SET k = {constant} WHERE n = 1"), (None, f"UPDATE m{i} SET k = {other} WHERE n = 1")):
                reads.fill(*asks, text.format(beside))
                write(change)
                for ask in asks:
                    see(ask, value)
                if value is None or "n = 1" not in change: # what comes to any key holds all of them for a moment
                    reads.lives(text.format(beside), change)


def test_words_for_null(ctx):
    """With array_nulls = off NULL in an array is a word. Without a stream: nothing else would end these."""
    ctx.sql("CREATE TABLE one(k text PRIMARY KEY, n int); CREATE TABLE many(k text[] PRIMARY KEY, n int); CREATE TABLE bytes(k bytea[] PRIMARY KEY, n int);"
            "INSERT INTO one VALUES ('NULL', 0); INSERT INTO many VALUES ('{\"null\"}', 0); INSERT INTO bytes VALUES ('{\"NULL\"}', 0);"
            "GRANT ALL ON one, many, bytes TO app")
    p = ctx.cache_proxy(invalidation="proxy")
    reads, write = Reads(ctx, p), through(ctx, p)
    reads.c.query("SET array_nulls = off").check()
    write("SET array_nulls = off") # with other settings a write ends more
    for n in range(1, 3):
        for table, read, key in (("one", "k = ANY ('{NULL}')", "'NULL'"), ("many", "k = '{null}'", "'{\"null\"}'"),
                                 ("bytes", "k = '{NULL}'", "'{\"NULL\"}'")):
            reads.fill(f"SELECT n FROM {table} WHERE {read}")
            write(f"UPDATE {table} SET n = {n} WHERE k = {key}")
            reads.dies(f"SELECT n FROM {table} WHERE {read}", str(n))


def test_beside_another_column(ctx):
    """Of a key of two columns, one of which is a range: what says both reads its row alone."""
    ctx.sql("CREATE TABLE booked(room int, during tstzrange, n int, PRIMARY KEY (room, during)); GRANT ALL ON booked TO app")
    p = ctx.cache_proxy()
    reads = Reads(ctx, p)
    key, other = "room = 1 AND during = '[2024-02-29 12:00+00,2024-02-29 13:00+00)'", "room = 1 AND during = '[2024-02-29 13:00+00,2024-02-29 14:00+00)'"
    read = "SELECT n FROM booked WHERE "
    for write, see in ((through(ctx, p), reads.dies), (directly(ctx), lambda s, v: wait_seen(ctx, reads, s, v))):
        for value, change in (("1", "INSERT INTO booked(room, during, n) VALUES (1, '[2024-02-29 14:00+02,2024-02-29 15:00+02)', 1)"), ("2", f"UPDATE booked SET n = 2 WHERE {key}"),
                              (None, f"DELETE FROM booked WHERE {key}")):
            reads.fill(read + key, read + other)
            write(change)
            see(read + key, value)
            reads.lives(read + other, change)
