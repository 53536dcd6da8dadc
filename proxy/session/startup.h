// SPDX-License-Identifier: Apache-2.0
// What comes before a session, in the order in which it happens: a load balancer introduces the
// client (introduction.c), packets are cut (startup.c), the startup message's parameters are taken
// (parameters.c), then client_login_begin(), and after the password the client is greeted
// (greeting.c). On the client's worker.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct client;

// Sends at once. False: the connection is gone, and the client closed.
bool startup_say(struct client *client, struct slice bytes);
// Closes the client with an error; returns false.
bool startup_fails(struct client *client, const char *sqlstate, const char *why);

// Takes a PROXY protocol header off the front. False: more bytes are needed, or the client was
// closed. introduction.c
bool startup_introduction(struct client *client, struct slice *data);

// Counts a client whose user is known by now; false: one too many, and it was closed. startup.c
bool startup_count_user(struct client *client);
// One that is in already, in a database that exists: whatever the limits are.
void startup_count_taken(struct client *client);

// The name and value pairs of the startup message, whose version is 3.minor. False: the client was
// closed.
bool startup_parameters(struct client *client, struct slice pairs, uint32_t version);
