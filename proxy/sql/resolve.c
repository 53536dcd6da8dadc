// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/resolve.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "cache/rules.h"
#include "proxy/sql/builtins.h"

enum {
    RESOLUTION_TAG = 0x7265736c,
    SAME_NAME_MAX = 16, // relations of one name along one path; more are not looked at
};

struct slots {
    uint32_t at[RESOLVE_SLOTS_MAX];
    uint32_t count;
};

struct resolving {
    const struct analysis *analysis;
    const struct catalog *catalog;
    const struct search_path *path;
    struct slots reads;
    struct slots writes;
    enum bypass bypass; // the first reason met
    uint64_t reasons;   // all of them
    bool pending;
    bool barrier;
    bool captured;
    bool opaque;
};

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

// ---- Relations ----------------------------------------------------------------------------------

// All relations that the name may mean for some role: the server skips schemas that the role may
// not use, which only it knows.
static enum catalog_answer find(const struct resolving *r, const struct sql_name *name,
                                const struct catalog_relation **found, size_t *n)
{
    *n = 0;
    if (r->catalog == NULL)
        return CATALOG_PENDING;
    if (name->schema.len == 0)
        return catalog_search(r->catalog, r->path->schemas, r->path->count, name->name, found,
                              SAME_NAME_MAX, n);
    enum catalog_answer answer = catalog_find(r->catalog, name->schema, name->name, &found[0]);
    *n = answer == CATALOG_FOUND;
    return answer;
}

static void resolve_read(struct resolving *r, const struct sql_name *name)
{
    const struct catalog_relation *found[SAME_NAME_MAX];
    size_t n;
    switch (find(r, name, found, &n)) {
    case CATALOG_PENDING:
        r->pending = true;
        r->opaque = true;
        deny(r, BYPASS_CATALOG_PENDING);
        return;
    case CATALOG_ABSENT:
        r->opaque = true;
        deny(r, BYPASS_UNKNOWN_RELATION);
        return;
    case CATALOG_FOUND:
        break;
    }
    for (size_t i = 0; i < n; i++) {
        enum bypass reason = found[i]->bypass;
        r->opaque |= reason == BYPASS_RELATION_KIND || reason == BYPASS_ROW_SECURITY;
        if (reason != BYPASS_NONE)
            deny(r, reason);
        else if (!add_slot(&r->reads, found[i]->slot))
            deny(r, BYPASS_UNSUPPORTED);
    }
}

static void resolve_write(struct resolving *r, const struct sql_name *name)
{
    const struct catalog_relation *found[SAME_NAME_MAX];
    size_t n;
    switch (find(r, name, found, &n)) {
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
        if (!add_slot(&r->writes, found[i]->slot) || !found[i]->writes_known)
            r->barrier = true;
}

// ---- Functions, operators, casts ----------------------------------------------------------------

static bool is_unqualified(const struct sql_name *name)
{
    return name->schema.len == 0;
}

static void capture(struct resolving *r, enum bypass reason)
{
    r->captured = true;
    r->barrier = true;
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
        if (is_unqualified(name) && catalog_captures_function(r->catalog, name->name))
            capture(r, BYPASS_UNKNOWN_FUNCTION);
        if ((int)catalog_function(r->catalog, name->name) >
            (int)builtin_function_volatility(name->name))
            deny(r, BYPASS_VOLATILE_FUNCTION);
    }
    for (uint32_t i = 0; i < a->fields.count; i++)
        if (catalog_captures_function(r->catalog, a->fields.at[i].name))
            capture(r, BYPASS_UNKNOWN_FUNCTION);
}

static void resolve_operators(struct resolving *r)
{
    const struct analysis *a = r->analysis;
    for (uint32_t i = 0; i < a->operators.count; i++) {
        const struct sql_name *name = &a->operators.at[i];
        if (is_unqualified(name) && catalog_captures_operator(r->catalog, name->name))
            capture(r, BYPASS_OPERATOR);
        if ((int)catalog_operator(r->catalog, name->name) >
            (int)builtin_operator_volatility(name->name))
            deny(r, BYPASS_OPERATOR);
    }
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
            capture(r, BYPASS_CAST);
}

// ---- The whole ----------------------------------------------------------------------------------

static int compare_slots(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static struct resolution *resolution_of(struct resolving *r)
{
    const uint64_t putable = RULES_FORCEABLE | 1ull << BYPASS_NO_RELATION;
    uint32_t reads = (r->reasons & ~putable) == 0 ? r->reads.count : 0;
    uint32_t writes = r->writes.count;
    qsort(r->reads.at, reads, sizeof(uint32_t), compare_slots);
    qsort(r->writes.at, writes, sizeof(uint32_t), compare_slots);
    struct resolution *made = mem_alloc(sizeof(*made) + (reads + writes) * sizeof(uint32_t));
    uint32_t *slots = (uint32_t *)(made + 1);
    memcpy(slots, r->reads.at, reads * sizeof(uint32_t));
    memcpy(slots + reads, r->writes.at, writes * sizeof(uint32_t));
    *made = (struct resolution){
        .tag = RESOLUTION_TAG,
        .refs = 1,
        .bypass = r->bypass,
        .reasons = r->reasons,
        .pending = r->pending,
        .barrier = r->barrier,
        .captured = r->captured,
        .opaque = r->opaque,
        .read_count = (uint16_t)reads,
        .write_count = (uint16_t)writes,
        .reads = slots,
        .writes = slots + reads,
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
        .barrier = a->writes_unknown,
    };
    if (!a->names_are_ascii && !path->utf8) {
        deny(&r, BYPASS_ENCODING);
        r.barrier |= !analysis_only_reads(a) || a->functions.count > 0;
        return resolution_of(&r);
    }
    if (catalog != NULL) {
        if (catalog_denied(catalog) != BYPASS_NONE)
            deny(&r, catalog_denied(catalog));
        resolve_functions(&r);
        resolve_operators(&r);
        resolve_casts(&r);
    }
    for (uint32_t i = 0; i < a->reads.count; i++)
        resolve_read(&r, &a->reads.at[i]);
    for (uint32_t i = 0; i < a->writes.count; i++)
        resolve_write(&r, &a->writes.at[i]);
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
}
