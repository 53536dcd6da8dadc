// SPDX-License-Identifier: Apache-2.0
// What statements mean for the catalog in force: the catalogs that a worker holds, and in front of
// them its memory of resolutions. One thread.
#pragma once
#include "proxy/sql/captured.h"
#include "proxy/sql/resolve.h"

struct domain;
struct rule_table;
struct profile;
struct resolution_front;

struct resolution_front *resolution_front_new(void);
void resolution_front_free(struct resolution_front *front); // NULL is fine

// Borrowed: valid until the next call with this front. NULL: no catalog has been loaded yet.
// Names that the catalog lacks are asked for.
const struct resolution *resolution_front_get(struct resolution_front *front,
                                              struct domain *domain, struct analysis *analysis,
                                              const struct profile *profile, bool utf8);

// The relations that it names to be read, with their schemas as far as the catalog in force knows
// them: all that a name may mean along the path. At most max; borrowed until the next call with
// this front.
size_t resolution_front_tables(struct resolution_front *front, struct domain *domain,
                               const struct analysis *analysis, const struct profile *profile,
                               struct rule_table *tables, size_t max);

// captured_runs_code(), by the catalog in force; asks for the names that are not known.
enum catalog_answer resolution_front_runs_code(struct resolution_front *front,
                                               struct domain *domain,
                                               const struct analysis *analysis);
// captured_calls_write(), likewise.
enum catalog_answer resolution_front_calls_write(struct resolution_front *front,
                                                 struct domain *domain,
                                                 const struct analysis *analysis);
