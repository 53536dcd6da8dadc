// SPDX-License-Identifier: Apache-2.0
// The configuration as one immutable, counted snapshot: settings, databases, users. A reload makes
// a new snapshot; whoever holds the old one keeps a whole, unchanging picture until its unref.
// Any thread may read and ref; all pointers handed out live as long as the snapshot. Reading the
// files happens on the control thread (or before threads start). Nothing here knows pools or
// sockets; limits are numbers that others keep.
#pragma once
#include "config/problem.h"
#include "config/settings.h"
#include "base/buf.h"

struct config; // opaque; made by config_load()
struct hba;

enum {
    CONFIG_INHERIT = -1, // a number of a database or user that was not given there
};

enum config_load_balance {
    CONFIG_BALANCE_ROUND_ROBIN, // each new connection goes to the next host of the list
    CONFIG_BALANCE_DISABLE,     // to the same host, until one fails
};

// What a server must be to be used, as in libpq.
enum config_target_session {
    CONFIG_TARGET_ANY,
    CONFIG_TARGET_READ_WRITE,
    CONFIG_TARGET_READ_ONLY,
    CONFIG_TARGET_PRIMARY,
    CONFIG_TARGET_STANDBY,
};

// A line of [databases]. Texts are NULL when not given.
struct config_database {
    const char *name;        // as clients ask for it; "*" for the fallback
    bool is_fallback;        // the "*" line: any name that has no line of its own
    const char *host;        // NULL: unix socket in settings.unix_socket_dir; a path: unix socket
                             // there; else a name or address, or several with commas
    int port;                // 5432 unless given
    const char *dbname;      // NULL only for the fallback: see config_database_dbname()
    const char *user;        // the forced user: every client shares its server connections
    const char *password;    // of the forced user
    const char *auth_user;   // these three: see config_auth_user() and what follows it
    const char *auth_dbname;
    const char *auth_query;
    const char *client_encoding; // startup parameters of the server connection
    const char *datestyle;
    const char *timezone;
    const char *application_name;
    const char *connect_query; // run on each new server connection
    int pool_size;             // CONFIG_INHERIT: see the functions below
    int min_pool_size;
    int reserve_pool_size;
    int max_db_connections;
    int max_db_client_connections;
    int pool_mode;              // enum config_pool_mode or CONFIG_INHERIT
    int auth_type;              // enum config_auth_type or CONFIG_INHERIT
    int load_balance_hosts;     // enum config_load_balance
    int target_session_attrs;   // enum config_target_session
    int64_t server_lifetime_us; // or CONFIG_INHERIT, this and the next
    int64_t query_wait_timeout_us;
};

// A user of the users file, of [users], or both.
struct config_user {
    const char *name;
    const char *secret; // from the users file: plain text, md5..., SCRAM-SHA-256$...; NULL: not in
                        // the file, so this user cannot log in with a password
    int pool_size;      // CONFIG_INHERIT or the value of [users]
    int reserve_pool_size;
    int max_user_connections;
    int max_user_client_connections;
    int pool_mode;                   // enum config_pool_mode or CONFIG_INHERIT
    int64_t query_timeout_us;        // or CONFIG_INHERIT, as all of these
    int64_t query_wait_timeout_us;
    int64_t idle_transaction_timeout_us;
    int64_t transaction_timeout_us;
    int64_t client_idle_timeout_us;
};

// A line of [peers].
struct config_peer {
    int id;           // its peer_id
    const char *host; // a name, an address, or the directory of a unix socket
    int port;         // 6432 unless given
    int pool_size;    // CONFIG_INHERIT: see config_peer_pool_size()
};

enum config_cache_action { // as enum rule_action in cache/rules.h
    CONFIG_CACHE_CACHE,
    CONFIG_CACHE_EXCLUDE,
    CONFIG_CACHE_HINT,
    CONFIG_CACHE_FORCE,
};

// A line of [cache_rules]; cache/rules.h says what it means. Patterns that were not given are NULL.
struct config_cache_rule {
    const char *name;
    const char *database;
    const char *user;
    const char *table;
    const char *text;
    int action;     // enum config_cache_action
    int64_t ttl_us; // 0: none
    bool ttl_without_events;
};

// Reads the file, what it includes, and the users file. Everything wrong goes to *problems (errors
// and warnings, in the order found). NULL when there is an error; else the caller owns one count.
struct config *config_load(const char *path, struct problems *problems);

// As config_load() of the file that `old` came from, for a running process: an option that cannot
// change without a restart keeps old's value, with a warning among the problems. NULL: keep old.
struct config *config_reload(const struct config *old, struct problems *problems);

// As old with one option set (SET on the console). NULL, with an error among the problems, when
// the name is unknown, the value bad, or a restart would be needed.
struct config *config_with(const struct config *old, const char *name, const char *value,
                           struct problems *problems);

struct config *config_ref(struct config *config);  // any thread; returns config
void config_unref(struct config **config);         // any thread; clears the caller's pointer

// Greater than that of every one this process made before.
uint64_t config_number(const struct config *config);
const struct settings *config_settings(const struct config *config);
const char *config_path(const struct config *config); // the main file, as it was given

// Adds a problem with an option at the place where that was given. For what only those can see who
// make something of its value; config_check() has the rest.
void config_blame(const struct config *config, struct problems *problems,
                  enum problem_grade grade, const char *option, const char *sentence);

// Appends the value of option_table[i] as SHOW CONFIG prints it: also of one without effect.
void config_print_option(const struct config *config, size_t i, struct buf *out);

// The database a client asked for: its own line, else the fallback (for up to 63 bytes), else NULL.
// "pgbouncer" and "pgweir" are the console and are the caller's to recognise: they are never lines.
const struct config_database *config_database(const struct config *config, const char *name);
// The name to send to the server, given the name that the client asked for.
const char *config_database_dbname(const struct config_database *db, const char *asked);
size_t config_database_count(const struct config *config); // the fallback is one of them, the last
const struct config_database *config_database_at(const struct config *config, size_t i);

const struct config_user *config_user(const struct config *config, const char *name); // or NULL
size_t config_user_count(const struct config *config);
const struct config_user *config_user_at(const struct config *config, size_t i); // by name

const struct config_peer *config_peer(const struct config *config, int id); // or NULL
size_t config_peer_count(const struct config *config);
const struct config_peer *config_peer_at(const struct config *config, size_t i); // by number
// How many cancel requests may be on their way to it at a time.
int config_peer_pool_size(const struct config *config, const struct config_peer *peer);

// auth_ldap_options; NULL: not set. Always there with auth_type = ldap.
const struct ldap_options *config_ldap_options(const struct config *config);

size_t config_cache_rule_count(const struct config *config);
const struct config_cache_rule *config_cache_rule_at(const struct config *config, size_t i);

// The HBA file; NULL when no auth_type asks for one.
const struct hba *config_hba(const struct config *config);

// Values in effect. db and user may be NULL: the level is left out. User before database before
// the settings, as in PgBouncer. `user` is the user of the pool (the forced user if there is one).
enum config_pool_mode config_pool_mode(const struct config *config,
                                       const struct config_database *db,
                                       const struct config_user *user);
enum config_auth_type config_auth_type(const struct config *config,
                                       const struct config_database *db);
bool config_may_ask_pam(const struct config *config); // for any login
int config_pool_size(const struct config *config, const struct config_database *db,
                     const struct config_user *user);
int config_min_pool_size(const struct config *config, const struct config_database *db);
int config_reserve_pool_size(const struct config *config, const struct config_database *db,
                             const struct config_user *user);
int config_max_db_connections(const struct config *config, const struct config_database *db);
int config_max_db_client_connections(const struct config *config,
                                     const struct config_database *db);
int config_max_user_connections(const struct config *config, const struct config_user *user);
int config_max_user_client_connections(const struct config *config,
                                       const struct config_user *user);
int64_t config_server_lifetime_us(const struct config *config, const struct config_database *db);
// Does any user have timeouts of his own? (Else nobody need be looked up.)
bool config_has_user_timeouts(const struct config *config);
int64_t config_query_timeout_us(const struct config *config, const struct config_user *user);
int64_t config_query_wait_timeout_us(const struct config *config,
                                     const struct config_database *db,
                                     const struct config_user *user);
int64_t config_idle_transaction_timeout_us(const struct config *config,
                                           const struct config_user *user);
int64_t config_transaction_timeout_us(const struct config *config,
                                      const struct config_user *user);
int64_t config_client_idle_timeout_us(const struct config *config,
                                      const struct config_user *user);

// Whom a client of this database is on the server: the forced user, else the client's own name.
const char *config_server_user(const struct config_database *db, const char *client_user);
// The secret to log in to the server with, as that user: the database's password for the forced
// user, else the users file's; NULL: none (trust, or keys from the client's own login).
const char *config_server_secret(const struct config *config, const struct config_database *db,
                                 const char *server_user);
// Users who are not in the users file: who asks for them (NULL: nobody), in which database, how. db
// may be NULL (the console), `asked` is the name that the client asked for.
const char *config_auth_user(const struct config *config, const struct config_database *db);
const char *config_auth_dbname(const struct config *config, const struct config_database *db,
                               const char *asked);
const char *config_auth_query(const struct config *config, const struct config_database *db);
// Whom the control connections of this database log in as: control_user, else the forced user;
// NULL: nobody, so no cache there.
const char *config_control_user(const struct config *config, const struct config_database *db);

// Lists in the settings: are these names in them? (console rights; startup parameters to ignore)
bool config_is_admin(const struct config *config, const char *user);
bool config_is_stats_user(const struct config *config, const char *user); // admins are too
bool config_ignores_parameter(const struct config *config, const char *name); // any case

// Markdown for docs/configuration.md, from the option table.
void config_markdown(struct buf *out);
