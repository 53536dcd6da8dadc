// SPDX-License-Identifier: Apache-2.0
// The values of the options that have an effect, typed and in the units their names tell. Filled
// from the table in config/option.c; read-only inside a struct config, whose lifetime they share.
// Every text is non-NULL (empty = not set). Per-database and per-user values are in config.h.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum config_pool_mode {
    CONFIG_POOL_SESSION,
    CONFIG_POOL_TRANSACTION,
    CONFIG_POOL_STATEMENT,
};

enum config_auth_type {
    CONFIG_AUTH_ANY,
    CONFIG_AUTH_TRUST,
    CONFIG_AUTH_PLAIN,
    CONFIG_AUTH_MD5, // a user whose secret is SCRAM logs in with SCRAM
    CONFIG_AUTH_SCRAM,
    CONFIG_AUTH_HBA, // the HBA file says which one; never a method itself
    CONFIG_AUTH_REJECT, // in the HBA file only, this and the next
    CONFIG_AUTH_PEER,
    CONFIG_AUTH_CERT,
    CONFIG_AUTH_PAM,
    CONFIG_AUTH_LDAP,
};

enum config_sslmode { // each is stricter than those before it
    CONFIG_SSL_DISABLE,
    CONFIG_SSL_ALLOW, // this and the next mean the same
    CONFIG_SSL_PREFER,
    CONFIG_SSL_REQUIRE,
    CONFIG_SSL_VERIFY_CA,
    CONFIG_SSL_VERIFY_FULL,
};

enum config_negotiation {
    CONFIG_NEGOTIATION_POSTGRES, // SSLRequest, and TLS if the answer is yes
    CONFIG_NEGOTIATION_DIRECT,   // TLS from the first byte
};

enum config_proxy_protocol {
    CONFIG_PROXY_OFF,
    CONFIG_PROXY_ON,       // from the trusted, where it comes
    CONFIG_PROXY_REQUIRED, // nobody gets in without
};

enum config_admission {
    CONFIG_ADMISSION_LEARNT,
    CONFIG_ADMISSION_ALL,
};

enum config_monotonic_reads {
    CONFIG_MONOTONIC_BYPASSED, // reads around the cache hold back later hits
    CONFIG_MONOTONIC_ALL,      // misses, and hits on entries filled lately, do so too
};

enum config_unsafe_state {
    CONFIG_UNSAFE_PIN,
    CONFIG_UNSAFE_WARN,
    CONFIG_UNSAFE_ERROR,
};

enum config_invalidation {
    CONFIG_INVALIDATION_AUTO,   // wal where the server allows it, else notify, else no cache
    CONFIG_INVALIDATION_WAL,
    CONFIG_INVALIDATION_NOTIFY, // triggers tell
    CONFIG_INVALIDATION_PROXY, // own writes only
};

struct settings {
    // The process
    char *logfile;
    char *pidfile;
    char *user;
    char *job_name;
    bool syslog;
    char *syslog_facility;
    char *syslog_ident;
    int verbose;
    int worker_threads; // 0: one for each core
    bool seccomp;

    // Where clients come in
    char *listen_addr; // comma separated, "*" = all; empty = no TCP
    int listen_port;   // TCP and unix sockets
    int listen_backlog;
    char *unix_socket_dir; // comma separated; "@name" = abstract; empty = none
    int unix_socket_mode;  // permission bits
    char *unix_socket_group;
    bool so_reuseport;
    bool tcp_keepalive;
    int tcp_keepcnt;      // 0: the system's
    int tcp_keepidle_s;   // 0: the system's
    int tcp_keepintvl_s;  // 0: the system's
    int tcp_user_timeout_ms;
    bool tcp_defer_accept;
    int64_t tcp_socket_buffer_bytes; // 0: the system's
    int64_t max_packet_size_bytes;
    bool disable_pqexec;
    char *login_notify_message; // empty: none

    // Who may come in
    enum config_auth_type auth_type;
    char *auth_file;
    int64_t auth_failure_delay_us; // the longest; 0: none
    char *auth_ldap_options; // config/ldap_options.h: config_ldap_options()
    int64_t auth_ldap_timeout_us;
    char *auth_pam_service;
    char *auth_pam_confdir;  // empty: the system's
    int auth_threads;        // for each LDAP server, and for PAM; so is the next
    int auth_queue_size;
    char *auth_user, *auth_dbname, *auth_query;
    char *auth_hba_file, *auth_ident_file; // empty: none
    int scram_iterations; // of a SCRAM secret made from a plain password
    char *admin_users; // comma separated
    char *stats_users; // comma separated
    char *ignore_startup_parameters; // comma separated
    bool application_name_add_host;
    int peer_id; // 0: no peers
    enum config_proxy_protocol proxy_protocol;
    char *proxy_protocol_from; // comma separated; base/network.h
    int max_client_conn;
    int max_login_conn;             // 0: as max_client_conn
    int max_login_conn_per_address; // 0: unlimited
    int max_db_client_connections;   // 0: unlimited
    int max_user_client_connections; // 0: unlimited

    // Pools. Ask config_pool_size() and its like, which know the overrides.
    enum config_pool_mode pool_mode;
    int default_pool_size;
    int min_pool_size;
    int reserve_pool_size;
    int64_t reserve_pool_timeout_us; // 0: the reserve is not used
    int max_db_connections;          // 0: unlimited
    int max_user_connections;        // 0: unlimited
    bool server_round_robin;
    int64_t autodb_idle_timeout_us; // 0: never, this and the next
    int64_t pool_idle_timeout_us;
    int max_prepared_statements; // for each server connection; 0: not followed

    // TLS; who makes something of these is proxy/tls_context
    enum config_sslmode client_tls_sslmode;
    char *client_tls_key_file;
    char *client_tls_cert_file;
    char *client_tls_ca_file;
    char *client_tls_protocols;
    char *client_tls_ciphers;
    char *client_tls13_ciphers;
    char *client_tls_ecdhcurve;
    char *client_tls_dheparams;
    enum config_sslmode server_tls_sslmode;
    enum config_negotiation server_tls_negotiation;
    char *server_tls_key_file;
    char *server_tls_cert_file;
    char *server_tls_ca_file;
    char *server_tls_protocols;
    char *server_tls_ciphers;
    char *server_tls13_ciphers;

    // Servers
    char *server_reset_query;
    bool server_reset_query_always;
    char *server_check_query; // "<empty>" = the cheapest round trip
    int64_t server_check_delay_us;
    int64_t server_lifetime_us;
    int64_t server_idle_timeout_us;
    int64_t server_connect_timeout_us;
    int64_t server_login_retry_us;
    int64_t dns_max_ttl_us;
    int64_t dns_nxdomain_ttl_us;
    bool server_fast_close;

    // Patience, 0: for ever
    int64_t query_timeout_us;
    int64_t query_wait_timeout_us;
    int64_t cancel_wait_timeout_us;
    int64_t client_idle_timeout_us;
    int64_t client_login_timeout_us;
    int64_t idle_transaction_timeout_us;
    int64_t transaction_timeout_us;
    int64_t suspend_timeout_us;
    int query_wait_notify_s;
    bool query_wait_fail_fast;
    int64_t shutdown_timeout_us;

    // What is told
    bool log_connections;
    bool log_disconnections;
    bool log_pooler_errors;
    bool log_stats;
    int track_queries; // texts remembered by each worker; 0: off
    int stats_period_s;
    char *http_listen; // address:port; empty = none

    int64_t busy_poll_us;

    // The cache
    bool cache;
    int64_t cache_size_bytes;
    enum config_admission cache_admission;
    int64_t cache_follow_timeout_us;
    int64_t cache_audit_rate; // millionths of the hits
    int64_t cache_hint_max_ttl_us; // 0: a hint may accept no staleness
    char *cache_prewarm; // a file; empty: none
    int64_t cache_max_entry_size_bytes;
    int64_t max_staleness_us;
    enum config_monotonic_reads monotonic_reads;
    int64_t hidden_code_check_us;
    bool lazy_begin;
    enum config_unsafe_state unsafe_state;
    enum config_invalidation invalidation;
    char *publication;  // empty: test_decoding, which needs none
    char *control_user; // who the control connections log in as; see config_control_user()
};
