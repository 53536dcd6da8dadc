// SPDX-License-Identifier: Apache-2.0
// Shared by the files that handle a session's input, and by nobody else.
#pragma once
#include "proxy/server/server.h"
#include "proxy/session/client.h"
#include "proxy/wire/message.h"
#include "proxy/wire/sender.h"
#include "proxy/worker.h"

// What a handled piece of input means for the rest of it.
enum step {
    STEP_ON,     // go on behind it
    STEP_MORE,   // it is not complete: wait for more input
    STEP_STOP,   // go on later (waiting), or never (closed)
    STEP_SERVER, // this one needs a server
};

// The brackets of this turn, opened when first used.
struct sender *session_to_client(struct client *client);
struct sender *session_to_server(struct client *client);

// local.c: at rest, without a server: what can be answered without one. STEP_SERVER: nothing can.
enum step local_message(struct client *client, struct slice *data, struct frame frame);
// The unit was cancelled before it had a server, and the client was told: drop the rest of it.
enum step local_drop(struct client *client, struct slice *data, struct frame frame);

// Statements are shared within it: the route, and the settings that constants are read by.
uint64_t session_scope(const struct client *client);
// Are its constants, where it has this name, read by the settings that the client has now?
bool session_knows(struct client *client, struct slice name, const struct statement *s);
// statement_get() within it. The caller gets a count.
struct statement *session_statement(struct client *client, struct slice tail, size_t text_bytes);

// Are statements' names shared between clients (and so translated)?
bool session_shares_names(const struct client *client);

static inline bool session_speaks_utf8(const struct client *client)
{
    return client->vars->utf8;
}

// A message of ours, made in the worker's text buffer and sent to the server.
static inline struct buf *session_compose(struct client *client)
{
    buf_clear(&client->worker->text);
    return &client->worker->text;
}
static inline void session_send_composed(struct client *client)
{
    sender_copy(session_to_server(client), buf_slice(&client->worker->text));
}

// sharing.c: what the name means to the client, in its present scope (borrowed; NULL: nothing).
struct statement *session_meaning(struct client *client, struct slice name);
// ... and what the client was told of it, likewise.
struct statement *session_meaning_told(struct client *client, struct slice name,
                                       struct layout **told);
// forward.c: input waits for the answers to what was sent.
void session_settle(struct client *client);
// A message for the linked server; data begins with it.
enum step forward_message(struct client *client, struct slice *data, struct frame frame);
