// SPDX-License-Identifier: Apache-2.0
// What PostgreSQL itself brings along: the functions, aggregates and operators of pg_catalog by
// name, each with the worst volatility of its overloads, and what was reviewed by hand about the
// volatile ones. The tables are generated (builtins.sh, from a PostgreSQL 15) and constant.
// Pure; any thread. Names are as in pg_proc and pg_operator: folded, without schema.
#pragma once
#include "base/slice.h"

enum volatility {
    VOLATILITY_UNKNOWN, // no such name in pg_catalog
    VOLATILITY_IMMUTABLE,
    VOLATILITY_STABLE,
    VOLATILITY_VOLATILE,
};

// What calling a builtin may do beyond giving a value.
enum builtin_deed {
    BUILTIN_NOTHING,    // writes no relation, leaves nothing in the session
    BUILTIN_ADVISORY,   // takes or gives back session level advisory locks
    BUILTIN_SET_CONFIG, // set_config()
    BUILTIN_SEQUENCE,   // tells what this session did with sequences
    BUILTIN_SEQUENCE_USE, // does something with one
    BUILTIN_ANYTHING,   // may run a query, write a relation, or was not reviewed
};

enum volatility builtin_function_volatility(struct slice name);
enum builtin_deed builtin_function_deed(struct slice name); // BUILTIN_ANYTHING for unknown names
enum volatility builtin_operator_volatility(struct slice name);

// Two of the reviewed lists, for questions to a server: volatile functions that leave nothing in
// the session and write no relation; functions that run queries, though they are not volatile.
struct builtin_names {
    const char *const *at;
    size_t count;
};
struct builtin_names builtin_harmless(void);
struct builtin_names builtin_queriers(void);

// True when a result may be cached that this function or operator had a part in.
bool builtin_function_cacheable(struct slice name);
bool builtin_operator_cacheable(struct slice name);
// The same for one of the functions of that name, of which the volatility is known: 'i', 's', 'v'.
bool builtin_function_cacheable_as(struct slice name, char volatility);
// Cacheable as well where text search configurations are watched, and are PostgreSQL's own in all
// that runs (resolve.h). from_constant: the operand is a string constant.
bool builtin_function_searches_text(struct slice name);
bool builtin_operator_searches_text(struct slice name);
bool builtin_cast_searches_text(struct slice type, bool from_constant);
// May a rule have cached what calls it (cache/rules.h), although it is not cacheable?
bool builtin_function_forceable(struct slice name);

// True when casting to this type (a name of pg_catalog) gives the same result for as long as the
// settings in the cache key are the same. from_constant: the operand is a string constant.
bool builtin_cast_cacheable(struct slice type, bool from_constant);
