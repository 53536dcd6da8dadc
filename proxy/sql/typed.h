// SPDX-License-Identifier: Apache-2.0
// What a statement takes for granted of types that only a catalog knows: that the columns which it
// casts are dates and times, that the names which it casts to are enums', that nothing whose zone
// depends on the day is in it. Pure; any thread.
#pragma once
#include "cache/catalog.h"
#include "proxy/sql/analysis.h"
#include "proxy/sql/resolve.h"

enum { TYPED_COLUMNS_MAX = 64 }; // columns cast in one statement; more: not cached

// May the types named be cast to? FOUND: yes; ABSENT: no; PENDING: their names are to be loaded.
enum catalog_answer typed_names(const struct analysis *a, const struct catalog *catalog,
                                const struct search_path *path);

// For each relation that it reads. False: what it takes for granted does not hold. found: bits of
// the columns of `dated` that a relation has.
bool typed_relation(const struct analysis *a, const struct catalog_relation *relation,
                    uint64_t *found);

// Does the statement nothing but show the columns of the relation that are of types which others
// made?
bool typed_columns(const struct analysis *a, const struct catalog_relation *relation);

// May it be that no time without a zone gets the day's? None of its columns that may be one is
// computed with, or nothing asks for a zone.
bool typed_times(const struct analysis *a, const struct catalog_relation *relation);

// Once all are known: has some relation each of the columns?
bool typed_all(const struct analysis *a, uint64_t found);

// May a parameter be of this type, as its client declared it? BYPASS_NONE, or why not. Of users'
// types the catalog has the last word (catalog_is_enum()).
bool typed_is_users(uint32_t type);
enum bypass typed_parameter(const struct analysis *a, uint32_t type);
