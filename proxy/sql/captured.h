// SPDX-License-Identifier: Apache-2.0
// Code of users that a statement does not name, or not as such: a function or an operator that may
// be meant by the name of one of PostgreSQL's own, and what runs behind what it reads. Pure; any
// thread.
#pragma once
#include "cache/catalog.h"
#include "proxy/sql/analysis.h"
#include "proxy/sql/resolve.h"

bool captured_function(const struct catalog *c, const struct sql_name *name);
bool captured_operator(const struct catalog *c, const struct sql_name *name);
// t.f or (x).f, a name of the analysis' fields.
bool captured_field(const struct catalog *c, const struct analysis *a,
                    const struct sql_name *name);

// May a user's function or operator of this name, which may be taken for PostgreSQL's own, write?
bool captured_name_writes(const struct catalog *c, struct slice function);
bool captured_operator_writes(const struct catalog *c, struct slice name);

// May it, unseen, cast by a function that a user made and that may write?
bool captured_casts_write(const struct analysis *a, const struct catalog *c);
// Does it read a text as columns of whatever types, and so run the checks of domains among them?
bool captured_reads_columns(const struct sql_name *function);

// Is it surely none of a user's, but for those that take the place of one of PostgreSQL's own?
bool captured_builtin_function(const struct sql_name *name);

// May what it calls that PostgreSQL does not bring along write, whatever the search path is? FOUND:
// yes; ABSENT: no; PENDING: it may, until the names of the functions are loaded: then it is watched
// whether there is a type of that name, which f(x) may be a cast to.
enum catalog_answer captured_calls_write(const struct analysis *a, const struct catalog *catalog);

// May what it casts to run a user's check, as a domain does? PENDING as above. By this path; NULL:
// whatever it is.
enum catalog_answer captured_casts_run_code(const struct analysis *a, const struct catalog *c,
                                            const struct search_path *path);
// Is it surely a type of PostgreSQL's own?
bool captured_builtin_type(const struct sql_name *name);

// May it run such code, and that write, whatever the search path is? FOUND: yes; ABSENT: no;
// PENDING: it reads what is not known yet.
enum catalog_answer captured_runs_code(const struct analysis *a, const struct catalog *catalog);
