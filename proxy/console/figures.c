// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/figures.h"

#include <stdio.h>

#include "base/clock.h"
#include "cache/statistics.h"
#include "cache/store.h"
#include "config/config.h"
#include "proxy/census.h"
#include "proxy/console/metrics.h"
#include "proxy/halt.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/worker.h"

static void sum_cache(struct pooler *pooler, struct statistics_sum *sum)
{
    *sum = (struct statistics_sum){0};
    for (int i = 0; i < pooler->worker_count; i++)
        statistics_add(sum, &pooler->workers[i]->cache);
}

void figures_each_cache(struct pooler *pooler, figures_visit visit, void *arg)
{
    struct statistics_sum sum;
    sum_cache(pooler, &sum);
#define X(member, name, sentence) visit(name, sentence, sum.member, arg);
    STATISTICS_COUNTERS(X)
#undef X
    visit("bypasses", "queries that went around the cache, all reasons", statistics_bypassed(&sum),
          arg);
    struct store_stats stats = {0};
    if (pooler->store != NULL)
        stats = store_stats(pooler->store);
    visit("entries", "replies in memory", stats.entries, arg);
    visit("bytes", "memory they use, overhead included", stats.bytes, arg);
    visit("budget_bytes", "memory they may use", stats.budget_bytes, arg);
    visit("arena_bytes", "memory allocated for replies, with those being sent; 0 without jemalloc",
          stats.arena_bytes, arg);
    visit("resident_bytes", "... and what the system gives for it", stats.resident_bytes, arg);
    visit("evictions", "replies that made room for others", stats.evictions, arg);
    for (int i = BYPASS_NONE + 1; i < BYPASS_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "bypass_%s", bypass_name(i));
        visit(name, bypass_sentence(i), sum.bypasses[i], arg);
    }
}

// ---- /metrics ----

static void total(const char *name, const char *sentence, uint64_t value, void *arg)
{
    struct buf *out = arg;
    metrics_family(out, METRICS_COUNTER, name, sentence);
    metrics_sample(out, METRICS_COUNTER, name, (const char *const[]){NULL}, (double)value);
}

static void gauge(struct buf *out, const char *name, const char *sentence, double value)
{
    metrics_family(out, METRICS_GAUGE, name, sentence);
    metrics_sample(out, METRICS_GAUGE, name, (const char *const[]){NULL}, value);
}

static void cache_families(struct pooler *pooler, struct buf *out)
{
    struct statistics_sum sum;
    sum_cache(pooler, &sum);
#define X(member, name, sentence) total("cache_" name, sentence, sum.member, out);
    STATISTICS_COUNTERS(X)
#undef X
    metrics_family(out, METRICS_COUNTER, "cache_bypasses", "queries that went around the cache");
    for (int i = BYPASS_NONE + 1; i < BYPASS_COUNT; i++)
        metrics_sample(out, METRICS_COUNTER, "cache_bypasses",
                       (const char *const[]){"reason", bypass_name(i), NULL},
                       (double)sum.bypasses[i]);
    struct store_stats stats = {0};
    if (pooler->store != NULL)
        stats = store_stats(pooler->store);
    gauge(out, "cache_entries", "replies in memory", (double)stats.entries);
    gauge(out, "cache_bytes", "memory they use, overhead included", (double)stats.bytes);
    gauge(out, "cache_budget_bytes", "memory they may use", (double)stats.budget_bytes);
    gauge(out, "cache_arena_bytes", "memory allocated for replies, with those being sent",
          (double)stats.arena_bytes);
    gauge(out, "cache_resident_bytes", "what the system gives for it",
          (double)stats.resident_bytes);
    total("cache_evictions", "replies that made room for others", stats.evictions, out);
}

// ---- of routes ----

static const char *const tally_names[] = {
#define X(member, name, sentence) name,
    TALLY_FIGURES(X)
#undef X
};

static const char *const tally_sentences[] = {
#define X(member, name, sentence) sentence,
    TALLY_FIGURES(X)
#undef X
};

static void add_route(struct route *route, void *arg)
{
    struct tally_sum one = route_tally(route);
    tally_sum_add(arg, &one);
}

static void total_families(struct pooler *pooler, struct buf *out)
{
    pthread_mutex_lock(&pooler->lock);
    struct tally_sum all = pooler->gone;
    pthread_mutex_unlock(&pooler->lock);
    pooler_each_route(pooler, add_route, &all);
    for (int i = 0; i < TALLY_COUNT; i++)
        total(tally_names[i], tally_sentences[i], all.all[i], out);
}

struct pool_family {
    struct buf *out;
    const char *name;
    int which;
};

static void tally_sample(struct route *route, void *arg)
{
    struct pool_family *family = arg;
    struct tally_sum tally = route_tally(route);
    metrics_sample(family->out, METRICS_COUNTER, family->name,
                   (const char *const[]){"database", route->database, "user", route->user, NULL},
                   (double)tally.all[family->which]);
}

// By database and user; the sum over the users is the database's.
static void tally_families(struct pooler *pooler, struct buf *out)
{
    for (int i = 0; i < TALLY_COUNT; i++) {
        char name[64], sentence[160];
        snprintf(name, sizeof(name), "pool_%s", tally_names[i]);
        snprintf(sentence, sizeof(sentence), "%s, by pool", tally_sentences[i]);
        struct pool_family family = {out, name, i};
        metrics_family(out, METRICS_COUNTER, name, sentence);
        pooler_each_route(pooler, tally_sample, &family);
    }
}

static void pool_sample(struct route *route, void *arg)
{
    struct pool_family *family = arg;
    struct pool_figures f = pool_figures(route->pool, clock_us());
    const double values[] = {f.clients_active, f.clients_waiting, f.servers_active,
                             f.servers_idle,   f.servers_login,   (double)f.longest_wait_us / 1e6,
                             f.paused};
    metrics_sample(family->out, METRICS_GAUGE, family->name,
                   (const char *const[]){"database", route->database, "user", route->user, NULL},
                   values[family->which]);
}

static void pool_families(struct pooler *pooler, struct buf *out)
{
    static const struct {
        const char *name, *sentence;
    } families[] = {
        {"pool_clients_active", "clients linked to a server or idle"},
        {"pool_clients_waiting", "clients waiting for a server"},
        {"pool_servers_active", "servers in use"},
        {"pool_servers_idle", "servers ready for use"},
        {"pool_servers_login", "servers being logged in to"},
        {"pool_maxwait_seconds", "how long the first waiting client has waited"},
        {"pool_paused", "1 while nobody is given a server"},
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        struct pool_family family = {out, families[i].name, (int)i};
        metrics_family(out, METRICS_GAUGE, families[i].name, families[i].sentence);
        pooler_each_route(pooler, pool_sample, &family);
    }
}

// ---- of databases ----

static double of_database(struct pooler *pooler, const struct config *config,
                          const struct config_database *db, int which)
{
    switch (which) {
    case 0:
        return census_count(pooler->census, CENSUS_DATABASE, db->name);
    case 1:
        return config_max_db_client_connections(config, db);
    case 2:
        return halt_servers(pooler, db->name);
    case 3:
        return config_max_db_connections(config, db);
    case 4:
        return halt_is_paused(pooler, db->name);
    default:
        return halt_is_disabled(pooler, db->name);
    }
}

static void database_families(struct pooler *pooler, struct buf *out)
{
    static const struct {
        const char *name, *sentence;
    } families[] = {
        {"database_clients", "clients of the database, logged in or on their way"},
        {"database_max_clients", "max_db_client_connections, 0 is no limit"},
        {"database_servers", "server connections of all its pools"},
        {"database_max_servers", "max_db_connections, 0 is no limit"},
        {"database_paused", "1 after PAUSE or KILL of this database"},
        {"database_disabled", "1 after DISABLE"},
    };
    struct config *config = pooler_config(pooler);
    for (int i = 0; i < (int)(sizeof(families) / sizeof(*families)); i++) {
        metrics_family(out, METRICS_GAUGE, families[i].name, families[i].sentence);
        for (size_t d = 0; d < config_database_count(config); d++) {
            const struct config_database *db = config_database_at(config, d);
            if (!db->is_fallback)
                metrics_sample(out, METRICS_GAUGE, families[i].name,
                               (const char *const[]){"database", db->name, NULL},
                               of_database(pooler, config, db, i));
        }
    }
    config_unref(&config);
}

void figures_metrics(struct pooler *pooler, struct buf *out)
{
    total_families(pooler, out);
    cache_families(pooler, out);
    pool_families(pooler, out);
    tally_families(pooler, out);
    database_families(pooler, out);
    gauge(out, "clients", "connections of clients, of all kinds", pooler->clients);
    if (pooler->domains != NULL)
        metrics_domains(out, pooler->domains);
    metrics_end(out);
}
