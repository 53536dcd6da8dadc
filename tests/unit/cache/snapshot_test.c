// SPDX-License-Identifier: Apache-2.0
#include "cache/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "cache/pending.h"

static struct snapshot s;

static bool parses(const char *text)
{
    return snapshot_parse(&s, slice_str(text));
}

static void knows_what_has_finished(void **state)
{
    assert_true(parses("100:110:103,107"));
    assert_true(snapshot_finished(&s, 3));
    assert_true(snapshot_finished(&s, 99));
    assert_true(snapshot_finished(&s, 102));
    assert_false(snapshot_finished(&s, 103));
    assert_true(snapshot_finished(&s, 104));
    assert_false(snapshot_finished(&s, 107));
    assert_true(snapshot_finished(&s, 109));
    assert_false(snapshot_finished(&s, 110));
    assert_false(snapshot_finished(&s, 1000));
}

static void nothing_runs(void **state)
{
    assert_true(parses("100:100:"));
    assert_int_equal(s.n_running, 0);
    assert_true(snapshot_finished(&s, 99));
    assert_false(snapshot_finished(&s, 100));
}

static void counts_around_the_wrap(void **state)
{
    // 2^32 = 4294967296: xmax is 14 behind the wrap, one runs on each side.
    assert_true(parses("4294967290:4294967310:4294967290,4294967300"));
    assert_false(snapshot_finished(&s, 4294967290u));
    assert_true(snapshot_finished(&s, 4294967289u));
    assert_true(snapshot_finished(&s, 4294967295u));
    assert_true(snapshot_finished(&s, 3));
    assert_false(snapshot_finished(&s, 4));
    assert_true(snapshot_finished(&s, 13));
    assert_false(snapshot_finished(&s, 14));
    // xmax just before it: an xid of the next round has not even begun.
    assert_true(parses("4294967290:4294967295:"));
    assert_false(snapshot_finished(&s, 5));
    assert_true(snapshot_finished(&s, 4294967294u));
    // In the first round there is nothing before zero.
    assert_true(parses("10:20:"));
    assert_false(snapshot_finished(&s, 4294967290u));
}

static void bad_texts_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "1", "1:2", ":2:", "1::", "a:2:", "2:1:", "0:1:", "1:5:x", "1:5:3,", "1:5:,3",
        "1:5:3,3", "1:5:4,3", "1:5:5", "3:5:2", "1:5:3 ", "1:99999999999999999999999:", "-1:5:",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(parses(bad[i]));
}

static void pending_keeps_order_and_bound(void **state)
{
    struct pending p = {0};
    assert_null(pending_first(&p));
    for (uint32_t i = 0; i < PENDING_MAX; i++)
        assert_true(pending_push(&p, 1000 + i, 10 + i));
    assert_false(pending_push(&p, 1, 1));
    assert_true(parses("13:1000000:13"));
    assert_int_equal(pending_pop_finished(&p, &s), 3);
    assert_int_equal(pending_first(&p)->position, 1003);
    assert_true(pending_push(&p, 1, 14)); // around the end of the ring
    assert_true(parses("70000:1000000:"));
    assert_int_equal(pending_pop_finished(&p, &s), PENDING_MAX - 2);
    assert_null(pending_first(&p));
    pending_clear(&p);
    snapshot_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_what_has_finished), cmocka_unit_test(nothing_runs),
        cmocka_unit_test(counts_around_the_wrap),  cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(pending_keeps_order_and_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
