// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/keys.h"

#include "base/reader.h"
#include "cache/ledger.h"
#include "cache/rowkey_array.h"
#include "proxy/sql/pattern.h"

enum { TEXT = 25, VARCHAR = 1043, UNKNOWN = 705 };

// The values of one column, on their way.
struct column {
    const struct key_values *from;
    enum rowkey_type type;
    uint32_t oid; // of its own type
    bool stored; // what is compared later is what the column makes of it
    size_t n;
    uint64_t at[KEYS_MAX];
};

static bool is_text(uint32_t type)
{
    return type == TEXT || type == VARCHAR;
}

// ---- Forms --------------------------------------------------------------------------------------

static bool add(struct column *c, uint64_t form)
{
    if (c->n == KEYS_MAX)
        return false;
    c->at[c->n++] = form;
    return true;
}

static bool letters_are_sure(const struct column *c, struct slice bytes)
{
    return !rowkey_has_letters(c->type) || c->from->utf8 || slice_is_ascii(bytes);
}

// A user's type is told apart from another one by its oid.
static bool accepts(const struct column *c, uint32_t type)
{
    return rowkey_accepts(c->type, type) || (c->oid != 0 && type == c->oid);
}

// Of blanks at the end a column of a length keeps what it has room for.
static bool is_kept(const struct column *c, struct slice text)
{
    return !c->stored || c->type != ROWKEY_TEXT || text.len == 0 || text.at[text.len - 1] != ' ';
}

// A cast reads the text first; what it would round is not taken.
static bool add_text(struct column *c, uint32_t cast, struct slice text)
{
    uint64_t form, unused;
    if (cast != 0 && !rowkey_text(rowkey_type_of(cast), text, &unused))
        return false;
    return letters_are_sure(c, text) && is_kept(c, text) && rowkey_text(c->type, text, &form) &&
           add(c, form);
}

static bool add_binary(struct column *c, uint32_t type, struct slice bytes)
{
    uint64_t form;
    return letters_are_sure(c, bytes) && is_kept(c, bytes) &&
           rowkey_binary(c->type, type, bytes, &form) && add(c, form);
}

// ---- Arrays -------------------------------------------------------------------------------------

// A NULL equals nothing; the word for it is text with array_nulls = off, and then another type may
// have it as well.
static bool add_element(struct column *c, uint32_t cast, const struct rowkey_element *e)
{
    uint64_t form;
    if (e->binary)
        return e->null || add_binary(c, e->type, e->bytes);
    if (e->null && c->type != ROWKEY_CHAR && !rowkey_text(c->type, e->bytes, &form))
        return true;
    return add_text(c, cast, e->bytes);
}

struct elements {
    struct column *column;
    uint32_t cast;
    uint32_t type; // in binary, if it is known
};

static bool visit_element(void *arg, const struct rowkey_element *e)
{
    const struct elements *of = arg;
    if (e->binary && (!accepts(of->column, e->type) || (of->type != 0 && of->type != e->type)))
        return false;
    return add_element(of->column, of->cast, e);
}

static bool add_array_text(struct column *c, uint32_t cast, struct slice text)
{
    struct elements of = {.column = c, .cast = cast};
    return rowkey_elements_of_text(text, visit_element, &of);
}

static bool add_array_binary(struct column *c, uint32_t type, struct slice bytes)
{
    struct elements of = {.column = c, .type = type};
    return rowkey_elements_of_binary(bytes, visit_element, &of);
}

// ---- Parameters ---------------------------------------------------------------------------------

struct parameter {
    bool null;
    bool binary;
    uint32_t declared; // 0: not
    struct slice bytes;
};

static bool parameter_of(const struct key_values *v, uint16_t number, struct parameter *out)
{
    struct reader r = reader_of(v->bind);
    uint16_t formats = reader_u16(&r);
    struct slice codes = reader_bytes(&r, (size_t)formats * 2);
    uint16_t count = reader_u16(&r);
    uint32_t len = 0;
    if (!reader_ok(&r) || number > count || (formats > 1 && number > formats))
        return false;
    for (uint16_t i = 0; i < number; i++) {
        len = reader_u32(&r);
        out->bytes = len == UINT32_MAX ? slice_of("", 0) : reader_bytes(&r, len);
    }
    out->null = len == UINT32_MAX;
    const uint8_t *code = formats == 0 ? NULL : codes.at + (formats == 1 ? 0 : 2 * (number - 1));
    out->binary = code != NULL && code[1] != 0;
    struct reader types = reader_of(v->types);
    uint16_t declared = v->types.len > 0 ? reader_u16(&types) : 0;
    out->declared = 0;
    if (number <= declared) {
        reader_bytes(&types, (size_t)(number - 1) * 4);
        out->declared = reader_u32(&types);
    }
    if (out->declared == UNKNOWN)
        out->declared = 0;
    return reader_ok(&r) && reader_ok(&types);
}

// What the value is compared as: its declared type, what it is cast to, the column's. A type that
// is not declared is that of the place where the parameter is met first: so it must be this one.
static bool add_parameter(struct column *c, const struct sql_value *value)
{
    struct parameter p;
    if (!parameter_of(c->from, value->number, &p) || (p.declared == 0 && value->shared))
        return false;
    uint32_t declared = p.declared;
    if (declared != 0 && value->array)
        declared = rowkey_element_of(declared);
    if (p.declared != 0 && declared == 0)
        return false;
    if (value->cast != 0 && !rowkey_accepts(c->type, value->cast))
        return false;
    bool read_again = value->cast != 0 && is_text(declared) && !value->array;
    if (value->cast != 0 && declared != 0 && !read_again &&
        rowkey_type_of(declared) != rowkey_type_of(value->cast))
        return false;
    if (declared != 0 && !read_again && !accepts(c, declared))
        return false;
    uint32_t type = declared != 0 ? declared : value->cast;
    if (p.null)
        return true; // equals nothing
    if (value->array)
        return p.binary ? add_array_binary(c, type, p.bytes)
                        : add_array_text(c, value->cast, p.bytes);
    return p.binary && !read_again ? add_binary(c, type, p.bytes)
                                   : add_text(c, value->cast, p.bytes);
}

// ---- Constants ----------------------------------------------------------------------------------

static bool is_number(enum rowkey_type type)
{
    return type == ROWKEY_INTEGER || type == ROWKEY_NUMERIC || type == ROWKEY_OID ||
           type == ROWKEY_DOUBLE || type == ROWKEY_FLOAT;
}

// The constants are looked for once they are needed.
struct constants {
    bool known;
    size_t n;
    struct template_constant at[TEMPLATE_CONSTANTS_MAX];
};

enum { CONSTANT_BYTES = 2 * ROWKEY_VALUE_BYTES };

// What it says, without quotes and with its minus. A number without a cast is an integer where it
// fits eight bytes, and then compares as one; a float8 or float4 is compared with the float8 that
// it is cast to, which is that of its digits. False: it is no constant, or is not compared as a
// column of the type is.
static bool constant_text(enum rowkey_type type, const struct sql_value *value,
                          const struct constants *constants, uint8_t *bytes, struct slice *out)
{
    static const uint8_t kinds[SQL_ELEMENTS + 1] = {[SQL_INTEGER] = TEMPLATE_INTEGER,
                                                    [SQL_DECIMAL] = TEMPLATE_DECIMAL,
                                                    [SQL_STRING] = TEMPLATE_STRING};
    if (value->cast != 0 && !rowkey_accepts(type, value->cast))
        return false;
    *out = slice_str(value->number ? "t" : "f");
    if (value->kind == SQL_BOOLEAN)
        return type == ROWKEY_BOOLEAN;
    if (value->number >= constants->n || constants->at[value->number].kind != kinds[value->kind])
        return false;
    struct slice raw = constants->at[value->number].raw;
    bool quoted = value->kind == SQL_STRING;
    size_t n = 0;
    if (raw.len >= CONSTANT_BYTES || (!quoted && !is_number(type)))
        return false;
    if (value->negative)
        bytes[n++] = '-';
    for (size_t i = quoted; i + quoted < raw.len; i++) {
        bytes[n++] = raw.at[i];
        i += quoted && raw.at[i] == '\'';
    }
    *out = slice_of(bytes, n);
    return true;
}

// An enum's label in a statement that was prepared is the one of that time, whatever it is called
// now; a parameter's is that of today.
static bool is_of_today(const struct column *c)
{
    return c->type != ROWKEY_ENUM || c->from->bind.len == 0;
}

static bool add_constant(struct column *c, const struct sql_value *value,
                         const struct constants *constants)
{
    uint8_t bytes[CONSTANT_BYTES];
    struct slice text;
    if (!is_of_today(c) || !constant_text(c->type, value, constants, bytes, &text))
        return false;
    return value->array ? add_array_text(c, value->cast, text) : add_text(c, value->cast, text);
}

// ARRAY['a', 'b'], as '{"a","b"}'. What it is cast to must be the column's own type, as a cast may
// change its elements.
static bool add_elements(struct column *c, const struct sql_value *array,
                         const struct constants *constants)
{
    uint8_t text[ROWKEY_VALUE_BYTES], bytes[CONSTANT_BYTES];
    enum rowkey_type type = rowkey_of_elements(c->type);
    size_t n = 0;
    if (type == ROWKEY_NONE || (array->cast != 0 && rowkey_type_of(array->cast) != c->type))
        return false;
    text[n++] = '{';
    for (uint16_t i = 1; i <= array->number; i++) {
        struct slice element;
        uint64_t unused;
        uint32_t cast = array[i].cast;
        if (!constant_text(type, &array[i], constants, bytes, &element) ||
            (cast != 0 && !rowkey_text(rowkey_type_of(cast), element, &unused)) ||
            2 * element.len + 4 > sizeof(text) - n)
            return false;
        if (i > 1)
            text[n++] = ',';
        text[n++] = '"';
        for (size_t k = 0; k < element.len; k++) {
            if (element.at[k] == '"' || element.at[k] == '\\')
                text[n++] = '\\';
            text[n++] = element.at[k];
        }
        text[n++] = '"';
    }
    text[n++] = '}';
    return add_text(c, 0, slice_of(text, n));
}

// ---- Columns, keys ------------------------------------------------------------------------------

static size_t constants_of(const struct key_values *v, struct template_constant *out)
{
    size_t n;
    const struct pattern *like = v->analysis->pattern;
    if (like != NULL && pattern_constants(like, v->text, out, &n))
        return n;
    return template_constants(v->text, out);
}

static bool column_values(struct column *c, uint16_t fix, struct constants *constants)
{
    const struct sql_keys *keys = &c->from->analysis->keys;
    const struct sql_fix *f = &keys->fixes[fix];
    for (uint16_t i = f->first; i < f->first + f->count; i++) {
        const struct sql_value *value = &keys->values[i];
        if (value->kind != SQL_PARAMETER && !constants->known) {
            constants->known = true;
            constants->n = constants_of(c->from, constants->at);
        }
        bool added = value->kind == SQL_PARAMETER  ? add_parameter(c, value)
                     : value->kind == SQL_ELEMENTS ? add_elements(c, value, constants)
                                                   : add_constant(c, value, constants);
        if (!added)
            return false;
        if (value->kind == SQL_ELEMENTS)
            i += value->number;
    }
    return true;
}

// Do the n-th values of all columns belong together, each n being one of a row? Then these are the
// keys, and not each value of one column with each of another.
static bool are_tuples(const struct sql_keys *keys, const struct resolved_scan *scan,
                       const struct column *columns)
{
    for (uint8_t i = 0; i < scan->n; i++) {
        const struct sql_fix *f = &keys->fixes[scan->columns[i].fix];
        if (f->tuple == 0 || f->tuple != keys->fixes[scan->columns[0].fix].tuple ||
            columns[i].n != f->count || f->count != keys->fixes[scan->columns[0].fix].count)
            return false;
        for (uint16_t k = f->first; k < f->first + f->count; k++)
            if (keys->values[k].array)
                return false;
    }
    return true;
}

int keys_slots(const struct key_values *values, const struct resolved_scan *scan, uint32_t *out)
{
    struct column columns[ROWKEY_COLUMNS_MAX];
    struct constants constants;
    size_t total = 1;
    constants.known = false;
    for (uint8_t i = 0; i < scan->n; i++) {
        bool stored = scan->given && scan->columns[i].modified;
        columns[i].from = values;
        columns[i].type = (enum rowkey_type)scan->columns[i].type;
        columns[i].oid = scan->columns[i].oid;
        columns[i].stored = stored;
        columns[i].n = 0;
        if ((stored && rowkey_is_rounded(columns[i].type)) ||
            !column_values(&columns[i], scan->columns[i].fix, &constants))
            return -1;
        total *= columns[i].n; // at most KEYS_MAX of each of a few columns
    }
    bool tuples = scan->n > 1 && !scan->apart &&
                  are_tuples(&values->analysis->keys, scan, columns);
    if (tuples)
        total = columns[0].n;
    if (total > KEYS_MAX)
        return -1;
    for (size_t n = 0; n < total; n++) {
        uint64_t key[ROWKEY_COLUMNS_MAX];
        size_t left = n;
        for (uint8_t i = 0; i < scan->n; i++) {
            key[i] = columns[i].at[tuples ? n : left % columns[i].n];
            left /= columns[i].n;
        }
        out[n] = ledger_key_slot(scan->space, key, scan->n);
    }
    return (int)total;
}
