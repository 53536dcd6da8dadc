// SPDX-License-Identifier: Apache-2.0
#include "cache/admission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/dice.h"

enum { LEARNING = 600, MANY = 20000, QUICK_US = 100, SLOW_US = 5000 };

static const char form, other;

// So many questions that nobody asked before; how many of their answers are kept.
static int new_ones(struct admission *a, const void *of, struct dice *dice, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++)
        kept += admission_missed(a, of, dice_u64(dice));
    return kept;
}

static struct admission *learnt(struct dice *dice, uint32_t took_us)
{
    struct admission *a = admission_new();
    assert_int_equal(new_ones(a, &form, dice, 500), 500);
    admission_took(a, &form, took_us);
    new_ones(a, &form, dice, LEARNING - 500);
    return a;
}

static void all_are_kept_at_first(void **state)
{
    struct dice dice = dice_of(1);
    struct admission *a = admission_new();
    assert_int_equal(new_ones(a, &form, &dice, 512), 512);
    admission_free(a);
    admission_free(NULL);
}

static void what_never_comes_again_is_not(void **state)
{
    struct dice dice = dice_of(2);
    struct admission *a = learnt(&dice, QUICK_US);
    // But for the sample, and those that are mistaken for others.
    int sample = 10 * MANY / 32;
    assert_in_range(new_ones(a, &form, &dice, 10 * MANY), sample, sample + MANY / 10);
    assert_int_equal(new_ones(a, &other, &dice, 500), 500); // that is another matter
    admission_free(a);
}

static void what_is_asked_twice_is(void **state)
{
    struct dice dice = dice_of(3);
    struct admission *a = learnt(&dice, QUICK_US);
    uint64_t hashes[100];
    for (int i = 0; i < 100; i++)
        admission_missed(a, &form, hashes[i] = dice_u64(&dice));
    new_ones(a, &form, &dice, 5 * MANY);
    for (int i = 0; i < 100; i++)
        assert_true(admission_missed(a, &form, hashes[i]));
    new_ones(a, &form, &dice, 5 * MANY);
    for (int i = 0; i < 100; i++) // it is not forgotten as long as it is asked
        assert_true(admission_missed(a, &form, hashes[i]));
    admission_free(a);
}

static void what_is_expensive_is(void **state)
{
    struct dice dice = dice_of(4);
    struct admission *a = learnt(&dice, SLOW_US);
    assert_int_equal(new_ones(a, &form, &dice, MANY), MANY);
    // Not if one of them was quick after all.
    admission_took(a, &form, QUICK_US);
    assert_in_range(new_ones(a, &form, &dice, MANY), 0, 512 + MANY / 20);
    admission_free(a);
}

static void hits_dispel_the_doubt(void **state)
{
    struct dice dice = dice_of(5);
    struct admission *a = admission_new();
    admission_took(a, &form, QUICK_US);
    for (int i = 0; i < MANY; i++) {
        assert_true(admission_missed(a, &form, dice_u64(&dice)));
        if (i % 10 == 0)
            admission_hit(a, &form);
    }
    admission_free(a);
}

// A loop over more than is known of a form at first: from its second round on all are kept.
static void a_loop_is_kept_from_the_second_round(void **state)
{
    struct admission *a = admission_new();
    admission_took(a, &form, QUICK_US);
    int kept[3] = {0};
    for (int round = 0; round < 3; round++) {
        struct dice dice = dice_of(6);
        kept[round] = new_ones(a, &form, &dice, MANY);
    }
    assert_in_range(kept[0], 512, 512 + MANY / 20);
    assert_in_range(kept[1], MANY - 512, MANY); // the first of all were kept: they are hits
    assert_int_equal(kept[2], MANY);
    admission_free(a);
}

// More than can be remembered, asked by chance: as those that are kept grow, they begin to be hits.
static void a_large_set_is_kept_in_the_end(void **state)
{
    enum { SET = 1000000 };
    struct dice dice = dice_of(7);
    struct admission *a = admission_new();
    static bool kept[SET];
    memset(kept, 0, sizeof(kept));
    admission_took(a, &form, QUICK_US);
    int last = 0;
    for (int i = 0; i < 2 * SET; i++) {
        uint64_t question = dice_below(&dice, SET);
        if (kept[question])
            admission_hit(a, &form);
        else
            kept[question] = admission_missed(a, &form, question * UINT64_C(0x9e3779b97f4a7c15));
    }
    for (int i = 0; i < SET; i++)
        last += kept[i];
    assert_in_range(last, SET / 2, SET);
    admission_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_kept_at_first),
        cmocka_unit_test(what_never_comes_again_is_not),
        cmocka_unit_test(what_is_asked_twice_is),
        cmocka_unit_test(what_is_expensive_is),
        cmocka_unit_test(hits_dispel_the_doubt),
        cmocka_unit_test(a_loop_is_kept_from_the_second_round),
        cmocka_unit_test(a_large_set_is_kept_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
