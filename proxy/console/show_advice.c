// SPDX-License-Identifier: Apache-2.0
// SHOW ADVICE: what in the figures is worth a DBA's look, a row each, with the one thing to do. It
// says nothing that other SHOW commands do not; it only knows which of it is unusual.
#include "proxy/console/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cache/catalog.h"
#include "cache/ledger.h"
#include "cache/store.h"
#include "config/config.h"
#include "proxy/console/question.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/sql/queries.h"
#include "proxy/worker.h"

enum {
    PINNED_LONG_US = 10000000,
    BYPASSES_MANY = 100,
    WAIT_LONG_US = 1000, // on average, for each time a server was given out
    ASSIGNMENTS_MANY = 100,
    EVENTS_MANY = 10,
    FOUND_MAX = 1000,
};

// What workers found; the same subject of several is added up.
struct finding {
    int64_t figure;
    const char *topic; // static
    char subject[240];
    char advice[240];
};

static void find(struct question *q, const char *topic, int64_t figure, const char *subject,
                 const char *advice)
{
    struct finding *at = (struct finding *)(void *)q->found.at;
    size_t n = q->found.len / sizeof(*at);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(at[i].topic, topic) == 0 && strcmp(at[i].subject, subject) == 0) {
            at[i].figure += figure;
            return;
        }
    }
    struct finding f = {.figure = figure, .topic = topic};
    snprintf(f.subject, sizeof(f.subject), "%s", subject);
    snprintf(f.advice, sizeof(f.advice), "%s", advice);
    if (n < FOUND_MAX)
        buf_bytes(&q->found, &f, sizeof(f));
}

// ---- on each worker ----

static const char *of_pin(enum pin pin)
{
    switch (pin) {
    case PIN_TEMP:
        return "drop temporary tables when they are not needed any more, or use ON COMMIT DROP";
    case PIN_CURSOR:
        return "close cursors WITH HOLD, or read within the transaction";
    case PIN_ADVISORY:
        return "use pg_advisory_xact_lock(), or give the lock back soon";
    case PIN_LISTEN:
        return "LISTEN outside of transactions pins nobody";
    case PIN_PREPARE:
        return "prepare by protocol, which drivers do, instead of by SQL";
    case PIN_SEQUENCE:
        return "INSERT ... RETURNING tells the new id without currval()";
    case PIN_NONE:
    case PIN_SET:
    case PIN_LOAD:
    case PIN_FUNCTION:
    case PIN_COUNT:
        break;
    }
    return "such clients are best kept in a database line with pool_mode = session";
}

static void look_at_pins(const struct client *client, struct question *q, int64_t now)
{
    if (client->pins == 0 || client->server == NULL || client->mode == POOL_SESSION ||
        now - client->pinned_us < PINNED_LONG_US)
        return;
    for (int i = 1; i < PIN_COUNT; i++) {
        char subject[240];
        if ((client->pins & 1u << i) == 0)
            continue;
        snprintf(subject, sizeof(subject), "%.60s/%.60s: clients pinned by %s", client->database,
                 client->user, pin_name((enum pin)i));
        find(q, "pins", 1, subject, of_pin((enum pin)i));
    }
}

static void look_at_query(const char *database, const char *text, const struct query_figures *f,
                          void *arg)
{
    if (f->bypasses < BYPASSES_MANY || f->bypasses < f->hits)
        return;
    char subject[240], advice[240];
    snprintf(subject, sizeof(subject), "%.60s: %.170s", database, text);
    snprintf(advice, sizeof(advice), "is not cached: %s (%s)", bypass_sentence(f->reason),
             bypass_name(f->reason));
    find(arg, "bypasses", (int64_t)f->bypasses, subject, advice);
}

static void visit(struct worker *worker, struct question *q)
{
    int64_t now = clock_us();
    list_each(&worker->clients, l)
        look_at_pins(container_of(l, struct client, link), q, now);
    if (worker->queries != NULL)
        queries_each(worker->queries, look_at_query, q);
}

// ---- of all together ----

static void look_at_pool(struct route *route, void *arg)
{
    struct question *q = arg;
    struct tally_sum sum = route_tally(route);
    char subject[240];
    if (sum.assignments < ASSIGNMENTS_MANY || sum.wait_us / sum.assignments < WAIT_LONG_US)
        return;
    snprintf(subject, sizeof(subject), "%.80s/%.80s: microseconds that clients wait for a server, "
             "on average", route->database, route->user);
    find(q, "pool", (int64_t)(sum.wait_us / sum.assignments), subject,
         "raise pool_size if the server has room, or shorten transactions");
}

static void look_at_status(const struct domain_status *s, void *arg)
{
    char advice[240];
    if (s->state == DOMAIN_FOLLOWING || s->state == DOMAIN_ALIAS)
        return;
    snprintf(advice, sizeof(advice), "the cache is off here: %s",
             s->reason[0] != '\0' ? s->reason : "it is still beginning");
    find(arg, "cache", 0, s->target, advice);
}

struct tables {
    struct question *q;
    struct domain *domain;
};

static void look_at_table(const struct catalog_relation *r, void *arg)
{
    const struct tables *t = arg;
    uint32_t events = ledger_events(domain_ledger(t->domain), r->slot);
    if (r->key.count > 0 || events < EVENTS_MANY || r->bypass != BYPASS_NONE)
        return;
    char target[DOMAIN_TARGET_BYTES], subject[240];
    domain_describe(t->domain, target);
    snprintf(subject, sizeof(subject), "%.80s: %.*s.%.*s, writes that ended all its entries",
             target, (int)(r->schema.len < 64 ? r->schema.len : 64), (const char *)r->schema.at,
             (int)(r->name.len < 64 ? r->name.len : 64), (const char *)r->name.at);
    find(t->q, "keys", events, subject,
         "with a primary key a write ends only entries that may have read its rows");
}

static void look_at_domain(struct domain *domain, void *arg)
{
    struct catalog *catalog = domain_catalog_ref(domain);
    struct tables tables = {arg, domain};
    if (catalog != NULL)
        catalog_each(catalog, look_at_table, &tables);
    catalog_unref(&catalog);
}

static void look_at_cache(struct pooler *pooler, struct question *q)
{
    struct statistics_sum sum = {0};
    for (int i = 0; i < pooler->worker_count; i++)
        statistics_add(&sum, &pooler->workers[i]->cache);
    struct store_stats stats = store_stats(pooler->store);
    if (sum.audit_mismatches > 0)
        find(q, "cache", (int64_t)sum.audit_mismatches, "audits that found a wrong answer",
             "see the log for the queries; with invalidation = proxy somebody else writes");
    if (stats.evictions > stats.puts / 2 && stats.evictions > BYPASSES_MANY)
        find(q, "cache", (int64_t)stats.evictions, "answers that made room for others",
             "raise cache_size, or exclude what is not asked for again");
    uint64_t asked = sum.hits + sum.misses + statistics_bypassed(&sum);
    if (sum.bypasses[BYPASS_BARRIER] > BYPASSES_MANY && sum.bypasses[BYPASS_BARRIER] > asked / 20)
        find(q, "cache", (int64_t)sum.bypasses[BYPASS_BARRIER], "queries behind a barrier",
             "writes through triggers, functions or CALL hold up all hits for about a millisecond");
}

static void done(struct client *client, struct question *q)
{
    struct pooler *pooler = client->worker->pooler;
    pooler_each_route(pooler, look_at_pool, q);
    if (pooler->domains != NULL) {
        domains_status(pooler->domains, look_at_status, q);
        domains_each(pooler->domains, look_at_domain, q);
        look_at_cache(pooler, q);
        if (config_settings(client->worker->config)->track_queries == 0)
            find(q, "bypasses", 0, "queries are not tracked",
                 "SET track_queries = 1000, then ask again: what is not cached, and why");
    }
    const struct finding *at = (const struct finding *)(const void *)q->found.at;
    for (size_t i = 0; i < q->found.len / sizeof(*at); i++)
        table_row(&q->table, (struct cell[]){TEXT(at[i].topic), TEXT(at[i].subject),
                                             NUMBER(at[i].figure), TEXT(at[i].advice)});
    question_shown(client, q);
}

static enum command_result advice(struct client *client, struct table *table)
{
    struct question *q = question_of_table(client, table);
    q->visit = visit;
    q->done = done;
    question_ask_workers(q);
    return COMMAND_LATER;
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

const struct show show_advice[] = {
    {"advice", {"ssls", COLUMNS("topic", "subject", "figure", "advice")}, advice, false},
    {NULL, {NULL, NULL}, NULL, false},
};
