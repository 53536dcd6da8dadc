// SPDX-License-Identifier: Apache-2.0
// What runs behind a write to a relation by its triggers: nothing that writes, if they only compute
// (proxy/sql/computing.h) with PostgreSQL's own functions, operators and types; or anything. The
// SQL that asks for them, and how its rows go into a catalog. Control thread; pure but for the
// types of libpq.
#pragma once
#include <libpq-fe.h>
#include <stdbool.h>

#include "cache/catalog.h"

// $1 oid[]: a row for each trigger of these relations that is not known to look only.
extern const char behind_sql[];

// After all else that is told of users' functions and operators. False when the result does not
// have the shape that was asked for.
bool behind_add(struct catalog_builder *builder, const PGresult *result);
