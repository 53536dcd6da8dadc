# SPDX-License-Identifier: Apache-2.0
"""Reads with bound parameters, in every form that drivers send them in: each answer through the proxy equals
PostgreSQL's to the same bytes, and what can be kept is. The dice are always the same ones; DIFFERENTIAL_SEED says
others, DIFFERENTIAL_STEPS how often."""
import datetime
import os
import random
import struct
import time
import uuid

from pgwire import bind, describe, error_fields, execute, flush, parse, query, sync, unit
from runner import limit

STEPS = int(os.environ.get("DIFFERENTIAL_STEPS", "90"))
BOUND = 0.06

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE t(id int PRIMARY KEY, n int, big bigint, v text, c varchar(20), at timestamptz, d date, tags text[], u uuid,
               price numeric, f float8, flag bool, m mood, b bytea);
CREATE TABLE o(id bigint PRIMARY KEY, t int, n int);
CREATE TABLE named(name text PRIMARY KEY, n int);
INSERT INTO t SELECT i, i % 5, i * 10000000000, 'v' || i % 7, 'c' || i, '2020-01-01 UTC'::timestamptz + i * interval '7 hours',
    '2020-01-01'::date + i, ARRAY['x', 'y' || i % 3], ('00000000-0000-0000-0000-0000000000' || to_char(i, 'FM00'))::uuid, i, i / 2.0,
    i % 2 = 0, (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood, decode(to_char(i, 'FM0000'), 'hex') FROM generate_series(1, 19) i;
INSERT INTO o SELECT i, 1 + i % 19, i FROM generate_series(1, 30) i; INSERT INTO named SELECT 'name ' || i, i FROM generate_series(1, 19) i;
GRANT ALL ON t, o, named TO app;
"""

EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)


def array_of(oid, values):
    return struct.pack("!5i", 1, 0, oid, len(values), 1) + b"".join(struct.pack("!i", len(v)) + v for v in values)


def numeric(n):
    digits = []
    while n:
        n, digit = divmod(n, 10000)
        digits.insert(0, digit)
    return struct.pack("!hhhh", len(digits), max(len(digits) - 1, 0), 0, 0) + struct.pack(f"!{len(digits)}h", *digits)


# By name: the type's number, its value for a key as text, and in binary.
KINDS = {
    "int2": (21, str, lambda k: struct.pack("!h", k)),
    "int4": (23, str, lambda k: struct.pack("!i", k)),
    "int8": (20, str, lambda k: struct.pack("!q", k)),
    "big": (20, lambda k: str(k * 10**10), lambda k: struct.pack("!q", k * 10**10)),
    "text": (25, lambda k: f"v{k % 7}", lambda k: f"v{k % 7}".encode()),
    "varchar": (1043, lambda k: f"c{k}", lambda k: f"c{k}".encode()),
    "name": (25, lambda k: f"name {k}", lambda k: f"name {k}".encode()),
    "instant": (1184, lambda k: f"2020-01-{k:02} 12:00:00+00",
                lambda k: struct.pack("!q", int((EPOCH.replace(year=2020, day=k, hour=12) - EPOCH).total_seconds()) * 10**6)),
    "date": (1082, lambda k: f"2020-01-{k:02}", lambda k: struct.pack("!i", (EPOCH.replace(year=2020, day=k) - EPOCH).days)),
    "int4[]": (1007, lambda k: f"{{{k},{k % 19 + 1},-5}}",
               lambda k: array_of(23, [struct.pack("!i", n) for n in (k, k % 19 + 1, -5)])),
    "text[]": (1009, lambda k: f'{{"y{k % 3}"}}', lambda k: array_of(25, [f"y{k % 3}".encode()])),
    "names": (1009, lambda k: f'{{"name {k}","name 3","none, of\\\\ these"}}',
              lambda k: array_of(25, [f"name {k}".encode(), b"name 3", b"none, of\\ these"])),
    "uuid": (2950, lambda k: str(uuid.UUID(f"{k:032}")), lambda k: uuid.UUID(f"{k:032}").bytes),
    "numeric": (1700, str, numeric),
    "float8": (701, lambda k: str(k / 2), lambda k: struct.pack("!d", k / 2)),
    "bool": (16, lambda k: "t" if k % 2 else "false", lambda k: bytes([k % 2])),
    "bytea": (17, lambda k: f"\\x{k:04}", lambda k: bytes.fromhex(f"{k:04}")),
    "mood": (0, lambda k: ("sad", "ok", "happy")[k % 3], lambda k: ("sad", "ok", "happy")[k % 3].encode()),
    "few": (20, lambda k: str(k % 4), lambda k: struct.pack("!q", k % 4)),
}

# A kind with ! is always declared: without it another type would be meant.
READS = [
    ("SELECT * FROM t WHERE id = $1", ["int4"]), ("SELECT n, v FROM t WHERE id = $1", ["int8!"]), ("SELECT n FROM t WHERE id = $1", ["int2!"]),
    ("SELECT n FROM t WHERE id = $1::int", ["int4"]), ("SELECT id, n FROM t WHERE id = ANY($1) ORDER BY id", ["int4[]"]),
    ("SELECT id, n FROM t WHERE id IN ($1, $2) ORDER BY id", ["int4", "int4"]), ("SELECT id FROM t WHERE big = $1", ["big"]),
    ("SELECT id FROM t WHERE v = $1 ORDER BY id", ["text"]), ("SELECT id, n FROM t WHERE c = $1", ["varchar!"]), ("SELECT count(*) FROM t WHERE c = $1", ["varchar"]),
    ("SELECT n FROM named WHERE name = $1", ["name"]), ("SELECT name, n FROM named WHERE name = ANY($1) ORDER BY 1", ["names"]),
    ("SELECT id FROM t WHERE at < $1 ORDER BY id", ["instant"]), ("SELECT count(*) FROM t WHERE d BETWEEN $1 AND $2", ["date", "date"]),
    ("SELECT id FROM t WHERE tags @> $1 ORDER BY id", ["text[]"]), ("SELECT n FROM t WHERE u = $1", ["uuid"]), ("SELECT id FROM t WHERE price >= $1 ORDER BY id", ["numeric"]),
    ("SELECT id, f FROM t WHERE f < $1 ORDER BY f", ["float8"]), ("SELECT id FROM t WHERE flag = $1 AND n > $2 ORDER BY id", ["bool", "int4"]),
    ("SELECT id FROM t WHERE b = $1", ["bytea"]), ("SELECT id FROM t WHERE m = $1 ORDER BY id", ["mood"]), ("SELECT id, n FROM t ORDER BY id LIMIT $1 OFFSET $2", ["few", "few"]),
    ("SELECT t.id, o.n FROM t JOIN o ON o.t = t.id WHERE t.id = $1 AND o.id > $2 ORDER BY o.id", ["int4", "int8"]), ("SELECT n FROM o WHERE id = $1", ["int8"]),
    ("SELECT o.n, $2::text FROM o WHERE o.id = $1", ["int8", "text"]), ("SELECT coalesce(v, $1) FROM t WHERE id = $2", ["text", "int4"]),
    ("SELECT n + $1 FROM t WHERE id = $2", ["int4", "int4"]), ("SELECT sum(n), max(at) FROM t WHERE v LIKE $1 || '%' AND id <> $2", ["text", "int4"]),
    ("WITH w AS (SELECT * FROM t WHERE n = $1) SELECT id FROM w WHERE v = $2 ORDER BY 1", ["int4", "text"]),
]
WRITES = [
    ("UPDATE t SET n = n + $1 WHERE id = $2", ["int4", "int4"]), ("UPDATE t SET v = $1 WHERE id = $2", ["text", "int4"]), ("UPDATE t SET at = $1, d = $2 WHERE id = $3", ["instant", "date", "int4"]),
    ("UPDATE t SET tags = $1, flag = $2, price = $3 WHERE id = $4", ["text[]", "bool", "numeric", "int4"]), ("UPDATE o SET n = n + 1 WHERE id = $1", ["int8"]), ("UPDATE o SET t = $1 WHERE id = $2", ["int4", "int8"]),
    ("UPDATE named SET n = n + $1 WHERE name = $2", ["int4", "name"]), ("DELETE FROM named WHERE name = $1", ["name"]), ("INSERT INTO named VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = excluded.n + 7", ["name", "int4"]),
    ("DELETE FROM t WHERE id = $1", ["int4"]), ("INSERT INTO t(id, n, v, c) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET n = excluded.n + 1, m = 'ok'", ["int4", "int4", "text", "varchar"]),
    ("UPDATE t SET c = $1 WHERE u = $2", ["varchar", "uuid"]), ("UPDATE t SET n = n + 1 WHERE id = ANY($1)", ["int4[]"]),
    ("MERGE INTO t USING (VALUES ($1::int)) s(id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + 1, big = 1", ["int4"]),
]


class Asked:
    """A statement, which types it declares, and its values with their formats."""

    def __init__(self, sql, kinds, dice, declared=None, binary=None):
        self.sql, names = sql, [kind.rstrip("!") for kind in kinds]
        declared = dice.choice([None, None, "all", "first"]) if declared is None else declared
        which = {"all": names, "first": names[:1]}.get(declared, [])
        which = names if any("!" in kind for kind in kinds) else which
        self.types = tuple(KINDS[name][0] for name in which)
        kind = dice.choice(["text", "binary", "mixed"]) if binary is None else "binary" if binary else "text"
        formats = [dice.randint(0, 1) if kind == "mixed" else int(kind == "binary") for _ in names]
        self.formats = tuple(formats) if kind == "mixed" or dice.random() < 0.5 else (formats[0],)
        self.values = [KINDS[name][1 + of](dice.randint(1, 19)) for name, of in zip(names, formats)]
        if dice.random() < 0.04:
            self.values[dice.randrange(len(names))] = None

    def __repr__(self):
        return f"{self.sql} {self.types} {self.formats} {self.values}"

    def given(self, name="", results=(), portal=""):
        return bind(name, self.values, portal, param_formats=self.formats, result_formats=results)

    def script(self, name="", results=(), about=describe()):
        return parse(self.sql, name, self.types) + self.given(name, results) + about + execute() + sync()


def told(reply):
    """An answer's bytes, without the place in PostgreSQL's source that an error comes from: a statement that a server
    of the pool does not have yet is parsed there again, and fails one step earlier."""
    return [error_fields(m.body) | {field: "" for field in "FLR"} if m.kind == "E" else m.raw for m in reply.messages]


class Course:
    """Sessions through the proxy, each with one of its own at PostgreSQL that is asked the same way."""

    def __init__(self, ctx):
        self.seed = int(os.environ.get("DIFFERENTIAL_SEED", "7"))
        self.dice = random.Random(self.seed)
        ctx.sql(SETUP)
        self.p = ctx.cache_proxy(max_staleness=f"{int(BOUND * 1000)}ms", default_pool_size=6)
        self.pairs = [(ctx.keep(self.p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))) for _ in range(3)]
        self.prepared = [{} for _ in self.pairs]  # by text and types: the name
        self.writer, self.direct = ctx.keep(self.p.connect(ctx.db)), ctx.keep(ctx.pg.connect(ctx.db, "app"))
        self.history, self.reads = [], 0
        self.pool = [Asked(sql, kinds, self.dice) for sql, kinds in READS for _ in range(4)]

    def same(self, number, script, what, times=1):
        mine, theirs = (wire.ask(script, times=times) for wire in self.pairs[number])
        assert told(mine) == told(theirs), (f"seed {self.seed}: {what}: {mine.kinds} {mine.rows_raw or mine.errors} instead of {theirs.kinds} "
                                        f"{theirs.rows_raw or theirs.errors}, after {self.history[-5:]}")
        return theirs

    def way(self, a):
        """One way of asking: what it does is to be done by several sessions, or again."""
        dice, results, how = self.dice, self.dice.choice([(), (), (0,), (1,)]), self.dice.randrange(8)
        about = dice.choice([b"", describe(), describe()])
        if how < 3:
            return lambda number: self.same(number, a.script("", results, about), a)
        if how < 6:
            return lambda number: self.by_name(number, a, results, about)
        if how == 6:
            return lambda number: self.in_parts(number, a, results)
        # Two of one statement in one batch, and one more behind a Sync.
        twin = dice.choice([other for other in self.pool if (other.sql, other.types) == (a.sql, a.types)])
        return lambda number: self.same(number, parse(a.sql, "", a.types) + a.given("", results) + about + execute() + twin.given("", results) +
                                        execute() + sync() + a.script(), f"{a} and {twin}", times=2)

    def by_name(self, number, a, results, about):
        """Prepared once, bound again and again."""
        name = self.prepared[number].get((a.sql, a.types))
        if name is None:
            name = self.prepared[number][a.sql, a.types] = f"s{len(self.prepared[number])}"
            self.same(number, parse(a.sql, name, a.types) + (describe("S", name) if self.dice.random() < 0.7 else b"") + sync(), a)
        self.same(number, a.given(name, results) + about + execute() + sync(), f"{a} as {name}")

    def in_parts(self, number, a, results):
        portal = f"p{self.reads}"
        self.same(number, parse(a.sql, "", a.types) + a.given("", results, portal) + describe("P", portal) + execute(portal, 1) +
                  execute(portal, 2) + flush() + execute(portal) + sync(), a)

    def change(self):
        a = Asked(*self.dice.choice(WRITES), self.dice)
        through = self.dice.random() < 0.7
        (self.writer if through else self.direct).ask(a.script(about=b""))
        self.history.append(f"{'' if through else 'directly: '}{a}")
        if not through:
            time.sleep(BOUND * 1.05)

    def read(self, number, ways):
        for ask in ways:
            ask(number)
            self.reads += 1

    def step(self):
        dice = self.dice
        self.change()
        ways = [self.way(a) for a in dice.sample(self.pool, 5)]
        inside = dice.random() < 0.3
        number = dice.randrange(len(self.pairs))
        if inside:
            self.same(number, dice.choice([query("BEGIN"), query("BEGIN READ ONLY"), unit("BEGIN")]), "BEGIN")
        for _ in range(4):
            self.read(number if inside else dice.randrange(len(self.pairs)), ways)
            time.sleep(0.001)
        if inside:
            self.change()
            self.read(number, ways * 2)
            self.same(number, dice.choice([query("COMMIT"), unit("COMMIT"), query("ROLLBACK")]), "COMMIT")


def hits_of(course, scripts):
    """Which of these are answered from memory, in the best of some rounds; all of them as PostgreSQL does."""
    hit = set()
    for _ in range(12):
        for what, script in scripts.items():
            if what not in hit:
                before = course.p.cache()["hits"]
                course.same(0, script, what)
                if course.p.cache()["hits"] > before:
                    hit.add(what)
        if len(hit) == len(scripts):
            break
        time.sleep(0.004)
    return hit


@limit(90)
def test_all(ctx):
    """Values of all types, declared and not, as text and binary, unnamed and prepared, in transactions and not, with
    changes through the proxy and around it."""
    course = Course(ctx)
    before = course.p.cache()["hits"]
    for _ in range(STEPS):
        course.step()
    hits = course.p.cache()["hits"] - before
    assert ctx.sanitizer or hits > course.reads * 0.1, f"{hits} hits of {course.reads} reads: hardly anything was shown"
    # Once all is quiet each form of each read is in memory, and right there, too.
    dice, scripts = random.Random(1), {}
    for sql, kinds in READS:
        for declared in ("none", "all"):
            for binary in (False, True):
                a = Asked(sql, kinds, dice, declared, binary)
                while None in a.values:
                    a = Asked(sql, kinds, dice, declared, binary)
                scripts[repr(a)] = a.script(results=(1,) if dice.random() < 0.5 else ())
    kept = hits_of(course, scripts)
    missing = [what for what in scripts if what not in kept]
    ctx.note(f"{course.reads} reads, {hits:.0f} hits; of {len(scripts)} forms {len(kept)} in memory, seed {course.seed}")
    assert not missing, f"never hit: {missing}"


@limit(60)
def test_values_that_are_refused(ctx):
    """What PostgreSQL refuses is refused the same way, with a neighbour's answer in memory or not."""
    course = Course(ctx)
    for sql, types, formats, good, bad in [
            ("SELECT n FROM t WHERE id = $1", (), (0,), "3", ["", "x", "3x", "99999999999", b"3\0", b"\xff"]),
            ("SELECT n FROM t WHERE id = $1", (23,), (1,), struct.pack("!i", 3), [b"", b"3", struct.pack("!q", 3), b"\0" * 5]),
            ("SELECT 6 / $1 + n FROM t WHERE id = 3", (23,), (0,), "2", ["0"]),
            ("SELECT n FROM named WHERE name = $1", (), (1,), b"name 3", [b"\xff", b"name\x003"]),
            ("SELECT id FROM t WHERE d = $1", (), (0,), "2020-01-03", ["2020-02-31", "no date"]),
            ("SELECT n FROM t WHERE id = ANY($1)", (), (1,), array_of(23, [struct.pack("!i", 3)]), [array_of(25, [b"3"]), b"\0\0"]),
            ("SELECT n FROM t WHERE id = $1", (), (2,), "3", []), ("SELECT n FROM t WHERE id = $1 AND n = $2", (), (0, 1, 0), "3", [])]:
        def script(value):
            return parse(sql, "", types) + bind("", [value], param_formats=formats) + describe() + execute() + sync()
        for _ in range(3):
            for value in [good, *bad, None, good]:
                course.same(0, script(value), f"{sql} {types} {formats} {value!r}")
                time.sleep(0.004)


# ---- words that mean another moment each time

WORDS = ["now", "today", " NOW", "Tomorrow", "yesterday", "today 10:00", "\tnow "]
BESIDE = "2024-01-01 10:00"  # says a moment, and always the same one
TEXTS = {"text": 25, "varchar": 1043, "bpchar": 1042, "name": 19, "unknown": 705}
INSTANTS = {"timestamptz": 1184, "timestamp": 1114, "date": 1082}


def list_of(words, long=False, oid=None):
    """An array's text, or (with the type of what is in it) its bytes."""
    words = ["2024-01-01"] * (40 if long else 0) + words
    return array_of(oid, [w.encode() for w in words]) if oid else "{" + ",".join(f'"{w}"' for w in words) + "}"


def of_words(words):
    """Reads of a table by values that hold one of them: (what, text, types, format, value)."""
    # One moment is not enough for time without a date, which takes no 'today'.
    for word in words:
        long = " " * 300 + word
        for kind in (*INSTANTS, *(["time", "timetz"] if word.strip().lower() == "now" else [])):
            cast = f"SELECT $1::{kind}, id FROM t WHERE id = 3"
            by_text = f"SELECT $1::text::{kind}, id FROM t WHERE id = 3"
            yield cast, (), 0, word
            yield cast, (), 0, long
            yield by_text, (), 0, word
            yield by_text, (), 1, word
            for oid in TEXTS.values():
                yield cast, (oid,), 0, word
                yield from [(cast, (oid,), 1, word)] if oid != 705 else []
                yield from [(cast, (oid,), 0, long)] if oid != 19 else [] # of 63 bytes
                yield from [(cast, (oid,), 1, long)] if oid not in (19, 705) else []
            if kind in INSTANTS:
                yield f"SELECT ($1::{kind}[])[1], id FROM t WHERE id = 3", (), 0, list_of([word])
                yield f"SELECT ($1::{kind}[])[41], id FROM t WHERE id = 3", (), 0, list_of([word], long=True)
                yield f"SELECT ($1::{kind}[])[1], id FROM t WHERE id = 3", (1009,), 0, list_of([word])
                yield f"SELECT ($1::{kind}[])[1], id FROM t WHERE id = 3", (1009,), 1, list_of([word], oid=25)
                yield f"SELECT ($1::{kind}[])[1], id FROM t WHERE id = 3", (1015,), 1, list_of([word], oid=1043)
                yield f"SELECT ($1::{kind}[])[41], id FROM t WHERE id = 3", (1009,), 1, list_of([word], long=True, oid=25)
                yield f"SELECT ($1::text[]::{kind}[])[1], id FROM t WHERE id = 3", (), 1, list_of([word], oid=25)
                yield f"SELECT id FROM t WHERE at <= ANY($1::{kind}[])", (1009,), 1, list_of([word], oid=25)
                yield f"SELECT id FROM t WHERE at < $1::{kind}", (25,), 1, word
                yield f"SELECT id FROM t WHERE d <= $1::{kind} ORDER BY 1", (25,), 0, word
                yield f"WITH w AS (SELECT id FROM t WHERE v <> $1) SELECT $1::{kind}, id FROM w", (), 1, word
                yield f"SELECT w.at, id FROM (SELECT $1::text) x(v), LATERAL (SELECT $1::{kind}) w(at), t WHERE id = 3", (), 1, word
                yield f"SELECT coalesce(NULL, $1)::{kind}, id FROM t WHERE id = 3", (25,), 1, word
                yield f"SELECT convert_from($1, 'UTF8')::{kind}, id FROM t WHERE id = 3", (17,), 1, word
        yield "SELECT id FROM t WHERE at < $1", (), 0, word
        yield "SELECT id FROM t WHERE at < $1", (), 0, long
        yield "SELECT id FROM t WHERE at = ANY($1)", (), 0, list_of([word])
        yield "SELECT id FROM t WHERE at = ANY($1)", (1185,), 0, list_of([word], long=True)
        yield "SELECT id FROM t WHERE tstzrange(at, NULL) @> $1::tstzrange", (), 0, f"[{word.strip()},)"
        yield "SELECT id FROM t WHERE tstzrange(at, NULL) @> $1::tstzrange", (25,), 1, f"[{word.strip()},)"
        for oid in INSTANTS.values():
            yield "SELECT id FROM t WHERE at < $1", (oid,), 0, word
            yield "SELECT id, $1 FROM t WHERE id = 3", (oid,), 0, word


def script_of(sql, types, of, value):
    return parse(sql, "", types) + bind("", [value], param_formats=(of,)) + describe() + execute() + sync()


@limit(90)
def test_words_in_parameters(ctx):
    """'now' and its like in a value, which may become a moment: never an answer from memory, in whatever form it comes."""
    course = Course(ctx)
    # The same reads by a value that says one moment, or is no moment, are in memory.
    beside = {repr(one): script_of(*one) for one in [
        ("SELECT $1::timestamptz, id FROM t WHERE id = 3", (), 0, BESIDE), ("SELECT $1::timestamptz, id FROM t WHERE id = 3", (25,), 0, BESIDE),
        ("SELECT id FROM t WHERE at < $1", (), 0, BESIDE), ("SELECT id FROM t WHERE at < $1::date", (25,), 0, BESIDE),
        ("SELECT id FROM t WHERE at = ANY($1)", (), 0, list_of([BESIDE])), ("SELECT id FROM t WHERE v <> $1", (25,), 1, "v1")]}
    kept = hits_of(course, beside)
    assert len(kept) == len(beside), f"never hit: {[what for what in beside if what not in kept]}"
    asked = list(dict.fromkeys(of_words(WORDS)))
    refused = [one for one in asked if course.direct.ask(script_of(*one)).errors]
    assert not refused, f"PostgreSQL says nothing to {len(refused)}, such as {refused[:5]}"
    c, hits, wrong = course.pairs[0][0], 0, set()
    for at in range(0, len(asked), 40):
        some = [(one, script_of(*one)) for one in asked[at:at + 40]]

        def ask(some=some):
            for _ in range(6):
                for _, script in some:
                    c.ask(script)
                time.sleep(0.004)
        more = ctx.hits(course.p, ask)
        hits += more
        for (sql, types, of, value), script in some if more else []:
            if ctx.hits(course.p, lambda script=script: [c.ask(script) for _ in range(3)]):
                wrong.add(f"{sql} {types} {'binary' if of else 'text'}{', long' if len(value) > 256 else ''}")
    ctx.note(f"{len(asked)} reads with such words")
    assert not hits, f"{hits} hits, such as of\n" + "\n".join(sorted(wrong))


@limit(60)
def test_words_behind_escapes(ctx):
    """What the input of arrays and ranges takes out of a text, a word may have within."""
    course = Course(ctx)
    texts = [("($1::timestamptz[])[1]", r"{n\ow}"), ("($1::timestamptz[])[1]", r'{"n\ow"}'), ("($1::date[])[1]", r"{\t\o\d\a\y}"),
             ("($1::timestamptz[][])[1][1]", r"{{n\ow}}"), ("unnest($1::timestamptz[])", r"{2024-01-01,\now}"), ("at = ANY($1)", r"{tod\ay}"),
             ("lower($1::tstzrange)", r"[n\ow,)"), ("lower($1::tstzrange)", r'["n"ow,)'), ("lower($1::daterange)", r'[tod"ay",)'),
             ("lower($1::tstzrange)", r'[""now,)'), ("tstzrange(at, NULL) && $1", r'["n"o\w,)')]
    scripts = {}
    for what, value in texts:
        sql = f"SELECT {what}, id FROM t WHERE id = 3"
        scripts[f"{what} {value}, in the text"] = query(sql.replace("$1", f"'{value}'"))
        for types, of in [((), 0), ((25,), 0), ((25,), 1)] if "::" in what else [((), 0)]:
            scripts[f"{what} {value} {types} {of}"] = script_of(sql, types, of, value)
    c, wrong = course.pairs[0][0], []
    for what, script in scripts.items():
        assert not course.direct.ask(script).errors, what
        if ctx.hits(course.p, lambda script=script: [(c.ask(script), time.sleep(0.003)) for _ in range(6)]):
            wrong.append(what)
    assert not wrong, f"{len(wrong)} of {len(scripts)} hit:\n" + "\n".join(wrong)
