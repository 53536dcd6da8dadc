# SPDX-License-Identifier: Apache-2.0
"""A short-lived place for a run: a directory, free ports, child processes, a PostgreSQL cluster.

Whatever is started here is stopped here, also after Ctrl-C or an error. Root is given up for
PostgreSQL and the proxies (both refuse it): they run as user postgres then.
"""
import ctypes
import glob
import os
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1  # prctl(2)
SUPERUSER = "bench"
DATABASE = "bench"


class BenchError(Exception):
    """Something the user has to know; printed without a traceback."""


def require(program, package):
    """The full path of a program, or an error that names the package."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if not path:
        raise BenchError(f"{program} is missing: run `make deps`, or install {package}")
    return path


def postgres_bin():
    """The directory of the newest PostgreSQL server on this machine."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if found:
        newest = max(found, key=lambda path: float(path.split("/")[4]))
        return os.path.dirname(newest)
    return os.path.dirname(require("postgres", "postgresql"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def raise_file_limit():
    """A thousand clients need more descriptors than the usual soft limit of 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Scratch:
    """The directory of one run, its processes, and the user they run as."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="pgweir-bench-")
        self.processes = []  # owns; stopped last in, first out
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            try:
                entry = pwd.getpwnam(self.user)
            except KeyError:
                os.rmdir(self.path)
                raise BenchError("no user postgres: run `make deps`, or install postgresql")
            os.chown(self.path, entry.pw_uid, entry.pw_gid)
        os.chmod(self.path, 0o755)

    def _credentials(self):
        if os.geteuid() != 0:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def file(self, name, text):
        """Writes a file into the directory, readable by the programs started in it."""
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path

    def writable(self, name):
        """The path of an empty file that the programs started here may write."""
        path = self.file(name, "")
        os.chmod(path, 0o666)
        return path

    def copy_program(self, source, name):
        """A private copy: a build that goes on meanwhile, or a closed home, does not matter."""
        path = os.path.join(self.path, name)
        shutil.copyfile(source, path)
        os.chmod(path, 0o755)
        return path

    def run(self, command, **more):
        """Runs a program to its end as the scratch user; its output is the error when it fails."""
        done = subprocess.run(command, cwd=self.path, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              **self._credentials(), **more)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)} failed:\n{done.stdout}")
        return done.stdout

    def start(self, command, log_name):
        """Starts a program in the background as the scratch user; its output goes to a file."""
        with open(os.path.join(self.path, log_name), "ab") as log:
            process = subprocess.Popen(command, cwd=self.path, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True,
                                       preexec_fn=_die_with_parent, **self._credentials())
        process.log_path = os.path.join(self.path, log_name)
        self.processes.append(process)
        return process

    def stop(self, process, signals=(signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL), wait_s=10):
        """Asks a process to end, ever less politely; returns the signal that did it, or None."""
        if process in self.processes:
            self.processes.remove(process)
        if process.poll() is not None:
            return None
        for number in signals:
            process.send_signal(number)
            try:
                process.wait(wait_s)
                return number
            except subprocess.TimeoutExpired:
                continue
        return None

    def close(self):
        for process in reversed(list(self.processes)):
            if process.poll() is None:
                self.stop(process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), 5)
        shutil.rmtree(self.path, ignore_errors=True)


def log_tail(process, lines=8):
    try:
        with open(process.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:]).strip()
    except OSError:
        return ""


class Cluster:
    """A PostgreSQL of our own. start(): with the pgbench tables, warmed; launch(): with nothing."""

    SETTINGS = {
        "listen_addresses": "'127.0.0.1'",
        "max_connections": "1300",
        "shared_buffers": "'1GB'",  # the tables of scale 50 (750 MB) fit: reads need no kernel
        "wal_level": "logical",
        "fsync": "off",
        "full_page_writes": "off",
        "autovacuum": "off",        # nothing may wake up in the middle of a round
        "checkpoint_timeout": "'1h'",
        "max_wal_size": "'8GB'",
        "log_checkpoints": "off",
    }

    def __init__(self, scratch, scale=None, settings=None):
        self.scratch = scratch
        self.bin = postgres_bin()
        self.port = free_port()
        self.scale = scale
        self.settings = {**self.SETTINGS, **(settings or {})}
        self.process = None

    def launch(self):
        data = os.path.join(self.scratch.path, "data")
        self.scratch.run([f"{self.bin}/initdb", "-D", data, "-U", SUPERUSER, "-A", "trust",
                          "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"])
        self.serve()

    def serve(self):
        """Starts the server process; the data are there."""
        data = os.path.join(self.scratch.path, "data")
        command = [f"{self.bin}/postgres", "-D", data, "-p", str(self.port),
                   "-c", f"unix_socket_directories={self.scratch.path}"]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value.strip(chr(39))}"]
        self.process = self.scratch.start(command, "postgres.log")
        wait_ready(self.process, self.scratch.path, self.port, "template1")

    def restart(self):
        """Ends all connections, those that still wait for their process as well."""
        self.scratch.stop(self.process, (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
        self.serve()

    def start(self):
        self.launch()
        self.sql(f"CREATE DATABASE {DATABASE}", "template1")
        self._tables()
        self.sql("CREATE EXTENSION pg_prewarm; CHECKPOINT;"
                 "SELECT pg_prewarm('pgbench_accounts'), pg_prewarm('pgbench_accounts_pkey')")

    def _tables(self):
        """pgbench's tables, but that the balance of an account is its key: whoever reads it can
        tell whether it is the right row."""
        initialise = [f"{self.bin}/pgbench", "-i", "-q", "-s", str(self.scale),
                      *address(self.scratch.path, self.port)]
        self.scratch.run([*initialise, "-I", "dt", DATABASE])
        self.sql(f"INSERT INTO pgbench_branches SELECT n, 0 FROM generate_series(1, {self.scale}) n;"
                 "INSERT INTO pgbench_tellers SELECT n, (n - 1) / 10 + 1, 0 "
                 f"FROM generate_series(1, {self.scale * 10}) n;"
                 "INSERT INTO pgbench_accounts SELECT n, (n - 1) / 100000 + 1, n, '' "
                 f"FROM generate_series(1, {self.scale * 100000}) n")
        self.scratch.run([*initialise, "-I", "vp", DATABASE])

    def sql(self, text, database=DATABASE):
        """Runs SQL directly on the server; the result as unaligned text."""
        return self.scratch.run([f"{self.bin}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1",
                                 *address(self.scratch.path, self.port), "-d", database,
                                 "-c", text]).strip()

    def account_scans(self):
        """Reads of pgbench_accounts that the server has counted so far (it counts late, by up
        to a second)."""
        return int(self.sql("SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_tables "
                            "WHERE relname = 'pgbench_accounts'"))

    def version(self):
        return re.sub(r"\s*\(.*", "", self.sql("SHOW server_version", "template1"))


def address(host, port):
    return ["-h", host, "-p", str(port), "-U", SUPERUSER]


def wait_ready(process, host, port, database, limit_s=60):
    """Waits until a query is answered; an error with the last log lines when it never is."""
    psql = [f"{postgres_bin()}/psql", "-XqAt", *address(host, port), "-d", database]
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            done = subprocess.run([*psql, "-c", "SELECT 1"], stdin=subprocess.DEVNULL, timeout=15,
                                  capture_output=True, text=True, check=False)
            if done.returncode == 0 and done.stdout.strip() == "1":
                return
        except subprocess.TimeoutExpired:
            pass
        time.sleep(0.1)
    raise BenchError(f"{process.args[0]} does not answer:\n{log_tail(process)}")
