// SPDX-License-Identifier: Apache-2.0
// Parts of queries of the catalogs: which types are safe to compute with or to show, and which code
// of users may run unseen. Internal to proxy/control (closure.c, schema.c).
#pragma once
#include "proxy/sql/builtins.h"

// ---- Types --------------------------------------------------------------------------------------

#define LITERAL_OF(...) "'{" #__VA_ARGS__ "}'"
#define ARRAY_OF(...) LITERAL_OF(__VA_ARGS__) "::oid[]"
#define OWN_SAFE_TYPES ARRAY_OF(BUILTIN_SAFE_TYPES)

// And users' enums (their labels are watched), domains and arrays of safe ones, unless somebody
// made a cast or a way to compare for them: those would run unseen. A row type is not safe.
// Timely: time, timetz, and what is made of them.
#define SAFE_TYPES                                                                                 \
    " touched AS MATERIALIZED (SELECT castsource AS oid FROM pg_cast WHERE oid >= 16384"           \
    "  UNION SELECT casttarget FROM pg_cast WHERE oid >= 16384"                                    \
    "  UNION SELECT opcintype FROM pg_opclass WHERE oid >= 16384),"                                \
    " made AS MATERIALIZED (SELECT t.oid, t.typtype,"                                              \
    "  CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END AS of_type FROM pg_type t"  \
    "  WHERE t.oid >= 16384 AND (t.typtype IN ('e', 'd') OR (t.typtype = 'b'"                      \
    "   AND t.typcategory = 'A' AND t.typelem <> 0 AND t.typoutput = 'array_out'::regproc))"       \
    "  AND NOT EXISTS (SELECT FROM touched WHERE touched.oid = t.oid)),"                           \
    " safe(oid) AS (SELECT unnest(" OWN_SAFE_TYPES ") UNION ALL"                                   \
    "  SELECT made.oid FROM made WHERE made.typtype = 'e' UNION"                                   \
    "  SELECT made.oid FROM safe JOIN made ON made.of_type = safe.oid AND made.typtype <> 'e')"
#define TIMELY_TYPES                                                                               \
    " timely(oid) AS (SELECT unnest('{1083,1183,1266,1270}'::oid[]) UNION"                         \
    "  SELECT made.oid FROM timely JOIN made ON made.of_type = timely.oid)"

// Reviewed: what their values look like depends on no setting of theirs, as a label does not say.
#define REVIEWED_EXTENSIONS "'{citext,cube,hstore,ip4r,isn,ltree,postgis,seg,vector}'::name[]"
// The binary form's is often called stable for client_encoding's sake alone (textsend).
#define SHOWS_ALIKE                                                                                \
    " (SELECT count(*) = 1 + (y.typsend <> 0)::int FROM pg_proc p JOIN pg_depend d"                \
    "   ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'"                \
    "   JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = ANY (" REVIEWED_EXTENSIONS ")"   \
    "   WHERE p.prolang IN (12, 13) AND ((p.oid = y.typoutput AND p.provolatile = 'i')"            \
    "    OR (p.oid = y.typsend AND p.provolatile <> 'v')))"

// ---- Code ---------------------------------------------------------------------------------------

#define USERS_BASE_TYPE(side)                                                                      \
    "EXISTS (SELECT FROM pg_type y WHERE y.oid = o." side " AND y.oid >= 16384"                    \
    "   AND y.typtype IN ('b', 'r', 'm') AND y.typcategory <> 'A')"

// Nobody made a cast or a way to compare for the type.
#define UNTOUCHED(type)                                                                            \
    " NOT EXISTS (SELECT FROM pg_cast k WHERE " type " IN (k.castsource, k.casttarget))"           \
    " AND NOT EXISTS (SELECT FROM pg_opclass b WHERE b.opcintype = " type ")"

// It is an extension's own.
#define OWN(class, object)                                                                         \
    "EXISTS (SELECT FROM pg_depend d WHERE d.classid = '" class "'::regclass"                      \
    "   AND d.objid = " object " AND d.deptype = 'e')"

// Reviewed: what is immutable there depends on no setting, as a label does not say.
#define PURE_EXTENSIONS                                                                            \
    "'{btree_gin,btree_gist,citext,cube,earthdistance,fuzzystrmatch,hstore,intarray,ltree,"        \
    "pg_trgm,seg,vector}'::name[]"
#define OWN_OF_PURE(class, object)                                                                 \
    "EXISTS (SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid"                    \
    "   AND x.extname = ANY (" PURE_EXTENSIONS ") WHERE d.classid = '" class "'::regclass"         \
    "   AND d.objid = " object " AND d.deptype = 'e'"                                              \
    "   AND d.refclassid = 'pg_extension'::regclass)"

// A function (u) in SQL of one expression, as citext's replace() is: it calls nothing but a few of
// PostgreSQL's own, with their schema, and operators that nobody else has for these types.
#define OF_PLAIN_SQL                                                                               \
    "(u.prolang = 14 AND " OWN_OF_PURE("pg_proc", "u.oid")                                         \
    " AND strpos(u.prosrc, 'pg_catalog.') > 0 AND strpos(u.prosrc, chr(92) || chr(39)) = 0"        \
    " AND regexp_replace(u.prosrc, '[[:<:]](SELECT|CASE|WHEN|THEN|ELSE|END)[[:>:]]|[$][1-9]|"      \
    "E?''[^'']*''|pg_catalog[.](text|lower|upper|strpos|translate|regexp_[a-z_]+)[[:>:]]',"        \
    "  '', 'g') ~ '^[][(),:;=|0[:space:]]*$'"                                                      \
    " AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oid >= 16384"                              \
    "  AND o.oprname IN ('=', '||') AND o.oprleft < 16384 AND o.oprright < 16384))"

// A function (u) of an extension's that takes its own type: all of it is immutable and in C.
#define OWN_OF_OWN_TYPE                                                                            \
    "(u.provolatile = 'i' AND (u.prolang IN (12, 13) OR " OF_PLAIN_SQL ")"                         \
    " AND u.prokind IN ('f', 'a')"                                                                 \
    " AND u.pronargdefaults = 0"                                                                   \
    " AND EXISTS (SELECT FROM unnest(u.proargtypes) y(oid) WHERE y.oid >= 16384)"                  \
    " AND NOT EXISTS (SELECT FROM pg_type y WHERE (y.oid = ANY (u.proargtypes)"                    \
    "    OR y.oid = u.prorettype) AND NOT CASE WHEN y.oid < 16384 THEN y.typtype <> 'p'"           \
    "    ELSE y.typtype = 'b' AND y.typcategory <> 'A' AND " OWN("pg_type", "y.oid")               \
    "     AND NOT EXISTS (SELECT FROM pg_proc i WHERE i.oid IN (y.typinput, y.typoutput)"          \
    "      AND NOT (i.provolatile = 'i' AND i.prolang IN (12, 13))) END)"                          \
    " AND NOT EXISTS (SELECT FROM pg_aggregate a JOIN pg_proc t ON t.oid IN (a.aggtransfn,"        \
    "    a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,"             \
    "    a.aggminvtransfn, a.aggmfinalfn) WHERE a.aggfnoid = u.oid"                                \
    "   AND NOT (t.provolatile = 'i' AND t.prolang IN (12, 13)))"                                  \
    " AND " OWN("pg_proc", "u.oid") ")"

// Reviewed: their functions in C write no relation and run nothing of a user's, but where they are
// given a type that does (a row, an array of anything): those with such arguments are left out.
#define WRITELESS_EXTENSIONS                                                                       \
    "'{btree_gin,btree_gist,citext,cube,earthdistance,fuzzystrmatch,hstore,intarray,ltree,"        \
    "pgcrypto,pg_trgm,seg,unaccent,uuid-ossp,vector}'::name[]"
#define PLAIN_TYPE(type)                                                                           \
    "EXISTS (SELECT FROM pg_type y WHERE y.oid = " type " AND y.typtype = 'b')"
#define WRITELESS_FUNCTIONS                                                                        \
    " writeless(oid) AS MATERIALIZED (SELECT p.oid FROM pg_extension x JOIN pg_depend d"           \
    "   ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e'"     \
    "   AND d.classid = 'pg_proc'::regclass JOIN pg_proc p ON p.oid = d.objid"                     \
    "  WHERE x.extname = ANY (" WRITELESS_EXTENSIONS ") AND p.prolang IN (12, 13)"                 \
    "   AND p.prokind = 'f' AND p.pronargdefaults = 0 AND p.proname <> 'set_limit'"                \
    "   AND (p.prorettype = 2249 OR " PLAIN_TYPE("p.prorettype") ")"                               \
    "   AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) g(oid)"                                  \
    "    WHERE NOT " PLAIN_TYPE("g.oid") "))"
// A user's type (y) that is a domain, or may be made of one.
#define MAY_HAVE_CHECKS                                                                            \
    "y.oid >= 16384 AND (y.typtype IN ('d', 'c', 'r', 'm') OR EXISTS (SELECT FROM pg_type z"       \
    " WHERE z.oid = y.typelem AND z.typtype IN ('d', 'c', 'r', 'm')))"
// What a stored tree depends on (d) may write: a user's function or operator, but for these; and a
// cast to a domain, which may have no other trace (one by text to an array of it).
#define DEPENDS_ON_WRITER                                                                          \
    "((d.refclassid = 'pg_proc'::regclass AND d.refobjid NOT IN (SELECT w.oid FROM writeless w))"  \
    " OR (d.refclassid = 'pg_operator'::regclass AND NOT EXISTS (SELECT FROM pg_operator o"        \
    "  JOIN writeless w ON w.oid = o.oprcode WHERE o.oid = d.refobjid))"                           \
    " OR (d.refclassid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type y"                    \
    "  WHERE y.oid = d.refobjid AND " MAY_HAVE_CHECKS ")))"

// Of expressions that cast nothing but what has the same bytes.
#define PLAIN_NODES                                                                                \
    "BOOLEXPR|BOOLEANTEST|COERCETODOMAINVALUE|CONST|FUNCEXPR|NULLTEST|OPEXPR|RELABELTYPE|"         \
    "SCALARARRAYOPEXPR"
// Domains of plain types that run nothing which may write: checks call such, and of PostgreSQL's
// own functions immutable ones.
#define QUIET_DOMAINS                                                                              \
    " calm AS MATERIALIZED (SELECT t.oid, t.typbasetype FROM pg_type t"                            \
    "  WHERE t.typtype = 'd' AND t.oid >= 16384 AND t.typdefaultbin IS NULL"                       \
    "   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid"                      \
    "    AND (k.conbin::text ~ '[{](?!(" PLAIN_NODES ") )' OR EXISTS (SELECT FROM pg_depend d"     \
    "      WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid"                        \
    "      AND NOT (d.refclassid = 'pg_type'::regclass AND d.refobjid = t.oid)"                    \
    "      AND " DEPENDS_ON_WRITER ")"                                                             \
    "     OR EXISTS (SELECT FROM regexp_matches(k.conbin::text, ':funcid ([0-9]+)', 'g') m"        \
    "      JOIN pg_proc p ON p.oid = m[1]::oid WHERE p.oid < 16384 AND p.provolatile <> 'i')))),"  \
    " quiet(oid) AS (SELECT c.oid FROM calm c JOIN pg_type b ON b.oid = c.typbasetype"             \
    "  WHERE b.oid < 16384 OR b.typtype = 'e' OR (b.typtype = 'b' AND b.typcategory <> 'A')"       \
    "  UNION SELECT c.oid FROM quiet q JOIN calm c ON c.typbasetype = q.oid)"

// Types in whose values there are domains that are not quiet: an untyped literal beside a column of
// one is read as such a value. (Beside one of a domain it is read as what that is made of.)
#define CHECKED_TYPES                                                                              \
    " checked(oid) AS (SELECT t.oid FROM pg_type t WHERE t.oid >= 16384 AND t.typtype = 'd'"       \
    "   AND t.oid NOT IN (SELECT q.oid FROM quiet q)"                                              \
    "  UNION SELECT CASE WHEN m.classid = 'pg_type'::regclass THEN m.objid ELSE"                   \
    "    (SELECT c.reltype FROM pg_class c WHERE c.oid = m.objid) END"                             \
    "   FROM checked k CROSS JOIN LATERAL (SELECT d.classid, d.objid FROM pg_depend d"             \
    "    WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = k.oid"                          \
    "     AND d.classid IN ('pg_type'::regclass, 'pg_class'::regclass) OFFSET 0) m)"
// ... where domains have been looked at.
#define DEPENDS_ON_NO_QUIET                                                                        \
    DEPENDS_ON_WRITER " AND NOT (d.refclassid = 'pg_type'::regclass"                               \
    "   AND d.refobjid IN (SELECT q.oid FROM quiet q))"
// Of a relation (c).
#define HAS_CHECKED_COLUMN                                                                         \
    " (SELECT count(*) > 0 FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"               \
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND y.oid >= 16384"       \
    "   AND a.atttypid IN (SELECT k.oid FROM checked k) AND (y.typtype <> 'd'"                     \
    "    OR (y.typcategory IN ('A', 'C', 'R')"                                                     \
    "     AND y.typbasetype IN (SELECT k.oid FROM checked k))))"
// No value is cast unseen by what may write.
#define CASTS_WRITE_NOTHING                                                                        \
    "NOT EXISTS (SELECT FROM pg_cast k JOIN pg_proc p ON p.oid = k.castfunc WHERE k.oid >= 16384"  \
    "   AND NOT (p.provolatile = 'i' AND ((p.prolang IN (12, 13) AND " OWN("pg_proc", "p.oid") ")" \
    "    OR " BUILTIN_CAST_OF_A_RANGE("k", "p") ")))"

// A cast (k) that may be made unseen and makes nothing uncertain: an extension's own, immutable and
// in C, or what reads an enum's label.
#define DULL                                                                                       \
    "CASE k.castmethod WHEN 'b' THEN " OWN("pg_cast", "k.oid")                                     \
    " WHEN 'f' THEN EXISTS (SELECT FROM pg_proc p WHERE p.oid = k.castfunc AND p.provolatile = 'i'"\
    "   AND p.prolang IN (12, 13) AND " OWN("pg_proc", "p.oid") ")"                                \
    " ELSE EXISTS (SELECT FROM pg_type y JOIN pg_proc p ON p.oid = y.typinput"                     \
    "   WHERE y.oid = k.casttarget AND (y.typtype = 'e' OR (p.provolatile = 'i'"                   \
    "    AND p.prolang IN (12, 13) AND " OWN("pg_proc", "p.oid") "))) END"

// What a materialized view was made of runs when it is refreshed; reading it reads its own rows.
#define IS_VIEWS_RULE(rule)                                                                        \
    rule ".ev_type = '1' AND EXISTS (SELECT FROM pg_class v WHERE v.oid = " rule ".ev_class"       \
    " AND v.relkind = 'v')"
