# SPDX-License-Identifier: Apache-2.0
"""A relay to a server that can hold back what replication streams say, and let it go at once: what comes then comes
as fast as it is taken, whatever the server's own speed."""
import socket
import threading


class Dam:
    """Listens on a port of its own. Connections end with those of the server, or with the process."""

    def __init__(self, host, port):
        self.server = (host, port)
        self.lock = threading.Lock()
        self.held = None  # [(to whom, bytes)] while it is closed
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with self.lock:
            self.held = []

    def open(self):
        """Returns when all that was held has been sent."""
        with self.lock:
            for client, data in self.held:
                client.sendall(data)
            self.held = None

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        server = socket.create_connection(self.server)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        streams = threading.Event()

        def to_server(data):
            if b"\0replication\0" in data:
                streams.set()
            server.sendall(data)

        def to_client(data):
            with self.lock:
                if streams.is_set() and self.held is not None:
                    self.held.append((client, data))
                else:
                    client.sendall(data)
        threading.Thread(target=_pump, args=(client, to_server, server), daemon=True).start()
        _pump(server, to_client, client)


def _pump(source, send, end):
    """Until one of them is closed; then both are."""
    try:
        while data := source.recv(1 << 20):
            send(data)
    except OSError:
        pass
    for s in (source, end):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
