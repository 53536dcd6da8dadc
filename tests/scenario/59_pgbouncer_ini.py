# SPDX-License-Identifier: Apache-2.0
"""PgBouncer's own configuration files start, and nothing in them is unknown."""
import os
import re

from cluster import give
from runner import Skip

# Every setting of PgBouncer 1.25 that has a default, with it. (PgBouncer's names and values.)
DEFAULTS = """
application_name_add_host=0 auth_type=md5 autodb_idle_timeout=3600 cancel_wait_timeout=10 client_idle_timeout=0
client_login_timeout=60 client_tls_ciphers=default client_tls_dheparams=auto client_tls_ecdhcurve=auto
client_tls_protocols=secure client_tls_sslmode=disable default_pool_size=20 disable_pqexec=0 dns_max_ttl=15
dns_nxdomain_ttl=15 dns_zone_check_period=0 idle_transaction_timeout=0 job_name=pgbouncer listen_backlog=128
log_connections=1 log_disconnections=1 log_pooler_errors=1 log_stats=1 max_client_conn=100
max_db_client_connections=0 max_db_connections=0 max_packet_size=2147483647 max_prepared_statements=200
max_user_client_connections=0 max_user_connections=0 min_pool_size=0 peer_id=0 pkt_buf=4096 pool_mode=session
query_timeout=0 query_wait_notify=5 query_wait_timeout=120 reserve_pool_size=0 reserve_pool_timeout=5
sbuf_loopcnt=5 scram_iterations=4096 server_check_delay=30 server_check_query=<empty> server_connect_timeout=15
server_fast_close=0 server_idle_timeout=600 server_lifetime=3600 server_login_retry=15
server_reset_query_always=0 server_round_robin=0 server_tls_ciphers=default server_tls_protocols=secure
server_tls_sslmode=prefer so_reuseport=0 stats_period=60 suspend_timeout=10 syslog=0 syslog_facility=daemon
syslog_ident=pgbouncer tcp_defer_accept=1 tcp_keepalive=1 tcp_keepcnt=0 tcp_keepidle=0 tcp_keepintvl=0
tcp_socket_buffer=0 tcp_user_timeout=0 track_extra_parameters=IntervalStyle transaction_timeout=0
unix_socket_mode=0777 verbose=0
""".split()
# ... and those that are empty or come from elsewhere.
EMPTY = """
admin_users auth_dbname auth_hba_file auth_ident_file auth_ldap_options auth_user client_tls13_ciphers
client_tls_ca_file client_tls_cert_file client_tls_key_file conffile ignore_startup_parameters login_notify_message
resolv_conf server_tls13_ciphers server_tls_ca_file server_tls_cert_file server_tls_key_file stats_users
unix_socket_group
""".split()

# ... which a reload does not change.
RESTART = """
disable_pqexec job_name listen_addr listen_backlog listen_port pidfile pkt_buf resolv_conf so_reuseport
track_extra_parameters unix_socket_dir unix_socket_group unix_socket_mode user
""".split()
# ... with a default that a line cannot stand for in test_all_defaults, or that the test sets itself.
OTHERS = {"auth_file": "", "auth_query": "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END "
          "FROM pg_authid WHERE rolname=$1 AND rolcanlogin", "listen_addr": "", "listen_port": "6432", "logfile": "",
          "pidfile": "", "pool_idle_timeout": "0", "server_reset_query": "DISCARD ALL", "unix_socket_dir": "/tmp",
          "user": ""}

UNKNOWN = r"unknown|unrecognized|invalid"


def start_with(ctx, text, name):
    """The file as it is, but for where it listens and writes."""
    p = ctx.proxy(start=False, databases={})
    own = {"listen_addr": "127.0.0.1", "listen_port": p.port, "unix_socket_dir": p.directory,
           "logfile": f"{p.directory}/{name}.log", "pidfile": f"{p.directory}/pid",
           "auth_file": f"{p.directory}/userlist.txt"}
    for key, value in own.items():
        text, n = re.subn(rf"(?m)^;?{key} *=.*$", f"{key} = {value}", text)
        if not n:
            text = re.sub(r"(?m)^\[pgbouncer\]\n", f"[pgbouncer]\n{key} = {value}\n", text)
    with open(p.ini, "w", encoding="utf-8") as f:
        f.write(text)
    give(p.ini)
    return p.start()


def check(ctx, p, complaints=UNKNOWN + "|has no effect|no meaning"):
    log = p.log()
    assert not re.search(complaints, log), log
    assert p.connect(ctx.db).value("SELECT 1") == "1"


def test_all_defaults(ctx):
    text = "[databases]\n" + f"{ctx.db} = host=127.0.0.1 port={ctx.pg.port}\n" + "[pgbouncer]\n"
    text += "\n".join(line.replace("=", " = ", 1) for line in DEFAULTS)
    text += "\nservice_name = pgbouncer\nserver_reset_query = DISCARD ALL\n" + "\n".join(f"{name} =" for name in EMPTY) + "\n"
    p = start_with(ctx, text, "defaults")
    check(ctx, p)


def test_defaults_and_reloads(ctx):
    """SHOW CONFIG: every setting of PgBouncer, in the order of the alphabet, with its default, and whether RELOAD
    changes it; what is ours stands among them."""
    want = {line.split("=", 1)[0]: line.split("=", 1)[1] for line in DEFAULTS} | dict.fromkeys(EMPTY, "") | OTHERS
    rows = ctx.proxy().console("SHOW CONFIG")
    assert [r["key"] for r in rows] == sorted(r["key"] for r in rows)
    have = {r["key"]: r for r in rows}
    assert {name: have[name]["default"] for name in want} == want
    restart = {name for name in want if have[name]["changeable"] == "no"}
    assert restart == set(RESTART), restart ^ set(RESTART)
    assert len(want) == 100, len(want)  # and `service_name`, another name of `job_name`


def test_all_keys_of_lines(ctx):
    """Every key of [databases] and [users]."""
    text = f'''[databases]
{ctx.db} = host=127.0.0.1 port={ctx.pg.port} dbname={ctx.db} user=app password='app-secret' pool_size=5 min_pool_size=0 \
reserve_pool_size=1 reserve_pool=2 connect_query='SELECT 1' pool_mode=transaction max_db_connections=9 \
max_db_client_connections=50 server_lifetime=100 query_wait_timeout=10 load_balance_hosts=round-robin \
client_encoding=UTF8 datestyle=ISO timezone=UTC application_name=a target_session_attrs=any
"foo-bar.baz" = dbname=x
"quoted ""name""" = dbname=y
* = host=127.0.0.1
[users]
app = pool_mode=session pool_size=3 reserve_pool_size=1 max_user_connections=10 max_user_client_connections=20 \
query_timeout=30 query_wait_timeout=5 idle_transaction_timeout=30 transaction_timeout=60 client_idle_timeout=100
[pgbouncer]
auth_type = trust
'''
    p = start_with(ctx, text, "keys")
    check(ctx, p)


def test_debian(ctx):
    """Debian's file, as it was installed, and with every default in it taken out of its comment."""
    path = "/etc/pgbouncer/pgbouncer.ini"
    if not os.path.exists(path):
        raise Skip("Debian's package pgbouncer is not installed")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    line = f"[databases]\n{ctx.db} = host=127.0.0.1 port={ctx.pg.port}\n"
    p = start_with(ctx, text.replace("[databases]\n", line), "debian")
    check(ctx, p)
    p.stop()
    # ";name = value" is a setting; ";;" and "; " begin a sentence. What is left empty there, or is an
    # example of a file or a host, is left.
    examples = ("admin_users", "stats_users", "resolv_conf", "conffile", "auth_query", "ignore_startup")
    text = re.sub(r"(?m)^;([a-z_]+ = .+)$",
                  lambda m: m.group(0) if m.group(1).startswith(examples) or "<" in m.group(1)
                  or re.match(r"(foodb|bardb|forcedb|nondefaultdb|user1)", m.group(1)) else m.group(1), text)
    text = re.sub(r"(?m)^;(nondefaultdb = .*|user1 = .*|forcedb = .*|bardb = .*|foodb =)$", r"\1", text)
    q = start_with(ctx, text.replace("[databases]\n", line), "uncommented")
    check(ctx, q, UNKNOWN)
