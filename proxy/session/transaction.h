// SPDX-License-Identifier: Apache-2.0
// The open transaction of a client, as far as the cache has to do with it: whether its reads may
// still be answered from memory, and since when they may not show anything older.
//
// A transaction hits while it surely is READ COMMITTED and surely has only read: then each of its
// statements sees what is committed when it begins, as outside of a transaction. What is sent to
// the server and is not known to only read ends that, until the transaction ends.
// One that no server knows of yet is in deferred.h. Plain data; the client's worker.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct analysis;
struct client;
struct entry;

enum transaction_state {
    TRANSACTION_NONE,     // none is open, or one that never hits
    TRANSACTION_DEFERRED, // begun, and no server knows of it
    TRANSACTION_FAILED,   // the same, and failed
    TRANSACTION_FAILING,  // its BEGIN failed on the server; the answer's end is on its way
    TRANSACTION_READS,    // the server has it, or is being told: READ COMMITTED, it has only read
};

struct transaction {
    uint8_t state;      // enum transaction_state
    bool hit;           // a statement of it was answered from memory
    bool read;          // what was sent since the last answer may have read something
    bool hurry;         // the cache was behind it
    bool portal;        // the client's unnamed portal is on no server, which may have another
    uint16_t first;     // how its first statement is known to worker->tells_time
    int64_t around_us;  // when it last read something newer than the cache may be; or INT64_MIN
    struct buf begin;   // owns; while deferred: the BEGIN's text and a NUL. Kept for the next one
};

// No server knows of it, but the client is in it.
static inline bool transaction_is_ours(const struct transaction *t)
{
    return t->state == TRANSACTION_DEFERRED || t->state == TRANSACTION_FAILED;
}

// I, T, E: for a client without a server.
char transaction_status(const struct transaction *t);

// Nothing older than that may be shown to the client now.
int64_t transaction_after_us(const struct client *client);

// This statement is about to be sent to the client's server (NULL: it was not read).
void transaction_note(struct client *client, const struct analysis *analysis);
// The server has said ReadyForQuery to a request of the client's, and that op is done.
void transaction_answered(struct client *client);
// The client was answered from this entry.
void transaction_hit(struct client *client, const struct analysis *analysis,
                     const struct entry *entry);

// Does the statement, the first one of a deferred transaction, begin transactions that were seen to
// ask for the time at which they began, after they were answered from memory?
bool transaction_needs_time(const struct client *client, const struct analysis *analysis);
// Does it say something of the transaction or its settings, and read no table?
bool transaction_reads_nothing(const struct analysis *analysis);
