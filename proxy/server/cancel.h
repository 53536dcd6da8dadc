// SPDX-License-Identifier: Apache-2.0
// A cancel request on its way: a connection of its own to the server whose query is meant, or to
// the peer that knows whose. It lives in its worker's list from being accepted until the other
// side has closed the connection, and lets its asker go then. server_cancel() is in server.h.
//
// The server whose query is meant is not given to another client before that connection has ended:
// PostgreSQL closes it when the signal is sent. What was not sent when the client lets its server
// go is not sent any more.
#pragma once
#include "base/slice.h"

struct cancel_asker;
struct resolution_mail;
struct worker;

// Passes a request on to the peer whose number is in the key. NULL: it is on its way, and the asker
// will be let go; else why not, as the reason to close the asker's connection.
const char *cancel_forward(struct worker *worker, struct slice key, struct cancel_asker asker);

// The answer to a question that cancel_forward() asked; false: it is not about one of these.
bool cancel_resolved(struct worker *worker, const struct resolution_mail *mail);

// From the janitor: those that wait for a place, or to be taken by a full unix socket, try again.
void cancel_sweep(struct worker *worker);
// Ends them all, because the worker ends.
void cancel_end_all(struct worker *worker);
