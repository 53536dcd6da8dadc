// SPDX-License-Identifier: Apache-2.0
// Memory that can be told apart from the rest, bounded by its owner and given back to the system:
// a jemalloc arena. Built without jemalloc (sanitizers) it is the ordinary allocator, and knows no
// figures. Any thread. What was allocated may outlive the arena; a failed allocation ends the
// process (mem.h).
#pragma once
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); // its memory is free for others as far as it was released

void *arena_alloc(struct arena *arena, size_t bytes); // uninitialised; NULL: ordinary memory
void *arena_resize(struct arena *arena, void *block, size_t bytes); // of the same arena
void arena_release(void *block); // of any arena; ordinary memory goes back sooner by mem_free()

// What an allocation of so many bytes really takes.
size_t arena_size(size_t bytes);

// Gives memory that is not in use back to the system, at once. May take milliseconds.
void arena_purge(struct arena *arena);

struct arena_figures {
    size_t allocated_bytes; // in use
    size_t resident_bytes;  // taken from the system for it, in pages that are there
};
struct arena_figures arena_figures(struct arena *arena); // as of now; not for a hot path
