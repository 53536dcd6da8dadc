// SPDX-License-Identifier: Apache-2.0
#include "cache/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { BOUND = 250000 };

static const uint32_t one[] = {7};
static const uint32_t two[] = {7, 9};

static struct ledger *on_at(uint64_t stable, int64_t fresh_us)
{
    struct ledger *l = ledger_new();
    ledger_turn_on(l, stable);
    ledger_freshen(l, fresh_us);
    return l;
}

static enum ledger_verdict judge(struct ledger *l, struct stamp s, int64_t now_us)
{
    return ledger_judge(l, s, two, 2, now_us, BOUND, INT64_MIN);
}

static void begins_off(void **state)
{
    struct ledger *l = ledger_new();
    struct stamp s = {0};
    assert_false(ledger_is_on(l));
    assert_false(ledger_stamp(l, &s));
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_STARTING);
    assert_int_equal(judge(l, s, 0), LEDGER_OFF);
    ledger_free(l);
}

static void event_ends_older_entries_only(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp before, after;
    assert_true(ledger_stamp(l, &before));
    assert_int_equal(before.from, 100);
    assert_int_equal(judge(l, before, 1000), LEDGER_OK);
    ledger_event(l, 9, 110);
    assert_int_equal(judge(l, before, 1000), LEDGER_DEAD);
    assert_int_equal(ledger_judge(l, before, one, 1, 1000, BOUND, INT64_MIN), LEDGER_OK);
    assert_true(ledger_stamp(l, &after));
    assert_int_equal(judge(l, after, 1000), LEDGER_DEAD); // stable still lies before the event
    ledger_advance(l, 110);
    assert_true(ledger_stamp(l, &after));
    assert_int_equal(judge(l, after, 1000), LEDGER_OK);
    ledger_event(l, 9, 105); // an older one changes nothing
    assert_int_equal(judge(l, after, 1000), LEDGER_OK);
    ledger_event_all(l, 120);
    assert_int_equal(judge(l, after, 1000), LEDGER_DEAD);
    ledger_free(l);
}

static void stable_and_fresh_never_go_back(void **state)
{
    struct ledger *l = on_at(100, 1000);
    ledger_advance(l, 90);
    ledger_freshen(l, 900);
    assert_int_equal(ledger_stable(l), 100);
    assert_int_equal(ledger_fresh_us(l), 1000);
    ledger_free(l);
}

static void staleness_is_bounded_on_both_sides(void **state)
{
    struct ledger *l = on_at(100, 1000000);
    struct stamp s;
    assert_true(ledger_stamp(l, &s));
    assert_int_equal(judge(l, s, 1000000 + BOUND), LEDGER_OK);
    assert_int_equal(judge(l, s, 1000001 + BOUND), LEDGER_STALE);
    assert_int_equal(judge(l, s, 1000000 - 50), LEDGER_OK); // the caller's clock is a little old
    assert_int_equal(judge(l, s, 1000000 - BOUND - 1), LEDGER_STALE);
    ledger_free(l);
}

static void session_never_goes_back(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp s;
    assert_true(ledger_stamp(l, &s));
    assert_int_equal(ledger_judge(l, s, two, 2, 1100, BOUND, 999), LEDGER_OK);
    assert_int_equal(ledger_judge(l, s, two, 2, 1100, BOUND, 1000), LEDGER_BEHIND);
    ledger_freshen(l, 1001);
    assert_int_equal(ledger_judge(l, s, two, 2, 1100, BOUND, 1000), LEDGER_OK);
    ledger_free(l);
}

static void closings_are_counted(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp s;
    assert_true(ledger_stamp(l, &s));
    assert_true(ledger_look(l, two, 2).settled);
    ledger_close(l, one, 1);
    ledger_close(l, two, 2);
    assert_false(ledger_look(l, one, 1).settled);
    assert_int_equal(judge(l, s, 1000), LEDGER_CLOSED);
    ledger_settle(l, two, 2, 0);
    assert_int_equal(judge(l, s, 1000), LEDGER_CLOSED);
    ledger_settle(l, one, 1, 0);
    assert_int_equal(judge(l, s, 1000), LEDGER_OK);
    ledger_close(l, one, 1);
    ledger_settle(l, one, 1, 130);
    assert_int_equal(judge(l, s, 1000), LEDGER_DEAD);
    ledger_free(l);
}

static void barrier_stops_all_and_ends_nothing(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp s;
    assert_true(ledger_stamp(l, &s));
    ledger_raise_barrier(l);
    ledger_raise_barrier(l);
    ledger_lower_barrier(l);
    assert_int_equal(ledger_barriers(l), 1);
    assert_false(ledger_look(l, one, 1).settled);
    assert_int_equal(judge(l, s, 1000), LEDGER_BARRIER);
    ledger_lower_barrier(l);
    assert_int_equal(judge(l, s, 1000), LEDGER_OK);
    ledger_free(l);
}

static void flush_ends_all(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp old, new;
    assert_true(ledger_stamp(l, &old));
    ledger_flush(l);
    assert_true(ledger_is_on(l));
    assert_true(ledger_stamp(l, &new));
    assert_int_equal(judge(l, old, 1000), LEDGER_DEAD);
    assert_int_equal(judge(l, new, 1000), LEDGER_OK);
    ledger_free(l);
}

static void off_and_on_again_is_another_epoch(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp old, new;
    assert_true(ledger_stamp(l, &old));
    ledger_event(l, 7, 1u << 30);
    ledger_turn_off(l, LEDGER_OFF_STREAM_LOST);
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_STREAM_LOST);
    assert_int_equal(judge(l, old, 1000), LEDGER_OFF);
    ledger_flush(l); // nothing to end
    assert_false(ledger_is_on(l));
    ledger_turn_off(l, LEDGER_OFF_UNREACHABLE);
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_UNREACHABLE);
    ledger_reset(l);
    ledger_turn_on(l, 50); // another timeline: lower positions
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_NONE);
    assert_int_equal(judge(l, old, 1000), LEDGER_DEAD);
    assert_true(ledger_stamp(l, &new));
    assert_int_equal(new.from, 50);
    assert_int_equal(judge(l, new, 1000), LEDGER_STALE); // no freshness carried over
    ledger_freshen(l, 2000);
    assert_int_equal(judge(l, new, 2000), LEDGER_OK); // nor any event
    ledger_free(l);
}

static void slots_tell_names_apart(void **state)
{
    uint32_t a = ledger_slot_of(slice_str("ab"), slice_str("c"));
    assert_int_equal(a, ledger_slot_of(slice_str("ab"), slice_str("c")));
    unsigned same = 0; // a collision or two by chance would be no fault
    same += a == ledger_slot_of(slice_str("a"), slice_str("bc"));
    same += a == ledger_slot_of(slice_str("c"), slice_str("ab"));
    same += a == ledger_slot_of(slice_str(""), slice_str("abc"));
    same += a == ledger_slot_of(slice_str("abc"), slice_str(""));
    assert_true(same <= 1);
    assert_true(a < LEDGER_SLOTS);
}

static void keys_have_slots_of_their_own(void **state)
{
    uint64_t t = ledger_table(slice_str("public"), slice_str("t"));
    uint64_t u = ledger_table(slice_str("public"), slice_str("u"));
    const uint64_t five[] = {5, 6}, six[] = {6, 5};
    uint32_t slots[] = {ledger_table_slot(t),          ledger_rows_slot(t),
                        ledger_rows_slot(u),           ledger_key_slot(t, five, 1),
                        ledger_key_slot(t, six, 1),    ledger_key_slot(u, five, 1),
                        ledger_key_slot(t, five, 2),   ledger_key_slot(t, six, 2)};
    enum { N = sizeof(slots) / sizeof(*slots) };
    unsigned same = 0;
    assert_int_equal(slots[0], ledger_slot_of(slice_str("public"), slice_str("t")));
    assert_int_equal(slots[3], ledger_key_slot(t, five, 1));
    for (int i = 0; i < N; i++)
        for (int k = 0; k < i; k++)
            same += slots[i] == slots[k];
    assert_true(same <= 1); // by chance
    // Keys spread over the array.
    uint8_t *seen = calloc(LEDGER_SLOTS, 1);
    unsigned different = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        uint32_t slot = ledger_key_slot(t, &i, 1);
        different += !seen[slot];
        seen[slot] = 1;
    }
    free(seen);
    assert_true(different > 80000); // 83,000 of 262,144 by chance
}

static void all_slots_rise_at_once_and_are_forgotten(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp before;
    assert_true(ledger_stamp(l, &before));
    ledger_event_all(l, 120);
    assert_int_equal(judge(l, before, 1000), LEDGER_DEAD);
    assert_int_equal(ledger_look(l, two, 2).need.from, 120);
    ledger_event(l, 9, 130);
    ledger_turn_off(l, LEDGER_OFF_STREAM_LOST);
    ledger_reset(l);
    ledger_turn_on(l, 10);
    ledger_freshen(l, 1000);
    struct stamp after;
    assert_true(ledger_stamp(l, &after));
    assert_int_equal(judge(l, after, 1000), LEDGER_OK);
    ledger_free(l);
}

static void every_reason_has_a_sentence(void **state)
{
    for (int r = LEDGER_OFF_NONE; r <= LEDGER_OFF_DISABLED; r++)
        assert_true(strlen(ledger_off_sentence((enum ledger_off_reason)r)) > 1);
}

static void what_is_forgotten_is_so_for_ttl_only(void **state)
{
    struct ledger *l = on_at(100, 1000);
    struct stamp s;
    ledger_stamp(l, &s);
    assert_true(ledger_forgotten_us(l, two, 2) == INT64_MIN);
    ledger_forget(l, one, 1, 500);
    assert_int_equal(ledger_forgotten_us(l, two, 2), 500);
    assert_true(ledger_forgotten_us(l, two + 1, 1) == INT64_MIN);
    ledger_forget(l, NULL, 0, 700);
    assert_int_equal(ledger_forgotten_us(l, two + 1, 1), 700);
    assert_int_equal(ledger_forgotten_us(l, NULL, 0), 700);
    assert_int_equal(judge(l, s, 1000), LEDGER_OK);
    ledger_free(l);
}

static void events_are_counted(void **state)
{
    struct ledger *l = on_at(100, 1000);
    assert_int_equal(ledger_events(l, 9), 0);
    ledger_event(l, 9, 110);
    ledger_event(l, 9, 105); // late, and all the same one
    ledger_close(l, one, 1);
    ledger_settle(l, one, 1, 120);
    ledger_close(l, one, 1);
    ledger_settle(l, one, 1, 0); // only opened
    assert_int_equal(ledger_events(l, 9), 2);
    assert_int_equal(ledger_events(l, 7), 2); // own writes count when they are answered
    ledger_free(l);
}

// What a run may have missed is told before its client is told that it is done.
static void touched_grows_before_the_answer(void **state)
{
    struct ledger *l = on_at(100, 1000);
    uint64_t before = ledger_look(l, two, 2).touched;
    ledger_close(l, one, 1);
    uint64_t closed = ledger_look(l, two, 2).touched;
    assert_true(closed > before);
    ledger_settle(l, one, 1, 120);
    ledger_event(l, two[1], 120);
    uint64_t told = ledger_look(l, two, 2).touched;
    assert_true(told > closed);
    ledger_raise_barrier(l);
    assert_true(ledger_look(l, two, 2).touched > told);
    ledger_lower_barrier(l);
    ledger_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_off),
        cmocka_unit_test(event_ends_older_entries_only),
        cmocka_unit_test(stable_and_fresh_never_go_back),
        cmocka_unit_test(staleness_is_bounded_on_both_sides),
        cmocka_unit_test(session_never_goes_back),
        cmocka_unit_test(closings_are_counted),
        cmocka_unit_test(barrier_stops_all_and_ends_nothing),
        cmocka_unit_test(flush_ends_all),
        cmocka_unit_test(off_and_on_again_is_another_epoch),
        cmocka_unit_test(slots_tell_names_apart),
        cmocka_unit_test(keys_have_slots_of_their_own),
        cmocka_unit_test(all_slots_rise_at_once_and_are_forgotten),
        cmocka_unit_test(every_reason_has_a_sentence),
        cmocka_unit_test(what_is_forgotten_is_so_for_ttl_only),
        cmocka_unit_test(events_are_counted),
        cmocka_unit_test(touched_grows_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
