# SPDX-License-Identifier: Apache-2.0
"""The link between a proxy and PostgreSQL, in the hands of a test: it can be stalled, cut and refused, and
the answer to one request can be held back.

A connection's kind is what its startup message asks for: "stream" (replication), "control" (the control
user), "cancel", else "data". What is held is kept here and passed on, in order, when it is released.
"""
import selectors
import socket
import struct
import threading
import time

from pgwire import CANCEL_CODE, GSS_CODE, SLOWNESS, SSL_CODE

CHUNK = 65536


class Link:
    """One connection: what came and did not go out yet, in both directions."""

    def __init__(self, client, server):
        self.sockets = {"up": (client, server), "down": (server, client)}  # (from, to)
        self.kept = {"up": bytearray(), "down": bytearray()}
        self.ended = {"up": False, "down": False}
        self.opening = bytearray()
        self.kind = None
        self.holds_reply = None

    def learn_kind(self, data):
        """From the startup message; an SSLRequest or GSSENCRequest may come before it."""
        self.opening += data
        while len(self.opening) >= 8:
            length, code = struct.unpack("!II", self.opening[:8])
            if code in (SSL_CODE, GSS_CODE):
                del self.opening[:8]
                continue
            if code == CANCEL_CODE:
                self.kind = "cancel"
            elif len(self.opening) >= length:
                words = bytes(self.opening[8:length]).split(b"\0")
                asked = dict(zip(words[::2], words[1::2]))
                self.kind = ("stream" if b"replication" in asked
                             else "control" if asked.get(b"user") == b"control" else "data")
            return


class Held:
    """The answer to a request that contains a text."""

    def __init__(self, relay, text):
        self.relay, self.text, self.link = relay, text.encode(), None

    def wait(self):
        """Until the answer, or its beginning, is here."""
        self.relay.wait(lambda: self.link and self.link.kept["down"], f"an answer to {self.text}")

    def release(self):
        with self.relay.lock:
            self.relay.held.remove(self)
            if self.link:
                self.link.holds_reply = None
        self.relay.wake()


class Relay:
    def __init__(self, port):
        self.target = port
        self.lock = threading.RLock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.links, self.held = [], []
        self.stalled, self.refused = set(), set()
        self.elsewhere = {}  # kind: port
        self.selector = selectors.DefaultSelector()
        self.listener.setblocking(False)
        self.waker, wakes = socket.socketpair()
        self.selector.register(self.listener, selectors.EVENT_READ, "listener")
        self.selector.register(wakes, selectors.EVENT_READ, "wake")
        self.closing = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # -- what a test does

    def stall(self, *kinds, directions=("up", "down")):
        """Nothing of these kinds passes from now on; "up" is to the server."""
        with self.lock:
            self.stalled |= {(kind, direction) for kind in kinds for direction in directions}

    def flow(self, *kinds):
        with self.lock:
            self.stalled = {s for s in self.stalled if s[0] not in kinds}
        self.wake()

    def refuse(self, *kinds):
        """New connections of these kinds are closed."""
        with self.lock:
            self.refused |= set(kinds)

    def allow(self, *kinds):
        with self.lock:
            self.refused -= set(kinds)

    def lead(self, kind, port):
        """New connections of this kind go to another server."""
        with self.lock:
            self.elsewhere[kind] = port

    def cut(self, *kinds):
        """Ends the connections of these kinds, as a reset."""
        with self.lock:
            for link in [link for link in self.links if link.kind in kinds]:
                self._drop(link, reset=True)

    def ports(self, *kinds):
        """Where the server has them from: client_port in pg_stat_activity."""
        with self.lock:
            return [link.sockets["up"][1].getsockname()[1] for link in self.links if link.kind in kinds]

    def hold_reply(self, text):
        """Keeps the answer of the server that is sent this text next, until it is released."""
        held = Held(self, text)
        with self.lock:
            self.held.append(held)
        return held

    def keeps(self, kind, direction="down"):
        """How many bytes of these connections wait here."""
        with self.lock:
            return sum(len(link.kept[direction]) for link in self.links if link.kind == kind)

    @staticmethod
    def wait(claim, what, timeout=25.0):
        deadline = time.monotonic() + timeout * SLOWNESS
        while not claim():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout * SLOWNESS:.0f} s for {what}")
            time.sleep(0.001)

    def close(self):
        self.closing = True
        self.wake()
        self.thread.join()
        for link in list(self.links):
            self._drop(link)
        self.listener.close()

    def wake(self):
        self.waker.send(b"x")

    # -- the loop

    def _run(self):
        while not self.closing:
            for key, events in self.selector.select(0.5):
                with self.lock:
                    self._event(key, events)
            with self.lock:
                for link in list(self.links):
                    self._pass(link)

    def _event(self, key, events):
        if key.data == "wake":
            key.fileobj.recv(CHUNK)
        elif key.data == "listener":
            self._accept()
        elif events & selectors.EVENT_READ:
            link, direction = key.data
            if link in self.links:
                self._read(link, direction)

    def _accept(self):
        try:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        link = Link(client, server)
        self.links.append(link)
        for direction, (source, _) in link.sockets.items():
            source.setblocking(False)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(source, selectors.EVENT_READ, (link, direction))

    def _read(self, link, direction):
        source = link.sockets[direction][0]
        try:
            data = source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._drop(link, reset=True)
            return
        if not data:
            link.ended[direction] = True
            self.selector.unregister(source)
            return
        if direction == "up":
            self._learn(link, data)
        link.kept[direction] += data

    def _learn(self, link, data):
        if link.kind is None:
            link.learn_kind(data)
            if link.kind in self.elsewhere:
                self._lead(link)
        for held in self.held:
            if held.link is None and held.text in data:
                held.link, link.holds_reply = link, held

    def _lead(self, link):
        """Nothing but the request for encryption has been said yet, and was answered."""
        client, old = link.sockets["up"]
        try:
            server = socket.create_connection(("127.0.0.1", self.elsewhere[link.kind]))
        except OSError:  # nobody is there (yet, or any more)
            self._drop(link, reset=True)
            return
        self.selector.unregister(old)
        old.close()
        server.setblocking(False)
        link.sockets = {"up": (client, server), "down": (server, client)}
        self.selector.register(server, selectors.EVENT_READ, (link, "down"))

    def _pass(self, link):
        if link.kind in self.refused and not link.kept["down"] and link.opening:
            self._drop(link, reset=True)
            return
        link.opening.clear() if link.kind else None
        for direction, (_, target) in link.sockets.items():
            if (link.kind, direction) in self.stalled or (direction == "down" and link.holds_reply):
                continue
            try:
                while link.kept[direction]:
                    del link.kept[direction][:target.send(link.kept[direction][:CHUNK])]
            except BlockingIOError:
                threading.Timer(0.002, self.wake).start() # slow readers are rare here
            except OSError:
                self._drop(link, reset=True)
                return
            if link.ended[direction] and not link.kept[direction]:
                self._drop(link)
                return

    def _drop(self, link, reset=False):
        if link not in self.links:
            return
        self.links.remove(link)
        for direction, (source, _) in link.sockets.items():
            if not link.ended[direction]:
                self.selector.unregister(source)
            if reset:
                source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            source.close()
