// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/console/http.h"

static bool ready;

static void metrics(struct buf *out, void *arg)
{
    for (int i = 0; i < 20000; i++)
        buf_printf(out, "some_metric_%d 1\n", i);
    buf_printf(out, "# EOF\n");
}

static bool is_ready(struct buf *out, void *arg)
{
    buf_printf(out, ready ? "ready\n" : "not yet\n");
    return ready;
}

static const struct http_pages pages = {.metrics = metrics, .ready = is_ready};

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
}

// What the server says until it closes.
static struct buf ask(struct ev_loop *loop, int port, const char *request)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct buf got = {0};
    ev_timer tick;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    ev_timer_init(&tick, on_tick, 0.005, 0.005);
    ev_timer_start(loop, &tick);
    for (int i = 0; i < 20000; i++) {
        ev_run(loop, EVRUN_ONCE);
        ssize_t n = recv(fd, buf_room(&got, 65536), 65536, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0)
            got.len += (size_t)n;
    }
    ev_timer_stop(loop, &tick);
    close(fd);
    buf_u8(&got, 0);
    return got;
}

static void expect(struct ev_loop *loop, int port, const char *request, const char *start,
                   const char *part)
{
    struct buf got = ask(loop, port, request);
    if (strncmp((char *)got.at, start, strlen(start)) != 0 || !strstr((char *)got.at, part))
        fail_msg("%s -> %.300s", request, (char *)got.at);
    buf_fini(&got);
}

static void pages_are_served_and_nothing_else(void **state)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    char error[200] = "";
    struct http *http = http_new(loop, "127.0.0.1:0", &pages, error, sizeof(error));
    if (http == NULL)
        fail_msg("%s", error);
    int port = http_port(http);
#define REQUEST(line) line " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    expect(loop, port, REQUEST("GET /metrics"), "HTTP/1.1 200", "\n# EOF\n");
    expect(loop, port, REQUEST("GET /metrics"), "HTTP/1.1 200",
           "application/openmetrics-text; version=1.0.0");
    expect(loop, port, REQUEST("GET /healthz"), "HTTP/1.1 200", "ok\n");
    expect(loop, port, REQUEST("HEAD /healthz"), "HTTP/1.1 200", "Content-Length: 3");
    expect(loop, port, REQUEST("GET /readyz"), "HTTP/1.1 503", "not yet\n");
    ready = true;
    expect(loop, port, REQUEST("GET /readyz"), "HTTP/1.1 200", "ready\n");
    expect(loop, port, REQUEST("GET /"), "HTTP/1.1 404", "");
    expect(loop, port, REQUEST("GET /metrics/.."), "HTTP/1.1 404", "");
    expect(loop, port, REQUEST("DELETE /metrics"), "HTTP/1.1 405", "Allow: GET, HEAD");
    expect(loop, port,
           "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
           "HTTP/1.1 405", "");
    expect(loop, port,
           "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
           "HTTP/1.1 200", "ok\n");
    expect(loop, port, "nonsense\r\n\r\n", "", "");

    char text[64];
    snprintf(text, sizeof(text), "127.0.0.1:%d", port);
    assert_null(http_new(loop, text, &pages, error, sizeof(error)));
    assert_non_null(strstr(error, "in use"));
    http_free(http);
    ev_loop_destroy(loop);
}

static void bad_addresses_are_refused(void **state)
{
    static const char *const bad[] = {"", "9000", "host:", "host:1", "127.0.0.1:65536", "1.2.3:1",
                                      "[::1:1", "127.0.0.1:1x", "127.0.0.1:-1"};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    char error[200];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(http_new(loop, bad[i], &pages, error, sizeof(error)));
        assert_non_null(strstr(error, "is not address:port"));
    }
    static const char *const good[] = {":0", "*:0", "localhost:0", "0.0.0.0:0"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct http *http = http_new(loop, good[i], &pages, error, sizeof(error));
        assert_non_null(http);
        http_free(http);
    }
    ev_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_served_and_nothing_else),
        cmocka_unit_test(bad_addresses_are_refused),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
