# SPDX-License-Identifier: Apache-2.0
"""The same conversation with PostgreSQL and through the proxy, whatever is said in it.

A conversation is a list of messages (bytes), sent in pieces; the answers are compared message by message:
errors by severity and SQLSTATE, rows and tags byte for byte, ReadyForQuery by its status. Where the
two may differ, explained() says why; everything else is a Difference.

How it is known that the last answer is there: whole conversations end with a tail that brings any state
back to one in which messages are answered, and then with a MARKER, which asks for something without effect
that nothing else asks for. Broken ones may have no end: there PostgreSQL is asked first, by closing
our half of the connection, and its answers are what the proxy is waited for.
"""
import socket
import struct

from pgwire import (SLOWNESS, PeerClosed, Wire, close, copy_data, copy_done, copy_fail, describe, error_fields, execute, flush,
                    message, parse, bind, query, sync)

MARKS = 7
MARKER = close("S", "no such") * MARKS + sync()
# Out of COPY, whatever kind; out of what is skipped behind an error. No Sync in a COPY, for if it has failed
# meanwhile, it cannot be known where (see early_syncs in proxy/server/relay.c).
TAIL = (copy_fail("the end") + sync()) * 2


class Difference(AssertionError):
    pass


def essence(m):
    """What of a message has to be the same."""
    if m.kind in "EN":
        fields = error_fields(m.body)
        return (m.kind, fields.get("S"), fields.get("C"))
    if m.kind == "T":
        (n,) = struct.unpack_from("!H", m.body)
        body, at = bytearray(m.body), 2
        for _ in range(n):
            at = body.index(b"\0", at) + 1
            body[at:at + 4] = b"\0\0\0\0"  # the table: each database has its own
            at += 18
        return (m.kind, bytes(body))
    if m.kind == "A":
        return (m.kind, m.body[4:])  # without the process
    return (m.kind, m.body)


# ParameterStatus says that something has changed; when, is told by what is behind it.
def essences(messages):
    return [essence(m) for m in messages if m.kind != "S"]


def marked(messages):
    """Is the answer to MARKER at the end?"""
    kinds = "".join(m.kind for m in messages[-MARKS - 1:])
    return kinds == "3" * MARKS + "Z"


def read_marked(wire, said):
    """(messages without the marker's, closed)"""
    got = []
    try:
        while not marked(got):
            got.append(wire.read())
        return got[:-MARKS - 1], False
    except PeerClosed:
        return got, True
    except TimeoutError:
        raise Difference(f"said: {said}\n no end, after {short(essences(got))}") from None


def tell(wire, pieces):
    """Sends all of them; False: the other side has closed."""
    try:
        for piece in pieces:
            wire.socket.sendall(piece)  # Wire.send() would read what the other side has said last
        return True
    except OSError:
        return False


def converse(wire, pieces, said=""):
    """A whole conversation: (messages, closed)."""
    tell(wire, [*pieces, TAIL + MARKER])
    return read_marked(wire, said)


def converse_to_the_end(wire, pieces):
    """A broken one, with who answers what has come before it looks whether we are still there."""
    tell(wire, pieces)
    try:
        wire.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return list(wire.wait_closed().messages), True


PATIENCE = 0.5


def converse_as(wire, pieces, want):
    """The same with the proxy: its answers are waited for before our half is closed. want: PostgreSQL's, of which
    some may have come only because of that: then it is closed after a while. (messages, waited in vain)"""
    tell(wire, pieces)
    got, in_vain = [], False
    try:
        while len([m for m in got if m.kind != "S"]) < len(want):
            got.append(wire.read(PATIENCE * SLOWNESS))
    except PeerClosed:
        return got, False
    except TimeoutError:
        in_vain = True
    try:
        wire.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return got + list(wire.wait_closed().messages), in_vain


# ---- what may differ

FATAL_08P01 = ("E", "FATAL", "08P01")


def explained(same, want, got, leaves=False, dice=False, broken=False, in_vain=False):
    """Why got may differ from want, behind what was the same; None: it may not. leaves: a Terminate was said;
    dice: said at random; broken: messages were changed at random; in_vain: answers did not come before the end of input."""
    if leaves and not got:
        return "who says goodbye is not told what was under way"
    if want and want[-1][:2] == ("E", "FATAL") and got == want[-1:]:
        return "who breaks the protocol is not told what was under way"
    if same and same[-1][:2] == ("E", "FATAL") and not want and got == [FATAL_08P01]:
        return "told twice that the server has gone"
    if got == [FATAL_08P01] and want and want[0][:2] == ("E", "ERROR") and want[0][2] in MALFORMED:
        # PostgreSQL skips to the next Sync; a proxy that does not know how the message was meant
        # does not guess what it has done.
        return "a malformed message ends the connection"
    if want and want[0][0] == "E" and got[:1] in ([("E", "ERROR", "25P02")], [("E", "ERROR", "42P01")]):
        return "prepared anew, on another server or in another search path, whose errors come first"
    kinds = "".join(e[0] for e in same)
    if dice and "G" in kinds and "E" in kinds[kinds.rfind("G"):]:
        # PostgreSQL ignores it in the COPY and answers it behind the error; where that was cannot be known.
        return "a Sync in a COPY that failed"
    if broken and want and got[:1] == [("E", "ERROR", "26000")] and ("E", "ERROR", "22021") in same:
        return "a Parse whose text cannot be read drops the unnamed statement"
    if broken and not want and {e[0] for e in got} <= {"1", "3"}:
        return "answers that PostgreSQL keeps to itself until a Sync"
    if broken and got == [FATAL_08P01]:
        return "a malformed message ends the connection, also where PostgreSQL skips it unread"
    if broken and not got and (in_vain or want[0][0] == "E" and want[0][2] in ("08006", "08P01")):
        return "the end of input is not answered"
    return None


MALFORMED = ("08P01", "22P03", "22021")


class Judge:
    """Compares, and counts what was explained."""

    def __init__(self):
        self.reasons = {}
        self.compared = 0

    def judge(self, want, got, said, **circumstances):
        want, got = essences(want), essences(got)
        self.compared += 1
        n = 0
        while n < len(want) and n < len(got) and want[n] == got[n]:
            n += 1
        if n == len(want) == len(got):
            return True
        why = explained(want[:n], want[n:], got[n:], **circumstances)
        if why:
            self.reasons[why] = self.reasons.get(why, 0) + 1
            return False
        raise Difference(f"said: {said}\n the same: {short(want[:n])}\n direct:   {short(want[n:])}\n"
                         f" proxy:    {short(got[n:])}")

    @staticmethod
    def sum(judges):
        total = Judge()
        for judge in judges:
            total.compared += judge.compared
            for why, n in judge.reasons.items():
                total.reasons[why] = total.reasons.get(why, 0) + n
        return total

    def __str__(self):
        told = "; ".join(f"{n} x {why}" for why, n in sorted(self.reasons.items()))
        return f"{self.compared} compared" + (f" ({told})" if told else "")


def short(essences_):
    out = " ".join(e[0] + (":" + ",".join(map(str, e[1:]))[:60] if e[0] in "ENZCD" else "") for e in essences_[:40])
    return out or "nothing"


# ---- one of each

TYPES = {
    "query": query("SELECT 1"),
    "query of two": query("SELECT 1; SELECT 2"),
    "query that fails": query("SELECT 1/0"),
    "begin": query("BEGIN"),
    "commit": query("COMMIT"),
    "rollback": query("ROLLBACK"),
    "copy in": query("COPY mine FROM STDIN"),
    "copy out": query("COPY (SELECT 1) TO STDOUT"),
    "empty query": query(""),
    "parse": parse("SELECT $1::int", "p"),
    "parse unnamed": parse("SELECT 7"),
    "parse that fails": parse("SELEC"),
    "bind": bind("s", ["1"]),
    "bind of nothing": bind("nothing"),
    "bind a portal": bind("s", ["2"], portal="q"),
    "describe statement": describe("S", "s"),
    "describe portal": describe("P", ""),
    "describe nothing": describe("S", "nothing"),
    "execute": execute(),
    "execute a row": execute("", 1),
    "execute nothing": execute("nothing"),
    "close statement": close("S", "s"),
    "close portal": close("P", ""),
    "flush": flush(),
    "sync": sync(),
    "function call": message("F", struct.pack("!IHHHiiiiH", 177, 1, 1, 2, 4, 20, 4, 22, 1)),
    "function that is not there": message("F", struct.pack("!IHHHH", 4, 0, 0, 0, 0)),
    "copy data": copy_data(b"1\tx\n"),
    "copy data that is none": copy_data(b"what\n"),
    "copy done": copy_done(),
    "copy fail": copy_fail("no"),
    "terminate": message("X"),
    "password": message("p", b"x\0"),
    "unknown": message("?"),
    "nul": message("\0"),
    "a server's": message("Z", b"I"),
    "a server's error": message("R", struct.pack("!I", 0)),
}

# How a session comes into each state, from a fresh one in which the statement s was prepared.
STATES = {
    "idle": b"",
    "in a transaction": query("BEGIN") + query("INSERT INTO mine VALUES (5, 'in')"),
    "in a transaction that has done nothing": query("BEGIN"),
    "in a transaction that failed": query("BEGIN") + query("SELECT 1/0"),
    "in COPY": query("COPY mine FROM STDIN"),
    "in COPY with rows": query("COPY mine FROM STDIN") + copy_data(b"8\ty\n"),
    "in COPY of a transaction": query("BEGIN") + query("COPY mine FROM STDIN"),
    "in COPY, extended": parse("COPY mine FROM STDIN") + bind() + execute() + flush(),
    "in a pipeline": parse("SELECT 3") + bind(),
    "in a pipeline with answers": parse("SELECT 3") + bind() + execute() + flush(),
    "behind an error": parse("SELEC") + flush(),
    "behind an error of execute": parse("SELECT 1/0") + bind() + execute(),
    "with a portal half read": (query("BEGIN") + parse("SELECT generate_series(1, 5)") + bind() + execute("", 2)),
    "with a portal and a sync": (query("BEGIN") + parse("SELECT generate_series(1, 5)") + bind() + execute("", 2)
                                 + sync()),
    "pinned": query("CREATE TEMP TABLE pin(i int)"),
    "listening": query("LISTEN ch"),
    "with a setting": query("SET statement_timeout = 54321"),
    "with a cursor": query("BEGIN; DECLARE cur CURSOR FOR SELECT generate_series(1, 5)"),
    "with a statement in SQL": query("PREPARE sq AS SELECT 4"),
    "after a read": query("SELECT * FROM mine WHERE id = 1"),
}


def prepared(wire):
    wire.ask(parse("SELECT $1::int + 0", "s", (23,)) + sync()).check()
    return wire
