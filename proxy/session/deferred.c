// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/deferred.h"

#include "base/reader.h"
#include "cache/ledger.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/owed.h"
#include "proxy/session/listening.h"
#include "proxy/session/tracked.h"
#include "proxy/session/align.h"
#include "proxy/session/unit.h"
#include "proxy/sql/texts.h"

static bool is_ours(const struct client *client)
{
    return transaction_is_ours(&client->transaction);
}

// ---- what is it? ----

// Its first two letters are those, of any case; b: lower case.
static bool begins(struct slice text, const char *b)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\n' || text.at[0] == '\t'))
        text = slice_skip(text, 1);
    return text.len >= 2 && (text.at[0] | 0x20) == b[0] && (text.at[1] | 0x20) == b[1];
}

static bool may_be(const struct client *client, struct slice text)
{
    if (!is_ours(client))
        return begins(text, "be") || begins(text, "st");
    return begins(text, "co") || begins(text, "ro") || begins(text, "en") || begins(text, "ab");
}

// The statement that a Bind names, if it is one of the kinds.
static bool binds_one(const struct client *client, struct slice name)
{
    const struct statement *s = name.len > 0 ? statement_names_find(&client->names, name)
                                             : client->unnamed;
    if (s == NULL || statement_is_sql(s))
        return false;
    enum statement_kind kind = s->analysis->kind;
    return is_ours(client) ? kind == STATEMENT_COMMIT || kind == STATEMENT_ROLLBACK
                           : kind == STATEMENT_BEGIN;
}

bool deferred_may_concern(const struct client *client, struct slice data, struct frame frame)
{
    if (client->transaction.state == TRANSACTION_FAILED)
        return true;
    if (client->route->domain == NULL || data.len < frame.length ||
        frame.length > DEFERRED_MAX_BYTES)
        return false;
    struct reader r = reader_of(slice_of(data.at + 5, frame.length - 5));
    switch (frame.type) {
    case 'P':
        reader_cstr(&r);
        return may_be(client, slice_of(r.at, reader_left(&r)));
    case 'Q':
        return may_be(client, slice_of(r.at, reader_left(&r)));
    case 'B':
        reader_cstr(&r);
        return binds_one(client, reader_cstr(&r));
    }
    return false;
}

// What a unit runs; NULL where that is not for us to say. Borrowed, until the next text is looked
// up.
static const struct analysis *analysis_of(struct client *client, const struct unit *unit,
                                          struct slice *text)
{
    static const uint8_t no_values[] = {0, 0, 0, 0}; // nor formats
    struct statement *named = NULL;
    *text = unit->text;
    if (!unit->simple) {
        if (unit->bind.len < 4 || memcmp(unit->bind.at, no_values, 4) != 0)
            return NULL; // (a limit of rows means nothing to what returns none)
        if (unit->name.len > 0)
            named = statement_names_find(&client->names, unit->name);
        // An error to come, or a name that the server must know.
        if (unit->has_parse && unit->name.len > 0 &&
            (named != NULL || !session_shares_names(client)))
            return NULL;
        if (!unit->has_parse) {
            named = unit->name.len > 0 ? named : client->unnamed;
            if (named == NULL || statement_is_sql(named))
                return NULL;
            *text = statement_text(named);
        }
    }
    if (text->len > DEFERRED_MAX_BYTES || !vars_text_is_plain(client->vars, *text))
        return NULL;
    return texts_front_analysis(client->worker->texts, *text);
}

// ---- answers ----

// What the client's session is afterwards, and the answer up to CommandComplete.
static struct buf *compose(struct client *client, const struct unit *unit, const char *tag)
{
    struct worker *worker = client->worker;
    if (unit->simple || (unit->has_parse && unit->name.len == 0)) {
        statement_unref(&client->unnamed);
        client->unnamed_told = (struct layout){0};
    }
    if (unit->has_parse) {
        struct statement *statement = session_statement(client, unit->tail, unit->text.len + 1);
        if (unit->name.len > 0)
            statement_names_set(&client->names, unit->name, statement);
        else
            client->unnamed = statement_ref(statement);
        statement_unref(&statement);
        route_count(client->route, worker, parses, 1);
    }
    struct buf *out = session_compose(client);
    if (unit->has_parse)
        buf_bytes(out, "1\0\0\0\4", 5);
    if (!unit->simple)
        buf_bytes(out, "2\0\0\0\4", 5);
    if (unit->has_describe)
        buf_bytes(out, "n\0\0\0\4", 5);
    message_complete(out, tag);
    return out;
}

// Is the Sync that ends the unit here? *more: not all of it.
static bool sync_follows(struct slice rest, bool *more)
{
    *more = rest.len < MESSAGE_HEADER_BYTES && (rest.len == 0 || rest.at[0] == 'S');
    struct frame frame;
    return frame_read(rest, &frame) == FRAME_OK && frame.type == 'S' &&
           frame.length == MESSAGE_HEADER_BYTES;
}

static void count(struct client *client, struct slice text)
{
    struct worker *worker = client->worker;
    route_count(client->route, worker, queries, 1);
    client->answered_us = client->since_us = worker->now_us;
    client->unit_decided = false;
    client->transaction.portal = false;
    if (worker->queries != NULL)
        tracked_hit(client, text, 0);
}

// ---- BEGIN ----

// Could a read be answered from memory now? Else nothing is gained.
static bool may_defer(struct client *client)
{
    const struct settings *settings = config_settings(client->worker->config);
    const struct server *server = client->server;
    if (!settings->lazy_begin || client->mode == POOL_STATEMENT || client->pins != 0 ||
        client->must_verify ||
        (server != NULL && (client->mode != POOL_SESSION || server->status != 'I')))
        return false;
    struct stamp stamp;
    struct domain *domain = domain_canonical(client->route->domain);
    if (!ledger_stamp(domain_ledger(domain), &stamp))
        return false;
    const struct profile *profile = align_profile(client, stamp.epoch);
    return profile != NULL && profile->cacheable && !profile->one_snapshot &&
           (server == NULL || server->profile == profile);
}

static enum step begin(struct client *client, struct slice *data, const struct unit *unit,
                       struct slice text, bool starts)
{
    struct transaction *t = &client->transaction;
    bool more;
    size_t used = unit->bytes;
    bool ends = !unit->simple && sync_follows(slice_skip(*data, used), &more);
    buf_clear(&t->begin);
    buf_put(&t->begin, text);
    buf_u8(&t->begin, 0);
    t->state = TRANSACTION_DEFERRED;
    t->hit = false;
    t->first = 0;
    t->around_us = INT64_MIN;
    struct buf *out = compose(client, unit, starts ? "START TRANSACTION" : "BEGIN");
    if (ends || unit->simple)
        message_ready(out, 'T');
    sender_copy(session_to_client(client), buf_slice(out));
    count(client, text);
    t->portal = unit->simple; // which ends the unnamed one
    client->in_transaction = true;
    client->xact_us = client->worker->now_us;
    *data = slice_skip(*data, used + (ends ? MESSAGE_HEADER_BYTES : 0));
    return STEP_ON;
}

// ---- COMMIT, ROLLBACK ----

static enum step end(struct client *client, struct slice *data, const struct unit *unit,
                     struct slice text, const char *tag)
{
    struct worker *worker = client->worker;
    bool more = false;
    if (!unit->simple && !sync_follows(slice_skip(*data, unit->bytes), &more))
        return more ? STEP_MORE : STEP_SERVER;
    struct buf *out = compose(client, unit, tag);
    message_ready(out, 'I');
    sender_copy(session_to_client(client), buf_slice(out));
    count(client, text);
    route_count(client->route, worker, xacts, 1);
    route_count(client->route, worker, xact_us, (uint64_t)(worker->now_us - client->xact_us));
    client->transaction.state = TRANSACTION_NONE;
    client->transaction.hit = false;
    client->in_transaction = false;
    client->ended_here = true;
    *data = slice_skip(*data, unit->bytes + (unit->simple ? 0 : MESSAGE_HEADER_BYTES));
    return STEP_ON;
}

// ---- a failed one ----

static void discard(struct client *client, struct frame frame)
{
    client->stream_left = frame.length;
    client->stream_discard = true;
}

// As PostgreSQL does: but the text is not read, so what is wrong with it is not told.
static enum step in_failed(struct client *client, struct slice *data, struct frame frame)
{
    struct buf *out = session_compose(client);
    switch (frame.type) {
    case 'S':
        if (data->len < frame.length)
            return STEP_MORE;
        message_ready(out, 'E');
        *data = slice_skip(*data, frame.length);
        break;
    case 'H':
    case 'd':
    case 'c':
    case 'f':
        discard(client, frame);
        return STEP_ON;
    case 'C': // it is taken in any state
        if (frame.length > DEFERRED_MAX_BYTES || data->len < frame.length)
            return frame.length > DEFERRED_MAX_BYTES ? STEP_SERVER : STEP_MORE;
        if (data->at[5] == 'S' && data->at[frame.length - 1] == '\0' && data->at[6] != '\0')
            statement_names_set(&client->names, slice_str((const char *)data->at + 6), NULL);
        buf_bytes(out, "3\0\0\0\4", 5);
        *data = slice_skip(*data, frame.length);
        break;
    default:
        message_error(out, "ERROR", "25P02",
                      "current transaction is aborted, commands ignored until end of transaction "
                      "block");
        client->dropping = true;
        break;
    }
    sender_copy(session_to_client(client), buf_slice(out));
    client->answered_us = client->worker->now_us;
    return STEP_ON;
}

enum step deferred_message(struct client *client, struct slice *data, struct frame frame)
{
    bool failed = client->transaction.state == TRANSACTION_FAILED;
    bool looked_at = frame.length <= DEFERRED_MAX_BYTES &&
                     (frame.type == 'Q' || frame.type == 'P' || frame.type == 'B');
    struct unit unit;
    struct slice text = slice_of(NULL, 0);
    enum unit_result read = looked_at ? unit_read_statement(*data, &unit) : UNIT_OTHER;
    if (read == UNIT_MORE)
        return STEP_MORE;
    const struct analysis *analysis =
        read == UNIT_OK ? analysis_of(client, &unit, &text) : NULL;
    enum step next = STEP_SERVER;
    if (analysis != NULL && is_ours(client) && analysis->plain_end)
        next = end(client, data, &unit, text,
                   failed || analysis->kind == STATEMENT_ROLLBACK ? "ROLLBACK" : "COMMIT");
    else if (analysis != NULL && !is_ours(client) && analysis->plain_begin && may_defer(client))
        next = begin(client, data, &unit, text, analysis->starts);
    return failed && next == STEP_SERVER ? in_failed(client, data, frame) : next;
}

// ---- the server is told ----

// One statement of ours, and its ops.
static void put(struct client *client, struct slice text)
{
    struct ops *ops = &client->server->ops;
    ops_push(ops, OP_PARSE, OP_INJECTED, PURPOSE_BEGIN)->unnamed = true;
    ops_push(ops, OP_BIND, OP_INJECTED, PURPOSE_BEGIN);
    ops_push(ops, OP_EXECUTE, OP_INJECTED, PURPOSE_BEGIN);
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, 'P');
    buf_u8(out, 0);
    buf_put(out, text);
    buf_bytes(out, "\0\0\0", 3); // its end, no types
    buf_message_end(out, mark);
    mark = buf_message_begin(out, 'B');
    buf_bytes(out, "\0\0\0\0\0\0\0\0", 8); // no names, formats, values
    buf_message_end(out, mark);
    mark = buf_message_begin(out, 'E');
    buf_bytes(out, "\0\0\0\0\0", 5);
    buf_message_end(out, mark);
    session_send_composed(client);
}

// Does the first statement surely take a snapshot?
static bool takes_snapshot(const struct client *client, struct slice data, struct frame frame)
{
    size_t n = data.len < frame.length ? data.len : frame.length;
    struct reader r = reader_of(slice_skip(slice_of(data.at, n), MESSAGE_HEADER_BYTES));
    if (frame.type == 'B') {
        reader_cstr(&r);
        struct slice name = reader_cstr(&r);
        const struct statement *s =
            name.len > 0 ? statement_names_find(&client->names, name) : client->unnamed;
        return s != NULL && (s->analysis->kind == STATEMENT_SELECT ||
                             s->analysis->kind == STATEMENT_WRITE);
    }
    if (frame.type == 'P')
        reader_cstr(&r);
    struct slice text = slice_of(r.at, reader_left(&r));
    return text.len > 2 && (begins(text, "in") || begins(text, "up") || begins(text, "wi") ||
                            (begins(text, "se") && (text.at[2] | 0x20) == 'l') ||
                            (begins(text, "de") && (text.at[2] | 0x20) == 'l'));
}

void deferred_begin(struct client *client, struct slice data, struct frame frame)
{
    struct server *server = client->server;
    struct transaction *t = &client->transaction;
    if (ops_empty(&server->ops))
        client->query_us = client->worker->now_us;
    server->unnamed = 0;
    put(client, slice_of(t->begin.at, t->begin.len - 1));
    if (t->hit && !takes_snapshot(client, data, frame))
        put(client, slice_str("SELECT 1")); // as the one that was answered here would have
    deferred_lose_portal(client, slice_of(NULL, 0)); // that of these statements
    t->state = TRANSACTION_READS;
    client->clears = true; // input waits behind the unit
}

bool deferred_is_under_way(const struct server *server)
{
    for (uint32_t i = 0; i < server->ops.count; i++)
        if (ops_nth(&server->ops, i)->purpose == PURPOSE_BEGIN)
            return true;
    return false;
}

void deferred_wait(struct client *client)
{
    static const uint8_t flush[] = {'H', 0, 0, 0, 4};
    if (!client->settling)
        sender_copy(session_to_server(client), slice_of(flush, sizeof(flush)));
    client->settling = true;
}

void deferred_begun(struct server *server)
{
    server->status = 'T'; // ReadyForQuery comes later
}

// ---- it failed ----

// What of the client's PostgreSQL skips with it: the requests up to a Sync. *query: one among them
// that would have been answered by a ReadyForQuery.
static uint32_t skipped(const struct ops *ops, bool *query)
{
    uint32_t count = 0;
    *query = false;
    for (uint32_t i = 0; i < ops->count && ops_nth(ops, i)->kind != OP_SYNC; i++) {
        const struct op *op = ops_nth(ops, i);
        count += op->origin != OP_INJECTED || op->purpose == PURPOSE_LAYOUT; // its Bind waits
        *query |= op->origin != OP_INJECTED && (op->kind == OP_QUERY || op->kind == OP_FUNCTION);
    }
    return count;
}

bool deferred_failed(struct server *server, struct sender *to_client, struct slice error)
{
    static const uint8_t sync[] = {'S', 0, 0, 0, 4};
    struct client *client = server->client;
    struct worker *worker = server->worker;
    bool query;
    // The rest of a query that is still on its way would be read as messages.
    if (client == NULL || skipped(&server->ops, &query) == 0 || client->stream_left > 0)
        return false;
    client->transaction.state = TRANSACTION_FAILING;
    sender_put(to_client, error);
    owed_undo_skipped(server, client);
    if (!query)
        return true; // the client's Sync ends it
    server->skipping = false;
    ops_push(&server->ops, OP_SYNC, OP_CLIENTS, PURPOSE_NONE);
    sender_begin(&worker->to_server, &server->conn);
    sender_copy(&worker->to_server, slice_of(sync, sizeof(sync)));
    return sender_end(&worker->to_server);
}

struct slice deferred_ready(const struct client *client, struct slice message)
{
    static const uint8_t failed[] = {'Z', 0, 0, 0, 5, 'E'};
    bool failing = client != NULL && client->transaction.state == TRANSACTION_FAILING;
    return failing ? slice_of(failed, sizeof(failed)) : message;
}

void deferred_lose_portal(struct client *client, struct slice name)
{
    static const uint8_t close[] = {'C', 0, 0, 0, 6, 'P', 0};
    if (!client->transaction.portal || (name.len > 0 && name.at[0] != '\0'))
        return;
    client->transaction.portal = false;
    ops_push(&client->server->ops, OP_CLOSE, OP_INJECTED, PURPOSE_NONE);
    sender_copy(session_to_server(client), slice_of(close, sizeof(close)));
}

void deferred_cancelled(struct client *client)
{
    if (client->transaction.state == TRANSACTION_DEFERRED)
        client->transaction.state = TRANSACTION_FAILED;
}
