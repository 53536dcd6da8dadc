# SPDX-License-Identifier: Apache-2.0
"""The time between a commit's record in the WAL and its visibility, made as long as a test wants: PostgreSQL
waits there for a synchronous standby that does not exist."""
import time

from pgwire import SLOWNESS, query
from proxy import Proxy


class Window:
    """Commits of everybody hang, in the stream but not visible, until release()."""

    def __init__(self, ctx):
        self.ctx = ctx

    def __enter__(self):
        self.ctx.pg.configure(synchronous_standby_names="nobody")
        self._wait_until_commits_hang()
        return self

    def _wait_until_commits_hang(self):
        """The checkpointer tells everybody, when it has read the new setting itself."""
        probe = self.ctx.direct(timeout=30)
        pid = probe.value("SELECT pg_backend_pid()")
        deadline = time.monotonic() + 10 * SLOWNESS
        hangs = False
        while not hangs and time.monotonic() < deadline:
            probe.send(query("SELECT pg_logical_emit_message(true, 'probe', '')"))
            state = ""
            while state not in ("SyncRep", "idle"):
                state = self.ctx.sql("SELECT CASE WHEN wait_event = 'SyncRep' THEN wait_event ELSE state END "
                                     f"FROM pg_stat_activity WHERE pid = {pid}")[0][0]
            hangs = state == "SyncRep"
            self.ctx.sql(f"SELECT pg_cancel_backend({pid})") if hangs else None
            probe.until_ready()
        assert hangs, "commits do not hang"

    def __exit__(self, *_):
        self.release()

    def release(self):
        self.ctx.pg.configure(synchronous_standby_names=None)

    def wait_hanging(self, n=1):
        Proxy.wait(lambda: int(self.ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")[0][0]) >= n,
               f"{n} commits that hang")
