// SPDX-License-Identifier: Apache-2.0
// What becomes of the connections of another process (takeover.h): each goes to a worker, by
// mail, and is made there what it was. A client goes with its server, and who listens with the
// server that listens for it. What cannot be made again is closed, and its client is told.
#pragma once
#include "base/mailbox.h"

struct config;
struct pooler;
struct takeover;
struct takeover_row;
struct worker;

struct adopted { // MAIL_ADOPT
    struct mail mail;
    struct takeover_row *client, *server; // own; one of them may be NULL; both: that was all
};

// Numbers that must go on where they were, and what is known of routes. The main thread, once the
// other process is gone and before the workers start.
void adoption_prepare(struct takeover *takeover, struct pooler *pooler);
// To the workers; takes the rows. Servers first, so that clients find them.
void adoption_post(struct takeover *takeover, struct pooler *pooler);

void adoption_arrived(struct worker *worker, struct adopted *mail);
void adoption_drop(struct adopted *mail); // the worker has ended
