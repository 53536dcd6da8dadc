// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *block, size_t bytes)
{
    if (block == NULL && bytes > 0) {
        fprintf(stderr, "FATAL out of memory: %zu bytes\n", bytes);
        abort();
    }
    return block;
}

void *mem_alloc(size_t bytes)
{
    return must(malloc(bytes), bytes);
}

void *mem_zalloc(size_t bytes)
{
    return must(calloc(1, bytes), bytes);
}

void *mem_aligned(size_t to, size_t bytes)
{
    return memset(must(aligned_alloc(to, bytes), bytes), 0, bytes);
}

void *mem_realloc(void *old, size_t bytes)
{
    return must(realloc(old, bytes), bytes);
}

char *mem_strndup(const char *text, size_t n)
{
    char *copy = mem_alloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

void mem_free(void *block)
{
    free(block);
}
