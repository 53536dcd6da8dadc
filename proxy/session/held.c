// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "base/mem.h"
#include "cache/ledger.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/held.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

struct holding {
    struct link link;      // in worker->held
    struct client *client; // borrows; it has this
    int64_t until_us;
    bool due;              // it goes on in this turn
};

enum {
    BEHIND_ENOUGH = 3,   // reads around the cache before a client is held
    PATIENCE_US = 10000, // then it goes around the cache all the same
};

bool client_may_hold(const struct client *client)
{
    const struct settings *settings = config_settings(client->worker->config);
    // One that was answered from memory in its transaction shall go on so.
    const struct transaction *t = &client->transaction;
    bool at_once = settings->monotonic_reads == CONFIG_MONOTONIC_ALL ||
                   (t->state == TRANSACTION_DEFERRED && t->hit);
    int enough = at_once ? 0 : BEHIND_ENOUGH;
    // Nobody may hold a server of others' meanwhile; in session mode it is his own.
    bool may = client->server == NULL || client->mode == POOL_SESSION;
    return may && client->behind >= enough && !client->gave_up_hold;
}

void client_hold(struct client *client)
{
    struct worker *worker = client->worker;
    struct holding *h = client->held = mem_new(struct holding);
    h->client = client;
    h->until_us = clock_us() + PATIENCE_US;
    list_push_back(&worker->held, &h->link);
    domain_hurry(client->route->domain);
    ev_timer_again(worker->loop, &worker->held_timer);
}

void client_unhold(struct client *client)
{
    struct holding *h = client->held;
    if (h == NULL)
        return;
    list_remove(&client->worker->held, &h->link);
    client->held = NULL;
    mem_free(h);
}

// Those that may go on, to the front in their order: going on may end others, or let them be held
// anew, at the back.
static void find_due(struct worker *worker)
{
    int64_t now = clock_us();
    struct link *last = &worker->held.head;
    list_each(&worker->held, l)
    {
        struct holding *h = container_of(l, struct holding, link);
        bool fresh = ledger_fresh_us(domain_ledger(h->client->route->domain)) >
                     transaction_after_us(h->client);
        if (!fresh && now < h->until_us)
            continue;
        h->client->gave_up_hold = !fresh;
        h->due = true;
        list_remove(&worker->held, l);
        list_insert_after(&worker->held, last, l);
        last = l;
    }
}

void held_release(struct worker *worker)
{
    find_due(worker);
    struct link *l;
    while ((l = list_first(&worker->held)) != NULL) {
        struct holding *h = container_of(l, struct holding, link);
        struct client *client = h->client;
        if (!h->due) {
            domain_hurry(client->route->domain);
            return;
        }
        client_unhold(client);
        client_resume(client);
    }
    ev_timer_stop(worker->loop, &worker->held_timer);
}
