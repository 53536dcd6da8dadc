// SPDX-License-Identifier: Apache-2.0
// The key of a row in a line of test_decoding: what stands behind INSERT:, UPDATE: or DELETE:.
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

struct row_keys {
    size_t count; // 1, or 2: of the row as it was and as it is
    uint64_t values[2][ROWKEY_COLUMNS_MAX];
};

// False: some value of the key is not told, has no safe form, or the line is not understood. Then
// it may be any row.
bool row_keys(struct slice row, const struct catalog_key *key, struct row_keys *out);
