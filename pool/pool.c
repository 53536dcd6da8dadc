// SPDX-License-Identifier: Apache-2.0
#include "pool/pool.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

#define POOL_TAG 0x9001u

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
    pool->workers = workers;
    pool->idle = mem_alloc((size_t)workers * sizeof(*pool->idle));
    for (int i = 0; i < workers; i++)
        list_init(&pool->idle[i]);
    list_init(&pool->waiting);
    claim_join(&pool->claim, database_quota, user_quota);
    return pool;
}

void pool_free(struct pool *pool)
{
    TAG_CHECK(pool, POOL_TAG);
    CHECK(pool->claim.spare.idle == 0 && list_empty(&pool->waiting) && pool->open == 0);
    claim_leave(&pool->claim);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->idle);
    mem_free(pool->database);
    mem_free(pool->user);
    TAG_CLEAR(pool);
    mem_free(pool);
}

// ---- under the lock ----

static void idle_changed(struct pool *pool, int by)
{
    // Only this pool writes it, under its lock; its quotas may read it at any time.
    int idle = atomic_load_explicit(&pool->claim.spare.idle, memory_order_relaxed);
    atomic_store_explicit(&pool->claim.spare.idle, idle + by, memory_order_relaxed);
}

static void idle_add(struct pool *pool, struct pool_server *server, int64_t now_us)
{
    server->idle = true;
    server->released_us = now_us;
    list_push_front(&pool->idle[server->worker], &server->link);
    atomic_store_explicit(&pool->claim.spare.since_us, now_us, memory_order_relaxed);
    idle_changed(pool, 1);
}

static void idle_remove(struct pool *pool, struct pool_server *server)
{
    list_remove(&pool->idle[server->worker], &server->link);
    server->idle = false;
    idle_changed(pool, -1);
}

static struct pool_server *idle_next(const struct pool *pool, int worker,
                                     const struct pool_server *preferred)
{
    const struct list *idle = &pool->idle[worker];
    if (preferred != NULL)
        list_each(idle, i)
            if (container_of(i, struct pool_server, link) == preferred)
                return container_of(i, struct pool_server, link);
    struct link *l = pool->limits.round_robin ? list_last(idle) : list_first(idle);
    return l != NULL ? container_of(l, struct pool_server, link) : NULL;
}

static bool needs_check(const struct pool *pool, const struct pool_server *server, int64_t now_us)
{
    return pool->limits.checks && now_us - server->released_us >= pool->limits.check_after_us;
}

// The next idle connection of this worker, taken out. One that must be checked first is marked.
static struct pool_server *idle_take(struct pool *pool, int worker,
                                     const struct pool_server *preferred, int64_t now_us)
{
    struct pool_server *server = idle_next(pool, worker, preferred);
    if (server == NULL)
        return NULL;
    idle_remove(pool, server);
    server->checking = needs_check(pool, server, now_us);
    if (server->checking)
        pool->checking++;
    else
        server->used = true;
    return server;
}

static void check_ended(struct pool *pool, struct pool_server *server)
{
    if (server->checking)
        pool->checking--;
    server->checking = false;
}

static void note_desertion(struct pool *pool, int64_t now_us)
{
    pool->deserted_us = pool->clients == 0 && pool->open == 0 && pool->opening == 0 ? now_us : 0;
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

static int64_t waiting_since(const struct pool *pool)
{
    const struct link *first = list_first(&pool->waiting);
    return first != NULL ? container_of(first, struct pool_waiter, link)->since_us : 0;
}

// Clients beyond those who will get an idle connection, or one that is being checked.
static bool lacks_servers(const struct pool *pool)
{
    return pool->waiting.count > (size_t)(pool->claim.spare.idle + pool->checking);
}

static bool lacks_minimum(const struct pool *pool)
{
    const struct pool_limits *limits = &pool->limits;
    int minimum = limits->minimum < limits->size ? limits->minimum : limits->size;
    return pool->open < minimum && (pool->clients > 0 || limits->keeps_minimum);
}

// May there be one more, as far as this pool is concerned?
static bool fits(const struct pool *pool, int64_t now_us, bool *from_reserve)
{
    const struct pool_limits *limits = &pool->limits;
    *from_reserve = false;
    int open = pool->open + pool->own_wanted; // theirs is the next place
    if (open < limits->size)
        return true;
    *from_reserve = !list_empty(&pool->waiting) &&
                    now_us - waiting_since(pool) >= limits->reserve_after_us &&
                    open < limits->size + limits->reserve;
    return *from_reserve;
}

// Counts a new connection as opening when limits, quotas and the pace allow it.
static void may_open(struct pool *pool, int64_t now_us, struct pool_task *task)
{
    bool lacks = lacks_servers(pool);
    bool wanted = lacks || lacks_minimum(pool);
    if (!wanted || pool->opening > 0 || pool->paused || failing(pool, now_us) ||
        !fits(pool, now_us, &task->from_reserve)) {
        if (pool->own_wanted == 0)
            claim_content(&pool->claim);
        return;
    }
    // Only a waiting client may push others aside.
    task->open = claim_take(&pool->claim, lacks ? waiting_since(pool) : 0);
    if (task->open) {
        pool->opening++;
        pool->deserted_us = 0;
    } else if (lacks) {
        task->evict = claim_has_spare(&pool->claim, now_us);
    }
}

// Has it had its time? They are closed one after the other, so that they need not all be opened
// again at once.
static bool life_over(const struct pool *pool, const struct pool_server *server, int64_t now_us)
{
    int64_t lifetime = pool->limits.lifetime_us;
    if (lifetime == 0)
        return pool->limits.used_once && server->used;
    int64_t gap = pool->limits.size > 0 ? lifetime / pool->limits.size : 0;
    return now_us - server->opened_us >= lifetime && now_us - pool->lifetime_closed_us >= gap;
}

static const char lifetime_over[] = "server lifetime over";
static const char too_many[] = "too many servers in the pool";
static const char evicted[] = "evicted";

static bool is_too_large(const struct pool *pool)
{
    // A size of 0 was set to let the pool run dry by itself.
    return pool->limits.size > 0 && pool->open > pool->limits.size + pool->limits.reserve;
}

static bool must_make_room(const struct pool *pool)
{
    return pool->own_wanted > 0 && pool->open + pool->opening >= pool->limits.size;
}

// Why this one must not go back to the pool; NULL: it may. idle: nobody waits for it here.
static const char *must_close(struct pool *pool, const struct pool_server *server, bool idle,
                              int64_t now_us)
{
    if (server->used && life_over(pool, server, now_us)) {
        pool->lifetime_closed_us = now_us;
        return lifetime_over;
    }
    if (is_too_large(pool))
        return too_many;
    if (must_make_room(pool))
        return evicted;
    if (claim_yields(&pool->claim, server->opened_us, idle, now_us))
        return evicted;
    return NULL;
}

static int worker_with_idle(const struct pool *pool)
{
    for (int i = 0; i < pool->workers; i++)
        if (!list_empty(&pool->idle[i]))
            return i;
    return -1;
}

// ---- the interface ----

static void enqueue(struct pool *pool, struct pool_waiter *waiter, int64_t now_us)
{
    waiter->pool = pool;
    waiter->state = WAITER_QUEUED;
    waiter->since_us = now_us;
    list_push_back(&pool->waiting, &waiter->link);
}

// Nothing more can be opened, and the queue moves too slowly for this one.
static bool is_hopeless(const struct pool *pool, const struct pool_waiter *waiter, int64_t now_us)
{
    return waiter->patience_us > 0 && !pool->paused &&
           pool->open >= pool->limits.size + pool->limits.reserve &&
           forecast_is_hopeless(&pool->forecast, pool->waiting.count, waiter->patience_us, now_us);
}

enum pool_result pool_request(struct pool *pool, struct pool_waiter *waiter, int64_t now_us,
                              struct pool_server **server, struct pool_task *task)
{
    TAG_CHECK(pool, POOL_TAG);
    CHECK(waiter->state == WAITER_NONE);
    *task = (struct pool_task){.ask_worker = -1};
    *server = NULL;
    enum pool_result result = POOL_QUEUED;
    struct pool_server *found = NULL;
    pthread_mutex_lock(&pool->lock);
    if (list_empty(&pool->waiting) && !pool->paused)
        found = idle_take(pool, waiter->worker, waiter->prefers, now_us);
    if (found != NULL && !found->checking) {
        *server = found;
        waiter->pool = pool;
        waiter->state = WAITER_GRANTED;
        result = POOL_GRANTED;
    } else if (pool->open == 0 && failing(pool, now_us) && !pool->paused) {
        result = POOL_FAILING;
    } else if (found == NULL && is_hopeless(pool, waiter, now_us)) {
        result = POOL_HOPELESS;
    } else {
        enqueue(pool, waiter, now_us);
        task->check = found;
        if (!pool->paused && found == NULL) {
            // Others wait, too: whoever has idle ones serves them in order, or checks one for each.
            if (pool->waiting.count > (size_t)pool->checking)
                task->ask_worker = worker_with_idle(pool);
            may_open(pool, now_us, task);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return result;
}

struct pool_waiter *pool_return(struct pool *pool, struct pool_server *server, int64_t now_us,
                                const char **close)
{
    TAG_CHECK(pool, POOL_TAG);
    CHECK(!server->idle);
    struct pool_waiter *waiter = NULL;
    pthread_mutex_lock(&pool->lock);
    check_ended(pool, server);
    bool idle = pool->paused || list_empty(&pool->waiting);
    forecast_note(&pool->forecast, !idle, now_us);
    *close = must_close(pool, server, idle, now_us);
    if (*close == NULL && idle) {
        idle_add(pool, server, now_us);
    } else if (*close == NULL) {
        waiter = waiter_take(pool);
        server->used = true;
    }
    pthread_mutex_unlock(&pool->lock);
    return waiter;
}

bool pool_serve(struct pool *pool, int worker, int64_t now_us, struct pool_server **server,
                struct pool_waiter **waiter, struct pool_task *task)
{
    TAG_CHECK(pool, POOL_TAG);
    *task = (struct pool_task){.ask_worker = -1};
    bool both = false;
    pthread_mutex_lock(&pool->lock);
    // Those who will get one that is being checked need no other.
    bool wanted = !pool->paused && pool->waiting.count > (size_t)pool->checking;
    struct pool_server *found = wanted ? idle_take(pool, worker, NULL, now_us) : NULL;
    if (found != NULL && found->checking) {
        task->check = found;
    } else if (found != NULL) {
        *server = found;
        *waiter = waiter_take(pool);
        both = true;
    } else if (wanted) {
        task->ask_worker = worker_with_idle(pool);
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

// In use from now on. With the lock.
static void count_open(struct pool *pool, struct pool_server *server, int worker, int64_t opened_us)
{
    pool->open++;
    pool->deserted_us = 0;
    server->pool = pool;
    server->worker = worker;
    server->idle = server->used = server->checking = false;
    server->opened_us = opened_us;
    link_init(&server->link);
}

void pool_opened(struct pool *pool, struct pool_server *server, int worker, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    CHECK(pool->opening > 0);
    pool->opening--;
    pool->failed_us = 0;
    count_open(pool, server, worker, now_us);
    pthread_mutex_unlock(&pool->lock);
}

void pool_want_own(struct pool *pool, int more)
{
    pthread_mutex_lock(&pool->lock);
    pool->own_wanted += more;
    CHECK(pool->own_wanted >= 0);
    pthread_mutex_unlock(&pool->lock);
}

bool pool_open_own(struct pool *pool, struct pool_server *server, int worker, int64_t since_us,
                   int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    bool may = !pool->paused && pool->open + pool->opening < pool->limits.size &&
               !failing(pool, now_us) && claim_take(&pool->claim, since_us);
    if (may)
        count_open(pool, server, worker, now_us);
    pthread_mutex_unlock(&pool->lock);
    return may;
}

void pool_take_over(struct pool *pool, struct pool_server *server, int worker, int64_t opened_us)
{
    pthread_mutex_lock(&pool->lock);
    claim_add(&pool->claim);
    count_open(pool, server, worker, opened_us);
    pthread_mutex_unlock(&pool->lock);
}

void pool_open_failed(struct pool *pool, int64_t now_us, bool refused, const char *state,
                      const char *why)
{
    pthread_mutex_lock(&pool->lock);
    CHECK(pool->opening > 0);
    pool->opening--;
    claim_give(&pool->claim);
    pool->failed_us = now_us;
    pool->refused = refused;
    snprintf(pool->failure, sizeof(pool->failure), "%s", why);
    snprintf(pool->failure_state, sizeof(pool->failure_state), "%s", state);
    note_desertion(pool, now_us);
    pthread_mutex_unlock(&pool->lock);
}

void pool_open_given_up(struct pool *pool, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    CHECK(pool->opening > 0);
    pool->opening--;
    claim_give(&pool->claim);
    note_desertion(pool, now_us);
    pthread_mutex_unlock(&pool->lock);
}

void pool_closed(struct pool *pool, struct pool_server *server, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    if (server->idle)
        idle_remove(pool, server);
    check_ended(pool, server);
    CHECK(pool->open > 0);
    pool->open--;
    claim_give(&pool->claim);
    note_desertion(pool, now_us);
    pthread_mutex_unlock(&pool->lock);
}

bool pool_may_open(struct pool *pool, int64_t now_us, struct pool_task *task)
{
    *task = (struct pool_task){.ask_worker = -1};
    pthread_mutex_lock(&pool->lock);
    may_open(pool, now_us, task);
    pthread_mutex_unlock(&pool->lock);
    return task->open;
}

struct pool_waiter *pool_hopeless(struct pool *pool, int worker, int64_t now_us)
{
    struct pool_waiter *found = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->open == 0 && pool->opening == 0 && pool->failed_us != 0 && pool->refused) {
        bool any = failing(pool, now_us);
        list_each(&pool->waiting, l)
        {
            struct pool_waiter *waiter = container_of(l, struct pool_waiter, link);
            if (found == NULL && waiter->worker == worker &&
                (any || waiter->since_us <= pool->failed_us))
                found = waiter;
        }
    }
    if (found != NULL)
        waiter_drop(pool, found);
    pthread_mutex_unlock(&pool->lock);
    return found;
}

static const char *stale_because(const struct pool *pool, const struct pool_server *server,
                                 int64_t idle_before_us, int64_t now_us)
{
    if (server->released_us < idle_before_us && pool->open > pool->limits.minimum)
        return "server idle timeout";
    if (life_over(pool, server, now_us))
        return lifetime_over;
    if (must_make_room(pool))
        return evicted;
    return is_too_large(pool) ? too_many : NULL;
}

struct pool_server *pool_stale(struct pool *pool, int worker, int64_t idle_before_us,
                               int64_t now_us, const char **why)
{
    struct pool_server *found = NULL;
    *why = NULL;
    pthread_mutex_lock(&pool->lock);
    list_each(&pool->idle[worker], l)
    {
        struct pool_server *server = container_of(l, struct pool_server, link);
        const char *because = stale_because(pool, server, idle_before_us, now_us);
        if (because != NULL) {
            found = server; // the last one found is the least recently used
            *why = because;
        }
    }
    if (found != NULL)
        idle_remove(pool, found);
    if (*why == lifetime_over)
        pool->lifetime_closed_us = now_us;
    pthread_mutex_unlock(&pool->lock);
    return found;
}

struct pool_server *pool_evict(struct pool *pool, int worker, int64_t now_us)
{
    struct pool_server *found = NULL;
    if (!pool_contended(pool))
        return NULL;
    pthread_mutex_lock(&pool->lock);
    struct link *oldest = list_last(&pool->idle[worker]);
    if (oldest != NULL && claim_evicts(&pool->claim, now_us))
        found = container_of(oldest, struct pool_server, link);
    if (found != NULL)
        idle_remove(pool, found);
    pthread_mutex_unlock(&pool->lock);
    return found;
}

bool pool_take_idle(struct pool *pool, struct pool_server *server)
{
    pthread_mutex_lock(&pool->lock);
    bool idle = server->idle;
    if (idle)
        idle_remove(pool, server);
    pthread_mutex_unlock(&pool->lock);
    return idle;
}

bool pool_wants_back(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool wants = pool->limits.used_once || !list_empty(&pool->waiting);
    pthread_mutex_unlock(&pool->lock);
    return wants;
}

bool pool_pause(struct pool *pool, bool paused)
{
    pthread_mutex_lock(&pool->lock);
    bool changes = pool->paused != paused;
    pool->paused = paused;
    pthread_mutex_unlock(&pool->lock);
    return changes;
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
    pool->deserted_us = 0;
    pthread_mutex_unlock(&pool->lock);
}

void pool_client_left(struct pool *pool, int64_t now_us)
{
    pthread_mutex_lock(&pool->lock);
    pool->clients--;
    note_desertion(pool, now_us);
    pthread_mutex_unlock(&pool->lock);
}
