// SPDX-License-Identifier: Apache-2.0
// What a statement fixes: for each place of a relation in it, the columns that equal constants,
// parameters, or columns that do, in every row that matters. Gathered beside the walk, statement
// by statement, from what the conditions of FROM and WHERE say (conditions.h).
//
// A place in FROM is restricted by WHERE, by ON of the inner joins around it, and by ON of the
// outer joins around it on whose other side rows are preserved. Then rows without the values are
// neither seen nor missed: the statement depends on the relation, at this place, through the other
// rows only. (Equality with a value is never true of NULL, so a row that an outer join makes up
// fails as well.)
//
// What equals a column of another place is linked to it (linked.h), as are the columns that USING
// and NATURAL make one of. What is said of a query's output is said within it, too, where that
// comes to the same (carried.h).
//
// Internal to proxy/sql. Not here: whether these columns are a key, and whether the values can be
// told (keyed.h, keys.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>

#include "proxy/sql/analysis.h"
#include "proxy/sql/linked.h"
#include "proxy/sql/template.h"

struct walk;

enum { FIXED_PARAMETERS_MAX = 64 }; // of higher ones it is not known how often they occur

struct fixed_scan {
    const PgQuery__RangeVar *relation; // borrows
    bool placed;                       // it is known what it names; else it is a CTE's name
    struct sql_scan scan;
};

struct fixed_carried { // a condition on an output of a query that was not walked yet; borrows
    const PgQuery__SelectStmt *query;
    const char *output;
    struct linked same; // as in a condition, as is what follows
    uint16_t first, count, tuple;
};

struct fixed { // zeroed to begin
    struct slice text; // that is being read; empty: where its constants are is not known
    struct template_constant *constants; // owns
    size_t n_constants;
    struct fixed_scan *scans; // own
    struct sql_fix *fixes;    // their columns borrow from the tree
    const PgQuery__RangeVar **links; // of fixes that are LINKED: to which place; borrow
    struct sql_value *values;
    struct fixed_carried *carried;
    uint16_t n_scans, n_fixes, n_values, n_carried;
    uint16_t n_tuples;
    uint8_t uses[FIXED_PARAMETERS_MAX];   // of parameters, from 1; 2: two or more
    uint32_t casts[FIXED_PARAMETERS_MAX]; // what each use of one is cast to; 0: not to one type
    bool lost; // more than there is room for: nothing is known
};

void fixed_begin(struct fixed *f, struct slice text);
void fixed_fini(struct fixed *f);

// Before what is in them is walked. w: where the statement stands, behind its CTEs.
void fixed_select(struct fixed *f, const struct walk *w, const PgQuery__SelectStmt *s);
void fixed_write(struct fixed *f, const ProtobufCMessage *statement); // INSERT, UPDATE, DELETE, any
// The walk has found that a relation is read or written, by which of its names (UINT32_MAX: not
// noted). One that was not foreseen is read or written as a whole.
void fixed_place(struct fixed *f, const PgQuery__RangeVar *relation, bool written, uint32_t name);
// cast: what the parameter is cast to there; NULL: it is not.
void fixed_parameter(struct fixed *f, int32_t number, const PgQuery__TypeName *cast);
bool fixed_is_shared(const struct fixed *f, uint16_t number); // see sql_value
// At the end: to which scan a fix is linked; UINT16_MAX: to none.
uint16_t fixed_link(const struct fixed *f, uint16_t fix);
