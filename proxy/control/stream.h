// SPDX-License-Identifier: Apache-2.0
// The replication connection of one database: logs in with replication=database, creates a
// temporary logical slot with test_decoding, and hands each message of the stream to its listener.
// The slot dies with the connection, so the server never keeps WAL for a proxy that is gone.
//
// Owner: the control thread; all of it is asynchronous (libpq non-blocking, libev watchers) except
// the name lookup of libpq's connect. It decides nothing about positions: that is
// cache/follower.h; reconnecting is following.h.
#pragma once
#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct stream;

// What the stream says. Calls come from the loop, never from within stream_open()/stream_ask().
// A listener may free the stream only in lost(), where it is already closed.
struct stream_listener {
    // The slot exists: everything that commits at or after consistent_point will be reported.
    void (*ready)(void *arg, uint64_t consistent_point, uint64_t system);
    // One XLogData message; bytes borrowed, only the first STREAM_LINE_BYTES of a longer line.
    void (*data)(void *arg, uint64_t start, uint64_t end, struct slice bytes);
    void (*keepalive)(void *arg, uint64_t wal_end);
    // The connection is gone or never came to be; reason is one line, borrowed. lasting: trying
    // again soon will hardly help (no privilege, wal_level), so the pause may be long.
    void (*lost)(void *arg, const char *reason, bool lasting);
    // The messages that were there to read have been read: time to ask what to do next.
    void (*drained)(void *arg);
    void *arg;
};

// A line's names stand at its start; a name has at most 63 bytes, 127 quoted, and a TRUNCATE may
// name many tables on one line.
enum { STREAM_LINE_BYTES = 65536 };

// conninfo as libpq keywords and values (NULL-terminated arrays, copied by libpq), without
// replication and options that this file adds.
struct stream *stream_open(struct ev_loop *loop, const char *const *keywords,
                           const char *const *values, const struct stream_listener *listener);

// Closes the connection, and with it the slot; the listener hears nothing more. NULL is fine.
void stream_close(struct stream *stream);

// After ready(): start sending from the consistent point.
void stream_start(struct stream *stream);

// Asks the walsender to say where it is (a keepalive comes back).
void stream_ask(struct stream *stream);

const char *stream_slot(const struct stream *stream); // name of the slot; "" before it exists
