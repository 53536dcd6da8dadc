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

bool captured_name_writes(const struct catalog *c, struct slice function)
{
    return catalog_captures_function(c, function) && !catalog_function_is_harmless(c, function);
}

bool captured_operator_writes(const struct catalog *c, struct slice name)
{
    return catalog_captures_operator(c, name) && !catalog_operator_is_harmless(c, name);
}

bool captured_casts_write(const struct analysis *a, const struct catalog *c)
{
    return a->casts.count + a->perhaps.count + a->functions.count + a->operators.count +
                   a->writes.count > 0 &&
           captured_operator_writes(c, slice_str("::"));
}

bool captured_reads_columns(const struct sql_name *function)
{
    static const char *const names[] = {"json_populate_record", "json_populate_recordset",
                                        "jsonb_populate_record", "jsonb_populate_recordset"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is(function->name, names[i]))
            return true;
    return false;
}

static bool may_write(const struct catalog *c, const struct sql_name *function)
{
    return function->schema.len == 0 && captured_name_writes(c, function->name);
}

bool captured_builtin_type(const struct sql_name *name)
{
    return (name->schema.len == 0 || slice_is(name->schema, "pg_catalog")) &&
           (builtin_cast_cacheable(name->name, true) ||
            builtin_cast_searches_text(name->name, true));
}

static enum catalog_type type_of(const struct catalog *c, const struct sql_name *name,
                                 const struct search_path *path)
{
    if (path == NULL)
        return catalog_type(c, NULL, 1, name->name);
    return name->schema.len > 0
               ? catalog_type(c, &name->schema, 1, name->name)
               : catalog_search_type(c, path->schemas, path->count, name->name);
}

enum catalog_answer captured_casts_run_code(const struct analysis *a, const struct catalog *c,
                                            const struct search_path *path)
{
    bool runs = false, known = true;
    for (uint32_t i = 0; i < a->casts.count + a->perhaps.count; i++) {
        const struct sql_name *name = i < a->casts.count ? &a->casts.at[i]
                                                         : &a->perhaps.at[i - a->casts.count];
        if (captured_builtin_type(name))
            continue;
        runs |= type_of(c, name, path) == CATALOG_OTHER_TYPE;
        known &= catalog_knows(c, name->name);
    }
    return runs ? CATALOG_FOUND : known ? CATALOG_ABSENT : CATALOG_PENDING;
}

enum catalog_answer captured_runs_code(const struct analysis *a, const struct catalog *catalog)
{
    enum catalog_answer casts = captured_casts_run_code(a, catalog, NULL);
    bool runs = casts == CATALOG_FOUND || captured_casts_write(a, catalog);
    bool known = casts != CATALOG_PENDING;
    for (uint32_t i = 0; i < a->reads.count; i++) {
        runs |= catalog_runs_code(catalog, a->reads.at[i].name);
        known &= catalog_knows(catalog, a->reads.at[i].name);
    }
    for (uint32_t i = 0; i < a->functions.count; i++)
        runs |= may_write(catalog, &a->functions.at[i]) ||
                captured_reads_columns(&a->functions.at[i]);
    for (uint32_t i = 0; i < a->fields.count; i++)
        runs |= captured_field(catalog, a, &a->fields.at[i]);
    for (uint32_t i = 0; i < a->operators.count; i++)
        runs |= captured_operator(catalog, &a->operators.at[i]) &&
                !catalog_operator_is_harmless(catalog, a->operators.at[i].name);
    return runs ? CATALOG_FOUND : known ? CATALOG_ABSENT : CATALOG_PENDING;
}
