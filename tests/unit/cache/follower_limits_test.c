// SPDX-License-Identifier: Apache-2.0
// What ends a follower, what transactions may touch, and when it asks for what.
#include "cache/follower.h"

#include "tests/unit/cache/follower_fixture.h"

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
        struct ticket_slots all = {.written = slots, .n_written = 1};
        if (!follower_ticket(f, ticket_new(&all, false)))
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
    assert_int_equal(follower_wants(f, now + 5000).reading, READING_FULL);
    ask_gate();
    answer_gate(1100, 1100, "121:121:");
    assert_true(follower_status(f).schema_suspect); // a gate does not look at it
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
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "table public.part_%d: INSERT: x", i);
        assert_true(line(1091, text));
    }
    assert_true(line(1100, "COMMIT 120"));
    assert_int_equal(follower_status(f).wide, 1);
    assert_int_equal(judge(old, "part_4999"), LEDGER_DEAD);
    assert_int_equal(judge(old, "elsewhere"), LEDGER_DEAD);
    assert_int_equal(judge(stamp(), "part_4999"), LEDGER_DEAD); // not visible yet
    read_all(1100, "121:121:");
    assert_int_equal(judge(stamp(), "part_4999"), LEDGER_OK);
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
    write_through("t", false); // a ticket does not wait: a gate will do
    assert_int_equal(follower_wants(f, now).reading, READING_GATE);
    ask_gate();
    answer_gate(START, START, "101:101:");
    assert_int_equal(follower_wants(f, now).wake_us, sent + 20000); // the gate counts for nothing
    assert_int_equal(follower_status(f).reading_us, 5000);
    assert_int_equal(follower_status(f).gate_us, 100);
    assert_int_equal(follower_wants(f, sent + 20000).reading, READING_FULL);
}

// However many own writes and commits come: a busy server is asked seldom.
static void gates_are_paced(void **state)
{
    begin_on();
    ask_gate();
    int64_t sent = now - 100;
    answer_gate(START, START, "101:101:");
    commit(120, 1100, "t", NULL);
    assert_int_equal(follower_wants(f, now).reading, READING_NONE);
    assert_int_equal(follower_wants(f, now).wake_us, sent + 1000);
    assert_int_equal(follower_wants(f, sent + 1000).reading, READING_GATE);
    write_through("t", false);
    write_through("u", false);
    assert_int_equal(follower_wants(f, now).wake_us, sent + 500);
    assert_int_equal(follower_wants(f, sent + 500).reading, READING_GATE);
    follower_reading_sent(f, READING_GATE, sent + 500);
    assert_int_equal(follower_wants(f, sent + 5000).reading, READING_NONE);
    answer_gate(START, 1200, "121:121:"); // one for all
    assert_int_equal(follower_status(f).tickets, 0);
    assert_int_equal(follower_status(f).pending_commits, 0);
}

// Only somebody's own writes, and freshness, wait for the stream to come further.
static void gate_for_commits_alone_asks_for_no_keepalive(void **state)
{
    begin_on();
    commit(120, 1100, "t", NULL);
    ask_gate();
    answer_gate(1200, 1200, "121:121:");
    assert_false(follower_wants(f, now).keepalive);
    write_through("t", false);
    ask_gate();
    answer_gate(1200, 1300, "121:121:");
    assert_true(follower_wants(f, now).keepalive);
    assert_true(follower_keepalive(f, 1200));
    assert_false(follower_wants(f, now).keepalive);
    commit(121, 1250, "t", NULL);
    ask_gate();
    answer_gate(1300, 1400, "122:122:"); // the own write at 1300 has been flushed
    assert_true(follower_wants(f, now + 20000).keepalive);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loss_ends_everything),
        TEST(unreadable_stream_is_lost),
        TEST(unreadable_reading_is_lost),
        TEST(too_many_pending_commits_are_lost),
        TEST(too_many_tickets_are_lost),
        TEST(truncate_touches_each),
        TEST(empty_transaction_makes_the_schema_suspect),
        TEST(wide_transaction_touches_everything),
        TEST(readings_are_paced),
        TEST(gates_are_paced),
        TEST(gate_for_commits_alone_asks_for_no_keepalive),
        TEST(long_invisible_commit_is_asked_for_ever_less),
        TEST(keepalives_are_asked_for_until_the_flush_is_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
