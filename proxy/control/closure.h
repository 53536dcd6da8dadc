// SPDX-License-Identifier: Apache-2.0
// Which relations are in use, and what is to be known of them: those of the names that statements
// mention, what views among them read, and the tables above and below. The SQL that asks for them,
// and how its rows go into a catalog. Pure but for the types of libpq; control thread.
// Not here: what follows for a relation from those around it (cache/lineage.h).
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"
#include "cache/catalog.h"

enum { CLOSURE_RELATIONS_MAX = 16384 }; // more: nothing that stands for others is cached

// $1 name[]: a row for each relation of these names, and for those that they lead to.
extern const char closure_relations_sql[];
// $1 oid[], all of these: what they have to do with each other, and what runs when they are read.
extern const char closure_parts_sql[];

// The oids among the rows, as literals of arrays, each with a NUL: all; those that are not of the
// names themselves but are watched like these (a view reads them); those that are only above or
// below another table; those that have triggers.
struct closure_oids {
    struct buf all, others, members, triggered;
};
void closure_oids_fini(struct closure_oids *oids);

// False when the result does not have the shape that was asked for. notified: only tables that
// notify of their changes may be cached.
bool closure_add_relations(struct catalog_builder *builder, const PGresult *result, bool notified,
                           struct closure_oids *oids);
bool closure_add_parts(struct catalog_builder *builder, const PGresult *result);
