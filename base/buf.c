// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

void buf_fini(struct buf *b)
{
    mem_free(b->at);
    *b = (struct buf){0};
}

uint8_t *buf_grow(struct buf *b, size_t n)
{
    CHECK(n <= UINT32_MAX - b->len);
    size_t want = b->capacity ? (size_t)b->capacity * 2 : 64;
    if (want < b->len + n)
        want = b->len + n;
    b->capacity = want < UINT32_MAX ? (uint32_t)want : UINT32_MAX;
    // A fresh one is much cheaper by its own call.
    b->at = b->at != NULL ? mem_realloc(b->at, b->capacity) : mem_alloc(b->capacity);
    return b->at + b->len;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= b->len);
    if (n == 0)
        return;
    memmove(b->at, b->at + n, b->len - n);
    b->len -= (uint32_t)n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(need >= 0);
    uint8_t *room = buf_room(b, (size_t)need + 1);
    va_start(args, format);
    vsnprintf((char *)room, (size_t)need + 1, format, args);
    va_end(args);
    b->len += (uint32_t)need;
}
