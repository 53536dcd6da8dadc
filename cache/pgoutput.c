// SPDX-License-Identifier: Apache-2.0
#include "cache/pgoutput.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/reader.h"
#include "cache/row.h"

// The forms are those of logicalrep_write_*() in replication/logical/proto.c, PostgreSQL 13 to 18,
// without streaming, two-phase, messages and binary values: none of these is asked for. What
// follows from the server's side (pgoutput.c, walsender.c):
//
// - Begin says the position of the commit's record, Commit that and its end. The end equals what
//   the header of its XLogData message says (see follower.c).
// - A table is told of before the first of its rows, and again after it changed.
// - The old row comes with an UPDATE that changed the replica identity (its columns alone), or with
//   REPLICA IDENTITY FULL. An UPDATE without an old row has left the identity as it was.
// - A column that is not in the column list, or is generated, is neither in the table's message nor
//   in its rows.

enum { PGOUTPUT_TAG = 0x90470f1e, UNTOLD = UINT16_MAX };

// What was told of one table.
struct told {
    struct hash_node node;
    uint32_t oid;
    size_t bytes; // of this
    struct slice schema, name; // behind the struct
    struct slice columns; // likewise: flags (1: of the replica identity), oid of the type, name,
                          // NUL; of each
    uint16_t column_count;

    // What the catalog makes of it, as of that generation.
    uint64_t generation;
    const struct catalog_relation *relation; // borrows of the catalog; NULL: not in use
    uint64_t table;
    bool has_key; // some column of it is told
    uint16_t key_at[CATALOG_COLUMNS_MAX]; // the key's columns among the row's
};

struct pgoutput {
    uint32_t tag;
    const struct catalog *catalog; // borrows; NULL: none is known
    uint64_t generation;
    struct hash_table tables;
    size_t bytes;
    // The transaction under way.
    uint32_t xid;
    uint64_t commit;
};

// ---- Tables -------------------------------------------------------------------------------------

static uint64_t oid_hash(uint32_t oid)
{
    return hash_bytes(&oid, sizeof(oid));
}

static struct told *find(const struct pgoutput *p, uint32_t oid)
{
    struct hash_node *n = hash_first(&p->tables, oid_hash(oid));
    while (n != NULL && container_of(n, struct told, node)->oid != oid)
        n = hash_next(n);
    return n == NULL ? NULL : container_of(n, struct told, node);
}

static void drop(struct pgoutput *p, struct told *t)
{
    if (t == NULL)
        return;
    hash_remove(&p->tables, &t->node);
    p->bytes -= t->bytes;
    mem_free(t);
}

// Relation: oid, schema ("" for pg_catalog), name, setting of the replica identity, columns: each
// flags, name, type, its modifier.
static bool take_relation(struct pgoutput *p, struct reader *r)
{
    uint32_t oid = reader_u32(r);
    struct slice schema = reader_cstr(r), name = reader_cstr(r);
    reader_u8(r);
    uint16_t count = reader_u16(r);
    struct reader columns = *r;
    size_t column_bytes = 0;
    for (uint16_t i = 0; i < count && reader_ok(r); i++) {
        reader_u8(r);
        column_bytes += reader_cstr(r).len + 6;
        reader_bytes(r, 8);
    }
    if (!reader_done(r) || name.len == 0)
        return false;
    drop(p, find(p, oid));
    size_t bytes = sizeof(struct told) + schema.len + name.len + column_bytes;
    if (bytes > PGOUTPUT_BYTES_MAX - p->bytes)
        return true; // its rows will be anything's
    struct told *t = mem_zalloc(bytes);
    uint8_t *at = (uint8_t *)(t + 1);
    t->oid = oid;
    t->bytes = bytes;
    t->schema = slice_of(at, schema.len);
    t->name = slice_of(at + schema.len, name.len);
    t->columns = slice_of(at + schema.len + name.len, column_bytes);
    t->column_count = count;
    memcpy(at, schema.at, schema.len);
    memcpy(at + schema.len, name.at, name.len);
    at += schema.len + name.len;
    for (uint16_t i = 0; i < count; i++) {
        *at++ = reader_u8(&columns);
        struct slice column = reader_cstr(&columns);
        store_u32(at, reader_u32(&columns));
        at += 4;
        memcpy(at, column.at, column.len + 1);
        at += column.len + 1;
        reader_u32(&columns);
    }
    p->bytes += bytes;
    hash_insert(&p->tables, &t->node, oid_hash(oid));
    return true;
}

// A domain or an enum is known by its oid.
static bool is_type(const struct catalog_column *wanted, uint32_t oid)
{
    return rowkey_type_of(oid) == wanted->type || (wanted->oid != 0 && oid == wanted->oid);
}

// Where the column is among a row's; UNTOLD: it is not there, of another type than the catalog has,
// or not of the replica identity, so that its old value is not told. So it does not matter whether
// the catalog is older or newer than the row.
static uint16_t column_at(const struct told *t, const struct catalog_column *wanted)
{
    enum { OF_IDENTITY = 1 };
    struct reader r = reader_of(t->columns);
    for (uint16_t i = 0; i < t->column_count; i++) {
        uint8_t flags = reader_u8(&r);
        uint32_t oid = reader_u32(&r);
        if (slice_eq(reader_cstr(&r), wanted->name))
            return (flags & OF_IDENTITY) && is_type(wanted, oid) ? i : UNTOLD;
    }
    return UNTOLD;
}

// What the catalog in force makes of the table: the same as of a line of test_decoding.
static void resolve(struct pgoutput *p, struct told *t)
{
    if (t->generation == p->generation)
        return;
    t->generation = p->generation;
    t->relation = p->catalog == NULL ? NULL : catalog_event(p->catalog, t->schema, t->name);
    t->table = t->relation != NULL ? t->relation->table : ledger_table(t->schema, t->name);
    t->has_key = false;
    for (uint8_t i = 0; t->relation != NULL && i < t->relation->key.told; i++) {
        t->key_at[i] = column_at(t, &t->relation->key.columns[i]);
        t->has_key |= t->key_at[i] != UNTOLD;
    }
}

static struct told *told(struct pgoutput *p, uint32_t oid)
{
    struct told *t = find(p, oid);
    if (t != NULL)
        resolve(p, t);
    return t;
}

// ---- Rows ---------------------------------------------------------------------------------------

enum value_kind { VALUE_NULL = 'n', VALUE_UNCHANGED = 'u', VALUE_TEXT = 't' };

// One value: false when it is cut, or of a kind that was not asked for.
static bool take_value(struct reader *r, enum value_kind *kind, struct slice *bytes)
{
    *kind = (enum value_kind)reader_u8(r);
    *bytes = slice_of(NULL, 0);
    if (*kind == VALUE_TEXT)
        *bytes = reader_bytes(r, reader_u32(r));
    return reader_ok(r) && (*kind == VALUE_NULL || *kind == VALUE_UNCHANGED || *kind == VALUE_TEXT);
}

// As form_of() of row.c. Text equals only the same bytes, and a key of more of them has no form.
static uint8_t form_of(enum rowkey_type type, struct slice text, uint64_t *out)
{
    if (rowkey_text(type, text, out))
        return ROW_KNOWN;
    return type == ROWKEY_TEXT ? ROW_EQUALS_NONE : ROW_UNTOLD;
}

static void take_column(const struct told *t, uint16_t at, enum value_kind kind, struct slice bytes,
                        const struct row_tuple *before, struct row_tuple *out)
{
    const struct catalog_key *key = &t->relation->key;
    for (uint8_t k = 0; k < key->told; k++) {
        if (t->key_at[k] != at)
            continue;
        if (kind == VALUE_TEXT) {
            out->states[k] = form_of(key->columns[k].type, bytes, &out->values[k]);
        } else if (kind == VALUE_NULL) {
            out->states[k] = ROW_EQUALS_NONE;
        } else if (before != NULL) {
            out->states[k] = before->states[k];
            out->values[k] = before->values[k];
        }
    }
}

// One row: the values of the key's columns in it. before: the old row, for what has not changed;
// NULL: there is none. Behind the last column that counts it is read only if something comes after.
static bool take_row(struct reader *r, const struct told *t, bool last,
                     const struct row_tuple *before, struct row_tuple *out)
{
    uint16_t count = reader_u16(r), wanted = 0;
    memset(out->states, ROW_UNTOLD, sizeof(out->states));
    if (count != t->column_count)
        return false;
    for (uint8_t k = 0; k < t->relation->key.told; k++)
        if (t->key_at[k] != UNTOLD && t->key_at[k] >= wanted)
            wanted = t->key_at[k] + 1;
    for (uint16_t i = 0; i < (last ? wanted : count); i++) {
        enum value_kind kind;
        struct slice bytes;
        if (!take_value(r, &kind, &bytes))
            return false;
        take_column(t, i, kind, bytes, before, out);
    }
    return true;
}

// The rows of an INSERT (N), UPDATE (N, or K or O and N) or DELETE (K or O). False: it may be any
// row of the table.
static bool take_keys(struct reader r, const struct told *t, uint8_t kind, struct row_keys *out)
{
    uint8_t which = reader_u8(&r);
    out->count = 1;
    if (which == 'N' && kind == 'U' && t->relation->key.full)
        return false; // of a whole row every update tells the old one
    if (which == 'N' || kind == 'D')
        return take_row(&r, t, true, NULL, &out->tuples[0]);
    out->count = 2;
    return take_row(&r, t, false, NULL, &out->tuples[0]) && reader_u8(&r) == 'N' &&
           take_row(&r, t, true, &out->tuples[0], &out->tuples[1]);
}

// kind: that of the message; of a TRUNCATE, all rows. The keys of trees are not told apart: nothing
// in this stream says that a table has become part of another one.
static void touch(struct pgoutput *p, struct touched *touched, const struct told *t, uint8_t kind,
                  struct reader rows)
{
    struct row_keys keys;
    if (t == NULL) {
        touched_all(touched);
        return;
    }
    bool known = kind != 'T' && t->has_key && t->relation->ancestor_count == 0 &&
                 touched_wants_keys(touched) && take_keys(rows, t, kind, &keys);
    touched_rows(touched, p->catalog, t->table, t->relation, known ? &keys : NULL);
}

static bool take_change(struct pgoutput *p, uint8_t kind, struct reader *r, struct touched *touched)
{
    uint32_t oid = reader_u32(r);
    struct reader rows = *r;
    uint8_t which = reader_u8(r);
    if (!reader_ok(r) || (kind == 'I' && which != 'N') || (kind == 'D' && which == 'N') ||
        (which != 'N' && which != 'K' && which != 'O'))
        return false;
    touch(p, touched, told(p, oid), kind, rows);
    return true;
}

// Truncate: how many tables, flags, their oids.
static bool take_truncate(struct pgoutput *p, struct reader *r, struct touched *touched)
{
    uint32_t count = reader_u32(r);
    reader_u8(r);
    if (!reader_ok(r) || count == 0 || count != reader_left(r) / 4 || reader_left(r) % 4 != 0)
        return false;
    while (count-- > 0) {
        const struct told *t = told(p, reader_u32(r));
        touch(p, touched, t, 'T', *r);
    }
    return true;
}

// ---- Transactions -------------------------------------------------------------------------------

// Begin: position of the commit's record, time, xid.
static bool take_begin(struct pgoutput *p, struct reader *r)
{
    p->commit = reader_u64(r);
    reader_bytes(r, 8);
    p->xid = reader_u32(r);
    return reader_done(r) && p->commit != 0 && p->xid != 0;
}

// Commit: flags, position of its record, its end, time. It must be that of the last Begin.
static bool take_commit(struct pgoutput *p, struct reader *r, uint64_t *end)
{
    reader_u8(r);
    uint64_t position = reader_u64(r);
    *end = reader_u64(r);
    reader_bytes(r, 8);
    bool sound = reader_done(r) && position != 0 && position == p->commit && *end > position;
    p->commit = 0;
    return sound;
}

struct decode_event pgoutput_read(struct pgoutput *p, struct slice message,
                                  struct touched *touched)
{
    TAG_CHECK(p, PGOUTPUT_TAG);
    struct reader r = reader_of(message);
    struct decode_event e = {.kind = DECODE_BAD};
    uint8_t kind = reader_u8(&r);
    switch (kind) {
    case 'B':
        e.kind = take_begin(p, &r) ? DECODE_BEGIN : DECODE_BAD;
        e.xid = p->xid;
        break;
    case 'C':
        e.xid = p->xid;
        e.kind = take_commit(p, &r, &e.position) ? DECODE_COMMIT : DECODE_BAD;
        break;
    case 'R':
        e.kind = take_relation(p, &r) ? DECODE_NOTHING : DECODE_BAD;
        break;
    case 'I':
    case 'U':
    case 'D':
        e.kind = take_change(p, kind, &r, touched) ? DECODE_TABLE : DECODE_BAD;
        break;
    case 'T':
        e.kind = take_truncate(p, &r, touched) ? DECODE_TRUNCATE : DECODE_BAD;
        break;
    case 'M': // pg_logical_emit_message(): not asked for, and without any table
        e.kind = DECODE_MESSAGE;
        break;
    case 'Y': // a type that is not PostgreSQL's own
    case 'O': // where a transaction came from
        e.kind = DECODE_NOTHING;
        break;
    }
    return e;
}

// ---- Life ---------------------------------------------------------------------------------------

struct pgoutput *pgoutput_new(void)
{
    struct pgoutput *p = mem_new(struct pgoutput);
    TAG_SET(p, PGOUTPUT_TAG);
    p->generation = 1; // not one that a table has from its beginning
    return p;
}

static void free_told(struct hash_node *node, void *arg)
{
    (void)arg;
    mem_free(container_of(node, struct told, node));
}

void pgoutput_forget(struct pgoutput *p)
{
    TAG_CHECK(p, PGOUTPUT_TAG);
    hash_each(&p->tables, free_told, NULL);
    hash_fini(&p->tables);
    p->tables = (struct hash_table){0};
    p->bytes = 0;
    p->xid = 0;
    p->commit = 0;
}

void pgoutput_free(struct pgoutput *p)
{
    if (p == NULL)
        return;
    pgoutput_forget(p);
    TAG_CLEAR(p);
    mem_free(p);
}

void pgoutput_set_catalog(struct pgoutput *p, const struct catalog *catalog)
{
    TAG_CHECK(p, PGOUTPUT_TAG);
    p->catalog = catalog;
    p->generation++;
}

size_t pgoutput_bytes(const struct pgoutput *p)
{
    return p->bytes;
}
