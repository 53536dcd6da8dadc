// SPDX-License-Identifier: Apache-2.0
// SHOW STATS and its like: what each database did, in all and on average.
#include "proxy/console/show.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/console/period.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

enum { PGBOUNCERS = 12 }; // its figures are the first of ours, in its order

struct database_tally {
    char *name; // owns
    struct tally_sum now, older;
};

struct databases {
    struct pooler *pooler;
    struct database_tally *at; // owns
    size_t count;
    int64_t elapsed_us; // since `older`
};

// By name; the console's own is the last.
static struct databases collect(struct client *client)
{
    struct pooler *pooler = client->worker->pooler;
    size_t routes_count;
    struct route **routes = pooler_routes(pooler, &routes_count);
    struct databases all = {.pooler = pooler};
    all.at = mem_zalloc((routes_count + 1) * sizeof(*all.at));
    pthread_mutex_lock(&pooler->lock);
    all.elapsed_us = clock_us() - pooler->period_older_us;
    for (size_t i = 0; i < routes_count; i++) {
        if (i == 0 || strcmp(routes[i]->database, routes[i - 1]->database) != 0)
            all.at[all.count++].name = mem_strdup(routes[i]->database);
        struct tally_sum now = route_tally(routes[i]);
        tally_sum_add(&all.at[all.count - 1].now, &now);
        tally_sum_add(&all.at[all.count - 1].older, &routes[i]->older);
    }
    pthread_mutex_unlock(&pooler->lock);
    pooler_drop_routes(routes, routes_count);
    struct database_tally *console = &all.at[all.count++];
    console->name = mem_strdup("pgbouncer");
    for (int i = 0; i < pooler->worker_count; i++)
        tally_add(&console->now, &pooler->workers[i]->console);
    console->older = console->now; // it has no averages
    return all;
}

static enum command_result dispose(struct databases *all)
{
    for (size_t i = 0; i < all->count; i++)
        mem_free(all->at[i].name);
    mem_free(all->at);
    return COMMAND_DONE;
}

static void numbers(struct cell *cells, const struct tally_sum *sum, int from, int to)
{
    for (int i = from; i < to; i++)
        cells[i - from] = NUMBER(sum->all[i]);
}

static enum command_result stats(struct client *client, struct table *table)
{
    struct databases all = collect(client);
    for (size_t i = 0; i < all.count; i++) {
        const struct database_tally *db = &all.at[i];
        struct tally_sum average = period_average(&db->now, &db->older, all.elapsed_us);
        struct cell cells[TABLE_COLUMNS_MAX] = {TEXT(db->name)};
        numbers(cells + 1, &db->now, 0, PGBOUNCERS);
        numbers(cells + 1 + PGBOUNCERS, &average, 0, PGBOUNCERS);
        numbers(cells + 1 + 2 * PGBOUNCERS, &db->now, PGBOUNCERS, TALLY_COUNT);
        table_row(table, cells);
    }
    return dispose(&all);
}

static enum command_result some(struct client *client, struct table *table, bool averages)
{
    struct databases all = collect(client);
    for (size_t i = 0; i < all.count; i++) {
        const struct database_tally *db = &all.at[i];
        struct tally_sum average = period_average(&db->now, &db->older, all.elapsed_us);
        struct cell cells[TABLE_COLUMNS_MAX] = {TEXT(db->name)};
        numbers(cells + 1, averages ? &average : &db->now, 0, TALLY_COUNT);
        table_row(table, cells);
    }
    return dispose(&all);
}

static enum command_result stats_totals(struct client *client, struct table *table)
{
    return some(client, table, false);
}

static enum command_result stats_averages(struct client *client, struct table *table)
{
    return some(client, table, true);
}

static const char *const total_names[] = {
    "total_server_assignment_count", "total_xact_count",      "total_query_count",
    "total_client_bytes",            "total_server_bytes",    "total_xact_time",
    "total_query_time",              "total_wait_time",       "total_ps_client_parse_count",
    "total_ps_server_parse_count",   "total_ps_bind_count",   "total_client_login_count",
    "avg_server_assignment_count",   "avg_xact_count",        "avg_query_count",
    "avg_client_bytes",              "avg_server_bytes",      "avg_xact_time",
    "avg_query_time",                "avg_wait_time",         "avg_ps_client_parse_count",
    "avg_ps_server_parse_count",     "avg_ps_bind_count",     "avg_client_login_count"};

static enum command_result totals(struct client *client, struct table *table)
{
    struct databases all = collect(client);
    struct tally_sum now = {0}, older = {0};
    for (size_t i = 0; i < all.count; i++) {
        tally_sum_add(&now, &all.at[i].now);
        tally_sum_add(&older, &all.at[i].older);
    }
    struct tally_sum average = period_average(&now, &older, all.elapsed_us);
    for (int i = 0; i < 2 * PGBOUNCERS; i++) {
        uint64_t value = i < PGBOUNCERS ? now.all[i] : average.all[i - PGBOUNCERS];
        table_row(table, (struct cell[]){TEXT(total_names[i]), NUMBER(value)});
    }
    return dispose(&all);
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

const struct show show_stats[] = {
    {"stats",
     {"snnnnnnnnnnnnnnnnnnnnnnnnnnn",
      COLUMNS("database", "total_server_assignment_count", "total_xact_count",
              "total_query_count", "total_received", "total_sent", "total_xact_time",
              "total_query_time", "total_wait_time", "total_client_parse_count",
              "total_server_parse_count", "total_bind_count", "total_client_login_count",
              "avg_server_assignment_count", "avg_xact_count", "avg_query_count", "avg_recv",
              "avg_sent", "avg_xact_time", "avg_query_time", "avg_wait_time",
              "avg_client_parse_count", "avg_server_parse_count", "avg_bind_count",
              "avg_client_login_count", "total_pin_count", "total_reset_count",
              "total_rerun_count")},
     stats, false},
    {"stats_totals",
     {"snnnnnnnnnnnnnnn",
      COLUMNS("database", "server_assignment_count", "xact_count", "query_count",
              "bytes_received", "bytes_sent", "xact_time", "query_time", "wait_time",
              "client_parse_count", "server_parse_count", "bind_count", "client_login_count",
              "pin_count", "reset_count", "rerun_count")},
     stats_totals, false},
    {"stats_averages",
     {"snnnnnnnnnnnnnnn",
      COLUMNS("database", "server_assignment_count", "xact_count", "query_count",
              "bytes_received", "bytes_sent", "xact_time", "query_time", "wait_time",
              "avg_client_parse_count", "avg_server_parse_count", "avg_bind_count",
              "avg_client_login_count", "pin_count", "reset_count", "rerun_count")},
     stats_averages, false},
    {"totals", {"sn", COLUMNS("name", "value")}, totals, false},
    {NULL, {NULL, NULL}, NULL, false},
};
