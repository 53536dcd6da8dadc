// SPDX-License-Identifier: Apache-2.0
// The slots that one transaction in the stream has touched, each once: gathered row by row, given
// to the ledger at its commit. Bounded: rows beyond some thousand keys touch all rows of their
// table, and slots beyond that all there are. Owned by the follower.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/catalog.h"
#include "cache/decode.h"
#include "cache/ledger.h"
#include "cache/row.h"

enum { TOUCHED_MAX = 4096, TOUCHED_KEYS_MAX = 3072 };

struct touched { // zeroed to begin
    bool all;    // more than can be told
    bool outdated; // the catalog may be: of what is known only by it, any row
    size_t n;
    size_t keys; // of these, slots of keys
    uint32_t slots[TOUCHED_MAX];
    uint64_t bits[LEDGER_SLOTS / 64];
};

void touched_clear(struct touched *t);
// A line of the kind TABLE or TRUNCATE; consumes its tables. The catalog says what keys tables
// have; NULL: nothing is known. An older or newer one than the line is of does no harm: see
// follower.h.
void touched_line(struct touched *t, struct decoded *line, const struct catalog *catalog);

// The same of rows of one table that were taken apart already. table: as ledger_table(); r: what
// the catalog knows of it, or NULL; rows: by r->key; NULL: it may be any row.
void touched_rows(struct touched *t, const struct catalog *catalog, uint64_t table,
                  const struct catalog_relation *r, const struct row_keys *rows);
void touched_all(struct touched *t); // it may be any table

// False: there is no room for more keys, so they need not be looked for.
static inline bool touched_wants_keys(const struct touched *t)
{
    return !t->all && t->keys < TOUCHED_KEYS_MAX;
}
