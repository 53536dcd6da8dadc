// SPDX-License-Identifier: Apache-2.0
// A text that came before, with the places of its constants. Most texts of an application differ
// from one that came before in their constants alone: then what lies between is compared, only the
// constants are read, and nothing is hashed. A text that fits has the same template, see
// pattern_fits(); one that does not fit may have it all the same.
// Not here: what is known of the text (its owner's, in `of`).
#pragma once
#include "base/slice.h"
#include "proxy/sql/template.h"

enum {
    PATTERN_CONSTANTS_MAX = 16,
    PATTERN_BYTES_MAX = 2048,
    PATTERN_SETS = 64, // a power of two
    PATTERN_WAYS = 4,
};

struct pattern {
    void *of;       // the owner's
    uint32_t len;
    uint32_t count;
    struct {
        uint32_t literal; // how many bytes as they are stand before it
        uint32_t bytes;   // it
        uint32_t kind;    // TEMPLATE_INTEGER ...
    } at[PATTERN_CONSTANTS_MAX];
    uint8_t bytes[];
};

// NULL: it has too many constants, is too long, or such that others could not be compared with it.
// The text must have a template.
struct pattern *pattern_new(struct slice sql);
void pattern_free(struct pattern *p);
// True only if template_of() makes the same of both.
bool pattern_fits(const struct pattern *p, struct slice sql);
// The same; what template_constants() finds in sql is in out then, PATTERN_CONSTANTS_MAX at most.
bool pattern_constants(const struct pattern *p, struct slice sql, struct template_constant *out,
                       size_t *n);

// Patterns by how they begin; the last one that fitted stands first. Owned by one thread.
struct patterns {
    struct pattern *at[PATTERN_SETS][PATTERN_WAYS];
};
struct pattern *patterns_find(struct patterns *all, struct slice sql);
// Takes p; what had to leave for it, or NULL, is the caller's again.
struct pattern *patterns_put(struct patterns *all, struct pattern *p);
