// SPDX-License-Identifier: Apache-2.0
// Collects what one turn has to say to one connection and says it with one system call. Large runs
// are borrowed from where they lie (the worker's area, a cache entry) and only copied when the
// socket does not take them; small ones are copied together.
//
// What is short is posted: it is sent when all events of the turn have been handled. So everything
// readable is read before anybody is woken by an answer, and more is readable the next time: fewer
// turns, fewer switches between processes. A posted connection tells its sender (conn.posted), and
// nothing overtakes what was posted: all that queues, flushes, closes or detaches sends it first.
//
// Owned by a worker, which has one for clients and one for servers. begin ... end brackets the
// use for one connection; borrowed bytes must live until the end, or a flush before it.
#pragma once
#include <sys/uio.h>

#include "proxy/wire/conn.h"

enum {
    SENDER_RUNS = 64,
    SENDER_POSTS = 64,
    SENDER_SCRATCH_BYTES = 64 * 1024,
    SENDER_SMALL_BYTES = 2048, // also of what is posted
};

struct sender {
    struct conn *conn; // borrows; NULL outside begin ... end
    struct iovec runs[SENDER_RUNS];
    int count;
    const uint8_t *end; // of the last run; NULL: there is none
    int posted;
    struct {
        struct conn *conn; // borrows
        uint32_t at, len;  // in scratch
    } posts[SENDER_POSTS];
    size_t scratch_used;
    bool failed; // the connection is broken: what follows is dropped
    uint8_t scratch[SENDER_SCRATCH_BYTES];
};

void sender_begin(struct sender *s, struct conn *conn);
// Always copied: for bytes that do not live until the flush.
void sender_copy(struct sender *s, struct slice bytes);
// n bytes (at most SENDER_SMALL_BYTES) that the caller fills in at once.
uint8_t *sender_room_apart(struct sender *s, size_t n);
static inline uint8_t *sender_room(struct sender *s, size_t n)
{
    uint8_t *at = s->scratch + s->scratch_used;
    if (s->end != at || SENDER_SCRATCH_BYTES - s->scratch_used < n || n > SENDER_SMALL_BYTES)
        return sender_room_apart(s, n);
    s->runs[s->count - 1].iov_len += n; // small ones in a row are one run
    s->scratch_used += n;
    s->end = at + n;
    return at;
}
// Borrowed or copied, see above.
void sender_put_apart(struct sender *s, struct slice bytes);
static inline void sender_put(struct sender *s, struct slice bytes)
{
    if (s->end == bytes.at && s->end != NULL) { // the run goes on: the usual case
        s->runs[s->count - 1].iov_len += bytes.len;
        s->end += bytes.len;
        return;
    }
    sender_put_apart(s, bytes);
}
// Sends. False: the connection is broken (errno), and its owner must close it.
bool sender_flush(struct sender *s);
// Ends the bracket; the bytes are posted, or sent as by flush.
bool sender_end(struct sender *s);
// Sends what is posted. A connection that turns out to be broken is made readable: its owner
// learns of it where it learns of all ends.
void sender_send_posted(struct sender *s);
