// SPDX-License-Identifier: Apache-2.0
// Workers on threads of their own share one pool as the proxy's do: grants and requests to serve
// travel as mail. No connection is ever used twice at once, no limit is passed, and every client
// is served. For ThreadSanitizer above all.
#include "pool/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "tests/unit/dice.h"

enum { WORKERS = 4, CLIENTS = 6, SIZE = 5, TURNS = 4000 };
enum { MAIL_GRANT, MAIL_SERVE };

struct server {
    struct pool_server slot; // first
    struct mail mail;        // MAIL_GRANT
    struct client *client;
    _Atomic int users;
};

struct client {
    struct pool_waiter waiter; // first
    struct server *server;
    bool waits, leaving;
};

struct crew;

struct worker {
    struct crew *crew;
    int number;
    pthread_t thread;
    struct mailbox mailbox;
    struct dice dice;
    struct client clients[CLIENTS];
    bool opening;
    int served;
};

struct crew {
    struct pool *pool;
    struct pool_quota database, user;
    struct worker workers[WORKERS];
    _Atomic int open, busy, in_transit;
};

static void wake(void *arg)
{
}

static void ask(struct worker *worker, int number)
{
    struct mail *mail = mem_new(struct mail);
    mail->kind = MAIL_SERVE;
    mailbox_post(&worker->crew->workers[number].mailbox, mail);
}

static void give_back(struct worker *worker, struct server *server);

static bool may_open(struct pool *pool)
{
    struct pool_task task;
    return pool_may_open(pool, clock_us(), &task);
}

// This worker's client gets a server of this worker.
static void granted(struct worker *worker, struct client *client, struct server *server)
{
    CHECK(atomic_fetch_add(&server->users, 1) == 0);
    pool_took(worker->crew->pool, &client->waiter);
    server->slot.worker = worker->number;
    client->waits = false;
    client->server = server;
    worker->served++;
    if (client->leaving) {
        client->leaving = false;
        give_back(worker, server);
        client->server = NULL;
    }
}

static void hand_over(struct worker *worker, struct server *server, struct pool_waiter *waiter)
{
    struct client *client = (struct client *)waiter;
    if (waiter->worker == worker->number) {
        granted(worker, client, server);
        return;
    }
    server->client = client;
    server->mail.kind = MAIL_GRANT;
    atomic_fetch_add(&worker->crew->in_transit, 1);
    mailbox_post(&worker->crew->workers[waiter->worker].mailbox, &server->mail);
}

static void give_back(struct worker *worker, struct server *server)
{
    CHECK(atomic_fetch_sub(&server->users, 1) == 1);
    const char *close;
    struct pool_waiter *waiter =
        pool_return(worker->crew->pool, &server->slot, clock_us(), &close);
    CHECK(close == NULL);
    if (waiter != NULL)
        hand_over(worker, server, waiter);
}

static void serve(struct worker *worker)
{
    struct pool_server *slot;
    struct pool_waiter *waiter;
    struct pool_task task; // everybody serves now and then: nobody needs to be asked
    while (pool_serve(worker->crew->pool, worker->number, clock_us(), &slot, &waiter, &task))
        hand_over(worker, (struct server *)slot, waiter);
}

static void open_one(struct worker *worker)
{
    struct crew *crew = worker->crew;
    worker->opening = false;
    if (dice_below(&worker->dice, 16) == 0) {
        pool_open_failed(crew->pool, clock_us(), false, "08006", "no");
        return;
    }
    struct server *server = mem_new(struct server);
    CHECK(atomic_fetch_add(&crew->open, 1) < SIZE);
    pool_opened(crew->pool, &server->slot, worker->number, clock_us());
    server->users = 1;
    give_back(worker, server);
    worker->opening = may_open(crew->pool);
}

static void close_one(struct worker *worker, struct server *server)
{
    struct crew *crew = worker->crew;
    atomic_fetch_sub(&crew->open, 1);
    pool_closed(crew->pool, &server->slot, clock_us());
    mem_free(server);
    if (!worker->opening)
        worker->opening = may_open(crew->pool);
}

static void request(struct worker *worker, struct client *client)
{
    struct pool_server *slot;
    struct pool_task task;
    client->waiter.worker = worker->number;
    client->waits = true;
    enum pool_result result =
        pool_request(worker->crew->pool, &client->waiter, clock_us(), &slot, &task);
    if (result == POOL_GRANTED) {
        granted(worker, client, (struct server *)slot);
        return;
    }
    if (result == POOL_FAILING) {
        client->waits = false;
        return;
    }
    CHECK(result == POOL_QUEUED);
    if (task.ask_worker >= 0)
        ask(worker, task.ask_worker);
    if (task.open) {
        CHECK(!worker->opening);
        worker->opening = true;
    }
}

static void read_mail(struct worker *worker)
{
    for (struct mail *m = mailbox_take_all(&worker->mailbox), *next; m != NULL; m = next) {
        next = m->next;
        if (m->kind == MAIL_SERVE) {
            mem_free(m);
            serve(worker);
            continue;
        }
        struct server *server = container_of(m, struct server, mail);
        atomic_fetch_sub(&worker->crew->in_transit, 1);
        granted(worker, server->client, server);
    }
}

static void act(struct worker *worker, struct client *client)
{
    size_t die = dice_below(&worker->dice, 20);
    if (client->server != NULL) {
        struct server *server = client->server;
        client->server = NULL;
        if (die == 0) {
            atomic_fetch_sub(&server->users, 1);
            close_one(worker, server);
        } else {
            give_back(worker, server);
        }
    } else if (!client->waits) {
        request(worker, client);
    } else if (die == 1 && !client->leaving) {
        // Granted already: it comes by mail, and goes back.
        client->leaving = !pool_abandon(worker->crew->pool, &client->waiter);
        client->waits = client->leaving;
    }
}

// What the janitor does now and then.
static void sweep(struct worker *worker)
{
    struct pool *pool = worker->crew->pool;
    const char *why;
    struct pool_server *stale =
        pool_stale(pool, worker->number, clock_us() - 50, clock_us(), &why);
    if (stale != NULL)
        close_one(worker, (struct server *)stale);
    if (!worker->opening)
        worker->opening = may_open(pool);
    struct pool_figures f = pool_figures(pool, clock_us());
    CHECK(f.servers_login <= 1 && f.servers_idle >= 0 && f.servers_active >= 0);
    serve(worker);
}

static bool rests(const struct worker *worker)
{
    for (int i = 0; i < CLIENTS; i++)
        if (worker->clients[i].waits || worker->clients[i].server != NULL)
            return false;
    return !worker->opening;
}

static void drain(struct worker *worker)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &worker->clients[i];
        if (client->waits && !client->leaving) {
            client->leaving = !pool_abandon(worker->crew->pool, &client->waiter);
            client->waits = client->leaving;
        } else if (client->server != NULL) {
            struct server *server = client->server;
            client->server = NULL;
            give_back(worker, server);
        }
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct crew *crew = worker->crew;
    for (int turn = 0; turn < TURNS; turn++) {
        read_mail(worker);
        if (worker->opening && dice_below(&worker->dice, 3) == 0)
            open_one(worker);
        act(worker, &worker->clients[dice_below(&worker->dice, CLIENTS)]);
        if (turn % 16 == 0)
            sweep(worker);
        if (turn % 8 == 0)
            sched_yield();
    }
    bool resting = false;
    while (atomic_load(&crew->busy) > 0 || atomic_load(&crew->in_transit) > 0) {
        read_mail(worker);
        if (worker->opening)
            open_one(worker);
        drain(worker);
        if (!resting && rests(worker)) {
            resting = true;
            atomic_fetch_sub(&crew->busy, 1);
        }
        sched_yield();
    }
    read_mail(worker);
    return NULL;
}

static void close_all(struct crew *crew)
{
    for (int w = 0; w < WORKERS; w++) {
        struct pool_server *slot;
        const char *why;
        crew->workers[w].opening = true; // no new ones
        while ((slot = pool_stale(crew->pool, w, INT64_MAX, clock_us(), &why)) != NULL)
            close_one(&crew->workers[w], (struct server *)slot);
    }
}

static void test_threads(void **state)
{
    struct crew *crew = mem_new(struct crew);
    quota_init(&crew->database);
    quota_init(&crew->user);
    struct pool_limits limits = {.size = SIZE, .retry_after_us = 10};
    crew->pool = pool_new("d", "u", POOL_TRANSACTION, WORKERS, limits, &crew->database,
                          &crew->user);
    crew->user.limit = SIZE;
    crew->busy = WORKERS;
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &crew->workers[i];
        worker->crew = crew;
        worker->number = i;
        worker->dice = dice_of((uint64_t)i);
        mailbox_init(&worker->mailbox, wake, NULL);
    }
    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&crew->workers[i].thread, NULL, work, &crew->workers[i]) == 0);
    int served = 0;
    for (int i = 0; i < WORKERS; i++)
        pthread_join(crew->workers[i].thread, NULL);
    for (int i = 0; i < WORKERS; i++) {
        read_mail(&crew->workers[i]);
        served += crew->workers[i].served;
    }
    assert_true(served > WORKERS * CLIENTS);
    close_all(crew);
    assert_int_equal(crew->open, 0);
    assert_int_equal(crew->database.used, 0);
    assert_int_equal(crew->user.used, 0);
    for (int i = 0; i < WORKERS; i++)
        mailbox_fini(&crew->workers[i].mailbox);
    pool_free(crew->pool);
    quota_fini(&crew->database);
    quota_fini(&crew->user);
    mem_free(crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
