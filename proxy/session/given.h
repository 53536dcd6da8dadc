// SPDX-License-Identifier: Apache-2.0
// Names given in SQL: PREPARE, EXECUTE, DEALLOCATE, without a pin. What a client prepared is
// remembered with its names, which it shares with those of the protocol as in PostgreSQL. On a
// server such a statement has the client's own name, so that texts, errors and positions stay
// as they are; before a text that uses a name is sent, that server's meaning of the name is made
// the client's, in the same write: another client's is closed, the client's own prepared.
// What PREPARE and DEALLOCATE change counts once they are answered; a rollback does not undo it.
// A text that cannot be understood (several statements, a function) gets all names made true first,
// and the server is asked afterwards what is left (remains.h). One that reads
// pg_prepared_statements gets them, too.
// Only where names are shared; one worker. See docs/decisions/0022-names-given-in-sql.md.
#pragma once
#include "proxy/session/client.h"
#include "proxy/server/server.h"
#include "proxy/sql/analysis.h"

enum {
    GIVEN_EFFECTS = EFFECT_PREPARE | EFFECT_EXECUTE | EFFECT_FUNCTION | EFFECT_UNKNOWN |
                    EFFECT_NAMES,
    GIVEN_TEXT_MAX_BYTES = 64 * 1024, // of a PREPARE that is remembered: a longer one pins
    GIVEN_NAMES_MAX = 1000,           // of one client: more pin
};

// What a text says of a name; SAYS_NOTHING also where it cannot be told: as its effects are.
enum given_says { SAYS_NOTHING, SAYS_PREPARE, SAYS_EXECUTE, SAYS_DEALLOCATE };

// Does the text need given_ready() before it is sent? analysis: NULL for one that was not read.
static inline bool given_concerns(const struct analysis *analysis)
{
    return analysis == NULL || (analysis->effects & GIVEN_EFFECTS) != 0;
}

enum given_says given_says(struct client *client, const struct analysis *analysis,
                           struct slice text);
// Makes the names on the client's server true for the text. simple: it is sent as a query, else
// in a batch. False: what a name means is not known yet, and the input waits (settling).
bool given_ready(struct client *client, const struct analysis *analysis, struct slice text,
                 bool simple);
// One name: the statement (NULL: none) is what it means on the server from here on.
void given_ensure(struct client *client, struct slice name, struct statement *meaning,
                  bool simple);
// The name is taken on the server, by whatever it is.
void given_ensure_taken(struct client *client, struct slice name);
// What running it may do.
void given_note(struct client *client, enum given_says says, const struct analysis *analysis);
// The op that runs the text (with its NUL) will say it.
void given_mark(struct client *client, struct op *op, enum given_says says,
                const struct analysis *analysis, struct slice text);
// It was answered; client: NULL if gone.
void given_said(struct server *server, struct client *client, const struct op *op);
// What it injected on the server did not happen.
void given_undo(struct server *server, const struct op *op);
