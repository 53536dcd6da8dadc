// SPDX-License-Identifier: Apache-2.0
// The bytes of a cache key and their hash. A key names everything that can change a reply; what
// that is, its builder decides (proxy/). Each item carries its kind and length, so two different
// sequences of items never give the same bytes. Entries store and compare the complete bytes: the
// hash finds, the bytes decide.
//
// The buf is the caller's, reused from key to key. One thread.
#pragma once
#include <stdint.h>

#include "base/buf.h"

struct key_hash { // XXH3-128, seeded by hash_seed(): the same within one process only
    uint64_t low;
    uint64_t high;
};

void key_begin(struct buf *key); // empties it
void key_u32(struct buf *key, uint32_t value);
void key_u64(struct buf *key, uint64_t value);
void key_bytes(struct buf *key, struct slice bytes);
void key_null(struct buf *key); // differs from empty bytes
// The first item, which must be of that kind; 0 when it is not.
uint32_t key_first_u32(struct slice key);
struct key_hash key_end(const struct buf *key);

static inline bool key_hash_eq(struct key_hash a, struct key_hash b)
{
    return a.low == b.low && a.high == b.high;
}
