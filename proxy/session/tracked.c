// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/tracked.h"

#include "base/mem.h"
#include "proxy/route.h"
#include "proxy/server/ops.h"
#include "proxy/session/client.h"
#include "proxy/sql/queries.h"
#include "proxy/worker.h"

static uint32_t number_of(struct client *client, struct slice text)
{
    struct worker *worker = client->worker;
    if (text.len == 0 || !vars_text_is_plain(client->vars, text))
        return 0;
    return queries_find(worker->queries, client->route->database, text);
}

static struct tracked *tracked_of(struct client *client)
{
    if (client->tracked == NULL)
        client->tracked = mem_new(struct tracked);
    return client->tracked;
}

void tracked_waited(struct client *client, int64_t waited_us)
{
    tracked_of(client)->waited_us = waited_us;
}

// It waited for its server; the wait is told once.
static void take_wait(struct client *client, uint32_t number)
{
    struct tracked *t = tracked_of(client);
    struct worker *worker = client->worker;
    struct query_figures *f = queries_figures(worker->queries, number);
    if (f != NULL)
        f->wait_us += (uint64_t)t->waited_us;
    t->waited_us = 0;
}

void tracked_query(struct client *client, struct op *op, struct slice text)
{
    op->tracked = number_of(client, text);
    take_wait(client, op->tracked);
}

void tracked_bind(struct client *client, struct slice text)
{
    uint32_t number = tracked_of(client)->bound = number_of(client, text);
    take_wait(client, number);
}

void tracked_execute(struct client *client, struct op *op)
{
    op->tracked = tracked_of(client)->bound;
}

// "SELECT 5", "INSERT 0 5": the last number, if there is one.
static uint64_t rows_of(struct slice tag)
{
    uint64_t rows = 0, place = 1;
    size_t n = tag.len > 0 ? tag.len - 1 : 0;
    for (; n > 0 && tag.at[n - 1] >= '0' && tag.at[n - 1] <= '9'; n--, place *= 10)
        rows += place * (uint64_t)(tag.at[n - 1] - '0');
    return n > 0 && tag.at[n - 1] == ' ' ? rows : 0;
}

// Since the last answer, or since the server was given something to do.
static int64_t began_us(const struct client *client)
{
    int64_t answered_us = client->tracked->since_us;
    return client->query_us > answered_us ? client->query_us : answered_us;
}

static void take_time(struct client *client, struct query_figures *f)
{
    uint64_t time_us = (uint64_t)(client->worker->now_us - began_us(client));
    f->time_us += time_us;
    if (time_us > f->max_us)
        f->max_us = time_us;
    client->tracked->since_us = client->worker->now_us;
}

void tracked_complete(struct client *client, const struct op *op, struct slice tag)
{
    struct query_figures *f = queries_figures(client->worker->queries, op->tracked);
    if (f == NULL)
        return;
    f->rows += rows_of(tag);
    struct tracked *t = tracked_of(client);
    // A text with several statements is called once; an Execute each time.
    if (op->kind == OP_EXECUTE || t->answered != op->tracked)
        f->calls++;
    t->answered = op->tracked;
    take_time(client, f);
}

void tracked_ready(struct client *client)
{
    struct tracked *t = client->tracked;
    if (t == NULL || t->answered == 0)
        return;
    struct query_figures *f = queries_figures(client->worker->queries, t->answered);
    t->answered = 0;
    if (f != NULL)
        take_time(client, f);
}

void tracked_hit(struct client *client, struct slice text, size_t bytes)
{
    struct worker *worker = client->worker;
    uint32_t number = number_of(client, text);
    struct query_figures *f = queries_figures(worker->queries, number);
    if (f == NULL)
        return;
    f->calls++;
    f->hits++;
    f->hit_bytes += bytes;
}

void tracked_not_hit(struct client *client, struct slice text, enum bypass reason)
{
    struct worker *worker = client->worker;
    struct query_figures *f = queries_figures(worker->queries, number_of(client, text));
    if (f == NULL)
        return;
    f->misses += reason == BYPASS_NONE;
    f->bypasses += reason != BYPASS_NONE;
    if (reason != BYPASS_NONE)
        f->reason = (uint8_t)reason;
}
