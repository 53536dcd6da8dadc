// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    HTTP_TAG = 0x47790001,
    CONNECTIONS_MAX = 32,
    PATIENCE_S = 10, // with a peer that does not send or read
    MEMORY_BYTES = 8192, // for each connection: the longest request head
};

static const double LOOK_EVERY_S = 1; // MHD finds what has timed out when it is run

struct http {
    uint32_t tag;
    struct ev_loop *loop;      // borrows
    struct MHD_Daemon *daemon; // owns
    int port;
    ev_io io;      // of MHD's epoll
    ev_timer look; // how long MHD can be left alone
    struct http_pages pages;
};

// ---- Pages --------------------------------------------------------------------------------------

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct buf *body)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->len, body->at == NULL ? (void *)"" : body->at, MHD_RESPMEM_MUST_COPY);
    buf_fini(body);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result page(struct http *h, struct MHD_Connection *connection, const char *path)
{
    static const char text[] = "text/plain; charset=utf-8";
    struct buf body = {0};
    if (strcmp(path, "/metrics") == 0) {
        h->pages.metrics(&body, h->pages.arg);
        return answer(connection, MHD_HTTP_OK,
                      "application/openmetrics-text; version=1.0.0; charset=utf-8", &body);
    }
    if (strcmp(path, "/healthz") == 0) {
        buf_printf(&body, "ok\n");
        return answer(connection, MHD_HTTP_OK, text, &body);
    }
    if (strcmp(path, "/readyz") == 0) {
        bool ready = h->pages.ready(&body, h->pages.arg);
        return answer(connection, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text, &body);
    }
    buf_printf(&body, "not found\n");
    return answer(connection, MHD_HTTP_NOT_FOUND, text, &body);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **request)
{
    struct http *h = arg;
    TAG_CHECK(h, HTTP_TAG);
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        // The first call comes before the body of the request, which must be over for an answer
        // on a connection that goes on.
        if (*request == NULL) {
            *request = h;
            return MHD_YES;
        }
        if (*upload_bytes > 0) {
            *upload_bytes = 0;
            return MHD_YES;
        }
        return page(h, connection, path);
    }
    struct buf body = {0};
    buf_printf(&body, "only GET and HEAD\n");
    return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", &body);
}

// ---- The loop -----------------------------------------------------------------------------------

// MHD may have more to do at once (the rest of a reply, a timeout that is near).
static void run(struct http *h)
{
    MHD_run(h->daemon);
    MHD_UNSIGNED_LONG_LONG left_ms;
    h->look.repeat = LOOK_EVERY_S;
    if (MHD_get_timeout(h->daemon, &left_ms) == MHD_YES && left_ms < LOOK_EVERY_S * 1000)
        h->look.repeat = (double)left_ms / 1000 + 0.001;
    ev_timer_again(h->loop, &h->look);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    run(io->data);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    run(timer->data);
}

// ---- Listening ----------------------------------------------------------------------------------

struct address {
    struct sockaddr_storage at;
    socklen_t bytes;
};

static bool parse_port(const char *text, uint16_t *out)
{
    char *rest;
    errno = 0;
    unsigned long port = strtoul(text, &rest, 10);
    *out = (uint16_t)port;
    return text[0] >= '0' && text[0] <= '9' && *rest == '\0' && errno == 0 && port <= 65535;
}

static bool parse_address(const char *listen, struct address *out)
{
    const char *colon = strrchr(listen, ':');
    uint16_t port;
    char host[64];
    size_t n = colon == NULL ? sizeof(host) : (size_t)(colon - listen);
    if (n >= sizeof(host) || !parse_port(colon + 1, &port))
        return false;
    memcpy(host, listen, n);
    host[n] = '\0';
    memset(out, 0, sizeof(*out));
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->at;
        host[n - 1] = '\0';
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        out->bytes = sizeof(*v6);
        return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->at;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out->bytes = sizeof(*v4);
    if (n == 0 || strcmp(host, "*") == 0)
        strcpy(host, "0.0.0.0");
    else if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

// -1 with errno.
static int open_socket(const struct address *address)
{
    int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (const struct sockaddr *)&address->at, address->bytes) == 0 &&
        listen(fd, CONNECTIONS_MAX) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t bytes = sizeof(at);
    if (getsockname(fd, (struct sockaddr *)&at, &bytes) != 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

static bool start(struct http *h, int fd)
{
    // fd is MHD's from here on: it closes it when stopped, also when starting fails.
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)PATIENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES,
        MHD_OPTION_END);
    if (h->daemon == NULL)
        return false;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    CHECK(info != NULL);
    ev_io_init(&h->io, on_io, info->epoll_fd, EV_READ);
    ev_init(&h->look, on_look);
    h->io.data = h->look.data = h;
    ev_io_start(h->loop, &h->io);
    run(h);
    return true;
}

struct http *http_new(struct ev_loop *loop, const char *listen, const struct http_pages *pages,
                      char *error, size_t error_bytes)
{
    struct address address;
    if (!parse_address(listen, &address)) {
        snprintf(error, error_bytes, "http_listen: \"%.100s\" is not address:port", listen);
        return NULL;
    }
    int fd = open_socket(&address);
    if (fd < 0) {
        snprintf(error, error_bytes, "http_listen: cannot listen on %.100s: %s", listen,
                 strerror(errno));
        return NULL;
    }
    struct http *h = mem_new(struct http);
    TAG_SET(h, HTTP_TAG);
    h->loop = loop;
    h->pages = *pages;
    h->port = port_of(fd);
    if (start(h, fd))
        return h;
    snprintf(error, error_bytes, "http_listen: cannot serve on %.100s", listen);
    mem_free(h);
    return NULL;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    TAG_CHECK(h, HTTP_TAG);
    ev_io_stop(h->loop, &h->io);
    ev_timer_stop(h->loop, &h->look);
    MHD_stop_daemon(h->daemon);
    TAG_CLEAR(h);
    mem_free(h);
}

int http_port(const struct http *h)
{
    TAG_CHECK(h, HTTP_TAG);
    return h->port;
}
