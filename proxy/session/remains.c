// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/remains.h"

#include "base/mem.h"
#include "base/reader.h"
#include "proxy/session/vars.h"
#include "proxy/sql/quote.h"

enum { NAMES_MAX = 128, NAME_MAX_BYTES = 128 };

// A name and a value in each row. Names with a star are none of settings. Operators are spelled
// out: the session's search path must not choose them. Its time limit must not end the question: it
// is taken off first, and told by what it was (SHOW needs no catalog: it ends even within a
// millisecond).
static const char settings[] =
    "SHOW statement_timeout;"
    "SET LOCAL statement_timeout TO DEFAULT;"
    "SELECT name, setting FROM pg_catalog.pg_settings"
    " WHERE source OPERATOR(pg_catalog.=) 'session' AND pg_catalog.lower(name)"
    " OPERATOR(pg_catalog.<>) ALL ('{transaction_isolation,transaction_read_only,"
    "transaction_deferrable,statement_timeout}'::pg_catalog.text[])"
    " UNION ALL SELECT '*default', pg_catalog.current_setting('statement_timeout')";

// What is in a schema depends on it: tables, functions, types.
static const char kinds[] =
    " UNION ALL SELECT 'role', pg_catalog.current_setting('role')"
    " WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none'"
    " UNION ALL SELECT '*temp', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_depend"
    " WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass"
    " AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())"
    " UNION ALL SELECT '*cursor', '' WHERE EXISTS"
    " (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"
    " UNION ALL SELECT '*listen', '' WHERE EXISTS"
    " (SELECT FROM pg_catalog.pg_listening_channels())"
    " UNION ALL SELECT '*advisory', '' WHERE EXISTS (SELECT FROM pg_catalog.pg_locks"
    " WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
    " AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())";

// ---- names ----

void mentioned_free(struct mentioned **m)
{
    if (*m != NULL)
        mentioned_fini(*m);
    mem_free(*m);
    *m = NULL;
}

void mentioned_fini(struct mentioned *m)
{
    buf_fini(&m->names);
    m->count = 0;
    m->too_many = false;
}

static bool begins_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool goes_on(uint8_t c)
{
    return begins_name(c) || (c >= '0' && c <= '9') || c == '$';
}

// The end of "a.b" that begins at `from`; from itself when it is none.
static size_t dotted_end(struct slice bytes, size_t from)
{
    size_t at = from;
    bool dotted = false;
    for (;;) {
        if (at >= bytes.len || !begins_name(bytes.at[at]))
            return from;
        while (at < bytes.len && goes_on(bytes.at[at]))
            at++;
        if (at >= bytes.len || bytes.at[at] != '.')
            break;
        dotted = true;
        at++;
    }
    return dotted ? at : from;
}

bool mentioned_has(const struct mentioned *m, struct slice name)
{
    struct slice rest = buf_slice(&m->names);
    while (rest.len > 0) {
        size_t n = strlen((const char *)rest.at);
        if (slice_eq(slice_of(rest.at, n), name))
            return true;
        rest = slice_skip(rest, n + 1);
    }
    return false;
}

static void note_name(struct mentioned *m, struct slice name)
{
    if (mentioned_has(m, name))
        return;
    if (m->count == NAMES_MAX || name.len > NAME_MAX_BYTES) {
        m->too_many = true;
        return;
    }
    buf_put(&m->names, name);
    buf_u8(&m->names, 0);
    m->count++;
}

void mentioned_note(struct mentioned *m, struct slice bytes)
{
    size_t i = 0;
    while (i < bytes.len) {
        size_t end = dotted_end(bytes, i);
        if (end > i) {
            note_name(m, slice_of(bytes.at + i, end - i));
            i = end;
        } else if (goes_on(bytes.at[i])) {
            while (i < bytes.len && goes_on(bytes.at[i]))
                i++;
        } else {
            i++;
        }
    }
}

// ---- the question ----

// RESET leaves an empty value where another client once had the setting: of a name that this client
// never said that is no setting of its own (and nothing that an extension loaded elsewhere takes).
static void put_custom(struct buf *sql, const char *name, const char *encoding, bool own)
{
    buf_printf(sql, " UNION ALL SELECT ");
    quote_encoded(sql, name, encoding);
    buf_printf(sql, ", v FROM pg_catalog.current_setting(");
    quote_encoded(sql, name, encoding);
    buf_printf(sql, ", true) v WHERE v %s", own ? "IS NOT NULL" : "OPERATOR(pg_catalog.<>) ''");
}

// own: what the client has said itself; NULL: all of these.
static void put_mentioned(struct buf *sql, const struct mentioned *m, const struct mentioned *own)
{
    struct slice rest = m != NULL ? buf_slice(&m->names) : slice_of(NULL, 0);
    while (rest.len > 0) {
        struct slice name = slice_str((const char *)rest.at);
        if (own == NULL || !mentioned_has(own, name))
            put_custom(sql, (const char *)rest.at, "", own == NULL);
        rest = slice_skip(rest, name.len + 1);
    }
}

// Statements with a text of their own; the others were made through the protocol.
static bool is_from_sql(const struct statement *s)
{
    return statement_is_sql(s) && s->text_bytes > 1;
}

// Its bytes may be another client's, in another encoding than the question's.
static bool is_comparable(const struct statement *s)
{
    for (uint32_t i = 0; i < s->text_bytes; i++)
        if (s->tail[i] >= 0x80)
            return false;
    return true;
}

static void find_incomparable(const char *name, struct statement *s, void *arg)
{
    *(bool *)arg |= is_from_sql(s) && !is_comparable(s);
}

bool remains_knows_texts(const struct statement_names *named)
{
    bool incomparable = false;
    statement_names_each(named, find_incomparable, &incomparable);
    return !incomparable;
}

static void put_named(const char *name, struct statement *s, void *arg)
{
    struct buf *sql = arg;
    if (!is_from_sql(s))
        return;
    if (!is_comparable(s)) {
        buf_printf(sql, " AND name OPERATOR(pg_catalog.<>) ");
        quote_literal(sql, name);
        return;
    }
    buf_printf(sql, " AND NOT ROW(name, statement) OPERATOR(pg_catalog.=) ROW(");
    quote_literal(sql, name);
    buf_printf(sql, ", ");
    quote_literal(sql, (const char *)s->tail);
    buf_printf(sql, ")");
}

static void count_named(const char *name, struct statement *s, void *arg)
{
    *(int *)arg += is_from_sql(s);
}

static void put_prepared(struct buf *sql, const struct statement_names *named)
{
    int n = 0;
    if (named == NULL) {
        buf_printf(sql, " UNION ALL SELECT '*prepared', '' WHERE EXISTS"
                        " (SELECT FROM pg_catalog.pg_prepared_statements)");
        return;
    }
    statement_names_each(named, count_named, &n);
    buf_printf(sql, " UNION ALL SELECT '*prepared', '' WHERE EXISTS"
                    " (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql");
    statement_names_each(named, put_named, sql);
    buf_printf(sql, ")");
    if (n > 0)
        buf_printf(sql, " OR %d OPERATOR(pg_catalog.<>) (SELECT pg_catalog.count(*)"
                        " FROM pg_catalog.pg_prepared_statements WHERE from_sql)", n);
}

// None is a setting of its own where the user, or the database, has another role to begin with.
static void put_no_role(struct buf *sql, const char *user)
{
    buf_printf(sql, " UNION ALL SELECT 'role', 'none'"
                    " WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.=) 'none'"
                    " AND EXISTS (SELECT FROM pg_catalog.pg_db_role_setting,"
                    " pg_catalog.unnest(setconfig) s WHERE s OPERATOR(pg_catalog.~~) 'role=%%'"
                    " AND (setdatabase OPERATOR(pg_catalog.=) 0::pg_catalog.oid"
                    " OR setdatabase OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_database"
                    " WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()))"
                    " AND (setrole OPERATOR(pg_catalog.=) 0::pg_catalog.oid"
                    " OR setrole OPERATOR(pg_catalog.=) (SELECT oid FROM pg_catalog.pg_roles"
                    " WHERE rolname OPERATOR(pg_catalog.=) ");
    quote_literal(sql, user);
    buf_printf(sql, ")))");
}

void remains_question(struct buf *sql, const char *user, const struct mentioned *mentioned,
                      const struct mentioned *heard, const struct gucs *known,
                      const struct statement_names *named)
{
    buf_printf(sql, "%s", settings);
    for (uint32_t i = 0; known != NULL && i < known->count; i++)
        if (strchr(known->at[i].name, '.') != NULL)
            put_custom(sql, known->at[i].name, known->at[i].encoding, true);
    put_mentioned(sql, mentioned, NULL);
    if (heard != NULL)
        put_mentioned(sql, heard, mentioned);
    buf_printf(sql, "%s UNION ALL SELECT 'session_authorization', session_user::pg_catalog.text"
                    " WHERE session_user::pg_catalog.text OPERATOR(pg_catalog.<>) ", kinds);
    quote_literal(sql, user);
    put_no_role(sql, user);
    put_prepared(sql, named);
    buf_u8(sql, 0);
}

// ---- the answer ----

static bool column(struct reader *r, struct slice *value)
{
    uint32_t len = reader_u32(r);
    *value = len == UINT32_MAX ? slice_of(NULL, 0) : reader_bytes(r, len);
    return reader_ok(r);
}

static int var_of(struct slice name)
{
    char text[64];
    if (name.len >= sizeof(text))
        return -1;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    return var_find(text);
}

void remains_row(struct remains *r, struct slice row)
{
    static const struct {
        const char *name;
        uint32_t kind;
    } stars[] = {
        {"*temp", REMAINS_TEMP},     {"*cursor", REMAINS_CURSOR},
        {"*prepared", REMAINS_PREPARED}, {"*listen", REMAINS_LISTEN},
        {"*advisory", REMAINS_ADVISORY},
    };
    struct reader reader = reader_of(row);
    struct slice name = slice_of(NULL, 0), value;
    uint16_t columns = reader_u16(&reader);
    if (columns == 1 && column(&reader, &value) && reader_done(&reader)) {
        buf_put(&r->timeout, value);
        return;
    }
    if (columns != 2 || !column(&reader, &name) || !column(&reader, &value) ||
        !reader_done(&reader) || name.len == 0) {
        r->odd = true;
        return;
    }
    if (name.at[0] != '*') {
        int var = var_of(name);
        if (var >= 0) // of those the server reports the value
            r->own_vars |= 1u << var;
        else
            gucs_draft_add(&r->settings, name, value);
        return;
    }
    if (slice_is(name, "*default") && !slice_eq(buf_slice(&r->timeout), value))
        gucs_draft_add(&r->settings, slice_str("statement_timeout"), buf_slice(&r->timeout));
    for (size_t i = 0; i < sizeof(stars) / sizeof(*stars); i++)
        if (slice_is(name, stars[i].name))
            r->kinds |= stars[i].kind;
}

void remains_fini(struct remains *r)
{
    gucs_draft_fini(&r->settings);
    buf_fini(&r->timeout);
    *r = (struct remains){.kinds = 0};
}
