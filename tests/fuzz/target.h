// SPDX-License-Identifier: Apache-2.0
// A target: one kind of bytes from outside, the code that takes them apart, and what must hold of
// the result whatever they are. tests/fuzz/NAME_target.c has the body, tests/fuzz/corpus/NAME/ a
// few valid inputs. Two drivers run it: replay.c (a unit program, the same in every run) and
// guided.c (libFuzzer, `make fuzz`). A claim that fails ends the process (CHECK).
//
// The bytes lie in a block of exactly their size, so that a sanitizer sees each byte read beyond.
#pragma once
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"

void target_run(struct slice bytes);

// How many mutations a unit run has time for (about a second of them).
extern const size_t target_rounds;

// Cuts a piece off that was put there by a length of two bytes: for targets that take several.
// What is too short for its length is all there is.
static inline struct slice target_piece(struct slice *rest)
{
    size_t n = rest->len;
    if (n >= 2) {
        struct slice head = slice_cut(rest, 2);
        n = (size_t)(head.at[0] << 8 | head.at[1]);
    }
    return slice_cut(rest, n < rest->len ? n : rest->len);
}

// The first byte, taken off; 0 when there is none.
static inline uint8_t target_byte(struct slice *rest)
{
    return rest->len > 0 ? slice_cut(rest, 1).at[0] : 0;
}

// A copy in a block of its own, for a piece that is not at the end. mem_free() it.
static inline uint8_t *target_alone(struct slice piece)
{
    uint8_t *copy = mem_alloc(piece.len > 0 ? piece.len : 1);
    if (piece.len > 0)
        memcpy(copy, piece.at, piece.len);
    return copy;
}

// Is it empty, or a part of these bytes?
static inline bool target_inside(struct slice part, struct slice bytes)
{
    return part.len == 0 || (part.at >= bytes.at && part.len <= bytes.len &&
                             (size_t)(part.at - bytes.at) <= bytes.len - part.len);
}
