// SPDX-License-Identifier: Apache-2.0
// What is between the relations in use, and what runs when they are read: the trees of views and
// policies, searched by patterns.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cache/lineage.h"
#include "proxy/control/closure.h"
#include "proxy/control/result.h"
#include "proxy/control/types_sql.h"
#include "proxy/sql/builtins.h"

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
#define READ_ONCE(oid)                                                                             \
    "(length(t) - length(replace(t, ':rtekind 0 :relid ' || " oid " || ' ', ''))"                  \
    " = length(':rtekind 0 :relid ' || " oid " || ' '))"
#define IS_PLAIN                                                                                   \
    "strpos(substr(t, strpos(t, '{QUERY ') + 1), '{QUERY ') = 0"                                   \
    " AND (SELECT count(*) = 13 FROM unnest('{hasAggs false,hasWindowFuncs false,"                 \
    "hasTargetSRFs false,hasSubLinks false,cteList <>,groupClause <>,groupingSets <>,"             \
    "havingQual <>,windowClause <>,distinctClause <>,limitOffset <>,limitCount <>,"                \
    "setOperations <>}'::text[]) part WHERE strpos(t, ':' || part || ' ') > 0)"
// All that stands in FROM, by number; an equality of two columns that JOIN or WHERE asks for, alone
// or behind some parts of an AND; before it what stands to the right of JOIN, if one relation does.
#define RANGES "':rtekind (\\d+)(?: :relid (\\d+))?'"
#define SAME_FORM "(?:94|96|410|15|416|532|533|1862|1868|2972|98)" // integers, uuid, text
#define PART "\\{\\w+ [^{}]*(?:\\{[^{}]*\\}[^{}]*)*\\} "
#define COLUMN "\\{VAR :varno (\\d+) :varattno (\\d+) [^{}]*\\}"
#define AND_OF "\\{BOOLEXPR :boolop and :args \\("
#define EQUALITY                                                                                   \
    "'(?::rarg \\{RANGETBLREF :rtindex (\\d+)\\} :usingClause (?:<>|\\([^()]*\\))"                 \
    " (?::join_using_alias (?:<>|\\{ALIAS [^{}]*\\}) )?)?"                                         \
    ":quals ' || CASE parts WHEN 0 THEN '(?:" AND_OF ")?'"                                         \
    " ELSE '" AND_OF "(?:" PART "){' || parts::text || '}' END || '"                               \
    "\\{OPEXPR :opno " SAME_FORM " [^{}]*:args \\(" COLUMN " " COLUMN "\\)'"
// What stands to the right is joined by it or not at all; where all joins are inner ones, both are.
#define RESTRICTS "x.shown <> x.other AND (x.other = e[1] OR t !~ ':jointype [^0] ')"

// (kind, oid, item, mark), where an oid is a view's or, with capital letters, that of a table whose
// row security is in force, for what its policies ask when it is read:
//   i  parent, child          u  view or table with policies, relation that these read
//   f  function by name, its volatility or u for a user's      o  operator likewise
//   x  kind of node that is not in the list     t  type that is not safe
//   d  a text read as a date   s  a system column
//   c  setting that is asked for by a constant, the bytes of its name    n  ... by another name
//   g, h  function, operator of policies for what writes or locks, or that are not in force
//   k  view, relation, how long its column's name is, and this with the relation's behind it: the
//      view shows rows of it, perhaps joined, and the one column is the other, or joined by it
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
    "  FROM tree, regexp_matches(t, ':(?:opno|eqop|sortop) (\\d+)', 'g') m),"
    " plain AS MATERIALIZED (SELECT oid, t FROM tree WHERE who = '' AND " IS_PLAIN "),"
    " shown AS MATERIALIZED (SELECT oid, t, m FROM plain, regexp_matches(t, " SHOWN ", 'g') m"
    "  WHERE m[1] = m[4]),"
    // What is found by ~ alone is found ten times as fast.
    " equal AS MATERIALIZED (SELECT DISTINCT oid, e FROM plain"
    "   CROSS JOIN generate_series(0, CASE WHEN t ~ ':quals " AND_OF "' THEN 5 ELSE 0 END) AS parts"
    "   CROSS JOIN LATERAL regexp_matches(t, " EQUALITY ", 'g') e"
    "  WHERE t ~ ':rtekind 0 .*:rtekind 0 ' AND t ~ (" EQUALITY "))"
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
    "  FROM shown JOIN pg_attribute b ON b.attrelid = m[3]::oid AND b.attnum = m[4]::int"
    "   JOIN pg_attribute v ON v.attrelid = shown.oid AND v.attnum = m[2]::int"
    "  WHERE " READ_ONCE("m[3]")
    " UNION ALL SELECT DISTINCT 'k', v.attrelid,"
    "  concat_ws(' ', o.r[2], octet_length(v.attname::text), v.attname::text || b.attname::text),"
    "  ''"
    "  FROM shown JOIN equal ON equal.oid = shown.oid"
    "   CROSS JOIN LATERAL (VALUES (e[2], e[3], e[4], e[5]), (e[4], e[5], e[2], e[3]))"
    "    AS x(shown, shown_column, other, other_column)"
    "   JOIN LATERAL regexp_matches(t, " RANGES ", 'g') WITH ORDINALITY AS s(r, n)"
    "    ON s.n = x.shown::int AND s.r[2] = m[3] AND x.shown_column = m[4]"
    "   JOIN LATERAL regexp_matches(t, " RANGES ", 'g') WITH ORDINALITY AS o(r, n)"
    "    ON o.n = x.other::int AND o.r[1] = '0'"
    "   JOIN pg_attribute b ON b.attrelid = o.r[2]::oid AND b.attnum = x.other_column::int"
    "   JOIN pg_attribute v ON v.attrelid = shown.oid AND v.attnum = m[2]::int"
    "  WHERE " READ_ONCE("m[3]") " AND " READ_ONCE("o.r[2]") " AND " RESTRICTS
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
