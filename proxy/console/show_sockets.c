// SPDX-License-Identifier: Apache-2.0
// SHOW CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS, FDS: one row for each connection, made by the
// worker that it belongs to.
#include "proxy/console/show.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/console/console.h"
#include "proxy/console/question.h"
#include "proxy/halt.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/replication.h"
#include "proxy/takeover/handover.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

// What the row of a connection says, clients' and servers' alike.
struct row {
    const char *type, *user, *database, *replication, *state;
    struct origin remote, local;
    int64_t connected_us, requested_us, waiting_us;
    bool close_needed;
    char ptr[24], link[24];
    int64_t pid;
    const char *application;
    size_t statements;
    uint64_t number;
    char pins[80];
    int worker;
    const char *transaction;
    const struct conn *conn;
    struct slice waiting_input;
};

enum { SHOW_CLIENTS, SHOW_SERVERS, SHOW_SOCKETS, SHOW_ACTIVE_SOCKETS, SHOW_FDS };

static bool in_detail(const struct question *q)
{
    return q->number == SHOW_SOCKETS || q->number == SHOW_ACTIVE_SOCKETS;
}

static void print(const struct question *q, const struct row *row)
{
    char remote[ORIGIN_HOST_BYTES], local[ORIGIN_HOST_BYTES];
    char connected[TABLE_TIME_BYTES], requested[TABLE_TIME_BYTES];
    origin_host(&row->remote, remote);
    origin_host(&row->local, local);
    table_time(row->connected_us, connected);
    table_time(row->requested_us, requested);
    char tls[TLS_INFO_BYTES] = "";
    if (row->conn->tls != NULL && tls_is_established(row->conn->tls))
        tls_describe(row->conn->tls, tls);
    struct cell cells[TABLE_COLUMNS_MAX] = {
        TEXT(row->type), TEXT(row->user), TEXT(row->database), TEXT(row->replication),
        TEXT(row->state), TEXT(remote), NUMBER(row->remote.port), TEXT(local),
        NUMBER(row->local.port), TEXT(connected), TEXT(requested),
        NUMBER(row->waiting_us / 1000000),
        NUMBER(row->waiting_us % 1000000), NUMBER(row->close_needed), TEXT(row->ptr),
        TEXT(row->link), NUMBER(row->pid), TEXT(tls), TEXT(row->application),
        NUMBER(row->statements), NUMBER(row->number)};
    int n = 21;
    if (in_detail(q)) {
        size_t in = row->conn->in.len, out = row->conn->out.len - row->conn->out_sent;
        cells[n++] = NUMBER(in);                  // recv_pos
        cells[n++] = NUMBER(0);                   // pkt_pos
        cells[n++] = NUMBER(row->waiting_input.len);
        cells[n++] = NUMBER(row->conn->out_sent); // send_pos
        cells[n++] = NUMBER(out);
        cells[n++] = NUMBER(in);                  // pkt_avail
        cells[n++] = NUMBER(out);                 // send_avail
    }
    cells[n++] = TEXT(row->pins);
    cells[n++] = NUMBER(row->worker);
    cells[n] = TEXT(row->transaction);
    table_row(&q->table, cells);
}

static bool is_active_socket(const struct conn *conn)
{
    return conn->in.len > 0 || conn_has_output(conn);
}

// ---- clients ----

static const char *client_state(const struct client *client, bool in_sockets)
{
    switch (client->state) {
    case CLIENT_STARTUP:
    case CLIENT_LOGIN:
        return in_sockets ? "cl_login" : NULL;
    case CLIENT_GREETING:
    case CLIENT_WAITING:
        return in_sockets ? "cl_waiting" : "waiting";
    case CLIENT_IDLE:
    case CLIENT_CONSOLE:
        return in_sockets ? "cl_active" : "idle";
    case CLIENT_LINKED:
    case CLIENT_REPLICATING:
        return in_sockets ? "cl_active" : "active";
    case CLIENT_CANCELLING:
        return in_sockets ? NULL : "active_cancel_req";
    case CLIENT_CLOSED:
        return NULL;
    }
    return NULL;
}

// Since when it waits for a server or for an answer; 0: it does not.
static int64_t client_waits_us(const struct client *client, int64_t now)
{
    bool queued = client->state == CLIENT_WAITING || client->state == CLIENT_GREETING;
    bool running = client->state == CLIENT_LINKED && !ops_empty(&client->server->ops);
    int64_t since = queued ? client->since_us : running ? client->query_us : now;
    return now > since ? now - since : 0;
}

static void pin_names(const struct client *client, char *text, size_t bytes)
{
    size_t n = 0;
    text[0] = '\0';
    for (int i = 1; i < PIN_COUNT; i++)
        if (client->pins & (1u << i) && n < bytes)
            n += (size_t)snprintf(text + n, bytes - n, "%s%s", n ? "," : "", pin_name(i));
}

// The open transaction, as the cache sees it.
static const char *client_transaction(const struct client *client)
{
    switch ((enum transaction_state)client->transaction.state) {
    case TRANSACTION_DEFERRED:
        return "deferred";
    case TRANSACTION_FAILED:
    case TRANSACTION_FAILING:
        return "failed";
    case TRANSACTION_READS:
        return "reads";
    case TRANSACTION_NONE:
        break;
    }
    return client->in_transaction ? "open" : "";
}

static void client_row(const struct client *client, const struct question *q, int64_t now)
{
    const char *state = client_state(client, in_detail(q));
    if (state == NULL || (q->number == SHOW_ACTIVE_SOCKETS && !is_active_socket(&client->conn)))
        return;
    const struct server *server = client->server;
    const char *application = client->vars->value[VAR_APPLICATION_NAME];
    int64_t asked_us = client->state == CLIENT_LINKED ? client->query_us : client->since_us;
    struct row row = {
        .type = "C",
        .user = client->user ? client->user : "(nouser)",
        .database = client->database ? client->database : "(nodb)",
        .replication = replication_name(client->replication),
        .state = state,
        .remote = client->origin,
        .connected_us = client->connected_us,
        .requested_us = asked_us,
        .waiting_us = client_waits_us(client, now),
        .close_needed = client->closing,
        .pid = client->origin.kind == ORIGIN_UNIX ? client->origin.pid : 0,
        .application = application ? application : "",
        .statements = client->names.table.count,
        .number = client->number,
        .worker = client->worker->number,
        .transaction = client_transaction(client),
        .conn = &client->conn,
    };
    origin_of_own_end(&row.local, client->conn.fd);
    snprintf(row.ptr, sizeof(row.ptr), "%p", (const void *)client);
    if (server != NULL)
        snprintf(row.link, sizeof(row.link), "%p", (const void *)server);
    pin_names(client, row.pins, sizeof(row.pins));
    print(q, &row);
}

// ---- servers ----

static const char *server_state(const struct server *server, bool in_sockets)
{
    switch (server->state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
    case SERVER_SETUP:
        return in_sockets ? "sv_login" : "new";
    case SERVER_IDLE:
        return in_sockets ? "sv_idle" : "idle";
    case SERVER_LINKED:
        return in_sockets ? "sv_active" : server->release_waits ? "being_canceled" : "active";
    case SERVER_RESETTING:
        return in_sockets ? "sv_tested" : "tested";
    case SERVER_CLOSED:
        return NULL;
    }
    return NULL;
}

static void server_row(const struct server *server, const struct question *q)
{
    const char *state = server_state(server, in_detail(q));
    if (state == NULL || (q->number == SHOW_ACTIVE_SOCKETS && !is_active_socket(&server->conn)))
        return;
    bool linked = server->state == SERVER_LINKED || server->own;
    const struct client *client = linked ? server->client : NULL;
    const char *application = server->vars->value[VAR_APPLICATION_NAME];
    struct row row = {
        .type = "S",
        .user = server->route->server_user,
        .database = server->route->database,
        .replication = replication_name(server->own ? client->replication : NULL),
        .state = state,
        .connected_us = server->slot.opened_us ? server->slot.opened_us : server->since_us,
        .requested_us = client != NULL ? client->query_us : server->since_us,
        .close_needed = server->doomed || server_is_of_before(server),
        .pid = server->process,
        .application = application ? application : "",
        .statements = server->prepared.table.count,
        .number = server->number,
        .worker = server->worker->number,
        .transaction = linked && client != NULL ? client_transaction(client) : "",
        .conn = &server->conn,
    };
    origin_of_address(&row.remote, &server->address.to.any, server->address.length);
    origin_of_own_end(&row.local, server->conn.fd);
    if (row.local.kind == ORIGIN_UNIX)
        row.local.port = row.remote.port; // ours has no name
    snprintf(row.ptr, sizeof(row.ptr), "%p", (const void *)server);
    if (client != NULL)
        snprintf(row.link, sizeof(row.link), "%p", (const void *)client);
    print(q, &row);
}

// ---- FDS ----

// To be looked at: without descriptors, and no secrets are told.
static void fd_row(const struct question *q, const char *task, const struct conn *conn,
                   const char *user, const char *database, const struct origin *remote,
                   const struct conn *link, const struct vars *vars)
{
    char host[ORIGIN_HOST_BYTES];
    origin_host(remote, host);
    table_row(&q->table,
              (struct cell[]){NUMBER(conn->fd), TEXT(task), TEXT(user), TEXT(database), TEXT(host),
                              NUMBER(remote->port), NUMBER(0), NUMBER(link ? link->fd : 0),
                              TEXT(vars->value[VAR_CLIENT_ENCODING]),
                              TEXT(vars->value[VAR_STANDARD_CONFORMING_STRINGS]),
                              TEXT(vars->value[VAR_DATE_STYLE]), TEXT(vars->value[VAR_TIME_ZONE]),
                              TEXT(NULL), TEXT(NULL), TEXT(NULL)});
}

static void visit_fds(struct worker *worker, struct question *q)
{
    list_each(&worker->clients, l)
    {
        const struct client *client = container_of(l, struct client, link);
        if (client->route != NULL)
            fd_row(q, "client", &client->conn, client->user, client->database, &client->origin,
                   client->server ? &client->server->conn : NULL, client->vars);
    }
    list_each(&worker->servers, s)
    {
        const struct server *server = container_of(s, struct server, link);
        struct origin remote;
        origin_of_address(&remote, &server->address.to.any, server->address.length);
        bool linked = server->state == SERVER_LINKED && server->client != NULL;
        fd_row(q, "server", &server->conn, server->route->server_user, server->route->database,
               &remote, linked ? &server->client->conn : NULL, server->vars);
    }
}

// ---- the question ----

static void visit(struct worker *worker, struct question *q)
{
    int64_t now = clock_us();
    if (q->number != SHOW_SERVERS)
        list_each(&worker->clients, l)
            client_row(container_of(l, struct client, link), q, now);
    if (q->number != SHOW_CLIENTS)
        list_each(&worker->servers, s)
            server_row(container_of(s, struct server, link), q);
}

static enum command_result ask(struct client *client, struct table *table, uint64_t which)
{
    struct question *q = question_of_table(client, table);
    q->number = which;
    q->visit = which == SHOW_FDS ? visit_fds : visit;
    question_ask_workers(q);
    return COMMAND_LATER;
}

static enum command_result clients(struct client *client, struct table *table)
{
    return ask(client, table, SHOW_CLIENTS);
}

static enum command_result servers(struct client *client, struct table *table)
{
    return ask(client, table, SHOW_SERVERS);
}

static enum command_result sockets(struct client *client, struct table *table)
{
    return ask(client, table, SHOW_SOCKETS);
}

static enum command_result active_sockets(struct client *client, struct table *table)
{
    return ask(client, table, SHOW_ACTIVE_SOCKETS);
}

// From here on it is the one that may end us to go on with our connections.
static bool inherits(struct client *client)
{
    return handover_may(client) && halt_inherit(client->worker->pooler, client->number);
}

// With the descriptors: the rows are sent as they are made, each with its own.
static enum command_result hand_over(struct client *client, struct table *table, bool with_state)
{
    struct handover *handover = handover_new(client, table->shape, with_state);
    if (handover == NULL)
        return COMMAND_REFUSED;
    conn_queue(&client->conn, buf_slice(table->out)); // before the first row
    buf_clear(table->out);
    if (conn_flush(&client->conn) != CONN_OK) {
        handover_free(handover);
        return COMMAND_REFUSED;
    }
    struct question *q = question_of_table(client, table);
    q->handover = handover;
    q->visit = handover_visit;
    q->done = handover_done;
    console_inherits(client);
    question_ask_main(q, ERRAND_HAND_OVER);
    return COMMAND_LATER;
}

static enum command_result fds(struct client *client, struct table *table)
{
    return inherits(client) ? hand_over(client, table, false) : ask(client, table, SHOW_FDS);
}

static enum command_result fds_state(struct client *client, struct table *table)
{
    return inherits(client) ? hand_over(client, table, true) : COMMAND_REFUSED;
}

#define FDS_COLUMNS \
    "fd", "task", "user", "database", "addr", "port", "cancel", "link", "client_encoding", \
        "std_strings", "datestyle", "timezone", "password", "scram_client_key", \
        "scram_server_key"
#define COLUMNS(...) (const char *const[]){__VA_ARGS__}
#define STANDARD                                                                                   \
    "type", "user", "database", "replication", "state", "addr", "port", "local_addr",              \
        "local_port", "connect_time", "request_time", "wait", "wait_us", "close_needed", "ptr",    \
        "link", "remote_pid", "tls", "application_name", "prepared_statements", "id"
#define IN_DETAIL                                                                                  \
    STANDARD, "recv_pos", "pkt_pos", "pkt_remain", "send_pos", "send_remain", "pkt_avail",         \
        "send_avail"
#define OURS "pins", "worker", "transaction"

const struct show show_sockets[] = {
    {"clients", {"ssssssisissiiississiisis", COLUMNS(STANDARD, OURS)}, clients, false},
    {"servers", {"ssssssisissiiississiisis", COLUMNS(STANDARD, OURS)}, servers, false},
    {"sockets", {"ssssssisissiiississii" "iiiiiii" "sis", COLUMNS(IN_DETAIL, OURS)},
     sockets, false},
    {"active_sockets", {"ssssssisissiiississii" "iiiiiii" "sis", COLUMNS(IN_DETAIL, OURS)},
     active_sockets, false},
    {"fds",
     {"issssilisssssbb",
      COLUMNS(FDS_COLUMNS)},
     fds, true},
    {"fds_state",
     {"issssilisssssbbb",
      COLUMNS(FDS_COLUMNS, "state")},
     fds_state, true},
    {NULL, {NULL, NULL}, NULL, false},
};
