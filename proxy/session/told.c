// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/told.h"

#include "base/reader.h"
#include "proxy/session/session.h"
#include "proxy/session/sharing.h"
#include "proxy/sql/analysis.h"

enum { THE_UNNAMED = 1 }; // among the hashes of names

static uint64_t number_of(struct slice name)
{
    return name.len > 0 ? hash_bytes(name.at, name.len) : THE_UNNAMED;
}

// ---- what a server would say ----

// Prepared anew behind what is answered now: what is said is not of that one.
static bool comes_anew(const struct ops *ops, uint64_t number)
{
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct op *op = ops_nth(ops, i);
        if (op->kind == OP_PARSE && !op->unnamed && op->after != NULL &&
            op->after->number == number)
            return true;
    }
    return false;
}

// NULL: it does not have it, or will have another one.
static struct layout *layout_on(struct server *server, uint64_t number, bool unnamed)
{
    if (unnamed)
        return server->unnamed == number && !ops_unnamed_changes(&server->ops)
                   ? &server->unnamed_layout : NULL;
    return comes_anew(&server->ops, number) ? NULL : prepared_layout(&server->prepared, number);
}

bool told_waits(const struct server *server)
{
    bool asked = false;
    for (uint32_t i = 0; i < server->ops.count && !asked; i++)
        asked = ops_nth(&server->ops, i)->purpose == PURPOSE_LAYOUT;
    return asked;
}

// By a statement that is prepared for it: one of before may not fit its tables any more, or is told
// of as they were.
static void ask(struct client *client, const struct told_bind *bind)
{
    struct ops *ops = &client->server->ops;
    sharing_outdate(client, bind->name);
    if (ops_empty(ops))
        client->query_us = client->worker->now_us;
    const char *as = sharing_name(client, bind->name, bind->meaning);
    told_asks(ops_push(ops, OP_DESCRIBE, OP_INJECTED, PURPOSE_LAYOUT), bind->name, bind->meaning);
    sharing_ask(client, 'D', as);
    // The client's Bind is going to be part of it: until its Sync the server is in a transaction.
    client->only_local = !client->open_batch || client->only_local;
    client->open_batch = true;
}

// ---- a Bind ----

bool told_sends_binary(struct slice parameters)
{
    struct reader r = reader_of(parameters);
    uint16_t formats = reader_u16(&r);
    struct slice codes = reader_bytes(&r, (size_t)formats * 2);
    bool binary = false;
    for (size_t i = 1; reader_ok(&r) && i < codes.len; i += 2)
        binary |= codes.at[i] != 0;
    return binary || !reader_ok(&r);
}

bool told_asks_again(struct slice bind, struct frame frame)
{
    struct reader r = reader_of(slice_skip(bind, MESSAGE_HEADER_BYTES));
    struct slice portal = reader_cstr(&r);
    struct slice behind = slice_skip(bind, frame.length < bind.len ? frame.length : bind.len);
    if (behind.len <= MESSAGE_HEADER_BYTES || behind.at[0] != 'D')
        return false;
    r = reader_of(slice_skip(behind, MESSAGE_HEADER_BYTES));
    return reader_u8(&r) == 'P' && slice_eq(reader_cstr(&r), portal);
}

// Is the client's own question about it on its way? *behind: with a Sync behind it.
static bool is_being_told(const struct ops *ops, const struct told_bind *bind, bool *behind)
{
    const uint64_t name = number_of(bind->name);
    bool being = false;
    *behind = false;
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct op *op = ops_nth(ops, i);
        if (op->tells == name && op->number == bind->meaning->number && op->origin == OP_CLIENTS)
            being = true, *behind = false;
        *behind |= op->kind == OP_SYNC;
    }
    return being;
}

// In front of the Bind, or right behind it? Where that has not come in yet: as it always did with
// what it had been told.
static bool asks(struct client *client, const struct told_bind *bind)
{
    bool behind;
    if (is_being_told(&client->server->ops, bind, &behind) && !behind)
        return true;
    if (bind->message.len <= (size_t)bind->frame.length + MESSAGE_HEADER_BYTES)
        return client->asks_anew && !client->binds_blindly;
    return told_asks_again(bind->message, bind->frame);
}

// It was told the columns: what does it do with that?
static void note_habit(struct client *client, const struct told_bind *bind)
{
    if (client->binds_blindly || bind->message.len <= bind->frame.length)
        return;
    bool asks = bind->message.at[bind->frame.length] == 'D';
    client->asks_anew |= asks;
    client->binds_blindly |= !asks;
}

// What a session has under its own name, the server itself holds to what it said: NULL.
static const struct layout *layout_here(struct client *client, bool unnamed)
{
    if (unnamed)
        return &client->server->unnamed_layout;
    return session_shares_names(client) ? prepared_newest(&client->server->prepared) : NULL;
}

// PostgreSQL holds the others to nothing: what FETCH gives is its cursor's.
static bool is_held(const struct statement *s)
{
    enum statement_kind kind = s->analysis->kind;
    return kind == STATEMENT_SELECT || kind == STATEMENT_WRITE || kind == STATEMENT_UNKNOWN;
}

static enum told wait_for(struct client *client, const struct told_bind *bind, uint64_t types)
{
    client->asked = bind->meaning->number;
    client->asked_types = types;
    session_settle(client);
    return TOLD_ASKED;
}

enum told told_bind(struct client *client, const struct layout *told, const struct told_bind *bind)
{
    struct server *server = client->server;
    const bool unnamed = bind->name.len == 0;
    client->reuses_unnamed |= unnamed && !client->open_batch;
    client->bound.portal = number_of(bind->portal);
    if (unnamed && !client->reuses_unnamed && told->rows == 0 && told->types == 0)
        return TOLD_TRUE; // what its portal's Describe tells is not noted
    const struct layout *here = layout_here(client, unnamed);
    const bool agreed = told->rows != 0 && (here == NULL || here->rows == told->rows);
    if (told->rows != 0)
        note_habit(client, bind);
    if (agreed && (told->types == 0 || here == NULL || here->types == told->types) &&
        client->asked == 0)
        return TOLD_TRUE;
    if (!agreed) {
        client->bound.name = number_of(bind->name);
        client->bound.number = bind->meaning->number;
    }
    // Its values are of the types that were told when it was sent.
    const bool asked = client->asked == bind->meaning->number;
    const uint64_t sent_by = asked ? client->asked_types : told->types;
    bool behind;
    const bool rows = told->rows != 0 && !asks(client, bind) && !agreed;
    const bool types = sent_by != 0 && here != NULL && here->types != sent_by &&
                       told_sends_binary(bind->parameters);
    if ((!rows && !types) || !is_held(bind->meaning))
        return TOLD_TRUE;
    if (told_waits(server) || is_being_told(&server->ops, bind, &behind))
        return wait_for(client, bind, sent_by);
    const bool known = !(rows && here->rows == 0) && !(types && here->types == 0);
    if (asked && known)
        return TOLD_FALSE;
    ask(client, bind);
    return wait_for(client, bind, sent_by);
}

// ---- what is told ----

void told_asks(struct op *op, struct slice name, const struct statement *meaning)
{
    if (meaning == NULL || statement_is_sql(meaning))
        return;
    op->number = meaning->number;
    op->tells = number_of(name);
}

void told_asks_portal(struct client *client, struct op *op, struct slice portal)
{
    bool its = client->bound.portal == number_of(portal);
    client->told_vaguely |= !its;
    if (!its || client->bound.number == 0)
        return;
    op->number = client->bound.number;
    op->tells = client->bound.name;
}

static void note(struct layout *layout, struct slice message)
{
    if (layout != NULL && message.at[0] == 't')
        layout->types = layout_types(message);
    else if (layout != NULL)
        layout->rows = layout_rows(message);
}

void told_heard(struct server *server, struct client *client, const struct op *op,
                struct slice message)
{
    const bool unnamed = op->tells == THE_UNNAMED;
    if (op->tells == 0)
        return;
    note(layout_on(server, op->number, unnamed), message);
    if (client == NULL || op->origin != OP_CLIENTS)
        return;
    struct meaning *meaning =
        unnamed ? NULL : statement_names_get_by(&client->names, op->tells, op->number);
    if (meaning != NULL)
        note(&meaning->told, message);
    else if (unnamed && client->unnamed != NULL && client->unnamed->number == op->number)
        note(&client->unnamed_told, message);
}

void told_refusal(struct buf *out)
{
    size_t mark = buf_message_begin(out, 'E');
    static const char fields[] = "SERROR\0VERROR\0C0A000\0"
                                 "Mcached plan must not change result type\0"
                                 "RRevalidateCachedQuery\0"; // and the NUL that ends them
    buf_bytes(out, fields, sizeof(fields));
    buf_message_end(out, mark);
}
