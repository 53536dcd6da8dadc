// SPDX-License-Identifier: Apache-2.0
// Lines of test_decoding, changed at random: a line is understood or it is not, and then no name is
// made up: what comes out is as long as it says and was in the line. The same of its row's key. And
// messages of pgoutput, in whole streams of which some are changed: whatever it was told before, a
// row touches a table or all there is, and memory stays bounded.
#include "cache/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache/pgoutput.h"
#include "cache/row.h"
#include "tests/fuzz/mutate.h"
#include "tests/unit/cache/pgoutput_messages.h"

static const char *const lines[] = {
    "BEGIN 731",
    "COMMIT 4294967295",
    "table public.t: INSERT: id[integer]:1 name[text]:'x: y'",
    "table public.t: UPDATE: old-key: id[integer]:1 name[text]:'it''s' new-tuple: id[integer]:2 "
    "name[text]:unchanged-toast-datum x[integer[]]:'{1}'",
    "table public.\"we \"\"ird\": UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:2",
    "table public.t: DELETE: (no-tuple-data)",
    "table \"S.s\".t, public.\"U:\", a.b: TRUNCATE: restart_seqs cascade",
    "table a.b, a.c: TRUNCATE: (no-flags)",
    "message: transactional: 1 prefix: pgweir, sz: 3 content:abc",
};

static void check_line(struct slice line)
{
    struct decoded d = decode_line(line);
    switch (d.kind) {
    case DECODE_BAD:
    case DECODE_BEGIN:
    case DECODE_COMMIT:
    case DECODE_MESSAGE:
    case DECODE_NOTHING:
        return;
    case DECODE_TABLE:
    case DECODE_TRUNCATE:
        break;
    }
    static struct catalog_key key = {.count = 2, .told = 2};
    key.full = line.len % 2 == 0;
    struct row_keys keys;
    key.columns[0].name = slice_str("id");
    key.columns[0].type = ROWKEY_INTEGER;
    key.columns[1].name = slice_str("name");
    key.columns[1].type = ROWKEY_TEXT;
    if (d.kind == DECODE_TABLE && row_keys(d.row, &key, &keys))
        assert_in_range(keys.count, 1, 2);
    struct decode_name name;
    size_t tables = 0, bytes = 0;
    while (decode_next_table(&d, &name)) {
        assert_in_range(name.schema_len, 1, DECODE_NAME_BYTES);
        assert_in_range(name.name_len, 1, DECODE_NAME_BYTES);
        bytes += name.schema_len + name.name_len;
        tables++;
    }
    assert_true(tables >= 1 && bytes < line.len);
    assert_true(d.kind == DECODE_TRUNCATE || tables == 1);
    assert_false(decode_next_table(&d, &name));
}

static void test_lines(void **state)
{
    struct dice dice = dice_of(fuzz_seed());
    for (size_t round = fuzz_rounds(300000); round-- > 0;) {
        struct buf valid = {0};
        const char *line = lines[dice_below(&dice, sizeof(lines) / sizeof(*lines))];
        buf_bytes(&valid, line, strlen(line));
        size_t n;
        uint8_t *bytes = mutated(&valid, &dice, &n);
        check_line(slice_of(bytes, n));
        free(bytes);
        buf_fini(&valid);
    }
}

// Every cut of every line.
static void test_cuts(void **state)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        for (size_t n = 0; n <= strlen(lines[i]); n++) {
            uint8_t *bytes = malloc(n ? n : 1);
            memcpy(bytes, lines[i], n);
            check_line(slice_of(bytes, n));
            free(bytes);
        }
}

// ---- pgoutput -----------------------------------------------------------------------------------

enum { MESSAGES = 12 };

static struct slice message(size_t which)
{
    switch (which) {
    case 0: return message_begin(731, 0x1000);
    case 1: return message_commit(0x1000, 0x1030);
    case 2: return message_relation(7, "t", "*id name:25 *code:1700 *big:25");
    case 3: return message_relation(8, "u", "*id");
    case 4: return message_change('I', 7, NULL, "1 it's 5 =");
    case 5: return message_change('U', 7, NULL, "1 - 5 =");
    case 6: return message_change('U', 7, "K1 - 5 -", "2 x = y");
    case 7: return message_change('U', 7, "O1 x 5 y", "2 x 5 =");
    case 8: return message_change('D', 7, "K1 - 5 -", NULL);
    case 9: return message_truncate(7, 8);
    case 10: return message_change('I', 8, NULL, "1");
    case 11: return message_bare("Y....public.mood");
    }
    return message_bare("");
}

static struct catalog *catalog(void)
{
    struct catalog_builder *b = catalog_builder_new(1);
    struct catalog_relation r = {.schema = slice_str("public"), .name = slice_str("t")};
    r.key.count = 2;
    r.key.told = 3;
    r.key.full = true;
    r.key.columns[0].name = slice_str("id");
    r.key.columns[0].type = ROWKEY_INTEGER;
    r.key.columns[1].name = slice_str("code");
    r.key.columns[1].type = ROWKEY_NUMERIC;
    r.key.columns[2].name = slice_str("big");
    r.key.columns[2].type = ROWKEY_TEXT;
    catalog_builder_relation(b, &r);
    return catalog_builder_finish(b);
}

static void check_message(struct pgoutput *p, struct slice bytes)
{
    static struct touched touched;
    touched_clear(&touched);
    switch (pgoutput_read(p, bytes, &touched).kind) {
    case DECODE_TABLE:
    case DECODE_TRUNCATE:
        assert_true(touched.n > 0 || touched.all);
        break;
    case DECODE_BEGIN:
    case DECODE_COMMIT:
    case DECODE_MESSAGE:
    case DECODE_NOTHING:
        assert_true(touched.n == 0 && !touched.all);
        break;
    case DECODE_BAD:
        break;
    }
    assert_true(pgoutput_bytes(p) <= PGOUTPUT_BYTES_MAX);
}

static void test_messages(void **state)
{
    struct dice dice = dice_of(fuzz_seed());
    struct catalog *c = catalog();
    struct pgoutput *p = pgoutput_new();
    pgoutput_set_catalog(p, c);
    for (size_t round = fuzz_rounds(300000); round-- > 0;) {
        if (dice_below(&dice, 1000) == 0)
            pgoutput_forget(p);
        struct buf valid = {0};
        size_t n;
        buf_put(&valid, message(dice_below(&dice, MESSAGES)));
        uint8_t *bytes = mutated(&valid, &dice, &n);
        check_message(p, slice_of(bytes, n));
        free(bytes);
        buf_fini(&valid);
    }
    pgoutput_free(p);
    catalog_unref(&c);
}

// Every cut of every message, with the tables known and not.
static void test_message_cuts(void **state)
{
    struct catalog *c = catalog();
    for (int known = 0; known < 2; known++)
        for (size_t i = 0; i < MESSAGES; i++)
            for (size_t n = 0; n <= message(i).len; n++) {
                struct pgoutput *p = pgoutput_new();
                pgoutput_set_catalog(p, c);
                if (known)
                    check_message(p, message(2));
                struct slice whole = message(i);
                uint8_t *bytes = malloc(n ? n : 1);
                memcpy(bytes, whole.at, n);
                check_message(p, slice_of(bytes, n));
                free(bytes);
                pgoutput_free(p);
            }
    catalog_unref(&c);
    buf_fini(&message_buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_message_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
