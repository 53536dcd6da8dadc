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

static bool form_of(enum rowkey_type type, const struct value *v, uint64_t *out)
{
    uint8_t plain[ROWKEY_VALUE_BYTES];
    size_t n = 0;
    if (v->kind == VALUE_BARE) // also null, which is no number
        return type != ROWKEY_TEXT && type != ROWKEY_PADDED && rowkey_text(type, v->bytes, out);
    if (memchr(v->bytes.at, '\'', v->bytes.len) == NULL)
        return rowkey_text(type, v->bytes, out);
    for (size_t i = 0; i < v->bytes.len; i++) {
        if (n == sizeof(plain))
            return false;
        plain[n++] = v->bytes.at[i];
        i += v->bytes.at[i] == '\'';
    }
    return rowkey_text(type, slice_of(plain, n), out);
}

static bool is_unchanged(const struct value *v)
{
    return v->kind == VALUE_BARE && slice_is(v->bytes, "unchanged-toast-datum");
}

// One tuple: the values of the key in it. before: those of the old row, for what has not changed;
// NULL: there are none. Stops at the end, at new-tuple, or when the last one was found.
static bool take_tuple(struct slice *s, const struct catalog_key *key, bool last,
                       const uint64_t *before, uint64_t *out)
{
    uint8_t found = 0;
    while (s->len > 0 && !(found == key->count && last)) {
        uint8_t bytes[DECODE_NAME_BYTES];
        size_t len;
        struct value value;
        if (!last && s->len > 11 && memcmp(s->at, " new-tuple:", 11) == 0)
            break;
        if (!skip(s, " ") || !decode_identifier(s, bytes, &len) || !skip_type(s) ||
            !take_value(s, &value))
            return false;
        struct slice name = slice_of(bytes, len);
        for (uint8_t i = 0; i < key->count; i++) {
            if (!slice_eq(key->columns[i].name, name))
                continue;
            if (before != NULL && is_unchanged(&value))
                out[i] = before[i];
            else if (!form_of(key->columns[i].type, &value, &out[i]))
                return false;
            found++;
        }
    }
    return found == key->count;
}

bool row_keys(struct slice row, const struct catalog_key *key, struct row_keys *out)
{
    if (key->count == 0)
        return false;
    out->count = 1;
    if (!skip(&row, " old-key:"))
        return take_tuple(&row, key, true, NULL, out->values[0]);
    out->count = 2;
    return take_tuple(&row, key, false, NULL, out->values[0]) && skip(&row, " new-tuple:") &&
           take_tuple(&row, key, true, out->values[0], out->values[1]);
}
