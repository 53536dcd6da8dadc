# SPDX-License-Identifier: Apache-2.0
"""currval() and lastval() in a later transaction than nextval() or INSERT, in transaction mode: never of another
client, and lost to nobody for long."""
import random

from pgwire import bind, execute, parse, query, sync, unit
from servers import PID, move, release

TABLES = "".join(f"CREATE TABLE {t}(id serial, v text); GRANT ALL ON {t}, {t}_id_seq TO PUBLIC;" for t in
                 ("a", "b", "c", "d")) + "CREATE SEQUENCE s; GRANT ALL ON s TO PUBLIC;"


def begin(ctx, **settings):
    ctx.sql(TABLES)
    p = ctx.proxy(**{"default_pool_size": 30, "worker_threads": 1, **settings})
    if settings.get("pool_mode") != "session":  # there nobody asks
        with p.connect(ctx.db) as c:
            c.query("SELECT 1")
        p.wait_log("learnt in")  # before that any statement may run code, and is looked after
    return p


def ask(ctx, p, client, use, question, how=query):
    """Uses a sequence, is moved to another server if it can be, and asks in the next transaction."""
    client.ask(how(use)).check()
    holders = []
    p.wait(lambda: set(pins(p, client)) <= {"sequence"}, "the end of what a function pins")
    if not pins(p, client):
        holders = away(ctx, p, client)
    reply = client.ask(how(question))
    release(holders)
    return reply


def pins(p, client=None):
    return [r["reason"] for r in p.console("SHOW PINS")
            if client is None or r["id"] == client_id(p, client)]


def client_id(p, client):
    port = str(client.socket.getsockname()[1])
    return next(r["id"] for r in p.console("SHOW CLIENTS") if r["port"] == port)


def away(ctx, p, client):
    """Others take all idle servers that there are, but for new ones."""
    holders = []
    port = str(client.socket.getsockname()[1])
    p.wait(lambda: next(r["link"] for r in p.console("SHOW CLIENTS") if r["port"] == port) == "", "its server to be given back")
    p.wait(lambda: "tested" not in {r["state"] for r in p.console("SHOW SERVERS")}, "the end of resets")
    idle = sum(int(r["sv_idle"]) for r in p.console("SHOW POOLS") if r["database"] == ctx.db)
    for _ in range(idle):
        other = ctx.keep(p.connect(ctx.db))
        other.query("BEGIN")
        other.value("SELECT nextval('s')")
        holders.append(other)
    return holders


KINDS = {
    "INSERT": ("INSERT INTO a(v) VALUES ('x')", "SELECT currval('a_id_seq')"),
    "lastval": ("INSERT INTO b(v) SELECT 'x'", "SELECT lastval()"),
    "nextval": ("SELECT nextval('s')", "SELECT currval('s')"),
    "setval": ("SELECT setval('s', 4711)", "SELECT currval('s')"),
    "function": ("SELECT make()", "SELECT lastval()"),
    "MERGE": ("MERGE INTO c USING (VALUES (1)) w ON false WHEN NOT MATCHED THEN INSERT(v) VALUES ('m')", "SELECT lastval()"),
    "WITH": ("WITH i AS (INSERT INTO d(v) VALUES ('x') RETURNING id) SELECT 1 FROM i", "SELECT currval('d_id_seq')"),
    "DO": ("DO $$BEGIN PERFORM nextval('s'); END$$", "SELECT lastval()"),
    "COPY": ("COPY c(v) FROM PROGRAM 'echo x'", "SELECT currval('c_id_seq')"),
    "SQL": ("EXECUTE ins", "SELECT lastval()"),
}


def test_every_way(ctx):
    """Each statement may fail once, for its first client; after that no client of it loses its value."""
    p = begin(ctx)
    ctx.sql("CREATE FUNCTION make() RETURNS void LANGUAGE sql AS $$INSERT INTO d(v) VALUES ('f')$$;"
            "GRANT pg_execute_server_program TO app")
    for how in (query, unit):
        for name, (use, question) in KINDS.items():
            for turn in range(3):
                c = p.connect(ctx.db)
                if name == "SQL":
                    c.query("PREPARE ins AS INSERT INTO a(v) VALUES ('x')")
                reply = ask(ctx, p, c, use, question, how)
                if turn == 0 and how is query:
                    assert reply.sqlstate() == "55000", (name, reply)
                else:
                    assert reply.rows, (name, turn, how, reply.errors)
                    p.wait(lambda: pins(p, c) == ["sequence"], "the pin")
                c.close()
    p.wait(lambda: pins(p) == [], "the end of the pins")


def test_its_own_value(ctx):
    """Many clients at random: what it says is always the client's own."""
    p = begin(ctx, default_pool_size=12)
    rng = random.Random(7)
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(8)]
    mine = {}

    def how(c, sql):
        return rng.choice((c.value, lambda sql: c.run(sql).value))(sql)

    def insert(k, t):
        mine[k] = how(clients[k], f"INSERT INTO {t}(v) VALUES ('{k}') RETURNING id")

    def play(turns):
        lost = 0
        for _ in range(turns):
            k, deed = rng.randrange(len(clients)), rng.randrange(8)
            if deed < 2:
                insert(k, rng.choice("ab"))
            elif deed == 2:
                clients[k].close()
                clients[k] = ctx.keep(p.connect(ctx.db))
                mine.pop(k, None)
            elif deed < 5:
                how(clients[k], "SELECT count(*) FROM a")
            else:
                reply = clients[k].ask(rng.choice((query, unit))("SELECT lastval()"))
                if reply.sqlstate() == "55000":
                    lost += k in mine
                else:
                    assert reply.check().value == mine[k], (k, mine)
        return lost

    play(200)
    for k in range(len(clients)):  # what was lost before it was known is lost
        insert(k, "a")
        insert(k, "b")
    lost = play(400)
    assert lost == 0, lost


def test_only_who_asks(ctx):
    """Where nobody asks nobody is pinned; and where one does, only who runs that very statement."""
    p = begin(ctx)
    a, b, c = (ctx.keep(p.connect(ctx.db)) for _ in range(3))
    for k in (a, b):
        k.query("INSERT INTO a(v) VALUES ('x')")
        k.query("BEGIN; INSERT INTO b(v) VALUES ('x'); SELECT lastval(); COMMIT")
        k.ask(query("SELECT currval('s')"))
    assert ask(ctx, p, c, "INSERT INTO c(v) VALUES ('x')", "SELECT lastval()").sqlstate() == "55000"
    for k in (a, b, c):
        k.query("INSERT INTO d(v) VALUES ('y')")
        k.query("INSERT INTO c(v) VALUES ('y') RETURNING id")
        k.query("SELECT nextval('s')")
        k.query("UPDATE c SET v = 'z'")
    p.wait(lambda: [r for r in pins(p) if r != "sequence"] == [], "the end of looks")
    b.query("INSERT INTO c(v) VALUES ('another')")
    p.wait(lambda: pins(p, b) == ["sequence"] and len(pins(p)) == 1, "the pin, and no look")
    b.close()
    # Another route has nothing to do with it.
    d = ctx.keep(p.connect(ctx.db, "postgres"))
    d.query("INSERT INTO c(v) VALUES ('another')")
    p.wait(lambda: pins(p) == [], "the end of looks")


def test_further_back(ctx):
    """The value is not of the last statement: those before it are found out, one by one."""
    p = begin(ctx, default_pool_size=20)
    failed = 0
    for _ in range(6):
        c = p.connect(ctx.db)
        for t in "abc":
            c.query(f"INSERT INTO {t}(v) VALUES ('x')")
            holders = [] if pins(p, c) else away(ctx, p, c)
        failed += c.ask(query("SELECT currval('a_id_seq')")).sqlstate() == "55000"
        release(holders)
        c.close()
    assert 1 <= failed <= 3, failed
    with p.connect(ctx.db) as c:
        c.query("INSERT INTO a(v) VALUES ('x')")
        assert pins(p, c) == ["sequence"]


def test_prefers_its_server(ctx):
    """Even without a pin: the server where the client used a sequence, if it is idle."""
    p = begin(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.ask(query("SELECT lastval()"))
    for t in "abcd":
        mine = a.value(f"INSERT INTO {t}(v) VALUES ('x') RETURNING id")
        a.query("BEGIN")
        b.query("BEGIN")  # on another server, which is given back last
        assert a.value(PID) != b.value(PID)
        a.query("COMMIT")
        b.query("COMMIT")
        b.query("BEGIN")
        c = ctx.keep(p.connect(ctx.db))
        b.query("COMMIT")
        assert a.value("SELECT lastval()") == mine
        c.close()


def test_ends(ctx):
    """With DISCARD SEQUENCES, DISCARD ALL, and the client; not while something was sent behind."""
    p = begin(ctx)
    use, question = KINDS["INSERT"]
    with p.connect(ctx.db) as c:
        ask(ctx, p, c, use, question)
    a = ctx.keep(p.connect(ctx.db))
    for end in ("DISCARD SEQUENCES", "DISCARD ALL"):
        for how in (query, unit):
            a.ask(how(use)).check()
            assert pins(p, a) == ["sequence"]
            a.ask(how(end)).check()
            a.query("SELECT 1")
            p.wait(lambda: pins(p) == [], f"the end of the pin by {end}")
            assert a.ask(query(question)).sqlstate() == "55000"
    a.query("BEGIN")
    a.query(use)
    a.query("DISCARD SEQUENCES")
    a.query("ROLLBACK")
    p.wait(lambda: pins(p) == [], "the end of the pin in a transaction that is rolled back")
    a.ask(query("DISCARD SEQUENCES") + query(use), times=2).check()
    a.query("SELECT 1")
    assert pins(p, a) == ["sequence"]
    assert a.value(question)
    a.query("DISCARD SEQUENCES; " + use)
    a.query("SELECT 1")
    p.wait(lambda: pins(p) == ["sequence"], "the end of the other pin")
    assert a.value(question)
    a.close()
    p.wait(lambda: pins(p) == [], "the end of the client's pin")
    # What it left is no one's.
    with p.connect(ctx.db) as b:
        assert b.ask(query(question)).sqlstate() == "55000"


def test_first_in_a_transaction(ctx):
    """The very first question of a route, within a transaction, is not answered from another client's."""
    for how in (query, unit):
        p = begin(ctx, default_pool_size=1) if how is query else ctx.proxy(default_pool_size=1)
        a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        a.query("SELECT nextval('s')")
        b.query("BEGIN")
        assert b.ask(how("SELECT lastval()")).sqlstate() == "55000"
        b.query("ROLLBACK")
        # And of a fresh server it is the client's own at once.
    p = ctx.proxy(default_pool_size=1)
    c = ctx.keep(p.connect(ctx.db))
    mine = c.value("SELECT nextval('s')")
    assert c.value("SELECT currval('s')") == mine


def test_own_older_value(ctx):
    """What the client did on one server is not told once it has used a sequence on another."""
    p = begin(ctx)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("BEGIN")
    b.query("BEGIN")
    a.query("COMMIT")
    first, one = a.value("SELECT nextval('s')"), a.value(PID)
    b.query("COMMIT")  # so this is the server used last
    second, two = a.query("SELECT nextval('s'), pg_backend_pid()").rows[0]
    assert one != two and first != second
    b.query("BEGIN")
    assert b.value(PID) == two
    reply = a.ask(query("SELECT lastval(), pg_backend_pid()"))
    assert reply.sqlstate() == "55000", (reply.rows, first, second, one)


def test_prepared(ctx):
    """A statement that asks, prepared long before."""
    p = begin(ctx)
    use, _ = KINDS["INSERT"]
    for turn in range(3):
        c = ctx.keep(p.connect(ctx.db))
        c.ask(parse("SELECT lastval()", "last") + parse("INSERT INTO a(v) VALUES ($1) RETURNING id", "ins") + sync()).check()
        mine = c.ask(bind("ins", ["x"]) + execute() + sync()).check().value
        holders = [] if turn else away(ctx, p, c)
        reply = c.ask(bind("last") + execute() + sync())
        assert reply.sqlstate() == "55000" if turn == 0 else reply.check().value == mine, (turn, reply)
        release(holders)


def test_default_that_asks(ctx):
    """A column's default that is currval(): never another client's value, and the client's own from the second time on."""
    p = begin(ctx)
    a = ctx.keep(p.connect(ctx.db, "postgres"))
    a.query("CREATE TABLE asks(x int, y bigint DEFAULT currval('s'))")
    failures = 0
    for turn in range(4):
        c = ctx.keep(p.connect(ctx.db, "postgres"))
        mine = c.value("SELECT nextval('s')")
        holders = []
        if not pins(p, c):
            for _ in range(2):
                holders.append(ctx.keep(p.connect(ctx.db, "postgres")))
                holders[-1].query("BEGIN")
                holders[-1].query("SELECT nextval('s')")
        reply = c.ask(query("INSERT INTO asks(x) VALUES (1) RETURNING y"))
        # While its session is looked at a client keeps its server, and does not fail either.
        failures += reply.sqlstate() == "55000"
        assert failures <= 1 and (reply.errors or reply.value == mine), (turn, reply.messages)
        release(holders)
        c.close()


def test_execute_asks(ctx):
    """In SQL's EXECUTE, too: the very first question is not answered from another client's, and teaches."""
    p = begin(ctx, default_pool_size=1)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query("PREPARE last AS SELECT lastval()")
    b.query("SELECT nextval('s')")
    assert a.ask(query("EXECUTE last")).sqlstate() == "55000"
    a.query("INSERT INTO a(v) VALUES ('x')")
    b.query("SELECT 1")
    assert a.ask(query("EXECUTE last")).sqlstate() == "55000"
    a.query("INSERT INTO a(v) VALUES ('x')")
    mine = a.value("SELECT max(id) FROM a")
    assert pins(p, a) == ["sequence"]
    assert a.value("EXECUTE last") == mine


def test_warn(ctx):
    p = begin(ctx, unsafe_state="warn")
    use, question = KINDS["INSERT"]
    with p.connect(ctx.db) as c:
        ask(ctx, p, c, use, question)
    a = ctx.keep(p.connect(ctx.db))
    for times in (1, 0):
        reply = a.ask(query(use)).check()
        assert len([m for m in reply.messages if m.kind == "N" and b"unsafe_state = warn" in m.body]) == times
    p.wait_log(r"currval\(\) or lastval\(\) in a later transaction keeps this client's server")


def test_error(ctx):
    """Nobody is pinned: who asks in a later transaction is refused, whatever luck it would have."""
    p = begin(ctx, unsafe_state="error")
    a = ctx.keep(p.connect(ctx.db))
    a.ask(parse("SELECT lastval()", "last") + sync()).check()
    assert a.ask(query("SELECT lastval()")).sqlstate() == "55000"  # it used none: PostgreSQL's own answer
    for _ in range(3):
        mine = a.value("INSERT INTO a(v) VALUES ('x') RETURNING id")
        for message in (query("SELECT lastval()"), unit("SELECT currval('a_id_seq')"), bind("last") + execute() + sync()):
            reply = a.ask(message)
            assert reply.sqlstate() == "0A000" and "unsafe_state = error" in reply.errors[0].text, reply
        reply = a.ask(unit("SELECT 4").removesuffix(sync()) + bind("last") + execute() + sync() + unit("SELECT 5"), times=2)
        assert reply.kinds == "12TDCEZ12TDCZ", reply
        a.ask(parse("SELECT lastval()") + sync()).check()
        for _ in range(2):  # the unnamed statement stays what it is
            assert a.ask(bind() + execute() + sync()).sqlstate() == "0A000"
        a.query("BEGIN")
        mine = a.value("INSERT INTO a(v) VALUES ('x') RETURNING id")
        assert a.value("SELECT lastval()") == mine
        assert a.ask(bind("last") + execute() + sync()).check().value == mine
        a.query("COMMIT")
        assert pins(p) == []


def test_session_mode(ctx):
    p = begin(ctx, pool_mode="session", unsafe_state="error", default_pool_size=2)
    a = ctx.keep(p.connect(ctx.db))
    mine = a.value("INSERT INTO a(v) VALUES ('x') RETURNING id")
    assert a.value("SELECT lastval()") == mine
    assert pins(p) == []


def test_cache_stays_on(ctx):
    """A pin for a sequence says nothing of names: what the client writes closes its table, and raises no barrier."""
    ctx.sql(TABLES + "CREATE TABLE other(i int); GRANT ALL ON other TO PUBLIC")
    p = ctx.cache_proxy(default_pool_size=8)
    ctx.wait_hits(p)
    use, question = "INSERT INTO a VALUES (1, 'x')", "SELECT lastval()"
    with p.connect(ctx.db) as c:
        ask(ctx, p, c, use, question)
    a, b = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
    a.query(use)
    assert pins(p, a) == ["sequence"]
    read = lambda: b.query("SELECT * FROM other")  # noqa: E731
    ctx.wait_hit(p, read)
    refused = lambda: p.cache()["bypass_barrier"]  # noqa: E731
    before = refused()
    for _ in range(20):
        a.query(use)
        read()
    assert refused() == before


def test_discarded_elsewhere(ctx):
    """DISCARD SEQUENCES and DISCARD ALL end what the session knows, on whichever server it was learnt."""
    ctx.sql("CREATE SEQUENCE s; GRANT ALL ON SEQUENCE s TO app")
    for discard in ("DISCARD SEQUENCES", "DISCARD ALL"):
        p = ctx.proxy(default_pool_size=2)
        with p.connect(ctx.db) as c:    # from now on the route knows that clients ask
            c.ask(query("BEGIN; SELECT nextval('s'); SELECT currval('s'); COMMIT")).check()
        c, d = ctx.keep(p.connect(ctx.db)), ctx.keep(p.connect(ctx.db))
        pid = c.value("SELECT pg_backend_pid() FROM (SELECT nextval('s')) x")

        def elsewhere(sql, wanted):
            """Runs it on the other server than pid, or on pid itself."""
            for _ in range(2):
                d.query("BEGIN")
                if (d.value("SELECT pg_backend_pid()") == pid) != wanted:
                    break
                d.query("ROLLBACK")
                with p.connect(ctx.db) as e:
                    e.query("BEGIN")
                    d.query("BEGIN")
                    d.query("ROLLBACK")
            reply = c.ask(query(sql))
            d.query("ROLLBACK")
            return reply
        elsewhere(discard, wanted=False).check()
        assert elsewhere("SELECT currval('s')", wanted=True).sqlstate() == "55000", discard
