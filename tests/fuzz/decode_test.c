// SPDX-License-Identifier: Apache-2.0
// Lines of test_decoding, changed at random: a line is understood or it is not, and then no name is
// made up: what comes out is as long as it says and was in the line. The same of its row's key.
#include "cache/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cache/row.h"
#include "tests/fuzz/mutate.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
