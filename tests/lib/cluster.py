# SPDX-License-Identifier: Apache-2.0
"""A scratch PostgreSQL: made, started, changed and removed by one run of the tests or of `make run`.

It never touches an existing cluster: own data directory, own socket directory, a free port. As root
it runs as an unprivileged user. It ends with the process that started it, also when that is killed.
"""
import contextlib
import ctypes
import fcntl
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

from kept import Kept
from pgwire import SLOWNESS, PgError, Wire

SUPERUSER = "postgres"
# Who pgweir's control connections are: what docs ask for and nothing more.
CONTROL_USER = "control"
# Until a configuration that was just read no longer counts as perhaps unknown to some process (control/schema.c).
CONFIGURATION_SETTLED = "SELECT pg_sleep(extract(epoch FROM pg_conf_load_time() + interval '1.1 second' - clock_timestamp()))"
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


def server_directory(build, purpose):
    """A new directory for a server's files: in memory where there is room (databases are made and dropped with every
    test, hundreds of files each), else as scratch_directory. What an earlier run that was killed left in memory goes;
    whose run is alive is told by its lock."""
    memory = "/dev/shm"
    try:
        room = shutil.disk_usage(memory).free
    except OSError:
        room = 0
    if room < 3 << 30:
        return scratch_directory(build, purpose)
    alone = os.open(memory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(alone, fcntl.LOCK_EX)
    for left in glob.glob(f"{memory}/pgweir-*"):
        if lock(left):
            shutil.rmtree(left, ignore_errors=True)
            os.close(HELD.pop())
    path = tempfile.mkdtemp(prefix=f"pgweir-{purpose}-", dir=memory)
    lock(path)
    os.close(alone)
    os.chmod(path, 0o755)
    give(path)
    return path


# The locks on this process's directories in memory; they end with it.
HELD = []


def lock(directory):
    try:
        HELD.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY))
    except OSError:
        return False
    try:
        fcntl.flock(HELD[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        os.close(HELD.pop())
        return False


def ports_file():
    """Open in all runs on this machine; a byte's lock says whose the port of that number is."""
    path = "/tmp/pgweir-ports"
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        made = os.open(path, os.O_RDWR | os.O_CREAT)
        os.chmod(path, 0o666)
        return made


def is_ours(port):
    """Is it nobody's, and so ours until we end? (Such locks are the process's, and end with it.)"""
    global PORTS
    PORTS = PORTS or ports_file()
    try:
        fcntl.lockf(PORTS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


PORTS = None


def free_port():
    """Below the range that outgoing connections take theirs from: nobody is given it by chance before it is listened
    on. Nor does another run take it, nor this one again."""
    while True:
        port = random.randrange(12000, 32000)
        if port not in TAKEN and is_ours(port):
            TAKEN.add(port)
            return port


TAKEN = set()


def find_bindir():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"),
                   key=lambda p: float(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    initdb = shutil.which("initdb")
    if not initdb:
        raise SystemExit("no PostgreSQL server found: try `make deps`")
    return os.path.dirname(os.path.realpath(initdb))


@contextlib.contextmanager
def stopped(pids):
    """These processes stand still meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Cluster:
    def __init__(self, directory):
        self.bindir = find_bindir()
        self.directory = directory
        self.data = os.path.join(directory, "data")
        self.logfile = os.path.join(directory, "postgres.log")
        self.port = free_port()
        self.process = None
        self.kept = Kept(self.connect)

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

    def create_standby(self, primary):
        """A copy of another that is running, which follows it once it is started."""
        call([f"{self.bindir}/pg_basebackup", "-D", self.data, "-R", "--checkpoint=fast", "--no-sync", "--no-manifest",
              "-d", f"host=127.0.0.1 port={primary.port} user={SUPERUSER}"])
        with open(f"{self.data}/postgresql.auto.conf", "a", encoding="utf-8") as f:
            f.write(f"port = {self.port}\nunix_socket_directories = '{self.directory}'\nhot_standby_feedback = on\n")
        return self

    def promote(self):
        self.sql("SELECT pg_promote()")

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
        self.sql(CONFIGURATION_SETTLED)
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
        self.kept.close()
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

    def sql(self, text, database="postgres", user=SUPERUSER):
        """Runs one simple query, in a session like a new one; returns its rows."""
        if user == SUPERUSER:
            return self.kept.query(text, database)
        with self.connect(database, user) as c:
            return c.query(text).rows

    def configure(self, **settings):
        """ALTER SYSTEM (None resets) and reload; returns when every session has it, to the knowledge of caches too."""
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
        self.sql(CONFIGURATION_SETTLED)

    def commits_wait_for(self, standby):
        """Commits of everybody hang until this synchronous standby (None: no standby) has them. The checkpointer alone
        is told: to a cache, a configuration that all processes read again is a change of the schema."""
        with self.connect() as c:
            c.query("ALTER SYSTEM RESET synchronous_standby_names" if standby is None
                    else f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
            os.kill(int(c.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")), signal.SIGHUP)

    def log(self):
        with open(self.logfile, encoding="utf-8", errors="replace") as f:
            return f.read()

    def walsenders(self, database=None):
        """Pids of the walsenders (of logical decoding in one database)."""
        where = f"AND datname = '{database}'" if database else ""
        return [int(r[0]) for r in self.sql(
            f"SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender' {where}")]

    def stream_held(self, database):
        """The streams of a database are held up meanwhile: what is committed is not known to be through."""
        return stopped(self.walsenders(database))

    def slots(self):
        return [r[0] for r in self.sql("SELECT slot_name FROM pg_replication_slots")]


@contextlib.contextmanager
def another(ctx, database, setup):
    """A second PostgreSQL for one test, with a database of this name."""
    other = Cluster(server_directory(ctx.build, "other"))
    try:
        other.create()
        other.start().make_roles()
        other.sql(f"CREATE DATABASE {database}")
        other.sql(setup, database=database)
        yield other
    finally:
        other.remove()


@contextlib.contextmanager
def standby(ctx):
    """A standby of the tests' PostgreSQL for one test, with all that is there now."""
    other = Cluster(server_directory(ctx.build, "standby"))
    try:
        other.create_standby(ctx.pg)
        yield other.start()
    finally:
        other.remove()
