// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/closure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/protection.h"
#include "cache/lineage.h"
#include "proxy/control/result.h"
#include "proxy/control/triggers.h"
#include "proxy/control/types_sql.h"
#include "proxy/sql/builtins.h"

// ---- Relations ----------------------------------------------------------------------------------

// RI_FKey_check_ins, _check_upd, _restrict_del, _restrict_upd, _noaction_del, _noaction_upd, and
// unique_key_recheck: they look, and write nothing.
#define HARMLESS_TRIGGERS "'{1644,1645,1648,1649,1654,1655,1250}'::oid[]"

#define MAX_TEXT(number) #number
#define LIMIT_OF(number) MAX_TEXT(number)
#define CLOSURE_ROWS 32769 // a relation may be reached in more than one way

// The columns whose values, old and new, the stream tells of every row that changes: those of the
// index that RelationGetIdentityKeyBitmap() takes (relcache.c), or with REPLICA IDENTITY FULL those
// of the primary key, and then, apart, all of them. For each what its type is in the end (of a
// domain what it is based on, of an enum 3500, anyenum), length or precision, the type, bytes of
// the name, the name. A column whose equality is not that of its bytes, or that others make, gives
// type 0. A table with children has none: they need not have their parent's. A partitioned table
// has those that the tables below it may tell of.
#define IN_THE_END                                                                                 \
    "(WITH RECURSIVE b(oid, kind, base, modifier) AS ("                                            \
    "    SELECT y.oid, y.typtype, y.typbasetype, y.typtypmod FROM pg_type y"                       \
    "     WHERE y.oid = a.atttypid"                                                                \
    "    UNION ALL SELECT y.oid, y.typtype, y.typbasetype, greatest(y.typtypmod, b.modifier)"      \
    "     FROM b JOIN pg_type y ON y.oid = b.base WHERE b.kind = 'd')"                             \
    "   SELECT concat_ws(' ', CASE b.kind WHEN 'e' THEN 3500 ELSE b.oid END,"                      \
    "     greatest(b.modifier, a.atttypmod)) FROM b WHERE b.kind <> 'd')"
#define COLUMNS_AS_TEXT                                                                            \
    "string_agg(concat_ws(' ',"                                                                    \
    "   CASE WHEN a.attgenerated <> '' OR NOT coalesce(l.collisdeterministic, true) THEN '0 -1'"   \
    "    WHEN a.atttypid < 16384 THEN concat_ws(' ', a.atttypid, a.atttypmod)"                     \
    "    ELSE " IN_THE_END " END,"                                                                 \
    "   a.atttypid, octet_length(a.attname::text), a.attname::text), '' ORDER BY a.attnum)"
#define KEY_COLUMNS                                                                                \
    " (SELECT " COLUMNS_AS_TEXT                                                                    \
    "  FROM pg_index i JOIN generate_series(0, i.indnkeyatts - 1) AS k(n) ON true"                 \
    "   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[k.n]"                    \
    "   LEFT JOIN pg_collation l ON l.oid = a.attcollation"                                        \
    "  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND i.indimmediate"             \
    "   AND i.indpred IS NULL AND i.indexprs IS NULL"                                              \
    "   AND CASE WHEN c.relkind = 'p' THEN i.indisprimary"                                         \
    "    WHEN c.relkind <> 'r' OR c.relhassubclass OR c.relreplident = 'n' THEN false"             \
    "    WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END),"                \
    " (SELECT " COLUMNS_AS_TEXT                                                                    \
    "  FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation"                     \
    "  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"                           \
    "   AND (c.relkind = 'p' OR (c.relkind = 'r' AND NOT c.relhassubclass"                         \
    "    AND c.relreplident = 'f'))),"

// All columns of what is in use by its name, by kind (catalog.h); bytes of the name, the name.
#define COLUMNS_BY_KIND                                                                            \
    " CASE WHEN u.how LIKE '%n%' THEN (SELECT string_agg(concat_ws(' ', CASE"                      \
    "   WHEN a.atttypid = 1083 THEN 't'"                                                           \
    "   WHEN a.atttypid = ANY ('{" BUILTIN_DATETIME_TYPES "}'::oid[]) THEN 'd'"                    \
    "   WHEN safe.oid IS NOT NULL THEN CASE WHEN a.atttypid IN (SELECT oid FROM timely) THEN 'T'"  \
    "    ELSE 'o' END WHEN y.oid >= 16384 AND" SHOWS_ALIKE " THEN 's'"        \
    "   ELSE 'u' END, octet_length(a.attname::text), a.attname::text), '') FROM pg_attribute a"    \
    "   JOIN pg_type y ON y.oid = a.atttypid LEFT JOIN safe ON safe.oid = y.oid"                   \
    "  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END,"

// What a materialized view was made of runs when it is refreshed; reading it reads its own rows.
#define IS_VIEWS_RULE(rule)                                                                        \
    rule ".ev_type = '1' AND EXISTS (SELECT FROM pg_class v WHERE v.oid = " rule ".ev_class"       \
    " AND v.relkind = 'v')"

// how: n by its name, v a view or a policy reads it, t it is above or below another table.
// side effects: can a write to it touch anything else, by a trigger, or by what a function in a
// default, a check or a domain may do? Functions of PostgreSQL's own leave no row in pg_depend.
const char closure_relations_sql[] =
    "WITH RECURSIVE " SAFE_TYPES "," TIMELY_TYPES "," WRITELESS_FUNCTIONS "," QUIET_DOMAINS ","
    " closure(oid, how) AS ("
    "  SELECT c.oid, 'n' FROM pg_class c WHERE c.relname = ANY ($1::name[])"
    "   AND c.relpersistence <> 't'"
    "  UNION SELECT e.oid, e.how FROM closure CROSS JOIN LATERAL ("
    "   SELECT i.inhrelid AS oid, 't' AS how FROM pg_inherits i WHERE i.inhparent = closure.oid"
    "   UNION ALL SELECT i.inhparent, 't' FROM pg_inherits i WHERE i.inhrelid = closure.oid"
    "   UNION ALL SELECT m[1]::oid, 'v' FROM pg_rewrite w,"
    "    regexp_matches(w.ev_action::text, ':relid (\\d+)', 'g') m"
    "    WHERE w.ev_class = closure.oid AND " IS_VIEWS_RULE("w")
    "   UNION ALL SELECT m[1]::oid, 'v' FROM pg_policy p,"
    "    regexp_matches(p.polqual::text, ':relid (\\d+)', 'g') m"
    "    WHERE p.polrelid = closure.oid AND p.polcmd IN ('r', '*')) e),"
    " used AS (SELECT oid, string_agg(how, '') AS how, count(*) AS n"
    "  FROM (SELECT * FROM closure LIMIT " LIMIT_OF(CLOSURE_ROWS) ") x GROUP BY oid)"
    "SELECT n.nspname, c.relname, c.oid, c.relkind, c.relpersistence, c.relhassubclass,"
    " c.relrowsecurity, c.relhasrules,"
    " coalesce((SELECT amname = 'heap' FROM pg_am m WHERE m.oid = c.relam), false),"
    " (SELECT count(*) = 0 FROM pg_attribute a LEFT JOIN safe ON safe.oid = a.atttypid"
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND safe.oid IS NULL),"
    " (SELECT count(*) > 0 FROM pg_trigger t WHERE t.tgrelid = c.oid"
    "   AND NOT (t.tgisinternal AND t.tgfoid = ANY (" HARMLESS_TRIGGERS "))"
    "   AND t.tgfoid <> ALL (ARRAY(" TRIGGERS_FUNCTION ")))"
    " OR (SELECT count(*) > 0 FROM pg_attrdef f JOIN pg_depend d"
    "   ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid WHERE f.adrelid = c.oid"
    "   AND " DEPENDS_ON_NO_QUIET ")"
    " OR (SELECT count(*) > 0 FROM pg_constraint k JOIN pg_depend d"
    "   ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid WHERE k.conrelid = c.oid"
    "   AND k.contype = 'c' AND " DEPENDS_ON_NO_QUIET ")"
    " OR (SELECT count(*) > 0 FROM pg_attribute a CROSS JOIN LATERAL (SELECT FROM pg_type y"
    "    WHERE y.oid = a.atttypid AND " MAY_HAVE_CHECKS " OFFSET 0) y"
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "    AND a.atttypid NOT IN (SELECT q.oid FROM quiet q)),"
    " (SELECT count(*) > 0 FROM touched JOIN pg_type y ON y.oid = touched.oid"
    "   WHERE y.typrelid = c.oid),"
    KEY_COLUMNS
    " NOT c.relispartition AND NOT c.relhassubclass AND (SELECT count(*) > 0 FROM pg_trigger t"
    "   WHERE t.tgrelid = c.oid AND " TRIGGERS_COMPLETE ")"
    "   AND (SELECT count(*) = 0 FROM pg_inherits h WHERE h.inhrelid = c.oid),"
    COLUMNS_BY_KIND
    " (SELECT count(*) > 0 FROM pg_attribute a JOIN timely ON timely.oid = a.atttypid"
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),"
    " u.how, (SELECT sum(n) >= " LIMIT_OF(CLOSURE_ROWS) " FROM used)"
    // By index, one by one: a catalog may have many relations that are not in use.
    " FROM used u CROSS JOIN LATERAL (SELECT * FROM pg_class r WHERE r.oid = u.oid OFFSET 0) c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't'";

enum relation_column {
    RELATION_SCHEMA, RELATION_NAME, RELATION_OID, RELATION_KIND, RELATION_PERSISTENCE,
    RELATION_CHILDREN, RELATION_ROW_SECURITY, RELATION_RULES, RELATION_HEAP, RELATION_TYPES_SAFE,
    RELATION_SIDE_EFFECTS, RELATION_ROW_CAST, RELATION_KEY, RELATION_TOLD, RELATION_NOTIFIES,
    RELATION_COLUMN_KINDS, RELATION_TIMES, RELATION_HOW, RELATION_TRUNCATED,
    RELATION_COLUMNS,
};

// Does the stream report its own rows' changes? A partitioned table has none; new ones of a
// materialized view come with a change of its row in pg_class. Triggers also tell of tables that
// are not logged.
static bool relation_reported(const PGresult *r, int row, bool notified)
{
    bool told = result_is(r, row, RELATION_PERSISTENCE, 'p') ||
                (notified && result_is(r, row, RELATION_PERSISTENCE, 'u'));
    if (!told && !protection_is_off(PROTECTION_UNREPORTED))
        return false;
    return result_is(r, row, RELATION_KIND, 'p') ||
           ((result_is(r, row, RELATION_KIND, 'r') || result_is(r, row, RELATION_KIND, 'm')) &&
            result_flag(r, row, RELATION_HEAP));
}

// Is there nothing but its rows in a reply, and is each change of them seen? Without what is around
// it, and what its policies say.
static enum bypass relation_bypass(const PGresult *r, int row, bool notified)
{
    if (result_oid(r, row, RELATION_OID) < 16384)
        return BYPASS_CATALOG_RELATION;
    bool view = result_is(r, row, RELATION_KIND, 'v');
    if (!view && !relation_reported(r, row, notified))
        return BYPASS_RELATION_KIND;
    if (!view && notified && !result_flag(r, row, RELATION_NOTIFIES))
        return BYPASS_NOT_NOTIFIED;
    return result_flag(r, row, RELATION_ROW_CAST) ? BYPASS_CAST : BYPASS_NONE;
}

// A policy may call functions too, so row security counts as an effect.
static bool relation_writes_known(const PGresult *r, int row)
{
    return (result_is(r, row, RELATION_KIND, 'r') || result_is(r, row, RELATION_KIND, 'p')) &&
           !result_flag(r, row, RELATION_RULES) && !result_flag(r, row, RELATION_ROW_SECURITY) &&
           !result_flag(r, row, RELATION_SIDE_EFFECTS);
}

// The next of what KEY_COLUMNS gave; false: there is none. The text ends with a NUL, of libpq's.
static bool take_column(struct slice *columns, struct catalog_column *out)
{
    char *at = (char *)(uintptr_t)columns->at, *end = at + columns->len;
    *out = (struct catalog_column){.type = rowkey_type_of((uint32_t)strtoul(at, &at, 10))};
    out->modified = strtol(at, &at, 10) >= 0;
    out->oid = (uint32_t)strtoul(at, &at, 10);
    unsigned long bytes = strtoul(at, &at, 10);
    if (at >= end || bytes == 0 || bytes > (unsigned long)(end - at - 1))
        return false;
    out->name = slice_of(at + 1, bytes);
    *columns = slice_of(at + 1 + bytes, (size_t)(end - at) - 1 - bytes);
    return true;
}

static bool is_among(const struct catalog_key *key, struct slice name)
{
    for (uint8_t i = 0; i < key->count; i++)
        if (slice_eq(key->columns[i].name, name))
            return true;
    return false;
}

// As many as there is room for; last: those of types that are left out first.
static void add_told(struct catalog_key *key, struct slice told, bool last)
{
    struct catalog_column column;
    while (key->told < CATALOG_COLUMNS_MAX && take_column(&told, &column))
        if (column.type != ROWKEY_NONE && rowkey_comes_last(column.type) == last &&
            !is_among(key, column.name))
            key->columns[key->told++] = column;
}

// No key: too many columns, one of a type without a form, or none at all.
static struct catalog_key relation_key(struct slice columns, struct slice told)
{
    struct catalog_key key = {.full = told.len > 0};
    struct catalog_column column;
    while (take_column(&columns, &column)) {
        if (key.count == ROWKEY_COLUMNS_MAX || column.type == ROWKEY_NONE) {
            key.count = 0;
            break;
        }
        key.columns[key.count++] = column;
    }
    key.told = key.count;
    add_told(&key, told, false);
    add_told(&key, told, true);
    key.full &= key.told > 0;
    return key;
}

static void list_begin(struct buf *list)
{
    list->len = 0;
    buf_u8(list, '{');
}

static void list_add(struct buf *list, struct slice oid)
{
    if (list->len > 1)
        buf_u8(list, ',');
    buf_put(list, oid);
}

void closure_oids_fini(struct closure_oids *oids)
{
    buf_fini(&oids->all);
    buf_fini(&oids->others);
    buf_fini(&oids->members);
}

bool closure_add_relations(struct catalog_builder *builder, const PGresult *result, bool notified,
                           struct closure_oids *oids)
{
    if (PQnfields(result) != RELATION_COLUMNS)
        return false;
    int rows = PQntuples(result);
    list_begin(&oids->all);
    list_begin(&oids->others);
    list_begin(&oids->members);
    for (int row = 0; row < rows; row++) {
        const char *how = PQgetvalue(result, row, RELATION_HOW);
        bool named = strchr(how, 'n') != NULL;
        struct slice oid = result_value(result, row, RELATION_OID);
        struct catalog_relation relation = {
            .schema = result_value(result, row, RELATION_SCHEMA),
            .name = result_value(result, row, RELATION_NAME),
            .oid = result_oid(result, row, RELATION_OID),
            .bypass = relation_bypass(result, row, notified),
            .writes_known = relation_writes_known(result, row),
            .key = relation_key(result_value(result, row, RELATION_KEY),
                                result_value(result, row, RELATION_TOLD)),
            .by_oid = !named,
            .columns = result_value(result, row, RELATION_COLUMN_KINDS),
            .odd_columns = !result_flag(result, row, RELATION_TYPES_SAFE),
            .has_times = result_flag(result, row, RELATION_TIMES),
            .unreported = relation_reported(result, row, notified) ? BYPASS_NONE
                                                                   : BYPASS_RELATION_KIND,
            .is_view = result_is(result, row, RELATION_KIND, 'v'),
            .is_partitioned = result_is(result, row, RELATION_KIND, 'p'),
            .is_materialized = result_is(result, row, RELATION_KIND, 'm'),
            .stands_for_others = result_is(result, row, RELATION_KIND, 'v') ||
                                 result_is(result, row, RELATION_KIND, 'p') ||
                                 result_flag(result, row, RELATION_CHILDREN),
        };
        catalog_builder_relation(builder, &relation);
        list_add(&oids->all, oid);
        if (!named)
            list_add(strchr(how, 'v') != NULL ? &oids->others : &oids->members, oid);
    }
    buf_cstr(&oids->all, "}");
    buf_cstr(&oids->others, "}");
    buf_cstr(&oids->members, "}");
    if (rows > CLOSURE_RELATIONS_MAX || (rows > 0 && result_is(result, 0, RELATION_TRUNCATED, 't')))
        lineage_truncated(catalog_builder_lineage(builder));
    return true;
}

// ---- What is between them, and what runs --------------------------------------------------------

// The kinds of nodes that a tree may have, by the names that releases 13 to 18 print.
// Whatever else there is (a lock, a sample, XML, a domain's checks, the date of today) is refused.
#define NODES                                                                                      \
    "'{QUERY,RTE,RANGETBLENTRY,RTEPERMISSIONINFO,FROMEXPR,JOINEXPR,RANGETBLREF,"                   \
    "RANGETBLFUNCTION,TARGETENTRY,VAR,CONST,PARAM,OPEXPR,FUNCEXPR,BOOLEXPR,NULLTEST,"              \
    "BOOLEANTEST,CASE,CASEEXPR,WHEN,CASEWHEN,CASETESTEXPR,COALESCE,COALESCEEXPR,"                  \
    "MINMAX,MINMAXEXPR,ARRAY,ARRAYEXPR,ROW,ROWEXPR,RELABELTYPE,COERCEVIAIO,"                       \
    "ARRAYCOERCEEXPR,SUBLINK,AGGREF,WINDOWFUNC,WINDOWCLAUSE,SORTGROUPCLAUSE,"                      \
    "GROUPINGSET,GROUPINGFUNC,SETOPERATIONSTMT,COMMONTABLEEXPR,CTESEARCHCLAUSE,"                   \
    "CTECYCLECLAUSE,SCALARARRAYOPEXPR,DISTINCTEXPR,NULLIFEXPR,COLLATE,COLLATEEXPR,"                \
    "NAMEDARGEXPR,ALIAS,SUBSCRIPTINGREF,FIELDSELECT,SQLVALUEFUNCTION}'::text[]"
// Of SQLVALUEFUNCTION: the roles and the database, which are in the key (SVFOP_CURRENT_ROLE to
// SVFOP_CURRENT_CATALOG); not the time, nor the schema.
#define OTHER_VALUES "\\{SQLVALUEFUNCTION :op (?!(?:9|10|11|12|13) )"
// current_setting(text) and current_setting(text, boolean), which are not among the functions; and
// where the name is a constant, that.
#define SETTING_CALLS ":funcid (?:2077|3294) "
#define SETTING_NAMES                                                                              \
    SETTING_CALLS "[^{}]*:args \\(\\{CONST :consttype 25 [^{}]*:constisnull false "            \
    "[^{}]*:constvalue \\d+ \\[ ([-\\d ]+)\\]\\}"
// Types that read 'now' in a text.
#define DATE_TYPES                                                                                 \
    "1082|1083|1114|1184|1186|1266|3908|3910|3912|1182|1183|1115|1185|1187|1270|3909|3911|3913"

// A column that is one of a relation; and a view that is nothing but rows of what it reads, perhaps
// joined and not all of them, and that relation in one place: no part of it is a query itself, and
// nothing is gathered, counted or cut off.
#define SHOWN                                                                                      \
    "'\\{TARGETENTRY :expr \\{VAR :varno \\d+ :varattno (\\d+) [^{}]*\\} :resno (\\d+) :resname"   \
    " \\S+ :ressortgroupref \\d+ :resorigtbl (\\d+) :resorigcol (\\d+) :resjunk false\\}'"
#define SHOWS_ROWS                                                                                 \
    "(SELECT count(*) = 1 FROM regexp_matches(t, '\\{QUERY ', 'g'))"                               \
    " AND (SELECT count(*) = 1 FROM regexp_matches(t, ':rtekind 0 :relid ' || m[3] || ' ', 'g'))"  \
    " AND (SELECT count(*) = 13 FROM unnest('{hasAggs false,hasWindowFuncs false,"                 \
    "hasTargetSRFs false,hasSubLinks false,cteList <>,groupClause <>,groupingSets <>,"             \
    "havingQual <>,windowClause <>,distinctClause <>,limitOffset <>,limitCount <>,"                \
    "setOperations <>}'::text[]) part WHERE strpos(t, ':' || part || ' ') > 0)"

// (kind, oid, item, mark), where an oid is a view's or, with capital letters, that of a table whose
// row security is in force, for what its policies ask when it is read:
//   i  parent, child          u  view or table with policies, relation that these read
//   f  function by name, its volatility or u for a user's      o  operator likewise
//   x  kind of node that is not in the list     t  type that is not safe
//   d  a text read as a date   s  a system column
//   c  setting that is asked for by a constant, the bytes of its name    n  ... by another name
//   g, h  function, operator of policies for what writes or locks, or that are not in force
//   k  view, relation, how long its column's name is, and this with the relation's behind it: the
//      view shows rows of this relation, perhaps joined to others, and the one column is the other
// In a tree names have their braces, spaces and the like escaped, so none looks like a field.
const char closure_parts_sql[] =
    "WITH RECURSIVE " SAFE_TYPES ","
    " tree AS MATERIALIZED (SELECT ev_class AS oid, '' AS who, ev_action::text AS t FROM pg_rewrite"
    "   WHERE ev_class = ANY ($1::oid[]) AND " IS_VIEWS_RULE("pg_rewrite")
    "  UNION ALL SELECT polrelid, CASE WHEN polcmd IN ('r', '*') AND c.relrowsecurity THEN 'P'"
    "    ELSE 'W' END, polqual::text FROM pg_policy JOIN pg_class c ON c.oid = polrelid"
    "   WHERE polrelid = ANY ($1::oid[]) AND polqual IS NOT NULL"
    "  UNION ALL SELECT polrelid, 'W', polwithcheck::text FROM pg_policy"
    "   WHERE polrelid = ANY ($1::oid[]) AND polwithcheck IS NOT NULL),"
    " calls AS (SELECT DISTINCT oid, who, m[1]::oid AS called"
    "  FROM tree, regexp_matches(t, ':(?:funcid|aggfnoid|winfnoid) (\\d+)', 'g') m),"
    " uses AS (SELECT DISTINCT oid, who, m[1]::oid AS op"
    "  FROM tree, regexp_matches(t, ':(?:opno|eqop|sortop) (\\d+)', 'g') m)"
    "SELECT 'i', inhparent, inhrelid::text, '' FROM pg_inherits WHERE inhparent = ANY ($1::oid[])"
    " UNION ALL SELECT DISTINCT 'u', oid, m[1], ''"
    "  FROM tree, regexp_matches(t, ':relid (\\d+)', 'g') m"
    "  WHERE who <> 'W' AND m[1]::oid NOT IN (0, oid)"
    " UNION ALL SELECT CASE who WHEN 'P' THEN 'F' WHEN 'W' THEN 'g' ELSE 'f' END, c.oid,"
    "  p.proname::text,"
    "  CASE WHEN p.oid >= 16384 THEN 'u' ELSE p.provolatile::text END"
    "  FROM calls c JOIN pg_proc p ON p.oid = c.called WHERE p.oid NOT IN (2077, 3294)"
    " UNION ALL SELECT CASE who WHEN 'P' THEN 'O' WHEN 'W' THEN 'h' ELSE 'o' END, u.oid,"
    "  o.oprname::text,"
    "  CASE WHEN o.oid >= 16384 THEN 'u' ELSE '' END"
    "  FROM uses u JOIN pg_operator o ON o.oid = u.op"
    " UNION ALL SELECT DISTINCT CASE who WHEN 'P' THEN 'X' ELSE 'x' END, oid, m[1], ''"
    "  FROM tree, regexp_matches(t, '(?<!\\\\)\\{([A-Z_]+)', 'g') m"
    "  WHERE who <> 'W' AND m[1] <> ALL (" NODES ")"
    " UNION ALL SELECT 'k', v.attrelid,"
    "  concat_ws(' ', m[3], octet_length(v.attname::text), v.attname::text || b.attname::text), ''"
    "  FROM tree, regexp_matches(t, " SHOWN ", 'g') m"
    "   JOIN pg_attribute b ON b.attrelid = m[3]::oid AND b.attnum = m[4]::int"
    "   JOIN pg_attribute v ON v.attnum = m[2]::int"
    "  WHERE who = '' AND v.attrelid = tree.oid AND m[1] = m[4] AND " SHOWS_ROWS
    " UNION ALL SELECT CASE who WHEN 'P' THEN 'X' ELSE 'x' END, oid, 'SQLVALUEFUNCTION', ''"
    "  FROM tree WHERE who <> 'W' AND t ~ '" OTHER_VALUES "'"
    " UNION ALL SELECT DISTINCT CASE who WHEN 'P' THEN 'T' ELSE 't' END, oid, m[1], ''"
    "  FROM tree, regexp_matches(t, ':\\w*[tT]ype(?:id)? (\\d+)', 'g') m"
    "  WHERE who <> 'W' AND m[1]::oid >= 16 AND m[1]::oid NOT IN (705, 2249)"
    "  AND NOT EXISTS (SELECT FROM safe WHERE safe.oid = m[1]::oid)"
    " UNION ALL SELECT CASE who WHEN 'P' THEN 'D' ELSE 'd' END, oid, '', ''"
    "  FROM tree WHERE who <> 'W' AND t ~ '\\{COERCEVIAIO '"
    "  AND t ~ ':resulttype (" DATE_TYPES ") '"
    " UNION ALL SELECT CASE who WHEN 'P' THEN 'S' ELSE 's' END, oid, '', ''"
    "  FROM tree WHERE who <> 'W' AND t ~ ':varattno -'"
    " UNION ALL SELECT DISTINCT CASE who WHEN 'P' THEN 'C' ELSE 'c' END, oid, m[1], ''"
    "  FROM tree, regexp_matches(t, '" SETTING_NAMES "', 'g') m WHERE who <> 'W'"
    " UNION ALL SELECT CASE who WHEN 'P' THEN 'N' ELSE 'n' END, oid, '', ''"
    "  FROM tree WHERE who <> 'W' AND t ~ '" SETTING_CALLS "'"
    "  AND (SELECT count(*) FROM regexp_matches(t, '" SETTING_CALLS "', 'g'))"
    "   <> (SELECT count(*) FROM regexp_matches(t, '" SETTING_NAMES "', 'g'))";

enum part_column { PART_KIND, PART_OID, PART_ITEM, PART_MARK, PART_COLUMNS };
enum { SETTING_NAME_MAX = 64 };

// What stands against caching: by itself in a view; in a policy by a reason that no rule puts
// aside, for what the reply depends on may be who asks.
static void deny(struct lineage *l, uint32_t oid, bool policy, enum bypass reason)
{
    if (policy)
        reason = reason == BYPASS_UNKNOWN_FUNCTION || reason == BYPASS_VOLATILE_FUNCTION ||
                         reason == BYPASS_OPERATOR
                     ? BYPASS_POLICY_FUNCTION
                     : BYPASS_ROW_SECURITY;
    lineage_deny(l, oid, reason);
}

static void add_function(struct lineage *l, uint32_t oid, bool policy, struct slice name, char mark)
{
    if (mark == 'u') {
        deny(l, oid, policy, BYPASS_UNKNOWN_FUNCTION);
        lineage_runs_code(l, oid);
        return;
    }
    if (!builtin_function_cacheable_as(name, mark))
        deny(l, oid, policy, BYPASS_VOLATILE_FUNCTION);
    if (builtin_function_deed(name) == BUILTIN_ANYTHING)
        lineage_runs_code(l, oid);
}

static void add_operator(struct lineage *l, uint32_t oid, bool policy, struct slice name, char mark)
{
    if (mark == 'u')
        lineage_runs_code(l, oid);
    if (mark == 'u' || !builtin_operator_cacheable(name))
        deny(l, oid, policy, BYPASS_OPERATOR);
}

static bool add_shown(struct lineage *l, uint32_t view, struct slice item)
{
    char *at = (char *)(uintptr_t)item.at, *end = at + item.len;
    uint32_t relation = (uint32_t)strtoul(at, &at, 10);
    unsigned long bytes = strtoul(at, &at, 10);
    if (at >= end || bytes == 0 || bytes >= (unsigned long)(end - at - 1))
        return false;
    lineage_shows(l, view, slice_of(at + 1, bytes), relation,
                  slice_of(at + 1 + bytes, (size_t)(end - at) - 1 - bytes));
    return true;
}

// Kinds of nodes that are not cached, but run nothing of a user's either.
static bool node_is_harmless(struct slice node)
{
    static const char *const harmless[] = {"SQLVALUEFUNCTION", "NEXTVALUEEXPR", "XMLEXPR",
                                           "ROWMARKCLAUSE"};
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (slice_is(node, harmless[i]))
            return true;
    return false;
}

static void deny_setting(struct lineage *l, uint32_t oid, bool policy)
{
    lineage_deny(l, oid, policy ? BYPASS_POLICY_SETTING : BYPASS_VOLATILE_FUNCTION);
}

// The name in the bytes of a text as a tree prints them, signed decimals: four bytes of length
// (varatt.h: in the upper 30 bits, or where the machine is big-endian in the lower ones), then the
// text. Only names that nothing but sessions' words give a value, as app.tenant; empty: another.
static struct slice setting_name(const char *decimals, char *name, size_t max)
{
    uint8_t length[4];
    size_t n = 0;
    bool dot = false;
    for (char *end; *decimals != '\0'; decimals = end, n++) {
        uint8_t byte = (uint8_t)strtol(decimals, &end, 10);
        while (*end == ' ')
            end++;
        if (end == decimals || n == max + 4)
            return slice_of(NULL, 0);
        if (n < 4) {
            length[n] = byte;
            continue;
        }
        byte = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 'a' - 'A') : byte;
        bool letter = (byte >= 'a' && byte <= 'z') || byte == '_';
        bool digit = (byte >= '0' && byte <= '9') || byte == '$';
        bool begins = n == 4 || name[n - 5] == '.';
        if (!letter && (begins || !(digit || byte == '.')))
            return slice_of(NULL, 0);
        dot |= byte == '.';
        name[n - 4] = (char)byte;
    }
    if (n <= 4 || !dot || name[n - 5] == '.')
        return slice_of(NULL, 0);
    uint32_t little = (uint32_t)length[0] | (uint32_t)length[1] << 8 | (uint32_t)length[2] << 16 |
                      (uint32_t)length[3] << 24;
    uint32_t big = (uint32_t)length[3] | (uint32_t)length[2] << 8 | (uint32_t)length[1] << 16 |
                   (uint32_t)length[0] << 24;
    return little == n << 2 || big == n ? slice_of(name, n - 4) : slice_of(NULL, 0);
}

static void add_setting(struct catalog_builder *builder, uint32_t oid, bool policy,
                        const char *decimals)
{
    char name[SETTING_NAME_MAX];
    struct slice found = setting_name(decimals, name, sizeof(name));
    if (found.len == 0 || !catalog_builder_setting(builder, found))
        deny_setting(catalog_builder_lineage(builder), oid, policy);
    else
        lineage_reads_settings(catalog_builder_lineage(builder), oid);
}

static bool add_part(struct catalog_builder *builder, const PGresult *r, int row)
{
    struct lineage *l = catalog_builder_lineage(builder);
    uint32_t oid = result_oid(r, row, PART_OID);
    struct slice item = result_value(r, row, PART_ITEM);
    char mark = PQgetvalue(r, row, PART_MARK)[0];
    int kind = PQgetvalue(r, row, PART_KIND)[0];
    bool policy = kind >= 'A' && kind <= 'Z';
    switch (tolower(kind)) {
    case 'i':
        lineage_child(l, oid, result_oid(r, row, PART_ITEM));
        return true;
    case 'u':
        lineage_uses(l, oid, result_oid(r, row, PART_ITEM));
        return true;
    case 'k':
        return add_shown(l, oid, item);
    case 'f':
        add_function(l, oid, policy, item, mark);
        return true;
    case 'o':
        add_operator(l, oid, policy, item, mark);
        return true;
    case 'g':
        if (mark == 'u' || builtin_function_deed(item) == BUILTIN_ANYTHING)
            lineage_runs_code(l, oid);
        return true;
    case 'h':
        if (mark == 'u')
            lineage_runs_code(l, oid);
        return true;
    case 'x':
        deny(l, oid, policy, BYPASS_UNSUPPORTED);
        if (!node_is_harmless(item))
            lineage_runs_code(l, oid);
        return true;
    case 't':
        deny(l, oid, policy, BYPASS_COLUMN_TYPE);
        return true;
    case 'd':
        deny(l, oid, policy, BYPASS_CAST);
        return true;
    case 's':
        deny(l, oid, policy, BYPASS_UNSUPPORTED);
        return true;
    case 'c':
        add_setting(builder, oid, policy, PQgetvalue(r, row, PART_ITEM));
        return true;
    case 'n':
        deny_setting(l, oid, policy);
        return true;
    }
    return false;
}

bool closure_add_parts(struct catalog_builder *builder, const PGresult *result)
{
    if (PQnfields(result) != PART_COLUMNS)
        return false;
    for (int row = 0; row < PQntuples(result); row++)
        if (!add_part(builder, result, row))
            return false;
    return true;
}
