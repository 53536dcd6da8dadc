// SPDX-License-Identifier: Apache-2.0
// What a client listens to without a server of its own: LISTEN and UNLISTEN outside a transaction
// are answered here, once the hub (hub.h) listens; in one, or in a text with more in it, they
// run on the server of the client, which it then keeps. A client is told when PostgreSQL
// would: when nothing of it is under way; until then they wait, within a bound.
// Owned by the client; one worker. See docs/decisions/0023-listening.md.
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "proxy/session/session.h"

enum { LISTENING_WAITING_MAX_BYTES = 1 << 20 }; // a client that lets more wait is closed

struct listening {
    struct list subscriptions;
    struct buf waiting;  // owns; messages
    struct buf unlisten; // owns; names to be given up at commit, a NUL behind each; "*": all
    struct buf answer;   // owns; to the LISTEN that waits for the hub
    struct buf wanted;   // owns; its channel
};

struct listening *listening_of(struct client *client); // made at first use

// Cheaply: may a query or a Parse, at rest and without a server, be one of these?
bool listening_may_concern(const struct client *client, struct slice data, struct frame frame);
// STEP_SERVER: it is not.
enum step listening_message(struct client *client, struct slice *data, struct frame frame);
// ... goes on when the turn's output is out.
void listening_begin(struct client *client);
// The hub listens, or (sqlstate) does not.
void listening_answer(struct client *client, const char *sqlstate, const char *why);
// Does the hub tell it of this NotificationResponse's channel?
bool listening_has(const struct client *client, struct slice message);
// It is told of a commit that the stream may not have told yet: what it hits from now on is as new.
void listening_told(struct client *client);
// A NotificationResponse, in this encoding.
void listening_notify(struct client *client, struct slice message, const char *encoding);
// The hub is gone, and what was sent since is unknown.
void listening_lost(struct client *client);
// The client is at rest.
void listening_flush(struct client *client);
// It runs UNLISTEN on a server.
void listening_note(struct client *client, const struct analysis *analysis);
// A command was completed there: one of transactions decides what becomes of that.
void listening_completed(struct client *client, struct slice tag);
// All of it; DISCARD ALL, or the client's end.
void listening_forget(struct client *client);
void listening_free(struct client *client);
