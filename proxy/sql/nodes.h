// SPDX-License-Identifier: Apache-2.0
// What single nodes of a parse tree say of themselves, for the walk over it. Pure.
#pragma once
#include <pg_query/pg_query.pb-c.h>
#include <stdbool.h>
#include <string.h>

static inline const char *node_string(const PgQuery__Node *node) // "" when it is no string
{
    return node->node_case == PG_QUERY__NODE__NODE_STRING ? node->string->sval : "";
}

// Of a name in parts: the last one, and whether it may be one of PostgreSQL's own, which is not
// qualified, or with pg_catalog.
static inline const char *node_last(PgQuery__Node **parts, size_t n)
{
    return n > 0 ? node_string(parts[n - 1]) : "";
}

static inline bool node_is_builtins(PgQuery__Node **parts, size_t n)
{
    return n == 1 || (n == 2 && strcmp(node_string(parts[0]), "pg_catalog") == 0);
}

bool node_is_local_set_config(const PgQuery__FuncCall *call); // ends with the transaction
bool node_names_its_setting(const PgQuery__FuncCall *call);   // of set_config()
bool node_is_of_the_key(PgQuery__SQLValueFunctionOp op);      // CURRENT_USER and its like
bool node_is_system_column(const char *name);
bool node_tells_of_its_argument(const char *name); // t.name, as a function of a row
bool node_is_star(const PgQuery__ColumnRef *ref); // *, or t.*
// t.* or (row).* among expressions: it stands for several.
bool node_has_star(PgQuery__Node *const *nodes, size_t n);
// Reviewed: means nothing by itself.
bool node_is_what_its_children_are(PgQuery__Node__NodeCase kind);
