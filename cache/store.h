// SPDX-License-Identifier: Apache-2.0
// Where entries are kept: shards, each with its own lock, hash table and share of the byte budget.
// Any thread. Locks are held for a lookup or an insertion, never across a free of big memory or
// any I/O; no two at once.
//
// Who leaves when there is no room is the ranking's to say: what saves the least server time for
// its bytes, and is not asked for (ranking.h). A key that was asked for before is known, with or
// without an entry (recall.h); how much that counts is learnt from those that come back after they
// had to leave (ghosts.h). All of these, with the table, count against the budget, and entries as
// they are allocated: the budget is a ceiling. What a fill records, and what is still being sent
// when it leaves, is outside of it. Entries lie in an arena of their own.
//
// The store knows nothing of validity: callers judge what they get, and drop what is dead.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/entry.h"
#include "cache/flight.h"

struct store;

struct store_stats {
    size_t entries;
    size_t bytes;        // in use, all overhead included; never above the budget
    size_t budget_bytes;
    uint64_t puts;
    uint64_t replaced;   // put over an entry of the same key
    uint64_t refused;    // larger than an eighth of a shard
    size_t arena_bytes;  // of the arena, with what is being filled and sent; 0: not known
    size_t resident_bytes; // ... and what the system gives for it
    uint64_t evictions;
    uint64_t dropped;    // by store_drop
};

// shards: rounded up to a power of two.
struct store *store_new(size_t budget_bytes, unsigned shards);
// What does not fit any more leaves. Any thread; it may take a while.
void store_set_budget(struct store *store, size_t budget_bytes);
struct arena *store_arena(struct store *store); // borrowed: where fills allocate
void store_free(struct store *store); // entries still held elsewhere live on; NULL is fine

// A counted entry with exactly these key bytes, or NULL. The caller unrefs it.
struct entry *store_get(struct store *store, struct slice key, struct key_hash hash);
// Keeps the entry (with a reference of its own; the caller's stays the caller's) instead of any
// with the same key. False when it is too large. An entry is put at most once in its life.
bool store_put(struct store *store, struct entry *entry);
// Forgets the entry if it is still the one kept for its key; was it?
bool store_drop(struct store *store, struct entry *entry);
// Forgets each entry of which `doomed` says so, under its shard's lock (quick, and not back here).
void store_sweep(struct store *store, bool (*doomed)(const struct entry *entry, void *arg),
                 void *arg);
void store_clear(struct store *store); // and gives the memory back to the system
// Each entry, under its shard's lock: visit must be quick, and may not come back here.
void store_each(struct store *store, void (*visit)(const struct entry *entry, void *arg),
                void *arg);
// The largest entry (entry_bytes()) that store_put takes.
size_t store_entry_limit_bytes(const struct store *store);
struct store_stats store_stats(struct store *store); // not for a hot path

// ---- Single flight (flight.h): what store_get did not find, or only dead ------------------------

enum store_answer {
    STORE_LEAD,   // *flight is the caller's, for store_flight_end(): ask the server
    STORE_FOLLOW, // wait for the end of flight *number
    STORE_ALONE,  // ask the server; nobody waits for it
    STORE_LANDED, // an entry has come meanwhile: look again
};

enum store_answer store_join(struct store *store, struct slice key, struct key_hash hash,
                             const struct flight_ask *ask, struct flight **flight,
                             uint64_t *number);
void store_flight_start(struct store *store, struct flight *flight, struct stamp stamp);
void store_flight_pass(struct store *store, struct flight *flight,
                       const struct ledger_known *known);
// Takes the flight back and clears the pointer; after store_put, if it ends with one. Gives
// the workers whose followers must be told now, a bit each (number % FLIGHT_WORKERS).
uint64_t store_flight_end(struct store *store, struct flight **flight, enum flight_end end);
