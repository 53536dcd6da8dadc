// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/misses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void counts_go_up_and_down(void **state)
{
    struct misses *m = misses_new(1000, 5);
    assert_int_equal(misses_count(m, 7, 50), 0);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(misses_note(m, 7, 100), i);
    assert_int_equal(misses_count(m, 7, 1099), 3);
    assert_int_equal(misses_count(m, 7, 1100), 2);
    assert_int_equal(misses_note(m, 7, 1600), 3);  // half of a period is not lost
    assert_int_equal(misses_count(m, 7, 2100), 2);
    assert_int_equal(misses_count(m, 7, 100000), 0);
    assert_int_equal(misses_note(m, 7, 100500), 1);
    assert_int_equal(misses_count(m, 7, 101499), 1);
    assert_int_equal(misses_count(m, 7, 101500), 0);
    misses_free(m);
}

static void there_is_a_most(void **state)
{
    struct misses *m = misses_new(1000, 5);
    for (int i = 0; i < 1000; i++)
        misses_note(m, 7, 0);
    assert_int_equal(misses_count(m, 7, 0), 5);
    assert_int_equal(misses_count(m, 7, 5000), 0);
    misses_free(m);
}

static void places_are_apart(void **state)
{
    struct misses *m = misses_new(1000, 5);
    misses_note(m, 7, 0);
    misses_note(m, 7 + 1024, 0); // of the same set
    misses_note(m, 8, 0);
    misses_note(m, 7, 0);
    assert_int_equal(misses_count(m, 7, 0), 2);
    assert_int_equal(misses_count(m, 7 + 1024, 0), 1);
    assert_int_equal(misses_count(m, 8, 0), 1);
    assert_int_equal(misses_count(m, 9, 0), 0);
    misses_free(m);
}

static void a_full_set_forgets_the_oldest(void **state)
{
    struct misses *m = misses_new(1000000, 5);
    for (uint64_t i = 1; i <= 4; i++)
        misses_note(m, i * 1024, (int64_t)i);
    misses_note(m, 5 * 1024, 10);
    assert_int_equal(misses_count(m, 1 * 1024, 10), 0);
    for (uint64_t i = 2; i <= 5; i++)
        assert_int_equal(misses_count(m, i * 1024, 10), 1);
    for (uint64_t i = 1; i < 1000000; i++)
        misses_note(m, i, 20); // as many as one likes
    misses_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_go_up_and_down),
        cmocka_unit_test(there_is_a_most),
        cmocka_unit_test(places_are_apart),
        cmocka_unit_test(a_full_set_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
