// SPDX-License-Identifier: Apache-2.0
// The follower with a made-up stream and clock. Positions and instants are small numbers.
#include "cache/follower.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum { BOUND = 250000, HORIZON = 100, START = 1000 };

static struct ledger *l;
static struct follower *f;
static int64_t now; // us

static int set_up(void **state)
{
    l = ledger_new();
    f = follower_new(l, BOUND);
    now = 1000000;
    return 0;
}

static int tear_down(void **state)
{
    follower_free(f);
    assert_int_equal(ledger_barriers(l), 0);
    ledger_free(l);
    return 0;
}

static uint32_t slot(const char *table)
{
    return ledger_slot_of(slice_str("public"), slice_str(table));
}

static bool line(uint64_t lsn, const char *text)
{
    return follower_data(f, lsn, slice_str(text));
}

// A whole transaction that wrote the tables.
static void commit(uint32_t xid, uint64_t position, const char *table, const char *other)
{
    char text[128];
    snprintf(text, sizeof(text), "BEGIN %u", xid);
    assert_true(line(position - 5, text));
    if (table != NULL) {
        snprintf(text, sizeof(text), "table public.%s: INSERT: id[integer]:1", table);
        assert_true(line(position - 4, text));
        assert_true(line(position - 3, text));
    }
    if (other != NULL) {
        snprintf(text, sizeof(text), "table public.%s: DELETE: id[integer]:1", other);
        assert_true(line(position - 2, text));
    }
    snprintf(text, sizeof(text), "COMMIT %u", xid);
    assert_true(line(position, text));
}

static bool answer_with(uint64_t flush, uint64_t insert, const char *snapshot, bool same)
{
    struct reading r = {flush, insert, slice_str(snapshot), same};
    return follower_reading(f, now, &r);
}

static void answer(uint64_t flush, uint64_t insert, const char *snapshot)
{
    assert_true(answer_with(flush, insert, snapshot, true));
}

static void ask(void)
{
    now += 2000;
    follower_reading_sent(f, now);
    now += 100;
}

static void read_all(uint64_t flush, const char *snapshot)
{
    ask();
    answer(flush, flush, snapshot);
}

static void begin(void)
{
    follower_begin(f, &(struct follower_start){.consistent_lsn = START, .horizon_xid = HORIZON,
                                               .wal_block_bytes = 8192,
                                               .wal_segment_bytes = 16 << 20});
}

static void begin_on(void)
{
    begin();
    read_all(START, "101:101:");
    assert_true(ledger_is_on(l));
}

static enum ledger_verdict judge(struct stamp s, const char *table)
{
    uint32_t slots[] = {slot(table)};
    return ledger_judge(l, s, slots, 1, now, BOUND, INT64_MIN);
}

static struct stamp stamp(void)
{
    struct stamp s;
    assert_true(ledger_stamp(l, &s));
    return s;
}

static void write_through(const char *table, bool barrier)
{
    uint32_t slots[] = {table ? slot(table) : 0};
    uint32_t n = table ? 1 : 0;
    ledger_close(l, slots, n);
    if (barrier)
        ledger_raise_barrier(l);
    follower_ticket(f, ticket_new(slots, n, barrier));
}

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
    assert_true(follower_wants(f, now).reading);
    ask();
    answer(START, 1100, "101:101:");
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
    assert_false(follower_wants(f, now).reading); // one at a time
    answer(START, START, "101:101:");
    assert_int_equal(judge(old, "t"), LEDGER_CLOSED);
    assert_true(follower_wants(f, now).reading);
    ask();
    answer(START, 1100, "101:101:");
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
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

// ---- Loss -------------------------------------------------------------------------------------

static void loss_ends_everything(void **state)
{
    begin_on();
    struct stamp old = stamp();
    write_through("t", true);
    ask();
    answer(START, 1100, "101:101:"); // its barrier waits for the stream
    write_through("t", false);
    ask();                       // riding
    write_through("u", true);    // waiting
    commit(120, 1050, "t", NULL);
    follower_lost(f, LEDGER_OFF_STREAM_LOST);
    assert_false(ledger_is_on(l));
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_STREAM_LOST);
    assert_int_equal(ledger_barriers(l), 0);
    assert_int_equal(judge(old, "v"), LEDGER_OFF);
    assert_false(answer_with(1100, 1100, "121:121:", true)); // an answer that comes too late
    assert_false(line(1200, "BEGIN 121"));
    assert_false(follower_keepalive(f, 1300));
    assert_int_equal(follower_wants(f, now).wake_us, INT64_MAX);

    follower_begin(f, &(struct follower_start){.consistent_lsn = 2000, .horizon_xid = 130});
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_STARTING);
    read_all(2000, "131:131:");
    assert_int_equal(judge(old, "v"), LEDGER_DEAD);
    assert_int_equal(judge(stamp(), "t"), LEDGER_OK);
    assert_int_equal(judge(stamp(), "u"), LEDGER_OK);
}

static void unreadable_stream_is_lost(void **state)
{
    static const char *const lines[] = {"nonsense", "COMMIT 5", "table public.t: INSERT: x",
                                        "BEGIN 5 "};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        begin_on();
        assert_false(line(1100, lines[i]));
        assert_int_equal(ledger_off_reason(l), LEDGER_OFF_UNREADABLE);
    }
    begin_on();
    assert_true(line(1100, "BEGIN 5"));
    assert_false(line(1100, "BEGIN 6"));
    begin_on();
    assert_true(line(1100, "BEGIN 5"));
    assert_false(line(1100, "COMMIT 6"));
    begin_on();
    assert_true(line(900, "BEGIN 5"));
    assert_false(line(900, "COMMIT 5")); // before what was passed
}

static void unreadable_reading_is_lost(void **state)
{
    begin_on();
    ask();
    assert_false(answer_with(START, START, "who knows", true));
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_UNREADABLE);
    begin_on();
    ask();
    assert_false(answer_with(0, START, "101:101:", true));
}

static void too_many_pending_commits_are_lost(void **state)
{
    begin_on();
    char text[64];
    bool kept = true;
    for (uint32_t i = 0; kept; i++) {
        snprintf(text, sizeof(text), "BEGIN %u", 200 + i);
        assert_true(line(2000 + i, text));
        snprintf(text, sizeof(text), "COMMIT %u", 200 + i);
        kept = line(2000 + i, text);
        assert_true(i < 70000);
    }
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_OVERFLOW);
}

static void too_many_tickets_are_lost(void **state)
{
    begin_on();
    uint32_t slots[] = {1};
    for (int i = 0;; i++) {
        ledger_close(l, slots, 1);
        if (!follower_ticket(f, ticket_new(slots, 1, false)))
            break;
        assert_true(i < 70000);
    }
    assert_int_equal(ledger_off_reason(l), LEDGER_OFF_OVERFLOW);
    begin_on();
    struct stamp s = stamp();
    assert_int_equal(ledger_judge(l, s, slots, 1, now, BOUND, INT64_MIN), LEDGER_OK);
}

// ---- What transactions touch ------------------------------------------------------------------

static void truncate_touches_each(void **state)
{
    begin_on();
    struct stamp old = stamp();
    assert_true(line(1090, "BEGIN 120"));
    assert_true(line(1091, "table public.t, public.\"U\": TRUNCATE: (no-flags)"));
    assert_int_equal(judge(old, "t"), LEDGER_OK); // not yet committed
    assert_true(line(1100, "COMMIT 120"));
    assert_int_equal(judge(old, "t"), LEDGER_DEAD);
    assert_int_equal(judge(old, "U"), LEDGER_DEAD);
    assert_int_equal(judge(old, "u"), LEDGER_OK);
}

static void empty_transaction_makes_the_schema_suspect(void **state)
{
    begin_on();
    commit(120, 1100, NULL, NULL);
    assert_true(follower_status(f).schema_suspect);
    assert_true(follower_wants(f, now + 5000).reading);
    ask();
    assert_false(follower_status(f).schema_suspect);
    answer(1100, 1100, "121:121:");
    assert_true(line(1190, "BEGIN 121"));
    assert_true(line(1191, "message: transactional: 1 prefix: pgweir, sz: 0 content:"));
    assert_true(line(1200, "COMMIT 121"));
    assert_false(follower_status(f).schema_suspect);
}

// Flushing alone would let a fill begin that does not see this commit and outlives it.
static void wide_transaction_touches_everything(void **state)
{
    begin_on();
    struct stamp old = stamp();
    char text[64];
    assert_true(line(1090, "BEGIN 120"));
    for (int i = 0; i < 1200; i++) {
        snprintf(text, sizeof(text), "table public.part_%d: INSERT: x", i);
        assert_true(line(1091, text));
    }
    assert_true(line(1100, "COMMIT 120"));
    assert_int_equal(follower_status(f).wide, 1);
    assert_int_equal(judge(old, "part_1199"), LEDGER_DEAD);
    assert_int_equal(judge(old, "elsewhere"), LEDGER_DEAD);
    assert_int_equal(judge(stamp(), "part_1199"), LEDGER_DEAD); // not visible yet
    read_all(1100, "121:121:");
    assert_int_equal(judge(stamp(), "part_1199"), LEDGER_OK);
    commit(121, 1200, "t", NULL); // the next one is told apart again
    assert_int_equal(follower_status(f).wide, 1);
}

// ---- When to ask ------------------------------------------------------------------------------

static void readings_are_paced(void **state)
{
    begin_on(); // the reading took 100 us
    int64_t sent = now - 100;
    struct follower_wishes w = follower_wants(f, now);
    assert_false(w.reading);
    assert_int_equal(w.wake_us, sent + BOUND / 4); // freshness is due
    assert_true(follower_wants(f, sent + BOUND / 4).reading);
    follower_hurry(f);
    w = follower_wants(f, now);
    assert_false(w.reading);
    assert_int_equal(w.wake_us, sent + 1000);
    assert_true(follower_wants(f, sent + 1000).reading);

    ask();
    sent = now - 100;
    now += 4900; // a slow one: 5 ms
    answer(START, START, "101:101:");
    follower_hurry(f);
    assert_int_equal(follower_wants(f, now).wake_us, sent + 20000);
    write_through("t", false); // a ticket does not wait
    assert_true(follower_wants(f, now).reading);
}

static void long_invisible_commit_is_asked_for_ever_less(void **state)
{
    begin_on();
    commit(120, 1100, "t", NULL);
    int64_t last = 0;
    for (int i = 0; i < 12; i++) {
        read_all(1100, "120:121:120");
        int64_t wait = follower_wants(f, now).wake_us - now;
        assert_true(wait >= last && wait <= BOUND / 4);
        last = wait;
    }
    assert_true(last > BOUND / 8);
}

static void keepalives_are_asked_for_until_the_flush_is_passed(void **state)
{
    begin_on();
    assert_false(follower_wants(f, now).keepalive);
    read_all(1100, "101:101:");
    assert_true(follower_wants(f, now).keepalive);
    follower_keepalive_sent(f, now);
    assert_false(follower_wants(f, now).keepalive);
    assert_false(follower_wants(f, now + 10000).keepalive);
    assert_true(follower_wants(f, now + 20000).keepalive);
    assert_true(follower_keepalive(f, START)); // an answer that brings nothing new
    assert_true(follower_wants(f, now + 2000).keepalive);
    assert_true(follower_keepalive(f, 1100));
    assert_false(follower_wants(f, now + 20000).keepalive);
    assert_int_equal(follower_passed(f), 1100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        TEST(xids_wrap_around),
        TEST(freshness_is_that_of_the_question),
        TEST(changed_schema_gives_no_freshness),
        TEST(many_unmet_readings_are_bounded),
        TEST(ticket_is_placed_by_a_later_reading),
        TEST(reading_in_flight_does_not_place_a_ticket),
        TEST(barrier_falls_when_the_stream_has_passed),
        TEST(barriers_fall_in_order),
        TEST(insert_position_at_a_page_header_is_put_right),
        TEST(ticket_while_off_is_settled_at_once),
        TEST(position_that_nobody_flushes_is_asked_for),
        TEST(loss_ends_everything),
        TEST(unreadable_stream_is_lost),
        TEST(unreadable_reading_is_lost),
        TEST(too_many_pending_commits_are_lost),
        TEST(too_many_tickets_are_lost),
        TEST(truncate_touches_each),
        TEST(empty_transaction_makes_the_schema_suspect),
        TEST(wide_transaction_touches_everything),
        TEST(readings_are_paced),
        TEST(long_invisible_commit_is_asked_for_ever_less),
        TEST(keepalives_are_asked_for_until_the_flush_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
