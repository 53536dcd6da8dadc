// SPDX-License-Identifier: Apache-2.0
// The admin console: a client of the databases "pgbouncer" and "pgweir" talks to pgweir itself.
// It runs on the client's worker; what other workers know is asked of them by mail.
#pragma once
#include "base/slice.h"

struct client;
struct console;

bool console_is(const char *database); // is that the console's name?
void console_begin(struct client *client); // logged in: greet it
void console_free(struct console *console); // NULL is fine
// The session's input; gives back what is not complete yet.
struct slice console_input(struct client *client, struct slice data);
