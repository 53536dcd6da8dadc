// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/sharing.h"

#include "config/config.h"
#include "proxy/route.h"
#include "proxy/session/given.h"
#include "proxy/session/session.h"
#include "proxy/worker.h"

// From here on the server is at work for the client.
static struct op *inject(struct client *client, enum op_kind kind, enum op_purpose purpose)
{
    struct ops *ops = &client->server->ops;
    if (ops_empty(ops))
        client->query_us = client->worker->now_us;
    return ops_push(ops, kind, OP_INJECTED, purpose);
}

void sharing_parse(struct client *client, const char *name, const struct statement *statement)
{
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, 'P');
    buf_cstr(out, name);
    buf_put(out, statement_tail(statement));
    buf_message_end(out, mark);
    session_send_composed(client);
}

void sharing_ask(struct client *client, char type, const char *name)
{
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, type);
    buf_u8(out, 'S');
    buf_cstr(out, name);
    buf_message_end(out, mark);
    session_send_composed(client);
}

// The server loses it.
void sharing_forget(struct client *client, struct statement *statement)
{
    struct server *server = client->server;
    struct op *op = inject(client, OP_CLOSE, PURPOSE_EVICT);
    op->after = statement_ref(statement);
    sharing_ask(client, 'C', statement->name);
    prepared_remove(&server->prepared, statement);
}

// Makes room for one more statement on the server.
void sharing_make_room(struct client *client)
{
    struct prepared *prepared = &client->server->prepared;
    int limit = config_settings(client->worker->config)->max_prepared_statements;
    while (prepared->table.count >= (size_t)limit)
        sharing_forget(client, prepared_oldest(prepared));
}

// The server has it under its shared name from here on.
static void ensure_prepared(struct client *client, struct statement *statement)
{
    struct server *server = client->server;
    if (prepared_has(&server->prepared, statement)) {
        if (!prepared_is_spoilt(&server->prepared, statement))
            return;
        sharing_forget(client, statement);
    }
    sharing_make_room(client);
    struct op *op = inject(client, OP_PARSE, PURPOSE_PREPARE);
    op->after = statement_ref(statement);
    sharing_parse(client, statement->name, statement);
    prepared_add(&server->prepared, statement, client->reads_oddly);
    route_count(client->route, client->worker, injected_parses, 1);
}

// The server's unnamed statement is the client's from here on.
static void ensure_unnamed(struct client *client)
{
    struct server *server = client->server;
    if (client->unnamed == NULL) {
        // It has none: let the server have none, and say so itself.
        inject(client, OP_CLOSE, PURPOSE_NONE)->unnamed = true;
        sharing_ask(client, 'C', "");
        server->unnamed = 0;
    } else if (server->unnamed != client->unnamed->number) {
        struct op *op = inject(client, OP_PARSE, PURPOSE_PREPARE);
        op->after = statement_ref(client->unnamed);
        op->unnamed = true;
        sharing_parse(client, "", client->unnamed);
        server->unnamed = client->unnamed->number;
        server->unnamed_layout = (struct layout){0};
        server->prepared.odd |= client->reads_oddly;
        route_count(client->route, client->worker, injected_parses, 1);
    }
}

// Constants are read when a statement is prepared, by the settings of that moment: clients with
// different settings must not share it. One who changed his since has it prepared anew; what he was
// told of it stays.
static struct meaning *in_scope(struct client *client, struct slice name, struct meaning *meaning)
{
    const struct statement *its = meaning->statement;
    uint64_t scope = session_scope(client);
    if (its->scope == scope)
        return meaning;
    struct statement *other =
        statement_get(client->worker->pooler->statements, client->worker->texts, scope,
                      statement_tail(its), its->text_bytes);
    struct layout told = meaning->told;
    statement_names_set(&client->names, name, other);
    statement_unref(&other);
    meaning = statement_names_get(&client->names, name);
    meaning->told = told;
    return meaning;
}

struct statement *session_meaning(struct client *client, struct slice name)
{
    struct layout *told;
    return session_meaning_told(client, name, &told);
}

struct statement *session_meaning_told(struct client *client, struct slice name,
                                       struct layout **told)
{
    *told = &client->unnamed_told;
    if (name.len == 0)
        return client->unnamed;
    struct meaning *meaning = statement_names_get(&client->names, name);
    if (meaning == NULL)
        return NULL;
    if (session_shares_names(client))
        meaning = in_scope(client, name, meaning);
    *told = &meaning->told;
    return meaning->statement;
}

// How the server knows the statement that the client means, after making sure that it does.
// An unknown name goes through, so that the error is the server's own; except that it must not be
// one of the shared names, which belong to everybody.
const char *sharing_name(struct client *client, struct slice name, struct statement *meaning)
{
    if (name.len == 0) {
        ensure_unnamed(client);
        return "";
    }
    if (!session_shares_names(client))
        return (const char *)name.at;
    if (meaning != NULL && statement_is_sql(meaning)) {
        given_ensure(client, name, meaning, false);
        return (const char *)name.at;
    }
    if (meaning != NULL) {
        ensure_prepared(client, meaning);
        return meaning->name;
    }
    if (name.len >= sizeof(STATEMENT_PREFIX) - 1 &&
        memcmp(name.at, STATEMENT_PREFIX, sizeof(STATEMENT_PREFIX) - 1) == 0)
        return STATEMENT_PREFIX "?";
    given_ensure(client, name, NULL, false); // if it is another client's
    return (const char *)name.at;
}

// What a statement means is asked of the tables as they are now, not as they were when some other
// client had it prepared here: it is prepared anew first, unless that is on its way.
void sharing_outdate(struct client *client, struct slice name)
{
    struct server *server = client->server;
    const struct statement *meaning =
        name.len > 0 ? statement_names_find(&client->names, name) : client->unnamed;
    bool may = server->status == 'I' || (server->status == 'T' && ops_empty(&server->ops));
    if (meaning == NULL || !may || !session_shares_names(client))
        return;
    for (uint32_t i = 0; i < server->ops.count; i++) {
        const struct op *op = ops_nth(&server->ops, i);
        if (op->kind == OP_PARSE && op->after == meaning)
            return;
    }
    if (name.len > 0)
        prepared_outdate(&server->prepared, meaning->number);
    else if (!ops_unnamed_changes(&server->ops))
        server->unnamed = 0;
}
