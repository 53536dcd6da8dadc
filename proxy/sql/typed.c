// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/typed.h"

#include "proxy/sql/builtins.h"
#include "proxy/sql/columns.h"

enum {
    TYPE_NOT_DECLARED = 0,
    TYPE_UNKNOWN = 705,
    TYPE_FIRST_OF_USERS = 16384,
};

// All types that the name may mean for some role must be enums: the server skips schemas that the
// role may not use. At least one must be there, if `must`.
static enum catalog_answer look_up(const struct catalog *catalog, const struct sql_name *name,
                                   const struct search_path *path, bool must)
{
    if (!catalog_knows(catalog, name->name))
        return CATALOG_PENDING;
    enum catalog_type type = name->schema.len > 0
                                 ? catalog_type(catalog, &name->schema, 1, name->name)
                                 : catalog_search_type(catalog, path->schemas, path->count,
                                                       name->name);
    if (type == CATALOG_NO_TYPE)
        return must ? CATALOG_ABSENT : CATALOG_FOUND;
    return type == CATALOG_ENUM ? CATALOG_FOUND : CATALOG_ABSENT;
}

enum catalog_answer typed_names(const struct analysis *a, const struct catalog *catalog,
                                const struct search_path *path)
{
    enum catalog_answer worst = CATALOG_FOUND;
    if (catalog == NULL)
        return a->types.count + a->perhaps.count > 0 ? CATALOG_PENDING : CATALOG_FOUND;
    for (uint32_t i = 0; i < a->types.count + a->perhaps.count; i++) {
        bool must = i < a->types.count;
        enum catalog_answer answer =
            look_up(catalog, must ? &a->types.at[i] : &a->perhaps.at[i - a->types.count], path,
                    must);
        worst = answer > worst ? answer : worst;
    }
    return worst;
}

bool typed_relation(const struct analysis *a, const struct catalog_relation *relation,
                    uint64_t *found)
{
    bool right = true;
    for (uint32_t i = 0; i < a->dated.count; i++) {
        enum catalog_column_kind kind = catalog_column_kind(relation, a->dated.at[i].name);
        right &= kind != CATALOG_OTHER_COLUMN;
        *found |= kind == CATALOG_NO_COLUMN ? 0 : UINT64_C(1) << i;
    }
    return right;
}

static bool is_only_shown(char kind, struct slice name, void *arg)
{
    const struct sql_columns *columns = arg;
    bool known = kind == 'd' || kind == 'o' || kind == 't' || kind == 'T';
    return known || (!columns_computed(columns, name) &&
                     (kind == 's' || !columns_shown(columns, name)));
}

bool typed_columns(const struct analysis *a, const struct catalog_relation *relation)
{
    if (!relation->odd_columns)
        return true;
    // t.f is f(t), which may compare or cast what is in it, when t has no column f.
    for (uint32_t i = 0; i < a->fields.count; i++)
        if (builtin_function_volatility(a->fields.at[i].name) != VOLATILITY_UNKNOWN &&
            catalog_column_kind(relation, a->fields.at[i].name) == CATALOG_NO_COLUMN)
            return false;
    return catalog_columns(relation, is_only_shown, (void *)(uintptr_t)&a->columns);
}

static bool is_no_computed_time(char kind, struct slice name, void *arg)
{
    const struct sql_columns *columns = arg;
    return kind == 'd' || kind == 'o' || kind == 's' || !columns_computed(columns, name);
}

bool typed_times(const struct analysis *a, const struct catalog_relation *relation)
{
    return !a->zones || !relation->has_times ||
           catalog_columns(relation, is_no_computed_time, (void *)(uintptr_t)&a->columns);
}

bool typed_all(const struct analysis *a, uint64_t found)
{
    for (uint32_t i = 0; i < a->dated.count; i++)
        if ((found >> i & 1) == 0)
            return false;
    return true;
}

bool typed_is_users(uint32_t type)
{
    return type >= TYPE_FIRST_OF_USERS;
}

enum bypass typed_parameter(const struct analysis *a, uint32_t type)
{
    if (type == TYPE_NOT_DECLARED || type == TYPE_UNKNOWN)
        return BYPASS_NONE;
    if (a->zones && (builtin_type_is_time(type) || typed_is_users(type)))
        return BYPASS_VOLATILE_FUNCTION;
    return typed_is_users(type) || builtin_type_is_safe(type) ? BYPASS_NONE : BYPASS_CAST;
}
