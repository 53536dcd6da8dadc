// SPDX-License-Identifier: Apache-2.0
// Who had to leave lately, and who of them was wanted again: what says whether a cache does better
// by frequency or by recency. Where newcomers that nobody asked for come back more often than
// entries that had been in use, what is asked for now matters more than what was asked for often:
// queries come in bursts. Where those that had been in use do, it is the other way round, and
// newcomers must wait.
//
// A cell of two bytes for each bucket of the shard's table: the last one that left into it. The
// owner's lock.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

enum { LEAN_FIRST = 4, LEAN_MAX = 16, LEAN_WHOLE = 16 };

struct ghosts {
    uint16_t *cells;   // owns; 0: nobody. NULL before the first one left
    uint32_t mask;     // cells - 1
    uint32_t since;    // left since the last step
    uint16_t left[2];  // newcomers, and what had been asked for: lately
    uint16_t back[2];  // ... and came back
    uint8_t lean;      // 0 .. LEAN_MAX of LEAN_WHOLE: from frequency to recency
};

void ghosts_init(struct ghosts *ghosts);
void ghosts_fini(struct ghosts *ghosts);
// It had to leave, asked for since it came or not. cells: a power of two; another number than
// before forgets who left. Now and then `lean` moves by one.
void ghosts_left(struct ghosts *ghosts, uint64_t hash, bool asked_for, size_t cells);
// It is stored: again?
void ghosts_came(struct ghosts *ghosts, uint64_t hash);
static inline size_t ghosts_bytes(const struct ghosts *ghosts)
{
    return ghosts->cells == NULL ? 0 : ((size_t)ghosts->mask + 1) * sizeof(*ghosts->cells);
}
