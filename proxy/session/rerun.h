// SPDX-License-Identifier: Apache-2.0
// Running a batch once more. A shared statement's plan may not fit its tables any more (0A000,
// "cached plan must not change result type"): then it is prepared anew on that server and the
// batch that bound it is run again, and the client hears of none of it. For that, the bytes of the
// batch at hand are kept until its first answer: one copy of what the client sent, with its server.
// Only where nothing is lost: outside a transaction, the Bind the first thing answered, nothing
// sent behind the batch; and only where the client cannot take the new rows for the old ones.
// One worker; see docs/decisions/0018-plans-that-changed.md.
#pragma once
#include "proxy/server/server.h"
#include "proxy/session/client.h"

enum { RERUN_MAX_BYTES = 64 * 1024 }; // of a batch: a longer one gets the error

// A Bind, or an EXECUTE as a query, that begins at `at` is about to be sent: is it the first thing
// of its batch? Then the op is marked, and the bytes are kept from there on.
static inline bool rerun_mark(struct client *client, const uint8_t *at)
{
    struct server *server = client->server;
    if (server->status != 'I' || client->in_transaction ||
        (client->open_batch && !client->only_local))
        return false;
    server->kept.len = 0;
    client->kept_from = at;
    return true;
}

// The run of input was handled up to end: keeps what belongs to the batch.
static inline void rerun_keep(struct client *client, const uint8_t *end)
{
    struct server *server = client->server;
    if (server == NULL)
        return;
    size_t n = (size_t)(end - client->kept_from);
    if (server->kept.len + n <= RERUN_MAX_BYTES)
        buf_bytes(&server->kept, client->kept_from, n);
    else
        buf_fini(&server->kept); // nothing follows where nothing is
}

// The request (op, the oldest) met this error; client: NULL if gone. True: its batch is run again
// instead; the error is not the client's, and rerun_go must follow once the run of answers was
// handled. Else a statement that does not fit its tables is noted, to be prepared anew.
bool rerun_instead(struct server *server, struct client *client, const struct op *op,
                   struct slice error);
void rerun_go(struct server *server, struct client *client);
