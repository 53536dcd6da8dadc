// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/figures.h"

#include <stdio.h>

#include "base/clock.h"
#include "cache/statistics.h"
#include "cache/store.h"
#include "proxy/console/metrics.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/worker.h"

struct worker_sum {
#define X(member, name, sentence) uint64_t member;
    WORKER_FIGURES(X)
#undef X
};

void figures_each_worker_sum(struct pooler *pooler, figures_visit visit, void *arg)
{
    struct worker_sum sum = {0};
    for (int i = 0; i < pooler->worker_count; i++) {
        struct worker_figures *f = &pooler->workers[i]->figures;
#define X(member, name, sentence)                                                                  \
    sum.member += atomic_load_explicit(&f->member, memory_order_relaxed);
        WORKER_FIGURES(X)
#undef X
    }
#define X(member, name, sentence) visit(name, sentence, sum.member, arg);
    WORKER_FIGURES(X)
#undef X
}

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
    visit("evictions", "replies that made room for others", stats.evictions, arg);
    for (int i = BYPASS_NONE + 1; i < BYPASS_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof(name), "bypass_%s", bypass_name(i));
        visit(name, bypass_sentence(i), sum.bypasses[i], arg);
    }
}

// ---- /metrics ----

static void counter(const char *name, const char *sentence, uint64_t value, void *arg)
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
#define X(member, name, sentence) counter("cache_" name, sentence, sum.member, out);
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
    counter("cache_evictions", "replies that made room for others", stats.evictions, out);
}

struct pool_family {
    struct buf *out;
    const char *name;
    int which;
};

static void pool_sample(struct route *route, void *arg)
{
    struct pool_family *family = arg;
    struct pool_figures f = pool_figures(route->pool, clock_us());
    const double values[] = {f.clients_active, f.clients_waiting, f.servers_active,
                             f.servers_idle,   f.servers_login,   (double)f.longest_wait_us / 1e6};
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
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        struct pool_family family = {out, families[i].name, (int)i};
        metrics_family(out, METRICS_GAUGE, families[i].name, families[i].sentence);
        pooler_each_route(pooler, pool_sample, &family);
    }
}

void figures_metrics(struct pooler *pooler, struct buf *out)
{
    figures_each_worker_sum(pooler, counter, out);
    cache_families(pooler, out);
    pool_families(pooler, out);
    if (pooler->domains != NULL)
        metrics_domains(out, pooler->domains);
    metrics_end(out);
}
