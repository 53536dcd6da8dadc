// SPDX-License-Identifier: Apache-2.0
#include "cache/pending.h"

#include "base/mem.h"

static void grow(struct pending *p)
{
    size_t capacity = p->capacity ? p->capacity * 2 : 64;
    struct pending_commit *ring = mem_alloc(capacity * sizeof(*ring));
    for (size_t i = 0; i < p->count; i++)
        ring[i] = p->ring[(p->first + i) & (p->capacity - 1)];
    mem_free(p->ring);
    p->ring = ring;
    p->capacity = capacity;
    p->first = 0;
}

bool pending_push(struct pending *p, uint64_t position, uint32_t xid)
{
    if (p->count == PENDING_MAX)
        return false;
    if (p->count == p->capacity)
        grow(p);
    p->ring[(p->first + p->count) & (p->capacity - 1)] =
        (struct pending_commit){.position = position, .xid = xid};
    p->count++;
    return true;
}

size_t pending_pop_finished(struct pending *p, const struct snapshot *snapshot)
{
    size_t popped = 0;
    while (p->count > 0 && snapshot_finished(snapshot, p->ring[p->first].xid)) {
        p->first = (p->first + 1) & (p->capacity - 1);
        p->count--;
        popped++;
    }
    return popped;
}

void pending_clear(struct pending *p)
{
    mem_free(p->ring);
    *p = (struct pending){0};
}
