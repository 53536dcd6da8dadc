// SPDX-License-Identifier: Apache-2.0
// The table itself, in alphabetical order. PgBouncer's names, defaults and meanings are those of
// its version 1.25 (doc/config.md there); ours say OURS.
#include "config/option.h"

#include <limits.h>
#include <stddef.h>

#define SECOND INT64_C(1000000)
#define TIME_MAX (INT64_C(1000000000) * SECOND) // 31 years

// One row: TYPE(name, default ...), where it goes, what it does.
#define BOOL(n, d) .name = n, .type = OPTION_BOOL, .fallback = d
#define COUNT(n, d, lo, hi) .name = n, .type = OPTION_COUNT, .fallback = d, .min = lo, .max = hi
#define MODE(n, d) .name = n, .type = OPTION_MODE, .fallback = d, .min = 0, .max = 07777
#define TIME(n, d) TIME_IN(n, d, 0, TIME_MAX)
#define TIME_IN(n, d, lo, hi) .name = n, .type = OPTION_TIME, .fallback = d, .min = lo, .max = hi
#define BYTES(n, d, lo, hi) .name = n, .type = OPTION_BYTES, .fallback = d, .min = lo, .max = hi
#define RATE(n, d) .name = n, .type = OPTION_RATE, .fallback = d, .min = 0, .max = 1000000
#define TEXT(n, d) .name = n, .type = OPTION_TEXT, .fallback = d
#define WORD(n, d, w) .name = n, .type = OPTION_WORD, .fallback = d, .words = w

#define FIELD(member) .offset = offsetof(struct settings, member)
#define LIVE(member) FIELD(member), .reloadable = true    // RELOAD changes it
#define START(member) FIELD(member), .reloadable = false  // read once
#define MOOT .offset = OPTION_NO_FIELD, .moot = true, .reloadable = true
#define MOOT_START .offset = OPTION_NO_FIELD, .moot = true, .reloadable = false
#define OURS .ours = true
#define SAYS .sentence =

const struct option_word option_pool_modes[] = {
    {"session", CONFIG_POOL_SESSION, NULL},
    {"transaction", CONFIG_POOL_TRANSACTION, NULL},
    {"statement", CONFIG_POOL_STATEMENT, NULL},
    {0},
};

const struct option_word option_auth_types[] = {
    {"any", CONFIG_AUTH_ANY, NULL},
    {"trust", CONFIG_AUTH_TRUST, NULL},
    {"plain", CONFIG_AUTH_PLAIN, NULL},
    {"md5", CONFIG_AUTH_MD5, NULL},
    {"scram-sha-256", CONFIG_AUTH_SCRAM, NULL},
    {"cert", CONFIG_AUTH_CERT, NULL},
    {"hba", CONFIG_AUTH_HBA, NULL},
    {"ldap", CONFIG_AUTH_LDAP, NULL},
    {"pam", CONFIG_AUTH_PAM, NULL},
    {"peer", CONFIG_AUTH_PEER, NULL},
    {0},
};

static const struct option_word sslmodes[] = {
    {"disable", CONFIG_SSL_DISABLE, NULL},
    {"allow", CONFIG_SSL_ALLOW, NULL},
    {"prefer", CONFIG_SSL_PREFER, NULL},
    {"require", CONFIG_SSL_REQUIRE, NULL},
    {"verify-ca", CONFIG_SSL_VERIFY_CA, NULL},
    {"verify-full", CONFIG_SSL_VERIFY_FULL, NULL},
    {0},
};

static const struct option_word tls_negotiations[] = {
    {"postgres", CONFIG_NEGOTIATION_POSTGRES, NULL},
    {"direct", CONFIG_NEGOTIATION_DIRECT, NULL},
    {0},
};

static const struct option_word unsafe_states[] = {
    {"pin", CONFIG_UNSAFE_PIN, NULL},
    {"warn", CONFIG_UNSAFE_WARN, NULL},
    {"error", CONFIG_UNSAFE_ERROR, NULL},
    {0},
};

static const struct option_word admissions[] = {
    {"learnt", CONFIG_ADMISSION_LEARNT, NULL},
    {"all", CONFIG_ADMISSION_ALL, NULL},
    {0},
};

static const struct option_word monotonic_reads[] = {
    {"bypassed", CONFIG_MONOTONIC_BYPASSED, NULL},
    {"all", CONFIG_MONOTONIC_ALL, NULL},
    {0},
};

static const struct option_word proxy_protocols[] = {
    {"off", CONFIG_PROXY_OFF, NULL},
    {"on", CONFIG_PROXY_ON, NULL},
    {"required", CONFIG_PROXY_REQUIRED, NULL},
    {0},
};

static const struct option_word invalidations[] = {
    {"auto", CONFIG_INVALIDATION_AUTO, NULL},
    {"wal", CONFIG_INVALIDATION_WAL, NULL},
    {"notify", CONFIG_INVALIDATION_NOTIFY, NULL},
    {"proxy", CONFIG_INVALIDATION_PROXY, NULL},
    {0},
};

static const char auth_query[] =
    "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid "
    "WHERE rolname=$1 AND rolcanlogin";

const struct option option_table[] = {
    {TEXT("admin_users", ""), LIVE(admin_users),
     SAYS "Users, with commas between, who may run every command on the console. With "
          "`auth_type = any` everybody may."},
    {BOOL("application_name_add_host", "0"), LIVE(application_name_add_host),
     SAYS "Adds the client's address and port to the `application_name` it starts with."},
    {TEXT("auth_dbname", ""), LIVE(auth_dbname),
     SAYS "The database, of `[databases]`, that `auth_query` runs in. Empty: the one that the "
          "client asks for. A line of `[databases]` may have its own."},
    {TIME_IN("auth_failure_delay", "5", 0, 60 * SECOND), LIVE(auth_failure_delay_us), OURS,
     SAYS "An address from which passwords were wrong of late is told so with a delay, which grows "
          "from 0.1 s with each one up to this; 0: at once. A right password is never held back."},
    {TEXT("auth_file", ""), LIVE(auth_file),
     SAYS "The users file: names with passwords or secrets."},
    {TEXT("auth_hba_file", ""), LIVE(auth_hba_file),
     SAYS "The HBA file for `auth_type = hba`: lines as in PostgreSQL's `pg_hba.conf`."},
    {TEXT("auth_ident_file", ""), LIVE(auth_ident_file),
     SAYS "The user name maps that lines of `auth_hba_file` name by `map=`."},
    {TEXT("auth_ldap_options", ""), LIVE(auth_ldap_options),
     SAYS "The LDAP server for `auth_type = ldap`, by the names that PostgreSQL has for it in an "
          "HBA file: `ldapserver`, `ldapport`, `ldapscheme`, `ldaptls`; `ldapprefix` and "
          "`ldapsuffix`; or `ldapbasedn`, `ldapbinddn`, `ldapbindpasswd`, `ldapsearchattribute`, "
          "`ldapsearchfilter`; or `ldapurl`. A value with blanks or commas stands in double "
          "quotes."},
    {TIME_IN("auth_ldap_timeout", "5", SECOND / 10, 600 * SECOND), LIVE(auth_ldap_timeout_us), OURS,
     SAYS "How long an LDAP server may take over one password."},
    {TEXT("auth_pam_confdir", ""), LIVE(auth_pam_confdir), OURS,
     SAYS "Where PAM's service file is looked for; empty: where the system has them."},
    {TEXT("auth_pam_service", "pgbouncer"), LIVE(auth_pam_service), OURS,
     SAYS "The name of PAM's service for `auth_type = pam`."},
    {TEXT("auth_query", auth_query), LIVE(auth_query),
     SAYS "The query that fetches the secret of a user who is not in `auth_file`: two columns, "
          "name and secret, for the name `$1`. A line of `[databases]` may have its own."},
    {COUNT("auth_queue_size", "500", 1, 100000), LIVE(auth_queue_size), OURS,
     SAYS "How many passwords may wait to be checked by an LDAP server, or by PAM; further clients "
          "are refused. One address, and one user, can take half of it."},
    {COUNT("auth_threads", "4", 1, 64), LIVE(auth_threads), OURS,
     SAYS "How many passwords are checked at the same time by an LDAP server, or by PAM. Each "
          "server has threads of its own; one address, and one user, leave the last to others. "
          "For PAM modules that cannot bear threads: 1."},
    {WORD("auth_type", "md5", option_auth_types), LIVE(auth_type),
     SAYS "How clients log in. `md5`: by MD5, or by SCRAM for a user whose secret is a SCRAM one. "
          "`trust`: without a password, the name must be in `auth_file`. `any`: any name, every "
          "database must name its user. `cert`: by a TLS certificate whose common name is the "
          "user's; needs `client_tls_sslmode = verify-full`. `pam`, `ldap`: the "
          "client's password, sent in the clear, is checked by PAM (service `auth_pam_service`; "
          "`auth_file` is not needed) or by the server in `auth_ldap_options` (for users in "
          "`auth_file`), and is used for the server, too. `hba`: as the lines of `auth_hba_file` "
          "say. `peer`: over a unix socket, as the system user of that name. A line of "
          "`[databases]` may have an `auth_type` of its own."},
    {TEXT("auth_user", ""), LIVE(auth_user),
     SAYS "The user that runs `auth_query`. Empty: users must be in `auth_file`. A line of "
          "`[databases]` may have its own."},
    {TIME("autodb_idle_timeout", "3600"), LIVE(autodb_idle_timeout_us),
     SAYS "A pool made through the `*` line is forgotten after this long without clients and "
          "server connections; 0: never."},
    {TIME_IN("busy_poll", "0", 0, 1000), LIVE(busy_poll_us), OURS,
     SAYS "For how long a worker that has just had something to do asks for more before it sleeps, "
          "at most `1ms`. To be woken takes longer than many a query: where cores are free, `50us` "
          "or so takes that from the latency of few clients, at the price of a busy core. 0: it "
          "sleeps at once."},
    {BOOL("cache", "off"), START(cache), OURS,
     SAYS "Answers repeated reads from memory, and ends an answer's life when a write touches the "
          "tables it came from. Needs `control_user`."},
    {WORD("cache_admission", "learnt", admissions), LIVE(cache_admission), OURS,
     SAYS "Which answers are kept. `all`: each that may be. `learnt`: of queries that differ in "
          "constants alone, of which hardly any is asked for twice and which the server answers "
          "quickly, only those that were asked before; all others at once."},
    {RATE("cache_audit_rate", "0"), LIVE(cache_audit_rate), OURS,
     SAYS "Which part of the hits, from 0 to 1, is run again on an idle server connection, in the "
          "background, and compared. A difference that no write explains is counted, said in the "
          "log, and ends the entry."},
    {TIME("cache_follow_timeout", "30"), LIVE(cache_follow_timeout_us), OURS,
     SAYS "A query that is not cached yet waits for at most this long while another client has the "
          "server run the same one, instead of running it as well; 0: each runs its own."},
    {TIME("cache_hint_max_ttl", "3600"), LIVE(cache_hint_max_ttl_us), OURS,
     SAYS "The longest `ttl` that a comment hint may accept for its own query where no rule of "
          "`[cache_rules]` gives one; 0: hints cannot."},
    {BYTES("cache_max_entry_size", "1M", 1024, INT64_C(1) << 31), LIVE(cache_max_entry_size_bytes),
     OURS, SAYS "A larger answer is not cached, nor one that is larger than an eighth of a shard: "
               "what cache_size is at the start makes 16 or less, above 1 GB one for each 64 MB."},
    {TEXT("cache_prewarm", ""), START(cache_prewarm), OURS,
     SAYS "A file of queries that are run at the start, so that the cache has their answers; "
          "docs/operations.md says how it is written."},
    {BYTES("cache_size", "64M", 1 << 20, INT64_C(1) << 44), LIVE(cache_size_bytes), OURS,
     SAYS "The memory the cache may use, in bytes or with k, M, G."},
    {TIME("cancel_wait_timeout", "10"), LIVE(cancel_wait_timeout_us),
     SAYS "A cancel request that could not be forwarded in this time is dropped; 0: never."},
    {TIME("client_idle_timeout", "0"), LIVE(client_idle_timeout_us),
     SAYS "A client idle for longer is disconnected; 0: never."},
    {TIME("client_login_timeout", "60"), LIVE(client_login_timeout_us),
     SAYS "A client that has not logged in by then is disconnected; 0: never."},
    {TEXT("client_tls13_ciphers", ""), LIVE(client_tls13_ciphers),
     SAYS "Cipher suites of TLS 1.3 for clients; empty: OpenSSL's."},
    {TEXT("client_tls_ca_file", ""), LIVE(client_tls_ca_file),
     SAYS "Root certificates for clients' certificates. With it a client is asked for one in every "
          "mode, and one that is shown must be valid."},
    {TEXT("client_tls_cert_file", ""), LIVE(client_tls_cert_file),
     SAYS "The certificate shown to clients, and those between it and its root. This file, the key "
          "and the root certificates are read at the start and by RELOAD."},
    {TEXT("client_tls_ciphers", "default"), LIVE(client_tls_ciphers),
     SAYS "Ciphers of TLS 1.2 and older for clients, in OpenSSL's words; `default`: its own."},
    {TEXT("client_tls_dheparams", "auto"), LIVE(client_tls_dheparams),
     SAYS "The DHE key exchange with clients: `auto` or `none`."},
    {TEXT("client_tls_ecdhcurve", "auto"), LIVE(client_tls_ecdhcurve),
     SAYS "The curve of the ECDHE key exchange with clients: `auto`, `none`, or a name, or several "
          "with colons between. Both words stand for OpenSSL's choice."},
    {TEXT("client_tls_key_file", ""), LIVE(client_tls_key_file),
     SAYS "The key of `client_tls_cert_file`; one with a passphrase cannot be used."},
    {TEXT("client_tls_protocols", "secure"), LIVE(client_tls_protocols),
     SAYS "TLS versions for clients, with commas between: `tlsv1.0`, `tlsv1.1`, `tlsv1.2`, "
          "`tlsv1.3`; `secure`: the last two; `all` or `tlsv1`: all; `!` before one takes it out."},
    {WORD("client_tls_sslmode", "disable", sslmodes), LIVE(client_tls_sslmode),
     SAYS "TLS with clients by TCP. `disable`: none. `allow`, `prefer`: who asks for it gets it. "
          "`require`: nobody gets in without it. `verify-ca`, `verify-full`: nor without a valid "
          "certificate."},
    {TEXT("conffile", ""), .offset = OPTION_NO_FIELD, .reloadable = true,
     SAYS "The file that the next RELOAD reads. Default: that of the command line."},
    {TEXT("control_user", ""), START(control_user), OURS,
     SAYS "Who the control connections log in as (WAL stream, catalog, health); the password comes "
          "from `auth_file`. The user needs REPLICATION for `invalidation = wal`. Empty: the user "
          "that the database's own line names."},
    {COUNT("default_pool_size", "20", 0, INT_MAX), LIVE(default_pool_size),
     SAYS "The most server connections for each pair of user and database."},
    {BOOL("disable_pqexec", "0"), START(disable_pqexec),
     SAYS "Refuses the simple query protocol."},
    {TIME("dns_max_ttl", "15"), LIVE(dns_max_ttl_us),
     SAYS "How long the addresses of a host name are kept. Server connections to one that is not "
          "among them any more are closed when they are free."},
    {TIME("dns_nxdomain_ttl", "15"), LIVE(dns_nxdomain_ttl_us),
     SAYS "How long it is kept that a host name could not be looked up."},
    {TIME("dns_zone_check_period", "0"), MOOT,
     SAYS "How often PgBouncer asks for the serial numbers of DNS zones. Here names are looked up "
          "again after `dns_max_ttl`."},
    {TIME("hidden_code_check", "10"), LIVE(hidden_code_check_us), OURS,
     SAYS "What triggers, rules, views, defaults, policies and the like leave in a session is "
          "looked for after statements that may have run them. Which relations have such code is "
          "asked of a server at the start, after changes of the schema made through here, and in "
          "use at least every so many seconds: changes made elsewhere are seen that late. 0: it is "
          "not looked for, and not asked."},
    {TEXT("http_listen", ""), START(http_listen), OURS,
     SAYS "address:port for `/metrics`, `/healthz` and `/readyz`; empty: none."},
    {TIME("idle_transaction_timeout", "0"), LIVE(idle_transaction_timeout_us),
     SAYS "A client idle in a transaction for longer is disconnected; 0: never."},
    {TEXT("ignore_startup_parameters", ""), LIVE(ignore_startup_parameters),
     SAYS "Startup parameters, with commas between, that are accepted and ignored."},
    {WORD("invalidation", "auto", invalidations), START(invalidation), OURS,
     SAYS "Where the cache learns of writes. `wal`: from the server's WAL, through a temporary "
          "slot. `notify`: from the triggers of `pgweir install-triggers`; other tables are not "
          "cached. `proxy`: from the writes that pass through; correct only where nothing else "
          "writes. `auto`: `wal` where the server allows it, else `notify` where the triggers are "
          "installed, else no cache."},
    {TEXT("job_name", "pgbouncer"), .alias = "service_name", START(job_name),
     SAYS "The name of a Windows service; shown, and of no other use."},
    {BOOL("lazy_begin", "on"), LIVE(lazy_begin), OURS,
     SAYS "Whether BEGIN is answered at once while the cache is on, and goes to the server with "
          "the first statement that needs one. A transaction that only reads what is cached then "
          "needs no server connection. What it takes for the time of its beginning is when the "
          "server hears of it."},
    {TEXT("listen_addr", ""), START(listen_addr),
     SAYS "Addresses, with commas between, to listen on for TCP; `*`: all; empty: none."},
    {COUNT("listen_backlog", "128", 1, INT_MAX), START(listen_backlog),
     SAYS "How many unanswered connections the kernel queues."},
    {COUNT("listen_port", "6432", 1, 65535), START(listen_port),
     SAYS "The port, of TCP and of the unix sockets."},
    {BOOL("log_connections", "1"), LIVE(log_connections), SAYS "Logs logins."},
    {BOOL("log_disconnections", "1"), LIVE(log_disconnections),
     SAYS "Logs disconnections, with the reason."},
    {BOOL("log_pooler_errors", "1"), LIVE(log_pooler_errors),
     SAYS "Logs the errors that we, not the server, send to clients."},
    {BOOL("log_stats", "1"), LIVE(log_stats), SAYS "Logs totals every `stats_period`."},
    {TEXT("logfile", ""), LIVE(logfile), SAYS "The log file; reopened on SIGHUP."},
    {TEXT("login_notify_message", ""), LIVE(login_notify_message),
     SAYS "A notice to each client after login."},
    {COUNT("max_client_conn", "100", 1, INT_MAX), LIVE(max_client_conn),
     SAYS "The most clients. The limit of open files must fit: clients and servers together."},
    {COUNT("max_db_client_connections", "0", 0, INT_MAX), LIVE(max_db_client_connections),
     SAYS "The most clients of one database; 0: no limit."},
    {COUNT("max_db_connections", "0", 0, INT_MAX), LIVE(max_db_connections),
     SAYS "The most server connections of one database, of all users; 0: no limit."},
    {COUNT("max_login_conn", "0", 0, INT_MAX), LIVE(max_login_conn), OURS,
     SAYS "The most connections that have not logged in; 0: as `max_client_conn`. They do not "
          "count for that. With one more the oldest is ended, of an address that has more than its "
          "share."},
    {COUNT("max_login_conn_per_address", "0", 0, INT_MAX), LIVE(max_login_conn_per_address), OURS,
     SAYS "The most of them from one address (of IPv6: from one /64); 0: unlimited. A fleet that "
          "comes through one address needs as many as log in at the same moment."},
    {BYTES("max_packet_size", "2147483647", 1024, UINT_MAX), LIVE(max_packet_size_bytes),
     SAYS "A longer message, of a client or a server, ends its connection."},
    {COUNT("max_prepared_statements", "200", 0, INT_MAX), LIVE(max_prepared_statements),
     SAYS "How many named statements a server connection keeps prepared in transaction mode; 0: "
          "they are not followed."},
    {TIME_IN("max_staleness", "250ms", 1000, 3600 * SECOND), LIVE(max_staleness_us), OURS,
     SAYS "How old a cached answer may be with regard to writes that do not pass through here. "
          "Where that cannot be assured the server is asked."},
    {COUNT("max_user_client_connections", "0", 0, INT_MAX), LIVE(max_user_client_connections),
     SAYS "The most clients of one user; 0: no limit."},
    {COUNT("max_user_connections", "0", 0, INT_MAX), LIVE(max_user_connections),
     SAYS "The most server connections of one user, in all databases; 0: no limit."},
    {COUNT("min_pool_size", "0", 0, INT_MAX), LIVE(min_pool_size),
     SAYS "A pool in use keeps at least so many server connections open."},
    {WORD("monotonic_reads", "bypassed", monotonic_reads), LIVE(monotonic_reads), OURS,
     SAYS "Which reads hold back later hits of the same session until the cache is known to be as "
          "new as they were, so that it never sees a row go backwards. `bypassed`: those that went "
          "around the cache. `all`: misses as well; each then delays the session's next hit by "
          "about a millisecond."},
    {COUNT("peer_id", "0", 0, 16383), LIVE(peer_id),
     SAYS "This process's number among its peers, which stand in `[peers]`: a cancel request that "
          "comes to one of them is passed on to the one it is meant for. 0: no peers."},
    {TEXT("pidfile", ""), START(pidfile), SAYS "The file with the process id; needed for `-d`."},
    {COUNT("pkt_buf", "4096", 0, INT_MAX), MOOT_START,
     SAYS "PgBouncer's buffer size. Here a connection has a buffer only while it needs one."},
    {TIME("pool_idle_timeout", "0"), LIVE(pool_idle_timeout_us),
     SAYS "A pool without clients and server connections is forgotten after this long; 0: never."},
    {WORD("pool_mode", "session", option_pool_modes), LIVE(pool_mode),
     SAYS "When a client gives its server connection back: at the end of its `session`, of each "
          "`transaction`, or of each `statement`."},
    {WORD("proxy_protocol", "off", proxy_protocols), LIVE(proxy_protocol), OURS,
     SAYS "The PROXY protocol (versions 1 and 2), by which a load balancer says whose connection "
          "it passes on. `on`: those in `proxy_protocol_from` may say so; `required`: nobody gets "
          "in without, but by a unix socket. From others it is refused."},
    {TEXT("proxy_protocol_from", ""), LIVE(proxy_protocol_from), OURS,
     SAYS "Networks, with commas between, such as `10.0.0.0/8, ::1`, whose PROXY protocol headers "
          "are believed; `unix`: all unix sockets."},
    {TEXT("publication", ""), LIVE(publication), OURS,
     SAYS "With a name, the WAL is decoded by `pgoutput` for that publication, which must exist in "
          "each database that is followed; only tables of whose changes it tells all are cached. "
          "Empty: by `test_decoding`, which tells of every table and needs no publication."},
    {TIME("query_timeout", "0"), LIVE(query_timeout_us),
     SAYS "A query that runs longer is ended by disconnecting; 0: never."},
    {BOOL("query_wait_fail_fast", "0"), LIVE(query_wait_fail_fast), OURS,
     SAYS "Ends a client at once, instead of after `query_wait_timeout`, when the queue moves so "
          "slowly that it would wait more than twice that long."},
    {COUNT("query_wait_notify", "5", 0, INT_MAX), LIVE(query_wait_notify_s),
     SAYS "Seconds after which a client that waits for a server connection is told so, by a "
          "notice; 0: never."},
    {TIME("query_wait_timeout", "120"), LIVE(query_wait_timeout_us),
     SAYS "A client that waited longer for a server connection is disconnected; 0: never."},
    {COUNT("reserve_pool_size", "0", 0, INT_MAX), LIVE(reserve_pool_size),
     SAYS "Further server connections for a pool whose clients wait too long."},
    {TIME("reserve_pool_timeout", "5"), LIVE(reserve_pool_timeout_us),
     SAYS "How long a client waits before the reserve is used; 0: it is not."},
    {TEXT("resolv_conf", ""), MOOT_START,
     SAYS "PgBouncer's own resolv.conf. Here the system's resolver is used, with its "
          "configuration."},
    {COUNT("sbuf_loopcnt", "5", 0, INT_MAX), MOOT,
     SAYS "How long PgBouncer stays with one connection. Here each gets one read at a time."},
    {COUNT("scram_iterations", "4096", 1, 1000000), LIVE(scram_iterations),
     SAYS "Iterations of a SCRAM secret made from a plain password."},
    {BOOL("seccomp", "on"), START(seccomp), OURS,
     SAYS "Once it is up the process takes from itself the system calls that it has no use for: to "
          "start programs, to become somebody else, to look into other processes. Where the "
          "kernel cannot do that, a warning in the log is all. Not where logins may be by PAM."},
    {TIME("server_check_delay", "30"), LIVE(server_check_delay_us),
     SAYS "A server connection released longer ago is checked before it is used; 0: always."},
    {TEXT("server_check_query", "<empty>"), LIVE(server_check_query),
     SAYS "The query of that check; `<empty>`: an empty query; empty: no check."},
    {TIME("server_connect_timeout", "15"), LIVE(server_connect_timeout_us),
     SAYS "A server connection that is not logged in by then is given up."},
    {BOOL("server_fast_close", "0"), LIVE(server_fast_close),
     SAYS "In session mode a server connection that a RELOAD or RECONNECT made obsolete is closed "
          "as soon as it is outside a transaction, its client with it."},
    {TIME("server_idle_timeout", "600"), LIVE(server_idle_timeout_us),
     SAYS "A server connection idle for longer is closed; 0: never."},
    {TIME("server_lifetime", "3600"), LIVE(server_lifetime_us),
     SAYS "A server connection older than this is closed when it is idle or given back; 0: it is "
          "used once."},
    {TIME("server_login_retry", "15"), LIVE(server_login_retry_us),
     SAYS "How long to wait after a failed login to a server before the next."},
    {TEXT("server_reset_query", "DISCARD ALL"), LIVE(server_reset_query),
     SAYS "Run when a client in session mode gives its server connection back."},
    {BOOL("server_reset_query_always", "0"), LIVE(server_reset_query_always),
     SAYS "Runs `server_reset_query` in the other pool modes too."},
    {BOOL("server_round_robin", "0"), LIVE(server_round_robin),
     SAYS "Takes the server connection idle the longest, not the one used last."},
    {TEXT("server_tls13_ciphers", ""), LIVE(server_tls13_ciphers),
     SAYS "Cipher suites of TLS 1.3 with servers; empty: OpenSSL's."},
    {TEXT("server_tls_ca_file", ""), LIVE(server_tls_ca_file),
     SAYS "Root certificates for servers' certificates; empty: the system's."},
    {TEXT("server_tls_cert_file", ""), LIVE(server_tls_cert_file),
     SAYS "The certificate shown to servers that ask for one."},
    {TEXT("server_tls_ciphers", "default"), LIVE(server_tls_ciphers),
     SAYS "Ciphers of TLS 1.2 and older with servers, in OpenSSL's words; `default`: its own."},
    {TEXT("server_tls_key_file", ""), LIVE(server_tls_key_file),
     SAYS "The key of `server_tls_cert_file`; one with a passphrase cannot be used."},
    {WORD("server_tls_negotiation", "postgres", tls_negotiations), LIVE(server_tls_negotiation),
     OURS, SAYS "How TLS with a server begins, as libpq's `sslnegotiation`. `postgres`: it is "
                "asked whether it wants to. `direct`: at once, which saves a round trip; "
                "PostgreSQL 17 can, and `server_tls_sslmode` must be `require` or stricter."},
    {TEXT("server_tls_protocols", "secure"), LIVE(server_tls_protocols),
     SAYS "TLS versions with servers; written as `client_tls_protocols`."},
    {WORD("server_tls_sslmode", "prefer", sslmodes), LIVE(server_tls_sslmode),
     SAYS "TLS with servers by TCP. `disable`: none. `allow`, `prefer`: where the server has it. "
          "`require`: always. `verify-ca`: and the server's certificate must be valid. "
          "`verify-full`: and be for the `host` of its line. Other server connections are "
          "made when one of these settings, or what is in a file of theirs, has changed."},
    {TIME("shutdown_timeout", "0"), LIVE(shutdown_timeout_us), OURS,
     SAYS "The most that a SIGTERM or SIGINT waits; then the rest is cut off. With it SIGTERM does "
          "not wait for clients to leave: each is ended (57P01) as soon as it is outside a "
          "transaction. 0: as PgBouncer, for ever."},
    {BOOL("so_reuseport", "0"), START(so_reuseport),
     SAYS "Lets several processes listen on the same port."},
    {COUNT("stats_period", "60", 1, INT_MAX), LIVE(stats_period_s),
     SAYS "Seconds between averages in SHOW commands and in the log."},
    {TEXT("stats_users", ""), LIVE(stats_users),
     SAYS "Users, with commas between, who may run SHOW commands on the console."},
    {TIME("suspend_timeout", "10"), LIVE(suspend_timeout_us),
     SAYS "How long SUSPEND waits for clients to take what was sent; then they are disconnected."},
    {BOOL("syslog", "0"), LIVE(syslog), SAYS "Logs to syslog."},
    {TEXT("syslog_facility", "daemon"), LIVE(syslog_facility),
     SAYS "The syslog facility: `auth`, `authpriv`, `daemon`, `user` or `local0` to `local7`."},
    {TEXT("syslog_ident", "pgbouncer"), LIVE(syslog_ident),
     SAYS "The name in syslog."},
    {BOOL("tcp_defer_accept", "1"), LIVE(tcp_defer_accept),
     SAYS "TCP_DEFER_ACCEPT: a client is seen once it has sent something."},
    {BOOL("tcp_keepalive", "1"), LIVE(tcp_keepalive), SAYS "TCP keepalives."},
    {COUNT("tcp_keepcnt", "0", 0, INT_MAX), LIVE(tcp_keepcnt),
     SAYS "Lost keepalives before a connection is dead; 0: the system's."},
    {COUNT("tcp_keepidle", "0", 0, INT_MAX), LIVE(tcp_keepidle_s),
     SAYS "Seconds of silence before the first keepalive; 0: the system's."},
    {COUNT("tcp_keepintvl", "0", 0, INT_MAX), LIVE(tcp_keepintvl_s),
     SAYS "Seconds between keepalives; 0: the system's."},
    {BYTES("tcp_socket_buffer", "0", 0, INT_MAX), LIVE(tcp_socket_buffer_bytes),
     SAYS "The kernel's buffer for each connection; 0: the system's."},
    {COUNT("tcp_user_timeout", "0", 0, INT_MAX), LIVE(tcp_user_timeout_ms),
     SAYS "Milliseconds that sent bytes may stay unacknowledged; 0: the system's."},
    {TEXT("track_extra_parameters", "IntervalStyle"), MOOT_START,
     SAYS "PgBouncer's further parameters to follow. Here settings of every kind are followed."},
    {COUNT("track_queries", "0", 0, 65000), LIVE(track_queries), OURS,
     SAYS "How many query texts, with constants taken out, each worker keeps figures of for SHOW "
          "QUERIES; 0: none, and nothing is measured. A kilobyte or so each."},
    {TIME("transaction_timeout", "0"), LIVE(transaction_timeout_us),
     SAYS "A client in a transaction for longer is disconnected; 0: never."},
    {TEXT("unix_socket_dir", "/tmp"), START(unix_socket_dir),
     SAYS "The directory of our unix socket, and of servers without a host; `@name`: in the "
          "abstract namespace; empty: none."},
    {TEXT("unix_socket_group", ""), START(unix_socket_group),
     SAYS "The group of the unix socket."},
    {MODE("unix_socket_mode", "0777"), START(unix_socket_mode),
     SAYS "The permissions of the unix socket."},
    {WORD("unsafe_state", "pin", unsafe_states), LIVE(unsafe_state), OURS,
     SAYS "Outside session mode, a statement would leave something in the session that cannot be "
          "moved to another server: a temporary object, a cursor WITH HOLD, a session level "
          "advisory lock, LISTEN, LOAD. `pin`: its client keeps that server until it has ended. "
          "`warn`: and is told. `error`: the statement is refused (0A000)."},
    {TEXT("user", ""), START(user), SAYS "The system user to become after the start."},
    {COUNT("verbose", "0", 0, INT_MAX), LIVE(verbose), SAYS "As `-v`, that many times."},
    {COUNT("worker_threads", "0", 0, 1024), START(worker_threads), OURS,
     SAYS "Threads that serve clients; 0: one for each core."},
};

const size_t option_count = sizeof option_table / sizeof option_table[0];
