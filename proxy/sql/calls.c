// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/calls.h"

#include "proxy/sql/builtins.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

static void judge_users(struct walk *w)
{
    walk_deny(w, BYPASS_UNKNOWN_FUNCTION);
    w->calls_unknown_function = w->calls_unknown = true;
    w->effects |= EFFECT_FUNCTION;
}

void calls_judge_unknown(struct walk *w)
{
    judge_users(w);
    w->writes_unknown = true;
}

static void judge_builtin(struct walk *w, const PgQuery__FuncCall *call, struct slice name)
{
    if (!builtin_function_cacheable(name) && !(slice_is(name, "age") && call->n_args == 2) &&
        (w->record == NULL || call != w->record) &&
        !casts_judge_call(w, call, (const char *)name.at) &&
        !walk_searches_text(w, builtin_function_searches_text(name)))
        walk_deny(w, BYPASS_VOLATILE_FUNCTION);
    w->reasons |= builtin_function_forceable(name) ? 0 : 1ull << BYPASS_SESSION_STATE;
    switch (builtin_function_deed(name)) {
    case BUILTIN_NOTHING:
        break;
    case BUILTIN_ADVISORY:
        w->effects |= EFFECT_ADVISORY;
        break;
    case BUILTIN_SEQUENCE:
        w->effects |= EFFECT_SEQUENCE;
        break;
    case BUILTIN_SEQUENCE_USE:
        w->effects |= EFFECT_SEQUENCE_USE;
        break;
    case BUILTIN_SET_CONFIG:
        if (!node_is_local_set_config(call))
            w->effects |= EFFECT_SET_CONFIG | (node_names_its_setting(call) ? 0 : EFFECT_FUNCTION);
        break;
    case BUILTIN_ANYTHING:
        w->writes_unknown = true;
        w->effects |= EFFECT_FUNCTION;
        break;
    }
}

static bool is_timezone(const char *schema, const char *name)
{
    return (schema[0] == 0 || strcmp(schema, "pg_catalog") == 0) && strcmp(name, "timezone") == 0;
}

void calls_judge(struct walk *w, const PgQuery__FuncCall *call, const char *schema,
                 const char *name)
{
    w->zones |= is_timezone(schema, name); // AT TIME ZONE
    walk_name(w, &w->functions, schema, name);
    if (w->defines) { // but a default that will ask must be known
        bool will_ask = builtin_function_deed(slice_str(name)) == BUILTIN_SEQUENCE;
        w->effects |= will_ask ? EFFECT_SEQUENCE : 0;
        return;
    }
    if ((schema[0] == 0 || strcmp(schema, "pg_catalog") == 0) &&
        builtin_function_volatility(slice_str(name)) != VOLATILITY_UNKNOWN)
        judge_builtin(w, call, slice_str(name));
    else
        judge_users(w);
}

static bool has_safe_type(struct walk *w, const PgQuery__Node *column)
{
    const PgQuery__ColumnDef *def =
        column->node_case == NODE(COLUMN_DEF) ? column->column_def : NULL;
    const PgQuery__TypeName *type = def == NULL ? NULL : def->type_name;
    if (type == NULL || type->n_names < 1)
        return false;
    const char *schema = type->n_names > 1 ? node_string(type->names[type->n_names - 2]) : "";
    const char *name = node_last(type->names, type->n_names);
    casts_note(w, type);
    return def->coll_clause == NULL && !type->setof && !type->pct_type && type->n_names <= 2 &&
           (schema[0] == 0 || strcmp(schema, "pg_catalog") == 0) &&
           builtin_cast_cacheable(slice_str(name), false);
}

const PgQuery__FuncCall *calls_safe_record(struct walk *w, const PgQuery__RangeFunction *f)
{
    static const char *const those[] = {"json_to_record", "json_to_recordset", "jsonb_to_record",
                                        "jsonb_to_recordset"};
    const PgQuery__Node *list = f->n_functions == 1 ? f->functions[0] : NULL;
    if (w->defines || f->is_rowsfrom || f->n_coldeflist == 0 || list == NULL ||
        list->node_case != NODE(LIST) || list->list->n_items == 0 ||
        list->list->items[0]->node_case != NODE(FUNC_CALL))
        return NULL;
    const PgQuery__FuncCall *call = list->list->items[0]->func_call;
    size_t parts = call->n_funcname;
    const char *name = parts > 0 ? node_string(call->funcname[parts - 1]) : "";
    bool is_one = false;
    for (size_t i = 0; i < sizeof(those) / sizeof(those[0]); i++)
        is_one |= strcmp(name, those[i]) == 0;
    for (size_t i = 0; i < f->n_coldeflist; i++)
        is_one = is_one && has_safe_type(w, f->coldeflist[i]);
    return is_one ? call : NULL;
}

void calls_judge_field(struct walk *w, const char *name)
{
    static const PgQuery__FuncCall call = PG_QUERY__FUNC_CALL__INIT;
    w->zones |= is_timezone("", name);
    if (builtin_function_volatility(slice_str(name)) != VOLATILITY_UNKNOWN) {
        walk_name(w, &w->functions, "", name);
        judge_builtin(w, &call, slice_str(name));
    }
    casts_judge_field(w, name);
}

// Behind the alias of a function in FROM is what it gives, which need not be a row: then g.f is as
// (x).f, but for columns. Which alias is meant is not looked at.
void calls_judge_fields(struct walk *w)
{
    for (uint32_t i = 0; w->calls_in_from && i < w->fields.count; i++)
        calls_judge_field(w, (const char *)w->fields.at[i].name.at);
    w->gets |= w->calls_in_from;
}
