// SPDX-License-Identifier: Apache-2.0
// Bytes as hexadecimal digits.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Writes 2 * n digits, in lower case and without a NUL; returns what is behind them.
static inline char *hex_encode(char *text, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 0xf];
    }
    return text;
}
