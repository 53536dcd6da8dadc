// SPDX-License-Identifier: Apache-2.0
#include "base/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/dice.h"

static void test_integers(void **state)
{
    static const uint8_t bytes[] = {0xff, 0x80, 0x01, 0xfe, 0xdc, 0xba, 0x98, 0x01,
                                    0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    struct reader r = reader_of(slice_of(bytes, sizeof(bytes)));
    assert_int_equal(reader_u8(&r), 0xff);
    assert_int_equal(reader_u16(&r), 0x8001);
    assert_int_equal(reader_u32(&r), 0xfedcba98);
    assert_true(reader_u64(&r) == 0x0123456789abcdefu);
    assert_true(reader_ok(&r));
    assert_true(reader_done(&r));
    assert_int_equal(reader_left(&r), 0);
}

// Too short by one byte: zero, and everything after it as well.
static void test_failure_is_sticky(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct reader r = reader_of(slice_of(bytes, 3));
    assert_int_equal(reader_u32(&r), 0);
    assert_false(reader_ok(&r));
    assert_int_equal(reader_u8(&r), 0); // though there are bytes left
    assert_int_equal(reader_u16(&r), 0);
    assert_true(reader_u64(&r) == 0);
    assert_int_equal(reader_bytes(&r, 1).len, 0);
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_int_equal(reader_cstr(&r).len, 0);
    assert_false(reader_ok(&r));
    assert_false(reader_done(&r));
    assert_int_equal(reader_left(&r), 3);
}

static void test_half_a_u64(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct reader r = reader_of(slice_of(bytes, 7));
    reader_u64(&r);
    assert_false(reader_ok(&r));
}

static void test_bytes(void **state)
{
    static const char bytes[] = "abcdef";
    struct reader r = reader_of(slice_of(bytes, 6));
    assert_true(slice_is(reader_bytes(&r, 2), "ab"));
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_true(reader_ok(&r));
    assert_true(slice_is(reader_bytes(&r, 4), "cdef"));
    assert_true(reader_done(&r));
    struct reader big = reader_of(slice_of(bytes, 6));
    assert_int_equal(reader_bytes(&big, SIZE_MAX).len, 0);
    assert_false(reader_ok(&big));
}

static void test_strings(void **state)
{
    static const char bytes[] = "one\0\0two";
    struct reader r = reader_of(slice_of(bytes, sizeof(bytes)));
    assert_true(slice_is(reader_cstr(&r), "one"));
    assert_true(slice_is(reader_cstr(&r), ""));
    struct slice two = reader_cstr(&r);
    assert_string_equal((const char *)two.at, "two"); // the NUL stands behind it
    assert_true(reader_done(&r));
    struct reader open = reader_of(slice_of("abc", 3));
    struct slice none = reader_cstr(&open);
    assert_int_equal(none.len, 0);
    assert_string_equal((const char *)none.at, "");
    assert_false(reader_ok(&open));
}

// An empty slice often comes without an address.
static void test_nothing(void **state)
{
    struct reader r = reader_of(slice_of(NULL, 0));
    assert_true(reader_done(&r));
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_true(reader_done(&r));
    assert_int_equal(reader_cstr(&r).len, 0);
    assert_false(reader_ok(&r));
    r = reader_of(slice_of(NULL, 0));
    assert_int_equal(reader_u8(&r), 0);
    assert_false(reader_ok(&r));
}

// Random reads over an exact heap block: nothing outside is touched (with AddressSanitizer), and
// what was read and what is left add up.
static void test_random_reads(void **state)
{
    struct dice dice = dice_of(1);
    for (int round = 0; round < 5000; round++) {
        size_t n = dice_below(&dice, 40);
        uint8_t *bytes = malloc(n ? n : 1);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)dice_below(&dice, 4);
        struct reader r = reader_of(slice_of(bytes, n));
        while (reader_ok(&r)) {
            size_t left = reader_left(&r), used = 0;
            switch (dice_below(&dice, 6)) {
            case 0: reader_u8(&r), used = 1; break;
            case 1: reader_u16(&r), used = 2; break;
            case 2: reader_u32(&r), used = 4; break;
            case 3: reader_u64(&r), used = 8; break;
            case 4: used = reader_cstr(&r).len + 1; break;
            case 5: used = 1 + dice_below(&dice, 9), reader_bytes(&r, used); break;
            }
            assert_true(!reader_ok(&r) || left - reader_left(&r) == used);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),   cmocka_unit_test(test_failure_is_sticky),
        cmocka_unit_test(test_half_a_u64), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_strings),    cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_random_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
