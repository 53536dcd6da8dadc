// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/fixed.h"

#include "base/mem.h"
#include "proxy/sql/fixed_values.h"
#include "proxy/sql/linked.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum {
    SCANS_MAX = 64,
    FIXES_MAX = 256,
    VALUES_MAX = 512,
    LEAVES_MAX = 32,     // relations in one FROM
    CONDITIONS_MAX = 64, // of one statement
    ROWS_MAX = 32,       // of one INSERT, or alternatives: more are more keys than are looked at
    EITHER_MAX = 8,      // columns of which an OR may say something
};

void fixed_begin(struct fixed *f, struct slice text)
{
    f->text = text;
    f->constants = mem_alloc(TEMPLATE_CONSTANTS_MAX * sizeof(*f->constants));
    f->n_constants = template_constants(text, f->constants);
}

void fixed_fini(struct fixed *f)
{
    mem_free(f->constants);
    mem_free(f->scans);
    mem_free(f->fixes);
    mem_free(f->links);
    mem_free(f->values);
}

void fixed_parameter(struct fixed *f, int32_t number, const PgQuery__TypeName *cast)
{
    uint32_t type = fixed_cast(cast);
    if (number < 1 || number >= FIXED_PARAMETERS_MAX)
        return;
    f->casts[number] = f->uses[number] == 0 || f->casts[number] == type ? type : 0;
    if (f->uses[number] < 2)
        f->uses[number]++;
}

// With a cast to one type everywhere it is of that type, whichever use is met first.
bool fixed_is_shared(const struct fixed *f, uint16_t number)
{
    return number >= FIXED_PARAMETERS_MAX || (f->uses[number] > 1 && f->casts[number] == 0);
}

// ---- Room ---------------------------------------------------------------------------------------

bool fixed_has_room(struct fixed *f)
{
    if (f->scans == NULL) {
        f->scans = mem_alloc(SCANS_MAX * sizeof(*f->scans));
        f->fixes = mem_alloc(FIXES_MAX * sizeof(*f->fixes));
        f->links = mem_alloc(FIXES_MAX * sizeof(*f->links));
        f->values = mem_alloc(VALUES_MAX * sizeof(*f->values));
    }
    f->lost |= f->n_scans == SCANS_MAX || f->n_fixes == FIXES_MAX || f->n_values == VALUES_MAX;
    return !f->lost;
}

static struct fixed_scan *add_scan(struct fixed *f, const PgQuery__RangeVar *relation)
{
    if (!fixed_has_room(f))
        return NULL;
    struct fixed_scan *s = &f->scans[f->n_scans++];
    *s = (struct fixed_scan){.relation = relation, .scan = {.first = f->n_fixes}};
    return s;
}

// Fixes are added to the scan that was added last. link: of a LINKED one, else NULL.
static void add_linked_fix(struct fixed *f, struct sql_fix fix, const PgQuery__RangeVar *link)
{
    if (!fixed_has_room(f))
        return;
    f->links[f->n_fixes] = link;
    f->fixes[f->n_fixes++] = fix;
    f->scans[f->n_scans - 1].scan.count++;
}

static void add_fix(struct fixed *f, struct sql_fix fix)
{
    add_linked_fix(f, fix, NULL);
}

uint16_t fixed_link(const struct fixed *f, uint16_t fix)
{
    for (uint16_t i = 0; f->links[fix] != NULL && i < f->n_scans; i++)
        if (f->scans[i].relation == f->links[fix] && f->scans[i].placed)
            return i;
    return f->fixes[fix].kind == FIX_LINKED ? UINT16_MAX : f->fixes[fix].other;
}

void fixed_place(struct fixed *f, const PgQuery__RangeVar *relation, bool written, uint32_t name)
{
    struct fixed_scan *scan = NULL;
    if (name == UINT32_MAX) // no name: no place needed
        return;
    for (uint16_t i = 0; i < f->n_scans && scan == NULL; i++)
        if (f->scans[i].relation == relation && !f->scans[i].placed)
            scan = &f->scans[i];
    if (scan == NULL) {
        scan = add_scan(f, relation);
        if (scan == NULL)
            return;
        scan->scan.whole = true;
    }
    scan->placed = true;
    scan->scan.name = (uint16_t)name;
    scan->scan.written = written;
}

// ---- Conditions ---------------------------------------------------------------------------------

struct column {
    const char *place; // NULL: not qualified
    const char *name;
};

// It holds of the leaves [from, to).
struct condition {
    int from, to;
    struct column column;
    struct linked same; // its relation is NULL: the column equals one of the values
    uint16_t first, count;
    uint16_t tuple; // as in a fix
};

struct leaf {
    const PgQuery__RangeVar *relation;
    bool renamed; // its columns may have other names here
};

struct level { // one SELECT, or one UPDATE or DELETE
    struct fixed *fixed;
    const struct walk *walk;   // NULL: it is a write's, whose columns are not looked for elsewhere
    struct linked_sight sight; // of the conditions at hand
    struct leaf leaves[LEAVES_MAX];
    int n_leaves;
    struct condition conditions[CONDITIONS_MAX]; // those beyond are left out
    int n_conditions;
    bool full;   // leaves were left out
    bool merged, others; // a join makes one column of two; there are items that are no relations
};

static bool take_column(const PgQuery__Node *node, struct column *out)
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

static bool is_equality(const PgQuery__AExpr *e)
{
    return e->n_name == 1 && strcmp(node_string(e->name[0]), "=") == 0;
}

// What an expression says of a column, in values; false: nothing.
static bool take_comparison(struct fixed *f, const PgQuery__AExpr *e, struct column *column,
                            struct column *same)
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

// (a, b) = (1, 'x'), or IN ((1, 'x'), (2, 'y')): column by column.
static void add_rows(struct level *l, const PgQuery__RowExpr *columns, PgQuery__Node **rows,
                     size_t n, int from, int to)
{
    struct fixed *f = l->fixed;
    f->n_tuples++;
    for (size_t i = 0; i < columns->n_args && n <= ROWS_MAX; i++) {
        struct condition c = {.from = from, .to = to, .tuple = f->n_tuples};
        bool taken = take_column(columns->args[i], &c.column) &&
                     l->n_conditions < CONDITIONS_MAX && fixed_has_room(f);
        c.first = f->n_values;
        for (size_t k = 0; k < n && taken; k++)
            taken = rows[k]->node_case == NODE(ROW_EXPR) &&
                    rows[k]->row_expr->n_args == columns->n_args &&
                    fixed_take_value(f, rows[k]->row_expr->args[i], false);
        c.count = (uint16_t)(f->n_values - c.first);
        if (taken)
            l->conditions[l->n_conditions++] = c;
        else
            f->n_values = c.first;
    }
}

static bool add_row_comparison(struct level *l, const PgQuery__AExpr *e, int from, int to)
{
    if (!is_equality(e) || e->lexpr == NULL || e->lexpr->node_case != NODE(ROW_EXPR) ||
        e->rexpr == NULL)
        return false;
    PgQuery__Node *one[] = {e->rexpr};
    if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP)
        add_rows(l, e->lexpr->row_expr, one, 1, from, to);
    else if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_IN && e->rexpr->node_case == NODE(LIST))
        add_rows(l, e->lexpr->row_expr, e->rexpr->list->items, e->rexpr->list->n_items, from, to);
    return true;
}

// One column equals another, which may be any place's.
static void add_same(struct level *l, struct column column, struct column same, int from, int to)
{
    struct condition c = {.from = from, .to = to, .column = column};
    if (l->walk != NULL && same.place != NULL && l->n_conditions < CONDITIONS_MAX &&
        linked_find(l->walk, &l->sight, same.place, same.name, &c.same))
        l->conditions[l->n_conditions++] = c;
}

// It equals what a subquery gives.
static bool add_subquery(struct level *l, const PgQuery__Node *node, const PgQuery__Node *query,
                         PgQuery__SubLinkType type, int from, int to)
{
    struct condition c = {.from = from, .to = to};
    if (query == NULL || query->node_case != NODE(SUB_LINK) ||
        query->sub_link->sub_link_type != type)
        return false;
    if (l->walk != NULL && take_column(node, &c.column) && l->n_conditions < CONDITIONS_MAX &&
        linked_output(query->sub_link->subselect, &c.same))
        l->conditions[l->n_conditions++] = c;
    return true;
}

static void add_condition(struct level *l, const PgQuery__AExpr *e, int from, int to)
{
    const PgQuery__SubLinkType one = PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK;
    struct fixed *f = l->fixed;
    struct column same = {.name = NULL};
    if (add_row_comparison(l, e, from, to) || l->n_conditions == CONDITIONS_MAX ||
        !fixed_has_room(f))
        return;
    if (e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && is_equality(e) &&
        (add_subquery(l, e->lexpr, e->rexpr, one, from, to) ||
         add_subquery(l, e->rexpr, e->lexpr, one, from, to)))
        return;
    struct condition c = {.from = from, .to = to, .first = f->n_values};
    if (!take_comparison(f, e, &c.column, &same)) {
        f->n_values = c.first; // what was taken before it failed
    } else if (same.name != NULL) { // either way round
        add_same(l, c.column, same, from, to);
        add_same(l, same, c.column, from, to);
    } else {
        c.count = (uint16_t)(f->n_values - c.first);
        l->conditions[l->n_conditions++] = c;
    }
}

// k IN (SELECT ...), k = ANY (SELECT ...)
static void add_in(struct level *l, const PgQuery__Node *node, int from, int to)
{
    const PgQuery__SubLink *in = node->sub_link;
    if (in->n_oper_name == 0 ||
        (in->n_oper_name == 1 && strcmp(node_string(in->oper_name[0]), "=") == 0))
        add_subquery(l, in->testexpr, node, PG_QUERY__SUB_LINK_TYPE__ANY_SUBLINK, from, to);
}

// ---- Alternatives -------------------------------------------------------------------------------

static bool is_column(const struct column *a, const struct column *b)
{
    return strcmp(a->name, b->name) == 0 && (a->place == NULL) == (b->place == NULL) &&
           (a->place == NULL || strcmp(a->place, b->place) == 0);
}

static bool is_bool(const PgQuery__Node *node, PgQuery__BoolExprType type)
{
    return node->node_case == NODE(BOOL_EXPR) && node->bool_expr->boolop == type;
}

// The values to which an arm restricts the column: one of the parts of an AND does, or all arms of
// another OR. What was taken before that failed does not stay.
static bool take_arm(struct fixed *f, const PgQuery__Node *node, const struct column *wanted)
{
    struct column column, same = {.name = NULL};
    uint16_t first = f->n_values;
    bool either = is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR);
    if (node->node_case == NODE(A_EXPR) && take_comparison(f, node->a_expr, &column, &same) &&
        same.name == NULL && is_column(&column, wanted))
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
static void name_columns(struct fixed *f, const PgQuery__Node *node, struct column *out, size_t *n)
{
    struct column column, same = {.name = NULL};
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
static void add_either(struct level *l, const PgQuery__BoolExpr *either, int from, int to)
{
    struct fixed *f = l->fixed;
    struct column columns[EITHER_MAX];
    size_t n = 0;
    if (either->n_args == 0 || either->n_args > ROWS_MAX || !fixed_has_room(f))
        return;
    name_columns(f, either->args[0], columns, &n);
    f->n_tuples++;
    for (size_t i = 0; i < n && l->n_conditions < CONDITIONS_MAX; i++) {
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
            l->conditions[l->n_conditions++] = c;
        else
            f->n_values = c.first;
    }
}

static void add_conditions(struct level *l, const PgQuery__Node *node, int from, int to)
{
    if (node == NULL)
        return;
    if (node->node_case == NODE(A_EXPR)) {
        add_condition(l, node->a_expr, from, to);
    } else if (is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)) {
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            add_conditions(l, node->bool_expr->args[i], from, to);
    } else if (is_bool(node, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR)) {
        add_either(l, node->bool_expr, from, to);
    } else if (node->node_case == NODE(SUB_LINK)) {
        add_in(l, node, from, to);
    }
}

// ---- FROM ---------------------------------------------------------------------------------------

static void add_leaf(struct level *l, const PgQuery__RangeVar *relation)
{
    l->full |= l->n_leaves == LEAVES_MAX;
    if (!l->full)
        l->leaves[l->n_leaves++] = (struct leaf){
            relation, relation->alias != NULL && relation->alias->n_colnames > 0};
}

static void add_from(struct level *l, const PgQuery__Node *node);

static void add_join(struct level *l, const PgQuery__JoinExpr *join)
{
    PgQuery__Node *sides[] = {join->larg, join->rarg};
    int from = l->n_leaves;
    add_from(l, join->larg);
    int middle = l->n_leaves;
    add_from(l, join->rarg);
    int to = l->n_leaves;
    l->sight.items = sides;
    l->sight.n = 2;
    l->merged |= join->is_natural || join->n_using_clause > 0;
    switch ((int)join->jointype) {
    case PG_QUERY__JOIN_TYPE__JOIN_INNER:
        add_conditions(l, join->quals, from, to);
        break;
    case PG_QUERY__JOIN_TYPE__JOIN_LEFT:
        add_conditions(l, join->quals, middle, to);
        break;
    case PG_QUERY__JOIN_TYPE__JOIN_RIGHT:
        add_conditions(l, join->quals, from, middle);
        break;
    }
    if (join->alias != NULL || join->join_using_alias != NULL)
        for (int i = from; i < to; i++)
            l->leaves[i].renamed = true;
}

static void add_from(struct level *l, const PgQuery__Node *node)
{
    if (node == NULL)
        return;
    if (node->node_case == NODE(RANGE_VAR))
        add_leaf(l, node->range_var);
    else if (node->node_case == NODE(JOIN_EXPR))
        add_join(l, node->join_expr);
    else
        l->others = true;
}

// ---- What it comes to ---------------------------------------------------------------------------

static const char *name_of(const struct leaf *leaf)
{
    return leaf->relation->alias != NULL ? leaf->relation->alias->aliasname
                                         : leaf->relation->relname;
}

// A column without a qualifier is that of the one relation that has such a column: whoever knows
// the columns may take it for its own. If a join may have merged it of two, it is of both, and of
// a type that may be the other's: that must be known (USING, of two relations and nothing else).
static bool may_be_of(const struct leaf *leaf, const struct column *column)
{
    return column->place == NULL || strcmp(column->place, name_of(leaf)) == 0;
}

static bool holds_of(const struct condition *c, int leaf)
{
    return c->from <= leaf && leaf < c->to;
}

// The scans of a level are added in the order of its leaves.
static void fix_leaf(struct level *l, int leaf, uint16_t first_scan)
{
    struct fixed *f = l->fixed;
    struct fixed_scan *scan = add_scan(f, l->leaves[leaf].relation);
    if (scan == NULL)
        return;
    scan->scan.whole = l->leaves[leaf].renamed;
    for (int i = 0; i < l->n_conditions; i++) {
        const struct condition *c = &l->conditions[i];
        if (!holds_of(c, leaf) || !may_be_of(&l->leaves[leaf], &c->column))
            continue;
        struct sql_fix fix = {.column = slice_str(c->column.name), .kind = FIX_EQUAL,
                              .first = c->first, .count = c->count, .tuple = c->tuple};
        if (l->merged && c->column.place == NULL) {
            if (l->n_leaves != 2 || l->others || c->same.relation != NULL)
                continue;
            fix.kind = FIX_SAME;
            fix.other = (uint16_t)(first_scan + 1 - leaf);
            fix.other_column = fix.column;
        } else if (c->same.relation != NULL) {
            fix.kind = FIX_LINKED;
            fix.apart = c->same.apart;
            fix.other_column = slice_str(c->same.column);
        }
        add_linked_fix(f, fix, c->same.relation);
    }
}

void fixed_select(struct fixed *f, const struct walk *w, const PgQuery__SelectStmt *s)
{
    struct level l = {.fixed = f, .walk = w, .sight = {.select = s}};
    if (s->n_from_clause == 0 || !fixed_has_room(f))
        return;
    for (size_t i = 0; i < s->n_from_clause; i++)
        add_from(&l, s->from_clause[i]);
    l.sight.items = s->from_clause;
    l.sight.n = s->n_from_clause;
    add_conditions(&l, s->where_clause, 0, l.n_leaves);
    if (l.full)
        return; // none is foreseen: each is read as a whole
    uint16_t first_scan = f->n_scans;
    for (int i = 0; i < l.n_leaves; i++)
        fix_leaf(&l, i, first_scan);
}

// ---- Writes -------------------------------------------------------------------------------------

static void fix_sets(struct fixed *f, PgQuery__Node **targets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_fix(f, (struct sql_fix){
                       .column = slice_str(targets[i]->node_case == NODE(RES_TARGET)
                                               ? targets[i]->res_target->name : ""),
                       .kind = FIX_SET});
}

static void fix_where(struct fixed *f, const PgQuery__RangeVar *target, const PgQuery__Node *where)
{
    struct level l = {.fixed = f};
    add_leaf(&l, target);
    add_conditions(&l, where, 0, 1);
    fix_leaf(&l, 0, f->n_scans);
}

// Only where it is the key that rows conflict in; resolve.c knows.
static bool fix_conflict(struct fixed *f, const PgQuery__OnConflictClause *c)
{
    if (c == NULL || c->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING)
        return true;
    const PgQuery__InferClause *infer = c->infer;
    if (infer == NULL || infer->conname[0] != 0 || infer->where_clause != NULL)
        return false;
    for (size_t i = 0; i < infer->n_index_elems; i++) {
        const PgQuery__Node *node = infer->index_elems[i];
        if (node->node_case != NODE(INDEX_ELEM) || node->index_elem->name[0] == 0 ||
            node->index_elem->n_collation > 0 || node->index_elem->n_opclass > 0)
            return false;
        add_fix(f, (struct sql_fix){.column = slice_str(node->index_elem->name),
                                    .kind = FIX_CONFLICT});
    }
    fix_sets(f, c->target_list, c->n_target_list);
    return true;
}

// The values of one column in all rows.
static bool take_given(struct fixed *f, PgQuery__Node **rows, size_t n_rows, size_t column)
{
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i]->node_case != NODE(LIST) || column >= rows[i]->list->n_items ||
            !fixed_take_value(f, rows[i]->list->items[column], false))
            return false;
    return true;
}

static void fix_insert(struct fixed *f, const PgQuery__InsertStmt *s)
{
    const PgQuery__SelectStmt *values =
        s->select_stmt != NULL && s->select_stmt->node_case == NODE(SELECT_STMT)
            ? s->select_stmt->select_stmt : NULL;
    if (values == NULL || values->n_values_lists == 0 || values->n_values_lists > ROWS_MAX ||
        s->override == PG_QUERY__OVERRIDING_KIND__OVERRIDING_USER_VALUE)
        return;
    struct fixed_scan *scan = add_scan(f, s->relation);
    if (scan == NULL)
        return;
    scan->scan.given = true;
    f->n_tuples++;
    for (size_t i = 0; i < s->n_cols && fixed_has_room(f); i++) {
        uint16_t first = f->n_values;
        const PgQuery__Node *column = s->cols[i];
        if (column->node_case != NODE(RES_TARGET) || column->res_target->n_indirection > 0 ||
            !take_given(f, values->values_lists, values->n_values_lists, i)) {
            f->n_values = first;
            continue;
        }
        add_fix(f, (struct sql_fix){.column = slice_str(column->res_target->name),
                                    .kind = FIX_EQUAL, .first = first,
                                    .count = (uint16_t)(f->n_values - first),
                                    .tuple = f->n_tuples});
    }
    scan->scan.whole = !fix_conflict(f, s->on_conflict_clause);
}

void fixed_write(struct fixed *f, const ProtobufCMessage *statement)
{
    const ProtobufCMessageDescriptor *type = statement->descriptor;
    if (type == &pg_query__insert_stmt__descriptor) {
        fix_insert(f, (const PgQuery__InsertStmt *)statement);
    } else if (type == &pg_query__update_stmt__descriptor) {
        const PgQuery__UpdateStmt *s = (const PgQuery__UpdateStmt *)statement;
        fix_where(f, s->relation, s->where_clause);
        if (!f->lost && f->n_scans > 0)
            fix_sets(f, s->target_list, s->n_target_list);
    } else if (type == &pg_query__delete_stmt__descriptor) {
        const PgQuery__DeleteStmt *s = (const PgQuery__DeleteStmt *)statement;
        fix_where(f, s->relation, s->where_clause);
    }
}
