// SPDX-License-Identifier: Apache-2.0
// The follower's stand-in where no WAL is read. With invalidation = proxy, by the user's word,
// nothing but this proxy writes, so own writes are all the events there are. With invalidation =
// notify, notifications tell of the others. Positions are a count of our own: each placed write and
// each notification is one. Pure: no I/O, time is passed in.
//
// Why this is right: a worker closes a write's slots after the server has answered the commit and
// before the client hears of it. A fill that read the old rows took its stamp before that, so from
// is below the number that the write gets when it is placed, and the fill is dead; a stamp that
// reaches that number is taken after placing, when the commit is visible to every new snapshot. A
// write with unknown effects ends every entry before its barrier is lowered.
//
// A write in doubt (its client or connection was lost before the answer to its commit) is placed
// only once the server's process that may yet commit it is gone: placed earlier, a fill could read
// the old rows after that, and nothing would ever end it. It outlives losses of the connection.
//
// A notification comes after the commit is visible (a listener is not given what a snapshot of its
// own does not show), so what began to be filled before it is dead, and what begins after it is
// new. Freshness: a server process tells what it was signalled before it reads another command, and
// PostgreSQL signals before it acknowledges the commit. So once a reading is answered, everything
// acknowledged before the reading BEFORE it was sent has been told.
//
// Owner: the control thread. The ledger is turned off by whoever loses the connection.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cache/follower.h"

struct own_writes;

struct own_writes *own_writes_new(struct ledger *ledger, int64_t max_staleness_us); // borrows
void own_writes_free(struct own_writes *o);
void own_writes_set_max_staleness(struct own_writes *o, int64_t max_staleness_us);

// The control connection stands; the ledger is off. told: it listens, on the readings' connection.
void own_writes_begin(struct own_writes *o, bool told);
void own_writes_lost(struct own_writes *o);  // it does not, and the ledger is off
void own_writes_ticket(struct own_writes *o, struct ticket *ticket); // takes it over; any time

// A notification: of these slots, or (n = 0) of anything.
void own_writes_told(struct own_writes *o, const uint32_t *slots, size_t n);

// Readings only tell that the schema is the same, and, with notifications, how far we have heard.
void own_writes_reading_sent(struct own_writes *o, int64_t now_us);
void own_writes_reading(struct own_writes *o, int64_t now_us, bool schema_same);

// Which processes of the server still live must be asked at this instant; INT64_MAX: need not.
int64_t own_writes_doubts_due_us(const struct own_writes *o);
// Right before the question is sent: appends the pids in question, as an array literal, and a NUL.
void own_writes_doubts_sent(struct own_writes *o, int64_t now_us, struct buf *pids);
void own_writes_doubts(struct own_writes *o, const uint32_t *alive, size_t n); // the answer

struct follower_wishes own_writes_wants(const struct own_writes *o, bool hurry, int64_t now_us);
