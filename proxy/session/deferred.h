// SPDX-License-Identifier: Apache-2.0
// BEGIN is deferred: while a client could be answered from memory, BEGIN is answered at once and no
// server is asked. The real one goes to the server in front of the first statement that needs one,
// in the same write. A transaction that needs none is ended here as well.
//
// The real BEGIN is sent as extended messages without a Sync: should it fail (a cancel request may
// meet it), PostgreSQL skips what was sent behind it, so that never runs outside of a transaction;
// and the client sends nothing beyond the next Sync before BEGIN is answered. The error is then the
// answer to what was skipped, and the transaction has failed, as if it had met that statement.
//
// The client's worker. See docs/decisions/0032-begin-is-deferred.md.
#pragma once
#include "proxy/session/session.h"

enum { DEFERRED_MAX_BYTES = 512 }; // of a BEGIN, COMMIT ... that is looked at

// Can the message be a BEGIN or, in a transaction, its end? A glance only.
bool deferred_may_concern(const struct client *client, struct slice data, struct frame frame);

// A client at rest, or in a transaction that no server knows of: answers BEGIN, COMMIT, ROLLBACK,
// and everything in a failed one. STEP_SERVER: not to be answered here.
enum step deferred_message(struct client *client, struct slice *data, struct frame frame);

// The client's server is about to get the message, whole or not: sends it the BEGIN first. What was
// answered from memory before would have taken a snapshot, after which SET TRANSACTION is refused:
// where the message might not, one is taken.
void deferred_begin(struct client *client, struct slice data, struct frame frame);
// Is that one not answered yet?
bool deferred_is_under_way(const struct server *server);
// Input waits until it is.
void deferred_wait(struct client *client);

// The server has answered it: with this error, or not. False: the connection is to be closed, as
// the client cannot be told in order.
bool deferred_failed(struct server *server, struct sender *to_client, struct slice error);
void deferred_begun(struct server *server);
// What the client hears for this ReadyForQuery of its server. client: NULL is fine.
struct slice deferred_ready(const struct client *client, struct slice message);

// The portal (up to its NUL) is used. If it is the unnamed one, and what was bound last was
// answered from memory, the server's is an older one, and is closed.
void deferred_lose_portal(struct client *client, struct slice name);

// The wait for a server was cancelled.
void deferred_cancelled(struct client *client);
