// SPDX-License-Identifier: Apache-2.0
// The hub of a route on one worker: one server connection that listens to every channel that
// clients of theirs listen to, and gives each notification to all of those. Opened for the first of
// them and closed with the last; outside of the pool, which it takes no place in. When it is
// lost, its clients cannot know what they missed: they are closed.
// Owned by the worker. Not here: when a client may be told (listening.h).
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/slice.h"

struct client;
struct route;
struct server;
struct subscription;
struct worker;

struct channel {
    struct hash_node node; // in its hub
    struct list subscriptions;
    struct hub *hub;
    uint32_t name_bytes;
    char name[];
};

// Somebody's wish to hear of a channel; belongs to two lists.
struct subscription {
    struct link of_channel;
    struct link of_client;
    struct client *client;   // borrows
    struct channel *channel; // borrows
    bool active;             // it is heard of from here on
};

struct hub {
    struct link link;     // in worker->hubs
    struct worker *worker;
    struct route *route;  // counts
    struct server *server; // borrows; NULL while closed
    bool ready;           // the server is logged in
    struct hash_table channels;
    struct list requests; // what the server was asked, and is to be asked, in order
};

// The client wants to hear of a channel: listening_answer() follows when the server listens, and
// has said all that it had to say before.
void hub_listen(struct client *client, struct slice name);
// The same of a channel that the hub's server listens to already, for clients that came with it.
// number: of that hub; there may be several of one route, each as far as it has been read. False:
// there is no such hub.
bool hub_join(struct client *client, struct slice name, uint64_t number);
// The same in another process that has its server: the number of the server's process, and what
// that has said of its cancel key. It has a server.
uint64_t hub_number(const struct hub *hub);
// A server that was opened by another process, and listens to what its clients will join. It is not
// read before hub_go_on(): what it says is theirs.
void hub_take_over(struct server *server);
void hub_go_on(struct worker *worker); // all of them have joined
// Is nothing under way between the hub and its server?
bool hub_is_settled(const struct hub *hub);
// The client's subscription to the channel; NULL: none.
struct subscription *hub_find(const struct client *client, struct slice name);
// Gives up one, and the channel if it was the last.
void hub_leave(struct subscription *subscription);

// The server's side: it logged in, has something to say (false: it was closed), is gone.
void hub_ready(struct hub *hub);
bool hub_input(struct server *server);
void hub_lost(struct hub *hub, const char *why);
