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

// A statement in which it is called may have a time or timetz in it.
bool builtin_function_of_times(struct slice name);

// (x).name is a cast of x where x has no such field: then to what may not be safe, or may be read
// as the time?
bool builtin_field_casts(struct slice name);

// PostgreSQL's own types, by oid, whose text and binary forms depend on nothing but the value and
// settings that are in the cache key: bool bytea char name int8 int2 int4 text oid json point lseg
// path box polygon line circle cidr float4 float8 money macaddr8 macaddr inet bpchar varchar date
// time timestamp timestamptz interval bit varbit numeric uuid pg_lsn tsvector tsquery jsonb
// jsonpath, six ranges; then arrays of them, the multiranges and theirs. Not xml, reg*, nor timetz:
// what a literal like '12:00' means beside a timetz depends on the day.
#define BUILTIN_SAFE_TYPES                                                                         \
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 600, 601, 602, 603, 604, 628, 718, 650, 700, 701,     \
    790, 774, 829, 869, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1560, 1562, 1700, 2950, 3220,    \
    3614, 3615, 3802, 4072, 3904, 3906, 3908, 3910, 3912, 3926, 1000, 1001, 1002, 1003, 1016,      \
    1005, 1007, 1009, 1028, 199, 1017, 1018, 1019, 1020, 1027, 629, 719, 651, 1021, 1022, 791,     \
    775, 1040, 1041, 1014, 1015, 1182, 1183, 1115, 1185, 1187, 1561, 1563, 1231, 2951, 3221, 3643, \
    3645, 3807, 4073, 3905, 3907, 3909, 3911, 3913, 3927, 4451, 4532, 4533, 4534, 4535, 4536,      \
    6150, 6151, 6152, 6153, 6155, 6157
bool builtin_type_is_safe(uint32_t oid);
bool builtin_type_is_time(uint32_t oid); // time, timetz, their arrays

// In SQL: a cast (of pg_cast) by a function (of pg_proc) that came with CREATE TYPE ... AS RANGE.
// It is an explicit one, which nobody makes without a word: who names its type is seen.
#define BUILTIN_CAST_OF_A_RANGE(cast, function)                                                    \
    "(" cast ".castcontext = 'e' AND " function ".prolang = 12"                                    \
    " AND " function ".prosrc = 'multirange_constructor1')"

// Types of date and time between any two of which a cast depends, if there is one, on the value and
// on TimeZone alone: date, timestamp, timestamptz, time, interval. Not timetz. By name, and in SQL.
bool builtin_type_is_datetime(struct slice type);
#define BUILTIN_DATETIME_TYPES "1082, 1083, 1114, 1184, 1186"
// Whatever it is given, it gives one of these, or what cannot be cast to one.
bool builtin_function_gives_datetime(struct slice name);
bool builtin_function_gives_its_argument(struct slice name); // has the type of its first one
