# SPDX-License-Identifier: Apache-2.0
"""What a client may say, by dice: valid messages in any order, and broken ones. Only what PostgreSQL answers the same
way every time: no times, no processes, no order that it is free to choose."""
import random

from conversation import TYPES
from pgwire import bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, parse, query, sync

NAMES = ["", "", "a", "b", "c"]

STATEMENTS = [
    "SELECT id, v FROM mine ORDER BY id", "SELECT v FROM mine WHERE id = 2", "SELECT count(*) FROM mine",
    "SELECT generate_series(1, 7)", "SELECT 1/0", "SELEC", "SELECT * FROM no_such", "", ";", "SELECT 1; SELECT 'two'",
    "INSERT INTO mine VALUES (7, 'x') ON CONFLICT DO NOTHING", "INSERT INTO mine VALUES (1, 'twice')",
    "UPDATE mine SET v = v || '.' WHERE id = 2 RETURNING v", "DELETE FROM mine WHERE id = 7",
    "BEGIN", "BEGIN", "COMMIT", "ROLLBACK", "START TRANSACTION", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s",
    "BEGIN; SELECT 5; COMMIT", "SELECT 1; BEGIN; SELECT 1/0",
    "SET statement_timeout = 34567", "SHOW statement_timeout", "RESET statement_timeout", "SET LOCAL TimeZone = 'Asia/Tokyo'",
    "SET TimeZone = 'Asia/Tokyo'", "SHOW TimeZone", "SET search_path = nowhere", "RESET search_path", "RESET ALL",
    "PREPARE sq AS SELECT id FROM mine WHERE id = 3", "EXECUTE sq", "DEALLOCATE sq", "DEALLOCATE ALL", "DISCARD ALL",
    "DECLARE cur CURSOR FOR SELECT generate_series(1, 9)", "DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 3)",
    "FETCH 2 FROM cur", "FETCH 1 FROM held", "CLOSE cur", "CLOSE ALL",
    "CREATE TEMP TABLE own_temp(i int)", "INSERT INTO own_temp VALUES (1)", "SELECT count(*) FROM own_temp", "DROP TABLE own_temp",
    "COPY (SELECT * FROM mine ORDER BY id) TO STDOUT", "COPY mine FROM STDIN", "COPY (SELECT 1) TO STDOUT", "LISTEN ch", "UNLISTEN *",
    "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock_all()", "SELECT set_config('my.own', 'x', false)",
    "SELECT coalesce(current_setting('my.own', true), '')", "DO $$BEGIN RAISE NOTICE 'x'; END$$", "VALUES (1), (2)",
]
WITH_PARAMETERS = ["SELECT $1::int + 1", "SELECT v FROM mine WHERE id = $1", "SELECT $1::text", "SELECT $1::int, $2::text",
                   "UPDATE mine SET v = 'u' WHERE id = $1"]
VALUES = ["1", "2", "x", None, "", "99"]
ROWS = [b"8\tcopied\n", b"9\n", b"not a row\n", b"10\ta\n11\tb\n", b"\\.\n", b""]


class Talk:
    """One conversation after the other, of one client."""

    def __init__(self, seed, number):
        self.dice = random.Random(seed)
        self.number, self.table = number, f"mine{number}"

    def statement(self):
        d = self.dice
        said = d.choice(WITH_PARAMETERS if d.random() < 0.2 else STATEMENTS)
        # It waits for nobody, and nobody for it.
        return said.replace("mine", self.table).replace("pg_advisory_lock(1)", f"pg_advisory_lock({self.number})")

    def params(self):
        return [self.dice.choice(VALUES) for _ in range(self.dice.choice((0, 0, 0, 1, 1, 2)))]

    def message(self):
        d = self.dice
        name, portal = d.choice(NAMES), d.choice(["", "", "", "q"])
        return d.choices([
            lambda: query(self.statement()),
            lambda: parse(self.statement(), name),
            lambda: bind(name, self.params(), portal=portal, result_formats=d.choice(((), (), (0,), (1,)))),
            lambda: describe(*d.choice((("P", portal), ("S", name)))),
            lambda: execute(portal, d.choice((0, 0, 0, 1, 2))),
            lambda: close(*d.choice((("P", portal), ("S", name)))),
            sync, flush,
            lambda: copy_data(d.choice(ROWS)), copy_done, lambda: copy_fail("why"),
            lambda: TYPES["function call"],
        ], [8, 4, 4, 3, 5, 2, 5, 1, 2, 1, 1, 1])[0]()

    def unit(self):
        """What drivers send: a statement, its values, its end."""
        d = self.dice
        name = d.choice(NAMES)
        out = [] if name and d.random() < 0.5 else [parse(self.statement(), name)]
        out += [bind(name, self.params())] + [describe()] * d.randrange(2) + [execute()]
        return out + [sync()] * (d.random() < 0.9)

    def copy(self):
        d = self.dice
        sql = f"COPY {self.table} FROM STDIN"
        how = [query(sql)] if d.random() < 0.6 else [parse(sql), bind(), execute()]
        rows = [copy_data(d.choice(ROWS)) for _ in range(d.randrange(3))]
        return how + rows + [d.choice((copy_done, copy_done, lambda: copy_fail("no")))()] + [sync()] * d.randrange(2)

    def messages(self):
        d = self.dice
        out = []
        for _ in range(d.randrange(1, 8)):
            kind = d.random()
            out += self.unit() if kind < 0.35 else self.copy() if kind < 0.42 else [self.message()]
        for _ in range(d.choice((0, 0, 0, 1, 2))):
            at = d.randrange(len(out))
            how = d.randrange(3)
            if how == 0:
                out.insert(at, out[at])
            elif how == 1 and len(out) > 1:
                del out[at]
            else:
                other = d.randrange(len(out))
                out[at], out[other] = out[other], out[at]
        return out

    def pieces(self, data):
        """In packets that end anywhere."""
        cuts = sorted(self.dice.randrange(len(data) + 1) for _ in range(self.dice.choice((0, 0, 1, 3))))
        return [p for p in (data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])) if p]

    def broken(self, data):
        """Some bytes changed; or the end cut off."""
        d = self.dice
        data = bytearray(data)
        if d.random() < 0.3:
            del data[d.randrange(len(data)):]
        for _ in range(d.choice((0, 1, 1, 2, 4)) if data else 0):
            at = d.randrange(len(data))
            data[at] = d.choice((0, 1, 4, 0x7f, 0x80, 0xff, data[at] ^ (1 << d.randrange(8)), d.randrange(256)))
        return bytes(data)
