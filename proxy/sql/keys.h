// SPDX-License-Identifier: Apache-2.0
// The keys that a statement's values name: what its resolution says of places and columns, and a
// text and a Bind message of values, become slots of the ledger. Pure; any thread; no memory.
// Not here: which columns those are (fixed.h, resolve.h), and how a value is compared (rowkey.h).
#pragma once
#include "base/slice.h"
#include "proxy/sql/resolve.h"

enum { KEYS_MAX = 32 }; // of one place; more: it is any row

struct key_values {
    const struct analysis *analysis; // of the text
    struct slice text;
    struct slice types; // what a Parse message has behind the text: count and oids; may be empty
    struct slice bind;  // a Bind message behind the names; empty: there are no parameters
    bool utf8;          // client and server have UTF8: bytes beyond ASCII are the same to both
};

// The key slots of a place; out has room for KEYS_MAX. -1: that cannot be told.
int keys_slots(const struct key_values *values, const struct resolved_scan *scan, uint32_t *out);
