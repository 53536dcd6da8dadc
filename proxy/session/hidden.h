// SPDX-License-Identifier: Apache-2.0
// Code that statements run without naming it (triggers, rules, views, defaults, policies ...), as
// far as sessions and servers have to do with it: a client whose statement may have run some is
// looked at as after a function (align.h); servers are asked what there is (proxy/sql/learnt.h).
// Owner: the worker of client and server.
#pragma once
#include "base/slice.h"

struct analysis;
struct client;
struct server;

// A statement is about to be sent.
void hidden_note(struct client *client, const struct analysis *analysis);
// A text is about to be sent that was not analysed; empty: it is not even at hand.
void hidden_note_unread(struct client *client, struct slice text);
// The transaction is over, or nobody will know how it ended. What ran in it may have been judged
// by what was not so any more.
void hidden_settle(struct client *client);

// If somebody has to ask, this server is asked now; true: its answer is to be waited for. It owes
// nothing.
bool hidden_ask(struct server *server);
void hidden_row(struct server *server, struct slice row);
void hidden_failed(struct server *server, const char *why); // its end follows
void hidden_answered(struct server *server);
void hidden_give_up(struct server *server); // it closes
