# SPDX-License-Identifier: Apache-2.0
"""A stand-in for PostgreSQL, or for a pooler that is a peer: says what a test wants it to say.

It logs everybody in (trust), reports what SET sets, answers other simple queries with one text column, and keeps
the startup messages, queries and cancel requests that came. A query that holds (by default: that begins with
"hold") is answered when release_one() is called, or with error 57014 when a cancel request comes with its key
(unless answer_cancels is False: such requests are kept open and change nothing).
"""
import re
import socket
import ssl
import struct
import threading

from pgwire import CANCEL_CODE, GSS_CODE, SSL_CODE, cstring, message


def ready():
    return message("Z", b"I")


def error(sqlstate, text):
    return message("E", b"SERROR\0VERROR\0C" + cstring(sqlstate) + b"M" + cstring(text) + b"\0")


class FakeServer:
    """with FakeServer(secret=b"...") as f: ... f.port, f.startups, f.cancels"""

    def __init__(self, secret=b"\0\0\0\1", answer_cancels=True, port=0, tls=None, direct=False, ssl_answer=None):
        """tls: a context of Python's ssl module, for who asks; direct: for everybody, at once. ssl_answer: the
        bytes that an SSLRequest is answered with, instead of S or N."""
        self.tls, self.direct = tls, direct
        self.ssl_answer = ssl_answer or (b"S" if tls else b"N")
        self.encrypted = []                   # for each startup message and cancel request: the TLS version or None
        self.secret = secret
        self.answer_cancels = answer_cancels
        self.startups, self.cancels = [], []  # (code, {name: value}); keys as they came
        self.asked = []                       # queries
        self.holds = lambda sql: sql.startswith("hold")
        self.released = threading.Semaphore(0)
        self.closing = False
        self.cancelled = {}                   # key: event
        self.changed = threading.Condition()
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.closing = True
        self.listener.close()
        for s in self.open:
            s.close()

    def release_one(self):
        self.released.release()

    def wait_cancels(self, n, timeout=25):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.cancels) >= n, timeout), self.cancels
        return self.cancels

    def _accept(self):
        number = 0
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            number += 1
            self.open.append(s)
            threading.Thread(target=self._serve, args=(s, number), daemon=True).start()

    def _serve(self, s, number):
        try:
            self._talk(s, number)
        except (OSError, EOFError):
            pass
        s.close()

    @staticmethod
    def _bytes(s, n):
        got = b""
        while len(got) < n:
            chunk = s.recv(n - len(got))
            if not chunk:
                raise EOFError
            got += chunk
        return got

    def _talk(self, s, number):
        if self.direct:
            s = self.tls.wrap_socket(s, server_side=True)
        while True:
            length, code = struct.unpack("!II", self._bytes(s, 8))
            body = self._bytes(s, length - 8)
            if code not in (SSL_CODE, GSS_CODE):
                break
            s.sendall(self.ssl_answer if code == SSL_CODE else b"N")
            if self.tls and code == SSL_CODE:
                s = self.tls.wrap_socket(s, server_side=True)
        self.open.append(s)  # wrapping leaves the one before without its socket
        self.encrypted.append(s.version() if isinstance(s, ssl.SSLSocket) else None)
        with s:
            self._session(s, number, code, body)

    def _session(self, s, number, code, body):
        if code == CANCEL_CODE:
            self._cancel(s, body)
            return
        words = body.split(b"\0")[:-2]
        self.startups.append((code, {k.decode(): v.decode() for k, v in zip(words[::2], words[1::2])}))
        key = struct.pack("!I", number) + self.secret
        self.cancelled[key] = threading.Event()
        parameters = {"server_version": "15.0", "client_encoding": "UTF8", "DateStyle": "ISO, MDY",
                      "TimeZone": "UTC", "standard_conforming_strings": "on", "application_name": "",
                      "IntervalStyle": "postgres"}
        s.sendall(message("R", struct.pack("!I", 0))
                  + b"".join(message("S", cstring(k) + cstring(v)) for k, v in parameters.items())
                  + message("K", key) + ready())
        while True:
            head = self._bytes(s, 5)
            body = self._bytes(s, struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] == b"X":
                return
            if head[:1] == b"Q":
                s.sendall(self._answer(body[:-1].decode(), key))

    def _answer(self, sql, key):
        self.asked.append(sql)
        while self.holds(sql) and not self.closing and not self.released.acquire(timeout=0.01):
            if self.cancelled[key].is_set():
                self.cancelled[key].clear()
                return error("57014", "canceling statement due to user request") + ready()
        if sql.startswith("SET "):
            made = re.findall(r"(\w+)\s*=\s*E?'([^']*)'", sql)
            return (b"".join(message("S", cstring(name) + cstring(value)) for name, value in made)
                    + message("C", cstring("SET")) * sql.count(";") + ready())
        column = cstring("value") + struct.pack("!IHIhih", 0, 0, 25, -1, -1, 0)
        value = sql.encode()
        return (message("T", struct.pack("!H", 1) + column)
                + message("D", struct.pack("!HI", 1, len(value)) + value)
                + message("C", cstring("SELECT 1")) + ready())

    def _cancel(self, s, key):
        with self.changed:
            self.cancels.append(key)
            self.changed.notify_all()
        while not self.answer_cancels:  # nor heeds them: what holds goes on
            if not s.recv(1):
                return
        if key in self.cancelled:
            self.cancelled[key].set()


class Rogue:
    """A server that says to everybody what it is told to say: behind the startup message, and to each message then."""

    def __init__(self, greeting, answers=()):
        self.greeting, self.answers = greeting, list(answers)
        self.greeted, self.lock = 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        with s:
            try:
                s.recv(10000)
                with self.lock:
                    self.greeted += 1
                s.sendall(self.greeting)
                answers = list(self.answers)
                while s.recv(100000):
                    if answers:
                        s.sendall(answers.pop(0))
            except OSError:
                pass
