// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/keyed.h"

enum { FIXES_MAX = 1024 }; // that are looked at; of a statement with more none is linked

enum catalog_answer keyed_find(const struct keyed *k, const struct sql_name *name,
                               const struct catalog_relation **found, size_t *n)
{
    *n = 0;
    if (k->catalog == NULL)
        return CATALOG_PENDING;
    if (name->schema.len == 0)
        return catalog_search(k->catalog, k->path->schemas, k->path->count, name->name, found,
                              KEYED_SAME_NAME_MAX, n);
    enum catalog_answer answer = catalog_find(k->catalog, name->schema, name->name, &found[0]);
    *n = answer == CATALOG_FOUND;
    return answer;
}

struct one_key keyed_first(const struct catalog_key *key)
{
    return (struct one_key){key->columns, key->count, key->table};
}

struct one_key keyed_column(const struct catalog_key *key, int i)
{
    return (struct one_key){&key->columns[i], 1, key->columns[i].alone};
}

static int column_of(const struct one_key *key, struct slice name)
{
    for (int i = 0; i < key->count; i++)
        if (slice_eq(key->columns[i].name, name))
            return i;
    return -1;
}

// ---- From place to place ------------------------------------------------------------------------

// What is looked for: a fix with values, for a column of this form.
struct search {
    const struct keyed *in;
    enum rowkey_type type;
    uint64_t seen[FIXES_MAX / 64]; // fixes that were followed: where they lead is known
    int fix;                       // the one with values
    bool apart;
};

// Is it a column of this form, as far as is known?
static bool is_form(const struct catalog_relation *relation, struct slice name,
                    enum rowkey_type type)
{
    for (uint8_t i = 0; i < catalog_key_count(relation); i++) {
        const struct catalog_key *key = catalog_key_at(relation, i);
        struct one_key told = {key->columns, key->told, 0};
        int column = column_of(&told, name);
        if (column >= 0)
            return key->columns[column].type == type;
    }
    return false;
}

// Is the other column known to be of the same form, whatever relation its place means? Then what
// equals it equals the values. (Not with padding: text that equals the padded value may differ.)
// absent: it is fine, too, if there is surely none of that name.
static bool is_same(const struct search *s, uint16_t scan, struct slice column, bool absent)
{
    const struct catalog_relation *found[KEYED_SAME_NAME_MAX];
    const struct analysis *a = s->in->analysis;
    size_t n;
    if (s->type == ROWKEY_PADDED || scan >= a->keys.n_scans)
        return false;
    const struct sql_scan *other = &a->keys.scans[scan];
    if (other->whole || other->written || other->name >= a->reads.count ||
        keyed_find(s->in, &a->reads.at[other->name], found, &n) != CATALOG_FOUND)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_form(found[i], column, s->type) &&
            !(absent && catalog_column_kind(found[i], column) == CATALOG_NO_COLUMN))
            return false;
    return true;
}

// Is it a fix of the column? One that joins may have made of several is each of them only if they
// are of the same form.
static bool is_of(const struct search *s, const struct sql_fix *fix, enum sql_fix_kind kind,
                  struct slice column)
{
    bool any = kind == FIX_LINKED && fix->column.len == 0;
    if (fix->kind != kind || (!any && !slice_eq(fix->column, column)))
        return false;
    for (uint16_t i = 0; i < fix->n_among; i++)
        if (!is_same(s, (uint16_t)(fix->among + i), column, true))
            return false;
    return true;
}

static bool find_values(struct search *s, const struct sql_scan *scan, struct slice column);

static bool follow(struct search *s, const struct sql_fix *fix, int number, struct slice column)
{
    uint64_t bit = UINT64_C(1) << (number % 64);
    struct slice other = fix->other_column.len > 0 ? fix->other_column : column;
    if (number >= FIXES_MAX || (s->seen[number / 64] & bit) != 0 ||
        !is_same(s, fix->other, other, false))
        return false;
    s->seen[number / 64] |= bit;
    if (!find_values(s, &s->in->analysis->keys.scans[fix->other], other))
        return false;
    s->apart |= fix->apart;
    return true;
}

// Values are taken before links.
static bool find_values(struct search *s, const struct sql_scan *scan, struct slice column)
{
    const struct sql_fix *fixes = s->in->analysis->keys.fixes;
    int end = scan->first + scan->count;
    for (int i = scan->first; i < end; i++)
        if (is_of(s, &fixes[i], FIX_EQUAL, column)) {
            s->fix = i;
            return true;
        }
    for (int i = scan->first; i < end; i++)
        if (is_of(s, &fixes[i], FIX_LINKED, column) && follow(s, &fixes[i], i, column))
            return true;
    return false;
}

// ---- Keys ---------------------------------------------------------------------------------------

// Does the statement leave rows the key that they have? ON CONFLICT touches another row if that is
// in conflict by other columns; by text, perhaps one of other bytes: an index has a collation of
// its own.
static bool keeps_key(const struct keyed *k, const struct sql_scan *scan,
                      const struct one_key *key)
{
    int conflicts = 0;
    unsigned conflicting = 0; // columns of the key: bits
    for (int i = scan->first; i < scan->first + scan->count; i++) {
        const struct sql_fix *fix = &k->analysis->keys.fixes[i];
        int column = column_of(key, fix->column);
        if (fix->kind == FIX_SET && column >= 0)
            return false;
        if (fix->kind != FIX_CONFLICT)
            continue;
        conflicts++;
        if (column >= 0 && !rowkey_has_collation(key->columns[column].type))
            conflicting |= 1u << column;
    }
    return conflicts == 0 || (conflicts == key->count && conflicting == (1u << key->count) - 1);
}

bool keyed_scan(const struct keyed *k, const struct sql_scan *scan,
                const struct catalog_key *of, const struct one_key *key, struct resolved_scan *out)
{
    if (scan->whole || key->count == 0 || !keeps_key(k, scan, key))
        return false;
    *out = (struct resolved_scan){.table = of->table, .space = key->space,
                                  .given = scan->given, .n = key->count};
    for (int i = 0; i < key->count; i++) {
        const struct catalog_column *column = &key->columns[i];
        struct search s = {.in = k, .type = column->type};
        if (!find_values(&s, scan, column->name))
            return false;
        out->apart |= s.apart;
        out->columns[i].fix = (uint16_t)s.fix;
        out->columns[i].type = (uint8_t)column->type;
        out->columns[i].oid = column->oid;
        out->columns[i].modified = column->modified;
    }
    return true;
}

bool keyed_choose(const struct keyed *k, const struct sql_scan *scan, const struct catalog_key *of,
                  struct resolved_scan *out)
{
    struct one_key first = keyed_first(of);
    bool chosen = keyed_scan(k, scan, of, &first, out);
    for (int flags = 0; flags < 2; flags++)
        for (int i = 0; of->full && i < of->told && !chosen; i++) {
            struct one_key column = keyed_column(of, i);
            chosen = (column.columns->type == ROWKEY_BOOLEAN) == flags &&
                     keyed_scan(k, scan, of, &column, out);
        }
    return chosen;
}
