// SPDX-License-Identifier: Apache-2.0
// What statements mean for the catalog in force: the catalogs that a worker holds, and in front of
// them its memory of resolutions. One thread.
#pragma once
#include "proxy/sql/resolve.h"

struct domain;
struct profile;
struct resolution_front;

struct resolution_front *resolution_front_new(void);
void resolution_front_free(struct resolution_front *front); // NULL is fine

// Borrowed: valid until the next call with this front. NULL: no catalog has been loaded yet.
// Names that the catalog lacks are asked for.
const struct resolution *resolution_front_get(struct resolution_front *front,
                                              struct domain *domain, struct analysis *analysis,
                                              const struct profile *profile, bool utf8);
