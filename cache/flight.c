// SPDX-License-Identifier: Apache-2.0
#include "cache/flight.h"

#include "base/check.h"
#include "base/list.h"

// Zero means none, and no key has it.
static uint64_t mark_of(uint64_t low)
{
    return low | 1;
}

static uint64_t *alone_of(struct flights *flights, uint64_t low)
{
    return &flights->alone[(low >> 20) % FLIGHTS_ALONE];
}

static struct flight *find(const struct flights *flights, struct key_hash hash)
{
    for (struct hash_node *n = hash_first(&flights->table, hash.low); n != NULL; n = hash_next(n)) {
        struct flight *flight = container_of(n, struct flight, node);
        if (flight->hash.high == hash.high)
            return flight;
    }
    return NULL;
}

static void take_out(struct flights *flights, struct flight *flight)
{
    if (flight->found)
        hash_remove(&flights->table, &flight->node);
    flight->found = false;
}

// One that has not begun yet will take its stamp later than now.
static bool is_useful(const struct flight *flight, const struct flight_ask *ask)
{
    const struct ledger_known *known = &ask->known;
    return !flight->started ||
           (flight->stamp.epoch == known->need.epoch && flight->stamp.from >= known->need.from &&
            (!flight->passing || flight->touched == known->touched));
}

enum flight_answer flights_join(struct flights *flights, struct key_hash hash,
                                const struct flight_ask *ask, struct flight *fresh,
                                uint64_t *number)
{
    struct flight *flight = find(flights, hash);
    if (flight != NULL && is_useful(flight, ask)) {
        if (!ask->may_follow)
            return FLIGHT_ALONE;
        flight->followers |= UINT64_C(1) << ask->worker % FLIGHT_WORKERS;
        *number = flight->number;
        return FLIGHT_FOLLOW;
    }
    if (*alone_of(flights, hash.low) == mark_of(hash.low))
        return FLIGHT_ALONE;
    if (flight != NULL)
        take_out(flights, flight); // who follows it will still be told of its end
    *fresh = (struct flight){.hash = hash, .number = ++flights->last, .found = true};
    hash_insert(&flights->table, &fresh->node, hash.low);
    return FLIGHT_LEAD;
}

void flights_start(struct flights *flights, struct flight *flight, struct stamp stamp)
{
    flight->stamp = stamp;
    flight->started = true;
}

void flights_pass(struct flights *flights, struct flight *flight, const struct ledger_known *known)
{
    flight->passing = true;
    flight->touched = known->touched;
    flights_start(flights, flight, known->need);
}

uint64_t flights_end(struct flights *flights, struct flight *flight, enum flight_end end)
{
    take_out(flights, flight);
    if (end == FLIGHT_FAILED)
        *alone_of(flights, flight->hash.low) = mark_of(flight->hash.low);
    return flight->followers;
}

void flights_stored(struct flights *flights, uint64_t low)
{
    uint64_t *alone = alone_of(flights, low);
    if (*alone == mark_of(low))
        *alone = 0;
}

void flights_fini(struct flights *flights)
{
    CHECK(flights->table.count == 0);
    hash_fini(&flights->table);
}
