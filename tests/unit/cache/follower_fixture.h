// SPDX-License-Identifier: Apache-2.0
// A follower with a made-up stream, control connection and clock, for follower_*test.c. Positions
// and instants are small numbers; all tables are in schema public.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "cache/follower.h"

enum { BOUND = 250000, HORIZON = 100, START = 1000 };

static struct ledger *l;
static struct follower *f;
static int64_t now; // us

static inline int set_up(void **state)
{
    l = ledger_new();
    f = follower_new(l, BOUND);
    now = 1000000;
    return 0;
}

static inline int tear_down(void **state)
{
    follower_free(f);
    assert_int_equal(ledger_barriers(l), 0);
    ledger_free(l);
    return 0;
}

static inline uint32_t slot(const char *table)
{
    return ledger_slot_of(slice_str("public"), slice_str(table));
}

static inline bool line(uint64_t lsn, const char *text)
{
    return follower_data(f, lsn, slice_str(text));
}

// A whole transaction that wrote the tables.
static inline void commit(uint32_t xid, uint64_t position, const char *table, const char *other)
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

static inline bool answer_with(uint64_t flush, uint64_t insert, const char *snapshot, bool same)
{
    enum reading_schema schema = same ? READING_SCHEMA_SAME : READING_SCHEMA_CHANGED;
    struct reading r = {flush, insert, slice_str(snapshot), schema};
    return follower_reading(f, now, &r);
}

static inline void answer(uint64_t flush, uint64_t insert, const char *snapshot)
{
    assert_true(answer_with(flush, insert, snapshot, true));
}

static inline void ask(void)
{
    now += 2000;
    follower_reading_sent(f, READING_FULL, now);
    now += 100;
}

static inline void ask_gate(void)
{
    now += 2000;
    follower_reading_sent(f, READING_GATE, now);
    now += 100;
}

static inline void answer_gate(uint64_t flush, uint64_t insert, const char *snapshot)
{
    struct reading r = {flush, insert, slice_str(snapshot), READING_SCHEMA_UNREAD};
    assert_true(follower_reading(f, now, &r));
}

static inline void read_all(uint64_t flush, const char *snapshot)
{
    ask();
    answer(flush, flush, snapshot);
}

static inline void begin(void)
{
    follower_begin(f, &(struct follower_start){.consistent_lsn = START, .horizon_xid = HORIZON,
                                               .wal_block_bytes = 8192,
                                               .wal_segment_bytes = 16 << 20});
}

static inline void begin_on(void)
{
    begin();
    read_all(START, "101:101:");
    assert_true(ledger_is_on(l));
}

static inline enum ledger_verdict judge(struct stamp s, const char *table)
{
    uint32_t slots[] = {slot(table)};
    return ledger_judge(l, s, slots, 1, now, BOUND, INT64_MIN);
}

static inline struct stamp stamp(void)
{
    struct stamp s;
    assert_true(ledger_stamp(l, &s));
    return s;
}

static inline void write_through(const char *table, bool barrier)
{
    uint32_t slots[] = {table ? slot(table) : 0};
    uint32_t n = table ? 1 : 0;
    ledger_close(l, slots, n);
    if (barrier)
        ledger_raise_barrier(l);
    struct ticket_slots all = {.written = slots, .n_written = n};
    follower_ticket(f, ticket_new(&all, barrier));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
