// SPDX-License-Identifier: Apache-2.0
#include "cache/touched.h"

#include "base/protection.h"

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

static void touch_any_row(struct touched *t, uint64_t table)
{
    if (protection_is_off(PROTECTION_ROWS))
        return;
    touch(t, ledger_rows_slot(table));
    touch(t, ledger_columns_slot(table));
}

// ---- Keys ---------------------------------------------------------------------------------------

static int told_as(const struct catalog_key *told, struct slice name)
{
    for (int i = 0; i < told->told; i++)
        if (slice_eq(told->columns[i].name, name))
            return i;
    return -1;
}

// The rows of a key, or all, if a value of it is not told.
static void touch_key(struct touched *t, uint64_t table, const uint8_t *columns, size_t n,
                      const struct row_tuple *tuple)
{
    uint64_t values[ROWKEY_COLUMNS_MAX];
    for (size_t i = 0; i < n; i++) {
        if (columns[i] == UINT8_MAX || tuple->states[columns[i]] != ROW_KNOWN) {
            touch(t, ledger_rows_slot(table));
            return;
        }
        values[i] = tuple->values[columns[i]];
    }
    t->keys += touch(t, ledger_key_slot(table, values, n));
}

// The old keys of the row and the new ones, as those of this key, which may be that of a table
// above: its columns have the same names.
static void touch_keys(struct touched *t, const struct row_keys *rows,
                       const struct catalog_key *told, const struct catalog_key *key)
{
    uint8_t columns[CATALOG_COLUMNS_MAX];
    uint8_t n = key->full ? key->told : key->count;
    for (uint8_t i = 0; i < n; i++)
        columns[i] = (uint8_t)(key == told ? i : told_as(told, key->columns[i].name));
    size_t first = protection_is_off(PROTECTION_OLD_KEY) ? rows->count - 1 : 0;
    for (size_t k = first; k < rows->count; k++) {
        const struct row_tuple *tuple = &rows->tuples[k];
        if (key->count > 0)
            touch_key(t, key->table, columns, key->count, tuple);
        for (uint8_t i = 0; key->full && i < n; i++)
            if (columns[i] == UINT8_MAX || tuple->states[columns[i]] != ROW_EQUALS_NONE)
                touch_key(t, key->columns[i].alone, &columns[i], 1, tuple);
    }
}

// Of a whole row every update tells the old one. If this does not, the identity is another one by
// now.
static bool take_row(const struct touched *t, const struct decoded *line,
                     const struct catalog_relation *r, struct row_keys *out)
{
    if (r == NULL || line->kind != DECODE_TABLE || !touched_wants_keys(t) ||
        (t->outdated && (r->key.full || r->ancestor_count > 0)))
        return false;
    return row_keys(line->row, &r->key, out) &&
           !(r->key.full && line->updates && out->count == 1);
}

static void touch_any_tree(struct touched *t, const struct catalog *catalog)
{
    size_t n;
    const struct catalog_relation *const *trees = catalog_trees(catalog, &n);
    for (size_t i = 0; i < n; i++)
        touch_any_row(t, trees[i]->table);
}

// ---- Rows ---------------------------------------------------------------------------------------

void touched_all(struct touched *t)
{
    t->all = true;
}

void touched_rows(struct touched *t, const struct catalog *catalog, uint64_t table,
                  const struct catalog_relation *r, const struct row_keys *rows)
{
    touch(t, ledger_table_slot(table));
    if (rows != NULL && (r->key.count > 0 || r->key.full))
        touch_keys(t, rows, &r->key, &r->key);
    else
        touch_any_row(t, table);
    if (r == NULL && t->outdated && catalog != NULL) // a new partition, perhaps
        touch_any_tree(t, catalog);
    for (uint32_t i = 0; r != NULL && i < r->ancestor_count; i++) { // its rows are theirs, too
        const struct catalog_relation *above = r->ancestors[i];
        touch(t, above->slot);
        if (rows == NULL)
            touch_any_row(t, above->table);
        else
            touch_keys(t, rows, &r->key, &above->key);
    }
}

void touched_line(struct touched *t, struct decoded *line, const struct catalog *catalog)
{
    struct decode_name n;
    while (decode_next_table(line, &n)) {
        struct slice schema = slice_of(n.schema_bytes, n.schema_len);
        struct slice name = slice_of(n.name_bytes, n.name_len);
        const struct catalog_relation *r =
            catalog == NULL ? NULL : catalog_event(catalog, schema, name);
        struct row_keys rows;
        bool known = take_row(t, line, r, &rows);
        uint64_t table = r != NULL ? r->table : ledger_table(schema, name);
        touched_rows(t, catalog, table, r, known ? &rows : NULL);
    }
}
