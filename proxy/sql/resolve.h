// SPDX-License-Identifier: Apache-2.0
// From names to slots: what a statement depends on and what its commit must close, for one
// catalog and one search path. Pure: an analysis, a catalog and a path in, an immutable counted
// resolution out. Any thread; resolve_front belongs to one.
// Not here: loading the catalog (control thread), closing slots (session).
#pragma once
#include "cache/catalog.h"
#include "proxy/sql/analysis.h"

enum { RESOLVE_SLOTS_MAX = 256 }; // more relations than that in one statement: bypass, barrier

// The schemas in which unqualified names are searched, in order, as current_schemas(true) would
// give them for this session, without pg_temp: a session with temporary relations is pinned and
// its reads are not cached.
struct search_path {
    const struct slice *schemas; // borrows
    uint32_t count;
    bool utf8; // the client speaks UTF8: then names beyond ASCII mean what they say
};

struct resolution {
    uint32_t tag;
    _Atomic uint32_t refs;
    enum bypass bypass;     // BYPASS_NONE: may be answered from and stored in the cache
    bool barrier;           // its commit must raise a barrier instead of closing slots alone
    bool captured;          // a user's function or operator may stand behind a builtin's name:
                            // to be treated like EFFECT_FUNCTION
    uint16_t read_count;    // slots the result depends on, sorted, no two equal
    uint16_t write_count;   // slots its commit must close, sorted, no two equal
    const uint32_t *reads;  // one allocation with the resolution
    const uint32_t *writes;
};

// The caller holds the one reference.
struct resolution *resolve(const struct analysis *a, const struct catalog *catalog,
                           const struct search_path *path);

struct resolution *resolution_ref(struct resolution *r);
void resolution_unref(struct resolution **r); // clears the caller's pointer

// Calls visit for each name that the catalog should know about for this statement: relations read
// and written. The control thread is asked for those when bypass is BYPASS_CATALOG_PENDING.
void analysis_names(const struct analysis *a,
                    void (*visit)(struct sql_name name, void *arg), void *arg);
