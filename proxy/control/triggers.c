// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/triggers.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "proxy/control/schema.h"

enum { EXIT_USAGE = 2 };

static const char usage[] =
    "usage: pgweir install-triggers [--print] [--remove] DSN [TABLE ...]\n"
    "  Gives tables a trigger that tells pgweir of every change, for invalidation = notify.\n"
    "  DSN       postgresql://... or \"host=... dbname=...\", as the owner of the tables\n"
    "  TABLE     schema.table; without any: all ordinary tables of the role\n"
    "  --print   prints the SQL and changes nothing\n"
    "  --remove  takes the triggers away; without TABLE also the function and its schema\n";

static const char install_function[] =
    "CREATE SCHEMA IF NOT EXISTS " TRIGGERS_SCHEMA ";\n"
    "GRANT USAGE ON SCHEMA " TRIGGERS_SCHEMA " TO PUBLIC;\n"
    "CREATE OR REPLACE FUNCTION " TRIGGERS_SCHEMA ".notify() RETURNS trigger LANGUAGE plpgsql AS\n"
    "'" TRIGGERS_BODY "';\n";
static const char remove_function[] = "DROP FUNCTION IF EXISTS " TRIGGERS_SCHEMA ".notify();\n"
                                      "DROP SCHEMA IF EXISTS " TRIGGERS_SCHEMA ";\n";

// $1: names as the user wrote them, or {} for all. Statement triggers of a partition or a child do
// not fire for what is written through its parent, so those are left out (and are not cached).
static const char tables_sql[] =
    "SELECT c.oid::regclass::text, n.nspname, c.relname FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') AND c.oid >= 16384"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT c.relispartition"
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits h"
    "  WHERE c.oid IN (h.inhrelid, h.inhparent))"
    " AND pg_catalog.pg_has_role(c.relowner, 'USAGE')"
    " AND (pg_catalog.cardinality($1::text[]) = 0"
    "  OR c.oid = ANY (SELECT u.name::regclass FROM unnest($1::text[]) AS u(name)))"
    " ORDER BY 2, 3";

struct request {
    bool print, remove;
    const char *dsn;
    char **tables;
    int count;
};

static int fail(PGconn *pg, const char *what)
{
    fprintf(stderr, "pgweir install-triggers: %s: %s", what, PQerrorMessage(pg));
    return 1;
}

static void add_quoted(struct buf *out, PGconn *pg, const char *name)
{
    char *quoted = PQescapeIdentifier(pg, name, strlen(name));
    buf_printf(out, "%s", quoted ? quoted : "");
    PQfreemem(quoted);
}

static void add_table(struct buf *sql, PGconn *pg, const PGresult *tables, int row, bool remove)
{
    struct buf table = {0};
    add_quoted(&table, pg, PQgetvalue(tables, row, 1));
    buf_printf(&table, ".");
    add_quoted(&table, pg, PQgetvalue(tables, row, 2));
    buf_u8(&table, 0);
    const char *name = (const char *)table.at;
    buf_printf(sql, "DROP TRIGGER IF EXISTS " TRIGGERS_NAME " ON %s;\n", name);
    if (!remove)
        buf_printf(sql,
                   "CREATE TRIGGER " TRIGGERS_NAME " AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE\n"
                   "    ON %s FOR EACH STATEMENT EXECUTE FUNCTION " TRIGGERS_SCHEMA ".notify();\n"
                   "ALTER TABLE %s ENABLE ALWAYS TRIGGER " TRIGGERS_NAME ";\n",
                   name, name);
    buf_fini(&table);
}

// The literal of an array of the names given.
static void add_names(struct buf *out, const struct request *q)
{
    struct slice *names = mem_alloc(((size_t)q->count + 1) * sizeof(*names));
    for (int i = 0; i < q->count; i++)
        names[i] = slice_str(q->tables[i]);
    schema_array_literal(out, names, (size_t)q->count);
    mem_free(names);
}

static int run(PGconn *pg, const struct request *q)
{
    struct buf names = {0}, sql = {0};
    add_names(&names, q);
    const char *parameter = (const char *)names.at;
    PGresult *tables = PQexecParams(pg, tables_sql, 1, NULL, &parameter, NULL, NULL, 0);
    buf_fini(&names);
    if (PQresultStatus(tables) != PGRES_TUPLES_OK) {
        PQclear(tables);
        return fail(pg, "the tables cannot be listed");
    }
    int n = PQntuples(tables);
    if (n < q->count)
        fprintf(stderr, "pgweir install-triggers: %d of the tables named are no ordinary tables of "
                "this role (partitions and inheritance cannot tell)\n", q->count - n);
    buf_printf(&sql, "BEGIN;\n");
    if (!q->remove)
        buf_printf(&sql, "%s", install_function);
    for (int i = 0; i < n; i++)
        add_table(&sql, pg, tables, i, q->remove);
    if (q->remove && q->count == 0)
        buf_printf(&sql, "%s", remove_function);
    buf_printf(&sql, "COMMIT;\n");
    buf_u8(&sql, 0);
    bool incomplete = n < q->count;
    int code = incomplete;
    if (q->print) {
        fputs((const char *)sql.at, stdout);
    } else if (!incomplete) {
        PGresult *done = PQexec(pg, (const char *)sql.at);
        if (PQresultStatus(done) == PGRES_COMMAND_OK)
            printf("%d tables %s\n", n, q->remove ? "tell no more" : "tell of their changes");
        else
            code = fail(pg, "nothing was changed");
        PQclear(done);
    }
    PQclear(tables);
    buf_fini(&sql);
    return code;
}

static void ignore_notice(void *arg, const PGresult *notice)
{
}

int triggers_command(int argc, char **argv)
{
    struct request q = {.dsn = NULL};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        q.print |= strcmp(argv[i], "--print") == 0;
        q.remove |= strcmp(argv[i], "--remove") == 0;
        if (strcmp(argv[i], "--print") != 0 && strcmp(argv[i], "--remove") != 0)
            i = argc;
    }
    if (i >= argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    q.dsn = argv[i++];
    q.tables = argv + i;
    q.count = argc - i;
    PGconn *pg = PQconnectdb(q.dsn);
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    int code = PQstatus(pg) == CONNECTION_OK ? run(pg, &q) : fail(pg, "no connection");
    PQfinish(pg);
    return code;
}
