# SPDX-License-Identifier: Apache-2.0
"""The identity storm: hundreds of clients with everything a client can do, on few servers that keep few
statements. STORM_SECONDS and STORM_SEED choose how long, and the dice."""
import os
import random
import threading
import time

from pgwire import SLOWNESS
from runner import limit
from storm import SETUP, Client, schemas

SECONDS = float(os.environ.get("STORM_SECONDS", "8"))
SEED = os.environ.get("STORM_SEED", str(random.randrange(10 ** 6)))


def storm(ctx, clients=200, cache=False, seconds=SECONDS, switches=400, **settings):
    ctx.note(f"STORM_SEED={SEED}")
    ctx.sql(SETUP + schemas())
    options = {"default_pool_size": 3, "worker_threads": 2, "max_prepared_statements": 3, "max_client_conn": 1000,
               "query_wait_timeout": 20, "listen_backlog": 1000, **settings}
    p = ctx.cache_proxy(**options) if cache else ctx.proxy(**options)
    ended = threading.Event()
    until = time.monotonic() + seconds * SLOWNESS
    patience = until + 30 * SLOWNESS
    people = [Client(p, ctx.db, who, SEED, cancels=who % 4 == 0) for who in range(clients)]

    def enough():
        now = time.monotonic()
        return ended.is_set() or now > patience or now > until and sum(a.switches for a in people) >= switches

    def live(person):
        try:
            person.run(enough)
        except BaseException as error:
            ended.set()
            raise AssertionError(f"client {person.who} ({person.last}): {error!r}") from error

    threads = [ctx.thread(live, person) for person in people]
    wrong = []
    for thread in threads:
        try:
            thread.result()
        except (AssertionError, TimeoutError) as error:
            wrong.append(str(error))
    assert not wrong, "\n".join(wrong[:8])
    turns, moved = sum(a.turns for a in people), sum(a.switches for a in people)
    ctx.note(f"{turns} turns, {moved} moves, {sum(a.lives for a in people)} connections")
    assert moved >= switches, f"only {moved} moves to another server were seen"
    after(ctx, p, options["default_pool_size"])


def after(ctx, p, servers):
    """What is left: idle servers that answer as if nothing had been, and nobody's write."""
    assert ctx.sql("SELECT count(*) FROM own WHERE v <> 'v' || id") == [("0",)]
    for user in ("app", "other"):
        p.wait(lambda: int(p.pool(ctx.db, user)["sv_active"]) == 0, "servers to be idle")  # noqa: B023
        holders = [ctx.keep(p.connect(ctx.db, user)) for _ in range(servers)]
        for holder in holders:
            holder.query("BEGIN")
        for n, holder in enumerate(holders):
            assert holder.value(f"SELECT {n}") == str(n)
            assert holder.value("SELECT current_setting('my.id', true)") in (None, "")
        for holder in holders:
            holder.query("COMMIT")


@limit(90)
def test_transaction_mode(ctx):
    storm(ctx)


@limit(90)
def test_with_cache(ctx):
    storm(ctx, cache=True)


@limit(90)
def test_one_server(ctx):
    """One server and one worker for each user: every turn is a handing on."""
    storm(ctx, clients=60, default_pool_size=1, worker_threads=1, seconds=SECONDS / 2, switches=0)
