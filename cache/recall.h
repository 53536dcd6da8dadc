// SPDX-License-Identifier: Apache-2.0
// How often keys were asked for lately, whether there is an entry of them or not: a count-min
// sketch. It is what tells a query that comes back from one that came once. A key's figure is never
// too low for what was counted since the last halving, and may be too high. The owner's lock.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recall {
    uint8_t *cells; // owns
    uint32_t mask;
    uint32_t events; // since the last halving
};

// bytes: rounded down to a power of two, at least 256.
void recall_init(struct recall *recall, size_t bytes);
void recall_fini(struct recall *recall);
static inline size_t recall_bytes(const struct recall *recall)
{
    return (size_t)recall->mask + 1;
}

// 0 .. 255
unsigned recall_of(const struct recall *recall, uint64_t hash);
// It was asked for once more; gives the new figure.
unsigned recall_count(struct recall *recall, uint64_t hash);
// It was asked for at least so often.
void recall_at_least(struct recall *recall, uint64_t hash, unsigned times);
// So many questions were asked, of any key. All figures are halved once there were `period`.
void recall_passed(struct recall *recall, uint32_t events, uint32_t period);
