// SPDX-License-Identifier: Apache-2.0
// The recording of one reply while it passes through. Begun before the query is sent (the stamp
// demands it), committed when the reply has ended well, abandoned in every other case: an error,
// a reply that is not the expected shape, too many bytes, a lost connection.
// Belongs to the worker that relays the reply.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/entry.h"

struct fill;

struct fill_plan {
    struct arena *arena; // the store's; NULL: none
    struct slice key;    // copied, as are the slots
    struct key_hash hash;
    struct stamp stamp;
    const uint32_t *slots;
    uint32_t n_slots;
    size_t max_bytes;    // of the body; below 4 GB
};

struct fill *fill_begin(const struct fill_plan *plan);
// When its query was sent, or a moment before (clock_us()). Without it no ttl ever takes the entry,
// and it counts as one that costs the server nothing.
void fill_asked(struct fill *fill, int64_t asked_us);
// False when the body would exceed max_bytes: from then on nothing is recorded; abandon it.
bool fill_append(struct fill *fill, struct slice bytes);
size_t fill_bytes(const struct fill *fill); // of the body so far
// Both take the fill back and clear the caller's pointer. commit gives an entry with one
// reference, or NULL when it had become too large; now_us is when its last byte had arrived.
struct entry *fill_commit(struct fill **fill, int64_t now_us);
void fill_abandon(struct fill **fill); // *fill may be NULL
