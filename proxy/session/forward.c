// SPDX-License-Identifier: Apache-2.0
// From the client to its server: each message is noted (what it may do, what it will be answered),
// and sent. What prepares and binds statements: extended.c.
#include "proxy/session/forward.h"

#include "base/check.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/route.h"
#include "proxy/session/bypassed.h"
#include "proxy/server/owed.h"
#include "proxy/session/align.h"
#include "proxy/session/deferred.h"
#include "proxy/session/extended.h"
#include "proxy/session/given.h"
#include "proxy/session/rerun.h"
#include "proxy/session/sequences.h"
#include "proxy/session/session.h"
#include "proxy/session/unsafe.h"
#include "proxy/session/tracked.h"
#include "proxy/sql/keys.h"
#include "proxy/sql/texts.h"
#include "proxy/worker.h"

enum { QUERY_MAX_BYTES = 1 << 20 }; // of a simple query that is still analysed

bool session_shares_names(const struct client *client)
{
    return client->mode != POOL_SESSION &&
           config_settings(client->worker->config)->max_prepared_statements > 0;
}

void forward_pass(struct client *client, struct slice *data, struct frame frame)
{
    size_t n = data->len < frame.length ? data->len : frame.length;
    sender_put(session_to_server(client), slice_cut(data, n));
    client->stream_left = frame.length - (uint32_t)n;
    client->stream_discard = false;
}

enum step forward_fail(struct client *client, const char *why)
{
    struct worker *worker = client->worker;
    if (worker->to_client.conn != NULL)
        sender_end(&worker->to_client);
    if (worker->to_server.conn != NULL)
        sender_end(&worker->to_server);
    client_fail(client, "08P01", why);
    return STEP_STOP;
}

struct op *forward_push(struct client *client, enum op_kind kind)
{
    struct server *server = client->server;
    if (ops_empty(&server->ops))
        client->query_us = client->worker->now_us;
    client->open_batch = kind != OP_QUERY && kind != OP_SYNC && kind != OP_FUNCTION;
    client->batch_runs = client->open_batch &&
                         (client->batch_runs || kind == OP_BIND || kind == OP_EXECUTE);
    client->clearing = client->open_batch ? client->clearing : client->clears;
    client->only_local = false; // else its caller says so
    return ops_push(&server->ops, kind, OP_CLIENTS, PURPOSE_NONE);
}

void forward_set_unnamed(struct client *client, struct op *op, struct statement *meaning)
{
    op->unnames = op->unnamed = true;
    op->before = client->unnamed;
    op->told = client->unnamed_told;
    client->unnamed = meaning;
    client->unnamed_told = (struct layout){0};
}

void session_settle(struct client *client)
{
    static const uint8_t flush[] = {'H', 0, 0, 0, 4};
    // In the middle of a batch the server keeps its answers to itself until it is asked for them.
    if (!client->settling && client->open_batch)
        sender_copy(session_to_server(client), slice_of(flush, sizeof(flush)));
    client->settling = true;
}

void forward_note_clearing(struct client *client, const struct analysis *analysis)
{
    if (analysis == NULL || (analysis->effects & (EFFECT_DISCARD_ALL | EFFECT_DEALLOCATE_ALL)))
        client->clears = true;
}

// ---- refused (unsafe.h) ----

// In the place of a Query.
static enum step refuse_query(struct client *client, uint32_t why)
{
    struct op *op = forward_push(client, OP_QUERY);
    op->purpose = PURPOSE_REFUSE;
    op->number = why;
    forward_set_unnamed(client, op, NULL);
    client->server->unnamed = 0;
    unsafe_put_query(session_to_server(client));
    return STEP_ON;
}

// ---- simple query ----

static enum step forward_query(struct client *client, struct slice *data, struct frame frame)
{
    struct server *server = client->server;
    bool whole = frame.length <= QUERY_MAX_BYTES;
    if (whole && data->len < frame.length)
        return STEP_MORE;
    const struct analysis *analysis = NULL;
    struct slice text = slice_of("", 0);
    if (whole) {
        struct slice body = slice_of(data->at + 5, frame.length - 5);
        if (body.len == 0 || body.at[body.len - 1] != '\0')
            return forward_fail(client, "invalid string in message");
        const uint8_t *nul = memchr(body.at, '\0', body.len);
        text = slice_of(body.at, (size_t)(nul - body.at));
        if (vars_text_is_plain(client->vars, text))
            analysis = texts_front_read(client->worker->texts, text);
    }
    uint32_t why;
    if (unsafe_refuses(client, analysis, &why)) {
        slice_cut(data, frame.length);
        return refuse_query(client, why);
    }
    if (sequences_refuse(client, analysis)) {
        slice_cut(data, frame.length);
        return refuse_query(client, PIN_SEQUENCE);
    }
    enum given_says says = SAYS_NOTHING;
    if (given_concerns(analysis)) {
        if (!given_ready(client, analysis, text, true))
            return STEP_STOP;
        says = given_says(client, analysis, text);
    }
    if (analysis != NULL)
        bypassed_note(client, analysis, text);
    struct key_values values = {.analysis = analysis, .text = text,
                                .utf8 = session_speaks_utf8(client)};
    if (says == SAYS_NOTHING)
        effects_note(client, analysis, &values);
    else
        given_note(client, says, analysis);
    if (whole)
        effects_mention(client, analysis, text);
    forward_note_clearing(client, analysis);
    sequences_ask(client, analysis, true);
    bool kept = says == SAYS_EXECUTE && rerun_mark(client, data->at);
    struct op *op = forward_push(client, OP_QUERY);
    op->kept = kept;
    if (says != SAYS_NOTHING)
        given_mark(client, op, says, analysis, slice_of(text.at, text.len + 1));
    if (client->worker->queries != NULL)
        tracked_query(client, op, text);
    forward_set_unnamed(client, op, NULL);
    server->unnamed = 0;
    forward_pass(client, data, frame);
    return STEP_ON;
}

// ---- the rest ----

static enum step forward_sync(struct client *client, struct slice message)
{
    struct server *server = client->server;
    if (server->copying_in) {
        sender_put(session_to_server(client), message); // PostgreSQL ignores it in a COPY ...
        server->early_syncs++; // ... that has not failed meanwhile
        return STEP_ON;
    }
    server->skipping = false;
    client->asked = 0;
    forward_push(client, OP_SYNC);
    sender_put(session_to_server(client), message);
    return STEP_ON;
}

static void mark_saying(struct client *client, struct op *op)
{
    const struct statement *s = client->saying;
    struct slice text = statement_text(s);
    enum given_says says = given_says(client, s->analysis, text);
    if (says != SAYS_NOTHING)
        given_mark(client, op, says, s->analysis, slice_of(text.at, text.len + 1));
}

static enum step forward_whole(struct client *client, struct slice *data, struct frame frame)
{
    if (frame.length > NAMES_MAX_BYTES)
        return forward_fail(client, "invalid message length");
    if (data->len < frame.length)
        return STEP_MORE;
    struct slice message = slice_of(data->at, frame.length);
    if (frame.type == 'D' || frame.type == 'C') {
        enum step next = extended_target(client, message);
        if (next == STEP_ON)
            slice_cut(data, frame.length);
        return next;
    }
    slice_cut(data, frame.length);
    switch (frame.type) {
    case 'E': {
        deferred_lose_portal(client, slice_skip(message, MESSAGE_HEADER_BYTES));
        struct op *op = forward_push(client, OP_EXECUTE);
        if (client->saying != NULL && message.at[MESSAGE_HEADER_BYTES] == '\0')
            mark_saying(client, op);
        if (client->worker->queries != NULL)
            tracked_execute(client, op);
        break;
    }
    case 'S':
        return forward_sync(client, message);
    case 'H':
        break;
    }
    sender_put(session_to_server(client), message);
    return STEP_ON;
}

// Where the server is in a state in which a message does not mean what it usually means.
static bool pass_over(struct client *client, struct slice *data, struct frame frame)
{
    const struct server *server = client->server;
    if (server->skipping && frame.type != 'S') {
        client->stream_left = frame.length; // the server would drop it as well
        client->stream_discard = true;
        return true;
    }
    if (!server->copying_in || memchr("QPBDEFC", frame.type, 7) == NULL)
        return false;
    forward_pass(client, data, frame); // PostgreSQL ends the connection over it
    return true;
}

static enum step forward(struct client *client, struct slice *data, struct frame frame)
{
    struct server *server = client->server;
    switch (frame.type) {
    case 'Q':
        client->bound.portal = client->bound.number = client->asked = 0;
        return forward_query(client, data, frame);
    case 'P':
        return extended_parse(client, data, frame);
    case 'B':
        return extended_bind(client, data, frame);
    case 'F':
        client->bound.portal = client->bound.number = 0;
        effects_note(client, NULL, NULL);
        forward_push(client, OP_FUNCTION);
        forward_pass(client, data, frame);
        return STEP_ON;
    case 'c':
    case 'f':
        server->copying_in = false;
        // Of a simple query this was the last message; in a batch the Sync is.
        client->clearing |= client->clears && server->copies;
        if (!ops_empty(&server->ops))
            ops_push(&server->ops, OP_COPY_END, OP_LOCAL, PURPOSE_NONE);
        forward_pass(client, data, frame);
        return STEP_ON;
    case 'd':
        forward_pass(client, data, frame);
        return STEP_ON;
    }
    return forward_whole(client, data, frame);
}

enum step forward_message(struct client *client, struct slice *data, struct frame frame)
{
    const struct server *server = client->server;
    if ((server->skipping | server->copying_in) && pass_over(client, data, frame))
        return STEP_ON;
    const uint32_t unit_left = client->unit_left;
    const bool around = client->went_around;
    if (unit_left >= frame.length)
        client->unit_left -= frame.length;
    else
        client->went_around = client->transaction.read = true;
    enum step next = forward(client, data, frame);
    if (next == STEP_ON)
        return next;
    client->unit_left = unit_left; // it comes again
    client->went_around = around;
    return next;
}
