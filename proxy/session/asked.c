// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/asked.h"

#include "base/mem.h"

struct asked *asked_new(void)
{
    return mem_new(struct asked);
}

void asked_free(struct asked *asked)
{
    asked_forget(asked);
    mem_free(asked);
}

void asked_keep(struct question *q)
{
    struct question *missed = &q->client->worker->asked->missed;
    asked_forget(q->client->worker->asked);
    *missed = *q;
    q->statement = NULL;
}

void asked_forget(struct asked *asked)
{
    if (asked == NULL)
        return;
    statement_unref(&asked->missed.statement);
    asked->missed.client = NULL;
}
