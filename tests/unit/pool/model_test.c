// SPDX-License-Identifier: Apache-2.0
// A pool beside a naive model of it, driven by random events, with two pools that share quotas.
// After each event the two agree; and when everything that was asked for has been done, nobody
// waits beside an idle connection, or although another one could be opened. Whose turn it is when
// a quota is used up is quota_test.c's subject: here it is taken as it comes.
#include "pool/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"

enum { POOLS = 2, WORKERS = 3, CLIENTS = 12, SERVERS = 12, ASKS = 4096 };
enum { ROUNDS = 60, EVENTS = 1500 };
enum { RETRY_US = 500, RESERVE_US = 300 };

enum place { CLOSED, IN_USE, IDLE };

struct server {
    struct pool_server slot; // first: the pool's pointer is ours
    enum place place;
    struct client *client;   // who uses it
};

struct client {
    struct pool_waiter waiter; // first
    bool waits;
    int64_t since;
    struct server *server; // what it uses
};

struct side {
    struct pool *pool;
    struct pool_limits limits;
    struct server servers[SERVERS];
    struct client clients[CLIENTS];
    struct client *queue[CLIENTS]; // the model: first come first
    int queued;
    struct server *idle[WORKERS][SERVERS]; // the model: most recent last
    int idles[WORKERS];
    bool opening;
    int opener; // the worker that opens
    int64_t failed; // 0: the last one succeeded
    bool paused;
};

struct world {
    struct dice dice;
    int64_t now;
    struct pool_quota database, user;
    struct side side[POOLS];
    struct { int pool, worker; } asks[ASKS];
    int asked;
};

// ---- the model's view ----

static int open_of(const struct side *s)
{
    int n = 0;
    for (int i = 0; i < SERVERS; i++)
        n += s->servers[i].place != CLOSED;
    return n;
}

static int idle_of(const struct side *s)
{
    int n = 0;
    for (int w = 0; w < WORKERS; w++)
        n += s->idles[w];
    return n;
}

static bool quota_left(const struct pool_quota *q)
{
    return q->limit == 0 || q->used < q->limit;
}

static bool is_contended(const struct world *w)
{
    return w->database.contended > 0 || w->user.contended > 0;
}

static bool model_may_open(const struct world *w, const struct side *s)
{
    int minimum = s->limits.minimum < s->limits.size ? s->limits.minimum : s->limits.size;
    if (s->queued <= idle_of(s) && open_of(s) >= minimum)
        return false;
    if (s->opening || s->paused || (s->failed && w->now - s->failed < RETRY_US))
        return false;
    int limit = s->limits.size;
    if (s->queued > 0 && w->now - s->queue[0]->since >= RESERVE_US)
        limit += s->limits.reserve;
    return open_of(s) < limit && quota_left(&w->database) && quota_left(&w->user);
}

static void unqueue(struct side *s, const struct client *c)
{
    int i = 0;
    while (s->queue[i] != c)
        i++;
    memmove(&s->queue[i], &s->queue[i + 1], (size_t)(s->queued - i - 1) * sizeof(*s->queue));
    s->queued--;
}

static void unidle(struct side *s, const struct server *server)
{
    int w = server->slot.worker, i = 0;
    while (s->idle[w][i] != server)
        i++;
    memmove(&s->idle[w][i], &s->idle[w][i + 1],
            (size_t)(s->idles[w] - i - 1) * sizeof(s->idle[w][0]));
    s->idles[w]--;
}

// ---- what callers do ----

static void use(struct side *s, struct server *server, struct client *c)
{
    assert_int_equal(c->waiter.state, WAITER_GRANTED);
    server->place = IN_USE;
    server->client = c;
    server->slot.worker = c->waiter.worker;
    c->server = server;
    c->waits = false;
    pool_took(s->pool, &c->waiter);
}

static void note_opening(struct side *s, int worker)
{
    s->opening = true;
    s->opener = worker;
}

static void may_open(struct world *w, struct side *s, int worker)
{
    bool expected = model_may_open(w, s), others = is_contended(w);
    struct pool_task task;
    bool opens = pool_may_open(s->pool, w->now, &task);
    assert_true(opens == expected || (others && !opens));
    if (opens)
        note_opening(s, worker);
}

static void closed(struct world *w, struct side *s, struct server *server);

// May it have been told to close one?
static void check_reason(const struct world *w, const struct side *s, const char *close)
{
    if (strcmp(close, "evicted") == 0)
        assert_true(is_contended(w));
    else
        assert_true(open_of(s) > s->limits.size + s->limits.reserve);
}

static void give_back(struct world *w, struct side *s, struct server *server)
{
    if (server->client != NULL)
        server->client->server = NULL;
    server->client = NULL;
    struct client *expected = s->paused || s->queued == 0 ? NULL : s->queue[0];
    const char *close;
    struct pool_waiter *next = pool_return(s->pool, &server->slot, w->now, &close);
    if (close != NULL) {
        assert_null(next);
        check_reason(w, s, close);
        closed(w, s, server);
        return;
    }
    assert_ptr_equal(next, expected);
    if (expected == NULL) {
        int worker = server->slot.worker;
        server->place = IDLE;
        s->idle[worker][s->idles[worker]++] = server;
        return;
    }
    unqueue(s, expected);
    use(s, server, expected);
}

static void ask(struct world *w, struct side *s, int worker)
{
    assert_true(w->asked < ASKS);
    w->asks[w->asked].pool = (int)(s - w->side);
    w->asks[w->asked++].worker = worker;
}

static void note_task(struct world *w, struct side *s, int worker, const struct pool_task *task)
{
    if (task->open)
        note_opening(s, worker);
    if (task->ask_worker < 0) {
        assert_true(s->paused || idle_of(s) == 0);
        return;
    }
    assert_true(s->idles[task->ask_worker] > 0);
    ask(w, s, task->ask_worker);
}

static void request(struct world *w, struct side *s, struct client *c)
{
    if (c->waits || c->server != NULL)
        return;
    int worker = c->waiter.worker = (int)dice_below(&w->dice, WORKERS);
    struct pool_server *got;
    struct pool_task task;
    if (s->queued == 0 && !s->paused && s->idles[worker] > 0) {
        struct server *expected = s->idle[worker][s->idles[worker] - 1];
        assert_int_equal(pool_request(s->pool, &c->waiter, w->now, &got, &task), POOL_GRANTED);
        assert_ptr_equal(got, &expected->slot);
        assert_false(task.open);
        assert_int_equal(task.ask_worker, -1);
        unidle(s, expected);
        use(s, expected, c);
        return;
    }
    if (open_of(s) == 0 && s->failed && w->now - s->failed < RETRY_US && !s->paused) {
        assert_int_equal(pool_request(s->pool, &c->waiter, w->now, &got, &task), POOL_FAILING);
        return;
    }
    c->waits = true;
    c->since = w->now;
    s->queue[s->queued++] = c;
    bool opens = model_may_open(w, s), others = is_contended(w); // before it is counted
    assert_int_equal(pool_request(s->pool, &c->waiter, w->now, &got, &task), POOL_QUEUED);
    assert_true(task.open == opens || (others && !task.open));
    note_task(w, s, worker, &task);
}

static bool idle_somewhere(const struct side *s)
{
    for (int i = 0; i < WORKERS; i++)
        if (s->idles[i] > 0)
            return true;
    return false;
}

// Any order: mail to different workers overtakes.
static void serve_one_ask(struct world *w)
{
    if (w->asked == 0)
        return;
    size_t i = dice_below(&w->dice, (size_t)w->asked);
    struct side *s = &w->side[w->asks[i].pool];
    int worker = w->asks[i].worker;
    w->asks[i] = w->asks[--w->asked];
    for (;;) {
        struct pool_server *server;
        struct pool_waiter *waiter;
        bool expected = !s->paused && s->queued > 0 && s->idles[worker] > 0;
        struct pool_task task;
        assert_int_equal(pool_serve(s->pool, worker, w->now, &server, &waiter, &task), expected);
        if (!expected) {
            bool more = !s->paused && s->queued > 0 && idle_somewhere(s);
            assert_int_equal(task.ask_worker >= 0, more);
            if (more)
                ask(w, s, task.ask_worker);
            return;
        }
        struct server *recent = s->idle[worker][s->idles[worker] - 1];
        struct client *c = s->queue[0];
        assert_ptr_equal(server, &recent->slot);
        assert_ptr_equal(waiter, &c->waiter);
        unidle(s, recent);
        unqueue(s, c);
        use(s, recent, c);
    }
}

static void finish_opening(struct world *w, struct side *s, bool ok)
{
    if (!s->opening)
        return;
    s->opening = false;
    if (!ok) {
        s->failed = w->now;
        pool_open_failed(s->pool, w->now, false, "08006", "no");
        return;
    }
    struct server *server = s->servers;
    while (server->place != CLOSED)
        server++;
    s->failed = 0;
    server->place = IN_USE;
    pool_opened(s->pool, &server->slot, s->opener, w->now);
    give_back(w, s, server);
    may_open(w, s, s->opener);
}

static void closed(struct world *w, struct side *s, struct server *server)
{
    if (server->client != NULL)
        server->client->server = NULL;
    server->client = NULL;
    server->place = CLOSED;
    pool_closed(s->pool, &server->slot, w->now);
    may_open(w, s, server->slot.worker);
}

static void end_of(struct world *w, struct side *s, struct server *server)
{
    if (server->place == CLOSED)
        return;
    bool take = dice_below(&w->dice, 2);
    if (take)
        assert_int_equal(pool_take_idle(s->pool, &server->slot), server->place == IDLE);
    if (server->place == IDLE)
        unidle(s, server);
    closed(w, s, server);
}

static void stale(struct world *w, struct side *s)
{
    int worker = (int)dice_below(&w->dice, WORKERS);
    int64_t before = w->now - (int64_t)dice_below(&w->dice, 400);
    bool too_many = open_of(s) > s->limits.size + s->limits.reserve;
    struct server *expected = NULL;
    for (int i = s->idles[worker]; i-- > 0;)
        if ((s->idle[worker][i]->slot.released_us < before && open_of(s) > s->limits.minimum) ||
            too_many)
            expected = s->idle[worker][i];
    const char *why;
    struct pool_server *got = pool_stale(s->pool, worker, before, w->now, &why);
    assert_ptr_equal(got, expected ? &expected->slot : NULL);
    if (expected == NULL)
        return;
    unidle(s, expected);
    closed(w, s, expected);
}

static void abandon(struct side *s, struct client *c)
{
    bool waits = c->waits;
    assert_true(pool_abandon(s->pool, &c->waiter));
    c->waits = false;
    if (waits)
        unqueue(s, c);
}

static void evict(struct world *w, struct side *s)
{
    int worker = (int)dice_below(&w->dice, WORKERS);
    bool may = is_contended(w) && s->idles[worker] > 0;
    struct pool_server *got = pool_evict(s->pool, worker, w->now);
    assert_true(got == NULL || may);
    if (got == NULL)
        return;
    assert_ptr_equal(got, &s->idle[worker][0]->slot); // the least recently used
    struct server *server = s->idle[worker][0];
    unidle(s, server);
    closed(w, s, server);
}

static void relimit(struct world *w, struct side *s)
{
    s->limits.size = 1 + (int)dice_below(&w->dice, 5);
    s->limits.reserve = (int)dice_below(&w->dice, 3);
    s->limits.minimum = (int)dice_below(&w->dice, 3);
    pool_relimit(s->pool, s->limits);
}

static void pause_or_resume(struct world *w, struct side *s)
{
    s->paused = !s->paused && dice_below(&w->dice, 3) == 0;
    pool_pause(s->pool, s->paused);
    for (int i = 0; i < WORKERS && !s->paused; i++)
        ask(w, s, i);
}

static void event(struct world *w)
{
    struct side *s = &w->side[dice_below(&w->dice, POOLS)];
    struct client *c = &s->clients[dice_below(&w->dice, CLIENTS)];
    struct server *server = &s->servers[dice_below(&w->dice, SERVERS)];
    size_t die = dice_below(&w->dice, 100);
    w->now += (int64_t)dice_below(&w->dice, 20);
    if (die < 35)
        request(w, s, c);
    else if (die < 60 && server->place == IN_USE)
        give_back(w, s, server);
    else if (die < 75)
        serve_one_ask(w);
    else if (die < 85)
        finish_opening(w, s, dice_below(&w->dice, 5) > 0);
    else if (die < 88)
        end_of(w, s, server);
    else if (die < 91)
        stale(w, s);
    else if (die < 94)
        abandon(s, c);
    else if (die < 96)
        evict(w, s);
    else if (die < 97)
        relimit(w, s);
    else if (die < 98)
        pause_or_resume(w, s);
    else
        may_open(w, s, (int)dice_below(&w->dice, WORKERS));
}

static void check_side(const struct world *w, const struct side *s)
{
    struct pool_figures f = pool_figures(s->pool, w->now);
    int open = open_of(s);
    assert_int_equal(f.clients_waiting, s->queued);
    assert_int_equal(f.servers_idle, idle_of(s));
    assert_int_equal(f.servers_active, open - idle_of(s));
    assert_int_equal(f.servers_login, s->opening);
    assert_int_equal(f.longest_wait_us, s->queued ? w->now - s->queue[0]->since : 0);
    for (int i = 0; i < SERVERS; i++)
        assert_int_equal(s->servers[i].slot.idle, s->servers[i].place == IDLE);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(s->clients[i].waiter.state,
                         s->clients[i].waits ? WAITER_QUEUED : WAITER_NONE);
}

static void check_world(const struct world *w)
{
    int all = 0;
    for (int p = 0; p < POOLS; p++) {
        check_side(w, &w->side[p]);
        all += open_of(&w->side[p]) + w->side[p].opening;
    }
    assert_int_equal(w->database.used, all);
    assert_int_equal(w->user.used, all);
    assert_in_range(all, 0, w->database.limit);
}

// Everything asked for is done, as workers and their janitors do.
static void settle(struct world *w)
{
    w->now += RETRY_US;
    for (int round = 0; round < 3; round++) { // whom a quota preferred may not have wanted it
        for (int p = 0; p < POOLS; p++)
            may_open(w, &w->side[p], 0);
        while (w->asked > 0 || w->side[0].opening || w->side[1].opening) {
            serve_one_ask(w);
            for (int p = 0; p < POOLS; p++)
                finish_opening(w, &w->side[p], true);
        }
    }
}

static void check_nobody_lost(struct world *w)
{
    settle(w);
    for (int p = 0; p < POOLS; p++) {
        const struct side *s = &w->side[p];
        if (s->paused || s->queued == 0)
            continue;
        assert_int_equal(idle_of(s), 0);
        assert_false(model_may_open(w, s));
    }
}

static void begin(struct world *w, uint64_t seed)
{
    *w = (struct world){.dice = dice_of(seed), .now = 1000000};
    quota_init(&w->database);
    quota_init(&w->user);
    w->database.limit = 3 + (int)(seed % 8);
    for (int p = 0; p < POOLS; p++) {
        struct side *s = &w->side[p];
        s->limits = (struct pool_limits){.size = 1 + (int)(seed % 5), .reserve = (int)(seed % 2),
                                         .reserve_after_us = RESERVE_US,
                                         .retry_after_us = RETRY_US};
        s->pool = pool_new("d", p ? "a" : "b", POOL_TRANSACTION, WORKERS, s->limits, &w->database,
                           &w->user);
        for (int i = 0; i < CLIENTS; i++)
            pool_client_joined(s->pool);
    }
}

static void end(struct world *w)
{
    for (int p = 0; p < POOLS; p++) {
        struct side *s = &w->side[p];
        pool_pause(s->pool, true);
        s->paused = true;
        for (int i = 0; i < CLIENTS; i++)
            abandon(s, &s->clients[i]);
        if (s->opening)
            finish_opening(w, s, false);
        for (int i = 0; i < SERVERS; i++)
            end_of(w, s, &s->servers[i]);
        pool_free(s->pool);
    }
    assert_int_equal(w->database.used, 0);
    assert_int_equal(w->user.used, 0);
    assert_int_equal(w->database.contended, 0);
    quota_fini(&w->database);
    quota_fini(&w->user);
}

static struct world the_world;

static void test_as_the_model(void **state)
{
    struct world *w = &the_world;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        begin(w, seed);
        for (int i = 0; i < EVENTS; i++) {
            event(w);
            check_world(w);
        }
        end(w);
    }
}

static void test_no_waiter_is_lost(void **state)
{
    struct world *w = &the_world;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        begin(w, seed);
        for (int i = 0; i < EVENTS; i++) {
            event(w);
            if (i % 20 == 19)
                check_nobody_lost(w);
        }
        end(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_model),
        cmocka_unit_test(test_no_waiter_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
