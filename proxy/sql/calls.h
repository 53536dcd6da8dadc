// SPDX-License-Identifier: Apache-2.0
// Calls of functions in a statement, and what may be one in other words ((x).f, g.f): what they may
// do, and which always give the same. Internal to proxy/sql.
// Not here: what the catalog says then (resolve.c); which functions of PostgreSQL's own are what
// (builtins.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>

struct walk;

void calls_judge(struct walk *w, const PgQuery__FuncCall *call, const char *schema,
                 const char *name);
void calls_judge_unknown(struct walk *w); // of a user's function that is in no list
// json_to_recordset(x) AS r(a int, b text) and its like: gives what it calls, if all columns' types
// read every text in one way, whatever is in the document.
const PgQuery__FuncCall *calls_safe_record(struct walk *w, const PgQuery__RangeFunction *f);
// (x).name of anything may be name(x), and PostgreSQL's own function, or a cast.
void calls_judge_field(struct walk *w, const char *name);
// When all has been walked.
void calls_judge_fields(struct walk *w);
