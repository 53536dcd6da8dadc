# SPDX-License-Identifier: Apache-2.0
"""What a line of [databases] or [users] says in place of a setting, and who the process becomes."""
import os
import re
import subprocess

import cluster as pg
from pgwire import query
from runner import Skip


def taken(ctx, p, database, user, enough):
    """Opens transactions of this user until so many have a server, and one more that waits; returns how many
    servers there are."""
    clients = []
    for _ in range(enough + 1):
        c = ctx.keep(p.connect(database, user))
        c.send(query("BEGIN"))
        clients.append(c)
    p.wait(lambda: int(p.pool(database, user)["sv_active"]) >= enough, f"{enough} servers of {database}/{user}")
    p.wait(lambda: int(p.pool(database, user)["cl_waiting"]) == 1, "one that waits")
    count = int(p.pool(database, user)["sv_active"])
    for c in clients:
        c.close()
    p.wait(lambda: p.pool(database, user)["cl_active"] == "0", "their end")
    return count


def test_pool_size(ctx):
    """User, then database, then setting."""
    p = ctx.proxy(databases={ctx.db: ctx.server(), "sized": ctx.server(pool_size=2)}, default_pool_size=1,
                  user_settings={"other": {"pool_size": 3}})
    assert taken(ctx, p, ctx.db, "app", 1) == 1
    assert taken(ctx, p, "sized", "app", 2) == 2
    assert taken(ctx, p, "sized", "other", 3) == 3


def test_reserve_pool_size(ctx):
    """The same; `reserve_pool` is its old name."""
    p = ctx.proxy(databases={ctx.db: ctx.server(), "more": ctx.server(reserve_pool=2)}, default_pool_size=1,
                  reserve_pool_size=1, reserve_pool_timeout=0.05, user_settings={"other": {"reserve_pool_size": 3}})
    assert taken(ctx, p, ctx.db, "app", 2) == 2
    assert taken(ctx, p, "more", "app", 3) == 3
    assert taken(ctx, p, "more", "other", 4) == 4
    rows = {r["name"]: r["reserve_pool_size"] for r in p.console("SHOW DATABASES")}
    assert (rows[ctx.db], rows["more"]) == ("1", "2"), rows


def test_connections_of_database_and_user(ctx):
    p = ctx.proxy(databases={ctx.db: ctx.server(), "few": ctx.server(max_db_connections=2)}, default_pool_size=4,
                  max_db_connections=3, user_settings={"other": {"max_user_connections": 1}})
    assert taken(ctx, p, ctx.db, "app", 3) == 3
    assert taken(ctx, p, "few", "app", 2) == 2
    ctx.sql("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'")
    assert taken(ctx, p, "few", "other", 1) == 1


def test_where_and_who(ctx):
    """host, port, dbname, user and password."""
    second = ctx.new_database()
    p = ctx.proxy(databases={"there": {"host": "127.0.0.1", "port": ctx.pg.port, "dbname": second, "user": "srv_scram",
                                       "password": "srv_scram-secret"},
                             second: {"host": ctx.pg.directory, "port": ctx.pg.port}},
                  users={"app": "app-secret", "console": "console-secret"})
    who = "SELECT current_database(), current_user, inet_client_addr() IS NULL"
    found = [ctx.keep(p.connect(name)).query(who).rows for name in ("there", second)]
    assert found == [[(second, "srv_scram", "f")], [(second, "app", "t")]], found


def test_admin_users(ctx):
    """Those in the list, and RELOAD changes it."""
    p = ctx.proxy(admin_users="console, other")
    assert ctx.keep(p.connect("pgbouncer", "other")).query("SHOW STATE").rows
    assert p.refused("pgbouncer", "app").text == "not allowed"
    p.reload(admin_users="console,app")
    p.wait(lambda: p.refused("pgbouncer", "other"), "the new list")
    assert ctx.keep(p.connect("pgbouncer", "app")).query("SHOW STATE").rows


def test_auth_file(ctx):
    """Another file, and another word in it, count after RELOAD."""
    p = ctx.proxy(auth_type="scram-sha-256")
    assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"
    assert p.refused(ctx.db, password="new-secret").sqlstate == "28P01"
    other = f"{p.directory}/others.txt"
    with open(other, "w", encoding="ascii") as f:
        f.write('"app" "new-secret"\n"console" "console-secret"\n')
    pg.give(other)
    p.reload(auth_file=other)
    p.wait(lambda: p.refused(ctx.db, password="app-secret"), "the new file")
    assert p.refused(ctx.db, "other").sqlstate == "28P01"


def test_log_stats(ctx):
    """PgBouncer's line, each stats_period."""
    p = ctx.proxy(stats_period=1, log_stats=1)
    ctx.keep(p.connect(ctx.db)).query("SELECT 1")
    p.wait_log(r"LOG stats: \d+ xacts/s, \d+ queries/s, \d+ client parses/s, \d+ server parses/s, \d+ binds/s, "
               r"in \d+ B/s, out \d+ B/s, xact \d+ us, query \d+ us, wait \d+ us")


def test_job_name(ctx):
    """Of no use but to be shown, by either name."""
    for name in ("job_name", "service_name"):
        rows = {r["key"]: r["value"] for r in ctx.proxy(**{name: "mine"}).console("SHOW CONFIG")}
        assert rows["job_name"] == "mine" and "service_name" not in rows


def pid_of(p):
    try:
        with open(f"{p.directory}/pid", encoding="ascii") as f:
            return int(f.read())
    except (OSError, ValueError):
        return 0


def test_user(ctx):
    """Started by root it becomes that user, by setting or by -u; without either it does not start."""
    if os.getuid() != 0 or not pg.USER:
        raise Skip("only root can become somebody else")
    name = pg.USER.pw_name
    for setting, arguments in ((name, ["-d"]), (None, ["-d", "-u", name]), (None, ["-d"])):
        p = ctx.proxy(start=False, user=setting)
        p.settings |= {"logfile": f"{p.directory}/daemon.log", "pidfile": f"{p.directory}/pid"}
        p.write()
        done = subprocess.run([p.binary, *arguments, p.ini], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=20)
        if arguments == ["-d"] and not setting:
            with open(f"{p.directory}/daemon.log", encoding="utf-8") as f:
                said = f.read()
            assert done.returncode == 1 and "root" in said, (done, said)
            continue
        assert done.returncode == 0, done
        pid = p.wait(lambda p=p: pid_of(p), "the pidfile")
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                status = f.read()
            for field, want in (("Uid", pg.USER.pw_uid), ("Gid", pg.USER.pw_gid)):
                found = re.search(rf"^{field}:\t(.*)$", status, re.M).group(1).split("\t")
                assert found == [str(want)] * 4, (field, found)
            assert ctx.keep(p.connect(ctx.db)).value("SELECT 1") == "1"
        finally:
            os.kill(pid, 3)
            p.wait(lambda p=p: not os.path.exists(f"{p.directory}/pid"), "its end")
