// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/linked.h"

#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum { QUERIES_MAX = 8 }; // within each other; deeper it is not followed

// ---- Names in FROM ------------------------------------------------------------------------------

// What has a name among the items of a FROM.
struct items {
    const char *name;
    const PgQuery__RangeSubselect *before; // only what stands before it is in sight; NULL: all
    size_t found;
    bool passed; // `before` was met
    bool unsure; // something may have the name that is not in sight, or not understood
    const PgQuery__RangeVar *relation; // one of these is what was found
    const PgQuery__RangeSubselect *query;
};

static bool is_named(const PgQuery__Alias *alias, const char *name)
{
    return alias != NULL && strcmp(alias->aliasname, name) == 0;
}

static void look_at_relation(struct items *items, const PgQuery__RangeVar *r, bool hidden)
{
    if (!is_named(r->alias, items->name) &&
        (r->alias != NULL || strcmp(r->relname, items->name) != 0))
        return;
    items->found++;
    items->unsure |= hidden || items->passed || (r->alias != NULL && r->alias->n_colnames > 0);
    items->relation = r;
}

static void look_at_query(struct items *items, const PgQuery__RangeSubselect *q, bool hidden)
{
    items->passed |= q == items->before;
    if (!is_named(q->alias, items->name))
        return;
    items->found++;
    items->unsure |= hidden || items->passed || q->alias->n_colnames > 0;
    items->query = q;
}

// An alias of a join hides the names within it.
static void look_at(struct items *items, const PgQuery__Node *item, bool hidden)
{
    if (item == NULL) {
        return;
    } else if (item->node_case == NODE(RANGE_VAR)) {
        look_at_relation(items, item->range_var, hidden);
    } else if (item->node_case == NODE(RANGE_SUBSELECT)) {
        look_at_query(items, item->range_subselect, hidden);
    } else if (item->node_case == NODE(JOIN_EXPR)) {
        const PgQuery__JoinExpr *join = item->join_expr;
        items->unsure |= is_named(join->alias, items->name) ||
                         is_named(join->join_using_alias, items->name);
        look_at(items, join->larg, hidden || join->alias != NULL);
        look_at(items, join->rarg, hidden || join->alias != NULL);
    } else if (item->node_case == NODE(RANGE_FUNCTION)) {
        const PgQuery__Alias *alias = item->range_function->alias;
        items->unsure |= alias == NULL || is_named(alias, items->name);
    } else {
        items->unsure = true;
    }
}

enum where { HERE, NOT_HERE, NOBODY_KNOWS };

static enum where look(struct items *items, PgQuery__Node *const *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        look_at(items, all[i], false);
    if (items->unsure || items->found > 1)
        return NOBODY_KNOWS;
    return items->found == 1 ? HERE : NOT_HERE;
}

// ---- Columns of queries -------------------------------------------------------------------------

static bool is_output(const PgQuery__Node *query, const char *name, int depth, struct linked *out);

static bool is_of(const struct items *items, const char *name, int depth, struct linked *out)
{
    if (items->query != NULL)
        return is_output(items->query->subquery, name, depth + 1, out);
    out->relation = items->relation;
    out->column = name;
    return true;
}

// Of the only item: whoever knows that the relation has such a column may take it for that.
static bool is_of_only_item(const PgQuery__SelectStmt *s, const char *place, const char *name,
                            int depth, struct linked *out)
{
    const PgQuery__Node *item = s->n_from_clause == 1 ? s->from_clause[0] : NULL;
    const PgQuery__Alias *alias;
    struct items items = {.name = place};
    if (item == NULL)
        return false;
    if (item->node_case == NODE(RANGE_VAR))
        alias = item->range_var->alias;
    else if (item->node_case == NODE(RANGE_SUBSELECT))
        alias = item->range_subselect->alias;
    else
        return false;
    if (place == NULL)
        items.name = alias != NULL ? alias->aliasname
                     : item->node_case == NODE(RANGE_VAR) ? item->range_var->relname : "";
    return look(&items, s->from_clause, 1) == HERE && is_of(&items, name, depth, out);
}

// place is NULL if it is not qualified. More than two parts are not followed.
static bool take_parts(const PgQuery__ColumnRef *ref, const char **place, const char **last)
{
    if (ref->n_fields < 1 || ref->n_fields > 2)
        return false;
    *place = ref->n_fields == 2 ? node_string(ref->fields[0]) : NULL;
    *last = node_string(ref->fields[ref->n_fields - 1]);
    return true;
}

static bool is_column(const PgQuery__SelectStmt *s, const PgQuery__ColumnRef *ref, int depth,
                      struct linked *out)
{
    const char *place, *name;
    if (node_is_star(ref) || !take_parts(ref, &place, &name))
        return false;
    if (place == NULL)
        return is_of_only_item(s, NULL, name, depth, out);
    struct items items = {.name = place};
    return look(&items, s->from_clause, s->n_from_clause) == HERE &&
           is_of(&items, name, depth, out);
}

static const PgQuery__ColumnRef *column_of(const PgQuery__Node *target)
{
    const PgQuery__Node *value =
        target->node_case == NODE(RES_TARGET) ? target->res_target->val : NULL;
    return value != NULL && value->node_case == NODE(COLUMN_REF) ? value->column_ref : NULL;
}

static bool has_name(const PgQuery__Node *target, const char *name)
{
    const PgQuery__ColumnRef *ref = column_of(target);
    if (target->node_case != NODE(RES_TARGET))
        return false;
    if (target->res_target->name[0] != 0)
        return strcmp(target->res_target->name, name) == 0;
    return ref != NULL && ref->n_fields > 0 &&
           strcmp(node_string(ref->fields[ref->n_fields - 1]), name) == 0;
}

// Where two outputs may have the name, PostgreSQL calls it ambiguous. name: NULL for the only one.
static bool is_output(const PgQuery__Node *query, const char *name, int depth, struct linked *out)
{
    const PgQuery__SelectStmt *s =
        query != NULL && query->node_case == NODE(SELECT_STMT) ? query->select_stmt : NULL;
    if (s == NULL || s->op != PG_QUERY__SET_OPERATION__SETOP_NONE || s->n_values_lists > 0 ||
        depth > QUERIES_MAX || (name == NULL && s->n_target_list != 1))
        return false;
    for (size_t i = 0; i < s->n_target_list; i++) {
        const PgQuery__ColumnRef *ref = column_of(s->target_list[i]);
        if (name == NULL || has_name(s->target_list[i], name))
            return ref != NULL && is_column(s, ref, depth, out);
    }
    const PgQuery__ColumnRef *all = s->n_target_list == 1 ? column_of(s->target_list[0]) : NULL;
    const char *place, *unused;
    return all != NULL && node_is_star(all) && take_parts(all, &place, &unused) &&
           is_of_only_item(s, place, name, depth, out);
}

bool linked_output(const PgQuery__Node *query, struct linked *out)
{
    *out = (struct linked){.relation = NULL};
    return is_output(query, NULL, 0, out);
}

// ---- What is in sight ---------------------------------------------------------------------------

// In the statement itself a name may be a CTE's. (Further out one that is is never read as a
// relation, and so never fixed.)
static bool is_here(const struct walk *w, const struct items *items, const char *name,
                    struct linked *out)
{
    const PgQuery__CommonTableExpr *cte =
        items->relation != NULL ? walk_cte(w, items->relation) : NULL;
    if (cte == NULL)
        return is_of(items, name, 0, out);
    out->apart = true;
    return cte->n_aliascolnames == 0 && is_output(cte->ctequery, name, 0, out);
}

bool linked_find(const struct walk *w, const struct linked_sight *sight, const char *place,
                 const char *name, struct linked *out)
{
    struct items items = {.name = place}, all = {.name = place};
    *out = (struct linked){.relation = NULL};
    enum where where = look(&items, sight->items, sight->n);
    if (where != NOT_HERE)
        return where == HERE && is_here(w, &items, name, out);
    if (look(&all, sight->select->from_clause, sight->select->n_from_clause) != NOT_HERE)
        return false;
    for (const struct walk_level *l = w->level; l != NULL; l = l->outer) {
        struct items around = {.name = place, .before = l->before};
        where = look(&around, l->select->from_clause, l->select->n_from_clause);
        if (where != NOT_HERE)
            return where == HERE && !l->in_from && is_of(&around, name, 0, out);
    }
    return false;
}

bool linked_item(const struct walk *w, const PgQuery__Node *item, const char *name,
                 struct linked *out)
{
    struct items found = {.name = NULL};
    const PgQuery__Alias *alias = NULL;
    *out = (struct linked){.relation = NULL};
    if (item->node_case == NODE(RANGE_VAR)) {
        found.relation = item->range_var;
        alias = item->range_var->alias;
    } else if (item->node_case == NODE(RANGE_SUBSELECT)) {
        found.query = item->range_subselect;
        alias = item->range_subselect->alias;
    } else {
        return false;
    }
    return (alias == NULL || alias->n_colnames == 0) && is_here(w, &found, name, out);
}
