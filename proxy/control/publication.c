// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/publication.h"

#include "base/mem.h"
#include "cache/lineage.h"
#include "proxy/control/result.h"

enum { VERSION_SCHEMAS = 150000 }; // FOR TABLES IN SCHEMA, row filters, column lists

// ---- What it is ---------------------------------------------------------------------------------

// Its row, and those of the tables and schemas in it. A row that is changed has another xmin. One
// that somebody changes or takes away has an xmax, whether or not that can be seen yet.
#define SUM(of) "concat(count(*), '.', sum(hashtextextended(" of ", 0)))"
#define MEMBERS(table, column)                                                                     \
    " (SELECT " SUM("concat(r.oid, ' ', r.xmin, ' ', r.xmax)") " FROM " table " r"                 \
    "  WHERE r." column " = p.oid)"
#define MARK(more)                                                                                 \
    "concat_ws(' ', p.oid, p.xmin, p.xmax," MEMBERS("pg_publication_rel", "prpubid") more ")"
#define SCHEMAS "," MEMBERS("pg_publication_namespace", "pnpubid")

// And partitions that somebody is about to detach: without a lock that stops writers, they leave a
// publication that has only their root.
#define WATCH(more)                                                                                \
    " || ' ' || concat_ws(' ',"                                                                    \
    " (SELECT " MARK(more) " FROM pg_publication p WHERE p.pubname = $4::name),"                   \
    " (SELECT " SUM("concat(x.a, ' ', x.b)") " FROM (SELECT oid FROM c WHERE relhassubclass"       \
    "   UNION ALL SELECT oid FROM m WHERE relhassubclass) r CROSS JOIN LATERAL"                    \
    "   (SELECT inhrelid AS a, xmax AS b FROM pg_inherits WHERE inhparent = r.oid OFFSET 0) x))"

const char *publication_watch_sql(int version)
{
    return version >= VERSION_SCHEMAS ? WATCH(SCHEMAS) : WATCH("");
}

// ---- What it tells ------------------------------------------------------------------------------

// The columns of the replica identity are there, and told. Without one an UPDATE or DELETE is
// refused while the table is published; one that began before it was may leave no trace.
#define IDENTITY_TOLD                                                                              \
    " CASE c.relreplident WHEN 'f' THEN t.attrs IS NULL OR NOT EXISTS (SELECT FROM pg_attribute a" \
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"                          \
    "    AND a.attgenerated = '' AND a.attnum <> ALL (t.attrs))"                                   \
    "  ELSE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid"              \
    "   AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"         \
    "   AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident"       \
    "    ELSE false END"                                                                           \
    "   AND (t.attrs IS NULL OR NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) k(n)"\
    "    WHERE i.indkey[k.n] <> ALL (t.attrs)))) END"

// (kind, oid, mark). m: the publication is there; n: not in it; p: in it, but not told of all. Only
// tables with rows of their own. Partitions that are told of as their root's are refused, and so
// are those that somebody is about to detach.
#define TABLES(more, members)                                                                      \
    "WITH t AS MATERIALIZED (SELECT " members " WHERE p.pubname = $2::name)"                       \
    "SELECT 'm', 0::oid, " MARK(more) " FROM pg_publication p WHERE p.pubname = $2::name"          \
    " UNION ALL SELECT CASE WHEN t.relid IS NULL AND NOT (p.pubviaroot AND c.relispartition)"      \
    "   THEN 'n' ELSE 'p' END, c.oid, ''"                                                          \
    "  FROM pg_publication p CROSS JOIN unnest($1::oid[]) u(oid)"                                  \
    "   CROSS JOIN LATERAL (SELECT * FROM pg_class r WHERE r.oid = u.oid OFFSET 0) c"              \
    "   LEFT JOIN t ON t.relid = c.oid"                                                            \
    "  WHERE p.pubname = $2::name AND c.relkind IN ('r', 'm')"                                     \
    "   AND NOT coalesce(t.relid IS NOT NULL"                                                      \
    "   AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND NOT t.filtered"      \
    "   AND NOT (c.relispartition AND (p.pubviaroot OR EXISTS (SELECT"                             \
    "     FROM pg_partition_ancestors(c.oid) a(oid) JOIN pg_inherits i ON i.inhrelid = a.oid"      \
    "     WHERE i.xmax <> 0)))"                                                                    \
    "   AND" IDENTITY_TOLD ", false)"

#define MEMBERS_13                                                                                 \
    "g.relid, NULL::int2[] AS attrs, false AS filtered FROM pg_publication p"                      \
    " CROSS JOIN LATERAL pg_get_publication_tables(p.pubname::text) g(relid)"
#define MEMBERS_15                                                                                 \
    "g.relid, g.attrs::int2[], g.qual IS NOT NULL AS filtered FROM pg_publication p"               \
    " CROSS JOIN LATERAL pg_get_publication_tables(p.pubname::text) g"

const char *publication_tables_sql(int version)
{
    return version >= VERSION_SCHEMAS ? TABLES(SCHEMAS, MEMBERS_15) : TABLES("", MEMBERS_13);
}

enum column { COLUMN_KIND, COLUMN_OID, COLUMN_MARK, COLUMNS };

bool publication_add(struct catalog_builder *builder, const PGresult *result, char **mark)
{
    struct lineage *lineage = catalog_builder_lineage(builder);
    *mark = NULL;
    if (PQnfields(result) != COLUMNS)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        uint32_t oid = result_oid(result, row, COLUMN_OID);
        switch (PQgetvalue(result, row, COLUMN_KIND)[0]) {
        case 'm':
            mem_free(*mark);
            *mark = mem_strdup(PQgetvalue(result, row, COLUMN_MARK));
            break;
        case 'n':
            lineage_unreported(lineage, oid, BYPASS_NOT_PUBLISHED);
            break;
        case 'p':
            lineage_unreported(lineage, oid, BYPASS_PARTLY_PUBLISHED);
            break;
        default:
            mem_free(*mark);
            return false;
        }
    }
    return true;
}
