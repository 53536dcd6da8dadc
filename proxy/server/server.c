// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/server.h"

#include <stdio.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/fill.h"
#include "cache/ledger.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/audit.h"
#include "proxy/server/cancel.h"
#include "proxy/session/align.h"
#include "proxy/server/hub.h"
#include "proxy/server/secure.h"
#include "proxy/session/client.h"
#include "proxy/session/hidden.h"
#include "proxy/session/replication.h"
#include "proxy/session/remains.h"
#include "proxy/session/statement.h"
#include "proxy/sql/learnt.h"
#include "proxy/tls_context.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

const char *server_state_name(enum server_state state)
{
    switch (state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
    case SERVER_SETUP:
        return "login";
    case SERVER_IDLE:
        return "idle";
    case SERVER_LINKED:
        return "active";
    case SERVER_RESETTING:
        return "tested";
    case SERVER_CLOSED:
        return "closed";
    }
    return "?";
}

// Also of one that it could not connect to.
void server_peer(const struct server *server, char text[ORIGIN_TEXT_BYTES])
{
    struct origin origin;
    if (server->address.length > 0 && server->address.to.any.sa_family != AF_UNIX)
        origin_of_address(&origin, &server->address.to.any, server->address.length);
    else
        origin_of_socket(&origin, server->conn.fd, 0);
    origin_for_log(&origin, text, ORIGIN_TEXT_BYTES);
}

// ---- moving ----

void server_detach(struct server *server)
{
    conn_detach(&server->conn);
    list_remove(&server->worker->servers, &server->link);
}

void server_attach(struct server *server, struct worker *worker)
{
    server->worker = worker;
    server->slot.worker = worker->number;
    list_push_back(&worker->servers, &server->link);
    server->conn.held = worker->suspended;
    conn_attach(&server->conn, worker->loop);
}

void server_hand_over(struct server *server, struct pool_waiter *waiter)
{
    struct client *client = client_of_waiter(waiter);
    server->client = client;
    if (waiter->worker == server->worker->number) {
        // The waiter's client lives here; a client that closed meanwhile has left the queue.
        if (client->state == CLIENT_CLOSED)
            server_give_back(server);
        else
            client_granted(client, server);
        return;
    }
    struct worker *other = server->worker->pooler->workers[waiter->worker];
    server->worker->pooler->in_transit++;
    server_detach(server);
    worker_mail_grant(other, server);
}

// ---- giving back ----

void server_give_back(struct server *server)
{
    fill_abandon(&server->fill);
    if (server_is_obsolete(server) && server->doomed == NULL)
        server->doomed = server->route->removed ? "database removed" : "close_needed";
    server->client = NULL;
    server->state = SERVER_IDLE;
    server->since_us = server->worker->now_us;
    if (server->doomed != NULL || server->worker->pooler->draining) {
        server_close(server, server->doomed ? server->doomed : "pgweir shutting down");
        return;
    }
    const char *close = NULL;
    struct pool_waiter *waiter =
        pool_return(server->route->pool, &server->slot, server->since_us, &close);
    if (close != NULL)
        server_close(server, close);
    else if (waiter != NULL)
        server_hand_over(server, waiter);
}

// RESET ALL leaves these two alone.
static const char reset_settings[] = "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL";

bool server_is_of_before(const struct server *server)
{
    bool other_tls = server->tls_era != server->worker->tls->server_era &&
                     server->address.to.any.sa_family != AF_UNIX; // which has none
    return other_tls || server->generation != server->route->generation ||
           server->opened_by < server->route->since;
}

static bool is_name_elsewhere(struct server *server)
{
    unsigned changes = resolver_changes(server->name);
    if (server->name_changes == changes)
        return false;
    if (!resolver_has(server->worker->pooler->resolver, server->name, &server->address))
        return true;
    server->name_changes = changes;
    return false;
}

bool server_is_obsolete(struct server *server)
{
    return server_is_of_before(server) || server->unfit ||
           server->surprises != learnt_surprises(server->route->learnt) ||
           (server->name != NULL && is_name_elsewhere(server));
}

// Is server_reset_query due, whatever was done in the session?
static bool resets_always(const struct server *server)
{
    const struct settings *settings = config_settings(server->worker->config);
    bool always = server->mode == POOL_SESSION || settings->server_reset_query_always;
    return always && settings->server_reset_query[0] != '\0';
}

static void begin_reset(struct server *server)
{
    struct worker *worker = server->worker;
    const struct settings *settings = config_settings(worker->config);
    const char *query = "DISCARD ALL";
    if (!server->needs_reset)
        query = resets_always(server) ? settings->server_reset_query : reset_settings;
    // A server_reset_query may do less.
    bool settings_too = (server->needs_settings_reset || server->applied != NULL) &&
                        query != reset_settings && strcasecmp(query, "DISCARD ALL") != 0;
    server->state = SERVER_RESETTING;
    server->since_us = clock_us();
    align_forget(server);
    server->needs_reset = server->needs_settings_reset = false;
    server->fresh = true;
    route_count(server->route, worker, resets, 1);
    sender_begin(&worker->to_server, &server->conn);
    server_inject(server, PURPOSE_RESET, query);
    if (settings_too)
        server_inject(server, PURPOSE_RESET, reset_settings);
    server_freshen(server);
    if (query == reset_settings && server->route->domain != NULL) {
        // Its next user would have to ask, and could not have its answer cached.
        server_ask_profile(server);
    }
    if (!sender_end(&worker->to_server))
        server_close(server, "server conn crashed?");
}

bool server_has_base(const struct server *server)
{
    return server->route->pool->mode != POOL_SESSION || server->route->domain != NULL;
}

// What a new session begins with; on the to_server bracket. The profile is asked for by its user.
bool server_freshen(struct server *server)
{
    const struct config_database *db =
        config_database(server->worker->config, server->route->database);
    server->fresh = server->bare = false;
    server_forget_profile(server);
    if (db == NULL || db->connect_query == NULL || db->connect_query[0] == '\0')
        return false;
    server_inject(server, PURPOSE_CONNECT, db->connect_query);
    if (server_has_base(server))
        align_ask_base(server, db->connect_query);
    return true;
}

// A cancel request keeps it from being given back, or does not any more.
static void set_detained(struct server *server, bool detained)
{
    if (server->release_waits == detained)
        return;
    server->release_waits = detained;
    server->route->detained += detained ? 1 : -1;
}

void server_release(struct server *server)
{
    CHECK(server->client == NULL && ops_empty(&server->ops) && server->status == 'I');
    if (server->cancels > 0) {
        // A cancel request is on its way: it must not hit the next client's query.
        set_detained(server, true);
        return;
    }
    set_detained(server, false);
    bool reset = server->needs_reset || server->needs_settings_reset || resets_always(server);
    if (server->doomed == NULL && reset) {
        begin_reset(server);
    } else if (hidden_ask(server)) {
        if (server->state != SERVER_CLOSED)
            server->state = SERVER_RESETTING;
        server->since_us = clock_us();
    } else {
        server_give_back(server);
    }
}

// ---- what the pool asks for ----

// Is it still there? While that is found out it is nobody's.
static void begin_check(struct server *server)
{
    struct worker *worker = server->worker;
    const char *query = config_settings(worker->config)->server_check_query;
    if (strcmp(query, "<empty>") == 0)
        query = "";
    server->state = SERVER_RESETTING;
    server->since_us = clock_us();
    log_debug("S-%p: P: checking: %s", (void *)server, query);
    sender_begin(&worker->to_server, &server->conn);
    server_inject(server, PURPOSE_CHECK, query);
    if (!sender_end(&worker->to_server))
        server_close(server, "test query failed");
}

void server_do_task(struct worker *worker, struct route *route, const struct pool_task *task)
{
    if (task->ask_worker >= 0) // itself, too, when others wait before this one
        worker_mail_serve(worker->pooler->workers[task->ask_worker], route);
    if (task->evict)
        worker_mail_share(worker->pooler);
    if (task->check != NULL)
        begin_check(container_of(task->check, struct server, slot));
    if (task->from_reserve && task->open)
        log_warning("P-%p: %s/%s taking connection from reserve_pool", (void *)route,
                    route->database, route->user);
    if (task->open)
        server_open(worker, route);
}

void server_open_more(struct worker *worker, struct route *route)
{
    struct pool_task task;
    if (worker->shutdown == SHUTDOWN_NONE && !route->removed &&
        (pool_may_open(route->pool, clock_us(), &task) || task.evict))
        server_do_task(worker, route, &task);
}

// ---- closing ----

static void tell_client(struct server *server, const char *why)
{
    struct client *client = server->client;
    server->client = NULL;
    if (client == NULL || client->server != server)
        return;
    client->server = NULL;
    worker_link(server->worker, -1);
    if (client->state == CLIENT_REPLICATING || server->refused)
        replication_server_gone(client, why);
    else
        client_fail(client, "08P01", why);
}

static void log_end(const struct server *server, const char *why)
{
    char peer[ORIGIN_TEXT_BYTES];
    const struct route *route = server->route;
    server_peer(server, peer);
    log_info("S-%p: %s/%s@%s closing because: %s (age=%llds)", (const void *)server,
             route->database, route->user, peer, why,
             (long long)((clock_us() - server->opened_us) / 1000000));
}

const char *server_lacks(const struct server *server)
{
    const struct config_database *db =
        config_database(server->worker->config, server->route->database);
    return db == NULL ? NULL
                      : fitness_lacks(&server->fitness,
                                      (enum config_target_session)db->target_session_attrs);
}

unsigned server_hosts(const struct config_database *db)
{
    unsigned count = 1;
    for (const char *p = db->host != NULL ? db->host : ""; *p != '\0'; p++)
        count += *p == ',';
    return count;
}

// True: the next host is tried at once.
static bool note_failure(struct server *server, const char *why)
{
    struct route *route = server->route;
    const struct config_database *db = config_database(server->worker->config, route->database);
    if (db != NULL && db->load_balance_hosts == CONFIG_BALANCE_DISABLE)
        route->next_host++;
    if (server->unfit && db != NULL && ++route->unfit % server_hosts(db) != 0) {
        pool_open_given_up(route->pool, clock_us());
        return true;
    }
    pool_open_failed(route->pool, clock_us(), server->refused,
                     server->refused ? server->refused_state : "08006", why);
    return false;
}

// True: another one may be opened at once, by what this worker knows. If it does not know the
// target yet it looks again when it does.
static bool note_given_up(struct server *server)
{
    pool_open_given_up(server->route->pool, clock_us());
    return config_number(server->worker->config) >= server->route->since;
}

void server_leaves_domain(struct server *server)
{
    if (server->counted_in != NULL)
        domain_session_left(server->counted_in, server->leads_to);
    server->counted_in = NULL;
}

void server_close(struct server *server, const char *why)
{
    TAG_CHECK(server, SERVER_TAG);
    if (server->state == SERVER_CLOSED)
        return;
    struct worker *worker = server->worker;
    struct route *route = server->route;
    bool was_open = server->counted, again = false;
    if (worker->relaying == server)
        worker->relaying = NULL;
    if (server->client != NULL && server->client->server == server)
        effects_in_doubt(server->client, server->process);
    hidden_give_up(server);
    server->state = SERVER_CLOSED;
    set_detained(server, false);
    if ((config_settings(worker->config)->log_disconnections || !was_open) && !server->conn.given)
        log_end(server, why);
    conn_close(&server->conn);
    fill_abandon(&server->fill);
    audit_abandon(server);
    server_leaves_domain(server);
    list_remove(&worker->servers, &server->link);
    if (server->cancels == 0) // else the last cancel request buries it
        list_push_back(&worker->graves_servers, &server->link);
    if (server->hub != NULL)
        hub_lost(server->hub, why);
    else if (was_open)
        pool_closed(route->pool, &server->slot, clock_us());
    else if (server->given_up || server_is_of_before(server))
        again = note_given_up(server);
    else
        again = note_failure(server, why);
    if (pool_contended(route->pool))
        worker->share_due = true;
    tell_client(server, why);
    if (was_open || again)
        server_open_more(worker, route);
}

void server_free(struct server *server)
{
    ops_fini(&server->ops);
    prepared_clear(&server->prepared);
    vars_unref(&server->vars);
    align_forget(server);
    if (server->remains != NULL)
        remains_fini(server->remains);
    mem_free(server->remains);
    buf_fini(&server->welcome);
    buf_fini(&server->secret);
    buf_fini(&server->kept);
    statement_names_clear(&server->named);
    if (server->scram != NULL)
        scram_client_fini(server->scram);
    mem_free(server->scram);
    server_forget_password(server);
    secure_free(&server->secure);
    tls_context_unref(&server->tls);
    mem_free(server->host);
    route_unref(&server->route);
    TAG_CLEAR(server);
    mem_free(server);
}

// ---- our own queries ----

void server_inject(struct server *server, enum op_purpose purpose, const char *sql)
{
    struct worker *worker = server->worker;
    CHECK(worker->to_server.conn == &server->conn);
    ops_push(&server->ops, OP_QUERY, OP_INJECTED, purpose);
    server->unnamed = 0; // a simple query ends the unnamed statement
    buf_clear(&worker->text);
    message_query(&worker->text, sql);
    sender_copy(&worker->to_server, buf_slice(&worker->text));
}

void server_ask_profile(struct server *server)
{
    struct domain *domain = domain_canonical(server->route->domain);
    struct buf sql = {0};
    server->profile = NULL;
    server->profile_epoch = ledger_epoch(domain_ledger(domain)); // before the catalog is taken
    struct catalog *catalog = domain_catalog_ref(domain);
    profile_question(&sql, catalog, server->applied);
    server->profile_asked = true;
    catalog_unref(&catalog);
    server_inject(server, PURPOSE_PROFILE, (const char *)sql.at);
    buf_fini(&sql);
}

void server_writable(struct ev_loop *loop, ev_io *io, int events)
{
    struct server *server = io->data;
    TAG_CHECK(server, SERVER_TAG);
    ev_io_stop(loop, io);
    enum conn_result result = conn_flush(&server->conn);
    if (result == CONN_ERROR) {
        server_close(server, "server conn crashed?");
        return;
    }
    struct client *client = server->client;
    if (result == CONN_OK && client != NULL && client->reading_paused)
        client_resume(client);
}
