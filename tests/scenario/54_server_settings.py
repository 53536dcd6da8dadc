# SPDX-License-Identifier: Apache-2.0
"""Server connections: how they begin, which is taken, when they are checked, reset and closed."""
import glob
import re
import socket
import time

from cluster import free_port
from pgwire import PgError, query

ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = '{}'"


def servers(ctx):
    return int(ctx.sql(ALIVE.format(ctx.db))[0][0])


def one(ctx, **settings):
    return ctx.proxy(default_pool_size=1, worker_threads=1, log_disconnections=1, verbose=1, **settings)


# ---- beginning

def test_connect_query(ctx):
    """It runs once for each connection, and what it sets is what a fresh session has."""
    ctx.sql("CREATE TABLE began(pid int); GRANT ALL ON began TO app")
    p = ctx.proxy(worker_threads=1, default_pool_size=1, databases={ctx.db: ctx.server(
        connect_query="'SET timezone TO ''Asia/Tokyo''; INSERT INTO began VALUES (pg_backend_pid())'")})
    a = ctx.keep(p.connect(ctx.db))
    assert a.parameters["TimeZone"] == "Asia/Tokyo"
    assert [a.value("SHOW timezone") for _ in range(3)] == ["Asia/Tokyo"] * 3
    assert a.value("SELECT count(*) FROM began") == "1"
    b = ctx.keep(p.connect(ctx.db, timezone="UTC"))
    assert (b.value("SHOW timezone"), a.value("SHOW timezone")) == ("UTC", "Asia/Tokyo")


def test_connect_query_fails(ctx):
    """PgBouncer logs it and goes on."""
    p = ctx.proxy(databases={ctx.db: ctx.server(connect_query="'SELECT nothing FROM nowhere'")})
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"
    p.wait_log("error while executing exec_on_query: ERROR: relation \"nowhere\" does not exist")


def test_connect_query_changes(ctx):
    """A new one after RELOAD makes new connections."""
    ctx.sql("CREATE TABLE began(line text); GRANT ALL ON began TO app")
    p = one(ctx, databases={ctx.db: ctx.server(connect_query="'INSERT INTO began VALUES (''before'')'")})
    c = ctx.keep(p.connect(ctx.db))
    assert c.value("SELECT string_agg(line, ' ') FROM began") == "before"
    p.databases[ctx.db]["connect_query"] = "'INSERT INTO began VALUES (''after'')'"
    p.reload()
    p.wait(lambda: c.value("SELECT string_agg(line, ' ') FROM began") == "before after", "a connection that began anew")


def test_startup_parameters_of_the_line(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(client_encoding="LATIN1", datestyle="German", timezone="Asia/Tokyo",
                                                application_name="ours")})
    c = ctx.keep(p.connect(ctx.db))
    assert c.parameters["client_encoding"] == "LATIN1", c.parameters
    assert c.value("SHOW datestyle").startswith("German")
    assert c.value("SHOW timezone") == "Asia/Tokyo"
    assert c.value("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()") == "ours"


# ---- hosts

def test_hosts_in_turn(ctx):
    """host=a,b: each new connection goes to the next."""
    p = ctx.proxy(databases={ctx.db: ctx.server(host=f"127.0.0.1,{ctx.pg.directory}")}, default_pool_size=4)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(4)]
    for c in clients:
        c.query("BEGIN")
    where = sorted(c.value("SELECT inet_client_addr() IS NULL") for c in clients)
    assert where == ["f", "f", "t", "t"], where


def test_hosts_of_which_one_fails(ctx):
    """load_balance_hosts=disable stays with a host until it fails."""
    p = ctx.proxy(databases={ctx.db: ctx.server(host="127.0.0.1,127.0.0.2", load_balance_hosts="disable")},
                  default_pool_size=4, server_login_retry=0.1)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(4)]
    for c in clients:
        c.query("BEGIN")
    assert {c.value("SELECT inet_server_addr()") for c in clients} == {"127.0.0.1"}
    # Nobody is at the first of these: it moves on, and stays with the second.
    gone = f"{ctx.directory}/nobody"
    q = ctx.proxy(databases={ctx.db: ctx.server(host=f"{gone},127.0.0.1", load_balance_hosts="disable")},
                  default_pool_size=2, server_login_retry=0.1)
    for _ in range(2):
        c = ctx.keep(q.connect(ctx.db))
        c.query("BEGIN")
    assert q.log().count("closing because: connect failed") == 1, q.log()


def test_a_bad_word_for_hosts(ctx):
    p = ctx.proxy(start=False, databases={ctx.db: ctx.server(load_balance_hosts="sometimes")})
    p.expect_failure = True
    p.spawn()
    assert p.wait_end() == 1
    assert "invalid load_balance_hosts: sometimes" in p.log()


# ---- which one is taken

def all_idle(ctx, p, n):
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(n)]
    for c in clients:
        c.query("BEGIN")
    for c in clients:
        c.query("COMMIT")
    p.wait(lambda: int(p.pool(ctx.db)["sv_idle"]) == n, "idle servers")
    return clients[0]


def test_last_in_first_out(ctx):
    p = ctx.proxy(worker_threads=1, default_pool_size=3)
    c = all_idle(ctx, p, 3)
    assert len({c.value("SELECT pg_backend_pid()") for _ in range(6)}) == 1


def test_round_robin(ctx):
    """On start, and again after a RELOAD."""
    p = ctx.proxy(worker_threads=1, default_pool_size=3, server_round_robin=1)
    c = all_idle(ctx, p, 3)
    pids = [c.value("SELECT pg_backend_pid()") for _ in range(6)]
    assert len(set(pids)) == 3 and pids[:3] == pids[3:], pids
    p.reload(server_round_robin=0)
    p.wait(lambda: c.value("SELECT pg_backend_pid()") == c.value("SELECT pg_backend_pid()"), "the same one")


# ---- the check

def test_check_query(ctx):
    """One given back longer ago is checked before a client gets it."""
    p = one(ctx, server_check_query="select 4711", server_check_delay=0.2)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    c.query("SELECT 1")
    assert "P: checking" not in p.log()
    pid = c.value("SELECT pg_backend_pid()")
    time.sleep(0.3)
    c.send(query("SELECT pg_backend_pid()"))
    assert c.until_ready().value == pid
    assert p.log().count("P: checking: select 4711") == 1


def test_check_always(ctx):
    p = one(ctx, server_check_delay=0)
    c = ctx.keep(p.connect(ctx.db))
    before = p.log().count("P: checking: ")
    for _ in range(3):
        c.query("SELECT 1")
    assert p.log().count("P: checking: ") - before == 3


def test_no_check(ctx):
    """An empty query: none. RELOAD brings it."""
    p = one(ctx, server_check_query="", server_check_delay=0)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    assert "P: checking" not in p.log()
    p.reload(server_check_query="select 1")
    p.wait(lambda: c.value("SELECT 1") and "P: checking: select 1" in p.log(), "a check")


def test_check_fails(ctx):
    """The client gets another connection and notices nothing."""
    p = one(ctx, server_check_query="select 1/0", server_check_delay=0)
    c = ctx.keep(p.connect(ctx.db))
    for _ in range(3):
        assert c.value("SELECT 1") == "1"
    p.wait_log("closing because: test query failed")


def test_silent_server_is_found_out(ctx):
    """The server's machine is gone without a word: the check finds that out."""
    relay = Relay(ctx, ("127.0.0.1", ctx.pg.port))
    p = one(ctx, server_check_delay=0, server_connect_timeout=1,
            databases={ctx.db: ctx.server(port=relay.port)})
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    relay.freeze()
    c.send(query("SELECT 8"))
    assert c.until_ready(timeout=10).value == "8"
    p.wait_log("closing because: reset query timeout")


class Relay:
    """Passes bytes on, until it is frozen: then the connections there are get nothing more."""

    def __init__(self, ctx, target):
        import threading
        self.target = target
        self.frozen = set()
        self.pairs = []
        self.listener = ctx.keep(socket.socket())
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(20)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def freeze(self):
        self.frozen |= set(self.pairs)

    def accept(self):
        import threading
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            pair = (near, far)
            self.pairs.append(pair)
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(a, b, pair), daemon=True).start()

    def copy(self, a, b, pair):
        try:
            while data := a.recv(65536):
                if pair not in self.frozen:
                    b.sendall(data)
            b.close()
        except OSError:
            pass


# ---- reset

def test_reset_query_always(ctx):
    """In transaction mode it is run only with server_reset_query_always."""
    p = one(ctx, server_reset_query="SET application_name TO was_reset")
    c = ctx.keep(p.connect(ctx.db))
    look = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%was_reset' AND state = 'idle'"
    c.query("SELECT 1")
    assert not ctx.sql(look)
    p.reload(server_reset_query_always=1)
    p.wait(lambda: c.value("SELECT 1") and ctx.sql(look), "the reset query")


def test_reset_query_in_session_mode(ctx):
    p = one(ctx, pool_mode="session", server_reset_query="RESET ALL")
    a = ctx.keep(p.connect(ctx.db))
    a.query("SET work_mem TO '123kB'")
    pid = a.value("SELECT pg_backend_pid()")
    a.close()
    b = ctx.keep(p.connect(ctx.db))
    assert b.value("SELECT pg_backend_pid()") == pid
    assert b.value("SHOW work_mem") != "123kB"


# ---- the end

def test_lifetime(ctx):
    """An old one is closed when it is given back, and when it is idle."""
    p = one(ctx, server_lifetime=1, databases={ctx.db: ctx.server()})
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    pid = c.value("SELECT pg_backend_pid()")
    time.sleep(1.1)
    assert c.value("SELECT pg_backend_pid()") == pid
    c.query("COMMIT")
    assert c.value("SELECT pg_backend_pid()") != pid
    p.wait(lambda: p.log().count("closing because: server lifetime over") >= 2, "an idle one to be closed")


def test_lifetime_zero(ctx):
    """Used once. The database's own line counts, and 0 there means not set."""
    p = one(ctx, server_lifetime=0)
    c = ctx.keep(p.connect(ctx.db))
    assert len({c.value("SELECT pg_backend_pid()") for _ in range(4)}) == 4
    q = one(ctx, server_lifetime=0, databases={ctx.db: ctx.server(server_lifetime=100), "x": ctx.server(server_lifetime=0)})
    c, d = ctx.keep(q.connect(ctx.db)), ctx.keep(q.connect("x"))
    assert len({c.value("SELECT pg_backend_pid()") for _ in range(4)}) == 1
    assert len({d.value("SELECT pg_backend_pid()") for _ in range(4)}) == 4


def test_lifetimes_end_one_by_one(ctx):
    """Not all at once: the next may end lifetime / pool_size later."""
    p = ctx.proxy(worker_threads=1, default_pool_size=4, server_lifetime=1, log_disconnections=1)
    all_idle(ctx, p, 4)
    p.wait_log("server lifetime over")
    assert p.log().count("server lifetime over") == 1
    p.wait(lambda: p.log().count("server lifetime over") == 4, "the others to end")


def test_idle_timeout(ctx):
    p = one(ctx, server_idle_timeout=0)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    assert servers(ctx) == 1
    p.reload(server_idle_timeout=0.3)
    p.wait_log("closing because: server idle timeout")
    p.wait(lambda: servers(ctx) == 0, "it to be gone")


def test_pool_shrinks(ctx):
    """Those above a smaller pool_size are closed."""
    p = ctx.proxy(worker_threads=1, default_pool_size=4, log_disconnections=1)
    c = all_idle(ctx, p, 4)
    p.reload(default_pool_size=2)
    p.wait(lambda: p.log().count("closing because: too many servers in the pool") == 2, "two to be closed")
    assert c.value("SELECT 1") == "1"
    p.wait(lambda: servers(ctx) == 2, "the two others to stay")


def test_fast_close(ctx):
    """In session mode an obsolete server goes at the end of its transaction, its client with it."""
    databases = {ctx.db: ctx.server(), "again": ctx.server()}
    p = one(ctx, pool_mode="session", server_fast_close=1, databases=databases)
    c = ctx.keep(p.connect(ctx.db))
    c.query("BEGIN")
    p.databases[ctx.db] = ctx.server(host="127.0.0.1,127.0.0.1")
    p.reload()
    time.sleep(0.3)
    c.query("SELECT 1")
    c.query("COMMIT")
    reply = c.wait_closed()
    assert reply.errors[0].text == "database configuration changed", reply.errors


def test_slow_close(ctx):
    """Without it the session goes on."""
    p = one(ctx, pool_mode="session")
    c = ctx.keep(p.connect(ctx.db))
    pid = c.value("SELECT pg_backend_pid()")
    p.databases[ctx.db] = ctx.server(host="127.0.0.1,127.0.0.1")
    p.reload()
    time.sleep(0.3)
    assert c.value("SELECT pg_backend_pid()") == pid
    c.close()
    p.wait_log("closing because: close_needed")


# ---- failing

def test_login_retry(ctx):
    """While it fails, who asks is told at once, with the reason; after the pause it is tried again."""
    p = one(ctx, databases={ctx.db: ctx.server(dbname="is_not_there")}, server_login_retry=1)
    reason = 'database "is_not_there" does not exist'
    first = p.refused(ctx.db)
    assert (first.sqlstate, first.text) == ("3D000", reason), first
    started = time.monotonic()
    second = p.refused(ctx.db)
    assert time.monotonic() - started < 0.5
    assert second.text == f"server login has been failing, cached error: {reason} (server_login_retry)", second
    p.wait_log(f"WARNING S-0x\\w+: .* server login failed: FATAL {reason}")
    p.wait_log(f"closing because: {reason} ")
    p.databases[ctx.db] = ctx.server()
    p.reload(server_login_retry=0.1)
    p.wait(lambda: may_login(p, ctx.db), "a login that works")


def end_servers(ctx, p):
    ctx.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app' "
            f"AND datname = '{ctx.db}'")
    p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "0", "the pool to be empty")


def test_refused_login_ends_who_waits(ctx):
    """Once the server says no, and there is no other, who waits hears its words, logged in or not."""
    p = one(ctx, server_login_retry=15, query_wait_timeout=120)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    ctx.sql("ALTER ROLE app NOLOGIN")
    try:
        end_servers(ctx, p)
        c.send(query("SELECT 2"))
        error = c.wait_closed(timeout=10).errors[0]
        assert (error.severity, error.sqlstate) == ("FATAL", "28000"), error
        assert error.text == 'role "app" is not permitted to log in', error
        assert refusal(ctx, p) == ('server login has been failing, cached error: role "app" is not permitted to '
                                   'log in (server_login_retry)')
    finally:
        ctx.sql("ALTER ROLE app LOGIN")


def test_refused_login_beside_a_server(ctx):
    """As long as the pool has a server, there is somebody to wait for."""
    p = ctx.proxy(default_pool_size=3, server_login_retry=15)
    first, other, second = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    p.wait_log("learnt in")  # that may have had a server, so that there are two: nobody else gets one of them
    first.query("BEGIN")
    other.query("BEGIN")
    ctx.sql("ALTER ROLE app NOLOGIN")
    try:
        second.send(query("SELECT 2"))
        p.wait_log("server login failed: FATAL")
        assert second.is_quiet(0.3)
        third = ctx.keep(p.connect(ctx.db))
        third.send(query("SELECT 3"))
        assert third.is_quiet(0.1)
        first.query("COMMIT")
        assert second.until_ready().value == "2" and third.until_ready().value == "3"
    finally:
        ctx.sql("ALTER ROLE app LOGIN")


def test_full_server_is_waited_for(ctx):
    """A server that is full or starts up is one that will be there: who waits goes on waiting."""
    p = one(ctx, server_login_retry=0.2)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    ctx.sql("ALTER ROLE app CONNECTION LIMIT 0")
    try:
        end_servers(ctx, p)
        c.send(query("SELECT 2"))
        p.wait_log('server login failed: FATAL too many connections for role "app"')
        assert c.is_quiet(0.3)
        # Who comes now, in the pause, is refused.
        p.wait(lambda: "cached error: too many connections" in refusal(ctx, p), "a refusal", interval=0.02)
    finally:
        ctx.sql("ALTER ROLE app CONNECTION LIMIT -1")
    assert c.until_ready().value == "2"


def refusal(ctx, p):
    """What a new client is told at its login or (the pool was in use before) at its first query."""
    try:
        with p.connect(ctx.db) as c:
            c.send(query("SELECT 1"))
            return "" if c.is_quiet(0.05) else c.wait_closed().errors[0].text
    except PgError as error:
        return error.text


def may_login(p, database):
    try:
        p.connect(database).close()
        return True
    except PgError:
        return False


def test_unreachable_is_told(ctx):
    p = one(ctx, databases={"gone": {"host": "127.0.0.1", "port": free_port()}}, client_login_timeout=1,
            server_login_retry=15)
    assert p.refused("gone").text == "client_login_timeout (server down)"
    assert p.refused("gone").text == "server login has been failing, cached error: connect failed (server_login_retry)"
    p.wait_log("gone/app@127.0.0.1:[0-9]+ connect\\(\\) failed: Connection refused")


def test_connect_timeout(ctx):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        p = one(ctx, databases={"mute": {"host": "127.0.0.1", "port": mute.getsockname()[1]}},
                server_connect_timeout=0.5, client_login_timeout=2)
        assert p.refused("mute").severity == "FATAL"
        p.wait_log("closing because: connect timeout")


def test_many_checks_at_once(ctx):
    """Clients that ask at the same time, when all idle servers are to be checked: each gets one of them."""
    for mode, begin in (("session", "SELECT 1"), ("transaction", "BEGIN")):
        p = ctx.proxy(pool_mode=mode, default_pool_size=6, server_check_query="SELECT 1", server_check_delay=0)
        for _ in range(3):
            clients = [ctx.keep(p.connect(ctx.db)) for _ in range(6)]
            for c in clients:
                c.send(query(begin))
            for c in clients:
                c.until_ready(timeout=10).check()
            assert len({c.value("SELECT pg_backend_pid()") for c in clients}) == 6
            for c in clients:
                if mode == "transaction":
                    c.query("ROLLBACK")
                c.close()
            p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "6", "idle servers")


def test_busy_poll(ctx):
    """A worker that polls is there when the answer comes, and sleeps when there is nothing to do; by reload, too."""
    p = one(ctx, hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))

    def slept(act):
        def count():
            switches = 0
            for task in glob.glob(f"/proc/{p.process.pid}/task/*"):
                with open(f"{task}/comm", encoding="ascii") as f:
                    if not f.read().startswith("worker"):
                        continue
                with open(f"{task}/status", encoding="ascii") as f:
                    switches += int(re.search(r"\nvoluntary_ctxt_switches:\t(\d+)", f.read()).group(1))
            return switches
        before = count()
        act()
        return count() - before

    def ask():  # few at a time: a busy machine has to be quick for so long only
        for _ in range(20):
            c.query("SELECT 1")

    p.wait(lambda: slept(ask) > 20, "a worker that sleeps for each query")
    p.reload(busy_poll="1ms")
    p.wait(lambda: slept(ask) < 16, "queries for which nobody had to be woken", timeout=30)
    p.wait(lambda: slept(lambda: time.sleep(0.2)) < 20, "a worker that sleeps")
    p.reload(busy_poll=0)
    p.wait(lambda: slept(ask) > 20, "a worker that sleeps at once")
    p.reload(busy_poll="50us")
    ask()
