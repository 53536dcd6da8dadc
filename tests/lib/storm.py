# SPDX-License-Identifier: Apache-2.0
"""Who am I: clients whose every statement carries their own id, and who look for it in every answer.

A Client is one connection that is made anew when it ends. Its turns are chosen by its own dice, so a
seed says what each client does (not how the clients interleave). A turn that sees anything that is
not its own, or not what PostgreSQL would say, raises Wrong.
"""
import random
import re


from pgwire import (PeerClosed, bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, message,
                    parse, query, sync, terminate)

ROWS = 1000
LATE = "57014"  # query_canceled

SETUP = f"""CREATE TABLE own(id int PRIMARY KEY, v text); INSERT INTO own SELECT i, 'v' || i FROM generate_series(0, {ROWS - 1}) i;
CREATE TABLE inbox(who int, n int, v text); CREATE INDEX ON inbox(who);
GRANT ALL ON own, inbox TO PUBLIC;"""
SCHEMAS = 4


def schemas():
    """The same table in several schemas: which one a name finds depends on the search path."""
    return "".join(f"CREATE SCHEMA s{k}; CREATE TABLE s{k}.place(k int); INSERT INTO s{k}.place VALUES ({k});"
                   f"GRANT USAGE ON SCHEMA s{k} TO PUBLIC; GRANT SELECT ON s{k}.place TO PUBLIC;"
                   for k in range(SCHEMAS))


class Wrong(AssertionError):
    pass


def expect(claim, *what):
    if not claim:
        raise Wrong(*what)


class Client:
    TURNS = []  # (weight, method), filled by @turn

    def __init__(self, proxy, database, who, seed, cancels):
        self.proxy, self.database, self.who, self.cancels = proxy, database, who, cancels
        self.dice = random.Random(f"{seed}/{who}")
        self.user = ("app", "other")[who % 2]
        self.c, self.pid, self.switches, self.turns, self.lives, self.serial = None, None, 0, 0, 0, 0
        self.may_be_cancelled = False
        self.last = "connect"
        self.names = {}
        self.done = {}

    # -- life

    def connect(self):
        self.c = self.proxy.connect(self.database, self.user, timeout=20, unix=self.who % 3 != 0,
                                    application_name=f"client-{self.who}", TimeZone=f"<{self.who:+d}>0")
        self.names, self.pid = {}, None
        self.lives += 1
        for statement in self.settings():
            self.c.query(statement)

    def settings(self):
        """What the client says to its session first."""
        return [f"SET search_path = s{self.who % SCHEMAS}, public", f"SET my.id = '{self.who}'",
                f"SET statement_timeout = {61000 + 2 * self.who + 1}"]

    def drop(self):
        self.c.socket.close()
        self.c = None

    def run(self, ended):
        try:
            while not ended():
                if self.c is None:
                    self.connect()
                turn = self.dice.choices([t for _, t in self.TURNS], [w for w, _ in self.TURNS])[0]
                self.last = turn.__name__
                turn(self)
                self.done[turn.__name__] = self.done.get(turn.__name__, 0) + 1
                self.turns += 1
        finally:
            if self.c is not None:
                self.c.close()
                self.c = None

    def tag(self):
        self.serial += 1
        return f"{self.who}.{self.serial}.{self.dice.randrange(10 ** 6)}"

    # -- answers

    def ask(self, *parts, times=1, may_fail=()):
        """An exchange. A client that cancels may find that a late one hit this statement; any other
        client that is cancelled was hit by a stranger's request."""
        reply = self.c.ask(*parts, times=times)
        return self.judge(reply, may_fail)

    def judge(self, reply, may_fail=()):
        for error in reply.errors:
            if error.sqlstate == LATE and self.may_be_cancelled:
                return None
            expect(error.sqlstate in may_fail, "an error that is not mine", str(error), reply.kinds)
        return reply

    def seen(self, pid):
        if self.pid is not None and self.pid != pid:
            self.switches += 1
        self.pid = pid

    def own_row(self, reply, tag):
        if reply is None:
            return
        row = reply.rows[0]
        expect(row[0] == tag, "a foreign row", tag, row)
        self.seen(row[1])
        want = (f"client-{self.who}", self.user, f"<{self.who:+d}>0")
        want += (str(self.who % SCHEMAS), str(self.who), f"{61000 + 2 * self.who + 1}ms")
        got = tuple(row[2:])
        expect(got == want, "a foreign session", got, want)

    LOOK = ("pg_backend_pid(), current_setting('application_name'), current_user, current_setting('TimeZone'), "
            "(SELECT k FROM place), current_setting('my.id', true), current_setting('statement_timeout')")


def turn(weight):
    def note(method):
        Client.TURNS.append((weight, method))
        return method
    return note


# ---- plain


@turn(6)
def simple(self):
    tag = self.tag()
    self.own_row(self.ask(query(f"SELECT '{tag}', {self.LOOK}")), tag)


@turn(6)
def extended(self):
    tag = self.tag()
    self.own_row(self.ask(parse(f"SELECT $1::text, {self.LOOK}") + bind("", [tag]) + describe() + execute() + sync()), tag)


@turn(3)
def a_row(self):
    i = self.dice.randrange(ROWS)
    reply = self.ask(query(f"SELECT v FROM own WHERE id = {i}"))
    expect(reply is None or reply.rows == [(f"v{i}",)], "a foreign row", i, reply and reply.rows)


@turn(2)
def several(self):
    tag = self.tag()
    reply = self.ask(query(f"SELECT '{tag}'; SELECT {self.who}; SELECT v FROM own WHERE id = 7"))
    expect(reply is None or reply.rows == [(tag,), (str(self.who),), ("v7",)], "foreign rows", tag)


@turn(2)
def notice(self):
    tag = self.tag()
    reply = self.ask(query(f"DO $$ BEGIN RAISE NOTICE '{tag}'; END $$"))
    expect(reply is None or [n["M"] for n in reply.notices] == [tag], "a foreign notice", tag, reply and reply.notices)


# ---- prepared statements


@turn(6)
def named(self):
    """A statement of the client's own under one of few names, prepared once and used on any server."""
    name = f"s{self.dice.randrange(4)}"
    if name not in self.names or self.dice.random() < 0.2:
        mark = self.tag()
        reply = self.ask((close("S", name) if name in self.names else b"")
                         + parse(f"SELECT $1::text || '/{mark}', pg_backend_pid()", name) + sync())
        self.names.pop(name, None)
        if reply is None:
            self.forget(name)
            return
        self.names[name] = mark
    tag = self.tag()
    reply = self.ask(bind(name, [tag]) + (describe() if self.dice.random() < .5 else b"") + execute() + sync())
    if reply is not None:
        expect(reply.rows[0][0] == f"{tag}/{self.names[name]}", "a foreign statement", name, reply.rows)
        self.seen(reply.rows[0][1])


def forget(self, name):
    """After a cancelled Parse nobody knows whether the name is there."""
    while self.ask(close("S", name) + sync()) is None:
        pass


Client.forget = forget


@turn(3)
def unnamed_later(self):
    """The unnamed statement is parsed, and used after a Sync, on whichever server."""
    tag, mark = self.tag(), self.tag()
    if self.ask(parse(f"SELECT $1::text || '/{mark}'") + sync()) is None:
        return
    reply = self.ask(bind("", [tag]) + execute() + sync())
    expect(reply is None or reply.rows == [(f"{tag}/{mark}",)], "another's unnamed statement", reply and reply.rows)


@turn(3)
def batch_of_names(self):
    """Parse, Bind, Execute and Close of more names than a server keeps, in one batch."""
    marks = [self.tag() for _ in range(self.dice.randrange(2, 7))]
    out = b"".join(parse(f"SELECT '{m}'", f"b{k}") + bind(f"b{k}") + execute() + close("S", f"b{k}")
                   for k, m in enumerate(marks))
    reply = self.ask(out + sync())
    if reply is None:
        for k in range(len(marks)):
            self.forget(f"b{k}")
        return
    kinds = reply.kinds.replace("S", "")
    expect(kinds == "12DC3" * len(marks) + "Z", "answers out of order", kinds)
    expect([r[0] for r in reply.rows] == marks, "foreign rows", reply.rows, marks)


@turn(3)
def prepared_in_sql(self):
    """PREPARE under a name that everybody uses, EXECUTE on any server."""
    tag, mark = self.tag(), self.tag()
    if "sql" not in self.names:
        if self.ask(query(f"PREPARE everybodys(text) AS SELECT $1 || '/{mark}', pg_backend_pid()")) is None:
            # Cancelled, it may be there or not.
            while self.ask(query("DEALLOCATE everybodys"), may_fail=("26000",)) is None:
                pass
            return
        self.names["sql"] = mark
    reply = self.ask(query(f"EXECUTE everybodys('{tag}')"))
    if reply is not None:
        expect(reply.rows[0][0] == f"{tag}/{self.names['sql']}", "a foreign statement", reply.rows)
        self.seen(reply.rows[0][1])
    if self.dice.random() < .3:
        while (done := self.ask(query("DEALLOCATE everybodys"), may_fail=("26000",))) is None:
            pass
        expect(done.tags == ["DEALLOCATE"] or self.may_be_cancelled, "DEALLOCATE", done.kinds)
        del self.names["sql"]


# ---- pipelines


@turn(3)
def flush_only(self):
    """Parse, Describe, Flush; Bind, Execute, Flush; Sync only at the end."""
    tag = self.tag()
    c = self.c
    c.send(parse("SELECT $1::text, pg_backend_pid()", "") + describe("S") + flush())
    if self.judge(c.until("TE")) is None:
        c.ask(sync())
        return
    c.send(bind("", [tag]) + execute() + flush())
    first = c.until("CE")
    if self.judge(first) is None:
        c.ask(sync())
        return
    if self.dice.random() < .5:
        c.send(bind("", [tag]) + execute() + flush())
        if self.judge(second := c.until("CE")) is not None:
            expect(second.rows[0] == first.rows[0], "a server change before Sync", second.rows, first.rows)
    reply = c.ask(sync())
    expect(reply.kinds == "Z" and reply.status == "I", "after the last Sync", reply.kinds)
    expect(first.rows[0][0] == tag, "a foreign row", first.rows, tag)
    self.seen(first.rows[0][1])


@turn(3)
def many_syncs(self):
    tags = [self.tag() for _ in range(self.dice.randrange(2, 9))]
    reply = self.ask(b"".join(parse("SELECT $1::text") + bind("", [t]) + execute() + sync() for t in tags),
                     times=len(tags))
    expect(reply is None or [r[0] for r in reply.rows] == tags, "foreign rows", tags, reply and reply.rows)


@turn(3)
def error_in_the_middle(self):
    tag = self.tag()
    use = bind("", [tag]) + execute()
    reply = self.ask(parse("SELECT $1::text") + use + parse(f"SELECT 1/length($1::text)*0, '{tag}'::int", "")
                     + use + parse("SELECT 'never'", f"never{self.who}") + sync()
                     + parse("SELECT $1::text") + use + sync(), times=2, may_fail=("22P02",))
    if reply is None:
        return
    expect(reply.rows == [(tag,), (tag,)], "foreign rows", reply.rows, tag)
    expect(reply.sqlstate() == "22P02" and tag in reply.errors[0].text, "a foreign error", reply.errors)


@turn(2)
def portal_in_parts(self):
    rows = self.dice.randrange(5, 40)
    tag = self.tag()
    reply = self.ask(parse(f"SELECT '{tag}' FROM generate_series(1, {rows})") + bind("", (), "p")
                     + execute("p", 3) + execute("p", 4) + execute("p", 0) + sync())
    if reply is not None:
        expect(reply.rows == [(tag,)] * rows, "foreign rows", tag, reply.rows)
        expect(re.fullmatch("12(sD*|CD*)*CZ", reply.kinds.replace("S", "").replace("D", "")), "kinds", reply.kinds)


# ---- transactions


@turn(4)
def transaction(self):
    c, tag = self.c, self.tag()
    if self.ask(query("BEGIN")) is None:
        return
    first = self.ask(query(f"SELECT '{tag}', {self.LOOK}"))
    how = self.dice.randrange(4)
    if first is not None:
        self.own_row(first, tag)
        pid = first.rows[0][1]
        if how == 0:
            self.ask(query(f"SET LOCAL application_name = 'local-{tag}'"))
        elif how == 1:
            self.ask(query("SELECT 1/0"), may_fail=("22012",))
            expect(c.status == "E", "not failed", c.status)
        elif how == 2:
            self.ask(query("SAVEPOINT a") + query("SELECT nope") + query("ROLLBACK TO a"), times=3,
                     may_fail=("42703", "25P02"))
        if c.status == "T":
            again = self.ask(parse("SELECT pg_backend_pid()") + bind() + execute() + sync())
            expect(again is None or again.value == pid, "another server in a transaction")
    self.ask(query(self.dice.choice(["COMMIT", "ROLLBACK"])))
    if c.status != "I":
        c.ask(query("ROLLBACK"))
    expect(c.status == "I", "still in a transaction", c.status)


# ---- COPY


@turn(2)
def copy_out(self):
    tag = self.tag()
    reply = self.ask(query(f"COPY (SELECT '{tag}' FROM generate_series(1, 30)) TO STDOUT"))
    if reply is not None:
        data = b"".join(m.body for m in reply.messages if m.kind == "d")
        expect(data == (tag + "\n").encode() * 30, "foreign data", data[:100])


@turn(2)
def copy_in(self):
    """Rows of the client's own, in; a part of the time the client or the data fail."""
    c, tag, how = self.c, self.tag(), self.dice.randrange(4)
    c.send(query("COPY inbox FROM STDIN"))
    if self.judge(c.until("GZ")) is None:
        c.until("Z") if c.status is None else None
        return
    rows = b"".join(f"{self.who}\t{k}\t{tag}\n".encode() for k in range(5))
    if how == 0:
        c.send(copy_data(rows) + copy_fail("no"))
    elif how == 1:
        c.send(copy_data(rows) + copy_data(b"what\n") + copy_done())
    else:
        c.send(copy_data(rows[:17]) + copy_data(rows[17:]) + copy_done())
    if self.judge(c.until("Z"), ("57014", "22P02")) is None:
        return
    found = self.ask(query(f"SELECT count(*) FROM inbox WHERE who = {self.who} AND v = '{tag}'"))
    expect(found is None or found.value == ("5" if how > 1 else "0"), "rows lost or kept", how, found and found.value)


# ---- cancels


@turn(2)
def cancelled(self):
    """Its own statement, cancelled from another connection: it is hit, or the next one is."""
    if not self.cancels:
        return
    self.may_be_cancelled = True
    tag = self.tag()
    self.c.send(query(f"SELECT '{tag}' FROM pg_sleep({self.dice.choice([0, 0.002, 0.02])})"))
    self.c.cancel()
    reply = self.c.until_ready()
    if not reply.errors:
        expect(reply.rows == [(tag,)], "a foreign row", tag, reply.rows)
    else:
        expect(reply.sqlstate() == LATE, "not a cancel", reply.errors)


# ---- ends


@turn(2)
def dies(self):
    """The connection ends in one of many states."""
    c, how = self.c, self.dice.randrange(11)
    start = [b"", query("SELECT pg_sleep(0.01)"), query("BEGIN"), parse("SELECT 1", "x"),
             parse("SELECT $1::int") + bind("", ["1"]) + flush(), query("COPY inbox FROM STDIN") + copy_data(b"1\t2\t"),
             query("SELECT repeat('x', 1000) FROM generate_series(1, 3000)"), query("SELECT 1")[:7],
             query("BEGIN") + query("SELECT nope"), query(f"SELECT '{self.tag()}'") + terminate(),
             message("d", b"stray") + sync() + query("BEGIN; UPDATE own SET v = 'wrong' WHERE id = 1")][how]
    c.send(start)
    if how in (2, 5, 8) and self.dice.random() < .5:
        try:
            c.read(10)
        except PeerClosed:
            pass
    if self.dice.random() < .5 and not isinstance(c.address, str):
        c.abort()
    self.drop()


@turn(1)
def leaves(self):
    self.c.close()
    self.c = None
