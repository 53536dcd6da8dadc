// SPDX-License-Identifier: Apache-2.0
// Conditions on a query's output that may be carried into it: it says the same of the rows that
// they leave if its own rows are restricted first. Found by the text alone; when in doubt, none.
//
// Where an output is a bare column, each of a query's rows comes from rows of FROM in which that
// column has this value; so those in which it has another one bring about other rows of the query,
// which the condition leaves out. That holds if no row is there, or is what it is, because of rows
// with another value: nothing is cut off (LIMIT), no first one is chosen (DISTINCT ON), no window
// has others in sight, no set is made of several queries. A GROUP BY is in order: what is shown as
// a bare column is the same in all rows of a group, or PostgreSQL would refuse it.
//
// Internal to proxy/sql. Not here: what the conditions are (conditions.h), and what they come to
// within (fixed.h).
#pragma once
#include "proxy/sql/conditions.h"

struct walk;

enum { CARRIED_COLUMNS_MAX = 4 };

// The columns of the query, as they are called in it, one of which the output of this name is; each
// only if its place has such a column. Returns how many; 0: nothing may be carried in.
int carried_columns(const PgQuery__SelectStmt *query, const char *output,
                    struct column_name out[CARRIED_COLUMNS_MAX]);

// The query of a CTE whose name the relation is, if nothing else reads it; or NULL. Not of a
// MATERIALIZED one: there PostgreSQL would tell of an error in any row.
const PgQuery__SelectStmt *carried_cte(const struct walk *w, const PgQuery__RangeVar *relation);
