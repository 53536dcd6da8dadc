# SPDX-License-Identifier: Apache-2.0
"""A small client for PostgreSQL's protocol 3.0, close to the bytes on purpose.

It exists so that a test can say exactly what goes over the wire (half a message, seven Syncs, a bad
length) and see exactly what comes back. One connection belongs to one thread. Every wait has a
timeout in seconds, and a timeout is an error: a test never hangs.
"""
import base64
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct
import time

PROTOCOL_3 = 196608
CANCEL_CODE = 80877102
SSL_CODE = 80877103
GSS_CODE = 80877104

# Everything is slower under a sanitizer; the runner says by how much.
SLOWNESS = float(os.environ.get("PGWEIR_TEST_SLOWNESS", "1"))


class PgError(Exception):
    """An ErrorResponse: .sqlstate, .text, .severity, and .fields by their one-letter names."""

    def __init__(self, fields):
        self.fields = fields
        self.sqlstate = fields.get("C", "")
        self.text = fields.get("M", "")
        self.severity = fields.get("S", "")
        super().__init__(f"{self.severity} {self.sqlstate}: {self.text}")


class PeerClosed(Exception):
    """The other side closed the connection; .error is the ErrorResponse it said before, if any."""

    def __init__(self, error=None):
        self.error = error
        super().__init__(f"connection closed by peer ({error})" if error else "connection closed by peer")


# ---- messages to send


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def cstring(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def query(sql):
    return message("Q", cstring(sql))


def parse(sql, name="", types=()):
    return message("P", cstring(name) + cstring(sql) + struct.pack("!H", len(types))
                   + b"".join(struct.pack("!I", t) for t in types))


def bind(statement="", params=(), portal="", param_formats=(), result_formats=()):
    body = cstring(portal) + cstring(statement)
    body += struct.pack("!H", len(param_formats)) + b"".join(struct.pack("!H", f) for f in param_formats)
    body += struct.pack("!H", len(params))
    for value in params:
        if value is None:
            body += struct.pack("!i", -1)
            continue
        raw = value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack("!I", len(raw)) + raw
    body += struct.pack("!H", len(result_formats)) + b"".join(struct.pack("!H", f) for f in result_formats)
    return message("B", body)


def describe(kind="P", name=""):
    return message("D", kind.encode() + cstring(name))


def execute(portal="", max_rows=0):
    return message("E", cstring(portal) + struct.pack("!I", max_rows))


def close(kind="S", name=""):
    return message("C", kind.encode() + cstring(name))


def sync():
    return message("S")


def flush():
    return message("H")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(why):
    return message("f", cstring(why))


def terminate():
    return message("X")


def startup(params, code=PROTOCOL_3):
    body = struct.pack("!I", code) + b"".join(cstring(k) + cstring(v) for k, v in params.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def unit(sql, params=(), name="", binary=False, describe_it=True, param_formats=()):
    """Parse, Bind, Describe, Execute, Sync: what most drivers send for one statement."""
    out = parse(sql, name) + bind(name, params, param_formats=param_formats,
                                  result_formats=(1,) if binary else ())
    return out + (describe() if describe_it else b"") + execute() + sync()


# ---- messages received


class Message:
    __slots__ = ("kind", "body")

    def __init__(self, kind, body):
        self.kind, self.body = kind, body

    def __repr__(self):
        return f"{self.kind}({len(self.body)})"

    @property
    def raw(self):
        return message(self.kind, self.body)


def error_fields(body):
    fields = {}
    for part in bytes(body).split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode(errors="replace")
    return fields


def data_row(body):
    (n,) = struct.unpack_from("!H", body)
    at, row = 2, []
    for _ in range(n):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        if length < 0:
            row.append(None)
        else:
            row.append(bytes(body[at:at + length]))
            at += length
    return row


class Reply:
    """The messages of one answer, up to a ReadyForQuery or what else was waited for."""

    def __init__(self, messages):
        self.messages = messages

    @property
    def kinds(self):
        return "".join(m.kind for m in self.messages)

    @property
    def raw(self):
        return b"".join(m.raw for m in self.messages)

    @property
    def rows_raw(self):
        return [data_row(m.body) for m in self.messages if m.kind == "D"]

    @property
    def rows(self):
        return [tuple(None if v is None else v.decode() for v in row) for row in self.rows_raw]

    @property
    def columns(self):
        for m in self.messages:
            if m.kind == "T":
                (n,) = struct.unpack_from("!H", m.body)
                at, names = 2, []
                for _ in range(n):
                    end = m.body.index(b"\0", at)
                    names.append(m.body[at:end].decode())
                    at = end + 19
                return names
        return []

    @property
    def dicts(self):
        columns = self.columns
        return [dict(zip(columns, row)) for row in self.rows]

    @property
    def tags(self):
        return [m.body[:-1].decode() for m in self.messages if m.kind == "C"]

    @property
    def errors(self):
        return [PgError(error_fields(m.body)) for m in self.messages if m.kind == "E"]

    @property
    def notices(self):
        return [error_fields(m.body) for m in self.messages if m.kind == "N"]

    @property
    def status(self):
        ready = [m for m in self.messages if m.kind == "Z"]
        return ready[-1].body.decode() if ready else None

    @property
    def value(self):
        """The first column of the first row, as text."""
        return self.rows[0][0]

    def sqlstate(self):
        errors = self.errors
        return errors[0].sqlstate if errors else None

    def check(self):
        errors = self.errors
        if errors:
            raise errors[0]
        return self


# ---- SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side


class Scram:
    def __init__(self, password):
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.first_bare = f"n=,r={self.nonce}"

    def first(self):
        return ("n,," + self.first_bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        if not fields["r"].startswith(self.nonce):
            raise AssertionError("SCRAM: the server changed our nonce")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        bare = "c=biws,r=" + fields["r"]
        auth = f"{self.first_bare},{text},{bare}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = base64.b64encode(hmac.digest(server_key, auth, "sha256")).decode()
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final):
        if server_final.decode() != "v=" + self.expected:
            raise AssertionError("SCRAM: the server's signature is wrong")


def md5_response(user, password, salt):
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


# ---- a connection


class Wire:
    """One connection. address is (host, port), or the path of a unix socket. tls: a context of Python's ssl
    module; direct: without an SSLRequest before it. source: an address of this machine, to come from."""

    def __init__(self, address, timeout=20.0, receive_buffer=None, tls=None, direct=False, source=None):
        self.address = address
        self.timeout = timeout * SLOWNESS
        self.buffer = bytearray()
        self.at = 0
        self.parameters = {}
        self.pid, self.key, self.cancel_key = None, None, None
        self.status = None
        self.last_error = None
        self.auth_codes = []
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(self.timeout)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls, self.direct = tls, direct
        if tls:
            try:
                self.start_tls()
            except BaseException:
                self.socket.close()
                raise

    def start_tls(self):
        if not self.direct:
            self.socket.sendall(struct.pack("!II", 8, SSL_CODE))
            answer = self.socket.recv(1)
            if answer != b"S":
                raise PeerClosed(f"no TLS here: {answer}")
        self.socket = self.tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- bytes

    def send(self, *parts):
        try:
            self.socket.sendall(b"".join(parts))
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # What the peer said before it closed is still there to read.
            error = self._last_words()
            raise PeerClosed(error) from None

    def _last_words(self):
        try:
            while True:
                m = self.read(2)
                if m.kind == "E":
                    self.last_error = PgError(error_fields(m.body))
        except (PeerClosed, OSError):
            return self.last_error

    def _fill(self, need, deadline):
        while len(self.buffer) - self.at < need:
            if self.at > 1 << 20:
                del self.buffer[:self.at]
                self.at = 0
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"nothing to read (have {len(self.buffer) - self.at} bytes)")
            self.socket.settimeout(left)
            try:
                chunk = self.socket.recv(1 << 18)
            except (ConnectionResetError, ssl.SSLEOFError):
                chunk = b""
            finally:
                self.socket.settimeout(self.timeout)
            if not chunk:
                raise PeerClosed(self.last_error)
            self.buffer += chunk

    def read_bytes(self, n, timeout=None):
        self._fill(n, time.monotonic() + (timeout or self.timeout))
        out = bytes(self.buffer[self.at:self.at + n])
        self.at += n
        if self.at == len(self.buffer):
            self.buffer.clear()
            self.at = 0
        return out

    # -- messages

    def read(self, timeout=None):
        """One message; ParameterStatus and key data are also remembered."""
        deadline = time.monotonic() + (timeout or self.timeout)
        self._fill(5, deadline)
        (length,) = struct.unpack_from("!I", self.buffer, self.at + 1)
        if length < 4:
            raise AssertionError(f"a message with length {length}")
        self._fill(1 + length, deadline)
        kind = chr(self.buffer[self.at])
        body = bytes(memoryview(self.buffer)[self.at + 5:self.at + 1 + length])
        self.at += 1 + length
        if self.at == len(self.buffer):
            self.buffer = bytearray()
            self.at = 0
        if kind == "S":
            name, value = body[:-1].split(b"\0")[:2]
            self.parameters[name.decode()] = value.decode()
        elif kind == "K":
            # The secret is four bytes with protocol 3.0; with 3.2 it may be any number of them.
            self.cancel_key = body
            self.pid, = struct.unpack_from("!I", body)
            self.key = struct.unpack("!I", body[4:])[0] if len(body) == 8 else body[4:]
        elif kind == "Z":
            self.status = body.decode()
        elif kind == "E":
            self.last_error = PgError(error_fields(body))
        return Message(kind, body)

    def until(self, kinds, timeout=None):
        """Messages up to and with the first whose kind is in kinds."""
        got = []
        while True:
            m = self.read(timeout)
            got.append(m)
            if m.kind in kinds:
                return Reply(got)

    def until_ready(self, times=1, timeout=None):
        got = []
        for _ in range(times):
            got += self.until("Z", timeout).messages
        return Reply(got)

    def is_quiet(self, seconds=0.05):
        """True when nothing arrives for that long; 0: when nothing is there."""
        if seconds == 0 and self.tls is None:
            return self.at == len(self.buffer) and not select.select([self.socket], [], [], 0)[0]
        try:
            self._fill(1, time.monotonic() + seconds)
            return False
        except TimeoutError:
            return True

    def wait_closed(self, timeout=None):
        """Reads on until the peer closes; returns the messages it sent before."""
        got = []
        try:
            while True:
                got.append(self.read(timeout))
        except PeerClosed:
            return Reply(got)

    # -- login

    def login(self, user, database, password=None, **params):
        self.send(startup({"user": user, "database": database, **params}))
        scram = None
        while True:
            m = self.read()
            if m.kind == "E":
                raise PgError(error_fields(m.body))
            if m.kind == "Z":
                return self
            if m.kind != "R":
                continue
            (code,) = struct.unpack_from("!I", m.body)
            self.auth_codes.append(code)
            if code == 0:
                continue
            if password is None:
                raise AssertionError(f"a password is asked for (code {code})")
            if code == 3:
                self.send(message("p", cstring(password)))
            elif code == 5:
                self.send(message("p", cstring(md5_response(user, password, m.body[4:8]))))
            elif code == 10:
                assert b"SCRAM-SHA-256" in m.body[4:].split(b"\0")
                scram = Scram(password)
                first = scram.first()
                self.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
            elif code == 11:
                self.send(message("p", scram.final(m.body[4:])))
            elif code == 12:
                scram.verify(m.body[4:])
            else:
                raise AssertionError(f"unknown authentication request {code}")

    # -- whole exchanges

    def ask(self, *parts, times=1, timeout=None):
        """Sends, and returns what comes up to the given number of ReadyForQuery. Raises nothing."""
        self.send(*parts)
        return self.until_ready(times, timeout)

    def query(self, sql, timeout=None):
        """A simple query; an error is raised after its ReadyForQuery."""
        return self.ask(query(sql), timeout=timeout).check()

    def value(self, sql, timeout=None):
        return self.query(sql, timeout).value

    def run(self, sql, params=(), name="", binary=False, describe_it=True, timeout=None):
        """One statement by the extended protocol; an error is raised after its ReadyForQuery."""
        return self.ask(unit(sql, params, name, binary, describe_it), timeout=timeout).check()

    def cancel(self):
        """Sends a cancel request for this connection on one of its own, and waits for its end."""
        with Wire(self.address, self.timeout / SLOWNESS, tls=self.tls, direct=self.direct) as other:
            other.send(struct.pack("!II", 8 + len(self.cancel_key), CANCEL_CODE) + self.cancel_key)
            try:
                other.read_bytes(1)
            except PeerClosed:
                pass

    def abort(self):
        """Closes with a reset, as a client that dies."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        if self.socket.fileno() < 0:
            return
        try:
            self.socket.settimeout(1)
            self.socket.sendall(terminate())
        except OSError:
            pass
        self.socket.close()


def last_error(w):
    """What a connection is told that is not let in."""
    try:
        while True:
            m = w.read()
            if m.kind == "E":
                return PgError(error_fields(m.body))
            assert m.kind != "Z", "it was let in"
    except PeerClosed as closed:
        assert closed.error, "closed without a word"
        return closed.error
