# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL holds for equal has one form, however it is written: for many spellings of values, of which the
server says which are equal, an entry that was read by one spelling ends by a write that names another, and by the
event that prints the row. A spelling without a form is right, too: it depends on the table."""
import os
import random
import struct
import time

from pgwire import bind, execute, parse, query, sync, unit
from reads import Reads, directly, wait_seen
from runner import limit, scenario


def decimals(rng):
    """Numbers, by sign, zeros and exponents."""
    values = [0.0, -0.0, 1.5, 0.1, 0.1 + 0.2, 0.3, 1e22, 1e15, 123456789012345.6, 9007199254740993.0, 1 / 3, -2 / 3, 1e-7, 1e300, 2.5e-308,
              5e-324, 1.7976931348623157e308, 1.00000000000000002, 1.0000000000000002, -1e3, 255.0, float(rng.randrange(10 ** 16))]
    for value in values:
        yield from (repr(value), f"{value:.16e}", f"{value:.17e}", f"{value:+.14e}", f"{value:.15g}".replace("e", "E"))
        if 1e-10 < abs(value) < 1e18 or value == 0:
            yield from (f"{value:f}", f"{value:.3f}0", f"{value * 10:.20g}e-1", f"{value:.0f}", "0" * (value >= 0) + f"{value:.17g}")
    yield from ("-0", "+0", "1.", ".5", "5e-1", "1e", "NaN", "nan", "Infinity", "-inf", "0x10", "1_000", " 1.5", "1.5 ", "1e400", "1e-400",
                "3.14159265358979323846", "3.1415926535897932385", "3.141592653589793", "9223372036854775807", "9223372036854775808")


def floats(rng):
    """And such as are a float4 exactly, or are rounded to one in two ways."""
    yield from ("0.10000000149011612", "-0.6666666865348816", "16777216", "16777217", "16777218", "9007199791611905", "7038531e-32", "7038532e-32",
                "1e38", "1.17549435e-38", "1e-45", "1e-40", "3.4028235e38", "0.30000001192092896", "1234567.5", "1234567.6")
    yield from decimals(rng)


def group(rng, value):
    return rng.choice([f"{value:x}", f"{value:X}", f"{value:04x}", f"{value:03x}"])


def ipv6(rng, groups):
    texts = [group(rng, g) for g in groups]
    if rng.random() < 0.4:
        texts[6:] = [".".join(str(b) for g in groups[6:] for b in (g >> 8, g & 255))]
    zeros = [(i, j) for i in range(len(texts)) for j in range(i + 1, min(len(texts), 6) + 1) if not any(groups[i:j])]
    if zeros and rng.random() < 0.7:
        i, j = rng.choice(zeros)
        return ":".join(texts[:i]) + "::" + ":".join(texts[j:])
    return ":".join(texts)


def addresses(rng):
    for _ in range(50):
        octets = [rng.choice([0, 1, 10, 128, 255]) for _ in range(4)]
        yield ".".join(map(str, octets)) + rng.choice(["", "", "/32", "/24", "/8", "/0", "/31"])
    for _ in range(80):
        groups = [rng.choice([0, 0, 0, 0x2001, 0xdb8, 0xffff, 1]) if i < 2 or rng.random() < 0.15 else 0 for i in range(7)] + [rng.choice([0, 1])]
        yield ipv6(rng, groups) + rng.choice(["", "", "/128", "/64", "/32", "/0"])
    yield from ("10", "10.1", "10.1/16", "10.1.2", "192.168.1", "128", "10.0.0.0/08", "010.1.1.1", "10.1.1.01", "::ffff:10.1.1.1", "10.1.1.1",
                "::ffff:a01:101", "::10.1.1.1", "::a01:101", "0:0:0:0:0:FFFF:10.1.1.1", "::ffff:10.1.1.1/128", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0",
                "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", "fe80::1%1", " ::1", "::1 ", "0x0a.1.1.1", "0x0a010101", "10.1.1.1/255.0.0.0")


def interfaces(rng):
    for _ in range(60):
        octets = [rng.choice([0, 8, 0x2b, 0xff, 0xfe]) for _ in range(2)] + [0] * 4
        if rng.random() < 0.5:
            octets[3:3] = [0xff, 0xfe]
        case = rng.choice(["{:02x}", "{:02X}"])
        digits = [case.format(o) for o in octets]
        half = len(digits) // 2
        yield rng.choice([":".join(digits), "-".join(digits), "".join(digits), "".join(digits[:half]) + ":" + "".join(digits[half:]),
                          ".".join("".join(digits[i:i + 2]) for i in range(0, len(digits), 2)), " " + ":".join(digits)])


def bits(rng):
    for _ in range(60):
        text = "".join(rng.choice("01") for _ in range(rng.choice([0, 1, 3, 4, 4, 8, 9])))
        yield rng.choice([text, text, "b" + text, "B" + text, f"x{int(text, 2):x}" if text else "x"])


def positions(rng):
    for _ in range(40):
        high, low = rng.choice([0, 1, 0xff]), rng.choice([0, 0xa, 0x1234567, 0xffffffff])
        yield rng.choice([f"{high:X}/{low:X}", f"{high:x}/{low:x}", f"{high:08X}/{low:08X}", f" {high:X}/{low:X}", f"0{high:X}/{low:X}"])


def spans(rng):
    """From the same few lengths, cut up in many ways."""
    names = {"year": ["years", "year", "y"], "mon": ["mons", "month", "mon"], "week": ["weeks", "week", "w"], "day": ["days", "day", "d"],
             "hour": ["hours", "hour", "h"], "min": ["mins", "minutes", "m"], "sec": ["secs", "seconds", "s"]}
    for _ in range(160):
        parts, order = {}, list(names)
        parts["year"], parts["mon"] = rng.choice([(0, 1), (0, 12), (1, 0), (0, 0), (0, -1), (-1, 0), (0, -12), (1, -12)])
        parts["week"] = rng.choice([0, 0, 0, 1])
        parts["day"] = rng.choice([0, 30, 360, -30, 29, -1, 1]) - 7 * parts["week"]
        seconds = rng.choice([0, 0, 86400, -86400, 3600, 5430, -5430, 1])
        fraction = rng.choice(["", "", ".5", ".500", ".000001"])
        clock = f"{abs(seconds) // 3600:02}:{abs(seconds) // 60 % 60:02}:{abs(seconds) % 60:02}{fraction}"
        if rng.random() < 0.6:
            texts = [f"{rng.choice(['', '', '+'] if n > 0 else [''])}{n} {rng.choice(names[u])}" for u, n in parts.items() if n or rng.random() < 0.1]
            texts.append(("-" if seconds < 0 else rng.choice(["", "", "+"])) + clock)
        else:
            parts["hour"], rest = divmod(seconds, 3600)
            parts["min"], parts["sec"] = divmod(rest, 60)
            rng.shuffle(order)
            texts = [f"{parts[u]}{fraction if u == 'sec' else ''} {rng.choice(names[u])}" for u in order if parts[u] or u == "sec"]
        yield rng.choice(["", "", "", "", "@ "]) + " ".join(texts) + rng.choice(["", "", "", "", "", " ago"])
    yield from ("P1M", "P30D", "P0000-01-00T00:00:00", "1-0", "0-1", "1-2 3 4:05:06", "1.5 days", "36 hours", "1 day 12 hours", "36:00:00", "1 decade", "36:00",
                "0.5 hours", "30 mins", "1 fortnight", "-1 days 02:00:00", "-1 days +02:00:00", "-1 days -02:00:00", "-26:00:00", "-22:00:00", "1 day -02:00:00",
                "22:00:00", "-1 years 2 mons", "-1 years +2 mons", "-14 mons", "-10 mons", "720:00:00", "1 Mon", "30", "1 mon 00:00", "2592000", "2592000 secs",
                "infinity", "1 day 1 day", "1e1 days", "12:34", "12:34.5", "0:12:34.5")


def times(rng):
    for _ in range(60):
        hour, fraction = rng.choice([10, 12, 22]), rng.choice(["", ".5", ".50", ".500000", ".4999999", ".5000001"])
        offset = rng.choice(["", "+00", "+02", "-05:30", "+02:00", "Z", " UTC", "+0200", " +02"])
        yield f"2024-02-{rng.choice(['29', '28'])}{rng.choice(' T')}{hour}:34:56{fraction}{offset}"
    yield from ("2024-02-29", "20240229", "2024-02-29 24:00:00", "2024-03-01 00:00", "2024-03-01", "infinity", "epoch", "1970-01-01", "29 Feb 2024")


def lists(rng, elements, null):
    """Arrays of a few elements, each of which is written in one of some ways; and what is no such array, or an odd one."""
    for _ in range(110):
        texts = [rng.choice(rng.choice(elements)) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))]
        if rng.random() < 0.15:
            texts.insert(0, rng.choice(null))
        blank = " " if rng.random() < 0.1 else ""
        bounds = rng.choice([f"[1:{len(texts)}]=", f"[0:{len(texts) - 1}]="]) if texts and rng.random() < 0.1 else ""
        yield bounds + "{" + f",{blank}".join(texts) + "}" + blank
    yield from ("{}", "{{1},{2}}", "{{1,2}}", "{{}}", "{1,2", "[2:1]={}", "{,}", "{1,2}}", '{"', "{\\}", "[1:1][1:1]={{1}}")


def integer_lists(rng):
    return lists(rng, [["1", "01", '"1"', "+1", "\\1", '" 1"'], ["2", "2", '"2 "'], ["12", "0012"], ["-1", '"-1"'], ["0", "-0", "00"]], ["NULL", "null", "Null"])


def numeric_lists(rng):
    return lists(rng, [["1", "1.0", '"1.00"', "01."], ["1.5", "1.500", '"1.50"', "15e-1"], ["0", "-0.0", ".0"], ["-2.25"], ["100000000000000000000", "100000000000000000000.0"]], ["NULL", "null"])


def text_lists(rng):
    return lists(rng, [["a", '"a"', "\\a"], ["b"], ["1", '"1"'], ['"a,b"', "a\\,b"], ['""'], ['"a "', '"a  "'], ['" a"'], ['"NULL"', '"null"', "nul\\l"], ["\\\\", '"\\\\"'],
                        ['"{a}"', "\\{a\\}"], ['"a\\"b"', 'a\\"b'], ["\u00e9", '"\u00e9"'], ["A"], ["a b", '"a b"']], ["NULL", "null"])


def float_lists(rng):
    return lists(rng, [["0.1", "1e-1", "0.10000000149011612"], ["16777216", "16777217", "1.6777216e7"], ["0", "-0"], ["1.5", "1.50"], ["-2.25"], ["3"], ["1e30", "1e+30"], ["0.3"], ["7"]],
                 ["NULL", "NULL", "NaN", "7038531e-32"])


def ranges(rng, bounds):
    """Ranges of a few bounds, which are given in order, each written in one of some ways."""
    for _ in range(130):
        low, high = sorted(rng.choice(range(len(bounds))) for _ in range(2))
        texts = [rng.choice([rng.choice(bounds[i]), rng.choice(bounds[i]), "" if rng.random() < 0.5 else f'"{bounds[i][0]}"']) for i in (low, high)]
        blank = " " if rng.random() < 0.05 else ""
        yield rng.choice("[(") + blank + ",".join(texts) + rng.choice("])") + blank
    yield from ("empty", "EMPTY", "Empty", " empty", "empty ", "(,)", "[,]", "[,)", "(,]", '["",)', "[2,1]", "[1,2", "[1;2]", "[infinity,infinity]", "(-infinity,)",
                "[-infinity,infinity]", "(,infinity)", "[1,2147483647]", "[-2147483648,1)", "(-2147483649,1)")


def integer_ranges(rng):
    return ranges(rng, [["-1", "-01"], ["0", "-0"], ["1", "01", "+1"], ["2"], ["3", "\\3"], ["4"], ["100"]])


def numeric_ranges(rng):
    return ranges(rng, [["-1.5", "-1.50"], ["0", "0.0"], ["1", "1.0", "10e-1"], ["1.5"], ["2", "2.00"]])


def day_ranges(rng):
    return ranges(rng, [["2024-02-27"], ["2024-02-28", "20240228"], ["2024-02-29", "Feb 29 2024"], ["2024-03-01"], ["2024-03-02"], ["infinity"]])


def instant_ranges(rng):
    return ranges(rng, [["2024-02-28 12:00:00+00", "2024-02-28 14:00+02"], ["2024-02-29 00:00:00+00", "2024-02-29T00:00+00"], ["2024-02-29 00:00:00.5+00"],
                        ["2024-03-01 00:00+00"], ["2024-03-01 00:00:01+00", "2024-03-01 00:00:01Z"]])


# type: spellings, as what `k =` reads them, the function of its binary form, whether constants need no quotes.
KINDS = {"float8": (decimals, "float8", "float8send", True), "float4": (floats, "float4", "float4send", True), "numeric": (decimals, "numeric", "numeric_send", True),
         "inet": (addresses, "inet", "inet_send", False), "cidr": (addresses, "inet", "inet_send", False),
         "macaddr8": (interfaces, "macaddr8", "macaddr8_send", False), "bit(4)": (bits, '"bit"', "bit_send", False),
         "varbit": (bits, "varbit", "varbit_send", False), "pg_lsn": (positions, "pg_lsn", "pg_lsn_send", False),
         "interval": (spans, "interval", "interval_send", False), "timestamptz": (times, "timestamptz", "timestamptz_send", False),
         "timestamp": (times, "timestamp", "timestamp_send", False),
         "int[]": (integer_lists, "int[]", "array_send", False), "numeric[]": (numeric_lists, "numeric[]", "array_send", False),
         "text[]": (text_lists, "text[]", "array_send", False), "char(2)[]": (text_lists, "bpchar[]", "array_send", False),
         "varchar(8)[]": (text_lists, "varchar[]", "array_send", False), "float4[]": (float_lists, "float4[]", "array_send", False),
         "int4range": (integer_ranges, "int4range", "range_send", False), "int8range": (integer_ranges, "int8range", "range_send", False),
         "numrange": (numeric_ranges, "numrange", "range_send", False), "daterange": (day_ranges, "daterange", "range_send", False),
         "tsrange": (instant_ranges, "tsrange", "range_send", False), "tstzrange": (instant_ranges, "tstzrange", "range_send", False)}

PRINTED = [kind for kind in KINDS if kind not in ("numeric", "timestamptz", "timestamp")] # of these 42_cache_key_types shows enough


class Spelling:
    """One way to write a value: as a constant, or as a parameter. make(sql) puts it in place of the '?'."""

    def __init__(self, what, of_class, make):
        self.what, self.of_class, self.make = what, of_class, make
        self.read = make("SELECT n FROM {t} WHERE k = ?")


def ways(text, data, bare, table, read_as):
    """Of one text all ways to write it, as what the column is or (for a float4) as a float8."""
    def place(sql, value):
        return sql.replace("{t}", table).replace("?", value)
    yield "constant", lambda sql: query(place(sql, f"'{text}'"))
    yield "text", lambda sql: unit(place(sql, "$1"), [text])
    yield "binary", lambda sql: parse(place(sql, "$1")) + bind(params=[data], param_formats=(1,)) + execute() + sync()
    if bare and text.strip(" +").replace("-", "", 1)[:1].isdigit():
        yield "number", lambda sql: query(place(sql, text))
        yield "list", lambda sql: query(place(sql.replace("k = ?", "k IN (?, ?)"), text))
        if "x" in text or read_as == "numeric": # several of these may equal one float8
            return
        yield "float8", lambda sql: parse(place(sql, "$1"), types=(701,)) + bind(params=[text]) + execute() + sync()
        yield "float8 in binary", lambda sql: (parse(place(sql, "$1"), types=(701,)) + bind(params=[struct.pack(">d", float(text))], param_formats=(1,))
                                               + execute() + sync())


def spellings(d, table, kind, seed):
    """Fills the table with a row for each value, and says which spelling means which row, and how the rows were
    written: the server does."""
    make, read_as, send, bare = KINDS[kind]
    found, rows = [], []
    for text in dict.fromkeys(make(random.Random(seed))):
        if d.ask(unit(f"SELECT FROM {table} WHERE k = $1", [text])).errors:
            continue
        row = f"INSERT INTO {table}(k, c, n) VALUES ('{text}', {len(rows)}, 0) ON CONFLICT DO NOTHING"
        if not d.ask(query(row)).errors:
            rows.append(row)
        data = bytes.fromhex(d.ask(query(f"SELECT encode({send}('{text}'::{read_as}), 'hex')")).check().rows[0][0])
        for way, put in ways(text, data, bare, table, read_as):
            reply = d.ask(put("SELECT c FROM {t} WHERE k = ?"))
            if not reply.errors:
                found.append(Spelling((kind, way, text), int(reply.rows[0][0]) if reply.rows else None, put))
    return found, rows


FOUND = {} # (type, style): what spellings() said; the same for each test of a run


def set_up(ctx, kinds):
    """[(type, table, spellings, intervalstyle)], the classes of each as this style has them."""
    tables = []
    for style in ("postgres", "sql_standard"):
        d = ctx.direct()
        d.ask(query(f"SET intervalstyle = {style}")).check()
        for kind in kinds if style == "postgres" else ["interval"]:
            table = f"f{list(KINDS).index(kind)}_{style}"
            ctx.sql(f"CREATE TABLE {table}(k {kind} PRIMARY KEY, c int, n int); GRANT ALL ON {table} TO app")
            if (kind, style) in FOUND:
                for row in FOUND[kind, style][1]:
                    d.ask(query(row)).check()
            else:
                FOUND[kind, style] = spellings(d, table, kind, f"{kind} {style}")
            tables.append((kind, table, FOUND[kind, style][0], style))
    return tables


def by_class(found, most, values, seed=0):
    """Some of the spellings of each value, of so many values."""
    classes = {}
    for s in found:
        classes.setdefault(s.of_class, []).append(s)
    classes.pop(None, None)
    chosen = random.Random(seed).sample(sorted(classes), min(values, len(classes)))
    return {c: random.Random(seed + c).sample(classes[c], min(most, len(classes[c]))) for c in chosen}


# Of each type, so many at a time: KEY_FORMS_VALUES=1000 for all of them.
VALUES = int(os.environ.get("KEY_FORMS_VALUES", 12))


@limit(300)
def test_writes_name_them(ctx):
    """Without a stream, so that nothing else ends what a write by another spelling should have ended."""
    tables = set_up(ctx, KINDS)
    p = ctx.cache_proxy(invalidation="proxy")
    n, seed = 0, int(os.environ.get("KEY_FORMS_SEED", time.time()))
    ctx.note(f"seed {seed}")
    for kind, table, found, style in tables:
        reads, c = Reads(ctx, p), ctx.keep(p.connect(ctx.db))
        for wire in (reads.c, c):
            wire.ask(query(f"SET intervalstyle = {style}")).check()
        reads.fill(f"SELECT n FROM {table} WHERE k IS NULL")
        before, asked = p.cache()["hits"], 0
        classes = by_class(found, most=3, values=VALUES, seed=seed)
        ctx.note(f"{kind} ({style}): {len(found)} ways to write {len(classes)} values")
        for picked in classes.values():
            for writer in picked:
                for write in (f"UPDATE {table} SET n = {n + 1} WHERE k = ?", f"DELETE FROM {table} WHERE k = ?",
                              f"INSERT INTO {table}(k, c, n) VALUES (?, {writer.of_class}, {n + 2})"):
                    for _ in range(2):
                        values = {str(reads.ask(s.read).check().rows) for s in picked}
                    assert len(values) == 1, (kind, writer.what, values)
                    asked += len(picked)
                    reply = c.ask(writer.make(write))
                    if reply.errors: # what can be compared may not be what can be stored
                        c.ask(picked[0].make(write)).check()
                        break
                    want = [] if write[0] == "D" else [(str(n + 1 if write[0] == "U" else n + 2),)]
                    for s in picked:
                        got = reads.ask(s.read).check().rows
                        assert got == want, f"{s.what}: {got}, not {want}, after {write} by {writer.what} ({style})"
                n += 2
        hits = p.cache()["hits"] - before
        assert hits >= asked * 0.9, f"{kind}: {hits} hits of {asked}: nothing was shown"


def check_events(ctx, p, tables):
    """Each row is changed round the proxy: all its spellings see it, and those of a row beside it stay."""
    write = directly(ctx)
    for kind, table, found, style in tables:
        reads = Reads(ctx, p)
        reads.c.ask(query(f"SET intervalstyle = {style}")).check()
        classes = by_class(found, most=4, values=12)
        reads.fill(*[s.read for of_class in classes.values() for s in of_class])
        kept = asked = 0
        for n, (c, of_class) in enumerate(classes.items()):
            others = [s for d, them in classes.items() if d != c for s in them]
            beside = random.Random(n).sample(others, min(2, len(others)))
            reads.fill(*[s.read for s in beside])
            write(f"UPDATE {table} SET n = {n + 1} WHERE c = {c}")
            for s in of_class:
                wait_seen(ctx, reads, s.read, str(n + 1))
            asked += len(beside)
            kept += sum(reads.misses_until_hit(s.read) == 0 for s in beside)
        ctx.note(f"{kind} ({style}): {kept} of {asked} entries of other rows lived")
        assert kept > asked * 0.1, f"{kind}: {kept} of {asked} entries of other rows lived: nothing was shown"


@limit(300)
def test_events(ctx):
    tables = set_up(ctx, PRINTED)
    check_events(ctx, ctx.cache_proxy(), tables)


@limit(300)
def test_events_of_a_publication(ctx):
    tables = set_up(ctx, PRINTED)
    check_events(ctx, scenario("47_cache_pgoutput.py").Published(ctx).cache_proxy(), tables)
