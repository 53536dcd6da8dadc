// SPDX-License-Identifier: Apache-2.0
// The answers to what we slipped in ourselves: no client hears them, each has its place to go to.
// What was asked is with who asked (session/align.h, hidden.h, given.h, server/audit.h ...).
// The server's worker.
#pragma once
#include "proxy/server/server.h"

// One row of an answer. client: linked to the server, or NULL, here and below.
void injected_row(struct server *server, enum op_purpose purpose, struct slice body);
// It is answered as a whole.
void injected_ended(struct server *server, struct client *client, enum op_purpose purpose);
// It failed; message: the ErrorResponse. False: the server is closed, or to be closed for *why.
bool injected_failed(struct server *server, struct client *client, enum op_purpose purpose,
                     struct slice message, const char **why);
