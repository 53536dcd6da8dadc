# SPDX-License-Identifier: Apache-2.0
"""What is measured: the server itself, PgBouncer, pgweir in several settings, two that a hit is compared
with: Redis, and a loop that answers everything with the same row (bare.c); Pgpool-II with its query
cache; and a loop that passes on everything and knows nothing (relay.c).

All proxies get the same words wherever the words exist: transaction mode, a pool of 20, trust,
no log line for a connection.
"""
import os
import re
import socket
import subprocess
import time

import scratch as place

POOL_SIZE = 20
SESSION_POOL_SIZE = 100  # in session mode: a server connection for each client
PREPARED_STATEMENTS = 200
TRANSPORTS = ("tcp", "unix")

TITLES = {
    "direct": "direct",
    "pgbouncer": "PgBouncer",
    "pgbouncer-session": "PgBouncer (session mode)",
    "pgweir": "pgweir",
    "pgweir-session": "pgweir (session mode)",
    "pgweir-2w": "pgweir, 2 workers",
    "pgweir-cache": "pgweir, cache",
    "pgweir-cache-2w": "pgweir, cache, 2 workers",
    "bare": "bare loop",
    "relay": "bare relay",
    "redis": "Redis",
    "pgpool": "Pgpool-II, query cache",
}
PGWEIR_SETTINGS = {
    "pgweir": {"worker_threads": 1, "cache": "off"},
    "pgweir-session": {"worker_threads": 1, "cache": "off", "pool_mode": "session",
                       "default_pool_size": SESSION_POOL_SIZE},
    "pgweir-2w": {"worker_threads": 2, "cache": "off"},
    "pgweir-cache": {"worker_threads": 1, "cache": "on"},
    "pgweir-cache-2w": {"worker_threads": 2, "cache": "on"},
}
PGPOOL_CLIENTS = 80    # a process each, and a server connection each
PGPOOL_SETTINGS = {
    "backend_clustering_mode": "raw", "num_init_children": PGPOOL_CLIENTS, "max_pool": 1,
    "listen_addresses": "127.0.0.1", "backend_hostname0": "127.0.0.1", "pool_passwd": "",
    "memory_cache_enabled": "on", "memqcache_method": "shmem", "memqcache_total_size": "256MB",
    "memqcache_max_num_cache": 1000000,
}
REDIS_KEYS = 1000
REDIS_READY_S = 20
CACHE_SETTINGS = {"cache_size": "256M", "invalidation": "wal", "control_user": place.SUPERUSER}


class Target:
    """One thing to put a load on. `process` is None for the server itself."""

    def __init__(self, name, host, port, process=None):
        self.name = name
        self.title = TITLES[name]
        self.host = host
        self.port = port
        self.process = process

    @property
    def cached(self):
        return "cache" in self.name

    def address(self):
        return place.address(self.host, self.port)

    def died(self):
        """The last log lines of a proxy that has ended by itself, else None."""
        if self.process is None or self.process.poll() is None:
            return None
        return f"exit {self.process.returncode}: {place.log_tail(self.process)}"


class Maker:
    """Starts targets in front of one database of a cluster."""

    def __init__(self, scratch, cluster, pgweir_path, pgbouncer_path=None, transport="tcp",
                 database=place.DATABASE, users=(place.SUPERUSER,)):
        self.scratch = scratch
        self.cluster = cluster
        self.host = "127.0.0.1" if transport == "tcp" else scratch.path
        self.pgbouncer = pgbouncer_path
        self.pgweir = self.built = pgweir_path
        self.bare = self.relay = self.redis = self.pgpool = None
        self.database = database
        self.users = scratch.file("userlist.txt", "".join(f'"{user}" ""\n' for user in users))
        self.serial = 0

    def needs(self, names):
        """Fails now, not in the middle of a run, when a program is missing."""
        if any(name.startswith("pgbouncer") for name in names):
            path = self.pgbouncer or place.require("pgbouncer", "pgbouncer")
            self.pgbouncer = self._own_copy(path, "pgbouncer")
        if any(name.startswith("pgweir") for name in names):
            self.pgweir = self._own_copy(self.pgweir, "pgweir")
        if "bare" in names:
            self.bare = self._own_copy(os.path.join(os.path.dirname(self.built), "bench/bare"), "bare")
        if "relay" in names:
            self.relay = self._own_copy(os.path.join(os.path.dirname(self.built), "bench/relay"), "relay")
        if "redis" in names:
            self.redis = place.require("redis-server", "redis-server")
        if "pgpool" in names:
            self.pgpool = place.require("pgpool", "pgpool2")

    def _own_copy(self, path, name):
        if not os.access(path, os.X_OK):
            raise place.BenchError(f"{path} is missing (for pgweir: run `make`)")
        return self.scratch.copy_program(path, f"{name}-under-test")

    def pgbouncer_version(self):
        text = subprocess.run([self.pgbouncer, "--version"], capture_output=True, text=True,
                              check=False).stdout
        found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
        return tuple(int(part or 0) for part in found.groups()) if found else (0, 0, 0)

    def pgbouncer_prepares(self):
        """Prepared statements in transaction mode came with PgBouncer 1.21."""
        return self.pgbouncer_version() >= (1, 21, 0)

    def start(self, name, wrapper=(), more=None, sections="", server_port=None):
        """Starts a target; `wrapper` is put before the command, `more` are further settings,
        `sections` further sections of the file; its server is behind server_port, if that is said."""
        if name == "direct":
            return Target(name, self.host, self.cluster.port)
        self.serial += 1
        port = place.free_port()
        if name in ("bare", "relay", "redis", "pgpool"):
            return self._start_other(name, port, wrapper)
        program, section, settings = self._settings(name)
        settings.update(more or {})
        settings["listen_port"] = port
        text = f"[databases]\n{self.database} = host={self.host} port={server_port or self.cluster.port} " \
               f"dbname={self.database}\n\n[{section}]\n"
        text += "".join(f"{key} = {value}\n" for key, value in settings.items()) + sections
        ini = self.scratch.file(f"{name}-{self.serial}.ini", text)
        process = self.scratch.start([*wrapper, program, "-q", ini], f"{name}-{self.serial}.log")
        target = Target(name, self.host, port, process)
        place.wait_ready(process, self.host, port, self.database)
        return target

    def _start_other(self, name, port, wrapper):
        """What has no file like PgBouncer's; all of them listen on 127.0.0.1 alone."""
        command = {
            "bare": [self.bare, str(port)],
            "relay": [self.relay, str(port), str(self.cluster.port), place.SUPERUSER, self.database, str(POOL_SIZE)],
            "redis": [self.redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                      "no", "--dir", self.scratch.path],
            "pgpool": [self.pgpool]}[name]
        if name == "pgpool":
            command += ["-n", "-f", self._pgpool_file(port)]
        process = self.scratch.start([*wrapper, *command], f"{name}-{self.serial}.log")
        if name != "redis":
            place.wait_ready(process, "127.0.0.1", port, place.DATABASE)
        else:
            _fill_redis(process, port)
        return Target(name, "127.0.0.1", port, process)

    def _pgpool_file(self, port):
        own = self.scratch.path
        settings = {**PGPOOL_SETTINGS, "port": port, "backend_port0": self.cluster.port,
                    "pcp_port": place.free_port(), "unix_socket_directories": own, "pcp_socket_dir": own,
                    "pid_file_name": os.path.join(own, "pgpool.pid"), "logdir": own, "memqcache_oiddir": own}
        return self.scratch.file(f"pgpool-{self.serial}.conf",
                                 "".join(f"{key} = '{value}'\n" for key, value in settings.items()))

    def _settings(self, name):
        settings = {
            "listen_addr": "127.0.0.1",
            "unix_socket_dir": self.scratch.path,
            "auth_type": "trust",
            "auth_file": self.users,
            "pool_mode": "transaction",
            "default_pool_size": POOL_SIZE,
            "max_client_conn": 2000,
            "log_connections": 0,
            "log_disconnections": 0,
            "log_stats": 0,
        }
        if name in PGWEIR_SETTINGS:
            settings.update(PGWEIR_SETTINGS[name])
            settings["max_prepared_statements"] = PREPARED_STATEMENTS
            if settings["cache"] == "on":
                settings.update(CACHE_SETTINGS)
            return self.pgweir, "pgweir", settings
        if name == "pgbouncer-session":
            settings.update({"pool_mode": "session", "default_pool_size": SESSION_POOL_SIZE})
        elif self.pgbouncer_prepares():
            settings["max_prepared_statements"] = PREPARED_STATEMENTS
        return self.pgbouncer, "pgbouncer", settings


def _fill_redis(process, port):
    """The rows of the loads, as soon as it listens: the key of each is its value."""
    deadline = time.monotonic() + REDIS_READY_S
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), REDIS_READY_S)
            break
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise place.BenchError(f"Redis: {error}: {place.log_tail(process)}") from error
            time.sleep(0.05)
    with connection:
        for key in range(1, REDIS_KEYS + 1):
            connection.sendall(b"SET account:%d %d\r\n" % (key, key))
        answers = b""
        while len(answers) < len(b"+OK\r\n") * REDIS_KEYS:
            more = connection.recv(65536)
            if not more or b"-" in more:
                raise place.BenchError(f"Redis does not keep what it is given: {more!r}")
            answers += more
