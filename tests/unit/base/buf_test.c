// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/dice.h"

static void test_empty_holds_nothing(void **state)
{
    struct buf b = {0};
    buf_bytes(&b, NULL, 0);
    buf_put(&b, slice_of(NULL, 0));
    buf_consume(&b, 0);
    assert_null(b.at);
    assert_int_equal(buf_slice(&b).len, 0);
    buf_fini(&b);
    buf_fini(&b);
}

static void test_integers_are_big_endian(void **state)
{
    struct buf b = {0};
    buf_u8(&b, 0x01);
    buf_u16(&b, 0x0203);
    buf_u32(&b, 0x04050607);
    buf_u64(&b, 0xf8f9fafbfcfdfeffu);
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
                                       0xfe, 0xff};
    assert_int_equal(b.len, sizeof(expected));
    assert_memory_equal(b.at, expected, sizeof(expected));
    buf_fini(&b);
    assert_null(b.at);
    assert_int_equal(b.len, 0);
}

static void test_message(void **state)
{
    struct buf b = {0};
    buf_u8(&b, 'x'); // something before it
    size_t mark = buf_message_begin(&b, 'S');
    buf_cstr(&b, "a");
    buf_cstr(&b, "");
    buf_message_end(&b, mark);
    mark = buf_message_begin(&b, 'Z');
    buf_message_end(&b, mark);
    static const char expected[] = "xS\0\0\0\7a\0\0Z\0\0\0\4";
    assert_int_equal(b.len, sizeof(expected) - 1);
    assert_memory_equal(b.at, expected, b.len);
    buf_fini(&b);
}

static void test_printf(void **state)
{
    struct buf b = {0};
    buf_printf(&b, "%s", "");
    assert_int_equal(b.len, 0);
    for (int i = 0; i < 200; i++)
        buf_printf(&b, "%d,", i);
    buf_u8(&b, 0); // the NUL that printf writes is not counted
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 100 * 4 + 1);
    assert_memory_equal(b.at, "0,1,2,", 6);
    assert_string_equal((char *)b.at + b.len - 9, "198,199,");
    buf_fini(&b);
}

static void test_clear_keeps_the_memory(void **state)
{
    struct buf b = {0};
    buf_cstr(&b, "hello");
    uint8_t *at = b.at;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    buf_cstr(&b, "again");
    assert_ptr_equal(b.at, at);
    buf_fini(&b);
}

// Appending at the end and consuming at the front, against a plain array.
static void test_as_a_queue(void **state)
{
    enum { MOST = 1 << 16 };
    struct dice dice = dice_of(2);
    struct buf b = {0};
    uint8_t *model = malloc(MOST);
    size_t len = 0;
    for (int i = 0; i < 3000; i++) {
        size_t n = dice_below(&dice, 700);
        if (dice_below(&dice, 2) && len + n <= MOST) {
            uint8_t piece[700];
            for (size_t k = 0; k < n; k++)
                piece[k] = (uint8_t)dice_u64(&dice);
            buf_bytes(&b, piece, n);
            memcpy(model + len, piece, n);
            len += n;
        } else {
            n = dice_below(&dice, 8) == 0 ? len : dice_below(&dice, len + 1);
            buf_consume(&b, n);
            memmove(model, model + n, len - n);
            len -= n;
        }
        assert_true(slice_eq(buf_slice(&b), slice_of(model, len)));
        assert_true(b.capacity >= b.len);
    }
    free(model);
    buf_fini(&b);
}

static void test_slices(void **state)
{
    assert_true(slice_eq(slice_of(NULL, 0), slice_str("")));
    assert_true(slice_is(slice_of("abc", 2), "ab"));
    assert_false(slice_is(slice_of("abc", 2), "abc"));
    assert_false(slice_is(slice_of("a\0b", 3), "a"));
    assert_false(slice_eq(slice_str("ab"), slice_str("aB")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_holds_nothing),
        cmocka_unit_test(test_integers_are_big_endian),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_clear_keeps_the_memory),
        cmocka_unit_test(test_as_a_queue),
        cmocka_unit_test(test_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
