// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/connection.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { CONNECTION_TAG = 0xc0117ec7, SENTENCE_BYTES = 240 };
#define REST_S 0.001

struct connection {
    uint32_t tag;
    struct ev_loop *loop; // borrows
    PGconn *pg;           // owns
    ev_io io;
    int io_fd;
    int io_events; // watched now; 0 none
    ev_timer login; // bounds the login
    ev_timer doom;  // brings down() at the next turn
    ev_timer rest;  // ends a rest
    bool up;
    enum ledger_off_reason why;
    char sentence[SENTENCE_BYTES];
    char notice[SENTENCE_BYTES]; // the last one: before it ends a session the server says why
    struct connection_listener listener;
};

// libpq's messages have several lines: one is enough, and a log line must stay one.
static void one_line(char *out, size_t bytes, const char *text)
{
    size_t n = 0;
    for (; *text != '\0' && n + 1 < bytes; text++) {
        if (*text != '\n' && *text != '\t')
            out[n++] = *text;
        else if (text[1] != '\0' && n > 0 && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    out[n] = '\0';
}

void connection_fail(struct connection *c, enum ledger_off_reason why, const char *sentence)
{
    TAG_CHECK(c, CONNECTION_TAG);
    if (ev_is_active(&c->doom) || ev_is_pending(&c->doom))
        return; // the first error is the cause
    c->why = why;
    one_line(c->sentence, sizeof(c->sentence), sentence);
    ev_timer_start(c->loop, &c->doom);
}

static void on_notice(void *arg, const PGresult *notice)
{
    struct connection *c = arg;
    const char *text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    if (text != NULL)
        one_line(c->notice, sizeof(c->notice), text);
}

static void on_doom(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct connection *c = timer->data;
    ev_io_stop(loop, &c->io);
    c->io_events = 0;
    c->listener.down(c->listener.arg, c->why, c->sentence); // c may be gone
}

static void on_login_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    connection_fail(timer->data, LEDGER_OFF_UNREACHABLE, "the login took too long");
}

// The socket may change while libpq tries one address after the other.
static void watch(struct connection *c, int events)
{
    int fd = PQsocket(c->pg);
    if (fd == c->io_fd && events == c->io_events)
        return;
    ev_io_stop(c->loop, &c->io);
    c->io_fd = fd;
    c->io_events = fd < 0 ? 0 : events;
    if (c->io_events != 0) {
        ev_io_set(&c->io, fd, events);
        ev_io_start(c->loop, &c->io);
    }
}

// What the server says at a failed login has no SQLSTATE in libpq, so words must do.
static enum ledger_off_reason login_reason(const char *text)
{
    if (strstr(text, "max_wal_senders") != NULL)
        return LEDGER_OFF_NO_SLOT;
    if (strstr(text, "walsender") != NULL && strstr(text, "role") != NULL)
        return LEDGER_OFF_PRIVILEGE;
    return LEDGER_OFF_UNREACHABLE;
}

static void fail_login(struct connection *c)
{
    connection_fail(c, login_reason(PQerrorMessage(c->pg)), PQerrorMessage(c->pg));
}

static void login_step(struct connection *c)
{
    // Closing a socket takes it out of epoll; libpq may reuse the number at once, so the watch is
    // always set anew during the login.
    ev_io_stop(c->loop, &c->io);
    c->io_fd = -1;
    c->io_events = 0;
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING:
        watch(c, EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        watch(c, EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        ev_timer_stop(c->loop, &c->login);
        if (PQsetnonblocking(c->pg, 1) != 0) {
            fail_login(c);
            return;
        }
        c->up = true;
        watch(c, EV_READ);
        c->listener.up(c->listener.arg); // c may be gone
        return;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        fail_login(c);
        return;
    }
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct connection *c = io->data;
    TAG_CHECK(c, CONNECTION_TAG);
    if (ev_is_active(&c->doom))
        return;
    if (!c->up) {
        login_step(c);
        return;
    }
    if ((events & EV_READ) && PQconsumeInput(c->pg) == 0) {
        const char *why = c->notice[0] != '\0' ? c->notice : PQerrorMessage(c->pg);
        connection_fail(c, LEDGER_OFF_STREAM_LOST, why);
        return;
    }
    connection_flush(c);
    if (!ev_is_active(&c->doom))
        c->listener.readable(c->listener.arg); // c may be gone
}

static void on_rested(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct connection *c = timer->data;
    if (!ev_is_active(&c->doom))
        connection_flush(c); // which watches again
}

void connection_rest(struct connection *c)
{
    if (!c->up || ev_is_active(&c->doom) || (c->io_events & EV_WRITE) != 0)
        return;
    ev_io_stop(c->loop, &c->io);
    c->io_events = 0;
    ev_timer_set(&c->rest, REST_S, 0);
    ev_timer_start(c->loop, &c->rest);
}

void connection_flush(struct connection *c)
{
    int left = PQflush(c->pg);
    if (left < 0)
        connection_fail(c, LEDGER_OFF_STREAM_LOST, PQerrorMessage(c->pg));
    else
        watch(c, left > 0 ? EV_READ | EV_WRITE : EV_READ);
}

struct connection *connection_open(struct ev_loop *loop, const char *const *keywords,
                                   const char *const *values, double timeout_s,
                                   const struct connection_listener *listener)
{
    struct connection *c = mem_new(struct connection);
    TAG_SET(c, CONNECTION_TAG);
    c->loop = loop;
    c->listener = *listener;
    c->io_fd = -1;
    ev_init(&c->io, on_io);
    ev_timer_init(&c->login, on_login_timeout, timeout_s, 0);
    ev_timer_init(&c->doom, on_doom, 0, 0);
    ev_init(&c->rest, on_rested);
    c->io.data = c->login.data = c->doom.data = c->rest.data = c;
    c->pg = PQconnectStartParams(keywords, values, 0);
    CHECK(c->pg != NULL);
    PQsetNoticeReceiver(c->pg, on_notice, c);
    // The loop's idea of now may be old, and the timer would count from it.
    ev_now_update(loop);
    ev_timer_start(loop, &c->login);
    if (PQstatus(c->pg) == CONNECTION_BAD)
        fail_login(c);
    else
        watch(c, EV_WRITE); // as libpq asks: as if PQconnectPoll had last said WRITING
    return c;
}

void connection_close(struct connection *c)
{
    if (c == NULL)
        return;
    TAG_CHECK(c, CONNECTION_TAG);
    ev_io_stop(c->loop, &c->io);
    ev_timer_stop(c->loop, &c->login);
    ev_timer_stop(c->loop, &c->doom);
    ev_timer_stop(c->loop, &c->rest);
    PQfinish(c->pg);
    TAG_CLEAR(c);
    mem_free(c);
}

PGconn *connection_pg(struct connection *c)
{
    TAG_CHECK(c, CONNECTION_TAG);
    return c->pg;
}

enum ledger_off_reason connection_error(const PGresult *result, char *sentence, size_t bytes)
{
    static const struct {
        const char *state, *word;
        enum ledger_off_reason why;
    } reasons[] = {
        {"42501", "", LEDGER_OFF_PRIVILEGE},
        {"53400", "", LEDGER_OFF_NO_SLOT}, // configuration_limit_exceeded: max_replication_slots
        {"53300", "", LEDGER_OFF_NO_SLOT},
        {"55000", "wal_level", LEDGER_OFF_WAL_LEVEL},
        {"55000", "recovery", LEDGER_OFF_RECOVERY},
        {"58P01", "", LEDGER_OFF_UNSUPPORTED}, // the output plugin is not installed
        {"42704", "publication", LEDGER_OFF_PUBLICATION},
    };
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (text == NULL)
        text = PQresultErrorMessage(result);
    one_line(sentence, bytes, text);
    for (size_t i = 0; state != NULL && i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(state, reasons[i].state) == 0 && strstr(text, reasons[i].word) != NULL)
            return reasons[i].why;
    return LEDGER_OFF_STREAM_LOST;
}
