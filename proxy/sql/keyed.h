// SPDX-License-Identifier: Apache-2.0
// Which key of a relation a place in a statement fixes, by what fixed.h noted of it and what a
// catalog says of columns: of the relation's own, and of those that they are linked to.
// Internal to proxy/sql. Pure.
// Not here: which values those are (keys.h), and what reading or writing them means (resolve.h).
#pragma once
#include "proxy/sql/resolve.h"

enum { KEYED_SAME_NAME_MAX = 16 }; // relations of one name along one path; more are not looked at

// What names are looked up in; borrows.
struct keyed {
    const struct analysis *analysis;
    const struct catalog *catalog; // NULL: nothing is known yet
    const struct search_path *path;
};

// One key of a relation: its first columns, or with REPLICA IDENTITY FULL one column alone.
struct one_key {
    const struct catalog_column *columns;
    uint8_t count;
    uint64_t space;
};

struct one_key keyed_first(const struct catalog_key *key);
struct one_key keyed_column(const struct catalog_key *key, int i);

// All relations that the name may mean for some role: the server skips schemas that the role may
// not use, which only it knows. found has room for KEYED_SAME_NAME_MAX.
enum catalog_answer keyed_find(const struct keyed *k, const struct sql_name *name,
                               const struct catalog_relation **found, size_t *n);

// False: at this place it is any row.
bool keyed_scan(const struct keyed *k, const struct sql_scan *scan,
                const struct catalog_key *of, const struct one_key *key, struct resolved_scan *out);

// The same with one key that the place fixes: the first, or else a column; one that tells rows
// apart rather than a flag.
bool keyed_choose(const struct keyed *k, const struct sql_scan *scan, const struct catalog_key *of,
                  struct resolved_scan *out);
