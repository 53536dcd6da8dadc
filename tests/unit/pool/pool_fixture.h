// SPDX-License-Identifier: Apache-2.0
// A pool with its quotas, servers and waiters, and the steps that tests of it take.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pool/pool.h"

enum { WORKERS = 3, SECOND_US = 1000000 };

struct bench {
    struct pool_quota database, user;
    struct pool *pool;
    struct pool_server server[8];
    struct pool_waiter waiter[8];
    struct pool_server *got;
    struct pool_task task;
    const char *close;
    int64_t now;
};

static inline void bench_open(struct bench *b, struct pool_limits limits)
{
    *b = (struct bench){.now = 100 * SECOND_US};
    quota_init(&b->database);
    quota_init(&b->user);
    b->pool = pool_new("shop", "anna", POOL_TRANSACTION, WORKERS, limits, &b->database, &b->user);
}

static inline void bench_size(struct bench *b, int size)
{
    bench_open(b, (struct pool_limits){.size = size, .retry_after_us = 15 * SECOND_US});
}

// Everything is closed, whatever it was doing.
static inline void bench_close(struct bench *b)
{
    for (int i = 0; i < 8; i++)
        if (b->server[i].pool != NULL)
            pool_closed(b->pool, &b->server[i], b->now);
    pool_free(b->pool);
    quota_fini(&b->database);
    quota_fini(&b->user);
    assert_int_equal(b->database.used, 0);
    assert_int_equal(b->user.used, 0);
}

static inline enum pool_result request(struct bench *b, int waiter, int worker)
{
    b->waiter[waiter].worker = worker;
    return pool_request(b->pool, &b->waiter[waiter], b->now, &b->got, &b->task);
}

static inline void granted(struct bench *b, int waiter, int worker, int server)
{
    assert_int_equal(request(b, waiter, worker), POOL_GRANTED);
    assert_ptr_equal(b->got, &b->server[server]);
    assert_int_equal(b->waiter[waiter].state, WAITER_GRANTED);
    pool_took(b->pool, &b->waiter[waiter]);
    assert_int_equal(b->waiter[waiter].state, WAITER_NONE);
}

static inline void queued(struct bench *b, int waiter, int worker, bool open, int ask)
{
    assert_int_equal(request(b, waiter, worker), POOL_QUEUED);
    assert_null(b->got);
    assert_int_equal(b->waiter[waiter].state, WAITER_QUEUED);
    assert_int_equal(b->task.open, open);
    assert_int_equal(b->task.ask_worker, ask);
}

// Server i is opened by worker and lies idle there. Wants nobody waiting but the helper's own.
static inline void idle_at(struct bench *b, int i, int worker)
{
    queued(b, 7, worker, true, -1);
    pool_opened(b->pool, &b->server[i], worker, b->now);
    assert_ptr_equal(pool_return(b->pool, &b->server[i], b->now, &b->close), &b->waiter[7]);
    pool_took(b->pool, &b->waiter[7]);
    b->server[i].worker = worker;
}

// Puts servers 0 .. n - 1 in place: idle at the workers named.
static inline void idle_all(struct bench *b, int n, const int *workers)
{
    for (int i = 0; i < n; i++)
        idle_at(b, i, workers[i]);
    for (int i = 0; i < n; i++)
        assert_null(pool_return(b->pool, &b->server[i], ++b->now, &b->close));
}

static inline void returned_to(struct bench *b, int server, int waiter)
{
    struct pool_waiter *next = pool_return(b->pool, &b->server[server], b->now, &b->close);
    assert_ptr_equal(next, waiter < 0 ? NULL : &b->waiter[waiter]);
    if (waiter < 0)
        return;
    assert_int_equal(next->state, WAITER_GRANTED);
    b->server[server].worker = next->worker;
    pool_took(b->pool, next);
}
