// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/base64.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void texts_of_the_standard(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},         {"f", "Zg=="},     {"fo", "Zm8="},        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe", "//4="}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct buf out = {0};
        uint8_t back[16];
        size_t n;
        base64_write(&out, pairs[i][0], strlen(pairs[i][0]));
        assert_true(slice_is(buf_slice(&out), pairs[i][1]));
        assert_true(base64_read(buf_slice(&out), back, sizeof back, &n));
        assert_true(slice_is(slice_of(back, n), pairs[i][0]));
        buf_fini(&out);
    }
}

static void every_length_goes_round(void **state)
{
    uint8_t bytes[100], back[100];
    size_t n;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 11);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        struct buf out = {0};
        base64_write(&out, bytes, length);
        assert_true(base64_read(buf_slice(&out), back, sizeof back, &n));
        assert_true(slice_eq(slice_of(back, n), slice_of(bytes, length)));
        if (length > 0)
            assert_false(base64_read(buf_slice(&out), back, length - 1, &n));
        buf_fini(&out);
    }
}

static void what_is_not_base64(void **state)
{
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",   "Zg=a", "Z===", "====", "Zm9v=",
                                      "Zg==Zg==", "Zm 9v", "Zh==", "Zm9=", "Zm9v\n", "Zm-v"};
    uint8_t bytes[16];
    size_t n;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(base64_read(slice_str(bad[i]), bytes, sizeof bytes, &n));
    assert_false(base64_read(slice_of("Zm\0v", 4), bytes, sizeof bytes, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_the_standard),
        cmocka_unit_test(every_length_goes_round),
        cmocka_unit_test(what_is_not_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
