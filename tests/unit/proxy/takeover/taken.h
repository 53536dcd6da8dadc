// SPDX-License-Identifier: Apache-2.0
// Connections as another process gave them, in a proxy of one worker whose loop is turned by hand.
#pragma once
#include "base/mem.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/statement.h"
#include "proxy/worker.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

enum { TAKEN_ENDS = 16 };
static int taken_ends[TAKEN_ENDS]; // the other ends of their sockets
static int taken_count;

static inline int taken_socket(void)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(taken_count < TAKEN_ENDS);
    taken_ends[taken_count++] = pair[0];
    return pair[1];
}

static inline struct route *taken_route(void)
{
    world_make("server_check_query =");
    return pooler_route_as(world.pooler, "d", "u");
}

static inline struct client *taken_client(void)
{
    struct route *route = taken_route();
    struct client *client = client_take_over(world.worker, taken_socket());
    client->user = mem_strdup("u");
    client->database = mem_strdup("d");
    client->route = route;
    pool_client_joined(route->pool);
    return client;
}

// client: whose it is; NULL: nobody's.
static inline struct server *taken_server(struct client *client)
{
    struct route *route = taken_route();
    struct server *server = server_take_over(world.worker, route, taken_socket(), false);
    route_unref(&route);
    server->status = 'I';
    if (client == NULL)
        return server;
    client->server = server;
    client->state = CLIENT_LINKED;
    server->client = client;
    worker_link(client->worker, 1);
    return server;
}

static inline struct statement *taken_statement(const char *text)
{
    struct buf tail = {0};
    buf_cstr(&tail, text);
    buf_u16(&tail, 1);
    buf_u32(&tail, 23);
    struct statement *s = statement_get(world.pooler->statements, world.worker->texts, 0,
                                        buf_slice(&tail), strlen(text) + 1);
    buf_fini(&tail);
    return s;
}

// All go; nothing of them may be left.
static inline int taken_end(void **state)
{
    for (int i = 0; i < taken_count; i++)
        close(taken_ends[i]);
    taken_count = 0;
    if (world.worker == NULL)
        return 0;
    list_each(&world.worker->clients, c)
        client_close(container_of(c, struct client, link), "over");
    struct link *l;
    while ((l = list_first(&world.worker->servers)) != NULL)
        server_close(container_of(l, struct server, link), "over");
    world.client = world.server = -1;
    world_end();
    return 0;
}
