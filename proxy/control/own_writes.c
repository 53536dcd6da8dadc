// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/own_writes.h"

#include "base/check.h"
#include "base/mem.h"

enum { PACE_MIN_US = 1000 };

struct own_writes {
    struct ledger *ledger; // borrows
    int64_t max_staleness_us;
    uint64_t count; // of writes placed; the position of the last one
    bool in_flight;
    int64_t sent_us; // of the last reading; INT64_MIN none
    int64_t reading_us;
};

struct own_writes *own_writes_new(struct ledger *ledger, int64_t max_staleness_us)
{
    struct own_writes *o = mem_new(struct own_writes);
    o->ledger = ledger;
    o->max_staleness_us = max_staleness_us;
    o->count = 1;
    o->sent_us = INT64_MIN;
    return o;
}

void own_writes_free(struct own_writes *o)
{
    mem_free(o);
}

void own_writes_set_max_staleness(struct own_writes *o, int64_t max_staleness_us)
{
    o->max_staleness_us = max_staleness_us;
}

void own_writes_begin(struct own_writes *o)
{
    CHECK(!ledger_is_on(o->ledger));
    o->in_flight = false;
    o->sent_us = INT64_MIN;
    o->reading_us = 0;
}

void own_writes_ticket(struct own_writes *o, struct ticket *ticket)
{
    bool on = ledger_is_on(o->ledger);
    if (ticket->barrier)
        ledger_flush(o->ledger);
    ledger_settle(o->ledger, ticket->slots, ticket->n, on ? ++o->count : 0);
    if (on)
        ledger_advance(o->ledger, o->count);
    if (ticket->barrier)
        ledger_lower_barrier(o->ledger);
    ticket_free(ticket);
}

void own_writes_reading_sent(struct own_writes *o, int64_t now_us)
{
    o->in_flight = true;
    o->sent_us = now_us;
}

void own_writes_reading(struct own_writes *o, int64_t now_us, bool schema_same)
{
    o->in_flight = false;
    o->reading_us = now_us - o->sent_us;
    if (!schema_same) {
        ledger_flush(o->ledger);
        return;
    }
    if (!ledger_is_on(o->ledger))
        ledger_turn_on(o->ledger, o->count);
    ledger_freshen(o->ledger, o->sent_us);
}

struct follower_wishes own_writes_wants(const struct own_writes *o, bool hurry, int64_t now_us)
{
    struct follower_wishes w = {.wake_us = INT64_MAX};
    if (o->in_flight)
        return w;
    int64_t pace_us = 4 * o->reading_us > PACE_MIN_US ? 4 * o->reading_us : PACE_MIN_US;
    int64_t due_us = hurry || o->max_staleness_us / 4 < pace_us ? pace_us : o->max_staleness_us / 4;
    if (o->sent_us == INT64_MIN || o->sent_us + due_us <= now_us)
        w.reading = READING_FULL;
    else
        w.wake_us = o->sent_us + due_us;
    return w;
}
