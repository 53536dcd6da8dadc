// SPDX-License-Identifier: Apache-2.0
// Ranges, as hashes of one form: what has the same first and last values, be it [1,2] or [1,3) of
// whole numbers and days. Empty ones are alike.
//
// Internal to rowkey.c. Pure; any thread.
#pragma once
#include "cache/rowkey.h"

uint32_t rowkey_bound_of(uint32_t range); // the type of its bounds; 0: no range with a form

// element: the form of the bounds. As text [1,"2"), (,5] or empty, without blanks around; in binary
// range_send().
bool rowkey_range_text(enum rowkey_type element, struct slice text, uint64_t *out);
bool rowkey_range_binary(enum rowkey_type element, struct slice bytes, uint64_t *out);
