// SPDX-License-Identifier: Apache-2.0
// What queries cost, by database and normalised text (constants taken out): a bounded table, one
// for each worker, which alone touches it; CLOCK makes room. Only there while track_queries is on.
// Plain data: when a query begins and ends is the session's to know (session/tracked.h).
#pragma once
#include "base/slice.h"

enum {
    QUERIES_TEXT_BYTES = 1000, // of a text that are kept, and shown
    QUERIES_MAX = 0xffff - 1,
};

struct query_figures {
    uint64_t calls, rows, time_us, max_us, wait_us, hits;
    uint64_t hit_bytes, misses, bypasses; // of the cache
    uint8_t reason;                       // enum bypass, of the last of those
};

struct queries;

// limit: how many texts are remembered, at most QUERIES_MAX. era: another one than those before on
// this worker had, so that numbers of theirs mean nothing here.
struct queries *queries_new(size_t limit, unsigned era);
void queries_free(struct queries *queries); // NULL is fine

// Finds or makes; never 0.
uint32_t queries_find(struct queries *queries, const char *database, struct slice text);
// Where to count; NULL: it had to make room for others, or never was (0).
struct query_figures *queries_figures(struct queries *queries, uint32_t number);

typedef void (*queries_visit)(const char *database, const char *text,
                              const struct query_figures *figures, void *arg);
void queries_each(const struct queries *queries, queries_visit visit, void *arg);
