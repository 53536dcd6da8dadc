// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/schema.h"

#include <stdlib.h>
#include <string.h>

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
    " current_setting('server_encoding') = 'UTF8'";

// A hash of the rows that decide what a cached statement means and who may run it. Each changed row
// has another xmin, so oid and xmin stand for the row; sums do not depend on the order.
//
//   pg_class       of these names, in every schema: kind, owner, privileges, row security. Its
//                  flags tell of rules and children too: those come with an update of the row, and
//                  a table that ever had them counts as one that has. Not other sessions'
//                  temporary tables, which come and go.
//   pg_attribute   columns' names, types, privileges; a changed default or check constraint also
//                  shows here or in pg_class
//   pg_trigger     only the first one shows in pg_class
//   pg_index       which indexes are the primary key and the replica identity: their columns are
//                  what a row is known by
//   pg_namespace   of those tables: name, privileges
//   pg_proc, pg_operator, pg_cast, made by users (from oid 16384), and pg_type of the names of
//                  common types: what could be taken for PostgreSQL's own
//   pg_authid      by its public view: rename, superuser, bypassing row security
//   pg_auth_members  who has whose privileges
//
// Not needed: pg_policy (tables with row security are not cached), pg_db_role_setting (defaults of
// new sessions; a session's settings are in the key). Not watched: privileges that are taken away
// on PostgreSQL's own functions.
#define COMMON_TYPES                                                                               \
    "'{bool,bytea,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,char,uuid,json,jsonb,"  \
    "date,time,timetz,timestamp,timestamptz,interval}'::name[]"
#define SUM(of) "concat(count(*), '.', sum(hashtextextended(" of ", 0)))"
#define FINGERPRINT                                                                                \
    "concat_ws(' ',"                                                                               \
    " (SELECT " SUM("concat(c.oid, ' ', c.x)") " FROM c),"                                         \
    " (SELECT " SUM("a.x")                                                                         \
    "  FROM c CROSS JOIN LATERAL (SELECT xmin::text AS x FROM pg_attribute"                        \
    "   WHERE attrelid = c.oid AND attnum > 0 OFFSET 0) a),"                                       \
    " (SELECT " SUM("concat(t.oid, ' ', t.x)")                                                     \
    "  FROM c CROSS JOIN LATERAL (SELECT oid, xmin AS x FROM pg_trigger"                           \
    "   WHERE tgrelid = c.oid OFFSET 0) t WHERE c.relhastriggers),"                                \
    " (SELECT " SUM("concat(i.oid, ' ', i.x)")                                                     \
    "  FROM c CROSS JOIN LATERAL (SELECT indexrelid AS oid, xmin AS x FROM pg_index"               \
    "   WHERE indrelid = c.oid AND (indisprimary OR indisreplident) OFFSET 0) i),"                 \
    " (SELECT " SUM("concat(n.oid, ' ', n.xmin)")                                                  \
    "  FROM pg_namespace n WHERE n.oid = ANY (ARRAY(SELECT relnamespace FROM c))),"                \
    " (SELECT " SUM("concat(p.oid, ' ', p.xmin)") " FROM pg_proc p WHERE p.oid >= 16384),"         \
    " (SELECT " SUM("concat(o.oid, ' ', o.xmin)") " FROM pg_operator o WHERE o.oid >= 16384),"     \
    " (SELECT " SUM("concat(k.oid, ' ', k.xmin)") " FROM pg_cast k WHERE k.oid >= 16384),"         \
    " (SELECT " SUM("concat(y.oid, ' ', y.xmin)") " FROM pg_type y WHERE y.typname = ANY ("        \
    COMMON_TYPES ") AND y.oid >= 16384),"                                                          \
    " (SELECT " SUM("concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls)")  \
    "  FROM pg_roles r),"                                                                          \
    " (SELECT " SUM("concat(m.roleid, ' ', m.member, ' ', m.xmin)") " FROM pg_auth_members m))"
#define POSITIONS                                                                                  \
    "pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn(), pg_current_snapshot()"
#define RELATIONS_IN_USE                                                                           \
    "WITH c AS MATERIALIZED (SELECT oid, xmin AS x, relhastriggers, relnamespace FROM pg_class"    \
    " WHERE relname = ANY ($1::name[]) AND relpersistence <> 't') "

const char schema_reading_sql[] = RELATIONS_IN_USE
    "SELECT " POSITIONS ", " FINGERPRINT;

const char schema_gate_sql[] = "SELECT " POSITIONS;

const char schema_fingerprint_sql[] = RELATIONS_IN_USE "SELECT " FINGERPRINT;

// Column types whose text and binary forms depend on nothing but the value and settings that are in
// the cache key, by element: bool bytea char name int8 int2 int4 text oid json cidr float4 float8
// macaddr8 macaddr inet bpchar varchar date time timestamp timestamptz interval timetz bit varbit
// numeric uuid jsonb; then arrays of them. Not money (lc_monetary), xml, reg*, nor users' types.
#define SAFE_TYPES                                                                                 \
    "'{16,17,18,19,20,21,23,25,26,114,650,700,701,774,829,869,1042,1043,1082,1083,1114,1184,1186," \
    "1266,1560,1562,1700,2950,3802,"                                                               \
    "1000,1001,1002,1003,1016,1005,1007,1009,1028,199,651,1021,1022,775,1040,1041,1014,1015,1182," \
    "1183,1115,1185,1187,1270,1561,1563,1231,2951,3807}'::oid[]"
// RI_FKey_check_ins, _check_upd, _restrict_del, _restrict_upd, _noaction_del, _noaction_upd, and
// unique_key_recheck: they look, and write nothing.
#define HARMLESS_TRIGGERS "'{1644,1645,1648,1649,1654,1655,1250}'::oid[]"

// The columns whose values, old and new, the stream tells of every row that changes: those of the
// index that RelationGetIdentityKeyBitmap() takes (relcache.c), or with REPLICA IDENTITY FULL those
// of the primary key. For each type, length or precision, bytes of the name, the name. A column
// whose equality is not that of its bytes, or that others make, gives type 0. A table with children
// has none: a query of it reads theirs.
#define KEY_COLUMNS                                                                                \
    " (SELECT string_agg(concat_ws(' ',"                                                           \
    "   CASE WHEN a.attgenerated = '' AND coalesce(l.collisdeterministic, true)"                   \
    "    THEN a.atttypid ELSE 0 END, a.atttypmod,"                                                 \
    "   octet_length(a.attname::text), a.attname::text), '' ORDER BY a.attnum)"                    \
    "  FROM pg_index i JOIN generate_series(0, i.indnkeyatts - 1) AS k(n) ON true"                 \
    "   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[k.n]"                    \
    "   LEFT JOIN pg_collation l ON l.oid = a.attcollation"                                        \
    "  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND i.indimmediate"             \
    "   AND i.indpred IS NULL AND i.indexprs IS NULL AND c.relkind = 'r'"                          \
    "   AND NOT c.relhassubclass"                                                                  \
    "   AND CASE c.relreplident WHEN 'i' THEN i.indisreplident WHEN 'n' THEN false"                \
    "    ELSE i.indisprimary END)"

// The last but one: can a write to it touch anything else, by a trigger, or by what a function in a
// default, a check or a domain does? Functions of PostgreSQL's own leave no row in pg_depend.
const char schema_relations_sql[] =
    "SELECT n.nspname, c.relname, c.oid, c.relkind, c.relpersistence, c.relhassubclass,"
    " c.relrowsecurity, c.relhasrules,"
    " coalesce((SELECT amname = 'heap' FROM pg_am m WHERE m.oid = c.relam), false),"
    " NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
    "   AND NOT a.attisdropped AND a.atttypid <> ALL (" SAFE_TYPES ")),"
    " EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid"
    "   AND NOT (t.tgisinternal AND t.tgfoid = ANY (" HARMLESS_TRIGGERS ")))"
    " OR EXISTS (SELECT FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass"
    "   AND d.objid = f.oid WHERE f.adrelid = c.oid"
    "   AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))"
    " OR EXISTS (SELECT FROM pg_constraint k JOIN pg_depend d"
    "   ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid WHERE k.conrelid = c.oid"
    "   AND k.contype = 'c' AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass))"
    " OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND y.typtype = 'd'),"
    KEY_COLUMNS
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = ANY ($1::name[]) AND c.relpersistence <> 't'";

enum relation_column {
    RELATION_SCHEMA, RELATION_NAME, RELATION_OID, RELATION_KIND, RELATION_PERSISTENCE,
    RELATION_CHILDREN, RELATION_ROW_SECURITY, RELATION_RULES, RELATION_HEAP, RELATION_TYPES_SAFE,
    RELATION_SIDE_EFFECTS, RELATION_KEY, RELATION_COLUMNS,
};

// A function is chosen by name, number and types of arguments, and an untyped literal fits many: a
// user's function with the name of a built-in one counts whatever it takes. For operators, where an
// untyped side takes the type of the other, only those on built-in types (and domains, which stand
// for theirs) can win.
const char schema_captures_sql[] =
    "SELECT DISTINCT 'f', u.proname::text FROM pg_proc u WHERE u.oid >= 16384"
    " AND EXISTS (SELECT FROM pg_proc b WHERE b.proname = u.proname AND b.oid < 16384)"
    " UNION ALL SELECT DISTINCT 'o', o.oprname::text FROM pg_operator o WHERE o.oid >= 16384"
    " AND NOT EXISTS (SELECT FROM pg_type y WHERE y.oid IN (o.oprleft, o.oprright)"
    "   AND y.oid >= 16384 AND y.typtype <> 'd')"
    " UNION ALL SELECT 'c', 'cast' FROM pg_cast k WHERE k.oid >= 16384"
    " AND k.castsource < 16384 AND k.casttarget < 16384"
    " UNION ALL SELECT 'c', y.typname::text FROM pg_type y WHERE y.oid >= 16384"
    " AND y.typname = ANY (" COMMON_TYPES ")";

const char schema_horizon_sql[] =
    "SELECT pg_current_xact_id(),"
    " EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active)";

// A process leaves this list after its transaction has ended.
const char schema_backends_sql[] =
    "SELECT a.pid FROM pg_stat_get_activity(NULL) a WHERE a.pid = ANY ($1::int[])";

const char schema_flush_sql[] = "SELECT pg_logical_emit_message(true, 'pgweir', '')";

// ---- Answers ----------------------------------------------------------------------------------

static struct slice value(const PGresult *result, int row, int column)
{
    return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

static bool is(const PGresult *result, int row, int column, char c)
{
    return PQgetvalue(result, row, column)[0] == c;
}

// Is a table's every row change reported by the stream, and nothing but its rows in a reply?
static enum bypass relation_bypass(const PGresult *r, int row)
{
    unsigned long oid = strtoul(PQgetvalue(r, row, RELATION_OID), NULL, 10);
    if (oid < 16384)
        return BYPASS_CATALOG_RELATION;
    if (is(r, row, RELATION_KIND, 'p') || is(r, row, RELATION_CHILDREN, 't'))
        return BYPASS_INHERITANCE;
    if (!is(r, row, RELATION_KIND, 'r') || !is(r, row, RELATION_PERSISTENCE, 'p') ||
        !is(r, row, RELATION_HEAP, 't'))
        return BYPASS_RELATION_KIND;
    if (is(r, row, RELATION_ROW_SECURITY, 't'))
        return BYPASS_ROW_SECURITY;
    if (!is(r, row, RELATION_TYPES_SAFE, 't'))
        return BYPASS_COLUMN_TYPE;
    return BYPASS_NONE;
}

// A policy may call functions too, so row security counts as an effect.
static bool relation_writes_known(const PGresult *r, int row)
{
    return is(r, row, RELATION_KIND, 'r') && is(r, row, RELATION_CHILDREN, 'f') &&
           is(r, row, RELATION_RULES, 'f') && is(r, row, RELATION_ROW_SECURITY, 'f') &&
           is(r, row, RELATION_SIDE_EFFECTS, 'f');
}

// What KEY_COLUMNS gave. No key: too many columns, one of a type without a form, or none at all.
static struct catalog_key relation_key(struct slice columns)
{
    struct catalog_key key = {.count = 0};
    char *at = (char *)columns.at, *end = at + columns.len; // ends with a NUL, of libpq's
    while (at < end) {
        uint32_t type = (uint32_t)strtoul(at, &at, 10);
        long modifier = strtol(at, &at, 10);
        unsigned long bytes = strtoul(at, &at, 10);
        if (key.count == ROWKEY_COLUMNS_MAX || rowkey_type_of(type) == ROWKEY_NONE ||
            at == end || bytes == 0 || bytes > (unsigned long)(end - at - 1))
            return (struct catalog_key){.count = 0};
        key.columns[key.count].name = slice_of(at + 1, bytes);
        key.columns[key.count].type = rowkey_type_of(type);
        key.columns[key.count].modified = modifier >= 0;
        key.count++;
        at += 1 + bytes;
    }
    return key;
}

bool schema_add_relations(struct catalog_builder *builder, const PGresult *result)
{
    if (PQnfields(result) != RELATION_COLUMNS)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        struct catalog_relation relation = {
            .schema = value(result, row, RELATION_SCHEMA),
            .name = value(result, row, RELATION_NAME),
            .oid = (uint32_t)strtoul(PQgetvalue(result, row, RELATION_OID), NULL, 10),
            .bypass = relation_bypass(result, row),
            .writes_known = relation_writes_known(result, row),
            .key = relation_key(value(result, row, RELATION_KEY)),
        };
        catalog_builder_relation(builder, &relation);
    }
    return true;
}

bool schema_add_captures(struct catalog_builder *builder, const PGresult *result)
{
    if (PQnfields(result) != 2)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        struct slice name = value(result, row, 1);
        switch (PQgetvalue(result, row, 0)[0]) {
        case 'f':
            catalog_builder_capture_function(builder, name);
            break;
        case 'o':
            catalog_builder_capture_operator(builder, name);
            break;
        case 'c':
            catalog_builder_deny(builder, BYPASS_CAST);
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
