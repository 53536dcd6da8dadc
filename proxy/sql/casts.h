// SPDX-License-Identifier: Apache-2.0
// Casts in a statement: which of them always give the same for the same value, as far as the text
// can tell; what is left to the catalog is noted in the walk (`types`, `perhaps`).
// Internal to proxy/sql.
// Not here: what is a date or time (dated.h); what the catalog says then (typed.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>

struct walk;
struct walk_scope;

// One SELECT whose relations are in sight, and those around it; innermost first.
struct walk_level {
    const PgQuery__SelectStmt *select;
    const struct walk_level *outer;
    const struct walk_scope *scope; // the CTEs that its FROM sees
    const PgQuery__RangeSubselect *before; // only those before it are; NULL: all
    bool in_from; // only some are, which is not known: within its FROM, in ON or a function
};

// A type that something of the statement's becomes.
void casts_note(struct walk *w, const PgQuery__TypeName *type);
void casts_note_any(struct walk *w, const ProtobufCMessage *message); // if it is one
// All but what is cast.
void casts_judge(struct walk *w, const PgQuery__TypeCast *cast);

// (x).name, which may be a function's call, name(x), or a cast of x.
void casts_judge_field(struct walk *w, const char *name);

// date(x) and its like, where that casts one date or time to another. (Of a text it reads words.)
bool casts_judge_call(struct walk *w, const PgQuery__FuncCall *call, const char *name);
