// SPDX-License-Identifier: Apache-2.0
// What is set on a data socket, and the two calls that all bytes go through. Any thread. (Who is at
// its other end: session/origin.h.)
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct settings;

// recv() without flags and send() with MSG_NOSIGNAL, errno and all. Around its own ones glibc makes
// the thread ready to be cancelled, which nobody here does, and which costs more than all else on
// this side of the call. Sanitizers have to see the real ones.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static inline ssize_t socket_receive(int fd, void *at, size_t room)
{
    return recv(fd, at, room, 0);
}

static inline ssize_t socket_send(int fd, const void *at, size_t len)
{
    return send(fd, at, len, MSG_NOSIGNAL);
}
#else
static inline ssize_t socket_receive(int fd, void *at, size_t room)
{
    return syscall(SYS_recvfrom, fd, at, room, 0, NULL, NULL);
}

static inline ssize_t socket_send(int fd, const void *at, size_t len)
{
    return syscall(SYS_sendto, fd, at, len, MSG_NOSIGNAL, NULL, 0);
}
#endif

// The tcp_* settings; of a unix socket only the buffer size.
void socket_tune(int fd, bool local, const struct settings *settings);
// The same for clients, in two parts: of a listening TCP socket what those that are accepted from
// it have from it, and may be set anew; and of each one, TCP or not, what is left.
void socket_tune_listening(int fd, const struct settings *settings);
void socket_tune_accepted(int fd, const struct settings *settings);
// What has come is acknowledged at once, not with what we say next: the other side may hold back
// its next words until then (Nagle's algorithm). Nothing for a unix socket.
void socket_acknowledge(int fd);
// TCP_DEFER_ACCEPT of a listening TCP socket: a client is seen once it has said something.
void socket_defer_accept(int fd, bool defer);
