// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/schema.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/control/result.h"
#include "proxy/control/triggers.h"
#include "proxy/control/types_sql.h"
#include "proxy/sql/computing.h"

// The role or the database may have defaults of any kind; a reading must neither wait for a
// standby nor be cancelled, must name things in the server's encoding, and its plans, by index, are
// made once.
const char schema_settings_sql[] =
    "SELECT pg_catalog.set_config(v.name, v.value, false) FROM (VALUES"
    " ('search_path', 'pg_catalog'), ('synchronous_commit', 'local'),"
    " ('client_encoding', pg_catalog.current_setting('server_encoding')),"
    " ('default_transaction_isolation', 'read committed'),"
    " ('default_transaction_read_only', 'off'),"
    " ('default_transaction_deferrable', 'off'), ('bytea_output', 'hex'),"
    " ('statement_timeout', '0'), ('lock_timeout', '0'), ('transaction_timeout', '0'),"
    " ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),"
    " ('jit', 'off'), ('enable_seqscan', 'off'), ('max_parallel_workers_per_gather', '0'),"
    " ('plan_cache_mode', 'force_generic_plan')) AS v(name, value)"
    " WHERE EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.name = v.name)";

const char schema_identity_sql[] =
    "SELECT (SELECT oid FROM pg_database WHERE datname = current_database()),"
    " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,"
    " current_setting('server_version_num'), pg_is_in_recovery(), current_setting('wal_level'),"
    " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
    " (SELECT setting FROM pg_settings WHERE name = 'wal_block_size'),"
    " (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'),"
    " current_setting('server_encoding') = 'UTF8', EXISTS (" TRIGGERS_FUNCTION ")";

// A hash of the rows that decide what a cached statement means and who may run it. Each changed row
// has another xmin, so oid and xmin stand for the row; sums do not depend on the order.
//
//   pg_class       of these names, in every schema, and of what the catalog was loaded with for
//                  their sake: kind, owner, privileges, row security. Its
//                  flags tell of rules and children too: those come with an update of the row, and
//                  a table that ever had them counts as one that has. Not other sessions'
//                  temporary tables, which come and go. Partitions and children that nobody named
//                  are watched by this row, their triggers and replica identities alone
//   pg_attribute   columns' names, types, privileges; a changed default or check constraint also
//                  shows here or in pg_class
//   pg_type        of those columns, where users made it; and domains of the tables' rows
//   pg_trigger     only the first one shows in pg_class
//   pg_index       which indexes are the primary key and the replica identity: their columns are
//                  what a row is known by
//   pg_rewrite     a view that is replaced
//   pg_inherits    partitions and children come and go
//   pg_policy      what runs when a table with row security is read
//   pg_namespace   of those tables: name, privileges
//   pg_proc, pg_operator, pg_cast, pg_opclass, pg_collation, made by users (from oid 16384), and
//                  pg_type of the names of common types: what could be taken for PostgreSQL's own;
//                  and of the names in use, among which are those of types that are cast to; and of
//                  those of functions that triggers call, which may be casts to such a type
//   pg_constraint  of domains: what a write to a column of one runs
//   pg_enum        labels and their order
//   pg_ts_*        while a statement that searches text is in use (resolve.c asks for a name):
//                  configurations, their schemas, dictionaries, and which of these reads what
//   pg_authid      by its public view: rename, superuser, bypassing row security
//   pg_auth_members  who has whose privileges
//   pg_database    whose this one is: he alone is in pg_database_owner, which has no row there
//
// And when the configuration was loaded last: it may have changed a setting in sessions that are
// open (the profile, proxy/profile.h, is asked once in an epoch).
//
// Not needed: pg_db_role_setting (defaults of new sessions; a session's settings are in the key).
// Not watched: privileges that are taken away on PostgreSQL's own functions.
#define COMMON_TYPES                                                                               \
    "'{bool,bytea,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,char,uuid,json,jsonb,"  \
    "date,time,timetz,timestamp,timestamptz,interval}'::name[]"
#define CALLED_NAMES "'{" COMPUTING_FUNCTIONS "}'::name[]"
#define CALLED_TYPE                                                                                \
    "y.typname = ANY (" CALLED_NAMES ") AND y.oid >= 16384"                                        \
    " AND y.typtype IN ('d', 'r', 'm')"
#define SUM(of) "concat(count(*), '.', sum(hashtextextended(" of ", 0)))"
#define MADE(table, letter)                                                                        \
    " (SELECT " SUM("concat(" letter ".oid, ' ', " letter ".xmin)") " FROM " table " " letter      \
    " WHERE " letter ".oid >= 16384),"
// The rows of a table for each relation in use, by index.
#define OF_EACH(from, when, columns, table, of)                                                    \
    " (SELECT " SUM("concat(x.a, ' ', x.b)") " FROM " from " r CROSS JOIN LATERAL (SELECT "        \
    columns " FROM " table " WHERE " of " = r.oid OFFSET 0) x" when "),"
// What is made of their row types, and of that in turn; by index.
#define DOMAINS_OF_ROWS                                                                            \
    " (WITH RECURSIVE x(oid) AS (SELECT d.objid FROM c JOIN pg_depend d ON d.refobjid = c.reltype" \
    "   AND d.refclassid = 'pg_type'::regclass AND d.classid = 'pg_type'::regclass"                \
    "  UNION SELECT d.objid FROM x JOIN pg_depend d ON d.refobjid = x.oid"                         \
    "   AND d.refclassid = 'pg_type'::regclass AND d.classid = 'pg_type'::regclass)"               \
    "  SELECT " SUM("x.oid::text") " FROM x),"
#define FINGERPRINT                                                                                \
    "concat_ws(' ',"                                                                               \
    " (SELECT " SUM("concat(c.oid, ' ', c.x)") " FROM c),"                                         \
    " (SELECT " SUM("concat(m.oid, ' ', m.x)") " FROM m),"                                         \
    OF_EACH("c", "", "xmin AS a, attnum AS b", "pg_attribute", "attnum > 0 AND attrelid")          \
    OF_EACH("c", "", "y.oid AS a, y.xmin AS b",                                                    \
            "pg_attribute t JOIN pg_type y ON y.oid = t.atttypid",                                 \
            "t.atttypid >= 16384 AND t.attnum > 0 AND t.attrelid")                                 \
    DOMAINS_OF_ROWS                                                                                \
    OF_EACH("c", " WHERE r.relhastriggers", "oid AS a, xmin AS b", "pg_trigger", "tgrelid")        \
    OF_EACH("m", " WHERE r.relhastriggers", "oid AS a, xmin AS b", "pg_trigger", "tgrelid")        \
    OF_EACH("c", "", "indexrelid AS a, xmin AS b", "pg_index",                                     \
            "(indisprimary OR indisreplident) AND indrelid")                                       \
    OF_EACH("m", " WHERE r.relreplident = 'i'", "indexrelid AS a, xmin AS b", "pg_index",          \
            "indisreplident AND indrelid")                                                         \
    OF_EACH("c", " WHERE r.relhasrules", "oid AS a, xmin AS b", "pg_rewrite", "ev_class")          \
    OF_EACH("c", " WHERE r.relrowsecurity", "oid AS a, xmin AS b", "pg_policy", "polrelid")        \
    OF_EACH("c", " WHERE r.relhassubclass", "inhrelid AS a, xmin AS b", "pg_inherits",             \
            "inhparent")                                                                           \
    OF_EACH("m", " WHERE r.relhassubclass", "inhrelid AS a, xmin AS b", "pg_inherits",             \
            "inhparent")                                                                           \
    " (SELECT " SUM("concat(n.oid, ' ', n.xmin)")                                                  \
    "  FROM pg_namespace n WHERE n.oid = ANY (ARRAY(SELECT relnamespace FROM c))),"                \
    MADE("pg_proc", "p") MADE("pg_operator", "o") MADE("pg_cast", "k") MADE("pg_opclass", "b")     \
    MADE("pg_collation", "l")                                                                      \
    " (SELECT " SUM("concat(k.oid, ' ', k.xmin)") " FROM pg_constraint k"                          \
    "  WHERE k.contypid >= 16384),"                                                                \
    " (SELECT " SUM("concat(e.oid, ' ', e.xmin)") " FROM pg_enum e),"                              \
    TEXT_SEARCH                                                                                    \
    " (SELECT " SUM("concat(y.oid, ' ', y.xmin)") " FROM pg_type y WHERE y.typname = ANY ("        \
    COMMON_TYPES ") AND y.oid >= 16384),"                                                          \
    " (SELECT " SUM("concat(y.oid, ' ', y.xmin)") " FROM pg_type y WHERE " CALLED_TYPE "),"        \
    " (SELECT " SUM("concat(y.oid, ' ', y.xmin)") " FROM pg_type y WHERE y.typname = ANY ("        \
    "  $1::name[]) AND y.typrelid = 0 AND y.oid >= 16384),"                                        \
    " (SELECT " SUM("concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls)")  \
    "  FROM pg_roles r),"                                                                          \
    " (SELECT " SUM("concat(m.roleid, ' ', m.member, ' ', m.xmin)") " FROM pg_auth_members m),"    \
    " (SELECT datdba FROM pg_database WHERE datname = current_database()),"                        \
    RELOADED ")"
// Each process reads its configuration when it is told to, this one perhaps a moment before others.
#define RELOADED                                                                                   \
    " pg_conf_load_time(), clock_timestamp() < pg_conf_load_time() + interval '1 second'"
#define TEXT_SEARCH                                                                                \
    " CASE WHEN EXISTS (SELECT FROM c WHERE c.oid = 'pg_ts_config_map'::regclass) THEN"            \
    " concat_ws('/',"                                                                              \
    "  (SELECT " SUM("concat(t.oid, ' ', t.xmin)") " FROM pg_ts_config t),"                        \
    "  (SELECT " SUM("concat(t.oid, ' ', t.xmin)") " FROM pg_ts_dict t),"                          \
    "  (SELECT " SUM("concat(n.oid, ' ', n.xmin)") " FROM pg_namespace n WHERE n.oid = ANY ("      \
    "    ARRAY(SELECT cfgnamespace FROM pg_ts_config))),"                                          \
    "  (SELECT " SUM("concat(t.oid, ' ', t.xmin)") " FROM pg_ts_parser t),"                        \
    "  (SELECT " SUM("concat(t.oid, ' ', t.xmin)") " FROM pg_ts_template t),"                      \
    "  (SELECT " SUM("concat(t.mapcfg, ' ', t.maptokentype, ' ', t.mapseqno, ' ', t.xmin)")        \
    "    FROM pg_ts_config_map t)) END,"
#define POSITIONS                                                                                  \
    "pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn(), pg_current_snapshot()"
#define WATCHED                                                                                    \
    "oid, xmin AS x, relhastriggers, relhasrules, relhassubclass, relrowsecurity, relnamespace,"   \
    " relreplident, reltype"
#define RELATIONS_IN_USE                                                                           \
    "WITH c AS MATERIALIZED (SELECT " WATCHED " FROM pg_class"                                     \
    "  WHERE relname = ANY ($1::name[]) AND relpersistence <> 't'"                                 \
    "  UNION ALL SELECT " WATCHED " FROM pg_class WHERE oid = ANY ($2::oid[])),"                   \
    " m AS MATERIALIZED (SELECT " WATCHED " FROM pg_class WHERE oid = ANY ($3::oid[])) "

const char schema_reading_sql[] = RELATIONS_IN_USE
    "SELECT " POSITIONS ", " FINGERPRINT;

const char schema_gate_sql[] = "SELECT " POSITIONS;

const char schema_fingerprint_sql[] = RELATIONS_IN_USE "SELECT " FINGERPRINT;

// A function is chosen by name, number and types of arguments, and an untyped literal fits many: a
// user's function with the name of a built-in one counts whatever it takes; and so does one that
// t.f may mean: of one argument, a row or of no fixed type. (x).f may be one of any type (g).
// Not an extension's own of its own type, if all of it is immutable and in C (as citext's max is):
// whichever is chosen, the same values give the same.
//
// For operators, where an untyped side takes the type of the other, those on built-in types can
// win, and those on types that columns may have which are cached: domains, enums, arrays, rows.
// Beside an extension's own type (a base type), a literal may be on its side: these count, unless
// the operator is the extension's own, immutable, and in C (as hstore's -> is); and between two of
// them, which literals may be if theirs are strings, one that is not in C. That an extension
// was reviewed does as well (intarray's + is one of arrays of PostgreSQL's).
//
// t.f may be a cast as well: to a domain that is made of rows; and f(x) to one of that name, which
// is looked for where triggers call f. And a column of a builtin type may
// be cast unseen to a user's, for an operator or a function of that: then nothing is certain (c).
//
// And users' enums and arrays of them that are untouched, by oid (s); all types of the names in
// use, e those that are such enums, q others that no user's check runs for, y all others; and what
// is a user's in text search, where a configuration has it (t).
//
// And names of which all that users made, functions (F) or operators (O), writes nothing; and :: as
// an operator, where some cast may write.
const char schema_captures_sql[] =
    "WITH RECURSIVE" WRITELESS_FUNCTIONS "," QUIET_DOMAINS ","
    " rows(oid, name) AS (SELECT y.oid, y.typname FROM pg_type y JOIN pg_type b"
    "   ON b.oid = y.typbasetype WHERE y.typtype = 'd' AND b.typtype = 'c'"
    "  UNION SELECT y.oid, y.typname FROM rows JOIN pg_type y ON y.typbasetype = rows.oid"
    "   AND y.typtype = 'd')"
    " SELECT DISTINCT 'f', u.proname::text, '' FROM pg_proc u WHERE u.oid >= 16384"
    " AND (EXISTS (SELECT FROM pg_proc b WHERE b.proname = u.proname AND b.oid < 16384)"
    "  OR u.proname = ANY (" CALLED_NAMES ")" // which some release may not have
    "  OR (u.pronargs > 0 AND u.pronargs - u.pronargdefaults <= 1 AND EXISTS (SELECT FROM pg_type y"
    "   WHERE y.oid = u.proargtypes[0] AND y.typtype IN ('c', 'p', 'd'))))"
    " AND NOT " OWN_OF_OWN_TYPE
    " UNION ALL SELECT DISTINCT 'g', u.proname::text, '' FROM pg_proc u WHERE u.oid >= 16384"
    " AND u.pronargs > 0 AND u.pronargs - u.pronargdefaults <= 1"
    " UNION ALL SELECT DISTINCT 'o', o.oprname::text, '' FROM pg_operator o"
    " JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oid >= 16384"
    " AND NOT (p.prolang IN (12, 13) AND " USERS_BASE_TYPE("oprright")
    "  AND (o.oprleft = 0 OR " USERS_BASE_TYPE("oprleft") "))"
    " AND NOT (p.provolatile = 'i' AND p.prolang IN (12, 13) AND " OWN("pg_operator", "o.oid")
    "   AND " OWN("pg_proc", "p.oid")
    "   AND (" USERS_BASE_TYPE("oprleft") " OR " USERS_BASE_TYPE("oprright")
    "    OR " OWN_OF_PURE("pg_operator", "o.oid") "))"
    " UNION ALL SELECT 'f', r.name::text, '' FROM rows r"
    " UNION ALL SELECT 'f', y.typname::text, '' FROM pg_type y WHERE " CALLED_TYPE
    " UNION ALL SELECT 'F', u.proname::text, '' FROM pg_proc u WHERE u.oid >= 16384"
    "  AND " CASTS_WRITE_NOTHING " GROUP BY u.proname"
    "  HAVING bool_and(u.oid IN (SELECT w.oid FROM writeless w)) AND NOT EXISTS"
    "   (SELECT FROM pg_type y WHERE y.typname = u.proname AND y.oid >= 16384 AND y.typtype <> 'b')"
    " UNION ALL SELECT 'O', o.oprname::text, '' FROM pg_operator o WHERE o.oid >= 16384"
    "  AND o.oprname <> '='" // rows are told apart by it
    "  AND " CASTS_WRITE_NOTHING " GROUP BY o.oprname"
    "  HAVING bool_and(o.oprcode IN (SELECT w.oid FROM writeless w))"
    " UNION ALL SELECT 'c', 'cast', '' FROM pg_cast k WHERE k.oid >= 16384"
    " AND k.castsource < 16384 AND (k.casttarget < 16384 OR (k.castcontext = 'i' AND NOT " DULL "))"
    " UNION ALL SELECT 'o', '::', '' WHERE NOT (" CASTS_WRITE_NOTHING ")"
    " UNION ALL SELECT 't', 'parser', '' FROM pg_ts_config g WHERE g.cfgparser >= 16384"
    // A thesaurus asks another dictionary.
    " UNION ALL SELECT 't', 'template', '' FROM pg_ts_config_map m JOIN pg_ts_dict d"
    "   ON d.oid = m.mapdict JOIN pg_ts_template t ON t.oid = d.dicttemplate"
    "  WHERE EXISTS (SELECT FROM pg_ts_template o WHERE o.oid >= 16384)"
    "   AND (t.oid >= 16384 OR t.tmplname = 'thesaurus')"
    " UNION ALL SELECT 'c', y.typname::text, '' FROM pg_type y WHERE y.oid >= 16384"
    " AND y.typname = ANY (" COMMON_TYPES ")"
    " UNION ALL SELECT 's', y.oid::text, '' FROM pg_type y WHERE y.oid >= 16384"
    "  AND (y.typtype = 'e' OR (y.typcategory = 'A' AND y.typoutput = 'array_out'::regproc"
    "   AND EXISTS (SELECT FROM pg_type e WHERE e.oid = y.typelem AND e.typtype = 'e')))"
    "  AND" UNTOUCHED("y.oid") " AND" UNTOUCHED("y.typelem")
    " UNION ALL SELECT CASE WHEN y.typtype = 'e' AND y.oid >= 16384 AND" UNTOUCHED("y.oid")
    "  THEN 'e' WHEN y.oid < 16384 OR y.typtype = 'e' OR (y.typtype = 'b' AND y.typelem = 0)"
    "   OR y.oid IN (SELECT q.oid FROM quiet q) THEN 'q' ELSE 'y' END,"
    " y.typname::text, n.nspname::text FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace"
    " WHERE y.typname = ANY ($1::name[])";

const char schema_horizon_sql[] =
    "SELECT pg_current_xact_id(),"
    " EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active)";

// A process leaves this list after its transaction has ended.
const char schema_backends_sql[] =
    "SELECT a.pid FROM pg_stat_get_activity(NULL) a WHERE a.pid = ANY ($1::int[])";

const char schema_flush_sql[] = "SELECT pg_logical_emit_message(true, 'pgweir', '')";

// ---- Answers ----------------------------------------------------------------------------------

bool schema_add_captures(struct catalog_builder *builder, const PGresult *result)
{
    if (PQnfields(result) != 3)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        struct slice name = result_value(result, row, 1);
        switch (PQgetvalue(result, row, 0)[0]) {
        case 'f':
            catalog_builder_capture_function(builder, name);
            break;
        case 'g':
            catalog_builder_capture_getter(builder, name);
            break;
        case 'o':
            catalog_builder_capture_operator(builder, name);
            break;
        case 'F':
            catalog_builder_harmless_function(builder, name);
            break;
        case 'O':
            catalog_builder_harmless_operator(builder, name);
            break;
        case 'c':
            catalog_builder_deny(builder, BYPASS_CAST);
            break;
        case 't':
            catalog_builder_deny_text_search(builder);
            break;
        case 's':
            catalog_builder_enum(builder, (uint32_t)strtoul((const char *)name.at, NULL, 10));
            break;
        case 'e':
        case 'q':
        case 'y':
            catalog_builder_type(builder, result_value(result, row, 2), name,
                                 result_is(result, row, 0, 'e')   ? CATALOG_ENUM
                                 : result_is(result, row, 0, 'q') ? CATALOG_QUIET_TYPE
                                                                  : CATALOG_OTHER_TYPE);
            break;
        default:
            return false;
        }
    }
    return true;
}

void schema_array_literal(struct buf *out, const struct slice *names, size_t n)
{
    buf_u8(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_u8(out, ',');
        buf_u8(out, '"');
        for (size_t k = 0; k < names[i].len; k++) {
            if (names[i].at[k] == '"' || names[i].at[k] == '\\')
                buf_u8(out, '\\');
            buf_u8(out, names[i].at[k]);
        }
        buf_u8(out, '"');
    }
    buf_cstr(out, "}");
}
