// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/closure.h"

#include <stdlib.h>
#include <string.h>

#include "base/protection.h"
#include "cache/lineage.h"
#include "proxy/control/result.h"
#include "proxy/control/triggers.h"
#include "proxy/control/types_sql.h"
#include "proxy/sql/builtins.h"

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

// how: n by its name, v a view or a policy reads it, t it is above or below another table.
// rules: of a view, others than the one that makes it one.
// side effects: can a write to it touch anything else by what a function in a default, a check or a
// domain may do? checked: can reading it? Functions of PostgreSQL's own leave no row in pg_depend.
// (Triggers: behind.h.)
const char closure_relations_sql[] =
    "WITH RECURSIVE " SAFE_TYPES "," TIMELY_TYPES "," WRITELESS_FUNCTIONS "," QUIET_DOMAINS ","
    CHECKED_TYPES ","
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
    " c.relrowsecurity, c.relhastriggers,"
    " CASE WHEN c.relkind = 'v' THEN (SELECT count(*) > 0 FROM pg_rewrite w"
    "   WHERE w.ev_class = c.oid AND w.ev_type <> '1') ELSE c.relhasrules END,"
    " coalesce((SELECT amname = 'heap' FROM pg_am m WHERE m.oid = c.relam), false),"
    " (SELECT count(*) = 0 FROM pg_attribute a LEFT JOIN safe ON safe.oid = a.atttypid"
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND safe.oid IS NULL),"
    " (SELECT count(*) > 0 FROM pg_attrdef f JOIN pg_depend d"
    "   ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid WHERE f.adrelid = c.oid"
    "   AND " DEPENDS_ON_NO_QUIET ")"
    " OR (SELECT count(*) > 0 FROM pg_constraint k JOIN pg_depend d"
    "   ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid WHERE k.conrelid = c.oid"
    "   AND k.contype = 'c' AND " DEPENDS_ON_NO_QUIET ")"
    " OR (SELECT count(*) > 0 FROM pg_attribute a CROSS JOIN LATERAL (SELECT FROM pg_type y"
    "    WHERE y.oid = a.atttypid AND " MAY_HAVE_CHECKS " OFFSET 0) y"
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "    AND a.atttypid NOT IN (SELECT q.oid FROM quiet q))"
    "," HAS_CHECKED_COLUMN ","
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
    RELATION_CHILDREN, RELATION_ROW_SECURITY, RELATION_TRIGGERS, RELATION_RULES, RELATION_HEAP,
    RELATION_TYPES_SAFE,
    RELATION_SIDE_EFFECTS, RELATION_CHECKED, RELATION_ROW_CAST, RELATION_KEY, RELATION_TOLD,
    RELATION_NOTIFIES,
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
    if (result_flag(r, row, RELATION_CHECKED))
        return BYPASS_COLUMN_TYPE;
    return result_flag(r, row, RELATION_ROW_CAST) ? BYPASS_CAST : BYPASS_NONE;
}

// A policy may call functions too, so row security counts as an effect.
static bool relation_writes_known(const PGresult *r, int row)
{
    return (result_is(r, row, RELATION_KIND, 'r') || result_is(r, row, RELATION_KIND, 'p') ||
            result_is(r, row, RELATION_KIND, 'v')) &&
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
    buf_fini(&oids->triggered);
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
    list_begin(&oids->triggered);
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
        if (result_flag(result, row, RELATION_CHECKED))
            lineage_runs_code(catalog_builder_lineage(builder), relation.oid);
        list_add(&oids->all, oid);
        if (!named)
            list_add(strchr(how, 'v') != NULL ? &oids->others : &oids->members, oid);
        if (result_flag(result, row, RELATION_TRIGGERS))
            list_add(&oids->triggered, oid);
    }
    buf_cstr(&oids->all, "}");
    buf_cstr(&oids->others, "}");
    buf_cstr(&oids->members, "}");
    buf_cstr(&oids->triggered, "}");
    if (rows > CLOSURE_RELATIONS_MAX || (rows > 0 && result_is(result, 0, RELATION_TRUNCATED, 't')))
        lineage_truncated(catalog_builder_lineage(builder));
    return true;
}
