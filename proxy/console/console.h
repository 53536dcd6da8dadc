// SPDX-License-Identifier: Apache-2.0
// The admin console: a client of the databases "pgbouncer" and "pgweir" talks to pgweir itself, by
// simple or extended messages. It runs on the client's worker; what other threads know is asked of
// them by mail (question.h), and PAUSE and its like are waited for by the janitor's looks
// (console_look): a worker is never blocked.
#pragma once
#include "base/slice.h"
#include "proxy/console/command.h"

struct buf;
struct client;
struct console;
struct question;

bool console_is(const char *database); // is that the console's name?
void console_begin(struct client *client); // logged in: greet it
void console_end(struct client *client);   // its connection is being closed
void console_free(struct console *console); // NULL is fine
// The session's input; gives back what is not complete yet, or must wait for an answer.
struct slice console_input(struct client *client, struct slice data);
bool console_is_busy(const struct console *console); // it waits for an answer

bool console_is_admin(const struct client *client);
// Our connections are given to it (halt_inherit()) / were, even if they are ours again.
void console_inherits(struct client *client);
bool console_is_heir(const struct client *client); // any client
// A question is asked on its behalf, whose answer it awaits.
void console_asks(struct client *client, const struct question *q);
bool console_awaits(const struct client *client, const struct question *q);
// The answer to a command that had COMMAND_LATER; out: its messages up to CommandComplete or
// ErrorResponse.
void console_answer(struct client *client, struct slice out);
// The command at hand is to be looked at now and then, until it answers.
void console_wait(struct client *client, enum command_wait wait, const char *database);
void console_look_again(struct client *client); // the question did not end it
void console_look(struct client *client);   // ten times a second
void console_cancel(struct client *client); // a cancel request has come for it
