// SPDX-License-Identifier: Apache-2.0
// What the conditions of one statement say of columns: that one equals constants or parameters, or
// a column of another place. Taken from what they say together (AND), and from an OR each arm of
// which says it of one column, other ORs within it included; nothing under NOT or CASE counts.
// Internal to proxy/sql. Not here: which place in FROM a column is of (fixed.h), where the other
// one is (linked.h).
#pragma once
#include "proxy/sql/fixed.h"
#include "proxy/sql/linked.h"

enum { CONDITIONS_MAX = 64 }; // of one statement; those beyond are left out

struct column_name {
    const char *place; // NULL: not qualified
    const char *name;  // empty: any that the two sides of a NATURAL JOIN have in common
};
bool conditions_same_column(const struct column_name *a, const struct column_name *b);

// It holds of the items [from, to) of FROM.
struct condition {
    int from, to;
    struct column_name column;
    bool sides;         // of two items that USING or NATURAL joins, each by itself: theirs, as they
                        // are, not what joins made of several
    struct linked same; // its relation is NULL: the column equals one of the values
    uint16_t first, count;
    uint16_t tuple; // as in a fix
};

struct conditions {
    struct fixed *fixed;
    const struct walk *walk;   // NULL: it is a write's, whose columns are not looked for elsewhere
    struct linked_sight sight; // of the conditions at hand
    struct condition at[CONDITIONS_MAX];
    int n;
};

void conditions_add(struct conditions *all, const PgQuery__Node *node, int from, int to);
