# SPDX-License-Identifier: Apache-2.0
"""Every SHOW command: PgBouncer's columns in its order and types, our own last, and values that move."""
import os
import re
import signal
import struct

import cluster
import drivers
from pgwire import bind, cstring, describe, execute, message, parse, query, startup, sync
from runner import limit

SOCKET = ("type user database replication state addr port local_addr local_port connect_time request_time wait "
          "wait_us close_needed ptr link remote_pid tls application_name prepared_statements id").split()
DETAIL = "recv_pos pkt_pos pkt_remain send_pos send_remain pkt_avail send_avail".split()
FIGURES = ("server_assignment_count xact_count query_count {} {} xact_time query_time wait_time "
           "client_parse_count server_parse_count bind_count client_login_count")
TEXT, INT4, INT8, NUMERIC, BYTEA = 25, 23, 20, 1700, 17
TYPES = {"s": TEXT, "i": INT4, "l": INT8, "n": NUMERIC, "b": BYTEA}


def figures(prefix, received, sent):
    return [prefix + name for name in FIGURES.format(received, sent).split()]


# What PgBouncer 1.25 has: columns and types; and ours behind them.
TABLES = {
    "CONFIG": ("ssss", "key value default changeable".split(), []),
    "DATABASES": ("ssissiiiissiiiiii",
                  "name host port database force_user pool_size min_pool_size reserve_pool_size server_lifetime "
                  "pool_mode load_balance_hosts max_connections current_connections max_client_connections "
                  "current_client_connections paused disabled".split(), []),
    "POOLS": ("ssiiiiiiiiiiiiiss",
              "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
              "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us pool_mode "
              "load_balance_hosts".split(), []),
    "CLIENTS": ("ssssssisissiiississii", SOCKET, ["pins", "worker", "transaction"]),
    "SERVERS": ("ssssssisissiiississii", SOCKET, ["pins", "worker", "transaction"]),
    "SOCKETS": ("ssssssisissiiississii" + "i" * 7, SOCKET + DETAIL, ["pins", "worker", "transaction"]),
    "ACTIVE_SOCKETS": ("ssssssisissiiississii" + "i" * 7, SOCKET + DETAIL, ["pins", "worker", "transaction"]),
    "USERS": ("ssssiiii", "name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
                          "max_user_client_connections current_client_connections".split(), []),
    "PEERS": ("isii", "peer_id host port pool_size".split(), []),
    "PEER_POOLS": ("iiiii", "peer_id cl_active_cancel_req cl_waiting_cancel_req sv_active_cancel sv_login".split(),
                   []),
    "LISTS": ("si", ["list", "items"], []),
    "STATS": ("s" + "n" * 24, ["database"] + figures("total_", "received", "sent") + figures("avg_", "recv", "sent"),
              ["total_pin_count", "total_reset_count", "total_rerun_count"]),
    "STATS_TOTALS": ("s" + "n" * 12, ["database"] + figures("", "bytes_received", "bytes_sent"),
                     ["pin_count", "reset_count", "rerun_count"]),
    "STATS_AVERAGES": ("s" + "n" * 12,
                       ["database"] + figures("", "bytes_received", "bytes_sent")[:8]
                       + "avg_client_parse_count avg_server_parse_count avg_bind_count avg_client_login_count".split(),
                       ["pin_count", "reset_count", "rerun_count"]),
    "TOTALS": ("sn", ["name", "value"], []),
    "MEM": ("siiii", "name size used free memtotal".split(), []),
    "FDS": ("issssilisssssbb", "fd task user database addr port cancel link client_encoding std_strings datestyle "
                               "timezone password scram_client_key scram_server_key".split(), []),
    "DNS_HOSTS": ("sls", "hostname ttl addrs".split(), []),
    "DNS_ZONES": ("sli", "zonename serial count".split(), []),
    "VERSION": ("s", ["version"], []),
    "STATE": ("ss", ["key", "value"], []),
}


def column_types(reply):
    """The type oids of a RowDescription."""
    body = bytes(next(m.body for m in reply.messages if m.kind == "T"))
    count, at, types = struct.unpack_from("!H", body)[0], 2, []
    for _ in range(count):
        at = body.index(b"\0", at) + 1
        types.append(struct.unpack_from("!I", body, at + 6)[0])
        at += 18
    return types


def console(ctx, p, user="console", **options):
    return ctx.keep(p.connect("pgbouncer", user, **options))


def test_columns(ctx):
    p = ctx.proxy(worker_threads=2)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")
    admin = console(ctx, p)
    for name, (types, columns, ours) in TABLES.items():
        for command in (f"SHOW {name}", f"show {name.lower()};"):
            reply = admin.ask(query(command))
            assert not reply.errors, (command, reply.errors)
            assert reply.columns == columns + ours, (name, reply.columns)
            found = column_types(reply)[:len(columns)]
            assert found == [TYPES[t] for t in types], (name, found)
            assert reply.tags == ["SHOW"], (name, reply.tags)


def test_help(ctx):
    admin = console(ctx, ctx.proxy())
    reply = admin.ask(query("SHOW HELP"))
    assert reply.tags == ["SHOW"]
    notice = next(m for m in reply.messages if m.kind == "N")
    text = bytes(notice.body).decode()
    assert "MConsole usage" in text and "KILL_CLIENT <client_id>" in text, text


def test_stats_users(ctx):
    """Who is in stats_users may look, except at SHOW FDS, and do nothing."""
    p = ctx.proxy(stats_users="app")
    c = console(ctx, p, "app")
    for name in TABLES:
        reply = c.ask(query(f"SHOW {name}"))
        if name == "FDS":
            assert [e.text for e in reply.errors] == ["admin access needed"], reply.errors
        else:
            assert reply.columns, name
    for command in ("PAUSE", "RESUME", "SUSPEND", "RELOAD", "KILL", "KILL_CLIENT 1", f"DISABLE {ctx.db}",
                    f"ENABLE {ctx.db}", "RECONNECT", "WAIT_CLOSE", "SHUTDOWN", "SET verbose = 1"):
        reply = c.ask(query(command))
        assert [(e.sqlstate, e.text) for e in reply.errors] == [("08P01", "admin access needed")], command
    assert p.is_running()


def test_own_uid(ctx):
    """The user pgbouncer over the unix socket with our own uid needs no password."""
    p = ctx.proxy(auth_type="scram-sha-256")
    for database in ("pgbouncer", "pgweir"):
        psql = cluster.call(["psql", "-XAtw", "-h", p.directory, "-p", str(p.port), "-U", "pgbouncer", "-d", database,
                             "-c", "SHOW FDS", "-c", "SHOW VERSION"])
        assert "pgweir" in psql, psql
    assert p.refused("pgbouncer", "pgbouncer", "x")


def test_stats_move(ctx):
    p = ctx.proxy(default_pool_size=1, stats_period=1)

    def row(table="STATS"):
        return next(r for r in p.console(f"SHOW {table}") if r["database"] == ctx.db)

    c = ctx.keep(p.connect(ctx.db))
    for _ in range(10):
        c.query("SELECT 1")
    c.query("BEGIN")
    c.query("SELECT pg_sleep(0.05)")
    c.query("COMMIT")
    c.ask(parse("SELECT 2", "a") + bind("a") + execute() + sync()).check()
    c.ask(bind("a") + execute() + sync()).check()
    stats = row()
    assert stats["total_query_count"] == "15", stats
    assert stats["total_xact_count"] == "13", stats
    assert stats["total_server_assignment_count"] == "13", stats
    assert int(stats["total_xact_time"]) > int(stats["total_query_time"]) * 0.9, stats
    assert int(stats["total_query_time"]) > 50000, stats
    assert stats["total_client_parse_count"] == "1", stats
    assert stats["total_server_parse_count"] == "1", stats
    assert stats["total_bind_count"] == "2", stats
    assert stats["total_client_login_count"] == "1", stats
    p.wait(lambda: int(row()["total_received"]) > 200 and int(row()["total_sent"]) > 500, "the bytes")
    totals = row("STATS_TOTALS")
    assert totals["query_count"] == "15" and totals["client_parse_count"] == "1", totals
    # Somebody waits for the only server.
    c.query("BEGIN")
    d = ctx.keep(p.connect(ctx.db))
    d.send(query("SELECT 1"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "a waiting client")
    p.wait(lambda: int(p.pool(ctx.db)["maxwait_us"]) > 1000, "its wait to show")
    c.query("COMMIT")
    d.until_ready().check()
    assert int(row()["total_wait_time"]) > 1000, row()
    everything = {r["name"]: int(r["value"]) for r in p.console("SHOW TOTALS")}
    assert everything["total_query_count"] > 17, everything
    p.wait_log(r"stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, "
               r"in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us")


def test_averages(ctx):
    """Over one to two periods, for each second; times for each query."""
    p = ctx.proxy(stats_period=1, log_stats=0)
    c = ctx.keep(p.connect(ctx.db))

    def average():
        for _ in range(5):
            c.query("SELECT pg_sleep(0.002)")
        row = next(r for r in p.console("SHOW STATS_AVERAGES") if r["database"] == ctx.db)
        return int(row["query_count"]) > 0 and 2000 < int(row["query_time"]) < 100000 and row

    p.wait(average, "an average")
    p.wait(lambda: [r for r in p.console("SHOW STATS") if r["database"] == ctx.db][0]["avg_query_count"] == "0",
           "silence to bring it down")
    assert "stats:" not in p.log()


def test_stats_of_workers_and_users(ctx):
    """The figures of all workers and users of a database are one row."""
    p = ctx.proxy(worker_threads=3)
    for user in ("app", "other") * 3:
        with p.connect(ctx.db, user) as c:
            c.query("SELECT 1")
    rows = [r for r in p.console("SHOW STATS") if r["database"] == ctx.db]
    assert [r["total_query_count"] for r in rows] == ["6"], rows
    pools = [(r["database"], r["user"]) for r in p.console("SHOW POOLS")]
    assert pools == [(ctx.db, "app"), (ctx.db, "other"), ("pgbouncer", "pgbouncer")], pools


def test_clients_and_servers(ctx):
    p = ctx.proxy(default_pool_size=1, worker_threads=2)
    busy = ctx.keep(p.connect(ctx.db, application_name="busy one"))
    waiting = ctx.keep(p.connect(ctx.db, unix=True))
    busy.query("BEGIN")
    pid = busy.value("SELECT pg_backend_pid()")
    waiting.send(query("SELECT 1"))
    p.wait(lambda: p.pool(ctx.db)["cl_waiting"] == "1", "a waiting client")
    admin = console(ctx, p)
    clients = {r["user"] if r["addr"] == "127.0.0.1" else "by unix": r for r in admin.query("SHOW CLIENTS").dicts}
    one = clients["app"]
    assert one["application_name"] == "busy one", one
    assert (one["type"], one["user"], one["database"], one["state"]) == ("C", "app", ctx.db, "active"), one
    assert one["addr"] == "127.0.0.1" and one["local_port"] == str(p.port) and one["replication"] == "none", one
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+", one["connect_time"]), one
    second = clients["by unix"]
    assert second["state"] == "waiting" and second["addr"] == "unix" and second["port"] == str(p.port), second
    assert int(second["wait"]) * 1000000 + int(second["wait_us"]) > 0, second
    assert second["link"] == "" and int(second["remote_pid"]) > 0, second
    assert clients["console"]["database"] == "pgbouncer", clients
    servers = admin.query("SHOW SERVERS").dicts
    assert len(servers) == 1, servers
    server = servers[0]
    assert server["type"] == "S" and server["state"] == "active" and server["remote_pid"] == pid, server
    assert server["link"] == one["ptr"] and one["link"] == server["ptr"], (server, one)
    assert server["close_needed"] == "0"
    states = sorted(r["state"] for r in admin.query("SHOW SOCKETS").dicts)
    assert states == ["cl_active", "cl_active", "cl_waiting", "sv_active"], states
    assert len({r["id"] for r in clients.values()}) == 3
    busy.query("COMMIT")
    waiting.until_ready().check()
    p.wait(lambda: admin.query("SHOW SERVERS").dicts[0]["state"] == "idle", "an idle server")
    assert {r["state"] for r in admin.query("SHOW CLIENTS").dicts} == {"idle"}
    fds = admin.query("SHOW FDS").dicts
    assert sorted(r["task"] for r in fds) == ["client", "client", "server"], fds
    assert all(r["password"] is None and r["scram_client_key"] is None and r["cancel"] == "0" for r in fds), fds


def test_rows_while_clients_come_and_go(ctx):
    """Rows of other workers are theirs to make: nothing is read that is being freed."""
    p = ctx.proxy(worker_threads=3, default_pool_size=3)

    def come_and_go(i):
        for n in range(40):
            with p.connect(ctx.db) as c:
                assert c.value(f"SELECT {n}") == str(n)

    threads = [ctx.thread(come_and_go, i) for i in range(4)]
    admin = console(ctx, p)
    while not all(not t.is_alive() for t in threads):
        for name in ("CLIENTS", "SERVERS", "SOCKETS", "POOLS", "STATS", "LISTS", "FDS"):
            assert admin.query(f"SHOW {name}").columns
    for t in threads:
        t.result()


def test_databases_and_users(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(pool_size=7, reserve_pool=2, max_db_connections=9),
                             "forced": ctx.server(user="app", pool_mode="session"), "*": ctx.server()},
                  user_settings={"app": {"pool_size": 3, "pool_mode": "session"}})
    c = ctx.keep(p.connect("forced", "other"))
    c.query("SELECT 1")
    rows = {r["name"]: r for r in p.console("SHOW DATABASES")}
    assert "*" not in rows, rows
    one = rows[ctx.db]
    assert one["pool_size"] == "7" and one["reserve_pool_size"] == "2" and one["max_connections"] == "9", one
    assert one["pool_mode"] is None and one["force_user"] is None and one["server_lifetime"] == "3600", one
    assert one["paused"] == "0" and one["disabled"] == "0" and one["current_connections"] == "0", one
    forced = rows["forced"]
    assert forced["force_user"] == "app" and forced["pool_mode"] == "session", forced
    assert forced["current_connections"] == "1" and forced["current_client_connections"] == "1", forced
    assert rows["pgbouncer"]["force_user"] == "pgbouncer" and rows["pgbouncer"]["host"] is None, rows
    users = {r["name"]: r for r in p.console("SHOW USERS")}
    assert users["app"]["pool_mode"] == "session" and users["app"]["pool_size"].strip() == "3", users["app"]
    assert users["app"]["current_connections"] == "1" and users["app"]["current_client_connections"] == "0"
    assert users["other"]["current_client_connections"] == "1" and users["other"]["pool_mode"] is None


def test_lists(ctx):
    p = ctx.proxy(hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    c.query("SELECT 1")

    def look():
        return {r["list"]: int(r["items"]) for r in p.console("SHOW LISTS")}

    # The connections that saw the port open may end a moment later.
    p.wait(lambda: look()["used_clients"] == 2 and look()["login_clients"] == 0, "no other client")
    lists = look()
    assert list(lists) == ("databases users peers pools peer_pools free_clients used_clients login_clients "
                           "free_servers used_servers dns_names dns_zones dns_queries dns_pending").split(), lists
    assert lists["databases"] == 2 and lists["pools"] == 2 and lists["used_servers"] == 1, lists

    def clients():
        return {r["name"]: r for r in p.console("SHOW MEM")}["client_cache"]["used"]
    p.wait(lambda: clients() == "2", "the end of the other console's connection")


def test_settings_of_postgresql(ctx):
    """What drivers ask and set without looking whom they talk to."""
    admin = console(ctx, ctx.proxy())
    assert admin.query("SHOW client_encoding").rows == [("UTF-8",)]
    assert admin.query("show timezone").rows == [("GMT",)]
    reply = admin.ask(query("SET timezone TO 'Europe/Berlin'"))
    assert reply.tags == ["SET"] and not reply.errors
    assert admin.query("SELECT version").columns == ["version"]


def test_bad_forms(ctx):
    admin = console(ctx, ctx.proxy())
    for command in ("FROBNICATE", "SHOW", "SHOW nonsense", "SHOW POOLS NOW", "SHOW POOLS; SHOW STATS", "SELECT 1, 2",
                    "SHUTDOWN SOON", "RELOAD now", "SUSPEND all", "SET x", "SET = 1", '"', "SHOW 'POOLS'"):
        reply = admin.ask(query(command))
        assert [(e.severity, e.sqlstate, e.text) for e in reply.errors] == \
            [("ERROR", "08P01", f"invalid command '{command}', use SHOW HELP;")], (command, reply.errors)
    for command in ("SHOW " + "x" * 70, "SET verbose = '" + "x" * 300 + "'", "x" * 20):
        assert [e.text for e in admin.ask(query(command)).errors] == ["bad arguments"], command
    assert admin.ask(query(" ; ")).messages[0].kind == "I"
    assert admin.query('"show" "pools"').columns[0] == "database"


# ---- extended messages


def test_extended(ctx):
    p = ctx.proxy()
    with p.connect(ctx.db) as c:
        c.query("SELECT 1")
    admin = console(ctx, p)
    for name, (_, columns, ours) in TABLES.items():
        reply = admin.ask(parse(f"SHOW {name}") + describe("S") + bind() + describe("P") + execute() + sync())
        kinds = [m.kind for m in reply.messages if m.kind != "D"]
        assert kinds == ["1", "t", "T", "2", "T", "C", "Z"], (name, kinds)
        assert reply.columns == columns + ours, name
    # Without Describe; by name; several at once; twice.
    reply = admin.ask(parse("SHOW POOLS", "p") + bind("p") + execute() + bind("p", portal="x") + execute("x") + sync())
    assert "".join(m.kind for m in reply.messages if m.kind != "D") == "12C2CZ", reply.messages
    assert admin.ask(bind("p") + execute() + sync()).check().rows
    # Control commands have no rows.
    reply = admin.ask(parse("RECONNECT") + bind() + describe() + execute() + sync())
    assert [m.kind for m in reply.messages] == ["1", "2", "n", "C", "Z"], reply.messages
    reply = admin.ask(parse("") + bind() + describe() + execute() + sync())
    assert [m.kind for m in reply.messages] == ["1", "2", "n", "I", "Z"], reply.messages


def test_extended_binary(ctx):
    """Drivers ask for binary numbers."""
    p = ctx.proxy()
    with p.connect(ctx.db) as c:
        for _ in range(3):
            c.query("SELECT 1")
    admin = console(ctx, p)
    reply = admin.ask(parse("SHOW LISTS") + bind(result_formats=(1,)) + describe() + execute() + sync()).check()
    raw = [bytes(m.body) for m in reply.messages if m.kind == "D"]
    assert raw[0] == struct.pack("!HI", 2, 9) + b"databases" + struct.pack("!II", 4, 2), raw[0]
    reply = admin.ask(parse("SHOW STATS_TOTALS") + bind(result_formats=(0,) * 3 + (1,) + (0,) * 12) + execute() + sync())
    row = bytes(next(m.body for m in reply.messages if m.kind == "D"))
    # One base 10000 digit, weight 0, positive, no decimals, 3 queries.
    assert struct.pack("!IHHHHH", 10, 1, 0, 0, 0, 3) in row, row


def test_extended_errors(ctx):
    admin = console(ctx, ctx.proxy())
    wrong = parse("SHOW NONSENSE") + bind() + describe() + execute() + execute() + sync()
    reply = admin.ask(wrong)
    assert [e.text for e in reply.errors] == ["invalid command 'SHOW NONSENSE', use SHOW HELP;"], reply.errors
    reply = admin.ask(parse("SHOW POOLS") + bind(params=("1",), param_formats=()) + execute() + sync())
    assert reply.errors[0].sqlstate == "0A000", reply.errors
    assert admin.ask(bind("none") + sync()).errors[0].sqlstate == "26000"
    assert admin.ask(execute("none") + sync()).errors[0].sqlstate == "34000"
    for i in range(200):
        reply = admin.ask(parse("SHOW POOLS", f"s{i}") + sync())
    assert reply.errors and reply.errors[0].sqlstate == "53400", reply.errors
    assert admin.ask(parse("SHOW VERSION", "s0") + sync()).errors[0].sqlstate == "42P05"
    assert admin.query("SHOW VERSION").rows
    # A message that has no place here ends the connection.
    admin.send(message("d", cstring("x")))
    assert admin.wait_closed().errors[0].severity == "FATAL"


def test_cancel_requests(ctx):
    """A cancel request on its way shows, and so does the server that waits for its end."""
    p = ctx.proxy(hidden_code_check=0)
    c = ctx.keep(p.connect(ctx.db))
    c.send(query("SELECT pg_sleep(1.5)"))
    p.wait(lambda: p.pool(ctx.db)["sv_active"] == "1", "the query")
    postmaster = ctx.pg.process.pid
    os.kill(postmaster, signal.SIGSTOP)
    try:
        thread = ctx.thread(c.cancel)
        p.wait(lambda: p.pool(ctx.db)["sv_active_cancel"] == "1", "the request")
        assert p.pool(ctx.db)["cl_active_cancel_req"] == "1" and p.pool(ctx.db)["sv_being_canceled"] == "0"
        p.wait(lambda: p.pool(ctx.db)["sv_being_canceled"] == "1", "the query to end")
        assert p.pool(ctx.db)["sv_active"] == "0"
        assert [r["state"] for r in p.console("SHOW SERVERS")] == ["being_canceled"]
        assert "active_cancel_req" in {r["state"] for r in p.console("SHOW CLIENTS")}
    finally:
        os.kill(postmaster, signal.SIGCONT)
    thread.result()
    p.wait(lambda: p.pool(ctx.db)["sv_idle"] == "1", "the server to be free")
    row = p.pool(ctx.db)
    assert (row["sv_active_cancel"], row["sv_being_canceled"], row["cl_active_cancel_req"]) == ("0", "0", "0"), row


def test_peers(ctx):
    p = ctx.proxy(start=False, peer_id=1)
    with open(p.ini, "a", encoding="utf-8") as f:
        f.write("[peers]\n2 = host=127.0.0.1 port=6433 pool_size=3\n")
    p.start()
    assert [tuple(r.values()) for r in p.console("SHOW PEERS")] == [("2", "127.0.0.1", "6433", "3")]
    assert [tuple(r.values()) for r in p.console("SHOW PEER_POOLS")] == [("2", "0", "0", "0", "0")]


def test_dns_hosts(ctx):
    p = ctx.proxy(databases={"named": ctx.server(host="localhost"), "lost": ctx.server(host="no-such-host.invalid")},
                  dns_max_ttl=30, server_login_retry=30)
    with p.connect("named") as c:
        c.query("SELECT 1")
    ctx.keep(p.open()).send(startup({"user": "app", "database": "lost"}))
    p.wait(lambda: len(p.console("SHOW DNS_HOSTS")) == 2, "both names")
    rows = {r["hostname"]: r for r in p.console("SHOW DNS_HOSTS")}
    assert "127.0.0.1" in rows["localhost"]["addrs"].split(",") and 0 < int(rows["localhost"]["ttl"]) <= 30, rows
    assert rows["no-such-host.invalid"]["addrs"] == "", rows
    assert {r["list"]: r["items"] for r in p.console("SHOW LISTS")}["dns_names"] == "2"


def test_metrics_of_pools(ctx):
    p = ctx.proxy(hidden_code_check=0, http_listen=f"127.0.0.1:{cluster.free_port()}")
    with p.connect(ctx.db) as c:
        for _ in range(3):
            c.query("SELECT 1")
    text = p.http("/metrics")[1]
    labels = f'{{database="{ctx.db}",user="app"}}'
    assert f"pgweir_pool_queries_total{labels} 3\n" in text, text
    assert f"pgweir_pool_paused{labels} 0\n" in text, text
    assert "pgweir_queries_total 3\n" in text, text
    assert f'pgweir_database_servers{{database="{ctx.db}"}} 1\n' in text, text
    assert f'pgweir_database_paused{{database="{ctx.db}"}} 0\n' in text, text
    assert len(set(re.findall("^# TYPE (.*)$", text, re.M))) == len(re.findall("^# TYPE", text, re.M))
    # What a forgotten pool did stays in the sums.
    del p.databases[ctx.db]
    p.databases["other"] = ctx.server()
    p.reload()
    assert "pgweir_queries_total 3\n" in p.http("/metrics")[1]
    assert "pgweir_pool_queries_total{" not in p.http("/metrics")[1]


def test_invalidation(ctx):
    """A row for each followed database: whether hits are possible, and how fresh the cache is."""
    p = ctx.cache_proxy()

    def row():
        rows = p.console("SHOW INVALIDATION")
        assert len(rows) == 1 and rows[0]["database"] == f"{ctx.db}@127.0.0.1:{ctx.pg.port}", rows
        return rows[0]

    before = row()
    assert before["state"] == "following" and before["reason"] == "" and before["slot"].startswith("pgweir_"), before
    assert list(before)[-2:] == ["plugin", "publication"] and before["plugin"] == "test_decoding" and before["publication"] == "", before
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", before["stable"]) and int(before["readings"]) > 0, before
    assert 0 <= int(before["fresh_age_us"]) < 10_000_000 and int(before["reading_us"]) > 0, before
    ctx.sql("INSERT INTO warm VALUES (77)")
    p.wait(lambda: int(row()["transactions"]) > int(before["transactions"]), "the commit to be seen")
    assert ctx.sql("SELECT slot_name FROM pg_replication_slots")[0][0] == before["slot"]
    ctx.sql(f"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{before['slot']}'")
    p.wait(lambda: int(row()["reconnects"]) > int(before["reconnects"]) and row()["state"] == "following", "a new slot")
    assert row()["slot"] != before["slot"]


# ---- drivers (see 60_drivers.py)


def drive(ctx, program, argv=drivers.PYTHON):
    p = ctx.proxy(auth_type="scram-sha-256", admin_users="app")
    ctx.note(drivers.run(argv, program, p, ctx.db))


def test_psycopg3(ctx):
    drive(ctx, "psycopg3_console.py")


def test_asyncpg(ctx):
    drive(ctx, "asyncpg_console.py")


@limit(90)
def test_jdbc(ctx):
    drivers.need_jdbc()
    drive(ctx, "JdbcConsole.java", drivers.JAVA)


def test_node_postgres(ctx):
    drivers.need_node_postgres()
    drive(ctx, "node_console.js", drivers.NODE)
