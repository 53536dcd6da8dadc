// SPDX-License-Identifier: Apache-2.0
#include "cache/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "cache/lineage.h"
#include "cache/touched.h"

static struct catalog_key key_of(const char *first, enum rowkey_type type, const char *second)
{
    struct catalog_key key = {.count = second != NULL ? 2 : 1, .told = second != NULL ? 2 : 1};
    key.columns[0].name = slice_str(first);
    key.columns[0].type = type;
    if (second != NULL) {
        key.columns[1].name = slice_str(second);
        key.columns[1].type = ROWKEY_TEXT;
    }
    return key;
}

static uint64_t form(enum rowkey_type type, const char *text)
{
    uint64_t out;
    assert_true(rowkey_text(type, slice_str(text), &out));
    return out;
}

// All values of the key are.
static bool key_told(const char *row, const struct catalog_key *key, struct row_keys *out)
{
    bool told = key->count > 0 && row_keys(slice_str(row), key, out);
    for (size_t i = 0; told && i < out->count * key->count; i++)
        told = out->tuples[i / key->count].states[i % key->count] == ROW_KNOWN;
    return told;
}

// before: NULL when only one key is told.
static void told(const char *row, const struct catalog_key *key, const char *before,
                 const char *after)
{
    struct row_keys keys;
    if (!key_told(row, key, &keys))
        fail_msg("not understood: %s", row);
    assert_int_equal(keys.count, before != NULL ? 2 : 1);
    if (before != NULL)
        assert_int_equal(keys.tuples[0].values[0], form(key->columns[0].type, before));
    assert_int_equal(keys.tuples[keys.count - 1].values[0], form(key->columns[0].type, after));
}

static void rows_tell_their_keys(void **state)
{
    struct catalog_key id = key_of("id", ROWKEY_INTEGER, NULL);
    told(" id[integer]:5 name[text]:'x'", &id, NULL, "5");
    told(" name[text]:'x' id[integer]:-5", &id, NULL, "-5");
    told(" id[integer]:5", &id, NULL, "5");
    told(" old-key: id[integer]:5 new-tuple: id[integer]:6 name[text]:'x'", &id, "5", "6");
    told(" old-key: id[integer]:5 name[text]:'old' new-tuple: name[text]:null id[integer]:5", &id,
         "5", "5");
    // What stands in values and names does not mislead.
    told(" name[text]:'it''s id[integer]:7' id[integer]:5", &id, NULL, "5");
    told(" name[text]:' new-tuple: id[integer]:7' id[integer]:5", &id, NULL, "5");
    told(" old-key: a[text]:' new-tuple: id[integer]:7' id[integer]:5 new-tuple: a[text]:'''' "
         "id[integer]:6", &id, "5", "6");
    told(" name[text]:'' other[text]:'''' id[integer]:5", &id, NULL, "5");
    told(" \"x id[integer]:7\"[text]:'a' id[integer]:5", &id, NULL, "5");
    told(" b[bit varying]:B'0101' f[double precision]:NaN id[bigint]:5", &id, NULL, "5");
    told(" a[integer[]]:'{1,2}' m[public.\"odd]:type\"]:'v' id[smallint]:5", &id, NULL, "5");
    told(" t[character varying(10)]:'v' big[text]:unchanged-toast-datum id[integer]:5", &id, NULL,
         "5");
    told(" name[text]:'line\nline' id[integer]:5", &id, NULL, "5");
    struct catalog_key odd = key_of("Od\"d id", ROWKEY_INTEGER, NULL);
    told(" \"Od\"\"d id\"[integer]:5", &odd, NULL, "5");
    struct catalog_key name = key_of("name", ROWKEY_TEXT, NULL);
    told(" id[integer]:5 name[text]:'it''s'", &name, NULL, "it's");
    told(" name[text]:''''", &name, NULL, "'");
    told(" name[text]:'null'", &name, NULL, "null");
    told(" old-key: name[text]:'long' new-tuple: name[text]:unchanged-toast-datum", &name, "long",
         "long");
    struct catalog_key flag = key_of("f", ROWKEY_BOOLEAN, NULL);
    told(" f[boolean]:true", &flag, NULL, "t");
    struct catalog_key uuid = key_of("u", ROWKEY_UUID, NULL);
    told(" u[uuid]:'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", &uuid, NULL,
         "a0eebc999c0b4ef8bb6d6bb9bd380a11");
    struct catalog_key part = key_of("f", ROWKEY_DOUBLE, NULL);
    told(" f[double precision]:1e+22", &part, NULL, "1e22");
    told(" f[public.ratio]:'0.1'", &part, NULL, "0.1"); // a domain
    enum rowkey_type texts = (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_TEXT);
    struct catalog_key tags = key_of("t", texts, NULL);
    told(" t[text[]]:'{\"it''s\",a,\"\\\\\",NULL}' id[integer]:5", &tags, NULL,
         "{it's,\"a\",\\\\,null}");
    told(" old-key: t[character varying[]]:'{}' new-tuple: t[character varying[]]:'{\" \"}'", &tags,
         "{}", "{\" \"}");
    struct catalog_key range = key_of("r", (enum rowkey_type)(ROWKEY_RANGE | ROWKEY_DATE), NULL);
    told(" r[daterange]:'[2024-02-28,2024-03-01)' id[integer]:5", &range, NULL,
         "[2024-02-28,2024-02-29]");
    struct catalog_key share = key_of("f", ROWKEY_FLOAT, NULL);
    told(" f[real]:1e+22", &share, NULL, "1e22");
    struct catalog_key bits = key_of("b", ROWKEY_BITS, NULL);
    told(" b[bit]:B'0101' id[bigint]:5", &bits, NULL, "0101");
    told(" b[bit varying]:B''", &bits, NULL, "");
    told(" old-key: b[public.flags]:'0101' new-tuple: b[public.flags]:'11'", &bits, "0101", "11");
    struct catalog_key host = key_of("h", ROWKEY_INET, NULL);
    told(" h[inet]:'::ffff:1.2.3.4/64'", &host, NULL, "::ffff:102:304/64");
}

static void composite_keys(void **state)
{
    struct catalog_key key = key_of("id", ROWKEY_INTEGER, "name");
    struct row_keys keys;
    assert_true(key_told(" name[text]:'b' id[integer]:5", &key, &keys));
    assert_int_equal(keys.tuples[0].values[0], form(ROWKEY_INTEGER, "5"));
    assert_int_equal(keys.tuples[0].values[1], form(ROWKEY_TEXT, "b"));
    assert_true(key_told(" old-key: id[integer]:5 name[text]:'b' new-tuple: "
                                   "id[integer]:6 name[text]:unchanged-toast-datum", &key, &keys));
    assert_int_equal(keys.count, 2);
    assert_int_equal(keys.tuples[1].values[0], form(ROWKEY_INTEGER, "6"));
    assert_int_equal(keys.tuples[1].values[1], form(ROWKEY_TEXT, "b"));
    assert_false(key_told(" id[integer]:5", &key, &keys));
}

static void what_is_not_told(void **state)
{
    static const char *const rows[] = {
        "", " ", " (no-tuple-data)", " name[text]:'x'", " id[integer]:null", " id[integer]:",
        " id[integer]", " id[integer", " id:5", "id[integer]:5", " id[integer]:5x",
        " name[text]:'open id[integer]:5", " old-key: id[integer]:5", " old-key: id[integer]:5 ",
        " old-key: new-tuple: id[integer]:5", " old-key: name[text]:'a' new-tuple: id[integer]:5",
        " old-key: id[integer]:5 new-tuple: name[text]:'a'",
        " old-key: id[integer]:5 new-tuple: (no-tuple-data)", " id[integer]:unchanged-toast-datum",
        " id[numeric]:5.5", " id[integer]:99999999999999999999", " \"id[integer]:5", " x",
    };
    struct catalog_key id = key_of("id", ROWKEY_INTEGER, NULL);
    struct row_keys keys;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (key_told(rows[i], &id, &keys))
            fail_msg("understood: %s", rows[i]);
    struct catalog_key none = {.count = 0};
    assert_false(key_told(" id[integer]:5", &none, &keys));
    struct catalog_key tags = key_of("t", (enum rowkey_type)(ROWKEY_ARRAY | ROWKEY_TEXT), NULL);
    assert_false(key_told(" t[text[]]:'[0:0]={a}'", &tags, &keys));
    assert_false(key_told(" t[text[]]:'{{a}}'", &tags, &keys));
    assert_false(key_told(" t[text[]]:null", &tags, &keys));
    struct catalog_key name = key_of("name", ROWKEY_TEXT, NULL);
    assert_false(key_told(" name[text]:null", &name, &keys));
    assert_false(key_told(" name[text]:unchanged-toast-datum", &name, &keys));
    char wide[ROWKEY_VALUE_BYTES * 3 + 32];
    size_t n = (size_t)snprintf(wide, sizeof(wide), " name[text]:'");
    for (size_t i = 0; i <= ROWKEY_VALUE_BYTES; i++)
        n += (size_t)snprintf(wide + n, sizeof(wide) - n, "''");
    snprintf(wide + n, sizeof(wide) - n, "'");
    assert_false(key_told(wide, &name, &keys));
}

// ---- What lines touch --------------------------------------------------------------------------

static struct catalog *catalog;
static struct touched touched;

static uint64_t table(const char *name)
{
    return ledger_table(slice_str("public"), slice_str(name));
}

static uint32_t key_slot(const char *name, int id)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", id);
    uint64_t value = form(ROWKEY_INTEGER, text);
    return ledger_key_slot(table(name), &value, 1);
}

static bool has(uint32_t slot)
{
    for (size_t i = 0; i < touched.n; i++)
        if (touched.slots[i] == slot)
            return true;
    return false;
}

static bool has_any(const char *name) // it may be any row
{
    return has(ledger_rows_slot(table(name))) && has(ledger_columns_slot(table(name)));
}

static void line(const char *text)
{
    struct decoded d = decode_line(slice_str(text));
    assert_true(d.kind == DECODE_TABLE || d.kind == DECODE_TRUNCATE);
    touched_line(&touched, &d, catalog);
}

// A table with REPLICA IDENTITY FULL: id is its primary key, note and n are any columns. It is
// below a partitioned table.
static struct catalog_key full_key(void)
{
    struct catalog_key key = key_of("id", ROWKEY_INTEGER, "note");
    key.count = 1;
    key.told = 3;
    key.full = true;
    key.columns[2].name = slice_str("n");
    key.columns[2].type = ROWKEY_INTEGER;
    return key;
}

static void add_tree(struct catalog_builder *b)
{
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str("full"),
                                 .key = full_key(), .oid = 1};
    catalog_builder_relation(b, &r);
    r.name = slice_str("root");
    r.oid = 2;
    r.is_partitioned = true;
    r.key.columns[0] = full_key().columns[2]; // in another order
    r.key.columns[2] = full_key().columns[0];
    catalog_builder_relation(b, &r);
    r.name = slice_str("leaf");
    r.key = key_of("n", ROWKEY_INTEGER, NULL);
    r.oid = 3;
    r.is_partitioned = false;
    catalog_builder_relation(b, &r);
    r.name = slice_str("mixed"); // its leaf tells of its key alone
    r.key = full_key();
    r.oid = 4;
    r.is_partitioned = true;
    catalog_builder_relation(b, &r);
    lineage_child(catalog_builder_lineage(b), 2, 1);
    lineage_child(catalog_builder_lineage(b), 4, 3);
}

static uint32_t column_slot(const char *name, const char *column, enum rowkey_type type,
                            const char *text)
{
    uint64_t value = form(type, text);
    return ledger_key_slot(ledger_column(table(name), slice_str(column)), &value, 1);
}

static bool has_n(const char *name, const char *text)
{
    return has(column_slot(name, "n", ROWKEY_INTEGER, text));
}

static int set_up(void **state)
{
    struct catalog_builder *b = catalog_builder_new(1);
    add_tree(b);
    struct catalog_relation keyed = {.schema = slice_str("public"), .name = slice_str("t"),
                                     .key = key_of("id", ROWKEY_INTEGER, NULL)};
    struct catalog_relation plain = {.schema = slice_str("public"), .name = slice_str("plain")};
    catalog_builder_relation(b, &keyed);
    catalog_builder_relation(b, &plain);
    catalog = catalog_builder_finish(b);
    touched_clear(&touched);
    return 0;
}

static int tear_down(void **state)
{
    catalog_unref(&catalog);
    return 0;
}

static void a_row_touches_its_table_and_keys(void **state)
{
    line("table public.t: UPDATE: id[integer]:5 v[text]:'x'");
    assert_int_equal(touched.n, 2);
    assert_true(has(ledger_table_slot(table("t"))) && has(key_slot("t", 5)));
    line("table public.t: UPDATE: old-key: id[integer]:5 new-tuple: id[integer]:6 v[text]:'x'");
    assert_int_equal(touched.n, 3);
    assert_true(has(key_slot("t", 6)));
    line("table public.t: DELETE: id[integer]:7");
    assert_true(touched.n == 4 && has(key_slot("t", 7)));
    assert_false(has(ledger_rows_slot(table("t"))));
}

static void what_may_be_any_row_touches_all(void **state)
{
    static const char *const lines[] = {"table public.t: TRUNCATE: (no-flags)",
                                        "table public.t: DELETE: (no-tuple-data)"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        touched_clear(&touched);
        line(lines[i]);
        assert_int_equal(touched.n, 3);
        assert_true(has(ledger_table_slot(table("t"))) && has_any("t"));
    }
    touched_clear(&touched);
    line("table public.t: UPDATE: v[text]:'x'"); // any row, by the key that it does not tell
    assert_true(touched.n == 2 && has(ledger_rows_slot(table("t"))));
    touched_clear(&touched);
    line("table public.plain, public.t, public.unknown: TRUNCATE: cascade");
    assert_int_equal(touched.n, 9);
    touched_clear(&touched);
    line("table public.plain: INSERT: id[integer]:5");
    assert_true(touched.n == 3 && has_any("plain"));
    touched_clear(&touched);
    line("table public.unknown: INSERT: id[integer]:5");
    assert_true(touched.n == 3 && has_any("unknown"));
    struct catalog *kept = catalog;
    catalog = NULL;
    touched_clear(&touched);
    line("table public.t: INSERT: id[integer]:5");
    assert_true(touched.n == 3 && has_any("t"));
    catalog = kept;
}

static void many_rows_touch_all_of_their_table(void **state)
{
    for (int i = 0; i < 100000; i++) {
        char text[64];
        snprintf(text, sizeof(text), "table public.t: INSERT: id[integer]:%d", i);
        line(text);
    }
    assert_true(has(ledger_rows_slot(table("t"))));
    assert_true(touched.n <= TOUCHED_KEYS_MAX + 4 && !touched.all);
    line("table public.plain: INSERT: id[integer]:5"); // others are told apart as before
    assert_true(has(ledger_table_slot(table("plain"))) && !touched.all);
    touched_clear(&touched);
    for (size_t i = 0; i < LEDGER_SLOTS / 64; i++)
        assert_int_equal(touched.bits[i], 0);
}

// Each column is a key, of the row as it was and as it is.
static void of_a_whole_row_each_column_is_touched(void **state)
{
    line("table public.full: UPDATE: old-key: id[integer]:5 note[text]:'a' n[integer]:1 "
         "new-tuple: id[integer]:5 note[text]:unchanged-toast-datum n[integer]:2");
    assert_true(has(key_slot("full", 5)) && has_n("full", "1") && has_n("full", "2"));
    assert_true(has(column_slot("full", "note", ROWKEY_TEXT, "a")));
    assert_true(has(column_slot("full", "id", ROWKEY_INTEGER, "5")));
    assert_false(has(ledger_rows_slot(table("full"))) || has(ledger_columns_slot(table("full"))));
    // Of the table above likewise, by its own kinds of keys.
    uint64_t one = form(ROWKEY_INTEGER, "1");
    assert_true(has(ledger_key_slot(table("root"), &one, 1)) && has_n("root", "2"));
    assert_true(has(ledger_table_slot(table("root"))) && !has_any("root"));
    assert_int_equal(touched.n, 6 + 7);
}

// Of a row that is gone NULLs are left out; of a new one they are told. Nobody asks for them.
static void what_is_null_equals_nothing(void **state)
{
    line("table public.full: DELETE: id[integer]:5");
    line("table public.full: INSERT: id[integer]:6 note[text]:null n[integer]:null");
    assert_false(has(ledger_rows_slot(ledger_column(table("full"), slice_str("note")))));
    assert_false(has(ledger_rows_slot(ledger_column(table("full"), slice_str("n")))));
    char wide[1024];
    snprintf(wide, sizeof(wide), "table public.full: INSERT: id[integer]:7 note[text]:'%0300d' "
             "n[integer]:3", 1);
    line(wide); // so long a text is no key of anybody
    assert_true(has_n("full", "3"));
    assert_false(has(ledger_columns_slot(table("full"))));
    assert_false(has(ledger_rows_slot(ledger_column(table("full"), slice_str("note")))));
}

static void of_one_column_any_value(void **state)
{
    line("table public.full: INSERT: id[integer]:7 note[text]:'a' n[numeric]:3.5");
    assert_true(has(key_slot("full", 7)) && !has(ledger_rows_slot(table("full"))));
    assert_true(has(ledger_rows_slot(ledger_column(table("full"), slice_str("n")))));
    assert_false(has(ledger_columns_slot(table("full"))));
}

// By now its identity is another one.
static void an_update_without_the_old_row(void **state)
{
    line("table public.full: UPDATE: id[integer]:5 note[text]:'a' n[integer]:1");
    assert_true(has_any("full") && has_any("root"));
}

// What the tree's table does not tell may be any row of the tree, by that key.
static void a_leaf_with_less_than_its_root(void **state)
{
    const struct catalog_relation *mixed = catalog_event(catalog, slice_str("public"),
                                                         slice_str("mixed"));
    assert_true(mixed->key.count == 1 && mixed->key.told == 1 && !mixed->key.full);
    line("table public.leaf: INSERT: n[integer]:5");
    assert_true(has(ledger_rows_slot(table("mixed"))) && !has(ledger_rows_slot(table("leaf"))));
    touched_clear(&touched);
    line("table public.leaf: TRUNCATE: (no-flags)");
    assert_true(has_any("leaf") && has_any("mixed"));
    assert_true(has(ledger_table_slot(table("mixed"))));
}

// While the schema may be another one: of the tables whose keys only the catalog makes so.
static void an_outdated_catalog(void **state)
{
    touched.outdated = true;
    line("table public.t: UPDATE: id[integer]:5 v[text]:'x'");
    assert_true(has(key_slot("t", 5)) && !has_any("t") && !has_any("root"));
    line("table public.full: INSERT: id[integer]:5 note[text]:'a' n[integer]:1");
    assert_true(has_any("full") && has_any("root") && !has_any("mixed"));
    line("table public.unknown: INSERT: id[integer]:5"); // a new partition of anything
    assert_true(has_any("mixed") && !has_any("t"));
    touched.outdated = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_tell_their_keys),
        cmocka_unit_test(composite_keys),
        cmocka_unit_test(what_is_not_told),
        TEST(a_row_touches_its_table_and_keys),
        TEST(what_may_be_any_row_touches_all),
        TEST(many_rows_touch_all_of_their_table),
        TEST(of_a_whole_row_each_column_is_touched),
        TEST(what_is_null_equals_nothing),
        TEST(of_one_column_any_value),
        TEST(an_update_without_the_old_row),
        TEST(a_leaf_with_less_than_its_root),
        TEST(an_outdated_catalog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
