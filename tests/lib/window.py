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
        self.ctx.pg.commits_wait_for("nobody")
        try:
            self._wait_until_commits_hang()
        except BaseException:
            self.release()
            raise
        return self

    def _wait_until_commits_hang(self):
        """The checkpointer tells everybody, when it has read the new setting."""
        probe = self.ctx.direct(timeout=30)
        pid = probe.value("SELECT pg_backend_pid()")
        deadline = time.monotonic() + 10 * SLOWNESS
        hangs = False
        while not hangs and time.monotonic() < deadline:
            probe.send(query("SELECT pg_logical_emit_message(true, 'probe', '')"))
            while not hangs and probe.is_quiet(0):  # before it begins it is shown as idle, too
                hangs = bool(self.ctx.sql(f"SELECT FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'SyncRep'"))
            self.ctx.sql(f"SELECT pg_cancel_backend({pid})") if hangs else None
            probe.until_ready()
        assert hangs, "commits do not hang"

    def __exit__(self, *_):
        self.release()

    def release(self):
        """Returns when all that hung is visible."""
        hung = self.ctx.sql("SELECT array_agg(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")[0][0] or "{}"
        self.ctx.pg.commits_wait_for(None)
        Proxy.wait(lambda: self.ctx.sql(f"SELECT FROM pg_stat_activity WHERE pid = ANY ('{hung}') AND"
                                        " (backend_xid IS NOT NULL OR wait_event = 'SyncRep')") == [], "their end")

    def wait_hanging(self, n=1):
        Proxy.wait(lambda: int(self.ctx.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")[0][0]) >= n,
               f"{n} commits that hang")
