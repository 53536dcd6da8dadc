// SPDX-License-Identifier: Apache-2.0
// The walk over a parse tree that gathers what an analysis holds: relations by CTE scope,
// functions, operators, casts, and the first reason not to cache. One walk for one text; it lives
// on the stack of the thread that parses. Internal to proxy/sql.
// Not here: what a whole statement means (classify.h).
#pragma once
#include <pg_query/pg_query.pb-c.h>

#include "proxy/sql/analysis.h"
#include "proxy/sql/casts.h"
#include "proxy/sql/columns.h"
#include "proxy/sql/fixed.h"

enum { WALK_NAMES_MAX = 256 }; // distinct names of a kind; more: not cached, and a barrier

struct walk_names {
    struct sql_name *at; // owns; the bytes are borrowed from the tree
    uint32_t count;
};

struct walk_scope { // the CTEs that are visible, innermost first
    const PgQuery__CommonTableExpr *cte; // borrows; NULL: hides nothing
    const struct walk_scope *outer;
    const struct walk_scope *sees; // those that its own query sees
    const struct walk_level *around; // and what is around its statement
    const ProtobufCMessage *statement; // that it belongs to
};

struct walk {
    struct walk_names reads;
    struct walk_names catalogs;
    struct walk_names writes;
    struct walk_names functions;
    struct walk_names fields;
    struct walk_names operators;
    struct walk_names casts;
    struct walk_names dated;   // see the analysis; likewise the next two
    struct walk_names types;
    struct walk_names perhaps;
    struct fixed fixed;
    struct columns columns;
    const struct walk_scope *scope; // borrows
    const struct walk_level *level; // borrows
    const PgQuery__FuncCall *record; // in FROM, with its columns' types, all safe; borrows
    uint32_t dated_steps; // taken in dated.c
    uint8_t dated_depth;  // and how deep it is now
    const PgQuery__RangeVar *target; // of the writing statement that is being walked; borrows
    enum bypass bypass; // the first reason met
    uint64_t reasons;   // all of them: bits 1 << enum bypass
    uint32_t effects;
    uint8_t resets;
    bool rereads;
    bool defines;       // inside a definition: what it names is not run, read or written now
    bool plans;         // inside what is planned and not run: its targets count as read
    bool writes_unknown;
    bool calls_unknown;     // what it calls may write: it is in functions or operators
    bool calls_unknown_function;
    bool reshapes;
    bool touches_unnamed;
    uint8_t ddl;        // enum ddl
    bool changes_roles;
    bool starts;        // its last transaction statement is START TRANSACTION
    bool has_parameters;
    bool tells_time;
    bool searches_text;
    bool zones;
    bool gets;
    bool calls_in_from; // a function in FROM, whose alias may be of any type
    bool on_conflict;
    const char *prepared; // the name in PREPARE, EXECUTE, DEALLOCATE; borrows from the tree
    const char *channel;  // of LISTEN and UNLISTEN; likewise
    bool unlistens;
};

void walk_fini(struct walk *w);

void walk_node(struct walk *w, const PgQuery__Node *node); // NULL is fine
void walk_message(struct walk *w, const ProtobufCMessage *message);
void walk_children(struct walk *w, const ProtobufCMessage *message);

// Is it CURRENT_TIMESTAMP or one of its like? They are the first ones.
static inline bool walk_is_time(const PgQuery__SQLValueFunction *f)
{
    return f->op <= PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N;
}

void walk_deny(struct walk *w, enum bypass reason);
bool walk_searches_text(struct walk *w, bool it_does); // notes it; the same
// Adds a name to one of the lists. Which one it is; UINT32_MAX: it is not noted.
uint32_t walk_name(struct walk *w, struct walk_names *names, const char *schema, const char *name);
// The CTE that a relation's name means here; NULL: none.
const PgQuery__CommonTableExpr *walk_cte(const struct walk *w, const PgQuery__RangeVar *relation);
const struct walk_scope *walk_cte_scope(const struct walk *w, const PgQuery__RangeVar *relation);
void walk_read(struct walk *w, const PgQuery__RangeVar *relation);
void walk_write(struct walk *w, const PgQuery__RangeVar *relation);
bool walk_is_temporary(const PgQuery__RangeVar *relation); // TEMP, or in pg_temp by name
