// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/sender.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"

void sender_begin(struct sender *s, struct conn *conn)
{
    CHECK(s->conn == NULL);
    s->conn = conn;
    s->count = 0;
    s->scratch_used = 0;
    s->failed = false;
}

static void add_run(struct sender *s, const void *at, size_t len)
{
    if (s->count > 0) {
        struct iovec *last = &s->runs[s->count - 1];
        if ((const uint8_t *)last->iov_base + last->iov_len == at) {
            last->iov_len += len;
            return;
        }
    }
    if (s->count == SENDER_RUNS)
        sender_flush(s);
    s->runs[s->count++] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = len};
}

void sender_copy(struct sender *s, struct slice bytes)
{
    while (bytes.len > 0) {
        if (s->scratch_used == SENDER_SCRATCH_BYTES)
            sender_flush(s);
        size_t room = SENDER_SCRATCH_BYTES - s->scratch_used;
        size_t n = bytes.len < room ? bytes.len : room;
        // The run is added before the bytes count as used: a flush on the way resets the scratch.
        if (s->count == SENDER_RUNS) {
            sender_flush(s);
            continue;
        }
        uint8_t *at = s->scratch + s->scratch_used;
        memcpy(at, bytes.at, n);
        s->scratch_used += n;
        add_run(s, at, n);
        bytes = slice_of(bytes.at + n, bytes.len - n);
    }
}

static bool ends_in_scratch(const struct sender *s)
{
    if (s->count == 0)
        return false;
    const struct iovec *last = &s->runs[s->count - 1];
    return (const uint8_t *)last->iov_base + last->iov_len == s->scratch + s->scratch_used;
}

void sender_put(struct sender *s, struct slice bytes)
{
    if (bytes.len == 0)
        return;
    if (bytes.len <= SENDER_SMALL_BYTES && ends_in_scratch(s))
        sender_copy(s, bytes);
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
    s->count = 0;
    s->scratch_used = 0;
    return !s->failed;
}

bool sender_end(struct sender *s)
{
    bool ok = sender_flush(s);
    s->conn = NULL;
    return ok;
}
