// SPDX-License-Identifier: Apache-2.0
// When the ledger may be turned on, how far stable and freshness reach, how own writes are placed.
#include "cache/follower.h"

#include "tests/unit/cache/follower_fixture.h"

// ---- Starting ---------------------------------------------------------------------------------

static void turns_on_with_a_first_freshness(void **state)
{
    begin();
    assert_true(follower_wants(f, now).reading);
    assert_false(ledger_is_on(l));
    ask();
    int64_t sent = now - 100;
    answer(1010, 1010, "101:101:"); // the stream has not come so far
    assert_false(ledger_is_on(l));
    assert_true(follower_wants(f, now).keepalive);
    assert_true(follower_keepalive(f, 1009));
    assert_false(ledger_is_on(l));
    assert_true(follower_keepalive(f, 1010));
    assert_true(ledger_is_on(l));
    assert_int_equal(ledger_stable(l), 1010);
    assert_int_equal(ledger_fresh_us(l), sent); // as of the question, not the answer
}

// T50 may have committed before the consistent point and not be visible yet: no stable at or above
// that point would be true.
static void ghosts_keep_it_off(void **state)
{
    begin();
    read_all(START, "50:101:50");
    assert_false(ledger_is_on(l));
    assert_true(follower_keepalive(f, 2000));
    read_all(2000, "50:140:50,120");
    assert_false(ledger_is_on(l));
    read_all(2000, "120:140:120"); // T120 is above the horizon: no ghost
    assert_true(ledger_is_on(l));
    assert_int_equal(ledger_stable(l), 2000);
}

// xmax of a snapshot can lie below transactions that have long committed in the WAL.
static void ghosts_at_or_above_xmax_count_too(void **state)
{
    begin();
    read_all(START, "98:98:");
    assert_false(ledger_is_on(l));
    read_all(START, "99:101:99");
    assert_false(ledger_is_on(l));
    read_all(START, "101:101:");
    assert_true(ledger_is_on(l));
}

static void schema_in_doubt_keeps_it_off(void **state)
{
    begin();
    ask();
    assert_true(answer_with(START, START, "101:101:", false));
    assert_false(ledger_is_on(l));
    read_all(START, "101:101:");
    assert_true(ledger_is_on(l));
}

static void commit_before_turning_on_gates_stable(void **state)
{
    begin();
    commit(120, 1100, "t", NULL);
    read_all(1100, "120:121:120");
    assert_true(ledger_is_on(l));
    assert_int_equal(ledger_stable(l), 1099);
    assert_int_equal(judge(stamp(), "t"), LEDGER_DEAD);
    assert_int_equal(judge(stamp(), "u"), LEDGER_OK);
}

// ---- The trap of late visibility --------------------------------------------------------------

static void stable_waits_for_visibility(void **state)
{
    begin_on();
    struct stamp old = stamp();
    commit(120, 1100, "t", "u");
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
    assert_int_equal(judge(old, "u"), LEDGER_DEAD);
    assert_int_equal(judge(old, "v"), LEDGER_OK);
    assert_int_equal(ledger_stable(l), 1099);
    read_all(1100, "120:121:120"); // in the stream, and still running
    assert_int_equal(ledger_stable(l), 1099);
    assert_int_equal(judge(stamp(), "t"), LEDGER_DEAD); // a fill now would keep the old row
    assert_true(follower_keepalive(f, 1200));
    assert_int_equal(ledger_stable(l), 1099);
    read_all(1200, "120:120:"); // not even known to this snapshot: not finished
    assert_int_equal(ledger_stable(l), 1099);
    read_all(1200, "121:121:");
    assert_int_equal(ledger_stable(l), 1200);
    assert_int_equal(judge(stamp(), "t"), LEDGER_OK);
}

static void commits_become_visible_in_any_order(void **state)
{
    begin_on();
    commit(120, 1100, "t", NULL);
    commit(119, 1110, "u", NULL);
    commit(125, 1120, "v", NULL);
    read_all(1120, "120:126:120");
    assert_int_equal(ledger_stable(l), 1099);
    assert_int_equal(follower_status(f).pending_commits, 3);
    read_all(1120, "125:126:125");
    assert_int_equal(ledger_stable(l), 1119);
    read_all(1120, "126:126:");
    assert_int_equal(ledger_stable(l), 1120);
}

// The reading's answer may overtake the stream: what it shows as finished needs no other one. What
// it knew of another connection's time counts for nothing.
static void commit_that_a_reading_has_shown_before_it_came(void **state)
{
    begin_on();
    read_all(START, "110:110:");
    commit(109, 1100, "t", NULL);
    assert_int_equal(ledger_stable(l), 1100);
    assert_int_equal(judge(stamp(), "t"), LEDGER_OK);
    commit(110, 1200, "t", NULL);
    assert_int_equal(ledger_stable(l), 1199);
    follower_lost(f, LEDGER_OFF_STREAM_LOST);
    begin();
    commit(105, 1300, "t", NULL);
    read_all(1300, "101:106:105");
    assert_true(ledger_is_on(l));
    assert_int_equal(ledger_stable(l), 1299);
}

static void xids_wrap_around(void **state)
{
    begin_on();
    read_all(START, "4294967290:4294967290:");
    commit(4294967295u, 1100, "t", NULL);
    commit(5, 1110, "t", NULL);
    read_all(1110, "4294967295:4294967302:4294967295");
    assert_int_equal(ledger_stable(l), 1099);
    read_all(1110, "4294967300:4294967300:");
    assert_int_equal(ledger_stable(l), 1109);
    read_all(1110, "4294967302:4294967302:");
    assert_int_equal(ledger_stable(l), 1110);
}

// ---- Freshness --------------------------------------------------------------------------------

static void freshness_is_that_of_the_question(void **state)
{
    begin_on();
    ask();
    int64_t first = now - 100;
    answer(1200, 1200, "101:101:");
    ask();
    answer(1300, 1300, "101:101:");
    int64_t before = ledger_fresh_us(l);
    assert_true(before < first);
    commit(120, 1150, "t", NULL);
    assert_int_equal(ledger_fresh_us(l), before);
    assert_true(follower_keepalive(f, 1250));
    assert_int_equal(ledger_fresh_us(l), first);
    now += BOUND;
    assert_int_equal(judge(stamp(), "u"), LEDGER_STALE);
}

static void changed_schema_gives_no_freshness(void **state)
{
    begin_on();
    int64_t before = ledger_fresh_us(l);
    struct stamp old = stamp();
    ask();
    assert_true(answer_with(START, START, "101:101:", false));
    assert_int_equal(ledger_fresh_us(l), before);
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
    read_all(START, "101:101:");
    assert_true(ledger_fresh_us(l) > before);
}

// It has not looked at the schema.
static void gate_gives_no_freshness(void **state)
{
    begin();
    ask_gate();
    answer_gate(START, START, "101:101:"); // no ghosts
    assert_false(ledger_is_on(l));
    read_all(START, "101:101:");
    int64_t before = ledger_fresh_us(l);
    struct stamp old = stamp();
    ask_gate();
    answer_gate(START, START, "101:101:");
    assert_int_equal(ledger_fresh_us(l), before);
    commit(120, 1100, "t", NULL);
    ask_gate();
    answer_gate(1100, 1100, "121:121:");
    assert_int_equal(ledger_stable(l), 1100); // but stable moves,
    assert_int_equal(ledger_fresh_us(l), before);
    assert_int_equal(judge(old, "u"), LEDGER_OK); // and nothing ends
    now = before + BOUND + 1;
    assert_int_equal(judge(old, "u"), LEDGER_STALE);
}

static void many_unmet_readings_are_bounded(void **state)
{
    begin_on();
    for (int i = 0; i < 1000; i++)
        read_all(5000 + (uint64_t)i, "101:101:");
    int64_t last = now - 100;
    assert_true(follower_keepalive(f, 9000));
    assert_int_equal(ledger_fresh_us(l), last);
}

// ---- Own writes -------------------------------------------------------------------------------

static void ticket_is_placed_by_a_later_reading(void **state)
{
    begin_on();
    struct stamp old = stamp();
    write_through("t", false);
    assert_int_equal(judge(old, "t"), LEDGER_CLOSED);
    now += 1000;
    assert_int_equal(follower_wants(f, now).reading, READING_GATE);
    ask_gate();
    answer_gate(START, 1100, "101:101:");
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
    assert_int_equal(judge(old, "u"), LEDGER_OK);
    assert_int_equal(judge(stamp(), "t"), LEDGER_DEAD); // stable has not come so far
    assert_true(follower_keepalive(f, 1100));
    assert_int_equal(judge(stamp(), "t"), LEDGER_OK);
}

// Its insert position may lie before the commit.
static void reading_in_flight_does_not_place_a_ticket(void **state)
{
    begin_on();
    struct stamp old = stamp();
    ask();
    write_through("t", false);
    now += 1000;
    assert_int_equal(follower_wants(f, now).reading, READING_NONE); // one at a time
    answer(START, START, "101:101:");
    assert_int_equal(judge(old, "t"), LEDGER_CLOSED);
    assert_int_equal(follower_wants(f, now).reading, READING_GATE);
    ask_gate();
    write_through("u", false);
    answer_gate(START, 1100, "101:101:");
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
    assert_int_equal(judge(old, "u"), LEDGER_CLOSED);
    ask(); // a full one will do as well
    answer(START, 1200, "101:101:");
    assert_int_equal(judge(old, "u"), LEDGER_DEAD);
}

static void barrier_falls_when_the_stream_has_passed(void **state)
{
    begin_on();
    struct stamp old = stamp();
    write_through("t", true);
    assert_int_equal(judge(old, "u"), LEDGER_BARRIER);
    ask();
    answer(START, 1100, "101:101:");
    assert_int_equal(judge(old, "u"), LEDGER_BARRIER);
    assert_int_equal(follower_status(f).barriers, 1);
    commit(120, 1090, "u", NULL); // the trigger's work
    assert_int_equal(judge(old, "v"), LEDGER_BARRIER);
    assert_true(follower_keepalive(f, 1100));
    assert_int_equal(judge(old, "v"), LEDGER_OK);
    assert_int_equal(judge(old, "u"), LEDGER_DEAD);
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
}

// A write to a row that it does not name: the rows slot is held until the stream has told.
static void held_rows_open_when_the_stream_has_passed(void **state)
{
    begin_on();
    struct stamp old = stamp();
    uint64_t table = ledger_table(slice_str("public"), slice_str("t")), value = 5;
    uint32_t written[] = {slot("t")}, held[] = {ledger_rows_slot(table)};
    uint32_t five[] = {ledger_key_slot(table, &value, 1), held[0]};
    struct ticket_slots slots = {written, 1, held, 1};
    ledger_close(l, written, 1);
    ledger_close(l, held, 1);
    assert_true(follower_ticket(f, ticket_new(&slots, false)));
    assert_int_equal(ledger_judge(l, old, five, 2, now, BOUND, INT64_MIN), LEDGER_CLOSED);
    ask();
    answer(START, 1100, "101:101:");
    assert_int_equal(judge(old, "t"), LEDGER_DEAD); // the table is placed
    assert_int_equal(ledger_judge(l, old, five, 2, now, BOUND, INT64_MIN), LEDGER_CLOSED);
    assert_true(follower_keepalive(f, 1099));
    assert_int_equal(ledger_judge(l, old, five, 2, now, BOUND, INT64_MIN), LEDGER_CLOSED);
    assert_true(follower_keepalive(f, 1100));
    assert_int_equal(ledger_judge(l, old, five, 2, now, BOUND, INT64_MIN), LEDGER_OK);
    // And when the stream is lost meanwhile, it is not closed for ever.
    ledger_close(l, written, 1);
    ledger_close(l, held, 1);
    assert_true(follower_ticket(f, ticket_new(&slots, false)));
    ask();
    answer(1100, 1200, "101:101:");
    follower_lost(f, LEDGER_OFF_STREAM_LOST);
    begin_on();
    assert_int_equal(ledger_judge(l, stamp(), five, 2, now, BOUND, INT64_MIN), LEDGER_OK);
    assert_int_equal(judge(stamp(), "t"), LEDGER_OK);
}

static void barriers_fall_in_order(void **state)
{
    begin_on();
    write_through(NULL, true);
    ask();
    answer(START, 1100, "101:101:");
    write_through(NULL, true);
    ask();
    answer(START, 1200, "101:101:");
    assert_int_equal(ledger_barriers(l), 2);
    assert_true(follower_keepalive(f, 1150));
    assert_int_equal(ledger_barriers(l), 1);
    assert_true(follower_keepalive(f, 1200));
    assert_int_equal(ledger_barriers(l), 0);
}

static void insert_position_at_a_page_header_is_put_right(void **state)
{
    begin_on();
    write_through("t", true);
    ask();
    answer(8192 * 3, 8192 * 3 + 24, "101:101:");
    assert_true(follower_keepalive(f, 8192 * 3));
    assert_int_equal(ledger_barriers(l), 0);
    write_through("t", true);
    ask();
    answer(16 << 20, (16 << 20) + 40, "101:101:");
    assert_true(follower_keepalive(f, 16 << 20));
    assert_int_equal(ledger_barriers(l), 0);
    write_through("t", true);
    ask();
    answer(16 << 20, (16 << 20) + 8192 + 40, "101:101:"); // a record can end there
    assert_true(follower_keepalive(f, (16 << 20) + 8192));
    assert_int_equal(ledger_barriers(l), 1);
}

static void ticket_while_off_is_settled_at_once(void **state)
{
    write_through("t", true);
    assert_int_equal(ledger_barriers(l), 0);
    begin();
    write_through("t", true);
    assert_int_equal(ledger_barriers(l), 0);
    read_all(START, "101:101:");
    assert_int_equal(judge(stamp(), "t"), LEDGER_OK);
}

static void position_that_nobody_flushes_is_asked_for(void **state)
{
    begin_on();
    write_through("t", false);
    ask();
    answer(START, 1100, "101:101:");
    assert_false(follower_wants(f, now).flush);
    now += 30000;
    assert_true(follower_wants(f, now).flush);
    follower_flush_sent(f, now);
    assert_false(follower_wants(f, now).flush);
    assert_true(follower_wants(f, now + 200000).flush);
    commit(130, 1110, NULL, NULL);
    assert_false(follower_wants(f, now + 200000).flush);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(turns_on_with_a_first_freshness),
        TEST(ghosts_keep_it_off),
        TEST(ghosts_at_or_above_xmax_count_too),
        TEST(schema_in_doubt_keeps_it_off),
        TEST(commit_before_turning_on_gates_stable),
        TEST(stable_waits_for_visibility),
        TEST(commits_become_visible_in_any_order),
        TEST(commit_that_a_reading_has_shown_before_it_came),
        TEST(xids_wrap_around),
        TEST(freshness_is_that_of_the_question),
        TEST(changed_schema_gives_no_freshness),
        TEST(gate_gives_no_freshness),
        TEST(many_unmet_readings_are_bounded),
        TEST(ticket_is_placed_by_a_later_reading),
        TEST(reading_in_flight_does_not_place_a_ticket),
        TEST(barrier_falls_when_the_stream_has_passed),
        TEST(held_rows_open_when_the_stream_has_passed),
        TEST(barriers_fall_in_order),
        TEST(insert_position_at_a_page_header_is_put_right),
        TEST(ticket_while_off_is_settled_at_once),
        TEST(position_that_nobody_flushes_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
