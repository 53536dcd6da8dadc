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
from pgwire import SLOWNESS, PeerClosed, PgError
from runner import limit

SECONDS = float(os.environ.get("SESSION_FUZZ_SECONDS", "5"))
SEED = os.environ.get("SESSION_FUZZ_SEED", str(random.randrange(10 ** 6)))

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

    def both(self):
        return self.ctx.pg.connect(self.other, "app", timeout=2), self.proxy.connect(self.db, "app", timeout=2, unix=True)


def table(ctx, cache=False, **settings):
    pair = Pair(ctx, cache, TABLE, **{"default_pool_size": 3, **settings})
    witness = ctx.keep(pair.proxy.connect(ctx.db))
    judge, wrong = Judge(), []
    for state, before in STATES.items():
        for name, it in TYPES.items():
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


@limit(90)
def test_every_message_in_every_state(ctx):
    table(ctx)


@limit(90)
def test_every_message_with_the_cache(ctx):
    table(ctx, cache=True)


@limit(90)
def test_every_message_in_session_mode(ctx):
    table(ctx, pool_mode="session", default_pool_size=8)
