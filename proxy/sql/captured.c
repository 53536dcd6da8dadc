// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/captured.h"

#include "proxy/sql/builtins.h"

bool captured_function(const struct catalog *c, const struct sql_name *name)
{
    return name->schema.len == 0 && catalog_captures_function(c, name->name);
}

bool captured_operator(const struct catalog *c, const struct sql_name *name)
{
    return name->schema.len == 0 && catalog_captures_operator(c, name->name);
}

bool captured_field(const struct catalog *c, const struct analysis *a,
                    const struct sql_name *name)
{
    return catalog_captures_function(c, name->name) ||
           (a->gets && catalog_captures_getter(c, name->name));
}

static bool is_builtin(const struct sql_name *name, enum volatility volatility)
{
    return (name->schema.len == 0 || slice_is(name->schema, "pg_catalog")) &&
           volatility != VOLATILITY_UNKNOWN;
}

bool captured_builtin_function(const struct sql_name *name)
{
    return is_builtin(name, builtin_function_volatility(name->name));
}

enum catalog_answer captured_calls_write(const struct analysis *a, const struct catalog *catalog)
{
    bool may = false, known = true;
    for (uint32_t i = 0; i < a->functions.count; i++) {
        const struct sql_name *name = &a->functions.at[i];
        if (captured_builtin_function(name))
            continue;
        may |= !catalog_function_is_harmless(catalog, name->name);
        known &= catalog_knows(catalog, name->name);
    }
    for (uint32_t i = 0; i < a->operators.count; i++) {
        const struct sql_name *name = &a->operators.at[i];
        may |= !is_builtin(name, builtin_operator_volatility(name->name)) &&
               !catalog_operator_is_harmless(catalog, name->name);
    }
    return may ? CATALOG_FOUND : known ? CATALOG_ABSENT : CATALOG_PENDING;
}

static bool may_write(const struct catalog *c, const struct sql_name *function)
{
    return captured_function(c, function) && !catalog_function_is_harmless(c, function->name);
}

enum catalog_answer captured_runs_code(const struct analysis *a, const struct catalog *catalog)
{
    bool runs = false, known = true;
    for (uint32_t i = 0; i < a->reads.count; i++) {
        runs |= catalog_runs_code(catalog, a->reads.at[i].name);
        known &= catalog_knows(catalog, a->reads.at[i].name);
    }
    for (uint32_t i = 0; i < a->functions.count; i++)
        runs |= may_write(catalog, &a->functions.at[i]);
    for (uint32_t i = 0; i < a->fields.count; i++)
        runs |= captured_field(catalog, a, &a->fields.at[i]);
    for (uint32_t i = 0; i < a->operators.count; i++)
        runs |= captured_operator(catalog, &a->operators.at[i]) &&
                !catalog_operator_is_harmless(catalog, a->operators.at[i].name);
    return runs ? CATALOG_FOUND : known ? CATALOG_ABSENT : CATALOG_PENDING;
}
