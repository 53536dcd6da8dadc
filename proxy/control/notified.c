// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/notified.h"

#include "cache/decode.h"
#include "cache/ledger.h"

// Unquoted names are folded to lower case, as PostgreSQL does with them (ASCII alone: with others
// the folding depends on the server's locale, so they must be quoted).
static bool take_name(struct slice *s, uint8_t *out, size_t *len)
{
    bool quoted = s->len > 0 && s->at[0] == '"';
    if (quoted)
        return decode_identifier(s, out, len);
    size_t n = 0;
    while (n < s->len && s->at[n] != '.' && n < DECODE_NAME_BYTES) {
        uint8_t c = s->at[n];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(n > 0 && ((c >= '0' && c <= '9') || c == '$')))
            return false;
        out[n++] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    }
    *len = n;
    *s = slice_skip(*s, n);
    return n > 0;
}

size_t notified_slots(struct slice payload, uint32_t slots[NOTIFIED_SLOTS])
{
    uint8_t schema[DECODE_NAME_BYTES], name[DECODE_NAME_BYTES];
    size_t schema_len, name_len;
    if (!take_name(&payload, schema, &schema_len) || payload.len == 0 || payload.at[0] != '.')
        return 0;
    payload = slice_skip(payload, 1);
    if (!take_name(&payload, name, &name_len) || payload.len != 0)
        return 0;
    uint64_t table = ledger_table(slice_of(schema, schema_len), slice_of(name, name_len));
    slots[0] = ledger_table_slot(table);
    slots[1] = ledger_rows_slot(table);
    slots[2] = ledger_columns_slot(table);
    return NOTIFIED_SLOTS;
}
