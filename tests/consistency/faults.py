# SPDX-License-Identifier: Apache-2.0
"""What goes wrong while the consistency run reads and writes. Each fault is over when it returns, and who was met
by it can do nothing any more: so a write in doubt may be settled. For the main thread: processes end with the
thread that started them."""
import os
import random
import signal
import time

from pgwire import SLOWNESS, PeerClosed, PgError

EVERYTHING = ("stream", "control", "data", "cancel")


class Faults:
    """proxies and their relays; kinds: names of the methods below."""

    def __init__(self, ctx, run, proxies, relays, kinds):
        self.ctx, self.run, self.proxies, self.relays, self.kinds = ctx, run, proxies, relays, kinds
        self.rng = random.Random(run.seed)
        self.done = {}
        self.due = time.monotonic() + 0.5

    def look(self):
        """To be called often."""
        if not self.kinds or time.monotonic() < self.due:
            return
        # Each has its turn, then by chance.
        kind = next((k for k in self.kinds if k not in self.done), None) or self.rng.choice(self.kinds)
        self.done[kind] = self.done.get(kind, 0) + 1
        self.run.quiet.clear()
        try:
            getattr(self, kind)()
        except (PgError, PeerClosed) as error: # a terminated backend was that of another fault
            self.ctx.note(f"{kind}: {error}")
        self.run.quiet.set()
        self.due = time.monotonic() + self.rng.uniform(0.3, 1.5)

    def sql(self, text):
        return self.ctx.sql(text)

    def for_a_while(self):
        """Shorter and longer than max_staleness."""
        time.sleep(self.rng.choice((0.1, 0.4, 0.8)) * SLOWNESS)

    def wait_gone(self, ports):
        """Until the server processes that had these connections have ended."""
        old = f"SELECT count(*) FROM pg_stat_activity WHERE client_port = ANY('{{{','.join(map(str, ports))}}}')"
        self.proxies[0].wait(lambda: self.sql(old)[0][0] == "0", "server processes to notice")

    # -- the stream and the control connection

    def stream_killed(self):
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.ctx.db}' "
                 "AND backend_type = 'walsender'")

    def control_killed(self):
        self.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.ctx.db}' "
                 "AND usename = 'control' AND backend_type = 'client backend'")

    def walsender_stopped(self):
        pids = self.ctx.pg.walsenders(self.ctx.db)
        stopped = self.rng.sample(pids, self.rng.randint(1, len(pids))) if pids else []
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        self.for_a_while()
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    # -- the link

    def link_stalled(self):
        kinds = self.rng.choice((("stream",), ("control",), ("stream", "control"), EVERYTHING))
        relay = self.rng.choice(self.relays)
        relay.stall(*kinds)
        self.for_a_while()
        relay.flow(*kinds)

    def link_cut(self):
        kinds = self.rng.choice((("stream",), ("control",), ("data",), EVERYTHING))
        relay = self.rng.choice(self.relays)
        relay.refuse(*kinds)
        ports = relay.ports(*kinds)
        relay.cut(*kinds)
        self.for_a_while()
        self.wait_gone(ports)
        relay.allow(*kinds)

    # -- processes

    def postgres_restarted(self):
        self.ctx.pg.restart(self.rng.choice((signal.SIGINT, signal.SIGQUIT)))

    def proxy_killed(self):
        """And started anew. What it had under way is in doubt."""
        index = self.rng.randrange(len(self.proxies))
        proxy, relay = self.proxies[index], self.relays[index]
        relay.refuse("data")
        ports = relay.ports("data")
        proxy.kill()
        self.wait_gone(ports)
        relay.allow("data")
        proxy.start()
        proxy.expect_failure = False

    # -- people

    def ddl(self):
        self.sql("ALTER TABLE audit ADD COLUMN IF NOT EXISTS more int; ALTER TABLE audit DROP COLUMN more")

    def reload(self):
        self.rng.choice(self.proxies).signal(signal.SIGHUP)
