// SPDX-License-Identifier: Apache-2.0
// The replication connection of one database: logs in with replication=database, creates a
// temporary logical slot with test_decoding, or with pgoutput for a publication, and hands each
// message of the stream to its listener.
// The slot dies with the connection, so the server never keeps WAL for a proxy that is gone. Names
// come in the server's encoding.
//
// Owner: the control thread; all of it is asynchronous but for the name lookup (connection.h). It
// decides nothing about positions: that is cache/follower.h; reconnecting is following.h's.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "cache/ledger.h"

struct stream;

// What the stream says; always from the loop, never from within a call of the owner. The owner may
// close the stream in any of these.
struct stream_listener {
    // The slot exists: everything that commits after consistent_point will be reported.
    void (*ready)(void *arg, uint64_t consistent_point, uint64_t system);
    // One XLogData message; bytes are borrowed for the call. The position of the last commit that
    // came; 0: the owner has closed the stream.
    uint64_t (*data)(void *arg, uint64_t lsn, struct slice bytes);
    bool (*keepalive)(void *arg, uint64_t wal_end); // false: likewise
    // What was there to read has been read.
    void (*drained)(void *arg);
    // The connection is gone or never came to be; sentence is one line, borrowed. Close it.
    void (*lost)(void *arg, enum ledger_off_reason why, const char *sentence);
    void *arg;
};

// keywords, values: as for libpq, NULL-terminated, without replication. publication: copied; empty:
// test_decoding. Whether it exists the server says when it decodes the first change.
struct stream *stream_open(struct ev_loop *loop, const char *const *keywords,
                           const char *const *values, const char *publication,
                           const struct stream_listener *listener);

// Closes the connection, and with it the slot; the listener hears nothing more. NULL is fine.
void stream_close(struct stream *stream);

// After ready(): start sending from the consistent point.
void stream_start(struct stream *stream);

// Asks the WAL sender to say where it is; a keepalive comes back. Only after stream_start().
void stream_ask(struct stream *stream);

const char *stream_slot(const struct stream *stream); // name of the slot
struct stream_names {
    char slot[64];
    char plugin[16];      // that decodes for it
    char publication[64]; // "": none
};
struct stream_names stream_names(const struct stream *stream);
