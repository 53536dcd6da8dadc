// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/client.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/census.h"
#include "proxy/console/console.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/hidden.h"
#include "proxy/session/lead.h"
#include "proxy/session/explained.h"
#include "proxy/session/listening.h"
#include "proxy/session/login.h"
#include "proxy/session/replication.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

const char *client_state_name(enum client_state state)
{
    switch (state) {
    case CLIENT_STARTUP:
    case CLIENT_LOGIN:
        return "login";
    case CLIENT_GREETING:
    case CLIENT_WAITING:
        return "waiting";
    case CLIENT_IDLE:
    case CLIENT_LINKED:
    case CLIENT_REPLICATING:
    case CLIENT_CONSOLE:
    case CLIENT_CANCELLING:
        return "active";
    case CLIENT_CLOSED:
        return "closed";
    }
    return "?";
}

const char *pin_name(enum pin pin)
{
    static const char *const names[PIN_COUNT] = {
        "none", "set", "temp", "cursor", "prepare", "listen", "advisory", "load", "function",
        "sequence",
    };
    return names[pin];
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events);
static void on_writable(struct ev_loop *loop, ev_io *io, int events);

static struct client *make(struct worker *worker, const struct newcomer *who)
{
    struct client *client = mem_new(struct client);
    TAG_SET(client, CLIENT_TAG);
    client->worker = worker;
    client->number = atomic_fetch_add(&worker->pooler->last_client, 1) + 1;
    client->local = who->local;
    client->vars = vars_none(worker->pooler->vars);
    client->ours = client->introduced = who->ours;
    client->origin = who->origin;
    if (who->origin.kind == ORIGIN_UNKNOWN)
        origin_of_socket(&client->origin, who->fd, config_settings(worker->config)->listen_port);
    client->connected_us = client->since_us = clock_us();
    client->around_us = client->wrote_us = INT64_MIN;
    link_init(&client->link);
    conn_init(&client->conn, who->fd, on_readable, on_writable, client);
    list_push_back(&worker->clients, &client->link);
    client->conn.held = worker->suspended;
    conn_attach(&client->conn, worker->loop);
    return client;
}

struct client *client_new(struct worker *worker, const struct newcomer *who)
{
    struct client *client = make(worker, who);
    worker->pooler->clients++;
    if (!client_enters(client))
        return NULL;
    if (who->has_spoken && !client->conn.held)
        ev_feed_event(worker->loop, &client->conn.readable, EV_READ);
    return client;
}

struct client *client_take_over(struct worker *worker, int fd)
{
    struct client *client = make(worker, &(struct newcomer){.fd = fd});
    worker->pooler->clients++;
    worker->pooler->logged_in++;
    client->counts = true;
    client->state = CLIENT_IDLE;
    return client;
}

void client_new_lookup(struct worker *worker, int fd)
{
    make(worker, &(struct newcomer){.fd = fd, .local = true, .ours = true})->is_lookup = true;
}

void client_describe(const struct client *client, char *text, size_t bytes)
{
    char from[ORIGIN_TEXT_BYTES];
    origin_for_log(&client->origin, from, sizeof(from));
    snprintf(text, bytes, "C-%p: %s/%s@%s", (const void *)client,
             client->database ? client->database : "(nodb)",
             client->user ? client->user : "(nouser)", from);
}

static void log_end(const struct client *client, const char *why, bool failed)
{
    if (client->conn.received == 0 && client->state == CLIENT_STARTUP && !failed)
        return; // a health check that only connects
    if (client->is_lookup || client->conn.given)
        return; // who waits for it, or goes on with it, says so
    const struct settings *settings = config_settings(client->worker->config);
    if (!settings->log_disconnections && !(failed && settings->log_pooler_errors))
        return;
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    if (failed && settings->log_pooler_errors)
        log_warning("%s pooler error: %s", who, why);
    if (settings->log_disconnections)
        log_info("%s closing because: %s (age=%llds)", who, why,
                 (long long)((clock_us() - client->connected_us) / 1000000));
}

// A server in use goes back when nothing of this client is left in it; in doubt it is closed, which
// also rolls back what was not committed.
static void leave_server(struct client *client)
{
    struct server *server = client->server;
    if (server == NULL)
        return;
    bool clean = !server->own && ops_empty(&server->ops) && server->status == 'I' &&
                 !client->open_batch && client->stream_left == 0 && !server->copying_in &&
                 !server->skipping && !conn_has_output(&server->conn) &&
                 server->stream_left == 0 && server->conn.in.len == 0 && !server->conn.given;
    hidden_settle(client);
    if (client_pins_session(client)) // of sequences the next one makes it forget
        server->needs_reset = true;
    if (!clean)
        effects_in_doubt(client, server->process);
    client_unlink(client);
    if (clean)
        server_release(server);
    else
        server_close(server, "client disconnect while server was not ready");
}

void client_tally_bytes(struct client *client)
{
    struct conn *conn = &client->conn;
    struct tally *tally = NULL;
    if (client->route != NULL)
        tally = &client->route->tallies[client->worker->number];
    else if (client->console != NULL)
        tally = &client->worker->console;
    if (tally == NULL)
        return;
    if (conn->received != 0)
        counter_add(&tally->received, conn->received);
    if (conn->sent != 0)
        counter_add(&tally->sent, conn->sent);
    conn->received = conn->sent = 0;
}

static void uncount(struct client *client)
{
    struct census *census = client->worker->pooler->census;
    census_leave(census, &client->in_database);
    census_leave(census, &client->in_user);
    client_leaves_entrance(client);
    if (client->counts)
        client->worker->pooler->logged_in--;
    client->counts = false;
}

static void end(struct client *client)
{
    struct worker *worker = client->worker;
    client_tally_bytes(client);
    if (client->console != NULL)
        console_end(client);
    client->state = CLIENT_CLOSED;
    worker->pooler->clients -= client->is_lookup ? 0 : 1;
    if (client->key.bytes.length != 0)
        pooler_key_remove(worker->pooler, &client->key);
    bool free_to_go = true;
    if (client->route != NULL) {
        free_to_go = client_stop_waiting(client);
        if (client->login == NULL)
            pool_client_left(client->route->pool, clock_us());
    }
    uncount(client);
    replication_wants_no_more(client);
    listening_forget(client);
    client_unhold(client);
    lead_leave(client);
    conn_close(&client->conn);
    list_remove(&worker->clients, &client->link);
    if (free_to_go) // else a server is on its way here, with a pointer to this client
        list_push_back(&worker->graves_clients, &client->link);
    leave_server(client);
}

void client_close(struct client *client, const char *why)
{
    TAG_CHECK(client, CLIENT_TAG);
    if (client->state == CLIENT_CLOSED)
        return;
    log_end(client, why, false);
    end(client);
}

void client_fail(struct client *client, const char *sqlstate, const char *why)
{
    TAG_CHECK(client, CLIENT_TAG);
    if (client->state == CLIENT_CLOSED)
        return;
    log_end(client, why, true);
    client_fail_quietly(client, sqlstate, why);
}

void client_fail_quietly(struct client *client, const char *sqlstate, const char *why)
{
    if (client->state == CLIENT_CLOSED)
        return;
    uncount(client); // who reads why may come again at once
    struct buf message = {0};
    message_error(&message, "FATAL", sqlstate, why);
    conn_queue(&client->conn, buf_slice(&message));
    conn_flush(&client->conn); // what the socket does not take now is lost
    buf_fini(&message);
    end(client);
}

void client_dismiss(struct client *client, const char *sqlstate, const char *why)
{
    if (!conn_has_output(&client->conn)) {
        client_fail(client, sqlstate, why);
        return;
    }
    struct buf message = {0};
    message_error(&message, "FATAL", sqlstate, why);
    conn_queue(&client->conn, buf_slice(&message));
    buf_fini(&message);
    lead_leave(client);
    leave_server(client);
    client->closing = true;
    client->dismissed = why;
    conn_want_read(&client->conn, false);
}

void client_free(struct client *client)
{
    login_free(client);
    effects_clear(client);
    replication_free(client->replication);
    console_free(client->console);
    statement_names_clear(&client->names);
    statement_unref(&client->unnamed);
    statement_unref(&client->saying);
    buf_fini(&client->transaction.begin);
    listening_free(client);
    explained_free(client);
    vars_unref(&client->vars);
    route_unref(&client->route);
    gucs_unref(&client->wanted);
    gucs_unref(&client->given);
    gucs_unref(&client->given_vars);
    mentioned_free(&client->mentioned);
    mem_free(client->sequences);
    mem_free(client->tracked);
    mem_free(client->user);
    mem_free(client->database);
    TAG_CLEAR(client);
    mem_free(client);
}

static void handle(struct client *client, struct slice data)
{
    for (;;) {
        enum client_state before = client->state;
        switch (before) {
        case CLIENT_STARTUP:
        case CLIENT_LOGIN:
            data = client_startup(client, data);
            break;
        case CLIENT_CANCELLING:
            data = slice_of(NULL, 0); // it has nothing more to say
            break;
        case CLIENT_GREETING:
            break; // a client may not speak now, but may be early
        case CLIENT_IDLE:
        case CLIENT_WAITING:
        case CLIENT_LINKED:
            data = client_session(client, data);
            break;
        case CLIENT_CONSOLE:
            data = console_input(client, data);
            break;
        case CLIENT_REPLICATING:
            replication_from_client(client, data);
            data = slice_of(NULL, 0);
            break;
        case CLIENT_CLOSED:
            return;
        }
        bool login_went_on = before <= CLIENT_LOGIN && client->state > before;
        if (!login_went_on || data.len == 0)
            break;
    }
    if (client->state == CLIENT_CLOSED)
        return;
    conn_keep(&client->conn, data);
    if (client->finish_later) {
        client->finish_later = false;
        if (client->server == NULL)
            listening_begin(client);
        else
            client_finished(client);
        return;
    }
    // Nobody may fill our memory by talking while it has to wait.
    size_t ahead = client->state == CLIENT_LOGIN ? CLIENT_ENTRY_BYTES : CLIENT_AHEAD_BYTES;
    bool listen = client->conn.in.len < ahead ||
                  (client_wants_input(client) && !client->settling && !login_waits(client) &&
                   !console_is_busy(client->console));
    bool must_take = conn_has_output(&client->conn) && client->state != CLIENT_REPLICATING;
    client->reading_paused = !listen || must_take ||
                             (client->server != NULL && conn_has_output(&client->server->conn));
    conn_want_read(&client->conn, !client->reading_paused);
}

void client_resume(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    handle(client, conn_kept(&client->conn));
}

static void broken(struct client *client)
{
    const struct tls *tls = client->conn.tls;
    if (tls != NULL && tls_error(tls) != NULL) {
        char who[CLIENT_NAME_BYTES];
        client_describe(client, who, sizeof(who));
        log_warning("%s TLS %serror: %s", who, tls_is_established(tls) ? "" : "handshake ",
                    tls_error(tls));
    }
    client_close(client, "client unexpected eof");
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *client = io->data;
    TAG_CHECK(client, CLIENT_TAG);
    struct slice data;
    switch (conn_read(&client->conn, client->worker->area, &data)) {
    case CONN_AGAIN:
        return;
    case CONN_EOF:
    case CONN_ERROR:
        broken(client);
        return;
    case CONN_OK:
        handle(client, data);
        return;
    }
}

static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *client = io->data;
    TAG_CHECK(client, CLIENT_TAG);
    ev_io_stop(loop, io);
    switch (conn_flush(&client->conn)) {
    case CONN_AGAIN:
        return;
    case CONN_EOF:
    case CONN_ERROR:
        broken(client);
        return;
    case CONN_OK:
        break;
    }
    if (client->closing) {
        client_close(client, client->dismissed ? client->dismissed : "client close request");
        return;
    }
    if (client->server != NULL)
        conn_want_read(&client->server->conn, true);
    client_resume(client);
}
