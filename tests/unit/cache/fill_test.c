// SPDX-License-Identifier: Apache-2.0
#include "cache/fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/mem.h"

static const uint32_t slots[] = {3, 5};
static const struct key_hash hash = {1, 2};
static const struct stamp stamp = {4, 100};

static struct fill *begin(size_t max)
{
    return fill_begin(&(struct fill_plan){
        .key = slice_str("the key"), .hash = hash, .stamp = stamp, .slots = slots, .n_slots = 2,
        .max_bytes = max});
}

static void records_what_it_is_given(void **state)
{
    struct fill *f = begin(1 << 20);
    uint8_t *expected = mem_alloc(1 << 20);
    size_t len = 0;
    srand(7);
    while (len < 700000) {
        uint8_t piece[5000];
        size_t n = (size_t)rand() % sizeof(piece);
        for (size_t i = 0; i < n; i++)
            piece[i] = (uint8_t)rand();
        memcpy(expected + len, piece, n);
        len += n;
        assert_true(fill_append(f, slice_of(piece, n)));
        assert_int_equal(fill_bytes(f), len);
    }
    struct entry *e = fill_commit(&f, 0);
    assert_null(f);
    assert_true(slice_is(entry_key(e), "the key"));
    assert_true(slice_eq(entry_body(e), slice_of(expected, len)));
    assert_true(e->node.hash == hash.low);
    assert_int_equal(e->stamp.from, 100);
    assert_int_equal(e->n_slots, 2);
    assert_int_equal(e->slots[1], 5);
    size_t head = offsetof(struct entry, slots) + sizeof(slots) + strlen("the key");
    assert_int_equal(entry_bytes(e, len), head + len);
    struct entry *held = entry_ref(e);
    entry_unref(&e);
    assert_null(e);
    assert_true(slice_is(entry_key(held), "the key"));
    entry_unref(&held);
    mem_free(expected);
}

static void empty_reply_is_a_reply(void **state)
{
    struct fill *f = begin(10);
    struct entry *e = fill_commit(&f, 0);
    assert_int_equal(entry_body(e).len, 0);
    entry_unref(&e);
}

static void too_large_is_refused_for_good(void **state)
{
    struct fill *f = begin(10);
    assert_true(fill_append(f, slice_str("0123456789")));
    assert_true(fill_append(f, slice_str("")));
    assert_false(fill_append(f, slice_str("x")));
    assert_false(fill_append(f, slice_str("")));
    assert_null(fill_commit(&f, 0));
    f = begin(0);
    assert_false(fill_append(f, slice_str("x")));
    fill_abandon(&f);
    assert_null(f);
    fill_abandon(&f);
}

// Its age counts from its question, and an unknown one is older than any ttl.
static void when_it_was_asked(void **state)
{
    struct fill *f = begin(10);
    fill_asked(f, 1000);
    struct entry *e = fill_commit(&f, 1500);
    assert_int_equal(e->filled_us, 1500);
    assert_int_equal(entry_asked_us(e), 1000);
    entry_unref(&e);
    f = begin(10);
    e = fill_commit(&f, 1500);
    assert_true(entry_asked_us(e) == INT64_MIN);
    entry_unref(&e);
    f = begin(10);
    fill_asked(f, 1000);
    e = fill_commit(&f, 1000 + (int64_t)UINT32_MAX);
    assert_true(entry_asked_us(e) == INT64_MIN);
    entry_unref(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_what_it_is_given),
        cmocka_unit_test(empty_reply_is_a_reply),
        cmocka_unit_test(too_large_is_refused_for_good),
        cmocka_unit_test(when_it_was_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
