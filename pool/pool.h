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
//   - open + opening connections never exceed size (+ reserve), nor the quotas of database, user.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

enum pool_mode { POOL_SESSION, POOL_TRANSACTION, POOL_STATEMENT };

const char *pool_mode_name(enum pool_mode mode);

// A cap that several pools share (max_db_connections, max_user_connections). Any thread.
struct pool_quota {
    _Atomic int used;
    _Atomic int limit; // 0: no limit
    _Atomic bool wanted; // a pool with waiting clients was refused: who has an idle one, closes it
};

struct pool_limits {
    int size;                 // server connections
    int minimum;              // kept open while there are clients
    int reserve;              // further ones, for clients that wait longer than reserve_after_us
    int64_t reserve_after_us;
    int64_t retry_after_us;   // pause after a failed login (server_login_retry)
};

// The pool's handle inside the proxy's server connection (embedded there).
struct pool_server {
    struct link link;     // in pool->idle[worker] while idle
    struct pool *pool;    // counts on it: a pool lives as long as the process
    int worker;           // whose loop it is in
    bool idle;
    int64_t opened_us;
    int64_t released_us;  // when it last became idle
};

enum waiter_state { WAITER_NONE, WAITER_QUEUED, WAITER_GRANTED };

// The pool's handle inside the proxy's client (embedded there).
struct pool_waiter {
    struct link link;          // in pool->waiting while queued
    struct pool *pool;
    int worker;
    enum waiter_state state;   // written under the pool's lock
    bool first;                // waits for the pool's first connection, to be greeted
    int64_t since_us;          // when it was queued
};

struct pool {
    uint32_t tag;
    char *database; // owns; the name clients connect to
    char *user;     // owns; the user clients log in as
    enum pool_mode mode;
    pthread_mutex_t lock;
    struct pool_limits limits;
    struct pool_quota *database_quota; // borrows; never NULL
    struct pool_quota *user_quota;     // borrows; never NULL
    int workers;
    struct list *idle;      // owns; one list for each worker, most recent first
    struct list waiting;    // struct pool_waiter, first come first
    int open;               // logged-in connections, idle or in use
    int idle_count;
    int opening;            // being opened: 0 or 1
    int clients;            // logged-in clients
    bool paused;            // nobody is granted a connection
    int64_t failed_us;      // the last failed attempt to open, 0: the last one succeeded
    bool refused;           // ... because the server refused the login
    char failure[256];      // what the last failure said
    char failure_state[6];  // its SQLSTATE
};

struct pool *pool_new(const char *database, const char *user, enum pool_mode mode, int workers,
                      struct pool_limits limits, struct pool_quota *database_quota,
                      struct pool_quota *user_quota);
void pool_free(struct pool *pool); // nothing may be idle, waiting or open

// What the caller has to do after it asked for a connection or gave one up.
struct pool_task {
    bool open;      // open a connection (counted as `opening` already): pool_opened or
                    // pool_open_failed must follow
    int ask_worker; // -1, or the worker that has an idle one: it must call pool_serve
};

enum pool_result {
    POOL_GRANTED, // *server is the caller's; pool_took must follow
    POOL_QUEUED,  // the waiter is in the queue; see the task
    POOL_FAILING, // for a first waiter: the server refused the last login, moments ago
};

// Takes an idle connection of the same worker, or queues the waiter (which must be WAITER_NONE).
enum pool_result pool_request(struct pool *pool, struct pool_waiter *waiter, int64_t now_us,
                              struct pool_server **server, struct pool_task *task);

// Gives a clean connection back. Returns the waiter that gets it instead (now WAITER_GRANTED; it
// may live on another worker), or NULL: the connection is idle now.
struct pool_waiter *pool_return(struct pool *pool, struct pool_server *server, int64_t now_us);

// For the worker that was asked: the next waiter and an idle connection of this worker for it.
// False when one of the two is lacking; *ask_worker is then the worker to ask next, as somebody
// still waits and that one has an idle connection, or -1.
bool pool_serve(struct pool *pool, int worker, struct pool_server **server,
                struct pool_waiter **waiter, int *ask_worker);

// The client goes away or gives up. False: it was granted a connection, which is on its way.
bool pool_abandon(struct pool *pool, struct pool_waiter *waiter);

// The waiter took what was granted. Its own worker.
void pool_took(struct pool *pool, struct pool_waiter *waiter);

// A connection that pool_task.open asked for is logged in; it is in use until pool_return.
void pool_opened(struct pool *pool, struct pool_server *server, int worker, int64_t now_us);
// It could not be opened. A server that cannot be reached may be back soon: clients wait. One that
// refused the login (refused) will do so again: who waits to be greeted is told, until
// retry_after_us has passed.
void pool_open_failed(struct pool *pool, int64_t now_us, bool refused, const char *state,
                      const char *why);
// A connection (idle or in use) is closed.
void pool_closed(struct pool *pool, struct pool_server *server);

// May another connection be opened now, for waiting clients or for the minimum? When true it is
// counted as opening, as with pool_task.open.
bool pool_may_open(struct pool *pool, int64_t now_us);

// A waiter of this worker that has waited since before `before_us`, removed; or NULL.
struct pool_waiter *pool_overdue(struct pool *pool, int worker, int64_t before_us);
// A first waiter of this worker when the server refuses the login; removed; or NULL.
struct pool_waiter *pool_hopeless(struct pool *pool, int worker, int64_t now_us);

// The least recently used idle connection of this worker, taken out for closing, when it was
// released before idle_before_us (and the pool stays at its minimum) or opened before
// opened_before_us; or NULL. It counts as in use: pool_closed must follow.
struct pool_server *pool_stale(struct pool *pool, int worker, int64_t idle_before_us,
                               int64_t opened_before_us);
// Is one of its quotas exhausted while another pool under it has waiting clients? Then an idle
// connection of this pool, where nobody waits, should be closed. Asked once, it is told once.
bool pool_must_yield(struct pool *pool);
// Takes this idle connection out, because it is to be closed or moved. False when it is not idle.
bool pool_take_idle(struct pool *pool, struct pool_server *server);

void pool_pause(struct pool *pool, bool paused);
void pool_relimit(struct pool *pool, struct pool_limits limits);
void pool_client_joined(struct pool *pool);
void pool_client_left(struct pool *pool);

struct pool_figures {
    int clients_active, clients_waiting, servers_active, servers_idle, servers_login;
    int64_t longest_wait_us;
    bool paused;
};
struct pool_figures pool_figures(struct pool *pool, int64_t now_us);
