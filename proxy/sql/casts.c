// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/casts.h"

#include "proxy/sql/builtins.h"
#include "proxy/sql/dated.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

static bool is_constant(const PgQuery__Node *node)
{
    return node != NULL &&
           (node->node_case == NODE(PARAM_REF) ||
            (node->node_case == NODE(A_CONST) &&
             node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL));
}

static bool is_text(const PgQuery__TypeName *type)
{
    const char *name = type == NULL ? "" : node_last(type->names, type->n_names);
    return type != NULL && node_is_builtins(type->names, type->n_names) &&
           (strcmp(name, "text") == 0 || strcmp(name, "varchar") == 0);
}

// Nothing but constants, perhaps as texts: CAST($1::text AS mood), ARRAY['ok', 'sad']. What an enum
// reads of them its labels decide; of other types they may be words like 'now'.
static bool is_of_constants(const PgQuery__Node *node)
{
    while (node != NULL && node->node_case == NODE(TYPE_CAST) &&
           is_text(node->type_cast->type_name))
        node = node->type_cast->arg;
    if (node == NULL || node->node_case != NODE(A_ARRAY_EXPR))
        return is_constant(node);
    for (size_t i = 0; i < node->a_array_expr->n_elements; i++) {
        const PgQuery__Node *element = node->a_array_expr->elements[i];
        if (element->node_case == NODE(A_ARRAY_EXPR) || !is_of_constants(element))
            return false;
    }
    return node->a_array_expr->n_elements > 0;
}

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
    if (may_be_users(schema, name) && is_of_constants(cast->arg))
        return walk_name(w, &w->types, schema, type) != UINT32_MAX;
    return builtin && cast->type_name->n_array_bounds == 0 && builtin_type_is_datetime(name) &&
           dated_is(w, cast->arg);
}

void casts_note(struct walk *w, const PgQuery__TypeName *type)
{
    const char *schema = type->n_names > 1 ? node_string(type->names[type->n_names - 2]) : "";
    if (type->n_names > 0)
        walk_name(w, &w->casts, schema, node_last(type->names, type->n_names));
}

void casts_note_any(struct walk *w, const ProtobufCMessage *message)
{
    if (message->descriptor == &pg_query__type_name__descriptor)
        casts_note(w, (const PgQuery__TypeName *)message);
}

void casts_judge(struct walk *w, const PgQuery__TypeCast *cast)
{
    const PgQuery__TypeName *type = cast->type_name;
    if (type == NULL) {
        walk_deny(w, BYPASS_CAST);
        return;
    }
    const char *schema = type->n_names > 1 ? node_string(type->names[type->n_names - 2]) : "";
    const char *name = node_last(type->names, type->n_names);
    casts_note(w, type);
    if (type->setof || type->pct_type || type->n_names > 2 || !is_allowed(w, cast, schema, name))
        walk_deny(w, BYPASS_CAST);
}

void casts_judge_field(struct walk *w, const char *name)
{
    struct slice type = slice_str(name);
    if (builtin_field_casts(type))
        walk_deny(w, BYPASS_CAST);
    else
        walk_name(w, builtin_cast_cacheable(type, false) ? &w->casts : &w->perhaps, "", name);
}

bool casts_judge_call(struct walk *w, const PgQuery__FuncCall *call, const char *name)
{
    static const char *const those[] = {"date", "time", "timestamp", "timestamptz"};
    bool is_one = false;
    for (size_t i = 0; i < sizeof(those) / sizeof(those[0]); i++)
        is_one |= strcmp(name, those[i]) == 0;
    if (!is_one || call->n_args != 1 || !dated_is(w, call->args[0]))
        return false;
    walk_name(w, &w->casts, "", name);
    return true;
}
