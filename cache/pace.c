// SPDX-License-Identifier: Apache-2.0
#include "cache/pace.h"

#include "base/check.h"

enum {
    PENDING_US = 1000, // at least so long between readings that only commits of others wait for
    TICKETS_US = 500,  // the same for own writes: those that came meanwhile share the next one
    DOUBLINGS_MAX = 10,
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void pace_reset(struct pace *p)
{
    *p = (struct pace){.sent_us = INT64_MIN, .full_sent_us = INT64_MIN};
}

void pace_sent(struct pace *p, enum reading_kind kind, int64_t now_us)
{
    CHECK(p->in_flight == READING_NONE && kind != READING_NONE);
    p->in_flight = kind;
    p->sent_us = now_us;
    if (kind == READING_FULL)
        p->full_sent_us = now_us;
}

void pace_answered(struct pace *p, int64_t now_us)
{
    CHECK(p->in_flight != READING_NONE);
    if (p->in_flight == READING_FULL)
        p->full_us = now_us - p->sent_us;
    else
        p->gate_us = now_us - p->sent_us;
    p->in_flight = READING_NONE;
}

int64_t pace_slower_us(unsigned fruitless, int64_t at_most_us)
{
    unsigned doublings = fruitless < DOUBLINGS_MAX ? fruitless : DOUBLINGS_MAX;
    return earlier((int64_t)PENDING_US << doublings, at_most_us);
}

// Full readings take at most a quarter of the time, or half of it where freshness needs that.
static int64_t full_due_us(const struct pace *p, const struct pace_needs *needs)
{
    if (p->full_sent_us == INT64_MIN)
        return INT64_MIN;
    int64_t pace = later(PENDING_US, 4 * p->full_us);
    int64_t due = later(needs->refresh_us, 2 * p->full_us);
    if (needs->hurry)
        due = earlier(due, pace);
    if (!needs->on)
        due = earlier(due, later(pace, pace_slower_us(p->waited, needs->refresh_us)));
    return p->full_sent_us + due;
}

// An own write that comes while all is quiet does not wait at all.
static int64_t gate_due_us(const struct pace *p, const struct pace_needs *needs)
{
    if (needs->tickets)
        return p->sent_us + TICKETS_US;
    if (!needs->pending)
        return INT64_MAX;
    // A commit that waits for a standby can stay pending for long.
    int64_t pace = later(PENDING_US, 2 * p->gate_us);
    return p->sent_us + later(pace, pace_slower_us(p->fruitless, needs->refresh_us));
}

struct pace_due pace_due(const struct pace *p, const struct pace_needs *needs)
{
    if (p->in_flight != READING_NONE)
        return (struct pace_due){.full_us = INT64_MAX, .gate_us = INT64_MAX};
    int64_t full_us = full_due_us(p, needs);
    if (full_us == INT64_MIN) // the first of all
        return (struct pace_due){.full_us = full_us, .gate_us = INT64_MAX};
    return (struct pace_due){.full_us = full_us, .gate_us = gate_due_us(p, needs)};
}
