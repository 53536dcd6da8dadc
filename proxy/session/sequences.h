// SPDX-License-Identifier: Apache-2.0
// What nextval() and setval() did in a session is told by currval() and lastval(), and by nothing
// else: it cannot be moved to another server. Three rules:
//   - never another's: where a route's clients ask, a server forgets it (DISCARD SEQUENCES) when
//     it gets another client;
//   - by chance: a client that used a sequence prefers the server where it did so;
//   - for sure: statements that used one, and whose client asked in a later transaction, are
//     remembered with the route by their templates. Who runs one of those again, of all clients,
//     is pinned (PIN_SEQUENCE) until DISCARD SEQUENCES, DISCARD ALL, or its end.
// So one statement of many fails once (55000), and a route whose clients do not ask pays nothing.
// With unsafe_state = error nobody is pinned: who asks in a later transaction is refused.
// What code behind a plain UPDATE, DELETE or SELECT did with sequences (a trigger, a view) is not
// seen. See docs/decisions/0030-sequences.md. One worker; the route's part: any.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct analysis;
struct client;
struct pool_server;
struct server;

// server->sequences_of is one of these, or the number of the one client that it had since.
#define SEQUENCES_OF_NOBODY 0u
#define SEQUENCES_OF_SEVERAL UINT64_MAX

enum { SEQUENCE_USES_MAX = 4, SEQUENCE_USERS_MAX = 128 };

// Of a client.
struct sequences {
    uint64_t uses[SEQUENCE_USES_MAX]; // what may have used one, no two equal, the latest first
    const struct pool_server *server; // where the latest did; only compared
    uint8_t open;  // the first so many in the open transaction
    bool forgets;  // DISCARD SEQUENCES was sent, and nothing that uses one with it or since
};

// Of a route: the statements after which clients ask. The oldest make room for new ones.
struct sequence_users {
    _Atomic uint32_t count; // ever; written with the route's lock
    _Atomic uint64_t at[SEQUENCE_USERS_MAX];
};

enum { SEQUENCES_FORGET_BYTES = sizeof("DISCARD SEQUENCES") };
extern const char sequences_forget[SEQUENCES_FORGET_BYTES]; // the SQL

// The client has just got the server. True: it must forget first; it counts as done.
bool sequences_take(const struct client *client, struct server *server);
// The server that may still have what the client did; NULL: any will do.
const struct pool_server *sequences_prefer(const struct client *client);
// Such a statement is about to be sent: it may use a sequence. analysis: NULL if it was not read;
// effects: of it, or the part that counts.
void sequences_note(struct client *client, const struct analysis *analysis, uint32_t effects);
// A statement is about to be sent; runs: else it is only prepared. If it asks, the server first
// forgets what is another client's.
void sequences_ask(struct client *client, const struct analysis *analysis, bool runs);
// Is it to be refused because it asks?
bool sequences_refuse(const struct client *client, const struct analysis *analysis);
// A client that used a sequence met an error. (A column's default may have asked.)
void sequences_failed(struct client *client, struct slice error);
// Its session knows of none any more.
void sequences_forgotten(struct client *client);
// It `forgets`, and something was completed; body: the command tag and its NUL.
void sequences_completed(struct client *client, struct slice body);
