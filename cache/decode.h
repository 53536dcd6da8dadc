// SPDX-License-Identifier: Apache-2.0
// One line of test_decoding's output, taken apart. Pure; any thread; keeps nothing.
//
//   BEGIN 731
//   table public.t: INSERT: id[integer]:1 ...
//   table public.t, public."U": TRUNCATE: (no-flags)
//   message: transactional: 1 prefix: ...
//   COMMIT 731
//
// Only the head of a line is looked at, the row is row.h's. What is not understood is an error, for
// the follower must not pass over an event in silence.
// Names are those of the replication connection's encoding.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { DECODE_NAME_BYTES = 256 }; // names are 63 bytes on a standard server (NAMEDATALEN)

enum decode_kind {
    DECODE_BAD, // not a line that we know: nothing else is set
    DECODE_BEGIN,
    DECODE_COMMIT,
    DECODE_TABLE,    // rows of one table were written
    DECODE_TRUNCATE, // one or more tables were emptied
    DECODE_MESSAGE,  // pg_logical_emit_message(): touches no table
    DECODE_NOTHING,  // of pgoutput alone: said by the way
};

struct decoded {
    enum decode_kind kind;
    uint32_t xid;        // BEGIN, COMMIT: the top-level transaction
    struct slice tables; // TABLE, TRUNCATE: the quoted names, checked; borrows from the line
    struct slice row;    // TABLE: what follows, unchecked; likewise
    bool updates;        // TABLE: an UPDATE
};

// What the follower must know of a message, whatever it is written in.
struct decode_event {
    enum decode_kind kind;
    uint32_t xid;      // BEGIN, COMMIT
    uint64_t position; // COMMIT: the end of its record
};

struct decode_name { // unquoted
    uint8_t schema_bytes[DECODE_NAME_BYTES];
    uint8_t name_bytes[DECODE_NAME_BYTES];
    size_t schema_len;
    size_t name_len;
};

struct decoded decode_line(struct slice line);

// The next table of a DECODE_TABLE or DECODE_TRUNCATE line; false when there are no more. Consumes
// d->tables.
bool decode_next_table(struct decoded *d, struct decode_name *out);

// Takes a name, quoted or not, from the front. False: there is none, or it is longer than
// DECODE_NAME_BYTES, which is how much there is room for.
bool decode_identifier(struct slice *s, uint8_t *out, size_t *len);
