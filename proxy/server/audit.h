// SPDX-License-Identifier: Apache-2.0
// cache_audit_rate: a sample of hits is run again and compared. An audit waits for an idle server
// of its worker whose session is the key's (profile and settings), takes it while nobody waits for
// one, asks the client's own messages there, and gives it back. When the answers differ it waits
// until the ledger is known fresh as of a later moment: if the entry is then still valid, no write
// explains the difference, which is counted and said in the log, and the entry ends.
// Nothing of it is seen by a client: the server is nobody's meanwhile, as while it is reset.
// A worker's; its own thread.
#pragma once
#include <stdbool.h>

#include "base/slice.h"

struct audits;
struct client;
struct entry;
struct ledger;
struct profile;
struct server;
struct worker;

// What was answered from memory.
struct audit_subject {
    struct entry *entry;           // counted by the audit, too
    const struct ledger *ledger;
    const struct profile *profile;
    bool simple, described;
    struct slice text;             // of the query or statement
    struct slice tail;             // extended: text, NUL, parameter types, as in a Parse
    struct slice bind;             // extended: a Bind behind its names
};

struct audits *audits_new(void);
void audits_free(struct audits *audits); // with what waits; NULL is fine

// Is this hit one of the sample?
bool audit_wants(struct worker *worker);
// Keeps it for later; too many that wait are forgotten.
void audit_later(struct client *client, const struct audit_subject *subject);
// At the end of a turn, with no bracket open: begins and judges what it can.
void audits_run(struct worker *worker);

// A message of the server in answer to an audit; its end; an error in its place.
void audit_message(struct server *server, char type, struct slice message);
void audit_answered(struct server *server);
void audit_failed(struct server *server);
void audit_abandon(struct server *server); // the server is closed; nothing without one
