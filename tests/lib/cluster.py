# SPDX-License-Identifier: Apache-2.0
"""A scratch PostgreSQL: made, started, changed and removed by one run of the tests or of `make run`.

It never touches an existing cluster: own data directory, own socket directory, a free port. As root
it runs as an unprivileged user. It ends with the process that started it, also when that is killed.
"""
import ctypes
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from pgwire import SLOWNESS, PgError, Wire

SUPERUSER = "postgres"
# Who pgweir's control connections are: what docs ask for and nothing more.
CONTROL_USER = "control"
# Roles for logins, each with the password "<name>-secret". The first part of a name says how
# pg_hba.conf lets it in over TCP.
ROLES = {"srv_trust": "scram-sha-256", "srv_plain": "scram-sha-256", "srv_md5": "md5",
         "srv_scram": "scram-sha-256", "app": "scram-sha-256", "other": "scram-sha-256"}

HBA = """
local all all trust
host all,replication control 127.0.0.1/32 scram-sha-256
host all srv_md5 127.0.0.1/32 md5
host all srv_scram 127.0.0.1/32 scram-sha-256
host all srv_plain 127.0.0.1/32 password
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""

SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": 20,
    "max_replication_slots": 20,
    "max_prepared_transactions": 10,
    "max_connections": 200,
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "unix_socket_permissions": "0777",
}


def unprivileged_user():
    """Who servers run as: None when we are not root (then: ourselves)."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise SystemExit("no unprivileged user to run PostgreSQL as")


USER = unprivileged_user()


def end_with_parent():
    """In a child before exec: the kernel ends it when the starter dies (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def spawn(argv, **options):
    """Popen as the unprivileged user, in a process group of its own (Ctrl-C is ours to handle)."""
    if USER:
        options |= {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []}
    return subprocess.Popen([str(a) for a in argv], preexec_fn=end_with_parent, start_new_session=True,
                            stdin=subprocess.DEVNULL, **options)


def call(argv, **options):
    process = spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed:\n{output}")
    return output


def give(path):
    """Hands a file or directory of ours to the unprivileged user."""
    if USER:
        os.chown(path, USER.pw_uid, USER.pw_gid)


def reachable(path):
    """Can the unprivileged user get at it?"""
    if not USER:
        return True
    return subprocess.run(["test", "-x", path], user=USER.pw_uid, group=USER.pw_gid, extra_groups=[],
                          check=False).returncode == 0


def scratch_directory(build, purpose):
    """A new directory under build/, or under /tmp when build/ is too deep for a socket's path
    (107 bytes) or closed to the unprivileged user."""
    os.makedirs(build, exist_ok=True)
    base = os.path.abspath(build)
    if len(base) > 60 or not reachable(base):
        base = "/tmp"
    path = tempfile.mkdtemp(prefix=f"{purpose}-", dir=base)
    os.chmod(path, 0o755)
    give(path)
    return path


def free_port():
    """Below the range that outgoing connections take theirs from: nobody is given it by chance before
    it is listened on."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def find_bindir():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                   key=lambda p: float(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    initdb = shutil.which("initdb")
    if not initdb:
        raise SystemExit("no PostgreSQL server found: try `make deps`")
    return os.path.dirname(os.path.realpath(initdb))


class Cluster:
    def __init__(self, directory):
        self.bindir = find_bindir()
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.logfile = os.path.join(directory, "postgres.log")
        self.port = free_port()
        self.process = None

    # -- life

    def create(self, settings=()):
        call([f"{self.bindir}/initdb", "-D", self.data, "-U", SUPERUSER, "-A", "trust", "--no-sync",
              "-E", "UTF8", "--locale=C", "--no-instructions"])
        values = SETTINGS | dict(settings) | {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.directory}
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as f:
            f.writelines(f"{name} = '{value}'\n" for name, value in values.items())
        with open(f"{self.data}/pg_hba.conf", "w", encoding="utf-8") as f:
            f.write(HBA)
        return self

    def start(self):
        with open(self.logfile, "ab") as log:
            give(self.logfile)
            self.process = spawn([f"{self.bindir}/postgres", "-D", self.data], stdout=log, stderr=log,
                                 cwd=self.directory)
        deadline = time.monotonic() + 30 * SLOWNESS
        while True:
            try:
                self.sql("SELECT 1")
                return self
            except (OSError, PgError, TimeoutError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("PostgreSQL did not start:\n" + self.log()) from None
                time.sleep(0.02)

    def make_roles(self):
        for name, encryption in ROLES.items():
            self.sql(f"SET password_encryption = '{encryption}'; "
                     f"CREATE ROLE {name} LOGIN PASSWORD '{name}-secret'")
        self.sql(f"CREATE ROLE {CONTROL_USER} LOGIN REPLICATION PASSWORD '{CONTROL_USER}-secret'")
        return self

    def roles_as_made(self):
        """What a test gave to the roles of all tests is taken away."""
        self.sql(f"""DO $$ DECLARE r record; BEGIN
            FOR r IN SELECT setrole::regrole AS role FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole <> 0 LOOP
                EXECUTE format('ALTER ROLE %s RESET ALL', r.role); END LOOP;
            FOR r IN SELECT roleid::regrole AS given, member::regrole AS member FROM pg_auth_members
                WHERE member::regrole::text IN ({", ".join(f"'{name}'" for name in ROLES)}) LOOP
                EXECUTE format('REVOKE %s FROM %s', r.given, r.member); END LOOP;
            END $$""")

    def stop(self, mode=signal.SIGINT):
        """SIGINT: fast; SIGQUIT: as a crash."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(mode)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
        self.process = None

    def restart(self, mode=signal.SIGINT):
        self.stop(mode)
        self.start()

    def remove(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- use

    @property
    def socket_path(self):
        return f"{self.directory}/.s.PGSQL.{self.port}"

    def connect(self, database="postgres", user=SUPERUSER, tcp=False, timeout=20.0, **params):
        address = ("127.0.0.1", self.port) if tcp else self.socket_path
        wire = Wire(address, timeout)
        try:
            return wire.login(user, database, f"{user}-secret", **params)
        except BaseException:
            wire.close()
            raise

    def sql(self, text, database="postgres", user=SUPERUSER, timeout=20.0):
        """Runs one simple query on a connection of its own; returns its rows."""
        with self.connect(database, user, timeout=timeout) as c:
            return c.query(text).rows

    def configure(self, **settings):
        """ALTER SYSTEM (None resets) and reload; returns when new sessions see it."""
        with self.connect() as c:
            for name, value in settings.items():
                c.query(f"ALTER SYSTEM RESET {name}" if value is None
                        else f"ALTER SYSTEM SET {name} = '{value}'")
            before = c.value("SELECT pg_conf_load_time()")
            c.query("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10 * SLOWNESS
        while self.sql("SELECT pg_conf_load_time()")[0][0] == before:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not reload its configuration")
            time.sleep(0.005)

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()

    def walsenders(self, database=None):
        """Pids of the walsenders (of logical decoding in one database)."""
        where = f"AND datname = '{database}'" if database else ""
        return [int(r[0]) for r in self.sql(
            f"SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender' {where}")]

    def slots(self):
        return [r[0] for r in self.sql("SELECT slot_name FROM pg_replication_slots")]
