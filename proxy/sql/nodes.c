// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/nodes.h"

#include <string.h>

#define NODE(name) PG_QUERY__NODE__NODE_##name

// set_config(name, value, true) ends with the transaction; only a literal true is surely true.
bool node_is_local_set_config(const PgQuery__FuncCall *call)
{
    if (call->n_args != 3 || call->args[2]->node_case != NODE(A_CONST))
        return false;
    const PgQuery__AConst *local = call->args[2]->a_const;
    return local->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL && local->boolval->boolval;
}

// Is the setting's name in the text or among the values, for all to see?
bool node_names_its_setting(const PgQuery__FuncCall *call)
{
    const PgQuery__Node *name = call->n_args > 0 ? call->args[0] : NULL;
    while (name != NULL && name->node_case == NODE(TYPE_CAST))
        name = name->type_cast->arg;
    return name != NULL &&
           (name->node_case == NODE(A_CONST) || name->node_case == NODE(PARAM_REF));
}

// The role in its ways, the session's user, the database: each profile has its own entries.
bool node_is_of_the_key(PgQuery__SQLValueFunctionOp op)
{
    return op >= PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE &&
           op <= PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_CATALOG;
}

bool node_is_system_column(const char *name)
{
    static const char *const names[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

// PostgreSQL's own functions of a row that give more than what is in it.
bool node_tells_of_its_argument(const char *name)
{
    static const char *const names[] = {"pg_collation_for", "pg_column_compression",
                                        "pg_column_size", "pg_typeof"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool ends_in_star(PgQuery__Node *const *parts, size_t n)
{
    return n > 0 && parts[n - 1]->node_case == NODE(A_STAR);
}

bool node_is_star(const PgQuery__ColumnRef *ref)
{
    return ends_in_star(ref->fields, ref->n_fields);
}

bool node_has_star(PgQuery__Node *const *nodes, size_t n)
{
    bool has = false;
    for (size_t i = 0; i < n; i++)
        if (nodes[i]->node_case == NODE(COLUMN_REF))
            has |= node_is_star(nodes[i]->column_ref);
        else if (nodes[i]->node_case == NODE(A_INDIRECTION))
            has |= ends_in_star(nodes[i]->a_indirection->indirection,
                                nodes[i]->a_indirection->n_indirection);
    return has;
}

// Reviewed: these mean nothing by themselves.
bool node_is_what_its_children_are(PgQuery__Node__NodeCase kind)
{
    switch ((int)kind) {
    case NODE(ALIAS):
    case NODE(A_ARRAY_EXPR):
    case NODE(A_INDICES):
    case NODE(A_STAR):
    case NODE(BIT_STRING):
    case NODE(BOOLEAN):
    case NODE(BOOLEAN_TEST):
    case NODE(BOOL_EXPR):
    case NODE(CASE_WHEN):
    case NODE(COALESCE_EXPR):
    case NODE(COMMON_TABLE_EXPR):
    case NODE(CTECYCLE_CLAUSE):
    case NODE(CTESEARCH_CLAUSE):
    case NODE(FLOAT):
    case NODE(GROUPING_FUNC):
    case NODE(GROUPING_SET):
    case NODE(INTEGER):
    case NODE(LIST):
    case NODE(MIN_MAX_EXPR):
    case NODE(NAMED_ARG_EXPR):
    case NODE(NULL_TEST):
    case NODE(RANGE_FUNCTION):
    case NODE(RANGE_SUBSELECT):
    case NODE(RES_TARGET):
    case NODE(ROW_EXPR):
    case NODE(WINDOW_DEF):
        return true;
    }
    return false;
}
