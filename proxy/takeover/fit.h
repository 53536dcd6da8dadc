// SPDX-License-Identifier: Apache-2.0
// May a connection be given to another process as it is now: is all that is known of it in what is
// carried (carried.h)? Looked at while the process is suspended. The worker of the connection.
#pragma once
#include <stdbool.h>

struct client;
struct server;

enum fit {
    FIT_NOW,
    FIT_SOON,  // something of ours is under way that ends by itself: it is let go on for a moment
    FIT_NEVER, // it is closed, and its client told, when this process ends
};

enum fit fit_client(struct client *client);
enum fit fit_server(struct server *server); // also of a client's
// Could a process that keeps only what PgBouncer keeps go on with it?
bool fit_client_for_all(struct client *client);
bool fit_server_for_all(struct server *server);
