// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/gucs.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proxy/sql/quote.h"

// ---- what is known of names ----

static bool is_custom(const char *name)
{
    return strchr(name, '.') != NULL;
}

static bool is_identity(const char *name)
{
    return strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

// May a module that keeps such names to itself have been loaded meanwhile, by a function's first
// call, say? (Who calls MarkGUCPrefixReserved() in PostgreSQL's sources, but for those that are
// loaded with the server.) Then a name of this kind that the module does not know is refused.
static bool may_be_reserved(const char *name)
{
    static const char *const prefixes[] = {"plpgsql.", "plperl.",       "pltcl.",
                                           "pg_trgm.", "postgres_fdw.", "auto_explain."};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

// A value that one session of this user took, any other takes: no privilege is asked for, and
// nothing in the catalog can have changed since. ("Client Connection Defaults", "Query Planning"
// in PostgreSQL's manual; what is not listed here is waited for.)
static bool cannot_fail(const char *name)
{
    static const char *const names[] = {
        "search_path", "work_mem", "maintenance_work_mem", "extra_float_digits", "bytea_output",
        "row_security", "default_transaction_isolation", "default_transaction_read_only",
        "default_transaction_deferrable", "client_min_messages", "xmlbinary", "xmloption",
        "gin_fuzzy_search_limit", "array_nulls", "quote_all_identifiers", "transform_null_equals",
        "synchronous_commit", "statement_timeout", "lock_timeout", "idle_session_timeout",
        "idle_in_transaction_session_timeout", "transaction_timeout", "random_page_cost",
        "seq_page_cost", "jit", "plan_cache_mode", "constraint_exclusion",
        "from_collapse_limit", "join_collapse_limit", "check_function_bodies",
    };
    if (is_custom(name))
        return !may_be_reserved(name);
    if (strncmp(name, "enable_", 7) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

// Read while a statement runs, never while it is parsed or planned.
static bool is_for_running(const char *name)
{
    return is_custom(name) || ends_with(name, "_timeout") || strncmp(name, "log_", 4) == 0 ||
           strcmp(name, "synchronous_commit") == 0 || strcmp(name, "client_min_messages") == 0;
}

// ---- finding ----

const struct guc *gucs_get(const struct gucs *p, const char *name)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++)
        if (strcasecmp(p->at[i].name, name) == 0)
            return &p->at[i];
    return NULL;
}

void gucs_share(struct gucs_common *common, struct gucs **p)
{
    if (*p == NULL)
        return;
    struct gucs **known = &common->at[(*p)->hash % GUCS_COMMON];
    struct gucs *kept = gucs_ref(gucs_equal(*known, *p) ? *known : *p);
    gucs_unref(known);
    gucs_unref(p);
    *known = kept;
    *p = gucs_ref(kept);
}

void gucs_common_fini(struct gucs_common *common)
{
    for (int i = 0; i < GUCS_COMMON; i++)
        gucs_unref(&common->at[i]);
}

const char *gucs_find(const struct gucs *p, const char *name)
{
    const struct guc *found = gucs_get(p, name);
    return found ? found->value : NULL;
}

static bool is_same(const struct guc *a, const struct guc *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->value, b->value) == 0 &&
           strcmp(a->encoding, b->encoding) == 0;
}

static bool has_same(const struct gucs *p, const struct guc *one)
{
    const struct guc *found = gucs_get(p, one->name);
    return found != NULL && is_same(found, one);
}

// ---- making ----

void gucs_draft_fini(struct gucs_draft *draft)
{
    buf_fini(&draft->bytes);
    draft->count = 0;
}

void gucs_draft_add(struct gucs_draft *draft, struct slice name, struct slice value)
{
    bool plain = draft->encoding == NULL || (slice_is_ascii(name) && slice_is_ascii(value));
    uint8_t *at = buf_room(&draft->bytes, name.len + value.len + 3);
    for (size_t i = 0; i < name.len; i++)
        at[i] = (uint8_t)tolower(name.at[i]);
    draft->bytes.len += name.len;
    buf_u8(&draft->bytes, 0);
    buf_put(&draft->bytes, value);
    buf_u8(&draft->bytes, 0);
    buf_cstr(&draft->bytes, plain ? "" : draft->encoding);
    draft->count++;
}

// Equal names in the order they came in: their place in memory.
static int by_name(const void *a, const void *b)
{
    const struct guc *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->name > y->name) - (x->name < y->name);
}

static uint64_t mix(uint64_t hash, const struct guc *p)
{
    hash = hash * 0x9e3779b97f4a7c15u + hash_bytes(p->name, strlen(p->name));
    hash = hash * 0x9e3779b97f4a7c15u + hash_bytes(p->encoding, strlen(p->encoding));
    return hash * 0x9e3779b97f4a7c15u + hash_bytes(p->value, strlen(p->value));
}

static void sort(struct gucs *p)
{
    qsort(p->at, p->count, sizeof(p->at[0]), by_name);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < p->count; i++)
        if (i + 1 == p->count || strcmp(p->at[i].name, p->at[i + 1].name) != 0)
            p->at[kept++] = p->at[i];
    p->count = kept;
    for (uint32_t i = 0; i < kept; i++) {
        p->hash = mix(p->hash, &p->at[i]);
        if (!is_for_running(p->at[i].name))
            p->planning_hash = mix(p->planning_hash, &p->at[i]);
    }
}

struct gucs *gucs_new(struct gucs_draft *draft)
{
    if (draft->count == 0)
        return NULL;
    size_t head = sizeof(struct gucs) + draft->count * sizeof(struct guc);
    struct gucs *p = mem_zalloc(head + draft->bytes.len);
    char *text = (char *)p + head;
    memcpy(text, draft->bytes.at, draft->bytes.len);
    p->refs = 1;
    p->count = draft->count;
    for (uint32_t i = 0; i < p->count; i++) {
        p->at[i].name = text;
        p->at[i].value = text + strlen(text) + 1;
        p->at[i].encoding = p->at[i].value + strlen(p->at[i].value) + 1;
        text = (char *)(uintptr_t)p->at[i].encoding + strlen(p->at[i].encoding) + 1;
    }
    sort(p);
    gucs_draft_fini(draft);
    return p;
}

static void add(struct gucs_draft *draft, const struct guc *p)
{
    draft->encoding = p->encoding[0] != '\0' ? p->encoding : NULL;
    gucs_draft_add(draft, slice_str(p->name), slice_str(p->value));
}

static void add_all(struct gucs_draft *draft, const struct gucs *p)
{
    for (uint32_t i = 0; p != NULL && i < p->count; i++)
        add(draft, &p->at[i]);
}

struct gucs *gucs_join(const struct gucs *base, const struct gucs *over)
{
    struct gucs_draft draft = {.count = 0};
    add_all(&draft, base);
    add_all(&draft, over);
    return gucs_new(&draft);
}

struct gucs *gucs_without(const struct gucs *p, const struct gucs *base)
{
    struct gucs_draft draft = {.count = 0};
    for (uint32_t i = 0; p != NULL && i < p->count; i++)
        if (!has_same(base, &p->at[i]))
            add(&draft, &p->at[i]);
    return gucs_new(&draft);
}

struct gucs *gucs_without_name(const struct gucs *p, const char *name)
{
    struct gucs_draft draft = {.count = 0};
    for (uint32_t i = 0; p != NULL && i < p->count; i++)
        if (strcmp(p->at[i].name, name) != 0)
            add(&draft, &p->at[i]);
    return gucs_new(&draft);
}

struct gucs *gucs_without_emptied(const struct gucs *p, const struct gucs *base,
                                  const struct gucs *before)
{
    struct gucs_draft draft = {.count = 0};
    for (uint32_t i = 0; p != NULL && i < p->count; i++)
        if (p->at[i].value[0] != '\0' || !is_custom(p->at[i].name) ||
            gucs_find(base, p->at[i].name) == NULL || has_same(before, &p->at[i]))
            add(&draft, &p->at[i]);
    return gucs_new(&draft);
}

struct gucs *gucs_ref(struct gucs *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void gucs_unref(struct gucs **p)
{
    if (*p != NULL && atomic_fetch_sub_explicit(&(*p)->refs, 1, memory_order_acq_rel) == 1)
        mem_free(*p);
    *p = NULL;
}

// ---- comparing ----

bool gucs_equal(const struct gucs *a, const struct gucs *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->hash != b->hash || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!is_same(&a->at[i], &b->at[i]))
            return false;
    return true;
}

// ---- changing ----

// True when none of them can fail.
static bool put_resets(const struct gucs *have, const struct gucs *want,
                       struct buf *sql)
{
    bool sure = true;
    for (uint32_t i = 0; have != NULL && i < have->count; i++) {
        const char *name = have->at[i].name;
        if (is_identity(name) || gucs_find(want, name) != NULL)
            continue;
        if (have->at[i].encoding[0] != '\0') {
            buf_printf(sql, "SELECT pg_catalog.set_config(");
            quote_encoded(sql, name, have->at[i].encoding);
            buf_printf(sql, ",NULL,false);"); // to its default
        } else {
            buf_printf(sql, "RESET ");
            quote_name(sql, name);
            buf_u8(sql, ';');
        }
        sure = sure && cannot_fail(name);
    }
    return sure;
}

static void put_setting(const struct guc *p, struct buf *sql)
{
    buf_printf(sql, "pg_catalog.set_config(");
    quote_encoded(sql, p->name, p->encoding);
    buf_u8(sql, ',');
    quote_encoded(sql, p->value, p->encoding);
    buf_printf(sql, ",false)");
}

// RESET leaves an empty value where nothing has defined the name. Where an extension has, as a
// number or a switch say, that is its default.
static void put_emptied(const struct guc *p, struct buf *sql)
{
    buf_printf(sql, "CASE WHEN coalesce(pg_catalog.current_setting(");
    quote_encoded(sql, p->name, p->encoding);
    buf_printf(sql, ",true),'') OPERATOR(pg_catalog.=) '' OR NOT EXISTS"
                    " (SELECT FROM pg_catalog.pg_settings"
                    " WHERE pg_catalog.lower(name) OPERATOR(pg_catalog.=) ");
    quote_encoded(sql, p->name, p->encoding);
    buf_printf(sql, " AND vartype OPERATOR(pg_catalog.<>) 'string') THEN ");
    put_setting(p, sql);
    buf_printf(sql, " END");
}

static bool put_settings(const struct gucs *have, const struct gucs *want,
                         struct buf *sql)
{
    bool sure = true, first = true;
    for (uint32_t i = 0; want != NULL && i < want->count; i++) {
        const struct guc *p = &want->at[i];
        if (is_identity(p->name) || has_same(have, p))
            continue;
        buf_printf(sql, first ? "SELECT " : ",");
        (is_custom(p->name) && p->value[0] == '\0' ? put_emptied : put_setting)(p, sql);
        first = false;
        sure = sure && cannot_fail(p->name) && p->encoding[0] == '\0';
    }
    if (!first)
        buf_u8(sql, ';');
    return sure;
}

static void put_identity(const struct gucs *want, struct buf *sql)
{
    static const char *const names[] = {"session_authorization", "role"}; // in this order
    for (int i = 0; i < 2; i++) {
        const char *value = gucs_find(want, names[i]);
        if (value == NULL)
            continue;
        buf_printf(sql, i == 0 ? "SET SESSION AUTHORIZATION " : "SET ROLE ");
        quote_literal(sql, value);
        buf_u8(sql, ';');
    }
}

static bool has_identity(const struct gucs *p)
{
    return gucs_find(p, "role") != NULL ||
           gucs_find(p, "session_authorization") != NULL;
}

bool gucs_change(const struct gucs *have, const struct gucs *want,
                       struct buf *sql)
{
    // What was set under one role may not be set under another: all is done as who logged in.
    bool sure = !has_identity(have) && !has_identity(want);
    if (has_identity(have))
        buf_printf(sql, "RESET ROLE;RESET SESSION AUTHORIZATION;");
    sure &= put_resets(have, want, sql);
    sure &= put_settings(have, want, sql);
    put_identity(want, sql);
    buf_u8(sql, 0);
    // Another's time limits hold for the first of these statements.
    return sure && gucs_find(have, "statement_timeout") == NULL &&
           gucs_find(have, "transaction_timeout") == NULL;
}
