// SPDX-License-Identifier: Apache-2.0
// The floor that a hit is compared with: an epoll loop that lets everybody in and answers every
// query with the same row. It knows no session, no text and no cache, and does for each query what
// nobody can do without: one receive, one send, and its share of an epoll_wait.
//
//     bare PORT      listens on 127.0.0.1, one thread, until it is ended
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_BYTES = 16384, OUT_BYTES = 262144, EVENTS = 256, BACKLOG = 2048 };
enum { SSL_REQUEST = 80877103, GSS_REQUEST = 80877104 };

// In parts, because a digit may follow \0.
#define ROW_DESCRIPTION                                                                            \
    "T\0\0\0\041\0\1" "abalance\0" "\0\0\0\0" "\0\0" "\0\0\0\27" "\0\4" "\377\377\377\377" "\0\0"
#define DATA_ROW "D\0\0\0\13\0\1\0\0\0\1" "1"
#define COMPLETE "C\0\0\0\15" "SELECT 1\0"
#define READY "Z\0\0\0\5I"
#define WELCOME                                                                                    \
    "R\0\0\0\10\0\0\0\0" "S\0\0\0\030" "server_version\0" "15.0\0" \
    "K\0\0\0\14\0\0\0\1\0\0\0\1" READY

struct client {
    int fd;
    int logged_in;
    size_t used;
    uint8_t in[IN_BYTES];
};

// Of the turn of one client: all its answers, sent at once.
static struct {
    size_t used;
    uint8_t bytes[OUT_BYTES];
} out;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void say(const char *bytes, size_t size)
{
    if (out.used + size > sizeof(out.bytes))
        fail("more answers than expected");
    memcpy(out.bytes + out.used, bytes, size);
    out.used += size;
}
#define SAY(literal) say(literal, sizeof(literal) - 1)

// The size of the first packet in `bytes`, type byte included; 0 if it is not there yet.
static size_t packet(const uint8_t *bytes, size_t size, size_t header)
{
    uint32_t length;
    if (size < header + 4)
        return 0;
    memcpy(&length, bytes + header, 4);
    size_t whole = header + ntohl(length);
    if (whole < header + 4 || whole > IN_BYTES)
        fail("a packet that is too long");
    return whole <= size ? whole : 0;
}

static void greet(struct client *c, const uint8_t *bytes)
{
    uint32_t code;
    memcpy(&code, bytes + 4, 4);
    code = ntohl(code);
    if (code == SSL_REQUEST || code == GSS_REQUEST) {
        SAY("N");
        return;
    }
    SAY(WELCOME);
    c->logged_in = 1;
}

// Returns 0 when the client says good-bye.
static int answer(const uint8_t *message)
{
    switch (message[0]) {
    case 'Q':
        SAY(ROW_DESCRIPTION DATA_ROW COMPLETE READY);
        return 1;
    case 'P':
        SAY("1\0\0\0\4");
        return 1;
    case 'B':
        SAY("2\0\0\0\4");
        return 1;
    case 'D':
        if (message[5] == 'S')
            SAY("t\0\0\0\6\0\0");
        SAY(ROW_DESCRIPTION);
        return 1;
    case 'E':
        SAY(DATA_ROW COMPLETE);
        return 1;
    case 'S':
        SAY(READY);
        return 1;
    case 'C':
        SAY("3\0\0\0\4");
        return 1;
    case 'H':
        return 1;
    default:
        return 0;
    }
}

// Everything that has come is answered in one send. Returns 0 when the client is gone.
static int serve(struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->used, sizeof(c->in) - c->used, 0);
    if (n <= 0)
        return n < 0 && (errno == EAGAIN || errno == EINTR);
    c->used += (size_t)n;
    size_t at = 0, size;
    int stays = 1;
    out.used = 0;
    while (stays && (size = packet(c->in + at, c->used - at, c->logged_in ? 1 : 0))) {
        if (c->logged_in)
            stays = answer(c->in + at);
        else
            greet(c, c->in + at);
        at += size;
    }
    if (at < c->used)
        memmove(c->in, c->in + at, c->used - at);
    c->used -= at;
    // Answers of some kilobytes always have room in an empty socket.
    if (out.used && send(c->fd, out.bytes, out.used, MSG_NOSIGNAL) != (ssize_t)out.used)
        return 0;
    return stays;
}

static int listener(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, BACKLOG))
        fail("listen");
    return fd;
}

static void let_in(int epoll, int from)
{
    int fd = accept4(from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct client *c = calloc(1, sizeof(*c));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (!c || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("a new client");
    c->fd = fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: bare PORT\n");
        return 2;
    }
    int from = listener(atoi(argv[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, from, &event))
        fail("epoll");
    for (;;) {
        int n = epoll_wait(epoll, ready, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct client *c = ready[i].data.ptr;
            if (!c) {
                let_in(epoll, from);
            } else if (!serve(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}
