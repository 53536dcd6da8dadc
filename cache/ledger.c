// SPDX-License-Identifier: Apache-2.0
#include "cache/ledger.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/protection.h"

// All atomics are sequentially consistent: loads cost nothing more on the machines we run on, the
// stores are rare, and P4 rests on the order of stores to different members. What the order must
// be is said at each function.

struct slot {
    _Atomic uint64_t position; // written by the control thread only
    _Atomic uint32_t closed;   // own writes not yet placed
    _Atomic uint32_t events;   // a figure
};

enum { RAISED_SLOTS = 64 };
enum { FORGOTTEN = 1024 }; // several slots share a place: that only costs hits by ttl

struct ledger {
    uint32_t tag;
    _Atomic uint32_t barriers;
    _Atomic uint32_t barriers_ever; // since the start
    _Atomic uint64_t epoch;   // odd: off. Never the same value twice
    _Atomic uint64_t stable;  // of the even epoch that it was set for
    _Atomic int64_t fresh_us; // INT64_MIN: unknown
    _Atomic int off_reason;
    _Atomic uint64_t floor;   // no slot's position is lower; written by the control thread only
    uint64_t raised[LEDGER_SLOTS / RAISED_SLOTS / 64]; // a bit for some slots each; likewise
    _Atomic int64_t all_forgotten_us;
    _Atomic int64_t forgotten_us[FORGOTTEN];
    struct slot slots[LEDGER_SLOTS];
};

enum { LEDGER_TAG = 0x1ed9e401 };

const char *ledger_off_sentence(enum ledger_off_reason reason)
{
    static const char *const sentences[] = {
#define X(name, sentence) [LEDGER_OFF_##name] = sentence,
        LEDGER_OFF_REASONS(X)
#undef X
    };
    return sentences[reason];
}

struct ledger *ledger_new(void)
{
    struct ledger *l = mem_new(struct ledger);
    TAG_SET(l, LEDGER_TAG);
    atomic_init(&l->epoch, 1);
    atomic_init(&l->fresh_us, INT64_MIN);
    atomic_init(&l->all_forgotten_us, INT64_MIN);
    for (int i = 0; i < FORGOTTEN; i++)
        atomic_init(&l->forgotten_us[i], INT64_MIN);
    atomic_init(&l->off_reason, LEDGER_OFF_STARTING);
    return l;
}

void ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    TAG_CHECK(l, LEDGER_TAG);
    TAG_CLEAR(l);
    mem_free(l);
}

// ---- Slots ------------------------------------------------------------------------------------

static uint64_t mix(uint64_t a, uint64_t b)
{
    a *= 0x9e3779b97f4a7c15u;
    return (a ^ (a >> 29)) + b;
}

// Two hashes, mixed with an order: no copy of the names, and ("ab","c") is not ("a","bc").
uint64_t ledger_table(struct slice schema, struct slice name)
{
    return mix(hash_bytes(schema.at, schema.len), hash_bytes(name.at, name.len));
}

uint32_t ledger_table_slot(uint64_t table)
{
    return (uint32_t)(table >> 32) % LEDGER_SLOTS;
}

uint32_t ledger_slot_of(struct slice schema, struct slice name)
{
    return ledger_table_slot(ledger_table(schema, name));
}

uint32_t ledger_rows_slot(uint64_t table)
{
    return ledger_table_slot(mix(table, 0xc2b2ae3d27d4eb4fu));
}

uint32_t ledger_key_slot(uint64_t table, const uint64_t *values, size_t n)
{
    uint64_t mixed = mix(table, n);
    for (size_t i = 0; i < n; i++)
        mixed = mix(mixed, values[i]);
    return ledger_table_slot(mix(mixed, 0x165667b19e3779f9u));
}

uint64_t ledger_column(uint64_t table, struct slice column)
{
    return mix(mix(table, 0x27d4eb2f165667c5u), hash_bytes(column.at, column.len));
}

uint32_t ledger_columns_slot(uint64_t table)
{
    return ledger_rows_slot(ledger_column(table, slice_of("", 0)));
}

// ---- Any thread -------------------------------------------------------------------------------

// `stable` must be one of the very epoch that the stamp names. A newer epoch with an older stable
// would be deadly: the entry would claim to know all events since `from`, while those that fell
// between the loss of one stream and the start of the next were never entered anywhere. The epoch
// is odd while off; turning on sets stable first and makes it even last. So a stable that was read
// between two equal, even reads of the epoch was set within that epoch (an epoch never returns).
// An older stable of the same epoch is merely cautious.
bool ledger_stamp(const struct ledger *l, struct stamp *out)
{
    uint64_t epoch = atomic_load(&l->epoch);
    out->epoch = epoch;
    out->from = atomic_load(&l->stable);
    return (epoch & 1) == 0 && atomic_load(&l->epoch) == epoch;
}

// The order of the reads matters, each against the order of the writes elsewhere:
//  - fresh before the slots: who sees a freshness sees every event that it covers (events are
//    entered first), and, as the epoch is read later still, every flush that came before it.
//  - barriers before the slots: a barrier is lowered after the events that it waited for.
//  - closed, of all slots, before the position of any: settling raises the position, then opens;
//    and a rows slot is opened after events have raised the positions of key slots. Who finds it
//    opened finds the positions raised; who finds it not yet closed was asked before the write's
//    client had its answer, and may still see the old state.
//  - the epoch last of all: turning off changes it before anything is settled at 0 or lowered, or
//    positions are forgotten. Whoever was misled by these sees the other epoch here.
enum ledger_verdict ledger_judge(const struct ledger *l, struct stamp stamp,
                                 const uint32_t *slots, size_t n, int64_t now_us,
                                 int64_t max_staleness_us, int64_t after_us)
{
    int64_t fresh = atomic_load(&l->fresh_us);
    uint32_t barriers = atomic_load(&l->barriers);
    uint32_t closed = 0;
    for (size_t i = 0; i < n; i++)
        closed |= atomic_load(&l->slots[slots[i]].closed);
    uint64_t newest = atomic_load(&l->floor);
    for (size_t i = 0; i < n; i++) {
        uint64_t position = atomic_load(&l->slots[slots[i]].position);
        newest = position > newest ? position : newest;
    }
    uint64_t epoch = atomic_load(&l->epoch);

    if (epoch & 1)
        return LEDGER_OFF;
    bool same_epoch = epoch == stamp.epoch || protection_is_off(PROTECTION_EPOCH);
    if (!same_epoch || newest > stamp.from)
        return LEDGER_DEAD;
    if (closed != 0)
        return LEDGER_CLOSED;
    if (barriers != 0)
        return LEDGER_BARRIER;
    // A freshness a little ahead of now_us is normal: the caller's clock is as old as its loop
    // turn, and what was fresh after that moment is fresh enough for it. One far ahead is not ours.
    if (!protection_is_off(PROTECTION_FRESHNESS) &&
        (fresh == INT64_MIN || fresh < now_us - max_staleness_us ||
         fresh > now_us + max_staleness_us))
        return LEDGER_STALE;
    return fresh <= after_us ? LEDGER_BEHIND : LEDGER_OK;
}

// Closed before the rest: a write is counted before it closes anything, and settling raises the
// position before it opens.
struct ledger_known ledger_look(const struct ledger *l, const uint32_t *slots, size_t n)
{
    uint32_t closed = atomic_load(&l->barriers);
    for (size_t i = 0; i < n; i++)
        closed |= atomic_load(&l->slots[slots[i]].closed);
    struct ledger_known known = {
        .settled = closed == 0,
        .need = {.epoch = atomic_load(&l->epoch), .from = atomic_load(&l->floor)},
        .touched = atomic_load(&l->barriers_ever),
    };
    for (size_t i = 0; i < n; i++) {
        uint64_t position = atomic_load(&l->slots[slots[i]].position);
        known.need.from = position > known.need.from ? position : known.need.from;
        known.touched += atomic_load(&l->slots[slots[i]].events);
    }
    return known;
}

int64_t ledger_forgotten_us(const struct ledger *l, const uint32_t *slots, size_t n)
{
    int64_t latest = atomic_load(&l->all_forgotten_us);
    for (size_t i = 0; i < n; i++) {
        int64_t us = atomic_load(&l->forgotten_us[slots[i] % FORGOTTEN]);
        latest = us > latest ? us : latest;
    }
    return latest;
}

uint32_t ledger_events(const struct ledger *l, uint32_t slot)
{
    return atomic_load(&l->slots[slot].events);
}

bool ledger_is_on(const struct ledger *l)
{
    return (atomic_load(&l->epoch) & 1) == 0;
}

uint64_t ledger_epoch(const struct ledger *l)
{
    return atomic_load(&l->epoch);
}

uint64_t ledger_stable(const struct ledger *l)
{
    return atomic_load(&l->stable);
}

int64_t ledger_fresh_us(const struct ledger *l)
{
    return atomic_load(&l->fresh_us);
}

uint32_t ledger_barriers(const struct ledger *l)
{
    return atomic_load(&l->barriers);
}

enum ledger_off_reason ledger_off_reason(const struct ledger *l)
{
    return ledger_is_on(l) ? LEDGER_OFF_NONE : (enum ledger_off_reason)atomic_load(&l->off_reason);
}

// ---- Workers ----------------------------------------------------------------------------------

void ledger_close(struct ledger *l, const uint32_t *slots, size_t n)
{
    TAG_CHECK(l, LEDGER_TAG);
    for (size_t i = 0; i < n && !protection_is_off(PROTECTION_HOLD); i++) {
        CHECK(slots[i] < LEDGER_SLOTS);
        atomic_fetch_add(&l->slots[slots[i]].events, 1);
        atomic_fetch_add(&l->slots[slots[i]].closed, 1);
    }
}

void ledger_forget(struct ledger *l, const uint32_t *slots, size_t n, int64_t now_us)
{
    TAG_CHECK(l, LEDGER_TAG);
    if (n == 0)
        atomic_store(&l->all_forgotten_us, now_us);
    for (size_t i = 0; i < n; i++)
        atomic_store(&l->forgotten_us[slots[i] % FORGOTTEN], now_us);
}

void ledger_raise_barrier(struct ledger *l)
{
    TAG_CHECK(l, LEDGER_TAG);
    atomic_fetch_add(&l->barriers_ever, 1);
    atomic_fetch_add(&l->barriers, 1);
}

// A stamp taken after the flush belongs to a query sent after it, so it sees what was flushed for.
// While off there is nothing to end, and the next even epoch is a new one anyway.
void ledger_flush(struct ledger *l)
{
    TAG_CHECK(l, LEDGER_TAG);
    uint64_t epoch = atomic_load(&l->epoch);
    while ((epoch & 1) == 0 && !atomic_compare_exchange_weak(&l->epoch, &epoch, epoch + 2))
        continue;
}

// ---- The control thread -------------------------------------------------------------------------

static void slot_raise(struct ledger *l, uint32_t slot, uint64_t position)
{
    CHECK(slot < LEDGER_SLOTS);
    if (position <= atomic_load(&l->slots[slot].position)) // no other thread writes it
        return;
    l->raised[slot / RAISED_SLOTS / 64] |= (uint64_t)1 << (slot / RAISED_SLOTS % 64);
    atomic_store(&l->slots[slot].position, position);
}

void ledger_settle(struct ledger *l, const uint32_t *slots, size_t n, uint64_t position)
{
    TAG_CHECK(l, LEDGER_TAG);
    for (size_t i = 0; i < n; i++) {
        slot_raise(l, slots[i], position);
        if (!protection_is_off(PROTECTION_HOLD))
            CHECK(atomic_fetch_sub(&l->slots[slots[i]].closed, 1) > 0);
    }
}

void ledger_open(struct ledger *l, const uint32_t *slots, size_t n)
{
    ledger_settle(l, slots, n, 0);
}

void ledger_lower_barrier(struct ledger *l)
{
    TAG_CHECK(l, LEDGER_TAG);
    CHECK(atomic_fetch_sub(&l->barriers, 1) > 0);
}

void ledger_event(struct ledger *l, uint32_t slot, uint64_t position)
{
    TAG_CHECK(l, LEDGER_TAG);
    slot_raise(l, slot, position);
    atomic_fetch_add(&l->slots[slot].events, 1);
}

void ledger_event_all(struct ledger *l, uint64_t position)
{
    TAG_CHECK(l, LEDGER_TAG);
    if (position > atomic_load(&l->floor))
        atomic_store(&l->floor, position);
}

void ledger_advance(struct ledger *l, uint64_t stable)
{
    TAG_CHECK(l, LEDGER_TAG);
    if (stable > atomic_load(&l->stable))
        atomic_store(&l->stable, stable);
}

void ledger_freshen(struct ledger *l, int64_t instant_us)
{
    TAG_CHECK(l, LEDGER_TAG);
    CHECK(ledger_is_on(l));
    if (instant_us > atomic_load(&l->fresh_us))
        atomic_store(&l->fresh_us, instant_us);
}

// Not at turning on: events come before that, of commits that stable does not cover yet.
void ledger_reset(struct ledger *l)
{
    TAG_CHECK(l, LEDGER_TAG);
    CHECK(!ledger_is_on(l));
    atomic_store(&l->floor, 0);
    for (size_t i = 0; i < LEDGER_SLOTS; i++)
        if (l->raised[i / RAISED_SLOTS / 64] & (uint64_t)1 << (i / RAISED_SLOTS % 64))
            atomic_store(&l->slots[i].position, 0);
    memset(l->raised, 0, sizeof(l->raised));
}

// The epoch changes last.
void ledger_turn_on(struct ledger *l, uint64_t stable)
{
    TAG_CHECK(l, LEDGER_TAG);
    CHECK(!ledger_is_on(l));
    atomic_store(&l->stable, stable);
    atomic_store(&l->fresh_us, INT64_MIN);
    atomic_fetch_add(&l->epoch, 1);
}

// The epoch changes first: see ledger_judge. Workers may flush at the same time.
void ledger_turn_off(struct ledger *l, enum ledger_off_reason reason)
{
    TAG_CHECK(l, LEDGER_TAG);
    CHECK(reason != LEDGER_OFF_NONE);
    atomic_store(&l->off_reason, (int)reason);
    uint64_t epoch = atomic_load(&l->epoch);
    while ((epoch & 1) == 0 && !atomic_compare_exchange_weak(&l->epoch, &epoch, epoch + 1))
        continue;
    atomic_store(&l->fresh_us, INT64_MIN);
}
