// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/carried.h"

#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

// ---- Trees --------------------------------------------------------------------------------------

// Calls for a message and all below it, until it is answered with false; not below what it is
// answered with for itself.
typedef bool visit_message(const ProtobufCMessage *message, void *arg);

static void visit_children(const ProtobufCMessage *message, visit_message *visit, void *arg)
{
    const uint8_t *base = (const uint8_t *)message;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const void *at = base + field->offset;
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(base + field->quantifier_offset);
            ProtobufCMessage *const *children = *(ProtobufCMessage *const *const *)at;
            for (size_t k = 0; k < n; k++)
                if (visit(children[k], arg))
                    visit_children(children[k], visit, arg);
            continue;
        }
        bool chosen = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                      *(const uint32_t *)(base + field->quantifier_offset) == field->id;
        const ProtobufCMessage *child = chosen ? *(const ProtobufCMessage *const *)at : NULL;
        if (child != NULL && visit(child, arg))
            visit_children(child, visit, arg);
    }
}

// ---- Columns ------------------------------------------------------------------------------------

static bool take_name(const PgQuery__Node *node, struct column_name *out)
{
    const PgQuery__ColumnRef *ref =
        node != NULL && node->node_case == NODE(COLUMN_REF) ? node->column_ref : NULL;
    if (ref == NULL || ref->n_fields < 1 || ref->n_fields > 2)
        return false;
    const PgQuery__Node *first = ref->fields[0], *last = ref->fields[ref->n_fields - 1];
    if ((first != last && first->node_case != NODE(STRING)) ||
        (last->node_case != NODE(STRING) && last->node_case != NODE(A_STAR)))
        return false;
    out->place = first != last ? first->string->sval : NULL;
    out->name = last->node_case == NODE(STRING) ? last->string->sval : NULL; // NULL: all
    return true;
}

// Where two outputs may have the name, PostgreSQL calls it ambiguous; so what has the name is
// meant, or else a column that a star stands for.
static int find_columns(const PgQuery__SelectStmt *s, const char *output,
                        struct column_name out[CARRIED_COLUMNS_MAX])
{
    int n = 0;
    for (size_t i = 0; i < s->n_target_list; i++) {
        const PgQuery__Node *target = s->target_list[i];
        struct column_name column;
        if (target->node_case != NODE(RES_TARGET) || target->res_target->n_indirection > 0)
            return 0;
        const char *alias = target->res_target->name;
        bool is_column = take_name(target->res_target->val, &column);
        bool all = is_column && column.name == NULL;
        if (!all && strcmp(alias[0] != 0 || !is_column ? alias : column.name, output) == 0) {
            out[0] = column;
            return is_column;
        }
        if (all && n == CARRIED_COLUMNS_MAX)
            return 0;
        if (all)
            out[n++] = (struct column_name){column.place, output};
    }
    return n;
}

// ---- What has other rows in sight ---------------------------------------------------------------

struct windows {
    const PgQuery__SelectStmt *of;
    const struct column_name *column;
    bool divided; // by the column, all of them
};

static bool is_divided(const PgQuery__WindowDef *window, const struct column_name *column)
{
    struct column_name part;
    for (size_t i = 0; i < window->n_partition_clause; i++)
        if (take_name(window->partition_clause[i], &part) && conditions_same_column(&part, column))
            return true;
    return false;
}

static const PgQuery__WindowDef *named_window(const PgQuery__SelectStmt *s, const char *name)
{
    for (size_t i = 0; i < s->n_window_clause; i++)
        if (s->window_clause[i]->node_case == NODE(WINDOW_DEF) &&
            strcmp(s->window_clause[i]->window_def->name, name) == 0)
            return s->window_clause[i]->window_def;
    return NULL;
}

// Calls within are of this query, but those in subqueries.
static bool look_at_window(const ProtobufCMessage *message, void *arg)
{
    struct windows *all = arg;
    if (message->descriptor == &pg_query__select_stmt__descriptor)
        return false;
    if (message->descriptor != &pg_query__func_call__descriptor)
        return true;
    const PgQuery__WindowDef *over = ((const PgQuery__FuncCall *)message)->over;
    if (over == NULL)
        return true;
    const char *name = over->name[0] != 0 ? over->name : over->refname;
    if (name[0] != 0)
        over = named_window(all->of, name);
    all->divided &= over != NULL && is_divided(over, all->column);
    return true;
}

static bool windows_are_divided(const PgQuery__SelectStmt *s, const struct column_name *column)
{
    struct windows all = {s, column, true};
    visit_children(&s->base, look_at_window, &all);
    return all.divided;
}

// DISTINCT ON takes the first row of each; by an output's name, or as an expression.
static bool is_chosen_of_each(const PgQuery__SelectStmt *s, const char *output,
                              const struct column_name *column)
{
    bool chosen = false, divided = false;
    for (size_t i = 0; i < s->n_distinct_clause; i++) {
        struct column_name part;
        chosen |= s->distinct_clause[i]->node_case != NODE(_NOT_SET);
        if (take_name(s->distinct_clause[i], &part) && part.name != NULL)
            divided |= part.place == NULL ? strcmp(part.name, output) == 0
                                          : conditions_same_column(&part, column);
    }
    return !chosen || divided;
}

// UNION, VALUES and the like have no list of columns.
static bool is_plain(const PgQuery__SelectStmt *s)
{
    bool plain = s->limit_count == NULL && s->limit_offset == NULL;
    for (size_t i = 0; i < s->n_group_clause; i++)
        plain &= s->group_clause[i]->node_case != NODE(GROUPING_SET);
    return plain;
}

int carried_columns(const PgQuery__SelectStmt *query, const char *output,
                    struct column_name out[CARRIED_COLUMNS_MAX])
{
    int n = is_plain(query) ? find_columns(query, output, out) : 0;
    for (int i = 0; i < n; i++)
        if (!windows_are_divided(query, &out[i]) || !is_chosen_of_each(query, output, &out[i]))
            return 0;
    return n;
}

// ---- CTEs ---------------------------------------------------------------------------------------

struct readers {
    const char *name;
    size_t n;
};

static bool count_reader(const ProtobufCMessage *message, void *arg)
{
    struct readers *readers = arg;
    if (message->descriptor == &pg_query__range_var__descriptor) {
        const PgQuery__RangeVar *r = (const PgQuery__RangeVar *)message;
        readers->n += r->schemaname[0] == 0 && strcmp(r->relname, readers->name) == 0;
    }
    return true;
}

const PgQuery__SelectStmt *carried_cte(const struct walk *w, const PgQuery__RangeVar *relation)
{
    const struct walk_scope *scope = walk_cte_scope(w, relation);
    const PgQuery__CommonTableExpr *cte = scope != NULL ? scope->cte : NULL;
    if (cte == NULL || cte->n_aliascolnames > 0 || cte->search_clause != NULL ||
        cte->cycle_clause != NULL || cte->ctequery == NULL ||
        cte->ctematerialized == PG_QUERY__CTEMATERIALIZE__CTEMaterializeAlways ||
        cte->ctequery->node_case != NODE(SELECT_STMT))
        return NULL;
    struct readers readers = {.name = cte->ctename};
    visit_children(scope->statement, count_reader, &readers);
    return readers.n == 1 ? cte->ctequery->select_stmt : NULL;
}
