# SPDX-License-Identifier: Apache-2.0
"""Several processes behind one port: a cancel request reaches the one it is meant for."""
import os
import signal
import struct
import subprocess

import cluster as pg
from fake import FakeServer
from pgwire import CANCEL_CODE, Wire, query

RUNNING = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(20)%' "
           "AND pid <> pg_backend_pid()")


def group(ctx, n, **settings):
    """n processes on one port; each reaches the others by their unix sockets."""
    port = pg.free_port()
    all_of_them = [ctx.proxy(start=False, listen_port=port, so_reuseport=1, peer_id=i + 1,
                             log_disconnections=1, **settings) for i in range(n)]
    for p in all_of_them:
        p.peers = {i + 1: {"host": other.directory, "port": port} for i, other in enumerate(all_of_them)}
        p.write()
        p.start()
    return all_of_them


def ask_cancel(p, key, wait=True):
    """Sends it to that process; returns when the request was handled."""
    with Wire(p.socket_path) as other:
        other.send(struct.pack("!II", 8 + len(key), CANCEL_CODE) + key)
        if wait:
            assert other.wait_closed().messages == []


def wait_running(ctx, p, n):
    p.wait(lambda: int(ctx.sql(RUNNING)[0][0]) == n, f"{n} running statements")


def test_keys_name_the_process(ctx):
    p = ctx.proxy(peer_id=0x1234)
    for _ in range(5):
        c = ctx.keep(p.connect(ctx.db))
        assert c.cancel_key[0] < 0x80
        assert c.cancel_key[1:3] == b"\x34\x12"
        assert c.cancel_key[7] & 3 == 3


def test_three_processes_behind_one_port(ctx):
    """Whichever process takes the request: the client that is meant is hit, and nobody else."""
    group_of_3 = group(ctx, 3, default_pool_size=12)
    p = group_of_3[0]
    clients = [ctx.keep(p.connect(ctx.db)) for _ in range(12)]
    assert len({c.cancel_key[1] for c in clients}) > 1, "the kernel gave all clients to one process"
    for c in clients:
        c.send(query("SELECT pg_sleep(20)"))
    wait_running(ctx, p, 12)
    for n, c in enumerate(clients):
        c.cancel()  # to the common port
        assert c.until_ready().sqlstate() == "57014"
        wait_running(ctx, p, 11 - n)
    for c in clients:
        assert c.value("SELECT 1") == "1"


def test_to_each_process_by_hand(ctx):
    """All nine pairs of who is meant and who is asked."""
    processes = group(ctx, 3)
    for meant in processes:
        c = ctx.keep(meant.connect(ctx.db, unix=True))
        assert c.cancel_key[1] == int(meant.settings["peer_id"])
        for asked in processes:
            c.send(query("SELECT pg_sleep(20)"))
            wait_running(ctx, meant, 1)
            ask_cancel(asked, c.cancel_key)
            assert c.until_ready().sqlstate() == "57014"


def test_psql_behind_one_port(ctx):
    """Control-C in psql, whose cancel goes to the common port."""
    p = group(ctx, 2, default_pool_size=10)[0]
    psql = [subprocess.Popen([f"{ctx.pg.bindir}/psql", "-X", "-h", "127.0.0.1", "-p", str(p.port), "-U", "app",
                              ctx.db, "-c", "SELECT pg_sleep(20)"], stderr=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, env={**os.environ, "PGPASSWORD": "app-secret"})
            for _ in range(6)]
    wait_running(ctx, p, 6)
    for n, one in enumerate(psql):
        one.send_signal(signal.SIGINT)
        _, said = one.communicate(timeout=20)
        assert b"canceling statement due to user request" in said, said
        wait_running(ctx, p, 5 - n)


def test_long_keys_pass_too(ctx):
    from pgwire import PROTOCOL_3, startup
    a, b = group(ctx, 2)
    c = ctx.keep(Wire(a.socket_path))
    c.send(startup({"user": "app", "database": ctx.db}, code=PROTOCOL_3 + 2))
    c.until_ready()
    assert len(c.cancel_key) == 36
    c.send(query("SELECT pg_sleep(20)"))
    wait_running(ctx, a, 1)
    ask_cancel(b, c.cancel_key)
    assert c.until_ready().sqlstate() == "57014"


def test_hops_are_counted(ctx):
    """What comes to a peer has one hop less; without one left it goes nowhere."""
    with FakeServer() as peer:
        p = ctx.proxy(peer_id=1, peers={7: {"host": "127.0.0.1", "port": peer.port}}, log_disconnections=1)
        for hops in (3, 2, 1):
            ask_cancel(p, b"\x01\x07\x00\x04\x05\x06\x07" + bytes([0xf0 | hops]))
            assert peer.wait_cancels(4 - hops)[-1] == b"\x01\x07\x00\x04\x05\x06\x07" + bytes([0xf0 | (hops - 1)])
        ask_cancel(p, b"\x01\x07\x00\x04\x05\x06\x07\xf0")
        p.wait_log("failed to forward cancel request because its TTL was exhausted")
        assert len(peer.cancels) == 3


def test_a_loop_ends(ctx):
    """Two that each take the other for a third."""
    port = pg.free_port()
    a, b = (ctx.proxy(start=False, listen_port=port, so_reuseport=1, peer_id=i, log_disconnections=1)
            for i in (1, 2))
    for p, other in ((a, b), (b, a)):
        p.peers = {3: {"host": other.directory, "port": port}}
        p.write()
        p.start()
    ask_cancel(a, b"\x01\x03\x00\x04\x05\x06\x07\x03")
    b.wait_log("its TTL was exhausted")
    assert a.log().count("its TTL was exhausted") + b.log().count("its TTL was exhausted") == 1


def test_unknown_peers(ctx):
    p = ctx.proxy(peer_id=1, log_disconnections=1)
    ask_cancel(p, b"\x01\x09\x00\x04\x05\x06\x07\x03")
    p.wait_log("could not find peer to forward request to")
    ask_cancel(p, b"\x01\x01\x00\x04\x05\x06\x07\x03")
    p.wait_log("failed cancel request")


def test_a_reload_brings_peers(ctx):
    with FakeServer() as peer:
        p = ctx.proxy(peer_id=1)
        p.peers = {7: {"host": "127.0.0.1", "port": peer.port}}
        p.reload()
        ask_cancel(p, b"\x01\x07\x00\x04\x05\x06\x07\x03")
        peer.wait_cancels(1)


def test_peers_by_name(ctx):
    with FakeServer() as peer:
        p = ctx.proxy(peer_id=1, peers={7: {"host": "localhost", "port": peer.port},
                                        8: {"host": "no-such-host.invalid", "port": 1}})
        ask_cancel(p, b"\x01\x08\x00\x04\x05\x06\x07\x03")
        p.wait_log("DNS lookup of peer 8 failed")
        ask_cancel(p, b"\x01\x07\x00\x04\x05\x06\x07\x03")
        peer.wait_cancels(1)


def test_a_peer_that_is_away(ctx):
    p = ctx.proxy(peer_id=1, peers={7: {"host": "127.0.0.1", "port": pg.free_port()}})
    ask_cancel(p, b"\x01\x07\x00\x04\x05\x06\x07\x03")  # let go at once
    with p.connect(ctx.db) as c:
        assert c.value("SELECT 1") == "1"


def test_cancel_wait_timeout(ctx):
    """A peer that never answers, with one place: the second request waits in vain. Both are let go."""
    with FakeServer(answer_cancels=False) as peer:
        p = ctx.proxy(peer_id=1, cancel_wait_timeout=1, worker_threads=1,
                      peers={7: {"host": "127.0.0.1", "port": peer.port, "pool_size": 1}})
        first = ctx.thread(ask_cancel, p, b"\x01\x07\x00\x04\x05\x06\x07\x03")
        peer.wait_cancels(1)
        ask_cancel(p, b"\x02\x07\x00\x04\x05\x06\x07\x03")
        first.result()
        ask_cancel(p, b"\x03\x07\x00\x04\x05\x06\x07\x03", wait=False)  # there is a place again
        assert peer.wait_cancels(2)[-1][0] in (2, 3)


def test_requests_for_a_peer_are_of_strangers(ctx):
    """A key for a peer proves nothing here: max_login_conn counts who has one."""
    with FakeServer(answer_cancels=False) as peer:
        p = ctx.proxy(peer_id=1, cancel_wait_timeout=60, worker_threads=1, max_login_conn=10,
                      peers={7: {"host": "127.0.0.1", "port": peer.port, "pool_size": 2}})
        wires = [ctx.keep(Wire(p.address)) for _ in range(15)]
        for n, wire in enumerate(wires):
            wire.send(struct.pack("!II", 16, CANCEL_CODE) + bytes([n]) + b"\x07\x00\x04\x05\x06\x07\x03")
        p.wait_log("max_login_conn reached: 10 connections have not logged in")
        with p.connect(ctx.db) as c:
            assert c.value("SELECT 1") == "1"
        for wire in wires[:5]:
            wire.wait_closed()
        assert all(wire.is_quiet(0) for wire in wires[6:])
        peer.wait_cancels(2)


def test_places_at_a_peer(ctx):
    """With one place requests go one after the other, and all of them arrive."""
    with FakeServer() as peer:
        p = ctx.proxy(peer_id=1, peers={7: {"host": "127.0.0.1", "port": peer.port, "pool_size": 1}})
        asks = [ctx.thread(ask_cancel, p, bytes([n]) + b"\x07\x00\x04\x05\x06\x07\x03") for n in range(10)]
        for ask in asks:
            ask.result()
        assert sorted(k[0] for k in peer.cancels) == list(range(10))


def test_shutdown_with_a_request_under_way(ctx):
    with FakeServer(answer_cancels=False) as peer:
        p = ctx.proxy(peer_id=1, cancel_wait_timeout=60, peers={7: {"host": "127.0.0.1", "port": peer.port}})
        ask_cancel(p, b"\x01\x07\x00\x04\x05\x06\x07\x03", wait=False)
        peer.wait_cancels(1)
        p.signal(signal.SIGQUIT)
        assert p.wait_end(5) == 0
