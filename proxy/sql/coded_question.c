// SPDX-License-Identifier: Apache-2.0
// The question behind coded.h. For PostgreSQL 12 and later.
#include "proxy/control/triggers.h"
#include "proxy/sql/builtins.h"
#include "proxy/sql/coded.h"

// Whatever the session is set to: names mean PostgreSQL's own, and nothing cuts it short. For the
// transaction that both statements make.
static const char settings[] =
    "SELECT pg_catalog.set_config(v.name, v.value, true) FROM (VALUES"
    " ('search_path', 'pg_catalog, pg_temp'), ('statement_timeout', '0'), ('lock_timeout', '0'),"
    " ('transaction_timeout', '0'), ('jit', 'off'), ('max_parallel_workers_per_gather', '0'))"
    " AS v(name, value) WHERE EXISTS (SELECT FROM pg_catalog.pg_settings s"
    " WHERE s.name OPERATOR(pg_catalog.=) v.name);";

// Extensions whose functions leave nothing in a session, whatever they are given: reviewed.
// (Not dblink, isn, tablefunc, xml2, refint: those run queries, or keep something; and of pg_trgm
// not set_limit.)
static const char extensions[] =
    "'{autoinc,bloom,btree_gin,btree_gist,citext,cube,dict_int,dict_xsyn,earthdistance,"
    "fuzzystrmatch,hstore,insert_username,intarray,lo,ltree,moddatetime,pgcrypto,pg_trgm,"
    "postgis,seg,tcn,tsm_system_rows,tsm_system_time,unaccent,uuid-ossp,vector}'::name[]";

// What is hashed to see whether anything has changed. Rows of pg_attrdef and pg_constraint are not
// changed in place as far as they matter here, so their oids are enough; of the others, a changed
// row has another xmin. Temporary relations come and go, and do not count.
#define SUM(of) "concat(count(*), '.', sum(hashint8extended(" of ")))"
#define ROW_VERSION(oid) oid "::int8, xmin::text::int8"
#define KEEPS(relation) "AND " relation " NOT IN (SELECT oid FROM temporary)"
static const char fingerprint[] =
    "WITH RECURSIVE class AS MATERIALIZED (SELECT oid, relname, relkind, relpersistence, reltype,"
    "  xmin AS x FROM pg_class WHERE relkind IN ('r', 'v', 'p', 'f', 'm', 'c') AND oid >= 16384),"
    " rel AS (SELECT * FROM class WHERE relpersistence <> 't'),"
    " temporary AS (SELECT oid FROM class WHERE relpersistence = 't'),"
    " fp AS MATERIALIZED (SELECT concat_ws(' ',"
    " (SELECT " SUM("oid::int8, x::text::int8") " FROM rel),"
    " (SELECT " SUM("oid::int8, 0") " FROM pg_attrdef WHERE oid >= 16384 " KEEPS("adrelid") "),"
    " (SELECT " SUM("oid::int8, 0") " FROM pg_constraint WHERE"
    "  (contype = 'c' OR contype = 'f' AND NOT (confupdtype IN ('a', 'r')"
    "  AND confdeltype IN ('a', 'r'))) AND oid >= 16384 " KEEPS("conrelid") "),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_trigger WHERE NOT tgisinternal "
    KEEPS("tgrelid") "),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_rewrite WHERE oid >= 16384 "
    KEEPS("ev_class") "),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_policy WHERE true " KEEPS("polrelid") "),"
    " (SELECT " SUM("indexrelid::int8, 0") " FROM pg_index WHERE"
    "  (indexprs IS NOT NULL OR indpred IS NOT NULL) AND indrelid >= 16384 "
    KEEPS("indrelid") "),"
    " (SELECT " SUM("inhrelid::int8, inhparent::int8") " FROM pg_inherits"
    "  WHERE true " KEEPS("inhrelid") "),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_type WHERE typtype = 'd' AND oid >= 16384),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_proc WHERE oid >= 16384),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_operator WHERE oid >= 16384),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_cast WHERE oid >= 16384),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_opclass WHERE oid >= 16384),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_extension WHERE oid >= 16384),"
    " (SELECT " SUM(ROW_VERSION("oid")) " FROM pg_event_trigger)) AS is)";

// A trigger function of PL/pgSQL that only computes: it holds no word that a statement of SQL or a
// query begins with, nothing that could hide one, and calls nothing that is not on the list.
// Where users have functions of those names, operators or casts of their own, or types of
// those that it casts to and declares, none passes. What ends a comment may be a \r.
#define COMPUTING                                                                                  \
    "now|clock_timestamp|statement_timestamp|transaction_timestamp|coalesce|nullif|greatest|least|"\
    "lower|upper|initcap|trim|btrim|ltrim|rtrim|length|char_length|md5|to_tsvector|setweight|"     \
    "concat|concat_ws|replace|regexp_replace|substr|substring|split_part|round|floor|ceil|abs|"    \
    "date_trunc|extract|gen_random_uuid|row_to_json|to_json|to_jsonb|hashtext"
#define DOING                                                                                      \
    "abort|alter|analy[sz]e|call|cast|checkpoint|close|cluster|comment|commit|copy|create|cursor|" \
    "deallocate|declare|delete|discard|do|drop|execute|explain|fetch|for|foreach|from|grant|"      \
    "import|insert|into|listen|load|lock|loop|merge|move|notify|open|operator|perform|prepare|"    \
    "query|reassign|refresh|reindex|release|repack|reset|revoke|rollback|savepoint|security|"      \
    "select|set|show|start|table|truncate|unlisten|update|vacuum|values|wait|while|with"
#define COMMON                                                                                     \
    "text|varchar|int|int4|int8|integer|bigint|numeric|boolean|bool|date|timestamptz|timestamp|"   \
    "jsonb|json|uuid"
static const char functions[] =
    ", listed AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e"
    "  ON e.oid = d.refobjid WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'"
    "  AND e.extname = ANY (%s)),"
    " own AS MATERIALIZED (SELECT p.* FROM pg_proc p WHERE p.oid >= 16384"
    "  AND (p.proname = 'set_limit' OR NOT EXISTS (SELECT FROM listed l"
    "   WHERE l.classid = 'pg_proc'::regclass AND l.objid = p.oid))),"
    " computes AS MATERIALIZED (SELECT p.oid FROM own p JOIN pg_language l ON l.oid = p.prolang,"
    "  LATERAL regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace("
    "   regexp_replace(p.prosrc, E'--[^''\"\\r\\n]*(?=[\\r\\n]|\\\\Z)', '', 'g'),"
    "   '''(insert|update|delete|truncate)''', '', 'gi'),"
    "   E'\\\\ydistinct\\\\s+from\\\\y', '', 'gi'),"
    "   E'\\\\y(new|old)[.]\"\\\\w+\"', 'new.x', 'gi'),"
    "   E'::\\\\s*(" COMMON ")\\\\y(?!\\\\s*[.])', '', 'gi'),"
    "   E'^\\\\s*declare\\\\s+(\\\\w+\\\\s+(" COMMON ")\\\\s*(:=\\\\s*(-?[0-9.]+|''[^'']*''|null|"
    "true|false|(new|old)[.]\\\\w+)\\\\s*)?;\\\\s*)*begin\\\\y', 'begin', 'i') s"
    "  WHERE p.prorettype = 'trigger'::regtype AND l.lanname = 'plpgsql'"
    "  AND length(p.prosrc) < 8192 AND s !~* E'\\\\y(" DOING ")\\\\y'"
    "  AND s !~ E'--|/[*]|::|[\"$\\\\\\\\]'"
    "  AND regexp_replace(s, E'\\\\y(if|and|or|not|in|then|else|elsif|when|return|case|"
    COMPUTING ")\\\\s*[(]', ' (', 'gi') !~ E'\\\\w\\\\s*[(]'"
    "  AND NOT EXISTS (SELECT FROM own o WHERE o.proname = ANY (string_to_array('"
    COMPUTING "', '|')))"
    "  AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM"
    "   listed l WHERE l.classid = 'pg_operator'::regclass AND l.objid = o.oid))"
    "  AND NOT EXISTS (SELECT FROM pg_type y WHERE y.oid >= 16384"
    "   AND y.typname = ANY (string_to_array('" COMMON "', '|')))"
    "  AND NOT EXISTS (SELECT FROM pg_cast c JOIN own o ON o.oid = c.castfunc"
    "   WHERE NOT " BUILTIN_CAST_OF_A_RANGE("c", "o") ")),"
    // Of PostgreSQL's own, those that were not found harmless; of users', those not found so here.
    " code AS MATERIALIZED (SELECT p.oid, p.proname, p.prokind, p.pronargs, p.pronargdefaults,"
    "  p.proargtypes FROM own p WHERE p.oid NOT IN (SELECT oid FROM computes)"
    "  AND p.prosrc <> '" TRIGGERS_BODY "'),"
    " risk AS MATERIALIZED (SELECT oid::text AS oid FROM pg_proc WHERE oid < 16384"
    "  AND (provolatile = 'v' AND proname <> ALL (%s)"
    "   AND proname NOT IN ('currval', 'lastval', 'nextval', 'setval') OR proname = ANY (%s))),"
    " codeop AS MATERIALIZED (SELECT o.oid, o.oprname FROM pg_operator o"
    "  JOIN code ON code.oid = o.oprcode WHERE o.oid >= 16384),";

// Run by who reads: a view's query, not that of a materialized view, which ran when it was filled.
#define RUNS_WHEN_READ(rule)                                                                       \
    rule "ev_type = '1' AND " rule "ev_class NOT IN (SELECT oid FROM class WHERE relkind = 'm')"

// Expressions are stored as trees. What users made is in pg_depend, but PostgreSQL's own functions
// are pinned and leave no row there: those must be looked for in the text. read: who only reads the
// relation runs it, too.
static const char trees[] =
    " tree AS (SELECT ev_class AS of, 0::oid AS type, " RUNS_WHEN_READ("") " AS read,"
    "   concat(ev_qual::text, ev_action::text) AS t FROM pg_rewrite WHERE oid >= 16384"
    "  UNION ALL SELECT adrelid, 0, false, adbin::text FROM pg_attrdef"
    "  UNION ALL SELECT conrelid, contypid, false, conbin::text FROM pg_constraint"
    "   WHERE contype = 'c' AND oid >= 16384"
    "  UNION ALL SELECT 0, oid, false, typdefaultbin::text FROM pg_type"
    "   WHERE typdefaultbin IS NOT NULL"
    "  UNION ALL SELECT polrelid, 0, true, concat(polqual::text, polwithcheck::text)"
    "   FROM pg_policy"
    "  UNION ALL SELECT indrelid, 0, false, concat(indexprs::text, indpred::text) FROM pg_index"
    "   WHERE indexprs IS NOT NULL OR indpred IS NOT NULL"
    "  UNION ALL SELECT partrelid, 0, false, partexprs::text FROM pg_partitioned_table"
    "   WHERE partexprs IS NOT NULL"
    "  UNION ALL SELECT tgrelid, 0, false, tgqual::text FROM pg_trigger WHERE NOT tgisinternal"
    "   AND tgqual IS NOT NULL),"
    " risky AS MATERIALIZED (SELECT DISTINCT tree.of, tree.type, tree.read FROM tree,"
    "  LATERAL unnest(string_to_array(tree.t, ':funcid ')) WITH ORDINALITY AS u(x, n)"
    "  WHERE u.n > 1 AND split_part(u.x, ' ', 1) IN (SELECT oid FROM risk)),"
    " uses AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_depend d WHERE"
    "  d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM code)"
    "  UNION SELECT d.classid, d.objid FROM pg_depend d WHERE"
    "  d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (SELECT oid FROM codeop)),"
    // Domains with code in a check or a default, and types made of them.
    " codetype(oid) AS (SELECT type FROM risky WHERE type <> 0"
    "  UNION SELECT k.contypid FROM uses u JOIN pg_constraint k ON k.oid = u.objid"
    "   WHERE u.classid = 'pg_constraint'::regclass AND k.contypid <> 0"
    "  UNION SELECT y.oid FROM uses u JOIN pg_type y ON y.oid = u.objid"
    "   WHERE u.classid = 'pg_type'::regclass AND y.typtype = 'd'"
    "  UNION SELECT next.oid FROM codetype k, LATERAL (SELECT d.objid AS oid FROM pg_depend d WHERE"
    "    d.refclassid = 'pg_type'::regclass AND d.refobjid = k.oid"
    "    AND d.classid = 'pg_type'::regclass"
    "   UNION ALL SELECT rel.reltype FROM pg_depend d JOIN rel ON rel.oid = d.objid WHERE"
    "    d.refclassid = 'pg_type'::regclass AND d.refobjid = k.oid"
    "    AND d.classid = 'pg_class'::regclass AND rel.reltype <> 0"
    "   UNION ALL SELECT c.contypid FROM pg_depend d JOIN pg_constraint c ON c.oid = d.objid WHERE"
    "    d.refclassid = 'pg_type'::regclass AND d.refobjid = k.oid"
    "    AND d.classid = 'pg_constraint'::regclass AND c.contypid <> 0) next),"
    " used AS MATERIALIZED (SELECT classid, objid FROM uses UNION SELECT d.classid, d.objid"
    "  FROM pg_depend d JOIN codetype k ON k.oid = d.refobjid"
    "  WHERE d.refclassid = 'pg_type'::regclass),";

// edge: what is done to `of` may run what is behind `dest`: views and rules, cascades, policies;
// parents and children in either direction. For who only reads, those of views and policies.
static const char relations[] =
    " direct AS (SELECT of AS oid FROM risky"
    "  UNION SELECT r.ev_class FROM used u JOIN pg_rewrite r ON r.oid = u.objid"
    "   WHERE u.classid = 'pg_rewrite'::regclass"
    "  UNION SELECT f.adrelid FROM used u JOIN pg_attrdef f ON f.oid = u.objid"
    "   WHERE u.classid = 'pg_attrdef'::regclass"
    "  UNION SELECT k.conrelid FROM used u JOIN pg_constraint k ON k.oid = u.objid"
    "   WHERE u.classid = 'pg_constraint'::regclass"
    "  UNION SELECT p.polrelid FROM used u JOIN pg_policy p ON p.oid = u.objid"
    "   WHERE u.classid = 'pg_policy'::regclass"
    "  UNION SELECT coalesce(i.indrelid, u.objid) FROM used u LEFT JOIN pg_index i"
    "   ON i.indexrelid = u.objid WHERE u.classid = 'pg_class'::regclass"
    "  UNION SELECT t.tgrelid FROM used u JOIN pg_trigger t ON t.oid = u.objid"
    "   WHERE u.classid = 'pg_trigger'::regclass AND t.tgenabled <> 'D'"
    "  UNION SELECT t.tgrelid FROM pg_trigger t JOIN risk ON risk.oid = t.tgfoid::text"
    "   WHERE NOT t.tgisinternal AND t.tgenabled <> 'D'),"
    " edge AS MATERIALIZED (SELECT r.ev_class AS of, d.refobjid AS dest FROM pg_rewrite r"
    "   JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
    "   AND d.refclassid = 'pg_class'::regclass WHERE r.oid >= 16384 AND d.refobjid <> r.ev_class"
    "  UNION SELECT p.polrelid, d.refobjid FROM pg_policy p JOIN pg_depend d"
    "   ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid"
    "   AND d.refclassid = 'pg_class'::regclass WHERE d.refobjid <> p.polrelid"
    "  UNION SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f'"
    "   AND NOT (confupdtype IN ('a', 'r') AND confdeltype IN ('a', 'r'))"
    "  UNION SELECT inhparent, inhrelid FROM pg_inherits"
    "  UNION SELECT inhrelid, inhparent FROM pg_inherits),"
    " coded(oid) AS (SELECT oid FROM direct UNION SELECT e.of FROM coded k"
    "  JOIN edge e ON e.dest = k.oid),"
    " readedge AS MATERIALIZED (SELECT r.ev_class AS of, d.refobjid AS dest FROM pg_rewrite r"
    "   JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
    "   AND d.refclassid = 'pg_class'::regclass"
    "   WHERE r.oid >= 16384 AND d.refobjid <> r.ev_class AND " RUNS_WHEN_READ("r.")
    "  UNION SELECT p.polrelid, d.refobjid FROM pg_policy p JOIN pg_depend d"
    "   ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid"
    "   AND d.refclassid = 'pg_class'::regclass WHERE d.refobjid <> p.polrelid),"
    " readcoded(oid) AS (SELECT oid FROM (SELECT of AS oid FROM risky WHERE read"
    "   UNION SELECT r.ev_class FROM used u JOIN pg_rewrite r ON r.oid = u.objid"
    "    WHERE u.classid = 'pg_rewrite'::regclass AND " RUNS_WHEN_READ("r.")
    "   UNION SELECT p.polrelid FROM used u JOIN pg_policy p ON p.oid = u.objid"
    "    WHERE u.classid = 'pg_policy'::regclass) AS d"
    "  UNION SELECT e.of FROM readcoded k JOIN readedge e ON e.dest = k.oid)";

// Rows: what kind of name, and the name, in bytes of the server's encoding.
#define SPELLED(name) "encode(convert_to(" name "::text, getdatabaseencoding()::name), 'escape')"
static const char answer[] =
    " SELECT '=', fp.is FROM fp UNION ALL SELECT found.kind, " SPELLED("found.name") " FROM ("
    "SELECT 'r' AS kind, rel.relname FROM rel JOIN coded ON coded.oid = rel.oid"
    " WHERE rel.relkind <> 'c'"
    " UNION SELECT 's', rel.relname FROM rel JOIN readcoded ON readcoded.oid = rel.oid"
    " WHERE rel.relkind <> 'c'"
    " UNION SELECT 'f', code.proname FROM code WHERE EXISTS"
    "  (SELECT FROM pg_proc b WHERE b.proname = code.proname AND b.oid < 16384)"
    " UNION SELECT '.', code.proname FROM code JOIN pg_type y ON y.oid = code.proargtypes[0]"
    "  WHERE code.prokind = 'f' AND code.pronargs - code.pronargdefaults <= 1"
    "  AND y.typtype IN ('c', 'p', 'd')"
    " UNION SELECT ':', code.proname FROM code WHERE code.prokind = 'f' AND code.pronargs > 0"
    "  AND code.pronargs - code.pronargdefaults <= 1"
    " UNION SELECT 'o', codeop.oprname FROM codeop"
    " UNION SELECT 't', y.typname FROM codetype k JOIN pg_type y ON y.oid = k.oid"
    " UNION SELECT '*', 'cast' FROM pg_cast k JOIN code ON code.oid = k.castfunc"
    "  JOIN pg_proc p ON p.oid = k.castfunc WHERE NOT " BUILTIN_CAST_OF_A_RANGE("k", "p")
    " UNION SELECT '*', 'opclass' FROM uses u WHERE u.classid IN ('pg_opclass'::regclass,"
    "  'pg_opfamily'::regclass, 'pg_amproc'::regclass, 'pg_amop'::regclass)"
    " UNION SELECT 'e', 'event' FROM pg_event_trigger WHERE evtenabled <> 'D'"
    ") AS found(kind, name)";

static void put_array(struct buf *sql, struct builtin_names names)
{
    buf_printf(sql, "'{");
    for (size_t i = 0; i < names.count; i++)
        buf_printf(sql, "%s%s", i > 0 ? "," : "", names.at[i]);
    buf_printf(sql, "}'::name[]");
}

void coded_question(struct buf *sql)
{
    struct buf harmless = {0}, risky = {0};
    put_array(&harmless, builtin_harmless());
    buf_u8(&harmless, 0);
    put_array(&risky, builtin_queriers());
    buf_u8(&risky, 0);
    buf_printf(sql, "%s%s", settings, fingerprint);
    buf_printf(sql, functions, extensions, (const char *)harmless.at, (const char *)risky.at);
    buf_printf(sql, "%s%s%s", trees, relations, answer);
    buf_u8(sql, 0);
    buf_fini(&harmless);
    buf_fini(&risky);
}

void coded_check(struct buf *sql)
{
    buf_printf(sql, "%s%s SELECT '=', fp.is FROM fp", settings, fingerprint);
    buf_u8(sql, 0);
}
