// SPDX-License-Identifier: Apache-2.0
// Text put into SQL of our own so that it stays what it is, whatever the session's settings are.
// ("String Constants with C-Style Escapes" and "Identifiers" in PostgreSQL's manual.)
#pragma once
#include "base/buf.h"

void quote_literal(struct buf *sql, const char *text); // E'...'
// The same for text of another encoding than the session's; "": it is the session's own.
void quote_encoded(struct buf *sql, const char *text, const char *encoding);
void quote_name(struct buf *sql, const char *name);    // "..."; a dot separates two names
