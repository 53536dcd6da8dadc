// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/rerun.h"

#include "base/reader.h"
#include "proxy/route.h"
#include "proxy/server/owed.h"
#include "proxy/session/given.h"
#include "proxy/session/told.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// ---- may it be? ----

// Is this batch all that the server owes? *synced: its Sync is on its way.
static bool is_alone(const struct server *server, bool *synced)
{
    *synced = false;
    for (uint32_t i = 0; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        if (*synced || !(owed_is_extended(op->kind) || op->kind == OP_SYNC))
            return false;
        *synced = op->kind == OP_SYNC;
    }
    return true;
}

// A client that was told the old columns, and does not ask again, would read the new rows by them;
// one that was told the old types of the parameters would send values that mean something else.
static bool would_mislead(const struct client *client, struct slice batch)
{
    struct frame frame;
    if (frame_read(batch, &frame) != FRAME_OK || frame.type != 'B' || batch.len < frame.length)
        return true;
    struct reader r = reader_of(slice_of(batch.at + 5, frame.length - 5));
    reader_cstr(&r);
    reader_cstr(&r);
    if (client->told_types && told_sends_binary(slice_of(r.at, reader_left(&r))))
        return true;
    return client->told_rows && !told_asks_again(batch, frame);
}

// ---- doing it ----

// What was sent is input again, in front of what came since.
static void say_again(struct server *server, struct client *client)
{
    struct buf input = server->kept;
    server->kept = (struct buf){0};
    buf_put(&input, buf_slice(&client->conn.in));
    buf_fini(&client->conn.in);
    client->conn.in = input;
}

// One EXECUTE as a query: its answer begins with the columns always. The name is let go, so that
// its statement is prepared anew.
static bool begin_query(struct server *server, struct client *client)
{
    struct op *op = ops_head(&server->ops);
    if (server->ops.count > 1 || server->kept.len == 0 || server->status != 'I' ||
        client->rerun != RERUN_NONE || client->stream_left > 0)
        return false;
    statement_names_set(&server->named, slice_of(op->name, op->name_bytes), NULL);
    op->origin = OP_INJECTED;
    client->rerun = RERUN_DUE;
    say_again(server, client);
    return true;
}

// User code may raise that SQLSTATE as well, after it has done something; the sentence is
// translated, the name of the routine (plancache.c) is not.
static bool is_of_plan(const struct error_fields *fields)
{
    return strcmp(fields->sqlstate, "0A000") == 0 &&
           strcmp(fields->routine, "RevalidateCachedQuery") == 0;
}

static bool begin(struct server *server, struct client *client, const struct op *op,
                  const struct error_fields *fields)
{
    bool synced;
    if (!op->kept || !is_of_plan(fields))
        return false;
    if (op->kind == OP_QUERY)
        return begin_query(server, client);
    if (op->number == 0)
        return false;
    if (server->kept.len == 0 || server->status != 'I' ||
        client->rerun != RERUN_NONE || client->stream_left > 0 || !is_alone(server, &synced) ||
        would_mislead(client, buf_slice(&server->kept)))
        return false;
    prepared_spoil(&server->prepared, op->number);
    server->unnamed = 0;
    owed_undo_skipped(server, client);
    server->skipping = false;
    if (synced)
        ops_head(&server->ops)->origin = OP_INJECTED;
    client->clears = client->clearing = client->open_batch = client->batch_runs = false;
    client->rerun = synced ? RERUN_DUE : RERUN_DUE_WITH_SYNC;
    say_again(server, client);
    return true;
}

bool rerun_instead(struct server *server, struct client *client, const struct op *op,
                   struct slice error)
{
    const bool of_name = op->says == SAYS_EXECUTE;
    if (!of_name && ((op->kind != OP_BIND && op->kind != OP_DESCRIBE) || op->number == 0))
        return false;
    struct error_fields fields;
    error_fields_read(slice_skip(error, MESSAGE_HEADER_BYTES), &fields);
    if (client != NULL && begin(server, client, op, &fields))
        return true;
    if (strcmp(fields.sqlstate, "0A000") != 0 && strcmp(fields.sqlstate, "26000") != 0)
        return false;
    if (of_name)
        statement_names_set(&server->named, slice_of(op->name, op->name_bytes), NULL);
    else
        prepared_spoil(&server->prepared, op->number);
    return false;
}

void rerun_go(struct server *server, struct client *client)
{
    static const uint8_t sync[] = {'S', 0, 0, 0, 4};
    struct worker *worker = client->worker;
    bool without_sync = client->rerun == RERUN_DUE_WITH_SYNC;
    client->rerun = RERUN_DONE;
    route_count(client->route, worker, reruns, 1);
    if (without_sync) {
        ops_push(&server->ops, OP_SYNC, OP_INJECTED, PURPOSE_NONE);
        sender_begin(&worker->to_server, &server->conn);
        sender_copy(&worker->to_server, slice_of(sync, sizeof(sync)));
        if (!sender_end(&worker->to_server)) {
            server_close(server, "server conn crashed?");
            return;
        }
    }
    client_resume(client);
}
