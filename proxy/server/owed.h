// SPDX-License-Identifier: Apache-2.0
// How answers end what a server owes (ops.h): which message ends which request, the answers that
// are ours to give, and the undoing of what PostgreSQL skips after an error.
#pragma once
#include "proxy/server/server.h"
#include "proxy/wire/sender.h"

bool owed_is_extended(enum op_kind kind); // does an error in it skip up to the next Sync?

// Does this message end that op?
static inline bool owed_completes(char type, enum op_kind kind)
{
    switch (kind) {
    case OP_PARSE:
        return type == '1';
    case OP_BIND:
        return type == '2';
    case OP_DESCRIBE:
        return type == 'T' || type == 'n';
    case OP_EXECUTE:
        return type == 'C' || type == 'I' || type == 's';
    case OP_CLOSE:
        return type == '3';
    case OP_SYNC:
    case OP_QUERY:
    case OP_FUNCTION:
        return type == 'Z';
    case OP_COPY_END:
        return false;
    }
    return false;
}

// Answers the requests at the head of the queue that are ours to answer.
void server_answer_local(struct server *server, struct sender *to_client);

// PostgreSQL skips everything after an error up to the next Sync: names mean what they meant, and
// the server has what it had. client: whose requests they are, or NULL.
void owed_undo_skipped(struct server *server, struct client *client);

// The head of the queue has dropped all named statements: those that were sent behind it, in the
// same batch, have their names all the same. client: whose names are dropped, or NULL.
void owed_names_dropped(struct server *server, struct client *client);

// CopyInResponse has come. Syncs that were sent behind the request will be ignored, for PostgreSQL
// does so in the middle of a COPY; *swallowed: one of them was to end the batch. False: something
// else was sent and answered already.
bool owed_copy_begins(struct server *server, bool *swallowed);
// A statement is complete, and with it a COPY that went well: the Syncs in it are forgotten.
void owed_copy_ended(struct server *server);
