// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/conditions.h"

#include "proxy/sql/fixed_values.h"
#include "proxy/sql/nodes.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum {
    ROWS_MAX = 32,  // of a list, or alternatives: more are more keys than are looked at
    EITHER_MAX = 8, // columns of which an OR may say something
};

static bool take_column(const PgQuery__Node *node, struct column_name *out)
{
    if (node == NULL || node->node_case != NODE(COLUMN_REF))
        return false;
    const PgQuery__ColumnRef *ref = node->column_ref;
    for (size_t i = 0; i < ref->n_fields; i++)
        if (ref->fields[i]->node_case != NODE(STRING))
            return false;
    if (ref->n_fields == 0 || ref->n_fields > 2)
        return false;
    out->place = ref->n_fields == 2 ? ref->fields[0]->string->sval : NULL;
    out->name = ref->fields[ref->n_fields - 1]->string->sval;
    return true;
}

bool conditions_same_column(const struct column_name *a, const struct column_name *b)
{
    return a->name != NULL && strcmp(a->name, b->name) == 0 &&
           (a->place == NULL) == (b->place == NULL) &&
           (a->place == NULL || strcmp(a->place, b->place) == 0);
}

static bool is_equality(const PgQuery__AExpr *e)
{
    return e->n_name == 1 && strcmp(node_string(e->name[0]), "=") == 0;
}

// What an expression says of a column, in values; false: nothing.
static bool take_comparison(struct fixed *f, const PgQuery__AExpr *e, struct column_name *column,
                            struct column_name *same)
{
    if (!is_equality(e))
        return false;
    switch ((int)e->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        if (take_column(e->lexpr, column) && take_column(e->rexpr, same))
            return true;
        same->name = NULL;
        return (take_column(e->lexpr, column) && fixed_take_value(f, e->rexpr, false)) ||
               (take_column(e->rexpr, column) && fixed_take_value(f, e->lexpr, false));
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return take_column(e->lexpr, column) && e->rexpr != NULL &&
               e->rexpr->node_case == NODE(LIST) &&
               fixed_take_list(f, e->rexpr->list->items, e->rexpr->list->n_items);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
        return take_column(e->lexpr, column) && fixed_take_array(f, e->rexpr);
    }
    return false;
}

static bool has_star(const PgQuery__Node *row)
{
    return row->node_case == NODE(ROW_EXPR) &&
           node_has_star(row->row_expr->args, row->row_expr->n_args);
}

// (a, b) = (1, 'x'), or IN ((1, 'x'), (2, 'y')): column by column. Where a star stands for several,
// as in (t.*, a) = (1, 2, u.*), it is not known which belongs to which.
static void add_rows(struct conditions *all, const PgQuery__RowExpr *columns, PgQuery__Node **rows,
                     size_t n, int from, int to)
{
    struct fixed *f = all->fixed;
    bool stars = node_has_star(columns->args, columns->n_args);
    for (size_t k = 0; k < n; k++)
        stars |= has_star(rows[k]);
    if (stars)
        return;
    f->n_tuples++;
    for (size_t i = 0; i < columns->n_args && n <= ROWS_MAX; i++) {
        struct condition c = {.from = from, .to = to, .tuple = f->n_tuples};
        bool taken = take_column(columns->args[i], &c.column) &&
                     all->n < CONDITIONS_MAX && fixed_has_room(f);
        c.first = f->n_values;
        for (size_t k = 0; k < n && taken; k++)
            taken = rows[k]->node_case == NODE(ROW_EXPR) &&
                    rows[k]->row_expr->n_args == columns->n_args &&
                    fixed_take_value(f, rows[k]->row_expr->args[i], false);
        c.count = (uint16_t)(f->n_values - c.first);
        if (taken)
            all->at[all->n++] = c;
        else
            f->n_values = c.first;
    }
}

static bool add_row_comparison(struct conditions *all, const PgQuery__AExpr *e, int from, int to)
{
    if (!is_equality(e) || e->lexpr == NULL || e->lexpr->node_case != NODE(ROW_EXPR) ||
        e->rexpr == NULL)
        return false;
    PgQuery__Node *one[] = {e->rexpr};
    if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP)
        add_rows(all, e->lexpr->row_expr, one, 1, from, to);
    else if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_IN && e->rexpr->node_case == NODE(LIST))
        add_rows(all, e->lexpr->row_expr, e->rexpr->list->items, e->rexpr->list->n_items, from, to);
    return true;
}

// One column equals another, which may be any place's.
static void add_same(struct conditions *all, struct column_name column, struct column_name same,
                     int from, int to)
{
    struct condition c = {.from = from, .to = to, .column = column};
    if (all->walk != NULL && same.place != NULL && all->n < CONDITIONS_MAX &&
        linked_find(all->walk, &all->sight, same.place, same.name, &c.same))
        all->at[all->n++] = c;
}

// It equals what a subquery gives.
static bool add_subquery(struct conditions *all, const PgQuery__Node *node,
                         const PgQuery__Node *query, PgQuery__SubLinkType type, int from, int to)
{
    struct condition c = {.from = from, .to = to};
    if (query == NULL || query->node_case != NODE(SUB_LINK) ||
        query->sub_link->sub_link_type != type)
        return false;
    if (all->walk != NULL && take_column(node, &c.column) && all->n < CONDITIONS_MAX &&
        linked_output(query->sub_link->subselect, &c.same))
        all->at[all->n++] = c;
    return true;
}

static void add_condition(struct conditions *all, const PgQuery__AExpr *e, int from, int to)
{
    const PgQuery__SubLinkType one = PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK;
    struct fixed *f = all->fixed;
    struct column_name same = {.name = NULL};
    if (add_row_comparison(all, e, from, to) || all->n == CONDITIONS_MAX || !fixed_has_room(f))
        return;
    if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && is_equality(e) &&
        (add_subquery(all, e->lexpr, e->rexpr, one, from, to) ||
         add_subquery(all, e->rexpr, e->lexpr, one, from, to)))
        return;
    struct condition c = {.from = from, .to = to, .first = f->n_values};
    if (!take_comparison(f, e, &c.column, &same)) {
        f->n_values = c.first; // what was taken before it failed
    } else if (same.name != NULL) { // either way round
        add_same(all, c.column, same, from, to);
        add_same(all, same, c.column, from, to);
    } else {
        c.count = (uint16_t)(f->n_values - c.first);
        all->at[all->n++] = c;
    }
}

// k IN (SELECT ...), k = ANY (SELECT ...)
static void add_in(struct conditions *all, const PgQuery__Node *node, int from, int to)
{
    const PgQuery__SubLink *in = node->sub_link;
    if (in->n_oper_name == 0 ||
        (in->n_oper_name == 1 && strcmp(node_string(in->oper_name[0]), "=") == 0))
        add_subquery(all, in->testexpr, node, PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK, from, to);
}

// ---- Alternatives -------------------------------------------------------------------------------

static bool is_bool(const PgQuery__Node *node, PgQuery__BoolExprType type)
{
    return node->node_case == NODE(BOOL_EXPR) && node->bool_expr->boolop == type;
}

// The values to which an arm restricts the column: one of the parts of an AND does, or all arms of
// another OR. What was taken before that failed does not stay.
static bool take_arm(struct fixed *f, const PgQuery__Node *node, const struct column_name *wanted)
{
    struct column_name column, same = {.name = NULL};
    uint16_t first = f->n_values;
    bool either = is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR);
    if (node->node_case == NODE(A_EXPR) && take_comparison(f, node->a_expr, &column, &same) &&
        same.name == NULL && conditions_same_column(&column, wanted))
        return true;
    if (either || is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)) {
        size_t taken = 0, n = node->bool_expr->n_args;
        for (size_t i = 0; i < n && (either ? taken == i : taken == 0); i++)
            taken += take_arm(f, node->bool_expr->args[i], wanted);
        if (either ? taken == n : taken == 1)
            return true;
    }
    f->n_values = first;
    return false;
}

// The columns of which an arm may say something: of another OR, what its first arm does.
static void name_columns(struct fixed *f, const PgQuery__Node *node, struct column_name *out,
                         size_t *n)
{
    struct column_name column, same = {.name = NULL};
    uint16_t first = f->n_values;
    if (node->node_case == NODE(A_EXPR) && *n < EITHER_MAX) {
        if (take_comparison(f, node->a_expr, &column, &same) && same.name == NULL)
            out[(*n)++] = column;
        f->n_values = first;
    } else if (is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)) {
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            name_columns(f, node->bool_expr->args[i], out, n);
    } else if (is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR)) {
        name_columns(f, node->bool_expr->args[0], out, n);
    }
}

// k = 1 OR k = 2, as k IN (1, 2); also where an arm restricts more: then it is of these at most.
static void add_either(struct conditions *all, const PgQuery__BoolExpr *either, int from, int to)
{
    struct fixed *f = all->fixed;
    struct column_name columns[EITHER_MAX];
    size_t n = 0;
    if (either->n_args == 0 || either->n_args > ROWS_MAX || !fixed_has_room(f))
        return;
    name_columns(f, either->args[0], columns, &n);
    f->n_tuples++;
    for (size_t i = 0; i < n && all->n < CONDITIONS_MAX; i++) {
        struct condition c = {.from = from, .to = to, .column = columns[i], .first = f->n_values};
        bool taken = true, one_each = true;
        for (size_t k = 0; k < either->n_args && taken; k++) {
            uint16_t before = f->n_values;
            taken = take_arm(f, either->args[k], &c.column);
            one_each &= f->n_values == before + 1;
        }
        c.count = (uint16_t)(f->n_values - c.first);
        c.tuple = one_each ? f->n_tuples : 0;
        if (taken)
            all->at[all->n++] = c;
        else
            f->n_values = c.first;
    }
}

void conditions_add(struct conditions *all, const PgQuery__Node *node, int from, int to)
{
    if (node == NULL)
        return;
    if (node->node_case == NODE(A_EXPR)) {
        add_condition(all, node->a_expr, from, to);
    } else if (is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)) {
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            conditions_add(all, node->bool_expr->args[i], from, to);
    } else if (is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR)) {
        add_either(all, node->bool_expr, from, to);
    } else if (node->node_case == NODE(SUB_LINK)) {
        add_in(all, node, from, to);
    }
}
