// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/sender.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"

static void clear(struct sender *s)
{
    s->count = 0;
    s->end = NULL;
    s->scratch_used = 0;
}

void sender_begin(struct sender *s, struct conn *conn)
{
    CHECK(s->conn == NULL);
    s->conn = conn;
    s->failed = false;
    clear(s);
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

uint8_t *sender_room(struct sender *s, size_t n)
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

static size_t skip_sent(struct sender *s, size_t sent)
{
    int i = 0;
    while (i < s->count && sent >= s->runs[i].iov_len)
        sent -= s->runs[i++].iov_len;
    for (; i < s->count; i++) {
        conn_queue(s->conn,
                   slice_of((uint8_t *)s->runs[i].iov_base + sent, s->runs[i].iov_len - sent));
        sent = 0;
    }
    return s->conn->out.len;
}

static ssize_t send_runs(struct sender *s)
{
    ssize_t put;
    do {
        if (s->count == 1) {
            put = send(s->conn->fd, s->runs[0].iov_base, s->runs[0].iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr message = {.msg_iov = s->runs, .msg_iovlen = (size_t)s->count};
            put = sendmsg(s->conn->fd, &message, MSG_NOSIGNAL);
        }
    } while (put < 0 && errno == EINTR);
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        put = 0;
    return put;
}

bool sender_flush(struct sender *s)
{
    CHECK(s->conn != NULL);
    if (s->count > 0 && !s->failed) {
        ssize_t put = 0;
        if (!conn_has_output(s->conn))
            put = send_runs(s);
        if (put < 0) {
            s->failed = true;
        } else {
            s->conn->sent += (uint64_t)put;
            if (skip_sent(s, (size_t)put) > 0 && s->conn->loop != NULL)
                ev_io_start(s->conn->loop, &s->conn->writable);
        }
    }
    clear(s);
    return !s->failed;
}

bool sender_end(struct sender *s)
{
    bool ok = sender_flush(s);
    s->conn = NULL;
    return ok;
}
