// SPDX-License-Identifier: Apache-2.0
#include "proxy/takeover/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/console/question.h"
#include "proxy/halt.h"
#include "proxy/login/secret.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/takeover/carried.h"
#include "proxy/takeover/fit.h"
#include "proxy/worker.h"

enum {
    PATIENCE_US = 10000000,   // for a receiver that does not take what it asked for
    STATE_MAX_BYTES = 16 << 20, // more is not given: its client is told when we end
};

struct handover {
    int socket;      // owns; the console client's, which may go meanwhile
    const struct table_shape *shape;
    bool with_state; // the last column
    bool failed;
    uint64_t count;  // of what was sent
    struct buf row, state;
};

bool handover_may(const struct client *client)
{
    return client->by_peer && client->local && client->conn.tls == NULL &&
           client->worker->suspended;
}

struct handover *handover_new(const struct client *client, const struct table_shape *shape,
                              bool with_state)
{
    int fd = fcntl(client->conn.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    struct handover *h = mem_new(struct handover);
    h->socket = fd;
    h->shape = shape;
    h->with_state = with_state;
    return h;
}

void handover_free(struct handover *h)
{
    if (h == NULL)
        return;
    close(h->socket);
    if (h->row.len > 0)
        secret_wipe(h->row.at, h->row.len);
    buf_fini(&h->row);
    buf_fini(&h->state);
    mem_free(h);
}

// ---- sending ----

// The descriptor goes with the first byte.
static ssize_t send_some(const struct handover *h, struct slice bytes, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec run = {(void *)(uintptr_t)bytes.at, bytes.len};
    struct msghdr message = {.msg_iov = &run, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.room);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(h->socket, &message, MSG_NOSIGNAL);
}

// The thread waits for the receiver: nothing else moves while the process is suspended.
static bool wait_for_room(const struct handover *h, int64_t until_us)
{
    struct pollfd p = {.fd = h->socket, .events = POLLOUT};
    int64_t left_us = until_us - clock_us();
    return left_us > 0 && poll(&p, 1, (int)(left_us / 1000) + 1) >= 0;
}

static bool send_row(struct handover *h, int fd)
{
    struct slice left = buf_slice(&h->row);
    int64_t until_us = clock_us() + PATIENCE_US;
    while (left.len > 0 && !h->failed) {
        ssize_t put = send_some(h, left, fd);
        if (put > 0) {
            slice_cut(&left, (size_t)put);
            fd = -1;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            h->failed = !wait_for_room(h, until_us);
        } else if (errno != EINTR) {
            log_warning("sending socket list failed: %s", strerror(errno));
            h->failed = true;
        }
    }
    secret_wipe(h->row.at, h->row.len);
    h->count += !h->failed;
    return !h->failed;
}

// ---- rows ----

struct row {
    int fd, link; // link: 0 for none
    const char *task, *user, *database;
    const char *addr;
    int port;
    uint64_t cancel;
    const struct vars *vars; // NULL: of a listening socket
    struct route *route;     // borrows; likewise
};

// bytea as text, and a NUL: 2 * n + 3 bytes.
static void print_bytes(char *text, const uint8_t *bytes, size_t n)
{
    memcpy(text, "\\x", 2);
    *hex_encode(text + 2, bytes, n) = '\0';
}

static char *hex_state(struct handover *h)
{
    if (!h->with_state)
        return NULL;
    char *text = mem_alloc(2 * h->state.len + 3);
    print_bytes(text, h->state.at, h->state.len);
    return text;
}

static const char *value(const struct row *row, enum followed_var var)
{
    return row->vars != NULL ? row->vars->value[var] : NULL;
}

static bool print(struct handover *h, const struct row *row)
{
    enum { KEY_TEXT_BYTES = 2 * SCRAM_KEY_BYTES + 3 };
    char client_key[KEY_TEXT_BYTES], server_key[KEY_TEXT_BYTES];
    struct scram_keys keys;
    bool has_keys = row->route != NULL && route_keys(row->route, &keys);
    if (has_keys) {
        print_bytes(client_key, keys.client_key, SCRAM_KEY_BYTES);
        print_bytes(server_key, keys.server_key, SCRAM_KEY_BYTES);
        secret_wipe(&keys, sizeof(keys));
    }
    char *password = row->route != NULL ? route_copy_password(row->route, false) : NULL;
    char *state = hex_state(h);
    struct cell cells[] = {NUMBER(row->fd), TEXT(row->task), TEXT(row->user), TEXT(row->database),
                           TEXT(row->addr), NUMBER(row->port), NUMBER(row->cancel),
                           NUMBER(row->link), TEXT(value(row, VAR_CLIENT_ENCODING)),
                           TEXT(value(row, VAR_STANDARD_CONFORMING_STRINGS)),
                           TEXT(value(row, VAR_DATE_STYLE)), TEXT(value(row, VAR_TIME_ZONE)),
                           TEXT(password), TEXT(has_keys ? client_key : NULL),
                           TEXT(has_keys ? server_key : NULL), TEXT(state)};
    struct table table = {.out = &h->row, .shape = h->shape};
    buf_clear(&h->row);
    table_row(&table, cells);
    if (password != NULL)
        secret_wipe(password, strlen(password));
    mem_free(password);
    mem_free(state);
    return send_row(h, row->fd);
}

static uint64_t number_of(const uint8_t *bytes, size_t len)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len && i < sizeof(number); i++)
        number = number << 8 | bytes[i];
    return number;
}

static bool give_client(struct handover *h, struct client *client)
{
    char host[ORIGIN_HOST_BYTES];
    origin_host(&client->origin, host);
    const struct key_bytes *key = &client->key.bytes;
    buf_clear(&h->state);
    carried_put_client(&h->state, client);
    if (client->state != CLIENT_STARTUP)
        carried_put_channels(&h->state, client);
    if (h->state.len > STATE_MAX_BYTES)
        return false;
    struct row row = {
        .fd = client->conn.fd,
        .link = client->server != NULL ? client->server->conn.fd : 0,
        .task = "client",
        .user = client->user,
        .database = client->database,
        .addr = host,
        .port = client->origin.port,
        .cancel = number_of(key->at, key->length),
        .vars = client->vars,
        .route = client->route,
    };
    return print(h, &row);
}

static bool give_server(struct handover *h, struct server *server)
{
    char host[ORIGIN_HOST_BYTES];
    struct origin remote;
    origin_of_address(&remote, &server->address.to.any, server->address.length);
    origin_host(&remote, host);
    uint8_t key[CANCEL_PROCESS_BYTES + CANCEL_SECRET_MAX];
    store_u32(key, server->process);
    memcpy(key + CANCEL_PROCESS_BYTES, server->secret.at, server->secret.len);
    buf_clear(&h->state);
    carried_put_server(&h->state, server);
    if (h->state.len > STATE_MAX_BYTES)
        return false;
    struct row row = {
        .fd = server->conn.fd,
        .link = server->client != NULL ? server->client->conn.fd : 0,
        .task = "server",
        .user = server->route->server_user,
        .database = server->route->database,
        .addr = host,
        .port = remote.port,
        .cancel = number_of(key, CANCEL_PROCESS_BYTES + server->secret.len),
        .vars = server->vars,
        .route = server->route,
    };
    return print(h, &row);
}

// ---- those who are asked ----

bool handover_listener(struct question *q, int fd)
{
    struct handover *h = q->handover;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    char host[ORIGIN_HOST_BYTES];
    struct origin own;
    getsockname(fd, (struct sockaddr *)&address, &length);
    origin_of_address(&own, (struct sockaddr *)&address, length);
    origin_host(&own, host);
    buf_clear(&h->state);
    carried_put_listener(&h->state,
                         statement_registry_last(q->home->pooler->statements));
    struct row row = {.fd = fd, .task = "pooler", .addr = host, .port = own.port};
    return !h->failed && print(h, &row);
}

bool handover_routes(struct question *q)
{
    struct handover *h = q->handover;
    size_t count;
    struct route **routes = pooler_routes(q->home->pooler, &count);
    for (size_t i = 0; i < count && h->with_state && !h->failed; i++) {
        buf_clear(&h->state);
        carried_put_route(&h->state, routes[i]);
        struct row row = {.fd = -1,
                          .task = "route",
                          .user = routes[i]->user,
                          .database = routes[i]->database,
                          .addr = "",
                          .route = routes[i]};
        print(h, &row);
    }
    pooler_drop_routes(routes, count);
    return !h->failed;
}

static bool takes_client(const struct handover *h, struct client *client)
{
    return h->with_state ? fit_client(client) == FIT_NOW : fit_client_for_all(client);
}

// One of a client goes where that goes.
static bool takes_server(const struct handover *h, struct server *server)
{
    if (!(h->with_state ? fit_server(server) == FIT_NOW : fit_server_for_all(server)))
        return false;
    return server->client == NULL || server->client->conn.given;
}

void handover_visit(struct worker *worker, struct question *q)
{
    struct handover *h = q->handover;
    // It was resumed meanwhile, and perhaps suspended again.
    h->failed |= !worker->suspended || worker->pooler->heir != q->client;
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (!h->failed && takes_client(h, client))
            client->conn.given = give_client(h, client);
    }
    list_each(&worker->servers, s)
    {
        struct server *server = container_of(s, struct server, link);
        if (!h->failed && takes_server(h, server))
            server->conn.given = give_server(h, server);
    }
}

void handover_done(struct client *client, struct question *q)
{
    if (q->handover->failed || client->worker->pooler->heir != client->number) {
        client_close(client, "sending socket list failed"); // this process resumes
        return;
    }
    log_info("%llu sockets and their states sent", (unsigned long long)q->handover->count);
    question_shown(client, q);
}
