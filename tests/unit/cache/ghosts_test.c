// SPDX-License-Identifier: Apache-2.0
#include "cache/ghosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cache/fill.h"
#include "cache/store.h"
#include "tests/unit/dice.h"

enum { CELLS = 1024 };

// So many leave, of both kinds; of each kind, so many of a hundred come back at once.
static void turnover(struct ghosts *g, struct dice *dice, int leave, unsigned newcomers_back,
                     unsigned asked_for_back)
{
    for (int i = 0; i < leave; i++) {
        uint64_t hash = dice_u64(dice);
        bool asked_for = i % 2;
        ghosts_left(g, hash, asked_for, CELLS);
        if (dice_below(dice, 100) < (asked_for ? asked_for_back : newcomers_back))
            ghosts_came(g, hash);
    }
}

static void leans_to_what_comes_back(void **state)
{
    struct dice dice = dice_of(1);
    struct ghosts g;
    ghosts_init(&g);
    ghosts_came(&g, 1); // nobody left yet
    turnover(&g, &dice, 4 * CELLS, 10, 50);
    assert_int_equal(g.lean, 0);
    turnover(&g, &dice, 4 * CELLS, 50, 10);
    assert_int_equal(g.lean, LEAN_MAX);
    turnover(&g, &dice, 4 * CELLS, 10, 50);
    assert_int_equal(g.lean, 0);
    turnover(&g, &dice, 4 * CELLS, 0, 0); // a loop: nobody comes back in time
    assert_int_equal(g.lean, 0);
    ghosts_fini(&g);
}

static void rises_slowly_and_falls_quickly(void **state)
{
    struct dice dice = dice_of(2);
    struct ghosts g;
    ghosts_init(&g);
    turnover(&g, &dice, CELLS / 2, 100, 0);
    assert_in_range(g.lean, LEAN_FIRST + 2, LEAN_FIRST + 4);
    turnover(&g, &dice, 2 * CELLS, 100, 0);
    assert_int_equal(g.lean, LEAN_MAX);
    turnover(&g, &dice, CELLS, 0, 100);
    assert_int_equal(g.lean, 0);
    ghosts_fini(&g);
}

// Hardly any of either kind: what was learnt stays.
static void few_move_nothing(void **state)
{
    static const unsigned back[][2] = {{3, 3}, {0, 1}, {1, 0}, {2, 0}, {0, 2}};
    for (size_t i = 0; i < sizeof(back) / sizeof(*back); i++) {
        struct dice dice = dice_of(3);
        struct ghosts g;
        ghosts_init(&g);
        turnover(&g, &dice, 4 * CELLS, 80, 10);
        turnover(&g, &dice, 4 * CELLS, back[i][0], back[i][1]);
        assert_in_range(g.lean, LEAN_MAX - 4, LEAN_MAX);
        ghosts_fini(&g);
    }
}

// Only one kind leaves, as in a loop: nothing to compare with, and old figures do not count.
static void without_both_kinds_it_falls(void **state)
{
    struct dice dice = dice_of(3);
    struct ghosts g;
    ghosts_init(&g);
    turnover(&g, &dice, 4 * CELLS, 50, 0);
    assert_int_equal(g.lean, LEAN_MAX);
    for (int i = 0; i < 5 * CELLS; i++)
        ghosts_left(&g, dice_u64(&dice), false, CELLS);
    assert_int_equal(g.lean, 0);
    for (int i = 0; i < 4 * CELLS; i++) {
        uint64_t hash = dice_u64(&dice);
        ghosts_left(&g, hash, false, CELLS);
        ghosts_came(&g, hash);
        assert_int_equal(g.lean, 0);
    }
    ghosts_fini(&g);
}

static void each_comes_back_once_and_as_itself(void **state)
{
    struct ghosts g;
    ghosts_init(&g);
    uint64_t hash = 0x1234567800000005u;
    ghosts_left(&g, hash, true, CELLS);
    ghosts_came(&g, hash ^ (uint64_t)1 << 60); // the same bucket
    assert_int_equal(g.back[true], 0);
    ghosts_came(&g, hash);
    ghosts_came(&g, hash);
    assert_int_equal(g.back[true], 1);
    assert_int_equal(g.back[false], 0);
    ghosts_left(&g, hash, false, CELLS);
    ghosts_left(&g, hash + CELLS, true, CELLS); // takes its place, in the same bucket
    ghosts_came(&g, hash);
    assert_int_equal(g.back[false], 0);
    ghosts_left(&g, 0, false, CELLS); // a print of nought is one as well
    ghosts_came(&g, 0);
    assert_int_equal(g.back[false], 1);
    ghosts_left(&g, hash, false, CELLS);
    ghosts_left(&g, 1, false, 2 * CELLS); // a larger table: it begins anew
    ghosts_came(&g, hash);
    assert_int_equal(g.back[false], 1);
    ghosts_fini(&g);
}

// ---- the store --------------------------------------------------------------------------------

static bool ask(struct store *s, struct buf *buf, uint32_t number)
{
    key_begin(buf);
    key_u32(buf, number);
    struct key_hash hash = key_end(buf);
    struct entry *e = store_get(s, buf_slice(buf), hash);
    bool hit = e != NULL;
    if (!hit) {
        uint8_t body[600] = {0};
        struct fill *f = fill_begin(&(struct fill_plan){
            .arena = store_arena(s), .key = buf_slice(buf), .hash = hash, .max_bytes = 1000});
        fill_asked(f, 0);
        fill_append(f, slice_of(body, sizeof(body)));
        e = fill_commit(&f, 1000);
        store_put(s, e);
    }
    entry_unref(&e);
    return hit;
}

enum { QUESTIONS = 60000, UNDER_WAY = 200, HOT = 500 };

// Keys that are asked for some times within a while, and never again, in a cache of three times as
// many entries; then a part that stays hot, among others that come once. Hits of a hundred, in the
// second half.
static unsigned bursts(struct store *s, struct buf *buf, struct dice *dice)
{
    uint32_t at[UNDER_WAY], next = 1000000;
    unsigned hits = 0;
    for (int i = 0; i < UNDER_WAY; i++)
        at[i] = next++;
    for (int i = 0; i < QUESTIONS; i++) {
        if (dice_below(dice, 5) == 0)
            at[dice_below(dice, UNDER_WAY)] = next++;
        hits += ask(s, buf, at[dice_below(dice, UNDER_WAY)]) && i >= QUESTIONS / 2;
    }
    return hits * 100 / (QUESTIONS / 2);
}

static unsigned hot_among_others(struct store *s, struct buf *buf, struct dice *dice)
{
    unsigned hits = 0;
    uint32_t next = 2000000;
    for (int i = 0; i < QUESTIONS; i++) {
        uint32_t key = dice_below(dice, 2) ? (uint32_t)dice_below(dice, HOT) : next++;
        hits += ask(s, buf, key) && i >= QUESTIONS / 2;
    }
    return hits * 100 / (QUESTIONS / 2);
}

static void the_store_follows_its_questions(void **state)
{
    struct dice dice = dice_of(4);
    struct store *s = store_new(600 * 800, 1);
    struct buf buf = {0};
    for (int round = 0; round < 2; round++) {
        assert_in_range(bursts(s, &buf, &dice), 80, 100);
        assert_in_range(hot_among_others(s, &buf, &dice), 46, 50);
    }
    buf_fini(&buf);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leans_to_what_comes_back),
        cmocka_unit_test(rises_slowly_and_falls_quickly),
        cmocka_unit_test(few_move_nothing),
        cmocka_unit_test(without_both_kinds_it_falls),
        cmocka_unit_test(each_comes_back_once_and_as_itself),
        cmocka_unit_test(the_store_follows_its_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
