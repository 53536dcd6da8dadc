// SPDX-License-Identifier: Apache-2.0
// One cached reply: self-contained bytes with key, stamp and dependencies, in one allocation.
// Immutable once it is made (see fill.h), counted, shared by the store and by whoever sends it.
// The count is atomic: any thread may hold and release. The members under "store" belong to the
// shard's lock.
//
// Does not belong here: whether it may be served (ledger.h), where it is kept (store.h).
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/slice.h"
#include "cache/key.h"
#include "cache/ledger.h"

struct entry {
    _Atomic uint32_t references;
    uint32_t n_slots;
    struct key_hash hash;
    struct stamp stamp;
    int64_t filled_us;     // when the reply had arrived: it shows nothing newer
    size_t key_len;
    size_t body_len;
    size_t bytes;          // of the whole allocation
    _Atomic uint64_t hits; // times it was given out
    // store
    struct hash_node node;
    struct link link;   // in the shard's small or main queue
    uint8_t queue;      // enum in store.c; 0: in no store
    uint8_t frequency;  // 0..3
    uint32_t took_us;   // from asking to filled_us; UINT32_MAX: longer, or not known. Immutable
    // then: slots, key, body
    uint32_t slots[];
};

// Everything is copied; body_room bytes are left for the body, with body_len 0. For fill.c.
struct entry *entry_new(struct slice key, struct key_hash hash, struct stamp stamp,
                        const uint32_t *slots, uint32_t n_slots, size_t body_room);
struct entry *entry_ref(struct entry *entry);
// Takes the caller's pointer back and clears it; the last one frees. *entry may be NULL.
void entry_unref(struct entry **entry);

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
