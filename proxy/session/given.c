// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/given.h"

#include "base/check.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/route.h"
#include "proxy/session/deferred.h"
#include "proxy/session/sequences.h"
#include "proxy/session/session.h"
#include "proxy/sql/prepared_text.h"
#include "proxy/worker.h"

// The statement and the portal that a PREPARE is run by in the middle of a batch.
#define CARRIER STATEMENT_PREFIX "GIVE"

// ---- what a text says ----

static bool has_prefix(struct slice name)
{
    return name.len >= sizeof(STATEMENT_PREFIX) - 1 &&
           memcmp(name.at, STATEMENT_PREFIX, sizeof(STATEMENT_PREFIX) - 1) == 0;
}

enum given_says given_says(struct client *client, const struct analysis *analysis,
                           struct slice text)
{
    if (analysis == NULL || !(analysis->effects & EFFECT_PREPARE) || analysis->prepared.len == 0 ||
        has_prefix(analysis->prepared) || !session_shares_names(client))
        return SAYS_NOTHING;
    switch ((int)analysis->kind) {
    case STATEMENT_PREPARE:
        if (text.len > GIVEN_TEXT_MAX_BYTES || client->names.table.count >= GIVEN_NAMES_MAX ||
            prepared_text_query(text).len == 0)
            return SAYS_NOTHING;
        return SAYS_PREPARE;
    case STATEMENT_EXECUTE:
    case STATEMENT_EXPLAIN: // of an EXECUTE, as in the next one
    case STATEMENT_DDL:
        return SAYS_EXECUTE;
    case STATEMENT_DEALLOCATE:
        return SAYS_DEALLOCATE;
    }
    return SAYS_NOTHING;
}

// ---- messages of ours ----

static struct op *inject(struct client *client, enum op_kind kind, enum op_purpose purpose)
{
    return ops_push(&client->server->ops, kind, OP_INJECTED, purpose);
}

// PostgreSQL takes a Close in any state of the transaction, and of a name that there is not.
static struct op *inject_close(struct client *client, char kind, const char *name)
{
    struct op *op = inject(client, OP_CLOSE, PURPOSE_NONE);
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, 'C');
    buf_u8(out, (uint8_t)kind);
    buf_cstr(out, name);
    buf_message_end(out, mark);
    session_send_composed(client);
    return op;
}

static struct op *inject_parse(struct client *client, const char *name, struct slice text,
                               struct slice types)
{
    struct op *op = inject(client, OP_PARSE, PURPOSE_PREPARE);
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, 'P');
    buf_cstr(out, name);
    buf_put(out, text);
    buf_u8(out, 0);
    if (types.len > 0)
        buf_put(out, types);
    else
        buf_u16(out, 0);
    buf_message_end(out, mark);
    session_send_composed(client);
    return op;
}

static void inject_sync(struct client *client)
{
    inject(client, OP_SYNC, PURPOSE_NONE);
    struct buf *out = session_compose(client);
    buf_message_end(out, buf_message_begin(out, 'S'));
    session_send_composed(client);
}

static void inject_drop(struct client *client)
{
    inject_close(client, 'P', CARRIER);
    inject_close(client, 'S', CARRIER);
}

// Runs the PREPARE within a batch, where a query would end the transaction.
static struct op *inject_run(struct client *client, struct slice text)
{
    inject_drop(client); // of the last time, if that failed
    inject_parse(client, CARRIER, text, slice_of("", 0));
    inject(client, OP_BIND, PURPOSE_PREPARE);
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, 'B');
    buf_cstr(out, CARRIER);
    buf_cstr(out, CARRIER);
    buf_bytes(out, "\0\0\0\0\0\0", 6); // no formats, no values, no result formats
    buf_message_end(out, mark);
    session_send_composed(client);
    struct op *op = inject(client, OP_EXECUTE, PURPOSE_PREPARE);
    mark = buf_message_begin(session_compose(client), 'E');
    buf_cstr(out, CARRIER);
    buf_u32(out, 0);
    buf_message_end(out, mark);
    session_send_composed(client);
    return op;
}

static struct op *inject_query(struct client *client, struct slice text)
{
    struct op *op = inject(client, OP_QUERY, PURPOSE_PREPARE);
    struct buf *out = session_compose(client);
    size_t mark = buf_message_begin(out, 'Q');
    buf_put(out, text);
    buf_u8(out, 0);
    buf_message_end(out, mark);
    session_send_composed(client);
    client->server->unnamed = 0; // a simple query ends the unnamed statement
    return op;
}

// ---- one name ----

// In a failed transaction no text is run, whatever its names mean.
static bool is_failed(const struct server *server)
{
    return server->status == 'E' && ops_empty(&server->ops);
}

static void name_op(struct op *op, struct slice name)
{
    op->name = mem_strndup((const char *)name.at, name.len);
    op->name_bytes = (uint32_t)name.len;
}

static bool is_placeholder(const struct statement *s)
{
    return statement_is_sql(s) && s->text_bytes == 1;
}

// The name means nothing on the server: gives it its meaning.
static void give(struct client *client, struct slice name, struct statement *meaning, bool simple)
{
    struct server *server = client->server;
    char *cstr = mem_strndup((const char *)name.at, name.len);
    struct slice text = statement_text(meaning);
    struct op *op;
    bool runs = statement_is_sql(meaning) && !is_placeholder(meaning);
    if (runs) {
        op = simple ? inject_query(client, text) : inject_run(client, text);
    } else {
        struct slice types = slice_skip(statement_tail(meaning), meaning->text_bytes);
        op = inject_parse(client, cstr, text, types);
    }
    op->gives = true;
    name_op(op, name);
    if (!runs && simple)
        inject_sync(client); // an error would have the query ignored
    if (runs && !simple)
        inject_drop(client);
    mem_free(cstr);
    statement_names_set(&server->named, name, meaning);
    route_count(client->route, client->worker, injected_parses, 1);
}

// In a batch that fails before it comes to that, the server keeps it.
static void forget_each(const char *name, struct statement *before, void *arg)
{
    struct op *op = inject_close(arg, 'S', name);
    op->takes = true;
    op->before = before != NULL ? statement_ref(before) : NULL;
    name_op(op, slice_str(name));
}

static void forget(struct client *client, struct slice name)
{
    struct statement_names *given = &client->server->named;
    char *cstr = mem_strndup((const char *)name.at, name.len);
    forget_each(cstr, statement_names_find(given, name), client);
    mem_free(cstr);
    statement_names_set(given, name, NULL);
}

// The name means nothing that is not wanted. Is something to be prepared for it?
static bool clear(struct client *client, struct slice name, struct statement *meaning)
{
    struct statement *has = statement_names_find(&client->server->named, name);
    if (has == meaning)
        return false;
    if (has != NULL || meaning != NULL)
        forget(client, name);
    return meaning != NULL;
}

void given_ensure(struct client *client, struct slice name, struct statement *meaning, bool simple)
{
    struct server *server = client->server;
    if (!clear(client, name, meaning))
        return;
    int limit = config_settings(client->worker->config)->max_prepared_statements;
    if (server->named.table.count >= (size_t)limit) {
        statement_names_each(&server->named, forget_each, client);
        statement_names_clear(&server->named);
    }
    give(client, name, meaning, simple);
}

void given_ensure_taken(struct client *client, struct slice name)
{
    struct worker *worker = client->worker;
    if (statement_names_find(&client->server->named, name) != NULL)
        return;
    struct statement *nothing = statement_get(worker->pooler->statements, worker->texts, 0,
                                              slice_of("", 1), 1);
    give(client, name, nothing, false);
    statement_unref(&nothing);
}

// ---- all names ----

struct differences {
    struct client *client;
    bool all;       // the protocol's names as well
    struct buf out; // owns; the names, a NUL behind each
};

static void find_foreign(const char *name, struct statement *s, void *arg)
{
    struct differences *d = arg;
    if (statement_names_find(&d->client->names, slice_str(name)) != s)
        buf_cstr(&d->out, name);
}

static void find_missing(const char *name, struct statement *s, void *arg)
{
    struct differences *d = arg;
    bool counts = d->all || statement_is_sql(s);
    if (counts && statement_names_find(&d->client->server->named, slice_str(name)) != s)
        buf_cstr(&d->out, name);
}

static void ensure_all(struct client *client, bool protocol_too, bool simple)
{
    struct differences d = {.client = client, .all = protocol_too};
    statement_names_each(&client->server->named, find_foreign, &d);
    for (size_t at = 0; at < d.out.len; at += strlen((char *)d.out.at + at) + 1)
        forget(client, slice_str((char *)d.out.at + at));
    buf_clear(&d.out);
    statement_names_each(&client->names, find_missing, &d);
    for (size_t at = 0; at < d.out.len; at += strlen((char *)d.out.at + at) + 1) {
        struct slice name = slice_str((char *)d.out.at + at);
        struct statement *meaning = session_meaning(client, name);
        if (clear(client, name, meaning)) // however many: they are wanted at once
            give(client, name, meaning, simple);
        struct ops *ops = &client->server->ops;
        for (uint32_t i = ops->count; simple && i-- > 0 && ops_nth(ops, i)->origin == OP_INJECTED;)
            ops_nth(ops, i)->quiet = true;
    }
    buf_fini(&d.out);
}

// ---- before a text is sent ----

// Is anything under way that may change names? name: this one; empty: any.
static bool is_open(const struct ops *ops, struct slice name)
{
    for (uint32_t i = 0; i < ops->count; i++) {
        const struct op *op = ops_nth(ops, i);
        if (op->name != NULL &&
            (name.len == 0 || slice_eq(slice_of(op->name, op->name_bytes), name)))
            return true;
    }
    return false;
}

bool given_ready(struct client *client, const struct analysis *analysis, struct slice text,
                 bool simple)
{
    struct server *server = client->server;
    const uint32_t naming = EFFECT_PREPARE | EFFECT_EXECUTE | EFFECT_NAMES;
    bool names_any = analysis != NULL && (analysis->effects & naming) != 0;
    if (!session_shares_names(client) || (!names_any && server->named.table.count == 0 &&
                                          client->names.in_sql == 0 && ops_empty(&server->ops)))
        return true;
    // What is injected with a Sync must not be the end of a BEGIN that fails.
    if (deferred_is_under_way(server)) {
        deferred_wait(client);
        return false;
    }
    enum given_says says = given_says(client, analysis, text);
    struct slice name = says != SAYS_NOTHING ? analysis->prepared : slice_of("", 0);
    if (is_open(&server->ops, name)) {
        session_settle(client);
        return false;
    }
    client->settling = false;
    if (is_failed(server))
        return true;
    struct statement *meaning = name.len > 0 ? session_meaning(client, name) : NULL;
    switch (says) {
    case SAYS_NOTHING:
        // In a batch PostgreSQL refuses a text of several statements.
        if (simple || analysis == NULL || analysis->kind != STATEMENT_MULTI)
            ensure_all(client, names_any, simple);
        break;
    case SAYS_EXECUTE:
        given_ensure(client, name, meaning, simple);
        break;
    case SAYS_PREPARE:
    case SAYS_DEALLOCATE:
        if (meaning != NULL)
            given_ensure_taken(client, name);
        else
            given_ensure(client, name, NULL, simple);
        break;
    }
    return true;
}

// ---- when it is sent, and answered ----

void given_note(struct client *client, enum given_says says, const struct analysis *analysis)
{
    transaction_note(client, NULL);
    if (says != SAYS_EXECUTE)
        return;
    struct statement *meaning = statement_names_find(&client->names, analysis->prepared);
    if (meaning == NULL) {
        // Nobody knows it: an error, unless unseen code has prepared it.
        if (client->pins & (1u << PIN_PREPARE | 1u << PIN_FUNCTION))
            effects_note(client, analysis, NULL);
        return;
    }
    bool plain = vars_text_is_plain(client->vars, statement_text(meaning));
    effects_note(client, plain ? meaning->analysis : NULL, NULL); // also where its plan is shown
    effects_note_arguments(client, analysis);
    if (plain)
        sequences_ask(client, meaning->analysis, true);
    effects_mention(client, NULL, statement_text(meaning));
}

void given_mark(struct client *client, struct op *op, enum given_says says,
                const struct analysis *analysis, struct slice text)
{
    op->says = (uint8_t)says;
    name_op(op, analysis->prepared);
    if (says == SAYS_PREPARE)
        op->after = statement_get(client->worker->pooler->statements, client->worker->texts,
                                  session_scope(client), text, text.len);
}

void given_said(struct server *server, struct client *client, const struct op *op)
{
    struct slice name = slice_of(op->name, op->name_bytes);
    if (op->says == SAYS_EXECUTE)
        return;
    struct statement *meaning = op->says == SAYS_PREPARE ? op->after : NULL;
    statement_names_set(&server->named, name, meaning);
    if (client == NULL)
        return;
    statement_names_set(&client->names, name, meaning);
    // What could not be followed may be gone with it.
    client->must_verify |= meaning == NULL && (client->pins & 1u << PIN_PREPARE);
}

void given_undo(struct server *server, const struct op *op)
{
    if (op->gives || op->takes)
        statement_names_set(&server->named, slice_of(op->name, op->name_bytes), op->before);
}
