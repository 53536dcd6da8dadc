// SPDX-License-Identifier: Apache-2.0
// The second, ordinary connection of a followed database: one query at a time, asynchronously.
// It takes readings (where is the server's WAL, which transactions still run, has the schema
// changed) and loads what the catalog needs to know about the relations in use.
//
// Owner: the control thread. It decides nothing: a result goes to the listener. The SQL is in
// schema.h; turning rows into a catalog is schema.h's too.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct catalog;
struct reading_connection;

// One answer of the server. Text is borrowed for the call.
struct reading_result {
    uint64_t flush_lsn;
    uint64_t insert_lsn;
    const char *snapshot;    // pg_current_snapshot() as text: xmin:xmax:xip,...
    bool has_fingerprint;    // the reading was asked to look at the schema
    bool schema_same;        // has_fingerprint, and it equals that of the catalog in force
    int64_t sent_us;         // clock_us() when the query was sent
    int64_t duration_us;
};

struct reading_identity {
    uint64_t system;       // pg_control_system() if readable, else 0: the stream knows it
    uint32_t database_oid;
    int version;           // server_version_num
    bool in_recovery;
    bool logical;          // wal_level = logical
    bool can_replicate;    // the role has REPLICATION or is a superuser
};

struct reading_listener {
    void (*ready)(void *arg, const struct reading_identity *identity);
    void (*result)(void *arg, const struct reading_result *result);
    // A catalog (counted: the listener takes the reference) read in one snapshot. changed: the
    // schema of what was loaded before differs from the baseline, so entries must die.
    void (*loaded)(void *arg, struct catalog *catalog, bool changed, int64_t sent_us);
    void (*lost)(void *arg, const char *reason, bool lasting);
    void *arg;
};

struct reading_connection *reading_open(struct ev_loop *loop, const char *const *keywords,
                                        const char *const *values,
                                        const struct reading_listener *listener);
void reading_close(struct reading_connection *reading); // NULL is fine; the listener hears nothing

// Nothing is in flight and the connection is ready.
bool reading_idle(const struct reading_connection *reading);

// Sends the reading; must be idle. with_schema: compare the schema's fingerprint too.
void reading_take(struct reading_connection *reading, int64_t now_us, bool with_schema);

// Loads the catalog for these names (sorted or not, no duplicates); must be idle.
void reading_load(struct reading_connection *reading, int64_t now_us, const struct slice *names,
                  size_t n);
