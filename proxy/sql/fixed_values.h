// SPDX-License-Identifier: Apache-2.0
// The constants and parameters that a statement compares columns with, or gives to new rows.
// Internal to fixed.c.
#pragma once
#include "proxy/sql/fixed.h"

bool fixed_has_room(struct fixed *f); // for one more of anything; in fixed.c

// A type that a value may be cast to, as a number of its own; 0: none of these, or NULL.
uint32_t fixed_cast(const PgQuery__TypeName *type);

// A constant or a parameter, cast or not. array: the cast must be to an array, if there is one.
// False: it is none, or there is no room.
bool fixed_take_value(struct fixed *f, const PgQuery__Node *node, bool array);
bool fixed_take_list(struct fixed *f, PgQuery__Node **items, size_t n); // what came first stays
bool fixed_take_array(struct fixed *f, const PgQuery__Node *node); // behind = ANY
