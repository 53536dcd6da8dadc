// SPDX-License-Identifier: Apache-2.0
#include "cache/written.h"

#include <string.h>

#include "base/mem.h"
#include "cache/lineage.h"

enum { VIEWS_DEEP_MAX = 32 };

struct assigned {
    uint32_t oid;
    struct slice column; // owned
};

struct written {
    struct assigned *at; // owns
    size_t count, room;
};

struct written *written_new(void)
{
    return mem_new(struct written);
}

void written_free(struct written *w)
{
    if (w == NULL)
        return;
    for (size_t i = 0; i < w->count; i++)
        mem_free((void *)(uintptr_t)w->at[i].column.at);
    mem_free(w->at);
    mem_free(w);
}

void written_assigns(struct written *w, uint32_t oid, struct slice column)
{
    if (w->count == w->room) {
        w->room = w->room == 0 ? 16 : 2 * w->room;
        w->at = mem_realloc(w->at, w->room * sizeof(*w->at));
    }
    uint8_t *bytes = mem_alloc(column.len + 1);
    if (column.len > 0)
        memcpy(bytes, column.at, column.len);
    w->at[w->count++] = (struct assigned){oid, slice_of(bytes, column.len)};
}

static struct catalog_relation *find(struct catalog_relation *const *relations, size_t n,
                                     uint32_t oid)
{
    size_t at = lineage_index_of(relations, n, oid);
    return at < n ? relations[at] : NULL;
}

static bool is_told(const struct catalog_key *key, struct slice column)
{
    for (uint8_t i = 0; i < key->told; i++)
        if (slice_eq(key->columns[i].name, column))
            return true;
    return false;
}

// Tables above and below may have other keys than this one: then every column counts.
static void settle_assigned(const struct assigned *a, struct catalog_relation *const *relations,
                            size_t n)
{
    struct catalog_relation *r = find(relations, n, a->oid);
    if (r == NULL)
        return;
    r->rewrites |= a->column.len == 0 || r->stands_for_others || r->ancestor_count > 0 ||
                   is_told(&r->key, a->column);
    for (uint32_t i = 0; i < r->ancestor_count; i++) {
        struct catalog_relation *above = find(relations, n, r->ancestors[i]->oid);
        if (above != NULL)
            above->rewrites = true;
    }
}

// A view that is written without a rule or a trigger of its own is one that PostgreSQL takes for
// the relation that it reads; any other refuses.
static void settle_view(struct catalog_relation *view)
{
    bool known = true;
    const struct catalog_relation *r = view;
    for (int deep = 0; r != NULL && r->is_view; deep++) {
        known &= r->writes_known && !r->runs_code && deep < VIEWS_DEEP_MAX;
        r = known ? r->base : NULL;
    }
    view->writes_known = r != NULL && r->writes_known;
    view->base = view->writes_known ? r : NULL;
}

void written_settle(const struct written *w, struct catalog_relation *const *relations, size_t n)
{
    for (size_t i = 0; i < w->count; i++)
        settle_assigned(&w->at[i], relations, n);
    for (size_t i = 0; i < n; i++)
        if (relations[i]->is_view)
            settle_view(relations[i]);
}
