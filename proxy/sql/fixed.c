// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/fixed.h"

#include "base/mem.h"
#include "proxy/sql/carried.h"
#include "proxy/sql/conditions.h"
#include "proxy/sql/fixed_values.h"
#include "proxy/sql/linked.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum {
    SCANS_MAX = 64,
    FIXES_MAX = 256,
    VALUES_MAX = 512,
    LEAVES_MAX = 32,  // items of one FROM
    MERGES_MAX = 32,  // joins with USING, or NATURAL ones, in it
    MERGED_MAX = 8,   // items of one side of these
    SOURCES_MAX = 8,  // relations of which a column of a join may be
    ROWS_MAX = 32,    // of one INSERT: more are more keys than are looked at
    CARRIED_MAX = 64, // conditions on outputs of queries
    FOR_WHERE = 16,   // of the conditions of a statement these are not for USING
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
    mem_free(f->carried);
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
        f->carried = mem_alloc(CARRIED_MAX * sizeof(*f->carried));
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

// ---- FROM ---------------------------------------------------------------------------------------

struct leaf { // an item of FROM or of a join in it
    const PgQuery__RangeVar *relation;  // one of these; it may be a CTE's name
    const PgQuery__RangeSubselect *query;
    bool renamed; // its columns may have other names here
};

struct merge { // a join that makes one column of two
    const PgQuery__JoinExpr *join;
    int from, to;
};

struct level { // one SELECT, or one UPDATE or DELETE
    struct conditions conditions;
    struct leaf leaves[LEAVES_MAX];
    int n_leaves;
    struct merge merges[MERGES_MAX];
    int n_merges;
    bool full;   // some were left out
    bool others; // there are items that are no relations
};

static void add_leaf(struct level *l, struct leaf leaf)
{
    l->full |= l->n_leaves == LEAVES_MAX;
    if (!l->full)
        l->leaves[l->n_leaves++] = leaf;
}

static bool names(const PgQuery__JoinExpr *join, const char *column)
{
    bool found = join->is_natural;
    for (size_t i = 0; i < join->n_using_clause; i++)
        found |= strcmp(node_string(join->using_clause[i]), column) == 0;
    return found;
}

// What a side of a join has of that name: one of these, whichever has such a column. A column that
// was made of two is the one that is never made up: the left one of a LEFT JOIN. Of those that
// USING names any one will do; with NATURAL it may be in one side alone.
static int sources(struct level *l, const PgQuery__Node *side, const char *column,
                   struct linked *out, int n)
{
    if (side->node_case != NODE(JOIN_EXPR))
        return n < SOURCES_MAX && linked_item(l->conditions.walk, side, column, &out[n]) ? n + 1
                                                                                         : n;
    const PgQuery__JoinExpr *join = side->join_expr;
    bool merged = column[0] == 0 || names(join, column);
    PgQuery__JoinType type = join->jointype;
    if (join->alias != NULL || (merged && type == PG_QUERY__JOIN_TYPE__JOIN_FULL))
        return n;
    if (!merged || type != PG_QUERY__JOIN_TYPE__JOIN_RIGHT)
        n = sources(l, join->larg, column, out, n);
    bool either = type == PG_QUERY__JOIN_TYPE__JOIN_INNER && column[0] != 0 && !join->is_natural;
    if (!merged || (type != PG_QUERY__JOIN_TYPE__JOIN_LEFT && !either))
        n = sources(l, join->rarg, column, out, n);
    return n;
}

// The column of that name, in the items [from, to), equals that of the other side. (Not if they are
// many: each would have a fix for each join around it.)
static void add_side(struct level *l, const PgQuery__JoinExpr *join, const PgQuery__Node *other,
                     const char *column, int from, int to)
{
    struct linked found[SOURCES_MAX];
    struct conditions *all = &l->conditions;
    bool wanted = all->walk != NULL && to - from <= MERGED_MAX;
    int n = wanted ? sources(l, other, column, found, 0) : 0;
    for (int i = 0; i < n && all->n < CONDITIONS_MAX - FOR_WHERE; i++)
        all->at[all->n++] = (struct condition){
            .from = from, .to = to, .column = {NULL, column}, .same = found[i],
            .sides = join->larg->node_case != NODE(JOIN_EXPR) &&
                     join->rarg->node_case != NODE(JOIN_EXPR)};
}

// Of what USING names, as if ON said so.
static void add_sides(struct level *l, const PgQuery__JoinExpr *join, const char *column, int from,
                      int middle, int to)
{
    PgQuery__JoinType type = join->jointype;
    if (type == PG_QUERY__JOIN_TYPE__JOIN_INNER || type == PG_QUERY__JOIN_TYPE__JOIN_LEFT)
        add_side(l, join, join->larg, column, middle, to);
    if (type == PG_QUERY__JOIN_TYPE__JOIN_INNER || type == PG_QUERY__JOIN_TYPE__JOIN_RIGHT)
        add_side(l, join, join->rarg, column, from, middle);
}

static void add_merge(struct level *l, const PgQuery__JoinExpr *join, int from, int middle, int to)
{
    l->full |= l->n_merges == MERGES_MAX;
    if (l->full)
        return;
    l->merges[l->n_merges++] = (struct merge){join, from, to};
    if (join->is_natural)
        add_sides(l, join, "", from, middle, to);
    for (size_t i = 0; i < join->n_using_clause; i++)
        add_sides(l, join, node_string(join->using_clause[i]), from, middle, to);
}

static void add_from(struct level *l, const PgQuery__Node *node);

static void add_join(struct level *l, const PgQuery__JoinExpr *join)
{
    PgQuery__Node *sides[] = {join->larg, join->rarg};
    struct conditions *all = &l->conditions;
    int from = l->n_leaves;
    add_from(l, join->larg);
    int middle = l->n_leaves;
    add_from(l, join->rarg);
    int to = l->n_leaves;
    all->sight.items = sides;
    all->sight.n = 2;
    if (join->is_natural || join->n_using_clause > 0)
        add_merge(l, join, from, middle, to);
    switch ((int)join->jointype) {
    case PG_QUERY__JOIN_TYPE__JOIN_INNER:
        conditions_add(all, join->quals, from, to);
        break;
    case PG_QUERY__JOIN_TYPE__JOIN_LEFT:
        conditions_add(all, join->quals, middle, to);
        break;
    case PG_QUERY__JOIN_TYPE__JOIN_RIGHT:
        conditions_add(all, join->quals, from, middle);
        break;
    }
    for (int i = from; join->alias != NULL && i < to; i++)
        l->leaves[i].renamed = true;
}

static bool renames(const PgQuery__Alias *alias)
{
    return alias != NULL && alias->n_colnames > 0;
}

static void add_from(struct level *l, const PgQuery__Node *node)
{
    if (node == NULL)
        return;
    l->others |= node->node_case != NODE(RANGE_VAR) && node->node_case != NODE(JOIN_EXPR);
    if (node->node_case == NODE(RANGE_VAR))
        add_leaf(l, (struct leaf){.relation = node->range_var,
                                  .renamed = renames(node->range_var->alias)});
    else if (node->node_case == NODE(RANGE_SUBSELECT))
        add_leaf(l, (struct leaf){.query = node->range_subselect,
                                  .renamed = renames(node->range_subselect->alias)});
    else if (node->node_case == NODE(JOIN_EXPR))
        add_join(l, node->join_expr);
}

// ---- What it comes to ---------------------------------------------------------------------------

static const char *name_of(const struct leaf *leaf)
{
    const PgQuery__Alias *alias = leaf->relation != NULL ? leaf->relation->alias
                                                         : leaf->query->alias;
    return alias != NULL ? alias->aliasname
           : leaf->relation != NULL ? leaf->relation->relname : "";
}

// USING (...) AS name: a column of that name is what the join made of two.
static bool is_of_merge(const struct level *l, int leaf, const struct column_name *column)
{
    for (int i = 0; i < l->n_merges; i++) {
        const struct merge *m = &l->merges[i];
        const PgQuery__Alias *alias = m->join->join_using_alias;
        if (alias != NULL && strcmp(alias->aliasname, column->place) == 0)
            return m->from <= leaf && leaf < m->to;
    }
    return false;
}

// A column without a qualifier is that of the one item that has such a column: whoever knows the
// columns may take it for its own.
static bool may_be_of(const struct level *l, int leaf, const struct column_name *column)
{
    return column->place == NULL || strcmp(column->place, name_of(&l->leaves[leaf])) == 0 ||
           is_of_merge(l, leaf, column);
}

static bool holds_of(const struct condition *c, int leaf)
{
    return c->from <= leaf && leaf < c->to;
}

// May it be a column that a join made of two (then it is of both, and of a type that may be the
// other's), or is it surely another's?
static bool may_be_another(const struct level *l, int leaf, const struct condition *c)
{
    bool found = false;
    if (c->column.place != NULL)
        return strcmp(c->column.place, name_of(&l->leaves[leaf])) != 0;
    for (int i = 0; i < l->n_merges; i++)
        found |= c->column.name[0] == 0 || names(l->merges[i].join, c->column.name);
    return found && !c->sides;
}

// The scans of a level are added in the order of its relations. Where a column may be made of
// several, all that there are of that name must be of one type; of a query's that is not known.
static void fix_leaf(struct level *l, int leaf, uint16_t first_scan, uint16_t n_scans)
{
    struct fixed *f = l->conditions.fixed;
    struct fixed_scan *scan = add_scan(f, l->leaves[leaf].relation);
    if (scan == NULL)
        return;
    scan->scan.whole = l->leaves[leaf].renamed;
    for (int i = 0; i < l->conditions.n; i++) {
        const struct condition *c = &l->conditions.at[i];
        bool merged = may_be_another(l, leaf, c);
        if (!holds_of(c, leaf) || !may_be_of(l, leaf, &c->column) || (merged && l->others))
            continue;
        struct sql_fix fix = {.column = slice_str(c->column.name), .kind = FIX_EQUAL,
                              .first = c->first, .count = c->count, .tuple = c->tuple,
                              .among = first_scan, .n_among = merged ? n_scans : 0};
        if (c->same.relation != NULL) {
            fix.kind = FIX_LINKED;
            fix.apart = c->same.apart;
            fix.other_column = slice_str(c->same.column);
        }
        add_linked_fix(f, fix, c->same.relation);
    }
}

// What holds of a query in FROM is kept until the walk gets there.
static void carry(struct level *l, int leaf)
{
    const struct leaf *at = &l->leaves[leaf];
    struct fixed *f = l->conditions.fixed;
    const PgQuery__SelectStmt *query = NULL;
    for (int i = 0; i < l->conditions.n && !at->renamed; i++) {
        const struct condition *c = &l->conditions.at[i];
        if (!holds_of(c, leaf) || c->column.name[0] == 0 || may_be_another(l, leaf, c))
            continue;
        if (query == NULL)
            query = at->relation != NULL ? carried_cte(l->conditions.walk, at->relation)
                    : at->query->subquery->node_case == NODE(SELECT_STMT)
                        ? at->query->subquery->select_stmt : NULL;
        if (query == NULL || f->n_carried == CARRIED_MAX)
            return;
        f->carried[f->n_carried++] = (struct fixed_carried){
            query, c->column.name, c->same, c->first, c->count, c->tuple};
    }
}

// Conditions of the statements around it, as if its WHERE said so.
static void add_carried(struct level *l, const PgQuery__SelectStmt *s)
{
    struct conditions *all = &l->conditions;
    for (uint16_t i = 0; i < all->fixed->n_carried; i++) {
        const struct fixed_carried *c = &all->fixed->carried[i];
        struct column_name columns[CARRIED_COLUMNS_MAX];
        int n = c->query == s ? carried_columns(s, c->output, columns) : 0;
        for (int k = 0; k < n && all->n < CONDITIONS_MAX; k++)
            all->at[all->n++] = (struct condition){
                .to = l->n_leaves, .column = columns[k], .same = c->same,
                .first = c->first, .count = c->count, .tuple = c->tuple};
    }
}

void fixed_select(struct fixed *f, const struct walk *w, const PgQuery__SelectStmt *s)
{
    struct level l = {.conditions = {.fixed = f, .walk = w, .sight = {.select = s}}};
    uint16_t first_scan = f->n_scans, n_scans = 0;
    if (s->n_from_clause == 0 || !fixed_has_room(f))
        return;
    for (size_t i = 0; i < s->n_from_clause; i++)
        add_from(&l, s->from_clause[i]);
    l.conditions.sight.items = s->from_clause;
    l.conditions.sight.n = s->n_from_clause;
    conditions_add(&l.conditions, s->where_clause, 0, l.n_leaves);
    if (l.full)
        return; // none is foreseen: each is read as a whole
    add_carried(&l, s);
    for (int i = 0; i < l.n_leaves; i++)
        n_scans += l.leaves[i].relation != NULL;
    for (int i = 0; i < l.n_leaves; i++) {
        if (l.leaves[i].relation != NULL)
            fix_leaf(&l, i, first_scan, n_scans);
        if (l.leaves[i].query != NULL || walk_cte(w, l.leaves[i].relation) != NULL)
            carry(&l, i);
    }
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
    struct level l = {.conditions = {.fixed = f}};
    add_leaf(&l, (struct leaf){.relation = target, .renamed = renames(target->alias)});
    conditions_add(&l.conditions, where, 0, 1);
    fix_leaf(&l, 0, f->n_scans, 1);
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
    for (size_t i = 0; i < values->n_values_lists; i++) // (row).* is a value of several columns
        if (values->values_lists[i]->node_case == NODE(LIST) &&
            node_has_star(values->values_lists[i]->list->items,
                          values->values_lists[i]->list->n_items))
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
