// SPDX-License-Identifier: Apache-2.0
// What a write to a relation does to rows that its text does not tell: triggers that only compute
// may give a written row another key; a write through a view is one to the table below it. Part of
// a lineage, which ends with it. Pure; one thread.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/catalog.h"

struct written;

struct written *written_new(void);
void written_free(struct written *w);
// A trigger of the relation assigns to this column of the row; empty: it may be any. Copies.
void written_assigns(struct written *w, uint32_t oid, struct slice column);
// Sets `rewrites`, and says of each view whether a write through it is known, and to which table:
// `base` is what it reads by then, if that is one relation. By oid; all else is settled.
void written_settle(const struct written *w, struct catalog_relation *const *relations, size_t n);
