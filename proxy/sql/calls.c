// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/calls.h"

#include "proxy/sql/builtins.h"
#include "proxy/sql/nodes.h"
#include "proxy/sql/walk.h"

void calls_judge_unknown(struct walk *w)
{
    walk_deny(w, BYPASS_UNKNOWN_FUNCTION);
    w->calls_unknown_function = true;
    w->writes_unknown = true;
    w->effects |= EFFECT_FUNCTION;
}

static void judge_builtin(struct walk *w, const PgQuery__FuncCall *call, struct slice name)
{
    if (!builtin_function_cacheable(name) && !(slice_is(name, "age") && call->n_args == 2) &&
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
        calls_judge_unknown(w);
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
