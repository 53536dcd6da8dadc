// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/parts.h"

#include "base/mem.h"
#include "proxy/session/gucs.h"
#include "proxy/session/remains.h"
#include "proxy/session/session.h"
#include "proxy/session/statement.h"
#include "proxy/session/vars.h"

enum { NO_TEXT = UINT32_MAX };

void put_bytes(struct buf *out, struct slice bytes)
{
    buf_u32(out, (uint32_t)bytes.len);
    buf_put(out, bytes);
}

struct slice take_bytes(struct reader *r)
{
    return reader_bytes(r, reader_u32(r));
}

void put_text(struct buf *out, const char *text)
{
    if (text == NULL)
        buf_u32(out, NO_TEXT);
    else
        put_bytes(out, slice_str(text));
}

char *take_text(struct reader *r)
{
    uint32_t len = reader_u32(r);
    if (len == NO_TEXT)
        return NULL;
    struct slice bytes = reader_bytes(r, len);
    return reader_ok(r) ? mem_strndup((const char *)bytes.at, bytes.len) : NULL;
}

void put_vars(struct buf *out, const struct vars *vars)
{
    for (int i = 0; i < VAR_COUNT; i++)
        put_text(out, vars->value[i]);
}

void take_vars(struct reader *r, struct vars **vars)
{
    for (int i = 0; i < VAR_COUNT; i++) {
        char *value = take_text(r);
        if (value != NULL)
            vars_set(vars, i, value);
        mem_free(value);
    }
}

void put_gucs(struct buf *out, const struct gucs *gucs)
{
    buf_u32(out, gucs != NULL ? gucs->count : 0);
    for (uint32_t i = 0; gucs != NULL && i < gucs->count; i++) {
        buf_cstr(out, gucs->at[i].name);
        buf_cstr(out, gucs->at[i].value);
        buf_cstr(out, gucs->at[i].encoding);
    }
}

struct gucs *take_gucs(struct reader *r)
{
    struct gucs_draft draft = {.count = 0};
    uint32_t count = reader_u32(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        struct slice name = reader_cstr(r);
        struct slice value = reader_cstr(r);
        struct slice encoding = reader_cstr(r);
        draft.encoding = encoding.len > 0 ? (const char *)encoding.at : NULL;
        if (reader_ok(r))
            gucs_draft_add(&draft, name, value);
    }
    return gucs_new(&draft);
}

void put_mentioned(struct buf *out, const struct mentioned *mentioned)
{
    buf_u8(out, mentioned != NULL && mentioned->too_many);
    put_bytes(out, mentioned != NULL ? buf_slice(&mentioned->names) : slice_of(NULL, 0));
}

void take_mentioned(struct reader *r, struct mentioned *mentioned)
{
    bool too_many = take_bool(r);
    struct slice names = take_bytes(r);
    mentioned_note(mentioned, names); // each has a NUL behind it
    mentioned->too_many |= too_many;
}

// ---- statements ----

void put_statement(struct buf *out, const struct statement *statement, uint64_t scope)
{
    buf_u32(out, statement != NULL ? statement->text_bytes : 0);
    if (statement == NULL)
        return;
    buf_u8(out, statement->scope == scope);
    put_bytes(out, statement_tail(statement));
}

struct statement *take_statement(struct reader *r, struct client *client)
{
    uint32_t text_bytes = reader_u32(r);
    if (text_bytes == 0)
        return NULL;
    uint64_t scope = session_scope(client);
    if (!take_bool(r))
        scope = ~scope; // no other client's, and not what it will have
    struct slice tail = take_bytes(r);
    r->failed |= text_bytes > tail.len || tail.at[text_bytes - 1] != '\0';
    if (!reader_ok(r))
        return NULL;
    return statement_get(client->worker->pooler->statements, client->worker->texts,
                         scope, tail, text_bytes);
}

void put_layout(struct buf *out, const struct layout *layout)
{
    buf_u64(out, layout->rows);
    buf_u64(out, layout->types);
}

struct layout take_layout(struct reader *r)
{
    struct layout layout = {.rows = reader_u64(r)};
    layout.types = reader_u64(r);
    return layout;
}

struct putting {
    struct buf *out;
    const struct statement_names *names;
    uint64_t scope;
};

static void put_name(const char *name, struct statement *statement, void *arg)
{
    struct putting *p = arg;
    put_text(p->out, name);
    put_statement(p->out, statement, p->scope);
    put_layout(p->out, &statement_names_get(p->names, slice_str(name))->told);
}

void put_names(struct buf *out, const struct statement_names *names, uint64_t scope)
{
    buf_u32(out, names->table.count);
    statement_names_each(names, put_name, &(struct putting){out, names, scope});
}

void take_names(struct reader *r, struct client *client, struct statement_names *names)
{
    uint32_t count = reader_u32(r);
    for (uint32_t i = 0; i < count && reader_ok(r); i++) {
        struct slice name = take_bytes(r);
        struct statement *statement = take_statement(r, client);
        struct layout told = take_layout(r);
        if (reader_ok(r) && statement != NULL) {
            statement_names_set(names, name, statement);
            statement_names_get(names, name)->told = told;
        }
        statement_unref(&statement);
    }
}
