// SPDX-License-Identifier: Apache-2.0
// The second, ordinary connection of a followed database: one request at a time, asynchronously.
// It takes readings (where is the server's WAL, which transactions still run; a full one also: has
// the schema changed) and loads what the catalog needs to know about the relations in use.
//
// Owner: the control thread. It decides nothing: an answer goes to the listener. The SQL, and how
// its rows become a catalog, is schema.h's.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/catalog.h"
#include "cache/follower.h"
#include "proxy/control/sessions.h"

struct reading_connection;

struct reading_identity {
    struct database_identity database;
    int version;           // server_version_num
    bool in_recovery;
    bool logical;          // wal_level = logical
    bool utf8;             // server_encoding
    bool may_replicate;    // the role has REPLICATION or is a superuser
    bool triggers;         // pgweir install-triggers was run here
    uint32_t wal_block_bytes;
    uint32_t wal_segment_bytes;
};

// What has become of the publication that is watched (reading_publication()).
enum reading_publication {
    READING_PUBLICATION_SAME, // as the first load of this connection found it; or none is watched
    READING_PUBLICATION_MISSING,
    READING_PUBLICATION_CHANGED,
};

// Calls come from the loop, one for each request, in order. When one comes, the connection is idle
// again: the listener may send the next request, or close the connection.
struct reading_listener {
    void (*ready)(void *arg, const struct reading_identity *identity); // logged in
    // schema: against the catalog that was loaded last. Borrowed for the call.
    void (*result)(void *arg, const struct reading *reading, int64_t duration_us);
    // The catalog has one reference, the listener's. changed: what the previous catalog was loaded
    // from is no longer so (true for the first one).
    void (*loaded)(void *arg, struct catalog *catalog, bool changed,
                   enum reading_publication publication);
    void (*horizon)(void *arg, uint64_t xid, bool slot_is_here);
    void (*flushed)(void *arg);
    void (*source_ready)(void *arg); // reading_listen(), reading_publication()
    void (*backends)(void *arg, const uint32_t *alive, size_t n);
    void (*lost)(void *arg, enum ledger_off_reason why, const char *sentence); // close it
    // Somebody notified; in order with the answers to requests. It may be in the middle of one.
    void (*notified)(void *arg, struct slice payload);
    void *arg;
};

struct reading_connection *reading_open(struct ev_loop *loop, const char *const *keywords,
                                        const char *const *values,
                                        const struct reading_listener *listener);
void reading_close(struct reading_connection *r); // NULL is fine; the listener hears nothing more

// Ready, and nothing is in flight.
bool reading_idle(const struct reading_connection *r);

// Requests. The connection must be idle; a catalog must have been loaded before the first reading.
void reading_take(struct reading_connection *r, enum reading_kind kind); // not READING_NONE
void reading_load(struct reading_connection *r, const struct slice *names, size_t n,
                  uint64_t version); // names: no duplicates; copied
void reading_horizon(struct reading_connection *r, const char *slot);
void reading_flush(struct reading_connection *r);
// From now on notifications are heard, and loads tell which tables notify: others are not cached.
void reading_listen(struct reading_connection *r);
// From now on the publication is part of the schema that is watched, and loads tell what it is:
// tables of which it does not tell all are not cached. Before the first load; copied.
void reading_publication(struct reading_connection *r, const char *publication);
void reading_backends(struct reading_connection *r, const char *pids); // which of them still live?
