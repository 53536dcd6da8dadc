// SPDX-License-Identifier: Apache-2.0
// The state of a client, of a server and of a route, as the process that gives a connection away
// writes it for the one that takes it: the column `state` of SHOW FDS_STATE. What has no place in
// it is not carried (fit.h). Both processes are on one machine, and their clocks are the same.
// The worker of what is written or read; of a route any thread.
#pragma once
#include "base/buf.h"
#include "base/reader.h"

struct client;
struct op;
struct origin;
struct route;
struct server;
struct worker;

// What is behind the head may change with it: another version's state is not read. The head stays
// as it is, and so does the listener's process behind it.
enum { CARRIED_VERSION = 4 };

enum carried_kind {
    CARRIED_LISTENER,
    CARRIED_ROUTE,
    CARRIED_NEW,      // a client that has not said who it is
    CARRIED_GREETING, // one that waits for its first words
    CARRIED_CLIENT,
    CARRIED_SERVER,
    CARRIED_HUB,      // a server that listens for clients
};

struct carried_head {
    enum carried_kind kind;
    int worker; // whose it was
};
bool carried_take_head(struct reader *r, struct carried_head *head); // false: not ours to read

// Of this process.
void carried_put_listener(struct buf *out, uint64_t last_statement);
// The whole record, of any version: whose it is. False: it is no listener's.
bool carried_take_process(struct reader *r, int *pid);
bool carried_take_listener(struct reader *r, uint64_t *last_statement); // behind the head, as below

void carried_put_route(struct buf *out, struct route *route);
bool carried_take_route(struct reader *r, struct route *route);

// Of any kind. The client that it is taken for has its user, database and route, if any.
void carried_put_client(struct buf *out, const struct client *client);
bool carried_take_client(struct reader *r, struct client *client, enum carried_kind kind);
// What it listens to: once it is wholly there.
void carried_put_channels(struct buf *out, const struct client *client);
bool carried_take_channels(struct reader *r, struct client *client);

// Is there a place for what the server owes?
bool carried_takes_op(const struct op *op);
// client: whose it is; NULL: nobody's.
void carried_put_server(struct buf *out, const struct server *server);
bool carried_take_server(struct reader *r, struct server *server, struct client *client);
