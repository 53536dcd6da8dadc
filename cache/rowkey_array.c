// SPDX-License-Identifier: Apache-2.0
#include "cache/rowkey_array.h"

#include "base/hash.h"
#include "base/reader.h"

// ---- Types --------------------------------------------------------------------------------------

static const uint32_t arrays[][2] = { // and what they are of
    {1000, 16},   {1001, 17},   {1002, 18},   {1003, 19},   {1005, 21},   {1007, 23},
    {1016, 20},   {1009, 25},   {1028, 26},   {1040, 829},  {1014, 1042}, {1015, 1043},
    {1182, 1082}, {1183, 1083}, {1115, 1114}, {1185, 1184}, {1231, 1700}, {2951, 2950},
    {1021, 700},  {1022, 701},  {1041, 869},  {651, 650},   {775, 774},   {1561, 1560},
    {1563, 1562}, {3221, 3220}, {1187, 1186}, {3905, 3904}, {3907, 3906}, {3909, 3908},
    {3911, 3910}, {3913, 3912}, {3927, 3926}};

static uint32_t other_of(uint32_t type, int side)
{
    for (size_t i = 0; i < sizeof(arrays) / sizeof(*arrays); i++)
        if (arrays[i][side] == type)
            return arrays[i][1 - side];
    return 0;
}

uint32_t rowkey_element_of(uint32_t array)
{
    return other_of(array, 0);
}

uint32_t rowkey_array_of(uint32_t element)
{
    return other_of(element, 1);
}

// ---- Elements -----------------------------------------------------------------------------------

static bool is_null_word(struct slice s)
{
    return s.len == 4 && (s.at[0] | 0x20) == 'n' && (s.at[1] | 0x20) == 'u' &&
           (s.at[2] | 0x20) == 'l' && (s.at[3] | 0x20) == 'l';
}

// One element, unquoted into bytes. False: it has no end.
static bool take_element(struct slice *s, uint8_t *bytes, struct rowkey_element *out)
{
    bool quoted = s->len > 0 && s->at[0] == '"', escaped = false;
    size_t n = 0;
    if (quoted)
        *s = slice_skip(*s, 1);
    while (s->len > 0 && n < ROWKEY_VALUE_BYTES) {
        uint8_t byte = slice_cut(s, 1).at[0];
        bool ends = quoted ? byte == '"' : byte == ',' || byte == '}';
        if (ends) {
            if (!quoted)
                *s = slice_of(s->at - 1, s->len + 1);
            out->bytes = slice_of(bytes, n);
            out->null = !quoted && !escaped && is_null_word(out->bytes);
            return quoted || n > 0;
        }
        if (byte == '\\' && s->len > 0) {
            byte = slice_cut(s, 1).at[0];
            escaped = true;
        } else if (!quoted && (byte == '{' || byte == '"' || byte == '\\' || byte <= ' ')) {
            return false; // nested, or blanks that may count or not
        }
        bytes[n++] = byte;
    }
    return false;
}

bool rowkey_elements_of_text(struct slice text, rowkey_visit *visit, void *arg)
{
    uint8_t bytes[ROWKEY_VALUE_BYTES];
    struct rowkey_element element = {.binary = false};
    if (text.len < 2 || text.at[0] != '{')
        return false;
    text = slice_skip(text, 1);
    if (slice_is(text, "}"))
        return true;
    for (;;) {
        if (!take_element(&text, bytes, &element) || !visit(arg, &element))
            return false;
        if (slice_is(text, "}"))
            return true;
        if (text.len == 0 || slice_cut(&text, 1).at[0] != ',')
            return false;
    }
}

// Dimensions, flags, type of the elements, length and lower bound; the elements.
bool rowkey_elements_of_binary(struct slice bytes, rowkey_visit *visit, void *arg)
{
    struct reader r = reader_of(bytes);
    uint32_t dimensions = reader_u32(&r);
    reader_u32(&r);
    struct rowkey_element element = {.binary = true, .type = reader_u32(&r)};
    if (!reader_ok(&r) || dimensions > 1)
        return false;
    uint32_t count = dimensions == 0 ? 0 : reader_u32(&r);
    if (dimensions > 0)
        reader_u32(&r);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = reader_u32(&r);
        element.null = len == UINT32_MAX;
        element.bytes = element.null ? slice_of("", 0) : reader_bytes(&r, len);
        if (!reader_ok(&r) || !visit(arg, &element))
            return false;
    }
    return reader_done(&r);
}

// ---- Forms --------------------------------------------------------------------------------------

enum { ELEMENTS_MAX = ROWKEY_VALUE_BYTES / 2 }; // more have no room in a text

struct forms {
    enum rowkey_type type;
    size_t n;
    uint64_t at[ELEMENTS_MAX];
};

// A NULL, and what is the word for it with array_nulls = off, have one form.
static bool add(struct forms *f, uint64_t form)
{
    f->at[f->n++] = form;
    return true;
}

static bool add_null(struct forms *f, const struct rowkey_element *e)
{
    bool other_word = !e->binary && (f->type == ROWKEY_BYTES || f->type == ROWKEY_CHAR);
    return !other_word && add(f, 0);
}

static struct slice without_padding(struct slice s)
{
    while (s.len > 0 && s.at[s.len - 1] == ' ')
        s.len--;
    return s;
}

static bool add_element(void *arg, const struct rowkey_element *e)
{
    struct forms *f = arg;
    uint64_t form;
    if (f->n == ELEMENTS_MAX || (e->binary && !rowkey_accepts(f->type, e->type)))
        return false;
    if (e->null || (rowkey_has_collation(f->type) && is_null_word(without_padding(e->bytes))))
        return add_null(f, e);
    return (e->binary ? rowkey_binary(f->type, e->type, e->bytes, &form)
                      : rowkey_text(f->type, e->bytes, &form)) &&
           add(f, form);
}

typedef bool walk_elements(struct slice bytes, rowkey_visit *visit, void *arg);

static bool form_of(enum rowkey_type element, walk_elements *walk, struct slice bytes,
                    uint64_t *out)
{
    struct forms forms;
    forms.type = element;
    forms.n = 0;
    bool taken = walk(bytes, add_element, &forms);
    *out = hash_bytes(forms.at, forms.n * sizeof(*forms.at));
    return taken;
}

bool rowkey_array_text(enum rowkey_type element, struct slice text, uint64_t *out)
{
    return form_of(element, rowkey_elements_of_text, text, out);
}

bool rowkey_array_binary(enum rowkey_type element, struct slice bytes, uint64_t *out)
{
    return form_of(element, rowkey_elements_of_binary, bytes, out);
}
