# SPDX-License-Identifier: Apache-2.0
"""TLS between pgweir and servers: asked for, demanded, verified; cancel requests, replication and the control
connections; reloads; and nothing that was said in the clear is taken for what was said by TLS."""
import atexit
import os
import re
import socket
import subprocess
import threading

import certs
import cluster as pg
from fake import FakeServer
from middle import OFFER, STRIPPED, Middle
from pgwire import copy_data, copy_done, query
from runner import Worker, limit

HBA = """
local all all trust
hostssl all certified 127.0.0.1/32 cert
hostssl all srv_scram 127.0.0.1/32 scram-sha-256
hostssl all,replication all 127.0.0.1/32 trust
hostnossl all plain 127.0.0.1/32 trust
"""


def root(ctx):
    if not hasattr(root, "authority"):
        root.authority = certs.Authority(ctx.directory, "servers-root")
        root.pair = root.authority.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])
        root.other = certs.Authority(ctx.directory, "other-root")
    return root.authority


class Secured:
    """A PostgreSQL that speaks TLS, and with nobody but `plain` without it; one for all tests here."""

    cluster = None

    def __init__(self, ctx):
        a = root(ctx)
        if Secured.cluster is None:
            made = pg.Cluster(pg.server_directory(ctx.build, "tls"))
            atexit.register(made.remove)
            cert, key = root.pair
            made.create({"ssl": "on", "ssl_cert_file": cert, "ssl_key_file": key, "ssl_ca_file": a.cert})
            with open(f"{made.data}/pg_hba.conf", "w", encoding="ascii") as f:
                f.write(HBA)
            made.start().make_roles()
            for name in ("certified", "plain"):
                made.sql(f"CREATE ROLE {name} LOGIN SUPERUSER")
            made.sql("ALTER ROLE app SUPERUSER REPLICATION")
            Secured.cluster = made
        self.ctx, self.pg = ctx, Secured.cluster
        self.db = ctx.name.rsplit("/", 1)[-1]
        self.pg.sql(f"DROP DATABASE IF EXISTS {self.db} WITH (FORCE)")
        self.pg.sql(f"CREATE DATABASE {self.db}")

    def proxy(self, host="127.0.0.1", user="app", start=True, line=(), **settings):
        line = {"host": host, "port": self.pg.port, "dbname": self.db, "user": user, **dict(line)}
        if host.startswith("/"):
            line["host"] = host
        return self.ctx.proxy({self.db: line}, start=start, **{"log_connections": 1, "log_disconnections": 1, **settings})

    def connect(self, p, **options):
        return self.ctx.keep(p.connect(self.db, **options))

    def sql(self, text):
        return self.pg.sql(text, self.db)


USED = "SELECT coalesce(version, 'none') FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def not_served(p, database, why, user="app"):
    """Who asks waits for a server, and the log says why there is none; returns the words. (He leaves with the proxy.)"""
    client = Worker(lambda: p.connect(database, user, timeout=60).close(), ())
    said = p.wait_log(why).group(0)
    assert client.is_alive() or client.error, "was let in"
    return said


# ---- modes

def test_modes(ctx):
    s = Secured(ctx)
    for mode, want in (("disable", "none"), ("allow", "TLSv1.3"), ("prefer", "TLSv1.3"), ("require", "TLSv1.3"), (None, "TLSv1.3")):
        p = s.proxy(user="plain" if mode == "disable" else "app", server_tls_sslmode=mode)
        c = s.connect(p)
        assert c.value(USED) == want, mode
        c.query("BEGIN")
        tls = {r["tls"] for r in p.console("SHOW SERVERS") if r["state"] == "active"}  # another may be on its way
        if want == "none":
            assert tls == {""} and "SSL established" not in p.log()
        else:
            (info,) = tls
            assert info.startswith("TLSv1.3/TLS_AES_256_GCM_SHA384"), tls
            p.wait_log(rf"S-0x\w+: {s.db}/app@127.0.0.1:{s.pg.port} SSL established: {re.escape(info)}")
        assert {r["tls"] for r in p.console("SHOW CLIENTS")} == {""}


def test_a_server_without_it(ctx):
    for mode in ("allow", "prefer"):
        p = ctx.proxy(server_tls_sslmode=mode)
        assert p.connect(ctx.db).value(USED) == "none"
    for mode in ("require", "verify-ca", "verify-full"):
        p = ctx.proxy(server_tls_sslmode=mode, server_tls_ca_file=root(ctx).cert)
        not_served(p, ctx.db, "closing because: server refused SSL")


def test_unix_socket(ctx):
    s = Secured(ctx)
    p = s.proxy(host=s.pg.directory, server_tls_sslmode="verify-full", server_tls_ca_file=root(ctx).cert)
    assert s.connect(p).value(USED) == "none"


def test_verify(ctx):
    s = Secured(ctx)
    right, wrong = root(ctx).cert, root.other.cert
    for mode in ("verify-ca", "verify-full"):
        for host in ("localhost", "127.0.0.1"):
            p = s.proxy(host, server_tls_sslmode=mode, server_tls_ca_file=right)
            assert s.connect(p).value(USED) == "TLSv1.3", (mode, host)
        p = s.proxy(server_tls_sslmode=mode, server_tls_ca_file=wrong)
        not_served(p, s.db, "TLS handshake error: handshake failed: certificate verify failed: "
                   "(unable to get local issuer certificate|self-signed certificate in certificate chain)")
        # Without a file the system's root certificates count, which know nothing of this one.
        p = s.proxy(server_tls_sslmode=mode)
        not_served(p, s.db, "certificate verify failed")
    # `require` verifies nothing, as in PgBouncer.
    p = s.proxy(server_tls_sslmode="require", server_tls_ca_file=wrong)
    assert s.connect(p).value(USED) == "TLSv1.3"


def test_verify_the_name(ctx):
    """The certificate is for the host of the line, or nothing is said to the server."""
    a = root(ctx)
    for names, host, well in ((["DNS:localhost"], "localhost", True), (["DNS:localhost"], "127.0.0.1", False),
                              (["IP:127.0.0.1"], "127.0.0.1", True), (["IP:127.0.0.1"], "localhost", False),
                              (["IP:127.0.0.2"], "127.0.0.1", False), (["DNS:other.example"], "localhost", False),
                              ((), "localhost", True), (["DNS:*"], "localhost", False), (["DNS:127.0.0.1"], "127.0.0.1", False)):
        pair = a.issue("" if names else "localhost", names, subject="/O=names" if names else None)
        with FakeServer(tls=certs.server_context(pair)) as f:
            for mode in ("verify-full", "verify-ca"):
                p = ctx.proxy({"db": {"host": host, "port": f.port}}, server_tls_sslmode=mode, server_tls_ca_file=a.cert)
                if well or mode == "verify-ca":
                    assert p.connect("db").query("SELECT 1").rows, (names, host, mode)
                    assert f.encrypted[-1] == "TLSv1.3"
                else:
                    said = len(f.startups)
                    not_served(p, "db", "certificate verify failed: (hostname|IP address) mismatch")
                    assert len(f.startups) == said, (names, host)
                p.stop()


def test_each_host_of_a_list(ctx):
    """Each one's certificate must be for that one."""
    a = root(ctx)
    with FakeServer(tls=certs.server_context(a.issue("x", ["DNS:localhost"]))) as f:
        p = ctx.proxy({"db": {"host": "localhost,127.0.0.1", "port": f.port, "pool_size": 4}}, server_tls_sslmode="verify-full",
                      server_tls_ca_file=a.cert, server_login_retry=0)
        with p.connect("db", timeout=20) as c:
            assert c.query("SELECT 1").rows
        p.wait(lambda: f.startups, "a login")


def test_certificate_for_the_server(ctx):
    s = Secured(ctx)
    cert, key = root(ctx).issue("certified")
    p = s.proxy(user="certified", server_tls_sslmode="verify-full", server_tls_ca_file=root(ctx).cert,
                server_tls_cert_file=cert, server_tls_key_file=key)
    c = s.connect(p)
    assert c.value("SELECT current_user") == "certified"
    assert c.value("SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "/CN=certified"
    p = s.proxy(user="certified", server_tls_sslmode="require", query_wait_timeout=1)
    not_served(p, s.db, "requires a valid client certificate")
    assert "requires a valid client certificate" in p.refused(s.db).text


# ---- settings

def test_errors_have_a_line(ctx):
    cert, key = root(ctx).issue("x")[0], root.authority.issue("y")[1]
    for settings, sentence in (
            ({"server_tls_ca_file": "/nowhere"}, "invalid server_tls_ca_file: /nowhere: No such file or directory"),
            ({"server_tls_cert_file": "/nowhere", "server_tls_key_file": key}, "invalid server_tls_cert_file: /nowhere: "),
            ({"server_tls_cert_file": cert, "server_tls_key_file": "/nowhere"}, "invalid server_tls_key_file: /nowhere: "),
            ({"server_tls_cert_file": cert, "server_tls_key_file": key}, "invalid server_tls_key_file: .*: key values mismatch"),
            ({"server_tls_cert_file": cert}, "server_tls_key_file and server_tls_cert_file go together"),
            ({"server_tls_protocols": "tls"}, "invalid server_tls_protocols: tls"),
            ({"server_tls_ciphers": "NONSENSE"}, "invalid server_tls_ciphers: NONSENSE: no cipher match"),
            ({"server_tls13_ciphers": "NONSENSE"}, "invalid server_tls13_ciphers: NONSENSE: "),
            ({"server_tls_negotiation": "direct"}, "server_tls_negotiation=direct requires server_tls_sslmode=require or stricter"),
            ({"server_tls_negotiation": "at once"}, ".*must be one of postgres direct")):
        p = ctx.proxy(start=False, **settings)
        p.expect_failure = True
        p.spawn()
        assert p.wait_end() == 1, settings
        assert re.search(rf"(ERROR|FATAL) \S*pgweir.ini:\d+: {sentence}", p.log()), (settings, p.log())
    # With `disable` nothing of it is read.
    ctx.proxy(server_tls_sslmode="disable", server_tls_ca_file="/nowhere").connect(ctx.db).close()


def test_protocols_and_ciphers(ctx):
    s = Secured(ctx)
    cipher = "SELECT version || '/' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    for settings, want in (({"server_tls_protocols": "tlsv1.2", "server_tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"},
                            "TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256"),
                           ({"server_tls13_ciphers": "TLS_CHACHA20_POLY1305_SHA256"}, "TLSv1.3/TLS_CHACHA20_POLY1305_SHA256")):
        p = s.proxy(server_tls_sslmode="require", **settings)
        assert s.connect(p).value(cipher) == want
    p = s.proxy(server_tls_sslmode="require", server_tls_protocols="tlsv1.1")
    not_served(p, s.db, "TLS handshake error")


# ---- direct

def test_direct(ctx):
    a = root(ctx)
    with FakeServer(tls=certs.server_context(root.pair, alpn=["postgresql"]), direct=True) as f:
        p = ctx.proxy({"db": {"host": "localhost", "port": f.port}}, server_tls_sslmode="verify-full", server_tls_ca_file=a.cert,
                      server_tls_negotiation="direct")
        with p.connect("db") as c:
            assert c.query("SELECT 1").rows == [("SELECT 1",)]
            c.send(query("hold"))
            p.wait(lambda: "hold" in f.asked, "the query")
            c.cancel()
            assert c.until_ready().sqlstate() == "57014"
        assert set(f.encrypted) == {"TLSv1.3"} and len(f.encrypted) > len(f.startups)
    # A server that does not choose the protocol may be another kind of server.
    with FakeServer(tls=certs.server_context(root.pair), direct=True) as f:
        p = ctx.proxy({"db": {"host": "localhost", "port": f.port}}, server_tls_sslmode="require", server_tls_negotiation="direct")
        not_served(p, "db", "direct SSL connection was established without ALPN protocol negotiation extension")
        assert not f.startups


# ---- what was said in the clear

def test_bytes_behind_the_answer(ctx):
    """CVE-2021-23222: what comes with the answer to the SSLRequest is not taken for what is said by TLS."""
    a = root(ctx)
    login = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\5I"
    for answer, tls, mode, why in ((b"S" + login, certs.server_context(root.pair), "verify-full", "received unencrypted data after SSL response"),
                                   (b"S\x16", certs.server_context(root.pair), "prefer", "received unencrypted data after SSL response"),
                                   (b"N" + login, None, "prefer", "received unencrypted data after SSL response"),
                                   (b"E\0\0\0\x20SFATAL\0", None, "prefer", "bad sslreq answer"), (b"x", None, "prefer", "bad sslreq answer")):
        with FakeServer(tls=tls, ssl_answer=answer) as f:
            p = ctx.proxy({"db": {"host": "localhost", "port": f.port}}, server_tls_sslmode=mode, server_tls_ca_file=a.cert)
            not_served(p, "db", f"closing because: {why}")
            assert not f.startups
            p.stop()


class Mute:
    """Takes connections; says `first` and nothing else."""

    def __init__(self, first):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first, self.taken = first, []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while True:
                s, _ = self.listener.accept()
                self.taken.append(s)
                s.sendall(self.first)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for s in self.taken:
            s.close()


def test_a_server_that_stalls(ctx):
    """In the answer, and in the handshake: server_connect_timeout is for both."""
    for first in (b"", b"S"):
        mute = ctx.keep(Mute(first))
        p = ctx.proxy({"db": {"host": "127.0.0.1", "port": mute.port}}, server_connect_timeout=1)
        not_served(p, "db", "closing because: connect timeout")
        p.stop()


def test_a_server_that_ends(ctx):
    """In the handshake, and later, without a goodbye."""
    a = root(ctx)
    mute = ctx.keep(Mute(b"S"))
    p = ctx.proxy({"db": {"host": "127.0.0.1", "port": mute.port}})
    ctx.thread(lambda: p.wait(lambda: mute.taken, "a connection") and mute.close())
    not_served(p, "db", "TLS handshake error: handshake failed: ")
    p.wait_log("closing because: server conn crashed")
    s = Secured(ctx)
    p = s.proxy(server_tls_sslmode="verify-full", server_tls_ca_file=a.cert)
    c = s.connect(p)
    pid = c.value("SELECT pg_backend_pid()")
    c.query("BEGIN")
    s.sql(f"SELECT pg_terminate_backend({pid})")
    c.wait_closed()
    assert s.connect(p).value("SELECT 1") == "1"


# ---- cancel, replication, control

def test_cancel(ctx):
    """As encrypted as the connection that it is for."""
    a = root(ctx)
    with FakeServer(tls=certs.server_context(root.pair)) as f:
        p = ctx.proxy({"db": {"host": "localhost", "port": f.port}}, server_tls_sslmode="verify-full", server_tls_ca_file=a.cert)
        with p.connect("db") as c:
            c.send(query("hold"))
            p.wait(lambda: "hold" in f.asked, "the query")
            c.cancel()
            assert c.until_ready().sqlstate() == "57014"
        assert len(f.cancels) == 1 and set(f.encrypted) == {"TLSv1.3"} and len(f.encrypted) > len(f.startups)
    s = Secured(ctx)
    p = s.proxy(server_tls_sslmode="require")
    c = s.connect(p)
    c.send(query("SELECT pg_sleep(30)"))
    p.wait(lambda: s.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"), "the query at work")
    c.cancel()
    assert c.until_ready().sqlstate() == "57014"
    assert c.value("SELECT 1") == "1"
    # A connection that is there already keeps its ways, and so do its requests.
    for mode, asked in (("require", 'S'), ("prefer", 'N')):
        with FakeServer(tls=certs.server_context(root.pair)) as f:
            p = ctx.proxy({"db": {"host": "localhost", "port": f.port}}, server_tls_sslmode=mode)
            with p.connect("db") as c:
                c.send(query("hold"))
                p.wait(lambda: "hold" in f.asked, "the query")
                p.reload(server_tls_sslmode="disable")
                if asked == 'N':
                    f.tls, f.ssl_answer = None, b"N"
                c.cancel()
                if asked == 'N':
                    p.wait_log("sending cancel request failed: server refused SSL")
                    f.release_one()
                    assert c.until_ready().rows and not f.cancels
                else:
                    assert c.until_ready().sqlstate() == "57014" and set(f.encrypted) == {"TLSv1.3"}
    # One whose handshake fails is said to have failed, and the client is let go.
    with FakeServer(tls=certs.server_context(root.pair)) as f:
        p = ctx.proxy({"db": {"host": "localhost", "port": f.port}}, server_tls_sslmode="verify-full", server_tls_ca_file=a.cert)
        with p.connect("db") as c:
            c.send(query("hold"))
            p.wait(lambda: "hold" in f.asked, "the query")
            f.tls = certs.server_context(a.issue("other", ["DNS:other"]))
            c.cancel()
            p.wait_log("sending cancel request failed: handshake failed: certificate verify failed: hostname mismatch")
            f.release_one()
            assert c.until_ready().rows


@limit(60)
def test_replication(ctx):
    s = Secured(ctx)
    p = s.proxy(server_tls_sslmode="require", line={"user": "app"})
    c = s.connect(p, replication="database")
    (row,) = c.query("IDENTIFY_SYSTEM").rows
    assert row[0]
    assert s.sql("SELECT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE backend_type = 'walsender'") == [("TLSv1.3",)]
    c.close()


@limit(60)
def test_control_connections(ctx):
    s = Secured(ctx)
    cert, key = root(ctx).issue("app")
    settings = {"cache": "on", "invalidation": "wal", "cache_size": "32M", "control_user": "control", "server_tls_ca_file": root(ctx).cert,
                "server_tls_cert_file": cert, "server_tls_key_file": key, "server_tls_protocols": "tlsv1.2"}
    p = s.proxy("localhost", server_tls_sslmode="verify-full", **settings)
    s.sql("CREATE TABLE t(id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    c = s.connect(p)

    def hit():
        before = p.cache()["hits"]
        assert c.value("SELECT v FROM t WHERE id = 1") == "a"
        return p.cache()["hits"] > before
    p.wait(hit, "a hit", interval=0.02)
    rows = dict(s.sql("SELECT application_name, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                      "WHERE application_name LIKE 'pgweir %'"))
    assert rows == {"pgweir control": "TLSv1.2", "pgweir stream": "TLSv1.2"}, rows
    s.sql("UPDATE t SET v = 'b'")
    p.wait(lambda: c.value("SELECT v FROM t WHERE id = 1") == "b", "the new value")
    # Where the server cannot be trusted there is no cache.
    p = s.proxy("localhost", server_tls_sslmode="verify-full", **{**settings, "server_tls_ca_file": root.other.cert})
    not_served(p, s.db, "certificate verify failed")


# ---- channel binding

def scram_proxy(s, port, users=None, **settings):
    line = {"host": "localhost", "port": port, "dbname": s.db}
    return s.ctx.proxy({s.db: line}, auth_type="scram-sha-256", server_tls_sslmode="verify-full", server_tls_ca_file=root(s.ctx).cert,
                       **({"users": users} if users else {}), **settings)


def test_channel_binding(ctx):
    """The login holds for one TLS connection: who stands between us and the server with a certificate of his own, and
    even one that we take for right, cannot pass it on."""
    s = Secured(ctx)
    assert scram_proxy(s, s.pg.port).connect(s.db, "srv_scram").value(USED) == "TLSv1.3"
    own = certs.server_context(root(ctx).issue("localhost", ["DNS:localhost"]))
    between = ctx.keep(Middle(("127.0.0.1", s.pg.port), own))
    p = scram_proxy(s, between.port)
    assert "SCRAM channel binding check failed" in said(p, s.db)
    # He takes the offer away: we say that we would have bound.
    between = ctx.keep(Middle(("127.0.0.1", s.pg.port), own, lambda data: data.replace(OFFER, STRIPPED)))
    p = scram_proxy(s, between.port)
    assert "SCRAM channel binding negotiation error" in said(p, s.db)
    # With the server's own certificate nobody can tell.
    between = ctx.keep(Middle(("127.0.0.1", s.pg.port), certs.server_context(root.pair)))
    assert scram_proxy(s, between.port).connect(s.db, "srv_scram").value("SELECT 1") == "1"


def said(p, database):
    """What the server said to a login of ours."""
    return not_served(p, database, "server login failed: FATAL .*", "srv_scram")


def test_channel_binding_with_keys(ctx):
    """A SCRAM secret instead of a password: the client's proof opens the server, with binding on both sides."""
    s = Secured(ctx)
    (secret,), = s.pg.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'srv_scram'")
    cert, key = root.pair
    p = scram_proxy(s, s.pg.port, users={"srv_scram": secret, "console": "console-secret"}, client_tls_sslmode="require",
                    client_tls_cert_file=cert, client_tls_key_file=key)
    done = subprocess.run(["psql", "-XAtq", f"host=localhost port={p.port} user=srv_scram dbname={s.db} channel_binding=require",
                           "-c", USED], capture_output=True, text=True, check=False, timeout=30,
                          env={k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"PGPASSWORD": "srv_scram-secret"})
    assert done.stdout.strip() == "TLSv1.3", done.stderr


# ---- reload

def pid(c):
    return c.value("SELECT pg_backend_pid()")


def test_reload(ctx):
    """Other settings, or another file under the same name: servers are made anew when they are free. Else they stay."""
    s = Secured(ctx)
    a = root(ctx)
    mine = f"{a.directory}/reload.crt"
    certs.copy([a.cert], [mine])
    p = s.proxy(server_tls_sslmode="verify-ca", server_tls_ca_file=mine, default_pool_size=2)
    c, busy = s.connect(p), s.connect(p)
    busy.query("BEGIN")
    kept, before = pid(busy), pid(c)
    p.reload()
    p.reload(max_client_conn=99)
    with p.connect("pgbouncer", "console") as console:
        p.wait(lambda: [r["value"] for r in console.query("SHOW CONFIG").dicts if r["key"] == "max_client_conn"] == ["99"], "the reload")
    assert pid(c) == before
    # Two root certificates instead of one.
    with open(a.cert, encoding="ascii") as f, open(root.other.cert, encoding="ascii") as g, open(mine, "w", encoding="ascii") as out:
        out.write(f.read() + g.read())
    p.reload()
    p.wait(lambda: pid(c) != before, "another server")
    assert pid(busy) == kept  # in its transaction
    assert [r["close_needed"] for r in p.console("SHOW SERVERS") if r["remote_pid"] == kept] == ["1"]
    busy.query("COMMIT")
    p.wait(lambda: pid(busy) != kept, "another server")
    second = pid(c)
    p.reload(server_tls_protocols="tlsv1.2")
    p.wait(lambda: pid(c) != second, "another server")
    assert c.value(USED) == "TLSv1.2"
    # A bad file: what was stays, and so do the servers.
    busy.query("BEGIN")
    third = {pid(c), pid(busy)}
    busy.query("COMMIT")
    with open(mine, "w", encoding="ascii") as out:
        out.write("nothing\n")
    p.reload()
    p.wait_log(r"pgweir.ini:\d+: invalid server_tls_ca_file: \S+reload.crt: ")
    p.wait_log("TLS configuration could not be reloaded, keeping old configuration")
    assert pid(c) in third
    p.console("RECONNECT")
    p.wait(lambda: pid(c) not in third, "another server")  # verified by what was read before
    assert c.value(USED) == "TLSv1.2"


# ---- bytes

@limit(120)
def test_large_values(ctx):
    s = Secured(ctx)
    p = s.proxy(server_tls_sslmode="require")
    size, piece = 100 << 20, 1 << 20
    c = s.connect(p, timeout=60)
    c.query("CREATE TABLE big(line text)")
    before = p.rss_bytes()
    c.send(query("COPY big FROM STDIN"))
    c.until("G")
    for _ in range(size // piece):
        c.send(copy_data(b"x" * (piece - 1) + b"\n"))
    c.send(copy_done())
    assert c.until_ready(timeout=60).check().tags == [f"COPY {size // piece}"]
    assert ctx.sanitizer or p.rss_bytes() - before < 32 << 20
    c.send(query(f"SELECT repeat('y', {size})"))
    got = 0
    while got < size:
        got += len(c.socket.recv(1 << 20))
    assert ctx.sanitizer or p.rss_bytes() - before < 32 << 20, (before, p.rss_bytes())
    c = s.connect(p, timeout=60)
    assert c.run("SELECT length($1)", ["v" * (30 << 20)], timeout=60).value == str(30 << 20)


@limit(60)
def test_a_client_that_does_not_read(ctx):
    s = Secured(ctx)
    p = s.proxy(server_tls_sslmode="require")
    c = ctx.keep(p.open(timeout=60, receive_buffer=4096))
    c.login("app", s.db)
    before = p.rss_bytes()
    c.send(query("SELECT repeat('a', 1000000) FROM generate_series(1, 60)"))
    p.wait(lambda: s.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"), "a server that waits")
    assert p.rss_bytes() - before < 24 << 20
    assert len(c.until_ready(timeout=60).check().rows_raw) == 60


@limit(120)
def test_pgbench_both_sides(ctx):
    """Servers change hands between workers with their TLS."""
    s = Secured(ctx)
    cert, key = root.pair
    p = s.proxy(server_tls_sslmode="verify-full", server_tls_ca_file=root(ctx).cert, client_tls_sslmode="require", client_tls_cert_file=cert,
                client_tls_key_file=key, default_pool_size=5, log_connections=0, log_disconnections=0)

    def pgbench(*arguments):
        done = subprocess.run([f"{s.pg.bindir}/pgbench", *arguments, f"host=127.0.0.1 port={p.port} user=app dbname={s.db} sslmode=require"],
                              capture_output=True, text=True, check=False, timeout=100,
                              env={k: v for k, v in os.environ.items() if not k.startswith("PG")})
        output = done.stdout + done.stderr
        assert done.returncode == 0 and not re.search("error|aborted|FATAL", output), output[-2000:]
        return output

    pgbench("-i", "-s", "1", "-q")
    for protocol in ("simple", "extended", "prepared"):
        pgbench("-S", "-n", "-M", protocol, "-c", "20", "-j", "2", "-t", "50")
        pgbench("-n", "-M", protocol, "-c", "4", "-j", "4", "-t", "25")
