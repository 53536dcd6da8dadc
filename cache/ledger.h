// SPDX-License-Identifier: Apache-2.0
// What is known of one database: how new its tables may be, and how far that knowledge reaches.
//
// A position is a WAL position (LSN). A dependency is a table, by schema and name, or the rows of a
// table with one key; dependencies hash to a fixed array of slots, and slot[d] is the position of
// the last known event that touched d. `stable` is the highest position S such that every
// transaction that committed at or before S is visible to any snapshot taken from now on. A fill
// takes a stamp {epoch, from = stable} before its query is sent; its result may be served only
// while slot[d] <= from for each dependency d.
//
// Of each table there are three kinds of slots:
//
//   table   of entries that read it as a whole; touched by whatever touches the table
//   rows    of entries that read only rows of keys that they name: touched by what may have touched
//           any row (TRUNCATE, a row whose key is not told)
//   key     of such entries, too, one for each key that they name: touched by what touches a row
//           that has, or had, this key
//
// So an entry depends on the table slot of a table, or on its rows slot and on key slots. And what
// touches a row of known key touches the table slot and the key slot (of the old key and the new).
//
// Where any column may be a key (REPLICA IDENTITY FULL), each has such key slots and a rows slot of
// its own, and there is one more slot for all of them, *columns*. An entry by a column depends on
// the key, that column's rows and the columns slot; what may have touched any row touches the rows
// slot and the columns slot.
//
// Threads: any thread may stamp and judge, without locks. Workers close slots, raise barriers and
// flush; everything else belongs to the control thread. Lives until the last thread is gone.
//
// Does not belong here: where events come from (follower.h), the entries themselves (store.h).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum { LEDGER_SLOTS = 1 << 18 };

struct ledger; // about 4 MiB, of which the system gives what is touched

// Taken before a fill's query is sent; part of the entry. Plain data.
struct stamp {
    uint64_t epoch; // the ledger's, at that moment; entries of another epoch are dead
    uint64_t from;  // a position: the fill sees every commit at or before it
};

enum ledger_verdict {
    LEDGER_OK,      // may be served
    LEDGER_OFF,     // nothing is known of this database now
    LEDGER_STALE,   // the last known freshness is further back than the bound: ask for a reading
    LEDGER_BEHIND,  // this session has read around the cache later than that: ask for a reading
    LEDGER_BARRIER, // a write with unknown effects is not yet through
    LEDGER_CLOSED,  // an own write to one of the dependencies is not yet placed
    LEDGER_DEAD,    // the entry is older than its tables and never comes back: drop it
};

// Why a ledger is off: name, and the sentence for the DBA.
#define LEDGER_OFF_REASONS(X)                                                                      \
    X(NONE, "on")                                                                                  \
    X(STARTING, "the event stream is being set up")                                                \
    X(STREAM_LOST, "the event stream was lost")                                                    \
    X(CONTROL_LOST, "the control connection was lost")                                             \
    X(UNREADABLE, "the event stream could not be understood")                                      \
    X(OVERFLOW, "too many commits or writes wait to be placed")                                    \
    X(WAL_LEVEL, "wal_level is not logical on the server")                                         \
    X(PRIVILEGE, "the control user may not replicate")                                             \
    X(NO_SLOT, "the server has no replication slot or WAL sender free")                            \
    X(RECOVERY, "the server is in recovery")                                                       \
    X(UNREACHABLE, "the server cannot be reached")                                                 \
    X(NO_TRIGGERS, "no triggers tell of changes")                                                  \
    X(PUBLICATION, "the publication is missing, or has changed")                                   \
    X(ELSEWHERE, "connections lead to another server than the one that is followed")               \
    X(UNSUPPORTED, "this server or database cannot be followed")                                   \
    X(DISABLED, "the cache is switched off")

enum ledger_off_reason {
#define X(name, sentence) LEDGER_OFF_##name,
    LEDGER_OFF_REASONS(X)
#undef X
};

const char *ledger_off_sentence(enum ledger_off_reason reason); // static

struct ledger *ledger_new(void);        // off, LEDGER_OFF_STARTING
void ledger_free(struct ledger *ledger); // NULL is fine; nobody may be using it

// The slot of a table, by its names as the server's catalog has them (unquoted, exact case). The
// same in every ledger of this process. Any thread.
uint32_t ledger_slot_of(struct slice schema, struct slice name);

// The same of a table that is named once and for all (ledger_table), and its other slots. values:
// of the columns of its key, in the catalog's order (rowkey.h).
uint64_t ledger_table(struct slice schema, struct slice name);
uint32_t ledger_table_slot(uint64_t table);
uint32_t ledger_rows_slot(uint64_t table);
uint32_t ledger_key_slot(uint64_t table, const uint64_t *values, size_t n);
// Keys of another kind than the first: what to pass for the table in the two above, for a column
// that is a key of its own; and the slot of all these keys of a table.
uint64_t ledger_column(uint64_t table, struct slice column);
uint32_t ledger_columns_slot(uint64_t table);

// ---- Any thread -------------------------------------------------------------------------------

// A stamp for a fill whose query has NOT been sent yet; false when the ledger is off (then the
// reply may not be stored).
bool ledger_stamp(const struct ledger *ledger, struct stamp *out);

// May an entry with this stamp and these dependencies be served now? All instants are clock_us().
//   now_us            the caller's clock; may be as old as its loop turn
//   max_staleness_us  the bound (P5)
//   after_us          when this session last read around the cache (the instant its answer had
//                     arrived), or INT64_MIN when it never did
enum ledger_verdict ledger_judge(const struct ledger *ledger, struct stamp stamp,
                                 const uint32_t *slots, size_t n, int64_t now_us,
                                 int64_t max_staleness_us, int64_t after_us);

// What is known of these dependencies now.
struct ledger_known {
    bool settled;      // every own write to them that was answered has its place, and there is no
                       // barrier: the rest knows of each such write
    struct stamp need; // a fill with a stamp from before this is dead already
    uint64_t touched;  // grows with each own write that may touch them, before it is answered, and
                       // with each event of theirs. (Positions do not tell as much: that of one
                       // write may be taken when the next one's commit is in the WAL already, and
                       // both are the same then.)
};
struct ledger_known ledger_look(const struct ledger *ledger, const uint32_t *slots, size_t n);

// The latest such moment; INT64_MIN: there was none.
int64_t ledger_forgotten_us(const struct ledger *ledger, const uint32_t *slots, size_t n);
// How many commits, or own writes, have touched it since the start; collisions count.
uint32_t ledger_events(const struct ledger *ledger, uint32_t slot);

bool ledger_is_on(const struct ledger *ledger);
uint64_t ledger_epoch(const struct ledger *ledger);   // even while on, odd while off
uint64_t ledger_stable(const struct ledger *ledger);  // meaningless while off
int64_t ledger_fresh_us(const struct ledger *ledger); // INT64_MIN when unknown
uint32_t ledger_barriers(const struct ledger *ledger);
enum ledger_off_reason ledger_off_reason(const struct ledger *ledger);

// ---- Workers, before the client gets its answer ------------------------------------------------

// An own write touched these tables: no hits on them until the control thread has settled a ticket
// (follower.h) with the same slots. Closings are counted: n closings want n settlings.
void ledger_close(struct ledger *ledger, const uint32_t *slots, size_t n);

// An own write may have touched anything: no hits at all until it is lowered again.
void ledger_raise_barrier(struct ledger *ledger);

// Entries of these tables, or with n = 0 all, that were asked for before now_us are not to be taken
// by their ttl any more (judging knows nothing of that: see the two below).
void ledger_forget(struct ledger *ledger, const uint32_t *slots, size_t n, int64_t now_us);

// Ends every entry (epoch moves on). Also by a worker after its own DDL, before the answer.
void ledger_flush(struct ledger *ledger);

// ---- The control thread ------------------------------------------------------------------------

// Places own writes: raises the slots to position (at least the commit's), then opens them once.
// Position 0 only opens: allowed when the ledger has been turned off since they were closed.
void ledger_settle(struct ledger *ledger, const uint32_t *slots, size_t n, uint64_t position);
// Opens them once and raises nothing: what was written has come as events meanwhile.
void ledger_open(struct ledger *ledger, const uint32_t *slots, size_t n);
void ledger_lower_barrier(struct ledger *ledger);

// A commit at position touched this slot. Events must be entered before a freshness that covers
// them, and before a barrier that waits for them is lowered.
void ledger_event(struct ledger *ledger, uint32_t slot, uint64_t position);

// The same for every slot: a commit that touched too much to tell. (A flush would not do: a fill
// that begins after it may still not see that commit.)
void ledger_event_all(struct ledger *ledger, uint64_t position);

void ledger_advance(struct ledger *ledger, uint64_t stable);         // never backwards
void ledger_freshen(struct ledger *ledger, int64_t instant_us);      // never backwards; while on
// Forgets all positions: a new stream begins, perhaps of another timeline or cluster. Must be off.
void ledger_reset(struct ledger *ledger);
// Must be off. Every commit above `stable` must have been, or will be, entered since the reset.
void ledger_turn_on(struct ledger *ledger, uint64_t stable);
void ledger_turn_off(struct ledger *ledger, enum ledger_off_reason reason); // also changes a reason
