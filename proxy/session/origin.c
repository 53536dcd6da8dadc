// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/origin.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"

static void of_unix(struct origin *origin, int fd, int listen_port)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    origin->kind = ORIGIN_UNIX;
    origin->port = (uint16_t)listen_port;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
        origin->pid = peer.pid;
        origin->uid = peer.uid;
    }
}

union place {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage room;
};

// The file of a PostgreSQL socket ends with the port.
static uint16_t port_of_path(const struct sockaddr_un *local)
{
    const char *dot = strrchr(local->sun_path + 1, '.');
    return dot != NULL ? (uint16_t)atoi(dot + 1) : 0;
}

void origin_of_address(struct origin *origin, const struct sockaddr *address, socklen_t length)
{
    union place at = {.any = {.sa_family = AF_UNSPEC}};
    memcpy(&at, address, length < sizeof(at) ? length : sizeof(at) - 1);
    *origin = (struct origin){0};
    if (at.any.sa_family == AF_UNIX) {
        origin->kind = ORIGIN_UNIX;
        origin->port = port_of_path(&at.local);
    } else if (at.any.sa_family == AF_INET) {
        origin->kind = ORIGIN_IPV4;
        origin->port = ntohs(at.v4.sin_port);
        memcpy(origin->address, &at.v4.sin_addr, 4);
    } else if (at.any.sa_family == AF_INET6) {
        origin->kind = ORIGIN_IPV6;
        origin->port = ntohs(at.v6.sin6_port);
        memcpy(origin->address, &at.v6.sin6_addr, 16);
    }
}

void origin_of_own_end(struct origin *origin, int fd)
{
    union place here;
    memset(&here, 0, sizeof(here));
    socklen_t len = sizeof(here);
    *origin = (struct origin){0};
    if (fd >= 0 && getsockname(fd, &here.any, &len) == 0)
        origin_of_address(origin, &here.any, len);
}

static void of_other_end(struct origin *origin, int fd, const union place *from, socklen_t len,
                         int listen_port)
{
    if (from->any.sa_family == AF_UNIX)
        of_unix(origin, fd, listen_port);
    else
        origin_of_address(origin, &from->any, len);
}

void origin_of_socket(struct origin *origin, int fd, int listen_port)
{
    union place from;
    memset(&from, 0, sizeof(from));
    socklen_t len = sizeof(from);
    *origin = (struct origin){0};
    if (getpeername(fd, &from.any, &len) == 0) // else it is gone already
        of_other_end(origin, fd, &from, len, listen_port);
}

int origin_accept(struct origin *origin, int listening_fd, int listen_port)
{
    union place from = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof(from);
    *origin = (struct origin){0};
    int fd = accept4(listening_fd, &from.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        of_other_end(origin, fd, &from, len, listen_port);
    return fd;
}

void origin_host(const struct origin *origin, char text[ORIGIN_HOST_BYTES])
{
    switch (origin->kind) {
    case ORIGIN_UNKNOWN:
        strcpy(text, "?");
        return;
    case ORIGIN_IPV4:
        inet_ntop(AF_INET, origin->address, text, ORIGIN_HOST_BYTES);
        return;
    case ORIGIN_IPV6:
        inet_ntop(AF_INET6, origin->address, text, ORIGIN_HOST_BYTES);
        return;
    case ORIGIN_UNIX:
        strcpy(text, "unix");
        return;
    }
}

// machine: "" or what stands behind the process id.
static void print(const struct origin *origin, const char *machine, char *text, size_t bytes)
{
    char host[ORIGIN_HOST_BYTES];
    origin_host(origin, host);
    if (origin->kind == ORIGIN_IPV6)
        snprintf(text, bytes, "[%s]:%u", host, origin->port);
    else if (origin->kind == ORIGIN_UNIX && origin->pid != 0)
        snprintf(text, bytes, "%s(%ld%s):%u", host, (long)origin->pid, machine, origin->port);
    else
        snprintf(text, bytes, "%s:%u", host, origin->port);
}

uint64_t origin_place(const struct origin *origin)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; // ::ffff:a.b.c.d
    uint8_t place[1 + 8] = {(uint8_t)origin->kind};
    bool is_v4 = origin->kind == ORIGIN_IPV4;
    if (origin->kind == ORIGIN_IPV6 && memcmp(origin->address, mapped, sizeof(mapped)) == 0) {
        place[0] = ORIGIN_IPV4;
        memcpy(place + 1, origin->address + 12, 4);
    } else if (origin->kind == ORIGIN_UNIX) {
        memcpy(place + 1, &origin->uid, sizeof(origin->uid));
    } else {
        memcpy(place + 1, origin->address, is_v4 ? 4 : 8);
    }
    uint64_t hash = hash_bytes(place, sizeof(place));
    return hash != 0 ? hash : 1;
}

void origin_for_log(const struct origin *origin, char *text, size_t bytes)
{
    print(origin, "", text, bytes);
}

void origin_details(const struct origin *origin, char *text, size_t bytes)
{
    char machine[HOST_NAME_MAX + 2] = "@";
    if (gethostname(machine + 1, sizeof(machine) - 2) < 0)
        strcpy(machine, "@somehost");
    print(origin, machine, text, bytes);
}
