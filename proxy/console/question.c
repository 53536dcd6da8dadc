// SPDX-License-Identifier: Apache-2.0
#include "proxy/console/question.h"

#include <stdio.h>

#include "base/mem.h"
#include "proxy/console/console.h"
#include "proxy/session/client.h"
#include "proxy/takeover/handover.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

struct question *question_new(struct client *client, const char *name)
{
    struct question *q = mem_new(struct question);
    q->home = client->worker;
    q->client = client->number;
    snprintf(q->name, sizeof(q->name), "%s", name);
    q->table.out = &q->out;
    q->home->pooler->console_mails++;
    console_asks(client, q);
    return q;
}

struct question *question_of_table(struct client *client, const struct table *table)
{
    struct question *q = question_new(client, "");
    buf_put(&q->out, buf_slice(table->out)); // its RowDescription
    q->table.shape = table->shape;
    q->table.binary = table->binary;
    q->done = question_shown;
    return q;
}

void question_shown(struct client *client, struct question *q)
{
    message_complete(&q->out, "SHOW");
    console_answer(client, buf_slice(&q->out));
}

void question_ask_workers(struct question *q)
{
    worker_mail_console(q->home->pooler->workers[0], &q->mail);
}

void question_ask_main(struct question *q, enum errand errand)
{
    q->errand = errand;
    mailbox_post(&q->home->pooler->errands, &q->mail);
}

void question_answered(struct question *q)
{
    q->next_worker = q->home->pooler->worker_count;
    worker_mail_console(q->home, &q->mail);
}

static struct client *asker(struct worker *worker, uint64_t number)
{
    list_each(&worker->clients, l)
    {
        struct client *client = container_of(l, struct client, link);
        if (client->number == number)
            return client;
    }
    return NULL;
}

void question_step(struct worker *worker, struct question *q)
{
    struct pooler *pooler = worker->pooler;
    if (q->next_worker < pooler->worker_count) {
        q->visit(worker, q);
        q->next_worker++;
        bool last = q->next_worker == pooler->worker_count;
        worker_mail_console(last ? q->home : pooler->workers[q->next_worker], &q->mail);
        return;
    }
    struct client *client = asker(worker, q->client);
    if (client != NULL && console_awaits(client, q))
        q->done(client, q);
    handover_free(q->handover);
    buf_fini(&q->found);
    buf_fini(&q->out);
    pooler->console_mails--;
    mem_free(q);
}
