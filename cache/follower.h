// SPDX-License-Identifier: Apache-2.0
// Follows one database and drives its ledger: the rules of when a commit is visible, how far the
// stream has come, and as of when the cache is known fresh. No I/O: the control thread feeds it
// what the two connections said and asks what to send (follower_wants). Time is passed in, always
// clock_us(), microseconds.
//
// The two connections, both to the same primary and database:
//   stream   logical decoding, with test_decoding (include-xids 1, skip-empty-xacts 0) or, where a
//            publication is configured, with pgoutput (protocol version 1)
//   control  ordinary; asks one query, the *reading*, one at a time. A gate reading asks for
//            pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn(), pg_current_snapshot(): it is
//            cheap, places own writes and lets stable move. A full reading also asks whether the
//            schema is the one that the catalog was loaded from; only that can make fresh
//
// Owned and called by the control thread only. Memory is bounded; on overflow the follower is lost.
// Functions that return bool: false means that the follower has just been lost (the ledger is off
// and says why): close both connections and begin again.
//
// Does not belong here: libpq, timers, retries, loading the catalog.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/catalog.h"
#include "cache/ledger.h"
#include "cache/pace.h"
#include "cache/ticket.h"

struct follower;

struct follower_start {
    // Consistent point of the slot: commits after it will come by the stream.
    uint64_t consistent_lsn;
    // Result of `SELECT pg_current_xact_id()`, run as a transaction of its own on the control
    // connection AFTER the slot's creation was answered. Whatever committed up to the consistent
    // point has a lower xid. A snapshot alone would not do: a transaction can have committed in
    // the WAL, not yet be visible, and have an xid at or above the snapshot's xmax.
    uint64_t horizon_xid;
    // SHOW wal_block_size, wal_segment_size in bytes; 0 = unknown (costs a little liveness).
    uint32_t wal_block_bytes;
    uint32_t wal_segment_bytes;
    // The stream is pgoutput's. It says nothing of transactions without published rows (releases
    // before 15 do, of all), so none makes the schema suspect: readings watch it by themselves, and
    // which tables are partitions of which is never sure enough for their keys.
    bool pgoutput;
};

// What a reading says of the schema: whether its fingerprint, taken by the same statement, equals
// the baseline of the catalog in use.
enum reading_schema {
    READING_SCHEMA_UNREAD,  // a gate reading: nothing, so it gives no freshness
    READING_SCHEMA_SAME,
    READING_SCHEMA_CHANGED, // no freshness, and every entry ends; whoever loads the catalog anew
                            // flushes again after that
};

struct reading {
    uint64_t flush_lsn;
    uint64_t insert_lsn;
    struct slice snapshot; // text of pg_current_snapshot(): xmin:xmax:xip,xip
    enum reading_schema schema;
};

struct follower_wishes {
    enum reading_kind reading; // send this one now, then call follower_reading_sent
    bool keepalive;  // ask the WAL sender for a keepalive now, then call follower_keepalive_sent
    bool flush;      // make the server flush its WAL, e.g. by `SELECT pg_logical_emit_message(true,
                     // 'pgweir', '')` with synchronous_commit = local; then follower_flush_sent.
                     // Only liveness: what a transaction has written that neither ends nor goes on
                     // may stay unflushed for ever, and a position in it is never passed
    int64_t wake_us; // ask again at this instant at the latest (INT64_MAX: only after an event)
};

struct follower_status {
    uint64_t passed;          // position the stream has passed
    uint64_t stable;          // position the ledger promises
    int64_t fresh_us;         // as ledger_fresh_us()
    int64_t reading_us;       // how long the last full reading took
    int64_t gate_us;          // how long the last gate reading took
    size_t pending_commits;   // seen in the stream, not yet visible
    size_t tickets;           // own writes not yet placed
    size_t barriers;          // own writes with unknown effects or keys, not yet through
    uint64_t transactions;    // commits seen since it was made
    uint64_t wide;            // of these, too wide to follow table by table: they end all entries
    bool following;           // between begin and lost
    bool schema_suspect;      // an empty transaction came since the last full reading was sent
};

// The ledger is borrowed and must outlive the follower.
struct follower *follower_new(struct ledger *ledger, int64_t max_staleness_us);
void follower_free(struct follower *f); // as lost first; NULL is fine
void follower_set_max_staleness(struct follower *f, int64_t max_staleness_us);

// The catalog that says which columns are a table's key, and which tables hold others' rows (it
// takes a count of its own; NULL: none is known, so every row event touches all rows of its table).
// Right after it was published to the workers, before anything else is told, and before the ledger
// is flushed if it says otherwise than the last one did. Then no entry of the new epoch was made by
// another catalog. Events of transactions that ran before what the catalog shows are told by it as
// well; every fill that uses it was sent after they were visible, since what changes a key waits
// for them.
void follower_set_catalog(struct follower *f, struct catalog *catalog);

// Both connections stand. The ledger stays off until nothing below the horizon runs and a first
// freshness is known. Must not be following.
void follower_begin(struct follower *f, const struct follower_start *start);
// Stream or control connection gone, or given up: off at once, everything settled and forgotten.
void follower_lost(struct follower *f, enum ledger_off_reason reason);

// ---- The stream ---------------------------------------------------------------------------------

// One XLogData message: the LSN of its header (dataStart, which equals walEnd in logical decoding)
// and its payload, borrowed for the call.
bool follower_data(struct follower *f, uint64_t lsn, struct slice bytes);
// One keepalive ('k'): its walEnd.
bool follower_keepalive(struct follower *f, uint64_t wal_end);
void follower_keepalive_sent(struct follower *f, int64_t now_us);
// What to acknowledge as written and flushed: all of it was read.
uint64_t follower_passed(const struct follower *f);

// ---- The control connection ------------------------------------------------------------------

// Right BEFORE the query is handed to the connection: everything known until now counts as earlier.
void follower_reading_sent(struct follower *f, enum reading_kind kind, int64_t now_us);
bool follower_reading(struct follower *f, int64_t now_us, const struct reading *reading);
void follower_flush_sent(struct follower *f, int64_t now_us);

// ---- From workers, through the control thread's mailbox ----------------------------------------

// Takes the ticket over. Also while not following (it is settled at once: see follower.c).
bool follower_ticket(struct follower *f, struct ticket *ticket);
// A worker found the ledger stale or behind and would like a reading soon.
void follower_hurry(struct follower *f);

// ---- What next -------------------------------------------------------------------------------

struct follower_wishes follower_wants(const struct follower *f, int64_t now_us);
struct follower_status follower_status(const struct follower *f);
