// SPDX-License-Identifier: Apache-2.0
// Names are kept as 64-bit hashes with their kind: two that meet cost a question. Spelled with a
// backslash are those that are not plain ASCII; they are not told apart.
#include "proxy/sql/coded.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/reader.h"

enum {
    CODED_TAG = 0x636f6465,
    NAME_BYTES_MAX = 255,
    FINGERPRINT_BYTES_MAX = 4096,
};

// As the question's answer says them.
enum name_kind {
    NAME_RELATION = 'r',
    NAME_READ = 's', // of those, the ones whose readers run it
    NAME_FUNCTION = 'f', // a user's, with the name of one of PostgreSQL's own
    NAME_FIELD = '.',    // a user's, that t.name may call
    NAME_GETTER = ':',   // a user's, that (x).name may call, whatever x is
    NAME_OPERATOR = 'o',
    NAME_TYPE = 't',
    NAME_EVENT = 'e',      // there are event triggers
    NAME_ANYTHING = '*',   // a cast or the like: any expression may run it
    NAME_FINGERPRINT = '=',
};

struct coded {
    uint32_t tag;
    _Atomic uint32_t refs;
    uint64_t number;
    bool anything;
    bool foreign;     // some names are not plain ASCII
    bool types;       // some are of types
    bool getters;     // some of getters, which are not in the count
    size_t count;
    size_t mask;      // of the table
    uint64_t *table;  // owns; open addressing, 0: free
    char *fingerprint; // owns
};

struct coded_draft {
    struct buf hashes; // owns; uint64_t each
    char *fingerprint; // owns; NULL: not said yet
    size_t count;
    bool anything, foreign, types, getters, odd;
};

// ---- the answer ----

static bool is_plain(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= 0x80 || name.at[i] == '\\')
            return false;
    return true;
}

// Never 0. name: of at most NAME_BYTES_MAX bytes.
static uint64_t hash_of(enum name_kind kind, struct slice name)
{
    uint8_t bytes[1 + NAME_BYTES_MAX];
    bytes[0] = (uint8_t)kind;
    memcpy(bytes + 1, name.at, name.len);
    uint64_t hash = hash_bytes(bytes, 1 + name.len);
    return hash != 0 ? hash : 1;
}

struct coded_draft *coded_draft_new(void)
{
    return mem_new(struct coded_draft);
}

void coded_draft_free(struct coded_draft **pointer)
{
    struct coded_draft *draft = *pointer;
    *pointer = NULL;
    if (draft == NULL)
        return;
    buf_fini(&draft->hashes);
    mem_free(draft->fingerprint);
    mem_free(draft);
}

static void add_name(struct coded_draft *draft, enum name_kind kind, struct slice name)
{
    draft->count++;
    if (!is_plain(name)) {
        draft->foreign = true;
        return;
    }
    uint64_t hash = hash_of(kind, name);
    buf_bytes(&draft->hashes, &hash, sizeof(hash));
}

static void add(struct coded_draft *draft, uint8_t kind, struct slice name)
{
    switch (kind) {
    case NAME_FINGERPRINT:
        draft->odd |= draft->fingerprint != NULL || name.len > FINGERPRINT_BYTES_MAX;
        if (!draft->odd)
            draft->fingerprint = mem_strndup((const char *)name.at, name.len);
        return;
    case NAME_ANYTHING:
        draft->anything = true;
        draft->count++;
        return;
    case NAME_EVENT: // they concern what changes the schema, and that always counts
        draft->count++;
        return;
    case NAME_TYPE:
        draft->types = true;
        add_name(draft, NAME_TYPE, name);
        return;
    case NAME_READ:
        draft->count--; // counted as a relation
        add_name(draft, NAME_READ, name);
        return;
    case NAME_GETTER:
        draft->getters = true;
        draft->count--;
        add_name(draft, NAME_GETTER, name);
        return;
    case NAME_RELATION:
    case NAME_FUNCTION:
    case NAME_FIELD:
    case NAME_OPERATOR:
        add_name(draft, (enum name_kind)kind, name);
        return;
    }
    draft->odd = true;
}

void coded_draft_row(struct coded_draft *draft, struct slice row)
{
    struct reader r = reader_of(row);
    uint16_t columns = reader_u16(&r);
    if (reader_ok(&r) && columns == 1) // of the settings in front
        return;
    uint32_t kind_bytes = reader_u32(&r);
    uint8_t kind = reader_u8(&r);
    uint32_t bytes = reader_u32(&r);
    struct slice name = reader_bytes(&r, bytes);
    if (columns != 2 || kind_bytes != 1 || !reader_done(&r) ||
        (kind != NAME_FINGERPRINT && name.len > NAME_BYTES_MAX)) {
        draft->odd = true;
        return;
    }
    add(draft, kind, name);
}

static void fill_table(struct coded *coded, const uint64_t *hashes, size_t n)
{
    size_t room = 16;
    while (room < 2 * n)
        room *= 2;
    coded->mask = room - 1;
    coded->table = mem_zalloc(room * sizeof(*coded->table));
    for (size_t i = 0; i < n; i++) {
        size_t at = hashes[i] & coded->mask;
        while (coded->table[at] != 0)
            at = (at + 1) & coded->mask;
        coded->table[at] = hashes[i];
    }
}

struct coded *coded_draft_end(struct coded_draft **pointer)
{
    static _Atomic uint64_t last_number;
    struct coded_draft *draft = *pointer;
    if (draft->odd || draft->fingerprint == NULL) {
        coded_draft_free(pointer);
        return NULL;
    }
    struct coded *coded = mem_new(struct coded);
    TAG_SET(coded, CODED_TAG);
    coded->refs = 1;
    coded->number = atomic_fetch_add(&last_number, 1) + 1;
    coded->anything = draft->anything;
    coded->foreign = draft->foreign;
    coded->types = draft->types;
    coded->getters = draft->getters;
    coded->count = draft->count;
    coded->fingerprint = draft->fingerprint;
    draft->fingerprint = NULL;
    fill_table(coded, (const uint64_t *)(const void *)draft->hashes.at,
               draft->hashes.len / sizeof(uint64_t));
    coded_draft_free(pointer);
    return coded;
}

// ---- its life ----

struct coded *coded_ref(struct coded *coded)
{
    TAG_CHECK(coded, CODED_TAG);
    atomic_fetch_add_explicit(&coded->refs, 1, memory_order_relaxed);
    return coded;
}

void coded_unref(struct coded **pointer)
{
    struct coded *coded = *pointer;
    *pointer = NULL;
    if (coded == NULL)
        return;
    TAG_CHECK(coded, CODED_TAG);
    if (atomic_fetch_sub_explicit(&coded->refs, 1, memory_order_acq_rel) != 1)
        return;
    TAG_CLEAR(coded);
    mem_free(coded->table);
    mem_free(coded->fingerprint);
    mem_free(coded);
}

uint64_t coded_number(const struct coded *coded)
{
    return coded->number;
}

bool coded_is_empty(const struct coded *coded)
{
    return coded->count == 0 && !coded->getters;
}

size_t coded_count(const struct coded *coded)
{
    return coded->count;
}

bool coded_same(const struct coded *a, const struct coded *b)
{
    return strcmp(a->fingerprint, b->fingerprint) == 0;
}

// ---- the verdict ----

static bool has_hash(const struct coded *coded, uint64_t hash)
{
    for (size_t at = hash & coded->mask; coded->table[at] != 0; at = (at + 1) & coded->mask)
        if (coded->table[at] == hash)
            return true;
    return false;
}

bool coded_adds(const struct coded *a, const struct coded *b)
{
    if (b->anything)
        return false;
    if (a->anything || (a->foreign && !b->foreign) || (a->count > 0 && b->count == 0))
        return true;
    for (size_t i = 0; i <= a->mask; i++)
        if (a->table[i] != 0 && !has_hash(b, a->table[i]))
            return true;
    return false;
}

static bool has(const struct coded *coded, enum name_kind kind, struct slice name)
{
    if (!is_plain(name) || name.len > NAME_BYTES_MAX)
        return coded->foreign || name.len > NAME_BYTES_MAX;
    return has_hash(coded, hash_of(kind, name));
}

static bool has_any(const struct coded *coded, enum name_kind kind, const struct sql_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (has(coded, kind, names->at[i].name))
            return true;
    return false;
}

bool coded_concerns(const struct coded *coded, const struct analysis *a)
{
    if (coded_is_empty(coded) || !analysis_may_run_more(a))
        return false;
    // Types may be named where nothing is cast, in what was not reviewed (column definition lists).
    bool unsupported = (a->reasons & 1ull << BYPASS_UNSUPPORTED) != 0;
    return coded->anything || (coded->types && unsupported) || a->ddl ||
           a->touches_unnamed || (a->writes_unknown && !a->writes_by_calls) ||
           has_any(coded, NAME_READ, &a->reads) || has_any(coded, NAME_RELATION, &a->writes) ||
           has_any(coded, NAME_RELATION, &a->catalogs) ||
           has_any(coded, NAME_FUNCTION, &a->functions) ||
           has_any(coded, NAME_FIELD, &a->fields) ||
           (a->gets && has_any(coded, NAME_GETTER, &a->fields)) ||
           has_any(coded, NAME_OPERATOR, &a->operators) || has_any(coded, NAME_TYPE, &a->casts);
}
