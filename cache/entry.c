// SPDX-License-Identifier: Apache-2.0
#include "cache/entry.h"

#include "base/check.h"
#include "base/mem.h"

struct entry *entry_new(struct slice key, struct key_hash hash, struct stamp stamp,
                        const uint32_t *slots, uint32_t n_slots, size_t body_room)
{
    size_t slot_bytes = n_slots * sizeof(*slots);
    size_t bytes = sizeof(struct entry) + slot_bytes + key.len + body_room;
    struct entry *e = mem_alloc(bytes);
    *e = (struct entry){.n_slots = n_slots, .hash = hash, .stamp = stamp, .key_len = key.len,
                        .bytes = bytes};
    atomic_init(&e->references, 1);
    link_init(&e->link);
    if (n_slots > 0)
        memcpy(e->slots, slots, slot_bytes);
    if (key.len > 0)
        memcpy(e->slots + n_slots, key.at, key.len);
    return e;
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
        mem_free(e);
}
