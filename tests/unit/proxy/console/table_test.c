// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const struct table_shape shape = {"sinl", (const char *const[]){"a", "b", "c", "d"}};

// What a row says for its third column, a numeric, in binary; *out owns the bytes.
static struct slice numeric(struct buf *out, int64_t value)
{
    struct table table = {out, &shape, 1 << 2};
    buf_clear(out);
    table_row(&table, (struct cell[]){TEXT(NULL), NUMBER(7), NUMBER(value), NUMBER(-1)});
    // Type, length, count, NULL, length and text of 7, the length of what is wanted.
    size_t at = 5 + 2 + 4 + 5;
    size_t len = (size_t)out->at[at + 3];
    return slice_of(out->at + at + 4, len);
}

static void numerics_as_postgresql_sends_them(void **state)
{
    struct buf out = {0};
    struct slice s = numeric(&out, 0);
    assert_memory_equal(s.at, "\0\0\0\0\0\0\0\0", 8);
    assert_int_equal(s.len, 8);
    s = numeric(&out, 3);
    assert_memory_equal(s.at, "\0\1\0\0\0\0\0\0\0\3", 10);
    s = numeric(&out, 123450000); // two digits, the last is not sent: 1 2345 0000
    assert_int_equal(s.len, 12);
    assert_memory_equal(s.at, "\0\2\0\2\0\0\0\0\0\1\x09\x29", 12);
    s = numeric(&out, INT64_MAX);
    assert_int_equal(s.len, 18);
    buf_fini(&out);
}

static void rows_and_columns(void **state)
{
    static const uint8_t row[] = {'D', 0, 0, 0, 38, 0, 4, 0, 0, 0, 1, 'x', 0, 0, 0, 4, 0, 0, 1, 0,
                                  0, 0, 0, 1, '5', 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xfe};
    struct buf out = {0};
    struct table table = {&out, &shape, 1 << 1 | 1 << 3};
    table_row(&table, (struct cell[]){TEXT("x"), NUMBER(256), NUMBER(5), NUMBER(-2)});
    assert_int_equal(out.len, sizeof(row));
    assert_memory_equal(out.at + 5, row + 5, sizeof(row) - 5);
    buf_clear(&out);
    table_describe(&table);
    assert_int_equal(out.at[0], 'T');
    assert_int_equal(out.len, 5 + 2 + 4 * (2 + 18));
    assert_int_equal(out.at[out.len - 1], 1);  // int8 in binary
    assert_int_equal(out.at[out.len - 21], 0); // numeric in text
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numerics_as_postgresql_sends_them),
        cmocka_unit_test(rows_and_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
