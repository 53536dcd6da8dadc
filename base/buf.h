// SPDX-License-Identifier: Apache-2.0
// A growable run of bytes, and the writer of protocol messages on top of it. An empty buf holds no
// memory until the first byte. Owned by whoever embeds it; not shared between threads.
#pragma once
#include "base/slice.h"

struct buf {
    uint8_t *at;       // owns
    uint32_t len;      // bytes in use
    uint32_t capacity; // bytes allocated; 4 GB is more than any message has
};

void buf_fini(struct buf *b);                     // gives the memory back; b is empty afterwards
uint8_t *buf_grow(struct buf *b, size_t n);       // what buf_room() does when there is none
void buf_consume(struct buf *b, size_t n);        // drops the first n bytes (n <= len)
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Room for n more bytes at b->at + b->len.
static inline uint8_t *buf_room(struct buf *b, size_t n)
{
    return n <= b->capacity - b->len && b->at != NULL ? b->at + b->len : buf_grow(b, n);
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->at, b->len);
}

static inline void buf_clear(struct buf *b)
{
    b->len = 0;
}

static inline void buf_bytes(struct buf *b, const void *bytes, size_t n)
{
    if (n > 0) {
        memcpy(buf_room(b, n), bytes, n);
        b->len += (uint32_t)n;
    }
}

static inline void buf_put(struct buf *b, struct slice s)
{
    buf_bytes(b, s.at, s.len);
}

static inline void buf_u8(struct buf *b, uint8_t v)
{
    *buf_room(b, 1) = v;
    b->len += 1;
}

static inline void store_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static inline void store_u32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static inline void buf_u16(struct buf *b, uint16_t v)
{
    store_u16(buf_room(b, 2), v);
    b->len += 2;
}

static inline void buf_u32(struct buf *b, uint32_t v)
{
    store_u32(buf_room(b, 4), v);
    b->len += 4;
}

static inline void buf_u64(struct buf *b, uint64_t v)
{
    buf_u32(b, (uint32_t)(v >> 32));
    buf_u32(b, (uint32_t)v);
}

// The text and its NUL.
static inline void buf_cstr(struct buf *b, const char *text)
{
    buf_bytes(b, text, strlen(text) + 1);
}

// A message: type byte, then a length that counts itself and the body (55.7 Message Formats).
// begin returns a mark that end needs to fill the length in.
static inline size_t buf_message_begin(struct buf *b, char type)
{
    buf_u8(b, (uint8_t)type);
    buf_u32(b, 0);
    return b->len - 4;
}

static inline void buf_message_end(struct buf *b, size_t mark)
{
    store_u32(b->at + mark, (uint32_t)(b->len - mark));
}
