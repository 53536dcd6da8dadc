// SPDX-License-Identifier: Apache-2.0
// Triggers that tell of every change of a table by NOTIFY, for `invalidation = notify`: their SQL,
// and the commands that put them into a database and take them out. Written by hand or by the
// command, a table counts as told of only if its trigger is complete.
//
// The commands block; they run instead of the proxy, not in it.
#pragma once

#define TRIGGERS_SCHEMA "pgweir"
#define TRIGGERS_NAME "pgweir_notify"
// Of the trigger function. Names are qualified: whoever writes may have any search_path.
#define TRIGGERS_BODY                                                                              \
    " BEGIN PERFORM pg_catalog.pg_notify(''pgweir'', pg_catalog.quote_ident(TG_TABLE_SCHEMA)"      \
    " OPERATOR(pg_catalog.||) ''.'' OPERATOR(pg_catalog.||)"                                       \
    " pg_catalog.quote_ident(TG_TABLE_NAME)); RETURN NULL; END "
// A query: the oid of the function, if it is there and does what it should.
#define TRIGGERS_FUNCTION                                                                          \
    "SELECT p.oid FROM pg_catalog.pg_proc p"                                                       \
    " JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = '"                \
    TRIGGERS_SCHEMA "' AND p.proname = 'notify' AND p.pronargs = 0 AND p.proconfig IS NULL"        \
    " AND p.prosrc = '" TRIGGERS_BODY "'"
// A condition on pg_trigger t: it tells of INSERT, DELETE, UPDATE and TRUNCATE (4, 8, 16, 32 of
// tgtype, pg_trigger.h), after each statement (neither 1 nor 2), of all columns, always.
#define TRIGGERS_COMPLETE                                                                          \
    "t.tgtype = 60 AND t.tgenabled = 'A' AND t.tgqual IS NULL AND t.tgattr = ''"                   \
    " AND t.tgfoid = ANY (ARRAY(" TRIGGERS_FUNCTION "))"

// `pgweir install-triggers [--print] [--remove] DSN [TABLE ...]`; argv[0] is the command's name.
// The exit code.
int triggers_command(int argc, char **argv);
