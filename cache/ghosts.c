// SPDX-License-Identifier: Apache-2.0
#include "cache/ghosts.h"

#include "base/mem.h"

enum {
    LATELY = 512,  // of both kinds together: then all figures are halved
    STEPS = 8,     // lean moves so often while as many leave as there are cells
    LEAST_STEP = 16,
    KNOWN = 32,    // of each kind: with fewer there is nothing to compare
    CLEARLY = 20,  // the rates differ by more than a 20th of who left: less is mostly chance
    FALL = 4,      // so much faster down than up: what leans for nothing costs more
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

// How far lean is to move.
static int direction(const struct ghosts *g)
{
    if (g->left[0] < KNOWN || g->left[1] < KNOWN)
        return -1;
    int clear = g->left[0] * g->left[1] / CLEARLY;
    int newcomers = g->back[0] * g->left[1], asked_for = g->back[1] * g->left[0];
    return newcomers - asked_for > clear ? 1 : asked_for - newcomers > clear ? -FALL : 0;
}

static void step(struct ghosts *g)
{
    uint32_t every = (g->mask + 1) / STEPS;
    if (++g->since < (every > LEAST_STEP ? every : LEAST_STEP))
        return;
    g->since = 0;
    int lean = g->lean + direction(g);
    g->lean = (uint8_t)(lean < 0 ? 0 : lean < LEAN_MAX ? lean : LEAN_MAX);
}

// Of both kinds at once: where one does not leave any more, its figures do not stay.
static void forget_half(struct ghosts *g)
{
    for (int kind = 0; kind < 2; kind++) {
        g->left[kind] /= 2;
        g->back[kind] /= 2;
    }
}

void ghosts_left(struct ghosts *g, uint64_t hash, bool asked_for, size_t cells)
{
    if (g->cells == NULL)
        g->lean = LEAN_FIRST;
    if (g->cells == NULL || g->mask + 1 != cells) {
        mem_free(g->cells);
        g->cells = mem_zalloc(cells * sizeof(*g->cells));
        g->mask = (uint32_t)(cells - 1);
    }
    g->cells[hash & g->mask] = print_of(hash, asked_for);
    g->left[asked_for]++;
    if (g->left[0] + g->left[1] == LATELY)
        forget_half(g);
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
