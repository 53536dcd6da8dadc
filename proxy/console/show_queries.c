// SPDX-License-Identifier: Apache-2.0
// SHOW QUERIES: what track_queries has found. Each worker writes down its table, the last step adds
// up what is the same text of the same database, the costliest first.
#include "proxy/console/show.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/console/console.h"
#include "proxy/console/question.h"
#include "proxy/session/client.h"
#include "proxy/sql/queries.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// One entry of one worker, in the question's `found`; the two texts follow it.
struct record {
    struct query_figures figures;
    size_t bytes; // with the texts, rounded up
    char database[];
};

static const char *text_of(const struct record *r)
{
    return r->database + strlen(r->database) + 1;
}

static void write_down(const char *database, const char *text,
                       const struct query_figures *figures, void *arg)
{
    struct buf *found = arg;
    struct record head = {.figures = *figures};
    size_t texts = strlen(database) + 1 + strlen(text) + 1;
    size_t align = _Alignof(struct record);
    head.bytes = (sizeof(head) + texts + align - 1) / align * align;
    size_t at = found->len;
    buf_bytes(found, &head, sizeof(head));
    buf_cstr(found, database);
    buf_cstr(found, text);
    while (found->len < at + head.bytes)
        buf_u8(found, 0);
}

static void visit(struct worker *worker, struct question *q)
{
    if (worker->queries != NULL)
        queries_each(worker->queries, write_down, &q->found);
}

static int by_text(const void *a, const void *b)
{
    const struct record *const *x = a, *const *y = b;
    int order = strcmp((*x)->database, (*y)->database);
    return order != 0 ? order : strcmp(text_of(*x), text_of(*y));
}

static int by_time(const void *a, const void *b)
{
    const struct record *const *x = a, *const *y = b;
    uint64_t left = (*x)->figures.time_us, right = (*y)->figures.time_us;
    return left != right ? (left < right ? 1 : -1) : by_text(a, b);
}

static void add(struct query_figures *sum, const struct query_figures *more)
{
    sum->calls += more->calls;
    sum->rows += more->rows;
    sum->time_us += more->time_us;
    sum->max_us = sum->max_us > more->max_us ? sum->max_us : more->max_us;
    sum->wait_us += more->wait_us;
    sum->hits += more->hits;
    sum->hit_bytes += more->hit_bytes;
    sum->misses += more->misses;
    sum->bypasses += more->bypasses;
    sum->reason = more->reason != BYPASS_NONE ? more->reason : sum->reason;
}

// Sorted and added up: *count of them, in an array of the caller's.
static struct record **gather(struct buf *found, size_t *count)
{
    struct buf all = {0};
    struct record *r;
    for (size_t at = 0; at < found->len; at += r->bytes) {
        r = (struct record *)(void *)(found->at + at);
        buf_bytes(&all, &r, sizeof(r));
    }
    struct record **records = (struct record **)(void *)all.at;
    size_t n = all.len / sizeof(r);
    *count = 0;
    if (n > 0)
        qsort(records, n, sizeof(r), by_text);
    for (size_t i = 0; i < n; i++) {
        if (*count > 0 && by_text(&records[*count - 1], &records[i]) == 0)
            add(&records[*count - 1]->figures, &records[i]->figures);
        else
            records[(*count)++] = records[i];
    }
    if (*count > 0)
        qsort(records, *count, sizeof(r), by_time);
    return records;
}

static void done(struct client *client, struct question *q)
{
    size_t count;
    struct record **records = gather(&q->found, &count);
    for (size_t i = 0; i < count; i++) {
        const struct query_figures *f = &records[i]->figures;
        if (f->calls == 0)
            continue;
        table_row(&q->table,
                  (struct cell[]){TEXT(records[i]->database), NUMBER(f->calls), NUMBER(f->rows),
                                  NUMBER(f->time_us), NUMBER(f->max_us), NUMBER(f->wait_us),
                                  NUMBER(f->hits), NUMBER(f->hits * 100 / f->calls),
                                  TEXT(text_of(records[i]))});
    }
    mem_free(records);
    question_shown(client, q);
}

// What the hits would have taken, if they are like the others of their text.
static uint64_t saved_us(const struct query_figures *f)
{
    return f->calls > f->hits ? f->hits * (f->time_us / (f->calls - f->hits)) : 0;
}

static void cache_done(struct client *client, struct question *q)
{
    size_t count;
    struct record **records = gather(&q->found, &count);
    for (size_t i = 0; i < count; i++) {
        const struct query_figures *f = &records[i]->figures;
        uint64_t asked = f->hits + f->misses + f->bypasses;
        if (asked == 0)
            continue;
        table_row(&q->table,
                  (struct cell[]){TEXT(records[i]->database), NUMBER(f->hits), NUMBER(f->misses),
                                  NUMBER(f->bypasses), NUMBER(f->hits * 100 / asked),
                                  NUMBER(f->hit_bytes), NUMBER(saved_us(f)),
                                  TEXT(f->bypasses > 0 ? bypass_name(f->reason) : ""),
                                  TEXT(f->bypasses > 0 ? bypass_sentence(f->reason) : ""),
                                  TEXT(text_of(records[i]))});
    }
    mem_free(records);
    question_shown(client, q);
}

static enum command_result cache_queries(struct client *client, struct table *table)
{
    struct question *q = question_of_table(client, table);
    q->visit = visit;
    q->done = cache_done;
    question_ask_workers(q);
    return COMMAND_LATER;
}

static enum command_result queries(struct client *client, struct table *table)
{
    struct question *q = question_of_table(client, table);
    q->visit = visit;
    q->done = done;
    question_ask_workers(q);
    return COMMAND_LATER;
}

#define COLUMNS(...) (const char *const[]){__VA_ARGS__}

const struct show show_queries[] = {
    {"queries",
     {"snnnnnnis", COLUMNS("database", "calls", "rows", "total_time", "max_time", "wait_time",
                           "hits", "hit_percent", "query")},
     queries, false},
    {"cache_queries",
     {"snnninnsss", COLUMNS("database", "hits", "misses", "bypasses", "hit_percent", "hit_bytes",
                            "saved_time", "reason", "meaning", "query")},
     cache_queries, false},
    {NULL, {NULL, NULL}, NULL, false},
};
