# SPDX-License-Identifier: Apache-2.0
"""A RELOAD while a client logs in: nobody is let in by what does not hold any more."""
import struct

from proxy import USERS
from pgwire import Scram, cstring, last_error, message, startup


def code(w):
    m = w.read()
    assert m.kind == "R", m
    return struct.unpack("!I", m.body[:4])[0]


def half_way(ctx, p, user="app", password="app-secret", database=None):
    """Has said who it is and heard the salt. Returns the connection, and the bytes of its proof."""
    w = ctx.keep(p.open())
    w.send(startup({"user": user, "database": database or ctx.db}))
    assert code(w) == 10
    scram = Scram(password)
    first = scram.first()
    w.send(message("p", cstring("SCRAM-SHA-256") + struct.pack("!I", len(first)) + first))
    m = w.read()
    assert m.kind == "R" and m.body[:4] == struct.pack("!I", 11), m
    return w, message("p", scram.final(m.body[4:]))


def comes_in(w, proof):
    w.send(proof)
    assert code(w) == 12 and code(w) == 0
    w.until_ready()
    return w.value("SELECT current_user")


def is_told_to_ask_again(w, proof):
    w.send(proof)
    assert code(w) == 12
    error = last_error(w)
    assert error.sqlstate == "57P03" and "configuration was changed" in error.text, error


def put(p, text):
    p._put(f"{p.directory}/hba", text)


def with_hba(ctx, **settings):
    p = ctx.proxy(start=False, auth_type="hba", **settings)
    put(p, "host all all all scram-sha-256\n")
    p.settings["auth_hba_file"] = f"{p.directory}/hba"
    p.write()
    return p.start()


def test_nothing_that_counts(ctx):
    """Other settings, other users, a line of comment: the login goes on."""
    p = with_hba(ctx)
    waiting = [half_way(ctx, p) for _ in range(2)]
    p.users["other"] = "another secret"
    put(p, "# news\nhost all other all reject\nhost all all all scram-sha-256\n")
    p.reload(server_idle_timeout=77)
    for one in waiting:
        assert comes_in(*one) == "app"


def test_secret(ctx):
    p = ctx.proxy(auth_type="scram-sha-256")
    late = half_way(ctx, p)
    same = half_way(ctx, p, "other", "other-secret")
    p.users["app"] = "new"
    p.reload()
    is_told_to_ask_again(*late)
    assert comes_in(*same) == "other"
    assert p.refused(ctx.db, password="app-secret").sqlstate == "28P01"
    del p.users["app"]
    late = half_way(ctx, p, password="new")
    p.reload()
    is_told_to_ask_again(*late)


def test_method(ctx):
    """An HBA line that lets nobody in; another method; a console that is not for everybody any more."""
    p = with_hba(ctx, stats_users="app")
    for text in ("host all other all scram-sha-256\n", "host all all all reject\n", "host all all all md5\n"):
        late = half_way(ctx, p)
        put(p, text)
        p.reload()
        is_told_to_ask_again(*late)
        put(p, "host all all all scram-sha-256\n")
        p.reload()
    late = half_way(ctx, p, database="pgbouncer")
    p.reload(stats_users="other")
    is_told_to_ask_again(*late)


def test_a_database_that_gets_a_user(ctx):
    """The keys that a client's login showed are not for a database's own user, whatever its name."""
    secret = ctx.pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'srv_scram'")[0][0]
    p = ctx.proxy(auth_type="scram-sha-256", users=USERS | {"srv_scram": secret}, log_disconnections=1)
    with p.connect(ctx.db, user="srv_scram", password="srv_scram-secret") as c:
        assert c.value("SELECT current_user") == "srv_scram"
    p.databases[ctx.db]["user"] = "srv_scram"
    p.databases[ctx.db]["password"] = "SCRAM-SHA-256$4096:AA==$AA==:AA=="  # serves for no login
    p.reload(query_wait_timeout=1)
    assert p.refused(ctx.db, password="app-secret").text == "query_wait_timeout"
    p.wait_log("server asks for a SCRAM password, and none is known")
