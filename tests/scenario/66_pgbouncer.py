# SPDX-License-Identifier: Apache-2.0
"""The same conversations with PgBouncer (Debian's, whatever its version) and with pgweir: SQLSTATEs, texts,
columns, tags and log lines. What differs stands here with the reason; what differs otherwise fails."""
import os
import re
import ssl
import struct
import time

import certs
from cluster import free_port
from pgwire import PROTOCOL_3, PeerClosed, PgError, bind, cstring, execute, message, parse, query, startup, sync, unit
from proxy import Proxy
from runner import Skip, limit

PGBOUNCER = os.environ.get("PGBOUNCER", "/usr/sbin/pgbouncer")


def both(ctx, **options):
    """(PgBouncer, pgweir) with the same configuration."""
    if not os.access(PGBOUNCER, os.X_OK):
        raise Skip("PgBouncer is not installed: make welcome")
    pair = []
    own = {k: options.pop(k) for k in ("users", "user_settings") if k in options}
    databases = options.pop("databases", {ctx.db: ctx.server()})
    for binary in (PGBOUNCER, ctx.binary):
        p = Proxy(binary, ctx.directory, databases, options, **own)
        ctx.proxies.append(p)
        pair.append(p.start())
    return pair


def words(reply):
    """What was said, without what is a matter of the moment."""
    out = []
    for m in reply.messages:
        if m.kind in "EN":
            fields = dict((f[:1].decode(), f[1:].decode()) for f in bytes(m.body).split(b"\0") if f)
            out.append(" ".join((m.kind, fields["S"], fields["C"], fields["M"])))
        elif m.kind in "CZR":
            out.append(m.kind + " " + (bytes(m.body).rstrip(b"\0").decode() if m.kind != "R" else
                                       str(struct.unpack("!I", bytes(m.body)[:4])[0])))
        elif m.kind not in "SKvTD":
            out.append(m.kind)
    return out


def ask(wire, *parts):
    """... until it is ready, or gone."""
    if parts:
        wire.send(*parts)
    try:
        return words(wire.until("Z"))
    except PeerClosed as closed:
        error = closed.error
        return ([f"E {error.severity} {error.sqlstate} {error.text}"] if error else []) + ["gone"]
    except TimeoutError:
        return ["waits"]


def login(p, database, user, password=None, **params):
    try:
        p.connect(database, user, password, **params).close()
        return "in"
    except PgError as error:
        return f"{error.severity} {error.sqlstate} {error.text}"
    except PeerClosed as closed:
        return f"gone {closed.error}"


# What PgBouncer says, as a pattern; what we say instead; why.
INSTEAD = [
    (r"FATAL 08P01 (?=no such database: )", "FATAL 3D000 ", "PostgreSQL's code: drivers tell it from a broken connection"),
    (r"08P01 (?=no username supplied|\"trust\" auth|login rejected|unix socket login)", "28000 ", "PostgreSQL's code"),
    (r"08P01 (?=no more connections allowed)", "53300 ", "PostgreSQL's code"),
    (r"08P01 (?=database .* does not exist)", "3D000 ", "the server's code, as later versions have it"),
    (r"08P01 (?=old V2 protocol)", "0A000 ", "PostgreSQL's code"),
    (r"(bad packet header: '\w{10})\w*'", r"\1'", "the header alone, without what follows it"),
    (r"08P01 (password|SASL) authentication failed$", "28P01 password authentication failed", "PostgreSQL's code and words"),
]


def instead(said):
    if isinstance(said, list):
        return [instead(s) for s in said]
    for pattern, ours, _ in INSTEAD:
        said = re.sub(pattern, ours, said) if isinstance(said, str) else said
    return said


def compare(ctx, pair, talk, differ=None):
    """talk(p) returns {label: what was heard}; differ: {label: reason}."""
    differ = differ or {}
    theirs, ours = talk(pair[0]), talk(pair[1])
    assert list(theirs) == list(ours)
    theirs = {label: instead(said) for label, said in theirs.items()}
    wrong = [f"{label}\n  PgBouncer: {theirs[label]}\n  pgweir:    {ours[label]}" for label in theirs
             if theirs[label] != ours[label] and label not in differ]
    assert not wrong, "\n".join(wrong)
    strays = set(differ) - set(theirs)
    assert not strays, f"differences of nothing: {strays}"
    # Another version of PgBouncer may have come our way.
    same = [label for label in differ if theirs[label] == ours[label]]
    ctx.note(f"{len(theirs)} compared, {len(differ) - len(same)} differ" + (f", no more: {same}" if same else ""))


# ---- logins

def test_logins(ctx):
    def talk(p):
        out = {}
        for user, password in (("app", None), ("app", "wrong"), ("nobody", "x"), ("", "x"), ("a" * 200, "x")):
            for database in (ctx.db, "no_such_db", "pgbouncer"):
                label = f"{user[:9]}/{password} to {'db' if database == ctx.db else database}"
                # Ours has PostgreSQL's words, with the name of the user.
                out[label] = login(p, database, user, password).replace(f' for user "{user}"', "")
        out["no database"] = login(p, "", "app")
        out["another's parameter"] = login(p, ctx.db, "app", work_mem="1MB")
        out["parameters"] = login(p, ctx.db, "app", application_name="x", client_encoding="UTF8", DateStyle="ISO",
                                  TimeZone="UTC", standard_conforming_strings="on")
        return out

    differ = {"nobody/x to pgbouncer": "who is no admin is told so at once, known or not",
              "another's parameter": "startup parameters of every kind are honoured"}
    for auth_type in ("md5", "scram-sha-256", "plain", "trust"):
        compare(ctx, both(ctx, auth_type=auth_type), talk, differ)


def test_first_packets(ctx):
    def said(p, *parts):
        wire = ctx.keep(p.open(timeout=3))
        return ask(wire, *parts)

    def talk(p):
        named = {"user": "app", "database": ctx.db}
        return {
            "protocol 2": said(p, startup(named, code=2 << 16)),
            "protocol 3.2": said(p, startup(named, code=PROTOCOL_3 + 2))[-1:],
            "protocol 4": said(p, startup(named, code=4 << 16)),
            "option _pq_": said(p, startup({**named, "_pq_.x": "1"}))[-1:],
            "garbage": said(p, b"GET / HTTP/1.1\r\n\r\n"),
            "a query": said(p, query("SELECT 1")),
            "a password": said(p, startup(named), message("p", cstring("x"))),
            "twice": said(p, startup(named), startup(named)),
        }
    compare(ctx, both(ctx), talk, {
        "protocol 3.2": "spoken, as later versions do",
        "option _pq_": "negotiated, as in later versions",
        "protocol 4": "PostgreSQL's code and words",
        "garbage": "no packet can have that length: there is nothing to wait for",
        "a query": "likewise"})


# ---- sessions

def test_ends(ctx):
    """Each timeout and limit: what a client is told before it is closed."""
    def last(wire):
        wire.timeout = 8
        return ask(wire)

    def held(p, user="app"):
        holder = ctx.keep(p.connect(ctx.db, user))
        holder.query("BEGIN")
        return holder

    def first(p):
        try:
            return p.connect(ctx.db)
        except PgError as error:  # whoever looked whether the port is there has not gone yet
            assert error.sqlstate in ("53300", "08P01") and "no more connections" in error.text, error
            return None

    def talk_of(name):
        def talk(p):
            c = ctx.keep(p.wait(lambda: first(p), "a place among the clients"))
            out = {}
            if name == "query_wait_timeout":
                held(p)
                c.send(query("SELECT 1"))
            elif name == "query_timeout":
                c.send(query("SELECT pg_sleep(5)"))
            elif name == "idle_transaction_timeout":
                c.query("BEGIN")
            elif name == "disable_pqexec":
                c.send(query("SELECT 1"))
            elif name == "max_packet_size":
                c.send(query("SELECT '" + "x" * 5000 + "'"))
            elif name == "pool_mode":
                c.send(query("BEGIN"))
            elif name == "max_client_conn":
                return {"another": login(p, ctx.db, "app")}
            out[name] = last(c)
            return out
        return talk

    talks, pairs = [], []
    for name, value in (("query_wait_timeout", 3), ("query_timeout", 1), ("idle_transaction_timeout", 1), ("client_idle_timeout", 1),
                        ("disable_pqexec", 1), ("max_packet_size", 2000), ("pool_mode", "statement"), ("max_client_conn", 1)):
        pair = both(ctx, default_pool_size=1, log_connections=1, log_disconnections=1, **{name: value})
        pairs.append(pair)
        talks.append(ctx.thread(compare, ctx, pair, talk_of(name)))
    for talk in talks:
        talk.result()
    for theirs, ours in pairs:
        check_logs(lines(theirs), lines(ours),
                   ("client used 'Q' packet type", "bad packet header: "))  # "Query"; what follows the header


def test_failing_servers(ctx):
    databases = {"gone": {"host": "127.0.0.1", "port": free_port()}, "ghost": ctx.server(dbname="ghost_db"),
                 "lost": {"host": "no.such.host.invalid"}}

    def talk(p):
        out = {}
        for name in databases:
            out[name] = login(p, name, "app")
            out[f"{name} again"] = login(p, name, "app")
        return out
    pair = both(ctx, databases=databases, client_login_timeout=1, server_login_retry=15, log_connections=1, log_disconnections=1)
    compare(ctx, pair, talk, {
        f"{name} again": "refused at once, as the manual of later versions has it" for name in databases})
    # The first two are later versions' difference, the third is its own.
    check_logs(lines(pair[0]), lines(pair[1]), ("ghost/app@127.0.0.1:PORT closing because: client_login_timeout",
               "ghost/app@127.0.0.1:PORT pooler error: client_login_timeout", "closing because: login failed", "@(bad-af):0"))


# ---- the console

SHOWN = ("ACTIVE_SOCKETS CLIENTS CONFIG DATABASES DNS_HOSTS DNS_ZONES FDS LISTS MEM POOLS SERVERS SOCKETS STATE STATS "
         "STATS_AVERAGES STATS_TOTALS TOTALS USERS VERSION").split()
# Later versions have these under another name.
RENAMED = {"reserve_pool": "reserve_pool_size"}


def fields(reply):
    """{column: type}, in order."""
    body = next((bytes(m.body) for m in reply.messages if m.kind == "T"), b"\0\0")
    count, at, out = struct.unpack_from("!H", body)[0], 2, {}
    for _ in range(count):
        end = body.index(b"\0", at)
        out[body[at:end].decode()] = struct.unpack_from("!I", body, end + 7)[0]
        at = end + 19
    return out


def test_columns(ctx):
    """PgBouncer's columns are all there, in its order and with its types; more may stand between and behind."""
    pair = both(ctx)
    consoles = [ctx.keep(p.connect("pgbouncer", "console")) for p in pair]
    for name in SHOWN:
        theirs, ours = (fields(c.ask(query(f"SHOW {name}"))) for c in consoles)
        if not theirs:
            continue  # that version has no such command
        theirs = {RENAMED.get(n, n): t for n, t in theirs.items()}
        lacks = {n: t for n, t in theirs.items() if ours.get(n) != t}
        assert not lacks, f"SHOW {name} lacks {lacks}, has {ours}"
        assert [n for n in ours if n in theirs] == list(theirs), f"SHOW {name}: {list(ours)}"


def test_config(ctx):
    """Defaults, and what a reload changes."""
    theirs, ours = ({r["key"]: r for r in p.console("SHOW CONFIG")} for p in both(ctx))
    differ = {"server_check_query": "later versions have <empty>", "auth_query": "later versions look at rolvaliduntil",
              "client_tls_ciphers": "later versions have default", "server_tls_ciphers": "later versions have default",
              "server_tls_sslmode": "later versions have prefer", "verbose": "0 stands there, not nothing"}
    for name, row in theirs.items():
        assert name in ours, name
        assert row["changeable"] == ours[name]["changeable"], name
        if name not in differ:
            assert (row["default"] or "") == ours[name]["default"], (row, ours[name])


def test_commands(ctx):
    commands = ("PAUSE", "PAUSE", "RESUME", "RESUME", f"PAUSE {ctx.db}", f"PAUSE {ctx.db}", f"RESUME {ctx.db}", f"RESUME {ctx.db}",
                "PAUSE nowhere", "RESUME nowhere", "DISABLE", "DISABLE nowhere", f"DISABLE {ctx.db}", f"DISABLE {ctx.db}", "ENABLE",
                f"ENABLE {ctx.db}", f"ENABLE {ctx.db}", "ENABLE nowhere", "RECONNECT", f"RECONNECT {ctx.db}", "RECONNECT nowhere",
                "WAIT_CLOSE", f"WAIT_CLOSE {ctx.db}", "WAIT_CLOSE nowhere", "KILL nowhere", f"KILL {ctx.db}", f"KILL {ctx.db}",
                f"RESUME {ctx.db}", "SUSPEND", "SUSPEND", "PAUSE", "RESUME", "RELOAD", "SET", "SET verbose", "SET verbose = 1",
                "SET verbose = 'many'", "SET nothing = 1", "SET listen_port = 1", "SET pool_mode = 'statement'", "SHOW", "SHOW nothing",
                "FROBNICATE", "", ";", "SELECT 1", "SHOW POOLS; SHOW LISTS", "PAUSE pgbouncer", "DISABLE pgbouncer", "KILL pgbouncer",
                "SHUTDOWN NOW", "RELOAD x", "show version;", "SHOW TIMEZONE", "SET client_encoding = 'UTF8'", "begin")

    def talk(p):
        c = ctx.keep(p.connect("pgbouncer", "console", timeout=5))
        stats = ctx.keep(p.connect("pgbouncer", "app", timeout=5))
        out = {f"{n} {command}": ask(c, query(command)) for n, command in enumerate(commands)}
        out["parse"] = ask(c, parse("SHOW POOLS"), sync())
        out |= {f"stats_user {command}": ask(stats, query(command)) for command in ("PAUSE", "SHOW FDS", "SHOW LISTS", "SET verbose = 1")}
        return out

    pair = both(ctx, stats_users="app")
    compare(ctx, pair, talk, {
        f"{commands.index('SET listen_port = 1')} SET listen_port = 1": "what needs a restart is refused, not taken and forgotten",
        f"{commands.index('')} ": "an empty query is one, as in PostgreSQL", f"{commands.index(';')} ;": "likewise",
        "parse": "spoken here"})
    check_logs(lines(pair[0]), lines(pair[1]), ("extended query protocol", "pooler error: bad packet", "invalid command ''",
                                                "invalid command ';'", "unknown parameter: pgbouncer/"))


# ---- the log

def lines(p):
    """The log's sentences, without what is a matter of the moment."""
    out = set()
    for line in p.log().splitlines():
        line = re.sub(r"^\S+ \S+ UTC \[\d+\] ", "", line)
        for pattern, mask in ((r"\b([CS])-0x\w+", r"\1-0x"), (r"@127\.0\.0\.1:\d+", "@127.0.0.1:PORT"), (r"age=\d+s?", "age="),
                              (re.escape(p.directory), "DIR"), (r"(DNS lookup failed: \S+:) .*", r"\1 WHY"), (rf"\b{p.port}\b", "LISTEN"), (r"from 127\.0\.0\.1:\d+", "from PORT")):
            line = re.sub(pattern, mask, line)
        out.add(line)
    return out


def like(line):
    """As a pattern for one of ours: we know a client's names before it is in, as the log's later versions we
    tell of replication, and the numbers and versions of a start are everybody's own."""
    if "process up: " in line or "kernel file descriptor limit" in line:
        line = re.split(r" PgBouncer |expected fd use", line)[0]
    pattern = re.escape(line)
    if not re.match(r"\w+ [CS]-0x: ", line):
        level, text = pattern.split("\\ ", 1)
        pattern = rf"{level} ([CS]-0x: (\S+/\S+ )?)?{text}"  # ours says whose it is
    for theirs_says, ours_says in (("(nodb)", "[^/ ]+"), ("(nouser)", "[^@ ]+")):
        pattern = pattern.replace(re.escape(theirs_says), ours_says)
    return pattern if "replication=" in line else pattern.replace("tls=no", "tls=no\\ replication=no")


def check_logs(theirs, ours, but=()):
    """but: sentences that the other has alone, because the conversation was another there."""
    lacks = [line for line in sorted(theirs) if not any(re.match(like(line), one) for one in ours)
             and not line.startswith(("DEBUG pktbuf", "DEBUG make_room")) and not any(b in line for b in but)]
    assert not lacks, "\n".join(["lacks"] + lacks + ["has"] + sorted(ours - theirs))


def test_log(ctx):
    """Who greps PgBouncer's log finds the same lines in ours."""
    def talk(p):
        c = ctx.keep(p.connect(ctx.db))
        c.query("SELECT 1")
        login(p, "nowhere", "app")
        login(p, ctx.db, "nobody")
        login(p, "gone", "app")
        d = ctx.keep(p.connect(ctx.db))
        d.query("BEGIN")
        d.abort()
        p.wait_log("closing because: client unexpected eof")
        console = ctx.keep(p.connect("pgbouncer", "console"))
        for command in ("PAUSE", "RESUME", f"DISABLE {ctx.db}", f"ENABLE {ctx.db}", "RECONNECT", "SUSPEND", "RESUME", "RELOAD",
                        f"KILL {ctx.db}"):
            console.query(command)
        p.hup()
        return lines(p)

    theirs, ours = (talk(p) for p in both(ctx, log_connections=1, log_disconnections=1, client_login_timeout=1,
                                             databases={ctx.db: ctx.server(), "gone": {"host": "127.0.0.1", "port": free_port()}}))
    check_logs(theirs, ours)


# ---- who logs in how

def test_hba(ctx):
    path = f"{ctx.directory}/hba-{ctx.db}"
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""# nothing
nonsense all all md5
host all +group 127.0.0.1/32 trust
host {ctx.db} app 127.0.0.1/32 md5
host {ctx.db} other 127.0.0.0 255.255.255.0 reject
host "{ctx.db}" postgres,nobody 0.0.0.0/0 trust   # why not
hostssl all srv_md5 127.0.0.1/32 trust
hostnossl all srv_scram 127.0.0.1/32 scram-sha-256
host pgbouncer console 127.0.0.1/32 password
host sameuser all 127.0.0.1/32 trust
host all srv_trust 10.0.0.0/8 trust
local all app peer
local all postgres md5
""")
    os.chmod(path, 0o644)

    def said(p, *args, **options):
        # Older versions of PgBouncer have one sentence for "reject" and for no line at all.
        return re.sub(r" for user .*", "", login(p, *args, **options)).replace("no authentication method is found", "login rejected")

    def talk(p):
        out = {}
        for user, password in (("app", None), ("app", "wrong"), ("other", None), ("postgres", None), ("nobody", "x"), ("srv_md5", None),
                               ("srv_scram", None), ("srv_scram", "wrong"), ("srv_trust", None), ("console", None)):
            for database in (ctx.db, "pgbouncer", "app", "no_such_db"):
                label = f"{user}/{password} to {'db' if database == ctx.db else database}"
                out[label] = said(p, database, user, password)
        for user, password in (("app", None), ("postgres", None), ("postgres", "wrong"), ("other", None)):
            out[f"{user}/{password} by socket"] = said(p, ctx.db, user, password, unix=True)
        return out

    told = {"nobody/x to pgbouncer": "who is no admin is told so at once, known or not"}
    compare(ctx, both(ctx, auth_type="hba", auth_hba_file=path, databases={ctx.db: ctx.server(), "app": ctx.server()}), talk, told)


def test_auth_query(ctx):
    ctx.sql("CREATE TABLE logins(name text, secret text); INSERT INTO logins VALUES ('app', 'x'), ('nothing', NULL), ('twice', 'a'), ('twice', 'b')")
    question = "SELECT name, secret FROM public.logins WHERE name = $1"

    def talk(p):
        out = {}
        for user, password in (("app", "x"), ("app", "wrong"), ("nothing", "x"), ("nobody", "x"), ("twice", "a"), ("twice", "b"), ("postgres", None)):
            for database in (ctx.db, "pgbouncer", "no_such_db"):
                label = f"{user}/{password} to {'db' if database == ctx.db else database}"
                out[label] = login(p, database, user, password).replace(f' for user "{user}"', "")
        return out

    differ = {"nobody/x to db": "nobody is told that there is no such user"}
    differ |= {f"{user} to pgbouncer": "who is no admin is told so at once, known or not"
               for user in ("app/x", "app/wrong", "nothing/x", "nobody/x", "twice/a", "twice/b")}
    pair = both(ctx, auth_type="md5", auth_user="postgres", auth_query=question,
                databases={ctx.db: ctx.server(user="app", password="app-secret")},
                users={n: f"{n}-secret" for n in ("postgres", "console")})
    version = re.search(r"PgBouncer (\d+)\.(\d+)", pair[0].log())
    if (int(version[1]), int(version[2])) < (1, 24):
        raise Skip("older versions of PgBouncer answer some of these never")
    compare(ctx, pair, talk, differ)


# ---- TLS

def test_tls(ctx):
    """What is said of TLS: to clients, in the log, on the console; who gets in, and by what certificate."""
    a = certs.Authority(ctx.directory, "beside-pgbouncer")
    cert, key = a.issue("localhost", ["DNS:localhost"])
    mine = certs.blind_context()
    mine.load_cert_chain(*a.issue("app"))
    old = certs.blind_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    options = {"client_tls_cert_file": cert, "client_tls_key_file": key, "client_tls_ca_file": a.cert, "server_tls_sslmode": "disable", "client_tls_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384",
               "log_connections": 1, "users": {"app": "app-secret", "console": "console-secret", "other": "other-secret"}}
    for mode, auth in (("require", "trust"), ("verify-full", "cert")):
        said = []
        pair = both(ctx, client_tls_sslmode=mode, auth_type=auth, **options)
        for p in pair:
            out = [p.refused(ctx.db).text]
            for user in ("app", "other"):
                for context in (certs.blind_context(), old, mine):
                    try:
                        with p.connect(ctx.db, user, tls=context) as c:
                            out.append(c.value("SELECT 1"))
                    except PgError as error:
                        out.append(error.text)
                    except (PeerClosed, OSError):
                        out.append("no handshake")
            if auth == "trust":
                with p.connect(ctx.db, tls=old) as c, p.connect("pgbouncer", "console", tls=mine) as console:
                    c.query("BEGIN")
                    out += sorted(r["tls"] for r in console.query("SHOW CLIENTS").dicts)
            said.append(out)
        assert said[0] == said[1], said
        texts = [[re.sub(r"^\S+ ", "", line) for line in lines(p) if "login attempt" in line] for p in pair]
        tls = [{re.search(r" tls=(\S+)", line).group(1) for line in t} for t in texts]
        assert tls[0] == tls[1] and tls[0], tls
