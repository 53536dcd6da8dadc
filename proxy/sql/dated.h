// SPDX-License-Identifier: Apache-2.0
// Which expressions are of a type of date and time, as far as the text can tell: columns, also
// those that a CTE, a query or generate_series() in FROM gives, and what is made of them. Internal
// to proxy/sql.
// Not here: of what types the relations' columns are, which are noted in the walk (typed.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>

struct walk;

// Is it, if the columns noted on the way (`dated`) are? Noted in vain, they cost nothing but a hit.
bool dated_is(struct walk *w, const PgQuery__Node *node);
