// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/carried.h"

#include <unistd.h>

#include "base/mem.h"
#include "proxy/login/secret.h"
#include "proxy/route.h"
#include "proxy/server/hub.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/listening.h"
#include "proxy/takeover/parts.h"
#include "proxy/worker.h"

static void put_head(struct buf *out, enum carried_kind kind, int worker)
{
    buf_u8(out, CARRIED_VERSION);
    buf_u8(out, (uint8_t)kind);
    buf_u16(out, (uint16_t)worker);
}

bool carried_take_head(struct reader *r, struct carried_head *head)
{
    uint8_t version = reader_u8(r);
    uint8_t kind = reader_u8(r);
    head->kind = (enum carried_kind)kind;
    head->worker = reader_u16(r);
    r->failed |= version != CARRIED_VERSION || kind > CARRIED_HUB;
    return reader_ok(r);
}

void carried_put_listener(struct buf *out, uint64_t last_statement)
{
    put_head(out, CARRIED_LISTENER, 0);
    buf_u32(out, (uint32_t)getpid());
    buf_u64(out, last_statement);
}

bool carried_take_process(struct reader *r, int *pid)
{
    reader_u8(r); // the version
    bool listener = reader_u8(r) == CARRIED_LISTENER;
    reader_u16(r);
    *pid = (int)reader_u32(r);
    return reader_ok(r) && listener;
}

bool carried_take_listener(struct reader *r, uint64_t *last_statement)
{
    reader_u32(r);
    *last_statement = reader_u64(r);
    return reader_done(r);
}

// ---- routes ----

static void put_target(struct buf *out, struct route *route)
{
    char *target = route_copy_target(route);
    put_text(out, target);
    mem_free(target);
}

// Does the other process mean the same server, spoken to in the same way?
static bool take_target(struct reader *r, struct route *route)
{
    char *theirs = take_text(r), *ours = route_copy_target(route);
    bool same = theirs != NULL && strcmp(theirs, ours) == 0;
    mem_free(theirs);
    mem_free(ours);
    return same;
}

void carried_put_route(struct buf *out, struct route *route)
{
    put_head(out, CARRIED_ROUTE, 0);
    put_target(out, route);
    pthread_mutex_lock(&route->lock);
    buf_u8(out, route->has_welcome);
    put_bytes(out, buf_slice(&route->welcome));
    put_vars(out, route->defaults);
    put_gucs(out, route->accepted);
    put_bytes(out, slice_of(route->keys.salt, route->has_keys ? route->keys.salt_len : 0));
    buf_u32(out, route->keys.iterations);
    put_mentioned(out, &route->custom);
    buf_u8(out, route->asks_sequences);
    pthread_mutex_unlock(&route->lock);
}

static void take_welcome(struct reader *r, struct route *route, bool same_target)
{
    bool has = take_bool(r);
    struct slice messages = take_bytes(r);
    struct vars *defaults = vars_none(route->pooler->vars);
    take_vars(r, &defaults);
    struct gucs *accepted = take_gucs(r);
    if (reader_ok(r) && has && same_target) {
        route_welcome(route, messages, defaults);
        route_accepted(route, accepted);
    }
    vars_unref(&defaults);
    gucs_unref(&accepted);
}

bool carried_take_route(struct reader *r, struct route *route)
{
    bool same = take_target(r, route);
    take_welcome(r, route, same);
    struct slice salt = take_bytes(r);
    uint32_t iterations = reader_u32(r);
    pthread_mutex_lock(&route->lock);
    if (reader_ok(r) && salt.len <= sizeof(route->keys.salt)) {
        memcpy(route->keys.salt, salt.at, salt.len);
        route->keys.salt_len = salt.len;
        route->keys.iterations = iterations;
    }
    take_mentioned(r, &route->custom);
    route->asks_sequences = take_bool(r);
    pthread_mutex_unlock(&route->lock);
    return reader_done(r);
}

// ---- clients ----

#define CLIENT_FLAGS(flag) \
    flag(wanted_proven) flag(vars_proven) flag(unseen) flag(discarded) flag(open_batch) \
    flag(stream_discard) flag(clears) flag(in_transaction) flag(must_verify) flag(dropping) \
    flag(told_types) flag(told_rows) flag(told_vaguely) flag(reuses_unnamed) flag(asks_anew) \
    flag(binds_blindly) flag(only_local) flag(transaction.hit) \
    flag(transaction.portal)
#define SERVER_FLAGS(flag) \
    flag(ended_before) flag(copying_in) flag(copies) flag(skipping) flag(foreign) flag(fresh) \
    flag(unfit)

static void put_origin(struct buf *out, const struct origin *origin)
{
    buf_u8(out, (uint8_t)origin->kind);
    buf_u16(out, origin->port);
    buf_bytes(out, origin->address, sizeof(origin->address));
}

static void take_origin(struct reader *r, struct origin *origin)
{
    uint8_t kind = reader_u8(r);
    r->failed |= kind > ORIGIN_UNIX;
    origin->kind = (enum origin_kind)kind;
    origin->port = reader_u16(r);
    struct slice address = reader_bytes(r, sizeof(origin->address));
    if (reader_ok(r))
        memcpy(origin->address, address.at, address.len);
}

static void put_session(struct buf *out, const struct client *client)
{
    buf_u8(out, client->minor);
    buf_u8(out, (uint8_t)client->mode);
    buf_u8(out, client->key.bytes.peered);
    put_bytes(out, slice_of(client->key.bytes.at, client->key.bytes.length));
    put_vars(out, client->vars);
    put_gucs(out, client->wanted);
    put_gucs(out, client->given);
    put_gucs(out, client->given_vars);
#define PUT_FLAG(flag) buf_u8(out, client->flag);
    CLIENT_FLAGS(PUT_FLAG)
#undef PUT_FLAG
    put_mentioned(out, client->mentioned);
    put_names(out, &client->names, session_scope(client));
    put_statement(out, client->unnamed, session_scope(client));
    put_layout(out, &client->unnamed_told);
    put_statement(out, client->saying, session_scope(client));
    buf_u8(out, client->resets);
    buf_u32(out, client->stream_left);
    buf_u32(out, client->pins);
    buf_u64(out, (uint64_t)client->pinned_us);
    buf_u64(out, (uint64_t)client->query_us);
    buf_u64(out, (uint64_t)client->answered_us);
    buf_u64(out, (uint64_t)client->xact_us);
    bool ours = transaction_is_ours(&client->transaction);
    buf_u8(out, ours ? client->transaction.state : TRANSACTION_NONE);
    put_bytes(out, ours ? buf_slice(&client->transaction.begin) : slice_of(NULL, 0));
}

static void take_session(struct reader *r, struct client *client)
{
    client->minor = reader_u8(r);
    client->mode = (enum pool_mode)reader_u8(r);
    r->failed |= client->mode > POOL_STATEMENT;
    bool peered = take_bool(r);
    struct slice key = take_bytes(r);
    take_vars(r, &client->vars);
    client->wanted = take_gucs(r);
    client->given = take_gucs(r);
    client->given_vars = take_gucs(r);
#define TAKE_FLAG(flag) client->flag = take_bool(r);
    CLIENT_FLAGS(TAKE_FLAG)
#undef TAKE_FLAG
    struct mentioned mentioned = {.count = 0};
    take_mentioned(r, &mentioned);
    if (mentioned.count > 0 || mentioned.too_many) {
        client->mentioned = mem_new(struct mentioned);
        *client->mentioned = mentioned;
    }
    take_names(r, client, &client->names);
    client->unnamed = take_statement(r, client);
    client->unnamed_told = take_layout(r);
    client->saying = take_statement(r, client);
    client->resets = reader_u8(r);
    client->stream_left = reader_u32(r);
    client->pins = reader_u32(r);
    client->pinned_us = (int64_t)reader_u64(r);
    client->query_us = (int64_t)reader_u64(r);
    client->answered_us = (int64_t)reader_u64(r);
    client->xact_us = (int64_t)reader_u64(r);
    client->transaction.state = reader_u8(r);
    r->failed |= client->transaction.state > TRANSACTION_FAILED ||
                 client->pins >> PIN_COUNT != 0 || key.len > sizeof(client->key.bytes.at) ||
                 (key.len > 0 && key.len <= CANCEL_PROCESS_BYTES);
    buf_put(&client->transaction.begin, take_bytes(r));
    if (reader_ok(r) && key.len > 0)
        pooler_key_keep(client->worker->pooler, &client->key, key, peered);
}

static enum carried_kind kind_of(const struct client *client)
{
    if (client->state == CLIENT_STARTUP)
        return CARRIED_NEW;
    return client->state == CLIENT_GREETING ? CARRIED_GREETING : CARRIED_CLIENT;
}

void carried_put_client(struct buf *out, const struct client *client)
{
    put_head(out, kind_of(client), client->worker->number);
    buf_u8(out, client->local);
    buf_u8(out, client->introduced);
    buf_u8(out, client->asked_encryption);
    put_origin(out, &client->origin);
    buf_u64(out, (uint64_t)client->connected_us);
    buf_u64(out, (uint64_t)client->since_us);
    put_bytes(out, buf_slice(&client->conn.in));
    if (client->state != CLIENT_STARTUP)
        put_session(out, client);
}

bool carried_take_client(struct reader *r, struct client *client, enum carried_kind kind)
{
    client->local = take_bool(r);
    client->introduced = take_bool(r);
    client->asked_encryption = reader_u8(r);
    take_origin(r, &client->origin);
    client->connected_us = (int64_t)reader_u64(r);
    client->since_us = (int64_t)reader_u64(r);
    buf_put(&client->conn.in, take_bytes(r));
    if (kind != CARRIED_NEW)
        take_session(r, client);
    return reader_ok(r);
}

void carried_put_channels(struct buf *out, const struct client *client)
{
    const struct listening *listening = client->listening;
    buf_u8(out, listening != NULL);
    if (listening == NULL)
        return;
    put_bytes(out, buf_slice(&listening->waiting));
    put_bytes(out, buf_slice(&listening->unlisten));
    uint32_t count = 0;
    size_t count_at = out->len;
    buf_u32(out, 0);
    list_each(&listening->subscriptions, l)
    {
        const struct subscription *s = container_of(l, struct subscription, of_client);
        put_bytes(out, slice_of(s->channel->name, s->channel->name_bytes));
        buf_u64(out, hub_number(s->channel->hub)); // of an active one: see fit.c
        count++;
    }
    store_u32(out->at + count_at, count);
}

bool carried_take_channels(struct reader *r, struct client *client)
{
    if (!take_bool(r))
        return reader_done(r);
    struct listening *listening = listening_of(client);
    buf_put(&listening->waiting, take_bytes(r));
    buf_put(&listening->unlisten, take_bytes(r));
    uint32_t count = reader_u32(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        struct slice name = take_bytes(r);
        uint64_t number = reader_u64(r);
        if (reader_ok(r) && !hub_join(client, name, number))
            return false; // nobody has listened since
    }
    return reader_done(r);
}

// ---- servers ----

enum { OF_NOBODY, OF_ITS_CLIENT, OF_SEVERAL }; // sequences_of

enum { OP_RENAMES = 1, OP_UNNAMES = 2, OP_UNNAMED = 4, OP_QUIET = 8, OP_MUTE = 16 };

// Not what a Parse of its own gives the server: that has it by a name that means nothing here, and
// gets it again when it is used.
static void put_op(struct buf *out, const struct op *op, uint64_t scope)
{
    buf_u8(out, op->kind);
    buf_u8(out, op->origin);
    buf_u8(out, op->purpose);
    buf_u8(out, (uint8_t)((op->renames ? OP_RENAMES : 0) | (op->unnames ? OP_UNNAMES : 0) |
                          (op->unnamed ? OP_UNNAMED : 0) | (op->quiet ? OP_QUIET : 0) |
                          (op->mute ? OP_MUTE : 0)));
    put_bytes(out, slice_of(op->name, op->name_bytes));
    put_statement(out, op->before, scope);
    put_layout(out, &op->told);
}

static bool takes_purpose(uint8_t purpose)
{
    return purpose == PURPOSE_NONE || purpose == PURPOSE_PREPARE || purpose == PURPOSE_BEGIN ||
           purpose == PURPOSE_LAYOUT;
}

bool carried_takes_op(const struct op *op)
{
    return takes_purpose(op->purpose) && !op->gives && !op->takes && op->says == 0;
}

static void take_op(struct reader *r, struct ops *ops, struct client *client)
{
    uint8_t kind = reader_u8(r), origin = reader_u8(r), purpose = reader_u8(r);
    uint8_t flags = reader_u8(r);
    struct slice name = take_bytes(r);
    struct statement *before = take_statement(r, client);
    struct layout told = take_layout(r);
    r->failed |= kind > OP_COPY_END || origin > OP_INJECTED || !takes_purpose(purpose);
    if (!reader_ok(r)) {
        statement_unref(&before);
        return;
    }
    struct op *op = ops_push(ops, (enum op_kind)kind, (enum op_origin)origin,
                             (enum op_purpose)purpose);
    if ((flags & OP_RENAMES) != 0)
        ops_rename(op, name, before);
    else
        op->before = before;
    op->told = told;
    client->told_vaguely |= kind == OP_DESCRIBE && origin == OP_CLIENTS; // of what, is not carried
    op->unnames = (flags & OP_UNNAMES) != 0;
    op->unnamed = (flags & OP_UNNAMED) != 0;
    op->quiet = (flags & OP_QUIET) != 0;
    op->mute = (flags & OP_MUTE) != 0;
}

static uint8_t sequences_of(const struct server *server)
{
    if (server->sequences_of == SEQUENCES_OF_NOBODY)
        return OF_NOBODY;
    bool its = server->client != NULL && server->sequences_of == server->client->number;
    return its ? OF_ITS_CLIENT : OF_SEVERAL;
}

// Is it closed as soon as its client lets it go? An address that a name gave is one of those.
static bool is_leaving(const struct server *server)
{
    return server->doomed != NULL || server->name != NULL || server_is_of_before(server);
}

void carried_put_server(struct buf *out, const struct server *server)
{
    put_head(out, server->hub != NULL ? CARRIED_HUB : CARRIED_SERVER, server->worker->number);
    put_target(out, server->route);
    buf_u8(out, is_leaving(server));
    buf_u8(out, (uint8_t)server->mode);
    buf_u8(out, (uint8_t)server->status);
    buf_u32(out, server->process);
    put_bytes(out, buf_slice(&server->secret));
    buf_u64(out, (uint64_t)server->opened_us);
    buf_u64(out, (uint64_t)server->slot.opened_us);
    buf_u8(out, (uint8_t)server->fitness.in_hot_standby);
    buf_u8(out, (uint8_t)server->fitness.read_only);
    put_vars(out, server->vars);
    put_gucs(out, server->applied);
    put_gucs(out, server->base);
#define PUT_FLAG(flag) buf_u8(out, server->flag);
    SERVER_FLAGS(PUT_FLAG)
#undef PUT_FLAG
    buf_u8(out, sequences_of(server));
    buf_u32(out, server->stream_left);
    buf_u32(out, server->early_syncs);
    put_bytes(out, buf_slice(&server->conn.in));
    uint64_t scope = server->client != NULL ? session_scope(server->client) : 0;
    buf_u32(out, server->ops.count);
    for (uint32_t i = 0; i < server->ops.count; i++)
        put_op(out, ops_nth(&server->ops, i), scope);
    if (server->client != NULL)
        put_names(out, &server->named, scope);
}

static void take_work(struct reader *r, struct server *server, struct client *client)
{
    uint8_t of = reader_u8(r);
    server->sequences_of = SEQUENCES_OF_NOBODY;
    if (of != OF_NOBODY)
        server->sequences_of = of == OF_ITS_CLIENT && client != NULL ? client->number
                                                                     : SEQUENCES_OF_SEVERAL;
    server->stream_left = reader_u32(r);
    server->early_syncs = reader_u32(r);
    buf_put(&server->conn.in, take_bytes(r));
    uint32_t count = reader_u32(r);
    r->failed |= count > 0 && client == NULL;
    for (uint32_t i = 0; i < count && reader_ok(r); i++)
        take_op(r, &server->ops, client);
    if (client != NULL)
        take_names(r, client, &server->named);
}

bool carried_take_server(struct reader *r, struct server *server, struct client *client)
{
    bool same = take_target(r, server->route);
    if (take_bool(r) || !same)
        server->doomed = "close_needed";
    uint8_t mode = reader_u8(r);
    server->mode = (enum pool_mode)mode;
    server->status = (char)reader_u8(r);
    r->failed |= mode > POOL_STATEMENT ||
                 (server->status != 'I' && server->status != 'T' && server->status != 'E');
    server->process = reader_u32(r);
    struct slice secret = take_bytes(r);
    r->failed |= secret.len > CANCEL_SECRET_MAX;
    if (reader_ok(r))
        buf_put(&server->secret, secret);
    server->opened_us = (int64_t)reader_u64(r);
    server->slot.opened_us = (int64_t)reader_u64(r);
    server->fitness.in_hot_standby = (int8_t)reader_u8(r);
    server->fitness.read_only = (int8_t)reader_u8(r);
    take_vars(r, &server->vars);
    server->applied = take_gucs(r);
    server->base = take_gucs(r);
#define TAKE_FLAG(flag) server->flag = take_bool(r);
    SERVER_FLAGS(TAKE_FLAG)
#undef TAKE_FLAG
    take_work(r, server, client);
    return reader_done(r);
}
