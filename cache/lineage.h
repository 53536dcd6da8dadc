// SPDX-License-Identifier: Apache-2.0
// What relations have to do with each other: partitions and children with the tables above them,
// views and policies with what they read; and what follows for each relation: on which slots a
// result that reads it depends, which ones a write through it must close, and whose slots an event
// on it raises.
// Part of a catalog's builder; it ends when the catalog is finished. Pure; one thread.
//
// The rules. A table that has tables below it (partitions, children) holds their rows too:
//   an event names the table whose row it was, and raises its slot and those of all above it;
//   a result that reads a table depends on its slot, and on the *down slot* of each table above it;
//   a write through a table closes its slot, its down slot if it has tables below, and the slots of
//   all tables that are above it or above one below it.
// So neither a reader nor a writer has more slots than a tree has levels, however many partitions
// there are. The down slot moves only by own writes: their event, which may be any table's below,
// comes by itself.
//
// A partitioned table's key is that of rows below it, whose events raise its key slots as well
// (touched.c), and so do writes through any table below (resolve.c). Columns alone are keys of it
// if they are of all tables below. A view that shows rows of a relation, alone or joined to others,
// has that one's key, by its own names, if it reads that one's rows in no other way as well.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/catalog.h"

struct lineage;

enum { LINEAGE_SLOTS_MAX = 64 }; // of one relation; more: not cached, and its writes are not known

struct lineage *lineage_new(void);
void lineage_free(struct lineage *l);

// By oid; what is not among the relations is passed over.
void lineage_child(struct lineage *l, uint32_t parent, uint32_t child);
// A view reads it, or a policy of a table with row security does.
void lineage_uses(struct lineage *l, uint32_t view, uint32_t relation);
// This column of the view is that one of the relation, which it reads in one place, or NULL where
// it has no row of that, or equals it where it has; a row of the view is there whatever rows the
// relation has with another value. Copies.
void lineage_shows(struct lineage *l, uint32_t view, struct slice column, uint32_t relation,
                   struct slice of);
void lineage_deny(struct lineage *l, uint32_t oid, enum bypass reason); // the first reason stays
// Its rows' changes do not come: nothing above it is cached either.
void lineage_unreported(struct lineage *l, uint32_t oid, enum bypass reason);
void lineage_runs_code(struct lineage *l, uint32_t oid);
// A write to it may do anything; or its triggers compute, and assign to this column of the row
// (empty: it may be any).
void lineage_writes_unknown(struct lineage *l, uint32_t oid);
void lineage_assigns(struct lineage *l, uint32_t oid, struct slice column);
void lineage_reads_settings(struct lineage *l, uint32_t oid);
// Not all relations or edges were told: nothing that stands for others is cached or known to write.
void lineage_truncated(struct lineage *l);

// Fills in what the relations owe to each other: bypass, writes_known, rewrites, base, runs_code,
// and the lists, which the relations own (lineage_release). Returns a hash of all that ancestors
// say.
uint64_t lineage_settle(struct lineage *l, struct catalog_relation **relations, size_t n);
void lineage_release(struct catalog_relation *relation);
// Of relations by oid: its index; n when it is not among them.
size_t lineage_index_of(struct catalog_relation *const *relations, size_t n, uint32_t oid);
