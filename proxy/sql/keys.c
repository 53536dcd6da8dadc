// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/keys.h"

#include "base/reader.h"
#include "cache/ledger.h"
#include "cache/rowkey.h"
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

// One element of an array's text, unquoted. null: it may be one, if it says so. False: it has no
// end.
static bool take_element(struct slice *s, uint8_t *out, size_t *n, bool *null)
{
    bool quoted = s->len > 0 && s->at[0] == '"';
    *n = 0;
    *null = !quoted;
    if (quoted)
        *s = slice_skip(*s, 1);
    while (s->len > 0 && *n < ROWKEY_VALUE_BYTES) {
        uint8_t byte = slice_cut(s, 1).at[0];
        if (quoted && byte == '"')
            return true;
        if (!quoted && (byte == ',' || byte == '}')) {
            *s = slice_of(s->at - 1, s->len + 1);
            return *n > 0;
        }
        if (byte == '\\' && s->len > 0) {
            byte = slice_cut(s, 1).at[0];
            *null = false;
        } else if (!quoted && (byte == '{' || byte == '"' || byte == '\\' || byte <= ' ')) {
            return false; // nested, or blanks that may count or not
        }
        out[(*n)++] = byte;
    }
    return false;
}

static bool is_null(struct slice word)
{
    return word.len == 4 && (word.at[0] | 0x20) == 'n' && (word.at[1] | 0x20) == 'u' &&
           (word.at[2] | 0x20) == 'l' && (word.at[3] | 0x20) == 'l';
}

// {1,"2",NULL}: of one dimension, without blanks. A NULL equals nothing.
static bool add_array_text(struct column *c, uint32_t cast, struct slice text)
{
    uint8_t bytes[ROWKEY_VALUE_BYTES];
    size_t n;
    bool null;
    if (text.len < 2 || text.at[0] != '{')
        return false;
    text = slice_skip(text, 1);
    if (slice_is(text, "}"))
        return true;
    for (;;) {
        if (!take_element(&text, bytes, &n, &null))
            return false;
        struct slice element = slice_of(bytes, n);
        if (!(null && is_null(element)) && !add_text(c, cast, element))
            return false;
        if (slice_is(text, "}"))
            return true;
        if (text.len == 0 || slice_cut(&text, 1).at[0] != ',')
            return false;
    }
}

// array_send(): dimensions, flags, type of the elements, length and lower bound; the elements.
static bool add_array_binary(struct column *c, uint32_t element, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    uint32_t dimensions = reader_u32(&r);
    reader_u32(&r);
    uint32_t type = reader_u32(&r);
    if (!reader_ok(&r) || dimensions > 1 || !accepts(c, type) ||
        (element != 0 && element != type))
        return false;
    uint32_t count = dimensions == 0 ? 0 : reader_u32(&r);
    if (dimensions > 0)
        reader_u32(&r);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = reader_u32(&r);
        if (!reader_ok(&r))
            return false;
        if (len == UINT32_MAX)
            continue;
        struct slice value = reader_bytes(&r, len);
        if (!reader_ok(&r) || !add_binary(c, type, value))
            return false;
    }
    return reader_done(&r);
}

// The type of an array's elements (pg_type.typelem); 0: not one of ours.
static uint32_t element_of(uint32_t array)
{
    static const uint32_t pairs[][2] = {
        {1000, 16},      {1001, 17},   {1002, 18},   {1003, 19},   {1005, 21},   {1007, 23},
        {1016, 20},      {1009, TEXT}, {1028, 26},   {1040, 829},  {1014, 1042}, {1015, VARCHAR},
        {1182, 1082},    {1183, 1083}, {1115, 1114}, {1185, 1184}, {1231, 1700}, {2951, 2950},
        {1022, 701},     {1041, 869},  {651, 650},   {775, 774},   {1561, 1560}, {1563, 1562},
        {3221, 3220},    {1187, 1186}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        if (pairs[i][0] == array)
            return pairs[i][1];
    return 0;
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
        declared = element_of(declared);
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
           type == ROWKEY_DOUBLE;
}

// A number without a cast is an integer where it fits eight bytes, and then compares as one; a
// float8 is compared with the float8 that it is cast to, which is that of its digits.
static bool add_number(struct column *c, const struct sql_value *value, struct slice raw)
{
    uint8_t text[ROWKEY_VALUE_BYTES];
    if (!is_number(c->type) || raw.len + 1 > sizeof(text))
        return false;
    text[0] = '-';
    memcpy(text + 1, raw.at, raw.len);
    struct slice signed_text = slice_of(text, raw.len + 1);
    return add_text(c, value->cast, value->negative ? signed_text : raw);
}

static bool add_string(struct column *c, const struct sql_value *value, struct slice raw)
{
    uint8_t text[2 * ROWKEY_VALUE_BYTES];
    size_t n = 0;
    for (size_t i = 1; i + 1 < raw.len; i++) {
        if (n == sizeof(text))
            return false;
        text[n++] = raw.at[i];
        i += raw.at[i] == '\'';
    }
    struct slice plain = slice_of(text, n);
    return value->array ? add_array_text(c, value->cast, plain) : add_text(c, value->cast, plain);
}

// An enum's label in a statement that was prepared is the one of that time, whatever it is called
// now; a parameter's is that of today.
static bool is_of_today(const struct column *c)
{
    return c->type != ROWKEY_ENUM || c->from->bind.len == 0;
}

static bool add_constant(struct column *c, const struct sql_value *value,
                         const struct template_constant *constants, size_t n)
{
    if (value->kind == SQL_BOOLEAN)
        return c->type == ROWKEY_BOOLEAN && add_text(c, 0, slice_str(value->number ? "t" : "f"));
    static const uint8_t kinds[] = {[SQL_INTEGER] = TEMPLATE_INTEGER,
                                    [SQL_DECIMAL] = TEMPLATE_DECIMAL,
                                    [SQL_STRING] = TEMPLATE_STRING};
    if (!is_of_today(c) || value->number >= n ||
        constants[value->number].kind != kinds[value->kind] ||
        (value->cast != 0 && !rowkey_accepts(c->type, value->cast)))
        return false;
    struct slice raw = constants[value->number].raw;
    return value->kind == SQL_STRING ? add_string(c, value, raw) : add_number(c, value, raw);
}

// ---- Columns, keys ------------------------------------------------------------------------------

// The constants are looked for once they are needed.
struct constants {
    bool known;
    size_t n;
    struct template_constant at[TEMPLATE_CONSTANTS_MAX];
};

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
        if (value->kind == SQL_PARAMETER ? !add_parameter(c, value)
                                         : !add_constant(c, value, constants->at, constants->n))
            return false;
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
