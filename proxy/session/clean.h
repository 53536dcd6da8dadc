// SPDX-License-Identifier: Apache-2.0
// Is a server's session as a fresh one is? Asked of the server itself after code ran that cannot be
// seen (functions, DO, CALL): no setting of the session's own but the followed ones, no prepared
// statement made in SQL, nothing listened to, no temporary relation, no advisory lock, no cursor
// held, the user it logged in as. Settings of invented names (app.tenant) cannot be seen in any
// view: after a clean answer settings are reset before somebody else gets the server.
#pragma once
#include "base/buf.h"

// Appends the question and a NUL: one row, one column, t when it is. user: who it logged in as.
void clean_question(struct buf *sql, const char *user);
