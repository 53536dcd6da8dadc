// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/captured.h"

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

enum catalog_answer captured_runs_code(const struct analysis *a, const struct catalog *catalog)
{
    bool runs = false, known = true;
    for (uint32_t i = 0; i < a->reads.count; i++) {
        runs |= catalog_runs_code(catalog, a->reads.at[i].name);
        known &= catalog_knows(catalog, a->reads.at[i].name);
    }
    for (uint32_t i = 0; i < a->functions.count; i++)
        runs |= captured_function(catalog, &a->functions.at[i]);
    for (uint32_t i = 0; i < a->fields.count; i++)
        runs |= captured_field(catalog, a, &a->fields.at[i]);
    for (uint32_t i = 0; i < a->operators.count; i++)
        runs |= captured_operator(catalog, &a->operators.at[i]);
    return runs ? CATALOG_FOUND : known ? CATALOG_ABSENT : CATALOG_PENDING;
}
