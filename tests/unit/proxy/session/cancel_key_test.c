// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/cancel_key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct slice bytes_of(const struct key_bytes *key)
{
    return slice_of(key->at, key->length);
}

static void test_lengths(void **state)
{
    struct key_bytes key;
    key_make(&key, false, 0);
    assert_int_equal(key.length, 8);
    key_make(&key, true, 0);
    assert_int_equal(key.length, 36);
    uint8_t room[300] = {0};
    assert_false(key_is_possible(slice_of(room, 4)));
    assert_true(key_is_possible(slice_of(room, 5)));
    assert_true(key_is_possible(slice_of(room, 260)));
    assert_false(key_is_possible(slice_of(room, 261)));
}

static void test_process_number_is_positive(void **state)
{
    for (int i = 0; i < 200; i++) {
        struct key_bytes key;
        key_make(&key, i & 1, i & 2 ? 0x1234 : 0);
        assert_true((int32_t)key_process(bytes_of(&key)) >= 0);
    }
}

static void test_only_the_very_key_matches(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        struct key_bytes key, other;
        key_make(&key, kind & 1, kind & 2 ? 7 : 0);
        assert_true(key_matches(&key, bytes_of(&key)));
        assert_false(key_matches(&key, slice_of(key.at, key.length - 1u)));
        assert_false(key_matches(&key, slice_of(key.at, 0)));
        for (size_t bit = 0; bit < key.length * 8u; bit++) {
            other = key;
            other.at[bit / 8] ^= (uint8_t)(1u << bit % 8);
            bool counts_hops = key.peered && bit / 8 == key.length - 1u && bit % 8 < 2;
            assert_int_equal(key_matches(&key, bytes_of(&other)), counts_hops);
        }
        // A short key is not the beginning of a long one.
        assert_false(key_matches(&key, slice_of(key.at, key.length == 36 ? 8 : 0)));
    }
    struct key_bytes none = {0};
    assert_false(key_matches(&none, slice_of("", 0)));
}

static void test_keys_differ(void **state)
{
    struct key_bytes a, b;
    for (int i = 0; i < 100; i++) {
        key_make(&a, false, 3);
        key_make(&b, false, 3);
        assert_false(key_matches(&a, bytes_of(&b)));
    }
}

static void test_peer_and_hops(void **state)
{
    struct key_bytes key;
    key_make(&key, false, 0x1234);
    assert_int_equal(key.at[1], 0x34); // where PgBouncer has it
    assert_int_equal(key.at[2], 0x12);
    assert_int_equal(key_peer(bytes_of(&key)), 0x1234);
    assert_int_equal(key.at[7] & 3, 3);
    uint8_t asked[8];
    memcpy(asked, key.at, 8);
    for (int hop = 0; hop < CANCEL_HOPS; hop++) {
        assert_true(key_spend_hop(asked, 8));
        assert_true(key_matches(&key, slice_of(asked, 8)));
        assert_int_equal(key_peer(slice_of(asked, 8)), 0x1234);
    }
    uint8_t before[8];
    memcpy(before, asked, 8);
    assert_false(key_spend_hop(asked, 8));
    assert_memory_equal(before, asked, 8);
    key_make(&key, true, 5);
    assert_int_equal(key_peer(bytes_of(&key)), 5);
    assert_int_equal(key.at[35] & 3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_process_number_is_positive),
        cmocka_unit_test(test_only_the_very_key_matches),
        cmocka_unit_test(test_keys_differ),
        cmocka_unit_test(test_peer_and_hops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
