// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/adoption.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/route.h"
#include "proxy/server/hub.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/startup.h"
#include "proxy/sql/keys.h"
#include "proxy/takeover/carried.h"
#include "proxy/takeover/takeover.h"
#include "proxy/wire/socket.h"
#include "proxy/worker.h"

static bool is_task(const struct takeover_row *row, const char *task)
{
    return row != NULL && strcmp(row->task, task) == 0;
}

static bool head_of(const struct takeover_row *row, struct carried_head *head, struct reader *r)
{
    *r = reader_of(buf_slice(&row->state));
    return row->state.len > 0 && carried_take_head(r, head);
}

// ---- what is known before the first connection ----

static void prepare_route(const struct takeover_row *row, struct pooler *pooler)
{
    struct carried_head head;
    struct reader r;
    struct scram_keys keys = {.salt_len = 0};
    if (row->user == NULL || row->database == NULL || console_is(row->database))
        return;
    struct route *route = pooler_route_as(pooler, row->database, row->user);
    if (route == NULL)
        return;
    if (row->password != NULL && row->password[0] != '\0')
        route_keep_password(route, row->user, row->password);
    if (row->client_key.len == SCRAM_KEY_BYTES && row->server_key.len == SCRAM_KEY_BYTES) {
        memcpy(keys.client_key, row->client_key.at, SCRAM_KEY_BYTES);
        memcpy(keys.server_key, row->server_key.at, SCRAM_KEY_BYTES);
        route_keep_keys(route, row->user, &keys);
        secret_wipe(&keys, sizeof(keys));
    }
    if (head_of(row, &head, &r) && head.kind == CARRIED_ROUTE)
        carried_take_route(&r, route);
    route_unref(&route);
}

void adoption_prepare(struct takeover *takeover, struct pooler *pooler)
{
    for (size_t i = 0; i < takeover->count; i++) {
        const struct takeover_row *row = takeover->rows[i];
        struct carried_head head;
        struct reader r;
        uint64_t last;
        bool of_pgbouncer = row->state.len == 0 && row->password != NULL &&
                            row->password[0] != '\0'; // of a user that its auth_query found
        if (is_task(row, "route") || (is_task(row, "client") && of_pgbouncer))
            prepare_route(row, pooler);
        else if (is_task(row, "pooler") && head_of(row, &head, &r) &&
                 head.kind == CARRIED_LISTENER && carried_take_listener(&r, &last))
            statement_registry_skip(pooler->statements, last);
    }
}

// ---- to the workers ----

// As many workers as there were keep what they had.
static struct worker *worker_of(struct pooler *pooler, const struct takeover_row *row)
{
    struct carried_head head;
    struct reader r;
    unsigned number = (unsigned)(head_of(row, &head, &r) ? head.worker : row->old_fd);
    return pooler->workers[number % (unsigned)pooler->worker_count];
}

static void post_to(struct worker *worker, struct takeover_row *client,
                    struct takeover_row *server)
{
    struct adopted *mail = mem_new(struct adopted);
    mail->mail.kind = MAIL_ADOPT;
    mail->client = client;
    mail->server = server;
    worker->pooler->adopting++;
    mailbox_post(&worker->mailbox, &mail->mail);
}

static void post(struct pooler *pooler, struct takeover_row *client, struct takeover_row *server)
{
    post_to(worker_of(pooler, client != NULL ? client : server), client, server);
}

static struct takeover_row *take_link(struct takeover *takeover, const struct takeover_row *client)
{
    for (size_t i = 0; i < takeover->count && client->link != 0; i++) {
        struct takeover_row *row = takeover->rows[i];
        if (is_task(row, "server") && row->old_fd == client->link) {
            takeover->rows[i] = NULL;
            return row;
        }
    }
    return NULL;
}

void adoption_post(struct takeover *takeover, struct pooler *pooler)
{
    size_t clients = 0, servers = 0;
    for (size_t i = 0; i < takeover->count; i++) {
        struct takeover_row *row = takeover->rows[i];
        if (!is_task(row, "server") || row->link != 0)
            continue;
        takeover->rows[i] = NULL;
        post(pooler, NULL, row);
        servers++;
    }
    for (size_t i = 0; i < takeover->count; i++) {
        struct takeover_row *row = takeover->rows[i];
        if (!is_task(row, "client"))
            continue;
        takeover->rows[i] = NULL;
        struct takeover_row *server = take_link(takeover, row);
        post(pooler, row, server);
        clients++;
        servers += server != NULL;
    }
    for (int i = 0; i < pooler->worker_count; i++)
        post_to(pooler->workers[i], NULL, NULL);
    log_info("taken over: %zu clients, %zu servers", clients, servers);
}

// ---- servers ----

// What was taken is not encrypted: is it what a new one would have to be?
static void judge_tls(struct server *server)
{
    bool must = config_settings(server->worker->config)->server_tls_sslmode >= CONFIG_SSL_REQUIRE;
    if (must && server->address.to.any.sa_family != AF_UNIX && server->doomed == NULL)
        server->doomed = "close_needed";
}

// Closed, or reset as after any client: whatever it was, it is known then.
static void adopt_idle(struct worker *worker, struct takeover_row *row)
{
    struct carried_head head;
    struct reader r;
    if (!head_of(row, &head, &r) || row->user == NULL || row->database == NULL)
        return; // of a PgBouncer, which does not tell what a fresh session says
    struct route *route = pooler_route_as(worker->pooler, row->database, row->user);
    if (route == NULL)
        return;
    bool hub = head.kind == CARRIED_HUB;
    struct server *server = server_take_over(worker, route, row->fd, hub);
    row->fd = -1;
    judge_tls(server);
    bool good = carried_take_server(&r, server, NULL) && server->doomed == NULL &&
                ops_empty(&server->ops) && server->status == 'I';
    if (!good || (!hub && !route_has_welcome(route))) {
        server_close(server, "close_needed");
    } else if (!hub) {
        server->mode = route->pool->mode;
        server->needs_reset = true;
        server_release(server);
    }
    route_unref(&route);
}

// ---- clients ----

// What ran before may have done anything: it is asked for when the transaction has ended.
static void note_past(struct client *client)
{
    const struct server *server = client->server;
    bool open = server->status != 'I' || !ops_empty(&server->ops) || client->open_batch ||
                client->stream_left > 0;
    client->batch_runs = client->open_batch;
    if (open)
        effects_note(client, NULL, &(struct key_values){.analysis = NULL});
}

// False: it is closed, and so is the client.
static bool adopt_linked(struct client *client, struct takeover_row *row)
{
    struct carried_head head;
    struct reader r;
    if (!head_of(row, &head, &r) || head.kind != CARRIED_SERVER)
        return false;
    struct server *server = server_take_over(client->worker, client->route, row->fd, false);
    row->fd = -1;
    judge_tls(server);
    client->server = server;
    client->state = CLIENT_LINKED;
    server->client = client;
    worker_link(client->worker, 1);
    if (!carried_take_server(&r, server, client)) {
        server_close(server, "its state cannot be read");
        return false;
    }
    if (!route_has_welcome(client->route) && server->doomed == NULL)
        server->doomed = "close_needed";
    server->needs_reset = true;
    note_past(client);
    return true;
}

// As PgBouncer knows it.
static void take_columns(struct client *client, const struct takeover_row *row)
{
    const char *values[VAR_COUNT] = {
        [VAR_CLIENT_ENCODING] = row->encoding,
        [VAR_STANDARD_CONFORMING_STRINGS] = row->standard_strings,
        [VAR_DATE_STYLE] = row->date_style,
        [VAR_TIME_ZONE] = row->time_zone,
    };
    for (int i = 0; i < VAR_COUNT; i++)
        if (values[i] != NULL)
            vars_set(&client->vars, i, values[i]);
    uint8_t key[CANCEL_PROCESS_BYTES + CANCEL_SECRET_SHORT];
    store_u32(key, (uint32_t)(row->cancel >> 32));
    store_u32(key + CANCEL_PROCESS_BYTES, (uint32_t)row->cancel);
    bool peered = config_settings(client->worker->config)->peer_id > 0;
    pooler_key_keep(client->worker->pooler, &client->key, slice_of(key, sizeof(key)), peered);
    client->wanted_proven = true;
    client->mode = client->route->pool->mode;
    client->local = row->address != NULL && strcmp(row->address, "unix") == 0;
    client->introduced = true;
}

// In a database that exists.
static bool enter(struct client *client, const struct takeover_row *row)
{
    client->user = mem_strdup(row->user);
    client->database = mem_strdup(row->database);
    client->route = console_is(client->database) ? NULL : client_find_route(client);
    if (client->route == NULL)
        return false;
    startup_count_taken(client);
    pool_client_joined(client->route->pool);
    return true;
}

static bool adopt_state(struct client *client, struct adopted *mail, struct reader *r,
                        const struct carried_head *head)
{
    if (mail->client->state.len == 0) {
        take_columns(client, mail->client);
        return mail->client->link == 0; // what its server is doing is not told
    }
    if (head->kind != CARRIED_CLIENT && head->kind != CARRIED_GREETING)
        return false;
    if (!carried_take_client(r, client, head->kind)) // nor is another version's read
        return false;
    bool linked = mail->client->link != 0;
    if (client->stream_left > 0 && !linked && !client->stream_discard)
        return false;
    if (linked != (mail->server != NULL) || (linked && !adopt_linked(client, mail->server)))
        return false;
    bool deferred = transaction_is_ours(&client->transaction);
    return carried_take_channels(r, client) &&
           (!deferred || client->route->domain != NULL);
}

static void adopt_session(struct worker *worker, struct adopted *mail, struct reader *r,
                          const struct carried_head *head)
{
    struct takeover_row *row = mail->client;
    if (row->user == NULL || row->database == NULL)
        return;
    struct client *client = client_take_over(worker, row->fd);
    row->fd = -1;
    if (!enter(client, row)) {
        client_fail(client, "3D000", "no such database");
        return;
    }
    if (!adopt_state(client, mail, r, head)) {
        client_fail(client, "57P01", client_terminated);
        return;
    }
    client->around_us = client->wrote_us = clock_us(); // nothing older is shown to it
    if (head->kind == CARRIED_GREETING) {
        client->state = CLIENT_GREETING;
        client_greet(client);
    }
    if (client->conn.in.len > 0)
        client_resume(client);
}

static void adopt_stranger(struct worker *worker, struct takeover_row *row, struct reader *r)
{
    int domain = AF_UNSPEC;
    socklen_t length = sizeof(domain);
    getsockopt(row->fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
    struct client *client = client_new(
        worker, &(struct newcomer){.fd = row->fd, .local = domain == AF_UNIX});
    row->fd = -1;
    if (client == NULL)
        return;
    if (!carried_take_client(r, client, CARRIED_NEW))
        client_fail(client, "57P01", client_terminated);
    else if (client->conn.in.len > 0)
        client_resume(client);
}

static void adopt_client(struct worker *worker, struct adopted *mail)
{
    struct carried_head head = {.kind = CARRIED_CLIENT};
    struct reader r;
    bool known = head_of(mail->client, &head, &r);
    if (known && head.kind == CARRIED_NEW)
        adopt_stranger(worker, mail->client, &r);
    else
        adopt_session(worker, mail, &r, &head);
}

void adoption_arrived(struct worker *worker, struct adopted *mail)
{
    if (mail->client != NULL)
        adopt_client(worker, mail);
    else if (mail->server != NULL)
        adopt_idle(worker, mail->server);
    else
        hub_go_on(worker);
    adoption_drop(mail);
    struct pooler *pooler = worker->pooler;
    if (--pooler->adopting == 0)
        pooler->halted(pooler->halted_arg);
}

void adoption_drop(struct adopted *mail)
{
    takeover_row_free(mail->client);
    takeover_row_free(mail->server);
    mem_free(mail);
}
