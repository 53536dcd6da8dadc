// SPDX-License-Identifier: Apache-2.0
// How often keys were asked for lately, whether there is an entry of them or not: a count-min
// sketch. It is what tells a query that comes back from one that came once. A key's figure is never
// too low for what was counted since the last halving, and may be too high. All are halved at once,
// but a block of cells only when one of them is looked at: nobody waits for megabytes to be gone
// through under a lock. The owner's lock.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recall {
    uint8_t *cells;    // owns
    uint8_t *halved;   // owns; how often each block was, modulo 256: one that nobody looked at for
                       // so long is as it was then, which does no harm
    uint32_t mask;
    uint32_t events;   // since the last halving
    uint8_t halvings;  // modulo 256
};

enum { RECALL_BLOCK = 256 }; // cells

// bytes: of its cells; rounded down to a power of two, at least 256.
void recall_init(struct recall *recall, size_t bytes);
void recall_fini(struct recall *recall);
static inline size_t recall_bytes(const struct recall *recall)
{
    size_t cells = (size_t)recall->mask + 1;
    return cells + cells / RECALL_BLOCK;
}

// 0 .. 255
unsigned recall_of(struct recall *recall, uint64_t hash);
// It was asked for once more; gives the new figure.
unsigned recall_count(struct recall *recall, uint64_t hash);
// It was asked for at least so often.
void recall_at_least(struct recall *recall, uint64_t hash, unsigned times);
// So many questions were asked, of any key. All figures are halved once there were `period`.
void recall_passed(struct recall *recall, uint32_t events, uint32_t period);
