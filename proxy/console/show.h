// SPDX-License-Identifier: Apache-2.0
// The SHOW commands, one row of a table each: name, columns, what makes the rows.
#pragma once
#include "base/buf.h"

struct client;

// Appends the reply of SHOW what (without ReadyForQuery); false: there is no such thing to show.
bool show_run(struct client *client, const char *what, struct buf *out);
