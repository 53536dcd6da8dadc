// SPDX-License-Identifier: Apache-2.0
#include "cache/key.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "base/hash.h"

// Each item: its kind, then a value whose length the kind or a prefix gives. A sequence of items
// can therefore be read back, and so two sequences never have the same bytes.
enum { KEY_U32 = 1, KEY_U64, KEY_BYTES, KEY_NULL };

void key_begin(struct buf *key)
{
    buf_clear(key);
}

// One look for room for each item: keys are made for every query.
static uint8_t *item(struct buf *key, uint8_t kind, size_t bytes)
{
    uint8_t *at = buf_room(key, bytes + 1);
    key->len += bytes + 1;
    at[0] = kind;
    return at + 1;
}

void key_u32(struct buf *key, uint32_t value)
{
    store_u32(item(key, KEY_U32, 4), value);
}

void key_u64(struct buf *key, uint64_t value)
{
    buf_u8(key, KEY_U64);
    buf_u64(key, value);
}

void key_bytes(struct buf *key, struct slice bytes)
{
    CHECK(bytes.len <= UINT32_MAX);
    uint8_t *at = item(key, KEY_BYTES, 4 + bytes.len);
    store_u32(at, (uint32_t)bytes.len);
    if (bytes.len > 0)
        memcpy(at + 4, bytes.at, bytes.len);
}

void key_null(struct buf *key)
{
    buf_u8(key, KEY_NULL);
}

uint32_t key_first_u32(struct slice key)
{
    if (key.len < 5 || key.at[0] != KEY_U32)
        return 0;
    return (uint32_t)key.at[1] << 24 | (uint32_t)key.at[2] << 16 | (uint32_t)key.at[3] << 8 |
           key.at[4];
}

struct key_hash key_end(const struct buf *key)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(key->at, key->len, hash_seed());
    return (struct key_hash){.low = h.low64, .high = h.high64};
}
