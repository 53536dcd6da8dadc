// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "cache/ledger.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/held.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/worker.h"

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
    client->held_until_us = clock_us() + PATIENCE_US;
    list_push_back(&worker->held, &client->held);
    domain_hurry(client->route->domain);
    ev_timer_again(worker->loop, &worker->held_timer);
}

void client_unhold(struct client *client)
{
    if (link_in_list(&client->held))
        list_remove(&client->worker->held, &client->held);
}

void held_release(struct worker *worker)
{
    int64_t now = clock_us();
    struct list due;
    list_init(&due);
    list_each(&worker->held, l)
    {
        struct client *client = container_of(l, struct client, held);
        bool fresh = ledger_fresh_us(domain_ledger(client->route->domain)) >
                     transaction_after_us(client);
        if (!fresh && now < client->held_until_us)
            continue;
        client->gave_up_hold = !fresh;
        list_remove(&worker->held, l);
        list_push_back(&due, l);
    }
    struct link *l;
    while ((l = list_pop_front(&due)) != NULL)
        client_resume(container_of(l, struct client, held));
    if (list_empty(&worker->held))
        ev_timer_stop(worker->loop, &worker->held_timer);
    else
        list_each(&worker->held, h)
        {
            domain_hurry(container_of(h, struct client, held)->route->domain);
            break;
        }
}
