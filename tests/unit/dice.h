// SPDX-License-Identifier: Apache-2.0
// Random numbers that are the same in every run: a failing test fails again. One thread each.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline struct dice dice_of(uint64_t seed)
{
    return (struct dice){.state = seed * 0x9e3779b97f4a7c15u + 1};
}

// splitmix64
static inline uint64_t dice_u64(struct dice *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// 0 .. n - 1
static inline size_t dice_below(struct dice *d, size_t n)
{
    return (size_t)(dice_u64(d) % n);
}
