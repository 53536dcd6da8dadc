// SPDX-License-Identifier: Apache-2.0
// The bond between a client and its server: asking the pool for one, making its session the
// client's, and letting it go.
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/align.h"
#include "proxy/session/client.h"
#include "proxy/session/deferred.h"
#include "proxy/session/hidden.h"
#include "proxy/session/lead.h"
#include "proxy/session/listening.h"
#include "proxy/session/tracked.h"
#include "proxy/session/sequences.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

void client_refuse(struct client *client, bool waited)
{
    struct pool *pool = client->route->pool;
    char why[400];
    char state[6];
    pthread_mutex_lock(&pool->lock);
    if (waited)
        snprintf(why, sizeof(why), "%s", pool->failure);
    else
        snprintf(why, sizeof(why),
                 "server login has been failing, cached error: %s (server_login_retry)",
                 pool->failure);
    snprintf(state, sizeof(state), "%s", pool->failure_state[0] ? pool->failure_state : "08006");
    pthread_mutex_unlock(&pool->lock);
    client_fail(client, state, why);
}

// ---- waiting ----

// Taken from those that other clients gave back: nothing is allocated in the long run.
static struct waiting *begin_waiting(struct client *client)
{
    struct worker *worker = client->worker;
    struct waiting *waiting = worker->spare_waiting;
    if (client->waiting != NULL)
        return client->waiting;
    if (waiting == NULL)
        waiting = mem_new(struct waiting);
    else
        worker->spare_waiting = waiting->next;
    waiting->client = client;
    waiting->waiter.worker = worker->number;
    waiting->waiter.state = WAITER_NONE;
    link_init(&waiting->waiter.link);
    return client->waiting = waiting;
}

static void end_waiting(struct client *client)
{
    struct worker *worker = client->worker;
    client->waiting->next = worker->spare_waiting;
    worker->spare_waiting = client->waiting;
    client->waiting = NULL;
}

bool client_stop_waiting(struct client *client)
{
    if (client->waiting == NULL)
        return true;
    if (!pool_abandon(client->route->pool, &client->waiting->waiter))
        return false;
    end_waiting(client);
    return true;
}

void client_took(struct client *client, struct pool *pool)
{
    pool_took(pool, &client->waiting->waiter);
    end_waiting(client);
}

void client_free_spare_waiting(struct worker *worker)
{
    for (struct waiting *w = worker->spare_waiting, *next; w != NULL; w = next) {
        next = w->next;
        mem_free(w);
    }
}

struct route *client_find_route(const struct client *client)
{
    struct pooler *pooler = client->worker->pooler;
    return client->is_lookup ? pooler_route_as(pooler, client->database, client->user)
                             : pooler_route(pooler, client->database, client->user);
}

bool client_follow_route(struct client *client)
{
    struct route *old = client->route;
    bool waits = client->state == CLIENT_WAITING || client->state == CLIENT_GREETING;
    if (client->server != NULL || client->replication != NULL ||
        !client_stop_waiting(client))
        return true; // with its server, or as soon as it has the one on its way
    struct route *route = client_find_route(client);
    if (route == NULL) {
        client_fail(client, "08P01", "database removed");
        return false;
    }
    pool_client_joined(route->pool);
    pool_client_left(old->pool, clock_us());
    client->route = route; // with its count
    route_unref(&old);
    if (waits)
        client_request_server(client);
    return client->state != CLIENT_CLOSED;
}

// query_wait_fail_fast: how long it may wait at most; 0: nobody is to look ahead.
static int64_t patience_us(const struct client *client)
{
    const struct config *config = client->worker->config;
    if (!config_settings(config)->query_wait_fail_fast)
        return 0;
    return config_query_wait_timeout_us(config, config_database(config, client->route->database),
                                        config_user(config, client->user));
}

static void refuse_hopeless(struct client *client)
{
    char why[160];
    int waiting = pool_figures(client->route->pool, client->since_us).clients_waiting;
    snprintf(why, sizeof(why),
             "query_wait_timeout would be reached, %d clients wait already (query_wait_fail_fast)",
             waiting);
    client_fail(client, "53300", why);
}

void client_request_server(struct client *client)
{
    struct worker *worker = client->worker;
    if (client->route->moved && client->state != CLIENT_WAITING &&
        client->state != CLIENT_GREETING && !client_follow_route(client))
        return;
    struct route *route = client->route;
    struct pool_server *slot;
    struct pool_task task;
    if (route->removed) {
        client_fail(client, "08P01", "database removed");
        return;
    }
    lead_unfollow(client);
    client->since_us = client->follower != NULL ? client->follower->since_us : worker->now_us;
    struct waiting *waiting = begin_waiting(client);
    waiting->waiter.patience_us = patience_us(client);
    waiting->waiter.prefers = sequences_prefer(client);
    switch (pool_request(route->pool, &waiting->waiter, worker->now_us, &slot, &task)) {
    case POOL_GRANTED:
        client_granted(client, container_of(slot, struct server, slot));
        return;
    case POOL_QUEUED:
        if (client->state != CLIENT_GREETING)
            client->state = CLIENT_WAITING;
        server_do_task(worker, route, &task);
        return;
    case POOL_FAILING:
        end_waiting(client);
        client_refuse(client, false);
        return;
    case POOL_HOPELESS:
        end_waiting(client);
        refuse_hopeless(client);
        return;
    }
}

static void greet(struct client *client)
{
    client_greet(client);
    if (client->state == CLIENT_IDLE && client->conn.in.len > 0)
        client_resume(client); // it spoke before it was greeted
}

void client_granted(struct client *client, struct server *server)
{
    struct worker *worker = client->worker;
    TAG_CHECK(client, CLIENT_TAG);
    client_took(client, client->route->pool);
    if (client->state == CLIENT_GREETING && client->wanted_proven) {
        server_give_back(server);
        greet(client);
        return;
    }
    if (server_is_obsolete(server)) {
        server->client = NULL;
        server_close(server, client->route->removed ? "database removed" : "obsolete connection");
        client_request_server(client);
        return;
    }
    CHECK(client->server == NULL);
    int64_t now = worker->now_us;
    route_count(client->route, worker, assignments, 1);
    bool waited = client->state == CLIENT_WAITING;
    int64_t waited_us = waited ? now - client->since_us : 0;
    if (waited)
        route_count(client->route, worker, wait_us, (uint64_t)waited_us);
    if (worker->queries != NULL)
        tracked_waited(client, waited_us);
    if (client->state != CLIENT_GREETING)
        client->state = CLIENT_LINKED;
    client->told_waiting = false;
    lead_granted(client);
    server->mode = client->mode;
    client->since_us = now;
    client->query_us = client->answered_us = now;
    if (!client->in_transaction)
        client->xact_us = now;
    client->server = server;
    server->client = client;
    server->state = SERVER_LINKED;
    server->since_us = now;
    worker_link(worker, 1);
    align_session(client, server, true);
    if (client->state == CLIENT_GREETING && ops_empty(&server->ops))
        client_finished(client); // it had those settings
    if (waited && client->state == CLIENT_LINKED)
        client_resume(client);
}

void client_cancel_waiting(struct client *client)
{
    if (!client_stop_waiting(client))
        return; // a server is on its way: too late, as it may be with PostgreSQL
    lead_leave(client);
    struct buf out = {0};
    message_error(&out, "ERROR", "57014", "canceling statement due to user request");
    conn_queue(&client->conn, buf_slice(&out));
    buf_fini(&out);
    client->state = CLIENT_IDLE;
    client->dropping = true;
    client->unit_decided = false;
    deferred_cancelled(client);
    if (conn_flush(&client->conn) == CONN_ERROR)
        client_close(client, "client unexpected eof");
    else
        client_resume(client);
}

void client_unlink(struct client *client)
{
    struct server *server = client->server;
    struct worker *worker = client->worker;
    CHECK(server != NULL && server->client == client);
    if (worker->relaying == server)
        worker->relaying = NULL;
    client->in_transaction = transaction_is_ours(&client->transaction);
    client->clears = client->clearing = false;
    client->settling = client->looking = false;
    lead_end(client, FLIGHT_LEFT);
    client->server = NULL;
    server->client = NULL;
    worker_link(worker, -1);
    if (!server->conn.reads)
        conn_want_read(&server->conn, true);
    if (client->state == CLIENT_LINKED)
        client->state = CLIENT_IDLE;
}

// Nothing is on its way from or to its server, which would take what it is asked.
static bool is_settled(const struct client *client)
{
    const struct server *server = client->server;
    return !client->open_batch && client->stream_left == 0 &&
           (server == NULL || (ops_empty(&server->ops) && !server->skipping));
}

// Its server could be another's.
static bool server_at_rest(const struct client *client)
{
    return is_settled(client) && (client->server == NULL || client->server->status == 'I');
}

bool client_at_rest(const struct client *client)
{
    return server_at_rest(client) && !transaction_is_ours(&client->transaction);
}

bool client_is_quiet(const struct client *client)
{
    return server_at_rest(client) ||
           (is_settled(client) && client->server->status == 'T' &&
            client->transaction.state == TRANSACTION_READS);
}

bool client_is_aligning(const struct client *client)
{
    const uint32_t aligning = 1u << PURPOSE_ALIGN | 1u << PURPOSE_SETTINGS | 1u << PURPOSE_PROFILE |
                              1u << PURPOSE_RESET;
    const struct server *server = client->server;
    if (server == NULL || server->status != 'I' || client->open_batch || client->stream_left > 0)
        return false;
    for (uint32_t i = 0; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        if (op->origin != OP_INJECTED || (1u << op->purpose & aligning) == 0)
            return false;
    }
    return true;
}

void client_pin(struct client *client, enum pin pin)
{
    if (client->pins == 0)
        route_count(client->route, client->worker, pins, 1);
    if (client->pins == 0)
        client->pinned_us = client->worker->now_us;
    client->pins |= 1u << pin;
}

void client_discarded(struct client *client, bool more)
{
    sequences_forgotten(client);
    listening_forget(client);
    client->must_verify = more; // what it is pinned for may be what came behind
    client->discarded = !align_must_look(client);
    if (!client->discarded)
        client->resets = UINT8_MAX; // but for what was set behind it: align_looked()
    if (!more) {
        client->pins = 0;
        client->unseen = false;
        mentioned_free(&client->mentioned);
    }
    gucs_unref(&client->wanted);
    client->wanted = gucs_ref(client->given);
}

void client_answered(struct client *client, struct server *server)
{
    struct worker *worker = client->worker;
    client->rerun = RERUN_NONE;
    server->kept.len = 0;
    struct tally *tally = &client->route->tallies[worker->number];
    int64_t now = worker->now_us;
    bool open = server->status != 'I';
    const struct ops *ops = &server->ops; // the end of a COPY's data is answered with it
    bool last = ops->count <= 1 || (ops->count == 2 && ops_nth(ops, 1)->kind == OP_COPY_END);
    if (last) // else it is the end of something earlier
        client->clears = client->clearing = false;
    if (!client->in_transaction)
        client->xact_us = client->query_us;
    counter_add(&tally->queries, 1);
    counter_add(&tally->query_us, (uint64_t)(now - client->query_us));
    if (!open) {
        counter_add(&tally->xacts, 1);
        counter_add(&tally->xact_us, (uint64_t)(now - client->xact_us));
    }
    if (worker->queries != NULL)
        tracked_ready(client);
    client->answered_us = client->query_us = now;
    client->in_transaction = open;
}

void client_finished(struct client *client)
{
    struct server *server = client->server;
    if (client->state == CLIENT_GREETING) { // the settings that it gave were taken
        client->wanted_proven = true;
        client_unlink(client);
        server_release(server);
        greet(client);
        return;
    }
    if (client->went_around && client->route->domain != NULL)
        client->around_us = clock_us(); // not before the read itself
    client->went_around = true;
    client->unit_left = 0;
    client->unit_decided = false;
    if (!server_at_rest(client)) {
        client_resume(client);
        return;
    }
    client->since_us = client->worker->now_us;
    if (client->sequences != NULL)
        client->sequences->open = 0;
    if (client->worker->shutdown == SHUTDOWN_DRAIN) {
        client_dismiss(client, "57P01", client_terminated);
        return;
    }
    if (client->discarded)
        align_give_back(client, UINT8_MAX, 0);
    hidden_settle(client);
    if (align_must_look(client)) {
        if (!client->is_lookup) {
            align_look(client, server);
            return;
        }
        server->needs_reset = true; // it leaves before anybody could be told what is left
        client->must_verify = false;
        client->pins = 0;
    }
    client->reads_oddly = false;
    if (client->mode == POOL_SESSION && hidden_ask(server))
        return;
    bool keep = client->pins != 0 || client->mode == POOL_SESSION;
    if (client->aligning)
        keep = true;
    if (!keep || client->worker->shutdown == SHUTDOWN_WAIT_FOR_SERVERS) {
        client_unlink(client);
        server_release(server);
    } else if (client->aligning == 0 && !gucs_equal(client->wanted, server->applied)) {
        align_session(client, server, false); // what it gave at its start was reset
    }
    if (client->listening != NULL)
        listening_flush(client);
    if (client->conn.in.len > 0 || client->reading_paused)
        client_resume(client);
}
