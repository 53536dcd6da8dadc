// SPDX-License-Identifier: Apache-2.0
#include "cache/ranking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cache/recall.h"
#include "tests/unit/dice.h"

static struct entry *make(unsigned frequency, unsigned took_us, size_t body)
{
    struct key_hash hash = {0, 0};
    struct stamp stamp = {0, 0};
    struct entry *e = entry_new(NULL, slice_of("", 0), hash, stamp, NULL, 0, body);
    e->frequency = (uint8_t)frequency;
    e->took_us = took_us;
    e->body_len = (uint32_t)body;
    return e;
}

static void leave(struct ranking *r, struct entry *e)
{
    ranking_remove(r, e);
    entry_unref(&e);
}

static void heap_at_random(void **state)
{
    struct dice dice = dice_of(1);
    struct ranking r;
    ranking_init(&r);
    struct entry *in[500];
    size_t n = 0;
    double age = 0;
    for (int i = 0; i < 100000; i++) {
        size_t what = dice_below(&dice, 4);
        if (what < 2 && n < 500) {
            in[n] = make(1 + (unsigned)dice_below(&dice, 5), (unsigned)dice_below(&dice, 10000),
                         dice_below(&dice, 1000));
            ranking_add(&r, in[n++]);
        } else if (what == 2 && n > 0) {
            ranking_asked(&r, in[dice_below(&dice, n)]);
        } else if (n > 0) {
            struct entry *e = dice_below(&dice, 2) ? ranking_least(&r) : in[dice_below(&dice, n)];
            size_t at = 0;
            while (in[at] != e)
                at++;
            in[at] = in[--n];
            leave(&r, e);
        }
        assert_int_equal(r.count, n);
        assert_true(r.age >= age); // it never grows younger
        age = r.age;
        for (uint32_t k = 0; i % 100 == 0 && k < r.count; k++) {
            assert_int_equal(r.at[k].entry->rank, k);
            assert_true(k == 0 || r.at[(k - 1) / 2].merit <= r.at[k].merit);
        }
    }
    while (n > 0)
        leave(&r, in[--n]);
    ranking_fini(&r);
}

// What was asked for stays, as long as it goes on; then it leaves, however much it was worth.
static void who_is_not_asked_for_leaves(void **state)
{
    struct ranking r;
    ranking_init(&r);
    struct entry *hot = make(1, 1000, 100), *once = make(1, 1000, 100);
    ranking_add(&r, hot);
    ranking_add(&r, once);
    for (int i = 0; i < 30; i++)
        ranking_asked(&r, hot);
    assert_int_equal(hot->frequency, FREQUENCY_MAX);
    assert_ptr_equal(ranking_least(&r), once);
    leave(&r, once);
    int others = 0;
    for (; others < 10000; others++) {
        ranking_add(&r, make(1, 1000, 100));
        struct entry *least = ranking_least(&r);
        if (least == hot)
            break;
        leave(&r, least);
        if (others < 2000)
            ranking_asked(&r, hot);
    }
    assert_in_range(others, 2000, 9999);
    leave(&r, hot);
    while (r.count > 0)
        leave(&r, r.at[0].entry);
    ranking_fini(&r);
}

// Where only recency counts: equal ones leave in the order in which they were asked for, within the
// eighth that a turn is long.
static void of_equals_the_oldest_leaves(void **state)
{
    enum { IN = 800 };
    struct ranking r;
    ranking_init(&r);
    r.lean = LEAN_MAX;
    for (int i = 0; i < 10 * IN; i++) {
        struct entry *e = make(1, 1000, 100);
        e->hits = (uint32_t)i; // when it came
        ranking_add(&r, e);
        if (i < IN)
            continue;
        struct entry *least = ranking_least(&r);
        if (i > 3 * IN) // of what came at first, nobody had left before: it is of one age
            assert_in_range(i - (int)least->hits, IN - IN / 8, IN + IN / 8);
        leave(&r, least);
    }
    while (r.count > 0)
        leave(&r, r.at[0].entry);
    ranking_fini(&r);
}

static void figures_are_never_too_low(void **state)
{
    struct dice dice = dice_of(2);
    struct recall r;
    recall_init(&r, 1 << 16);
    assert_int_equal(recall_bytes(&r), (1 << 16) + (1 << 16) / RECALL_BLOCK);
    unsigned times[2000] = {0}, exact = 0;
    for (int i = 0; i < 10000; i++) {
        size_t key = dice_below(&dice, 2000);
        unsigned told = recall_count(&r, (key + 1) * 0x9e3779b97f4a7c15u);
        assert_true(told >= ++times[key]);
    }
    for (size_t key = 0; key < 2000; key++)
        exact += recall_of(&r, (key + 1) * 0x9e3779b97f4a7c15u) == times[key];
    assert_true(exact > 1950);
    recall_at_least(&r, 77, 300);
    assert_int_equal(recall_of(&r, 77), 255);
    assert_int_equal(recall_count(&r, 77), 255);
    recall_passed(&r, 99, 100);
    assert_int_equal(recall_of(&r, 77), 255);
    recall_passed(&r, 1, 100);
    assert_int_equal(recall_of(&r, 77), 127);
    recall_fini(&r);
}

// However large it is, halving takes no time: each figure is put right when it is looked at.
static void figures_are_halved_where_they_are_looked_at(void **state)
{
    enum { KEYS = 200, BYTES = 1 << 20 };
    struct recall r;
    recall_init(&r, BYTES);
    uint8_t *before = malloc(BYTES);
    for (unsigned missed = 0; missed < 12; missed++) {
        for (uint64_t key = 0; key < KEYS; key++)
            recall_at_least(&r, (key + 1) * 0x9e3779b97f4a7c15u, 100 + (unsigned)key % 100);
        memcpy(before, r.cells, BYTES);
        for (unsigned i = 0; i < missed; i++)
            recall_passed(&r, 100, 100);
        assert_memory_equal(before, r.cells, BYTES);
        for (uint64_t key = 0; key < KEYS; key++) {
            unsigned figure = recall_of(&r, (key + 1) * 0x9e3779b97f4a7c15u);
            assert_true(figure >= (100 + (unsigned)key % 100) >> missed);
            assert_true(figure <= 199u >> missed);
        }
    }
    free(before);
    recall_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_at_random),
        cmocka_unit_test(who_is_not_asked_for_leaves),
        cmocka_unit_test(of_equals_the_oldest_leaves),
        cmocka_unit_test(figures_are_never_too_low),
        cmocka_unit_test(figures_are_halved_where_they_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
