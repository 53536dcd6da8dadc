// SPDX-License-Identifier: Apache-2.0
// What one route did on one worker: the figures behind SHOW STATS and /metrics. Each worker counts
// in a tally of its own, in cache lines of its own; anyone may sum them. A route's tallies live as
// long as the route.
#pragma once
#include "base/counter.h"

#define TALLY_FIGURES(X)                                                                           \
    X(assignments, "server_assignments", "times a client was given a server")                      \
    X(xacts, "transactions", "transactions finished, hits included")                               \
    X(queries, "queries", "statements finished, hits included")                                    \
    X(received, "received_bytes", "bytes received from clients")                                   \
    X(sent, "sent_bytes", "bytes sent to clients")                                                 \
    X(xact_us, "transaction_microseconds", "time servers were in transactions of clients")         \
    X(query_us, "query_microseconds", "time servers worked for clients")                           \
    X(wait_us, "wait_microseconds", "time clients waited for a server")                            \
    X(parses, "client_parses", "prepared statements that clients asked for")                       \
    X(injected_parses, "server_parses", "prepared statements that servers were given")             \
    X(binds, "binds", "prepared statements that were bound")                                       \
    X(logins, "client_logins", "clients that logged in")                                           \
    X(pins, "pins", "times a client was pinned to its server")                                     \
    X(resets, "resets", "times a server was reset before it was given on")                         \
    X(reruns, "reruns", "batches run again because a table had changed under their statement")

enum { TALLY_COUNT = 0 TALLY_FIGURES(COUNTER_ONE), TALLY_LINE_BYTES = 64 };

struct tally {
    _Alignas(TALLY_LINE_BYTES) COUNTER_TABLE(counter, COUNTER_MEMBER, TALLY_FIGURES, , TALLY_COUNT);
};

struct tally_sum { // zeroed to begin
    COUNTER_TABLE(uint64_t, COUNTER_SUM, TALLY_FIGURES, , TALLY_COUNT);
};

static inline void tally_sum_add(struct tally_sum *sum, const struct tally_sum *more)
{
    for (int i = 0; i < TALLY_COUNT; i++)
        sum->all[i] += more->all[i];
}

static inline void tally_add(struct tally_sum *sum, const struct tally *from)
{
    counters_sum(sum->all, from->all, TALLY_COUNT);
}
