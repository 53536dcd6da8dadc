# SPDX-License-Identifier: Apache-2.0
"""Somebody in the middle: speaks TLS with whoever connects, by a certificate of his own, and with the other side, and
may change what the other side says."""
import select
import socket
import ssl
import struct
import threading

import certs
from pgwire import SSL_CODE

OFFER = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"


# The same, as long, without the mechanism that binds.
STRIPPED = b"SCRAM-SHA-256\0X-LONG-OTHER-NAMES\0\0"


class Middle:
    """Middle(to, context).port; rewrite(bytes) -> bytes is applied to what comes from the other side."""

    def __init__(self, to, context, rewrite=None):
        self.to, self.context, self.rewrite = to, context, rewrite or (lambda data: data)
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for s in self.open:
            s.close()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            while s.recv(8, socket.MSG_WAITALL)[4:] != struct.pack("!I", SSL_CODE):
                s.sendall(b"N")  # GSSAPI
            s.sendall(b"S")
            near = self.context.wrap_socket(s, server_side=True)
            far = socket.create_connection(self.to)
            far.sendall(struct.pack("!II", 8, SSL_CODE))
            assert far.recv(1) == b"S"
            far = certs.blind_context().wrap_socket(far)
        except (OSError, AssertionError):
            s.close()
            return
        self.open += [near, far]
        self._pass(near, far)

    def _pass(self, near, far):
        """In one thread: what is said by TLS must not be read and written at once."""
        try:
            while True:
                ready = [s for s in (near, far) if s.pending()] or select.select([near, far], [], [])[0]
                for source in ready:
                    source.settimeout(0)
                    try:
                        data = source.recv(65536)
                    except ssl.SSLWantReadError:  # nothing for us in it
                        continue
                    finally:
                        source.settimeout(None)
                    if not data:
                        return
                    if source is far:
                        near.sendall(self.rewrite(data))
                    else:
                        far.sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            for s in (near, far):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
