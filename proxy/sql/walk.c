// SPDX-License-Identifier: Apache-2.0
// protobuf-c's own descriptions of the messages lead from a node to its children, so the walk
// reaches everything, whatever the statement; the switch in walk_kind() names the nodes that mean
// something here, node_is_what_its_children_are() those that were reviewed and mean nothing. The
// rest is not cacheable.
#include "proxy/sql/walk.h"

#include <strings.h>

#include "base/mem.h"
#include "proxy/sql/builtins.h"
#include "proxy/sql/calls.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/template.h"

typedef PgQuery__Node__NodeCase node_case;
#define NODE(name) PG_QUERY__NODE__NODE_##name

static void walk_kind(struct walk *w, node_case kind, const ProtobufCMessage *message);

void walk_fini(struct walk *w)
{
    mem_free(w->reads.at);
    mem_free(w->catalogs.at);
    mem_free(w->writes.at);
    mem_free(w->functions.at);
    mem_free(w->fields.at);
    mem_free(w->operators.at);
    mem_free(w->casts.at);
    mem_free(w->dated.at);
    mem_free(w->types.at);
    mem_free(w->perhaps.at);
    fixed_fini(&w->fixed);
    columns_fini(&w->columns);
}

void walk_deny(struct walk *w, enum bypass reason)
{
    w->reasons |= 1ull << reason;
    if (w->bypass == BYPASS_NONE)
        w->bypass = reason;
}

// ---- Names --------------------------------------------------------------------------------------

uint32_t walk_name(struct walk *w, struct walk_names *names, const char *schema, const char *name)
{
    struct sql_name added = {slice_str(schema), slice_str(name)};
    if (w->defines)
        return UINT32_MAX;
    for (uint32_t i = 0; i < names->count; i++)
        if (slice_eq(names->at[i].name, added.name) && slice_eq(names->at[i].schema, added.schema))
            return i;
    if (names->count == WALK_NAMES_MAX) {
        walk_deny(w, BYPASS_UNSUPPORTED);
        w->writes_unknown = true;
        return UINT32_MAX;
    }
    if (names->at == NULL)
        names->at = mem_alloc(WALK_NAMES_MAX * sizeof(*names->at));
    names->at[names->count] = added;
    return names->count++;
}

// The last two parts of a qualified name; an empty schema when there is but one.
static void split_name(PgQuery__Node **parts, size_t n, const char **schema, const char **name)
{
    *schema = n > 1 ? node_string(parts[n - 2]) : "";
    *name = n > 0 ? node_string(parts[n - 1]) : "";
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_system_schema(const char *schema)
{
    return starts_with(schema, "pg_") || strcmp(schema, "information_schema") == 0;
}

bool walk_is_temporary(const PgQuery__RangeVar *relation)
{
    return strcmp(relation->relpersistence, "t") == 0 ||
           starts_with(relation->schemaname, "pg_temp");
}

// ---- Relations ----------------------------------------------------------------------------------

const struct walk_scope *walk_cte_scope(const struct walk *w, const PgQuery__RangeVar *relation)
{
    for (const struct walk_scope *s = w->scope; s != NULL; s = s->outer)
        if (relation->schemaname[0] == 0 && s->cte != NULL &&
            strcmp(s->cte->ctename, relation->relname) == 0)
            return s;
    return NULL;
}

const PgQuery__CommonTableExpr *walk_cte(const struct walk *w, const PgQuery__RangeVar *relation)
{
    const struct walk_scope *scope = walk_cte_scope(w, relation);
    return scope == NULL ? NULL : scope->cte;
}

void walk_read(struct walk *w, const PgQuery__RangeVar *relation)
{
    if (walk_cte(w, relation) != NULL)
        return;
    if (is_system_schema(relation->schemaname) ||
        (relation->schemaname[0] == 0 && starts_with(relation->relname, "pg_"))) {
        w->effects |= strcmp(relation->relname, "pg_prepared_statements") == 0 ? EFFECT_NAMES : 0;
        walk_deny(w, BYPASS_CATALOG_RELATION);
        walk_name(w, &w->catalogs, relation->schemaname, relation->relname);
        return;
    }
    fixed_place(&w->fixed, relation, false,
                walk_name(w, &w->reads, relation->schemaname, relation->relname));
}

void walk_write(struct walk *w, const PgQuery__RangeVar *relation)
{
    walk_deny(w, BYPASS_NOT_SELECT);
    if (relation == NULL || w->defines)
        return;
    // A superuser who writes a catalog by hand: anything may be different from now on.
    if (!starts_with(relation->schemaname, "pg_temp") &&
        (is_system_schema(relation->schemaname) || starts_with(relation->relname, "pg_"))) {
        w->ddl = DDL_MORE;
        w->writes_unknown = true;
        if (strcmp(relation->relname, "pg_settings") == 0)
            w->effects |= EFFECT_SET; // its rule calls set_config()
    }
    struct walk_names *names = w->plans ? &w->reads : &w->writes;
    fixed_place(&w->fixed, relation, !w->plans,
                walk_name(w, names, relation->schemaname, relation->relname));
}

// ---- WITH ---------------------------------------------------------------------------------------

// Walks a statement, then its CTEs, the later ones first: who reads one is met before it, and may
// say which of its rows count. Each with the names it can see: with RECURSIVE all of them,
// otherwise those before it. They hide outer ones and tables.
static void walk_with(struct walk *w, const PgQuery__WithClause *with,
                      const ProtobufCMessage *statement)
{
    const struct walk_scope *outer = w->scope;
    size_t n = with == NULL ? 0 : with->n_ctes;
    struct walk_scope *scopes = n > 0 ? mem_alloc(n * sizeof(*scopes)) : NULL;
    const struct walk_scope *innermost = outer;
    for (size_t i = 0; i < n; i++) {
        const PgQuery__Node *cte = with->ctes[i];
        bool named = cte->node_case == NODE(COMMON_TABLE_EXPR);
        scopes[i] = (struct walk_scope){named ? cte->common_table_expr : NULL, innermost,
                                        innermost, w->level, statement};
        innermost = &scopes[i];
    }
    for (size_t i = 0; n > 0 && with->recursive && i < n; i++)
        scopes[i].sees = innermost;
    w->scope = innermost;
    struct walk_level level = {.select = (const PgQuery__SelectStmt *)statement,
                               .outer = w->level, .scope = innermost};
    if (statement->descriptor == &pg_query__select_stmt__descriptor) {
        fixed_select(&w->fixed, w, level.select);
        w->level = &level; // the CTEs do not see what is in its FROM
    }
    walk_children(w, statement);
    w->level = level.outer;
    for (size_t i = n; i > 0; i--) {
        w->scope = scopes[i - 1].sees;
        walk_node(w, with->ctes[i - 1]);
    }
    w->scope = outer;
    mem_free(scopes);
}

// ---- Functions, operators, casts ----------------------------------------------------------------

// Then it is for the catalog to say whether it may be cached.
bool walk_searches_text(struct walk *w, bool it_does)
{
    w->searches_text |= it_does;
    return it_does;
}

static void walk_function(struct walk *w, const PgQuery__FuncCall *call)
{
    const char *schema, *name;
    split_name(call->funcname, call->n_funcname, &schema, &name);
    calls_judge(w, call, schema, name);
}

static void use_operator(struct walk *w, const char *schema, const char *name)
{
    walk_name(w, &w->operators, schema, name);
    bool builtin = (schema[0] == 0 || strcmp(schema, "pg_catalog") == 0) &&
                   builtin_operator_volatility(slice_str(name)) != VOLATILITY_UNKNOWN;
    if (!builtin && !w->defines) { // its function is a user's
        walk_deny(w, BYPASS_OPERATOR);
        w->calls_unknown = true;
        w->effects |= EFFECT_FUNCTION;
    } else if (!builtin_operator_cacheable(slice_str(name)) &&
               !walk_searches_text(w, builtin_operator_searches_text(slice_str(name)))) {
        walk_deny(w, BYPASS_OPERATOR);
    }
}

static void use_operators(struct walk *w, PgQuery__Node **parts, size_t n)
{
    const char *schema, *name;
    split_name(parts, n, &schema, &name);
    if (n > 0)
        use_operator(w, schema, name);
}

static void walk_expression(struct walk *w, const PgQuery__AExpr *e)
{
    switch (e->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM: // the name is no operator but "BETWEEN"
        use_operator(w, "", "<");
        use_operator(w, "", "<=");
        use_operator(w, "", ">");
        use_operator(w, "", ">=");
        break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_LIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE:
    case PG_QUERY__A__EXPR__KIND__AEXPR_SIMILAR:
        use_operators(w, e->name, e->n_name);
        break;
    default: // protobuf enums are open: a number that we do not know can come in
        walk_deny(w, BYPASS_UNSUPPORTED);
        break;
    }
    walk_node(w, e->lexpr);
    walk_node(w, e->rexpr);
}

static void walk_parameter(struct walk *w, const PgQuery__ParamRef *parameter,
                           const PgQuery__TypeName *cast)
{
    w->has_parameters = true;
    fixed_parameter(&w->fixed, parameter->number, cast);
}

static void walk_cast(struct walk *w, const PgQuery__TypeCast *cast)
{
    casts_judge(w, cast);
    if (cast->arg != NULL && cast->arg->node_case == NODE(PARAM_REF))
        walk_parameter(w, cast->arg->param_ref, cast->type_name);
    else
        walk_node(w, cast->arg); // the other child is the type's name
}

static void walk_constant(struct walk *w, const PgQuery__AConst *constant)
{
    if (constant->val_case == PG_QUERY__A__CONST__VAL_SVAL &&
        template_has_datetime_word(slice_str(constant->sval->sval)))
        walk_deny(w, BYPASS_DATETIME_WORD);
}

// ---- Columns ------------------------------------------------------------------------------------

// t.f is the column f of t, or, when t has none, the function f(t): only a catalog can tell. Of
// PostgreSQL's own few take a row.
static void walk_fields(struct walk *w, PgQuery__Node **fields, size_t n, bool first_is_bare)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = node_string(fields[i]);
        if (node_is_system_column(name))
            walk_deny(w, BYPASS_UNSUPPORTED);
        if (name[0] != 0 && !first_is_bare && !w->defines) {
            w->gets = true;
            calls_judge_field(w, name);
        }
        if (node_tells_of_its_argument(name))
            walk_deny(w, BYPASS_VOLATILE_FUNCTION);
        if (name[0] != 0 && !(i == 0 && first_is_bare))
            walk_name(w, &w->fields, "", name);
        else if (name[0] == 0)
            walk_node(w, fields[i]);
        if (!first_is_bare && fields[i]->node_case == NODE(A_STAR))
            columns_row(&w->columns);
    }
}

static void walk_column(struct walk *w, const PgQuery__ColumnRef *column)
{
    columns_reference(&w->columns, column);
    walk_fields(w, column->fields, column->n_fields, true);
}

// An item of FROM, from which only some of that FROM is in sight; `sight` says what.
static void walk_from_item(struct walk *w, const ProtobufCMessage *item, struct walk_level sight)
{
    const struct walk_level *level = w->level;
    if (level != NULL) {
        sight.select = level->select;
        sight.outer = level->outer;
        sight.scope = level->scope;
        w->level = &sight;
    }
    walk_children(w, item);
    w->level = level;
}

static void walk_range_function(struct walk *w, const PgQuery__RangeFunction *function)
{
    const PgQuery__FuncCall *outer = w->record;
    w->calls_in_from |= !w->defines;
    w->record = calls_safe_record(w, function);
    PgQuery__RangeFunction seen = *function;
    if (w->record != NULL)
        seen.n_coldeflist = 0; // these are judged
    walk_from_item(w, &seen.base, (struct walk_level){.in_from = true});
    w->record = outer;
}

static void walk_indirection(struct walk *w, const PgQuery__AIndirection *i)
{
    walk_node(w, i->arg);
    walk_fields(w, i->indirection, i->n_indirection, false);
}

// ---- Statements inside statements ---------------------------------------------------------------

static void walk_select(struct walk *w, const PgQuery__SelectStmt *s)
{
    struct columns_level outer = columns_enter(&w->columns, s);
    walk_with(w, s->with_clause, &s->base);
    columns_leave(&w->columns, outer);
}

// INSERT, UPDATE, DELETE, MERGE. The target is a child like others; it is written, not read.
static void walk_dml(struct walk *w, const PgQuery__RangeVar *target,
                     const PgQuery__WithClause *with, const ProtobufCMessage *statement)
{
    const PgQuery__RangeVar *outer = w->target;
    fixed_write(&w->fixed, statement);
    walk_write(w, target);
    w->target = target;
    walk_with(w, with, statement);
    w->target = outer;
}

// Without LATERAL it does not see what stands beside it, with it what stands before it.
static void walk_subselect(struct walk *w, const PgQuery__RangeSubselect *s)
{
    if (s->lateral) {
        walk_from_item(w, &s->base, (struct walk_level){.before = s});
        return;
    }
    const struct walk_level *level = w->level;
    if (level != NULL)
        w->level = level->outer;
    walk_children(w, &s->base);
    w->level = level;
}

static void walk_into(struct walk *w, const PgQuery__IntoClause *into)
{
    walk_deny(w, BYPASS_NOT_SELECT);
    w->writes_unknown = true; // event triggers run
    if (into->rel != NULL && walk_is_temporary(into->rel))
        w->effects |= EFFECT_TEMP;
    else
        w->ddl |= DDL_RELATIONS;
}

static void walk_join(struct walk *w, const PgQuery__JoinExpr *join)
{
    if (join->is_natural || join->n_using_clause > 0)
        use_operator(w, "", "=");
    columns_join(&w->columns, join);
    walk_from_item(w, &join->base, (struct walk_level){.in_from = true});
}

static void walk_sublink(struct walk *w, const PgQuery__SubLink *link)
{
    if (link->n_oper_name > 0)
        use_operators(w, link->oper_name, link->n_oper_name);
    else if (link->testexpr != NULL)
        use_operator(w, "", "="); // IN
    walk_node(w, link->testexpr);
    columns_exists(&w->columns, link);
    walk_node(w, link->subselect);
}

static void walk_case(struct walk *w, const PgQuery__CaseExpr *e)
{
    if (e->arg != NULL)
        use_operator(w, "", "=");
    walk_children(w, &e->base);
}

static void walk_sort(struct walk *w, const PgQuery__SortBy *sort)
{
    use_operators(w, sort->use_op, sort->n_use_op);
    walk_node(w, sort->node);
}

static void walk_table_sample(struct walk *w, const PgQuery__RangeTableSample *sample)
{
    walk_deny(w, BYPASS_UNSUPPORTED);
    const char *schema, *name;
    split_name(sample->method, sample->n_method, &schema, &name);
    if (strcmp(name, "system") != 0 && strcmp(name, "bernoulli") != 0)
        calls_judge_unknown(w);
    walk_children(w, &sample->base);
}

static void walk_string(struct walk *w, const PgQuery__String *string)
{
    // CREATE FUNCTION pg_temp.f and the like.
    if (w->defines && starts_with(string->sval, "pg_temp"))
        w->effects |= EFFECT_TEMP;
}

static void walk_range_var(struct walk *w, const PgQuery__RangeVar *relation)
{
    if (relation == w->target)
        return;
    if (w->defines) {
        if (walk_is_temporary(relation))
            w->effects |= EFFECT_TEMP;
        return;
    }
    columns_relation(&w->columns, relation);
    walk_read(w, relation);
}

static void walk_insert(struct walk *w, const PgQuery__InsertStmt *s)
{
    w->effects |= w->defines ? 0 : EFFECT_SEQUENCE_USE;
    w->on_conflict |= s->on_conflict_clause != NULL;
    walk_dml(w, s->relation, s->with_clause, &s->base);
}

// ---- The switch ---------------------------------------------------------------------------------

static void walk_kind(struct walk *w, node_case kind, const ProtobufCMessage *message)
{
    switch ((int)kind) {
    case NODE(SELECT_STMT):
        walk_select(w, (const PgQuery__SelectStmt *)message);
        return;
    case NODE(INSERT_STMT):
        walk_insert(w, (const PgQuery__InsertStmt *)message);
        return;
    case NODE(UPDATE_STMT):
        walk_dml(w, ((const PgQuery__UpdateStmt *)message)->relation,
                 ((const PgQuery__UpdateStmt *)message)->with_clause, message);
        return;
    case NODE(DELETE_STMT):
        walk_dml(w, ((const PgQuery__DeleteStmt *)message)->relation,
                 ((const PgQuery__DeleteStmt *)message)->with_clause, message);
        return;
    case NODE(MERGE_STMT):
        w->effects |= w->defines ? 0 : EFFECT_SEQUENCE_USE;
        walk_dml(w, ((const PgQuery__MergeStmt *)message)->relation,
                 ((const PgQuery__MergeStmt *)message)->with_clause, message);
        return;
    case NODE(WITH_CLAUSE): // walked by its statement
    case NODE(_NOT_SET): // an empty place in a list
        return;
    case NODE(RANGE_VAR):
        walk_range_var(w, (const PgQuery__RangeVar *)message);
        return;
    case NODE(INTO_CLAUSE):
        walk_into(w, (const PgQuery__IntoClause *)message);
        return;
    case NODE(LOCKING_CLAUSE): // names aliases, not relations
        walk_deny(w, BYPASS_LOCKING);
        return;
    case NODE(FUNC_CALL):
        walk_function(w, (const PgQuery__FuncCall *)message);
        walk_children(w, message);
        return;
    case NODE(A_EXPR):
        walk_expression(w, (const PgQuery__AExpr *)message);
        return;
    case NODE(TYPE_CAST):
        walk_cast(w, (const PgQuery__TypeCast *)message);
        return;
    case NODE(A_CONST):
        walk_constant(w, (const PgQuery__AConst *)message);
        return;
    case NODE(PARAM_REF):
        walk_parameter(w, (const PgQuery__ParamRef *)message, NULL);
        return;
    case NODE(COLUMN_REF):
        walk_column(w, (const PgQuery__ColumnRef *)message);
        return;
    case NODE(RANGE_FUNCTION):
        walk_range_function(w, (const PgQuery__RangeFunction *)message);
        return;
    case NODE(A_INDIRECTION):
        walk_indirection(w, (const PgQuery__AIndirection *)message);
        return;
    case NODE(RANGE_SUBSELECT):
        walk_subselect(w, (const PgQuery__RangeSubselect *)message);
        return;
    case NODE(JOIN_EXPR):
        walk_join(w, (const PgQuery__JoinExpr *)message);
        return;
    case NODE(SUB_LINK):
        walk_sublink(w, (const PgQuery__SubLink *)message);
        return;
    case NODE(CASE_EXPR):
        walk_case(w, (const PgQuery__CaseExpr *)message);
        return;
    case NODE(NULL_TEST):
        columns_null_test(&w->columns, (const PgQuery__NullTest *)message);
        break;
    case NODE(SORT_BY):
        walk_sort(w, (const PgQuery__SortBy *)message);
        return;
    case NODE(EXECUTE_STMT): // also in CREATE TABLE AS EXECUTE: the text was seen earlier, not now
        w->writes_unknown = true;
        w->prepared = ((const PgQuery__ExecuteStmt *)message)->name;
        w->effects |= EFFECT_PREPARE | EFFECT_EXECUTE;
        walk_children(w, message); // the arguments
        return;
    case NODE(SQLVALUE_FUNCTION): // CURRENT_DATE, CURRENT_USER ...
        w->tells_time |= walk_is_time((const PgQuery__SQLValueFunction *)message);
        if (!node_is_of_the_key(((const PgQuery__SQLValueFunction *)message)->op))
            walk_deny(w, BYPASS_VOLATILE_FUNCTION);
        return;
    case NODE(RANGE_TABLE_SAMPLE):
        walk_table_sample(w, (const PgQuery__RangeTableSample *)message);
        return;
    case NODE(STRING):
        walk_string(w, (const PgQuery__String *)message);
        return;
    case NODE(COLLATE_CLAUSE): // its other child is the collation's name
        walk_node(w, ((const PgQuery__CollateClause *)message)->arg);
        return;
    }
    casts_note_any(w, message); // of a column that a function gives
    if (!node_is_what_its_children_are(kind))
        walk_deny(w, BYPASS_UNSUPPORTED);
    walk_children(w, message);
}

void walk_node(struct walk *w, const PgQuery__Node *node)
{
    // All members of the union are pointers to messages.
    if (node != NULL && node->node_case != NODE(_NOT_SET))
        walk_kind(w, node->node_case, (const ProtobufCMessage *)node->alias);
}

void walk_message(struct walk *w, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *all = &pg_query__node__descriptor;
    if (message->descriptor == all) {
        walk_node(w, (const PgQuery__Node *)message);
        return;
    }
    // A child that is not wrapped in a node: its kind is the field of Node with its type.
    for (unsigned i = 0; i < all->n_fields; i++)
        if (all->fields[i].descriptor == message->descriptor) {
            walk_kind(w, (node_case)all->fields[i].id, message);
            return;
        }
    walk_deny(w, BYPASS_UNSUPPORTED);
    walk_children(w, message);
}

void walk_children(struct walk *w, const ProtobufCMessage *message)
{
    const uint8_t *base = (const uint8_t *)message;
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(base + field->quantifier_offset);
            ProtobufCMessage **children = *(ProtobufCMessage ***)(base + field->offset);
            for (size_t j = 0; j < n; j++)
                walk_message(w, children[j]);
            continue;
        }
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
            *(const uint32_t *)(base + field->quantifier_offset) != field->id)
            continue;
        const ProtobufCMessage *child = *(ProtobufCMessage *const *)(base + field->offset);
        if (child != NULL)
            walk_message(w, child);
    }
}
