// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/quote.h"

#include "base/hex.h"

void quote_literal(struct buf *sql, const char *text)
{
    buf_printf(sql, "E'");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buf_u8(sql, (uint8_t)*p);
        buf_u8(sql, (uint8_t)*p);
    }
    buf_u8(sql, '\'');
}

void quote_encoded(struct buf *sql, const char *text, const char *encoding)
{
    if (encoding[0] == '\0') {
        quote_literal(sql, text);
        return;
    }
    buf_printf(sql, "pg_catalog.convert_from(pg_catalog.decode('");
    size_t n = strlen(text);
    hex_encode((char *)buf_room(sql, 2 * n), (const uint8_t *)text, n);
    sql->len += (uint32_t)(2 * n);
    buf_printf(sql, "','hex'),");
    quote_literal(sql, encoding);
    buf_u8(sql, ')');
}

void quote_name(struct buf *sql, const char *name)
{
    buf_u8(sql, '"');
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '.') {
            buf_printf(sql, "\".\"");
            continue;
        }
        if (*p == '"')
            buf_u8(sql, '"');
        buf_u8(sql, (uint8_t)*p);
    }
    buf_u8(sql, '"');
}
