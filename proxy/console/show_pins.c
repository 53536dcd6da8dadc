// SPDX-License-Identifier: Apache-2.0
// SHOW PINS: which clients keep a server from others, outside session mode, why, and since when.
#include "proxy/console/show.h"

#include <stdio.h>

#include "base/clock.h"
#include "proxy/console/question.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

static void rows_of(const struct client *client, const struct question *q, int64_t now)
{
    char ptr[24];
    const char *application = client->vars->value[VAR_APPLICATION_NAME];
    snprintf(ptr, sizeof(ptr), "%p", (const void *)client);
    for (int i = 1; i < PIN_COUNT; i++)
        if (client->pins & (1u << i))
            table_row(&q->table,
                      (struct cell[]){TEXT(client->database), TEXT(client->user),
                                      TEXT(pin_name((enum pin)i)),
                                      NUMBER((now - client->pinned_us) / 1000000),
                                      TEXT(application ? application : ""), TEXT(ptr),
                                      NUMBER(client->number), NUMBER(client->server->process)});
}

static void visit(struct worker *worker, struct question *q)
{
    int64_t now = clock_us();
    list_each(&worker->clients, l)
    {
        const struct client *client = container_of(l, struct client, link);
        if (client->pins != 0 && client->server != NULL && client->mode != POOL_SESSION)
            rows_of(client, q, now);
    }
}

static enum command_result pins(struct client *client, struct table *table)
{
    struct question *q = question_of_table(client, table);
    q->visit = visit;
    question_ask_workers(q);
    return COMMAND_LATER;
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

const struct show show_pins[] = {
    {"pins",
     {"sssissii", COLUMNS("database", "user", "reason", "age", "application_name", "ptr", "id",
                          "remote_pid")},
     pins, false},
    {NULL, {NULL, NULL}, NULL, false},
};
