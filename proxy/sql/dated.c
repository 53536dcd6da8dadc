// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/dated.h"

#include "proxy/sql/builtins.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/typed.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum {
    STEPS_MAX = 50000, // in one statement: nobody writes so much but to keep us busy
    QUERIES_MAX = 8,   // within each other; deeper it is not followed
};

static bool is_datetime(struct walk *w, const PgQuery__Node *node);

static bool take_step(struct walk *w)
{
    return w->dated_steps < STEPS_MAX && ++w->dated_steps > 0;
}

// ---- What stands in a FROM ----------------------------------------------------------------------

// Where a column may come from.
struct sight {
    const char *place; // only from what has this name; NULL: from anywhere
    const char *name;
    size_t relations; // that may have it
    size_t outputs;   // of queries and functions that surely are it, all of them dates or times
    bool unsure;      // it may be something else
};

static void look_at(struct walk *w, const PgQuery__Node *item, struct sight *sight);

static bool is_another_place(const struct sight *sight, const char *name)
{
    return sight->place != NULL && strcmp(name, sight->place) != 0;
}

// The name that PostgreSQL gives it; NULL: it is not looked for.
static const char *name_of(const PgQuery__Node *value)
{
    while (value != NULL && value->node_case == NODE(TYPE_CAST) && value->type_cast->arg != NULL &&
           value->type_cast->arg->node_case != NODE(A_CONST) &&
           value->type_cast->arg->node_case != NODE(PARAM_REF) &&
           value->type_cast->arg->node_case != NODE(A_EXPR))
        value = value->type_cast->arg;
    if (value == NULL)
        return NULL;
    switch ((int)value->node_case) {
    case NODE(COLUMN_REF):
        return node_last(value->column_ref->fields, value->column_ref->n_fields);
    case NODE(FUNC_CALL):
        return node_last(value->func_call->funcname, value->func_call->n_funcname);
    case NODE(A_CONST):
    case NODE(PARAM_REF):
        return "?column?";
    case NODE(A_EXPR):
        return value->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP ? "?column?" : NULL;
    }
    return NULL;
}

static void look_at_star(struct walk *w, const PgQuery__SelectStmt *s,
                         const PgQuery__ColumnRef *star, struct sight *sight)
{
    struct sight within = {.name = sight->name};
    if (star->n_fields == 2)
        within.place = node_string(star->fields[0]);
    within.unsure = star->n_fields > 2;
    for (size_t i = 0; i < s->n_from_clause; i++)
        look_at(w, s->from_clause[i], &within);
    sight->relations += within.relations;
    sight->outputs += within.outputs;
    sight->unsure |= within.unsure;
}

static void look_at_output(struct walk *w, const PgQuery__SelectStmt *s,
                           const PgQuery__Node *target, struct sight *sight)
{
    const PgQuery__ResTarget *output =
        target->node_case == NODE(RES_TARGET) ? target->res_target : NULL;
    if (output == NULL || output->val == NULL || !take_step(w)) {
        sight->unsure = true;
        return;
    }
    if (output->val->node_case == NODE(COLUMN_REF) && node_is_star(output->val->column_ref)) {
        look_at_star(w, s, output->val->column_ref, sight);
        return;
    }
    const char *name = output->name[0] != 0 ? output->name : name_of(output->val);
    if (name != NULL && strcmp(name, sight->name) != 0)
        return;
    if (name != NULL && is_datetime(w, output->val))
        sight->outputs++;
    else
        sight->unsure = true;
}

// What it sees is not what is in sight where its column is cast: `scope` of CTEs, `outer` levels.
static void look_at_query(struct walk *w, const PgQuery__Node *query,
                          const struct walk_scope *scope, const struct walk_level *outer,
                          struct sight *sight)
{
    const PgQuery__SelectStmt *s =
        query != NULL && query->node_case == NODE(SELECT_STMT) ? query->select_stmt : NULL;
    if (s == NULL || s->op != PG_QUERY__SET_OPERATION__SETOP_NONE || s->n_values_lists > 0 ||
        s->with_clause != NULL || w->dated_depth == QUERIES_MAX) {
        sight->unsure = true;
        return;
    }
    const struct walk_scope *scope_here = w->scope;
    const struct walk_level *level_here = w->level;
    struct walk_level level = {s, outer, scope, NULL, false};
    w->scope = scope;
    w->level = &level;
    w->dated_depth++;
    for (size_t i = 0; i < s->n_target_list && !sight->unsure; i++)
        look_at_output(w, s, s->target_list[i], sight);
    w->dated_depth--;
    w->level = level_here;
    w->scope = scope_here;
}

static void look_at_relation(struct walk *w, const PgQuery__RangeVar *r, struct sight *sight)
{
    if (is_another_place(sight, r->alias != NULL ? r->alias->aliasname : r->relname))
        return;
    const struct walk_scope *scope = walk_cte_scope(w, r);
    if (r->alias != NULL && r->alias->n_colnames > 0)
        sight->unsure = true;
    else if (scope == NULL)
        sight->relations++;
    else if (scope->cte->n_aliascolnames > 0)
        sight->unsure = true;
    else
        look_at_query(w, scope->cte->ctequery, scope->sees, scope->around, sight);
}

static void look_at_subselect(struct walk *w, const PgQuery__RangeSubselect *s,
                              struct sight *sight)
{
    if (s->alias == NULL) {
        sight->unsure = true;
    } else if (!is_another_place(sight, s->alias->aliasname)) {
        sight->unsure |= s->alias->n_colnames > 0 || s->lateral;
        if (!sight->unsure)
            look_at_query(w, s->subquery, w->level->scope, w->level->outer, sight);
    }
}

// generate_series(...) AS d, or AS g(d), gives dates or times, or numbers, of which there is no
// cast to one.
static void look_at_function(const PgQuery__RangeFunction *f, struct sight *sight)
{
    const PgQuery__Alias *alias = f->alias;
    if (alias != NULL && is_another_place(sight, alias->aliasname))
        return;
    const PgQuery__Node *list = f->n_functions == 1 ? f->functions[0] : NULL;
    const PgQuery__Node *first =
        list != NULL && list->node_case == NODE(LIST) && list->list->n_items > 0
            ? list->list->items[0]
            : NULL;
    const PgQuery__FuncCall *call =
        first != NULL && first->node_case == NODE(FUNC_CALL) ? first->func_call : NULL;
    if (alias == NULL || alias->n_colnames > 1 || call == NULL || f->is_rowsfrom ||
        f->n_coldeflist > 0 ||
        !node_is_builtins(call->funcname, call->n_funcname) ||
        strcmp(node_last(call->funcname, call->n_funcname), "generate_series") != 0) {
        sight->unsure = true;
        return;
    }
    const char *name = alias->n_colnames == 1 ? node_string(alias->colnames[0]) : alias->aliasname;
    sight->outputs += strcmp(name, sight->name) == 0;
}

static void look_at(struct walk *w, const PgQuery__Node *item, struct sight *sight)
{
    if (sight->unsure || !take_step(w)) {
        sight->unsure = true;
        return;
    }
    switch ((int)item->node_case) {
    case NODE(JOIN_EXPR): {
        const PgQuery__JoinExpr *join = item->join_expr;
        sight->unsure |= join->alias != NULL || join->join_using_alias != NULL ||
                         join->larg == NULL || join->rarg == NULL;
        if (!sight->unsure) {
            look_at(w, join->larg, sight);
            look_at(w, join->rarg, sight);
        }
        return;
    }
    case NODE(RANGE_VAR):
        look_at_relation(w, item->range_var, sight);
        return;
    case NODE(RANGE_SUBSELECT):
        look_at_subselect(w, item->range_subselect, sight);
        return;
    case NODE(RANGE_FUNCTION):
        look_at_function(item->range_function, sight);
        return;
    }
    sight->unsure = true;
}

// ---- Columns ------------------------------------------------------------------------------------

// Of a row, they give a text: t.concat.
static bool may_be_of_row(const char *name)
{
    return strcmp(name, "concat") == 0 || strcmp(name, "quote_literal") == 0 ||
           strcmp(name, "quote_nullable") == 0;
}

static struct sight look_at_level(struct walk *w, const struct walk_level *level,
                                  struct sight sight)
{
    const struct walk_scope *scope = w->scope;
    const struct walk_level *here = w->level;
    w->level = level;
    w->scope = level->scope;
    for (size_t i = 0; i < level->select->n_from_clause; i++)
        look_at(w, level->select->from_clause[i], &sight);
    w->level = here;
    w->scope = scope;
    return sight;
}

// All that it may mean must be dates or times, at all levels: which of them it means is not looked
// at. But where a query beside it, in full sight, has an output of that name, a relation there has
// no such column: that would be ambiguous.
static bool is_datetime_column(struct walk *w, const PgQuery__ColumnRef *column)
{
    const char *name = node_last(column->fields, column->n_fields);
    if (column->n_fields < 1 || column->n_fields > 2 || may_be_of_row(name) ||
        column->fields[column->n_fields - 1]->node_case != NODE(STRING))
        return false;
    const char *place = column->n_fields == 2 ? node_string(column->fields[0]) : NULL;
    bool found = false, of_relation = false;
    for (const struct walk_level *l = w->level; l != NULL; l = l->outer) {
        struct sight sight = look_at_level(w, l, (struct sight){.place = place, .name = name});
        bool whole = !l->in_from && l->before == NULL;
        if (sight.unsure)
            return false;
        found |= sight.relations + sight.outputs > 0;
        of_relation |= sight.relations > 0 && !(sight.outputs > 0 && whole);
    }
    if (!of_relation)
        return found;
    return w->dated.count < TYPED_COLUMNS_MAX &&
           walk_name(w, &w->dated, "", name) != UINT32_MAX;
}

// ---- Expressions --------------------------------------------------------------------------------

static bool is_datetime_call(struct walk *w, const PgQuery__FuncCall *call)
{
    struct slice name = slice_str(node_last(call->funcname, call->n_funcname));
    if (!node_is_builtins(call->funcname, call->n_funcname))
        return false;
    return builtin_function_gives_datetime(name) ||
           (builtin_function_gives_its_argument(name) && call->n_args > 0 &&
            is_datetime(w, call->args[0]));
}

// What is added to a date or time, or taken from one, gives another, or a number, of which there is
// no cast to one.
static bool is_datetime_sum(struct walk *w, const PgQuery__AExpr *e)
{
    const char *name = node_last(e->name, e->n_name);
    if (e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || !node_is_builtins(e->name, e->n_name) ||
        (strcmp(name, "+") != 0 && strcmp(name, "-") != 0))
        return false;
    return is_datetime(w, e->lexpr) || is_datetime(w, e->rexpr);
}

// All results have one type.
static bool is_datetime_case(struct walk *w, const PgQuery__CaseExpr *e)
{
    for (size_t i = 0; i < e->n_args; i++)
        if (e->args[i]->node_case == NODE(CASE_WHEN) &&
            is_datetime(w, e->args[i]->case_when->result))
            return true;
    return is_datetime(w, e->defresult);
}

static bool is_datetime(struct walk *w, const PgQuery__Node *node)
{
    if (node == NULL || !take_step(w))
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
    case NODE(CASE_EXPR):
        return is_datetime_case(w, node->case_expr);
    case NODE(MIN_MAX_EXPR):
        return node->min_max_expr->n_args > 0 && is_datetime(w, node->min_max_expr->args[0]);
    case NODE(TYPE_CAST): {
        const PgQuery__TypeName *type = node->type_cast->type_name;
        return type != NULL && type->n_array_bounds == 0 &&
               node_is_builtins(type->names, type->n_names) &&
               builtin_type_is_datetime(slice_str(node_last(type->names, type->n_names)));
    }
    }
    return false;
}

bool dated_is(struct walk *w, const PgQuery__Node *node)
{
    return is_datetime(w, node);
}
