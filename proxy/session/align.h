// SPDX-License-Identifier: Apache-2.0
// A server's session is made the client's before anything of the client's runs in it, and what it
// has become is asked when a transaction is over that may have changed it (remains.h). Settings go
// in the same round trip as what follows where they cannot fail; else that waits for them.
// Owner: the worker of both.
#pragma once
#include "proxy/server/server.h"

struct analysis;
struct client;
struct error_fields;
struct profile;

// Sends what makes the difference; nothing when there is none. newly: it has just got the server.
void align_session(struct client *client, struct server *server, bool newly);
// One of those questions was answered, or failed. A server of which another client's settings
// could not be taken off is closed, and the client gets another one; else the client is told.
void align_done(struct client *client, struct server *server, enum op_purpose purpose);
void align_failed(struct client *client, struct server *server, enum op_purpose purpose,
                  const struct error_fields *error);

// All of it was answered: had the client waited for that, with what it has to say? Then that goes
// out now, before its server may be another's.
bool align_is_its_turn(struct client *client);
// The profile of the client's session as it is on its server, or will be on any; NULL: not known in
// this epoch.
struct profile *align_profile(const struct client *client, uint64_t epoch);
// A server that a session keeps learns of a new epoch in between.
void align_renew_profile(struct client *client, uint64_t epoch);

// Is it to be asked what the session has become?
bool align_must_look(const struct client *client);
void align_look(struct client *client, struct server *server);
// The answer, row by row, and its end.
void align_row(struct server *server, struct slice row);
void align_looked(struct client *client, struct server *server);
// That end follows.
void align_look_failed(struct server *server, const struct error_fields *error);

// What it gave at its start holds again of the reported settings that were reset (bits as in
// analysis.h), but for those that the session made again since (bits 1 << enum followed_var). The
// client is told.
void align_give_back(struct client *client, uint8_t resets, uint32_t own_vars);

// Asks what connect_query made of a fresh session, for servers that clients share.
void align_ask_base(struct server *server, const char *connect_query);
void align_base_known(struct server *server);

// The session is as new.
void align_forget(struct server *server);
