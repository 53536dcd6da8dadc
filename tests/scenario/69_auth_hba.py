# SPDX-License-Identifier: Apache-2.0
"""auth_type = hba: who gets in how, by the lines of a file; ident maps; peer; an auth_type of a database's own."""
import os
import pwd
import re
import signal
import subprocess

import certs
import proxy as px
from pgwire import PgError, Wire, startup

ME = pwd.getpwuid(os.geteuid()).pw_name
METHODS = {"trust": [0], "password": [3, 0], "md5": [5, 0], "scram-sha-256": [10, 11, 12, 0]}


def put(p, name, text):
    path = f"{p.directory}/{name}"
    p._put(path, text)
    return path


def start(ctx, hba, ident=None, **settings):
    p = ctx.proxy(start=False, **settings)
    p.settings |= {"auth_type": settings.get("auth_type", "hba"), "auth_hba_file": put(p, "hba", hba), "log_connections": 1}
    if ident is not None:
        p.settings["auth_ident_file"] = put(p, "ident", ident)
    p.write()
    return p.start()


def codes(p, database, user="app", **options):
    with p.connect(database, user, **options) as c:
        assert c.value("SELECT 1") == "1"
        return c.auth_codes


def says(p, text, database, user="app", sqlstate="28000", **options):
    error = p.refused(database, user, **options)
    assert (error.severity, error.sqlstate, error.text) == ("FATAL", sqlstate, text), error


def test_methods(ctx):
    for method, expected in METHODS.items():
        p = start(ctx, f"host all all 127.0.0.1/32 {method}\n")
        assert codes(p, ctx.db) == expected, method
        if method == "trust":
            says(p, '"trust" authentication failed', ctx.db, "stranger", password="x")
        else:
            for user, password in (("app", "wrong"), ("stranger", "x")):
                says(p, f'password authentication failed for user "{user}"', ctx.db, user, "28P01", password=password)
        # No line is for a unix socket.
        says(p, "no authentication method is found", ctx.db, unix=True)


def test_md5_for_a_scram_secret(ctx):
    secret = ctx.pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")[0][0]
    p = start(ctx, "host all all all md5\n", users=px.USERS | {"app": secret})
    with p.connect(ctx.db, password="app-secret") as c:
        assert c.auth_codes == [10, 11, 12, 0]
        assert c.value("SELECT 1") == "1"


def test_first_line_that_fits(ctx):
    p = start(ctx, f"""
host all other all reject
host "{ctx.db}" app,stranger 127.0.0.0 255.0.0.0 scram-sha-256   # this one
local all app trust
host all all all trust
""", databases={ctx.db: ctx.server(), "second": ctx.server()})
    says(p, "login rejected", ctx.db, "other")
    says(p, "login rejected", "second", "other")
    says(p, "login rejected", "nowhere", "other")
    assert codes(p, ctx.db) == METHODS["scram-sha-256"]
    assert codes(p, ctx.db, unix=True) == [0]
    assert codes(p, "second") == [0]
    says(p, "no authentication method is found", ctx.db, "other", unix=True)
    # A database that does not exist has a method, too.
    assert "no such database" in p.refused("nowhere").text
    assert re.search(r"login attempt: db=\S+ user=other tls=no replication=no", p.log())


def test_same_user_and_quotes(ctx):
    p = start(ctx, 'host sameuser all all trust\nhost "all" all all trust\n',
              databases={"app": ctx.server(), "all": ctx.server()})
    assert codes(p, "app") == [0]
    assert codes(p, "all", "other") == [0]
    says(p, "no authentication method is found", "app", "other")


def test_replication(ctx):
    p = start(ctx, "host all all all trust\nhost replication other all trust\nhost replication all all reject\n",
              databases={ctx.db: ctx.server(user="postgres")})
    says(p, "login rejected", ctx.db, "app", replication="true")
    with p.connect(ctx.db, "other", replication="true") as c:
        assert c.query("IDENTIFY_SYSTEM").rows
    # Logical replication is of a database.
    with p.connect(ctx.db, "app", replication="database") as c:
        assert c.query("IDENTIFY_SYSTEM").rows


def test_files_of_names_and_includes(ctx):
    p = ctx.proxy(start=False)
    put(p, "users", "other, app\n")
    put(p, "more", "host all @users all trust\n")
    p.settings |= {"auth_type": "hba", "auth_hba_file": put(p, "hba", "include more\ninclude_if_exists none\n")}
    p.write()
    p.start()
    assert codes(p, ctx.db) == [0]
    assert codes(p, ctx.db, "other") == [0]
    says(p, "no authentication method is found", ctx.db, "postgres")


def test_bad_lines_are_told_and_left_out(ctx):
    p = start(ctx, "hosts all all all trust\nhost all +group all trust\nhost all other all gss\nhost all app all trust\n")
    for line, why in ((1, "unknown type"), (2, "names of groups are not supported: +group"), (3, "unsupported method: buf=gss")):
        sentence = f"hba:{line}: hba line {line}: {why}: could not parse hba config line {line}"
        assert sentence in p.log(), p.log()
    assert codes(p, ctx.db) == [0]
    says(p, "no authentication method is found", ctx.db, "other")


def test_a_file_that_cannot_be_read(ctx):
    """The start is refused; a reload keeps what was."""
    p = ctx.proxy(start=False, auth_type="hba", auth_hba_file="/nonexistent/hba")
    p.expect_failure = True
    assert p.spawn().wait_end() != 0
    assert "could not open hba config file /nonexistent/hba: No such file or directory" in p.log()
    p = start(ctx, "host all app all trust\n")
    reload_badly(p, auth_hba_file="/nonexistent/hba")
    assert codes(p, ctx.db) == [0]
    says(p, "no authentication method is found", ctx.db, "other")
    # Nor is one that is included: there may be lines in it that reject.
    put(p, "hba", "include none\nhost all all all trust\n")
    p.reload()
    p.wait_log("could not parse hba config line 1")
    says(p, "no authentication method is found", ctx.db, "other")
    put(p, "hba", "include_if_exists none\nhost all all all trust\n")
    p.reload()
    p.wait(lambda: refusal(p, ctx.db, "other") is None, "the new file")


def reload_badly(p, **settings):
    before = p.settings
    p.settings = p.settings | settings
    p.write()
    p.settings = before
    p.signal(signal.SIGHUP)
    p.wait_log("could not open hba config file")


def test_reload(ctx):
    p = start(ctx, "host all app all trust\n")
    assert codes(p, ctx.db) == [0]
    inside = ctx.keep(p.connect(ctx.db))
    put(p, "hba", "host all app all reject\nhost all other all scram-sha-256\n")
    p.reload()
    p.wait(lambda: refusal(p, ctx.db) == "login rejected", "the new file")
    assert codes(p, ctx.db, "other") == METHODS["scram-sha-256"]
    assert inside.value("SELECT 1") == "1"
    # And away from it.
    p.reload(auth_type="trust")
    p.wait(lambda: refusal(p, ctx.db) is None, "the new auth_type")


def refusal(p, database, user="app"):
    try:
        p.connect(database, user).close()
        return None
    except PgError as error:
        return error.text


def test_console(ctx):
    """Only admins and users of statistics, whatever a line says; and they by their lines."""
    p = start(ctx, "host replication all all trust\nlocal replication all trust\n"
              "host pgbouncer all all scram-sha-256\nhost all all all trust\nlocal pgbouncer console reject\n"
              "local all all trust\n", stats_users="other")
    says(p, "not allowed", "pgbouncer", "app", "08P01")
    says(p, "not allowed", "pgbouncer", "stranger", "08P01", password="x")
    assert p.refused("pgbouncer", "console", "wrong").sqlstate == "28P01"
    with p.connect("pgbouncer", "console") as c:
        assert c.auth_codes == METHODS["scram-sha-256"]
        c.query("SHOW CONFIG")
        c.query("RELOAD")
    with p.connect("pgbouncer", "other") as c:
        try:
            c.query("RELOAD")
            raise AssertionError("RELOAD was allowed")
        except PgError as error:
            assert "admin access needed" in error.text, error
    assert p.refused("pgbouncer", "console", unix=True).text == "login rejected"
    # By its other name, too; and lines may have that one.
    assert p.refused("pgweir", "console", unix=True).text == "login rejected"
    assert p.refused("pgweir", "console", "wrong").sqlstate == "28P01"
    # Lines for replication are not for the console, whatever it is asked for.
    assert p.refused("pgbouncer", "console", "wrong", replication="true").sqlstate == "28P01"
    assert p.refused("pgweir", "console", unix=True, replication="true").text == "login rejected"
    put(p, "hba", "host pgweir console all reject\nhost all all all trust\n")
    p.reload()
    for name in ("pgbouncer", "pgweir"):
        p.wait(lambda: refusal(p, name, "console") == "login rejected", "the new lines")


def test_auth_type_of_a_database(ctx):
    p = ctx.proxy(auth_type="scram-sha-256", databases={ctx.db: ctx.server(), "open": ctx.server(auth_type="trust"),
                                                        "any": ctx.server(auth_type="any", user="other")})
    assert codes(p, ctx.db) == METHODS["scram-sha-256"]
    assert codes(p, "open") == [0]
    with p.connect("any", "whoever", password="") as c:
        assert c.auth_codes == [0]
        assert c.value("SELECT current_user") == "other"
    # It is of that database only, and never of the console.
    says(p, "not allowed", "pgbouncer", "whoever", "08P01", password="")
    assert p.refused(ctx.db, password="x").sqlstate == "28P01"
    p.databases["open"] = ctx.server(auth_type="nonsense")
    p.write()
    p.signal(signal.SIGHUP)
    p.wait_log("invalid auth_type: nonsense")
    assert codes(p, "open") == [0]


def test_hba_of_a_database(ctx):
    p = start(ctx, "host all app all md5\n", auth_type="trust",
              databases={ctx.db: ctx.server(), "careful": ctx.server(auth_type="hba")})
    assert codes(p, ctx.db) == [0]
    assert codes(p, "careful") == METHODS["md5"]
    says(p, "no authentication method is found", "careful", "other")


# ---- TLS

def test_tls(ctx):
    a = certs.Authority(ctx.directory, "hba-root")
    cert, key = a.issue("localhost", ["DNS:localhost"])
    p = start(ctx, """
hostnossl all other all reject
hostssl mapped all all cert map=m
hostssl all app all cert
hostssl all other all scram-sha-256
hostnossl all app all md5
""", "m somebody app\nm /^(.*)\\.client$ \\1\n", databases={ctx.db: ctx.server(), "mapped": ctx.server()},
              client_tls_sslmode="verify-full", client_tls_ca_file=a.cert, client_tls_cert_file=cert, client_tls_key_file=key)
    app, somebody, other = (a.client_context(a.issue(name)) for name in ("app", "somebody", "other.client"))
    assert codes(p, ctx.db, tls=app) == [0]
    assert codes(p, ctx.db, "other", tls=app) == METHODS["scram-sha-256"]
    failed = "certificate authentication failed"
    says(p, failed, ctx.db, tls=somebody)
    assert codes(p, "mapped", tls=somebody) == [0]
    assert codes(p, "mapped", "other", tls=other) == [0]
    says(p, failed, "mapped", tls=app)
    says(p, failed, "mapped", tls=other)
    p.reload(client_tls_sslmode="allow")
    p.wait(lambda: refusal(p, ctx.db) is None, "logins without TLS")
    assert codes(p, ctx.db) == METHODS["md5"]
    says(p, "login rejected", ctx.db, "other")
    says(p, "no authentication method is found", "mapped", "postgres")


def test_pam_and_ldap(ctx):
    """Lines with an LDAP server, or a service of PAM, of their own. (What these methods do: 70_auth_slow.)"""
    p = start(ctx, """
host ldap1 all all ldap ldapserver=127.0.0.1 ldapport=1 ldapprefix="uid=" ldapsuffix=",dc=x" # nobody is there
host ldap2 all all ldap
host pam all all pam pamservice=no_such_service_of_pgweir
host bad all all ldap ldapserver=
""", databases={name: ctx.server() for name in ("ldap1", "ldap2", "pam", "bad")})
    assert "hba line 5: " in p.log()
    says(p, 'LDAP authentication failed for user "app"', "ldap1")
    says(p, "bouncer config error", "ldap2", sqlstate="08P01")
    says(p, 'PAM authentication failed for user "app"', "pam")
    says(p, "no authentication method is found", "bad")
    assert "ldap without options" in p.log()


# ---- peer

REJECTED = "unix socket login rejected"


def test_peer(ctx):
    p = start(ctx, "local all all peer\nhost all all all peer\n",
              databases={ctx.db: ctx.server(user="app", password="app-secret")}, users=px.USERS | {ME: ""})
    assert codes(p, ctx.db, ME, unix=True) == [0]
    says(p, REJECTED, ctx.db, "other", unix=True)
    says(p, REJECTED, ctx.db, "stranger", unix=True)
    # Nobody is at the other end of an address.
    says(p, REJECTED, ctx.db, ME)


def test_peer_needs_a_known_user(ctx):
    p = start(ctx, "local all all peer\n", users={k: v for k, v in px.USERS.items() if k != ME})
    says(p, REJECTED, ctx.db, ME, unix=True, password="x")


def test_peer_by_map(ctx):
    ident = f'# comment\nm {ME} app\nm nobody other\nwide {ME} all\nrx /^(.).*$ \\1pp_{ME}\nrx /^{ME[0]}(.*)$ x\\1\n'
    users = px.USERS | {"x" + ME[1:]: "s"}
    databases = {name: ctx.server(user="app", password="app-secret") for name in ("m", "wide", "rx")}
    p = start(ctx, "".join(f"local {m} all peer map={m}\n" for m in databases), ident, databases=databases, users=users)
    assert codes(p, "m", "app", unix=True) == [0]
    says(p, REJECTED, "m", "other", unix=True)
    assert codes(p, "wide", "other", unix=True) == [0]
    says(p, REJECTED, "wide", "stranger", unix=True, password="")
    assert codes(p, "rx", "x" + ME[1:], unix=True) == [0]
    says(p, REJECTED, "rx", "app", unix=True)
    assert "ident map m cannot be matched" in p.log()


def test_peer_in_a_map_that_does_not_exist(ctx):
    p = start(ctx, "local all all peer map=none\nlocal all all reject\n", "")
    assert "Ident map is not found in ident config file: none" in p.log()
    says(p, "login rejected", ctx.db, unix=True)


def test_peer_as_auth_type(ctx):
    p = ctx.proxy(auth_type="peer", databases={ctx.db: ctx.server(user="app", password="app-secret")},
                  users=px.USERS | {ME: ""})
    assert codes(p, ctx.db, ME, unix=True) == [0]
    says(p, REJECTED, ctx.db, "other", unix=True)


def test_many_peers_and_some_that_leave(ctx):
    """The name of a uid is asked by a thread: who leaves meanwhile is no matter, and what is sent early waits."""
    p = start(ctx, "local all all peer\nhost pgbouncer all all md5\n",
              databases={ctx.db: ctx.server(user="app", password="app-secret")}, users=px.USERS | {ME: ""})
    for i in range(60):
        wire = Wire(p.socket_path, 10)
        wire.send(startup({"user": ME, "database": ctx.db}))
        if i % 3:
            wire.socket.close()
        else:
            wire.until("Z")
            assert wire.value("SELECT 1") == "1"
            wire.close()
    assert codes(p, ctx.db, ME, unix=True) == [0]
    p.wait(lambda: len(p.console("SHOW CLIENTS")) == 1, "nobody but the asker")


def test_psql(ctx):
    p = start(ctx, "local all all peer map=m\nhost all all 127.0.0.1/32 scram-sha-256\n", f"m {ME} app\n")
    for host, password in ((p.directory, None), ("127.0.0.1", "app-secret")):
        env = os.environ | ({"PGPASSWORD": password} if password else {})
        done = subprocess.run(["psql", "-X", "-w", "-Atc", "SELECT current_user", "-h", host, "-p", str(p.port), "-U", "app", ctx.db],
                              capture_output=True, text=True, env=env, check=False)
        assert done.stdout == "app\n", (done, p.log())
    done = subprocess.run(["psql", "-X", "-w", "-Atc", "SELECT 1", "-h", p.directory, "-p", str(p.port), "-U", "other", ctx.db],
                          capture_output=True, text=True, check=False)
    assert f"FATAL:  {REJECTED}" in done.stderr, done
