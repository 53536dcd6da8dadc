# SPDX-License-Identifier: Apache-2.0
"""Passwords that somebody else checks: an LDAP server, PAM. And that nobody else waits for that."""
import contextlib
import os
import signal
import stat
import time

import cluster as pg
import directory as ldap
import proxy as px
from pgwire import PgError, cstring, last_error, message, startup
from runner import Skip, scenario

PEOPLE = {"app": "app-ldap", "srv_scram": "srv_scram-secret", "srv_plain": "other-than-the-servers"}


def directory(ctx, people=None, **options):
    if not ldap.binary():
        raise Skip("slapd is not there")
    return ctx.keep(ldap.Directory(ctx.directory, PEOPLE if people is None else people, **options))


def search(d, more=""):
    return f'ldapserver=127.0.0.1 ldapport={d.port} ldapbasedn="{ldap.SUFFIX}" {more}'


def ldap_proxy(ctx, options, **settings):
    return ctx.proxy(**{"auth_type": "ldap", "auth_ldap_options": options, **settings})


def failed(error, user="app", method="LDAP"):
    assert error.sqlstate == "28000" and error.text == f'{method} authentication failed for user "{user}"', error


def half_way(p, user="app", password="any", address=None):
    """A client that has sent its password and waits for what is said to it."""
    w = p.open(source=address)
    w.send(startup({"user": user, "database": next(iter(p.databases))}))
    assert w.read().kind == "R"
    w.send(message("p", cstring(password)))
    return w


# ---- LDAP


def test_ldap_search_and_bind(ctx):
    d = directory(ctx)
    p = ldap_proxy(ctx, search(d))
    with p.connect(ctx.db, password="app-ldap") as c:
        assert c.auth_codes == [3, 0]
        assert c.value("SELECT current_user") == "app"
    failed(p.refused(ctx.db, password="app-secret"))
    failed(p.refused(ctx.db, password="app-ldap "))
    assert f'LDAP login failed for user "uid=app,ou=people,{ldap.SUFFIX}"' in p.log()
    failed(p.refused(ctx.db, "other", "any"), "other")  # here, and not there
    assert 'LDAP user "other" does not exist' in p.log()
    # There, and not here; and who is nowhere hears the same.
    more = ldap_proxy(ctx, search(d), users={name: "" for name in px.USERS if name != "app"})
    failed(more.refused(ctx.db, password="app-ldap"))
    failed(more.refused(ctx.db, "stranger", "app-ldap"), "stranger")


def test_ldap_empty_password(ctx):
    """A name with an empty password is an unauthenticated bind, to which a server says yes."""
    d = directory(ctx)
    for options in (search(d), f'ldapserver=127.0.0.1 ldapport={d.port} ldapprefix="uid=" '
                               f'ldapsuffix=",ou=people,{ldap.SUFFIX}"'):
        p = ldap_proxy(ctx, options)
        error = p.refused(ctx.db, password="")
        assert error.sqlstate == "28P01" and error.text == "empty password returned by client", error
    assert "BIND" not in d.log(), d.log()


def test_ldap_simple_bind(ctx):
    d = directory(ctx)
    p = ldap_proxy(ctx, f'ldapserver=127.0.0.1 ldapport={d.port} ldapprefix="uid=" '
                        f'ldapsuffix=", ou=people, {ldap.SUFFIX}"')
    with p.connect(ctx.db, password="app-ldap") as c:
        assert c.value("SELECT current_user") == "app"
    failed(p.refused(ctx.db, password="wrong"))
    failed(p.refused(ctx.db, "other", "any"), "other")


def test_ldap_names_in_a_dn(ctx):
    """A name with commas in it is a name still."""
    strange = "o'neil, \"x\" +#;<\\>= y"
    escaped = "".join(f"\\{ord(c):02x}" if c in ',"+;<>\\=' else c for c in strange)
    d = directory(ctx, more=ldap.person(strange, "strange-ldap", f"uid={escaped},ou=people,{ldap.SUFFIX}"))
    ctx.sql('CREATE ROLE "' + strange.replace('"', '""') + '" LOGIN')
    try:
        p = ldap_proxy(ctx, f'ldapserver=127.0.0.1 ldapport={d.port} ldapprefix="uid=" ldapsuffix=",{ldap.SUFFIX}"',
                       users=px.USERS | {"app,ou=people": "", strange: ""})
        failed(p.refused(ctx.db, "app,ou=people", "app-ldap"), "app,ou=people")
        assert "uid=app,ou=people" not in d.log().replace("\\2c", ""), d.log()
        p.reload(auth_ldap_options=f'ldapserver=127.0.0.1 ldapport={d.port} ldapprefix="uid=" '
                                   f'ldapsuffix=",ou=people,{ldap.SUFFIX}"')
        with p.connect(ctx.db, strange, "strange-ldap") as c:
            assert c.value("SELECT current_user") == strange
        p.reload(auth_ldap_options=f"ldapserver=127.0.0.1 ldapport={d.port} ldapsuffix=@example.net")
        seen = d.binds()
        failed(p.refused(ctx.db, strange, "strange-ldap"), strange)
        assert "invalid character in user name for LDAP authentication" in p.log()
        assert d.binds() == seen
    finally:
        ctx.sql('DROP ROLE "' + strange.replace('"', '""') + '"')


def test_ldap_names_in_a_filter(ctx):
    """A name with stars and parentheses in it finds only itself."""
    d = directory(ctx, people={"app": "app-ldap"})
    names = ["*", "ap*", "app)(uid=*", "x)(|(uid=app)", "\\61pp", "app\\00"]
    filters = ["", "ldapsearchattribute=cn", 'ldapsearchfilter="(&(objectClass=person)(uid=$username))"']
    for more in filters:
        p = ldap_proxy(ctx, search(d, more), users=px.USERS | {name: "" for name in names})
        for name in names:
            failed(p.refused(ctx.db, name, "app-ldap"), name)
        assert "does not exist" in p.log() and "could not search" not in p.log(), p.log()
        with p.connect(ctx.db, password="app-ldap") as c:
            assert c.value("SELECT 1") == "1"


def test_ldap_url_and_bind_dn(ctx):
    d = directory(ctx, more=ldap.person("twin", "a", f"cn=a,ou=people,{ldap.SUFFIX}") +
                            ldap.person("twin", "b", f"cn=b,ou=people,{ldap.SUFFIX}"))
    url = f'ldapurl="ldap://127.0.0.1:{d.port}/{ldap.SUFFIX}?uid?sub"'
    bind = f'ldapbinddn="{ldap.ADMIN}" ldapbindpasswd='
    p = ldap_proxy(ctx, f"{url} {bind}{ldap.ADMIN_PASSWORD}", users=px.USERS | {"twin": ""})
    with p.connect(ctx.db, password="app-ldap") as c:
        assert c.value("SELECT 1") == "1"
    assert f'BIND dn="{ldap.ADMIN}"' in d.log()
    failed(p.refused(ctx.db, "twin", "a"), "twin")
    assert 'LDAP user "twin" is not unique' in p.log()
    p.reload(auth_ldap_options=f"{url} {bind}wrong")
    failed(p.refused(ctx.db, password="app-ldap"))
    assert f'could not perform initial LDAP bind for ldapbinddn "{ldap.ADMIN}"' in p.log()
    # Without a scope a URL means the base alone, as in PostgreSQL.
    p.reload(auth_ldap_options=f"ldapurl=\"ldap://127.0.0.1:{d.port}/{ldap.SUFFIX}?uid\"")
    failed(p.refused(ctx.db, password="app-ldap"))


def test_ldap_directory_that_gives_one_of_two(ctx):
    """It says that there are more: who of them came first is not who was meant."""
    d = directory(ctx, size_limit=1, more=ldap.person("twin", "a", f"cn=a,ou=people,{ldap.SUFFIX}") +
                                          ldap.person("twin", "b", f"cn=b,ou=people,{ldap.SUFFIX}"))
    p = ldap_proxy(ctx, search(d), users=px.USERS | {"twin": ""})
    for password in ("a", "b"):
        failed(p.refused(ctx.db, "twin", password), "twin")
    assert 'LDAP user "twin" is not unique' in p.log()
    with p.connect(ctx.db, password="app-ldap") as c:
        assert c.value("SELECT 1") == "1"


def test_ldap_password_is_not_shown(ctx):
    d = directory(ctx, people={"console": "console-ldap"})
    p = ldap_proxy(ctx, search(d, f'ldapbinddn="{ldap.ADMIN}" ldapbindpasswd={ldap.ADMIN_PASSWORD}'),
                   users={"console": "console-ldap"})
    rows = {row["key"]: row["value"] for row in p.console("SHOW CONFIG")}
    assert f'ldapbinddn="{ldap.ADMIN}" ldapbindpasswd=***' in rows["auth_ldap_options"], rows["auth_ldap_options"]
    assert ldap.ADMIN_PASSWORD not in str(rows) and ldap.ADMIN_PASSWORD not in p.log()
    assert "console-ldap" not in p.log()


def test_ldap_tls(ctx):
    base = f"{ctx.directory}/{ctx.name.replace('/', '_')}"
    try:
        pg.call(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", f"{base}.key", "-out", f"{base}.crt", "-days", "2", "-subj", "/CN=127.0.0.1",
                 "-addext", "subjectAltName=IP:127.0.0.1"])
    except FileNotFoundError:
        raise Skip("openssl is not there") from None
    d = directory(ctx, certificate=base)
    trusted = {"LDAPTLS_CACERT": f"{base}.crt"}
    for options in (search(d, "ldaptls=1"), search(d, "ldapscheme=ldaps").replace(str(d.port), str(d.tls_port)),
                    f'ldapurl="ldaps://127.0.0.1:{d.tls_port}/{ldap.SUFFIX}?uid?sub"'):
        p = ldap_proxy(ctx, options, environment=trusted)
        with p.connect(ctx.db, password="app-ldap") as c:
            assert c.value("SELECT 1") == "1"
        failed(p.refused(ctx.db, password="wrong"))
        # A server that cannot prove who it is gets no password.
        seen = d.binds()
        failed(ldap_proxy(ctx, options).refused(ctx.db, password="app-ldap"))
        assert d.binds() == seen


def test_ldap_password_for_the_server(ctx):
    """The password that was right for the directory is the one for the server, too."""
    d = directory(ctx)
    p = ldap_proxy(ctx, search(d), users=px.USERS | {"srv_scram": "", "srv_md5": ""}, server_login_retry="0.5",
                   databases={ctx.db: ctx.server(), "forced": ctx.server(user="srv_md5", password="srv_md5-secret")})
    with p.connect(ctx.db, "srv_scram", "srv_scram-secret") as c:
        assert c.value("SELECT current_user") == "srv_scram"
    # A database with a user of its own has a password of its own.
    with p.connect("forced", "srv_scram", "srv_scram-secret") as c:
        assert c.value("SELECT current_user") == "srv_md5"
    # A server that has another one is told the users file's from then on.
    error = p.refused(ctx.db, "srv_plain", "other-than-the-servers")
    assert error.sqlstate == "28P01" and "password authentication failed" in error.text, error

    def let_in():
        try:
            with p.connect(ctx.db, "srv_plain", "other-than-the-servers") as c:
                return c.value("SELECT current_user") == "srv_plain"
        except PgError:
            return False  # within server_login_retry
    p.wait(let_in, "a server that took the users file's password")


def test_ldap_unreachable(ctx):
    p = ldap_proxy(ctx, f'ldapserver=127.0.0.1 ldapport={pg.free_port()} ldapbasedn="{ldap.SUFFIX}"')
    failed(p.refused(ctx.db, password="app-ldap"))
    assert "Can't contact LDAP server" in p.log()
    # The second of two servers answers.
    d = directory(ctx)
    p.reload(auth_ldap_options=search(d).replace("127.0.0.1", '"127.0.0.77 127.0.0.1"'))
    with p.connect(ctx.db, password="app-ldap") as c:
        assert c.value("SELECT 1") == "1"


# ---- a directory that does not answer


def test_dead_directory(ctx):
    """Sessions go on, others log in, and who waits for it is told in the end."""
    dead = ctx.keep(ldap.DeadServer())
    p = ctx.proxy(auth_type="trust")
    session = ctx.keep(p.connect(ctx.db))
    session.query("CREATE TABLE t(n int); INSERT INTO t VALUES (0)").check()
    p.reload(auth_type="ldap", auth_ldap_options=search(dead), auth_ldap_timeout="600", auth_threads=2)
    stuck = [ctx.keep(half_way(p, user, address=f"127.0.0.{2 + i}"))
             for i, user in enumerate(("app", "other", "srv_trust", "app"))]
    dead.wait_taken(2)
    for _ in range(20):
        session.query("UPDATE t SET n = n + 1").check()
    p.reload(auth_type="trust")
    bench = scenario("15_pgbench.py")
    bench.pgbench(ctx, p, "-i", "-s", "1", "-q")
    bench.pgbench(ctx, p, "-n", "-c", "4", "-t", "50")
    for _ in range(5):
        with p.connect(ctx.db) as c:
            assert c.value("SELECT n FROM t") == "20"
    assert all(w.is_quiet(0) for w in stuck)
    # The end does not wait for it either: ctx.end() stops the proxy, and wants its exit status.
    p.stop()
    for w in stuck:
        assert last_error(w).sqlstate == "57P01"


def test_dead_directory_times_out(ctx):
    dead = ctx.keep(ldap.DeadServer())
    p = ldap_proxy(ctx, search(dead), auth_ldap_timeout="0.2")
    failed(p.refused(ctx.db))
    assert "could not perform initial LDAP bind" in p.log() and "Timed out" in p.log(), p.log()
    p.reload(auth_ldap_options=search(dead, "ldaptls=1"))
    failed(p.refused(ctx.db))


def test_dead_directory_login_timeout(ctx):
    dead = ctx.keep(ldap.DeadServer())
    p = ldap_proxy(ctx, search(dead), auth_ldap_timeout="600", client_login_timeout="0.3", auth_threads=1)
    waits = [half_way(p) for _ in range(3)]
    for w in waits:
        assert last_error(w).text == "client_login_timeout"
        w.close()


def test_queue_is_bounded(ctx):
    dead = ctx.keep(ldap.DeadServer())
    p = ldap_proxy(ctx, search(dead), auth_ldap_timeout="600", auth_threads=1, auth_queue_size=4, verbose=1,
                   users=px.USERS | {f"u{i}": "" for i in range(9)})

    def waiting():
        return p.log().count("waits for LDAP")

    def refused(user, address):
        with half_way(p, user, address=address) as w:
            return last_error(w)

    def waits(user, address):
        before = waiting()
        w = ctx.keep(half_way(p, user, address=address))
        p.wait(lambda: waiting() > before, "a place in the queue")
        return w

    waits("u0", "127.0.0.9")
    dead.wait_taken(1)
    here = waits("u1", "127.0.0.1")
    waits("u2", "127.0.0.1")
    error = refused("u3", "127.0.0.1")
    assert error.sqlstate == "53300", error
    assert error.text == "too many LDAP authentications are waiting for this address", error
    waits("u1", "127.0.0.2")
    assert refused("u1", "127.0.0.3").text == "too many LDAP authentications are waiting for this user"
    waits("u4", "127.0.0.3")
    assert refused("u5", "127.0.0.4").text == "too many LDAP authentications are waiting"
    # Who leaves makes room.
    before = waiting()
    here.close()

    def room():
        w = ctx.keep(half_way(p, "u5", address="127.0.0.4"))
        p.wait(lambda: waiting() > before or not w.is_quiet(0), "a place or a refusal")
        return waiting() > before
    p.wait(room, "room in the queue")


# ---- PAM


def pam(ctx, auth, account=None, lines=""):
    """A directory with PAM's service file, whose modules run these scripts; it is given to the proxy."""
    base = f"{ctx.directory}/pam-{ctx.name.replace('/', '_')}"
    os.makedirs(base, exist_ok=True)
    os.chmod(base, 0o755)
    for name, script in (("auth", auth), ("account", account or "exit 0")):
        with open(f"{base}/{name}.sh", "w", encoding="ascii") as f:
            f.write(f"#!/bin/sh\n{script}\n")
        os.chmod(f"{base}/{name}.sh", 0o755)
    with open(f"{base}/pgbouncer", "w", encoding="ascii") as f:
        f.write(f"auth required pam_exec.so expose_authtok quiet {base}/auth.sh\n"
                f"{lines}account required pam_exec.so quiet {base}/account.sh\n")
    pg.give(base)
    return base


# The password comes without an end of line.
ASKS = 'read -r password\n[ "$password" = "$PAM_USER-pam" ]'


def test_pam(ctx):
    base = pam(ctx, f'echo "$PAM_USER $PAM_RHOST $PAM_SERVICE" >>"${{0%/*}}/seen"\n{ASKS}')
    # The users file is not needed.
    p = ctx.proxy(auth_type="pam", auth_pam_confdir=base, auth_file=None)
    with p.connect(ctx.db, password="app-pam") as c:
        assert c.auth_codes == [3, 0]
        assert c.value("SELECT current_user") == "app"
    failed(p.refused(ctx.db, password="app-secret"), method="PAM")
    failed(p.refused(ctx.db, "nobody here", "x"), "nobody here", "PAM")
    assert p.refused(ctx.db, password="").text == "empty password returned by client"
    with open(f"{base}/seen", encoding="ascii") as f:
        assert f.read() == "app 127.0.0.1 pgbouncer\napp 127.0.0.1 pgbouncer\nnobody here 127.0.0.1 pgbouncer\n"
    assert "pam_authenticate() failed" in p.log() and "no such user" not in p.log(), p.log()
    assert "app-pam" not in p.log()
    with p.connect("pgbouncer", "console", "console-pam") as c:
        assert c.query("SHOW VERSION").rows
    p.connect(ctx.db, password="app-pam", unix=True).close()
    with open(f"{base}/seen", encoding="ascii") as f:
        assert f.read().splitlines()[-1] == "app [local] pgbouncer"


def test_pam_users_are_counted(ctx):
    """Also those whom no file has."""
    base = pam(ctx, ASKS)
    p = ctx.proxy(auth_type="pam", auth_pam_confdir=base, auth_file=None, max_user_client_connections=1)
    first = ctx.keep(p.connect(ctx.db, password="app-pam"))
    error = p.refused(ctx.db, password="app-pam")
    assert error.text == "client connections exceeded (max_user_client_connections)", error
    p.connect(ctx.db, "other", "other-pam").close()
    first.close()
    p.wait(lambda: "exceeded" not in str(heard(p, ctx.db)), "the place that is free again")


def heard(p, database):
    try:
        p.connect(database, password="app-pam").close()
        return None
    except PgError as error:
        return error


def test_pam_account(ctx):
    """The account may be closed although the password is right."""
    base = pam(ctx, ASKS, account='[ "$PAM_USER" != app ]')
    p = ctx.proxy(auth_type="pam", auth_pam_confdir=base)
    failed(p.refused(ctx.db, password="app-pam"), method="PAM")
    assert "pam_acct_mgmt() failed" in p.log()
    with p.connect(ctx.db, "other", "other-pam") as c:
        assert c.value("SELECT 1") == "1"


def test_pam_service(ctx):
    base = pam(ctx, ASKS)
    with open(f"{base}/nobody", "w", encoding="ascii") as f:
        f.write("auth required pam_deny.so\naccount required pam_permit.so\n")
    p = ctx.proxy(auth_type="pam", auth_pam_confdir=base)
    p.connect(ctx.db, password="app-pam").close()
    p.reload(auth_pam_service="nobody")
    failed(p.refused(ctx.db, password="app-pam"), method="PAM")


def test_pam_password_for_the_server(ctx):
    base = pam(ctx, 'read -r password\n[ "$password" = "$PAM_USER-secret" ]')
    p = ctx.proxy(auth_type="pam", auth_pam_confdir=base, users={"console": "x"})
    for user in ("srv_plain", "srv_md5", "srv_scram"):
        with p.connect(ctx.db, user, f"{user}-secret") as c:
            assert c.value("SELECT current_user") == user


def test_pam_delay(ctx):
    """Modules want a refusal held back; no thread sleeps for that."""
    line = "auth optional pam_faildelay.so delay={}\n"
    base = pam(ctx, ASKS, lines=line.format(400000))
    p = ctx.proxy(auth_type="pam", auth_pam_confdir=base, auth_threads=1)
    began = time.monotonic()
    failed(p.refused(ctx.db), method="PAM")
    assert time.monotonic() - began > 0.15
    pam(ctx, ASKS, lines=line.format(60000000))
    waits = [ctx.keep(half_way(p)) for _ in range(3)]
    p.wait(lambda: p.log().count("pam_authenticate() failed") == 4, "the refusals")
    with p.connect(ctx.db, password="app-pam") as c:
        assert c.value("SELECT 1") == "1"
    assert all(w.is_quiet(0) for w in waits)


def running(program):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
            if program in f.read():
                found.append(int(pid))
    return found


def test_pam_that_hangs(ctx):
    """Nobody else waits, and the proxy ends in spite of it."""
    base = pam(ctx, 'echo $$ >>"${0%/*}/begun"\nread -r line <"${0%/*}/gate"')
    os.mkfifo(f"{base}/gate")
    os.chmod(f"{base}/gate", stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
    p = ctx.proxy(auth_type="trust", auth_pam_confdir=base, seccomp="off")  # see 61_systemd
    session = ctx.keep(p.connect(ctx.db))
    p.reload(auth_type="pam", auth_threads=2)
    stuck = [ctx.keep(half_way(p, user)) for user in ("app", "other", "srv_trust")]
    p.wait(lambda: os.path.exists(f"{base}/begun"), "the module at work")
    gone = ctx.keep(half_way(p, "srv_md5"))
    gone.close()
    for _ in range(10):
        assert session.value("SELECT 1") == "1"
    try:
        p.stop()
        assert "passwords are still being checked" in p.log()
        for w in stuck:
            assert last_error(w).sqlstate == "57P01"
    finally:  # also one that began when the proxy was ending; signals end them as any other program
        for pid in running(f"{base}/auth.sh"):
            os.kill(pid, signal.SIGTERM)
        p.wait(lambda: not running(f"{base}/auth.sh"), "the end of the modules' programs")


def test_misconfigured(ctx):
    """Said with file and line, before anything starts."""
    for settings, sentence in (({"auth_type": "ldap"}, "auth_type = ldap needs auth_ldap_options"),
                               ({"auth_ldap_options": "ldapserver=x"}, 'requires argument "ldapbasedn"'),
                               ({"auth_ldap_options": "ldaphost=x"}, 'option name: "ldaphost"'),
                               ({"auth_pam_service": "../x"}, "without its directory"),
                               ({"auth_threads": "0"}, "between 1 and 64")):
        p = ctx.proxy(start=False, **settings)
        p.expect_failure = True
        p.spawn()
        assert p.wait_end() == 1, settings
        p.wait_log(rf"pgweir.ini:\d+: .*{sentence}")
