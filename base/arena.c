// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "base/check.h"
#include "base/mem.h"

struct arena {
    unsigned number; // jemalloc's
};

#ifdef WITH_JEMALLOC

#include <jemalloc/jemalloc.h>

enum { DECAY_MS = 1000 }; // pages that are free go back by then, while others are allocated

// No thread cache: it would keep what the arena is to give back, and blur the figures.
static int flags_of(const struct arena *arena)
{
    return arena ? (int)(MALLOCX_ARENA(arena->number) | MALLOCX_TCACHE_NONE) : 0;
}

struct arena *arena_new(void)
{
    struct arena *arena = mem_new(struct arena);
    size_t size = sizeof(arena->number);
    CHECK(mallctl("arenas.create", &arena->number, &size, NULL, 0) == 0);
    char name[64];
    ssize_t decay_ms = DECAY_MS;
    snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", arena->number);
    mallctl(name, NULL, NULL, &decay_ms, sizeof(decay_ms));
    return arena;
}

static void *must(void *block, size_t bytes)
{
    if (block == NULL) {
        fprintf(stderr, "FATAL out of memory: %zu bytes\n", bytes);
        abort();
    }
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return must(mallocx(bytes, flags_of(arena)), bytes);
}

void *arena_resize(struct arena *arena, void *block, size_t bytes)
{
    return must(rallocx(block, bytes, flags_of(arena)), bytes);
}

void arena_release(void *block)
{
    if (block != NULL)
        dallocx(block, MALLOCX_TCACHE_NONE);
}

size_t arena_size(size_t bytes)
{
    return nallocx(bytes, 0);
}

void arena_purge(struct arena *arena)
{
    char name[64];
    snprintf(name, sizeof(name), "arena.%u.purge", arena->number);
    mallctl(name, NULL, NULL, NULL, 0);
}

static size_t figure(const struct arena *arena, const char *which)
{
    char name[64];
    size_t value = 0, size = sizeof(value);
    snprintf(name, sizeof(name), "stats.arenas.%u.%s", arena->number, which);
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

struct arena_figures arena_figures(struct arena *arena)
{
    uint64_t epoch = 1;
    size_t size = sizeof(epoch);
    mallctl("epoch", &epoch, &size, &epoch, size); // the figures are as of this moment
    return (struct arena_figures){
        .allocated_bytes = figure(arena, "small.allocated") + figure(arena, "large.allocated"),
        .resident_bytes = figure(arena, "resident"),
    };
}

#else

struct arena *arena_new(void)
{
    return mem_new(struct arena);
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return mem_alloc(bytes);
}

void *arena_resize(struct arena *arena, void *block, size_t bytes)
{
    return mem_realloc(block, bytes);
}

void arena_release(void *block)
{
    mem_free(block);
}

size_t arena_size(size_t bytes)
{
    return (bytes + 15) / 16 * 16; // an ordinary allocator's, about
}

void arena_purge(struct arena *arena)
{
}

struct arena_figures arena_figures(struct arena *arena)
{
    return (struct arena_figures){0};
}

#endif

// What it holds may be in use: jemalloc keeps the arena.
void arena_free(struct arena *arena)
{
    mem_free(arena);
}
