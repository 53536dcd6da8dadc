# SPDX-License-Identifier: Apache-2.0
"""Every message in every state, and conversations by dice, with PostgreSQL and through the proxy: the answers are
the same (tests/lib/conversation.py says where they may differ), others notice nothing, and nothing is left.

SESSION_FUZZ_SEED repeats, SESSION_FUZZ_SECONDS extends (`make fuzz T=session TIME=600`)."""
import os
import random
import threading
import time

import storm
from conversation import (STATES, TYPES, Difference, Judge, converse, converse_as, converse_to_the_end, essences,
                          prepared)
from day import ALL, is_of_the_day
from pgwire import (SLOWNESS, bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, parse, query,
                    sync)
from runner import limit
from talk import Talk

# The tests say the same each time; with SECONDS others are said, for so long.
SECONDS = float(os.environ.get("SESSION_FUZZ_SECONDS", "0"))
SEED = os.environ.get("SESSION_FUZZ_SEED", str(random.randrange(10 ** 6)) if SECONDS else "1")
LIVES = 10 ** 9 if SECONDS else 40 if ALL else 24

TABLE = ("CREATE TABLE mine(id int PRIMARY KEY, v text); INSERT INTO mine SELECT i, 'v' || i FROM generate_series(1, 3) i;"
         "GRANT ALL ON mine TO PUBLIC;")


class Pair:
    """The proxy's database, and one like it that is talked to directly."""

    def __init__(self, ctx, cache, setup, **settings):
        self.ctx, self.db = ctx, ctx.db
        self.other = ctx.new_database()
        for database in (self.db, self.other):
            ctx.sql(setup, database=database)
        self.proxy = (ctx.cache_proxy if cache else ctx.proxy)(**settings)

    def both(self, **startup):
        return (self.ctx.pg.connect(self.other, "app", timeout=10, **startup),
                self.proxy.connect(self.db, "app", timeout=10, unix=True, **startup))


def table(ctx, of, cache=False, **settings):
    """of: which quarters of the cases."""
    pair = Pair(ctx, cache, TABLE, **{"default_pool_size": 3, **settings})
    witness = ctx.keep(pair.proxy.connect(ctx.db))
    judge, wrong = Judge(), []
    for row, (state, before) in enumerate(STATES.items()):
        for column, (name, it) in enumerate(TYPES.items()):
            if not any(is_of_the_day(row + column + n, 4) for n in of):
                continue
            direct, through = map(prepared, pair.both())
            if len(wrong) > 12:
                break
            try:
                # Once in one piece, once with a wait where there is something to wait for.
                pieces = [before, it] if (len(state) + len(name)) % 2 else [before + it]
                judge.judge(converse(direct, pieces)[0], converse(through, pieces)[0], f"{state}: {name}",
                            leaves=name == "terminate")
            except (Difference, TimeoutError) as error:
                wrong.append(f"{state}: {name}: {error}")
            finally:
                direct.close()
                through.close()
        assert witness.value("SELECT 'fine'") == "fine"
    assert not wrong, f"{len(wrong)} of {len(STATES) * len(TYPES)}\n" + "\n".join(wrong[:12])
    ctx.note(str(judge))
    witness.close()
    nothing_is_left(pair, 3)


def nothing_is_left(pair, servers):
    """Servers at rest, whose sessions are as new."""
    p, ctx = pair.proxy, pair.ctx
    p.wait(lambda: int(p.pool(ctx.db, "app")["sv_active"]) == 0, "servers to be idle")
    assert int(p.pool(ctx.db, "app")["cl_waiting"]) == 0
    holders = [ctx.keep(p.connect(ctx.db)) for _ in range(servers)]
    for holder in holders:
        holder.query("BEGIN")
    for holder in holders:
        left = holder.query("SELECT (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_table_is_visible(oid)),"
                            "(SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_listening_channels()),"
                            "(SELECT count(*) FROM pg_prepared_statements WHERE from_sql),"
                            "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),"
                            "current_setting('statement_timeout')").rows[0]
        assert left == ("0", "0", "0", "0", "0", "0"), left
    for holder in holders:
        holder.query("COMMIT")
        holder.close()


@limit(180)
def test_every_message_in_every_state(ctx):
    table(ctx, (0, 2))


@limit(180)
def test_every_message_with_the_cache(ctx):
    table(ctx, (1,), cache=True)


@limit(180)
def test_every_message_in_session_mode(ctx):
    table(ctx, (3,), pool_mode="session", default_pool_size=8)


# ---- found by dice

DUPLICATE = parse("SELECT v FROM mine WHERE id = $1", "dup"), parse("SELECT v FROM mine WHERE id = $1", "other")

# Conversations in pieces; behind each is waited for what PostgreSQL answers to it.
FOUND = {
    "a Sync in a COPY that is given up": [query("COPY mine FROM STDIN") + sync() + copy_fail("no") + sync()],
    "two COPYs in one query": [query("COPY mine FROM STDIN; COPY mine FROM STDIN") + copy_data(b"20\ta\n") + sync() + copy_done()
                               + sync() + copy_data(b"21\tb\n") + copy_done() + sync()],
    "Close in a COPY": [query("COPY mine FROM STDIN") + close("S", "s") + copy_done() + sync()],
    "DEALLOCATE ALL that is skipped": [execute("nothing") + query("DEALLOCATE ALL") + parse("SELECT 1") + sync()],
    "DEALLOCATE ALL and a COPY in one batch": [parse("DEALLOCATE ALL") + bind() + execute() + parse("COPY mine FROM STDIN") + bind()
                                               + execute() + copy_data(b"22\tc\n") + copy_done() + sync()],
    "prepared behind DEALLOCATE ALL": [parse("DEALLOCATE ALL") + bind() + execute() + parse("SELECT 4", "new") + bind("new") + execute()
                                       + sync() + bind("new") + execute() + sync() + bind("s", ["1"]) + sync()],
    "the unnamed statement behind DISCARD ALL": [parse("DISCARD ALL", "all") + sync() + parse("SELECT 5") + bind("all") + execute()
                                                 + sync() + bind() + execute() + sync()],
    "CopyFail behind BEGIN": [query("BEGIN") + parse("SELECT 1", "x") + copy_fail("no") + sync() + query("COMMIT")],
    "no portal behind BEGIN": [query("BEGIN") + execute() + sync() + query("ROLLBACK")],
    "prepared again behind an error": [describe("S", "nothing") + DUPLICATE[0] + sync() + DUPLICATE[1] + flush(),
                                       bind("other", ["2"]) + execute() + sync()],
    "RESET and what is behind it": [query("RESET search_path") + query("BEGIN") + query("SHOW search_path") + query("COMMIT")],
}


def found(ctx, cache):
    pair = Pair(ctx, cache, TABLE, default_pool_size=2)
    judge = Judge()
    for name, pieces in FOUND.items():
        direct, through = pair.both(search_path="public, pg_catalog")
        with direct, through:
            prepared(direct)
            prepared(through)
            for piece in pieces[:-1]:  # none of these ends with a Sync
                for wire in (direct, through):
                    wire.send(piece)
                    wire.until("Z")
                    assert wire.read().kind == "1"
            what = f"{name}: {pieces}"
            judge.judge(converse(direct, pieces[-1:], what)[0], converse(through, pieces[-1:], what)[0], what)
    ctx.note(str(judge))


def test_found(ctx):
    found(ctx, False)


def test_found_with_the_cache(ctx):
    found(ctx, True)


# ---- by dice

CLIENTS = 3
RENEW = "DELETE FROM mine; INSERT INTO mine SELECT i, 'v' || i FROM generate_series(1, 3) i"


def own(text, k):
    return text.replace("mine", f"mine{k}")


def converse_by_dice(pair, k, ended, judge):
    """Session after session, some conversations in each; the last one of some is broken."""
    life = 0
    while not ended() and life < LIVES:
        life += 1
        talk = Talk(f"{SEED}/{k}/{life}", k)
        direct, through = pair.both()
        try:
            direct.query(own(RENEW, k))
            through.query(own(RENEW, k))
            a_session(talk, direct, through, judge, f"SESSION_FUZZ_SEED={SEED}, client {k}, life {life}")
        finally:
            direct.close()
            through.close()
    return life


def a_session(talk, direct, through, judge, who):
    what = who
    for _ in range(talk.dice.randrange(1, 5)):
        said = talk.messages()
        pieces = talk.pieces(b"".join(said))
        what += f"\n   {said}"
        want, closed = converse(direct, pieces, "direct, " + what)
        if not judge.judge(want, converse(through, pieces, what)[0], what, dice=True) or closed:
            return
    if talk.dice.random() < 0.5:
        data = talk.broken(b"".join(talk.messages()))
        pieces = talk.pieces(data)
        want = converse_to_the_end(direct, pieces)[0]
        got, in_vain = converse_as(through, pieces, essences(want))
        judge.judge(want, got, f"{what}\n   broken: {data}", dice=True, broken=True, in_vain=in_vain, leaves=b"X\0\0\0" in data)


def by_dice(ctx, cache=False, strangers=6, **settings):
    """Meanwhile others look whether all that they get is theirs (tests/lib/storm.py)."""
    ctx.note(f"SESSION_FUZZ_SEED={SEED}")
    options = {"default_pool_size": 4, "worker_threads": 2, "max_prepared_statements": 4, **settings}
    pair = Pair(ctx, cache, "".join(own(TABLE, k) for k in range(CLIENTS)) + storm.SETUP + storm.schemas(), **options)
    stop = threading.Event()
    until = time.monotonic() + (SECONDS or 60) * SLOWNESS
    judges = [Judge() for _ in range(CLIENTS)]

    def ended():
        return stop.is_set() or time.monotonic() > until

    def guarded(run, *args):
        try:
            return run(*args)
        except BaseException:
            stop.set()
            raise

    people = [storm.Client(pair.proxy, ctx.db, who, SEED, cancels=False) for who in range(strangers)]
    threads = [ctx.thread(guarded, person.run, ended) for person in people]
    talks = [ctx.thread(guarded, converse_by_dice, pair, k, ended, judges[k]) for k in range(CLIENTS)]
    try:
        lives = sum(thread.result(SECONDS + 120) for thread in talks)
    finally:
        stop.set()
    for thread in threads:
        thread.result()
    total = Judge.sum(judges)
    ctx.note(f"{lives} sessions, {total}; {sum(a.turns for a in people)} turns of others")
    assert total.compared > 20
    nothing_is_left(pair, 4)


@limit(SECONDS + 90)
def test_dice(ctx):
    by_dice(ctx)


@limit(SECONDS + 90)
def test_dice_with_the_cache(ctx):
    by_dice(ctx, cache=True)


@limit(SECONDS + 90)
def test_dice_in_session_mode(ctx):
    by_dice(ctx, pool_mode="session", default_pool_size=12)
