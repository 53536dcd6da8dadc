// SPDX-License-Identifier: Apache-2.0
// A pool: the server connections of one database and user, and the clients that wait for one. It
// decides who gets which connection, who waits, and when another one may be opened; opening,
// closing and moving connections between workers is the caller's work.
//
// Shared by all workers under its own lock, which no function holds across a call back. A server
// or a client belongs to one worker at a time; the pool remembers which by number.
//
// Rules it keeps:
//   - clients are served first come, first served, whichever worker they live on;
//   - an idle connection prefers the worker that used it last, and there the most recent one;
//   - at most one connection is being opened for a pool at a time: no storm after a restart;
//   - open + opening connections never exceed size (+ reserve), nor the quotas of database, user;
//   - pools that compete for a quota get fair shares of it (quota.h);
//   - a connection that nobody used for a while is checked before a client gets it.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "pool/forecast.h"
#include "pool/claim.h"

enum pool_mode { POOL_SESSION, POOL_TRANSACTION, POOL_STATEMENT };

const char *pool_mode_name(enum pool_mode mode);

struct pool_limits {
    int size;                 // server connections
    int minimum;              // kept open while there are clients; at most size counts
    bool keeps_minimum;       // ... and also while there are none
    int reserve;              // further ones, for clients that wait longer than reserve_after_us
    int64_t reserve_after_us;
    int64_t retry_after_us;   // pause after a failed login (server_login_retry)
    bool checks;              // one that was given back longer ago than check_after_us is checked
    int64_t check_after_us;
    int64_t lifetime_us;      // an older one is closed; 0: never
    bool used_once;           // ... or each after one use
    bool round_robin;         // the one idle the longest first, not the one used last
};

// The pool's handle inside the proxy's server connection (embedded there).
struct pool_server {
    struct link link;     // in pool->idle[worker] while idle
    struct pool *pool;    // counts on it: a pool lives as long as the process
    int worker;           // whose loop it is in
    bool idle;
    bool used;            // a client had it
    bool checking;        // taken out to be checked for those who wait
    int64_t opened_us;
    int64_t released_us;  // when it last became idle
};

enum waiter_state { WAITER_NONE, WAITER_QUEUED, WAITER_GRANTED };

// The pool's handle on one of the proxy's clients.
struct pool_waiter {
    struct link link;          // in pool->waiting while queued
    struct pool *pool;
    int worker;
    enum waiter_state state;   // written under the pool's lock
    int64_t since_us;          // when it was queued
    int64_t patience_us;       // it is refused when it would wait far longer; 0: it is not
    const struct pool_server *prefers; // if it is idle on its worker; only compared, maybe gone
};

struct pool {
    uint32_t tag;
    char *database; // owns; the name clients connect to
    char *user;     // owns; the user clients log in as
    _Atomic enum pool_mode mode;
    pthread_mutex_t lock;
    struct pool_limits limits;
    int workers;
    struct list *idle;      // owns; one list for each worker, most recent first
    struct list waiting;    // struct pool_waiter, first come first
    int open;               // logged-in connections, idle or in use
    struct pool_claim claim; // its quotas; claim.spare.idle: how many are idle
    int opening;            // being opened: 0 or 1
    int checking;           // being checked for those who wait
    int own_wanted;         // clients that wait for a connection of their own
    int clients;            // logged-in clients
    _Atomic bool paused;    // nobody is granted a connection; written under the lock
    int64_t failed_us;      // the last failed attempt to open, 0: the last one succeeded
    bool refused;           // ... because the server refused the login
    char failure[256];      // what the last failure said
    char failure_state[6];  // its SQLSTATE
    struct forecast forecast;
    int64_t lifetime_closed_us; // when one was last closed because of its age
    int64_t deserted_us;    // since when it has neither clients nor connections; 0: it has
};

struct pool *pool_new(const char *database, const char *user, enum pool_mode mode, int workers,
                      struct pool_limits limits, struct pool_quota *database_quota,
                      struct pool_quota *user_quota);
void pool_free(struct pool *pool); // nothing may be idle, waiting or open

// What the caller has to do after it asked for a connection or gave one up.
struct pool_task {
    bool open;      // open a connection (counted as `opening` already): pool_opened or
                    // pool_open_failed must follow
    bool from_reserve; // ... which the reserve allowed
    bool evict;     // another pool has idle ones that should be closed: pool_evict on each worker
    int ask_worker; // -1, or the worker that has an idle one: it must call pool_serve
    struct pool_server *check; // NULL, or one of this worker's, in use now: check it and give it
                               // back, or close it
};

enum pool_result {
    POOL_GRANTED, // *server is the caller's; pool_took must follow
    POOL_QUEUED,  // the waiter is in the queue; see the task
    POOL_FAILING, // there is no connection, and none could be opened moments ago
    POOL_HOPELESS, // it would wait far longer than its patience (forecast.h)
};

// Takes an idle connection of the same worker, or queues the waiter (which must be WAITER_NONE).
enum pool_result pool_request(struct pool *pool, struct pool_waiter *waiter, int64_t now_us,
                              struct pool_server **server, struct pool_task *task);

// Gives a clean connection back. Returns the waiter that gets it instead (now WAITER_GRANTED; it
// may live on another worker), or NULL: the connection is idle now, or, when *close is set, it is
// still in use and must be closed for that reason (PgBouncer's words).
struct pool_waiter *pool_return(struct pool *pool, struct pool_server *server, int64_t now_us,
                                const char **close);

// For the worker that was asked: the next waiter and an idle connection of this worker for it.
// False when one of the two is lacking; then the task may have a connection to check, or the
// worker to ask next, as somebody still waits and that one has an idle connection.
bool pool_serve(struct pool *pool, int worker, int64_t now_us, struct pool_server **server,
                struct pool_waiter **waiter, struct pool_task *task);

// The client goes away or gives up. False: it was granted a connection, which is on its way.
bool pool_abandon(struct pool *pool, struct pool_waiter *waiter);

// The waiter took what was granted. Its own worker.
void pool_took(struct pool *pool, struct pool_waiter *waiter);

// A connection that pool_task.open asked for is logged in; it is in use until pool_return.
void pool_opened(struct pool *pool, struct pool_server *server, int worker, int64_t now_us);
// It could not be opened: who asks next is told so, until retry_after_us has passed; who waits
// already goes on waiting, unless it waits to be greeted and the server refused the login.
void pool_open_failed(struct pool *pool, int64_t now_us, bool refused, const char *state,
                      const char *why);
// A connection (idle or in use) is closed.
void pool_closed(struct pool *pool, struct pool_server *server, int64_t now_us);

// A connection that only one client will ever use (replication): it is counted as open from the
// beginning, and in use until pool_closed. Who wants one says so (more = 1), asks as often as it
// likes, and says when it has it or wants it no more (more = -1). While somebody wants one, what
// is idle or given back is closed to make room. since_us: since when the client waits.
void pool_want_own(struct pool *pool, int more);
bool pool_open_own(struct pool *pool, struct pool_server *server, int worker, int64_t since_us,
                   int64_t now_us);

// A connection that another process opened, and gave to this one: it is in use until pool_return or
// pool_closed, whatever the limits are.
void pool_take_over(struct pool *pool, struct pool_server *server, int worker, int64_t opened_us);

// May another connection be opened now, for waiting clients or for the minimum? Says so in the
// task (open, from_reserve, evict) and returns task->open.
bool pool_may_open(struct pool *pool, int64_t now_us, struct pool_task *task);
// Does somebody wait for a connection under one of its quotas?
static inline bool pool_contended(const struct pool *pool)
{
    return claim_contended(&pool->claim);
}

// A waiter of this worker when there is no server and the login was refused; removed; or NULL.
// Who waited for that login is told however late one looks.
struct pool_waiter *pool_hopeless(struct pool *pool, int worker, int64_t now_us);

// An idle connection of this worker, taken out for closing, and why: released before
// idle_before_us (and the pool stays at its minimum), too old, or one too many; or NULL. It counts
// as in use: pool_closed must follow.
struct pool_server *pool_stale(struct pool *pool, int worker, int64_t idle_before_us,
                               int64_t now_us, const char **why);
// An idle connection of this worker, taken out in the same way for the sake of another pool under
// one of its quotas; or NULL.
struct pool_server *pool_evict(struct pool *pool, int worker, int64_t now_us);
// Takes this idle connection out, because it is to be closed or moved. False when it is not idle.
bool pool_take_idle(struct pool *pool, struct pool_server *server);

// An attempt to open that was given up before it ended: no failure.
void pool_open_given_up(struct pool *pool, int64_t now_us);

// Is a server to be given back as soon as may be? Somebody waits for one, or each is used once.
bool pool_wants_back(struct pool *pool);
bool pool_pause(struct pool *pool, bool paused); // did that change anything?
bool pool_is_paused(const struct pool *pool);
void pool_relimit(struct pool *pool, struct pool_limits limits);
void pool_client_joined(struct pool *pool);
void pool_client_left(struct pool *pool, int64_t now_us);
// Since when it has had neither clients nor connections, or 0.
int64_t pool_deserted_us(struct pool *pool);

struct pool_figures {
    int clients_active, clients_waiting, servers_active, servers_idle, servers_login;
    int servers_tested; // of the active ones: being checked for those who wait
    int64_t longest_wait_us;
    bool paused;
};
struct pool_figures pool_figures(struct pool *pool, int64_t now_us);
