// SPDX-License-Identifier: Apache-2.0
// The one way to take bytes that came from outside apart. Failure is sticky: after the first read
// beyond the end every further read gives zero or an empty slice, and reader_ok() says so.
// Integers are big-endian, as in the PostgreSQL protocol (55.2 Message Data Types).
#pragma once
#include "base/slice.h"

struct reader {
    const uint8_t *at;  // borrows
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct slice bytes)
{
    return (struct reader){.at = bytes.at, .end = bytes.at + bytes.len, .failed = false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

// True when nothing was read beyond the end. Must be asked before what was read is used.
static inline bool reader_ok(const struct reader *r)
{
    return !r->failed;
}

// True when everything was read and nothing is left over.
static inline bool reader_done(const struct reader *r)
{
    return !r->failed && r->at == r->end;
}

static inline struct slice reader_bytes(struct reader *r, size_t n)
{
    if (r->failed || n > reader_left(r)) {
        r->failed = true;
        return slice_of(NULL, 0);
    }
    struct slice got = slice_of(r->at, n);
    r->at += n;
    return got;
}

static inline uint8_t reader_u8(struct reader *r)
{
    struct slice s = reader_bytes(r, 1);
    return s.len ? s.at[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
    struct slice s = reader_bytes(r, 2);
    return s.len ? (uint16_t)((s.at[0] << 8) | s.at[1]) : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
    struct slice s = reader_bytes(r, 4);
    return s.len ? ((uint32_t)s.at[0] << 24) | ((uint32_t)s.at[1] << 16) |
                       ((uint32_t)s.at[2] << 8) | s.at[3]
                 : 0;
}

static inline uint64_t reader_u64(struct reader *r)
{
    uint64_t high = reader_u32(r);
    return (high << 32) | reader_u32(r);
}

// The bytes before the next NUL, which is consumed and not part of the slice (but stands right
// behind it, so .at may be used as a C string while the bytes live).
static inline struct slice reader_cstr(struct reader *r)
{
    const uint8_t *nul = r->failed || r->at == r->end ? NULL : memchr(r->at, 0, reader_left(r));
    if (nul == NULL) {
        r->failed = true;
        return slice_of("", 0);
    }
    struct slice got = slice_of(r->at, (size_t)(nul - r->at));
    r->at = nul + 1;
    return got;
}
