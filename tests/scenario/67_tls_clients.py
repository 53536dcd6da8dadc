# SPDX-License-Identifier: Apache-2.0
"""TLS between clients and pgweir: who gets it, what is refused, what a reload changes, and that bytes stay bytes."""
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import certs
from middle import OFFER, STRIPPED, Middle
from pgwire import GSS_CODE, SSL_CODE, PeerClosed, PgError, Wire, copy_data, copy_done, message, query, startup
from runner import limit

SSL_REQUEST = struct.pack("!II", 8, SSL_CODE)
GSS_REQUEST = struct.pack("!II", 8, GSS_CODE)


def root(ctx):
    """The certificates of all tests here: making them takes longer than the tests."""
    if not hasattr(root, "authority"):
        root.authority = certs.Authority(ctx.directory, "clients-root")
        root.pair = root.authority.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])
        root.app = root.authority.issue("app")
        root.stranger = certs.Authority(ctx.directory, "strangers-root").issue("app")
    return root.authority


def tls_proxy(ctx, mode="allow", pair=None, **options):
    root(ctx)
    cert, key = pair or root.pair
    return ctx.proxy(**{"client_tls_sslmode": mode, "client_tls_cert_file": cert, "client_tls_key_file": key,
                        "log_connections": 1, "log_disconnections": 1, **options})


def refused(p, *args, **options):
    try:
        p.connect(*args, **options).close()
    except PgError as error:
        return error
    except PeerClosed as closed:
        return closed.error
    except (ssl.SSLError, ConnectionError) as error:
        return error
    raise AssertionError("was let in")


def shakes(p, context, direct=False):
    """Does the handshake succeed? With TLS 1.3 the other side's refusal is read behind it."""
    try:
        with Wire(p.address, tls=context, direct=direct) as c:
            c.send(GSS_REQUEST)
            return c.read_bytes(1) == b"N"
    except (ssl.SSLError, ConnectionError, PeerClosed):
        return False


# ---- modes

def test_disable(ctx):
    p = ctx.proxy(client_tls_sslmode="disable")
    with Wire(p.address) as c:
        c.send(SSL_REQUEST)
        assert c.read_bytes(1) == b"N"
        c.login("app", ctx.db, "app-secret")
        assert c.value("SELECT 1") == "1"
    assert not shakes(p, certs.blind_context("postgresql"), direct=True)


def test_allow_and_prefer(ctx):
    for mode in ("allow", "prefer"):
        p = tls_proxy(ctx, mode)
        with p.connect(ctx.db) as c:
            assert c.value("SELECT 1") == "1"
        with p.connect(ctx.db, tls=root(ctx).client_context()) as c:
            assert c.value("SELECT 2") == "2"
            assert c.socket.version() == "TLSv1.3"
        assert re.search(r"login attempt: db=\S+ user=app tls=no replication=no", p.log())
        assert re.search(r"login attempt: db=\S+ user=app tls=TLSv1.3/TLS_AES_256_GCM_SHA384 replication=no", p.log())


def test_require(ctx):
    p = tls_proxy(ctx, "require")
    error = p.refused(ctx.db)
    assert (error.sqlstate, error.text) == ("08P01", "SSL required")
    assert "pooler error: SSL required" in p.log()
    with p.connect(ctx.db, tls=root(ctx).client_context()) as c:
        assert c.value("SELECT 1") == "1"
    with p.connect(ctx.db, unix=True) as c:  # never over a unix socket, nor asked for there
        assert c.value("SELECT 1") == "1"
    with Wire(p.socket_path) as c:
        c.send(SSL_REQUEST)
        assert c.read_bytes(1) == b"N"


def test_verify(ctx):
    for mode in ("verify-ca", "verify-full"):
        p = tls_proxy(ctx, mode, client_tls_ca_file=root(ctx).cert)
        assert p.refused(ctx.db).text == "SSL required"
        assert not shakes(p, root(ctx).client_context())
        p.wait_log("TLS handshake error: handshake failed: peer did not return a certificate")
        assert not shakes(p, root(ctx).client_context(root.stranger))
        p.wait_log("TLS handshake error: handshake failed: certificate verify failed: "
                   "unable to get local issuer certificate")
        with p.connect(ctx.db, tls=root(ctx).client_context(root.app)) as c:
            assert c.value("SELECT 1") == "1"
        with p.connect(ctx.db, "other", tls=root(ctx).client_context(root.app)) as c:  # trust asks for no name
            assert c.value("SELECT 1") == "1"


def test_certificate_is_optional(ctx):
    """With root certificates, in a mode that does not ask for one: none is well, a bad one is not."""
    p = tls_proxy(ctx, "require", client_tls_ca_file=root(ctx).cert)
    for pair in (None, root.app):
        with p.connect(ctx.db, tls=root(ctx).client_context(pair)) as c:
            assert c.value("SELECT 1") == "1"
    assert not shakes(p, root(ctx).client_context(root.stranger))
    # Without root certificates nobody is asked for one.
    p = tls_proxy(ctx, "require")
    assert shakes(p, root(ctx).client_context(root.stranger))


def test_certificate_login(ctx):
    a = root(ctx)
    p = tls_proxy(ctx, "verify-full", client_tls_ca_file=a.cert, auth_type="cert")
    with p.connect(ctx.db, tls=a.client_context(root.app)) as c:
        assert c.value("SELECT current_user") == "app"
        assert c.auth_codes == [0]
    for user in ("other", "stranger", "APP", "ap"):
        error = refused(p, ctx.db, user, tls=a.client_context(root.app))
        assert (error.sqlstate, error.text) == ("28000", "certificate authentication failed"), user
    assert "TLS certificate name mismatch" in p.log()
    unknown = a.issue("stranger")
    assert refused(p, ctx.db, "stranger", tls=a.client_context(unknown)).sqlstate == "28000"
    assert p.refused(ctx.db, unix=True).text == "certificate authentication failed"
    p.wait_log("TLS connection required")
    # The first common name counts, as in PostgreSQL; no other part of the subject does.
    for subject, user, well in (("/O=app/CN=other", "app", False), ("/CN=other/CN=app", "app", False),
                                ("/CN=app/CN=other", "app", True), ("/O=app", "app", False), ("/CN=*", "app", False)):
        pair = a.issue("", subject=subject)
        if well:
            p.connect(ctx.db, user, tls=a.client_context(pair)).close()
        else:
            assert refused(p, ctx.db, user, tls=a.client_context(pair)).sqlstate == "28000", subject
    alternative = a.issue("somebody", ["DNS:app"])
    assert refused(p, ctx.db, tls=a.client_context(alternative)).sqlstate == "28000"
    console = a.issue("console")
    with p.connect("pgbouncer", "console", tls=a.client_context(console)) as c:
        assert c.query("SHOW VERSION").rows


# ---- settings

def refuses(ctx, **settings):
    p = ctx.proxy(start=False, **settings)
    p.expect_failure = True
    p.spawn()
    assert p.wait_end() == 1, settings
    return p.log()


def test_errors_have_a_line(ctx):
    a = root(ctx)
    cert, key = root.pair
    well = {"client_tls_sslmode": "require", "client_tls_cert_file": cert, "client_tls_key_file": key}
    broken = f"{a.directory}/broken.pem"
    with open(broken, "w", encoding="ascii") as f:
        f.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    os.chmod(broken, 0o644)
    locked = f"{a.directory}/locked.key"
    certs.run("ec", "-in", key, "-aes128", "-passout", "pass:secret", "-out", locked)
    os.chmod(locked, 0o644)
    for settings, sentence in (
            ({"client_tls_cert_file": None}, "To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set"),
            ({"client_tls_key_file": None}, "To allow TLS connections from clients"),
            ({"client_tls_cert_file": "/nowhere"}, "invalid client_tls_cert_file: /nowhere: No such file or directory"),
            ({"client_tls_cert_file": broken}, "invalid client_tls_cert_file: .*broken.pem: "),
            ({"client_tls_key_file": "/nowhere"}, "invalid client_tls_key_file: /nowhere: No such file or directory"),
            ({"client_tls_key_file": root.app[1]}, "invalid client_tls_key_file: .*: key values mismatch"),
            ({"client_tls_key_file": locked}, "invalid client_tls_key_file: .*locked.key: "),
            ({"client_tls_ca_file": "/nowhere"}, "invalid client_tls_ca_file: /nowhere: No such file or directory"),
            ({"client_tls_sslmode": "verify-ca"}, "client_tls_sslmode requires client_tls_ca_file"),
            ({"client_tls_sslmode": "verify-full"}, "client_tls_sslmode requires client_tls_ca_file"),
            ({"client_tls_protocols": "sslv3"}, "invalid client_tls_protocols: sslv3"),
            ({"client_tls_protocols": "!all"}, "invalid client_tls_protocols: !all"),
            ({"client_tls_ciphers": "NONSENSE"}, "invalid client_tls_ciphers: NONSENSE: no cipher match"),
            ({"client_tls13_ciphers": "NONSENSE"}, "invalid client_tls13_ciphers: NONSENSE: "),
            ({"client_tls_ecdhcurve": "nonsense"}, "invalid client_tls_ecdhcurve: nonsense: no such curve"),
            ({"client_tls_dheparams": "/etc/dh.pem"}, "invalid client_tls_dheparams: must be auto or none"),
            ({"auth_type": "cert"}, "auth_type=cert requires client_tls_sslmode=verify-full"),
    ):
        log = refuses(ctx, **(well | settings))
        assert re.search(rf"(ERROR|FATAL) \S*pgweir.ini:\d+: {sentence}", log), (settings, log)


def test_protocols(ctx):
    def versions(p):
        out = []
        for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = certs.blind_context()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            if shakes(p, context):
                out.append(version.name)
        return out

    for text, want in (("secure", ["TLSv1_2", "TLSv1_3"]), ("tlsv1.2", ["TLSv1_2"]), ("tlsv1.3", ["TLSv1_3"]),
                       ("all, !tlsv1.2", ["TLSv1_1", "TLSv1_3"]), ("!tlsv1.3", ["TLSv1_1", "TLSv1_2"]),
                       ("", ["TLSv1_2", "TLSv1_3"])):
        p = tls_proxy(ctx, client_tls_protocols=text, client_tls_ciphers="ALL:@SECLEVEL=0")
        assert versions(p) == want, text


def test_ciphers(ctx):
    p = tls_proxy(ctx, client_tls_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", client_tls13_ciphers="TLS_CHACHA20_POLY1305_SHA256",
                  client_tls_ecdhcurve="prime256v1")
    context = certs.blind_context()
    with p.connect(ctx.db, tls=context) as c:
        assert c.socket.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with p.connect(ctx.db, tls=context) as c:
        assert c.socket.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    p.wait_log("tls=TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256/ECDH=prime256v1 ")
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    assert not shakes(p, context)
    other = certs.blind_context()
    other.set_ecdh_curve("secp384r1")
    assert not shakes(p, other)


def test_dhe(ctx):
    pair = root(ctx).issue("localhost", ["DNS:localhost"], kind="rsa")
    context = certs.blind_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE-RSA-AES256-GCM-SHA384")
    assert shakes(tls_proxy(ctx, pair=pair), context)
    assert not shakes(tls_proxy(ctx, pair=pair, client_tls_dheparams="none"), context)


class Again:
    """A client that keeps its session and takes it up again."""

    def __init__(self, p, context):
        self.p, self.context, self.session = p, context, None

    def comes(self, user="app"):
        """Was the session before taken up?"""
        s = socket.create_connection(self.p.address)
        s.sendall(SSL_REQUEST)
        assert s.recv(1) == b"S"
        with self.context.wrap_socket(s, server_hostname="localhost", session=self.session) as c:
            c.sendall(startup({"user": user, "database": self.p.tried}))
            assert c.recv(1) == b"R"  # behind the ticket
            self.session = c.session
            return c.session_reused


def test_session_taken_up_again(ctx):
    p = tls_proxy(ctx, "require")
    p.tried = ctx.db
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = certs.blind_context()
        context.minimum_version = context.maximum_version = version
        client, again = Again(p, context), version == ssl.TLSVersion.TLSv1_3
        assert [client.comes() for _ in range(3)] == [False, again, again], version
        # What the settings of TLS are now is true of everybody.
        p.reload(client_tls_ciphers="HIGH" if again else "DEFAULT")
        assert [client.comes() for _ in range(2)] == [False, again], version


def test_no_session_taken_up_with_certificates(ctx):
    """A certificate is shown each time."""
    p = tls_proxy(ctx, "verify-ca", client_tls_ca_file=root(ctx).cert)
    p.tried = ctx.db
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = certs.blind_context()
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(*root.app)
        client = Again(p, context)
        assert [client.comes() for _ in range(3)] == [False] * 3, version


# ---- direct TLS

def test_direct(ctx):
    p = tls_proxy(ctx, "require")
    with p.connect(ctx.db, tls=root(ctx).client_context(direct=True), direct=True) as c:
        assert c.socket.selected_alpn_protocol() == "postgresql"
        assert c.value("SELECT 1") == "1"
        c.send(query("SELECT pg_sleep(30)"))
        p.wait(lambda: ctx.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' "
                               "AND pid <> pg_backend_pid()"), "the query at work")
        c.cancel()
        assert c.until_ready().sqlstate() == "57014"


def test_direct_needs_its_protocol(ctx):
    p = tls_proxy(ctx, "require")
    for context in (certs.blind_context(), certs.blind_context("http/1.1")):
        assert not shakes(p, context, direct=True)
    p.wait_log("TLS handshake error: handshake failed: received direct SSL connection request without ALPN protocol "
               "negotiation extension")
    p.wait_log("TLS handshake error: handshake failed: no application protocol")
    # With an SSLRequest before it the protocol may be left unsaid, but not be another.
    assert shakes(p, certs.blind_context())
    assert not shakes(p, certs.blind_context("http/1.1"))


def test_direct_in_pieces(ctx):
    """The ClientHello may come one byte at a time."""
    p = tls_proxy(ctx)
    context = certs.blind_context("postgresql")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(p.address, timeout=10) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                inside.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    s.sendall(bytes([byte]))
                incoming.write(s.recv(65536))
        inside.write(startup({"user": "app", "database": ctx.db}))
        for byte in outgoing.read():
            s.sendall(bytes([byte]))
        answer = b""
        while not answer:
            incoming.write(s.recv(65536))
            try:
                answer = inside.read(1)
            except ssl.SSLWantReadError:  # it was the ticket
                pass
        assert answer == b"R"


def test_behind_a_load_balancer(ctx):
    """A PROXY protocol header comes in the clear, before TLS of either kind; not inside of it."""
    p = tls_proxy(ctx, "require", proxy_protocol="required", proxy_protocol_from="127.0.0.1")
    header = b"PROXY TCP4 10.1.2.3 10.0.0.1 5555 6432\r\n"
    for direct in (False, True):
        with Wire(p.address) as c:
            c.send(header)
            c.tls, c.direct = certs.blind_context("postgresql"), direct
            c.start_tls()
            c.login("app", ctx.db)
            assert c.value("SELECT 1") == "1"
        p.wait_log(r"app@10.1.2.3:5555 login attempt: .* tls=TLSv1.3")
    with Wire(p.address) as c:
        c.send(header + startup({"user": "app", "database": ctx.db}))
        assert b"SSL required" in c.read().body
    with Wire(p.address) as c:
        c.send(header)
        c.tls = certs.blind_context()
        c.start_tls()
        c.send(header)
        assert c.read().kind == "E"


# ---- smuggling

def test_bytes_before_the_handshake(ctx):
    """CVE-2021-23214: what came in the clear behind an SSLRequest is not taken for what came by TLS."""
    p = tls_proxy(ctx, "require")
    for smuggled in (startup({"user": "app", "database": ctx.db}), b"\0", SSL_REQUEST):
        with Wire(p.address) as c:
            c.send(SSL_REQUEST + smuggled)
            m = c.read()
            assert m.kind == "E" and b"received unencrypted data after SSL request" in m.body
            c.wait_closed()
    # Sent behind the answer they are no handshake.
    with Wire(p.address) as c:
        c.send(SSL_REQUEST)
        assert c.read_bytes(1) == b"S"
        c.send(startup({"user": "app", "database": ctx.db}) + query("SELECT 1"))
        p.wait_log("TLS handshake error: handshake failed: ")


def test_request_inside(ctx):
    p = tls_proxy(ctx)
    with Wire(p.address, tls=certs.blind_context()) as c:
        c.send(GSS_REQUEST)
        assert c.read_bytes(1) == b"N"
        c.send(SSL_REQUEST)
        assert c.wait_closed().messages == []
    p.wait_log("closing because: SSL req inside SSL")
    with Wire(p.address) as c:  # a GSSAPI request may come first
        c.send(GSS_REQUEST)
        assert c.read_bytes(1) == b"N"
        c.tls = certs.blind_context()
        c.start_tls()
        c.login("app", ctx.db, "app-secret")
        assert c.value("SELECT 1") == "1"


# ---- real clients

def psql(ctx, p, options, *arguments, user="app", check=True):
    done = subprocess.run(["psql", "-XAtq", f"host=localhost port={p.port} dbname={ctx.db} user={user} {options}", *arguments],
                          capture_output=True, text=True, check=False, timeout=60,
                          env={k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"PGPASSWORD": f"{user}-secret"})
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout.strip() if check else done


def test_psql(ctx):
    a = root(ctx)
    p = tls_proxy(ctx, "require", auth_type="scram-sha-256", client_tls_ca_file=a.cert)
    assert psql(ctx, p, f"sslmode=verify-full sslrootcert={a.cert}", "-c", "SELECT 1") == "1"
    if os.geteuid() == 0 or not certs.pg.USER:
        cert, key = root.app
        assert psql(ctx, p, f"sslmode=require sslcert={cert} sslkey={key}", "-c", "SELECT 1") == "1"
    assert "SSL required" in psql(ctx, p, "sslmode=disable", "-c", "SELECT 1", check=False).stderr
    out = psql(ctx, p, "sslmode=require", "-c", r"\conninfo")
    assert "TLSv1.3" in out, out


# ---- channel binding

def test_channel_binding(ctx):
    """SCRAM-SHA-256-PLUS, with every kind of certificate that has an endpoint hash."""
    a = root(ctx)
    for kind, digest in (("ec", "sha256"), ("rsa", "sha384"), ("ec", "sha512"), ("rsa", "sha256")):
        p = tls_proxy(ctx, "allow", pair=a.issue("localhost", ["DNS:localhost"], kind, digest), auth_type="scram-sha-256")
        done = psql(ctx, p, "sslmode=require channel_binding=require", "-c", "SELECT 1", check=False)
        assert done.stdout == "1\n", (kind, digest, done.stderr)
        for options in ("sslmode=require channel_binding=disable", "sslmode=disable"):
            assert psql(ctx, p, options, "-c", "SELECT 1") == "1"
        assert "channel binding required, but SSL not in use" in psql(
            ctx, p, "sslmode=disable channel_binding=require", "-c", "SELECT 1", check=False).stderr
        p.stop()
    p = tls_proxy(ctx, "allow", auth_type="scram-sha-256")
    assert "password authentication failed" in psql(ctx, p, "sslmode=require channel_binding=require password=wrong", "-c", "SELECT 1",
                                                    check=False).stderr


def test_a_certificate_without_an_end_point(ctx):
    """The authority's own key decides: with Ed25519 there is no hash to bind to, as in libpq."""
    pair = ed25519_pair(ctx)
    p = tls_proxy(ctx, "allow", pair=pair, auth_type="scram-sha-256")
    assert psql(ctx, p, "sslmode=require", "-c", "SELECT 1") == "1"
    with Wire(p.address, tls=certs.blind_context()) as c:
        c.send(startup({"user": "app", "database": ctx.db}))
        assert c.read().body[4:].split(b"\0") == [b"SCRAM-SHA-256", b"", b""]


def ed25519_pair(ctx):
    """Signed by itself."""
    cert, key = f"{root(ctx).directory}/ed.crt", f"{root(ctx).directory}/ed.key"
    certs.run("req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert)
    os.chmod(key, 0o600)
    certs.pg.give(cert), certs.pg.give(key)
    return cert, key


def test_channel_binding_is_not_talked_away(ctx):
    """Somebody between client and proxy, with a certificate of his own that the client does not look at."""
    a = root(ctx)
    p = tls_proxy(ctx, "require", auth_type="scram-sha-256")
    own = certs.server_context(a.issue("localhost", ["DNS:localhost"]))

    for rewrite, why in ((None, "SCRAM channel binding check failed"),
                         (lambda data: data.replace(OFFER, STRIPPED), "SCRAM channel binding negotiation error")):
        between = ctx.keep(Middle(p.address, own, rewrite))
        done = psql(ctx, between, "sslmode=require channel_binding=prefer", "-c", "SELECT 1", check=False)
        assert why in done.stderr, done.stderr
        p.wait_log(f"pooler error: {why}")
        assert psql(ctx, between, "sslmode=require channel_binding=disable", "-c", "SELECT 1", check=False).stdout == "1\n"


def test_mechanisms(ctx):
    """The mechanism that was chosen, and what the message says of binding, belong together."""
    p = tls_proxy(ctx, "allow", auth_type="scram-sha-256")
    for plain, mechanism, first, why in ((True, b"SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=abc", "client selected an invalid SASL"),
                                         (False, b"SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=abc", "malformed SCRAM message"),
                                         (False, b"SCRAM-SHA-256-PLUS", b"n,,n=,r=abc", "malformed SCRAM message"),
                                         (False, b"SCRAM-SHA-256-PLUS", b"p=tls-unique,,n=,r=abc", "malformed SCRAM message"),
                                         (False, b"SCRAM-SHA-256", b"y,,n=,r=abc", "SCRAM channel binding negotiation error")):
        with Wire(p.address, tls=None if plain else certs.blind_context()) as c:
            c.send(startup({"user": "app", "database": ctx.db}))
            offered = c.read().body[4:].split(b"\0")
            assert (b"SCRAM-SHA-256-PLUS" in offered) != plain and b"SCRAM-SHA-256" in offered
            c.send(message("p", mechanism + b"\0" + struct.pack("!I", len(first)) + first))
            assert why in c.read().body.decode(), (mechanism, first)
    with Wire(p.address) as c:  # without TLS a client may believe that there is none
        c.send(startup({"user": "app", "database": ctx.db}))
        c.read()
        c.send(message("p", b"SCRAM-SHA-256\0" + struct.pack("!I", 11) + b"y,,n=,r=abc"))
        assert c.read().body[:4] == struct.pack("!I", 11)


def test_show(ctx):
    p = tls_proxy(ctx)
    with p.connect(ctx.db, tls=certs.blind_context()) as c, p.connect(ctx.db) as d:
        c.query("BEGIN")
        d.query("BEGIN")
        rows = [r["tls"] for r in p.console("SHOW CLIENTS") if r["database"] == ctx.db]
        assert sorted(rows) == ["", "TLSv1.3/TLS_AES_256_GCM_SHA384"]


@limit(60)
def test_drivers(ctx):
    """Those that are installed, each with its own TLS."""
    a = root(ctx)
    p = tls_proxy(ctx, "require", auth_type="scram-sha-256")
    programs = {
        "psycopg2": "c = psycopg2.connect(sslmode='verify-full', sslrootcert=CA, host='localhost', port=PORT, dbname=DB, user='app', "
                    "password='app-secret'); k = c.cursor(); k.execute('SELECT repeat(%s, 200000)', ('x',)); "
                    "assert len(k.fetchone()[0]) == 200000; c.close()",
        "psycopg": "c = psycopg.connect(f'host=localhost port={PORT} dbname={DB} user=app password=app-secret sslmode=verify-full "
                   "sslrootcert={CA}'); [c.execute('SELECT %s::int', (i,)).fetchone() for i in range(50)]; c.close()",
        "asyncpg": "import asyncio, ssl\nasync def run():\n  c = await asyncpg.connect(host='localhost', port=PORT, database=DB, user='app', "
                   "password='app-secret', ssl=ssl.create_default_context(cafile=CA))\n  assert await c.fetchval('SELECT $1::int + 1', 1) == 2"
                   "\n  assert len(await c.fetchval('SELECT repeat($1, 200000)', 'x')) == 200000\n  await c.close()\nasyncio.run(run())"}
    ran = []
    for name, text in programs.items():
        done = subprocess.run(["/usr/bin/python3", "-c", f"CA, PORT, DB = {a.cert!r}, {p.port}, {ctx.db!r}\ntry:\n  import {name}\n"
                               f"except ImportError:\n  raise SystemExit(77)\n{text}"], capture_output=True, text=True, check=False,
                              timeout=50, env={k: v for k, v in os.environ.items() if not k.startswith("PG")})
        assert done.returncode in (0, 77), (name, done.stderr)
        ran += [name] * (done.returncode == 0)
    ctx.note(", ".join(ran))
    assert not ran or "tls=TLSv1.3" in p.log()


def test_suspend(ctx):
    """Nothing is read and nothing lost: also what OpenSSL holds already."""
    p = tls_proxy(ctx, "allow")
    with p.connect(ctx.db, tls=certs.blind_context()) as c, p.connect("pgbouncer", "console") as console:
        c.query("SELECT 1")
        console.query("SUSPEND")
        c.send(*[query(f"SELECT '{n}' || repeat('x', 1000)") for n in range(100)], query("SELECT '" + "y" * 200000 + "'"))
        assert c.is_quiet()
        console.query("RESUME")
        got = c.until_ready(101)
        assert len(got.rows) == 101 and len(got.rows[-1][0]) == 200000


# ---- cancel

def test_cancel(ctx):
    p = tls_proxy(ctx, "require")
    with p.connect(ctx.db, tls=certs.blind_context()) as c:
        for plain in (False, True):
            c.send(query("SELECT pg_sleep(30)"))
            p.wait(lambda: ctx.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"),
                   "the query at work")
            c.tls, keep = None if plain else c.tls, c.tls
            c.cancel()  # as PostgreSQL takes it: libpq before 17 sends it in the clear
            c.tls = keep
            assert c.until_ready().sqlstate() == "57014"


# ---- reload

def serial(p):
    with Wire(p.address, tls=certs.blind_context()) as c:
        return ssl.DER_cert_to_PEM_cert(c.socket.getpeercert(binary_form=True))


def test_reload(ctx):
    """New certificates for those who come, and nothing for those who are there."""
    a = root(ctx)
    mine = [f"{a.directory}/{ctx.name.rsplit('/', 1)[-1]}.{kind}" for kind in ("crt", "key")]
    certs.copy(root.pair, mine)
    p = tls_proxy(ctx, "require", pair=mine)
    before = serial(p)
    there = [p.connect(ctx.db, tls=a.client_context()) for _ in range(3)]
    for c in there:
        ctx.keep(c).query("SELECT 1")
    certs.copy(a.issue("localhost", ["DNS:localhost"]), mine)
    assert serial(p) == before  # not before it is told to
    p.reload()
    after = p.wait(lambda: serial(p) if serial(p) != before else None, "the new certificate")
    for c in there:
        assert c.value("SELECT 2") == "2"
    # A bad file: the old one stays, and the log says which it was and where it is named.
    with open(mine[0], "w", encoding="ascii") as f:
        f.write("nothing\n")
    p.reload()
    p.wait_log(r"pgweir.ini:\d+: invalid client_tls_cert_file: \S+\.crt: ")
    p.wait_log("TLS configuration could not be reloaded, keeping old configuration")
    assert serial(p) == after
    assert p.connect(ctx.db, tls=a.client_context()).value("SELECT 3") == "3"
    # Everything else of that reload counts.
    p.reload(max_client_conn=77)
    with p.connect("pgbouncer", "console", tls=a.client_context()) as c:
        p.wait(lambda: [r["value"] for r in c.query("SHOW CONFIG").dicts if r["key"] == "max_client_conn"] == ["77"],
               "the other settings")


def test_reload_of_the_mode(ctx):
    p = tls_proxy(ctx, "disable")
    plain = ctx.keep(p.connect(ctx.db))
    p.reload(client_tls_sslmode="require")
    p.wait(lambda: shakes(p, certs.blind_context()), "TLS")
    assert p.refused(ctx.db).text == "SSL required"
    assert plain.value("SELECT 1") == "1"  # it was there before
    p.reload(client_tls_sslmode="verify-full", client_tls_ca_file=root(ctx).cert)
    p.wait(lambda: not shakes(p, certs.blind_context()), "the demand for certificates")
    p.connect(ctx.db, tls=root(ctx).client_context(root.app)).close()
    p.reload(client_tls_sslmode="disable")
    p.wait(lambda: not shakes(p, certs.blind_context()), "the end of TLS")
    p.connect(ctx.db).close()


@limit(60)
def test_reload_in_traffic(ctx):
    """Certificates change again and again while clients come, ask and go; none of them notices."""
    a = root(ctx)
    mine = [f"{a.directory}/traffic.{kind}" for kind in ("crt", "key")]
    certs.copy(root.pair, mine)
    pairs = [root.pair, a.issue("localhost", ["DNS:localhost"])]
    p = tls_proxy(ctx, "require", pair=mine, max_client_conn=200, log_connections=0, log_disconnections=0)
    ended = []

    def come_and_go():
        n = 0
        while not ended:
            with p.connect(ctx.db, tls=a.client_context()) as c:
                for i in range(5):
                    assert c.value(f"SELECT {i}") == str(i)
                n += 1
        return n

    def stay():
        n = 0
        with p.connect(ctx.db, tls=a.client_context()) as c:
            while not ended:
                assert c.run("SELECT $1::int + 1", [n]).value == str(n + 1)
                n += 1
        return n

    workers = [ctx.thread(come_and_go), ctx.thread(come_and_go), ctx.thread(stay)]
    shown = serial(p)
    for n in range(10):
        certs.copy(pairs[(n + 1) % 2], mine)
        p.reload()
        p.wait(lambda before=shown: serial(p) != before, "the other certificate")
        shown = serial(p)
    ended.append(True)
    counts = [w.result() for w in workers]
    assert min(counts) > 0, counts


# ---- bytes

@limit(120)
def test_large_values(ctx):
    """64 MB each way, and no more memory than without TLS."""
    p = tls_proxy(ctx, "require")
    size, piece = 64 << 20, 1 << 20
    with p.connect(ctx.db, tls=certs.blind_context(), timeout=60) as c:
        c.query("CREATE TABLE big(line text)")
        c.send(query("COPY big FROM STDIN"))
        c.until("G")
        for _ in range(size // piece):
            c.send(copy_data(b"x" * (piece - 1) + b"\n"))
        c.send(copy_done())
        assert c.until_ready(timeout=60).check().tags == [f"COPY {size // piece}"]
        assert c.value("SELECT sum(length(line)) FROM big") == str(size - size // piece)
        before = p.rss_bytes()
        c.send(query(f"SELECT repeat('y', {size})"))
        got = 0
        c.socket.settimeout(60)
        while got < size:
            got += len(c.socket.recv(1 << 20))
        assert ctx.sanitizer or p.rss_bytes() - before < 32 << 20, (before, p.rss_bytes())
    with p.connect(ctx.db, tls=certs.blind_context(), timeout=60) as c:
        assert len(c.value(f"SELECT repeat('z', {30 << 20})", timeout=60)) == 30 << 20
        assert c.run("SELECT length($1)", ["v" * (30 << 20)], timeout=60).value == str(30 << 20)


@limit(60)
def test_a_client_that_does_not_read(ctx):
    """What the client does not take stays at the server."""
    p = tls_proxy(ctx, "require")
    with Wire(p.address, receive_buffer=4096, tls=certs.blind_context(), timeout=60) as c:
        c.login("app", ctx.db, "app-secret")
        before = p.rss_bytes()
        c.send(query("SELECT repeat('a', 1000000) FROM generate_series(1, 60)"))
        p.wait(lambda: ctx.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"), "a server that waits")
        assert p.rss_bytes() - before < 24 << 20
        with p.connect(ctx.db, tls=certs.blind_context()) as other:
            assert other.value("SELECT 1") == "1"
        assert len(c.until_ready(timeout=60).check().rows_raw) == 60


def test_nothing_is_left_waiting(ctx):
    """Records of all sizes, several in one packet and one in several: what OpenSSL holds is not slept on."""
    p = tls_proxy(ctx, "require")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = certs.blind_context("postgresql").wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(p.address, timeout=20) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def turn(step):
            while True:
                try:
                    got = step()
                    s.sendall(outgoing.read())
                    return got
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
                    incoming.write(s.recv(65536))

        def until_ready(times):
            got = b""
            while got.count(b"Z\0\0\0\5") < times:
                got += turn(lambda: inside.read(65536))
            return got

        turn(inside.do_handshake)
        turn(lambda: inside.write(startup({"user": "app", "database": ctx.db})))
        until_ready(1)
        # Many queries, each a record of its own, sent at once.
        for n in range(300):
            inside.write(query(f"SELECT {n} AS n"))
        s.sendall(outgoing.read())
        assert until_ready(300).count(b"SELECT 1\0") == 300
        # More than is read at once, in records that end anywhere.
        for size in (16384, 65536, 65536 - 30, 65537, 131072, 200000):
            inside.write(query("SELECT length('" + "q" * size + "')"))
            s.sendall(outgoing.read())
            assert str(size).encode() in until_ready(1)
        # ... that end in the middle of what is read at once, with nothing behind them.
        for size in (70000, 140000, 66000):
            text = query("SELECT length('" + "r" * size + "')")
            for at in range(0, len(text), 10000):
                inside.write(text[at:at + 10000])
            s.sendall(outgoing.read())
            assert str(size).encode() in until_ready(1)
        # One record, in pieces.
        inside.write(query("SELECT 'piece'"))
        record = outgoing.read()
        for at in range(0, len(record), 7):
            s.sendall(record[at:at + 7])
        assert b"piece" in until_ready(1)
        # A packet of a thousand records behind a query that is at work.
        inside.write(query("SELECT pg_sleep(0.05)"))
        for n in range(1000):
            inside.write(query("SELECT 1"))
        s.sendall(outgoing.read())
        until_ready(1001)


def test_stalled_handshake(ctx):
    p = tls_proxy(ctx, "require", client_login_timeout=1)
    with Wire(p.address) as c:
        c.send(SSL_REQUEST)
        assert c.read_bytes(1) == b"S"
        c.send(b"\x16\x03\x01\x02\0")
        c.wait_closed()
    with Wire(p.address) as c:
        c.send(b"\x16\x03\x01\x02\0\x01")
        c.wait_closed()
    assert p.log().count("closing because: client_login_timeout") == 2
    with p.connect(ctx.db, tls=certs.blind_context()) as c:
        assert c.value("SELECT 1") == "1"


def test_ends(ctx):
    """A goodbye, a reset, and the end of the line without a word: the server is given back or closed, and others go on."""
    p = tls_proxy(ctx, "require", default_pool_size=1)
    for end in ("terminate", "goodbye", "silence", "reset", "in a transaction"):
        c = p.connect(ctx.db, tls=certs.blind_context())
        c.query("SELECT 1")
        raw = c.socket
        if end == "terminate":
            c.close()
        elif end == "goodbye":
            raw.unwrap().close()  # it answers with its own close_notify
        elif end == "silence":
            socket.socket(fileno=raw.detach()).close()
        elif end == "reset":
            c.abort()
        else:
            c.query("BEGIN")
            socket.socket(fileno=raw.detach()).close()
        with p.connect(ctx.db, tls=certs.blind_context()) as other:
            assert other.value("SELECT 1") == "1", end
    with p.connect("pgbouncer", "console", tls=certs.blind_context()) as c:
        p.wait(lambda: not [r for r in c.query("SHOW CLIENTS").dicts if r["database"] == ctx.db], "their end")


def test_it_says_goodbye(ctx):
    p = tls_proxy(ctx, "require")
    c = ctx.keep(p.connect(ctx.db, tls=certs.blind_context()))
    c.socket.suppress_ragged_eofs = False
    c.send(b"X\0\0\0\4")
    assert c.socket.recv(1) == b""  # would raise SSLEOFError without a close_notify


def test_errors_reach_a_tls_client(ctx):
    p = tls_proxy(ctx, "require", auth_type="scram-sha-256")
    error = refused(p, ctx.db, password="wrong", tls=certs.blind_context())
    assert error.sqlstate == "28P01", error
    assert refused(p, "nowhere", tls=certs.blind_context()).sqlstate == "3D000"


def s_client(p, *options):
    """openssl s_client, which shows what is said; (process, what it has shown so far)."""
    path = f"{p.directory}/s_client"
    with open(path, "wb") as out:
        client = subprocess.Popen(["stdbuf", "-o0", "openssl", "s_client", "-connect", f"127.0.0.1:{p.port}",
                                   "-starttls", "postgres", "-msg", *options], stdin=subprocess.PIPE, stdout=out,
                                  stderr=subprocess.STDOUT)

    def shown():
        with open(path, "rb") as f:
            return f.read()

    p.wait(lambda: b"Finished" in shown(), "the handshake")
    return client, shown


def test_renegotiation_is_refused(ctx):
    p = tls_proxy(ctx, "require")
    client, shown = s_client(p, "-tls1_2")
    client.stdin.write(b"R\n")
    client.stdin.flush()
    p.wait(lambda: re.search(rb"no.renegotiation", shown(), re.I), "the refusal")
    client.kill()
    client.wait()


@limit(90)
def test_an_idle_client_has_no_buffers(ctx):
    p = tls_proxy(ctx, "allow", max_client_conn=1000, log_connections=0, log_disconnections=0)
    context = certs.blind_context()

    def each(n, tls):
        clients = [ctx.keep(p.connect(ctx.db, tls=tls, timeout=60)) for _ in range(n)]
        for c in clients:
            c.query("SELECT repeat('x', 100000)")
        return clients

    each(50, context), each(50, None)
    before = p.rss_bytes()
    each(300, None)
    plain = (p.rss_bytes() - before) // 300
    before = p.rss_bytes()
    each(300, context)
    tls = (p.rss_bytes() - before) // 300
    ctx.note(f"an idle client: {plain} bytes, by TLS {tls}")
    assert tls - plain < 28000 or ctx.sanitizer
