# SPDX-License-Identifier: Apache-2.0
"""Steering which server connection a client gets in transaction mode."""

PID = "SELECT pg_backend_pid()"


def move(ctx, p, client, database=None, user="app"):
    """Sees to it that the client's next statement runs on another server connection than its last:
    others take that one and keep it in a transaction. Returns those; close them to let go. The pool must be
    larger than what was open before, or nothing is left for the client."""
    pid = client.value(PID)
    holders = []
    while True:
        other = p.connect(database or ctx.db, user)
        ctx.keep(other)
        holders.append(other)
        other.query("BEGIN")
        if other.value(PID) == pid:
            return holders
        assert len(holders) < 20, "no way to take the client's server"


def release(holders):
    for holder in holders:
        holder.query("ROLLBACK")
        holder.close()
