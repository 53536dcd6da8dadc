// SPDX-License-Identifier: Apache-2.0
// A client's statement on its server. Prepared statements are shared between clients by text, under
// names of ours; here a server is given what a client is about to use, and loses what was not used
// for long. Messages go out in the turn's bracket, in front of the client's.
// Not here: what a statement is (statement.h), which ones a server has (server.h), SQL's names
// (given.h), and the client's own messages (forward.c).
#pragma once
#include "proxy/server/server.h"
#include "proxy/session/client.h"

void sharing_parse(struct client *client, const char *name, const struct statement *statement);
// A Describe or Close (type) of the statement that the server knows by the name.
void sharing_ask(struct client *client, char type, const char *name);
void sharing_forget(struct client *client, struct statement *statement);
void sharing_make_room(struct client *client); // for one more on the server

// How the server knows the statement that the client means by the name (session_meaning()), after
// making sure that it does.
const char *sharing_name(struct client *client, struct slice name, struct statement *meaning);

// It is about to be described.
void sharing_outdate(struct client *client, struct slice name);
