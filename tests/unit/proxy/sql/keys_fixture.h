// SPDX-License-Identifier: Apache-2.0
// Tables with keys of each type, and statements about them. Each case says what is expected: "t=5"
// a row of t, "c=1|x" one of a key of two columns, "t" all of t.
#pragma once
#include "proxy/sql/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "cache/ledger.h"

static struct catalog *catalog;

static inline void add_table(struct catalog_builder *b, const char *name, const char *column,
                             enum rowkey_type type, const char *second)
{
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(name),
                                 .writes_known = true};
    r.key.count = (uint8_t)((column != NULL) + (second != NULL));
    r.key.columns[0].name = slice_str(column != NULL ? column : "");
    r.key.columns[0].type = type;
    r.key.columns[0].modified = strcmp(name, "v") == 0 || strcmp(name, "n2") == 0 ||
                                strcmp(name, "at3") == 0 || strcmp(name, "span3") == 0 ||
                                strcmp(name, "short") == 0;
    r.key.columns[0].oid = type == ROWKEY_ENUM ? 16400 : 0;
    r.key.columns[1].name = slice_str(second != NULL ? second : "");
    r.key.columns[1].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
}

// Its columns are known, all of them: the first one is the key.
static inline void add_known(struct catalog_builder *b, const char *name, enum rowkey_type type,
                             const char *columns)
{
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(name),
                                 .writes_known = true, .columns = slice_str(columns)};
    r.key.count = 1;
    r.key.columns[0].name = slice_str(columns[4] == 'k' ? "k" : "id");
    r.key.columns[0].type = type;
    catalog_builder_relation(b, &r);
}

static inline int set_up(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    catalog_builder_utf8(b);
    add_table(b, "t", "id", ROWKEY_INTEGER, NULL);
    add_table(b, "o", "id", ROWKEY_INTEGER, NULL);
    add_table(b, "c", "a", ROWKEY_INTEGER, "b");
    add_table(b, "s", "name", ROWKEY_TEXT, NULL);
    add_table(b, "v", "name", ROWKEY_TEXT, NULL);   // varchar(5)
    add_table(b, "p", "code", ROWKEY_PADDED, NULL);
    add_table(b, "u", "id", ROWKEY_UUID, NULL);
    add_table(b, "n", "id", ROWKEY_NUMERIC, NULL);
    add_table(b, "n2", "id", ROWKEY_NUMERIC, NULL); // numeric(5,2)
    add_table(b, "d", "day", ROWKEY_DATE, NULL);
    add_table(b, "plain", NULL, ROWKEY_NONE, NULL);
    add_table(b, "oid", "id", ROWKEY_OID, NULL);
    add_table(b, "name", "id", ROWKEY_NAME, NULL);
    add_table(b, "bytes", "id", ROWKEY_BYTES, NULL);
    add_table(b, "flag", "id", ROWKEY_BOOLEAN, NULL);
    add_table(b, "mood", "id", ROWKEY_ENUM, NULL);
    add_table(b, "at", "id", ROWKEY_TIMESTAMP, NULL);
    add_table(b, "at3", "id", ROWKEY_TIMESTAMP, NULL); // timestamp(3)
    add_table(b, "atz", "id", ROWKEY_TIMESTAMPTZ, NULL);
    add_table(b, "f", "id", ROWKEY_DOUBLE, NULL);
    add_table(b, "f4", "id", ROWKEY_FLOAT, NULL);
    add_table(b, "ints", "id", (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_INTEGER), NULL);
    add_table(b, "tags", "id", (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_TEXT), NULL);
    // varchar(5)[]
    add_table(b, "short", "id", (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_TEXT), NULL);
    add_table(b, "nets", "id", (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_INET), NULL);
    add_table(b, "letter", "id", ROWKEY_CHAR, NULL);
    add_table(b, "span4", "id", (enum rowkey_type)(ROWKEY_RANGE | ROWKEY_INTEGER), NULL);
    add_table(b, "inet", "id", ROWKEY_INET, NULL);
    add_table(b, "cidr", "id", ROWKEY_CIDR, NULL);
    add_table(b, "mac8", "id", ROWKEY_MACADDR8, NULL);
    add_table(b, "bits", "id", ROWKEY_BITS, NULL);
    add_table(b, "lsn", "id", ROWKEY_LSN, NULL);
    add_table(b, "span", "id", ROWKEY_INTERVAL, NULL);
    add_table(b, "span3", "id", ROWKEY_INTERVAL, NULL); // interval(3)
    add_known(b, "ka", ROWKEY_INTEGER, "o 2 ido 1 ao 1 z");
    add_known(b, "kb", ROWKEY_INTEGER, "o 2 ido 1 b");
    add_known(b, "kc", ROWKEY_INTEGER, "o 2 ido 1 c");
    add_known(b, "kn", ROWKEY_NUMERIC, "o 2 ido 1 n");
    add_known(b, "kk", ROWKEY_INTEGER, "o 1 ko 1 z");
    catalog = catalog_builder_finish(b);
    return 0;
}

static inline int tear_down(void **state)
{
    catalog_unref(&catalog);
    return 0;
}

// ---- Expectations ------------------------------------------------------------------------------

enum { SLOTS_MAX = 256 };

struct slots {
    uint32_t at[SLOTS_MAX];
    size_t n;
};

static inline void put(struct slots *s, uint32_t slot)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i] == slot)
            return;
    assert_true(s->n < SLOTS_MAX);
    s->at[s->n++] = slot;
}

static inline int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline const struct catalog_relation *relation(const char *name)
{
    const struct catalog_relation *r;
    assert_int_equal(catalog_find(catalog, slice_str("public"), slice_str(name), &r),
                     CATALOG_FOUND);
    return r;
}

// The slot of "t=5"; of "t" the table's when it is read, its rows' when it is written.
static inline uint32_t expected_slot(char *what, bool written)
{
    char *value = strchr(what, '=');
    if (value != NULL)
        *value++ = '\0';
    const struct catalog_relation *r = relation(what);
    if (value == NULL)
        return written ? ledger_rows_slot(r->table) : ledger_table_slot(r->table);
    uint64_t values[ROWKEY_COLUMNS_MAX];
    for (uint8_t i = 0; i < r->key.count; i++) {
        char *end = i + 1 < r->key.count ? strchr(value, '|') : NULL;
        if (end != NULL)
            *end = '\0';
        assert_true(rowkey_text(r->key.columns[i].type, slice_str(value), &values[i]));
        value = end != NULL ? end + 1 : value;
    }
    return ledger_key_slot(r->table, values, r->key.count);
}

static inline void expect(struct slots *got, const char *sql, const char *expected, bool written)
{
    struct slots want = {.n = 0};
    char *copy = strdup(expected), *rest = copy, *word;
    while ((word = strsep(&rest, ";")) != NULL)
        if (word[0] != '\0')
            put(&want, expected_slot(word, written));
    free(copy);
    qsort(got->at, got->n, sizeof(uint32_t), compare);
    qsort(want.at, want.n, sizeof(uint32_t), compare);
    if (got->n != want.n || memcmp(got->at, want.at, got->n * sizeof(uint32_t)) != 0)
        fail_msg("%s: not '%s' (%zu slots)", sql, expected, got->n);
}

static inline struct search_path path(void)
{
    static struct slice schemas[1];
    schemas[0] = slice_str("public");
    return (struct search_path){schemas, 1, true};
}

static inline void add_scans(struct slots *out, const struct key_values *values,
                             const struct resolved_scan *scans, uint16_t n, bool written)
{
    for (uint16_t i = 0; i < n; i++) {
        uint32_t slots[KEYS_MAX];
        int found = keys_slots(values, &scans[i], slots);
        if (found < 0)
            put(out, written ? ledger_rows_slot(scans[i].table)
                             : ledger_table_slot(scans[i].table));
        for (int k = 0; k < found; k++)
            put(out, slots[k]);
    }
}

// like: another text of the same template, whose analysis is used (as texts.h does).
static inline void judge(const char *like, const char *sql, struct slice types, struct slice bind,
                         const char *expected, bool written)
{
    struct analysis *a = analysis_new(slice_str(like));
    struct search_path where = path();
    struct resolution *r = resolve(a, catalog, &where);
    struct key_values values = {a, slice_str(sql), types, bind, true};
    struct slots got = {.n = 0};
    if (!written) {
        if (r->bypass != BYPASS_NONE)
            fail_msg("%s: not cacheable (%d)", sql, r->bypass);
        for (uint16_t i = 0; i < r->read_count; i++)
            put(&got, r->reads[i]);
        add_scans(&got, &values, r->read_scans, r->read_scan_count, false);
    } else {
        assert_false(r->barrier);
        for (uint16_t i = 0; i < r->held_count; i++)
            put(&got, r->held[i]);
        add_scans(&got, &values, r->write_scans, r->write_scan_count, true);
    }
    expect(&got, sql, expected, written);
    resolution_unref(&r);
    analysis_unref(&a);
}

static inline void reads(const char *sql, const char *expected)
{
    judge(sql, sql, slice_of("", 0), slice_of("", 0), expected, false);
}

static inline void writes(const char *sql, const char *expected)
{
    judge(sql, sql, slice_of("", 0), slice_of("", 0), expected, true);
}

// ---- Parameters ---------------------------------------------------------------------------------

struct parameter {
    uint32_t type; // declared; 0: not
    bool binary;
    const char *bytes; // NULL: a NULL
    size_t n;
};

#define AS_TEXT(type, value) {type, false, value, sizeof(value) - 1}
#define AS_BINARY(type, value) {type, true, value, sizeof(value) - 1}

static inline void bound(const char *sql, const struct parameter *p, uint16_t n,
                         const char *expected, bool written)
{
    struct buf types = {0}, bind = {0};
    buf_u16(&types, n);
    buf_u16(&bind, n);
    for (uint16_t i = 0; i < n; i++) {
        buf_u32(&types, p[i].type);
        buf_u16(&bind, p[i].binary);
    }
    buf_u16(&bind, n);
    for (uint16_t i = 0; i < n; i++) {
        buf_u32(&bind, p[i].bytes == NULL ? UINT32_MAX : (uint32_t)p[i].n);
        if (p[i].bytes != NULL)
            buf_bytes(&bind, p[i].bytes, p[i].n);
    }
    buf_u16(&bind, 0);
    judge(sql, sql, buf_slice(&types), buf_slice(&bind), expected, written);
    buf_fini(&types);
    buf_fini(&bind);
}
