// SPDX-License-Identifier: Apache-2.0
// A slice borrows bytes that somebody else owns. It is never NUL-terminated by promise.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *at; // borrows
    size_t len;        // bytes
};

static inline struct slice slice_of(const void *at, size_t len)
{
    return (struct slice){.at = at, .len = len};
}

static inline struct slice slice_str(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_eq(a, slice_str(text));
}

static inline bool slice_is_ascii(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] >= 0x80)
            return false;
    return true;
}

// What follows the first n bytes (n <= len).
static inline struct slice slice_skip(struct slice s, size_t n)
{
    return slice_of(s.at + n, s.len - n);
}

// Cuts the first n bytes off (n <= len) and returns them.
static inline struct slice slice_cut(struct slice *s, size_t n)
{
    struct slice head = slice_of(s->at, n);
    *s = slice_skip(*s, n);
    return head;
}
