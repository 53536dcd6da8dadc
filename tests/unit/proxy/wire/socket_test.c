// SPDX-License-Identifier: Apache-2.0
#include "proxy/wire/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/settings.h"

static int listening, connected, accepted;

static int value_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static void open_door(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listening, 4), 0);
}

static void come_in(void)
{
    struct sockaddr_in at;
    socklen_t length = sizeof(at);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &length), 0);
    connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(connected, (struct sockaddr *)&at, sizeof(at)), 0);
    accepted = accept(listening, NULL, NULL);
    assert_true(accepted >= 0);
}

static void go(void)
{
    close(connected);
    close(accepted);
}

static void check(bool keeps_alive, int count, int idle_s, int interval_s, int timeout_ms)
{
    come_in();
    assert_int_equal(value_of(accepted, IPPROTO_TCP, TCP_NODELAY) != 0, 1);
    assert_int_equal(value_of(accepted, SOL_SOCKET, SO_KEEPALIVE) != 0, keeps_alive);
    assert_int_equal(value_of(accepted, IPPROTO_TCP, TCP_KEEPCNT), count);
    assert_int_equal(value_of(accepted, IPPROTO_TCP, TCP_KEEPIDLE), idle_s);
    assert_int_equal(value_of(accepted, IPPROTO_TCP, TCP_KEEPINTVL), interval_s);
    assert_int_equal(value_of(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), timeout_ms);
    go();
}

// Whoever is accepted has it from the listening socket, also when that was told otherwise since.
static void test_what_is_handed_down(void **state)
{
    open_door();
    int count = value_of(listening, IPPROTO_TCP, TCP_KEEPCNT);
    int idle_s = value_of(listening, IPPROTO_TCP, TCP_KEEPIDLE);
    int interval_s = value_of(listening, IPPROTO_TCP, TCP_KEEPINTVL);
    struct settings settings;
    memset(&settings, 0, sizeof(settings));
    settings.tcp_keepalive = true;
    socket_tune_listening(listening, &settings);
    check(true, count, idle_s, interval_s, 0);
    settings.tcp_keepcnt = 3;
    settings.tcp_keepidle_s = 40;
    settings.tcp_keepintvl_s = 7;
    settings.tcp_user_timeout_ms = 9000;
    socket_tune_listening(listening, &settings);
    check(true, 3, 40, 7, 9000);
    memset(&settings, 0, sizeof(settings));
    socket_tune_listening(listening, &settings); // all of it the system's again
    check(false, count, idle_s, interval_s, 0);
    close(listening);
}

static void test_buffers(void **state)
{
    struct settings settings;
    memset(&settings, 0, sizeof(settings));
    open_door();
    come_in();
    int before = value_of(accepted, SOL_SOCKET, SO_SNDBUF);
    socket_tune_accepted(accepted, &settings);
    assert_int_equal(value_of(accepted, SOL_SOCKET, SO_SNDBUF), before);
    settings.tcp_socket_buffer_bytes = 20000;
    socket_tune_accepted(accepted, &settings);
    assert_int_equal(value_of(accepted, SOL_SOCKET, SO_SNDBUF), 40000); // the kernel doubles it
    assert_int_equal(value_of(accepted, SOL_SOCKET, SO_RCVBUF), 40000);
    go();
    close(listening);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_handed_down),
        cmocka_unit_test(test_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
