// SPDX-License-Identifier: Apache-2.0
#include "base/counter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define FRUIT(X)                                                                                   \
    X(apples, "apples", "of the tree")                                                             \
    X(pears, "pears", "of another")

enum { FRUITS = 3 FRUIT(COUNTER_ONE) };

struct basket {
    COUNTER_TABLE(counter, COUNTER_MEMBER, FRUIT, counter nuts[3];, FRUITS);
};

struct heap {
    COUNTER_TABLE(uint64_t, COUNTER_SUM, FRUIT, uint64_t nuts[3];, FRUITS);
};

static void members_and_all_are_the_same(void **state)
{
    struct basket a = {0}, b = {0};
    struct heap heap = {0};
    assert_int_equal(FRUITS, 5);
    assert_int_equal(sizeof(a), sizeof(heap));
    counter_add(&a.apples, 2);
    counter_add(&a.pears, 3);
    counter_add(&b.pears, 4);
    counter_add(&b.nuts[2], 7);
    counters_sum(heap.all, a.all, FRUITS);
    counters_sum(heap.all, b.all, FRUITS);
    assert_int_equal(heap.apples, 2);
    assert_int_equal(heap.pears, 7);
    assert_int_equal(heap.nuts[0], 0);
    assert_int_equal(heap.nuts[2], 7);
    assert_int_equal(heap.all[4], 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_all_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
