// SPDX-License-Identifier: Apache-2.0
#include "cache/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

// A random sequence of items, and its plain description to compare with.
struct item {
    int kind; // 0 u32, 1 u64, 2 bytes, 3 null
    uint64_t value;
};

static size_t draw(struct item *items)
{
    size_t n = (size_t)rand() % 4;
    for (size_t i = 0; i < n; i++)
        items[i] = (struct item){rand() % 4, (uint64_t)(rand() % 3)};
    return n;
}

static void build(struct buf *key, const struct item *items, size_t n)
{
    static const char zeros[] = {0, 0, 0, 0};
    key_begin(key);
    for (size_t i = 0; i < n; i++) {
        if (items[i].kind == 0)
            key_u32(key, (uint32_t)items[i].value);
        else if (items[i].kind == 1)
            key_u64(key, items[i].value);
        else if (items[i].kind == 2)
            key_bytes(key, slice_of(zeros, items[i].value));
        else
            key_null(key);
    }
}

static bool same_items(const struct item *a, size_t n, const struct item *b, size_t m)
{
    bool same = n == m;
    for (size_t i = 0; same && i < n; i++)
        same = a[i].kind == b[i].kind && (a[i].kind == 3 || a[i].value == b[i].value);
    return same;
}

static void bytes_are_equal_only_for_equal_sequences(void **state)
{
    struct buf a = {0}, b = {0};
    srand(1);
    for (int round = 0; round < 200000; round++) {
        struct item first[4], second[4];
        size_t n = draw(first), m = draw(second);
        build(&a, first, n);
        build(&b, second, m);
        bool same = same_items(first, n, second, m);
        assert_int_equal(slice_eq(buf_slice(&a), buf_slice(&b)), same);
        assert_int_equal(key_hash_eq(key_end(&a), key_end(&b)), same);
    }
    buf_fini(&a);
    buf_fini(&b);
}

static void begin_forgets(void **state)
{
    struct buf key = {0};
    key_begin(&key);
    key_u32(&key, 5);
    struct key_hash h = key_end(&key);
    key_begin(&key);
    key_u32(&key, 5);
    assert_true(key_hash_eq(h, key_end(&key)));
    buf_fini(&key);
}

static void first_item(void **state)
{
    struct buf key = {0};
    key_begin(&key);
    assert_int_equal(key_first_u32(buf_slice(&key)), 0);
    key_u32(&key, 0x01020304);
    key_u32(&key, 7);
    assert_int_equal(key_first_u32(buf_slice(&key)), 0x01020304);
    key_begin(&key);
    key_bytes(&key, slice_str("12345"));
    assert_int_equal(key_first_u32(buf_slice(&key)), 0);
    buf_fini(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_equal_only_for_equal_sequences),
        cmocka_unit_test(begin_forgets),
        cmocka_unit_test(first_item),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
