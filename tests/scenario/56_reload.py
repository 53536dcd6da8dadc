# SPDX-License-Identifier: Apache-2.0
"""What a RELOAD does to databases, pools and options; pools that come and go by themselves."""
import os
import socket
import time

from pgwire import PgError, query
from runner import Skip


def error_of(p, database, user="app"):
    try:
        p.connect(database, user).close()
        return None
    except PgError as error:
        return error


def one(ctx, **settings):
    return ctx.proxy(worker_threads=1, log_disconnections=1, **settings)


# ---- databases

def test_removed_database(ctx):
    """Its clients are told, its servers closed; others do not notice."""
    p = one(ctx, databases={ctx.db: ctx.server(), "goes": ctx.server()})
    idle, busy = ctx.keep(p.connect("goes")), ctx.keep(p.connect("goes", "other"))
    waiting = ctx.keep(p.connect("goes"))
    stays = ctx.keep(p.connect(ctx.db))
    idle.query("SELECT 1")
    busy.send(query("SELECT pg_sleep(30)"))
    stays.query("BEGIN")
    del p.databases["goes"]
    p.reload()
    for c in (idle, busy, waiting):
        assert c.wait_closed().errors[-1].text == "database removed"
    p.wait_log("dropping database 'goes' as it does not exist anymore or inactive auto-database")
    assert p.log().count("dropping database") == 1
    error = p.refused("goes")
    assert error.sqlstate == "3D000" and error.text == "no such database: goes", error
    stays.query("COMMIT")
    p.databases["goes"] = ctx.server()
    p.reload()
    p.wait(lambda: error_of(p, "goes") is None, "the database to be back")
    assert not [row for row in p.console("SHOW POOLS") if row["database"] == "goes" and int(row["cl_waiting"])]


def test_removed_into_the_fallback(ctx):
    """A line that goes is taken over by the `*` line, if there is one."""
    second = ctx.new_database() if ctx.db else None
    p = one(ctx, databases={second: ctx.server(dbname=ctx.db), "*": ctx.server(dbname=second)})
    del p.databases["*"]["dbname"]
    p.write()
    p.reload()
    c = ctx.keep(p.connect(second))
    p.wait(lambda: c.value("SELECT current_database()") == ctx.db, "its own line")
    p.databases = {"*": p.databases["*"]}
    p.reload()
    p.wait(lambda: c.value("SELECT current_database()") == second, "the fallback")


def test_new_database(ctx):
    p = one(ctx)
    assert p.refused("new").sqlstate == "3D000"
    p.databases["new"] = ctx.server()
    p.reload()
    p.wait(lambda: error_of(p, "new") is None, "the new database")


def test_other_host(ctx):
    """The same database by another way: idle servers go at once, those in use when given back."""
    p = one(ctx, default_pool_size=2)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("BEGIN")
    b.query("SELECT 1")
    p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "1", "an idle one")
    p.databases[ctx.db] = ctx.server(host=ctx.pg.directory)
    p.reload()
    p.wait_log("closing because: database configuration changed")
    assert a.value("SELECT inet_client_addr() IS NULL") == "f"
    a.query("COMMIT")
    p.wait_log("closing because: close_needed")
    assert a.value("SELECT inet_client_addr() IS NULL") == "t"


def test_other_size_keeps_servers(ctx):
    """A changed limit is no reason to close."""
    p = one(ctx, hidden_code_check=0)  # which would keep a server busy for a moment
    c = ctx.keep(p.connect(ctx.db))
    pid = c.value("SELECT pg_backend_pid()")
    p.databases[ctx.db] = ctx.server(pool_size=3, pool_mode="transaction")
    p.reload()
    time.sleep(0.3)
    assert c.value("SELECT pg_backend_pid()") == pid


def test_pool_mode(ctx):
    """Who is in keeps the mode he began with; who comes gets the new one. User, then database, then
    setting."""
    p = one(ctx, pool_mode="transaction", default_pool_size=1, query_wait_timeout=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    p.reload(pool_mode="session")
    p.wait(lambda: p.pool(ctx.db)["pool_mode"] == "session", "the new mode")
    assert a.value("SELECT pg_backend_pid()") == b.value("SELECT pg_backend_pid()")
    keeps = ctx.keep(p.connect(ctx.db))
    keeps.query("SELECT 1")
    a.send(query("SELECT 1"))
    assert a.wait_closed().errors[0].text == "query_wait_timeout"
    keeps.close()
    p.databases[ctx.db]["pool_mode"] = "statement"
    p.user_settings["other"] = {"pool_mode": "session"}
    p.reload()
    p.wait(lambda: p.pool(ctx.db)["pool_mode"] == "statement", "the database's mode")
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("BEGIN"))
    assert "transaction blocks not allowed in statement pooling mode" in c.wait_closed().errors[0].text
    d = ctx.keep(p.connect(ctx.db, "other"))
    d.query("BEGIN")
    d.query("COMMIT")
    assert p.pool(ctx.db, "other")["pool_mode"] == "session"


def test_bad_file_keeps_all(ctx):
    p = one(ctx)
    c = ctx.keep(p.connect(ctx.db))
    p.databases["more"] = ctx.server()
    p.reload(default_pool_size="many")
    p.wait_log("config reload failed, keeping the old one")
    p.wait_log(r'invalid value "many" for parameter default_pool_size')
    assert c.value("SELECT 1") == "1"
    assert p.refused("more").sqlstate == "3D000"


# ---- pools that come and go

def pools(p):
    return sorted((row["database"], row["user"]) for row in p.console("SHOW POOLS") if row["database"] != "pgbouncer")


def test_autodb_idle_timeout(ctx):
    """A pool made through `*` is forgotten when it has neither clients nor servers."""
    p = one(ctx, autodb_idle_timeout=0.4, server_idle_timeout=0.2, databases={"*": ctx.server(), "own": ctx.server()})
    for name in p.databases.values():
        name.pop("dbname")
    p.databases["own"]["dbname"] = ctx.db
    p.write()
    p.reload()
    ctx.keep(p.connect("own")).query("SELECT 1")
    c = ctx.keep(p.connect(ctx.db))
    assert c.value("SELECT current_database()") == ctx.db
    time.sleep(0.8)
    assert (ctx.db, "app") in pools(p)  # it has a client
    c.close()
    p.wait_log(f"dropping database '{ctx.db}' as it does not exist anymore or inactive auto-database")
    assert pools(p) == [("own", "app")]
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"


def test_pool_idle_timeout(ctx):
    p = one(ctx, pool_idle_timeout=0.3, server_idle_timeout=0.2)
    with p.connect(ctx.db) as c:
        c.query("SELECT 1")
        time.sleep(0.7)
        assert pools(p) == [(ctx.db, "app")]
    p.wait(lambda: pools(p) == [], "the pool to be forgotten")
    assert "dropping database" not in p.log()
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"


def count(ctx):
    return int(ctx.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = '{ctx.db}'")[0][0])


def test_min_pool_size(ctx):
    """Where the database has a user of its own, without any client; else as soon as there is one;
    never more than the pool's size."""
    line = ctx.server(min_pool_size=2)
    p = one(ctx, databases={ctx.db: {**line, "user": "app", "password": "app-secret"}})
    p.wait(lambda: count(ctx) == 2, "servers without clients")
    p.databases[ctx.db]["min_pool_size"] = 4
    p.databases[ctx.db]["pool_size"] = 3
    p.reload()
    p.wait(lambda: count(ctx) == 3, "as many as fit")
    time.sleep(0.3)
    assert count(ctx) == 3
    p.stop()
    q = one(ctx, databases={ctx.db: line})
    time.sleep(0.3)
    assert count(ctx) == 0
    with q.connect(ctx.db) as c:
        c.query("SELECT 1")
        q.wait(lambda: count(ctx) == 2, "servers with a client")


def test_min_pool_size_is_kept(ctx):
    """server_idle_timeout closes only what is beyond it; what ends is replaced."""
    p = one(ctx, server_idle_timeout=0.3, hidden_code_check=0,
            databases={ctx.db: ctx.server(min_pool_size=1, user="app", password="app-secret")})
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(3)]
    for c in clients:
        c.query("BEGIN")
    assert count(ctx) == 3
    for c in clients:
        c.query("COMMIT")
    p.wait(lambda: count(ctx) == 1, "the others to be closed")
    time.sleep(0.5)
    assert count(ctx) == 1
    ctx.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND datname = '{ctx.db}'")
    p.wait(lambda: count(ctx) == 1, "one in its place")


# ---- options

RESTART = {"listen_addr": "127.0.0.2", "listen_port": 1234, "listen_backlog": 99, "unix_socket_dir": "/nowhere",
           "unix_socket_mode": "0700", "unix_socket_group": "nogroup", "so_reuseport": 1, "pidfile": "/nowhere/pid",
           "user": "nobody", "disable_pqexec": 1}


def test_options_that_need_a_restart(ctx):
    """Each says so, and keeps its value."""
    p = one(ctx)
    before = {row["key"]: row["value"] for row in p.console("SHOW CONFIG")}
    p.reload(**RESTART)
    for name in RESTART:
        p.wait_log(f"{name} cannot be changed without a restart: keeping")
    after = {row["key"]: row["value"] for row in p.console("SHOW CONFIG")}
    assert {n: after[n] for n in RESTART} == {n: before[n] for n in RESTART}
    assert {row["key"] for row in p.console("SHOW CONFIG") if row["changeable"] == "no"} >= set(RESTART)


def test_options_without_meaning(ctx):
    """Accepted, and said once."""
    given = {"pkt_buf": 8192, "sbuf_loopcnt": 9, "resolv_conf": "/etc/resolv.conf", "dns_zone_check_period": 5,
             "track_extra_parameters": "search_path"}
    p = one(ctx, **given)
    p.reload()
    for name in given:
        assert p.log().count(f"{name} has no meaning here and is ignored") == 1, name
    assert {row["key"]: row["value"] for row in p.console("SHOW CONFIG")}["pkt_buf"] == "8192"


def test_conffile(ctx):
    """The file it names is read by the next RELOAD."""
    p = one(ctx)
    assert {row["key"]: row["value"] for row in p.console("SHOW CONFIG")}["conffile"] == p.ini
    first = p.ini
    p.ini = f"{p.directory}/other.ini"
    p.databases["more"] = ctx.server()
    p.write()
    other, p.ini = p.ini, first
    del p.databases["more"]
    p.reload(conffile=other)
    p.wait(lambda: {r["key"]: r["value"] for r in p.console("SHOW CONFIG")}["conffile"] == other, "the new name")
    assert p.refused("more").sqlstate == "3D000"
    p.signal(1)
    p.wait(lambda: error_of(p, "more") is None, "the other file")


def test_logfile(ctx):
    """Another file after RELOAD; the same one again after it was moved away."""
    p = one(ctx, logfile=None)
    first, second = f"{p.directory}/one.log", f"{p.directory}/two.log"

    def has(path, text):
        return os.path.exists(path) and text in open(path, encoding="utf-8").read()

    p.reload(logfile=first)
    p.reload()
    p.wait(lambda: has(first, "re-reading config"), "the log file")
    p.reload(logfile=second)
    p.reload()
    p.wait(lambda: has(second, "re-reading config"), "the other log file")
    os.rename(second, second + ".1")
    p.reload()
    p.reload()
    p.wait(lambda: has(second, "re-reading config"), "the log file made anew")


def test_syslog(ctx):
    """Name, facility and level; on and off by RELOAD."""
    if os.geteuid() != 0 or os.path.exists("/dev/log"):
        raise Skip("needs to play syslogd: root, and nobody who does so already")
    daemon = ctx.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    daemon.bind("/dev/log")
    try:
        os.chmod("/dev/log", 0o666)
        daemon.settimeout(5)
        p = one(ctx)
        p.reload(syslog=1, syslog_ident="weir", syslog_facility="local3")
        p.refused("nowhere")
        seen = ""
        while "pooler error" not in seen:
            seen = daemon.recv(4096).decode()
        # local3 is 19, a warning 4.
        assert seen.startswith(f"<{19 * 8 + 4}>") and f"weir[{p.process.pid}]:" in seen, seen
        assert "no such database: nowhere" in seen, seen
        p.reload(syslog=0)
        p.wait(lambda: silent(p, daemon), "silence")
    finally:
        os.unlink("/dev/log")


def silent(p, daemon):
    daemon.settimeout(0.1)
    try:
        while True:
            daemon.recv(4096)
    except TimeoutError:
        pass
    p.refused("nowhere")
    try:
        daemon.recv(4096)
        return False
    except TimeoutError:
        return True


def test_scram_iterations(ctx):
    """Of a user whose password is plain; known and unknown users look alike."""
    p = one(ctx, auth_type="scram-sha-256", scram_iterations=5000)
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"
    assert iterations(ctx, p, "app") == iterations(ctx, p, "nobody") == 5000
    p.reload(scram_iterations=4096)
    p.wait(lambda: iterations(ctx, p, "app") == 4096, "the new number")


def iterations(ctx, p, user):
    import struct
    from pgwire import message, startup
    wire = ctx.keep(p.open())
    wire.send(startup({"user": user, "database": ctx.db}))
    wire.until("R")
    first = b"n,,n=,r=abcdefgh"
    wire.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
    return int(wire.until("R").messages[-1].body.decode().rsplit("i=", 1)[1])


def test_unix_socket_group(ctx):
    if os.geteuid() != 0:
        raise Skip("needs root to have groups to choose from")
    import grp
    import pwd
    mine = pwd.getpwnam("postgres")
    groups = [g for g in os.getgrouplist("postgres", mine.pw_gid)]
    p = ctx.proxy(unix_socket_group=grp.getgrgid(groups[0]).gr_name, unix_socket_mode="0770")
    status = os.stat(p.socket_path)
    assert status.st_gid == groups[0] and status.st_mode & 0o777 == 0o770
    q = ctx.proxy(start=False, unix_socket_group="no_such_group")
    q.expect_failure = True
    q.spawn()
    assert q.wait_end() == 1
    assert 'unknown group "no_such_group"' in q.log()


def test_tcp_options(ctx):
    """What the kernel has for clients' sockets and servers'."""
    p = one(ctx, tcp_keepidle=111, tcp_keepintvl=22, tcp_keepcnt=3, tcp_user_timeout=4000, tcp_socket_buffer=65536,
            tcp_defer_accept=1)
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")

    def keepalive_seconds():
        """Until the next one, of the client's socket; None while another timer runs."""
        with open(f"/proc/{p.process.pid}/net/tcp", encoding="ascii") as f:
            rows = [row.split() for row in f.read().split("\n")[1:-1]]
        timers = [row[5].split(":") for row in rows if int(row[1].split(":")[1], 16) == p.port and row[3] == "01"]
        return next((int(ticks, 16) / os.sysconf("SC_CLK_TCK") for kind, ticks in timers if kind == "02"), None)

    assert 100 < p.wait(keepalive_seconds, "the keepalive timer") <= 111
    # A client that says nothing is not seen before it does.
    mute = ctx.keep(p.open())
    time.sleep(0.2)
    assert int(p.pool(ctx.db)["cl_active"]) == 1
    assert mute.is_quiet(0.1)


# ---- the database's own user

def as_user(ctx, user):
    return {ctx.db: ctx.server(user=user, password=f"{user}-secret")}


def test_other_forced_user(ctx):
    """Clients stay, and are the new user from their next transaction on: those at rest, those in a
    transaction when it is over, those that wait. Afterwards there is one pool."""
    p = one(ctx, databases=as_user(ctx, "app"), default_pool_size=1, query_wait_timeout=20)
    idle, busy, waits = (ctx.keep(p.connect(ctx.db, name)) for name in ("app", "other", "srv_trust"))
    assert idle.value("SELECT current_user") == "app"
    busy.query("BEGIN")
    waits.send(query("SELECT current_user"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "it to wait")
    p.databases = as_user(ctx, "srv_plain")
    p.reload()
    assert waits.until_ready().value == "srv_plain"
    assert idle.value("SELECT current_user") == "srv_plain"
    assert busy.value("SELECT current_user") == "app"
    busy.query("COMMIT")
    assert busy.value("SELECT current_user") == "srv_plain"
    assert ctx.keep(p.connect(ctx.db)).value("SELECT current_user") == "srv_plain"
    p.wait(lambda: [u for d, u in pools(p) if d == ctx.db] == ["srv_plain"], "the old pool to be gone")
    p.wait(lambda: not ctx.sql("SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND "
                               f"datname = '{ctx.db}'"), "the old user's servers to be closed")


def test_other_forced_user_prepared(ctx):
    """What was prepared before works after."""
    from pgwire import bind, describe, execute, parse, sync
    p = one(ctx, databases=as_user(ctx, "app"))
    c = ctx.keep(p.connect(ctx.db))
    c.ask(parse("SELECT current_user || $1::text", "who"), sync()).check()
    assert c.ask(bind("who", ["!"]), describe(), execute(), sync()).check().value == "app!"
    p.databases = as_user(ctx, "other")
    p.reload()
    p.wait(lambda: c.ask(bind("who", ["?"]), describe(), execute(), sync()).check().value == "other?", "the new user")


def test_other_forced_user_with_cache(ctx):
    """Rows that only the old user may see are not served to the new one from memory."""
    from proxy import CACHE_SETTINGS
    ctx.sql("CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 5); GRANT SELECT ON t TO app")
    p = ctx.proxy(databases=as_user(ctx, "app"), worker_threads=1, **CACHE_SETTINGS)
    c = ctx.keep(p.connect(ctx.db, "app"))
    assert ctx.wait_hit(p, lambda: c.value("SELECT n FROM t WHERE id = 1"), timeout=10) == "5"
    p.databases = as_user(ctx, "other")
    p.reload()

    def refused():
        reply = c.ask(query("SELECT n FROM t WHERE id = 1"))
        return reply.sqlstate() == "42501"

    p.wait(refused, "the new user's rights")
    for _ in range(20):
        assert refused()


# ---- what is logged

def lines(p, pattern):
    import re
    return len(re.findall(pattern, p.log()))


def test_log_switches(ctx):
    """log_connections, log_disconnections, log_pooler_errors, verbose: on start and after RELOAD."""
    p = ctx.proxy(worker_threads=1, log_connections=0, log_disconnections=0, log_pooler_errors=0)

    def come_and_go():
        with p.connect(ctx.db) as c:
            c.query("SELECT 1")
        p.refused("nowhere")
        p.wait(lambda: int(p.pool(ctx.db)["cl_active"]) == 0, "the client to be gone")

    come_and_go()
    seen = (r"login attempt: db=t0\w+ user=app", r"t0\w+/app@\S+ closing because: client close request \(age=",
            r"pooler error: no such database: nowhere", r" DEBUG ")
    assert [lines(p, pattern) for pattern in seen] == [0, 0, 0, 0]
    p.reload(log_connections=1, log_disconnections=1, log_pooler_errors=1, verbose=1)
    come_and_go()
    for pattern in seen:
        p.wait(lambda pattern=pattern: lines(p, pattern) > 0, pattern)
    p.reload(log_connections=0, log_disconnections=0, log_pooler_errors=0, verbose=0)
    p.wait(lambda: {r["key"]: r["value"] for r in p.console("SHOW CONFIG")}["log_pooler_errors"] == "0", "the reload")
    before = [lines(p, pattern) for pattern in seen]
    come_and_go()
    assert [lines(p, pattern) for pattern in seen] == before


# ---- sockets and names

def test_so_reuseport(ctx):
    """Two processes on one port; without it the second does not start."""
    p = one(ctx, so_reuseport=1)
    q = ctx.proxy(start=False, so_reuseport=1, listen_port=p.port)
    q.port = p.port
    q.start()
    assert q.is_running() and p.is_running()
    assert ctx.keep(q.connect(ctx.db)).value("SELECT 1") == "1"
    r = ctx.proxy(start=False, so_reuseport=0, listen_port=p.port)
    r.expect_failure = True
    r.spawn()
    assert r.wait_end() == 1
    assert "cannot listen on" in r.log()


def keepalive_timers(p):
    with open(f"/proc/{p.process.pid}/net/tcp", encoding="ascii") as f:
        rows = [row.split() for row in f.read().split("\n")[1:-1]]
    return [row[5][:2] for row in rows if int(row[1].split(":")[1], 16) == p.port and row[3] == "01"]


def test_tcp_keepalive_off(ctx):
    p = one(ctx, tcp_keepalive=0)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    p.wait(lambda: keepalive_timers(p) == ["00"], "no timer", 3)
    p.reload(tcp_keepalive=1)
    c.close()
    p.wait(lambda: keepalive_timers(p) == [], "it to be gone")

    def has_timer():
        ctx.keep(p.connect(ctx.db))
        return "02" in keepalive_timers(p)

    p.wait(has_timer, "a client with keepalives")


def test_host_names(ctx):
    """A name that can be looked up, and one that cannot: kept for dns_nxdomain_ttl, and told."""
    p = one(ctx, server_login_retry=0.1, client_login_timeout=1, dns_max_ttl=1, dns_nxdomain_ttl=1,
            databases={ctx.db: ctx.server(host="localhost"), "lost": ctx.server(host="no.such.host.invalid")})
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"
    p.refused("lost")
    p.wait_log("DNS lookup failed: no.such.host.invalid: ")
    p.wait_log("closing because: server DNS lookup failed")
