# SPDX-License-Identifier: Apache-2.0
"""Reads that have entries, and writes beside them: which entries live, which end."""
from pgwire import query


class EntryEnded(AssertionError):
    """One that had no reason to. Two keys share a place in the ledger (LEDGER_SLOTS, cache/ledger.h) about once in 5,000
    of these checks, and whoever has both loses a hit: such a test runs once more, where hashes are others."""


class Reads:
    """Reads on one connection, each of which has an entry."""

    def __init__(self, ctx, p, user="app"):
        self.ctx, self.p = ctx, p
        self.c = ctx.keep(p.connect(ctx.db, user))

    def ask(self, script):
        return self.c.ask(query(script) if isinstance(script, str) else script)

    def fill(self, *scripts):
        for script in scripts:
            self.ctx.wait_hit(self.p, lambda: self.ask(script))

    def misses_until_hit(self, script):
        """How often its entry was missing until it was answered from memory."""
        before = self.p.cache()["misses"]
        self.ctx.wait_hit(self.p, lambda: self.ask(script))
        return self.p.cache()["misses"] - before

    def lives(self, script, what=""):
        if self.misses_until_hit(script) != 0:
            raise EntryEnded(f"the entry of another row has ended: {what or script}")

    def one_lives(self, scripts):
        """Of entries beside thousands of keys: one may share its place in the ledger with one of those."""
        lost = [self.misses_until_hit(script) for script in scripts]
        assert 0 in lost, f"the entries of other rows have ended: {scripts}"

    def dies(self, script, value, what=""):
        """The next answer has this value (None: no row)."""
        got = self.ask(script).check()
        assert (got.rows[0][0] if got.rows else None) == value, f"{what or script}: {got.rows}, not {value}"


def through(ctx, p):
    c = ctx.keep(p.connect(ctx.db))
    return lambda *scripts: [c.ask(query(s) if isinstance(s, str) else s).check() for s in scripts]


def directly(ctx):
    d = ctx.direct()
    return lambda *scripts: [d.ask(query(s) if isinstance(s, str) else s).check() for s in scripts]


def wait_seen(ctx, reads, script, value):
    """A write that goes round the proxy is seen soon."""
    def seen():
        rows = reads.ask(script).rows
        return (rows[0][0] if rows else None) == value
    ctx.proxies[0].wait(seen, f"{value} of {script}")


def schema_changes(p):
    return sum(int(r["schema_changes"] or 0) for r in p.console("SHOW INVALIDATION"))


def changed(ctx, p, change):
    """Runs what changes the schema (also in PostgreSQL's own books, as TRUNCATE does), and waits until
    the catalog that is in force knows it: what was there ends once, and is filled anew."""
    before = schema_changes(p)
    change()
    p.wait(lambda: schema_changes(p) > before, "the new schema")
