// SPDX-License-Identifier: Apache-2.0
#include "cache/row.h"

#include "cache/decode.h"

// tuple_to_stringinfo() and print_literal() of contrib/test_decoding: each column is a blank, its
// quoted name, its type in brackets, a colon and the value: null, unchanged-toast-datum, bare (for
// numbers, B'...', true, false), or in quotes with quotes doubled. Of an old key NULLs are left
// out.

// A value on its way.
enum value_kind { VALUE_BARE, VALUE_QUOTED };

struct value {
    enum value_kind kind;
    struct slice bytes; // as printed, without the quotes around
};

static bool skip(struct slice *s, const char *text)
{
    size_t n = strlen(text);
    if (s->len < n || memcmp(s->at, text, n) != 0)
        return false;
    *s = slice_skip(*s, n);
    return true;
}

// Up to "]:" outside of double quotes: the type may be an array's, or a name with anything in it.
static bool skip_type(struct slice *s)
{
    bool quoted = false;
    if (!skip(s, "["))
        return false;
    for (size_t i = 0; i + 1 < s->len; i++) {
        if (s->at[i] == '"')
            quoted = !quoted;
        if (!quoted && s->at[i] == ']' && s->at[i + 1] == ':') {
            *s = slice_skip(*s, i + 2);
            return true;
        }
    }
    return false;
}

static bool take_quoted(struct slice *s, struct value *out)
{
    const uint8_t *from = s->at, *at = from, *end = s->at + s->len;
    for (;;) {
        at = memchr(at, '\'', (size_t)(end - at));
        if (at == NULL)
            return false;
        if (at + 1 == end || at[1] != '\'')
            break;
        at += 2;
    }
    *out = (struct value){VALUE_QUOTED, slice_of(from, (size_t)(at - from))};
    *s = slice_of(at + 1, (size_t)(end - at - 1));
    return true;
}

static bool take_value(struct slice *s, struct value *out)
{
    if (skip(s, "'"))
        return take_quoted(s, out);
    const uint8_t *blank = s->len > 0 ? memchr(s->at, ' ', s->len) : NULL;
    size_t n = blank == NULL ? s->len : (size_t)(blank - s->at);
    *out = (struct value){VALUE_BARE, slice_cut(s, n)};
    return n > 0;
}

// Text equals only the same bytes, and a key of more of them has no form.
static uint8_t form_of_text(struct slice text, uint64_t *out)
{
    return rowkey_text(ROWKEY_TEXT, text, out) ? ROW_KNOWN : ROW_EQUALS_NONE;
}

// By print_literal(); of a domain over one of these it is quoted as well.
static bool is_printed_bare(enum rowkey_type type)
{
    return type == ROWKEY_INTEGER || type == ROWKEY_OID || type == ROWKEY_NUMERIC ||
           type == ROWKEY_BOOLEAN || type == ROWKEY_DOUBLE || type == ROWKEY_FLOAT ||
           type == ROWKEY_BITS;
}

// Between B' and '; of a domain there are only quotes, which are gone. What is not so has no form.
static struct slice bits_of(const struct value *v)
{
    struct slice s = v->bytes;
    if (v->kind == VALUE_BARE && s.len >= 3 && s.at[s.len - 1] == '\'' && skip(&s, "B'"))
        s.len--;
    return s;
}

static uint8_t form_of(enum rowkey_type type, const struct value *v, uint64_t *out)
{
    uint8_t plain[ROWKEY_VALUE_BYTES + 1];
    size_t n = 0;
    if (v->kind == VALUE_BARE && slice_is(v->bytes, "null"))
        return ROW_EQUALS_NONE;
    if (v->kind == VALUE_BARE && !is_printed_bare(type))
        return ROW_UNTOLD;
    struct slice text = type == ROWKEY_BITS ? bits_of(v) : v->bytes;
    if (v->kind == VALUE_QUOTED && memchr(text.at, '\'', text.len) != NULL) {
        for (size_t i = 0; i < text.len && n < sizeof(plain); i++) {
            plain[n++] = text.at[i];
            i += text.at[i] == '\'';
        }
        text = slice_of(plain, n);
    }
    if (type == ROWKEY_TEXT)
        return form_of_text(text, out);
    return rowkey_text(type, text, out) ? ROW_KNOWN : ROW_UNTOLD;
}

static bool is_unchanged(const struct value *v)
{
    return v->kind == VALUE_BARE && slice_is(v->bytes, "unchanged-toast-datum");
}

static void take_column(const struct catalog_key *key, struct slice name,
                        const struct value *value, const struct row_tuple *before,
                        struct row_tuple *out, uint8_t *found)
{
    for (uint8_t i = 0; i < key->told; i++) {
        if (!slice_eq(key->columns[i].name, name))
            continue;
        if (!is_unchanged(value)) {
            out->states[i] = form_of(key->columns[i].type, value, &out->values[i]);
        } else {
            out->states[i] = before != NULL ? before->states[i] : ROW_UNTOLD;
            out->values[i] = before != NULL ? before->values[i] : 0;
        }
        (*found)++;
    }
}

// One tuple: the values of the columns in it. before: the old row, for what has not changed; NULL:
// there is none. Stops at the end, at new-tuple, or when the last column was found.
static bool take_tuple(struct slice *s, const struct catalog_key *key, bool last,
                       const struct row_tuple *before, struct row_tuple *out)
{
    uint8_t found = 0;
    // Of a whole old row NULLs are left out.
    bool nulls = key->full && before == NULL;
    memset(out->states, nulls ? ROW_EQUALS_NONE : ROW_UNTOLD, sizeof(out->states));
    while (s->len > 0 && !(found == key->told && last)) {
        uint8_t bytes[DECODE_NAME_BYTES];
        size_t len;
        struct value value;
        if (!last && s->len > 11 && memcmp(s->at, " new-tuple:", 11) == 0)
            break;
        if (!skip(s, " ") || !decode_identifier(s, bytes, &len) || !skip_type(s) ||
            !take_value(s, &value))
            return false;
        take_column(key, slice_of(bytes, len), &value, before, out, &found);
    }
    return true;
}

bool row_keys(struct slice row, const struct catalog_key *key, struct row_keys *out)
{
    out->count = 1;
    if (!skip(&row, " old-key:"))
        return row.len > 0 && take_tuple(&row, key, true, NULL, &out->tuples[0]);
    out->count = 2;
    return take_tuple(&row, key, false, NULL, &out->tuples[0]) && skip(&row, " new-tuple:") &&
           take_tuple(&row, key, true, &out->tuples[0], &out->tuples[1]);
}
