// SPDX-License-Identifier: Apache-2.0
#include "cache/decode.h"

// The forms are those of contrib/test_decoding/test_decoding.c, PostgreSQL 9.4 to 17, without
// streaming and two-phase output (neither is asked for). Names are written by
// quote_qualified_identifier(): bare ones of [a-z0-9_] (other bytes above 127 are always quoted),
// or in double quotes with quotes doubled.

static bool skip(struct slice *s, const char *text)
{
    size_t n = strlen(text);
    if (s->len < n || memcmp(s->at, text, n) != 0)
        return false;
    s->at += n;
    s->len -= n;
    return true;
}

static bool bare_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static bool take_quoted(struct slice *s, uint8_t *out, size_t *len)
{
    size_t i = 1, n = 0;
    for (;; i++) {
        if (i >= s->len)
            return false;
        if (s->at[i] == '"') {
            if (i + 1 >= s->len || s->at[i + 1] != '"')
                break;
            i++;
        }
        if (n == DECODE_NAME_BYTES)
            return false;
        out[n++] = s->at[i];
    }
    *s = slice_of(s->at + i + 1, s->len - i - 1);
    *len = n;
    return n > 0;
}

bool decode_identifier(struct slice *s, uint8_t *out, size_t *len)
{
    if (s->len > 0 && s->at[0] == '"')
        return take_quoted(s, out, len);
    size_t n = 0;
    while (n < s->len && bare_byte(s->at[n])) {
        if (n == DECODE_NAME_BYTES)
            return false;
        out[n] = s->at[n];
        n++;
    }
    *s = slice_of(s->at + n, s->len - n);
    *len = n;
    return n > 0;
}

static bool take_table(struct slice *s, struct decode_name *out)
{
    return decode_identifier(s, out->schema_bytes, &out->schema_len) && skip(s, ".") &&
           decode_identifier(s, out->name_bytes, &out->name_len);
}

// A decimal xid that fills the rest of the line.
static bool take_xid(struct slice s, uint32_t *xid)
{
    uint64_t value = 0;
    if (s.len == 0 || s.len > 10)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        value = value * 10 + (s.at[i] - '0');
    }
    *xid = (uint32_t)value;
    return value > 0 && value <= UINT32_MAX;
}

static struct decoded decode_tables(struct slice line)
{
    const struct decoded bad = {.kind = DECODE_BAD};
    struct decode_name name;
    struct decoded d = {.kind = DECODE_TABLE, .tables = line};
    size_t count = 0;
    do {
        if (!take_table(&line, &name))
            return bad;
        count++;
    } while (skip(&line, ", "));
    d.tables.len = (size_t)(line.at - d.tables.at);
    if (skip(&line, ": TRUNCATE:"))
        d.kind = DECODE_TRUNCATE;
    else if (count == 1 && skip(&line, ": UPDATE:"))
        d.updates = true;
    else if (count != 1 || !(skip(&line, ": INSERT:") || skip(&line, ": DELETE:")))
        return bad;
    d.row = line;
    return d;
}

struct decoded decode_line(struct slice line)
{
    struct decoded d = {.kind = DECODE_BAD};
    if (skip(&line, "table "))
        return decode_tables(line);
    if (skip(&line, "BEGIN "))
        d.kind = take_xid(line, &d.xid) ? DECODE_BEGIN : DECODE_BAD;
    else if (skip(&line, "COMMIT "))
        d.kind = take_xid(line, &d.xid) ? DECODE_COMMIT : DECODE_BAD;
    else if (skip(&line, "message: "))
        d.kind = DECODE_MESSAGE;
    return d;
}

bool decode_next_table(struct decoded *d, struct decode_name *out)
{
    skip(&d->tables, ", ");
    return take_table(&d->tables, out); // it was checked: false only at the end
}
