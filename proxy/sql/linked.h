// SPDX-License-Identifier: Apache-2.0
// Of which place of a relation a column is that a condition compares with: one in the same FROM,
// one in sight from a subquery, or one that a query in FROM, a CTE or a subquery behind IN gives
// its column of. Found by the text alone; when in doubt, none.
//
// Why what is fixed there counts here. Conditions fix a column of a place if the statement says
// the same with the other rows left out there. With them left out, no row of that place and no
// output of its query has another value than these, or NULL; so what must equal it, in this
// statement or in a query that is asked for each of its rows, must equal one of these.
//
// Internal to proxy/sql. Not here: whether it is fixed, and whether the types are the same
// (keyed.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>
#include <stddef.h>

struct walk;

struct linked {
    const PgQuery__RangeVar *relation; // the place; NULL: none. Borrows
    const char *column;
    bool apart; // two such columns may be of two rows: a CTE may be read more than once
};

// What a condition sees of its own SELECT: all of FROM, or in ON the two sides of the join.
struct linked_sight {
    const PgQuery__SelectStmt *select;
    PgQuery__Node *const *items;
    size_t n;
};

// The column place.name; the walk is at the statement, not yet within it. False: none.
bool linked_find(const struct walk *w, const struct linked_sight *sight, const char *place,
                 const char *name, struct linked *out);

// The column of that name of an item in FROM, if there is one; "": of a relation, any one.
bool linked_item(const struct walk *w, const PgQuery__Node *item, const char *name,
                 struct linked *out);

// The one column of a subquery.
bool linked_output(const PgQuery__Node *query, struct linked *out);
