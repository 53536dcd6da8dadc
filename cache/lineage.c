// SPDX-License-Identifier: Apache-2.0
#include "cache/lineage.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "cache/ledger.h"
#include "cache/written.h"

enum edge_kind { EDGE_CHILD, EDGE_PARENT, EDGE_USES, EDGE_KINDS };

struct edge {
    uint32_t from, to; // oids
};

struct edges {
    struct edge *at; // owns
    size_t count, room;
};

struct denial {
    uint32_t oid;
    enum bypass reason; // BYPASS_NONE: none
    bool runs_code;
    bool reads_settings;
    bool unreported;
    bool writes_unknown;
};

struct show {
    uint32_t view, relation;
    struct slice column, of; // owned: column's bytes are both
};

struct lineage {
    struct edges edges[EDGE_KINDS];
    struct show *shows; // owns; in the order they were told
    size_t show_count, show_room;
    struct denial *denials; // owns; in the order they were told
    size_t denial_count, denial_room;
    struct written *written; // owns
    bool truncated;
};

// ---- What is told -------------------------------------------------------------------------------

struct lineage *lineage_new(void)
{
    struct lineage *l = mem_new(struct lineage);
    l->written = written_new();
    return l;
}

void lineage_free(struct lineage *l)
{
    if (l == NULL)
        return;
    for (int kind = 0; kind < EDGE_KINDS; kind++)
        mem_free(l->edges[kind].at);
    for (size_t i = 0; i < l->show_count; i++)
        mem_free((void *)(uintptr_t)l->shows[i].column.at);
    mem_free(l->shows);
    mem_free(l->denials);
    written_free(l->written);
    mem_free(l);
}

static void add_edge(struct edges *edges, uint32_t from, uint32_t to)
{
    if (edges->count == edges->room) {
        edges->room = edges->room == 0 ? 64 : 2 * edges->room;
        edges->at = mem_realloc(edges->at, edges->room * sizeof(*edges->at));
    }
    edges->at[edges->count++] = (struct edge){from, to};
}

void lineage_child(struct lineage *l, uint32_t parent, uint32_t child)
{
    add_edge(&l->edges[EDGE_CHILD], parent, child);
    add_edge(&l->edges[EDGE_PARENT], child, parent);
}

void lineage_uses(struct lineage *l, uint32_t view, uint32_t relation)
{
    add_edge(&l->edges[EDGE_USES], view, relation);
}

void lineage_shows(struct lineage *l, uint32_t view, struct slice column, uint32_t relation,
                   struct slice of)
{
    if (l->show_count == l->show_room) {
        l->show_room = l->show_room == 0 ? 64 : 2 * l->show_room;
        l->shows = mem_realloc(l->shows, l->show_room * sizeof(*l->shows));
    }
    uint8_t *bytes = mem_alloc(column.len + of.len + 1);
    memcpy(bytes, column.at, column.len);
    memcpy(bytes + column.len, of.at, of.len);
    l->shows[l->show_count++] = (struct show){view, relation, slice_of(bytes, column.len),
                                              slice_of(bytes + column.len, of.len)};
}

static void add_denial(struct lineage *l, struct denial denial)
{
    if (l->denial_count == l->denial_room) {
        l->denial_room = l->denial_room == 0 ? 64 : 2 * l->denial_room;
        l->denials = mem_realloc(l->denials, l->denial_room * sizeof(*l->denials));
    }
    l->denials[l->denial_count++] = denial;
}

void lineage_deny(struct lineage *l, uint32_t oid, enum bypass reason)
{
    add_denial(l, (struct denial){.oid = oid, .reason = reason});
}

void lineage_unreported(struct lineage *l, uint32_t oid, enum bypass reason)
{
    add_denial(l, (struct denial){.oid = oid, .reason = reason, .unreported = true});
}

void lineage_writes_unknown(struct lineage *l, uint32_t oid)
{
    add_denial(l, (struct denial){.oid = oid, .writes_unknown = true});
}

void lineage_assigns(struct lineage *l, uint32_t oid, struct slice column)
{
    written_assigns(l->written, oid, column);
}

void lineage_runs_code(struct lineage *l, uint32_t oid)
{
    add_denial(l, (struct denial){.oid = oid, .runs_code = true});
}

void lineage_reads_settings(struct lineage *l, uint32_t oid)
{
    add_denial(l, (struct denial){.oid = oid, .reads_settings = true});
}

void lineage_truncated(struct lineage *l)
{
    l->truncated = true;
}

// ---- Settling -----------------------------------------------------------------------------------

struct settling {
    struct lineage *lineage;
    struct catalog_relation **relations; // by oid
    size_t n;
    uint32_t *seen;  // by relation: the number of the walk that met it last
    uint32_t *queue; // of a walk: indexes of relations
    uint32_t walk;
    uint8_t *done;   // by relation: VIEW_...
};

enum { SHOWN_KEYS_MAX = 8 }; // of one view; those of more relations are not told apart
enum { VIEW_NEW, VIEW_UNDER_WAY, VIEW_DONE };

static int compare_relations(const void *a, const void *b)
{
    const struct catalog_relation *x = *(struct catalog_relation *const *)a;
    const struct catalog_relation *y = *(struct catalog_relation *const *)b;
    return (x->oid > y->oid) - (x->oid < y->oid);
}

static int compare_edges(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

size_t lineage_index_of(struct catalog_relation *const *relations, size_t n, uint32_t oid)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (relations[middle]->oid == oid)
            return middle;
        if (relations[middle]->oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return n;
}

static size_t index_of(const struct settling *s, uint32_t oid)
{
    return lineage_index_of(s->relations, s->n, oid);
}

static size_t first_edge(const struct edges *edges, uint32_t from)
{
    size_t low = 0, high = edges->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (edges->at[middle].from < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_edges(const struct settling *s, enum edge_kind kind, uint32_t oid)
{
    const struct edges *edges = &s->lineage->edges[kind];
    size_t at = first_edge(edges, oid);
    return at < edges->count && edges->at[at].from == oid;
}

// Lengthens the queue by all that can be reached from what is in it; returns the new length.
static size_t spread(struct settling *s, enum edge_kind kind, size_t count)
{
    const struct edges *edges = &s->lineage->edges[kind];
    for (size_t i = 0; i < count; i++) {
        uint32_t oid = s->relations[s->queue[i]]->oid;
        for (size_t e = first_edge(edges, oid); e < edges->count && edges->at[e].from == oid; e++) {
            size_t to = index_of(s, edges->at[e].to);
            if (to == s->n || s->seen[to] == s->walk)
                continue;
            s->seen[to] = s->walk;
            s->queue[count++] = (uint32_t)to;
        }
    }
    return count;
}

static size_t begin_walk(struct settling *s, size_t at)
{
    s->walk++;
    s->seen[at] = s->walk;
    s->queue[0] = (uint32_t)at;
    return 1;
}

struct slots {
    uint32_t at[LINEAGE_SLOTS_MAX];
    uint16_t count;
    bool overflow;
};

static void add_slot(struct slots *slots, uint32_t slot)
{
    for (uint16_t i = 0; i < slots->count; i++)
        if (slots->at[i] == slot)
            return;
    if (slots->count == LINEAGE_SLOTS_MAX)
        slots->overflow = true;
    else
        slots->at[slots->count++] = slot;
}

// On what is not its own rows.
static void depend(struct catalog_relation *r, struct slots *reads, uint32_t slot)
{
    r->shares_slot |= slot == r->slot;
    add_slot(reads, slot);
}

static const uint32_t *copy_slots(const struct slots *slots)
{
    uint32_t *copy = mem_alloc((slots->count + 1u) * sizeof(*copy));
    memcpy(copy, slots->at, slots->count * sizeof(*copy));
    return copy;
}

// No table has such a schema: the bytes of a name do not end in a NUL.
static uint32_t down_slot(const struct catalog_relation *r)
{
    uint8_t marked[256];
    size_t len = r->schema.len < sizeof(marked) - 1 ? r->schema.len : sizeof(marked) - 1;
    memcpy(marked, r->schema.at, len);
    marked[len] = 0;
    return ledger_table_slot(ledger_table(slice_of(marked, len + 1), r->name));
}

static void deny(struct catalog_relation *r, enum bypass reason)
{
    if (r->bypass == BYPASS_NONE)
        r->bypass = reason;
    r->reasons |= 1ull << reason;
}

// Those above a relation, nearest first; then, for reading, its slots.
static void settle_ancestors(struct settling *s, size_t at)
{
    struct catalog_relation *r = s->relations[at];
    struct slots reads = {.count = 0};
    size_t n = spread(s, EDGE_PARENT, begin_walk(s, at)) - 1;
    add_slot(&reads, r->slot);
    if (n > 0) {
        const struct catalog_relation **above = mem_alloc(n * sizeof(*above));
        for (size_t i = 0; i < n; i++) {
            above[i] = s->relations[s->queue[i + 1]];
            depend(r, &reads, down_slot(above[i]));
        }
        r->ancestors = above;
        r->ancestor_count = (uint32_t)n;
    }
    if (reads.overflow)
        deny(r, BYPASS_INHERITANCE);
    r->reads = copy_slots(&reads);
    r->read_count = reads.count;
}

// What a write through it closes. All that is below must report its rows; triggers there count.
static void settle_tree(struct settling *s, size_t at)
{
    struct catalog_relation *r = s->relations[at];
    struct slots writes = {.count = 0};
    size_t n = spread(s, EDGE_CHILD, begin_walk(s, at));
    add_slot(&writes, r->slot);
    if (n > 1)
        add_slot(&writes, down_slot(r));
    if (n > 1 && !r->is_partitioned) // a child need not have its parent's key
        r->key = (struct catalog_key){.table = r->key.table};
    for (size_t i = 1; i < n; i++) {
        const struct catalog_relation *below = s->relations[s->queue[i]];
        if (below->unreported != BYPASS_NONE)
            deny(r, below->unreported);
        r->key.full &= below->key.full; // of those between, its own tables below say so, too
        r->writes_known &= below->writes_itself_known;
    }
    if (!r->key.full)
        r->key.told = r->key.count;
    size_t all = spread(s, EDGE_PARENT, n);
    for (size_t i = n; i < all; i++)
        add_slot(&writes, s->relations[s->queue[i]]->slot);
    for (size_t i = 1; i < n && !writes.overflow; i++) // below, and above others below
        if (has_edges(s, EDGE_CHILD, s->relations[s->queue[i]]->oid))
            add_slot(&writes, s->relations[s->queue[i]]->slot);
    if (writes.overflow)
        r->writes_known = false;
    r->writes = copy_slots(&writes);
    r->write_count = writes.count;
}

static void add_shown(struct catalog_key *key, const struct catalog_column *of, struct slice name)
{
    if (key->told == CATALOG_COLUMNS_MAX)
        return;
    key->columns[key->told] = *of;
    key->columns[key->told++].name = name;
}

// The names that a view gives to a column of the relation; the first only, or all of them.
static void show_column(const struct settling *s, const struct edge *use, struct catalog_key *key,
                        const struct catalog_column *column, bool first)
{
    for (size_t i = 0; i < s->lineage->show_count; i++) {
        const struct show *show = &s->lineage->shows[i];
        if (show->view != use->from || show->relation != use->to ||
            !slice_eq(show->of, column->name))
            continue;
        add_shown(key, column, show->column);
        if (first)
            return;
    }
}

static bool shows(const struct settling *s, const struct catalog_relation *view,
                  const struct catalog_relation *below)
{
    for (size_t i = 0; i < s->lineage->show_count; i++)
        if (s->lineage->shows[i].view == view->oid &&
            s->lineage->shows[i].relation == below->oid)
            return true;
    return false;
}

// The keys of what a view shows, of which only the rows that are asked for count: each is of the
// relation that one edge leads to.
struct keys {
    struct catalog_key at[SHOWN_KEYS_MAX];
    size_t edge[SHOWN_KEYS_MAX];
    uint8_t count;
};

// The key of what a relation below is, or shows, if the view shows that.
static void show_key(const struct settling *s, const struct catalog_key *key, size_t edge,
                     struct keys *keys)
{
    const struct edge *use = &s->lineage->edges[EDGE_USES].at[edge];
    if (keys->count == SHOWN_KEYS_MAX)
        return;
    struct catalog_key *shown = &keys->at[keys->count];
    *shown = (struct catalog_key){.table = key->table};
    for (uint8_t i = 0; i < key->count; i++)
        show_column(s, use, shown, &key->columns[i], true);
    if (shown->told == key->count)
        shown->count = key->count;
    else
        shown->told = 0;
    shown->full = key->full;
    for (uint8_t i = 0; key->full && i < key->told; i++)
        show_column(s, use, shown, &key->columns[i], false);
    keys->edge[keys->count] = edge;
    keys->count += shown->told > 0;
}

static bool reads_table(const struct catalog_relation *r, uint64_t table)
{
    for (uint16_t i = 0; i < r->read_count; i++)
        if (r->reads[i] == ledger_table_slot(table))
            return true;
    return false;
}

// Does the view read these rows in no other way? Else its key does not say which of them count.
static bool is_only_way(const struct settling *s, const struct catalog_relation *view,
                        uint64_t table, size_t edge)
{
    const struct edges *edges = &s->lineage->edges[EDGE_USES];
    size_t e = first_edge(edges, view->oid);
    for (; e < edges->count && edges->at[e].from == view->oid; e++) {
        size_t to = index_of(s, edges->at[e].to);
        if (e != edge && to < s->n && reads_table(s->relations[to], table))
            return false;
    }
    return true;
}

static void keep_keys(const struct settling *s, struct catalog_relation *view, struct keys *keys)
{
    uint8_t kept = 0;
    size_t bytes = 0;
    for (uint8_t i = 0; i < keys->count; i++) {
        struct catalog_key *key = &keys->at[i];
        if (reads_table(view, key->table) || !is_only_way(s, view, key->table, keys->edge[i]))
            continue;
        for (uint8_t k = 0; k < key->told; k++)
            bytes += key->columns[k].name.len;
        keys->at[kept++] = *key;
    }
    if (kept == 0)
        return;
    uint8_t *at = mem_alloc(bytes + 1);
    view->shown = at;
    for (uint8_t i = 0; i < kept; i++)
        for (uint8_t k = 0; k < keys->at[i].told; k++) {
            struct slice *name = &keys->at[i].columns[k].name;
            memcpy(at, name->at, name->len);
            *name = slice_of(at, name->len);
            at += name->len;
        }
    view->key = keys->at[0];
    if (kept == 1)
        return;
    struct catalog_key *more = mem_alloc((size_t)(kept - 1) * sizeof(*more));
    memcpy(more, keys->at + 1, (size_t)(kept - 1) * sizeof(*more));
    view->more_keys = more;
    view->more_key_count = (uint8_t)(kept - 1);
}

// A view is what it reads; so is a table with policies that read others.
static void settle_view(struct settling *s, size_t at)
{
    struct catalog_relation *r = s->relations[at];
    const struct edges *edges = &s->lineage->edges[EDGE_USES];
    struct slots reads = {.count = 0};
    struct keys keys = {.count = 0};
    if (s->done[at] == VIEW_UNDER_WAY) // a circle, which PostgreSQL refuses to read
        deny(r, r->is_view ? BYPASS_RELATION_KIND : BYPASS_ROW_SECURITY);
    if (s->done[at] != VIEW_NEW || !has_edges(s, EDGE_USES, r->oid))
        return;
    s->done[at] = VIEW_UNDER_WAY;
    for (uint16_t i = 0; i < r->read_count; i++)
        add_slot(&reads, r->reads[i]);
    for (size_t e = first_edge(edges, r->oid); e < edges->count && edges->at[e].from == r->oid;
         e++) {
        size_t to = index_of(s, edges->at[e].to);
        if (to == s->n) {
            deny(r, BYPASS_UNKNOWN_RELATION);
            r->runs_code = true;
            continue;
        }
        settle_view(s, to);
        const struct catalog_relation *below = s->relations[to];
        bool alone = e + 1 == edges->count || edges->at[e + 1].from != r->oid;
        r->base = r->is_view && alone && e == first_edge(edges, r->oid) ? below : NULL;
        for (uint8_t i = 0; shows(s, r, below) && i < catalog_key_count(below); i++)
            show_key(s, catalog_key_at(below, i), e, &keys);
        if (below->bypass != BYPASS_NONE)
            deny(r, below->bypass);
        if (below->bypass != BYPASS_NONE && !r->is_view) // which no rule puts aside
            deny(r, BYPASS_ROW_SECURITY);
        r->reasons |= below->reasons;
        r->runs_code |= below->runs_code;
        r->reads_settings |= below->reads_settings;
        r->shares_slot |= below->shares_slot;
        for (uint16_t i = 0; i < below->read_count; i++)
            depend(r, &reads, below->reads[i]);
    }
    if (reads.overflow)
        deny(r, BYPASS_UNSUPPORTED);
    keep_keys(s, r, &keys);
    mem_free((void *)(uintptr_t)r->reads);
    r->reads = copy_slots(&reads);
    r->read_count = reads.count;
    s->done[at] = VIEW_DONE;
}

static void apply_denials(struct settling *s)
{
    for (size_t i = 0; i < s->lineage->denial_count; i++) {
        const struct denial *denial = &s->lineage->denials[i];
        size_t at = index_of(s, denial->oid);
        if (at == s->n)
            continue;
        if (denial->reason != BYPASS_NONE)
            deny(s->relations[at], denial->reason);
        if (denial->unreported && s->relations[at]->unreported == BYPASS_NONE)
            s->relations[at]->unreported = denial->reason;
        s->relations[at]->runs_code |= denial->runs_code;
        s->relations[at]->writes_known &= !denial->writes_unknown;
        s->relations[at]->reads_settings |= denial->reads_settings;
    }
}

static void give_up_on_compounds(struct settling *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct catalog_relation *r = s->relations[i];
        if (!r->stands_for_others)
            continue;
        deny(r, BYPASS_INHERITANCE);
        r->writes_known = false;
        r->runs_code |= r->is_view;
    }
}

static uint64_t hash_ancestors(const struct settling *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct catalog_relation *r = s->relations[i];
        for (uint32_t k = 0; k < r->ancestor_count; k++) {
            const struct catalog_relation *above = r->ancestors[k];
            const struct catalog_key *key = &above->key; // which of its slots an event raises
            uint32_t said[] = {r->oid,     r->slot,   above->oid, above->slot,
                               key->count, key->told, key->full};
            sum += hash_bytes(said, sizeof(said));
        }
    }
    return sum;
}

uint64_t lineage_settle(struct lineage *l, struct catalog_relation **relations, size_t n)
{
    struct settling s = {
        .lineage = l,
        .relations = relations,
        .n = n,
        .seen = mem_zalloc((n + 1) * sizeof(uint32_t)),
        .queue = mem_alloc((n + 1) * sizeof(uint32_t)),
        .done = mem_zalloc(n + 1),
    };
    if (n > 0)
        qsort(relations, n, sizeof(*relations), compare_relations);
    for (int kind = 0; kind < EDGE_KINDS; kind++)
        if (l->edges[kind].count > 0)
            qsort(l->edges[kind].at, l->edges[kind].count, sizeof(struct edge), compare_edges);
    for (size_t i = 0; i < n; i++)
        relations[i]->reasons =
            relations[i]->bypass == BYPASS_NONE ? 0 : 1ull << relations[i]->bypass;
    apply_denials(&s);
    if (l->truncated)
        give_up_on_compounds(&s);
    for (size_t i = 0; i < n; i++)
        relations[i]->writes_itself_known = relations[i]->writes_known;
    for (size_t i = 0; i < n; i++)
        settle_ancestors(&s, i);
    for (size_t i = 0; i < n; i++)
        settle_tree(&s, i);
    for (size_t i = 0; i < n; i++)
        settle_view(&s, i);
    written_settle(l->written, relations, n);
    uint64_t hash = hash_ancestors(&s);
    mem_free(s.seen);
    mem_free(s.queue);
    mem_free(s.done);
    return hash;
}

void lineage_release(struct catalog_relation *r)
{
    mem_free((void *)(uintptr_t)r->reads);
    mem_free((void *)(uintptr_t)r->writes);
    mem_free((void *)(uintptr_t)r->ancestors);
    mem_free((void *)(uintptr_t)r->more_keys);
    mem_free((void *)(uintptr_t)r->shown);
}
