// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/clean.h"

static const char conditions[] =
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE source = 'session' AND"
    " pg_catalog.lower(name) NOT IN ('client_encoding', 'datestyle', 'timezone',"
    " 'standard_conforming_strings', 'application_name', 'intervalstyle'))"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_listening_channels())"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_class"
    " WHERE relnamespace = pg_catalog.pg_my_temp_schema())"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks"
    " WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)";

static void literal(struct buf *sql, const char *text)
{
    buf_printf(sql, "E'");
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\')
            buf_u8(sql, (uint8_t)*p);
        buf_u8(sql, (uint8_t)*p);
    }
    buf_printf(sql, "'");
}

void clean_question(struct buf *sql, const char *user)
{
    buf_printf(sql, "SELECT current_user = ");
    literal(sql, user);
    buf_printf(sql, " AND session_user = ");
    literal(sql, user);
    buf_cstr(sql, conditions);
}
