// SPDX-License-Identifier: Apache-2.0
#include "cache/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cache/fill.h"

static struct buf key_buf;

static struct slice key_of(unsigned number, struct key_hash *hash)
{
    key_begin(&key_buf);
    key_u32(&key_buf, number);
    *hash = key_end(&key_buf);
    return buf_slice(&key_buf);
}

// One reference, the caller's. The body tells number and version.
static struct entry *make(unsigned number, unsigned version, size_t body_bytes)
{
    struct key_hash hash;
    struct slice key = key_of(number, &hash);
    struct fill *f = fill_begin(&(struct fill_plan){
        .key = key, .hash = hash, .stamp = {0, version}, .slots = &number, .n_slots = 1,
        .max_bytes = 1 << 24});
    uint8_t piece[256];
    memset(piece, (int)(number ^ version), sizeof(piece));
    while (fill_bytes(f) < body_bytes) {
        size_t left = body_bytes - fill_bytes(f);
        fill_append(f, slice_of(piece, left < sizeof(piece) ? left : sizeof(piece)));
    }
    return fill_commit(&f, 0);
}

static bool put(struct store *s, unsigned number, unsigned version, size_t body_bytes)
{
    struct entry *e = make(number, version, body_bytes);
    bool kept = store_put(s, e);
    entry_unref(&e);
    return kept;
}

static struct entry *get(struct store *s, unsigned number)
{
    struct key_hash hash;
    struct slice key = key_of(number, &hash);
    return store_get(s, key, hash);
}

static bool has(struct store *s, unsigned number)
{
    struct entry *e = get(s, number);
    bool found = e != NULL;
    entry_unref(&e);
    return found;
}

static void keeps_replaces_and_drops(void **state)
{
    struct store *s = store_new(1 << 20, 3);
    assert_null(get(s, 1));
    assert_true(put(s, 1, 1, 100));
    struct entry *old = get(s, 1);
    assert_int_equal(old->stamp.from, 1);
    assert_int_equal(entry_body(old).len, 100);
    assert_int_equal(old->frequency, 2); // put, and asked for
    assert_true(put(s, 1, 2, 200));
    struct entry *new = get(s, 1);
    assert_int_equal(new->stamp.from, 2);
    store_drop(s, old); // no longer the one that is kept
    assert_true(has(s, 1));
    assert_int_equal(entry_body(old).at[99], 0); // and still whole for whoever holds it
    store_drop(s, new);
    assert_false(has(s, 1));
    entry_unref(&old);
    entry_unref(&new);
    struct store_stats stats = store_stats(s);
    assert_int_equal(stats.entries, 0);
    assert_true(stats.bytes < stats.budget_bytes / 32);
    assert_int_equal(stats.replaced, 1);
    assert_int_equal(stats.dropped, 1);
    store_free(s);
}

// Two keys that a broken hash cannot tell apart.
static void bytes_decide_not_the_hash(void **state)
{
    struct store *s = store_new(1 << 20, 1);
    struct key_hash hash = {5, 5};
    const char *keys[] = {"one", "two", "three"};
    for (uint64_t i = 0; i < 2; i++) {
        struct fill *f = fill_begin(&(struct fill_plan){
            .key = slice_str(keys[i]), .hash = hash, .stamp = {0, i}, .max_bytes = 10});
        struct entry *e = fill_commit(&f, 0);
        assert_true(store_put(s, e));
        entry_unref(&e);
    }
    for (uint64_t i = 0; i < 2; i++) {
        struct entry *e = store_get(s, slice_str(keys[i]), hash);
        assert_int_equal(e->stamp.from, i);
        entry_unref(&e);
    }
    assert_null(store_get(s, slice_str(keys[2]), hash));
    store_free(s);
}

static void large_ones_are_refused(void **state)
{
    struct store *s = store_new(80000, 1);
    size_t limit = store_entry_limit_bytes(s);
    struct entry *e = make(1, 1, 0);
    size_t overhead = entry_bytes(e, 0);
    entry_unref(&e);
    assert_true(put(s, 1, 1, limit - overhead));
    assert_false(put(s, 2, 1, limit - overhead + 1));
    assert_false(has(s, 2));
    // The old answer must not outlive a newer one that is too large to keep.
    assert_false(put(s, 1, 2, limit));
    assert_false(has(s, 1));
    assert_int_equal(store_stats(s).refused, 2);
    store_free(s);
    s = store_new(0, 4);
    assert_false(put(s, 1, 1, 0));
    store_free(s);
}

static void scan_leaves_the_hot_alone(void **state)
{
    struct store *s = store_new(1 << 20, 1);
    for (unsigned i = 0; i < 100; i++)
        assert_true(put(s, i, 1, 1000));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 100; i++)
            assert_true(has(s, i));
    }
    for (unsigned i = 1000; i < 11000; i++)
        assert_true(put(s, i, 1, 1000));
    unsigned left = 0;
    for (unsigned i = 0; i < 100; i++)
        left += has(s, i);
    assert_int_equal(left, 100);
    assert_true(store_stats(s).evictions > 9000);
    // What nobody asks for any more leaves all the same.
    for (unsigned i = 11000; i < 100000; i++)
        put(s, i, 1, 1000);
    for (left = 0; left < 100 && !has(s, left); left++)
        continue;
    assert_int_equal(left, 100);
    store_free(s);
}

// Of those that came twice more are left than of those that came once at the same time.
static void one_that_comes_back_is_remembered(void **state)
{
    struct store *s = store_new(1 << 20, 1);
    for (unsigned i = 1000; i < 6000; i++)
        put(s, i, 1, 1000);
    for (unsigned i = 0; i < 100; i++) {
        put(s, 4000 + i, 1, 1000);
        put(s, 100 + i, 1, 1000);
    }
    for (unsigned i = 7000; i < 7600; i++)
        put(s, i, 1, 1000);
    unsigned twice = 0, once = 0;
    for (unsigned i = 0; i < 100; i++) {
        twice += has(s, 4000 + i);
        once += has(s, 100 + i);
    }
    assert_true(twice > 60 && twice > once * 2);
    store_free(s);
}

static void costly_ones_stay(void **state)
{
    struct store *s = store_new(1 << 20, 1);
    for (unsigned i = 0; i < 5000; i++) {
        struct entry *e = make(i, 1, 1000);
        e->took_us = i % 10 == 0 ? 100000 : 100;
        store_put(s, e);
        entry_unref(&e);
    }
    unsigned costly = 0;
    for (unsigned i = 0; i < 5000; i += 10)
        costly += has(s, i);
    assert_int_equal(costly, 500);
    // Small ones before large ones of the same cost.
    store_clear(s);
    unsigned small = 0, large = 0;
    for (unsigned i = 0; i < 4000; i++)
        put(s, i, 1, i % 2 ? 100 : 4000);
    for (unsigned i = 0; i < 4000; i++)
        *(i % 2 ? &small : &large) += has(s, i);
    assert_true(small > large * 5);
    store_free(s);
}

// Beyond key and reply: the entry, its share of table and ranking, and the allocator's rounding,
// which for larger ones is a part of their size (less than a tenth on average).
static void overhead_of_an_entry(void **state)
{
    enum { ENTRIES = 20000 };
    static const struct {
        size_t from, to, at_most;
    } bodies[] = {{0, 60, 128},
                  {60, 400, 128},
                  {400, 1000, 128 + 700 / 10},
                  {1000, 4000, 128 + 2500 / 10}};
    for (size_t b = 0; b < sizeof(bodies) / sizeof(*bodies); b++) {
        struct store *s = store_new((size_t)1 << 30, 16);
        size_t before = store_stats(s).bytes, payload = 0;
        for (unsigned i = 0; i < ENTRIES; i++) {
            size_t body = bodies[b].from + i % (bodies[b].to - bodies[b].from + 1);
            assert_true(put(s, i, 1, body));
            struct entry *e = get(s, i);
            payload += e->key_len + e->body_len;
            entry_unref(&e);
        }
        size_t overhead = (store_stats(s).bytes - before - payload) / ENTRIES;
        print_message("replies of %zu to %zu bytes: %zu bytes of overhead\n", bodies[b].from,
                      bodies[b].to, overhead);
        assert_true(overhead <= bodies[b].at_most);
        store_free(s);
    }
}

static size_t rss_bytes(void)
{
    long pages = 0, ignored = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(f, "%ld %ld", &ignored, &pages), 2);
    fclose(f);
    return (size_t)pages * 4096;
}

static void put_in(struct store *s, unsigned number, size_t body_bytes)
{
    struct key_hash hash;
    struct slice key = key_of(number, &hash);
    struct fill *f = fill_begin(&(struct fill_plan){
        .arena = store_arena(s), .key = key, .hash = hash, .max_bytes = 1 << 24});
    uint8_t piece[1000] = {1};
    while (fill_bytes(f) < body_bytes)
        fill_append(f, slice_of(piece, sizeof(piece)));
    struct entry *e = fill_commit(&f, 0);
    assert_true(store_put(s, e));
    entry_unref(&e);
}

static void budget_is_a_ceiling_and_what_is_freed_goes_back(void **state)
{
    enum { BUDGET = 64 << 20 };
    struct store *s = store_new(BUDGET, 16);
    size_t before = rss_bytes();
    for (unsigned i = 0; i < 100000; i++) {
        put_in(s, i, 1000 + i % 5 * 1000);
    }
    struct store_stats full = store_stats(s);
    assert_true(full.bytes <= BUDGET && full.bytes > BUDGET / 10 * 9);
    arena_purge(store_arena(s)); // what was evicted lately would go back within a second
    size_t used = rss_bytes() - before;
    if (full.resident_bytes > 0) { // jemalloc is there
        assert_true(full.arena_bytes <= BUDGET && full.arena_bytes > BUDGET / 10 * 9);
        print_message("budget %d kB, resident %zu kB, RSS grew by %zu kB\n", BUDGET >> 10,
                      store_stats(s).resident_bytes >> 10, used >> 10);
        assert_true(used > BUDGET / 2 && used < BUDGET / 20 * 23);
    }
    // A smaller budget: at once, and it stays so.
    store_set_budget(s, BUDGET / 4);
    assert_true(store_stats(s).bytes <= BUDGET / 4);
    if (full.resident_bytes > 0)
        assert_true(rss_bytes() - before < used);
    for (unsigned i = 0; i < 20000; i++)
        put_in(s, i, 1000);
    struct store_stats small = store_stats(s);
    assert_true(small.bytes <= BUDGET / 4 && small.bytes > BUDGET / 4 / 10 * 9);
    store_set_budget(s, BUDGET);
    for (unsigned i = 0; i < 50000; i++)
        put_in(s, i, 1000);
    assert_true(store_stats(s).bytes > BUDGET / 2);
    store_clear(s);
    assert_int_equal(store_stats(s).entries, 0);
    if (full.resident_bytes > 0) {
        print_message("cleared: resident %zu kB, RSS has grown by %zu kB\n",
                      store_stats(s).resident_bytes >> 10, (rss_bytes() - before) >> 10);
        assert_true(store_stats(s).resident_bytes < 2 << 20);
        assert_true(rss_bytes() - before < BUDGET / 8);
    }
    store_free(s);
}

// Those that stay when the budget shrinks are moved together; not those that somebody holds.
static void what_stays_is_moved_whole(void **state)
{
    enum { ENTRIES = 3000 };
    struct store *s = store_new(16 << 20, 2);
    for (unsigned i = 0; i < ENTRIES; i++)
        put_in(s, i, 1000 + i % 3 * 1000);
    struct entry *held = get(s, 7);
    store_set_budget(s, 1 << 20);
    unsigned left = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct entry *e = get(s, i);
        if (e == NULL)
            continue;
        left++;
        assert_int_equal(entry_body(e).len, 1000 + i % 3 * 1000);
        assert_int_equal(entry_body(e).at[0], 1);
        assert_true(e->kept && (i != 7 || e == held));
        assert_true(store_drop(s, e));
        entry_unref(&e);
    }
    assert_true(left > 100 && store_stats(s).entries == 0);
    assert_int_equal(entry_body(held).len, 2000);
    entry_unref(&held);
    store_free(s);
}

// Against a plain array: never a wrong version, never more bytes than the budget.
static void random_against_a_naive_model(void **state)
{
    enum { KEYS = 500, ROUNDS = 200000 };
    unsigned newest[KEYS] = {0}; // 0: was never put, or dropped
    struct store *s = store_new(200000, 4);
    struct entry *held[16] = {NULL};
    uint64_t found = 0;
    srand(3);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        unsigned number = (unsigned)(rand() % KEYS) * (unsigned)(rand() % KEYS) / KEYS;
        struct entry **slot = &held[rand() % 16];
        entry_unref(slot);
        switch (rand() % 8) {
        case 0:
        case 1:
            newest[number] = put(s, number, round, (size_t)(rand() % 3000)) ? round : 0;
            break;
        case 2:
            if ((*slot = get(s, number)) != NULL) {
                store_drop(s, *slot);
                newest[number] = 0;
            }
            break;
        default:
            if ((*slot = get(s, number)) != NULL) {
                found++;
                assert_int_equal((*slot)->stamp.from, newest[number]);
                assert_int_equal((*slot)->slots[0], number);
                if ((*slot)->body_len > 0)
                    assert_int_equal(entry_body(*slot).at[(*slot)->body_len - 1],
                                     (uint8_t)(number ^ newest[number]));
            }
        }
        if (rand() % 20000 == 0) {
            store_clear(s);
            memset(newest, 0, sizeof(newest));
        }
        if (round % 64 == 0) { // it asks the allocator, too, which takes its time
            struct store_stats stats = store_stats(s);
            assert_true(stats.bytes <= stats.budget_bytes);
        }
    }
    assert_true(found > ROUNDS / 8);
    for (int i = 0; i < 16; i++)
        entry_unref(&held[i]);
    store_free(s);
}

static int tear_down(void **state)
{
    buf_fini(&key_buf);
    return 0;
}

static void sum_bodies(const struct entry *e, void *arg)
{
    *(size_t *)arg += e->body_len;
}

static void each_once_and_dropped_once(void **state)
{
    struct store *s = store_new(1 << 20, 4);
    struct entry *kept = NULL;
    for (unsigned i = 0; i < 50; i++) {
        struct entry *e = make(i, 0, i);
        assert_true(store_put(s, e));
        if (i == 7)
            kept = entry_ref(e);
        entry_unref(&e);
    }
    size_t sum = 0;
    store_each(s, sum_bodies, &sum);
    assert_int_equal(sum, 49 * 50 / 2);
    assert_true(store_drop(s, kept));
    assert_false(store_drop(s, kept));
    sum = 0;
    store_each(s, sum_bodies, &sum);
    assert_int_equal(sum, 49 * 50 / 2 - 7);
    entry_unref(&kept);
    store_free(s);
}

static bool is_odd(const struct entry *e, void *arg)
{
    ++*(int *)arg;
    return e->body_len % 2 == 1;
}

static void those_that_are_doomed_leave(void **state)
{
    struct store *s = store_new(1 << 20, 4);
    int asked = 0;
    for (unsigned i = 0; i < 200; i++)
        assert_true(put(s, i, 0, i));
    store_sweep(s, is_odd, &asked);
    assert_int_equal(asked, 200);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(has(s, i), i % 2 == 0);
    assert_int_equal(store_stats(s).entries, 100);
    assert_int_equal(store_stats(s).dropped, 100);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        // First: it looks at the process's memory.
        cmocka_unit_test(budget_is_a_ceiling_and_what_is_freed_goes_back),
        cmocka_unit_test(keeps_replaces_and_drops),
        cmocka_unit_test(bytes_decide_not_the_hash),
        cmocka_unit_test(large_ones_are_refused),
        cmocka_unit_test(scan_leaves_the_hot_alone),
        cmocka_unit_test(one_that_comes_back_is_remembered),
        cmocka_unit_test(each_once_and_dropped_once),
        cmocka_unit_test(those_that_are_doomed_leave),
        cmocka_unit_test(costly_ones_stay),
        cmocka_unit_test(overhead_of_an_entry),
        cmocka_unit_test(what_stays_is_moved_whole),
        cmocka_unit_test(random_against_a_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
