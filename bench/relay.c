// SPDX-License-Identifier: Apache-2.0
// The floor that a query passed through is compared with: an epoll loop that lets everybody in and
// hands each message to one of a few connections to the server, and back what that says. It knows
// no session, no text and no limit, and does for each query what no pooler can do without: a
// receive and a send in each direction, and its share of an epoll_wait.
//
//     relay PORT SERVERS_PORT USER DATABASE SERVERS     on 127.0.0.1, one thread, until it ends
//
// A client's messages are taken to be whole queries, and an answer to end where what was received
// ends with ReadyForQuery: true of the loads here.
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

enum { BYTES = 65536, EVENTS = 256, BACKLOG = 2048 };
enum { SSL_REQUEST = 80877103, GSS_REQUEST = 80877104 };

#define READY "Z\0\0\0\5I"
#define WELCOME                                                                                    \
    "R\0\0\0\10\0\0\0\0" "S\0\0\0\030" "server_version\0" "15.0\0" \
    "K\0\0\0\14\0\0\0\1\0\0\0\1" READY

struct peer {
    int fd;
    int is_server, logged_in;
    struct peer *other; // who it is linked with
    struct peer *next;  // in the list of idle servers, or of clients that wait
    size_t waiting;     // bytes of a client that waits for a server
    uint8_t bytes[4096];
};

static struct peer *idle, *first_waiting, **last_waiting = &first_waiting;
static uint8_t in[BYTES];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static struct sockaddr_in address(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct peer *add(int epoll, int fd, int is_server)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct peer *p = calloc(1, sizeof(*p));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (p == NULL || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("a new connection");
    p->fd = fd;
    p->is_server = p->logged_in = is_server;
    return p;
}

// Messages of some kilobytes always have room in an empty socket.
static void say(const struct peer *to, const void *bytes, size_t size)
{
    if (send(to->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t)size && to->is_server)
        fail("send");
}

static int is_end(const uint8_t *bytes, size_t size)
{
    return size >= 6 && memcmp(bytes + size - 6, READY, 6) == 0;
}

static void log_in(int epoll, const char *port, const char *user, const char *database)
{
    struct sockaddr_in at = address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
        fail("connect");
    uint8_t start[512] = {0, 0, 0, 0, 0, 3, 0, 0};
    int size = 8 + snprintf((char *)start + 8, sizeof(start) - 8, "user%c%s%cdatabase%c%s%c", 0,
                            user, 0, 0, database, 0) + 1;
    start[3] = (uint8_t)size, start[2] = (uint8_t)(size >> 8);
    if (send(fd, start, (size_t)size, 0) != size)
        fail("send");
    ssize_t n;
    do
        n = recv(fd, in, sizeof(in), 0);
    while (n > 0 && !is_end(in, (size_t)n));
    if (n <= 0)
        fail("login");
    struct peer *server = add(epoll, fd, 1);
    server->next = idle;
    idle = server;
}

static void link_up(struct peer *client, struct peer *server, const uint8_t *bytes, size_t size)
{
    client->other = server;
    server->other = client;
    say(server, bytes, size);
}

static void serve_server(struct peer *server)
{
    ssize_t n = recv(server->fd, in, sizeof(in), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        fail("the server");
    if (n <= 0)
        return;
    struct peer *client = server->other;
    if (client != NULL)
        say(client, in, (size_t)n);
    if (!is_end(in, (size_t)n))
        return;
    if (client != NULL)
        client->other = NULL;
    server->other = NULL;
    struct peer *next = first_waiting;
    if (next == NULL) {
        server->next = idle;
        idle = server;
        return;
    }
    first_waiting = next->next;
    if (first_waiting == NULL)
        last_waiting = &first_waiting;
    link_up(next, server, next->bytes, next->waiting);
    next->waiting = 0;
}

static void greet(struct peer *client)
{
    uint32_t code;
    memcpy(&code, in + 4, 4);
    code = ntohl(code);
    if (code == SSL_REQUEST || code == GSS_REQUEST) {
        say(client, "N", 1);
        return;
    }
    say(client, WELCOME, sizeof(WELCOME) - 1);
    client->logged_in = 1;
}

static void wait_for_server(struct peer *client, size_t size)
{
    if (size > sizeof(client->bytes) || client->waiting)
        fail("a longer query than expected");
    memcpy(client->bytes, in, size);
    client->waiting = size;
    client->next = NULL;
    *last_waiting = client;
    last_waiting = &client->next;
}

// Clients leave when they have been answered.
static void serve_client(struct peer *client)
{
    ssize_t n = recv(client->fd, in, sizeof(in), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (client->logged_in && in[0] == 'X')) {
        if (client->other != NULL)
            client->other->other = NULL;
        close(client->fd);
        free(client);
    } else if (!client->logged_in) {
        greet(client);
    } else if (client->other != NULL) {
        say(client->other, in, (size_t)n);
    } else if (idle != NULL) {
        struct peer *server = idle;
        idle = server->next;
        link_up(client, server, in, (size_t)n);
    } else {
        wait_for_server(client, (size_t)n);
    }
}

static int listener(const char *port)
{
    struct sockaddr_in at = address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, BACKLOG))
        fail("listen");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: relay PORT SERVERS_PORT USER DATABASE SERVERS\n");
        return 2;
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = atoi(argv[5]); i > 0; i--)
        log_in(epoll, argv[2], argv[3], argv[4]);
    int from = listener(argv[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, from, &event))
        fail("epoll");
    for (;;) {
        int n = epoll_wait(epoll, ready, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = ready[i].data.ptr;
            if (p == NULL) {
                int fd = accept(from, NULL, NULL);
                if (fd >= 0)
                    add(epoll, fd, 0);
            } else if (p->is_server) {
                serve_server(p);
            } else {
                serve_client(p);
            }
        }
    }
}
