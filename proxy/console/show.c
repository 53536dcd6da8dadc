// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/show.h"

#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "cache/statistics.h"
#include "cache/store.h"
#include "config/config.h"
#include "config/option.h"
#include "proxy/console/figures.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/version.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum { COLUMNS_MAX = 24, TYPE_TEXT = 25, TYPE_INT8 = 20, TYPE_INT4 = 23 };

// A table being printed: a format for all columns at once, "s" text, "i" int4, "l" int8.
struct table {
    struct buf *out;
    const char *types;
    int rows;
};

static void table_begin(struct table *t, struct buf *out, const char *types,
                        const char *const *names)
{
    uint32_t oids[COLUMNS_MAX];
    int n = (int)strlen(types);
    for (int i = 0; i < n; i++)
        oids[i] = types[i] == 's' ? TYPE_TEXT : types[i] == 'i' ? TYPE_INT4 : TYPE_INT8;
    *t = (struct table){.out = out, .types = types};
    message_columns_text(out, names, oids, n);
}

// One value of a row.
struct cell {
    const char *text; // NULL: the number counts
    int64_t number;
};
#define TEXT(t) ((struct cell){.text = (t)})
#define NUMBER(n) ((struct cell){.number = (int64_t)(n)})

static void table_row(struct table *t, const struct cell *cells)
{
    char digits[COLUMNS_MAX][24];
    const char *values[COLUMNS_MAX];
    int n = (int)strlen(t->types);
    for (int i = 0; i < n; i++) {
        values[i] = cells[i].text;
        if (values[i] == NULL) {
            snprintf(digits[i], sizeof(digits[i]), "%lld", (long long)cells[i].number);
            values[i] = digits[i];
        }
    }
    message_row_text(t->out, values, n);
    t->rows++;
}

static void table_end(const struct table *t)
{
    (void)t;
    message_complete(t->out, "SHOW");
}

// ---- what is shown ----

static void show_version(struct client *client, struct buf *out)
{
    struct table t;
    table_begin(&t, out, "s", (const char *const[]){"version"});
    table_row(&t, (struct cell[]){TEXT("pgweir " PGWEIR_VERSION)});
    table_end(&t);
}

static void show_help(struct client *client, struct buf *out)
{
    message_error(out, "NOTICE", "00000",
                  "Console usage\n"
                  "\tSHOW HELP|VERSION|CONFIG|DATABASES|POOLS|STATS|CACHE|INVALIDATION\n"
                  "\tRELOAD\n"
                  "\tSHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]\n");
    message_complete(out, "SHOW");
}

static void pool_row(struct route *route, void *arg)
{
    struct table *t = arg;
    struct pool_figures f = pool_figures(route->pool, clock_us());
    table_row(t, (struct cell[]){
                     TEXT(route->database), TEXT(route->user), NUMBER(f.clients_active),
                     NUMBER(f.clients_waiting), NUMBER(0), NUMBER(0), NUMBER(f.servers_active),
                     NUMBER(0), NUMBER(0), NUMBER(f.servers_idle), NUMBER(0), NUMBER(0),
                     NUMBER(f.servers_login), NUMBER(f.longest_wait_us / 1000000),
                     NUMBER(f.longest_wait_us % 1000000), TEXT(pool_mode_name(route->pool->mode)),
                     TEXT("")});
}

// Columns, order and types: PgBouncer's.
static void show_pools(struct client *client, struct buf *out)
{
    struct table t;
    table_begin(&t, out, "ssiiiiiiiiiiiiiss",
                (const char *const[]){"database", "user", "cl_active", "cl_waiting",
                                      "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active",
                                      "sv_active_cancel", "sv_being_canceled", "sv_idle",
                                      "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us",
                                      "pool_mode", "load_balance_hosts"});
    pooler_each_route(client->worker->pooler, pool_row, &t);
    table_end(&t);
}

static void show_databases(struct client *client, struct buf *out)
{
    struct table t;
    const struct config *config = client->worker->config;
    table_begin(&t, out, "ssissiiis",
                (const char *const[]){"name", "host", "port", "database", "force_user",
                                      "pool_size", "min_pool_size", "reserve_pool_size",
                                      "pool_mode"});
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        enum config_pool_mode mode = config_pool_mode(config, db, NULL);
        table_row(&t, (struct cell[]){TEXT(db->name), TEXT(db->host ? db->host : ""),
                                      NUMBER(db->port), TEXT(db->dbname ? db->dbname : ""),
                                      TEXT(db->user ? db->user : ""),
                                      NUMBER(config_pool_size(config, db, NULL)),
                                      NUMBER(config_min_pool_size(config, db)),
                                      NUMBER(config_reserve_pool_size(config, db, NULL)),
                                      TEXT(mode == CONFIG_POOL_SESSION       ? "session"
                                           : mode == CONFIG_POOL_TRANSACTION ? "transaction"
                                                                             : "statement")});
    }
    table_end(&t);
}

static void show_config(struct client *client, struct buf *out)
{
    struct table t;
    struct buf value = {0};
    const struct config *config = client->worker->config;
    table_begin(&t, out, "ssss", (const char *const[]){"key", "value", "default", "changeable"});
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        buf_clear(&value);
        config_print_option(config, i, &value);
        buf_u8(&value, 0);
        table_row(&t, (struct cell[]){TEXT(o->name), TEXT((const char *)value.at),
                                      TEXT(o->fallback ? o->fallback : ""),
                                      TEXT(o->reloadable ? "yes" : "no")});
    }
    buf_fini(&value);
    table_end(&t);
}

static void pair_row(const char *name, const char *sentence, uint64_t value, void *arg)
{
    struct table *t = arg;
    table_row(t, (struct cell[]){TEXT(name), NUMBER(value), TEXT(sentence)});
}

static void show_stats(struct client *client, struct buf *out)
{
    struct table t;
    table_begin(&t, out, "sls", (const char *const[]){"name", "value", "meaning"});
    figures_each_worker_sum(client->worker->pooler, pair_row, &t);
    table_end(&t);
}

static void show_cache(struct client *client, struct buf *out)
{
    struct table t;
    table_begin(&t, out, "sls", (const char *const[]){"name", "value", "meaning"});
    figures_each_cache(client->worker->pooler, pair_row, &t);
    table_end(&t);
}

static void domain_row(const struct domain_status *s, void *arg)
{
    struct table *t = arg;
    char stable[32], passed[32];
    snprintf(stable, sizeof(stable), "%X/%X", (unsigned)(s->stable >> 32), (unsigned)s->stable);
    snprintf(passed, sizeof(passed), "%X/%X", (unsigned)(s->passed >> 32), (unsigned)s->passed);
    table_row(t, (struct cell[]){TEXT(s->target), TEXT(domain_state_name(s->state)),
                                 TEXT(s->reason), TEXT(s->slot), TEXT(stable), TEXT(passed),
                                 NUMBER(s->fresh_age_us), NUMBER(s->reading_us),
                                 NUMBER(s->readings), NUMBER(s->reconnects),
                                 NUMBER(s->transactions), NUMBER(s->schema_changes),
                                 NUMBER(s->names)});
}

static void show_invalidation(struct client *client, struct buf *out)
{
    struct table t;
    table_begin(&t, out, "sssssslllllll",
                (const char *const[]){"database", "state", "reason", "slot", "stable", "passed",
                                      "fresh_age_us", "reading_us", "readings", "reconnects",
                                      "transactions", "schema_changes", "names"});
    if (client->worker->pooler->domains != NULL)
        domains_status(client->worker->pooler->domains, domain_row, &t);
    table_end(&t);
}

static const struct {
    const char *name;
    void (*show)(struct client *client, struct buf *out);
} shows[] = {
    {"HELP", show_help},           {"VERSION", show_version}, {"POOLS", show_pools},
    {"DATABASES", show_databases}, {"STATS", show_stats},     {"CACHE", show_cache},
    {"INVALIDATION", show_invalidation}, {"CONFIG", show_config},
};

bool show_run(struct client *client, const char *what, struct buf *out)
{
    for (size_t i = 0; i < sizeof(shows) / sizeof(*shows); i++) {
        if (strcasecmp(what, shows[i].name) == 0) {
            shows[i].show(client, out);
            return true;
        }
    }
    return false;
}
