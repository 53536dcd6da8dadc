// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/resolve.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "cache/ledger.h"
#include "cache/rules.h"
#include "proxy/sql/builtins.h"
#include "proxy/sql/captured.h"
#include "proxy/sql/keyed.h"
#include "proxy/sql/typed.h"

enum {
    RESOLUTION_TAG = 0x7265736c,
    RESOLVE_KEYS_MAX = 8, // of one relation that are looked at
    SCANS_MAX = 32,     // places with keys; relations at others are read and written as a whole
};

struct slots {
    uint32_t at[RESOLVE_SLOTS_MAX];
    uint32_t count;
};

struct scans {
    struct resolved_scan at[SCANS_MAX];
    uint32_t count;
};

struct resolving {
    const struct analysis *analysis;
    const struct catalog *catalog;
    const struct search_path *path;
    struct slots reads;
    struct slots writes;
    struct slots held;
    struct scans read_scans;
    struct scans write_scans;
    enum bypass bypass; // the first reason met
    uint64_t reasons;   // all of them
    bool pending;
    bool barrier;
    bool captured;
    bool reads_settings;
    uint64_t dated; // of the analysis, that a relation has; bits
};

static struct keyed keyed_of(const struct resolving *r)
{
    return (struct keyed){r->analysis, r->catalog, r->path};
}

static void deny(struct resolving *r, enum bypass reason)
{
    r->reasons |= 1ull << reason;
    if (r->bypass == BYPASS_NONE)
        r->bypass = reason;
}

static bool add_slot(struct slots *slots, uint32_t slot)
{
    for (uint32_t i = 0; i < slots->count; i++)
        if (slots->at[i] == slot)
            return true;
    if (slots->count == RESOLVE_SLOTS_MAX)
        return false;
    slots->at[slots->count++] = slot;
    return true;
}

static bool add_slots(struct slots *slots, const uint32_t *more, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!add_slot(slots, more[i]))
            return false;
    return true;
}

// ---- Keys ---------------------------------------------------------------------------------------

// Adds what all places at which it is written fix of this key. False: somewhere it is any row.
static bool add_written_scans(struct resolving *r, uint32_t name,
                              const struct catalog_relation *relation, struct one_key key)
{
    struct scans *scans = &r->write_scans;
    const struct sql_keys *keys = &r->analysis->keys;
    const struct keyed in = keyed_of(r);
    uint32_t before = scans->count;
    for (uint16_t i = 0; !relation->rewrites && i < keys->n_scans; i++) {
        const struct sql_scan *scan = &keys->scans[i];
        if (scan->name != name || !scan->written)
            continue;
        if (scans->count == SCANS_MAX ||
            !keyed_scan(&in, scan, &relation->key, &key, &scans->at[scans->count])) {
            scans->count = before;
            return false;
        }
        scans->count++;
    }
    return scans->count > before;
}

// Adds a key for each place at which it is read. False: somewhere it is any row.
static bool add_read_scans(struct resolving *r, uint32_t name, const struct catalog_key *key)
{
    struct scans *scans = &r->read_scans;
    const struct sql_keys *keys = &r->analysis->keys;
    const struct keyed in = keyed_of(r);
    uint32_t before = scans->count;
    for (uint16_t i = 0; i < keys->n_scans; i++) {
        const struct sql_scan *scan = &keys->scans[i];
        if (scan->name != name || scan->written)
            continue;
        if (scans->count == SCANS_MAX ||
            !keyed_choose(&in, scan, key, &scans->at[scans->count])) {
            scans->count = before;
            return false;
        }
        scans->count++;
    }
    return scans->count > before;
}

// ---- Relations, read and written ----------------------------------------------------------------

// Its rows of some keys, or those of a relation that it shows, and all else that it depends on, as
// what writes through those above close.
static bool add_read(struct resolving *r, uint32_t number, const struct catalog_relation *found)
{
    uint32_t by_key[RESOLVE_KEYS_MAX];
    uint8_t n = 0;
    uint8_t keys = found->shares_slot ? 0 : catalog_key_count(found);
    for (uint8_t i = 0; i < keys && n < RESOLVE_KEYS_MAX; i++)
        if (add_read_scans(r, number, catalog_key_at(found, i)))
            by_key[n++] = ledger_table_slot(catalog_key_at(found, i)->table);
    for (uint16_t i = 0; i < found->read_count; i++) {
        bool keyed = false;
        for (uint8_t k = 0; k < n; k++)
            keyed |= by_key[k] == found->reads[i];
        if (!keyed && !add_slot(&r->reads, found->reads[i]))
            return false;
    }
    return true;
}

static void resolve_read(struct resolving *r, uint32_t number)
{
    const struct sql_name *name = &r->analysis->reads.at[number];
    const struct catalog_relation *found[KEYED_SAME_NAME_MAX];
    const struct keyed in = keyed_of(r);
    size_t n;
    switch (keyed_find(&in, name, found, &n)) {
    case CATALOG_PENDING:
        r->pending = true;
        deny(r, BYPASS_CATALOG_PENDING);
        return;
    case CATALOG_ABSENT:
        deny(r, BYPASS_UNKNOWN_RELATION);
        return;
    case CATALOG_FOUND:
        break;
    }
    for (size_t i = 0; i < n; i++) {
        r->barrier |= found[i]->runs_code;
        r->reads_settings |= found[i]->reads_settings;
        if (!typed_times(r->analysis, found[i]))
            deny(r, BYPASS_VOLATILE_FUNCTION);
        if (!typed_relation(r->analysis, found[i], &r->dated))
            deny(r, BYPASS_CAST);
        if (!typed_columns(r->analysis, found[i]))
            deny(r, BYPASS_COLUMN_TYPE);
        if (found[i]->bypass != BYPASS_NONE)
            deny(r, found[i]->bypass);
        r->reasons |= found[i]->reasons;
        if (!add_read(r, number, found[i]))
            deny(r, BYPASS_UNSUPPORTED);
    }
}

// Of columns that are keys of their own a write leaves many open: then all of them are held by one
// slot.
static bool add_written_columns(struct resolving *r, uint32_t number,
                                const struct catalog_relation *relation)
{
    enum { HELD_ALONE_MAX = 6 };
    const struct catalog_key *key = &relation->key;
    uint32_t held[CATALOG_COLUMNS_MAX], n = 0;
    for (int i = 0; key->full && i < key->told; i++)
        if (!add_written_scans(r, number, relation, keyed_column(key, i)))
            held[n++] = ledger_rows_slot(key->columns[i].alone);
    return n <= HELD_ALONE_MAX ? add_slots(&r->held, held, n)
                               : add_slot(&r->held, ledger_columns_slot(key->table));
}

// The keys of one relation that are written, or any of them.
static bool add_written(struct resolving *r, uint32_t number,
                        const struct catalog_relation *relation)
{
    const struct catalog_key *key = &relation->key;
    return (add_written_scans(r, number, relation, keyed_first(key)) ||
            add_slot(&r->held, ledger_rows_slot(key->table))) &&
           add_written_columns(r, number, relation);
}

// Rows of a table itself, and of those above it.
static void write_table(struct resolving *r, uint32_t number, const struct catalog_relation *table)
{
    bool known = add_slots(&r->writes, table->writes, table->write_count) && table->writes_known &&
                 add_written(r, number, table);
    for (uint32_t k = 0; k < table->ancestor_count && known; k++)
        if (table->ancestors[k]->key.count > 0 || table->ancestors[k]->key.full)
            known = add_written(r, number, table->ancestors[k]);
    r->barrier |= !known;
}

// Any rows: the view has names of its own for their columns.
static void write_view(struct resolving *r, const struct catalog_relation *view)
{
    uint32_t no_place = UINT32_MAX;
    if (view->writes_known && view->base != NULL)
        write_table(r, no_place, view->base);
    else
        r->barrier = true;
}

static void resolve_write(struct resolving *r, uint32_t number)
{
    const struct sql_name *name = &r->analysis->writes.at[number];
    const struct catalog_relation *found[KEYED_SAME_NAME_MAX];
    const struct keyed in = keyed_of(r);
    size_t n;
    switch (keyed_find(&in, name, found, &n)) {
    case CATALOG_PENDING:
        r->pending = true;
        r->barrier = true;
        return;
    case CATALOG_ABSENT:
        r->barrier = true;
        return;
    case CATALOG_FOUND:
        break;
    }
    for (size_t i = 0; i < n; i++)
        if (found[i]->is_view)
            write_view(r, found[i]);
        else
            write_table(r, number, found[i]);
}

// ---- Functions, operators, casts ----------------------------------------------------------------

static bool is_unqualified(const struct sql_name *name)
{
    return name->schema.len == 0;
}

static void capture(struct resolving *r, enum bypass reason, bool harmless)
{
    r->captured |= !harmless;
    r->barrier |= !harmless;
    deny(r, reason);
}

_Static_assert((int)CATALOG_UNKNOWN == (int)VOLATILITY_UNKNOWN &&
                   (int)CATALOG_IMMUTABLE == (int)VOLATILITY_IMMUTABLE &&
                   (int)CATALOG_STABLE == (int)VOLATILITY_STABLE &&
                   (int)CATALOG_VOLATILE == (int)VOLATILITY_VOLATILE,
               "both orders of volatility are the same");

// The analysis has judged the names by PostgreSQL 15's own; here a name may turn out to be more
// than that: a user's overload, or another release's worse volatility.
static void resolve_functions(struct resolving *r)
{
    const struct analysis *a = r->analysis;
    for (uint32_t i = 0; i < a->functions.count; i++) {
        const struct sql_name *name = &a->functions.at[i];
        r->barrier |= captured_reads_columns(name);
        if (captured_function(r->catalog, name))
            capture(r, BYPASS_UNKNOWN_FUNCTION,
                    catalog_function_is_harmless(r->catalog, name->name));
        if ((int)catalog_function(r->catalog, name->name) >
            (int)builtin_function_volatility(name->name))
            deny(r, BYPASS_VOLATILE_FUNCTION);
    }
    for (uint32_t i = 0; i < a->fields.count; i++)
        if (captured_field(r->catalog, a, &a->fields.at[i]))
            capture(r, BYPASS_UNKNOWN_FUNCTION, false);
}

static void resolve_operators(struct resolving *r)
{
    const struct analysis *a = r->analysis;
    for (uint32_t i = 0; i < a->operators.count; i++) {
        const struct sql_name *name = &a->operators.at[i];
        if (captured_operator(r->catalog, name))
            capture(r, BYPASS_OPERATOR, catalog_operator_is_harmless(r->catalog, name->name));
        if ((int)catalog_operator(r->catalog, name->name) >
            (int)builtin_operator_volatility(name->name))
            deny(r, BYPASS_OPERATOR);
    }
}

// What only the catalog can tell of: may what it calls write?
static void resolve_calls(struct resolving *r)
{
    enum catalog_answer writes =
        r->catalog != NULL ? captured_calls_write(r->analysis, r->catalog) : CATALOG_PENDING;
    r->barrier |= writes != CATALOG_ABSENT;
    r->pending |= writes == CATALOG_PENDING;
}

// True when pg_catalog is searched before all others, as it is unless the path names it later.
static bool builtins_come_first(const struct search_path *path)
{
    for (uint32_t i = 1; i < path->count; i++)
        if (slice_is(path->schemas[i], "pg_catalog"))
            return slice_is(path->schemas[0], "pg_catalog");
    return true;
}

// Else "text" may be a user's type.
static void resolve_casts(struct resolving *r)
{
    const struct analysis *a = r->analysis;
    for (uint32_t i = 0; i < a->casts.count; i++)
        if (is_unqualified(&a->casts.at[i]) && !builtins_come_first(r->path))
            capture(r, BYPASS_CAST, false);
}

// A domain's check may do anything.
static void resolve_checks(struct resolving *r)
{
    switch (captured_casts_run_code(r->analysis, r->catalog, r->path)) {
    case CATALOG_FOUND:
        capture(r, BYPASS_CAST, false);
        return;
    case CATALOG_PENDING:
        r->pending = r->barrier = true;
        return;
    case CATALOG_ABSENT:
        return;
    }
}

static void resolve_types(struct resolving *r)
{
    enum catalog_answer answer = typed_names(r->analysis, r->catalog, r->path);
    r->pending |= answer == CATALOG_PENDING;
    if (answer != CATALOG_FOUND)
        deny(r, answer == CATALOG_PENDING ? BYPASS_CATALOG_PENDING : BYPASS_CAST);
}

// ---- Text search --------------------------------------------------------------------------------

// Asked for by a name, as tables are: whose catalog has it, it is of one that watches what text
// search depends on (control/schema.c).
static struct sql_name text_search_name(void)
{
    return (struct sql_name){slice_str("pg_catalog"), slice_str("pg_ts_config_map")};
}

static void resolve_text_search(struct resolving *r)
{
    if (r->catalog == NULL || !catalog_knows(r->catalog, text_search_name().name)) {
        r->pending = true;
        deny(r, BYPASS_CATALOG_PENDING);
    } else if (catalog_text_search_denied(r->catalog)) {
        deny(r, BYPASS_TEXT_SEARCH);
    }
}

// ---- The whole ----------------------------------------------------------------------------------

static int compare_slots(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static const uint32_t *copy_slots(uint32_t **out, struct slots *from)
{
    uint32_t *copy = *out;
    qsort(from->at, from->count, sizeof(uint32_t), compare_slots);
    memcpy(copy, from->at, from->count * sizeof(uint32_t));
    *out += from->count;
    return copy;
}

static const struct resolved_scan *copy_scans(struct resolved_scan **out, const struct scans *from)
{
    struct resolved_scan *copy = *out;
    memcpy(copy, from->at, from->count * sizeof(*copy));
    *out += from->count;
    return copy;
}

// What a rule puts aside (a user's operator, a function) may read other rows than conditions say.
static void read_tables(struct resolving *r)
{
    for (uint32_t i = 0; i < r->read_scans.count; i++)
        if (!add_slot(&r->reads, ledger_table_slot(r->read_scans.at[i].table)))
            deny(r, BYPASS_UNSUPPORTED);
    r->read_scans.count = 0;
}

static struct resolution *resolution_of(struct resolving *r)
{
    const uint64_t putable = RULES_FORCEABLE | 1ull << BYPASS_NO_RELATION;
    if (r->reasons != 0)
        read_tables(r);
    if ((r->reasons & ~putable) != 0)
        r->reads.count = 0;
    size_t n_slots = r->reads.count + r->writes.count + r->held.count;
    size_t n_scans = r->read_scans.count + r->write_scans.count;
    struct resolution *made = mem_alloc(sizeof(*made) + n_scans * sizeof(struct resolved_scan) +
                                        n_slots * sizeof(uint32_t));
    struct resolved_scan *scans = (struct resolved_scan *)(made + 1);
    uint32_t *slots = (uint32_t *)(scans + n_scans);
    *made = (struct resolution){
        .tag = RESOLUTION_TAG,
        .refs = 1,
        .bypass = r->bypass,
        .reasons = r->reasons,
        .pending = r->pending,
        .barrier = r->barrier,
        .captured = r->captured,
        .utf8 = r->catalog != NULL && catalog_utf8(r->catalog),
        .settings = r->reads_settings ? catalog_settings_hash(r->catalog) : 0,
        .read_count = (uint16_t)r->reads.count,
        .write_count = (uint16_t)r->writes.count,
        .held_count = (uint16_t)r->held.count,
        .read_scan_count = (uint16_t)r->read_scans.count,
        .write_scan_count = (uint16_t)r->write_scans.count,
        .reads = copy_slots(&slots, &r->reads),
        .writes = copy_slots(&slots, &r->writes),
        .held = copy_slots(&slots, &r->held),
        .read_scans = copy_scans(&scans, &r->read_scans),
        .write_scans = copy_scans(&scans, &r->write_scans),
    };
    return made;
}

struct resolution *resolve(const struct analysis *a, const struct catalog *catalog,
                           const struct search_path *path)
{
    struct resolving r = {
        .analysis = a,
        .catalog = catalog,
        .path = path,
        .bypass = a->bypass,
        .reasons = a->reasons,
        .barrier = a->writes_unknown && !a->writes_by_calls,
    };
    if (!a->names_are_ascii && !path->utf8) {
        deny(&r, BYPASS_ENCODING);
        r.barrier |= !analysis_only_reads(a) || a->functions.count > 0;
        return resolution_of(&r);
    }
    if (catalog != NULL) {
        if (catalog_denied(catalog) != BYPASS_NONE)
            deny(&r, catalog_denied(catalog));
        r.barrier |= captured_casts_write(a, catalog);
        resolve_functions(&r);
        resolve_operators(&r);
        resolve_casts(&r);
        resolve_checks(&r);
    }
    if (a->writes_by_calls)
        resolve_calls(&r);
    if (a->searches_text)
        resolve_text_search(&r);
    resolve_types(&r);
    for (uint32_t i = 0; i < a->reads.count; i++)
        resolve_read(&r, i);
    if (!r.pending && !typed_all(a, r.dated))
        deny(&r, BYPASS_CAST);
    for (uint32_t i = 0; i < a->writes.count; i++)
        resolve_write(&r, i);
    return resolution_of(&r);
}

struct resolution *resolution_ref(struct resolution *r)
{
    TAG_CHECK(r, RESOLUTION_TAG);
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void resolution_unref(struct resolution **pointer)
{
    struct resolution *r = *pointer;
    *pointer = NULL;
    TAG_CHECK(r, RESOLUTION_TAG);
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    TAG_CLEAR(r);
    mem_free(r);
}

void analysis_names(const struct analysis *a,
                    void (*visit)(const struct sql_name *name, void *arg), void *arg)
{
    for (uint32_t i = 0; i < a->reads.count; i++)
        visit(&a->reads.at[i], arg);
    for (uint32_t i = 0; i < a->writes.count; i++)
        visit(&a->writes.at[i], arg);
    for (uint32_t i = 0; i < a->types.count; i++)
        visit(&a->types.at[i], arg);
    for (uint32_t i = 0; i < a->perhaps.count; i++)
        visit(&a->perhaps.at[i], arg);
    for (uint32_t i = 0; a->writes_by_calls && i < a->functions.count; i++)
        if (!captured_builtin_function(&a->functions.at[i]))
            visit(&a->functions.at[i], arg);
    for (uint32_t i = 0; i < a->casts.count; i++)
        if (!captured_builtin_type(&a->casts.at[i]))
            visit(&a->casts.at[i], arg);
    const struct sql_name text_search = text_search_name();
    if (a->searches_text)
        visit(&text_search, arg);
}
