// SPDX-License-Identifier: Apache-2.0
// How far a word goes: letters, digits, underscores and dollars, what an identifier or keyword of
// PostgreSQL goes on with (scan.l, ident_cont; bytes beyond ASCII are not for us). Most of a text
// is words, so sixteen bytes are looked at in one step where the processor has them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { WORD_STEP = 16 }; // bytes

static inline bool word_goes_on(uint8_t c)
{
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

#ifdef __SSE2__
// Which of sixteen bytes are no part of a word: a bit each, the first byte's is the lowest.
static inline uint32_t word_breaks(__m128i bytes)
{
    const __m128i letter =
        _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    const __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i in = _mm_cmpeq_epi8(letter, _mm_min_epu8(letter, _mm_set1_epi8('z' - 'a')));
    in = _mm_or_si128(in, _mm_cmpeq_epi8(digit, _mm_min_epu8(digit, _mm_set1_epi8(9))));
    in = _mm_or_si128(in, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')));
    in = _mm_or_si128(in, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('$')));
    return (uint32_t)_mm_movemask_epi8(in) ^ 0xffff;
}
#endif

// Copies the word that begins at `at` to `out` and returns its end. Up to WORD_STEP bytes are
// written beyond the word, never more than there are in [at, end).
static inline const uint8_t *word_copy(const uint8_t *at, const uint8_t *end, uint8_t *out)
{
#ifdef __SSE2__
    while (end - at >= WORD_STEP) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        _mm_storeu_si128((__m128i *)out, bytes);
        uint32_t breaks = word_breaks(bytes);
        if (breaks != 0)
            return at + __builtin_ctz(breaks);
        at += WORD_STEP;
        out += WORD_STEP;
    }
#endif
    while (at < end && word_goes_on(*at))
        *out++ = *at++;
    return at;
}
