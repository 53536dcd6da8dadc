// SPDX-License-Identifier: Apache-2.0
// Memory that is always there: a failed allocation ends the process with a message, so no caller
// has an untested path for it. Memory whose size a peer decides is bounded before it is asked for.
#pragma once
#include <stddef.h>

void *mem_alloc(size_t bytes);                 // uninitialised; caller owns
void *mem_zalloc(size_t bytes);                // zeroed; caller owns
void *mem_aligned(size_t to, size_t bytes);    // zeroed; bytes: a multiple of `to`, a power of two
void *mem_realloc(void *old, size_t bytes);    // old may be NULL
char *mem_strdup(const char *text);            // caller owns; text must not be NULL
char *mem_strndup(const char *text, size_t n); // copies n bytes and adds a NUL
void mem_free(void *block);                    // NULL is fine

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))
