// SPDX-License-Identifier: Apache-2.0
// The messages of pgoutput, protocol version 1 (55.9 Logical Replication Message Formats), each
// taken apart as it comes: what it says, and which slots its rows touch.
//
// A row's message names its table by a number that an earlier message has explained, so this room
// remembers what it was told of tables: names, columns, which of these are the replica identity.
// That is all it keeps, and it is bounded (PGOUTPUT_BYTES_MAX): rows of a table that it does not
// know may be anything's, so they touch all there is. Nothing of a row is copied.
//
// Owned by the follower; one thread. Names are those of the server's encoding, which the stream
// sees to.
// Does not belong here: what a publication tells of (proxy/control/publication.h).
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/catalog.h"
#include "cache/decode.h"
#include "cache/touched.h"

enum { PGOUTPUT_BYTES_MAX = 32 << 20 };

struct pgoutput;

struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *p); // NULL is fine
void pgoutput_forget(struct pgoutput *p); // the stream is gone; another one tells everything anew

// As follower_set_catalog(); borrowed until the next call.
void pgoutput_set_catalog(struct pgoutput *p, const struct catalog *catalog);

// One message. Of rows and of TRUNCATE, the slots are added to touched. DECODE_BAD: it is cut, or
// nothing that was asked for.
struct decode_event pgoutput_read(struct pgoutput *p, struct slice message,
                                  struct touched *touched);

size_t pgoutput_bytes(const struct pgoutput *p); // remembered now
