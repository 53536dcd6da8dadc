// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "config/settings.h"

enum { DEFER_ACCEPT_S = 45 }; // as PgBouncer has it

static void set_tcp(int fd, int name, int value)
{
    if (value > 0)
        setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value));
}

static void set_buffers(int fd, const struct settings *settings)
{
    int bytes = (int)settings->tcp_socket_buffer_bytes;
    if (bytes > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    }
}

void socket_tune(int fd, bool local, const struct settings *settings)
{
    set_buffers(fd, settings);
    if (local)
        return;
    set_tcp(fd, TCP_NODELAY, 1);
    set_tcp(fd, TCP_USER_TIMEOUT, settings->tcp_user_timeout_ms);
    if (!settings->tcp_keepalive)
        return;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    set_tcp(fd, TCP_KEEPCNT, settings->tcp_keepcnt);
    set_tcp(fd, TCP_KEEPIDLE, settings->tcp_keepidle_s);
    set_tcp(fd, TCP_KEEPINTVL, settings->tcp_keepintvl_s);
}

// 0: what the system gives a socket that nothing was said about.
static void set_or_default(int fd, int fresh, int name, int value)
{
    socklen_t length = sizeof(value);
    if (value > 0 || getsockopt(fresh, IPPROTO_TCP, name, &value, &length) == 0)
        setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value));
}

void socket_tune_listening(int fd, const struct settings *settings)
{
    int fresh = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int keeps_alive = settings->tcp_keepalive;
    set_tcp(fd, TCP_NODELAY, 1);
    set_or_default(fd, fresh, TCP_USER_TIMEOUT, settings->tcp_user_timeout_ms);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keeps_alive, sizeof(keeps_alive));
    set_or_default(fd, fresh, TCP_KEEPCNT, settings->tcp_keepcnt);
    set_or_default(fd, fresh, TCP_KEEPIDLE, settings->tcp_keepidle_s);
    set_or_default(fd, fresh, TCP_KEEPINTVL, settings->tcp_keepintvl_s);
    if (fresh >= 0)
        close(fresh);
}

void socket_tune_accepted(int fd, const struct settings *settings)
{
    set_buffers(fd, settings); // a buffer that was set once stays: not of the listening one
}

void socket_acknowledge(int fd)
{
    set_tcp(fd, TCP_QUICKACK, 1);
}

void socket_defer_accept(int fd, bool defer)
{
    int seconds = defer ? DEFER_ACCEPT_S : 0;
    setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
}
