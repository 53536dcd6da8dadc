// SPDX-License-Identifier: Apache-2.0
// One cached reply: self-contained bytes with key, stamp and dependencies, in one allocation.
// Immutable once it is made (see fill.h), counted, shared by the store and by whoever sends it.
// The count is atomic: any thread may hold and release. What is the store's belongs to the shard's
// lock.
//
// Does not belong here: whether it may be served (ledger.h), where it is kept (store.h).
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/slice.h"
#include "cache/key.h"
#include "cache/ledger.h"

struct entry {
    _Atomic uint32_t references;
    uint32_t key_len;
    struct stamp stamp;
    int64_t filled_us;     // when the reply had arrived: it shows nothing newer
    uint32_t body_len;
    uint32_t took_us;      // from asking to filled_us; UINT32_MAX: longer, or not known
    struct hash_node node; // store's; node.hash is the key's hash.low, also outside of one
    uint32_t rank;         // store's: index in the shard's ranking
    uint32_t hits;         // store's: times it was given out
    uint16_t n_slots;
    uint8_t frequency;     // store's: times it was asked for lately
    uint8_t turn : 6;      // store's: ranking.h's, when it was asked for last
    bool asked : 1;        // store's: it was, since it was ranked
    bool kept : 1;         // it is in a store
    // then: slots, key, body
    uint32_t slots[];
};

enum { ENTRY_SLOTS_MAX = UINT16_MAX };

_Static_assert(offsetof(struct entry, slots) == 68, "there is one for each reply: keep it small");

// Everything is copied; body_room bytes are left for the body, with body_len 0. For fill.c. The
// arena may be NULL. n_slots: at most ENTRY_SLOTS_MAX.
struct entry *entry_new(struct arena *arena, struct slice key, struct key_hash hash,
                        struct stamp stamp, const uint32_t *slots, uint32_t n_slots,
                        size_t body_room);
// The same bytes in another place, with one reference: for the owner of the only one.
struct entry *entry_copy(struct arena *arena, const struct entry *entry);
struct entry *entry_ref(struct entry *entry);
// Takes the caller's pointer back and clears it; the last one frees. *entry may be NULL.
void entry_unref(struct entry **entry);

// Bytes of the whole allocation as it was asked for, with so much body.
static inline size_t entry_bytes(const struct entry *e, size_t body_len)
{
    return offsetof(struct entry, slots) + e->n_slots * sizeof(*e->slots) + e->key_len + body_len;
}

// ... and as it is, the allocator's rounding included.
static inline size_t entry_size(const struct entry *e)
{
    return arena_size(entry_bytes(e, e->body_len));
}

static inline struct slice entry_key(const struct entry *e)
{
    return slice_of((const uint8_t *)(e->slots + e->n_slots), e->key_len);
}

// The reply, ready to be sent as it is.
static inline struct slice entry_body(const struct entry *e)
{
    return slice_of((const uint8_t *)(e->slots + e->n_slots) + e->key_len, e->body_len);
}

// When its query was sent, or earlier.
static inline int64_t entry_asked_us(const struct entry *e)
{
    return e->took_us == UINT32_MAX ? INT64_MIN : e->filled_us - (int64_t)e->took_us;
}

static inline enum ledger_verdict entry_judge(const struct entry *e, const struct ledger *ledger,
                                              int64_t now_us, int64_t max_staleness_us,
                                              int64_t after_us)
{
    return ledger_judge(ledger, e->stamp, e->slots, e->n_slots, now_us, max_staleness_us, after_us);
}
