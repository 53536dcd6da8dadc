// SPDX-License-Identifier: Apache-2.0
#include "pool/pool.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

#define POOL_TAG 0x9001u

const char *pool_mode_name(enum pool_mode mode)
{
    switch (mode) {
    case POOL_SESSION:
        return "session";
    case POOL_TRANSACTION:
        return "transaction";
    case POOL_STATEMENT:
        return "statement";
    }
    return "?";
}

static bool quota_take(struct pool_quota *quota)
{
    int limit = quota->limit;
    int used = quota->used;
    do {
        if (limit > 0 && used >= limit)
            return false;
    } while (!__atomic_compare_exchange_n((int *)&quota->used, &used, used + 1, true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return true;
}

static void quota_give(struct pool_quota *quota)
{
    quota->used--;
}

struct pool *pool_new(const char *database, const char *user, enum pool_mode mode, int workers,
                      struct pool_limits limits, struct pool_quota *database_quota,
                      struct pool_quota *user_quota)
{
    struct pool *pool = mem_new(struct pool);
    TAG_SET(pool, POOL_TAG);
    pool->database = mem_strdup(database);
    pool->user = mem_strdup(user);
    pool->mode = mode;
    pthread_mutex_init(&pool->lock, NULL);
    pool->limits = limits;
    pool->database_quota = database_quota;
    pool->user_quota = user_quota;
    pool->workers = workers;
    pool->idle = mem_alloc((size_t)workers * sizeof(*pool->idle));
    for (int i = 0; i < workers; i++)
        list_init(&pool->idle[i]);
    list_init(&pool->waiting);
    return pool;
}

void pool_free(struct pool *pool)
{
    TAG_CHECK(pool, POOL_TAG);
    CHECK(pool->idle_count == 0 && list_empty(&pool->waiting) && pool->open == 0);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->idle);
    mem_free(pool->database);
    mem_free(pool->user);
    TAG_CLEAR(pool);
    mem_free(pool);
}

// ---- under the lock ----

static struct pool_server *idle_take(struct pool *pool, int worker)
{
    struct link *l = list_pop_front(&pool->idle[worker]);
    if (l == NULL)
        return NULL;
    struct pool_server *server = container_of(l, struct pool_server, link);
    server->idle = false;
    pool->idle_count--;
    return server;
}

static struct pool_waiter *waiter_take(struct pool *pool)
{
    struct link *l = list_pop_front(&pool->waiting);
    if (l == NULL)
        return NULL;
    struct pool_waiter *waiter = container_of(l, struct pool_waiter, link);
    waiter->state = WAITER_GRANTED;
    return waiter;
}

static void waiter_drop(struct pool *pool, struct pool_waiter *waiter)
{
    list_remove(&pool->waiting, &waiter->link);
    waiter->state = WAITER_NONE;
}

static bool failing(const struct pool *pool, int64_t now_us)
{
    return pool->failed_us != 0 && now_us - pool->failed_us < pool->limits.retry_after_us;
}

static bool waits_for_reserve(const struct pool *pool, int64_t now_us)
{
    const struct link *first = list_first(&pool->waiting);
    return first != NULL &&
           now_us - container_of(first, struct pool_waiter, link)->since_us >=
               pool->limits.reserve_after_us;
}

// Counts a new connection as opening when limits, quotas and the pace allow it.
static bool may_open(struct pool *pool, int64_t now_us)
{
    bool wanted = pool->waiting.count > (size_t)pool->idle_count ||
                  (pool->open < pool->limits.minimum && pool->clients > 0);
    if (!wanted || pool->opening > 0 || pool->paused || failing(pool, now_us))
        return false;
    int limit = pool->limits.size;
    if (pool->limits.reserve > 0 && waits_for_reserve(pool, now_us))
        limit += pool->limits.reserve;
    if (pool->open >= limit)
        return false;
    if (!quota_take(pool->database_quota)) {
        pool->database_quota->wanted = true;
        return false;
    }
    if (!quota_take(pool->user_quota)) {
        quota_give(pool->database_quota);
        pool->user_quota->wanted = true;
        return false;
    }
    pool->opening++;
    return true;
}

static int worker_with_idle(const struct pool *pool)
{
    for (int i = 0; i < pool->workers; i++)
        if (!list_empty(&pool->idle[i]))
            return i;
    return -1;
}

// ---- the interface ----

enum pool_result pool_request(struct pool *pool, struct pool_waiter *waiter, int64_t now_us,
                              struct pool_server **server, struct pool_task *task)
{
    TAG_CHECK(pool, POOL_TAG);
    CHECK(waiter->state == WAITER_NONE);
    *task = (struct pool_task){.open = false, .ask_worker = -1};
    *server = NULL;
    enum pool_result result = POOL_QUEUED;
    pthread_mutex_lock(&pool->lock);
    if (list_empty(&pool->waiting) && !pool->paused)
        *server = idle_take(pool, waiter->worker);
    if (*server != NULL) {
        waiter->pool = pool;
        waiter->state = WAITER_GRANTED;
        result = POOL_GRANTED;
    } else if (waiter->first && pool->open == 0 && pool->refused && failing(pool, now_us)) {
        result = POOL_FAILING;
    } else {
        waiter->pool = pool;
        waiter->state = WAITER_QUEUED;
        waiter->since_us = now_us;
        list_push_back(&pool->waiting, &waiter->link);
        if (!pool->paused) {
            task->ask_worker = worker_with_idle(pool);
            task->open = may_open(pool, now_us);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return result;
}

struct pool_waiter *pool_return(struct pool *pool, struct pool_server *server, int64_t now_us)
{
    TAG_CHECK(pool, POOL_TAG);
    CHECK(!server->idle);
    pthread_mutex_lock(&pool->lock);
    server->released_us = now_us;
    struct pool_waiter *waiter = pool->paused ? NULL : waiter_take(pool);
    if (waiter == NULL) {
        server->idle = true;
        pool->idle_count++;
        list_push_front(&pool->idle[server->worker], &server->link);
    }
    pthread_mutex_unlock(&pool->lock);
    return waiter;
}

bool pool_serve(struct pool *pool, int worker, struct pool_server **server,
                struct pool_waiter **waiter, int *ask_worker)
{
    TAG_CHECK(pool, POOL_TAG);
    bool both = false;
    *ask_worker = -1;
    pthread_mutex_lock(&pool->lock);
    if (!pool->paused && !list_empty(&pool->waiting) && !list_empty(&pool->idle[worker])) {
        *server = idle_take(pool, worker);
        *waiter = waiter_take(pool);
        both = true;
    } else if (!pool->paused && !list_empty(&pool->waiting)) {
        *ask_worker = worker_with_idle(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return both;
}

bool pool_abandon(struct pool *pool, struct pool_waiter *waiter)
{
    pthread_mutex_lock(&pool->lock);
    bool queued = waiter->state == WAITER_QUEUED;
    if (queued)
        waiter_drop(pool, waiter);
    bool free_to_go = waiter->state == WAITER_NONE;
    pthread_mutex_unlock(&pool->lock);
    return free_to_go;
}

void pool_took(struct pool *pool, struct pool_waiter *waiter)
{
    // No lock: out of the queue it is its own worker's alone, which has heard of the grant by now.
    CHECK(waiter->state == WAITER_GRANTED && waiter->pool == pool);
    waiter->state = WAITER_NONE;
}

void pool_opened(struct pool *pool, struct pool_server *server, int worker, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    CHECK(pool->opening > 0);
    pool->opening--;
    pool->open++;
    pool->failed_us = 0;
    server->pool = pool;
    server->worker = worker;
    server->idle = false;
    server->opened_us = now_us;
    link_init(&server->link);
    pthread_mutex_unlock(&pool->lock);
}

void pool_open_failed(struct pool *pool, int64_t now_us, bool refused, const char *state,
                      const char *why)
{
    pthread_mutex_lock(&pool->lock);
    CHECK(pool->opening > 0);
    pool->opening--;
    quota_give(pool->database_quota);
    quota_give(pool->user_quota);
    pool->failed_us = now_us;
    pool->refused = refused;
    snprintf(pool->failure, sizeof(pool->failure), "%s", why);
    snprintf(pool->failure_state, sizeof(pool->failure_state), "%s", state);
    pthread_mutex_unlock(&pool->lock);
}

void pool_closed(struct pool *pool, struct pool_server *server)
{
    pthread_mutex_lock(&pool->lock);
    if (server->idle) {
        list_remove(&pool->idle[server->worker], &server->link);
        server->idle = false;
        pool->idle_count--;
    }
    CHECK(pool->open > 0);
    pool->open--;
    quota_give(pool->database_quota);
    quota_give(pool->user_quota);
    pthread_mutex_unlock(&pool->lock);
}

bool pool_may_open(struct pool *pool, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    bool may = may_open(pool, now_us);
    pthread_mutex_unlock(&pool->lock);
    return may;
}

// The first waiter of this worker, or NULL. first: only one that waits to be greeted.
static struct pool_waiter *waiter_of(struct pool *pool, int worker, bool first)
{
    list_each(&pool->waiting, l)
    {
        struct pool_waiter *waiter = container_of(l, struct pool_waiter, link);
        if (waiter->worker == worker && (!first || waiter->first))
            return waiter;
    }
    return NULL;
}

struct pool_waiter *pool_overdue(struct pool *pool, int worker, int64_t before_us)
{
    struct pool_waiter *found = NULL;
    pthread_mutex_lock(&pool->lock);
    struct link *first = list_first(&pool->waiting);
    // The queue is in order of arrival: when its head is not overdue, nobody is.
    if (first != NULL && container_of(first, struct pool_waiter, link)->since_us < before_us)
        found = waiter_of(pool, worker, false);
    if (found != NULL && found->since_us >= before_us)
        found = NULL;
    if (found != NULL)
        waiter_drop(pool, found);
    pthread_mutex_unlock(&pool->lock);
    return found;
}

struct pool_waiter *pool_hopeless(struct pool *pool, int worker, int64_t now_us)
{
    struct pool_waiter *found = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->open == 0 && pool->opening == 0 && pool->refused && failing(pool, now_us))
        found = waiter_of(pool, worker, true);
    if (found != NULL)
        waiter_drop(pool, found);
    pthread_mutex_unlock(&pool->lock);
    return found;
}

struct pool_server *pool_stale(struct pool *pool, int worker, int64_t idle_before_us,
                               int64_t opened_before_us)
{
    struct pool_server *found = NULL;
    pthread_mutex_lock(&pool->lock);
    list_each(&pool->idle[worker], l)
    {
        struct pool_server *server = container_of(l, struct pool_server, link);
        bool idle_long = server->released_us < idle_before_us && pool->open > pool->limits.minimum;
        if (idle_long || server->opened_us < opened_before_us)
            found = server; // the last one found is the least recently used
    }
    if (found != NULL) {
        list_remove(&pool->idle[worker], &found->link);
        found->idle = false;
        pool->idle_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

bool pool_must_yield(struct pool *pool)
{
    bool yields = false;
    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count > 0 && list_empty(&pool->waiting)) {
        if (pool->database_quota->wanted) {
            pool->database_quota->wanted = false;
            yields = true;
        } else if (pool->user_quota->wanted) {
            pool->user_quota->wanted = false;
            yields = true;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return yields;
}

bool pool_take_idle(struct pool *pool, struct pool_server *server)
{
    pthread_mutex_lock(&pool->lock);
    bool idle = server->idle;
    if (idle) {
        list_remove(&pool->idle[server->worker], &server->link);
        server->idle = false;
        pool->idle_count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return idle;
}

void pool_pause(struct pool *pool, bool paused)
{
    pthread_mutex_lock(&pool->lock);
    pool->paused = paused;
    pthread_mutex_unlock(&pool->lock);
}

void pool_relimit(struct pool *pool, struct pool_limits limits)
{
    pthread_mutex_lock(&pool->lock);
    pool->limits = limits;
    pthread_mutex_unlock(&pool->lock);
}

void pool_client_joined(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->clients++;
    pthread_mutex_unlock(&pool->lock);
}

void pool_client_left(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->clients--;
    pthread_mutex_unlock(&pool->lock);
}

struct pool_figures pool_figures(struct pool *pool, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    struct link *first = list_first(&pool->waiting);
    struct pool_figures figures = {
        .clients_active = pool->clients - (int)pool->waiting.count,
        .clients_waiting = (int)pool->waiting.count,
        .servers_active = pool->open - pool->idle_count,
        .servers_idle = pool->idle_count,
        .servers_login = pool->opening,
        .longest_wait_us =
            first ? now_us - container_of(first, struct pool_waiter, link)->since_us : 0,
        .paused = pool->paused,
    };
    pthread_mutex_unlock(&pool->lock);
    return figures;
}
