// SPDX-License-Identifier: Apache-2.0
// A cancel request is a connection of its own. The server whose query is meant is not given to
// another client before that connection has ended: PostgreSQL closes it when the signal is sent.
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/pooler.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum { CANCEL_PATIENCE_S = 10 };

struct cancel {
    struct server *server; // borrows: it cannot be freed while cancels > 0
    struct worker *worker; // borrows
    struct cancel_asker asker;
    int fd;
    ev_io io;
    ev_timer patience;
};

static void finish(struct cancel *cancel)
{
    struct server *server = cancel->server;
    ev_io_stop(cancel->worker->loop, &cancel->io);
    ev_timer_stop(cancel->worker->loop, &cancel->patience);
    if (cancel->fd >= 0)
        close(cancel->fd);
    cancel->worker->cancels--;
    worker_mail_cancelled(cancel->asker);
    mem_free(cancel);
    server->cancels--;
    if (server->cancels > 0)
        return;
    if (server->state == SERVER_CLOSED)
        list_push_back(&server->worker->graves_servers, &server->link);
    else if (server->release_waits)
        server_release(server);
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
    struct cancel *cancel = io->data;
    char nothing[64];
    ssize_t got = recv(cancel->fd, nothing, sizeof(nothing), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    finish(cancel);
}

static void on_connected(struct ev_loop *loop, ev_io *io, int events)
{
    struct cancel *cancel = io->data;
    struct buf request = {0};
    message_cancel(&request, cancel->server->process, buf_slice(&cancel->server->secret));
    ev_io_stop(loop, io);
    bool sent = send(cancel->fd, request.at, request.len, MSG_NOSIGNAL) == (ssize_t)request.len;
    buf_fini(&request);
    if (!sent) {
        finish(cancel);
        return;
    }
    ev_io_init(&cancel->io, on_answer, cancel->fd, EV_READ);
    ev_io_start(loop, &cancel->io);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct cancel *cancel = timer->data;
    // It may still arrive: this server must never serve anybody else.
    cancel->server->doomed = "cancel request was not answered";
    finish(cancel);
}

bool server_cancel(struct server *server, struct cancel_asker asker)
{
    struct worker *worker = server->worker;
    // Nothing is running, or not yet what the client asked for: PostgreSQL would ignore it as well.
    if (ops_empty(&server->ops) || server->state != SERVER_LINKED ||
        (ops_head(&server->ops)->origin == OP_INJECTED &&
         ops_head(&server->ops)->purpose != PURPOSE_PREPARE))
        return false;
    int fd =
        socket(server->address.to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    if (connect(fd, &server->address.to.any, server->address.length) < 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return false;
    }
    struct cancel *cancel = mem_new(struct cancel);
    cancel->server = server;
    cancel->worker = worker;
    cancel->fd = fd;
    cancel->asker = asker;
    ev_io_init(&cancel->io, on_connected, fd, EV_WRITE);
    ev_timer_init(&cancel->patience, on_patience, CANCEL_PATIENCE_S, 0);
    cancel->io.data = cancel->patience.data = cancel;
    ev_io_start(worker->loop, &cancel->io);
    ev_timer_start(worker->loop, &cancel->patience);
    server->cancels++;
    worker->cancels++;
    return true;
}
