// SPDX-License-Identifier: Apache-2.0
// Commits that came by the stream and are not known to be visible yet, in order of position. A
// bounded queue; owned by the follower.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/snapshot.h"

enum { PENDING_MAX = 65536 };

struct pending_commit {
    uint64_t position; // end of its commit record
    uint32_t xid;
};

struct pending { // zeroed to begin
    struct pending_commit *ring; // owns; capacity is zero or a power of two
    size_t capacity;
    size_t first;
    size_t count;
};

bool pending_push(struct pending *p, uint64_t position, uint32_t xid); // false: full
// Takes commits away from the front while the snapshot knows them as finished; how many.
size_t pending_pop_finished(struct pending *p, const struct snapshot *snapshot);
void pending_clear(struct pending *p); // gives the memory back

static inline const struct pending_commit *pending_first(const struct pending *p)
{
    return p->count ? &p->ring[p->first] : NULL;
}
