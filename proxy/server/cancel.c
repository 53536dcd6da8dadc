// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/cancel.h"

#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/peers.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/secure.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

enum { AT_ONCE_MAX = 4 }; // connections for one server: a client may ask as often as it likes

enum stage {
    STAGE_WAITING,    // for a place, for its statement to be at work, or for a unix socket's queue
    STAGE_RESOLVING,  // the peer's name
    STAGE_CONNECTING,
    STAGE_SECURING,
    STAGE_SENT,
};

struct cancel {
    struct link link;      // in worker->cancelling
    struct worker *worker; // borrows
    struct server *server; // borrows: it cannot be freed while cancels > 0; NULL: for a peer
    struct peer_use *peer; // borrows; NULL: for a server
    bool counted;          // holds one of the peer's places
    enum stage stage;
    uint64_t number;       // names it to the resolver; as servers have
    struct cancel_asker asker;
    struct address address;
    uint8_t key[CANCEL_PROCESS_BYTES + CANCEL_SECRET_MAX]; // for a peer
    size_t key_bytes;
    struct conn conn;      // fd < 0: none yet
    struct secure *secure; // owns; while that is done
    ev_timer patience;
};

// ---- the end ----

static void let_server_go(struct server *server)
{
    server->cancels--;
    server->route->cancels--;
    if (server->cancels > 0)
        return;
    if (server->state == SERVER_CLOSED)
        list_push_back(&server->worker->graves_servers, &server->link);
    else if (server->release_waits)
        server_release(server);
}

static void finish(struct cancel *cancel)
{
    struct worker *worker = cancel->worker;
    struct server *server = cancel->server;
    ev_timer_stop(worker->loop, &cancel->patience);
    secure_free(&cancel->secure);
    conn_close(&cancel->conn);
    list_remove(&worker->cancelling, &cancel->link);
    if (cancel->counted)
        peer_use_give(cancel->peer);
    if (cancel->peer != NULL && cancel->stage == STAGE_WAITING)
        cancel->peer->waiting--;
    worker_mail_cancelled(cancel->asker);
    mem_free(cancel);
    if (server != NULL)
        let_server_go(server);
}

static void give_up(struct cancel *cancel, const char *why)
{
    log_warning("sending cancel request failed: %s", why);
    finish(cancel);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct cancel *cancel = timer->data;
    // It may still arrive: this server must never serve anybody else.
    if (cancel->server != NULL && cancel->stage == STAGE_SENT)
        cancel->server->doomed = "cancel request was not answered";
    finish(cancel);
}

// ---- connected ----

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
    struct cancel *cancel = io->data;
    struct slice nothing;
    if (conn_read(&cancel->conn, cancel->worker->area, &nothing) == CONN_AGAIN)
        return;
    finish(cancel);
}

// Is there still what was to be cancelled?
static bool still_wanted(const struct cancel *cancel)
{
    const struct server *server = cancel->server;
    return server == NULL || (server->state == SERVER_LINKED && server->client != NULL &&
                              (server->own || !ops_empty(&server->ops)));
}

static void compose(const struct cancel *cancel, struct buf *request)
{
    const struct server *server = cancel->server;
    struct slice key = slice_of(cancel->key, cancel->key_bytes);
    if (server != NULL)
        message_cancel(request, server->process, buf_slice(&server->secret));
    else
        message_cancel(request, key_process(key), slice_skip(key, CANCEL_PROCESS_BYTES));
}

static void send_request(struct cancel *cancel)
{
    if (!still_wanted(cancel)) {
        log_debug("not sending cancel request for client that is now idle");
        finish(cancel);
        return;
    }
    struct buf request = {0};
    compose(cancel, &request);
    conn_queue(&cancel->conn, buf_slice(&request));
    buf_fini(&request);
    if (conn_flush(&cancel->conn) == CONN_ERROR) {
        give_up(cancel, strerror(errno));
        return;
    }
    cancel->stage = STAGE_SENT;
    ev_set_cb(&cancel->conn.readable, on_answer);
    conn_want_read(&cancel->conn, true);
}

static void secure(struct cancel *cancel)
{
    switch (secure_step(cancel->secure, cancel->worker->area)) {
    case SECURE_WAITS:
        return;
    case SECURE_DONE:
        if (cancel->conn.tls != NULL)
            send_request(cancel);
        else // its key was told by TLS
            give_up(cancel, "server refused SSL");
        return;
    case SECURE_FAILED:
        break;
    }
    const struct tls *tls = cancel->conn.tls;
    give_up(cancel, tls != NULL && tls_error(tls) != NULL ? tls_error(tls)
                                                          : secure_problem(cancel->secure));
}

static void on_securing(struct ev_loop *loop, ev_io *io, int events)
{
    secure(io->data);
}

// The rest of the request, if the socket did not take it at once.
static void on_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct cancel *cancel = io->data;
    if (conn_flush(&cancel->conn) == CONN_ERROR)
        finish(cancel);
}

// As encrypted as the connection of the server that it is for, whatever a reload has said since.
static void on_connected(struct ev_loop *loop, ev_io *io, int events)
{
    struct cancel *cancel = io->data;
    const struct server *server = cancel->server;
    ev_io_stop(loop, io);
    ev_set_cb(io, on_writable);
    if (server == NULL || server->conn.tls == NULL) {
        send_request(cancel);
        return;
    }
    cancel->stage = STAGE_SECURING;
    cancel->secure = secure_begin(&cancel->conn, server->tls, server->host);
    ev_set_cb(&cancel->conn.readable, on_securing);
    conn_want_read(&cancel->conn, true);
    secure(cancel);
}

// False: it failed, and the request has ended.
static bool connect_now(struct cancel *cancel)
{
    const struct address *to = &cancel->address;
    int fd = socket(to->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int problem = errno;
    if (fd >= 0 && connect(fd, &to->to.any, to->length) < 0 && errno != EINPROGRESS) {
        problem = errno;
        close(fd);
        fd = -1;
    }
    if (fd < 0 && problem == EAGAIN) {
        cancel->stage = STAGE_WAITING; // a unix socket whose queue is full
        return true;
    }
    if (fd < 0) {
        log_warning("sending cancel request failed: %s", strerror(problem));
        finish(cancel);
        return false;
    }
    cancel->stage = STAGE_CONNECTING;
    conn_init(&cancel->conn, fd, on_answer, on_connected, cancel);
    cancel->conn.loop = cancel->worker->loop;
    conn_await_writable(&cancel->conn);
    return true;
}

// ---- the beginning ----

static struct cancel *begin(struct worker *worker, struct cancel_asker asker)
{
    const struct settings *settings = config_settings(worker->config);
    int64_t patience_us = settings->cancel_wait_timeout_us > 0
                              ? settings->cancel_wait_timeout_us
                              : settings->server_connect_timeout_us;
    struct cancel *cancel = mem_new(struct cancel);
    cancel->worker = worker;
    cancel->asker = asker;
    cancel->conn.fd = -1;
    cancel->number = atomic_fetch_add(&worker->pooler->last_server, 1) + 1;
    link_init(&cancel->link);
    list_push_back(&worker->cancelling, &cancel->link);
    ev_timer_init(&cancel->patience, on_patience, (double)patience_us / 1e6, 0);
    cancel->patience.data = cancel;
    if (patience_us > 0)
        ev_timer_start(worker->loop, &cancel->patience);
    return cancel;
}

// What the client waits for as if it had asked it itself.
static bool is_for_client(const struct op *op)
{
    return op->origin != OP_INJECTED || op->purpose == PURPOSE_PREPARE ||
           op->purpose == PURPOSE_LAYOUT;
}

// Has the client asked this server for anything that is not answered yet?
static bool is_asked(const struct ops *ops)
{
    for (uint32_t i = 0; i < ops->count; i++)
        if (is_for_client(ops_nth(ops, i)))
            return true;
    return false;
}

// Other things of ours hold it back when they end by themselves. What is of the client's own batch
// (a BEGIN, the Close of a statement) does not: the server says nothing of it before it comes to
// the end of the batch, which it may be at work on.
static bool holds_back(const struct op *op)
{
    return !is_for_client(op) && op->kind == OP_QUERY;
}

static int under_way(const struct worker *worker, const struct server *server)
{
    int n = 0;
    list_each(&worker->cancelling, l)
    {
        const struct cancel *cancel = container_of(l, struct cancel, link);
        n += cancel->server == server && cancel->stage != STAGE_WAITING;
    }
    return n;
}

// Not while the server does something of ours, such as making the client's settings: the client's
// statement stands right behind, and cancel_sweep() tries again.
static void cancel_now(struct cancel *cancel)
{
    const struct server *server = cancel->server;
    if (!still_wanted(cancel)) {
        log_debug("not sending cancel request for client that is now idle");
        finish(cancel);
    } else if ((server->own || !holds_back(ops_head(&server->ops))) &&
             under_way(cancel->worker, server) < AT_ONCE_MAX)
        connect_now(cancel);
}

bool server_cancel(struct server *server, struct cancel_asker asker)
{
    // Of a replication connection we do not know what it does. Else, when nothing is running,
    // PostgreSQL would ignore it as well.
    if (server->state != SERVER_LINKED || (!server->own && !is_asked(&server->ops)))
        return false;
    struct cancel *cancel = begin(server->worker, asker);
    cancel->server = server;
    cancel->address = server->address;
    server->cancels++;
    server->route->cancels++;
    cancel_now(cancel);
    return true;
}

// ---- to a peer ----

static void forward_now(struct cancel *cancel)
{
    struct worker *worker = cancel->worker;
    const struct config_peer *peer = config_peer(worker->config, cancel->peer->id);
    if (peer == NULL) { // a reload took it away
        finish(cancel);
        return;
    }
    if (!cancel->counted) {
        cancel->counted =
            peer_use_take(cancel->peer, config_peer_pool_size(worker->config, peer));
        if (!cancel->counted)
            return; // cancel_sweep() tries again
    }
    cancel->peer->waiting--;
    cancel->stage = STAGE_RESOLVING;
    if (address_literal(&cancel->address, peer->host, peer->port)) {
        if (connect_now(cancel) && cancel->stage == STAGE_WAITING)
            cancel->peer->waiting++;
        return;
    }
    struct resolution_mail *question = mem_new(struct resolution_mail);
    question->mail.kind = MAIL_RESOLVED;
    question->answer = &worker->mailbox;
    question->asker = cancel->number;
    question->host = mem_strdup(peer->host);
    question->port = peer->port;
    worker->lookups++;
    resolver_ask(worker->pooler->resolver, question);
}

const char *cancel_forward(struct worker *worker, struct slice key, struct cancel_asker asker)
{
    int own = config_settings(worker->config)->peer_id;
    int id = key_peer(key);
    if (own == 0 || id == own)
        return "failed cancel request";
    uint8_t copy[CANCEL_PROCESS_BYTES + CANCEL_SECRET_MAX];
    CHECK(key.len <= sizeof(copy));
    memcpy(copy, key.at, key.len);
    if (!key_spend_hop(copy, key.len))
        return "failed to forward cancel request because its TTL was exhausted";
    if (config_peer(worker->config, id) == NULL)
        return "could not find peer to forward request to";
    log_debug("forwarding cancellation request to peer %d", id);
    struct cancel *cancel = begin(worker, asker);
    memcpy(cancel->key, copy, key.len);
    cancel->key_bytes = key.len;
    cancel->peer = peers_use_of(worker->pooler->peers, id);
    cancel->peer->waiting++;
    forward_now(cancel);
    return NULL;
}

bool cancel_resolved(struct worker *worker, const struct resolution_mail *mail)
{
    list_each(&worker->cancelling, l)
    {
        struct cancel *cancel = container_of(l, struct cancel, link);
        if (cancel->number != mail->asker)
            continue;
        cancel->address = mail->address;
        if (mail->address.length == 0) {
            log_warning("DNS lookup of peer %d failed: %s: %s", cancel->peer->id, mail->host,
                        mail->problem);
            finish(cancel);
        } else if (connect_now(cancel) && cancel->stage == STAGE_WAITING) {
            cancel->peer->waiting++;
        }
        return true;
    }
    return false;
}

void cancel_sweep(struct worker *worker)
{
    list_each(&worker->cancelling, l)
    {
        struct cancel *cancel = container_of(l, struct cancel, link);
        if (cancel->stage != STAGE_WAITING)
            continue;
        if (cancel->peer != NULL)
            forward_now(cancel);
        else
            cancel_now(cancel);
    }
}

void cancel_end_all(struct worker *worker)
{
    struct link *l;
    while ((l = list_first(&worker->cancelling)) != NULL) {
        struct cancel *cancel = container_of(l, struct cancel, link);
        if (cancel->server != NULL && cancel->stage == STAGE_SENT)
            cancel->server->doomed = "pgweir shutting down"; // as in on_patience()
        finish(cancel);
    }
}
