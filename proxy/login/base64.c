// SPDX-License-Identifier: Apache-2.0
#include "proxy/login/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(uint8_t c)
{
    const char *at = c == 0 ? NULL : strchr(letters, c);
    return at == NULL ? -1 : (int)(at - letters);
}

bool base64_read(struct slice text, uint8_t *bytes, size_t capacity, size_t *n)
{
    *n = 0;
    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        const uint8_t *four = text.at + i;
        bool is_last = i + 4 == text.len;
        size_t padding = is_last && four[3] == '=' ? (four[2] == '=' ? 2 : 1) : 0;
        uint32_t bits = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j >= 4 - padding ? 0 : value_of(four[j]);
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        size_t got = 3 - padding;
        // Bits that the padding cuts off must be zero: one encoding for each value.
        if ((bits & ((1u << (8 * padding)) - 1)) != 0 || *n + got > capacity)
            return false;
        for (size_t j = 0; j < got; j++)
            bytes[(*n)++] = (uint8_t)(bits >> (16 - 8 * j));
    }
    return true;
}

void base64_write(struct buf *out, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)from[i] << 16 | (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                        (left > 2 ? from[i + 2] : 0);
        buf_u8(out, (uint8_t)letters[bits >> 18]);
        buf_u8(out, (uint8_t)letters[bits >> 12 & 63]);
        buf_u8(out, left > 1 ? (uint8_t)letters[bits >> 6 & 63] : '=');
        buf_u8(out, left > 2 ? (uint8_t)letters[bits & 63] : '=');
    }
}
