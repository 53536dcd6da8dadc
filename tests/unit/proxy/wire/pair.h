// SPDX-License-Identifier: Apache-2.0
// A conn and the other end of its socket, with buffers as small as the system allows.
#pragma once
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "proxy/wire/conn.h"

struct pair {
    struct conn conn;
    int peer;
    struct ev_loop *loop;
};

static inline void pair_nothing(struct ev_loop *loop, ev_io *io, int events)
{
}

static inline void pair_open(struct pair *pair, conn_callback readable, conn_callback writable)
{
    int fds[2], small = 1;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    pair->peer = fds[1];
    pair->loop = ev_loop_new(0);
    conn_init(&pair->conn, fds[0], readable ? readable : pair_nothing,
              writable ? writable : pair_nothing, pair);
}

static inline void pair_close(struct pair *pair)
{
    conn_close(&pair->conn);
    close(pair->peer);
    ev_loop_destroy(pair->loop);
}

// What the peer finds to read, at most n bytes; 0 when there is nothing.
static inline size_t pair_peer_read(struct pair *pair, uint8_t *at, size_t n)
{
    ssize_t got = read(pair->peer, at, n);
    return got > 0 ? (size_t)got : 0;
}
