// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/replication.h"

#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/startup.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// ---- the parameter ----

// parse_bool() of PostgreSQL: a word may be cut short where it is clear what is meant.
static bool begins(const char *word, const char *value, size_t least)
{
    size_t n = strlen(value);
    return n >= least && n <= strlen(word) && strncasecmp(word, value, n) == 0;
}

bool replication_parse(const char *value, enum replication_kind *kind)
{
    if (strcmp(value, "database") == 0) {
        *kind = REPLICATION_LOGICAL;
        return true;
    }
    *kind = REPLICATION_PHYSICAL;
    if (begins("true", value, 1) || begins("yes", value, 1) || begins("on", value, 2) ||
        strcmp(value, "1") == 0)
        return true;
    *kind = REPLICATION_NONE;
    return begins("false", value, 1) || begins("no", value, 1) || begins("off", value, 2) ||
           strcmp(value, "0") == 0;
}

static const char *pick(const struct replication *replication, const char *const names[3])
{
    return names[replication == NULL ? REPLICATION_NONE : replication->kind];
}

const char *replication_name(const struct replication *replication)
{
    static const char *const names[3] = {"none", "logical", "physical"};
    return pick(replication, names);
}

const char *replication_parameter(const struct replication *replication)
{
    static const char *const names[3] = {"no", "database", "yes"};
    return pick(replication, names);
}

void replication_free(struct replication *replication)
{
    if (replication == NULL)
        return;
    buf_fini(&replication->parameters);
    mem_free(replication);
}

// ---- waiting for a server ----

void replication_wants_no_more(struct client *client)
{
    struct replication *replication = client->replication;
    if (replication == NULL || !replication->wants)
        return;
    replication->wants = false;
    pool_want_own(client->route->pool, -1);
}

void replication_try(struct client *client, int64_t now_us)
{
    struct worker *worker = client->worker;
    struct pool *pool = client->route->pool;
    if (client->server != NULL)
        return; // it is being opened
    // An idle one of ours makes room; those of other workers do when their janitor looks.
    const char *why;
    struct pool_server *slot = pool_stale(pool, worker->number, INT64_MIN, now_us, &why);
    if (slot != NULL)
        server_close(container_of(slot, struct server, slot), why);
    server_open_own(worker, client, now_us);
}

void replication_begin(struct client *client)
{
    // What is written through a database's walsender is not looked at here. The WAL tells it; where
    // the cache has nothing but what passes through, it would never learn of it.
    const struct settings *settings = config_settings(client->worker->config);
    if (client->replication->kind == REPLICATION_LOGICAL &&
        settings->invalidation == CONFIG_INVALIDATION_PROXY &&
        route_is_to_follow(client->route, client->worker->config)) {
        client_fail(client, "0A000",
                    "logical replication connections are not possible with invalidation = proxy");
        return;
    }
    client->since_us = clock_us();
    client->replication->wants = true;
    pool_want_own(client->route->pool, 1);
    replication_try(client, client->since_us);
}

// ---- greeted, refused ----

void replication_greet(struct client *client, struct server *server)
{
    struct buf out = {0};
    message_auth(&out, AUTH_OK, slice_of(NULL, 0));
    buf_put(&out, buf_slice(&server->welcome));
    buf_fini(&server->welcome);
    client_give_key(client, &out);
    message_ready(&out, 'I');
    route_count(client->route, client->worker, logins, 1);
    client->state = CLIENT_REPLICATING;
    client->since_us = clock_us();
    bool alive = startup_say(client, buf_slice(&out));
    buf_fini(&out);
    if (alive && client->conn.in.len > 0)
        client_resume(client); // it spoke before it was greeted
}

void replication_refused(struct client *client, struct slice error_body)
{
    struct buf out = {0};
    size_t mark = buf_message_begin(&out, 'E');
    buf_put(&out, error_body);
    buf_message_end(&out, mark);
    startup_say(client, buf_slice(&out));
    buf_fini(&out);
}

// ---- bytes ----

void replication_from_client(struct client *client, struct slice data)
{
    struct server *server = client->server;
    if (server == NULL || data.len == 0)
        return; // it only waits for its output to be taken
    conn_queue(&server->conn, data);
    if (conn_flush(&server->conn) == CONN_ERROR)
        server_close(server, "server conn crashed?");
}

bool replication_from_server(struct server *server)
{
    struct client *client = server->client;
    struct slice data;
    switch (conn_read(&server->conn, server->worker->area, &data)) {
    case CONN_AGAIN:
        return true;
    case CONN_EOF:
    case CONN_ERROR:
        server_close(server, "server conn crashed?");
        return false;
    case CONN_OK:
        break;
    }
    conn_queue(&client->conn, data);
    conn_keep(&server->conn, slice_of(NULL, 0));
    if (conn_flush(&client->conn) == CONN_ERROR) {
        client_close(client, "client unexpected eof");
        return false;
    }
    if (conn_has_output(&client->conn))
        conn_want_read(&server->conn, false); // until the client has taken it
    return true;
}

void replication_server_gone(struct client *client, const char *why)
{
    if (conn_has_output(&client->conn))
        client->closing = true;
    else
        client_close(client, why);
}
