// SPDX-License-Identifier: Apache-2.0
// What a logged-in client says. At rest a whole unit is looked at first, because the cache may
// answer it; otherwise each message goes to the server at once, with names of prepared statements
// translated and the answer it will bring written down as an op.
#include "proxy/session/session.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/reader.h"
#include "config/config.h"
#include "proxy/route.h"
#include "proxy/session/deferred.h"
#include "proxy/session/lead.h"
#include "proxy/session/listening.h"
#include "proxy/session/rerun.h"
#include "proxy/sql/texts.h"
#include "proxy/worker.h"

uint64_t session_scope(const struct client *client)
{
    uint64_t settings = client->wanted ? client->wanted->planning_hash : 0;
    return client->vars->hash ^ client->route->number * 0x9e3779b97f4a7c15u ^ settings;
}

// Shared ones are prepared anew in the present scope (sharing.c).
bool session_knows(struct client *client, struct slice name, const struct statement *s)
{
    bool anew = name.len > 0 && session_shares_names(client);
    return !statement_is_sql(s) && (anew || s->scope == session_scope(client));
}

// Drivers that do not keep their statements say the same one again and again.
struct statement *session_statement(struct client *client, struct slice tail, size_t text_bytes)
{
    uint64_t scope = session_scope(client);
    if (client->reads_oddly && !session_shares_names(client))
        scope = ~scope; // of no settings that the cache knows
    if (client->unnamed != NULL && statement_is(client->unnamed, scope, tail, text_bytes))
        return statement_ref(client->unnamed);
    return statement_get(client->worker->pooler->statements, client->worker->texts, scope, tail,
                         text_bytes);
}

bool client_wants_input(const struct client *client)
{
    return client->state != CLIENT_WAITING && client->state != CLIENT_GREETING &&
           !client->aligning && !(client->clearing && client->stream_left == 0) &&
           client->held == NULL;
}

// ---- the brackets of a turn: closed before anything is given away or ended ----

static bool end_output(struct client *client)
{
    struct worker *worker = client->worker;
    bool client_ok = worker->to_client.conn == NULL || sender_end(&worker->to_client);
    bool server_ok = worker->to_server.conn == NULL || sender_end(&worker->to_server);
    if (!server_ok && client->server != NULL)
        server_close(client->server, "server conn crashed?"); // ends the client, too
    else if (!client_ok)
        client_close(client, "client unexpected eof");
    return client->state != CLIENT_CLOSED;
}

struct sender *session_to_client(struct client *client)
{
    struct sender *s = &client->worker->to_client;
    if (s->conn == NULL)
        sender_begin(s, &client->conn);
    return s;
}

struct sender *session_to_server(struct client *client)
{
    struct sender *s = &client->worker->to_server;
    if (s->conn == NULL)
        sender_begin(s, &client->server->conn);
    return s;
}

static enum step session_fail(struct client *client, const char *state, const char *why)
{
    if (end_output(client))
        client_fail(client, state, why);
    return STEP_STOP;
}

// ---- one message ----

// Is this a message that a client may send?
static bool known_type(char type)
{
    switch (type) {
    case 'Q':
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
    case 'H':
    case 'S':
    case 'F':
    case 'X':
    case 'd':
    case 'c':
    case 'f':
        return true;
    }
    return false;
}

static enum step bad_type(struct client *client, char type)
{
    char why[64];
    snprintf(why, sizeof(why), "invalid frontend message type %d", (unsigned char)type);
    return session_fail(client, "08P01", why);
}

// max_packet_size
static enum step bad_header(struct client *client, const uint8_t *header)
{
    char why[64];
    int n = snprintf(why, sizeof(why), "bad packet header: '");
    for (int i = 0; i < MESSAGE_HEADER_BYTES; i++)
        n += snprintf(why + n, sizeof(why) - (size_t)n, "%02x", header[i]);
    snprintf(why + n, sizeof(why) - (size_t)n, "'");
    return session_fail(client, "08P01", why);
}

// disable_pqexec
static enum step no_simple_query(struct client *client)
{
    char who[CLIENT_NAME_BYTES];
    client_describe(client, who, sizeof(who));
    log_error("%s client used \"Query\" packet type", who);
    return session_fail(client, "08P01", "PQexec disallowed");
}

// Before more of its input is looked at.
static bool must_wait(const struct client *client)
{
    return !client_wants_input(client) || conn_has_output(&client->conn) ||
           (client->server != NULL && conn_has_output(&client->server->conn));
}

// At rest: the cache, or a server. STEP_SERVER: it has one now, which takes the message.
static enum step rest_unit(struct client *client, struct slice *data, struct frame frame)
{
    if (client->route->domain != NULL) {
        size_t used = 0;
        switch (client_try_cache(client, *data, true, &used)) {
        case CACHED_HIT:
            *data = slice_skip(*data, used);
            return STEP_ON;
        case CACHED_MORE:
            return STEP_MORE;
        case CACHED_HELD:
            return STEP_STOP;
        case CACHED_MISS:
            break;
        }
    }
    if (client->server != NULL || !end_output(client))
        return STEP_STOP;
    client_request_server(client);
    return client->state == CLIENT_LINKED && !must_wait(client) ? STEP_SERVER : STEP_STOP;
}

static enum step step(struct client *client, struct slice *data)
{
    struct frame frame;
    if (client->worker->repeats != NULL && client_try_repeat(client, *data)) {
        *data = slice_skip(*data, data->len);
        return STEP_ON;
    }
    switch (frame_read(*data, &frame)) {
    case FRAME_SHORT:
        return STEP_MORE;
    case FRAME_BAD:
        return session_fail(client, "08P01", "invalid message length");
    case FRAME_OK:
        break;
    }
    if (!known_type(frame.type))
        return bad_type(client, frame.type);
    if (frame.length > client->worker->max_packet_bytes)
        return bad_header(client, data->at);
    if (frame.type == 'X') {
        if (end_output(client))
            client_close(client, "client close request");
        return STEP_STOP;
    }
    if (frame.type == 'Q' && client->worker->no_simple_query)
        return no_simple_query(client);
    if (client->dropping)
        return local_drop(client, data, frame);
    if (deferred_may_concern(client, *data, frame) && client_is_quiet(client)) {
        enum step next = deferred_message(client, data, frame);
        if (next != STEP_SERVER)
            return next;
    }
    const bool at_rest = client->server == NULL;
    if (at_rest) {
        enum step rest = local_message(client, data, frame);
        if (rest == STEP_SERVER)
            rest = rest_unit(client, data, frame);
        if (rest != STEP_SERVER)
            return rest;
    }
    const bool quiet = client_is_quiet(client);
    if ((quiet || client_is_aligning(client)) && !client->unit_decided) {
        client->unit_decided = true;
        if (client->route->domain != NULL && !(at_rest && client_fill_missed(client))) {
            size_t used = 0;
            // One that just got its server was looked up already.
            bool may_hit =
                quiet && (client->mode == POOL_SESSION || client->server->status == 'T');
            enum cached cached = client_try_cache(client, *data, may_hit, &used);
            if (cached != CACHED_MISS)
                client->unit_decided = false;
            if (cached == CACHED_HELD)
                return STEP_STOP;
            if (cached == CACHED_MORE)
                return STEP_MORE;
            if (cached == CACHED_HIT) {
                *data = slice_skip(*data, used);
                return STEP_ON;
            }
        }
    }
    // Something of ours goes out before it, so it is not recorded: nobody is to wait for it.
    if (client->flight != NULL && client->server->fill == NULL)
        lead_end(client, FLIGHT_LEFT);
    if (client->transaction.state == TRANSACTION_DEFERRED)
        deferred_begin(client, *data, frame);
    return forward_message(client, data, frame);
}

// A message that is passed on as it comes.
static enum step stream(struct client *client, struct slice *data)
{
    size_t n = data->len < client->stream_left ? data->len : client->stream_left;
    if (!client->stream_discard)
        sender_put(session_to_server(client), slice_of(data->at, n));
    client->stream_left -= (uint32_t)n;
    client->stream_ended = client->stream_left == 0;
    *data = slice_skip(*data, n);
    return STEP_ON;
}

struct slice client_session(struct client *client, struct slice data)
{
    enum step next = STEP_ON;
    client->kept_from = client->server != NULL && client->server->kept.len > 0 ? data.at : NULL;
    struct texts_front *texts = client->worker->texts;
    texts_front_moved(texts);
    asked_forget(client->worker->asked);
    while (next == STEP_ON && data.len > 0 && client->state != CLIENT_CLOSED && !must_wait(client))
        next = client->stream_left > 0 ? stream(client, &data) : step(client, &data);
    texts_front_moved(texts);
    if (client->state == CLIENT_CLOSED)
        return slice_of(NULL, 0);
    if (client->kept_from != NULL)
        rerun_keep(client, data.at);
    bool ended = client->stream_ended, told = client->ended_here;
    client->stream_ended = client->ended_here = false;
    // The rest of a message that was not wanted any more came in after its answer.
    bool alive = end_output(client);
    if (alive && ended && client->state == CLIENT_LINKED && client_at_rest(client))
        client->finish_later = true;
    if (alive && told && client->listening != NULL)
        listening_flush(client);
    return data;
}
