// SPDX-License-Identifier: Apache-2.0
// What a client left in its server's session, as the server itself says: settings, which can be
// made true elsewhere, and what cannot be moved. Asked when a transaction is over in which
// something of the kind may have come or gone; so functions, rollbacks, savepoints and defaults
// need no rules of ours.
//
// Settings of invented names (app.tenant) are in no view: they must be asked for by name. Names
// are taken from the texts and values that were sent; one that no text mentions (a function made
// it up) stays unknown, and settings are reset before somebody else gets the server.
#pragma once
#include "base/buf.h"
#include "proxy/session/gucs.h"
#include "proxy/session/statement.h"

enum {
    REMAINS_TEMP = 1 << 0,     // temporary relations
    REMAINS_CURSOR = 1 << 1,   // cursors WITH HOLD
    REMAINS_PREPARED = 1 << 2, // statements prepared in SQL
    REMAINS_LISTEN = 1 << 3,
    REMAINS_ADVISORY = 1 << 4, // session level advisory locks
};

struct remains {
    struct gucs_draft settings;
    struct buf timeout; // the statement_timeout before the question
    uint32_t kinds; // bits
    uint32_t own_vars; // bits 1 << enum followed_var: reported settings that the session made
    bool odd;       // it failed, or was not understood
    bool cancelled; // that is why: by somebody else, or by the session's own time limit
};

// Names that a setting may have, with a NUL behind each.
struct mentioned {
    struct buf names;
    uint32_t count;
    bool too_many;  // some are not in it
};
void mentioned_fini(struct mentioned *m);
void mentioned_free(struct mentioned **m); // of one that was allocated; NULL inside is fine
// Notes whatever in the bytes looks like a name with a dot: too many do no harm.
void mentioned_note(struct mentioned *m, struct slice bytes);
bool mentioned_has(const struct mentioned *m, struct slice name);

// Appends the question and a NUL. user: who the session logged in as. mentioned: by this client.
// heard: other clients' words; NULL: none. known: settings that the session is known to have.
// named: what clients have prepared in it in SQL: all of that, and nothing else, is to be there;
// NULL: names are not shared, so that any statement is the client's.
void remains_question(struct buf *sql, const char *user, const struct mentioned *mentioned,
                      const struct mentioned *heard, const struct gucs *known,
                      const struct statement_names *named);
// Are those asked for by their texts? One that is not ASCII is by its name only.
bool remains_knows_texts(const struct statement_names *named);
// Takes in one row of the answer (the body of a DataRow).
void remains_row(struct remains *r, struct slice row);
void remains_fini(struct remains *r);
