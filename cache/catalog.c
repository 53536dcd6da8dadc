// SPDX-License-Identifier: Apache-2.0
#include "cache/catalog.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "cache/ledger.h"
#include "cache/lineage.h"

// One table of names; a name carries all that is known by it.
struct fact {
    struct hash_node node;
    struct slice name; // owned: behind the struct
    bool loaded;       // as a relation name
    bool captured_function;
    bool captured_getter;
    bool captured_operator;
    bool harmless_function;
    bool harmless_operator;
    enum catalog_volatility function;
    enum catalog_volatility operator;
    struct row *rows; // relations of that name; owned
    struct type *types; // likewise
};

struct type {
    struct type *next;
    struct slice schema; // owned: behind the struct
    enum catalog_type is;
};

struct row {
    struct row *next;
    struct catalog_relation relation; // name: the fact's; others: behind the struct
};

struct catalog {
    uint32_t tag;
    _Atomic uint32_t references;
    uint64_t version;
    enum bypass denied;
    size_t relations;
    bool utf8;
    bool text_search_denied;
    uint64_t ancestry;
    const struct catalog_relation **trees; // owns
    size_t n_trees;
    struct buf materialized; // uint32_t each
    struct slice settings[CATALOG_SETTINGS_MAX]; // owned
    size_t setting_count;
    uint64_t settings_hash;
    struct buf enums; // uint32_t each
    struct hash_table facts;
};

struct catalog_builder {
    struct catalog *catalog;
    struct lineage *lineage; // owns
    struct catalog_relation **relations; // owns the array
    size_t room;
};

enum { CATALOG_TAG = 0xca7a1060 };

static struct fact *fact_find(const struct catalog *c, struct slice name)
{
    struct hash_node *n = hash_first(&c->facts, hash_bytes(name.at, name.len));
    while (n != NULL && !slice_eq(container_of(n, struct fact, node)->name, name))
        n = hash_next(n);
    return n == NULL ? NULL : container_of(n, struct fact, node);
}

// Bytes copied behind a struct that was allocated with room for them.
static struct slice copy_behind(void *at, struct slice bytes)
{
    if (bytes.len > 0)
        memcpy(at, bytes.at, bytes.len);
    return slice_of(at, bytes.len);
}

// ---- Building ---------------------------------------------------------------------------------

static struct fact *fact_make(struct catalog_builder *b, struct slice name)
{
    struct fact *f = fact_find(b->catalog, name);
    if (f == NULL) {
        f = mem_zalloc(sizeof(*f) + name.len);
        f->name = copy_behind(f + 1, name);
        hash_insert(&b->catalog->facts, &f->node, hash_bytes(name.at, name.len));
    }
    return f;
}

struct catalog_builder *catalog_builder_new(uint64_t version)
{
    struct catalog_builder *b = mem_new(struct catalog_builder);
    b->catalog = mem_new(struct catalog);
    TAG_SET(b->catalog, CATALOG_TAG);
    atomic_init(&b->catalog->references, 1);
    b->catalog->version = version;
    b->lineage = lineage_new();
    return b;
}

void catalog_builder_free(struct catalog_builder *b)
{
    if (b == NULL)
        return;
    catalog_unref(&b->catalog);
    lineage_free(b->lineage);
    mem_free(b->relations);
    mem_free(b);
}

struct lineage *catalog_builder_lineage(struct catalog_builder *b)
{
    return b->lineage;
}

const struct catalog *catalog_builder_told(const struct catalog_builder *b)
{
    return b->catalog;
}

void catalog_builder_name(struct catalog_builder *b, struct slice name)
{
    fact_make(b, name)->loaded = true;
}

void catalog_builder_relation(struct catalog_builder *b, const struct catalog_relation *relation)
{
    struct fact *f = fact_make(b, relation->name);
    f->loaded |= !relation->by_oid;
    size_t bytes = sizeof(struct row) + relation->schema.len + relation->columns.len + 1;
    uint8_t told = relation->key.told > relation->key.count ? relation->key.told
                                                            : relation->key.count;
    for (uint8_t i = 0; i < told; i++)
        bytes += relation->key.columns[i].name.len;
    struct row *row = mem_zalloc(bytes); // ends with a NUL, as what reads the columns needs
    row->relation = *relation;
    row->relation.name = f->name;
    row->relation.schema = copy_behind(row + 1, relation->schema);
    uint8_t *at = (uint8_t *)(row + 1) + relation->schema.len;
    uint64_t table = ledger_table(relation->schema, relation->name);
    for (uint8_t i = 0; i < told; i++) {
        struct catalog_column *column = &row->relation.key.columns[i];
        column->name = copy_behind(at, column->name);
        column->alone = ledger_column(table, column->name);
        at += column->name.len;
    }
    row->relation.columns = copy_behind(at, relation->columns);
    row->relation.key.told = told;
    row->relation.key.table = row->relation.table = table;
    row->relation.slot = ledger_table_slot(table);
    row->next = f->rows;
    f->rows = row;
    if (b->catalog->relations == b->room) {
        b->room = b->room == 0 ? 64 : 2 * b->room;
        b->relations = mem_realloc(b->relations, b->room * sizeof(*b->relations));
    }
    b->relations[b->catalog->relations++] = &row->relation;
}

static void worsen(enum catalog_volatility *known, enum catalog_volatility volatility)
{
    if (volatility > *known)
        *known = volatility;
}

void catalog_builder_function(struct catalog_builder *b, struct slice name,
                              enum catalog_volatility volatility)
{
    worsen(&fact_make(b, name)->function, volatility);
}

void catalog_builder_operator(struct catalog_builder *b, struct slice name,
                              enum catalog_volatility volatility)
{
    worsen(&fact_make(b, name)->operator, volatility);
}

void catalog_builder_capture_function(struct catalog_builder *b, struct slice name)
{
    fact_make(b, name)->captured_function = true;
}

void catalog_builder_capture_getter(struct catalog_builder *b, struct slice name)
{
    fact_make(b, name)->captured_getter = true;
}

void catalog_builder_capture_operator(struct catalog_builder *b, struct slice name)
{
    fact_make(b, name)->captured_operator = true;
}

void catalog_builder_harmless_function(struct catalog_builder *b, struct slice name)
{
    fact_make(b, name)->harmless_function = true;
}

void catalog_builder_harmless_operator(struct catalog_builder *b, struct slice name)
{
    fact_make(b, name)->harmless_operator = true;
}

void catalog_builder_enum(struct catalog_builder *b, uint32_t oid)
{
    buf_bytes(&b->catalog->enums, &oid, sizeof(oid));
}

void catalog_builder_type(struct catalog_builder *b, struct slice schema, struct slice name,
                          enum catalog_type is)
{
    struct fact *f = fact_make(b, name);
    struct type *type = mem_zalloc(sizeof(*type) + schema.len);
    *type = (struct type){f->types, copy_behind(type + 1, schema), is};
    f->types = type;
}

static int compare_names(struct slice a, struct slice b)
{
    int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool catalog_builder_setting(struct catalog_builder *b, struct slice name)
{
    struct catalog *c = b->catalog;
    size_t at = 0;
    while (at < c->setting_count && compare_names(c->settings[at], name) < 0)
        at++;
    if (at < c->setting_count && slice_eq(c->settings[at], name))
        return true;
    if (c->setting_count == CATALOG_SETTINGS_MAX)
        return false;
    memmove(c->settings + at + 1, c->settings + at, (c->setting_count - at) * sizeof(*c->settings));
    c->settings[at] = copy_behind(mem_alloc(name.len + 1), name);
    c->setting_count++;
    return true;
}

void catalog_builder_utf8(struct catalog_builder *b)
{
    b->catalog->utf8 = true;
}

void catalog_builder_deny(struct catalog_builder *b, enum bypass reason)
{
    if (b->catalog->denied == BYPASS_NONE)
        b->catalog->denied = reason;
}

static void gather_trees(struct catalog *c, struct catalog_relation **relations)
{
    for (size_t i = 0; i < c->relations; i++)
        c->n_trees += relations[i]->is_partitioned;
    c->trees = mem_alloc((c->n_trees + 1) * sizeof(*c->trees));
    for (size_t i = 0, n = 0; i < c->relations; i++)
        if (relations[i]->is_partitioned)
            c->trees[n++] = relations[i];
}

static void gather_materialized(struct catalog *c, struct catalog_relation **relations)
{
    for (size_t i = 0; i < c->relations; i++)
        if (relations[i]->is_materialized)
            buf_bytes(&c->materialized, &relations[i]->slot, sizeof(relations[i]->slot));
}

void catalog_builder_deny_text_search(struct catalog_builder *b)
{
    b->catalog->text_search_denied = true;
}

struct catalog *catalog_builder_finish(struct catalog_builder *b)
{
    struct catalog *c = b->catalog;
    c->ancestry = lineage_settle(b->lineage, b->relations, c->relations);
    gather_trees(c, b->relations);
    gather_materialized(c, b->relations);
    for (size_t i = 0; i < c->setting_count; i++) // not 0, whatever the hash is
        c->settings_hash = (c->settings_hash ^ hash_bytes(c->settings[i].at, c->settings[i].len)) *
                               UINT64_C(0x9e3779b97f4a7c15) | 1;
    b->catalog = NULL;
    catalog_builder_free(b);
    return c;
}

// ---- Life -------------------------------------------------------------------------------------

struct catalog *catalog_ref(struct catalog *c)
{
    TAG_CHECK(c, CATALOG_TAG);
    CHECK(atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed) > 0);
    return c;
}

static void fact_free(struct hash_node *node, void *arg)
{
    (void)arg;
    struct fact *f = container_of(node, struct fact, node);
    for (struct row *row = f->rows, *next; row != NULL; row = next) {
        next = row->next;
        lineage_release(&row->relation);
        mem_free(row);
    }
    for (struct type *type = f->types, *next; type != NULL; type = next) {
        next = type->next;
        mem_free(type);
    }
    mem_free(f);
}

void catalog_unref(struct catalog **catalog)
{
    struct catalog *c = *catalog;
    *catalog = NULL;
    if (c == NULL)
        return;
    TAG_CHECK(c, CATALOG_TAG);
    if (atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1)
        return;
    TAG_CLEAR(c);
    for (size_t i = 0; i < c->setting_count; i++)
        mem_free((void *)(uintptr_t)c->settings[i].at);
    hash_each(&c->facts, fact_free, NULL);
    hash_fini(&c->facts);
    buf_fini(&c->enums);
    buf_fini(&c->materialized);
    mem_free(c->trees);
    mem_free(c);
}

// ---- Reading ----------------------------------------------------------------------------------

uint64_t catalog_version(const struct catalog *c)
{
    return c->version;
}

enum bypass catalog_denied(const struct catalog *c)
{
    return c->denied;
}

bool catalog_text_search_denied(const struct catalog *c)
{
    return c->text_search_denied;
}

size_t catalog_relations(const struct catalog *c)
{
    return c->relations;
}

const struct slice *catalog_settings(const struct catalog *c, size_t *n)
{
    *n = c->setting_count;
    return c->settings;
}

uint64_t catalog_settings_hash(const struct catalog *c)
{
    return c->settings_hash;
}

bool catalog_utf8(const struct catalog *c)
{
    return c->utf8;
}

static const struct catalog_relation *row_in(const struct fact *f, struct slice schema)
{
    for (const struct row *row = f->rows; row != NULL; row = row->next)
        if (slice_eq(row->relation.schema, schema))
            return &row->relation;
    return NULL;
}

uint64_t catalog_ancestry(const struct catalog *c)
{
    return c->ancestry;
}

const struct catalog_relation *const *catalog_trees(const struct catalog *c, size_t *n)
{
    *n = c->n_trees;
    return c->trees;
}

const uint32_t *catalog_materialized(const struct catalog *c, size_t *n)
{
    *n = c->materialized.len / sizeof(uint32_t);
    return (const uint32_t *)(const void *)c->materialized.at;
}

const struct catalog_relation *catalog_event(const struct catalog *c, struct slice schema,
                                             struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f == NULL ? NULL : row_in(f, schema);
}

bool catalog_runs_code(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    for (const struct row *row = f == NULL ? NULL : f->rows; row != NULL; row = row->next)
        if (row->relation.runs_code)
            return true;
    return false;
}

enum catalog_answer catalog_find(const struct catalog *c, struct slice schema, struct slice name,
                                 const struct catalog_relation **out)
{
    const struct fact *f = fact_find(c, name);
    *out = NULL;
    if (f == NULL || !f->loaded)
        return CATALOG_PENDING;
    *out = row_in(f, schema);
    return *out == NULL ? CATALOG_ABSENT : CATALOG_FOUND;
}

// False when there is no room for one more. A schema named twice in the path counts once.
static bool add_found(const struct catalog_relation *found, const struct catalog_relation **out,
                      size_t max, size_t *n)
{
    if (found == NULL)
        return true;
    for (size_t i = 0; i < *n; i++)
        if (out[i] == found)
            return true;
    if (*n == max)
        return false;
    out[(*n)++] = found;
    return true;
}

enum catalog_answer catalog_search(const struct catalog *c, const struct slice *path,
                                   size_t n_path, struct slice name,
                                   const struct catalog_relation **out, size_t max, size_t *n)
{
    const struct slice system = slice_str("pg_catalog");
    const struct fact *f = fact_find(c, name);
    *n = 0;
    if (f == NULL || !f->loaded)
        return CATALOG_PENDING;
    bool named = false;
    for (size_t i = 0; i < n_path; i++)
        named |= slice_eq(path[i], system);
    if (!named && !add_found(row_in(f, system), out, max, n)) // searched first if not named
        return CATALOG_PENDING;
    for (size_t i = 0; i < n_path; i++) {
        if (!add_found(row_in(f, path[i]), out, max, n))
            return CATALOG_PENDING;
    }
    return *n > 0 ? CATALOG_FOUND : CATALOG_ABSENT;
}

struct each {
    void (*visit)(const struct catalog_relation *relation, void *arg);
    void *arg;
};

static void fact_each(struct hash_node *node, void *arg)
{
    const struct each *each = arg;
    for (const struct row *row = container_of(node, struct fact, node)->rows; row; row = row->next)
        each->visit(&row->relation, each->arg);
}

void catalog_each(const struct catalog *c,
                  void (*visit)(const struct catalog_relation *relation, void *arg), void *arg)
{
    struct each each = {visit, arg};
    hash_each(&c->facts, fact_each, &each);
}

bool catalog_knows(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f != NULL && f->loaded;
}

enum catalog_volatility catalog_function(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f == NULL ? CATALOG_UNKNOWN : f->function;
}

enum catalog_volatility catalog_operator(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f == NULL ? CATALOG_UNKNOWN : f->operator;
}

bool catalog_captures_function(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f != NULL && f->captured_function;
}

bool catalog_captures_getter(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f != NULL && f->captured_getter;
}

bool catalog_captures_operator(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f != NULL && f->captured_operator;
}

bool catalog_function_is_harmless(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f != NULL && f->harmless_function;
}

bool catalog_operator_is_harmless(const struct catalog *c, struct slice name)
{
    const struct fact *f = fact_find(c, name);
    return f != NULL && f->harmless_operator;
}

// ---- Types ------------------------------------------------------------------------------------

bool catalog_is_enum(const struct catalog *c, uint32_t oid)
{
    for (size_t i = 0; i < c->enums.len; i += sizeof(oid))
        if (memcmp(c->enums.at + i, &oid, sizeof(oid)) == 0)
            return true;
    return false;
}

bool catalog_columns(const struct catalog_relation *relation,
                     bool (*visit)(char kind, struct slice name, void *arg), void *arg)
{
    char *at = (char *)(uintptr_t)relation->columns.at, *end = at + relation->columns.len;
    if (relation->columns.len == 0)
        return false;
    while (at < end) {
        char kind = *at;
        unsigned long bytes = strtoul(at + 1, &at, 10);
        if (at >= end || bytes == 0 || bytes > (unsigned long)(end - at - 1) ||
            !visit(kind, slice_of(at + 1, bytes), arg))
            return false;
        at += 1 + bytes;
    }
    return true;
}

struct finding {
    struct slice name;
    enum catalog_column_kind kind;
};

static bool is_another(char kind, struct slice name, void *arg)
{
    struct finding *f = arg;
    if (!slice_eq(name, f->name))
        return true;
    f->kind = kind == 'd' || kind == 't' ? CATALOG_DATETIME_COLUMN : CATALOG_OTHER_COLUMN;
    return false;
}

enum catalog_column_kind catalog_column_kind(const struct catalog_relation *relation,
                                             struct slice name)
{
    struct finding f = {name, CATALOG_OTHER_COLUMN};
    return catalog_columns(relation, is_another, &f) ? CATALOG_NO_COLUMN : f.kind;
}

enum catalog_type catalog_type(const struct catalog *c, const struct slice *schemas, size_t n,
                               struct slice name)
{
    const struct fact *f = fact_find(c, name);
    enum catalog_type all = CATALOG_NO_TYPE;
    for (const struct type *type = f == NULL ? NULL : f->types; type; type = type->next)
        for (size_t i = 0; i < n; i++)
            if ((schemas == NULL || slice_eq(type->schema, schemas[i])) && type->is > all)
                all = type->is;
    return all;
}

enum catalog_type catalog_search_type(const struct catalog *c, const struct slice *path,
                                      size_t n_path, struct slice name)
{
    const struct slice system = slice_str("pg_catalog");
    enum catalog_type own = catalog_type(c, &system, 1, name);
    return own != CATALOG_NO_TYPE ? own : catalog_type(c, path, n_path, name);
}
