// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/extended.h"

#include "base/reader.h"
#include "proxy/route.h"
#include "proxy/server/owed.h"
#include "proxy/session/bypassed.h"
#include "proxy/session/deferred.h"
#include "proxy/session/forward.h"
#include "proxy/session/given.h"
#include "proxy/session/rerun.h"
#include "proxy/session/sequences.h"
#include "proxy/session/sharing.h"
#include "proxy/session/told.h"
#include "proxy/session/tracked.h"
#include "proxy/session/unsafe.h"
#include "proxy/sql/keys.h"
#include "proxy/worker.h"

enum { TEXT_MAX_BYTES = 16 << 20 }; // of a prepared statement that must be remembered

// The message is dropped.
static void pass_by(struct client *client, struct slice *data, struct frame frame)
{
    size_t n = data->len < frame.length ? data->len : frame.length;
    slice_cut(data, n);
    client->stream_left = frame.length - (uint32_t)n;
    client->stream_discard = true;
}

static void set_name(struct client *client, struct op *op, struct slice name,
                     struct statement *meaning)
{
    const struct meaning *before = statement_names_get(&client->names, name);
    ops_rename(op, name, before ? statement_ref(before->statement) : NULL);
    if (before != NULL)
        op->told = before->told;
    statement_names_set(&client->names, name, meaning);
}

// Is what this name means still open, because something sent before the last Sync may yet fail?
static bool must_settle(struct client *client, struct slice name)
{
    const struct ops *ops = &client->server->ops;
    bool open = false;
    if (!ops_empty(ops) && name.len == 0) {
        open = ops_unnamed_unsettled(ops);
    } else if (!ops_empty(ops)) {
        const struct statement *meaning = statement_names_find(&client->names, name);
        open = ops_unsettled(ops, name, meaning ? meaning->number : 0);
    }
    if (open)
        session_settle(client);
    else
        client->settling = false;
    return open;
}

// Is it open whether the server has it? Something that takes it away may yet be skipped.
static bool must_settle_server(struct client *client, struct slice name,
                               const struct statement *statement)
{
    bool open = name.len > 0 && session_shares_names(client) &&
                ops_unsettled(&client->server->ops, slice_of(NULL, 0), statement->number);
    if (open)
        session_settle(client);
    return open;
}

// In the place of a Parse, or of a Bind (which is not there any more).
static enum step refuse_parse(struct client *client, bool unnamed, uint32_t why)
{
    struct op *op = forward_push(client, OP_PARSE);
    op->purpose = PURPOSE_REFUSE;
    op->number = why;
    op->unnamed = true;
    if (unnamed)
        forward_set_unnamed(client, op, NULL);
    client->server->unnamed = 0;
    unsafe_put_parse(session_to_server(client));
    return STEP_ON;
}

// Bind and Describe of a statement whose text uses names given in SQL. False: the input waits.
static bool names_are_ready(struct client *client, const struct statement *meaning)
{
    return meaning == NULL || !given_concerns(meaning->analysis) ||
           given_ready(client, meaning->analysis, statement_text(meaning), false);
}

// The name is taken: the server shall say so, after it has read the new text as it would have.
static void parse_duplicate(struct client *client, struct slice message, struct slice name)
{
    given_ensure_taken(client, name);
    forward_push(client, OP_PARSE);
    sender_put(session_to_server(client), message);
}

static void parse_named(struct client *client, struct slice message, struct slice name,
                                struct statement *statement)
{
    struct server *server = client->server;
    if (!session_shares_names(client)) {
        if (client->mode != POOL_SESSION)
            client_pin(client, PIN_PREPARE);
        client->must_verify |= client->looking; // too early to be seen
        struct op *op = forward_push(client, OP_PARSE);
        set_name(client, op, name, statement);
        sender_put(session_to_server(client), message);
        return;
    }
    if (statement_names_find(&client->names, name) != NULL) {
        parse_duplicate(client, message, name);
        return;
    }
    bool has = prepared_has(&server->prepared, statement);
    // Outside a transaction and a pipeline, what is wrong with it can be mended later (rerun.h).
    bool doubtful = server->status != 'I' || !ops_empty(&server->ops) ||
                    prepared_is_spoilt(&server->prepared, statement) ||
                    prepared_is_odd(&server->prepared, statement);
    if (has && doubtful)
        sharing_forget(client, statement); // whether the server takes a Parse now, only it can say
    else if (!has)
        sharing_make_room(client);
    bool begins = !client->open_batch || client->only_local;
    struct op *op = forward_push(client, OP_PARSE);
    set_name(client, op, name, statement);
    if (has && !doubtful) {
        op->origin = OP_LOCAL; // the server has it: the answer is ours
        client->only_local = begins;
        return;
    }
    op->after = statement_ref(statement);
    prepared_add(&server->prepared, statement, client->reads_oddly);
    sharing_parse(client, statement->name, statement);
    route_count(client->route, client->worker, injected_parses, 1);
}

enum step extended_parse(struct client *client, struct slice *data, struct frame frame)
{
    struct server *server = client->server;
    if (frame.length > TEXT_MAX_BYTES)
        return forward_fail(client, "statement text is longer than 16 MB");
    if (data->len < frame.length)
        return STEP_MORE;
    struct slice message = slice_of(data->at, frame.length);
    struct reader r = reader_of(slice_of(message.at + 5, message.len - 5));
    struct slice name = reader_cstr(&r);
    if (must_settle(client, name))
        return STEP_STOP;
    struct slice tail = slice_of(r.at, reader_left(&r));
    struct slice text = reader_cstr(&r);
    reader_bytes(&r, (size_t)reader_u16(&r) * 4);
    if (!reader_done(&r))
        return forward_fail(client, "invalid message format");
    struct statement *statement = session_statement(client, tail, text.len + 1);
    if (!names_are_ready(client, statement) || must_settle_server(client, name, statement)) {
        statement_unref(&statement);
        return STEP_STOP;
    }
    slice_cut(data, frame.length);
    route_count(client->route, client->worker, parses, 1);
    uint32_t why;
    if (unsafe_refuses(client, statement->analysis, &why)) {
        statement_unref(&statement);
        return refuse_parse(client, name.len == 0, why);
    }
    sequences_ask(client, statement->analysis, false);
    if (name.len > 0) {
        parse_named(client, message, name, statement);
        statement_unref(&statement);
    } else {
        struct op *op = forward_push(client, OP_PARSE);
        server->unnamed = statement->number;
        server->unnamed_layout = (struct layout){0};
        server->prepared.odd |= client->reads_oddly;
        forward_set_unnamed(client, op, statement);
        sender_put(session_to_server(client), message);
    }
    server_answer_local(server, session_to_client(client));
    return STEP_ON;
}

// The message up to the statement's name, which is another on the server.
static void send_bind_head(struct client *client, uint32_t length, struct slice portal,
                           size_t name_bytes, const char *as)
{
    struct sender *to = session_to_server(client);
    size_t as_bytes = strlen(as);
    uint8_t header[MESSAGE_HEADER_BYTES] = {'B'};
    store_u32(header + 1, (uint32_t)(length - 1 - name_bytes + as_bytes));
    if (portal.len > 0) {
        sender_copy(to, slice_of(header, sizeof(header)));
        sender_copy(to, slice_of(portal.at, portal.len + 1));
        sender_copy(to, slice_of(as, as_bytes + 1));
        return;
    }
    uint8_t *at = sender_room(to, sizeof(header) + 1 + as_bytes + 1);
    memcpy(at, header, sizeof(header));
    at[sizeof(header)] = '\0';
    memcpy(at + sizeof(header) + 1, as, as_bytes + 1);
}

// What the unnamed portal says of a name, when it is executed.
static void note_saying(struct client *client, struct statement *meaning)
{
    statement_unref(&client->saying);
    client->saying = meaning != NULL ? statement_ref(meaning) : NULL;
}

// What binding it may do, with these values (as behind the names in a Bind; empty: not all there).
static void note_bound(struct client *client, const struct statement *meaning, struct slice bind)
{
    struct key_values values = {.analysis = meaning->analysis, .text = statement_text(meaning),
                                .types = statement_types(meaning), .bind = bind,
                                .utf8 = session_speaks_utf8(client)};
    effects_note(client, meaning->analysis, bind.len > 0 ? &values : NULL);
}

enum step extended_bind(struct client *client, struct slice *data, struct frame frame)
{
    struct reader r = reader_of(slice_of(data->at + 5, (data->len < frame.length
                                                            ? data->len : frame.length) - 5));
    struct slice portal = reader_cstr(&r);
    struct slice name = reader_cstr(&r);
    if (!reader_ok(&r)) {
        if (data->len >= frame.length || data->len > NAMES_MAX_BYTES)
            return forward_fail(client, "invalid message format");
        return STEP_MORE;
    }
    if (must_settle(client, name))
        return STEP_STOP;
    struct layout *told;
    struct statement *meaning = session_meaning_told(client, name, &told);
    if (!names_are_ready(client, meaning))
        return STEP_STOP;
    if (meaning != NULL && sequences_refuse(client, meaning->analysis)) {
        pass_by(client, data, frame);
        return refuse_parse(client, false, PIN_SEQUENCE);
    }
    if (meaning != NULL)
        sequences_ask(client, meaning->analysis, true);
    const char *as = sharing_name(client, name, meaning);
    const bool shares = session_shares_names(client);
    client->bound.number = 0;
    if (meaning != NULL && !statement_is_sql(meaning)) {
        enum told is = told_bind(client, told, &(struct told_bind){
            .portal = portal, .name = name, .parameters = slice_of(r.at, reader_left(&r)),
            .message = *data, .frame = frame, .meaning = meaning});
        if (is == TOLD_ASKED)
            return STEP_STOP;
        if (is == TOLD_FALSE) {
            pass_by(client, data, frame);
            return refuse_parse(client, false, TOLD_WHY);
        }
    }
    // What it runs may take names away, its own among them.
    struct statement *held = meaning != NULL && !shares ? statement_ref(meaning) : NULL;
    enum given_says says = SAYS_NOTHING;
    if (meaning != NULL && !vars_text_is_plain(client->vars, statement_text(meaning))) {
        effects_note(client, NULL, &(struct key_values){.text = statement_text(meaning)});
    } else if (meaning != NULL) {
        bypassed_note(client, meaning->analysis, statement_text(meaning));
        // In a session's own names SQL may have given this one another meaning.
        bool sure = shares || !(client->pins & (1u << PIN_PREPARE));
        if (portal.len == 0 && !statement_is_sql(meaning))
            says = given_says(client, meaning->analysis, statement_text(meaning));
        if (says != SAYS_NOTHING)
            given_note(client, says, meaning->analysis);
        else if (sure || name.len == 0)
            note_bound(client, meaning, data->len < frame.length ? slice_of("", 0)
                                                                 : slice_of(r.at, reader_left(&r)));
        else
            effects_note(client, NULL, NULL);
        forward_note_clearing(client, meaning->analysis);
    } else if (name.len > 0 && (client->pins != 0 || !shares)) {
        effects_note(client, NULL, NULL); // perhaps prepared in SQL: anything
    }
    if (client->must_verify) {
        const struct analysis *analysis = meaning != NULL ? meaning->analysis : NULL;
        if (meaning != NULL)
            effects_mention(client, analysis, statement_text(meaning));
        effects_mention(client, analysis, slice_of(r.at, reader_left(&r)));
    }
    if (client->worker->queries != NULL)
        tracked_bind(client, meaning != NULL ? statement_text(meaning) : slice_of(NULL, 0));
    const bool shared = meaning != NULL && shares && !statement_is_sql(meaning);
    const bool kept = shared && rerun_mark(client, data->at);
    struct op *op = forward_push(client, OP_BIND);
    op->number = shared ? meaning->number : 0;
    op->kept = kept;
    if (says != SAYS_NOTHING || client->saying != NULL)
        note_saying(client, says != SAYS_NOTHING ? meaning : NULL);
    statement_unref(&held);
    route_count(client->route, client->worker, binds, 1);
    size_t head = 5 + portal.len + 1 + name.len + 1;
    if (as == (const char *)name.at || name.len == 0) {
        forward_pass(client, data, frame);
        return STEP_ON;
    }
    send_bind_head(client, frame.length, portal, name.len, as);
    slice_cut(data, head);
    frame.length -= (uint32_t)head;
    forward_pass(client, data, frame);
    return STEP_ON;
}

// Describe and Close: a kind, then a name.
static bool read_target(struct slice message, char *kind, struct slice *name)
{
    struct reader r = reader_of(slice_of(message.at + 5, message.len - 5));
    *kind = (char)reader_u8(&r);
    *name = reader_cstr(&r);
    return reader_done(&r) && (*kind == 'S' || *kind == 'P');
}

static enum step describe_target(struct client *client, struct slice message, char kind,
                                  struct slice name)
{
    client->told_rows = true;
    if (kind == 'P') {
        deferred_lose_portal(client, name);
        told_asks_portal(client, forward_push(client, OP_DESCRIBE), name);
        sender_put(session_to_server(client), message);
        return STEP_ON;
    }
    struct statement *meaning = session_meaning(client, name);
    client->told_types = true;
    sharing_outdate(client, name);
    const char *as = sharing_name(client, name, meaning);
    told_asks(forward_push(client, OP_DESCRIBE), name, meaning);
    sharing_ask(client, 'D', as);
    return STEP_ON;
}

static enum step close_target(struct client *client, struct slice message, char kind,
                               struct slice name)
{
    struct op *op = forward_push(client, OP_CLOSE);
    if (kind == 'P')
        client->bound.portal = client->bound.number = 0;
    if (kind == 'S' && name.len > 0) {
        set_name(client, op, name, NULL);
        if (session_shares_names(client)) {
            // Others share it: the server keeps it, the answer is ours.
            op->origin = OP_LOCAL;
            server_answer_local(client->server, session_to_client(client));
            return STEP_ON;
        }
    } else if (kind == 'S') {
        forward_set_unnamed(client, op, NULL);
        client->server->unnamed = 0;
    }
    sender_put(session_to_server(client), message);
    return STEP_ON;
}

enum step extended_target(struct client *client, struct slice message)
{
    char kind;
    struct slice name;
    if (!read_target(message, &kind, &name))
        return forward_fail(client, "invalid message format");
    if (kind == 'S' && (must_settle(client, name) ||
                        !names_are_ready(client, session_meaning(client, name))))
        return STEP_STOP;
    return message.at[0] == 'D' ? describe_target(client, message, kind, name)
                                : close_target(client, message, kind, name);
}
