# SPDX-License-Identifier: Apache-2.0
"""pgweir (or another pooler with the same ini) under test: start, ask, stop.

One Proxy is one process with a configuration, a log and a unix socket of its own. Start it from the
main thread: it ends when the thread that started it dies.
"""
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

import certs
import cluster as pg
from pgwire import SLOWNESS, PeerClosed, PgError, Wire

CONSOLE_USER = "console"
# Users of the proxy and their passwords; they are also roles of the scratch PostgreSQL.
USERS = {"postgres": "postgres-secret", CONSOLE_USER: "console-secret",
         pg.CONTROL_USER: f"{pg.CONTROL_USER}-secret",
         **{name: f"{name}-secret" for name in pg.ROLES}}

SETTINGS = {
    "listen_addr": "127.0.0.1",
    "auth_type": "trust",
    "admin_users": CONSOLE_USER,
    "pool_mode": "transaction",
    "default_pool_size": 5,
    "max_client_conn": 200,
    "max_prepared_statements": 200,
    "log_connections": 0,
    "log_disconnections": 0,
    "server_login_retry": 1,
    "query_wait_notify": 0,  # on a busy machine some wait for long
    "auth_failure_delay": 0,
}

# PGWEIR_TEST_TLS=1: whatever is tested is tested by TLS, on both sides.
ALL_BY_TLS = bool(os.environ.get("PGWEIR_TEST_TLS"))

CACHE_SETTINGS = {
    "cache": "on",
    "invalidation": "wal",
    "cache_size": "32M",
    "control_user": pg.CONTROL_USER,
}


def ini_text(sections):
    out = []
    for section, entries in sections.items():
        out.append(f"[{section}]")
        out += [f"{name} = {value}" for name, value in entries.items()]
    return "\n".join(out) + "\n"


class Proxy:
    def __init__(self, binary, directory, databases, settings=(), users=None, user_settings=None,
                 peers=None, arguments=(), environment=None, cache_rules=None):
        self.binary = binary
        # pgweir in all tests; PgBouncer when a test is tried against the original.
        self.is_pgweir = "pgbouncer" not in os.path.basename(binary)
        self.directory = tempfile.mkdtemp(prefix="proxy-", dir=directory)
        os.chmod(self.directory, 0o755)
        pg.give(self.directory)
        self.port = dict(settings).get("listen_port") or pg.free_port()
        self.ini = f"{self.directory}/pgweir.ini"
        self.logfile = f"{self.directory}/log"
        self.databases = dict(databases)
        self.users = dict(USERS if users is None else users)
        self.user_settings = dict(user_settings or {})
        self.peers = dict(peers or {})
        self.cache_rules = dict(cache_rules or {})  # name: line, in the order of the dictionary
        self.settings = SETTINGS | {
            "listen_port": self.port,
            "unix_socket_dir": self.directory,
            "auth_file": f"{self.directory}/userlist.txt",
        } | dict(settings)
        self.tls = None  # how clients speak, unless they say otherwise
        if ALL_BY_TLS and "client_tls_sslmode" not in self.settings:
            cert, key = certs.pair_of_all(os.path.dirname(self.directory))
            self.settings |= {"client_tls_sslmode": "allow", "client_tls_cert_file": cert, "client_tls_key_file": key}
            self.tls = certs.blind_context()
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.process = None
        self.ended = None
        self.expect_failure = False
        self.counting, self.counting_lock = None, threading.Lock()  # the console connection of cache()
        self.write()

    # -- configuration

    def write(self):
        """Writes the ini and users files; see reload()."""
        settings = {k: v for k, v in self.settings.items() if v is not None}
        if not self.is_pgweir:
            for name in ("worker_threads", "cache", "cache_size", "cache_max_entry_size", "max_staleness", "auth_failure_delay",
                         "invalidation", "control_user", "http_listen", "query_wait_notify",
                         "max_prepared_statements"):
                settings.pop(name, None)
        databases = {name: " ".join(f"{k}={v}" for k, v in options.items())
                     for name, options in self.databases.items()}
        users = {name: " ".join(f"{k}={v}" for k, v in options.items())
                 for name, options in self.user_settings.items()}
        peers = {number: " ".join(f"{k}={v}" for k, v in options.items())
                 for number, options in self.peers.items()}
        sections = {"databases": databases, "users": users, "peers": peers, "pgbouncer": settings}
        if self.cache_rules:
            sections["cache_rules"] = self.cache_rules
        if not self.is_pgweir:
            # Versions of it differ in the sections that they know.
            sections = {name: entries for name, entries in sections.items() if entries}
        self._put(self.ini, ini_text(sections))
        self._put(f"{self.directory}/userlist.txt",
                  "".join('"%s" "%s"\n' % (name.replace('"', '""'), secret.replace('"', '""'))
                          for name, secret in self.users.items()))

    def _put(self, path, text):
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        pg.give(path + ".new")
        os.rename(path + ".new", path)

    def reload(self, **settings):
        """Changes settings in the file and sends SIGHUP; returns when all workers have it, or it was refused."""
        def ends():
            log = self.log()
            return log.count("configuration is in force") + log.count("config reload failed")
        seen = ends()
        self.hup(**settings)
        self.wait(lambda: ends() > seen, "the reload in the log")

    def hup(self, **settings):
        """The same, but returns when it begins (PgBouncer says no more)."""
        self.settings.update(settings)
        self.write()
        seen = self.log().count("re-reading config")
        self.signal(signal.SIGHUP)
        self.wait(lambda: self.log().count("re-reading config") > seen, "the signal in the log")

    # -- life

    def spawn(self):
        with open(self.logfile, "ab") as log:
            pg.give(self.logfile)
            self.process = pg.spawn([self.binary, *self.arguments, self.ini], stdout=log, stderr=log,
                                    cwd=self.directory, env={**os.environ, **self.environment})
        return self

    def start(self):
        """Returns when it accepts connections, and has said that it is up."""
        self.spawn()
        self.wait_port()
        self.wait_log("process up")
        return self

    def wait_port(self):

        def accepts():
            if self.process.poll() is not None:
                raise AssertionError(f"the proxy ended with {self.process.returncode}:\n{self.log()}")
            try:
                Wire(("127.0.0.1", self.port), 1).socket.close()
                return True
            except OSError:
                return False

        self.wait(accepts, "the proxy's port")

    def signal(self, number):
        self.stop_counting()
        self.process.send_signal(number)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def wait_end(self, timeout=10):
        """Waits for the process; returns its exit status (negative: the signal that killed it)."""
        self.ended = self.process.wait(timeout * SLOWNESS)
        return self.ended

    def stop(self):
        """Immediate shutdown, and the exit status has to be 0."""
        self.stop_counting()
        if not self.process:
            return
        if self.is_running():
            # PgBouncer before 1.23 has its immediate shutdown on SIGTERM.
            self.signal(signal.SIGQUIT if self.is_pgweir else signal.SIGTERM)
            try:
                self.wait_end(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the proxy did not end within 20 s of SIGQUIT") from None
        status = self.process.returncode
        self.process = None
        if status != 0 and not self.expect_failure and self.is_pgweir:
            raise AssertionError(f"the proxy ended with {status}:\n{self.log()[-3000:]}")

    def kill(self):
        self.stop_counting()
        self.expect_failure = True
        if self.is_running():
            self.process.kill()
            self.process.wait()

    # -- watching

    @staticmethod
    def wait(claim, what, timeout=25.0, interval=0.005):
        """Waits for a claim to become true; returns its value."""
        deadline = time.monotonic() + timeout * SLOWNESS
        while True:
            value = claim()
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout * SLOWNESS:.0f} s for {what}")
            time.sleep(interval)

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait_log(self, pattern, timeout=25.0):
        return self.wait(lambda: re.search(pattern, self.log()), f"'{pattern}' in the log", timeout)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- connections

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def socket_path(self):
        return f"{self.directory}/.s.PGSQL.{self.port}"

    def open(self, timeout=20.0, **options):
        """A connection that has said nothing yet."""
        return Wire(self.address, timeout, **{"tls": self.tls, **options})

    def connect(self, database, user="app", password=None, timeout=20.0, unix=False, tls=None, direct=False, **params):
        wire = Wire(self.socket_path if unix else self.address, timeout, tls=tls or (None if unix else self.tls), direct=direct)
        try:
            return wire.login(user, database, self.users.get(user) if password is None else password,
                              **params)
        except BaseException:
            wire.close()
            raise

    def refused(self, database, user="app", password=None, **params):
        """Expects the login to fail; returns the error."""
        try:
            self.connect(database, user, password, **params).close()
        except PgError as error:
            return error
        except PeerClosed as closed:
            if closed.error:
                return closed.error
            raise
        raise AssertionError("the login was expected to fail")

    # -- console and metrics

    def console(self, command):
        """Rows of one console command as dictionaries."""
        self.stop_counting()
        with self.connect("pgbouncer", CONSOLE_USER) as c:
            return c.query(command).dicts

    def pool(self, database, user="app"):
        for row in self.console("SHOW POOLS"):
            if row["database"] == database and row["user"] == user:
                return row
        return None

    def http(self, path):
        """(status, body) of the proxy's HTTP port (setting http_listen)."""
        self.stop_counting()
        url = f"http://{self.settings['http_listen']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5 * SLOWNESS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def counted(self, command):
        """As console(), on a connection that is kept until something else is done: figures are asked for all the time."""
        with self.counting_lock:
            if self.counting is not None:
                try:
                    return self.counting.query(command).dicts
                except (PeerClosed, PgError, OSError):  # of another process, perhaps
                    self.counting.close()
            self.counting = self.connect("pgbouncer", CONSOLE_USER)
            return self.counting.query(command).dicts

    def stop_counting(self):
        with self.counting_lock:
            if self.counting is not None:
                self.counting.close()
            self.counting = None

    def cache(self):
        """SHOW CACHE as one dictionary of numbers: totals over the databases."""
        totals = {}
        for row in self.counted("SHOW CACHE"):
            # Either a row for each value (name, value) or a column for each.
            pairs = [(row["name"], row["value"])] if set(row) >= {"name", "value"} else row.items()
            for name, value in pairs:
                try:
                    totals[name] = totals.get(name, 0) + float(value)
                except (TypeError, ValueError):
                    totals.setdefault(name, value)
        return totals

    def describe(self):
        return json.dumps({"ini": self.ini, "log": self.logfile})
