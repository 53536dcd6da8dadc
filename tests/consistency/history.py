# SPDX-License-Identifier: Apache-2.0
"""What is known of one key's versions while writers and readers run, and what a read may see.

Each key has one writer at a time, so its versions are 1, 2, 3, ... in commit order. The writer notes
the instant before it sends a version and the instant after its commit is acknowledged; with these, a
read that began at b and ended at e has a lowest and a highest version it may return:

  P4  at least the newest version that was acknowledged through the proxy before b
  P5  at least the newest version that was acknowledged directly before b - max_staleness
  P2  at most the newest version that was sent before e
  and never less than the same session has seen before.
"""
import threading


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = 0                  # newest version sent
        self.acknowledged = []         # (instant, version, through the proxy), in order
        self.by_proxy = 0              # newest version acknowledged through the proxy

    def send(self):
        self.sent += 1
        return self.sent

    def acknowledge(self, instant, version, through_proxy):
        with self.lock:
            self.acknowledged.append((instant, version, through_proxy))
            if through_proxy:
                self.by_proxy = version

    def floor(self, began, max_staleness):
        """The lowest version that a read beginning now may see; to be asked before it is sent."""
        lowest = self.by_proxy
        with self.lock:
            while len(self.acknowledged) > 1 and self.acknowledged[1][0] < began - max_staleness - 60:
                self.acknowledged.pop(0)
            for instant, version, _ in reversed(self.acknowledged):
                if instant < began - max_staleness:
                    return max(lowest, version)
        return lowest

    def ceiling(self):
        """The highest version that a read that just ended may have seen."""
        return self.sent
