// SPDX-License-Identifier: Apache-2.0
#include "proxy/halt.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/worker.h"

struct halt {
    struct hash_node node;
    bool paused, disabled;
    char database[];
};

enum halt_mode halt_mode(const struct pooler *pooler)
{
    return (enum halt_mode)pooler->halt_mode;
}

// ---- with the lock held ----

static struct halt *find(struct pooler *pooler, const char *database, bool make)
{
    uint64_t hash = hash_bytes(database, strlen(database));
    for (struct hash_node *n = hash_first(&pooler->halts, hash); n != NULL; n = hash_next(n)) {
        struct halt *halt = container_of(n, struct halt, node);
        if (strcmp(halt->database, database) == 0)
            return halt;
    }
    if (!make)
        return NULL;
    struct halt *halt = mem_zalloc(sizeof(*halt) + strlen(database) + 1);
    strcpy(halt->database, database);
    hash_insert(&pooler->halts, &halt->node, hash);
    return halt;
}

static bool must_pause(struct pooler *pooler, const struct route *route)
{
    const struct halt *halt = find(pooler, route->database, false);
    return halt_mode(pooler) != HALT_NONE || (halt != NULL && halt->paused);
}

void halt_new_route(struct pooler *pooler, struct route *route)
{
    pool_pause(route->pool, must_pause(pooler, route));
}

struct application {
    struct pooler *pooler;
    struct buf going_on; // owns; struct route *
};

static void apply(struct hash_node *node, void *arg)
{
    struct application *a = arg;
    struct route *route = container_of(node, struct route, node);
    bool paused = must_pause(a->pooler, route);
    if (!pool_pause(route->pool, paused) || paused)
        return;
    route_ref(route);
    buf_bytes(&a->going_on, &route, sizeof(route));
}

// To all routes; gives the lock back.
static void apply_and_unlock(struct pooler *pooler)
{
    struct application a = {.pooler = pooler};
    hash_each(&pooler->routes, apply, &a);
    pthread_mutex_unlock(&pooler->lock);
    // Who waits in a pool that goes on is served by the worker that is told so.
    struct route **routes = (struct route **)(void *)a.going_on.at;
    for (size_t i = 0; i < a.going_on.len / sizeof(*routes); i++) {
        worker_mail_serve(pooler->workers[i % (size_t)pooler->worker_count], routes[i]);
        route_unref(&routes[i]);
    }
    buf_fini(&a.going_on);
}

static void tell_all(struct pooler *pooler)
{
    for (int i = 0; i < pooler->worker_count; i++)
        worker_mail_halt(pooler->workers[i]);
    pooler->halted(pooler->halted_arg);
}

// ---- the interface ----

bool halt_process(struct pooler *pooler, enum halt_mode mode, uint64_t suspender)
{
    pthread_mutex_lock(&pooler->lock);
    bool was_free = halt_mode(pooler) == HALT_NONE &&
                    !(mode == HALT_SUSPENDED && pooler->refusing);
    if (was_free) {
        pooler->deaf = false; // until the main thread has heard of it
        pooler->suspender = suspender;
        pooler->halt_mode = (int)mode;
    }
    apply_and_unlock(pooler);
    if (was_free)
        tell_all(pooler);
    return was_free;
}

bool halt_release(struct pooler *pooler)
{
    pthread_mutex_lock(&pooler->lock);
    bool goes_on = halt_mode(pooler) != HALT_NONE && !pooler->refusing;
    if (goes_on) {
        pooler->halt_mode = HALT_NONE;
        pooler->heir = 0;
    }
    apply_and_unlock(pooler);
    if (goes_on)
        tell_all(pooler);
    return goes_on;
}

bool halt_inherit(struct pooler *pooler, uint64_t client)
{
    pthread_mutex_lock(&pooler->lock);
    bool may = halt_mode(pooler) == HALT_SUSPENDED && pooler->suspender == client;
    if (may)
        pooler->heir = client;
    pthread_mutex_unlock(&pooler->lock);
    return may;
}

bool halt_for_good(struct pooler *pooler, uint64_t heir)
{
    pthread_mutex_lock(&pooler->lock);
    bool may = heir == 0 || pooler->heir == heir;
    if (may)
        pooler->refusing = true;
    pthread_mutex_unlock(&pooler->lock);
    return may;
}

void halt_database(struct pooler *pooler, const char *database)
{
    pthread_mutex_lock(&pooler->lock);
    find(pooler, database, true)->paused = true;
    apply_and_unlock(pooler);
}

bool halt_release_database(struct pooler *pooler, const char *database)
{
    pthread_mutex_lock(&pooler->lock);
    struct halt *halt = find(pooler, database, false);
    bool was_paused = halt != NULL && halt->paused;
    if (was_paused)
        halt->paused = false;
    apply_and_unlock(pooler);
    return was_paused;
}

bool halt_is_paused(struct pooler *pooler, const char *database)
{
    pthread_mutex_lock(&pooler->lock);
    const struct halt *halt = find(pooler, database, false);
    bool paused = halt != NULL && halt->paused;
    pthread_mutex_unlock(&pooler->lock);
    return paused;
}

static void count_paused(struct hash_node *node, void *arg)
{
    *(int *)arg += container_of(node, struct halt, node)->paused;
}

int halt_paused_databases(struct pooler *pooler)
{
    int count = 0;
    pthread_mutex_lock(&pooler->lock);
    hash_each(&pooler->halts, count_paused, &count);
    pthread_mutex_unlock(&pooler->lock);
    return count;
}

void halt_disable(struct pooler *pooler, const char *database, bool disabled)
{
    pthread_mutex_lock(&pooler->lock);
    find(pooler, database, true)->disabled = disabled;
    pthread_mutex_unlock(&pooler->lock);
}

bool halt_is_disabled(struct pooler *pooler, const char *database)
{
    pthread_mutex_lock(&pooler->lock);
    const struct halt *halt = find(pooler, database, false);
    bool disabled = halt != NULL && halt->disabled;
    pthread_mutex_unlock(&pooler->lock);
    return disabled;
}

struct count {
    const char *database;
    int servers;
};

static void count_servers(struct route *route, void *arg)
{
    struct count *count = arg;
    if (count->database != NULL && strcmp(count->database, route->database) != 0)
        return;
    struct pool_figures f = pool_figures(route->pool, clock_us());
    count->servers += f.servers_active + f.servers_idle + f.servers_login;
}

int halt_servers(struct pooler *pooler, const char *database)
{
    struct count count = {database, 0};
    pooler_each_route(pooler, count_servers, &count);
    return count.servers;
}

static void free_halt(struct hash_node *node, void *arg)
{
    mem_free(container_of(node, struct halt, node));
}

void halt_fini(struct pooler *pooler)
{
    hash_each(&pooler->halts, free_halt, NULL);
    hash_fini(&pooler->halts);
}
