// SPDX-License-Identifier: Apache-2.0
// What a row is known by, in a line of test_decoding: what stands behind INSERT:, UPDATE:, DELETE:.
//
//    id[integer]:5 name[text]:'it''s' note[text]:null
//    old-key: id[integer]:5 new-tuple: id[integer]:6 name[text]:unchanged-toast-datum
//    (no-tuple-data)
//
// Pure; any thread; keeps nothing. The line is read as far as it must be and nothing is copied but
// names and values of a bounded size.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/catalog.h"

enum row_value {
    ROW_UNTOLD, // it may be any value: not told, or without a safe form
    ROW_KNOWN,
    ROW_EQUALS_NONE, // NULL, or text too long for anybody to name it as a key
};

struct row_tuple { // by column of the key
    uint8_t states[CATALOG_COLUMNS_MAX]; // enum row_value
    uint64_t values[CATALOG_COLUMNS_MAX];
};

struct row_keys {
    size_t count; // 1, or 2: of the row as it was and as it is
    struct row_tuple tuples[2];
};

// The values of all columns that are told. False: the line is not understood; it may be any row.
bool row_keys(struct slice row, const struct catalog_key *key, struct row_keys *out);
