// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/listening.h"

#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/route.h"
#include "proxy/server/hub.h"
#include "proxy/session/startup.h"
#include "proxy/session/unit.h"
#include "proxy/sql/texts.h"

enum {
    TEXT_MAX_BYTES = 512, // a longer one is not looked at here
    NAME_MAX_BYTES = 63,  // perhaps cut short, of which PostgreSQL gives notice
};

struct listening *listening_of(struct client *client)
{
    if (client->listening == NULL) {
        client->listening = mem_new(struct listening);
        list_init(&client->listening->subscriptions);
    }
    return client->listening;
}

// ---- LISTEN and UNLISTEN at rest ----

static void compose_answer(struct buf *out, const struct unit *unit, const char *tag)
{
    if (!unit->simple)
        buf_bytes(out, "1\0\0\0\4" "2\0\0\0\4", 10);
    if (unit->has_describe)
        buf_bytes(out, "n\0\0\0\4", 5);
    message_complete(out, tag);
}

static void unlisten(struct client *client, struct slice channel)
{
    if (client->listening == NULL)
        return;
    if (channel.len == 0) {
        listening_forget(client);
        return;
    }
    struct subscription *s = hub_find(client, channel);
    if (s != NULL)
        hub_leave(s);
}

// Takes the whole unit, which is one of the two.
static enum step take(struct client *client, const struct unit *unit,
                      const struct analysis *analysis)
{
    struct listening *listening = listening_of(client);
    struct worker *worker = client->worker;
    statement_unref(&client->unnamed);
    client->unnamed_told = (struct layout){0};
    if (!unit->simple)
        client->unnamed = statement_get(worker->pooler->statements, worker->texts,
                                        session_scope(client), unit->tail, unit->text.len + 1);
    buf_clear(&listening->answer);
    if (analysis->unlistens) {
        compose_answer(&listening->answer, unit, "UNLISTEN");
        message_ready(&listening->answer, 'I');
        sender_copy(session_to_client(client), buf_slice(&listening->answer));
        buf_fini(&listening->answer);
        unlisten(client, analysis->channel);
        return STEP_ON;
    }
    compose_answer(&listening->answer, unit, "LISTEN");
    client->aligning |= CLIENT_WAITS_TO_LISTEN;
    buf_clear(&listening->wanted);
    buf_put(&listening->wanted, analysis->channel);
    client->finish_later = true;
    return STEP_STOP;
}

void listening_begin(struct client *client)
{
    struct buf name = client->listening->wanted;
    client->listening->wanted = (struct buf){0};
    if (hub_find(client, buf_slice(&name)) != NULL)
        listening_answer(client, NULL, NULL); // as often as it likes
    else
        hub_listen(client, buf_slice(&name));
    buf_fini(&name);
}

// Cheaply: can it be one?
static bool may_be(struct slice text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\n' || text.at[0] == '\t'))
        text = slice_skip(text, 1);
    return text.len > 0 && (text.at[0] == 'l' || text.at[0] == 'L' || text.at[0] == 'u' ||
                            text.at[0] == 'U');
}

bool listening_may_concern(const struct client *client, struct slice data, struct frame frame)
{
    size_t skip = MESSAGE_HEADER_BYTES + (frame.type == 'P'); // an unnamed one's NUL
    return client->mode != POOL_SESSION && frame.length <= TEXT_MAX_BYTES && data.len > skip &&
           (frame.type == 'Q' || data.at[MESSAGE_HEADER_BYTES] == '\0') &&
           may_be(slice_skip(data, skip));
}

enum step listening_message(struct client *client, struct slice *data, struct frame frame)
{
    struct unit unit;
    switch (unit_read(*data, &unit)) {
    case UNIT_MORE:
        return STEP_MORE;
    case UNIT_OTHER:
        return STEP_SERVER;
    case UNIT_OK:
        break;
    }
    static const uint8_t no_values[] = {0, 0, 0, 0}; // nor formats
    bool bare = unit.simple || (unit.name.len == 0 && !unit.has_max_rows && unit.bind.len >= 4 &&
                                memcmp(unit.bind.at, no_values, 4) == 0);
    if (!bare || !vars_text_is_plain(client->vars, unit.text))
        return STEP_SERVER;
    const struct analysis *analysis = texts_front_analysis(client->worker->texts, unit.text);
    if (analysis->kind != STATEMENT_LISTEN || analysis->channel.len >= NAME_MAX_BYTES ||
        (analysis->channel.len == 0 && !analysis->unlistens))
        return STEP_SERVER;
    enum step next = take(client, &unit, analysis);
    *data = slice_skip(*data, unit.bytes);
    return next;
}

// Gone in the meantime: the answer is nobody's.
static bool is_waiting(const struct client *client)
{
    return client->state != CLIENT_CLOSED && (client->aligning & CLIENT_WAITS_TO_LISTEN) != 0;
}

void listening_answer(struct client *client, const char *sqlstate, const char *why)
{
    if (!is_waiting(client))
        return;
    struct buf *out = &client->listening->answer;
    client->aligning &= (uint8_t)~CLIENT_WAITS_TO_LISTEN;
    if (sqlstate != NULL) {
        buf_clear(out);
        message_error(out, "ERROR", sqlstate, why);
    }
    message_ready(out, 'I');
    bool alive = startup_say(client, buf_slice(out));
    if (!alive)
        return;
    buf_fini(out);
    listening_flush(client);
    route_count(client->route, client->worker, queries, 1);
    client_resume(client);
}

// ---- notifications ----

static bool may_be_told(const struct client *client)
{
    return (client->state == CLIENT_IDLE || client->state == CLIENT_LINKED) &&
           client->aligning == 0 && client_at_rest(client);
}

void listening_told(struct client *client)
{
    if (client->route->domain != NULL)
        client->around_us = clock_us();
}

void listening_notify(struct client *client, struct slice message, const char *encoding)
{
    const char *own = client->vars->value[VAR_CLIENT_ENCODING];
    struct slice text = slice_skip(message, MESSAGE_HEADER_BYTES + 4); // behind the process
    bool same = own == NULL || encoding == NULL || strcasecmp(own, encoding) == 0;
    if (!same && !slice_is_ascii(text)) {
        client_fail(client, "22P05", "a notification cannot be told in the client's encoding");
        return;
    }
    listening_told(client);
    struct buf *waiting = &client->listening->waiting;
    size_t queued = waiting->len + client->conn.out.len - client->conn.out_sent;
    if (queued + message.len > LISTENING_WAITING_MAX_BYTES) {
        client_fail(client, "54000", "too many notifications wait for the client");
        return;
    }
    if (waiting->len == 0 && may_be_told(client))
        startup_say(client, message);
    else
        buf_put(waiting, message);
}

bool listening_has(const struct client *client, struct slice message)
{
    if (client->listening == NULL)
        return false;
    struct reader r = reader_of(slice_skip(message, MESSAGE_HEADER_BYTES));
    reader_u32(&r);
    const struct subscription *s = hub_find(client, reader_cstr(&r));
    return s != NULL && s->active;
}

void listening_flush(struct client *client)
{
    struct buf *waiting = &client->listening->waiting;
    if (waiting->len == 0 || !may_be_told(client))
        return;
    struct buf out = *waiting;
    *waiting = (struct buf){0};
    startup_say(client, buf_slice(&out));
    buf_fini(&out);
}

void listening_lost(struct client *client)
{
    client_fail(client, "08006",
                "the server connection that listens was lost, notifications may be missing");
}

// ---- UNLISTEN on a server ----

void listening_note(struct client *client, const struct analysis *analysis)
{
    if (analysis == NULL || analysis->kind != STATEMENT_LISTEN || !analysis->unlistens)
        return;
    struct buf *out = &client->listening->unlisten;
    if (analysis->channel.len == 0)
        buf_cstr(out, "*");
    buf_put(out, analysis->channel);
    if (analysis->channel.len > 0)
        buf_u8(out, 0);
}

void listening_completed(struct client *client, struct slice tag)
{
    struct listening *listening = client->listening;
    if (listening->unlisten.len == 0)
        return;
    bool commits = slice_is(tag, "COMMIT") ||
                   (slice_is(tag, "UNLISTEN") && client->server->status == 'I');
    bool ends = commits || slice_is(tag, "ROLLBACK");
    if (!ends)
        return;
    struct buf names = listening->unlisten;
    listening->unlisten = (struct buf){0};
    for (size_t at = 0; commits && at < names.len; at += strlen((char *)names.at + at) + 1) {
        struct slice name = slice_str((char *)names.at + at);
        unlisten(client, slice_is(name, "*") ? slice_of("", 0) : name);
    }
    buf_fini(&names);
}

// ---- its end ----

void listening_forget(struct client *client)
{
    struct link *l;
    if (client->listening == NULL)
        return;
    while ((l = list_first(&client->listening->subscriptions)) != NULL)
        hub_leave(container_of(l, struct subscription, of_client));
}

void listening_free(struct client *client)
{
    struct listening *listening = client->listening;
    if (listening == NULL)
        return;
    CHECK(list_empty(&listening->subscriptions));
    buf_fini(&listening->waiting);
    buf_fini(&listening->unlisten);
    buf_fini(&listening->answer);
    buf_fini(&listening->wanted);
    mem_free(listening);
    client->listening = NULL;
}
