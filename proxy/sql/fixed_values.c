// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/fixed_values.h"

#include "cache/rowkey_array.h"
#include "proxy/sql/nodes.h"

#define NODE(name) PG_QUERY__NODE__NODE_##name

enum { ELEMENTS_MAX = 64 }; // of one ARRAY[...]

static bool add_value(struct fixed *f, struct sql_value value)
{
    if (!fixed_has_room(f))
        return false;
    f->values[f->n_values++] = value;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// The parser puts a negative constant where its minus stands.
static const struct template_constant *constant_at(const struct fixed *f, size_t location,
                                                   bool *negative)
{
    if (location >= f->text.len)
        return NULL;
    *negative = f->text.at[location] == '-';
    if (*negative)
        for (location++; location < f->text.len && is_blank(f->text.at[location]);)
            location++;
    for (size_t i = 0; i < f->n_constants; i++)
        if (f->constants[i].raw.at == f->text.at + location)
            return &f->constants[i];
    return NULL;
}

static bool string_is(struct slice raw, const char *value)
{
    for (size_t i = 1; i + 1 < raw.len; i++, value++) {
        if (raw.at[i] != (uint8_t)*value)
            return false;
        i += raw.at[i] == '\'';
    }
    return *value == '\0';
}

static bool number_is(struct slice raw, bool negative, const char *value)
{
    if (negative != (value[0] == '-'))
        return false;
    return slice_eq(raw, slice_str(value + negative));
}

// A TEMPLATE_INTEGER fits int4; leading zeros do not matter.
static bool integer_is(struct slice raw, bool negative, int32_t value)
{
    int64_t number = 0;
    for (size_t i = 0; i < raw.len; i++)
        number = number * 10 + (raw.at[i] - '0');
    return (negative ? -number : number) == value;
}

// Is the constant the one that the parser saw? Then it is in every text of the template.
static bool take_constant(const struct fixed *f, const PgQuery__AConst *c, struct sql_value *out)
{
    bool negative = false, same = false;
    const struct template_constant *at = constant_at(f, (size_t)c->location, &negative);
    if (at == NULL || c->isnull || c->location < 0)
        return false;
    out->number = (uint16_t)(at - f->constants);
    out->negative = negative;
    if (at->kind == TEMPLATE_INTEGER && c->val_case == PG_QUERY__A__CONST__VAL_IVAL) {
        out->kind = SQL_INTEGER;
        same = integer_is(at->raw, negative, c->ival->ival);
    } else if (at->kind == TEMPLATE_DECIMAL && c->val_case == PG_QUERY__A__CONST__VAL_FVAL) {
        out->kind = SQL_DECIMAL;
        same = number_is(at->raw, negative, c->fval->fval);
    } else if (at->kind == TEMPLATE_STRING && c->val_case == PG_QUERY__A__CONST__VAL_SVAL) {
        out->kind = SQL_STRING;
        same = !negative && string_is(at->raw, c->sval->sval);
    }
    return same;
}

// Types that a value may be cast to, by the names that the parser gives them (or that are written).
static uint32_t cast_oid(const PgQuery__TypeName *type)
{
    static const struct {
        const char *name;
        uint32_t oid;
    } types[] = {{"int2", 21},     {"int4", 23},   {"int8", 20},        {"text", 25},
                 {"varchar", 1043}, {"uuid", 2950}, {"bool", 16},        {"date", 1082},
                 {"numeric", 1700}, {"oid", 26},    {"bytea", 17},       {"name", 19},
                 {"macaddr", 829},  {"time", 1083}, {"timestamp", 1114}, {"timestamptz", 1184},
                 {"float8", 701},  {"inet", 869},  {"cidr", 650},        {"varbit", 1562},
                 {"interval", 1186}, {"float4", 700}, {"int4range", 3904}, {"int8range", 3926},
                 {"numrange", 3906}, {"daterange", 3912}, {"tsrange", 3908},
                 {"tstzrange", 3910}};
    if (type == NULL || type->setof || type->pct_type || type->n_typmods > 0 ||
        type->n_names < 1 || type->n_names > 2 ||
        (type->n_names == 2 && strcmp(node_string(type->names[0]), "pg_catalog") != 0))
        return 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (strcmp(node_string(type->names[type->n_names - 1]), types[i].name) == 0)
            return types[i].oid;
    return 0;
}

uint32_t fixed_cast(const PgQuery__TypeName *type)
{
    const uint32_t array = UINT32_C(1) << 31; // of our types no oid has this bit
    uint32_t oid = cast_oid(type);
    return oid != 0 && type->n_array_bounds > 0 ? oid | array : oid;
}

// ARRAY['a', 'b'] as one value; keys.c refuses all but constants in it.
static bool take_elements(struct fixed *f, const PgQuery__AArrayExpr *array, struct sql_value value)
{
    value.kind = SQL_ELEMENTS;
    value.number = (uint16_t)array->n_elements;
    if (array->n_elements > ELEMENTS_MAX || !add_value(f, value))
        return false;
    for (size_t i = 0; i < array->n_elements; i++)
        if (!fixed_take_value(f, array->elements[i], false))
            return false;
    return true;
}

// A constant or a parameter, cast or not. array: the cast must be to an array, if there is one.
bool fixed_take_value(struct fixed *f, const PgQuery__Node *node, bool array)
{
    struct sql_value value = {.array = array};
    if (node != NULL && node->node_case == NODE(TYPE_CAST)) {
        const PgQuery__TypeName *type = node->type_cast->type_name;
        value.cast = cast_oid(type);
        if (!array && type->n_array_bounds > 0) // it is one value
            value.cast = rowkey_array_of(value.cast);
        if (value.cast == 0 || (array && type->n_array_bounds == 0))
            return false;
        node = node->type_cast->arg;
    }
    if (node == NULL)
        return false;
    if (node->node_case == NODE(A_ARRAY_EXPR) && !array)
        return take_elements(f, node->a_array_expr, value);
    if (node->node_case == NODE(PARAM_REF)) {
        int32_t number = node->param_ref->number;
        if (number < 1 || number > UINT16_MAX)
            return false;
        value.kind = SQL_PARAMETER;
        value.number = (uint16_t)number;
        return add_value(f, value);
    }
    if (node->node_case != NODE(A_CONST))
        return false;
    if (node->a_const->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL && !array) {
        value.kind = SQL_BOOLEAN;
        value.number = node->a_const->boolval->boolval;
        return !node->a_const->isnull && add_value(f, value);
    }
    if (!take_constant(f, node->a_const, &value))
        return false;
    return (!array || value.kind == SQL_STRING) && add_value(f, value);
}

bool fixed_take_list(struct fixed *f, PgQuery__Node **items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!fixed_take_value(f, items[i], false))
            return false;
    return n > 0;
}

bool fixed_take_array(struct fixed *f, const PgQuery__Node *node)
{
    if (node == NULL)
        return false;
    if (node->node_case != NODE(A_ARRAY_EXPR))
        return fixed_take_value(f, node, true);
    uint16_t first = f->n_values;
    if (!fixed_take_list(f, node->a_array_expr->elements, node->a_array_expr->n_elements))
        return false;
    for (uint16_t i = first; i < f->n_values; i++) // not the column decides on the type
        f->values[i].shared = f->values[i].cast == 0;
    return true;
}
