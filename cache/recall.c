// SPDX-License-Identifier: Apache-2.0
#include "cache/recall.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"

enum { ROWS = 3, LEAST_BYTES = RECALL_BLOCK };

void recall_init(struct recall *r, size_t bytes)
{
    size_t size = LEAST_BYTES;
    while (size * 2 <= bytes && size < (size_t)1 << 30)
        size *= 2;
    *r = (struct recall){.cells = mem_zalloc(size),
                         .halved = mem_zalloc(size / RECALL_BLOCK),
                         .mask = (uint32_t)(size - 1)};
}

void recall_fini(struct recall *r)
{
    mem_free(r->cells);
    mem_free(r->halved);
    *r = (struct recall){0};
}

static void catch_up(struct recall *r, size_t block)
{
    unsigned missed = (uint8_t)(r->halvings - r->halved[block]);
    unsigned times = missed < CHAR_BIT ? missed : CHAR_BIT;
    uint8_t *cells = r->cells + block * RECALL_BLOCK;
    const uint64_t left = UINT64_MAX / UINT8_MAX * (UINT8_MAX >> times); // the bits, in each cell
    r->halved[block] = r->halvings;
    for (size_t i = 0; i < RECALL_BLOCK; i += sizeof(uint64_t)) { // eight cells
        uint64_t eight;
        memcpy(&eight, cells + i, sizeof(eight));
        eight = eight >> times & left;
        memcpy(cells + i, &eight, sizeof(eight));
    }
}

// The hash is random as it is; each row mixes it anew.
static uint8_t *cell(struct recall *r, uint64_t hash, unsigned row)
{
    static const uint64_t odd[ROWS] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu,
                                       0x165667b19e3779f9u};
    size_t at = (hash * odd[row] >> 32) & r->mask;
    if (r->halved[at / RECALL_BLOCK] != r->halvings)
        catch_up(r, at / RECALL_BLOCK);
    return &r->cells[at];
}

unsigned recall_of(struct recall *r, uint64_t hash)
{
    unsigned least = UINT8_MAX;
    for (unsigned row = 0; row < ROWS; row++) {
        unsigned figure = *cell(r, hash, row);
        least = figure < least ? figure : least;
    }
    return least;
}

void recall_at_least(struct recall *r, uint64_t hash, unsigned times)
{
    uint8_t to = (uint8_t)(times < UINT8_MAX ? times : UINT8_MAX);
    for (unsigned row = 0; row < ROWS; row++) {
        uint8_t *at = cell(r, hash, row);
        if (*at < to)
            *at = to;
    }
}

unsigned recall_count(struct recall *r, uint64_t hash)
{
    unsigned times = recall_of(r, hash) + 1;
    recall_at_least(r, hash, times);
    return times < UINT8_MAX ? times : UINT8_MAX;
}

void recall_passed(struct recall *r, uint32_t events, uint32_t period)
{
    r->events += events;
    if (r->events < period)
        return;
    r->events = 0;
    r->halvings++;
}
