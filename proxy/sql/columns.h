// SPDX-License-Identifier: Apache-2.0
// Which columns a statement computes with, and which it only shows: a value of a type that others
// made may be shown where it must not be compared, cast or handed to a function. Names, not
// columns: which relation is meant is not looked at. Internal to proxy/sql.
// Not here: which columns have such types (cache/catalog.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/sql/analysis.h"

enum { COLUMNS_MAX = 512 }; // names of a kind; more: any column

struct columns_shown {
    uint32_t name, alias; // hashes
};

struct columns { // lives with the walk
    uint32_t *computed;          // owns; hashes of names, no two are equal
    uint32_t *relations;         // owns; names and aliases of what may be meant as a whole row
    struct columns_shown *shown; // owns
    uint16_t n_computed, n_relations, n_shown;
    const PgQuery__SelectStmt *top;     // whose outputs go to the client as they are, or NULL
    const PgQuery__SelectStmt *ignored; // whose outputs nobody asks for: EXISTS
    const PgQuery__ColumnRef *tested;   // for NULL, which runs nothing
    PgQuery__Node **outputs;            // of the one that is being walked, if it is one of these
    size_t n_outputs;
    bool outputs_ignored;
    bool all_computed, all_shown;
    bool by_number; // an output is sorted or grouped by
};

struct columns_level { // of a SELECT, for the one inside it
    PgQuery__Node **outputs;
    size_t n_outputs;
    bool outputs_ignored;
};

void columns_fini(struct columns *c);

// statement: the only one of its text; NULL: there are several.
void columns_begin(struct columns *c, const PgQuery__Node *statement);
struct columns_level columns_enter(struct columns *c, const PgQuery__SelectStmt *select);
void columns_leave(struct columns *c, struct columns_level outer);

void columns_reference(struct columns *c, const PgQuery__ColumnRef *reference);
void columns_relation(struct columns *c, const PgQuery__RangeVar *relation);
void columns_join(struct columns *c, const PgQuery__JoinExpr *join);
void columns_exists(struct columns *c, const PgQuery__SubLink *link);
void columns_null_test(struct columns *c, const PgQuery__NullTest *test);
void columns_row(struct columns *c); // something is done with a row, whatever is in it
void columns_end(struct columns *c);

// May a column of this name be computed with, or be shown?
bool columns_computed(const struct sql_columns *columns, struct slice name);
bool columns_shown(const struct sql_columns *columns, struct slice name);
