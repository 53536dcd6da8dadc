// SPDX-License-Identifier: Apache-2.0
// A libpq connection on a libev loop: logs in without blocking and tells its owner when there is
// something to read. What is sent and read is the owner's (stream.c, reading.c).
//
// Owner: the control thread. Looking a host name up is the one thing in it that can block (libpq's
// getaddrinfo); the data plane does not depend on this thread's pace.
#pragma once
#include <ev.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/ledger.h"

struct connection;

// Called from the loop only. In each of them the owner may close the connection.
struct connection_listener {
    void (*up)(void *arg);       // logged in, non-blocking
    void (*readable)(void *arg); // input was taken in: PQisBusy(), PQgetCopyData() may have changed
    void (*down)(void *arg, enum ledger_off_reason why, const char *sentence); // must be closed now
    void *arg;
};

// libpq keywords and values, NULL-terminated; copied. timeout_s bounds the login.
struct connection *connection_open(struct ev_loop *loop, const char *const *keywords,
                                   const char *const *values, double timeout_s,
                                   const struct connection_listener *listener);
void connection_close(struct connection *connection); // NULL is fine; nothing is heard afterwards

PGconn *connection_pg(struct connection *connection); // borrowed
// What was given to libpq is on its way; watches for room to write the rest.
void connection_flush(struct connection *connection);
// What comes is taken in a millisecond later, all of it at once: a server that sends many small
// messages as it makes them would else have this thread wake up for each.
void connection_rest(struct connection *connection);
// The owner met an error: down() will be called with it at the next turn of the loop.
void connection_fail(struct connection *connection, enum ledger_off_reason why,
                     const char *sentence);
// The server's error as one line, and the reason that its SQLSTATE means.
enum ledger_off_reason connection_error(const PGresult *result, char *sentence, size_t bytes);
