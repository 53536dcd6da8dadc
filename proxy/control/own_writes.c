// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/own_writes.h"

#include "base/check.h"
#include "base/mem.h"

enum { PACE_MIN_US = 1000, DOUBTS_AGAIN_US = 20000, DOUBTS_AT_ONCE = 1000 };

struct own_writes {
    struct ledger *ledger; // borrows
    int64_t max_staleness_us;
    uint64_t count; // of writes placed and notifications; the position of the last one
    bool told;      // notifications come, and readings come in twos: the second says of the first
    bool first_of_two;
    bool in_flight;
    int64_t sent_us;     // of the last reading; INT64_MIN none
    int64_t answered_us; // when the last one that was answered had been sent; INT64_MIN none
    int64_t reading_us;
    // Writes in doubt: not asked for yet, or not after the last answer; and in the question sent.
    struct list doubts;
    struct list asked;
    int64_t doubts_us; // when the last question was sent; INT64_MIN none
};

static struct ticket *ticket_of(struct link *link)
{
    return container_of(link, struct ticket, link);
}

static void place(struct own_writes *o, struct ticket *ticket)
{
    bool on = ledger_is_on(o->ledger);
    // What it may have touched is everything. (Not a flush: the epoch stays, and with it what is
    // known of servers' sessions, so that the next write need not be taken for one like it.)
    if (ticket->barrier && on)
        ledger_event_all(o->ledger, o->count + 1);
    // No stream tells which keys the held ones were: they rise as well.
    ledger_settle(o->ledger, ticket->slots, ticket->n, on ? ++o->count : 0);
    if (on)
        ledger_advance(o->ledger, o->count);
    if (ticket->barrier)
        ledger_lower_barrier(o->ledger);
    ticket_free(ticket);
}

struct own_writes *own_writes_new(struct ledger *ledger, int64_t max_staleness_us)
{
    struct own_writes *o = mem_new(struct own_writes);
    o->ledger = ledger;
    o->max_staleness_us = max_staleness_us;
    o->count = 1;
    o->sent_us = o->doubts_us = INT64_MIN;
    list_init(&o->doubts);
    list_init(&o->asked);
    return o;
}

void own_writes_free(struct own_writes *o)
{
    struct link *link;
    own_writes_lost(o);
    while ((link = list_pop_front(&o->doubts)) != NULL)
        place(o, ticket_of(link));
    mem_free(o);
}

void own_writes_set_max_staleness(struct own_writes *o, int64_t max_staleness_us)
{
    o->max_staleness_us = max_staleness_us;
}

void own_writes_begin(struct own_writes *o, bool told)
{
    CHECK(!ledger_is_on(o->ledger));
    ledger_reset(o->ledger); // its positions may be those of a stream that was followed before
    o->told = told;
    o->in_flight = o->first_of_two = false;
    o->sent_us = o->answered_us = INT64_MIN;
    o->reading_us = 0;
}

void own_writes_ticket(struct own_writes *o, struct ticket *ticket)
{
    if (ticket->backend != 0)
        list_push_back(&o->doubts, &ticket->link);
    else
        place(o, ticket);
}

void own_writes_lost(struct own_writes *o)
{
    struct link *link;
    while ((link = list_pop_front(&o->asked)) != NULL)
        list_push_back(&o->doubts, link);
}

int64_t own_writes_doubts_due_us(const struct own_writes *o)
{
    if (list_empty(&o->doubts))
        return INT64_MAX;
    return o->doubts_us == INT64_MIN ? INT64_MIN : o->doubts_us + DOUBTS_AGAIN_US;
}

void own_writes_doubts_sent(struct own_writes *o, int64_t now_us, struct buf *pids)
{
    struct link *link;
    CHECK(list_empty(&o->asked));
    o->doubts_us = now_us;
    buf_bytes(pids, "{", 1);
    while (o->asked.count < DOUBTS_AT_ONCE && (link = list_pop_front(&o->doubts)) != NULL) {
        buf_printf(pids, o->asked.count == 0 ? "%u" : ",%u", ticket_of(link)->backend);
        list_push_back(&o->asked, link);
    }
    buf_bytes(pids, "}", 2);
}

// A process that is gone has committed or not: new snapshots see which. (Its number may be another
// one's by now; then this lasts longer than it need.)
void own_writes_doubts(struct own_writes *o, const uint32_t *alive, size_t n)
{
    struct link *link;
    while ((link = list_pop_front(&o->asked)) != NULL) {
        bool lives = false;
        for (size_t i = 0; i < n; i++)
            lives |= alive[i] == ticket_of(link)->backend;
        if (lives)
            list_push_back(&o->doubts, link);
        else
            place(o, ticket_of(link));
    }
}

void own_writes_told(struct own_writes *o, const uint32_t *slots, size_t n)
{
    if (!ledger_is_on(o->ledger))
        return; // nothing is stored, and what is stored later will have seen it
    o->count++;
    if (n == 0)
        ledger_event_all(o->ledger, o->count);
    for (size_t i = 0; i < n; i++)
        ledger_event(o->ledger, slots[i], o->count);
    ledger_advance(o->ledger, o->count);
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
        o->answered_us = INT64_MIN;
        o->first_of_two = false;
        return;
    }
    int64_t fresh_us = o->told ? o->answered_us : o->sent_us;
    o->answered_us = o->sent_us;
    o->first_of_two = !o->first_of_two;
    if (fresh_us == INT64_MIN)
        return;
    if (!ledger_is_on(o->ledger))
        ledger_turn_on(o->ledger, o->count);
    ledger_freshen(o->ledger, fresh_us);
}

struct follower_wishes own_writes_wants(const struct own_writes *o, bool hurry, int64_t now_us)
{
    struct follower_wishes w = {.wake_us = INT64_MAX};
    if (o->in_flight)
        return w;
    int64_t pace_us = 4 * o->reading_us > PACE_MIN_US ? 4 * o->reading_us : PACE_MIN_US;
    int64_t due_us = hurry || o->max_staleness_us / 4 < pace_us ? pace_us : o->max_staleness_us / 4;
    if (o->told && o->first_of_two)
        due_us = 0;
    if (o->sent_us == INT64_MIN || o->sent_us + due_us <= now_us)
        w.reading = READING_FULL;
    else
        w.wake_us = o->sent_us + due_us;
    return w;
}
