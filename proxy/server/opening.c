// SPDX-License-Identifier: Apache-2.0
// How a server connection begins: which host, its address, the socket, TLS; then server/login.c.
#include "proxy/server/server.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/cancel.h"
#include "proxy/server/hub.h"
#include "proxy/server/secure.h"
#include "proxy/session/client.h"
#include "proxy/session/replication.h"
#include "proxy/sql/learnt.h"
#include "proxy/tls_context.h"
#include "proxy/wire/socket.h"
#include "proxy/wire/tls.h"
#include "proxy/worker.h"

// The reason is PgBouncer's sentence, which clients are told, too; the cause stands before it.
static void not_connected(struct server *server, int problem)
{
    char peer[ORIGIN_TEXT_BYTES];
    server_peer(server, peer);
    log_warning("S-%p: %s/%s@%s connect() failed: %s", (void *)server, server->route->database,
                server->route->user, peer, strerror(problem));
    server_close(server, "connect failed");
}

static void log_connected(const struct server *server)
{
    if (!config_settings(server->worker->config)->log_connections)
        return;
    char peer[ORIGIN_TEXT_BYTES], from[ORIGIN_TEXT_BYTES + 10] = "";
    struct origin origin;
    server_peer(server, peer);
    if (server->address.to.any.sa_family != AF_UNIX) {
        char here[ORIGIN_TEXT_BYTES];
        origin_of_own_end(&origin, server->conn.fd);
        origin_for_log(&origin, here, sizeof(here));
        snprintf(from, sizeof(from), " (from %s)", here);
    }
    log_info("S-%p: %s/%s@%s new connection to server%s", (const void *)server,
             server->route->database, server->route->user, peer, from);
}

// ---- TLS

static void log_secured(const struct server *server)
{
    if (server->conn.tls == NULL || !config_settings(server->worker->config)->log_connections)
        return;
    char peer[ORIGIN_TEXT_BYTES], info[TLS_INFO_BYTES];
    server_peer(server, peer);
    tls_describe(server->conn.tls, info);
    log_info("S-%p: %s/%s@%s SSL established: %s", (const void *)server, server->route->database,
             server->route->user, peer, info);
}

static void not_secured(struct server *server)
{
    const struct tls *tls = server->conn.tls;
    if (tls != NULL && tls_error(tls) != NULL) {
        char peer[ORIGIN_TEXT_BYTES];
        server_peer(server, peer);
        log_warning("S-%p: %s/%s@%s TLS handshake error: %s", (void *)server,
                    server->route->database, server->route->user, peer, tls_error(tls));
    }
    server_close(server, secure_problem(server->secure));
}

static void secure(struct server *server)
{
    switch (secure_step(server->secure, server->worker->area)) {
    case SECURE_WAITS:
        return;
    case SECURE_FAILED:
        not_secured(server);
        return;
    case SECURE_DONE:
        break;
    }
    secure_free(&server->secure);
    ev_set_cb(&server->conn.readable, server_readable);
    log_secured(server);
    server_login_begin(server);
}

static void on_securing(struct ev_loop *loop, ev_io *io, int events)
{
    struct server *server = io->data;
    TAG_CHECK(server, SERVER_TAG);
    secure(server);
}

// ---- the socket

static void on_connected(struct ev_loop *loop, ev_io *io, int events)
{
    struct server *server = io->data;
    TAG_CHECK(server, SERVER_TAG);
    int problem = 0;
    socklen_t len = sizeof(problem);
    getsockopt(server->conn.fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    if (problem != 0) {
        not_connected(server, problem);
        return;
    }
    log_connected(server);
    ev_io_stop(loop, io);
    conn_set_writable(&server->conn, server_writable);
    server->tls_era = server->worker->tls->server_era;
    if (!secure_is_wanted(server->worker->tls, &server->address)) {
        server_login_begin(server);
        return;
    }
    server->tls = tls_context_ref(server->worker->tls);
    server->secure = secure_begin(&server->conn, server->tls, server->host);
    ev_set_cb(&server->conn.readable, on_securing);
    conn_want_read(&server->conn, true);
    secure(server);
}

static void connect_to(struct server *server, const struct address *address)
{
    server->address = *address;
    int fd = -1;
    if (address->length > 0)
        fd = socket(address->to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        server_close(server, address->length ? "cannot make a socket" : "bad socket path");
        return;
    }
    socket_tune(fd, address->to.any.sa_family == AF_UNIX,
                config_settings(server->worker->config));
    conn_init(&server->conn, fd, server_readable, on_connected, server);
    server->conn.held = server->worker->suspended;
    int rc = connect(fd, &address->to.any, address->length);
    if (rc < 0 && errno != EINPROGRESS) {
        not_connected(server, errno);
        return;
    }
    server->conn.loop = server->worker->loop;
    conn_await_writable(&server->conn);
}

// One of the hosts of a list with commas; the caller frees it.
static char *host_in_turn(struct route *route, const struct config_database *db)
{
    unsigned count = server_hosts(db);
    // With load_balance_hosts = disable a failure moves it on.
    bool each = db->load_balance_hosts == CONFIG_BALANCE_ROUND_ROBIN;
    unsigned turn = each ? atomic_fetch_add(&route->next_host, 1) : route->next_host;
    const char *host = db->host;
    for (unsigned i = 0; i < turn % count; i++)
        host = strchr(host, ',') + 1;
    host += strspn(host, " ");
    return mem_strndup(host, strcspn(host, ", "));
}

// Where to connect to; the caller frees it. NULL: there is no such database.
static char *host_of(const struct server *server, const struct config_database **db)
{
    const struct config *config = server->worker->config;
    *db = config_database(config, server->route->database);
    if (*db == NULL)
        return NULL;
    if ((*db)->host != NULL && (*db)->host[0] != '\0')
        return host_in_turn(server->route, *db);
    const char *dir = config_settings(config)->unix_socket_dir;
    return mem_strdup(dir[0] != '\0' ? dir : "/tmp");
}

static void begin_connecting(struct server *server)
{
    struct worker *worker = server->worker;
    const struct config_database *db;
    list_push_back(&worker->servers, &server->link);
    char *host = host_of(server, &db);
    server->host = host != NULL ? mem_strdup(host) : NULL;
    struct address address;
    if (host == NULL) {
        server_close(server, "no such database");
    } else if (address_literal(&address, host, db->port)) {
        mem_free(host);
        connect_to(server, &address);
    } else {
        struct resolution_mail *question = mem_new(struct resolution_mail);
        question->mail.kind = MAIL_RESOLVED;
        question->answer = &worker->mailbox;
        question->asker = server->number;
        question->host = host;
        question->port = db->port;
        // What is cached must come from the server that is followed.
        question->first_only = route_is_to_follow(server->route, worker->config);
        question->keep_us = config_settings(worker->config)->dns_max_ttl_us;
        question->keep_failure_us = config_settings(worker->config)->dns_nxdomain_ttl_us;
        worker->lookups++;
        resolver_ask(worker->pooler->resolver, question);
    }
}

static struct server *server_new(struct worker *worker, struct route *route)
{
    struct server *server = mem_new(struct server);
    TAG_SET(server, SERVER_TAG);
    server->worker = worker;
    server->route = route_ref(route);
    server->slot.pool = route->pool;
    server->slot.worker = worker->number;
    server->conn.fd = -1;
    server->number = atomic_fetch_add(&worker->pooler->last_server, 1) + 1;
    server->generation = route->generation;
    server->opened_by = config_number(worker->config);
    server->tls_era = worker->tls->server_era;
    server->surprises = learnt_surprises(route->learnt);
    server->status = 'I';
    server->vars = vars_none(worker->pooler->vars);
    fitness_init(&server->fitness);
    server->since_us = server->opened_us = clock_us();
    list_init(&server->prepared.used);
    link_init(&server->slot.link);
    link_init(&server->link);
    return server;
}

void server_open(struct worker *worker, struct route *route)
{
    begin_connecting(server_new(worker, route));
}

void server_open_own(struct worker *worker, struct client *client, int64_t now_us)
{
    struct server *server = server_new(worker, client->route);
    if (!pool_open_own(client->route->pool, &server->slot, worker->number, client->since_us,
                       now_us)) {
        server_free(server);
        return;
    }
    replication_wants_no_more(client);
    server->own = server->counted = true;
    server->client = client;
    client->server = server;
    worker_link(worker, 1);
    begin_connecting(server);
}

void server_open_hub(struct hub *hub)
{
    struct server *server = server_new(hub->worker, hub->route);
    server->hub = hub;
    hub->server = server;
    begin_connecting(server);
}

struct server *server_take_over(struct worker *worker, struct route *route, int fd, bool hub)
{
    struct server *server = server_new(worker, route);
    server->address.length = sizeof(server->address.to);
    if (getpeername(fd, &server->address.to.any, &server->address.length) < 0)
        server->address.length = 0;
    conn_init(&server->conn, fd, server_readable, server_writable, server);
    server->state = SERVER_LINKED;
    list_push_back(&worker->servers, &server->link);
    if (hub) {
        hub_take_over(server);
        return server;
    }
    pool_take_over(route->pool, &server->slot, worker->number, server->opened_us);
    server->counted = true;
    conn_attach(&server->conn, worker->loop);
    return server;
}

void server_resolved(struct worker *worker, struct resolution_mail *mail)
{
    worker->lookups--;
    struct server *server = NULL;
    list_each(&worker->servers, l)
    {
        struct server *s = container_of(l, struct server, link);
        if (s->number == mail->asker && s->state == SERVER_CONNECTING && s->conn.fd < 0)
            server = s;
    }
    if (server != NULL && mail->address.length == 0) {
        log_warning("S-%p: DNS lookup failed: %s: %s", (void *)server, mail->host, mail->problem);
        server_close(server, "server DNS lookup failed");
    } else if (server != NULL) {
        server->name = mail->name;
        server->name_changes = mail->changes;
        connect_to(server, &mail->address);
    } else {
        cancel_resolved(worker, mail);
    }
    resolution_mail_free(mail);
}
