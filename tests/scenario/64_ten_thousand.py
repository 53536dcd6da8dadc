# SPDX-License-Identifier: Apache-2.0
"""Ten thousand clients on twenty servers: served in the order they came, nobody starved, little
memory each. CLIENTS chooses another number."""
import os
import resource
import selectors
import time

from pgwire import SLOWNESS, query
from runner import Skip, limit

SERVERS = 20
BATCH = 100
LITTLE = 1800  # bytes: what an idle client may cost; `make bench-memory` compares


def crowd_size(ctx):
    wanted = int(os.environ.get("CLIENTS", "10000")) // (10 if ctx.sanitizer else 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + 200
    if soft < need:
        if hard != resource.RLIM_INFINITY and hard < need:
            raise Skip(f"{wanted} clients need {need} open files, the limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    return wanted


def pss_bytes(p):
    try:
        f = open(f"/proc/{p.process.pid}/smaps_rollup", encoding="ascii")
    except PermissionError:  # it keeps its memory from us: nothing but the size is told
        return p.rss_bytes()
    with f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))


def gather(clients, seconds=60):
    """One answer from each of them, as they come: {index: first row}."""
    out = {}
    until = time.monotonic() + seconds * SLOWNESS
    with selectors.DefaultSelector() as selector:
        for n, c in clients.items():
            selector.register(c.socket, selectors.EVENT_READ, n)
        while len(out) < len(clients):
            assert time.monotonic() < until, f"only {len(out)} of {len(clients)} were answered"
            for key, _ in selector.select(1):
                out[key.data] = clients[key.data].until_ready().check().rows[0]
                selector.unregister(key.fileobj)
    return out


def crowd(ctx, p, user, numbers):
    return {n: ctx.keep(p.connect(ctx.db, user, unix=True, timeout=60)) for n in numbers}


def waiting(p, ctx, users):
    return sum(int(p.pool(ctx.db, user)["cl_waiting"]) for user in users)


def ask_in_batches(ctx, p, clients, users, order):
    """All ask, a batch after the other: who is in a later one began to wait later."""
    for start in range(0, len(order), BATCH):
        for n in order[start:start + BATCH]:
            clients[n].send(query(f"SELECT nextval('turn'), {n}"))
        p.wait(lambda: waiting(p, ctx, users) == min(start + BATCH, len(order)), "a batch to wait",  # noqa: B023
               interval=0.0005)


def out_of_order(served, order):
    """By how many batches each was served too early or too late, sorted."""
    place = {n: k for k, n in enumerate(sorted(order, key=lambda n: int(served[n][0])))}
    return sorted(abs(place[n] // BATCH - k // BATCH) for k, n in enumerate(order))


def settings(count, **more):
    return {"default_pool_size": SERVERS, "max_client_conn": count + 100, "query_wait_timeout": 120,
            "worker_threads": 2, **more}


@limit(120)
def test_served_in_order(ctx):
    count = crowd_size(ctx)
    ctx.sql("CREATE SEQUENCE turn; GRANT ALL ON turn TO PUBLIC")
    p = ctx.proxy(**settings(count))
    holders = [ctx.keep(p.connect(ctx.db)) for _ in range(SERVERS)]
    for holder in holders:
        holder.query("BEGIN")
    before = pss_bytes(p)
    clients = crowd(ctx, p, "app", range(count))
    each = (pss_bytes(p) - before) / count
    ctx.note(f"{each:.0f} bytes (PSS) for each of {count} idle clients")
    order = list(clients)
    ask_in_batches(ctx, p, clients, ["app"], order)
    waiting_each = (pss_bytes(p) - before) / count
    # One server at first: what it runs is the order in which it was given away.
    holders[0].query("COMMIT")
    served = gather(clients)
    wrong = [n for n, row in served.items() if row[1] != str(n)]
    assert not wrong, f"foreign rows: {wrong[:10]}"
    assert out_of_order(served, order)[-1] == 0, "served out of order"
    # And all of them. A server process that is not scheduled for a while is overtaken by others; the
    # queue is not.
    holders[0].query("BEGIN")
    ask_in_batches(ctx, p, clients, ["app"], order)
    started = time.monotonic()
    for holder in holders:
        holder.query("COMMIT")
    served = gather(clients)
    ctx.note(f"{waiting_each:.0f} for each that waits; served {count / (time.monotonic() - started):.0f}/s")
    late = out_of_order(served, order)
    assert late[int(count * 0.97)] <= 3, late[-50:]
    assert ctx.sanitizer or each < LITTLE, f"{each:.0f} bytes for an idle client"
    pids = {c.value("SELECT pg_backend_pid()") for c in list(clients.values())[:200]}
    assert len(pids) <= SERVERS, pids


@limit(60)
def test_idle_with_cache(ctx):
    """The cache has memory of its own, and a client needs no more for it."""
    count = crowd_size(ctx) // 2
    p = ctx.cache_proxy(**settings(count))
    before = pss_bytes(p)
    crowd(ctx, p, "app", range(count))
    each = (pss_bytes(p) - before) / count
    ctx.note(f"{each:.0f} bytes (PSS) for each of {count} idle clients, cache on")
    assert ctx.sanitizer or each < LITTLE, f"{each:.0f} bytes for an idle client"


@limit(120)
def test_no_user_starves(ctx):
    """One user has nine tenths of the clients, and all servers that the database may have; the other
    user's clients come last, and are not made to wait for all of the others."""
    count = crowd_size(ctx) // 2
    many = range(count * 9 // 10)
    few = range(len(many), count)
    ctx.sql("CREATE SEQUENCE turn; GRANT ALL ON turn TO PUBLIC")
    turn = "SELECT nextval('turn'), 0 FROM pg_sleep(0.004)"  # the queue is longer than it takes to open a connection
    p = ctx.proxy(**settings(count, max_db_connections=SERVERS))
    first = ctx.keep(p.connect(ctx.db, "other"))
    holders = [ctx.keep(p.connect(ctx.db)) for _ in range(SERVERS)]
    for holder in holders:
        holder.query("BEGIN")
    clients = crowd(ctx, p, "app", many)
    for c in clients.values():
        c.send(query(turn))
    p.wait(lambda: waiting(p, ctx, ["app"]) == len(many), "the many to wait")
    others = crowd(ctx, p, "other", few)
    for c in others.values():
        c.send(query(turn))
    p.wait(lambda: waiting(p, ctx, ["other"]) == len(few), "the few to wait")
    for holder in holders:
        holder.query("COMMIT")
    served = gather({**clients, **others})
    turns = {user: sorted(int(served[n][0]) for n in numbers) for user, numbers in (("app", many), ("other", few))}
    ctx.note(f"{len(few)} clients of one user had turns {turns['other'][0]} to {turns['other'][-1]} of {count}")
    assert turns["other"][-1] < turns["app"][-1], "the few were served only after all the others"
    first.query("SELECT 1")
