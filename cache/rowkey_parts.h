// SPDX-License-Identifier: Apache-2.0
// What the readers of values share. Internal to rowkey*.c.
#pragma once
#include "base/slice.h"

static inline bool rowkey_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

// Of a hexadecimal digit its value; -1: it is none.
static inline int rowkey_nibble(uint8_t c)
{
    if (rowkey_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool rowkey_is_space(uint8_t c) // isspace() of the C locale, as the server's readers
{                                             // use it
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline struct slice rowkey_trim(struct slice s)
{
    while (s.len > 0 && rowkey_is_space(s.at[0]))
        s = slice_skip(s, 1);
    while (s.len > 0 && rowkey_is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}
