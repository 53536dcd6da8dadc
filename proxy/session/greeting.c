// SPDX-License-Identifier: Apache-2.0
// The way of a client that proved who it is into its pool or the console, and the first words that
// it hears there.
#include "proxy/session/startup.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "proxy/console/console.h"
#include "proxy/route.h"
#include "proxy/session/client.h"
#include "proxy/session/replication.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum { GREETING_BYTES = 1000 }; // more than there usually are

void client_logged_in(struct client *client)
{
    if (!client_comes_in(client))
        return;
    login_free(client);
    if (console_is(client->database)) {
        console_begin(client);
        return;
    }
    pool_client_joined(client->route->pool);
    client->state = CLIENT_GREETING;
    if (client->replication != NULL)
        replication_begin(client);
    else
        client_greet(client);
}

void client_give_key(struct client *client, struct buf *out)
{
    struct worker *worker = client->worker;
    pooler_key_add(worker->pooler, &client->key, client->minor >= 2,
                   config_settings(worker->config)->peer_id);
    size_t mark = buf_message_begin(out, 'K');
    buf_bytes(out, client->key.bytes.at, client->key.bytes.length);
    buf_message_end(out, mark);
}

void client_greet(struct client *client)
{
    client->wanted_proven |= client->given == NULL || route_accepts(client->route, client->given);
    if (!client->wanted_proven) {
        client_request_server(client); // it tells whether those settings can be
        return;
    }
    struct buf out = {0};
    buf_room(&out, GREETING_BYTES);
    message_auth(&out, AUTH_OK, slice_of(NULL, 0));
    if (!route_greet(client->route, &client->vars, &out)) {
        buf_fini(&out);
        client_request_server(client); // the first one tells us what to say
        return;
    }
    client_give_key(client, &out);
    const char *notice = config_settings(client->worker->config)->login_notify_message;
    if (notice[0] != '\0')
        message_error(&out, "NOTICE", "00000", notice);
    message_ready(&out, 'I');
    if (!client->is_lookup)
        route_count(client->route, client->worker, logins, 1);
    client->state = CLIENT_IDLE;
    client->since_us = clock_us();
    startup_say(client, buf_slice(&out));
    buf_fini(&out);
}
