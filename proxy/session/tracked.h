// SPDX-License-Identifier: Apache-2.0
// Says of the queries of a session what they cost, while track_queries is on (worker->queries).
// The caller asks that first: when it is off, nothing here is called. The client's worker.
#pragma once
#include "base/slice.h"
#include "cache/statistics.h"

struct client;
struct op;
struct worker;

// What is kept of a client for it.
struct tracked {
    uint32_t answered, bound; // in worker->queries: answered last; bound last
    int64_t since_us;         // when that was answered
    int64_t waited_us;        // for its server, not yet told to a query
};

// It has waited so long for its server.
void tracked_waited(struct client *client, int64_t waited_us);
// A text is sent to the server, to be answered by op.
void tracked_query(struct client *client, struct op *op, struct slice text);
// A statement is bound: what is executed next is it. An empty slice: it is not known.
void tracked_bind(struct client *client, struct slice text);
void tracked_execute(struct client *client, struct op *op);
// A CommandComplete for a tracked op; tag: with its NUL.
void tracked_complete(struct client *client, const struct op *op, struct slice tag);
// ReadyForQuery: what is left of the time is the last one's.
void tracked_ready(struct client *client);
// The cache has answered it, with so many bytes; or has not (BYPASS_NONE: a miss).
void tracked_hit(struct client *client, struct slice text, size_t bytes);
void tracked_not_hit(struct client *client, struct slice text, enum bypass reason);
