// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/fit.h"

#include "proxy/route.h"
#include "proxy/server/hub.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/listening.h"
#include "proxy/session/told.h"
#include "proxy/takeover/carried.h"
#include "proxy/worker.h"

enum { CARRIED_MAX_BYTES = 4 << 20 }; // of input that waits to be handled

static bool is_flushed(struct conn *conn)
{
    conn_send_posted(conn);
    return !conn_has_output(conn) && conn->in.len <= CARRIED_MAX_BYTES;
}

static bool has_channels(const struct client *client)
{
    return client->listening != NULL && !list_empty(&client->listening->subscriptions);
}

// ---- servers ----

static bool owes_no_more(const struct ops *ops)
{
    for (uint32_t i = 0; i < ops->count; i++)
        if (!carried_takes_op(ops_nth(ops, i)))
            return false;
    return true;
}

enum fit fit_server(struct server *server)
{
    if (server->conn.tls != NULL || server->own)
        return FIT_NEVER;
    if (server->hub != NULL)
        return hub_is_settled(server->hub) && is_flushed(&server->conn) ? FIT_NOW : FIT_SOON;
    if (server->state == SERVER_IDLE) {
        bool good = server->name == NULL && server->doomed == NULL && !server_is_obsolete(server);
        return good && is_flushed(&server->conn) && server->conn.in.len == 0 ? FIT_NOW : FIT_NEVER;
    }
    if (server->state != SERVER_LINKED || server->client == NULL ||
        server->client->server != server)
        return FIT_NEVER; // nobody's: it is not missed
    bool settled = server->audit == NULL && server->cancels == 0 && !server->profile_asked &&
                   owes_no_more(&server->ops) && is_flushed(&server->conn);
    return settled ? FIT_NOW : FIT_SOON;
}

bool fit_server_for_all(struct server *server)
{
    bool idle = server->state == SERVER_IDLE && server->prepared.table.count == 0 &&
                !server->needs_reset && !server->needs_settings_reset && !server->fresh;
    bool linked = server->state == SERVER_LINKED && ops_empty(&server->ops) &&
                  server->doomed == NULL && server->stream_left == 0 && !server->copying_in &&
                  server->prepared.table.count == 0 && server->named.table.count == 0;
    return (idle || linked) && server->hub == NULL && server->applied == NULL &&
           server->conn.in.len == 0 && fit_server(server) == FIT_NOW;
}

// ---- clients ----

// Input that waits for an answer of ours (but a layout's, which is asked for again); a text that is
// being run again.
static bool is_in_between(const struct client *client)
{
    bool settling = client->settling && (client->server == NULL || !told_waits(client->server));
    return client->aligning != 0 || client->clearing || client->looking || settling ||
           client->finish_later || client->stream_ended || client->ended_here ||
           client->rerun == RERUN_DUE || client->rerun == RERUN_DUE_WITH_SYNC ||
           client->transaction.state == TRANSACTION_FAILING || client->explained != NULL ||
           (client->waiting != NULL && client->waiting->waiter.state == WAITER_GRANTED);
}

static enum fit fit_session(struct client *client)
{
    if (client->route->removed)
        return FIT_NEVER;
    if (is_in_between(client))
        return FIT_SOON;
    enum fit fit = client->server != NULL ? fit_server(client->server) : FIT_NOW;
    if (fit != FIT_NOW || !has_channels(client))
        return fit;
    list_each(&client->listening->subscriptions, l)
    {
        const struct subscription *s = container_of(l, struct subscription, of_client);
        const struct hub *hub = s->channel->hub;
        if (!s->active || hub->server == NULL)
            return FIT_SOON;
        fit = fit_server(hub->server);
        if (fit != FIT_NOW)
            return fit;
    }
    return FIT_NOW;
}

enum fit fit_client(struct client *client)
{
    if (client->conn.tls != NULL || client->ours || client->closing || client->replication != NULL)
        return FIT_NEVER;
    switch (client->state) {
    case CLIENT_CONSOLE:
    case CLIENT_REPLICATING:
    case CLIENT_CLOSED:
        return FIT_NEVER;
    case CLIENT_LOGIN:
    case CLIENT_CANCELLING:
        return FIT_SOON;
    case CLIENT_STARTUP:
        return is_flushed(&client->conn) ? FIT_NOW : FIT_SOON;
    case CLIENT_GREETING: // with a server it is aligning
    case CLIENT_IDLE:
    case CLIENT_WAITING:
    case CLIENT_LINKED:
        break;
    }
    enum fit fit = fit_session(client);
    return fit == FIT_NOW && !is_flushed(&client->conn) ? FIT_SOON : fit;
}

static bool is_default(const struct client *client, enum followed_var var)
{
    const char *value = client->vars->value[var];
    pthread_mutex_lock(&client->route->lock);
    const char *fallback = client->route->defaults->value[var];
    bool same = value == NULL || (fallback != NULL && strcmp(value, fallback) == 0);
    pthread_mutex_unlock(&client->route->lock);
    return same;
}

bool fit_client_for_all(struct client *client)
{
    bool at_rest = client->state == CLIENT_IDLE && !client->in_transaction;
    bool linked = client->state == CLIENT_LINKED && fit_server_for_all(client->server);
    return (at_rest || linked) && fit_client(client) == FIT_NOW && client->pins == 0 &&
           client->wanted == NULL && client->names.table.count == 0 && client->conn.in.len == 0 &&
           client->stream_left == 0 && !client->open_batch && !client->dropping &&
           !has_channels(client) && is_default(client, VAR_INTERVAL_STYLE) &&
           client->key.bytes.length == CANCEL_PROCESS_BYTES + CANCEL_SECRET_SHORT;
}
