// SPDX-License-Identifier: Apache-2.0
// Collects what one turn has to say to one connection and says it with one system call. Large runs
// are borrowed from where they lie (the worker's area, a cache entry) and only copied when the
// socket does not take them; small ones are copied together.
//
// Owned by a worker, which has one for clients and one for servers. begin ... flush brackets the
// use for one connection; borrowed bytes must live until the flush.
#pragma once
#include <sys/uio.h>

#include "proxy/wire/conn.h"

enum { SENDER_RUNS = 64, SENDER_SCRATCH_BYTES = 32 * 1024, SENDER_SMALL_BYTES = 2048 };

struct sender {
    struct conn *conn; // borrows; NULL outside begin ... flush
    struct iovec runs[SENDER_RUNS];
    int count;
    const uint8_t *end; // of the last run; NULL: there is none
    size_t scratch_used;
    bool failed; // the connection is broken: what follows is dropped
    uint8_t scratch[SENDER_SCRATCH_BYTES];
};

void sender_begin(struct sender *s, struct conn *conn);
// Always copied: for bytes that do not live until the flush.
void sender_copy(struct sender *s, struct slice bytes);
// n bytes (at most SENDER_SMALL_BYTES) that the caller fills in at once.
uint8_t *sender_room(struct sender *s, size_t n);
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
// Ends the bracket as flush does.
bool sender_end(struct sender *s);
