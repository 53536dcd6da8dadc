// SPDX-License-Identifier: Apache-2.0
// Code of users that a statement does not name, or not as such: a function or an operator that may
// be meant by the name of one of PostgreSQL's own, and what runs behind what it reads. Pure; any
// thread.
#pragma once
#include "cache/catalog.h"
#include "proxy/sql/analysis.h"

bool captured_function(const struct catalog *c, const struct sql_name *name);
bool captured_operator(const struct catalog *c, const struct sql_name *name);
// t.f or (x).f, a name of the analysis' fields.
bool captured_field(const struct catalog *c, const struct analysis *a,
                    const struct sql_name *name);

// Is it surely none of a user's, but for those that take the place of one of PostgreSQL's own?
bool captured_builtin_function(const struct sql_name *name);

// May what it calls that PostgreSQL does not bring along write, whatever the search path is? FOUND:
// yes; ABSENT: no; PENDING: it may, until the names of the functions are loaded: then it is watched
// whether there is a type of that name, which f(x) may be a cast to.
enum catalog_answer captured_calls_write(const struct analysis *a, const struct catalog *catalog);

// May it run such code, and that write, whatever the search path is? FOUND: yes; ABSENT: no;
// PENDING: it reads what is not known yet.
enum catalog_answer captured_runs_code(const struct analysis *a, const struct catalog *catalog);
