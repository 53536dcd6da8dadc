// SPDX-License-Identifier: Apache-2.0
// What servers say: each message is matched with the op that it answers, and passed on, swallowed,
// or kept. Rows are passed on as they come, however long. Nothing is given to another client
// before the whole run has been handled and sent.
#include "proxy/server/relay.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/reader.h"
#include "cache/fill.h"
#include "cache/ledger.h"
#include "proxy/control/domain.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/audit.h"
#include "proxy/server/hub.h"
#include "proxy/server/injected.h"
#include "proxy/server/owed.h"
#include "proxy/session/align.h"
#include "proxy/session/client.h"
#include "proxy/session/deferred.h"
#include "proxy/session/explained.h"
#include "proxy/session/given.h"
#include "proxy/session/hidden.h"
#include "proxy/session/lead.h"
#include "proxy/session/tracked.h"
#include "proxy/session/listening.h"
#include "proxy/session/replication.h"
#include "proxy/session/rerun.h"
#include "proxy/session/sequences.h"
#include "proxy/session/told.h"
#include "proxy/session/unsafe.h"
#include "proxy/worker.h"

enum { WHOLE_MAX_BYTES = 1 << 20 }; // of a message that must be seen as a whole

// One run being handled.
struct relay {
    struct server *server;
    struct client *client; // NULL: nobody listens
    struct worker *worker;
    bool published;        // the transaction's effects, for what this run acknowledges
    bool ended;            // it held a ReadyForQuery
    bool asks;             // the client, whose input waited, is to go on
};

static bool fail(struct relay *relay, const char *why)
{
    if (relay->worker->to_client.conn != NULL)
        sender_end(&relay->worker->to_client);
    server_close(relay->server, why);
    return false;
}

static void say(struct relay *relay, struct slice bytes)
{
    if (relay->client != NULL)
        sender_put(&relay->worker->to_client, bytes);
}

// ---- ops ----

static void pop(struct relay *relay)
{
    ops_pop(&relay->server->ops);
    const struct op *next = ops_head(&relay->server->ops);
    if (next != NULL && next->origin == OP_LOCAL && relay->client != NULL)
        server_answer_local(relay->server, &relay->worker->to_client);
}

// ---- messages that mean something to us ----

static void forget_statements(struct relay *relay, bool of_client_too)
{
    statement_names_clear(&relay->server->named);
    relay->server->unnamed = 0; // it is still there, for nobody to rely on
    owed_names_dropped(relay->server, of_client_too ? relay->client : NULL);
}

// Behind DISCARD ALL, in the same batch: something that may have left what was noted of it.
static bool runs_more(const struct ops *ops)
{
    bool more = false;
    for (uint32_t i = 1; i < ops->count && !more && ops_nth(ops, i)->kind != OP_SYNC; i++) {
        enum op_kind kind = ops_nth(ops, i)->kind;
        more = kind == OP_BIND || kind == OP_EXECUTE || kind == OP_QUERY || kind == OP_FUNCTION;
    }
    return more;
}

// Where it was ours (a reset), this was done when it was sent, with what follows a reset.
static void forget_session(struct relay *relay)
{
    struct server *server = relay->server;
    bool more = runs_more(&server->ops);
    server_forget_profile(server);
    server->fresh = !more;
    server->bare = server->connect_query_sent;
    server->needs_reset |= more;
    align_forget(server);
    if (relay->client != NULL)
        client_discarded(relay->client, more);
}

static const char discard_all[] = "DISCARD ALL", deallocate_all[] = "DEALLOCATE ALL";

// body: the command tag and its NUL.
static void on_complete(struct relay *relay, struct slice body, const struct op *op)
{
    bool of_client = op == NULL || op->origin == OP_CLIENTS;
    if (slice_eq(body, slice_of(discard_all, sizeof(discard_all)))) {
        forget_statements(relay, of_client);
        if (of_client)
            forget_session(relay);
    } else if (slice_eq(body, slice_of(deallocate_all, sizeof(deallocate_all)))) {
        forget_statements(relay, of_client);
        if (of_client && relay->client != NULL)
            relay->client->must_verify |= (relay->client->pins & 1u << PIN_PREPARE) != 0;
    } else if (op != NULL && op->says != SAYS_NOTHING) {
        given_said(relay->server, relay->client, op);
    } else if (relay->client != NULL && relay->client->listening != NULL) {
        listening_completed(relay->client, slice_of(body.at, body.len - 1));
    }
    if (of_client && relay->client != NULL && relay->client->sequences != NULL &&
        relay->client->sequences->forgets)
        sequences_completed(relay->client, body);
    owed_copy_ended(relay->server);
}

// What is only asked for there changes nothing: the server has a new configuration, and a session
// that is the client's own has it as well. (Another's is made true again for each client.)
static bool tells_of_itself(const struct client *client, enum op_purpose purpose)
{
    return client->mode == POOL_SESSION &&
           (purpose == PURPOSE_PROFILE || purpose == PURPOSE_VERIFY || purpose == PURPOSE_LEARN);
}

static void on_parameter(struct relay *relay, struct slice message, const struct op *op)
{
    struct reader r = reader_of(slice_of(message.at + 5, message.len - 5));
    const char *name = (const char *)reader_cstr(&r).at;
    const char *value = (const char *)reader_cstr(&r).at;
    struct client *client = relay->client;
    if (!reader_ok(&r))
        return;
    int var = var_find(name);
    if (var >= 0)
        vars_set(&relay->server->vars, var, value);
    else if (fitness_changed(&relay->server->fitness, name, value))
        relay->server->unfit = server_lacks(relay->server) != NULL;
    if (client == NULL)
        return;
    bool injected = op != NULL && op->origin == OP_INJECTED;
    if (injected && op->purpose != PURPOSE_ALIGN && !tells_of_itself(client, op->purpose))
        return;
    // Aligning confirms a value, perhaps in the server's own spelling: then the client hears it.
    // One that was not greeted yet hears it then.
    bool news = client->state != CLIENT_GREETING &&
                (var < 0 || client->vars->value[var] == NULL ||
                 strcmp(client->vars->value[var], value) != 0);
    if (var >= 0)
        vars_set(&client->vars, var, value);
    if (!injected || news)
        say(relay, message);
}

static bool on_injected_error(struct relay *relay, struct slice message, enum op_purpose purpose)
{
    const char *why = NULL;
    if (injected_failed(relay->server, relay->client, purpose, message, &why))
        return true;
    return why != NULL && fail(relay, why);
}

static bool on_error(struct relay *relay, struct slice message, const struct op *op)
{
    relay->server->copying_in = relay->server->copies = false;
    fill_abandon(&relay->server->fill);
    if (relay->server->early_syncs > 0) {
        // Whether the server saw those Syncs before or after its error cannot be known.
        relay->server->doomed = "COPY failed while a Sync was on its way";
        relay->server->early_syncs = 0;
    }
    if (op != NULL && op->origin == OP_INJECTED)
        return on_injected_error(relay, message, op->purpose);
    lead_refused(relay->client, message);
    if (relay->client != NULL)
        relay->client->went_around = true; // of which rows there are, it tells even of a write
    if (op != NULL && rerun_instead(relay->server, relay->client, op, message))
        return true;
    if (relay->client != NULL)
        effects_refused(relay->client, slice_skip(message, MESSAGE_HEADER_BYTES));
    if (relay->client != NULL && relay->client->sequences != NULL)
        sequences_failed(relay->client, message);
    if (op != NULL && op->purpose == PURPOSE_REFUSE)
        unsafe_say_error(relay->client, op);
    else if (op == NULL || !op->mute)
        say(relay, message);
    if (op != NULL && owed_is_extended(op->kind))
        owed_undo_skipped(relay->server, relay->client);
    if (relay->server->skipping && relay->client != NULL && relay->client->clearing) {
        relay->client->clears = relay->client->clearing = false; // what it waits for was skipped
        relay->asks = true;
    }
    return true;
}

// Before an answer that may acknowledge a commit goes out. Everything in this run was said after
// what it acknowledges, so once for a run is enough.
static void publish(struct relay *relay, char status)
{
    struct client *client = relay->client;
    if (client == NULL || !effects_any(client->effects))
        return;
    if (status != 'I' && !client->effects->may_end)
        return; // still in its transaction
    if (!relay->published)
        effects_publish(client);
    relay->published = true;
}

static bool on_ready(struct relay *relay, struct slice message, struct op *op)
{
    struct server *server = relay->server;
    server->status = (char)message.at[5];
    if (server->status != 'I' && server->status != 'T' && server->status != 'E')
        return fail(relay, "bad ReadyForQuery");
    if (op == NULL && server->doomed != NULL && relay->client != NULL) {
        say(relay, message); // an answer to a Sync that seemed to be ignored
        server->skipping = false;
        relay->client->open_batch = false;
        relay->ended = true;
        return true;
    }
    if (op == NULL || !owed_completes('Z', op->kind))
        return fail(relay, "unexpected ReadyForQuery from the server");
    bool injected = op->origin == OP_INJECTED;
    if (injected)
        injected_ended(server, relay->client, op->purpose);
    if (server->status != 'I' && server->mode == POOL_STATEMENT && !injected)
        return fail(relay, "transaction blocks not allowed in statement pooling mode");
    if (!injected) {
        publish(relay, server->status);
        fill_abandon(&server->fill);
        lead_end(relay->client, FLIGHT_FAILED);
        explained_ready(relay->client, &relay->worker->to_client);
        say(relay, deferred_ready(relay->client, message));
        if (relay->client != NULL)
            client_answered(relay->client, server);
    }
    pop(relay);
    if (!injected && relay->client != NULL)
        transaction_answered(relay->client);
    // What was sent behind it is not answered yet: its effects stay.
    if (!injected && server->status == 'I' && ops_empty(&server->ops) && relay->client != NULL)
        effects_clear(relay->client);
    relay->ended = true;
    return true;
}

// The session that made the reply being recorded. (A reload of the server's configuration may have
// changed what it reports, and been told in front of that.)
static bool is_as_its_key_says(const struct relay *relay)
{
    const struct server *server = relay->server;
    return server->profile == server->fill_profile && relay->client != NULL &&
           memcmp(server->vars->result_key, server->fill_vars, sizeof(server->fill_vars)) == 0;
}

static bool on_copy_in(struct relay *relay)
{
    struct client *client = relay->client;
    relay->server->copying_in = true;
    if (client != NULL && client->clearing) {
        client->clearing = false; // its data is part of the statement: see forward.c
        relay->asks = true;
    }
    bool swallowed = false;
    if (!owed_copy_begins(relay->server, &swallowed))
        return fail(relay, "unexpected message during COPY from stdin");
    if (client != NULL && swallowed)
        client->open_batch = client->batch_runs = true;
    return true;
}

// Must this message be at hand as a whole?
static bool wants_whole(const struct server *server, char type)
{
    if (server->state != SERVER_LINKED)
        return true;
    const struct op *op = ops_head(&server->ops);
    if (op != NULL && op->origin == OP_INJECTED)
        return true;
    if (type == 't')
        return op != NULL && op->tells != 0;
    return type != 'D' && type != 'd' && type != 'N' && type != 'V';
}

// One whole message, in a session. False: the server is gone.
static bool session_message(struct relay *relay, char type, struct slice message)
{
    struct server *server = relay->server;
    struct op *op = ops_head(&server->ops);
    struct slice body = slice_of(message.at + 5, message.len - 5);
    bool injected = op != NULL && op->origin == OP_INJECTED;
    if (server->state == SERVER_IDLE && type != 'S' && type != 'N' && type != 'A')
        return fail(relay, type == 'E' ? "server conn crashed?" // nobody shall be given it any more
                                       : "unexpected message from an idle server");
    if (server->audit != NULL)
        audit_message(server, type, message);
    if (!injected && server->fill != NULL)
        lead_record(relay->client, server, type, message);
    switch (type) {
    case 'Z':
        return body.len == 1 ? on_ready(relay, message, op) : fail(relay, "bad ReadyForQuery");
    case 'E':
        return on_error(relay, message, op);
    case 'S':
        on_parameter(relay, message, op);
        return true;
    case 'C':
        on_complete(relay, body, op);
        if (!injected) {
            if (server->fill != NULL && !is_as_its_key_says(relay)) {
                counter_add(&relay->worker->cache.abandoned, 1);
                fill_abandon(&server->fill);
            }
            if (server->fill != NULL)
                lead_land(relay->client, fill_commit(&server->fill, clock_us()));
            // The end of a simple query outside a transaction acknowledges its commit; that of
            // an Execute does not, the Sync does.
            publish(relay, op == NULL || op->kind == OP_QUERY ? server->status : 'T');
            if (op != NULL && op->tracked != 0 && relay->client != NULL &&
                relay->worker->queries != NULL)
                tracked_complete(relay->client, op, body);
        }
        break;
    case 'G':
        if (!on_copy_in(relay))
            return false;
        break;
    case 'D':
        if (injected)
            injected_row(server, op->purpose, body);
        break;
    case 't':
    case 'T':
    case 'n':
        if (op != NULL && op->kind == OP_DESCRIBE)
            told_heard(server, relay->client, op, message);
        break;
    case 'N':
        if (!injected)
            say(relay, message);
        return true;
    case 'A': // also when it comes in the middle of something of ours
        if (relay->client == NULL || !listening_has(relay->client, message))
            say(relay, message);
        if (relay->client != NULL)
            listening_told(relay->client);
        return true;
    }
    if (!injected)
        say(relay, message);
    if (op != NULL && owed_completes(type, op->kind)) {
        if (op->kind == OP_PARSE && op->after != NULL)
            op->after->proven = true;
        if (op->kind == OP_EXECUTE && op->purpose == PURPOSE_BEGIN)
            deferred_begun(server);
        pop(relay);
    }
    return true;
}

// The head of a message that is passed on as it comes.
static void stream_begin(struct relay *relay, char type, struct slice head, uint32_t length)
{
    struct server *server = relay->server;
    lead_record(relay->client, server, type, head);
    say(relay, head);
    server->stream_left = length - (uint32_t)head.len;
}

static void stream_more(struct relay *relay, struct slice bytes)
{
    struct server *server = relay->server;
    lead_record(relay->client, server, 'D', bytes);
    say(relay, bytes);
    server->stream_left -= (uint32_t)bytes.len;
}

// Is the end of what was asked with this op nobody's business but the client's? See on_complete().
static bool ends_unnoticed(const struct relay *relay, const struct op *op)
{
    const struct server *server = relay->server;
    const struct client *client = relay->client;
    return client != NULL && !effects_any(client->effects) && client->listening == NULL &&
           (client->sequences == NULL || !client->sequences->forgets) &&
           op->says == SAYS_NOTHING && op->tracked == 0 && !server->copies &&
           !server->copying_in && server->early_syncs == 0;
}

// Does this message of an answer mean nothing here, but that its request may be done?
static inline bool is_passed_on(const struct relay *relay, const struct op *op,
                                struct frame frame, const uint8_t *body)
{
    switch (frame.type) {
    case 'D':
        return true;
    case 'T':
        return op->kind == OP_QUERY || (op->kind == OP_DESCRIBE && op->tells == 0);
    case 'C': // DISCARD and DEALLOCATE are noticed
        return (op->kind == OP_QUERY || op->kind == OP_EXECUTE) &&
               frame.length > MESSAGE_HEADER_BYTES && *body != 'D' && ends_unnoticed(relay, op);
    case '1':
        return op->kind == OP_PARSE && op->after == NULL;
    case '2':
        return op->kind == OP_BIND;
    }
    return false;
}

// Passes on what is at the front, as far as session_message() would do no more; most of most
// answers. Returns how many bytes that were.
static size_t pass_on(struct relay *relay, struct slice data)
{
    struct server *server = relay->server;
    size_t n = 0;
    struct frame frame;
    if (server->state != SERVER_LINKED || server->fill != NULL || server->audit != NULL)
        return 0;
    while (frame_read(slice_skip(data, n), &frame) == FRAME_OK && frame.length <= data.len - n &&
           frame.length <= relay->worker->max_packet_bytes) {
        const uint8_t *at = data.at + n;
        const struct op *op = ops_head(&server->ops);
        if (op == NULL || op->origin != OP_CLIENTS || op->purpose != PURPOSE_NONE ||
            !is_passed_on(relay, op, frame, at + MESSAGE_HEADER_BYTES))
            break;
        n += frame.length;
        say(relay, slice_of(at, frame.length));
        if (owed_completes(frame.type, op->kind))
            pop(relay);
    }
    return n;
}

// Handles the run; false: the server is gone. *data gets what must be seen again.
static bool handle(struct relay *relay, struct slice *data)
{
    struct server *server = relay->server;
    while (data->len > 0) {
        if (server->stream_left == 0)
            *data = slice_skip(*data, pass_on(relay, *data));
        if (server->stream_left > 0) {
            size_t n = data->len < server->stream_left ? data->len : server->stream_left;
            stream_more(relay, slice_cut(data, n));
            continue;
        }
        struct frame frame;
        enum frame_result result = frame_read(*data, &frame);
        if (result == FRAME_SHORT)
            return true;
        if (result == FRAME_BAD)
            return fail(relay, "bad packet from the server");
        if (frame.length > server->worker->max_packet_bytes)
            return fail(relay, "bad pkt header");
        if (frame.length <= data->len) {
            struct slice message = slice_cut(data, frame.length);
            bool login = server->state == SERVER_LOGIN;
            if (login ? !server_login_message(server, frame.type,
                                              slice_of(message.at + 5, message.len - 5))
                      : !session_message(relay, frame.type, message))
                return false;
            continue;
        }
        if (frame.type == 'E' && frame.length > WHOLE_MAX_BYTES && server->state == SERVER_LINKED) {
            // What we want to know stands in front; the rest is passed on as it comes.
            struct slice head = slice_cut(data, data->len);
            if (!session_message(relay, 'E', head))
                return false;
            server->stream_left = frame.length - (uint32_t)head.len;
            continue;
        }
        if (wants_whole(server, frame.type)) {
            if (frame.length > WHOLE_MAX_BYTES)
                return fail(relay, "message from the server is too long");
            return true;
        }
        stream_begin(relay, frame.type, slice_cut(data, data->len), frame.length);
    }
    return true;
}

// ---- after the run ----

// Decides what the server does next, when it owes nothing.
static void settle(struct server *server, bool ended)
{
    struct worker *worker = server->worker;
    if (!ops_empty(&server->ops))
        return;
    if (server->state == SERVER_SETUP || server->state == SERVER_RESETTING) {
        if (server->status != 'I') {
            server_close(server, "server is in a transaction without a client");
            return;
        }
        if (hidden_ask(server))
            return;
        struct route *route = route_ref(server->route);
        server_give_back(server);
        server_open_more(worker, route); // a pool opens one at a time: now the next one
        route_unref(&route);
        return;
    }
    struct client *client = server->client;
    if (server->state != SERVER_LINKED || !ended || client == NULL)
        return;
    if (align_is_its_turn(client))
        client_resume(client);
    else
        client_finished(client);
}

// Input that waited to know what a name means, or what DISCARD ALL left in a transaction, goes on.
static void settle_names(struct server *server, bool ended)
{
    struct client *client = server->client;
    if (server->state == SERVER_LINKED && client != NULL &&
        (client->rerun == RERUN_DUE || client->rerun == RERUN_DUE_WITH_SYNC))
        rerun_go(server, client);
    else if (server->state == SERVER_LINKED && client != NULL &&
        (client->settling || (ended && server->status != 'I' && client->conn.in.len > 0)))
        client_resume(client);
}

bool server_relay(struct server *server)
{
    struct worker *worker = server->worker;
    if (server->hub != NULL && server->state == SERVER_LINKED)
        return hub_input(server);
    if (server->own && server->state == SERVER_LINKED)
        return replication_from_server(server);
    struct slice data;
    switch (conn_read(&server->conn, worker->area, &data)) {
    case CONN_AGAIN:
        return true;
    case CONN_EOF:
    case CONN_ERROR:
        server_close(server, "server conn crashed?");
        return false;
    case CONN_OK:
        break;
    }
    struct relay relay = {.server = server,
                          .client = server->state == SERVER_LINKED ? server->client : NULL,
                          .worker = worker};
    if (relay.client != NULL)
        sender_begin(&worker->to_client, &relay.client->conn);
    bool alive = handle(&relay, &data);
    if (!alive)
        return false;
    // What is sent may lie in the kept input: first out, then let go.
    bool sent = relay.client == NULL || sender_end(&worker->to_client);
    conn_keep(&server->conn, data);
    if (!sent) {
        client_close(relay.client, "client unexpected eof");
        return false; // it may be gone, or somebody else's
    }
    if (relay.client != NULL && conn_has_output(&relay.client->conn)) {
        conn_want_read(&server->conn, false); // until the client has taken it
        lead_end(relay.client, FLIGHT_LEFT);  // nobody else shall wait for that
    }
    worker->relaying = server;
    // Half a message behind the end (a notice, a notification): it is this client's, too.
    bool whole = data.len == 0 && server->stream_left == 0;
    bool ended = relay.ended || server->ended_before;
    server->ended_before = ended && !whole;
    settle_names(server, relay.ended);
    if (relay.asks && worker->relaying == server)
        client_resume(relay.client);
    if (whole && worker->relaying == server) // else it was closed or given away meanwhile
        settle(server, ended && server->status == 'I');
    worker->relaying = NULL;
    return true;
}

void server_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct server *server = io->data;
    TAG_CHECK(server, SERVER_TAG);
    server_relay(server);
}
