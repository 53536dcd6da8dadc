// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/columns.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proxy/sql/nodes.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

void columns_fini(struct columns *c)
{
    mem_free(c->computed);
    mem_free(c->relations);
    mem_free(c->shown);
}

// ---- Names --------------------------------------------------------------------------------------

static uint32_t hash_of(struct slice name)
{
    return (uint32_t)hash_bytes(name.at, name.len);
}

static bool has(const uint32_t *names, uint16_t n, uint32_t name)
{
    for (uint16_t i = 0; i < n; i++)
        if (names[i] == name)
            return true;
    return false;
}

static void add(struct columns *c, uint32_t **names, uint16_t *n, uint32_t name)
{
    if (c->all_computed || has(*names, *n, name))
        return;
    if (*n == COLUMNS_MAX) {
        c->all_computed = true;
        return;
    }
    if (*names == NULL)
        *names = mem_alloc(COLUMNS_MAX * sizeof(**names));
    (*names)[(*n)++] = name;
}

// A name that is not ASCII has other bytes in the catalog, perhaps.
static void add_computed(struct columns *c, const char *name)
{
    c->all_computed |= !slice_is_ascii(slice_str(name));
    add(c, &c->computed, &c->n_computed, hash_of(slice_str(name)));
}

static void add_shown(struct columns *c, const char *name, const char *alias)
{
    if (c->n_shown == COLUMNS_MAX || !slice_is_ascii(slice_str(name)) ||
        !slice_is_ascii(slice_str(alias))) {
        c->all_computed = true;
        return;
    }
    if (c->shown == NULL)
        c->shown = mem_alloc(COLUMNS_MAX * sizeof(*c->shown));
    c->shown[c->n_shown++] =
        (struct columns_shown){hash_of(slice_str(name)), hash_of(slice_str(alias))};
}

static void add_alias(struct columns *c, const PgQuery__Alias *alias)
{
    if (alias == NULL)
        return;
    add(c, &c->relations, &c->n_relations, hash_of(slice_str(alias->aliasname)));
    c->all_computed |= alias->n_colnames > 0; // known by other names from here on
}

// ---- Outputs ------------------------------------------------------------------------------------

// Its outputs are compared with each other, or with others'.
static bool compares_outputs(const PgQuery__SelectStmt *s)
{
    return s->op != PG_QUERY__SET_OPERATION__SETOP_NONE || s->n_distinct_clause > 0 ||
           s->into_clause != NULL;
}

void columns_begin(struct columns *c, const PgQuery__Node *statement)
{
    if (statement == NULL || statement->node_case != NODE(SELECT_STMT))
        c->all_computed = true; // nobody will ask
    else if (!compares_outputs(statement->select_stmt))
        c->top = statement->select_stmt;
}

// ORDER BY 2, GROUP BY 1, and what may have such a number somewhere in it.
static bool counts_outputs(const PgQuery__SelectStmt *s)
{
    for (size_t i = 0; i < s->n_sort_clause; i++)
        if (s->sort_clause[i]->node_case != NODE(SORT_BY) ||
            s->sort_clause[i]->sort_by->node == NULL ||
            s->sort_clause[i]->sort_by->node->node_case == NODE(A_CONST))
            return true;
    for (size_t i = 0; i < s->n_group_clause; i++)
        if (s->group_clause[i]->node_case != NODE(COLUMN_REF))
            return true;
    return false;
}

struct columns_level columns_enter(struct columns *c, const PgQuery__SelectStmt *select)
{
    struct columns_level outer = {c->outputs, c->n_outputs, c->outputs_ignored};
    bool is_top = select == c->top, ignored = select == c->ignored;
    bool looked_for = (is_top || ignored) && select->n_target_list <= COLUMNS_MAX;
    c->all_computed |= is_top && !looked_for;
    c->outputs = looked_for ? select->target_list : NULL;
    c->n_outputs = looked_for ? select->n_target_list : 0;
    c->outputs_ignored = ignored;
    if (is_top)
        c->by_number = counts_outputs(select);
    return outer;
}

void columns_leave(struct columns *c, struct columns_level outer)
{
    c->outputs = outer.outputs;
    c->n_outputs = outer.n_outputs;
    c->outputs_ignored = outer.outputs_ignored;
}

static const PgQuery__ResTarget *output_of(const struct columns *c,
                                           const PgQuery__ColumnRef *reference)
{
    for (size_t i = 0; i < c->n_outputs; i++) {
        const PgQuery__Node *node = c->outputs[i];
        if (node->node_case == NODE(RES_TARGET) && node->res_target->val != NULL &&
            node->res_target->val->node_case == NODE(COLUMN_REF) &&
            node->res_target->val->column_ref == reference)
            return node->res_target;
    }
    return NULL;
}

// ---- What the walk meets ------------------------------------------------------------------------

void columns_reference(struct columns *c, const PgQuery__ColumnRef *reference)
{
    if (c->all_computed)
        return; // there is nothing more to learn
    const PgQuery__ResTarget *output = output_of(c, reference);
    bool unused = reference == c->tested || (output != NULL && c->outputs_ignored);
    if (reference->n_fields == 0 || unused)
        return;
    const PgQuery__Node *last = reference->fields[reference->n_fields - 1];
    bool star = last->node_case == NODE(A_STAR);
    if (star && output != NULL)
        c->all_shown = true;
    else if (star)
        c->all_computed = true;
    else if (output != NULL)
        add_shown(c, node_string(last), output->name);
    else
        add_computed(c, node_string(last));
}

void columns_relation(struct columns *c, const PgQuery__RangeVar *relation)
{
    add(c, &c->relations, &c->n_relations, hash_of(slice_str(relation->relname)));
    add_alias(c, relation->alias);
}

void columns_join(struct columns *c, const PgQuery__JoinExpr *join)
{
    c->all_computed |= join->is_natural;
    for (size_t i = 0; i < join->n_using_clause; i++)
        add_computed(c, node_string(join->using_clause[i]));
    add_alias(c, join->alias);
    add_alias(c, join->join_using_alias);
}

// It asks for rows, not for what is in them; unless they are grouped or sorted by an output.
void columns_exists(struct columns *c, const PgQuery__SubLink *link)
{
    const PgQuery__Node *query = link->subselect;
    if (link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK && query != NULL &&
        query->node_case == NODE(SELECT_STMT) && !compares_outputs(query->select_stmt) &&
        query->select_stmt->n_sort_clause + query->select_stmt->n_group_clause == 0)
        c->ignored = query->select_stmt;
}

void columns_null_test(struct columns *c, const PgQuery__NullTest *test)
{
    if (test->arg != NULL && test->arg->node_case == NODE(COLUMN_REF))
        c->tested = test->arg->column_ref;
}

void columns_row(struct columns *c)
{
    c->all_computed = true;
}

void columns_end(struct columns *c)
{
    for (uint16_t i = 0; i < c->n_shown; i++) {
        struct columns_shown shown = c->shown[i];
        c->all_shown |= has(c->relations, c->n_relations, shown.name); // its whole row, perhaps
        if (c->by_number || has(c->computed, c->n_computed, shown.alias))
            add(c, &c->computed, &c->n_computed, shown.name); // ORDER BY what it is called
    }
    for (uint16_t i = 0; i < c->n_relations; i++)
        c->all_computed |= has(c->computed, c->n_computed, c->relations[i]);
    c->all_computed |= c->by_number && c->all_shown;
}

// ---- What the analysis keeps --------------------------------------------------------------------

bool columns_computed(const struct sql_columns *columns, struct slice name)
{
    return columns->all_computed || has(columns->computed, columns->n_computed, hash_of(name));
}

bool columns_shown(const struct sql_columns *columns, struct slice name)
{
    return columns->all_shown || has(columns->shown, columns->n_shown, hash_of(name));
}
