// SPDX-License-Identifier: Apache-2.0
// What a client at rest may say that needs no server: a lone Sync, bytes of a COPY that is over,
// and the naming of statements. Drivers prepare each statement on each connection; once a server
// of the route has accepted a text, giving it a name is our own business.
#include "base/reader.h"
#include "proxy/route.h"
#include "proxy/session/listening.h"
#include "proxy/session/session.h"
#include "proxy/worker.h"

static void ready(struct client *client)
{
    const char status = transaction_status(&client->transaction);
    const uint8_t bytes[] = {'Z', 0, 0, 0, 5, (uint8_t)status};
    sender_copy(session_to_client(client), slice_of(bytes, sizeof(bytes)));
    client->answered_us = client->worker->now_us;
}

static void answer(struct client *client, char complete)
{
    uint8_t bytes[] = {(uint8_t)complete, 0, 0, 0, 4};
    sender_copy(session_to_client(client), slice_of(bytes, sizeof(bytes)));
    ready(client);
}

// Does a Sync follow, and is all of it here? *used: of both messages.
static bool then_sync(struct slice data, struct frame frame, size_t *used)
{
    struct frame sync;
    if (data.len < frame.length || frame_read(slice_skip(data, frame.length), &sync) != FRAME_OK ||
        sync.type != 'S' || sync.length != MESSAGE_HEADER_BYTES)
        return false;
    *used = frame.length + sync.length;
    return true;
}

static bool local_parse(struct client *client, struct slice body)
{
    struct reader r = reader_of(body);
    struct slice name = reader_cstr(&r);
    struct slice tail = slice_of(r.at, reader_left(&r));
    struct slice text = reader_cstr(&r);
    reader_bytes(&r, (size_t)reader_u16(&r) * 4);
    if (!reader_done(&r) || name.len == 0 || statement_names_find(&client->names, name) != NULL)
        return false;
    struct statement *statement = session_statement(client, tail, text.len + 1);
    bool proven = statement->proven;
    if (proven)
        statement_names_set(&client->names, name, statement);
    statement_unref(&statement);
    return proven;
}

static bool local_close(struct client *client, struct slice body)
{
    struct reader r = reader_of(body);
    char kind = (char)reader_u8(&r);
    struct slice name = reader_cstr(&r);
    if (!reader_done(&r) || kind != 'S' || name.len == 0)
        return false;
    statement_names_set(&client->names, name, NULL);
    return true;
}

enum step local_message(struct client *client, struct slice *data, struct frame frame)
{
    struct slice body = slice_of(data->at + 5, frame.length - 5);
    // In a transaction LISTEN counts from its end.
    bool may_listen = !transaction_is_ours(&client->transaction);
    size_t used;
    switch (frame.type) {
    case 'Q':
        if (may_listen && listening_may_concern(client, *data, frame))
            return listening_message(client, data, frame);
        return STEP_SERVER;
    case 'S':
        if (frame.length > data->len)
            return STEP_MORE;
        ready(client);
        *data = slice_skip(*data, frame.length);
        return STEP_ON;
    case 'H':
    case 'd':
    case 'c':
    case 'f': // PostgreSQL drops these outside COPY, too
        client->stream_left = frame.length;
        client->stream_discard = true;
        return STEP_ON;
    case 'P':
    case 'C':
        if (frame.type == 'P' && data->len > 5 && data->at[5] == '\0')
            return may_listen && listening_may_concern(client, *data, frame)
                       ? listening_message(client, data, frame) : STEP_SERVER;
        if (!session_shares_names(client) || !then_sync(*data, frame, &used))
            return STEP_SERVER;
        if (!(frame.type == 'P' ? local_parse : local_close)(client, body))
            return STEP_SERVER;
        answer(client, frame.type == 'P' ? '1' : '3');
        route_count(client->route, client->worker, parses, frame.type == 'P');
        *data = slice_skip(*data, used);
        return STEP_ON;
    }
    return STEP_SERVER;
}

// As PostgreSQL after an error: a query is dropped, extended messages are up to the next Sync.
enum step local_drop(struct client *client, struct slice *data, struct frame frame)
{
    bool ends = frame.type == 'Q' || frame.type == 'F' || frame.type == 'S';
    if (!ends) {
        client->stream_left = frame.length;
        client->stream_discard = true;
        return STEP_ON;
    }
    if (data->len < frame.length)
        return STEP_MORE;
    client->dropping = false;
    ready(client);
    *data = slice_skip(*data, frame.length);
    return STEP_ON;
}
