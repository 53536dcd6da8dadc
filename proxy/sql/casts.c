// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/casts.h"

#include "proxy/sql/builtins.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/typed.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

static const char *last_of(PgQuery__Node **parts, size_t n)
{
    return n > 0 ? node_string(parts[n - 1]) : "";
}

// Not qualified, or with pg_catalog.
static bool is_builtins(PgQuery__Node **parts, size_t n)
{
    return n == 1 || (n == 2 && strcmp(node_string(parts[0]), "pg_catalog") == 0);
}

static bool is_constant(const PgQuery__Node *node)
{
    return node != NULL &&
           (node->node_case == NODE(PARAM_REF) ||
            (node->node_case == NODE(A_CONST) &&
             node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL));
}

// ---- Columns ------------------------------------------------------------------------------------

// What stands in a FROM, from one of its items on.
struct items {
    size_t named; // have the name that is looked for
    bool plain;   // those in question are relations with their own columns' names
};

// CTEs, queries, functions, and relations or joins whose columns are renamed have columns of types
// that are not looked for. place: only what has this name is in question; NULL: all of it.
static void look_at(const struct walk *w, const PgQuery__Node *item, const char *place,
                    struct items *items)
{
    if (item->node_case == NODE(JOIN_EXPR)) {
        const PgQuery__JoinExpr *join = item->join_expr;
        items->plain &= join->alias == NULL && join->join_using_alias == NULL;
        if (join->larg != NULL && join->rarg != NULL) {
            look_at(w, join->larg, place, items);
            look_at(w, join->rarg, place, items);
        }
    } else if (item->node_case == NODE(RANGE_VAR)) {
        const PgQuery__RangeVar *r = item->range_var;
        const char *name = r->alias != NULL ? r->alias->aliasname : r->relname;
        if (place != NULL && strcmp(name, place) != 0)
            return;
        items->named++;
        items->plain &= walk_cte(w, r) == NULL && (r->alias == NULL || r->alias->n_colnames == 0);
    } else {
        const PgQuery__Alias *alias = item->node_case == NODE(RANGE_SUBSELECT)
                                          ? item->range_subselect->alias
                                      : item->node_case == NODE(RANGE_FUNCTION)
                                          ? item->range_function->alias
                                          : NULL;
        items->plain &= place != NULL && alias != NULL && strcmp(alias->aliasname, place) != 0;
    }
}

// Of a row, they give a text: t.concat.
static bool may_be_of_row(const char *name)
{
    return strcmp(name, "concat") == 0 || strcmp(name, "quote_literal") == 0 ||
           strcmp(name, "quote_nullable") == 0;
}

// Is it a column of a relation that the statement reads, and of nothing else that it may mean?
static bool is_of_relation(const struct walk *w, const PgQuery__ColumnRef *column)
{
    struct items items = {.plain = true};
    if (column->n_fields < 1 || column->n_fields > 2 ||
        may_be_of_row(last_of(column->fields, column->n_fields)) ||
        column->fields[column->n_fields - 1]->node_case != NODE(STRING))
        return false;
    const char *place = column->n_fields == 2 ? node_string(column->fields[0]) : NULL;
    for (const struct walk_level *l = w->level; l != NULL; l = l->outer)
        for (size_t i = 0; i < l->select->n_from_clause; i++)
            look_at(w, l->select->from_clause[i], place, &items);
    return items.plain && items.named > 0;
}

static bool is_datetime_column(struct walk *w, const PgQuery__ColumnRef *column)
{
    return is_of_relation(w, column) && w->dated.count < TYPED_COLUMNS_MAX &&
           walk_name(w, &w->dated, "", last_of(column->fields, column->n_fields)) != UINT32_MAX;
}

// ---- Expressions --------------------------------------------------------------------------------

static bool is_datetime(struct walk *w, const PgQuery__Node *node);

static bool is_datetime_call(struct walk *w, const PgQuery__FuncCall *call)
{
    struct slice name = slice_str(last_of(call->funcname, call->n_funcname));
    if (!is_builtins(call->funcname, call->n_funcname))
        return false;
    return builtin_function_gives_datetime(name) ||
           (builtin_function_gives_its_argument(name) && call->n_args > 0 &&
            is_datetime(w, call->args[0]));
}

// What is added to a date or time, or taken from one, gives another, or a number, of which there is
// no cast to one.
static bool is_datetime_sum(struct walk *w, const PgQuery__AExpr *e)
{
    const char *name = last_of(e->name, e->n_name);
    if (e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || !is_builtins(e->name, e->n_name) ||
        (strcmp(name, "+") != 0 && strcmp(name, "-") != 0))
        return false;
    return is_datetime(w, e->lexpr) || is_datetime(w, e->rexpr);
}

// Is it of a type of date and time, if the columns noted on the way are? (Noted in vain, they cost
// nothing but a hit.)
static bool is_datetime(struct walk *w, const PgQuery__Node *node)
{
    if (node == NULL)
        return false;
    switch ((int)node->node_case) {
    case NODE(COLUMN_REF):
        return is_datetime_column(w, node->column_ref);
    case NODE(FUNC_CALL):
        return is_datetime_call(w, node->func_call);
    case NODE(A_EXPR):
        return is_datetime_sum(w, node->a_expr);
    case NODE(COALESCE_EXPR): // all have one type, and a text is no date
        return node->coalesce_expr->n_args > 0 && is_datetime(w, node->coalesce_expr->args[0]);
    case NODE(MIN_MAX_EXPR):
        return node->min_max_expr->n_args > 0 && is_datetime(w, node->min_max_expr->args[0]);
    case NODE(TYPE_CAST): {
        const PgQuery__TypeName *type = node->type_cast->type_name;
        return type != NULL && type->n_array_bounds == 0 &&
               is_builtins(type->names, type->n_names) &&
               builtin_type_is_datetime(slice_str(last_of(type->names, type->n_names)));
    }
    }
    return false;
}

// ---- Casts --------------------------------------------------------------------------------------

// A type that is not PostgreSQL's own, by its name: most of these have a function of their name.
static bool may_be_users(const char *schema, struct slice name)
{
    return strncmp(schema, "pg_", 3) != 0 &&
           (schema[0] != 0 || (builtin_function_volatility(name) == VOLATILITY_UNKNOWN &&
                               !builtin_field_casts(name)));
}

static bool is_allowed(struct walk *w, const PgQuery__TypeCast *cast, const char *schema,
                       const char *type)
{
    struct slice name = slice_str(type);
    bool constant = is_constant(cast->arg);
    bool builtin = schema[0] == 0 || strcmp(schema, "pg_catalog") == 0;
    if (builtin && builtin_cast_cacheable(name, constant))
        return true;
    if (builtin && builtin_cast_searches_text(name, constant)) {
        w->searches_text = true;
        return true;
    }
    if (constant && may_be_users(schema, name))
        return walk_name(w, &w->types, schema, type) != UINT32_MAX;
    return builtin && cast->type_name->n_array_bounds == 0 && builtin_type_is_datetime(name) &&
           is_datetime(w, cast->arg);
}

void casts_judge(struct walk *w, const PgQuery__TypeCast *cast)
{
    const PgQuery__TypeName *type = cast->type_name;
    if (type == NULL) {
        walk_deny(w, BYPASS_CAST);
        return;
    }
    const char *schema = type->n_names > 1 ? node_string(type->names[type->n_names - 2]) : "";
    const char *name = last_of(type->names, type->n_names);
    walk_name(w, &w->casts, schema, name);
    if (type->setof || type->pct_type || type->n_names > 2 || !is_allowed(w, cast, schema, name))
        walk_deny(w, BYPASS_CAST);
}

void casts_judge_field(struct walk *w, const char *name)
{
    struct slice type = slice_str(name);
    if (builtin_field_casts(type))
        walk_deny(w, BYPASS_CAST);
    else if (!builtin_cast_cacheable(type, false))
        walk_name(w, &w->perhaps, "", name);
}
