// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/owed.h"

#include "proxy/session/client.h"
#include "proxy/session/given.h"
#include "proxy/session/statement.h"

bool owed_is_extended(enum op_kind kind)
{
    return kind == OP_PARSE || kind == OP_BIND || kind == OP_DESCRIBE || kind == OP_EXECUTE ||
           kind == OP_CLOSE;
}

static const uint8_t parse_complete[] = {'1', 0, 0, 0, 4};
static const uint8_t close_complete[] = {'3', 0, 0, 0, 4};

void server_answer_local(struct server *server, struct sender *to_client)
{
    struct op *op;
    while ((op = ops_head(&server->ops)) != NULL && op->origin == OP_LOCAL) {
        if (op->kind == OP_PARSE)
            sender_copy(to_client, slice_of(parse_complete, sizeof(parse_complete)));
        else if (op->kind == OP_CLOSE)
            sender_copy(to_client, slice_of(close_complete, sizeof(close_complete)));
        ops_pop(&server->ops);
    }
}

// What was sent behind the Sync has given the unnamed statement a newer meaning; NULL: nothing has.
static struct op *newer_unnaming(const struct server *server, uint32_t skipped)
{
    for (uint32_t i = skipped; i < server->ops.count; i++)
        if (ops_nth(&server->ops, i)->unnames)
            return ops_nth(&server->ops, i);
    return NULL;
}

// Behind the Sync it was prepared, or given up, again: what is noted of it now is that one's doing.
static bool is_redone(const struct server *server, const struct op *op, uint32_t skipped)
{
    for (uint32_t i = skipped; i < server->ops.count; i++) {
        const struct op *later = ops_nth(&server->ops, i);
        if (later->after == op->after && later->origin != OP_LOCAL && !later->unnamed &&
            (later->kind == OP_PARSE || later->purpose == PURPOSE_EVICT))
            return true;
    }
    return false;
}

// failed: this one met the error, the others were skipped. Newest first.
static void undo(struct server *server, struct client *client, struct op *op, struct op *newer,
                 uint32_t skipped, bool failed)
{
    const bool redone = op->after != NULL && is_redone(server, op, skipped);
    if (op->origin != OP_LOCAL && op->kind == OP_PARSE) {
        if (op->after != NULL && !op->unnamed && !redone)
            prepared_remove(&server->prepared, op->after);
        server->unnamed = 0;
    }
    given_undo(server, op);
    if (op->purpose == PURPOSE_EVICT && !redone)
        prepared_add(&server->prepared, op->after, server->prepared.odd);
    if (client == NULL)
        return;
    if (op->renames) {
        struct slice name = slice_of(op->name, op->name_bytes);
        statement_names_set(&client->names, name, op->before);
        if (op->before != NULL)
            statement_names_get(&client->names, name)->told = op->told;
    }
    if (op->unnames) {
        // A Parse that failed had dropped the old unnamed statement already.
        struct statement **meaning = newer != NULL ? &newer->before : &client->unnamed;
        statement_unref(meaning);
        *meaning = op->before && !failed ? statement_ref(op->before) : NULL;
        *(newer != NULL ? &newer->told : &client->unnamed_told) = op->told;
    }
}

// PostgreSQL skips everything after an error up to the next Sync: names mean what they meant.
void owed_undo_skipped(struct server *server, struct client *client)
{
    uint32_t skipped = 0;
    while (skipped < server->ops.count && ops_nth(&server->ops, skipped)->kind != OP_SYNC)
        skipped++;
    server->skipping = skipped == server->ops.count;
    struct op *newer = newer_unnaming(server, skipped);
    for (uint32_t i = skipped; i-- > 0;)
        undo(server, client, ops_nth(&server->ops, i), newer, skipped, i == 0);
    while (skipped-- > 0)
        ops_pop(&server->ops);
}

void owed_names_dropped(struct server *server, struct client *client)
{
    prepared_clear(&server->prepared);
    for (uint32_t i = 1; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        if (op->kind == OP_PARSE && op->origin != OP_LOCAL && !op->unnamed && op->after != NULL)
            prepared_add(&server->prepared, op->after, server->prepared.odd);
    }
    if (client == NULL)
        return;
    struct statement_names kept = {.in_sql = 0};
    for (uint32_t i = 1; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        struct slice name = slice_of(op->name, op->name_bytes);
        const struct meaning *meaning =
            op->renames ? statement_names_get(&client->names, name) : NULL;
        if (meaning == NULL)
            continue;
        statement_names_set(&kept, name, meaning->statement);
        statement_names_get(&kept, name)->told = meaning->told;
    }
    statement_names_clear(&client->names);
    client->names = kept;
}

// Is there a request before the end of the COPY that we have answered ourselves? PostgreSQL, which
// did not get it, would have ended the connection over it.
static bool answered_in_copy(const struct server *server)
{
    for (uint32_t i = 1; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        if (op->kind == OP_COPY_END)
            return false;
        if (op->origin == OP_LOCAL)
            return true;
    }
    return false;
}

bool owed_copy_begins(struct server *server, bool *swallowed)
{
    struct op *op = ops_head(&server->ops);
    if (op == NULL || (op->kind != OP_EXECUTE && op->kind != OP_QUERY))
        return true;
    if (answered_in_copy(server))
        return false;
    server->copies = op->kind == OP_QUERY;
    while (server->ops.count > 1 && ops_nth(&server->ops, 1)->kind == OP_SYNC) {
        ops_remove(&server->ops, 1);
        server->early_syncs++;
    }
    bool ended = server->ops.count > 1 && ops_nth(&server->ops, 1)->kind == OP_COPY_END;
    server->copying_in = !ended;
    if (server->ops.count > 1 && !ended)
        server->doomed = "requests were sent into a COPY";
    *swallowed = !server->copies && server->early_syncs > 0 && server->ops.count == 1;
    return true;
}

void owed_copy_ended(struct server *server)
{
    // The next COPY of the same query has an end of its own.
    if (server->copies && server->ops.count > 1 && ops_nth(&server->ops, 1)->kind == OP_COPY_END)
        ops_remove(&server->ops, 1);
    server->copies = false;
    server->copying_in = false;
    server->early_syncs = 0;
}
