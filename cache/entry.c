// SPDX-License-Identifier: Apache-2.0
#include "cache/entry.h"

#include "base/check.h"

struct entry *entry_new(struct arena *arena, struct slice key, struct key_hash hash,
                        struct stamp stamp, const uint32_t *slots, uint32_t n_slots,
                        size_t body_room)
{
    CHECK(key.len <= UINT32_MAX && n_slots <= ENTRY_SLOTS_MAX);
    size_t slot_bytes = n_slots * sizeof(*slots);
    size_t head_bytes = offsetof(struct entry, slots);
    struct entry *e = arena_alloc(arena, head_bytes + slot_bytes + key.len + body_room);
    memset(e, 0, head_bytes);
    e->n_slots = (uint16_t)n_slots;
    e->stamp = stamp;
    e->key_len = (uint32_t)key.len;
    e->node.hash = hash.low;
    atomic_init(&e->references, 1);
    if (n_slots > 0)
        memcpy(e->slots, slots, slot_bytes);
    if (key.len > 0)
        memcpy(e->slots + n_slots, key.at, key.len);
    return e;
}

struct entry *entry_copy(struct arena *arena, const struct entry *e)
{
    size_t bytes = entry_bytes(e, e->body_len);
    CHECK(atomic_load_explicit(&e->references, memory_order_relaxed) == 1);
    return memcpy(arena_alloc(arena, bytes), e, bytes);
}

struct entry *entry_ref(struct entry *e)
{
    CHECK(atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed) > 0);
    return e;
}

// Release by each, acquire by the last: who frees sees all that the others did with it.
void entry_unref(struct entry **entry)
{
    struct entry *e = *entry;
    *entry = NULL;
    if (e == NULL)
        return;
    uint32_t before = atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        arena_release(e);
}
