// SPDX-License-Identifier: Apache-2.0
// Texts, types and Bind messages, changed at random: keys are told or they are not, and nothing is
// read beyond what there is.
#include "proxy/sql/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/fuzz/mutate.h"

static const char *const texts[] = {
    "SELECT * FROM t WHERE id = $1 AND name = $2",
    "SELECT * FROM t WHERE id = ANY($1) AND name IN ($2, 'it''s', 'x')",
    "SELECT * FROM t WHERE id = ANY($1::int[]) AND name = ANY('{a,\"b\",NULL}')",
    "SELECT * FROM t WHERE id IN (1, -2, 3000000000) AND name = $1::text",
};

static struct catalog *make_catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str("t")};
    r.key.count = 2;
    r.key.columns[0].name = slice_str("id");
    r.key.columns[0].type = ROWKEY_INTEGER;
    r.key.columns[1].name = slice_str("name");
    r.key.columns[1].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
    return catalog_builder_finish(b);
}

static void put_value(struct buf *bind, struct dice *dice)
{
    static const struct {
        const char *bytes;
        size_t n;
    } values[] = {
        {"5", 1}, {" -05 ", 5}, {"{1,\"2\",NULL,\\3}", 15}, {"\0\0\0\5", 4}, {"", 0},
        {"\0\0\0\1\0\0\0\1\0\0\0\27\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\5\377\377\377\377", 32},
    };
    size_t i = dice_below(dice, sizeof(values) / sizeof(*values));
    buf_u32(bind, (uint32_t)values[i].n);
    buf_bytes(bind, values[i].bytes, values[i].n);
}

static void test_keys(void **state)
{
    static const struct slice schemas[] = {{(const uint8_t *)"public", 6}};
    static const uint32_t declared[] = {0, 23, 20, 25, 1007, 1009, 1700};
    struct search_path path = {schemas, 1, true};
    struct catalog *catalog = make_catalog();
    struct dice dice = dice_of(fuzz_seed());
    size_t told = 0;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct analysis *a = analysis_new(slice_str(texts[i]));
        struct resolution *r = resolve(a, catalog, &path);
        assert_int_equal(r->read_scan_count, 1);
        for (size_t round = fuzz_rounds(100000); round-- > 0;) {
            struct buf types = {0}, bind = {0}, text = {0};
            uint32_t keys[KEYS_MAX];
            buf_u16(&types, 2);
            buf_u16(&bind, 2);
            for (int k = 0; k < 2; k++) {
                buf_u32(&types, declared[dice_below(&dice, 7)]);
                buf_u16(&bind, (uint16_t)dice_below(&dice, 2));
            }
            buf_u16(&bind, 2);
            put_value(&bind, &dice);
            put_value(&bind, &dice);
            buf_bytes(&text, texts[i], strlen(texts[i]));
            size_t n_types, n_bind, n_text;
            bool which = dice_below(&dice, 2) == 0;
            uint8_t *t = which ? mutated(&types, &dice, &n_types) : NULL;
            uint8_t *b = mutated(&bind, &dice, &n_bind);
            uint8_t *s = which ? NULL : mutated(&text, &dice, &n_text);
            struct key_values values = {
                .analysis = a,
                .text = s != NULL ? slice_of(s, n_text) : buf_slice(&text),
                .types = t != NULL ? slice_of(t, n_types) : buf_slice(&types),
                .bind = slice_of(b, n_bind),
                .utf8 = true,
            };
            int n = keys_slots(&values, &r->read_scans[0], keys);
            assert_in_range(n + 1, 0, KEYS_MAX + 1);
            told += n > 0;
            free(t);
            free(b);
            free(s);
            buf_fini(&types);
            buf_fini(&bind);
            buf_fini(&text);
        }
        resolution_unref(&r);
        analysis_unref(&a);
    }
    catalog_unref(&catalog);
    assert_true(told > 100); // else this is about nothing
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
