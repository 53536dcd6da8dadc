// SPDX-License-Identifier: Apache-2.0
// What is asked for: keys, what their replies weigh and cost; traces of questions. Of eviction.c.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/dice.h"

enum { KEYS = 60000, HOT = 10000, INDEX_BYTES = 24, LARGEST_SHARE = 8 };

struct world {
    double weight[KEYS]; // bytes in all, as the store takes them: any policy would have to
    double reply[KEYS];  // ... of the reply itself
    double cost[KEYS];
    uint32_t *trace;
    size_t length;
    double set_bytes;     // of the working set
    double average_bytes; // of a key in it
    bool varied;
};

static struct dice dice;

static double chance(void)
{
    return (double)(dice_u64(&dice) >> 11) * 0x1p-53;
}

static double *zipf_table(double exponent)
{
    double *sums = malloc(HOT * sizeof(double)), sum = 0;
    for (int i = 0; i < HOT; i++)
        sums[i] = sum += pow(i + 1, -exponent);
    for (int i = 0; i < HOT; i++)
        sums[i] /= sum;
    return sums;
}

static uint32_t zipf(const double *sums)
{
    double u = chance();
    uint32_t low = 0, high = HOT - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sums[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum kind { ZIPF_FLAT, ZIPF_STEEP, SCANS, LOOP, SHIFT, SHIFT_FAST, MIX, BURSTS, KINDS };

static const char *const kinds[KINDS] = {"zipf 0.8", "zipf 1.1", "scans", "loop",
                                         "shift", "fast shift", "mix", "bursts"};

// What stands for the working set: keys 0 .. HOT - 1; other keys are asked for once in a while.
static uint32_t question(enum kind kind, size_t i, const double *sums, uint32_t *state)
{
    switch (kind) {
    case ZIPF_FLAT:
    case ZIPF_STEEP:
        return zipf(sums);
    case SCANS: // every 20,000 questions somebody reads 10,000 keys that nobody else wants
        if (i % 30000 >= 20000)
            return HOT + state[0]++ % (KEYS - HOT);
        return zipf(sums);
    case LOOP:
        return (uint32_t)(i % HOT);
    case SHIFT: // a tenth of the ranks moves on at once
        return (zipf(sums) + (uint32_t)(i / 100000) * 1000) % HOT;
    case SHIFT_FAST:
        return (zipf(sums) + (uint32_t)(i / 10000) * 100) % HOT;
    case MIX: { // shifting Zipf, a loop, and what comes once
        double u = chance();
        if (u < 0.6)
            return (zipf(sums) + (uint32_t)(i / 200000) * 500) % HOT;
        if (u < 0.8)
            return HOT + state[0]++ % 3000;
        return HOT + 3000 + state[1]++ % (KEYS - HOT - 3000);
    }
    case BURSTS: // each key is asked for some times within a while, and never again
        if (i == 0)
            for (int j = 0; j < 200; j++)
                state[j] = (uint32_t)dice_below(&dice, KEYS);
        if (chance() < 0.2)
            state[dice_below(&dice, 200)] = (uint32_t)dice_below(&dice, KEYS);
        return state[dice_below(&dice, 200)];
    case KINDS:
        break;
    }
    abort();
}

static double make_trace(struct world *w, enum kind kind)
{
    double *sums = zipf_table(kind == ZIPF_FLAT ? 0.8 : kind == ZIPF_STEEP ? 1.1 : 0.9);
    uint32_t state[200] = {0};
    double all = 0;
    for (size_t i = 0; i < w->length; i++) {
        w->trace[i] = question(kind, i, sums, state);
        all += w->cost[w->trace[i]];
    }
    free(sums);
    int keys = kind == BURSTS ? KEYS : HOT;
    w->set_bytes = 0;
    for (int key = 0; key < keys; key++)
        w->set_bytes += w->weight[key];
    w->average_bytes = w->set_bytes / keys;
    return all;
}
