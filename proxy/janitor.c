// SPDX-License-Identifier: Apache-2.0
#include "proxy/janitor.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/cancel.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

static bool over(int64_t now_us, int64_t since_us, int64_t limit_us)
{
    return limit_us > 0 && now_us - since_us > limit_us;
}

// ---- clients ----

static void check_client(struct client *client, const struct config *config, int64_t now)
{
    const struct settings *settings = config_settings(config);
    switch (client->state) {
    case CLIENT_STARTUP:
    case CLIENT_LOGIN:
        if (over(now, client->connected_us, settings->client_login_timeout_us))
            client_fail(client, "08P01", "client_login_timeout");
        return;
    case CLIENT_IDLE: {
        const struct config_user *user = config_user(config, client->user);
        if (over(now, client->since_us, config_client_idle_timeout_us(config, user)))
            client_fail(client, "08P01", "client_idle_timeout");
        return;
    }
    case CLIENT_LINKED: {
        const struct config_user *user = config_user(config, client->user);
        const struct server *server = client->server;
        bool running = !ops_empty(&server->ops);
        if (running && over(now, client->query_us, config_query_timeout_us(config, user)))
            client_fail(client, "08P01", "query_timeout");
        else if (!running && server->status != 'I' &&
                 over(now, client->answered_us, config_idle_transaction_timeout_us(config, user)))
            client_fail(client, "08P01", "idle_transaction_timeout");
        else if (client->in_transaction &&
                 over(now, client->xact_us, config_transaction_timeout_us(config, user)))
            client_fail(client, "08P01", "transaction_timeout");
        return;
    }
    case CLIENT_CANCELLING:
        if (over(now, client->connected_us, settings->cancel_wait_timeout_us))
            client_close(client, "cancel_wait_timeout");
        return;
    case CLIENT_GREETING:
    case CLIENT_WAITING: // pool_overdue
    case CLIENT_CONSOLE:
    case CLIENT_CLOSED:
        return;
    }
}

// ---- servers ----

static void check_server(struct server *server, const struct settings *settings, int64_t now)
{
    switch (server->state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
    case SERVER_SETUP:
        if (over(now, server->since_us, settings->server_connect_timeout_us))
            server_close(server, "connect timeout");
        return;
    case SERVER_RESETTING:
        if (over(now, server->since_us, settings->server_connect_timeout_us))
            server_close(server, "reset query timeout");
        return;
    case SERVER_IDLE:
    case SERVER_LINKED:
    case SERVER_CLOSED:
        return;
    }
}

// ---- pools ----

static struct client *client_of(struct pool_waiter *waiter)
{
    return container_of(waiter, struct client, waiter);
}

// Run with the registry's lock held: it only collects, what has to be done is done by the caller.
static void collect(struct route *route, void *arg)
{
    buf_bytes(arg, &route, sizeof(route));
}

static void sweep_waiters(struct worker *worker, struct route *route, int64_t now)
{
    int64_t patience = config_settings(worker->config)->query_wait_timeout_us;
    struct pool_waiter *waiter;
    while (patience > 0 &&
           (waiter = pool_overdue(route->pool, worker->number, now - patience)) != NULL)
        client_fail(client_of(waiter), "08P01", "query_wait_timeout");
    while ((waiter = pool_hopeless(route->pool, worker->number, now)) != NULL)
        client_refuse(client_of(waiter));
}

static void sweep_idle(struct worker *worker, struct route *route, int64_t now)
{
    const struct settings *settings = config_settings(worker->config);
    int64_t idle = settings->server_idle_timeout_us;
    const struct config_database *db = config_database(worker->config, route->database);
    int64_t lifetime = config_server_lifetime_us(worker->config, db);
    struct pool_server *slot;
    while ((slot = pool_stale(route->pool, worker->number, idle > 0 ? now - idle : INT64_MIN,
                              lifetime > 0 ? now - lifetime : INT64_MIN)) != NULL) {
        bool old = lifetime > 0 && slot->opened_us < now - lifetime;
        server_close(container_of(slot, struct server, slot),
                     old ? "server lifetime over" : "server idle timeout");
    }
    // Another pool under the same limit has clients waiting, this one has servers to spare.
    slot = NULL;
    if (pool_must_yield(route->pool))
        slot = pool_stale(route->pool, worker->number, INT64_MAX, INT64_MIN);
    if (slot != NULL)
        server_close(container_of(slot, struct server, slot), "evicted");
    if (worker->shutdown == SHUTDOWN_NONE && pool_may_open(route->pool, now))
        server_open(worker, route);
}

void janitor_sweep(struct worker *worker)
{
    cancel_sweep(worker);
    int64_t now = clock_us();
    struct config *config = config_ref(worker->config);
    // Ending one may end its neighbour, too: then the rest of the list waits for the next sweep.
    list_each(&worker->clients, l)
    {
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
    struct buf all = {0};
    pooler_each_route(worker->pooler, collect, &all);
    struct route **routes = (struct route **)(void *)all.at;
    for (size_t i = 0; i < all.len / sizeof(*routes); i++) {
        sweep_waiters(worker, routes[i], now);
        sweep_idle(worker, routes[i], now);
    }
    buf_fini(&all);
    config_unref(&config);
}

// ---- the end ----

static void close_all(struct worker *worker)
{
    struct link *l;
    cancel_end_all(worker);
    while ((l = list_first(&worker->clients)) != NULL)
        client_fail(container_of(l, struct client, link), "57P01", "pgweir shutting down");
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
        if (client->server == NULL || client_at_rest(client))
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
    bool quiet = worker->lookups == 0 && list_empty(&worker->cancelling);
    switch (worker->shutdown) {
    case SHUTDOWN_NONE:
        return;
    case SHUTDOWN_WAIT_FOR_SERVERS:
        if (linked_clients(pooler))
            return;
        break;
    case SHUTDOWN_WAIT_FOR_CLIENTS:
        if (pooler->clients > 0)
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
    if (pooler->quiet_workers == pooler->worker_count && pooler->in_transit == 0)
        ev_break(worker->loop, EVBREAK_ALL);
}
