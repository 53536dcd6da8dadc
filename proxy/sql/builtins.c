// SPDX-License-Identifier: Apache-2.0
#include "proxy/sql/builtins.h"

#include "proxy/sql/builtins_table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

// The lists below are short and reviewed by hand; each says what was argued.

// Stable functions whose result depends only on settings that are part of the cache key (TimeZone,
// DateStyle, IntervalStyle, and by the profile extra_float_digits, bytea_output, lc_monetary,
// lc_numeric, lc_time, quote_all_identifiers, timezone_abbreviations), or on labels of enums, which
// are watched, given that the argument types are PostgreSQL's own or safe (a table with other
// column types is not readable, see the catalog).
// Not here, though it seems so: age (of one argument: today), date, time, timestamp ... called as
// functions (but see casts.h) and the json functions that make records (but see calls.h; they read
// text, and 'now' may be in a row), convert and its like (conversions can be replaced),
// current_schema (schemas are not watched as such), text search (see below), jsonb_path_*_tz (a
// time beside one with a zone gets today's).
// "timezone" is another matter where there may be a time in the statement (walk.c, resolve.c).
static const char *const stable_but_cacheable[] = {
    "array_to_json", "array_to_string", "concat", "concat_ws", "current_database", "date_part",
    "date_trunc", "enum_first", "enum_last", "enum_range", "extract", "format", "generate_series",
    "json_agg", "json_build_array", "json_build_object", "json_object_agg", "jsonb_agg",
    "jsonb_build_array", "jsonb_build_object", "jsonb_object_agg", "length", "make_timestamptz",
    "overlaps", "quote_literal", "quote_nullable", "row_to_json", "timezone", "to_char", "to_date",
    "to_json", "to_jsonb", "to_number", "to_timestamp",
};

// The same, where the function itself is known and not just its name: none of these reads text.
static const char *const stable_but_cacheable_exactly[] = {"date", "time", "timestamp",
                                                           "timestamptz"};

// Marked immutable, in all or some of its overloads, yet what they give depends on more than their
// arguments: on text search configurations and dictionaries, on a query, on how a text is read, or
// on the catalog, where a name is made a regclass and the like unseen, or one is given.
static const char *const immutable_but_not_cacheable[] = {
    "interval", "json_to_tsvector", "jsonb_to_tsvector", "pg_partition_root", "phraseto_tsquery",
    "plainto_tsquery", "regclasssend", "regcollationsend", "regconfigsend", "regdictionarysend",
    "regnamespacesend", "regoperatorsend", "regopersend", "regproceduresend", "regprocsend",
    "regrolesend", "regtypesend", "satisfies_hash_partition", "to_tsquery", "to_tsvector",
    "ts_headline", "ts_lexize", "ts_parse", "ts_rewrite", "ts_token_type", "websearch_to_tsquery",
    "xml_is_well_formed_content", "xml_is_well_formed_document",
};

// Whose argument is a timetz. A time is cast to that unseen, and a text read, by the day's offset.
static const char *const takes_timetz[] = {
    "datetimetz_pl", "interval_pl_timetz", "timetz_cmp", "timetz_eq", "timetz_ge", "timetz_gt",
    "timetz_hash", "timetz_hash_extended", "timetz_larger", "timetz_le", "timetz_lt",
    "timetz_mi_interval", "timetz_ne", "timetz_out", "timetz_pl_interval", "timetz_send",
    "timetz_smaller", "timetzdate_pl",
};

// By which a time may be in a statement that has no column, cast or parameter of that type: they
// give one, or take one and so say what a literal or a parameter is.
static const char *const of_times[] = {
    "datetime_pl", "interval_pl_time", "make_time", "time", "time_cmp", "time_eq", "time_ge",
    "time_gt", "time_hash", "time_hash_extended", "time_in", "time_larger", "time_le", "time_lt",
    "time_mi_interval", "time_mi_time", "time_ne", "time_out", "time_pl_interval", "time_recv",
    "time_send", "time_smaller", "timedate_pl",
};

// Text search: what they give depends on configurations and dictionaries, which are watched while a
// statement with them is known, and on default_text_search_config, which is in the profile. Not
// here: ts_rewrite runs a query; ts_lexize, ts_parse, ts_token_type name dictionaries and parsers.
static const char *const text_search[] = {
    "json_to_tsvector", "jsonb_to_tsvector", "phraseto_tsquery", "plainto_tsquery", "to_tsquery",
    "to_tsvector", "ts_headline", "websearch_to_tsquery",
};

// Operators with stable overloads: between date, timestamp and timestamptz (TimeZone is in the
// key), and || of text and any other of PostgreSQL's own types (its output, as above).
static const char *const stable_but_cacheable_operators[] = {
    "+", "-", "<", "<=", "<>", "=", ">", ">=", "||",
};

// Volatile, but without a trace in tables and in the session. The sequence functions write a
// sequence, which is never cached; large objects are rows of a catalog that is never cached.
static const char *const harmless[] = {
    "clock_timestamp", "current_query", "gen_random_uuid", "lo_close",
    "lo_creat", "lo_create", "lo_from_bytea", "lo_get", "lo_lseek", "lo_lseek64", "lo_open",
    "lo_put", "lo_tell", "lo_tell64", "lo_truncate", "lo_truncate64", "lo_unlink", "loread",
    "lowrite", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
    "pg_blocking_pids", "pg_cancel_backend", "pg_collation_actual_version", "pg_control_checkpoint",
    "pg_control_init", "pg_control_recovery", "pg_control_system", "pg_create_restore_point",
    "pg_current_logfile", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn", "pg_database_collation_actual_version", "pg_database_size",
    "pg_export_snapshot", "pg_get_backend_memory_contexts", "pg_get_multixact_members",
    "pg_get_shmem_allocations", "pg_get_wal_replay_pause_state", "pg_get_wal_resource_managers",
    "pg_hba_file_rules", "pg_ident_file_mappings", "pg_indexes_size", "pg_is_in_recovery",
    "pg_is_wal_replay_paused", "pg_isolation_test_session_is_blocked", "pg_jit_available",
    "pg_last_committed_xact", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp", "pg_lock_status", "pg_log_backend_memory_contexts",
    "pg_logical_emit_message", "pg_ls_archive_statusdir", "pg_ls_dir", "pg_ls_logdir",
    "pg_ls_logicalmapdir", "pg_ls_logicalsnapdir", "pg_ls_replslotdir", "pg_ls_tmpdir",
    "pg_ls_waldir", "pg_notification_queue_usage", "pg_notify", "pg_partition_ancestors",
    "pg_partition_tree", "pg_prepared_xact", "pg_read_binary_file", "pg_read_file",
    "pg_relation_size", "pg_replication_origin_progress", "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value", "pg_show_all_file_settings", "pg_show_replication_origin_status",
    "pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_stat_clear_snapshot", "pg_stat_file",
    "pg_stat_force_next_flush", "pg_stat_get_recovery_prefetch", "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit", "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_function_self_time", "pg_stat_get_xact_function_total_time",
    "pg_stat_get_xact_numscans", "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched", "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_inserted", "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated", "pg_stat_have_stats", "pg_stat_reset",
    "pg_stat_reset_replication_slot", "pg_stat_reset_shared",
    "pg_stat_reset_single_function_counters", "pg_stat_reset_single_table_counters",
    "pg_stat_reset_slru", "pg_stat_reset_subscription_stats", "pg_switch_wal", "pg_table_size",
    "pg_tablespace_size", "pg_terminate_backend", "pg_total_relation_size",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared", "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin", "pg_xact_status", "random",
    "suppress_redundant_updates_trigger", "timeofday", "tsvector_update_trigger",
    "tsvector_update_trigger_column", "txid_status", "unique_key_recheck",
};

// Session level locks. (The functions that end them may also end the pin; that is for whoever
// counts the locks.)
static const char *const advisory[] = {
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
};

// Stable by their mark, but they run a query over any relation, and a view may call anything.
static const char *const stable_but_runs_queries[] = {
    "database_to_xml", "database_to_xml_and_xmlschema", "schema_to_xml",
    "schema_to_xml_and_xmlschema", "table_to_xml", "table_to_xml_and_xmlschema",
};

// Types with one fixed reading of every text that PostgreSQL's own types can be cast from.
static const char *const safe_types[] = {
    "bit",  "bool",     "bpchar",   "bytea", "cidr",  "float4",  "float8",    "inet",
    "int2", "int4",     "int4range", "int8", "int8range", "json", "jsonb",    "macaddr",
    "name", "numeric",  "numrange", "oid",   "text",  "tsquery", "tsvector",  "uuid",
    "varbit", "varchar",
};

// Types that read 'now' and the like: safe only where the text is seen. Not timetz: what
// '12:00 Europe/Berlin' means there depends on the day.
static const char *const safe_types_of_constants[] = {
    "date", "daterange", "interval", "time", "timestamp", "timestamptz", "tsrange", "tstzrange",
};

// In byte order, as C strings compare; -1, 0, 1.
static int compare_name(struct slice name, const char *entry)
{
    size_t len = strlen(entry);
    int order = memcmp(name.at, entry, name.len < len ? name.len : len);
    if (order != 0)
        return order;
    return name.len < len ? -1 : name.len > len;
}

static char find_volatility(const struct builtin *table, size_t count, struct slice name)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, table[middle].name);
        if (order == 0)
            return table[middle].volatility;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}

static bool listed(const char *const *list, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (compare_name(name, list[i]) == 0)
            return true;
    return false;
}
#define LISTED(list, name) listed(list, COUNT_OF(list), name)

static enum volatility volatility_of(char mark)
{
    switch (mark) {
    case 'i':
        return VOLATILITY_IMMUTABLE;
    case 's':
        return VOLATILITY_STABLE;
    case 'v':
        return VOLATILITY_VOLATILE;
    }
    return VOLATILITY_UNKNOWN;
}

enum volatility builtin_function_volatility(struct slice name)
{
    return volatility_of(find_volatility(builtin_functions, COUNT_OF(builtin_functions), name));
}

enum volatility builtin_operator_volatility(struct slice name)
{
    return volatility_of(find_volatility(builtin_operators, COUNT_OF(builtin_operators), name));
}

enum builtin_deed builtin_function_deed(struct slice name)
{
    switch (builtin_function_volatility(name)) {
    case VOLATILITY_UNKNOWN:
        return BUILTIN_ANYTHING;
    case VOLATILITY_IMMUTABLE:
        return BUILTIN_NOTHING;
    case VOLATILITY_STABLE:
        return LISTED(stable_but_runs_queries, name) ? BUILTIN_ANYTHING : BUILTIN_NOTHING;
    case VOLATILITY_VOLATILE:
        break;
    }
    if (slice_is(name, "currval") || slice_is(name, "lastval"))
        return BUILTIN_SEQUENCE;
    if (slice_is(name, "nextval") || slice_is(name, "setval"))
        return BUILTIN_SEQUENCE_USE;
    if (LISTED(harmless, name))
        return BUILTIN_NOTHING;
    if (LISTED(advisory, name))
        return BUILTIN_ADVISORY;
    return slice_is(name, "set_config") ? BUILTIN_SET_CONFIG : BUILTIN_ANYTHING;
}

struct builtin_names builtin_harmless(void)
{
    return (struct builtin_names){harmless, COUNT_OF(harmless)};
}

struct builtin_names builtin_queriers(void)
{
    return (struct builtin_names){stable_but_runs_queries, COUNT_OF(stable_but_runs_queries)};
}

static bool cacheable(struct slice name, enum volatility volatility)
{
    switch (volatility) {
    case VOLATILITY_IMMUTABLE:
        return !LISTED(immutable_but_not_cacheable, name) && !LISTED(takes_timetz, name);
    case VOLATILITY_STABLE:
        return LISTED(stable_but_cacheable, name);
    case VOLATILITY_UNKNOWN:
    case VOLATILITY_VOLATILE:
        break;
    }
    return false;
}

bool builtin_function_cacheable(struct slice name)
{
    return cacheable(name, builtin_function_volatility(name));
}

bool builtin_function_cacheable_as(struct slice name, char volatility)
{
    return cacheable(name, volatility_of(volatility)) ||
           (volatility == 's' && LISTED(stable_but_cacheable_exactly, name));
}

// What tells of the connection, of privileges or of the server is nobody else's, whatever a rule
// says; nor is what does something.
bool builtin_function_forceable(struct slice name)
{
    static const char *const harmless[] = {"clock_timestamp", "gen_random_uuid", "random",
                                           "timeofday"};
    static const char *const others[] = {"current_", "cursor_to", "database_to", "getpg", "has_",
                                         "inet_", "pg_", "query_to", "row_security",
                                         "schema_to", "table_to", "txid_", "version"};
    if (builtin_function_cacheable(name))
        return true;
    if (builtin_function_deed(name) != BUILTIN_NOTHING)
        return false;
    if (builtin_function_volatility(name) != VOLATILITY_STABLE)
        return LISTED(harmless, name);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        size_t n = strlen(others[i]);
        if (name.len >= n && memcmp(name.at, others[i], n) == 0)
            return false;
    }
    return true;
}

bool builtin_function_of_times(struct slice name)
{
    return LISTED(of_times, name) || LISTED(takes_timetz, name);
}

bool builtin_function_searches_text(struct slice name)
{
    return LISTED(text_search, name);
}

bool builtin_operator_searches_text(struct slice name)
{
    return slice_is(name, "@@"); // of text, by the default configuration
}

bool builtin_cast_searches_text(struct slice type, bool from_constant)
{
    return from_constant && slice_is(type, "regconfig");
}

bool builtin_operator_cacheable(struct slice name)
{
    switch (builtin_operator_volatility(name)) {
    case VOLATILITY_IMMUTABLE:
        return !slice_is(name, "@@@");
    case VOLATILITY_STABLE:
        return LISTED(stable_but_cacheable_operators, name);
    case VOLATILITY_UNKNOWN:
    case VOLATILITY_VOLATILE:
        break;
    }
    return false;
}

bool builtin_cast_cacheable(struct slice type, bool from_constant)
{
    return LISTED(safe_types, type) ||
           (from_constant && LISTED(safe_types_of_constants, type));
}

static bool has_prefix(struct slice name, const char *prefix)
{
    size_t n = strlen(prefix);
    return name.len >= n && memcmp(name.at, prefix, n) == 0;
}

// Reviewed: all types of pg_catalog that a text can be cast to, but the safe ones and those that
// have a form of their own for every text (point, tsvector, pg_lsn ...).
bool builtin_field_casts(struct slice name)
{
    static const char *const ranges[] = {"datemultirange", "tsmultirange", "tstzmultirange"};
    static const char *const others[] = {"aclitem", "record", "timetz", "xml"};
    return LISTED(safe_types_of_constants, name) || LISTED(ranges, name) ||
           LISTED(others, name) || has_prefix(name, "_") || has_prefix(name, "reg");
}

bool builtin_type_is_safe(uint32_t oid)
{
    static const uint32_t safe[] = {BUILTIN_SAFE_TYPES};
    for (size_t i = 0; i < COUNT_OF(safe); i++)
        if (safe[i] == oid)
            return true;
    return false;
}

bool builtin_type_is_time(uint32_t oid)
{
    return oid == 1083 || oid == 1183 || oid == 1266 || oid == 1270;
}

bool builtin_type_is_datetime(struct slice type)
{
    return slice_is(type, "date") || slice_is(type, "timestamp") ||
           slice_is(type, "timestamptz") || slice_is(type, "time") || slice_is(type, "interval");
}

bool builtin_function_gives_datetime(struct slice name)
{
    static const char *const always[] = {
        "date_bin", "date_trunc", "generate_series", "justify_days", "justify_hours",
        "justify_interval", "make_date", "make_interval", "make_time", "make_timestamp",
        "make_timestamptz", "timezone", "to_date", "to_timestamp",
    };
    return LISTED(always, name);
}

bool builtin_function_gives_its_argument(struct slice name)
{
    static const char *const those[] = {"first_value", "lag", "last_value", "lead", "max", "min",
                                        "nth_value"};
    return LISTED(those, name);
}
