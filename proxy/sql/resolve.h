// SPDX-License-Identifier: Apache-2.0
// From names to slots: what a statement depends on and what its commit must close, for one
// catalog and one search path. Pure: an analysis, a catalog and a path in, an immutable counted
// resolution out. Any thread; resolve_front belongs to one.
// Not here: loading the catalog (control thread), closing slots (session).
#pragma once
#include "cache/catalog.h"
#include "proxy/sql/analysis.h"

enum { RESOLVE_SLOTS_MAX = 256 }; // more relations than that in one statement: bypass, barrier

// The schemas in which unqualified names are searched, in order, as current_schemas(true) gives
// them for this session, without pg_temp: a session with temporary relations is pinned and its
// reads are not cached.
struct search_path {
    const struct slice *schemas; // borrows
    uint32_t count;
    bool utf8; // the client speaks UTF8: then names beyond ASCII mean what they say
};

// A place of a relation in the statement at which only rows of certain keys are read or written,
// for one relation that its name means. The keys are known with the values (keys.h).
struct resolved_scan {
    uint64_t table; // ledger_table() of the rows
    uint64_t space; // what to pass for it to find key slots: the same, or ledger_column()
    bool given;     // new rows (INSERT)
    bool apart;     // values of two columns may be of two rows, even if they stand side by side
    uint8_t n;      // columns of the key
    struct {
        uint16_t fix; // in the analysis
        uint8_t type; // enum rowkey_type
        uint32_t oid; // in pg_type
        bool modified;
    } columns[ROWKEY_COLUMNS_MAX];
};

struct resolution {
    uint32_t tag;
    _Atomic uint32_t refs;
    enum bypass bypass;     // BYPASS_NONE: may be answered from and stored in the cache
    uint64_t reasons;       // all that there are against it: bits 1 << enum bypass
    bool pending;           // the catalog does not know all the names yet: ask for analysis_names()
    bool barrier;           // its commit must raise a barrier; closing the slots is not enough.
                            // Also of what only reads, if reading may run code that writes
    bool captured;          // a user's function or operator that was not found harmless may stand
                            // behind a builtin's name or t.f: to be treated like EFFECT_FUNCTION
    bool utf8;              // of the server; for values of keys
    uint64_t settings;      // catalog_settings_hash() if what it reads depends on settings, else 0
    uint16_t read_count;    // slots that the result depends on, ascending, no two equal; only
                            // when a rule could put all reasons aside (cache/rules.h)
    uint16_t write_count;   // slots that its commit must close, likewise
    uint16_t held_count;    // and rows slots, of writes to any row, likewise
    uint16_t read_scan_count;  // what it depends on besides: rows of certain keys; only when
                               // bypass is none
    uint16_t write_scan_count; // and what besides it writes; all tables of these are in writes
    const uint32_t *reads;  // in one allocation with the resolution
    const uint32_t *writes;
    const uint32_t *held;
    const struct resolved_scan *read_scans;
    const struct resolved_scan *write_scans;
};

// catalog: NULL when nothing is known yet (everything pending). The caller holds the one
// reference.
struct resolution *resolve(const struct analysis *a, const struct catalog *catalog,
                           const struct search_path *path);

struct resolution *resolution_ref(struct resolution *r);
void resolution_unref(struct resolution **r); // clears the caller's pointer

// Calls visit for each name that the catalog should know about for this statement: relations read
// and written, types that it may cast to, and what stands for text search. To be told to the
// control thread when a resolution is pending.
void analysis_names(const struct analysis *a,
                    void (*visit)(const struct sql_name *name, void *arg), void *arg);

// One worker's memory of its recent resolutions: no lock, owned by that worker. What was not
// asked for again for a while is let go, so an old catalog is not kept for long.
struct resolve_front;
struct resolve_front *resolve_front_new(void);
void resolve_front_free(struct resolve_front *front);

// As resolve(), but borrowed: valid until the next call with this front.
const struct resolution *resolve_front_find(struct resolve_front *front, struct analysis *a,
                                            struct catalog *catalog,
                                            const struct search_path *path);
