// SPDX-License-Identifier: Apache-2.0
// A unit: what a client sends to have one statement run and wait for its end. A simple query, or
// [Parse] Bind [Describe portal] Execute Sync. Pure: bytes in, slices into them out.
#pragma once
#include "base/slice.h"

enum { UNIT_MAX_BYTES = 48 * 1024 }; // a longer one is not looked at

enum unit_result {
    UNIT_OK,
    UNIT_MORE,  // not complete yet
    UNIT_OTHER, // another sequence of messages, or too long
};

struct unit {
    size_t bytes;          // of all its messages
    bool simple;
    bool has_parse, has_describe;
    bool has_max_rows;     // Execute in portions
    bool executes;         // an Execute was met (also when UNIT_OTHER)
    struct slice text;     // of the query or the Parse
    struct slice name;     // of the statement that is bound, and parsed
    struct slice tail;     // of the Parse, behind the name
    struct slice bind;     // formats, values, result formats
};

enum unit_result unit_read(struct slice data, struct unit *unit);
// Only up to the Execute, whatever follows: the first statement of a batch. Or a simple query.
enum unit_result unit_read_statement(struct slice data, struct unit *unit);

// Does a value, text or binary, hold a word that means the time of reading (now, today, tomorrow,
// yesterday)? bind: as in struct unit. True as well when it is malformed.
bool unit_has_datetime_word(struct slice bind);
