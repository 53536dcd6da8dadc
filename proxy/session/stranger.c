// SPDX-License-Identifier: Apache-2.0
// A client that has not proved who it is, and what it may take from others: connections. Those of
// strangers are counted by themselves, not for max_client_conn; when there are too many, one that
// has waited long makes room (entrance.h). Memory is bounded by conn->room and STARTUP_MAX_BYTES,
// time by client_login_timeout.
#include "proxy/session/client.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "proxy/census.h"
#include "proxy/console/console.h"
#include "proxy/worker.h"

// What it is known by meanwhile.
struct stranger {
    struct entrant entrant;        // in worker->entrance
    struct client *client;         // borrows; it has this
    struct census_entry *in_place; // counts; NULL: not placed
};

static int limit_of(const struct settings *settings)
{
    return settings->max_login_conn > 0 ? settings->max_login_conn : settings->max_client_conn;
}

// Once a second is enough to be seen.
static void tell_full(struct worker *worker, int limit)
{
    int64_t now_us = clock_us();
    if (now_us - worker->told_full_us < 1000000)
        return;
    worker->told_full_us = now_us;
    log_warning("max_login_conn reached: %d connections have not logged in, ending the oldest",
                limit);
}

// The workers have about as many strangers each: they are dealt out in turn.
static void make_room(struct worker *worker)
{
    int limit = limit_of(config_settings(worker->config));
    if (worker->pooler->entering <= limit)
        return;
    tell_full(worker, limit);
    struct entrant *weakest = entrance_weakest(&worker->entrance);
    client_fail_quietly(container_of(weakest, struct stranger, entrant)->client, "53300",
                        "too many connections have not logged in (max_login_conn)");
}

bool client_is_placed(const struct client *client)
{
    return client->stranger != NULL && client->stranger->in_place != NULL;
}

bool client_enters(struct client *client)
{
    struct worker *worker = client->worker;
    if (client->ours)
        return true;
    client->conn.room = CLIENT_ENTRY_BYTES;
    worker->pooler->entering++;
    client->stranger = mem_new(struct stranger);
    client->stranger->client = client;
    entrance_enter(&worker->entrance, &client->stranger->entrant, origin_place(&client->origin));
    make_room(worker);
    if (client->state == CLIENT_CLOSED)
        return false;
    // With the PROXY protocol it may be a load balancer that stands there for everybody.
    return config_settings(worker->config)->proxy_protocol != CONFIG_PROXY_OFF ||
           client_placed(client);
}

bool client_placed(struct client *client)
{
    struct worker *worker = client->worker;
    struct stranger *stranger = client->stranger;
    uint64_t place = origin_place(&client->origin);
    int most = config_settings(worker->config)->max_login_conn_per_address;
    if (stranger == NULL)
        return true;
    entrance_move(&worker->entrance, &stranger->entrant, place);
    if (most == 0)
        return true;
    char name[20];
    int count;
    snprintf(name, sizeof(name), "%" PRIx64, place);
    stranger->in_place = census_enter(worker->pooler->census, CENSUS_PLACE, name, &count);
    if (count <= most)
        return true;
    client_fail(client, "53300", "too many connections from this address have not logged in "
                                 "(max_login_conn_per_address)");
    return false;
}

void client_leaves_entrance(struct client *client)
{
    struct worker *worker = client->worker;
    struct stranger *stranger = client->stranger;
    if (stranger == NULL)
        return;
    worker->pooler->entering--;
    entrance_leave(&worker->entrance, &stranger->entrant);
    census_leave(worker->pooler->census, &stranger->in_place);
    mem_free(stranger);
    client->stranger = NULL;
}

bool client_comes_in(struct client *client)
{
    struct pooler *pooler = client->worker->pooler;
    client_leaves_entrance(client);
    client->conn.room = CONN_AREA_BYTES;
    if (client->ours)
        return true;
    client->counts = true;
    int most = config_settings(client->worker->config)->max_client_conn;
    if (++pooler->logged_in <= most || console_is(client->database))
        return true;
    client_fail(client, "53300", "no more connections allowed (max_client_conn)");
    return false;
}
