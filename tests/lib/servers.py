# SPDX-License-Identifier: Apache-2.0
"""Steering which server connection a client gets in transaction mode."""

PID = "SELECT pg_backend_pid()"


def move(ctx, p, client, database=None, user="app"):
    """Sees to it that the client's next statement runs on another server connection than its last: another client
    takes that one and keeps it in a transaction. Returns the holders; close them to let go. The pool must be larger
    than what was open before, or nothing is left for the client."""
    pid = client.value(PID)
    strangers = []
    while True:
        other = ctx.keep(p.connect(database or ctx.db, user))
        other.query("BEGIN")
        if other.value(PID) == pid:
            break
        # The client's server is given back behind its answer: on another worker, perhaps a moment later.
        strangers.append(other)
        assert len(strangers) < 20, "no way to take the client's server"
    release(strangers)
    return [other]


def release(holders):
    for holder in holders:
        holder.query("ROLLBACK")
        holder.close()
