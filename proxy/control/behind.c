// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/behind.h"

#include <stdlib.h>

#include "cache/lineage.h"
#include "proxy/control/result.h"
#include "proxy/control/triggers.h"
#include "proxy/control/types_sql.h"
#include "proxy/sql/captured.h"
#include "proxy/sql/computing.h"

// RI_FKey_check_ins, _check_upd, _restrict_del, _restrict_upd, _noaction_del, _noaction_upd, and
// unique_key_recheck: they look, and write nothing.
#define LOOKS_ONLY "'{1644,1645,1648,1649,1654,1655,1250}'::oid[]"

// suppress_redundant_updates_trigger, tsvector_update_trigger, tsvector_update_trigger_column; and
// those of reviewed extensions in C: they set a column of the row, or leave it away.
#define COMPUTES_IN_C                                                                              \
    "(p.oid IN (1291, 3752, 3753) OR (p.prolang = 13 AND p.prosrc IN ('moddatetime',"              \
    "  'insert_username') AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension x"                 \
    "   ON x.oid = d.refobjid AND x.extname = p.prosrc WHERE d.classid = 'pg_proc'::regclass"      \
    "   AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e')))"

#define SAYS_IN_PLPGSQL                                                                            \
    "(l.lanname = 'plpgsql' AND p.prorettype = 'trigger'::regtype AND length(p.prosrc) < 16384)"

// WHEN: of expressions that cast nothing, with PostgreSQL's own immutable functions and
// pg_trigger_depth().
#define WHEN_NODES PLAIN_NODES "|VAR|DISTINCTEXPR|NULLIFEXPR|COALESCE|COALESCEEXPR"
#define WHEN_IS_PLAIN                                                                              \
    "(t.tgqual IS NULL OR (t.tgqual::text !~ '[{](?!(" WHEN_NODES ") )'"                           \
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass"            \
    "  AND d.objid = t.oid AND NOT (d.refclassid = 'pg_proc'::regclass AND d.refobjid = t.tgfoid)" \
    "  AND " DEPENDS_ON_WRITER ")"                                                                 \
    " AND NOT EXISTS (SELECT FROM regexp_matches(t.tgqual::text, ':funcid ([0-9]+)', 'g') m"       \
    "  JOIN pg_proc f ON f.oid = m[1]::oid"                                                        \
    "  WHERE NOT (f.oid = 3163 OR (f.oid < 16384 AND f.provolatile = 'i')))))"

// Nobody gave a type of PostgreSQL's own another way to compare and hash its values.
#define COMPARES_AS_EVER                                                                           \
    "NOT EXISTS (SELECT FROM pg_opclass b WHERE b.oid >= 16384 AND b.opcdefault"                   \
    " AND b.opcintype < 16384 AND b.opcmethod IN (403, 405))"

// The columns that users' code may run for when they are assigned to, compared or shown: bytes of
// the name, the name.
#define ODD_COLUMNS                                                                                \
    "(SELECT string_agg(concat_ws(' ', octet_length(a.attname::text), a.attname::text), '')"       \
    " FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"                                    \
    " WHERE a.attrelid = t.tgrelid AND a.attnum > 0 AND NOT a.attisdropped"                        \
    "  AND NOT CASE WHEN y.oid < 16384 THEN y.typtype IN ('b', 'r', 'm')"                          \
    "   ELSE y.oid IN (SELECT oid FROM safe) END)"

// Of each: p with its body, if that is to be read; c: it computes; x: it may do anything.
const char behind_sql[] =
    "WITH RECURSIVE " SAFE_TYPES "," WRITELESS_FUNCTIONS ","
    " plain AS MATERIALIZED (SELECT " COMPARES_AS_EVER " AND " CASTS_WRITE_NOTHING " AS is)"
    "SELECT t.tgrelid, CASE WHEN NOT plain.is OR NOT " WHEN_IS_PLAIN
    "   OR (t.tgqual IS NOT NULL AND " ODD_COLUMNS " IS NOT NULL) THEN 'x'"
    "  WHEN " SAYS_IN_PLPGSQL " THEN 'p' WHEN " COMPUTES_IN_C " THEN 'c' ELSE 'x' END,"
    " CASE WHEN l.lanname = 'plpgsql' THEN p.prosrc END, " ODD_COLUMNS
    " FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang"
    "  CROSS JOIN plain"
    " WHERE t.tgrelid = ANY ($1::oid[])"
    "  AND NOT (t.tgisinternal AND t.tgfoid = ANY (" LOOKS_ONLY "))"
    "  AND t.tgfoid <> ALL (ARRAY(" TRIGGERS_FUNCTION "))";

enum behind_column { BEHIND_OID, BEHIND_HOW, BEHIND_BODY, BEHIND_ODD, BEHIND_COLUMNS };

struct trigger {
    struct catalog_builder *builder;
    uint32_t oid; // of the relation
    struct slice odd;
};

static bool is_odd(struct slice odd, struct slice column)
{
    char *at = (char *)(uintptr_t)odd.at, *end = at + odd.len;
    while (at < end) {
        unsigned long bytes = strtoul(at, &at, 10);
        if (at >= end || bytes == 0 || bytes > (unsigned long)(end - at - 1) ||
            slice_eq(slice_of(at + 1, bytes), column))
            return true;
        at += 1 + bytes;
    }
    return false;
}

static bool may_call(struct slice name, void *arg)
{
    const struct trigger *trigger = arg;
    return !captured_name_writes(catalog_builder_told(trigger->builder), name);
}

static bool may_use_operator(struct slice name, void *arg)
{
    const struct trigger *trigger = arg;
    return !captured_operator_writes(catalog_builder_told(trigger->builder), name);
}

static bool may_use_column(struct slice name, bool assigned, void *arg)
{
    const struct trigger *trigger = arg;
    if (assigned)
        lineage_assigns(catalog_builder_lineage(trigger->builder), trigger->oid, name);
    return !is_odd(trigger->odd, name);
}

static bool may_use_row(void *arg)
{
    const struct trigger *trigger = arg;
    return trigger->odd.len == 0;
}

static bool computes(const struct trigger *trigger, struct slice body)
{
    static const struct computing_told told = {may_call, may_use_operator, may_use_column,
                                               may_use_row};
    return catalog_denied(catalog_builder_told(trigger->builder)) == BYPASS_NONE &&
           computing_read(body, &told, (void *)(uintptr_t)trigger);
}

bool behind_add(struct catalog_builder *builder, const PGresult *result)
{
    if (PQnfields(result) != BEHIND_COLUMNS)
        return false;
    struct lineage *lineage = catalog_builder_lineage(builder);
    for (int row = 0; row < PQntuples(result); row++) {
        const struct trigger trigger = {builder, result_oid(result, row, BEHIND_OID),
                                        result_value(result, row, BEHIND_ODD)};
        if (result_is(result, row, BEHIND_HOW, 'c'))
            lineage_assigns(lineage, trigger.oid, slice_of(NULL, 0));
        else if (!result_is(result, row, BEHIND_HOW, 'p') ||
                 !computes(&trigger, result_value(result, row, BEHIND_BODY)))
            lineage_writes_unknown(lineage, trigger.oid);
    }
    return true;
}
