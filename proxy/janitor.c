// SPDX-License-Identifier: Apache-2.0
#include "proxy/janitor.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/halt.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/cancel.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/lead.h"
#include "proxy/session/login.h"
#include "proxy/session/replication.h"
#include "proxy/takeover/handover.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

static bool over(int64_t now_us, int64_t since_us, int64_t limit_us)
{
    return limit_us > 0 && now_us - since_us > limit_us;
}

// ---- clients ----

// The effective timeouts of one user. Mostly nobody has own ones, and nobody is looked up.
static const struct config_user *user_of(const struct config *config, const char *name)
{
    return config_has_user_timeouts(config) ? config_user(config, name) : NULL;
}

// In a transaction that no server knows of.
static void check_deferred(struct client *client, const struct config *config, int64_t now)
{
    const struct config_user *user = user_of(config, client->route->server_user);
    if (over(now, client->answered_us, config_idle_transaction_timeout_us(config, user)))
        client_fail(client, "08P01", "idle transaction timeout");
    else if (over(now, client->xact_us, config_transaction_timeout_us(config, user)))
        client_fail(client, "08P01", "transaction timeout");
}

static void check_idle(struct client *client, const struct config *config, int64_t now)
{
    if (transaction_is_ours(&client->transaction)) {
        check_deferred(client, config, now);
        return;
    }
    const struct config_user *user = user_of(config, client->user);
    if (client->held == NULL &&
        over(now, client->since_us, config_client_idle_timeout_us(config, user)))
        client_fail(client, "08P01", "client_idle_timeout");
}

static void check_linked(struct client *client, const struct config *config, int64_t now)
{
    struct server *server = client->server;
    const struct config_user *user = user_of(config, client->route->server_user);
    const struct settings *settings = config_settings(config);
    bool running = !ops_empty(&server->ops);
    bool obsolete = server_is_obsolete(server);
    if (running && over(now, client->query_us, config_query_timeout_us(config, user)))
        server_close(server, "query timeout");
    else if (!running && client->in_transaction &&
             over(now, client->answered_us, config_idle_transaction_timeout_us(config, user)))
        server_close(server, "idle transaction timeout");
    else if (client->in_transaction &&
             over(now, client->xact_us, config_transaction_timeout_us(config, user)))
        server_close(server, "transaction timeout");
    else if (settings->server_fast_close && obsolete && client_at_rest(client))
        server_close(server, "database configuration changed");
}

static void tell_waiting(struct client *client)
{
    struct buf notice = {0};
    message_error(&notice, "NOTICE", "00000",
                  "No server connection available in postgres backend, client being queued");
    conn_queue(&client->conn, buf_slice(&notice));
    buf_fini(&notice);
    client->told_waiting = true;
    if (conn_flush(&client->conn) == CONN_ERROR)
        client_close(client, "client unexpected eof");
}

// One in a pool's queue: with a query, or (greeting) for the pool's first server.
static void check_waiting(struct client *client, const struct config *config, int64_t now)
{
    const struct settings *settings = config_settings(config);
    const struct config_user *user = user_of(config, client->user);
    const struct config_database *db = config_database(config, client->route->database);
    bool greeting = client->state == CLIENT_GREETING;
    int64_t notify_us = (int64_t)settings->query_wait_notify_s * 1000000;
    if (over(now, client->since_us, settings->query_timeout_us))
        client_fail(client, "08P01", "query_timeout");
    else if (over(now, client->since_us, config_query_wait_timeout_us(config, db, user)))
        client_fail(client, "08P01", "query_wait_timeout");
    else if (greeting && over(now, client->connected_us, settings->client_login_timeout_us))
        client_fail(client, "08P01", "client_login_timeout (server down)");
    else if (lead_follows(client))
        lead_look(client, now);
    else if (!greeting && !client->told_waiting && over(now, client->since_us, notify_us))
        tell_waiting(client);
}

static void check_client(struct client *client, const struct config *config, int64_t now)
{
    const struct settings *settings = config_settings(config);
    if (client->route != NULL && client->route->removed) {
        client_fail(client, "08P01", "database removed");
        return;
    }
    if (client->route != NULL && client->route->moved && client->login == NULL &&
        !client_follow_route(client))
        return;
    switch (client->state) {
    case CLIENT_STARTUP:
    case CLIENT_LOGIN:
        if (over(now, client->connected_us, settings->client_login_timeout_us))
            client_fail(client, "08P01", "client_login_timeout");
        else
            login_look(client, now);
        return;
    case CLIENT_IDLE:
        check_idle(client, config, now);
        return;
    case CLIENT_LINKED:
        check_linked(client, config, now);
        return;
    case CLIENT_CANCELLING:
        if (over(now, client->connected_us, settings->cancel_wait_timeout_us))
            client_close(client, "cancel_wait_timeout");
        return;
    case CLIENT_CONSOLE:
        console_look(client);
        return;
    case CLIENT_GREETING:
    case CLIENT_WAITING:
        check_waiting(client, config, now);
        if (client->state == CLIENT_GREETING && client->replication != NULL)
            replication_try(client, now);
        return;
    case CLIENT_REPLICATING:
    case CLIENT_CLOSED:
        return;
    }
}

// ---- servers ----

static void check_server(struct server *server, const struct settings *settings, int64_t now)
{
    struct route *route = server->route;
    bool obsolete = server_is_obsolete(server);
    bool paused = pool_is_paused(route->pool);
    switch (server->state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
    case SERVER_SETUP:
        server->given_up = !server->counted && server->hub == NULL && (obsolete || paused);
        if (obsolete)
            server_close(server, route->removed ? "database removed" : "connect string changed");
        else if (server->given_up)
            server_close(server, "pause mode");
        else if (over(now, server->since_us, settings->server_connect_timeout_us))
            server_close(server, "connect timeout");
        return;
    case SERVER_RESETTING:
        if (over(now, server->since_us, settings->server_connect_timeout_us))
            server_close(server, "reset query timeout");
        return;
    case SERVER_IDLE:
        if ((obsolete || paused) && pool_take_idle(route->pool, &server->slot))
            server_close(server, route->removed ? "database removed"
                                 : obsolete     ? "database configuration changed"
                                                : "pause mode");
        return;
    case SERVER_LINKED:
        if (route->removed)
            server_close(server, "database removed");
        else if (server->hub != NULL && obsolete)
            server_close(server, "connect string changed");
        return;
    case SERVER_CLOSED:
        return;
    }
}

// ---- pools ----

// The routes as they are now, counted; drop_routes gives them back.
static void add_route(struct route *route, void *arg)
{
    struct route *counted = route_ref(route);
    buf_bytes(arg, &counted, sizeof(counted));
}

struct routes {
    struct buf all;
    struct route **at;
    size_t count;
};

static void take_routes(struct routes *routes, struct pooler *pooler)
{
    *routes = (struct routes){.count = 0};
    pooler_each_route(pooler, add_route, &routes->all);
    routes->at = (struct route **)(void *)routes->all.at;
    routes->count = routes->all.len / sizeof(*routes->at);
}

static void drop_routes(struct routes *routes)
{
    for (size_t i = 0; i < routes->count; i++)
        route_unref(&routes->at[i]);
    buf_fini(&routes->all);
}

static void sweep_hopeless(struct worker *worker, struct route *route, int64_t now)
{
    struct pool_waiter *waiter;
    while ((waiter = pool_hopeless(route->pool, worker->number, now)) != NULL)
        client_refuse(client_of_waiter(waiter), true);
}

static void sweep_idle(struct worker *worker, struct route *route, int64_t now)
{
    int64_t idle = config_settings(worker->config)->server_idle_timeout_us;
    struct pool_server *slot;
    const char *why;
    while ((slot = pool_stale(route->pool, worker->number, idle > 0 ? now - idle : INT64_MIN, now,
                              &why)) != NULL)
        server_close(container_of(slot, struct server, slot), why);
}

// Another pool under the same limit has clients waiting, this one has servers to spare.
static void sweep_evictions(struct worker *worker, struct route *route, int64_t now)
{
    struct pool_server *slot;
    while ((slot = pool_evict(route->pool, worker->number, now)) != NULL)
        server_close(container_of(slot, struct server, slot), "evicted");
}

static void sweep_routes(struct worker *worker, int64_t now)
{
    struct routes routes;
    take_routes(&routes, worker->pooler);
    for (size_t i = 0; i < routes.count; i++) {
        sweep_hopeless(worker, routes.at[i], now);
        sweep_idle(worker, routes.at[i], now);
        sweep_evictions(worker, routes.at[i], now);
        server_open_more(worker, routes.at[i]);
    }
    drop_routes(&routes);
}

void janitor_share(struct worker *worker)
{
    struct routes routes;
    int64_t now = clock_us();
    worker->share_due = false;
    take_routes(&routes, worker->pooler);
    for (size_t i = 0; i < routes.count; i++)
        sweep_evictions(worker, routes.at[i], now);
    for (size_t i = 0; i < routes.count; i++)
        if (pool_contended(routes.at[i]->pool))
            server_open_more(worker, routes.at[i]);
    drop_routes(&routes);
    worker->share_due = false; // what was closed meanwhile has been looked at
}

static void drain(struct worker *worker);

static void sweep_connections(struct worker *worker, int64_t now)
{
    struct config *config = config_ref(worker->config);
    // Ending one may end its neighbour, too: then the rest of the list waits for the next sweep.
    list_each(&worker->clients, l)
    {
        client_tally_bytes(container_of(l, struct client, link));
        check_client(container_of(l, struct client, link), config, now);
        if (l_next != &worker->clients.head &&
            container_of(l_next, struct client, link)->state == CLIENT_CLOSED)
            break;
    }
    list_each(&worker->servers, s)
    {
        check_server(container_of(s, struct server, link), config_settings(config), now);
        if (s_next != &worker->servers.head &&
            container_of(s_next, struct server, link)->state == SERVER_CLOSED)
            break;
    }
    config_unref(&config);
}

void janitor_configured(struct worker *worker)
{
    int64_t now = clock_us();
    sweep_connections(worker, now);
    sweep_routes(worker, now); // what was given up is opened anew
}

// Nothing moves, so nothing is late; only the console is looked after.
static void sweep_suspended(struct worker *worker)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (client->state == CLIENT_CONSOLE)
            console_look(client);
    }
}

void janitor_sweep(struct worker *worker)
{
    int64_t now = clock_us();
    if (worker->suspended) {
        sweep_suspended(worker);
        return;
    }
    cancel_sweep(worker);
    sweep_connections(worker, now);
    sweep_routes(worker, now);
    if (worker->shutdown == SHUTDOWN_DRAIN)
        drain(worker);
    if (worker->number == 0)
        pooler_tidy(worker->pooler, worker->config, now);
}

// ---- the end ----

// To whom our connections were given, and then were ours again, must not go on with them.
static const char *farewell(const struct client *client)
{
    bool undone = console_is_heir(client) && client->worker->pooler->heir != client->number;
    return undone ? handover_undone : handover_left;
}

static void close_all(struct worker *worker)
{
    struct link *l;
    cancel_end_all(worker);
    while ((l = list_first(&worker->clients)) != NULL) {
        struct client *client = container_of(l, struct client, link);
        client_fail(client, "57P01", farewell(client));
    }
    while ((l = list_first(&worker->servers)) != NULL)
        server_close(container_of(l, struct server, link), "pgweir shutting down");
}

static void close_idle_servers(struct worker *worker)
{
    list_each(&worker->servers, l)
    {
        struct server *server = container_of(l, struct server, link);
        if (server->state == SERVER_IDLE && pool_take_idle(server->route->pool, &server->slot))
            server_close(server, "pgweir shutting down");
    }
}

static struct client *resting_client(struct worker *worker)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        bool replicates = client->replication != NULL && client->server != NULL;
        if (client->console == NULL && !replicates && !client->closing &&
            (client->server == NULL || client_at_rest(client)))
            return client;
    }
    return NULL;
}

static void close_resting_clients(struct worker *worker)
{
    struct client *client;
    while ((client = resting_client(worker)) != NULL)
        client_fail(client, "57P01", "pgweir shutting down");
}

// Who is outside a transaction goes now, the others when theirs ends.
static void drain(struct worker *worker)
{
    struct client *client;
    while ((client = resting_client(worker)) != NULL)
        client_dismiss(client, "57P01", client_terminated);
    close_idle_servers(worker);
}

void janitor_shutdown(struct worker *worker)
{
    switch (worker->shutdown) {
    case SHUTDOWN_NONE:
        return;
    case SHUTDOWN_WAIT_FOR_SERVERS:
        close_resting_clients(worker);
        close_idle_servers(worker);
        return;
    case SHUTDOWN_WAIT_FOR_CLIENTS:
        return;
    case SHUTDOWN_DRAIN:
        drain(worker);
        return;
    case SHUTDOWN_NOW:
        close_all(worker);
        return;
    }
}

static void wake_all(struct pooler *pooler)
{
    for (int i = 0; i < pooler->worker_count; i++)
        ev_async_send(pooler->workers[i]->loop, &pooler->workers[i]->wake);
}

static bool linked_clients(const struct pooler *pooler)
{
    for (int i = 0; i < pooler->worker_count; i++)
        if (pooler->workers[i]->linked > 0)
            return true;
    return false;
}

void janitor_stop_if_done(struct worker *worker)
{
    struct pooler *pooler = worker->pooler;
    bool quiet = worker->lookups == 0 && worker->errands == 0 && list_empty(&worker->cancelling) &&
                 pooler->console_mails == 0;
    switch (worker->shutdown) {
    case SHUTDOWN_NONE:
        return;
    case SHUTDOWN_WAIT_FOR_SERVERS:
        if (linked_clients(pooler))
            return;
        break;
    case SHUTDOWN_WAIT_FOR_CLIENTS:
    case SHUTDOWN_DRAIN:
        if (pooler->clients > pooler->consoles)
            return;
        break;
    case SHUTDOWN_NOW:
        break;
    }
    close_all(worker);
    quiet = quiet && list_empty(&worker->clients) && list_empty(&worker->servers);
    if (quiet != worker->quiet) {
        worker->quiet = quiet;
        pooler->quiet_workers += quiet ? 1 : -1;
        wake_all(pooler);
    }
    // Nobody holds a server that could still be sent to a client of another worker, and none is on
    // its way: a client that outlived its connection waits for that.
    if (pooler->quiet_workers != pooler->worker_count || pooler->in_transit != 0)
        return;
    worker->ended = true;
    ev_break(worker->loop, EVBREAK_ALL);
}
