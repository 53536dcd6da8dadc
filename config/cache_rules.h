// SPDX-License-Identifier: Apache-2.0
// The lines of [cache_rules], in the order of the file. Part of the roster: filled by one thread,
// then immutable. The struct is in config.h; what rules mean is cache/rules.h's business.
#pragma once
#include "config/config.h"
#include "config/ini.h"

struct cache_rules {
    struct config_cache_rule *at; // owns, texts too
    size_t count;
};

// A line of [cache_rules]. What is wrong with it goes to *problems.
void cache_rules_read(struct cache_rules *rules, const struct ini_line *line,
                      struct problems *problems);
void cache_rules_fini(struct cache_rules *rules);
