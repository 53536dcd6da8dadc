// SPDX-License-Identifier: Apache-2.0
// Units as clients send them, to be cut and changed.
#pragma once
#include "base/buf.h"

static inline void unit_query(struct buf *b, const char *sql)
{
    size_t mark = buf_message_begin(b, 'Q');
    buf_cstr(b, sql);
    buf_message_end(b, mark);
}

static inline void unit_parse(struct buf *b, const char *name, const char *sql, int types)
{
    size_t mark = buf_message_begin(b, 'P');
    buf_cstr(b, name);
    buf_cstr(b, sql);
    buf_u16(b, (uint16_t)types);
    for (int i = 0; i < types; i++)
        buf_u32(b, 23);
    buf_message_end(b, mark);
}

// One value, of the format given.
static inline void unit_bind(struct buf *b, const char *portal, const char *name,
                             const char *value, uint16_t format)
{
    size_t mark = buf_message_begin(b, 'B');
    buf_cstr(b, portal);
    buf_cstr(b, name);
    buf_u16(b, 1);
    buf_u16(b, format);
    buf_u16(b, 1);
    buf_u32(b, (uint32_t)strlen(value));
    buf_bytes(b, value, strlen(value));
    buf_u16(b, 0);
    buf_message_end(b, mark);
}

static inline void unit_describe(struct buf *b, char kind, const char *name)
{
    size_t mark = buf_message_begin(b, 'D');
    buf_u8(b, (uint8_t)kind);
    buf_cstr(b, name);
    buf_message_end(b, mark);
}

static inline void unit_execute(struct buf *b, const char *portal, uint32_t rows)
{
    size_t mark = buf_message_begin(b, 'E');
    buf_cstr(b, portal);
    buf_u32(b, rows);
    buf_message_end(b, mark);
}

static inline void unit_sync(struct buf *b)
{
    buf_message_end(b, buf_message_begin(b, 'S'));
}

// One of the valid shapes: 0 is the simple query, then with and without Parse and Describe.
enum { UNIT_SHAPES = 5 };
static inline void unit_shape(struct buf *b, int shape)
{
    if (shape == 0) {
        unit_query(b, "select a from t where b = 5");
        return;
    }
    if (shape == 1 || shape == 2)
        unit_parse(b, "s", "select a from t where b = $1", 1);
    unit_bind(b, "", "s", "5", 0);
    if (shape == 1 || shape == 3)
        unit_describe(b, 'P', "");
    unit_execute(b, "", 0);
    unit_sync(b);
}
