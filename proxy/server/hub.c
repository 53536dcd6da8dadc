// SPDX-License-Identifier: Apache-2.0
#include "proxy/server/hub.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "proxy/route.h"
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/session/listening.h"
#include "proxy/wire/message.h"
#include "proxy/worker.h"

enum { MESSAGE_MAX = 64 * 1024 }; // of what may come: a payload has less than 8000 bytes

// LISTEN or UNLISTEN, sent or not yet.
struct request {
    struct link link;
    struct subscription *subscription; // borrows; NULL: nobody waits for it (any more)
    bool failed;
    char sqlstate[6];
    char message[256];
    char sql[]; // empty: sent
};

// ---- the hub and its channels ----

static struct hub *hub_of_route(struct worker *worker, const struct route *route)
{
    list_each(&worker->hubs, l)
    {
        struct hub *hub = container_of(l, struct hub, link);
        if (hub->route == route)
            return hub;
    }
    return NULL;
}

static struct hub *hub_new(struct worker *worker, struct route *route)
{
    struct hub *hub = mem_new(struct hub);
    link_init(&hub->link);
    list_init(&hub->requests);
    hub->worker = worker;
    hub->route = route_ref(route);
    list_push_back(&worker->hubs, &hub->link);
    return hub;
}

static struct channel *channel_find(const struct hub *hub, struct slice name)
{
    uint64_t hash = hash_bytes(name.at, name.len);
    for (struct hash_node *n = hash_first(&hub->channels, hash); n != NULL; n = hash_next(n)) {
        struct channel *channel = container_of(n, struct channel, node);
        if (slice_eq(slice_of(channel->name, channel->name_bytes), name))
            return channel;
    }
    return NULL;
}

static struct channel *channel_of(struct hub *hub, struct slice name)
{
    struct channel *channel = channel_find(hub, name);
    if (channel != NULL)
        return channel;
    channel = mem_zalloc(sizeof(*channel) + name.len + 1);
    list_init(&channel->subscriptions);
    channel->hub = hub;
    channel->name_bytes = (uint32_t)name.len;
    memcpy(channel->name, name.at, name.len);
    hash_insert(&hub->channels, &channel->node, hash_bytes(name.at, name.len));
    return channel;
}

// Nobody is left: its server is not needed. The hub itself ends with it.
static void close_if_empty(struct hub *hub)
{
    if (hub->channels.count > 0)
        return;
    if (hub->server != NULL)
        server_close(hub->server, "nobody listens any more"); // hub_lost() follows
}

// ---- asking the server ----

static void send_request(struct hub *hub, struct request *request)
{
    struct buf out = {0};
    message_query(&out, request->sql);
    request->sql[0] = '\0';
    conn_queue(&hub->server->conn, buf_slice(&out));
    buf_fini(&out);
}

static void flush_requests(struct hub *hub)
{
    if (hub->server == NULL || !hub->ready)
        return;
    list_each(&hub->requests, l)
    {
        struct request *request = container_of(l, struct request, link);
        if (request->sql[0] != '\0')
            send_request(hub, request);
    }
    conn_flush(&hub->server->conn); // a failure is met again when it is read
}

static void ask(struct hub *hub, const char *verb, const struct channel *channel,
                struct subscription *subscription)
{
    struct buf sql = {0};
    buf_printf(&sql, "%s \"", verb);
    for (const char *p = channel->name; *p != '\0'; p++) {
        if (*p == '"')
            buf_u8(&sql, '"');
        buf_u8(&sql, (uint8_t)*p);
    }
    buf_cstr(&sql, "\"");
    struct request *request = mem_zalloc(sizeof(*request) + sql.len);
    memcpy(request->sql, sql.at, sql.len);
    buf_fini(&sql);
    request->subscription = subscription;
    link_init(&request->link);
    list_push_back(&hub->requests, &request->link);
    flush_requests(hub);
}

static struct subscription *subscribe(struct client *client, struct channel *channel)
{
    struct subscription *subscription = mem_new(struct subscription);
    subscription->client = client;
    subscription->channel = channel;
    link_init(&subscription->of_channel);
    link_init(&subscription->of_client);
    list_push_back(&channel->subscriptions, &subscription->of_channel);
    list_push_back(&client->listening->subscriptions, &subscription->of_client);
    return subscription;
}

void hub_listen(struct client *client, struct slice name)
{
    struct hub *hub = hub_of_route(client->worker, client->route);
    if (hub == NULL)
        hub = hub_new(client->worker, client->route);
    struct channel *channel = channel_of(hub, name);
    struct subscription *subscription = subscribe(client, channel);
    if (hub->server == NULL)
        server_open_hub(hub); // may fail at once
    else
        ask(hub, "LISTEN", channel, subscription);
}

uint64_t hub_number(const struct hub *hub)
{
    const struct server *server = hub->server;
    struct reader secret = reader_of(buf_slice(&server->secret));
    return (uint64_t)server->process << 32 | reader_u32(&secret);
}

// Those of several workers may have come to one: each listens to what its own clients do.
bool hub_join(struct client *client, struct slice name, uint64_t number)
{
    list_each(&client->worker->hubs, l)
    {
        struct hub *hub = container_of(l, struct hub, link);
        if (hub->route != client->route || !hub->ready || hub_number(hub) != number)
            continue;
        subscribe(client, channel_of(hub, name))->active = true;
        return true;
    }
    return false;
}

void hub_take_over(struct server *server)
{
    struct hub *hub = hub_new(server->worker, server->route);
    hub->server = server;
    hub->ready = true;
    server->hub = hub;
}

void hub_go_on(struct worker *worker)
{
    list_each(&worker->hubs, l)
    {
        struct hub *hub = container_of(l, struct hub, link);
        if (hub->ready && hub->server->conn.loop == NULL) // not one that is being opened
            conn_attach(&hub->server->conn, worker->loop);
    }
}

bool hub_is_settled(const struct hub *hub)
{
    return hub->ready && list_empty(&hub->requests);
}

struct subscription *hub_find(const struct client *client, struct slice name)
{
    list_each(&client->listening->subscriptions, l)
    {
        struct subscription *s = container_of(l, struct subscription, of_client);
        if (slice_eq(slice_of(s->channel->name, s->channel->name_bytes), name))
            return s;
    }
    return NULL;
}

void hub_leave(struct subscription *s)
{
    struct channel *channel = s->channel;
    struct hub *hub = channel->hub;
    list_remove(&channel->subscriptions, &s->of_channel);
    list_remove(&s->client->listening->subscriptions, &s->of_client);
    list_each(&hub->requests, l)
    {
        struct request *request = container_of(l, struct request, link);
        if (request->subscription == s)
            request->subscription = NULL;
    }
    mem_free(s);
    if (!list_empty(&channel->subscriptions))
        return;
    if (hub->ready && hub->channels.count > 1)
        ask(hub, "UNLISTEN", channel, NULL);
    hash_remove(&hub->channels, &channel->node);
    mem_free(channel);
    close_if_empty(hub);
}

// ---- what the server says ----

static void ask_each(struct hash_node *node, void *arg)
{
    struct channel *channel = container_of(node, struct channel, node);
    list_each(&channel->subscriptions, l)
        ask(arg, "LISTEN", channel, container_of(l, struct subscription, of_channel));
}

void hub_ready(struct hub *hub)
{
    log_info("S-%p: %s/%s listens for its clients", (void *)hub->server, hub->route->database,
             hub->route->user);
    hash_each(&hub->channels, ask_each, hub);
    hub->ready = true;
    flush_requests(hub);
}

static void notify(struct hub *hub, struct slice message)
{
    struct reader r = reader_of(slice_skip(message, MESSAGE_HEADER_BYTES));
    reader_u32(&r);
    struct channel *channel = channel_find(hub, reader_cstr(&r));
    if (!reader_ok(&r) || channel == NULL)
        return;
    const char *encoding = hub->server->vars->value[VAR_CLIENT_ENCODING];
    // A client that is closed leaves the list, and takes the channel with it if it was the last.
    list_each(&channel->subscriptions, l)
    {
        struct subscription *s = container_of(l, struct subscription, of_channel);
        bool last = list_last(&channel->subscriptions) == l;
        if (s->active)
            listening_notify(s->client, message, encoding);
        if (last)
            return;
    }
}

static void on_error(struct hub *hub, struct slice body)
{
    struct link *first = list_first(&hub->requests);
    struct error_fields fields;
    error_fields_read(body, &fields);
    log_warning("S-%p: listening failed: %s", (void *)hub->server, fields.message);
    if (first == NULL)
        return;
    struct request *request = container_of(first, struct request, link);
    request->failed = true;
    memcpy(request->sqlstate, fields.sqlstate, sizeof(request->sqlstate));
    memcpy(request->message, fields.message, sizeof(request->message));
}

// The oldest request was answered: what the server had to say before has been said.
static void on_ready(struct hub *hub)
{
    struct link *first = list_first(&hub->requests);
    if (first == NULL)
        return;
    struct request *request = container_of(first, struct request, link);
    struct subscription *s = request->subscription;
    list_remove(&hub->requests, first);
    if (s != NULL) {
        struct client *client = s->client;
        s->active = !request->failed;
        if (request->failed)
            hub_leave(s);
        listening_answer(client, request->failed ? request->sqlstate : NULL, request->message);
    }
    mem_free(request);
}

static void on_message(struct hub *hub, char type, struct slice message)
{
    struct slice body = slice_skip(message, MESSAGE_HEADER_BYTES);
    struct reader r = reader_of(body);
    const char *name, *value;
    int var;
    switch (type) {
    case 'A':
        notify(hub, message);
        return;
    case 'E':
        on_error(hub, body);
        return;
    case 'Z':
        on_ready(hub);
        return;
    case 'S':
        name = (const char *)reader_cstr(&r).at;
        value = (const char *)reader_cstr(&r).at;
        var = reader_ok(&r) ? var_find(name) : -1;
        if (var >= 0)
            vars_set(&hub->server->vars, var, value);
        return;
    }
}

bool hub_input(struct server *server)
{
    struct slice run;
    switch (conn_read(&server->conn, server->worker->area, &run)) {
    case CONN_AGAIN:
        return true;
    case CONN_EOF:
    case CONN_ERROR:
        server_close(server, "server conn crashed?");
        return false;
    case CONN_OK:
        break;
    }
    // Clients that are told something may use the area: the input is handled from its own place.
    conn_keep(&server->conn, run);
    struct frame frame;
    while (server->state == SERVER_LINKED) {
        enum frame_result result = frame_read(buf_slice(&server->conn.in), &frame);
        if (result == FRAME_BAD || (result == FRAME_OK && frame.length > MESSAGE_MAX)) {
            server_close(server, "bad packet from the server");
            return false;
        }
        if (result == FRAME_SHORT || frame.length > server->conn.in.len)
            return true;
        struct buf message = {0};
        buf_bytes(&message, server->conn.in.at, frame.length);
        buf_consume(&server->conn.in, frame.length);
        on_message(server->hub, frame.type, buf_slice(&message));
        buf_fini(&message);
    }
    return false;
}

// ---- its end ----

static void forget_requests(struct hub *hub)
{
    struct link *l;
    while ((l = list_pop_front(&hub->requests)) != NULL)
        mem_free(container_of(l, struct request, link));
}

static void find_any(struct hash_node *node, void *arg)
{
    struct channel **found = arg;
    *found = container_of(node, struct channel, node);
}

void hub_lost(struct hub *hub, const char *why)
{
    struct worker *worker = hub->worker;
    hub->server = NULL;
    hub->ready = false;
    forget_requests(hub);
    list_remove(&worker->hubs, &hub->link); // who listens from now on gets another one
    for (;;) {
        struct channel *channel = NULL;
        hash_each(&hub->channels, find_any, &channel);
        if (channel == NULL)
            break;
        struct link *l = list_first(&channel->subscriptions);
        struct subscription *s = container_of(l, struct subscription, of_channel);
        struct client *client = s->client;
        bool active = s->active;
        hub_leave(s);
        if (active)
            listening_lost(client);
        else
            listening_answer(client, "08006", why);
    }
    hash_fini(&hub->channels);
    route_unref(&hub->route);
    mem_free(hub);
}
