// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/sender.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "proxy/wire/socket.h"
#include "proxy/wire/tls.h"

void sender_begin(struct sender *s, struct conn *conn)
{
    CHECK(s->conn == NULL && s->count == 0);
    s->conn = conn;
    s->failed = false;
    s->end = NULL;
}

static void add_run(struct sender *s, const uint8_t *at, size_t len)
{
    if (s->end == at && s->end != NULL) {
        s->runs[s->count - 1].iov_len += len;
    } else {
        if (s->count == SENDER_RUNS)
            sender_flush(s);
        s->runs[s->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = len};
    }
    s->end = at + len;
}

uint8_t *sender_room_apart(struct sender *s, size_t n)
{
    CHECK(n <= SENDER_SMALL_BYTES);
    // Flushed first, if need be: a flush once the bytes count would take their place away.
    if (SENDER_SCRATCH_BYTES - s->scratch_used < n || s->count == SENDER_RUNS)
        sender_flush(s);
    uint8_t *at = s->scratch + s->scratch_used;
    s->scratch_used += n;
    add_run(s, at, n);
    return at;
}

void sender_copy(struct sender *s, struct slice bytes)
{
    while (bytes.len > 0) {
        size_t n = bytes.len < SENDER_SMALL_BYTES ? bytes.len : SENDER_SMALL_BYTES;
        memcpy(sender_room(s, n), bytes.at, n);
        bytes = slice_skip(bytes, n);
    }
}

void sender_put_apart(struct sender *s, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    bool behind_small = s->end == s->scratch + s->scratch_used;
    if (bytes.len <= SENDER_SMALL_BYTES && behind_small)
        memcpy(sender_room(s, bytes.len), bytes.at, bytes.len);
    else
        add_run(s, bytes.at, bytes.len);
}

// What the socket did not take waits in the conn until it is writable.
static void keep_unsent(struct conn *conn, const struct iovec *runs, int count, size_t sent)
{
    int i = 0;
    while (i < count && sent >= runs[i].iov_len)
        sent -= runs[i++].iov_len;
    for (; i < count; i++) {
        conn_queue(conn, slice_of((uint8_t *)runs[i].iov_base + sent, runs[i].iov_len - sent));
        sent = 0;
    }
    if (conn_has_output(conn) && conn->loop != NULL)
        conn_await_writable(conn);
}

static bool send_encrypted(struct conn *conn, const struct iovec *runs, int count)
{
    for (int i = 0; i < count; i++)
        tls_write(conn->tls, slice_of(runs[i].iov_base, runs[i].iov_len));
    return conn_flush(conn) != CONN_ERROR;
}

// False: the connection is broken.
static bool send_runs(struct conn *conn, struct iovec *runs, int count)
{
    ssize_t put = 0;
    if (conn->given)
        return true; // not ours to write to
    if (conn->tls != NULL)
        return send_encrypted(conn, runs, count);
    if (!conn_has_output(conn)) {
        do {
            if (count == 1) {
                put = socket_send(conn->fd, runs[0].iov_base, runs[0].iov_len);
            } else {
                struct msghdr message = {.msg_iov = runs, .msg_iovlen = (size_t)count};
                put = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
            }
        } while (put < 0 && errno == EINTR);
        if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            put = 0;
    }
    if (put < 0)
        return false;
    conn->sent += (uint32_t)put;
    if (count > 1 || (size_t)put < runs[0].iov_len)
        keep_unsent(conn, runs, count, (size_t)put);
    return true;
}

// ---- posting ----

void sender_send_posted(struct sender *s)
{
    for (int i = 0; i < s->posted; i++)
        s->posts[i].conn->posted = NULL; // whatever is queued meanwhile is behind it
    for (int i = 0; i < s->posted; i++) {
        struct conn *conn = s->posts[i].conn;
        struct iovec run = {.iov_base = s->scratch + s->posts[i].at, .iov_len = s->posts[i].len};
        if (!send_runs(conn, &run, 1))
            ev_feed_event(conn->loop, &conn->readable, EV_READ);
    }
    s->posted = 0;
    if (s->count == 0)
        s->scratch_used = 0;
}

static size_t total(const struct sender *s)
{
    size_t bytes = 0;
    for (int i = 0; i < s->count; i++)
        bytes += s->runs[i].iov_len;
    return bytes;
}

// Copied to where small runs lie; false: there is no room.
static bool gather(struct sender *s, size_t bytes)
{
    if (SENDER_SCRATCH_BYTES - s->scratch_used < bytes)
        return false;
    uint8_t *to = s->scratch + s->scratch_used;
    s->scratch_used += bytes;
    if (s->count == 1) {
        memcpy(to, s->runs[0].iov_base, bytes);
        return true;
    }
    for (int i = 0; i < s->count; i++) {
        memcpy(to, s->runs[i].iov_base, s->runs[i].iov_len);
        to += s->runs[i].iov_len;
    }
    return true;
}

// False: it must be sent now.
static bool post(struct sender *s)
{
    struct conn *conn = s->conn;
    bool first = conn->posted == NULL;
    if (s->posted == SENDER_POSTS || conn_has_output(conn) || conn->loop == NULL ||
        (!first && conn->posted != s))
        return false;
    size_t bytes = s->count == 1 ? s->runs[0].iov_len : total(s);
    bool there = s->count == 1 && s->end == s->scratch + s->scratch_used;
    if (bytes > SENDER_SMALL_BYTES || (!there && !gather(s, bytes)))
        return false;
    uint32_t at = (uint32_t)(s->scratch_used - bytes);
    if (!first && s->posts[s->posted - 1].conn == conn &&
        s->posts[s->posted - 1].at + s->posts[s->posted - 1].len == at) {
        s->posts[s->posted - 1].len += (uint32_t)bytes;
        return true;
    }
    s->posts[s->posted].conn = conn;
    s->posts[s->posted].at = at;
    s->posts[s->posted++].len = (uint32_t)bytes;
    conn->posted = s;
    return true;
}

bool sender_flush(struct sender *s)
{
    CHECK(s->conn != NULL);
    sender_send_posted(s);
    if (s->conn->posted != NULL)
        sender_send_posted(s->conn->posted);
    if (s->count > 0 && !s->failed)
        s->failed = !send_runs(s->conn, s->runs, s->count);
    s->count = 0;
    s->end = NULL;
    s->scratch_used = 0;
    return !s->failed;
}

bool sender_end(struct sender *s)
{
    bool ok = !s->failed;
    if (s->count > 0 && (s->failed || !post(s)))
        ok = sender_flush(s);
    s->count = 0;
    s->end = NULL;
    s->conn = NULL;
    return ok;
}
