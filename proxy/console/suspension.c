// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/suspension.h"

#include "base/clock.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/console/question.h"
#include "proxy/halt.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/takeover/fit.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum { GRACE_US = 1000000 };                // for what ends by itself
enum { IMPATIENT = 1, UNGRACIOUS = 2 }; // bits of the question's number

static bool talks(const struct client *client)
{
    return client->console == NULL && conn_has_output(&client->conn);
}

static struct client *talking_client(struct worker *worker)
{
    list_each(&worker->clients, l)
    {
        if (talks(container_of(l, struct client, link)))
            return container_of(l, struct client, link);
    }
    return NULL;
}

// Is it let go on? A login by its client's words, the others by what their servers say.
static bool visit_client(struct client *client, bool grace)
{
    bool soon = grace && client->console == NULL && fit_client(client) == FIT_SOON;
    conn_hold(&client->conn,
              client->console == NULL && !(soon && client->state == CLIENT_LOGIN));
    return soon;
}

static bool visit_server(struct server *server, bool grace)
{
    const struct client *client = server->client;
    bool linked = client != NULL && client->server == server;
    bool soon = grace && (fit_server(server) == FIT_SOON ||
                          (linked && fit_client(server->client) == FIT_SOON));
    conn_hold(&server->conn, !soon);
    return soon;
}

static void visit(struct worker *worker, struct question *q)
{
    struct client *client;
    bool patient = (q->number & IMPATIENT) == 0, grace = (q->number & UNGRACIOUS) == 0;
    if (!worker->suspended) { // it was resumed meanwhile
        q->failed = true;
        return;
    }
    while (!patient && (client = talking_client(worker)) != NULL)
        client_close(client, "suspend_timeout");
    list_each(&worker->clients, l)
    {
        client = container_of(l, struct client, link);
        q->count += talks(client) || visit_client(client, grace);
    }
    list_each(&worker->servers, s)
    {
        struct server *server = container_of(s, struct server, link);
        bool goes_on = visit_server(server, grace);
        q->count += goes_on || (patient && conn_has_output(&server->conn));
    }
}

// Another admin's RESUME, and perhaps SUSPEND, came in between.
static bool is_overtaken(const struct client *client)
{
    const struct pooler *pooler = client->worker->pooler;
    return halt_mode(pooler) != HALT_SUSPENDED || pooler->suspender != client->number;
}

static void answer_overtaken(struct client *client)
{
    struct buf out = {0};
    message_error(&out, "ERROR", "57014", "canceling SUSPEND due to RESUME");
    console_answer(client, buf_slice(&out));
    buf_fini(&out);
}

static void counted(struct client *client, struct question *q)
{
    if (q->failed || is_overtaken(client)) {
        answer_overtaken(client);
        return;
    }
    if (q->count > 0) {
        console_look_again(client);
        return;
    }
    message_complete(&q->out, "SUSPEND");
    console_answer(client, buf_slice(&q->out));
}

void suspension_look(struct client *client, int64_t since_us)
{
    struct pooler *pooler = client->worker->pooler;
    if (is_overtaken(client)) {
        answer_overtaken(client);
        return;
    }
    if (!pooler->deaf)
        return; // the main thread has not heard of it yet
    int64_t patience_us = config_settings(client->worker->config)->suspend_timeout_us;
    int64_t passed_us = clock_us() - since_us;
    struct question *q = question_new(client, "");
    q->number = (patience_us > 0 && passed_us >= patience_us ? IMPATIENT : 0) |
                (passed_us >= GRACE_US ? UNGRACIOUS : 0);
    q->visit = visit;
    q->done = counted;
    question_ask_workers(q);
}
