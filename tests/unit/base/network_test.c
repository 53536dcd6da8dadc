// SPDX-License-Identifier: Apache-2.0
#include "base/network.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool has(const char *list, const char *address)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, address, bytes) == 1)
        return network_list_has(list, NETWORK_IPV4, bytes);
    assert_int_equal(inet_pton(AF_INET6, address, bytes), 1);
    return network_list_has(list, NETWORK_IPV6, bytes);
}

static void test_single(void **state)
{
    assert_true(has("192.0.2.7", "192.0.2.7"));
    assert_false(has("192.0.2.7", "192.0.2.6"));
    assert_true(has("::1", "::1"));
    assert_false(has("::1", "::2"));
    assert_false(has("::1", "0.0.0.1")); // families do not mix
    assert_false(has("0.0.0.0/0", "::"));
    assert_false(has("::/0", "1.2.3.4"));
}

static void test_prefixes(void **state)
{
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.0"));
    assert_true(has("0.0.0.0/0", "255.1.2.3"));
    assert_true(has("192.168.128.0/17", "192.168.200.1"));
    assert_false(has("192.168.128.0/17", "192.168.127.255"));
    assert_true(has("192.0.2.4/31", "192.0.2.5"));
    assert_false(has("192.0.2.4/31", "192.0.2.6"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
}

static void test_lists(void **state)
{
    assert_false(has("", "1.2.3.4"));
    assert_true(has("10.0.0.0/8, ::1,192.0.2.7", "192.0.2.7"));
    assert_true(has(" ,10.0.0.0/8,, ::1 ", "::1"));
    assert_true(network_list_has("::1,unix", NETWORK_UNIX, NULL));
    assert_false(network_list_has("::1,0.0.0.0/0", NETWORK_UNIX, NULL));
}

static void test_what_is_none(void **state)
{
    static const char *const bad[] = {
        "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/08",
        "1.2.3.4/8", "::1/127", "::/129", "/8", "localhost", "unix/8", "Unix", "1.2.3.4/8/8",
        "10.0.0.0/8x",
        "0000000000000000000000000000000000000000000000000000000000000000000000001.2.3.4",
    };
    char word[NETWORK_TEXT_MAX + 1];
    struct network network;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(network_read(&network, bad[i]));
        assert_true(network_list_bad(bad[i], word));
        assert_int_equal(strncmp(word, bad[i], NETWORK_TEXT_MAX), 0);
    }
    assert_true(network_list_bad("::1, here, 10.0.0.0/8", word));
    assert_string_equal(word, "here");
    assert_true(has("here, 10.0.0.0/8", "10.1.1.1"));
    assert_false(network_list_bad("", word));
    assert_false(network_list_bad("::1, unix, 10.0.0.0/8 ", word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
