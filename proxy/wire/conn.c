// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "proxy/wire/sender.h"
#include "proxy/wire/socket.h"
#include "proxy/wire/tls.h"

void conn_init(struct conn *conn, int fd, conn_callback readable, conn_callback writable,
               void *data)
{
    *conn = (struct conn){.fd = fd, .room = CONN_AREA_BYTES, .on_writable = writable};
    ev_io_init(&conn->readable, readable, fd, EV_READ);
    conn->readable.data = data;
}

void conn_await_writable(struct conn *conn)
{
    if (conn->writable == NULL) {
        conn->writable = mem_new(ev_io);
        ev_io_init(conn->writable, conn->on_writable, conn->fd, EV_WRITE);
        conn->writable->data = conn->readable.data;
    }
    ev_io_start(conn->loop, conn->writable);
}

void conn_set_writable(struct conn *conn, conn_callback writable)
{
    conn->on_writable = writable;
    if (conn->writable != NULL)
        ev_set_cb(conn->writable, writable);
}

void conn_send_posted(struct conn *conn)
{
    if (conn->posted != NULL)
        sender_send_posted(conn->posted);
}

void conn_close(struct conn *conn)
{
    if (conn->fd < 0)
        return;
    conn_detach(conn); // what is posted goes out before
    if (conn->tls != NULL) {
        tls_free(&conn->tls);
        conn_flush(conn); // its last word, if the socket takes it
    }
    close(conn->fd);
    conn->fd = -1;
    mem_free(conn->writable);
    conn->writable = NULL;
    buf_fini(&conn->in);
    buf_fini(&conn->out);
    conn->out_sent = 0;
}

static void read_or_not(struct conn *conn);

void conn_attach(struct conn *conn, struct ev_loop *loop)
{
    CHECK(conn->loop == NULL);
    conn->loop = loop;
    conn->reads = true;
    read_or_not(conn);
    if (conn_has_output(conn))
        conn_await_writable(conn);
}

void conn_detach(struct conn *conn)
{
    if (conn->loop == NULL)
        return;
    conn_send_posted(conn);
    ev_io_stop(conn->loop, &conn->readable);
    if (conn->writable != NULL)
        ev_io_stop(conn->loop, conn->writable);
    conn->loop = NULL;
}

static void read_or_not(struct conn *conn)
{
    if (conn->loop == NULL)
        return;
    if (!conn->reads || conn->held) {
        ev_io_stop(conn->loop, &conn->readable);
        return;
    }
    ev_io_start(conn->loop, &conn->readable);
    if (conn->tls != NULL && tls_has_more(conn->tls))
        ev_feed_event(conn->loop, &conn->readable, EV_READ); // the socket may never tell
}

void conn_want_read_otherwise(struct conn *conn, bool wanted)
{
    conn->reads = wanted;
    read_or_not(conn);
}

void conn_hold(struct conn *conn, bool held)
{
    conn->held = held;
    read_or_not(conn);
}

static ssize_t receive(struct conn *conn, uint8_t *at)
{
    ssize_t got;
    do {
        got = socket_receive(conn->fd, at, conn->room);
    } while (got < 0 && errno == EINTR);
    return got;
}

static ssize_t receive_tls(struct conn *conn, uint8_t *at)
{
    ssize_t got = tls_read(conn->tls, at, conn->room);
    if (tls_has_more(conn->tls) && ev_is_active(&conn->readable))
        ev_feed_event(conn->loop, &conn->readable, EV_READ);
    return got;
}

enum conn_result conn_read(struct conn *conn, uint8_t *area, struct slice *run)
{
    conn->from_area = conn->in.len == 0;
    uint8_t *at = conn->from_area ? area : buf_room(&conn->in, conn->room);
    ssize_t got = conn->tls == NULL ? receive(conn, at) : receive_tls(conn, at);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? CONN_AGAIN : CONN_ERROR;
    if (got == 0)
        return CONN_EOF;
    conn->received += (uint32_t)got;
    if (conn->from_area) {
        *run = slice_of(area, (size_t)got);
    } else {
        conn->in.len += (uint32_t)got;
        *run = buf_slice(&conn->in);
    }
    return CONN_OK;
}

struct slice conn_kept(struct conn *conn)
{
    conn->from_area = false;
    return buf_slice(&conn->in);
}

void conn_keep_some(struct conn *conn, struct slice rest)
{
    if (conn->from_area) {
        if (rest.len > 0)
            buf_put(&conn->in, rest);
        conn->from_area = false;
    } else if (rest.len == 0) {
        buf_fini(&conn->in);
    } else {
        CHECK(rest.len <= conn->in.len);
        buf_consume(&conn->in, conn->in.len - rest.len);
    }
}

enum conn_result conn_flush(struct conn *conn)
{
    conn_send_posted(conn);
    if (conn->given)
        return CONN_OK;
    while (conn_has_output(conn)) {
        ssize_t put = send(conn->fd, conn->out.at + conn->out_sent,
                           conn->out.len - conn->out_sent, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (conn->loop != NULL)
                conn_await_writable(conn);
            return CONN_AGAIN;
        }
        if (put < 0)
            return CONN_ERROR;
        conn->out_sent += (uint32_t)put;
        if (conn->tls == NULL) // else the clear bytes were counted
            conn->sent += (uint32_t)put;
    }
    buf_fini(&conn->out);
    conn->out_sent = 0;
    if (conn->loop != NULL && conn_awaits_writable(conn)) {
        // Whoever sent it: the owner waits for this, perhaps with another's reading stopped.
        ev_io_stop(conn->loop, conn->writable);
        ev_feed_event(conn->loop, conn->writable, EV_WRITE);
    }
    return CONN_OK;
}

void conn_append(struct conn *conn, struct slice raw)
{
    if (conn->out_sent > 0) {
        buf_consume(&conn->out, conn->out_sent);
        conn->out_sent = 0;
    }
    buf_put(&conn->out, raw);
}

enum conn_result conn_say(struct conn *conn, struct slice bytes)
{
    conn_send_posted(conn);
    if (conn->tls == NULL && !conn->given && !conn_has_output(conn)) {
        ssize_t put = socket_send(conn->fd, bytes.at, bytes.len);
        if (put > 0) {
            conn->sent += (uint32_t)put;
            bytes = slice_skip(bytes, (size_t)put);
        }
    }
    if (bytes.len == 0)
        return CONN_OK;
    conn_queue(conn, bytes);
    return conn_flush(conn);
}

void conn_queue(struct conn *conn, struct slice bytes)
{
    conn_send_posted(conn);
    if (conn->given)
        return;
    if (conn->tls != NULL)
        tls_write(conn->tls, bytes);
    else
        conn_append(conn, bytes);
}
