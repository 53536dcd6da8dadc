// SPDX-License-Identifier: Apache-2.0
// PROXY protocol headers, changed at random: a result that fits the bytes, and nothing read beyond.
#include "proxy/session/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/fuzz/mutate.h"

static void check(const uint8_t *bytes, size_t n)
{
    struct proxy_header header, again;
    char text[ORIGIN_TEXT_BYTES];
    enum proxy_header_result result = proxy_header_read(slice_of(bytes, n), &header);
    if (result == PROXY_MORE)
        assert_true(n < PROXY_HEADER_MAX);
    if (result != PROXY_OK)
        return;
    assert_true(header.bytes <= n && header.bytes <= PROXY_HEADER_MAX && header.bytes >= 15);
    origin_details(&header.from, text, sizeof(text));
    assert_true(header.keeps || header.from.kind != ORIGIN_UNKNOWN);
    // The header alone says the same, and one byte less is not enough.
    assert_int_equal(proxy_header_read(slice_of(bytes, header.bytes), &again), PROXY_OK);
    assert_memory_equal(&header, &again, sizeof(header));
    assert_int_equal(proxy_header_read(slice_of(bytes, header.bytes - 1), &again), PROXY_MORE);
}

static void run(const void *valid, size_t bytes)
{
    struct dice dice = dice_of(fuzz_seed());
    struct buf b = {0};
    buf_bytes(&b, valid, bytes);
    check(b.at, b.len);
    for (size_t round = fuzz_rounds(100000); round-- > 0;) {
        size_t n;
        uint8_t *changed = mutated(&b, &dice, &n);
        check(changed, n);
        free(changed);
    }
    buf_fini(&b);
}

static void test_v1(void **state)
{
    static const char line[] = "PROXY TCP6 2001:db8::7 ::1 1024 6432\r\n";
    run(line, sizeof(line) - 1);
}

static void test_v2(void **state)
{
    static const uint8_t header[] = {
        '\r', '\n', '\r', '\n', 0,    '\r', '\n', 'Q',  'U', 'I', 'T', '\n', 0x21, 0x11, 0,   26,
        192,  0,    2,    7,    198,  51,   100,  1,    255, 255, 25,  32,   1,    0,    2,   'h',
        '2',  4,    0,    0,    0xee, 0,    3,    'x',  'y', 'z',
    };
    run(header, sizeof(header));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_v1), cmocka_unit_test(test_v2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
