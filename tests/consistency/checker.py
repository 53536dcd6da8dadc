# SPDX-License-Identifier: Apache-2.0
"""The checker: is there an order of events that allows what was read, and keeps the promises P2 to P5?

An *item* is something that has versions: a row's value, a copy of it that a trigger keeps, a balance. An
item has one writer at a time, so that its versions are 1, 2, 3 ... in commit order (0: as it was made).
A *write* is a transaction: new versions of one item or more. Noted are the instants before it was sent
and after its commit was acknowledged, and by which way. Sessions tell what they do:

    w = session.write("a", "b")        before it is sent: w["a"] is the version to write
    w.acknowledged() | w.doubtful()    | w.undone()
    r = session.read()                 before it is sent
    r.saw({"a": 4, "b": 7})            what one answer, so one snapshot, had

What a read that began at b, on a session that goes by way v, may see of an item:

  P2  a version that somebody sent before the answer had come, and did not undo; of a transaction that wrote
      several items all or nothing; within REPEATABLE READ one snapshot (session.frozen)
  P3  at least what the session itself wrote, acknowledged or in its open transaction; and what it saw before,
      where that counts (session.ordered, or a read that went around the cache)
  P4  at least what was acknowledged by way v before b, whoever wrote it ("direct" is no proxy's way)
  P5  at least what was acknowledged by any way before b - max_staleness

Violations are kept, not raised: whoever provokes one wants to see it. Instants are time.monotonic(), of
one process. All of it is for many threads; a session belongs to one.
"""
import threading
import time

VERSIONS_KEPT = 500


class Write:
    def __init__(self, session, versions):
        self.session, self.versions = session, versions

    def __getitem__(self, item):
        return self.versions[item]

    def acknowledged(self):
        """Its commit was answered."""
        self.session.history._acknowledge(self, self.session.way, time.monotonic())
        for item, version in self.versions.items():
            self.session.wrote[item] = version
        self._close()

    def undone(self):
        """It was rolled back, or surely never committed."""
        self.session.history._undo(self)
        self._close()

    def doubtful(self):
        """Its connection is gone: nobody knows. Until resolved() its items have no other writer."""
        self._close()

    def resolved(self, committed):
        """What the database has, when nothing that could still commit it is left."""
        if committed:
            self.session.history._acknowledge(self, None, time.monotonic())
        else:
            self.session.history._undo(self)

    def _close(self):
        for item in self.versions:
            self.session.open.pop(item, None)


class Read:
    def __init__(self, session, around):
        self.session, self.around = session, around
        self.began = time.monotonic()
        self.acknowledged = session.history._acknowledged_now(session.way)

    def saw(self, versions):
        """What one answer had. Returns whether it may be."""
        return self.session._judge(self, versions)


class Session:
    """One client's. way: the proxy it goes through, or "direct"."""

    def __init__(self, history, way, ordered=False):
        self.history, self.way, self.ordered = history, way, ordered
        self.wrote, self.seen, self.open = {}, {}, {}
        self.frozen = None # the one snapshot of a REPEATABLE READ transaction: {item: version}

    def write(self, *items):
        w = Write(self, self.history._send(items))
        self.open.update(w.versions)
        return w

    def read(self, around=False):
        """around: it surely goes to the server, and later reads must not show less."""
        return Read(self, around)

    def freeze(self):
        self.frozen = {}

    def thaw(self):
        self.frozen = None

    def answered(self, got, want, what):
        """Where no history matters: what PostgreSQL would have said."""
        if got != want:
            self.history._blame("P2", f"{what}: {got!r}, and PostgreSQL says {want!r}")
        return got == want

    # -- judging

    def _judge(self, read, versions):
        h, good = self.history, True
        with h.lock:
            for item, version in versions.items():
                good &= self._judge_one(read, item, version)
            if not self.open: # else it may be between two statements of its own
                good &= h._is_whole({**(self.frozen or {}), **versions})
        for item, version in versions.items():
            if self.frozen is not None:
                self.frozen.setdefault(item, version)
            if self.ordered or read.around:
                self.seen[item] = max(version, self.seen.get(item, 0))
        return good

    def _judge_one(self, read, item, version):
        h = self.history
        state = h.items[item]
        if version > state.sent or version in state.undone:
            return h._blame("P2", f"{item} has version {version}, which nobody wrote (sent are {state.sent})")
        if item in self.open:
            return version == self.open[item] or h._blame(
                "P3", f"{item} has version {version}, the session's own open transaction wrote {self.open[item]}")
        if self.frozen is not None and item in self.frozen:
            return version == self.frozen[item] or h._blame(
                "P2", f"{item} has version {version}, and had {self.frozen[item]} in the same snapshot")
        if self.frozen:
            return True # the snapshot is older than this read
        by_way, by_time = read.acknowledged.get(item, 0), state.newest_before(read.began - h.bound)
        wrote, seen = self.wrote.get(item, 0), self.seen.get(item, 0)
        # The narrowest promise is named.
        if version < wrote:
            return h._blame("P3", f"{item} has version {version}, the session itself wrote {wrote}")
        if version < seen:
            return h._blame("P3", f"{item} has version {version}, the session had seen {seen}")
        if version < by_way:
            return h._blame("P4", f"{item} has version {version}, {by_way} was acknowledged through {self.way} before")
        if version < by_time:
            return h._blame("P5", f"{item} has version {version}, {by_time} was acknowledged more than "
                                  f"{h.bound:.3f} s before")
        return True


class Item:
    def __init__(self):
        self.sent = 0
        self.undone = set()
        self.acknowledged = [] # (instant, version), in order
        self.oldest = 0        # a version acknowledged before those
        self.with_it = {0: {}} # of each version: at least these of other items, if it is seen

    def newest_before(self, instant):
        for when, version in reversed(self.acknowledged):
            if when < instant:
                return version
        return self.oldest

    def prune(self):
        if len(self.acknowledged) > 2 * VERSIONS_KEPT:
            self.oldest = self.acknowledged[-VERSIONS_KEPT - 1][1]
            del self.acknowledged[:-VERSIONS_KEPT]
            for version in [v for v in self.with_it if v < self.oldest]:
                del self.with_it[version]


class History:
    def __init__(self, bound):
        """bound: max_staleness in seconds."""
        self.bound = bound
        self.lock = threading.RLock()
        self.items = {}
        self.newest = {} # by way: {item: version}, replaced and never changed
        self.violations = []

    def add(self, *items):
        for item in items:
            self.items[item] = Item()

    def session(self, way, ordered=False):
        return Session(self, way, ordered)

    def check(self):
        if self.violations:
            raise AssertionError("\n".join(f"{promise}: {what}" for promise, what in self.violations[:10]))

    # -- for sessions

    def _blame(self, promise, what):
        with self.lock:
            self.violations.append((promise, what))
        return False

    def _send(self, items):
        with self.lock:
            versions = {}
            for item in items:
                state = self.items[item]
                state.sent += 1
                versions[item] = state.sent
            for item in items:
                state = self.items[item]
                before = max((v for v in state.with_it if v not in state.undone), default=0)
                others = {i: v for i, v in versions.items() if i != item}
                state.with_it[versions[item]] = {**state.with_it[before], **others}
            return versions

    def _acknowledge(self, write, way, instant):
        with self.lock:
            for item, version in write.versions.items():
                self.items[item].acknowledged.append((instant, version))
                self.items[item].prune()
            if way is not None and way != "direct":
                self.newest[way] = {**self.newest.get(way, {}), **write.versions}

    def _undo(self, write):
        with self.lock:
            for item, version in write.versions.items():
                self.items[item].undone.add(version)

    def _acknowledged_now(self, way):
        return self.newest.get(way, {})

    def _is_whole(self, versions):
        """Of each transaction that one item shows, the other items show it too."""
        for item, version in versions.items():
            for other, least in self.items[item].with_it.get(version, {}).items():
                if other in versions and versions[other] < least:
                    return self._blame("P2", f"{item} has version {version} and {other} {versions[other]}: of one "
                                             f"transaction, which wrote {least}, only a part")
        return True
