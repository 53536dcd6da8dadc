// SPDX-License-Identifier: Apache-2.0
// A data connection: its socket, its two watchers, what came in and is not handled yet, and what
// must go out and was not taken yet. An idle connection holds no buffer. Owned by the client or
// server that embeds it; touched only by the worker whose loop it is in.
//
// Reading: conn_read() gives everything at hand as one run of bytes, conn_keep() says which tail
// of it could not be handled yet. Between the two nothing else may read on this worker, because
// the run usually lies in the worker's shared area.
//
// With TLS (tls.h) these are the clear bytes; what waits in `out` is encrypted already.
#pragma once
#include <ev.h>

#include "base/buf.h"

struct sender;
struct tls;

enum { CONN_AREA_BYTES = 64 * 1024 };

typedef void (*conn_callback)(struct ev_loop *, ev_io *, int);

struct conn {
    int fd;
    bool given;            // another process has it, too: nothing is written (takeover/handover.h)
    bool held;             // nothing is read until it is let go (SUSPEND)
    bool reads;            // ... and whether it is then
    bool from_area;        // where the run of the current conn_read() lies
    struct ev_loop *loop;  // borrows; NULL while it is in no loop
    struct tls *tls;       // owns; NULL: it speaks in the clear
    struct buf in;         // owns; bytes received and not handled
    struct buf out;        // owns; bytes not taken by the socket; sent first
    uint32_t out_sent;     // of out, already taken
    uint32_t room;         // read at most so much at a time; CONN_AREA_BYTES, but of strangers
    struct sender *posted; // borrows; it has bytes for this conn that go out first; NULL: none has
    uint32_t received, sent; // bytes, since a client's were added to the tally last
    ev_io readable;
    ev_io *writable;          // owns; NULL: its socket has always taken everything
    conn_callback on_writable;
};

// fd is non-blocking and becomes the conn's. data: what the watchers carry.
void conn_init(struct conn *conn, int fd, conn_callback readable, conn_callback writable,
               void *data);
void conn_close(struct conn *conn); // may be called twice

void conn_attach(struct conn *conn, struct ev_loop *loop); // starts reading
void conn_detach(struct conn *conn);                       // leaves the loop, keeps the socket
void conn_want_read_otherwise(struct conn *conn, bool wanted);
static inline void conn_want_read(struct conn *conn, bool wanted) // backpressure
{
    if (conn->loop != NULL && (conn->reads != wanted || conn->tls != NULL))
        conn_want_read_otherwise(conn, wanted);
}

void conn_await_writable(struct conn *conn);               // it is in a loop
// Another one is called from now on. It may be called in place of itself.
void conn_set_writable(struct conn *conn, conn_callback writable);

// Stops reading, whatever is wanted, or goes on as wanted. Writing goes on.
void conn_hold(struct conn *conn, bool held);

enum conn_result { CONN_OK, CONN_AGAIN, CONN_EOF, CONN_ERROR /* errno */ };

// area: CONN_AREA_BYTES of the worker's. On CONN_OK *run is everything not handled so far.
enum conn_result conn_read(struct conn *conn, uint8_t *area, struct slice *run);
// What was received earlier and kept, without reading; follow it by conn_keep as well.
struct slice conn_kept(struct conn *conn);
// rest: the tail of the run that is to be seen again by the next conn_read.
void conn_keep_some(struct conn *conn, struct slice rest);
static inline void conn_keep(struct conn *conn, struct slice rest)
{
    if (conn->from_area && rest.len == 0) // the usual case
        conn->from_area = false;
    else
        conn_keep_some(conn, rest);
}

static inline bool conn_has_output(const struct conn *conn)
{
    return conn->out.len > conn->out_sent;
}

static inline bool conn_awaits_writable(const struct conn *conn)
{
    return conn->writable != NULL && ev_is_active(conn->writable);
}

// Sends what is queued; when the socket does not take all of it, waits for it to be writable. Once
// all is gone the writable watcher is called, also where it was not the one to send it; one that
// stops itself before it flushes is not called again.
enum conn_result conn_flush(struct conn *conn);
// What a sender has for it goes out, or is queued.
void conn_send_posted(struct conn *conn);
// Queues and flushes: what the socket takes at once is not copied.
enum conn_result conn_say(struct conn *conn, struct slice bytes);
// Queues bytes (copied) behind what is queued already.
void conn_queue(struct conn *conn, struct slice bytes);
// The same of what is to go out as it is; for tls.c.
void conn_append(struct conn *conn, struct slice raw);
