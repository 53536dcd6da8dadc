// SPDX-License-Identifier: Apache-2.0
// What the rules and a text's hints say of a statement, remembered. A worker's: made from the
// configuration in force, and made anew with the next one, so that a reload counts at once.
// Not here: what rules mean (cache/rules.h), how they are written (config/cache_rules.h).
#pragma once
#include "cache/rules.h"

struct analysis;
struct config;
struct domain;
struct profile;
struct resolution_front;
struct route;
struct rulings;

struct rulings *rulings_new(const struct config *config);
void rulings_free(struct rulings *rulings); // NULL is fine

bool rulings_has_rules(const struct rulings *rulings);
bool rulings_any_without_events(const struct rulings *rulings);

// Of a text with this analysis, in a session of this route and profile. The rule's name is borrowed
// until the next configuration.
struct ruling rulings_find(struct rulings *rulings, const struct route *route,
                           struct resolution_front *resolutions, struct domain *domain,
                           const struct profile *profile, struct analysis *analysis,
                           struct slice text);
