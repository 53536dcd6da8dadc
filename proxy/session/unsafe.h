// SPDX-License-Identifier: Apache-2.0
// unsafe_state: what happens when a client, outside session mode, is about to leave something in
// its session that cannot be moved to another server. It keeps its server (pin), and hears of it
// (warn), or the statement is refused (error).
// A refused statement's place at the server is taken by one that the server cannot read: so what
// PostgreSQL does after an error, to the transaction and to the rest of a pipeline, is its own.
#pragma once
#include "proxy/server/ops.h"
#include "proxy/wire/sender.h"

struct analysis;
struct client;

// Is it so that what would pin is refused?
bool unsafe_is_refused(const struct client *client);
// Is it to be refused? *why: the pin that it would need. NULL: not read, so it is not.
bool unsafe_refuses(const struct client *client, const struct analysis *analysis, uint32_t *why);
// What is sent in place of a Query, and of a Parse (of the unnamed statement).
void unsafe_put_query(struct sender *to_server);
void unsafe_put_parse(struct sender *to_server);
// Our sentence, in place of the server's error. client: NULL when nobody listens.
void unsafe_say_error(struct client *client, const struct op *op);

// Before the client is pinned for that reason: tells it and the log, if it is to hear of it.
void unsafe_warn(struct client *client, uint32_t why);
