// SPDX-License-Identifier: Apache-2.0
#include "cache/touched.h"

#include "cache/row.h"

void touched_clear(struct touched *t)
{
    for (size_t i = 0; i < t->n; i++)
        t->bits[t->slots[i] / 64] = 0;
    t->n = t->keys = 0;
    t->all = false;
}

// True when it is new.
static bool touch(struct touched *t, uint32_t slot)
{
    uint64_t bit = (uint64_t)1 << (slot % 64);
    if (t->all || (t->bits[slot / 64] & bit))
        return false;
    if (t->n == TOUCHED_MAX) {
        t->all = true;
        return false;
    }
    t->bits[slot / 64] |= bit;
    t->slots[t->n++] = slot;
    return true;
}

// The old key and the new one. False: it may be any row.
static bool touch_keys(struct touched *t, struct slice row, const struct catalog_relation *r)
{
    struct row_keys keys;
    if (r == NULL || t->keys >= TOUCHED_KEYS_MAX || !row_keys(row, &r->key, &keys))
        return false;
    for (size_t i = 0; i < keys.count; i++)
        t->keys += touch(t, ledger_key_slot(r->table, keys.values[i], r->key.count));
    return true;
}

void touched_line(struct touched *t, struct decoded *line, const struct catalog *catalog)
{
    struct decode_name n;
    while (decode_next_table(line, &n)) {
        struct slice schema = slice_of(n.schema_bytes, n.schema_len);
        struct slice name = slice_of(n.name_bytes, n.name_len);
        const struct catalog_relation *r =
            catalog == NULL ? NULL : catalog_event(catalog, schema, name);
        uint64_t table = r != NULL ? r->table : ledger_table(schema, name);
        touch(t, ledger_table_slot(table));
        if (line->kind != DECODE_TABLE || !touch_keys(t, line->row, r))
            touch(t, ledger_rows_slot(table));
        for (uint32_t i = 0; r != NULL && i < r->ancestor_count; i++)
            touch(t, r->ancestors[i]->slot); // its rows are theirs, too
    }
}
