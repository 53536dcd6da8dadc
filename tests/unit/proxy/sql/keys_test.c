// SPDX-License-Identifier: Apache-2.0
// Which rows a statement reads or writes: from its text and values to slots. Each case says what is
// expected: "t=5" a row of t, "c=1|x" one of a key of two columns, "t" all of t.
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

static void add_table(struct catalog_builder *b, const char *name, const char *column,
                      enum rowkey_type type, const char *second)
{
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str(name),
                                 .writes_known = true};
    r.key.count = (uint8_t)((column != NULL) + (second != NULL));
    r.key.columns[0].name = slice_str(column != NULL ? column : "");
    r.key.columns[0].type = type;
    r.key.columns[0].modified = strcmp(name, "v") == 0 || strcmp(name, "n2") == 0 ||
                                strcmp(name, "at3") == 0 || strcmp(name, "span3") == 0;
    r.key.columns[0].oid = type == ROWKEY_ENUM ? 16400 : 0;
    r.key.columns[1].name = slice_str(second != NULL ? second : "");
    r.key.columns[1].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
}

static int set_up(void **state)
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
    add_table(b, "inet", "id", ROWKEY_INET, NULL);
    add_table(b, "cidr", "id", ROWKEY_CIDR, NULL);
    add_table(b, "mac8", "id", ROWKEY_MACADDR8, NULL);
    add_table(b, "bits", "id", ROWKEY_BITS, NULL);
    add_table(b, "lsn", "id", ROWKEY_LSN, NULL);
    add_table(b, "span", "id", ROWKEY_INTERVAL, NULL);
    add_table(b, "span3", "id", ROWKEY_INTERVAL, NULL); // interval(3)
    catalog = catalog_builder_finish(b);
    return 0;
}

static int tear_down(void **state)
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

static void put(struct slots *s, uint32_t slot)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i] == slot)
            return;
    assert_true(s->n < SLOTS_MAX);
    s->at[s->n++] = slot;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static const struct catalog_relation *relation(const char *name)
{
    const struct catalog_relation *r;
    assert_int_equal(catalog_find(catalog, slice_str("public"), slice_str(name), &r),
                     CATALOG_FOUND);
    return r;
}

// The slot of "t=5"; of "t" the table's when it is read, its rows' when it is written.
static uint32_t expected_slot(char *what, bool written)
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

static void expect(struct slots *got, const char *sql, const char *expected, bool written)
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

static struct search_path path(void)
{
    static struct slice schemas[1];
    schemas[0] = slice_str("public");
    return (struct search_path){schemas, 1, true};
}

static void add_scans(struct slots *out, const struct key_values *values,
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
static void judge(const char *like, const char *sql, struct slice types, struct slice bind,
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

static void reads(const char *sql, const char *expected)
{
    judge(sql, sql, slice_of("", 0), slice_of("", 0), expected, false);
}

static void writes(const char *sql, const char *expected)
{
    judge(sql, sql, slice_of("", 0), slice_of("", 0), expected, true);
}

// ---- Constants ---------------------------------------------------------------------------------

static void constants_fix_keys(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t WHERE id = 5", "t=5"},
        {"SELECT * FROM t WHERE 5 = id", "t=5"},
        {"SELECT * FROM public.t WHERE t.id = 5", "t=5"},
        {"SELECT * FROM t x WHERE x.id = 5 AND x.v > 3 AND (x.w = 1 OR x.w = 2)", "t=5"},
        {"SELECT * FROM t WHERE v = 1 AND (w = 2 AND id = 5)", "t=5"},
        {"SELECT * FROM t WHERE id = '05'", "t=5"},
        {"SELECT * FROM t WHERE id = -5", "t=-5"},
        {"SELECT * FROM t WHERE id = - 5", "t=-5"},
        {"SELECT * FROM t WHERE id = -/* a */5", "t"},
        {"SELECT * FROM t WHERE id = 3000000000", "t=3000000000"},
        {"SELECT * FROM t WHERE id = -3000000000", "t=-3000000000"},
        {"SELECT * FROM t WHERE id = 5::bigint", "t=5"},
        {"SELECT * FROM t WHERE id = CAST('5' AS int)", "t=5"},
        {"SELECT v, count(*) FROM t WHERE id = 5 GROUP BY v HAVING count(*) > 0 ORDER BY 1 LIMIT 3",
         "t=5"},
        {"SELECT * FROM t WHERE id IN (5, 6, '7')", "t=5;t=6;t=7"},
        {"SELECT * FROM t WHERE id = ANY('{5,\"6\",NULL}')", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY(ARRAY[5, 6])", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY('{}'::int[])", ""},
        {"SELECT * FROM s WHERE name = 'it''s'", "s=it's"},
        {"SELECT * FROM s WHERE name = 'A '", "s=A "},
        {"SELECT * FROM s WHERE name = 'x'::varchar", "s=x"},
        {"SELECT * FROM p WHERE code = 'ab  '", "p=ab"},
        {"SELECT * FROM u WHERE id = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
         "u=a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {"SELECT * FROM n WHERE id = 5", "n=5"},
        {"SELECT * FROM n WHERE id = 5.50", "n=5.5"},
        {"SELECT * FROM n WHERE id = '05.0'", "n=5"},
        {"SELECT * FROM d WHERE day = '2024-02-29'", "d=2024-02-29"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x'", "c=1|x"},
        {"SELECT * FROM c WHERE b IN ('x', 'y') AND a IN (1, 2)", "c=1|x;c=1|y;c=2|x;c=2|y"},
        {"SELECT * FROM c WHERE (a, b) = (1, 'x')", "c=1|x"},
        {"SELECT * FROM c WHERE (b, v, c.a) IN (('x', 7, 1), ('y', 8, 2))", "c=1|x;c=2|y"},
        {"SELECT * FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y')) AND a = 1", "c=1|x;c=2|y"},
        {"SELECT * FROM c WHERE (a, v) IN ((1, 'x'), (2, 'y')) AND b IN ('x', 'y')",
         "c=1|x;c=1|y;c=2|x;c=2|y"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR b = 'y' AND v > 3 AND a = 2", "c=1|x;c=2|y"},
        {"SELECT * FROM c WHERE (a = 1 OR a = 2) AND (b = 'x' OR b = 'y')",
         "c=1|x;c=1|y;c=2|x;c=2|y"},
        {"SELECT * FROM c WHERE a IN (1, 2) AND b = 'x' OR a = 3 AND b = 'y'",
         "c=1|x;c=2|x;c=3|x;c=1|y;c=2|y;c=3|y"},
        {"SELECT * FROM c WHERE a = ANY('{1,2}') AND b = 'x' OR a = ANY('{}') AND b = 'y'",
         "c=1|x;c=2|x;c=1|y;c=2|y"},
        {"SELECT * FROM t WHERE id = 5 OR id = 6", "t=5;t=6"},
        {"SELECT * FROM t WHERE (id = 5 OR 6 = id OR id IN (7, 8)) AND v = 1", "t=5;t=6;t=7;t=8"},
        {"SELECT * FROM t WHERE id = 5 AND v = 1 OR w = 2 AND id = 6", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = 5 OR (v = 1 AND (id = 6 OR w = 2 AND id = 7))", "t=5;t=6;t=7"},
        {"SELECT * FROM t WHERE v = 1 AND (id = 5 OR (id = 6 OR id = 7))", "t=5;t=6;t=7"},
        {"SELECT * FROM t WHERE (id = 5 OR (id = 6 OR v = 7) AND (id = 8 OR id = 9))",
         "t=5;t=8;t=9"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR (a = 2 AND b = 'y' OR a = 3 AND b = 'z')",
         "c=1|x;c=1|y;c=1|z;c=2|x;c=2|y;c=2|z;c=3|x;c=3|y;c=3|z"},
        {"SELECT * FROM t JOIN o ON o.id = t.id WHERE t.id = 5 OR t.id = 6", "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM oid WHERE id = 5", "oid=5"},
        {"SELECT * FROM oid WHERE id = 3000000000", "oid=3000000000"},
        {"SELECT * FROM oid WHERE id = '5'::oid", "oid=5"},
        {"SELECT * FROM name WHERE id = 'it''s'", "name=it's"},
        {"SELECT * FROM name WHERE id = 'x'::text", "name=x"},
        {"SELECT * FROM bytes WHERE id = 'ab'", "bytes=\\x6162"},
        {"SELECT * FROM flag WHERE id = true", "flag=t"},
        {"SELECT * FROM flag WHERE FALSE = id", "flag=f"},
        {"SELECT * FROM flag WHERE id IN ('yes', false)", "flag=t;flag=f"},
        {"SELECT * FROM mood WHERE id = 'sad'", "mood=sad"},
        {"SELECT * FROM at WHERE id = '2024-02-29 12:00'", "at=2024-02-29T12:00:00"},
        {"SELECT * FROM at WHERE id = timestamp '2024-02-29'", "at=2024-02-29 00:00:00"},
        {"SELECT * FROM at3 WHERE id = '2024-02-29 12:00:00.0004'",
         "at3=2024-02-29 12:00:00.0004"},
        {"SELECT * FROM atz WHERE id = '2024-02-29 12:00+02'", "atz=2024-02-29 10:00:00+00"},
        {"SELECT * FROM (SELECT * FROM t WHERE id = 5) x", "t=5"},
        {"WITH w AS (SELECT * FROM t WHERE id = 5) SELECT * FROM w", "t=5"},
        {"WITH t AS (SELECT * FROM s WHERE name = 'x') SELECT * FROM t WHERE id = 5", "s=x"},
        {"SELECT * FROM t WHERE id = 5 UNION SELECT * FROM t WHERE id = 6", "t=5;t=6"},
        {"SELECT * FROM t WHERE id = 5 AND EXISTS (SELECT FROM s WHERE name = 'x')", "t=5;s=x"},
        {"SELECT (SELECT max(v) FROM t WHERE id = 5)", "t=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void constants_of_other_types(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM f WHERE id = 1.50", "f=1.5"},
        {"SELECT * FROM f WHERE id = -5", "f=-5"},
        {"SELECT * FROM f WHERE id = 1e3", "f=1000"},
        {"SELECT * FROM f WHERE id = '15e-1'", "f=1.5"},
        {"SELECT * FROM f WHERE id = 1.5::float8", "f=1.5"},
        {"SELECT * FROM f WHERE id = CAST('1.5' AS double precision)", "f=1.5"},
        {"SELECT * FROM f WHERE id = 1.5::numeric", "f=1.5"},
        {"SELECT * FROM f WHERE id IN (1, 2.5, '3')", "f=1;f=2.5;f=3"},
        {"SELECT * FROM f WHERE id = ANY(ARRAY[1, 2.5])", "f=1;f=2.5"},
        {"SELECT * FROM inet WHERE id = '10.1.2.3'", "inet=10.1.2.3/32"},
        {"SELECT * FROM inet WHERE id = inet '::1'", "inet=0:0:0:0:0:0:0:1"},
        {"SELECT * FROM inet WHERE id = '10.1.2.0/24'::cidr", "inet=10.1.2.0/24"},
        {"SELECT * FROM cidr WHERE id = '10.1.2.0/24'", "cidr=10.1.2.0/24"},
        {"SELECT * FROM cidr WHERE id = '10.1.2.0/24'::inet", "cidr=10.1.2.0/24"},
        {"SELECT * FROM mac8 WHERE id = '08:00:2b:01:02:03'", "mac8=08-00-2B-FF-FE-01-02-03"},
        {"SELECT * FROM bits WHERE id = '101'", "bits=101"},
        {"SELECT * FROM bits WHERE id = '101'::varbit", "bits=101"},
        {"SELECT * FROM lsn WHERE id = '1/0A'", "lsn=1/A"},
        {"SELECT * FROM span WHERE id = '1 month'", "span=30 days"},
        {"SELECT * FROM span WHERE id = interval '24 hours'", "span=1 day"},
        {"SELECT * FROM span3 WHERE id = '00:00:00.0004'", "span3=00:00:00.0004"},
        {"SELECT * FROM f WHERE id = 1.5::float4", "f"},
        {"SELECT * FROM f WHERE id = 'NaN'", "f"},
        {"SELECT * FROM f WHERE id = 0.12345678901234567890", "f"},
        {"SELECT * FROM f WHERE id = 1.5::int", "f"},
        {"SELECT * FROM f WHERE id = 1.25::numeric(3,1)", "f"},
        {"SELECT * FROM n WHERE id = 1.5::float8", "n"},
        {"SELECT * FROM t WHERE id = 5::float8", "t"},
        {"SELECT * FROM cidr WHERE id = '10.1'", "cidr"},
        {"SELECT * FROM mac8 WHERE id = '08:00:2b:01:02:03'::macaddr", "mac8"},
        {"SELECT * FROM bits WHERE id = B'101'", "bits"},
        {"SELECT * FROM bits WHERE id = '101'::bit", "bits"}, // the first of them
        {"SELECT * FROM bits WHERE id = '101'::varbit(2)", "bits"},
        {"SELECT * FROM span WHERE id = interval '1' day", "span"},
        {"SELECT * FROM span WHERE id = '1.5 days'", "span"},
        {"SELECT * FROM span WHERE id = '-1 day 02:03:04'", "span"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void what_does_not_fix_a_key(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t", "t"},
        {"SELECT * FROM plain WHERE id = 5", "plain"},
        {"SELECT * FROM t WHERE id = 5 OR v = 1", "t"},
        {"SELECT * FROM t WHERE id = 5 OR v = 5 AND id IS NOT NULL", "t"},
        {"SELECT * FROM t WHERE NOT (id = 5 OR id = 6)", "t"},
        {"SELECT * FROM t WHERE id = 5 OR t.id = 6", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id <> 6", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id = v", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id IS NULL", "t"},
        {"SELECT * FROM t WHERE id = 5 OR NOT id = 6", "t"},
        {"SELECT * FROM t WHERE id = 5 OR id = 6.0", "t"},
        {"SELECT * FROM t WHERE (id = 5 OR id = 6) IS NOT TRUE", "t"},
        {"SELECT * FROM t WHERE id = 5 OR (v = 1 AND (id = 6 OR w = 2))", "t"},
        {"SELECT * FROM t WHERE id = 5 OR (id = 6 OR (id = 7 OR v = 1))", "t"},
        {"SELECT * FROM t WHERE id = 5 OR v = 1 AND NOT (id = 6 OR id = 7)", "t"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR (a = 2 AND b = 'y' OR a = 3)", "c"},
        {"SELECT * FROM t a, t b WHERE a.id = 5 OR b.id = 6", "t"},
        {"SELECT * FROM t WHERE NOT id = 5", "t"},
        {"SELECT * FROM t WHERE NOT (id = 5 AND v = 1)", "t"},
        {"SELECT * FROM t WHERE id <> 5", "t"},
        {"SELECT * FROM t WHERE id >= 5", "t"},
        {"SELECT * FROM t WHERE id NOT IN (5)", "t"},
        {"SELECT * FROM t WHERE id = ALL(ARRAY[5])", "t"},
        {"SELECT * FROM t WHERE (id = 5) IS NOT TRUE", "t"},
        {"SELECT * FROM t WHERE CASE WHEN id = 5 THEN true ELSE v = 1 END", "t"},
        {"SELECT * FROM t WHERE COALESCE(id = 5, v = 1)", "t"},
        {"SELECT * FROM t WHERE id + 0 = 5", "t"},
        {"SELECT * FROM t WHERE id = 5 + 0", "t"},
        {"SELECT * FROM t WHERE id = +5", "t"},
        {"SELECT * FROM t WHERE id = 5.0", "t"},
        {"SELECT * FROM t WHERE id = 5e0", "t"},
        {"SELECT * FROM t WHERE id IN (5, 6.0)", "t"},
        {"SELECT * FROM t WHERE id = 5::numeric", "t"},
        {"SELECT * FROM t WHERE id = 5.4::int", "t"},
        {"SELECT * FROM t WHERE id::text = '5'", "t"},
        {"SELECT * FROM t WHERE id IS NOT DISTINCT FROM 5", "t"},
        {"SELECT * FROM t WHERE v = 5", "t"},
        {"SELECT * FROM t WHERE id = v", "t"},
        {"SELECT * FROM t AS x(v, id) WHERE id = 5", "t"},
        {"SELECT * FROM t HAVING id = 5", "t"},
        {"SELECT *, id = 5 FROM t", "t"},
        {"SELECT count(*) FILTER (WHERE id = 5) FROM t", "t"},
        {"SELECT * FROM (SELECT * FROM t) x WHERE id = 5", "t"},
        {"WITH w AS (SELECT * FROM t) SELECT * FROM w WHERE id = 5", "t"},
        {"SELECT * FROM t WHERE id = (SELECT max(id) FROM t WHERE id = 5)", "t"},
        {"SELECT * FROM t a, t b WHERE a.id = 5", "t"},
        {"SELECT * FROM t WHERE id = 5 UNION SELECT * FROM t", "t"},
        {"SELECT * FROM c WHERE a = 1", "c"},
        {"SELECT * FROM c WHERE b = 'x'", "c"},
        {"SELECT * FROM c WHERE (a, b) <> (1, 'x')", "c"},
        {"SELECT * FROM c WHERE (a, b) >= (1, 'x')", "c"},
        {"SELECT * FROM c WHERE (a, v) IN ((1, 'x'), (2, 'y'))", "c"},
        {"SELECT * FROM c WHERE (a, b) NOT IN ((1, 'x'), (2, 'y'))", "c"},
        {"SELECT * FROM c WHERE (a, b) IN ((1, 'x'), (v, 'y'))", "c"},
        {"SELECT * FROM c WHERE (a, b) IN (SELECT 1, 'x')", "c"},
        {"SELECT * FROM c WHERE (a, b) = (1, 'x') OR a = 2", "c"},
        {"SELECT * FROM c WHERE a = 1 AND b = 'x' OR a = 2", "c"},
        {"SELECT * FROM s WHERE name = 'x' COLLATE \"C\"", "s"},
        {"SELECT * FROM s WHERE name COLLATE \"C\" = 'x'", "s"},
        {"SELECT * FROM s WHERE name LIKE 'x'", "s"},
        {"SELECT * FROM s WHERE name = 'x'::char(1)", "s"},
        {"SELECT * FROM s WHERE name = 'xyz'::varchar(2)", "s"},
        {"SELECT * FROM s WHERE name = E'x'", "s"},
        {"SELECT * FROM s WHERE name = lower('X')", "s"},
        {"SELECT * FROM n WHERE id = 5.4::int", "n"},
        {"SELECT * FROM n WHERE id = 1e3", "n"},
        {"SELECT * FROM d WHERE day = '29 Feb 2024'", "d"},
        {"SELECT * FROM u WHERE id::text = 'x'", "u"},
        {"SELECT * FROM oid WHERE id = -5", "oid"},
        {"SELECT * FROM oid WHERE id = '010'", "oid"},
        {"SELECT * FROM oid WHERE id = 5000000000", "oid"},
        {"SELECT * FROM bytes WHERE id = '\\x6162'", "bytes"}, // what a backslash is depends
        {"SELECT * FROM flag WHERE id = NULL", "flag"},
        {"SELECT * FROM t WHERE id = true::int", "t"},
        {"SELECT * FROM s WHERE name = true::text", "s"},
        {"SELECT * FROM at WHERE id = '2024-02-29'::date", "at"},
        {"SELECT * FROM at WHERE id = timestamptz '2024-02-29 12:00+02'", "at"},
        {"SELECT * FROM at WHERE id = '2024-02-29 12:00:00.9'::timestamp(0)", "at"},
        {"SELECT * FROM atz WHERE id = '2024-02-29 12:00'", "atz"},
        {"SELECT * FROM atz WHERE id = timestamp '2024-02-29 12:00+02'", "atz"},
        {"SELECT * FROM t WHERE id = ANY('{{5},{6}}')", "t"},
        {"SELECT * FROM t WHERE id = ANY('{ 5}')", "t"},
        {"SELECT * FROM t WHERE id = ANY(SELECT 5)", "t"},
        {"SELECT * FROM t WHERE id IN (SELECT v FROM o WHERE id = 5)", "t;o=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
    char many[1024] = "SELECT * FROM t WHERE id IN (0";
    for (int i = 1; i <= KEYS_MAX; i++)
        sprintf(many + strlen(many), ", %d", i);
    reads(strcat(many, ")"), "t");
    strcpy(many, "SELECT * FROM t WHERE id = 0");
    for (int i = 1; i <= KEYS_MAX; i++)
        sprintf(many + strlen(many), " OR id = %d", i);
    reads(many, "t");
    strcpy(many, "SELECT * FROM c WHERE (a, b) IN ((0, 'x')");
    for (int i = 1; i <= KEYS_MAX; i++)
        sprintf(many + strlen(many), ", (%d, 'x')", i);
    reads(strcat(many, ")"), "c");
}

static void joins(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t, o WHERE t.id = 5 AND o.id = 6", "t=5;o=6"},
        {"SELECT * FROM t a, t b WHERE a.id = 5 AND b.id = 6", "t=5;t=6"},
        {"SELECT * FROM t JOIN o ON o.id = 6 WHERE t.id = 5", "t=5;o=6"},
        {"SELECT * FROM t JOIN o ON o.id = 6 AND t.id = 5", "t=5;o=6"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = 6 WHERE t.id = 5", "t=5;o=6"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = 6 AND t.id = 5", "t;o=6"}, // t is preserved
        {"SELECT * FROM t LEFT JOIN o ON t.id = 5", "t;o"},
        {"SELECT * FROM t LEFT JOIN o ON true WHERE o.id = 6", "t;o=6"},
        {"SELECT * FROM t RIGHT JOIN o ON t.id = 5 AND o.id = 6", "t=5;o"},
        {"SELECT * FROM t FULL JOIN o ON t.id = 5 AND o.id = 6", "t;o"},
        {"SELECT * FROM t FULL JOIN o ON t.id = o.id WHERE t.id = 5 AND o.id = 6", "t=5;o=6"},
        {"SELECT * FROM s LEFT JOIN (t JOIN o ON o.id = 6) ON t.id = 5 WHERE s.name = 'x'",
         "s=x;t=5;o=6"},
        {"SELECT * FROM s LEFT JOIN (t LEFT JOIN o ON o.id = 6 AND t.id = 5) ON true"
         " WHERE s.name = 'x'", "s=x;t;o=6"},
        {"SELECT * FROM t CROSS JOIN o WHERE t.id = 5", "t=5;o"},
        // Through equality
        {"SELECT * FROM t, o WHERE t.id = 5 AND o.id = t.id", "t=5;o=5"},
        {"SELECT * FROM t JOIN o ON t.id = o.id WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = t.id WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o ON o.id = t.id AND t.id = 5", "t;o"},
        {"SELECT * FROM t JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t FULL JOIN o USING (id) WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t NATURAL JOIN o WHERE id = 5", "t=5;o=5"},
        {"SELECT * FROM t JOIN n USING (id) WHERE id = 5", "t;n"}, // of which type is it?
        {"SELECT * FROM t JOIN plain USING (id) WHERE id = 5", "t;plain"},
        {"SELECT * FROM t JOIN o USING (id) JOIN plain USING (id) WHERE id = 5", "t;o;plain"},
        // o is not the one that it is merged of, but out of sight
        {"SELECT * FROM o, t JOIN (SELECT id FROM plain) q USING (id) JOIN (SELECT 1) r"
         " ON id = 5", "o;t;plain"},
        {"SELECT * FROM o, t JOIN generate_series(1, 9) q(id) USING (id) JOIN (SELECT 1) r"
         " ON id = 5", "o;t"},
        {"SELECT * FROM t JOIN plain USING (id) WHERE t.id = 5", "t=5;plain"},
        {"SELECT * FROM t JOIN plain ON plain.id = t.id WHERE t.id = 5", "t=5;plain"},
        {"SELECT * FROM plain JOIN t ON t.id = plain.t_id WHERE plain.t_id = 5", "plain;t"},
        {"SELECT * FROM t JOIN o ON t.id = o.v WHERE o.v = 5", "t;o"}, // o.v is of any type
        {"SELECT * FROM t JOIN n ON t.id = n.id WHERE n.id = 5", "t;n=5"}, // another equality
        {"SELECT * FROM s JOIN p ON s.name = p.code WHERE p.code = 'x'", "s;p=x"},
        {"SELECT * FROM (t JOIN o ON true) AS j WHERE id = 5", "t;o"},
        {"SELECT * FROM (t JOIN o ON true) AS j(a, b, c, id) WHERE id = 5", "t;o"},
        // What a qualifier means
        {"SELECT * FROM t x, o WHERE t.id = 5 AND o.id = 6", "t;o=6"},
        {"SELECT * FROM t WHERE EXISTS (SELECT FROM o WHERE t.id = 5 AND o.id = 6)", "t;o=6"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = t.id)",
         "t=5;o=5"},
        {"SELECT * FROM t, LATERAL (SELECT * FROM o WHERE o.id = 6 AND o.v = t.v) l"
         " WHERE t.id = 5", "t=5;o=6"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

// What equals a column of another place, wherever that stands.
static void linked_places(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM t JOIN o ON o.id = t.id JOIN t x ON x.id = o.id WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t, o, t x WHERE x.id = o.id AND t.id IN (5, 6) AND o.id = t.id",
         "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM t, o WHERE t.id = o.id AND o.id = t.id", "t;o"}, // round in a circle
        {"SELECT * FROM t, o, t x WHERE t.id = o.id AND o.id = x.id AND x.id = t.id AND x.id = 5",
         "t=5;o=5"},
        {"SELECT * FROM t JOIN o ON o.id = t.id WHERE t.id = 5 OR t.id = 6 AND t.v = 1",
         "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM t JOIN n ON n.id = t.id JOIN o ON o.id = n.id WHERE t.id = 5",
         "t=5;n;o"}, // an n is compared in another way
        {"SELECT * FROM p JOIN p x ON x.code = p.code WHERE p.code = 'x'", "p"}, // likewise
        {"SELECT * FROM c JOIN c d ON d.a = c.a AND d.b = c.b WHERE (c.a, c.b) IN ((1, 'x'),"
         " (2, 'y'))", "c=1|x;c=2|y"},
        // From a subquery to what is around it
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = (t.id)) FROM t WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND NOT EXISTS (SELECT FROM o WHERE t.id = o.id)",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND v > (SELECT count(*) FROM o WHERE id = t.id)",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND (v = 1 OR EXISTS (SELECT FROM o WHERE o.id = t.id))",
         "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 ORDER BY (SELECT v FROM o WHERE o.id = t.id)", "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM s WHERE s.name = t.name AND EXISTS"
         " (SELECT FROM o WHERE o.id = t.id))", "t=5;s;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = t.id UNION"
         " SELECT FROM t x WHERE x.id = t.id + 1)", "t;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (WITH w AS (SELECT * FROM o WHERE o.id = t.id)"
         " SELECT FROM w)", "t=5;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM (SELECT * FROM o WHERE"
         " o.id = t.id LIMIT 1) x)", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN LATERAL (SELECT * FROM o WHERE o.id = t.id LIMIT 1) x ON true"
         " WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN LATERAL (SELECT max(v) FROM (SELECT * FROM o y WHERE y.id ="
         " t.id) z) x ON true WHERE t.id = 5", "t=5;o=5"},
        {"SELECT * FROM t LEFT JOIN s ON EXISTS (SELECT FROM o WHERE o.id = t.id) WHERE t.id = 5",
         "t=5;s;o"}, // what ON sees is not looked at
        // Where the subquery is asked for rows that are not fixed
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id) FROM t WHERE t.id = 5 OR v = 1",
         "t;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id) FROM t HAVING t.id = 5", "t;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id) FROM t LEFT JOIN s ON t.id = 5",
         "t;s;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.id OR t.v = 1) FROM t WHERE t.id = 5",
         "t=5;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE NOT o.id = t.id) FROM t WHERE t.id = 5", "t=5;o"},
        {"SELECT *, (SELECT max(v) FROM o WHERE o.id = t.v) FROM t WHERE t.id = 5", "t=5;o"},
        {"SELECT *, (SELECT max(v) FROM o LEFT JOIN s ON o.id = t.id) FROM t WHERE t.id = 5",
         "t=5;o;s"},
        // What a name means there
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, t WHERE o.id = t.id)", "t;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, s t WHERE o.id = t.id)",
         "t=5;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, (SELECT v AS id FROM s) t"
         " WHERE o.id = t.id)", "t=5;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, (s JOIN s x ON true) AS t"
         " WHERE o.id = t.id)", "t=5;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM o, (t JOIN s ON t.id = 6) AS j"
         " WHERE o.id = t.id)", "t;o;s"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM (s JOIN o ON o.id = t.id), t"
         " WHERE t.id = 6)", "t=5;t=6;s;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM (s JOIN s x ON EXISTS (SELECT"
         " FROM o WHERE o.id = t.id)), t WHERE t.id = 6)", "t=5;t=6;s;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM LATERAL (SELECT FROM o WHERE"
         " o.id = t.id) x, t WHERE t.id = 6)", "t=5;t=6;o"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM t, (SELECT FROM o WHERE"
         " o.id = t.id) x WHERE t.id = 6)", "t=5;t=6;o=5"},
        {"SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM t, LATERAL (SELECT FROM o WHERE"
         " o.id = t.id) x WHERE t.id = 6)", "t=5;t=6;o=6"},
        {"WITH t AS (SELECT 7 AS id FROM s) SELECT * FROM t WHERE t.id = 5 AND EXISTS (SELECT FROM"
         " o WHERE o.id = t.id)", "s;o"},
        {"WITH x AS (SELECT 7 AS id FROM s) SELECT * FROM t x WHERE x.id = 5 AND EXISTS (SELECT"
         " FROM o WHERE o.id = x.id)", "s;t=5;o=5"},
        {"SELECT * FROM t AS x(v, id) WHERE x.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = x.id)",
         "t;o"},
        {"SELECT * FROM t x WHERE x.id = 5 AND EXISTS (SELECT FROM o WHERE o.id = t.id)", "t=5;o"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
}

static void linked_queries(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT * FROM (SELECT t.id AS k FROM t WHERE t.id = 5 LIMIT 1) x LEFT JOIN o ON"
         " x.k = o.id", "t=5;o=5"},
        {"SELECT * FROM (SELECT * FROM t WHERE id = 5) x JOIN o ON o.id = x.id", "t=5;o=5"},
        {"SELECT * FROM (SELECT id FROM t WHERE id = 5 GROUP BY id) x JOIN o ON o.id = x.id",
         "t=5;o=5"},
        {"SELECT * FROM (SELECT DISTINCT y.id, s.name FROM t y JOIN s ON s.v = y.v WHERE y.id = 5)"
         " x JOIN o ON o.id = x.id", "t=5;s;o=5"},
        {"SELECT * FROM (SELECT y.k FROM (SELECT id AS k FROM t WHERE id = 5) y) x, o WHERE"
         " o.id = x.k", "t=5;o=5"},
        {"SELECT * FROM (SELECT y.* FROM t y WHERE y.id = 5) x, o WHERE o.id = x.id", "t=5;o=5"},
        {"WITH w AS (SELECT id AS k FROM t WHERE id = 5) SELECT * FROM w JOIN o ON o.id = w.k",
         "t=5;o=5"},
        {"WITH w AS (SELECT id AS k FROM t WHERE id = 5) SELECT * FROM o WHERE o.id IN (SELECT k"
         " FROM w)", "t=5;o"}, // that is not followed
        {"SELECT * FROM o WHERE o.id IN (SELECT t.id FROM t WHERE t.id IN (5, 6))",
         "t=5;t=6;o=5;o=6"},
        {"SELECT * FROM o WHERE id = ANY (SELECT id FROM t WHERE id = 5) AND v = 1", "t=5;o=5"},
        {"SELECT * FROM o WHERE id = (SELECT id FROM t WHERE id = 5)", "t=5;o=5"},
        {"SELECT * FROM o WHERE (SELECT id FROM t WHERE id = 5) = o.id", "t=5;o=5"},
        {"SELECT * FROM s LEFT JOIN o ON o.id IN (SELECT id FROM t WHERE id = 5) WHERE name = 'x'",
         "s=x;t=5;o=5"},
        {"SELECT * FROM c d WHERE EXISTS (SELECT FROM c WHERE c.a = d.a AND c.b = d.b) AND"
         " (d.a, d.b) IN ((1, 'x'), (2, 'y'))", "c=1|x;c=2|y"},
        {"SELECT * FROM (SELECT a AS f, b AS g FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))) x,"
         " c WHERE c.a = x.f AND c.b = x.g", "c=1|x;c=2|y"},
        // Two readers of a CTE are at two rows of it.
        {"WITH w AS (SELECT a, b FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))) SELECT * FROM c,"
         " w, w v WHERE c.a = w.a AND c.b = v.b", "c=1|x;c=1|y;c=2|x;c=2|y"},
        // What a column of a query is
        {"SELECT * FROM (SELECT v AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id", "t=5;o"},
        {"SELECT * FROM (SELECT id + 1 AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id",
         "t=5;o"},
        {"SELECT * FROM (SELECT id::int8 AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id",
         "t=5;o"},
        {"SELECT * FROM (SELECT max(id) AS id FROM t WHERE id = 5) x JOIN o ON o.id = x.id",
         "t=5;o"},
        {"SELECT * FROM (SELECT v, id FROM t WHERE id = 5) x(id, k) JOIN o ON o.id = x.id",
         "t=5;o"},
        {"WITH w(v, id) AS (SELECT id, v FROM t WHERE id = 5) SELECT * FROM w JOIN o ON"
         " o.id = w.id", "t=5;o"},
        {"SELECT * FROM (SELECT t.id FROM t WHERE t.id = 5 UNION SELECT 6) x JOIN o ON"
         " o.id = x.id", "t=5;o"},
        {"SELECT * FROM (VALUES (5)) x(id) JOIN o ON o.id = x.id", "o"},
        {"SELECT * FROM (SELECT id FROM t, s WHERE t.id = 5) x JOIN o ON o.id = x.id", "t=5;s;o"},
        {"SELECT * FROM (SELECT * FROM t, s WHERE t.id = 5) x JOIN o ON o.id = x.id", "t=5;s;o"},
        {"SELECT * FROM (SELECT * FROM t WHERE id = 5 OR v = 1) x JOIN o ON o.id = x.id", "t;o"},
        {"WITH RECURSIVE w AS (SELECT id FROM t WHERE id = 5 UNION SELECT o.id + 1 FROM o JOIN w"
         " ON o.id = w.id) SELECT * FROM w", "t=5;o"},
        {"SELECT * FROM o WHERE id NOT IN (SELECT id FROM t WHERE id = 5)", "t=5;o"},
        {"SELECT * FROM o WHERE id <> ANY (SELECT id FROM t WHERE id = 5)", "t=5;o"},
        {"SELECT * FROM o WHERE id = ALL (SELECT id FROM t WHERE id = 5)", "t=5;o"},
        {"SELECT * FROM o WHERE id IN (SELECT id FROM t WHERE id = 5) OR v = 1", "t=5;o"},
        {"SELECT * FROM o WHERE id = COALESCE((SELECT id FROM t WHERE id = 5), 6)", "t=5;o"},
        {"SELECT * FROM o WHERE id IN (SELECT name FROM s WHERE name = '5')", "s=5;o"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        reads(cases[i][0], cases[i][1]);
    // Writes are taken by what they say themselves.
    writes("DELETE FROM o WHERE id IN (SELECT id FROM t WHERE id = 5)", "o");
    writes("UPDATE o SET v = 1 FROM t WHERE t.id = 5 AND o.id = t.id", "o");
}

// The analysis is made once for a template: the values are those of the text at hand.
static void templates_share_an_analysis(void **state)
{
    static const char *const cases[][3] = {
        {"SELECT * FROM t WHERE v = 1 AND id = 5", "SELECT * FROM t WHERE v = 77 AND id = 6",
         "t=6"},
        {"SELECT * FROM t WHERE id = -5", "SELECT * FROM t WHERE id = -12", "t=-12"},
        {"SELECT * FROM t WHERE id = '5'", "SELECT * FROM t WHERE id = ' 006'", "t=6"},
        {"SELECT * FROM t WHERE id = '5'", "SELECT * FROM t WHERE id = 'x'", "t"},
        {"SELECT * FROM t WHERE id = 3000000000", "SELECT * FROM t WHERE id = 5.0", "t"},
        {"SELECT * FROM t WHERE id = 5.0", "SELECT * FROM t WHERE id = 3000000000",
         "t=3000000000"},
        {"SELECT * FROM s WHERE name = 'a'", "SELECT * FROM s WHERE name = 'it''s'", "s=it's"},
        {"SELECT 'x', 1.5, id FROM t WHERE id IN (1, 2)",
         "SELECT 'id', 2.5, id FROM t WHERE id IN (3, 4)", "t=3;t=4"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        judge(cases[i][0], cases[i][1], slice_of("", 0), slice_of("", 0), cases[i][2], false);
}

// ---- Parameters --------------------------------------------------------------------------------

struct parameter {
    uint32_t type; // declared; 0: not
    bool binary;
    const char *bytes; // NULL: a NULL
    size_t n;
};

#define AS_TEXT(type, value) {type, false, value, sizeof(value) - 1}
#define AS_BINARY(type, value) {type, true, value, sizeof(value) - 1}

static void bound(const char *sql, const struct parameter *p, uint16_t n, const char *expected,
                  bool written)
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

static void parameters_fix_keys(void **state)
{
    static const struct {
        const char *sql;
        struct parameter p;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(0, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(23, "05"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(705, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(0, "\0\0\0\5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(20, "\0\0\0\0\0\0\0\5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(21, "\0\5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int", AS_TEXT(0, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int", AS_TEXT(25, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int", AS_BINARY(25, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1", {0, false, NULL, 0}, ""},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(1700, "5"), "t"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(701, "5"), "t"},
        {"SELECT * FROM t WHERE id = $1", AS_BINARY(701, "\0\0\0\0\0\0\0\5"), "t"},
        {"SELECT * FROM t WHERE id = $1", AS_TEXT(0, "5.0"), "t"},
        {"SELECT * FROM t WHERE id = $1::numeric", AS_TEXT(0, "5"), "t"},
        {"SELECT * FROM t WHERE id = $1 AND v = $1", AS_TEXT(0, "5"), "t"}, // of v's type?
        {"SELECT * FROM t WHERE id = $1 AND v = $1", AS_TEXT(23, "5"), "t=5"},
        {"SELECT * FROM t WHERE id = $1::int AND v = $1::int4", AS_TEXT(0, "5"), "t=5"},
        {"SELECT $1::int FROM t WHERE id = $1::int AND v = $1", AS_TEXT(0, "5"), "t"},
        {"SELECT $1 FROM t WHERE id = $1::int AND v = $1::int", AS_TEXT(0, "5"), "t"},
        {"SELECT $1::int8 FROM t WHERE id = $1::int", AS_BINARY(0, "\0\0\0\5"), "t"},
        {"SELECT $1::int FROM t WHERE id = $1::int8 AND v = $1::int", AS_TEXT(0, "5"), "t"},
        {"SELECT $1::int[] FROM t WHERE id = $1::int", AS_TEXT(0, "5"), "t"},
        {"SELECT $1::int[] FROM t WHERE id = ANY($1::int[])", AS_TEXT(0, "{5}"), "t=5"},
        {"SELECT $1::numeric(5,2) FROM n WHERE id = $1::numeric", AS_TEXT(0, "5"), "n"},
        {"SELECT $1::int AS x FROM t WHERE id IN (SELECT id FROM o WHERE id = $1::int)",
         AS_BINARY(0, "\0\0\0\5"), "t=5;o=5"},
        {"SELECT $1::float8 FROM t WHERE id = $1", AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "t"},
        {"SELECT * FROM t JOIN o ON o.id = t.id WHERE t.id = $1", AS_TEXT(0, "5"), "t=5;o=5"},
        {"SELECT * FROM n WHERE id = $1", AS_TEXT(23, "5"), "n=5"},
        {"SELECT * FROM n WHERE id = $1", AS_BINARY(23, "\0\0\0\5"), "n=5"},
        {"SELECT * FROM n WHERE id = $1", AS_BINARY(0, "\0\1\0\0\0\0\0\1\0\5"), "n=5"},
        {"SELECT * FROM n WHERE id = $1::int", AS_TEXT(1700, "5"), "n"}, // it is rounded
        {"SELECT * FROM n WHERE id = $1::int", AS_BINARY(0, "\0\0\0\5"), "n=5"},
        {"SELECT * FROM s WHERE name = $1", AS_TEXT(0, "x"), "s=x"},
        {"SELECT * FROM s WHERE name = $1", AS_BINARY(1043, "x"), "s=x"},
        {"SELECT * FROM s WHERE name = $1", AS_TEXT(1042, "x"), "s"},
        {"SELECT * FROM s WHERE name = $1", AS_TEXT(19, "x"), "s"},
        {"SELECT * FROM s WHERE name = $1::text", AS_TEXT(23, "5"), "s"},
        {"SELECT * FROM p WHERE code = $1", AS_TEXT(25, "ab "), "p=ab"},
        {"SELECT * FROM u WHERE id = $1",
         AS_BINARY(2950, "\240\356\274\231\234\13\116\370\273\155\153\271\275\70\12\21"),
         "u=a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {"SELECT * FROM u WHERE id = $1::uuid", AS_TEXT(1043, "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
         "u=a0eebc999c0b4ef8bb6d6bb9bd380a11"},
        {"SELECT * FROM d WHERE day = $1", AS_BINARY(1082, "\0\0\42\171"), "d=2024-02-29"},
        {"SELECT * FROM d WHERE day = $1", AS_TEXT(1114, "2024-02-29"), "d"},
        {"SELECT * FROM t WHERE id IN ($1, 6)", AS_TEXT(0, "5"), "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(0, "{5,6}"), "t=5;t=6"},
        {"SELECT * FROM t WHERE id = ANY($1::int[])", AS_TEXT(0, "{5,NULL}"), "t=5"},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(1007, "{}"), ""},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(1231, "{5}"), "t"},
        {"SELECT * FROM t WHERE id = ANY($1)", AS_TEXT(1007, "[0:0]={5}"), "t"},
        {"SELECT * FROM t WHERE id = ANY($1)",
         AS_BINARY(1007, "\0\0\0\1\0\0\0\1\0\0\0\27\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\5"
                         "\377\377\377\377"), "t=5"},
        {"SELECT * FROM t WHERE id = ANY($1)",
         AS_BINARY(0, "\0\0\0\1\0\0\0\0\0\0\2\275\0\0\0\1\0\0\0\1\0\0\0\10\0\0\0\0\0\0\0\5"),
         "t"}, // of float8
        {"SELECT * FROM t WHERE id = ANY($1)", AS_BINARY(1007, "\0\0\0\1\0\0\0\0\0\0\0\27"), "t"},
        {"SELECT * FROM s WHERE name = ANY($1)", AS_TEXT(1009, "{a,\"b\\\"c\",\\NULL}"),
         "s=a;s=b\"c;s=NULL"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        bound(cases[i].sql, &cases[i].p, 1, cases[i].expected, false);
    struct parameter two[] = {AS_TEXT(0, "1"), AS_BINARY(25, "x")};
    bound("SELECT * FROM c WHERE a = $1 AND b = $2", two, 2, "c=1|x", false);
    bound("SELECT * FROM c WHERE (a, b) IN (($1, $2))", two, 2, "c=1|x", false);
    struct parameter four[] = {AS_TEXT(0, "1"), AS_TEXT(25, "x"), AS_BINARY(23, "\0\0\0\2"),
                               AS_TEXT(0, "y")};
    bound("SELECT * FROM c WHERE (a, b) IN (($1, $2), ($3, $4))", four, 4, "c=1|x;c=2|y", false);
    bound("SELECT * FROM c WHERE a = $1 AND b = $2 OR a = $3 AND b = $4", four, 4, "c=1|x;c=2|y",
          false);
    // A NULL is none of the values: then those that are left do not stand in order.
    four[0] = (struct parameter){0, false, NULL, 0};
    bound("SELECT * FROM c WHERE (a, b) IN (($1, $2), ($3, $4))", four, 4, "c=2|x;c=2|y", false);
    bound("SELECT * FROM c WHERE a = $2 AND b = $1", two, 2, "c", false);
    bound("SELECT * FROM t WHERE id = $3", two, 2, "t", false);
}

static void parameters_of_other_types(void **state)
{
    static const struct {
        const char *sql;
        struct parameter p;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM oid WHERE id = $1", AS_TEXT(0, "5"), "oid=5"},
        {"SELECT * FROM oid WHERE id = $1", AS_BINARY(0, "\377\377\377\377"), "oid=4294967295"},
        {"SELECT * FROM oid WHERE id = $1", AS_BINARY(23, "\377\377\377\377"), "oid"},
        {"SELECT * FROM oid WHERE id = $1", AS_TEXT(23, "010"), "oid"},
        {"SELECT * FROM oid WHERE id = ANY($1)", AS_TEXT(1028, "{5,6}"), "oid=5;oid=6"},
        {"SELECT * FROM name WHERE id = $1", AS_TEXT(19, "x"), "name=x"},
        {"SELECT * FROM name WHERE id = $1", AS_BINARY(1043, "x"), "name=x"},
        {"SELECT * FROM bytes WHERE id = $1", AS_TEXT(0, "\\x6162"), "bytes=ab"},
        {"SELECT * FROM bytes WHERE id = $1", AS_BINARY(17, "ab"), "bytes=ab"},
        {"SELECT * FROM bytes WHERE id = $1", AS_TEXT(25, "ab"), "bytes"},
        {"SELECT * FROM bytes WHERE id = ANY($1)", AS_TEXT(1001, "{\"\\\\x6162\",c}"),
         "bytes=ab;bytes=c"},
        {"SELECT * FROM flag WHERE id = $1", AS_BINARY(0, "\1"), "flag=t"},
        {"SELECT * FROM mood WHERE id = $1", AS_TEXT(0, "sad"), "mood=sad"},
        {"SELECT * FROM mood WHERE id = $1", AS_BINARY(16400, "sad"), "mood=sad"},
        {"SELECT * FROM mood WHERE id = $1", AS_BINARY(16401, "sad"), "mood"},
        {"SELECT * FROM mood WHERE id = ANY($1)", AS_TEXT(0, "{sad,ok}"), "mood=sad;mood=ok"},
        {"SELECT * FROM mood WHERE id = ANY($1)",
         AS_BINARY(0, "\0\0\0\1\0\0\0\0\0\0\100\20\0\0\0\1\0\0\0\1\0\0\0\2ok"), "mood=ok"},
        {"SELECT * FROM mood WHERE id = 'sad' AND v = $1", AS_TEXT(0, "x"), "mood"}, // prepared
        {"SELECT * FROM mood WHERE id IN ('sad', $1)", AS_TEXT(0, "ok"), "mood"},
        {"SELECT * FROM at WHERE id = $1", AS_TEXT(1114, "2024-02-29 12:00:00+02"),
         "at=2024-02-29 12:00"},
        {"SELECT * FROM at WHERE id = $1", AS_TEXT(1184, "2024-02-29 12:00:00+00"), "at"},
        {"SELECT * FROM at WHERE id = $1", AS_BINARY(1184, "\0\0\0\0\0\0\0\0"), "at"},
        {"SELECT * FROM at WHERE id = $1", AS_BINARY(0, "\0\0\0\0\0\0\0\0"), "at=2000-01-01"},
        {"SELECT * FROM at WHERE id = $1::timestamp", AS_TEXT(1184, "2024-02-29 12:00+02"), "at"},
        {"SELECT * FROM at WHERE id = $1::timestamp", AS_TEXT(25, "2024-02-29 12:00"),
         "at=2024-02-29 12:00"},
        {"SELECT * FROM at WHERE id = ANY($1)", AS_TEXT(1115, "{\"2024-02-29 12:00\",2024-03-01}"),
         "at=2024-02-29 12:00;at=2024-03-01"},
        {"SELECT * FROM at WHERE id = ANY($1)", AS_TEXT(1115, "{2024-02-29 12:00}"), "at"},
        {"SELECT * FROM atz WHERE id = $1", AS_TEXT(0, "2024-02-29 12:00+02"),
         "atz=2024-02-29 10:00+00"},
        {"SELECT * FROM atz WHERE id = $1", AS_TEXT(1114, "2024-02-29 12:00+02"), "atz"},
        {"SELECT * FROM atz WHERE id = $1", AS_BINARY(1184, "\0\0\0\0\0\0\0\0"),
         "atz=2000-01-01 01:00+01"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        bound(cases[i].sql, &cases[i].p, 1, cases[i].expected, false);
}

static void parameters_of_still_other_types(void **state)
{
    static const struct {
        const char *sql;
        struct parameter p;
        const char *expected;
    } cases[] = {
        {"SELECT * FROM f WHERE id = $1", AS_TEXT(0, "1.5"), "f=1.5"},
        {"SELECT * FROM f WHERE id = $1", AS_TEXT(1700, "1.50"), "f=1.5"},
        {"SELECT * FROM f WHERE id = $1", AS_TEXT(700, "1.5"), "f"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(0, "\77\370\0\0\0\0\0\0"), "f=1.5"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(701, "\200\0\0\0\0\0\0\0"), "f=0"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(700, "\77\300\0\0"), "f"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(1700, "\0\0\0\0\0\0\0\2"), "f"},
        {"SELECT * FROM f WHERE id = $1::numeric", AS_BINARY(0, "\0\0\0\0\0\0\0\2"), "f"},
        {"SELECT * FROM f WHERE id = $1", AS_BINARY(20, "\0\0\0\0\0\0\0\5"), "f=5"},
        {"SELECT * FROM f WHERE id = $1::int8", AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "f=5"},
        {"SELECT * FROM f WHERE id = $1::float8", AS_TEXT(25, "5e0"), "f=5"},
        {"SELECT * FROM f WHERE id = ANY($1)", AS_TEXT(1022, "{1.5,2}"), "f=1.5;f=2"},
        {"SELECT * FROM f WHERE id = ANY($1)", AS_TEXT(1021, "{1.5,2}"), "f"},
        {"SELECT * FROM f WHERE id IN ($1, 2.5)",
         AS_BINARY(0, "\77\370\0\0\0\0\0\0"), "f=1.5;f=2.5"},
        // Its type is that of the array, which the others decide on.
        {"SELECT * FROM f WHERE id = ANY(ARRAY[$1, 2.5])",
         AS_BINARY(0, "\0\0\0\0\0\0\0\2"), "f"},
        {"SELECT * FROM n WHERE id = ANY(ARRAY[$1, 3000000000])",
         AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "n"},
        {"SELECT * FROM n WHERE id = ANY(ARRAY[$1, 3000000000])",
         AS_BINARY(20, "\0\0\0\0\0\0\0\5"), "n=5;n=3000000000"},
        {"SELECT * FROM n WHERE id = ANY(ARRAY[$1::int8, 3000000000])",
         AS_BINARY(0, "\0\0\0\0\0\0\0\5"), "n=5;n=3000000000"},
        {"SELECT * FROM inet WHERE id = $1", AS_TEXT(0, "10.1.2.3/24"), "inet=10.1.2.3/24"},
        {"SELECT * FROM inet WHERE id = $1", AS_BINARY(0, "\2\40\0\4\12\1\2\3"),
         "inet=10.1.2.3"},
        {"SELECT * FROM inet WHERE id = $1", AS_BINARY(650, "\2\30\1\4\12\1\2\0"),
         "inet=10.1.2.0/24"},
        {"SELECT * FROM inet WHERE id = $1::cidr", AS_BINARY(869, "\2\30\0\4\12\1\2\3"),
         "inet"}, // it loses the last ones
        {"SELECT * FROM inet WHERE id = $1", AS_TEXT(25, "10.1.2.3"), "inet"},
        {"SELECT * FROM inet WHERE id = $1::inet", AS_TEXT(25, "10.1.2.3"), "inet=10.1.2.3"},
        {"SELECT * FROM cidr WHERE id = $1", AS_BINARY(0, "\2\30\0\4\12\1\2\0"),
         "cidr=10.1.2.0/24"},
        {"SELECT * FROM cidr WHERE id = ANY($1)", AS_TEXT(1041, "{10.1.2.0/24}"),
         "cidr=10.1.2.0/24"},
        {"SELECT * FROM mac8 WHERE id = $1", AS_TEXT(829, "08:00:2b:01:02:03"), "mac8"},
        {"SELECT * FROM bits WHERE id = $1", AS_BINARY(0, "\0\0\0\3\240"), "bits=101"},
        {"SELECT * FROM bits WHERE id = $1", AS_BINARY(1562, "\0\0\0\3\240"), "bits=101"},
        {"SELECT * FROM lsn WHERE id = $1", AS_BINARY(0, "\0\0\0\1\0\0\0\12"), "lsn=1/A"},
        {"SELECT * FROM span WHERE id = $1",
         AS_BINARY(0, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), "span=30 days"},
        {"SELECT * FROM span WHERE id = $1", AS_TEXT(1083, "12:34:56"), "span"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        bound(cases[i].sql, &cases[i].p, 1, cases[i].expected, false);
}

static void letters_beyond_ascii_need_one_encoding(void **state)
{
    const char *sql = "SELECT * FROM s WHERE name = '\303\251'";
    struct analysis *a = analysis_new(slice_str(sql));
    struct search_path where = path();
    struct resolution *r = resolve(a, catalog, &where);
    uint32_t slots[KEYS_MAX];
    struct key_values values = {.analysis = a, .text = slice_str(sql), .utf8 = true};
    assert_true(r->utf8);
    assert_int_equal(r->read_scan_count, 1);
    assert_int_equal(keys_slots(&values, &r->read_scans[0], slots), 1);
    values.utf8 = false;
    assert_int_equal(keys_slots(&values, &r->read_scans[0], slots), -1);
    resolution_unref(&r);
    analysis_unref(&a);
}

// ---- Writes ------------------------------------------------------------------------------------

static void writes_of_known_rows(void **state)
{
    static const char *const cases[][2] = {
        {"UPDATE t SET v = 1 WHERE id = 5", "t=5"},
        {"UPDATE t AS x SET v = 1 WHERE x.id = 5 AND v = 2", "t=5"},
        {"UPDATE t SET v = o.v FROM o WHERE t.id = 5 AND o.id = t.v", "t=5"},
        {"DELETE FROM t WHERE id IN (5, 6)", "t=5;t=6"},
        {"DELETE FROM t USING o WHERE t.id = 5", "t=5"},
        {"INSERT INTO t(v, id) VALUES (1, 5), (2, '6')", "t=5;t=6"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT DO NOTHING", "t=5"},
        {"INSERT INTO t(id, v) VALUES (5, 1) ON CONFLICT (id) DO UPDATE SET v = 1", "t=5"},
        {"INSERT INTO c(a, b) VALUES (1, 'x')", "c=1|x"},
        {"INSERT INTO c(a, b) VALUES (1, 'x'), (2, 'y')", "c=1|x;c=2|y"},
        {"INSERT INTO at(id) VALUES ('2024-02-29 12:00')", "at=2024-02-29 12:00"},
        {"INSERT INTO flag(id) VALUES (true)", "flag=t"},
        {"INSERT INTO f(id) VALUES (1.50), (2), ('3e0')", "f=1.5;f=2;f=3"},
        {"INSERT INTO cidr(id) VALUES ('10.1.2.3/24'::inet)", "cidr=10.1.2.0/24"},
        {"INSERT INTO inet(id) VALUES ('10.1.2.3/24')", "inet=10.1.2.3/24"},
        {"INSERT INTO span(id) VALUES ('30 days')", "span=1 mon"},
        {"INSERT INTO span3(id) VALUES ('00:00:00.0004')", "span3"},
        {"INSERT INTO oid(id, v) VALUES (5, 1) ON CONFLICT (id) DO UPDATE SET v = 1", "oid=5"},
        {"UPDATE t SET v = 1 WHERE id = 5 OR id = 6", "t=5;t=6"},
        {"DELETE FROM c WHERE (a, b) IN ((1, 'x'), (2, 'y'))", "c=1|x;c=2|y"},
        {"INSERT INTO v(name) VALUES ('x')", "v=x"},
        {"INSERT INTO s(name) VALUES ('x ')", "s=x "},
        {"WITH a AS (UPDATE t SET v = 1 WHERE id = 5) UPDATE o SET v = 1 WHERE id = 6", "t=5;o=6"},
        {"UPDATE t SET v = 1 WHERE id = 5; DELETE FROM o WHERE id = 6", "t=5;o=6"},
        {"UPDATE t SET v = 1 WHERE id = 5; DELETE FROM t WHERE id = 6", "t=5;t=6"},
        {"EXPLAIN ANALYZE UPDATE t SET v = 1 WHERE id = 5", "t=5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        writes(cases[i][0], cases[i][1]);
    struct parameter two[] = {AS_TEXT(0, "7"), AS_TEXT(0, "5")};
    bound("UPDATE t SET v = $1 WHERE id = $2", two, 2, "t=5", true);
    bound("INSERT INTO t(v, id) VALUES ($1, $2)", two, 2, "t=5", true);
}

static void writes_of_unknown_rows(void **state)
{
    static const char *const cases[][2] = {
        {"UPDATE t SET v = 1", "t"},
        {"UPDATE t SET v = 1 WHERE v = 5", "t"},
        {"UPDATE t SET v = 1 WHERE id = 5 OR v = 1", "t"},
        {"UPDATE t SET id = 6 WHERE id = 5", "t"},
        {"UPDATE t SET (v, id) = (1, 6) WHERE id = 5", "t"},
        {"UPDATE t SET v = 1 FROM o WHERE o.id = 5", "t"},
        {"DELETE FROM t", "t"},
        {"DELETE FROM plain WHERE id = 5", "plain"},
        {"INSERT INTO t VALUES (5, 1)", "t"}, // which columns those are it does not say
        {"INSERT INTO t(v) VALUES (1)", "t"},
        {"INSERT INTO t(id) VALUES (DEFAULT)", "t"},
        {"INSERT INTO t(id) VALUES (5), (DEFAULT)", "t"},
        {"INSERT INTO t(id) VALUES (5.4)", "t"},
        {"INSERT INTO t(id) OVERRIDING USER VALUE VALUES (5)", "t"},
        {"INSERT INTO t(id) SELECT 5", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT (v) DO UPDATE SET v = 1", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT (id, v) DO UPDATE SET v = 1", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT (id) DO UPDATE SET id = 6", "t"},
        {"INSERT INTO t(id) VALUES (5) ON CONFLICT ON CONSTRAINT x DO UPDATE SET v = 1", "t"},
        {"INSERT INTO s(name) VALUES ('x') ON CONFLICT (name) DO UPDATE SET v = 1", "s"},
        {"INSERT INTO c(a, b) VALUES (1, 'x') ON CONFLICT (a, b) DO UPDATE SET v = 1", "c"},
        {"INSERT INTO v(name) VALUES ('x      ')", "v"},    // what is too long loses its blanks
        {"INSERT INTO n2(id) VALUES (5.555)", "n2"},        // is rounded
        {"INSERT INTO s(name) VALUES (5)", "s"},
        {"INSERT INTO at3(id) VALUES ('2024-02-29 12:00:00.0004')", "at3"}, // likewise
        {"INSERT INTO name(id) VALUES ('x') ON CONFLICT (id) DO UPDATE SET v = 1", "name"},
        {"DELETE FROM c WHERE (a, b) = (1, 'x') OR v = 2", "c"},
        {"MERGE INTO t USING o ON t.id = 5 WHEN MATCHED THEN UPDATE SET v = 1", "t"},
        {"TRUNCATE t, o", "t;o"},
        {"COPY t FROM STDIN", "t"},
        {"UPDATE t SET v = 1 WHERE id = 5; UPDATE t SET v = 1", "t"},
        {"WITH a AS (DELETE FROM t) UPDATE t SET v = 1 WHERE id = 5", "t"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        writes(cases[i][0], cases[i][1]);
    struct parameter two[] = {AS_TEXT(0, "7"), AS_TEXT(1700, "5")};
    bound("INSERT INTO t(v, id) VALUES ($1, $2)", two, 2, "t", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_fix_keys), cmocka_unit_test(constants_of_other_types),
        cmocka_unit_test(what_does_not_fix_a_key),
        cmocka_unit_test(joins),
        cmocka_unit_test(linked_places),
        cmocka_unit_test(linked_queries),
        cmocka_unit_test(templates_share_an_analysis),
        cmocka_unit_test(parameters_fix_keys),
        cmocka_unit_test(parameters_of_other_types),
        cmocka_unit_test(parameters_of_still_other_types),
        cmocka_unit_test(letters_beyond_ascii_need_one_encoding),
        cmocka_unit_test(writes_of_known_rows),
        cmocka_unit_test(writes_of_unknown_rows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
