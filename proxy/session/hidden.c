// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/hidden.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/sql/learnt.h"
#include "proxy/worker.h"

static int64_t interval_us(const struct worker *worker)
{
    return config_settings(worker->config)->hidden_code_check_us;
}

// Else nobody shares the session, and nothing is answered without it.
static bool matters(const struct worker *worker, const struct route *route, enum pool_mode mode)
{
    return interval_us(worker) > 0 && (mode != POOL_SESSION || route->domain != NULL);
}

// ---- clients ----

static void begin_change(struct client *client, struct learnt *learnt)
{
    if (client->changing != NULL)
        return;
    client->changing = learnt;
    learnt_change_begins(learnt);
}

static void look_later(struct client *client)
{
    effects_of(client)->path_unknown = true;
    client->must_verify = client->unseen = true;
    client_pin(client, PIN_FUNCTION);
}

void hidden_note(struct client *client, const struct analysis *analysis)
{
    struct route *route = client->route;
    struct learnt *learnt = route->learnt;
    if (!matters(client->worker, route, client->mode))
        return;
    if (analysis->reshapes)
        begin_change(client, learnt);
    else if (analysis->ddl)
        learnt_ask_soon(learnt);
    if (!analysis_may_run_more(analysis))
        return;
    if (client->judged == 0) // before the verdict
        client->judged = learnt_changes(learnt);
    enum learnt_verdict verdict =
        learnt_verdict(learnt, (struct analysis *)(uintptr_t)analysis, client->worker->now_us);
    if (verdict == LEARNT_HARMLESS)
        return;
    look_later(client);
    if (verdict == LEARNT_CODED) // it may write, too
        effects_of(client)->barrier = true;
}

void hidden_note_unread(struct client *client, struct slice text)
{
    if (matters(client->worker, client->route, client->mode) &&
        (text.len == 0 || analysis_text_may_reshape(text)))
        begin_change(client, client->route->learnt);
}

void hidden_settle(struct client *client)
{
    if (client->changing != NULL)
        learnt_change_ends(client->changing);
    client->changing = NULL;
    if (client->judged != 0 && client->judged != learnt_changes(client->route->learnt) &&
        matters(client->worker, client->route, client->mode))
        look_later(client);
    client->judged = 0;
}

// ---- servers ----

static void ask(struct server *server, enum learnt_wants wants)
{
    struct buf sql = {0};
    server->asking = wants;
    server->answer = coded_draft_new();
    if (wants == LEARNT_ALL)
        coded_question(&sql);
    else
        coded_check(&sql);
    sender_begin(&server->worker->to_server, &server->conn);
    server_inject(server, PURPOSE_LEARN, (const char *)sql.at);
    if (!sender_end(&server->worker->to_server))
        server_close(server, "server conn crashed?");
    buf_fini(&sql);
}

bool hidden_ask(struct server *server)
{
    struct worker *worker = server->worker;
    struct route *route = server->route;
    enum learnt_wants wants = (enum learnt_wants)server->asking; // it has more to say
    if (wants == LEARNT_NOTHING && server->doomed == NULL &&
        matters(worker, route, route->pool->mode) &&
        learnt_may_want(route->learnt, worker->now_us) && !server_is_obsolete(server)) {
        server->asked_by = route->learnt;
        wants = learnt_wants(server->asked_by, worker->now_us);
    }
    if (wants == LEARNT_NOTHING)
        return false;
    ask(server, wants);
    return true;
}

void hidden_row(struct server *server, struct slice row)
{
    if (server->answer != NULL)
        coded_draft_row(server->answer, row);
}

void hidden_failed(struct server *server, const char *why)
{
    log_warning("S-%p: the server cannot be asked for triggers, views and the like: %s",
                (void *)server, why);
    coded_draft_free(&server->answer);
}

void hidden_answered(struct server *server)
{
    struct coded *answer = server->answer != NULL ? coded_draft_end(&server->answer) : NULL;
    server->asking = learnt_told(server->asked_by, (enum learnt_wants)server->asking, answer,
                                 interval_us(server->worker), clock_us());
}

void hidden_give_up(struct server *server)
{
    if (server->asking == LEARNT_NOTHING)
        return;
    coded_draft_free(&server->answer);
    learnt_give_up(server->asked_by, clock_us());
    server->asking = LEARNT_NOTHING;
}
