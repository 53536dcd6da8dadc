// SPDX-License-Identifier: Apache-2.0
#include "cache/ghosts.h"

#include "base/mem.h"

enum {
    LATELY = 256,  // of each kind: then its figures are halved
    STEPS = 8,     // lean moves so often while as many leave as there are cells
    LEAST_STEP = 16,
    KNOWN = 32,    // of each kind: with fewer there is nothing to compare
    MORE = 5,      // "more often" is more than 5 to 4: chance alone moves nothing
    THAN = 4,
};

void ghosts_init(struct ghosts *g)
{
    *g = (struct ghosts){0};
}

void ghosts_fini(struct ghosts *g)
{
    mem_free(g->cells);
    *g = (struct ghosts){0};
}

// The bucket's bits are the lowest ones, the shard's the next; the lowest of the print is the kind.
static uint16_t print_of(uint64_t hash, bool asked_for)
{
    uint16_t print = (uint16_t)(hash >> 48 & ~(uint64_t)1) | asked_for;
    return print > 1 ? print : print | 2;
}

static bool newcomers_come_back_more(const struct ghosts *g)
{
    return g->left[0] >= KNOWN && g->left[1] >= KNOWN &&
           (uint32_t)THAN * g->back[0] * g->left[1] > (uint32_t)MORE * g->back[1] * g->left[0];
}

static void step(struct ghosts *g)
{
    uint32_t every = (g->mask + 1) / STEPS;
    if (++g->since < (every > LEAST_STEP ? every : LEAST_STEP))
        return;
    g->since = 0;
    if (newcomers_come_back_more(g))
        g->lean += g->lean < LEAN_MAX;
    else
        g->lean -= g->lean > 0;
}

void ghosts_left(struct ghosts *g, uint64_t hash, bool asked_for, size_t cells)
{
    if (g->cells == NULL || g->mask + 1 != cells) {
        mem_free(g->cells);
        g->cells = mem_zalloc(cells * sizeof(*g->cells));
        g->mask = (uint32_t)(cells - 1);
    }
    g->cells[hash & g->mask] = print_of(hash, asked_for);
    if (++g->left[asked_for] == LATELY) {
        g->left[asked_for] /= 2;
        g->back[asked_for] /= 2;
    }
    step(g);
}

void ghosts_came(struct ghosts *g, uint64_t hash)
{
    if (g->cells == NULL)
        return;
    uint16_t *cell = &g->cells[hash & g->mask];
    for (int asked_for = 0; asked_for < 2; asked_for++) {
        if (*cell != print_of(hash, asked_for))
            continue;
        g->back[asked_for] += g->back[asked_for] < g->left[asked_for];
        *cell = 0;
    }
}
