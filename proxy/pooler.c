// SPDX-License-Identifier: Apache-2.0
#include "proxy/pooler.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-daemon.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/store.h"
#include "config/config.h"
#include "proxy/census.h"
#include "proxy/halt.h"
#include "proxy/peers.h"
#include "proxy/route.h"
#include "proxy/login/checker.h"
#include "proxy/login/misses.h"
#include "proxy/server/resolver.h"
#include "proxy/session/client.h"
#include "proxy/session/statement.h"
#include "proxy/sql/learnt.h"
#include "proxy/sql/texts.h"
#include "proxy/tls_context.h"
#include "proxy/worker.h"

enum {
    TEXTS_COUNT = 20000,
    TEXTS_BYTES = 64 << 20,
    STORE_SHARDS = 16,
    STORE_SHARDS_MAX = 256,
    STORE_SHARD_BYTES = 64 << 20, // of one, at most, as far as there may be more of them
    SWEEP_US = 1000000,
};

struct quota_node {
    struct hash_node node;
    struct pool_quota quota;
    char kind;
    char name[];
};

// As many shards as leave room for the largest reply that may be kept: an eighth of one (store.h).
// Of a large store more, since a shard's lock is held while its table grows.
static unsigned shards_for(const struct settings *settings)
{
    unsigned shards = STORE_SHARDS;
    int64_t largest = settings->cache_max_entry_size_bytes;
    while (shards < STORE_SHARDS_MAX && settings->cache_size_bytes / shards > STORE_SHARD_BYTES)
        shards *= 2;
    while (shards > 1 && settings->cache_size_bytes / shards / 8 < largest)
        shards /= 2;
    return shards;
}

struct pooler *pooler_new(struct config *config, int worker_count)
{
    struct pooler *pooler = mem_new(struct pooler);
    pthread_mutex_init(&pooler->lock, NULL);
    pthread_mutex_init(&pooler->cancel_lock, NULL);
    pooler->config = config_ref(config);
    pooler->worker_count = worker_count;
    pooler->workers = mem_zalloc((size_t)worker_count * sizeof(struct worker *));
    pooler->texts = texts_new(TEXTS_COUNT, TEXTS_BYTES);
    pooler->statements = statement_registry_new();
    pooler->vars = vars_registry_new();
    pooler->resolver = resolver_new(NULL);
    pooler->checker = checker_new(NULL);
    pooler->peers = peers_use_new();
    pooler->census = census_new();
    pooler->wrong_passwords = misses_new(10 * 1000000, LOGIN_MISSES_MOST);
    pooler->wrong_keys = misses_new(100 * 1000, CANCEL_MISSES_MOST);
    const struct settings *settings = config_settings(config);
    if (settings->cache)
        pooler->store = store_new((size_t)settings->cache_size_bytes, shards_for(settings));
    CHECK(getrandom(pooler->mock_secret, sizeof(pooler->mock_secret), 0) ==
          sizeof(pooler->mock_secret));
    pooler->started_us = pooler->period_newer_us = clock_us();
    pooler->period_older_us = pooler->started_us - 1000000;
    return pooler;
}

static void free_route(struct hash_node *node, void *arg)
{
    struct route *route = container_of(node, struct route, node);
    route_unref(&route);
}

static void free_quota(struct hash_node *node, void *arg)
{
    struct quota_node *q = container_of(node, struct quota_node, node);
    quota_fini(&q->quota);
    mem_free(q);
}

static void free_learnt(struct hash_node *node, void *arg)
{
    learnt_free(learnt_of_node(node));
}

void pooler_stop_resolver(struct pooler *pooler)
{
    resolver_free(pooler->resolver);
    pooler->resolver = NULL;
}

int pooler_stop_checker(struct pooler *pooler)
{
    return checker_stop(&pooler->checker);
}

void pooler_free(struct pooler *pooler)
{
    hash_each(&pooler->routes, free_route, NULL);
    hash_fini(&pooler->routes);
    hash_each(&pooler->quotas, free_quota, NULL);
    hash_fini(&pooler->quotas);
    hash_each(&pooler->learnt, free_learnt, NULL);
    hash_fini(&pooler->learnt);
    hash_fini(&pooler->cancel_keys);
    halt_fini(pooler);
    statement_registry_free(pooler->statements);
    vars_registry_free(pooler->vars);
    texts_free(pooler->texts);
    peers_use_free(pooler->peers);
    census_free(pooler->census);
    misses_free(pooler->wrong_passwords);
    misses_free(pooler->wrong_keys);
    store_free(pooler->store);
    config_unref(&pooler->config);
    tls_context_unref(&pooler->tls);
    pthread_mutex_destroy(&pooler->lock);
    pthread_mutex_destroy(&pooler->cancel_lock);
    mem_free(pooler->workers);
    mem_free(pooler);
}

struct config *pooler_config(struct pooler *pooler)
{
    pthread_mutex_lock(&pooler->lock);
    struct config *config = config_ref(pooler->config);
    pthread_mutex_unlock(&pooler->lock);
    return config;
}

struct tls_context *pooler_tls(struct pooler *pooler)
{
    pthread_mutex_lock(&pooler->lock);
    struct tls_context *tls = tls_context_ref(pooler->tls);
    pthread_mutex_unlock(&pooler->lock);
    return tls;
}

bool pooler_load_tls(struct pooler *pooler, const struct config *config)
{
    struct problems problems = {0};
    struct tls_context *fresh = tls_context_new(config, pooler->tls, &problems);
    problems_log(&problems);
    problems_fini(&problems);
    if (fresh == NULL && pooler->tls == NULL)
        log_write(LOG_LEVEL_FATAL, "TLS setup failed");
    else if (fresh == NULL)
        log_error("TLS configuration could not be reloaded, keeping old configuration");
    if (fresh == NULL)
        return false;
    pthread_mutex_lock(&pooler->lock);
    struct tls_context *old = pooler->tls;
    pooler->tls = fresh;
    pthread_mutex_unlock(&pooler->lock);
    tls_context_unref(&old);
    return true;
}

static uint64_t pair_hash(const char *a, const char *b)
{
    return hash_bytes(a, strlen(a)) * 31 + hash_bytes(b, strlen(b));
}

// ---- routes that come and go; with pooler->lock held ----

static struct route *find_route(const struct pooler *pooler, const char *database,
                                const char *user)
{
    struct hash_node *n = hash_first(&pooler->routes, pair_hash(database, user));
    for (; n != NULL; n = hash_next(n)) {
        struct route *route = container_of(n, struct route, node);
        if (strcmp(route->database, database) == 0 && strcmp(route->user, user) == 0)
            return route;
    }
    return NULL;
}

static struct route *make_route(struct pooler *pooler, const struct config *config,
                                const char *database, const char *user)
{
    struct route *route = route_new(pooler, config, database, user);
    hash_insert(&pooler->routes, &route->node, pair_hash(database, user));
    halt_new_route(pooler, route);
    return route;
}

struct leaving {
    const struct config *config;
    const struct config *old; // of a reload
    int64_t now_us;
    struct buf routes; // struct route *
};

static bool is_database_gone(struct route *route, const struct leaving *leaving)
{
    return config_database(leaving->config, route->database) == NULL;
}

// Names for the `*` line are strangers' words: until a server has let us in, nothing is behind one.
static bool is_made_up(const struct route *route, const struct config *config)
{
    const struct config_database *db = config_database(config, route->database);
    return db != NULL && db->is_fallback && !route->welcomed;
}

// Has it been without use for too long? Whoever finds it later gets a new one; nobody has it now.
static bool is_forgotten(struct route *route, const struct leaving *leaving)
{
    const struct settings *settings = config_settings(leaving->config);
    int64_t since_us = pool_deserted_us(route->pool);
    if (since_us == 0 || route->pool->paused || atomic_load(&route->holders) > 1)
        return false;
    int64_t idle_us = leaving->now_us - since_us;
    if (settings->pool_idle_timeout_us > 0 && idle_us > settings->pool_idle_timeout_us)
        return true;
    // That it failed is remembered as long as it counts.
    if (is_made_up(route, leaving->config) && idle_us > settings->server_login_retry_us)
        return true;
    const struct config_database *db = config_database(leaving->config, route->database);
    return db != NULL && db->is_fallback && settings->autodb_idle_timeout_us > 0 &&
           idle_us > settings->autodb_idle_timeout_us;
}

// Was the database's own user this one, and is it another one now?
static bool has_moved(struct route *route, const struct leaving *leaving)
{
    const struct config_database *before = config_database(leaving->old, route->database);
    const struct config_database *now = config_database(leaving->config, route->database);
    return before != NULL && now != NULL && before->user != NULL && now->user != NULL &&
           strcmp(before->user, route->user) == 0 && strcmp(now->user, route->user) != 0;
}

static void gather_moved(struct hash_node *node, void *arg)
{
    struct leaving *leaving = arg;
    struct route *route = container_of(node, struct route, node);
    if (has_moved(route, leaving))
        buf_bytes(&leaving->routes, &route, sizeof(route));
}

// They are not found any more; clients at rest look for the new one.
static void move_out(struct pooler *pooler, struct leaving *leaving)
{
    struct route **routes = (struct route **)(void *)leaving->routes.at;
    for (size_t i = 0; i < leaving->routes.len / sizeof(*routes); i++) {
        routes[i]->moved = true;
        routes[i]->generation++;
        hash_remove(&pooler->routes, &routes[i]->node);
        route_unref(&routes[i]);
    }
    buf_fini(&leaving->routes);
    leaving->routes = (struct buf){0};
}

static void gather_gone(struct hash_node *node, void *arg)
{
    struct leaving *leaving = arg;
    struct route *route = container_of(node, struct route, node);
    if (is_database_gone(route, leaving))
        buf_bytes(&leaving->routes, &route, sizeof(route));
}

static void gather_forgotten(struct hash_node *node, void *arg)
{
    struct leaving *leaving = arg;
    struct route *route = container_of(node, struct route, node);
    if (is_forgotten(route, leaving))
        buf_bytes(&leaving->routes, &route, sizeof(route));
}

// One line for each database, however many routes it had.
static void tell_of_dropping(struct route **routes, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(routes[j]->database, routes[i]->database) == 0)
            return;
    log_warning("dropping database '%s' as it does not exist anymore or inactive auto-database",
                routes[i]->database);
}

static void take_out(struct pooler *pooler, struct leaving *leaving)
{
    struct route **routes = (struct route **)(void *)leaving->routes.at;
    size_t count = leaving->routes.len / sizeof(*routes);
    for (size_t i = 0; i < count; i++) {
        const struct config_database *db =
            config_database(leaving->config, routes[i]->database);
        const struct config *known = leaving->old != NULL ? leaving->old : leaving->config;
        if ((db == NULL || db->is_fallback) && !is_made_up(routes[i], known))
            tell_of_dropping(routes, i);
        struct tally_sum tally = route_tally(routes[i]);
        tally_sum_add(&pooler->gone, &tally);
        routes[i]->removed = true;
        routes[i]->generation++;
        hash_remove(&pooler->routes, &routes[i]->node);
    }
    for (size_t i = 0; i < count; i++)
        route_unref(&routes[i]);
    buf_fini(&leaving->routes);
}

// A database that must have servers without having clients has its own user.
static void make_wanted(struct pooler *pooler, const struct config *config)
{
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        if (!db->is_fallback && db->user != NULL && config_min_pool_size(config, db) > 0 &&
            find_route(pooler, db->name, db->user) == NULL)
            make_route(pooler, config, db->name, db->user);
    }
}

static void configure_route(struct hash_node *node, void *arg)
{
    route_configure(container_of(node, struct route, node), arg);
}

void pooler_configure(struct pooler *pooler, struct config *config)
{
    struct leaving leaving = {.config = config};
    pthread_mutex_lock(&pooler->lock);
    struct config *old = pooler->config;
    pooler->config = config_ref(config);
    pooler->news = true;
    leaving.old = old;
    hash_each(&pooler->routes, gather_moved, &leaving);
    move_out(pooler, &leaving);
    hash_each(&pooler->routes, gather_gone, &leaving);
    take_out(pooler, &leaving);
    hash_each(&pooler->routes, configure_route, config);
    pthread_mutex_unlock(&pooler->lock);
    int64_t budget = config_settings(config)->cache_size_bytes;
    if (pooler->store != NULL && budget != config_settings(old)->cache_size_bytes)
        store_set_budget(pooler->store, (size_t)budget);
    config_unref(&old);
    pooler_load_tls(pooler, config);
}

void pooler_one_configured(struct pooler *pooler)
{
    if (atomic_fetch_sub(&pooler->unconfigured, 1) > 1)
        return;
    if (atomic_exchange(&pooler->news, false))
        log_info("configuration is in force");
    sd_notify(0, "READY=1");
}

static void sweep_quota(struct hash_node *node, void *arg)
{
    struct quota_node *q = container_of(node, struct quota_node, node);
    if (!quota_is_deserted(&q->quota))
        return;
    hash_remove(arg, node);
    free_quota(node, NULL);
}

static void sweep_learnt(struct hash_node *node, void *arg)
{
    if (!learnt_is_deserted(learnt_of_node(node)))
        return;
    hash_remove(arg, node);
    free_learnt(node, NULL);
}

// What routes left behind. Routes are made, and join, with the lock held.
static void sweep(struct pooler *pooler, int64_t now_us)
{
    if (now_us - pooler->swept_us < SWEEP_US)
        return;
    pooler->swept_us = now_us;
    hash_each(&pooler->quotas, sweep_quota, &pooler->quotas);
    hash_each(&pooler->learnt, sweep_learnt, &pooler->learnt);
}

void pooler_tidy(struct pooler *pooler, const struct config *config, int64_t now_us)
{
    struct leaving leaving = {.config = config, .now_us = now_us};
    pthread_mutex_lock(&pooler->lock);
    if (config == pooler->config) { // else there is news on its way to the caller
        hash_each(&pooler->routes, gather_forgotten, &leaving);
        take_out(pooler, &leaving);
        make_wanted(pooler, config);
    }
    sweep(pooler, now_us);
    pthread_mutex_unlock(&pooler->lock);
}

static struct route *route_for(struct pooler *pooler, const char *database, const char *user,
                               bool as_said)
{
    struct route *found = NULL;
    pthread_mutex_lock(&pooler->lock);
    const struct config *config = pooler->config;
    const struct config_database *db = config_database(config, database);
    if (db != NULL) {
        const char *server_user = as_said ? user : config_server_user(db, user);
        found = find_route(pooler, database, server_user);
        if (found == NULL)
            found = make_route(pooler, config, database, server_user);
        route_ref(found);
    }
    pthread_mutex_unlock(&pooler->lock);
    return found;
}

struct route *pooler_route(struct pooler *pooler, const char *database, const char *user)
{
    return route_for(pooler, database, user, false);
}

struct route *pooler_route_as(struct pooler *pooler, const char *database, const char *user)
{
    return route_for(pooler, database, user, true);
}

struct visit {
    void (*call)(struct route *, void *);
    void *arg;
};

static void visit_route(struct hash_node *node, void *arg)
{
    const struct visit *visit = arg;
    visit->call(container_of(node, struct route, node), visit->arg);
}

void pooler_each_route(struct pooler *pooler, void (*visit)(struct route *, void *), void *arg)
{
    struct visit v = {visit, arg};
    pthread_mutex_lock(&pooler->lock);
    hash_each(&pooler->routes, visit_route, &v);
    pthread_mutex_unlock(&pooler->lock);
}

static void collect_route(struct hash_node *node, void *arg)
{
    struct route *route = route_ref(container_of(node, struct route, node));
    buf_bytes(arg, &route, sizeof(route));
}

static int by_name(const void *a, const void *b)
{
    const struct route *const *x = a, *const *y = b;
    int order = strcmp((*x)->database, (*y)->database);
    return order != 0 ? order : strcmp((*x)->user, (*y)->user);
}

struct route **pooler_routes(struct pooler *pooler, size_t *count)
{
    struct buf all = {0};
    pthread_mutex_lock(&pooler->lock);
    hash_each(&pooler->routes, collect_route, &all);
    pthread_mutex_unlock(&pooler->lock);
    struct route **routes = (struct route **)(void *)all.at;
    *count = all.len / sizeof(*routes);
    if (*count > 0)
        qsort(routes, *count, sizeof(*routes), by_name);
    return routes;
}

void pooler_drop_routes(struct route **routes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        route_unref(&routes[i]);
    mem_free(routes);
}

static void reconnect_route(struct hash_node *node, void *arg)
{
    struct route *route = container_of(node, struct route, node);
    if (arg == NULL || strcmp(route->database, arg) == 0)
        route_reconnect(route);
}

void pooler_reconnect(struct pooler *pooler, const char *database)
{
    pthread_mutex_lock(&pooler->lock);
    hash_each(&pooler->routes, reconnect_route, (void *)(uintptr_t)database);
    pthread_mutex_unlock(&pooler->lock);
}

struct pool_quota *pooler_quota(struct pooler *pooler, char kind, const char *name)
{
    uint64_t hash = hash_bytes(name, strlen(name)) + (uint64_t)kind;
    for (struct hash_node *n = hash_first(&pooler->quotas, hash); n != NULL; n = hash_next(n)) {
        struct quota_node *q = container_of(n, struct quota_node, node);
        if (q->kind == kind && strcmp(q->name, name) == 0)
            return &q->quota;
    }
    struct quota_node *q = mem_zalloc(sizeof(*q) + strlen(name) + 1);
    q->kind = kind;
    strcpy(q->name, name);
    quota_init(&q->quota);
    hash_insert(&pooler->quotas, &q->node, hash);
    return &q->quota;
}

struct learnt *pooler_learnt(struct pooler *pooler, const char *target)
{
    uint64_t hash = hash_bytes(target, strlen(target));
    for (struct hash_node *n = hash_first(&pooler->learnt, hash); n != NULL; n = hash_next(n))
        if (strcmp(learnt_target(learnt_of_node(n)), target) == 0)
            return learnt_of_node(n);
    struct learnt *learnt = learnt_new(target);
    hash_insert(&pooler->learnt, learnt_node(learnt), hash);
    return learnt;
}

// ---- cancel keys ----

// By process number alone: the secret is then compared in constant time.
static uint64_t key_hash(struct slice bytes)
{
    uint32_t process = key_process(bytes);
    return hash_bytes(&process, sizeof(process));
}

static struct cancel_key *key_find(struct pooler *pooler, struct slice asked)
{
    struct cancel_key *found = NULL;
    struct hash_node *n = hash_first(&pooler->cancel_keys, key_hash(asked));
    for (; n != NULL; n = hash_next(n)) {
        struct cancel_key *key = container_of(n, struct cancel_key, node);
        if (key_matches(&key->bytes, asked))
            found = key;
    }
    return found;
}

void pooler_key_add(struct pooler *pooler, struct cancel_key *key, bool long_one, int peer_id)
{
    struct slice bytes;
    pthread_mutex_lock(&pooler->cancel_lock);
    do {
        key_make(&key->bytes, long_one, peer_id);
        bytes = slice_of(key->bytes.at, key->bytes.length);
    } while (key_process(bytes) == 0 || key_find(pooler, bytes) != NULL);
    hash_insert(&pooler->cancel_keys, &key->node, key_hash(bytes));
    pthread_mutex_unlock(&pooler->cancel_lock);
}

void pooler_key_keep(struct pooler *pooler, struct cancel_key *key, struct slice bytes, bool peered)
{
    CHECK(bytes.len > CANCEL_PROCESS_BYTES && bytes.len <= sizeof(key->bytes.at));
    pthread_mutex_lock(&pooler->cancel_lock);
    if (key_find(pooler, bytes) == NULL) {
        memcpy(key->bytes.at, bytes.at, bytes.len);
        key->bytes.length = (uint8_t)bytes.len;
        key->bytes.peered = peered;
        hash_insert(&pooler->cancel_keys, &key->node, key_hash(bytes));
    }
    pthread_mutex_unlock(&pooler->cancel_lock);
}

void pooler_key_remove(struct pooler *pooler, struct cancel_key *key)
{
    pthread_mutex_lock(&pooler->cancel_lock);
    hash_remove(&pooler->cancel_keys, &key->node);
    key->bytes.length = 0;
    pthread_mutex_unlock(&pooler->cancel_lock);
}

bool pooler_cancel(struct pooler *pooler, struct slice asked, struct cancel_asker asker)
{
    pthread_mutex_lock(&pooler->cancel_lock);
    struct cancel_key *key = key_find(pooler, asked);
    // Of the client, which may be another worker's, only what never changes.
    const struct client *owner = key ? container_of(key, struct client, key) : NULL;
    struct worker *worker = owner ? owner->worker : NULL;
    uint64_t client = owner ? owner->number : 0;
    pthread_mutex_unlock(&pooler->cancel_lock);
    if (worker != NULL)
        worker_mail_cancel(worker, client, asker);
    return worker != NULL;
}
