// SPDX-License-Identifier: Apache-2.0
// A worker: one thread, one loop, the clients and servers that live in it, and the memory they
// share turn by turn. Nothing of a worker is touched by another thread except its mailbox and its
// statistics.
#pragma once
#include <ev.h>
#include <pthread.h>

#include "base/list.h"
#include "base/mailbox.h"
#include "cache/statistics.h"
#include "proxy/session/entrance.h"
#include "proxy/session/gucs.h"
#include "proxy/tally.h"
#include "proxy/wire/sender.h"

struct audits;
struct catalog;
struct client;
struct config;
struct domain;
struct entry;
struct effects;
struct listener;
struct newcomer;
struct pooler;
struct queries;
struct asked;
struct repeats;
struct admission;
struct resolution_front;
struct route;
struct rulings;
struct server;
struct texts_front;
struct tls_context;
struct waiting;

enum worker_mail_kind {
    MAIL_ACCEPTED,   // struct accepted_mail: a new client
    MAIL_ATTEND,     // struct attend_mail: whether to accept any (listener.h)
    MAIL_GRANT,      // the mail inside a server: it is yours, for server->client
    MAIL_SERVE,      // struct serve_mail: somebody waits and you have an idle server
    MAIL_CANCEL,     // struct cancel_mail
    MAIL_CANCELLED,  // the same, on its way back: the asker may be let go
    MAIL_RESOLVED,   // struct resolution_mail
    MAIL_CONFIGURE,  // a new configuration is in force
    MAIL_SHARE,      // pools compete for a limit: see which may open, which must close one
    MAIL_SHUTDOWN,   // struct shutdown_mail
    MAIL_HALT,       // the halt mode has changed (halt.h)
    MAIL_CONSOLE,    // struct question
    MAIL_FLIGHT,     // struct flight_mail: who follows it goes on
    MAIL_LOGIN,      // struct login_errand, back from another thread
    MAIL_ADOPT,      // struct adopted: connections of another process (takeover/adoption.h)
};

enum shutdown_mode {
    SHUTDOWN_NONE,
    SHUTDOWN_WAIT_FOR_SERVERS, // SIGINT: clients finish their transactions, then all end
    SHUTDOWN_WAIT_FOR_CLIENTS, // SIGTERM: clients end when they like, new ones are refused
    SHUTDOWN_DRAIN,            // SIGTERM with shutdown_timeout: they end with their transaction
    SHUTDOWN_NOW,              // SIGQUIT
};

enum { WORKER_TIME_PLACES = 4096 }; // for first statements: see transaction_needs_time()

struct worker {
    uint32_t tag;
    int number;
    struct pooler *pooler; // borrows
    pthread_t thread;
    struct ev_loop *loop;  // owns
    struct mailbox mailbox;
    ev_async wake;
    ev_timer janitor;
    int64_t now_us;            // read once a turn, before its events: may be as old as the turn
    int64_t busy_us;           // of the last turn that had any
    int64_t busy_poll_us;      // of the configuration
    _Atomic int linked;        // clients with a server; changed by this worker only
    struct config *config;     // counts
    struct tls_context *tls;   // counts; for connections that begin now
    struct texts_front *texts; // owns
    struct queries *queries;   // owns; NULL: track_queries is off
    unsigned queries_era;
    size_t queries_limit;      // of track_queries, as it was made
    struct resolution_front *resolutions; // owns; NULL when the cache is off
    struct gucs_common common_settings; // that clients gave at their start
    struct rulings *rulings;   // owns; of the configuration in force; likewise
    struct admission *admission; // owns; likewise
    struct repeats *repeats;   // owns; likewise
    struct asked *asked;       // owns; likewise
    struct audits *audits;     // owns; likewise
    struct list clients;       // struct client
    struct entrance entrance;  // those of them that have not logged in
    int64_t told_full_us;      // when it was last said that these are too many
    int64_t told_guessing_us;  // ... and that somebody guesses cancel keys
    struct list servers;       // struct server
    struct list held;          // struct client, waiting for a fresher cache
    struct list following;     // struct client, waiting for another one's run (session/lead.h)
    struct list hubs;          // struct hub
    struct effects *spare_effects;  // owns
    struct waiting *spare_waiting;  // owns
    ev_timer held_timer;       // runs while there are any
    struct list graves_clients; // closed in this turn, freed at its end
    struct list graves_servers;
    int lookups;               // names being resolved for servers of this worker
    int errands;               // of logins, with other threads (session/login.h)
    struct list cancelling;    // cancel requests under way; cancel.h
    enum shutdown_mode shutdown;
    bool suspended;            // nothing is read from clients and servers
    bool quiet;                // nothing left to do in a shutdown
    bool ended;                // nor for anybody else
    bool share_due;            // see MAIL_SHARE; at the end of the turn
    bool no_simple_query;      // disable_pqexec
    uint32_t max_packet_bytes; // of the configuration; a longer message ends its connection
    struct server *relaying;   // borrows; cleared when it is closed or leaves its client
    struct sender to_client;   // one bracket at a time each
    struct sender to_server;
    struct buf key;            // the cache key being built
    struct buf text;           // small things being composed
    struct statistics cache;
    uint64_t tells_time[WORKER_TIME_PLACES / 64]; // bits; transaction.h
    uint32_t tells_time_count;
    struct tally console;      // of its console's clients
    uint8_t area[CONN_AREA_BYTES];
};

// main: makes it and starts its thread; joins it when its loop has ended (all connections are
// closed then) and frees it. started: worker_start was called.
struct worker *worker_new(struct pooler *pooler, int number);
void worker_start(struct worker *worker);
void worker_join_free(struct worker *worker, bool started);

// Any thread.
void worker_mail_accepted(struct worker *worker, const struct newcomer *who);
void worker_mail_attend(struct worker *worker, struct listener *listener);
// One of our own, which needs no password; the fd is one end of a socket pair.
void worker_mail_own_client(struct worker *worker, int fd);
void worker_mail_serve(struct worker *worker, struct route *route);
// asker: who is let go (its connection closed) when the request has reached the server.
struct cancel_asker {
    struct worker *worker;
    uint64_t client; // number
};
void worker_mail_cancel(struct worker *worker, uint64_t client, struct cancel_asker asker);
void worker_mail_cancelled(struct cancel_asker asker);
void worker_mail_configure(struct worker *worker);
void worker_mail_share(struct pooler *pooler); // to all workers
void worker_mail_shutdown(struct worker *worker, enum shutdown_mode mode);
void worker_mail_grant(struct worker *worker, struct server *server);

void worker_mail_halt(struct worker *worker);
// To every worker with a bit in `workers` (number % FLIGHT_WORKERS). end: enum flight_end. entry:
// with FLIGHT_HANDED; else NULL.
void worker_mail_flight(struct pooler *pooler, uint64_t workers, uint64_t flight, int end,
                        struct entry *entry);
void worker_mail_console(struct worker *worker, struct mail *question); // console/question.h

// A client of this worker got a server (1) or lost it (-1). The worker's own thread.
static inline void worker_link(struct worker *worker, int by)
{
    int linked = atomic_load_explicit(&worker->linked, memory_order_relaxed);
    atomic_store_explicit(&worker->linked, linked + by, memory_order_relaxed);
}
