// SPDX-License-Identifier: Apache-2.0
#include "cache/statistics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void workers_are_summed(void **state)
{
    struct statistics a = {0}, b = {0};
    struct statistics_sum sum = {0};
    counter_add(&a.hits, 3);
    counter_add(&b.hits, 4);
    counter_add(&b.hit_bytes, 100);
    statistics_bypass(&a, BYPASS_STALE);
    statistics_bypass(&b, BYPASS_STALE);
    statistics_bypass(&b, BYPASS_DISABLED);
    statistics_add(&sum, &a);
    statistics_add(&sum, &b);
    assert_int_equal(sum.hits, 7);
    assert_int_equal(sum.hit_bytes, 100);
    assert_int_equal(sum.misses, 0);
    assert_int_equal(sum.bypasses[BYPASS_STALE], 2);
    assert_int_equal(statistics_bypassed(&sum), 3);
}

static void every_reason_has_a_name_of_its_own(void **state)
{
    for (int i = 0; i < BYPASS_COUNT; i++) {
        assert_true(strlen(bypass_name((enum bypass)i)) > 1);
        assert_true(strlen(bypass_sentence((enum bypass)i)) > 5);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(bypass_name((enum bypass)i), bypass_name((enum bypass)j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_summed),
        cmocka_unit_test(every_reason_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
