// SPDX-License-Identifier: Apache-2.0
// Is a server's session as a fresh one is? Asked of the server itself after code ran that cannot be
// seen (functions, DO, CALL): no setting of the session's own but the followed ones, no prepared
// statement made in SQL, nothing listened to, no temporary relation, no advisory lock, no cursor
// held, the user it logged in as.
#pragma once

// One row, one column: t when it is.
extern const char *const clean_question;
