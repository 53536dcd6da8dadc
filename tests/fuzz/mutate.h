// SPDX-License-Identifier: Apache-2.0
// Changes bytes that were valid, the same way in every run. FUZZ_ROUNDS=n in the environment runs
// more rounds than a test has time for, FUZZ_SEED=n others.
#pragma once
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "tests/unit/dice.h"

static inline size_t fuzz_rounds(size_t usual)
{
    const char *told = getenv("FUZZ_ROUNDS");
    return told ? strtoul(told, NULL, 10) : usual;
}

static inline uint64_t fuzz_seed(void)
{
    const char *told = getenv("FUZZ_SEED");
    return told ? strtoul(told, NULL, 10) : 1;
}

// One change: a byte, a bit, a length, a cut, a piece doubled, moved, or taken out.
static inline void mutate_once(struct buf *b, struct dice *dice)
{
    static const uint32_t edges[] = {0, 1, 3, 4, 5, 0x7fff, 0xffff, 0x3fffffff, 0x40000000,
                                     0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    if (b->len == 0) {
        buf_u8(b, (uint8_t)dice_u64(dice));
        return;
    }
    size_t at = dice_below(dice, b->len), n = dice_below(dice, 12);
    if (n > b->len - at)
        n = b->len - at;
    switch (dice_below(dice, 7)) {
    case 0: b->at[at] = (uint8_t)dice_u64(dice); break;
    case 1: b->at[at] ^= (uint8_t)(1u << dice_below(dice, 8)); break;
    case 2:
        if (b->len - at >= 4)
            store_u32(b->at + at, edges[dice_below(dice, sizeof(edges) / sizeof(*edges))]);
        break;
    case 3: b->len = at; break;
    case 4:
        buf_room(b, n);
        memmove(b->at + at + n, b->at + at, b->len - at);
        b->len += n;
        break;
    case 5:
        memmove(b->at + at, b->at + at + n, b->len - at - n);
        b->len -= n;
        break;
    case 6: memmove(b->at + dice_below(dice, b->len - n + 1), b->at + at, n); break;
    }
}

// A few changes; the result in a block of exactly its size, so that a sanitizer sees each byte
// read beyond it. The caller frees it.
static inline uint8_t *mutated(const struct buf *valid, struct dice *dice, size_t *n)
{
    struct buf b = {0};
    buf_put(&b, buf_slice(valid));
    for (size_t times = dice_below(dice, 4); times-- > 0;)
        mutate_once(&b, dice);
    uint8_t *exact = malloc(b.len ? b.len : 1);
    if (b.len > 0)
        memcpy(exact, b.at, b.len);
    *n = b.len;
    buf_fini(&b);
    return exact;
}
