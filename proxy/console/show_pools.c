// SPDX-License-Identifier: Apache-2.0
// SHOW POOLS, DATABASES, USERS, LISTS: what is configured and how full it is.
#include "proxy/console/show.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/census.h"
#include "proxy/halt.h"
#include "proxy/peers.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/resolver.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

static const char console_name[] = "pgbouncer";

static const char *mode_name(enum config_pool_mode mode)
{
    switch (mode) {
    case CONFIG_POOL_SESSION:
        return "session";
    case CONFIG_POOL_TRANSACTION:
        return "transaction";
    case CONFIG_POOL_STATEMENT:
        return "statement";
    }
    return "?";
}

// How hosts are shared; only of interest where there are several.
static const char *balance(const struct config_database *db)
{
    if (db == NULL || db->host == NULL || strchr(db->host, ',') == NULL)
        return NULL;
    return db->load_balance_hosts == CONFIG_BALANCE_DISABLE ? "disable" : "round-robin";
}

// ---- POOLS ----

static enum command_result pools(struct client *client, struct table *table)
{
    struct pooler *pooler = client->worker->pooler;
    size_t count;
    struct route **routes = pooler_routes(pooler, &count);
    for (size_t i = 0; i < count; i++) {
        const struct route *route = routes[i];
        struct pool_figures f = pool_figures(route->pool, clock_us());
        int cancels = route->cancels, detained = route->detained;
        table_row(table,
                  (struct cell[]){
                      TEXT(route->database), TEXT(route->user), NUMBER(f.clients_active),
                      NUMBER(f.clients_waiting), NUMBER(cancels), NUMBER(0),
                      NUMBER(f.servers_active - f.servers_tested - detained), NUMBER(cancels),
                      NUMBER(detained), NUMBER(f.servers_idle), NUMBER(0),
                      NUMBER(f.servers_tested),
                      NUMBER(f.servers_login), NUMBER(f.longest_wait_us / 1000000),
                      NUMBER(f.longest_wait_us % 1000000),
                      TEXT(pool_mode_name(route->pool->mode)),
                      TEXT(balance(config_database(client->worker->config, route->database)))});
    }
    pooler_drop_routes(routes, count);
    table_row(table, (struct cell[]){TEXT(console_name), TEXT(console_name),
                                     NUMBER(pooler->consoles), NUMBER(0), NUMBER(0), NUMBER(0),
                                     NUMBER(0), NUMBER(0), NUMBER(0), NUMBER(0), NUMBER(0),
                                     NUMBER(0), NUMBER(0), NUMBER(0), NUMBER(0),
                                     TEXT("statement"), TEXT(NULL)});
    return COMMAND_DONE;
}

// ---- what belongs to a database or a user, over its pools ----

// Server connections, of one database or one user (the other is NULL).
static int servers_of(struct route **routes, size_t count, const char *database,
                      const char *user)
{
    int servers = 0;
    for (size_t i = 0; i < count; i++) {
        if ((database != NULL && strcmp(routes[i]->database, database) != 0) ||
            (user != NULL && strcmp(routes[i]->server_user, user) != 0))
            continue;
        struct pool_figures f = pool_figures(routes[i]->pool, clock_us());
        servers += f.servers_active + f.servers_idle + f.servers_login;
    }
    return servers;
}

// ---- DATABASES ----

static void database_row(struct client *client, struct table *table,
                         const struct config_database *db, const char *name, int servers)
{
    const struct config *config = client->worker->config;
    struct pooler *pooler = client->worker->pooler;
    table_row(table,
              (struct cell[]){
                  TEXT(name), TEXT(db->host), NUMBER(db->port),
                  TEXT(config_database_dbname(db, name)), TEXT(db->user),
                  NUMBER(config_pool_size(config, db, NULL)),
                  NUMBER(config_min_pool_size(config, db)),
                  NUMBER(config_reserve_pool_size(config, db, NULL)),
                  NUMBER(config_server_lifetime_us(config, db) / 1000000),
                  TEXT(db->pool_mode == CONFIG_INHERIT
                           ? NULL
                           : mode_name((enum config_pool_mode)db->pool_mode)),
                  TEXT(balance(db)), NUMBER(config_max_db_connections(config, db)),
                  NUMBER(servers), NUMBER(config_max_db_client_connections(config, db)),
                  NUMBER(census_count(pooler->census, CENSUS_DATABASE, name)),
                  NUMBER(halt_is_paused(pooler, name)),
                  NUMBER(halt_is_disabled(pooler, name))});
}

// A database that has no line of its own but came in by "*": the first of its routes.
static bool is_auto(const struct config *config, struct route **routes, size_t i)
{
    const struct config_database *db = config_database(config, routes[i]->database);
    bool first = i == 0 || strcmp(routes[i]->database, routes[i - 1]->database) != 0;
    return first && db != NULL && db->is_fallback;
}

static enum command_result databases(struct client *client, struct table *table)
{
    const struct config *config = client->worker->config;
    size_t count;
    struct route **routes = pooler_routes(client->worker->pooler, &count);
    for (size_t i = 0; i < config_database_count(config); i++) {
        const struct config_database *db = config_database_at(config, i);
        if (!db->is_fallback)
            database_row(client, table, db, db->name,
                         servers_of(routes, count, db->name, NULL));
    }
    for (size_t i = 0; i < count; i++)
        if (is_auto(config, routes, i))
            database_row(client, table, config_database(config, routes[i]->database),
                         routes[i]->database,
                         servers_of(routes, count, routes[i]->database, NULL));
    pooler_drop_routes(routes, count);
    const struct settings *settings = config_settings(config);
    table_row(table, (struct cell[]){TEXT(console_name), TEXT(NULL),
                                     NUMBER(settings->listen_port), TEXT(console_name),
                                     TEXT(console_name), NUMBER(2), NUMBER(0), NUMBER(0),
                                     NUMBER(settings->server_lifetime_us / 1000000),
                                     TEXT("statement"), TEXT(NULL), NUMBER(0), NUMBER(0),
                                     NUMBER(0), NUMBER(client->worker->pooler->consoles),
                                     NUMBER(0), NUMBER(0)});
    return COMMAND_DONE;
}

// ---- USERS ----

static const char *given(int value, char text[16])
{
    snprintf(text, 16, "%d", value);
    return value == CONFIG_INHERIT ? "" : text;
}

static enum command_result users(struct client *client, struct table *table)
{
    struct census *census = client->worker->pooler->census;
    const struct config *config = client->worker->config;
    size_t count;
    struct route **routes = pooler_routes(client->worker->pooler, &count);
    for (size_t i = 0; i < config_user_count(config); i++) {
        const struct config_user *user = config_user_at(config, i);
        char size[16], reserve[16];
        table_row(table, (struct cell[]){
                             TEXT(user->name), TEXT(given(user->pool_size, size)),
                             TEXT(given(user->reserve_pool_size, reserve)),
                             TEXT(user->pool_mode == CONFIG_INHERIT
                                      ? NULL
                                      : mode_name((enum config_pool_mode)user->pool_mode)),
                             NUMBER(config_max_user_connections(config, user)),
                             NUMBER(servers_of(routes, count, NULL, user->name)),
                             NUMBER(config_max_user_client_connections(config, user)),
                             NUMBER(census_count(census, CENSUS_USER, user->name))});
    }
    pooler_drop_routes(routes, count);
    table_row(table, (struct cell[]){TEXT(console_name), TEXT(""), TEXT(""), TEXT(NULL),
                                     NUMBER(0), NUMBER(0), NUMBER(0),
                                     NUMBER(client->worker->pooler->consoles)});
    return COMMAND_DONE;
}

// ---- PEERS ----

static enum command_result peers(struct client *client, struct table *table)
{
    const struct config *config = client->worker->config;
    for (size_t i = 0; i < config_peer_count(config); i++) {
        const struct config_peer *peer = config_peer_at(config, i);
        table_row(table, (struct cell[]){NUMBER(peer->id), TEXT(peer->host), NUMBER(peer->port),
                                         NUMBER(config_peer_pool_size(config, peer))});
    }
    return COMMAND_DONE;
}

// A connection to a peer counts as active from its beginning: there is no login.
static enum command_result peer_pools(struct client *client, struct table *table)
{
    const struct config *config = client->worker->config;
    for (size_t i = 0; i < config_peer_count(config); i++) {
        int id = config_peer_at(config, i)->id;
        const struct peer_use *use = peers_use_of(client->worker->pooler->peers, id);
        table_row(table, (struct cell[]){NUMBER(id), NUMBER(use->active), NUMBER(use->waiting),
                                         NUMBER(use->active), NUMBER(0)});
    }
    return COMMAND_DONE;
}

// ---- LISTS, MEM ----

static void count_name(const char *host, int64_t asked_us, bool failed,
                       const struct address *addresses, int count, void *arg)
{
    ++*(int *)arg;
}

struct sizes {
    size_t databases, users, pools;
    int clients, login_clients, servers;
};

static struct sizes sizes_of(struct client *client)
{
    const struct config *config = client->worker->config;
    struct pooler *pooler = client->worker->pooler;
    size_t count;
    struct route **routes = pooler_routes(pooler, &count);
    struct sizes s = {.databases = 1, .users = config_user_count(config) + 1, .pools = count + 1,
                      .clients = pooler->clients};
    int in = pooler->consoles;
    for (size_t i = 0; i < config_database_count(config); i++)
        s.databases += !config_database_at(config, i)->is_fallback;
    for (size_t i = 0; i < count; i++) {
        struct pool_figures f = pool_figures(routes[i]->pool, clock_us());
        s.databases += is_auto(config, routes, i);
        s.servers += f.servers_active + f.servers_idle + f.servers_login;
        in += f.clients_active + f.clients_waiting;
    }
    s.login_clients = s.clients > in ? s.clients - in : 0;
    pooler_drop_routes(routes, count);
    return s;
}

static enum command_result lists(struct client *client, struct table *table)
{
    struct sizes s = sizes_of(client);
    int names = 0;
    resolver_each(client->worker->pooler->resolver, count_name, &names);
    int64_t peer_count = (int64_t)config_peer_count(client->worker->config);
    const struct {
        const char *name;
        int64_t items;
    } rows[] = {
        {"databases", (int64_t)s.databases},
        {"users", (int64_t)s.users},
        {"peers", peer_count},
        {"pools", (int64_t)s.pools},
        {"peer_pools", peer_count},
        {"free_clients", 0},
        {"used_clients", s.clients},
        {"login_clients", s.login_clients},
        {"free_servers", 0},
        {"used_servers", s.servers},
        {"dns_names", names},
        {"dns_zones", 0},
        {"dns_queries", 0},
        {"dns_pending", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        table_row(table, (struct cell[]){TEXT(rows[i].name), NUMBER(rows[i].items)});
    return COMMAND_DONE;
}

// There are no slabs here: nothing is kept free, and buffers are counted nowhere.
static enum command_result mem(struct client *client, struct table *table)
{
    struct sizes s = sizes_of(client);
    const struct {
        const char *name;
        size_t size, used;
    } rows[] = {
        {"user_cache", sizeof(struct config_user), s.users},
        {"db_cache", sizeof(struct config_database), s.databases},
        {"pool_cache", sizeof(struct route) + sizeof(struct pool), s.pools},
        {"server_cache", sizeof(struct server), (size_t)s.servers},
        {"client_cache", sizeof(struct client), (size_t)s.clients},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        table_row(table, (struct cell[]){TEXT(rows[i].name), NUMBER(rows[i].size),
                                         NUMBER(rows[i].used), NUMBER(0),
                                         NUMBER(rows[i].size * rows[i].used)});
    return COMMAND_DONE;
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

const struct show show_pools[] = {
    {"pools",
     {"ssiiiiiiiiiiiiiss",
      COLUMNS("database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req",
              "cl_waiting_cancel_req", "sv_active", "sv_active_cancel", "sv_being_canceled",
              "sv_idle", "sv_used", "sv_tested", "sv_login", "maxwait", "maxwait_us",
              "pool_mode", "load_balance_hosts")},
     pools, false},
    {"databases",
     {"ssissiiiissiiiiii",
      COLUMNS("name", "host", "port", "database", "force_user", "pool_size", "min_pool_size",
              "reserve_pool_size", "server_lifetime", "pool_mode", "load_balance_hosts",
              "max_connections", "current_connections", "max_client_connections",
              "current_client_connections", "paused", "disabled")},
     databases, false},
    {"users",
     {"ssssiiii",
      COLUMNS("name", "pool_size", "reserve_pool_size", "pool_mode", "max_user_connections",
              "current_connections", "max_user_client_connections",
              "current_client_connections")},
     users, false},
    {"peers", {"isii", COLUMNS("peer_id", "host", "port", "pool_size")}, peers, false},
    {"peer_pools",
     {"iiiii", COLUMNS("peer_id", "cl_active_cancel_req", "cl_waiting_cancel_req",
                       "sv_active_cancel", "sv_login")},
     peer_pools, false},
    {"lists", {"si", COLUMNS("list", "items")}, lists, false},
    {"mem", {"siiii", COLUMNS("name", "size", "used", "free", "memtotal")}, mem, false},
    {NULL, {NULL, NULL}, NULL, false},
};
