// SPDX-License-Identifier: Apache-2.0
// HTTP requests: whatever is said, the loop goes on, and who asks properly then is answered.
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/console/http.h"
#include "tests/fuzz/target.h"

const size_t target_rounds = 2000;

static void metrics(struct buf *out, void *arg)
{
    buf_printf(out, "# EOF\n");
}

static bool is_ready(struct buf *out, void *arg)
{
    buf_printf(out, "ready\n");
    return true;
}

static int dial(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

enum { IDLE_TURNS = 12 };

// Sends, says that this was all, and reads what is said at once, or to the end (the library looks
// for those that say no more once in a second). Then it is gone.
static size_t ask(struct ev_loop *loop, int port, struct slice request, char *got, size_t bytes)
{
    int fd = dial(port);
    size_t used = 0;
    CHECK(write(fd, request.at, request.len) == (ssize_t)request.len);
    shutdown(fd, SHUT_WR);
    for (int idle = 0; idle < IDLE_TURNS; idle++) {
        ev_run(loop, EVRUN_NOWAIT);
        char text[4096];
        ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0)
            idle = 0;
        for (ssize_t i = 0; i < n && used < bytes; i++)
            got[used++] = text[i];
    }
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); // no port waits in TIME_WAIT
    close(fd);
    return used;
}

void target_run(struct slice bytes)
{
    static const struct http_pages pages = {.metrics = metrics, .ready = is_ready};
    static const char good[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static struct ev_loop *loop; // as long as the process
    static struct http *http;
    static unsigned runs;
    char got[64];
    if (http == NULL) {
        char why[200];
        loop = ev_loop_new(EVFLAG_AUTO);
        http = http_new(loop, "127.0.0.1:0", &pages, why, sizeof(why));
        CHECK(http != NULL);
    }
    if (bytes.len > 0 && bytes.len < 16384)
        ask(loop, http_port(http), bytes, got, sizeof(got));
    if (runs++ % 64 == 0)
        CHECK(ask(loop, http_port(http), slice_str(good), got, sizeof(got)) > 12 &&
              memcmp(got, "HTTP/1.1 200", 12) == 0);
}
