// SPDX-License-Identifier: Apache-2.0
#include "proxy/session/lead.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/protection.h"
#include "cache/admission.h"
#include "cache/fill.h"
#include "cache/store.h"
#include "config/config.h"
#include "proxy/control/domain.h"
#include "proxy/pooler.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/explained.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

// ---- followers ----

void lead_follow(struct client *client, uint64_t number)
{
    struct worker *worker = client->worker;
    struct follower *f = client->follower;
    CHECK(client->server == NULL && client->state == CLIENT_IDLE && client->flight == NULL);
    if (f == NULL) {
        client->follower = f = mem_new(struct follower);
        f->client = client;
        f->since_us = clock_us();
        link_init(&f->link);
        counter_add(&worker->cache.followed, 1);
    }
    f->flight = number;
    f->times++;
    client->since_us = f->since_us;
    client->state = CLIENT_WAITING;
    list_push_back(&worker->following, &f->link);
}

bool lead_follows(const struct client *client)
{
    return client->follower != NULL && link_in_list(&client->follower->link);
}

void lead_unfollow(struct client *client)
{
    if (lead_follows(client))
        list_remove(&client->worker->following, &client->follower->link);
}

void lead_granted(struct client *client)
{
    if (client->follower != NULL)
        counter_add(&client->worker->cache.followed_vainly, 1);
    lead_done(client);
}

void lead_end_following(struct client *client)
{
    lead_unfollow(client);
    entry_unref(&client->follower->handed);
    mem_free(client->follower);
    client->follower = NULL;
}

// It asks again, from the beginning.
static void go_on(struct client *client)
{
    lead_unfollow(client);
    client->state = CLIENT_IDLE;
    client_resume(client);
}

void lead_look(struct client *client, int64_t now_us)
{
    int64_t limit = config_settings(client->worker->config)->cache_follow_timeout_us;
    if (now_us - client->follower->since_us < limit)
        return;
    client->follower->alone = true;
    go_on(client);
}

void lead_told(struct worker *worker, uint64_t flight, enum flight_end end, struct entry *entry)
{
    // To the front, in their order: going on may end others, or let them follow anew, at the back.
    struct link *last = &worker->following.head;
    list_each(&worker->following, l)
    {
        struct follower *f = container_of(l, struct follower, link);
        if (f->flight != flight)
            continue;
        f->flight = 0;
        f->alone |= end == FLIGHT_FAILED;
        f->handed = entry != NULL ? entry_ref(entry) : NULL;
        list_remove(&worker->following, l);
        list_insert_after(&worker->following, last, l);
        last = l;
    }
    struct link *l;
    while ((l = list_first(&worker->following)) != NULL) {
        struct follower *f = container_of(l, struct follower, link);
        if (f->flight != 0)
            return;
        go_on(f->client);
    }
}

// ---- leaders ----

static void end_flight(struct client *client, enum flight_end end, struct entry *entry)
{
    struct pooler *pooler = client->worker->pooler;
    uint64_t number = client->flight->number;
    uint64_t workers = store_flight_end(pooler->store, &client->flight, end);
    if (workers != 0)
        worker_mail_flight(pooler, workers, number, end, entry);
}

void lead_end_flight(struct client *client, enum flight_end end)
{
    if (client->flight->passing && client->server != NULL)
        fill_abandon(&client->server->fill); // it is for nobody any more
    end_flight(client, end, NULL);
}

void lead_record(struct client *client, struct server *server, char type, struct slice bytes)
{
    if (server->fill == NULL)
        return;
    bool takes = type == 'T' || type == 'D' || type == 'C';
    bool passes = type == '1' || type == '2' || type == 'Z';
    if (passes || (takes && fill_append(server->fill, bytes)))
        return;
    if (takes)
        statistics_bypass(&server->worker->cache, BYPASS_TOO_LARGE);
    counter_add(&server->worker->cache.abandoned, 1);
    fill_abandon(&server->fill);
    if (type != 'E') // that is looked at
        lead_end(client, FLIGHT_FAILED);
}

void lead_land(struct client *client, struct entry *entry)
{
    if (protection_is_off(PROTECTION_FROM) && client != NULL && entry != NULL)
        ledger_stamp(domain_ledger(domain_canonical(client->route->domain)), &entry->stamp);
    if (entry != NULL && client != NULL && client->server != NULL)
        admission_took(client->worker->admission, client->server->fill_form, entry->took_us);
    bool passing = client != NULL && client->flight != NULL && client->flight->passing;
    if (passing && entry != NULL) {
        end_flight(client, FLIGHT_HANDED, entry);
        entry_unref(&entry);
        return;
    }
    bool stored = client != NULL && entry != NULL &&
                  store_put(client->worker->pooler->store, entry);
    if (stored) {
        counter_add(&client->worker->cache.stores, 1);
        explained_stored(client, entry->body_len);
    }
    entry_unref(&entry);
    lead_end(client, stored ? FLIGHT_STORED : FLIGHT_FAILED);
}

void lead_refused(struct client *client, struct slice message)
{
    if (client == NULL || client->flight == NULL)
        return;
    struct error_fields fields;
    error_fields_read(slice_of(message.at + 5, message.len - 5), &fields);
    bool ended = strncmp(fields.sqlstate, "57", 2) == 0; // operator intervention
    lead_end(client, ended ? FLIGHT_LEFT : FLIGHT_FAILED);
}

void lead_leave(struct client *client)
{
    lead_end(client, FLIGHT_LEFT);
    lead_done(client);
}
