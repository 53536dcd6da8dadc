// SPDX-License-Identifier: Apache-2.0
// What the workers share: the configuration in force, the routes, the quotas, the cancel keys, the
// cache. Made by main before the workers and freed after them. Each member says its lock.
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "pool/pool.h"
#include "proxy/tally.h"
#include "proxy/session/cancel_key.h"

struct census;
struct checker;
struct client;
struct config;
struct domains;
struct learnt;
struct misses;
struct peers_use;
struct resolver;
struct route;
struct statement_registry;
struct store;
struct texts;
struct vars_registry;
struct tls_context;
struct worker;

// The counts at which pooler->wrong_passwords and wrong_keys stop (proxy/login/misses.h): one of a
// password is forgotten in 10 s, one of a key in 0.1 s.
enum { LOGIN_MISSES_MOST = 12, CANCEL_MISSES_MOST = 100 };

struct pooler {
    struct worker **workers; // owns; fixed after start
    int worker_count;
    struct domains *domains;                // thread-safe; NULL when the cache is off
    struct store *store;                    // thread-safe; NULL when the cache is off
    struct texts *texts;                    // thread-safe
    struct statement_registry *statements;  // thread-safe
    struct vars_registry *vars;             // likewise
    struct resolver *resolver;              // thread-safe
    struct checker *checker;                // thread-safe
    struct peers_use *peers;                // thread-safe
    struct census *census;                  // thread-safe
    struct misses *wrong_passwords;         // thread-safe, this and the next
    struct misses *wrong_keys;              // of cancel requests
    uint8_t mock_secret[32];                // for logins of users that do not exist

    pthread_mutex_t lock;     // for the configuration, the routes and the quotas
    struct config *config;    // counts
    struct tls_context *tls;  // counts; older than the configuration if that could not be kept
    struct hash_table routes; // owns
    struct hash_table quotas; // owns
    struct hash_table learnt; // owns
    struct hash_table halts;  // owns; see halt.h
    _Atomic int halt_mode;    // enum halt_mode; written under the lock
    _Atomic uint64_t suspender; // number of the console client that suspended the process
    _Atomic uint64_t heir;      // likewise, that was given its connections since; 0: none
    _Atomic bool deaf;        // ... and the main thread accepts nobody
    _Atomic int adopting;     // connections of another process that have not arrived yet
    void (*halted)(void *arg); // wakes the main thread, to be so
    void *halted_arg;
    struct tally_sum gone;    // of routes that were forgotten
    int64_t swept_us;         // when quotas and learnt without a route were looked for last
    int64_t period_older_us, period_newer_us; // the two latest ends of a stats_period

    pthread_mutex_t cancel_lock;
    struct hash_table cancel_keys; // struct cancel_key inside each logged-in client

    _Atomic uint64_t last_server; // number of the newest server
    _Atomic uint64_t last_client; // number of the newest client
    _Atomic int quiet_workers;  // with nothing left to do in a shutdown
    _Atomic int clients;        // connections, all kinds
    _Atomic int entering;       // those of them that have not logged in
    _Atomic int logged_in;      // those that have
    _Atomic bool refusing;      // shutting down: no new clients
    _Atomic bool draining;      // shutting down: idle servers are closed
    _Atomic int unconfigured;   // mails with a new configuration that workers have not read yet,
                                // and reloads that are not over
    _Atomic bool news;          // there is one of which the log has not said that all have it
    _Atomic int in_transit;     // servers on their way from one worker to another
    _Atomic int console_mails;  // questions of the console under way
    _Atomic int consoles;       // clients of the console
    struct mailbox errands;     // of main, from the console; see console/question.h
    _Atomic int workers_running;
    void (*ended)(void *arg);   // called by a worker whose loop has ended
    void *ended_arg;
    _Atomic int64_t started_us;
};

// How a cancel request finds the client that embeds it. The bytes are random and never the same as
// others' here.
struct cancel_key {
    struct hash_node node;
    struct key_bytes bytes; // length 0: not in the table
};

struct pooler *pooler_new(struct config *config, int worker_count);
// After the workers have ended, before they are freed.
void pooler_stop_resolver(struct pooler *pooler);
// Likewise; how many passwords are being checked still, by calls that nobody can end.
int pooler_stop_checker(struct pooler *pooler);
void pooler_free(struct pooler *pooler);

struct config *pooler_config(struct pooler *pooler); // counted for the caller
// Puts it in force, TLS included. Control thread.
void pooler_configure(struct pooler *pooler, struct config *config);
// A worker has it now, or a reload is over. When all have and all are, the log says that it is in
// force, and systemd hears that we are ready.
void pooler_one_configured(struct pooler *pooler);
// Reads certificates and keys and puts what the configuration says of TLS in force. False: the log
// says why, and all stays as it was. Control thread: it reads files.
bool pooler_load_tls(struct pooler *pooler, const struct config *config);
struct tls_context *pooler_tls(struct pooler *pooler); // counted for the caller

// Finds or makes the route, counted for the caller; NULL: there is no such database. user: whose
// client wants it; where the database has a user of its own, that one's route is everybody's.
struct route *pooler_route(struct pooler *pooler, const char *database, const char *user);
// The same for that very user, whoever else the database's own one is (auth_query).
struct route *pooler_route_as(struct pooler *pooler, const char *database, const char *user);
// All of them by database and user, counted; *count of them, for pooler_drop_routes().
struct route **pooler_routes(struct pooler *pooler, size_t *count);
void pooler_drop_routes(struct route **routes, size_t count);
// Servers that are open now do not serve anybody any more. NULL: of all databases.
void pooler_reconnect(struct pooler *pooler, const char *database);
void pooler_each_route(struct pooler *pooler, void (*visit)(struct route *, void *), void *arg);
// Forgets routes that nobody has used for as long as the configuration says (of the `*` line those
// that no server ever welcomed after server_login_retry), and makes those that must have servers
// without having clients.
void pooler_tidy(struct pooler *pooler, const struct config *config, int64_t now_us);

// kind: 'd' for databases, 'u' for users. With pooler->lock held (routes are made under it).
struct pool_quota *pooler_quota(struct pooler *pooler, char kind, const char *name);

// What is known of that database, named by its target; also with pooler->lock held, under which it
// must be joined. Who is joined by no pool, and what by no route, is forgotten by pooler_tidy().
struct learnt *pooler_learnt(struct pooler *pooler, const char *target);

// Makes the bytes; long_one and peer_id as for key_make().
void pooler_key_add(struct pooler *pooler, struct cancel_key *key, bool long_one, int peer_id);
// Makes one known that another process gave out; of several with the same bytes the first counts.
void pooler_key_keep(struct pooler *pooler, struct cancel_key *key, struct slice bytes,
                     bool peered);
void pooler_key_remove(struct pooler *pooler, struct cancel_key *key);
struct cancel_asker;
// Asks the worker of the client that has this key to cancel its query; false: nobody has it.
bool pooler_cancel(struct pooler *pooler, struct slice asked, struct cancel_asker asker);
