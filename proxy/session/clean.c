// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/clean.h"

const char *const clean_question =
    "SELECT current_user = session_user"
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
